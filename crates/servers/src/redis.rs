//! A private Redis: found, started, stopped. It keeps nothing.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{
    Account, NotInstalled,
    ports::{self, with_ports},
    process::{self, Process},
    programs::folder_on_path,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running private Redis on a loopback port.
///
/// It goes on when this value is dropped; [`Redis::stop`] stops it.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
}

impl Redis {
    /// The server's program.
    pub fn program() -> Result<PathBuf, NotInstalled> {
        folder_on_path(&["redis-server"]).map(|folder| folder.join("redis-server")).ok_or(
            NotInstalled {
                what: "Redis",
                remedy: "`apt-get install redis-server` (Debian, Ubuntu) or put redis-server on \
                         the PATH",
            },
        )
    }

    /// Starts the server of a folder, which is made if need be, at the same address every time.
    /// A server of that folder that a killed process left behind is stopped first.
    ///
    /// Blocks until the server answers.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = Self::program()?;
        let account = Account::unprivileged()?;
        let folder = account.enter(folder)?.join("redis");
        account.make_private(&folder)?;
        if let Some(left) = Process::find(&account, &folder) {
            left.stop(PATIENCE)?;
        }
        with_ports(&folder, |[port]| {
            let text = port.to_string();
            let arguments =
                ["--bind", "127.0.0.1", "--port", &text, "--save", "", "--appendonly", "no"];
            let process = Process::start(
                &account,
                &folder,
                &program,
                &arguments.map(Into::into),
                PATIENCE,
                |process| answers(port, process).unwrap_or(false),
            )?;
            Ok(Self { process, port })
        })
    }

    /// The server of a folder, if it runs.
    pub fn find(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?.join("redis");
        let process = Process::find(&Account::unprivileged().ok()?, &folder)?;
        let [port] = ports::kept(&folder)?;
        Some(Self { process, port })
    }

    /// The address, the same for as long as the folder is there.
    pub fn url(&self) -> String {
        format!("redis://{}/", ports::address(self.port))
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends the process a signal, such as `KILL`, `STOP` or `CONT`: for tests that break it.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// Stops the server; everything in it is forgotten.
    pub fn stop(&self) -> Result<()> {
        self.process.stop(PATIENCE)
    }

    /// The log file of the server of a folder.
    pub fn log(folder: &Path) -> PathBuf {
        process::log(&folder.join("redis"))
    }
}

/// Whether this very process answers on the port: the port may have become another's.
fn answers(port: u16, process: u32) -> io::Result<bool> {
    let wait = Duration::from_secs(1);
    let mut connection = TcpStream::connect_timeout(&ports::address(port), wait)?;
    connection.set_read_timeout(Some(wait))?;
    connection.write_all(b"PING\r\nINFO server\r\nQUIT\r\n")?;
    let mut answer = String::new();
    connection.take(100_000).read_to_string(&mut answer)?;
    let ours = format!("process_id:{process}\r\n");
    Ok(answer.starts_with("+PONG\r\n") && answer.contains(&ours))
}

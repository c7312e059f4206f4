//! A private Postgres: found, initialised, started, stopped.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{Account, NotInstalled, Settings, process::last_lines, programs::folder_on_path};

/// Oldest Postgres that the product runs on.
const OLDEST: u32 = 14;

/// How long a server may take to end by a signal, and what is left of it to go.
const ENDING: Duration = Duration::from_secs(60);

/// A socket's path must fit in 107 bytes with its file name.
const LONGEST_SOCKET_FOLDER: usize = 88;

/// A running private Postgres, reachable by a socket in a folder that nobody else can enter.
///
/// It goes on when this value is dropped; [`Postgres::stop`] stops it.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    account: Account,
    data: PathBuf,
    sockets: PathBuf,
}

impl Postgres {
    /// The folder of Postgres' programs: the newest that the system's packages installed, else
    /// the one on the PATH.
    pub fn programs() -> Result<PathBuf, NotInstalled> {
        let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut found: Vec<(u32, PathBuf)> = packaged
            .filter_map(|entry| {
                let version = entry.file_name().to_str()?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
            .filter(|(version, folder)| *version >= OLDEST && folder.join("initdb").exists())
            .collect();
        found.sort();
        if let Some((_, folder)) = found.pop() {
            return Ok(folder);
        }
        folder_on_path(&["initdb", "pg_ctl"]).ok_or(NotInstalled {
            what: "Postgres 14 or newer",
            remedy: "`apt-get install postgresql` (Debian, Ubuntu) or put its bin folder on the \
                     PATH",
        })
    }

    /// Starts the server of a folder, which is made and initialised if need be. A server of that
    /// folder that a killed process left behind is stopped first; one that died recovers.
    ///
    /// Blocks until the server takes connections.
    pub fn start(folder: &Path, settings: Settings) -> Result<Self> {
        let programs = programs_for(&folder.join("postgres"))?;
        let account = Account::unprivileged()?;
        let folder = account.enter(folder)?;
        let data = folder.join("postgres");
        let sockets = socket_folder(&folder);
        account.make_private(&sockets)?;
        let server = Self { programs, account, data, sockets };
        if !server.data.join("PG_VERSION").exists() {
            server.initialise()?;
        }
        server.take_over()?;
        fs::write(server.data.join("ironledger.conf"), server.configuration(settings))?;
        let log = server.log();
        let log = log.to_str().context("the folder's name is not UTF-8")?;
        // Recovery after a crash may take a while.
        server
            .control("start", &["-w", "-t", "600", "-l", log])
            .with_context(|| format!("Postgres did not start:\n{}", last_lines(&server.log())))?;
        Ok(server)
    }

    /// The address of a database for a user; nobody is asked for a password, since only the
    /// folder's owner gets to the socket.
    pub fn url(&self, user: &str, database: &str) -> String {
        url(&self.sockets, user, database)
    }

    /// The address of a database on the server of a folder, if one runs there.
    pub fn running(folder: &Path, user: &str, database: &str) -> Option<String> {
        let folder = folder.canonicalize().ok()?;
        folder
            .join("postgres/postmaster.pid")
            .exists()
            .then(|| url(&socket_folder(&folder), user, database))
    }

    /// The server of a folder, if it runs.
    pub fn find(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let data = folder.join("postgres");
        let programs = programs_for(&data).ok()?;
        let account = Account::unprivileged().ok()?;
        let server = Self { programs, account, sockets: socket_folder(&folder), data };
        server.runs_as(server.id()?).then_some(server)
    }

    /// The number of the server's main process, as its lock file tells it.
    pub fn id(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Stops the server; what was committed stays.
    pub fn stop(&self) -> Result<()> {
        self.control("stop", &["-m", "fast", "-w", "-t", "120"])
    }

    /// Ends the main process by a signal, such as `INT` or `KILL`, and waits until it has: for tests
    /// that break it.
    pub fn end(&self, signal: &str) -> Result<()> {
        let process = self.id().context("no Postgres to end")?;
        let sent = self
            .account
            .command("/bin/sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &process.to_string()])
            .status()
            .context("sh cannot be run")?;
        ensure!(sent.success(), "{signal} could not be sent to {process}");
        let deadline = Instant::now() + ENDING;
        while self.runs_as(process) {
            ensure!(Instant::now() < deadline, "Postgres does not end by {signal}");
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Starts the server of a folder however it ended: what is left of a killed one goes by and by,
    /// and it does not start beside that.
    pub fn start_again(folder: &Path, settings: Settings) -> Result<Self> {
        let deadline = Instant::now() + ENDING;
        loop {
            match Self::start(folder, settings) {
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(200)),
                done => return done,
            }
        }
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.data.join("server.log")
    }

    /// Stops the server that a killed process of ours left behind.
    ///
    /// Where that server died too, only its lock files are left, and the number in there may be
    /// another process by now, even the system's own Postgres. `pg_ctl` would stop that one for
    /// ours, and Postgres would not start for it.
    fn take_over(&self) -> Result<()> {
        let lock_file = self.data.join("postmaster.pid");
        if !lock_file.exists() {
            return Ok(());
        }
        let foreign = |process: u32| {
            Path::new("/proc").join(process.to_string()).exists() && !self.runs_as(process)
        };
        if self.id().is_none_or(foreign) {
            let of_socket = self.sockets.join(".s.PGSQL.5432.lock");
            if of_socket.exists() {
                fs::remove_file(of_socket)?;
            }
            return Ok(fs::remove_file(lock_file)?);
        }
        match self.control("status", &[]).and_then(|()| self.stop()) {
            // It may end by itself meanwhile.
            Err(failed) if self.control("status", &[]).is_ok() => Err(failed),
            _ => Ok(()),
        }
    }

    /// Whether that process is the server: it works in its data folder.
    fn runs_as(&self, process: u32) -> bool {
        self.data.canonicalize().is_ok_and(|data| self.account.works_in(process, &data))
    }

    /// Makes the cluster beside its place and moves it there whole: one that was cut off in the
    /// making would look like one that is there.
    fn initialise(&self) -> Result<()> {
        let partial = self.data.with_extension("new");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        self.account.make_private(&partial)?;
        let output = self
            .account
            .command(self.programs.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale"])
            .arg("--pgdata")
            .arg(&partial)
            .stderr(Stdio::piped())
            .output()
            .context("initdb cannot be run")?;
        if !output.status.success() {
            bail!("initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let main = partial.join("postgresql.conf");
        let text = fs::read_to_string(&main)? + "\ninclude 'ironledger.conf'\n";
        fs::write(&main, text)?;
        fs::rename(&partial, &self.data)
            .with_context(|| format!("{} is in the way", self.data.display()))
    }

    fn configuration(&self, settings: Settings) -> String {
        let sockets = self.sockets.display().to_string().replace('\'', "''");
        let buffers = match settings {
            Settings::Dedicated => "2GB",
            Settings::Durable | Settings::Fleeting => "512MB",
        };
        let common = format!(
            "listen_addresses = ''\nunix_socket_directories = '{sockets}'\nport = 5432\n\
             max_connections = 300\nshared_buffers = {buffers}\nmax_wal_size = 4GB\n\
             checkpoint_timeout = 15min\nwal_level = replica\nlog_min_messages = warning\n\
             log_min_error_statement = panic\n"
        );
        match settings {
            Settings::Durable | Settings::Dedicated => common,
            Settings::Fleeting => {
                common + "fsync = off\nfull_page_writes = off\nautovacuum_naptime = 10s\n"
            }
        }
    }

    /// `pg_ctl` with its output going nowhere: a pipe that the daemon keeps open would hang us.
    fn control(&self, what: &str, more: &[&str]) -> Result<()> {
        let status = self
            .account
            .command(self.programs.join("pg_ctl"))
            .arg(what)
            .arg("--pgdata")
            .arg(&self.data)
            .args(more)
            .status()
            .context("pg_ctl cannot be run")?;
        ensure!(status.success(), "pg_ctl {what} failed on {}", self.data.display());
        Ok(())
    }
}

/// The programs that a cluster was made with, where they are still there: newer ones refuse it.
fn programs_for(data: &Path) -> Result<PathBuf> {
    let version = fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
    let same = Path::new("/usr/lib/postgresql").join(version.trim()).join("bin");
    let known = !version.is_empty() && same.join("pg_ctl").exists();
    if known { Ok(same) } else { Ok(Postgres::programs()?) }
}

fn url(sockets: &Path, user: &str, database: &str) -> String {
    let host = sockets.display().to_string().replace('%', "%25").replace('/', "%2F");
    // Port and mode too: the environment may name those of another server.
    format!("postgres://{user}@localhost:5432/{database}?host={host}&sslmode=disable")
}

fn socket_folder(folder: &Path) -> PathBuf {
    let near = folder.join("sockets");
    if near.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        return near;
    }
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    std::env::temp_dir().join(format!("ironledger-{:x}", hasher.finish()))
}

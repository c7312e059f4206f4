//! A server's process: started in its folder, waited for, found again, stopped.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::Account;

/// Leaves the process's number and becomes the server. Nobody who is killed in between can leave
/// a server behind that no file tells of.
const RUN: &str = r#"echo $$ >pid.new && mv -f pid.new pid && exec "$@" >>server.log 2>&1"#;

/// How often the state of things is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a killed process may take to be gone.
const DYING: Duration = Duration::from_secs(20);

/// A process that works in a folder of its own, beside its files `pid` and `server.log`.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    id: u32,
    folder: PathBuf,
    account: Account,
}

impl Process {
    /// Starts a server in an absolute folder, in a process group of its own so that no Ctrl-C
    /// reaches it, and waits until it answers.
    pub(crate) fn start(
        account: &Account,
        folder: &Path,
        program: &Path,
        arguments: &[OsString],
        patience: Duration,
        answers: impl Fn(u32) -> bool,
    ) -> Result<Self> {
        let mut child = account
            .command("/bin/sh")
            .args(["-c", RUN, "sh"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .process_group(0)
            .spawn()
            .context("sh cannot be run")?;
        let process = Self { id: child.id(), folder: folder.to_owned(), account: account.clone() };
        // As long as we live, somebody must take note of its end.
        let ended = thread::spawn(move || child.wait());
        let deadline = Instant::now() + patience;
        loop {
            let over = ended.is_finished();
            // In this order: what answers while it has ended is another's.
            if !over && answers(process.id) {
                return Ok(process);
            }
            if over || Instant::now() > deadline {
                process.stop(Duration::ZERO)?;
                let how = if over { "ended" } else { "does not answer" };
                bail!("{} {how}:\n{}", program.display(), last_lines(&log(folder)));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The process of a folder, if it runs. A file alone proves nothing: the number in it may be
    /// another process by now.
    pub(crate) fn find(account: &Account, folder: &Path) -> Option<Self> {
        let id = fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
        let process = Self { id, folder: folder.to_owned(), account: account.clone() };
        process.runs().then_some(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal, named as `kill` names it; nothing is sent to a process that is not ours.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        if !self.runs() {
            return Ok(());
        }
        let sent = self
            .account
            .command("/bin/sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &self.id.to_string()])
            .status()
            .context("sh cannot be run")?;
        // It may end by itself meanwhile.
        ensure!(sent.success() || !self.runs(), "process {} takes no signal {name}", self.id);
        Ok(())
    }

    /// Asks the process to end, kills it when its time is over, and waits until it is gone.
    pub(crate) fn stop(&self, patience: Duration) -> Result<()> {
        if !patience.is_zero() {
            self.signal("TERM")?;
            // Asleep, it would not hear.
            self.signal("CONT")?;
            if self.gone_within(patience) {
                return Ok(());
            }
        }
        self.signal("KILL")?;
        ensure!(self.gone_within(DYING), "process {} cannot be killed", self.id);
        Ok(())
    }

    fn runs(&self) -> bool {
        self.account.works_in(self.id, &self.folder)
    }

    fn gone_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.runs() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }
}

/// The file that the output of a folder's process goes to.
pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// The end of a log, without the frames of Java's stack traces.
pub(crate) fn last_lines(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("at ")).collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

//! A Postgres for the length of one command: installed if need be, private, gone afterwards.

use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use servers::{Account, NotInstalled, Postgres, Settings};

use crate::cargo;

/// Waits for the end of our side of a pipe, which comes however we end, be it by `kill -9`. Then
/// stops the server and removes its folder.
const WATCHER: &str = r#"
cat >/dev/null
for pid in "$2"/*/postmaster.pid; do "$1" stop -D "${pid%/*}" -m fast -w -t 120; done
rm -rf "$2"
"#;

/// A server to work on: the one that `DATABASE_URL` names, else a private one that lives as long
/// as this value or this process.
pub(crate) struct Server {
    /// The address of its database `postgres`, or of the given one.
    pub(crate) url: String,
    _private: Option<Private>,
}

/// The folder of a private server, and the process that cleans up after us.
///
/// Ctrl-C ends us and what we run at once, for they are in our process group. The watcher is in
/// one of its own and outlives us by the moment that it needs.
struct Private {
    folder: PathBuf,
    watcher: Child,
}

impl Server {
    /// The given server, or a private one for `what`.
    pub(crate) fn start(what: &str, settings: Settings) -> Result<Self> {
        if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
            return Ok(Self { url, _private: None });
        }
        let programs = install()?;
        let account = Account::unprivileged()?;
        let folder = make_folder(what, settings, &account)?;
        // First the one who cleans up, then what is to be cleaned up.
        let watcher = account
            .command("/bin/sh")
            .args(["-c", WATCHER, "sh"])
            .args([&programs.join("pg_ctl"), &folder])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("sh cannot be run")?;
        let private = Private { folder, watcher };
        let url = Postgres::start(&private.folder, settings)?.url("postgres", "postgres");
        Ok(Self { url, _private: Some(private) })
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        self.watcher.wait().ok();
        // What the watcher's account was not allowed to remove.
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("xtask: {} is left over: {error}", self.folder.display());
            }
            _ => {}
        }
    }
}

/// The folder of Postgres' programs; installs them where the system has apt.
pub(crate) fn install() -> Result<PathBuf> {
    if let Ok(programs) = Postgres::programs() {
        return Ok(programs);
    }
    if !on_path("apt-get") {
        bail!(NotInstalled);
    }
    let root = is_root()?;
    if !root && !on_path("sudo") {
        bail!("{NotInstalled}; it takes root, and there is no sudo");
    }
    eprintln!("Postgres is missing: installing the package postgresql by apt-get");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        // A fresh machine may be busy with its own updates.
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        cargo::run(command)
    };
    if apt(&["update"]).is_err() {
        eprintln!("xtask: `apt-get update` failed; trying with the lists that are there");
    }
    if apt(&["install", "-y", "--no-install-recommends", "postgresql"]).is_err() {
        bail!("the package postgresql could not be installed, see above");
    }
    Ok(Postgres::programs()?)
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("id cannot be run")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A new folder that belongs to the server's account, below one that the account can enter.
fn make_folder(what: &str, settings: Settings, account: &Account) -> Result<PathBuf> {
    // Durability is only worth measuring on a disk, and /tmp may be memory.
    let lasting = settings == Settings::Durable && env::var_os("TMPDIR").is_none();
    let first = if lasting { "/var/tmp".into() } else { env::temp_dir() };
    let parents = [first, env::temp_dir(), "/tmp".into()];
    let parent = parents
        .iter()
        .find(|parent| account.can_enter(parent))
        .with_context(|| format!("no temporary folder can be entered by {}", account.name()))?;
    let name = format!("ironledger-{what}-{}", std::process::id());
    let folder = unused(parent, &name)?;
    account.own(&folder)?;
    Ok(folder)
}

/// Makes the folder, under another name if a killed process of our number left one behind.
fn unused(parent: &Path, name: &str) -> Result<PathBuf> {
    for attempt in 0..100 {
        let folder = match attempt {
            0 => parent.join(name),
            _ => parent.join(format!("{name}-{attempt}")),
        };
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.with_context(|| format!("{} cannot be made", folder.display()))?;
                return Ok(folder);
            }
        }
    }
    bail!("{} is full of folders {name}-…", parent.display())
}

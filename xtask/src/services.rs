//! The servers that tests and development need: Postgres, Kafka and Redis, private, all at once.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use servers::{Account, Kafka, Postgres, Redis, Settings};

use crate::{cargo::Exit, install::install};

/// The command that no list tells of; see [`Session`].
pub(crate) const WATCH: &str = "watch";

/// One of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Postgres,
    Kafka,
    Redis,
}

impl Service {
    pub(crate) const ALL: [Self; 3] = [Self::Postgres, Self::Kafka, Self::Redis];

    /// The variable by which programs are told of it.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "DATABASE_URL",
            Self::Kafka => "KAFKA_BROKERS",
            Self::Redis => "REDIS_URL",
        }
    }

    /// Starts the server of a folder, and gives its address.
    fn start(self, folder: &Path, settings: Settings) -> Result<String> {
        let address = match self {
            Self::Postgres => Postgres::start(folder, settings).map(|it| url(&it)),
            Self::Kafka => Kafka::start(folder, settings).map(|it| it.brokers()),
            Self::Redis => Redis::start(folder).map(|it| it.url()),
        };
        address.with_context(|| format!("{self:?} does not run"))
    }

    /// The address and the process of the server of a folder, if it runs.
    fn find(self, folder: &Path) -> Option<(String, u32)> {
        match self {
            Self::Postgres => Postgres::find(folder).and_then(|it| Some((url(&it), it.id()?))),
            Self::Kafka => Kafka::find(folder).map(|it| (it.brokers(), it.id())),
            Self::Redis => Redis::find(folder).map(|it| (it.url(), it.id())),
        }
    }

    /// Stops the server of a folder, if it runs.
    fn stop(self, folder: &Path) -> Result<()> {
        let stopped = match self {
            Self::Postgres => Postgres::find(folder).map_or(Ok(()), |it| it.stop()),
            Self::Kafka => Kafka::find(folder).map_or(Ok(()), |it| it.stop()),
            Self::Redis => Redis::find(folder).map_or(Ok(()), |it| it.stop()),
        };
        stopped.with_context(|| format!("{self:?} goes on"))
    }
}

fn url(postgres: &Postgres) -> String {
    postgres.url("postgres", "postgres")
}

/// Servers for the length of one command: those that the environment names, and private ones in
/// place of the others, which live as long as this value or this process.
pub(crate) struct Session {
    addresses: Vec<(Service, String)>,
    _private: Option<Private>,
}

/// The folder of private servers, and the process that cleans up after us: this program, waiting
/// for the end of our side of a pipe, which comes however we end, be it by `kill -9`.
///
/// Ctrl-C ends us and what we run at once, for they are in our process group. The watcher is in
/// one of its own and outlives us by the moment that it needs.
struct Private {
    folder: PathBuf,
    watcher: Child,
}

impl Session {
    /// Starts the servers that `what` needs, as far as they are not given.
    pub(crate) fn start(what: &str, services: &[Service], settings: Settings) -> Result<Self> {
        let mut addresses = Vec::new();
        let mut wanted = Vec::new();
        for service in services {
            match env::var(service.variable()).ok().filter(|address| !address.is_empty()) {
                Some(address) => addresses.push((*service, address)),
                None => wanted.push(*service),
            }
        }
        if wanted.is_empty() {
            return Ok(Self { addresses, _private: None });
        }
        install(&wanted)?;
        let folder = make_folder(what, settings)?;
        // First the one who cleans up, then what is to be cleaned up.
        let watcher = Command::new(env::current_exe()?)
            .arg(WATCH)
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .context("xtask cannot be run")?;
        let private = Private { folder, watcher };
        addresses.extend(start(&wanted, &private.folder, settings)?);
        Ok(Self { addresses, _private: Some(private) })
    }

    /// The variables that tell a program of the servers.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.addresses.iter().map(|(service, address)| (service.variable(), address.as_str()))
    }

    /// The address of the server.
    pub(crate) fn address(&self, service: Service) -> Option<&str> {
        let found = self.addresses.iter().find(|(known, _)| *known == service);
        found.map(|(_, address)| address.as_str())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        self.watcher.wait().ok();
        if self.folder.exists() {
            eprintln!("xtask: {} is left over", self.folder.display());
        }
    }
}

/// What the watcher does: waits for the end of its input, then stops the servers of the folder
/// and removes it.
pub(crate) fn watch(arguments: &[String]) -> Result<()> {
    let [folder] = arguments else { bail!("{WATCH} takes a folder") };
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let folder = Path::new(folder);
    stop(folder)?;
    Ok(fs::remove_dir_all(folder)?)
}

/// Starts servers of a folder, all at once.
fn start(
    services: &[Service],
    folder: &Path,
    settings: Settings,
) -> Result<Vec<(Service, String)>> {
    each(services, |service| Ok((service, service.start(folder, settings)?)))
}

/// Stops all servers of a folder, all at once.
fn stop(folder: &Path) -> Result<()> {
    each(&Service::ALL, |service| service.stop(folder)).map(drop)
}

/// Does the same with several servers at the same time; all errors make one.
fn each<T: Send>(
    services: &[Service],
    act: impl Fn(Service) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let outcomes: Vec<Result<T>> = thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> =
            services.iter().map(|service| scope.spawn(move || act(*service))).collect();
        let panicked = |_| Err(anyhow!("a thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(value) => done.push(value),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(done)
}

/// A new folder below one that every server's account can enter.
fn make_folder(what: &str, settings: Settings) -> Result<PathBuf> {
    let account = Account::unprivileged()?;
    // Durability is only worth measuring on a disk, and /tmp may be memory.
    let lasting = settings != Settings::Fleeting && env::var_os("TMPDIR").is_none();
    let first = if lasting { "/var/tmp".into() } else { env::temp_dir() };
    let parents = [first, env::temp_dir(), "/tmp".into()];
    let parent = parents
        .iter()
        .find(|parent| account.can_enter(parent))
        .with_context(|| format!("no temporary folder can be entered by {}", account.name()))?;
    let name = format!("ironledger-{what}-{}", std::process::id());
    for attempt in 0..100 {
        // A killed process of our number may have left one behind.
        let folder = match attempt {
            0 => parent.join(&name),
            _ => parent.join(format!("{name}-{attempt}")),
        };
        if make_private(&folder, &account)? {
            return Ok(folder);
        }
    }
    bail!("{} is full of folders {name}-…", parent.display())
}

/// Makes a folder for the account alone; says whether it was not there yet.
fn make_private(folder: &Path, account: &Account) -> Result<bool> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        made => made.with_context(|| format!("{} cannot be made", folder.display()))?,
    }
    account.own(folder)?;
    Ok(true)
}

/// `cargo xtask services start|stop|status`.
pub(crate) fn services(arguments: &[String]) -> Result<()> {
    const USAGE: &str = "cargo xtask services start|stop|status [--folder DIR]";
    let (action, place) = match arguments {
        [action] => (action, Place::usual()?),
        [action, flag, folder] if flag == "--folder" => (action, Place::given(folder)?),
        _ => bail!(USAGE),
    };
    match action.as_str() {
        "start" => place.start(),
        "stop" => place.stop(),
        "status" => place.status(),
        _ => bail!(USAGE),
    }
}

/// Where the servers of `cargo xtask services` have their folder.
struct Place {
    folder: PathBuf,
    /// It is ours to make and to remove.
    temporary: bool,
}

impl Place {
    /// The same folder for every call of a user.
    fn usual() -> Result<Self> {
        let account = Account::unprivileged()?;
        let temporary = env::temp_dir();
        let parent = if account.can_enter(&temporary) { temporary } else { "/tmp".into() };
        let folder = parent.join(format!("ironledger-services-{}", Account::user()?));
        Ok(Self { folder, temporary: true })
    }

    fn given(folder: &str) -> Result<Self> {
        Ok(Self { folder: std::path::absolute(folder)?, temporary: false })
    }

    /// Starts what does not run yet and prints how a shell tells its programs. That alone is on
    /// the standard output, which a shell is to execute.
    fn start(&self) -> Result<()> {
        install(&Service::ALL)?;
        if self.temporary {
            let account = Account::unprivileged()?;
            make_private(&self.folder, &account)?;
            self.check_owner()?;
        } else {
            fs::create_dir_all(&self.folder)
                .with_context(|| format!("{} cannot be made", self.folder.display()))?;
        }
        let _lock = self.lock()?;
        let addresses = each(&Service::ALL, |service| match service.find(&self.folder) {
            Some((address, _)) => Ok((service, address)),
            None => Ok((service, service.start(&self.folder, Settings::Fleeting)?)),
        })
        .context("`cargo xtask services stop` ends what runs nevertheless")?;
        eprintln!("the servers of {} run", self.folder.display());
        for (service, address) in addresses {
            println!("{}", export(service.variable(), &address));
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        self.check_owner()?;
        let _lock = self.lock()?;
        stop(&self.folder)?;
        if self.temporary {
            fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    fn status(&self) -> Result<()> {
        let mut all = true;
        for service in Service::ALL {
            match service.find(&self.folder) {
                Some((address, process)) => {
                    println!("{service:?}: running at {address}, process {process}");
                }
                None => {
                    println!("{service:?}: not running");
                    all = false;
                }
            }
        }
        if all { Ok(()) } else { Err(Exit(1).into()) }
    }

    /// Everybody may make a folder of that name under the temporary one.
    fn check_owner(&self) -> Result<()> {
        let ours = !self.temporary
            || Account::unprivileged()?.owns(&self.folder)?
            || Account::current().owns(&self.folder)?;
        ensure!(ours, "{} belongs to somebody else", self.folder.display());
        Ok(())
    }

    /// Two calls at once take turns.
    fn lock(&self) -> Result<File> {
        let file = File::create(self.folder.join("lock"))
            .with_context(|| format!("{} cannot be written to", self.folder.display()))?;
        file.lock()?;
        Ok(file)
    }
}

/// A line that a shell understands, whatever the address holds.
fn export(variable: &str, address: &str) -> String {
    format!("export {variable}='{}'", address.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_is_exported() {
        let address = "postgres://me@localhost/a?host=%2Ftmp%2Fit's&x=$HOME `id`\\";
        let script = format!("{}; printf %s \"$DATABASE_URL\"", export("DATABASE_URL", address));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), address);
    }
}

//! A private Apache Kafka, one broker that is its own controller: formatted, started, stopped.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    Account, NotInstalled, Settings,
    ports::{self, with_ports},
    process::{self, Process, last_lines},
    programs::folder_on_path,
};

/// Oldest Java that the broker runs on.
const OLDEST_JAVA: u32 = 17;

/// A full disk's logs are read again after a crash.
const STARTING: Duration = Duration::from_secs(120);

const STOPPING: Duration = Duration::from_secs(20);

/// Warnings and worse go to the output, which is the log file.
const LOGGING: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
";

/// A running private Kafka on loopback ports.
///
/// It goes on when this value is dropped; [`Kafka::stop`] stops it.
#[derive(Debug)]
pub struct Kafka {
    folder: PathBuf,
    process: Process,
    port: u16,
    cluster: String,
}

impl Kafka {
    /// The version of the jars.
    pub const VERSION: &str = "4.3.0";

    /// The folder where the official jars belong, there or not; Maven puts them there for
    /// `cargo xtask`.
    pub fn cache() -> PathBuf {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|it| it.is_absolute());
        let cache = cache.unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".cache"));
        cache.join("ironledger").join(format!("kafka-{}", Self::VERSION))
    }

    /// The folder of the jars, which is either whole or not there.
    pub fn jars() -> Result<PathBuf, NotInstalled> {
        let folder = Self::cache();
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(NotInstalled {
            what: "Kafka",
            remedy: "`cargo xtask services start` fetches its jars by Maven",
        })
    }

    /// The Java to run it by: that of `JAVA_HOME`, that on the PATH, or one that the system's
    /// packages installed.
    pub fn java() -> Result<PathBuf, NotInstalled> {
        let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
        let packaged = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
        home.into_iter()
            .chain(folder_on_path(&["java"]))
            .chain(packaged.map(|entry| entry.path().join("bin")))
            .map(|folder| folder.join("java"))
            .find(|java| java_version(java).is_some_and(|version| version >= OLDEST_JAVA))
            .ok_or(NotInstalled {
                what: "Java 17 or newer",
                remedy: "`apt-get install default-jre-headless` (Debian, Ubuntu) or put java on \
                         the PATH",
            })
    }

    /// Starts the server of a folder, which is made and formatted if need be, at the same address
    /// every time. A server of that folder that a killed process left behind is stopped first; one
    /// that died recovers.
    ///
    /// It runs as the current user, for Kafka does not refuse root and the jars may lie in root's
    /// home. Blocks until the broker has joined its cluster and says so.
    pub fn start(folder: &Path, settings: Settings) -> Result<Self> {
        let programs = Programs { java: Self::java()?, jars: Self::jars()? };
        let account = Account::current();
        let folder = account.enter(folder)?.join("kafka");
        account.make_private(&folder)?;
        if let Some(left) = Process::find(&account, &folder) {
            left.stop(STOPPING)?;
        }
        fs::write(folder.join("log4j2.properties"), LOGGING)?;
        with_ports(&folder, |ports: [u16; 2]| {
            let data = folder.join("data");
            if !data.exists() {
                format(&programs, &folder, ports)?;
            }
            let cluster = cluster(&folder).context("the data folder names no cluster")?;
            let properties = write_properties(&folder, &data, ports)?;
            let broker = ports::address(ports[0]);
            let process = Process::start(
                &account,
                &folder,
                &programs.java,
                &programs.broker(&folder, &properties, settings),
                STARTING,
                |_| answers(broker, &cluster).unwrap_or(false),
            )?;
            Ok(Self { folder: folder.clone(), process, port: ports[0], cluster })
        })
    }

    /// The server of a folder, if it runs.
    pub fn find(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?.join("kafka");
        let process = Process::find(&Account::current(), &folder)?;
        let [port, _] = ports::kept(&folder)?;
        let cluster = cluster(&folder)?;
        Some(Self { folder, process, port, cluster })
    }

    /// The address for clients, the same for as long as the folder is there.
    pub fn brokers(&self) -> String {
        ports::address(self.port).to_string()
    }

    /// The id of the cluster: another one after a [`Kafka::wipe`].
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends the process a signal, such as `KILL`, `STOP` or `CONT`: for tests that break it.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// Stops the server; what was written stays.
    pub fn stop(&self) -> Result<()> {
        self.process.stop(STOPPING)
    }

    /// Kills the server and removes its data: the next start makes a new cluster at the same
    /// address.
    pub fn wipe(&self) -> Result<()> {
        self.process.stop(Duration::ZERO)?;
        Ok(fs::remove_dir_all(self.folder.join("data"))?)
    }

    /// The log file of the server of a folder.
    pub fn log(folder: &Path) -> PathBuf {
        process::log(&folder.join("kafka"))
    }
}

struct Programs {
    java: PathBuf,
    jars: PathBuf,
}

impl Programs {
    /// What java is told to run the broker.
    fn broker(&self, folder: &Path, properties: &Path, settings: Settings) -> Vec<OsString> {
        let speed: &[&str] = match settings {
            Settings::Durable | Settings::Dedicated => &["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
            // Two seconds until it answers are worth more than speed that it never reaches.
            Settings::Fleeting => &["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
        };
        let mut arguments: Vec<OsString> =
            vec!["-Xms128m".into(), "-Xmx512m".into(), "-Djava.awt.headless=true".into()];
        arguments.extend(speed.iter().map(Into::into));
        arguments.extend([self.logging(folder), "-cp".into(), self.class_path()]);
        // A killed JVM leaves the native libraries that it has unpacked; here they go with the folder.
        let mut unpacked = OsString::from("-Djava.io.tmpdir=");
        unpacked.push(folder);
        arguments.insert(0, unpacked);
        arguments.extend(["kafka.Kafka".into(), properties.into()]);
        arguments
    }

    fn class_path(&self) -> OsString {
        self.jars.join("*").into()
    }

    fn logging(&self, folder: &Path) -> OsString {
        let mut option = OsString::from("-Dlog4j2.configurationFile=");
        option.push(folder.join("log4j2.properties"));
        option
    }
}

/// Makes the data folder beside its place and moves it there whole: one that was cut off in the
/// making would look like one that is there.
fn format(programs: &Programs, folder: &Path, ports: [u16; 2]) -> Result<()> {
    let partial = folder.join("data.new");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    // As Kafka writes its ids: 22 characters of base64, of which the last has two bits.
    let cluster = format!("{:016x}{:05x}A", ports::random(), ports::random() & 0xf_ffff);
    let output = Command::new(&programs.java)
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(programs.logging(folder))
        .arg("-cp")
        .arg(programs.class_path())
        .args(["kafka.tools.StorageTool", "format", "-t", &cluster, "-c"])
        .arg(write_properties(folder, &partial, ports)?)
        .stdin(Stdio::null())
        .output()
        .context("java cannot be run")?;
    if !output.status.success() {
        let log = process::log(folder);
        fs::write(&log, [output.stdout, output.stderr].concat())?;
        bail!("Kafka's storage could not be formatted:\n{}", last_lines(&log));
    }
    Ok(fs::rename(&partial, folder.join("data"))?)
}

fn write_properties(folder: &Path, data: &Path, [broker, controller]: [u16; 2]) -> Result<PathBuf> {
    let file = folder.join("server.properties");
    let data = data.to_str().context("the folder's name is not UTF-8")?.replace('\\', "\\\\");
    let text = format!(
        "process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A killed broker is taken back when its last session is over. One that only had no turn for seconds, as
# beside builds and tests on few cores, is not to lose its session by that.
broker.heartbeat.interval.ms=250
broker.session.timeout.ms=6000
# One consumer more is noticed at once, one less within a second if it asks for that.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
# What is past its time goes soon.
log.initial.task.delay.ms=1000
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"
    );
    fs::write(&file, text)?;
    Ok(file)
}

/// The id of the cluster that the data folder was formatted for.
fn cluster(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("data/meta.properties")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("cluster.id=")).map(str::to_owned)
}

/// Whether the broker on this address belongs to the cluster and is in service. It takes
/// connections earlier, and the port may have become another's.
fn answers(broker: SocketAddr, cluster: &str) -> io::Result<bool> {
    /// 13 bytes: DescribeCluster (60), version 0, correlation 1, no client, no tags; no rights
    /// asked for, no tags.
    const REQUEST: [u8; 17] = [0, 0, 0, 13, 0, 60, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0];

    let wait = Duration::from_secs(1);
    let mut connection = TcpStream::connect_timeout(&broker, wait)?;
    connection.set_read_timeout(Some(wait))?;
    connection.write_all(&REQUEST)?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut answer = Vec::new();
    connection.take(u32::from_be_bytes(length).min(100_000).into()).read_to_end(&mut answer)?;
    let holds = |bytes: &[u8]| answer.windows(bytes.len()).any(|window| window == bytes);
    // It lists the brokers that are in service, with their addresses.
    let host = broker.ip().to_string();
    let listed = [host.as_bytes(), &i32::from(broker.port()).to_be_bytes()].concat();
    Ok(holds(cluster.as_bytes()) && holds(&listed))
}

/// The major version that a Java says it has.
fn java_version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let version = text.split_once("version \"")?.1;
    version.split(['.', '-', '"']).next()?.parse().ok()
}

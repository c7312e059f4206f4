//! Do the real servers start, come back and end as promised?

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one without servers says so"
)]

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use servers::{Kafka, NotInstalled, Postgres, Redis, Settings};

/// A folder that is gone afterwards, with whatever runs in it.
struct Folder(PathBuf);

impl Folder {
    /// Below one that every account can enter.
    fn new(name: &str) -> Self {
        let folder = Path::new("/tmp").join(format!("ironledger-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        Kafka::find(&self.0).map(|kafka| kafka.stop());
        Redis::find(&self.0).map(|redis| redis.stop());
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Where a server was given by hand, its programs need not be here, and there is nothing to test.
fn installed<T>(found: Result<T, NotInstalled>, variable: &str) -> bool {
    match found {
        Ok(_) => true,
        Err(missing) if env::var_os(variable).is_some() => {
            eprintln!("not tested: {missing}");
            false
        }
        Err(missing) => panic!("{missing}; use `cargo xtask test`"),
    }
}

#[test]
fn a_killed_kafka_comes_back_and_a_wiped_one_begins_anew_at_the_same_address() {
    if !installed(Kafka::java(), "KAFKA_BROKERS") || !installed(Kafka::jars(), "KAFKA_BROKERS") {
        return;
    }
    let folder = Folder::new("kafka");
    let start = || Kafka::start(&folder.0, Settings::Fleeting).unwrap();

    let first = start();
    TcpStream::connect(first.brokers()).unwrap();
    assert_eq!(Kafka::find(&folder.0).unwrap().id(), first.id());
    first.signal("KILL").unwrap();

    let second = start();
    assert_ne!(second.id(), first.id());
    assert_eq!(second.brokers(), first.brokers());
    assert_eq!(second.cluster(), first.cluster());
    second.signal("STOP").unwrap();
    second.wipe().unwrap();
    assert!(Kafka::find(&folder.0).is_none());

    let third = start();
    assert_eq!(third.brokers(), first.brokers());
    assert_ne!(third.cluster(), first.cluster());
    third.stop().unwrap();
    TcpStream::connect(third.brokers()).unwrap_err();
}

#[test]
fn redis_answers_at_the_same_address_after_it_was_killed() {
    if !installed(Redis::program(), "REDIS_URL") {
        return;
    }
    let folder = Folder::new("redis");
    let first = Redis::start(&folder.0).unwrap();
    assert_eq!(ping(&first.url()).unwrap(), "+PONG\r\n");
    first.signal("KILL").unwrap();

    let second = Redis::start(&folder.0).unwrap();
    assert_ne!(second.id(), first.id());
    assert_eq!(second.url(), first.url());
    assert_eq!(ping(&second.url()).unwrap(), "+PONG\r\n");

    // What a killed process of ours left running is taken over.
    let third = Redis::start(&folder.0).unwrap();
    assert_ne!(third.id(), second.id());
    third.stop().unwrap();
    assert!(Redis::find(&folder.0).is_none());
    ping(&third.url()).unwrap_err();
}

#[test]
fn a_process_that_a_stale_file_names_is_let_alone() {
    let folder = Folder::new("stale");
    let mut foreign = Foreign(Command::new("sleep").arg("600").spawn().unwrap());
    for (file, text) in [("kafka/pid", ""), ("redis/pid", ""), ("postgres/postmaster.pid", "/x")] {
        let file = folder.0.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{}\n{text}\n", foreign.0.id())).unwrap();
    }
    assert!(Kafka::find(&folder.0).is_none());
    assert!(Redis::find(&folder.0).is_none());
    assert!(Postgres::find(&folder.0).is_none());
    if installed(Redis::program(), "REDIS_URL") {
        Redis::start(&folder.0).unwrap().stop().unwrap();
    }
    assert!(foreign.runs());
}

/// A process that has nothing to do with any folder.
struct Foreign(Child);

impl Foreign {
    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What Redis answers to PING.
fn ping(url: &str) -> std::io::Result<String> {
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"PING\r\nQUIT\r\n")?;
    let mut answer = [0; 7];
    connection.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

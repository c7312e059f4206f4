//! What the servers need: found, or installed by the system's packages and Maven.

use std::{
    env, fs, io,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use servers::{Kafka, NotInstalled, Postgres, Redis};

use crate::{
    cargo::{self, root},
    services::Service,
};

/// The plugin that fetches the jars, with its version.
const COPY_JARS: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

const MAVEN: NotInstalled = NotInstalled {
    what: "Maven",
    remedy: "`apt-get install maven` (Debian, Ubuntu) or put mvn on the PATH",
};

const WRK: NotInstalled = NotInstalled {
    what: "wrk",
    remedy: "`apt-get install wrk` (Debian, Ubuntu), or put wrk 4 on the PATH",
};

/// Makes sure that there is a load generator.
pub(crate) fn wrk() -> Result<()> {
    if !on_path("wrk") {
        apt(&[(WRK, "wrk")])?;
        ensure!(on_path("wrk"), "{WRK}");
    }
    Ok(())
}

/// Makes sure that these servers can be started.
pub(crate) fn install(services: &[Service]) -> Result<()> {
    let before = missing(services);
    if !before.is_empty() {
        apt(&before)?;
        // The system's packages may be too old.
        let after = sentences(&missing(services));
        ensure!(after.is_empty(), "apt-get is done, and yet: {after}");
    }
    if services.contains(&Service::Kafka) && Kafka::jars().is_err() {
        fetch_jars()?;
    }
    Ok(())
}

/// What is missing, each with its package.
fn missing(services: &[Service]) -> Vec<(NotInstalled, &'static str)> {
    let mut missing = Vec::new();
    let mut need = |found: Option<NotInstalled>, package| {
        missing.extend(found.map(|what| (what, package)));
    };
    for service in services {
        match service {
            Service::Postgres => need(Postgres::programs().err(), "postgresql"),
            Service::Redis => need(Redis::program().err(), "redis-server"),
            Service::Kafka => {
                need(Kafka::java().err(), "default-jre-headless");
                if Kafka::jars().is_err() && !on_path("mvn") {
                    need(Some(MAVEN), "maven");
                }
            }
        }
    }
    missing
}

fn sentences(missing: &[(NotInstalled, &str)]) -> String {
    missing.iter().map(|(what, _)| what.to_string()).collect::<Vec<_>>().join("; ")
}

/// Installs everything in one go. The output goes where it is in nobody's way.
pub(crate) fn apt(missing: &[(NotInstalled, &str)]) -> Result<()> {
    let sentences = sentences(missing);
    ensure!(on_path("apt-get"), "{sentences}");
    let root = is_root()?;
    ensure!(root || on_path("sudo"), "{sentences}; it takes root, and there is no sudo");
    let names: Vec<&str> = missing.iter().map(|(what, _)| what.what).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let list = packages.join(" ");
    eprintln!("{} missing: installing {list} by apt-get", names.join(", "));
    let run = |arguments: &[&str], packages: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        // A fresh machine may be busy with its own updates.
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments).args(packages);
        command.stdout(io::stderr());
        cargo::run(command)
    };
    if run(&["update"], &[]).is_err() {
        eprintln!("xtask: `apt-get update` failed; trying with the lists that are there");
    }
    if run(&["install", "-y", "--no-install-recommends"], &packages).is_err() {
        bail!("not all of {list} could be installed, see above");
    }
    Ok(())
}

/// Puts Kafka's jars into the cache. They are fetched beside it and moved there whole, so that of
/// two runs at once neither sees a part of the other's.
fn fetch_jars() -> Result<()> {
    ensure!(on_path("mvn"), "{MAVEN}");
    let folder = Kafka::cache();
    let unique = format!("kafka-{}.new-{}", Kafka::VERSION, std::process::id());
    let partial = folder.with_file_name(unique);
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)
        .with_context(|| format!("{} cannot be made", partial.display()))?;
    eprintln!("fetching Kafka {} by Maven into {}", Kafka::VERSION, folder.display());
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", COPY_JARS, "-DincludeScope=runtime", "-f"]);
    maven.arg(root()?.join("xtask/kafka/pom.xml"));
    maven.arg(format!("-DoutputDirectory={}", partial.display()));
    let output = maven.stdin(Stdio::null()).output().context("mvn cannot be run")?;
    if !output.status.success() {
        fs::remove_dir_all(&partial)?;
        let said = String::from_utf8_lossy(&output.stdout);
        bail!("Kafka {} could not be fetched by Maven:\n{}", Kafka::VERSION, said.trim());
    }
    match fs::rename(&partial, &folder) {
        // Another was faster.
        Err(_) if folder.is_dir() => Ok(fs::remove_dir_all(&partial)?),
        moved => moved.with_context(|| format!("{} cannot be made", folder.display())),
    }
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("id cannot be run")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_the_version_that_is_started() {
        let pom = include_str!("../kafka/pom.xml");
        let version = format!("<version>{}</version>", Kafka::VERSION);
        let kafka = pom.split_once("<artifactId>kafka_2.13</artifactId>").unwrap().1;
        assert!(kafka.trim_start().starts_with(&version));
    }
}

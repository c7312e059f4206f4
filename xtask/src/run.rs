//! Runs the product, its tests and its measurements.

use std::{fs, os::unix::process::CommandExt, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use servers::Settings;

use crate::{
    cargo::{self, cargo},
    postgres::{self, Server},
};

/// The programs of `benches` that have a command of their own.
const OTHERS: [&str; 2] = ["real_data", "sample"];

/// `cargo xtask up`: becomes `ironledger up --demo`.
pub(crate) fn up(arguments: &[String]) -> Result<()> {
    postgres::install()?;
    cargo::run(cargo(&["build", "--release", "-p", "ironledger"]))?;
    let program = cargo::target()?.join("release/ironledger");
    let error = Command::new(&program).args(["up", "--demo"]).args(arguments).exec();
    Err(error).with_context(|| format!("{} cannot be run", program.display()))
}

/// `cargo xtask test`: everything, or what the arguments choose as `cargo test` does.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let nextest = has_nextest();
    let tool: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
    // Beside `--workspace`, cargo would not heed `-p`.
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    let chosen = options.any(|argument| {
        ["-p", "--package", "--workspace"].iter().any(|option| argument.starts_with(option))
    });
    let all: &[&str] = if chosen { &[] } else { &["--workspace"] };

    let began = Instant::now();
    cargo::run(cargo(&["build", "-p", "ironledger"]))?;
    let mut build = cargo(tool);
    build.args(all).arg("--no-run").args(arguments);
    cargo::run(build)?;
    let build = began.elapsed();

    let server = Server::start("test", Settings::Fleeting)?;
    let began = Instant::now();
    let mut tests = cargo(tool);
    tests.args(all).args(arguments).env("DATABASE_URL", &server.url);
    let mut outcome = cargo::run(tests);
    if nextest && arguments.is_empty() && outcome.is_ok() {
        // Which nextest leaves out.
        let mut examples = cargo(&["test", "--workspace", "--doc"]);
        examples.env("DATABASE_URL", &server.url);
        outcome = cargo::run(examples);
    }
    let tests = began.elapsed();
    drop(server);
    println!(
        "test: build_s={:.1} tests_s={:.1} passed={}",
        build.as_secs_f64(),
        tests.as_secs_f64(),
        outcome.is_ok()
    );
    outcome
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// `cargo xtask bench NAME`.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    measure("bench", "", arguments)
}

/// `cargo xtask faults NAME`.
pub(crate) fn faults(arguments: &[String]) -> Result<()> {
    measure("faults", "faults_", arguments)
}

fn measure(what: &str, prefix: &str, arguments: &[String]) -> Result<()> {
    let known = programs(prefix)?;
    let list = known.join(", ");
    let Some((name, arguments)) = arguments.split_first() else {
        bail!("cargo xtask {what} NAME, where NAME is one of: {list}");
    };
    ensure!(known.contains(name), "there is no {what} {name}, only: {list}");
    let program = format!("{prefix}{name}");
    on_server(what, Settings::Durable, &["--release"], &program, arguments)
}

/// `cargo xtask real-data DIR`.
pub(crate) fn real_data(arguments: &[String]) -> Result<()> {
    let [folder] = arguments else {
        bail!("cargo xtask real-data DIR, where DIR holds the real exports");
    };
    ensure!(Path::new(folder).is_dir(), "{folder} is no folder");
    // It runs the product, which it finds beside itself.
    cargo::run(cargo(&["build", "-p", "ironledger"]))?;
    on_server("real-data", Settings::Fleeting, &[], "real_data", arguments)
}

/// Runs a program of `benches` on a server. It is built first, for all to see.
fn on_server(
    what: &str,
    settings: Settings,
    profile: &[&str],
    program: &str,
    arguments: &[String],
) -> Result<()> {
    let package = ["-p", "ironledger-benches", "--bin", program];
    let mut build = cargo(&["build"]);
    build.args(profile).args(package);
    cargo::run(build)?;
    let server = Server::start(what, settings)?;
    let mut run = cargo(&["run", "--quiet"]);
    run.args(profile).args(package).arg("--").args(arguments).env("DATABASE_URL", &server.url);
    cargo::run(run)
}

/// The programs of `benches` whose name begins so, without that beginning.
fn programs(prefix: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(cargo::root()?.join("benches/src/bin"))? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let ours = !OTHERS.contains(&name) && name.starts_with("faults_") != prefix.is_empty();
        if let (true, Some(name)) = (ours, name.strip_prefix(prefix)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

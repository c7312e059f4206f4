//! Runs the product, its tests and its measurements.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use servers::Settings;

use crate::{
    cargo::{self, cargo},
    generated,
    install::{self, install},
    python,
    services::{
        Service::{self, Kafka, Postgres, Redis},
        Session,
    },
};

/// A program of `benches` that runs on servers.
struct Program {
    /// The command with its `NAME`.
    call: &'static str,
    /// Its file in `benches/src/bin`.
    file: &'static str,
    /// The servers that it is given.
    given: &'static [Service],
    /// The servers that it starts itself, in order to break them.
    own: &'static [Service],
    /// Whether it runs the product, which it finds beside itself.
    product: bool,
    /// Whether it has a load generator to send its requests.
    wrk: bool,
}

#[rustfmt::skip]
const PROGRAMS: &[Program] = &[
    Program { call: "bench append", file: "append", given: &[Postgres], own: &[], product: false, wrk: false },
    Program { call: "bench auth", file: "auth", given: &[Postgres, Redis], own: &[], product: true, wrk: false },
    Program { call: "bench beside", file: "beside", given: &[Postgres], own: &[], product: true, wrk: false },
    Program { call: "bench feed", file: "feed", given: &[Postgres], own: &[], product: true, wrk: false },
    Program { call: "bench http", file: "http", given: &[Postgres, Kafka, Redis], own: &[], product: true, wrk: true },
    Program { call: "bench log-size", file: "log_size", given: &[Postgres], own: &[], product: false, wrk: false },
    Program { call: "bench leaderboard", file: "leaderboard", given: &[Postgres, Redis], own: &[], product: true, wrk: false },
    Program { call: "bench live", file: "live", given: &[Postgres, Redis], own: &[], product: true, wrk: false },
    Program { call: "bench records", file: "records", given: &[Postgres], own: &[], product: false, wrk: false },
    Program { call: "bench relay", file: "relay", given: &[Postgres, Kafka], own: &[], product: true, wrk: false },
    Program { call: "bench replay", file: "replay", given: &[Postgres], own: &[], product: false, wrk: false },
    Program { call: "bench scale", file: "scale", given: &[Postgres], own: &[], product: true, wrk: false },
    Program { call: "bench search", file: "search", given: &[Postgres], own: &[], product: false, wrk: false },
    Program { call: "bench strength", file: "strength", given: &[Postgres], own: &[], product: true, wrk: false },
    Program { call: "bench visible", file: "visible", given: &[Postgres, Kafka], own: &[], product: true, wrk: false },
    Program { call: "faults fleet", file: "faults_fleet", given: &[], own: &[Postgres, Kafka], product: true, wrk: false },
    Program { call: "faults log", file: "faults_log", given: &[Postgres], own: &[], product: false, wrk: false },
    Program { call: "faults replay", file: "faults_replay", given: &[], own: &[Postgres], product: true, wrk: false },
    Program { call: "fuzz-api", file: "fuzz_api", given: &[Postgres, Redis], own: &[], product: true, wrk: false },
    Program { call: "model boards", file: "model_boards", given: &[Postgres], own: &[Redis], product: false, wrk: false },
    Program { call: "model social", file: "model_social", given: &[Postgres], own: &[], product: true, wrk: false },
    Program { call: "oracle", file: "oracle", given: &[Postgres], own: &[], product: true, wrk: false },
    Program { call: "real-data", file: "real_data", given: &[Postgres], own: &[], product: true, wrk: false },
];

/// `cargo xtask up`: becomes `ironledger up --demo`.
pub(crate) fn up(arguments: &[String]) -> Result<()> {
    install(&[Postgres])?;
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

    let mut pythons = Vec::new();
    for packages in [python::ANALYTICS, python::CLIENT] {
        pythons.push((packages.variable, python::python(&packages)?));
    }
    let servers = Session::start("test", &Service::ALL, Settings::Fleeting)?;
    let began = Instant::now();
    let mut tests = cargo(tool);
    tests.args(all).args(arguments).envs(servers.variables()).envs(pythons);
    let mut outcome = cargo::run(tests);
    if nextest && arguments.is_empty() && outcome.is_ok() {
        // Which nextest leaves out.
        let mut examples = cargo(&["test", "--workspace", "--doc"]);
        examples.envs(servers.variables());
        outcome = cargo::run(examples);
    }
    let tests = began.elapsed();
    drop(servers);
    println!(
        "test: build_s={:.1} tests_s={:.1} passed={}",
        build.as_secs_f64(),
        tests.as_secs_f64(),
        outcome.is_ok()
    );
    outcome
}

/// `cargo xtask examples`: what a test compares with, written down anew, and the document with it.
pub(crate) fn examples(_: &[String]) -> Result<()> {
    let python = python::python(&python::CLIENT)?;
    let servers = Session::start("examples", &[Postgres, Redis], Settings::Fleeting)?;
    let test = ["test", "-p", "ironledger", "--test", "document", "examples"];
    let mut record = cargo(&test);
    record.envs(servers.variables()).env(python::CLIENT.variable, python);
    record.env("RECORD_EXAMPLES", "1");
    cargo::run(record)?;
    generated::openapi(&[])
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// `cargo xtask bench NAME`.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    measure("bench", Settings::Dedicated, arguments)
}

/// `cargo xtask faults NAME`.
pub(crate) fn faults(arguments: &[String]) -> Result<()> {
    measure("faults", Settings::Durable, arguments)
}

/// `cargo xtask model NAME`.
pub(crate) fn model(arguments: &[String]) -> Result<()> {
    chosen("model", Settings::Fleeting, &[], arguments)
}

fn measure(what: &str, settings: Settings, arguments: &[String]) -> Result<()> {
    chosen(what, settings, &["--release"], arguments)
}

/// Runs the program that the first argument names.
fn chosen(what: &str, settings: Settings, profile: &[&str], arguments: &[String]) -> Result<()> {
    let known: Vec<&str> = PROGRAMS
        .iter()
        .filter_map(|program| program.call.strip_prefix(what)?.strip_prefix(' '))
        .collect();
    let list = known.join(", ");
    let Some((name, arguments)) = arguments.split_first() else {
        bail!("cargo xtask {what} NAME, where NAME is one of: {list}");
    };
    ensure!(known.contains(&name.as_str()), "there is no {what} {name}, only: {list}");
    on_servers(&format!("{what} {name}"), settings, profile, arguments, &[])
}

/// `cargo xtask real-data DIR`.
pub(crate) fn real_data(arguments: &[String]) -> Result<()> {
    let [folder] = arguments else {
        bail!("cargo xtask real-data DIR, where DIR holds the real exports");
    };
    ensure!(Path::new(folder).is_dir(), "{folder} is no folder");
    on_servers("real-data", Settings::Fleeting, &[], arguments, &[])
}

/// `cargo xtask oracle`.
pub(crate) fn oracle(arguments: &[String]) -> Result<()> {
    on_servers("oracle", Settings::Fleeting, &[], arguments, &[])
}

/// `cargo xtask fuzz-api`.
pub(crate) fn fuzz_api(arguments: &[String]) -> Result<()> {
    let python = python::python(&python::FUZZ)?;
    let told = [(python::FUZZ.variable, python)];
    on_servers("fuzz-api", Settings::Fleeting, &[], arguments, &told)
}

/// Runs a program of `benches` on its servers. It is built first, for all to see.
fn on_servers(
    call: &str,
    settings: Settings,
    profile: &[&str],
    arguments: &[String],
    told: &[(&str, PathBuf)],
) -> Result<()> {
    let program = PROGRAMS.iter().find(|program| program.call == call);
    let program = program.with_context(|| format!("{call} is not in the table"))?;
    let build = |package: &[&str]| {
        let mut build = cargo(&["build"]);
        build.args(profile).args(package);
        cargo::run(build)
    };
    if program.product {
        build(&["-p", "ironledger"])?;
    }
    let package = ["-p", "ironledger-benches", "--bin", program.file];
    build(&package)?;
    install(program.own)?;
    if program.wrk {
        install::wrk()?;
    }
    let servers = Session::start(&call.replace(' ', "-"), program.given, settings)?;
    let mut run = cargo(&["run", "--quiet"]);
    run.args(profile).args(package).arg("--").args(arguments).envs(servers.variables());
    run.envs(told.iter().map(|(variable, path)| (variable, path)));
    cargo::run(run)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_program_of_benches_is_in_the_table() {
        let folder = cargo::root().unwrap().join("benches/src/bin");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut found: BTreeSet<String> =
            files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        // It needs no server and has a command that is not of this file.
        found.remove("sample");
        let known = PROGRAMS.iter().map(|program| program.file.to_owned()).collect();
        assert!(found.is_subset(&known), "{found:?}");
    }
}

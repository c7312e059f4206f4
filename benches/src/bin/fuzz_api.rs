//! Does the program do what its OpenAPI document says, whatever it is sent? Schemathesis makes requests
//! of the document, valid and invalid, for callers of every kind, and holds the answers to it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

#[path = "fuzz_api/callers.rs"]
mod callers;
#[path = "fuzz_api/report.rs"]
mod report;

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use testkit::{App, BYPASS_KEY};
use tokio::{process::Command, time::timeout};

use crate::{
    callers::{BILLING_KEY, Caller, Phases},
    report::{Report, Wanted},
};

/// Whatever a caller's requests take longer, something hangs.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// Callers whose requests are made at the same time: it takes a core for each.
const AT_ONCE: usize = 2;

/// Chains of requests for each example of an operation: they are of all operations together.
const CHAINS: u32 = 10;

/// Cases that an operation has at least, on average: with fewer, not much was asked.
const LEAST: usize = 20;

/// Of a hundred operations, so many are to have gone well for somebody: else nobody got past the door.
const TAKEN_PERCENT: usize = 75;

#[derive(Parser)]
struct Arguments {
    /// Examples of each operation, beside those that cover its schema.
    #[arg(long, default_value_t = 5)]
    examples: u32,
    /// Decides what is asked.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only where "CALLER METHOD PATH OPERATION" has this in it, such as `coach` or `POST /v1/workouts`.
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let binary = env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let fuzzer = Fuzzer {
        python: env::var_os("FUZZ_PYTHON")
            .context("FUZZ_PYTHON; use `cargo xtask fuzz-api`")?
            .into(),
        // Asked at run time, because a build folder may serve several clones.
        settings: PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("fuzz"),
        arguments,
    };
    let mails = tempfile::tempdir()?;
    let environment = [
        ("IRONLEDGER_BILLING_KEY", BILLING_KEY),
        ("IRONLEDGER_MAIL_FOLDER", mails.path().to_str().context("a plain path")?),
    ];
    let app = App::start_with(&binary, &environment).await;
    let document = app.client().get("/openapi.json").await.expect(200).body;
    let all = operations(&document);
    let is_whole = fuzzer.arguments.only.is_empty();
    let (mut cases, mut failures) = (0, 0);
    let (mut tested, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let callers = callers::all(&app).await;
    let runs = callers.iter().map(|caller| {
        let chosen = all.iter().filter(|operation| fuzzer.wants(caller, operation)).collect();
        fuzzer.run(caller, chosen)
    });
    let mut reports = stream::iter(runs).buffer_unordered(AT_ONCE);
    while let Some(report) = reports.next().await {
        let report = report?;
        cases += report.cases;
        failures += report.failures.len();
        tested.extend(report.tested);
        taken.extend(report.taken);
    }
    for error in app.errors() {
        failures += 1;
        eprintln!("the product said {error}");
    }
    for operation in all.iter().filter(|_| is_whole) {
        if !tested.contains(&operation.label) {
            failures += 1;
            eprintln!("nobody tried {}", operation.label);
        }
    }
    if is_whole && taken.len() * 100 < all.len() * TAKEN_PERCENT {
        failures += 1;
        let untaken = all.iter().map(|operation| &operation.label);
        let untaken: Vec<_> = untaken.filter(|label| !taken.contains(*label)).collect();
        eprintln!("for nobody went well: {untaken:?}");
    }
    println!("fuzz-api: cases={cases} failures={failures}");
    Ok(if failures == 0 && cases > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An operation of the document.
struct Operation {
    id: String,
    /// Its method and path.
    label: String,
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let each = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.filter_map(move |(method, operation)| {
            let id = operation["operationId"].as_str()?.to_owned();
            // A stream has no end that its client could wait for.
            if !operation["responses"]["200"]["content"]["text/event-stream"].is_null() {
                return None;
            }
            Some(Operation { id, label: format!("{} {path}", method.to_uppercase()) })
        })
    });
    each.collect()
}

struct Fuzzer {
    python: PathBuf,
    /// The folder of what schemathesis is told.
    settings: PathBuf,
    arguments: Arguments,
}

impl Fuzzer {
    fn wants(&self, caller: &Caller, operation: &Operation) -> bool {
        let Operation { id, label } = operation;
        caller.calls(id) && format!("{} {label} {id}", caller.name).contains(&self.arguments.only)
    }

    /// Sends a caller's requests. Who calls is in a folder that is gone afterwards, as are the reports, which
    /// have tokens in them.
    async fn run(&self, caller: &Caller, chosen: Vec<&Operation>) -> Result<Report> {
        if chosen.is_empty() {
            return Ok(Report::default());
        }
        let began = Instant::now();
        let folder = tempfile::tempdir()?;
        let known = folder.path().join("caller.json");
        fs::write(&known, caller.to_json().to_string())?;
        let output = folder.path().join("output");
        let file = File::create(&output)?;
        let mut command = Command::new(&self.python);
        command.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"]);
        command.arg("--config-file").arg(self.settings.join("schemathesis.toml"));
        command.arg("run").arg(format!("{}/openapi.json", caller.url));
        for (name, value) in caller.headers().await {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        command.args(["--checks", "all", "--mode", "all", "--continue-on-failure"]);
        let examples = self.arguments.examples;
        let (phases, examples) = match caller.phases {
            Phases::Alone => ("examples,coverage,fuzzing", examples),
            Phases::Chained => ("stateful", examples * CHAINS),
        };
        command.args(["--phases", phases, "--workers", "1", "--request-timeout", "40"]);
        command.args(["--max-examples", &examples.to_string()]);
        command.args(["--seed", &self.arguments.seed.to_string(), "--generation-database", "none"]);
        command.args(["--no-color", "--report", "ndjson,json", "--report-dir"]).arg(folder.path());
        for operation in &chosen {
            command.args(["--include-operation-id", &operation.id]);
        }
        command.env("SCHEMATHESIS_HOOKS", self.settings.join("hooks.py"));
        command.env("FUZZ_CALLER", &known).env("PYTHONHASHSEED", "0");
        command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let status = timeout(DEADLINE, command.spawn()?.wait()).await;
        let status = status.context("schemathesis does not end")??;
        let least = if self.arguments.only.is_empty() { LEAST * chosen.len() } else { 1 };
        let wanted = match caller.phases {
            Phases::Alone => Wanted { selected: chosen.len(), is_all_tested: true, cases: least },
            // Of few operations does another know what to do with the answer.
            Phases::Chained => Wanted { selected: chosen.len(), is_all_tested: false, cases: 1 },
        };
        let report = report::read(folder.path(), &wanted);
        // With 1 it says that there are failures, which the reports tell.
        if !matches!(status.code(), Some(0 | 1)) || report.cases == 0 {
            eprintln!("{}", end_of(&output)?);
        }
        report.show(caller.name);
        eprintln!(
            "{}: operations={} cases={} failures={} seconds={}",
            caller.name,
            chosen.len(),
            report.cases,
            report.failures.len(),
            began.elapsed().as_secs(),
        );
        Ok(report)
    }
}

/// What a program said last.
fn end_of(output: &Path) -> Result<String> {
    let text = fs::read(output)?;
    let text = String::from_utf8_lossy(&text).replace(BYPASS_KEY, "…");
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(40)..].join("\n"))
}

//! What came of a run, from the reports that it leaves: what is not in them did not go well.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Failures that are shown of a run.
const SHOWN: usize = 50;

/// What came of a run.
#[derive(Default)]
pub(crate) struct Report {
    /// Requests that were sent.
    pub(crate) cases: usize,
    /// What was not as it should be, each in words.
    pub(crate) failures: Vec<String>,
    /// The operations that were asked for, as method and path.
    pub(crate) tested: BTreeSet<String>,
    /// Those that did what they were asked for, at least once.
    pub(crate) taken: BTreeSet<String>,
}

/// What a run is to have been.
pub(crate) struct Wanted {
    /// Operations that were to be tried.
    pub(crate) selected: usize,
    /// Whether all of them must have been.
    pub(crate) is_all_tested: bool,
    /// So many cases at least.
    pub(crate) cases: usize,
}

/// Reads the reports in a folder.
pub(crate) fn read(folder: &Path, wanted: &Wanted) -> Report {
    let mut report = Report::default();
    for read in [Report::add_events, Report::add_summary] {
        if let Err(error) = read(&mut report, folder, wanted) {
            report.failures.push(format!("{error:#}"));
        }
    }
    if report.cases < wanted.cases {
        let (cases, wanted) = (report.cases, wanted.cases);
        report.failures.push(format!("there were {cases} cases, fewer than {wanted}"));
    }
    report
}

/// The one report of a kind.
fn text_of(folder: &Path, kind: &str) -> Result<String> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(&format!("{kind}-")) && name.ends_with(&format!(".{kind}")) {
            return Ok(String::from_utf8_lossy(&fs::read(&path)?).into_owned());
        }
    }
    anyhow::bail!("there is no report as {kind}")
}

impl Report {
    /// Shows what went wrong.
    pub(crate) fn show(&self, caller: &str) {
        for failure in self.failures.iter().take(SHOWN) {
            eprintln!("{caller}: {failure}");
        }
        if let Some(more @ 1..) = self.failures.len().checked_sub(SHOWN) {
            eprintln!("{caller}: and {more} more");
        }
    }

    /// Everything that happened, an event a line.
    fn add_events(&mut self, folder: &Path, _: &Wanted) -> Result<()> {
        let mut has_ended = false;
        for line in text_of(folder, "ndjson")?.lines() {
            let event: Value = serde_json::from_str(line).context("the ndjson report")?;
            for (kind, event) in event.as_object().into_iter().flatten() {
                match kind.as_str() {
                    "EngineFinished" => has_ended = true,
                    "FatalError" | "NonFatalError" | "Interrupted" => {
                        let told: String = event.to_string().chars().take(1000).collect();
                        self.failures.push(format!("{kind}: {told}"));
                    }
                    "ScenarioFinished" => self.add_scenario(&event["recorder"]),
                    _ => {}
                }
            }
        }
        // A run that was killed says nothing of failures either.
        if !has_ended {
            self.failures.push("the run did not end".to_owned());
        }
        Ok(())
    }

    fn add_scenario(&mut self, recorder: &Value) {
        let Some(interactions) = recorder["interactions"].as_object() else { return };
        for (case, interaction) in interactions {
            self.cases += 1;
            let case_of = &recorder["cases"][case]["value"];
            let method = case_of["method"].as_str().unwrap_or_default();
            let label = match case_of["path"].as_str() {
                Some(path) => format!("{method} {path}"),
                None => recorder["label"].as_str().unwrap_or_default().to_owned(),
            };
            let curl = curl(&interaction["request"]);
            let Some(status) = interaction["response"]["status_code"].as_u64() else {
                self.failures.push(format!("{label}: no answer\n  {curl}"));
                continue;
            };
            let checks = recorder["checks"][case].as_array().into_iter().flatten();
            let failed: Vec<&Value> = checks.filter(|check| check["status"] != "success").collect();
            for check in &failed {
                let name = check["name"].as_str().unwrap_or("a check");
                let told = &check["failure_info"]["failure"];
                let told = ["title", "message"].map(|part| told[part].as_str().unwrap_or_default());
                let told = told.join(": ");
                self.failures.push(format!("{label}: {status}, {name}: {told}\n  {curl}"));
            }
            if status >= 500 && failed.is_empty() {
                self.failures.push(format!("{label}: {status}\n  {curl}"));
            }
            if (200..300).contains(&status) {
                self.taken.insert(label.clone());
            }
            self.tested.insert(label);
        }
    }

    /// What schemathesis itself makes of it.
    fn add_summary(&mut self, folder: &Path, wanted: &Wanted) -> Result<()> {
        let summary: Value =
            serde_json::from_str(&text_of(folder, "json")?).context("the json report")?;
        let (operations, selected) = (&summary["operations"], wanted.selected);
        let is_tested = !wanted.is_all_tested || operations["tested"] == selected;
        let demands = [
            (summary["complete"] == true, "complete"),
            (summary["stop_reason"] == "completed", "stop_reason"),
            (operations["selected"] == selected, "operations.selected"),
            (is_tested, "operations.tested"),
            (operations["errored"] == 0, "operations.errored"),
            // With failures it is 1, and they are told already.
            (summary["exit_code"] == 0 || !self.failures.is_empty(), "exit_code"),
        ];
        for (_, what) in demands.iter().filter(|(is_so, _)| !is_so) {
            let mut found = &summary;
            for part in what.split('.') {
                found = &found[part];
            }
            self.failures.push(format!("the summary says {what}={found}"));
        }
        Ok(())
    }
}

/// The request as a command line. What lets it in is left to who repeats it.
fn curl(request: &Value) -> String {
    let method = request["method"].as_str().unwrap_or_default();
    let mut line = format!("curl -X {method}");
    for (name, values) in request["headers"].as_object().into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let value = match (name.as_str(), value) {
                ("authorization", "[Filtered]") => "Bearer …",
                ("x-internal-bypass", _) => "…",
                // Without its key, it is carried out again.
                ("idempotency-key", "[Filtered]") => continue,
                _ => value,
            };
            let _ = write!(line, " -H {}", quoted(format!("{name}: {value}").as_bytes()));
        }
    }
    let body = request["body"]["$base64"].as_str().and_then(|body| STANDARD.decode(body).ok());
    if let Some(body) = body.filter(|body| !body.is_empty()) {
        let _ = write!(line, " --data-binary {}", quoted(&body));
    }
    let uri = request["uri"].as_str().unwrap_or_default();
    let _ = write!(line, " {}", quoted(uri.as_bytes()));
    line
}

/// As an argument of a shell.
fn quoted(bytes: &[u8]) -> String {
    let is_plain = |text: &&str| !text.chars().any(|c| c.is_control() || c == '\'');
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(is_plain) {
        return format!("'{text}'");
    }
    let escaped = bytes.iter().map(|byte| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        other => format!("\\x{other:02x}"),
    });
    format!("$'{}'", escaped.collect::<String>())
}

//! The load generator: `wrk`, and what it found out.

use std::{io::Write as _, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

/// Sends the requests of a file, a line each, one after the other, and says what came of it. A connection
/// that is to keep a pace waits before each request.
const SCRIPT: &str = r#"
local requests, at, pause = {}, 0, 0

function init(arguments)
   pause = tonumber(arguments[2])
   for line in io.lines(arguments[1]) do
      local method, path, token, tag = line:match("^(%S+) (%S+) (%S+) (%S+)$")
      local headers = { ["Authorization"] = "Bearer " .. token, ["X-Internal-Bypass"] = arguments[4] }
      if tag ~= "-" then headers["If-None-Match"] = tag end
      local body = nil
      if method == "POST" then
         headers["Content-Type"] = "application/json"
         body = arguments[3]
      end
      requests[#requests + 1] = wrk.format(method, path, headers, body)
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function delay()
   return pause == 0 and 0 or math.floor(pause * (0.5 + math.random()))
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      'found {"requests":%d,"micros":%d,"p50":%d,"p99":%d,"failed":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout
   ))
end
"#;

/// What a request is, but for where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) token: String,
    /// What the caller has, if they ask whether it has changed.
    pub(crate) tag: Option<String>,
}

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u64,
    pub(crate) time: Duration,
    /// Requests a second of all connections together; as many as there are answers without it.
    pub(crate) pace: Option<u64>,
}

/// What came of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    requests: u64,
    micros: u64,
    p50: u64,
    p99: u64,
    /// Requests that had no answer, or one of a failure.
    pub(crate) failed: u64,
}

impl Found {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / (self.micros as f64 / 1e6)
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        self.p50 as f64 / 1000.0
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        self.p99 as f64 / 1000.0
    }
}

pub(crate) struct Wrk {
    folder: TempDir,
}

impl Wrk {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("load.lua"), SCRIPT)?;
        Ok(Self { folder })
    }

    /// Sends requests again and again for a time; those that post have this body.
    pub(crate) async fn send(
        &self,
        url: &str,
        requests: &[Request],
        body: &str,
        load: Load,
    ) -> Result<Found> {
        let mut file = NamedTempFile::new_in(self.folder.path())?;
        for Request { method, path, token, tag } in requests {
            writeln!(file, "{method} {path} {token} {}", tag.as_deref().unwrap_or("-"))?;
        }
        file.flush()?;
        let pause = load.pace.map_or(0, |pace| load.connections * 1000 / pace.max(1));
        let mut command = Command::new("wrk");
        command.args(["--threads", "1", "--timeout", "10s"]);
        command.args(["--connections", &load.connections.to_string()]);
        command.args(["--duration", &format!("{}s", load.time.as_secs())]);
        command.arg("--script").arg(self.script()).arg(url).arg("--").arg(file.path());
        command.args([pause.to_string().as_str(), body, testkit::BYPASS_KEY]);
        let output = command.stdin(Stdio::null()).output().await.context("wrk is not there")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let found = said.lines().find_map(|line| line.strip_prefix("found "));
        let wrong = || format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        let found: Found = serde_json::from_str(found.with_context(wrong)?)?;
        ensure!(found.requests > 0, "no request was answered");
        Ok(found)
    }

    fn script(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("load.lua")
    }
}

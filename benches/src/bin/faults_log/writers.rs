//! The processes that write: started, frozen, killed, replaced, listened to.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use events::{Partition, Position, SetId, Version};
use tokio::time::sleep;

use crate::Place;

/// What the writers said.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Events whose append was acknowledged.
    pub(crate) acknowledged: HashMap<SetId, Place>,
    /// Answers of the log that it should not have given.
    pub(crate) wrong: Vec<String>,
}

/// Running writers. They are killed with this value.
pub(crate) struct Writers {
    database: String,
    seed: u64,
    started: u64,
    running: Vec<Child>,
    told: Arc<Mutex<Told>>,
    listeners: Vec<JoinHandle<Result<()>>>,
}

impl Writers {
    pub(crate) fn start(database: &str, seed: u64, count: usize) -> Result<Self> {
        let mut writers = Self {
            database: database.to_owned(),
            seed,
            started: 0,
            running: Vec::new(),
            told: Arc::default(),
            listeners: Vec::new(),
        };
        for _ in 0..count {
            let child = writers.spawn()?;
            writers.running.push(child);
        }
        Ok(writers)
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Stops the process where it stands. `thaw` lets it go on.
    pub(crate) fn freeze(&self, index: usize) -> Result<()> {
        signal(&self.running[index], "STOP")
    }

    pub(crate) fn thaw(&self, index: usize) -> Result<()> {
        signal(&self.running[index], "CONT")
    }

    /// Kills the process, whatever it is at, and starts another in its place.
    pub(crate) fn replace(&mut self, index: usize) -> Result<()> {
        self.running[index].kill()?;
        self.running[index].wait()?;
        self.running[index] = self.spawn()?;
        Ok(())
    }

    /// Fails when a writer ended that nobody killed.
    pub(crate) fn check(&mut self) -> Result<()> {
        for child in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("a writer died on its own: {status}");
            }
        }
        Ok(())
    }

    /// Asks all to end, waits for them, and gives what they said.
    pub(crate) async fn stop(mut self) -> Result<Told> {
        self.check()?;
        for child in &mut self.running {
            drop(child.stdin.take());
        }
        for child in &mut self.running {
            let mut patience = 600;
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                patience -= 1;
                ensure!(patience > 0, "a writer does not end");
                sleep(Duration::from_millis(100)).await;
            };
            ensure!(status.success(), "a writer failed: {status}");
        }
        for listener in std::mem::take(&mut self.listeners) {
            listener.join().map_err(|_| anyhow::anyhow!("a listener panicked"))??;
        }
        Ok(std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn spawn(&mut self) -> Result<Child> {
        self.started += 1;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--seed", &self.seed.to_string()])
            .args(["--writer", &self.started.to_string()])
            .args(["--database", &self.database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a writer cannot be started")?;
        let stdout = child.stdout.take().context("its output")?;
        let told = self.told.clone();
        self.listeners.push(std::thread::spawn(move || listen(stdout, &told)));
        Ok(child)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for child in &mut self.running {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// By the shell, since the standard library sends no signal but the last.
fn signal(child: &Child, name: &str) -> Result<()> {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status()?;
    ensure!(sent.success(), "{name} could not be sent");
    Ok(())
}

fn listen(stdout: ChildStdout, told: &Mutex<Told>) -> Result<()> {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    // What a killed writer did not finish to say, it did not say.
    while stdout.read_line(&mut line)? > 0 && line.ends_with('\n') {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = line.strip_prefix("wrong ") {
            told.wrong.push(wrong.trim_end().to_owned());
        } else {
            let (set, place) = parse(&line).with_context(|| format!("a writer said {line:?}"))?;
            if let Some(before) = told.acknowledged.insert(set, place) {
                told.wrong.push(format!("{set} was acknowledged at {before:?} and at {place:?}"));
            }
        }
        line.clear();
    }
    Ok(())
}

/// How a writer tells of an event that the log has acknowledged.
pub(crate) fn say(set: SetId, place: &Place) -> String {
    let Place { partition, position, owner, stream, version } = place;
    format!("{set} {partition} {position} {owner} {stream} {version}\n")
}

fn parse(line: &str) -> Result<(SetId, Place)> {
    let mut words = line.split_whitespace();
    let mut word = || words.next().context("too short");
    let set = word()?.parse()?;
    let place = Place {
        partition: Partition(word()?.parse()?),
        position: Position(word()?.parse()?),
        owner: word()?.parse()?,
        stream: word()?.parse()?,
        version: Version(word()?.parse()?),
    };
    Ok((set, place))
}

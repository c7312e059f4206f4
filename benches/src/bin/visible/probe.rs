//! When does the query show one set that was just logged?

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use log::Positions;
use serde_json::{Value, json};
use testkit::{Answer, Client, bench, new_id};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Sets of a workout, before another one begins: pages of history stay small.
pub(crate) const SETS: usize = 20;

/// A set that is not shown for so long is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// An athlete who looks for each set that they log.
pub(crate) struct Prober {
    client: Client,
    workout: String,
    probes: usize,
}

/// A set from its command until it is shown.
pub(crate) struct Seen {
    pub(crate) set: Uuid,
    pub(crate) position: Positions,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    pub(crate) shown: Instant,
    /// How often history was asked: again when it was not at the position in time.
    pub(crate) asked: usize,
}

impl Prober {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, workout: String::new(), probes: 0 }
    }

    /// Probes so many times, or until a time.
    pub(crate) async fn probe_often(
        &mut self,
        count: usize,
        until: Option<Instant>,
    ) -> Result<Vec<Seen>> {
        let mut all = Vec::new();
        while all.len() < count && until.is_none_or(|until| Instant::now() < until) {
            all.push(self.probe().await?);
            // Not always the same, so as not to fall in step with anybody's timer.
            sleep(Duration::from_millis(10 + self.probes as u64 * 7 % 41)).await;
        }
        Ok(all)
    }

    /// Logs one set, and asks for history until it is there.
    pub(crate) async fn probe(&mut self) -> Result<Seen> {
        if self.probes.is_multiple_of(SETS) {
            self.workout = self.client.start_workout(json!({})).await;
        }
        self.probes += 1;
        let set = new_id();
        let mut body = bench(8, 80);
        body["id"] = set.to_string().into();
        let sent = Instant::now();
        let answer = self.client.log_set(&self.workout, body).await;
        let answered = Instant::now();
        ensure!(answer.status == 201, "a set is answered {}: {}", answer.status, answer.body);
        let position = answer.position();
        let mut asked = 0;
        loop {
            asked += 1;
            let history = self.client.get_at("/v1/history?limit=1", position).await;
            let shown = Instant::now();
            match history.status {
                200 => {
                    ensure!(shows(&history, set), "{position} without set {set}: {}", history.body);
                    let position = position.parse().context("a position")?;
                    return Ok(Seen { set, position, sent, answered, shown, asked });
                }
                503 if answered.elapsed() < PATIENCE => {}
                status => bail!("history is answered {status}: {}", history.body),
            }
        }
    }
}

/// Whether the set is in the newest workout.
fn shows(history: &Answer, set: Uuid) -> bool {
    let set = Value::from(set.to_string());
    let sets = history.list().iter().filter_map(|workout| workout["sets"].as_array()).flatten();
    sets.into_iter().any(|shown| shown["id"] == set)
}

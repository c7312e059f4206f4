//! What do others do meanwhile? They log sets at the times of a clock.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use testkit::{Client, bench};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{probe::SETS, product::Product};

/// Athletes who log sets, together so many a second.
pub(crate) struct Load {
    athletes: Vec<Client>,
    rate: u32,
}

/// What came of it, while it counted.
#[derive(Default)]
pub(crate) struct Sent {
    /// Sets that the product had recorded.
    pub(crate) answered: usize,
    /// Commands that it refused.
    pub(crate) refused: usize,
    /// From sending a command until its answer, sorted.
    pub(crate) commands: Vec<Duration>,
    /// How far a command was sent behind its time at most.
    pub(crate) late: Duration,
}

impl Load {
    pub(crate) async fn new(product: &Product, athletes: usize, rate: u32) -> Self {
        let mut all = Vec::new();
        for _ in 0..athletes {
            all.push(product.athlete().await);
        }
        Self { athletes: all, rate }
    }

    /// Logs from now until the end, and counts from the beginning on. Whoever falls behind the
    /// clock catches up: the rate does not give way to a slow product.
    pub(crate) async fn run(self, begin: Instant, end: Instant) -> Result<Sent> {
        let apart = Duration::from_secs(1) / self.rate;
        let period = apart * u32::try_from(self.athletes.len())?;
        let mut tasks = JoinSet::new();
        let mut first = Instant::now();
        for athlete in self.athletes {
            first += apart;
            tasks.spawn(train(athlete, first, period, begin, end));
        }
        let mut all = Sent::default();
        while let Some(sent) = tasks.join_next().await {
            let sent = sent?;
            all.answered += sent.answered;
            all.refused += sent.refused;
            all.commands.extend(sent.commands);
            all.late = all.late.max(sent.late);
        }
        all.commands.sort_unstable();
        Ok(all)
    }
}

async fn train(
    athlete: Client,
    first: Instant,
    period: Duration,
    begin: Instant,
    end: Instant,
) -> Sent {
    let mut sent = Sent::default();
    let (mut due, mut workout) = (first, String::new());
    for number in 0.. {
        sleep_until(due).await;
        // Whoever is behind would log for longer than the measurement lasts.
        if due >= end || Instant::now() >= end {
            break;
        }
        let late = due.elapsed();
        if number % SETS == 0 {
            workout = athlete.start_workout(json!({})).await;
        }
        let before = Instant::now();
        let answer = athlete.log_set(&workout, bench(8, 80)).await;
        let after = Instant::now();
        if after >= begin && after < end {
            match answer.status {
                201 => sent.answered += 1,
                _ => sent.refused += 1,
            }
            sent.commands.push(after - before);
            sent.late = sent.late.max(late);
        }
        due += period;
    }
    sent
}

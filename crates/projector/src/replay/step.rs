//! How far a replay is: what it tells whoever runs it, and writes down for everybody else.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Replay, ReplayError};
use crate::Projection;

/// What a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Phase {
    Loading,
    Indexing,
    CatchingUp,
    Verifying,
    Swapping,
    Done,
    Different,
    Failed,
}

impl Phase {
    /// As it is written in the database and shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Indexing => "indexing",
            Self::CatchingUp => "catching up",
            Self::Verifying => "verifying",
            Self::Swapping => "swapping",
            Self::Done => "done",
            Self::Different => "different",
            Self::Failed => "failed",
        }
    }
}

/// How far a replay is.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it is doing.
    pub phase: Phase,
    /// Events read, also by an earlier run that this one goes on with.
    pub done: u64,
    /// Events to read.
    pub total: u64,
    /// Since the run began, on average.
    pub events_per_second: f64,
}

impl Step {
    /// How long the rest will take at this rate.
    pub fn eta(&self) -> Option<Duration> {
        let left = self.total.saturating_sub(self.done) as f64;
        (self.events_per_second > 0.0)
            .then(|| Duration::from_secs_f64((left / self.events_per_second).min(1e9)))
    }
}

/// What others are told of a replay.
pub(super) struct Told {
    pub(super) step: watch::Sender<Step>,
    pub(super) begun: Instant,
    /// Events that this run has loaded.
    pub(super) loaded: AtomicU64,
    /// Events that were there when it began, and all there are.
    pub(super) before: AtomicU64,
    pub(super) total: AtomicU64,
}

impl Told {
    pub(super) fn phase(&self, phase: Phase) {
        self.step.send_modify(|step| step.phase = phase);
        self.tell();
    }

    pub(super) fn loaded(&self, events: u64) {
        self.loaded.fetch_add(events, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        let loaded = self.loaded.load(Ordering::Relaxed);
        let done = self.before.load(Ordering::Relaxed) + loaded;
        let total = self.total.load(Ordering::Relaxed).max(done);
        let seconds = self.begun.elapsed().as_secs_f64();
        self.step.send_modify(|step| {
            (step.done, step.total) = (done, total);
            if step.phase == Phase::Loading {
                step.events_per_second = loaded as f64 / seconds.max(1e-3);
            }
        });
    }
}

impl<P: Projection> Replay<P> {
    /// Writes down what a replay is doing, once a second, for whoever asks: also while nothing
    /// changes, by which they see that it is alive.
    pub(super) fn take_notes(&self) -> AbortOnDropHandle<()> {
        let (pool, steps) = (self.database.pool.clone(), self.steps());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let step = *steps.borrow();
                if let Err(error) = write_down::<P>(&pool, step).await {
                    tracing::debug!(%error, "the replay's progress is not written down");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }))
    }

    /// Writes down how it ended.
    pub(super) async fn note(&self, phase: Phase) -> Result<(), ReplayError> {
        self.told.phase(phase);
        let step = *self.told.step.borrow();
        write_down::<P>(&self.database.pool, step).await?;
        Ok(())
    }
}

/// The last word, once written, stays.
async fn write_down<P: Projection>(pool: &sqlx::PgPool, step: Step) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update projector.replays
         set phase = $2, done = $3, total = $4, events_per_second = $5,
             updated_at = clock_timestamp()
         where model = $1
             and ($2 in ('done', 'different', 'failed')
                 or phase not in ('done', 'different', 'failed'))",
        P::SCHEMA,
        step.phase.name(),
        i64::try_from(step.done).unwrap_or(i64::MAX),
        i64::try_from(step.total).unwrap_or(i64::MAX),
        step.events_per_second,
    )
    .execute(pool)
    .await?;
    Ok(())
}

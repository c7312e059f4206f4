//! What happens because time passes: workouts that were left open are closed.
//!
//! The model of open workouts says which to look at; the stream of each says what to do, and its version
//! is what the append expects. So it does no harm that schedulers run beside each other, that the model
//! is late, or that the athlete goes on at that very moment: then nothing is left to say, or the log
//! refuses it and the next round looks again.

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use domain::workout::{self, Workout};
use events::{Actor, Channel, Stream, Version};
use log::{Append, AppendError, Clock, Database, Log, NewEvent, Random, Write};
use projections::open::{OpenWorkout, opened_before};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::commands::Origin;

/// Workouts that are looked at together.
const PAGE: i64 = 500;

/// A workout in which something happened within this part of the time is left open: nobody's is closed
/// while they log.
const QUIET: i32 = 24;

/// When a workout counts as left open.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LeftOpen {
    /// Close workouts that were opened so long ago, such as 24h, 90m or 30s.
    #[arg(long, env = "IRONLEDGER_ABANDONED_AFTER", default_value = "24h", value_parser = duration)]
    pub(crate) abandoned_after: Duration,
}

/// A number with `s`, `m`, `h` or `d` behind it.
fn duration(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "must be a number above 0 with s, m, h or d, such as 24h";
    let text = text.trim();
    let unit = text.chars().last().ok_or(WANTED)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(WANTED.to_owned()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok());
    let number = number.filter(|number| *number > 0).ok_or(WANTED)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Does what is due.
pub(crate) struct Scheduler {
    database: Database,
    log: Log,
    clock: Clock,
    random: Random,
    abandoned_after: TimeDelta,
    /// Between two rounds.
    pause: Duration,
}

impl Scheduler {
    pub(crate) fn new(
        database: Database,
        log: Log,
        clock: Clock,
        random: Random,
        left_open: &LeftOpen,
    ) -> Self {
        let after = left_open.abandoned_after;
        let abandoned_after = TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX);
        // A minute for a day; who waits for seconds is not to wait for a minute.
        let pause = (after / 60).clamp(Duration::from_millis(200), Duration::from_secs(60));
        Self { database, log, clock, random, abandoned_after, pause }
    }

    /// Does what is due until told to stop. What goes wrong is logged and tried again.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                done = self.round() => if let Err(error) = done {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "open workouts are not looked after");
                },
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(self.pause) => {}
            }
        }
    }

    /// Looks at every workout that was opened long ago.
    async fn round(&self) -> Result<()> {
        let now = self.clock.now().utc();
        let before = now - self.abandoned_after;
        let mut after = None;
        loop {
            let page = opened_before(&self.database.pool, before, after, PAGE).await?;
            for open in &page {
                // One that cannot be read is no reason to leave the others open.
                if let Err(error) = self.close(open, now).await {
                    let (workout, error) = (open.workout, format!("{error:#}"));
                    tracing::warn!(%workout, error, "a workout that was left open stays open");
                }
            }
            if page.len() < usize::try_from(PAGE)? {
                return Ok(());
            }
            after = page.last().copied();
        }
    }

    /// Closes a workout, unless it is closed already or somebody is at it.
    async fn close(&self, open: &OpenWorkout, now: DateTime<Utc>) -> Result<()> {
        let OpenWorkout { owner, partition, workout: id, .. } = *open;
        let stream = Stream::workout(id);
        let reader = self.log.reader();
        let stored = reader.read_stream(partition, owner, stream, Version(0)).await?;
        let (mut workout, mut version, mut touched) = (None, Version(0), DateTime::<Utc>::MIN_UTC);
        for stored in &stored {
            // What is personal in it stays sealed: none of it matters here.
            let recorded = stored.decode()?;
            workout = Workout::evolve(workout, &recorded.event);
            version = stored.id.version;
            touched = recorded.recorded_at.utc();
        }
        let Some(workout) = workout else { return Ok(()) };
        if now - touched < self.abandoned_after / QUIET {
            return Ok(());
        }
        let events = workout::close_abandoned(&workout);
        if events.is_empty() {
            return Ok(());
        }
        let actor = Actor::System("scheduler".to_owned());
        let origin = Origin::new(owner, partition, actor, Channel::System);
        let (now, run) = (self.clock.now(), self.random.uuid(self.clock.now()));
        let outcome = events.first().map_or("", |event| event.type_and_version().0);
        let events = events.into_iter().map(|event| NewEvent {
            metadata: origin.metadata(&event, now, run),
            event,
            client: None,
        });
        let write = Write { stream, expected: version, events: events.collect() };
        match self.log.append(Append { owner, partition, writes: vec![write] }).await {
            Ok(_) => {
                metrics::counter!("ironledger_abandoned_workouts_total", "type" => outcome)
                    .increment(1);
                tracing::info!(workout = %id, "closed a workout that was left open");
                Ok(())
            }
            // The athlete was at it.
            Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration(" 90m "), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1d"), duration("24h"));
        for bad in ["", "h", "0h", "-1h", "24", "1.5h", "2w", "99999999999d", "3 é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}

//! Open: which workouts go on, and since when?
//!
//! The scheduler asks, to close those that were left open; so do the metrics. Takes the beginning and
//! the end of workouts. A workout that is begun and ended in one batch, as those of imports are, never is a row.

mod query;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::Event;
use projector::{Happened, Projection, Refused, Tables, row};
use uuid::Uuid;

pub use query::{OpenWorkout, count, opened_before};

/// The projection of open workouts.
#[derive(Debug, Clone, Copy)]
pub struct Open;

row! {
    struct WorkoutRow in "workouts" by 2 {
        owner: Uuid,
        workout: Uuid,
        partition: i16,
        opened_at: DateTime<Utc>,
    }
}

/// The changes of a batch, by owner and workout: what is open then, or `None` of what is not.
#[derive(Default)]
pub struct Batch(BTreeMap<(Uuid, Uuid), Option<WorkoutRow>>);

impl Projection for Open {
    const NAME: &'static str = "open";
    const SCHEMA: &'static str = "open_v1";
    const TABLES: &'static str = include_str!("schema.sql");
    const INDEXES: &'static str = include_str!("indexes.sql");
    const TYPES: &'static [&'static str] =
        &["WorkoutStarted", "WorkoutCompleted", "WorkoutDiscarded"];

    type Batch = Batch;

    fn fold(batch: &mut Batch, happened: Happened) -> Result<(), Refused> {
        let key @ (owner, workout) = (happened.owner.uuid(), happened.stream.id);
        let row = match happened.event {
            Event::WorkoutStarted(_) => {
                let opened_at = happened.recorded_at.utc();
                Some(WorkoutRow { owner, workout, partition: happened.partition.0, opened_at })
            }
            _ => None,
        };
        // What was opened in this batch is no row that would have to go.
        if row.is_none() && matches!(batch.0.get(&key), Some(Some(_))) {
            batch.0.remove(&key);
        } else {
            batch.0.insert(key, row);
        }
        Ok(())
    }

    async fn write(batch: Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let gone = batch.0.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| *key);
        let gone: Vec<(Uuid, Uuid)> = gone.collect();
        tables.delete::<WorkoutRow, _>(gone).await?;
        tables.upsert(batch.0.into_values().flatten().collect::<Vec<WorkoutRow>>()).await
    }
}

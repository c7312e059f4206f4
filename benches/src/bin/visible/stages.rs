//! Where does the time go between a command's answer and the query's?
//!
//! A reader of the topic and one of the checkpoints look on from outside, so that times are true to
//! a few milliseconds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use log::kafka::Consumer;
use sqlx::PgPool;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{probe::Seen, product::Product};

/// How often the checkpoints are read.
const LOOK: Duration = Duration::from_millis(2);

/// The times at which others saw something.
pub(crate) struct Stages {
    found: Arc<Mutex<Found>>,
    on_kafka: bool,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Found {
    /// When a set came on the topic, by its id.
    on_topic: HashMap<Uuid, Instant>,
    /// When the model of a partition was seen at a position.
    projected: HashMap<i16, Vec<(i64, Instant)>>,
}

impl Stages {
    /// Begins to look on.
    pub(crate) async fn watch(product: &Product) -> Result<Self> {
        let found = Arc::new(Mutex::new(Found::default()));
        let mut tasks = JoinSet::new();
        if let Some(kafka) = &product.kafka {
            let consumer = Consumer::join(&kafka.settings(), "stages")?;
            let mut assigned = consumer.assigned();
            tasks.spawn(read_topic(consumer, found.clone()));
            assigned.wait_for(|partitions| !partitions.is_empty()).await?;
        }
        let pool = PgPool::connect(&product.database.owner_url()).await?;
        tasks.spawn(read_checkpoints(pool, found.clone()));
        Ok(Self { found, on_kafka: product.kafka.is_some(), _tasks: tasks })
    }

    /// How long each stage took of those that were seen, sorted.
    pub(crate) async fn of(&self, seen: &[Seen]) -> Vec<(&'static str, Vec<Duration>)> {
        // The last ones may be on their way to us.
        sleep(Duration::from_millis(200)).await;
        let found = lock(&self.found);
        let [mut to_topic, mut to_model, mut to_answer] = [const { Vec::new() }; 3];
        for seen in seen {
            let topic = found.on_topic.get(&seen.set).copied();
            let Some(projected) = found.projected(seen) else { continue };
            to_topic.extend(topic.map(|topic| topic.saturating_duration_since(seen.answered)));
            let before = topic.unwrap_or(seen.answered).max(seen.answered);
            to_model.push(projected.saturating_duration_since(before));
            to_answer.push(seen.shown.saturating_duration_since(projected.max(seen.answered)));
        }
        let mut stages = vec![("until the model has it:", to_model), ("until shown:", to_answer)];
        if self.on_kafka {
            stages.insert(0, ("until a reader of the topic has it:", to_topic));
        }
        stages.iter_mut().for_each(|(_, times)| times.sort_unstable());
        stages
    }
}

impl Found {
    fn projected(&self, seen: &Seen) -> Option<Instant> {
        let (partition, position) = seen.position.at.first_key_value()?;
        let moves = self.projected.get(&partition.0)?;
        moves.iter().find(|(at, _)| *at >= position.0).map(|(_, when)| *when)
    }
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_topic(mut consumer: Consumer, found: Arc<Mutex<Found>>) {
    while let Some(records) = consumer.next().await {
        let now = Instant::now();
        let sets = records.iter().filter_map(|record| record.event.as_ref().ok()?.client_id);
        lock(&found).on_topic.extend(sets.map(|set| (set, now)));
    }
}

async fn read_checkpoints(pool: PgPool, found: Arc<Mutex<Found>>) {
    let query = "select partition, position from history_v6.checkpoints";
    while let Ok(rows) = sqlx::query_as::<_, (i16, i64)>(query).fetch_all(&pool).await {
        let now = Instant::now();
        for (partition, position) in rows {
            let mut found = lock(&found);
            let moves = found.projected.entry(partition).or_default();
            if moves.last().is_none_or(|(last, _)| *last < position) {
                moves.push((position, now));
            }
        }
        sleep(LOOK).await;
    }
}

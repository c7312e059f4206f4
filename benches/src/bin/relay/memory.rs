//! How fast does Kafka take the same records from memory?

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use log::{
    Stored,
    kafka::{CONNECTIONS, Kafka, Record},
};
use rdkafka::{
    ClientContext,
    error::RDKafkaErrorCode,
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::time::sleep;

use crate::PATIENCE;

/// A record that only has to be sent.
pub(crate) struct Made {
    partition: i32,
    key: String,
    payload: String,
    headers: OwnedHeaders,
}

impl Made {
    pub(crate) fn of(event: &Stored) -> Self {
        let Record { key, payload, headers } = Record::of(event);
        Self { partition: event.partition.0.into(), key, payload: payload.into_owned(), headers }
    }
}

/// Counts what became of each record.
#[derive(Default, Clone)]
struct Deliveries(Arc<Counts>);

#[derive(Default)]
struct Counts {
    taken: AtomicUsize,
    failed: AtomicUsize,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.0.taken } else { &self.0.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends the records again and again until there were so many, and answers how long it took until
/// all were acknowledged.
pub(crate) async fn publish(kafka: &Kafka, made: &[Made], events: usize) -> Result<Duration> {
    let deliveries = Deliveries::default();
    let topic = kafka.topic();
    let clients: Vec<ThreadedProducer<Deliveries>> = (0..CONNECTIONS)
        .map(|_| kafka.producer().create_with_context(deliveries.clone()))
        .collect::<Result<_, _>>()?;
    // The relay has found its topic too before its time is taken.
    for client in &clients {
        client.client().fetch_metadata(Some(&topic), PATIENCE)?;
    }
    let counts = deliveries.0;
    let began = Instant::now();
    for next in made.iter().cycle().take(events) {
        let client = &clients[next.partition.unsigned_abs() as usize % CONNECTIONS];
        let mut record = BaseRecord::to(&topic)
            .partition(next.partition)
            .key(&next.key)
            .payload(&next.payload)
            .headers(next.headers.clone());
        while let Err((error, back)) = client.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                bail!(error);
            }
            record = back;
            sleep(Duration::from_millis(1)).await;
        }
    }
    let sent = Instant::now();
    while counts.taken.load(Ordering::Relaxed) < events {
        let failed = counts.failed.load(Ordering::Relaxed);
        ensure!(failed == 0 && sent.elapsed() < PATIENCE, "{failed} records failed");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed())
}

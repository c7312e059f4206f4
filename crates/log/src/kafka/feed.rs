//! What is published where: the log as it is on one topic, or what everybody may see of it on the
//! public topics.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use events::{AthleteId, Family, Partition, Position};

use super::{Kafka, Record, RelayError, notes::Mark, public, tail, topic::Wanted};
use crate::{Keys, Reader, Stored};

/// How long the topic of the log keeps its records. The log keeps them for ever; the topic only has
/// to bridge the time for which a reader may be away without reading Postgres.
const LOG_RETENTION: Duration = days(7);

/// How long public topics keep theirs, which is part of what their readers are told.
const PUBLIC_RETENTION: Duration = days(30);

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 3600)
}

/// What a relay makes of the log.
pub(super) enum Feed {
    /// Every event as it is stored, on the topic of the log.
    Log,
    /// Events of a family without personal fields, on the family's topic, athletes under the
    /// pseudonyms that these keys give.
    Public(Keys),
}

impl Feed {
    /// The name of the log's feed in lease and notes.
    pub(super) const LOG: &str = "log";
    /// The name of the public one.
    pub(super) const PUBLIC: &str = "public";

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Log => Self::LOG,
            Self::Public(_) => Self::PUBLIC,
        }
    }

    /// Its topics; [`Feed::record`] tells them by their place here.
    pub(super) fn topics(&self, kafka: &Kafka) -> Vec<Wanted> {
        match self {
            Self::Log => vec![log_topic(kafka)],
            Self::Public(_) => public_topics(kafka),
        }
    }

    /// Where to go on after what is noted.
    pub(super) async fn resume(
        &self,
        kafka: &Kafka,
        reader: &Reader,
        heads: &BTreeMap<Partition, Position>,
        mut marks: BTreeMap<Partition, Mark>,
    ) -> Result<BTreeMap<Partition, Mark>, RelayError> {
        match self {
            // What was published after the last note need not be published again.
            Self::Log => {
                for (partition, position) in tail::last_of_log(kafka, reader, heads).await? {
                    let noted = &mut marks.entry(partition).or_default().position;
                    if position < *noted {
                        let (partition, noted, last) = (partition.0, noted.0, position.0);
                        tracing::warn!(partition, noted, last, "the topic has lost its end");
                    }
                    *noted = position.max(*noted);
                }
            }
            // The note alone: it names the record before the next one of each topic too, so that a
            // repetition says the same as the first occurrence.
            Self::Public(keys) => {
                if keys.master_key_is_known().await? == Some(false) {
                    return Err(RelayError::MasterKey);
                }
            }
        }
        Ok(marks)
    }

    /// The pseudonyms that the records of these events need, of those whose key is there.
    pub(super) async fn pseudonyms(
        &self,
        events: &[Stored],
    ) -> Result<HashMap<AthleteId, String>, RelayError> {
        match self {
            Self::Log => Ok(HashMap::new()),
            Self::Public(_) if events.is_empty() => Ok(HashMap::new()),
            Self::Public(keys) => {
                Ok(keys.pseudonyms(events.iter().map(|event| event.id.owner)).await?)
            }
        }
    }

    /// The record of an event and the place of its topic, if it has one, with what is noted about
    /// all before it. Fails for an event that this program does not know.
    pub(super) fn record<'a>(
        &self,
        event: &'a Stored,
        pseudonyms: &HashMap<AthleteId, String>,
        before: &Mark,
    ) -> Result<Option<(usize, Record<'a>)>, RelayError> {
        if let Self::Log = self {
            return Ok(Some((0, Record::of(event))));
        }
        // Also for a person who is forgotten: nothing unknown is passed over.
        let recorded = event.decode()?;
        let Some(family) = recorded.event.family() else { return Ok(None) };
        let Some(pseudonym) = pseudonyms.get(&event.id.owner) else { return Ok(None) };
        let Some(topic) = Family::ALL.iter().position(|other| *other == family) else {
            return Ok(None);
        };
        let previous = before.records.get(family.name()).copied().unwrap_or_default();
        Ok(Some((topic, public::record(&recorded, pseudonym, Position(previous))?)))
    }

    /// What the notes call a topic. That of the log is not there: the record before the next one is
    /// always that of the position before.
    pub(super) fn noted_topic(&self, topic: usize) -> Option<&'static str> {
        match self {
            Self::Log => None,
            Self::Public(_) => Family::ALL.get(topic).map(|family| family.name()),
        }
    }
}

/// The topic of the log. One that keeps its records longer or shorter does no harm.
pub(super) fn log_topic(kafka: &Kafka) -> Wanted {
    Wanted { name: kafka.topic(), retention: LOG_RETENTION, promised: false }
}

/// The public topics, also those whose families have no event yet.
pub(super) fn public_topics(kafka: &Kafka) -> Vec<Wanted> {
    let topic = |family| Wanted {
        name: kafka.public_topic(family),
        retention: PUBLIC_RETENTION,
        promised: true,
    };
    Family::ALL.map(topic).into()
}

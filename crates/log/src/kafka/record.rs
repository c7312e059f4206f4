//! An event as a record on Kafka: a CloudEvent in binary mode, and back again.
//!
//! Headers hold the envelope, key and value what they always hold: the owner, and the exact bytes of
//! the payload. Nothing of a stored event is left out, so that a reader of the topic has the same
//! event as a reader of Postgres.

use std::{borrow::Cow, fmt::Write as _, str};

use events::{AthleteId, Epoch, EventId, Partition, Position, Stream, Timestamp, Version};
use rdkafka::{
    Message,
    message::{Header, Headers, OwnedHeaders},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::Stored;

/// Before the name of an event in `ce_type`.
pub(super) const TYPE: &str = "ironledger.";

/// Before name and version of an event in `ce_dataschema`; the schemas say the same as their `$id`.
const SCHEMA: &str = "urn:ironledger:event:";

/// `ce_source`: with it, `ce_id` is unique everywhere.
const SOURCE: &str = "urn:ironledger:log";

/// The record is not one that a relay has written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event of ours: {0}")]
pub struct NotOurs(&'static str);

/// Key, value and headers of an event.
pub struct Record<'a> {
    /// The owner.
    pub key: String,
    /// The payload's bytes.
    pub payload: Cow<'a, str>,
    /// The envelope.
    pub headers: OwnedHeaders,
}

/// What the headers take out of the metadata.
#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
    correlation: Uuid,
    causation: Uuid,
}

impl<'a> Record<'a> {
    /// The record of an event.
    pub fn of(event: &'a Stored) -> Self {
        let id = event.id.to_string();
        let owner = event.id.owner.to_string();
        let mut headers: Vec<(&str, Cow<str>)> = vec![
            ("content-type", "application/json".into()),
            ("ce_specversion", "1.0".into()),
            ("ce_id", id.into()),
            ("ce_source", SOURCE.into()),
            ("ce_type", format!("{TYPE}{}", event.kind).into()),
            ("ce_subject", owner.clone().into()),
            ("ce_dataschema", format!("{SCHEMA}{}:{}", event.kind, event.kind_version).into()),
            ("ce_recordedtime", event.recorded_at.to_string().into()),
            ("ce_position", event.position.to_string().into()),
            ("ce_previousposition", Position(event.position.0 - 1).to_string().into()),
            ("ce_stream", event.id.stream.to_string().into()),
            ("ce_version", event.id.version.to_string().into()),
            ("ce_epoch", event.epoch.to_string().into()),
            ("ce_metadata", event.metadata.as_str().into()),
        ];
        // Always there: what stands here has passed through `Metadata`.
        if let Ok(context) = serde_json::from_str::<Context>(&event.metadata) {
            let trace = traceparent(context.correlation, context.causation);
            headers.push(("ce_time", context.occurred_at));
            headers.push(("traceparent", trace.into()));
        }
        if let Some(id) = event.client_id {
            headers.push(("ce_clientid", id.to_string().into()));
        }
        if let Some(fingerprint) = event.fingerprint {
            headers.push(("ce_fingerprint", hexadecimal(&fingerprint).into()));
        }
        Self { key: owner, payload: event.payload.as_str().into(), headers: owned(&headers) }
    }

    /// The event of a record.
    pub fn event(message: &impl Message) -> Result<Stored, NotOurs> {
        let headers = message.headers().ok_or(NotOurs("no headers"))?;
        let find = |name: &str| {
            let header = headers.iter().find(|header| header.key == name)?;
            str::from_utf8(header.value?).ok()
        };
        let get = |name: &'static str| find(name).ok_or(NotOurs(name));
        if get("ce_source")? != SOURCE {
            return Err(NotOurs("ce_source"));
        }
        let kind = get("ce_type")?.strip_prefix(TYPE).ok_or(NotOurs("ce_type"))?;
        let (_, kind_version) =
            get("ce_dataschema")?.rsplit_once(':').ok_or(NotOurs("ce_dataschema"))?;
        let stream: Stream = get("ce_stream")?.parse().map_err(|_| NotOurs("ce_stream"))?;
        let owner: AthleteId = get("ce_subject")?.parse().map_err(|_| NotOurs("ce_subject"))?;
        let version = Version(get("ce_version")?.parse().map_err(|_| NotOurs("ce_version"))?);
        let position = Position(get("ce_position")?.parse().map_err(|_| NotOurs("ce_position"))?);
        if position < Position(1) {
            return Err(NotOurs("ce_position"));
        }
        let client_id = find("ce_clientid").map(str::parse).transpose();
        let fingerprint = match find("ce_fingerprint") {
            Some(text) => Some(bytes(text).ok_or(NotOurs("ce_fingerprint"))?),
            None => None,
        };
        let payload = message.payload().and_then(|bytes| str::from_utf8(bytes).ok());
        let partition = i16::try_from(message.partition()).map_err(|_| NotOurs("partition"))?;
        Ok(Stored {
            partition: Partition(partition),
            position,
            epoch: Epoch(get("ce_epoch")?.parse().map_err(|_| NotOurs("ce_epoch"))?),
            id: EventId { owner, stream, version },
            kind: kind.to_owned(),
            kind_version: kind_version.parse().map_err(|_| NotOurs("ce_dataschema"))?,
            recorded_at: get("ce_recordedtime")?
                .parse::<Timestamp>()
                .map_err(|_| NotOurs("ce_recordedtime"))?,
            client_id: client_id.map_err(|_| NotOurs("ce_clientid"))?,
            fingerprint,
            metadata: get("ce_metadata")?.to_owned(),
            payload: payload.ok_or(NotOurs("value"))?.to_owned(),
        })
    }
}

pub(super) fn owned(headers: &[(&str, Cow<str>)]) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers
        .iter()
        .fold(empty, |all, (key, value)| all.insert(Header { key, value: Some(value.as_ref()) }))
}

/// The trace that an event belongs to, after W3C Trace Context: the intention that it follows from
/// is the trace, the run of the command the span.
fn traceparent(correlation: Uuid, causation: Uuid) -> String {
    let span = &causation.as_bytes()[8..];
    format!("00-{}-{}-00", correlation.simple(), hexadecimal(span))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const CONTRACT: &str = include_str!("../../../../docs/asyncapi.json");

    #[test]
    fn the_contract_names_every_header() {
        let contract: Value = serde_json::from_str(CONTRACT).unwrap();
        let headers = &contract["components"]["schemas"]["LogHeaders"];
        let all: BTreeSet<&str> =
            headers["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let always: BTreeSet<&str> =
            headers["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();

        let id = Uuid::from_u128(7 << 76 | 2 << 62);
        let athlete = AthleteId::new(id).unwrap();
        let now: Timestamp = "2026-01-31T17:30:00Z".parse().unwrap();
        let mut event = Stored {
            partition: Partition(0),
            position: Position(1),
            epoch: Epoch(1),
            id: EventId { owner: athlete, stream: Stream::athlete(athlete), version: Version(1) },
            kind: "SetLogged".to_owned(),
            kind_version: 2,
            recorded_at: now,
            client_id: None,
            fingerprint: None,
            metadata: format!(
                r#"{{"occurred_at":"{now}","correlation":"{id}","causation":"{id}"}}"#
            ),
            payload: "{}".to_owned(),
        };
        let names = |event: &Stored| -> BTreeSet<String> {
            let record = Record::of(event);
            record.headers.iter().map(|header| header.key.to_owned()).collect()
        };
        assert_eq!(names(&event), always.iter().map(|name| (*name).to_owned()).collect());
        (event.client_id, event.fingerprint) = (Some(id), Some([0; 16]));
        assert_eq!(names(&event), all.iter().map(|name| (*name).to_owned()).collect());

        let message = &contract["components"]["messages"]["SetLogged.v2"]["headers"]["allOf"][1];
        for header in Record::of(&event).headers.iter() {
            let known = &message["properties"][header.key]["const"];
            let said = header.value.and_then(|bytes| str::from_utf8(bytes).ok());
            assert!(known.is_null() || known.as_str() == said, "{}: {said:?}", header.key);
        }
    }
}

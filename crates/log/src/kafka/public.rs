//! An event as everybody may see it: a record without personal field, athlete's id, device or
//! request.

use std::borrow::Cow;

use events::{DecodeError, EventId, Position, Recorded};

use super::{
    Record,
    record::{TYPE, owned},
};
use crate::ReadError;

/// Before name and version of an event in `ce_dataschema`; the public schemas say the same as their
/// `$id`.
const SCHEMA: &str = "urn:ironledger:public:";

/// `ce_source`.
const SOURCE: &str = "urn:ironledger:public";

/// The record of an event, at the current version of its type. `previous` is the position of the
/// record before it on the same topic and partition.
pub(super) fn record(
    recorded: &Recorded,
    pseudonym: &str,
    previous: Position,
) -> Result<Record<'static>, ReadError> {
    let (name, version) = recorded.event.type_and_version();
    // It fails when a personal field is in clear, which cannot be stored.
    let payload = recorded.event.public_payload().map_err(|source| ReadError::Decode {
        id: recorded.id.to_string(),
        source: DecodeError::Malformed { name: name.to_owned(), version, source },
    })?;
    let headers: [(&str, Cow<str>); 11] = [
        ("content-type", "application/json".into()),
        ("ce_specversion", "1.0".into()),
        ("ce_id", id(recorded.id, pseudonym).into()),
        ("ce_source", SOURCE.into()),
        ("ce_type", format!("{TYPE}{name}").into()),
        ("ce_subject", pseudonym.into()),
        ("ce_dataschema", format!("{SCHEMA}{name}:{version}").into()),
        ("ce_time", recorded.metadata.occurred_at.to_string().into()),
        ("ce_position", recorded.position.to_string().into()),
        ("ce_previousposition", previous.to_string().into()),
        ("ce_epoch", recorded.epoch.to_string().into()),
    ];
    Ok(Record { key: pseudonym.to_owned(), payload: payload.into(), headers: owned(&headers) })
}

/// Unique everywhere. A stream that is named after its athlete is named after the pseudonym.
fn id(id: EventId, pseudonym: &str) -> String {
    let EventId { owner, stream, version } = id;
    if stream.id == owner.uuid() {
        format!("{pseudonym}/{}-{pseudonym}/{version}", stream.kind.word())
    } else {
        format!("{pseudonym}/{stream}/{version}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use events::{
        Actor, AthleteId, Channel, Epoch, Event, Metadata, Partition, Stream, StreamKind,
        Timestamp, Version,
    };
    use rdkafka::message::Headers;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_contract_names_every_header() {
        let contract = include_str!("../../../../docs/asyncapi.json");
        let contract: Value = serde_json::from_str(contract).unwrap();
        let said = &contract["components"]["schemas"]["PublicHeaders"];
        let required = said["required"].as_array().unwrap().iter().filter_map(Value::as_str);
        let sample = include_str!("../../../../events/samples/SetLogged.v1.json");
        let now: Timestamp = "2026-01-31T17:30:00Z".parse().unwrap();
        let athlete = AthleteId::new(Uuid::from_u128(7 << 76 | 2 << 62)).unwrap();
        let workout = Stream { kind: StreamKind::Workout, id: Uuid::from_u128(5) };
        let mut recorded = Recorded {
            partition: Partition(0),
            position: Position(9),
            epoch: Epoch(1),
            id: EventId { owner: athlete, stream: workout, version: Version(3) },
            recorded_at: now,
            metadata: Metadata {
                occurred_at: now,
                actor: Actor::Athlete(athlete),
                on_behalf_of: None,
                channel: Channel::Api,
                device: None,
                request: None,
                correlation: Uuid::nil(),
                causation: Uuid::nil(),
            },
            event: Event::decode("SetLogged", 1, sample).unwrap(),
        };
        let made = record(&recorded, "p", Position(4)).unwrap();
        let header = |made: &Record<'_>, name: &str| {
            let found = made.headers.iter().find(|header| header.key == name).unwrap();
            String::from_utf8(found.value.unwrap().to_vec()).unwrap()
        };
        let names: BTreeSet<String> = made.headers.iter().map(|it| it.key.to_owned()).collect();
        assert_eq!(names, required.map(str::to_owned).collect());
        assert_eq!(header(&made, "ce_dataschema"), "urn:ironledger:public:SetLogged:2");
        assert_eq!(header(&made, "ce_id"), format!("p/{workout}/3"));
        recorded.id.stream = Stream::exercises(athlete);
        let made = record(&recorded, "p", Position(4)).unwrap();
        assert_eq!(header(&made, "ce_id"), "p/exercises-p/3");
    }
}

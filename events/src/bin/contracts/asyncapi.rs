//! What does Kafka carry? The AsyncAPI document, made from the registry.

use std::{collections::BTreeMap, error::Error};

use events::{Event, EventType, Family, TYPES, public_schema};
use serde_json::{Map, Value, json};

use crate::gate::Key;

/// A day in the milliseconds of Kafka's settings.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// An event takes at most 256 KiB; envelope and headers fit beside it.
const RECORD_BYTES: u64 = 1 << 20;

/// The document. `samples` are stored payloads of all versions.
pub(crate) fn document(samples: &BTreeMap<Key, Value>) -> Result<Value, Box<dyn Error>> {
    let mut schemas = Map::new();
    schemas.insert("LogHeaders".to_owned(), headers(&LOG_HEADERS));
    schemas.insert("PublicHeaders".to_owned(), headers(&PUBLIC_HEADERS));
    let mut messages = Map::new();
    let mut log = Map::new();
    let mut public: BTreeMap<Family, Map<String, Value>> = BTreeMap::new();
    for kind in TYPES {
        let name = format!("{}.v{}", kind.name, kind.version);
        let sample = samples
            .get(&(kind.name.to_owned(), kind.version))
            .ok_or_else(|| format!("events/samples has no {name}.json"))?;
        add_schema(&mut schemas, &name, (kind.schema)().to_value());
        messages.insert(name.clone(), message(kind, &name, "event", "Log", sample.clone()));
        log.insert(name.clone(), reference("messages", &name));
        if let Some(family) = kind.family
            && let Some(schema) = public_schema(kind)
            && kind.current
        {
            let payload = Event::decode(kind.name, kind.version, &sample.to_string())?;
            let payload = serde_json::from_str(&payload.public_payload()?)?;
            let name = format!("public.{name}");
            add_schema(&mut schemas, &name, schema.to_value());
            messages.insert(name.clone(), message(kind, &name, "public", "Public", payload));
            public.entry(family).or_default().insert(name.clone(), reference("messages", &name));
        }
    }

    let mut channels = Map::new();
    let mut operations = Map::new();
    channels.insert("log".to_owned(), log_channel(log));
    operations.insert("publishLog".to_owned(), publishing("log", "The relay publishes the log."));
    for family in Family::ALL {
        let messages = public.remove(&family).unwrap_or_default();
        channels.insert(family.name().to_owned(), public_channel(family, messages));
        let does = "The publisher publishes events of this family, without personal fields.";
        let mut operation = String::from("publish");
        let mut letters = family.name().chars();
        operation.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        operation.extend(letters);
        operations.insert(operation, publishing(family.name(), does));
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ironledger",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The events of a strength-training backend, as Kafka carries them: \
                CloudEvents 1.0 in binary mode with JSON payloads. Topics begin with \
                `ironledger` unless the operator chose another prefix. Every event type is told \
                in docs/events.md; the schemas also lie in events/schemas and events/public.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    }))
}

fn reference(section: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{section}/{name}") })
}

fn log_channel(messages: Map<String, Value>) -> Value {
    json!({
        "address": "ironledger.log",
        "title": "The log",
        "description": "Every event, for read models and for whoever may see everything: \
            personal fields sealed, athletes by their ids.\n\n\
            **Order and completeness.** As many partitions as the log in Postgres, the same \
            numbers, keyed by the athlete. Within a partition the positions of first occurrences \
            are 1, 2, 3 … A change of leaders may repeat records: drop a position that you have. \
            A record whose `ce_position` does not follow on the last one proves that some are \
            missing; Postgres has them. A new `ce_epoch` says that the log was restored from a \
            backup: what you have of its partition above its `ce_previousposition` is not \
            history any more.\n\n\
            **Retention.** Seven days; then Postgres has it.\n\n\
            **Versions.** A record keeps the version in which its event was stored, for ever.",
        "messages": messages,
        "bindings": kafka_topic("ironledger.log", 7),
    })
}

fn public_channel(family: Family, messages: Map<String, Value>) -> Value {
    let topic = family.topic("ironledger");
    let empty = if messages.is_empty() { " No event is of this family yet." } else { "" };
    json!({
        "address": topic,
        "title": format!("Public: {}", family.name()),
        "description": format!(
            "For analytics: events of the family `{}` without any personal field, athletes under \
             pseudonyms.{empty}\n\n\
             **Order and completeness.** Keyed by the athlete's pseudonym, in the log's \
             partitions and order. `ce_position` is the event's position in the log, \
             `ce_previousposition` that of the record before it on this topic and partition, 0 \
             for the first. Remember the last position of each partition: a record at or below it \
             is a repetition, to be dropped; one whose `ce_previousposition` is at or below it \
             follows on; one whose `ce_previousposition` is above it proves that records are \
             missing. A new `ce_epoch` says that the log was restored from a backup: what you \
             have of its partition above its `ce_previousposition` is not history any more.\n\n\
             The chain is of what was published: it passes over events of an athlete who was \
             erased before their turn came. Where retention has taken the oldest records, the \
             first one that is there names one before it that is not.\n\n\
             **Retention.** 30 days. Keep what you need longer.\n\n\
             **Versions.** Every record is of the current version of its type, which \
             `ce_dataschema` names. Within this topic fields are only ever added: none is taken \
             away, renamed or retyped, and one that is always there stays so. A field may take \
             words or values that it never took before only with a new version: pass over what \
             you do not know. What cannot keep to this goes to a topic `v2` beside this one.\n\n\
             **Erasure.** When an athlete is erased, nothing more of them is published, and nobody \
             can tell any more whose pseudonym it was. Pseudonymised is not anonymous: days, \
             weights and ids of workouts may still tell who somebody is to those who know them.",
            family.name()
        ),
        "messages": messages,
        "bindings": kafka_topic(&topic, 30),
    })
}

fn kafka_topic(topic: &str, days: u64) -> Value {
    json!({
        "kafka": {
            "topic": topic,
            "partitions": 16,
            "topicConfiguration": {
                "cleanup.policy": ["delete"],
                "retention.ms": days * DAY,
                "max.message.bytes": RECORD_BYTES,
            },
            "bindingVersion": "0.5.0",
        },
    })
}

fn publishing(channel: &str, summary: &str) -> Value {
    json!({
        "action": "send",
        "channel": { "$ref": format!("#/channels/{channel}") },
        "summary": summary,
    })
}

fn message(kind: &EventType, name: &str, space: &str, headers: &str, sample: Value) -> Value {
    let schema = (kind.schema)();
    let description = schema.get("description").cloned().unwrap_or_default();
    let of_type = json!({
        "type": "object",
        "properties": {
            "ce_type": { "const": format!("ironledger.{}", kind.name) },
            "ce_dataschema": {
                "const": format!("urn:ironledger:{space}:{}:{}", kind.name, kind.version),
            },
        },
    });
    let key = match space {
        "public" => "The athlete's pseudonym.",
        _ => "The athlete's id.",
    };
    json!({
        "name": format!("ironledger.{}", kind.name),
        "title": format!("{} version {}", kind.name, kind.version),
        "description": description,
        "contentType": "application/json",
        "headers": { "allOf": [reference("schemas", &format!("{headers}Headers")), of_type] },
        "payload": reference("schemas", name),
        "bindings": {
            "kafka": { "key": { "type": "string", "description": key }, "bindingVersion": "0.5.0" },
        },
        "examples": [{ "name": "sample", "payload": sample }],
    })
}

/// Adds a schema and those within it, whose names begin with its own; references to them follow.
fn add_schema(schemas: &mut Map<String, Value>, name: &str, mut schema: Value) {
    if let Value::Object(keywords) = &mut schema {
        // An id would make references within the document relative to it.
        let id = keywords.remove("$id").unwrap_or_default();
        keywords.remove("$schema");
        keywords.insert("x-schema-id".to_owned(), id);
        if let Some(Value::Object(inner)) = keywords.remove("$defs") {
            for (inner_name, mut inner) in inner {
                point(&mut inner, name);
                schemas.insert(format!("{name}.{inner_name}"), inner);
            }
        }
    }
    point(&mut schema, name);
    schemas.insert(name.to_owned(), schema);
}

fn point(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(keywords) => {
            if let Some(Value::String(target)) = keywords.get_mut("$ref")
                && let Some(inner) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{name}.{inner}");
            }
            keywords.values_mut().for_each(|inner| point(inner, name));
        }
        Value::Array(several) => several.iter_mut().for_each(|inner| point(inner, name)),
        _ => {}
    }
}

/// A header: its name, whether it is always there, and what it says.
type Header = (&'static str, bool, &'static str);

const LOG_HEADERS: [Header; 18] = [
    ("content-type", true, "`application/json`."),
    ("ce_specversion", true, "`1.0`."),
    ("ce_id", true, "`<athlete>/<stream>/<version>`: the event's identity, everywhere, for ever."),
    ("ce_source", true, "`urn:ironledger:log`."),
    ("ce_type", true, "`ironledger.` and the name of the event type."),
    ("ce_subject", true, "The athlete's id, a UUID; the key too."),
    ("ce_dataschema", true, "`urn:ironledger:event:<type>:<version>`: the `$id` of the schema."),
    ("ce_time", true, "When it happened, in the athlete's life; RFC 3339, UTC."),
    ("ce_recordedtime", true, "When the log took it; RFC 3339, UTC."),
    ("ce_position", true, "Its position in its partition: 1, 2, 3 …"),
    ("ce_previousposition", true, "The position before it."),
    ("ce_stream", true, "The stream, such as `workout-<id>`."),
    ("ce_version", true, "Its number within the stream: 1, 2, 3 …"),
    ("ce_epoch", true, "The line of history; it grows when the log is restored from a backup."),
    ("ce_metadata", true, "JSON: who said it, for whom, from which device and request."),
    ("traceparent", true, "W3C Trace Context: the intention is the trace, the command the span."),
    ("ce_clientid", false, "The id that the client made for it, a UUID."),
    ("ce_fingerprint", false, "Keyed hash of what the command said: 32 hexadecimal digits."),
];

const PUBLIC_HEADERS: [Header; 11] = [
    ("content-type", true, "`application/json`."),
    ("ce_specversion", true, "`1.0`."),
    (
        "ce_id",
        true,
        "`<pseudonym>/<kind of stream>-<stream id>/<version>`: the event's identity, everywhere. \
         The id of a stream that is named after its athlete is the pseudonym.",
    ),
    ("ce_source", true, "`urn:ironledger:public`."),
    ("ce_type", true, "`ironledger.` and the name of the event type."),
    ("ce_subject", true, "The athlete's pseudonym, 32 hexadecimal digits; the key too."),
    ("ce_dataschema", true, "`urn:ironledger:public:<type>:<version>`: the `$id` of the schema."),
    ("ce_time", true, "When it happened, in the athlete's life; RFC 3339, UTC."),
    ("ce_position", true, "Its position in its partition of the log."),
    (
        "ce_previousposition",
        true,
        "The position of the record before it on this topic and partition; 0 for the first.",
    ),
    ("ce_epoch", true, "The line of history; it grows when the log is restored from a backup."),
];

fn headers(all: &[Header]) -> Value {
    let property = |name: &str, text: &str| match name {
        "content-type" => json!({ "type": "string", "const": "application/json" }),
        "ce_specversion" => json!({ "type": "string", "const": "1.0" }),
        "ce_time" | "ce_recordedtime" => {
            json!({ "type": "string", "format": "date-time", "description": text })
        }
        "ce_position" | "ce_previousposition" | "ce_version" | "ce_epoch" => {
            json!({ "type": "string", "pattern": "^[0-9]+$", "description": text })
        }
        _ => json!({ "type": "string", "description": text }),
    };
    let properties: Map<String, Value> =
        all.iter().map(|(name, _, text)| ((*name).to_owned(), property(name, text))).collect();
    let required: Vec<&str> =
        all.iter().filter(|(_, always, _)| *always).map(|(name, ..)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

//! Which events are there, and what do they say? The page for people, made from the registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write as _,
};

use events::{EventType, Family, StreamKind, TYPES};
use serde_json::Value;

use crate::{
    gate::Key,
    shape::{Shape, Values},
};

const OPENING: &str = "\
# Events

Made by `cargo xtask contracts` from the types in `events/`; changes go there.

Every event is a fact that is never changed. `GET /v1/…` answers, read models and topics are made of these alone. The
log keeps each payload as it was written, in the version of its time; programs read older versions by steps from one to
the next ([decision 14](adr/0014-how-events-evolve.md)). Schemas: [stored](../events/schemas), [public](../events/public).
Topics, headers, order and retention: [AsyncAPI](asyncapi.json).

**Personal** fields are sealed with a key of the person before they are stored, and are no part of public topics.
Decimals are JSON strings, so that no reader makes floats of them. Beside the payload each event has an envelope:
athlete, stream, version, position, when it happened and was recorded, who said it, from which device and request.
";

/// The page. `samples` are stored payloads of all versions.
pub(crate) fn page(samples: &BTreeMap<Key, Value>) -> Result<String, Box<dyn Error>> {
    let mut page = OPENING.to_owned();
    page += "\n| event | version | stream | public topic |\n|---|---|---|---|\n";
    for kind in TYPES.iter().filter(|kind| kind.current) {
        let anchor = kind.name.to_ascii_lowercase();
        let (name, version) = (kind.name, kind.version);
        let (stream, topic) = (kind.stream.word(), topic(kind));
        writeln!(page, "| [{name}](#{anchor}) | {version} | `{stream}-…` | {topic} |")?;
    }
    for kind in TYPES.iter().filter(|kind| kind.current) {
        event(&mut page, kind, samples)?;
    }
    Ok(page)
}

fn topic(kind: &EventType) -> String {
    kind.family
        .map_or("none".to_owned(), |family| format!("`{}`", Family::topic(family, "ironledger")))
}

fn event(
    page: &mut String,
    kind: &EventType,
    samples: &BTreeMap<Key, Value>,
) -> Result<(), Box<dyn Error>> {
    let schema = (kind.schema)().to_value();
    let description = schema["description"].as_str().unwrap_or_default();
    let (meaning, emitter) = meaning_and_emitter(description).ok_or_else(|| {
        format!("the docs of {} do not tell by `Said by …` who says it", kind.name)
    })?;
    let stream = match kind.stream {
        StreamKind::Workout => "`workout-<workout id>`",
        StreamKind::Athlete => "`athlete-<athlete id>`",
        StreamKind::Exercises => "`exercises-<athlete id>`",
        StreamKind::Audit => "`audit-<athlete id>`",
        StreamKind::Body => "`body-<athlete id>`",
        StreamKind::Records => "`records-<athlete id>`",
        StreamKind::Account => "`account-<athlete id>`",
        StreamKind::Coaching => "`coaching-<athlete id>`",
        StreamKind::Routine => "`routine-<routine id>`",
        StreamKind::Folders => "`folders-<athlete id>`",
        StreamKind::Likes => "`likes-<athlete id>`",
        StreamKind::Relation => "`relation-<id of the other athlete>`",
        StreamKind::Post => "`post-<post id>`",
        StreamKind::Comment => "`comment-<comment id>`",
        StreamKind::Reaction => "`reaction-<hash of what it is about>`",
        StreamKind::Report => "`report-<report id>`",
        StreamKind::Moderation => "`moderation-<athlete id>`",
        StreamKind::Other(_) => return Err("a type of a stream that is not known".into()),
    };
    writeln!(page, "\n## {}\n{meaning}\n", kind.name)?;
    writeln!(
        page,
        "- **Said by** {emitter}.\n- **Stream** {stream}\n- **Public topic** {}",
        topic(kind)
    )?;
    let shape = Shape::of(&schema);
    let mut fields = Vec::new();
    rows(&shape, "", true, &mut fields);
    if fields.is_empty() {
        writeln!(page, "\nVersion {} has no fields.", kind.version)?;
    } else {
        writeln!(page, "\nVersion {}:\n", kind.version)?;
        writeln!(
            page,
            "| field | type and bounds | unit | given | meaning |\n|---|---|---|---|---|"
        )?;
        for Row { path, values, unit, presence, meaning } in &fields {
            writeln!(page, "| `{path}` | {values} | {unit} | {presence} | {meaning} |")?;
        }
    }
    sample(page, kind, samples)?;
    let older = TYPES.iter().filter(|old| old.name == kind.name && !old.current);
    for old in older.collect::<Vec<_>>().into_iter().rev() {
        let mut before = Vec::new();
        rows(&Shape::of(&(old.schema)().to_value()), "", true, &mut before);
        let paths = |rows: &[Row]| -> BTreeSet<String> {
            rows.iter().map(|row| row.path.clone()).collect()
        };
        let (then, now) = (paths(&before), paths(&fields));
        let list = |paths: Vec<&String>| {
            paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
        };
        write!(page, "\nVersion {} is read, and not written any more.", old.version)?;
        let lacked: Vec<_> = now.difference(&then).collect();
        let had: Vec<_> = then.difference(&now).collect();
        if !lacked.is_empty() {
            write!(page, " Of version {} it lacks {}.", kind.version, list(lacked))?;
        }
        if !had.is_empty() {
            write!(page, " It also has {}.", list(had))?;
        }
        writeln!(page)?;
        sample(page, old, samples)?;
    }
    Ok(())
}

fn sample(
    page: &mut String,
    kind: &EventType,
    samples: &BTreeMap<Key, Value>,
) -> Result<(), Box<dyn Error>> {
    let sample = samples
        .get(&(kind.name.to_owned(), kind.version))
        .ok_or_else(|| format!("events/samples has no {}.v{}.json", kind.name, kind.version))?;
    writeln!(page, "\n```json\n{}\n```", serde_json::to_string_pretty(sample)?)?;
    Ok(())
}

/// The docs of an event in two: what it means, and who says so.
fn meaning_and_emitter(description: &str) -> Option<(String, String)> {
    let (before, said) = description.split_once("Said by ")?;
    let end = said.find('.')?;
    let (emitter, after) = (&said[..end], &said[end + 1..]);
    let meaning = format!("{} {}", before.trim(), after.trim());
    Some((one_line(&meaning), one_line(emitter)))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A field in a table.
struct Row {
    path: String,
    values: String,
    unit: String,
    presence: &'static str,
    meaning: String,
}

fn rows(shape: &Shape, path: &str, required: bool, found: &mut Vec<Row>) {
    let note = |word: &str| shape.notes.get(word).and_then(Value::as_str).unwrap_or_default();
    let personal = shape.notes.contains_key("x-personal");
    if !path.is_empty() {
        let values =
            if personal { "sealed text, **personal**".to_owned() } else { told(&shape.values) };
        let bounds = note("x-bounds");
        let values = if bounds.is_empty() { values } else { format!("{values}, {bounds}") };
        found.push(Row {
            path: path.to_owned(),
            values,
            unit: note("x-unit").to_owned(),
            presence: if required { "always" } else { "optional" },
            meaning: one_line(note("description")),
        });
    }
    match &shape.values {
        Values::Object(object) if !personal => {
            for (name, (required, inner)) in &object.fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                rows(inner, &path, *required, found);
            }
        }
        Values::List(inner) if matches!(inner.values, Values::Object(_)) => {
            rows(inner, &format!("{path}[]"), true, found);
        }
        _ => {}
    }
}

/// The type and the bounds, in words.
fn told(values: &Values) -> String {
    match values {
        Values::Object(_) => "object".to_owned(),
        Values::List(inner) => format!("list of {}", told(&inner.values)),
        Values::Words(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
        }
        Values::Either(several) => {
            several.iter().map(|shape| told(&shape.values)).collect::<Vec<_>>().join(" or ")
        }
        Values::Plain(keywords) => {
            let kind = match keywords.get("format").and_then(Value::as_str) {
                Some("date-time") => "time, RFC 3339 in UTC".to_owned(),
                Some("uuid") => "UUID".to_owned(),
                _ => values.describe(),
            };
            let number = |word: &str| keywords.get(word).map(Value::to_string);
            let mut said = kind;
            if let (Some(least), Some(most)) = (number("minimum"), number("maximum")) {
                let _ = write!(said, ", {least} to {most}");
            }
            if let Some(step) = number("multipleOf") {
                let _ = write!(said, ", in steps of {step}");
            }
            match keywords.get("pattern").and_then(Value::as_str) {
                Some("^[0-9]+(\\.[0-9]+)?$") => said = "decimal in a string".to_owned(),
                Some(pattern) => {
                    let _ = write!(said, ", `{pattern}`");
                }
                None => {}
            }
            said
        }
    }
}

//! What readers of events rely on: written for them, and held against what was released.
//! `cargo xtask contracts` runs it.

mod asyncapi;
mod gate;
mod reference;
mod shape;

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use events::{Event, TYPES, public_schema};
use schemars::Schema;
use serde::de::DeserializeOwned;

use gate::{Contracts, Key};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match arguments.as_slice() {
        [verb, events, folder] if verb.as_os_str() == "write" => write(events, folder),
        [verb, events] if verb.as_os_str() == "gate" => pass(events),
        _ => Err("usage: contracts write EVENTS FOLDER | contracts gate EVENTS".into()),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "contracts: {error}");
    ExitCode::FAILURE
}

/// Writes schemas and documents into a folder; `events` has the samples that they show.
fn write(events: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    for sub in ["schemas", "public", "docs"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    for kind in TYPES {
        let name = format!("{}.v{}.json", kind.name, kind.version);
        fs::write(folder.join("schemas").join(&name), pretty(&(kind.schema)())?)?;
        if let Some(schema) = public_schema(kind) {
            fs::write(folder.join("public").join(&name), pretty(&schema)?)?;
        }
    }
    let samples = files(&events.join("samples"))?;
    let document = serde_json::to_string_pretty(&asyncapi::document(&samples)?)? + "\n";
    fs::write(folder.join("docs/asyncapi.json"), document)?;
    fs::write(folder.join("docs/events.md"), reference::page(&samples)?)?;
    Ok(())
}

/// Fails where this program breaks somebody who reads what the last release wrote.
fn pass(events: &Path) -> Result<(), Box<dyn Error>> {
    let released = events.join("released");
    let released = Contracts {
        stored: files(&released.join("schemas"))?,
        public: files(&released.join("public"))?,
        samples: texts(&released.join("samples"))?,
    };
    if released.stored.is_empty() {
        return Err(format!("{} holds no release", events.join("released").display()).into());
    }
    let breaks = gate::breaks(&released, &present(), |name, version, sample| {
        Event::decode(name, version, sample).map(drop).map_err(|error| error.to_string())
    });
    if breaks.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = breaks.iter().map(|found| format!("  {found}")).collect();
    Err(format!("readers of released events would break:\n{}", list.join("\n")).into())
}

/// The contracts of this program.
fn present() -> Contracts {
    let key = |kind: &events::EventType| (kind.name.to_owned(), kind.version);
    Contracts {
        stored: TYPES.iter().map(|kind| (key(kind), (kind.schema)().to_value())).collect(),
        public: TYPES
            .iter()
            .filter_map(|kind| Some((key(kind), public_schema(kind)?.to_value())))
            .collect(),
        samples: BTreeMap::new(),
    }
}

/// The files of a folder by name and version, decoded.
fn files<T: DeserializeOwned>(folder: &Path) -> Result<BTreeMap<Key, T>, Box<dyn Error>> {
    let texts = texts(folder)?;
    let decoded = texts.into_iter().map(|(key, text)| Ok((key, serde_json::from_str(&text)?)));
    Ok(decoded.collect::<serde_json::Result<_>>()?)
}

/// The files of a folder by name and version; nothing where there is no folder.
fn texts(folder: &Path) -> Result<BTreeMap<Key, String>, Box<dyn Error>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut texts = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let key = stem
            .rsplit_once(".v")
            .and_then(|(name, version)| Some((name.to_owned(), version.parse::<i16>().ok()?)));
        let key = key.ok_or_else(|| format!("{} is not NAME.vN.json", path.display()))?;
        texts.insert(key, fs::read_to_string(&path)?.trim_end().to_owned());
    }
    Ok(texts)
}

/// A schema prints its keywords in the order in which people read them.
fn pretty(schema: &Schema) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

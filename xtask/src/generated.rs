//! Files made by a program: written anew, or held against what the program makes now.

use std::{collections::BTreeMap, ffi::OsStr, fs, io, path::Path, process::Stdio};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::{self, Exit, cargo, root, target},
    wants_check,
};

/// Files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What `cargo xtask contracts` makes: a folder of what the program writes, where it belongs, and
/// whether that folder is of these files alone.
const CONTRACTS: [(&str, &str, bool); 3] = [
    ("schemas", "events/schemas", true),
    ("public", "events/public", true),
    ("docs", "docs", false),
];

/// `cargo xtask contracts`: what readers of events rely on, unless a change breaks one of them.
pub(crate) fn contracts(arguments: &[String]) -> Result<()> {
    if arguments == ["release"] {
        return release();
    }
    let check = wants_check(arguments)?;
    let events = root()?.join("events");
    of_events(&["gate".as_ref(), events.as_os_str()])?;
    let made = in_scratch("contracts", |folder| {
        of_events(&["write".as_ref(), events.as_os_str(), folder.as_os_str()])?;
        CONTRACTS.iter().map(|(sub, ..)| read(&folder.join(sub))).collect::<Result<Vec<_>>>()
    })?;
    for ((_, folder, whole), made) in CONTRACTS.iter().zip(made) {
        let folder = root()?.join(folder);
        let mut stored = read(&folder)?;
        stored.retain(|name, _| *whole || made.contains_key(name));
        settle("contracts", check, &made, &stored, &folder)?;
    }
    Ok(())
}

/// Keeps what readers rely on from now on, for later changes to be held against.
fn release() -> Result<()> {
    contracts(&["--check".to_owned()])?;
    let events = root()?.join("events");
    for sub in ["schemas", "public", "samples"] {
        let folder = events.join("released").join(sub);
        let now = read(&events.join(sub))?;
        settle("contracts release", false, &now, &read(&folder)?, &folder)?;
    }
    Ok(())
}

/// Runs the program that knows the event types.
fn of_events(arguments: &[&OsStr]) -> Result<()> {
    let mut make = cargo(&["run", "-q", "-p", "ironledger-events", "--bin", "contracts", "--"]);
    make.args(arguments);
    cargo::run(make)
}

/// `cargo xtask sample`: the history that the demo athlete has.
pub(crate) fn sample(arguments: &[String]) -> Result<()> {
    let program = ["-p", "ironledger-benches", "--bin", "sample"];
    printed("sample", arguments, &program, "docs/examples", "sample-hevy.csv")
}

/// `cargo xtask permissions`: the table of permissions in the docs.
pub(crate) fn permissions(arguments: &[String]) -> Result<()> {
    let program = ["-p", "ironledger", "--", "permissions"];
    printed("permissions", arguments, &program, "docs", "permissions.md")
}

/// `cargo xtask openapi`: the document of the interface.
pub(crate) fn openapi(arguments: &[String]) -> Result<()> {
    let program = ["-p", "ironledger", "--", "openapi"];
    printed("openapi", arguments, &program, "docs", "openapi.json")
}

/// A file that is what a program prints.
fn printed(
    command: &str,
    arguments: &[String],
    program: &[&str],
    folder: &str,
    name: &str,
) -> Result<()> {
    let check = wants_check(arguments)?;
    let mut run = cargo(&["run", "-q"]);
    let output = run.args(program).stderr(Stdio::inherit()).output();
    let output = output.context("cargo cannot be run")?;
    if !output.status.success() {
        return Err(Exit(cargo::code(output.status)).into());
    }
    let made = Files::from([(name.to_owned(), output.stdout)]);
    let folder = root()?.join(folder);
    let mut stored = read(&folder)?;
    stored.retain(|known, _| known == name);
    settle(command, check, &made, &stored, &folder)
}

/// Makes something by way of an empty folder, which is gone afterwards.
pub(crate) fn in_scratch<T>(what: &str, make: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = target()?.join(format!("xtask-{what}-{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let made = make(&folder);
    fs::remove_dir_all(&folder)?;
    made
}

/// Makes the folder hold what was made; with `check` says instead where it does not.
pub(crate) fn settle(
    command: &str,
    check: bool,
    made: &Files,
    stored: &Files,
    folder: &Path,
) -> Result<()> {
    let differences = differences(made, stored);
    if check {
        if differences.is_empty() {
            return Ok(());
        }
        let shown = folder.strip_prefix(root()?)?.display();
        let list: Vec<_> =
            differences.iter().map(|(name, how)| format!("  {shown}/{name} {how}")).collect();
        bail!("stale files; `cargo xtask {command}` makes them anew\n{}", list.join("\n"));
    }
    fs::create_dir_all(folder)?;
    for name in differences.keys() {
        match made.get(*name) {
            Some(content) => fs::write(folder.join(name), content)?,
            None => fs::remove_file(folder.join(name))?,
        }
    }
    println!("{command}: files={} changed={}", made.len(), differences.len());
    Ok(())
}

fn differences<'a>(made: &'a Files, stored: &'a Files) -> BTreeMap<&'a str, &'static str> {
    let names = made.keys().chain(stored.keys());
    names
        .filter_map(|name| match (made.get(name), stored.get(name)) {
            (Some(made), Some(stored)) if made == stored => None,
            (Some(_), Some(_)) => Some((name.as_str(), "differs")),
            (Some(_), None) => Some((name.as_str(), "is missing")),
            (None, _) => Some((name.as_str(), "is no longer made")),
        })
        .collect()
}

/// The files of a folder without its folders; nothing where there is none.
pub(crate) fn read(folder: &Path) -> Result<Files> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Files::new()),
        entries => entries.with_context(|| format!("{} cannot be read", folder.display()))?,
    };
    let mut files = Files::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().and_then(|name| name.to_str()).context("a UTF-8 name")?;
            files.insert(name.to_owned(), fs::read(&path)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_named() {
        let files = |list: &[(&str, &str)]| -> Files {
            list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let made = files(&[("same", "1"), ("changed", "2"), ("new", "3")]);
        let stored = files(&[("same", "1"), ("changed", "1"), ("old", "4")]);
        let expected =
            [("changed", "differs"), ("new", "is missing"), ("old", "is no longer made")];
        assert_eq!(differences(&made, &stored), expected.into());
    }
}

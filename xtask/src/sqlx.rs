//! The query data in `.sqlx`, by which a build checks its SQL without a database.
//!
//! sqlx's macros write a file for each query that they check against a live database, so that a
//! database with the product's tables and one build of everything is all it takes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use servers::{Postgres, Settings};

use crate::{
    cargo::{self, cargo, root, target},
    generated::{in_scratch, read, settle},
    services::{Service, Session},
    wants_check,
};

/// `cargo xtask sqlx`.
pub(crate) fn sqlx(arguments: &[String]) -> Result<()> {
    let check = wants_check(arguments)?;
    let server = Session::start("sqlx", &[Service::Postgres], Settings::Fleeting)?;
    let server = server.address(Service::Postgres).context("a Postgres")?;
    let name = format!("ironledger_sqlx_{}", std::process::id());
    let statement = |sql: String| psql(server, &["-c", &sql]);
    statement(format!("create database {name}"))?;
    let url = with_database(server, &name).context("DATABASE_URL is no address")?;
    let made = fill(&url, &name).and_then(|()| {
        in_scratch("sqlx", |folder| {
            build(&url, folder)?;
            read(folder)
        })
    });
    statement(format!("drop database {name} with (force)"))?;
    let folder = root()?.join(".sqlx");
    settle("sqlx", check, &made?, &read(&folder)?, &folder)
}

/// Checks every query of the workspace, in a build folder where nothing else is built.
fn build(url: &str, queries: &Path) -> Result<()> {
    let folder = target()?.join("sqlx");
    // What cargo finds built already it does not build again, and no macro runs.
    forget_ours(&folder.join("debug/.fingerprint"))?;
    let mut check = cargo(&["check", "--quiet", "--workspace", "--all-targets", "--target-dir"]);
    check.arg(folder);
    check.env("DATABASE_URL", url).env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", queries);
    cargo::run(check)
}

fn forget_ours(fingerprints: &Path) -> Result<()> {
    for entry in fs::read_dir(fingerprints).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"ironledger") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the tables of the product: those of the migrations, then those of each projection in
/// its schema. Projections name their tables without it, hence the search path.
fn fill(url: &str, database: &str) -> Result<()> {
    for file in entries(&root()?.join("migrations"))? {
        if file.extension().is_some_and(|extension| extension == "sql") {
            psql(url, &["-1", "-f", text(&file)?])?;
        }
    }
    // What the runtime keeps beside each model's own tables.
    let runtime = root()?.join("crates/projector/src");
    let (own, revisions) = (runtime.join("schema.sql"), runtime.join("revisions.sql"));
    let mut path = "\"$user\", public".to_owned();
    for folder in entries(&root()?.join("projections/src"))? {
        let file = folder.join("schema.sql");
        if !file.exists() {
            continue;
        }
        let content = fs::read_to_string(&file)?;
        let schema = schema_of(&content)
            .with_context(|| format!("{}:1: `-- schema: name` is missing", file.display()))?;
        let create = format!("create schema {schema}");
        let enter = format!("set search_path to {schema}");
        let files = ["-f", text(&own)?, "-f", text(&revisions)?, "-f", text(&file)?];
        psql(url, &[&["-1", "-c", &create, "-c", &enter], &files[..]].concat())?;
        path += &format!(", {schema}");
    }
    psql(url, &["-c", &format!("alter database {database} set search_path = {path}")])
}

/// The schema that the first line of a projection's DDL names.
fn schema_of(ddl: &str) -> Option<&str> {
    let name = ddl.lines().next()?.strip_prefix("-- schema:")?.trim();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The files and folders of a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Runs statements; psql itself says what is wrong with them.
fn psql(url: &str, arguments: &[&str]) -> Result<()> {
    let packaged = Postgres::programs().map(|folder| folder.join("psql")).ok();
    let program = packaged.filter(|path| path.exists()).unwrap_or_else(|| "psql".into());
    let status = Command::new(program)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url])
        .args(arguments)
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .stdout(Stdio::null())
        .status()
        .context("psql cannot be run")?;
    ensure!(status.success(), "psql failed on {}", arguments.join(" "));
    Ok(())
}

/// The address of another database of the same server.
fn with_database(url: &str, name: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (place, parameters) = match rest.split_once('?') {
        Some((place, parameters)) => (place, format!("?{parameters}")),
        None => (rest, String::new()),
    };
    let authority = place.split('/').next()?;
    Some(format!("{scheme}://{authority}/{name}{parameters}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_an_address_changes() {
        let cases = [
            ("postgres://me:pw@host:5433/old", "postgres://me:pw@host:5433/new"),
            ("postgres://me@host", "postgres://me@host/new"),
            ("postgres://me@h/old?host=%2Ftmp", "postgres://me@h/new?host=%2Ftmp"),
            ("postgres://h?host=/a/b", "postgres://h/new?host=/a/b"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "new").as_deref(), Some(expected));
        }
        assert_eq!(with_database("host=elsewhere", "new"), None);
    }

    #[test]
    fn a_schema_is_named_in_the_first_line() {
        assert_eq!(schema_of("-- schema: history_v1\ncreate table t ();"), Some("history_v1"));
        assert_eq!(schema_of("create table t ();\n-- schema: history_v1"), None);
        assert_eq!(schema_of("-- schema: a; drop table b"), None);
    }
}

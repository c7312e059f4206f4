//! `ironledger contracts`: does what the log holds still say something to this program?

use std::{
    collections::{BTreeMap, btree_map::Entry},
    process::ExitCode,
};

use anyhow::Context;
use events::{Partition, Position};
use indicatif::{ProgressBar, ProgressStyle};
use log::{Database, ReadError, Reader, Stored};
use sqlx::{Connection, PgConnection};

use super::say;
use crate::settings::{User, Where};

/// Events read at once.
const PAGE: usize = 5000;

/// Places told of one kind of failure.
const PLACES: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum What {
    /// Run every stored event through this program's code, and say what does not decode. It
    /// changes nothing and needs no secrets.
    Check,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let What::Check = arguments.what;
    let url = arguments.place.url(User::Projector)?;
    // The pool would only say that it has none.
    PgConnection::connect(&url).await.context("the database does not answer")?;
    let reader = Reader::open(&Database::new(&url, "ironledger contracts", 2)?);
    let heads = reader.heads().await.context("the log cannot be read")?;
    // Shown on a terminal only.
    let bar = ProgressBar::new(heads.values().map(|head| head.0.unsigned_abs()).sum());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}, {eta} left")?;
    bar.set_style(style);
    let mut findings = Findings::default();
    for (partition, head) in heads {
        check(&reader, partition, head, &mut findings, &bar).await?;
    }
    bar.finish_and_clear();
    Ok(if findings.tell() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Decodes a partition up to a position; what is appended meanwhile is not waited for.
async fn check(
    reader: &Reader,
    partition: Partition,
    head: Position,
    findings: &mut Findings,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut after = Position(0);
    let mut limit = PAGE;
    while after < head {
        let left = usize::try_from(head.0 - after.0).unwrap_or(PAGE);
        let before = after;
        match reader.tail(&BTreeMap::from([(partition, after)]), limit.min(left)).await {
            Ok(page) if page.is_empty() => {
                let reason = format!("nothing stands after position {after}");
                findings.fail("the log", partition, after.next(), None, reason);
                after = head;
            }
            Ok(page) => {
                for event in page {
                    if event.position != after.next() {
                        let reason = "positions are missing before it".to_owned();
                        findings.fail("the log", partition, event.position, Some(&event), reason);
                    }
                    after = event.position;
                    findings.take(&event);
                }
                limit = PAGE;
            }
            // A row that is none fails its page: what stands before it is read first.
            Err(ReadError::Corrupt { position, what, .. }) if position == after.next() => {
                findings.fail("the log", partition, position, None, what.to_owned());
                (after, limit) = (position, PAGE);
            }
            Err(ReadError::Corrupt { position, .. }) if position > after => {
                limit = usize::try_from(position.0 - after.0 - 1).unwrap_or(PAGE);
            }
            Err(error) => return Err(error).context("the log cannot be read"),
        }
        bar.inc((after.0 - before.0).unsigned_abs());
    }
    Ok(())
}

/// What was found, by type and version.
#[derive(Default)]
struct Findings {
    decoded: BTreeMap<(String, i16), u64>,
    failed: BTreeMap<(String, String), Failures>,
}

/// Failures of one kind.
struct Failures {
    count: u64,
    places: Vec<String>,
}

impl Findings {
    fn take(&mut self, event: &Stored) {
        match event.decode() {
            Ok(_) => {
                *self.decoded.entry((event.kind.clone(), event.kind_version)).or_default() += 1;
            }
            Err(error) => {
                let what = format!("{} version {}", event.kind, event.kind_version);
                let reason = match error {
                    ReadError::Decode { source, .. } => source.to_string(),
                    ReadError::Corrupt { what, .. } => what.to_owned(),
                    ReadError::Database(error) => error.to_string(),
                };
                self.fail(&what, event.partition, event.position, Some(event), reason);
            }
        }
    }

    fn fail(
        &mut self,
        what: &str,
        partition: Partition,
        position: Position,
        event: Option<&Stored>,
        reason: String,
    ) {
        // The same fault stands elsewhere in each payload.
        let kind = reason.split(" at line ").next().unwrap_or_default().to_owned();
        let failures = match self.failed.entry((what.to_owned(), kind)) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(new) => new.insert(Failures { count: 0, places: Vec::new() }),
        };
        failures.count += 1;
        if failures.places.len() < PLACES {
            let id = event.map_or(String::new(), |event| format!(", {}", event.id));
            let place = format!("partition {partition} position {position}{id}: {reason}");
            failures.places.push(place);
        }
    }

    /// Tells everything, and whether all of it decoded.
    fn tell(&self) -> bool {
        for ((name, version), count) in &self.decoded {
            say!("ok    {name} version {version}: {count}");
        }
        for ((what, kind), failures) in &self.failed {
            say!("BAD   {what}: {} times {kind}", failures.count);
            for place in &failures.places {
                say!("      {place}");
            }
        }
        let decoded: u64 = self.decoded.values().sum();
        let failed: u64 = self.failed.values().map(|failures| failures.count).sum();
        say!("contracts check: events={} decoded={decoded} failed={failed}", decoded + failed);
        failed == 0
    }
}

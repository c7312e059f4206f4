//! `ironledger log`: the log as it grows, one event or stream of it, and figures. Needs the address
//! of the database and no secrets: personal fields stay sealed.

use std::{
    io::{self, Write, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use events::{Actor, AthleteId, Partition, Position, Stream};
use log::{Clock, Database, Filter, Found, PartitionStats, Reader, Stats};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use tokio::time::timeout;

use crate::{
    app,
    settings::{User, Where},
};

/// How long is waited for a sign of the log's growth before it is asked all the same.
const POLL: Duration = Duration::from_secs(1);

/// Events of a stream that are read at once.
const PAGE: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum What {
    /// The newest events of all partitions, oldest first.
    Tail(Tail),
    /// One event by its place, or a whole stream by its name.
    Show(Show),
    /// How long the partitions are and how they grow, which types are frequent, and sizes.
    Stats {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Tail {
    /// Go on with what happens from now.
    #[arg(long)]
    follow: bool,

    /// Of this partition alone.
    #[arg(long)]
    partition: Option<i16>,

    /// Of this type; may be repeated. Of each partition, the newest 5000 events are looked at.
    #[arg(long = "type", value_parser = log::known_type)]
    types: Vec<String>,

    /// Of this athlete; the newest 5000 events of the partition are looked at.
    #[arg(long)]
    athlete: Option<AthleteId>,

    /// At most so many that have happened already, up to 1000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    lines: u16,

    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Show {
    /// A partition, or the name of a stream such as workout-0193f0a0-….
    what: String,

    /// The position in the partition.
    position: Option<i64>,

    /// Whose stream it is.
    #[arg(long)]
    athlete: Option<AthleteId>,

    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let url = arguments.place.url(User::Api)?;
    let reader = Reader::open(&Database::new(&url, "ironledger log", 2)?);
    let done = match arguments.what {
        What::Tail(tail) => tail.run(&reader).await,
        What::Show(show) => show.run(&reader).await,
        What::Stats { json } => {
            let stats = reader.stats(Clock::system().now()).await?;
            tell(&stats, json).map_err(anyhow::Error::from)
        }
    };
    match done.as_ref().map_err(|error| error.downcast_ref::<io::Error>()) {
        // Whoever was told has gone away, as `head` does.
        Err(Some(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => done.map(|()| ExitCode::SUCCESS),
    }
}

impl Tail {
    async fn run(self, reader: &Reader) -> Result<()> {
        let filter = Filter {
            partition: self.partition.map(Partition),
            types: self.types,
            athlete: self.athlete,
            ..Filter::default()
        };
        // Before anything is read, so that nothing happens unheard.
        let mut changes = self.follow.then(|| reader.changes());
        let mut after = reader.heads().await?;
        for event in reader.newest(&filter, self.lines.into()).await? {
            // What came since is told below, by a position that is moved on with it.
            let head = after.get(&event.partition).copied().unwrap_or_default();
            if changes.is_none() || event.position <= head {
                line(&event, self.json)?;
            }
        }
        let Some(changes) = changes.as_mut() else { return Ok(()) };
        let stop = app::stop_signal()?;
        loop {
            while let Some(events) = reader.following(&filter, &mut after).await? {
                for event in events {
                    line(&event, self.json)?;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = timeout(POLL, changes.changed()) => drop(changed),
            }
        }
    }
}

impl Show {
    async fn run(self, reader: &Reader) -> Result<()> {
        if let Some(position) = self.position {
            let partition = self.what.parse().context("the partition must be a number")?;
            let event = reader.event(Partition(partition), Position(position)).await?;
            let Some(event) = event else {
                bail!("partition {partition} has no event at position {position}");
            };
            return Ok(whole(&event, self.json)?);
        }
        let stream: Stream = self.what.parse().context(
            "what to show is either a partition and a position, or the name of a stream",
        )?;
        let Some(athlete) = self.athlete else {
            bail!("whose {stream} is it? Name the athlete: --athlete UUID");
        };
        let filter = Filter { stream: Some(stream), athlete: Some(athlete), ..Filter::default() };
        let (mut after, mut any) = (None, false);
        loop {
            let page = reader.search(&filter, after, PAGE).await?;
            for event in &page.events {
                whole(event, self.json)?;
            }
            any |= !page.events.is_empty();
            match page.next {
                Some(next) => after = Some(next),
                None if any => return Ok(()),
                None => bail!("the athlete has no stream {stream}"),
            }
        }
    }
}

/// What is told of an event's metadata.
struct Said(Value);

impl Said {
    fn of(event: &Found) -> Self {
        Self(serde_json::from_str(event.metadata.get()).unwrap_or_default())
    }

    fn get(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or("-")
    }

    /// Who did it, unless it was the owner.
    fn actor(&self, event: &Found) -> &str {
        let actor = self.get("actor");
        let own = AthleteId::new(event.owner)
            .is_ok_and(|owner| actor == Actor::Athlete(owner).to_string());
        if own { "self" } else { actor }
    }
}

/// An event in a line.
fn line(event: &Found, json: bool) -> io::Result<()> {
    if json {
        return object(event);
    }
    let said = Said::of(event);
    writeln!(
        stdout(),
        "{:27}  {:>2} {:>9}  {:24}  {:50}  {:36}  {:6}  {}",
        event.recorded_at.to_string(),
        event.partition.to_string(),
        event.position.to_string(),
        format!("{} v{}", event.kind, event.kind_version),
        format!("{}/{}", event.stream, event.version),
        event.owner,
        said.get("channel"),
        said.actor(event),
    )
}

/// An event with everything that is stored of it.
fn whole(event: &Found, json: bool) -> io::Result<()> {
    if json {
        return object(event);
    }
    let mut out = stdout();
    writeln!(out, "{} v{}", event.kind, event.kind_version)?;
    for (name, value) in [
        ("place", format!("partition {} position {}", event.partition, event.position)),
        ("stream", format!("{}/{}", event.stream, event.version)),
        ("owner", event.owner.to_string()),
        ("recorded", format!("{} in epoch {}", event.recorded_at, event.epoch)),
    ] {
        writeln!(out, "  {name:10}{value}")?;
    }
    for (name, stored) in [("metadata", &event.metadata), ("payload", &event.payload)] {
        writeln!(out, "  {name}\n{}", pretty(stored))?;
    }
    writeln!(out)
}

fn pretty(stored: &RawValue) -> String {
    let value: Result<Value, _> = serde_json::from_str(stored.get());
    let text = value.and_then(|value| serde_json::to_string_pretty(&value));
    let text = text.unwrap_or_else(|_| stored.get().to_owned());
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn object(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    writeln!(stdout(), "{text}")
}

/// Figures of the log.
fn tell(stats: &Stats, json: bool) -> io::Result<()> {
    if json {
        for partition in &stats.partitions {
            object(partition)?;
        }
        for kind in &stats.types {
            object(&json!({
                "type": kind.name, "type_version": kind.version, "count": kind.count,
                "of_newest": stats.sampled,
            }))?;
        }
        for table in &stats.tables {
            object(table)?;
        }
        return Ok(());
    }
    let mut out = stdout();
    writeln!(out, "partition    position   last hour    last day  newest")?;
    for partition in &stats.partitions {
        let newest = partition.newest.map_or_else(|| "-".to_owned(), |at| at.to_string());
        writeln!(
            out,
            "{:>9}  {:>10}  {:>10}  {:>10}  {newest}",
            partition.partition.to_string(),
            partition.position.to_string(),
            partition.last_hour,
            partition.last_day,
        )?;
    }
    let sum = |figure: fn(&PartitionStats) -> i64| stats.partitions.iter().map(figure).sum::<i64>();
    let all = sum(|partition| partition.position.0);
    let (hour, day) = (sum(|partition| partition.last_hour), sum(|partition| partition.last_day));
    writeln!(out, "{:>9}  {all:>10}  {hour:>10}  {day:>10}", "all")?;

    let which = if stats.sampled == all { "all" } else { "the newest" };
    writeln!(out, "\ntypes of {which} {} events", stats.sampled)?;
    for kind in &stats.types {
        let name = format!("{} v{}", kind.name, kind.version);
        writeln!(out, "  {name:28}{:>10}", kind.count)?;
    }
    writeln!(out, "\n{:20}{:>12}{:>12}", "table", "rows MiB", "index MiB")?;
    for table in &stats.tables {
        let (rows, index) = (mebibytes(table.rows_bytes), mebibytes(table.index_bytes));
        writeln!(out, "{:20}{rows:>12}{index:>12}", table.table)?;
    }
    Ok(())
}

/// Bytes in MiB, with one decimal.
fn mebibytes(bytes: i64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{}", tenths / 10, tenths % 10)
}

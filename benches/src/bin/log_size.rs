//! Does a log cost more the longer it is?
//!
//! Two logs on one server: one stays small, the other grows to each of the sizes. At every size both
//! are appended to and read in turn, so that what else the machine does falls on both.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{collections::BTreeMap, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use benches::{Caller, Filler, callers, mean, measure, season};
use clap::Parser;
use events::{Partition, Position};
use log::{Log, Options, Reader};
use sqlx::PgPool;
use testkit::Database;

/// As projectors read: most events of a partition in a page.
const PAGE: i64 = 500;

/// Pages of every partition that are read, up to the end of the log.
const PAGES: i64 = 50;

#[derive(Parser)]
struct Arguments {
    /// Events in the log; the first size is that of the small one.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 10_000_000, 50_000_000])]
    sizes: Vec<usize>,
    /// How long each measurement of appends takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measurements of each at every size, in turn.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Appends under way at the same time.
    #[arg(long, default_value_t = 64)]
    callers: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (&least, larger) = arguments.sizes.split_first().context("a size")?;
    ensure!(least >= 1_000_000, "a million events at least, or there is too little to read");
    ensure!(arguments.sizes.is_sorted_by(|one, next| one < next), "sizes from small to large");
    ensure!(!larger.is_empty() && arguments.rounds > 0, "two sizes and a round, at least");
    let mut small = Side::new(&arguments).await?;
    let mut large = Side::new(&arguments).await?;
    season(&small.pool).await?;
    small.filler.fill_up_to(least).await?;
    let (mut append_ratio, mut tail_ratio) = (f64::NAN, f64::NAN);
    for &size in larger {
        let began = Instant::now();
        large.filler.fill_up_to(size).await?;
        eprintln!("filled up to {size} events in {:.0} s", began.elapsed().as_secs_f64());
        // What the filling left to the kernel to write would be written during the measurement.
        ensure!(Command::new("sync").status()?.success(), "sync failed");
        let sides = [&mut small, &mut large];
        let mut figures: [Vec<f64>; 4] = Default::default();
        for round in 0..=arguments.rounds {
            // Whoever comes second has what the first one left behind: in turn, too.
            for index in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let append = sides[index].append(arguments.seconds).await?;
                let tail = sides[index].tail().await?;
                // The first round warms up.
                if round > 0 {
                    figures[2 * index].push(append);
                    figures[2 * index + 1].push(tail);
                }
                eprintln!("round {round}, log {index}: append {append:.0}/s, tail {tail:.0}/s");
            }
        }
        let [append, tail, larger_append, larger_tail] = figures.map(|figures| mean(&figures));
        (append_ratio, tail_ratio) = (larger_append / append, larger_tail / tail);
        println!(
            "{}: append {append:.0}/s, tail {tail:.0}/s; {}: append {larger_append:.0}/s, tail \
             {larger_tail:.0}/s; append_ratio={append_ratio:.2} tail_ratio={tail_ratio:.2}",
            small.said().await?,
            large.said().await?,
        );
    }
    println!("bench log-size: append_ratio={append_ratio:.2} tail_ratio={tail_ratio:.2}");
    Ok(())
}

/// One of the logs, and those who append to it.
struct Side {
    filler: Filler,
    pool: PgPool,
    log: Log,
    reader: Reader,
    callers: Vec<Caller>,
    /// It goes with this value.
    _database: Database,
}

impl Side {
    async fn new(arguments: &Arguments) -> Result<Self> {
        let database = Database::fresh().await;
        let pool = PgPool::connect(&database.owner_url()).await?;
        let log = database.log_with(&database.connect_api(), &Options::default());
        let filler = Filler::new(&database).await?;
        let reader = Reader::open(&database.connect_relay());
        let partitions = i16::try_from(reader.heads().await?.len())?;
        let callers = callers(arguments.callers, partitions, &log, &pool).await?;
        Ok(Self { filler, pool, log, reader, callers, _database: database })
    }

    /// Appends a second.
    async fn append(&mut self, seconds: u64) -> Result<f64> {
        let callers = std::mem::take(&mut self.callers);
        let measured = measure(&self.log, callers, seconds, false).await?;
        self.callers = measured.callers;
        Ok(measured.per_second)
    }

    /// Events a second that one reader of all partitions gets.
    async fn tail(&self) -> Result<f64> {
        let back = |head: Position| Position(head.0.saturating_sub(PAGE * PAGES));
        let heads = self.reader.heads().await?;
        let mut at: BTreeMap<Partition, Position> =
            heads.iter().map(|(partition, head)| (*partition, back(*head))).collect();
        let (mut events, began) = (0, Instant::now());
        for _ in 0..PAGES {
            let page = self.reader.tail(&at, usize::try_from(PAGE)?).await?;
            ensure!(page.len() == at.len() * usize::try_from(PAGE)?, "a page that is not full");
            events += page.len();
            at.extend(page.iter().map(|event| (event.partition, event.position)));
        }
        ensure!(at == heads, "the reader is not at the end");
        Ok(events as f64 / began.elapsed().as_secs_f64())
    }

    /// Events and bytes.
    async fn said(&self) -> Result<String> {
        let events: i64 = self.reader.heads().await?.into_values().map(|head| head.0).sum();
        let bytes: i64 = sqlx::query_scalar(
            "select sum(pg_total_relation_size(inhrelid))::bigint
             from pg_inherits where inhparent = 'log.events'::regclass",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(format!("{events} events in {:.1} GB", bytes as f64 / 1e9))
    }
}

//! How fast is a forgiving search of ten thousand exercises, and does it find what was meant?
//!
//! Names of the library and combinations of their words are searched as a hasty thumb types them: a
//! beginning, two letters changed about, one missing, one too many. Beside it, in the same run on the same
//! names: Postgres with a trigram index (`pg_trgm`).
#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use domain::{library::Library, search::Index};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sqlx::PgPool;
use testkit::Database;

/// Where what was meant has to be.
const FIRST: usize = 5;

#[derive(Parser)]
struct Arguments {
    /// Exercises.
    #[arg(long, default_value_t = 10_000)]
    exercises: usize,
    /// Searches.
    #[arg(long, default_value_t = 1_000)]
    searches: usize,
}

#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    found: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut rng = StdRng::seed_from_u64(1);
    let names = names(arguments.exercises, &mut rng);
    ensure!(names.len() == arguments.exercises, "not enough words for so many names");
    let began = Instant::now();
    let mut index = Index::default();
    for name in &names {
        index.add([(name.as_str(), 1.0)]);
    }
    let built = began.elapsed();

    let database = Database::fresh().await;
    let owner = PgPool::connect(&database.owner_url()).await?;
    sqlx::raw_sql(
        "create extension pg_trgm; create table names (number int primary key, name text not null)",
    )
    .execute(&owner)
    .await?;
    let numbers: Vec<i32> = (0..).take(names.len()).collect();
    sqlx::query("insert into names select * from unnest($1::int[], $2::text[])")
        .bind(&numbers)
        .bind(&names)
        .execute(&owner)
        .await?;
    sqlx::raw_sql("create index on names using gin (name gin_trgm_ops); analyze names")
        .execute(&owner)
        .await?;

    let (mut ours, mut trigrams) = (Measured::default(), Measured::default());
    for _ in 0..arguments.searches {
        let meant = rng.random_range(0..names.len());
        let typed = typed(&names[meant], &mut rng);
        let began = Instant::now();
        let found = index.search(&typed);
        ours.times.push(began.elapsed());
        ours.found += usize::from(found.iter().take(FIRST).any(|(at, _)| *at == meant));

        let began = Instant::now();
        let found: Vec<i32> = sqlx::query_scalar(
            "select number from names where $1 <% name
             order by word_similarity($1, name) desc, similarity($1, name) desc limit 20",
        )
        .bind(&typed)
        .fetch_all(&owner)
        .await?;
        trigrams.times.push(began.elapsed());
        let meant = i32::try_from(meant)?;
        trigrams.found += usize::from(found.iter().take(FIRST).any(|number| *number == meant));
    }
    let share = |found: usize| 100.0 * found as f64 / arguments.searches as f64;
    println!(
        "bench search: exercises={} p50_ms={:.3} p99_ms={:.3} found_percent={:.1} built_ms={:.0} \
         trigram_p50_ms={:.3} trigram_p99_ms={:.3} trigram_found_percent={:.1}",
        names.len(),
        percentile(&mut ours.times, 50)?,
        percentile(&mut ours.times, 99)?,
        share(ours.found),
        built.as_secs_f64() * 1e3,
        percentile(&mut trigrams.times, 50)?,
        percentile(&mut trigrams.times, 99)?,
        share(trigrams.found),
    );
    Ok(())
}

fn percentile(times: &mut [Duration], percent: usize) -> Result<f64> {
    times.sort_unstable();
    let time = times.get(times.len() * percent / 100).context("no searches")?;
    Ok(time.as_secs_f64() * 1e3)
}

/// The names of the library, and new ones of their words.
fn names(count: usize, rng: &mut StdRng) -> Vec<String> {
    let library: Vec<&str> =
        Library::system().all().iter().map(|exercise| exercise.name.as_str()).collect();
    let words: Vec<String> = library
        .iter()
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| word.len() > 2)
        .map(str::to_lowercase)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut names: BTreeSet<String> =
        library.iter().take(count).map(|name| (*name).to_owned()).collect();
    for _ in 0..count * 20 {
        if names.len() >= count {
            break;
        }
        let some: Vec<&str> = words.sample(rng, 3).map(String::as_str).collect();
        names.insert(some.join(" "));
    }
    names.into_iter().collect()
}

/// A name as somebody types it: its longest words, one of them with a slip.
fn typed(name: &str, rng: &mut StdRng) -> String {
    let mut words: Vec<String> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(3);
    if let Some(word) = words.first_mut() {
        let mut letters: Vec<char> = word.chars().collect();
        let at = rng.random_range(0..letters.len());
        match rng.random_range(0..4) {
            0 if letters.len() > 4 => letters.truncate(letters.len() - 2),
            1 if at + 1 < letters.len() => letters.swap(at, at + 1),
            2 if letters.len() > 3 => {
                letters.remove(at);
            }
            _ => letters.insert(at, 'x'),
        }
        *word = letters.into_iter().collect();
    }
    words.join(" ")
}

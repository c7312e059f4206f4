//! What does a page of the feed cost a reader who follows many, among two million posts?
//!
//! Authors have keys and titles sealed with them. Rows of the read models are put there by SQL, as a replay
//! of their events would write them: posts, and for the newest of each author the workout with its
//! sets, likes and comments; some authors have a hundred thousand followers. Readers ask the product over
//! HTTP for their first and their tenth page; beside it, in the same run, a bare select of a post
//! by its key.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benches::percentile;
use clap::Parser;
use events::{AthleteId, Event, Personal, Visibility, WorkoutDetails, WorkoutStarted};
use log::Clock;
use projections::{history::History, social::Social};
use projector::{Projection, Projector};
use sqlx::PgPool;
use testkit::{App, Client, new_id};
use uuid::Uuid;

/// Posts of an author with workouts, likes and comments; older ones have none, for no page reaches them.
const NEWEST: i32 = 12;

/// Authors whose keys one transaction makes.
const KEYS: usize = 2_000;

#[derive(Parser)]
struct Arguments {
    /// Athletes who post.
    #[arg(long, default_value_t = 10_000)]
    authors: usize,
    /// Posts of all of them.
    #[arg(long, default_value_t = 2_000_000)]
    posts: usize,
    /// Authors with many followers, and how many those are.
    #[arg(long, default_value_t = 20)]
    famous: usize,
    /// How many follow each of those.
    #[arg(long, default_value_t = 100_000)]
    followers: usize,
    /// Readers of each kind.
    #[arg(long, default_value_t = 10)]
    readers: usize,
    /// How often each asks for each page.
    #[arg(long, default_value_t = 60)]
    times: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::without_projector(&binary).await;
    let owner = PgPool::connect(&app.database.owner_url()).await?;
    let mut readers = Vec::new();
    for followed in [1_000, 100] {
        for _ in 0..arguments.readers {
            readers.push((followed, app.athlete().await));
        }
    }
    build::<Social>(&app).await?;
    build::<History>(&app).await?;
    let began = Instant::now();
    let authors = authors(&app, &owner, arguments.authors).await?;
    fill(&owner, &arguments, &authors).await?;
    for (number, (followed, reader)) in readers.iter().enumerate() {
        follow(&owner, reader, &authors, *followed, number, arguments.famous).await?;
    }
    // What Postgres would do by and by, and in the middle of the measurement.
    for statement in ["vacuum analyze", "checkpoint"] {
        sqlx::raw_sql(statement).execute(&owner).await?;
    }
    eprintln!("filled in {:.0} s", began.elapsed().as_secs_f64());

    let mut shown = Vec::new();
    for wanted in [1_000, 100] {
        let of_kind = readers.iter().filter(|(followed, _)| *followed == wanted);
        let (mut first, mut tenth) = (Vec::new(), Vec::new());
        for (_, reader) in of_kind {
            let deep = tenth_page(reader).await?;
            for time in 0..=arguments.times {
                let times = [ask(reader, "/v1/feed").await?, ask(reader, &deep).await?];
                // What the first costs more is of a process that has just begun.
                if time > 0 {
                    first.push(times[0]);
                    tenth.push(times[1]);
                }
            }
        }
        let mut all = [first.as_slice(), &tenth].concat();
        for (name, times) in [("first", &mut first), ("tenth", &mut tenth)] {
            times.sort_unstable();
            eprintln!(
                "{wanted} followed, {name} page: p50 {:.2} ms, p99 {:.2} ms",
                percentile(times, 50),
                percentile(times, 99)
            );
        }
        all.sort_unstable();
        shown.push(format!("p99_ms_{wanted}_followed={:.2}", percentile(&all, 99)));
    }
    let mut selected = select(&owner, &authors, 2_000).await?;
    selected.sort_unstable();
    println!("bench feed: {} select_p99_ms={:.2}", shown.join(" "), percentile(&selected, 99));
    Ok(())
}

/// The tables of a model, which stand where the log does.
async fn build<P: Projection>(app: &App) -> Result<()> {
    let reader = app.database.log().reader().clone();
    let mut projector = Projector::<P>::new(&app.database.connect_projector(), reader)
        .with_keys(Some(app.database.projector_keys()));
    projector.prepare().await?;
    while projector.step(None, 1_000).await? > 0 {}
    Ok(())
}

/// An author, and what the row of a workout of theirs says.
struct Author {
    id: Uuid,
    details: String,
}

async fn authors(app: &App, owner: &PgPool, count: usize) -> Result<Vec<Author>> {
    let database = app.database.connect_api();
    let log = app.database.log();
    let now = Clock::system().now();
    let mut authors = Vec::with_capacity(count);
    while authors.len() < count {
        let ids: Vec<AthleteId> = (authors.len()..count)
            .take(KEYS)
            .map(|_| AthleteId::new(new_id()))
            .collect::<Result<_, _>>()?;
        let mut transaction = database.pool.begin().await?;
        for id in &ids {
            log.keys().create(&mut transaction, *id, now).await?;
        }
        transaction.commit().await?;
        for id in ids {
            let details = WorkoutDetails {
                started_at: now,
                title: Some(Personal::Clear("Push day".to_owned())),
                notes: Some(Personal::Clear("It went well, all in all".to_owned())),
                visibility: Visibility::Followers,
            };
            let (imported_from, routine, plan) = (None, None, Vec::new());
            let mut event: Event = WorkoutStarted { details, imported_from, routine, plan }.into();
            ensure!(log.keys().seal(id, &mut event).await?, "a key");
            let Event::WorkoutStarted(started) = event else { continue };
            let details = serde_json::to_string(&started.details)?;
            authors.push(Author { id: id.uuid(), details });
        }
    }
    let ids: Vec<Uuid> = authors.iter().map(|author| author.id).collect();
    sqlx::query(
        "insert into social_v1.athletes
         select id, 'author' || n, 'Author ' || n, false, true, now()
         from unnest($1::uuid[]) with ordinality as a (id, n)",
    )
    .bind(&ids)
    .execute(owner)
    .await?;
    sqlx::query(
        "insert into history_v6.athletes select id, 'Europe/Paris' from unnest($1::uuid[]) as a (id)",
    )
    .bind(&ids)
    .execute(owner)
    .await?;
    Ok(authors)
}

/// Posts and what belongs to them.
async fn fill(owner: &PgPool, arguments: &Arguments, authors: &[Author]) -> Result<()> {
    let each = i32::try_from(arguments.posts / arguments.authors)?;
    let ids: Vec<Uuid> = authors.iter().map(|author| author.id).collect();
    let details: Vec<&str> = authors.iter().map(|author| author.details.as_str()).collect();
    let set = r#"{"exercise":"EXERCISE","number":1,"kind":"normal","side":"both","reps":5,"weight":{"value":"100","unit":"kg","kg":"100"},"performed_at":"2026-11-01T10:00:00Z"}"#;
    // Each posts every eight hours or so, in no order.
    sqlx::raw_sql(
        "create table posts_to_be (owner uuid, post uuid, n int, at timestamptz, details text)",
    )
    .execute(owner)
    .await?;
    sqlx::query(
        "insert into posts_to_be
         select id, (lpad(to_hex(1760000000000 - n::bigint * 28800000), 12, '0') || '7'
                 || substr(md5(id::text || n), 1, 3) || '8' || substr(md5(n || id::text), 1, 15))::uuid,
             n, now() - n * interval '8 hours' - random() * interval '8 hours', details
         from unnest($1::uuid[], $2::text[]) as a (id, details)
         cross join generate_series(0, $3 - 1) as n",
    )
    .bind(&ids)
    .bind(&details)
    .bind(each)
    .execute(owner)
    .await?;
    let statements = [
        "insert into social_v1.posts
         select owner, 1, post, 2, at, null, false, '{\"text\":null,\"records_withheld\":false}'
         from posts_to_be"
            .to_owned(),
        format!(
            "insert into history_v6.workouts
             select owner, post, true, at - interval '1 hour', at, false, null, details, null
             from posts_to_be where n < {NEWEST}"
        ),
        format!(
            "insert into history_v6.workout_sets
             select p.owner, p.post, gen_random_uuid_7(s), s, e.name, replace('{set}', 'EXERCISE', e.name), false
             from posts_to_be p
             cross join generate_series(1, 18) as s
             join (values (0, 'bench-press-barbell'), (1, 'squat-barbell'), (2, 'deadlift-barbell'))
                 as e (number, name) on e.number = s / 7
             where p.n < {NEWEST}"
        ),
        format!(
            "insert into social_v1.like_counts
             select l, owner, 1, post, 3 from posts_to_be cross join generate_series(0, 15) as l
             where n < {NEWEST}"
        ),
        format!(
            "insert into social_v1.comments
             select owner, gen_random_uuid_7(c), owner, 1, post, at, null, false, 'null'
             from posts_to_be cross join generate_series(1, 3) as c where n < {NEWEST}"
        ),
    ];
    sqlx::raw_sql(
        "create function gen_random_uuid_7(n int) returns uuid language sql volatile as $$
             select (substr(x, 1, 12) || '7' || substr(x, 13, 3) || '8' || substr(x, 16, 15))::uuid
             from (select md5(random()::text || n) as x) x
         $$",
    )
    .execute(owner)
    .await?;
    for statement in statements {
        let began = Instant::now();
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(owner).await?;
        let took = began.elapsed().as_secs_f64();
        eprintln!("{} rows in {took:.0} s", rows.rows_affected());
    }
    // Whoever they are: their rows are of no author.
    sqlx::query(
        "insert into social_v1.ties
         select gen_random_uuid_7(n), id, gen_random_uuid_7(-n), false, now(), null, null, null
         from unnest($1::uuid[]) as a (id) cross join generate_series(1, $2) as n",
    )
    .bind(&ids[..arguments.famous.min(ids.len())])
    .bind(i32::try_from(arguments.followers)?)
    .execute(owner)
    .await?;
    Ok(())
}

/// A reader follows some of the famous, and others here and there.
async fn follow(
    owner: &PgPool,
    reader: &Client,
    authors: &[Author],
    count: usize,
    number: usize,
    famous: usize,
) -> Result<()> {
    let others = authors.len() - famous;
    ensure!(others >= count, "there are too few authors");
    let step = (others / count).max(1);
    let followed: Vec<Uuid> = (0..count)
        .map(|index| {
            let famous_one = index < famous / 2;
            let at = if famous_one { index } else { famous + (index * step + number) % others };
            authors[at].id
        })
        .collect();
    sqlx::query(
        "insert into social_v1.ties
         select $1, id, gen_random_uuid_7(1), false, now(), null, null, null
         from unnest($2::uuid[]) as a (id)
         on conflict do nothing",
    )
    .bind(reader.athlete.context("an athlete")?)
    .bind(&followed)
    .execute(owner)
    .await?;
    Ok(())
}

async fn ask(reader: &Client, path: &str) -> Result<Duration> {
    let began = Instant::now();
    let answer = reader.get(path).await.expect(200);
    let took = began.elapsed();
    let posts = answer.list();
    ensure!(posts.len() == 20, "{} posts on a page", posts.len());
    let is_whole = |post: &serde_json::Value| {
        post["workout"]["title"] == "Push day" && post["likes"] == 48 && post["comments"] == 3
    };
    ensure!(posts.iter().all(is_whole), "a post lacks something: {}", posts[0]);
    Ok(took)
}

/// The path of a reader's tenth page.
async fn tenth_page(reader: &Client) -> Result<String> {
    let mut path = "/v1/feed".to_owned();
    for _ in 1..10 {
        let page = reader.get(&path).await.expect(200);
        let next = page.meta()["next_cursor"].as_str().context("another page")?.to_owned();
        path = format!("/v1/feed?cursor={next}");
    }
    Ok(path)
}

/// Single posts by their keys, one after the other.
async fn select(owner: &PgPool, authors: &[Author], times: usize) -> Result<Vec<Duration>> {
    let keys: Vec<(Uuid, i16, Uuid)> = sqlx::query_as(
        "select p.owner, p.kind, p.post from social_v1.posts p
         where p.owner = any($1) and p.posted_at > now() - interval '60 days'
         limit $2",
    )
    .bind(authors.iter().step_by(7).map(|author| author.id).collect::<Vec<_>>())
    .bind(i64::try_from(times)?)
    .fetch_all(owner)
    .await?;
    let mut took = Vec::with_capacity(times);
    for (author, kind, post) in keys {
        let began = Instant::now();
        let _: String = sqlx::query_scalar(
            "select content from social_v1.posts where owner = $1 and kind = $2 and post = $3",
        )
        .bind(author)
        .bind(kind)
        .bind(post)
        .fetch_one(owner)
        .await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

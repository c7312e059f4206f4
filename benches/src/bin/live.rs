//! How soon do a thousand clients who watch a leaderboard see a new record, and what do they miss when
//! their process is killed?
//!
//! Two `api` processes, a projector of all models and Redis; half of the clients are at each process.
//! Somebody breaks the record again and again: from the moment that the command is sent until a client
//! has read the event. Then one process is killed without a word, records go on, and its clients go to the
//! other one with the id of the last event that they had. In the end all must show the same.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it does")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use benches::percentile;
use clap::Parser;
use serde_json::json;
use testkit::{App, Client, Watching};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

const BOARD: &str = "bench-press-barbell";

/// Streams of an athlete.
const STREAMS: usize = 1;

#[derive(Parser)]
struct Arguments {
    /// Clients who watch.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Records while both processes run.
    #[arg(long, default_value_t = 30)]
    records: u32,
}

/// What a client tells of: it shows this much at the top, since then.
struct Saw {
    kg: u32,
    at: Instant,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = std::env::current_exe()?.with_file_name("ironledger");
    ensure!(binary.exists(), "{} is not built: cargo build -p ironledger", binary.display());
    let app = App::start(&binary).await;
    let (mut other, url) = app.another_api().await;
    let champion = app.athlete().await;
    set_record(&champion, 50).await?;
    let mut athletes = Vec::new();
    for _ in 0..arguments.clients.div_ceil(STREAMS) {
        athletes.push(app.athlete().await);
    }
    let (seen, mut sightings) = mpsc::unbounded_channel();
    let (end, _) = watch::channel(0_u32);
    let end = Arc::new(end);
    let mut watching = JoinSet::new();
    for number in 0..arguments.clients {
        let client = &athletes[number / STREAMS];
        let here = client.clone();
        let there = client.at(&url);
        let first = if number % 2 == 0 { here.clone() } else { there };
        watching.spawn(watches(first, here, seen.clone(), end.subscribe()));
    }
    drop(seen);
    let mut times = Vec::new();
    for number in 0..arguments.records {
        let kg = 51 + number;
        let began = set_record(&champion, kg).await?;
        if number == 0 {
            // Those who were just coming are told of it in the whole.
            all_saw(&mut sightings, kg, arguments.clients, began, None).await?;
            continue;
        }
        all_saw(&mut sightings, kg, arguments.clients, began, Some(&mut times)).await?;
    }
    eprintln!("{} sightings", times.len());

    other.kill();
    let last = 51 + arguments.records;
    let began = set_record(&champion, last).await?;
    all_saw(&mut sightings, last, arguments.clients, began, None).await?;
    let back = began.elapsed();
    end.send_replace(last);
    let (mut resumed, mut lost) = (0, 0);
    while let Some(ended) = watching.join_next().await {
        let (came_again, shows_all) = ended?;
        resumed += usize::from(came_again);
        lost += usize::from(!shows_all);
    }
    ensure!(app.errors().is_empty(), "{:?}", app.errors());
    times.sort_unstable();
    println!(
        "bench live: clients={} processes=2 records={} reach_p50_ms={:.0} reach_p99_ms={:.0} \
         resumed={resumed} all_back_ms={} lost={lost}",
        arguments.clients,
        arguments.records - 1,
        percentile(&times, 50),
        percentile(&times, 99),
        back.as_millis(),
    );
    ensure!(lost == 0, "{lost} clients show something else");
    Ok(())
}

/// Lifts so much in a workout of its own; answers when the last command was sent.
async fn set_record(champion: &Client, kg: u32) -> Result<Instant> {
    let workout = champion.start_workout(json!({})).await;
    champion.log_set(&workout, testkit::bench(1, kg)).await.expect(201);
    let began = Instant::now();
    champion.complete(&workout, json!({})).await.expect(200);
    Ok(began)
}

/// Waits until every client shows so much at the top.
async fn all_saw(
    sightings: &mut mpsc::UnboundedReceiver<Saw>,
    kg: u32,
    clients: usize,
    began: Instant,
    mut times: Option<&mut Vec<Duration>>,
) -> Result<()> {
    let mut missing = clients;
    while missing > 0 {
        let saw = timeout(Duration::from_secs(60), sightings.recv()).await;
        let saw = saw.with_context(|| format!("{missing} clients do not see {kg} kg"))?;
        let saw = saw.context("clients")?;
        if saw.kg == kg {
            missing -= 1;
            if let Some(times) = &mut times {
                times.push(saw.at.saturating_duration_since(began));
            }
        }
    }
    Ok(())
}

/// Watches until the last record, here or, once that process is gone, there. Answers whether it had to come
/// again, and whether it shows what a client shows that comes anew.
async fn watches(
    first: Client,
    then: Client,
    seen: mpsc::UnboundedSender<Saw>,
    mut end: watch::Receiver<u32>,
) -> (bool, bool) {
    let path = format!("{BOARD}/live");
    let (mut client, mut came_again) = (first, false);
    let mut known: Option<Watching> = None;
    loop {
        let last_id = known.as_ref().map(|known| known.last_id.clone());
        let Some(mut events) = Watching::try_of(&client, &path, last_id.as_deref()).await else {
            (client, came_again) = (then.clone(), true);
            continue;
        };
        if let Some(known) = known.take() {
            events.shown = known.shown;
        }
        loop {
            tokio::select! {
                event = events.next() => {
                    if event.is_none() {
                        break;
                    }
                    if let Some(kg) = events.scores().first() {
                        seen.send(Saw { kg: *kg as u32, at: Instant::now() }).ok();
                    }
                }
                last = async { end.wait_for(|last| *last > 0).await.map_or(0, |last| *last) } => {
                    let last = f64::from(last);
                    // One of each athlete's has to go, so that another may come.
                    let shown = std::mem::take(&mut events.shown);
                    drop(events);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let Some(mut anew) = Watching::try_of(&then, &path, None).await else {
                        return (came_again, shown.first().is_some_and(|top| top["score"] == last));
                    };
                    anew.next().await;
                    return (came_again, anew.shown == shown);
                }
            }
        }
        (client, came_again) = (then.clone(), true);
        known = Some(events);
    }
}

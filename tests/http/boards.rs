//! `/v1/leaderboards`: who stands where, for whom, and as it changes.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::{App, Client, Watching, eventually, new_id};

use crate::{
    app, binary,
    caches::connect,
    social::{follow, me, named, of, put, set_private},
};

const BENCH: &str = "bench-press-barbell";

fn now() -> DateTime<Utc> {
    log::Clock::system().now().utc()
}

fn set(exercise: &str, reps: u32, kg: f64) -> Value {
    json!({ "exercise": exercise, "number": 1, "reps": reps, "weight": { "value": kg, "unit": "kg" } })
}

/// A completed workout of a minute ago; answers its path and the position.
pub(crate) async fn train(athlete: &Client, sets: &[Value]) -> (String, String) {
    let start = now() - TimeDelta::minutes(1);
    let workout = athlete.start_workout(json!({ "started_at": start.to_rfc3339() })).await;
    for set in sets {
        athlete.log_set(&workout, set.clone()).await.expect(201);
    }
    let done = athlete.complete(&workout, json!({})).await.expect(200);
    (workout, done.position().to_owned())
}

async fn weigh(athlete: &Client, kg: f64) -> String {
    let body = json!({
        "measured_at": (now() - TimeDelta::minutes(2)).to_rfc3339(),
        "bodyweight": { "value": kg, "unit": "kg" },
    });
    athlete.post("/v1/athletes/me/measurements", body).await.expect(201).position().to_owned()
}

async fn board(athlete: &Client, query: &str, position: &str) -> Value {
    let path = format!("/v1/leaderboards/{query}");
    athlete.get_at(&path, position).await.expect(200).data().clone()
}

/// Ranks and scores, in their order.
fn places(entries: &Value) -> Vec<(i64, f64)> {
    let entries = entries.as_array().unwrap();
    let place = |entry: &Value| (entry["rank"].as_i64().unwrap(), entry["score"].as_f64().unwrap());
    entries.iter().map(place).collect()
}

fn names(entries: &Value) -> Vec<&Value> {
    entries.as_array().unwrap().iter().map(|entry| &entry["athlete"]["username"]).collect()
}

#[tokio::test]
async fn everyone_has_a_rank_equals_share_it_and_a_revoked_record_gives_its_place_back() {
    let app = App::start(binary()).await;
    let (ada, ada_name, _) = named(&app, "ada").await;
    let (bob, bob_name, _) = named(&app, "bob").await;
    let (eve, eve_name, _) = named(&app, "eve").await;
    let path = |query: &str| format!("{BENCH}{query}");
    let nothing = board(&ada, &path(""), &weigh(&ada, 60.0).await).await;
    assert_eq!((&nothing["top"], &nothing["me"]), (&json!([]), &Value::Null));
    assert_eq!(nothing["athletes"], 0);

    let (workout, _) = train(&ada, &[set(BENCH, 1, 100.0), set(BENCH, 5, 80.0)]).await;
    train(&bob, &[set(BENCH, 1, 100.0)]).await;
    let (_, position) = train(&eve, &[set(BENCH, 1, 90.0)]).await;
    // Everybody's, whichever partition they are in.
    let shown = eventually("three places", async || {
        let shown = board(&eve, &path(""), &position).await;
        (shown["athletes"] == 3).then_some(shown)
    })
    .await;
    assert_eq!(places(&shown["top"]), [(1, 100.0), (1, 100.0), (3, 90.0)]);
    let mut first = [(me(&ada), &ada_name), (me(&bob), &bob_name)];
    first.sort();
    assert_eq!(names(&shown["top"]), [first[0].1, first[1].1, &eve_name], "equals by id");
    assert_eq!((&shown["me"]["rank"], &shown["me"]["score"]), (&json!(3), &json!(90)));
    assert_eq!(places(&shown["around"]), places(&shown["top"]));
    assert_eq!(shown["exercise"]["id"], BENCH);
    assert_eq!((&shown["unit"], &shown["period"]), (&json!("kg"), &Value::Null));
    let pounds = board(&eve, &path("?unit=lb&limit=1"), &position).await;
    assert_eq!((&pounds["unit"], &pounds["top"][0]["score"]), (&json!("lb"), &json!(220.46)));
    assert_eq!(pounds["top"].as_array().unwrap().len(), 1);

    // What counts now is the other set, of 80 kg five times, by Brzycki.
    let sets = ada.get(&workout).await.expect(200);
    let heavy =
        sets.data()["sets"].as_array().unwrap().iter().find(|set| set["reps"] == 1).unwrap();
    let id = heavy["id"].as_str().unwrap();
    let gone = ada.delete(&format!("{workout}/sets/{id}")).await.expect(200);
    let shown = board(&ada, &path(""), gone.position()).await;
    assert_eq!(places(&shown["top"]), [(1, 100.0), (2, 90.0), (2, 90.0)]);
    let discarded = ada.delete(&workout).await.expect(200);
    let shown = board(&ada, &path(""), discarded.position()).await;
    assert_eq!((places(&shown["top"]), &shown["me"]), (vec![(1, 100.0), (2, 90.0)], &Value::Null));
}

#[tokio::test]
async fn only_completed_workouts_and_confirmed_sets_have_a_place() {
    let app = app().await;
    let athlete = app.athlete().await;
    let (_, position) = train(&athlete, &[set(BENCH, 5, 90.0)]).await;
    athlete.get_at("/v1/records", &position).await.expect(200);
    let workout = athlete.start_workout(json!({})).await;
    let open = athlete.log_set(&workout, set(BENCH, 5, 99.0)).await.expect(201);
    let mine =
        async |position: &str, name: &str| board(&athlete, name, position).await["me"].clone();
    assert_eq!(mine(open.position(), BENCH).await["score"], 101.25);
    let slip = athlete.log_set(&workout, set(BENCH, 5, 1000.0)).await.expect(201);
    assert_eq!(slip.data()["set"]["unusual"], true);
    let done = athlete.complete(&workout, json!({})).await.expect(200);
    assert_eq!(mine(done.position(), BENCH).await["score"], 111.375);
    assert_eq!(mine(done.position(), "volume-week").await["score"], 945);
    let confirm = format!("{}/confirm", slip.header("location"));
    let confirmed = athlete.post(&confirm, json!({})).await.expect(200);
    assert_eq!(mine(confirmed.position(), BENCH).await["score"], 1125);
    assert_eq!(mine(confirmed.position(), BENCH).await["set"], slip.data()["set"]["id"]);
    assert_eq!(mine(confirmed.position(), "volume-week").await["score"], 5945);
    assert_eq!(mine(confirmed.position(), "workouts-all-time").await["score"], 2);
}

#[tokio::test]
async fn points_and_classes_are_of_the_sex_and_the_bodyweight_of_the_day() {
    let app = app().await;
    let athlete = app.athlete().await;
    let lifts =
        [set("squat-barbell", 1, 200.0), set(BENCH, 1, 140.0), set("deadlift-barbell", 1, 240.0)];
    let (_, trained) = train(&athlete, &lifts).await;
    let mine =
        async |query: &str, position: &str| board(&athlete, query, position).await["me"].clone();
    assert_eq!(mine("dots", &trained).await, Value::Null, "without a bodyweight and a sex");
    weigh(&athlete, 82.5).await;
    let body = json!({ "sex": "male" });
    let told = athlete.patch("/v1/athletes/me", body).await.expect(200);
    let position = told.position();
    let dots = mine("dots", position).await;
    assert_eq!((&dots["score"], &dots["weight_class"]), (&json!(392.89), &json!("83")));
    assert_eq!(mine("dots?sex=male&class=83", position).await["score"], 392.89);
    assert_eq!(mine("dots?sex=male&class=93", position).await, Value::Null);
    assert_eq!(mine("dots?sex=female", position).await, Value::Null);
    let lift = mine("squat-barbell?sex=male&class=83", position).await;
    assert_eq!((&lift["score"], &lift["sex"]), (&json!(200), &json!("male")));
    let told = athlete.patch("/v1/athletes/me", json!({ "sex": "female" })).await.expect(200);
    assert_eq!(mine("squat-barbell?sex=female&class=84", told.position()).await["score"], 200);
    // A plus that is none in a query string.
    let heavy = mine("squat-barbell?sex=female&class=84+", told.position()).await;
    assert_eq!(heavy, Value::Null);
}

#[tokio::test]
async fn those_i_follow_are_a_board_and_who_is_private_has_a_rank_and_no_name() {
    let app = App::start(binary()).await;
    let (ada, ada_name, _) = named(&app, "ada").await;
    let (bob, bob_name, _) = named(&app, "bob").await;
    let (eve, _, _) = named(&app, "eve").await;
    train(&ada, &[set(BENCH, 1, 80.0)]).await;
    train(&bob, &[set(BENCH, 1, 100.0)]).await;
    let (_, position) = train(&eve, &[set(BENCH, 1, 120.0)]).await;
    eventually("three places", async || {
        (board(&eve, BENCH, &position).await["athletes"] == 3).then_some(())
    })
    .await;
    follow(&ada, &bob).await;
    let following = format!("{BENCH}?of=following");
    let shown = ada.get(&format!("/v1/leaderboards/{following}")).await.expect(200);
    let shown = shown.data();
    assert_eq!(places(&shown["top"]), [(1, 100.0), (2, 80.0)]);
    assert_eq!(names(&shown["top"]), [&bob_name, &ada_name]);
    assert_eq!((&shown["athletes"], &shown["me"]["rank"]), (&json!(2), &json!(2)));

    // At once, however far the projector is.
    set_private(&bob, true).await;
    let all = async |reader: &Client| {
        let shown = reader.get(&format!("/v1/leaderboards/{BENCH}")).await.expect(200);
        shown.data()["top"].as_array().unwrap().clone()
    };
    let to_eve = all(&eve).await;
    assert_eq!((&to_eve[1]["rank"], &to_eve[1]["athlete"]), (&json!(2), &Value::Null));
    assert_eq!(all(&ada).await[1]["athlete"]["username"], bob_name.as_str(), "a follower");
    assert_eq!(all(&bob).await[1]["athlete"]["username"], bob_name.as_str(), "oneself");
    put(&bob, &of(&ada, "block")).await.expect(200);
    assert_eq!(all(&ada).await[1]["athlete"], Value::Null);
    let shown = ada.get(&format!("/v1/leaderboards/{following}")).await.expect(200);
    assert_eq!(places(&shown.data()["top"]), [(1, 80.0)]);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_in_full() {
    let app = app().await;
    let athlete = app.athlete().await;
    let get = async |query: &str| athlete.get(&format!("/v1/leaderboards/{query}")).await;
    for none in ["push-up", "volume-year", "nothing", "Dots", "%00", &new_id().to_string()] {
        get(none).await.refused(404, "NOT_FOUND");
        get(&format!("{none}/live")).await.refused(404, "NOT_FOUND");
    }
    let wrong = get("dots?limit=0&class=60&sex=x&on=2026-02-30&of=friends&x=1").await;
    let mut fields: Vec<String> = wrong.error_fields().iter().map(ToString::to_string).collect();
    fields.sort();
    assert_eq!(fields, ["class", "limit", "of", "on", "sex", "x"]);
    wrong.refused(400, "VALIDATION_ERROR");
    let today = now().date_naive();
    for (query, field) in [
        ("dots?limit=10000".to_owned(), "limit"),
        ("dots?class=83".to_owned(), "sex"),
        ("dots?sex=female&class=83".to_owned(), "class"),
        (format!("dots?on={today}"), "on"),
        ("dots?on=9999-12-31".to_owned(), "on"),
        ("dots?on=yesterday".to_owned(), "on"),
    ] {
        let wrong = get(&query).await;
        assert_eq!(wrong.error_fields(), [field], "{query}");
        wrong.refused(400, "VALIDATION_ERROR");
    }
    let empty = get("volume-week?on=2020-02-01").await.expect(200);
    assert_eq!((&empty.data()["top"], &empty.data()["me"]), (&json!([]), &Value::Null));
    assert_eq!(empty.data()["period"], json!({ "from": "2020-01-27", "to": "2020-02-02" }));
    let all = get("").await;
    assert_eq!(all.status, 404, "a list has no slash behind it");
    let all = athlete.get("/v1/leaderboards").await.expect(200);
    let names = all.each("board");
    assert!(names.len() > 100 && names.contains(&&json!("squat-barbell")), "{}", names.len());
    assert!(!names.contains(&&json!("push-up")), "it has no weight to estimate anything from");
}

#[tokio::test]
async fn a_board_moves_while_somebody_watches_on_every_process() {
    let app = App::start(binary()).await;
    let (_other, url) = app.another_api().await;
    let (ada, _, _) = named(&app, "ada").await;
    let (bob, bob_name, _) = named(&app, "bob").await;
    train(&ada, &[set(BENCH, 1, 80.0)]).await;
    let path = format!("{BENCH}/live");
    let mut here = Watching::of(&ada, &path, None).await.unwrap();
    assert_eq!(here.next().await.unwrap().0, "board");
    while here.scores() != [80.0] {
        assert_eq!(here.next().await.unwrap(), ("changes".to_owned(), 1));
    }
    let mut there = Watching::of(&ada.at(&url), &path, None).await.unwrap();
    assert_eq!(there.next().await.unwrap(), ("board".to_owned(), 1));
    let (workout, _) = train(&bob, &[set(BENCH, 1, 100.0)]).await;
    for events in [&mut here, &mut there] {
        assert_eq!(events.next().await.unwrap(), ("changes".to_owned(), 2));
        assert_eq!(events.scores(), [100.0, 80.0]);
        assert_eq!(events.shown[0]["athlete"]["username"], bob_name.as_str());
    }
    // What it missed meanwhile is told of the state that it had: by the process that knows that …
    let (mut known, mut unknown) = (here.last_id.clone(), there.last_id.clone());
    assert_eq!(known.split('-').nth(3), unknown.split('-').nth(3), "the same state");
    drop((here, there));
    bob.delete(&workout).await.expect(200);
    let mut stays = Watching::of(&ada, &path, None).await.unwrap();
    stays.next().await.unwrap();
    while stays.scores() != [80.0] {
        stays.next().await.unwrap();
    }
    for last in [&mut known, &mut unknown] {
        let mut back = Watching::of(&ada, &path, Some(last)).await.unwrap();
        back.shown = vec![Value::Null; 2];
        back.next().await.unwrap();
        assert_eq!(back.scores(), [80.0]);
    }
    // Who has seen all there is gets a stream, in which nothing happens yet.
    let seen_all = Watching::of(&ada, &path, Some(&stays.last_id));
    tokio::time::timeout(Duration::from_secs(10), seen_all).await.unwrap().ok().unwrap();
    // … and of a state of the future, or of long ago, the whole.
    let (name, state) = stays.last_id.rsplit_once('/').unwrap();
    let state = state.split_once('-').unwrap().1;
    for at in ["99999999999999", "1"] {
        let id =
            format!("{name}/{at}-{}", if at == "1" { "0000000000000000-00000000" } else { state });
        let mut back = Watching::of(&ada, &path, Some(&id)).await.unwrap();
        assert_eq!(back.next().await.unwrap(), ("board".to_owned(), 1), "{at}");
    }
    let last = stays.last_id.as_str();
    for (other, id) in [
        ("dots/live", last),
        (&format!("{path}?sex=male"), last),
        (&path, "nonsense"),
        (&path, "bench-press-barbell/all/1-2"),
        (&path, "bench-press-barbell/all/x-y-z"),
    ] {
        let refused = Watching::of(&ada, other, Some(id)).await.err().expect("a refusal");
        assert_eq!(refused.error_fields(), ["Last-Event-ID"], "{other} {id}");
        refused.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn who_is_private_loses_the_name_in_a_stream_and_keeps_the_place() {
    let app = App::start(binary()).await;
    let (ada, _, _) = named(&app, "ada").await;
    let (bob, bob_name, _) = named(&app, "bob").await;
    train(&bob, &[set(BENCH, 1, 100.0)]).await;
    let mut events = Watching::of(&ada, &format!("{BENCH}/live"), None).await.unwrap();
    while events.scores() != [100.0] || events.shown[0]["athlete"]["username"] != bob_name.as_str()
    {
        events.next().await.unwrap();
    }
    set_private(&bob, true).await;
    while events.shown[0]["athlete"] != Value::Null {
        events.next().await.unwrap();
    }
    assert_eq!(events.scores(), [100.0]);
}

#[tokio::test]
async fn ten_boards_are_watched_at_the_same_time_whichever_process_shows_them() {
    let app = App::start(binary()).await;
    let (_other, url) = app.another_api().await;
    let ada = app.athlete().await;
    let there = ada.at(&url);
    let mut all = Vec::new();
    for number in 0..10 {
        let on = if number % 2 == 0 { &ada } else { &there };
        let mut events = Watching::of(on, "dots/live", None).await.unwrap();
        events.next().await.unwrap();
        all.push(events);
    }
    for on in [&ada, &there] {
        let refused = Watching::of(on, "volume-week/live", None).await.err().expect("the 11th");
        assert!(!refused.header("retry-after").is_empty());
        refused.refused(429, "TOO_MANY_STREAMS");
    }
    app.athlete().await.get("/v1/leaderboards/dots").await.expect(200);
    all.truncate(9);
    eventually("a place that is free again", async || {
        Watching::of(&there, "volume-week/live", None).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_whose_place_others_have_taken_meanwhile() {
    let app = App::start(binary()).await;
    let ada = app.athlete().await;
    let mut events = Watching::of(&ada, "dots/live", None).await.unwrap();
    events.next().await.unwrap();
    // As if this process had been away for so long that ten others came.
    let mut redis = connect(&std::env::var("REDIS_URL").unwrap()).await;
    let key = format!("{}:watching:{}", app.database.name(), ada.athlete.unwrap());
    let places: i64 = redis::cmd("ZCARD").arg(&key).query_async(&mut redis).await.unwrap();
    assert_eq!(places, 1);
    let mut others = redis::pipe();
    others.del(&key).ignore();
    let until = (now() + TimeDelta::minutes(1)).timestamp_millis();
    for _ in 0..10 {
        others.zadd(&key, new_id().as_bytes(), until).ignore();
    }
    others.query_async::<()>(&mut redis).await.unwrap();
    let rest = async { while events.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), rest).await.expect("an end");
}

#[tokio::test]
async fn a_client_that_never_reads_holds_nobody_up() {
    let app = App::start(binary()).await;
    let (ada, _, _) = named(&app, "ada").await;
    let (eve, _, _) = named(&app, "eve").await;
    let path = format!("{BENCH}/live");
    let _never = Watching::of(&eve, &path, None).await.unwrap();
    let mut events = Watching::of(&ada, &path, None).await.unwrap();
    events.next().await.unwrap();
    for kg in [50.0, 60.0, 70.0] {
        train(&ada, &[set(BENCH, 1, kg)]).await;
        while events.scores() != [kg] {
            events.next().await.unwrap();
        }
    }
}

#[tokio::test]
async fn streams_end_when_a_process_stops_so_that_clients_go_to_another() {
    let app = App::start(binary()).await;
    let (mut other, url) = app.another_api().await;
    let (ada, _, _) = named(&app, "ada").await;
    train(&ada, &[set(BENCH, 1, 80.0)]).await;
    let path = format!("{BENCH}/live");
    let mut events = Watching::of(&ada.at(&url), &path, None).await.unwrap();
    events.next().await.unwrap();
    while events.scores() != [80.0] {
        events.next().await.unwrap();
    }
    let began = Instant::now();
    assert!(other.stop().await.success());
    assert!(began.elapsed() < Duration::from_secs(8), "nobody waits for streams");
    while events.next().await.is_some() {}
    train(&ada, &[set(BENCH, 1, 90.0)]).await;
    let mut back = Watching::of(&ada, &path, Some(&events.last_id)).await.unwrap();
    back.shown = events.shown;
    while back.scores() != [90.0] {
        back.next().await.unwrap();
    }
}

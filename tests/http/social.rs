//! `/v1/feed`, `/v1/posts…`, `/v1/users…`: who follows whom, what they show each other, and what they make
//! of it.

use projections::history::History;
use serde_json::{Value, json};
use testkit::{
    Answer, App, Client, Method, bench, eventually,
    model::social::{Outcome, Product},
    new_id,
};
use tokio::task::JoinSet;

use crate::{announcements::so_many, app, binary};

pub(crate) async fn put(client: &Client, path: &str) -> Answer {
    Answer::to(client.request(Method::PUT, path)).await
}

pub(crate) fn of(athlete: &Client, what: &str) -> String {
    format!("/v1/athletes/{}/{what}", athlete.athlete.unwrap())
}

/// An athlete with a username of their own, and where on the log that is.
pub(crate) async fn named(app: &App, name: &str) -> (Client, String, String) {
    let athlete = app.athlete().await;
    let username = format!("{name}.{}", &new_id().simple().to_string()[20..]);
    let body = json!({ "username": username, "name": format!("{name} Example") });
    let changed = athlete.patch("/v1/athletes/me", body).await.expect(200);
    (athlete, username, changed.position().to_owned())
}

/// Follows a public profile, and waits until the feed knows.
pub(crate) async fn follow(reader: &Client, author: &Client) {
    let followed = put(reader, &of(author, "follow")).await.expect(200);
    reader.get_at("/v1/feed", followed.position()).await.expect(200);
}

pub(crate) async fn set_private(athlete: &Client, is_private: bool) -> Answer {
    let body = json!({ "privacy": { "private_profile": is_private } });
    athlete.patch("/v1/athletes/me", body).await.expect(200)
}

pub(crate) async fn publish(athlete: &Client, text: &str, visibility: &str) -> Answer {
    let body = json!({ "text": text, "visibility": visibility });
    athlete.post("/v1/posts", body).await.expect(201)
}

/// A workout with a set, completed; its id and where on the log it is.
async fn train(athlete: &Client, visibility: &str, kg: u32) -> (String, String) {
    let workout = athlete.start_workout(json!({ "title": "Push", "visibility": visibility })).await;
    athlete.log_bench(&workout, 5, kg).await;
    let done = athlete.complete(&workout, json!({})).await.expect(200);
    (workout.rsplit('/').next().unwrap().to_owned(), done.position().to_owned())
}

pub(crate) fn id(answer: &Answer) -> &str {
    answer.data()["id"].as_str().unwrap()
}

pub(crate) fn ids(list: &Answer) -> Vec<String> {
    list.each("id").into_iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn people(list: &Answer) -> Vec<String> {
    ids(list)
}

pub(crate) fn me(athlete: &Client) -> String {
    athlete.athlete.unwrap().to_string()
}

#[tokio::test]
async fn a_public_profile_is_followed_once_and_unfollowed() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    let follow = of(&bob, "follow");
    let first = put(&ada, &follow).await.expect(200);
    assert_eq!(first.data()["following"], "yes");
    let again = put(&ada, &follow).await.expect(200);
    assert_eq!(again.position(), first.position(), "twice is once");
    assert_eq!(bob.get(&of(&ada, "relation")).await.expect(200).data()["followed_by"], "yes");
    let followers = ada.get_at(&of(&bob, "followers"), first.position()).await.expect(200);
    assert_eq!(people(&followers), [me(&ada)]);
    let following = bob.get_at(&of(&ada, "following"), first.position()).await.expect(200);
    assert_eq!(people(&following), [me(&bob)]);

    // Bob ends it, and Ada may come back.
    let path = format!("/v1/followers/{}", me(&ada));
    let removed = bob.delete(&path).await.expect(200);
    assert_eq!(removed.data()["followed_by"], "no");
    assert_eq!(bob.delete(&path).await.expect(200).position(), removed.position());
    assert_eq!(people(&ada.get(&of(&bob, "followers")).await.expect(200)), Vec::<String>::new());
    put(&ada, &follow).await.expect(200);
    let over = ada.delete(&follow).await.expect(200);
    assert_eq!(over.data()["following"], "no");
    assert_eq!(ada.delete(&follow).await.expect(200).position(), over.position());

    put(&ada, &of(&ada, "follow")).await.refused(409, "OWN_FOLLOW");
    put(&ada, &of(&ada, "block")).await.refused(409, "OWN_BLOCK");
    put(&ada, &format!("/v1/athletes/{}/follow", new_id())).await.refused(404, "NOT_FOUND");
    put(&ada, "/v1/athletes/bob/follow").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_answer_is_good_for_the_request_that_it_names() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    set_private(&bob, true).await;
    let follow = of(&bob, "follow");
    let asked = put(&ada, &follow).await.expect(200);
    assert_eq!(asked.data()["following"], "requested");
    let requests = bob.get_at("/v1/followers/requests", asked.position()).await.expect(200);
    assert_eq!(people(&requests), [me(&ada)]);
    let first = requests.list()[0]["follow"].clone();
    assert_eq!(people(&ada.get("/v1/followers/requested").await.expect(200)), [me(&bob)]);

    // Withdrawn and made again, it is another one.
    ada.delete(&follow).await.expect(200);
    let accept = format!("/v1/followers/requests/{}/accept", me(&ada));
    bob.post(&accept, json!({ "follow": first })).await.refused(404, "NOT_FOUND");
    put(&ada, &follow).await.expect(200);
    bob.post(&accept, json!({ "follow": first })).await.refused(404, "NOT_FOUND");
    let relation = bob.get(&of(&ada, "relation")).await.expect(200);
    let second = relation.data()["request"].clone();
    assert_ne!(second, first);
    let accepted = bob.post(&accept, json!({ "follow": second })).await.expect(200);
    assert_eq!(accepted.data()["followed_by"], "yes");
    let again = bob.post(&accept, json!({ "follow": second })).await.expect(200);
    assert_eq!(again.position(), accepted.position());
    let none = bob.get_at("/v1/followers/requests", accepted.position()).await.expect(200);
    assert_eq!(people(&none), Vec::<String>::new());
    assert_eq!(people(&ada.get(&of(&bob, "followers")).await.expect(200)), [me(&ada)]);

    // Declined.
    let carl = app.athlete().await;
    put(&carl, &follow).await.expect(200);
    bob.delete(&format!("/v1/followers/{}", me(&carl))).await.expect(200);
    let relation = carl.get(&of(&bob, "relation")).await.expect(200);
    assert_eq!(relation.data()["following"], "no");
    carl.get(&of(&bob, "followers")).await.refused(404, "NOT_FOUND");
    for bad in [json!({}), json!({ "follow": "7" }), json!({ "follow": second, "x": 1 })] {
        bob.post(&accept, bad).await.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn who_blocks_and_who_is_blocked_see_nothing_of_each_other() {
    let app = app().await;
    let (ada, ada_name, _) = named(&app, "ada").await;
    let (bob, bob_name, at) = named(&app, "bob").await;
    follow(&ada, &bob).await;
    follow(&bob, &ada).await;
    let post = publish(&bob, "Hello", "public").await;
    let path = format!("/v1/posts/{}", id(&post));
    assert_eq!(ids(&ada.get_at("/v1/feed", post.position()).await.expect(200)), [id(&post)]);
    ada.get_at(&format!("/v1/users/{bob_name}"), &at).await.expect(200);

    let blocked = put(&ada, &of(&bob, "block")).await.expect(200);
    let relation = blocked.data();
    let follows = (&relation["following"], &relation["followed_by"], &relation["blocked"]);
    assert_eq!(follows, (&json!("no"), &json!("no"), &json!(true)));
    for (one, other, name) in [(&ada, &bob, &bob_name), (&bob, &ada, &ada_name)] {
        one.get(&format!("/v1/users/{name}")).await.refused(404, "NOT_FOUND");
        one.get(&of(other, "posts")).await.refused(404, "NOT_FOUND");
        one.get(&of(other, "followers")).await.refused(404, "NOT_FOUND");
        let found = one.get(&format!("/v1/users?q={name}")).await.expect(200);
        assert_eq!(people(&found), Vec::<String>::new());
    }
    ada.get(&path).await.refused(404, "NOT_FOUND");
    put(&ada, &format!("{path}/like")).await.refused(404, "NOT_FOUND");
    assert_eq!(ids(&ada.get("/v1/feed").await.expect(200)), Vec::<String>::new());
    put(&bob, &of(&ada, "follow")).await.refused(404, "NOT_FOUND");
    put(&ada, &of(&bob, "follow")).await.refused(409, "BLOCKED");
    bob.get(&of(&ada, "relation")).await.refused(404, "NOT_FOUND");
    let blocks = ada.get_at("/v1/blocks", blocked.position()).await.expect(200);
    assert_eq!(people(&blocks), [me(&bob)]);
    assert_eq!(people(&bob.get("/v1/blocks").await.expect(200)), Vec::<String>::new());

    let free = ada.delete(&of(&bob, "block")).await.expect(200);
    assert_eq!(free.data()["followed_by"], "no", "it does not come back");
    ada.get_at(&path, free.position()).await.expect(200);
    assert_eq!(ids(&ada.get("/v1/feed").await.expect(200)), Vec::<String>::new());
}

#[tokio::test]
async fn what_those_one_follows_show_is_the_feed() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    follow(&ada, &bob).await;
    let (first, _) = train(&bob, "followers", 60).await;
    so_many(&app, &bob, 1).await;
    let (_, _) = train(&bob, "private", 62).await;
    let (second, at) = train(&bob, "public", 80).await;
    let text = publish(&bob, "  What a day\n", "followers").await;
    publish(&bob, "Note to myself", "private").await;
    // Records are announced a moment later.
    let feed = eventually("the records in the feed", async || {
        let feed = ada.get_at("/v1/feed", text.position()).await.expect(200);
        feed.each("kind").contains(&&json!("records")).then_some(feed)
    })
    .await;
    let kinds: Vec<&str> = feed.each("kind").into_iter().map(|k| k.as_str().unwrap()).collect();
    let mut sorted = kinds.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["records", "text", "workout", "workout"], "the first set breaks none");
    let of_kind = |kind: &str| {
        let found = feed.list().iter().find(|post| post["kind"] == kind);
        found.unwrap().clone()
    };
    let workout = of_kind("workout");
    assert_eq!(workout["workout"]["id"], *second, "the last first");
    assert_eq!(workout["workout"]["title"], "Push");
    assert_eq!(workout["workout"]["totals"]["volume_kg"], 400);
    assert_eq!(workout["workout"]["exercises"][0]["exercise"]["name"], "Bench Press (Barbell)");
    assert_eq!(workout["author"]["id"], me(&bob));
    let records = of_kind("records");
    let kinds: Vec<&Value> =
        records["records"].as_array().unwrap().iter().map(|r| &r["kind"]).collect();
    assert!(kinds.contains(&&json!("heaviest_weight")) && kinds.contains(&&json!("one_rep_max")));
    let pounds = ada.get("/v1/feed?unit=lb").await.expect(200);
    let records = pounds.list().iter().find(|post| post["kind"] == "records").unwrap();
    let heaviest = records["records"].as_array().unwrap();
    let heaviest = heaviest.iter().find(|record| record["kind"] == "heaviest_weight").unwrap();
    assert_eq!((&heaviest["value"], &heaviest["unit"]), (&json!(176.37), &json!("lb")));
    assert_eq!(of_kind("text")["text"], "What a day");
    assert_eq!(of_kind("text")["visibility"], "followers");

    // Pages hold while new posts come.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ada.get(&format!("/v1/feed?limit=1{cursor}")).await.expect(200);
        seen.extend(ids(&page));
        let Some(next) = page.meta()["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        let more = publish(&bob, "More", "public").await;
        ada.get_at("/v1/feed?limit=1", more.position()).await.expect(200);
    }
    assert_eq!(seen, ids(&feed));

    // What is shared with words, or no longer.
    let share = format!("/v1/workouts/{first}/share");
    let shared = bob.post(&share, json!({ "text": "My first" })).await.expect(200);
    let post = format!("/v1/posts/{}", id(&shared));
    let seen = ada.get_at(&post, shared.position()).await.expect(200);
    assert_eq!(
        (&seen.data()["text"], seen.data()["edited_at"].is_null()),
        (&json!("My first"), false)
    );
    let own = bob.get_at(&post, &at).await.expect(200);
    let stale = bob.request(Method::PATCH, &post).header("if-match", own.header("etag"));
    bob.patch(&post, json!({ "text": "My very first" })).await.expect(200);
    let stale = Answer::to(stale.json(&json!({ "text": null }))).await.refused(412, "STALE");
    assert_eq!(stale.body["error"]["current"]["text"], "My very first");
    bob.patch(&post, json!({ "visibility": "public" })).await.refused(400, "VALIDATION_ERROR");
    let unshared = bob.delete(&share).await.expect(200);
    assert_eq!(bob.delete(&post).await.expect(200).position(), unshared.position());
    ada.get(&post).await.refused(404, "NOT_FOUND");
    ada.get(&format!("{}/{first}", of(&bob, "workouts"))).await.expect(200);
    // The records alone are taken away.
    let of_records = records["id"].as_str().unwrap().to_owned();
    let gone = bob.delete(&format!("/v1/posts/{of_records}")).await.expect(200);
    assert_eq!(gone.data()["shared"], false);
    let feed = ada.get_at("/v1/feed", gone.position()).await.expect(200);
    assert!(!feed.each("kind").contains(&&json!("records")));
    assert!(feed.each("kind").contains(&&json!("workout")), "it stays");
    // Another's are not there to be changed.
    ada.delete(&post).await.refused(404, "NOT_FOUND");
    ada.patch(&post, json!({ "text": "Mine" })).await.refused(404, "NOT_FOUND");
    ada.post(&share, json!({})).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_post_of_records_says_what_the_workout_broke() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    follow(&ada, &bob).await;
    train(&bob, "followers", 100).await;
    so_many(&app, &bob, 1).await;
    let workout = bob.start_workout(json!({})).await;
    bob.log_bench(&workout, 5, 110).await;
    let best = bob.log_bench(&workout, 5, 120).await;
    so_many(&app, &bob, 2).await;
    let text = publish(&bob, "In between", "followers").await;
    bob.complete(&workout, json!({})).await.expect(200);
    let heaviest = async || {
        let feed = ada.get("/v1/feed").await.expect(200);
        let kinds: Vec<Value> = feed.each("kind").into_iter().cloned().collect();
        let post = feed.list().iter().find(|post| post["kind"] == "records").cloned();
        let records = post?["records"].as_array().cloned()?;
        let heaviest = records.iter().find(|record| record["kind"] == "heaviest_weight")?;
        Some((heaviest["value"].clone(), kinds))
    };
    // One is announced after the other.
    let best_of_all = async || heaviest().await.filter(|(value, _)| *value == 120);
    let (_, kinds) = eventually("the records", best_of_all).await;
    let at = |kind: &str| kinds.iter().position(|known| known == kind);
    assert!(at("records") < at("text"), "not before its workout: {kinds:?}");
    ada.get_at("/v1/feed", text.position()).await.expect(200);

    // Another set of the workout holds it then; when none does, there is nothing to post.
    bob.delete(&best).await.expect(200);
    let holds = async |kg: i64| heaviest().await.filter(|(value, _)| *value == kg).map(drop);
    assert!(holds(120).await.is_none(), "gone at once");
    eventually("the other set", async || holds(110).await).await;
    bob.delete(&workout).await.expect(200);
    assert!(heaviest().await.is_none(), "gone at once");
}

#[tokio::test]
async fn what_is_no_news_is_not_posted_unless_it_is_shared() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    follow(&ada, &bob).await;
    let old = bob.start_workout(json!({ "started_at": "2026-01-05T10:00:00Z" })).await;
    bob.post(&format!("{old}/share"), json!({})).await.refused(409, "WORKOUT_ACTIVE");
    let set = json!({
        "exercise": "bench-press-barbell", "number": 1, "reps": 5,
        "weight": { "value": 60, "unit": "kg" }, "performed_at": "2026-01-05T10:05:00Z",
    });
    bob.log_set(&old, set).await.expect(201);
    let body = json!({ "completed_at": "2026-01-05T11:00:00Z" });
    let done = bob.complete(&old, body).await.expect(200);
    let (private, _) = train(&bob, "private", 70).await;
    let share = format!("/v1/workouts/{private}/share");
    bob.post(&share, json!({})).await.refused(409, "WORKOUT_PRIVATE");
    let feed = ada.get_at("/v1/feed", done.position()).await.expect(200);
    assert_eq!(feed.list(), [] as [Value; 0]);
    let shared = bob.post(&format!("{old}/share"), json!({})).await.expect(200);
    assert_eq!(shared.data()["shared"], true);
    let feed = ada.get_at("/v1/feed", shared.position()).await.expect(200);
    assert_eq!(ids(&feed), [id(&shared)]);
    bob.delete(&old).await.expect(200);
    ada.get(&format!("/v1/posts/{}", id(&shared))).await.refused(404, "NOT_FOUND");
    bob.post(&format!("{old}/share"), json!({})).await.refused(409, "WORKOUT_DISCARDED");
}

#[tokio::test]
async fn likes_and_comments_are_counted_whoever_comes_at_once() {
    let app = app().await;
    let bob = app.athlete().await;
    let post = publish(&bob, "Look", "public").await;
    let path = format!("/v1/posts/{}", id(&post));
    let mut fans = Vec::new();
    for _ in 0..10 {
        fans.push(app.athlete().await);
    }
    let mut crowd = JoinSet::new();
    for fan in fans.clone() {
        let path = path.clone();
        crowd.spawn(async move {
            for _ in 0..3 {
                put(&fan, &format!("{path}/like")).await.expect(200);
            }
            let body = json!({ "id": new_id(), "text": "Strong!" });
            let first = fan.post(&format!("{path}/comments"), body.clone()).await.expect(201);
            let again = fan.post(&format!("{path}/comments"), body).await.expect(201);
            assert_eq!(first.data(), again.data(), "sent twice, said once");
            first.position().to_owned()
        });
    }
    let positions = crowd.join_all().await;
    let mut seen = Value::Null;
    for position in &positions {
        seen = fans[0].get_at(&path, position).await.expect(200).data().clone();
    }
    assert_eq!((&seen["likes"], &seen["comments"]), (&json!(10), &json!(10)));
    assert_eq!(seen["liked"], true);
    assert_eq!(bob.get(&path).await.expect(200).data()["liked"], false);
    assert_eq!(bob.get(&format!("{path}/likes")).await.expect(200).list().len(), 10);
    let comments = bob.get(&format!("{path}/comments?limit=4")).await.expect(200);
    let next = comments.meta()["next_cursor"].as_str().unwrap();
    let rest = bob.get(&format!("{path}/comments?cursor={next}")).await.expect(200);
    assert_eq!((comments.list().len(), rest.list().len()), (4, 6));
    let times: Vec<String> = comments
        .list()
        .iter()
        .chain(rest.list())
        .map(|comment| comment["written_at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.is_sorted(), "the first first");

    // A comment is changed and deleted by who wrote it, and taken away by whose post it is.
    let of_first = |comment: &Value| fans.iter().position(|fan| me(fan) == comment["author"]["id"]);
    let (first, second) = (&comments.list()[0], &comments.list()[1]);
    let (one, two) = (&fans[of_first(first).unwrap()], &fans[of_first(second).unwrap()]);
    let path_of = |comment: &Value| format!("/v1/comments/{}", comment["id"].as_str().unwrap());
    let edited = one.patch(&path_of(first), json!({ "text": "Very strong" })).await.expect(200);
    assert_eq!(edited.data()["text"], "Very strong");
    two.patch(&path_of(first), json!({ "text": "Weak" })).await.refused(404, "NOT_FOUND");
    two.delete(&path_of(first)).await.refused(404, "NOT_FOUND");
    put(two, &format!("{}/like", path_of(first))).await.expect(200);
    let liked = put(two, &format!("{}/like", path_of(first))).await.expect(200);
    let list = two.get_at(&format!("{path}/comments"), liked.position()).await.expect(200);
    let now = &list.list()[0];
    assert_eq!((&now["text"], &now["likes"]), (&json!("Very strong"), &json!(1)));
    assert_eq!((&now["liked"], now["edited_at"].is_null()), (&json!(true), false));
    let likers = bob.get(&format!("{}/likes", path_of(first))).await.expect(200);
    assert_eq!(people(&likers), [me(two)]);
    let deleted = one.delete(&path_of(first)).await.expect(200);
    assert_eq!(deleted.data()["removed"], true);
    assert_eq!(one.delete(&path_of(first)).await.expect(200).position(), deleted.position());
    let dismissed = bob.delete(&path_of(second)).await.expect(200);
    two.get(&format!("{}/likes", path_of(second))).await.refused(404, "NOT_FOUND");
    put(one, &format!("{}/like", path_of(second))).await.refused(404, "NOT_FOUND");
    two.delete(&format!("{path}/like")).await.expect(200);
    let unliked = two.delete(&format!("{path}/like")).await.expect(200);
    for position in [deleted.position(), dismissed.position(), unliked.position()] {
        seen = bob.get_at(&path, position).await.expect(200).data().clone();
    }
    assert_eq!((&seen["likes"], &seen["comments"]), (&json!(9), &json!(8)));
    let all = bob.get(&format!("{path}/comments")).await.expect(200);
    assert_eq!(all.list().len(), 8);
}

#[tokio::test]
async fn what_cannot_be_said_or_asked_is_refused() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    let post = publish(&bob, "Look", "public").await;
    let hidden = publish(&bob, "Mine", "private").await;
    let path = format!("/v1/posts/{}", id(&post));
    let comments = format!("{path}/comments");
    let long = "a".repeat(100_000);
    for text in
        ["", " \n\t ", &long, "bell \u{7}", "nul \u{0}", "\u{200b}\u{feff} \u{202e}", "\u{2800}"]
    {
        let refused = ada.post(&comments, json!({ "text": text })).await;
        assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["text"]);
    }
    let refused = ada.post(&comments, json!({ "id": "7", "text": 7, "by": 1 })).await;
    assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["by", "id", "text"]);
    let refused = ada.post("/v1/posts", json!({ "text": " ", "visibility": "friends" })).await;
    assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["text", "visibility"]);
    let said = ada.post(&comments, json!({ "text": "Nice" })).await.expect(201);
    ada.patch(&path, json!({ "text": "x" })).await.refused(404, "NOT_FOUND");
    bob.patch(&path, json!({ "text": null })).await.refused(400, "VALIDATION_ERROR");

    // What is private, deleted, another's or something else is not there.
    let gone = publish(&bob, "Gone", "public").await;
    bob.delete(&format!("/v1/posts/{}", id(&gone))).await.expect(200);
    let comment = id(&said);
    let other_kind = id(&post).replacen('t', "w", 1);
    for post in [id(&hidden), id(&gone), comment, &other_kind, "x", &id(&post)[..40], &me(&bob)] {
        put(&ada, &format!("/v1/posts/{post}/like")).await.refused(404, "NOT_FOUND");
        ada.get(&format!("/v1/posts/{post}")).await.refused(404, "NOT_FOUND");
        let body = json!({ "text": "Hi" });
        ada.post(&format!("/v1/posts/{post}/comments"), body).await.refused(404, "NOT_FOUND");
        ada.get(&format!("/v1/posts/{post}/likes")).await.refused(404, "NOT_FOUND");
    }
    put(&ada, &format!("/v1/comments/{}/like", id(&post))).await.refused(404, "NOT_FOUND");
    ada.delete(&format!("/v1/comments/{}", id(&post))).await.refused(404, "NOT_FOUND");

    for route in ["/v1/feed".to_owned(), of(&bob, "followers"), comments, format!("{path}/likes")] {
        for wrong in ["cursor=x", "cursor=eyJ0IjoxfQ", "limit=0", "limit=101", "page=2"] {
            let refused = ada.get(&format!("{route}?{wrong}")).await;
            refused.refused(400, "VALIDATION_ERROR");
        }
    }
    let refused = ada.get("/v1/users?limit=x").await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["limit", "q"]);
    ada.get("/v1/users/no.such.name").await.refused(404, "NOT_FOUND");
    // An id is good for one thing.
    let id = new_id();
    let body = json!({ "id": id, "text": "One" });
    let first = ada.post("/v1/posts", body.clone()).await.expect(201);
    assert_eq!(ada.post("/v1/posts", body).await.expect(201).data(), first.data());
    let body = json!({ "id": id, "text": "Two" });
    ada.post("/v1/posts", body).await.refused(409, "ID_TAKEN");
}

#[tokio::test]
async fn people_are_found_by_name_and_have_a_profile() {
    let app = app().await;
    let (ada, _, _) = named(&app, "ada").await;
    let athlete = app.athlete().await;
    let tag = &new_id().simple().to_string()[20..];
    let username = format!("Zoe_{tag}");
    let name = format!("Zoë Ångström{tag} van Dijk");
    let body = json!({ "username": username, "name": name });
    let changed = athlete.patch("/v1/athletes/me", body).await.expect(200);
    for found in [&username, &username[..8], &name, &format!("ÅNGSTRÖM{tag}"), "dijk zoë"] {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", found)
            .append_pair("limit", "100")
            .finish();
        let list = ada.get_at(&format!("/v1/users?{query}"), changed.position()).await.expect(200);
        assert!(people(&list).contains(&me(&athlete)), "{found}");
    }
    let none = ada.get(&format!("/v1/users?q={tag}")).await.expect(200);
    assert_eq!(none.list(), [] as [Value; 0], "words are found by their beginning");

    train(&athlete, "private", 80).await;
    let (_, at) = train(&athlete, "public", 100).await;
    let folded = username.to_ascii_lowercase();
    let path = format!("/v1/users/{folded}");
    let profile = ada.get_at(&path, &at).await.expect(200);
    let shown = profile.data();
    assert_eq!((&shown["username"], &shown["name"]), (&json!(username), &json!(name)));
    assert_eq!(shown["counts"], json!({ "followers": 0, "following": 0, "posts": 1 }));
    assert_eq!(shown["relation"]["following"], "no");
    let best = eventually("the records", async || {
        let profile = ada.get(&path).await.expect(200);
        profile.data()["records"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(
        (&best["exercise"]["id"], &best["one_rep_max"]),
        (&json!("bench-press-barbell"), &json!(112.5))
    );
    let followed = put(&ada, &of(&athlete, "follow")).await.expect(200);
    let profile = ada.get_at(&path, followed.position()).await.expect(200);
    assert_eq!(profile.data()["counts"]["followers"], 1);

    // What was done where the reader does not see it is not told.
    let (_, at) = train(&athlete, "private", 120).await;
    let profile = eventually("the next record", async || {
        let own = athlete.get_at(&path, &at).await.expect(200);
        let is_there = own.data()["records"][0]["one_rep_max"] == 135;
        if is_there { Some(ada.get(&path).await.expect(200)) } else { None }
    })
    .await;
    assert_eq!(profile.data()["records"], json!([]));
    athlete
        .patch("/v1/athletes/me", json!({ "privacy": { "show_stats": false } }))
        .await
        .expect(200);
    let profile = ada.get(&path).await.expect(200);
    assert_eq!(profile.data()["records"], Value::Null);
    assert!(athlete.get(&path).await.expect(200).data()["records"].is_array(), "one's own");
    let hidden = set_private(&athlete, true).await;
    let stranger = app.athlete().await;
    let profile = stranger.get_at(&path, hidden.position()).await.expect(200);
    assert_eq!(
        (&profile.data()["private"], &profile.data()["counts"]["posts"]),
        (&json!(true), &json!(0))
    );
    // A name that was given up is nobody's.
    let other = json!({ "username": format!("Zo_{tag}") });
    let renamed = athlete.patch("/v1/athletes/me", other).await.expect(200);
    ada.get(&path).await.refused(404, "NOT_FOUND");
    let found = ada.get_at(&format!("/v1/users?q={folded}"), renamed.position()).await.expect(200);
    assert_eq!(people(&found), Vec::<String>::new());
}

#[tokio::test]
async fn what_does_not_belong_here_is_reported_hidden_and_ended() {
    let app = app().await;
    let (ada, bob) = (app.athlete().await, app.athlete().await);
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    follow(&ada, &bob).await;
    let post = publish(&bob, "Buy my pills", "public").await;
    let path = format!("/v1/posts/{}", id(&post));
    let report = json!({ "id": new_id(), "content": id(&post), "reason": "spam", "text": "again" });
    let told = ada.post("/v1/reports", report.clone()).await.expect(202);
    assert_eq!(ada.post("/v1/reports", report).await.expect(202).data(), told.data());
    assert_eq!(told.data()["athlete"], me(&bob));
    for bad in [
        json!({ "reason": "spam" }),
        json!({ "reason": "spam", "content": id(&post), "athlete": me(&bob) }),
        json!({ "reason": "ugly", "content": id(&post) }),
    ] {
        ada.post("/v1/reports", bad).await.refused(400, "VALIDATION_ERROR");
    }
    let unseen = publish(&bob, "Mine", "private").await;
    let body = json!({ "reason": "spam", "content": id(&unseen) });
    ada.post("/v1/reports", body).await.refused(404, "NOT_FOUND");

    ada.get("/v1/admin/reports").await.refused(403, "FORBIDDEN");
    let mine = async |resolved: &str, position: &str| {
        let path = format!("/v1/admin/reports?limit=100&resolved={resolved}");
        let queue = admin.get_at(&path, position).await.expect(200);
        queue.list().iter().find(|report| report["id"] == told.data()["id"]).cloned()
    };
    let queued = mine("false", told.position()).await.unwrap();
    assert_eq!((&queued["text"], &queued["reporter"]["id"]), (&json!("again"), &json!(me(&ada))));
    assert_eq!((&queued["says"], &queued["hidden"]), (&json!("Buy my pills"), &json!(false)));
    let resolve = format!("/v1/admin/reports/{}/{}/resolve", me(&ada), id(&told));
    let body = json!({ "outcome": "hidden", "until": "2030-01-01T00:00:00Z" });
    admin.post(&resolve, body).await.refused(400, "VALIDATION_ERROR");
    let resolved = admin.post(&resolve, json!({ "outcome": "hidden" })).await.expect(200);
    assert_eq!(resolved.data()["outcome"], "hidden");
    admin.post(&resolve, json!({ "outcome": "hidden" })).await.expect(200);
    admin.post(&resolve, json!({ "outcome": "dismissed" })).await.refused(409, "REPORT_RESOLVED");
    assert_eq!(mine("false", resolved.position()).await, None);
    let resolved = mine("true", resolved.position()).await.unwrap();
    assert_eq!((&resolved["outcome"], &resolved["hidden"]), (&json!("hidden"), &json!(true)));
    let nothing = id(&post).replacen('t', "w", 1);
    put(&admin, &format!("/v1/admin/content/{nothing}/hidden")).await.refused(404, "NOT_FOUND");
    ada.get(&path).await.refused(404, "NOT_FOUND");
    assert_eq!(ada.get("/v1/feed").await.expect(200).list(), [] as [Value; 0]);
    let own = eventually("the author to see it", async || {
        let own = bob.get(&path).await.expect(200);
        (own.data()["hidden"] == true).then_some(own)
    })
    .await;
    assert_eq!(own.data()["text"], "Buy my pills");
    let hidden = format!("/v1/admin/content/{}/hidden", id(&post));
    let restored = admin.delete(&hidden).await.expect(200);
    ada.get_at(&path, restored.position()).await.expect(200);

    // Suspended, one trains on and has nothing to do with others.
    let suspension = format!("/v1/admin/accounts/{}/suspension", me(&bob));
    let ask = |body: Value| Answer::to(admin.request(Method::PUT, &suspension).json(&body));
    ask(json!({ "until": "2020-01-01T00:00:00Z" })).await.refused(400, "VALIDATION_ERROR");
    ask(json!({})).await.expect(200);
    assert_eq!(admin.get(&suspension).await.expect(200).data()["suspended"], true);
    ada.get(&path).await.refused(404, "NOT_FOUND");
    assert_eq!(ada.get("/v1/feed").await.expect(200).list(), [] as [Value; 0]);
    bob.post("/v1/posts", json!({ "text": "But" })).await.refused(403, "SUSPENDED");
    put(&bob, &of(&ada, "follow")).await.refused(403, "SUSPENDED");
    put(&bob, &format!("{path}/like")).await.refused(403, "SUSPENDED");
    bob.get(&path).await.expect(200);
    let workout = bob.start_workout(json!({})).await;
    bob.log_set(&workout, bench(5, 60)).await.expect(201);
    let lifted = admin.delete(&suspension).await.expect(200);
    assert_eq!(lifted.data()["suspended"], false);
    ada.get_at(&path, lifted.position()).await.expect(200);
    follow(&bob, &ada).await;
    let seen = bob.get("/v1/athletes/me/access").await.expect(200);
    assert!(seen.each("what").contains(&&json!("admin_acted")), "{}", seen.body);
}

/// Random stories, held to a recomputation; `cargo xtask model social` tells hundreds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_sees_what_a_recomputation_says() {
    let mut product = Product::<projections::social::Social, History>::start(binary()).await;
    let mut outcome = Outcome::default();
    for seed in 0..4 {
        product.run(seed, &mut outcome).await;
    }
    product.replay(&mut outcome).await;
    assert!(outcome.comparisons > 1000, "{}", outcome.comparisons);
    assert!(outcome.differences.is_empty(), "{}", outcome.differences[0]);
    assert_eq!(product.app.errors(), Vec::<String>::new());
}

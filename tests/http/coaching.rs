//! Coaches: they act for who accepted them, it is written down, and it ends at once.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, App, Client, bench, eventually, new_id};

use crate::{app, binary};

async fn coach(app: &App) -> Client {
    app.grant(&app.athlete().await, &["--role", "coach"]).await
}

fn id(client: &Client) -> String {
    client.athlete.unwrap().to_string()
}

/// Asks an athlete, and answers the invitation.
async fn invite(coach: &Client, client: &Client) -> String {
    let asked = coach.post("/v1/coaching/clients", json!({ "athlete": id(client) })).await;
    asked.expect(201).data()["invitation"].as_str().unwrap().to_owned()
}

async fn accept(client: &Client, coach: &Client, invitation: &str) -> Answer {
    let path = format!("/v1/coaching/coaches/{}/accept", id(coach));
    client.post(&path, json!({ "invitation": invitation })).await
}

#[tokio::test]
async fn a_coach_logs_and_reads_for_a_client_who_sees_it_and_ends_it() {
    let app = App::start(binary()).await;
    let (coach, client) = (coach(&app).await, app.athlete().await);
    let acting = coach.acting_for(&client);
    acting.get("/v1/history").await.refused(403, "NOT_A_CLIENT");
    let invitation = invite(&coach, &client).await;
    acting.get("/v1/history").await.refused(403, "NOT_A_CLIENT");
    let accepted = accept(&client, &coach, &invitation).await.expect(200);

    // The lists say so, on both sides.
    let mine = coach.get_at("/v1/coaching/clients", accepted.position()).await.expect(200);
    assert_eq!(mine.each("athlete"), [id(&client).as_str()]);
    assert_eq!(mine.each("status"), ["active"]);
    let theirs = client.get_at("/v1/coaching/coaches", accepted.position()).await.expect(200);
    assert_eq!(theirs.each("athlete"), [id(&coach).as_str()]);
    assert_eq!(theirs.each("invitation"), [invitation.as_str()]);

    // What the coach logs is the client's, and says who did it.
    let workout = acting.start_workout(json!({ "title": "Plan A" })).await;
    let set = acting.log_bench(&workout, 5, 100).await;
    let completed = acting.complete(&workout, json!({})).await.expect(200);
    client.get(&workout).await.expect(200);
    coach.get(&workout).await.refused(404, "NOT_FOUND");
    let history = acting.history("", completed.position()).await;
    assert_eq!(history.meta()["count"], 1);
    let records = acting.get_at("/v1/records", completed.position()).await.expect(200);
    assert!(!records.list().is_empty());
    let set = set.rsplit('/').next().unwrap();
    let audit = client.get(&format!("/v1/audit/sets/{set}")).await.expect(200);
    let logged = &audit.data()["events"][0];
    assert_eq!(logged["actor"], format!("athlete:{}", id(&coach)));
    assert_eq!(logged["on_behalf_of"], id(&client));

    // The client sees every look, and every act.
    let seen = client.get("/v1/athletes/me/access?limit=100").await.expect(200);
    let acted: Vec<&Value> =
        seen.list().iter().filter(|entry| entry["what"] == "coach_acted").collect();
    assert!(acted.iter().all(|entry| entry["actor"] == id(&coach)));
    for route in ["GET /v1/history", "GET /v1/records", "POST /v1/workouts/{id}/sets"] {
        assert!(acted.iter().any(|entry| entry["route"] == route), "{route}: {acted:?}");
    }

    // Also whole workouts at once.
    let said = json!({ "workouts": [{
        "started_at": "2026-01-05T07:00:00Z",
        "completed_at": "2026-01-05T08:00:00Z",
        "sets": [bench(5, 100)],
    }] });
    let recorded = acting.post("/v1/workouts:bulk", said).await.expect(202);
    let recorded = recorded.list()[0]["id"].as_str().unwrap();
    let audit = client.get(&format!("/v1/audit/workouts/{recorded}")).await.expect(200);
    let told = audit.data()["events"].as_array().unwrap();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|event| event["on_behalf_of"] == id(&client)));
    coach.get(&format!("/v1/workouts/{recorded}")).await.refused(404, "NOT_FOUND");

    // What is not for coaches stays the client's own.
    for path in ["/v1/athletes/me", "/v1/auth/sessions", "/v1/audit/reads", "/v1/auth/keys"] {
        acting.get(path).await.refused(403, "NOT_FOR_CLIENTS");
    }
    acting.delete("/v1/auth/sessions").await.refused(403, "NOT_FOR_CLIENTS");

    client.delete(&format!("/v1/coaching/coaches/{}", id(&coach))).await.expect(200);
    acting.get("/v1/history").await.refused(403, "NOT_A_CLIENT");
    acting.log_set(&workout, bench(5, 100)).await.refused(403, "NOT_A_CLIENT");
    let refused = client.get("/v1/athletes/me/access?limit=5").await.expect(200);
    assert_eq!(refused.list()[0]["what"], "refused");
    assert_eq!(refused.list()[0]["actor"], id(&coach));
    assert_eq!(refused.list()[0]["status"], 403);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_one_process_ends_no_other_lets_on() {
    let app = App::start(binary()).await;
    let (_other, url) = app.another_api().await;
    let (coach, client) = (coach(&app).await, app.athlete().await);
    let there = coach.at(&url).acting_for(&client);
    for ends in [&coach, &client] {
        let invitation = invite(&coach, &client).await;
        accept(&client, &coach, &invitation).await.expect(200);
        there.get("/v1/workouts").await.expect(200);
        let (side, with) = if ends.athlete == coach.athlete {
            ("clients", id(&client))
        } else {
            ("coaches", id(&coach))
        };
        ends.delete(&format!("/v1/coaching/{side}/{with}")).await.expect(200);
        // Not within a second: at once.
        there.get("/v1/workouts").await.refused(403, "NOT_A_CLIENT");
    }
}

#[tokio::test]
async fn invitations_are_answered_by_name_and_once() {
    let app = app().await;
    let (coach, client, other) = (coach(&app).await, app.athlete().await, app.athlete().await);
    let first = invite(&coach, &client).await;
    let again = coach.post("/v1/coaching/clients", json!({ "athlete": id(&client) })).await;
    again.refused(409, "ALREADY_INVITED");
    // Nobody else's, no other one, nobody who did not ask.
    accept(&other, &coach, &first).await.refused(404, "NOT_FOUND");
    accept(&client, &coach, &new_id().to_string()).await.refused(404, "NOT_FOUND");
    accept(&client, &other, &first).await.refused(404, "NOT_FOUND");
    accept(&client, &coach, &first).await.expect(200);
    accept(&client, &coach, &first).await.expect(200);

    client.delete(&format!("/v1/coaching/coaches/{}", id(&coach))).await.expect(200);
    accept(&client, &coach, &first).await.refused(409, "INVITATION_ENDED");
    coach.acting_for(&client).get("/v1/history").await.refused(403, "NOT_A_CLIENT");
    let second = invite(&coach, &client).await;
    accept(&client, &coach, &first).await.refused(409, "INVITATION_ENDED");
    accept(&client, &coach, &second).await.expect(200);
    coach.acting_for(&client).get("/v1/history").await.expect(200);

    // One that was withdrawn and made again is another one.
    let third = invite(&coach, &other).await;
    coach.delete(&format!("/v1/coaching/clients/{}", id(&other))).await.expect(200);
    let fourth = invite(&coach, &other).await;
    accept(&other, &coach, &third).await.refused(404, "NOT_FOUND");
    accept(&other, &coach, &fourth).await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_asked_is_told() {
    let app = app().await;
    let (coach, athlete) = (coach(&app).await, app.athlete().await);
    let ask = async |body: Value| coach.post("/v1/coaching/clients", body).await;
    ask(json!({ "athlete": id(&coach) })).await.refused(409, "OWN_COACH");
    ask(json!({ "athlete": new_id() })).await.refused(404, "NOT_FOUND");
    ask(json!({ "username": "nobody.of.that.name" })).await.refused(404, "NOT_FOUND");
    for body in [json!({}), json!({ "athlete": new_id(), "username": "xavier" })] {
        assert_eq!(ask(body).await.refused(400, "VALIDATION_ERROR").error_fields(), ["athlete"]);
    }
    athlete.post("/v1/coaching/clients", json!({})).await.refused(403, "FORBIDDEN");
    let bad = athlete.with("x-acting-for", "nobody").get("/v1/history").await;
    assert_eq!(bad.refused(400, "VALIDATION_ERROR").error_fields(), ["X-Acting-For"]);
    let simple = athlete.athlete.unwrap().simple().to_string();
    for acting in
        [coach.with("x-acting-for", simple), coach.acting_for(&athlete).acting_for(&athlete)]
    {
        let bad = acting.get("/v1/history").await.refused(400, "VALIDATION_ERROR");
        assert_eq!(bad.error_fields(), ["X-Acting-For"]);
    }
    let name = format!("c{}", &new_id().simple().to_string()[20..]);
    athlete.patch("/v1/athletes/me", json!({ "username": name })).await.expect(200);
    ask(json!({ "username": name.to_uppercase() })).await.expect(201);

    // A key acts for clients only where that is what it is for, and only as far as it goes.
    let invitations = athlete.get("/v1/coaching/coaches").await.expect(200);
    let waits = async || {
        let listed = athlete.get("/v1/coaching/coaches").await.expect(200);
        listed.list().first().map(|first| first["invitation"].as_str().unwrap().to_owned())
    };
    drop(invitations);
    let invitation = eventually("the invitation", waits).await;
    accept(&athlete, &coach, &invitation).await.expect(200);
    let key = async |scopes: &[&str]| {
        let body = json!({ "name": "sync", "scopes": scopes });
        let made = coach.post("/v1/auth/keys", body).await.expect(201);
        coach.with_token(made.data()["secret"].as_str().unwrap()).acting_for(&athlete)
    };
    key(&["training:read"]).await.get("/v1/history").await.refused(403, "SCOPE_MISSING");
    let acting = key(&["training:read", "coaching"]).await;
    acting.get("/v1/history").await.expect(200);
    acting.post("/v1/workouts", json!({})).await.refused(403, "SCOPE_MISSING");

    // Who is no coach any more acts for nobody.
    let former = app.grant(&coach, &["--role", "athlete"]).await;
    former.acting_for(&athlete).get("/v1/history").await.refused(403, "NOT_A_CLIENT");
}

#[tokio::test]
async fn a_coach_has_idempotency_keys_of_their_own_and_the_tier_is_the_clients() {
    let app = app().await;
    let (coach, client) = (coach(&app).await, app.athlete().await);
    let invitation = invite(&coach, &client).await;
    accept(&client, &coach, &invitation).await.expect(200);
    let acting = coach.acting_for(&client);
    let start = async |who: &Client| {
        who.keyed("key", Method::POST, "/v1/workouts", json!({ "title": "A" })).await.expect(201)
    };
    let (by_coach, by_client) = (start(&acting).await, start(&client).await);
    assert_ne!(by_coach.data()["id"], by_client.data()["id"]);
    assert_eq!(start(&acting).await.data()["id"], by_coach.data()["id"]);

    let exercise = json!({
        "name": "Mine", "equipment": "other", "primary_muscles": ["neck"], "kind": "reps_only",
    });
    acting.post("/v1/exercises", exercise.clone()).await.refused(403, "PRO_REQUIRED");
    app.grant(&client, &["--tier", "pro"]).await;
    acting.post("/v1/exercises", exercise).await.expect(201);
}

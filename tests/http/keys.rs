//! API keys: what they are for, and nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{App, Client, bench};

use crate::{app, binary};

async fn key(athlete: &Client, scopes: &[&str]) -> (String, Client) {
    let body = json!({ "name": "scale", "scopes": scopes });
    let made = athlete.post("/v1/auth/keys", body).await.expect(201);
    let secret = made.data()["secret"].as_str().unwrap();
    (made.data()["id"].as_str().unwrap().to_owned(), athlete.with_token(secret))
}

#[tokio::test]
async fn a_key_does_what_it_is_for() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let (_, reads) = key(&athlete, &["training:read"]).await;
    let (_, writes) = key(&athlete, &["training:write"]).await;
    reads.get(&workout).await.expect(200);
    reads.get("/v1/history").await.expect(200);
    let refused = reads.log_set(&workout, bench(5, 100)).await.refused(403, "SCOPE_MISSING");
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("training:write"));
    writes.log_set(&workout, bench(5, 100)).await.expect(201);
    writes.get(&workout).await.refused(403, "SCOPE_MISSING");
    for (path, scope) in [("/v1/athletes/me", "SCOPE_MISSING"), ("/v1/auth/account", "KEY_REFUSED")]
    {
        reads.get(path).await.refused(403, scope);
    }
    // No key makes keys, changes passwords or ends sessions, whatever it is for.
    let all = ["training:read", "training:write", "profile:read", "profile:write", "coaching"];
    let (_, all) = key(&athlete, &all).await;
    all.get("/v1/athletes/me").await.expect(200);
    all.post("/v1/auth/keys", json!({})).await.refused(403, "KEY_REFUSED");
    all.delete("/v1/auth/sessions").await.refused(403, "KEY_REFUSED");
    all.post("/v1/auth/password", json!({})).await.refused(403, "KEY_REFUSED");
}

#[tokio::test]
async fn a_key_that_is_made_twice_under_one_idempotency_key_is_one() {
    let app = app().await;
    let athlete = app.athlete().await;
    let make = async |name: &str| {
        let body = json!({ "name": name, "scopes": ["training:read"] });
        athlete.keyed("once", testkit::Method::POST, "/v1/auth/keys", body).await
    };
    let (first, again) = (make("a").await.expect(201), make("a").await.expect(201));
    assert_eq!(first.data(), again.data());
    make("b").await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(athlete.get("/v1/auth/keys").await.expect(200).list().len(), 1);
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_as_a_hash() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    let (id, client) = key(&athlete, &["training:read"]).await;
    let listed = athlete.get("/v1/auth/keys").await.expect(200);
    assert_eq!(listed.each("id"), [id.as_str()]);
    assert!(listed.list()[0].get("secret").is_none());
    assert_eq!(listed.list()[0]["used_at"], Value::Null);
    client.get("/v1/history").await.expect(200);
    let listed = athlete.get("/v1/auth/keys").await.expect(200);
    assert!(listed.list()[0]["used_at"].is_string());

    // As it is shown, and as bytes are.
    let text = client.token.as_deref().unwrap().trim_start_matches("ilk_");
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    let hex: String = bytes[16..].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar("select k::text from accounts.keys k")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    assert!(rows.iter().all(|row| !row.contains(text) && !row.contains(&hex)), "{rows:?}");
    assert!(rows[0].contains("\\x"), "bytes are shown so: {rows:?}");

    for wrong in [&client.token.clone().unwrap()[..40], "ilk_", "ilk_AAAA", "ilk_€"] {
        client.with_token(wrong).get("/v1/history").await.expect(401);
    }
    let mut forged = client.token.clone().unwrap();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    client.with_token(&forged).get("/v1/history").await.refused(401, "KEY_INVALID");
}

#[tokio::test]
async fn a_deleted_key_is_dead_and_bad_ones_are_not_made() {
    let app = App::start(binary()).await;
    let (_other, url) = app.another_api().await;
    let (athlete, thief) = (app.athlete().await, app.athlete().await);
    let (id, client) = key(&athlete, &["training:read"]).await;
    let there = client.at(&url);
    client.get("/v1/history").await.expect(200);
    there.get("/v1/history").await.expect(200);
    thief.delete(&format!("/v1/auth/keys/{id}")).await.refused(404, "NOT_FOUND");
    athlete.delete(&format!("/v1/auth/keys/{id}")).await.expect(200);
    client.get("/v1/history").await.refused(401, "KEY_INVALID");
    testkit::eventually("its end on the other process", async || {
        (there.get("/v1/history").await.status == 401).then_some(())
    })
    .await;
    athlete.delete(&format!("/v1/auth/keys/{id}")).await.refused(404, "NOT_FOUND");

    let bad = json!({
        "name": "", "scopes": ["training:read", "everything"], "expires_at": "yesterday", "role": 1,
    });
    let refused = athlete.post("/v1/auth/keys", bad).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["expires_at", "name", "role", "scopes[1]"]);
    for scopes in [json!([]), json!(["coaching", "coaching"])] {
        let body = json!({ "name": "x", "scopes": scopes, "expires_at": "2020-01-01T00:00:00Z" });
        let refused = athlete.post("/v1/auth/keys", body).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["expires_at", "scopes"]);
    }
    let soon = log::Clock::system().now().shifted(chrono::TimeDelta::hours(1)).unwrap();
    let body = json!({ "name": "brief", "scopes": ["training:read"], "expires_at": soon });
    let made = athlete.post("/v1/auth/keys", body).await.expect(201);
    let brief = athlete.with_token(made.data()["secret"].as_str().unwrap());
    app.database.run("update accounts.keys set expires_at = now() where name = 'brief'").await;
    brief.get("/v1/history").await.refused(401, "KEY_INVALID");

    // A tier that is granted holds for a key that is known already.
    let (_, writes) = key(&athlete, &["training:write"]).await;
    let exercise = json!({
        "name": "Mine", "equipment": "other", "primary_muscles": ["neck"], "kind": "reps_only",
    });
    writes.post("/v1/exercises", exercise.clone()).await.refused(403, "PRO_REQUIRED");
    app.grant(&athlete, &["--tier", "pro"]).await;
    testkit::eventually("the tier", async || {
        (writes.post("/v1/exercises", exercise.clone()).await.status == 201).then_some(())
    })
    .await;
}

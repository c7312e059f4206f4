//! The log of access: who came in, was refused, or looked, as the athlete and an admin see it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{App, Client, PASSWORD};

use crate::binary;

async fn entries(athlete: &Client) -> Vec<Value> {
    athlete.get("/v1/athletes/me/access?limit=100").await.expect(200).list().to_vec()
}

fn whats(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["what"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_athlete_sees_sign_ins_refusals_key_use_and_who_looked() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await.with("x-device-id", "phone");
    let seen = entries(&athlete).await;
    assert_eq!(whats(&seen), ["signed_in"]);
    assert_eq!(seen[0]["actor"], athlete.athlete.unwrap().to_string());
    assert_eq!(seen[0]["route"], "POST /v1/auth/register");
    assert!(seen[0]["session"].is_string() && seen[0]["address"].is_string(), "{seen:?}");

    let wrong = json!({ "email": athlete.email, "password": "wrong" });
    app.client().post("/v1/auth/login", wrong).await.expect(401);
    athlete.get("/v1/log").await.refused(403, "FORBIDDEN");
    let over = athlete.signed_in_again().await;
    over.post("/v1/auth/logout", json!({})).await.expect(200);
    over.get("/v1/history").await.expect(401);
    let body = json!({ "name": "k", "scopes": ["training:read"] });
    let made = athlete.post("/v1/auth/keys", body).await.expect(201);
    let key = athlete.with_token(made.data()["secret"].as_str().unwrap());
    for _ in 0..5 {
        key.get("/v1/history").await.expect(200);
    }
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    let id = athlete.athlete.unwrap();
    admin.get(&format!("/v1/log?athlete={id}")).await.expect(200);
    admin.get(&format!("/v1/admin/access?athlete={id}")).await.expect(200);
    let email = athlete.email.clone().unwrap();
    admin.get(&format!("/v1/admin/accounts?email={email}")).await.expect(200);

    let seen = entries(&athlete).await;
    for what in ["signed_out", "key_made"] {
        assert_eq!(whats(&seen).iter().filter(|seen| **seen == what).count(), 1, "{what}");
    }
    let of = |what: &str| -> Vec<&Value> { seen.iter().filter(|e| e["what"] == what).collect() };
    assert_eq!(of("signed_in").len(), 2);
    let failed = of("sign_in_failed");
    assert_eq!((failed.len(), &failed[0]["actor"]), (1, &Value::Null));
    let refused: Vec<&Value> = of("refused").iter().map(|entry| &entry["status"]).collect();
    assert_eq!(refused, [401, 403], "the newest first");
    assert_eq!(of("refused")[1]["device"], "phone");
    let used: i64 = of("key_used").iter().map(|entry| entry["times"].as_i64().unwrap()).sum();
    assert_eq!(used, 5);
    assert!(of("key_used").iter().all(|entry| entry["key"] == made.data()["id"]));
    let looked = of("admin_read");
    let routes: Vec<&str> = looked.iter().map(|entry| entry["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["GET /v1/admin/accounts", "GET /v1/admin/access", "GET /v1/log"]);
    assert!(looked.iter().all(|entry| entry["actor"] == admin.athlete.unwrap().to_string()));

    // Others see nothing of it, and pages go on.
    let other = app.athlete().await;
    assert_eq!(whats(&entries(&other).await), ["signed_in"]);
    let mut paged = Vec::new();
    let mut path = "/v1/athletes/me/access?limit=3".to_owned();
    loop {
        let page = athlete.get(&path).await.expect(200);
        paged.extend(page.list().to_vec());
        let Some(next) = page.meta()["next_cursor"].as_str() else { break };
        path = format!("/v1/athletes/me/access?limit=3&cursor={next}");
    }
    assert_eq!(paged, seen);
    athlete.get("/v1/athletes/me/access?cursor=x").await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn events_that_an_admin_finds_are_written_down_for_whose_they_are() {
    let app = App::start(binary()).await;
    let (ann, ben) = (app.athlete().await, app.athlete().await);
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    let found = admin.get("/v1/log?type=AthleteRegistered").await.expect(200);
    assert!(found.list().len() >= 3);
    for athlete in [&ann, &ben] {
        assert_eq!(whats(&entries(athlete).await), ["admin_read", "signed_in"]);
    }
    assert!(!whats(&entries(&admin).await).contains(&"admin_read"), "of oneself it is no news");
    // What is of nobody whom we know, admins see too.
    let nobody = json!({ "email": "nobody@example.com", "password": PASSWORD });
    app.client().post("/v1/auth/login", nobody).await.expect(401);
    let all = admin.get("/v1/admin/access?limit=1").await.expect(200);
    assert_eq!(all.each("what"), ["sign_in_failed"]);
    assert_eq!(all.each("athlete"), [&Value::Null]);
    // Who pages through everybody's entries is seen by each of them, once a page.
    let before = entries(&ann).await.len();
    admin.get("/v1/admin/access?limit=100").await.expect(200);
    let after = entries(&ann).await;
    assert_eq!((after.len(), &after[0]["what"]), (before + 1, &json!("admin_read")));
    assert_eq!(after[0]["route"], "GET /v1/admin/access");
    assert_eq!(after[0]["session"], Value::Null, "by what others are known is theirs");
}

#[tokio::test]
async fn nobody_changes_what_was_written_down_and_nothing_secret_is_in_it() {
    let app = App::start(binary()).await;
    let athlete = app.athlete().await;
    app.client().with_token("rubbish").get("/v1/history").await.expect(401);
    entries(&athlete).await;
    let mut api = PgConnection::connect(&app.database.api_url()).await.unwrap();
    for statement in [
        "update accounts.access_log set what = 'nothing'",
        "delete from accounts.access_log",
        "truncate accounts.access_log",
    ] {
        let refused = sqlx::query(statement).execute(&mut api).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
    }
    let pruned: i64 =
        sqlx::query_scalar("select accounts.prune_access_log()").fetch_one(&mut api).await.unwrap();
    assert_eq!(pruned, 0, "what is younger than 90 days stays");
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    sqlx::query(
        "insert into accounts.access_log (id, happened_at, what, route, request)
         values ('01900000-0000-7000-8000-000000000000', '2024-06-01', 'refused', '', '')",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let pruned: i64 =
        sqlx::query_scalar("select accounts.prune_access_log()").fetch_one(&mut api).await.unwrap();
    assert_eq!(pruned, 1);

    // Secrets are kept as hashes, and said nowhere.
    let everything: Vec<String> = sqlx::query_scalar(
        "select s::text from accounts.sessions s union all select a::text from accounts.accounts a
         union all select l::text from accounts.access_log l",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let refresh = athlete.refresh_token.as_deref().unwrap().trim_start_matches("ilr_");
    let bytes = URL_SAFE_NO_PAD.decode(refresh).unwrap();
    let hex: String = bytes[32..].iter().map(|byte| format!("{byte:02x}")).collect();
    for secret in [PASSWORD, refresh, &hex, athlete.token.as_deref().unwrap()] {
        assert!(everything.iter().all(|row| !row.contains(secret)), "{everything:?}");
        assert!(!app.api.output().contains(secret));
    }
    assert!(!app.api.output().contains(athlete.email.as_deref().unwrap()));
}

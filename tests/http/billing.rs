//! Notices of the billing service: signed, fresh, in the order of what they tell, and counted once.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{Connection, PgConnection};
use testkit::{Answer, App, Client, Method, new_id};

use crate::{app, binary};

const KEY: &str = "the key of a test billing service";

fn now() -> i64 {
    log::Clock::system().now().utc().timestamp()
}

fn signature(key: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("t={at},v1={hex}")
}

async fn post(client: &Client, signature: &str, body: &str) -> Answer {
    let request = client.request(Method::POST, "/v1/billing/notices");
    let request = request.header("content-type", "application/json");
    let request = if signature.is_empty() {
        request
    } else {
        request.header("x-billing-signature", signature)
    };
    Answer::to(request.body(body.to_owned())).await
}

async fn tell(client: &Client, notice: Value) -> Answer {
    let body = notice.to_string();
    post(client, &signature(KEY, now(), &body), &body).await
}

#[tokio::test]
async fn a_notice_gives_a_tier_until_it_ends() {
    let app = App::start_with(binary(), &[("IRONLEDGER_BILLING_KEY", KEY)]).await;
    let (nobody, athlete) = (app.client(), app.athlete().await);
    let tier = async || {
        let account = athlete.signed_in_again().await.get("/v1/auth/account").await.expect(200);
        (account.data()["tier"].as_str().unwrap().to_owned(), account.data()["tier_until"].clone())
    };
    let notice = |id: &str, at: &str, tier: &str, until: Value| json!({ "id": id, "at": at, "athlete": athlete.athlete, "tier": tier, "until": until });
    let until = "2100-01-01T00:00:00Z";
    let paid = notice("evt_1", "2026-03-01T10:00:00Z", "pro", json!(until));
    tell(&nobody, paid.clone()).await.expect(200);
    assert_eq!(tier().await, ("pro".to_owned(), json!(until)));
    // What the token said before is no longer true.
    athlete.get("/v1/history").await.refused(401, "TOKEN_REVOKED");

    // The same notice again changes nothing, and signs nobody out.
    let signed_in = athlete.signed_in_again().await;
    assert_eq!(tell(&nobody, paid).await.expect(200).data()["applied"], false);
    signed_in.get("/v1/history").await.expect(200);
    let early = notice("evt_3", "2099-01-01T00:00:00Z", "pro", Value::Null);
    let early = tell(&nobody, early).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(early.error_fields(), ["at"], "it would be later than every other");
    let late = notice("evt_0", "2026-02-01T10:00:00Z", "free", Value::Null);
    tell(&nobody, late).await.expect(200);
    assert_eq!(tier().await.0, "pro", "what came late was over already");
    let ended = notice("evt_2", "2026-04-01T10:00:00Z", "pro", json!("2026-04-02T00:00:00Z"));
    tell(&nobody, ended).await.expect(200);
    assert_eq!(tier().await, ("free".to_owned(), Value::Null));
    let mut owner = PgConnection::connect(&app.database.owner_url()).await.unwrap();
    let events: Vec<String> = sqlx::query_scalar(
        "select metadata->>'actor' from log.readable where type = 'TierGranted' order by position",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(events, ["system:billing", "system:billing"]);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_signed_just_now_by_the_service_is_refused() {
    let app = App::start_with(binary(), &[("IRONLEDGER_BILLING_KEY", KEY)]).await;
    let (nobody, athlete) = (app.client(), app.athlete().await);
    let body = json!({
        "id": "evt_1", "at": "2026-03-01T10:00:00Z", "athlete": athlete.athlete, "tier": "pro",
    })
    .to_string();
    let good = signature(KEY, now(), &body);
    let hex = good.split("v1=").nth(1).unwrap();
    for wrong in [
        String::new(),
        "rubbish".to_owned(),
        signature("another key of thirty-two characters", now(), &body),
        signature(KEY, now() - 400, &body),
        signature(KEY, now() + 400, &body),
        format!("t={},v1={hex}", now() - 1),
        format!("t=-9223372036854775808,v1={hex}"),
        format!("v1={hex}"),
        good.replace("v1=", "v0="),
        good[..good.len() - 1].to_owned(),
        format!("{good}00"),
        format!("t={},v1=", now()),
    ] {
        post(&nobody, &wrong, &body).await.refused(401, "SIGNATURE_INVALID");
    }
    let other = body.replace("pro", "free");
    post(&nobody, &good, &other).await.refused(401, "SIGNATURE_INVALID");
    // A good signature makes bad content no better.
    let bad =
        tell(&nobody, json!({ "id": "", "athlete": "x", "tier": "gold", "role": "admin" })).await;
    let fields = bad.refused(400, "VALIDATION_ERROR");
    assert_eq!(fields.error_fields(), ["at", "athlete", "id", "role", "tier"]);
    let unknown = json!({
        "id": "evt_9", "at": "2026-03-01T10:00:00Z", "athlete": new_id(), "tier": "pro",
    });
    tell(&nobody, unknown).await.refused(404, "NOT_FOUND");
    post(&nobody, &good, &body).await.expect(200);
}

#[tokio::test]
async fn without_a_key_no_notice_is_good() {
    let app = app().await;
    tell(&app.client(), json!({})).await.refused(401, "SIGNATURE_INVALID");
}

//! `/v1/auth`: registering, signing in, and tokens that do not hold.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use testkit::{PASSWORD, TOKEN_KEY, email, new_id};
use tokio::task::JoinSet;

use crate::app;

#[tokio::test]
async fn registering_and_signing_in() {
    let app = app().await;
    let email = email();
    let body = json!({
        "email": email, "password": PASSWORD, "time_zone": "America/New_York",
        "units": { "weight": "lb", "distance": "mi" },
    });
    let registered = app.client().post("/v1/auth/register", body).await.expect(201);
    assert_eq!(registered.data()["role"], "athlete");
    assert_eq!(registered.data()["token_type"], "Bearer");
    assert_eq!(registered.data()["expires_in"], 900);

    // An address is one account however it is typed.
    let login = json!({ "email": email.to_uppercase(), "password": PASSWORD });
    let signed_in = app.client().post("/v1/auth/login", login).await.expect(200);
    assert_eq!(signed_in.data()["athlete"], registered.data()["athlete"]);
    let athlete = app.client().with_token(signed_in.data()["access_token"].as_str().unwrap());
    assert_eq!(athlete.get("/v1/history").await.expect(200).meta()["count"], 0);
}

#[tokio::test]
async fn an_address_is_taken_once_even_in_a_race() {
    let app = app().await;
    let email = email();
    let mut sending = JoinSet::new();
    for _ in 0..5 {
        let client = app.client();
        let body = json!({ "email": email, "password": PASSWORD, "time_zone": "UTC" });
        sending.spawn(async move { client.post("/v1/auth/register", body).await });
    }
    let mut answers = sending.join_all().await;
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].status, 201);
    for answer in answers.into_iter().skip(1) {
        answer.refused(409, "EMAIL_TAKEN");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_look_the_same() {
    let app = app().await;
    let athlete = app.athlete().await;
    let login = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        app.client().post("/v1/auth/login", body).await.refused(401, "CREDENTIALS_WRONG")
    };
    let wrong = login(athlete.email.as_ref().unwrap(), "not the password").await;
    for (email, password) in [
        (email().as_str(), PASSWORD),
        (athlete.email.as_ref().unwrap(), ""),
        (athlete.email.as_ref().unwrap(), &"x".repeat(100_000)),
    ] {
        assert_eq!(login(email, password).await.body["error"], wrong.body["error"]);
    }
    for email in ["", "nobody", "nul\u{0}@example.com"] {
        let body = json!({ "email": email, "password": PASSWORD });
        let refused = app.client().post("/v1/auth/login", body).await;
        assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["email"]);
    }
}

#[tokio::test]
async fn every_bad_field_of_a_registration_is_named() {
    let app = app().await;
    let register = async |body: Value| app.client().post("/v1/auth/register", body).await;
    let refused = register(json!({
        "email": "nobody", "password": "short", "time_zone": "Mars/Olympus",
        "units": { "weight": "stone", "speed": "mph" }, "role": "admin",
    }));
    assert_eq!(
        refused.await.refused(400, "VALIDATION_ERROR").error_fields(),
        ["email", "password", "role", "time_zone", "units.speed", "units.weight"]
    );
    let refused = register(json!({})).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["email", "password", "time_zone"]);
    for email in ["a@b@c", "@b", "a@", "a b@c", "a\u{0}@b", "a\n@b", &"x".repeat(300)] {
        let body = json!({ "email": email, "password": PASSWORD, "time_zone": "UTC" });
        let refused = register(body).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(refused.error_fields(), ["email"], "{email}");
    }
}

#[tokio::test]
async fn tokens_that_do_not_hold() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let good = athlete.token.clone().unwrap();

    // What a good token says, and how it says it.
    let part = |index| good.split('.').nth(index).unwrap();
    let read = |index| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part(index)).unwrap()).unwrap()
    };
    let (said, header) = (read(1), read(0));
    let now = said["iat"].as_i64().unwrap();
    let ours = EncodingKey::from_base64_secret(TOKEN_KEY).unwrap();
    let signed = |algorithm, key: &EncodingKey, head: Value, change: Value| {
        let mut claims = said.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let said = |name: &str| {
            let text = head.get(name).unwrap_or(&header[name]).as_str();
            text.map(str::to_owned)
        };
        let header = Header { typ: said("typ"), kid: said("kid"), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    };
    let plain = |change| signed(Algorithm::HS256, &ours, json!({}), change);
    let other_partition = (said["part"].as_i64().unwrap() + 1) % 32;
    let theirs = EncodingKey::from_secret(&[7; 32]);
    let invalid = [
        ("another key", signed(Algorithm::HS256, &theirs, json!({}), json!({}))),
        (
            "a key that is not there",
            signed(Algorithm::HS256, &ours, json!({"kid": "x"}), json!({})),
        ),
        ("no key", signed(Algorithm::HS256, &ours, json!({"kid": null}), json!({}))),
        ("another kind", signed(Algorithm::HS256, &ours, json!({"typ": "JWT"}), json!({}))),
        ("another algorithm", signed(Algorithm::HS512, &ours, json!({}), json!({}))),
        ("another audience", plain(json!({"aud": "x"}))),
        ("another issuer", plain(json!({"iss": "x"}))),
        ("not yet", plain(json!({"nbf": now + 60}))),
        ("an unknown role", plain(json!({"role": "god"}))),
        ("an unknown tier", plain(json!({"tier": "gold"}))),
        ("nobody", plain(json!({"sub": "x"}))),
        ("somebody who is not there", plain(json!({"sub": new_id()}))),
        ("another's partition", plain(json!({"part": other_partition}))),
        ("tampered", format!("{}.{}x.{}", part(0), part(1), part(2))),
        ("alg none", format!("eyJhbGciOiJub25lIn0.{}.", part(1))),
        ("alg none of our kind", {
            let head = json!({"alg": "none", "typ": header["typ"], "kid": header["kid"]});
            let head = URL_SAFE_NO_PAD.encode(head.to_string());
            format!("{head}.{}.", part(1))
        }),
        ("cut", good[..good.len() - 3].to_owned()),
        ("a refresh token", athlete.refresh_token.clone().unwrap()),
        ("rubbish", "rubbish".to_owned()),
        ("empty", String::new()),
    ];
    for (what, token) in &invalid {
        let answer = athlete.with_token(token).get(&workout).await;
        let expected = if token.is_empty() { "TOKEN_MISSING" } else { "TOKEN_INVALID" };
        assert_eq!((answer.status, answer.error_code()), (401, expected), "{what}");
        let told = if token.is_empty() { "Bearer" } else { "Bearer error=\"invalid_token\"" };
        assert_eq!(answer.header("www-authenticate"), told, "{what}");
    }
    let expired = plain(json!({ "exp": now }));
    athlete.with_token(&expired).get(&workout).await.refused(401, "TOKEN_EXPIRED");
    // The same with a later end is good, so that it is not something else that was refused.
    athlete.with_token(&plain(json!({ "exp": now + 600 }))).get(&workout).await.expect(200);
}

#[tokio::test]
async fn a_granted_role_holds_from_the_next_sign_in() {
    let app = app().await;
    let athlete = app.athlete().await;
    let email = athlete.email.as_deref().unwrap();
    let (status, said) = app.run(&["admin", "grant", "--email", email, "--role", "admin"]).await;
    assert!(status.success(), "{said}");
    let login = json!({ "email": email, "password": PASSWORD });
    let signed_in = app.client().post("/v1/auth/login", login).await.expect(200);
    assert_eq!(signed_in.data()["role"], "admin");

    let (status, said) =
        app.run(&["admin", "grant", "--email", "nobody@nowhere", "--role", "coach"]).await;
    assert!(!status.success() && said.contains("no account"), "{said}");
    let (status, _) = app.run(&["admin", "grant", "--email", email, "--role", "god"]).await;
    assert!(!status.success());
}

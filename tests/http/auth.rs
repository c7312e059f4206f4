//! `/v1/auth`: registering, signing in, and tokens that do not hold.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, PASSWORD, TOKEN_KEY, email, new_id};
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

    let now = log::Clock::system().now().utc().timestamp();
    let claims = |change: Value| {
        let mut claims = json!({
            "iss": "ironledger", "aud": "ironledger-api", "sub": athlete.athlete, "part": 0,
            "role": "athlete", "iat": now, "nbf": now, "exp": now + 600,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    };
    let ours = EncodingKey::from_base64_secret(TOKEN_KEY).unwrap();
    let signed = |algorithm, claims: &Value, key: &EncodingKey| {
        jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
    };
    let part = |index| good.split('.').nth(index).unwrap();
    let tampered = format!("{}.{}x.{}", part(0), part(1), part(2));
    let none = format!("eyJhbGciOiJub25lIn0.{}.", part(1));
    let invalid = [
        (
            "another key",
            signed(Algorithm::HS256, &claims(json!({})), &EncodingKey::from_secret(&[7; 32])),
        ),
        ("another algorithm", signed(Algorithm::HS512, &claims(json!({})), &ours)),
        ("another audience", signed(Algorithm::HS256, &claims(json!({"aud": "x"})), &ours)),
        ("another issuer", signed(Algorithm::HS256, &claims(json!({"iss": "x"})), &ours)),
        ("not yet", signed(Algorithm::HS256, &claims(json!({"nbf": now + 60})), &ours)),
        ("an unknown role", signed(Algorithm::HS256, &claims(json!({"role": "god"})), &ours)),
        ("nobody", signed(Algorithm::HS256, &claims(json!({"sub": "x"})), &ours)),
        ("tampered", tampered),
        ("alg none", none),
        ("cut", good[..good.len() - 3].to_owned()),
        ("rubbish", "rubbish".to_owned()),
        ("empty", String::new()),
    ];
    for (what, token) in &invalid {
        let answer = athlete.with_token(token).get(&workout).await;
        let expected = if token.is_empty() { "TOKEN_MISSING" } else { "TOKEN_INVALID" };
        assert_eq!((answer.status, answer.error_code()), (401, expected), "{what}");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
    }
    let expired = signed(Algorithm::HS256, &claims(json!({ "exp": now })), &ours);
    athlete.with_token(&expired).get(&workout).await.refused(401, "TOKEN_EXPIRED");
    // The same with a later end is good, so that it is not something else that was refused.
    let fine = signed(Algorithm::HS256, &claims(json!({})), &ours);
    assert_ne!(athlete.with_token(&fine).get(&workout).await.status, 401);
}

#[tokio::test]
async fn every_route_but_a_few_wants_a_token() {
    let app = app().await;
    let nobody = app.client();
    let (workout, set) = (new_id(), new_id());
    for (method, path) in [
        (Method::GET, "/v1/workouts".to_owned()),
        (Method::POST, "/v1/workouts".to_owned()),
        (Method::GET, format!("/v1/workouts/{workout}")),
        (Method::PATCH, format!("/v1/workouts/{workout}")),
        (Method::DELETE, format!("/v1/workouts/{workout}")),
        (Method::POST, format!("/v1/workouts/{workout}/complete")),
        (Method::POST, format!("/v1/workouts/{workout}/sets")),
        (Method::PATCH, format!("/v1/workouts/{workout}/sets/{set}")),
        (Method::DELETE, format!("/v1/workouts/{workout}/sets/{set}")),
        (Method::POST, format!("/v1/workouts/{workout}/sets/{set}/confirm")),
        (Method::GET, "/v1/athletes/me".to_owned()),
        (Method::PATCH, "/v1/athletes/me".to_owned()),
        (Method::GET, "/v1/athletes/me/measurements".to_owned()),
        (Method::POST, "/v1/athletes/me/measurements".to_owned()),
        (Method::GET, format!("/v1/athletes/me/measurements/{set}")),
        (Method::PATCH, format!("/v1/athletes/me/measurements/{set}")),
        (Method::DELETE, format!("/v1/athletes/me/measurements/{set}")),
        (Method::GET, "/v1/history".to_owned()),
        (Method::GET, "/v1/records".to_owned()),
        (Method::GET, "/v1/records/plank".to_owned()),
        (Method::GET, "/v1/records/plank/progression".to_owned()),
        (Method::GET, "/v1/stats/overview".to_owned()),
        (Method::GET, "/v1/stats/personal-records".to_owned()),
        (Method::GET, "/v1/stats/strength-levels".to_owned()),
        (Method::GET, "/v1/stats/strength-levels/plank".to_owned()),
        (Method::GET, "/v1/exercises".to_owned()),
        (Method::POST, "/v1/exercises".to_owned()),
        (Method::GET, "/v1/log".to_owned()),
        (Method::GET, format!("/v1/audit/sets/{set}")),
        (Method::GET, format!("/v1/audit/workouts/{workout}")),
        (Method::GET, "/v1/audit/reads".to_owned()),
    ] {
        // Who it is comes before what it says.
        let request = nobody.request(method.clone(), &path).body("{");
        let answer = Answer::to(request).await;
        assert_eq!(answer.error_code(), "TOKEN_MISSING", "{method} {path}: {}", answer.body);
        assert_eq!(answer.status, 401);
        let basic = nobody.request(method, &path).basic_auth("a", Some("b"));
        Answer::to(basic).await.refused(401, "TOKEN_MISSING");
    }
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

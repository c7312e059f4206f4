//! Sessions: refreshing, ending, listing, and that what is over is over everywhere.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, App, Client, PASSWORD, TOKEN_KEY, eventually};
use tokio::task::JoinSet;

use crate::{app, binary};

async fn refresh(client: &Client, token: &str) -> Answer {
    client.anonymously().post("/v1/auth/refresh", json!({ "refresh_token": token })).await
}

fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_family() {
    let app = app().await;
    let athlete = app.athlete().await;
    let first = athlete.refresh_token.clone().unwrap();
    let next = refresh(&athlete, &first).await.expect(200);
    let second = text(next.data(), "refresh_token");
    assert_ne!(first, second);
    let renewed = athlete.with_tokens(next.data());
    renewed.get("/v1/auth/account").await.expect(200);

    // Somebody else has the first one too.
    refresh(&athlete, &first).await.refused(401, "REFRESH_TOKEN_REUSED");
    let seen = athlete.signed_in_again().await.get("/v1/athletes/me/access").await.expect(200);
    let reused = seen.list().iter().find(|entry| entry["what"] == "token_reused").unwrap();
    assert_eq!(reused["session"], next.data()["session"], "which session it was is told");
    refresh(&athlete, &second).await.refused(401, "REFRESH_TOKEN_INVALID");
    renewed.get("/v1/auth/account").await.refused(401, "TOKEN_REVOKED");
    athlete.get("/v1/auth/account").await.refused(401, "TOKEN_REVOKED");
    // Other sessions of theirs go on.
    athlete.signed_in_again().await.get("/v1/auth/account").await.expect(200);

    // Who only knows the session, which others may see, ends nothing by a token of their own making.
    let session = athlete.signed_in_again().await;
    let token = session.refresh_token.as_deref().unwrap().trim_start_matches("ilr_");
    let mut forged = URL_SAFE_NO_PAD.decode(token).unwrap();
    forged[16..].fill(7);
    let forged = format!("ilr_{}", URL_SAFE_NO_PAD.encode(forged));
    refresh(&session, &forged).await.refused(401, "REFRESH_TOKEN_INVALID");
    session.get("/v1/auth/account").await.expect(200);

    for token in ["", "ilr_", "ilr_AAAA", "rubbish", &athlete.token.clone().unwrap()] {
        refresh(&athlete, token).await.refused(401, "REFRESH_TOKEN_INVALID");
    }
    let nothing = athlete.anonymously().post("/v1/auth/refresh", json!({})).await;
    assert_eq!(nothing.refused(400, "VALIDATION_ERROR").error_fields(), ["refresh_token"]);
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_can_be_repeated_under_its_key() {
    let app = app().await;
    let athlete = app.athlete().await;
    let body = json!({ "refresh_token": athlete.refresh_token });
    let keyed = async |key: &str| {
        athlete.anonymously().keyed(key, Method::POST, "/v1/auth/refresh", body.clone()).await
    };
    let mine = "a key that is not guessed".replace(' ', "-");
    let guessed = keyed("refresh").await.refused(400, "VALIDATION_ERROR");
    assert_eq!(guessed.error_fields(), ["Idempotency-Key"]);
    let first = keyed(&mine).await.expect(200);
    let again = keyed(&mine).await.expect(200);
    assert_eq!(text(again.data(), "refresh_token"), text(first.data(), "refresh_token"));
    athlete.with_tokens(again.data()).get("/v1/auth/account").await.expect(200);
    // Who does not know the key is somebody else.
    keyed(&mine.to_uppercase()).await.refused(401, "REFRESH_TOKEN_REUSED");
    refresh(&athlete, &text(first.data(), "refresh_token")).await.expect(401);
}

#[tokio::test]
async fn many_refreshes_at_once_leave_one_or_none() {
    let app = app().await;
    let athlete = app.athlete().await;
    let token = athlete.refresh_token.clone().unwrap();
    let mut sending = JoinSet::new();
    for _ in 0..10 {
        let (athlete, token) = (athlete.clone(), token.clone());
        sending.spawn(async move { refresh(&athlete, &token).await.status });
    }
    let statuses = sending.join_all().await;
    assert!(statuses.iter().filter(|status| **status == 200).count() <= 1, "{statuses:?}");
    refresh(&athlete, &token).await.expect(401);
}

#[tokio::test]
async fn sessions_are_listed_with_their_devices_and_ended_one_by_one_or_all() {
    let app = app().await;
    let phone = app.athlete().await.with("x-device-id", "phone").with("user-agent", "Test/1");
    let body = json!({ "email": phone.email, "password": PASSWORD });
    let login = Answer::to(
        app.client()
            .request(Method::POST, "/v1/auth/login")
            .header("x-device-id", "tablet")
            .json(&body),
    );
    let tablet = phone.with_tokens(login.await.expect(200).data());

    let listed = phone.get("/v1/auth/sessions").await.expect(200);
    assert_eq!(listed.each("method"), ["password", "registration"]);
    assert_eq!(listed.each("device"), [&json!("tablet"), &Value::Null]);
    assert_eq!(listed.each("current"), [false, true]);
    assert!(listed.list()[0]["address"].as_str().unwrap().starts_with("127."));
    let other = text(&listed.list()[0], "id");

    // Nobody ends another's.
    let thief = app.athlete().await;
    thief.delete(&format!("/v1/auth/sessions/{other}")).await.refused(404, "NOT_FOUND");
    tablet.get("/v1/history").await.expect(200);
    phone.delete(&format!("/v1/auth/sessions/{other}")).await.expect(200);
    tablet.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
    phone.delete(&format!("/v1/auth/sessions/{other}")).await.refused(404, "NOT_FOUND");

    let third = phone.signed_in_again().await;
    assert_eq!(third.delete("/v1/auth/sessions").await.expect(200).data()["ended"], 2);
    for over in [&phone, &third] {
        over.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
        refresh(over, over.refresh_token.as_ref().unwrap()).await.expect(401);
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_of_either_token() {
    let app = app().await;
    let athlete = app.athlete().await;
    athlete.post("/v1/auth/logout", json!({})).await.expect(200);
    athlete.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
    refresh(&athlete, athlete.refresh_token.as_ref().unwrap()).await.expect(401);

    let again = athlete.signed_in_again().await;
    let token = json!({ "refresh_token": again.refresh_token });
    again.anonymously().post("/v1/auth/logout", token.clone()).await.expect(200);
    again.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
    // Signed out is signed out, also a second time.
    again.anonymously().post("/v1/auth/logout", token).await.expect(200);
    again.anonymously().post("/v1/auth/logout", json!({})).await.refused(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn a_browser_keeps_its_refresh_token_where_scripts_and_other_pages_cannot_use_it() {
    let app = app().await;
    let athlete = app.athlete().await;
    let body = json!({ "email": athlete.email, "password": PASSWORD, "refresh_in": "cookie" });
    let login = app.client().post("/v1/auth/login", body).await.expect(200);
    assert!(login.data().get("refresh_token").is_none());
    let set = login.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/v1/auth", "Max-Age=2592000"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap();
    let csrf = text(login.data(), "csrf_token");
    let with = async |csrf: Option<&str>, path: &str| {
        let mut request = app.client().request(Method::POST, path).header("cookie", cookie);
        if let Some(csrf) = csrf {
            request = request.header("x-csrf-token", csrf);
        }
        Answer::to(request).await
    };
    let body = json!({ "email": athlete.email, "password": PASSWORD, "refresh_in": "cookie" });
    let other = app.client().post("/v1/auth/login", body).await.expect(200);
    let others = text(other.data(), "csrf_token");
    for wrong in [None, Some(""), Some("x"), Some(others.as_str())] {
        with(wrong, "/v1/auth/refresh").await.refused(403, "CSRF_TOKEN_WRONG");
        with(wrong, "/v1/auth/logout").await.refused(403, "CSRF_TOKEN_WRONG");
    }
    let next = with(Some(&csrf), "/v1/auth/refresh").await.expect(200);
    assert_eq!(next.data()["csrf_token"], csrf.as_str(), "it stays with the session");
    assert_ne!(next.header("set-cookie").split(';').next(), Some(cookie));
    with(Some(&csrf), "/v1/auth/refresh").await.refused(401, "REFRESH_TOKEN_REUSED");
    let gone = with(Some(&csrf), "/v1/auth/logout").await.expect(200);
    assert!(gone.header("set-cookie").contains("Max-Age=0"), "{gone:?}");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let app = app().await;
    let athlete = app.athlete().await;
    let other = athlete.signed_in_again().await;
    let change =
        |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let wrong = athlete.post("/v1/auth/password", change("wrong", "a new password")).await;
    assert_eq!(wrong.refused(400, "VALIDATION_ERROR").error_fields(), ["current_password"]);
    let short = athlete.post("/v1/auth/password", change(PASSWORD, "short")).await;
    assert_eq!(short.refused(400, "VALIDATION_ERROR").error_fields(), ["new_password"]);
    other.get("/v1/history").await.expect(200);

    athlete.post("/v1/auth/password", change(PASSWORD, "a new password")).await.expect(200);
    athlete.get("/v1/history").await.expect(200);
    other.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
    let login = async |password: &str| {
        let body = json!({ "email": athlete.email, "password": password });
        app.client().post("/v1/auth/login", body).await
    };
    login(PASSWORD).await.refused(401, "CREDENTIALS_WRONG");
    login("a new password").await.expect(200);
}

#[tokio::test]
async fn what_is_over_on_one_process_is_over_on_the_others_within_a_second() {
    let app = App::start(binary()).await;
    let (_other, url) = app.another_api().await;
    let athlete = app.athlete().await;
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    for round in 0..5 {
        let (here, other) = (athlete.signed_in_again().await, athlete.signed_in_again().await);
        let there = here.at(&url);
        there.get("/v1/history").await.expect(200);
        match round {
            0 => drop(here.post("/v1/auth/logout", json!({})).await.expect(200)),
            1 => drop(other.delete("/v1/auth/sessions").await.expect(200)),
            2 => {
                let body = json!({
                    "current_password": PASSWORD, "new_password": PASSWORD,
                });
                drop(other.post("/v1/auth/password", body).await.expect(200));
            }
            3 => {
                refresh(&here, here.refresh_token.as_ref().unwrap()).await.expect(200);
                refresh(&here, here.refresh_token.as_ref().unwrap()).await.expect(401);
            }
            _ => admin
                .request(
                    Method::PUT,
                    &format!("/v1/admin/accounts/{}/role", athlete.athlete.unwrap()),
                )
                .json(&json!({ "role": "coach" }))
                .send()
                .await
                .map(drop)
                .unwrap(),
        };
        let ended = Instant::now();
        eventually("the end of it on the other process", async || {
            (there.get("/v1/history").await.status == 401).then_some(())
        })
        .await;
        assert!(ended.elapsed() < Duration::from_secs(1), "{round}: {:?}", ended.elapsed());
        there.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
    }
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_too_old_is_over_and_an_athlete_has_a_hundred_sessions_at_most() {
    let app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    app.database.run("update accounts.sessions set expires_at = now()").await;
    let token = athlete.refresh_token.as_ref().unwrap();
    refresh(&athlete, token).await.refused(401, "REFRESH_TOKEN_INVALID");
    assert!(athlete.get("/v1/auth/sessions").await.expect(200).list().is_empty());

    let athlete = app.athlete().await;
    app.database
        .run(&format!(
            "insert into accounts.sessions
             select gen_random_uuid(), '{}', '', '', now(), now() - n * interval '1 day',
                 now() + interval '1 day', 'password'
             from generate_series(1, 120) n",
            athlete.athlete.unwrap()
        ))
        .await;
    let again = athlete.signed_in_again().await;
    let sessions = again.get("/v1/auth/sessions").await.expect(200);
    assert_eq!(sessions.list().len(), 100);
    assert!(sessions.list()[0]["current"].as_bool().unwrap());
    athlete.get("/v1/auth/account").await.expect(200);
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_told_to_come_back_and_holds_nobody_up() {
    let app = app().await;
    let athlete = app.athlete().await;
    let workout = athlete.start_workout(json!({})).await;
    let mut storm = JoinSet::new();
    for n in 0..150 {
        let (client, email) = (app.client(), format!("nobody{n}@example.com"));
        let body = json!({ "email": email, "password": "wrong" });
        storm.spawn(async move { client.post("/v1/auth/login", body).await });
    }
    for _ in 0..10 {
        athlete.log_bench(&workout, 5, 100).await;
    }
    assert!(!storm.is_empty(), "sets were logged while the storm was on");
    let answers = storm.join_all().await;
    for answer in &answers {
        match answer.status {
            401 => {}
            503 => assert_eq!(answer.header("retry-after"), "2"),
            other => assert_eq!(other, 401, "{answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 503), "a queue has an end");
}

#[tokio::test]
async fn signing_keys_change_without_a_token_refused() {
    const NEW: &str = "YW5vdGhlciB0b2tlbiBrZXkgYW5vdGhlciB0b2tlbiE=";
    let both = |first: &str, second: &str| format!("{first},{second}");
    let keys = [TOKEN_KEY.to_owned(), both(TOKEN_KEY, NEW), both(NEW, TOKEN_KEY), NEW.to_owned()];
    let app = App::without_projector(binary()).await;
    let athlete = app.athlete().await;
    let mut processes = Vec::new();
    for key in &keys {
        processes.push(app.another_api_with(&[("IRONLEDGER_TOKEN_KEY", key)]).await);
    }
    let tokens = {
        let mut tokens = Vec::new();
        for (_, url) in &processes {
            tokens.push(athlete.at(url).signed_in_again().await);
        }
        tokens
    };
    for (issued, athlete) in tokens.iter().enumerate() {
        for (asked, (_, url)) in processes.iter().enumerate() {
            let answer = athlete.at(url).get("/v1/auth/account").await;
            // Who has the key that signed it takes it; a step apart everybody has.
            let signed_by = if issued < 2 { TOKEN_KEY } else { NEW };
            let takes = keys[asked].split(',').any(|key| key == signed_by);
            assert_eq!(answer.status, if takes { 200 } else { 401 }, "{issued} {asked}");
            assert!(takes || issued.abs_diff(asked) > 1, "{issued} {asked}");
        }
    }
}

#[tokio::test]
async fn what_is_written_to_break_out_is_only_text() {
    let app = app().await;
    let athlete = app.athlete().await;
    let coach = app.grant(&app.athlete().await, &["--role", "coach"]).await;
    let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
    let count = athlete.get("/v1/auth/sessions").await.expect(200).list().len();
    for text in [
        "' or '1'='1",
        "'; drop table accounts.accounts; --",
        "\\",
        "%27%20or%201=1",
        "\u{1F4A3}\u{202e}",
    ] {
        let login = json!({ "email": athlete.email, "password": text });
        app.client().post("/v1/auth/login", login).await.refused(401, "CREDENTIALS_WRONG");
        let login = json!({ "email": format!("{text}@example.com"), "password": text });
        let status = app.client().post("/v1/auth/login", login).await.status;
        assert!([400, 401].contains(&status), "{text}: {status}");
        let reset = json!({ "token": text, "new_password": "long enough" });
        let reset = app.client().post("/v1/auth/password/reset", reset).await;
        reset.refused(400, "MAIL_TOKEN_INVALID");
        refresh(&athlete, text).await.refused(401, "REFRESH_TOKEN_INVALID");
        let unlink = json!({ "issuer": text, "subject": text });
        let status = athlete.post("/v1/auth/identities/unlink", unlink).await.status;
        assert!([400, 404].contains(&status), "{text}: {status}");
        let ask = json!({ "username": text });
        coach.post("/v1/coaching/clients", ask).await.refused(400, "VALIDATION_ERROR");
    }
    for path in ["/v1/admin/accounts?email=%00", "/v1/admin/accounts?email='%20or%201=1"] {
        admin.get(path).await.refused(400, "VALIDATION_ERROR");
    }
    // Headers that claim something are text, too.
    let request = athlete
        .request(Method::POST, "/v1/auth/login")
        .header("x-device-id", "a'; drop table x; --")
        .header("x-forwarded-for", "' or 1=1, ::::, 999.999.999.999")
        .header("user-agent", "x".repeat(5000))
        .header("x-request-id", "{\"a\":1}")
        .json(&json!({ "email": athlete.email, "password": PASSWORD }));
    let answer = Answer::to(request).await.expect(200);
    assert_ne!(answer.header("x-request-id"), "{\"a\":1}");
    let sessions = athlete.get("/v1/auth/sessions").await.expect(200);
    assert_eq!(sessions.list().len(), count + 1);
    assert_eq!(sessions.list()[0]["device"], Value::Null, "it was no id");
    assert_eq!(sessions.list()[0]["user_agent"].as_str().unwrap().len(), 200);
    assert!(sessions.list()[0]["address"].as_str().unwrap().starts_with("127."));
}

//! Mail: proving an address and setting a forgotten password anew, by a server that speaks SMTP.

use serde_json::json;
use testkit::{App, Client, PASSWORD, email, mail::MailServer};

use crate::{app, binary};

async fn app_with(server: &MailServer) -> App {
    let environment = [
        ("IRONLEDGER_SMTP_URL", server.url()),
        ("IRONLEDGER_MAIL_FROM", "Ironledger <hello@example.com>"),
        ("IRONLEDGER_APP_URL", "https://app.example.com/"),
    ];
    App::start_with(binary(), &environment).await
}

async fn is_verified(athlete: &Client) -> bool {
    athlete.get("/v1/auth/account").await.expect(200).data()["email_verified"] == true
}

#[tokio::test]
async fn an_address_is_proved_by_its_mail() {
    let server = MailServer::start().await;
    let app = app_with(&server).await;
    let athlete = app.athlete().await;
    let address = athlete.email.clone().unwrap();
    let mail = server.nth_to(&address, 1).await;
    assert!(mail.text.contains("From: Ironledger <hello@example.com>"), "{}", mail.text);
    assert!(mail.text.contains("https://app.example.com/verify-email#"), "{}", mail.text);
    assert!(!is_verified(&athlete).await);

    athlete.post("/v1/auth/email/verification", json!({})).await.expect(202);
    let second = server.nth_to(&address, 2).await;
    let verify = async |token: &str| {
        app.client().post("/v1/auth/email/verify", json!({ "token": token })).await
    };
    verify(&mail.token()).await.refused(400, "MAIL_TOKEN_INVALID");
    verify(&second.token()).await.expect(200);
    assert!(is_verified(&athlete).await);
    verify(&second.token()).await.refused(400, "MAIL_TOKEN_INVALID");
    for rubbish in ["", "x", "€", &"A".repeat(10_000)] {
        verify(rubbish).await.refused(400, "MAIL_TOKEN_INVALID");
    }
    // Proved once, it is not asked for again.
    athlete.post("/v1/auth/email/verification", json!({})).await.expect(202);
    assert_eq!(server.to(&address).len(), 2);
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_who_reads_the_mail() {
    let server = MailServer::start().await;
    let app = app_with(&server).await;
    let athlete = app.athlete().await;
    let address = athlete.email.clone().unwrap();
    server.nth_to(&address, 1).await;
    let forgot = async |email: &str| {
        let body = json!({ "email": email });
        app.client().post("/v1/auth/password/forgot", body).await.expect(202)
    };
    // Whether there is such an account is not told.
    let nobody = email();
    let (unknown, known) = (forgot(&nobody).await, forgot(&address.to_uppercase()).await);
    assert_eq!(unknown.body["data"], known.body["data"]);
    let mail = server.nth_to(&address, 2).await;
    assert!(mail.text.contains("/reset-password#"));
    assert!(server.to(&nobody).is_empty());

    let reset = async |token: &str, password: &str| {
        let body = json!({ "token": token, "new_password": password });
        app.client().post("/v1/auth/password/reset", body).await
    };
    let short = reset(&mail.token(), "short").await.refused(400, "VALIDATION_ERROR");
    assert_eq!(short.error_fields(), ["new_password"]);
    // A token of another purpose is none.
    let verifying = server.to(&address)[0].token();
    reset(&verifying, "a new password").await.refused(400, "MAIL_TOKEN_INVALID");
    reset(&mail.token(), "a new password").await.expect(200);
    athlete.get("/v1/history").await.refused(401, "TOKEN_REVOKED");
    reset(&mail.token(), "another password").await.refused(400, "MAIL_TOKEN_INVALID");
    let login = async |password: &str| {
        let body = json!({ "email": address, "password": password });
        app.client().post("/v1/auth/login", body).await
    };
    login(PASSWORD).await.refused(401, "CREDENTIALS_WRONG");
    let again = athlete.with_tokens(login("a new password").await.expect(200).data());
    assert!(is_verified(&again).await, "who reset by mail reads the mail");
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_way_to_send_mail_that_is_told() {
    let app = app().await;
    let athlete = app.athlete().await;
    let refused = athlete.post("/v1/auth/email/verification", json!({})).await;
    refused.refused(503, "MAIL_UNAVAILABLE");
    let body = json!({ "email": athlete.email });
    app.client().post("/v1/auth/password/forgot", body).await.refused(503, "MAIL_UNAVAILABLE");
}

#[tokio::test]
async fn who_develops_reads_mail_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail");
    let environment = [("IRONLEDGER_MAIL_FOLDER", path.to_str().unwrap())];
    let app = App::start_with(binary(), &environment).await;
    let athlete = app.athlete().await;
    let mail = testkit::eventually("a mail in the folder", async || {
        let file = std::fs::read_dir(&path).ok()?.next()?.ok()?.path();
        let text = std::fs::read_to_string(file).ok()?;
        text.contains("nothing to do").then_some(text)
    })
    .await;
    let is_token = |line: &&str| line.len() == 43 && !line.contains(':');
    let token = mail.lines().map(str::trim).find(is_token).unwrap();
    app.client().post("/v1/auth/email/verify", json!({ "token": token })).await.expect(200);
    assert!(is_verified(&athlete).await);
}

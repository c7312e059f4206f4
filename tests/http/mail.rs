//! Mail: proving an address and setting a forgotten password anew, by a server that speaks SMTP.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use testkit::{App, Client, PASSWORD, email, mail::MailServer};
use tokio::task::JoinSet;

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
    for header in ["MIME-Version: 1.0", "Message-ID: <"] {
        assert!(mail.text.contains(header), "{header}: {}", mail.text);
    }
    assert!(mail.text.contains("https://app.example.com/verify-email#"), "{}", mail.text);
    assert!(!is_verified(&athlete).await);

    // Asked again at once, the first is good: nobody is flooded, and no link outdated.
    athlete.post("/v1/auth/email/verification", json!({})).await.expect(202);
    app.database.run("update accounts.mailed set expires_at = expires_at - interval '3 min'").await;
    athlete.post("/v1/auth/email/verification", json!({})).await.expect(202);
    let second = server.nth_to(&address, 2).await;
    assert_eq!(server.to(&address).len(), 2);
    let verify =
        async |token: &str| athlete.post("/v1/auth/email/verify", json!({ "token": token })).await;
    verify(&mail.token()).await.refused(400, "MAIL_TOKEN_INVALID");
    // Whose address it is opens a mail that they did not ask for: that proves nothing to who did.
    let token = json!({ "token": second.token() });
    app.client().post("/v1/auth/email/verify", token.clone()).await.refused(401, "TOKEN_MISSING");
    let other = app.athlete().await;
    other.post("/v1/auth/email/verify", token).await.refused(400, "MAIL_TOKEN_INVALID");
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
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else reads it");
    let token = mail.lines().find_map(|line| line.trim().strip_prefix("Give this to your app: "));
    let token = token.unwrap();
    athlete.post("/v1/auth/email/verify", json!({ "token": token })).await.expect(200);
    assert!(is_verified(&athlete).await);
}

#[tokio::test]
async fn who_resets_by_mail_has_the_account_alone() {
    let server = MailServer::start().await;
    let app = app_with(&server).await;
    // Mallory registers with another's address, and makes ways in that need no password.
    let mallory = app.athlete().await;
    let address = mallory.email.clone().unwrap();
    let body = json!({ "name": "mine", "scopes": ["training:read"] });
    let made = mallory.post("/v1/auth/keys", body.clone()).await.expect(201);
    let key = mallory.with_token(made.data()["secret"].as_str().unwrap());
    app.database
        .run(&format!(
            "insert into accounts.identities values ('https://i', 'm', '{}', now())",
            mallory.athlete.unwrap()
        ))
        .await;
    key.get("/v1/history").await.expect(200);
    let reset = async |count: usize| {
        app.client()
            .post("/v1/auth/password/forgot", json!({ "email": address }))
            .await
            .expect(202);
        let token = server.nth_to(&address, count).await.token();
        let body = json!({ "token": token, "new_password": format!("password {count}") });
        app.client().post("/v1/auth/password/reset", body).await.expect(200);
        let login = json!({ "email": address, "password": format!("password {count}") });
        let login = app.client().post("/v1/auth/login", login).await.expect(200);
        mallory.with_tokens(login.data())
    };
    let owner = reset(2).await;
    key.get("/v1/history").await.refused(401, "KEY_INVALID");
    assert!(owner.get("/v1/auth/identities").await.expect(200).list().is_empty());
    assert!(owner.get("/v1/auth/keys").await.expect(200).list().is_empty());
    // Once the address is proved, what the owner made stays.
    owner.post("/v1/auth/keys", body).await.expect(201);
    let owner = reset(3).await;
    assert_eq!(owner.get("/v1/auth/keys").await.expect(200).list().len(), 1);
}

#[tokio::test]
async fn nobody_slips_in_by_the_old_password_while_it_is_changed() {
    let app = app().await;
    for _ in 0..5 {
        let athlete = app.athlete().await;
        let mut entering = JoinSet::new();
        for _ in 0..12 {
            let athlete = athlete.clone();
            entering.spawn(async move {
                let body = json!({ "email": athlete.email, "password": PASSWORD });
                let answer = athlete.anonymously().post("/v1/auth/login", body).await;
                (answer.status == 200).then(|| athlete.with_tokens(answer.data()))
            });
        }
        let body = json!({ "current_password": PASSWORD, "new_password": "another one" });
        athlete.post("/v1/auth/password", body).await.expect(200);
        for entered in entering.join_all().await.into_iter().flatten() {
            entered.get("/v1/auth/account").await.refused(401, "TOKEN_REVOKED");
        }
        let sessions = athlete.get("/v1/auth/sessions").await.expect(200);
        assert_eq!(sessions.each("current"), [true]);
    }
}

#[tokio::test]
async fn a_mail_that_fails_holds_up_no_other_and_tokens_end() {
    let server = MailServer::start().await;
    let app = app_with(&server).await;
    // The server will not have mail to these.
    let body =
        |address: &str| json!({ "email": address, "password": PASSWORD, "time_zone": "UTC" });
    for n in 0..20 {
        let address = {
            let kind = if n % 2 == 0 { "refused" } else { "later" };
            format!("{kind}{n}@{}.example.com", testkit::new_id().simple())
        };
        app.client().post("/v1/auth/register", body(&address)).await.expect(201);
    }
    let athlete = app.athlete().await;
    let address = athlete.email.clone().unwrap();
    let token = server.nth_to(&address, 1).await.token();
    app.database.run("update accounts.mailed set expires_at = now()").await;
    let refused = athlete.post("/v1/auth/email/verify", json!({ "token": token })).await;
    refused.refused(400, "MAIL_TOKEN_INVALID");
    app.client().post("/v1/auth/password/forgot", json!({ "email": address })).await.expect(202);
    let token = server.nth_to(&address, 2).await.token();
    app.database.run("update accounts.mailed set expires_at = now()").await;
    let body = json!({ "token": token, "new_password": "long enough" });
    let refused = app.client().post("/v1/auth/password/reset", body).await;
    refused.refused(400, "MAIL_TOKEN_INVALID");
    // What looks like an address and is another's mailbox is none.
    for address in ["aa<victim@example.com>", "a@b c", "\u{0}@example.com", "a@b\n.example.com"] {
        let body = json!({ "email": address });
        let refused = app.client().post("/v1/auth/password/forgot", body).await;
        assert_eq!(refused.refused(400, "VALIDATION_ERROR").error_fields(), ["email"]);
    }
    assert_eq!(app.errors(), Vec::<String>::new());
}

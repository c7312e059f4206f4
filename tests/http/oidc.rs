//! Sign-in by an issuer that speaks OpenID Connect.

use serde_json::{Value, json};
use testkit::{
    Answer, App, Client, email,
    issuer::{Issuer, REDIRECT_URI, Signs},
    mail::MailServer,
};

use crate::binary;

struct World {
    app: App,
    issuer: Issuer,
    mail: MailServer,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let (issuer, mail) = (Issuer::start().await, MailServer::start().await);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("issuers.json");
        let (configuration, [secret]) = issuer.configuration();
        std::fs::write(&file, configuration.to_string()).unwrap();
        let environment = [
            ("IRONLEDGER_OIDC", file.to_str().unwrap()),
            ("IRONLEDGER_SMTP_URL", mail.url()),
            ("IRONLEDGER_APP_URL", "https://app.example.com"),
            secret,
        ];
        let app = App::start_with(binary(), &environment).await;
        Self { app, issuer, mail, _folder: folder }
    }

    /// Signs in as whom the claims say; a caller who has signed in links.
    async fn sign_in(&self, caller: &Client, claims: Value, signs: Signs) -> Answer {
        let (attempt, code, state) = self.begin(caller, claims, signs).await;
        finish(caller, &code, &state, attempt["ticket"].as_str().unwrap()).await
    }

    async fn begin(&self, caller: &Client, claims: Value, signs: Signs) -> (Value, String, String) {
        let body = json!({ "redirect_uri": REDIRECT_URI });
        let started = caller.post("/v1/auth/oidc/test/start", body).await.expect(200);
        let url = started.data()["authorization_url"].as_str().unwrap();
        let (code, state) = self.issuer.sign_in(url, claims, signs);
        assert_eq!(started.data()["state"], state.as_str());
        (started.data().clone(), code, state)
    }
}

async fn finish(caller: &Client, code: &str, state: &str, ticket: &str) -> Answer {
    let body = json!({
        "code": code, "state": state, "ticket": ticket, "time_zone": "Europe/Paris",
        "units": { "weight": "lb", "distance": "mi" },
    });
    caller.post("/v1/auth/oidc/test/finish", body).await
}

fn person(subject: &str, email: &str, verified: bool) -> Value {
    json!({ "sub": subject, "email": email, "email_verified": verified })
}

#[tokio::test]
async fn whom_the_issuer_vouches_for_has_one_account() {
    let world = World::new().await;
    let nobody = world.app.client();
    assert_eq!(nobody.get("/v1/auth/oidc").await.expect(200).list(), ["test"]);
    // What has no fields cannot be asked for some of them.
    let refused = nobody.get("/v1/auth/oidc?fields=name").await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["fields"]);
    let address = email();
    let first =
        world.sign_in(&nobody, person("ann", &address, true), Signs::Issuer).await.expect(200);
    let ann = nobody.with_tokens(first.data());
    let account = ann.get("/v1/auth/account").await.expect(200);
    assert_eq!(account.data()["email"], address.as_str());
    assert_eq!(account.data()["email_verified"], true);
    assert_eq!(account.data()["has_password"], false);
    let me = ann.get("/v1/athletes/me").await.expect(200);
    assert_eq!(me.data()["time_zone"], "Europe/Paris");
    ann.start_workout(json!({})).await;

    // The subject is who it is, whatever the address is by then.
    let again =
        world.sign_in(&nobody, person("ann", &email(), true), Signs::Issuer).await.expect(200);
    assert_eq!(again.data()["athlete"], first.data()["athlete"]);
    let sessions = ann.get("/v1/auth/sessions").await.expect(200);
    assert_eq!(sessions.each("method"), ["test", "test"]);
    // Without a password nobody signs in by one, and the identity is the only way in.
    let login = json!({ "email": address, "password": "" });
    nobody.post("/v1/auth/login", login).await.refused(401, "CREDENTIALS_WRONG");
    let unlink = json!({ "issuer": world.issuer.url(), "subject": "ann" });
    ann.post("/v1/auth/identities/unlink", unlink.clone()).await.refused(409, "LAST_SIGN_IN");
    nobody.post("/v1/auth/password/forgot", json!({ "email": address })).await.expect(202);
    let token = world.mail.nth_to(&address, 1).await.token();
    let reset = json!({ "token": token, "new_password": "a password now" });
    nobody.post("/v1/auth/password/reset", reset).await.expect(200);
    let login = json!({ "email": address, "password": "a password now" });
    let ann = nobody.with_tokens(nobody.post("/v1/auth/login", login).await.expect(200).data());
    ann.post("/v1/auth/identities/unlink", unlink.clone()).await.expect(200);
    ann.post("/v1/auth/identities/unlink", unlink).await.refused(404, "NOT_FOUND");

    // Keys of the issuer change.
    world.issuer.change_key();
    let statuses = async || {
        let answer = world.sign_in(&nobody, person("bob", &email(), true), Signs::Issuer).await;
        (answer.status == 200).then_some(())
    };
    testkit::eventually("the new key", statuses).await;
    assert_eq!(world.app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn accounts_are_linked_by_their_owners_and_by_proven_addresses_alone() {
    let world = World::new().await;
    let nobody = world.app.client();
    // Somebody registered with an address that they have not proved: its owner must not land there.
    let squatter = world.app.athlete().await;
    let address = squatter.email.clone().unwrap();
    let claims = person("owner", &address, true);
    let refused = world.sign_in(&nobody, claims.clone(), Signs::Issuer).await;
    refused.refused(409, "EMAIL_NOT_VERIFIED");
    let token = world.mail.nth_to(&address, 1).await.token();
    squatter.post("/v1/auth/email/verify", json!({ "token": token })).await.expect(200);
    let linked = world.sign_in(&nobody, claims, Signs::Issuer).await.expect(200);
    assert_eq!(linked.data()["athlete"], squatter.athlete.unwrap().to_string());

    // An address of which the issuer does not say that it is theirs counts for nothing.
    for claims in [person("eve", &address, false), json!({ "sub": "eve" })] {
        let refused = world.sign_in(&nobody, claims, Signs::Issuer).await;
        refused.refused(409, "EMAIL_NOT_VOUCHED");
    }
    // Who has signed in links what they please, unless it is somebody else's.
    let (ann, ben) = (world.app.athlete().await, world.app.athlete().await);
    let eve = person("eve", &email(), false);
    world.sign_in(&ann, eve.clone(), Signs::Issuer).await.expect(200);
    let identities = ann.get("/v1/auth/identities").await.expect(200);
    assert_eq!(identities.each("subject"), ["eve"]);
    world.sign_in(&ben, eve.clone(), Signs::Issuer).await.refused(409, "IDENTITY_TAKEN");
    let by_identity = world.sign_in(&nobody, eve, Signs::Issuer).await.expect(200);
    assert_eq!(by_identity.data()["athlete"], ann.athlete.unwrap().to_string());
}

#[tokio::test]
async fn what_the_issuer_did_not_say_is_refused() {
    let world = World::new().await;
    let nobody = world.app.client();
    let address = email();
    let past = log::Clock::system().now().utc().timestamp() - 3600;
    for (what, change, signs) in [
        ("another key", json!({}), Signs::Stranger),
        ("no signature", json!({}), Signs::Nobody),
        ("another audience", json!({ "aud": "somebody else" }), Signs::Issuer),
        ("another issuer", json!({ "iss": "https://issuer.example.com" }), Signs::Issuer),
        ("expired", json!({ "exp": past }), Signs::Issuer),
        ("another nonce", json!({ "nonce": "played again" }), Signs::Issuer),
    ] {
        let mut claims = person("mallory", &address, true);
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = world.sign_in(&nobody, claims, signs).await;
        assert_eq!((answer.status, answer.error_code()), (401, "SIGN_IN_REFUSED"), "{what}");
    }

    // Each part of what comes back is of one sign-in, of who began it, once.
    let good = person("ann", &address, true);
    let (attempt, code, state) = world.begin(&nobody, good.clone(), Signs::Issuer).await;
    let ticket = attempt["ticket"].as_str().unwrap();
    let (others, _, other_state) = world.begin(&nobody, good.clone(), Signs::Issuer).await;
    let other_ticket = others["ticket"].as_str().unwrap();
    finish(&nobody, &code, &state, other_ticket).await.refused(400, "SIGN_IN_UNKNOWN");
    finish(&nobody, &code, &other_state, ticket).await.refused(400, "SIGN_IN_UNKNOWN");
    let athlete = world.app.athlete().await;
    finish(&athlete, &code, &state, ticket).await.refused(400, "SIGN_IN_UNKNOWN");
    finish(&nobody, &code, &state, ticket).await.expect(200);
    finish(&nobody, &code, &state, ticket).await.refused(400, "SIGN_IN_UNKNOWN");
    // A code of another sign-in was made for another verifier.
    let (_, stolen, _) = world.begin(&nobody, good.clone(), Signs::Issuer).await;
    finish(&nobody, &stolen, &other_state, other_ticket).await.refused(401, "SIGN_IN_REFUSED");

    // One that took too long; and with a token that is over, nobody links by mistake to a new account.
    let (attempt, code, state) = world.begin(&nobody, good.clone(), Signs::Issuer).await;
    world.app.database.run("update accounts.oidc_attempts set expires_at = now()").await;
    let ticket = attempt["ticket"].as_str().unwrap();
    finish(&nobody, &code, &state, ticket).await.refused(400, "SIGN_IN_UNKNOWN");
    let (attempt, code, state) = world.begin(&athlete, good.clone(), Signs::Issuer).await;
    athlete.post("/v1/auth/logout", json!({})).await.expect(200);
    let ticket = attempt["ticket"].as_str().unwrap();
    finish(&athlete, &code, &state, ticket).await.refused(401, "TOKEN_REVOKED");

    let start = async |name: &str, uri: &str| {
        let body = json!({ "redirect_uri": uri });
        nobody.post(&format!("/v1/auth/oidc/{name}/start"), body).await
    };
    let refused = start("test", "https://evil.example.com").await.refused(400, "VALIDATION_ERROR");
    assert_eq!(refused.error_fields(), ["redirect_uri"]);
    start("nobody", REDIRECT_URI).await.refused(404, "NOT_FOUND");
    assert_eq!(world.app.errors(), Vec::<String>::new());
}

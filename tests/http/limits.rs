//! Limits: shared in Redis, each process's own without it, and told in headers.

use serde_json::json;
use servers::Redis;
use testkit::{Answer, App, Client, PASSWORD, email};
use tokio::task::{JoinSet, spawn_blocking};

use crate::binary;

const LIMITS: &str =
    "free=20/1h,pro=40/1h,stats=5/1h,anonymous=30/1h,sign-in=3/1h,mail=4/1h,coach=50/1h,key=10/1h";

async fn redis(folder: &std::path::Path) -> Redis {
    let folder = folder.to_owned();
    spawn_blocking(move || Redis::start(&folder).unwrap()).await.unwrap()
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap()
}

/// Asks until refused; answers how often that went well.
async fn until_refused(client: &Client, path: &str, most: usize) -> (usize, Answer) {
    let mut taken = 0;
    loop {
        let answer = client.get(path).await;
        if answer.status == 429 {
            return (taken, answer);
        }
        answer.expect(200);
        taken += 1;
        assert!(taken <= most, "more than {most} let through");
    }
}

#[tokio::test]
async fn limits_are_shared_by_processes_and_told() {
    let environment = [("IRONLEDGER_LIMITS", LIMITS)];
    let app = App::start_with(binary(), &environment).await;
    let (_other, url) = app.another_api().await;
    let athlete = app.athlete().await.limited();
    let there = athlete.at(&url);
    let first = athlete.get("/v1/workouts").await.expect(200);
    assert_eq!(number(&first, "ratelimit-limit"), 20);
    assert_eq!(number(&first, "ratelimit-remaining"), 19);
    assert_eq!(first.header("ratelimit-policy"), "20;w=3600");
    assert!(number(&first, "ratelimit-reset") <= 3600);
    for n in 0..9 {
        athlete.get("/v1/workouts").await.expect(200);
        let answer = there.get("/v1/workouts").await.expect(200);
        assert_eq!(number(&answer, "ratelimit-remaining"), 17 - 2 * n);
    }
    let (taken, refused) = until_refused(&there, "/v1/workouts", 5).await;
    assert_eq!(taken, 1, "20 in all, on both");
    let refused = refused.refused(429, "RATE_LIMITED");
    // A step of a window counts until all of it is gone.
    assert!((1..=3600 + 225).contains(&number(&refused, "retry-after")));
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    athlete.get("/v1/workouts").await.refused(429, "RATE_LIMITED");

    // Others have their own, who has paid has more, and who runs the place has none.
    app.athlete().await.limited().get("/v1/workouts").await.expect(200);
    let pro = app.pro_athlete().await.limited();
    assert_eq!(number(&pro.get("/v1/workouts").await, "ratelimit-limit"), 40);
    let lifted = app.athlete().await;
    for _ in 0..30 {
        assert!(
            lifted.get("/v1/workouts").await.expect(200).headers.get("ratelimit-limit").is_none()
        );
    }
    let wrong = lifted.limited().with("x-internal-bypass", "a guess of thirty-two characters");
    assert_eq!(number(&wrong.get("/v1/workouts").await, "ratelimit-limit"), 20);
    // A key has its own, and stats have another beside the requests.
    let body = json!({ "name": "k", "scopes": ["training:read"] });
    let made = lifted.post("/v1/auth/keys", body).await.expect(201);
    let key = lifted.limited().with_token(made.data()["secret"].as_str().unwrap());
    assert_eq!(number(&key.get("/v1/workouts").await, "ratelimit-limit"), 10);
    let body = json!({ "name": "l", "scopes": ["training:read"] });
    let made = lifted.post("/v1/auth/keys", body).await.expect(201);
    let second = lifted.limited().with_token(made.data()["secret"].as_str().unwrap());
    let left = number(&second.get("/v1/workouts").await, "ratelimit-remaining");
    assert_eq!(left, 8, "all keys of an athlete share what is theirs");
    let stats = app.athlete().await.limited();
    let (taken, refused) = until_refused(&stats, "/v1/stats/overview", 6).await;
    assert_eq!((taken, number(&refused, "ratelimit-limit")), (5, 5));
    stats.get("/v1/workouts").await.expect(200);
    assert_eq!(app.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn many_at_once_get_no_more_than_the_limit() {
    let app = App::start_with(binary(), &[("IRONLEDGER_LIMITS", LIMITS)]).await;
    let (_other, url) = app.another_api().await;
    let athlete = app.athlete().await.limited();
    let mut sending = JoinSet::new();
    for n in 0..60 {
        let client = if n % 2 == 0 { athlete.clone() } else { athlete.at(&url) };
        sending.spawn(async move { client.get("/v1/workouts").await.status });
    }
    let statuses = sending.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn guessing_passwords_ends_soon_for_the_account_and_for_the_address() {
    let environment = [("IRONLEDGER_LIMITS", LIMITS), ("IRONLEDGER_TRUSTED_HOPS", "1")];
    let app = App::start_with(binary(), &environment).await;
    let victim = app.athlete().await;
    let from = |address: &str| app.client().limited().with("x-forwarded-for", address);
    let login = async |client: &Client, email: &str, password: &str| {
        client.post("/v1/auth/login", json!({ "email": email, "password": password })).await
    };
    let address = victim.email.clone().unwrap();
    // An account that there is and one that there is not end alike.
    for (email, network) in [(address.clone(), 1), (email(), 2)] {
        for n in 0..3 {
            let client = from(&format!("192.0.{network}.{n}"));
            login(&client, &email, "wrong").await.refused(401, "CREDENTIALS_WRONG");
        }
        let client = from(&format!("192.0.{network}.99"));
        let refused = login(&client, &email.to_uppercase(), PASSWORD).await;
        let refused = refused.refused(429, "RATE_LIMITED");
        assert!(number(&refused, "retry-after") > 60);
        // Of what there is none left is told, and not of what let the request in.
        assert_eq!(
            (number(&refused, "ratelimit-limit"), number(&refused, "ratelimit-remaining")),
            (3, 0)
        );
    }
    // One address that tries many accounts.
    for _ in 0..3 {
        login(&from("198.51.100.7"), &email(), "wrong").await.refused(401, "CREDENTIALS_WRONG");
    }
    let other = app.athlete().await.email.unwrap();
    login(&from("198.51.100.7"), &other, PASSWORD).await.refused(429, "RATE_LIMITED");
    login(&from("198.51.100.8"), &other, PASSWORD).await.expect(200);
    // What the caller writes before our proxy's entry counts for nothing.
    login(&from("203.0.113.1, 198.51.100.7"), &other, PASSWORD).await.refused(429, "RATE_LIMITED");
    // One IPv6 network is one caller.
    for n in 0..3 {
        let client = from(&format!("2001:db8:1:1::{n}"));
        login(&client, &email(), "wrong").await.refused(401, "CREDENTIALS_WRONG");
    }
    login(&from("2001:db8:1:1::ffff"), &other, PASSWORD).await.refused(429, "RATE_LIMITED");

    // Many guesses at once are no more than one after the other, within those at work just now.
    let target = app.athlete().await.email.unwrap();
    let mut guessing = JoinSet::new();
    for n in 0..30 {
        let (client, target) = (from(&format!("192.0.3.{n}")), target.clone());
        guessing.spawn(async move {
            let body = json!({ "email": target, "password": "wrong" });
            client.post("/v1/auth/login", body).await.status
        });
    }
    let statuses = guessing.join_all().await;
    let guessed = statuses.iter().filter(|status| **status == 401).count();
    assert!((3..=5).contains(&guessed), "{statuses:?}");

    // Accounts and mails have a limit too, which slips of the finger cost nothing.
    let maker = from("192.0.4.1");
    for _ in 0..6 {
        maker.post("/v1/auth/register", json!({})).await.refused(400, "VALIDATION_ERROR");
    }
    for n in 0..5 {
        let body = json!({ "email": email(), "password": PASSWORD, "time_zone": "UTC" });
        let answer = maker.post("/v1/auth/register", body).await;
        assert_eq!(answer.status, if n < 4 { 201 } else { 429 });
    }
    // Not even with a token of an account that was made before.
    let known = app.athlete().await.limited().with("x-forwarded-for", "192.0.4.1");
    let body = json!({ "email": email(), "password": PASSWORD, "time_zone": "UTC" });
    known.post("/v1/auth/register", body).await.refused(429, "RATE_LIMITED");
    // Who is not known, and guesses tokens, has one by the address.
    let nobody = from("192.0.5.1").with_token("rubbish");
    for _ in 0..30 {
        nobody.get("/v1/history").await.refused(401, "TOKEN_INVALID");
    }
    nobody.get("/v1/history").await.refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn without_redis_limits_hold_in_each_process_and_sign_in_works() {
    let folder = tempfile::tempdir().unwrap();
    let redis = redis(folder.path()).await;
    let url = redis.url();
    let environment = [("IRONLEDGER_LIMITS", LIMITS), ("REDIS_URL", url.as_str())];
    let app = App::start_with(binary(), &environment).await;
    let (_other, other_url) = app.another_api().await;
    let athlete = app.athlete().await.limited();
    let (taken, _) = until_refused(&athlete, "/v1/workouts", 20).await;
    assert_eq!(taken, 20);

    let stopping = spawn_blocking(move || redis.stop().map(|()| redis)).await.unwrap().unwrap();
    let here = app.athlete().await.limited();
    let there = here.at(&other_url);
    for client in [&here, &there] {
        let (taken, refused) = until_refused(client, "/v1/workouts", 25).await;
        // Buckets fill again at a steady rate.
        assert!((20..=21).contains(&taken), "{taken}");
        assert_eq!(number(&refused, "ratelimit-limit"), 20);
    }
    let again = app.athlete().await;
    let login = json!({ "email": again.email, "password": PASSWORD });
    app.client().limited().post("/v1/auth/login", login).await.expect(200);
    let target = email();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let body = json!({ "email": target, "password": "wrong" });
        statuses.push(app.client().limited().post("/v1/auth/login", body).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);

    // Redis comes back, and is used again.
    drop(stopping);
    let redis = self::redis(folder.path()).await;
    testkit::eventually("limits that are shared again", async || {
        // Somebody else each time: the process that is back first would take all of one's.
        let fresh = app.athlete().await.limited();
        let here = fresh.get("/v1/workouts").await;
        let there = fresh.at(&other_url).get("/v1/workouts").await;
        let left = |answer: &Answer| number(answer, "ratelimit-remaining");
        (left(&there) + 1 == left(&here)).then_some(())
    })
    .await;
    spawn_blocking(move || redis.stop().unwrap()).await.unwrap();
    assert_eq!(app.errors(), Vec::<String>::new());
}

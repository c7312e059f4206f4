//! The demo of `up`: an athlete with a history, and requests to try with their answers.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use events::{Actor, AthleteRegistered, Channel, ImportFormat, TimeZone, Units};
use tower::ServiceExt;

use super::say;
use crate::{
    accounts::Arrival,
    app::App,
    commands::Origin,
    import::{self, hevy},
};

const EMAIL: &str = "demo@example.com";
const PASSWORD: &str = "demo-password";
const TIME_ZONE: &str = "Europe/Paris";

/// Two years of an invented athlete, made by `cargo xtask sample`.
const SAMPLE: &str = include_str!("../../../../docs/examples/sample-hevy.csv");

/// Ids of the try-out, always the same: however often the demo is shown, it is one workout.
const WORKOUT: &str = "019b5000-0000-7000-8000-000000000001";
const SET: &str = "019b5000-0000-7000-8000-0000000000a1";

/// As much of an answer as fits a screen.
const SHOWN: usize = 700;

pub(super) async fn show(app: &App, address: SocketAddr) -> Result<()> {
    let failed = |error: web::Error| anyhow!("{error}");
    let zone: TimeZone = TIME_ZONE.parse().map_err(anyhow::Error::msg)?;
    let known = match app.accounts.of_email(EMAIL).await.map_err(failed)? {
        Some(known) => known,
        None => {
            let registered = AthleteRegistered { time_zone: zone, units: Units::default() };
            let by_hand = Arrival::default();
            let made = app.accounts.register(EMAIL, PASSWORD, registered, None, &by_hand).await;
            made.map_err(failed)?.0
        }
    };
    let actor = Actor::Athlete(known.athlete);
    let origin = Origin::new(known.athlete, known.partition, actor, Channel::Import);
    let export = hevy::read(SAMPLE.as_bytes(), zone.0).context("the sample cannot be read")?;
    let report = import::take(&app.commands, &origin, ImportFormat::Hevy, export, |_| {}).await;
    let report = report.map_err(|interrupted| anyhow!(interrupted.why))?;
    say!(
        "demo athlete {EMAIL}, password {PASSWORD}: {} sets imported, {} there already",
        report.sets_new,
        report.sets_known,
    );

    let begun = app.accounts.begin_session(&known, "demo", &Arrival::default()).await;
    let session = begun.map_err(failed)?.session;
    let (token, ..) = app.accounts.token(&known, session).await.map_err(failed)?;
    say!("\nA token for the demo athlete, good for 15 minutes:\n\nTOKEN={token}\n");
    say!("Requests to try, with their answers. The ids make them safe to send again.");
    let show = async |method, path: &str, after: Option<&str>, body: Option<&str>| {
        let answer = send(app, &token, method, path, after, body).await?;
        tell(address, method, path, after, body, &answer);
        anyhow::Ok(answer)
    };
    let workout = format!(r#"{{"id":"{WORKOUT}","title":"Try-out"}}"#);
    show("POST", "/v1/workouts", None, Some(&workout)).await?;
    let set = format!(
        r#"{{"id":"{SET}","exercise":"bench-press-barbell","number":1,"reps":5,"weight":{{"value":225,"unit":"lb"}},"rpe":8.5}}"#
    );
    let logged = show("POST", &format!("/v1/workouts/{WORKOUT}/sets"), None, Some(&set)).await?;
    let logged: serde_json::Value = serde_json::from_str(&logged)?;
    let position = logged["meta"]["position"].as_str().context("the answer has no position")?;
    show("GET", "/v1/history?limit=1", Some(position), None).await?;
    let filtered = "/v1/history?exercise=squat&fields=started_at,totals&limit=2";
    show("GET", filtered, None, None).await?;
    say!("\nCtrl-C stops it; everything is kept.");
    Ok(())
}

async fn send(
    app: &App,
    token: &str,
    method: &str,
    path: &str,
    after: Option<&str>,
    body: Option<&str>,
) -> Result<String> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    if let Some(position) = after {
        request = request.header("x-min-position", position);
    }
    let request = request.body(Body::from(body.unwrap_or_default().to_owned()))?;
    let response = app.router().oneshot(request).await?;
    let bytes = to_bytes(response.into_body(), usize::MAX).await?;
    Ok(String::from_utf8(bytes.into())?)
}

fn tell(
    address: SocketAddr,
    method: &str,
    path: &str,
    after: Option<&str>,
    body: Option<&str>,
    answer: &str,
) {
    let after = after.map(|position| format!(" -H 'X-Min-Position: {position}'"));
    let data = body.map(|body| format!(" -H 'Content-Type: application/json' -d '{body}'"));
    say!(
        "\ncurl -X {method} -H \"Authorization: Bearer $TOKEN\"{}{} 'http://{address}{path}'",
        after.unwrap_or_default(),
        data.unwrap_or_default()
    );
    match answer.char_indices().nth(SHOWN) {
        Some((end, _)) => say!("{} …", &answer[..end]),
        None => say!("{answer}"),
    }
}

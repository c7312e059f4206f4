//! The demo of `up`: an athlete with a history, and requests to try with their answers.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use events::{AthleteId, AthleteRegistered, Channel, ImportFormat, Partition, TimeZone, Units};
use tower::ServiceExt;

use super::say;
use crate::{
    app::App,
    commands::Origin,
    import::{self, hevy},
};

const EMAIL: &str = "demo@example.com";
const PASSWORD: &str = "demo-password";
const TIME_ZONE: &str = "Europe/Paris";

/// Two years of an invented athlete, made by `cargo xtask sample`.
const SAMPLE: &str = include_str!("../../../../docs/examples/sample-hevy.csv");

/// As much of an answer as fits a screen.
const SHOWN: usize = 700;

pub(super) async fn show(app: &App, address: SocketAddr) -> Result<()> {
    let failed = |error: web::Error| anyhow!("{error}");
    let zone: TimeZone = TIME_ZONE.parse().map_err(anyhow::Error::msg)?;
    let caller = match app.accounts.of_email(EMAIL).await.map_err(failed)? {
        Some(caller) => caller,
        None => {
            let registered = AthleteRegistered { time_zone: zone, units: Units::default() };
            app.accounts.register(EMAIL, PASSWORD, registered).await.map_err(failed)?
        }
    };
    let origin = Origin {
        athlete: AthleteId::new(caller.athlete)?,
        partition: Partition(caller.partition),
        channel: Channel::Import,
        device: None,
        request: None,
        if_match: None,
    };
    let export = hevy::read(SAMPLE.as_bytes(), zone.0).context("the sample cannot be read")?;
    let report = import::take(&app.commands, &origin, ImportFormat::Hevy, export, |_| {}).await;
    let report = report.map_err(|interrupted| anyhow!(interrupted.why))?;
    say!(
        "demo athlete {EMAIL}, password {PASSWORD}: {} sets imported, {} there already",
        report.sets_new,
        report.sets_known,
    );

    let token = app.tokens.issue(caller).map_err(failed)?;
    say!("\nA token for the demo athlete, good for 15 minutes:\n\nTOKEN={token}\n");
    say!("Requests to try:");
    let started = send(app, &token, "POST", "/v1/workouts", Some(r#"{"title":"Try-out"}"#)).await?;
    tell(address, "POST", "/v1/workouts", Some(r#"{"title":"Try-out"}"#), &started);
    let id = started["data"]["id"].as_str().context("the workout has no id")?.to_owned();
    let path = format!("/v1/workouts/{id}/sets");
    let set = r#"{"exercise":"bench-press-barbell","number":1,"reps":5,"weight":{"value":225,"unit":"lb"},"rpe":8.5}"#;
    let logged = send(app, &token, "POST", &path, Some(set)).await?;
    tell(address, "POST", &path, Some(set), &logged);
    for path in
        ["/v1/history?limit=1", "/v1/history?exercise=squat&fields=started_at,totals&limit=2"]
    {
        let answer = send(app, &token, "GET", path, None).await?;
        tell(address, "GET", path, None, &answer);
    }
    // The try-out is no training: it leaves the history as it was.
    let path = format!("/v1/workouts/{id}");
    let discarded = send(app, &token, "DELETE", &path, None).await?;
    tell(address, "DELETE", &path, None, &discarded);
    say!("\nCtrl-C stops it; everything is kept.");
    Ok(())
}

async fn send(
    app: &App,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> Result<serde_json::Value> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.unwrap_or_default().to_owned()))?;
    let response = app.router().oneshot(request).await?;
    let bytes = to_bytes(response.into_body(), usize::MAX).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn tell(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&str>,
    answer: &serde_json::Value,
) {
    let data = body.map(|body| format!(" -H 'Content-Type: application/json' -d '{body}'"));
    say!(
        "\ncurl -X {method} -H \"Authorization: Bearer $TOKEN\"{} 'http://{address}{path}'",
        data.unwrap_or_default()
    );
    let text = answer.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => say!("{} …", &text[..end]),
        None => say!("{text}"),
    }
}

//! `/livez`, `/readyz` and `/health`: is the process alive, and can it do its work?

use axum::extract::State;
use projections::Context;
use schemars::JsonSchema;
use serde::Serialize;
use web::{Answer, Detail, Error, Routes};

use crate::app::{App, Models};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("health.rs"))
        .get("/livez", live)
        .get("/readyz", ready)
        .get("/health", health)
}

#[derive(Serialize, JsonSchema)]
struct Status {
    status: &'static str,
}

/// The process answers.
async fn live() -> Result<Answer<Status>, Error> {
    Answer::ok(&Status { status: "alive" })
}

/// The process can do its work: the database is there, in the right shape, and the read models
/// are built. Otherwise 503, with the reasons.
async fn ready(
    State(queries): State<Context>,
    State(models): State<Models>,
) -> Result<Answer<Status>, Error> {
    let mut reasons = Vec::new();
    let built = sqlx::query_scalar!(
        r#"select to_regclass('log.events') is not null
               and to_regclass('projector.replays') is not null as "built!""#
    )
    .fetch_one(&queries.pool)
    .await;
    match built {
        Err(_) => reasons.push(Detail::new("database", "does not answer")),
        Ok(false) => reasons.push(Detail::new("database", "is not migrated: ironledger migrate")),
        Ok(true) => {
            if !matches!(queries.keys.master_key_fits().await, Ok(true)) {
                reasons.push(Detail::new("master key", "is not that of this database"));
            }
            match models.unready().await {
                Err(_) => reasons.push(Detail::new("database", "does not answer")),
                Ok(unready) => reasons.extend(
                    unready
                        .into_iter()
                        .map(|(model, why)| Detail::new(format!("projection {model}"), why)),
                ),
            }
        }
    }
    if reasons.is_empty() {
        return Answer::ok(&Status { status: "ready" });
    }
    Err(Error::unavailable("NOT_READY", "not ready to work", 5).with_details(reasons))
}

/// Both: alive, and able to work.
async fn health(queries: State<Context>, models: State<Models>) -> Result<Answer<Status>, Error> {
    ready(queries, models).await
}

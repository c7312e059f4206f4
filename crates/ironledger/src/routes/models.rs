//! `GET /v1/admin/projections`: how far the read models are, for those who run the place.

use axum::{Router, extract::State, routing::get};
use projections::database;
use web::{Admin, Answer, Error};

use crate::app::{App, Models};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/admin/projections", get(models))
}

/// Lag, rate and what is set aside, by model and partition. Rates are those since the last look,
/// which is a few seconds ago at most.
async fn models(State(models): State<Models>, _: Admin) -> Result<Answer, Error> {
    let all = models.look().await.map_err(database)?;
    Ok(Answer::ok(&all)?.list(all.len(), None))
}

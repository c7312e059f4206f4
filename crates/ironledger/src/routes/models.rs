//! `GET /v1/admin/projections`: how far the read models are, for those who run the place.

use axum::extract::State;
use projections::database;
use projector::ModelStatus;
use web::{Answer, Error, Routes};

use crate::app::{App, Models};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("models.rs")).get("/v1/admin/projections", models)
}

/// Lag, rate and what is set aside, by model and partition. Rates are those since the last look,
/// which is a few seconds ago at most.
async fn models(State(models): State<Models>) -> Result<Answer<Vec<ModelStatus>>, Error> {
    let all = models.look().await.map_err(database)?;
    Answer::list(&all, None)
}

//! The product through its HTTP interface, as somebody sees it who has nothing else: real
//! processes on a real Postgres. One module for each group of routes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abandoned;
mod access;
mod announcements;
mod at_once;
mod athletes;
mod audit;
mod auth;
mod bad_input;
mod batch;
mod billing;
mod boards;
mod browsers;
mod bulk;
mod caches;
mod coaching;
mod envelope;
mod exercises;
mod health;
mod history;
mod idempotency;
mod keys;
mod limits;
mod log;
mod mail;
mod models;
mod notes;
mod oidc;
mod operations;
mod ownership;
mod peers;
mod permissions;
mod personal_data;
mod records;
mod routines;
mod sessions;
mod sets;
mod social;
mod stats;
mod strength;
mod traces;
mod unusual;
mod visibility;
mod workouts;

use std::{
    path::Path,
    sync::{Arc, Weak},
};

use testkit::App;
use tokio::sync::Mutex;

/// The program.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ironledger"))
}

/// The product, shared by the tests that run at this moment: the last one to end stops it.
async fn app() -> Arc<App> {
    static SHARED: Mutex<Weak<App>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(app) = shared.upgrade() {
        return app;
    }
    let app = Arc::new(App::start(binary()).await);
    *shared = Arc::downgrade(&app);
    app
}

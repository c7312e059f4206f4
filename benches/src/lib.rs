//! What several measurements share.

mod athletes;
mod callers;
mod fill;
mod server;

use std::time::Duration;

use anyhow::Result;
use sqlx::PgPool;

/// The product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use athletes::{athletes, trained};
pub use callers::{Caller, Measured, callers, measure};
pub use fill::Filler;
pub use server::Server;

/// What a server of `max_wal_size = 4GB` keeps to use again after one checkpoint.
const WAL_FILES: usize = 120;

/// Makes a server that has just been made like one in service, for both: with files of the
/// write-ahead log to use again, where a new server fills each with zeros first, and with memory that
/// was used before.
pub async fn season(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    for _ in 0..WAL_FILES {
        sqlx::query("select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
            .execute(&mut *connection)
            .await?;
    }
    for statement in [
        "create unlogged table used as
             select repeat('x', 1800) from generate_series(1, 1120000)",
        "drop table used",
        "checkpoint",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Lets the server finish what an earlier measurement left to it, so that the next does not pay
/// for it: dirty pages are written, and files of the write-ahead log are free to use again.
pub async fn rest(pool: &PgPool) -> Result<()> {
    sqlx::query("checkpoint").execute(pool).await?;
    Ok(())
}

/// The arithmetic mean.
pub fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// In milliseconds, of sorted times.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

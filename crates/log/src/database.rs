//! How processes reach Postgres.

use std::time::Duration;

use log_facade::LevelFilter;
use sqlx::{
    ConnectOptions, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The schema of the log, the accounts and the checkpoints; run by `ironledger migrate`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A statement that takes longer is logged, without what it was about.
const SLOW: Duration = Duration::from_millis(100);

/// A Postgres database with the settings that every connection of the product has.
#[derive(Clone)]
pub struct Database {
    /// Shared connections for short statements.
    pub pool: PgPool,
    /// For connections of one's own, which must not go through a transaction pooler.
    pub direct: PgConnectOptions,
}

impl Database {
    /// Connects lazily: nothing is sent until the first statement.
    ///
    /// `name` is the `application_name` by which operators see the process. Fails when the address
    /// is not a Postgres URL.
    pub fn new(url: &str, name: &str, connections: u32) -> Result<Self, sqlx::Error> {
        let options = url.parse::<PgConnectOptions>()?.application_name(name).options([
            // Said here and not left to the server: an answered command is on disk.
            ("synchronous_commit", "on"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "10s"),
            // Of long values, such as a year of one exercise: pglz was 6 % of all processors' work under
            // load. A Postgres that was built without lz4 refuses the connection.
            ("default_toast_compression", "lz4"),
        ]);
        let options = options.log_slow_statements(LevelFilter::Warn, SLOW);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(options.clone());
        Ok(Self { pool, direct: options })
    }

    /// The same with other connections, on which names that are not qualified are those of a schema.
    pub fn in_schema(&self, schema: &str) -> Self {
        let direct = self.direct.clone().options([("search_path", schema)]);
        let pool = PgPoolOptions::new()
            .max_connections(self.pool.options().get_max_connections())
            .acquire_timeout(self.pool.options().get_acquire_timeout())
            .connect_lazy_with(direct.clone());
        Self { pool, direct }
    }
}

//! A database of one's own for every test, on the server that `DATABASE_URL` names.

use std::time::Duration;

use events::{Epoch, Partition, Position};
use log::{Clock, Keys, Log, MasterKey, Options, Positions, Random};
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

/// Any number: whoever makes the template holds the lock of that number.
const TEMPLATE_LOCK: i64 = 0x1201;

/// Base64 of 32 bytes: the master key of every test database.
pub const MASTER_KEY: &str = "dGVzdCBtYXN0ZXIga2V5IHRlc3QgbWFzdGVyIGtleSE";

/// Login roles with exactly the rights that the product's processes have.
const ROLES: [(&str, &str); 5] = [
    ("ironledger_test_api", "ironledger_api"),
    ("ironledger_test_projector", "ironledger_projector"),
    ("ironledger_test_relay", "ironledger_relay"),
    ("ironledger_test_publisher", "ironledger_publisher"),
    ("ironledger_test_emitter", "ironledger_emitter"),
];

/// A migrated database that is dropped with this value.
pub struct Database {
    server: PgConnectOptions,
    name: String,
}

impl Database {
    /// Copies the migrated template, which the first caller makes. Panics without a server: tests
    /// run by `cargo xtask test`, which gives them one.
    pub async fn fresh() -> Self {
        let url = std::env::var("DATABASE_URL").expect("DATABASE_URL; use `cargo xtask test`");
        Self::on(&url).await
    }

    /// The same on a given server, as its owner reaches it.
    pub async fn on(url: &str) -> Self {
        let server: PgConnectOptions = url.parse().expect("a Postgres URL");
        let template = format!("ironledger_template_{}", fingerprint());
        let name = unique_name();

        let mut connection = PgConnection::connect_with(&server).await.expect("a test server");
        sqlx::query("select pg_advisory_lock($1)")
            .bind(TEMPLATE_LOCK)
            .execute(&mut connection)
            .await
            .expect("the template's lock");
        let known: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(&template)
                .fetch_one(&mut connection)
                .await
                .expect("the list of databases");
        if !known {
            make_template(&mut connection, &server, &template).await;
        }
        run(&mut connection, format!("create database {name} template {template}")).await;
        // A copy has the tables' rights, but not those on the database itself.
        run(&mut connection, format!("grant create on database {name} to ironledger_projector"))
            .await;
        connection.close().await.ok();
        Self { server, name }
    }

    /// An empty database, without any migration.
    pub async fn bare() -> Self {
        let url = std::env::var("DATABASE_URL").expect("DATABASE_URL; use `cargo xtask test`");
        let server: PgConnectOptions = url.parse().expect("a Postgres URL");
        let name = unique_name();
        let mut connection = PgConnection::connect_with(&server).await.expect("a test server");
        run(&mut connection, format!("create database {name}")).await;
        connection.close().await.ok();
        Self { server, name }
    }

    /// Its name, which no other has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address for the owner of everything, who may do anything.
    pub fn owner_url(&self) -> String {
        self.url(self.server.get_username())
    }

    /// The address for an `api` process.
    pub fn api_url(&self) -> String {
        self.url(ROLES[0].0)
    }

    /// The address for a `projector` process.
    pub fn projector_url(&self) -> String {
        self.url(ROLES[1].0)
    }

    /// The address for a `relay` process.
    pub fn relay_url(&self) -> String {
        self.url(ROLES[2].0)
    }

    /// The address for a `publisher` process.
    pub fn publisher_url(&self) -> String {
        self.url(ROLES[3].0)
    }

    /// The address for an `emitter` process.
    pub fn emitter_url(&self) -> String {
        self.url(ROLES[4].0)
    }

    /// Runs a statement as the owner, who may do anything: for what only time would bring.
    pub async fn run(&self, sql: &str) {
        let options = self.server.clone().database(&self.name);
        let mut owner = PgConnection::connect_with(&options).await.expect("the owner");
        run(&mut owner, sql.to_owned()).await;
        owner.close().await.ok();
    }

    /// How many rows there are: `count("log.events where owner = '…'")`.
    pub async fn count(&self, of: &str) -> i64 {
        let options = self.server.clone().database(&self.name);
        let mut owner = PgConnection::connect_with(&options).await.expect("the owner");
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {of}"));
        let count = sqlx::query_scalar(sql).fetch_one(&mut owner).await.expect("a count");
        owner.close().await.ok();
        count
    }

    /// How many events the log has besides announcements, which come when they come, and the last
    /// position of each partition.
    pub async fn log_and_end(&self) -> (i64, Positions) {
        let options = self.server.clone().database(&self.name);
        let mut owner = PgConnection::connect_with(&options).await.expect("the owner");
        let rows: Vec<(i16, i64, i64)> = sqlx::query_as(
            "select partition, max(position), count(*) filter (where stream_kind <> 6)
             from log.events group by partition",
        )
        .fetch_all(&mut owner)
        .await
        .expect("the events");
        let epoch = sqlx::query_scalar("select max(epoch) from log.epochs");
        let epoch = Epoch(epoch.fetch_one(&mut owner).await.expect("the epoch"));
        owner.close().await.ok();
        let ends = rows.iter().map(|(partition, end, _)| (Partition(*partition), Position(*end)));
        let positions = Positions { epoch, at: ends.collect() };
        (rows.iter().map(|(_, _, count)| count).sum(), positions)
    }

    /// The keys of personal data, as a `projector` process reads them.
    pub fn projector_keys(&self) -> Keys {
        keys(&self.connect_projector())
    }

    fn url(&self, user: &str) -> String {
        use sqlx::ConnectOptions;
        let password = if user == self.server.get_username() { None } else { Some("test") };
        let mut url = self.server.clone().database(&self.name).to_url_lossy();
        url.set_username(user).expect("a user name");
        if let Some(password) = password {
            url.set_password(Some(password)).expect("a password");
        }
        url.to_string()
    }

    /// A connected database as an `api` process has it.
    pub fn connect_api(&self) -> log::Database {
        log::Database::new(&self.api_url(), "ironledger test api", 10).expect("a database")
    }

    /// A connected database as a `projector` process has it.
    pub fn connect_projector(&self) -> log::Database {
        log::Database::new(&self.projector_url(), "ironledger test projector", 10)
            .expect("a database")
    }

    /// A connected database as a `relay` process has it.
    pub fn connect_relay(&self) -> log::Database {
        log::Database::new(&self.relay_url(), "ironledger test relay", 5).expect("a database")
    }

    /// A connected database as a `publisher` process has it, and the keys that it reads there.
    pub fn connect_publisher(&self) -> (log::Database, Keys) {
        let database = log::Database::new(&self.publisher_url(), "ironledger test publisher", 5)
            .expect("a database");
        let keys = keys(&database);
        (database, keys)
    }

    /// The log as an `api` process has it.
    pub fn log(&self) -> Log {
        self.log_with(&self.connect_api(), &Options::default())
    }

    /// The log on a given connection, with given options.
    pub fn log_with(&self, database: &log::Database, options: &Options) -> Log {
        self.log_at(database, Clock::system(), options)
    }

    /// The same by a clock that the test may move.
    pub fn log_at(&self, database: &log::Database, clock: Clock, options: &Options) -> Log {
        Log::open(database, keys(database), clock, options)
    }
}

fn keys(database: &log::Database) -> Keys {
    let master = MasterKey::from_base64(MASTER_KEY).expect("a master key");
    Keys::new(database.pool.clone(), master, Random::system())
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A thread of its own: the test's runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let connect = PgConnection::connect_with(&server);
                let mut connection =
                    tokio::time::timeout(Duration::from_secs(5), connect).await.ok()?.ok()?;
                let sql = format!("drop database if exists {name} with (force)");
                connection.execute(sqlx::AssertSqlSafe(sql)).await.ok()
            })
        });
        dropping.join().ok();
    }
}

async fn make_template(connection: &mut PgConnection, server: &PgConnectOptions, template: &str) {
    let making = format!("{template}_making");
    run(connection, format!("drop database if exists {making}")).await;
    run(connection, format!("create database {making}")).await;
    let options = server.clone().database(&making);
    let mut inside = PgConnection::connect_with(&options).await.expect("the new template");
    log::MIGRATIONS.run(&mut inside).await.expect("the migrations");
    for (login, group) in ROLES {
        run(
            &mut inside,
            format!(
                "do $$ begin
                    if not exists (select from pg_roles where rolname = '{login}') then
                        create role {login} login password 'test' in role {group};
                    end if;
                end $$"
            ),
        )
        .await;
    }
    inside.close().await.ok();
    run(connection, format!("alter database {making} rename to {template}")).await;
}

fn unique_name() -> String {
    format!("ironledger_test_{}", Random::system().uuid(Clock::system().now()).simple())
}

/// Runs a statement made of names of our own.
async fn run(connection: &mut PgConnection, sql: String) {
    connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("a statement of the test kit");
}

/// Changes when a migration does.
fn fingerprint() -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for migration in log::MIGRATIONS.iter() {
        migration.checksum.hash(&mut hasher);
    }
    format!("{:x}", hasher.finish())
}

//! The schema of a read model: what is made in it, and by whom it may be used.

use chrono::{DateTime, Utc};
use events::{Epoch, Partition};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::{Error, Projection, checkpoint};

/// The tables of the runtime itself.
const OWN: &str = include_str!("schema.sql");

/// And of models whose changes are counted.
const REVISIONS: &str = include_str!("revisions.sql");

/// The tables of the runtime in the schema of a model.
fn own<P: Projection>() -> String {
    if P::REVISED { [OWN, REVISIONS].concat() } else { OWN.to_owned() }
}

/// Any number: whoever makes or swaps a projection's schema holds the lock of that number.
const SCHEMA_LOCK: i64 = 0x1202;

/// Waits until nobody else makes or swaps schemas, and keeps them from it until the transaction
/// ends.
pub(crate) async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_advisory_xact_lock($1)", SCHEMA_LOCK).execute(connection).await?;
    Ok(())
}

pub(crate) async fn exists(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from pg_namespace where nspname = $1) as "exists!""#,
        schema
    )
    .fetch_one(connection)
    .await
}

/// What stands for the shape of a model: tables that another shape has filled are not ours to read
/// or write.
pub(crate) fn shape<P: Projection>() -> String {
    let mut hash = Sha256::new();
    for part in [own::<P>().as_str(), P::TABLES, P::INDEXES].iter().chain(P::TYPES) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hexadecimal(hash)
}

/// What stands for a program.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the model may be asked.
pub(crate) async fn is_built(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let built = sqlx::query_scalar!(r#"select built_at is not null as "built!" from model"#)
        .fetch_optional(connection)
        .await?;
    Ok(built.unwrap_or(false))
}

/// Makes a schema with empty tables. It belongs to the role of projectors, so that any of them may
/// swap it later.
pub(crate) async fn create<P: Projection>(
    connection: &mut PgConnection,
    schema: &str,
    with_indexes: bool,
    partitions: &[Partition],
    epoch: Epoch,
    as_of: DateTime<Utc>,
) -> Result<(), Error> {
    let indexes = if with_indexes { P::INDEXES } else { "" };
    let ddl = format!(
        "set local role ironledger_projector;
         create schema {schema};
         set local search_path to {schema};
         {own}
         {tables}
         {indexes}
         insert into model (shape, indexed) values ('{shape}', {with_indexes});
         grant usage on schema {schema} to ironledger_api, ironledger_emitter;
         grant select on all tables in schema {schema} to ironledger_api, ironledger_emitter;",
        own = own::<P>(),
        tables = P::TABLES,
        shape = shape::<P>(),
    );
    run(connection, &ddl).await?;
    checkpoint::create(connection, partitions, epoch, as_of).await?;
    // What follows in the transaction finds itself as it was.
    run(connection, "reset role; reset search_path").await?;
    Ok(())
}

/// Runs statements that are made of the program's own text alone.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
    Ok(())
}

/// Fails when the tables of the schema are not those that this program knows.
pub(crate) async fn check_shape<P: Projection>(connection: &mut PgConnection) -> Result<(), Error> {
    let found = sqlx::query_scalar!("select shape from model").fetch_optional(connection).await?;
    if found.as_deref() == Some(shape::<P>().as_str()) {
        return Ok(());
    }
    Err(Error::OtherShape(P::SCHEMA))
}

/// Throws a schema away, if it is there.
pub(crate) async fn drop(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    run(connection, &format!("drop schema if exists {schema} cascade")).await
}

/// The tables of a model, without those of the runtime.
pub(crate) async fn tables(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select tablename::text as "name!" from pg_tables
           where schemaname = $1 and tablename not in ('model', 'checkpoints', 'parked_events', 'revisions')
           order by 1"#,
        schema
    )
    .fetch_all(connection)
    .await
}

/// The columns of a table's primary key.
pub(crate) async fn key(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select a.attname::text as "name!"
           from pg_index i
           join pg_class c on c.oid = i.indrelid
           join pg_namespace n on n.oid = c.relnamespace
           join unnest(i.indkey) with ordinality as k (number, place) on true
           join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
           where i.indisprimary and n.nspname = $1 and c.relname = $2
           order by k.place"#,
        schema,
        table
    )
    .fetch_all(connection)
    .await
}

//! `ironledger doctor`: what is reachable, what is missing, and what to do.

use std::{process::ExitCode, time::Duration};

use log::{
    Database, Keys, Random, Reader,
    kafka::{self, Lag},
};
use projections::MODELS;
use projector::{Observer, State};
use servers::Postgres;
use sqlx::{Connection, PgConnection};

use super::say;
use crate::settings::{OnKafka, OnRedis, User, Where, data_folder};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    kafka: OnKafka,

    #[command(flatten)]
    redis: OnRedis,
}

/// Tells findings, and remembers whether any was bad.
#[derive(Default)]
struct Findings {
    bad: bool,
}

impl Findings {
    fn good(&self, what: &str) {
        say!("ok    {what}");
    }

    fn bad(&mut self, what: &str, remedy: &str) {
        self.bad = true;
        say!("BAD   {what}\n      {remedy}");
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    match Postgres::programs() {
        Ok(folder) => findings.good(&format!("Postgres is installed in {}", folder.display())),
        Err(missing) if arguments.place.database_url.is_none() => {
            findings.bad("`ironledger up` needs Postgres", &missing.to_string());
        }
        Err(_) => {}
    }
    let by_folder = arguments.place.data.is_some() || arguments.place.database_url.is_none();
    if by_folder {
        let folder = data_folder(arguments.place.data.as_deref())?;
        findings.good(&format!("the data folder is {}", folder.display()));
    }
    match arguments.place.url(User::Api) {
        Err(error) => findings.bad(&format!("{error:#}"), "then ask again"),
        Ok(url) => {
            let connect = PgConnection::connect(&url);
            match tokio::time::timeout(Duration::from_secs(5), connect).await {
                Ok(Ok(mut connection)) => {
                    if let Some(rights) = inspect(&mut connection, &mut findings).await? {
                        if rights.sees_models {
                            look_at_models(&url, &mut findings).await?;
                        }
                        try_secrets(&arguments.place, &url, &rights, &mut findings).await?;
                        try_kafka(&arguments.kafka, &url, &rights, &mut findings).await?;
                    }
                }
                Ok(Err(error)) => findings.bad(
                    &format!("the database does not answer: {error}"),
                    "start it, or put its address right",
                ),
                Err(_) => findings.bad(
                    "the database does not answer within five seconds",
                    "start it, or put its address right",
                ),
            }
        }
    }
    match arguments.redis.redis()? {
        None => findings.good("there is no Redis: each `api` process limits and caches by itself"),
        Some(redis) if redis.answers().await => {
            findings.good("Redis answers: `api` processes share limits and caches");
        }
        Some(_) => findings.bad(
            "Redis does not answer: each `api` process limits and caches by itself",
            "start it, or put REDIS_URL right",
        ),
    }
    Ok(if findings.bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the user of the database may do, by the roles that `migrate` makes.
struct Rights {
    /// Serve HTTP, which takes secrets.
    serves: bool,
    /// See how far read models are.
    sees_models: bool,
}

/// Whether the secrets are there, and those of this database.
async fn try_secrets(
    place: &Where,
    url: &str,
    rights: &Rights,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let secrets = match place.secrets() {
        Ok(secrets) => secrets,
        Err(_) if !rights.serves => {
            findings.good("there are no secrets, which this user's process can do without");
            return Ok(());
        }
        Err(error) => {
            findings.bad(&format!("{error:#}"), "set it, or start `ironledger up` once");
            return Ok(());
        }
    };
    findings.good("the secrets are there");
    if !rights.serves {
        return Ok(());
    }
    let database = Database::new(url, "ironledger doctor", 1)?;
    let keys = Keys::new(database.pool, secrets.master_key()?, Random::system());
    match keys.master_key_fits().await {
        Ok(true) => findings.good("the master key is that of this database"),
        Ok(false) => findings.bad(
            "the master key is not the one that this database was made with",
            "find the right one: personal data cannot be read without it",
        ),
        Err(_) => findings.bad(
            "the master key cannot be tried",
            "run `ironledger migrate`, or sign in to the database as a user of ironledger_api",
        ),
    }
    Ok(())
}

/// Whether Kafka has a topic as the log needs it, and how far the relay is.
async fn try_kafka(
    kafka: &OnKafka,
    url: &str,
    rights: &Rights,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Some(kafka) = kafka.kafka()? else { return Ok(()) };
    let database = Database::new(url, "ironledger doctor", 1)?;
    let Ok(heads) = Reader::open(&database).heads().await else { return Ok(()) };
    match kafka.has_topic(heads.len()).await {
        Ok(true) => findings.good(&format!("Kafka has the topic {}", kafka.topic())),
        Ok(false) => findings.bad(
            &format!("Kafka has no topic {}", kafka.topic()),
            "run `ironledger relay`, which makes it",
        ),
        Err(error) => findings.bad(&error.to_string(), "see docs/operations.md, \"Kafka\""),
    }
    tell_lag(kafka::lag(&database.pool).await?, "Kafka is", "relay", findings);
    let foreign = if rights.sees_models {
        sqlx::query_scalar!(
            r#"select count(*) as "count!" from projector.foreign_records where topic = $1"#,
            kafka.topic()
        )
        .fetch_one(&database.pool)
        .await?
    } else {
        0
    };
    if foreign > 0 {
        findings.bad(
            &format!("{foreign} foreign records were on the topic; they are set aside"),
            "look at projector.foreign_records, and find out who may write to the topic",
        );
    }
    let lag = kafka::public_lag(&database.pool).await?;
    match kafka.has_public_topics(heads.len()).await {
        // Who has no use for them runs no publisher.
        Ok(false) if !lag.leader => findings.good("nothing is published for everybody"),
        Ok(_) => tell_lag(lag, "the public topics are", "publisher", findings),
        Err(error) => {
            findings.bad(&error.to_string(), "see docs/operations.md, \"Public topics\"");
        }
    }
    Ok(())
}

/// How far a process that publishes is behind the log.
fn tell_lag(lag: Lag, topics: &str, process: &str, findings: &mut Findings) {
    let Lag { leader, events, seconds } = lag;
    if !leader {
        findings.bad(
            &format!("no {process} leads; {topics} {events} events behind the log"),
            &format!("run `ironledger {process}`"),
        );
    } else if seconds > 30.0 {
        findings.bad(
            &format!("{topics} {events} events, {seconds:.0} s behind the log"),
            &format!("see what the {process} says"),
        );
    } else {
        findings.good(&format!("{topics} {events} events, {seconds:.1} s behind the log"));
    }
}

/// `None` when there is nothing more to ask.
async fn inspect(
    connection: &mut PgConnection,
    findings: &mut Findings,
) -> anyhow::Result<Option<Rights>> {
    let server = sqlx::query_scalar!(r#"select current_setting('server_version') as "v!""#)
        .fetch_one(&mut *connection)
        .await?;
    findings.good(&format!("the database answers: Postgres {server}"));
    let migrated = sqlx::query_scalar!(
        r#"select exists (
               select from pg_class where relnamespace = (
                   select oid from pg_namespace where nspname = 'projector'
               ) and relname = 'checkpoints'
           ) as "migrated!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    if !migrated {
        findings.bad("the database is empty", "run `ironledger migrate`");
        return Ok(None);
    }
    let rights = sqlx::query_as!(
        Rights,
        r#"select pg_has_role('ironledger_api', 'usage') as "serves!",
               has_schema_privilege('projector', 'usage') as "sees_models!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    let may_change = sqlx::query_scalar!(
        r#"select has_table_privilege('log.events', 'update')
               or has_table_privilege('log.events', 'delete')
               or has_table_privilege('log.events', 'truncate') as "may!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    if may_change {
        findings.bad(
            "this user may change events, which only the triggers prevent",
            "sign in to the database as a user that is in the role ironledger_api and owns nothing",
        );
    } else {
        findings.good("this user cannot change events");
    }
    let log = sqlx::query!(
        r#"select (select max(epoch) from log.epochs) as "epoch!",
               (select count(*) from log.partitions) as "partitions!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    findings.good(&format!("the log has {} partitions, epoch {}", log.partitions, log.epoch));
    if !rights.sees_models {
        findings.good("this user sees no read models");
        return Ok(Some(rights));
    }
    Ok(Some(rights))
}

/// How the read models are.
async fn look_at_models(url: &str, findings: &mut Findings) -> anyhow::Result<()> {
    let database = Database::new(url, "ironledger doctor", 1)?;
    let waiting = sqlx::query_scalar!(
        r#"select count(*) as "waiting!" from projector.marks
           where model = 'records' and marked_at < clock_timestamp() - interval '1 minute'"#
    )
    .fetch_one(&database.pool)
    .await?;
    if waiting > 0 {
        findings.bad(
            &format!("records of {waiting} exercises wait to be announced"),
            "is `ironledger emitter` running?",
        );
    }
    for model in Observer::new(database.pool, MODELS).look().await? {
        let (name, behind) = (model.model, model.lag_events);
        let parked = match model.parked_events {
            0 => String::new(),
            parked => format!(", {parked} events parked"),
        };
        let said = format!("{name} is {}: {behind} events behind{parked}", model.state.name());
        match model.state {
            State::Missing => {
                findings.bad(
                    &format!("{name} is not built"),
                    &format!(
                        "run `ironledger replay {0}`, then `ironledger projector {0}`",
                        model.name
                    ),
                );
            }
            State::Stuck => {
                findings.bad(&said, "is its projector running? see `ironledger status`");
            }
            _ if model.parked_events > 0 => {
                findings.bad(&said, &format!("see `ironledger parked list {}`", model.name));
            }
            State::Building | State::Behind | State::Parked | State::Current => {
                findings.good(&said);
            }
        }
    }
    Ok(())
}

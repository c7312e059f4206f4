//! `ironledger audit`: what happened to a set or a workout, for who runs the place. That it was read
//! goes on the log first, where its athlete sees it.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use events::{Actor, AthleteId, AuditRead, AuditSubject, Channel, Partition};
use log::Database;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::say;
use crate::{
    app::App,
    commands::audit::{Auditor, Entry},
    settings::{Surroundings, User, Where},
};

/// Who reads, as the athlete is told.
const ACTOR: &str = "audit-cli";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Where,
}

#[derive(clap::Subcommand)]
enum What {
    /// Every event of a set or a workout, with what it changed.
    Show {
        /// A set or a workout.
        #[arg(value_enum)]
        subject: Subject,

        /// Its id.
        id: Uuid,

        /// Whose it is: the athlete's id or e-mail address.
        #[arg(long)]
        athlete: String,

        /// One JSON object a line, as `GET /v1/audit/…` has them.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Subject {
    Set,
    Workout,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let What::Show { subject, id, athlete, json } = arguments.what;
    let database = Database::new(&arguments.place.url(User::Api)?, "ironledger audit", 4)?;
    let app = App::new(&database, &arguments.place.secrets()?, &Surroundings::default())?;
    app.check_master_key().await?;
    let Some((owner, partition)) = whose(&app, &athlete).await? else {
        bail!("there is no athlete {athlete}");
    };
    let (subject, word) = match subject {
        Subject::Set => (AuditSubject::Set, "set"),
        Subject::Workout => (AuditSubject::Workout, "workout"),
    };
    let audit = app.commands.audit(owner, partition, subject, id).await.map_err(failed)?;
    let Some(audit) = audit else { bail!("{athlete} has no {word} {id}") };
    let auditor = Auditor {
        actor: Actor::System(ACTOR.to_owned()),
        channel: Channel::System,
        device: None,
        request: None,
    };
    let read = AuditRead { subject, id };
    let recorded = app.commands.record_audit_read(owner, partition, read, &auditor).await;
    recorded.map_err(failed)?;
    if !json {
        say!("{word} {id} of athlete {owner}, workout {}\n", audit.workout);
    }
    for event in &audit.events {
        if json {
            say!("{}", serde_json::to_string(event)?);
        } else {
            tell(event, owner);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The athlete of an id or an e-mail address.
async fn whose(app: &App, athlete: &str) -> Result<Option<(AthleteId, Partition)>> {
    if let Ok(id) = athlete.parse::<AthleteId>() {
        let partition = app.accounts.partition_of(id).await.map_err(failed)?;
        return Ok(partition.map(|partition| (id, partition)));
    }
    let Some(account) = app.accounts.of_email(athlete).await.map_err(failed)? else {
        return Ok(None);
    };
    Ok(Some((account.athlete, account.partition)))
}

fn failed(error: web::Error) -> anyhow::Error {
    anyhow!(error.in_full())
}

fn tell(event: &Entry, owner: AthleteId) {
    say!("{:22}partition {} position {}", event.kind, event.partition, event.position);
    let own = event.actor == Actor::Athlete(owner);
    let actor = if own { "the athlete".to_owned() } else { event.actor.to_string() };
    let whom = event.on_behalf_of.map(|whom| format!(" for athlete:{whom}")).unwrap_or_default();
    let channel = serde_json::to_value(event.channel).unwrap_or_default();
    say!("  by        {actor}{whom}, through {}", channel.as_str().unwrap_or_default());
    say!("  happened  {}", event.occurred_at);
    say!("  recorded  {}", event.recorded_at);
    for (name, value) in [("device", &event.device), ("request", &event.request)] {
        if let Some(value) = value {
            say!("  {name:8}  {value}");
        }
    }
    if let Some(set) = event.set {
        say!("  set       {set}");
    }
    for change in changes(&event.before, &event.after) {
        say!("    {change}");
    }
    say!("");
}

/// What is different afterwards, a field a line.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let nothing = Map::new();
    let fields = |value: &Value| value.as_object().unwrap_or(&nothing).clone();
    let (old, new) = (fields(before), fields(after));
    match (before, after) {
        (Value::Null, Value::Null) => return Vec::new(),
        (_, Value::Null) => return vec!["is gone".to_owned()],
        _ => {}
    }
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (was, is) = (old.get(name).unwrap_or(&Value::Null), new.get(name));
        let is = is.unwrap_or(&Value::Null);
        match (before, was == is) {
            (_, true) => None,
            (Value::Null, _) => Some(format!("{name}: {is}")),
            _ => Some(format!("{name}: {was} -> {is}")),
        }
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::changes;

    #[test]
    fn what_changed_is_told_and_nothing_else() {
        let (five, six) = (json!({"reps": 5, "rpe": null}), json!({"reps": 6, "rpe": null}));
        assert_eq!(changes(&Value::Null, &five), ["reps: 5"]);
        assert_eq!(changes(&five, &six), ["reps: 5 -> 6"]);
        assert_eq!(changes(&six, &Value::Null), ["is gone"]);
        assert_eq!(changes(&Value::Null, &Value::Null), Vec::<String>::new());
    }
}

//! What is to be announced of records: the truth of an exercise beside what was announced of it, in one
//! statement.

use std::collections::HashSet;

use domain::{
    announcements::{Holders, Occasion, difference},
    library::Library,
};
use events::{
    AthleteId, CustomExerciseCreated, Event, ExerciseId, Measurement, Partition, Version, WorkoutId,
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::lifts::decode;

/// Of which model the marks are.
pub const MODEL: &str = "records";

/// An exercise of an athlete.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose.
    pub owner: AthleteId,
    /// Where they are.
    pub partition: Partition,
    /// Which exercise.
    pub exercise: ExerciseId,
}

/// What is true of an exercise, and what was said.
#[derive(Debug)]
pub struct Standing {
    /// Of which exercise of whom.
    pub key: Key,
    /// Up to which event of the `records-…` stream what was said is known.
    pub version: Version,
    measurement: Measurement,
    truth: Holders,
    announced: Option<Holders>,
    imported: HashSet<WorkoutId>,
}

impl Standing {
    /// The events that bring what was said to the truth.
    pub fn difference(&self, occasion: Occasion) -> Vec<Event> {
        difference(
            &self.key.exercise,
            self.measurement,
            &self.truth,
            self.announced.as_ref(),
            occasion,
            |workout| self.imported.contains(&workout),
        )
    }
}

/// What is true of exercises, and what was said; nothing of those that nobody knows.
pub async fn standings(pool: &PgPool, keys: Vec<Key>) -> Result<Vec<Standing>, sqlx::Error> {
    let owners: Vec<Uuid> = keys.iter().map(|key| key.owner.uuid()).collect();
    let exercises: Vec<String> = keys.iter().map(|key| key.exercise.to_string()).collect();
    let rows = sqlx::query!(
        r#"select k.number as "number!", s.best as "best?", a.holders as "holders?",
               n.version as "version?", e.created as "created?"
           from unnest($1::uuid[], $2::text[]) with ordinality as k (owner, exercise, number)
           left join records_v3.spans s
               on s.owner = k.owner and s.exercise = k.exercise and s.level = 0 and s.span = 0
           left join records_v3.announced a on a.owner = k.owner and a.exercise = k.exercise
           left join records_v3.announcements n on n.owner = k.owner
           left join records_v3.custom_exercises e
               on e.owner = k.owner and e.exercise::text = k.exercise"#,
        &owners,
        &exercises,
    )
    .fetch_all(pool)
    .await?;
    let mut standings = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(key) = usize::try_from(row.number - 1).ok().and_then(|at| keys.get(at)) else {
            continue;
        };
        let measurement = match (Library::system().get(&key.exercise), row.created) {
            (Some(exercise), _) => exercise.kind,
            (None, Some(created)) => decode::<CustomExerciseCreated>(&created)?.traits.kind,
            (None, None) => continue,
        };
        let best = row.best.as_deref().map(decode).transpose()?;
        standings.push(Standing {
            key: key.clone(),
            version: Version(row.version.unwrap_or(0)),
            measurement,
            truth: best.map(|best| Holders::of(&best, measurement)).unwrap_or_default(),
            announced: row.holders.as_deref().map(decode).transpose()?,
            imported: HashSet::new(),
        });
    }
    let mut workouts = Vec::new();
    for standing in &standings {
        let owner = standing.key.owner.uuid();
        workouts.extend(standing.truth.workouts().map(|workout| (workout.uuid(), owner)));
    }
    let (ids, of): (Vec<Uuid>, Vec<Uuid>) = workouts.into_iter().unzip();
    // Whether a workout was imported never changes.
    let imported = sqlx::query!(
        "select w.workout, w.owner from records_v3.workouts w
         join unnest($1::uuid[], $2::uuid[]) as k (workout, owner)
             on k.workout = w.workout and k.owner = w.owner
         where w.imported",
        &ids,
        &of,
    )
    .fetch_all(pool)
    .await?;
    let imported: HashSet<(Uuid, Uuid)> =
        imported.into_iter().map(|row| (row.owner, row.workout)).collect();
    for standing in &mut standings {
        let owner = standing.key.owner.uuid();
        let of_owner = standing.truth.workouts();
        standing.imported =
            of_owner.filter(|workout| imported.contains(&(owner, workout.uuid()))).collect();
    }
    Ok(standings)
}

/// The next exercises after one, of all athletes: those with records, and those of which something was
/// announced. Owners that the log does not know have none.
pub async fn keys_after(
    pool: &PgPool,
    after: Option<&Key>,
    owner: Option<AthleteId>,
    limit: i64,
) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select k.owner as "owner!", k.exercise as "exercise!", e.partition
           from (
               (select s.owner, s.exercise from records_v3.spans s
                where s.level = 0 and ($4::uuid is null or s.owner = $4)
                    and ($1::uuid is null or (s.owner, s.exercise) > ($1, $2))
                order by s.owner, s.exercise limit $3)
               union
               (select a.owner, a.exercise from records_v3.announced a
                where ($4::uuid is null or a.owner = $4)
                    and ($1::uuid is null or (a.owner, a.exercise) > ($1, $2))
                order by a.owner, a.exercise limit $3)
               order by 1, 2 limit $3
           ) k
           join lateral (
               select e.partition from log.events e
               where e.stream_id = k.owner and e.owner = k.owner and e.stream_kind = 1
                   and e.version = 1
           ) e on true
           order by 1, 2"#,
        after.map(|key| key.owner.uuid()),
        after.map(|key| key.exercise.to_string()),
        limit,
        owner.map(AthleteId::uuid),
    )
    .fetch_all(pool)
    .await?;
    let keys = rows.into_iter().filter_map(|row| {
        Some(Key {
            owner: AthleteId::new(row.owner).ok()?,
            partition: Partition(row.partition),
            exercise: row.exercise.parse().ok()?,
        })
    });
    Ok(keys.collect())
}

/// Whether the model says anything yet: one that is not built does not.
pub async fn is_built(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let built =
        sqlx::query_scalar!(r#"select built_at is not null as "built!" from records_v3.model"#);
    Ok(built.fetch_optional(pool).await?.unwrap_or(false))
}

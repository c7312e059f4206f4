//! Reading history: rows and the position they stand at, in one statement.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::{body::Bodyweights, workout};
use events::{
    AthleteId, Epoch, ExerciseId, ExerciseNoted, Feeling, Partition, Personal, PersonalField,
    PlannedExercise, Position, SetId, SetValues, TimeZone, Timestamp, WorkoutId,
};
use log::Positions;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;
use web::Error;

use super::{History, write::Details};
use crate::{
    Context,
    athlete::{Custom, custom_exercises},
    context,
    days::Edge,
    page,
    represent::{Known, Parts},
    weighings,
};

/// Which workouts are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Only those with a set of one of these exercises.
    pub(super) exercises: Option<Vec<String>>,
    /// Only completed ones, or only active ones.
    pub(super) completed: Option<bool>,
    pub(super) from: Option<Edge>,
    pub(super) to: Option<Edge>,
    /// Only those after this place in the list.
    pub(super) after: Option<Place>,
    pub(super) limit: usize,
}

/// A place in the list: newest first, ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    #[serde(rename = "s")]
    pub(super) started_at: Timestamp,
    #[serde(rename = "w")]
    pub(super) workout: Uuid,
}

/// A page of history.
pub(super) struct Page {
    /// Where in the log it stands.
    pub(super) position: Positions,
    pub(super) workouts: Vec<Parts>,
    /// Where the next page begins, when there is one.
    pub(super) next: Option<Place>,
}

/// A part of a workout, a set or a note, with all that is kept of the workout; or none where there is
/// no workout.
struct Row {
    epoch: i64,
    position: i64,
    owner: Option<Uuid>,
    workout: Option<Uuid>,
    completed: Option<bool>,
    completed_at: Option<DateTime<Utc>>,
    abandoned: Option<bool>,
    imported_from: Option<String>,
    details: Option<String>,
    feeling: Option<String>,
    set_id: Option<Uuid>,
    values: Option<String>,
    unusual: Option<bool>,
    noted: Option<String>,
    time_zone: Option<String>,
    measured_at: Option<Vec<DateTime<Utc>>>,
    weights: Option<Vec<String>>,
}

pub(super) async fn page(
    context: &Context,
    owner: AthleteId,
    partition: Partition,
    wanted: &Wanted,
) -> Result<Page, Error> {
    let any_day = [wanted.from, wanted.to].iter().any(|edge| matches!(edge, Some(Edge::Day(_))));
    let zone = if any_day { time_zone(context, owner).await? } else { None };
    let zone: TimeZone = zone.as_deref().unwrap_or("UTC").parse().map_err(Error::internal)?;
    let rows = sqlx::query_as!(
        Row,
        r#"select c.epoch, c.position, w.owner as "owner?", w.workout as "workout?",
               w.completed as "completed?", w.completed_at, w.abandoned as "abandoned?",
               w.imported_from,
               w.details as "details?", w.feeling, part.set_id as "set_id?",
               part.values as "values?", part.unusual as "unusual?", part.noted as "noted?",
               a.time_zone as "time_zone?",
               case when row_number() over () = 1 then
                   (select array_agg(b.measured_at order by b.measured_at, b.noted)
                    from history_v6.weighings b where b.owner = $1)
               end as measured_at,
               case when row_number() over () = 1 then
                   (select array_agg(b.weight order by b.measured_at, b.noted)
                    from history_v6.weighings b where b.owner = $1)
               end as weights
           from history_v6.checkpoints c
           left join history_v6.athletes a on a.owner = $1
           left join lateral (
               select * from history_v6.workouts w
               where w.owner = $1
                   and ($3::timestamptz is null or (w.started_at, w.workout) < ($3, $4::uuid))
                   and ($5::boolean is null or w.completed = $5)
                   and ($6::timestamptz is null or w.started_at >= $6)
                   and ($7::timestamptz is null or w.started_at < $7)
                   and ($8::text[] is null or w.workout in (
                       select s.workout from history_v6.workout_sets s
                       where s.owner = $1 and s.exercise = any($8)
                   ))
               order by w.started_at desc, w.workout desc
               limit $9
           ) w on true
           left join lateral (
               select s.ordinal, s.set_id, s.values, s.unusual, null as noted
               from history_v6.workout_sets s
               where s.owner = $1 and s.workout = w.workout
               union all
               select null, null, null, null, n.noted
               from history_v6.workout_notes n
               where n.owner = $1 and n.workout = w.workout
           ) part on true
           where c.partition = $2
           order by w.started_at desc, w.workout desc, part.ordinal, part.set_id"#,
        owner.uuid(),
        partition.0,
        wanted.after.map(|place| place.started_at.utc()) as Option<DateTime<Utc>>,
        wanted.after.map(|place| place.workout),
        wanted.completed,
        wanted.from.map(|edge| edge.first(zone)) as Option<DateTime<Utc>>,
        wanted.to.map(|edge| edge.after(zone)) as Option<DateTime<Utc>>,
        wanted.exercises.as_deref() as Option<&[String]>,
        page::one_more(wanted.limit),
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;

    let Some(first) = rows.first() else {
        return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
    };
    let position = Positions::one(Epoch(first.epoch), partition, Position(first.position));

    let weighings = first.measured_at.iter().flatten().copied();
    let weighings: Vec<_> = weighings.zip(first.weights.iter().flatten().cloned()).collect();
    let mut workouts: Vec<Parts> = gather(rows)?.into_iter().map(|(_, workout)| workout).collect();
    let place =
        |last: &Parts| Place { started_at: last.details.started_at, workout: last.id.uuid() };
    let next = page::cut(&mut workouts, wanted.limit, place);
    complete(context, owner, &mut workouts).await?;
    if workouts.iter().any(Parts::weighs) {
        let bodyweights = weighings::open(context, weighings).await?;
        for workout in &mut workouts {
            workout.bodyweights = bodyweights.clone();
        }
    }
    Ok(Page { position, workouts, next })
}

/// Workouts of anybody, by owner and id, for others to see; those that are not there are left out. Who
/// may see them is not asked here. Bodyweights are left out of them, for a volume would tell them.
pub(crate) async fn some(
    context: &Context,
    partition: Partition,
    wanted: &[(Uuid, Uuid)],
) -> Result<HashMap<(Uuid, Uuid), Parts>, Error> {
    let (owners, ids): (Vec<Uuid>, Vec<Uuid>) = wanted.iter().copied().unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select c.epoch, c.position, w.owner as "owner?", w.workout as "workout?",
               w.completed as "completed?", w.completed_at, w.abandoned as "abandoned?",
               w.imported_from, w.details as "details?", w.feeling, part.set_id as "set_id?",
               part.values as "values?", part.unusual as "unusual?", part.noted as "noted?",
               a.time_zone as "time_zone?", null::timestamptz[] as measured_at,
               null::text[] as weights
           from history_v6.checkpoints c
           cross join unnest($2::uuid[], $3::uuid[]) as k (owner, workout)
           join history_v6.workouts w on w.owner = k.owner and w.workout = k.workout
           left join history_v6.athletes a on a.owner = w.owner
           left join lateral (
               select s.ordinal, s.set_id, s.values, s.unusual, null as noted
               from history_v6.workout_sets s
               where s.owner = w.owner and s.workout = w.workout
               union all
               select null, null, null, null, n.noted
               from history_v6.workout_notes n
               where n.owner = w.owner and n.workout = w.workout
           ) part on true
           where c.partition = $1
           order by w.owner, w.workout, part.ordinal, part.set_id"#,
        partition.0,
        &owners,
        &ids,
    )
    .fetch_all(&context.pool)
    .await
    .map_err(context::database)?;
    let mut by_owner: BTreeMap<Uuid, Vec<Parts>> = BTreeMap::new();
    for (owner, workout) in gather(rows)? {
        by_owner.entry(owner).or_default().push(workout);
    }
    let mut all = HashMap::new();
    for (owner, mut workouts) in by_owner {
        let athlete = AthleteId::new(owner).map_err(Error::internal)?;
        complete(context, athlete, &mut workouts).await?;
        all.extend(workouts.into_iter().map(|workout| ((owner, workout.id.uuid()), workout)));
    }
    Ok(all)
}

/// Puts workouts together, each with its owner, from rows in which their parts follow each other.
fn gather(rows: Vec<Row>) -> Result<Vec<(Uuid, Parts)>, Error> {
    let mut workouts: Vec<(Uuid, Parts)> = Vec::new();
    for row in rows {
        let (Some(owner), Some(id), Some(completed), Some(details)) =
            (row.owner, row.workout, row.completed, row.details)
        else {
            continue;
        };
        let id = WorkoutId::new(id).map_err(Error::internal)?;
        if workouts.last().is_none_or(|(of, last)| (*of, last.id) != (owner, id)) {
            let status =
                if completed { workout::Status::Completed } else { workout::Status::Active };
            let Details { said, routine, plan } = decode(&details)?;
            let zone = row.time_zone.as_deref().unwrap_or("UTC");
            let parts = Parts {
                id,
                status,
                details: said,
                routine: routine.map(|routine| routine.id),
                plan: plan.into_iter().map(|planned| (planned, None)).collect(),
                completed_at: row.completed_at.map(Timestamp::new),
                abandoned: row.abandoned == Some(true),
                feeling: row.feeling.as_deref().map(decode::<Personal<Feeling>>).transpose()?,
                imported_from: row.imported_from.as_deref().map(decode).transpose()?,
                sets: Vec::new(),
                noted: Vec::new(),
                bodyweights: Bodyweights::default(),
                zone: zone.parse().map_err(Error::internal)?,
            };
            workouts.push((owner, parts));
        }
        let Some((_, last)) = workouts.last_mut() else { continue };
        if let (Some(set_id), Some(values)) = (row.set_id, row.values) {
            let id = SetId::new(set_id).map_err(Error::internal)?;
            let unusual = row.unusual == Some(true);
            let set = workout::Set { id, values: decode::<SetValues>(&values)?, unusual };
            last.sets.push((set, None));
        }
        if let Some(noted) = row.noted {
            last.noted.push((decode::<ExerciseNoted>(&noted)?, None));
        }
    }
    Ok(workouts)
}

/// Where the athlete's days begin and end; one who is not in the model yet has no workouts in it
/// either.
async fn time_zone(context: &Context, owner: AthleteId) -> Result<Option<String>, Error> {
    sqlx::query_scalar!("select time_zone from history_v6.athletes where owner = $1", owner.uuid())
        .fetch_optional(&context.pool)
        .await
        .map_err(context::database)
}

/// Opens what is sealed and finds the exercises of sets and notes.
async fn complete(
    context: &Context,
    owner: AthleteId,
    workouts: &mut [Parts],
) -> Result<(), Error> {
    let any_custom = workouts.iter().any(|workout| {
        let of_sets = workout.sets.iter().map(|(set, _)| &set.values.exercise);
        let of_notes = workout.noted.iter().map(|(noted, _)| &noted.exercise);
        let of_plan = workout.plan.iter().map(|(planned, _)| &planned.exercise);
        of_sets
            .chain(of_notes)
            .chain(of_plan)
            .any(|exercise| matches!(exercise, ExerciseId::Custom(_)))
    });
    let custom = if any_custom {
        custom_exercises::<History>(context, owner).await?
    } else {
        HashMap::new()
    };
    let custom = |id| custom.get(&id).map(|exercise: &Custom| exercise.known.clone());
    for workout in workouts {
        for (set, known) in &mut workout.sets {
            *known = Known::find(&set.values.exercise, custom);
        }
        for (noted, known) in &mut workout.noted {
            *known = Known::find(&noted.exercise, custom);
        }
        for (planned, known) in &mut workout.plan {
            *known = Known::find(&planned.exercise, custom);
        }
        let mut fields = workout.details.personal_fields();
        let plan = workout.plan.iter_mut();
        fields.extend(plan.flat_map(|(planned, _)| PlannedExercise::personal_fields(planned)));
        fields.extend(workout.feeling.as_mut().map(|f| f as &mut dyn PersonalField));
        for (set, _) in &mut workout.sets {
            fields.extend(set.values.personal_fields());
        }
        for (noted, _) in &mut workout.noted {
            fields.extend(noted.personal_fields());
        }
        context.keys.open(fields).await.map_err(context::database)?;
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(Error::internal)
}

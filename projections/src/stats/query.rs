//! Reading stats: an athlete's workouts and the position they stand at, in one statement.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::{body::Bodyweights, library::Library, volume_of};
use events::{AthleteId, Epoch, ExerciseId, Measurement, Muscle, Partition, Position, TimeZone};
use log::Positions;
use rust_decimal::Decimal;
use uuid::Uuid;
use web::Error;

use super::{
    Stats,
    fold::{Counted, Sets},
};
use crate::{
    Context,
    athlete::{Custom, custom_exercises},
    context, weighings,
};

/// The completed workouts of an athlete.
pub(super) struct Training {
    /// Where in the log the answer stands.
    pub(super) position: Positions,
    pub(super) zone: TimeZone,
    /// The athlete's local day now.
    pub(super) today: NaiveDate,
    /// The first day of the period.
    pub(super) first: NaiveDate,
    /// Those of the period, oldest first.
    pub(super) workouts: Vec<Workout>,
    /// The local days of all workouts ever.
    pub(super) days: BTreeSet<NaiveDate>,
    custom: HashMap<Uuid, Custom>,
    bodyweights: Bodyweights,
}

/// A completed workout.
pub(super) struct Workout {
    pub(super) day: NaiveDate,
    pub(super) seconds: i64,
    pub(super) sets: Sets,
}

/// What is known of an exercise when stats are shown.
pub(super) struct About {
    pub(super) name: Option<String>,
    measurement: Measurement,
    pub(super) primary_muscles: Vec<Muscle>,
    pub(super) secondary_muscles: Vec<Muscle>,
}

impl Training {
    /// The workouts of a period of so many local days up to today, or of all days.
    pub(super) async fn read(
        context: &Context,
        owner: AthleteId,
        partition: Partition,
        days: Option<u32>,
    ) -> Result<Self, Error> {
        let now = context.clock.now().utc();
        // A local day may begin up to a day before the one of UTC.
        let since = days.and_then(|days| now.checked_sub_days(Days::new(u64::from(days) + 2)));
        let rows = sqlx::query!(
            r#"select c.epoch, c.position, a.time_zone as "time_zone?",
                   w.started_at as "started_at?", w.completed_at,
                   case when $3::timestamptz is null or w.started_at >= $3 then w.sets end as sets,
                   case when row_number() over () = 1 then
                       (select array_agg(b.measured_at order by b.measured_at, b.noted)
                        from stats_v3.weighings b where b.owner = $1)
                   end as measured_at,
                   case when row_number() over () = 1 then
                       (select array_agg(b.weight order by b.measured_at, b.noted)
                        from stats_v3.weighings b where b.owner = $1)
                   end as weights
               from stats_v3.checkpoints c
               left join stats_v3.athletes a on a.owner = $1
               left join stats_v3.workouts w on w.owner = $1 and w.completed_at is not null
               where c.partition = $2
               order by w.started_at, w.workout"#,
            owner.uuid(),
            partition.0,
            since as Option<DateTime<Utc>>,
        )
        .fetch_all(&context.pool)
        .await
        .map_err(context::database)?;
        let Some(first) = rows.first() else {
            return Err(Error::unavailable("NOT_BUILT", "the read model is not built yet", 5));
        };
        let position = Positions::one(Epoch(first.epoch), partition, Position(first.position));
        let zone = first.time_zone.as_deref().unwrap_or("UTC");
        let zone: TimeZone = zone.parse().map_err(Error::internal)?;
        let local = |at: DateTime<Utc>| at.with_timezone(&zone.0).date_naive();
        let today = local(now);
        let mut training = Self {
            position,
            zone,
            today,
            first: today,
            workouts: Vec::new(),
            days: rows.iter().filter_map(|row| row.started_at).map(local).collect(),
            custom: HashMap::new(),
            bodyweights: Bodyweights::default(),
        };
        training.first = match days {
            Some(days) => today - Days::new(u64::from(days.saturating_sub(1))),
            None => training.days.first().copied().unwrap_or(today),
        };
        let mut weighings = Vec::new();
        for row in rows {
            if let (Some(measured_at), Some(weights)) = (row.measured_at, row.weights) {
                weighings = measured_at.into_iter().zip(weights).collect();
            }
            let (Some(start), Some(end), Some(sets)) = (row.started_at, row.completed_at, row.sets)
            else {
                continue;
            };
            let day = local(start);
            if !(training.first..=today).contains(&day) {
                continue;
            }
            let sets: Sets = serde_json::from_str(&sets).map_err(Error::internal)?;
            training.workouts.push(Workout { day, seconds: (end - start).num_seconds(), sets });
        }
        training.custom = custom_exercises::<Stats>(context, owner).await?;
        if training.sets().any(|(exercise, _)| training.weighs(exercise)) {
            training.bodyweights = weighings::open(context, weighings).await?;
        }
        Ok(training)
    }

    /// The working sets of the period.
    pub(super) fn sets(&self) -> impl Iterator<Item = (&ExerciseId, &Counted)> {
        self.workouts.iter().flat_map(|workout| workout.sets.working())
    }

    /// What is known of an exercise; nothing of one that is no longer in the library.
    pub(super) fn about(&self, exercise: &ExerciseId) -> Option<About> {
        match exercise {
            ExerciseId::Custom(id) => self.custom.get(id).map(|custom| About {
                name: custom.known.name.clone(),
                measurement: custom.known.measurement,
                primary_muscles: custom.primary_muscles.clone(),
                secondary_muscles: custom.secondary_muscles.clone(),
            }),
            system => Library::system().get(system).map(|exercise| About {
                name: Some(exercise.name.clone()),
                measurement: exercise.kind,
                primary_muscles: exercise.primary_muscles.clone(),
                secondary_muscles: exercise.secondary_muscles.clone(),
            }),
        }
    }

    /// Repetitions times weight of a set, in exact kg; none where there is no such thing.
    pub(super) fn volume(&self, exercise: &ExerciseId, set: &Counted) -> Decimal {
        let (reps, kg) = (set.1, set.2);
        let bodyweight = || self.bodyweights.on(set.performed_at(), self.zone);
        let bodyweight = if self.weighs(exercise) { bodyweight() } else { None };
        let measurement = self.about(exercise).map(|about| about.measurement);
        measurement
            .and_then(|kind| volume_of(reps, kg.map(|kg| kg.0), kind, bodyweight))
            .unwrap_or_default()
    }

    /// Whether the bodyweight of the day is part of what is lifted.
    fn weighs(&self, exercise: &ExerciseId) -> bool {
        let measurement = self.about(exercise).map(|about| about.measurement);
        measurement.is_some_and(Measurement::has_bodyweight)
    }
}

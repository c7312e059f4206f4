//! Is every figure that the product shows a recomputation's?
//!
//! Random histories go through the product's own interface, command by command: sets logged, corrected,
//! removed, moved between units, exercises and years, backdated and told twice; workouts re-dated and
//! discarded. After every few commands its answers are compared with those of [`truth`], which knows
//! nothing but all the sets that stand. A history that fails is cut down to the commands that it takes.

mod commands;
mod shown;
pub mod strength;
pub mod truth;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use commands::{BODYWEIGHTS, EXERCISES, WEIGHTS, ZONES, beginning, is_future};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::{Decimal, dec};
use serde_json::{Map, Value, json};
use shown::{decimal, previous_of, wrong_delta};
use sqlx::PgPool;
use truth::{Held, Maximum, Measured, Set, Weighing, Workout, order};
use uuid::Uuid;

pub use commands::{Command, Values, history};
pub use shown::{held, held_of, word};

use crate::{Client, new_id};

/// What is asked, and whom.
pub struct Product {
    /// Nobody who is known.
    pub client: Client,
    /// Looks at the log itself.
    pub owner: PgPool,
}

/// What came of many histories.
#[derive(Default)]
pub struct Outcome {
    /// Answers compared.
    pub comparisons: usize,
    /// Answers that were others: the commands that it takes, and how they differ.
    pub differences: Vec<String>,
    /// Whose histories they were.
    pub lives: Vec<Life>,
}

/// Runs commands as a new athlete and compares the answers on the way; the first difference, and how
/// many answers were compared.
pub async fn run(product: &Product, commands: &[Command], seed: u64) -> (Life, Option<String>) {
    let client = product.client.register(&crate::email(), ZONES[0].name()).await;
    let mut life = Life::new(client, seed);
    for (index, command) in commands.iter().enumerate() {
        life.obey(command).await;
        let is_last = index + 1 == commands.len();
        if (is_last || index % 4 == 3)
            && let Some(difference) = life.compare().await
        {
            return (life, Some(difference));
        }
    }
    let difference = life.compare_announcements(&product.owner).await;
    (life, difference)
}

/// The same, of a seed; what differs is cut down to the commands that it takes.
pub async fn run_seed(product: &Product, seed: u64) -> Outcome {
    let mut commands = history(seed);
    let (life, difference) = run(product, &commands, seed).await;
    let mut outcome = Outcome { comparisons: life.comparisons, ..Outcome::default() };
    outcome.lives.push(life);
    let Some(mut difference) = difference else { return outcome };
    let mut piece = commands.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < commands.len() {
            let mut fewer = commands.clone();
            fewer.drain(at..(at + piece).min(commands.len()));
            if let (_, Some(same)) = run(product, &fewer, seed).await {
                (commands, difference) = (fewer, same);
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    outcome.differences.push(format!("seed {seed}: {commands:#?}\n{difference}"));
    outcome
}

/// An athlete, and what they have done, as we know it.
pub struct Life {
    client: Client,
    rng: StdRng,
    begins: DateTime<Utc>,
    zone: Tz,
    sex: Option<&'static str>,
    weighings: Vec<Weighing>,
    /// And whether they were discarded.
    workouts: Vec<(Workout, bool)>,
    sets: Vec<Set>,
    logged: usize,
    position: Option<String>,
    comparisons: usize,
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

impl Life {
    fn new(client: Client, seed: u64) -> Self {
        Self {
            client,
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
            begins: beginning(seed),
            zone: ZONES[0],
            sex: None,
            weighings: Vec::new(),
            workouts: Vec::new(),
            sets: Vec::new(),
            logged: 0,
            position: None,
            comparisons: 0,
        }
    }

    async fn obey(&mut self, command: &Command) {
        self.logged += 1;
        match command {
            Command::Start { day, minute } => {
                let at = self.begins + TimeDelta::days(*day) + TimeDelta::minutes(*minute);
                let body = json!({ "started_at": text(at) });
                let answer = self.client.post("/v1/workouts", body).await.expect(201);
                self.told(answer.position());
                let id = answer.data()["id"].as_str().expect("an id").to_owned();
                let logged = self.logged;
                let workout = Workout { id, started_at: at, logged, completed: false };
                self.workouts.push((workout, false));
            }
            Command::Log { workout, set, twice } => {
                let Some(index) = self.alive(*workout) else { return };
                let workout = self.workouts[index].0.clone();
                if is_future(workout.started_at + TimeDelta::minutes(set.minute)) {
                    return;
                }
                let id = new_id().to_string();
                let mut body = self.body(*set, &workout);
                body.insert("id".to_owned(), id.clone().into());
                let path = format!("/v1/workouts/{}", workout.id);
                let logged = self.client.log_set(&path, body.clone().into()).await.expect(201);
                if *twice {
                    let again = self.client.log_set(&path, body.into()).await.expect(201);
                    assert_eq!(again.data(), logged.data(), "told twice");
                }
                self.told(logged.position());
                let unusual = logged.data()["set"]["unusual"] == true;
                let logged = self.logged;
                self.sets.push(Set { unusual, ..made(id, &workout, *set, logged) });
            }
            Command::Correct { set, to } => {
                let Some(index) = self.standing(*set) else { return };
                let set = self.sets[index].clone();
                let workout = self.workout_of(&set);
                if is_future(workout.started_at + TimeDelta::minutes(to.minute)) {
                    return;
                }
                let mut body = self.body(*to, &workout);
                for field in ["reps", "weight", "duration_seconds", "distance_metres"] {
                    body.entry(field).or_insert(Value::Null);
                }
                let path = format!("/v1/workouts/{}/sets/{}", workout.id, set.id);
                let answer = self.client.patch(&path, body.into()).await.expect(200);
                self.told(answer.position());
                let unusual = answer.data()["set"]["unusual"] == true;
                self.sets[index] = Set { unusual, ..made(set.id, &workout, *to, set.logged) };
            }
            Command::Remove { set } => {
                let Some(index) = self.standing(*set) else { return };
                let set = self.sets.remove(index);
                let path = format!("/v1/workouts/{}/sets/{}", set.workout, set.id);
                let answer = self.client.delete(&path).await.expect(200);
                self.told(answer.position());
            }
            Command::Complete { workout } => {
                let Some(index) = self.alive(*workout) else { return };
                let workout = &self.workouts[index].0;
                let end = workout.started_at + TimeDelta::hours(2);
                let has_sets = self.sets.iter().any(|set| set.workout == workout.id);
                if workout.completed || !has_sets || is_future(end) {
                    return;
                }
                let path = format!("/v1/workouts/{}", workout.id);
                let body = json!({ "completed_at": text(end) });
                let answer = self.client.complete(&path, body).await.expect(200);
                self.told(answer.position());
                self.workouts[index].0.completed = true;
            }
            Command::ReDate { workout, days } => {
                let Some(index) = self.alive(*workout) else { return };
                let workout = self.workouts[index].0.clone();
                let by = TimeDelta::days(*days);
                let of_it = || self.sets.iter().filter(|set| set.workout == workout.id);
                let last = of_it().map(|set| set.at).max().unwrap_or(workout.started_at);
                // With its end, which is two hours after the start.
                if is_future(last.max(workout.started_at) + by + TimeDelta::hours(2)) {
                    return;
                }
                let path = format!("/v1/workouts/{}", workout.id);
                let body = json!({ "started_at": text(workout.started_at + by) });
                let answer = self.client.patch(&path, body).await.expect(200);
                self.told(answer.position());
                self.workouts[index].0.started_at += by;
                // Sets of a workout that goes on stay where they are.
                if workout.completed {
                    for set in self.sets.iter_mut().filter(|set| set.workout == workout.id) {
                        set.at += by;
                    }
                }
            }
            Command::Discard { workout } => {
                let Some(index) = self.alive(*workout) else { return };
                let id = self.workouts[index].0.id.clone();
                let answer = self.client.delete(&format!("/v1/workouts/{id}")).await.expect(200);
                self.told(answer.position());
                self.workouts[index].1 = true;
                self.sets.retain(|set| set.workout != id);
            }
            Command::Confirm { set } => {
                let unusual: Vec<usize> =
                    (0..self.sets.len()).filter(|index| self.sets[*index].unusual).collect();
                if unusual.is_empty() {
                    return;
                }
                let set = &mut self.sets[unusual[set % unusual.len()]];
                let path = format!("/v1/workouts/{}/sets/{}/confirm", set.workout, set.id);
                let answer = self.client.post(&path, json!({})).await.expect(200);
                set.unusual = false;
                self.told(answer.position());
            }
            Command::Weigh { day, minute, weight } => {
                let at = self.begins + TimeDelta::days(*day) + TimeDelta::minutes(*minute);
                let body = json!({ "measured_at": text(at), "bodyweight": typed(*weight) });
                let answer = self.client.post(MEASUREMENTS, body).await.expect(201);
                self.told(answer.position());
                let id = answer.data()["id"].as_str().expect("an id").to_owned();
                let kg = decimal(BODYWEIGHTS[*weight]);
                self.weighings.push(Weighing { id, at, kg });
            }
            Command::WeighAgain { weighing, minutes, weight } => {
                let count = self.weighings.len();
                if count == 0 {
                    return;
                }
                let known = &mut self.weighings[weighing % count];
                let at = known.at + TimeDelta::minutes(*minutes);
                if is_future(at) {
                    return;
                }
                let path = format!("{MEASUREMENTS}/{}", known.id);
                let body = json!({ "measured_at": text(at), "bodyweight": typed(*weight) });
                let answer = self.client.patch(&path, body).await.expect(200);
                (known.at, known.kg) = (at, decimal(BODYWEIGHTS[*weight]));
                self.told(answer.position());
            }
            Command::ForgetWeighing { weighing } => {
                if self.weighings.is_empty() {
                    return;
                }
                let gone = self.weighings.remove(weighing % self.weighings.len());
                let path = format!("{MEASUREMENTS}/{}", gone.id);
                let answer = self.client.delete(&path).await.expect(200);
                self.told(answer.position());
            }
            Command::Move { zone } => {
                self.zone = ZONES[*zone];
                let body = json!({ "time_zone": self.zone.name() });
                let answer = self.client.patch("/v1/athletes/me", body).await.expect(200);
                self.told(answer.position());
            }
            Command::Be { sex } => {
                self.sex = [None, Some("female"), Some("male")][*sex];
                let body = json!({ "sex": self.sex });
                let answer = self.client.patch("/v1/athletes/me", body).await.expect(200);
                self.told(answer.position());
            }
        }
    }

    /// Keeps the last position that was told of: what changes nothing tells of where its stream ends.
    fn told(&mut self, position: &str) {
        let place = |token: &str| -> log::Positions { token.parse().expect("a position") };
        let last = |token: &String| place(token).at < place(position).at;
        if self.position.as_ref().is_none_or(last) {
            self.position = Some(position.to_owned());
        }
    }

    /// One of the workouts that were not discarded.
    fn alive(&self, number: usize) -> Option<usize> {
        let alive: Vec<usize> =
            (0..self.workouts.len()).filter(|index| !self.workouts[*index].1).collect();
        (!alive.is_empty()).then(|| alive[number % alive.len()])
    }

    fn standing(&self, number: usize) -> Option<usize> {
        (!self.sets.is_empty()).then(|| number % self.sets.len())
    }

    fn workout_of(&self, set: &Set) -> Workout {
        let found = self.workouts.iter().find(|(workout, _)| workout.id == set.workout);
        found.expect("a workout").0.clone()
    }

    fn body(&self, values: Values, workout: &Workout) -> Map<String, Value> {
        let (exercise, measured) = EXERCISES[values.exercise];
        let mut body = Map::new();
        body.insert("exercise".to_owned(), exercise.into());
        body.insert("number".to_owned(), 1.into());
        let kind = if values.warm_up { "warm_up" } else { "normal" };
        body.insert("kind".to_owned(), kind.into());
        let at = workout.started_at + TimeDelta::minutes(values.minute);
        body.insert("performed_at".to_owned(), text(at).into());
        let (value, unit) = WEIGHTS[values.weight];
        if has_reps(measured) {
            body.insert("reps".to_owned(), values.reps.into());
        }
        if has_weight(measured) {
            let value: f64 = value.parse().expect("a number");
            body.insert("weight".to_owned(), json!({ "value": value, "unit": unit }));
        }
        if has_time(measured) {
            body.insert("duration_seconds".to_owned(), values.seconds.into());
        }
        if has_distance(measured) {
            body.insert("distance_metres".to_owned(), values.metres.into());
        }
        body
    }

    /// Compares answers with the truth; the first that differs.
    async fn compare(&mut self) -> Option<String> {
        let position = self.position.clone()?;
        let formula = ["standard", "brzycki", "epley"][self.rng.random_range(0..3)];
        let path = format!("/v1/records?formula={formula}");
        let answer = self.client.get_at(&path, &position).await.expect(200);
        for (index, (exercise, measured)) in EXERCISES.into_iter().enumerate() {
            let shown = answer.list().iter().find(|of| of["exercise"]["id"] == exercise);
            let shown = shown.map(held_of).unwrap_or_default();
            let (sets, workouts) = self.of(index);
            let truth = truth::records(measured, formula, &sets, &workouts, None);
            self.comparisons += 1;
            if shown != truth {
                return Some(told(&path, exercise, &shown, &truth));
            }
        }
        let (exercise, measured) = EXERCISES[self.rng.random_range(0..EXERCISES.len())];
        let index = EXERCISES.iter().position(|(id, _)| *id == exercise).expect("itself");

        // A window, and the one before it.
        let from = self.begins + TimeDelta::minutes(self.rng.random_range(-600_000..600_000));
        let length = [1, 600, 45_000, 500_000][self.rng.random_range(0..4)];
        let last = from + TimeDelta::minutes(length);
        let path = format!("/v1/records/{exercise}?from={}&to={}", text(from), text(last));
        let answer = self.client.get_at(&path, &position).await.expect(200);
        let after = last + TimeDelta::microseconds(1);
        let (sets, workouts) = self.of(index);
        let window = Some((from, after));
        let truth = truth::records(measured, "standard", &sets, &workouts, window);
        let before = Some((from - (after - from), from));
        let truth_before = truth::records(measured, "standard", &sets, &workouts, before);
        self.comparisons += 1;
        let shown = held_of(answer.data());
        let shown_before = previous_of(answer.data());
        if shown != truth || shown_before != truth_before {
            let now = told(&path, exercise, &shown, &truth);
            return Some(now + &told("before", exercise, &shown_before, &truth_before));
        }
        if let Some(wrong) = wrong_delta(answer.data(), &truth, &truth_before) {
            return Some(format!("{path}: {wrong}"));
        }

        let some = truth::kinds(measured);
        let kind = &some[self.rng.random_range(0..some.len())];
        let path = format!("/v1/records/{exercise}/progression?kind={kind}&formula={formula}");
        let answer = self.client.get_at(&path, &position).await.expect(200);
        let (sets, workouts) = self.of(index);
        let kinds = std::slice::from_ref(kind);
        let truth = truth::progression(measured, formula, kinds, &sets, &workouts);
        let mut shown: Vec<Held> = Vec::new();
        for broken in answer.list() {
            let points = broken["points"].as_array().into_iter().flatten();
            shown.extend(points.map(|point| held(&word(broken), point)));
        }
        shown.sort_by(order);
        self.comparisons += 1;
        if shown != truth {
            return Some(told(&path, exercise, &shown, &truth));
        }
        self.compare_levels(&position).await
    }

    /// What there is of an exercise, with the bodyweights of the days.
    fn of(&self, exercise: usize) -> (Vec<Set>, Vec<Workout>) {
        let sets = self.sets.iter().filter(|set| set.exercise == exercise).map(|set| {
            let bodyweight = truth::bodyweight(&self.weighings, set.at, self.zone);
            Set { bodyweight, ..set.clone() }
        });
        (sets.collect(), self.workouts.iter().map(|(workout, _)| workout.clone()).collect())
    }

    /// Compares what was announced in the end with the truth.
    async fn compare_announcements(&mut self, owner: &PgPool) -> Option<String> {
        let position = self.position.clone()?;
        self.client.get_at("/v1/records", &position).await.expect(200);
        let athlete = self.client.athlete.expect("an athlete");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while marks(owner, athlete).await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "nobody looks at the marks");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said: Vec<String> = sqlx::query_scalar(
            "select payload from log.events where owner = $1 and stream_kind = 6 order by version",
        )
        .bind(athlete)
        .fetch_all(owner)
        .await
        .expect("announcements");
        let (mut shown, mut broken) = (Vec::new(), None);
        for said in said {
            let said: Value = serde_json::from_str(&said).expect("JSON");
            let exercise = said["exercise"].as_str().expect("an exercise").to_owned();
            for moved in said["records"].as_array().into_iter().flatten() {
                let kind = word(moved);
                let of = |holder: &Value| announced(&exercise, &kind, holder);
                let before = shown
                    .iter()
                    .position(|(of, held): &(String, Held)| *of == exercise && held.kind == kind);
                let previous = before.map(|at| shown.swap_remove(at));
                if previous != of(&moved["previous"]) {
                    broken = Some(format!("{said} does not go on from {previous:?}"));
                }
                shown.extend(of(&moved["holder"]));
            }
        }
        let mut truth: Vec<(String, Held)> = Vec::new();
        for (index, (exercise, measured)) in EXERCISES.into_iter().enumerate() {
            let (sets, workouts) = self.of(index);
            let held = truth::announced(measured, &sets, &workouts).into_iter();
            truth.extend(held.map(|held| (exercise.to_owned(), held)));
        }
        shown.sort();
        truth.sort();
        self.comparisons += 1;
        let wrong = (shown != truth)
            .then(|| format!("announced in the end:\n{shown:#?}\nand true:\n{truth:#?}"));
        broken.or(wrong)
    }
}

/// Exercises of an athlete that an emitter has still to look at.
async fn marks(owner: &PgPool, athlete: Uuid) -> i64 {
    let marks = sqlx::query_scalar("select count(*) from projector.marks where owner = $1");
    marks.bind(athlete).fetch_one(owner).await.expect("marks")
}

/// Where one says what one weighs.
const MEASUREMENTS: &str = "/v1/athletes/me/measurements";

fn typed(weight: usize) -> Value {
    let kg: f64 = BODYWEIGHTS[weight].parse().expect("a number");
    json!({ "value": kg, "unit": "kg" })
}

/// Who holds a record, as an announcement says it.
fn announced(exercise: &str, kind: &str, holder: &Value) -> Option<(String, Held)> {
    let at = DateTime::parse_from_rfc3339(holder["performed_at"].as_str()?).expect("a time");
    let held = Held {
        kind: kind.to_owned(),
        value: decimal(holder["figure"].as_str().expect("a figure")),
        set: holder["set_id"].as_str().map(str::to_owned),
        workout: holder["workout_id"].as_str().expect("a workout").to_owned(),
        at: at.to_utc(),
    };
    Some((exercise.to_owned(), held))
}

fn has_reps(measured: Measured) -> bool {
    use Measured::{Added, Assisted, RepsOnly, WeightReps};
    matches!(measured, WeightReps | RepsOnly | Added | Assisted)
}

fn has_weight(measured: Measured) -> bool {
    !matches!(measured, Measured::RepsOnly | Measured::Duration | Measured::DistanceDuration)
}

fn has_time(measured: Measured) -> bool {
    use Measured::{DistanceDuration, Duration, WeightDuration};
    matches!(measured, Duration | WeightDuration | DistanceDuration)
}

fn has_distance(measured: Measured) -> bool {
    matches!(measured, Measured::DistanceDuration | Measured::WeightDistance)
}

fn made(id: String, workout: &Workout, values: Values, logged: usize) -> Set {
    let (_, measured) = EXERCISES[values.exercise];
    let (value, unit) = WEIGHTS[values.weight];
    let value: Decimal = value.parse().expect("a number");
    let kg = if unit == "lb" { value * dec!(0.45359237) } else { value };
    Set {
        id,
        workout: workout.id.clone(),
        exercise: values.exercise,
        warm_up: values.warm_up,
        at: workout.started_at + TimeDelta::minutes(values.minute),
        logged,
        reps: has_reps(measured).then_some(values.reps),
        kg: has_weight(measured).then_some(kg),
        seconds: has_time(measured).then_some(values.seconds),
        metres: has_distance(measured).then(|| values.metres.into()),
        unusual: false,
        bodyweight: None,
    }
}

fn told(path: &str, exercise: &str, shown: &[Held], truth: &[Held]) -> String {
    let only = |one: &[Held], other: &[Held]| {
        let only: Vec<String> = one
            .iter()
            .filter(|held| !other.contains(held))
            .map(|held| format!("    {held:?}"))
            .collect();
        only.join("\n")
    };
    let (extra, missing) = (only(shown, truth), only(truth, shown));
    format!(
        "{path} of {exercise}\n  shown, but not true:\n{extra}\n  true, but not shown:\n{missing}\n"
    )
}

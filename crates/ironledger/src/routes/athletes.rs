//! `/v1/athletes/me`: the caller's profile, and what they weighed.

use std::sync::Arc;

use axum::extract::State;
use domain::{Patch, body::Body, profile::Profile};
use events::{
    AthleteId, BodyweightId, Experience, Goal, Notifications, Number, Personal, Privacy, Sex,
    Theme, TimeZone, Timestamp, Units, Weighing, WeightUnit,
};
use projections::represent::{ShownWeight, show_weight};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Created, Cursor, Error, Json, Limit, Path, Query, Routes};

use super::tagged;
use crate::{
    accounts::Accounts,
    app::App,
    commands::{
        Commands, Failure, Loaded, Origin,
        athletes::{ChangeProfile, CorrectMeasurement, Measure},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("athletes.rs"))
        .get("/v1/athletes/me", show)
        .or(|operation| operation.fails(&[404]))
        .patch("/v1/athletes/me", change)
        .post("/v1/athletes/me/measurements", measure)
        .get("/v1/athletes/me/measurements", measurements)
        .get("/v1/athletes/me/measurements/{id}", measurement)
        .patch("/v1/athletes/me/measurements/{id}", correct)
        .delete("/v1/athletes/me/measurements/{id}", remove)
}

/// An athlete, as they see themselves.
#[derive(Debug, Serialize, JsonSchema)]
struct Me {
    id: AthleteId,
    username: Option<String>,
    name: Option<String>,
    birth_year: Option<u16>,
    sex: Option<Sex>,
    height_cm: Option<Number>,
    /// What the scales said last.
    bodyweight: Option<Measurement>,
    experience: Option<Experience>,
    goal: Option<Goal>,
    time_zone: TimeZone,
    units: Units,
    theme: Theme,
    language: Option<String>,
    notifications: Notifications,
    privacy: Privacy,
}

/// A weighing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Measurement {
    id: BodyweightId,
    measured_at: Timestamp,
    /// `null` when it was erased.
    bodyweight: Option<ShownWeight>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// The caller's profile.
async fn show(
    State(commands): State<Commands>,
    origin: Origin,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<Me>, Error> {
    let loaded = commands.profile(&origin).await?;
    let me = me(&commands, &origin, &loaded, query.unit).await?;
    Ok(tagged(loaded.version, &me)?.at(loaded.positions()))
}

/// Changes the caller's profile.
async fn change(
    State(commands): State<Commands>,
    State(accounts): State<Accounts>,
    origin: Origin,
    body: Json<ChangeProfile>,
) -> Result<Answer<Me>, Error> {
    let judge = async |body| commands.judge_profile(&origin, &body).await;
    let body = body.good_or_judged(judge).await?;
    commands.judge_profile(&origin, &body).await?;
    let wish = body.username.clone();
    if let Patch::Set(username) = &wish {
        let_go(&commands, &accounts, &origin).await?;
        accounts.claim(origin.athlete, username).await?;
    }
    let show = |loaded: Arc<Loaded<Profile>>| {
        let (commands, origin) = (&commands, &origin);
        async move {
            let me = me(commands, origin, &loaded, None).await?;
            tagged(loaded.version, &me)
        }
    };
    let now =
        async |loaded: Arc<Loaded<Profile>>| me(&commands, &origin, &loaded, None).await.map(Some);
    let answer = match commands.change_profile(&origin, body, show).await {
        Ok(answer) => answer,
        Err(failure) => return Err(failure.told("athlete", now).await),
    };
    if wish != Patch::Keep {
        let_go(&commands, &accounts, &origin).await?;
    }
    Ok(answer)
}

/// Lets the usernames go that the caller has no longer.
async fn let_go(commands: &Commands, accounts: &Accounts, origin: &Origin) -> Result<(), Error> {
    let loaded = commands.profile(origin).await?;
    let username = loaded.state.as_ref().and_then(Profile::username);
    accounts.let_go(origin.athlete, username).await
}

async fn me(
    commands: &Commands,
    origin: &Origin,
    loaded: &Loaded<Profile>,
    unit: Option<WeightUnit>,
) -> Result<Me, Error> {
    fn clear<T: Clone>(field: &Option<Personal<T>>) -> Option<T> {
        field.as_ref().and_then(|field| field.clear().cloned())
    }
    let Some(Profile(profile)) = &loaded.state else { return Err(Error::not_found("athlete")) };
    let body = commands.body(origin).await?;
    let last = newest_first(body.state.as_ref(), unit).into_iter().next();
    Ok(Me {
        id: origin.athlete,
        username: clear(&profile.username),
        name: clear(&profile.name),
        birth_year: clear(&profile.birth_year).map(|year| year.get()),
        sex: clear(&profile.sex),
        height_cm: clear(&profile.height_cm).map(|height| Number(height.get())),
        bodyweight: last,
        experience: profile.experience,
        goal: profile.goal,
        time_zone: profile.time_zone,
        units: profile.units,
        theme: profile.theme,
        language: profile.language.clone(),
        notifications: profile.notifications,
        privacy: profile.privacy,
    })
}

/// A place in the list: newest first, of one instant the later noted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    #[serde(rename = "a")]
    measured_at: Timestamp,
    #[serde(rename = "i")]
    id: BodyweightId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Measured then or later.
    from: Option<Timestamp>,
    /// Measured then or earlier.
    to: Option<Timestamp>,
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// What the caller weighed, newest first.
async fn measurements(
    State(commands): State<Commands>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Measurement>>, Error> {
    let loaded = commands.body(&origin).await?;
    let mut all = newest_first(loaded.state.as_ref(), query.unit);
    all.retain(|one| {
        query.from.is_none_or(|from| one.measured_at >= from)
            && query.to.is_none_or(|to| one.measured_at <= to)
    });
    if let Some(Cursor(after)) = query.cursor {
        // Where it was, if it was removed since: before all that is older.
        let place = all.iter().position(|one| one.id == after.id);
        let older = || all.iter().position(|one| one.measured_at < after.measured_at);
        let begin = place.map(|at| at + 1).or_else(older).unwrap_or(all.len());
        all.drain(..begin);
    }
    let more = all.len() > query.limit.0;
    all.truncate(query.limit.0);
    let last = all.last().filter(|_| more);
    let place = |last: &Measurement| Place { measured_at: last.measured_at, id: last.id };
    let next = last.map(|last| Cursor(place(last)).encode());
    Ok(Answer::list(&all, next)?.at(loaded.positions()))
}

/// One weighing.
async fn measurement(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<BodyweightId>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<Measurement>, Error> {
    let loaded = commands.body(&origin).await?;
    let found = one(loaded.state.as_ref(), id, query.unit);
    let found = found.ok_or_else(|| Error::not_found("measurement"))?;
    Ok(tagged(loaded.version, &found)?.at(loaded.positions()))
}

/// Notes a weighing.
async fn measure(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<Measure>,
) -> Result<Created<Measurement>, Error> {
    let show = |id, loaded: Arc<Loaded<Body>>| async move {
        let path = format!("/v1/athletes/me/measurements/{id}");
        let now = one(loaded.state.as_ref(), id, None);
        let now = now.ok_or_else(|| Error::not_found("measurement"))?;
        Ok(tagged(loaded.version, &now)?.created(path))
    };
    let judge = async |body| commands.judge_measure(&origin, &body).await;
    let body = body.good_or_judged(judge).await?;
    let done = commands.measure(&origin, body, show).await;
    done.map(Created).map_err(Failure::of_new)
}

/// Corrects a weighing; what followed from it follows.
async fn correct(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<BodyweightId>,
    body: Json<CorrectMeasurement>,
) -> Result<Answer<Measurement>, Error> {
    let show = |loaded: Arc<Loaded<Body>>| async move {
        let now = one(loaded.state.as_ref(), id, None);
        tagged(loaded.version, &now.ok_or_else(|| Error::not_found("measurement"))?)
    };
    let judge = async |body| commands.judge_remeasure(&origin, id, &body).await;
    let body = body.good_or_judged(judge).await?;
    let done = commands.correct_measurement(&origin, id, body, show).await;
    or_stale(id, done).await
}

/// Removes a weighing: `null` is what is left of it.
async fn remove(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<BodyweightId>,
) -> Result<Answer<Option<Measurement>>, Error> {
    let show = |loaded: Arc<Loaded<Body>>| async move {
        tagged(loaded.version, &one(loaded.state.as_ref(), id, None))
    };
    let done = commands.remove_measurement(&origin, id, show).await;
    or_stale(id, done).await
}

/// What the caller is told of a weighing; of a stale command, what it is now.
async fn or_stale<T>(
    id: BodyweightId,
    done: Result<Answer<T>, Failure<Body>>,
) -> Result<Answer<T>, Error> {
    let now = async |loaded: Arc<Loaded<Body>>| Ok(one(loaded.state.as_ref(), id, None));
    match done {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(failure.told("measurement", now).await),
    }
}

fn one(body: Option<&Body>, id: BodyweightId, unit: Option<WeightUnit>) -> Option<Measurement> {
    body?.get(id).map(|weighing| shown(id, weighing, unit))
}

fn newest_first(body: Option<&Body>, unit: Option<WeightUnit>) -> Vec<Measurement> {
    let all = body.into_iter().flat_map(Body::all);
    let mut all: Vec<Measurement> = all.map(|(id, weighing)| shown(id, weighing, unit)).collect();
    all.reverse();
    all.sort_by_key(|one| std::cmp::Reverse(one.measured_at));
    all
}

fn shown(id: BodyweightId, weighing: &Weighing, unit: Option<WeightUnit>) -> Measurement {
    let bodyweight = weighing.weight.clear().map(|weight| show_weight(*weight, unit));
    Measurement { id, measured_at: weighing.measured_at, bodyweight }
}

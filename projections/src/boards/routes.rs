//! `GET /v1/leaderboards…`.

use axum::extract::{FromRef, State};
use chrono::NaiveDate;
use domain::{library::Library, standards::classes};
use events::{AthleteId, ExerciseId, Number, SetId, Sex, Timestamp, WeightUnit, WorkoutId};
use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;
use web::{Answer, Detail, Error, Limit, Path, Query, Routes};

use super::{
    Boards,
    board::{Among, Board, EVER, Unit, day_of},
    live::{self, Following, Stream},
    query::{self, Own, Place, Standing, Wanted},
    sets,
};
use crate::{
    Context,
    reading::Reading,
    represent::Exercise,
    social::{self, Card, Fresh, Names},
};

/// The routes of leaderboards.
pub fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Context: FromRef<S>,
{
    Routes::of(include_str!("routes.rs"))
        .get("/v1/leaderboards", boards)
        .get("/v1/leaderboards/{board}", board)
        .get("/v1/leaderboards/{board}/live", watch)
        .or(live::describe)
}

/// A leaderboard.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Leaderboard")]
struct Listed {
    /// Its name in paths.
    board: String,
    /// What is counted.
    unit: Measure,
    /// The exercise whose estimated one-repetition maxima it compares; `null` of other boards.
    exercise: Option<Exercise>,
    /// The days that count now, in UTC; `null` where all do.
    period: Option<Period>,
}

/// What scores are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Measure {
    Kg,
    Lb,
    Points,
    Workouts,
}

/// Days in UTC, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "LeaderboardPeriod")]
pub(super) struct Period {
    from: NaiveDate,
    to: NaiveDate,
}

/// A weight class of the IPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class(&'static str);

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        let all = [Sex::Female, Sex::Male].into_iter().flat_map(classes);
        // In a query string, a plus that is not written as `%2B` is a space.
        let word = word.replace(' ', "+");
        let class = all.into_iter().find(|class| **class == word).copied();
        let message =
            || format!("must be one of {} of women, {} of men", of(Sex::Female), of(Sex::Male));
        class.map(Self).ok_or_else(|| de::Error::custom(message()))
    }
}

web::looks_like! { Class: {
    "type": "string", "pattern": "^[0-9]{2,3}\\+?$",
    "description": "A weight class, by the heaviest bodyweight in kg: `83`, `120+`.",
} }

fn of(sex: Sex) -> String {
    classes(sex).join(", ")
}

/// Whom a board is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Whom {
    /// All that have a place.
    #[default]
    Everyone,
    /// The caller and those whom they follow.
    Following,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BoardQuery {
    /// Only athletes of a sex.
    sex: Option<Sex>,
    /// Only athletes who were in that weight class on the day of their record; with `sex`.
    class: Option<Class>,
    /// Everyone, or the caller and those whom they follow.
    #[serde(default)]
    of: Whom,
    /// As it stood at the end of that day, in UTC.
    on: Option<NaiveDate>,
    #[serde(default)]
    limit: Limit,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// A leaderboard, and where the caller stands on it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LeaderboardStanding")]
struct Shown {
    board: String,
    exercise: Option<Exercise>,
    unit: Measure,
    /// The days that count, in UTC; `null` where all do.
    period: Option<Period>,
    /// The end of which day it shows; `null` of how it stands now.
    on: Option<NaiveDate>,
    of: Whom,
    sex: Option<Sex>,
    weight_class: Option<&'static str>,
    /// How many have a place; `null` of everyone on a day that is over.
    athletes: Option<i64>,
    /// The first, best first; equals by id.
    top: Vec<Entry>,
    /// The caller's own place; `null` without one.
    me: Option<Me>,
    /// Five above the caller, the caller, and five below.
    around: Vec<Entry>,
}

/// A place on a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "LeaderboardEntry")]
pub(super) struct Entry {
    /// One more than have a higher score: equals share it.
    pub(super) rank: i64,
    /// Who; `null` where the caller does not see what they show everybody.
    pub(super) athlete: Option<Card>,
    pub(super) score: Number,
}

/// The caller's own place.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LeaderboardOwnPlace")]
struct Me {
    /// `null` on a day that is over for those behind the first thousand.
    rank: Option<i64>,
    score: Number,
    /// Whom it is held against, now.
    sex: Option<Sex>,
    /// By the bodyweight on the day of the record.
    weight_class: Option<&'static str>,
    /// When the set was done that holds it, or the last of the three of a total.
    achieved_at: Option<Timestamp>,
    set: Option<SetId>,
    workout: Option<WorkoutId>,
}

impl Period {
    pub(super) fn of(board: &Board, day: NaiveDate) -> Option<Self> {
        let period = board.period(day);
        let to = (period != EVER).then(|| day_of(period)).flatten()?;
        Some(Self { from: board.begins(day)?, to })
    }
}

/// How scores are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    unit: Unit,
    weights: Option<WeightUnit>,
}

impl Scale {
    pub(super) fn of(board: &Board, weights: Option<WeightUnit>) -> Self {
        Self { unit: board.unit(), weights }
    }

    fn measure(self) -> Measure {
        match (self.unit, self.weights) {
            (Unit::Grams, Some(WeightUnit::Lb)) => Measure::Lb,
            (Unit::Grams, _) => Measure::Kg,
            (Unit::Points, _) => Measure::Points,
            (Unit::Workouts, _) => Measure::Workouts,
        }
    }

    pub(super) fn show(self, score: i64) -> Number {
        let figure: Decimal = self.unit.figure(score);
        let shown = match (self.unit, self.weights) {
            (Unit::Grams, Some(unit)) => unit
                .from_kg(figure)
                .round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven),
            _ => figure,
        };
        Number(shown.normalize())
    }
}

fn exercise(board: &Board) -> Option<Exercise> {
    let Board::OneRepMax(slug) = board else { return None };
    let known = Library::system().get(&ExerciseId::System(slug.as_str().into()));
    Some(Exercise { id: slug.clone(), name: known.map(|known| known.name.clone()) })
}

/// The board of a path: 404 if there is none such.
fn named(path: &str) -> Result<Board, Error> {
    Board::named(path).ok_or_else(|| Error::not_found("leaderboard"))
}

/// Among whom a board is wanted.
fn among(sex: Option<Sex>, class: Option<Class>) -> Result<Among, Detail> {
    match (sex, class) {
        (None, None) => Ok(Among::Everyone),
        (Some(sex), None) => Ok(Among::Sex(sex)),
        (Some(sex), Some(Class(class))) if classes(sex).contains(&class) => {
            Ok(Among::Class(sex, class))
        }
        (Some(sex), Some(_)) => {
            Err(Detail::new("class", format!("must be one of {} with this sex", of(sex))))
        }
        (None, Some(_)) => Err(Detail::new("sex", "must be given with a weight class")),
    }
}

fn sex_and_class(among: Among) -> (Option<Sex>, Option<&'static str>) {
    match among {
        Among::Everyone => (None, None),
        Among::Sex(sex) => (Some(sex), None),
        Among::Class(sex, class) => (Some(sex), Some(class)),
    }
}

/// Every leaderboard: of points, of volume and workouts, and of each exercise with an estimated maximum.
async fn boards(State(context): State<Context>, _: Reading) -> Result<Answer<Vec<Listed>>, Error> {
    let today = context.clock.now().utc().date_naive();
    let listed = |board: Board| Listed {
        board: board.name(),
        unit: Scale::of(&board, None).measure(),
        exercise: exercise(&board),
        period: Period::of(&board, today),
    };
    let all: Vec<Listed> = Board::all().map(listed).collect();
    Answer::list(&all, None)
}

/// A leaderboard: the first places, the caller's own, and those around it. Ranks are exact; equals
/// share one.
async fn board(
    State(context): State<Context>,
    reading: Reading,
    Path(path): Path<String>,
    Query(query): Query<BoardQuery>,
) -> Result<Answer<Shown>, Error> {
    let board = named(&path)?;
    let today = context.clock.now().utc().date_naive();
    let mut wrong = Vec::new();
    let among = among(query.sex, query.class).map_err(|detail| wrong.push(detail));
    if query.on.is_some_and(|on| on >= today) {
        wrong.push(Detail::new("on", "must be a day that is over, in UTC"));
    }
    let (Ok(among), true) = (among, wrong.is_empty()) else {
        return Err(Error::validation(wrong));
    };
    context.wait::<Boards>(&reading).await?;
    let period = board.period(query.on.unwrap_or(today));
    let wanted = Wanted { board, period, among };
    let (reader, partition) = (reading.owner, reading.partition);
    // Those whom they follow are looked up as the names are.
    let anytime = Reading { owner: reader, partition, min_position: None };
    let fresh = Fresh::read(&context, &anytime);
    let limit = query.limit.0;
    let own = query::own(&context, reader, partition, &wanted.board, period);
    // Of which rows the copy must be, is known only then.
    let copy = async {
        let is_kept = query.on.is_none() && query.of == Whom::Everyone;
        let redis = context.redis.as_ref().filter(|_| is_kept);
        Ok(match redis {
            Some(redis) => sets::read(redis, &wanted, reader.uuid(), partition, limit).await,
            None => None,
        })
    };
    let (fresh, own, copy) = tokio::try_join!(fresh, own, copy)?;
    let followed = match query.of {
        Whom::Everyone => None,
        Whom::Following => {
            let mut some = social::followed(&context, &fresh, reader).await?;
            some.push(reader.uuid());
            Some(some)
        }
    };
    let mut at = own.at(partition, None);
    let standing = match (query.on, &followed) {
        (Some(on), some) => {
            query::on(&context, &wanted, on, reader, some.as_deref(), limit).await?
        }
        (None, Some(some)) => query::of_some(&context, &wanted, reader, some, limit).await?,
        (None, None) => {
            let (standing, stands) = now(&context, &wanted, &reading, &own, copy, limit).await?;
            at = stands;
            standing
        }
    };
    let places = standing.top.iter().chain(&standing.around);
    let owners: Vec<Uuid> = places.map(|place| place.owner).collect();
    let names = Names::read(&context, &fresh, &[reader.uuid()], &owners).await?;
    let shown = show(wanted, &query, standing, &own, reader, &names);
    Ok(Answer::ok(&shown)?.at(at))
}

/// The board of everyone as it stands: the copy of it, or where that cannot tell, of the tables.
async fn now(
    context: &Context,
    wanted: &Wanted,
    reading: &Reading,
    own: &Own,
    copy: Option<sets::Copied>,
    limit: usize,
) -> Result<(Standing, log::Positions), Error> {
    let (reader, partition) = (reading.owner, reading.partition);
    if let Some(copy) = copy.filter(|copy| copy.is_of(&own.identity())) {
        // Redis comes after the commit: who waited for a position waited for the tables.
        let is_late = reading.min_position.as_ref().is_some_and(|wanted| {
            wanted.at.iter().any(|(of, at)| *of != partition || at.0 > copy.position)
        });
        // And whoever has another place in the tables is told of that one.
        let expected = own.score.filter(|_| own.among().and_wider().any(|of| of == wanted.among));
        if !is_late && expected == copy.standing.mine.map(|mine| mine.score) {
            told_by("redis");
            return Ok((copy.standing, own.at(partition, Some(copy.position))));
        }
    }
    told_by("tables");
    query::by_tables(context, wanted, reader, partition, limit).await
}

fn told_by(by: &'static str) {
    metrics::counter!("ironledger_board_reads_total", "by" => by).increment(1);
}

fn show(
    wanted: Wanted,
    query: &BoardQuery,
    standing: Standing,
    own: &Own,
    reader: AthleteId,
    names: &Names,
) -> Shown {
    let scale = Scale::of(&wanted.board, query.unit);
    let entry = |place: Place| entry(place, scale, names.of(reader.uuid(), place.owner));
    let (sex, weight_class) = sex_and_class(wanted.among);
    let me = standing.mine.map(|mine| {
        // What holds the place is known of the place as it is.
        let is_now = query.on.is_none() && own.score == Some(mine.score);
        let (sex, weight_class) =
            if is_now { sex_and_class(own.among()) } else { (sex, weight_class) };
        Me {
            rank: mine.rank,
            score: scale.show(mine.score),
            sex,
            weight_class,
            achieved_at: own.achieved_at.filter(|_| is_now).map(Timestamp::new),
            set: own.set_id.filter(|_| is_now).and_then(|id| SetId::new(id).ok()),
            workout: own.workout.filter(|_| is_now).and_then(|id| WorkoutId::new(id).ok()),
        }
    });
    let day = day_of(wanted.period).filter(|_| wanted.period != EVER);
    Shown {
        exercise: exercise(&wanted.board),
        unit: scale.measure(),
        period: day.and_then(|day| Period::of(&wanted.board, day)),
        board: wanted.board.name(),
        on: query.on,
        of: query.of,
        sex,
        weight_class,
        athletes: standing.athletes,
        top: standing.top.into_iter().map(entry).collect(),
        me,
        around: standing.around.into_iter().map(entry).collect(),
    }
}

pub(super) fn entry(place: Place, scale: Scale, card: Option<&Card>) -> Entry {
    Entry { rank: place.rank, athlete: card.cloned(), score: scale.show(place.score) }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LiveQuery {
    /// Only athletes of a sex.
    sex: Option<Sex>,
    /// Only athletes who were in that weight class on the day of their record; with `sex`.
    class: Option<Class>,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// The first hundred places of a leaderboard as they change, as server-sent events: the whole at first, then
/// what changed of the first ten at once, and of the others every five seconds.
async fn watch(
    State(context): State<Context>,
    reading: Reading,
    following: Following,
    Path(path): Path<String>,
    Query(query): Query<LiveQuery>,
) -> Result<Stream, Error> {
    let board = named(&path)?;
    let mut wrong = Vec::new();
    let among = among(query.sex, query.class).map_err(|detail| wrong.push(detail));
    let seen = among.map(|among| following.of(&board, among).map_err(|detail| wrong.push(detail)));
    let (Ok(among), Ok(Ok(seen)), true) = (among, seen, wrong.is_empty()) else {
        return Err(Error::validation(wrong));
    };
    context.wait::<Boards>(&reading).await?;
    context.live.watch(&context, &reading, board, among, query.unit, seen).await
}

//! `/v1/users…`, and who has to do with whom: follows, requests and blocks.

use axum::extract::State;
use domain::{
    profile::{Profile, Username},
    relations::Reader,
};
use events::{AthleteId, FollowId, Text, Visibility, WeightUnit};
use projections::{
    Reading,
    records::Records,
    social::{self, Card, Connection, Counts, Fresh, List, Place, Showcased},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Cursor, Error, Json, Limit, Path, Query, Routes};

use crate::{
    app::App,
    commands::{
        Origin,
        relations::{Shown, Toward},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("people.rs"))
        .get("/v1/users", find)
        .get("/v1/users/{username}", profile)
        .get("/v1/athletes/{athlete}/relation", relation)
        .put("/v1/athletes/{athlete}/follow", follow)
        .delete("/v1/athletes/{athlete}/follow", unfollow)
        .put("/v1/athletes/{athlete}/block", block)
        .delete("/v1/athletes/{athlete}/block", unblock)
        .get("/v1/athletes/{athlete}/followers", followers)
        .get("/v1/athletes/{athlete}/following", following)
        .delete("/v1/followers/{athlete}", remove_follower)
        .get("/v1/followers/requests", requests)
        .get("/v1/followers/requested", requested)
        .post("/v1/followers/requests/{athlete}/accept", accept)
        .get("/v1/blocks", blocks)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FindQuery {
    /// What the username or words of the name begin with.
    q: Text<100>,
    #[serde(default)]
    limit: Limit,
}

/// Finds people by username and name: every word begins one of theirs. Whole words come first.
async fn find(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Query(query): Query<FindQuery>,
) -> Result<Answer<Vec<Card>>, Error> {
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let (reader, wanted, limit) = (origin.athlete, query.q.as_str(), query.limit.0);
    let found = social::find(&app.queries, &fresh, reader, wanted, limit).await?;
    Ok(Answer::list(&found, None)?.at(&fresh.position))
}

/// An athlete, as others see them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PublicProfile")]
struct PublicProfile {
    #[serde(flatten)]
    person: Card,
    /// Whether only those whom they let follow see what they show.
    private: bool,
    /// What the caller and they have to do with each other.
    relation: Shown,
    counts: Counts,
    /// Their best estimated maxima, where the caller may see them; `null` where they do not show figures.
    records: Option<Vec<Showcased>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProfileQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// The profile of a username.
async fn profile(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(username): Path<Username>,
    Query(query): Query<ProfileQuery>,
) -> Result<Answer<PublicProfile>, Error> {
    app.queries.wait::<Records>(&reading).await?;
    let not_there = || Error::not_found("athlete");
    let athlete = app.accounts.of_username(&username).await?.ok_or_else(not_there)?;
    let toward = app.commands.toward(&origin, app.accounts.side(athlete, "athlete").await?).await?;
    let Some(Profile(said)) = toward.profile.state.as_ref().filter(|_| toward.knows()) else {
        return Err(not_there());
    };
    // A name that somebody is about to have, or had a while ago, is nobody's to be found by.
    let own = toward.profile.state.as_ref().and_then(Profile::username);
    if own.is_none_or(|own| !own.eq_ignore_ascii_case(username.as_str())) {
        return Err(not_there());
    }
    let shows_figures = toward.reader() == Reader::Oneself
        || (said.privacy.show_stats && toward.sees(Visibility::Public));
    let counts = Counts::of(&app.queries, athlete, toward.reader(), toward.openness);
    let records = async {
        if shows_figures {
            let reader = (toward.reader(), toward.openness);
            social::showcase(&app.queries, athlete, reader, query.unit).await.map(Some)
        } else {
            Ok(None)
        }
    };
    // Where the rows stand at least, which are read after it.
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let (counts, records) = tokio::try_join!(counts, records)?;
    let name = said.name.as_ref().and_then(|name| name.clear().cloned());
    let shown = PublicProfile {
        person: Card { id: athlete, username: own.map(str::to_owned), name },
        private: said.privacy.private_profile,
        relation: Shown::of(&toward.pair)?,
        counts,
        records,
    };
    Ok(Answer::ok(&shown)?.at(&fresh.position))
}

/// What the caller and an athlete have to do with each other, as the log has it now.
async fn relation(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Shown>, Error> {
    let side = app.accounts.side(athlete, "athlete").await?;
    let toward = app.commands.toward(&origin, side).await?.known()?;
    Answer::ok(&Shown::of(&toward.pair)?)
}

/// Follows an athlete; where their profile is private, asks to. Twice is once.
async fn follow(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Shown>, Error> {
    let followed = social::followed_count(&app.queries, origin.athlete).await.unwrap_or_default();
    let other = app.accounts.side(athlete, "athlete").await?;
    app.commands.follow(&origin, other, followed).await
}

/// Follows an athlete no longer, or takes the request back.
async fn unfollow(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Shown>, Error> {
    app.commands.unfollow(&origin, app.accounts.side(athlete, "athlete").await?).await
}

/// Blocks an athlete: the two see nothing of each other, and neither follows the other any more.
async fn block(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Shown>, Error> {
    app.commands.block(&origin, app.accounts.side(athlete, "athlete").await?).await
}

/// Blocks an athlete no longer; what follows there were do not come back.
async fn unblock(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Shown>, Error> {
    app.commands.unblock(&origin, app.accounts.side(athlete, "athlete").await?).await
}

/// Ends that an athlete follows the caller, or declines that they do.
async fn remove_follower(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
) -> Result<Answer<Shown>, Error> {
    app.commands.remove_follower(&origin, app.accounts.side(athlete, "athlete").await?).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// The request that is accepted, as the list names it: not one that was made since.
    follow: FollowId,
}

/// Lets an athlete follow who asked to.
async fn accept(
    State(app): State<App>,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
    body: Json<Accept>,
) -> Result<Answer<Shown>, Error> {
    let follow = body.good()?.follow.uuid();
    app.commands
        .accept_follower(&origin, app.accounts.side(athlete, "athlete").await?, follow)
        .await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    limit: Limit,
}

/// Who follows an athlete, the last first; of others, where the caller sees what they show.
async fn followers(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Connection>>, Error> {
    open(&app, &origin, athlete).await?;
    list(&app, &reading, List::Followers(athlete), query).await
}

/// Whom an athlete follows, the last first; of others, where the caller sees what they show.
async fn following(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Connection>>, Error> {
    open(&app, &origin, athlete).await?;
    list(&app, &reading, List::Following(athlete), query).await
}

/// Who asks to follow the caller, the last first.
async fn requests(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Connection>>, Error> {
    list(&app, &reading, List::Asking(origin.athlete), query).await
}

/// Whom the caller asked to follow, the last first.
async fn requested(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Connection>>, Error> {
    list(&app, &reading, List::Asked(origin.athlete), query).await
}

/// Whom the caller blocks, the last first.
async fn blocks(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Connection>>, Error> {
    list(&app, &reading, List::Blocks(origin.athlete), query).await
}

async fn list(
    app: &App,
    reading: &Reading,
    list: List,
    query: ListQuery,
) -> Result<Answer<Vec<Connection>>, Error> {
    let fresh = Fresh::read(&app.queries, reading).await?;
    let after = query.cursor.map(|cursor| cursor.0);
    let page = list.page(&app.queries, &fresh, reading.reader(), after, query.limit.0).await?;
    let next = page.next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&page.people, next)?.at(&fresh.position))
}

/// An athlete of whom the caller sees what they show everybody.
pub(super) async fn open(app: &App, origin: &Origin, athlete: AthleteId) -> Result<Toward, Error> {
    let toward = app.commands.toward(origin, app.accounts.side(athlete, "athlete").await?).await?;
    if toward.sees(Visibility::Public) { Ok(toward) } else { Err(Error::not_found("athlete")) }
}

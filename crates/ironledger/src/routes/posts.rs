//! `/v1/posts…` and `/v1/comments…`: what athletes show each other, and what they make of it.

use std::sync::Arc;

use axum::extract::State;
use domain::{Patch, body::Bodyweights};
use events::{
    AthleteId, CommentId, ContentId, ContentKind, PostId, PublicId, TimeZone, WeightUnit, WorkoutId,
};
use projections::{
    Reading,
    history::History,
    represent,
    social::{self, At, Comment, Comments, Fresh, Liker, Post, Posted, Posts},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Created, Cursor, Detail, Error, Json, Limit, Path, Query, Routes};

use super::people;
use crate::{
    app::App,
    commands::{
        Failure, Loaded, Origin,
        posts::{
            EditComment, EditPost, Liked, OwnComment, OwnPost, Publish, Removed, ShareWorkout,
            WriteComment, own_comment, own_post, removed, shared_post,
        },
    },
    shown,
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("posts.rs"))
        .post("/v1/posts", publish)
        .get("/v1/posts/{post}", show)
        .patch("/v1/posts/{post}", edit)
        .delete("/v1/posts/{post}", delete)
        .put("/v1/posts/{post}/like", like)
        .delete("/v1/posts/{post}/like", unlike)
        .get("/v1/posts/{post}/likes", likes)
        .post("/v1/posts/{post}/comments", comment)
        .get("/v1/posts/{post}/comments", comments)
        .get("/v1/comments/{comment}", show_comment)
        .patch("/v1/comments/{comment}", edit_comment)
        .delete("/v1/comments/{comment}", delete_comment)
        .put("/v1/comments/{comment}/like", like_comment)
        .delete("/v1/comments/{comment}/like", unlike_comment)
        .get("/v1/comments/{comment}/likes", comment_likes)
        .post("/v1/workouts/{id}/share", share)
        .delete("/v1/workouts/{id}/share", unshare)
        .get("/v1/athletes/{athlete}/posts", of_athlete)
        .get("/v1/athletes/{athlete}/workouts/{workout}", workout)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// Writes something for others.
async fn publish(
    State(app): State<App>,
    origin: Origin,
    body: Json<Publish>,
) -> Result<Created<OwnPost>, Error> {
    let published = app.commands.publish(&origin, body.good()?).await;
    published.map(Created).map_err(Failure::of_new)
}

/// A post that the caller sees.
async fn show(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(post): Path<PublicId>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<Post>, Error> {
    let id = of_post(post)?;
    app.queries.wait::<History>(&reading).await?;
    seen(&app, &origin, &id).await?;
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let posts = posts(&app, &fresh, &reading, query.unit);
    let post = posts.one(&id).await?.ok_or_else(|| Error::not_found("post"))?;
    let answer = Answer::ok(&post)?.at(&fresh.position);
    // Its author may say, in `If-Match`, what they believe to change.
    let version = match (id.owner == origin.athlete, id.kind) {
        (true, ContentKind::Text) => {
            let post = PostId::new(id.id).map_err(Error::internal)?;
            Some(app.commands.post(&origin, post).await?.version)
        }
        (true, ContentKind::Workout) => {
            let workout = WorkoutId::new(id.id).map_err(Error::internal)?;
            Some(app.commands.workout(&origin, workout).await?.version)
        }
        _ => None,
    };
    Ok(match version {
        Some(version) => answer.version(version),
        None => answer,
    })
}

/// Changes a text of the caller's own and who may see it, or what they say with a workout.
async fn edit(
    State(app): State<App>,
    origin: Origin,
    Path(post): Path<PublicId>,
    body: Json<EditPost>,
) -> Result<Answer<OwnPost>, Error> {
    let body = body.good()?;
    let id = own(&origin, post, "post")?;
    match id.kind {
        ContentKind::Text => {
            let text = PostId::new(id.id).map_err(|_| Error::not_found("post"))?;
            let edited = app.commands.edit_post(&origin, text, body).await;
            or_stale("post", edited, |loaded| own_post(&origin, text, loaded)).await
        }
        ContentKind::Workout => {
            if body.visibility != Patch::Keep {
                let message = "is the workout's: change it there";
                return Err(Error::validation(vec![Detail::new("visibility", message)]));
            }
            let workout = WorkoutId::new(id.id).map_err(|_| Error::not_found("post"))?;
            let captioned = app.commands.caption_workout(&origin, workout, body.text).await;
            let show = |loaded: &_| shared_post(&origin, workout, id.kind, loaded);
            or_stale("post", captioned, show).await
        }
        ContentKind::Records | ContentKind::Comment => Err(Error::not_found("post")),
    }
}

/// Takes a post of the caller's own away: a workout itself stays, and so do records.
async fn delete(
    State(app): State<App>,
    origin: Origin,
    Path(post): Path<PublicId>,
) -> Result<Answer<OwnPost>, Error> {
    let id = own(&origin, post, "post")?;
    match id.kind {
        ContentKind::Text => {
            let text = PostId::new(id.id).map_err(|_| Error::not_found("post"))?;
            let deleted = app.commands.delete_post(&origin, text).await;
            or_stale("post", deleted, |loaded| own_post(&origin, text, loaded)).await
        }
        ContentKind::Workout | ContentKind::Records => {
            let workout = WorkoutId::new(id.id).map_err(|_| Error::not_found("post"))?;
            let done = app.commands.unshare_workout(&origin, workout, id.kind).await;
            let show = |loaded: &_| shared_post(&origin, workout, id.kind, loaded);
            or_stale("post", done, show).await
        }
        ContentKind::Comment => Err(Error::not_found("post")),
    }
}

/// Shares a completed workout with those who may see it, or says something else with it.
async fn share(
    State(app): State<App>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
    body: Json<ShareWorkout>,
) -> Result<Answer<OwnPost>, Error> {
    let done = app.commands.share_workout(&origin, id, body.good()?).await;
    let show = |loaded: &_| shared_post(&origin, id, ContentKind::Workout, loaded);
    or_stale("workout", done, show).await
}

/// Shares a workout, and the records that it broke, with nobody any more.
async fn unshare(
    State(app): State<App>,
    origin: Origin,
    Path(id): Path<WorkoutId>,
) -> Result<Answer<OwnPost>, Error> {
    let done = app.commands.unshare_workout(&origin, id, ContentKind::Workout).await;
    let show = |loaded: &_| shared_post(&origin, id, ContentKind::Workout, loaded);
    or_stale("workout", done, show).await
}

/// Likes a post that the caller sees; twice is once.
async fn like(
    State(app): State<App>,
    origin: Origin,
    Path(post): Path<PublicId>,
) -> Result<Answer<Liked>, Error> {
    let id = of_post(post)?;
    react(&app, &origin, &id).await?;
    app.commands.like(&origin, id, true).await
}

/// Likes a post no longer, whether it can still be seen or not.
async fn unlike(
    State(app): State<App>,
    origin: Origin,
    Path(post): Path<PublicId>,
) -> Result<Answer<Liked>, Error> {
    app.commands.like(&origin, of_post(post)?, false).await
}

/// Likes a comment that the caller sees; twice is once.
async fn like_comment(
    State(app): State<App>,
    origin: Origin,
    Path(comment): Path<PublicId>,
) -> Result<Answer<Liked>, Error> {
    let id = of_comment(comment)?;
    react(&app, &origin, &id).await?;
    app.commands.like(&origin, id, true).await
}

/// Likes a comment no longer, whether it can still be seen or not.
async fn unlike_comment(
    State(app): State<App>,
    origin: Origin,
    Path(comment): Path<PublicId>,
) -> Result<Answer<Liked>, Error> {
    app.commands.like(&origin, of_comment(comment)?, false).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    cursor: Option<Cursor<At>>,
    #[serde(default)]
    limit: Limit,
}

/// Who likes a post that the caller sees, the last first.
async fn likes(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(post): Path<PublicId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Liker>>, Error> {
    let id = of_post(post)?;
    let post = seen(&app, &origin, &id).await?;
    likers(&app, &reading, (id, post), query).await
}

/// Who likes a comment that the caller sees, the last first.
async fn comment_likes(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(comment): Path<PublicId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Liker>>, Error> {
    let id = of_comment(comment)?;
    let post = seen(&app, &origin, &id).await?;
    likers(&app, &reading, (id, post), query).await
}

async fn likers(
    app: &App,
    reading: &Reading,
    of: (ContentId, ContentId),
    query: ListQuery,
) -> Result<Answer<Vec<Liker>>, Error> {
    let fresh = Fresh::read(&app.queries, reading).await?;
    let (reader, after) = (reading.reader(), query.cursor.map(|cursor| cursor.0));
    let likers = social::likers(&app.queries, &fresh, reader, of, after, query.limit.0).await?;
    let next = likers.1.map(|place| Cursor(place).encode());
    Ok(Answer::list(&likers.0, next)?.at(&fresh.position))
}

/// Says something about a post that the caller sees.
async fn comment(
    State(app): State<App>,
    origin: Origin,
    Path(post): Path<PublicId>,
    body: Json<WriteComment>,
) -> Result<Created<OwnComment>, Error> {
    let body = body.good()?;
    let id = of_post(post)?;
    react(&app, &origin, &id).await?;
    app.commands.comment(&origin, id, body).await.map(Created).map_err(Failure::of_new)
}

/// What is said about a post that the caller sees, the first first.
async fn comments(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(post): Path<PublicId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Vec<Comment>>, Error> {
    let post = seen(&app, &origin, &of_post(post)?).await?;
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let comments =
        Comments { context: &app.queries, fresh: &fresh, reader: reading.reader(), post };
    let after = query.cursor.map(|cursor| cursor.0);
    let (comments, next) = comments.page(after, query.limit.0).await?;
    let next = next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&comments, next)?.at(&fresh.position))
}

/// A comment on a post that the caller sees.
async fn show_comment(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(comment): Path<PublicId>,
) -> Result<Answer<Comment>, Error> {
    let id = of_comment(comment)?;
    let post = seen(&app, &origin, &id).await?;
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let comments =
        Comments { context: &app.queries, fresh: &fresh, reader: reading.reader(), post };
    let comment = comments.one(&id).await?.ok_or_else(|| Error::not_found("comment"))?;
    Ok(Answer::ok(&comment)?.at(&fresh.position))
}

/// Changes a comment of the caller's own, under a post that they still see.
async fn edit_comment(
    State(app): State<App>,
    origin: Origin,
    Path(comment): Path<PublicId>,
    body: Json<EditComment>,
) -> Result<Answer<OwnComment>, Error> {
    let body = body.good()?;
    let id = of_comment(PublicId(own(&origin, comment, "comment")?))?;
    react(&app, &origin, &id).await?;
    let id = CommentId::new(id.id).map_err(|_| Error::not_found("comment"))?;
    let edited = app.commands.edit_comment(&origin, id, body).await;
    or_stale("comment", edited, |loaded| own_comment(&origin, id, loaded)).await
}

/// Takes a comment away: the caller's own, or anybody's from under a post of the caller's.
async fn delete_comment(
    State(app): State<App>,
    origin: Origin,
    Path(comment): Path<PublicId>,
) -> Result<Answer<Removed>, Error> {
    let id = of_comment(comment)?;
    let not_there = || Error::not_found("comment");
    let own = CommentId::new(id.id).map_err(|_| not_there())?;
    if id.owner == origin.athlete {
        let deleted = app.commands.delete_comment(&origin, own).await;
        return or_stale("comment", deleted, |loaded| removed(&origin, own, loaded)).await;
    }
    let author = app.accounts.side(id.owner, "comment").await?;
    let said = app.commands.comment_of(author, own).await?;
    let post = said.state.as_ref().map(|said| said.post).ok_or_else(not_there)?;
    if post.owner != origin.athlete {
        return Err(not_there());
    }
    app.commands.dismiss_comment(&origin, id, post).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PostsQuery {
    cursor: Option<Cursor<Posted>>,
    #[serde(default)]
    limit: Limit,
    /// In which unit weights are shown.
    unit: Option<WeightUnit>,
}

/// What an athlete shows the caller, the last posted first.
async fn of_athlete(
    State(app): State<App>,
    reading: Reading,
    origin: Origin,
    Path(athlete): Path<AthleteId>,
    Query(query): Query<PostsQuery>,
) -> Result<Answer<Vec<Post>>, Error> {
    app.queries.wait::<History>(&reading).await?;
    let toward = people::open(&app, &origin, athlete).await?;
    let fresh = Fresh::read(&app.queries, &reading).await?;
    let posts = posts(&app, &fresh, &reading, query.unit);
    let after = query.cursor.map(|cursor| cursor.0);
    let of = (athlete, toward.reader());
    let (posts, next) = posts.of_author(of, after, query.limit.0).await?;
    let next = next.map(|place| Cursor(place).encode());
    Ok(Answer::list(&posts, next)?.at(&fresh.position))
}

/// A workout of somebody that the caller may see, with its sets. How it felt, what was planned, scores of
/// form, and volumes that would tell what somebody weighs, are left out.
async fn workout(
    State(app): State<App>,
    origin: Origin,
    Path((athlete, id)): Path<(AthleteId, WorkoutId)>,
    Query(query): Query<ShowQuery>,
) -> Result<Answer<represent::Workout>, Error> {
    let owner = app.accounts.side(athlete, "workout").await?;
    let loaded = app.commands.visible_workout(&origin, owner, id).await?;
    let workout = loaded.state.as_ref().ok_or_else(|| Error::not_found("workout"))?;
    let own =
        if shown::has_own(workout) { Some(app.commands.exercises_of(owner).await?) } else { None };
    let own = own.as_ref().and_then(|own| own.state.as_ref());
    let mut public = workout.clone();
    (public.feeling, public.routine, public.plan) = (None, None, Vec::new());
    for noted in public.noted.values_mut() {
        (noted.form_score, noted.form_notes) = (None, None);
    }
    let parts = shown::parts(id, public, own, (Bodyweights::default(), TimeZone::UTC));
    Ok(Answer::ok(&parts.show(query.unit, |_| true))?.at(loaded.positions()))
}

fn posts<'a>(
    app: &'a App,
    fresh: &'a Fresh,
    reading: &Reading,
    unit: Option<WeightUnit>,
) -> Posts<'a> {
    let (reader, partition) = (reading.reader(), reading.partition());
    Posts { context: &app.queries, fresh, reader, partition, unit }
}

/// The id of a post; a comment's is none.
fn of_post(id: PublicId) -> Result<ContentId, Error> {
    Some(id.0).filter(|id| id.kind != ContentKind::Comment).ok_or_else(|| Error::not_found("post"))
}

/// The id of a comment; a post's is none.
fn of_comment(id: PublicId) -> Result<ContentId, Error> {
    let comment = Some(id.0).filter(|id| id.kind == ContentKind::Comment);
    comment.ok_or_else(|| Error::not_found("comment"))
}

/// The id of something of the caller's own; of anybody else's, nothing is there to change.
fn own(origin: &Origin, id: PublicId, what: &str) -> Result<ContentId, Error> {
    Some(id.0).filter(|id| id.owner == origin.athlete).ok_or_else(|| Error::not_found(what))
}

/// Holds a caller who wants to do something about a post or comment to seeing it, and to being let.
async fn react(app: &App, origin: &Origin, id: &ContentId) -> Result<(), Error> {
    app.commands.may_meet(origin).await?;
    seen(app, origin, id).await.map(drop)
}

/// The post that something is, or is about, where the caller sees it; 404 otherwise.
pub(super) async fn seen(app: &App, origin: &Origin, id: &ContentId) -> Result<ContentId, Error> {
    let post = app.commands.seen(&app.accounts, origin, id).await?;
    // Whether a workout broke records, the read model knows.
    if post.kind == ContentKind::Records && !social::is_posted(&app.queries, &post).await? {
        return Err(Error::not_found("post"));
    }
    Ok(post)
}

/// What the caller is told of a command about something of their own; where it has changed since, what it
/// is now.
async fn or_stale<S, T: Serialize>(
    what: &str,
    done: Result<Answer<T>, Failure<S>>,
    show: impl Fn(&Loaded<S>) -> Result<T, Error>,
) -> Result<Answer<T>, Error> {
    match done {
        Ok(answer) => Ok(answer),
        Err(failure) => {
            let now = async |loaded: Arc<Loaded<S>>| Ok(show(&loaded).ok());
            Err(failure.told(what, now).await)
        }
    }
}

//! Commands about posts, what is said about them, and who likes them; and who may see what, as the log has
//! it now.

use std::sync::Arc;

use domain::{
    Patch, Rejection,
    posts::{self, Comment, Post, Reaction},
    workout::{self, Status, Workout},
};
use events::{
    CommentId, ContentId, ContentKind, Event, PostId, PublicId, Stream, Text, Timestamp,
    Visibility, WorkoutId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Error};

use super::{Commands, Failure, Loaded, Origin, State, coaching::Side};
use crate::accounts::Accounts;

impl State for Post {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

impl State for Comment {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        Self::evolve(state, event)
    }
}

impl State for Reaction {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// The body of `POST /v1/posts`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    /// A UUID of version 7 that makes the command safe to send twice.
    id: Option<PostId>,
    /// What others are to read.
    text: Text<5000>,
    /// Who may see it; followers by default.
    #[serde(default)]
    visibility: Visibility,
}

/// The body of `PATCH /v1/posts/{post}`: absent fields stay. A workout's post has its text alone, which
/// `null` empties.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EditPost {
    /// What others are to read.
    pub(crate) text: Patch<Text<5000>>,
    /// Who may see it.
    #[schemars(with = "Visibility")]
    pub(crate) visibility: Patch<Visibility>,
}

/// The body of `POST /v1/workouts/{id}/share`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareWorkout {
    /// What the athlete says with it.
    text: Option<Text<5000>>,
}

/// The body of `POST /v1/posts/{post}/comments`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteComment {
    /// A UUID of version 7 that makes the command safe to send twice.
    id: Option<CommentId>,
    /// What there is to say.
    text: Text<2000>,
}

/// The body of `PATCH /v1/comments/{comment}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditComment {
    /// What there is to say.
    text: Text<2000>,
}

/// A post that its author wrote or changed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OwnPost")]
pub(crate) struct OwnPost {
    id: PublicId,
    /// `null` where there is none, or it was erased.
    text: Option<String>,
    visibility: Visibility,
    /// Whether others may see it: no longer once it is deleted.
    shared: bool,
}

/// A comment that its author wrote or changed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OwnComment")]
pub(crate) struct OwnComment {
    id: PublicId,
    post: PublicId,
    /// `null` once it was erased.
    text: Option<String>,
}

/// Whether somebody likes something.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ContentLike")]
pub(crate) struct Liked {
    id: PublicId,
    liked: bool,
}

/// A comment that is gone.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CommentRemoved")]
pub(crate) struct Removed {
    id: PublicId,
    removed: bool,
}

impl Commands {
    /// The post that something is, or is about, which the caller sees by what the log says now; 404
    /// otherwise.
    pub(crate) async fn seen(
        &self,
        accounts: &Accounts,
        origin: &Origin,
        content: &ContentId,
    ) -> Result<ContentId, Error> {
        if content.kind == ContentKind::Comment {
            self.seen_comment(accounts, origin, content).await
        } else {
            self.seen_post(accounts, origin, content).await
        }
    }

    async fn seen_post(
        &self,
        accounts: &Accounts,
        origin: &Origin,
        post: &ContentId,
    ) -> Result<ContentId, Error> {
        let not_there = || Error::not_found("post");
        let owner = accounts.side(post.owner, "post").await?;
        let (toward, visibility) =
            tokio::try_join!(self.toward(origin, owner), self.visibility(owner, post))?;
        let is_own = post.owner == origin.athlete;
        let visibility = visibility.ok_or_else(not_there)?;
        if !toward.sees(visibility) || (toward.moderation.hides(post) && !is_own) {
            return Err(not_there());
        }
        Ok(*post)
    }

    async fn seen_comment(
        &self,
        accounts: &Accounts,
        origin: &Origin,
        comment: &ContentId,
    ) -> Result<ContentId, Error> {
        let not_there = || Error::not_found("comment");
        let author = accounts.side(comment.owner, "comment").await?;
        let id = CommentId::new(comment.id).map_err(|_| not_there())?;
        let (toward, loaded) = tokio::try_join!(
            self.toward(origin, author),
            self.comments.read(author.0, author.1, Stream::comment(id)),
        )?;
        let said = loaded.state.as_ref().and_then(Comment::there).ok_or_else(not_there)?;
        let is_own = comment.owner == origin.athlete;
        let is_hidden = toward.moderation.hides(comment) && !is_own;
        if !toward.knows() || is_hidden {
            return Err(not_there());
        }
        let of_post = self.seen_post(accounts, origin, &said.post).await;
        // That there is such a comment is not for who does not see the post.
        let of_post =
            of_post.map_err(|error| if error.is_of_caller() { not_there() } else { error })?;
        let poster = accounts.side(of_post.owner, "comment").await?;
        let (between, reaction) = tokio::try_join!(
            self.between(author, poster),
            self.reactions.read(poster.0, poster.1, Stream::reaction(comment)),
        )?;
        let is_dismissed = reaction.state.is_some_and(|reaction| reaction.is_dismissed);
        if is_dismissed || between.pair.is_blocked() {
            return Err(not_there());
        }
        Ok(of_post)
    }

    /// Whether there is such a post or comment, whoever sees it.
    pub(crate) async fn is_there(&self, owner: Side, content: &ContentId) -> Result<bool, Error> {
        if content.kind != ContentKind::Comment {
            return Ok(self.visibility(owner, content).await?.is_some());
        }
        let Ok(id) = CommentId::new(content.id) else { return Ok(false) };
        let comment = self.comment_of(owner, id).await?;
        Ok(comment.state.as_ref().and_then(Comment::there).is_some())
    }

    /// Who may see a post, if there is one.
    async fn visibility(
        &self,
        (owner, partition): Side,
        post: &ContentId,
    ) -> Result<Option<Visibility>, Error> {
        if post.kind == ContentKind::Text {
            let Ok(id) = PostId::new(post.id) else { return Ok(None) };
            let loaded = self.posts.read(owner, partition, Stream::post(id)).await?;
            return Ok(loaded.state.as_ref().and_then(Post::there).map(|post| post.visibility));
        }
        let Ok(id) = WorkoutId::new(post.id) else { return Ok(None) };
        let loaded = self.workouts.read(owner, partition, Stream::workout(id)).await?;
        let workout = loaded.state.as_ref().filter(|workout| {
            let of_records = post.kind == ContentKind::Records;
            workout.status == Status::Completed
                && workout.shared
                && !(of_records && workout.records_withheld)
        });
        Ok(workout.map(|workout| workout.details.visibility))
    }

    /// A workout of somebody that the caller may see, shared or not: what is over, and is not hidden.
    pub(crate) async fn visible_workout(
        &self,
        origin: &Origin,
        owner: Side,
        id: WorkoutId,
    ) -> Result<Arc<Loaded<Workout>>, Error> {
        let (toward, loaded) = tokio::try_join!(
            self.toward(origin, owner),
            self.workouts.read(owner.0, owner.1, Stream::workout(id)),
        )?;
        let content = ContentId { owner: owner.0, kind: ContentKind::Workout, id: id.uuid() };
        let is_own = owner.0 == origin.athlete;
        let seen = loaded.state.as_ref().is_some_and(|workout| {
            let is_over = workout.status == Status::Completed;
            let is_hidden = toward.moderation.hides(&content) && !is_own;
            is_over && !is_hidden && toward.sees(workout.details.visibility)
        });
        if seen { Ok(loaded) } else { Err(Error::not_found("workout")) }
    }

    /// Writes something for others.
    pub(crate) async fn publish(
        &self,
        origin: &Origin,
        command: Publish,
    ) -> Result<Answer<OwnPost>, Failure<Post>> {
        self.may_meet(origin).await?;
        let id = match command.id {
            Some(id) => id,
            None => PostId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?,
        };
        let client = match command.id {
            Some(_) => Some(self.client_id(origin.athlete, None, &("publish", &command)).await?),
            None => None,
        };
        let decide = |loaded: &Loaded<Post>, _| {
            if loaded.state.is_some() {
                let message = "the id belongs to another post of yours";
                return Err(Rejection::Conflict { code: "ID_TAKEN", message });
            }
            Ok(posts::publish(command.text.as_str().to_owned(), command.visibility))
        };
        let show = async |loaded: Arc<Loaded<Post>>| {
            let post = own_post(origin, id, &loaded)?;
            let path = format!("/v1/posts/{}", post.id.0);
            Ok(Answer::ok(&post)?.version(loaded.version).created(path))
        };
        self.execute(&self.posts, origin, Stream::post(id), client, decide, show).await
    }

    /// Changes a text.
    pub(crate) async fn edit_post(
        &self,
        origin: &Origin,
        id: PostId,
        command: EditPost,
    ) -> Result<Answer<OwnPost>, Failure<Post>> {
        self.may_meet(origin).await?;
        let decide = |loaded: &Loaded<Post>, _| {
            let post = loaded.state.as_ref().ok_or(Rejection::NotFound("post"))?;
            post.edit(command.text.clone().map(Text::into_string), command.visibility)
        };
        self.on_post(origin, id, decide).await
    }

    /// Takes a text away.
    pub(crate) async fn delete_post(
        &self,
        origin: &Origin,
        id: PostId,
    ) -> Result<Answer<OwnPost>, Failure<Post>> {
        let decide = |loaded: &Loaded<Post>, _| {
            let post = loaded.state.as_ref().ok_or(Rejection::NotFound("post"))?;
            Ok(post.delete())
        };
        self.on_post(origin, id, decide).await
    }

    async fn on_post(
        &self,
        origin: &Origin,
        id: PostId,
        decide: impl Fn(&Loaded<Post>, Timestamp) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Answer<OwnPost>, Failure<Post>> {
        let show = async |loaded: Arc<Loaded<Post>>| {
            Ok(Answer::ok(&own_post(origin, id, &loaded)?)?.version(loaded.version))
        };
        self.execute(&self.posts, origin, Stream::post(id), None, decide, show).await
    }

    /// The text of an id of the caller's, as the log has it now.
    pub(crate) async fn post(
        &self,
        origin: &Origin,
        id: PostId,
    ) -> Result<Arc<Loaded<Post>>, Error> {
        self.posts.read(origin.athlete, origin.partition, Stream::post(id)).await
    }

    /// Shares a workout, or says something else with it.
    pub(crate) async fn share_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        command: ShareWorkout,
    ) -> Result<Answer<OwnPost>, Failure<Workout>> {
        self.may_meet(origin).await?;
        let decide = |workout: &Workout| {
            workout::share(workout, command.text.clone().map(Text::into_string))
        };
        self.on_shared(origin, id, ContentKind::Workout, decide).await
    }

    /// Says something else with a workout that is shared.
    pub(crate) async fn caption_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        text: Patch<Text<5000>>,
    ) -> Result<Answer<OwnPost>, Failure<Workout>> {
        self.may_meet(origin).await?;
        let decide = |workout: &Workout| {
            let text = match &text {
                Patch::Keep => return Ok(Vec::new()),
                Patch::Clear => None,
                Patch::Set(text) => Some(text.as_str().to_owned()),
            };
            if !workout.shared {
                return Err(Rejection::NotFound("post"));
            }
            workout::share(workout, text)
        };
        self.on_shared(origin, id, ContentKind::Workout, decide).await
    }

    /// Shares a workout, or its records, with nobody any more.
    pub(crate) async fn unshare_workout(
        &self,
        origin: &Origin,
        id: WorkoutId,
        kind: ContentKind,
    ) -> Result<Answer<OwnPost>, Failure<Workout>> {
        let records_only = kind == ContentKind::Records;
        let decide = |workout: &Workout| Ok(workout::unshare(workout, records_only));
        self.on_shared(origin, id, kind, decide).await
    }

    async fn on_shared(
        &self,
        origin: &Origin,
        id: WorkoutId,
        kind: ContentKind,
        decide: impl Fn(&Workout) -> Result<Vec<Event>, Rejection>,
    ) -> Result<Answer<OwnPost>, Failure<Workout>> {
        let decide = |loaded: &Loaded<Workout>, _| {
            let workout = loaded.state.as_ref().ok_or(Rejection::NotFound("workout"))?;
            decide(workout)
        };
        let show = async |loaded: Arc<Loaded<Workout>>| {
            let post = shared_post(origin, id, kind, &loaded)?;
            Ok(Answer::ok(&post)?.version(loaded.version))
        };
        self.execute(&self.workouts, origin, Stream::workout(id), None, decide, show).await
    }

    /// Says something about a post that the caller sees.
    pub(crate) async fn comment(
        &self,
        origin: &Origin,
        post: ContentId,
        command: WriteComment,
    ) -> Result<Answer<OwnComment>, Failure<Comment>> {
        let id = match command.id {
            Some(id) => id,
            None => CommentId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?,
        };
        let client = match command.id {
            Some(_) => {
                let said = ("comment", post, &command);
                Some(self.client_id(origin.athlete, None, &said).await?)
            }
            None => None,
        };
        let decide = |loaded: &Loaded<Comment>, _| {
            if loaded.state.is_some() {
                let message = "the id belongs to another comment of yours";
                return Err(Rejection::Conflict { code: "ID_TAKEN", message });
            }
            Ok(posts::comment(post, command.text.as_str().to_owned()))
        };
        let show = async |loaded: Arc<Loaded<Comment>>| {
            let comment = own_comment(origin, id, &loaded)?;
            let path = format!("/v1/comments/{}", comment.id.0);
            Ok(Answer::ok(&comment)?.version(loaded.version).created(path))
        };
        self.execute(&self.comments, origin, Stream::comment(id), client, decide, show).await
    }

    /// Changes a comment.
    pub(crate) async fn edit_comment(
        &self,
        origin: &Origin,
        id: CommentId,
        command: EditComment,
    ) -> Result<Answer<OwnComment>, Failure<Comment>> {
        self.may_meet(origin).await?;
        let decide = |comment: &Comment| comment.edit(command.text.as_str().to_owned());
        self.on_comment(origin, id, decide, |loaded| own_comment(origin, id, loaded)).await
    }

    /// Takes a comment of the caller's own away.
    pub(crate) async fn delete_comment(
        &self,
        origin: &Origin,
        id: CommentId,
    ) -> Result<Answer<Removed>, Failure<Comment>> {
        let decide = |comment: &Comment| Ok(comment.delete());
        self.on_comment(origin, id, decide, |loaded| removed(origin, id, loaded)).await
    }

    async fn on_comment<T: Serialize + JsonSchema>(
        &self,
        origin: &Origin,
        id: CommentId,
        decide: impl Fn(&Comment) -> Result<Vec<Event>, Rejection>,
        show: impl Fn(&Loaded<Comment>) -> Result<T, Error>,
    ) -> Result<Answer<T>, Failure<Comment>> {
        let decide = |loaded: &Loaded<Comment>, _| {
            let comment = loaded.state.as_ref().ok_or(Rejection::NotFound("comment"))?;
            decide(comment)
        };
        let show = async |loaded: Arc<Loaded<Comment>>| {
            Ok(Answer::ok(&show(&loaded)?)?.version(loaded.version))
        };
        self.execute(&self.comments, origin, Stream::comment(id), None, decide, show).await
    }

    /// The comment of an athlete, as the log has it now.
    pub(crate) async fn comment_of(
        &self,
        (author, partition): Side,
        id: CommentId,
    ) -> Result<Arc<Loaded<Comment>>, Error> {
        self.comments.read(author, partition, Stream::comment(id)).await
    }

    /// Takes somebody else's comment away from under a post of the caller's.
    pub(crate) async fn dismiss_comment(
        &self,
        origin: &Origin,
        comment: ContentId,
        post: ContentId,
    ) -> Result<Answer<Removed>, Error> {
        let decide = |reaction: &Reaction| reaction.dismiss(comment, post);
        let show =
            |reaction: &Reaction| Removed { id: PublicId(comment), removed: reaction.is_dismissed };
        self.on_reaction(origin, comment, decide, show).await
    }

    /// Likes something that the caller sees, or likes it no longer.
    pub(crate) async fn like(
        &self,
        origin: &Origin,
        content: ContentId,
        likes: bool,
    ) -> Result<Answer<Liked>, Error> {
        let decide = |reaction: &Reaction| reaction.like(content, likes);
        let show = |reaction: &Reaction| Liked { id: PublicId(content), liked: reaction.likes };
        self.on_reaction(origin, content, decide, show).await
    }

    async fn on_reaction<T: Serialize + JsonSchema>(
        &self,
        origin: &Origin,
        content: ContentId,
        decide: impl Fn(&Reaction) -> Vec<Event>,
        show: impl Fn(&Reaction) -> T,
    ) -> Result<Answer<T>, Error> {
        let nothing = Reaction::default();
        let decide =
            |loaded: &Loaded<Reaction>, _| Ok(decide(loaded.state.as_ref().unwrap_or(&nothing)));
        let show = async |loaded: Arc<Loaded<Reaction>>| {
            Answer::ok(&show(loaded.state.as_ref().unwrap_or(&nothing)))
        };
        let stream = Stream::reaction(&content);
        let done = self.execute(&self.reactions, origin, stream, None, decide, show).await;
        done.map_err(Failure::of_new)
    }
}

/// A text of the caller's own.
pub(crate) fn own_post(
    origin: &Origin,
    id: PostId,
    loaded: &Loaded<Post>,
) -> Result<OwnPost, Error> {
    let post = loaded.state.as_ref().ok_or_else(|| Error::not_found("post"))?;
    let id = ContentId { owner: origin.athlete, kind: ContentKind::Text, id: id.uuid() };
    Ok(OwnPost {
        id: PublicId(id),
        text: post.there().and_then(|post| post.text.clear().cloned()),
        visibility: post.visibility,
        shared: post.there().is_some(),
    })
}

/// The post of a workout of the caller's own, or of the records that it broke.
pub(crate) fn shared_post(
    origin: &Origin,
    id: WorkoutId,
    kind: ContentKind,
    loaded: &Loaded<Workout>,
) -> Result<OwnPost, Error> {
    let workout = loaded.state.as_ref().ok_or_else(|| Error::not_found("workout"))?;
    let of_records = kind == ContentKind::Records;
    let caption = workout.caption.as_ref().filter(|_| !of_records);
    Ok(OwnPost {
        id: PublicId(ContentId { owner: origin.athlete, kind, id: id.uuid() }),
        text: caption.and_then(|text| text.clear().cloned()),
        visibility: workout.details.visibility,
        shared: workout.shared && !(of_records && workout.records_withheld),
    })
}

/// A comment of the caller's own.
pub(crate) fn own_comment(
    origin: &Origin,
    id: CommentId,
    loaded: &Loaded<Comment>,
) -> Result<OwnComment, Error> {
    let comment = loaded.state.as_ref().ok_or_else(|| Error::not_found("comment"))?;
    let id = ContentId { owner: origin.athlete, kind: ContentKind::Comment, id: id.uuid() };
    Ok(OwnComment {
        id: PublicId(id),
        post: PublicId(comment.post),
        text: comment.there().and_then(|comment| comment.text.clear().cloned()),
    })
}

/// Whether a comment of the caller's own is gone.
pub(crate) fn removed(
    origin: &Origin,
    id: CommentId,
    loaded: &Loaded<Comment>,
) -> Result<Removed, Error> {
    let comment = loaded.state.as_ref().ok_or_else(|| Error::not_found("comment"))?;
    let id = ContentId { owner: origin.athlete, kind: ContentKind::Comment, id: id.uuid() };
    Ok(Removed { id: PublicId(id), removed: comment.is_deleted })
}

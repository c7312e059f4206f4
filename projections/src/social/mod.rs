//! Social: who follows whom, what do they show each other, and what do they make of it?
//!
//! Answers the feed, posts with their comments and likes, followers and followed, profiles, the search
//! for people, and the queue of reports. Takes what was said in `relation-…`, `post-…`, `comment-…`,
//! `reaction-…`, `report-…` and `moderation-…` streams, profiles, workouts and announcements of
//! records. Rows are as stale as the projector lags; who may see what is not: what was said
//! since is read from the log with each answer (`fresh.rs`).

mod feed;
mod fold;
mod fresh;
mod graph;
mod pages;
mod people;
mod posts;
mod profile;
mod reports;
mod talk;

use projector::{Happened, Projection, Refused, Tables};

pub use feed::routes;
pub use fresh::Fresh;
pub(crate) use graph::followed;
pub use graph::{Connection, List, People, Place, followed_count};
pub use pages::{Page, Post, Posted, Posts, is_posted};
pub use profile::{Card, Counts, Showcased, find, showcase};
pub(crate) use profile::{Names, readers};
pub use reports::{QueuedReport, Reported, queue};
pub use talk::{At, Comment, Comments, Liker, likers};

/// The social projection.
#[derive(Debug, Clone, Copy)]
pub struct Social;

impl Projection for Social {
    const NAME: &'static str = "social";
    const SCHEMA: &'static str = "social_v1";
    const TABLES: &'static str = include_str!("schema.sql");
    const INDEXES: &'static str = include_str!("indexes.sql");
    const TYPES: &'static [&'static str] = &[
        "AthleteRegistered",
        "ProfileChanged",
        "AthleteFollowed",
        "AthleteUnfollowed",
        "FollowerAccepted",
        "FollowerRemoved",
        "AthleteBlocked",
        "AthleteUnblocked",
        "WorkoutStarted",
        "WorkoutDetailsChanged",
        "WorkoutCompleted",
        "WorkoutShared",
        "WorkoutUnshared",
        "WorkoutDiscarded",
        "SetRemoved",
        "PRAchieved",
        "PRRevoked",
        "RecordsRestated",
        "PostPublished",
        "PostEdited",
        "PostDeleted",
        "CommentWritten",
        "CommentEdited",
        "CommentDeleted",
        "CommentDismissed",
        "ContentLiked",
        "ContentUnliked",
        "ContentReported",
        "ReportResolved",
        "ContentHidden",
        "ContentRestored",
        "AthleteSuspended",
        "SuspensionLifted",
    ];
    // Names are searched.
    const OPENS: &'static [&'static str] = &["ProfileChanged"];

    type Batch = fold::Batch;

    fn fold(batch: &mut fold::Batch, happened: Happened) -> Result<(), Refused> {
        batch.fold(happened);
        Ok(())
    }

    async fn write(batch: fold::Batch, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        batch.write(tables).await
    }
}

//! What invented athletes have to do with each other: follows and blocks, posts and comments, likes, and
//! what is done about them.

use events::{
    AthleteBlocked, AthleteFollowed, AthleteId, AthleteSuspended, AthleteUnblocked,
    AthleteUnfollowed, CommentDeleted, CommentDismissed, CommentEdited, CommentId, CommentWritten,
    ContentHidden, ContentId, ContentKind, ContentLiked, ContentReported, ContentRestored,
    ContentUnliked, Event, FollowerAccepted, FollowerRemoved, Personal, PostDeleted, PostEdited,
    PostId, PostPublished, ReportId, ReportOutcome, ReportReason, ReportResolved, Stream,
    SuspensionLifted, Version, Visibility, WorkoutShared, WorkoutUnshared,
};
use log::Log;
use rand::RngExt;
use uuid::Uuid;

use super::{Athlete, Simulator};

impl Simulator {
    /// An athlete does one thing or another that others have to do with.
    pub(super) async fn meet(&mut self, log: &Log, athlete: Athlete, other: AthleteId) {
        self.relate(log, athlete, other).await;
        self.write(log, athlete).await;
        self.share(log, athlete).await;
        self.react(log, athlete).await;
        self.moderate(log, athlete).await;
    }

    async fn relate(&mut self, log: &Log, athlete: Athlete, other: AthleteId) {
        if self.rng.random_bool(0.5) {
            return;
        }
        let follow = self.uuid();
        let known = self.follows.iter().rfind(|(_, one, two)| (*one, *two) == (other, athlete.id));
        let of_other = known.map_or(follow, |(follow, ..)| *follow);
        let known = self.follows.iter().rfind(|(_, one, two)| (*one, *two) == (athlete.id, other));
        let own = known.map_or(follow, |(follow, ..)| *follow);
        let requested = self.rng.random_bool(0.3);
        let event: Event = match self.rng.random_range(0..8) {
            0..3 => {
                self.follows.push((follow, athlete.id, other));
                AthleteFollowed { follow, athlete: other, requested }.into()
            }
            3 => AthleteUnfollowed { follow: own, athlete: other }.into(),
            4 => FollowerAccepted { follow: of_other, athlete: other }.into(),
            5 => FollowerRemoved { follow: of_other, athlete: other }.into(),
            6 => AthleteBlocked { athlete: other }.into(),
            _ => AthleteUnblocked { athlete: other }.into(),
        };
        self.tell(log, athlete, Stream::relation(other), vec![event]).await;
    }

    /// Texts, and comments on whatever there is.
    async fn write(&mut self, log: &Log, athlete: Athlete) {
        let text = |text: &str| Personal::Clear(text.to_owned());
        if self.rng.random_bool(0.4) {
            let id = self.uuid();
            let stream = Stream::post(PostId::new(id).expect("an id of version 7"));
            let kinds = [Visibility::Public, Visibility::Followers, Visibility::Private];
            let visibility = kinds[self.rng.random_range(0..kinds.len())];
            let mut said: Vec<Event> =
                vec![PostPublished { text: text("Hello"), visibility }.into()];
            if self.rng.random_bool(0.3) {
                let visibility = kinds[self.rng.random_range(0..kinds.len())];
                said.push(PostEdited { text: text("Hi"), visibility }.into());
            }
            self.tell(log, athlete, stream, said).await;
            self.contents.push(ContentId { owner: athlete.id, kind: ContentKind::Text, id });
            if self.rng.random_bool(0.2) {
                self.tell(log, athlete, stream, vec![PostDeleted {}.into()]).await;
            }
        }
        let posts: Vec<ContentId> = self.contents.clone();
        if self.rng.random_bool(0.5) && !posts.is_empty() {
            let post = posts[self.rng.random_range(0..posts.len())];
            let id = self.uuid();
            let stream = Stream::comment(CommentId::new(id).expect("an id of version 7"));
            let mut said: Vec<Event> = vec![CommentWritten { post, text: text("Strong") }.into()];
            if self.rng.random_bool(0.3) {
                said.push(CommentEdited { text: text("Very strong") }.into());
            }
            self.tell(log, athlete, stream, said).await;
            self.contents.push(ContentId { owner: athlete.id, kind: ContentKind::Comment, id });
            if self.rng.random_bool(0.2) {
                self.tell(log, athlete, stream, vec![CommentDeleted {}.into()]).await;
            }
        }
    }

    /// Workouts that were done are shared, or no longer.
    async fn share(&mut self, log: &Log, athlete: Athlete) {
        let Some(life) = self.lives.get(&athlete.id) else { return };
        let Some(workout) = life.workouts.last().copied() else { return };
        let id = workout.uuid();
        for kind in [ContentKind::Workout, ContentKind::Records] {
            self.contents.push(ContentId { owner: athlete.id, kind, id });
        }
        let text = self.rng.random_bool(0.5).then(|| Personal::Clear("Look".to_owned()));
        let said: Event = match self.rng.random_range(0..4) {
            0 | 1 => WorkoutShared { text }.into(),
            2 => WorkoutUnshared { records_only: self.rng.random_bool(0.5) }.into(),
            _ => return,
        };
        self.tell(log, athlete, Stream::workout(workout), vec![said]).await;
    }

    /// Likes, and comments that somebody does not want.
    async fn react(&mut self, log: &Log, athlete: Athlete) {
        for _ in 0..2 {
            if self.contents.is_empty() {
                return;
            }
            let content = self.contents[self.rng.random_range(0..self.contents.len())];
            let said: Event = match self.rng.random_range(0..5) {
                0 if content.kind == ContentKind::Comment => {
                    let post = ContentId { owner: athlete.id, kind: ContentKind::Text, ..content };
                    CommentDismissed { comment: content, post }.into()
                }
                0 | 1 => ContentUnliked { content }.into(),
                _ => ContentLiked { content }.into(),
            };
            self.tell(log, athlete, Stream::reaction(&content), vec![said]).await;
        }
    }

    async fn moderate(&mut self, log: &Log, athlete: Athlete) {
        if self.rng.random_bool(0.2) {
            let report = Stream::report(ReportId::new(self.uuid()).expect("an id of version 7"));
            let content = self.contents.last().copied();
            let text = Some(Personal::Clear("Look at that".to_owned()));
            let reason = ReportReason::Spam;
            let about = content.map_or(athlete.id, |content| content.owner);
            let said = ContentReported { athlete: about, content, reason, text };
            self.tell(log, athlete, report, vec![said.into()]).await;
            if self.rng.random_bool(0.5) {
                let resolved = ReportResolved { outcome: ReportOutcome::Dismissed };
                self.tell(log, athlete, report, vec![resolved.into()]).await;
            }
        }
        if self.rng.random_bool(0.3) {
            let own: Vec<ContentId> =
                self.contents.iter().filter(|of| of.owner == athlete.id).copied().collect();
            let Some(content) = own.last().copied() else { return };
            let said: Event = match self.rng.random_range(0..5) {
                0 | 1 => ContentHidden { content }.into(),
                2 => ContentRestored { content }.into(),
                3 => AthleteSuspended { until: Some(self.now) }.into(),
                _ => SuspensionLifted {}.into(),
            };
            self.tell(log, athlete, Stream::moderation(athlete.id), vec![said]).await;
        }
    }

    /// Appends to a stream, wherever it is.
    async fn tell(&mut self, log: &Log, athlete: Athlete, stream: Stream, mut said: Vec<Event>) {
        let key: (AthleteId, Uuid, i16) = (athlete.id, stream.id, stream.kind.code());
        let mut version = self.versions.get(&key).copied().unwrap_or(Version(0));
        self.append_at(log, athlete, stream, &mut version, &mut said).await;
        self.versions.insert(key, version);
    }
}

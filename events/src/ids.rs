//! Who and what an event is about: ids and stream names.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::ContentId;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidId(pub(crate) &'static str);

/// A UUID with its four hyphens: an id is written in one way, whatever else a UUID can look like.
fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// Declares a UUIDv7 newtype. Version 7 only: time-ordered keys keep the log's indexes dense.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID of version 7.
            pub fn new(id: Uuid) -> Result<Self, InvalidId> {
                if id.get_version_num() == 7 {
                    Ok(Self(id))
                } else {
                    Err(InvalidId("a UUID of version 7"))
                }
            }

            /// The bare UUID.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(uuid(text).unwrap_or(Uuid::nil()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // Between processes ids travel as bytes.
                if !from.is_human_readable() {
                    return Self::new(Uuid::deserialize(from)?).map_err(de::Error::custom);
                }
                parse(from, "a UUID of version 7")
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    };
}

id! {
    /// An athlete: the owner of streams, for ever.
    AthleteId
}
id! {
    /// A workout, unique among those of its owner.
    WorkoutId
}
id! {
    /// A logged set, unique among those of its owner.
    SetId
}
id! {
    /// A weighing of the body, unique among those of its owner.
    BodyweightId
}

id! {
    /// An exercise of an athlete's own, unique among those of its owner.
    CustomExerciseId
}
id! {
    /// A coach's invitation.
    InvitationId
}
id! {
    /// A routine, unique among those of its owner.
    RoutineId
}
id! {
    /// A folder of routines, unique among those of its owner.
    FolderId
}
id! {
    /// A text for others, unique among those of its owner.
    PostId
}
id! {
    /// A comment, unique among those of its owner.
    CommentId
}
id! {
    /// That somebody follows somebody.
    FollowId
}
id! {
    /// A report, unique among those of its owner.
    ReportId
}

/// An exercise: one of the system library, by its slug, or an athlete's own, by its UUID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExerciseId {
    /// An exercise of the system library, such as `bench-press-barbell`. States are copied with every
    /// command, and their ids with them.
    System(Arc<str>),
    /// A custom exercise of the owner of the event.
    Custom(Uuid),
}

impl fmt::Display for ExerciseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(slug) => f.write_str(slug),
            Self::Custom(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for ExerciseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExerciseId({self})")
    }
}

impl FromStr for ExerciseId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const WANTED: InvalidId =
            InvalidId("the id of a library exercise or the UUID (version 7) of a custom one");
        if let Some(id) = uuid(text) {
            return if id.get_version_num() == 7 { Ok(Self::Custom(id)) } else { Err(WANTED) };
        }
        let slug = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if slug { Ok(Self::System(text.into())) } else { Err(WANTED) }
    }
}

impl Serialize for ExerciseId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExerciseId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse(from, "the id of a library exercise or the UUID (version 7) of a custom one")
    }
}

impl JsonSchema for ExerciseId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ExerciseId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9-]{1,64}$",
            "description": "The slug of a library exercise or the UUID of a custom one."
        })
    }
}

/// Reads a string through `FromStr`, with an error that says what was wanted.
fn parse<'de, T, D>(from: D, wanted: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err = InvalidId>,
    D: Deserializer<'de>,
{
    struct Visitor<T>(&'static str, std::marker::PhantomData<T>);

    impl<T: FromStr<Err = InvalidId>> de::Visitor<'_> for Visitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    from.deserialize_str(Visitor(wanted, std::marker::PhantomData))
}

/// What kind of thing a stream tells the story of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StreamKind {
    /// `athlete-<athlete id>`: registration and profile.
    Athlete,
    /// `exercises-<athlete id>`: the athlete's custom exercises.
    Exercises,
    /// `workout-<workout id>`: one workout and its sets.
    Workout,
    /// `audit-<athlete id>`: who read the audits of the athlete's records.
    Audit,
    /// `body-<athlete id>`: what the athlete weighed.
    Body,
    /// `records-<athlete id>`: what was announced of the athlete's records.
    Records,
    /// `account-<athlete id>`: what the account may do and has paid for.
    Account,
    /// `coaching-<athlete id>`: whom the athlete coaches, and who coaches them.
    Coaching,
    /// `routine-<routine id>`: one routine.
    Routine,
    /// `folders-<athlete id>`: the athlete's folders of routines.
    Folders,
    /// `likes-<athlete id>`: what of others the athlete likes.
    Likes,
    /// `relation-<athlete id>`: what the owner has to do with that athlete.
    Relation,
    /// `post-<post id>`: one text for others.
    Post,
    /// `comment-<comment id>`: one comment on a post.
    Comment,
    /// `reaction-<hash>`: what the owner makes of one post or comment of somebody's.
    Reaction,
    /// `report-<report id>`: one report of what does not belong here.
    Report,
    /// `moderation-<athlete id>`: what was done about the owner and what they show.
    Moderation,
    /// One that only a newer program knows, by its stored number: shown as `kind9-<id>`.
    Other(i16),
}

impl StreamKind {
    /// The numbers are stored: never reuse one.
    const ALL: [(StreamKind, i16, &str); 17] = [
        (StreamKind::Athlete, 1, "athlete"),
        (StreamKind::Exercises, 2, "exercises"),
        (StreamKind::Workout, 3, "workout"),
        (StreamKind::Audit, 4, "audit"),
        (StreamKind::Body, 5, "body"),
        (StreamKind::Records, 6, "records"),
        (StreamKind::Account, 7, "account"),
        (StreamKind::Coaching, 8, "coaching"),
        (StreamKind::Routine, 9, "routine"),
        (StreamKind::Folders, 10, "folders"),
        (StreamKind::Likes, 11, "likes"),
        (StreamKind::Relation, 12, "relation"),
        (StreamKind::Post, 13, "post"),
        (StreamKind::Comment, 14, "comment"),
        (StreamKind::Reaction, 15, "reaction"),
        (StreamKind::Report, 16, "report"),
        (StreamKind::Moderation, 17, "moderation"),
    ];

    /// The stored number of the kind.
    pub fn code(self) -> i16 {
        match self {
            Self::Other(code) => code,
            known => {
                Self::ALL.iter().find(|(kind, ..)| *kind == known).map_or(0, |(_, code, _)| *code)
            }
        }
    }

    /// The kind behind a stored number.
    pub fn from_code(code: i16) -> Self {
        let known = Self::ALL.iter().find(|(_, known, _)| *known == code);
        known.map_or(Self::Other(code), |(kind, ..)| *kind)
    }

    /// The words of the kinds that this program knows.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(.., word)| *word)
    }

    /// The word in front of the id in a stream's name.
    pub fn word(self) -> Cow<'static, str> {
        match self {
            Self::Other(code) => format!("kind{code}").into(),
            known => Self::ALL
                .iter()
                .find(|(kind, ..)| *kind == known)
                .map_or("", |(.., word)| word)
                .into(),
        }
    }
}

/// The name of a stream, unique among those of its owner; shown as `workout-0193…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// What the stream is about.
    pub kind: StreamKind,
    /// Which one.
    pub id: Uuid,
}

impl Stream {
    /// The stream of an athlete's registration and profile.
    pub fn athlete(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Athlete, id: athlete.uuid() }
    }

    /// The stream of an athlete's custom exercises.
    pub fn exercises(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Exercises, id: athlete.uuid() }
    }

    /// The stream of those who read an athlete's audits.
    pub fn audit(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Audit, id: athlete.uuid() }
    }

    /// The stream of what an athlete weighed.
    pub fn body(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Body, id: athlete.uuid() }
    }

    /// The stream of what was announced of an athlete's records.
    pub fn records(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Records, id: athlete.uuid() }
    }

    /// The stream of what an athlete's account may do.
    pub fn account(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Account, id: athlete.uuid() }
    }

    /// The stream of whom an athlete coaches, and who coaches them.
    pub fn coaching(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Coaching, id: athlete.uuid() }
    }

    /// The stream of one routine.
    pub fn routine(routine: RoutineId) -> Self {
        Self { kind: StreamKind::Routine, id: routine.uuid() }
    }

    /// The stream of an athlete's folders of routines.
    pub fn folders(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Folders, id: athlete.uuid() }
    }

    /// The stream of what of others an athlete likes.
    pub fn likes(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Likes, id: athlete.uuid() }
    }

    /// The stream of what its owner has to do with an athlete.
    pub fn relation(other: AthleteId) -> Self {
        Self { kind: StreamKind::Relation, id: other.uuid() }
    }

    /// The stream of one text for others.
    pub fn post(post: PostId) -> Self {
        Self { kind: StreamKind::Post, id: post.uuid() }
    }

    /// The stream of one comment.
    pub fn comment(comment: CommentId) -> Self {
        Self { kind: StreamKind::Comment, id: comment.uuid() }
    }

    /// The stream of what its owner makes of a post or comment: named by a hash, since both whose it is
    /// and which one go into it.
    pub fn reaction(content: &ContentId) -> Self {
        let mut hash = Sha256::new();
        hash.update(content.owner.uuid().as_bytes());
        hash.update(content.kind.code().to_be_bytes());
        hash.update(content.id.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self { kind: StreamKind::Reaction, id: Builder::from_custom_bytes(id).into_uuid() }
    }

    /// The stream of one report.
    pub fn report(report: ReportId) -> Self {
        Self { kind: StreamKind::Report, id: report.uuid() }
    }

    /// The stream of what was done about an athlete and what they show.
    pub fn moderation(athlete: AthleteId) -> Self {
        Self { kind: StreamKind::Moderation, id: athlete.uuid() }
    }

    /// The stream of one workout.
    pub fn workout(workout: WorkoutId) -> Self {
        Self { kind: StreamKind::Workout, id: workout.uuid() }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.word(), self.id)
    }
}

impl FromStr for Stream {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.split_once('-')
            .and_then(|(word, id)| {
                let (kind, ..) = StreamKind::ALL.iter().find(|(.., known)| *known == word)?;
                Some(Self { kind: *kind, id: uuid(id)? })
            })
            .ok_or(InvalidId("a stream name such as workout-<uuid>"))
    }
}

#[cfg(test)]
mod tests {
    use super::{AthleteId, ExerciseId, Stream};

    #[test]
    fn an_id_is_written_in_one_way() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(id.parse::<AthleteId>().unwrap().to_string(), id);
        assert!(
            id.parse::<ExerciseId>().is_ok() && format!("workout-{id}").parse::<Stream>().is_ok()
        );
        let simple = id.replace('-', "");
        for other in
            [simple.clone(), format!("{{{id}}}"), format!("urn:uuid:{id}"), format!(" {id}")]
        {
            assert!(other.parse::<AthleteId>().is_err(), "{other}");
            assert!(format!("workout-{other}").parse::<Stream>().is_err(), "{other}");
        }
        assert!("9b2d6f0e-3c1a-4f57-8e21-5a0c7d9e4b11".parse::<AthleteId>().is_err(), "version 4");
        // Without its hyphens it may be the name of an exercise of the library.
        assert!(matches!(simple.parse(), Ok(ExerciseId::System(_))));
    }
}

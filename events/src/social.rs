//! What athletes have to do with each other: all events of `relation-…`, `post-…`, `comment-…` and
//! `reaction-…` streams.
//!
//! Each says what its actor did, in the actor's own streams; what comes of it together with what
//! the other one says is worked out where it is read.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

use crate::{AthleteId, InvalidId, Personal, PersonalField, Visibility};

/// Declares payloads without personal fields.
macro_rules! impersonal {
    ($($name:ident),*) => {
        $(impl $name {
            pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
                Vec::new()
            }
        })*
    };
}

impersonal!(
    AthleteFollowed,
    AthleteUnfollowed,
    FollowerAccepted,
    FollowerRemoved,
    AthleteBlocked,
    AthleteUnblocked,
    PostDeleted,
    CommentDeleted,
    CommentDismissed,
    ContentLiked,
    ContentUnliked
);

/// An athlete follows another one, or asks to. Said by who follows, in their `relation-…` stream of the
/// other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AthleteFollowed {
    /// The follow, which an answer names: who follows again has another one.
    pub follow: Uuid,
    /// Who is followed.
    pub athlete: AthleteId,
    /// Whether the other one has to accept it, since their profile was private.
    pub requested: bool,
}

/// An athlete follows another one no longer, or takes back that they asked to. Said by who
/// followed, in their `relation-…` stream of the other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AthleteUnfollowed {
    /// The follow that is over.
    pub follow: Uuid,
    /// Who was followed.
    pub athlete: AthleteId,
}

/// An athlete lets another one follow who asked to. Said by who is followed, in their `relation-…`
/// stream of the other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowerAccepted {
    /// The follow that is accepted: not one that is asked for later.
    pub follow: Uuid,
    /// Who asked.
    pub athlete: AthleteId,
}

/// An athlete declines that another one follows, or ends that they do. Said by who is followed, in
/// their `relation-…` stream of the other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowerRemoved {
    /// The follow that is over: the other one may follow anew.
    pub follow: Uuid,
    /// Who followed, or asked to.
    pub athlete: AthleteId,
}

/// Two athletes see nothing of each other any more. Said by who wants it so, in their `relation-…`
/// stream of the other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AthleteBlocked {
    /// Who is blocked.
    pub athlete: AthleteId,
}

/// An athlete blocks another one no longer. Said by who did, in their `relation-…` stream of the other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AthleteUnblocked {
    /// Who was blocked.
    pub athlete: AthleteId,
}

/// An athlete wrote something for others. Said by the athlete. First event of its `post-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostPublished {
    /// What, of 1 to 5000 characters; personal.
    pub text: Personal<String>,
    /// Who may see it.
    pub visibility: Visibility,
}

impl PostPublished {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.text]
    }
}

/// What an athlete wrote for others says something else now, or others may see it. Said by the
/// athlete. Holds the whole new truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostEdited {
    /// What, of 1 to 5000 characters; personal.
    pub text: Personal<String>,
    /// Who may see it.
    pub visibility: Visibility,
}

impl PostEdited {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.text]
    }
}

/// What an athlete wrote for others is gone. Said by the athlete. Last event of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostDeleted {}

/// An athlete said something about a post. Said by who comments. First event of its `comment-…` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommentWritten {
    /// About which post.
    pub post: ContentId,
    /// What, of 1 to 2000 characters; personal.
    pub text: Personal<String>,
}

impl CommentWritten {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.text]
    }
}

/// A comment says something else now. Said by who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommentEdited {
    /// What, of 1 to 2000 characters; personal.
    pub text: Personal<String>,
}

impl CommentEdited {
    pub(crate) fn personal_fields(&mut self) -> Vec<&mut dyn PersonalField> {
        vec![&mut self.text]
    }
}

/// A comment is gone. Said by who wrote it. Last event of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommentDeleted {}

/// An athlete does not want a comment of somebody else's under their post. Said by whose post it
/// is, in their `reaction-…` stream of the comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommentDismissed {
    /// The comment.
    pub comment: ContentId,
    /// The post that it was under.
    pub post: ContentId,
}

/// An athlete likes a post or a comment. Said by who likes it, in their `reaction-…` stream of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentLiked {
    /// What.
    pub content: ContentId,
}

/// An athlete likes a post or a comment no longer. Said by who liked it, in their `reaction-…` stream
/// of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentUnliked {
    /// What.
    pub content: ContentId,
}

/// Something that an athlete shows others: what it is, whose, and which of theirs.
///
/// Others address it by its text, one letter for the kind and 43 letters of base64url for owner and id:
/// ids alone are unique only within their owner.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
pub struct ContentId {
    /// Who shows it.
    pub owner: AthleteId,
    /// What it is.
    pub kind: ContentKind,
    /// Which one: the id of the workout, of the workout that broke records, of the text or of the
    /// comment.
    pub id: Uuid,
}

/// What athletes show others.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ContentKind {
    /// A post: a workout that was completed and shared.
    Workout,
    /// A post: the records that a workout broke.
    Records,
    /// A post: a text.
    Text,
    /// A comment on a post.
    Comment,
}

impl ContentKind {
    /// The stored numbers, which are never used again for something else, and the letters of ids.
    const ALL: [(Self, i16, char); 4] = [
        (Self::Workout, 1, 'w'),
        (Self::Records, 2, 'r'),
        (Self::Text, 3, 't'),
        (Self::Comment, 4, 'c'),
    ];

    /// The number that read models keep.
    pub fn code(self) -> i16 {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, code, _)| *code)
    }

    /// The kind behind a number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == code).map(|(kind, ..)| *kind)
    }
}

impl ContentId {
    /// What a text of an id looks like: the owner's is a UUID of version 7, and of the last letter two bits
    /// are nothing.
    pub const PATTERN: &str = "^[wrtc][A-Za-z0-9_-]{8}[c-f][A-Za-z0-9_-]{33}[AEIMQUYcgkosw048]$";
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = ContentKind::ALL.iter().find(|(kind, ..)| *kind == self.kind);
        let bytes = [self.owner.uuid().into_bytes(), self.id.into_bytes()].concat();
        let letter = letter.map_or('?', |(.., letter)| *letter);
        write!(f, "{letter}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for ContentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let read = || {
            let letter = text.chars().next()?;
            let (kind, ..) = ContentKind::ALL.iter().find(|(.., known)| *known == letter)?;
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text[1..]).ok()?;
            let (owner, id) = bytes.split_at_checked(16)?;
            let owner = AthleteId::new(Uuid::from_slice(owner).ok()?).ok()?;
            Some(Self { owner, kind: *kind, id: Uuid::from_slice(id).ok()? })
        };
        read().ok_or(InvalidId("the id of a post or comment"))
    }
}

/// A [`ContentId`] as routes and answers have it: its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicId(pub ContentId);

impl Serialize for PublicId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PublicId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for PublicId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PublicId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": ContentId::PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{ContentId, ContentKind};
    use crate::AthleteId;

    #[test]
    fn an_id_of_content_is_written_in_one_way() {
        let owner = AthleteId::new(Uuid::from_u128(7 << 76 | 1)).unwrap();
        for (kind, ..) in ContentKind::ALL {
            let content = ContentId { owner, kind, id: Uuid::from_u128(u128::MAX) };
            let text = content.to_string();
            assert_eq!(text.parse(), Ok(content));
            assert_eq!(text.len(), 44);
            // The last letter holds four bits more than there are, which are nought.
            let mut other = text.clone();
            other.replace_range(43.., "9");
            assert!(other.parse::<ContentId>().is_err(), "{other}");
            assert!(text[1..].parse::<ContentId>().is_err());
            assert!(format!("x{}", &text[1..]).parse::<ContentId>().is_err());
        }
        for other in ["", "w", "ä", "wÄ", &"w".repeat(44)] {
            assert!(other.parse::<ContentId>().is_err(), "{other}");
        }
    }
}

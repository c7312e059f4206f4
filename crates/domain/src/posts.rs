//! What athletes write for others: the state and decisions of `post-…`, `comment-…` and `reaction-…`
//! streams. Who may see what they are about is not known here.

use events::{
    CommentDeleted, CommentDismissed, CommentEdited, CommentWritten, ContentId, ContentLiked,
    ContentUnliked, Event, Personal, PostDeleted, PostEdited, PostPublished, Visibility,
};

use crate::{Patch, Rejection, rejection::Problems};

/// A text for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// What it says.
    pub text: Personal<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether it says something else than at first.
    pub is_edited: bool,
    /// Whether it is gone.
    pub is_deleted: bool,
}

impl Post {
    /// Takes in what happened; the first event makes the post.
    pub fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        match event {
            Event::PostPublished(published) => Some(Self {
                text: published.text.clone(),
                visibility: published.visibility,
                is_edited: false,
                is_deleted: false,
            }),
            Event::PostEdited(edited) => Some(Self {
                text: edited.text.clone(),
                visibility: edited.visibility,
                is_edited: true,
                is_deleted: false,
            }),
            Event::PostDeleted(_) => Some(Self { is_deleted: true, ..state? }),
            _ => state,
        }
    }

    /// The post, unless it is gone.
    pub fn there(&self) -> Option<&Self> {
        Some(self).filter(|post| !post.is_deleted)
    }

    /// Decides on other words, or on who else may see it; no events when that is so already.
    pub fn edit(
        &self,
        text: Patch<String>,
        visibility: Patch<Visibility>,
    ) -> Result<Vec<Event>, Rejection> {
        let post = self.there().ok_or(Rejection::NotFound("post"))?;
        let mut problems = Problems::default();
        let (mut says, mut seen) = (post.text.clone(), post.visibility);
        text.map(Personal::Clear).apply_required(&mut says, "text", &mut problems);
        visibility.apply_required(&mut seen, "visibility", &mut problems);
        problems.into_result()?;
        if says == post.text && seen == post.visibility {
            return Ok(Vec::new());
        }
        Ok(vec![PostEdited { text: says, visibility: seen }.into()])
    }

    /// Decides on taking it away; no events when it is gone.
    pub fn delete(&self) -> Vec<Event> {
        self.there().map(|_| PostDeleted {}.into()).into_iter().collect()
    }
}

/// Decides on writing something for others.
pub fn publish(text: String, visibility: Visibility) -> Vec<Event> {
    vec![PostPublished { text: Personal::Clear(text), visibility }.into()]
}

/// A comment on a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// On which.
    pub post: ContentId,
    /// What it says.
    pub text: Personal<String>,
    /// Whether it says something else than at first.
    pub is_edited: bool,
    /// Whether it is gone.
    pub is_deleted: bool,
}

impl Comment {
    /// Takes in what happened; the first event makes the comment.
    pub fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        match event {
            Event::CommentWritten(written) => Some(Self {
                post: written.post,
                text: written.text.clone(),
                is_edited: false,
                is_deleted: false,
            }),
            Event::CommentEdited(edited) => {
                Some(Self { text: edited.text.clone(), is_edited: true, ..state? })
            }
            Event::CommentDeleted(_) => Some(Self { is_deleted: true, ..state? }),
            _ => state,
        }
    }

    /// The comment, unless it is gone.
    pub fn there(&self) -> Option<&Self> {
        Some(self).filter(|comment| !comment.is_deleted)
    }

    /// Decides on other words; no events when it says so already.
    pub fn edit(&self, text: String) -> Result<Vec<Event>, Rejection> {
        let comment = self.there().ok_or(Rejection::NotFound("comment"))?;
        let text = Personal::Clear(text);
        if comment.text == text {
            return Ok(Vec::new());
        }
        Ok(vec![CommentEdited { text }.into()])
    }

    /// Decides on taking it away; no events when it is gone.
    pub fn delete(&self) -> Vec<Event> {
        self.there().map(|_| CommentDeleted {}.into()).into_iter().collect()
    }
}

/// Decides on commenting on a post.
pub fn comment(post: ContentId, text: String) -> Vec<Event> {
    vec![CommentWritten { post, text: Personal::Clear(text) }.into()]
}

/// What an athlete makes of a post or comment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaction {
    /// They like it.
    pub likes: bool,
    /// It is a comment that they do not want under a post of theirs.
    pub is_dismissed: bool,
}

impl Reaction {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::ContentLiked(_) => self.likes = true,
            Event::ContentUnliked(_) => self.likes = false,
            Event::CommentDismissed(_) => self.is_dismissed = true,
            _ => {}
        }
    }

    /// Decides on liking something that the athlete sees, or on liking it no longer, seen or not; no
    /// events when that is so already.
    pub fn like(&self, content: ContentId, likes: bool) -> Vec<Event> {
        match (self.likes, likes) {
            (false, true) => vec![ContentLiked { content }.into()],
            (true, false) => vec![ContentUnliked { content }.into()],
            _ => Vec::new(),
        }
    }

    /// Decides on not wanting a comment under a post of the athlete's; no events when that is so
    /// already.
    pub fn dismiss(&self, comment: ContentId, post: ContentId) -> Vec<Event> {
        if self.is_dismissed {
            return Vec::new();
        }
        vec![CommentDismissed { comment, post }.into()]
    }
}

#[cfg(test)]
mod tests {
    use events::{AthleteId, ContentId, ContentKind, Event, Visibility};
    use uuid::Uuid;

    use super::{Comment, Post, Reaction, comment, publish};
    use crate::Patch;

    fn post() -> ContentId {
        let owner = AthleteId::new(Uuid::from_u128(7 << 76)).unwrap();
        ContentId { owner, kind: ContentKind::Text, id: Uuid::from_u128(7 << 76 | 1) }
    }

    #[test]
    fn a_text_is_edited_until_it_is_gone() {
        let evolve = |state, events: Vec<Event>| events.iter().fold(state, Post::evolve);
        let published = evolve(None, publish("Hello".to_owned(), Visibility::Public)).unwrap();
        assert_eq!(published.edit(Patch::Keep, Patch::Set(Visibility::Public)), Ok(vec![]));
        assert!(published.edit(Patch::Clear, Patch::Clear).is_err());
        let edit = published.edit(Patch::Set("Hi".to_owned()), Patch::Keep).unwrap();
        let edited = evolve(Some(published), edit).unwrap();
        assert!(edited.is_edited && edited.visibility == Visibility::Public);
        let gone = evolve(Some(edited.clone()), edited.delete()).unwrap();
        assert!(gone.there().is_none() && gone.delete().is_empty());
        assert!(gone.edit(Patch::Keep, Patch::Keep).is_err());
    }

    #[test]
    fn a_comment_is_edited_until_it_is_gone() {
        let evolve = |state, events: Vec<Event>| events.iter().fold(state, Comment::evolve);
        let written = evolve(None, comment(post(), "Strong".to_owned())).unwrap();
        assert_eq!(written.edit("Strong".to_owned()), Ok(vec![]));
        let edited = evolve(Some(written.clone()), written.edit("Weak".to_owned()).unwrap());
        let edited = edited.unwrap();
        assert!(edited.is_edited && edited.post == post());
        let gone = evolve(Some(edited.clone()), edited.delete()).unwrap();
        assert!(gone.delete().is_empty() && gone.edit("x".to_owned()).is_err());
    }

    #[test]
    fn something_is_liked_once_until_it_is_not() {
        let mut reaction = Reaction::default();
        assert!(reaction.like(post(), false).is_empty());
        for likes in [true, false, true] {
            let events = reaction.like(post(), likes);
            assert_eq!(events.len(), 1);
            events.iter().for_each(|event| reaction.evolve(event));
            assert!(reaction.likes == likes && reaction.like(post(), likes).is_empty());
        }
        let dismissed = reaction.dismiss(post(), post());
        dismissed.iter().for_each(|event| reaction.evolve(event));
        assert!(reaction.likes && reaction.dismiss(post(), post()).is_empty());
    }
}

//! What is so, by the rules of `docs/social.md`.

use std::collections::{BTreeMap, BTreeSet};

/// What is so, by the rules.
#[derive(Default)]
pub(super) struct World {
    pub(super) private: BTreeSet<usize>,
    pub(super) suspended: BTreeSet<usize>,
    /// Who follows whom, and whether they still wait for an answer.
    pub(super) follows: BTreeMap<(usize, usize), bool>,
    pub(super) blocks: BTreeSet<(usize, usize)>,
    pub(super) posts: Vec<Post>,
    pub(super) comments: Vec<Comment>,
    pub(super) likes: BTreeSet<(usize, String)>,
    pub(super) hidden: BTreeSet<String>,
    /// Counts what is posted.
    pub(super) posted: usize,
}

pub(super) struct Post {
    pub(super) author: usize,
    pub(super) id: String,
    /// The path of the workout that it is, and the kilograms of its one set.
    pub(super) workout: Option<(String, u32)>,
    pub(super) visibility: &'static str,
    pub(super) text: Option<String>,
    /// Which of all that were posted it is; none while it is not shared.
    pub(super) posted: Option<usize>,
    /// It can be shared again.
    pub(super) is_there: bool,
}

pub(super) struct Comment {
    pub(super) author: usize,
    pub(super) post: usize,
    pub(super) id: String,
    pub(super) text: String,
    pub(super) is_there: bool,
}

impl World {
    pub(super) fn is_blocked(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    pub(super) fn is_followed(&self, reader: usize, author: usize) -> bool {
        self.follows.get(&(reader, author)) == Some(&false)
    }

    pub(super) fn knows(&self, reader: usize, author: usize) -> bool {
        let open = !self.is_blocked(reader, author) && !self.suspended.contains(&author);
        reader == author || open
    }

    /// Whether one may do something about another: also whom one blocks.
    pub(super) fn reaches(&self, one: usize, other: usize) -> bool {
        self.knows(one, other) || self.blocks.contains(&(one, other))
    }

    pub(super) fn sees(&self, reader: usize, author: usize, visibility: &str) -> bool {
        let follows = self.is_followed(reader, author);
        let open = match visibility {
            "public" => follows || !self.private.contains(&author),
            "followers" => follows,
            _ => false,
        };
        reader == author || (open && self.knows(reader, author))
    }

    pub(super) fn sees_post(&self, reader: usize, post: &Post) -> bool {
        let is_hidden = self.hidden.contains(&post.id) && reader != post.author;
        post.posted.is_some() && !is_hidden && self.sees(reader, post.author, post.visibility)
    }

    pub(super) fn sees_comment(&self, reader: usize, comment: &Comment) -> bool {
        let post = &self.posts[comment.post];
        let is_hidden = self.hidden.contains(&comment.id) && reader != comment.author;
        comment.is_there
            && !is_hidden
            && self.sees_post(reader, post)
            && self.knows(reader, comment.author)
            && !self.is_blocked(comment.author, post.author)
    }

    /// Ends what either follows of the other.
    pub(super) fn part(&mut self, one: usize, other: usize) {
        self.follows.remove(&(one, other));
        self.follows.remove(&(other, one));
    }
}

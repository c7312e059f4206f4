//! What readers are shown, held against the model.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    ATHLETES, Outcome, Story, pick, status,
    world::{Post, World},
};
use crate::Answer;

impl Story {
    /// While the projectors are behind, nobody sees what the model does not allow.
    pub(super) async fn shows_no_more(&self, rng: &mut StdRng, outcome: &mut Outcome) {
        let reader = rng.random_range(0..ATHLETES);
        let feed = self.clients[reader].get("/v1/feed?limit=100").await.expect(200);
        let author = rng.random_range(0..ATHLETES);
        let path = format!("{}?limit=100", self.of(author, "posts"));
        let posts = self.clients[reader].get(&path).await;
        let mut shown: Vec<&Value> = feed.each("id");
        if posts.status == 200 {
            shown.extend(posts.each("id"));
        }
        for id in shown {
            let known = self.world.posts.iter().find(|post| *id == post.id.as_str());
            let sees = known.is_some_and(|post| self.world.sees_post(reader, post));
            let (seed, told) = (self.seed, self.told.len());
            let name = || {
                let story = self.told.join("; ");
                format!("seed {seed}, told {told}: {reader} sees {id} too early, after: {story}")
            };
            outcome.compare(name, &json!(true), &json!(sees));
        }
        let Some(post) = pick(rng, &self.world.posts) else { return };
        let path = format!("/v1/posts/{}/comments?limit=100", post.id);
        let comments = self.clients[reader].get(&path).await;
        if comments.status != 200 {
            return;
        }
        for id in comments.each("id") {
            let known = self.world.comments.iter().find(|comment| *id == comment.id.as_str());
            let sees = known.is_some_and(|comment| self.world.sees_comment(reader, comment));
            let (seed, told) = (self.seed, self.told.len());
            let name = || format!("seed {seed}, told {told}: {reader} sees comment {id}");
            outcome.compare(name, &json!(true), &json!(sees));
        }
    }

    /// Once the projectors have everything, everybody sees what the model says.
    pub(super) async fn shows_the_same(&self, outcome: &mut Outcome) {
        let (seed, told) = (self.seed, self.told.len());
        for reader in 0..ATHLETES {
            let at = |what: String| format!("seed {seed}, told {told}: {reader} reads {what}");
            let expected = self.posts(reader, |world, post| {
                world.is_followed(reader, post.author) && reader != post.author
            });
            let found = self.pages(reader, "/v1/feed").await;
            outcome.compare(|| at("the feed".to_owned()), &found, &expected);
            for author in 0..ATHLETES {
                let opens = self.world.sees(reader, author, "public");
                let path = self.of(author, "posts");
                if opens {
                    let expected = self.posts(reader, |_, post| post.author == author);
                    let found = self.pages(reader, &path).await;
                    outcome.compare(|| at(path.clone()), &found, &expected);
                } else {
                    let answer = self.clients[reader].get(&path).await;
                    outcome.compare(|| at(path.clone()), &json!(answer.status), &json!(404));
                }
                for (list, of_followers) in [("followers", true), ("following", false)] {
                    let path = self.of(author, list);
                    let answer = self.clients[reader].get(&path).await;
                    let found = if answer.status == 200 { ids(&answer) } else { json!(404) };
                    let expected =
                        if opens { self.people(reader, author, of_followers) } else { json!(404) };
                    outcome.compare(|| at(path.clone()), &found, &expected);
                }
            }
            for (index, post) in self.world.posts.iter().enumerate() {
                let path = format!("/v1/posts/{}", post.id);
                let answer = self.clients[reader].get(&path).await;
                let sees = self.world.sees_post(reader, post);
                outcome.compare(|| at(path.clone()), &json!(answer.status), &status(sees, 200));
                if sees {
                    outcome.compare(
                        || at(path.clone()),
                        &shown(answer.data()),
                        &self.post(reader, post),
                    );
                    let path = format!("{path}/comments?limit=100");
                    let answer = self.clients[reader].get(&path).await.expect(200);
                    let found = answer.list().iter().map(|comment| {
                        json!([comment["id"], comment["text"], comment["likes"], comment["liked"]])
                    });
                    let found: Vec<Value> = found.collect();
                    outcome.compare(
                        || at(path.clone()),
                        &json!(found),
                        &self.comments(reader, index),
                    );
                    let path = format!("/v1/posts/{}/likes?limit=100", post.id);
                    let answer = self.clients[reader].get(&path).await.expect(200);
                    let likers = self.likers(reader, post.author, &post.id);
                    outcome.compare(|| at(path.clone()), &ids(&answer), &likers);
                }
            }
        }
    }

    /// A list in pages of three, put together.
    async fn pages(&self, reader: usize, path: &str) -> Value {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.clients[reader].get(&format!("{path}?limit=3{cursor}")).await;
            let page = page.expect(200);
            all.extend(page.list().iter().map(shown));
            match page.meta()["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return json!(all),
            }
        }
    }

    /// The posts that a reader sees and of which something holds, the last first.
    fn posts(&self, reader: usize, holds: impl Fn(&World, &Post) -> bool) -> Value {
        let mut seen: Vec<&Post> = self
            .world
            .posts
            .iter()
            .filter(|post| self.world.sees_post(reader, post) && holds(&self.world, post))
            .collect();
        seen.sort_by_key(|post| std::cmp::Reverse(post.posted));
        json!(seen.into_iter().map(|post| self.post(reader, post)).collect::<Vec<_>>())
    }

    fn post(&self, reader: usize, post: &Post) -> Value {
        let world = &self.world;
        let likes = world.likes.iter().filter(|(_, id)| *id == post.id).count();
        let index = world.posts.iter().position(|other| other.id == post.id);
        let comments = world
            .comments
            .iter()
            .filter(|comment| Some(comment.post) == index && world.sees_comment(reader, comment));
        json!({
            "id": post.id, "author": self.ids[post.author], "text": post.text,
            "visibility": post.visibility, "likes": likes, "comments": comments.count(),
            "liked": world.likes.contains(&(reader, post.id.clone())),
            "volume_kg": post.workout.as_ref().map(|(_, kg)| kg * 5),
            "hidden": world.hidden.contains(&post.id),
        })
    }

    fn comments(&self, reader: usize, post: usize) -> Value {
        let world = &self.world;
        let seen = world
            .comments
            .iter()
            .filter(|comment| comment.post == post && world.sees_comment(reader, comment));
        let seen = seen.map(|comment| {
            let likes = world.likes.iter().filter(|(_, id)| *id == comment.id).count();
            let liked = world.likes.contains(&(reader, comment.id.clone()));
            json!([comment.id, comment.text, likes, liked])
        });
        json!(seen.collect::<Vec<Value>>())
    }

    fn likers(&self, reader: usize, author: usize, id: &str) -> Value {
        let world = &self.world;
        let likers = world.likes.iter().filter(|(who, liked)| {
            liked == id && world.knows(reader, *who) && !world.is_blocked(author, *who)
        });
        let mut likers: Vec<&String> = likers.map(|(who, _)| &self.ids[*who]).collect();
        likers.sort();
        json!(likers)
    }

    fn people(&self, reader: usize, of: usize, followers: bool) -> Value {
        let world = &self.world;
        let mut people: Vec<&String> = (0..ATHLETES)
            .filter(|other| {
                let follows = if followers {
                    world.is_followed(*other, of)
                } else {
                    world.is_followed(of, *other)
                };
                follows && world.knows(reader, *other) && !world.suspended.contains(other)
            })
            .map(|other| &self.ids[other])
            .collect();
        people.sort();
        json!(people)
    }
}

/// What is compared of a post.
fn shown(post: &Value) -> Value {
    json!({
        "id": post["id"], "author": post["author"]["id"], "text": post["text"],
        "visibility": post["visibility"], "likes": post["likes"], "comments": post["comments"],
        "liked": post["liked"], "volume_kg": post["workout"]["totals"]["volume_kg"],
        "hidden": post["hidden"],
    })
}

/// The ids of a list, in order of themselves.
fn ids(answer: &Answer) -> Value {
    let mut ids: Vec<&str> = answer.each("id").into_iter().filter_map(Value::as_str).collect();
    ids.sort_unstable();
    json!(ids)
}

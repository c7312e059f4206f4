//! What athletes have to do with each other: follows, requests, blocks, privacy, posts, likes and comments.
//!
//! The model knows the rules of `docs/social.md` and nothing of events or rows. The product's
//! projectors stand still while things are told, and are then brought on by batches that are cut
//! anywhere, of some partitions at a time. Before they have everything, nobody may see more than the
//! model allows; once they do, everybody sees exactly that.

mod shows;
mod world;

use events::Partition;
use log::Log;
use projector::{Projection, Projector};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use crate::{Answer, App, Client, Method, bench};
use world::{Comment, Post, World};

/// Athletes of a story.
const ATHLETES: usize = 5;

/// Things that are told in one.
const TURNS: usize = 60;

/// A product whose projectors of people and of history are ours to move.
pub struct Product<S: Projection, H: Projection> {
    /// An `api` process; no projector.
    pub app: App,
    /// An admin.
    pub admin: Client,
    log: Log,
    social: Projector<S>,
    history: Projector<H>,
}

/// What came of stories.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was compared.
    pub comparisons: u64,
    /// Where the product and the model differ.
    pub differences: Vec<String>,
}

impl Outcome {
    fn compare(&mut self, what: impl FnOnce() -> String, found: &Value, expected: &Value) {
        self.comparisons += 1;
        if found != expected {
            self.differences.push(format!("{}: {found} instead of {expected}", what()));
        }
    }
}

impl<S: Projection, H: Projection> Product<S, H> {
    /// One on a database of its own.
    pub async fn start(binary: &std::path::Path) -> Self {
        let app = App::without_projector(binary).await;
        let admin = app.grant(&app.athlete().await, &["--role", "admin"]).await;
        let log = app.database.log();
        let projector = app.database.connect_projector();
        let keys = Some(app.database.projector_keys());
        let social = Projector::new(&projector, log.reader().clone()).with_keys(keys.clone());
        let history = Projector::new(&projector, log.reader().clone()).with_keys(keys);
        social.prepare().await.expect("tables of people");
        history.prepare().await.expect("tables of history");
        let mut product = Self { app, admin, log, social, history };
        product.catch_up(&mut StdRng::seed_from_u64(0)).await;
        product
    }

    /// Brings some partitions on by a few batches.
    async fn move_on(&mut self, rng: &mut StdRng) {
        let all: Vec<Partition> =
            self.log.reader().heads().await.expect("the partitions").into_keys().collect();
        for _ in 0..rng.random_range(1..4) {
            let mut some = all.clone();
            some.shuffle(rng);
            some.truncate(rng.random_range(1..=all.len()));
            let limit = rng.random_range(1..8);
            self.social.step(Some(&some), limit).await.expect("a batch");
            if rng.random_bool(0.5) {
                self.history.step(Some(&some), limit).await.expect("a batch");
            }
        }
    }

    /// Brings everything on, in batches that are cut anywhere.
    async fn catch_up(&mut self, rng: &mut StdRng) {
        self.move_on(rng).await;
        loop {
            let limit = rng.random_range(1..200);
            let social = self.social.step(None, limit).await.expect("a batch");
            let history = self.history.step(None, limit).await.expect("a batch");
            if social + history == 0 {
                return;
            }
        }
    }

    /// Brings the rows of people on to all that the log has of some partitions, or of all.
    pub async fn project(&mut self, partitions: Option<&[Partition]>) {
        while self.social.step(partitions, 1000).await.expect("a batch") > 0 {}
    }

    /// Builds the rows anew from the log, and compares them with those that came bit by bit.
    pub async fn replay(&mut self, outcome: &mut Outcome) {
        self.catch_up(&mut StdRng::seed_from_u64(0)).await;
        let replay = ["replay", S::NAME, "--verify", "--json"];
        let (status, said) = self.app.run_as(&self.app.database.projector_url(), &replay).await;
        outcome.comparisons += 1;
        if !status.success() {
            outcome.differences.push(format!("a replay gives other rows: {said}"));
        }
    }

    /// Tells the story of a seed.
    pub async fn run(&mut self, seed: u64, outcome: &mut Outcome) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut clients = Vec::new();
        for _ in 0..ATHLETES {
            clients.push(self.app.athlete().await);
        }
        let mut story = Story {
            seed,
            ids: clients.iter().map(|client| client.athlete.expect("an id").to_string()).collect(),
            clients,
            admin: self.admin.clone(),
            world: World::default(),
            told: Vec::new(),
        };
        for turn in 0..TURNS {
            story.turn(&mut rng, outcome).await;
            if rng.random_bool(0.3) {
                story.shows_no_more(&mut rng, outcome).await;
                self.move_on(&mut rng).await;
            }
            if turn % 12 == 11 {
                self.catch_up(&mut rng).await;
                story.shows_the_same(outcome).await;
            }
        }
    }
}

struct Story {
    seed: u64,
    clients: Vec<Client>,
    ids: Vec<String>,
    admin: Client,
    world: World,
    told: Vec<String>,
}

const VISIBILITIES: [&str; 3] = ["public", "followers", "private"];

/// A status that a command must have.
fn status(is_good: bool, good: u16) -> Value {
    json!(if is_good { good } else { 404 })
}

impl Story {
    fn of(&self, athlete: usize, what: &str) -> String {
        format!("/v1/athletes/{}/{what}", self.ids[athlete])
    }

    async fn put(&self, who: usize, path: &str) -> Answer {
        Answer::to(self.clients[who].request(Method::PUT, path)).await
    }

    fn told(&mut self, what: String, answer: &Answer, expected: &Value, outcome: &mut Outcome) {
        let number = self.told.len();
        self.told.push(what.clone());
        let seed = self.seed;
        let name = || format!("seed {seed}, told {number}: {what}: {}", answer.body);
        outcome.compare(name, &json!(answer.status), expected);
    }

    /// One thing is told.
    async fn turn(&mut self, rng: &mut StdRng, outcome: &mut Outcome) {
        let who = rng.random_range(0..ATHLETES);
        let other = (who + rng.random_range(1..ATHLETES)) % ATHLETES;
        match rng.random_range(0..22) {
            0..4 => self.follow(who, other, outcome).await,
            4 => self.unfollow(who, other, outcome).await,
            5 | 6 => self.answer(rng, who, other, outcome).await,
            7 => self.block(rng, who, other, outcome).await,
            8 => self.close(rng, who, outcome).await,
            9 | 10 => self.publish(rng, who, outcome).await,
            11 | 12 => self.train(rng, who, outcome).await,
            13 | 14 => self.change(rng, outcome).await,
            15..18 => self.like(rng, who, outcome).await,
            18 | 19 => self.comment(rng, who, outcome).await,
            20 => self.change_comment(rng, who, outcome).await,
            _ => self.moderate(rng, outcome).await,
        }
    }

    async fn follow(&mut self, who: usize, other: usize, outcome: &mut Outcome) {
        let answer = self.put(who, &self.of(other, "follow")).await;
        let world = &mut self.world;
        let expected = if world.suspended.contains(&who) {
            403
        } else if world.blocks.contains(&(who, other)) {
            409
        } else if !world.knows(who, other) {
            404
        } else {
            let waits = world.private.contains(&other);
            match world.follows.get(&(who, other)) {
                Some(false) => {}
                Some(true) if waits => {}
                _ => {
                    world.follows.insert((who, other), waits);
                }
            }
            200
        };
        self.told(format!("{who} follows {other}"), &answer, &json!(expected), outcome);
    }

    async fn unfollow(&mut self, who: usize, other: usize, outcome: &mut Outcome) {
        let answer = self.clients[who].delete(&self.of(other, "follow")).await;
        let reaches = self.world.reaches(who, other);
        if reaches {
            self.world.follows.remove(&(who, other));
        }
        self.told(format!("{who} unfollows {other}"), &answer, &status(reaches, 200), outcome);
    }

    /// Somebody accepts a request, this one or one of before, or ends that they are followed.
    async fn answer(&mut self, rng: &mut StdRng, who: usize, other: usize, outcome: &mut Outcome) {
        if rng.random_bool(0.3) {
            let path = format!("/v1/followers/{}", self.ids[other]);
            let answer = self.clients[who].delete(&path).await;
            let reaches = self.world.reaches(who, other);
            if reaches {
                self.world.follows.remove(&(other, who));
            }
            let expected = status(reaches, 200);
            return self.told(format!("{who} removes {other}"), &answer, &expected, outcome);
        }
        let waits = self.world.follows.get(&(other, who)) == Some(&true);
        let relation = self.clients[who].get(&self.of(other, "relation")).await;
        let request = relation.body["data"]["request"].clone();
        let knows = self.world.knows(who, other);
        if knows {
            let seed = self.seed;
            let name = || format!("seed {seed}: whether {other} asks {who}");
            outcome.compare(name, &json!(request.is_string()), &json!(waits));
        }
        let is_old = !request.is_string() || rng.random_bool(0.2);
        let follow = if is_old { json!(crate::new_id()) } else { request };
        let path = format!("/v1/followers/requests/{}/accept", self.ids[other]);
        let answer = self.clients[who].post(&path, json!({ "follow": follow })).await;
        let expected = if self.world.suspended.contains(&who) {
            403
        } else if is_old {
            404
        } else {
            self.world.follows.insert((other, who), false);
            200
        };
        self.told(format!("{who} accepts {other}"), &answer, &json!(expected), outcome);
    }

    async fn block(&mut self, rng: &mut StdRng, who: usize, other: usize, outcome: &mut Outcome) {
        let path = self.of(other, "block");
        let reaches = self.world.reaches(who, other);
        let expected = status(reaches, 200);
        if rng.random_bool(0.5) {
            let answer = self.put(who, &path).await;
            if reaches && self.world.blocks.insert((who, other)) {
                self.world.part(who, other);
            }
            self.told(format!("{who} blocks {other}"), &answer, &expected, outcome);
        } else {
            let answer = self.clients[who].delete(&path).await;
            self.world.blocks.remove(&(who, other));
            self.told(format!("{who} unblocks {other}"), &answer, &expected, outcome);
        }
    }

    async fn close(&mut self, rng: &mut StdRng, who: usize, outcome: &mut Outcome) {
        let is_private = rng.random_bool(0.5);
        let body = json!({ "privacy": { "private_profile": is_private } });
        let answer = self.clients[who].patch("/v1/athletes/me", body).await;
        if is_private {
            self.world.private.insert(who);
        } else {
            self.world.private.remove(&who);
        }
        self.told(format!("{who} private: {is_private}"), &answer, &json!(200), outcome);
    }

    async fn publish(&mut self, rng: &mut StdRng, who: usize, outcome: &mut Outcome) {
        let visibility = VISIBILITIES[rng.random_range(0..VISIBILITIES.len())];
        let text = format!("Text {}", self.world.posted);
        let body = json!({ "text": text, "visibility": visibility });
        let answer = self.clients[who].post("/v1/posts", body).await;
        let may = !self.world.suspended.contains(&who);
        if answer.status == 201 {
            self.world.posted += 1;
            self.world.posts.push(Post {
                author: who,
                id: answer.data()["id"].as_str().expect("an id").to_owned(),
                workout: None,
                visibility,
                text: Some(text),
                posted: Some(self.world.posted),
                is_there: true,
            });
        }
        let expected = if may { 201 } else { 403 };
        self.told(format!("{who} writes"), &answer, &json!(expected), outcome);
    }

    async fn train(&mut self, rng: &mut StdRng, who: usize, outcome: &mut Outcome) {
        let visibility = VISIBILITIES[rng.random_range(0..VISIBILITIES.len())];
        let client = self.clients[who].clone();
        let workout = client.start_workout(json!({ "visibility": visibility })).await;
        let kg = rng.random_range(40..100);
        client.log_set(&workout, bench(5, kg)).await.expect(201);
        let answer = client.complete(&workout, json!({})).await;
        let shared = visibility != "private";
        self.world.posted += 1;
        let posted = shared.then_some(self.world.posted);
        // The post's id is known once it was asked for; of a private one, nobody has it.
        let id = if shared && !self.world.suspended.contains(&who) {
            let share = client.post(&format!("{workout}/share"), json!({})).await.expect(200);
            share.data()["id"].as_str().expect("an id").to_owned()
        } else {
            let share = client.delete(&format!("{workout}/share")).await.expect(200);
            share.data()["id"].as_str().expect("an id").to_owned()
        };
        let posted = posted.filter(|_| !self.world.suspended.contains(&who));
        self.world.posts.push(Post {
            author: who,
            id,
            workout: Some((workout, kg)),
            visibility,
            text: None,
            posted,
            is_there: true,
        });
        self.told(format!("{who} trains"), &answer, &json!(200), outcome);
    }

    /// Something of somebody's becomes something else.
    async fn change(&mut self, rng: &mut StdRng, outcome: &mut Outcome) {
        if self.world.posts.is_empty() {
            return;
        }
        let index = rng.random_range(0..self.world.posts.len());
        let visibility = VISIBILITIES[rng.random_range(0..VISIBILITIES.len())];
        self.world.posted += 1;
        let posted = self.world.posted;
        let post = &mut self.world.posts[index];
        let (client, author) = (self.clients[post.author].clone(), post.author);
        let is_suspended = self.world.suspended.contains(&author);
        let path = format!("/v1/posts/{}", post.id);
        let (answer, expected) = match (post.workout.clone(), rng.random_range(0..5)) {
            (None, 0) => {
                let answer = client.delete(&path).await;
                (post.posted, post.is_there) = (None, false);
                (answer, 200)
            }
            (None, _) => {
                let text = format!("Text {posted}");
                let body = json!({ "text": text, "visibility": visibility });
                let answer = client.patch(&path, body).await;
                let good = post.is_there && !is_suspended;
                if good {
                    (post.text, post.visibility) = (Some(text), visibility);
                }
                (answer, if is_suspended { 403 } else { status_of(good) })
            }
            (Some((workout, _)), 0) => {
                let answer = client.delete(&workout).await;
                (post.posted, post.is_there) = (None, false);
                (answer, 200)
            }
            (Some((workout, _)), 1) => {
                let share = format!("{workout}/share");
                let text = format!("Look {posted}");
                let answer = client.post(&share, json!({ "text": text })).await;
                let expected = match (is_suspended, post.is_there, post.visibility) {
                    (true, ..) => 403,
                    (_, false, _) | (_, _, "private") => 409,
                    _ => {
                        post.posted.get_or_insert(posted);
                        post.text = Some(text);
                        200
                    }
                };
                (answer, expected)
            }
            (Some(_), 2) => {
                let answer = client.delete(&path).await;
                (post.posted, post.text) = (None, None);
                (answer, 200)
            }
            (Some((workout, _)), 3) => {
                let answer = client.patch(&workout, json!({ "visibility": visibility })).await;
                if post.is_there {
                    post.visibility = visibility;
                }
                (answer, if post.is_there { 200 } else { 409 })
            }
            (Some((workout, _)), _) => {
                let kg = rng.random_range(40..100);
                let shown = client.get(&workout).await.expect(200);
                let set = shown.data()["sets"][0]["id"].as_str().expect("a set").to_owned();
                let body = json!({ "weight": { "value": kg, "unit": "kg" } });
                let answer = client.patch(&format!("{workout}/sets/{set}"), body).await;
                if post.is_there {
                    post.workout = Some((workout, kg));
                }
                (answer, if post.is_there { 200 } else { 409 })
            }
        };
        self.told(format!("{author} changes post {index}"), &answer, &json!(expected), outcome);
    }

    async fn like(&mut self, rng: &mut StdRng, who: usize, outcome: &mut Outcome) {
        let likes = rng.random_bool(0.75);
        let of_comment = rng.random_bool(0.3) && !self.world.comments.is_empty();
        let world = &self.world;
        let (path, id, sees) = if of_comment {
            let comment = &world.comments[rng.random_range(0..world.comments.len())];
            let path = format!("/v1/comments/{}/like", comment.id);
            (path, comment.id.clone(), world.sees_comment(who, comment))
        } else {
            let Some(post) = pick(rng, &world.posts) else { return };
            let path = format!("/v1/posts/{}/like", post.id);
            (path, post.id.clone(), world.sees_post(who, post))
        };
        let (answer, expected) = if !likes {
            self.world.likes.remove(&(who, id));
            (self.clients[who].delete(&path).await, 200)
        } else if self.world.suspended.contains(&who) {
            (self.put(who, &path).await, 403)
        } else {
            if sees {
                self.world.likes.insert((who, id));
            }
            (self.put(who, &path).await, status_of(sees))
        };
        self.told(format!("{who} likes {path}: {likes}"), &answer, &json!(expected), outcome);
    }

    async fn comment(&mut self, rng: &mut StdRng, who: usize, outcome: &mut Outcome) {
        if self.world.posts.is_empty() {
            return;
        }
        let index = rng.random_range(0..self.world.posts.len());
        let post = &self.world.posts[index];
        let sees = self.world.sees_post(who, post);
        let text = format!("Comment {}", self.world.comments.len());
        let path = format!("/v1/posts/{}/comments", post.id);
        let answer = self.clients[who].post(&path, json!({ "text": text })).await;
        let expected = match (self.world.suspended.contains(&who), sees) {
            (true, _) => 403,
            (false, true) => 201,
            (false, false) => 404,
        };
        if answer.status == 201 {
            let id = answer.data()["id"].as_str().expect("an id").to_owned();
            let (author, post) = (who, index);
            self.world.comments.push(Comment { author, post, id, text, is_there: true });
        }
        self.told(format!("{who} comments on {index}"), &answer, &json!(expected), outcome);
    }

    async fn change_comment(&mut self, rng: &mut StdRng, who: usize, outcome: &mut Outcome) {
        if self.world.comments.is_empty() {
            return;
        }
        let index = rng.random_range(0..self.world.comments.len());
        let author_of_post = self.world.posts[self.world.comments[index].post].author;
        let is_suspended = self.world.suspended.contains(&who);
        let sees = self.world.sees_comment(who, &self.world.comments[index]);
        let comment = &mut self.world.comments[index];
        let path = format!("/v1/comments/{}", comment.id);
        let is_own = comment.author == who;
        let (answer, expected) = if rng.random_bool(0.5) {
            let text = format!("Edited {}", self.told.len());
            let answer = self.clients[who].patch(&path, json!({ "text": text })).await;
            let expected = match (is_own, is_suspended) {
                (false, _) => 404,
                (true, true) => 403,
                (true, false) => {
                    if sees {
                        comment.text = text;
                    }
                    status_of(sees)
                }
            };
            (answer, expected)
        } else {
            let may = is_own || author_of_post == who;
            let answer = self.clients[who].delete(&path).await;
            if may {
                comment.is_there = false;
            }
            (answer, status_of(may))
        };
        self.told(format!("{who} changes comment {index}"), &answer, &json!(expected), outcome);
    }

    /// An admin hides something or suspends somebody, or takes it back.
    async fn moderate(&mut self, rng: &mut StdRng, outcome: &mut Outcome) {
        let back = rng.random_bool(0.6);
        if rng.random_bool(0.6) {
            let ids: Vec<String> = self
                .world
                .posts
                .iter()
                .map(|post| post.id.clone())
                .chain(self.world.comments.iter().map(|comment| comment.id.clone()))
                .collect();
            let hidden: Vec<String> = self.world.hidden.iter().cloned().collect();
            let Some(id) = pick(rng, if back { &hidden } else { &ids }).cloned() else { return };
            let path = format!("/v1/admin/content/{id}/hidden");
            let method = if back { Method::DELETE } else { Method::PUT };
            let answer = Answer::to(self.admin.request(method, &path)).await;
            // Of a comment that was taken away from under a post, the model does not know whose doing it was.
            let is_post = self.world.posts.iter().find(|post| post.id == id);
            let is_there = is_post.map_or(answer.status == 200, |post| post.posted.is_some());
            if back {
                self.world.hidden.remove(&id);
            } else if is_there {
                self.world.hidden.insert(id.clone());
            }
            let expected = status(back || is_there, 200);
            self.told(format!("{id} hidden: {}", !back), &answer, &expected, outcome);
        } else {
            let suspended: Vec<usize> = self.world.suspended.iter().copied().collect();
            let all: Vec<usize> = (0..ATHLETES).collect();
            let Some(who) = pick(rng, if back { &suspended } else { &all }).copied() else {
                return;
            };
            let path = format!("/v1/admin/accounts/{}/suspension", self.ids[who]);
            let answer = if back {
                self.world.suspended.remove(&who);
                self.admin.delete(&path).await
            } else {
                self.world.suspended.insert(who);
                let request = self.admin.request(Method::PUT, &path);
                Answer::to(request.json(&json!({}))).await
            };
            self.told(format!("{who} suspended: {}", !back), &answer, &json!(200), outcome);
        }
    }
}

fn status_of(is_good: bool) -> u16 {
    if is_good { 200 } else { 404 }
}

fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(rng.random_range(0..from.len())) }
}

//! What the product shows, held against what is true.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use axum::{body::Body, http::Request};
use chrono::NaiveDate;
use events::Sex;
use rand::RngExt;
use rust_decimal::Decimal;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;
use web::{Caller, Credential, Role, Tier};

use super::Story;
use crate::{
    Outcome,
    world::{self, BOARDS, Place, Standings, standings},
};

/// What Redis does after the tables have it takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Story {
    /// Looks at everything, once all that was told is in the tables.
    pub(super) async fn look(&mut self, outcome: &mut Outcome) -> Result<()> {
        self.catch_up().await?;
        let day = self.now().date_naive();
        let now = standings(&self.athletes, day);
        self.close(day.pred_opt().unwrap_or(day));
        if self.redis.is_some() {
            self.sets(&now, outcome).await?;
        }
        for _ in 0..40 {
            let board = BOARDS[self.rng.random_range(0..BOARDS.len())];
            self.board(board, &now, outcome).await?;
        }
        Ok(())
    }

    /// Whether Redis comes to have every set.
    async fn sets(&mut self, now: &Standings, outcome: &mut Outcome) -> Result<()> {
        let began = Instant::now();
        let mut amongs = vec![("all".to_owned(), None, None)];
        for (word, sex) in [("female", Sex::Female), ("male", Sex::Male)] {
            amongs.push((word.to_owned(), Some(sex), None));
            let of_class = |class| (format!("{word} {class}"), Some(sex), Some(class));
            amongs.extend(world::classes(sex).map(of_class));
        }
        for board in BOARDS {
            for (among, sex, class) in &amongs {
                let places = world::ranked(&now[board], *sex, *class, None);
                let expected: Vec<(Uuid, i64)> =
                    places.iter().map(|(_, place)| (place.owner, place.score)).collect();
                let mut found = Vec::new();
                while found != expected || began.elapsed().is_zero() {
                    found = match self.key(board, among).await? {
                        Some(key) => self.members(&key).await?,
                        None => vec![(Uuid::nil(), 0)],
                    };
                    if found == expected || began.elapsed() > PATIENCE {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let what = || format!("seed {} Redis {board} {among}", self.seed);
                outcome.compare(what, &found, &expected);
            }
        }
        Ok(())
    }

    async fn members(&self, key: &str) -> Result<Vec<(Uuid, i64)>> {
        let all = self.ask(redis::Cmd::zrange_withscores(key, 0, -1)).await?;
        let all: Vec<(Vec<u8>, f64)> = redis::from_redis_value(all)?;
        let member = |(id, score): (Vec<u8>, f64)| Ok((Uuid::from_slice(&id)?, -score as i64));
        all.into_iter().map(member).collect()
    }

    /// A board as somebody sees it.
    async fn board(
        &mut self,
        board: &'static str,
        now: &Standings,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let viewer = self.rng.random_range(0..self.athletes.len());
        let sex = [None, Some(Sex::Female), Some(Sex::Male)][self.rng.random_range(0..3)];
        let class = sex
            .filter(|_| self.rng.random_bool(0.5))
            .map(|sex| world::classes(sex)[self.rng.random_range(0..8)]);
        let is_following = self.rng.random_bool(0.3);
        let days: Vec<NaiveDate> = self.past.keys().copied().collect();
        let on = days.get(self.rng.random_range(0..days.len() * 2 + 1)).copied();
        let limit = self.rng.random_range(1..=20);
        let mut path = format!("/v1/leaderboards/{board}?limit={limit}");
        if let Some(sex) = sex {
            path += if sex == Sex::Male { "&sex=male" } else { "&sex=female" };
        }
        if let Some(class) = class {
            path += &format!("&class={}", class.replace('+', "%2B"));
        }
        if is_following {
            path += "&of=following";
        }
        if let Some(on) = on {
            path += &format!("&on={on}");
        }
        let athlete = &self.athletes[viewer];
        let mut some: BTreeSet<Uuid> = athlete.follows.keys().map(|id| id.uuid()).collect();
        some.insert(athlete.id.uuid());
        let standings = on.map_or(now, |on| &self.past[&on]);
        let places = world::ranked(&standings[board], sex, class, is_following.then_some(&some));
        let expected = self.expected(viewer, board, &places, limit, on.is_some() && !is_following);
        for (index, router) in self.routers.iter().enumerate() {
            let mut request = Request::get(&path).body(Body::empty())?;
            request.extensions_mut().insert(Caller {
                athlete: athlete.id.uuid(),
                partition: athlete.partition.0,
                tier: Tier::Free,
                actor: athlete.id.uuid(),
                role: Role::Athlete,
                credential: Credential::Session(Uuid::nil()),
            });
            let answer = router.clone().oneshot(request).await?;
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 24).await?;
            ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&body));
            let body: Value = serde_json::from_slice(&body)?;
            let found = shown(&body["data"]);
            let which = ["with Redis", "without"][index];
            let what = || format!("seed {} {which} {path} of {viewer}", self.seed);
            outcome.compare(what, &found, &expected);
        }
        Ok(())
    }

    /// What a board is to show, in a line each.
    fn expected(
        &self,
        viewer: usize,
        board: &str,
        places: &[(i64, Place)],
        limit: usize,
        is_uncounted: bool,
    ) -> Vec<String> {
        let me = &self.athletes[viewer];
        let line = |what: &str, (rank, place): &(i64, Place)| {
            let of = self.athletes.iter().position(|other| other.id.uuid() == place.owner);
            let name = of.map_or(String::new(), |of| {
                let other = &self.athletes[of];
                let follows = me.follows.contains_key(&other.id);
                if of == viewer || !other.is_private || follows {
                    other.id.to_string()
                } else {
                    "nobody".to_owned()
                }
            });
            format!("{what} {rank} {name} {}", figure(board, place.score))
        };
        let count = if is_uncounted { "?".to_owned() } else { places.len().to_string() };
        let mut lines = vec![format!("{count} athletes")];
        lines.extend(places.iter().take(limit).map(|place| line("top", place)));
        if let Some(at) = places.iter().position(|(_, place)| place.owner == me.id.uuid()) {
            lines.push(format!("me {} {}", places[at].0, figure(board, places[at].1.score)));
            let around = &places[at.saturating_sub(5)..places.len().min(at + 6)];
            lines.extend(around.iter().map(|place| line("around", place)));
        }
        lines
    }
}

/// A score as it is shown.
fn figure(board: &str, score: i64) -> String {
    let places = match board {
        "dots" => 2,
        workouts if workouts.starts_with("workouts") => 0,
        _ => 3,
    };
    Decimal::new(score, places).normalize().to_string()
}

/// What an answer shows, in a line each.
fn shown(data: &Value) -> Vec<String> {
    let entry = |what: &str, entry: &Value| {
        let name = entry["athlete"]["id"].as_str().unwrap_or("nobody");
        format!("{what} {} {name} {}", entry["rank"], entry["score"])
    };
    let count = data["athletes"].as_i64().map_or("?".to_owned(), |count| count.to_string());
    let mut lines = vec![format!("{count} athletes")];
    let list = |name: &str| data[name].as_array().cloned().unwrap_or_default();
    lines.extend(list("top").iter().map(|place| entry("top", place)));
    if !data["me"].is_null() {
        lines.push(format!("me {} {}", data["me"]["rank"], data["me"]["score"]));
    }
    lines.extend(list("around").iter().map(|place| entry("around", place)));
    lines
}

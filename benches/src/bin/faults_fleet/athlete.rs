//! Somebody who trains while all goes wrong, sends again what was not answered, and remembers what
//! was.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{PASSWORD, email, new_id};
use tokio::{sync::watch, time::sleep};
use uuid::Uuid;

use crate::{
    ledger::{Found, Known, Ledger, There, Values},
    world::World,
};

/// An answer that takes longer is not waited for; longer than the product waits for anything.
const PATIENCE: Duration = Duration::from_secs(12);

/// After so long in vain, somebody is to blame. No fault lasts that long.
const LONGEST: Duration = Duration::from_secs(90);

/// How often somebody who is not answered gives up for good.
const GIVES_UP: f64 = 0.02;

/// An athlete, with everything it knows.
pub(crate) struct Athlete {
    world: Arc<World>,
    http: reqwest::Client,
    rng: StdRng,
    email: String,
    token: String,
    /// The last answered command's.
    position: Option<String>,
    /// Reads that were answered, and held to what was acknowledged.
    pub(crate) reads: u64,
    pub(crate) ledger: Ledger,
}

/// What came back.
enum Answer {
    /// Something definite: a status and the body.
    Said(StatusCode, Value),
    /// It may have happened or not.
    Nothing(String),
}

impl Athlete {
    /// Registers, however long that takes.
    pub(crate) async fn register(world: Arc<World>, seed: u64) -> Result<Self> {
        let mut athlete = Self {
            world,
            http: testkit::http().timeout(PATIENCE).build()?,
            rng: StdRng::seed_from_u64(seed),
            email: email(),
            token: String::new(),
            position: None,
            reads: 0,
            ledger: Ledger::default(),
        };
        let body = json!({
            "email": athlete.email, "password": PASSWORD, "time_zone": "Europe/Paris",
        });
        let (status, body) = athlete.insist(&Method::POST, "/v1/auth/register", &body).await?;
        match status {
            StatusCode::CREATED => athlete.take_token(&body)?,
            // An attempt that nobody answered had done it.
            StatusCode::CONFLICT => athlete.sign_in().await?,
            _ => bail!("registering was answered {status}: {body}"),
        }
        Ok(athlete)
    }

    /// Trains until told to stop.
    pub(crate) async fn train(mut self, stop: watch::Receiver<bool>) -> Result<Self> {
        while !*stop.borrow() {
            let Some(workout) = self.start_workout().await? else { continue };
            for _ in 0..self.rng.random_range(5..25) {
                if *stop.borrow() {
                    break;
                }
                match self.rng.random_range(0..100) {
                    0..65 => drop(self.log(workout).await?),
                    65..80 => self.correct(workout).await?,
                    80..88 => self.remove(workout).await?,
                    _ => self.read(workout, false).await?,
                }
                sleep(Duration::from_millis(self.rng.random_range(20..120))).await;
            }
            // One without sets is refused.
            if self.some_set(workout).is_some() && self.rng.random_bool(0.8) {
                let path = format!("/v1/workouts/{workout}/complete");
                self.command(&Method::POST, &path, &json!({ "rating": 4 })).await?;
            }
        }
        Ok(self)
    }

    /// Logs one set more and reads it back; answers how long it took to be seen.
    pub(crate) async fn probe(&mut self) -> Result<Duration> {
        let workout = self.start_workout().await?.context("a workout")?;
        ensure!(self.log(workout).await?, "a set was not taken though all is well");
        let began = Instant::now();
        self.read(workout, true).await?;
        Ok(began.elapsed())
    }

    async fn start_workout(&mut self) -> Result<Option<Uuid>> {
        let id = new_id();
        let made = self.command(&Method::POST, "/v1/workouts", &json!({ "id": id })).await?;
        Ok(made.then_some(id))
    }

    async fn log(&mut self, workout: Uuid) -> Result<bool> {
        let (set, values) = (new_id(), self.values());
        let body = json!({
            "id": set,
            "exercise": "bench-press-barbell",
            "number": 1,
            "reps": values.reps,
            "weight": { "value": values.kg, "unit": "kg" },
        });
        let path = format!("/v1/workouts/{workout}/sets");
        let taken = self.command(&Method::POST, &path, &body).await?;
        let there = if taken { There::Yes } else { There::Perhaps };
        self.ledger.sets.insert(set, Known { workout, there, values: vec![values] });
        Ok(taken)
    }

    async fn correct(&mut self, workout: Uuid) -> Result<()> {
        let Some(set) = self.some_set(workout) else { return Ok(()) };
        let values = self.values();
        let body = json!({
            "reps": values.reps, "weight": { "value": values.kg, "unit": "kg" },
        });
        let path = format!("/v1/workouts/{workout}/sets/{set}");
        let taken = self.command(&Method::PATCH, &path, &body).await?;
        if let Some(known) = self.ledger.sets.get_mut(&set) {
            if taken {
                known.values.clear();
            }
            known.values.push(values);
        }
        Ok(())
    }

    async fn remove(&mut self, workout: Uuid) -> Result<()> {
        let Some(set) = self.some_set(workout) else { return Ok(()) };
        let path = format!("/v1/workouts/{workout}/sets/{set}");
        let taken = self.command(&Method::DELETE, &path, &Value::Null).await?;
        if let Some(known) = self.ledger.sets.get_mut(&set) {
            known.there = if taken { There::No } else { There::Perhaps };
        }
        Ok(())
    }

    /// Reads the workout in history, where everything acknowledged must be; unless `surely`, it may
    /// not be there yet.
    async fn read(&mut self, workout: Uuid, surely: bool) -> Result<()> {
        let Some(position) = self.position.clone() else { return Ok(()) };
        let began = Instant::now();
        let body = loop {
            match self.ask(&Method::GET, "/v1/history?limit=5", &Value::Null, Some(&position)).await
            {
                Answer::Said(StatusCode::OK, body) => break body,
                Answer::Said(StatusCode::UNAUTHORIZED, _) => self.sign_in().await?,
                Answer::Said(status, body) => {
                    self.world.wrong(format!("a read was answered {status}: {body}"));
                    return Ok(());
                }
                Answer::Nothing(_) if !surely => return Ok(()),
                Answer::Nothing(why) => {
                    ensure!(began.elapsed() < LONGEST, "in vain read history: {why}");
                }
            }
        };
        self.reads += 1;
        let mut found = BTreeMap::new();
        for shown in body["data"].as_array().into_iter().flatten() {
            if id_of(shown) == Some(workout) {
                collect(shown, &mut found, &mut 0);
            }
        }
        for wrong in self.ledger.compare(&found, Some(workout)) {
            self.world.wrong(format!("read back at {position}: {wrong}"));
        }
        Ok(())
    }

    /// Everything in history, page by page; answers how many sets were there more than once.
    pub(crate) async fn history(&mut self) -> Result<(BTreeMap<Uuid, Found>, u64)> {
        let position = self.position.clone().unwrap_or_default();
        let (mut found, mut doubled, mut cursor) = (BTreeMap::new(), 0, String::new());
        loop {
            let path = format!("/v1/history?limit=50{cursor}");
            let body = match self.ask(&Method::GET, &path, &Value::Null, Some(&position)).await {
                Answer::Said(StatusCode::OK, body) => body,
                Answer::Said(StatusCode::UNAUTHORIZED, _) => {
                    self.sign_in().await?;
                    continue;
                }
                Answer::Said(status, body) => bail!("history was answered {status}: {body}"),
                Answer::Nothing(why) => bail!("history was not answered: {why}"),
            };
            for shown in body["data"].as_array().context("a list")? {
                collect(shown, &mut found, &mut doubled);
            }
            match body["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok((found, doubled)),
            }
        }
    }

    /// A set that is surely there.
    fn some_set(&mut self, workout: Uuid) -> Option<Uuid> {
        let sets = self.ledger.sets.iter();
        let there: Vec<Uuid> = sets
            .filter(|(_, known)| known.workout == workout && known.there == There::Yes)
            .map(|(set, _)| *set)
            .collect();
        if there.is_empty() { None } else { Some(there[self.rng.random_range(0..there.len())]) }
    }

    fn values(&mut self) -> Values {
        Values { reps: self.rng.random_range(1..60), kg: self.rng.random_range(1..500) }
    }

    /// Sends a command again and again until it is answered; now and then somebody gives up, and
    /// never knows. `true` when it was taken.
    async fn command(&mut self, method: &Method, path: &str, body: &Value) -> Result<bool> {
        let began = Instant::now();
        loop {
            match self.ask(method, path, body, None).await {
                Answer::Said(status, body) if status.is_success() => {
                    self.position = body["meta"]["position"].as_str().map(str::to_owned);
                    ensure!(self.position.is_some(), "{method} {path} gave no position: {body}");
                    self.ledger.acknowledged += 1;
                    return Ok(true);
                }
                Answer::Said(StatusCode::UNAUTHORIZED, _) => self.sign_in().await?,
                Answer::Said(status, answer) => {
                    let what = format!("{method} {path} {body} was refused: {status} {answer}");
                    self.world.wrong(what);
                    return Ok(false);
                }
                Answer::Nothing(why) => {
                    if self.rng.random_bool(GIVES_UP) {
                        return Ok(false);
                    }
                    ensure!(began.elapsed() < LONGEST, "in vain sent {method} {path}: {why}");
                    self.pause().await;
                }
            }
        }
    }

    /// Sends something again and again until it is answered.
    async fn insist(
        &mut self,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value)> {
        let began = Instant::now();
        loop {
            match self.ask(method, path, body, None).await {
                Answer::Said(status, body) => return Ok((status, body)),
                Answer::Nothing(why) => {
                    ensure!(began.elapsed() < LONGEST, "in vain sent {method} {path}: {why}");
                    self.pause().await;
                }
            }
        }
    }

    async fn sign_in(&mut self) -> Result<()> {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let (status, body) = self.insist(&Method::POST, "/v1/auth/login", &body).await?;
        ensure!(status == StatusCode::OK, "signing in was answered {status}: {body}");
        self.take_token(&body)
    }

    fn take_token(&mut self, body: &Value) -> Result<()> {
        let token = body["data"]["access_token"].as_str().context("a token")?;
        self.token = token.to_owned();
        Ok(())
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(self.rng.random_range(50..400))).await;
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: &Value,
        position: Option<&str>,
    ) -> Answer {
        let url = format!("{}{path}", self.world.address());
        let mut request = self.http.request(method.clone(), url).bearer_auth(&self.token);
        request = request.header("x-internal-bypass", testkit::BYPASS_KEY);
        if !body.is_null() {
            request = request.json(body);
        }
        if let Some(position) = position {
            request = request.header("x-min-position", position);
        }
        let answer = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status(), response.text().await?))
        };
        let (status, text) = match answer.await {
            Ok(answer) => answer,
            Err(error) => return Answer::Nothing(error.to_string()),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            self.world.wrong(format!("{method} {path} was answered 500: {text}"));
        }
        let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        if again || status.is_server_error() {
            return Answer::Nothing(format!("{status} {text}"));
        }
        Answer::Said(status, serde_json::from_str(&text).unwrap_or_default())
    }
}

fn id_of(shown: &Value) -> Option<Uuid> {
    shown["id"].as_str()?.parse().ok()
}

/// Takes the sets of a workout as history shows it.
fn collect(workout: &Value, found: &mut BTreeMap<Uuid, Found>, doubled: &mut u64) {
    let Some(id) = id_of(workout) else { return };
    for set in workout["sets"].as_array().into_iter().flatten() {
        let Some(set_id) = id_of(set) else { continue };
        let place = Found { workout: id, values: Values::of(set) };
        *doubled += u64::from(found.insert(set_id, place).is_some());
    }
}

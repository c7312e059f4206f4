//! Watching a leaderboard as an app would.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;

use crate::{Answer, Client, Method};

/// A client that watches a leaderboard, and keeps what it shows.
pub struct Watching {
    answer: reqwest::Response,
    text: String,
    /// The entries by place.
    pub shown: Vec<Value>,
    /// The id of the last event.
    pub last_id: String,
}

impl Watching {
    /// Watches `BOARD/live?…`, from the event of an id on; else how that was refused.
    pub async fn of(client: &Client, path: &str, last_id: Option<&str>) -> Result<Self, Answer> {
        let answer = request(client, path, last_id).send().await.expect("an answer");
        if answer.status() == 200 {
            return Ok(Self::on(answer));
        }
        Err(Answer::to(request(client, path, last_id)).await)
    }

    /// The same where nobody may be there.
    pub async fn try_of(client: &Client, path: &str, last_id: Option<&str>) -> Option<Self> {
        let answer = request(client, path, last_id).send().await.ok()?;
        (answer.status() == 200).then(|| Self::on(answer))
    }

    fn on(answer: reqwest::Response) -> Self {
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new(), shown: Vec::new(), last_id: String::new() }
    }

    /// The next event, its name and how many places it tells of; nothing where the stream ends.
    pub async fn next(&mut self) -> Option<(String, usize)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim()
                };
                if field("data:").is_empty() {
                    continue;
                }
                let data: Value = serde_json::from_str(field("data:")).expect("an event");
                let entries = data["entries"].as_array().expect("an event");
                let (name, count) = (field("event:").to_owned(), entries.len());
                if name == "board" {
                    self.shown.clear();
                }
                self.shown.resize(data["length"].as_u64().expect("an event") as usize, Value::Null);
                for entry in entries {
                    self.shown[entry["place"].as_u64().expect("an event") as usize - 1] =
                        entry.clone();
                }
                self.last_id = field("id:").to_owned();
                return Some((name, count));
            }
            let piece = self.answer.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&piece).expect("an event"));
        }
    }

    /// The scores, in their order.
    pub fn scores(&self) -> Vec<f64> {
        self.shown.iter().map(|entry| entry["score"].as_f64().expect("an event")).collect()
    }
}

fn request(client: &Client, path: &str, last_id: Option<&str>) -> RequestBuilder {
    let request = client.request(Method::GET, &format!("/v1/leaderboards/{path}"));
    let request = request.timeout(Duration::from_secs(120));
    match last_id {
        Some(id) => request.header("Last-Event-ID", id),
        None => request,
    }
}

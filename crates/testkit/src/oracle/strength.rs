//! Is every level and percentile a recomputation's?

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy::MidpointNearestEven, dec};
use serde_json::Value;

use super::{EXERCISES, Life, Maximum, decimal, truth};
use crate::{Answer, Client};

/// Multiples of the bodyweight from novice up, as they are published, of the exercises that are done
/// here: men's, then women's.
const TABLES: [(&str, [[Decimal; 4]; 2]); 2] = [
    (
        "bench-press-barbell",
        [
            [dec!(0.75), dec!(1.25), dec!(1.75), dec!(2.25)],
            [dec!(0.5), dec!(0.75), dec!(1.0), dec!(1.5)],
        ],
    ),
    (
        "squat-barbell",
        [
            [dec!(1.25), dec!(1.75), dec!(2.5), dec!(3.25)],
            [dec!(0.75), dec!(1.25), dec!(1.75), dec!(2.5)],
        ],
    ),
];

const LEVELS: [&str; 5] = ["beginner", "novice", "intermediate", "advanced", "elite"];

/// The weight classes: the last has no limit.
const MEN: [u32; 7] = [59, 66, 74, 83, 93, 105, 120];
const WOMEN: [u32; 7] = [47, 52, 57, 63, 69, 76, 84];

/// What an answer says of an exercise.
struct Shown {
    as_of: DateTime<Utc>,
    by_exercise: BTreeMap<String, Value>,
}

/// Among whom somebody is counted: all, those of the sex, those of the class.
fn among(sex: Option<&str>, bodyweight: Option<Decimal>) -> [Option<String>; 3] {
    let class = sex.zip(bodyweight).map(|(sex, kg)| {
        let limits = if sex == "male" { MEN } else { WOMEN };
        let limit = limits.into_iter().find(|limit| kg <= Decimal::from(*limit));
        let class = limit.map_or_else(|| format!("{}+", limits[6]), |limit| limit.to_string());
        format!("{sex} {class}")
    });
    [Some("all".to_owned()), sex.map(str::to_owned), class]
}

async fn get(client: &Client, path: &str, position: Option<&str>) -> Answer {
    match position {
        Some(position) => client.get_at(path, position).await,
        None => client.get(path).await,
    }
}

fn number(value: &Value) -> Option<Decimal> {
    value.as_number().map(|number| decimal(&number.to_string()))
}

impl Life {
    /// Compares levels with the truth.
    pub(super) async fn compare_levels(&mut self, position: &str) -> Option<String> {
        let shown = self.levels(Some(position)).await;
        for (index, (exercise, _)) in EXERCISES.into_iter().enumerate() {
            let truth = self.maximum(index, shown.as_of);
            let answer = shown.by_exercise.get(exercise).unwrap_or(&Value::Null);
            self.comparisons += 1;
            if let Some(wrong) = self.wrong(exercise, answer, truth.as_ref()) {
                return Some(format!("level of {exercise}: {wrong}\n{answer:#}\n{truth:?}"));
            }
        }
        None
    }

    async fn levels(&self, position: Option<&str>) -> Shown {
        let path = "/v1/stats/strength-levels";
        let mut answer = get(&self.client, path, position).await;
        if answer.status == 401 {
            answer = get(&self.client.signed_in_again().await, path, position).await;
        }
        let answer = answer.expect(200);
        let as_of = answer.data()["as_of"].as_str().expect("a time");
        let as_of = DateTime::parse_from_rfc3339(as_of).expect("a time").to_utc();
        let all = answer.data()["exercises"].as_array().expect("a list");
        let id = |of: &Value| of["exercise"]["id"].as_str().expect("an id").to_owned();
        Shown { as_of, by_exercise: all.iter().map(|of| (id(of), of.clone())).collect() }
    }

    fn maximum(&self, exercise: usize, as_of: DateTime<Utc>) -> Option<Maximum> {
        let (sets, workouts) = self.of(exercise);
        truth::working_maximum(EXERCISES[exercise].1, &sets, &workouts, as_of)
    }

    fn wrong(&self, exercise: &str, answer: &Value, truth: Option<&Maximum>) -> Option<String> {
        let shown = number(&answer["working_maximum"]["value"]);
        if shown != truth.map(|truth| truth.kg) {
            return Some("the working maximum".to_owned());
        }
        let truth = truth?;
        if answer["set"]["id"] != truth.set.as_str() {
            return Some("the set".to_owned());
        }
        let bodyweight = truth.bodyweight.map(|kg| kg.round_dp(3).normalize());
        if number(&answer["bodyweight"]["value"]) != bodyweight {
            return Some("the bodyweight".to_owned());
        }
        let table = TABLES.iter().find(|(of, _)| *of == exercise);
        let table =
            table.zip(self.sex).map(|((_, tables), sex)| tables[usize::from(sex != "male")]);
        let ratio = truth.bodyweight.map(|kg| truth.kg / kg);
        let (level, next) = match table.zip(ratio) {
            None => ("unknown", None),
            Some((table, ratio)) => {
                let reached = table.iter().filter(|multiple| ratio >= **multiple).count();
                (LEVELS[reached], table.get(reached).copied())
            }
        };
        // Of other exercises the tables are not ours.
        let is_ours = TABLES.iter().any(|(of, _)| *of == exercise);
        if is_ours && answer["level"] != level {
            return Some(format!("the level, which is {level}"));
        }
        let wanted = next.zip(truth.bodyweight).map(|(multiple, kg)| multiple * kg);
        let wanted = wanted.map(|kg| kg.round_dp_with_strategy(3, MidpointNearestEven).normalize());
        if is_ours && number(&answer["next"]["working_maximum"]["value"]) != wanted {
            return Some(format!("the next level, which takes {wanted:?}"));
        }
        None
    }
}

/// Compares every percentile of athletes who have the place to themselves: how many answers, and those
/// that are others.
pub async fn percentiles(lives: &[Life]) -> (usize, Vec<String>) {
    let mut shown = Vec::with_capacity(lives.len());
    for life in lives {
        shown.push(life.levels(life.position.as_deref()).await);
    }
    let (mut comparisons, mut differences) = (0, Vec::new());
    for (index, (exercise, _)) in EXERCISES.into_iter().enumerate() {
        let maxima: Vec<Option<Maximum>> = lives
            .iter()
            .zip(&shown)
            .map(|(life, shown)| life.maximum(index, shown.as_of))
            .collect();
        let mut groups: BTreeMap<String, Vec<Decimal>> = BTreeMap::new();
        for (life, maximum) in lives.iter().zip(&maxima) {
            let Some(maximum) = maximum else { continue };
            for group in among(life.sex, maximum.bodyweight).into_iter().flatten() {
                groups.entry(group).or_default().push(maximum.kg);
            }
        }
        for ((life, maximum), shown) in lives.iter().zip(&maxima).zip(&shown) {
            let Some(maximum) = maximum else { continue };
            let answer = &shown.by_exercise[exercise]["percentiles"];
            let of = among(life.sex, maximum.bodyweight);
            for (group, word) in of.into_iter().zip(["all", "sex", "class"]) {
                let truth = group.as_ref().map(|group| {
                    let all = &groups[group];
                    let below = all.iter().filter(|kg| **kg < maximum.kg).count();
                    let share = Decimal::from(below) * dec!(100) / Decimal::from(all.len());
                    let share = share.round_dp_with_strategy(2, MidpointNearestEven);
                    (share.normalize(), all.len() as u64)
                });
                let place = &answer[word];
                let told = number(&place["percentile"]).zip(place["athletes"].as_u64());
                comparisons += 1;
                if told != truth {
                    differences.push(format!(
                        "percentile of {exercise} among {group:?}: {told:?}, and in truth {truth:?}"
                    ));
                }
            }
        }
    }
    (comparisons, differences)
}

//! What does a real history look like, when it may be nobody's? Prints two years of an invented
//! athlete's training as Hevy exports it, for the demo athlete; always the same two years.
//!
//! Chance is its own and the arithmetic exact, since the output is committed and compared.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Weekday};

const HEADER: &str = r#""title","start_time","end_time","description","exercise_title","superset_id","exercise_notes","set_index","set_type","weight_kg","reps","distance_km","duration_seconds","rpe""#;

/// The two years.
const FIRST: (i32, u32, u32) = (2024, 1, 4);
const DAYS: u64 = 724;

/// Holidays and a flu, first and last day of each.
const AWAY: [[(i32, u32, u32); 2]; 5] = [
    [(2024, 8, 5), (2024, 8, 18)],
    [(2024, 12, 23), (2025, 1, 2)],
    [(2025, 3, 8), (2025, 3, 17)],
    [(2025, 8, 11), (2025, 8, 24)],
    [(2025, 12, 24), (2025, 12, 27)],
];

/// Two business trips, to hotels whose dumbbells are in pounds.
const HOTEL: [(i32, u32, u32); 3] = [(2024, 10, 17), (2025, 5, 19), (2025, 5, 22)];

/// How an exercise is done, and what two years make of it.
#[derive(Clone, Copy)]
enum Plan {
    /// Quarters of a kilogram at first, at last and between two possible weights.
    Weight { from: u32, to: u32, step: u32, reps: u32, sets: u32, warm_up: bool },
    /// Pounds, for so many repetitions.
    Pounds { weight: u32, reps: u32, sets: u32 },
    /// Repetitions at first and at last.
    Reps { from: u32, to: u32, sets: u32 },
    /// Seconds at first and at last.
    Hold { from: u32, to: u32, sets: u32 },
    /// Metres and seconds for a kilometre, at first and at last.
    Run { metres: [u32; 2], pace: [u32; 2] },
}

use Plan::{Hold, Pounds, Reps, Run, Weight};

/// An exercise of a session, and which superset it belongs to.
type Item = (&'static str, Option<u8>, Plan);

/// A barbell lift with warm-ups; kilograms, by 2.5.
const fn lift(from: u32, to: u32, reps: u32, sets: u32) -> Plan {
    Weight { from: 4 * from, to: 4 * to, step: 10, reps, sets, warm_up: true }
}

/// An accessory; kilograms, by `step` quarters.
const fn extra(from: u32, to: u32, step: u32, reps: u32, sets: u32) -> Plan {
    Weight { from: 4 * from, to: 4 * to, step, reps, sets, warm_up: false }
}

const SQUAT: Item = ("Squat (Barbell)", None, lift(70, 122, 5, 4));
const BENCH: Item = ("Bench Press (Barbell)", None, lift(55, 90, 6, 4));
const DEADLIFT: Item = ("Deadlift (Barbell)", None, lift(90, 155, 5, 3));
const PRESS: Item = ("Overhead Press (Barbell)", None, lift(35, 56, 6, 3));
const ROW: Item = ("Bent Over Row (Barbell)", None, lift(50, 80, 8, 3));
const PLANK: Item = ("Plank", None, Hold { from: 45, to: 120, sets: 2 });

const FULL_BODY_A: &[Item] = &[
    SQUAT,
    BENCH,
    ROW,
    ("Lateral Raise (Dumbbell)", Some(0), extra(7, 12, 4, 12, 3)),
    ("Bicep Curl (Dumbbell)", Some(0), extra(10, 16, 8, 10, 3)),
    PLANK,
];
const FULL_BODY_B: &[Item] = &[
    DEADLIFT,
    PRESS,
    ("Pull Up", None, Reps { from: 5, to: 12, sets: 3 }),
    ("Leg Press (Machine)", None, extra(120, 200, 20, 10, 3)),
    ("Seated Leg Curl (Machine)", Some(0), extra(35, 55, 20, 12, 3)),
    ("Triceps Pushdown", Some(0), extra(20, 35, 10, 12, 3)),
];
const PUSH: &[Item] = &[
    BENCH,
    PRESS,
    ("Incline Bench Press (Dumbbell)", None, extra(18, 30, 8, 9, 3)),
    ("Lateral Raise (Dumbbell)", Some(0), extra(7, 12, 4, 14, 3)),
    ("Triceps Pushdown", Some(0), extra(20, 35, 10, 12, 3)),
    ("Chest Dip", None, Reps { from: 6, to: 15, sets: 2 }),
];
const PULL: &[Item] = &[
    DEADLIFT,
    ("Pull Up (Weighted)", None, extra(3, 20, 5, 6, 3)),
    ("Seated Cable Row - V Grip (Cable)", None, extra(45, 70, 20, 10, 3)),
    ("Face Pull", Some(0), extra(15, 27, 10, 15, 3)),
    ("Hammer Curl (Dumbbell)", Some(0), extra(10, 18, 8, 10, 3)),
    ("Pull Up", None, Reps { from: 5, to: 12, sets: 2 }),
];
const LEGS: &[Item] = &[
    SQUAT,
    ("Romanian Deadlift (Barbell)", None, extra(60, 100, 10, 8, 3)),
    ("Leg Press (Machine)", None, extra(120, 200, 20, 10, 3)),
    ("Leg Extension (Machine)", Some(0), extra(35, 60, 20, 12, 3)),
    ("Seated Leg Curl (Machine)", Some(0), extra(35, 55, 20, 12, 3)),
    ("Standing Calf Raise (Machine)", None, extra(60, 100, 20, 12, 3)),
    PLANK,
];
const RUN: &[Item] = &[("Running", None, Run { metres: [4200, 9500], pace: [380, 325] })];
const TRIP: &[Item] = &[
    ("Goblet Squat", None, Pounds { weight: 50, reps: 12, sets: 4 }),
    ("Shoulder Press (Dumbbell)", Some(0), Pounds { weight: 35, reps: 10, sets: 3 }),
    ("Dumbbell Row", Some(0), Pounds { weight: 50, reps: 12, sets: 3 }),
    ("Push Up", None, Reps { from: 18, to: 30, sets: 3 }),
    PLANK,
];

/// What a session is called, and what may be said about it.
struct Session {
    items: &'static [Item],
    titles: &'static [&'static str],
    said: &'static [&'static str],
}

const FULL_BODY: [Session; 2] = [
    Session {
        items: FULL_BODY_A,
        titles: &["Full body A", "Full body A", "Full body A 🏋️"],
        said: &["Back to basics.", "Squats moved well, bench did not.\nSleep: 5 hours."],
    },
    Session {
        items: FULL_BODY_B,
        titles: &["Full body B", "Full body B", "Full body B, quick"],
        said: &[
            "Grip gave out before the back did.",
            "Gym was packed, swapped the order:\n- press first\n- deadlift last",
        ],
    },
];
const SPLIT: [Session; 3] = [
    Session {
        items: PUSH,
        titles: &["Push", "Push", "Push 💪", "Push, short on time"],
        said: &[
            "\"Easy\" day, they said.",
            "Shoulder a bit tight, warmed up longer",
            "New grip: one finger wider.\n\nFelt stronger off the chest.",
        ],
    },
    Session {
        items: PULL,
        titles: &["Pull", "Pull", "Pull \"heavy\"", "Pull 🔥🔥"],
        said: &[
            "Straps from 120 kg on",
            "Mixed grip, hook grip, no grip 😅",
            "Last set of deadlifts was a grinder; video says hips rose early.",
        ],
    },
    Session {
        items: LEGS,
        titles: &["Legs", "Legs", "Leg day 🦵", "Legs, heavy"],
        said: &[
            "Depth!",
            "Belt on from the second set, knees fine",
            "Felt like \"RPE 11\".\nStairs tomorrow: no.",
        ],
    },
];
const RUNNING: Session = Session {
    items: RUN,
    titles: &["Easy run", "Morning run 🏃", "Run along the river, no watch"],
    said: &["Drizzle, 8 °C", "Legs still heavy from squats"],
};
const TRAVEL: Session = Session {
    items: TRIP,
    titles: &["Hotel gym 🏨", "Hotel gym, dumbbells only"],
    said: &["Dumbbells in lb up to 50, a bench, no rack.\nBetter than nothing!"],
};

/// Said about exercises now and then.
const NOTES: [(&str, &str); 5] = [
    ("Bench Press (Barbell)", "Paused, one second"),
    ("Squat (Barbell)", "High bar, \"knees out\""),
    ("Deadlift (Barbell)", "Reset every rep, no bouncing"),
    ("Leg Press (Machine)", "Seat 4, feet high"),
    ("Pull Up (Weighted)", "Belt, full hang"),
];

/// Chance that is always the same: SplitMix64 (Steele, Lea and Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one below `n`.
    fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n.max(1))) as u32
    }

    fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(of.len() as u32) as usize;
        of.get(at).copied().unwrap_or_default()
    }
}

/// How the athlete is doing on a day.
struct Form {
    /// How far the two years have come, in thousandths.
    elapsed: u32,
    /// Per cent of the usual weight.
    percent: u32,
    deload: bool,
}

impl Form {
    /// Gains come fast at first and slowly later, with a plateau at a time of each exercise's own.
    fn between(&self, from: u32, to: u32, exercise: &str) -> u32 {
        let plateau = 250 + 40 * (exercise.len() as u32 % 10);
        let at = match self.elapsed {
            // Three months without progress, made up for in the three that follow.
            at if (plateau..plateau + 120).contains(&at) => plateau,
            at if (plateau + 120..plateau + 240).contains(&at) => {
                plateau + 2 * (at - plateau - 120)
            }
            at => at,
        };
        let gained = at * (2000 - at) / 1000;
        from + (to - from) * gained / 1000
    }
}

/// One row, less what its workout and exercise say.
#[derive(Default)]
struct Row {
    kind: &'static str,
    weight: String,
    reps: String,
    distance: String,
    duration: String,
    rpe: String,
}

/// The sets of an exercise on a day.
fn sets(chance: &mut Chance, form: &Form, name: &str, plan: Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    let fewer = |sets: u32| if form.deload { sets.saturating_sub(1).max(2) } else { sets };
    let normal = || Row { kind: "normal", ..Row::default() };
    match plan {
        Weight { from, to, step, reps, sets, warm_up } => {
            let top = form.between(from, to, name) * form.percent / 100;
            let top = (top / step * step).max(step);
            if warm_up {
                for (percent, reps) in [(40, 10), (60, 5), (80, 3)] {
                    // The bar alone weighs 20 kg.
                    let weight = (top * percent / 100 / 10 * 10).max(80);
                    let known = |row: &Row| row.weight == kilograms(weight);
                    if weight < top && !rows.iter().any(known) {
                        let (weight, reps) = (kilograms(weight), reps.to_string());
                        rows.push(Row { kind: "warmup", weight, reps, ..Row::default() });
                    }
                }
            }
            let count = fewer(sets);
            let fresh = reps + chance.below(3);
            for set in 0..count {
                let tired = set * 2 / 3 + chance.below(2);
                let done = fresh.saturating_sub(tired).max(2);
                // In half points: harder with every set, easier in a deload.
                let rpe = (14 + set + chance.below(3) - 3 * u32::from(form.deload)).min(20);
                let last = set + 1 == count;
                let failed = last && !form.deload && chance.percent(if warm_up { 6 } else { 12 });
                let rpe = if failed { 20 } else { rpe };
                rows.push(Row {
                    kind: if failed { "failure" } else { "normal" },
                    weight: kilograms(top),
                    reps: done.to_string(),
                    rpe: if warm_up || chance.percent(30) { points(rpe) } else { String::new() },
                    ..Row::default()
                });
                if last && !warm_up && !form.deload && chance.percent(14) {
                    for percent in [80, 60] {
                        let weight = kilograms((top * percent / 100 / step * step).max(step));
                        let reps = (done + chance.below(3)).to_string();
                        rows.push(Row { kind: "dropset", weight, reps, ..Row::default() });
                    }
                }
            }
        }
        Pounds { weight, reps, sets } => {
            for set in 0..sets {
                let reps = (reps + 2 - set.min(2)).saturating_sub(chance.below(2)).to_string();
                // As Hevy does: a float, with whatever noise that brings.
                let weight = (f64::from(weight) * 0.453_592_37).to_string();
                rows.push(Row { weight, reps, ..normal() });
            }
        }
        Reps { from, to, sets } => {
            let best = form.between(from, to, name) * form.percent / 100;
            for set in 0..fewer(sets) {
                let done = best.saturating_sub(set * 3 / 2 + chance.below(2)).max(1);
                let failed = set + 1 == sets && chance.percent(25);
                let kind = if failed { "failure" } else { "normal" };
                let rpe = if failed { points(20) } else { String::new() };
                rows.push(Row { kind, reps: done.to_string(), rpe, ..Row::default() });
            }
        }
        Hold { from, to, sets } => {
            let best = form.between(from, to, name);
            for set in 0..sets {
                let seconds = (best - set * best / 6) / 5 * 5;
                rows.push(Row { duration: seconds.to_string(), ..normal() });
            }
        }
        Run { metres: [short, long], pace: [slow, quick] } => {
            let metres = form.between(short, long, name) / 10 * 10 - 10 * chance.below(90);
            let faster = form.between(0, slow - quick, name);
            let seconds = metres * (slow - faster + chance.below(12)) / 1000;
            let distance = format!("{}.{:02}", metres / 1000, metres % 1000 / 10);
            let distance = distance.trim_end_matches('0').trim_end_matches('.').to_owned();
            rows.push(Row { distance, duration: seconds.to_string(), ..normal() });
        }
    }
    rows
}

/// Quarters of a kilogram, as a decimal.
fn kilograms(quarters: u32) -> String {
    (f64::from(quarters) / 4.0).to_string()
}

/// Half points of RPE, as a decimal; Hevy has none below 6.
fn points(halves: u32) -> String {
    (f64::from(halves.max(12)) / 2.0).to_string()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The rows of one workout.
fn workout(chance: &mut Chance, form: &Form, start: NaiveDateTime, session: &Session) -> String {
    let title = if form.deload && session.items.len() > 1 {
        format!("{} (deload)", session.titles.first().copied().unwrap_or_default())
    } else {
        chance.pick(session.titles).to_owned()
    };
    let said = if chance.percent(15) { chance.pick(session.said) } else { "" };

    let mut done = Vec::new();
    for &(name, superset, plan) in session.items {
        // Short of time, the last exercises are the first to go.
        if done.len() > 3 && chance.percent(8) {
            continue;
        }
        let note = NOTES.iter().find(|(exercise, _)| *exercise == name).map(|(_, note)| *note);
        let note = note.filter(|_| chance.percent(12)).unwrap_or_default();
        done.push((name, superset, note, sets(chance, form, name, plan)));
    }

    let rows = done.iter().flat_map(|(.., rows)| rows);
    let seconds: u32 = rows
        .map(|row| if row.distance.is_empty() { 165 } else { row.duration.parse().unwrap_or(0) })
        .sum();
    let end = start + TimeDelta::seconds(i64::from(seconds + 60 * chance.below(12)));
    let time = |at: NaiveDateTime| at.format("\"%-d %b %Y, %H:%M\"").to_string();
    let shared = [quoted(&title), time(start), time(end), quoted(said)].join(",");

    let mut csv = String::new();
    for (name, superset, note, rows) in &done {
        let (name, note) = (quoted(name), quoted(note));
        let superset = superset.map(|id| id.to_string()).unwrap_or_default();
        for (index, row) in rows.iter().enumerate() {
            let Row { kind, weight, reps, distance, duration, rpe } = row;
            // Writing into memory cannot fail.
            let _ = writeln!(
                csv,
                "{shared},{name},{superset},{note},{index},\"{kind}\",\
                 {weight},{reps},{distance},{duration},{rpe}"
            );
        }
    }
    csv
}

fn is(date: NaiveDate, (year, month, day): (i32, u32, u32)) -> std::cmp::Ordering {
    (date.year(), date.month(), date.day()).cmp(&(year, month, day))
}

/// The two years, oldest first.
fn history() -> Vec<String> {
    let mut chance = Chance(20_240_104);
    let mut workouts = Vec::new();
    let mut lifted = 0;
    let mut last_lifted = 0;
    let first = NaiveDate::from_ymd_opt(FIRST.0, FIRST.1, FIRST.2).unwrap_or_default();
    for day in 0..DAYS {
        let date = first + Days::new(day);
        if AWAY.iter().any(|[from, to]| is(date, *from).is_ge() && is(date, *to).is_le()) {
            continue;
        }
        let trip = HOTEL.iter().any(|day| is(date, *day).is_eq());
        let (comes, hour) = match date.weekday() {
            Weekday::Mon => (72, 18),
            Weekday::Thu => (70, 18),
            Weekday::Sat => (29, 9),
            _ => continue,
        };
        if !chance.percent(comes) && !trip {
            continue;
        }
        let full_body = (date.year(), date.month()) < (2024, 6)
            || date.year() == 2025 && (7..=8).contains(&date.month());
        let session = match date.weekday() {
            Weekday::Sat => &RUNNING,
            _ if trip => &TRAVEL,
            _ if full_body => &FULL_BODY[lifted % 2],
            _ => &SPLIT[lifted % 3],
        };
        let week = day / 7;
        let deload = week % 9 == 8 && !trip && date.weekday() != Weekday::Sat;
        let rested = if day - last_lifted > 10 { 93 } else { 98 + chance.below(4) };
        let form = Form {
            elapsed: (day * 1000 / DAYS) as u32,
            percent: if deload { 82 } else { rested },
            deload,
        };
        if date.weekday() != Weekday::Sat {
            lifted += 1;
            last_lifted = day;
        }
        let minutes = i64::from(60 * hour + chance.below(75));
        let start = date.and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(minutes);
        workouts.push(workout(&mut chance, &form, start, session));
    }
    workouts
}

fn main() -> io::Result<()> {
    let mut csv = format!("{HEADER}\n");
    // Hevy has the newest on top.
    csv.extend(history().into_iter().rev());
    io::stdout().write_all(csv.as_bytes())
}

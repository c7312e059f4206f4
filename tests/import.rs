//! Does `ironledger import` take what is good, say what is not, and take it once?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{path::Path, process::ExitStatus};

use serde_json::{Value, json};
use testkit::{
    api::{Client, bench},
    process::App,
};

const HEADER: &str = "title,start_time,end_time,description,exercise_title,superset_id,\
    exercise_notes,set_index,set_type,weight_kg,reps,distance_km,duration_seconds,rpe";

/// A row of a file: what a good one has, but for the columns given here.
fn row(changed: &[(&str, &str)]) -> String {
    let cells = HEADER.split(',').map(|column| {
        let usual = match column {
            "title" => "Push",
            "start_time" => "5 Jan 2025, 08:00",
            "end_time" => "5 Jan 2025, 09:10",
            "exercise_title" => "Bench Press (Barbell)",
            "set_index" => "0",
            "set_type" => "normal",
            "weight_kg" => "60",
            "reps" => "8",
            _ => "",
        };
        let cell = changed.iter().find(|(name, _)| *name == column).map_or(usual, |(_, cell)| cell);
        format!("\"{}\"", cell.replace('"', "\"\""))
    });
    cells.collect::<Vec<_>>().join(",")
}

fn file(rows: &[String]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

/// One workout of so many sets on each of some days of January 2025.
fn january(days: std::ops::Range<u32>, sets: u32) -> Vec<String> {
    let row = |day: u32, set: u32| {
        let time = |clock| format!("{day} Jan 2025, {clock}");
        let (start, end) = (time("08:00"), time("09:10"));
        let (index, reps) = (set.to_string(), (set + 1).to_string());
        row(&[("start_time", &start), ("end_time", &end), ("set_index", &index), ("reps", &reps)])
    };
    days.flat_map(|day| (0..sets).map(move |set| row(day, set))).collect()
}

/// The product, and an athlete who imports.
struct Import {
    app: App,
    athlete: Client,
}

/// What the command said, and how it ended.
struct Outcome {
    status: ExitStatus,
    said: String,
}

impl Outcome {
    #[track_caller]
    fn expect(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.said);
        for wanted in says {
            assert!(self.said.contains(wanted), "does not say {wanted:?}:\n{}", self.said);
        }
        self
    }
}

impl Import {
    async fn start() -> Self {
        let app = App::start(Path::new(env!("CARGO_BIN_EXE_ironledger"))).await;
        let athlete = app.athlete().await;
        Self { app, athlete }
    }

    async fn import(&self, bytes: impl AsRef<[u8]>) -> Outcome {
        self.import_in("Europe/Paris", bytes).await
    }

    async fn import_in(&self, time_zone: &str, bytes: impl AsRef<[u8]>) -> Outcome {
        let email = self.athlete.email.as_deref().expect("an address");
        self.import_for(email, time_zone, bytes).await
    }

    async fn import_for(&self, email: &str, time_zone: &str, bytes: impl AsRef<[u8]>) -> Outcome {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("export.csv");
        std::fs::write(&path, bytes).expect("a file");
        let path = path.to_str().expect("a plain path");
        let arguments =
            ["import", "--format", "hevy", path, "--athlete", email, "--time-zone", time_zone];
        let (status, said) = self.app.run(&arguments).await;
        Outcome { status, said }
    }

    async fn events(&self) -> i64 {
        self.app.database.log_and_end().await.0
    }

    /// The workouts of the athlete, oldest first.
    async fn history(&self) -> Vec<Value> {
        let (_, position) = self.app.database.log_and_end().await;
        let answer = self.athlete.history("limit=100", &position.to_string()).await;
        answer.list().iter().rev().cloned().collect()
    }

    /// The sets of the athlete in the order of logging.
    async fn sets(&self) -> Vec<Value> {
        let history = self.history().await;
        history.iter().filter_map(|workout| workout["sets"].as_array()).flatten().cloned().collect()
    }

    /// The notes of exercises, oldest workout first.
    async fn notes(&self) -> Vec<Value> {
        let history = self.history().await;
        let noted = history.iter().filter_map(|workout| workout["exercises"].as_array()).flatten();
        noted.map(|noted| noted["notes"].clone()).collect()
    }

    /// Imports one file and answers the sets that are there then.
    async fn sets_of(&self, text: &str) -> Vec<Value> {
        self.import(text).await.expect(0, &[]);
        self.sets().await
    }
}

fn each<'a>(entries: &'a [Value], field: &str) -> Vec<&'a Value> {
    entries.iter().map(|entry| &entry[field]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_in_history_and_comes_in_once() {
    let import = Import::start().await;
    let text = file(&[
        row(&[
            ("title", "Beine 🦵\n\"schwer\""),
            ("description", "Line one\r\nline two"),
            ("exercise_title", "Squat (Barbell)"),
            ("exercise_notes", "deep"),
            ("superset_id", "1"),
            ("set_type", "warmup"),
            ("rpe", "6.5"),
        ]),
        row(&[
            ("title", "Beine 🦵\n\"schwer\""),
            ("description", "Line one\r\nline two"),
            ("exercise_title", "Squat (Barbell)"),
            ("exercise_notes", "deep"),
            ("superset_id", "1"),
            ("set_index", "1"),
            ("set_type", "failure"),
            ("weight_kg", "61.23492"),
            ("reps", "0"),
        ]),
    ]);
    import.import(&text).await.expect(0, &["2 rows: 2 sets imported in 1 workouts, 0 already"]);
    let history = import.history().await;
    let [workout] = &history[..] else { panic!("{history:?}") };
    assert_eq!(workout["title"], "Beine 🦵\n\"schwer\"");
    assert_eq!(workout["notes"], "Line one\nline two");
    assert_eq!(workout["started_at"], "2025-01-05T07:00:00Z");
    assert_eq!(workout["completed_at"], "2025-01-05T08:10:00Z");
    assert_eq!(workout["status"], "completed");
    assert_eq!(workout["imported_from"], "hevy");
    let sets = workout["sets"].as_array().expect("sets");
    assert_eq!(each(sets, "number"), [1, 2]);
    assert_eq!(each(sets, "kind"), ["warm_up", "failure"]);
    assert_eq!(each(sets, "reps"), [8, 0]);
    assert_eq!(each(sets, "rpe"), [&json!(6.5), &Value::Null]);
    assert_eq!(each(sets, "superset_id"), [1, 1]);
    assert_eq!(each(sets, "notes"), [&Value::Null; 2]);
    let noted = workout["exercises"].as_array().expect("exercises");
    assert_eq!(each(noted, "notes"), ["deep"]);
    assert_eq!(noted[0]["exercise"]["id"], "squat-barbell");
    assert_eq!(each(sets, "performed_at"), ["2025-01-05T07:00:00Z"; 2]);
    assert_eq!(sets[0]["exercise"]["id"], "squat-barbell");
    assert_eq!(sets[1]["weight"], json!({ "value": 61.23492, "unit": "kg", "kg": 61.23492 }));

    let before = import.events().await;
    for same in [text.clone(), format!("\u{feff}{}", text.replace('\n', "\r\n"))] {
        import.import(same).await.expect(0, &["0 sets imported in 0 workouts, 2 already there"]);
        assert_eq!(import.events().await, before, "a second import adds no event");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_growing_export_adds_what_is_new() {
    let import = Import::start().await;
    import.import(file(&january(1..4, 3))).await.expect(0, &["9 sets imported in 3 workouts"]);
    let before = import.events().await;
    // In another order, and a set more on the days that were there.
    let mut rows = january(1..6, 4);
    rows.reverse();
    let second = import.import(file(&rows)).await;
    second.expect(0, &["11 sets imported in 2 workouts, 9 already there, 0 not taken"]);
    assert_eq!(import.events().await, before + 3 + 2 * (1 + 4 + 1));
    let mut found: Vec<(String, u64)> = Vec::new();
    for workout in import.history().await {
        for set in workout["sets"].as_array().expect("sets") {
            let day = workout["started_at"].as_str().expect("a time")[8..10].to_owned();
            found.push((day, set["reps"].as_u64().expect("a count")));
        }
    }
    found.sort();
    let wanted = (1..6).flat_map(|day| (1..5).map(move |reps| (format!("{day:02}"), reps)));
    assert_eq!(found, wanted.collect::<Vec<_>>());

    // What the athlete did since is not undone.
    let newest = import.history().await.pop().expect("a workout");
    let path = format!("/v1/workouts/{}", newest["id"].as_str().expect("an id"));
    let set = format!("{path}/sets/{}", newest["sets"][0]["id"].as_str().expect("an id"));
    import.athlete.delete(&set).await.expect(200);
    import.athlete.log_set(&path, bench(12, 50)).await.expect(201);
    let before = import.events().await;
    import.import(file(&rows)).await.expect(0, &["0 sets imported", "20 already there"]);
    assert_eq!(import.events().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_broken_file_the_good_rows_are_taken() {
    let import = Import::start().await;
    let good: Vec<String> = january(1..11, 10);
    let mut rows = good.clone();
    // Every tenth is broken, each in its own way; the first row is on line 2.
    let notes = ("exercise_notes", "slow");
    let broken = [
        (row(&[("reps", "many"), notes]), "reps must be a whole number"),
        (row(&[("start_time", "yesterday")]), "start_time must be a time"),
        (row(&[("rpe", "11"), ("weight_kg", "-1")]), "weight_kg must be from 0"),
        (row(&[("set_type", "hard")]), "set_type must be normal"),
        (row(&[("weight_kg", "1001")]), "weight_kg must be"),
        ("half,a,row".to_owned(), "has 3 columns"),
        ("\"open".to_owned(), "quote"),
        (row(&[("end_time", "4 Jan 2025, 08:00")]), "end_time must not be before"),
        // Read well, but no set of that exercise.
        (row(&[("reps", ""), ("duration_seconds", "60")]), "reps must be given"),
        (row(&[("start_time", "1 Jan 2199, 08:00"), ("end_time", "1 Jan 2199, 09:00")]), "future"),
    ];
    for (tenth, (row, _)) in broken.iter().enumerate() {
        rows[tenth * 10] = row.clone();
    }
    let outcome = import.import(file(&rows)).await;
    let outcome = outcome.expect(2, &["100 rows: 90 sets imported in 10 workouts", "10 not taken"]);
    for (tenth, (_, reason)) in broken.iter().enumerate() {
        let line = format!("line {}: not taken: ", tenth * 10 + 2);
        let told = outcome.said.lines().find(|told| told.starts_with(&line));
        assert!(
            told.is_some_and(|told| told.contains(reason)),
            "{line}…{reason}:\n{}",
            outcome.said
        );
    }
    assert!(outcome.said.contains("; rpe must be"), "all reasons of a row:\n{}", outcome.said);
    assert_eq!(import.sets().await.len(), 90);

    // Put right, it brings the rest and leaves alone what is there.
    let before = import.events().await;
    let repaired = import.import(file(&good)).await;
    repaired.expect(0, &["10 sets imported in 0 workouts, 90 already there"]);
    assert_eq!(import.events().await, before + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_row_is_the_only_new_one() {
    let import = Import::start().await;
    let rows = |reps| {
        let note = ("exercise_notes", "slow");
        let sets = [("0", reps), ("1", "7"), ("2", "6")];
        sets.map(|(index, reps)| row(&[("set_index", index), ("reps", reps), note]))
    };
    import.import(file(&rows("many"))).await.expect(2, &["2 sets imported"]);
    let before = import.events().await;
    let outcome = import.import(file(&rows("8"))).await;
    outcome.expect(0, &["1 sets imported in 0 workouts, 2 already there, 0 not taken"]);
    assert_eq!(import.events().await, before + 1);
    let sets = import.sets().await;
    assert_eq!(each(&sets, "reps"), [7, 6, 8]);
    assert_eq!(each(&sets, "number"), [2, 3, 1]);
    // The notes of an exercise came with the rows that were good.
    assert_eq!(import.notes().await, ["slow"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercise_may_come_twice_in_a_workout() {
    let import = Import::start().await;
    let bench = |index, note| row(&[("set_index", index), ("exercise_notes", note)]);
    let text = file(&[
        bench("0", "slow"),
        bench("1", "slow"),
        row(&[("exercise_title", "Squat (Barbell)")]),
        bench("0", "fast"),
        bench("1", "fast"),
    ]);
    let sets = import.sets_of(&text).await;
    assert_eq!(each(&sets, "number"), [1, 2, 1, 1, 2]);
    assert_eq!(import.notes().await, ["slow\nfast"], "of the exercise, whichever time it came");
    let before = import.events().await;
    import.import(&text).await.expect(0, &["0 sets imported in 0 workouts, 5 already there"]);
    assert_eq!(import.events().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_were_changed_or_emptied_since_stay_so() {
    let import = Import::start().await;
    let rows = |bench: &str, squat: &str| {
        let squat = row(&[("exercise_title", "Squat (Barbell)"), ("exercise_notes", squat)]);
        file(&[row(&[("exercise_notes", bench)]), squat])
    };
    import.import(rows("slow", "")).await.expect(0, &["2 sets imported"]);
    // A newer export knows more.
    import.import(rows("slow", "deep")).await.expect(0, &["2 already there"]);
    assert_eq!(import.notes().await, ["slow", "deep"]);

    let workout = import.history().await.pop().expect("a workout");
    let id = workout["id"].as_str().expect("an id");
    let put = async |exercise: &str, body: Value| {
        let path = format!("/v1/workouts/{id}/exercises/{exercise}");
        let request = import.athlete.request(reqwest::Method::PUT, &path).json(&body);
        testkit::Answer::to(request).await.expect(200);
    };
    put("bench-press-barbell", json!({ "notes": "my own", "form_score": 80 })).await;
    put("squat-barbell", json!({})).await;
    let before = import.events().await;
    let told = "line 2: exercise_notes are other than those of before, which stay";
    import.import(rows("slow", "deep")).await.expect(0, &["2 already there, 0 not taken", told]);
    assert_eq!(import.events().await, before);
    assert_eq!(import.notes().await, ["my own"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_taken_up_to_the_cut() {
    let import = Import::start().await;
    let text = file(&january(1..4, 3));
    let (whole, _) = text.trim_end().rsplit_once('\n').expect("rows");
    let cut = import.import(&text[..whole.len() + 30]).await;
    cut.expect(2, &["9 rows: 8 sets imported in 3 workouts", "line 10: not taken: is cut off"]);
    assert_eq!(import.sets().await.len(), 8);
    import.import(&text).await.expect(0, &["1 sets imported in 0 workouts, 8 already there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_at_all_is_told_and_leaves_nothing() {
    let import = Import::start().await;
    let before = import.events().await;
    let good = file(&january(1..2, 2));
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(good.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let latin: Vec<u8> = file(&[row(&[("title", "\u{1}")])])
        .bytes()
        .map(|byte| if byte == 1 { 0xE9 } else { byte })
        .collect();
    let strong = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,\
        RPE\n2021-02-10 16:46:13,Push,1h,Squat (Barbell),1,100,5,0,0,\n";
    let cases: [(&[u8], &str); 6] = [
        (b"", "the file is empty"),
        (&utf16, "UTF-16: save it as UTF-8"),
        (&latin, "not UTF-8"),
        (strong.as_bytes(), "looks like an export of Strong"),
        (&good.as_bytes()[..60], "no column"),
        (b"PK\x03\x04\x00\x00", "ZIP"),
    ];
    for (bytes, says) in cases {
        import.import(bytes).await.expect(1, &["error: cannot import ", "export.csv", says]);
    }
    let unknown = import.import_for("nobody@example.com", "Europe/Paris", &good).await;
    unknown.expect(1, &["no account with the address nobody@example.com"]);
    import.import_in("Mars/Olympus", &good).await.expect(2, &["Mars/Olympus"]);

    let missing = ["import", "--format", "hevy", "/no/such/file.csv", "--time-zone", "UTC"];
    let email = import.athlete.email.as_deref().expect("an address");
    let (status, said) = import.app.run(&[&missing[..], &["--athlete", email]].concat()).await;
    Outcome { status, said }.expect(1, &["cannot read /no/such/file.csv", "No such file"]);
    assert_eq!(import.events().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_encoding_is_refused_alone() {
    let import = Import::start().await;
    let mut bytes = file(&january(1..2, 3)).into_bytes();
    let second = bytes.windows(4).enumerate().filter(|(_, found)| *found == b"Push").nth(1);
    let (at, _) = second.expect("a second row");
    bytes[at] = 0xE9;
    import.import(bytes).await.expect(2, &["line 3: not taken: is not UTF-8", "2 sets imported"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_those_of_the_header() {
    let import = Import::start().await;
    let run = [("exercise_title", "Running"), ("weight_kg", ""), ("reps", "")];
    let distance = [("distance_km", "3.1"), ("duration_seconds", "1500")];
    let rows = [row(&[("weight_kg", "225")]), row(&[&run[..], &distance[..]].concat())];
    let american = file(&rows).replace("_kg", "_lbs").replace("_km", "_miles");
    let sets = import.sets_of(&american).await;
    assert_eq!(sets[0]["weight"], json!({ "value": 225, "unit": "lb", "kg": 102.05828325 }));
    assert_eq!(sets[1]["exercise"]["id"], "running");
    assert_eq!(sets[1]["distance_metres"], 4988.966);
    assert_eq!(sets[1]["duration_seconds"], 1500);
    // Kilograms with miles exist.
    let other = Import { athlete: import.app.athlete().await, app: import.app };
    let sets = other.sets_of(&file(&rows).replace("_km", "_miles")).await;
    assert_eq!(sets[0]["weight"], json!({ "value": 225, "unit": "kg", "kg": 225 }));
    assert_eq!(sets[1]["distance_metres"], 4988.966);
}

#[tokio::test(flavor = "multi_thread")]
async fn months_of_other_languages_and_changes_of_the_clock() {
    let import = Import::start().await;
    let times = [
        ("5 Şub 2024, 08:00", "2024-02-05T07:00:00Z"),
        ("5 Mai 2024, 08:00", "2024-05-05T06:00:00Z"),
        ("5 août 2024, 08:00", "2024-08-05T06:00:00Z"),
        ("5 Out 2024, 08:00", "2024-10-05T06:00:00Z"),
        ("5 Dez 2024, 08:00", "2024-12-05T07:00:00Z"),
        // Skipped, and come twice.
        ("30 Mar 2025, 02:30", "2025-03-30T01:30:00Z"),
        ("26 Oct 2025, 02:30", "2025-10-26T00:30:00Z"),
    ];
    let rows = times.map(|(start, _)| row(&[("start_time", start), ("end_time", start)]));
    import.import(file(&rows)).await.expect(0, &["7 sets imported in 7 workouts"]);
    let history = import.history().await;
    assert_eq!(each(&history, "started_at"), times.map(|(_, at)| at));

    // From before the clock was put back to after it.
    let night = [("start_time", "27 Oct 2024, 02:50"), ("end_time", "27 Oct 2024, 02:10")];
    import.import(file(&[row(&night)])).await.expect(0, &[]);
    let history = import.history().await;
    let workout = history.iter().find(|workout| workout["started_at"] == "2024-10-27T00:50:00Z");
    assert_eq!(workout.expect("the night")["completed_at"], "2024-10-27T01:10:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_exercise_becomes_the_athletes_own() {
    let import = Import::start().await;
    let of = |title, index| [("exercise_title", title), ("set_index", index)];
    let text = file(&[
        row(&of("Drücken über Kopf (Machine)", "0")),
        row(&of("DRÜCKEN  über kopf (machine)", "1")),
        row(&[&of("Hollow Swing", "0")[..], &[("weight_kg", "")]].concat()),
        row(&of("bench press (BARBELL)", "0")),
    ]);
    let outcome = import.import(&text).await;
    outcome.expect(0, &["4 sets imported in 1 workouts", "2 exercises made"]);
    let answer = import.athlete.get("/v1/exercises").await.expect(200);
    let own: Vec<Value> =
        answer.list().iter().filter(|exercise| exercise["custom"] == true).cloned().collect();
    assert_eq!(each(&own, "name"), ["Drücken über Kopf (Machine)", "Hollow Swing"]);
    assert_eq!(each(&own, "equipment"), ["machine", "other"]);
    // With repetitions a weight may come later, so that there is room for one.
    assert_eq!(each(&own, "kind"), ["weight_reps", "weight_reps"]);
    let sets = import.sets().await;
    let ids: Vec<&Value> = sets.iter().map(|set| &set["exercise"]["id"]).collect();
    let [overhead, swing] = [&own[0]["id"], &own[1]["id"]];
    assert_eq!(ids, [overhead, overhead, swing, &json!("bench-press-barbell")]);
    assert_eq!(sets[0]["exercise"]["name"], "Drücken über Kopf (Machine)");
    // Another athlete's are their own.
    let before = import.events().await;
    import.import(&text).await.expect(0, &["4 already there", "0 exercises made"]);
    assert_eq!(import.events().await, before);
    let other = Import { athlete: import.app.athlete().await, app: import.app };
    other.import(&text).await.expect(0, &["4 sets imported", "2 exercises made"]);
    assert_ne!(other.sets().await[0]["exercise"]["id"], *overhead);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_refuse_rows_and_not_files() {
    let import = Import::start().await;
    // One exercise and one set too many.
    let mut rows: Vec<String> = (0..1001)
        .map(|number| {
            let time = format!("{} Jan 2025, 08:00", number / 400 + 1);
            let name = format!("Machine {number:04}");
            row(&[("start_time", &time), ("end_time", &time), ("exercise_title", &name)])
        })
        .collect();
    let long = ("title", "Long");
    rows.extend((0..501).map(|set| row(&[long, ("set_index", &(set % 100).to_string())])));
    let outcome = import.import(file(&rows)).await;
    let outcome = outcome.expect(2, &["1502 rows: 1500 sets imported", "1000 exercises made"]);
    for (line, reason) in [(1002, "at most 1000 exercises"), (1503, "at most 500 sets")] {
        let told = format!("line {line}: not taken: ");
        let told = outcome.said.lines().find(|said| said.starts_with(&told));
        assert!(told.is_some_and(|told| told.contains(reason)), "{reason}:\n{}", outcome.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_at_once_bring_every_set_once() {
    let import = Import::start().await;
    let mut rows = january(1..29, 3);
    rows.push(row(&[("exercise_title", "Hollow Swing")]));
    let text = file(&rows);
    let (one, other) = tokio::join!(import.import(&text), import.import(&text));
    one.expect(0, &["0 not taken"]);
    other.expect(0, &["0 not taken"]);
    assert_eq!(import.sets().await.len(), 85);
    let events = import.events().await;
    import.import(&text).await.expect(0, &["85 already there"]);
    assert_eq!(import.events().await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_row_leaves_its_neighbours_where_they_are() {
    let import = Import::start().await;
    // The same exercise twice in a workout: both rows are its index 0.
    let of = |reps, weight| row(&[("set_index", "0"), ("reps", reps), ("weight_kg", weight)]);
    let broken = file(&[of("XX", "100"), of("8", "60")]);
    import.import(&broken).await.expect(2, &["1 sets imported", "1 not taken"]);
    let repaired = file(&[of("5", "100"), of("8", "60")]);
    import.import(&repaired).await.expect(0, &["1 sets imported", "1 already there"]);
    let mut reps: Vec<Value> = import.sets().await.iter().map(|set| set["reps"].clone()).collect();
    reps.sort_by_key(Value::as_i64);
    assert_eq!(reps, [json!(5), json!(8)]);
}

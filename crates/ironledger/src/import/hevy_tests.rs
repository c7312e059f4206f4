//! Hevy's export in all its shapes, and broken ones.

use chrono_tz::{Europe::Paris, Pacific::Apia, UTC};

use super::*;

const HEADER: &str = "title,start_time,end_time,description,exercise_title,superset_id,\
                      exercise_notes,set_index,set_type,weight_kg,reps,distance_km,\
                      duration_seconds,rpe";

/// A row with some cells changed.
fn row(changed: &[(&str, &str)]) -> String {
    let usual = [
        "Push",
        "5 Jan 2025, 08:00",
        "5 Jan 2025, 09:00",
        "",
        "Bench Press (Barbell)",
        "",
        "",
        "0",
        "normal",
        "60",
        "8",
        "",
        "",
        "",
    ];
    let cells = HEADER.split(',').zip(usual).map(|(column, usual)| {
        let cell = changed.iter().find(|(name, _)| *name == column);
        format!("\"{}\"", cell.map_or(usual, |(_, cell)| cell).replace('"', "\"\""))
    });
    cells.collect::<Vec<_>>().join(",")
}

fn file(rows: &[String]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn read_text(text: &str) -> Export {
    let export = read(text.as_bytes(), Paris).unwrap();
    let taken: usize = export.workouts.iter().map(|workout| workout.sets.len()).sum();
    assert_eq!(export.rows, taken + export.refused.len(), "every row is accounted for");
    export
}

/// The set of a file of one row.
fn one(changed: &[(&str, &str)]) -> Set {
    let mut export = read_text(&file(&[row(changed)]));
    assert_eq!(export.refused, []);
    export.workouts.remove(0).sets.remove(0)
}

/// The reason why a row is refused.
fn refused(changed: &[(&str, &str)]) -> String {
    let export = read_text(&file(&[row(changed)]));
    assert!(export.workouts.is_empty());
    export.refused.into_iter().map(|refusal| refusal.reason).collect()
}

fn lines(refusals: &[Refusal]) -> Vec<u64> {
    refusals.iter().map(|refusal| refusal.line).collect()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn start(text: &str, zone: Tz) -> String {
    let text = file(&[row(&[("start_time", text), ("end_time", "1 Jan 2030, 00:00")])]);
    let export = read(text.as_bytes(), zone).unwrap();
    export.workouts.first().unwrap().started_at.to_string()
}

#[test]
fn a_row_is_a_set() {
    let set = one(&[
        ("superset_id", "2"),
        ("exercise_notes", "slow"),
        ("set_index", "3"),
        ("set_type", "dropset"),
        ("distance_km", "0.4"),
        ("duration_seconds", "90"),
        ("rpe", "8.5"),
    ]);
    assert_eq!((set.line, set.index, set.kind), (2, 3, SetKind::Drop));
    assert_eq!(set.exercise, "Bench Press (Barbell)");
    assert_eq!(set.exercise_notes.as_deref(), Some("slow"));
    assert_eq!(set.superset.unwrap().get(), 2);
    assert_eq!(set.weight, Weight::new(dec!(60), WeightUnit::Kg).ok());
    assert_eq!(set.reps.unwrap().get(), 8);
    assert_eq!(set.distance.unwrap().get(), dec!(400));
    assert_eq!(set.duration.unwrap().get(), 90);
    assert_eq!(set.rpe.unwrap().get(), 8.5);
    for (text, kind) in [("warmup", SetKind::WarmUp), ("failure", SetKind::Failure)] {
        assert_eq!(one(&[("set_type", text)]).kind, kind);
    }
}

#[test]
fn empty_and_zero() {
    let set = one(&[("weight_kg", ""), ("reps", "0")]);
    assert_eq!((set.weight, set.reps.unwrap().get()), (None, 0));
    let set = one(&[("weight_kg", "0"), ("distance_km", "0.0"), ("duration_seconds", "0")]);
    assert_eq!((set.weight, set.distance, set.duration, set.rpe), (None, None, None, None));
    let nothing = "has no reps, distance or duration";
    assert_eq!(refused(&[("reps", "")]), nothing);
    assert_eq!(refused(&[("reps", ""), ("duration_seconds", "0")]), nothing);
}

#[test]
fn workouts_are_gathered_and_oldest_first() {
    let later = [("start_time", "6 Jan 2025, 08:00"), ("end_time", "6 Jan 2025, 09:00")];
    let export = read_text(&file(&[
        row(&[later[0], later[1], ("reps", "5")]),
        row(&[("reps", "4")]),
        row(&[later[0], later[1], ("reps", "3"), ("description", "good")]),
        row(&[("title", "Second of the day"), ("reps", "2")]),
        row(&[("reps", "1")]),
    ]));
    let reps = |workout: &Workout| {
        workout.sets.iter().filter_map(|set| set.reps).map(Reps::get).collect::<Vec<_>>()
    };
    let found: Vec<_> = export
        .workouts
        .iter()
        .map(|workout| (workout.title.as_str(), workout.line, reps(workout)))
        .collect();
    let wanted =
        [("Push", 3, vec![4, 1]), ("Second of the day", 5, vec![2]), ("Push", 2, vec![5, 3])];
    assert_eq!(found, wanted);
    assert_eq!(export.workouts.last().unwrap().notes.as_deref(), Some("good"));
    assert_eq!(export.workouts.first().unwrap().notes, None);
}

#[test]
fn any_line_ends_quotes_and_order_of_columns() {
    let plain = file(&[
        row(&[("title", "Legs 🦵, \"heavy\""), ("description", "two\nlines")]),
        row(&[("reps", "nine")]),
    ]);
    let quoted = format!("\"{}\"", HEADER.replace(',', "\",\""));
    for text in [
        plain.clone(),
        format!("\u{feff}{plain}"),
        plain.replace('\n', "\r\n"),
        plain.replacen(HEADER, &quoted, 1),
        plain.replacen(HEADER, &format!("\u{feff}{}", quoted.to_uppercase()), 1),
        plain.trim_end().to_owned(),
    ] {
        let export = read_text(&text);
        let workout = export.workouts.first().unwrap();
        assert_eq!(workout.title, "Legs 🦵, \"heavy\"");
        assert_eq!(workout.notes.as_deref(), Some("two\nlines"));
        assert_eq!(lines(&export.refused), [4], "{text:?}");
    }
    let export = read_text(
        "reps,colour,set_type,weight_lbs,end_time,start_time,set_index,title,exercise_title\n\
         \n\
         5,red,normal,225,\"5 Jan 2025, 09:00\",\"5 Jan 2025, 08:00\",0,,Squat (Barbell)\n",
    );
    let workout = export.workouts.first().unwrap();
    assert_eq!((workout.title.as_str(), workout.line), ("Workout", 3));
    let weight = Weight::new(dec!(225), WeightUnit::Lb).ok();
    assert_eq!(workout.sets.first().unwrap().weight, weight);
}

#[test]
fn pounds_and_miles_come_independently() {
    let header = HEADER.replace("distance_km", "distance_miles");
    let text = file(&[row(&[("distance_km", "3.107")])]).replacen(HEADER, &header, 1);
    let export = read_text(&text);
    let set = export.workouts.first().unwrap().sets.first().unwrap();
    assert_eq!(set.weight.unwrap().unit(), WeightUnit::Kg);
    assert_eq!(set.distance.unwrap().get(), decimal("5000.232"));
    // 0.0000025 km is 2.5 mm, and halves go to the even side.
    assert_eq!(one(&[("distance_km", "0.0000025")]).distance.unwrap().get(), dec!(0.002));
}

#[test]
fn weights_lose_float_noise_and_nothing_else() {
    for (text, value) in [
        ("149.99999999999997", "150"),
        ("61.23492", "61.23492"),
        ("61.234969999999997", "61.23497"),
        ("22.679618500000003", "22.679619"),
        ("62.5", "62.5"),
        ("1e2", "100"),
    ] {
        let weight = one(&[("weight_kg", text)]).weight.unwrap();
        assert_eq!(weight.value(), decimal(value), "{text}");
    }
}

#[test]
fn times_of_many_languages_and_forms() {
    for text in [
        "5 Apr 2025, 20:05",
        "5 Nis 2025, 20:05",
        "5 avr. 2025, 20:05",
        "5. April 2025 20:05",
        "05 апр. 2025, 20:05",
        "5 4月 2025, 20:05",
        "5 de abr. de 2025, 20:05",
        "5 Apr 2025, 8:05 PM",
        "Apr 5, 2025, 8:05\u{202f}p.m.",
        "2025-04-05 20:05:00",
        "2025-04-05T20:05",
    ] {
        assert_eq!(start(text, Paris), "2025-04-05T18:05:00Z", "{text}");
    }
    assert_eq!(start("5 Jan 2025, 12:30 AM", UTC), "2025-01-05T00:30:00Z");
    assert_eq!(start("5 Jan 2025, 12:30 pm", UTC), "2025-01-05T12:30:00Z");
    for bad in [
        "30 Feb 2025, 08:00",
        "5 Jan 2025, 24:00",
        "5 Jan 2025, 13:00 PM",
        "5 Jan 2025",
        "5 Jan, 08:00",
        "5 Jan 25, 08:00",
        "5 Jan 99999, 08:00",
        "5/1/2025 08:00",
        "soon",
    ] {
        let reason = refused(&[("start_time", bad)]);
        assert!(reason.starts_with("start_time must be a time such as"), "{bad}: {reason}");
    }
    let reason = refused(&[("start_time", "5 Foo 2025, 08:00")]);
    assert!(reason.contains("names the month \"Foo\""), "{reason}");
    let reason = refused(&[("start_time", "31 Dec 1899, 08:00")]);
    assert!(reason.contains("between 1900 and 9999"), "{reason}");
}

#[test]
fn clocks_put_forward_and_back() {
    // 02:30 was skipped: 03:30 summer time. And came twice: the first is summer time.
    assert_eq!(start("30 Mar 2025, 02:30", Paris), "2025-03-30T01:30:00Z");
    assert_eq!(start("26 Oct 2025, 02:30", Paris), "2025-10-26T00:30:00Z");
    // Samoa skipped the whole 30 December 2011.
    assert_eq!(start("30 Dec 2011, 12:00", Apia), "2011-12-30T22:00:00Z");

    let night = [("start_time", "26 Oct 2025, 02:50"), ("end_time", "26 Oct 2025, 02:10")];
    let export = read_text(&file(&[row(&night)]));
    let workout = export.workouts.first().unwrap();
    assert_eq!(workout.started_at.to_string(), "2025-10-26T00:50:00Z");
    assert_eq!(workout.completed_at.to_string(), "2025-10-26T01:10:00Z");
}

#[test]
fn every_problem_of_a_row_is_named() {
    let bad = [
        ("start_time", "yesterday"),
        ("end_time", ""),
        ("exercise_title", " "),
        ("superset_id", "1000"),
        ("set_index", "-1"),
        ("set_type", "hard"),
        ("weight_kg", "62,5"),
        ("reps", "6.5"),
        ("distance_km", "99999999999999999999999999999"),
        ("duration_seconds", "86401"),
        ("rpe", "8.3"),
    ];
    let reason = refused(&bad);
    assert_eq!(reason.split("; ").count(), bad.len(), "{reason}");
    for (column, _) in bad {
        assert!(reason.contains(&format!("{column} must")), "{column}: {reason}");
    }
    for weight in ["-5", "1000.1", "79228162514264337593543950335", "NaN", "heavy"] {
        assert!(refused(&[("weight_kg", weight)]).contains("weight_kg must"), "{weight}");
    }
    let before = refused(&[("end_time", "5 Jan 2025, 07:59")]);
    assert_eq!(before, "end_time must not be before start_time");
    assert!(one(&[("end_time", "5 Jan 2025, 08:00"), ("reps", "6.0")]).reps.is_some());
}

#[test]
fn long_texts_are_cut_and_said_so_once() {
    let (title, notes) = ("é".repeat(101), "n".repeat(1001));
    let sets = "s".repeat(1001);
    let texts = [("title", &*title), ("description", &*notes), ("exercise_notes", &*sets)];
    let export = read_text(&file(&[row(&texts), row(&texts)]));
    let workout = export.workouts.first().unwrap();
    assert_eq!(workout.title, "é".repeat(100));
    assert_eq!(workout.notes.as_deref().map(str::len), Some(1000));
    assert_eq!(workout.sets.len(), 2);
    for set in &workout.sets {
        assert_eq!(set.exercise_notes.as_deref().map(str::len), Some(1000));
    }
    assert_eq!(lines(&export.warnings), [2, 2, 2]);
    assert_eq!(export.warnings.first().unwrap().reason, "title is cut to 100 characters from 101");

    let export = read_text(&file(&[
        row(&[("description", "one")]),
        row(&[("description", "")]),
        row(&[("description", "two")]),
    ]));
    assert_eq!(export.workouts.first().unwrap().notes.as_deref(), Some("one"));
    assert_eq!(lines(&export.warnings), [4]);
}

#[test]
fn control_characters_are_dropped() {
    let texts = [("title", "Le\u{0}gs\u{7}"), ("description", "a\tb\u{1b}\r\nc\rd")];
    let export = read_text(&file(&[row(&texts)]));
    let workout = export.workouts.first().unwrap();
    assert_eq!(workout.title, "Legs");
    assert_eq!(workout.notes.as_deref(), Some("a\tb\nc\nd"));
}

#[test]
fn a_file_cut_off_anywhere_keeps_the_rows_before() {
    let text = file(&[row(&[]), row(&[]), row(&[("title", "Beine 🦵\nschwer")])]);
    let rows: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    for end in rows[2] + 2..text.len() - 4 {
        // Even in the middle of a character.
        let export = read(&text.as_bytes()[..end], Paris).unwrap();
        assert_eq!(export.workouts.first().unwrap().sets.len(), 2, "{end}");
        assert_eq!(export.workouts.len(), 1, "{end}");
        assert_eq!(export.refused.first().unwrap().line, 4, "{end}");
    }
}

#[test]
fn a_broken_row_takes_no_good_one_with_it() {
    let good = row(&[]);
    for broken in [
        "Push,\"5 Jan 2025, 08:00",
        "\"Push",
        "Push\"",
        "\"Pu\"sh\"",
        "a\",\"b",
        "a,b",
        "\u{fffd}",
        &format!("{good},\"more"),
        &format!("{good},more"),
        &good.replacen("Bench Press (Barbell)\"", "Bench Press", 1),
        &good.replacen("Push\"", "Push", 1),
    ] {
        let export =
            read_text(&file(&[good.clone(), broken.to_owned(), good.clone(), good.clone()]));
        assert_eq!(lines(&export.refused), [3], "{broken}");
        assert_eq!(export.rows, 4, "{broken}");
    }
    let mut bytes = file(&[good.clone(), row(&[("title", "Push?")]), good]).into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xE9;
    let export = read(&bytes, Paris).unwrap();
    assert_eq!(export.refused, [Refusal { line: 3, reason: "is not UTF-8 text".to_owned() }]);
    assert_eq!(export.rows, 3);
}

#[test]
fn files_of_which_nothing_can_be_read_say_why() {
    let utf16: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xFF\xFE", &utf16[..]].concat();
    let latin = file(&[row(&[("title", "?")])]).replace('?', "\u{1}").into_bytes();
    let latin: Vec<u8> = latin.into_iter().map(|b| if b == 1 { 0xE9 } else { b }).collect();
    let strong = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps";
    let android = "Date;Workout Name;Exercise Name;Set Order;Weight;Weight Unit;Reps";
    let fit_notes = "Date,Exercise,Category,Weight (kgs),Reps,Distance,Distance Unit,Time";
    let both = format!("{HEADER},weight_lbs");
    let twice = format!("{HEADER},reps");
    let cases: [(&[u8], &str); 15] = [
        (b"", "empty"),
        (b"\xEF\xBB\xBF \r\n", "empty"),
        (&marked, "UTF-16"),
        (&utf16, "UTF-16"),
        (&latin, "not UTF-8 but another encoding"),
        (b"\xE9t\xE9,b\n", "not UTF-8 but another encoding"),
        (b"PK\x03\x04\x14\x00", "ZIP"),
        (strong.as_bytes(), "export of Strong"),
        (android.as_bytes(), "export of Strong"),
        (fit_notes.as_bytes(), "export of FitNotes"),
        (&HEADER.replace(',', ";").into_bytes(), "not separated by commas"),
        (b"title,start_time,reps\n", "no column end_time, no column exercise_title"),
        (&HEADER.as_bytes()[..60], "no column set_index"),
        (both.as_bytes(), "weight_kg and weight_lbs"),
        (twice.as_bytes(), "reps and reps"),
    ];
    for (bytes, says) in cases {
        let error = read(bytes, Paris).unwrap_err().to_string();
        assert!(error.contains(says), "{error} should say {says}");
    }
    assert_eq!(read_text(HEADER).rows, 0);
    assert!(read(b"\"title,start_time", Paris).is_err());
}

//! Does the fault run itself work, and does the log pass a short one?

use std::process::{Command, Stdio};

#[test]
fn a_short_run_loses_and_doubles_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_faults_log"))
        .args(["--seconds", "5", "--seed", "1"])
        .stderr(Stdio::inherit())
        .output()
        .expect("the program");
    let said = String::from_utf8(output.stdout).expect("text");
    let last = said.lines().last().expect("a last line");
    assert!(output.status.success(), "{}: {said}", output.status);

    let figures: Vec<(&str, u64)> = last
        .strip_prefix("faults log: ")
        .expect("its name")
        .split(' ')
        .map(|figure| {
            let (name, value) = figure.split_once('=').expect("a figure");
            (name, value.parse().expect("a number"))
        })
        .collect();
    let [("acknowledged", acknowledged), ("stored", stored), rest @ ..] = figures.as_slice() else {
        panic!("{last}")
    };
    assert!(*acknowledged > 0 && stored >= acknowledged, "{last}");
    assert_eq!(rest, [("lost", 0), ("doubled", 0), ("holes", 0)], "{last}");
}

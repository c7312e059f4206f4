//! Does the fault run of the fleet itself work, and does the product pass a short one?

use std::process::{Command, Stdio};

#[test]
fn a_short_run_loses_and_doubles_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_faults_fleet"))
        .args(["--seconds", "35", "--seed", "1"])
        .stderr(Stdio::inherit())
        .output()
        .expect("the program");
    let said = String::from_utf8(output.stdout).expect("text");
    let last = said.lines().last().expect("a last line");
    assert!(output.status.success(), "{}: {said}", output.status);

    let figures: Vec<(&str, u64)> = last
        .strip_prefix("faults fleet: ")
        .expect("its name")
        .split(' ')
        .map(|figure| {
            let (name, value) = figure.split_once('=').expect("a figure");
            (name, value.parse().expect("a number"))
        })
        .collect();
    let [
        ("acknowledged", acknowledged),
        ("in_history", in_history),
        ("on_topic", _),
        ("lost", 0),
        ("doubled", 0),
        ("faults", faults),
    ] = figures.as_slice()
    else {
        panic!("{last}")
    };
    assert!(*acknowledged > 100 && *in_history > 100 && *faults > 5, "{last}");
}

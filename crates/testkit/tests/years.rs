//! Invented years must be years that could have been: what breaks a rule of the log would accuse
//! whoever reads it.

use std::collections::HashMap;

use testkit::years::Years;

#[test]
fn every_stream_is_recorded_in_its_order_without_a_hole() {
    let mut years = Years::new(1, 50, 16);
    let (mut streams, mut last) = (HashMap::new(), None);
    for _ in 0..200 {
        for happening in years.next_day() {
            let version = streams.entry((happening.owner, happening.stream)).or_insert(0);
            *version += 1;
            assert_eq!(happening.version.0, *version, "{}", happening.stream);
            assert!(last <= Some(happening.recorded_at));
            last = Some(happening.recorded_at);
        }
    }
    assert!(streams.len() > 1_000);
}

//! Records of public topics, and the proof that none is missing.

use std::str::from_utf8;

use rdkafka::message::{Headers, Message, OwnedMessage};

/// What a header says; every record of ours has all of them.
pub fn header<'a>(record: &'a OwnedMessage, name: &str) -> &'a str {
    let headers = record.headers().expect("headers");
    let found = headers.iter().find(|header| header.key == name).expect("the header");
    from_utf8(found.value.expect("a value")).expect("text")
}

/// Where the record's event stands in the log.
pub fn position(record: &OwnedMessage) -> i64 {
    header(record, "ce_position").parse().expect("a position")
}

/// Whether anybody of ours can have written it.
pub fn is_ours(record: &OwnedMessage) -> bool {
    record.headers().is_some()
}

/// Every byte of a record, piece by piece.
pub fn pieces(record: &OwnedMessage) -> Vec<Vec<u8>> {
    let headers = record.headers().expect("headers").iter();
    let mut pieces: Vec<Vec<u8>> = headers
        .flat_map(|header| [header.key.as_bytes(), header.value.unwrap_or_default()])
        .map(<[u8]>::to_vec)
        .collect();
    pieces.push(record.key().unwrap_or_default().to_vec());
    pieces.push(record.payload().unwrap_or_default().to_vec());
    pieces
}

/// The positions of first occurrences in a partition of a public topic that was never emptied,
/// after proving, as readers do, that they are in order and that none is missing.
pub fn prove_chain(records: &[OwnedMessage]) -> Result<Vec<i64>, String> {
    let mut firsts: Vec<i64> = Vec::new();
    for record in records {
        let last = firsts.last().copied().unwrap_or_default();
        let at = position(record);
        let previous: i64 =
            header(record, "ce_previousposition").parse().expect("a previous position");
        if at <= last {
            if !firsts.contains(&at) {
                return Err(format!("position {at} comes after {last}"));
            }
        } else if previous > last {
            return Err(format!("position {at} names {previous} before it, not {last}"));
        } else {
            firsts.push(at);
        }
    }
    Ok(firsts)
}

//! Which records does a CSV file have, when some of it is broken?

use std::fmt;

use csv::{ByteRecord, StringRecord};

/// The records of a file with their first lines.
///
/// A quote that is never closed makes the rest of a file one field, and a reader that bears with
/// bad quoting takes the row after for a part of the row before. So records are told apart by the
/// strict rules, and of a broken one only the first line is given up.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The number of the line that `at` is on.
    line: u64,
    /// How many every record must have; 0 for any.
    pub(super) columns: usize,
}

/// Why a record is not even looked at.
pub(super) enum Broken {
    OpenQuote,
    StrayQuote,
    Columns { found: usize, wanted: usize, at_end: bool },
    NotUtf8,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote => f.write_str("is cut off: a quote is opened and never closed"),
            Self::StrayQuote => {
                f.write_str("has a quote that is not closed before the next column, or not doubled")
            }
            Self::Columns { found, wanted, at_end } => {
                let cut = if *at_end { "is cut off: " } else { "" };
                write!(f, "{cut}has {found} columns, where the first line has {wanted}")
            }
            Self::NotUtf8 => f.write_str("is not UTF-8 text"),
        }
    }
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1, columns: 0 }
    }

    /// What was not read yet.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Goes on by so many bytes, counting the lines.
    fn pass(&mut self, length: usize) {
        let end = self.at.saturating_add(length).min(self.bytes.len());
        while self.at < end {
            let within_break = self.bytes.get(self.at + 1) == Some(&b'\n');
            match self.bytes.get(self.at) {
                Some(b'\n') => self.line += 1,
                Some(b'\r') if !within_break => self.line += 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn split(&self, raw: &[u8]) -> Result<StringRecord, Broken> {
        let mut record = ByteRecord::new();
        let reader = &mut csv::ReaderBuilder::new()
            .has_headers(false)
            .buffer_capacity(raw.len())
            .from_reader(raw);
        // Bytes in memory fail to be read in no way.
        let _ = reader.read_byte_record(&mut record);
        if self.columns > 0 && record.len() != self.columns {
            let at_end = raw.len() == self.rest().len();
            return Err(Broken::Columns { found: record.len(), wanted: self.columns, at_end });
        }
        StringRecord::from_byte_record(record).map_err(|_| Broken::NotUtf8)
    }
}

impl Iterator for Records<'_> {
    type Item = (u64, Result<StringRecord, Broken>);

    fn next(&mut self) -> Option<Self::Item> {
        let to_break = |bytes: &[u8]| bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        while to_break(self.rest()) == Some(0) {
            self.pass(1);
        }
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let line = self.line;
        let record = record_length(rest).and_then(|length| {
            let raw = rest.get(..length).unwrap_or_default();
            self.split(raw).map(|record| (record, length))
        });
        match record {
            Ok((record, length)) => {
                self.pass(length);
                Some((line, Ok(record)))
            }
            Err(broken) => {
                self.pass(to_break(rest).unwrap_or(rest.len()));
                Some((line, Err(broken)))
            }
        }
    }
}

/// How long the first record of these bytes is, without the line break that ends it.
fn record_length(bytes: &[u8]) -> Result<usize, Broken> {
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let mut at = At::Start;
    for (length, byte) in bytes.iter().enumerate() {
        at = match (at, byte) {
            // Of a quote inside quotes, doubled, the first closes and the second opens again.
            (At::Start | At::Closed, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (_, b'\r' | b'\n') => return Ok(length),
            (_, b',') => At::Start,
            (At::Plain, b'"') | (At::Closed, _) => return Err(Broken::StrayQuote),
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    if matches!(at, At::Quoted) { Err(Broken::OpenQuote) } else { Ok(bytes.len()) }
}

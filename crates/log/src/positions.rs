//! Where in the log: the opaque token that commands answer and queries wait for.

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use events::{Epoch, Partition, Position};

/// A position in some of the partitions, on one line of history.
///
/// As text it is an opaque token; its format may change between versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// The line of history that the positions are on.
    pub epoch: Epoch,
    /// The last position seen, by partition.
    pub at: BTreeMap<Partition, Position>,
}

/// The text is no position token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a position token as an earlier answer gave it")]
pub struct InvalidToken;

const FORMAT: u8 = 1;

impl Positions {
    /// What every token matches: [`FORMAT`] and an epoch, and as many positions as there are.
    pub const PATTERN: &str = "^AQ[A-Za-z0-9_-]{10,}$";

    /// One position in one partition.
    pub fn one(epoch: Epoch, partition: Partition, position: Position) -> Self {
        Self { epoch, at: BTreeMap::from([(partition, position)]) }
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.epoch.0.to_be_bytes());
        for (partition, position) in &self.at {
            bytes.extend(partition.0.to_be_bytes());
            bytes.extend(position.0.to_be_bytes());
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Positions {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
        let rest = bytes.strip_prefix(&[FORMAT]).ok_or(InvalidToken)?;
        let (epoch, rest) = rest.split_first_chunk::<8>().ok_or(InvalidToken)?;
        let mut at = BTreeMap::new();
        for entry in rest.chunks(10) {
            let (partition, position) = entry.split_first_chunk::<2>().ok_or(InvalidToken)?;
            let position = position.try_into().map_err(|_| InvalidToken)?;
            let position = i64::from_be_bytes(position);
            if position < 0 {
                return Err(InvalidToken);
            }
            at.insert(Partition(i16::from_be_bytes(*partition)), Position(position));
        }
        Ok(Self { epoch: Epoch(i64::from_be_bytes(*epoch)), at })
    }
}

#[cfg(test)]
mod tests {
    use events::{Epoch, Partition, Position};

    use super::Positions;

    #[test]
    fn tokens_round_trip_and_rubbish_is_refused() {
        let mut positions = Positions::one(Epoch(1_760_000_000), Partition(3), Position(42));
        positions.at.insert(Partition(15), Position(7));
        assert_eq!(positions.to_string().parse(), Ok(positions.clone()));

        let token = positions.to_string();
        for bad in ["", "A", "not base64!", &token[..token.len() - 1], &token[1..]] {
            assert!(bad.parse::<Positions>().is_err(), "{bad}");
        }
    }
}

//! Finding exercises by what a person types: words in any order, beginnings of words, and words with
//! slips in them.
//!
//! Words are compared by the slips that lead from one to the other (Damerau and Levenshtein). It is done
//! here and not by Postgres, since the names of an athlete's own exercises are sealed there, and one
//! list has one order; trigrams, as `pg_trgm` has them, do not see that `bnech` is `bench`.

use std::collections::{BTreeMap, HashMap};

use strsim::normalized_damerau_levenshtein;

use crate::library::fold;

/// Less alike than this, two words are different ones: a slip in three letters, two in six.
const ALIKE: f64 = 0.66;

/// What two words written as one are worth, beside the same two apart.
const JOINED: f64 = 0.95;

/// Half of a word written so has at least so many letters.
const SHORTEST_HALF: usize = 2;

/// Words whose lengths differ by more are not compared.
const SLIPS: usize = 2;

/// What a search may be, in characters: more is no word of an exercise any more.
const LONGEST: usize = 100;

/// Texts to search, each with how much a match in it is worth.
#[derive(Debug, Default)]
pub struct Index {
    /// Every different word, with the documents that have it and what that is worth.
    words: BTreeMap<String, Vec<(usize, f64)>>,
    /// Of each document, of how many words the text is in which a match is worth most.
    lengths: Vec<usize>,
}

impl Index {
    /// Adds a document; texts come with what a match in them is worth, up to 1. Documents are
    /// numbered from 0.
    pub fn add<'a>(&mut self, texts: impl IntoIterator<Item = (&'a str, f64)>) {
        let mut worth: HashMap<String, f64> = HashMap::new();
        let (mut most, mut length) = (0.0, 1);
        for (text, value) in texts {
            let words: Vec<String> = words(text).collect();
            if value > most {
                (most, length) = (value, words.len().max(1));
            }
            for word in words {
                let best = worth.entry(word).or_insert(0.0);
                *best = best.max(value);
            }
        }
        for (text, value) in worth {
            self.words.entry(text).or_default().push((self.lengths.len(), value));
        }
        self.lengths.push(length);
    }

    /// The documents in which every word of a search is found, however written: the best first,
    /// each with how good it is, up to 1.
    pub fn search(&self, wanted: &str) -> Vec<(usize, f64)> {
        let wanted: String = wanted.chars().take(LONGEST).collect();
        let wanted: Vec<String> = words(&wanted).collect();
        let mut sums: HashMap<usize, (usize, f64)> = HashMap::new();
        for (number, word) in wanted.iter().enumerate() {
            for (document, score) in self.documents_with(word) {
                let (found, sum) = sums.entry(document).or_insert((0, 0.0));
                if *found == number {
                    (*found, *sum) = (number + 1, *sum + score);
                }
            }
        }
        let all = sums.into_iter().filter(|(_, (found, _))| *found == wanted.len());
        // Of what is found as well, the shorter name is what was meant.
        let rank = |document: usize, found: usize, sum: f64| {
            let named = (found as f64 / self.lengths[document] as f64).min(1.0);
            (document, sum / found as f64 * (0.9 + 0.1 * named))
        };
        let mut all: Vec<(usize, f64)> =
            all.map(|(document, (found, sum))| rank(document, found, sum)).collect();
        all.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        all
    }

    /// How good each document's best word for a wanted one is.
    fn documents_with(&self, wanted: &str) -> HashMap<usize, f64> {
        let mut best: HashMap<usize, f64> = HashMap::new();
        for (text, places) in &self.words {
            let alike = likeness(wanted, text);
            if alike < ALIKE {
                continue;
            }
            for (document, worth) in places {
                let score = best.entry(*document).or_insert(0.0);
                *score = score.max(alike * worth);
            }
        }
        // Some write `pullup` for pull-up: both halves are words then.
        for (at, _) in wanted.char_indices().skip(SHORTEST_HALF) {
            let (one, other) = wanted.split_at(at);
            let (Some(one), Some(other)) = (self.words.get(one), self.words.get(other)) else {
                continue;
            };
            let halves: HashMap<usize, f64> = one.iter().copied().collect();
            for (document, worth) in other {
                if let Some(of_half) = halves.get(document) {
                    let score = best.entry(*document).or_insert(0.0);
                    *score = score.max(JOINED * worth.min(*of_half));
                }
            }
        }
        best
    }
}

/// 1 for the same word, nearly so for one that begins so, less the more slips lie between.
fn likeness(wanted: &str, text: &str) -> f64 {
    if wanted == text {
        return 1.0;
    }
    if text.starts_with(wanted) {
        return 0.8 + 0.15 * (wanted.len() as f64 / text.len() as f64);
    }
    if wanted.len().abs_diff(text.len()) > SLIPS {
        return 0.0;
    }
    0.9 * normalized_damerau_levenshtein(wanted, text)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let folded = fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::Index;

    fn found(wanted: &str) -> Vec<usize> {
        let mut index = Index::default();
        index.add([("Bench Press (Barbell)", 1.0), ("Lie on a bench and press", 0.5)]);
        index.add([("Incline Bench Press (Dumbbell)", 1.0)]);
        index.add([("Leg Press (Machine)", 1.0), ("Push the sled; no bench at all", 0.5)]);
        index.add([("Turkish Get-Up (Kettlebell)", 1.0)]);
        index.search(wanted).into_iter().map(|(document, _)| document).collect()
    }

    #[test]
    fn words_are_found_in_any_order_begun_and_misspelt() {
        assert_eq!(found("press bench"), [0, 1, 2]);
        assert_eq!(found("ben pre bar")[0], 0);
        assert_eq!(found("bnech pres barbel")[0], 0);
        assert_eq!(found("kettelbell"), [3]);
        assert_eq!(found("get up"), [3]);
        assert_eq!(found("getup"), [3], "written as one word");
        assert_eq!(found("press"), [0, 2, 1], "shorter names first");
        assert_eq!(found("press xylophone"), Vec::<usize>::new());
        assert_eq!(found(" - "), Vec::<usize>::new());
    }
}

//! Lists in pages: one entry more than wanted is read, and tells whether the list goes on.

/// How many entries to read for a page.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX)
}

/// Cuts what was read to the page; answers the place of its last entry, if there is a next page.
pub(crate) fn cut<T, P>(
    entries: &mut Vec<T>,
    limit: usize,
    place: impl FnOnce(&T) -> P,
) -> Option<P> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| more).map(place)
}

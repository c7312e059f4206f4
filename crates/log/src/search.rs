//! Looking through the log: by place, stream, type, athlete or time, for those who run the place.
//!
//! Whatever is looked for, a call looks at no more rows than [`MOST_LOOKED_AT`], and then says
//! where to go on. That is possible because positions are dense and times within a partition never go
//! back: a span of time is found by halving, and a run of positions has as many rows as numbers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    AthleteId, Epoch, Partition, Position, Stream, StreamKind, TYPES, Timestamp, Version,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::{ReadError, Reader};

/// Most rows that one call looks at, and of a stream as many entries of its index: some tens of
/// milliseconds' work when nothing of it is in memory.
pub const MOST_LOOKED_AT: i64 = 5000;

/// What is looked for; everything, by default.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this partition alone.
    pub partition: Option<Partition>,
    /// Of the streams of this name: ids are unique only within their owner.
    pub stream: Option<Stream>,
    /// Of one of these types; of any, when there are none.
    pub types: Vec<String>,
    /// Of this owner.
    pub athlete: Option<AthleteId>,
    /// Recorded then or later.
    pub from: Option<Timestamp>,
    /// Recorded earlier.
    pub to: Option<Timestamp>,
}

/// Holds the name of an event type against those that this program knows.
pub fn known_type(name: &str) -> Result<String, String> {
    let known = known_types();
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("must be one of {}", known.join(", ")))
}

/// The names of the event types that this program knows.
pub fn known_types() -> Vec<&'static str> {
    let mut known: Vec<&str> = TYPES.iter().map(|known| known.name).collect();
    known.dedup();
    known
}

/// Behind which event to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    partition: Partition,
    position: Position,
}

/// What a call has found.
#[derive(Debug)]
pub struct Page {
    /// By partition, then by position.
    pub events: Vec<Found>,
    /// Where to go on; the rest of the log may hold nothing more that is looked for.
    pub next: Option<Place>,
}

/// An event as those see it who run the place: also one that this program does not know. Personal
/// fields are sealed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "LogEvent")]
pub struct Found {
    /// The partition of its owner.
    pub partition: Partition,
    /// Its place in the partition.
    pub position: Position,
    /// The line of history in which it was recorded.
    pub epoch: Epoch,
    /// The name of its stream; of an unknown kind, the kind's number stands for the word.
    pub stream: String,
    /// Which event of its stream it is.
    pub version: Version,
    /// Whose it is.
    pub owner: Uuid,
    /// The name of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of its payload.
    #[serde(rename = "type_version")]
    pub kind_version: i16,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// Who, when, why, as stored; text that is no JSON becomes a JSON string.
    #[schemars(with = "serde_json::Value")]
    pub metadata: Box<RawValue>,
    /// What it says, as stored.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
}

/// A row of `log.events`, as the query below selects it.
struct Row {
    partition: i16,
    position: i64,
    epoch: i64,
    owner: Uuid,
    stream_kind: i16,
    stream_id: Uuid,
    version: i32,
    kind: String,
    kind_version: i16,
    recorded_at: DateTime<Utc>,
    metadata: String,
    payload: String,
}

impl TryFrom<Row> for Found {
    type Error = ReadError;

    fn try_from(row: Row) -> Result<Self, ReadError> {
        let (partition, position) = (Partition(row.partition), Position(row.position));
        let what = "it cannot be shown";
        let corrupt = |_| ReadError::Corrupt { partition, position, what };
        let kind = StreamKind::from_code(row.stream_kind);
        let stream = Stream { kind, id: row.stream_id }.to_string();
        Ok(Self {
            partition,
            position,
            epoch: Epoch(row.epoch),
            stream,
            version: Version(row.version),
            owner: row.owner,
            kind: row.kind,
            kind_version: row.kind_version,
            recorded_at: Timestamp::new(row.recorded_at),
            metadata: as_json(row.metadata).map_err(corrupt)?,
            payload: as_json(row.payload).map_err(corrupt)?,
        })
    }
}

fn as_json(text: String) -> Result<Box<RawValue>, serde_json::Error> {
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(_) => RawValue::from_string(text),
        Err(_) => to_raw_value(&text),
    }
}

/// A run of positions within a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) partition: Partition,
    /// It begins behind this position …
    pub(crate) after: i64,
    /// … and ends with this one.
    pub(crate) last: i64,
}

/// In which order a search answers, and so which events it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By partition and position.
    Place,
    /// The latest first.
    Newest,
}

impl Reader {
    /// The events that are looked for, behind a place: at most `limit`, in the order of partitions
    /// and positions.
    pub async fn search(
        &self,
        filter: &Filter,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let (mut windows, exact) = self.windows(filter).await?;
        if let Some(after) = after {
            windows.retain_mut(|window| behind(window, after));
        }
        // Where every row is looked for, there is no need to look at more.
        let enough = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let budget = if exact { enough.min(MOST_LOOKED_AT) } else { MOST_LOOKED_AT };
        let rest = cut(&mut windows, budget);
        let mut events = self.look(&windows, filter, Order::Place, enough).await?;
        let next = if events.len() > limit {
            events.truncate(limit);
            events.last().map(|last| Place { partition: last.partition, position: last.position })
        } else {
            rest
        };
        Ok(Page { events, next })
    }

    /// The newest events that are looked for, oldest first. Under a filter, of each partition only
    /// the newest [`MOST_LOOKED_AT`] are looked at.
    pub async fn newest(&self, filter: &Filter, count: usize) -> Result<Vec<Found>, ReadError> {
        let (mut windows, exact) = self.windows(filter).await?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let depth = if exact { count } else { MOST_LOOKED_AT };
        for window in &mut windows {
            window.after = window.after.max(window.last.saturating_sub(depth));
        }
        let mut events = self.look(&windows, filter, Order::Newest, count).await?;
        events.reverse();
        Ok(events)
    }

    /// What is new behind positions that it moves on; `None` when nothing is, whether it is
    /// looked for or not.
    pub async fn following(
        &self,
        filter: &Filter,
        after: &mut BTreeMap<Partition, Position>,
    ) -> Result<Option<Vec<Found>>, ReadError> {
        let heads = self.heads().await?;
        let windows = heads.into_iter().map(|(partition, head)| {
            let after = after.get(&partition).map_or(0, |position| position.0);
            Window { partition, after, last: head.0 }
        });
        let mut windows: Vec<Window> =
            windows.filter(|window| window.after < window.last).collect();
        cut(&mut windows, MOST_LOOKED_AT);
        if windows.is_empty() {
            return Ok(None);
        }
        let mut events = self.look(&windows, filter, Order::Newest, MOST_LOOKED_AT).await?;
        events.reverse();
        after.extend(windows.iter().map(|window| (window.partition, Position(window.last))));
        Ok(Some(events))
    }

    /// The event at a place; `None` where nothing happened yet.
    pub async fn event(
        &self,
        partition: Partition,
        position: Position,
    ) -> Result<Option<Found>, ReadError> {
        let window = Window { partition, after: position.0.saturating_sub(1), last: position.0 };
        let found = self.look(&[window], &Filter::default(), Order::Place, 1).await?;
        Ok(found.into_iter().next())
    }

    /// For each partition, the last position that was recorded before an instant.
    pub(crate) async fn recorded_before(
        &self,
        at: Timestamp,
        heads: &BTreeMap<Partition, Position>,
    ) -> Result<BTreeMap<Partition, Position>, ReadError> {
        // The last position that is known to be earlier, and the last that may be.
        let mut sought: BTreeMap<i16, (i64, i64)> =
            heads.iter().map(|(partition, head)| (partition.0, (0, head.0))).collect();
        loop {
            let open = sought.iter().filter(|(_, (low, high))| low < high);
            let (partitions, middles): (Vec<i16>, Vec<i64>) =
                open.map(|(partition, (low, high))| (*partition, high - (high - low) / 2)).unzip();
            if partitions.is_empty() {
                break;
            }
            let rows = sqlx::query!(
                r#"select p.partition as "partition!", p.position as "position!", coalesce((
                       select e.recorded_at < $3 from log.events e
                       where e.partition = p.partition and e.position = p.position
                   ), false) as "earlier!"
                   from unnest($1::smallint[], $2::bigint[]) as p (partition, position)"#,
                &partitions,
                &middles,
                at.utc(),
            )
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                let Some((low, high)) = sought.get_mut(&row.partition) else { continue };
                if row.earlier { *low = row.position } else { *high = row.position - 1 }
            }
        }
        Ok(sought.into_iter().map(|(at, (low, _))| (Partition(at), Position(low))).collect())
    }

    /// Where what is looked for can be, in the order of places, and whether every row there is
    /// looked for.
    async fn windows(&self, filter: &Filter) -> Result<(Vec<Window>, bool), ReadError> {
        let mut heads = self.heads().await?;
        if let Some(partition) = filter.partition {
            heads.retain(|known, _| *known == partition);
        }
        if let Some(athlete) = filter.athlete
            && let Some(home) = self.home(athlete).await?
        {
            heads.retain(|known, _| *known == home);
        }
        let mut windows: BTreeMap<Partition, Window> = heads
            .iter()
            .map(|(&partition, head)| (partition, Window { partition, after: 0, last: head.0 }))
            .collect();
        if let Some(from) = filter.from {
            for (partition, position) in self.recorded_before(from, &heads).await? {
                windows.entry(partition).and_modify(|window| window.after = position.0);
            }
        }
        if let Some(to) = filter.to {
            for (partition, position) in self.recorded_before(to, &heads).await? {
                windows.entry(partition).and_modify(|window| window.last = position.0);
            }
        }
        windows.retain(|_, window| window.after < window.last);
        let plain = filter.types.is_empty() && filter.athlete.is_none();
        let Some(stream) = filter.stream else {
            return Ok((windows.into_values().collect(), plain));
        };
        let Some(places) = self.places(stream, filter).await? else {
            return Ok((windows.into_values().collect(), false));
        };
        let within = places.into_iter().filter(|place| {
            let window = windows.get(&place.partition);
            window.is_some_and(|w| w.after < place.position.0 && place.position.0 <= w.last)
        });
        let one = |place: Place| Window {
            partition: place.partition,
            after: place.position.0 - 1,
            last: place.position.0,
        };
        Ok((within.map(one).collect(), plain))
    }

    /// The partition of an athlete; `None` when none of that id has registered.
    async fn home(&self, athlete: AthleteId) -> Result<Option<Partition>, ReadError> {
        let partition = sqlx::query_scalar!(
            "select partition from log.events
             where stream_id = $1 and owner = $1 and stream_kind = $2 and version = 1",
            athlete.uuid(),
            StreamKind::Athlete.code(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(partition.map(Partition))
    }

    /// The places of the events of a stream, by its index, in order; `None` when there are more
    /// than one call looks at.
    async fn places(
        &self,
        stream: Stream,
        filter: &Filter,
    ) -> Result<Option<Vec<Place>>, ReadError> {
        let rows = sqlx::query!(
            "select partition, position from log.events
             where stream_id = $1 and stream_kind = $2 and ($3::uuid is null or owner = $3)
             limit $4",
            stream.id,
            stream.kind.code(),
            filter.athlete.map(AthleteId::uuid),
            MOST_LOOKED_AT + 1,
        )
        .fetch_all(&self.pool)
        .await?;
        if i64::try_from(rows.len()).is_ok_and(|count| count > MOST_LOOKED_AT) {
            return Ok(None);
        }
        let places = rows.into_iter().map(|row| Place {
            partition: Partition(row.partition),
            position: Position(row.position),
        });
        let mut places: Vec<Place> = places.collect();
        places.sort_unstable();
        Ok(Some(places))
    }

    /// Looks through windows.
    async fn look(
        &self,
        windows: &[Window],
        filter: &Filter,
        order: Order,
        limit: i64,
    ) -> Result<Vec<Found>, ReadError> {
        let partitions: Vec<i16> = windows.iter().map(|window| window.partition.0).collect();
        let after: Vec<i64> = windows.iter().map(|window| window.after).collect();
        let last: Vec<i64> = windows.iter().map(|window| window.last).collect();
        // The limit within keeps each window to the primary key, whatever the planner expects.
        let of_each = if order == Order::Place { limit } else { i64::MAX };
        sqlx::query_as!(
            Row,
            r#"select e.partition as "partition!", e.position as "position!", e.epoch as "epoch!",
                   e.owner as "owner!", e.stream_kind as "stream_kind!",
                   e.stream_id as "stream_id!", e.version as "version!", e.type as "kind!",
                   e.type_version as "kind_version!", e.recorded_at as "recorded_at!",
                   e.metadata as "metadata!", e.payload as "payload!"
               from unnest($1::smallint[], $2::bigint[], $3::bigint[]) as w (partition, after, last)
               cross join lateral (
                   select * from log.events
                   where partition = w.partition and position > w.after and position <= w.last
                       and (cardinality($4::text[]) = 0 or type = any($4))
                       and ($5::uuid is null or owner = $5)
                       and ($6::uuid is null or stream_id = $6)
                       and ($7::smallint is null or stream_kind = $7)
                   order by position limit $8
               ) e
               order by case when $9 then e.recorded_at end desc,
                   case when $9 then -e.position end, e.partition, e.position
               limit $10"#,
            &partitions,
            &after,
            &last,
            &filter.types,
            filter.athlete.map(AthleteId::uuid),
            filter.stream.map(|stream| stream.id),
            filter.stream.map(|stream| stream.kind.code()),
            of_each,
            order == Order::Newest,
            limit,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(Found::try_from)
        .collect()
    }
}

/// Leaves of a window what lies behind a place; whether anything does.
fn behind(window: &mut Window, place: Place) -> bool {
    if window.partition == place.partition {
        window.after = window.after.max(place.position.0);
    }
    window.partition >= place.partition && window.after < window.last
}

/// Leaves so many rows of the windows, and answers where to go on if that is not all of them.
fn cut(windows: &mut Vec<Window>, mut budget: i64) -> Option<Place> {
    let mut kept = 0;
    for window in windows.iter_mut() {
        if budget == 0 {
            break;
        }
        kept += 1;
        let rows = window.last - window.after;
        if rows > budget {
            window.last = window.after + budget;
            windows.truncate(kept);
            return windows.last().map(end);
        }
        budget -= rows;
    }
    let all = kept == windows.len();
    windows.truncate(kept);
    if all { None } else { windows.last().map(end) }
}

fn end(window: &Window) -> Place {
    Place { partition: window.partition, position: Position(window.last) }
}

#[cfg(test)]
mod tests {
    use events::{Partition, Position};

    use super::{Place, Window, behind, cut};

    fn window(partition: i16, after: i64, last: i64) -> Window {
        Window { partition: Partition(partition), after, last }
    }

    fn place(partition: i16, position: i64) -> Place {
        Place { partition: Partition(partition), position: Position(position) }
    }

    #[test]
    fn windows_are_cut_to_a_number_of_rows_and_gone_on_with() {
        let all = vec![window(0, 0, 3), window(1, 5, 7), window(3, 0, 10)];
        for (budget, kept, next) in [
            (15, all.clone(), None),
            (14, vec![window(0, 0, 3), window(1, 5, 7), window(3, 0, 9)], Some(place(3, 9))),
            (5, vec![window(0, 0, 3), window(1, 5, 7)], Some(place(1, 7))),
            (4, vec![window(0, 0, 3), window(1, 5, 6)], Some(place(1, 6))),
            (3, vec![window(0, 0, 3)], Some(place(0, 3))),
        ] {
            let mut windows = all.clone();
            assert_eq!(cut(&mut windows, budget), next, "{budget}");
            assert_eq!(windows, kept, "{budget}");
        }
        let mut rest = all;
        rest.retain_mut(|window| behind(window, place(1, 6)));
        assert_eq!(rest, [window(1, 6, 7), window(3, 0, 10)]);
        rest.retain_mut(|window| behind(window, place(3, i64::MAX)));
        assert_eq!(rest, []);
    }
}

//! What several models keep of what an athlete weighed, each for itself: sealed, or in clear where a
//! model ranks by it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{body::Bodyweights, days};
use events::{
    AthleteId, BodyweightId, Event, Partition, Personal, Position, TimeZone, Timestamp, Weighing,
    Weight,
};
use projector::{Happened, Tables, row};
use rust_decimal::Decimal;
use uuid::Uuid;
use web::Error;

use crate::{Context, context};

row! {
    /// A weighing; the later noted of two of one instant comes later.
    pub(crate) struct WeighingRow in "weighings" by 3 {
        pub(crate) owner: Uuid,
        pub(crate) measured_at: DateTime<Utc>,
        /// The position of the event that told of it first.
        noted: i64,
        id: Uuid,
        /// As in the event, sealed; in models that open it, the bare kilograms.
        weight: String,
    }
}

/// When somebody was weighed, and what is stored of the weight.
type Stored = (DateTime<Utc>, String);

/// What a batch says of weighings.
#[derive(Default)]
pub(crate) struct Weighings(BTreeMap<AthleteId, Said>);

/// What it says of one athlete's, in the order of the log.
struct Said {
    partition: Partition,
    recorded_at: DateTime<Utc>,
    weighings: Vec<(BodyweightId, Position, Option<Stored>)>,
    /// Whether there is more than new ones.
    changes: bool,
}

/// That other bodyweights may count on some days of an athlete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reweighed {
    pub(crate) owner: AthleteId,
    pub(crate) partition: Partition,
    /// When the log took the event that says so.
    pub(crate) recorded_at: DateTime<Utc>,
    /// A weighing came or went at that time: then those from its day on, up to that of the next one. Else
    /// all of them.
    pub(crate) from: Option<DateTime<Utc>>,
}

/// A span of time from its first instant on; up to another one, if it has an end.
pub(crate) struct Span {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: Option<DateTime<Utc>>,
}

impl Span {
    pub(crate) fn has(&self, at: Timestamp) -> bool {
        at.utc() >= self.from && self.to.is_none_or(|to| at.utc() < to)
    }
}

impl Reweighed {
    /// The days on which it counts.
    pub(crate) async fn span(
        self,
        zone: TimeZone,
        tables: &mut Tables<'_>,
    ) -> Result<Span, sqlx::Error> {
        let Some(at) = self.from else {
            return Ok(Span { from: DateTime::<Utc>::MIN_UTC, to: None });
        };
        let end_of_day = days::ends(Timestamp::new(at), zone);
        let next: Vec<WeighingRow> = tables.ceiling([(self.owner.uuid(), end_of_day)]).await?;
        let begins = |at: DateTime<Utc>| days::begins(at.with_timezone(&zone.0).date_naive(), zone);
        Ok(Span { from: begins(at), to: next.first().map(|next| begins(next.measured_at)) })
    }
}

impl WeighingRow {
    /// The kilograms, in a model that opens them.
    pub(crate) fn kg(&self) -> Option<Decimal> {
        self.weight.parse().ok()
    }
}

impl Weighings {
    /// Takes an event of a weighing.
    pub(crate) fn take(&mut self, happened: &Happened) {
        let (id, weighing, is_new) = match &happened.event {
            Event::BodyweightMeasured(measured) => {
                (measured.bodyweight_id, Some(&measured.weighing), true)
            }
            Event::BodyweightCorrected(corrected) => {
                (corrected.bodyweight_id, Some(&corrected.weighing), false)
            }
            Event::BodyweightRemoved(removed) => (removed.bodyweight_id, None, false),
            _ => return,
        };
        let recorded_at = happened.recorded_at.utc();
        let said = self.0.entry(happened.owner).or_insert_with(|| Said {
            partition: happened.partition,
            recorded_at,
            weighings: Vec::new(),
            changes: false,
        });
        said.recorded_at = said.recorded_at.max(recorded_at);
        said.changes |= !is_new;
        let now = weighing.and_then(stored);
        said.weighings.push((id, happened.position, now));
    }

    /// Brings the rows up to date, and answers from when on other bodyweights count.
    pub(crate) async fn write(
        self,
        tables: &mut Tables<'_>,
    ) -> Result<Vec<Reweighed>, sqlx::Error> {
        let changing = self.0.iter().filter(|(_, said)| said.changes);
        let owners: Vec<(Uuid,)> = changing.map(|(owner, _)| (owner.uuid(),)).collect();
        let rows: Vec<WeighingRow> = tables.read(owners).await?;
        let mut known: BTreeMap<(Uuid, Uuid), WeighingRow> = BTreeMap::new();
        for row in rows {
            known.insert((row.owner, row.id), row);
        }
        let (mut gone, mut new) = (Vec::new(), BTreeMap::new());
        let mut reweighed = Vec::new();
        for (athlete, said) in self.0 {
            let owner = athlete.uuid();
            let mut times = BTreeSet::new();
            for (id, position, now) in said.weighings {
                let id = id.uuid();
                let mut noted = position.0;
                if let Some(before) = new.remove(&(owner, id)).or(known.remove(&(owner, id))) {
                    times.insert(before.measured_at);
                    gone.push((owner, before.measured_at, before.noted));
                    noted = before.noted;
                }
                if let Some((measured_at, weight)) = now {
                    times.insert(measured_at);
                    new.insert((owner, id), WeighingRow { owner, measured_at, noted, id, weight });
                }
            }
            let (partition, recorded_at) = (said.partition, said.recorded_at);
            let owner = athlete;
            let from = |at| Reweighed { owner, partition, recorded_at, from: Some(at) };
            reweighed.extend(times.into_iter().map(from));
        }
        tables.delete::<WeighingRow, _>(gone).await?;
        tables.insert(new.into_values()).await?;
        Ok(reweighed)
    }
}

/// What is stored of a weighing; nothing of one that was erased.
fn stored(weighing: &Weighing) -> Option<Stored> {
    let weight = match &weighing.weight {
        Personal::Clear(weight) => weight.kg().to_string(),
        Personal::Erased => return None,
        sealed => serde_json::to_string(sealed).ok()?,
    };
    Some((weighing.measured_at.utc(), weight))
}

/// The bodyweights of sealed rows, in the order of measuring.
pub(crate) async fn open(
    context: &Context,
    rows: impl IntoIterator<Item = Stored>,
) -> Result<Bodyweights, Error> {
    let mut all: Vec<(DateTime<Utc>, Personal<Weight>)> = Vec::new();
    for (measured_at, sealed) in rows {
        all.push((measured_at, serde_json::from_str(&sealed).map_err(Error::internal)?));
    }
    let fields = all.iter_mut().map(|(_, weight)| weight as &mut dyn events::PersonalField);
    context.keys.open(fields.collect()).await.map_err(context::database)?;
    let open = all.into_iter().filter_map(|(measured_at, weight)| {
        Some((Timestamp::new(measured_at), weight.clear()?.kg()))
    });
    Ok(Bodyweights::new(open))
}

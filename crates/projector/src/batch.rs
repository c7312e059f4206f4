//! A batch: from events in order to rows, checkpoints and parked events, in one transaction.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use events::{
    AthleteId, Epoch, Event, EventId, Partition, Position, Stream, StreamKind, Timestamp,
};
use log::{Keys, Reader, Stored};
use sqlx::{Acquire, PgConnection, PgPool};

use crate::{
    Error, Happened, Poison, Projection, Tables,
    checkpoint::{self, Checkpoint, Checkpoints},
    parking::{self, Parked},
    revisions::{Changed, Hears},
    tables::About,
};

/// Where the log and a read model are, as its owner believes.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) epoch: Epoch,
    pub(crate) checkpoints: Checkpoints,
    /// Whose events wait behind one that cannot be projected.
    pub(crate) parked: HashSet<AthleteId>,
    pub(crate) skipped: Skipped,
}

/// Events that somebody has decided to leave out. A restored log may have others at their places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Skipped(pub(crate) HashMap<(Partition, Position), String>);

impl Skipped {
    pub(crate) fn has(&self, item: &Item) -> bool {
        self.0.get(&(item.partition, item.position)).is_some_and(|id| *id == item.id.to_string())
    }
}

impl Standing {
    /// The same after a batch.
    pub(crate) fn advance(&mut self, written: Written) {
        self.checkpoints.extend(written.moved);
        let behind = written.parked.iter().filter(|parked| !parked.alone);
        self.parked.extend(behind.map(|parked| parked.owner));
    }
}

/// What a batch has changed.
pub(crate) struct Written {
    pub(crate) moved: Checkpoints,
    pub(crate) parked: Vec<Parked>,
}

/// An event of a batch, decoded.
pub(crate) struct Item {
    pub(crate) partition: Partition,
    pub(crate) position: Position,
    pub(crate) epoch: Epoch,
    pub(crate) id: EventId,
    pub(crate) recorded_at: Timestamp,
    pub(crate) what: What,
}

/// What an event is to a projection.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are of it, and a box for each would cost"
)]
pub(crate) enum What {
    /// One of those that it takes.
    Takes(Event),
    /// Another one.
    Passes,
    /// One of a type that this program does not know.
    Unknown(String),
    /// One that cannot be read.
    Broken(String),
}

impl What {
    /// Reads a payload, if the projection takes such events.
    pub(crate) fn read<P: Projection>(
        stream: Stream,
        kind: &str,
        version: i16,
        payload: Option<&str>,
    ) -> Self {
        if let StreamKind::Other(_) = stream.kind {
            return Self::Unknown(kind.to_owned());
        }
        if !P::TYPES.contains(&kind) {
            let known = events::TYPES.iter().any(|known| known.name == kind);
            return if known { Self::Passes } else { Self::Unknown(kind.to_owned()) };
        }
        match Event::decode(kind, version, payload.unwrap_or_default()) {
            Ok(event) => Self::Takes(event),
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}

impl Item {
    pub(crate) fn of<P: Projection>(stored: &Stored) -> Self {
        Self {
            partition: stored.partition,
            position: stored.position,
            epoch: stored.epoch,
            id: stored.id,
            recorded_at: stored.recorded_at,
            what: What::read::<P>(
                stored.id.stream,
                &stored.kind,
                stored.kind_version,
                Some(&stored.payload),
            ),
        }
    }

    fn happened(&self, event: Event) -> Happened {
        Happened {
            owner: self.id.owner,
            partition: self.partition,
            position: self.position,
            stream: self.id.stream,
            version: self.id.version,
            recorded_at: self.recorded_at,
            event,
        }
    }

    fn parked(&self, error: Option<String>) -> Parked {
        let alone = matches!(self.what, What::Unknown(_));
        let (partition, position, owner) = (self.partition, self.position, self.id.owner);
        Parked { partition, position, owner, error, alone }
    }
}

/// Opens what a projection needs in clear of events that it takes.
pub(crate) async fn open<P: Projection>(
    keys: Option<&Keys>,
    items: &mut [Item],
) -> Result<(), Error> {
    if P::OPENS.is_empty() {
        return Ok(());
    }
    let Some(keys) = keys else { return Err(Error::NoKeys(P::SCHEMA)) };
    let fields = items.iter_mut().filter_map(|item| match &mut item.what {
        What::Takes(event) if P::OPENS.contains(&event.type_and_version().0) => {
            Some(event.personal_fields())
        }
        _ => None,
    });
    Ok(keys.open(fields.flatten().collect()).await?)
}

/// Writes batches of one projection.
pub(crate) struct Writer<P> {
    pub(crate) pool: PgPool,
    pub(crate) log: Reader,
    /// For projections that need what is personal in clear.
    pub(crate) keys: Option<Keys>,
    /// Whether it fills a shadow: new rows may go in by `COPY`, many at a time, and are no news.
    pub(crate) loading: bool,
    /// Who hears whose rows have changed.
    pub(crate) hears: Option<Hears>,
    pub(crate) projection: PhantomData<P>,
}

impl<P> Clone for Writer<P> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            log: self.log.clone(),
            keys: self.keys.clone(),
            loading: self.loading,
            hears: self.hears.clone(),
            projection: PhantomData,
        }
    }
}

impl<P: Projection> Writer<P> {
    /// Brings events that follow on where we stand into the read model, with the checkpoints, or
    /// changes nothing.
    pub(crate) async fn write(
        &self,
        from: &Standing,
        mut items: Vec<Item>,
    ) -> Result<Written, Error> {
        open::<P>(self.keys.as_ref(), &mut items).await?;
        let changed = self.changed(&items);
        let run = Run::<P>::over(from, items)?;
        if let Some(poison) = run.poison {
            return self.write_carefully(from, run.moved, &poison).await;
        }
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let about = self.advance(&mut transaction, from, &run.moved).await?;
        match P::write(run.batch, &mut Tables::new(&mut transaction, &about)).await {
            Ok(()) => {}
            Err(error) if is_of_data(&error) => {
                transaction.rollback().await?;
                drop(connection);
                return self.write_carefully(from, run.moved, &said(&error)).await;
            }
            Err(error) => return Err(error.into()),
        }
        parking::park(&mut transaction, &run.parked).await?;
        changed.count(&mut transaction).await?;
        transaction.commit().await?;
        changed.tell::<P>(self.hears.as_ref()).await;
        tell::<P>(&run.parked);
        Ok(Written { moved: run.moved, parked: run.parked })
    }

    /// Whose rows these events change. One too many does no harm, such as who has an event that is
    /// set aside; a shadow that is filled has a generation of its own.
    fn changed(&self, items: &[Item]) -> Changed {
        if self.loading { Changed::default() } else { Changed::by::<P>(items) }
    }

    async fn advance(
        &self,
        transaction: &mut PgConnection,
        from: &Standing,
        to: &Checkpoints,
    ) -> Result<About, Error> {
        let moved = checkpoint::advance(transaction, from.epoch, &from.checkpoints, to).await?;
        let Some(as_of) = moved else { return Err(Error::Fenced(P::SCHEMA)) };
        let (copies, tells) = (self.loading, !self.loading);
        Ok(About { model: P::NAME, copies, tells, as_of: Arc::new(as_of) })
    }

    /// Brings the rows of a partition to a later time, with its checkpoint, or changes nothing.
    pub(crate) async fn age(
        &self,
        from: &Standing,
        partition: Partition,
        to: Checkpoint,
    ) -> Result<Checkpoints, Error> {
        let to = Checkpoints::from([(partition, to)]);
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let about = self.advance(&mut transaction, from, &to).await?;
        P::age(partition, &mut Tables::new(&mut transaction, &about)).await?;
        transaction.commit().await?;
        Ok(to)
    }

    /// The same with a batch of which an event cannot be projected: owner by owner, and of the one
    /// whose event it is, event by event. Rows of different owners have nothing to do with one
    /// another.
    async fn write_carefully(
        &self,
        from: &Standing,
        moved: Checkpoints,
        poison: &str,
    ) -> Result<Written, Error> {
        if P::POISON == Poison::Stop {
            return Err(Error::Poisoned { projection: P::SCHEMA, why: poison.to_owned() });
        }
        let mut parked = Vec::new();
        let mut by_owner: BTreeMap<AthleteId, Vec<Item>> = BTreeMap::new();
        let mut items = self.read_again(from, &moved).await?;
        open::<P>(self.keys.as_ref(), &mut items).await?;
        let changed = self.changed(&items);
        for item in items {
            let owner = item.id.owner;
            match &item.what {
                What::Passes => {}
                _ if from.skipped.has(&item) => {}
                What::Unknown(kind) => parked.push(item.parked(Some(unknown(kind)))),
                _ if from.parked.contains(&owner) => parked.push(item.parked(None)),
                _ => by_owner.entry(owner).or_default().push(item),
            }
        }
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let about = self.advance(&mut transaction, from, &moved).await?;
        // After a `COPY` that failed, there is nothing to go back to.
        let about = About { copies: false, ..about };
        for items in by_owner.into_values() {
            let (good, why) = attempt::<P>(&mut transaction, &about, &items).await?;
            let mut rest = items[good..].iter();
            if let (Some(item), Some(why)) = (rest.next(), why) {
                parked.push(item.parked(Some(why)));
            }
            parked.extend(rest.map(|item| item.parked(None)));
        }
        parking::park(&mut transaction, &parked).await?;
        changed.count(&mut transaction).await?;
        transaction.commit().await?;
        changed.tell::<P>(self.hears.as_ref()).await;
        tell::<P>(&parked);
        Ok(Written { moved, parked })
    }

    /// The events of a batch once more, from the log itself.
    async fn read_again(&self, from: &Standing, to: &Checkpoints) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for (partition, end) in to {
            let start = from.checkpoints.get(partition).map_or(Position(0), |at| at.position);
            let count = usize::try_from(end.position.0 - start.0).unwrap_or(0);
            let events = self.log.tail(&BTreeMap::from([(*partition, start)]), count).await?;
            items.extend(events.iter().map(Item::of::<P>));
        }
        Ok(items)
    }
}

/// What a run of events comes to.
struct Run<P: Projection> {
    batch: P::Batch,
    moved: Checkpoints,
    parked: Vec<Parked>,
    /// Why the batch is worth nothing: the projection refused one of the events.
    poison: Option<String>,
}

impl<P: Projection> Run<P> {
    /// Folds events into a batch, after proving that none is missing.
    fn over(from: &Standing, items: Vec<Item>) -> Result<Self, Error> {
        let (mut batch, mut parked, mut poison) = (P::Batch::default(), Vec::new(), None);
        let mut moved: BTreeMap<Partition, (EventId, Checkpoint)> = BTreeMap::new();
        let mut waiting: HashSet<AthleteId> = HashSet::new();
        for item in items {
            let (partition, position, id) = (item.partition, item.position, item.id);
            let Some(start) = from.checkpoints.get(&partition) else { continue };
            let last = moved.get(&partition).map_or(start.position, |(_, at)| at.position);
            if position != last.next() {
                return Err(Error::Hole { partition, last, found: position });
            }
            let at = Checkpoint {
                generation: start.generation,
                epoch: item.epoch,
                position,
                last_event: String::new(),
                as_of: start.as_of,
            };
            moved.insert(partition, (id, at));
            if poison.is_some() || matches!(item.what, What::Passes) || from.skipped.has(&item) {
                continue;
            }
            let why = match &item.what {
                What::Unknown(kind) => Some(unknown(kind)),
                _ if from.parked.contains(&id.owner) || waiting.contains(&id.owner) => None,
                What::Broken(why) => Some(why.clone()),
                What::Takes(_) | What::Passes => {
                    poison = fold::<P>(&mut batch, item).err();
                    continue;
                }
            };
            if let Some(why) = &why
                && P::POISON == Poison::Stop
            {
                let why = format!("partition {partition} position {position}: {why}");
                return Err(Error::Poisoned { projection: P::SCHEMA, why });
            }
            let item = item.parked(why);
            if !item.alone {
                waiting.insert(id.owner);
            }
            parked.push(item);
        }
        let moved = moved.into_iter().map(|(partition, (id, at))| {
            (partition, Checkpoint { last_event: id.to_string(), ..at })
        });
        Ok(Self { batch, moved: moved.collect(), parked, poison })
    }
}

fn unknown(kind: &str) -> String {
    format!("events of the type {kind} are not known to this program")
}

/// Takes an event into a batch, which is worth nothing afterwards if that fails. A projection that
/// panics has a fault, and nobody else should suffer from it.
fn fold<P: Projection>(batch: &mut P::Batch, mut item: Item) -> Result<(), String> {
    let What::Takes(event) = std::mem::replace(&mut item.what, What::Passes) else {
        return Ok(());
    };
    let happened = item.happened(event);
    match catch_unwind(AssertUnwindSafe(|| P::fold(batch, happened))) {
        Ok(folded) => folded.map_err(|refused| refused.0),
        Err(_) => Err("the projection panicked".to_owned()),
    }
}

/// Projects events of one owner as far as it goes: answers how many, and why not the next.
pub(crate) async fn attempt<P: Projection>(
    transaction: &mut PgConnection,
    about: &About,
    items: &[Item],
) -> Result<(usize, Option<String>), Error> {
    if write_some::<P>(transaction, about, items).await?.is_none() {
        return Ok((items.len(), None));
    }
    for (index, item) in items.iter().enumerate() {
        let one = std::slice::from_ref(item);
        if let Some(why) = write_some::<P>(transaction, about, one).await? {
            return Ok((index, Some(why)));
        }
    }
    Ok((items.len(), None))
}

/// Projects events in a transaction within the transaction, or answers why they cannot be.
async fn write_some<P: Projection>(
    transaction: &mut PgConnection,
    about: &About,
    items: &[Item],
) -> Result<Option<String>, Error> {
    let mut batch = P::Batch::default();
    for item in items {
        let what = match &item.what {
            What::Takes(event) => What::Takes(event.clone()),
            What::Passes => continue,
            What::Unknown(kind) => return Ok(Some(unknown(kind))),
            What::Broken(why) => return Ok(Some(why.clone())),
        };
        if let Err(why) = fold::<P>(&mut batch, Item { what, ..*item }) {
            return Ok(Some(why));
        }
    }
    let mut inner = transaction.begin().await?;
    match P::write(batch, &mut Tables::new(&mut inner, about)).await {
        Ok(()) => {
            inner.commit().await?;
            Ok(None)
        }
        Err(error) if is_of_data(&error) => {
            inner.rollback().await?;
            Ok(Some(said(&error)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an error is about what was to be written, and comes again with it. A full disk, a
/// deadlock or a time-out does not, and a missing column is nobody's event's fault.
fn is_of_data(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["22", "23", "54", "P0"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// What is kept of an error: no details, which may quote the row.
fn said(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::Database(error) => {
            format!(
                "Postgres refused it: {} ({})",
                error.message(),
                error.code().unwrap_or_default()
            )
        }
        error => error.to_string(),
    };
    text.chars().take(500).collect()
}

fn tell<P: Projection>(parked: &[Parked]) {
    metrics::counter!("ironledger_parked_events_total", "model" => P::SCHEMA)
        .increment(parked.len() as u64);
    for Parked { partition, position, owner, error, .. } in parked {
        if let Some(why) = error {
            tracing::error!(
                projection = P::SCHEMA, %partition, %position, %owner, why, "parked an event"
            );
        }
    }
}

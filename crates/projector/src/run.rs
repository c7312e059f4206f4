//! Keeping a read model up to date: where its events come from, and which partitions are whose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use events::{Partition, Position};
use log::{
    Shares,
    kafka::{self, Consumer, Foreign, Kafka, Received},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error, Projection, Projector, Retried, checkpoint, foreign,
    trouble::{Trouble, or_stop},
};

/// Most events of one partition in one batch.
const BATCH: usize = 500;

/// After a batch that is not full a projector rests so many times as long as the batch took: under
/// load more events come together then, and most of what a batch costs it costs once. After a pause
/// of that length the next goes at once.
const RESTS: u32 = 4;

/// It rests that long at most, since somebody may wait for what came meanwhile.
const LONGEST_REST: Duration = Duration::from_millis(40);

/// Readers look for themselves so often, whether or not somebody woke them.
const POLL: Duration = Duration::from_millis(500);

/// How often shares are renewed, and the log's last positions are compared with ours.
const LOOK: Duration = Duration::from_secs(1);

/// New partitions of the log are looked for so often.
const PREPARE: Duration = Duration::from_secs(5);

/// A partition that its owner has not moved for so long is helped by whoever sees it: the owner may
/// be frozen, or Kafka away and nobody the owner.
const HELP: Duration = Duration::from_secs(8);

/// A member that must read so often in a row from Postgres what Kafka has too is deaf: librdkafka
/// does not find the leaders of a topic that was deleted and made anew, since their epoch is lower
/// than before. A new member does.
const UNHEARD: u32 = 3;

/// A deaf member joins anew this often at most, for it disturbs the others of its group.
const REJOIN: Duration = Duration::from_secs(20);

impl<P: Projection> Projector<P> {
    /// Follows all partitions in Postgres until told to stop. What goes wrong is logged and tried
    /// again, so that one bad moment of Postgres ends nothing.
    pub async fn run(self, stop: CancellationToken) {
        self.tail(None, Uuid::nil(), stop).await;
    }

    /// The same beside others who run the same projection, each with its share of the partitions;
    /// `member` is our name among them.
    pub async fn run_shared(self, member: Uuid, stop: CancellationToken) {
        let shares = Shares::new(self.database.pool.clone(), P::SCHEMA, member);
        self.tail(Some(shares), member, stop).await;
    }

    async fn tail(mut self, shares: Option<Shares>, member: Uuid, stop: CancellationToken) {
        let mut changes = self.log.changes();
        let mut trouble = Trouble::new(self.database.pool.clone(), P::SCHEMA, member);
        let mut prepared: Option<Instant> = None;
        let mut ours: Option<Vec<Partition>> = None;
        let mut renewed: Option<Instant> = None;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let began = Instant::now();
            let step = async {
                // Again and again, since the log may get more partitions.
                if is_due(prepared, PREPARE) {
                    self.get_ready(prepared.is_none()).await?;
                    prepared = Some(Instant::now());
                }
                if let Some(shares) = &shares
                    && is_due(renewed, LOOK)
                {
                    let now = Some(self.share(shares).await?);
                    if now != ours {
                        tracing::info!(projection = P::SCHEMA, partitions = ?now, "shares");
                        ours = now;
                        self.doubt();
                    }
                    renewed = Some(Instant::now());
                }
                self.age(ours.as_deref()).await?;
                self.step(ours.as_deref(), BATCH).await
            };
            match step.await {
                Ok(count) => {
                    trouble.over().await;
                    let rest = rested(began);
                    // With a full page there is more; else who appends wakes us.
                    if count < BATCH {
                        tokio::select! {
                            () = stop.cancelled() => break,
                            _ = timeout(POLL, changes.changed()) => {}
                        }
                        if count > 0 {
                            or_stop(&stop, sleep_until(rest)).await;
                        }
                    }
                }
                Err(error) => trouble.bear(&error, &stop).await,
            }
        }
        if let Some(shares) = shares
            && let Err(error) = shares.leave().await
        {
            tracing::debug!(%error, "the leases run out by themselves");
        }
    }

    /// Makes what is missing, and at first tries what earlier programs have set aside, since this one
    /// may know better.
    async fn get_ready(&mut self, first: bool) -> Result<(), Error> {
        self.prepare().await?;
        self.doubt();
        if first {
            let tried = self.retry(None).await?;
            if tried != Retried::default() {
                tracing::info!(projection = P::SCHEMA, ?tried, "tried parked events again");
            }
        }
        Ok(())
    }

    /// Our share of the partitions now.
    async fn share(&self, shares: &Shares) -> Result<Vec<Partition>, Error> {
        let all: Vec<i16> = self.log.heads().await?.into_keys().map(|number| number.0).collect();
        Ok(shares.renew(&all).await?.into_iter().map(Partition).collect())
    }

    /// Follows the topic of the log as one of a group, until told to stop.
    ///
    /// Kafka brings events early and says which partitions are ours; what is true is in Postgres.
    /// What Kafka leaves out, or brings too late, is read there.
    pub async fn run_on_kafka(
        mut self,
        kafka: &Kafka,
        member: Uuid,
        stop: CancellationToken,
    ) -> Result<(), kafka::Error> {
        let shares = Shares::new(self.database.pool.clone(), P::SCHEMA, member);
        let mut trouble = Trouble::new(self.database.pool.clone(), P::SCHEMA, member);
        let mut consumer = Consumer::join(kafka, P::SCHEMA)?;
        let mut assigned = consumer.assigned();
        let mut net = Net::default();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ready = Instant::now();
        while !stop.is_cancelled() {
            let step = async {
                // Partitions may be ours before the tables are there.
                if net.prepared.is_none() {
                    self.look(&mut net, &shares).await?;
                }
                if !net.behind.is_empty() {
                    let behind: Vec<Partition> = net.behind.iter().copied().collect();
                    // After a page that is not full, Kafka has the rest: under load there is no end
                    // to wait for.
                    if self.step(Some(&behind), BATCH).await? < BATCH {
                        net.behind.clear();
                    }
                    let records = consumer.waiting();
                    self.receive(&consumer, records, &mut net).await?;
                }
                let mut goes_on = true;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    _ = assigned.changed() => {
                        // Others may have gone on with what is ours now.
                        self.doubt();
                        net.owned = assigned.borrow_and_update().clone();
                        net.behind = net.owned.clone();
                        net.alone = net.owned.is_empty().then(Instant::now);
                    }
                    _ = look.tick() => self.look(&mut net, &shares).await?,
                    records = next(&mut consumer, ready), if net.behind.is_empty() => {
                        goes_on = records.is_some();
                        let records = records.unwrap_or_default();
                        let (began, is_full) = (Instant::now(), records.len() >= BATCH);
                        self.receive(&consumer, records, &mut net).await?;
                        ready = if is_full { began } else { rested(began) };
                    }
                    () = std::future::ready(()), if !net.behind.is_empty() => {}
                }
                Ok(goes_on)
            };
            match step.await {
                Ok(true) => trouble.over().await,
                Ok(false) => {
                    net.is_deaf = true;
                    or_stop(&stop, sleep(LOOK)).await;
                }
                Err(error) => {
                    self.doubt();
                    net.let_go();
                    trouble.bear(&error, &stop).await;
                }
            }
            if net.is_deaf && is_due(net.joined, REJOIN) {
                tracing::warn!(projection = P::SCHEMA, "Kafka brings nothing; joining anew");
                consumer.leave().await;
                consumer = Consumer::join(kafka, P::SCHEMA)?;
                assigned = consumer.assigned();
                net = Net { joined: Some(Instant::now()), ..Net::default() };
            }
        }
        consumer.leave().await;
        if net.shares {
            shares.leave().await.ok();
        }
        Ok(())
    }

    /// Takes what Kafka brought; what it left out is to be read from Postgres.
    async fn receive(
        &mut self,
        consumer: &Consumer,
        records: Vec<Received>,
        net: &mut Net,
    ) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let mut events = Vec::new();
        let mut offsets = BTreeMap::new();
        for Received { partition, offset, event } in records {
            offsets.insert(partition, offset);
            match event {
                Ok(event) => {
                    net.unheard.remove(&partition);
                    events.push(event);
                }
                Err(record) => net.foreign.push((partition.0, offset, record)),
            }
        }
        foreign::park(&self.database.pool, consumer.topic(), &net.foreign).await?;
        net.foreign.clear();
        let (_, missing) = self.take(events).await?;
        net.behind.extend(missing);
        consumer.done(&offsets);
        Ok(())
    }

    /// Compares the log's last positions with ours: a hole at the end has no next record by which
    /// it would be seen.
    async fn look(&mut self, net: &mut Net, shares: &Shares) -> Result<(), Error> {
        if is_due(net.prepared, PREPARE) {
            self.get_ready(net.prepared.is_none()).await?;
            net.prepared = Some(Instant::now());
        }
        let heads = self.log.heads().await?;
        let checkpoints = checkpoint::load(&self.database.pool).await?;
        let positions: BTreeMap<Partition, Position> =
            checkpoints.into_iter().map(|(partition, at)| (partition, at.position)).collect();
        let published = kafka::published(&self.database.pool).await?;
        if net.look(&heads, &positions, &published) {
            self.doubt();
        }
        let ours: Vec<Partition> = net.owned.union(&net.helped).copied().collect();
        self.age(Some(&ours)).await?;
        // Without the group there are the leases, as without Kafka. Who moves partitions so hides
        // from the others that nobody else does: they join as soon as they see a member.
        net.shares |= net.is_alone() && shares.are_taken().await?;
        if net.shares && net.owned.is_empty() {
            let ours: BTreeSet<Partition> = self.share(shares).await?.into_iter().collect();
            if ours != net.helped {
                self.doubt();
                net.behind.clone_from(&ours);
                net.helped = ours;
            }
        } else if net.shares {
            net.shares = false;
            shares.leave().await?;
        }
        Ok(())
    }
}

/// Until when to rest after a batch that began at a time and is done.
fn rested(began: Instant) -> Instant {
    Instant::now() + (began.elapsed() * RESTS).min(LONGEST_REST)
}

/// What Kafka brings, not before a time.
async fn next(consumer: &mut Consumer, ready: Instant) -> Option<Vec<Received>> {
    sleep_until(ready).await;
    consumer.next().await
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|at| at.elapsed() >= every)
}

/// What catches the events that Kafka does not bring.
#[derive(Default)]
struct Net {
    /// The partitions that the group gave us.
    owned: BTreeSet<Partition>,
    /// Those of others that nobody moved; ours until their owner moves.
    helped: BTreeSet<Partition>,
    /// Those that are to be read from Postgres.
    behind: BTreeSet<Partition>,
    /// Where the log was at the last look, and since when the model is short of it.
    seen: BTreeMap<Partition, Seen>,
    prepared: Option<Instant>,
    /// Foreign records that are not set aside yet.
    foreign: Vec<(i16, i64, Foreign)>,
    /// How often in a row Postgres had what Kafka had too, but did not bring.
    unheard: BTreeMap<Partition, u32>,
    /// Kafka brings nothing any more, though it could.
    is_deaf: bool,
    /// When we joined anew for the last time.
    joined: Option<Instant>,
    /// Since when the group gives us nothing; since the first look, if it never has.
    alone: Option<Instant>,
    /// The group seems gone, and partitions are shared by leases.
    shares: bool,
}

struct Seen {
    head: Position,
    position: Position,
    since: Instant,
}

impl Net {
    /// Finds the partitions that have not moved though there was something to read; `true` when
    /// it takes up those of others, of which memory says nothing.
    fn look(
        &mut self,
        heads: &BTreeMap<Partition, Position>,
        positions: &BTreeMap<Partition, Position>,
        published: &BTreeMap<Partition, Position>,
    ) -> bool {
        let mut new = false;
        if self.owned.is_empty() {
            self.alone.get_or_insert_with(Instant::now);
        }
        for (&partition, &position) in positions {
            let head = heads.get(&partition).copied().unwrap_or_default();
            let seen = self.seen.get(&partition);
            let stands = seen.filter(|seen| seen.position == position && seen.head > position);
            let since = stands.map_or_else(Instant::now, |seen| seen.since);
            let on_kafka = published.get(&partition).is_some_and(|at| *at > position);
            if stands.is_some() && on_kafka && self.owned.contains(&partition) {
                let times = self.unheard.entry(partition).or_insert(0);
                *times += 1;
                self.is_deaf |= *times >= UNHEARD;
            }
            let nobody = stands.is_some() && since.elapsed() >= HELP;
            let (owned, helped) =
                (self.owned.contains(&partition), self.helped.contains(&partition));
            if nobody && !owned && !helped && !self.shares {
                tracing::warn!(partition = partition.0, "nobody moves this partition; helping");
                if self.is_alone() {
                    self.shares = true;
                } else {
                    self.helped.insert(partition);
                }
                new = true;
            }
            if (owned && stands.is_some()) || (head > position && self.helped.contains(&partition))
            {
                self.behind.insert(partition);
            }
            self.seen.insert(partition, Seen { head, position, since });
        }
        self.helped.retain(|partition| !self.owned.contains(partition));
        new
    }

    /// The group has given us nothing for long.
    fn is_alone(&self) -> bool {
        self.owned.is_empty() && self.alone.is_some_and(|since| since.elapsed() >= HELP)
    }

    /// After a failed batch: what was helped has an owner that moves it, or will be seen again.
    fn let_go(&mut self) {
        // What is ours by leases stays so: somebody else was only quicker once.
        if !self.shares {
            self.helped.clear();
        }
        self.behind = self.owned.clone();
    }
}

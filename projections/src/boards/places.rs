//! Who stands where: the rows of places, what they were at the end of each day, and how many there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use domain::points;
use events::{AthleteId, Partition, Timestamp};
use projector::{Mark, Tables, row};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::board::{Among, Board, EVER, LIFTS, Unit, number, step};
use crate::{
    athlete::{Person, people, sex, word},
    lifts::{Days, OnDays},
};

row! {
    struct PlaceRow in "places" by 3 {
        owner: Uuid,
        board: String,
        period: i32,
        partition: i16,
        score: i64,
        sex: Option<String>,
        class: Option<String>,
        achieved_at: Option<DateTime<Utc>>,
        set_id: Option<Uuid>,
        workout: Option<Uuid>,
    }
}

row! {
    struct PastRow in "past" by 4 {
        owner: Uuid,
        board: String,
        period: i32,
        day: i32,
        month: i32,
        score: Option<i64>,
        among: String,
    }
}

row! {
    struct CountRow in "counts" by 5 {
        partition: i16,
        board: String,
        period: i32,
        among: String,
        step: i32,
        athletes: i64,
        total: i64,
    }
}

row! {
    struct Expiry in "expiries" by 4 {
        partition: i16,
        period: i32,
        owner: Uuid,
        board: String,
    }
}

row! {
    struct Clock in "clock" by 1 {
        partition: i16,
        day: i32,
    }
}

/// Which place of whom: the athlete, the board and the period.
type Key = (Uuid, String, i32);

/// The set that holds a place.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) score: i64,
    pub(super) achieved_at: DateTime<Utc>,
    pub(super) set: Uuid,
    pub(super) workout: Uuid,
}

/// What a place is to be.
#[derive(Debug, Clone)]
struct Claim {
    partition: i16,
    score: i64,
    achieved_at: Option<DateTime<Utc>>,
    set: Option<Uuid>,
    workout: Option<Uuid>,
}

/// What changes of places on a day.
pub(super) struct Places {
    day: NaiveDate,
    recorded_at: DateTime<Utc>,
    /// Who may be held against others than before.
    again: BTreeMap<AthleteId, Partition>,
    /// What is added to scores.
    sums: BTreeMap<(AthleteId, String, i32), (Partition, i64)>,
    /// Which sets hold places now.
    held: BTreeMap<(AthleteId, String, i32), (Partition, Option<Holder>)>,
}

impl Places {
    pub(super) fn on(day: NaiveDate, recorded_at: DateTime<Utc>) -> Self {
        let (again, sums, held) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { day, recorded_at, again, sums, held }
    }

    /// Everything of an athlete is to be looked at again: their sex, a bodyweight, or where their days
    /// begin, is another.
    pub(super) fn look_again(&mut self, owner: AthleteId, partition: Partition) {
        self.again.insert(owner, partition);
    }

    /// The last day of the periods that are still counted, and the day for which something is kept of one:
    /// a period is open for a day after its last, and what is told then belongs to its last. So a workout
    /// counts that ends after midnight, or is told of when a telephone has a network again.
    fn open_since(&self) -> i32 {
        number(self.day.pred_opt().unwrap_or(self.day))
    }

    /// Adds to a score. What is said of a period that is closed changes nothing any more.
    pub(super) fn add(
        &mut self,
        owner: AthleteId,
        partition: Partition,
        board: Board,
        period: i32,
        more: i64,
    ) {
        if period >= self.open_since() {
            let sum = self.sums.entry((owner, board.name(), period)).or_insert((partition, 0));
            sum.1 += more;
        }
    }

    /// Says who holds a place.
    pub(super) fn hold(
        &mut self,
        owner: AthleteId,
        partition: Partition,
        board: Board,
        period: i32,
        holder: Option<Holder>,
    ) {
        self.held.insert((owner, board.name(), period), (partition, holder));
    }

    /// Takes places away whose periods are closed, once the log has come to the day in a partition. They
    /// are read no more: what they came to is kept by the day.
    pub(super) async fn begin(
        &self,
        partitions: &BTreeSet<Partition>,
        tables: &mut Tables<'_>,
    ) -> Result<(), sqlx::Error> {
        let day = number(self.day);
        let rows: Vec<Clock> = tables.read(partitions.iter().map(|of| (of.0,))).await?;
        let there: HashMap<i16, i32> =
            rows.into_iter().map(|row| (row.partition, row.day)).collect();
        let begun: Vec<i16> = partitions
            .iter()
            .map(|of| of.0)
            .filter(|partition| there.get(partition).is_none_or(|known| *known < day))
            .collect();
        if begun.is_empty() {
            return Ok(());
        }
        let over: Vec<Expiry> =
            tables.up_to(begun.iter().map(|of| (*of, self.open_since() - 1))).await?;
        let boards: Vec<String> = Board::rolling().map(|board| board.name()).collect();
        let ended: BTreeSet<(i16, i32)> =
            over.iter().map(|row| (row.partition, row.period)).collect();
        let of = |(partition, period): &(i16, i32)| {
            let (partition, period) = (*partition, *period);
            boards.iter().map(move |board| (partition, board.clone(), period))
        };
        tables.delete::<CountRow, _>(ended.iter().flat_map(of).collect::<Vec<_>>()).await?;
        let places = over.into_iter().map(|row| (row.owner, row.board, row.period));
        tables.delete::<PlaceRow, _>(places.collect::<Vec<_>>()).await?;
        tables.delete::<Expiry, _>(ended).await?;
        tables.upsert(begun.into_iter().map(|partition| Clock { partition, day })).await
    }

    /// Brings the rows up to date.
    pub(super) async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let there = self.there(tables).await?;
        let mut claims = self.claims(&there);
        let mut days = Days::default();
        let mut owners: BTreeSet<AthleteId> = BTreeSet::new();
        for ((owner, ..), claim) in &claims {
            let Ok(athlete) = AthleteId::new(*owner) else { continue };
            owners.insert(athlete);
            claim.iter().for_each(|claim| days.want(athlete, claim.weighed_at()));
        }
        // The points are of the day on which the last of the three was done.
        let mut totals = Vec::new();
        for (athlete, partition) in self.pointed() {
            let total = total(athlete.uuid(), partition, &claims, &there);
            owners.insert(athlete);
            total.iter().for_each(|(_, claim)| days.want(athlete, claim.weighed_at()));
            totals.push((athlete, total));
        }
        if owners.is_empty() {
            return Ok(());
        }
        let bodyweights = days.read(tables).await?;
        let people = people(owners, tables).await?;
        for (athlete, total) in totals {
            let claim = total.and_then(|(kg, claim)| {
                let sex = people.get(&athlete.uuid()).and_then(person_sex)?;
                let bodyweight = bodyweights.on(athlete, claim.weighed_at())?;
                let score = Unit::Points.score(points::dots(sex, bodyweight, kg)?)?;
                Some(Claim { score, ..claim })
            });
            claims.insert((athlete.uuid(), Board::Dots.name(), EVER), claim);
        }
        let mut changes = Changes::on(self.day);
        for (key, claim) in claims {
            let before = there.get(&key);
            let after = claim.map(|claim| claim.row(&key, &people, &bodyweights));
            changes.turn(key, before, after);
        }
        changes.write(self.recorded_at, tables).await
    }

    /// Whose points may be others.
    fn pointed(&self) -> BTreeMap<AthleteId, Partition> {
        let lifted = self.held.iter().filter(|((_, board, _), _)| LIFTS.contains(&board.as_str()));
        let lifted = lifted.map(|((owner, ..), (partition, _))| (*owner, *partition));
        self.again.iter().map(|(owner, partition)| (*owner, *partition)).chain(lifted).collect()
    }

    /// The places as they are, as far as they matter.
    async fn there(&self, tables: &mut Tables<'_>) -> Result<BTreeMap<Key, PlaceRow>, sqlx::Error> {
        let mut keys: BTreeSet<Key> = BTreeSet::new();
        let changed = self.sums.keys().chain(self.held.keys());
        keys.extend(changed.map(|(owner, board, period)| (owner.uuid(), board.clone(), *period)));
        for owner in self.pointed().into_keys() {
            let boards = LIFTS.map(str::to_owned).into_iter().chain([Board::Dots.name()]);
            keys.extend(boards.map(|board| (owner.uuid(), board, EVER)));
        }
        let mut rows: Vec<PlaceRow> = tables.read(keys).await?;
        let again = self.again.keys().map(|owner| (owner.uuid(),));
        rows.extend(tables.read::<PlaceRow, _>(again).await?);
        let by_key = |row: PlaceRow| ((row.owner, row.board.clone(), row.period), row);
        Ok(rows.into_iter().map(by_key).collect())
    }

    /// What places are to be, but for the points.
    fn claims(&self, there: &BTreeMap<Key, PlaceRow>) -> BTreeMap<Key, Option<Claim>> {
        let mut claims: BTreeMap<Key, Option<Claim>> = BTreeMap::new();
        let again: BTreeSet<Uuid> = self.again.keys().map(|owner| owner.uuid()).collect();
        for (key, row) in there {
            if again.contains(&key.0) && key.2 >= self.open_since() {
                claims.insert(key.clone(), Some(Claim::of(row)));
            }
        }
        for ((owner, board, period), (partition, more)) in &self.sums {
            let key = (owner.uuid(), board.clone(), *period);
            let score = there.get(&key).map_or(0, |row| row.score) + more;
            let claim = Claim {
                partition: partition.0,
                score,
                achieved_at: None,
                set: None,
                workout: None,
            };
            claims.insert(key, (score > 0).then_some(claim));
        }
        for ((owner, board, period), (partition, holder)) in &self.held {
            let claim = holder.as_ref().map(|holder| Claim {
                partition: partition.0,
                score: holder.score,
                achieved_at: Some(holder.achieved_at),
                set: Some(holder.set),
                workout: Some(holder.workout),
            });
            claims.insert((owner.uuid(), board.clone(), *period), claim);
        }
        claims
    }
}

/// The total of the three lifts in kg, and what it holds a place with: the last of the three.
fn total(
    owner: Uuid,
    partition: Partition,
    claims: &BTreeMap<Key, Option<Claim>>,
    there: &BTreeMap<Key, PlaceRow>,
) -> Option<(Decimal, Claim)> {
    let mut kg = Decimal::ZERO;
    let mut achieved_at = None;
    for lift in LIFTS {
        let key = (owner, lift.to_owned(), EVER);
        let lift = match claims.get(&key) {
            Some(claim) => claim.clone(),
            None => there.get(&key).map(Claim::of),
        }?;
        kg += Unit::Grams.figure(lift.score);
        achieved_at = achieved_at.max(lift.achieved_at);
    }
    let claim = Claim { partition: partition.0, score: 0, achieved_at, set: None, workout: None };
    Some((kg, claim))
}

fn person_sex(person: &Person) -> Option<events::Sex> {
    person.sex.as_deref().and_then(sex)
}

impl Claim {
    fn of(row: &PlaceRow) -> Self {
        Self {
            partition: row.partition,
            score: row.score,
            achieved_at: row.achieved_at,
            set: row.set_id,
            workout: row.workout,
        }
    }

    /// The day whose bodyweight counts: that of the record; of what no single set did, the last that is
    /// known.
    fn weighed_at(&self) -> Timestamp {
        // Long after all that anybody can have measured.
        let end = NaiveDate::from_ymd_opt(9000, 1, 1)
            .unwrap_or_default()
            .and_time(chrono::NaiveTime::MIN);
        Timestamp::new(self.achieved_at.unwrap_or(end.and_utc()))
    }

    fn row(
        self,
        (owner, board, period): &Key,
        people: &HashMap<Uuid, Person>,
        bodyweights: &OnDays,
    ) -> PlaceRow {
        let sex = people.get(owner).and_then(person_sex);
        let weight =
            AthleteId::new(*owner).ok().and_then(|owner| bodyweights.on(owner, self.weighed_at()));
        let (sex, class) = match Among::of(sex, weight) {
            Among::Everyone => (None, None),
            Among::Sex(sex) => (Some(word(sex)), None),
            Among::Class(sex, class) => (Some(word(sex)), Some(class)),
        };
        PlaceRow {
            owner: *owner,
            board: board.clone(),
            period: *period,
            partition: self.partition,
            score: self.score,
            sex: sex.map(str::to_owned),
            class: class.map(str::to_owned),
            achieved_at: self.achieved_at,
            set_id: self.set,
            workout: self.workout,
        }
    }
}

impl PlaceRow {
    fn expiry(&self) -> Expiry {
        let (partition, period, owner) = (self.partition, self.period, self.owner);
        Expiry { partition, period, owner, board: self.board.clone() }
    }

    /// The narrowest that it is held against.
    fn among(&self) -> Among {
        among(self.sex.as_deref(), self.class.as_deref())
    }
}

/// Of the columns of a row.
pub(super) fn among(sex: Option<&str>, class: Option<&str>) -> Among {
    let name = match (sex, class) {
        (Some(sex), Some(class)) => format!("{sex} {class}"),
        (Some(sex), None) => sex.to_owned(),
        (None, _) => return Among::Everyone,
    };
    Among::named(&name).unwrap_or(Among::Everyone)
}

/// Where athletes are counted.
type Place = (i16, String, i32, String, i32);

/// The changes of rows.
struct Changes {
    day: NaiveDate,
    new: Vec<PlaceRow>,
    rows: Vec<PlaceRow>,
    gone: Vec<Key>,
    expiries: Vec<Expiry>,
    expired: Vec<(i16, i32, Uuid, String)>,
    /// What changed places are now, and among whom.
    now: BTreeMap<Key, (Option<i64>, Among)>,
    counts: BTreeMap<Place, (i64, i64)>,
    marks: Vec<(Key, i16)>,
}

impl Changes {
    fn on(day: NaiveDate) -> Self {
        let (new, rows, gone) = (Vec::new(), Vec::new(), Vec::new());
        let (expiries, expired, marks) = (Vec::new(), Vec::new(), Vec::new());
        let (now, counts) = (BTreeMap::new(), BTreeMap::new());
        Self { day, new, rows, gone, expiries, expired, now, counts, marks }
    }

    fn turn(&mut self, key: Key, before: Option<&PlaceRow>, after: Option<PlaceRow>) {
        if before == after.as_ref() {
            return;
        }
        let shown = |row: &PlaceRow| (Some(row.score), row.among());
        let (was, is) = (before.map(shown), after.as_ref().map(shown));
        if was != is {
            if let Some(row) = before {
                self.count(row, -1);
            }
            if let Some(row) = &after {
                self.count(row, 1);
            }
            let partition = before.or(after.as_ref()).map_or(0, |row| row.partition);
            self.marks.push((key.clone(), partition));
            self.now.insert(key.clone(), is.unwrap_or((None, Among::Everyone)));
        }
        match after {
            Some(row) if before.is_some() => self.rows.push(row),
            Some(row) => {
                if row.period != EVER {
                    self.expiries.push(row.expiry());
                }
                self.new.push(row);
            }
            None => {
                if let Some(before) = before.filter(|before| before.period != EVER) {
                    let Expiry { partition, period, owner, board } = before.expiry();
                    self.expired.push((partition, period, owner, board));
                }
                self.gone.push(key);
            }
        }
    }

    fn count(&mut self, row: &PlaceRow, athletes: i64) {
        for among in row.among().and_wider() {
            let (board, among) = (row.board.clone(), among.name());
            let place = (row.partition, board, row.period, among, step(row.score));
            let count = self.counts.entry(place).or_default();
            *count = (count.0 + athletes, count.1 + athletes * row.score);
        }
    }

    async fn write(
        self,
        recorded_at: DateTime<Utc>,
        tables: &mut Tables<'_>,
    ) -> Result<(), sqlx::Error> {
        tables.insert(self.new).await?;
        tables.upsert(self.rows).await?;
        tables.delete::<PlaceRow, _>(self.gone).await?;
        tables.insert(self.expiries).await?;
        tables.delete::<Expiry, _>(self.expired).await?;
        remember(self.day, self.now, tables).await?;
        count(self.counts, tables).await?;
        let marks = self.marks.into_iter().filter_map(|((owner, board, period), partition)| {
            Some(Mark {
                owner: AthleteId::new(owner).ok()?,
                partition: Partition(partition),
                key: format!("{board} {period}"),
                imported: false,
                recorded_at,
            })
        });
        tables.mark(marks.collect()).await
    }
}

/// Keeps how places stand at the end of a day, where that is not as they stood before it.
async fn remember(
    day: NaiveDate,
    now: BTreeMap<Key, (Option<i64>, Among)>,
    tables: &mut Tables<'_>,
) -> Result<(), sqlx::Error> {
    let today = number(day);
    let on = |key: &Key| (key.0, key.1.clone(), key.2, today.min(key.2));
    let rows: Vec<PastRow> = tables.floor(now.keys().map(on)).await?;
    // What changed on this day already: how it stood before it lies behind that.
    let (again, mut rows): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.day == today.min(row.period));
    let kept_already: BTreeSet<Key> =
        again.into_iter().map(|row| (row.owner, row.board, row.period)).collect();
    let day_before = |key: &Key| (key.0, key.1.clone(), key.2, today.min(key.2) - 1);
    rows.extend(tables.floor::<PastRow, _>(kept_already.iter().map(day_before)).await?);
    let mut before: BTreeMap<Key, (Option<i64>, String)> = BTreeMap::new();
    for row in rows {
        before.insert((row.owner, row.board, row.period), (row.score, row.among));
    }
    let (mut new, mut kept, mut undone) = (Vec::new(), Vec::new(), Vec::new());
    for (key, (score, among)) in now {
        let is_kept = kept_already.contains(&key);
        let is = (score, among.name());
        let was = before.remove(&key).unwrap_or((None, Among::Everyone.name()));
        let (owner, board, period) = key;
        let day = today.min(period);
        if was == is {
            if is_kept {
                undone.push((owner, board, period, day));
            }
            continue;
        }
        let month = day / 100;
        let row = PastRow { owner, board, period, day, month, score, among: is.1 };
        if is_kept { kept.push(row) } else { new.push(row) }
    }
    tables.insert(new).await?;
    tables.upsert(kept).await?;
    tables.delete::<PastRow, _>(undone).await
}

/// Brings the counts up to date.
async fn count(
    mut counts: BTreeMap<Place, (i64, i64)>,
    tables: &mut Tables<'_>,
) -> Result<(), sqlx::Error> {
    counts.retain(|_, change| *change != (0, 0));
    let rows: Vec<CountRow> = tables.read(counts.keys().cloned()).await?;
    let mut known: BTreeSet<Place> = BTreeSet::new();
    for row in rows {
        let place = (row.partition, row.board, row.period, row.among, row.step);
        if let Some(count) = counts.get_mut(&place) {
            *count = (count.0 + row.athletes, count.1 + row.total);
            known.insert(place);
        }
    }
    let (mut new, mut there, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (athletes, total)) in counts {
        if athletes <= 0 {
            gone.push(place);
            continue;
        }
        let rows = if known.contains(&place) { &mut there } else { &mut new };
        let (partition, board, period, among, step) = place;
        rows.push(CountRow { partition, board, period, among, step, athletes, total });
    }
    tables.insert(new).await?;
    tables.upsert(there).await?;
    tables.delete::<CountRow, _>(gone).await
}

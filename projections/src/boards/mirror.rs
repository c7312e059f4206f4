//! Boards as sorted sets in Redis: written after the commit, guarded by position, checked, and made anew
//! from the tables where they are missing, of other rows, or wrong.
//!
//! All that is in Redis belongs to a *build*, whose name holds what its rows are of: the model, the
//! log's epoch and the generation. `boards` is a hash that names the build to read; `boards:BUILD` holds
//! how far each partition is, and of each set how often it changed and a sum over its scores;
//! `boards:BUILD:BOARD PERIOD:AMONG` are the sets. Their scores are negative, so that equal ones are in
//! the order of the athletes' ids, as in Postgres.
//!
//! The projector marks each place that it changes, in its transaction. One process at a time brings what
//! is marked to Redis, as the tables have it then, and takes the marks away afterwards: whatever dies in
//! between, what is marked is brought again. A set that was written from newer rows is not written from
//! older ones. Who reads finds a build of the rows that it expects, or asks Postgres; while one is made,
//! there is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use log::{Clock, Database, Random};
use redis::Script;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web::Redis;

use super::{
    board::{Among, number},
    places::among,
    query::identity,
    sets::{Looked, listed, look, period_of, root},
};

/// Of the lock of the one who writes.
const LOCK: i64 = 0x626f_6172_6473;

/// So often it is looked for what is marked.
const POLL: Duration = Duration::from_millis(25);

/// Where somebody else writes, or something went wrong, after so long again.
const REST: Duration = Duration::from_secs(1);

/// So often the sets are checked: with eight million places that takes most of a second, in which readers
/// wait longer. What is gone or of other rows is seen without it.
const AUDIT: Duration = Duration::from_mins(5);

/// Places that are brought at once: Redis does nothing else meanwhile.
const AT_ONCE: i64 = 500;

/// Rows of a page when all are brought.
const PAGE: i64 = 4_000;

/// Sums are kept modulo this, since Redis counts with floats.
const MODULUS: i64 = 1_000_000_000;

/// Sets of which some members are looked at in a check.
const SAMPLES: usize = 20;

/// Brings places to a build. Answers 1; 0 where the partition is further already; -1 where there is no
/// such build.
const APPLY: &str = r"
local root, build = KEYS[1], ARGV[2]
if build == '' then
    build = redis.call('HGET', root, 'current')
    if not build or string.sub(build, 1, #ARGV[1] + 1) ~= ARGV[1] .. ':' then return -1 end
end
local data = root .. ':' .. build
local at = redis.call('HGET', data, 'at:' .. ARGV[3])
if not at then return -1 end
if tonumber(at) > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', data, 'at:' .. ARGV[3], ARGV[4])
local n = tonumber(ARGV[5])
local i = 6 + n
while i <= #ARGV do
    local name, member, score, k = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
    local wanted = {}
    for j = 1, k do wanted[ARGV[i + 3 + j]] = score end
    for j = 1, n do
        local set = name .. ':' .. ARGV[5 + j]
        local key, is = data .. ':' .. set, wanted[ARGV[5 + j]]
        local was = redis.call('ZSCORE', key, member)
        if (is and not was) or (was and (not is or tonumber(was) ~= tonumber(is))) then
            if is then
                redis.call('ZADD', key, is, member)
            else
                redis.call('ZREM', key, member)
            end
            local sum = tonumber(redis.call('HGET', data, 'sum:' .. set) or 0)
            sum = (sum - (tonumber(was) or 0) + (tonumber(is) or 0)) % 1000000000
            redis.call('HSET', data, 'sum:' .. set, string.format('%.0f', sum))
            redis.call('HINCRBY', data, 'ver:' .. set, 1)
        end
    end
    i = i + 4 + k
end
return 1
";

/// Says how far partitions are of which nothing is marked.
const ADVANCE: &str = r"
local build = redis.call('HGET', KEYS[1], 'current')
if not build or string.sub(build, 1, #ARGV[1] + 1) ~= ARGV[1] .. ':' then return -1 end
local data = KEYS[1] .. ':' .. build
for i = 2, #ARGV, 2 do
    local at = redis.call('HGET', data, 'at:' .. ARGV[i])
    if not at then return -1 end
    if tonumber(at) < tonumber(ARGV[i + 1]) then
        redis.call('HSET', data, 'at:' .. ARGV[i], ARGV[i + 1])
    end
end
return 1
";

/// Keeps the sets.
pub struct Mirror {
    database: Database,
    redis: Option<Redis>,
    clock: Clock,
    random: Random,
    checked_every: Duration,
}

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("Redis is away")]
    Away,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A place that is marked, as the tables have it.
#[derive(Debug, sqlx::FromRow)]
struct Marked {
    owner: Uuid,
    key: String,
    partition: i16,
    marked_at: DateTime<Utc>,
    position: i64,
    score: Option<i64>,
    sex: Option<String>,
    class: Option<String>,
}

/// What became of bringing places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    Yes,
    /// The sets are of newer rows, or of the same: later again.
    Older,
    /// There is nothing to bring them to.
    Nowhere,
}

/// Of each set, how many athletes it has and the sum of its scores.
type Sums = BTreeMap<String, (i64, i64)>;

impl Mirror {
    /// Of the tables in a database. Without Redis, what is marked is let go.
    pub fn new(database: Database, redis: Option<Redis>, clock: Clock, random: Random) -> Self {
        Self { database, redis, clock, random, checked_every: AUDIT }
    }

    /// The same, with the sets checked so often.
    pub fn checked_every(self, checked_every: Duration) -> Self {
        Self { checked_every, ..self }
    }

    /// Keeps them until told to stop, if nobody else does. What goes wrong is logged and tried again.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let leading = async {
                match self.lead().await {
                    Ok(()) => {}
                    // Of which it was told when it happened.
                    Err(Stopped::Away) => {}
                    Err(Stopped::Database(error)) => {
                        tracing::warn!(%error, "leaderboards in Redis are not kept");
                    }
                }
                sleep(REST).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = leading => {}
            }
        }
    }

    /// Ends at once while another one leads.
    async fn lead(&self) -> Result<(), Stopped> {
        // A connection of its own: the lock ends with it, however that ends.
        let mut connection = PgConnection::connect_with(&self.database.direct).await?;
        let ours: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await?;
        if !ours {
            connection.close().await.ok();
            return Ok(());
        }
        let (mut audited, mut advanced) = (None::<Instant>, None);
        loop {
            let Some(redis) = &self.redis else {
                sqlx::query("delete from projector.marks where model = 'boards'")
                    .execute(&mut connection)
                    .await?;
                sleep(REST).await;
                continue;
            };
            let Some(identity) = of_rows(&mut connection).await? else {
                sleep(REST).await;
                continue;
            };
            if audited.is_none_or(|at| at.elapsed() >= self.checked_every) {
                if let Some(wrong) = self.audit(redis, &identity, &mut connection).await? {
                    tracing::warn!(wrong, "leaderboards in Redis are made anew");
                    self.build(redis, &identity, &mut connection).await?;
                }
                audited = Some(Instant::now());
            }
            let brought = match self.bring(redis, &identity, "", &mut connection).await? {
                (Brought::Yes, 0) => {
                    self.advance(redis, &identity, &mut advanced, &mut connection).await?
                }
                (brought, _) => brought,
            };
            match brought {
                Brought::Nowhere => (audited, advanced) = (None, None),
                Brought::Older => sleep(POLL).await,
                Brought::Yes => {}
            }
        }
    }

    /// Brings what is marked to a build, by default the one that is read; answers how many places that
    /// were.
    async fn bring(
        &self,
        redis: &Redis,
        identity: &str,
        build: &str,
        connection: &mut PgConnection,
    ) -> Result<(Brought, usize), Stopped> {
        let marked = marked(connection).await?;
        if marked.is_empty() {
            return Ok((Brought::Yes, 0));
        }
        let mut by_partition: BTreeMap<i16, Vec<&Marked>> = BTreeMap::new();
        for mark in &marked {
            by_partition.entry(mark.partition).or_default().push(mark);
        }
        let mut done = Vec::with_capacity(marked.len());
        for (partition, of) in by_partition {
            match apply(redis, identity, build, partition, &of).await.ok_or(Stopped::Away)? {
                Brought::Yes => done.extend(of),
                Brought::Older => {}
                Brought::Nowhere => return Ok((Brought::Nowhere, 0)),
            }
        }
        let count = done.len();
        forget(connection, &done).await?;
        Ok((Brought::Yes, count))
    }

    /// Says how far the sets are where nothing is marked, and waits a little: [`Brought::Older`].
    async fn advance(
        &self,
        redis: &Redis,
        identity: &str,
        advanced: &mut Option<(Instant, Vec<(i16, i64)>)>,
        connection: &mut PgConnection,
    ) -> Result<Brought, Stopped> {
        // In one statement: what is not marked is in the sets.
        let positions: Vec<(i16, i64)> = sqlx::query_as(
            "select c.partition, c.position from boards_v1.checkpoints c
             where not exists (select from projector.marks m where m.model = 'boards')
             order by c.partition",
        )
        .fetch_all(&mut *connection)
        .await?;
        let is_known =
            |(at, known): &(Instant, Vec<(i16, i64)>)| *known == positions && at.elapsed() < REST;
        if positions.is_empty() || advanced.as_ref().is_some_and(is_known) {
            return Ok(Brought::Older);
        }
        let script = Script::new(ADVANCE);
        let mut call = script.prepare_invoke();
        call.key(root(redis)).arg(identity);
        for (partition, position) in &positions {
            call.arg(partition).arg(position);
        }
        let asked = async |mut redis| call.invoke_async::<i64>(&mut redis).await;
        let answer = redis.ask("board", asked).await.ok_or(Stopped::Away)?;
        *advanced = Some((Instant::now(), positions));
        Ok(if answer == 1 { Brought::Older } else { Brought::Nowhere })
    }

    /// Makes everything anew, and has it read from then on.
    async fn build(
        &self,
        redis: &Redis,
        identity: &str,
        connection: &mut PgConnection,
    ) -> Result<(), Stopped> {
        let began = Instant::now();
        let root = root(redis);
        let build = format!("{identity}:{}", self.random.uuid(self.clock.now()));
        let data = format!("{root}:{build}");
        // Until they are there, the tables answer; and what earlier attempts left is in nobody's way.
        let mut gone = redis::pipe();
        gone.del(&root).ignore();
        run(redis, &gone).await?;
        self.clear(redis, &root, &build).await?;
        // What is committed by now is in the pages, and what comes is marked again.
        sqlx::query("delete from projector.marks where model = 'boards'")
            .execute(&mut *connection)
            .await?;
        // Whatever is read later is at least as new.
        let positions: Vec<(i16, i64)> =
            sqlx::query_as("select partition, position from boards_v1.checkpoints")
                .fetch_all(&mut *connection)
                .await?;
        let mut pipe = redis::pipe();
        for (partition, position) in positions {
            pipe.hset(&data, format!("at:{partition}"), position).ignore();
        }
        run(redis, &pipe).await?;
        let today = number(self.clock.now().utc().date_naive());
        let (mut after, mut sums) = ((Uuid::nil(), String::new(), 0), Sums::new());
        loop {
            let rows: Vec<Row> = sqlx::query_as(
                "select owner, board, period, score, sex, class from boards_v1.places
                 where (owner, board, period) > ($1, $2, $3)
                 order by owner, board, period limit $4",
            )
            .bind(after.0)
            .bind(&after.1)
            .bind(after.2)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
            let Some((owner, board, period, ..)) = rows.last() else { break };
            after = (*owner, board.clone(), *period);
            let mut members: BTreeMap<String, Vec<(i64, Vec<u8>)>> = BTreeMap::new();
            for (owner, board, period, score, sex, class) in rows {
                if period < today {
                    continue;
                }
                for among in among(sex.as_deref(), class.as_deref()).and_wider() {
                    let set = format!("{board} {period}:{}", among.name());
                    let sum = sums.entry(set.clone()).or_default();
                    *sum = (sum.0 + 1, (sum.1 - score).rem_euclid(MODULUS));
                    members.entry(set).or_default().push((-score, owner.as_bytes().to_vec()));
                }
            }
            let mut pipe = redis::pipe();
            for (set, members) in &members {
                pipe.zadd_multiple(format!("{data}:{set}"), members).ignore();
            }
            run(redis, &pipe).await?;
        }
        let mut pipe = redis::pipe();
        for (set, (_, sum)) in &sums {
            pipe.hset(&data, format!("sum:{set}"), *sum).ignore();
            pipe.hset(&data, format!("ver:{set}"), 1).ignore();
        }
        run(redis, &pipe).await?;
        // What changed meanwhile, which is marked.
        while let (Brought::Yes, 1..) = self.bring(redis, identity, &build, connection).await? {}
        let mut pipe = redis::pipe();
        pipe.hset(&root, "current", &build).ignore();
        run(redis, &pipe).await?;
        tracing::info!(sets = sums.len(), took = ?began.elapsed(), "leaderboards are in Redis");
        metrics::counter!("ironledger_boards_built_total").increment(1);
        Ok(())
    }

    /// Takes away what belongs to other builds.
    async fn clear(&self, redis: &Redis, root: &str, build: &str) -> Result<(), Stopped> {
        let (pattern, ours) = (format!("{}:*", escaped(root)), format!("{root}:{build}"));
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000);
            let asked = async |mut redis| scan.query_async::<(u64, Vec<String>)>(&mut redis).await;
            let (next, keys) = redis.ask("scan", asked).await.ok_or(Stopped::Away)?;
            let gone: Vec<String> =
                keys.into_iter().filter(|key| !key.starts_with(&ours)).collect();
            redis.forget(&gone).await;
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// What is wrong with the sets, if anything is. Those that change while they are looked at, or have
    /// something marked, are looked at another time. Sets of periods that are over are taken away.
    async fn audit(
        &self,
        redis: &Redis,
        identity: &str,
        connection: &mut PgConnection,
    ) -> Result<Option<String>, Stopped> {
        let root = root(redis);
        let Some((build, before)) = look(redis, &root).await.ok_or(Stopped::Away)? else {
            return Ok(Some("there are none".to_owned()));
        };
        if !build.starts_with(&format!("{identity}:")) {
            return Ok(Some("they are of other rows".to_owned()));
        }
        let today = number(self.clock.now().utc().date_naive());
        let wanted: Vec<(String, i64, i64)> = sqlx::query_as(
            "select k.board || ' ' || k.period || ':' || k.among, sum(k.athletes)::bigint,
                 (sum(k.total) % $2)::bigint
             from boards_v1.counts k where k.period >= $1
             group by k.board, k.period, k.among
             union all
             select distinct m.key, -1::bigint, 0::bigint from projector.marks m
             where m.model = 'boards'",
        )
        .bind(today)
        .bind(MODULUS)
        .fetch_all(&mut *connection)
        .await?;
        let mut busy: BTreeSet<String> = BTreeSet::new();
        let mut sums = Sums::new();
        for (name, athletes, total) in wanted {
            if athletes < 0 {
                busy.insert(name);
            } else {
                sums.insert(name, (athletes, (-total).rem_euclid(MODULUS)));
            }
        }
        let mut over = Vec::new();
        for set in before.keys() {
            if period_of(set).is_some_and(|period| period < today) {
                over.push(set.clone());
            } else {
                sums.entry(set.clone()).or_default();
            }
        }
        let sets: Vec<String> = sums.keys().cloned().collect();
        let mut pipe = redis::pipe();
        sets.iter().for_each(|set| {
            pipe.zcard(format!("{root}:{build}:{set}"));
        });
        let asked = async |mut redis| pipe.query_async::<Vec<i64>>(&mut redis).await;
        let counts = match sets[..] {
            [] => Vec::new(),
            _ => redis.ask("pipeline", asked).await.ok_or(Stopped::Away)?,
        };
        let Some((same, after)) =
            look(redis, &root).await.ok_or(Stopped::Away)?.filter(|(same, _)| *same == build)
        else {
            return Ok(Some("they are gone".to_owned()));
        };
        let is_still = |set: &str| {
            before.get(set).map(|of| &of.1) == after.get(set).map(|of| &of.1)
                && !busy.contains(set.rsplit_once(':').map_or(set, |(name, _)| name))
        };
        for (set, count) in sets.iter().zip(counts) {
            let (athletes, sum) = sums.get(set).copied().unwrap_or_default();
            let noted = before.get(set).map_or(0, |of| of.0);
            if is_still(set) && (count, noted) != (athletes, sum) {
                return Ok(Some(format!("{set} has {count} members, and not {athletes}")));
            }
        }
        let wrong = self.sample(redis, &format!("{root}:{same}"), &sets, connection).await?;
        if let Some(set) = wrong.into_iter().find(|set| is_still(set)) {
            let now = look(redis, &root).await.ok_or(Stopped::Away)?;
            let version = |of: &Looked| of.get(&set).map(|of| of.1);
            if now.is_some_and(|(_, now)| version(&now) == version(&after)) {
                return Ok(Some(format!("{set} has a score that nobody has")));
            }
        }
        let mut pipe = redis::pipe();
        for set in &over {
            pipe.unlink(format!("{root}:{build}:{set}")).ignore();
            pipe.hdel(format!("{root}:{build}"), &[format!("sum:{set}"), format!("ver:{set}")])
                .ignore();
        }
        run(redis, &pipe).await?;
        Ok(None)
    }

    /// Sets in which some members, picked by chance, are not as the tables have them.
    async fn sample(
        &self,
        redis: &Redis,
        data: &str,
        sets: &[String],
        connection: &mut PgConnection,
    ) -> Result<Vec<String>, Stopped> {
        let chance = self.random.uuid(self.clock.now()).as_u128();
        let count = u128::try_from(sets.len().max(1)).unwrap_or(1);
        let picked: BTreeSet<usize> = (0..SAMPLES)
            .filter_map(|n| usize::try_from((chance >> n) % count).ok())
            .filter(|at| *at < sets.len())
            .collect();
        let mut wrong = Vec::new();
        for set in picked.into_iter().map(|at| &sets[at]) {
            let mut random = redis::cmd("ZRANDMEMBER");
            random.arg(format!("{data}:{set}")).arg(20).arg("WITHSCORES");
            let asked =
                async |mut redis| random.query_async::<Vec<(Vec<u8>, f64)>>(&mut redis).await;
            let members = redis.ask("sample", asked).await.ok_or(Stopped::Away)?;
            let (Some((name, among)), Some(period)) = (set.rsplit_once(':'), period_of(set)) else {
                continue;
            };
            let board = name.rsplit_once(' ').map_or(name, |(board, _)| board);
            let (owners, scores): (Vec<Uuid>, Vec<i64>) = listed(members).unzip();
            // What is marked in the same moment is on its way.
            let rows: Vec<(bool, Option<String>, Option<String>)> = sqlx::query_as(
                "select p.owner is not null, p.sex, p.class
                 from unnest($1::uuid[], $2::bigint[]) as k (owner, score)
                 left join boards_v1.places p on p.owner = k.owner and p.score = k.score
                     and p.board = $3 and p.period = $4
                 where not exists (
                     select from projector.marks m
                     where m.model = 'boards' and m.owner = k.owner and m.key = $5
                 )",
            )
            .bind(&owners)
            .bind(&scores)
            .bind(board)
            .bind(period)
            .bind(name)
            .fetch_all(&mut *connection)
            .await?;
            let is_right = |(is_there, sex, class): &(bool, Option<String>, Option<String>)| {
                let of = self::among(sex.as_deref(), class.as_deref());
                *is_there && of.and_wider().any(|wider| wider.name() == among)
            };
            if !rows.iter().all(is_right) {
                wrong.push(set.clone());
            }
        }
        Ok(wrong)
    }
}

/// A row of places: owner, board, period, score, sex, class.
type Row = (Uuid, String, i32, i64, Option<String>, Option<String>);

/// What the rows are of; nothing where there are none yet.
async fn of_rows(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let is_there: bool =
        sqlx::query_scalar("select to_regclass('boards_v1.checkpoints') is not null")
            .fetch_one(&mut *connection)
            .await?;
    if !is_there {
        return Ok(None);
    }
    let (epoch, generation): (Option<i64>, Option<i32>) = sqlx::query_as(
        "select (select max(epoch) from log.epochs),
             (select max(generation) from boards_v1.checkpoints)",
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(epoch.zip(generation).map(|(epoch, generation)| identity(epoch, generation)))
}

/// Places that are marked, with their rows and where those stand, in one statement.
async fn marked(connection: &mut PgConnection) -> Result<Vec<Marked>, sqlx::Error> {
    sqlx::query_as(
        "select m.owner, m.key, m.partition, m.marked_at, c.position, p.score, p.sex, p.class
         from (
             select owner, key, partition, marked_at from projector.marks
             where model = 'boards' order by marked_at limit $1
         ) m
         join boards_v1.checkpoints c on c.partition = m.partition
         left join boards_v1.places p on p.owner = m.owner
             and p.board = split_part(m.key, ' ', 1)
             and p.period = split_part(m.key, ' ', 2)::int",
    )
    .bind(AT_ONCE)
    .fetch_all(connection)
    .await
}

/// Takes marks away that are done with, unless they were made again meanwhile.
async fn forget(connection: &mut PgConnection, done: &[&Marked]) -> Result<(), sqlx::Error> {
    let owners: Vec<Uuid> = done.iter().map(|mark| mark.owner).collect();
    let keys: Vec<&str> = done.iter().map(|mark| mark.key.as_str()).collect();
    let made: Vec<DateTime<Utc>> = done.iter().map(|mark| mark.marked_at).collect();
    sqlx::query(
        "delete from projector.marks m
         using unnest($1::uuid[], $2::text[], $3::timestamptz[]) as done (owner, key, marked_at)
         where m.model = 'boards' and m.owner = done.owner and m.key = done.key
             and m.marked_at = done.marked_at",
    )
    .bind(owners)
    .bind(keys)
    .bind(made)
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings places of a partition to a build; nothing where Redis is away.
async fn apply(
    redis: &Redis,
    identity: &str,
    build: &str,
    partition: i16,
    places: &[&Marked],
) -> Option<Brought> {
    let position = places.iter().map(|place| place.position).max()?;
    let all: Vec<String> = Among::all().map(Among::name).collect();
    let script = Script::new(APPLY);
    let mut call = script.prepare_invoke();
    call.key(root(redis)).arg(identity).arg(build).arg(partition).arg(position).arg(all.len());
    call.arg(all);
    for place in places {
        call.arg(&place.key).arg(place.owner.as_bytes());
        let Some(score) = place.score else {
            call.arg("").arg(0);
            continue;
        };
        let among = among(place.sex.as_deref(), place.class.as_deref());
        let names: Vec<String> = among.and_wider().map(Among::name).collect();
        call.arg(-score).arg(names.len()).arg(names);
    }
    let asked = async |mut redis| call.invoke_async::<i64>(&mut redis).await;
    Some(match redis.ask("board", asked).await? {
        1 => Brought::Yes,
        0 => Brought::Older,
        _ => Brought::Nowhere,
    })
}

async fn run(redis: &Redis, pipe: &redis::Pipeline) -> Result<(), Stopped> {
    if pipe.is_empty() {
        return Ok(());
    }
    let asked = async |mut redis| pipe.query_async::<()>(&mut redis).await;
    redis.ask("pipeline", asked).await.ok_or(Stopped::Away)
}

/// A name in which a pattern finds itself alone.
fn escaped(name: &str) -> String {
    let special = |letter: char| "*?[]\\^".contains(letter);
    let each = name
        .chars()
        .map(|letter| if special(letter) { format!("\\{letter}") } else { letter.to_string() });
    each.collect()
}

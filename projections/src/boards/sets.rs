//! Reading the sorted sets of boards in Redis; what is there is written in [`super::mirror`].

use std::collections::HashMap;

use events::Partition;
use redis::Script;
use uuid::Uuid;
use web::Redis;

use super::query::{AROUND, Mine, Place, Standing, Wanted, ranked};

/// Reads a board. Answers nothing where there is no build.
const READ: &str = r"
local build = redis.call('HGET', KEYS[1], 'current')
if not build then return false end
local data = KEYS[1] .. ':' .. build
local at = redis.call('HGET', data, 'at:' .. ARGV[1])
if not at then return false end
local key = data .. ':' .. ARGV[2]
-- A set that nobody wrote is none, whatever is there.
if redis.call('HEXISTS', data, 'ver:' .. ARGV[2]) == 0 then
    return {build, tonumber(at), 0, {}, '', {}, {}}
end
local top = redis.call('ZRANGE', key, 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
local mine, around, above = redis.call('ZSCORE', key, ARGV[4]), {}, {}
if mine then
    local place, beside = redis.call('ZRANK', key, ARGV[4]), tonumber(ARGV[5])
    local from = math.max(0, place - beside)
    around = redis.call('ZRANGE', key, from, place + beside, 'WITHSCORES')
    for i = 2, #around, 2 do
        above[#above + 1] = redis.call('ZCOUNT', key, '-inf', '(' .. around[i])
    end
end
return {build, tonumber(at), redis.call('ZCARD', key), top, mine or '', around, above}
";

/// What the script answers: the build, the position, athletes, the first, one's own score, those around,
/// and how many are above each of them.
type Told = (String, i64, i64, Vec<(Vec<u8>, f64)>, String, Vec<(Vec<u8>, f64)>, Vec<i64>);

/// A board as Redis has it.
pub(super) struct Copied {
    build: String,
    pub(super) standing: Standing,
    /// Where it stands, in the partition that was asked for.
    pub(super) position: i64,
}

impl Copied {
    /// Whether it is of those rows.
    pub(super) fn is_of(&self, identity: &str) -> bool {
        self.build.strip_prefix(identity).is_some_and(|rest| rest.starts_with(':'))
    }
}

/// How often sets changed. Answers nothing where there is no build of those rows.
const VERSIONS: &str = r"
local build = redis.call('HGET', KEYS[1], 'current')
if not build or string.sub(build, 1, #ARGV[1] + 1) ~= ARGV[1] .. ':' then return false end
local fields = {}
for i = 2, #ARGV do fields[#fields + 1] = 'ver:' .. ARGV[i] end
local versions = redis.call('HMGET', KEYS[1] .. ':' .. build, unpack(fields))
for i = 1, #versions do versions[i] = versions[i] or '0' end
return {build, versions}
";

/// Of each set that a build knows, the sum of its scores and how often it changed.
pub(super) type Looked = HashMap<String, (i64, i64)>;

pub(super) fn root(redis: &Redis) -> String {
    redis.key("boards")
}

/// The set of a board, behind the build.
fn set(wanted: &Wanted) -> String {
    format!("{} {}:{}", wanted.board.name(), wanted.period, wanted.among.name())
}

/// As sets have it: the order of equals is that of the ids.
fn negative(score: f64) -> i64 {
    // Scores are whole, and less than the numbers that floats hold exactly.
    -(score as i64)
}

pub(super) fn listed(members: Vec<(Vec<u8>, f64)>) -> impl Iterator<Item = (Uuid, i64)> {
    members
        .into_iter()
        .filter_map(|(member, score)| Some((Uuid::from_slice(&member).ok()?, negative(score))))
}

/// A board as Redis has it, of whichever rows that is: [`Copied::is_of`]. Nothing where Redis is away, or has
/// no build.
pub(super) async fn read(
    redis: &Redis,
    wanted: &Wanted,
    reader: Uuid,
    partition: Partition,
    limit: usize,
) -> Option<Copied> {
    let script = Script::new(READ);
    let mut call = script.prepare_invoke();
    call.key(root(redis)).arg(partition.0).arg(set(wanted)).arg(limit);
    call.arg(reader.as_bytes()).arg(AROUND);
    let asked = async |mut redis| call.invoke_async::<Option<Told>>(&mut redis).await;
    let (build, position, athletes, top, mine, around, above) = redis.ask("board", asked).await??;
    let mut standing =
        Standing { athletes: Some(athletes), top: ranked(0, listed(top)), ..Standing::default() };
    let around = listed(around).zip(above);
    standing.around =
        around.map(|((owner, score), above)| Place { rank: above + 1, owner, score }).collect();
    let mine = mine.parse::<f64>().ok().map(negative);
    standing.mine = mine.map(|score| {
        let own = standing.around.iter().find(|place| place.owner == reader);
        Mine { rank: own.map(|place| place.rank), score }
    });
    Some(Copied { build, standing, position })
}

/// What tells states of sets apart; nothing where Redis is away, or has none of those rows.
pub(super) async fn versions(
    redis: &Redis,
    identity: &str,
    wanted: &[Wanted],
) -> Option<Vec<String>> {
    let script = Script::new(VERSIONS);
    let mut call = script.prepare_invoke();
    call.key(root(redis)).arg(identity);
    wanted.iter().for_each(|wanted| {
        call.arg(set(wanted));
    });
    let asked =
        async |mut redis| call.invoke_async::<Option<(String, Vec<String>)>>(&mut redis).await;
    let (build, versions) = redis.ask("board", asked).await??;
    Some(versions.into_iter().map(|version| format!("{build} {version}")).collect())
}

/// The build that is read, if there is one, and its sets; nothing where Redis is away.
pub(super) async fn look(redis: &Redis, root: &str) -> Option<Option<(String, Looked)>> {
    let mut current = redis::cmd("HGET");
    current.arg(root).arg("current");
    let asked = async |mut redis| current.query_async::<Option<String>>(&mut redis).await;
    let Some(build) = redis.ask("look", asked).await? else {
        return Some(None);
    };
    let mut fields = redis::cmd("HGETALL");
    fields.arg(format!("{root}:{build}"));
    let asked = async |mut redis| fields.query_async::<Vec<(String, i64)>>(&mut redis).await;
    let fields = redis.ask("look", asked).await?;
    if !fields.iter().any(|(name, _)| name.starts_with("at:")) {
        return Some(None);
    }
    let mut sets = Looked::new();
    for (name, value) in fields {
        if let Some(set) = name.strip_prefix("sum:") {
            sets.entry(set.to_owned()).or_default().0 = value;
        } else if let Some(set) = name.strip_prefix("ver:") {
            sets.entry(set.to_owned()).or_default().1 = value;
        }
    }
    Some(Some((build, sets)))
}

/// The period of `BOARD PERIOD:AMONG`.
pub(super) fn period_of(set: &str) -> Option<i32> {
    set.rsplit_once(':')?.0.rsplit_once(' ')?.1.parse().ok()
}

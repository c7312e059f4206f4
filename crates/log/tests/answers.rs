//! Are answers kept with the events they belong to, and for as long as they must be?
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use events::{
    Actor, AthleteId, Channel, Metadata, Partition, Stream, Timestamp, Version, Visibility,
    WorkoutDetails, WorkoutId, WorkoutStarted,
};
use log::{
    Append, AppendError, Clock, IdempotencyKey, Keep, Log, NewEvent, Options, Random, Write,
};
use uuid::Uuid;

const PARTITION: Partition = Partition(3);

fn now() -> Timestamp {
    Clock::system().now()
}

fn fresh() -> Uuid {
    Random::system().uuid(now())
}

/// A log whose clock stands still, and an athlete on it.
async fn world() -> (testkit::Database, Log, Clock, AthleteId) {
    let database = testkit::Database::fresh().await;
    let clock = Clock::standing_at(now());
    let api = database.connect_api();
    let log = database.log_at(&api, clock.clone(), &Options::default());
    let athlete = AthleteId::new(fresh()).expect("an id");
    let mut connection = api.pool.acquire().await.expect("a connection");
    log.keys().create(&mut connection, athlete, now()).await.expect("a key");
    (database, log, clock, athlete)
}

fn keep(athlete: AthleteId, key: u8, answer: &str) -> Keep {
    let key = IdempotencyKey { actor: athlete.uuid(), key: [key; 16], said: [9; 16] };
    Keep { key, answer: answer.as_bytes().to_vec() }
}

fn start(owner: AthleteId) -> Append {
    let details = WorkoutDetails {
        started_at: now(),
        title: None,
        notes: None,
        visibility: Visibility::Private,
    };
    let metadata = Metadata {
        occurred_at: now(),
        actor: Actor::Athlete(owner),
        on_behalf_of: None,
        channel: Channel::Api,
        device: None,
        request: None,
        correlation: fresh(),
        causation: fresh(),
    };
    let event =
        WorkoutStarted { details, imported_from: None, routine: None, plan: Vec::new() }.into();
    let stream = Stream::workout(WorkoutId::new(fresh()).expect("an id"));
    let events = vec![NewEvent { event, metadata, client: None }];
    let writes = vec![Write { stream, expected: Version(0), events }];
    Append { owner, partition: PARTITION, writes }
}

#[tokio::test]
async fn a_key_is_used_once_and_its_answer_is_there_if_and_only_if_the_events_are() {
    let (_database, log, _, athlete) = world().await;
    let keeping = |answer| log.append_and_keep(start(athlete), Some(keep(athlete, 1, answer)));
    // In one batch or not: whoever comes first has the key.
    let (one, two) = tokio::join!(keeping("one"), keeping("two"));
    let (first, answer) = match (one, two) {
        (Ok(first), Err(AppendError::KeyUsed)) => (first, "one"),
        (Err(AppendError::KeyUsed), Ok(first)) => (first, "two"),
        both => unreachable!("one of the two: {both:?}"),
    };
    assert_eq!(keeping("three").await, Err(AppendError::KeyUsed));
    let key = keep(athlete, 1, "").key;
    let kept = log.kept(athlete, &key).await.expect("the answers").expect("an answer");
    assert!(kept.same);
    assert_eq!(kept.answer.as_deref(), Some(answer.as_bytes()));
    assert_eq!(kept.appended, Some(first));
    let other = IdempotencyKey { said: [8; 16], ..key };
    assert!(!log.kept(athlete, &other).await.expect("the answers").expect("an answer").same);
    let heads = log.reader().heads().await.expect("the heads");
    assert_eq!(heads[&PARTITION], first.position);

    // An append that fails keeps nothing.
    let mut stale = start(athlete);
    stale.writes[0].expected = Version(7);
    let refused = log.append_and_keep(stale, Some(keep(athlete, 2, "no"))).await;
    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
    assert_eq!(log.kept(athlete, &keep(athlete, 2, "").key).await.expect("the answers"), None);
}

#[tokio::test]
async fn answers_are_kept_for_a_day_at_least_and_then_pruned() {
    let (_database, log, clock, athlete) = world().await;
    assert!(log.keep(athlete, PARTITION, &keep(athlete, 1, "a")).await.expect("kept"));
    assert!(!log.keep(athlete, PARTITION, &keep(athlete, 1, "b")).await.expect("another's"));
    log.append_and_keep(start(athlete), Some(keep(athlete, 2, "c"))).await.expect("an append");
    clock.advance(TimeDelta::hours(24));
    assert_eq!(log.prune_answers().await.expect("pruning"), 0);
    assert!(log.keep(athlete, PARTITION, &keep(athlete, 3, "d")).await.expect("kept"));
    clock.advance(TimeDelta::hours(25));
    assert_eq!(log.prune_answers().await.expect("pruning"), 2);
    assert_eq!(log.kept(athlete, &keep(athlete, 1, "").key).await.expect("the answers"), None);
    let kept = log.kept(athlete, &keep(athlete, 3, "").key).await.expect("the answers");
    assert_eq!(kept.expect("an answer").answer.as_deref(), Some(&b"d"[..]));
}

#[tokio::test]
async fn what_was_answered_is_forgotten_with_the_person() {
    let (_database, log, _, athlete) = world().await;
    log.append_and_keep(start(athlete), Some(keep(athlete, 1, "a"))).await.expect("an append");
    log.keys().destroy(athlete).await.expect("an erasure");
    let kept = log.kept(athlete, &keep(athlete, 1, "").key).await.expect("the answers");
    assert_eq!(kept.expect("a row").answer, None);
}

//! Posts as rows: which workouts, records and texts athletes show others.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    ContentKind, Event, ExerciseId, Personal, RecordHolder, RecordKind, RecordMoved, SetId,
    Visibility,
};
use projector::row;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use web::Error;

use super::fold::{Place, json, read};

row! {
    pub(super) struct PostRow in "posts" by 3 {
        pub(super) owner: Uuid,
        pub(super) kind: i16,
        pub(super) post: Uuid,
        visibility: i16,
        posted_at: Option<DateTime<Utc>>,
        edited_at: Option<DateTime<Utc>>,
        pub(super) hidden: bool,
        content: String,
    }
}

/// Something that was said of a workout, its records or a text.
pub(super) struct Said(DateTime<Utc>, What);

enum What {
    Started(Visibility),
    SeenBy(Visibility),
    Completed { shared: bool },
    Shared(Option<Personal<String>>),
    Unshared { records_only: bool },
    Discarded,
    SetRemoved(SetId),
    Broke(Vec<Broken>),
    Lost(Vec<(Which, Option<RecordHolder>)>),
    Wrote(Personal<String>, Visibility),
    Rewrote(Personal<String>, Visibility),
    TookAway,
}

/// A record of an exercise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Which {
    #[serde(rename = "e")]
    pub(super) exercise: ExerciseId,
    #[serde(rename = "k")]
    pub(super) kind: RecordKind,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) reps: Option<u16>,
}

/// A record that a workout broke.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Broken {
    #[serde(flatten)]
    pub(super) which: Which,
    #[serde(rename = "h")]
    pub(super) holder: RecordHolder,
    /// The set that did it was removed, and who holds the record now is not told yet.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_gone: bool,
}

/// What the row of a workout keeps.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct OfWorkout {
    pub(super) text: Option<Personal<String>>,
    /// Its records are not shown, though it is.
    records_withheld: bool,
}

/// What the row of a workout's records keeps.
#[derive(Serialize, Deserialize)]
pub(super) struct OfRecords {
    /// Since when there are any.
    since: DateTime<Utc>,
    pub(super) broken: Vec<Broken>,
}

/// What an event says, and of which of the owner's posts.
pub(super) fn said(stream: Uuid, at: DateTime<Utc>, event: Event) -> Vec<(Uuid, Said)> {
    let what = match event {
        Event::WorkoutStarted(started) => What::Started(started.details.visibility),
        Event::WorkoutDetailsChanged(changed) => What::SeenBy(changed.details.visibility),
        Event::WorkoutCompleted(completed) => What::Completed { shared: completed.shared },
        Event::WorkoutShared(shared) => What::Shared(shared.text),
        Event::WorkoutUnshared(unshared) => What::Unshared { records_only: unshared.records_only },
        Event::WorkoutDiscarded(_) => What::Discarded,
        Event::SetRemoved(removed) => What::SetRemoved(removed.set_id),
        Event::PostPublished(published) => What::Wrote(published.text, published.visibility),
        Event::PostEdited(edited) => What::Rewrote(edited.text, edited.visibility),
        Event::PostDeleted(_) => What::TookAway,
        Event::PRAchieved(achieved) => {
            if achieved.first {
                return Vec::new();
            }
            return broke(at, &achieved.exercise, achieved.records);
        }
        Event::PRRevoked(revoked) => return lost(at, &revoked.exercise, revoked.records),
        Event::RecordsRestated(restated) => {
            return lost(at, &restated.exercise, restated.records);
        }
        _ => return Vec::new(),
    };
    vec![(stream, Said(at, what))]
}

/// Records that went to better holders: news of the workouts of those. Whoever held them before did
/// break them then.
fn broke(at: DateTime<Utc>, exercise: &ExerciseId, records: Vec<RecordMoved>) -> Vec<(Uuid, Said)> {
    let mut by_workout: BTreeMap<Uuid, Vec<Broken>> = BTreeMap::new();
    for RecordMoved { kind, reps, holder, .. } in records {
        if let Some(holder) = holder {
            let which = Which { exercise: exercise.clone(), kind, reps };
            let workout = holder.workout_id.uuid();
            by_workout.entry(workout).or_default().push(Broken { which, holder, is_gone: false });
        }
    }
    let said = by_workout.into_iter();
    said.map(|(workout, broken)| (workout, Said(at, What::Broke(broken)))).collect()
}

/// Records that were none: no news of the workouts that were said to have broken them, unless another set
/// of the same workout did.
fn lost(at: DateTime<Utc>, exercise: &ExerciseId, records: Vec<RecordMoved>) -> Vec<(Uuid, Said)> {
    let mut by_workout: BTreeMap<Uuid, Vec<(Which, Option<RecordHolder>)>> = BTreeMap::new();
    for RecordMoved { kind, reps, previous, holder } in records {
        if let Some(previous) = previous {
            let which = Which { exercise: exercise.clone(), kind, reps };
            let same = holder.filter(|holder| holder.workout_id == previous.workout_id);
            by_workout.entry(previous.workout_id.uuid()).or_default().push((which, same));
        }
    }
    let said = by_workout.into_iter();
    said.map(|(workout, lost)| (workout, Said(at, What::Lost(lost)))).collect()
}

/// Brings the rows of a workout or text to what was said of it; answers those that are gone.
pub(super) fn apply(
    rows: &mut BTreeMap<Place, PostRow>,
    owner: Uuid,
    post: Uuid,
    said: Vec<Said>,
) -> Result<Vec<Place>, sqlx::Error> {
    let place = |kind: ContentKind| (owner, kind.code(), post);
    let (workout, records, text) =
        (place(ContentKind::Workout), place(ContentKind::Records), place(ContentKind::Text));
    let mut gone = Vec::new();
    for Said(at, what) in said {
        match what {
            What::Wrote(says, visibility) => {
                rows.insert(text, row(text, visibility, Some(at), json(&says)?));
            }
            What::Rewrote(says, visibility) => {
                if let Some(row) = rows.get_mut(&text) {
                    row.visibility = seen_by(visibility);
                    row.edited_at = Some(at);
                    row.content = json(&says)?;
                }
            }
            What::TookAway => gone.extend(rows.remove(&text).map(|_| text)),
            What::Started(visibility) => {
                let content = json(&OfWorkout::default())?;
                rows.insert(workout, row(workout, visibility, None, content));
            }
            What::Discarded => {
                for place in [workout, records] {
                    gone.extend(rows.remove(&place).map(|_| place));
                }
            }
            of_workout => {
                let Some(mut there) = rows.remove(&workout) else { continue };
                let mut content: OfWorkout = read(&there.content)?;
                let of_records = rows.remove(&records);
                let was_there = of_records.is_some();
                let mut since = None;
                let mut broken = Vec::new();
                if let Some(row) = of_records {
                    let known: OfRecords = read(&row.content)?;
                    (since, broken) = (Some(known.since), known.broken);
                }
                match of_workout {
                    What::SeenBy(visibility) => there.visibility = seen_by(visibility),
                    What::Completed { shared } if shared => there.posted_at = Some(at),
                    What::Shared(says) => {
                        if there.posted_at.is_some() {
                            there.edited_at = Some(at);
                        } else {
                            there.posted_at = Some(at);
                            content.records_withheld = false;
                        }
                        content.text = says;
                    }
                    What::Unshared { records_only: true } => content.records_withheld = true,
                    What::Unshared { records_only: false } => {
                        (there.posted_at, there.edited_at) = (None, None);
                        content.text = None;
                    }
                    What::SetRemoved(set) => {
                        for broken in &mut broken {
                            broken.is_gone |= broken.holder.set_id == Some(set);
                        }
                    }
                    What::Lost(lost) => {
                        for (which, holder) in lost {
                            let at = broken.iter().position(|broken| broken.which == which);
                            match (at, holder) {
                                (Some(at), Some(holder)) => {
                                    broken[at] = Broken { which, holder, is_gone: false };
                                }
                                (Some(at), None) => {
                                    broken.remove(at);
                                }
                                (None, _) => {}
                            }
                        }
                    }
                    What::Broke(new) => {
                        broken.retain(|known| new.iter().all(|new| new.which != known.which));
                        broken.extend(new);
                        broken.sort_by(|one, other| one.which.cmp(&other.which));
                    }
                    _ => {}
                }
                there.content = json(&content)?;
                if broken.is_empty() {
                    if was_there {
                        gone.push(records);
                    }
                } else {
                    let since = since.unwrap_or(at);
                    // Beside the workout's post, and never before it.
                    let any = broken.iter().any(|broken| !broken.is_gone);
                    let shown = any && !content.records_withheld;
                    let posted_at = there.posted_at.filter(|_| shown);
                    let posted_at = posted_at.map(|posted_at| posted_at.max(since));
                    let content = json(&OfRecords { since, broken })?;
                    let mut row = row(records, Visibility::Private, posted_at, content);
                    row.visibility = there.visibility;
                    rows.insert(records, row);
                    gone.retain(|place| *place != records);
                }
                rows.insert(workout, there);
            }
        }
    }
    // What came again is there.
    gone.retain(|place| !rows.contains_key(place));
    Ok(gone)
}

fn row(
    (owner, kind, post): Place,
    visibility: Visibility,
    posted_at: Option<DateTime<Utc>>,
    content: String,
) -> PostRow {
    let visibility = seen_by(visibility);
    PostRow { owner, kind, post, visibility, posted_at, edited_at: None, hidden: false, content }
}

fn seen_by(visibility: Visibility) -> i16 {
    match visibility {
        Visibility::Public => 1,
        Visibility::Followers => 2,
        Visibility::Private => 3,
    }
}

pub(super) fn visibility(code: i16) -> Visibility {
    match code {
        1 => Visibility::Public,
        2 => Visibility::Followers,
        _ => Visibility::Private,
    }
}

/// What its author says in a post or comment, by its row.
pub(super) fn said_by(kind: ContentKind, content: &str) -> Result<Option<Personal<String>>, Error> {
    let said = match kind {
        ContentKind::Workout => read::<OfWorkout>(content).map(|workout| workout.text),
        ContentKind::Records => Ok(None),
        ContentKind::Text | ContentKind::Comment => read(content).map(Some),
    };
    said.map_err(Error::internal)
}

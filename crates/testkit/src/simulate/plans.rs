//! What invented athletes plan: routines, folders for them, and likes of others'.

use events::{
    CopiedFrom, Event, FolderId, Personal, PlannedExercise, PlannedSet, RepRange, Reps,
    RoutineChanged, RoutineCreated, RoutineDeleted, RoutineDetails, RoutineFolderCreated,
    RoutineFolderDeleted, RoutineFolderRenamed, RoutineId, RoutineLiked, RoutineUnliked, Seconds,
    SetKind, Stream, Version, Weekday,
};
use log::Log;
use rand::RngExt;

use super::{Athlete, Simulator};

impl Simulator {
    /// An athlete makes, changes or deletes routines, puts them in order, and likes some of others.
    pub(super) async fn plan(&mut self, log: &Log, athlete: Athlete) {
        self.order(log, athlete).await;
        let Some(mut life) = self.lives.remove(&athlete.id) else { return };
        if self.rng.random_bool(0.7) {
            let id = RoutineId::new(self.uuid()).expect("an id of version 7");
            let from = CopiedFrom { owner: athlete.id, routine: id };
            let copied_from = self.rng.random_bool(0.2).then_some(Personal::Clear(from));
            let routine = self.routine(&life.folders);
            let mut events: Vec<Event> = vec![RoutineCreated { routine, copied_from }.into()];
            if self.rng.random_bool(0.2) {
                events.push(RoutineChanged { routine: self.routine(&life.folders) }.into());
            }
            let mut version = Version(0);
            self.append_at(log, athlete, Stream::routine(id), &mut version, &mut events).await;
            life.routines.push((id, version));
            self.routines.push((athlete.id, id));
        }
        if self.rng.random_bool(0.3) && !life.routines.is_empty() {
            let changed = self.rng.random_range(0..life.routines.len());
            let (id, mut version) = life.routines[changed];
            let mut events = vec![RoutineChanged { routine: self.routine(&life.folders) }.into()];
            self.append_at(log, athlete, Stream::routine(id), &mut version, &mut events).await;
            life.routines[changed].1 = version;
        }
        if self.rng.random_bool(0.1) && !life.routines.is_empty() {
            let deleted = self.rng.random_range(0..life.routines.len());
            let (id, mut version) = life.routines.swap_remove(deleted);
            let mut events = vec![RoutineDeleted {}.into()];
            self.append_at(log, athlete, Stream::routine(id), &mut version, &mut events).await;
        }
        let mut said: Vec<Event> = Vec::new();
        if !self.routines.is_empty() && self.rng.random_bool(0.6) {
            let (owner, routine) = self.routines[self.rng.random_range(0..self.routines.len())];
            if !life.likes.contains(&(owner, routine)) {
                life.likes.push((owner, routine));
                said.push(RoutineLiked { owner, routine }.into());
            }
        }
        if self.rng.random_bool(0.2) && !life.likes.is_empty() {
            let unliked = self.rng.random_range(0..life.likes.len());
            let (owner, routine) = life.likes.swap_remove(unliked);
            said.push(RoutineUnliked { owner, routine }.into());
        }
        let stream = Stream::likes(athlete.id);
        self.append_at(log, athlete, stream, &mut life.liking, &mut said).await;
        self.lives.insert(athlete.id, life);
    }

    /// An athlete makes, renames or deletes a folder.
    async fn order(&mut self, log: &Log, athlete: Athlete) {
        let Some(mut life) = self.lives.remove(&athlete.id) else { return };
        let name = |name: &str| Personal::Clear(name.to_owned());
        let mut said: Vec<Event> = Vec::new();
        if self.rng.random_bool(0.3) {
            let folder = FolderId::new(self.uuid()).expect("an id of version 7");
            life.folders.push(folder);
            said.push(RoutineFolderCreated { folder, name: name("Push") }.into());
        }
        if self.rng.random_bool(0.1) && !life.folders.is_empty() {
            let folder = life.folders[self.rng.random_range(0..life.folders.len())];
            said.push(RoutineFolderRenamed { folder, name: name("Pull") }.into());
        }
        if self.rng.random_bool(0.1) && !life.folders.is_empty() {
            let deleted = self.rng.random_range(0..life.folders.len());
            let folder = life.folders.swap_remove(deleted);
            said.push(RoutineFolderDeleted { folder }.into());
        }
        let stream = Stream::folders(athlete.id);
        self.append_at(log, athlete, stream, &mut life.ordering, &mut said).await;
        self.lives.insert(athlete.id, life);
    }

    fn routine(&mut self, folders: &[FolderId]) -> RoutineDetails {
        let in_folder = !folders.is_empty() && self.rng.random_bool(0.5);
        let folder = in_folder.then(|| folders[self.rng.random_range(0..folders.len())]);
        let days = [Weekday::Monday, Weekday::Wednesday, Weekday::Sunday];
        let reps = |count| Reps::new(count).expect("a number of repetitions");
        let planned = PlannedExercise {
            exercise: "squat-barbell".parse().expect("a slug"),
            sets: vec![PlannedSet {
                kind: SetKind::Normal,
                reps: Some(RepRange { min: reps(5), max: reps(8) }),
                weight: None,
                duration_seconds: None,
                distance_metres: None,
                rpe: None,
            }],
            rest_seconds: Seconds::USUAL_REST,
            superset_id: None,
            notes: self.rng.random_bool(0.2).then(|| Personal::Clear("slow".to_owned())),
        };
        RoutineDetails {
            name: Personal::Clear("Legs".to_owned()),
            notes: None,
            folder,
            exercises: vec![planned; self.rng.random_range(0..4)],
            schedule: days.into_iter().filter(|_| self.rng.random_bool(0.4)).collect(),
            public: self.rng.random_bool(0.6),
        }
    }
}

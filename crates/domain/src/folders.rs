//! An athlete's folders of routines: the state and decisions of `folders-…` streams.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    Event, FolderId, Personal, RoutineFolderCreated, RoutineFolderDeleted, RoutineFolderRenamed,
};

use crate::Rejection;

/// Most folders of an athlete.
const MAX: usize = 50;

/// The folders of an athlete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    names: BTreeMap<FolderId, Personal<String>>,
    /// Their ids are not used again, for routines may still name them.
    deleted: BTreeSet<FolderId>,
}

impl Folders {
    /// Takes in what happened.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::RoutineFolderCreated(created) => {
                self.names.insert(created.folder, created.name.clone());
            }
            Event::RoutineFolderRenamed(renamed) => {
                self.names.insert(renamed.folder, renamed.name.clone());
            }
            Event::RoutineFolderDeleted(deleted) => {
                self.names.remove(&deleted.folder);
                self.deleted.insert(deleted.folder);
            }
            _ => {}
        }
    }

    /// The name of a folder, unless it was deleted.
    pub fn get(&self, folder: FolderId) -> Option<&Personal<String>> {
        self.names.get(&folder)
    }

    /// All of them, oldest id first.
    pub fn all(&self) -> impl Iterator<Item = (FolderId, &Personal<String>)> {
        self.names.iter().map(|(folder, name)| (*folder, name))
    }
}

/// Decides on making a folder. Two may have the same name.
pub fn create(state: &Folders, folder: FolderId, name: String) -> Result<Vec<Event>, Rejection> {
    if state.names.contains_key(&folder) || state.deleted.contains(&folder) {
        let message = "the id belongs to another folder of yours";
        return Err(Rejection::Conflict { code: "ID_TAKEN", message });
    }
    if state.names.len() >= MAX {
        let message = "an athlete has at most 50 folders";
        return Err(Rejection::Conflict { code: "TOO_MANY_FOLDERS", message });
    }
    Ok(vec![RoutineFolderCreated { folder, name: Personal::Clear(name) }.into()])
}

/// Decides on renaming a folder; no events when that is its name already.
pub fn rename(state: &Folders, folder: FolderId, name: String) -> Result<Vec<Event>, Rejection> {
    let before = state.get(folder).ok_or(Rejection::NotFound("folder"))?;
    let name = Personal::Clear(name);
    if *before == name {
        return Ok(Vec::new());
    }
    Ok(vec![RoutineFolderRenamed { folder, name }.into()])
}

/// Decides on deleting a folder; no events when it is gone already.
pub fn delete(state: &Folders, folder: FolderId) -> Result<Vec<Event>, Rejection> {
    if state.deleted.contains(&folder) {
        return Ok(Vec::new());
    }
    state.get(folder).ok_or(Rejection::NotFound("folder"))?;
    Ok(vec![RoutineFolderDeleted { folder }.into()])
}

#[cfg(test)]
mod tests {
    use events::FolderId;
    use uuid::Uuid;

    use super::{Folders, MAX, create, delete, rename};
    use crate::Rejection;

    fn id(number: usize) -> FolderId {
        FolderId::new(Uuid::from_u128(7 << 76 | number as u128)).unwrap()
    }

    fn code(rejection: Rejection) -> &'static str {
        match rejection {
            Rejection::Conflict { code, .. } => code,
            Rejection::NotFound(what) => what,
            Rejection::Invalid(_) => "invalid",
        }
    }

    #[test]
    fn folders_are_made_renamed_and_deleted_once() {
        let mut state = Folders::default();
        for number in 0..MAX {
            let made = create(&state, id(number), "Push".to_owned()).unwrap();
            made.iter().for_each(|event| state.evolve(event));
        }
        let full = create(&state, id(MAX), "Pull".to_owned()).unwrap_err();
        assert_eq!(code(full), "TOO_MANY_FOLDERS");
        assert_eq!(rename(&state, id(1), "Push".to_owned()), Ok(Vec::new()), "called so already");
        assert_eq!(code(rename(&state, id(99), "x".to_owned()).unwrap_err()), "folder");
        let renamed = rename(&state, id(1), "Legs".to_owned()).unwrap();
        renamed.iter().for_each(|event| state.evolve(event));
        assert_eq!(state.get(id(1)).unwrap().clear().unwrap(), "Legs");

        let deleted = delete(&state, id(1)).unwrap();
        deleted.iter().for_each(|event| state.evolve(event));
        assert_eq!(delete(&state, id(1)), Ok(Vec::new()), "gone already");
        assert_eq!(code(delete(&state, id(99)).unwrap_err()), "folder");
        assert_eq!(code(rename(&state, id(1), "x".to_owned()).unwrap_err()), "folder");
        assert_eq!(code(create(&state, id(1), "x".to_owned()).unwrap_err()), "ID_TAKEN");
        assert_eq!(state.all().count(), MAX - 1);
    }
}

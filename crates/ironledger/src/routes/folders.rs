//! An athlete's folders of routines: `/v1/routines/folders…`, as the log has them.

use std::sync::Arc;

use axum::extract::State;
use domain::folders::Folders;
use events::FolderId;
use log::Positions;
use schemars::JsonSchema;
use serde::Serialize;
use web::{Answer, Created, Error, Json, Path, Routes};

use super::tagged;
use crate::{
    app::App,
    commands::{
        Commands, Failure, Loaded, Origin,
        folders::{CreateFolder, RenameFolder},
    },
};

pub(super) fn routes() -> Routes<App> {
    Routes::of(include_str!("folders.rs"))
        .get("/v1/routines/folders", list)
        .post("/v1/routines/folders", create)
        .patch("/v1/routines/folders/{folder}", rename)
        .delete("/v1/routines/folders/{folder}", delete)
}

/// A folder of routines.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoutineFolder")]
struct Folder {
    id: FolderId,
    /// `null` when it was erased.
    name: Option<String>,
}

/// The caller's folders, the first made first: there are never many.
async fn list(
    State(commands): State<Commands>,
    origin: Origin,
) -> Result<Answer<Vec<Folder>>, Error> {
    let loaded = commands.folders(&origin).await?;
    let folders = loaded.state.iter().flat_map(Folders::all);
    let folders = folders.map(|(id, name)| Folder { id, name: name.clear().cloned() });
    let folders: Vec<Folder> = folders.collect();
    let position = Positions::one(loaded.epoch, loaded.partition, loaded.position);
    Ok(Answer::list(&folders, None)?.at(position))
}

/// Makes a folder.
async fn create(
    State(commands): State<Commands>,
    origin: Origin,
    body: Json<CreateFolder>,
) -> Result<Created<Folder>, Error> {
    let show = |id, loaded: Arc<Loaded<Folders>>| async move {
        Ok(there(id, &loaded)?.created(format!("/v1/routines/folders/{id}")))
    };
    let done = commands.create_folder(&origin, body.good()?, show).await;
    let stale = |_: &Loaded<Folders>| Error::conflict("STALE", "other folders were made meanwhile");
    or_stale(done, stale).map(Created)
}

/// Renames a folder.
async fn rename(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<FolderId>,
    body: Json<RenameFolder>,
) -> Result<Answer<Folder>, Error> {
    let show = |loaded: Arc<Loaded<Folders>>| async move { there(id, &loaded) };
    let done = commands.rename_folder(&origin, id, body.good()?, show).await;
    or_stale(done, |loaded| stale(id, loaded))
}

/// Deletes a folder; its routines are in none then, and `null` is what is left of it.
async fn delete(
    State(commands): State<Commands>,
    origin: Origin,
    Path(id): Path<FolderId>,
) -> Result<Answer<Option<Folder>>, Error> {
    let show =
        |loaded: Arc<Loaded<Folders>>| async move { tagged(loaded.version, &one(id, &loaded)) };
    let done = commands.delete_folder(&origin, id, show).await;
    or_stale(done, |loaded| stale(id, loaded))
}

/// The folder after a command.
fn there(id: FolderId, loaded: &Loaded<Folders>) -> Result<Answer<Folder>, Error> {
    tagged(loaded.version, &one(id, loaded).ok_or_else(|| Error::not_found("folder"))?)
}

fn one(id: FolderId, loaded: &Loaded<Folders>) -> Option<Folder> {
    let name = loaded.state.as_ref()?.get(id)?;
    Some(Folder { id, name: name.clear().cloned() })
}

fn stale(id: FolderId, loaded: &Loaded<Folders>) -> Error {
    one(id, loaded).map_or_else(|| Error::not_found("folder"), |now| Error::stale(&now))
}

fn or_stale<T>(
    done: Result<Answer<T>, Failure<Folders>>,
    stale: impl Fn(&Loaded<Folders>) -> Error,
) -> Result<Answer<T>, Error> {
    match done {
        Ok(answer) => Ok(answer),
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Stale(loaded)) => Err(stale(&loaded)),
    }
}

//! An athlete's folders of routines: `/v1/routines/folders…`, as the log has them.

use std::sync::Arc;

use axum::extract::State;
use domain::folders::Folders;
use events::FolderId;
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
    Ok(Answer::list(&folders, None)?.at(loaded.positions()))
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
    done.map(Created).map_err(Failure::of_new)
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
    or_stale(id, done).await
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
    or_stale(id, done).await
}

/// The folder after a command.
fn there(id: FolderId, loaded: &Loaded<Folders>) -> Result<Answer<Folder>, Error> {
    tagged(loaded.version, &one(id, loaded).ok_or_else(|| Error::not_found("folder"))?)
}

fn one(id: FolderId, loaded: &Loaded<Folders>) -> Option<Folder> {
    let name = loaded.state.as_ref()?.get(id)?;
    Some(Folder { id, name: name.clear().cloned() })
}

/// What the caller is told of a folder; of a stale command, what it is now.
async fn or_stale<T>(
    id: FolderId,
    done: Result<Answer<T>, Failure<Folders>>,
) -> Result<Answer<T>, Error> {
    let now = async |loaded: Arc<Loaded<Folders>>| Ok(one(id, &loaded));
    match done {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(failure.told("folder", now).await),
    }
}

//! Commands about an athlete's folders of routines.

use std::sync::Arc;

use domain::{
    Rejection,
    folders::{self, Folders},
};
use events::{Event, FolderId, Stream, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Answer, Error};

use super::{Commands, Failure, Loaded, Origin, State};

impl State for Folders {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// The body of `POST /v1/routines/folders`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateFolder {
    /// A UUID of version 7 that makes the command safe to send twice.
    id: Option<FolderId>,
    /// What the athlete calls it.
    name: Text<100>,
}

/// The body of `PATCH /v1/routines/folders/{folder}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameFolder {
    /// What the athlete calls it now.
    name: Text<100>,
}

type Decided = Result<Vec<Event>, Rejection>;

impl Commands {
    /// The athlete's folders as the log has them now.
    pub(crate) async fn folders(&self, origin: &Origin) -> Result<Arc<Loaded<Folders>>, Error> {
        self.folders.read(origin.athlete, origin.partition, Stream::folders(origin.athlete)).await
    }

    /// Makes a folder; `show` gets its id too.
    pub(crate) async fn create_folder<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        command: CreateFolder,
        show: impl Fn(FolderId, Arc<Loaded<Folders>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Folders>> {
        let client = match command.id {
            Some(id) => {
                let said = ("create_folder", &command);
                Some(self.client_id(origin.athlete, Some(id.uuid()), &said).await?)
            }
            None => None,
        };
        let id = match command.id {
            Some(id) => id,
            None => FolderId::new(self.random.uuid(self.clock.now())).map_err(Error::internal)?,
        };
        let decide = |state: &Folders| folders::create(state, id, command.name.as_str().to_owned());
        self.on_folders(origin, client, decide, |loaded| show(id, loaded)).await
    }

    /// Renames a folder.
    pub(crate) async fn rename_folder<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: FolderId,
        command: RenameFolder,
        show: impl Fn(Arc<Loaded<Folders>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Folders>> {
        let decide = |state: &Folders| folders::rename(state, id, command.name.as_str().to_owned());
        self.on_folders(origin, None, decide, show).await
    }

    /// Deletes a folder.
    pub(crate) async fn delete_folder<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        id: FolderId,
        show: impl Fn(Arc<Loaded<Folders>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Folders>> {
        self.on_folders(origin, None, |state| folders::delete(state, id), show).await
    }

    async fn on_folders<T, Shown: Future<Output = Result<Answer<T>, Error>>>(
        &self,
        origin: &Origin,
        client: Option<log::ClientId>,
        decide: impl Fn(&Folders) -> Decided,
        show: impl Fn(Arc<Loaded<Folders>>) -> Shown,
    ) -> Result<Answer<T>, Failure<Folders>> {
        let nothing = Folders::default();
        let decide =
            |loaded: &Loaded<Folders>, _| decide(loaded.state.as_ref().unwrap_or(&nothing));
        let stream = Stream::folders(origin.athlete);
        self.execute(&self.folders, origin, stream, client, decide, show).await
    }
}

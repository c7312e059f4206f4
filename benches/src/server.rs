//! A Postgres of its own, which may be restarted under everybody's feet.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use servers::{Postgres, Settings};
use tokio::{task::spawn_blocking, time::sleep};

/// The server, which ends with the last clone of this value, and its data with it.
#[derive(Clone)]
pub struct Server(Arc<Folder>);

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(postgres) = Postgres::find(&self.0) {
            postgres.stop().ok();
        }
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Server {
    /// A new one, whose answers are durable.
    pub async fn start() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("ironledger-faults-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let server = Self(Arc::new(Folder(path.canonicalize()?)));
        server.blocking(|folder| Postgres::start(folder, Settings::Durable).map(drop)).await?;
        Ok(server)
    }

    /// Its address for the owner of everything.
    pub fn url(&self) -> Result<String> {
        let server = Postgres::find(&self.0.0).context("no server runs")?;
        Ok(server.url("postgres", "postgres"))
    }

    /// Ends it by a signal, and starts it again after a while.
    pub async fn restart(&self, signal: &'static str, away: Duration) -> Result<()> {
        self.blocking(move |folder| {
            Postgres::find(folder).context("no server to restart")?.end(signal)
        })
        .await?;
        sleep(away).await;
        self.blocking(|folder| Postgres::start_again(folder, Settings::Durable).map(drop)).await
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&Path) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let folder = self.0.clone();
        spawn_blocking(move || work(&folder.0)).await?
    }
}

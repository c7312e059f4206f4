//! Whose rows have changed: counted in the transaction that changes them, told after its commit.
//!
//! A row for each owner, of models whose answers are kept ([`Projection::REVISED`]). A replay counts
//! nothing: the model that it swaps in has another generation, by which all of it is new.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use chrono::{DateTime, Utc};
use events::AthleteId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Projection,
    batch::{Item, What},
};

/// Hears in which schema whose rows have changed, after the commit. It must not keep the projector
/// waiting for long.
pub type Hears = Arc<
    dyn Fn(&'static str, Vec<AthleteId>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync,
>;

/// Whose rows a batch changes, with the time of the newest event of each.
#[derive(Default)]
pub(crate) struct Changed(BTreeMap<Uuid, DateTime<Utc>>);

impl Changed {
    /// What events that a projection takes come to.
    pub(crate) fn by<'a, P: Projection>(items: impl IntoIterator<Item = &'a Item>) -> Self {
        let mut changed = Self::default();
        if P::REVISED {
            items.into_iter().for_each(|item| changed.add(item));
        }
        changed
    }

    fn add(&mut self, item: &Item) {
        if let What::Takes(_) = item.what {
            let at = item.recorded_at.utc();
            let newest = self.0.entry(item.id.owner.uuid()).or_insert(at);
            *newest = at.max(*newest);
        }
    }

    /// Counts them, in the transaction of the batch.
    pub(crate) async fn count(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (owners, times): (Vec<Uuid>, Vec<DateTime<Utc>>) =
            self.0.iter().map(|(owner, at)| (*owner, *at)).unzip();
        sqlx::query!(
            "insert into revisions as r (owner, revision, changed_at)
             select owner, 1, changed_at
             from unnest($1::uuid[], $2::timestamptz[]) as changed (owner, changed_at)
             order by owner
             on conflict (owner) do update
             set revision = r.revision + 1,
                 changed_at = greatest(r.changed_at, excluded.changed_at)",
            &owners,
            &times,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Tells who wants to hear it.
    pub(crate) async fn tell<P: Projection>(self, hears: Option<&Hears>) {
        if let (Some(hears), false) = (hears, self.0.is_empty()) {
            let owners = self.0.into_keys().filter_map(|owner| AthleteId::new(owner).ok());
            hears(P::SCHEMA, owners.collect()).await;
        }
    }
}

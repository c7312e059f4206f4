//! What the door asks of accounts.

use events::{AthleteId, Partition};
use uuid::Uuid;
use web::{Access, Caller, Client, Directory, Error, KeyHolder, Seen};

use super::{Accounts, tier};
use crate::commands;

impl Directory for Accounts {
    async fn partition(&self, athlete: Uuid) -> Result<Option<i16>, Error> {
        let Ok(athlete) = AthleteId::new(athlete) else { return Ok(None) };
        Ok(self.partition_of(athlete).await?.map(|partition| partition.0))
    }

    async fn lives(&self, access: &Access) -> Result<bool, Error> {
        let lives = sqlx::query_scalar!(
            r#"select exists (
                   select from accounts.sessions s
                   join accounts.accounts a on a.athlete = s.athlete
                   where s.id = $1 and s.athlete = $2 and a.generation <= $3
               ) as "lives!""#,
            access.session,
            access.athlete,
            access.generation,
        )
        .fetch_one(&self.pool)
        .await;
        lives.map_err(commands::database)
    }

    async fn key(&self, key: &str) -> Result<Option<KeyHolder>, Error> {
        self.key_holder(key).await
    }

    async fn client(&self, coach: &Caller, client: Uuid) -> Result<Option<Client>, Error> {
        let (Ok(coach_id), Ok(client)) = (AthleteId::new(coach.actor), AthleteId::new(client))
        else {
            return Ok(None);
        };
        let Some(partition) = self.partition_of(client).await? else { return Ok(None) };
        let coach = (coach_id, Partition(coach.partition));
        if !self.commands.coaches(coach, (client, partition)).await? {
            return Ok(None);
        }
        let standing = self.commands.standing(client, partition).await?;
        let tier = tier(standing.tier(self.commands.clock.now()));
        Ok(Some(Client { partition: partition.0, tier }))
    }

    fn note(&self, seen: Seen) {
        self.access_log.note(seen);
    }

    async fn record(&self, seen: Seen) -> Result<(), Error> {
        self.access_log.record(&[seen]).await
    }
}

//! Usernames: names that nobody else has, claimed before the log tells of them.

use chrono::TimeDelta;
use domain::profile::Username;
use events::{AthleteId, Timestamp};
use web::Error;

use super::Accounts;
use crate::commands;

/// A command that claimed a username is over after so long, one way or another.
const CLAIMED_LATELY: TimeDelta = TimeDelta::minutes(10);

/// Usernames that an athlete holds at the same time, counting those claimed lately: nobody hoards them.
const USERNAMES: i64 = 4;

impl Accounts {
    /// Makes a username an athlete's, before the log tells of it; refused when it is another's.
    pub(crate) async fn claim(&self, athlete: AthleteId, username: &Username) -> Result<(), Error> {
        let claimed = sqlx::query!(
            "insert into accounts.usernames as there (username, athlete, claimed_at)
             select $1, $2, $3
             where (select count(*) from accounts.usernames where athlete = $2 and username <> $1) < $4
             on conflict (username) do update set claimed_at = excluded.claimed_at
             where there.athlete = excluded.athlete",
            username.folded(),
            athlete.uuid(),
            self.commands.clock.now().utc(),
            USERNAMES,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if claimed.rows_affected() == 1 {
            return Ok(());
        }
        let is_taken = sqlx::query_scalar!(
            r#"select exists (select from accounts.usernames where username = $1) as "is_taken!""#,
            username.folded(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(commands::database)?;
        Err(if is_taken {
            Error::conflict("USERNAME_TAKEN", "somebody else has this username")
        } else {
            Error::conflict(
                "USERNAME_CHANGED_OFTEN",
                "the username was changed too often: try again in ten minutes",
            )
        })
    }

    /// Lets usernames go that an athlete has no longer. What was claimed a while ago at most may be
    /// about to be told to the log, and stays until they change it again.
    pub(crate) async fn let_go(
        &self,
        athlete: AthleteId,
        username: Option<&str>,
    ) -> Result<(), Error> {
        let since = self.commands.clock.now().shifted(-CLAIMED_LATELY).map(Timestamp::utc);
        sqlx::query!(
            "delete from accounts.usernames
             where athlete = $1 and username is distinct from $2 and claimed_at < $3",
            athlete.uuid(),
            username.map(str::to_ascii_lowercase),
            since,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(())
    }

    /// Whose a username is.
    pub(crate) async fn of_username(
        &self,
        username: &Username,
    ) -> Result<Option<AthleteId>, Error> {
        let athlete = sqlx::query_scalar!(
            "select athlete from accounts.usernames where username = $1",
            username.folded(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        athlete.map(AthleteId::new).transpose().map_err(Error::internal)
    }
}

//! Commands about what an account may do and has paid for.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::account::{self, Standing};
use events::{AthleteId, Event, Notice, Partition, Role, Stream, Tier, Timestamp};
use web::{Detail, Error};

use super::{Commands, Failure, Origin, State, unseen};

impl State for Standing {
    fn evolve(state: Option<Self>, event: &Event) -> Option<Self> {
        let mut state = state.unwrap_or_default();
        state.evolve(event);
        Some(state)
    }
}

/// What an account is granted.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    Role(Role),
    Tier { tier: Tier, until: Option<Timestamp>, notice: Option<Notice> },
}

/// Refuses a tier that ends before it begins (`now`, where that matters), or is free and ends.
pub(crate) fn check_grant(
    tier: Tier,
    until: Option<Timestamp>,
    now: Option<Timestamp>,
) -> Result<(), Error> {
    let message = match (tier, until, now) {
        (Tier::Free, Some(_), _) => "must not be given: free does not end",
        (Tier::Pro, Some(until), Some(now)) if until <= now => "must be in the future",
        _ => return Ok(()),
    };
    Err(Error::validation(vec![Detail::new("until", message)]))
}

impl Commands {
    /// What an account may do and has paid for, as the log has it now.
    pub(crate) async fn standing(
        &self,
        athlete: AthleteId,
        partition: Partition,
    ) -> Result<Standing, Error> {
        let loaded = self.standings.read(athlete, partition, Stream::account(athlete)).await?;
        Ok(loaded.state.clone().unwrap_or_default())
    }

    /// Grants an account something; `false` where it was so. Tokens are the business of accounts.
    pub(crate) async fn grant(&self, origin: &Origin, grant: Grant) -> Result<bool, Error> {
        let stream = Stream::account(origin.athlete);
        let decided = AtomicBool::new(false);
        let nothing = Standing::default();
        let granted = self
            .execute(
                &self.standings,
                origin,
                stream,
                None,
                |loaded, _| {
                    let standing = loaded.state.as_ref().unwrap_or(&nothing);
                    let events = match &grant {
                        Grant::Role(role) => account::grant_role(standing, *role),
                        Grant::Tier { tier, until, notice } => {
                            account::grant_tier(standing, *tier, *until, notice.clone())
                        }
                    };
                    // The last time it is decided is what comes of it.
                    decided.store(!events.is_empty(), Ordering::Relaxed);
                    Ok(events)
                },
                unseen,
            )
            .await;
        granted.map_err(Failure::of_new)?;
        Ok(decided.load(Ordering::Relaxed))
    }
}

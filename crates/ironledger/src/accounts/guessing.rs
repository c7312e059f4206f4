//! Signing in by a password, and changing it: as often as one may guess.

use events::AthleteId;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use web::{Error, Revocation, What, limits::Budget};

use super::{Account, Accounts, Arrival, Known, SessionEnd, fold_email, sessions::end};
use crate::commands;

impl Accounts {
    /// Whose e-mail address and password these are.
    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: &str,
        arrival: &Arrival,
    ) -> Result<Known, Error> {
        let (right, account) = self.guess(email, password, arrival).await?;
        match account.filter(|_| right) {
            Some(account) => {
                let proof = account.password_hash.clone();
                Ok(Known { proof, ..self.admit(account, None).await? })
            }
            None => Err(wrong()),
        }
    }

    /// Whether a password is right, as often as one may guess. The limits are looked at when it is
    /// this one's turn, which lasts until it is counted: many guesses at once are no more than one after
    /// the other.
    pub(super) async fn guess(
        &self,
        email: &str,
        password: &str,
        arrival: &Arrival,
    ) -> Result<(bool, Option<Account>), Error> {
        let account = self.find(email).await?;
        let subjects = [account_subject(email), address_subject(arrival)];
        let right = self.verify(account.as_ref(), password, &subjects, arrival).await?;
        Ok((right, account))
    }

    async fn verify(
        &self,
        account: Option<&Account>,
        password: &str,
        subjects: &[String],
        arrival: &Arrival,
    ) -> Result<bool, Error> {
        let turn = self.hasher.turn().await?;
        let athlete = account.map(|account| account.athlete);
        self.may_guess(athlete, subjects, arrival).await?;
        let hash = account.and_then(|account| account.password_hash.as_deref());
        let right = turn.verify(password, hash).await?;
        if !right {
            self.access_log.note(arrival.seen(What::SignInFailed, athlete, Some(401)));
            self.count_failure(subjects, arrival).await;
        }
        Ok(right)
    }

    /// Whether there is a try left.
    pub(super) async fn may_guess(
        &self,
        athlete: Option<Uuid>,
        subjects: &[String],
        arrival: &Arrival,
    ) -> Result<(), Error> {
        if !arrival.lifted {
            for subject in subjects {
                let left = self.limits.look(subject, Budget::SignIn).await;
                if !left.granted {
                    self.access_log.note(arrival.seen(What::SignInFailed, athlete, Some(429)));
                    return Err(left.refusal());
                }
            }
        }
        Ok(())
    }

    /// One try less.
    pub(super) async fn count_failure(&self, subjects: &[String], arrival: &Arrival) {
        if !arrival.lifted {
            for subject in subjects {
                self.limits.take(subject, &[Budget::SignIn], 1).await;
            }
        }
    }

    /// Changes a password that is known; other sessions are over.
    pub(crate) async fn change_password(
        &self,
        athlete: AthleteId,
        session: Uuid,
        current: &str,
        new: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        let account = self.find_athlete(athlete.uuid()).await?;
        let account = account.ok_or_else(|| Error::not_found("account"))?;
        // Of the account alone: who has signed in to it is not somebody who tries many.
        let subjects = [account_subject(&account.email)];
        if !self.verify(Some(&account), current, &subjects, arrival).await? {
            let detail = web::Detail::new("current_password", "is not the password");
            return Err(Error::validation(vec![detail]));
        }
        let hash = self.hasher.turn().await?.hash(new).await?;
        let mut transaction = self.pool.begin().await.map_err(commands::database)?;
        let changed = sqlx::query!(
            "update accounts.accounts set password_hash = $2
             where athlete = $1 and password_hash is not distinct from $3",
            athlete.uuid(),
            hash,
            account.password_hash,
        )
        .execute(&mut *transaction)
        .await
        .map_err(commands::database)?;
        if changed.rows_affected() == 0 {
            return Err(Error::conflict("STALE", "the password was changed at this moment"));
        }
        // After the account: who signs in by the old password waits for it, or is seen here.
        let ended = end(&mut transaction, athlete, SessionEnd::AllBut(session)).await?;
        transaction.commit().await.map_err(commands::database)?;
        self.revoking.tell(ended.into_iter().map(Revocation::Over));
        self.access_log.note(arrival.by(athlete, What::PasswordChanged));
        Ok(())
    }
}

/// What whoever fails to sign in is told, whatever it failed by.
pub(super) fn wrong() -> Error {
    Error::unauthorized("CREDENTIALS_WRONG", "e-mail address or password is wrong")
}

/// By what failed sign-ins of an account are counted, whether there is such an account or not.
pub(super) fn account_subject(email: &str) -> String {
    let digest = Sha256::digest(fold_email(email));
    format!("account:{}", digest.iter().take(16).map(|b| format!("{b:02x}")).collect::<String>())
}

/// By what failed sign-ins from an address are counted.
pub(super) fn address_subject(arrival: &Arrival) -> String {
    format!("address:{}", web::address::subject(arrival.address))
}

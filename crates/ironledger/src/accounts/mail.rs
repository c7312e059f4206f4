//! Mail: proving an address, and setting a forgotten password anew.

use std::{
    fs::Permissions,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use events::AthleteId;
use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, MIME_VERSION_1_0},
    },
};
use tokio::sync::Semaphore;
use web::{Error, Revocation, What, limits::Budget};

use super::{
    Accounts, Arrival, SessionEnd, digest, fold_email,
    guessing::{account_subject, address_subject},
    sessions::end,
};
use crate::commands;

/// Mails that are being sent or wait to be tried again; a further one is not sent.
const WAITING: usize = 1000;

/// Mails that are being sent at the same moment.
const SENDING: usize = 8;

/// How often a mail is tried, first after one second and then after twice as long each time.
const TRIES: u32 = 6;

/// An account is sent one mail of a purpose in so long: an earlier one stays good, and nobody is flooded.
const BETWEEN: TimeDelta = TimeDelta::minutes(2);

/// What a mail is to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// That the address reaches the athlete.
    Verify,
    /// That who forgot a password reads the account's mail.
    Reset,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    fn lifetime(self) -> TimeDelta {
        match self {
            Self::Verify => TimeDelta::hours(48),
            Self::Reset => TimeDelta::hours(1),
        }
    }
}

/// How mail leaves.
#[derive(Clone)]
pub(crate) enum Mailer {
    /// By a server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// As files in a folder, for who develops.
    Folder(PathBuf),
}

impl Mailer {
    /// By the server of an address such as `smtps://user:password@mail.example.com`.
    pub(crate) fn smtp(url: &str) -> anyhow::Result<Self> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .context("the address of the mail server must be smtp:// or smtps://")?;
        Ok(Self::Smtp(transport.timeout(Some(Duration::from_secs(20))).build()))
    }

    /// Into a folder, which is made if need be.
    pub(crate) fn folder(folder: PathBuf) -> anyhow::Result<Self> {
        // What lies there opens accounts.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.with_context(|| format!("{} cannot be made", folder.display()))?;
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700))
            .with_context(|| format!("{} cannot be closed to others", folder.display()))?;
        Ok(Self::Folder(folder))
    }

    /// Whether it is worth another try, where it failed.
    async fn send(&self, message: Message) -> Result<(), bool> {
        match self {
            Self::Smtp(transport) => match transport.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => Err(!error.is_permanent()),
            },
            Self::Folder(folder) => {
                let sent = AsyncFileTransport::<Tokio1Executor>::new(folder).send(message).await;
                sent.map(|_| ()).map_err(|_| true)
            }
        }
    }
}

/// Sends mail, if there is a way to.
#[derive(Clone)]
pub(crate) struct Mail(Option<Arc<Sending>>);

struct Sending {
    mailer: Mailer,
    from: Mailbox,
    /// Where the app takes what mails bring; without it mails have the bare token.
    app_url: Option<String>,
    waiting: Arc<Semaphore>,
    turns: Semaphore,
}

impl Mail {
    /// No mail.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Mail from an address, with links into an app.
    pub(crate) fn new(mailer: Mailer, from: &str, app_url: Option<String>) -> anyhow::Result<Self> {
        let from = from.parse().context("the sender of mails must be an e-mail address")?;
        let (waiting, turns) = (Arc::new(Semaphore::new(WAITING)), Semaphore::new(SENDING));
        Ok(Self(Some(Arc::new(Sending { mailer, from, app_url, waiting, turns }))))
    }

    fn is_there(&self) -> Result<(), Error> {
        if self.0.is_some() {
            return Ok(());
        }
        Err(Error::unavailable("MAIL_UNAVAILABLE", "this server sends no mail", 3600))
    }

    /// Puts a mail with a token into the queue.
    fn put(&self, to: &str, purpose: Purpose, token: &str) {
        let Some(sending) = &self.0 else { return };
        let (page, subject, why) = match purpose {
            Purpose::Verify => (
                "verify-email",
                "Confirm your e-mail address",
                "Somebody, you we hope, has an Ironledger account with this address. Confirm that it \
                 is yours within two days",
            ),
            Purpose::Reset => (
                "reset-password",
                "Choose a new password",
                "Somebody, you we hope, forgot the password of your Ironledger account. Choose a new \
                 one within the hour",
            ),
        };
        let way = match &sending.app_url {
            // After the fragment, for servers and their logs do not see that.
            Some(app) => format!("{}/{page}#{token}", app.trim_end_matches('/')),
            None => format!("Give this to your app: {token}"),
        };
        let text = format!("{why}:\n\n{way}\n\nIf it was not you, there is nothing to do.\n");
        let message = to.parse().map_err(anyhow::Error::from).and_then(|to| {
            let builder = Message::builder().from(sending.from.clone()).to(to).subject(subject);
            let builder = builder.message_id(None).header(MIME_VERSION_1_0);
            Ok(builder.header(ContentType::TEXT_PLAIN).body(text)?)
        });
        let (Ok(message), Ok(place)) = (message, sending.waiting.clone().try_acquire_owned())
        else {
            tracing::warn!("a mail is not sent: too many wait, or its address is none");
            return;
        };
        // Each by itself: one that fails holds up no other.
        let sending = sending.clone();
        tokio::spawn(async move {
            let _place = place;
            sending.send(message).await;
        });
    }
}

impl Sending {
    /// Sends a mail, if need be by several tries. What a server says may hold the address, which is
    /// personal: it is not logged.
    async fn send(&self, message: Message) {
        let mut wait = Duration::from_secs(1);
        for attempt in 1..=TRIES {
            let Ok(turn) = self.turns.acquire().await else { return };
            let Err(again) = self.mailer.send(message.clone()).await else { return };
            drop(turn);
            if !again || attempt == TRIES {
                tracing::warn!(attempt, "a mail is given up");
                return;
            }
            tracing::info!(attempt, "a mail could not be sent yet");
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
}

impl Accounts {
    /// Sends an athlete what proves that their address is theirs; nothing where it was proved.
    pub(crate) async fn send_verification(&self, athlete: AthleteId) -> Result<(), Error> {
        self.mail.is_there()?;
        let account = self.find_athlete(athlete.uuid()).await?;
        match account.filter(|account| !account.is_verified) {
            Some(account) => self.send_token(&account.email, Purpose::Verify).await,
            None => Ok(()),
        }
    }

    /// The same on registering, where mail may be missing.
    pub(crate) async fn welcome(&self, email: &str) -> Result<(), Error> {
        if self.mail.0.is_none() {
            return Ok(());
        }
        self.send_token(email, Purpose::Verify).await
    }

    /// Sends to an address what sets a new password. Whether there is such an account, neither the answer
    /// nor its time tells: it is looked for afterwards.
    pub(crate) async fn forgot_password(
        &self,
        email: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        self.mail.is_there()?;
        if !arrival.lifted {
            let taken = self.limits.take(&account_subject(email), &[Budget::Mail], 1).await;
            if let Some(left) = taken.filter(|left| !left.granted) {
                return Err(left.refusal());
            }
        }
        let busy = || Error::unavailable("BUSY", "too many ask at once; come back soon", 2);
        let turn = self.forgetting.clone().try_acquire_owned().map_err(|_| busy())?;
        let (this, email) = (self.clone(), email.to_owned());
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = this.send_token(&email, Purpose::Reset).await {
                tracing::warn!(error = error.in_full(), "a forgotten password is not looked for");
            }
        });
        Ok(())
    }

    async fn send_token(&self, email: &str, purpose: Purpose) -> Result<(), Error> {
        let secret: [u8; 32] = self.commands.random.bytes();
        let email = fold_email(email);
        let now = self.commands.clock.now().utc();
        let expires_at = now + purpose.lifetime();
        let sent = sqlx::query!(
            "insert into accounts.mailed as there (athlete, purpose, secret, email, expires_at)
             select athlete, $2, $3, email, $4 from accounts.accounts where email = $1
             on conflict (athlete, purpose) do update
             set secret = excluded.secret, email = excluded.email, expires_at = excluded.expires_at
             where there.expires_at < $5",
            email,
            purpose.word(),
            &digest(&secret)[..],
            expires_at,
            expires_at - BETWEEN,
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if sent.rows_affected() == 1 {
            self.mail.put(&email, purpose, &URL_SAFE_NO_PAD.encode(secret));
        }
        Ok(())
    }

    /// Takes in what a mail proved: that its address is that of the athlete, who has signed in. A mail
    /// that nobody asked for, opened by whose address it is, proves nothing to who has the account.
    pub(crate) async fn verify_email(
        &self,
        athlete: AthleteId,
        token: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        let verified = sqlx::query!(
            "with spent as (
                 delete from accounts.mailed
                 where secret = $1 and purpose = $2 and athlete = $3 and expires_at > $4
                 returning email
             )
             update accounts.accounts a
             set email_verified_at = coalesce(email_verified_at, $4)
             from spent where a.athlete = $3 and a.email = spent.email",
            &secret_of(token)?[..],
            Purpose::Verify.word(),
            athlete.uuid(),
            self.commands.clock.now().utc(),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if verified.rows_affected() == 0 {
            return Err(invalid());
        }
        self.access_log.note(arrival.by(athlete, What::EmailVerified));
        Ok(())
    }

    /// Sets the password of who has the mail; all sessions are over. Where nobody had proved the address
    /// before, whatever else would open the account is somebody else's, and goes.
    pub(crate) async fn reset_password(
        &self,
        token: &str,
        password: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        let secret = secret_of(token)?;
        let now = self.commands.clock.now().utc();
        let subjects = [address_subject(arrival)];
        self.may_guess(None, &subjects, arrival).await?;
        // Before the password is hashed, which costs more.
        let is_good = sqlx::query_scalar!(
            r#"select exists (
                   select from accounts.mailed
                   where secret = $1 and purpose = $2 and expires_at > $3
               ) as "is_good!""#,
            &secret[..],
            Purpose::Reset.word(),
            now,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(commands::database)?;
        if !is_good {
            self.access_log.note(arrival.seen(What::SignInFailed, None, Some(400)));
            self.count_failure(&subjects, arrival).await;
            return Err(invalid());
        }
        let hash = self.hasher.turn().await?.hash(password).await?;
        let mut transaction = self.pool.begin().await.map_err(commands::database)?;
        // The account before its sessions: who signs in by the old password waits for it, or is seen.
        let reset = sqlx::query!(
            r#"with spent as (
                   delete from accounts.mailed
                   where secret = $1 and purpose = $2 and expires_at > $3
                   returning athlete
               ),
               before as (
                   select a.athlete, a.email_verified_at is not null as was_verified
                   from accounts.accounts a join spent on spent.athlete = a.athlete
                   for update of a
               )
               update accounts.accounts a
               set password_hash = $4, email_verified_at = coalesce(a.email_verified_at, $3)
               from before where a.athlete = before.athlete
               returning a.athlete, before.was_verified as "was_verified!""#,
            &secret[..],
            Purpose::Reset.word(),
            now,
            hash,
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(commands::database)?
        .ok_or_else(invalid)?;
        let athlete = AthleteId::new(reset.athlete).map_err(Error::internal)?;
        let mut ended = end(&mut transaction, athlete, SessionEnd::All).await?;
        if !reset.was_verified {
            sqlx::query!("delete from accounts.identities where athlete = $1", athlete.uuid())
                .execute(&mut *transaction)
                .await
                .map_err(commands::database)?;
            let keys = sqlx::query_scalar!(
                "with deleted as (delete from accounts.keys where athlete = $1 returning id)
                 insert into accounts.revocations (subject) select id from deleted
                 returning subject",
                athlete.uuid(),
            )
            .fetch_all(&mut *transaction)
            .await
            .map_err(commands::database)?;
            ended.extend(keys);
        }
        transaction.commit().await.map_err(commands::database)?;
        self.revoking.tell(ended.into_iter().map(Revocation::Over));
        // Who reads the mail, whoever that is.
        self.access_log.note(arrival.seen(What::PasswordChanged, Some(athlete.uuid()), None));
        Ok(())
    }
}

/// What is kept of the token of a mail.
fn secret_of(token: &str) -> Result<[u8; 32], Error> {
    let secret = URL_SAFE_NO_PAD.decode(token.trim()).map_err(|_| invalid())?;
    Ok(digest(&secret))
}

fn invalid() -> Error {
    let message = "the token is not valid, was used, or is too old: ask for a new one";
    Error::new(StatusCode::BAD_REQUEST, "MAIL_TOKEN_INVALID", message)
}

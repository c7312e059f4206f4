//! Mail: proving an address, and setting a forgotten password anew.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use events::AthleteId;
use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use web::{Error, access::What};

use super::{Accounts, Arrival, SessionEnd, digest, fold_email};
use crate::commands;

/// Mails that wait to be sent.
const WAITING: usize = 1000;

/// How often a mail is tried, first after one second and then after twice as long each time.
const TRIES: u32 = 6;

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
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self::Folder(folder))
    }

    async fn send(&self, message: Message) -> anyhow::Result<()> {
        match self {
            Self::Smtp(transport) => {
                transport.send(message).await?;
            }
            Self::Folder(folder) => {
                AsyncFileTransport::<Tokio1Executor>::new(folder).send(message).await?;
            }
        }
        Ok(())
    }
}

/// Sends mail, if there is a way to.
#[derive(Clone)]
pub(crate) struct Mail(Option<Arc<Sending>>);

struct Sending {
    from: Mailbox,
    /// Where the app takes what mails bring; without it mails have the bare token.
    app_url: Option<String>,
    queue: mpsc::Sender<Message>,
    _sender: AbortOnDropHandle<()>,
}

impl Mail {
    /// No mail.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Mail from an address, with links into an app.
    pub(crate) fn new(mailer: Mailer, from: &str, app_url: Option<String>) -> anyhow::Result<Self> {
        let from = from.parse().context("the sender of mails must be an e-mail address")?;
        let (queue, mut waiting) = mpsc::channel::<Message>(WAITING);
        let sender = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                let mut wait = Duration::from_secs(1);
                for attempt in 1..=TRIES {
                    let Err(error) = mailer.send(message.clone()).await else { break };
                    // The address is personal, and what servers say may hold it.
                    if attempt == TRIES {
                        tracing::error!("a mail is given up");
                    } else {
                        tracing::warn!(attempt, "a mail could not be sent");
                    }
                    tracing::trace!(error = format!("{error:#}"));
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
            }
        }));
        Ok(Self(Some(Arc::new(Sending { from, app_url, queue, _sender: sender }))))
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
            None => token.to_owned(),
        };
        let text = format!("{why}:\n\n{way}\n\nIf it was not you, there is nothing to do.\n");
        let message = to.parse().map_err(anyhow::Error::from).and_then(|to| {
            let builder = Message::builder().from(sending.from.clone()).to(to).subject(subject);
            Ok(builder.header(ContentType::TEXT_PLAIN).body(text)?)
        });
        let put = message.is_ok_and(|message| sending.queue.try_send(message).is_ok());
        if !put {
            tracing::error!("a mail is not sent: too many wait, or its address is none");
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

    /// Sends to an address what sets a new password; whether there is such an account, neither the answer
    /// nor its time tells.
    pub(crate) async fn forgot_password(&self, email: &str) -> Result<(), Error> {
        self.mail.is_there()?;
        self.send_token(email, Purpose::Reset).await
    }

    async fn send_token(&self, email: &str, purpose: Purpose) -> Result<(), Error> {
        let secret: [u8; 32] = self.commands.random.bytes();
        let email = fold_email(email);
        let sent = sqlx::query!(
            "insert into accounts.mailed (athlete, purpose, secret, email, expires_at)
             select athlete, $2, $3, email, $4 from accounts.accounts where email = $1
             on conflict (athlete, purpose) do update
             set secret = excluded.secret, email = excluded.email, expires_at = excluded.expires_at",
            email,
            purpose.word(),
            &digest(&secret)[..],
            self.commands.clock.now().utc() + purpose.lifetime(),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        if sent.rows_affected() == 1 {
            self.mail.put(&email, purpose, &URL_SAFE_NO_PAD.encode(secret));
        }
        Ok(())
    }

    /// Takes in what a mail proved: that its address is the athlete's.
    pub(crate) async fn verify_email(&self, token: &str) -> Result<(), Error> {
        let (athlete, email) = self.spend(token, Purpose::Verify).await?;
        sqlx::query!(
            "update accounts.accounts set email_verified_at = coalesce(email_verified_at, $3)
             where athlete = $1 and email = $2",
            athlete.uuid(),
            email,
            self.commands.clock.now().utc(),
        )
        .execute(&self.pool)
        .await
        .map_err(commands::database)?;
        Ok(())
    }

    /// Sets the password of who has the mail; all sessions are over.
    pub(crate) async fn reset_password(
        &self,
        token: &str,
        password: &str,
        arrival: &Arrival,
    ) -> Result<(), Error> {
        let hash = self.hasher.turn().await?.hash(password).await?;
        let spent = self.spend(token, Purpose::Reset).await;
        let (athlete, _) = spent.inspect_err(|error| {
            self.access_log.note(arrival.seen(What::SignInFailed, None, Some(error.status())));
        })?;
        self.set_password(athlete, &hash, true).await?;
        self.end_sessions(athlete, SessionEnd::All).await?;
        Ok(())
    }

    /// Whom a token was sent to, once.
    async fn spend(&self, token: &str, purpose: Purpose) -> Result<(AthleteId, String), Error> {
        let invalid = || {
            let message = "the token is not valid, was used, or is too old: ask for a new one";
            Error::new(axum::http::StatusCode::BAD_REQUEST, "MAIL_TOKEN_INVALID", message)
        };
        let secret = URL_SAFE_NO_PAD.decode(token.trim()).map_err(|_| invalid())?;
        let spent = sqlx::query!(
            "delete from accounts.mailed
             where secret = $1 and purpose = $2 and expires_at > $3
             returning athlete, email",
            &digest(&secret)[..],
            purpose.word(),
            self.commands.clock.now().utc(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(commands::database)?;
        let spent = spent.ok_or_else(invalid)?;
        Ok((AthleteId::new(spent.athlete).map_err(Error::internal)?, spent.email))
    }
}

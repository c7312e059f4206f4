//! A mail server that keeps what it is given: the mails that the product sends, as a reader has them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use crate::eventually;

/// A mail server on loopback, which goes with this value. Whose address begins with `refused` there is no
/// such person, and with `later` there is never room.
pub struct MailServer {
    url: String,
    mails: Arc<Mutex<Vec<Mail>>>,
    _serving: AbortOnDropHandle<()>,
}

/// A mail as it came in.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The address that it was for.
    pub to: String,
    /// Head and body.
    pub text: String,
}

impl Mail {
    /// What follows the last `#` of a line: the token of a link.
    pub fn token(&self) -> String {
        let link = self.text.lines().rfind(|line| line.contains("://") && line.contains('#'));
        let token = link.and_then(|link| link.rsplit('#').next()).expect("a link with a token");
        token.trim().to_owned()
    }
}

impl MailServer {
    /// Listens on a port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let kept = mails.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, kept.clone()));
            }
        });
        Self { url, mails, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Its address, as the product is told.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The mails to an address up to now.
    pub fn to(&self, address: &str) -> Vec<Mail> {
        let mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.iter().filter(|mail| mail.to == address).cloned().collect()
    }

    /// The newest mail to an address, once there are so many.
    pub async fn nth_to(&self, address: &str, count: usize) -> Mail {
        eventually("a mail", async || {
            let mails = self.to(address);
            mails.get(count - 1).cloned()
        })
        .await
    }
}

/// SMTP (RFC 5321), as much of it as takes a mail in.
async fn converse(stream: TcpStream, mails: Arc<Mutex<Vec<Mail>>>) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 test\r\n").await?;
    let mut to = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let upper = line.to_ascii_uppercase();
        let answer = match upper.split([' ', ':']).next().unwrap_or_default() {
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                if address.starts_with("refused") {
                    "550 nobody of that name"
                } else if address.starts_with("later") {
                    "450 not now"
                } else {
                    to.push(address.to_owned());
                    "250 ok"
                }
            }
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    text += line.strip_prefix('.').unwrap_or(&line);
                    text.push('\n');
                }
                // Long lines are broken by the sender (RFC 2045, quoted-printable).
                let text = text.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
                let mut mails = mails.lock().unwrap_or_else(PoisonError::into_inner);
                mails.extend(to.drain(..).map(|to| Mail { to, text: text.clone() }));
                "250 taken"
            }
            "QUIT" => {
                writing.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 ok",
        };
        writing.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

//! Several processes that append to one log: each writes the tables of which it has the lease, and
//! sends there what is for another's.
//!
//! Nothing rests on the leases: the primary key of the log decides, whoever writes. A peer that does
//! not answer is passed by, and what it was sent is settled by reading the log.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    AppendError, Appended, Log, Random, Shares, append,
    keys::PeerSecret,
    lane::{Reply, Request},
};

/// How often leases are renewed and looked at.
const RENEW: Duration = Duration::from_secs(1);

/// A peer that has not answered for so long is passed by.
const PATIENCE: Duration = Duration::from_secs(2);

/// Appends that may wait for the answer of one peer.
const ON_THEIR_WAY: usize = 4096;

/// Appends that are sent together.
const TOGETHER: usize = 256;

/// Texts of the appends of one frame, in kilobytes.
const FRAME_KILOBYTES: usize = 16 * 1024;

/// Longest frame: texts, and less again for what stands around them.
const LONGEST_FRAME: usize = 64 * 1024 * 1024;

type Outcome = Result<Appended, AppendError>;

/// Where appends go whose table another process writes, by table.
#[derive(Default)]
pub(crate) struct Routes(RwLock<HashMap<usize, mpsc::Sender<Request>>>);

impl Routes {
    /// Sends an append to whoever writes its table; gives it back when that is us, or nobody who
    /// can be reached.
    pub(crate) fn forward(&self, request: Request) -> Option<Request> {
        let table = append::table_of(request.partition);
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(peer) = routes.get(&table) else { return Some(request) };
        match peer.try_send(request) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(request)) => {
                request.answer(Err(AppendError::Busy));
                None
            }
            Err(mpsc::error::TrySendError::Closed(request)) => Some(request),
        }
    }

    fn set(&self, routes: HashMap<usize, mpsc::Sender<Request>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }
}

impl Log {
    /// Shares the log with other processes until told to stop: writes some of its tables, takes on
    /// `listener` what others send for those, and sends them what is for theirs. `address` is where
    /// the others find the listener.
    pub async fn share(
        &self,
        listener: TcpListener,
        address: String,
        random: &Random,
        stop: CancellationToken,
    ) {
        let member = random.uuid(self.clock().now());
        let shares = Shares::new(self.reader().pool.clone(), "append", member).reached_at(address);
        tokio::select! {
            () = self.agree(&shares, random) => {}
            () = self.listen(listener, random) => {}
            () = stop.cancelled() => {}
        }
        self.routes().set(HashMap::new());
        if let Err(error) = shares.leave().await {
            tracing::debug!(%error, "the leases run out by themselves");
        }
    }

    /// Keeps our leases, and the routes to those of others.
    async fn agree(&self, shares: &Shares, random: &Random) {
        let mut links: HashMap<String, mpsc::Sender<Request>> = HashMap::new();
        let mut known = None;
        loop {
            let agreed = async {
                let tables = self.tables().await?;
                Ok::<_, sqlx::Error>((shares.renew(&tables).await?, shares.others().await?))
            };
            match agreed.await {
                Ok((ours, others)) => {
                    links.retain(|address, link| {
                        !link.is_closed() && others.values().any(|other| other == address)
                    });
                    let routes = others.iter().map(|(table, address)| {
                        let link = links
                            .entry(address.clone())
                            .or_insert_with(|| self.link(address.clone(), random));
                        (usize::from(table.unsigned_abs()), link.clone())
                    });
                    self.routes().set(routes.collect());
                    if known.as_ref() != Some(&(ours.clone(), others.clone())) {
                        tracing::info!(?ours, ?others, "tables of the log are shared");
                        known = Some((ours, others));
                    }
                }
                // The routes stay: a peer that is gone is noticed by its connection.
                Err(error) => tracing::warn!(%error, "the leases cannot be renewed"),
            }
            sleep(RENEW).await;
        }
    }

    async fn tables(&self) -> Result<Vec<i16>, sqlx::Error> {
        sqlx::query_scalar!(
            r#"select distinct number / $1 as "table!" from log.partitions order by 1"#,
            append::PARTITIONS_OF_A_TABLE,
        )
        .fetch_all(&self.reader().pool)
        .await
    }

    /// A way to the peer at an address; it closes when the peer fails.
    fn link(&self, address: String, random: &Random) -> mpsc::Sender<Request> {
        let (sender, requests) = mpsc::channel(ON_THEIR_WAY);
        let (log, nonce) = (self.clone(), random.bytes());
        tokio::spawn(async move {
            let mut link = Link { requests, unsent: Vec::new(), waiting: VecDeque::new() };
            if let Err(error) = link.carry(&log, &address, nonce).await {
                tracing::warn!(address, %error, "an API process cannot be reached; appending here");
            }
            link.requests.close();
            // Whether the peer appended what it had is for the log to say.
            for (_, _, request) in link.waiting {
                log.append_here(Request { in_doubt: true, ..request });
            }
            for request in link.unsent {
                log.append_here(request);
            }
            while let Some(request) = link.requests.recv().await {
                log.append_here(request);
            }
        });
        sender
    }

    /// Appends what peers send.
    async fn listen(&self, listener: TcpListener, random: &Random) {
        loop {
            match listener.accept().await {
                Ok((connection, from)) => {
                    let (log, nonce) = (self.clone(), random.bytes());
                    tokio::spawn(async move {
                        if let Err(error) = log.serve(connection, nonce).await {
                            tracing::debug!(%from, %error, "a peer has gone");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no peer can be let in for the moment");
                    sleep(RENEW).await;
                }
            }
        }
    }

    async fn serve(&self, mut connection: TcpStream, nonce: Nonce) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let secret = self.keys().peer_secret();
        timeout(PATIENCE, admit(&mut connection, &secret, nonce)).await??;
        let (mut reader, writer) = connection.into_split();
        let (answers, answered) = mpsc::unbounded_channel();
        let writing = tokio::spawn(write_answers(writer, answered));
        let taken = async {
            loop {
                let sent: Vec<(u64, Carried)> = read_frame(&mut reader).await?;
                for (number, carried) in sent {
                    let reply = Reply::Peer { number, answers: answers.clone() };
                    match self.take_room(&carried.writes, carried.keep.as_ref()) {
                        Ok(room) => self.append_here(carried.into_request(reply, room)),
                        Err(error) => reply.send(Err(error)),
                    }
                }
            }
        };
        let ended: io::Result<()> = taken.await;
        writing.abort();
        ended
    }
}

/// Appends on their way to a peer.
struct Link {
    requests: mpsc::Receiver<Request>,
    unsent: Vec<Request>,
    /// Sent, and not answered yet: oldest first.
    waiting: VecDeque<(u64, Instant, Request)>,
}

impl Link {
    /// The next frame of what is to be sent, which waits for its answers from now on.
    fn next_frame(&mut self, log: &Log, number: &mut u64) -> io::Result<Option<Vec<u8>>> {
        // What no frame has room for is appended here.
        let fits = |request: &Request| request.room.num_permits() <= FRAME_KILOBYTES;
        while self.unsent.first().is_some_and(|first| !fits(first)) {
            log.append_here(self.unsent.remove(0));
        }
        let (mut kilobytes, mut count) = (0, 0);
        for request in &self.unsent {
            kilobytes += request.room.num_permits();
            if kilobytes > FRAME_KILOBYTES {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let carried: Vec<(u64, Carried)> =
            (*number..).zip(self.unsent[..count].iter().map(Carried::of)).collect();
        let frame = encode(&carried)?;
        let now = Instant::now();
        for request in self.unsent.drain(..count) {
            self.waiting.push_back((*number, now, request));
            *number += 1;
        }
        Ok(Some(frame))
    }

    /// Carries appends there and answers back, until the peer fails or nobody sends any more.
    async fn carry(&mut self, log: &Log, address: &str, nonce: Nonce) -> io::Result<()> {
        let address: SocketAddr =
            tokio::net::lookup_host(address).await?.next().ok_or(io::ErrorKind::NotFound)?;
        let mut connection = timeout(PATIENCE, TcpStream::connect(address)).await??;
        connection.set_nodelay(true)?;
        let secret = log.keys().peer_secret();
        timeout(PATIENCE, introduce(&mut connection, &secret, nonce)).await??;
        let (reader, mut writer) = connection.into_split();
        let (arrived, mut answers) = mpsc::unbounded_channel();
        // A task of its own: half a frame must not be lost when something else comes first.
        let reading = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            read_answers(reader, arrived).await
        }));
        let mut number = 0;
        loop {
            // Without anybody who waits there is nobody who waits too long.
            let oldest = self.waiting.front().map(|(_, since, _)| *since + PATIENCE);
            let deadline = oldest.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let room = ON_THEIR_WAY.saturating_sub(self.waiting.len()).min(TOGETHER);
            tokio::select! {
                outcomes = timeout_at(deadline, answers.recv()) => match outcomes {
                    Ok(Some(outcomes)) => self.answer(outcomes),
                    Ok(None) => break,
                    Err(_) if oldest.is_some() => return Err(io::ErrorKind::TimedOut.into()),
                    Err(_) => {}
                },
                received = self.requests.recv_many(&mut self.unsent, room), if room > 0 => {
                    if received == 0 {
                        return Ok(());
                    }
                    while let Some(frame) = self.next_frame(log, &mut number)? {
                        timeout(PATIENCE, writer.write_all(&frame)).await??;
                    }
                }
            }
        }
        reading.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn answer(&mut self, outcomes: Vec<(u64, Outcome)>) {
        for (number, outcome) in outcomes {
            // Peers answer nearly in order.
            let place = self.waiting.iter().position(|(waiting, ..)| *waiting == number);
            if let Some((_, _, request)) = place.and_then(|place| self.waiting.remove(place)) {
                request.answer(outcome);
            }
        }
    }
}

async fn read_answers(
    mut reader: OwnedReadHalf,
    arrived: mpsc::UnboundedSender<Vec<(u64, Outcome)>>,
) -> io::Result<()> {
    while arrived.send(read_frame(&mut reader).await?).is_ok() {}
    Ok(())
}

async fn write_answers(
    mut writer: OwnedWriteHalf,
    mut answered: mpsc::UnboundedReceiver<(u64, Outcome)>,
) {
    let mut batch = Vec::new();
    while answered.recv_many(&mut batch, TOGETHER).await > 0 {
        let Ok(frame) = encode(&batch) else { return };
        batch.clear();
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// A frame: its length in four bytes, big-endian, and what it says.
fn encode(said: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(said, vec![0; 4]).map_err(io::Error::other)?;
    let length = frame.len() - 4;
    let length = u32::try_from(length).ok().filter(|_| length <= LONGEST_FRAME);
    frame[..4].copy_from_slice(&length.ok_or(io::ErrorKind::InvalidInput)?.to_be_bytes());
    Ok(frame)
}

async fn read_frame<T: for<'a> Deserialize<'a>>(reader: &mut OwnedReadHalf) -> io::Result<T> {
    let length = reader.read_u32().await? as usize;
    if length > LONGEST_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame).await?;
    postcard::from_bytes(&frame).map_err(io::Error::other)
}

/// An append as it travels.
#[derive(Serialize, Deserialize)]
struct Carried {
    owner: events::AthleteId,
    partition: events::Partition,
    writes: Vec<crate::lane::Write>,
    keep: Option<crate::Keep>,
}

impl Carried {
    fn of(request: &Request) -> Self {
        let (owner, partition) = (request.owner, request.partition);
        Self { owner, partition, writes: request.writes.clone(), keep: request.keep.clone() }
    }

    fn into_request(self, reply: Reply, room: OwnedSemaphorePermit) -> Request {
        let Self { owner, partition, writes, keep } = self;
        Request { owner, partition, writes, keep, in_doubt: false, reply, room }
    }
}

type Nonce = [u8; 16];

/// Both prove that they have the master key; what follows is neither sealed nor signed, so that the
/// address belongs into a network of one's own, like that of the database.
async fn introduce(connection: &mut TcpStream, secret: &PeerSecret, ours: Nonce) -> io::Result<()> {
    connection.write_all(&ours).await?;
    let (mut theirs, mut proof) = ([0; 16], [0; 32]);
    connection.read_exact(&mut theirs).await?;
    connection.read_exact(&mut proof).await?;
    verify(secret, b"listens", ours, theirs, &proof)?;
    connection.write_all(&prove(secret, b"sends", ours, theirs)).await
}

async fn admit(connection: &mut TcpStream, secret: &PeerSecret, ours: Nonce) -> io::Result<()> {
    let (mut theirs, mut proof) = ([0; 16], [0; 32]);
    connection.read_exact(&mut theirs).await?;
    connection.write_all(&ours).await?;
    connection.write_all(&prove(secret, b"listens", theirs, ours)).await?;
    connection.read_exact(&mut proof).await?;
    verify(secret, b"sends", theirs, ours, &proof)
}

/// Programs that carry appends otherwise do not understand each other.
const PROTOCOL: &[u8] = b"1";

fn mac(secret: &PeerSecret, role: &[u8], sender: Nonce, listener: Nonce) -> PeerSecret {
    let mac = secret.clone().chain_update(PROTOCOL).chain_update(role);
    mac.chain_update(sender).chain_update(listener)
}

fn prove(secret: &PeerSecret, role: &[u8], sender: Nonce, listener: Nonce) -> [u8; 32] {
    mac(secret, role, sender, listener).finalize().into_bytes().into()
}

/// In constant time.
fn verify(
    secret: &PeerSecret,
    role: &[u8],
    sender: Nonce,
    listener: Nonce,
    proof: &[u8],
) -> io::Result<()> {
    let right = mac(secret, role, sender, listener).verify_slice(proof);
    right.map_err(|_| io::ErrorKind::PermissionDenied.into())
}

#[cfg(test)]
mod tests {
    use events::{AthleteId, Partition, Position, Stream, Version, WorkoutId};
    use uuid::Uuid;

    use super::{AppendError, Appended, Carried, Outcome, encode, read_frame};
    use crate::{
        ClientId, IdempotencyKey, Keep,
        lane::{Row, Write},
    };

    async fn carry<T: serde::Serialize + for<'a> serde::Deserialize<'a>>(said: &T) -> T {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut sender = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut reader, _writer) = listener.accept().await.unwrap().0.into_split();
        tokio::io::AsyncWriteExt::write_all(&mut sender, &encode(said).unwrap()).await.unwrap();
        read_frame(&mut reader).await.unwrap()
    }

    #[tokio::test]
    async fn appends_and_their_outcomes_arrive_as_they_were_sent() {
        let id: Uuid = "0193f0a0-0000-7000-8000-0000000000a1".parse().unwrap();
        let stream = Stream::workout(WorkoutId::new(id).unwrap());
        let row = Row {
            name: "SetLogged".into(),
            type_version: 2,
            client: Some(ClientId { id: Some(id), fingerprint: [7; 16] }),
            metadata: "{}".to_owned(),
            payload: r#"{"reps":5}"#.to_owned(),
        };
        let key = IdempotencyKey { actor: id, key: [1; 16], said: [2; 16] };
        let carried = Carried {
            owner: AthleteId::new(id).unwrap(),
            partition: Partition(3),
            writes: vec![Write { stream, expected: Version(4), rows: vec![row] }],
            keep: Some(Keep { key, answer: b"sealed".to_vec() }),
        };
        let sent = vec![(9_u64, carried)];
        let arrived: Vec<(u64, Carried)> = carry(&sent).await;
        assert_eq!(encode(&arrived).unwrap(), encode(&sent).unwrap());
        let ((number, carried), write) = (&arrived[0], &arrived[0].1.writes[0]);
        assert_eq!((*number, carried.owner.uuid(), carried.partition), (9, id, Partition(3)));
        assert_eq!(
            (write.stream, write.expected, &*write.rows[0].name),
            (stream, Version(4), "SetLogged")
        );

        let position = Position(12);
        let outcomes: Vec<(u64, Outcome)> = vec![
            (1, Ok(Appended { epoch: events::Epoch(5), partition: Partition(3), position })),
            (2, Err(AppendError::Conflict { stream, actual: Version(6) })),
            (3, Err(AppendError::Already { id, stream, version: Version(2), same: true })),
            (4, Err(AppendError::Refused("the log refused the event".into()))),
            (5, Err(AppendError::KeyUsed)),
        ];
        assert_eq!(carry(&outcomes).await, outcomes);
    }
}

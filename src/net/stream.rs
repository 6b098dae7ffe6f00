//! The life of one connection, whatever byte stream carries it: TCP here, TLS the day it comes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::NetEvent;
use super::handle::Shared;
use super::outbox::{NoRoom, Outbox};
use crate::limits::net::{LINGER_TIME, MESSAGE_TIME};
use crate::sip::flow::{Destination, Source};
use crate::sip::framing::{Frame, Framer};

/// Bytes read at once. A message is about 1 kB.
const READ_BYTES: usize = 16 * 1024;
/// The answer to a ping (RFC 5626 §4.4.1).
const PONG: &[u8] = b"\r\n";

/// Bytes before a message has begun: a ping but for its last.
const HALF_PING: usize = 3;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the far side closed it")]
    Closed,
    /// The answer, where there is one, is queued.
    #[error("it cannot be followed any further")]
    Broken,
    #[error("it said nothing for too long, or never finished a message")]
    Idle,
    #[error("the far side does not read")]
    Slow,
    /// Everything is written.
    #[error("we closed it")]
    Finished,
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// Carries one connection from `Opened` to `Closed`. Its place in the table is given back at the end, however that comes.
pub(super) async fn run(io: impl AsyncRead + AsyncWrite, source: Source, outbox: Arc<Outbox>, shared: Arc<Shared>) {
    let _open = Open::tell(source, Arc::clone(&shared));
    let (mut reader, mut writer) = tokio::io::split(io);
    let mut end = tokio::select! {
        end = read(&mut reader, source, &outbox, &shared) => end,
        end = write(&mut writer, &outbox) => end,
        () = outbox.overflow() => End::Slow,
    };
    outbox.finish();
    if matches!(end, End::Closed | End::Broken) {
        // Last words: to who only closed its half, and to who sent what cannot be followed.
        let last = timeout(LINGER_TIME, write(&mut writer, &outbox)).await;
        end = last.map_or(End::Slow, |written| if matches!(written, End::Finished) { end } else { written });
    }
    if matches!(end, End::Broken | End::Finished) {
        let _ = timeout(LINGER_TIME, linger(&mut reader, &mut writer)).await;
    }
    match end {
        End::Slow => shared.intake.counters.slow_readers.add(),
        End::Idle => shared.intake.counters.idle_closed.add(),
        _ => {}
    }
    tracing::debug!(flow = source.flow.0, peer = %source.remote, "connection closed: {end}");
}

/// Reads until the far side ends, breaks the framing, or is silent for too long.
async fn read(mut io: impl AsyncRead + Unpin, source: Source, outbox: &Outbox, shared: &Shared) -> End {
    let mut framer = Framer::within(shared.intake.message_bytes);
    let mut buffer = vec![0; READ_BYTES];
    // Time from the opening to the first message, then from one message to the next, and no longer within one.
    let mut deadline = Instant::now() + shared.times.message;
    let mut within = false;
    loop {
        let length = match timeout_at(deadline, io.read(&mut buffer)).await {
            Ok(Ok(0)) => return End::Closed,
            Ok(Ok(length)) => length,
            Ok(Err(error)) => return End::Failed(error),
            Err(_) => return End::Idle,
        };
        framer.feed(buffer.get(..length).unwrap_or_default());
        let mut heard = false;
        while let Some(frame) = framer.poll() {
            heard = true;
            let answer = match frame {
                Frame::Message(message) => shared.intake.take(source, message),
                Frame::Ping => {
                    shared.intake.counters.keep_alives.add();
                    Some(PONG.into())
                }
                Frame::Broken(message) => {
                    match message {
                        Some(message) => {
                            if let Some(answer) = shared.intake.take(source, message) {
                                let _ = outbox.push(answer);
                            }
                        }
                        None => shared.intake.take_unreadable(source),
                    }
                    return End::Broken;
                }
            };
            if answer.is_some_and(|answer| outbox.push(answer) == Err(NoRoom::Full)) {
                return End::Slow;
            }
        }
        let begun = framer.pending() > HALF_PING;
        match begun {
            true if heard || !within => deadline = Instant::now() + shared.times.message,
            false if heard => deadline = Instant::now() + shared.times.idle,
            _ => {}
        }
        within = begun;
    }
}

/// Writes what is queued until the queue is finished. One message that cannot be written in time means a peer that does not read.
async fn write(mut io: impl AsyncWrite + Unpin, outbox: &Outbox) -> End {
    while let Some(bytes) = outbox.next().await {
        match timeout(MESSAGE_TIME, io.write_all(&bytes)).await {
            Ok(Ok(())) => outbox.written(bytes.len()),
            Ok(Err(error)) => return End::Failed(error),
            Err(_) => return End::Slow,
        }
    }
    match io.flush().await {
        Ok(()) => End::Finished,
        Err(error) => End::Failed(error),
    }
}

/// Closes our half and reads on to the far side's end: closing with bytes unread would reset the connection,
/// and the peer would never see the answer we closed it with.
async fn linger(mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
    writer.shutdown().await?;
    let mut rest = [0; 1024];
    while reader.read(&mut rest).await? > 0 {}
    Ok(())
}

/// How long a connection may take, and be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// From its opening to its first message, and from a message's first byte to its last.
    pub message: Duration,
    pub idle: Duration,
    /// Being made, for one of ours.
    pub connect: Duration,
}

/// Stands for `Opened` told and `Closed` owed, also where the task is dropped with its runtime.
struct Open {
    source: Source,
    shared: Arc<Shared>,
}

impl Open {
    fn tell(source: Source, shared: Arc<Shared>) -> Self {
        shared.intake.counters.connections.add();
        shared.intake.counters.connections_opened.add();
        tracing::debug!(flow = source.flow.0, peer = %source.remote, "connection opened");
        shared.intake.tell(NetEvent::Opened(source));
        Self { source, shared }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.intake.counters.connections.remove();
        let connection = self.shared.flows().remove(self.source.flow);
        if connection.is_some_and(|connection| connection.addressed) {
            let Source { transport, remote, .. } = self.source;
            self.shared.intake.tell(NetEvent::Failed(Destination::Connect { transport, remote }));
        }
        self.shared.intake.tell(NetEvent::Closed(self.source.flow));
    }
}

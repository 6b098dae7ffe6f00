//! UDP: one reader a socket, parsing where it reads.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::sleep;

use super::flows::Alive;
use super::handle::Shared;
use super::tcp::PAUSE;
use crate::sip::flow::{Listener, Source};

/// Larger than any datagram: none is cut.
const DATAGRAM_BYTES: usize = 65_536;

/// Reads until told to stop.
pub(super) async fn read(
    socket: tokio::net::UdpSocket,
    listener: Listener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    _alive: Alive,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let received = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (length, remote) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "a datagram could not be received");
                sleep(PAUSE).await;
                continue;
            }
        };
        let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        let Listener { flow, transport, local, .. } = listener;
        if let Some(answer) = shared.intake.take_datagram(Source { flow, transport, local, remote }, bytes) {
            shared.send_datagram(flow, remote, &answer);
        }
    }
}

/// What became of a datagram.
#[derive(Debug)]
pub(super) enum Sent {
    Left,
    /// The kernel has no room now. Lost, as the network loses datagrams: transactions repeat them.
    Dropped,
    Failed(io::Error),
}

/// Sends one datagram, now or never.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], remote: SocketAddr) -> Sent {
    match socket.send_to(bytes, remote) {
        Ok(_) => Sent::Left,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Dropped,
        Err(error) => Sent::Failed(error),
    }
}

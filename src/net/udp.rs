//! UDP: one reader a socket, parsing where it reads.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::flows::Alive;
use super::handle::Shared;
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
        // An error tells of an earlier datagram of ours that was turned back; the socket lives on.
        let Ok((length, remote)) = received else { continue };
        let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        let Listener { flow, transport, local, .. } = listener;
        if let Some(answer) = shared.intake.take_datagram(Source { flow, transport, local, remote }, bytes) {
            // Stateless: lost like any datagram, the sender repeats itself.
            if socket.try_send_to(&answer, remote).is_err() {
                shared.intake.counters.datagrams_dropped.add();
            }
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
    loop {
        match socket.send_to(bytes, remote) {
            Ok(_) => return Sent::Left,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Dropped,
            // A port-unreachable that came back for an earlier datagram; this one was not tried.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Sent::Failed(error),
        }
    }
}

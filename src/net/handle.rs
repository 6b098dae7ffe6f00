//! Sending: what the switch's thread calls. It never waits.

use core::fmt;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::NetEvent;
use super::counters::NetCounts;
use super::flows::{Connection, Flows};
use super::intake::Intake;
use super::outbox::NoRoom;
use super::stream::Times;
use super::tcp;
use super::udp::{self, Sent};
use crate::sip::flow::{Destination, FlowId, Listener, Transmit, Transport, facing};

/// Sends from any thread. Clones share the sockets.
#[derive(Clone)]
pub struct NetHandle {
    shared: Arc<Shared>,
}

/// What all sockets share.
pub(super) struct Shared {
    pub intake: Intake,
    pub times: Times,
    /// Where new connections run.
    pub runtime: Handle,
    /// The UDP sockets to send by; none once shut down.
    pub datagrams: RwLock<BTreeMap<FlowId, UdpSocket>>,
    /// The listeners whose addresses connections of ours come from.
    pub ours: Vec<Listener>,
    pub flows: Mutex<Flows>,
}

impl Shared {
    pub fn flows(&self) -> MutexGuard<'_, Flows> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one datagram, now or never. Answers whether the socket is there and the address can be sent to.
    pub fn send_datagram(&self, flow: FlowId, remote: SocketAddr, bytes: &[u8]) -> bool {
        let sockets = self.datagrams.read().unwrap_or_else(PoisonError::into_inner);
        let Some(socket) = sockets.get(&flow) else { return false };
        match udp::send(socket, bytes, remote) {
            Sent::Left => true,
            Sent::Dropped => {
                self.intake.counters.datagrams_dropped.add();
                true
            }
            Sent::Failed(error) => {
                tracing::debug!(peer = %remote, %error, "a datagram could not be sent");
                false
            }
        }
    }
}

impl NetHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends one message, or tells [`NetEvent::Failed`] through the sink, now or later.
    ///
    /// Over UDP at once. Over a connection by its queue; where that is full the peer does not read, and the connection is
    /// closed. A [`Destination::Connect`] takes the connection that is open to that address, or a new one.
    pub fn send(&self, transmit: Transmit) {
        let Transmit { destination, bytes, session: _ } = transmit;
        self.shared.intake.sources.handle_sent(Instant::now(), destination.remote().ip(), &bytes);
        let sent = match destination {
            Destination::Flow { flow, transport: Transport::Udp, remote } => {
                self.shared.send_datagram(flow, remote, &bytes)
            }
            Destination::Flow { flow, .. } => {
                let outbox = self.shared.flows().get(flow).map(|connection| Arc::clone(&connection.outbox));
                // Full: `Closed` follows, and tells more.
                outbox.is_some_and(|outbox| outbox.push(bytes) != Err(NoRoom::Finished))
            }
            Destination::Connect { transport, remote } => self.send_to_address(transport, remote, bytes),
        };
        if !sent {
            self.shared.intake.counters.sends_failed.add();
            self.shared.intake.tell(NetEvent::Failed(destination));
        }
    }

    /// Closes a connection once its queue is written. Nothing happens where it is gone already, or is a UDP socket.
    pub fn close(&self, flow: FlowId) {
        if let Some(connection) = self.shared.flows().get(flow) {
            connection.outbox.finish();
        }
    }

    pub fn counts(&self) -> NetCounts {
        self.shared.intake.counters.read()
    }

    fn send_to_address(&self, transport: Transport, remote: SocketAddr, bytes: Bytes) -> bool {
        let mut flows = self.shared.flows();
        if let Some(Connection { outbox, addressed, .. }) = flows.at_address(transport, remote) {
            // One that is being closed is as good as none.
            if outbox.push(bytes.clone()) != Err(NoRoom::Finished) {
                *addressed = true;
                return true;
            }
        }
        if transport != Transport::Tcp {
            return false;
        }
        let Some(admitted) = flows.admit(transport, remote, true) else {
            self.shared.intake.counters.connections_refused.add();
            return false;
        };
        drop(flows);
        let queued = admitted.outbox.push(bytes);
        debug_assert_eq!(queued, Ok(()), "an empty queue takes one message");
        let local = facing(&self.shared.ours, remote.ip()).map(|listener| listener.local.ip());
        self.shared.runtime.spawn(tcp::connect(admitted, local, remote, Arc::clone(&self.shared)));
        true
    }
}

impl fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetHandle").field("counts", &self.counts()).finish()
    }
}

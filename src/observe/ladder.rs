//! Ladders: every SIP message of a call, masked and bounded, drawn as a telephone engineer reads them.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::ids::CallId;
use crate::time::Time;

/// Which way a message went, seen from the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Received,
    Sent,
}

/// One message of a call: what `Effect::Trace` says, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub call: CallId,
    pub at: Time,
    pub direction: Direction,
    /// The far end.
    pub peer: SocketAddr,
    /// The message; digest responses are masked already.
    pub bytes: Bytes,
}

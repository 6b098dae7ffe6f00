//! Everything the switch wants done. Effects are carried out in order; none of them answers back but by an input.

use bytes::Bytes;

use crate::command::{Done, Refusal};
use crate::event::Event;
use crate::ids::CallId;
use crate::media::MediaCommand;
use crate::sip::flow::Transmit;
use crate::time::Time;

use super::input::CommandId;
use super::ports::EngineId;
use super::request::{Query, RequestId};

/// One thing to do.
#[expect(clippy::large_enum_variant, reason = "effects are few at a time and moved once; a box costs each event more")]
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(Transmit),
    Media {
        engine: EngineId,
        command: MediaCommand,
    },
    /// Ask a shell; it answers with a `Reply`, or the deadline does.
    Request {
        id: RequestId,
        query: Query,
        deadline: Time,
    },
    /// Make it durable and tell everybody. Sessions hear it before anything that follows is sent.
    Emit(Event),
    Answer {
        id: CommandId,
        result: Result<Done, Refusal>,
    },
    /// One message of a call, for its ladder. Secrets in it are masked already.
    Trace {
        call: CallId,
        sent: bool,
        peer: std::net::SocketAddr,
        bytes: Bytes,
    },
    /// Draining is done: nothing runs any more.
    Drained,
}

//! Everything that enters the switch. What is not here cannot change a decision.

use std::sync::Arc;

use crate::command::Command;
use crate::event::Seq;
use crate::ids::AgentName;
use crate::media::MediaEvent;
use crate::sip;
use crate::sip::message::Message;

use super::edition::Edition;
use super::ports::EngineId;
use super::request::{Reply, RequestId};

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// One thing that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A SIP message, parsed.
    Sip {
        source: sip::flow::Source,
        message: Message,
    },
    /// A connection is there no more.
    FlowClosed(sip::flow::FlowId),
    /// What was to be sent could not be.
    SendFailed(sip::flow::Destination),
    Media {
        engine: EngineId,
        event: MediaEvent,
    },
    Command {
        id: CommandId,
        command: Command,
    },
    Reply {
        request: RequestId,
        reply: Reply,
    },
    /// Every event up to this one is on disk.
    Durable(Seq),
    Store(StoreHealth),
    /// An agent's desktop has (or no longer has) a live CTI socket.
    Link {
        agent: AgentName,
        up: bool,
    },
    /// New calls take this edition from here on.
    Replan(Arc<Edition>),
    /// The wall clock jumped by this much; `now` did not.
    ClockStepped {
        by_ms: i64,
    },
    /// No new calls; running ones finish. `deadline_passed` ends them at once.
    Drain {
        at_once: bool,
    },
    /// A deadline has come. Every input counts as one too.
    Timeout,
}

/// Whether what happens can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    Well,
    /// The disk has no room: new calls are refused.
    Full,
    /// The disk does not answer in time: new calls are refused.
    Stalled,
}

//! What the ACD says: outputs to drain after every input, and the refusals of what it was asked.

use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::agent::AgentState;
use super::explain::Explanation;
use super::figures::Figures;
use super::settings::Action;
use super::wait::WaitEstimate;
use crate::ids::{AgentName, CallId, QueueName};
use crate::limits;
use crate::time::Time;

/// One thing to carry out or to tell. Drain [`Acd::poll_output`](super::Acd::poll_output) after every input.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ring these agents for this call. Each answers by an outcome before `deadline`, or the offer is withdrawn.
    Offer(Offer),
    /// Stop ringing this agent for this call.
    OfferWithdrawn {
        call: CallId,
        agent: AgentName,
        why: Withdrawn,
    },
    /// The call has left its queue for this agent: connect them.
    Connected {
        call: CallId,
        queue: QueueName,
        agent: AgentName,
        waited: Duration,
    },
    AgentStateChanged {
        agent: AgentName,
        state: AgentState,
        since: Time,
    },
    /// A wrap-up was closed, by the agent or (`auto`) by the system.
    WrapUpEnded {
        agent: AgentName,
        call: CallId,
        queue: QueueName,
        code: Option<Arc<str>>,
        auto: bool,
        took: Duration,
    },
    /// Tell the caller. At least one of position and wait is there; `rise` says why a figure went up.
    Announce {
        call: CallId,
        queue: QueueName,
        position: Option<u32>,
        wait: Option<WaitEstimate>,
        rise: Option<Rise>,
    },
    /// The call may not wait (longer) in `queue`. [`Action::Queue`] is done already; anything else is the switch's,
    /// and the ACD has let the call go.
    Overflow {
        call: CallId,
        queue: QueueName,
        why: OverflowWhy,
        action: Action,
    },
    /// A supervisor or an overflow put the call into another queue.
    Moved {
        call: CallId,
        from: QueueName,
        to: QueueName,
    },
    /// The figures of a queue after this input.
    QueueFigures {
        queue: QueueName,
        figures: Figures,
    },
}

/// Why a caller hears a worse figure than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rise {
    /// Calls of higher priority came in ahead.
    CallsAhead,
    /// Fewer agents work for the call, or calls take longer.
    FewerAgents,
}

/// A reservation of one or several agents for one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub call: CallId,
    pub queue: QueueName,
    /// Who rings by this offer, best first. Where a call rings already (ring progressively), only who is added.
    pub agents: Vec<AgentName>,
    pub deadline: Time,
    pub explanation: Arc<Explanation>,
}

/// Why an agent's phone stops ringing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawn {
    /// The deadline passed: this agent did not answer.
    NoAnswer,
    /// Another agent answered first.
    AnsweredElsewhere,
    /// The caller hung up or the call went elsewhere.
    CallLeft,
    /// The agent became unable to answer: link or phone lost, taken off the roster, forced by a supervisor.
    AgentGone,
}

/// What became of one agent's ringing, as the switch saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Answered,
    NoAnswer,
    Declined,
    Busy,
    Unreachable,
}

/// Whether an outcome still meant something. Of several answers to one call exactly one is `Taken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// It counted. For an answer: this agent has the call.
    Taken,
    /// The offer was over before. For an answer: hang this leg up.
    TooLate,
}

/// Why a call left its queue without an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// The caller hung up.
    Abandoned,
    /// The dialplan took it elsewhere (a key pressed in the queue, voicemail, a menu).
    Moved,
    /// Something of ours or of the network's failed.
    Failed,
}

/// Which rule of overflow spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverflowWhy {
    Time,
    Length,
    NobodySignedIn,
    Closed,
    /// Sent on from queue to queue [`limits::ACD_HOPS`] times: the queues overflow in a circle.
    Circle,
}

/// What the ACD could not do. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("agent `{0}` is not on the roster")]
    UnknownAgent(AgentName),
    #[error("queue `{0}` does not exist")]
    UnknownQueue(QueueName),
    #[error("call {0} is not waiting in a queue")]
    UnknownCall(CallId),
    #[error("call {0} waits already")]
    DuplicateCall(CallId),
    #[error("queue `{0}` is full")]
    QueueFull(QueueName),
    #[error("queue `{0}` is closed")]
    QueueClosed(QueueName),
    #[error("{max} calls are waiting: no more can", max = limits::ACD_CALLS)]
    TooManyCalls,
    #[error("{max} agents are on the roster: no more can be", max = limits::ACD_AGENTS)]
    TooManyAgents,
    #[error("agent `{0}`: at most {max} skills, queues and attributes each", max = limits::ACD_AGENT_ITEMS)]
    TooManyItems(AgentName),
    #[error("agent `{0}`: levels and weight are 1 to 10")]
    LevelOutOfRange(AgentName),
    #[error("agent `{0}` is signed in already")]
    SignedIn(AgentName),
    #[error("agent `{0}` is not signed in")]
    SignedOut(AgentName),
    #[error("agent `{0}` cannot sign out now: only from Not Ready, with no call and no wrap-up")]
    NotFromHere(AgentName),
    #[error("the phone of agent `{0}` is not registered: register it, then turn ready")]
    PhoneUnregistered(AgentName),
    #[error("`{0}` is no not-ready reason of this house")]
    UnknownReason(Arc<str>),
    #[error("agent `{0}` has no wrap-up")]
    NoWrapUp(AgentName),
    #[error("agent `{0}`: this wrap-up cannot be finished without a code")]
    CodeRequired(AgentName),
    #[error("`{0}` is no wrap-up code of this queue")]
    UnknownCode(Arc<str>),
    #[error("agent `{0}`: this wrap-up cannot be extended any further")]
    NoMoreExtensions(AgentName),
}

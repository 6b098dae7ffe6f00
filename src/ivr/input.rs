//! What the switch tells the machine.

use crate::dialplan::facts::CustomerFacts;
use crate::time::Time;

use super::effect::{AskTicket, PlayTicket};

/// Something happened to the caller the machine walks for.
#[derive(Clone, Debug, PartialEq)]
pub enum IvrInput {
    /// The caller is connected: walk from the first state.
    Start,
    /// A key, `0`–`9`, `*`, `#`, `A`–`D`.
    Key(char),
    /// A play came to its end. A play that was stopped is not reported.
    PlayDone(PlayTicket),
    /// A question was answered, in whatever way.
    Answered(AskTicket, Answer),
    /// The call left the queue, or never got in.
    QueueLeft(QueueEnd),
    /// A dialled party is gone, or never came.
    DialDone(DialEnd),
    /// A voicemail message is kept.
    MessageKept { seconds: f64 },
    /// Nothing could be recorded.
    MessageFailed,
    /// The time of [`super::Machine::poll_timeout`] has come.
    Timeout { at: Time },
}

/// How a question was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The customer's record; `None` where the store has none.
    Customer(Option<CustomerFacts>),
    /// A response of a company system, whatever its status.
    Http { status: u16, body: serde_json::Value },
    /// What the store made of a credential.
    Compared(Compared),
    /// Nothing came within the deadline.
    TimedOut,
    /// The question could not be put: unreachable, refused, unreadable.
    Failed,
}

/// The store's verdict on a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    Verified,
    Wrong,
    /// Too many wrong answers for this customer, in this call or earlier ones.
    Locked,
}

/// How a stay in a queue ended for the dialplan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEnd {
    /// An agent answered. The dialplan is over; the conversation has the call.
    Answered,
    /// Refused: as many wait as may.
    Full,
    Closed,
    NoAgents,
    Failed,
}

/// How a dialled party ended for the dialplan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialEnd {
    /// There was a conversation and the far side ended it.
    Talked,
    Busy,
    NoAnswer,
    Failed,
}

//! What the machine wants done.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::dialplan::model::{Credential, LookupBy, Method};
use crate::event::IvrAnswer;
use crate::ids::{CustomerId, DialplanName, Language, PromptName, QueueName};
use crate::time::Time;

/// Names one play of the machine's, so that its end can be told from an earlier one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayTicket(pub u32);

/// Names one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskTicket(pub u32);

/// One wish of the machine's.
#[derive(Clone, Debug, PartialEq)]
pub enum IvrEffect {
    /// Play to the caller, one after the other. Never an empty list.
    Play { ticket: PlayTicket, parts: Vec<Spoken> },
    /// Stop it now; no `PlayDone` follows.
    StopPlay(PlayTicket),
    /// Ask a shell; the answer, its failure or its deadline comes back as `Answered`.
    Ask { ticket: AskTicket, question: Question, deadline: Time },
    /// Put the caller into a queue.
    Queue {
        queue: QueueName,
        /// Points beside the tier's and the queue's own.
        priority: i32,
        /// A skill expression wanted beside the queue's own.
        skills: Option<Arc<str>>,
        /// The agent the caller is for.
        prefer: Option<Arc<str>>,
        /// Label and value for the agent's screen.
        attach: Vec<(Arc<str>, String)>,
    },
    /// Take the caller out of the queue again: a key was pressed, or the wait was long enough.
    LeaveQueue,
    /// Ring a number or one of our phones, and connect. Where only an `account` will do, no number is dialled.
    Dial { to: Arc<str>, account: bool, caller_id: Option<Arc<str>>, ring: Duration },
    /// Record a message; ends by `#`, by silence, by `max`, or with the call.
    Message { mailbox: Arc<str>, beep: bool, max: Duration, silence: Duration },
    /// From here on (or no longer) the caller's keys and voice are secret: masked in recording, events, ladder, log.
    Secure(bool),
    /// Whether the call may be recorded.
    Consent(bool),
    /// The language the caller hears from here on, music and queue announcements included.
    Language(Language),
    /// An edge was taken, for `call.stepped`.
    Stepped { dialplan: DialplanName, state: Arc<str>, outcome: String },
    /// The caller told something that may be shown. Never a secret.
    Collected(IvrAnswer),
    /// The dialplan is over: end the call.
    HangUp,
}

/// One thing to be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    Prompt { language: Language, prompt: PromptName },
    Silence(Duration),
}

/// What the machine asks.
#[derive(Clone, PartialEq)]
pub enum Question {
    Customer {
        by: LookupBy,
        key: String,
    },
    Http(HttpCall),
    /// Compare what the caller keyed with what is on record. The digits are a secret.
    Credential {
        method: Credential,
        customer: Option<CustomerId>,
        caller: Arc<str>,
        keyed: String,
    },
}

/// Without what the caller keyed.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Customer { by, key } => f.debug_struct("Customer").field("by", by).field("key", key).finish(),
            Question::Http(call) => call.fmt(f),
            Question::Credential { method, customer, caller, .. } => f
                .debug_struct("Credential")
                .field("method", method)
                .field("customer", customer)
                .field("caller", caller)
                .finish_non_exhaustive(),
        }
    }
}

/// One HTTP exchange with a company system.
#[derive(Clone, PartialEq)]
pub struct HttpCall {
    pub method: Method,
    pub url: String,
    /// Name and value; a value given as an environment variable's name is resolved by the shell.
    pub headers: Vec<(Arc<str>, HeaderValue)>,
    /// A JSON object, where one is sent.
    pub body: Option<serde_json::Value>,
    /// Nothing of the exchange may be logged or kept.
    pub secure: bool,
    /// Further attempts within the deadline after a connection that failed or a 5xx.
    pub retries: u8,
}

/// Without the body of a secure exchange.
impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body.as_ref().filter(|_| !self.secure);
        f.debug_struct("HttpCall")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("body", &body)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

/// A header's value, or where the shell finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Environment(Arc<str>),
}

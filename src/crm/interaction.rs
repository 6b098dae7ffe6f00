//! One contact with a customer, as the customer remembers it, whatever the number of calls and legs it took.

use serde::{Deserialize, Serialize};

use crate::ids::{CallId, CustomerId, InteractionId, Language, QueueName, UserName};
use crate::time::Time;

/// One contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    pub id: InteractionId,
    /// Nobody where the caller stayed unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// When it began.
    pub at: Time,
    pub channel: Channel,
    pub direction: Direction,
    /// The far side's number in E.164, or what stood in its place (`anonymous`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub number: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// The agent who had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<UserName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What it was about, in the dialplan's or the agent's words: `flight`, `balance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The wrap-up code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
    /// The agent's note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    pub outcome: Outcome,
    /// The problem it brought is not solved yet.
    #[serde(default)]
    pub open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Voice,
    Voicemail,
    Chat,
    Email,
    Sms,
    InPerson,
    /// One that a later version knows.
    #[serde(other)]
    Other,
}

/// Who reached out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The customer came to us.
    In,
    /// We went to the customer.
    Out,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A person spoke with them.
    Answered,
    /// The dialplan served them and nobody was needed.
    SelfServed,
    /// They gave up waiting.
    Abandoned,
    /// Nobody spoke with them; their message lies in a box.
    LeftMessage,
    /// In: it was cut off by something that failed.
    Failed,
    /// Out: nobody answered, busy, refused.
    NotReached,
    /// One that a later version knows.
    #[serde(other)]
    Other,
}

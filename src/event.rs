//! Facts: the one vocabulary of what has happened, `noun.past`, from the ledger to the desktop.
//!
//! Only the switch emits events. Call records, metrics and the desktop's view are folds over them;
//! an observer never calls back, it sends a [`crate::command::Command`]. On disk and on the CTI socket an event
//! is one JSON object: `{"v":1,"seq":…,"at":…,"call":…,"t":"call.accepted",…}`. Fields are only ever added,
//! each with a default; a change of meaning raises `v` (`store/migrate`).

use core::fmt;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::ids::{
    AccountName, AgentName, CallId, CustomerId, DialplanName, Epoch, Language, LegId, QueueName, RecordingId,
    TrunkName, UserName, VoicemailId,
};
use crate::time::Time;

/// Position in the event stream, which is the position in the ledger: 1 for the first, rising, never reused. A hole
/// means that records were refused by a full disk and given up; it is never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Seq = Seq(0);
    pub const FIRST: Seq = Seq(1);

    pub const fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    pub const fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }

    pub const fn plus(self, events: u64) -> Seq {
        Seq(self.0.saturating_add(events))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One fact with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Version of the envelope and the facts.
    pub v: u8,
    pub seq: Seq,
    pub at: Time,
    /// The call it belongs to, where it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    #[serde(flatten)]
    pub fact: Fact,
}

/// The version this build writes.
pub const EVENT_VERSION: u8 = 1;

/// Where a call comes from, seen from the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a trunk to the centre.
    Inbound,
    /// From the centre to a trunk.
    Outbound,
    /// Between accounts of the centre, or from one to a number of ours.
    Internal,
}

/// What a leg is in its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The leg the call began with.
    Caller,
    /// A signed-in agent reached by the ACD.
    Agent,
    /// Whoever else was dialled: a colleague, an outside number.
    Callee,
}

/// Who is at the end of a leg, as far as signalling says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// E.164 (`+8613800138000`), a short number (`95539`), or an account (`1001`). Empty where withheld.
    pub number: String,
    /// Display name as received.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<TrunkName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
}

/// An agent's state; busy is never stored, it follows from live legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    SignedOut,
    NotReady,
    Ready,
    /// Reserved or ringing: an offer is out.
    Offered,
    Talking,
    WrapUp,
}

/// How an offer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferOutcome {
    Answered,
    NoAnswer,
    Declined,
    Busy,
    Unreachable,
    /// Somebody else answered, the caller left, or the call moved on.
    Withdrawn,
}

/// How a call left a queue: four exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueExit {
    Answered,
    Abandoned,
    /// The system moved it: overflow, voicemail, another queue.
    Moved,
    Failed,
}

/// What media statistics remain of a leg (RFC 3550 terms; MOS by the E-model of ITU-T G.107).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaStats {
    pub packets_received: u64,
    pub packets_sent: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Packets that never came, of those the far side sent.
    pub packets_lost: u64,
    /// Interarrival jitter at the end, milliseconds.
    pub jitter_ms: f32,
    /// Largest interarrival jitter seen, milliseconds.
    pub jitter_max_ms: f32,
    /// Loss the far side reported of what we sent, 0–1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_loss: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f32>,
    /// Listening quality 1–4.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mos: Option<f32>,
}

/// The caller's record as it travels with an offer: what an agent reads before answering.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomerCard {
    pub id: Option<CustomerId>,
    pub name: String,
    /// `platinum`, `gold`, `iron`, `lead`; empty where unknown.
    pub tier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// One line to greet by, in the agent's languages: `en`, `zh`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub greeting: BTreeMap<String, String>,
    #[serde(default)]
    pub numbers: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Latest contacts, newest first, at most [`crate::limits::event::CARD_HISTORY`].
    #[serde(default)]
    pub history: Vec<Contact>,
    /// Contacts this calendar month, this one included.
    #[serde(default)]
    pub contacts_this_month: u32,
}

/// One past contact, as a card shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    pub call: CallId,
    pub at: Time,
    pub queue: Option<QueueName>,
    pub agent: Option<AgentName>,
    #[serde(default)]
    pub disposition: String,
    #[serde(default)]
    pub notes: String,
}

/// One thing the caller told the IVR. A secret is never among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IvrAnswer {
    pub at: Time,
    /// The variable or the menu it came from.
    pub name: String,
    pub value: String,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum Fact {
    #[serde(rename = "system.started")]
    SystemStarted { epoch: Epoch, version: String, plan: String },
    #[serde(rename = "system.draining")]
    SystemDraining {},
    #[serde(rename = "system.stopped")]
    SystemStopped {},
    #[serde(rename = "system.clock_stepped")]
    ClockStepped { by_ms: i64 },
    #[serde(rename = "plan.applied")]
    PlanApplied { plan: String, changes: Vec<String> },

    /// A call exists and will have exactly one record. Durable before the caller's 200 OK.
    #[serde(rename = "call.accepted")]
    CallAccepted {
        leg: LegId,
        direction: Direction,
        from: Address,
        to: Address,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dialplan: Option<DialplanName>,
        /// The Call-ID header of the first leg, to find the ladder in foreign traces.
        sip_call_id: String,
    },
    #[serde(rename = "customer.matched")]
    CustomerMatched { card: CustomerCard },
    /// The IVR took an edge.
    #[serde(rename = "call.stepped")]
    CallStepped { dialplan: DialplanName, state: String, outcome: String },
    #[serde(rename = "call.collected")]
    CallCollected { answer: IvrAnswer },
    #[serde(rename = "call.leg_added")]
    LegAdded {
        leg: LegId,
        role: Role,
        to: Address,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<AgentName>,
    },
    #[serde(rename = "call.ringing")]
    LegRinging { leg: LegId, early_media: bool },
    #[serde(rename = "call.answered")]
    LegAnswered { leg: LegId, codec: String },
    #[serde(rename = "call.leg_ended")]
    LegEnded {
        leg: LegId,
        cause: Cause,
        /// `None` where the media engine did not report in time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stats: Option<MediaStats>,
    },
    /// Two legs hear each other.
    #[serde(rename = "call.connected")]
    LegsConnected { a: LegId, b: LegId },
    #[serde(rename = "call.held")]
    LegHeld { leg: LegId, by: LegId },
    #[serde(rename = "call.resumed")]
    LegResumed { leg: LegId, by: LegId },
    #[serde(rename = "call.transferred")]
    CallTransferred { by: LegId, to: String },
    /// A key in a conversation. Which one is not told: it may be a digit of a card.
    #[serde(rename = "call.dtmf")]
    LegDigit { leg: LegId },
    #[serde(rename = "call.ended")]
    CallEnded { cause: Cause },

    #[serde(rename = "queue.entered")]
    QueueEntered { queue: QueueName, priority: i32, tier: String, position: u32 },
    #[serde(rename = "queue.left")]
    QueueLeft { queue: QueueName, exit: QueueExit, waited_ms: u64 },
    #[serde(rename = "queue.announced")]
    QueueAnnounced { queue: QueueName, position: u32, wait_s: Option<(u32, u32)> },
    /// A supervisor gave the waiting call another priority of its own.
    #[serde(rename = "queue.reordered")]
    QueueReordered { priority: i32, by: UserName },
    #[serde(rename = "queue.overflowed")]
    QueueOverflowed { queue: QueueName, to: String, why: String },

    /// A routing decision with its explanation (`acd/explain` has the shape).
    #[serde(rename = "routing.decided")]
    RoutingDecided { queue: QueueName, agents: Vec<AgentName>, explanation: serde_json::Value },
    /// Written to the agent's socket before the INVITE leaves.
    #[serde(rename = "call.offered")]
    CallOffered {
        agent: AgentName,
        queue: QueueName,
        leg: LegId,
        deadline: Time,
        waited_ms: u64,
        card: CustomerCard,
        answers: Vec<IvrAnswer>,
    },
    #[serde(rename = "call.offer_ended")]
    OfferEnded { agent: AgentName, leg: LegId, outcome: OfferOutcome },

    #[serde(rename = "agent.signed_in")]
    AgentSignedIn { agent: AgentName, account: AccountName },
    #[serde(rename = "agent.state_changed")]
    AgentStateChanged {
        agent: AgentName,
        state: AgentState,
        /// The not-ready reason, or the wrap-up's queue.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// When the state ends by itself (wrap-up, offer).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    #[serde(rename = "agent.signed_out")]
    AgentSignedOut { agent: AgentName },
    /// Somebody else changed the agent's state, and says why.
    #[serde(rename = "agent.forced")]
    AgentForced { agent: AgentName, state: AgentState, reason: String, by: UserName },
    #[serde(rename = "agent.link_lost")]
    AgentLinkLost { agent: AgentName },
    #[serde(rename = "agent.link_restored")]
    AgentLinkRestored { agent: AgentName },
    #[serde(rename = "interaction.wrapped")]
    InteractionWrapped {
        agent: AgentName,
        code: String,
        notes: String,
        /// Wrap-up time ran out and the draft was kept.
        auto: bool,
    },

    #[serde(rename = "recording.started")]
    RecordingStarted { recording: RecordingId, file: String },
    #[serde(rename = "recording.masked")]
    RecordingMasked { recording: RecordingId, masked: bool, why: String },
    /// The recording reached its greatest length; the call goes on unrecorded.
    #[serde(rename = "recording.cut")]
    RecordingCut { recording: RecordingId, after_s: u32 },
    #[serde(rename = "recording.sealed")]
    RecordingSealed { recording: RecordingId, file: String, seconds: f64, bytes: u64 },
    #[serde(rename = "recording.failed")]
    RecordingFailed { recording: RecordingId, reason: String },
    /// A message is being recorded; `voicemail.left` or `voicemail.dropped` says what became of it.
    #[serde(rename = "voicemail.started")]
    VoicemailStarted { voicemail: VoicemailId, recording: RecordingId, r#box: String, file: String },
    /// Nothing was said: nothing is kept.
    #[serde(rename = "voicemail.dropped")]
    VoicemailDropped { voicemail: VoicemailId },
    #[serde(rename = "voicemail.left")]
    VoicemailLeft { voicemail: VoicemailId, r#box: String, from: Address, file: String, seconds: f64 },

    #[serde(rename = "phone.registered")]
    PhoneRegistered { account: AccountName, contact: String, expires: Time, binding: serde_json::Value },
    #[serde(rename = "phone.unregistered")]
    PhoneUnregistered { account: AccountName, contact: String, why: String },
    #[serde(rename = "trunk.state_changed")]
    TrunkStateChanged { trunk: TrunkName, up: bool, reason: String },

    /// A record people keep was saved or removed through the API: users, accounts, skills, customers.
    #[serde(rename = "record.saved")]
    RecordSaved { kind: RecordKind, key: String, by: UserName, record: serde_json::Value },
    #[serde(rename = "record.removed")]
    RecordRemoved { kind: RecordKind, key: String, by: UserName },
}

/// Kinds of records the store keeps for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    User,
    Account,
    Agent,
    Customer,
    Voicemail,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Party, What};

    #[test]
    fn an_event_is_one_flat_json_object_and_reads_back() {
        let event = Event {
            v: EVENT_VERSION,
            seq: Seq(7),
            at: Time::from_millis(1_000),
            call: Some(CallId::from_u128(5)),
            fact: Fact::CallEnded { cause: Cause::with_status(What::Busy, Party::Agent, 486) },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"seq":7,"at":1000000,"call":"00000000000000000000000005","t":"call.ended","cause":{"what":"busy","by":"agent","status":486}}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn a_field_from_a_later_build_is_ignored() {
        let text = r#"{"v":1,"seq":1,"at":5,"t":"system.draining","why":"upgrade"}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(event.fact, Fact::SystemDraining {});
    }
}

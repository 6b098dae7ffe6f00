//! What a desktop shows, as whole entities: an event carries the after-image of every entity it touched.
//!
//! `rev` is the number of the last event that touched the entity. A client keeps what is newer: applying images in any
//! order, and more than once, ends in the same picture. An image with `gone` is a tombstone.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::cause::Cause;
use crate::command::UserRole;
use crate::event::{AgentState, Direction, IvrAnswer, Role, Seq};
use crate::http::wire::{Moment, mask_number};
use crate::ids::{
    AccountName, AgentName, CallId, CustomerId, DialplanName, Language, LegId, QueueName, SkillName, TrunkName,
    UserName, VoicemailId,
};

/// Anything with an identity on a desktop. On the wire each has `kind`, `id` and `rev`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entity {
    Agent(Agent),
    Call(Box<Call>),
    Queue(Queue),
    Waiting(Waiting),
    Voicemail(Voicemail),
    Trunk(Trunk),
    Gone(Gone),
}

/// Which entity an image is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    pub of: EntityKind,
    pub id: String,
}

/// The kinds of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    Agent,
    Call,
    Queue,
    Waiting,
    Voicemail,
    Trunk,
}

/// The entity is no more, or no more to be seen by this client. Newer images of the same id may follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gone {
    /// The kind it was of.
    pub of: EntityKind,
    pub id: String,
    #[schema(value_type = u64)]
    pub rev: Seq,
}

/// A name in the languages of the desktop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Words {
    pub en: String,
    pub zh: String,
}

impl Words {
    /// The same in every language.
    pub fn plain(text: &str) -> Self {
        Self { en: text.to_owned(), zh: text.to_owned() }
    }
}

/// A code of the plan, with what people call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Code {
    pub code: String,
    pub words: Words,
}

/// Someone who takes calls.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Agent {
    #[schema(value_type = String)]
    pub id: AgentName,
    #[schema(value_type = u64)]
    pub rev: Seq,
    /// The name other people see.
    pub display: String,
    pub state: AgentState,
    /// The not-ready reason, or the wrap-up's queue.
    pub reason: String,
    /// Since when in this state.
    pub since: Moment,
    /// When the state ends by itself: wrap-up, offer.
    pub deadline: Option<Moment>,
    /// The account signed in at.
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountName>,
    /// Whether a phone is registered there.
    pub registered: bool,
    /// Whether the desktop's link is live, or was never there (an agent at a desk phone alone).
    pub linked: bool,
    /// The call offered, talked to or wrapped up.
    #[schema(value_type = Option<String>)]
    pub call: Option<CallId>,
    /// Levels 1 to 10 by skill.
    #[schema(value_type = BTreeMap<String, u8>)]
    pub skills: BTreeMap<SkillName, u8>,
    /// The queues served with these skills.
    #[schema(value_type = Vec<String>)]
    pub queues: Vec<QueueName>,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// With its dialplan.
    Ivr,
    /// In a queue, no phone rings for it.
    Waiting,
    /// Offered to an agent.
    Offered,
    /// A phone is rung outside of a queue.
    Ringing,
    Talking,
    /// A party is parked with music.
    Held,
    Ended,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Call {
    #[schema(value_type = String)]
    pub id: CallId,
    #[schema(value_type = u64)]
    pub rev: Seq,
    pub state: CallState,
    pub direction: Direction,
    pub from: Address,
    pub to: Address,
    pub since: Moment,
    pub answered: Option<Moment>,
    pub ended: Option<Moment>,
    pub cause: Option<Cause>,
    /// Who calls, as far as the store knows.
    pub customer: Option<Card>,
    /// What the caller told the IVR.
    pub answers: Vec<Answer>,
    /// Where in its dialplan the call is, or was when it left.
    pub ivr: Option<IvrPlace>,
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    pub queue_since: Option<Moment>,
    pub priority: i32,
    pub offers: Vec<Offer>,
    pub legs: Vec<Leg>,
    pub recording: Recording,
}

/// Whether a call is recorded right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    Off,
    On,
    /// Runs, with silence in place of what is secret.
    Masked,
    Failed,
}

/// A party of a call: a number and the name that came with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Address {
    /// E.164, a short number or an account; masked for roles that may not see numbers.
    pub number: String,
    pub name: String,
}

/// A state of a dialplan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IvrPlace {
    #[schema(value_type = String)]
    pub dialplan: DialplanName,
    pub state: String,
}

/// One thing the caller told the IVR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Answer {
    pub at: Moment,
    pub name: String,
    pub value: String,
}

impl From<&IvrAnswer> for Answer {
    fn from(answer: &IvrAnswer) -> Self {
        Self { at: Moment(answer.at), name: answer.name.clone(), value: answer.value.clone() }
    }
}

/// An offer that is out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Offer {
    #[schema(value_type = String)]
    pub agent: AgentName,
    #[schema(value_type = String)]
    pub leg: LegId,
    pub deadline: Moment,
}

/// One party's end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Leg {
    #[schema(value_type = String)]
    pub id: LegId,
    pub role: Role,
    pub number: String,
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountName>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentName>,
    pub state: LegState,
    pub since: Moment,
    pub held: bool,
}

/// Where a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LegState {
    Dialling,
    Ringing,
    Answered,
    Ended,
}

/// The caller's record as an agent reads it before answering.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Card {
    #[schema(value_type = Option<String>)]
    pub id: Option<CustomerId>,
    pub name: String,
    /// `platinum`, `gold`, `iron`, `lead`; empty where unknown.
    pub tier: String,
    #[schema(value_type = Option<String>)]
    pub language: Option<Language>,
    /// One line to greet by, in the agents' languages.
    pub greeting: BTreeMap<String, String>,
    pub numbers: Vec<String>,
    pub attributes: BTreeMap<String, String>,
    /// Newest first.
    pub history: Vec<Contact>,
    pub contacts_this_month: u32,
}

impl From<&crate::event::CustomerCard> for Card {
    fn from(card: &crate::event::CustomerCard) -> Self {
        Self {
            id: card.id,
            name: card.name.clone(),
            tier: card.tier.clone(),
            language: card.language.clone(),
            greeting: card.greeting.clone(),
            numbers: card.numbers.clone(),
            attributes: card.attributes.clone(),
            history: card.history.iter().map(Contact::from).collect(),
            contacts_this_month: card.contacts_this_month,
        }
    }
}

/// One past contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    #[schema(value_type = String)]
    pub call: CallId,
    pub at: Moment,
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentName>,
    pub disposition: String,
    pub notes: String,
}

impl From<&crate::event::Contact> for Contact {
    fn from(contact: &crate::event::Contact) -> Self {
        Self {
            call: contact.call,
            at: Moment(contact.at),
            queue: contact.queue.clone(),
            agent: contact.agent.clone(),
            disposition: contact.disposition.clone(),
            notes: contact.notes.clone(),
        }
    }
}

/// A queue with its figures since `since`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Queue {
    #[schema(value_type = String)]
    pub id: QueueName,
    #[schema(value_type = u64)]
    pub rev: Seq,
    pub label: Words,
    /// What a call is closed with; empty: any short text.
    pub codes: Vec<Code>,
    /// Wrap-up ends only with a code.
    pub code_required: bool,
    pub waiting: u32,
    /// Since when the call that waits longest has waited.
    pub longest_since: Option<Moment>,
    /// The process's start.
    pub since: Moment,
    pub entered: u64,
    pub answered: u64,
    pub abandoned: u64,
    /// By overflow, to voicemail, to another queue.
    pub moved: u64,
    pub failed: u64,
    /// Waits of the calls that were answered, together and the longest, milliseconds.
    pub answered_wait_ms: u64,
    pub longest_wait_ms: u64,
    /// The target: so many percent answered within so many seconds.
    pub target_percent: u32,
    pub target_s: u32,
    /// Of the answered: those within the target's time.
    pub answered_in_time: u64,
    /// Of the abandoned: those so soon that they count for nothing. The service level is
    /// `answered_in_time / (answered + abandoned - abandoned_short)`.
    pub abandoned_short: u64,
}

/// A call's stay in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Waiting {
    /// `queue/call`.
    pub id: String,
    #[schema(value_type = u64)]
    pub rev: Seq,
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub call: CallId,
    pub since: Moment,
    pub priority: i32,
    pub tier: String,
    pub from: Address,
    /// The name on the customer's card.
    pub name: String,
    /// Place and expected wait (from, to; seconds) as last announced to the caller.
    pub position: u32,
    pub wait_s: Option<(u32, u32)>,
    /// Who it is offered to.
    #[schema(value_type = Vec<String>)]
    pub offered: Vec<AgentName>,
}

/// A message in a box.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Voicemail {
    /// `box/message`, the path below `/api/voicemails/`.
    pub id: String,
    #[schema(value_type = u64)]
    pub rev: Seq,
    pub r#box: String,
    #[schema(value_type = String)]
    pub message: VoicemailId,
    #[schema(value_type = String)]
    pub call: CallId,
    pub from: Address,
    pub at: Moment,
    pub seconds: f64,
}

/// A trunk as we reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trunk {
    #[schema(value_type = String)]
    pub id: TrunkName,
    #[schema(value_type = u64)]
    pub rev: Seq,
    pub up: bool,
    pub reason: String,
    pub since: Moment,
}

/// Who is signed in on this session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Me {
    #[schema(value_type = String)]
    pub user: UserName,
    pub display: String,
    pub role: UserRole,
    #[schema(value_type = Option<String>)]
    pub language: Option<Language>,
    /// The account the sign-in page proposes.
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountName>,
    /// Why an agent may be not ready; empty: any short text.
    pub reasons: Vec<Code>,
}

impl Entity {
    pub fn key(&self) -> Key {
        let (of, id) = match self {
            Entity::Agent(agent) => (EntityKind::Agent, agent.id.to_string()),
            Entity::Call(call) => (EntityKind::Call, call.id.to_string()),
            Entity::Queue(queue) => (EntityKind::Queue, queue.id.to_string()),
            Entity::Waiting(waiting) => (EntityKind::Waiting, waiting.id.clone()),
            Entity::Voicemail(voicemail) => (EntityKind::Voicemail, voicemail.id.clone()),
            Entity::Trunk(trunk) => (EntityKind::Trunk, trunk.id.to_string()),
            Entity::Gone(gone) => (gone.of, gone.id.clone()),
        };
        Key { of, id }
    }

    pub fn rev(&self) -> Seq {
        match self {
            Entity::Agent(agent) => agent.rev,
            Entity::Call(call) => call.rev,
            Entity::Queue(queue) => queue.rev,
            Entity::Waiting(waiting) => waiting.rev,
            Entity::Voicemail(voicemail) => voicemail.rev,
            Entity::Trunk(trunk) => trunk.rev,
            Entity::Gone(gone) => gone.rev,
        }
    }

    /// The tombstone of this entity.
    pub fn gone(&self) -> Entity {
        let Key { of, id } = self.key();
        Entity::Gone(Gone { of, id, rev: self.rev() })
    }

    /// The same for eyes that may not see numbers.
    pub fn masked(&self) -> Entity {
        let mut entity = self.clone();
        match &mut entity {
            Entity::Call(call) => call.mask(),
            Entity::Waiting(waiting) => waiting.from.mask(),
            Entity::Voicemail(voicemail) => voicemail.from.mask(),
            Entity::Agent(_) | Entity::Queue(_) | Entity::Trunk(_) | Entity::Gone(_) => {}
        }
        entity
    }
}

impl Call {
    fn mask(&mut self) {
        self.from.mask();
        self.to.mask();
        self.legs.iter_mut().for_each(|leg| leg.number = mask_number(&leg.number));
        let numbers = self.customer.iter_mut().flat_map(|card| &mut card.numbers);
        numbers.for_each(|number| *number = mask_number(number));
    }
}

impl Address {
    fn mask(&mut self) {
        self.number = mask_number(&self.number);
        // Phones without a display name often send their number as one.
        if self.name.chars().all(|c| c.is_ascii_digit() || c == '+') {
            self.name = mask_number(&self.name);
        }
    }
}

//! The live call: its legs, where its caller is, and what travels with it.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::acd;
use crate::call::leg::Leg;
use crate::cause::Cause;
use crate::event::{Address, CustomerCard, Direction, IvrAnswer};
use crate::ids::{AgentName, CallId, Language, LegId, QueueName, RecordingId, TrunkName};
use crate::ivr::Machine;
use crate::media::RoomId;
use crate::time::Time;

use super::dial::DialTo;
use super::edition::Edition;
use super::ports::EngineId;
use super::talk::Destination;
use super::waiting::Wishes;

/// One call while it lives.
#[derive(Debug)]
pub struct Call {
    pub id: CallId,
    /// The edition it began with, or entered its last line with; kept to its end.
    pub edition: Arc<Edition>,
    pub direction: Direction,
    pub from: Address,
    pub to: Address,
    /// The leg it began with.
    pub caller: LegId,
    /// Boxed: a map's nodes have room for eleven, and a call has two.
    pub legs: BTreeMap<LegId, Box<Leg>>,
    pub engine: EngineId,
    pub room: RoomId,
    /// `call.accepted` is on disk: the caller's 200 OK may go.
    pub durable: bool,
    pub stage: Stage,
    pub ivr: Option<Box<Machine>>,
    /// The machine has been started: the caller is connected.
    pub walking: bool,
    pub language: Language,
    pub card: CustomerCard,
    /// What the caller told the IVR, and what the dialplan attached for the agent.
    pub answers: Vec<IvrAnswer>,
    pub consent: Option<bool>,
    /// Keys and voice of the caller are secret now.
    pub secure: bool,
    pub recording: Option<RecordingId>,
    pub message: Option<Message>,
    /// When the running stay in a queue began.
    pub waiting_since: Time,
    /// When the caller first entered a queue; kept over returns, so that no place is lost.
    pub queue_clock: Option<Time>,
    /// The queue the call was answered from; its rules follow the agent's leg.
    pub served_from: Option<QueueName>,
    /// What was asked of the queue it entered last.
    pub wishes: Wishes,
    /// Agents whose ringing leg belongs to an ACD offer.
    pub offers: BTreeMap<LegId, AgentName>,
    /// Set once the call is being cleared; the first cause stays.
    pub ending: Option<Cause>,
    /// The caller's 200 OK is wanted as soon as the record is durable.
    pub wants_answer: bool,
    /// Where it goes once the first leg, an agent's own phone, is picked up (click-to-dial).
    pub dial_next: Option<Destination>,
    /// The call out that is being placed, with the trunks that it has tried.
    pub hunt: Option<Hunt>,
    /// Hops the call may still take (RFC 3261 §8.1.1.6).
    pub max_forwards: u8,
    /// Header fields of the INVITE, names in lower case, for the dialplan.
    pub headers: BTreeMap<Arc<str>, Arc<str>>,
    /// Comfort announcements heard in the running stay in a queue.
    pub comforted: usize,
    /// What the queue it overflowed from says, to be heard in the next one.
    pub passing: Option<Words>,
    /// Where overflow takes the caller once its words are said.
    pub leaving: Option<acd::Action>,
}

/// Where the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing decided yet: the call has just come in.
    Ringing,
    /// In the dialplan.
    Ivr,
    /// In a queue: music, announcements in turn.
    Waiting { queue: QueueName, pending: VecDeque<Words> },
    /// A party is being rung; `then` says what its failure means.
    Dialling { callee: LegId, then: AfterDial },
    /// Two legs hear each other, unless one holds the other.
    Talking { a: LegId, b: LegId, held: Option<Held>, then: AfterDial },
    /// Leaving a message.
    Message,
    /// Being cleared: legs are ending.
    Clearing,
}

/// Words to be spoken to a waiting caller, as prompt names.
pub type Words = Vec<crate::ivr::Spoken>;

/// A hold: who is held by whom. CTI holds are rows of the hear matrix; a phone's own hold is a re-INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub leg: LegId,
    pub by: LegId,
}

/// What follows when a dialled party fails or leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterDial {
    /// The call ends with it: a call between phones, a call out.
    End,
    /// The dialplan goes on.
    Ivr,
    /// Back to the head of this queue: a transfer that did not come about.
    Queue(QueueName),
    /// Back to the leg that asked for the transfer (a phone's REFER).
    Referrer(LegId),
}

/// A call to an outside number on its way over the route's trunks, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunt {
    pub to: DialTo,
    pub caller_id: Option<String>,
    /// When ringing is given up, over whatever trunk.
    pub until: Time,
    pub tried: Vec<TrunkName>,
}

/// A voicemail being left.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub mailbox: Arc<str>,
    pub longest: Duration,
    /// It ends once the caller has said nothing for so long.
    pub silence: Duration,
    /// Set while the recording runs: from the beep's end to the message's.
    pub recording: Option<RecordingId>,
}

impl Call {
    /// A call that has no leg yet; `caller` is to be set to the first.
    #[expect(clippy::too_many_arguments, reason = "what a call is from its first moment on")]
    pub fn without_legs(
        id: CallId,
        edition: Arc<Edition>,
        direction: Direction,
        from: Address,
        to: Address,
        engine: EngineId,
        room: RoomId,
        language: Language,
        now: Time,
    ) -> Self {
        Self {
            id,
            edition,
            direction,
            from,
            to,
            caller: LegId::from_u128(0),
            legs: BTreeMap::new(),
            engine,
            room,
            durable: false,
            stage: Stage::Ringing,
            ivr: None,
            walking: false,
            language,
            card: CustomerCard::default(),
            answers: Vec::new(),
            consent: None,
            secure: false,
            recording: None,
            message: None,
            waiting_since: now,
            queue_clock: None,
            served_from: None,
            wishes: Wishes::default(),
            offers: BTreeMap::new(),
            ending: None,
            wants_answer: false,
            dial_next: None,
            hunt: None,
            max_forwards: 70,
            headers: BTreeMap::new(),
            comforted: 0,
            passing: None,
            leaving: None,
        }
    }

    pub fn leg(&self, leg: LegId) -> Option<&Leg> {
        self.legs.get(&leg).map(|leg| &**leg)
    }

    pub fn leg_mut(&mut self, leg: LegId) -> Option<&mut Leg> {
        self.legs.get_mut(&leg).map(|leg| &mut **leg)
    }

    /// How many of its live legs are on a trunk.
    pub fn legs_on(&self, trunk: &TrunkName) -> usize {
        self.legs.values().filter(|leg| leg.is_live() && leg.address.trunk.as_ref() == Some(trunk)).count()
    }

    /// The caller's leg, while it lives.
    pub fn caller_leg(&self) -> Option<&Leg> {
        self.leg(self.caller).filter(|leg| leg.is_live())
    }

    /// The other party of a conversation.
    pub fn peer_of(&self, leg: LegId) -> Option<LegId> {
        match &self.stage {
            Stage::Talking { a, b, .. } if *a == leg => Some(*b),
            Stage::Talking { a, b, .. } if *b == leg => Some(*a),
            _ => None,
        }
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    /// Whether it is over: cleared, and every leg's statistics are in.
    pub fn is_over(&self) -> bool {
        self.ending.is_some() && self.legs.is_empty()
    }
}

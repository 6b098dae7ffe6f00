//! Call records as a fold over events: one [`CallRecord`] per accepted call, complete at `call.ended`.
//!
//! The ledger is the truth; a record can be rebuilt from it at any time, and a call that was open when the
//! process died gets its record at the next start (`Records::close_open`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Party, What};
use crate::event::{Address, Direction, Event, Fact, IvrAnswer, MediaStats, OfferOutcome, QueueExit, Role, Seq};
use crate::ids::{AgentName, CallId, CustomerId, DialplanName, LegId, QueueName, RecordingId};
use crate::time::Time;

/// One call as it remains: who, when, where it went, how it ended, and whose doing that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    pub call: CallId,
    pub direction: Direction,
    pub from: Address,
    pub to: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialplan: Option<DialplanName>,
    pub sip_call_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub customer_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tier: String,
    pub accepted: Time,
    /// When the caller's leg was answered.
    pub answered: Option<Time>,
    /// `None` while the call runs.
    pub ended: Option<Time>,
    pub cause: Option<Cause>,
    pub legs: Vec<LegRecord>,
    pub queues: Vec<QueueVisit>,
    pub path: Vec<Step>,
    pub answers: Vec<IvrAnswer>,
    pub offers: Vec<OfferRecord>,
    pub recordings: Vec<RecordingRecord>,
    /// Blind transfers in order: by which leg, where to.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
    /// First agent who answered, for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub disposition: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// The first and the last event of the call.
    pub first_seq: Seq,
    pub last_seq: Seq,
}

/// One leg as it remains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegRecord {
    pub leg: LegId,
    pub role: Role,
    pub address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    pub started: Time,
    pub ringing: Option<Time>,
    pub answered: Option<Time>,
    pub ended: Option<Time>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub codec: String,
    pub cause: Option<Cause>,
    /// `None` where the leg had no media or the engine did not report in time.
    pub stats: Option<MediaStats>,
    /// Time spent held, milliseconds.
    #[serde(default)]
    pub held_ms: u64,
    /// Since when it is held, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_since: Option<Time>,
}

/// One stay in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueVisit {
    pub queue: QueueName,
    pub entered: Time,
    pub left: Option<Time>,
    pub exit: Option<QueueExit>,
    pub waited_ms: u64,
}

/// One state of the dialplan passed through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at: Time,
    pub dialplan: DialplanName,
    pub state: String,
    pub outcome: String,
}

/// One offer to an agent and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferRecord {
    pub agent: AgentName,
    pub leg: LegId,
    pub at: Time,
    pub ended: Option<Time>,
    pub outcome: Option<OfferOutcome>,
}

/// One recording of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordingRecord {
    pub recording: RecordingId,
    pub file: String,
    pub seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// One blind transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub at: Time,
    pub by: LegId,
    pub to: String,
}

impl CallRecord {
    /// From the caller's answer to the end, milliseconds; 0 where it never was answered or still runs.
    pub fn duration_ms(&self) -> u64 {
        match (self.answered, self.ended) {
            (Some(from), Some(to)) => to.since(from).as_millis().try_into().unwrap_or(u64::MAX),
            _ => 0,
        }
    }

    fn leg(&mut self, leg: LegId) -> Option<&mut LegRecord> {
        self.legs.iter_mut().find(|l| l.leg == leg)
    }
}

/// The fold: open calls by id, and ended ones for what comes late: a wrap-up, a recording that the disk has now.
#[derive(Debug, Default)]
pub struct Records {
    open: BTreeMap<CallId, CallRecord>,
    /// At most [`MOST_ENDED`]; the oldest call gives way, its record stands as it is.
    ended: BTreeMap<CallId, CallRecord>,
}

impl Records {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up where another fold left off: records as they were kept, ended ones last.
    pub fn resume(&mut self, record: CallRecord) {
        let place = if record.ended.is_some() { &mut self.ended } else { &mut self.open };
        place.insert(record.call, record);
    }

    /// Takes one event in; gives the call's record back when anything of it changed. The call is over when
    /// `ended` is set; only a wrap-up or the end of its recording changes it after that.
    pub fn apply(&mut self, event: &Event) -> Option<CallRecord> {
        let call = event.call?;
        if let Fact::CallAccepted { leg, direction, from, to, dialplan, sip_call_id } = &event.fact {
            let record = opened(event, call, *leg, *direction, from, to, dialplan.clone(), sip_call_id);
            self.open.insert(call, record.clone());
            return Some(record);
        }
        if let Some(record) = self.ended.get_mut(&call) {
            record.last_seq = event.seq;
            apply_to(record, event.at, &event.fact);
            return Some(record.clone());
        }
        let record = self.open.get_mut(&call)?;
        record.last_seq = event.seq;
        apply_to(record, event.at, &event.fact);
        let now = record.clone();
        if now.ended.is_some() {
            self.open.remove(&call);
            self.ended.insert(call, now.clone());
            if self.ended.len() > MOST_ENDED {
                self.ended.pop_first();
            }
        }
        Some(now)
    }

    /// Calls that have no end yet, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &CallRecord> {
        self.open.values()
    }

    /// The facts that close every open call after a restart: one `call.ended` each, cause `switch restart`.
    pub fn close_open(&self) -> Vec<(CallId, Fact)> {
        let cause = Cause::new(What::SwitchRestart, Party::Switch);
        self.open.keys().map(|call| (*call, Fact::CallEnded { cause })).collect()
    }
}

/// Ended calls kept for what comes late: more than a thousand agents can have in wrap-up at once.
pub const MOST_ENDED: usize = 2_048;

#[expect(clippy::too_many_arguments, reason = "the fields of one fact, taken apart")]
fn opened(
    event: &Event,
    call: CallId,
    leg: LegId,
    direction: Direction,
    from: &Address,
    to: &Address,
    dialplan: Option<DialplanName>,
    sip_call_id: &str,
) -> CallRecord {
    CallRecord {
        call,
        direction,
        from: from.clone(),
        to: to.clone(),
        dialplan,
        sip_call_id: sip_call_id.to_owned(),
        customer: None,
        customer_name: String::new(),
        tier: String::new(),
        accepted: event.at,
        answered: None,
        ended: None,
        cause: None,
        legs: vec![new_leg(event.at, leg, Role::Caller, from.clone(), None)],
        queues: Vec::new(),
        path: Vec::new(),
        answers: Vec::new(),
        offers: Vec::new(),
        recordings: Vec::new(),
        transfers: Vec::new(),
        agent: None,
        disposition: String::new(),
        notes: String::new(),
        first_seq: event.seq,
        last_seq: event.seq,
    }
}

fn new_leg(at: Time, leg: LegId, role: Role, address: Address, agent: Option<AgentName>) -> LegRecord {
    LegRecord {
        leg,
        role,
        address,
        agent,
        started: at,
        ringing: None,
        answered: None,
        ended: None,
        codec: String::new(),
        cause: None,
        stats: None,
        held_ms: 0,
        held_since: None,
    }
}

fn apply_to(record: &mut CallRecord, at: Time, fact: &Fact) {
    match fact {
        Fact::CustomerMatched { card } => {
            record.customer = card.id;
            record.customer_name.clone_from(&card.name);
            record.tier.clone_from(&card.tier);
        }
        Fact::CallStepped { dialplan, state, outcome } => {
            let (dialplan, state, outcome) = (dialplan.clone(), state.clone(), outcome.clone());
            record.path.push(Step { at, dialplan, state, outcome });
        }
        Fact::CallCollected { answer } => record.answers.push(answer.clone()),
        Fact::LegAdded { leg, role, to, agent } => {
            record.legs.push(new_leg(at, *leg, *role, to.clone(), agent.clone()));
        }
        Fact::LegRinging { leg, .. } => {
            if let Some(leg) = record.leg(*leg) {
                leg.ringing.get_or_insert(at);
            }
        }
        Fact::LegAnswered { leg, codec } => answered(record, at, *leg, codec),
        Fact::LegHeld { leg, .. } => {
            if let Some(leg) = record.leg(*leg) {
                leg.held_since.get_or_insert(at);
            }
        }
        Fact::LegResumed { leg, .. } => {
            if let Some(leg) = record.leg(*leg) {
                end_hold(leg, at);
            }
        }
        Fact::LegEnded { leg, cause, stats } => {
            if let Some(leg) = record.leg(*leg) {
                end_hold(leg, at);
                leg.ended = Some(at);
                leg.cause = Some(*cause);
                leg.stats = *stats;
            }
        }
        Fact::CallTransferred { by, to } => record.transfers.push(Transfer { at, by: *by, to: to.clone() }),
        Fact::QueueEntered { queue, .. } => {
            let queue = queue.clone();
            record.queues.push(QueueVisit { queue, entered: at, left: None, exit: None, waited_ms: 0 });
        }
        Fact::QueueLeft { queue, exit, waited_ms } => {
            let visit = record.queues.iter_mut().rev().find(|v| v.queue == *queue && v.left.is_none());
            if let Some(visit) = visit {
                (visit.left, visit.exit, visit.waited_ms) = (Some(at), Some(*exit), *waited_ms);
            }
        }
        Fact::CallOffered { agent, leg, .. } => {
            let agent = agent.clone();
            record.offers.push(OfferRecord { agent, leg: *leg, at, ended: None, outcome: None });
        }
        Fact::OfferEnded { leg, outcome, .. } => {
            if let Some(offer) = record.offers.iter_mut().find(|o| o.leg == *leg) {
                (offer.ended, offer.outcome) = (Some(at), Some(*outcome));
            }
        }
        Fact::RecordingStarted { recording, file } => {
            let file = file.clone();
            record.recordings.push(RecordingRecord { recording: *recording, file, seconds: None, failed: None });
        }
        Fact::RecordingSealed { recording, seconds, .. } => {
            if let Some(kept) = record.recordings.iter_mut().find(|r| r.recording == *recording) {
                kept.seconds = Some(*seconds);
            }
        }
        Fact::RecordingFailed { recording, reason } => {
            if let Some(kept) = record.recordings.iter_mut().find(|r| r.recording == *recording) {
                kept.failed = Some(reason.clone());
            }
        }
        Fact::InteractionWrapped { code, notes, .. } => {
            record.disposition.clone_from(code);
            record.notes.clone_from(notes);
        }
        Fact::CallEnded { cause } if record.ended.is_none() => ended(record, at, *cause),
        _ => {}
    }
}

fn answered(record: &mut CallRecord, at: Time, leg: LegId, codec: &str) {
    let Some(found) = record.leg(leg) else { return };
    found.answered.get_or_insert(at);
    codec.clone_into(&mut found.codec);
    let (role, agent) = (found.role, found.agent.clone());
    match role {
        Role::Caller => {
            record.answered.get_or_insert(at);
        }
        Role::Agent | Role::Callee => {
            if record.agent.is_none() {
                record.agent = agent;
            }
        }
    }
}

fn end_hold(leg: &mut LegRecord, at: Time) {
    if let Some(since) = leg.held_since.take() {
        leg.held_ms += u64::try_from(at.since(since).as_millis()).unwrap_or(u64::MAX);
    }
}

/// Closes everything that is still open, so that a record never says that a dead call's leg lives.
fn ended(record: &mut CallRecord, at: Time, cause: Cause) {
    record.ended = Some(at);
    record.cause = Some(cause);
    for leg in record.legs.iter_mut().filter(|l| l.ended.is_none()) {
        end_hold(leg, at);
        leg.ended = Some(at);
        leg.cause.get_or_insert(cause);
    }
    for visit in record.queues.iter_mut().filter(|v| v.left.is_none()) {
        visit.left = Some(at);
        visit.exit = Some(QueueExit::Failed);
        visit.waited_ms = u64::try_from(at.since(visit.entered).as_millis()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId::from_u128(1);
    const CALLER: LegId = LegId::from_u128(10);
    const AGENT: LegId = LegId::from_u128(11);

    fn event(seq: u64, at_s: u64, fact: Fact) -> Event {
        Event { v: 1, seq: Seq(seq), at: Time::from_secs(at_s), call: Some(CALL), fact }
    }

    fn accepted() -> Fact {
        Fact::CallAccepted {
            leg: CALLER,
            direction: Direction::Inbound,
            from: Address { number: "+8613800138000".into(), ..Address::default() },
            to: Address { number: "95539".into(), ..Address::default() },
            dialplan: Some("airline".into()),
            sip_call_id: "abc@carrier".into(),
        }
    }

    #[test]
    fn a_queued_and_answered_call_leaves_one_complete_record() {
        let mut records = Records::new();
        let hangup = Cause::new(What::Hangup, Party::Caller);
        let story = [
            accepted(),
            Fact::LegAnswered { leg: CALLER, codec: "PCMA".into() },
            Fact::QueueEntered { queue: "gold".into(), priority: 5, tier: "gold".into(), position: 1 },
            Fact::LegAdded { leg: AGENT, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
            Fact::LegRinging { leg: AGENT, early_media: false },
            Fact::QueueLeft { queue: "gold".into(), exit: QueueExit::Answered, waited_ms: 3_000 },
            Fact::LegAnswered { leg: AGENT, codec: "PCMU".into() },
            Fact::LegHeld { leg: CALLER, by: AGENT },
            Fact::LegResumed { leg: CALLER, by: AGENT },
            Fact::LegEnded { leg: AGENT, cause: hangup, stats: None },
            Fact::CallEnded { cause: hangup },
        ];
        let mut last = None;
        for (i, fact) in story.into_iter().enumerate() {
            last = records.apply(&event(i as u64 + 1, 100 + i as u64, fact));
        }
        let record = last.expect("the last event completes the record");
        assert_eq!(record.duration_ms(), 9_000);
        assert_eq!(record.agent, Some("li".into()));
        assert_eq!(record.queues[0].exit, Some(QueueExit::Answered));
        assert_eq!(record.legs[0].held_ms, 1_000);
        assert_eq!(record.legs[0].cause, Some(hangup), "the caller's leg is closed with the call");
        assert_eq!((record.first_seq, record.last_seq), (Seq(1), Seq(11)));
        assert_eq!(records.open().count(), 0);
    }

    #[test]
    fn a_wrap_up_after_the_hang_up_reaches_the_record() {
        let mut records = Records::new();
        let hangup = Cause::new(What::Hangup, Party::Caller);
        for (seq, fact) in [
            accepted(),
            Fact::LegAdded { leg: AGENT, role: Role::Agent, to: Address::default(), agent: Some("li".into()) },
            Fact::LegAnswered { leg: AGENT, codec: "PCMU".into() },
            Fact::CallEnded { cause: hangup },
        ]
        .into_iter()
        .enumerate()
        {
            records.apply(&event(seq as u64 + 1, 100, fact));
        }
        let wrapped =
            Fact::InteractionWrapped { agent: "li".into(), code: "sold".into(), notes: "two".into(), auto: false };
        let record = records.apply(&event(5, 130, wrapped)).expect("the record waits for its wrap-up");
        assert_eq!((record.disposition.as_str(), record.notes.as_str()), ("sold", "two"));
        assert_eq!(record.ended, Some(Time::from_secs(100)));
    }

    #[test]
    fn a_call_open_at_a_crash_is_closed_once_with_the_cause_switch_restart() {
        let mut records = Records::new();
        records.apply(&event(1, 100, accepted()));
        let closing = records.close_open();
        assert_eq!(closing.len(), 1);
        let record = records.apply(&event(2, 200, closing[0].1.clone())).unwrap();
        assert_eq!(record.cause, Some(Cause::new(What::SwitchRestart, Party::Switch)));
        assert!(records.close_open().is_empty());
    }

    #[test]
    fn events_of_unknown_or_finished_calls_change_nothing() {
        let mut records = Records::new();
        assert_eq!(records.apply(&event(1, 1, Fact::LegRinging { leg: CALLER, early_media: false })), None);
    }
}

//! Call records as a fold over events: one [`CallRecord`] per accepted call, complete at `call.ended`.
//!
//! The ledger is the truth; a record can be rebuilt from it at any time, and a call that was open when the
//! process died gets its record at the next start (`Records::close_open`).
//!
//! A record is bounded, however long its call goes on: texts are cut, and of each list the first few and the latest
//! stay ([`LeftOut`] counts the others). The events of the call keep everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Party, What};
use crate::event::{Address, Direction, Event, Fact, IvrAnswer, MediaStats, OfferOutcome, QueueExit, Role, Seq};
use crate::ids::{AgentName, CallId, CustomerId, DialplanName, LegId, QueueName, RecordingId, VoicemailId};
use crate::limits::call as limits;
use crate::time::Time;

use super::segment::{SegmentKind, Segments, offset};

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
    /// The message the caller left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voicemail: Option<VoicemailId>,
    /// The message that is being left, until it is known what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageBegun>,
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
    /// What the record has no room for.
    #[serde(default, skip_serializing_if = "LeftOut::is_nothing")]
    pub left_out: LeftOut,
    /// The first and the last event of the call.
    pub first_seq: Seq,
    pub last_seq: Seq,
}

/// How many of each list were left out of a record that grew too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct LeftOut {
    pub legs: u32,
    pub queues: u32,
    pub path: u32,
    pub answers: u32,
    pub offers: u32,
    pub recordings: u32,
    pub transfers: u32,
    /// Of all recordings together.
    pub segments: u32,
}

impl LeftOut {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
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
    #[serde(default)]
    pub started: Time,
    pub seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// It ended at the greatest length that recordings may have, before the conversation did.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub cut: bool,
    /// Who takes part, who is held and what is masked.
    #[serde(default, skip_serializing_if = "Segments::is_empty")]
    pub segments: Segments,
}

impl RecordingRecord {
    /// Whether sound is still added.
    fn runs(&self) -> bool {
        self.seconds.is_none() && self.failed.is_none() && !self.cut
    }

    fn begin(&mut self, kind: SegmentKind, leg: Option<LegId>, at: Time) {
        self.segments.begin(kind, leg, offset(self.started, at));
    }
}

/// A message that is being left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBegun {
    pub voicemail: VoicemailId,
    pub recording: RecordingId,
    pub r#box: String,
    pub file: String,
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

    /// Leaves out what is over the limits. A leg that lives stays before one that is over.
    fn shorten(&mut self) {
        let lists = self.lengths();
        for ((list, length), most) in lists.into_iter().zip(limits::RECORD_LISTS) {
            if length > most {
                self.leave_one_out(list);
            }
        }
        // A short record is small whatever stands in it, for its texts are bounded.
        while self.lengths().iter().map(|(_, length)| length).sum::<usize>() > limits::RECORD_SHORT
            && serde_json::to_vec(self).map_or(0, |text| text.len()) > limits::RECORD_BYTES
        {
            let longest = self.lengths().into_iter().max_by_key(|(_, length)| *length);
            self.leave_one_out(longest.map_or(List::Path, |(list, _)| list));
        }
    }

    /// Recordings that sound is added to.
    fn running(&mut self) -> impl Iterator<Item = &mut RecordingRecord> {
        self.recordings.iter_mut().filter(|kept| kept.runs())
    }

    fn recording(&mut self, recording: RecordingId) -> Option<&mut RecordingRecord> {
        self.recordings.iter_mut().find(|kept| kept.recording == recording)
    }

    fn begin_segment(&mut self, kind: SegmentKind, leg: LegId, at: Time) {
        self.running().for_each(|kept| kept.begin(kind, Some(leg), at));
    }

    /// Ends what goes on of a leg; a hold alone, or everything.
    fn end_segments(&mut self, leg: LegId, hold_alone: bool, at: Time) {
        for kept in self.running() {
            let to_ms = offset(kept.started, at);
            kept.segments
                .end(to_ms, |segment| segment.leg == Some(leg) && (!hold_alone || segment.kind == SegmentKind::Hold));
        }
    }

    fn lengths(&self) -> [(List, usize); 8] {
        [
            (List::Legs, self.legs.len()),
            (List::Queues, self.queues.len()),
            (List::Path, self.path.len()),
            (List::Answers, self.answers.len()),
            (List::Offers, self.offers.len()),
            (List::Recordings, self.recordings.len()),
            (List::Transfers, self.transfers.len()),
            (List::Segments, self.recordings.iter().map(|kept| kept.segments.len()).sum()),
        ]
    }

    fn leave_one_out(&mut self, list: List) {
        let gone = &mut self.left_out;
        match list {
            List::Legs => {
                let rank = |leg: &LegRecord| u8::from(leg.answered.is_some()) + 2 * u8::from(leg.ended.is_none());
                gone.legs += remove_from(&mut self.legs, rank);
            }
            List::Queues => gone.queues += remove_from(&mut self.queues, |visit| u8::from(visit.left.is_none())),
            List::Path => gone.path += remove_from(&mut self.path, |_| 0),
            List::Answers => gone.answers += remove_from(&mut self.answers, |_| 0),
            List::Offers => gone.offers += remove_from(&mut self.offers, |offer| u8::from(offer.ended.is_none())),
            List::Recordings => {
                let rank = |kept: &RecordingRecord| u8::from(kept.seconds.is_none() && kept.failed.is_none());
                gone.recordings += remove_from(&mut self.recordings, rank);
            }
            List::Transfers => gone.transfers += remove_from(&mut self.transfers, |_| 0),
            List::Segments => {
                if let Some(kept) = self.recordings.iter_mut().max_by_key(|kept| kept.segments.len()) {
                    gone.segments += 1;
                    kept.segments.leave_one_out();
                }
            }
        }
    }
}

/// What of a record grows with its call, in the order of [`limits::RECORD_LISTS`].
#[derive(Clone, Copy)]
enum List {
    Legs,
    Queues,
    Path,
    Answers,
    Offers,
    Recordings,
    Transfers,
    Segments,
}

/// Removes the oldest of the lowest rank; the first few and the latest stay. Gives how many went.
fn remove_from<T>(list: &mut Vec<T>, rank: impl Fn(&T) -> u8) -> u32 {
    let latest = list.len().saturating_sub(1);
    match (limits::RECORD_OPENING..latest).min_by_key(|at| rank(&list[*at])) {
        Some(at) => {
            list.remove(at);
            1
        }
        None => 0,
    }
}

/// As much of a text as a record keeps, counted as JSON writes it.
fn kept(text: &str, most: usize) -> String {
    let mut bytes = 0;
    let cut = text.char_indices().find(|(_, c)| {
        bytes += match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            '\0'..='\x1f' => 6,
            c => c.len_utf8(),
        };
        bytes > most
    });
    cut.map_or(text, |(at, _)| &text[..at]).to_owned()
}

fn kept_text(text: &str) -> String {
    kept(text, limits::RECORD_TEXT_BYTES)
}

fn kept_address(address: &Address) -> Address {
    Address { number: kept_text(&address.number), name: kept_text(&address.name), ..address.clone() }
}

/// The fold: open calls by id, and ended ones for what comes late: a wrap-up, a recording that the disk has now.
#[derive(Debug, Default)]
pub struct Records {
    open: BTreeMap<CallId, CallRecord>,
    /// At most [`limits::RECORDS_ENDED`]; the oldest call gives way, its record stands as it is.
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

    /// Takes one event in; gives the call's record back when anything of it may have changed. The call is over when
    /// `ended` is set; only a wrap-up or the end of its recording changes it after that.
    ///
    /// An event that the record has already changes nothing.
    pub fn apply(&mut self, event: &Event) -> Option<CallRecord> {
        let call = event.call?;
        if let Some(record) = self.ended.get(&call).or_else(|| self.open.get(&call))
            && event.seq <= record.last_seq
        {
            return Some(record.clone());
        }
        if let Fact::CallAccepted { leg, direction, from, to, dialplan, sip_call_id } = &event.fact {
            let record = opened(event, call, *leg, *direction, from, to, dialplan.clone(), sip_call_id);
            self.open.insert(call, record.clone());
            return Some(record);
        }
        let record = self.ended.get_mut(&call).or_else(|| self.open.get_mut(&call))?;
        record.last_seq = event.seq;
        apply_to(record, event.at, &event.fact);
        record.shorten();
        let now = record.clone();
        if now.ended.is_some() && self.open.remove(&call).is_some() {
            self.ended.insert(call, now.clone());
            if self.ended.len() > limits::RECORDS_ENDED {
                self.ended.pop_first();
            }
        }
        Some(now)
    }

    /// Calls that have no end yet, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &CallRecord> {
        self.open.values()
    }

    /// Recordings of which nobody has said how they ended, with their calls and files.
    pub fn unsealed(&self) -> Vec<(CallId, RecordingId, String)> {
        let of_call = |record: &CallRecord| {
            let unsealed = record.recordings.iter().filter(|kept| kept.seconds.is_none() && kept.failed.is_none());
            unsealed.map(|kept| (record.call, kept.recording, kept.file.clone())).collect::<Vec<_>>()
        };
        self.open.values().chain(self.ended.values()).flat_map(of_call).collect()
    }

    /// Messages of which nobody has said what became of them, with their calls and who left them.
    pub fn messages(&self) -> Vec<(CallId, Address, MessageBegun)> {
        let of_call = |record: &CallRecord| Some((record.call, record.from.clone(), record.message.clone()?));
        self.open.values().chain(self.ended.values()).filter_map(of_call).collect()
    }

    /// The facts that close every open call after a restart: one `call.ended` each, cause `switch restart`.
    pub fn close_open(&self) -> Vec<(CallId, Fact)> {
        let cause = Cause::new(What::SwitchRestart, Party::Switch);
        self.open.keys().map(|call| (*call, Fact::CallEnded { cause })).collect()
    }
}

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
        from: kept_address(from),
        to: kept_address(to),
        dialplan,
        sip_call_id: kept_text(sip_call_id),
        customer: None,
        customer_name: String::new(),
        tier: String::new(),
        accepted: event.at,
        answered: None,
        ended: None,
        cause: None,
        legs: vec![new_leg(event.at, leg, Role::Caller, from, None)],
        queues: Vec::new(),
        path: Vec::new(),
        answers: Vec::new(),
        offers: Vec::new(),
        recordings: Vec::new(),
        voicemail: None,
        message: None,
        transfers: Vec::new(),
        agent: None,
        disposition: String::new(),
        notes: String::new(),
        left_out: LeftOut::default(),
        first_seq: event.seq,
        last_seq: event.seq,
    }
}

fn new_leg(at: Time, leg: LegId, role: Role, address: &Address, agent: Option<AgentName>) -> LegRecord {
    LegRecord {
        leg,
        role,
        address: kept_address(address),
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
            record.customer_name = kept_text(&card.name);
            record.tier = kept_text(&card.tier);
        }
        Fact::CallStepped { dialplan, state, outcome } => {
            let (dialplan, state, outcome) = (dialplan.clone(), kept_text(state), kept_text(outcome));
            record.path.push(Step { at, dialplan, state, outcome });
        }
        Fact::CallCollected { answer: IvrAnswer { at, name, value } } => {
            record.answers.push(IvrAnswer { at: *at, name: kept_text(name), value: kept_text(value) });
        }
        Fact::LegAdded { leg, role, to, agent } => {
            record.legs.push(new_leg(at, *leg, *role, to, agent.clone()));
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
            record.begin_segment(SegmentKind::Hold, *leg, at);
        }
        Fact::LegResumed { leg, .. } => {
            if let Some(leg) = record.leg(*leg) {
                end_hold(leg, at);
            }
            record.end_segments(*leg, true, at);
        }
        Fact::LegEnded { leg, cause, stats } => {
            record.end_segments(*leg, false, at);
            if let Some(leg) = record.leg(*leg) {
                end_hold(leg, at);
                leg.ended = Some(at);
                leg.cause = Some(*cause);
                leg.stats = *stats;
            }
        }
        Fact::CallTransferred { by, to } => record.transfers.push(Transfer { at, by: *by, to: kept_text(to) }),
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
        Fact::RecordingStarted { recording, file } => recording_started(record, at, *recording, file),
        Fact::RecordingMasked { recording, masked, .. } => {
            let Some(kept) = record.recording(*recording).filter(|kept| kept.runs()) else { return };
            match masked {
                true => kept.begin(SegmentKind::Masked, None, at),
                false => {
                    kept.segments.end(offset(kept.started, at), |segment| segment.kind == SegmentKind::Masked);
                }
            }
        }
        Fact::RecordingCut { recording, .. } => {
            if let Some(kept) = record.recording(*recording) {
                kept.segments.close(offset(kept.started, at));
                kept.cut = true;
            }
        }
        Fact::RecordingSealed { recording, seconds, .. } => {
            if let Some(kept) = record.recording(*recording) {
                kept.segments.close(milliseconds(*seconds));
                kept.seconds = Some(*seconds);
            }
        }
        Fact::VoicemailStarted { voicemail, recording, r#box, file } => {
            let (voicemail, recording) = (*voicemail, *recording);
            record.message =
                Some(MessageBegun { voicemail, recording, r#box: kept_text(r#box), file: kept_text(file) });
        }
        Fact::VoicemailLeft { voicemail, .. } => {
            record.message.take_if(|message| message.voicemail == *voicemail);
            record.voicemail = Some(*voicemail);
        }
        Fact::VoicemailDropped { voicemail } => {
            record.message.take_if(|message| message.voicemail == *voicemail);
        }
        Fact::RecordingFailed { recording, reason } => {
            record.message.take_if(|message| message.recording == *recording);
            if let Some(kept) = record.recording(*recording) {
                kept.failed = Some(kept_text(reason));
            }
        }
        Fact::InteractionWrapped { code, notes, .. } => {
            record.disposition = kept_text(code);
            record.notes = kept(notes, limits::RECORD_NOTES_BYTES);
        }
        Fact::CallEnded { cause } if record.ended.is_none() => ended(record, at, *cause),
        _ => {}
    }
}

fn answered(record: &mut CallRecord, at: Time, leg: LegId, codec: &str) {
    let Some(found) = record.leg(leg) else { return };
    found.answered.get_or_insert(at);
    found.codec = kept_text(codec);
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
    if let Some(kind) = SegmentKind::of_role(role) {
        record.begin_segment(kind, leg, at);
    }
}

/// It begins with those who talk already, and with who is held.
fn recording_started(record: &mut CallRecord, at: Time, recording: RecordingId, file: &str) {
    let mut kept = RecordingRecord {
        recording,
        file: kept_text(file),
        started: at,
        seconds: None,
        failed: None,
        cut: false,
        segments: Segments::default(),
    };
    for leg in record.legs.iter().filter(|leg| leg.answered.is_some() && leg.ended.is_none()) {
        if let Some(kind) = SegmentKind::of_role(leg.role) {
            kept.begin(kind, Some(leg.leg), at);
        }
        if leg.held_since.is_some() {
            kept.begin(SegmentKind::Hold, Some(leg.leg), at);
        }
    }
    record.recordings.push(kept);
}

/// What a file has that is so many seconds long.
fn milliseconds(seconds: f64) -> u64 {
    let length = core::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
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
    for kept in record.running() {
        kept.segments.close(offset(kept.started, at));
    }
    for visit in record.queues.iter_mut().filter(|v| v.left.is_none()) {
        visit.left = Some(at);
        visit.exit = Some(QueueExit::Failed);
        visit.waited_ms = u64::try_from(at.since(visit.entered).as_millis()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

//! What must hold of a whole run, judged from outside: by the events that the switch emits and the messages it sends.
//!
//! The switch checks itself ([`crate::switch::Switch::check_invariants`]); this is what the company behind it would
//! notice: a call without its record, an agent offered twice, a caller answered before the record was safe.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::record::Records;
use crate::event::{Event, Fact, QueueExit, Seq};
use crate::ids::{AgentName, CallId, LegId, QueueName, RecordingId};
use crate::number::country;
use crate::sip::{Message, Method};
use crate::time::Time;

/// See the module.
#[derive(Debug, Default)]
pub struct Oracle {
    last: Seq,
    last_at: Time,
    durable: Seq,
    records: Records,
    open: BTreeMap<CallId, OpenCall>,
    ended: BTreeSet<CallId>,
    /// Calls by the Call-ID of their first leg.
    by_call_id: BTreeMap<String, CallId>,
    offered: BTreeMap<AgentName, CallId>,
    /// Call-IDs of INVITEs to agents' phones: what comes again is a repeat, and may outlive its offer.
    rung: BTreeSet<String>,
    queues: BTreeMap<QueueName, Visits>,
    recordings: BTreeMap<RecordingId, CallId>,
    figures: Figures,
    wrong: Vec<Wrong>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub what: String,
    pub call: Option<CallId>,
}

/// What came of a run, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    pub events: u64,
    pub accepted: u64,
    pub ended: u64,
    pub offers: u64,
    /// Callers connected with an agent from a queue.
    pub answered: u64,
    pub abandoned: u64,
    pub moved: u64,
    pub failed: u64,
    pub transfers: u64,
    pub recordings: u64,
    pub voicemails: u64,
}

/// The simulated centre's country.
const HOME: &str = "86";

#[derive(Debug)]
struct OpenCall {
    accepted: Seq,
    emergency: bool,
    legs: BTreeSet<LegId>,
    offers: BTreeMap<LegId, AgentName>,
    queue: Option<QueueName>,
}

#[derive(Debug, Default)]
struct Visits {
    offered: u64,
    exits: [u64; 4],
    waiting: u64,
}

impl Oracle {
    /// Takes an event of the switch.
    pub fn handle_event(&mut self, event: &Event) {
        self.figures.events += 1;
        if event.seq != self.last.next() {
            self.wrong(event.call, format!("event {} follows event {}", event.seq, self.last));
        }
        if event.at < self.last_at {
            self.wrong(event.call, format!("event {} is dated before the one before it", event.seq));
        }
        (self.last, self.last_at) = (event.seq, event.at);
        // The fold must take every event; what it makes of them is compared at the end.
        let _ = self.records.apply(event);
        match event.call {
            Some(call) => self.on_call(call, event),
            None => self.on_house(event),
        }
    }

    /// Everything up to there is on disk.
    pub fn handle_durable(&mut self, seq: Seq) {
        self.durable = self.durable.max(seq);
    }

    /// Takes a message that the switch sends, as it is sent.
    pub fn handle_sent(&mut self, bytes: &[u8]) {
        let answer = bytes.starts_with(b"SIP/2.0 200");
        if !answer && !bytes.starts_with(b"INVITE ") {
            return;
        }
        let Ok(message) = Message::parse(bytes.to_vec().into()) else {
            return self.wrong(None, "the switch sent what our own codec cannot read".to_owned());
        };
        if answer {
            self.on_ok(&message);
        } else if let Some(header) = message.named("X-CTI-Call") {
            let first = self.rung.insert(message.call_id().unwrap_or_default().to_owned());
            if first {
                self.on_offer_invite(&String::from_utf8_lossy(header.value));
            }
        }
    }

    /// Things to hold against the run so far.
    pub fn poll_wrong(&mut self) -> Option<Wrong> {
        self.wrong.pop()
    }

    /// What must hold once nothing runs any more.
    pub fn check_rest(&mut self) {
        for call in self.open.keys().copied().collect::<Vec<_>>() {
            self.wrong(Some(call), format!("call {call} was accepted and has no record"));
        }
        let folded = self.records.open().count();
        if folded > 0 {
            self.wrong(None, format!("{folded} records are open in the fold"));
        }
        for (queue, visits) in &self.queues {
            if visits.waiting > 0 {
                let what = format!("queue {queue}: {} still wait at rest", visits.waiting);
                self.wrong.push(Wrong { what, call: None });
            }
        }
        for (recording, call) in core::mem::take(&mut self.recordings) {
            self.wrong(Some(call), format!("recording {recording} was started and neither sealed nor failed"));
        }
        for (agent, call) in core::mem::take(&mut self.offered) {
            self.wrong(Some(call), format!("{agent} is still offered call {call}"));
        }
    }

    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// The call with that SIP Call-ID on its first leg.
    pub fn call_of(&self, call_id: &str) -> Option<CallId> {
        self.by_call_id.get(call_id).copied()
    }

    /// Every call there was.
    pub fn calls(&self) -> impl Iterator<Item = &CallId> {
        self.open.keys().chain(&self.ended)
    }

    fn on_house(&mut self, event: &Event) {
        let about_a_call = matches!(
            event.fact,
            Fact::CallAccepted { .. } | Fact::CallEnded { .. } | Fact::LegEnded { .. } | Fact::QueueEntered { .. }
        );
        if about_a_call {
            self.wrong(None, format!("event {} says nothing of which call it means", event.seq));
        }
    }

    fn on_call(&mut self, id: CallId, event: &Event) {
        if let Fact::CallAccepted { leg, sip_call_id, to, .. } = &event.fact {
            let emergency = country(HOME).is_some_and(|home| home.is_emergency(&to.number));
            return self.on_accepted(id, event.seq, *leg, sip_call_id, emergency);
        }
        if self.on_recording(id, &event.fact) {
            return;
        }
        let Some(call) = self.open.get_mut(&id) else {
            let may_follow = matches!(
                event.fact,
                Fact::InteractionWrapped { .. } | Fact::VoicemailLeft { .. } | Fact::VoicemailDropped { .. }
            );
            if !may_follow {
                self.wrong(Some(id), format!("call {id} has ended, and then: {:?}", event.fact));
            }
            return;
        };
        let mut wrong = None;
        match &event.fact {
            Fact::LegAdded { leg, .. } => {
                call.legs.insert(*leg);
            }
            Fact::LegEnded { leg, .. } => {
                if !call.legs.remove(leg) {
                    wrong = Some(format!("leg {leg} ended twice, or never was"));
                }
                if call.offers.contains_key(leg) {
                    wrong = Some(format!("leg {leg} ended with its offer open"));
                }
            }
            Fact::LegRinging { leg, .. } | Fact::LegAnswered { leg, .. } if !call.legs.contains(leg) => {
                wrong = Some(format!("leg {leg} is not of this call: {:?}", event.fact));
            }
            Fact::LegsConnected { a, b } if !call.legs.contains(a) || !call.legs.contains(b) => {
                wrong = Some("a leg that has ended was connected".to_owned());
            }
            Fact::CallTransferred { .. } => self.figures.transfers += 1,
            Fact::QueueEntered { queue, .. } => {
                if let Some(before) = call.queue.replace(queue.clone()) {
                    wrong = Some(format!("entered {queue} while waiting in {before}"));
                }
                let visits = self.queues.entry(queue.clone()).or_default();
                visits.offered += 1;
                visits.waiting += 1;
            }
            Fact::QueueLeft { queue, exit, .. } => {
                if call.queue.take().as_ref() != Some(queue) {
                    wrong = Some(format!("left {queue} without waiting there"));
                } else {
                    let visits = self.queues.entry(queue.clone()).or_default();
                    visits.waiting = visits.waiting.saturating_sub(1);
                    self.figures.count_exit(&mut visits.exits, *exit);
                    if visits.offered != visits.exits.iter().sum::<u64>() + visits.waiting {
                        wrong =
                            Some(format!("{queue}: offered is not answered + abandoned + moved + failed + waiting"));
                    }
                }
            }
            Fact::CallOffered { agent, leg, .. } => {
                self.figures.offers += 1;
                call.offers.insert(*leg, agent.clone());
                if let Some(other) = self.offered.insert(agent.clone(), id) {
                    wrong = Some(format!("{agent} is offered {id} while offered {other}"));
                }
            }
            Fact::OfferEnded { agent, leg, .. } => {
                if call.offers.remove(leg).as_ref() != Some(agent) {
                    wrong = Some(format!("an offer to {agent} ended that was not made"));
                }
                self.offered.remove(agent);
            }
            Fact::CallEnded { .. } => return self.on_ended(id),
            _ => {}
        }
        if let Some(wrong) = wrong {
            self.wrong(Some(id), format!("call {id}: {wrong}"));
        }
    }

    fn on_accepted(&mut self, id: CallId, accepted: Seq, leg: LegId, sip_call_id: &str, emergency: bool) {
        self.figures.accepted += 1;
        let legs = BTreeSet::from([leg]);
        let call = OpenCall { accepted, emergency, legs, offers: BTreeMap::new(), queue: None };
        if self.open.insert(id, call).is_some() || self.ended.contains(&id) {
            self.wrong(Some(id), format!("call {id} was accepted twice"));
        }
        if !sip_call_id.is_empty() {
            self.by_call_id.insert(sip_call_id.to_owned(), id);
        }
    }

    /// True where the fact is one of a recording, which may outlive its call.
    fn on_recording(&mut self, id: CallId, fact: &Fact) -> bool {
        match fact {
            Fact::RecordingStarted { recording, .. } => {
                self.figures.recordings += 1;
                if self.recordings.insert(*recording, id).is_some() {
                    self.wrong(Some(id), format!("recording {recording} was started twice"));
                }
            }
            Fact::RecordingSealed { recording, .. } | Fact::RecordingFailed { recording, .. } => {
                // A message's recording is not told of before it is kept.
                self.recordings.remove(recording);
            }
            Fact::VoicemailLeft { .. } => self.figures.voicemails += 1,
            _ => return false,
        }
        true
    }

    fn on_ended(&mut self, id: CallId) {
        self.figures.ended += 1;
        let Some(call) = self.open.remove(&id) else { return };
        self.ended.insert(id);
        if !call.legs.is_empty() {
            self.wrong(Some(id), format!("call {id} ended with {} legs open", call.legs.len()));
        }
        if !call.offers.is_empty() {
            self.wrong(Some(id), format!("call {id} ended with an offer open: {:?}", call.offers.values()));
        }
        if let Some(queue) = call.queue {
            self.wrong(Some(id), format!("call {id} ended and still waits in {queue}"));
        }
    }

    /// A caller is not answered before the record of the call is on disk. Only an emergency call waits for no disk.
    fn on_ok(&mut self, message: &Message) {
        let to_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        let Some(call) = message.call_id().ok().filter(|_| to_invite).and_then(|id| self.call_of(id)) else { return };
        let accepted = self.open.get(&call).filter(|call| !call.emergency).map(|call| call.accepted);
        if accepted.is_some_and(|accepted| accepted > self.durable) {
            self.wrong(Some(call), format!("call {call} was answered before its record was on disk"));
        }
    }

    /// The offer stands before the INVITE.
    fn on_offer_invite(&mut self, call: &str) {
        let offered = self.offered.values().any(|offered| offered.to_string() == call.trim());
        let told = self.open.iter().any(|(id, open)| id.to_string() == call.trim() && !open.offers.is_empty());
        if !offered && !told {
            self.wrong(None, format!("an agent's phone was rung for {call}, which nobody was offered"));
        }
    }

    fn wrong(&mut self, call: Option<CallId>, what: String) {
        self.wrong.push(Wrong { what, call });
    }
}

impl Figures {
    fn count_exit(&mut self, exits: &mut [u64; 4], exit: QueueExit) {
        let (at, total) = match exit {
            QueueExit::Answered => (0, &mut self.answered),
            QueueExit::Abandoned => (1, &mut self.abandoned),
            QueueExit::Moved => (2, &mut self.moved),
            QueueExit::Failed => (3, &mut self.failed),
        };
        *total += 1;
        if let Some(exit) = exits.get_mut(at) {
            *exit += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Cause, Party, What};
    use crate::event::{Address, Direction, EVENT_VERSION};

    const CALL: CallId = CallId::from_u128(1);
    const LEG: LegId = LegId::from_u128(2);

    fn oracle(facts: Vec<Fact>) -> Oracle {
        let mut oracle = Oracle::default();
        let accepted = Fact::CallAccepted {
            leg: LEG,
            direction: Direction::Inbound,
            from: Address::default(),
            to: Address::default(),
            dialplan: None,
            sip_call_id: "abc".into(),
        };
        for (at, fact) in core::iter::once(accepted).chain(facts).enumerate() {
            let seq = Seq(at as u64 + 1);
            oracle.handle_event(&Event { v: EVENT_VERSION, seq, at: Time::from_secs(seq.0), call: Some(CALL), fact });
        }
        oracle.check_rest();
        oracle
    }

    fn cause() -> Cause {
        Cause::new(What::Hangup, Party::Caller)
    }

    fn offered() -> Fact {
        Fact::CallOffered {
            agent: "li".into(),
            queue: "sales".into(),
            leg: LEG,
            deadline: Time::EPOCH,
            waited_ms: 0,
            card: crate::event::CustomerCard::default(),
            answers: Vec::new(),
        }
    }

    fn all_wrong(mut oracle: Oracle) -> Vec<String> {
        core::iter::from_fn(|| oracle.poll_wrong()).map(|wrong| wrong.what).collect()
    }

    #[test]
    fn a_call_that_ends_in_order_is_all_right() {
        let facts = vec![Fact::LegEnded { leg: LEG, cause: cause(), stats: None }, Fact::CallEnded { cause: cause() }];
        assert_eq!(all_wrong(oracle(facts)), Vec::<String>::new());
    }

    #[test]
    fn a_call_without_a_record_a_leg_left_open_and_an_offer_left_open_are_found() {
        assert!(all_wrong(oracle(vec![])).iter().any(|wrong| wrong.contains("has no record")));
        let ended = all_wrong(oracle(vec![offered(), Fact::CallEnded { cause: cause() }]));
        assert!(ended.iter().any(|wrong| wrong.contains("1 legs open")), "{ended:?}");
        assert!(ended.iter().any(|wrong| wrong.contains("an offer open")), "{ended:?}");
    }

    #[test]
    fn a_gap_in_the_sequence_and_words_after_the_end_are_found() {
        let mut late = oracle(vec![Fact::CallEnded { cause: cause() }]);
        let fact = Fact::LegDigit { leg: LEG };
        late.handle_event(&Event { v: EVENT_VERSION, seq: Seq(9), at: Time::from_secs(9), call: Some(CALL), fact });
        let wrong = all_wrong(late);
        assert!(wrong.iter().any(|wrong| wrong.contains("event 9 follows event 2")), "{wrong:?}");
        assert!(wrong.iter().any(|wrong| wrong.contains("has ended, and then")), "{wrong:?}");
    }

    #[test]
    fn a_caller_answered_before_the_record_is_on_disk_is_found() {
        let ok =
            b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n\
            Call-ID: abc\r\nCSeq: 1 INVITE\r\n\r\n";
        for (durable, count) in [(Seq(0), 1), (Seq(1), 0)] {
            let mut oracle = oracle(vec![]);
            while oracle.poll_wrong().is_some() {}
            oracle.handle_durable(durable);
            oracle.handle_sent(ok);
            assert_eq!(all_wrong(oracle).len(), count);
        }
    }
}

//! Events → rows of the view: call records, contacts, people, registrations, recordings.
//!
//! A call's row is written whole at each of its events, open calls included, so that the fold takes up after a restart
//! exactly where its rows left off ([`Fold::resume`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::call::{CallRecord, MessageBegun, Records};
use crate::cause::What;
use crate::crm::interaction::Outcome;
use crate::crm::{Channel, Customer, Direction as Way, Interaction, Phone};
use crate::event::{Address, Direction, Event, Fact, RecordKind, Seq};
use crate::ids::{AccountName, CallId, CustomerId, InteractionId, RecordingId, UserName};
use crate::limits::call::RECORDS_ENDED;
use crate::store::view::{every_row, key};
use crate::store::{Fold, Row, RowChange, View, ViewError};

/// Goes up with any change of a row's meaning; the view is then rebuilt at the next start.
const VERSION: u32 = 4;

/// The fold of the whole centre.
#[derive(Default)]
pub struct EventFold {
    records: Mutex<Records>,
    customers: Mutex<Customers>,
}

/// Customers' phones by records that the view may not have yet, with the record: whom a phone led to before is
/// found here or in the view.
type Customers = BTreeMap<CustomerId, (Seq, Vec<Phone>)>;

/// A recording as the index keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct RecordingRow {
    pub recording: crate::ids::RecordingId,
    pub call: CallId,
    pub file: String,
    pub at: crate::time::Time,
    pub seconds: f64,
    pub bytes: u64,
}

/// A voicemail message as its box keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct VoicemailRow {
    pub id: crate::ids::VoicemailId,
    pub r#box: String,
    pub call: CallId,
    pub from: crate::event::Address,
    pub file: String,
    pub at: crate::time::Time,
    pub seconds: f64,
}

impl EventFold {
    /// The facts that close every call which a crash left open.
    pub fn close_open(&self) -> Vec<(CallId, Fact)> {
        self.lock().close_open()
    }

    /// Recordings that a crash cut short, with their calls and files.
    pub fn unsealed(&self) -> Vec<(CallId, RecordingId, String)> {
        self.lock().unsealed()
    }

    /// Messages that a crash cut short, with their calls and who left them.
    pub fn messages(&self) -> Vec<(CallId, Address, MessageBegun)> {
        self.lock().messages()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventFold {
    /// A customer's row, and the ways to it by phone: those that lead there no more go first.
    fn rows_of_customer(&self, view: &dyn View, seq: Seq, fact: &Fact) -> Vec<RowChange> {
        let (id, now) = match fact {
            Fact::RecordSaved { kind: RecordKind::Customer, record, .. } => {
                let Ok(customer) = serde_json::from_value::<Customer>(record.clone()) else { return Vec::new() };
                (customer.id, Some((customer.phones, record)))
            }
            Fact::RecordRemoved { kind: RecordKind::Customer, key, .. } => match key.parse() {
                Ok(id) => (id, None),
                Err(_) => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let phones = now.as_ref().map_or(&[][..], |(phones, _)| phones);
        let before = self.former_phones(view, seq, id, phones.to_vec());
        let left = before.iter().filter(|phone| !phones.contains(phone));
        let mut rows: Vec<RowChange> =
            left.map(|phone| RowChange::Delete { key: key::customer_by_phone(phone.as_str(), id) }).collect();
        let target = key::customer(id);
        rows.extend(
            phones
                .iter()
                .map(|phone| RowChange::Put { key: key::customer_by_phone(phone.as_str(), id), value: target.clone() }),
        );
        rows.push(match now {
            Some((_, record)) => put(target, record),
            None => RowChange::Delete { key: target },
        });
        rows
    }

    /// A customer's phones before this record, which sets them anew.
    fn former_phones(&self, view: &dyn View, seq: Seq, id: CustomerId, now: Vec<Phone>) -> Vec<Phone> {
        let mut pending = self.customers.lock().unwrap_or_else(PoisonError::into_inner);
        // A view that cannot be read keeps what it has; the next save tidies it up.
        let applied = view.position().unwrap_or_default();
        pending.retain(|_, (folded, _)| *folded > applied);
        let stored = || {
            let row = view.get(&key::customer(id)).ok().flatten()?;
            serde_json::from_slice(&row).ok().map(|customer: Customer| customer.phones)
        };
        match pending.insert(id, (seq, now)) {
            Some((_, phones)) => phones,
            None => stored().unwrap_or_default(),
        }
    }
}

impl Fold for EventFold {
    fn version(&self) -> u32 {
        VERSION
    }

    /// Takes up the calls that were open, or ended lately, when the view was last written.
    fn resume(&self, view: &dyn View) -> Result<(), ViewError> {
        let mut open = Vec::new();
        every_row(view, OPEN, |marker| open.push(marker.value))?;
        let mut records = Records::new();
        for row in open {
            if let Some(record) = view.get(&row)?.and_then(|value| serde_json::from_slice(&value).ok()) {
                records.resume(record);
            }
        }
        for row in view.range_back(&key::calls(), None, RECORDS_ENDED)? {
            if let Some(record) = read_call(&row).filter(|record| record.ended.is_some()) {
                records.resume(record);
            }
        }
        *self.lock() = records;
        self.customers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn rows(&self, view: &dyn View, seq: Seq, payload: &[u8]) -> Vec<RowChange> {
        let Ok(event) = serde_json::from_slice::<Event>(payload) else { return Vec::new() };
        let mut rows = self.rows_of_customer(view, seq, &event.fact);
        rows.extend(rows_of_fact(&event));
        if let Some(record) = self.lock().apply(&event) {
            rows.extend(rows_of_call(&record));
        }
        rows
    }
}

/// Markers of open calls: `o/{call}` → the key of the call's row.
const OPEN: &[u8] = b"o/";

pub fn read_call(row: &Row) -> Option<CallRecord> {
    serde_json::from_slice(&row.value).ok()
}

fn rows_of_call(record: &CallRecord) -> Vec<RowChange> {
    let row = key::call(record.accepted, record.call);
    let marker = format!("o/{}", record.call).into_bytes();
    let mut rows = vec![put(row.clone(), record)];
    if record.ended.is_none() {
        rows.push(RowChange::Put { key: marker, value: row });
        return rows;
    }
    rows.push(RowChange::Delete { key: marker });
    if let Some(contact) = interaction_of(record) {
        let target = key::interaction(contact.id);
        if !contact.number.is_empty() {
            rows.push(RowChange::Put { key: key::by_number(&contact.number, contact.id), value: target.clone() });
        }
        if let Some(agent) = &contact.agent {
            rows.push(RowChange::Put { key: key::by_agent(agent, contact.id), value: target.clone() });
        }
        if let Some(customer) = contact.customer {
            rows.push(RowChange::Put { key: key::by_customer(customer, contact.id), value: target.clone() });
        }
        rows.push(put(target, &contact));
    }
    rows
}

/// What the customer remembers of a call. Calls within the house are no contact.
fn interaction_of(record: &CallRecord) -> Option<Interaction> {
    let (direction, number) = match record.direction {
        Direction::Inbound => (Way::In, record.from.number.clone()),
        Direction::Outbound => (Way::Out, record.to.number.clone()),
        Direction::Internal => return None,
    };
    let spoke = record.agent.is_some();
    let queued = record.queues.last();
    let outcome = match (direction, spoke) {
        (Way::In, true) => Outcome::Answered,
        (Way::Out, _) if record.legs.iter().filter(|leg| leg.answered.is_some()).count() > 1 => Outcome::Answered,
        (Way::Out, _) => Outcome::NotReached,
        (Way::In, false) => unspoken(record),
    };
    Some(Interaction {
        id: InteractionId::from_u128(record.call.as_u128()),
        customer: record.customer,
        at: record.accepted,
        channel: Channel::Voice,
        direction,
        number,
        calls: vec![record.call],
        queue: queued.map(|visit| visit.queue.clone()),
        agent: record.agent.clone(),
        language: None,
        topic: None,
        disposition: (!record.disposition.is_empty()).then(|| record.disposition.clone()),
        note: record.notes.clone(),
        outcome,
        open: false,
    })
}

/// How a call in came out that no agent spoke in.
fn unspoken(record: &CallRecord) -> Outcome {
    if record.voicemail.is_some() {
        return Outcome::LeftMessage;
    }
    match record.cause.map(|cause| cause.what) {
        Some(What::Abandoned) => Outcome::Abandoned,
        Some(What::Completed | What::Hangup | What::Transferred) if !record.queues.is_empty() => Outcome::Abandoned,
        Some(What::Completed | What::Hangup | What::Transferred) => Outcome::SelfServed,
        _ => Outcome::Failed,
    }
}

fn rows_of_fact(event: &Event) -> Vec<RowChange> {
    match &event.fact {
        Fact::RecordSaved { kind, key, record, .. } => saved(*kind, key, record),
        Fact::RecordRemoved { kind, key, .. } => removed(*kind, key),
        Fact::PhoneRegistered { account, contact, binding, .. } => {
            vec![put(key::registration(account, contact), &(account, binding))]
        }
        Fact::PhoneUnregistered { account, contact, .. } => {
            vec![RowChange::Delete { key: key::registration(account, contact) }]
        }
        Fact::RecordingSealed { recording, file, seconds, bytes } => {
            let Some(call) = event.call else { return Vec::new() };
            let (recording, file, at) = (*recording, file.clone(), event.at);
            let row = RecordingRow { recording, call, file, at, seconds: *seconds, bytes: *bytes };
            vec![put(key::recording(recording), &row)]
        }
        Fact::VoicemailLeft { voicemail, r#box, from, file, seconds } => {
            let Some(call) = event.call else { return Vec::new() };
            let (id, from, file) = (*voicemail, from.clone(), file.clone());
            let row = VoicemailRow { id, r#box: r#box.clone(), call, from, file, at: event.at, seconds: *seconds };
            vec![put(key::voicemail(r#box, id), &row)]
        }
        _ => Vec::new(),
    }
}

fn saved(kind: RecordKind, name: &str, record: &serde_json::Value) -> Vec<RowChange> {
    match kind {
        RecordKind::User => vec![put(key::user(&UserName::new(name)), record)],
        RecordKind::Account => vec![put(key::account(&AccountName::new(name)), record)],
        RecordKind::Agent => vec![put(key::agent(&UserName::new(name)), record)],
        // By `rows_of_customer`.
        RecordKind::Customer => Vec::new(),
        RecordKind::Voicemail => Vec::new(),
    }
}

fn removed(kind: RecordKind, name: &str) -> Vec<RowChange> {
    let row = match kind {
        RecordKind::User => key::user(&UserName::new(name)),
        RecordKind::Account => key::account(&AccountName::new(name)),
        RecordKind::Agent => key::agent(&UserName::new(name)),
        // By `rows_of_customer`.
        RecordKind::Customer => return Vec::new(),
        // `box/id`
        RecordKind::Voicemail => match name.split_once('/').and_then(|(b, id)| Some((b, id.parse().ok()?))) {
            Some((mailbox, id)) => key::voicemail(mailbox, id),
            None => return Vec::new(),
        },
    };
    vec![RowChange::Delete { key: row }]
}

fn put(key: Vec<u8>, value: &impl Serialize) -> RowChange {
    RowChange::Put { key, value: serde_json::to_vec(value).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Cause, Party};
    use crate::event::{Address, EVENT_VERSION, Role};
    use crate::ids::{Epoch, LegId, VoicemailId};
    use crate::limits::store::VIEW_PAGE_ROWS;
    use crate::store::memory::{MemoryLedger, MemoryView};
    use crate::store::view::catch_up;
    use crate::store::{Batch, Ledger};
    use crate::time::Time;

    const CALL: CallId = CallId::from_u128(7);

    fn event(seq: u64, fact: Fact) -> Vec<u8> {
        let at = Time::from_secs(1_000_000 + seq);
        serde_json::to_vec(&Event { v: EVENT_VERSION, seq: Seq(seq), at, call: Some(CALL), fact }).unwrap()
    }

    fn accepted() -> Fact {
        Fact::CallAccepted {
            leg: LegId::from_u128(1),
            direction: Direction::Inbound,
            from: Address { number: "+8613800138000".into(), ..Address::default() },
            to: Address { number: "95539".into(), ..Address::default() },
            dialplan: None,
            sip_call_id: "x".into(),
        }
    }

    #[test]
    fn a_fold_that_restarts_between_two_events_ends_with_the_same_rows() {
        let story = [
            accepted(),
            Fact::LegAnswered { leg: LegId::from_u128(1), codec: "PCMA".into() },
            Fact::CallEnded { cause: Cause::new(What::Completed, Party::Plan) },
        ];
        let (whole, restarted) = (MemoryView::new(), MemoryView::new());
        whole.reset(VERSION).unwrap();
        restarted.reset(VERSION).unwrap();
        let fold = EventFold::default();
        for (seq, fact) in (1..).zip(story) {
            let payload = event(seq, fact);
            whole.apply(Seq(seq), &fold.rows(&whole, Seq(seq), &payload)).unwrap();
            let again = EventFold::default();
            again.resume(&restarted).unwrap();
            restarted.apply(Seq(seq), &again.rows(&restarted, Seq(seq), &payload)).unwrap();
        }
        assert_eq!(whole.all(), restarted.all());
        let calls = whole.range(&key::calls(), None, 10).unwrap();
        assert_eq!(read_call(&calls[0]).and_then(|record| record.ended), Some(Time::from_secs(1_000_003)));
        assert!(whole.range(OPEN, None, 10).unwrap().is_empty(), "no call is open any more");
        assert_eq!(whole.range(&key::of_number("+8613800138000"), None, 10).unwrap().len(), 1);
    }

    /// How the contact of a call with these facts came out.
    fn outcome(facts: &[Fact]) -> Outcome {
        let (view, fold) = (MemoryView::new(), EventFold::default());
        view.reset(VERSION).unwrap();
        for (seq, fact) in (1..).zip(facts.iter().cloned()) {
            view.apply(Seq(seq), &fold.rows(&view, Seq(seq), &event(seq, fact))).unwrap();
        }
        let contact = view.get(&key::interaction(InteractionId::from_u128(CALL.as_u128()))).unwrap().unwrap();
        serde_json::from_slice::<Interaction>(&contact).unwrap().outcome
    }

    #[test]
    fn a_contact_says_how_it_came_out() {
        let ended = |what, by| Fact::CallEnded { cause: Cause::new(what, by) };
        let queued = Fact::QueueEntered { queue: "gold".into(), priority: 5, tier: "gold".into(), position: 1 };
        let message = Fact::VoicemailLeft {
            voicemail: VoicemailId::from_u128(3),
            r#box: "gold".into(),
            from: Address::default(),
            file: "a.wav".into(),
            seconds: 4.0,
        };
        let hangup = ended(What::Hangup, Party::Caller);
        assert_eq!(outcome(&[accepted(), hangup.clone()]), Outcome::SelfServed);
        assert_eq!(outcome(&[accepted(), queued.clone(), hangup.clone()]), Outcome::Abandoned);
        assert_eq!(outcome(&[accepted(), queued.clone(), message.clone(), hangup.clone()]), Outcome::LeftMessage);
        // A caller who hangs up while speaking: the message is on disk after the call has ended.
        assert_eq!(outcome(&[accepted(), hangup, message]), Outcome::LeftMessage);
        for broken in [What::Defect, What::MediaTimeout, What::SwitchRestart] {
            assert_eq!(outcome(&[accepted(), queued.clone(), ended(broken, Party::Switch)]), Outcome::Failed);
        }
    }

    #[test]
    fn a_call_left_open_by_a_crash_is_found_and_closed() {
        let view = MemoryView::new();
        view.reset(VERSION).unwrap();
        view.apply(Seq(1), &EventFold::default().rows(&view, Seq(1), &event(1, accepted()))).unwrap();
        let fold = EventFold::default();
        fold.resume(&view).unwrap();
        let closing = fold.close_open();
        assert_eq!(closing.len(), 1);
        assert_eq!(closing[0].0, CALL);
    }

    fn ended() -> Fact {
        Fact::CallEnded { cause: Cause::new(What::Completed, Party::Plan) }
    }

    /// A ledger with one call, and the view that it folds to.
    fn kept() -> (MemoryLedger, MemoryView) {
        let mut ledger = MemoryLedger::new(Epoch::from_u128(1));
        let leg = LegId::from_u128(2);
        let added = Fact::LegAdded { leg, role: Role::Agent, to: Address::default(), agent: Some("li".into()) };
        let queued = Fact::QueueEntered { queue: "gold".into(), priority: 5, tier: "gold".into(), position: 1 };
        for (seq, fact) in (1..).zip([accepted(), added, queued, ended()]) {
            ledger.append(&Batch { first: Seq(seq), records: &[&event(seq, fact)] }).unwrap();
        }
        let view = MemoryView::new();
        catch_up(&ledger, &view, &EventFold::default(), |_| {}).unwrap();
        (ledger, view)
    }

    #[test]
    fn rows_that_a_failed_write_of_the_view_lost_are_folded_again_and_nothing_is_doubled() {
        let (ledger, whole) = kept();
        for lost_from in 1..=4 {
            let (view, fold) = (MemoryView::new(), EventFold::default());
            view.reset(VERSION).unwrap();
            let mut records = ledger.read(Seq::FIRST).unwrap();
            while let Some(record) = records.next().unwrap() {
                let rows = fold.rows(&view, record.seq, &record.payload);
                if record.seq < Seq(lost_from) {
                    view.apply(record.seq, &rows).unwrap();
                }
            }
            catch_up(&ledger, &view, &fold, |_| {}).unwrap();
            assert_eq!(view.all(), whole.all(), "lost from {lost_from} on");
        }
    }

    /// The fold of the next release.
    struct Newer(EventFold);

    impl Fold for Newer {
        fn version(&self) -> u32 {
            VERSION + 1
        }

        fn resume(&self, view: &dyn View) -> Result<(), ViewError> {
            self.0.resume(view)
        }

        fn rows(&self, view: &dyn View, seq: Seq, payload: &[u8]) -> Vec<RowChange> {
            self.0.rows(view, seq, payload)
        }
    }

    #[test]
    fn after_an_upgrade_the_view_is_rebuilt_with_each_leg_once_and_no_ended_call_is_closed_again() {
        let (ledger, view) = kept();
        let before = view.all();
        let upgraded = Newer(EventFold::default());
        upgraded.resume(&view).unwrap();
        assert!(catch_up(&ledger, &view, &upgraded, |_| {}).unwrap().rebuilt);
        assert_eq!(view.all(), before);
        assert_eq!(upgraded.0.close_open(), []);
    }

    #[test]
    fn more_open_calls_than_one_page_of_the_view_are_all_closed_after_a_crash() {
        let (view, fold) = (MemoryView::new(), EventFold::default());
        view.reset(VERSION).unwrap();
        let calls = VIEW_PAGE_ROWS as u64 + 1;
        for seq in 1..=calls {
            let event: Event = serde_json::from_slice(&event(seq, accepted())).unwrap();
            let event = Event { call: Some(CallId::from_u128(u128::from(seq))), ..event };
            view.apply(Seq(seq), &fold.rows(&view, Seq(seq), &serde_json::to_vec(&event).unwrap())).unwrap();
        }
        let restarted = EventFold::default();
        restarted.resume(&view).unwrap();
        assert_eq!(restarted.close_open().len() as u64, calls);
    }

    const BAI: CustomerId = CustomerId::from_u128(5);

    /// Bai with these phones.
    fn bai(phones: &[&str]) -> Fact {
        let record = serde_json::json!({ "id": BAI, "name": { "family": "Bai" }, "phones": phones });
        Fact::RecordSaved { kind: RecordKind::Customer, key: BAI.to_string(), by: "root".into(), record }
    }

    fn led_to_by(view: &MemoryView) -> Vec<String> {
        let rows = view.range(b"i/phone/", None, 10).unwrap();
        rows.iter().map(|row| String::from_utf8(row.key.clone()).unwrap().split('/').nth(2).unwrap().into()).collect()
    }

    #[test]
    fn a_phone_that_a_customer_has_no_more_leads_nowhere() {
        let (home, office, mobile) = ("+862038120001", "+862038120002", "+8613800138000");
        let removed = Fact::RecordRemoved { kind: RecordKind::Customer, key: BAI.to_string(), by: "root".into() };
        let story = [bai(&[home, mobile]), bai(&[mobile]), bai(&[office, mobile]), removed];
        let left = [vec![home, mobile], vec![mobile], vec![office, mobile], vec![]];
        // Applied one by one, and all records in one group: the view has none of them while they are folded.
        for last in 1..=story.len() {
            let (single, group, fold, again) =
                (MemoryView::new(), MemoryView::new(), EventFold::default(), EventFold::default());
            single.reset(VERSION).unwrap();
            group.reset(VERSION).unwrap();
            let mut rows = Vec::new();
            for (seq, fact) in (1..).zip(&story[..last]) {
                let payload = event(seq, fact.clone());
                single.apply(Seq(seq), &fold.rows(&single, Seq(seq), &payload)).unwrap();
                rows.extend(again.rows(&group, Seq(seq), &payload));
            }
            group.apply(Seq(last as u64), &rows).unwrap();
            let mut expected = left[last - 1].clone();
            expected.sort_unstable();
            assert_eq!(led_to_by(&single), expected);
            assert_eq!(single.all(), group.all());
            assert_eq!(single.get(&key::customer(BAI)).unwrap().is_some(), last < story.len());
        }
    }

    #[test]
    fn phones_are_remembered_only_until_the_view_has_them() {
        let (view, fold) = (MemoryView::new(), EventFold::default());
        view.reset(VERSION).unwrap();
        view.apply(Seq(1), &fold.rows(&view, Seq(1), &event(1, bai(&["+8613800138000"])))).unwrap();
        let other = CustomerId::from_u128(6);
        fold.former_phones(&view, Seq(2), other, Vec::new());
        assert_eq!(fold.customers.lock().unwrap().keys().copied().collect::<Vec<_>>(), [other]);
    }
}

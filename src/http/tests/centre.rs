//! A centre in memory: the view is folded as the writer folds it, orders are noted and answered, and events are made by
//! the test.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use futures_util::future::BoxFuture;

use super::PASSWORD;
use crate::command::{Command, Done, Order, Refusal, UserRole};
use crate::crm::people::{ClearPassword, PasswordHash};
use crate::crm::{Phone, User};
use crate::event::{Address, Direction, EVENT_VERSION, Event, Fact, RecordKind, Seq};
use crate::http::auth::{Auth, SignOuts};
use crate::http::centre::{Centre, Health, LadderMessage, NotReloaded, PlanNames, ReadFailed, Reloaded};
use crate::http::cti::{Bounds, Hub};
use crate::http::desk::{Desk, QueuePlan, Start, StartAgent};
use crate::ids::{AgentName, CallId, Epoch, LegId};
use crate::runtime::bus::Observer;
use crate::runtime::fold::EventFold;
use crate::store::memory::MemoryView;
use crate::store::{Fold, RowChange, View, password};
use crate::time::Time;

/// How long a session lasts.
pub const SESSION_TIME: core::time::Duration = core::time::Duration::from_secs(43_200);
pub const BOUNDS: Bounds = Bounds { sessions: 100, lag_events: 512 };
pub const EPOCH: Epoch = Epoch::from_u128(42);
pub const NOW: Time = Time::from_secs(1_700_000_000);

pub struct MemoryCentre {
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    view: Arc<MemoryView>,
    fold: EventFold,
    state: Mutex<State>,
    pub links: Mutex<Vec<(String, bool)>>,
    pub orders: Mutex<Vec<Command>>,
    pub files: tempfile::TempDir,
}

struct State {
    now: Time,
    events: Vec<Event>,
    sign_outs: SignOuts,
    /// Answers prepared for orders, by name.
    refusals: BTreeMap<&'static str, Refusal>,
    /// What comes of the next reloads.
    reloads: VecDeque<Result<Reloaded, NotReloaded>>,
}

/// One hash serves all tests: making it takes tens of milliseconds by design.
static HASH: LazyLock<PasswordHash> = LazyLock::new(|| password::hash(&ClearPassword(PASSWORD.into())).unwrap());

impl MemoryCentre {
    pub fn new() -> Arc<Self> {
        let start = Start {
            now: NOW,
            agents: vec![StartAgent { name: "agent".into(), display: "Li Na".into(), skills: BTreeMap::new() }],
            queues: ["support", "sales"].map(|name| (name.into(), QueuePlan::default())).into(),
            trunks: vec!["carrier".into()],
            ..Start::default()
        };
        let view = MemoryView::new();
        view.reset(EventFold::default().version()).unwrap();
        let (hub, auth) = (Hub::new(Desk::new(start), EPOCH, 3, BOUNDS), Arc::new(Auth::new(SESSION_TIME)));
        let sign_outs = SignOuts { auth: Arc::clone(&auth), hub: Arc::clone(&hub) };
        let centre = Arc::new(Self {
            hub,
            auth,
            view: Arc::new(view),
            fold: EventFold::default(),
            state: Mutex::new(State {
                now: NOW,
                events: Vec::new(),
                sign_outs,
                refusals: BTreeMap::new(),
                reloads: VecDeque::new(),
            }),
            links: Mutex::default(),
            orders: Mutex::default(),
            files: tempfile::tempdir().unwrap(),
        });
        for role in UserRole::ALL {
            centre.save_user(role.code(), role);
        }
        centre
    }

    pub fn remove_user(&self, name: &str) {
        self.emit(None, Fact::RecordRemoved { kind: RecordKind::User, key: name.into(), by: "test".into() });
    }

    pub fn save_user(&self, name: &str, role: UserRole) {
        let user = User {
            name: name.into(),
            display: String::new(),
            role,
            language: None,
            account: None,
            password: Some(HASH.clone()),
            disabled: false,
        };
        let record = serde_json::to_value(&user).unwrap();
        self.emit(None, Fact::RecordSaved { kind: RecordKind::User, key: name.into(), by: "test".into(), record });
    }

    /// Something happens: durable, folded, and on the bus.
    pub fn emit(&self, call: Option<CallId>, fact: Fact) -> Seq {
        let mut state = self.state.lock().unwrap();
        let seq = Seq(state.events.len() as u64 + 1);
        let event = Event { v: EVENT_VERSION, seq, at: state.now, call, fact };
        let payload = serde_json::to_vec(&event).unwrap();
        self.view.apply(seq, &self.fold.rows(&*self.view, seq, &payload)).unwrap();
        state.events.push(event.clone());
        let event = Arc::new(event);
        state.sign_outs.handle(&event);
        self.hub.publish(&event);
        seq
    }

    pub fn pass(&self, span: core::time::Duration) {
        self.state.lock().unwrap().now += span;
    }

    pub fn refuse(&self, order: &'static str, refusal: Refusal) {
        self.state.lock().unwrap().refusals.insert(order, refusal);
    }

    /// Takes a row from the store behind everybody's back.
    pub fn forget(&self, key: &[u8]) {
        let next = Seq(self.view.position().unwrap().0 + 1);
        assert!(self.view.apply(next, &[RowChange::Delete { key: key.to_vec() }]).unwrap());
    }

    pub fn prepare_reload(&self, outcome: Result<Reloaded, NotReloaded>) {
        self.state.lock().unwrap().reloads.push_back(outcome);
    }

    /// A caller reaches the queue and is offered to `agent`.
    pub fn offer(&self, n: u128) -> CallId {
        let call = self.arrive(n);
        let fact = Fact::QueueEntered { queue: "support".into(), priority: 30, tier: "gold".into(), position: 1 };
        self.emit(Some(call), fact);
        let fact = Fact::CallOffered {
            agent: "agent".into(),
            queue: "support".into(),
            leg: LegId::from_u128(n * 10 + 1),
            deadline: NOW,
            waited_ms: 1_000,
            card: crate::event::CustomerCard {
                name: "Bai Xue".into(),
                numbers: vec!["+8613800138000".into()],
                ..Default::default()
            },
            answers: Vec::new(),
        };
        self.emit(Some(call), fact);
        call
    }

    pub fn arrive(&self, n: u128) -> CallId {
        // An id bears its time, as the switch makes it.
        let call = CallId::from_u128((u128::from(NOW.as_millis()) << 80) | n);
        let fact = Fact::CallAccepted {
            leg: LegId::from_u128(n * 10),
            direction: Direction::Inbound,
            from: Address { number: "+8613800138000".into(), ..Address::default() },
            to: Address { number: "95539".into(), ..Address::default() },
            dialplan: Some("main".into()),
            sip_call_id: "x".into(),
        };
        self.emit(Some(call), fact);
        call
    }
}

impl Centre for MemoryCentre {
    fn now(&self) -> Time {
        self.state.lock().unwrap().now
    }

    fn epoch(&self) -> Epoch {
        EPOCH
    }

    fn order(&self, command: Command) -> BoxFuture<'_, Result<Done, Refusal>> {
        self.orders.lock().unwrap().push(command.clone());
        let name = serde_json::to_value(&command.order).unwrap()["name"].as_str().unwrap().to_owned();
        let refusal = self.state.lock().unwrap().refusals.get(name.as_str()).cloned();
        let by = command.by.user;
        let result = match (refusal, command.order) {
            (Some(refusal), _) => Err(refusal),
            (None, Order::SaveRecord { kind, record }) => {
                let id = ["id", "name", "user"].iter().find_map(|field| record[field].as_str());
                let key = id.unwrap_or_default().to_owned();
                Ok(self.emit(None, Fact::RecordSaved { kind, key, by, record }))
            }
            (None, Order::RemoveRecord { kind, key }) => Ok(self.emit(None, Fact::RecordRemoved { kind, key, by })),
            (None, _) => Ok(Seq(self.state.lock().unwrap().events.len() as u64)),
        };
        Box::pin(async move { result.map(|seq| Done { seq, call: None }) })
    }

    fn agent_link(&self, agent: &AgentName, up: bool) {
        self.links.lock().unwrap().push((agent.to_string(), up));
    }

    fn view(&self) -> Arc<dyn View> {
        self.view.clone()
    }

    fn events_of(&self, call: CallId, first: Seq, last: Seq) -> Result<Vec<Event>, ReadFailed> {
        let state = self.state.lock().unwrap();
        let of_call = |event: &&Event| event.call == Some(call) && (first..=last).contains(&event.seq);
        Ok(state.events.iter().filter(of_call).cloned().collect())
    }

    fn ladder(&self, call: CallId) -> Option<Vec<LadderMessage>> {
        let bytes = bytes::Bytes::from_static(b"INVITE sip:95539@x SIP/2.0\r\n\r\n");
        let message = LadderMessage { at: NOW, sent: false, peer: "127.0.0.9:5060".parse().unwrap(), bytes };
        (call.as_u128() & 0xff == 1).then(|| vec![message])
    }

    fn health(&self) -> Health {
        Health { ready: false, reasons: vec!["draining".into()], version: "0".into(), calls: 0 }
    }

    fn metrics(&self) -> String {
        "calls 0\n".into()
    }

    fn plan(&self) -> PlanNames {
        PlanNames { domain: "localhost".into(), skills: vec!["billing".into()], ..PlanNames::default() }
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, NotReloaded>> {
        let next = self.state.lock().unwrap().reloads.pop_front().unwrap_or(Err(NotReloaded::Unfollowed));
        Box::pin(async { next })
    }

    fn normalise(&self, number: &str) -> Option<Phone> {
        let digits: String = number.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        Phone::parse(&digits).or_else(|_| Phone::parse(&format!("+86{digits}"))).ok()
    }

    fn recording_file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}

//! The switch: everything that touches two calls, as one pure value.
//!
//! ```text
//!            Input ──▶ handle(now, input) ──▶ poll_effect()*  ──▶ sleep until poll_timeout()
//!
//!   sip::Endpoint ─┐                    ┌─ arrival   whose call is this, may it come, where does it go
//!   acd::Acd ──────┤                    ├─ legs      ring, answer, end: one party's SIP and media
//!   ivr::Machine ──┼─ settle: drained   ├─ walk      the dialplan's wishes
//!   timers ────────┘  until quiet ──────┼─ waiting   queue, offers, overflow
//!                                       ├─ talk      who hears whom, hold, transfer
//!                                       ├─ desk      orders of agents and supervisors
//!                                       └─ record    recordings and voicemail
//! ```
//!
//! One thread owns one switch; there is nothing to lock. A call is taken out of the map for a step and put back;
//! what a step sets off in a sub-machine is picked up by [`Switch::settle`], never from within the step, so that
//! nothing is entered twice. A defect that panics costs the call it was working on, never the house.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

mod arrival;
mod call;
mod desk;
mod dial;
mod edition;
mod effect;
mod input;
mod legs;
mod ports;
mod record;
mod request;
mod rescue;
mod roster;
mod signals;
mod snapshot;
mod sound;
mod talk;
#[cfg(test)]
mod tests;
mod timer;
mod trace;
mod trunks;
mod waiting;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use core::time::Duration;

use crate::acd::{Acd, Repair};
use crate::event::{EVENT_VERSION, Event, Fact, Seq};
use crate::ids::{AccountName, AgentName, CallId, Epoch, IdSource, LegId, RecordingId, SecretSource, TrunkName};
use crate::media::{MediaCommand, PlayId, PortId, RoomId};
use crate::plan::model::Digest;
use crate::sip::digest::Algorithm;
use crate::sip::endpoint::{self, Endpoint};
use crate::sip::event::SessionId;
use crate::sip::flow::Listener;
use crate::sip::registrar::{Binding, Expires};
use crate::time::Time;

pub use edition::{Edition, Sounds};
pub use effect::Effect;
pub use input::{CommandId, Input, StoreHealth};
pub use ports::{EngineId, Ports};
pub use record::SHORTEST_MESSAGE;
pub use request::{Keyed, Known, Query, Reply, RequestId};
pub use roster::Roster;
pub use snapshot::{Counts, Levels};

use arrival::Rates;
use call::Call;
use legs::Place;
use request::Requests;
use roster::Desks;
use timer::{Timer, Timers};

/// How long `call.accepted` may take to reach the disk before the caller is refused.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a closed leg's statistics are waited for.
const STATS_TIMEOUT: Duration = Duration::from_secs(1);
/// How often derived state is compared with live legs.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);

/// What a switch is made from: the edition it starts with, who serves, and what the last boot left.
pub struct Boot {
    pub now: Time,
    pub epoch: Epoch,
    pub edition: Arc<Edition>,
    pub roster: Roster,
    pub listeners: Vec<Listener>,
    /// The last event in the ledger.
    pub last: Seq,
    /// Facts that close what the last boot left open (`call::Records::close_open`).
    pub closing: Vec<(CallId, Fact)>,
    /// Bindings that phones made with an earlier boot.
    pub bindings: Vec<(AccountName, Binding)>,
    /// Ids and chances in decisions.
    pub seed: u64,
    /// Tags, branches, nonces.
    pub secrets: SecretSource,
    /// A panic is passed on instead of contained: for simulation and tests.
    pub rethrow: bool,
}

/// The switch.
pub struct Switch {
    now: Time,
    edition: Arc<Edition>,
    ids: IdSource,
    endpoint: Endpoint,
    listeners: Vec<Listener>,
    acd: Acd,
    roster: Roster,
    desks: Desks,
    calls: BTreeMap<CallId, Call>,
    /// Calls whose `call.accepted` the disk does not have yet.
    accepting: BTreeMap<Seq, CallId>,
    sessions: BTreeMap<SessionId, (CallId, LegId)>,
    /// Legs by port, those that only owe their statistics included.
    legs: BTreeMap<PortId, Place>,
    plays: BTreeMap<PlayId, (CallId, LegId)>,
    writing: BTreeMap<RecordingId, record::Writing>,
    /// Wrap-up notes as far as the agent has typed them; kept with the wrap-up however it ends.
    drafts: BTreeMap<AgentName, String>,
    ports: Ports,
    timers: Timers,
    requests: Requests,
    rates: Rates,
    /// Trunks that failed their probe or their registration.
    trunks_down: BTreeSet<TrunkName>,
    /// Trunks the user agent was told of.
    known_trunks: BTreeSet<TrunkName>,
    /// Ended sessions, for the ladder.
    traced: BTreeMap<SessionId, CallId>,
    /// Agents whose desktop lost its link.
    unlinked: BTreeSet<AgentName>,
    /// Calls whose dialplan has something to say.
    restless: BTreeSet<CallId>,
    effects: VecDeque<Effect>,
    seq: Seq,
    durable: Seq,
    store: StoreHealth,
    draining: bool,
    drained: bool,
    counts: Counts,
    repaired: Vec<Repair>,
    last_port: u64,
    last_room: u64,
    last_play: u64,
    /// The call being worked on, for the case that the work panics.
    at_work: Option<CallId>,
    rethrow: bool,
}

impl Switch {
    /// A switch that has just started: `system.started` and the ends of calls that the last boot left open are the
    /// first effects.
    pub fn new(boot: Boot) -> Self {
        let plan = &boot.edition.plan;
        let mut ids = IdSource::from_seed(boot.seed);
        let acd_seed = u64::from(ids.below(u32::MAX));
        let settings = endpoint_settings(&boot.edition, &boot.listeners);
        let mut endpoint = Endpoint::new(settings, boot.secrets);
        endpoint.set_bounds(endpoint_bounds(&boot.edition));
        let acd =
            Acd::new(boot.edition.queues.clone(), acd_seed).expect("an edition's queues were checked when it was made");
        let mut switch = Self {
            now: boot.now,
            ids,
            endpoint,
            listeners: boot.listeners,
            acd,
            roster: Roster::default(),
            desks: Desks::default(),
            calls: BTreeMap::new(),
            accepting: BTreeMap::new(),
            sessions: BTreeMap::new(),
            legs: BTreeMap::new(),
            plays: BTreeMap::new(),
            writing: BTreeMap::new(),
            drafts: BTreeMap::new(),
            ports: Ports::new(plan.media.port_first, plan.media.port_last, plan.media.engines),
            timers: Timers::default(),
            requests: Requests::default(),
            rates: Rates::default(),
            trunks_down: BTreeSet::new(),
            known_trunks: BTreeSet::new(),
            traced: BTreeMap::new(),
            unlinked: BTreeSet::new(),
            restless: BTreeSet::new(),
            effects: VecDeque::new(),
            seq: boot.last,
            durable: boot.last,
            store: StoreHealth::Well,
            draining: false,
            drained: false,
            counts: Counts::default(),
            repaired: Vec::new(),
            last_port: 0,
            last_room: 0,
            last_play: 0,
            at_work: None,
            rethrow: boot.rethrow,
            edition: boot.edition,
        };
        let plan = switch.edition.digest.clone();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        switch.emit(None, Fact::SystemStarted { epoch: boot.epoch, version, plan });
        for (call, fact) in boot.closing {
            switch.emit(Some(call), fact);
        }
        switch.load_roster(boot.roster, boot.bindings);
        switch.tell_hours();
        switch.timers.set(boot.now + RECONCILE_EVERY, Timer::Reconcile);
        switch.settle();
        switch
    }

    /// Takes one input in and does all that follows from it. Drain [`Switch::poll_effect`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        self.at_work = None;
        // A defect is caught here: the call at work is cleared, derived state is rebuilt from live legs. In simulation
        // it is passed on.
        let step = catch_unwind(AssertUnwindSafe(|| {
            self.on_input(input);
            self.settle();
        }));
        if let Err(panic) = step {
            if self.rethrow {
                resume_unwind(panic);
            }
            self.rescue();
        }
    }

    /// The next thing to do; `None` when all is said.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Timeout`] is due at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let own = [self.timers.next(), self.endpoint.poll_timeout(), self.acd.poll_timeout()];
        own.into_iter().flatten().min()
    }

    fn on_input(&mut self, input: Input) {
        let now = self.now;
        match input {
            Input::Sip { source, message } => self.on_sip(source, message),
            Input::FlowClosed(flow) => self.endpoint.handle_flow_closed(now, flow),
            Input::SendFailed(destination) => self.endpoint.handle_unreachable(now, destination),
            Input::Media { engine, event } => self.on_media(engine, event),
            Input::Command { id, command } => self.on_command(id, command),
            Input::Reply { request, reply } => self.on_reply(request, Some(reply)),
            Input::Durable(seq) => self.on_durable(seq),
            Input::Store(health) => self.store = health,
            Input::Link { agent, up } => self.on_link(&agent, up),
            Input::Replan(edition) => self.on_replan(edition),
            Input::ClockStepped { by_ms } => {
                self.emit(None, Fact::ClockStepped { by_ms });
            }
            Input::Drain { at_once } => self.on_drain(at_once),
            Input::Timeout => {}
        }
    }

    /// Drains the sub-machines until nothing moves, then hands their messages out. Events emitted on the way stand
    /// before the messages, so that a desktop hears of an offer before the phone does.
    fn settle(&mut self) {
        self.run_until_quiet();
        while let Some(resolve) = self.endpoint.poll_resolve() {
            self.ask_resolver(resolve);
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.trace_sent(&transmit);
            self.effects.push_back(Effect::Send(transmit));
        }
        if self.draining && !self.drained && self.calls.is_empty() {
            self.drained = true;
            self.emit(None, Fact::SystemStopped {});
            self.effects.push_back(Effect::Drained);
        }
    }

    fn run_until_quiet(&mut self) {
        loop {
            if let Some(event) = self.endpoint.poll_event() {
                self.on_ua(event);
            } else if let Some(output) = self.acd.poll_output() {
                self.on_acd(output);
            } else if let Some(call) = self.restless.pop_first() {
                self.walk(call);
            } else if let Some(timer) = self.timers.pop(self.now) {
                self.on_timer(timer);
            } else if self.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
                self.endpoint.handle_timeout(self.now);
            } else if self.acd.poll_timeout().is_some_and(|at| at <= self.now) {
                self.acd.handle_timeout(self.now);
            } else {
                break;
            }
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Accepted(call) => self.on_accept_timeout(call),
            Timer::Ring(call, leg) => self.on_ring_timeout(call, leg),
            Timer::Stats(call, leg) => self.forget_leg(call, leg, None),
            Timer::Ivr(call) => self.on_walk_timeout(call),
            Timer::Recording(call) => self.on_recording_limit(call),
            Timer::Comfort(call) => self.on_comfort(call),
            Timer::Request(request) => self.on_reply(request, None),
            Timer::Hours => self.tell_hours(),
            Timer::Drain => self.on_drain(true),
            Timer::Reconcile => {
                self.reconcile();
                self.timers.set(self.now + RECONCILE_EVERY, Timer::Reconcile);
            }
        }
    }

    // -- what every part uses ----------------------------------------------------------------------------------------

    /// States a fact: the next in the sequence, at this instant.
    fn emit(&mut self, call: Option<CallId>, fact: Fact) -> Seq {
        self.seq = self.seq.next();
        let event = Event { v: EVENT_VERSION, seq: self.seq, at: self.now, call, fact };
        self.effects.push_back(Effect::Emit(event));
        self.seq
    }

    fn media(&mut self, call: &Call, command: MediaCommand) {
        self.effects.push_back(Effect::Media { engine: call.engine, command });
    }

    /// Works on one call: out of the map, a step, back again, or off the books where it is over.
    fn with_call<R>(&mut self, id: CallId, step: impl FnOnce(&mut Self, &mut Call) -> R) -> Option<R> {
        let mut call = self.calls.remove(&id)?;
        self.at_work = Some(id);
        let result = step(self, &mut call);
        self.at_work = None;
        if call.is_over() {
            self.close_books(call);
        } else {
            self.calls.insert(id, call);
        }
        Some(result)
    }

    fn next_port(&mut self) -> PortId {
        self.last_port += 1;
        PortId(self.last_port)
    }

    fn next_room(&mut self) -> RoomId {
        self.last_room += 1;
        RoomId(self.last_room)
    }

    fn next_play(&mut self) -> PlayId {
        self.last_play += 1;
        PlayId(self.last_play)
    }

    fn on_durable(&mut self, seq: Seq) {
        self.durable = self.durable.max(seq);
        let later = self.accepting.split_off(&self.durable.next());
        for (_, call) in core::mem::replace(&mut self.accepting, later) {
            self.on_accepted_durable(call);
        }
    }

    fn on_replan(&mut self, edition: Arc<Edition>) {
        // A refusal is a defect of whoever made the edition: half a plan in force would be worse than none.
        self.acd
            .handle_settings(self.now, edition.queues.clone())
            .expect("an edition's queues were checked when it was made");
        let changes = crate::plan::diff::changes(&self.edition.plan, &edition.plan);
        let plan = edition.digest.clone();
        self.endpoint.set_settings(endpoint_settings(&edition, &self.listeners));
        self.endpoint.set_bounds(endpoint_bounds(&edition));
        self.edition = edition;
        self.tell_endpoint_of_trunks();
        self.tell_hours();
        self.emit(None, Fact::PlanApplied { plan, changes });
    }

    fn on_drain(&mut self, at_once: bool) {
        if !self.draining {
            self.draining = true;
            self.emit(None, Fact::SystemDraining {});
            let bound = self.edition.plan.limits.drain_s.span();
            self.timers.set(self.now + bound, Timer::Drain);
        }
        if at_once {
            self.clear_every_call();
        }
    }
}

/// What the user agent is told of an edition.
fn endpoint_settings(edition: &Edition, listeners: &[Listener]) -> endpoint::Settings {
    let sip = &edition.plan.sip;
    endpoint::Settings {
        domain: edition.plan.domain.to_string(),
        listeners: listeners.to_vec(),
        local_networks: edition.plan.local_networks.clone(),
        product: concat!("Strowger/", env!("CARGO_PKG_VERSION")).to_owned(),
        timers: crate::sip::transaction::timer::Timers::default(),
        expires: Expires {
            min: sip.registration_min_s.0,
            max: sip.registration_max_s.0,
            default: sip.registration_max_s.0.min(600),
        },
        digest: sip.digest.iter().map(algorithm).collect(),
    }
}

fn endpoint_bounds(edition: &Edition) -> endpoint::Bounds {
    let limits = &edition.plan.limits;
    let of = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
    endpoint::Bounds {
        sessions: of(limits.dialogs),
        registrations: of(limits.registrations),
        contacts: of(limits.contacts_per_account),
    }
}

fn algorithm(digest: &Digest) -> Algorithm {
    match digest {
        Digest::Md5 => Algorithm::MD5,
        Digest::Sha256 => Algorithm::SHA_256,
    }
}

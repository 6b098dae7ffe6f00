//! The whole centre in virtual time: the real switch, foreign phones, gateways, callers and agents, an in-memory
//! ledger, slow lookups, faults; and an oracle that watches.
//!
//! ```text
//!   foreign ── net (delay, loss, doubles, reordering, streams) ──▶ Switch::handle ──▶ effects
//!      ▲                                                                               │ Send · Media · Request · Emit · Answer
//!      └──────────────── happenings: a heap of (Time, nth, what) ◀── house ────────────┘
//! ```
//!
//! One run is a function of its [`Setting`] and its [`Centre`]: the same setting gives the same trace, byte for byte.

mod desk;
mod foreign;
mod house;
mod tape;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fault::{Fault, Misfortunes};
use super::ladder::Ladder;
use super::media_model::MediaModel;
use super::net::Net;
use super::oracle::{Figures, Oracle};
use super::report::CallKey;
use super::seed::{Centre, Population, START, Setting};
use crate::command::Command;
use crate::event::Seq;
use crate::ids::{AgentName, CallId, Epoch, IdSource, SecretSource};
use crate::sip::flow::{Destination, FlowId, Source};
use crate::switch::{Boot, CommandId, Counts, Input, Reply, RequestId, Roster, StoreHealth, Switch};
use crate::time::Time;

pub use tape::Tape;

use desk::Asked;
use foreign::{Line, Party};
use house::Ledger;

/// What came of a run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Outcome {
    pub seed: u64,
    /// Of every event and every message sent, with their times.
    pub trace: u64,
    pub steps: u64,
    pub figures: Figures,
    pub counts: Counts,
    /// What did not hold. Empty: all is well.
    pub wrong: Vec<String>,
    /// The ladder of the calls to blame, where something did not hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ladder: String,
}

/// Runs a setting to its end. Where something does not hold it is run once more, to draw the ladder.
pub fn run(setting: &Setting, centre: &Centre) -> Outcome {
    let outcome = World::new(setting, centre, false).run();
    if outcome.wrong.is_empty() {
        return outcome;
    }
    World::new(setting, centre, true).run()
}

/// How the switch of a run starts.
fn boot(setting: &Setting, centre: &Centre, roster: Roster) -> Boot {
    Boot {
        now: START,
        epoch: Epoch::from_u128(u128::from(setting.seed) + 1),
        edition: centre.editions.first().expect("a centre has an edition").clone(),
        roster,
        listeners: house::listeners(),
        last: Seq(0),
        closing: Vec::new(),
        bindings: Vec::new(),
        seed: setting.seed,
        secrets: SecretSource::from_seed(setting.seed),
        rethrow: true,
    }
}

/// Something that happens at its time.
enum Happening {
    /// The switch's own deadline.
    Switch,
    Datagram {
        source: Source,
        bytes: Vec<u8>,
    },
    Bytes {
        flow: FlowId,
        bytes: Vec<u8>,
    },
    ToParty {
        party: usize,
        bytes: Vec<u8>,
    },
    /// A phone's, a trunk's or an agent's own deadline.
    Party(usize),
    Dial(usize),
    Caller(usize),
    Commit,
    Reply {
        request: RequestId,
        reply: Reply,
    },
    Media,
    Order {
        command: Command,
        asked: Asked,
    },
    Fault(Fault),
    Store(StoreHealth),
    LinkUp(AgentName),
    FlowClosed(FlowId),
    Unreachable(Destination),
    /// A phone has its power again.
    Lit(usize),
    ShiftBegins(usize),
    ShiftEnds(usize),
    /// A called party that nobody plays hangs up.
    FarEndHangsUp {
        party: usize,
        call: CallKey,
    },
    /// A supervisor looks around.
    Round,
    EverybodyHangsUp,
    Drain,
}

struct World<'a> {
    setting: &'a Setting,
    centre: &'a Centre,
    now: Time,
    dice: IdSource,
    heap: BTreeMap<(Time, u64), Happening>,
    nth: u64,
    switch: Switch,
    switch_due: Option<Time>,
    /// Timeouts in a row without time passing.
    spins: u32,
    steps: u64,
    edition: usize,
    net: Net,
    misfortunes: Misfortunes,
    media: MediaModel,
    media_due: Option<Time>,
    ledger: Ledger,
    parties: Vec<Party>,
    by_address: BTreeMap<std::net::SocketAddr, usize>,
    lines: Vec<Line>,
    /// Whose call receives on which RTP address of ours.
    ears: BTreeMap<std::net::SocketAddr, (usize, CallKey)>,
    agents: BTreeMap<AgentName, usize>,
    names: Vec<AgentName>,
    asked: BTreeMap<CommandId, Asked>,
    last_command: u64,
    lookups_late: (Time, Duration),
    lookups_dead: Time,
    closing: bool,
    drained: bool,
    oracle: Oracle,
    trace: Trace,
    ladder: Option<Ladder>,
    /// What the switch was told, where it is to be played again.
    tape: Option<Vec<(Time, Input)>>,
    wrong: Vec<String>,
    blamed: BTreeSet<CallId>,
}

/// After the last caller came, calls may go on for so long; then everybody hangs up.
const TAIL: Duration = Duration::from_secs(240);
/// What is left then must end within every timer of SIP, media and wrap-up.
const REST: Duration = Duration::from_secs(240);
/// Timeouts of the switch at one instant before it is said to spin.
const MOST_SPINS: u32 = 1_000;

impl<'a> World<'a> {
    fn new(setting: &'a Setting, centre: &'a Centre, keep_ladder: bool) -> Self {
        let mut dice = IdSource::from_seed(setting.seed);
        let population = Population::draw(setting, &mut dice);
        let counted = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let misfortunes = if setting.calm {
            Misfortunes::none()
        } else {
            let (phones, trunks) = (counted(population.phones.len()), counted(population.trunks.len()));
            Misfortunes::draw(&mut dice, setting.length, phones, trunks, setting.agents.max(1))
        };
        let switch = Switch::new(boot(setting, centre, population.roster.clone()));
        let mut world = Self {
            setting,
            centre,
            now: START,
            dice,
            heap: BTreeMap::new(),
            nth: 0,
            switch,
            switch_due: None,
            spins: 0,
            steps: 0,
            edition: 0,
            net: Net::new(setting.seed, misfortunes.weather),
            media: MediaModel::new(setting.seed, misfortunes.media_permille),
            misfortunes,
            media_due: None,
            ledger: Ledger::default(),
            parties: Vec::new(),
            by_address: BTreeMap::new(),
            lines: Vec::new(),
            ears: BTreeMap::new(),
            agents: BTreeMap::new(),
            names: Vec::new(),
            asked: BTreeMap::new(),
            last_command: 0,
            lookups_late: (Time::EPOCH, Duration::ZERO),
            lookups_dead: Time::EPOCH,
            closing: false,
            drained: false,
            oracle: Oracle::default(),
            trace: Trace::default(),
            ladder: keep_ladder.then(Ladder::default),
            tape: None,
            wrong: Vec::new(),
            blamed: BTreeSet::new(),
        };
        world.people(population);
        world.agenda();
        world
    }

    /// What happens by the clock.
    fn agenda(&mut self) {
        let end = START + self.setting.length;
        for (after, fault) in self.misfortunes.faults.clone() {
            self.at(START + after, Happening::Fault(fault));
        }
        let rounds = if self.setting.calm { 0 } else { self.setting.length.as_secs() / 60 };
        for round in 0..rounds {
            self.at(START + Duration::from_secs(30 + round * 60), Happening::Round);
        }
        self.at(end + TAIL, Happening::EverybodyHangsUp);
        if self.dice.below(2) == 0 {
            self.at(end + TAIL / 2, Happening::Drain);
        }
    }

    fn run(self) -> Outcome {
        self.run_taped().0
    }

    /// Runs, and gives the tape where one was put in.
    fn run_taped(mut self) -> (Outcome, Vec<(Time, Input)>) {
        let end = START + self.setting.length + TAIL + REST;
        self.after_step();
        while self.wrong.is_empty() {
            let Some(entry) = self.heap.first_entry().filter(|entry| entry.key().0 <= end) else { break };
            let ((at, _), happening) = entry.remove_entry();
            if at > self.now {
                self.spins = 0;
            }
            self.now = self.now.max(at);
            self.happen(happening);
        }
        if self.wrong.is_empty() {
            self.check_rest();
        }
        let tape = self.tape.take().unwrap_or_default();
        (self.outcome(), tape)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Switch => self.on_switch_due(),
            Happening::Datagram { source, bytes } => self.on_datagram(source, bytes),
            Happening::Bytes { flow, bytes } => self.on_bytes(flow, &bytes),
            Happening::ToParty { party, bytes } => self.deliver(party, &bytes),
            Happening::Party(party) => self.on_party_due(party),
            Happening::Dial(line) => self.dial(line),
            Happening::Caller(line) => self.on_caller_due(line),
            Happening::Commit => self.commit(),
            Happening::Reply { request, reply } => self.tell(Input::Reply { request, reply }),
            Happening::Media => self.on_media_due(),
            Happening::Order { command, asked } => self.give_order(command, asked),
            Happening::Fault(fault) => self.befall(fault),
            Happening::Store(health) => self.tell(Input::Store(health)),
            Happening::LinkUp(agent) => self.tell(Input::Link { agent, up: true }),
            Happening::FlowClosed(flow) => self.tell(Input::FlowClosed(flow)),
            Happening::Unreachable(destination) => self.tell(Input::SendFailed(destination)),
            Happening::Lit(party) => self.lit(party),
            Happening::ShiftBegins(party) => self.shift(party, true),
            Happening::ShiftEnds(party) => self.shift(party, false),
            Happening::FarEndHangsUp { party, call } => self.hang_up(party, call),
            Happening::Round => self.round(),
            Happening::EverybodyHangsUp => self.everybody_hangs_up(),
            Happening::Drain => self.order_drain(),
        }
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.nth += 1;
        self.heap.insert((at.max(self.now), self.nth), happening);
    }

    fn after(&mut self, span: Duration, happening: Happening) {
        self.at(self.now + span, happening);
    }

    // -- the switch --------------------------------------------------------------------------------------------------

    /// One input into the switch, and all that follows at once.
    fn tell(&mut self, input: Input) {
        let (now, switch) = (self.now, &mut self.switch);
        if let Some(tape) = &mut self.tape {
            tape.push((now, input.clone()));
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| switch.handle(now, input))) {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            return self.blame(None, format!("the switch panicked: {}", said.unwrap_or_default()));
        }
        self.after_step();
    }

    fn after_step(&mut self) {
        self.steps += 1;
        while let Some(effect) = self.switch.poll_effect() {
            self.on_effect(effect);
        }
        if self.steps.is_multiple_of(u64::from(self.setting.check_every.max(1))) {
            for wrong in self.switch.check_invariants() {
                self.blame(None, wrong);
            }
        }
        if self.switch.counts().repairs > 0 {
            let mended = format!("the reconciler had to mend {:?}", self.switch.last_repairs());
            self.blame(None, mended);
        }
        while let Some(wrong) = self.oracle.poll_wrong() {
            self.blame(wrong.call, wrong.what);
        }
        self.wake_switch();
        self.wake_media();
    }

    fn wake_switch(&mut self) {
        let Some(due) = self.switch.poll_timeout() else { return };
        if self.switch_due.is_none_or(|at| due < at) {
            self.switch_due = Some(due);
            self.at(due, Happening::Switch);
        }
    }

    fn on_switch_due(&mut self) {
        // An earlier deadline came between: that one's waking serves.
        if self.switch_due.is_some_and(|at| at > self.now) {
            return;
        }
        self.switch_due = None;
        if self.switch.poll_timeout().is_none_or(|at| at > self.now) {
            return self.wake_switch();
        }
        self.spins += 1;
        if self.spins > MOST_SPINS {
            return self.blame(None, "the switch is due for ever and never done".to_owned());
        }
        self.tell(Input::Timeout);
    }

    // -- the end -----------------------------------------------------------------------------------------------------

    /// Nothing runs any more: nothing may be left anywhere.
    fn check_rest(&mut self) {
        self.oracle.check_rest();
        while let Some(wrong) = self.oracle.poll_wrong() {
            self.blame(wrong.call, wrong.what);
        }
        for left in self.switch.left() {
            self.blame(None, format!("at rest: {left}"));
        }
        if let Some(left) = self.media.left() {
            self.blame(None, format!("at rest: {left}"));
        }
        for at in 0..self.parties.len() {
            if !self.parties[at].is_idle() {
                self.blame(None, format!("at rest: {} has a call that nobody else knows of", self.parties[at].name));
            }
        }
        if self.closing && !self.drained {
            self.blame(None, "the switch was drained and does not say so".to_owned());
        }
    }

    fn blame(&mut self, call: Option<CallId>, what: String) {
        if self.wrong.len() >= MOST_WRONG {
            return;
        }
        self.blamed.extend(call);
        self.blamed.extend(self.oracle.calls().filter(|call| what.contains(&call.to_string())));
        let since = self.now.since(START);
        self.headline(format!("WRONG: {what}"));
        self.wrong.push(format!("t+{:02}:{:06.3} {what}", since.as_secs() / 60, since.as_secs_f64() % 60.0));
    }

    fn note(&mut self, call: Option<CallId>, text: String) {
        let now = self.now;
        if let Some(ladder) = &mut self.ladder {
            ladder.note(now, call, text);
        }
    }

    fn headline(&mut self, text: String) {
        let now = self.now;
        if let Some(ladder) = &mut self.ladder {
            ladder.headline(now, text);
        }
    }

    fn outcome(self) -> Outcome {
        Outcome {
            seed: self.setting.seed,
            trace: self.trace.sum,
            steps: self.steps,
            figures: self.oracle.figures(),
            counts: self.switch.counts(),
            wrong: self.wrong,
            ladder: self.ladder.map(|ladder| ladder.print(START, &self.blamed)).unwrap_or_default(),
        }
    }
}

/// Findings of one run; the first says most.
const MOST_WRONG: usize = 10;

/// FNV-1a (64 bits) over all that the switch says.
struct Trace {
    sum: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { sum: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Trace {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sum = (self.sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

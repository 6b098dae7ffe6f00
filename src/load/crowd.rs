//! The callers of a load run: one trunk, and people who call through it at random times.

use core::time::Duration;
use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::ear::{Heard, ToneHz};
use super::report::{LegSide, Note};
use super::station::Party;
use super::voice::LegCount;
use crate::ids::IdSource;
use crate::sim::caller::{Caller, CallerAct, CallerProfile, Hearing};
use crate::sim::endpoint::UserAgent;
use crate::sim::report::{CallKey, PhoneReport};
use crate::sim::trunk::Trunk;
use crate::time::Time;

/// See the module.
pub struct Crowd {
    trunk: Trunk,
    profile: CallerProfile,
    arrivals: Arrivals,
    callers: BTreeMap<CallKey, Caller>,
    notes: mpsc::Sender<Note>,
}

/// When callers come: independent of each other (a Poisson stream), up to so many calls at once.
pub struct Arrivals {
    pub per_minute: f64,
    pub calls_at_once: usize,
    /// All callers of the run; none are placed after them.
    pub calls: Option<u64>,
    dice: IdSource,
    next: Option<Time>,
}

/// How long a key is held down.
const KEY_MS: u32 = 120;

impl Arrivals {
    /// The first caller comes at once.
    pub fn new(per_minute: f64, calls_at_once: usize, calls: Option<u64>, seed: u64, now: Time) -> Self {
        let next = (per_minute > 0.0 && calls != Some(0)).then_some(now);
        Self { per_minute, calls_at_once, calls, dice: IdSource::from_seed(seed), next }
    }

    fn arm_next(&mut self, now: Time) {
        self.calls = self.calls.map(|calls| calls.saturating_sub(1));
        // Exponential gaps; the draw is never zero, so the logarithm is finite.
        let draw = (f64::from(self.dice.below(1_000_000)) + 1.0) / 1_000_001.0;
        let gap = Duration::try_from_secs_f64(-draw.ln() * 60.0 / self.per_minute).unwrap_or(Duration::MAX);
        self.next = (self.calls != Some(0)).then(|| now + gap);
    }
}

impl Crowd {
    pub fn new(trunk: Trunk, profile: CallerProfile, arrivals: Arrivals, notes: mpsc::Sender<Note>) -> Self {
        Self { trunk, profile, arrivals, callers: BTreeMap::new(), notes }
    }

    /// Callers that are not done.
    pub fn callers(&self) -> usize {
        self.callers.len()
    }

    fn on_arrival(&mut self, now: Time) {
        self.arrivals.arm_next(now);
        if self.callers.len() >= self.arrivals.calls_at_once {
            return;
        }
        let mut caller = Caller::new(self.profile.draw(&mut self.arrivals.dice));
        caller.start(now);
        while let Some(act) = caller.poll_act() {
            let CallerAct::Dial(call) = act else { continue };
            match self.trunk.place(now, &call) {
                Ok(key) => {
                    self.note(Note::CallPlaced);
                    self.callers.insert(key, caller);
                    return;
                }
                Err(_full) => {
                    caller.handle_refused(now);
                    self.note(Note::CallEnded(*caller.story()));
                }
            }
        }
    }

    fn carry_out(&mut self, now: Time, call: CallKey) {
        while let Some(act) = self.callers.get_mut(&call).and_then(Caller::poll_act) {
            let endpoint = self.trunk.endpoint();
            // An act that comes too late for its call is void: the far side ended it meanwhile.
            let _late = match act {
                CallerAct::Press(digit) => endpoint.press(call, digit, KEY_MS),
                CallerAct::HangUp => endpoint.hang_up(now, call),
                CallerAct::Dial(_) => Ok(()),
            };
        }
    }

    fn note(&self, note: Note) {
        // A report that cannot keep up loses notes rather than holding up the calls.
        let _full = self.notes.try_send(note);
    }
}

impl Party for Crowd {
    fn machine(&mut self) -> &mut dyn UserAgent {
        &mut self.trunk
    }

    fn poll_timeout(&mut self) -> Option<Time> {
        let callers = self.callers.values().filter_map(Caller::poll_timeout).min();
        [callers, self.arrivals.next, self.trunk.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Time) {
        self.trunk.handle_timeout(now);
        if self.arrivals.next.is_some_and(|at| at <= now) {
            self.on_arrival(now);
        }
        let due = |caller: &Caller| caller.poll_timeout().is_some_and(|at| at <= now);
        let calls: Vec<CallKey> = self.callers.iter().filter(|(_, caller)| due(caller)).map(|(key, _)| *key).collect();
        for call in calls {
            if let Some(caller) = self.callers.get_mut(&call) {
                caller.handle_timeout(now);
            }
            self.carry_out(now, call);
        }
    }

    fn handle_report(&mut self, now: Time, report: &PhoneReport) {
        match report {
            PhoneReport::Progress { call, .. } | PhoneReport::Answered { call } | PhoneReport::Ended { call, .. } => {
                if let Some(caller) = self.callers.get_mut(call) {
                    caller.handle_report(now, report);
                }
                self.carry_out(now, *call);
            }
            PhoneReport::Unreadable(error) => self.note(Note::Unreadable { what: error.to_string() }),
            _ => {}
        }
    }

    fn handle_heard(&mut self, now: Time, call: CallKey, heard: Heard) {
        let hearing = match heard {
            Heard::Tone(tone) if tone.is_agent() => Hearing::Person,
            Heard::PromptEnded => Hearing::PromptEnded,
            Heard::Tone(_) => return,
        };
        if let Some(caller) = self.callers.get_mut(&call) {
            caller.handle_hearing(now, hearing);
        }
        self.carry_out(now, call);
    }

    fn handle_leg(&mut self, _now: Time, call: CallKey, count: LegCount) {
        let Some(caller) = self.callers.remove(&call) else { return };
        let answered = caller.story().answered.is_some();
        self.note(Note::CallEnded(*caller.story()));
        self.note(Note::Leg { side: LegSide::Caller, answered, count });
    }

    fn finish(&mut self, now: Time) {
        self.arrivals.next = None;
        let calls: Vec<CallKey> = self.callers.keys().copied().collect();
        for call in calls {
            let _over = self.trunk.endpoint().hang_up(now, call);
        }
    }

    fn is_done(&mut self) -> bool {
        self.callers.is_empty() && self.trunk.endpoint().is_idle()
    }

    fn tone(&self, call: CallKey) -> ToneHz {
        ToneHz::of_caller(call.0)
    }
}

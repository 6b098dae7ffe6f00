//! Calls coming into queues and leaving them: entry, overflow, abandonment, short-abandon resume.

use super::distributor::{Acd, Owner};
use super::output::{Left, Output, OverflowWhy, Refusal, Withdrawn};
use super::settings::Action;
use super::waiting::{CallEntry, Told, Waiting};
use crate::ids::{CallId, QueueName};
use crate::limits;
use crate::time::Time;

/// Where an entering call has got to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It waits (or rings already) in this queue, which overflow may have made another one than was asked for.
    Waits { queue: QueueName, resumed: bool },
    /// Overflow took it elsewhere; the ACD has let it go.
    Overflowed(Action),
}

impl Acd {
    /// A call wants to wait. A refusal leaves no trace but the figure `refused`.
    pub fn handle_call_enters(&mut self, now: Time, entry: CallEntry) -> Result<Entered, Refusal> {
        let index = self.known_queue(&entry.queue)?;
        if self.calls.contains_key(&entry.call) {
            return Err(Refusal::DuplicateCall(entry.call));
        }
        if let Err(refusal) = self.admit(index, entry.returns) {
            self.step += 1;
            self.queue_mut(index).figures.refused += 1;
            self.settle(now);
            return Err(refusal);
        }
        self.step += 1;
        let call = self.waiting_from(now, index, entry);
        let (id, resumed) = (call.id(), call.resumed);
        let gone = self.place(now, call, index);
        self.settle(now);
        Ok(match gone {
            Some(action) => Entered::Overflowed(action),
            None => {
                let queue = self.calls.get(&id).map_or(index, |call| call.queue);
                Entered::Waits { queue: self.queue(queue).rules.name.clone(), resumed }
            }
        })
    }

    /// Whether one call more would be taken into a queue, or onward by its overflow.
    pub fn admits(&self, queue: &QueueName) -> Result<(), Refusal> {
        self.admit(self.known_queue(queue)?, false)
    }

    /// A call leaves its queue without an agent. Whoever rings for it stops.
    pub fn handle_call_leaves(&mut self, now: Time, call: CallId, how: Left) -> Result<(), Refusal> {
        if !self.calls.contains_key(&call) {
            return Err(Refusal::UnknownCall(call));
        }
        self.step += 1;
        self.let_go(now, call, how);
        self.settle(now);
        Ok(())
    }

    /// Opens or closes a queue, by its hours or by hand. Calls that wait already are served on.
    pub fn handle_queue_open(&mut self, now: Time, queue: &QueueName, open: bool) -> Result<(), Refusal> {
        let index = self.known_queue(queue)?;
        self.step += 1;
        self.queue_mut(index).open = open;
        self.settle(now);
        Ok(())
    }

    fn admit(&self, index: usize, returns: bool) -> Result<(), Refusal> {
        let queue = self.queue(index);
        let overflow = &queue.rules.overflow;
        if self.calls.len() >= limits::ACD_CALLS {
            return Err(Refusal::TooManyCalls);
        }
        if returns {
            return Ok(());
        }
        if !queue.open && overflow.closed.is_none() {
            return Err(Refusal::QueueClosed(queue.rules.name.clone()));
        }
        if queue.is_full() && self.must_overflow(index, false).is_none() {
            return Err(Refusal::QueueFull(queue.rules.name.clone()));
        }
        Ok(())
    }

    fn waiting_from(&mut self, now: Time, queue: usize, entry: CallEntry) -> Waiting {
        let within = self.settings.resume_within;
        let regained = match &entry.caller {
            Some(caller) => self.resumes.take(&entry.queue, caller, now, within),
            None => None,
        };
        // A clock that lies ahead is a mistake of the asker's: it would give a priority below zero age.
        let given = entry.clock.unwrap_or(now).min(now);
        self.seq += 1;
        Waiting {
            queue,
            clock: regained.map_or(given, |clock| clock.min(given)),
            entered: now,
            seq: self.seq,
            points: self.settings.tiers.of(entry.tier).saturating_add(entry.points),
            step: 0,
            leases: Vec::new(),
            widen_at: None,
            hops: 0,
            resumed: regained.is_some(),
            predicted: None,
            told: Told::default(),
            announce_at: None,
            due: None,
            entry,
        }
    }

    /// Which rule of overflow forbids one more call to wait here, if any. One that returns goes on only where nobody is
    /// left to serve it.
    fn must_overflow(&self, index: usize, returns: bool) -> Option<(OverflowWhy, Action)> {
        let queue = self.queue(index);
        let rules = &queue.rules.overflow;
        if !queue.open && !returns {
            return Some((OverflowWhy::Closed, rules.closed.clone().unwrap_or(Action::HangUp)));
        }
        if let Some(action) = rules.nobody_signed_in.as_ref().filter(|_| queue.staff.members == 0) {
            return Some((OverflowWhy::NobodySignedIn, action.clone()));
        }
        let waiting = usize::try_from(queue.figures.waiting).unwrap_or(usize::MAX);
        match &rules.length {
            Some((length, action)) if waiting >= *length && !returns => Some((OverflowWhy::Length, action.clone())),
            _ => None,
        }
    }

    /// Puts a call into a queue, or wherever that queue's overflow sends it. Returns what became of it if it went.
    pub(super) fn place(&mut self, now: Time, mut call: Waiting, mut index: usize) -> Option<Action> {
        loop {
            // What a call was to one queue, it is not to the next.
            let returns = core::mem::take(&mut call.entry.returns);
            let overflow = match self.must_overflow(index, returns) {
                None if self.queue(index).is_full() && !returns => Some((OverflowWhy::Length, Action::HangUp)),
                other => other,
            };
            self.queue_mut(index).figures.enters();
            call.queue = index;
            call.entered = now;
            let Some((why, action)) = overflow else {
                self.begin_waiting(now, call);
                return None;
            };
            match self.overflow(now, &mut call, why, action) {
                Ok(next) => index = next,
                Err(gone) => return Some(gone),
            }
        }
    }

    fn begin_waiting(&mut self, now: Time, mut call: Waiting) {
        let id = call.id();
        let queue = self.queue(call.queue);
        let rule = queue.rules.announce;
        call.step = call.step_at(&queue.rules, now.since(call.clock), |step| queue.staff.lacks_step(step));
        call.announce_at = (rule.position || rule.wait).then(|| now + rule.first);
        call.due = None;
        self.calls.insert(id, call);
        self.pending.calls.insert(id);
        self.pending.offerable.insert(id);
        self.pending.entered.insert(id);
    }

    /// Takes a call that is counted as waiting, but is in no map, out of its queue by overflow. `Ok`: the next queue.
    fn overflow(&mut self, now: Time, call: &mut Waiting, why: OverflowWhy, action: Action) -> Result<usize, Action> {
        let (id, from, wait) = (call.id(), call.queue, now.since(call.entered));
        let to = match &action {
            Action::Queue(to) => self.known_queue(to).ok(),
            Action::Voicemail(_) | Action::Number(_) | Action::HangUp => None,
        };
        let queue = self.queue(from).rules.name.clone();
        call.hops = call.hops.saturating_add(1);
        let (why, action) = match (&action, to) {
            (Action::Queue(_), Some(_)) if call.hops > limits::ACD_HOPS => (OverflowWhy::Circle, Action::HangUp),
            // The queue it leads to has been taken out of the settings.
            (Action::Queue(_), None) => (why, Action::HangUp),
            _ => (why, action),
        };
        if action == Action::HangUp {
            self.queue_mut(from).figures.fails(wait);
        } else {
            self.queue_mut(from).figures.moves(wait);
        }
        self.outputs.push_back(Output::Overflow { call: id, queue: queue.clone(), why, action: action.clone() });
        match (action, to) {
            (Action::Queue(name), Some(to)) => {
                self.outputs.push_back(Output::Moved { call: id, from: queue, to: name });
                call.step = 0;
                Ok(to)
            }
            (action, _) => Err(action),
        }
    }

    /// A waiting call has come to its deadline, or nobody is signed in any more.
    pub(super) fn overflow_waiting(&mut self, now: Time, id: CallId, why: OverflowWhy, action: Action) {
        let Some(mut call) = self.take_out(id, Withdrawn::CallLeft) else { return };
        if let Ok(next) = self.overflow(now, &mut call, why, action) {
            self.place(now, call, next);
        }
    }

    /// Where nobody is signed in, those who wait go where the queue says.
    pub(super) fn overflow_unstaffed(&mut self, now: Time) {
        let unstaffed = |acd: &Self, index: usize| {
            let queue = acd.queue(index);
            queue.rules.overflow.nobody_signed_in.clone().filter(|_| queue.staff.members == 0)
        };
        let ids: Vec<CallId> = self.calls.values().filter(|call| !call.rings()).map(Waiting::id).collect();
        for id in ids {
            let Some(index) = self.calls.get(&id).map(|call| call.queue) else { continue };
            if let Some(action) = unstaffed(self, index) {
                self.overflow_waiting(now, id, OverflowWhy::NobodySignedIn, action);
            }
        }
    }

    pub(super) fn let_go(&mut self, now: Time, id: CallId, how: Left) {
        let Some(call) = self.take_out(id, Withdrawn::CallLeft) else { return };
        let wait = now.since(call.entered);
        let queue = self.queue_mut(call.queue);
        let rules = queue.rules.clone();
        match how {
            Left::Abandoned => {
                queue.figures.abandons(wait, &rules);
                queue.patience.ended(wait);
                if let Some(caller) = call.entry.caller.filter(|_| !call.resumed) {
                    self.resumes.remember(rules.name.clone(), caller, now, call.clock);
                }
            }
            Left::Moved => queue.figures.moves(wait),
            Left::Failed => queue.figures.fails(wait),
        }
    }

    /// Takes a call out of the map with its timer; whoever rings for it stops.
    pub(super) fn take_out(&mut self, id: CallId, why: Withdrawn) -> Option<Waiting> {
        let mut call = self.calls.remove(&id)?;
        if let Some(at) = call.due.take() {
            self.timers.remove(&(at, Owner::Call(id)));
        }
        for lease in core::mem::take(&mut call.leases) {
            self.free(&lease.agent);
            self.outputs.push_back(Output::OfferWithdrawn { call: id, agent: lease.agent, why });
        }
        call.widen_at = None;
        Some(call)
    }
}

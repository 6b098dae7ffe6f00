//! The switch's own deadlines. Sub-machines (SIP, ACD, IVR) keep theirs; the earliest of all wakes the switch.

use std::collections::BTreeSet;

use crate::ids::{CallId, LegId};
use crate::time::Time;

use super::request::RequestId;

/// What a deadline is for. A timer that fires for what is gone does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The ledger did not make `call.accepted` durable in time.
    Accepted(CallId),
    /// A dialled leg rang long enough.
    Ring(CallId, LegId),
    /// The media engine did not report a closed leg's statistics in time.
    Stats(CallId, LegId),
    /// The IVR's own deadline came.
    Ivr(CallId),
    /// A recording, or a voicemail message, is as long as it may be.
    Recording(CallId),
    /// A waiting caller is to hear the next comfort announcement.
    Comfort(CallId),
    /// An asked shell did not reply in time.
    Request(RequestId),
    /// The bound for draining is over.
    Drain,
    /// The hours of some queue turn over.
    Hours,
    /// The reconciler's round.
    Reconcile,
}

/// Deadlines in order; equal times in the order of what they are for, so that a run repeats.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub fn set(&mut self, at: Time, timer: Timer) {
        self.due.insert((at, timer));
    }

    /// Removes it, whenever it was due.
    pub fn clear(&mut self, timer: Timer) {
        self.due.retain(|(_, t)| *t != timer);
    }

    /// Removes it where it was set for `at`.
    pub fn clear_at(&mut self, at: Time, timer: Timer) {
        self.due.remove(&(at, timer));
    }

    pub fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next one that is due at `now`.
    pub fn pop(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(timer)
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Timers that belong to a call or a question: none is left at rest.
    pub fn of_calls(&self) -> usize {
        self.due.iter().filter(|(_, timer)| !matches!(timer, Timer::Drain | Timer::Hours | Timer::Reconcile)).count()
    }
}

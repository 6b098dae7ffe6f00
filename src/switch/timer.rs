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
    /// The same by what they are for: clearing one looks at no other.
    set: BTreeSet<(Timer, Time)>,
}

impl Timers {
    pub fn set(&mut self, at: Time, timer: Timer) {
        self.due.insert((at, timer));
        self.set.insert((timer, at));
    }

    /// Removes it, whenever it was due.
    pub fn clear(&mut self, timer: Timer) {
        while let Some((_, at)) = self.set.range((timer, Time::EPOCH)..=(timer, Time::FAR_FUTURE)).next().copied() {
            self.clear_at(at, timer);
        }
    }

    /// Removes it where it was set for `at`.
    pub fn clear_at(&mut self, at: Time, timer: Timer) {
        self.due.remove(&(at, timer));
        self.set.remove(&(timer, at));
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
        self.clear_at(at, timer);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_cleared_fires_at_none_of_its_times_and_no_other_is_touched() {
        let (ours, other) = (Timer::Ivr(CallId::from_u128(1)), Timer::Ivr(CallId::from_u128(2)));
        let at = Time::from_secs;
        let mut timers = Timers::default();
        for (second, timer) in [(3, ours), (1, ours), (2, other), (4, ours)] {
            timers.set(at(second), timer);
        }
        timers.clear_at(at(4), ours);
        assert_eq!((timers.next(), timers.len()), (Some(at(1)), 3));
        timers.clear(ours);
        assert_eq!((timers.pop(at(1)), timers.next()), (None, Some(at(2))));
        timers.set(at(2), ours);
        assert_eq!([(); 3].map(|()| timers.pop(at(2))), [Some(ours), Some(other), None]);
        assert_eq!((timers.len(), timers.set.len()), (0, 0));
    }
}

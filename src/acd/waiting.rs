//! One call in a queue: its clock, what it asks for, who rings for it, and where it stands among the others.

use core::time::Duration;
use std::sync::Arc;

use super::explain::Standing;
use super::queue::Queue;
use super::settings::{Priority, QueueSettings};
use super::skill::Expression;
use crate::ids::{AgentName, CallId, Language, QueueName};
use crate::limits;
use crate::tier::Tier;
use crate::time::Time;

/// A call that wants to wait.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEntry {
    pub call: CallId,
    pub queue: QueueName,
    /// Who calls, for short-abandon resume: the number in E.164 or the customer's id. `None`: unknown, never resumed.
    pub caller: Option<Arc<str>>,
    /// When the clock began, where the call waited before (back from a menu or a voicemail offer). `None`: now.
    pub clock: Option<Time>,
    pub tier: Option<Tier>,
    /// Points beside those of queue and tier.
    pub points: i32,
    /// What the call asks for beside the queue's steps.
    pub requires: Option<Expression>,
    pub language: Option<Language>,
    pub preferred: Option<AgentName>,
    /// It was served from this queue and comes back: neither hours nor length turn it away.
    pub returns: bool,
}

impl CallEntry {
    pub fn new(call: CallId, queue: impl Into<QueueName>) -> Self {
        Self {
            call,
            queue: queue.into(),
            caller: None,
            clock: None,
            tier: None,
            points: 0,
            requires: None,
            language: None,
            preferred: None,
            returns: false,
        }
    }
}

/// One agent ringing for a call. The lease ends at its deadline, whatever the switch says or forgets to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lease {
    pub agent: AgentName,
    pub deadline: Time,
    /// The step of the ACD that made it.
    pub made_in: u64,
}

/// A call in a queue.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub entry: CallEntry,
    /// Index of its queue.
    pub queue: usize,
    pub clock: Time,
    /// When it entered this queue.
    pub entered: Time,
    pub seq: u64,
    /// Base points of tier and entry; the queue's own are added when ranking, as they may be configured anew.
    pub points: i32,
    /// The widest step reached, from 0.
    pub step: usize,
    /// Who rings. Empty: it waits.
    pub leases: Vec<Lease>,
    /// Ring progressively: when one more agent rings.
    pub widen_at: Option<Time>,
    pub hops: u8,
    pub resumed: bool,
    /// What was estimated on entering: P50, P90.
    pub predicted: Option<(Duration, Duration)>,
    pub told: Told,
    pub announce_at: Option<Time>,
    /// When the timer of this call is set for.
    pub due: Option<Time>,
}

/// What the caller heard last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub position: Option<u32>,
    pub wait: Option<Duration>,
}

impl Waiting {
    pub(super) fn id(&self) -> CallId {
        self.entry.call
    }

    pub(super) fn rings(&self) -> bool {
        !self.leases.is_empty()
    }

    pub(super) fn rings_at(&self, agent: &AgentName) -> bool {
        self.leases.iter().any(|lease| lease.agent == *agent)
    }

    pub(super) fn standing(&self, rules: &QueueSettings, now: Time) -> Standing {
        let age = now.since(self.clock);
        if age >= rules.priority.starve_after {
            return Standing { in_bounds: false, behind: 0, clock: self.clock, seq: self.seq };
        }
        let behind = -effective_priority(&rules.priority, self.points, age);
        Standing { in_bounds: true, behind, clock: self.clock, seq: self.seq }
    }

    /// Does only the preferred agent count now? `present`: is that agent signed in?
    pub(super) fn held_for_preferred(&self, rules: &QueueSettings, now: Time, present: bool) -> bool {
        self.entry.preferred.is_some() && present && now < self.preferred_until(rules)
    }

    pub(super) fn preferred_until(&self, rules: &QueueSettings) -> Time {
        self.entered + rules.preferred_wait
    }

    /// The next instant at which something changes by itself.
    pub(super) fn next_due(&self, queue: &Queue, now: Time) -> Option<Time> {
        if self.rings() {
            let leases = self.leases.iter().map(|lease| lease.deadline);
            return leases.chain(self.widen_at).min();
        }
        let step = self.next_step_change(&queue.rules, now.since(self.clock), |step| queue.staff.lacks_step(step));
        let preferred =
            Some(self.preferred_until(&queue.rules)).filter(|at| self.entry.preferred.is_some() && *at > now);
        let changes = [step.map(|age| self.clock + age), preferred, self.announce_at];
        changes.into_iter().flatten().chain([queue.wait_deadline(self.entered)]).min()
    }

    /// The step for an age of `age`: each takes its span, those in `skipped` none; never back behind the one reached.
    pub(super) fn step_at(&self, rules: &QueueSettings, age: Duration, skipped: impl Fn(usize) -> bool) -> usize {
        let last = rules.steps.len().saturating_sub(1);
        let mut begun = Duration::ZERO;
        let mut step = last;
        for (index, candidate) in rules.steps.iter().enumerate().take(last) {
            if candidate.skip_if_nobody && skipped(index) {
                continue;
            }
            begun = begun.saturating_add(candidate.lasts);
            if age < begun {
                step = index;
                break;
            }
        }
        step.max(self.step.min(last))
    }

    /// The next ages at which the step may change, of all that are ahead of `age`.
    pub(super) fn next_step_change(
        &self,
        rules: &QueueSettings,
        age: Duration,
        skipped: impl Fn(usize) -> bool,
    ) -> Option<Duration> {
        let mut begun = Duration::ZERO;
        let last = rules.steps.len().saturating_sub(1);
        for (index, step) in rules.steps.iter().enumerate().take(last) {
            if !(step.skip_if_nobody && skipped(index)) {
                begun = begun.saturating_add(step.lasts);
            }
            if begun > age {
                return Some(begun);
            }
        }
        None
    }
}

/// min(base + slope · age, cap), in thousandths of a point.
pub(super) fn effective_priority(rule: &Priority, points: i32, age: Duration) -> i64 {
    let base = i64::from(rule.base).saturating_add(i64::from(points)).saturating_mul(1_000);
    let minutes_e3 = i64::try_from(age.as_micros() / 60_000).unwrap_or(i64::MAX);
    let grown = base.saturating_add(minutes_e3.saturating_mul(i64::from(rule.per_minute)));
    // Points of tier and entry may lie above the cap from the start: the cap bounds growth, it takes nothing away.
    grown.min(i64::from(rule.cap).saturating_mul(1_000).max(base))
}

/// Callers who hung up, and the clocks they may have back. A place is regained once: who hangs up again after
/// that begins anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Resumes {
    by_caller: std::collections::BTreeMap<(QueueName, Arc<str>), Left>,
    /// The same, oldest first, for forgetting.
    by_age: std::collections::BTreeSet<(Time, QueueName, Arc<str>)>,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    at: Time,
    clock: Time,
}

impl Resumes {
    pub(super) fn remember(&mut self, queue: QueueName, caller: Arc<str>, at: Time, clock: Time) {
        self.forget(&queue, &caller);
        self.by_age.insert((at, queue.clone(), caller.clone()));
        self.by_caller.insert((queue, caller), Left { at, clock });
        while self.by_caller.len() > limits::ACD_RESUMES {
            let Some((_, queue, caller)) = self.by_age.pop_first() else { break };
            self.by_caller.remove(&(queue, caller));
        }
    }

    /// The old clock of a caller who left this queue at most `within` ago; it is given back once.
    pub(super) fn take(&mut self, queue: &QueueName, caller: &Arc<str>, now: Time, within: Duration) -> Option<Time> {
        let left = self.forget(queue, caller)?;
        (now.since(left.at) <= within && !within.is_zero()).then_some(left.clock)
    }

    fn forget(&mut self, queue: &QueueName, caller: &Arc<str>) -> Option<Left> {
        let left = self.by_caller.remove(&(queue.clone(), caller.clone()))?;
        self.by_age.remove(&(left.at, queue.clone(), caller.clone()));
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    #[test]
    fn a_place_is_regained_once_and_only_for_a_while() {
        let mut resumes = Resumes::default();
        let (queue, caller): (QueueName, Arc<str>) = ("sales".into(), "+8613800000000".into());
        let five = Duration::from_secs(300);
        resumes.remember(queue.clone(), caller.clone(), Time::from_secs(100), Time::from_secs(40));
        assert_eq!(resumes.take(&queue, &caller, Time::from_secs(400), five), Some(Time::from_secs(40)));
        assert_eq!(resumes.take(&queue, &caller, Time::from_secs(400), five), None);
        resumes.remember(queue.clone(), caller.clone(), Time::from_secs(100), Time::from_secs(40));
        assert_eq!(resumes.take(&queue, &caller, Time::from_secs(401), five), None);
    }

    #[test]
    fn the_memory_of_callers_is_bounded_and_forgets_the_oldest() {
        let mut resumes = Resumes::default();
        let queue = QueueName::from("sales");
        for i in 0..=limits::ACD_RESUMES {
            resumes.remember(queue.clone(), format!("{i}").into(), Time::from_secs(i as u64), Time::EPOCH);
        }
        let now = Time::from_secs(limits::ACD_RESUMES as u64);
        assert_eq!(resumes.by_age.len(), limits::ACD_RESUMES);
        assert_eq!(resumes.take(&queue, &"0".into(), now, Duration::MAX), None);
        assert_eq!(resumes.take(&queue, &"1".into(), now, Duration::MAX), Some(Time::EPOCH));
    }

    proptest! {
        /// The bound of fairness, for every configuration: past `starve_after` nothing that came later stands before it.
        #[test]
        fn nobody_starves(
            base in -100i32..100, slope in 0u32..50, cap in 0i32..500, starve in 1u64..3_600,
            mine in -50i32..50, theirs in -50i32..500, later in 1u64..3_600, past in 0u64..3_600,
        ) {
            let mut rules = QueueSettings::named("q");
            rules.priority = Priority { base, per_minute: slope, cap: cap.max(base), starve_after: Duration::from_secs(starve) };
            let old = Time::from_secs(10_000);
            let now = old + Duration::from_secs(starve + past);
            let at = |clock, points, seq| waiting(clock, points, seq).standing(&rules, now);
            prop_assert!(at(old, mine, 0) < at(old + Duration::from_secs(later), theirs, 1));
        }

        /// Of two calls of one class the older stands before the younger, at any time.
        #[test]
        fn a_class_is_first_come_first_served(
            slope in 0u32..50, cap in 0i32..100, points in -50i32..200, later in 0u64..3_600, then in 0u64..9_000,
        ) {
            let mut rules = QueueSettings::named("q");
            rules.priority = Priority { base: 0, per_minute: slope, cap, starve_after: Duration::from_secs(900) };
            let old = Time::from_secs(10_000);
            let young = old + Duration::from_secs(later);
            let now = young + Duration::from_secs(then);
            prop_assert!(waiting(old, points, 0).standing(&rules, now) < waiting(young, points, 1).standing(&rules, now));
        }
    }

    fn waiting(clock: Time, points: i32, seq: u64) -> Waiting {
        Waiting {
            entry: CallEntry::new(CallId::from_u128(u128::from(seq)), "q"),
            queue: 0,
            clock,
            entered: clock,
            seq,
            points,
            step: 0,
            leases: Vec::new(),
            widen_at: None,
            hops: 0,
            resumed: false,
            predicted: None,
            told: Told::default(),
            announce_at: None,
            due: None,
        }
    }
}

//! What an administrator decides about queues: plain values handed in, checked as a whole, replaced as a whole.
//!
//! The plan maps `strowger.toml` onto these. Every field has a default that works, so a queue is `QueueSettings::named("sales")`.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::skill::Expression;
use super::strategy::Strategy;
use crate::ids::{AgentName, QueueName};
use crate::limits;
use crate::tier::Tier;

/// Everything the ACD is told by configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub queues: Vec<QueueSettings>,
    /// The not-ready reasons an agent may give. Empty: any short text is taken.
    pub not_ready_reasons: Vec<Arc<str>>,
    pub tiers: TierPoints,
    pub back_off: BackOff,
    /// How long a lost CTI link or an unregistered phone is forgiven before the agent turns Not Ready for good.
    pub outage_grace: Duration,
    /// A caller who hung up and calls again within this span regains the old place, once. Zero: never.
    pub resume_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            not_ready_reasons: Vec::new(),
            tiers: TierPoints::default(),
            back_off: BackOff::default(),
            outage_grace: Duration::from_secs(60),
            resume_within: Duration::from_secs(300),
        }
    }
}

/// One queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSettings {
    pub name: QueueName,
    pub members: Membership,
    /// Who may answer, widening with time. Empty: every member, from the start.
    pub steps: Vec<Step>,
    pub strategy: Strategy,
    pub fit: Fit,
    pub priority: Priority,
    /// How long one agent's phone rings.
    pub ring_timeout: Duration,
    /// Ring progressively: after this span one more agent rings.
    pub widen_every: Duration,
    /// Unanswered offers in a row that turn an agent Not Ready.
    pub no_answer_limit: u32,
    /// How long a call waits for its preferred agent alone, as long as that agent is signed in.
    pub preferred_wait: Duration,
    /// Calls that may wait here; the next one is refused.
    pub length_limit: usize,
    pub overflow: Overflow,
    pub wrap_up: WrapUpRule,
    pub announce: AnnounceRule,
    /// Service level target T.
    pub target: Duration,
    /// Short-abandon threshold s: who leaves within it is not held against the queue.
    pub short_abandon: Duration,
    /// Does a call that the system moved on count against the service level (the `f` of the formula)?
    pub moved_counts: bool,
    /// Handle time assumed until the queue has its own.
    pub assumed_handle_time: Duration,
    /// Mean patience assumed until the queue has its own.
    pub assumed_patience: Duration,
}

impl QueueSettings {
    /// A queue with every default.
    pub fn named(name: impl Into<QueueName>) -> Self {
        Self {
            name: name.into(),
            members: Membership::BySkills,
            steps: Vec::new(),
            strategy: Strategy::default(),
            fit: Fit::Best,
            priority: Priority::default(),
            ring_timeout: Duration::from_secs(15),
            widen_every: Duration::from_secs(5),
            no_answer_limit: 1,
            preferred_wait: Duration::from_secs(30),
            length_limit: 200,
            overflow: Overflow::default(),
            wrap_up: WrapUpRule::default(),
            announce: AnnounceRule::default(),
            target: Duration::from_secs(20),
            short_abandon: Duration::from_secs(5),
            moved_counts: false,
            assumed_handle_time: Duration::from_secs(180),
            assumed_patience: Duration::from_secs(180),
        }
    }

    /// When, after entering, a call leaves whatever happens: the overflow by time, or the bound of the house.
    pub fn wait_limit(&self) -> Duration {
        self.overflow.after.as_ref().map_or(limits::ACD_WAIT, |(span, _)| (*span).min(limits::ACD_WAIT))
    }
}

/// Who belongs to a queue. A member must satisfy the step's expression as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Whoever satisfies the expression of any step.
    BySkills,
    /// These agents, in this order (the order is what *top down* and *round robin* follow).
    Listed(Vec<AgentName>),
    /// Agents whose roster entry names this queue.
    Assigned,
}

/// One step of an expanding ring. The clock is the call's own and is kept when it comes back.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// `None`: every member.
    pub expression: Option<Expression>,
    /// How long the step lasts. The last step has no end, whatever is written here.
    pub lasts: Duration,
    /// Pass the step over while nobody who satisfies it is signed in.
    pub skip_if_nobody: bool,
}

/// Whether the level of skill decides before the strategy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The best mean level in the skills asked for; the strategy breaks ties.
    #[default]
    Best,
    /// Whoever satisfies the expression is as good as any other.
    Disregard,
}

/// Effective priority = min(base + slope · age, cap), in points; after `starve_after` a call goes before all who
/// have not waited that long, oldest first. So nobody waits behind later callers for longer than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    pub base: i32,
    /// Points gained a minute.
    pub per_minute: u32,
    pub cap: i32,
    pub starve_after: Duration,
}

impl Default for Priority {
    fn default() -> Self {
        Self { base: 0, per_minute: 1, cap: 100, starve_after: Duration::from_secs(900) }
    }
}

/// Points that a tier adds to a call's base priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierPoints {
    pub platinum: i32,
    pub gold: i32,
    pub iron: i32,
    pub lead: i32,
}

impl TierPoints {
    pub fn of(&self, tier: Option<Tier>) -> i32 {
        match tier {
            Some(Tier::Platinum) => self.platinum,
            Some(Tier::Gold) => self.gold,
            Some(Tier::Iron) => self.iron,
            Some(Tier::Lead) => self.lead,
            None => 0,
        }
    }
}

impl Default for TierPoints {
    fn default() -> Self {
        Self { platinum: 30, gold: 20, iron: 10, lead: 0 }
    }
}

/// How long an agent is left alone after an offer that failed without turning the agent Not Ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    pub no_answer: Duration,
    pub declined: Duration,
    pub busy: Duration,
    pub unreachable: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            no_answer: Duration::from_secs(5),
            declined: Duration::from_secs(10),
            busy: Duration::from_secs(30),
            unreachable: Duration::from_secs(30),
        }
    }
}

/// When a call may not, or may no longer, wait here. `None`: the rule is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overflow {
    /// Waited this long in this queue.
    pub after: Option<(Duration, Action)>,
    /// This many calls wait already.
    pub length: Option<(usize, Action)>,
    /// No member is signed in: at entry, and when the last one signs out.
    pub nobody_signed_in: Option<Action>,
    /// Outside the hours, or closed by hand. Without an action a closed queue refuses.
    pub closed: Option<Action>,
}

/// What overflow does with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Wait in another queue, with the same clock.
    Queue(QueueName),
    /// Leave a message in this box.
    Voicemail(Arc<str>),
    /// Be dialled on to this number.
    Number(Arc<str>),
    HangUp,
}

/// What follows a call for the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrapUpRule {
    /// How long; zero: no wrap-up. At its end the wrap-up is closed by the system, with or without a code.
    pub lasts: Duration,
    /// The codes to choose from. Empty: any.
    pub codes: Vec<Arc<str>>,
    /// An agent cannot finish without a code.
    pub code_required: bool,
    /// What one extension adds.
    pub extend_by: Duration,
    pub extensions: u32,
}

/// When a caller hears the position and the wait. The first after `first`, then at most every `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceRule {
    pub position: bool,
    pub wait: bool,
    pub first: Duration,
    pub every: Duration,
}

impl Default for AnnounceRule {
    fn default() -> Self {
        Self { position: true, wait: true, first: Duration::from_secs(20), every: Duration::from_secs(45) }
    }
}

/// Why settings are refused. Nothing of them is taken then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    #[error("{0} queues are too many: at most {max} are possible", max = limits::ACD_QUEUES)]
    TooManyQueues(usize),
    #[error("queue `{0}` is there twice: give each its own name")]
    DuplicateQueue(QueueName),
    #[error("queue `{queue}` overflows to `{to}`, which does not exist: name an existing queue")]
    UnknownOverflowQueue { queue: QueueName, to: QueueName },
    #[error("queue `{0}` overflows to itself: name another queue")]
    OverflowToItself(QueueName),
    #[error("queue `{queue}` has {steps} steps: at most {max} are possible", max = limits::ACD_STEPS)]
    TooManySteps { queue: QueueName, steps: usize },
    #[error("queue `{queue}`: `{field}` must be at least {least:?}")]
    TooShort { queue: QueueName, field: &'static str, least: Duration },
    #[error("queue `{queue}`: a length limit of {length} is too much, at most {max}", max = limits::ACD_CALLS)]
    TooLong { queue: QueueName, length: usize },
    #[error("queue `{0}`: `cap` lies below `base`, so that priority would fall with age: raise the cap")]
    CapBelowBase(QueueName),
    #[error("queue `{0}`: `no_answer_limit` must be at least 1")]
    NoAnswerLimit(QueueName),
}

impl Settings {
    /// Every fault at once, so that one look mends all of them.
    pub fn check(&self) -> Result<(), Vec<SettingsFault>> {
        let mut faults = Vec::new();
        if self.queues.len() > limits::ACD_QUEUES {
            faults.push(SettingsFault::TooManyQueues(self.queues.len()));
        }
        let mut names = BTreeSet::new();
        for queue in &self.queues {
            if !names.insert(&queue.name) {
                faults.push(SettingsFault::DuplicateQueue(queue.name.clone()));
            }
        }
        for queue in &self.queues {
            queue.check(&names, &mut faults);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl QueueSettings {
    fn check(&self, names: &BTreeSet<&QueueName>, faults: &mut Vec<SettingsFault>) {
        let queue = || self.name.clone();
        for to in self.overflow.queues() {
            if *to == self.name {
                faults.push(SettingsFault::OverflowToItself(queue()));
            } else if !names.contains(to) {
                faults.push(SettingsFault::UnknownOverflowQueue { queue: queue(), to: to.clone() });
            }
        }
        if self.steps.len() > limits::ACD_STEPS {
            faults.push(SettingsFault::TooManySteps { queue: queue(), steps: self.steps.len() });
        }
        let second = Duration::from_secs(1);
        let spans = [
            ("ring_timeout", self.ring_timeout),
            ("widen_every", self.widen_every),
            ("announce.every", self.announce.every),
            ("assumed_handle_time", self.assumed_handle_time),
            ("assumed_patience", self.assumed_patience),
        ];
        for (field, _) in spans.iter().filter(|(_, span)| *span < second) {
            faults.push(SettingsFault::TooShort { queue: queue(), field, least: second });
        }
        if self.length_limit > limits::ACD_CALLS {
            faults.push(SettingsFault::TooLong { queue: queue(), length: self.length_limit });
        }
        if self.priority.cap < self.priority.base {
            faults.push(SettingsFault::CapBelowBase(queue()));
        }
        if self.no_answer_limit == 0 {
            faults.push(SettingsFault::NoAnswerLimit(queue()));
        }
    }
}

impl Overflow {
    /// The queues it leads to.
    fn queues(&self) -> impl Iterator<Item = &QueueName> {
        let actions = [
            self.after.as_ref().map(|(_, action)| action),
            self.length.as_ref().map(|(_, action)| action),
            self.nobody_signed_in.as_ref(),
            self.closed.as_ref(),
        ];
        actions.into_iter().flatten().filter_map(|action| match action {
            Action::Queue(queue) => Some(queue),
            Action::Voicemail(_) | Action::Number(_) | Action::HangUp => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let mut sales = QueueSettings::named("sales");
        sales.overflow.after = Some((Duration::from_secs(60), Action::Queue("slaes".into())));
        sales.overflow.closed = Some(Action::Queue("sales".into()));
        sales.ring_timeout = Duration::ZERO;
        sales.no_answer_limit = 0;
        sales.priority.cap = -1;
        sales.length_limit = limits::ACD_CALLS + 1;
        sales.steps =
            vec![Step { expression: None, lasts: Duration::ZERO, skip_if_nobody: false }; limits::ACD_STEPS + 1];
        let settings = Settings { queues: vec![sales, QueueSettings::named("sales")], ..Settings::default() };
        let faults = settings.check().unwrap_err();
        assert_eq!(faults.len(), 8, "{faults:?}");
        assert!(faults.iter().any(|f| f.to_string().contains("`slaes`, which does not exist")));
    }

    #[test]
    fn the_defaults_pass() {
        let queues = vec![QueueSettings::named("a"), QueueSettings::named("b")];
        assert_eq!(Settings { queues, ..Settings::default() }.check(), Ok(()));
        let queues = (0..=limits::ACD_QUEUES).map(|i| QueueSettings::named(QueueName::new(format!("q{i}")))).collect();
        let faults = Settings { queues, ..Settings::default() }.check().unwrap_err();
        assert_eq!(faults, [SettingsFault::TooManyQueues(limits::ACD_QUEUES + 1)]);
    }
}

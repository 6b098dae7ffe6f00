//! One agent: facts about a person at a phone, and the one state that follows from them.
//!
//! Nothing here says "busy": a count of live legs comes in from the switch, reservations come from the calls that
//! ring, and [`Agent::state`] derives the rest, so that no flag can stay behind when a leg is gone. Precedence:
//!
//! ```text
//! signed out > offered > talking / busy (live legs) > wrap-up > not ready (own choice, link lost, phone gone) > ready
//! ```

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::settings::{QueueSettings, WrapUpRule};
use super::skill::Abilities;
use crate::ids::{AgentName, CallId, Language, QueueName, SkillName};
use crate::limits;
use crate::time::Time;

/// What the roster says of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEntry {
    pub name: AgentName,
    /// Skill → level 1–10.
    pub skills: BTreeMap<SkillName, u8>,
    /// The queues this agent serves, for queues whose members are assigned.
    pub queues: BTreeSet<QueueName>,
    /// Site, team, and whatever else expressions ask for.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
    /// 1–10, for *weighted random*.
    pub weight: u8,
}

impl AgentEntry {
    pub fn named(name: impl Into<AgentName>) -> Self {
        Self {
            name: name.into(),
            skills: BTreeMap::new(),
            queues: BTreeSet::new(),
            attributes: BTreeMap::new(),
            weight: 1,
        }
    }

    pub fn with_skill(mut self, skill: impl Into<SkillName>, level: u8) -> Self {
        self.skills.insert(skill.into(), level);
        self
    }

    pub fn with_queue(mut self, queue: impl Into<QueueName>) -> Self {
        self.queues.insert(queue.into());
        self
    }

    pub(super) fn within_limits(&self) -> bool {
        let most = limits::ACD_AGENT_ITEMS;
        self.skills.len() <= most && self.queues.len() <= most && self.attributes.len() <= most
    }

    pub(super) fn levels_in_range(&self) -> bool {
        (1..=10).contains(&self.weight) && self.skills.values().all(|level| (1..=10).contains(level))
    }

    pub(super) fn abilities<'a>(&'a self, language: Option<&'a Language>) -> Abilities<'a> {
        Abilities { skills: &self.skills, attributes: &self.attributes, language }
    }
}

/// What an agent is doing, as everybody sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AgentState {
    SignedOut,
    NotReady {
        reason: NotReady,
    },
    Ready,
    /// Reserved for this call; the phone rings, or is about to.
    Offered {
        call: CallId,
    },
    /// In conversation over this queue call (holding it included).
    Talking {
        call: CallId,
    },
    /// On some other call: private, outbound, transferred to.
    Busy,
    WrapUp {
        call: CallId,
        until: Time,
    },
}

/// Why not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// The agent's or a supervisor's own reason.
    Chosen(Arc<str>),
    /// Just signed in.
    SignedIn,
    /// Offers were not answered.
    NoAnswer,
    /// The desktop's link is lost.
    LinkLost,
    /// The phone is not registered.
    PhoneUnregistered,
}

/// What an agent wants to be while nothing else claims it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Ready,
    NotReady(NotReady),
}

/// The queue call an agent talks on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Serving {
    pub call: CallId,
    pub queue: QueueName,
    pub answered: Time,
    /// The talk is over, but another leg still lives.
    pub ended: Option<Time>,
    /// The rules of the moment of the answer: a running call keeps them.
    pub rules: Arc<QueueSettings>,
}

/// Work after a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WrapUp {
    pub call: CallId,
    pub queue: QueueName,
    /// The talk that it follows.
    pub talk: Duration,
    pub since: Time,
    pub until: Time,
    pub extensions: u32,
    /// Chosen already, to be kept when the time runs out.
    pub code: Option<Arc<str>>,
    pub rules: Arc<QueueSettings>,
}

impl WrapUp {
    pub(super) fn rule(&self) -> &WrapUpRule {
        &self.rules.wrap_up
    }
}

/// One agent. Fields are facts; [`Agent::state`] is what follows.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub entry: AgentEntry,
    /// By queue index: how the agent belongs to it, if at all.
    pub serves: Vec<Option<Membership>>,
    pub signed_in: bool,
    pub wish: Wish,
    pub unregistered_since: Option<Time>,
    pub link_lost_since: Option<Time>,
    /// Live legs on the agent's address of record, as the switch counts them.
    pub live_legs: u32,
    /// The call that rings here: the other side of a lease held by that call.
    pub offered: Option<CallId>,
    pub serving: Option<Serving>,
    pub wrap_up: Option<WrapUp>,
    pub back_off_until: Option<Time>,
    /// Unanswered offers in a row.
    pub missed: u32,
    pub idle_since: Time,
    /// An offer is over, and its leg is still being taken down: no work, so the idle time goes on.
    pub rings_down: bool,
    pub calls: u32,
    pub talk: Duration,
    pub occupancy: Occupancy,
    /// What was last told, and since when.
    pub shown: (AgentState, Time),
    /// When the timer of this agent is set for.
    pub due: Option<Time>,
}

impl Agent {
    pub(super) fn new(entry: AgentEntry, now: Time) -> Self {
        Self {
            entry,
            serves: Vec::new(),
            signed_in: false,
            wish: Wish::NotReady(NotReady::SignedIn),
            unregistered_since: Some(now),
            link_lost_since: None,
            live_legs: 0,
            offered: None,
            serving: None,
            wrap_up: None,
            back_off_until: None,
            missed: 0,
            idle_since: now,
            rings_down: false,
            calls: 0,
            talk: Duration::ZERO,
            occupancy: Occupancy::default(),
            shown: (AgentState::SignedOut, now),
            due: None,
        }
    }

    pub(super) fn state(&self) -> AgentState {
        if !self.signed_in {
            return AgentState::SignedOut;
        }
        if let Some(call) = self.offered {
            return AgentState::Offered { call };
        }
        if self.live_legs > 0 {
            return match &self.serving {
                Some(Serving { call, ended: None, .. }) => AgentState::Talking { call: *call },
                _ => AgentState::Busy,
            };
        }
        if let Some(wrap_up) = &self.wrap_up {
            return AgentState::WrapUp { call: wrap_up.call, until: wrap_up.until };
        }
        match self.not_ready() {
            Some(reason) => AgentState::NotReady { reason },
            None => AgentState::Ready,
        }
    }

    fn not_ready(&self) -> Option<NotReady> {
        match &self.wish {
            Wish::NotReady(reason) => Some(reason.clone()),
            Wish::Ready if self.unregistered_since.is_some() => Some(NotReady::PhoneUnregistered),
            Wish::Ready if self.link_lost_since.is_some() => Some(NotReady::LinkLost),
            Wish::Ready => None,
        }
    }

    /// May be offered a call now.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        self.signed_in
            && self.offered.is_none()
            && self.live_legs == 0
            && self.wrap_up.is_none()
            && self.wish == Wish::Ready
            && self.unregistered_since.is_none()
            && self.link_lost_since.is_none()
            && !self.backs_off(now)
    }

    pub(super) fn backs_off(&self, now: Time) -> bool {
        self.back_off_until.is_some_and(|until| until > now)
    }

    /// Takes calls: now, or after the one (and the wrap-up) of this moment. A waiting caller may count on this agent.
    pub(super) fn works(&self) -> bool {
        self.signed_in
            && self.wish == Wish::Ready
            && self.unregistered_since.is_none()
            && self.link_lost_since.is_none()
    }

    pub(super) fn membership(&self, queue: usize) -> Option<Membership> {
        self.serves.get(queue).copied().flatten()
    }

    /// Occupancy with the state of this moment counted in.
    pub(super) fn occupancy_ppm(&self, now: Time) -> u32 {
        let mut occupancy = self.occupancy;
        occupancy.add(&self.shown.0, now.since(self.shown.1));
        occupancy.ppm()
    }

    /// The next instant at which something changes by itself; `grace` forgives outages.
    pub(super) fn next_due(&self, now: Time, grace: Duration) -> Option<Time> {
        let outage = |since: Option<Time>| since.filter(|_| self.wish == Wish::Ready).map(|since| since + grace);
        let wrap_up = self.wrap_up.as_ref().filter(|_| self.live_legs == 0).map(|wrap_up| wrap_up.until);
        let back_off = self.back_off_until.filter(|until| *until > now);
        if !self.signed_in {
            return None;
        }
        [outage(self.link_lost_since), outage(self.unregistered_since), wrap_up, back_off].into_iter().flatten().min()
    }
}

/// How an agent belongs to one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// One bit for each step whose expression the agent satisfies (whatever the caller's language).
    pub steps: u8,
    /// Place in the queue's own list, where it has one.
    pub position: Option<u32>,
}

/// How much of an agent's working time was not idle, weighing the last half hour to hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Occupancy {
    busy_us: u64,
    total_us: u64,
}

impl Occupancy {
    const WINDOW_US: u64 = 3_600_000_000;

    /// Counts a span in one state. Time signed out or not ready is no working time.
    pub(super) fn add(&mut self, state: &AgentState, span: Duration) {
        let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).min(Self::WINDOW_US);
        match state {
            AgentState::SignedOut | AgentState::NotReady { .. } => return,
            AgentState::Ready => {}
            AgentState::Offered { .. } | AgentState::Talking { .. } | AgentState::Busy | AgentState::WrapUp { .. } => {
                self.busy_us += span
            }
        }
        self.total_us += span;
        while self.total_us > Self::WINDOW_US {
            // Halving both keeps the ratio and lets the past fade.
            self.busy_us /= 2;
            self.total_us /= 2;
        }
    }

    pub(super) fn ppm(self) -> u32 {
        let ppm = self.busy_us.saturating_mul(1_000_000) / self.total_us.max(1);
        u32::try_from(ppm).unwrap_or(u32::MAX)
    }

    /// Half an hour's worth at this ratio: where a newcomer starts, level with the colleagues.
    pub(super) fn level(ppm: u32) -> Self {
        let total_us = Self::WINDOW_US / 2;
        Self { busy_us: total_us / 1_000_000 * u64::from(ppm.min(1_000_000)), total_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupancy_is_busy_over_working_time_and_fades() {
        let mut occupancy = Occupancy::default();
        assert_eq!(occupancy.ppm(), 0);
        occupancy.add(&AgentState::Ready, Duration::from_secs(300));
        occupancy.add(&AgentState::Busy, Duration::from_secs(900));
        occupancy.add(&AgentState::SignedOut, Duration::from_secs(9_000));
        assert_eq!(occupancy.ppm(), 750_000);
        for _ in 0..10 {
            occupancy.add(&AgentState::Ready, Duration::from_secs(1_800));
        }
        assert!(occupancy.ppm() < 10_000, "an idle afternoon outweighs a busy morning: {}", occupancy.ppm());
        assert_eq!(Occupancy::level(420_000).ppm(), 420_000);
    }

    #[test]
    fn live_legs_alone_decide_busy() {
        let mut ana = Agent::new(AgentEntry::named("ana"), Time::EPOCH);
        ana.signed_in = true;
        ana.wish = Wish::Ready;
        ana.unregistered_since = None;
        assert!(ana.is_idle(Time::EPOCH));
        ana.live_legs = 1;
        assert_eq!(ana.state(), AgentState::Busy);
        ana.live_legs = 0;
        assert_eq!(ana.state(), AgentState::Ready);
    }
}

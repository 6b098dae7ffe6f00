//! [`Acd`]: the value that owns queues, agents and waiting calls, its outputs and its timers.
//!
//! Its inputs are in `intake` (calls), `presence` (agents), `ringing` (offers), `supervise`, `reconcile`; each ends
//! in `settle`, which tells new states, decides, announces, and sets the timers of whatever was touched.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::agent::{Agent, AgentState};
use super::explain::{Explanation, Roster};
use super::figures::Figures;
use super::output::{Output, Refusal};
use super::queue::{Queue, Staff};
use super::settings::{Settings, SettingsFault};
use super::waiting::{Resumes, Waiting};
use crate::ids::{AgentName, CallId, IdSource, QueueName};
use crate::limits;
use crate::time::Time;

/// The distributor of calls.
pub struct Acd {
    /// With `queues` taken out: they live below.
    pub(super) settings: Settings,
    pub(super) queues: Vec<Queue>,
    pub(super) queue_index: BTreeMap<QueueName, usize>,
    pub(super) agents: BTreeMap<AgentName, Agent>,
    pub(super) roster: Arc<Roster>,
    pub(super) calls: BTreeMap<CallId, Waiting>,
    pub(super) resumes: Resumes,
    /// What chance decides, decides from here.
    pub(super) stream: IdSource,
    pub(super) outputs: VecDeque<Output>,
    pub(super) explanations: VecDeque<Arc<Explanation>>,
    pub(super) timers: BTreeSet<(Time, Owner)>,
    pub(super) pending: Pending,
    /// Calls ever taken in: the order among equal clocks.
    pub(super) seq: u64,
    /// Inputs ever handled, and when the last one was.
    pub(super) step: u64,
    pub(super) settled_at: Time,
}

/// Whose timer it is. Everything timed about an agent or a call hangs on one timer, so none can be left over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Call(CallId),
    Agent(AgentName),
}

/// What an input has touched, until `settle` has dealt with it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub agents: BTreeSet<AgentName>,
    pub calls: BTreeSet<CallId>,
    pub queues: BTreeSet<usize>,
    /// Calls that may take an agent now and could not before.
    pub offerable: BTreeSet<CallId>,
    pub widen: BTreeSet<CallId>,
    pub announce: BTreeSet<CallId>,
    pub entered: BTreeSet<CallId>,
    /// Everything may have changed.
    pub all: bool,
}

/// An agent as others see one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentView {
    pub agent: AgentName,
    pub state: AgentState,
    pub since: Time,
    /// Wants to be ready when nothing else claims: what follows a call or a wrap-up.
    pub ready_next: bool,
    pub queues: Vec<QueueName>,
    pub calls: u32,
    pub talk: Duration,
    pub occupancy_ppm: u32,
}

/// A waiting call as others see one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallView {
    pub call: CallId,
    pub queue: QueueName,
    /// 1: the next.
    pub position: u32,
    pub clock: Time,
    pub entered: Time,
    /// Effective priority in points.
    pub priority: f64,
    pub step: u8,
    pub ringing: Vec<AgentName>,
}

impl Acd {
    /// An empty house with these settings; `seed` feeds the strategies that draw.
    pub fn new(settings: Settings, seed: u64) -> Result<Self, Vec<SettingsFault>> {
        let mut acd = Self {
            settings: Settings::default(),
            queues: Vec::new(),
            queue_index: BTreeMap::new(),
            agents: BTreeMap::new(),
            roster: Arc::new(Roster { revision: 0, names: Vec::new() }),
            calls: BTreeMap::new(),
            resumes: Resumes::default(),
            stream: IdSource::from_seed(seed),
            outputs: VecDeque::new(),
            explanations: VecDeque::new(),
            timers: BTreeSet::new(),
            pending: Pending::default(),
            seq: 0,
            step: 0,
            settled_at: Time::EPOCH,
        };
        acd.handle_settings(Time::EPOCH, settings)?;
        acd.outputs.clear();
        Ok(acd)
    }

    /// The next thing to carry out or to tell. Drain it after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Acd::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does all that is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        // A round may make something else due at once (a lease that ends past its call's deadline); rounds are few.
        for _ in 0..64 {
            let due: Vec<Owner> =
                self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, owner)| owner.clone()).collect();
            if due.is_empty() {
                return;
            }
            self.step += 1;
            for owner in due {
                match owner {
                    Owner::Call(call) => self.on_call_timer(now, call),
                    Owner::Agent(agent) => self.on_agent_timer(now, &agent),
                }
            }
            self.settle(now);
        }
    }

    /// Replaces all settings or, if any fault is found, none. Agents, waiting calls and figures stay: waiting calls
    /// follow the new rules at once; a queue that is gone lives on with its old rules until its last call has left.
    pub fn handle_settings(&mut self, now: Time, mut settings: Settings) -> Result<(), Vec<SettingsFault>> {
        settings.check()?;
        self.step += 1;
        let rules = core::mem::take(&mut settings.queues);
        self.settings = settings;
        let old: Vec<Queue> = core::mem::take(&mut self.queues);
        let mut old: BTreeMap<QueueName, (usize, Queue)> =
            old.into_iter().enumerate().map(|(index, queue)| (queue.rules.name.clone(), (index, queue))).collect();
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for rules in rules {
            let queue = match old.remove(&rules.name) {
                Some((index, queue)) => {
                    moved.insert(index, self.queues.len());
                    Queue { rules: Arc::new(rules), retired: false, ..queue }
                }
                None => Queue::new(rules),
            };
            self.queues.push(queue);
        }
        for (index, queue) in old.into_values().filter(|(_, queue)| queue.figures.waiting > 0) {
            moved.insert(index, self.queues.len());
            self.queues.push(Queue { retired: true, ..queue });
        }
        self.queue_index =
            self.queues.iter().enumerate().map(|(index, queue)| (queue.rules.name.clone(), index)).collect();
        for call in self.calls.values_mut() {
            call.queue = *moved.get(&call.queue).expect("a queue with waiting calls is kept");
        }
        self.recount_members();
        self.touch_everything();
        self.overflow_unstaffed(now);
        self.settle(now);
        Ok(())
    }

    /// The state of an agent, derived at this moment.
    pub fn agent_state(&self, agent: &AgentName) -> Option<AgentState> {
        self.agents.get(agent).map(Agent::state)
    }

    pub fn agent(&self, now: Time, agent: &AgentName) -> Option<AgentView> {
        let agent = self.agents.get(agent)?;
        let queues = self.queues.iter().enumerate().filter(|(index, _)| agent.membership(*index).is_some());
        Some(AgentView {
            agent: agent.entry.name.clone(),
            state: agent.state(),
            since: agent.shown.1,
            ready_next: agent.wish == super::agent::Wish::Ready,
            queues: queues.map(|(_, queue)| queue.rules.name.clone()).collect(),
            calls: agent.calls,
            talk: agent.talk,
            occupancy_ppm: agent.occupancy_ppm(now),
        })
    }

    /// The names of all agents on the roster, in order.
    pub fn agents(&self) -> &[AgentName] {
        &self.roster.names
    }

    pub fn figures(&self, queue: &QueueName) -> Option<Figures> {
        Some(self.queues.get(*self.queue_index.get(queue)?)?.figures)
    }

    /// The calls of a queue in the order in which they will be served.
    pub fn waiting(&self, now: Time, queue: &QueueName) -> Vec<CallView> {
        let Some((index, rules)) = self.queue_index.get(queue).and_then(|i| Some((*i, &self.queues.get(*i)?.rules)))
        else {
            return Vec::new();
        };
        let mut calls: Vec<_> = self.calls.values().filter(|call| call.queue == index).collect();
        calls.sort_by_cached_key(|call| (!call.rings(), call.standing(rules, now)));
        let mut position = 0;
        let view = |call: &Waiting| {
            position += u32::from(!call.rings());
            let age = now.since(call.clock);
            CallView {
                call: call.id(),
                queue: queue.clone(),
                position,
                clock: call.clock,
                entered: call.entered,
                priority: super::waiting::effective_priority(&rules.priority, call.points, age) as f64 / 1_000.0,
                step: u8::try_from(call.step).unwrap_or(u8::MAX),
                ringing: call.leases.iter().map(|lease| lease.agent.clone()).collect(),
            }
        };
        calls.into_iter().map(view).collect()
    }

    /// The decisions made for a call, oldest first, as far back as they are kept.
    pub fn explanations(&self, call: CallId) -> impl Iterator<Item = &Arc<Explanation>> {
        self.explanations.iter().filter(move |explanation| explanation.call == call)
    }

    pub(super) fn queue(&self, index: usize) -> &Queue {
        self.queues.get(index).expect("a call's queue is there as long as the call")
    }

    pub(super) fn queue_mut(&mut self, index: usize) -> &mut Queue {
        self.pending.queues.insert(index);
        self.queues.get_mut(index).expect("a call's queue is there as long as the call")
    }

    pub(super) fn known_queue(&self, queue: &QueueName) -> Result<usize, Refusal> {
        let index = self.queue_index.get(queue).copied();
        index.filter(|index| !self.queue(*index).retired).ok_or_else(|| Refusal::UnknownQueue(queue.clone()))
    }

    pub(super) fn known_agent(&mut self, agent: &AgentName) -> Result<&mut Agent, Refusal> {
        self.agents.get_mut(agent).ok_or_else(|| Refusal::UnknownAgent(agent.clone()))
    }

    /// An agent who is signed in, to be changed: the end of the input looks at it again.
    pub(super) fn signed_in_agent(&mut self, agent: &AgentName) -> Result<&mut Agent, Refusal> {
        self.pending.agents.insert(agent.clone());
        let known = self.known_agent(agent)?;
        if known.signed_in { Ok(known) } else { Err(Refusal::SignedOut(agent.clone())) }
    }

    /// The end of every input: tell states, decide, tell what came of it, announce, set timers.
    pub(super) fn settle(&mut self, now: Time) {
        self.tell_states(now);
        self.decide(now);
        self.tell_states(now);
        self.announce(now);
        self.set_timers(now);
        self.tell_figures();
        self.settled_at = now;
        self.pending = Pending::default();
    }

    fn tell_states(&mut self, now: Time) {
        for name in &self.pending.agents {
            let Some(agent) = self.agents.get_mut(name) else { continue };
            let state = agent.state();
            if state == agent.shown.0 {
                continue;
            }
            agent.occupancy.add(&agent.shown.0, now.since(agent.shown.1));
            let was_offered = matches!(agent.shown.0, AgentState::Offered { .. });
            if state == AgentState::Ready && !was_offered && !agent.rings_down {
                agent.idle_since = now;
            }
            agent.rings_down = was_offered && state == AgentState::Busy;
            let extended = matches!((&state, &agent.shown.0),
                (AgentState::WrapUp { call: a, .. }, AgentState::WrapUp { call: b, .. }) if a == b);
            let since = if extended { agent.shown.1 } else { now };
            agent.shown = (state.clone(), since);
            self.outputs.push_back(Output::AgentStateChanged { agent: name.clone(), state, since });
        }
    }

    fn set_timers(&mut self, now: Time) {
        let grace = self.settings.outage_grace;
        for name in &self.pending.agents {
            let Some(agent) = self.agents.get_mut(name) else { continue };
            let due = agent.next_due(now, grace);
            rearm(&mut self.timers, Owner::Agent(name.clone()), &mut agent.due, due);
        }
        for id in &self.pending.calls {
            let Some(call) = self.calls.get_mut(id) else { continue };
            let queue = self.queues.get(call.queue).expect("a call's queue is there as long as the call");
            let due = call.next_due(queue, now);
            rearm(&mut self.timers, Owner::Call(*id), &mut call.due, due);
        }
    }

    fn tell_figures(&mut self) {
        for index in &self.pending.queues {
            let Some(queue) = self.queues.get(*index) else { continue };
            let (name, figures) = (queue.rules.name.clone(), queue.figures);
            self.outputs.push_back(Output::QueueFigures { queue: name, figures });
        }
    }

    /// Who belongs to what, and how many of them are signed in: worked out anew from roster and settings.
    pub(super) fn recount_members(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.staff = Staff::default());
        for agent in self.agents.values_mut() {
            agent.serves = self.queues.iter().map(|queue| queue.belongs(&agent.entry)).collect();
            if agent.signed_in {
                count_staff(&mut self.queues, agent, true);
            }
        }
    }

    pub(super) fn touch_everything(&mut self) {
        self.pending.all = true;
        self.pending.calls.extend(self.calls.keys());
        self.pending.agents.extend(self.agents.keys().cloned());
        self.pending.queues.extend(0..self.queues.len());
    }

    pub(super) fn remember(&mut self, explanation: Arc<Explanation>) {
        if self.explanations.len() >= limits::ACD_EXPLANATIONS {
            self.explanations.pop_front();
        }
        self.explanations.push_back(explanation);
    }
}

/// Counts an agent in or out of the staff of each queue the agent belongs to.
pub(super) fn count_staff(queues: &mut [Queue], agent: &Agent, signs_in: bool) {
    for (queue, belongs) in queues.iter_mut().zip(&agent.serves) {
        if let Some(belongs) = belongs {
            queue.staff.count(*belongs, signs_in);
        }
    }
}

fn rearm(timers: &mut BTreeSet<(Time, Owner)>, owner: Owner, set: &mut Option<Time>, due: Option<Time>) {
    if *set == due {
        return;
    }
    if let Some(at) = set.take() {
        timers.remove(&(at, owner.clone()));
    }
    if let Some(at) = due {
        timers.insert((at, owner));
    }
    *set = due;
}

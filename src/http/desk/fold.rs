//! The fold: one event in, the after-images of what it touched out.

mod agents;
mod calls;
mod queues;
mod records;

use std::collections::{BTreeMap, BTreeSet};

use super::entity::{Agent, Call, Entity, EntityKind, Gone, LegState, Queue, Trunk, Voicemail, Waiting};
use super::name::name_of;
use super::plan::QueuePlan;
use super::topic::Topic;
use crate::event::{Event, Fact, RecordKind, Seq};
use crate::http::wire::Moment;
use crate::ids::{AccountName, AgentName, CallId, QueueName, SkillName, TrunkName, UserName};
use crate::limits::http as limits;
use crate::time::Time;
use queues::{describe, waiting_id};
use records::voicemail;

/// Everything a desktop may show, at one place in the event stream.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    seq: Seq,
    since: Time,
    agents: BTreeMap<AgentName, Agent>,
    queues: BTreeMap<QueueName, Queue>,
    /// Running calls, and ended ones that somebody still wraps up.
    calls: BTreeMap<CallId, Call>,
    /// Agents who have spoken in a running call, also those who have left it: they are told of its end.
    spoke: BTreeMap<CallId, BTreeSet<AgentName>>,
    waiting: BTreeMap<(QueueName, CallId), Waiting>,
    /// By `box/message`.
    voicemails: BTreeMap<String, Voicemail>,
    trunks: BTreeMap<TrunkName, Trunk>,
    phones: BTreeMap<AccountName, BTreeSet<String>>,
    plan: BTreeMap<QueueName, QueuePlan>,
    /// The plan that the next `plan.applied` is about.
    next_plan: Option<BTreeMap<QueueName, QueuePlan>>,
}

/// What is known before the first event of this boot.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub now: Time,
    /// The last event before this boot.
    pub seq: Seq,
    pub agents: Vec<StartAgent>,
    pub queues: BTreeMap<QueueName, QueuePlan>,
    pub trunks: Vec<TrunkName>,
    pub voicemails: Vec<crate::runtime::fold::VoicemailRow>,
    /// Contacts that phones registered with an earlier boot.
    pub phones: Vec<(AccountName, String)>,
}

/// Someone who may sign in to take calls.
#[derive(Clone, Debug)]
pub struct StartAgent {
    pub name: AgentName,
    pub display: String,
    pub skills: BTreeMap<SkillName, u8>,
}

/// One event's after-images.
#[derive(Clone, Debug)]
pub struct Delta {
    pub seq: Seq,
    pub at: Time,
    pub name: &'static str,
    pub images: Vec<Image>,
}

/// An entity with whom it concerns, where it is a call.
#[derive(Clone, Debug)]
pub struct Image {
    pub entity: Entity,
    /// Agents who have part in the call.
    pub parties: Vec<AgentName>,
    /// Agents who had part in it until this event.
    pub parted: Vec<AgentName>,
}

impl Image {
    fn of(entity: Entity) -> Self {
        Self { entity, parties: Vec::new(), parted: Vec::new() }
    }
}

/// What an event touched, by key; images are taken after the whole event is applied.
#[derive(Default)]
struct Touched {
    agents: BTreeSet<AgentName>,
    queues: BTreeSet<QueueName>,
    calls: BTreeSet<CallId>,
    waiting: BTreeSet<(QueueName, CallId)>,
    voicemails: BTreeSet<String>,
    trunks: BTreeSet<TrunkName>,
}

impl Desk {
    pub fn new(start: Start) -> Self {
        let (now, rev) = (start.now, start.seq);
        let mut desk = Self { seq: rev, since: now, plan: start.queues, ..Self::default() };
        for agent in start.agents {
            let image = desk.new_agent(&agent.name, rev, now);
            let queues = desk.served_by(&agent.name, &agent.skills);
            let image = Agent { display: agent.display, skills: agent.skills, queues, ..image };
            desk.agents.insert(agent.name, image);
        }
        for name in desk.plan.keys().cloned().collect::<Vec<_>>() {
            let queue = desk.new_queue(name.clone(), rev);
            desk.queues.insert(name, queue);
        }
        for id in start.trunks {
            let trunk = Trunk { id: id.clone(), rev, up: true, reason: String::new(), since: Moment(now) };
            desk.trunks.insert(id, trunk);
        }
        for row in start.voicemails {
            let message = voicemail(&row.r#box, row.id, row.call, &row.from, row.at, row.seconds, rev);
            desk.voicemails.insert(message.id.clone(), message);
        }
        for (account, contact) in start.phones {
            desk.phones.entry(account).or_default().insert(contact);
        }
        desk
    }

    /// The plan that the next `plan.applied` is about.
    pub fn take_plan(&mut self, queues: BTreeMap<QueueName, QueuePlan>) {
        self.next_plan = Some(queues);
    }

    /// The last event applied.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    pub fn agent(&self, name: &AgentName) -> Option<&Agent> {
        self.agents.get(name)
    }

    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.values()
    }

    /// Who waits in a queue, longest first.
    pub fn waiting(&self, queue: &QueueName) -> Vec<&Waiting> {
        let mut waiting: Vec<&Waiting> = self.waiting.values().filter(|w| w.queue == *queue).collect();
        waiting.sort_by_key(|w| w.since);
        waiting
    }

    pub fn trunks(&self) -> impl Iterator<Item = &Trunk> {
        self.trunks.values()
    }

    pub fn voicemails(&self) -> impl Iterator<Item = &Voicemail> {
        self.voicemails.values()
    }

    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id)
    }

    /// Running calls, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(|call| call.ended.is_none())
    }

    /// Whether an agent has part in a call: a live leg, an offer, or its wrap-up.
    pub fn is_party(&self, agent: &AgentName, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| self.parties(call).contains(agent))
    }

    /// Everything a topic may hold, as images.
    pub(super) fn images(&self, topic: &Topic) -> Vec<Image> {
        match topic {
            Topic::Me => {
                let agents = self.agents.values().cloned().map(Entity::Agent).map(Image::of);
                agents.chain(self.calls.values().map(|call| self.call_image(call))).collect()
            }
            Topic::Agents => self.agents.values().cloned().map(Entity::Agent).map(Image::of).collect(),
            Topic::Queues => self.queues.values().cloned().map(Entity::Queue).map(Image::of).collect(),
            Topic::Queue(name) => {
                let queue = self.queues.get(name).cloned().map(Entity::Queue);
                let waiting = self.waiting(name).into_iter().cloned().map(Entity::Waiting);
                queue.into_iter().chain(waiting).map(Image::of).collect()
            }
            Topic::Calls => self.calls.values().map(|call| self.call_image(call)).collect(),
            Topic::Voicemails => self.voicemails.values().cloned().map(Entity::Voicemail).map(Image::of).collect(),
            Topic::Trunks => self.trunks.values().cloned().map(Entity::Trunk).map(Image::of).collect(),
        }
    }

    /// Applies the next event. One that is not newer changes nothing: replay is harmless.
    pub fn apply(&mut self, event: &Event) -> Option<Delta> {
        if event.seq <= self.seq {
            return None;
        }
        self.seq = event.seq;
        let mut before = self.parties_before(event);
        if let (Fact::CallEnded { .. }, Some(call)) = (&event.fact, event.call) {
            before.entry(call).or_default().extend(self.spoke.remove(&call).unwrap_or_default());
        }
        let mut touched = Touched::default();
        self.on_fact(event, &mut touched);
        self.forget_ended(&mut touched);
        // Also where only its parties changed: a tombstone counts by being newer than what was seen.
        for id in &touched.calls {
            if let Some(call) = self.calls.get_mut(id) {
                call.rev = event.seq;
            }
        }
        let images = self.images_of(touched, before);
        Some(Delta { seq: event.seq, at: event.at, name: name_of(&event.fact), images })
    }

    /// Parties of the calls that the event can touch, to tell who leaves.
    fn parties_before(&self, event: &Event) -> BTreeMap<CallId, BTreeSet<AgentName>> {
        let agent = match &event.fact {
            Fact::AgentStateChanged { agent, .. }
            | Fact::AgentSignedIn { agent, .. }
            | Fact::AgentSignedOut { agent }
            | Fact::CallOffered { agent, .. } => Some(agent.clone()),
            Fact::RecordRemoved { kind: RecordKind::Agent, key, .. } => Some(UserName::new(key)),
            _ => None,
        };
        let agent = agent.and_then(|name| self.agents.get(&name));
        let seated = agent.and_then(|agent| agent.account.as_ref()).map(|account| self.calls_at(account));
        let ids = event.call.into_iter().chain(agent.and_then(|agent| agent.call)).chain(seated.unwrap_or_default());
        ids.filter_map(|id| Some((id, self.parties(self.calls.get(&id)?)))).collect()
    }

    fn parties(&self, call: &Call) -> BTreeSet<AgentName> {
        let mut parties: BTreeSet<AgentName> = call.offers.iter().map(|offer| offer.agent.clone()).collect();
        for leg in call.legs.iter().filter(|leg| leg.state != LegState::Ended && call.ended.is_none()) {
            match (&leg.agent, &leg.account) {
                (Some(agent), _) => {
                    parties.insert(agent.clone());
                }
                (None, Some(account)) => {
                    let seated = self.agents.values().filter(|agent| agent.account.as_ref() == Some(account));
                    parties.extend(seated.map(|agent| agent.id.clone()));
                }
                (None, None) => {}
            }
        }
        let working = self.agents.values().filter(|agent| agent.call == Some(call.id));
        parties.extend(working.map(|agent| agent.id.clone()));
        parties
    }

    /// Running calls with a leg at an account: whoever is seated there has part in them.
    fn calls_at(&self, account: &AccountName) -> Vec<CallId> {
        let at = |call: &&Call| call.legs.iter().any(|leg| leg.account.as_ref() == Some(account));
        self.calls().filter(at).map(|call| call.id).collect()
    }

    fn call_image(&self, call: &Call) -> Image {
        let parties = self.parties(call).into_iter().collect();
        Image { parties, ..Image::of(Entity::Call(Box::new(call.clone()))) }
    }

    fn images_of(&self, touched: Touched, before: BTreeMap<CallId, BTreeSet<AgentName>>) -> Vec<Image> {
        let rev = self.seq;
        let gone = |of, id: String| Entity::Gone(Gone { of, id, rev });
        let mut images = Vec::new();
        for id in touched.calls {
            let was = before.get(&id).cloned().unwrap_or_default();
            let mut image = match self.calls.get(&id) {
                Some(call) => self.call_image(call),
                None => Image::of(gone(EntityKind::Call, id.to_string())),
            };
            image.parted = was.into_iter().filter(|agent| !image.parties.contains(agent)).collect();
            images.push(image);
        }
        let waiting = touched.waiting.into_iter().map(|key| match self.waiting.get(&key) {
            Some(waiting) => Entity::Waiting(waiting.clone()),
            None => gone(EntityKind::Waiting, waiting_id(&key.0, key.1)),
        });
        images.extend(waiting.map(Image::of));
        let agents = touched.agents.into_iter().map(|name| match self.agents.get(&name) {
            Some(agent) => Entity::Agent(agent.clone()),
            None => gone(EntityKind::Agent, name.to_string()),
        });
        images.extend(agents.map(Image::of));
        let queues = touched.queues.iter().filter_map(|name| self.queues.get(name));
        images.extend(queues.cloned().map(Entity::Queue).map(Image::of));
        let voicemails = touched.voicemails.into_iter().map(|id| match self.voicemails.get(&id) {
            Some(message) => Entity::Voicemail(message.clone()),
            None => gone(EntityKind::Voicemail, id),
        });
        images.extend(voicemails.map(Image::of));
        let trunks = touched.trunks.iter().filter_map(|name| self.trunks.get(name));
        images.extend(trunks.cloned().map(Entity::Trunk).map(Image::of));
        images
    }

    fn on_fact(&mut self, event: &Event, touched: &mut Touched) {
        match &event.fact {
            Fact::AgentSignedIn { .. }
            | Fact::AgentStateChanged { .. }
            | Fact::AgentSignedOut { .. }
            | Fact::AgentLinkLost { .. }
            | Fact::AgentLinkRestored { .. }
            | Fact::PhoneRegistered { .. }
            | Fact::PhoneUnregistered { .. } => self.on_agent(event, touched),
            Fact::QueueEntered { .. }
            | Fact::QueueLeft { .. }
            | Fact::QueueAnnounced { .. }
            | Fact::QueueReordered { .. } => {
                self.on_queue(event, touched);
            }
            Fact::RecordSaved { kind, key, record, .. } => self.on_saved(*kind, key, record, event.at, touched),
            Fact::RecordRemoved { kind, key, .. } => self.on_removed(*kind, key, touched),
            Fact::VoicemailLeft { voicemail: id, r#box, from, seconds, .. } => {
                let Some(call) = event.call else { return };
                let message = voicemail(r#box, *id, call, from, event.at, *seconds, event.seq);
                touched.voicemails.insert(message.id.clone());
                self.voicemails.insert(message.id.clone(), message);
                if self.voicemails.len() > limits::DESK_VOICEMAILS
                    && let Some((oldest, _)) = self.voicemails.pop_first()
                {
                    touched.voicemails.insert(oldest);
                }
            }
            Fact::TrunkStateChanged { trunk: id, up, reason } => {
                let (id, reason) = (id.clone(), reason.clone());
                let trunk = Trunk { id: id.clone(), rev: event.seq, up: *up, reason, since: Moment(event.at) };
                touched.trunks.insert(id.clone());
                self.trunks.insert(id, trunk);
            }
            Fact::PlanApplied { .. } => self.on_plan(event, touched),
            _ => self.on_call(event, touched),
        }
    }

    /// Queues of a new plan appear, change their words and targets, and are served by others. Figures stay; a queue
    /// that is no more stays with them.
    fn on_plan(&mut self, event: &Event, touched: &mut Touched) {
        let Some(plan) = self.next_plan.take() else { return };
        self.plan = plan;
        for name in self.plan.keys().cloned().collect::<Vec<_>>() {
            self.touch_queue(&name, event, touched);
            if let (Some(queue), Some(plan)) = (self.queues.get_mut(&name), self.plan.get(&name)) {
                describe(queue, plan);
            }
        }
        for name in self.agents.keys().cloned().collect::<Vec<_>>() {
            let Some(agent) = self.agents.get(&name) else { continue };
            let queues = self.served_by(&name, &agent.skills);
            if agent.queues != queues {
                self.touch_agent(&name, event, touched).queues = queues;
            }
        }
    }

    fn served_by(&self, agent: &AgentName, skills: &BTreeMap<SkillName, u8>) -> Vec<QueueName> {
        let serving = self.plan.iter().filter(|(_, queue)| queue.is_served_by(agent, skills));
        serving.map(|(name, _)| name.clone()).collect()
    }
}

//! The fold: one event in, the after-images of what it touched out.

use std::collections::{BTreeMap, BTreeSet};

use super::entity::{
    Address, Agent, Answer, Call, CallState, Card, Entity, EntityKind, Gone, IvrPlace, Leg, LegState, Offer, Queue,
    Recording, Trunk, Voicemail, Waiting, Words,
};
use super::name::name_of;
use super::plan::QueuePlan;
use super::topic::Topic;
use crate::event::{self, AgentState, Event, Fact, QueueExit, RecordKind, Role, Seq};
use crate::http::wire::Moment;
use crate::ids::{AccountName, AgentName, CallId, LegId, QueueName, SkillName, TrunkName, UserName, VoicemailId};
use crate::limits::http as limits;
use crate::time::Time;

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

    // -- agents ------------------------------------------------------------------------------------------------------

    fn on_agent(&mut self, event: &Event, touched: &mut Touched) {
        match &event.fact {
            Fact::AgentSignedIn { agent, account } => {
                let registered = self.phones.contains_key(account);
                let before = self.agents.get(agent).and_then(|agent| agent.account.clone());
                for seat in before.iter().chain([account]) {
                    touched.calls.extend(self.calls_at(seat));
                }
                let agent = self.touch_agent(agent, event, touched);
                (agent.account, agent.registered, agent.linked) = (Some(account.clone()), registered, true);
                if agent.state == AgentState::SignedOut {
                    (agent.state, agent.since) = (AgentState::NotReady, Moment(event.at));
                }
            }
            Fact::AgentStateChanged { agent, state, reason, deadline } => {
                let agent = self.touch_agent(agent, event, touched);
                if agent.state != *state || agent.reason != *reason {
                    agent.since = Moment(event.at);
                }
                (agent.state, agent.reason) = (*state, reason.clone());
                agent.deadline = deadline.map(Moment);
                let at_work = matches!(state, AgentState::Offered | AgentState::Talking | AgentState::WrapUp);
                let left = if at_work { None } else { agent.call.take() };
                touched.calls.extend(left);
            }
            Fact::AgentSignedOut { agent } => {
                let seat = self.agents.get(agent).and_then(|agent| agent.account.clone());
                touched.calls.extend(seat.iter().flat_map(|seat| self.calls_at(seat)));
                let agent = self.touch_agent(agent, event, touched);
                (agent.state, agent.since) = (AgentState::SignedOut, Moment(event.at));
                (agent.account, agent.registered, agent.deadline) = (None, false, None);
                agent.reason.clear();
                let left = agent.call.take();
                touched.calls.extend(left);
            }
            Fact::AgentLinkLost { agent } => self.touch_agent(agent, event, touched).linked = false,
            Fact::AgentLinkRestored { agent } => self.touch_agent(agent, event, touched).linked = true,
            Fact::PhoneRegistered { account, contact, .. } => {
                self.phones.entry(account.clone()).or_default().insert(contact.clone());
                self.on_phone(account, event, touched);
            }
            Fact::PhoneUnregistered { account, contact, .. } => {
                if let Some(contacts) = self.phones.get_mut(account) {
                    contacts.remove(contact);
                    if contacts.is_empty() {
                        self.phones.remove(account);
                    }
                }
                self.on_phone(account, event, touched);
            }
            _ => {}
        }
    }

    fn on_phone(&mut self, account: &AccountName, event: &Event, touched: &mut Touched) {
        let registered = self.phones.contains_key(account);
        let seated = self.agents.values().find(|agent| agent.account.as_ref() == Some(account));
        let changed = seated.filter(|agent| agent.registered != registered).map(|agent| agent.id.clone());
        if let Some(name) = changed {
            self.touch_agent(&name, event, touched).registered = registered;
        }
    }

    fn touch_agent(&mut self, name: &AgentName, event: &Event, touched: &mut Touched) -> &mut Agent {
        touched.agents.insert(name.clone());
        let fresh = self.new_agent(name, event.seq, event.at);
        let agent = self.agents.entry(name.clone()).or_insert(fresh);
        agent.rev = event.seq;
        agent
    }

    fn new_agent(&self, name: &AgentName, rev: Seq, at: Time) -> Agent {
        Agent {
            id: name.clone(),
            rev,
            display: String::new(),
            state: AgentState::SignedOut,
            reason: String::new(),
            since: Moment(at),
            deadline: None,
            account: None,
            registered: false,
            linked: true,
            call: None,
            skills: BTreeMap::new(),
            queues: self.served_by(name, &BTreeMap::new()),
        }
    }

    // -- queues ------------------------------------------------------------------------------------------------------

    fn on_queue(&mut self, event: &Event, touched: &mut Touched) {
        let Some(id) = event.call else { return };
        match &event.fact {
            Fact::QueueEntered { queue, priority, tier, position } => {
                self.touch_queue(queue, event, touched).entered += 1;
                let call = self.calls.get_mut(&id);
                let (mut from, mut name) = (Address::default(), String::new());
                if let Some(call) = call {
                    (call.queue, call.queue_since) = (Some(queue.clone()), Some(Moment(event.at)));
                    call.priority = *priority;
                    from = call.from.clone();
                    name = call.customer.as_ref().map(|card| card.name.clone()).unwrap_or_default();
                }
                let waiting = Waiting {
                    id: waiting_id(queue, id),
                    rev: event.seq,
                    queue: queue.clone(),
                    call: id,
                    since: Moment(event.at),
                    priority: *priority,
                    tier: tier.clone(),
                    from,
                    name,
                    position: *position,
                    wait_s: None,
                    offered: Vec::new(),
                };
                let key = (queue.clone(), id);
                touched.waiting.insert(key.clone());
                self.waiting.insert(key, waiting);
                self.count_waiting(queue);
                self.touch_call(id, event, touched);
            }
            Fact::QueueLeft { queue, exit, waited_ms } => {
                let short_ms = self.plan.get(queue).map_or(0, |plan| plan.short_abandon_ms);
                let image = self.touch_queue(queue, event, touched);
                match exit {
                    QueueExit::Answered => {
                        image.answered += 1;
                        let in_time = *waited_ms <= u64::from(image.target_s).saturating_mul(1_000);
                        image.answered_in_time += u64::from(in_time);
                        image.answered_wait_ms = image.answered_wait_ms.saturating_add(*waited_ms);
                    }
                    QueueExit::Abandoned => {
                        image.abandoned += 1;
                        image.abandoned_short += u64::from(*waited_ms <= short_ms);
                    }
                    QueueExit::Moved => image.moved += 1,
                    QueueExit::Failed => image.failed += 1,
                }
                image.longest_wait_ms = image.longest_wait_ms.max(*waited_ms);
                let key = (queue.clone(), id);
                self.waiting.remove(&key);
                touched.waiting.insert(key);
                self.count_waiting(queue);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.queue_since = None;
                }
                self.touch_call(id, event, touched);
            }
            Fact::QueueAnnounced { queue, position, wait_s } => {
                let key = (queue.clone(), id);
                if let Some(waiting) = self.waiting.get_mut(&key) {
                    (waiting.position, waiting.wait_s, waiting.rev) = (*position, *wait_s, event.seq);
                    touched.waiting.insert(key);
                }
            }
            Fact::QueueReordered { priority, .. } => {
                for (key, waiting) in self.waiting.iter_mut().filter(|(key, _)| key.1 == id) {
                    (waiting.priority, waiting.rev) = (*priority, event.seq);
                    touched.waiting.insert(key.clone());
                }
                self.calls.get_mut(&id).into_iter().for_each(|call| call.priority = *priority);
                self.touch_call(id, event, touched);
            }
            _ => {}
        }
    }

    fn touch_queue(&mut self, name: &QueueName, event: &Event, touched: &mut Touched) -> &mut Queue {
        touched.queues.insert(name.clone());
        let fresh = self.new_queue(name.clone(), event.seq);
        let queue = self.queues.entry(name.clone()).or_insert(fresh);
        queue.rev = event.seq;
        queue
    }

    fn new_queue(&self, id: QueueName, rev: Seq) -> Queue {
        let mut queue = Queue {
            rev,
            label: Words::plain(id.as_str()),
            id: id.clone(),
            codes: Vec::new(),
            code_required: false,
            waiting: 0,
            longest_since: None,
            since: Moment(self.since),
            entered: 0,
            answered: 0,
            abandoned: 0,
            moved: 0,
            failed: 0,
            answered_wait_ms: 0,
            longest_wait_ms: 0,
            target_percent: 0,
            target_s: 0,
            answered_in_time: 0,
            abandoned_short: 0,
        };
        self.plan.get(&id).into_iter().for_each(|plan| describe(&mut queue, plan));
        queue
    }

    fn count_waiting(&mut self, name: &QueueName) {
        let waits = self.waiting.values().filter(|waiting| waiting.queue == *name).map(|waiting| waiting.since);
        let (count, longest) = waits.fold((0, None::<Moment>), |(count, longest), since| {
            (count + 1, Some(longest.map_or(since, |longest| longest.min(since))))
        });
        if let Some(queue) = self.queues.get_mut(name) {
            (queue.waiting, queue.longest_since) = (count, longest);
        }
    }

    fn offer_in_queue(&mut self, call: CallId, event: &Event, touched: &mut Touched) {
        let offered: Vec<AgentName> = match self.calls.get(&call) {
            Some(call) => call.offers.iter().map(|offer| offer.agent.clone()).collect(),
            None => Vec::new(),
        };
        for (key, waiting) in self.waiting.iter_mut().filter(|(key, _)| key.1 == call) {
            (waiting.offered, waiting.rev) = (offered.clone(), event.seq);
            touched.waiting.insert(key.clone());
        }
    }

    // -- calls -------------------------------------------------------------------------------------------------------

    fn on_call(&mut self, event: &Event, touched: &mut Touched) {
        let Some(id) = event.call else { return };
        let at = Moment(event.at);
        if let Fact::CallAccepted { leg, direction, from, to, dialplan, .. } = &event.fact {
            let mut call = new_call(id, event, *direction, from, to);
            call.ivr = dialplan.clone().map(|dialplan| IvrPlace { dialplan, state: String::new() });
            call.legs.push(new_leg(*leg, Role::Caller, from, None, at));
            self.calls.insert(id, call);
            return self.touch_call(id, event, touched);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &event.fact {
            Fact::CustomerMatched { card } => call.customer = Some(Card::from(card)),
            Fact::CallStepped { dialplan, state, .. } => {
                call.ivr = Some(IvrPlace { dialplan: dialplan.clone(), state: state.clone() });
            }
            Fact::CallCollected { answer } => call.answers.push(Answer::from(answer)),
            Fact::LegAdded { leg, role, to, agent } if call.legs.len() < limits::DESK_LEGS => {
                call.legs.push(new_leg(*leg, *role, to, agent.clone(), at));
            }
            Fact::LegRinging { leg, .. } => set_leg(call, *leg, LegState::Ringing, at),
            Fact::LegAnswered { leg, .. } => {
                set_leg(call, *leg, LegState::Answered, at);
                let Some(leg) = call.legs.iter().find(|l| l.id == *leg) else { return };
                if leg.role == Role::Caller {
                    call.answered.get_or_insert(at);
                }
                let seated = |agent: &&Agent| leg.account.is_some() && agent.account == leg.account;
                let spoke = self.spoke.entry(id).or_default();
                match &leg.agent {
                    Some(agent) => drop(spoke.insert(agent.clone())),
                    None => spoke.extend(self.agents.values().filter(seated).map(|agent| agent.id.clone())),
                }
            }
            Fact::LegEnded { leg, .. } => set_leg(call, *leg, LegState::Ended, at),
            Fact::LegHeld { leg, .. } => set_held(call, *leg, true),
            Fact::LegResumed { leg, .. } => set_held(call, *leg, false),
            Fact::RecordingStarted { .. } => call.recording = Recording::On,
            Fact::RecordingMasked { masked, .. } => {
                call.recording = if *masked { Recording::Masked } else { Recording::On };
            }
            Fact::RecordingSealed { .. } => call.recording = Recording::Off,
            Fact::RecordingFailed { .. } => call.recording = Recording::Failed,
            Fact::CallOffered { agent, leg, deadline, card, answers, .. } => {
                call.customer = Some(Card::from(card));
                call.answers = answers.iter().map(Answer::from).collect();
                call.offers.push(Offer { agent: agent.clone(), leg: *leg, deadline: Moment(*deadline) });
                let left = self.touch_agent(agent, event, touched).call.replace(id);
                touched.calls.extend(left);
                self.offer_in_queue(id, event, touched);
            }
            Fact::OfferEnded { leg, agent, outcome } => {
                call.offers.retain(|offer| offer.leg != *leg);
                if *outcome != event::OfferOutcome::Answered {
                    let entry = self.agents.get_mut(agent).filter(|entry| entry.call == Some(id));
                    if let Some(entry) = entry {
                        (entry.call, entry.rev) = (None, event.seq);
                        touched.agents.insert(agent.clone());
                    }
                }
                self.offer_in_queue(id, event, touched);
            }
            Fact::CallEnded { cause } => {
                (call.ended, call.cause) = (Some(at), Some(*cause));
                call.offers.clear();
                call.legs.iter_mut().for_each(|leg| leg.state = LegState::Ended);
                call.recording = Recording::Off;
                let keys: Vec<(QueueName, CallId)> = self.waiting.keys().filter(|key| key.1 == id).cloned().collect();
                for key in keys {
                    self.waiting.remove(&key);
                    self.touch_queue(&key.0, event, touched);
                    self.count_waiting(&key.0);
                    touched.waiting.insert(key);
                }
            }
            Fact::LegsConnected { .. }
            | Fact::LegAdded { .. }
            | Fact::CallTransferred { .. }
            | Fact::InteractionWrapped { .. } => {}
            _ => return,
        }
        self.touch_call(id, event, touched);
    }

    /// Marks the call and derives its state anew.
    fn touch_call(&mut self, id: CallId, event: &Event, touched: &mut Touched) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.rev = event.seq;
        call.state = state_of(call);
        touched.calls.insert(id);
    }

    /// Ended calls go when nobody wraps them up any more, or when there are too many.
    fn forget_ended(&mut self, touched: &mut Touched) {
        let held: BTreeSet<CallId> = self.agents.values().filter_map(|agent| agent.call).collect();
        for id in &touched.calls {
            if self.calls.get(id).is_some_and(|call| call.ended.is_some()) && !held.contains(id) {
                self.calls.remove(id);
            }
        }
        if self.calls.len() <= limits::DESK_CALLS {
            return;
        }
        let oldest_ended = self.calls.values().find(|call| call.ended.is_some()).map(|call| call.id);
        if let Some(id) = oldest_ended {
            self.calls.remove(&id);
            touched.calls.insert(id);
        }
    }

    // -- records people keep -----------------------------------------------------------------------------------------

    fn on_saved(&mut self, kind: RecordKind, name: &str, record: &serde_json::Value, at: Time, touched: &mut Touched) {
        let name = UserName::new(name);
        let seq = self.seq;
        match kind {
            RecordKind::Agent => {
                let Ok(profile) = serde_json::from_value::<crate::crm::AgentProfile>(record.clone()) else { return };
                let fresh = self.new_agent(&name, seq, at);
                let agent = self.agents.entry(name.clone()).or_insert(fresh);
                agent.skills = profile.skills.into_iter().map(|(skill, level)| (skill, level.get())).collect();
                agent.rev = seq;
                let queues = self.agents.get(&name).map(|agent| self.served_by(&name, &agent.skills));
                if let (Some(agent), Some(queues)) = (self.agents.get_mut(&name), queues) {
                    agent.queues = queues;
                }
                touched.agents.insert(name);
            }
            RecordKind::User => {
                let display = record.get("display").and_then(serde_json::Value::as_str).unwrap_or_default();
                if let Some(agent) = self.agents.get_mut(&name) {
                    (agent.display, agent.rev) = (display.to_owned(), seq);
                    touched.agents.insert(name);
                }
            }
            RecordKind::Account | RecordKind::Customer | RecordKind::Voicemail => {}
        }
    }

    fn on_removed(&mut self, kind: RecordKind, key: &str, touched: &mut Touched) {
        match kind {
            RecordKind::Agent => {
                let name = UserName::new(key);
                if let Some(agent) = self.agents.remove(&name) {
                    touched.calls.extend(agent.call);
                    touched.calls.extend(agent.account.iter().flat_map(|seat| self.calls_at(seat)));
                }
                touched.agents.insert(name);
            }
            RecordKind::Voicemail if self.voicemails.remove(key).is_some() => {
                touched.voicemails.insert(key.to_owned());
            }
            _ => {}
        }
    }
}

fn state_of(call: &Call) -> CallState {
    let live = || call.legs.iter().filter(|leg| leg.state != LegState::Ended);
    let talking = live().filter(|leg| leg.state == LegState::Answered).count() > 1;
    if call.ended.is_some() {
        return CallState::Ended;
    }
    if talking {
        return if live().any(|leg| leg.held) { CallState::Held } else { CallState::Talking };
    }
    match (call.offers.is_empty(), call.queue_since.is_some()) {
        (false, _) => CallState::Offered,
        (true, true) => CallState::Waiting,
        (true, false) if call.ivr.is_some() && live().all(|leg| leg.role == Role::Caller) => CallState::Ivr,
        (true, false) => CallState::Ringing,
    }
}

fn set_leg(call: &mut Call, id: LegId, state: LegState, at: Moment) {
    if let Some(leg) = call.legs.iter_mut().find(|leg| leg.id == id) {
        (leg.state, leg.since) = (state, at);
        leg.held &= state != LegState::Ended;
    }
}

fn set_held(call: &mut Call, id: LegId, held: bool) {
    if let Some(leg) = call.legs.iter_mut().find(|leg| leg.id == id) {
        leg.held = held;
    }
}

fn new_call(
    id: CallId,
    event: &Event,
    direction: event::Direction,
    from: &event::Address,
    to: &event::Address,
) -> Call {
    Call {
        id,
        rev: event.seq,
        state: CallState::Ivr,
        direction,
        from: Address::from(from),
        to: Address::from(to),
        since: Moment(event.at),
        answered: None,
        ended: None,
        cause: None,
        customer: None,
        answers: Vec::new(),
        ivr: None,
        queue: None,
        queue_since: None,
        priority: 0,
        offers: Vec::new(),
        legs: Vec::new(),
        recording: Recording::Off,
    }
}

fn new_leg(id: LegId, role: Role, at: &event::Address, agent: Option<AgentName>, since: Moment) -> Leg {
    let (number, account) = (at.number.clone(), at.account.clone());
    Leg { id, role, number, account, agent, state: LegState::Dialling, since, held: false }
}

/// Sets what the plan says of a queue.
fn describe(queue: &mut Queue, plan: &QueuePlan) {
    (queue.label, queue.codes, queue.code_required) = (plan.label.clone(), plan.codes.clone(), plan.code_required);
    (queue.target_percent, queue.target_s) = (plan.target_percent, plan.target_s);
}

fn waiting_id(queue: &QueueName, call: CallId) -> String {
    format!("{queue}/{call}")
}

fn voicemail(
    mailbox: &str,
    message: VoicemailId,
    call: CallId,
    from: &event::Address,
    at: Time,
    seconds: f64,
    rev: Seq,
) -> Voicemail {
    Voicemail {
        id: format!("{mailbox}/{message}"),
        rev,
        r#box: mailbox.to_owned(),
        message,
        call,
        from: Address::from(from),
        at: Moment(at),
        seconds,
    }
}

impl From<&event::Address> for Address {
    fn from(address: &event::Address) -> Self {
        Self { number: address.number.clone(), name: address.name.clone() }
    }
}

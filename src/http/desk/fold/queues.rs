//! Queues: who waits, and their counters since the boot.

use super::super::entity::{Address, Queue, Waiting, Words};
use super::super::plan::QueuePlan;
use crate::event::{Event, Fact, QueueExit, Seq};
use crate::http::wire::Moment;
use crate::ids::{AgentName, CallId, QueueName};

use super::{Desk, Touched};

impl Desk {
    pub(super) fn on_queue(&mut self, event: &Event, touched: &mut Touched) {
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

    pub(super) fn touch_queue(&mut self, name: &QueueName, event: &Event, touched: &mut Touched) -> &mut Queue {
        touched.queues.insert(name.clone());
        let fresh = self.new_queue(name.clone(), event.seq);
        let queue = self.queues.entry(name.clone()).or_insert(fresh);
        queue.rev = event.seq;
        queue
    }

    pub(super) fn new_queue(&self, id: QueueName, rev: Seq) -> Queue {
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

    pub(super) fn count_waiting(&mut self, name: &QueueName) {
        let waits = self.waiting.values().filter(|waiting| waiting.queue == *name).map(|waiting| waiting.since);
        let (count, longest) = waits.fold((0, None::<Moment>), |(count, longest), since| {
            (count + 1, Some(longest.map_or(since, |longest| longest.min(since))))
        });
        if let Some(queue) = self.queues.get_mut(name) {
            (queue.waiting, queue.longest_since) = (count, longest);
        }
    }

    pub(super) fn offer_in_queue(&mut self, call: CallId, event: &Event, touched: &mut Touched) {
        let offered: Vec<AgentName> = match self.calls.get(&call) {
            Some(call) => call.offers.iter().map(|offer| offer.agent.clone()).collect(),
            None => Vec::new(),
        };
        for (key, waiting) in self.waiting.iter_mut().filter(|(key, _)| key.1 == call) {
            (waiting.offered, waiting.rev) = (offered.clone(), event.seq);
            touched.waiting.insert(key.clone());
        }
    }
}

/// Sets what the plan says of a queue.
pub(super) fn describe(queue: &mut Queue, plan: &QueuePlan) {
    (queue.label, queue.codes, queue.code_required) = (plan.label.clone(), plan.codes.clone(), plan.code_required);
    (queue.target_percent, queue.target_s) = (plan.target_percent, plan.target_s);
}

pub(super) fn waiting_id(queue: &QueueName, call: CallId) -> String {
    format!("{queue}/{call}")
}

//! Steps that hand the caller on: queue, dial, voicemail. Secrets are forgotten before any of them.

use std::sync::Arc;

use crate::dialplan::model::{Action, Destination, Dial, EdgeLabel, Queue, Voicemail};
use crate::dialplan::value::{Key, Value};

use super::super::effect::IvrEffect;
use super::super::machine::{Machine, Moment, Waiting};
use super::choose::text_of;

impl Machine {
    pub(super) fn queue(&mut self, at: Moment<'_>, queue: &Queue) {
        let facts = self.facts(at);
        let vars = &self.frame().vars;
        let priority = queue.priority.as_ref().map_or(0, |expr| match expr.value(vars, &facts) {
            Value::Number(points) => i32::try_from(points.clamp(-1_000, 1_000)).unwrap_or(0),
            _ => 0,
        });
        let prefer = queue.prefer.as_ref().map(|expr| text_of(&expr.value(vars, &facts)));
        let prefer = prefer.filter(|agent| !agent.is_empty()).map(Arc::from);
        let attach =
            queue.attach.iter().map(|(label, expr)| (label.clone(), text_of(&expr.value(vars, &facts)))).collect();
        self.forget_secrets();
        self.waiting = Waiting::Queue { until: at.now + queue.max_wait };
        let (queue, skills) = (queue.queue.clone(), queue.skills.clone());
        self.effects.push_back(IvrEffect::Queue { queue, priority, skills, prefer, attach });
    }

    /// A key pressed while waiting: leaves the queue where the state has an edge for it.
    pub(in super::super) fn queue_key(&mut self, key: char) {
        let Action::Queue(queue) = self.state_action() else { return };
        let pressed = Key::new(key);
        let Some((key, _)) = queue.keys.iter().find(|(key, _)| Some(*key) == pressed).copied() else { return };
        self.effects.push_back(IvrEffect::LeaveQueue);
        self.leave(EdgeLabel::Key(key));
    }

    pub(super) fn dial(&mut self, at: Moment<'_>, dial: &Dial) {
        let facts = self.facts(at);
        let to = match &dial.to {
            Destination::Fixed(to) => to.clone(),
            Destination::Of(expr) | Destination::Account(expr) => {
                text_of(&expr.value(&self.frame().vars, &facts)).into()
            }
        };
        let account = matches!(dial.to, Destination::Account(_));
        self.forget_secrets();
        self.waiting = Waiting::Dial;
        let (caller_id, ring) = (dial.caller_id.clone(), dial.ring);
        self.effects.push_back(IvrEffect::Dial { to, account, caller_id, ring });
    }

    pub(super) fn voicemail(&mut self, at: Moment<'_>, voicemail: &Voicemail) {
        self.forget_secrets();
        let words = self.speak(at, &voicemail.greeting);
        match self.play(words) {
            Some(ticket) => self.waiting = Waiting::Greeting(ticket),
            None => self.record_message(),
        }
    }

    /// The greeting is over: the message begins.
    pub(in super::super) fn record_message(&mut self) {
        let Action::Voicemail(voicemail) = self.state_action() else { return };
        let message = IvrEffect::Message {
            mailbox: voicemail.mailbox.clone(),
            beep: voicemail.beep,
            max: voicemail.max,
            silence: voicemail.silence,
        };
        self.waiting = Waiting::Message;
        self.effects.push_back(message);
    }

    /// Neither variables nor keys pressed ahead leave the dialplan with the caller.
    fn forget_secrets(&mut self) {
        self.keys.clear();
        for frame in &mut self.frames {
            frame.vars.forget_secrets();
        }
    }
}

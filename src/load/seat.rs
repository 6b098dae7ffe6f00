//! An agent of a load run: a desk phone, the agent's behaviour, and the desk that its commands go to. Without a desk
//! it is a phone that only registers.

use tokio::sync::mpsc;

use super::ear::{Heard, ToneHz};
use super::report::{LegSide, Note};
use super::station::Party;
use super::voice::LegCount;
use crate::sim::agent::{Agent, AgentAction, DeskCommand, DeskNews, PhoneAct};
use crate::sim::endpoint::UserAgent;
use crate::sim::phone::Phone;
use crate::sim::report::{CallKey, PhoneReport};
use crate::time::Time;

/// See the module.
pub struct AgentSeat {
    phone: Phone,
    agent: Option<Agent>,
    commands: Option<mpsc::Sender<DeskCommand>>,
    tone: ToneHz,
    notes: mpsc::Sender<Note>,
    /// When the first REGISTER went out, until it is answered; refreshes are not measured.
    asked: Option<Time>,
    /// The call that rings or talks.
    call: Option<Conversation>,
    leaving: bool,
}

struct Conversation {
    key: CallKey,
    rang: Time,
    answered: Option<Time>,
    heard: bool,
}

impl AgentSeat {
    /// An agent at its desk; the shift begins with `now`.
    pub fn new(
        phone: Phone,
        mut agent: Agent,
        commands: mpsc::Sender<DeskCommand>,
        tone: ToneHz,
        notes: mpsc::Sender<Note>,
        now: Time,
    ) -> Self {
        agent.start();
        let mut seat = Self::bare(phone, tone, notes, now);
        (seat.agent, seat.commands) = (Some(agent), Some(commands));
        seat.carry_out(now);
        seat
    }

    /// A phone that registers at `now` and does what its answer plan says.
    pub fn phone_only(mut phone: Phone, tone: ToneHz, notes: mpsc::Sender<Note>, now: Time) -> Self {
        phone.register(now);
        Self::bare(phone, tone, notes, now)
    }

    fn bare(phone: Phone, tone: ToneHz, notes: mpsc::Sender<Note>, now: Time) -> Self {
        Self { phone, agent: None, commands: None, tone, notes, asked: Some(now), call: None, leaving: false }
    }

    pub fn phone(&mut self) -> &mut Phone {
        &mut self.phone
    }

    fn carry_out(&mut self, now: Time) {
        while let Some(action) = self.agent.as_mut().and_then(Agent::poll_action) {
            match action {
                AgentAction::Desk(command) => {
                    // A desk that is gone, or far behind, loses commands; the agent's next ones go on trying.
                    let _lost = self.commands.as_ref().map(|desk| desk.try_send(command));
                }
                AgentAction::Phone(act) => self.act(now, act),
            }
        }
    }

    fn act(&mut self, now: Time, act: PhoneAct) {
        // What no longer fits the call is void: the far side ended it meanwhile.
        let _late = match act {
            PhoneAct::Register => {
                self.phone.register(now);
                Ok(())
            }
            PhoneAct::Unregister => {
                self.phone.unregister(now);
                Ok(())
            }
            PhoneAct::Answer(call) => self.phone.endpoint().answer(now, call),
            PhoneAct::Decline(call, status) => self.phone.endpoint().refuse(now, call, status),
            PhoneAct::Hold(call) => self.phone.endpoint().hold(now, call),
            PhoneAct::Resume(call) => self.phone.endpoint().resume(now, call),
            PhoneAct::Transfer(call, to) => self.phone.transfer(now, call, &to),
            PhoneAct::HangUp(call) => self.phone.endpoint().hang_up(now, call),
        };
    }

    fn note(&self, note: Note) {
        let _full = self.notes.try_send(note);
    }

    fn on_own_report(&mut self, now: Time, report: &PhoneReport) {
        match report {
            PhoneReport::Registered { .. } => {
                if let Some(asked) = self.asked.take() {
                    self.note(Note::Registered { after: now.since(asked) });
                }
            }
            PhoneReport::RegistrationFailed { status } => self.note(Note::RegistrationFailed { status: *status }),
            PhoneReport::Ringing(ringing) if self.call.is_none() => {
                self.call = Some(Conversation { key: ringing.call, rang: now, answered: None, heard: false });
                self.note(Note::AgentRang);
            }
            PhoneReport::Answered { call } => {
                if let Some(ours) = self.call.as_mut().filter(|ours| ours.key == *call) {
                    ours.answered = Some(now);
                    let ring = now.since(ours.rang);
                    self.note(Note::AgentAnswered { ring });
                }
            }
            PhoneReport::Ended { call, .. } => {
                // An answered call is noted with its leg, which comes after this.
                self.call.take_if(|ours| ours.key == *call && ours.answered.is_none());
            }
            PhoneReport::Unreadable(error) => self.note(Note::Unreadable { what: error.to_string() }),
            _ => {}
        }
    }
}

impl Party for AgentSeat {
    fn machine(&mut self) -> &mut dyn UserAgent {
        &mut self.phone
    }

    fn poll_timeout(&mut self) -> Option<Time> {
        let agent = self.agent.as_ref().and_then(Agent::poll_timeout);
        [agent, self.phone.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Time) {
        self.phone.handle_timeout(now);
        if let Some(agent) = &mut self.agent {
            agent.handle_timeout(now);
        }
        self.carry_out(now);
    }

    fn handle_report(&mut self, now: Time, report: &PhoneReport) {
        self.on_own_report(now, report);
        if let Some(agent) = &mut self.agent {
            agent.handle_phone(now, report);
        }
        self.carry_out(now);
    }

    fn handle_heard(&mut self, now: Time, call: CallKey, heard: Heard) {
        let Heard::Tone(tone) = heard else { return };
        let Some(ours) = self.call.as_mut().filter(|ours| ours.key == call && !ours.heard) else { return };
        if let (Some(answered), false) = (ours.answered, tone.is_agent()) {
            ours.heard = true;
            self.note(Note::AgentHeardCaller { after: now.since(answered) });
        }
    }

    fn handle_leg(&mut self, _now: Time, call: CallKey, count: LegCount) {
        let ours = self.call.take_if(|ours| ours.key == call);
        let answered = ours.is_some_and(|ours| ours.answered.is_some());
        self.note(Note::Leg { side: LegSide::Agent, answered, count });
    }

    fn handle_desk(&mut self, now: Time, news: DeskNews) {
        if let Some(agent) = &mut self.agent {
            agent.handle_desk(now, news);
        }
        self.carry_out(now);
    }

    fn finish(&mut self, now: Time) {
        self.leaving = true;
        let calls: Vec<CallKey> = self.phone.endpoint().calls().collect();
        for call in calls {
            let _over = self.phone.endpoint().hang_up(now, call);
        }
        match &mut self.agent {
            Some(agent) => agent.finish(),
            None => self.phone.unregister(now),
        }
        self.carry_out(now);
    }

    fn is_done(&mut self) -> bool {
        self.leaving && !self.phone.is_asking() && self.phone.endpoint().is_idle()
    }

    fn tone(&self, _call: CallKey) -> ToneHz {
        self.tone
    }
}

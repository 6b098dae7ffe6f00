//! Calls that the endpoint takes: how it lets them ring, answers, or refuses.

use core::time::Duration;
use std::net::SocketAddr;

use super::super::dialog::{Dialog, answer, dialled};
use super::super::exchange::IncomingKey;
use super::super::report::{CallKey, EndedBy, Ending, PhoneReport, Ringing};
use super::super::rsip_wire::{Method, Received, SipUri};
use super::super::session::Session;
use super::{Call, Change, Endpoint, Outcome, Phase, PhoneError, Side};
use crate::time::Time;

/// One thing that a call does by itself at a set time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// 180 Ringing.
    Ring,
    /// 183 Session Progress with a description: tones or announcements before the answer.
    EarlyMedia,
    /// 200 OK; `copies` above one sends as many 2xx with To tags of their own, as a forking proxy would.
    Answer { copies: u8 },
    /// A final refusal.
    Refuse { status: u16 },
    /// Ends a call whose cancelled INVITE never got its final answer.
    Forget,
    /// Sends a re-INVITE again after 491.
    Reinvite(Change),
}

/// What becomes of a call that came in, each step at its time after the INVITE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerPlan {
    pub steps: Vec<(Duration, Step)>,
}

impl AnswerPlan {
    /// No answer at all, not even a provisional one.
    pub fn silent() -> Self {
        Self::default()
    }

    /// Rings until told otherwise, or until the caller gives up.
    pub fn ring() -> Self {
        Self { steps: vec![(Duration::ZERO, Step::Ring)] }
    }

    /// Rings, and answers after that time.
    pub fn answer_after(delay: Duration) -> Self {
        Self::ring().then(delay, Step::Answer { copies: 1 })
    }

    /// Rings, and answers twice after that time, each time as another fork.
    pub fn answer_twice_after(delay: Duration) -> Self {
        Self::ring().then(delay, Step::Answer { copies: 2 })
    }

    /// Rings, and refuses after that time (486, 603, 480 …).
    pub fn refuse_after(delay: Duration, status: u16) -> Self {
        Self::ring().then(delay, Step::Refuse { status })
    }

    /// Refuses at once, without ringing.
    pub fn refuse(status: u16) -> Self {
        Self { steps: vec![(Duration::ZERO, Step::Refuse { status })] }
    }

    /// Plays early media at once and answers after that time.
    pub fn early_media_then_answer(delay: Duration) -> Self {
        let early = Self { steps: vec![(Duration::ZERO, Step::EarlyMedia)] };
        early.then(delay, Step::Answer { copies: 1 })
    }

    /// Adds a step.
    pub fn then(mut self, delay: Duration, step: Step) -> Self {
        self.steps.push((delay, step));
        self
    }
}

impl Endpoint {
    /// Gives a call that came in its plan; what is due at once is done at once.
    pub fn follow(&mut self, now: Time, call: CallKey, plan: &AnswerPlan) {
        if let Some(taken) = self.calls.get_mut(&call) {
            plan.steps.iter().for_each(|(delay, step)| taken.do_at(now + *delay, *step));
        }
        self.run_steps(now);
    }

    /// Answers a ringing call now.
    pub fn answer(&mut self, now: Time, call: CallKey) -> Result<(), PhoneError> {
        self.accept(now, call, 1)
    }

    /// Refuses a ringing call now.
    pub fn refuse(&mut self, now: Time, call: CallKey, status: u16) -> Result<(), PhoneError> {
        self.respond(now, call, status, |draft| draft)?;
        self.end(call, Ending { status, by: EndedBy::Us });
        Ok(())
    }

    /// Turns a call away with 401 and that challenge, as if it had never rung.
    pub fn challenge(&mut self, now: Time, call: CallKey, www_authenticate: &str) {
        let turned_away = self.respond(now, call, 401, |draft| draft.with("WWW-Authenticate", www_authenticate));
        if turned_away.is_ok() {
            self.calls.remove(&call);
        }
    }

    /// An INVITE outside any dialog.
    pub(super) fn on_invite(&mut self, now: Time, from: SocketAddr, key: IncomingKey, invite: Received) {
        if self.is_full() {
            return self.answer_stray(now, &key, &invite, self.settings.full_status);
        }
        let tag = self.secrets.token();
        let offer = match invite.body.is_empty() {
            true => None,
            false => match Session::parse(invite.body_text()) {
                Ok(offer) if self.speaks_any(&offer) => Some(offer),
                _ => return self.answer_stray(now, &key, &invite, 488),
            },
        };
        let call = self.new_call_key();
        let dialog = Dialog::taking(&invite, tag.clone(), from);
        let offered_late = offer.is_none();
        let side = Side::Taken { key, invite: Box::new(invite.clone()), tags: vec![tag], offered_late };
        let mut taken = Call::new(side, dialog);
        taken.theirs = offer;
        self.calls.insert(call, taken);
        self.report(PhoneReport::Ringing(ringing(call, &invite)));
        self.outcomes.push_back(Outcome::Invited(call, Box::new(invite)));
    }

    fn speaks_any(&self, offer: &Session) -> bool {
        offer.codecs.iter().any(|codec| self.settings.codecs.contains(codec))
    }

    /// The far side gives up before our answer (RFC 3261 §9.2).
    pub(super) fn on_cancel(&mut self, now: Time, key: &IncomingKey, cancel: &Received) {
        let early = |call: &Call| match &call.side {
            Side::Taken { key, .. } => key.branch == cancel.branch && key.call_id == cancel.call_id,
            Side::Placed { .. } => false,
        };
        let found = self.calls.iter().find(|(_, call)| early(call)).map(|(key, call)| (*key, call.phase));
        let Some((call, phase)) = found else { return self.answer_stray(now, key, cancel, 481) };
        self.reply(now, key, cancel, 200);
        if phase == Phase::Early && self.respond(now, call, 487, |draft| draft).is_ok() {
            self.end(call, Ending { status: 487, by: EndedBy::Them });
        }
    }

    /// The ACK of a 2xx: the call is up, or one more fork of ours is confirmed.
    pub(super) fn on_ack(&mut self, now: Time, key: &IncomingKey, first: bool, ack: &Received) {
        let ours = |call: &Call| matches!(&call.side, Side::Taken { key: invite, .. } if invite == key);
        let Some((&call, taken)) = self.calls.iter_mut().find(|(_, call)| ours(call)) else { return };
        if taken.phase != Phase::Answering || !first {
            return;
        }
        if let Some(tag) = &ack.to.tag {
            taken.dialog.local_tag = tag.clone();
        }
        taken.phase = Phase::Up;
        if matches!(taken.side, Side::Taken { offered_late: true, .. }) {
            taken.theirs = Session::parse(ack.body_text()).ok();
        }
        let (path, hang_up) = (taken.path(), taken.hang_up);
        let Some(path) = path else { return self.bye(now, call, Ending { status: 488, by: EndedBy::Us }) };
        self.report(PhoneReport::Media { call, path });
        self.report(PhoneReport::Answered { call });
        if hang_up {
            self.bye(now, call, Ending { status: 200, by: EndedBy::Us });
        }
    }

    pub(super) fn on_no_ack(&mut self, now: Time, key: &IncomingKey) {
        let ours = |call: &Call| matches!(&call.side, Side::Taken { key: invite, .. } if invite == key);
        let found = self.calls.iter().find(|(_, call)| ours(call) && call.phase == Phase::Answering);
        if let Some(call) = found.map(|(key, _)| *key) {
            // RFC 3261 §13.3.1.4: the dialog stands, so it is ended by BYE.
            self.bye(now, call, Ending { status: 408, by: EndedBy::Silence });
        }
    }

    pub(super) fn take_step(&mut self, now: Time, call: CallKey, step: Step) {
        // A step that no longer fits its call (answered by hand, cancelled) is void.
        let _void = match step {
            Step::Ring => self.respond(now, call, 180, |draft| draft),
            Step::EarlyMedia => self.describe(now, call, 183, 1),
            Step::Answer { copies } => self.accept(now, call, copies),
            Step::Refuse { status } => self.refuse(now, call, status),
            Step::Reinvite(change) => self.reinvite(now, call, change),
            Step::Forget => {
                self.end(call, Ending { status: 487, by: EndedBy::Silence });
                Ok(())
            }
        };
    }

    fn accept(&mut self, now: Time, call: CallKey, copies: u8) -> Result<(), PhoneError> {
        self.describe(now, call, 200, copies)?;
        if let Some(taken) = self.calls.get_mut(&call) {
            taken.phase = Phase::Answering;
            taken.stop_steps();
        }
        Ok(())
    }

    /// Answers with a description, `copies` times with To tags of their own.
    fn describe(&mut self, now: Time, call: CallKey, status: u16, copies: u8) -> Result<(), PhoneError> {
        let taken = self.calls.get(&call).ok_or(PhoneError::NoSuchCall)?;
        if taken.phase != Phase::Early || matches!(taken.side, Side::Placed { .. }) {
            return Err(PhoneError::WrongState);
        }
        let ours = match &taken.ours {
            Some(ours) => ours.clone(),
            None => self.first_description(call),
        };
        let body = ours.write();
        self.respond(now, call, status, |draft| draft.with_body("application/sdp", body.as_str()))?;
        for _ in 1..copies {
            let tag = self.secrets.token();
            if let Some(Call { side: Side::Taken { tags, .. }, dialog, .. }) = self.calls.get_mut(&call) {
                tags.push(tag.clone());
                dialog.local_tag = tag;
            }
            self.respond(now, call, status, |draft| draft.with_body("application/sdp", body.as_str()))?;
        }
        if status < 200
            && let Some(path) = self.media(call)
        {
            self.report(PhoneReport::Media { call, path });
        }
        Ok(())
    }

    /// Our answer to the offer that came, or our offer where none did.
    fn first_description(&mut self, call: CallKey) -> Session {
        let ours = self.new_session(call);
        let theirs = self.calls.get(&call).and_then(|taken| taken.theirs.clone());
        let ours = match theirs {
            // The offer was checked when it came: there is a common codec.
            Some(offer) => ours.answer(&offer).unwrap_or(ours),
            None => ours,
        };
        if let Some(taken) = self.calls.get_mut(&call) {
            taken.ours = Some(ours.clone());
        }
        ours
    }

    /// Answers the INVITE of a call that is still early.
    fn respond(
        &mut self,
        now: Time,
        call: CallKey,
        status: u16,
        shape: impl FnOnce(super::Draft) -> super::Draft,
    ) -> Result<(), PhoneError> {
        let taken = self.calls.get(&call).ok_or(PhoneError::NoSuchCall)?;
        let Side::Taken { key, invite, .. } = &taken.side else { return Err(PhoneError::WrongState) };
        if taken.phase != Phase::Early {
            return Err(PhoneError::WrongState);
        }
        let tag = &taken.dialog.local_tag;
        let draft = shape(answer(invite, status, tag, &self.settings.identity));
        self.exchanges.respond(now, key, status, Some(tag), &draft);
        Ok(())
    }

    /// Refuses what belongs to no call, and says so.
    pub(super) fn answer_stray(&mut self, now: Time, key: &IncomingKey, request: &Received, status: u16) {
        self.reply(now, key, request, status);
        self.report(PhoneReport::Stray { status });
    }

    /// A plain answer.
    pub(super) fn reply(&mut self, now: Time, key: &IncomingKey, request: &Received, status: u16) {
        self.answer_outside(now, key, request, status, |draft| draft);
    }
}

fn ringing(call: CallKey, invite: &Received) -> Ringing {
    let asserted = invite.header("P-Asserted-Identity").map(|text| text.trim_matches(['<', '>']));
    debug_assert_eq!(invite.method, Method::Invite);
    Ringing {
        call,
        dialled: dialled(invite),
        from: invite.from.uri.user.clone().unwrap_or_default(),
        from_display: invite.from.display.clone(),
        asserted: asserted.and_then(|text| SipUri::parse(text).ok()).and_then(|uri| uri.user),
        cti_call: invite.header("X-CTI-Call").map(str::to_owned),
    }
}

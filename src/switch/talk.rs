//! Who hears whom: connecting, holding, transferring, and what follows when a party fails or leaves.

use crate::call::leg::{Leg, LegState, Purpose};
use crate::cause::{Cause, Party, What};
use crate::event::{Fact, OfferOutcome};
use crate::ids::{LegId, QueueName};
use crate::ivr::{DialEnd, IvrInput};
use crate::media::{HearRow, MediaCommand, Source};
use crate::number::Number;
use crate::plan::model::Dialer;
use crate::sdp::SessionDescription;
use crate::sip::Uri;
use crate::sip::event::{Referral, SessionId};

use super::Switch;
use super::call::{AfterDial, Call, Held, Stage};
use super::dial::{Dial, DialTo};
use super::waiting::Wishes;

/// Where a transfer or a dial leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Dial(DialTo),
    Queue(QueueName),
    /// A number of ours: its dialplan.
    Line(Number),
}

impl Switch {
    // -- the hear matrix ---------------------------------------------------------------------------------------------

    /// Replaces one row: this leg hears these, and nobody else.
    pub(super) fn let_hear(&mut self, call: &mut Call, leg: LegId, sources: &[LegId]) {
        let hears = sources.iter().filter_map(|leg| call.leg(*leg)).map(|leg| Source::Port(leg.media.port)).collect();
        let Some(port) = call.leg(leg).map(|leg| leg.media.port) else { return };
        let room = call.room;
        self.media(call, MediaCommand::Hear { room, rows: vec![HearRow { port, hears }] });
    }

    /// Both rows of a conversation, in one step.
    fn set_conversation(&mut self, call: &mut Call, a: LegId, b: LegId, connected: bool) {
        let port = |leg: LegId| call.leg(leg).map(|leg| leg.media.port);
        let (Some(pa), Some(pb)) = (port(a), port(b)) else { return };
        let row = |port, other| HearRow { port, hears: if connected { vec![Source::Port(other)] } else { Vec::new() } };
        let (room, rows) = (call.room, vec![row(pa, pb), row(pb, pa)]);
        self.media(call, MediaCommand::Hear { room, rows });
    }

    /// Connects two legs: whatever either heard from us ends.
    pub(super) fn connect(&mut self, call: &mut Call, a: LegId, b: LegId, then: AfterDial) {
        self.stop_play(call, a);
        self.stop_play(call, b);
        call.stage = Stage::Talking { a, b, held: None, then };
        self.set_conversation(call, a, b, true);
        self.emit(Some(call.id), Fact::LegsConnected { a, b });
        self.record_also(call, b);
        let far_hold = [a, b].into_iter().find(|leg| call.leg(*leg).is_some_and(|leg| leg.holds_us));
        if let Some(by) = far_hold {
            self.hold(call, by);
        }
    }

    // -- a party answers, fails, leaves ------------------------------------------------------------------------------

    /// The caller's ACK has come, or the phone of a click-to-dial was picked up: audio flows both ways.
    pub(super) fn on_caller_connected(&mut self, call: &mut Call, leg: LegId) {
        if leg == call.caller && call.stage == Stage::Ivr && !call.walking {
            self.start_walk(call);
        }
    }

    pub(super) fn on_party_answered(&mut self, call: &mut Call, leg: LegId) {
        if call.offers.contains_key(&leg) {
            return self.on_offer_answered(call, leg);
        }
        if leg == call.caller {
            if let Some(to) = call.dial_next.take() {
                self.lead(call, to, AfterDial::End);
            }
            return;
        }
        let Stage::Dialling { callee, then } = call.stage.clone() else {
            return self.drop_leg(call, leg, Cause::new(What::Hangup, Party::Switch));
        };
        if callee != leg {
            return self.drop_leg(call, leg, Cause::new(What::Hangup, Party::Switch));
        }
        self.answer_caller(call);
        let caller = call.caller;
        if let AfterDial::Referrer(referrer) = then {
            self.finish_referral(call, referrer);
            return self.connect(call, caller, leg, AfterDial::End);
        }
        self.connect(call, caller, leg, then);
    }

    pub(super) fn on_party_failed(&mut self, call: &mut Call, leg: LegId, cause: Cause) {
        if call.offers.contains_key(&leg) {
            return self.end_offer(call, leg, outcome_of(cause));
        }
        if leg == call.caller {
            return self.clear_call(call, cause);
        }
        if let Stage::Dialling { callee, then } = call.stage.clone()
            && callee == leg
        {
            self.dial_failed(call, then, cause);
        }
    }

    /// Nobody came to the phone that was dialled.
    pub(super) fn dial_failed(&mut self, call: &mut Call, then: AfterDial, cause: Cause) {
        let caller = call.caller;
        self.stop_play(call, caller);
        match then {
            AfterDial::End => self.clear_call(call, cause),
            AfterDial::Ivr => {
                call.stage = Stage::Ivr;
                let end = match cause.what {
                    What::Busy | What::Declined => DialEnd::Busy,
                    What::NoAnswer => DialEnd::NoAnswer,
                    _ => DialEnd::Failed,
                };
                self.tell_walk(call, IvrInput::DialDone(end));
            }
            AfterDial::Queue(queue) => self.return_to_queue(call, &queue, cause),
            AfterDial::Referrer(referrer) => {
                let status = cause.status.unwrap_or(480);
                let back = call.leg(referrer).filter(|leg| leg.is_answered()).map(|leg| leg.session);
                let Some(session) = back else { return self.dial_failed(call, after_transfer(call), cause) };
                let _ = self.endpoint.notify_refer(self.now, session, status, "");
                self.connect(call, caller, referrer, AfterDial::End);
            }
        }
    }

    pub(super) fn on_party_left(&mut self, call: &mut Call, leg: LegId, cause: Cause) {
        if call.offers.contains_key(&leg) {
            return self.end_offer(call, leg, outcome_of(cause));
        }
        if leg == call.caller {
            let cause = if call.served_from.is_none() && call.is_waiting() {
                Cause { what: What::Abandoned, ..cause }
            } else {
                cause
            };
            return self.clear_call(call, cause);
        }
        match call.stage.clone() {
            Stage::Talking { a, b, then, .. } if leg == a || leg == b => match then {
                AfterDial::Ivr => {
                    let caller = call.caller;
                    self.stop_play(call, caller);
                    self.let_hear(call, caller, &[]);
                    call.stage = Stage::Ivr;
                    self.tell_walk(call, IvrInput::DialDone(DialEnd::Talked));
                }
                AfterDial::End | AfterDial::Queue(_) | AfterDial::Referrer(_) => self.clear_call(call, cause),
            },
            Stage::Dialling { callee, then: AfterDial::Referrer(referrer) } if leg == referrer => {
                // The transferring phone did not wait for the outcome: from here it is a blind transfer like any other.
                call.stage = Stage::Dialling { callee, then: after_transfer(call) };
            }
            Stage::Dialling { callee, then } if leg == callee => self.dial_failed(call, then, cause),
            _ => {}
        }
    }

    // -- hold --------------------------------------------------------------------------------------------------------

    /// `by` holds its peer: the peer hears music, `by` hears nothing. Holding twice changes nothing.
    pub(super) fn hold(&mut self, call: &mut Call, by: LegId) {
        let Some(peer) = call.peer_of(by) else { return };
        let Stage::Talking { a, b, held, .. } = &mut call.stage else { return };
        if held.is_some() {
            return;
        }
        *held = Some(Held { leg: peer, by });
        let (a, b) = (*a, *b);
        self.set_conversation(call, a, b, false);
        let music = self.music_of(call);
        self.play_music(call, peer, &music);
        self.emit(Some(call.id), Fact::LegHeld { leg: peer, by });
    }

    /// Ends a hold that `by` began; one that the other side began stays.
    pub(super) fn resume(&mut self, call: &mut Call, by: LegId) {
        let Stage::Talking { a, b, held, .. } = &mut call.stage else { return };
        let Some(was) = held.take_if(|held| held.by == by) else { return };
        let (a, b) = (*a, *b);
        self.stop_play(call, was.leg);
        self.set_conversation(call, a, b, true);
        self.emit(Some(call.id), Fact::LegResumed { leg: was.leg, by });
        // Where the other side holds too, its hold comes into force now.
        if call.leg(was.leg).is_some_and(|leg| leg.holds_us) {
            self.hold(call, was.leg);
        }
    }

    /// A re-INVITE: hold, resume, or a move of media.
    pub(super) fn on_reoffered(&mut self, session: SessionId, offer: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            let Some(local) = call.leg(leg).map(|leg| switch.local_media(&leg.media)) else { return };
            let Some(found) = call.leg_mut(leg) else { return };
            let answer = match offer {
                None => Some(found.media.sdp.make_offer(local)),
                Some(offer) => found.media.sdp.handle_offer(offer, local).ok().map(|(answer, stream)| {
                    found.media.stream = Some(stream);
                    answer
                }),
            };
            let Some(answer) = answer else {
                let _ = switch.endpoint.refuse_offer(switch.now, session, 488);
                return;
            };
            let _ = switch.endpoint.accept_offer(switch.now, session, &answer);
            switch.update_media(call, leg, None);
            // Of an offer of ours the answer tells.
            if offer.is_some() {
                switch.heed_hold(call, leg);
            }
        });
    }

    /// The far side's key: it holds us where it wants to hear nothing (RFC 3264 §8.4), and resumes.
    pub(super) fn heed_hold(&mut self, call: &mut Call, leg: LegId) {
        let Some(found) = call.leg_mut(leg) else { return };
        let holds = found.media.stream.as_ref().is_some_and(|stream| !stream.direction.sends());
        match (core::mem::replace(&mut found.holds_us, holds), holds) {
            (false, true) => self.hold(call, leg),
            (true, false) => self.resume(call, leg),
            (true, true) | (false, false) => {}
        }
    }

    // -- transfer ----------------------------------------------------------------------------------------------------

    /// A phone's own transfer key (RFC 3515).
    pub(super) fn on_referred(&mut self, session: SessionId, referral: &Referral) {
        self.with_session(session, |switch, call, leg| {
            let now = switch.now;
            let Some(peer) = call.peer_of(leg).filter(|_| referral.replaces.is_none()) else {
                let _ = switch.endpoint.refuse_refer(now, session, 603);
                return;
            };
            // Only a phone of ours may send a call elsewhere: a party on a trunk would dial out at our cost.
            let Some(account) = call.leg(leg).and_then(|leg| leg.address.account.clone()) else {
                let _ = switch.endpoint.refuse_refer(now, session, 403);
                return;
            };
            let target = Uri::parse(&referral.to).ok().and_then(|uri| uri.user_text().map(|user| user.into_owned()));
            let to = target.as_deref().and_then(|text| switch.destination(text, switch.dialer(&account)));
            let (Some(to), Some(text)) = (to, target) else {
                let _ = switch.endpoint.refuse_refer(now, session, 404);
                return;
            };
            // A caller in conversation is never sent where it would be turned away.
            if matches!(&to, Destination::Queue(queue) if switch.acd.admits(queue).is_err()) {
                let _ = switch.endpoint.refuse_refer(now, session, 480);
                return;
            }
            let _ = switch.endpoint.accept_refer(now, session);
            switch.begin_transfer(call, leg, peer, &text);
            if !matches!(to, Destination::Dial(_)) {
                switch.finish_referral(call, leg);
            }
            switch.lead(call, to, AfterDial::Referrer(leg));
        });
    }

    /// A transfer by order: the transferring leg leaves at once (CSTA single step transfer). That a queue takes the call
    /// has been asked before.
    pub(super) fn transfer(&mut self, call: &mut Call, by: LegId, to: Destination, text: &str) {
        let Some(peer) = call.peer_of(by) else { return };
        self.begin_transfer(call, by, peer, text);
        self.drop_leg(call, by, Cause::new(What::Transferred, Party::Agent));
        self.lead(call, to, after_transfer(call));
    }

    /// Takes the caller where somebody wants it; `then` holds where that is a party to be rung.
    pub(super) fn lead(&mut self, call: &mut Call, to: Destination, then: AfterDial) {
        match to {
            Destination::Dial(to) => self.dial(call, Dial { to, caller_id: None, ring: None, then }),
            Destination::Queue(queue) => self.enter_queue(call, &queue, Wishes::default()),
            Destination::Line(number) => self.enter_line(call, &number),
        }
    }

    /// The party that stays becomes the one the call is about.
    fn begin_transfer(&mut self, call: &mut Call, by: LegId, peer: LegId, text: &str) {
        self.emit(Some(call.id), Fact::CallTransferred { by, to: text.to_owned() });
        self.stop_play(call, peer);
        self.stop_play(call, by);
        self.set_conversation(call, by, peer, false);
        call.caller = peer;
    }

    fn finish_referral(&mut self, call: &mut Call, referrer: LegId) {
        let Some(session) = call.leg(referrer).filter(|leg| leg.is_live()).map(|leg| leg.session) else { return };
        let _ = self.endpoint.notify_refer(self.now, session, 200, "OK");
        self.drop_leg(call, referrer, Cause::new(What::Transferred, Party::Agent));
    }

    /// Reads where somebody wants to go: `queue:support`, an account, an agent's name, a number. No name hides an
    /// emergency number.
    pub(super) fn destination(&self, text: &str, who: Dialer) -> Option<Destination> {
        if let Some(queue) = text.strip_prefix("queue:") {
            let known = self.edition.plan.queues.contains_key(queue);
            return known.then(|| Destination::Queue(QueueName::new(queue)));
        }
        if self.is_emergency(text) {
            return self.number_destination(text, who);
        }
        if let Some(account) = self.account_named(text) {
            return Some(Destination::Dial(DialTo::Account(account)));
        }
        if let Some(account) = self.desks.account_of(&text.into()) {
            return Some(Destination::Dial(DialTo::Account(account.clone())));
        }
        self.number_destination(text, who)
    }

    /// A number: what is ours is answered here, all else goes out by a route. `None` where there is none for `who`.
    pub(super) fn number_destination(&self, text: &str, who: Dialer) -> Option<Destination> {
        let plan = &self.edition.plan;
        let number = Number::normalise(text, &plan.home).ok()?;
        if plan.inbound(&number, self.now).is_some() {
            return Some(Destination::Line(number));
        }
        plan.outbound(&number, who).ok()?;
        Some(Destination::Dial(DialTo::Number { number, who }))
    }

    // -- keys and ends of plays --------------------------------------------------------------------------------------

    pub(super) fn on_key(&mut self, call: &mut Call, leg: LegId, key: char) {
        let to_dialplan = leg == call.caller && matches!(call.stage, Stage::Ivr | Stage::Waiting { .. });
        if leg == call.caller && call.stage == Stage::Message {
            return self.on_message_key(call, key);
        }
        if to_dialplan {
            return self.tell_walk(call, IvrInput::Key(key));
        }
        if !call.secure {
            self.emit(Some(call.id), Fact::LegDigit { leg });
        }
    }

    /// A key by INFO: to the dialplan, or on to the peer as RFC 4733 events.
    pub(super) fn on_info_digit(&mut self, session: SessionId, digit: char) {
        self.with_session(session, |switch, call, leg| {
            if let Some(port) = call.peer_of(leg).and_then(|peer| call.leg(peer)).map(|leg| leg.media.port) {
                let keys = crate::media::SendKeys::new(port, digit.to_string());
                switch.media(call, MediaCommand::SendKeys(keys));
            }
            switch.on_key(call, leg, digit);
        });
    }

    pub(super) fn on_played(&mut self, call: &mut Call, leg: LegId, purpose: Purpose) {
        match purpose {
            Purpose::Ivr(ticket) => self.tell_walk(call, IvrInput::PlayDone(ticket)),
            Purpose::Announcement => self.on_announced(call, leg),
            Purpose::Beep => self.begin_message(call),
            Purpose::Overflow => self.leave_for(call),
            Purpose::Music | Purpose::Ringback => {}
        }
    }

    /// Every leg that is in no state to be heard of any more; for the reconciler.
    pub(super) fn live_legs(call: &Call) -> impl Iterator<Item = &Leg> {
        call.legs.values().map(|leg| &**leg).filter(|leg| !matches!(leg.state, LegState::Ending(_)))
    }
}

/// A call that came from a queue goes back there where a transfer reaches nobody; it lost nothing.
fn after_transfer(call: &Call) -> AfterDial {
    call.served_from.clone().map_or(AfterDial::End, AfterDial::Queue)
}

/// How an unanswered offer ended, by what the agent's phone did, or by what befell its leg.
fn outcome_of(cause: Cause) -> OfferOutcome {
    match cause.what {
        What::Busy => OfferOutcome::Busy,
        What::Declined => OfferOutcome::Declined,
        What::NoAnswer => OfferOutcome::NoAnswer,
        _ => OfferOutcome::Unreachable,
    }
}

//! A leg from its first line on the books to its end. What the party is to the call is decided elsewhere.

use crate::call::leg::{Leg, LegState};
use crate::cause::{Cause, Party, What};
use crate::event::{Fact, MediaStats, OfferOutcome, Role};
use crate::ids::{CallId, LegId};
use crate::media::{MediaCommand, PortId};

use super::call::{Call, Stage};
use super::ports::EngineId;
use super::timer::Timer;
use super::{STATS_TIMEOUT, Switch};

/// Where a port belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub call: CallId,
    pub leg: LegId,
    pub engine: EngineId,
    /// The leased RTP port.
    pub rtp: u16,
}

impl Switch {
    /// Puts a leg on the books: found by its session and by its port from here on.
    pub(super) fn add_leg(&mut self, call: &mut Call, leg: Leg) {
        self.sessions.insert(leg.session, (call.id, leg.id));
        let place = Place { call: call.id, leg: leg.id, engine: call.engine, rtp: leg.media.local.port() };
        self.legs.insert(leg.media.port, place);
        call.legs.insert(leg.id, Box::new(leg));
    }

    // -- the caller's leg --------------------------------------------------------------------------------------------

    /// 200 OK to the caller, once its record is durable.
    pub(super) fn answer_caller(&mut self, call: &mut Call) {
        call.wants_answer = true;
        let caller = call.caller;
        let answerable = call.leg(caller).is_some_and(|leg| matches!(leg.state, LegState::Trying | LegState::Ringing));
        if !call.durable || !answerable {
            return;
        }
        let local = call.leg(caller).map(|leg| self.local_media(&leg.media));
        let Some((leg, local)) = call.leg_mut(caller).zip(local) else { return };
        let session = leg.session;
        // Without an offer in the INVITE ours goes out in the 200, and the ACK brings the answer (RFC 3261 §13.3.1).
        let said = match leg.media.stream {
            Some(_) => leg.media.sdp.said().cloned(),
            None => Some(leg.media.sdp.make_offer(local)),
        };
        leg.state = LegState::Answered;
        let codec = leg.codec_name();
        let Some(said) = said else { return };
        // A session that is gone was cancelled; its event follows.
        if self.endpoint.answer(self.now, session, &said).is_ok() {
            self.emit(Some(call.id), Fact::LegAnswered { leg: caller, codec });
            self.update_media(call, caller, None);
        }
    }

    /// 180 to a caller who is not answered yet; ringing to one who is.
    pub(super) fn tell_caller_it_rings(&mut self, call: &mut Call) {
        let caller = call.caller;
        let Some(leg) = call.leg_mut(caller) else { return };
        let session = leg.session;
        match leg.state {
            LegState::Trying => {
                leg.state = LegState::Ringing;
                let _ = self.endpoint.provisional(self.now, session, 180, None);
            }
            LegState::Answered => self.play_ringback(call, caller),
            LegState::Ringing | LegState::Ending(_) => {}
        }
    }

    // -- ends --------------------------------------------------------------------------------------------------------

    /// Ends a leg from our side: CANCEL, BYE or a refusal, as its state wants.
    pub(super) fn drop_leg(&mut self, call: &mut Call, leg: LegId, cause: Cause) {
        let Some(found) = call.leg(leg) else { return };
        if !found.is_live() {
            return;
        }
        let session = found.session;
        if found.role == Role::Caller && !found.is_answered() {
            let status = cause.status.filter(|status| (400..700).contains(status)).unwrap_or(480);
            let _ = self.endpoint.reject(self.now, session, status, "", &[]);
        }
        self.endpoint.end(self.now, session, reason_header(cause));
        self.end_leg(call, leg, cause);
    }

    /// The dialog of a leg is over, by whomever; its port closes and its statistics are due.
    pub(super) fn end_leg(&mut self, call: &mut Call, leg: LegId, cause: Cause) {
        self.stop_play(call, leg);
        let call_id = call.id;
        let Some(found) = call.leg_mut(leg) else { return };
        if !found.is_live() {
            return;
        }
        found.state = LegState::Ending(cause);
        let (session, port, agent) = (found.session, found.media.port, found.agent.clone());
        self.sessions.remove(&session);
        self.remember_session(session, call_id);
        self.timers.clear(Timer::Ring(call_id, leg));
        self.timers.set(self.now + STATS_TIMEOUT, Timer::Stats(call_id, leg));
        self.media(call, MediaCommand::Close { port });
        self.count_agent_legs(call, leg);
        if let Some(agent) = agent {
            // With another call at the same phone the legs do not run out, but the talk is over. Refused where it was
            // over with the last leg, or was no talk but an offer.
            let _ = self.acd.handle_talk_ended(self.now, &agent, call_id);
        }
    }

    /// The last of a leg: its record, its port. Without statistics where the engine did not report in time.
    pub(super) fn forget_leg(&mut self, id: CallId, leg: LegId, stats: Option<MediaStats>) {
        self.timers.clear(Timer::Stats(id, leg));
        self.with_call(id, |switch, call| {
            let Some(found) = call.legs.remove(&leg) else { return };
            let cause = match found.state {
                LegState::Ending(cause) => cause,
                // The engine closed a live port: its sockets failed.
                LegState::Trying | LegState::Ringing | LegState::Answered => Cause::new(What::Failed, Party::Switch),
            };
            switch.release_port(found.media.port);
            switch.emit(Some(call.id), Fact::LegEnded { leg, cause, stats });
        });
    }

    pub(super) fn release_port(&mut self, port: PortId) {
        if let Some(place) = self.legs.remove(&port) {
            self.ports.release(self.now, place.engine, place.rtp);
        }
    }

    /// Ends the whole call: every leg, the queue place, the recording. The first cause is the call's.
    pub(super) fn clear_call(&mut self, call: &mut Call, cause: Cause) {
        if call.ending.is_some() {
            return;
        }
        self.leave_queue(call, cause);
        call.ending = Some(cause);
        call.stage = Stage::Clearing;
        call.ivr = None;
        self.timers.clear(Timer::Ivr(call.id));
        self.timers.clear(Timer::Accepted(call.id));
        self.finish_message(call);
        self.stop_recording(call);
        let legs: Vec<LegId> = call.legs.keys().copied().collect();
        for leg in legs {
            if call.offers.contains_key(&leg) {
                self.end_offer(call, leg, OfferOutcome::Withdrawn);
            }
            self.drop_leg(call, leg, cause);
        }
    }

    /// The call's record is complete.
    pub(super) fn close_books(&mut self, call: Call) {
        let cause = call.ending.unwrap_or(Cause::new(What::Defect, Party::Switch));
        self.effects.push_back(super::Effect::Media {
            engine: call.engine,
            command: MediaCommand::CloseRoom { room: call.room },
        });
        self.timers.clear(Timer::Recording(call.id));
        self.timers.clear(Timer::Comfort(call.id));
        self.restless.remove(&call.id);
        self.emit(Some(call.id), Fact::CallEnded { cause });
        self.counts.ended += 1;
    }

    pub(super) fn clear_every_call(&mut self) {
        let all: Vec<CallId> = self.calls.keys().copied().collect();
        for id in all {
            self.with_call(id, |switch, call| {
                switch.clear_call(call, Cause::with_status(What::SwitchRestart, Party::Switch, 503));
            });
        }
    }
}

/// Whose doing an end of such a leg is.
pub(super) fn party_of(role: Role) -> Party {
    match role {
        Role::Caller => Party::Caller,
        Role::Agent => Party::Agent,
        Role::Callee => Party::Trunk,
    }
}

fn reason_header(cause: Cause) -> Option<&'static str> {
    match cause.what {
        What::Hangup | What::Completed | What::Transferred => None,
        What::Abandoned => Some("SIP;cause=487;text=\"Caller hung up\""),
        What::MediaTimeout => Some("SIP;cause=408;text=\"No media\""),
        What::SwitchRestart => Some("SIP;cause=503;text=\"Shutting down\""),
        _ => Some("SIP;cause=480;text=\"Call ended\""),
    }
}

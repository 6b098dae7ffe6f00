//! What the user agent tells of a leg's session: progress, answer, failure, end.

use crate::call::leg::LegState;
use crate::cause::{Cause, Party, What};
use crate::event::Fact;
use crate::ids::{CallId, LegId};
use crate::sdp::{AudioStream, SessionDescription};
use crate::sip::event::{EndReason, Ending, Failure, SessionId, UaEvent};

use super::Switch;
use super::call::{Call, Stage};
use super::legs::party_of;
use super::timer::Timer;

impl Switch {
    pub(super) fn on_ua(&mut self, event: UaEvent) {
        match event {
            UaEvent::Invited(invitation) => self.on_invited(&invitation),
            UaEvent::Cancelled { session, reason } => self.on_cancelled(session, reason.as_ref()),
            UaEvent::Acked { session, answer } => self.on_acked(session, answer.as_ref()),
            UaEvent::Progress { session, status, early } => self.on_progress(session, status, early.as_ref()),
            UaEvent::Answered { session, target, answer, .. } => self.on_answered(session, target, answer.as_ref()),
            UaEvent::Failed { session, failure } => self.on_failed(session, &failure),
            UaEvent::Reoffered { session, offer } => self.on_reoffered(session, offer.as_ref()),
            UaEvent::ReofferAnswered { .. } | UaEvent::ReofferFailed { .. } => {}
            UaEvent::Referred { session, referral } => self.on_referred(session, &referral),
            UaEvent::Digit { session, digit, .. } => self.on_info_digit(session, digit),
            UaEvent::Ended { session, how, reason } => self.on_ended(session, how, reason.as_ref()),
            UaEvent::Bound { account, binding } => self.on_bound(account, &binding),
            UaEvent::Unbound { account, contact, why } => self.on_unbound(account, contact, why),
            UaEvent::TrunkRegistration { trunk, up, reason } | UaEvent::TrunkHealth { trunk, up, reason } => {
                self.on_trunk(trunk, up, reason);
            }
        }
    }

    /// Works on the call a session belongs to, if it still does.
    pub(super) fn with_session(&mut self, session: SessionId, step: impl FnOnce(&mut Self, &mut Call, LegId)) {
        if let Some((call, leg)) = self.sessions.get(&session).copied() {
            self.with_call(call, |switch, call| step(switch, call, leg));
        }
    }

    fn on_cancelled(&mut self, session: SessionId, reason: Option<&EndReason>) {
        self.with_session(session, |switch, call, _| {
            let cause = Cause::with_status(What::Abandoned, Party::Caller, 487);
            switch.clear_call(call, cause.and_q850(reason.and_then(EndReason::q850)));
        });
    }

    fn on_acked(&mut self, session: SessionId, answer: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            if let Some(answer) = answer {
                let taken = call.leg_mut(leg).map(|leg| {
                    let stream = leg.media.sdp.handle_answer(answer);
                    stream.map(|stream| leg.media.stream = Some(stream))
                });
                if !matches!(taken, Some(Ok(()))) {
                    return switch.clear_call(call, Cause::with_status(What::NotAcceptable, Party::Caller, 488));
                }
                switch.update_media(call, leg, None);
                switch.heed_hold(call, leg);
            }
            switch.on_caller_connected(call, leg);
        });
    }

    fn on_progress(&mut self, session: SessionId, status: u16, early: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            let Some(found) = call.leg_mut(leg) else { return };
            let first = found.state == LegState::Trying;
            let stream = early.and_then(|answer| found.media.sdp.handle_answer(answer).ok());
            if !first && stream.is_none() {
                return;
            }
            if status >= 180 {
                found.state = LegState::Ringing;
                switch.emit(Some(call.id), Fact::LegRinging { leg, early_media: stream.is_some() });
            }
            match stream {
                Some(stream) => switch.on_early_media(call, leg, stream),
                None if status == 180 && switch.is_dialled_party(call, leg) => switch.tell_caller_it_rings(call),
                None => {}
            }
        });
    }

    fn is_dialled_party(&self, call: &Call, leg: LegId) -> bool {
        matches!(call.stage, Stage::Dialling { callee, .. } if callee == leg)
    }

    /// The far side speaks before it answers: announcements of carriers are heard, not replaced by our ringing.
    fn on_early_media(&mut self, call: &mut Call, leg: LegId, stream: AudioStream) {
        if let Some(found) = call.leg_mut(leg) {
            found.media.stream = Some(stream);
        }
        self.update_media(call, leg, None);
        if !self.is_dialled_party(call, leg) {
            return;
        }
        let caller = call.caller;
        self.stop_play(call, caller);
        self.let_hear(call, caller, &[leg]);
        if let Some(found) = call.leg_mut(caller)
            && !found.is_answered()
            && found.is_live()
        {
            found.state = LegState::Ringing;
            let (session, said) = (found.session, found.media.sdp.said().cloned());
            let _ = self.endpoint.provisional(self.now, session, 183, said.as_ref());
        }
    }

    fn on_answered(&mut self, session: SessionId, target: usize, answer: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            switch.timers.clear(Timer::Ring(call.id, leg));
            let Some(found) = call.leg_mut(leg) else { return };
            if let Some(told) = found.media.told.get(target) {
                found.media.advertised.set_ip(*told);
            }
            let agreed = answer.map(|answer| found.media.sdp.handle_answer(answer));
            match agreed {
                Some(Ok(stream)) => found.media.stream = Some(stream),
                None if found.media.stream.is_some() => {}
                Some(Err(_)) | None => {
                    let cause = Cause::with_status(What::NotAcceptable, party_of(found.role), 488);
                    switch.drop_leg(call, leg, cause);
                    return switch.on_party_failed(call, leg, cause);
                }
            }
            found.state = LegState::Answered;
            let codec = found.codec_name();
            switch.emit(Some(call.id), Fact::LegAnswered { leg, codec });
            switch.update_media(call, leg, None);
            switch.on_party_answered(call, leg);
        });
    }

    fn on_failed(&mut self, session: SessionId, failure: &Failure) {
        self.with_session(session, |switch, call, leg| {
            switch.timers.clear(Timer::Ring(call.id, leg));
            let by = call.leg(leg).map_or(Party::Trunk, |leg| party_of(leg.role));
            let rang = call.leg(leg).is_some_and(|leg| leg.state == LegState::Ringing);
            let q850 = failure.cause.as_ref().and_then(EndReason::q850);
            let cause = Cause::with_status(what_of(failure.status), by, failure.status).and_q850(q850);
            switch.end_leg(call, leg, cause);
            if !(is_the_trunks(failure.status, rang) && switch.hunt_on(call, leg)) {
                switch.on_party_failed(call, leg, cause);
            }
        });
    }

    fn on_ended(&mut self, session: SessionId, how: Ending, reason: Option<&EndReason>) {
        let q850 = reason.and_then(EndReason::q850);
        self.with_session(session, |switch, call, leg| {
            let by = call.leg(leg).map_or(Party::Caller, |leg| party_of(leg.role));
            let cause = match how {
                Ending::Bye => Cause::new(What::Hangup, by).and_q850(q850),
                Ending::NoAck | Ending::Timeout | Ending::Gone => Cause::new(What::SignallingTimeout, by),
            };
            switch.end_leg(call, leg, cause);
            switch.on_party_left(call, leg, cause);
        });
    }

    pub(super) fn on_ring_timeout(&mut self, id: CallId, leg: LegId) {
        self.with_call(id, |switch, call| {
            let unanswered = call.leg(leg).is_some_and(|leg| matches!(leg.state, LegState::Trying | LegState::Ringing));
            if unanswered {
                let by = call.leg(leg).map_or(Party::Trunk, |leg| party_of(leg.role));
                let cause = Cause::with_status(What::NoAnswer, by, 408);
                switch.drop_leg(call, leg, cause);
                switch.on_party_failed(call, leg, cause);
            }
        });
    }
}

/// What a final response to our INVITE means.
fn what_of(status: u16) -> What {
    match status {
        404 | 410 | 484 | 604 => What::NotFound,
        403 | 401 | 407 => What::Forbidden,
        408 | 487 => What::NoAnswer,
        480 | 500 | 502 | 503 | 504 => What::Unreachable,
        486 | 600 => What::Busy,
        488 | 606 | 415 => What::NotAcceptable,
        603 => What::Declined,
        _ => What::Failed,
    }
}

/// Whether a failure is one of the way and not of the called party, so that another way may do.
const fn is_the_trunks(status: u16, rang: bool) -> bool {
    match status {
        // Silence until Timer B (RFC 3261 §17.1.1.2); once it rang, it is the called party that does not answer.
        408 => !rang,
        500 | 502 | 503 | 504 => true,
        _ => false,
    }
}

//! A confirmed INVITE dialog: what either side may still ask of the other, until BYE (RFC 3261 §12.2, §14, §15).

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::referral::Referral;
use super::{Context, Described, end_reason};
use crate::ids::SecretSource;
use crate::sdp::SessionDescription;
use crate::sip::authenticator::Authenticator;
use crate::sip::carrier::{Owner, Reply, RequestId};
use crate::sip::dialog::{Dialog, Order};
use crate::sip::endpoint::Refused;
use crate::sip::event::{EndReason, Ending, SessionId, UaEvent};
use crate::sip::header::Name;
use crate::sip::request::{Body, Draft};
use crate::sip::transaction::timer::Timers;
use crate::sip::transaction::{TransactionId, What};
use crate::sip::{Message, Method, info};
use crate::time::Time;

/// One dialog with its running offers, requests and timers.
///
/// | offer state | they re-INVITE | we reoffer | outcome |
/// |---|---|---|---|
/// | stable | up → theirs | send → ours | – |
/// | ours | 491 | refused: pending | 2xx: ACK, up → stable; 491: back off; 401/407: again; 408, 481: dialog ends |
/// | theirs | 500, Retry-After | refused: pending | accept: 200, repeated until ACK; refuse: 4xx → stable |
/// | backing off | up → theirs; ours is dropped with 491 | refused: pending | send again → ours |
pub struct Usage {
    pub dialog: Dialog,
    session: SessionId,
    pub authenticator: Authenticator,
    /// Our 2xx that waits for its ACK.
    unacked: Option<Unacked>,
    /// Our offer, and when we stop waiting for its answer.
    ours: Option<(RequestId, Time)>,
    /// When our offer is made again after a 491.
    retry: Option<(Time, Body)>,
    theirs: Option<Theirs>,
    pub(super) referral: Referral,
    /// Requests of ours under way.
    sent: BTreeMap<RequestId, Sent>,
    leaving: Leaving,
}

/// A 2xx of ours, repeated until its ACK comes (§13.3.1.4): T1 doubling to T2, over every transport.
pub struct Unacked {
    transaction: TransactionId,
    cseq: u32,
    bytes: Bytes,
    timers: Timers,
    interval: Duration,
    next: Time,
    deadline: Time,
    /// Our offer was in the 2xx: the ACK brings the answer.
    wants_answer: bool,
}

/// A re-INVITE that waits for the switch.
struct Theirs {
    transaction: TransactionId,
    cseq: u32,
    offered: bool,
}

pub(super) struct Sent {
    pub purpose: Purpose,
    pub draft: Draft,
    /// The ACK to its 2xx, to be repeated when the 2xx is.
    ack: Option<Draft>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Reoffer,
    Bye,
    Notify,
    Info,
}

enum Leaving {
    No,
    /// No BYE before the ACK (§15); the Reason it shall carry.
    AfterAck(Option<String>),
    ByeSent,
    Over,
}

type Ended = Option<(Ending, Option<EndReason>)>;

/// How long a re-INVITE of ours may be provisional: what a proxy's Timer C allows (RFC 3261 §16.6 step 11).
const OFFER_TIME: Duration = Duration::from_secs(180);

impl Unacked {
    pub fn new(
        now: Time,
        timers: Timers,
        transaction: TransactionId,
        cseq: u32,
        bytes: Bytes,
        wants_answer: bool,
    ) -> Self {
        let (interval, next) = (timers.t1, now + timers.t1);
        let deadline = now + timers.timeout();
        Self { transaction, cseq, bytes, timers, interval, next, deadline, wants_answer }
    }
}

impl Usage {
    /// We answered an INVITE.
    pub fn answered(session: SessionId, dialog: Dialog, unacked: Unacked) -> Self {
        Self { unacked: Some(unacked), ..Self::confirmed(session, dialog, Authenticator::new(None)) }
    }

    /// Our INVITE was answered and acknowledged.
    pub fn confirmed(session: SessionId, dialog: Dialog, authenticator: Authenticator) -> Self {
        Self {
            dialog,
            session,
            authenticator,
            unacked: None,
            ours: None,
            retry: None,
            theirs: None,
            referral: Referral::default(),
            sent: BTreeMap::new(),
            leaving: Leaving::No,
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.leaving, Leaving::Over)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let unacked = self.unacked.as_ref().map(|unacked| unacked.next.min(unacked.deadline));
        let retry = self.retry.as_ref().map(|(at, _)| *at);
        let ours = self.ours.map(|(_, until)| until);
        [unacked, retry, ours].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, context: &mut Context<'_>) -> Ended {
        if self.unacked.as_ref().is_some_and(|unacked| unacked.deadline <= context.now) {
            self.unacked = None;
            self.give_up_offer(context);
            let reason = match core::mem::replace(&mut self.leaving, Leaving::No) {
                Leaving::AfterAck(reason) => reason,
                _ => Some("SIP;cause=408;text=\"No ACK\"".to_owned()),
            };
            self.bye(context, reason.as_deref());
            return Some((Ending::NoAck, None));
        }
        if let Some(unacked) = &mut self.unacked
            && unacked.next <= context.now
        {
            unacked.interval = unacked.timers.doubled(unacked.interval);
            unacked.next += unacked.interval;
            context.carrier.transactions.respond(context.now, unacked.transaction, 200, unacked.bytes.clone());
        }
        if let Some((request, until)) = &mut self.ours
            && *until <= context.now
        {
            *until = Time::FAR_FUTURE;
            context.carrier.cancel(context.now, *request, None);
        }
        if let Some((_, body)) = self.retry.take_if(|(at, _)| *at <= context.now) {
            // The order was taken long ago: where it cannot be sent now, the far side's time-out tells.
            let _ = self.send_offer(context, body);
        }
        None
    }

    // -- what the far side asks --------------------------------------------------------------------------------------

    /// A request within the dialog. ACK has no transaction.
    pub fn handle_request(
        &mut self,
        context: &mut Context<'_>,
        transaction: Option<TransactionId>,
        request: &Message,
        heard: bool,
    ) -> Ended {
        let Some(transaction) = transaction else {
            self.handle_ack(context, request, heard);
            return None;
        };
        if self.dialog.handle_request(request) == Order::TooLow {
            // RFC 3261 §12.2.2: out of order, and a gap would have been fine.
            return self.reply(context, transaction, Reply { reason: "CSeq Out of Order", ..Reply::status(500) });
        }
        match request.method() {
            Some(Method::Bye) => self.handle_bye(context, transaction, request),
            _ if !matches!(self.leaving, Leaving::No) => self.reply(context, transaction, Reply::status(481)),
            Some(Method::Invite) => self.handle_reinvite(context, transaction, request),
            Some(Method::Info) => self.handle_info(context, transaction, request),
            Some(Method::Refer) => {
                let reply = self.referral.handle_refer(self.session, context, transaction, request);
                reply.and_then(|reply| self.reply(context, transaction, reply))
            }
            Some(Method::Options) => {
                let accept = [(Name::Accept.as_str(), "application/sdp".to_owned())];
                let reply = Reply { allow: true, headers: &accept, ..Reply::status(200) };
                self.reply(context, transaction, reply)
            }
            // We subscribe to nothing (RFC 6665 §4.1.3).
            Some(Method::Notify) => self.reply(context, transaction, Reply::status(481)),
            _ => self.reply(context, transaction, Reply { allow: true, ..Reply::status(405) }),
        }
    }

    fn reply(&mut self, context: &mut Context<'_>, transaction: TransactionId, reply: Reply<'_>) -> Ended {
        // It fails where the transaction is gone, and then nobody waits.
        let _ = context.carrier.respond(context.now, transaction, reply);
        None
    }

    fn handle_ack(&mut self, context: &mut Context<'_>, ack: &Message, heard: bool) {
        let number = ack.cseq().ok().map(|cseq| cseq.number);
        let Some(unacked) = self.unacked.take_if(|unacked| Some(unacked.cseq) == number) else { return };
        if let Leaving::AfterAck(reason) = &mut self.leaving {
            let reason = reason.take();
            self.bye(context, reason.as_deref());
        } else if heard {
            let answer = unacked.wants_answer.then(|| Described::of(ack).description()).flatten();
            context.events.push_back(UaEvent::Acked { session: self.session, answer });
        }
    }

    fn handle_bye(&mut self, context: &mut Context<'_>, transaction: TransactionId, bye: &Message) -> Ended {
        self.reply(context, transaction, Reply::status(200));
        // RFC 3261 §15.1.2: what is pending in the dialog gets 487.
        if let Some(theirs) = self.theirs.take() {
            self.reply(context, theirs.transaction, Reply::status(487));
        }
        if let Some(refer) = self.referral.take_pending() {
            self.reply(context, refer, Reply::status(487));
        }
        self.give_up_offer(context);
        self.leaving = Leaving::Over;
        Some((Ending::Bye, end_reason(bye)))
    }

    fn handle_reinvite(&mut self, context: &mut Context<'_>, transaction: TransactionId, invite: &Message) -> Ended {
        if self.ours.is_some() {
            // RFC 3261 §14.2: glare.
            return self.reply(context, transaction, Reply::status(491));
        }
        // Whoever sends this has had our 2xx: its ACK is lost or late (RFC 5407 §3.1.4), unless it has to bring an answer.
        if self.unacked.take_if(|unacked| !unacked.wants_answer).is_some() {
            context.events.push_back(UaEvent::Acked { session: self.session, answer: None });
        }
        if self.theirs.is_some() || self.unacked.is_some() {
            let wait = [(Name::RetryAfter.as_str(), context.carrier.secrets.u32().wrapping_rem(10).to_string())];
            return self.reply(context, transaction, Reply { headers: &wait, ..Reply::status(500) });
        }
        let offer = match Described::of(invite) {
            Described::Unreadable => {
                let reason = "Bad Session Description";
                return self.reply(context, transaction, Reply { reason, ..Reply::status(400) });
            }
            described => described.description(),
        };
        self.dialog.refresh_target(invite);
        if self.retry.take().is_some() {
            self.tell_reoffer_failed(context, 491, "Request Pending");
        }
        let cseq = invite.cseq().map_or(0, |cseq| cseq.number);
        self.theirs = Some(Theirs { transaction, cseq, offered: offer.is_some() });
        context.events.push_back(UaEvent::Reoffered { session: self.session, offer });
        None
    }

    fn handle_info(&mut self, context: &mut Context<'_>, transaction: TransactionId, request: &Message) -> Ended {
        let accept = [(Name::Accept.as_str(), info::ACCEPT.to_owned())];
        match info::digit(request) {
            info::Info::Digit { digit, duration } => {
                context.events.push_back(UaEvent::Digit { session: self.session, digit, duration });
                self.reply(context, transaction, Reply::status(200))
            }
            info::Info::Empty => self.reply(context, transaction, Reply::status(200)),
            info::Info::Unreadable => self.reply(context, transaction, Reply::status(400)),
            info::Info::Strange => self.reply(context, transaction, Reply { headers: &accept, ..Reply::status(415) }),
        }
    }

    /// Their re-INVITE is cancelled.
    pub fn handle_cancel(&mut self, context: &mut Context<'_>, transaction: TransactionId) {
        if self.theirs.take_if(|theirs| theirs.transaction == transaction).is_some() {
            self.reply(context, transaction, Reply::status(487));
        }
    }

    // -- what the switch asks ----------------------------------------------------------------------------------------

    pub fn accept_offer(&mut self, context: &mut Context<'_>, description: &SessionDescription) -> Result<(), Refused> {
        let theirs = self.theirs.take().ok_or(Refused::WrongState)?;
        let reply = Reply {
            contact: Some(self.dialog.contact()),
            allow: true,
            body: Some(Body::sdp(description)),
            ..Reply::status(200)
        };
        let bytes = context.carrier.respond(context.now, theirs.transaction, reply)?;
        let timers = context.carrier.timers();
        let unacked = Unacked::new(context.now, timers, theirs.transaction, theirs.cseq, bytes, !theirs.offered);
        self.unacked = Some(unacked);
        Ok(())
    }

    pub fn refuse_offer(&mut self, context: &mut Context<'_>, status: u16) -> Result<(), Refused> {
        if !(400..=699).contains(&status) {
            return Err(Refused::WrongState);
        }
        let theirs = self.theirs.take().ok_or(Refused::WrongState)?;
        context.carrier.respond(context.now, theirs.transaction, Reply::status(status))?;
        Ok(())
    }

    pub fn reoffer(&mut self, context: &mut Context<'_>, offer: &SessionDescription) -> Result<(), Refused> {
        if !matches!(self.leaving, Leaving::No) {
            return Err(Refused::WrongState);
        }
        let pending = self.ours.is_some() || self.theirs.is_some() || self.retry.is_some() || self.unacked.is_some();
        if pending {
            return Err(Refused::OfferPending);
        }
        self.send_offer(context, Body::sdp(offer))
    }

    fn send_offer(&mut self, context: &mut Context<'_>, body: Body) -> Result<(), Refused> {
        let draft = self.dialog.request(Method::Invite, Some(body));
        let request = self.send(context, Purpose::Reoffer, draft)?;
        self.ours = Some((request, context.now + OFFER_TIME));
        Ok(())
    }

    pub fn send_digit(&mut self, context: &mut Context<'_>, digit: char, duration: Duration) -> Result<(), Refused> {
        if !matches!(self.leaving, Leaving::No) {
            return Err(Refused::WrongState);
        }
        let draft = self.dialog.request(Method::Info, Some(info::body(digit, duration)));
        self.send(context, Purpose::Info, draft).map(drop)
    }

    /// Hangs up: BYE now, or as soon as our 2xx is acknowledged.
    pub fn end(&mut self, context: &mut Context<'_>, reason: Option<&str>) {
        if !matches!(self.leaving, Leaving::No) {
            return;
        }
        if let Some(theirs) = self.theirs.take() {
            self.reply(context, theirs.transaction, Reply::status(487));
        }
        if let Some(refer) = self.referral.take_pending() {
            self.reply(context, refer, Reply::status(480));
        }
        self.retry = None;
        self.give_up_offer(context);
        match self.unacked {
            Some(_) => self.leaving = Leaving::AfterAck(reason.map(str::to_owned)),
            None => self.bye(context, reason),
        }
    }

    /// A re-INVITE that nobody waits for any more must not stay provisional for ever.
    fn give_up_offer(&mut self, context: &mut Context<'_>) {
        if let Some((request, _)) = self.ours.take() {
            context.carrier.cancel(context.now, request, None);
        }
    }

    fn bye(&mut self, context: &mut Context<'_>, reason: Option<&str>) {
        let mut draft = self.dialog.request(Method::Bye, None);
        if let Some(reason) = reason {
            draft.set_header(Name::Reason, reason.to_owned());
        }
        self.leaving = match self.send(context, Purpose::Bye, draft) {
            Ok(_) => Leaving::ByeSent,
            Err(_) => Leaving::Over,
        };
    }

    pub(super) fn send(
        &mut self,
        context: &mut Context<'_>,
        purpose: Purpose,
        mut draft: Draft,
    ) -> Result<RequestId, Refused> {
        self.authenticator.sign(&mut draft, &mut context.carrier.secrets);
        let owner = Owner::Session(self.session);
        let request = context.carrier.request(context.now, owner, draft.clone(), self.dialog.destination)?;
        self.sent.insert(request, Sent { purpose, draft, ack: None });
        Ok(request)
    }

    // -- what comes of our requests ----------------------------------------------------------------------------------

    pub fn handle_outcome(&mut self, context: &mut Context<'_>, request: RequestId, what: What, heard: bool) -> Ended {
        let response = match what {
            What::Gone => {
                self.sent.remove(&request);
                return None;
            }
            What::TimedOut | What::Unreachable => return self.handle_silence(context, request),
            What::Response(response) => response,
        };
        let status = response.status().unwrap_or(0);
        let purpose = self.sent.get(&request)?.purpose;
        match (purpose, status) {
            (_, 100..=199) => None,
            (_, 401 | 407) if self.try_again(context, request, &response) => None,
            (Purpose::Bye, _) => {
                self.leaving = Leaving::Over;
                None
            }
            (Purpose::Reoffer, 200..=299) => {
                self.handle_reoffer_answer(context, request, &response, heard);
                None
            }
            (Purpose::Notify, 300..) => {
                self.referral.handle_failure();
                None
            }
            (_, 200..=299) => {
                self.authenticator.handle_success();
                None
            }
            (_, 408 | 481) => {
                // RFC 3261 §12.2.1.2: the far side has no such dialog any more.
                self.end_silently(context, if status == 481 { Ending::Gone } else { Ending::Timeout })
            }
            (Purpose::Reoffer, _) => {
                self.handle_reoffer_refusal(context, request, &response, heard);
                None
            }
            (Purpose::Notify | Purpose::Info, _) => None,
        }
    }

    fn handle_silence(&mut self, context: &mut Context<'_>, request: RequestId) -> Ended {
        match self.sent.get(&request)?.purpose {
            Purpose::Bye => {
                self.leaving = Leaving::Over;
                None
            }
            Purpose::Notify => {
                self.referral.handle_failure();
                None
            }
            Purpose::Reoffer | Purpose::Info => self.end_silently(context, Ending::Timeout),
        }
    }

    /// The dialog is lost; a BYE tells whoever may still hold it.
    fn end_silently(&mut self, context: &mut Context<'_>, how: Ending) -> Ended {
        self.ours = None;
        if matches!(self.leaving, Leaving::No) {
            self.end(context, None);
        }
        Some((how, None))
    }

    fn try_again(&mut self, context: &mut Context<'_>, request: RequestId, response: &Message) -> bool {
        if !self.authenticator.handle_challenge(response) {
            return false;
        }
        let Some(Sent { purpose, draft, .. }) = self.sent.remove(&request) else { return false };
        let next = self.dialog.request(draft.method, draft.body);
        let draft = Draft { headers: draft.headers, ..next };
        match self.send(context, purpose, draft) {
            Ok(again) => {
                if let Some((ours, _)) = &mut self.ours
                    && *ours == request
                {
                    *ours = again;
                }
                true
            }
            Err(_) => false,
        }
    }

    fn handle_reoffer_answer(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        response: &Message,
        heard: bool,
    ) {
        self.authenticator.handle_success();
        let (now, destination, owner) = (context.now, self.dialog.destination, Owner::Session(self.session));
        let Some(sent) = self.sent.get_mut(&request) else { return };
        if let Some(ack) = &sent.ack {
            let _ = context.carrier.request(now, owner, ack.clone(), destination);
            return;
        }
        self.dialog.refresh_target(response);
        let ack = Draft { headers: credentials(&sent.draft), ..self.dialog.ack(sent.draft.cseq) };
        sent.ack = Some(ack.clone());
        let _ = context.carrier.request(now, owner, ack, destination);
        self.ours = None;
        if !heard {
            return;
        }
        match Described::of(response) {
            Described::Description(answer) => {
                context.events.push_back(UaEvent::ReofferAnswered { session: self.session, answer });
            }
            Described::Nothing | Described::Unreadable => {
                self.tell_reoffer_failed(context, 488, "No Answer in Response");
            }
        }
    }

    fn handle_reoffer_refusal(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        response: &Message,
        heard: bool,
    ) {
        self.ours = None;
        let status = response.status().unwrap_or(500);
        let body = self.sent.get(&request).and_then(|sent| sent.draft.body.clone());
        if let (491, Some(body), Leaving::No) = (status, body, &self.leaving) {
            let wait = glare_back_off(self.dialog.is_caller, &mut context.carrier.secrets);
            self.retry = Some((context.now + wait, body));
        } else if heard {
            self.tell_reoffer_failed(context, status, response.reason());
        }
    }

    fn tell_reoffer_failed(&self, context: &mut Context<'_>, status: u16, reason: &str) {
        let reason = reason.to_owned();
        context.events.push_back(UaEvent::ReofferFailed { session: self.session, status, reason });
    }
}

/// RFC 3261 §14.1: whoever made the Call-ID waits 2.1–4 s, the other 0–2 s, in steps of 10 ms.
pub fn glare_back_off(is_caller: bool, secrets: &mut SecretSource) -> Duration {
    let (from, steps) = if is_caller { (2_100, 191) } else { (0, 201) };
    Duration::from_millis(from + u64::from(secrets.u32() % steps) * 10)
}

/// The ACK to a 2xx carries the credentials of its INVITE (§22.1).
pub fn credentials(draft: &Draft) -> Vec<(std::borrow::Cow<'static, str>, String)> {
    let names = [Name::Authorization.as_str(), Name::ProxyAuthorization.as_str()];
    draft.headers.iter().filter(|(name, _)| names.contains(&name.as_ref())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_glare_the_caller_waits_longer_than_the_called() {
        let mut secrets = SecretSource::from_seed(1);
        for _ in 0..2_000 {
            let caller = glare_back_off(true, &mut secrets).as_millis();
            let called = glare_back_off(false, &mut secrets).as_millis();
            assert!((2_100..=4_000).contains(&caller) && caller.is_multiple_of(10));
            assert!((0..=2_000).contains(&called) && called.is_multiple_of(10));
        }
    }
}

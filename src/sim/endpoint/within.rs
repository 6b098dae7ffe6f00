//! What happens inside a call that is up: hold and resume, a move of media, blind transfer both ways, INFO digits,
//! BYE; and where requests are told apart.

use core::time::Duration;
use std::net::SocketAddr;

use super::super::dialog::answer;
use super::super::exchange::IncomingKey;
use super::super::report::{CallKey, EndedBy, Ending, PhoneReport};
use super::super::rsip_wire::{Method, Received, SipUri};
use super::super::session::{Direction, Session};
use super::{Call, Change, Endpoint, Order, Outcome, Phase, PhoneError, Purpose, Side, Step};
use crate::time::Time;

impl Endpoint {
    /// Holds by re-INVITE with `sendonly`, as a desk phone's hold key does.
    pub fn hold(&mut self, now: Time, call: CallKey) -> Result<(), PhoneError> {
        let local = self.local_media(call)?;
        self.reinvite(now, call, Change { wanted: Direction::SendOnly, local })
    }

    /// Resumes by re-INVITE with `sendrecv`.
    pub fn resume(&mut self, now: Time, call: CallKey) -> Result<(), PhoneError> {
        let local = self.local_media(call)?;
        self.reinvite(now, call, Change { wanted: Direction::SendRecv, local })
    }

    /// Moves our media to another port by re-INVITE.
    pub fn move_media(&mut self, now: Time, call: CallKey) -> Result<(), PhoneError> {
        let wanted = self.calls.get(&call).ok_or(PhoneError::NoSuchCall)?.wanted;
        let local = self.take_port(call);
        self.reinvite(now, call, Change { wanted, local })
    }

    /// Blind transfer (RFC 3515): REFER within the dialog.
    pub fn refer(&mut self, now: Time, call: CallKey, target: &SipUri) -> Result<(), PhoneError> {
        let referred_by = format!("<{}>", self.settings.identity.address_of_record());
        let draft = self.draft_within(call, Method::Refer)?;
        let draft = draft.with("Refer-To", format!("<{target}>")).with("Referred-By", referred_by);
        self.send_within(now, call, draft, Purpose::Refer(call))
    }

    /// A digit by INFO (`application/dtmf-relay`), as phones without RFC 4733 send it.
    pub fn info_digit(&mut self, now: Time, call: CallKey, digit: char) -> Result<(), PhoneError> {
        let draft = self.draft_within(call, Method::Info)?;
        let draft = draft.with_body("application/dtmf-relay", format!("Signal={digit}\r\nDuration=160\r\n"));
        self.send_within(now, call, draft, Purpose::Info)
    }

    /// A digit by RFC 4733: reported as [`PhoneReport::Press`], for whoever plays this phone's media.
    pub fn press(&mut self, call: CallKey, digit: char, duration_ms: u32) -> Result<(), PhoneError> {
        let path = self.media(call).ok_or(PhoneError::WrongState)?;
        if path.event_payload_type.is_none() {
            return Err(PhoneError::WrongState);
        }
        self.report(PhoneReport::Press { call, digit, duration_ms });
        Ok(())
    }

    pub(super) fn on_request(&mut self, now: Time, from: SocketAddr, key: IncomingKey, request: Received) {
        if request.method == Method::Cancel {
            return self.on_cancel(now, &key, &request);
        }
        if request.to.tag.is_some() {
            return self.on_request_within(now, key, request);
        }
        match request.method {
            Method::Invite => self.on_invite(now, from, key, request),
            Method::Options => self.on_options(now, &key, &request),
            Method::Register => self.outcomes.push_back(Outcome::Asked(key, Box::new(request))),
            Method::Bye | Method::Notify | Method::Info => self.answer_stray(now, &key, &request, 481),
            _ => self.answer_stray(now, &key, &request, 405),
        }
    }

    fn on_options(&mut self, now: Time, key: &IncomingKey, request: &Received) {
        if let Some(status) = self.settings.options_status {
            self.answer_outside(now, key, request, status, |draft| draft.with("Accept", "application/sdp"));
        }
    }

    fn on_request_within(&mut self, now: Time, key: IncomingKey, request: Received) {
        let Some(call) = self.calls.iter().find(|(_, call)| call.owns(&request)).map(|(key, _)| *key) else {
            return self.answer_stray(now, &key, &request, 481);
        };
        let Some(found) = self.calls.get_mut(&call) else { return };
        // RFC 3261 §12.2.2: a request that was overtaken.
        if request.cseq < found.dialog.remote_cseq {
            return self.reply(now, &key, &request, 500);
        }
        found.dialog.remote_cseq = request.cseq;
        match request.method {
            Method::Bye => self.on_bye(now, call, &key, &request),
            Method::Invite => self.on_reinvite(now, call, &key, &request),
            Method::Notify => self.on_notify(now, call, &key, &request),
            Method::Info => self.on_info(now, call, &key, &request),
            Method::Refer if self.settings.takes_refer => self.on_refer(now, call, &key, &request),
            Method::Options => self.on_options(now, &key, &request),
            _ => self.reply(now, &key, &request, 405),
        }
    }

    fn on_bye(&mut self, now: Time, call: CallKey, key: &IncomingKey, bye: &Received) {
        self.reply(now, key, bye, 200);
        let Some(ended) = self.calls.get_mut(&call) else { return };
        if let Side::Taken { tags, .. } = &mut ended.side {
            tags.retain(|tag| bye.to.tag.as_ref() != Some(tag));
            if let (Some(other), true) = (tags.first().cloned(), ended.phase != Phase::Closing) {
                // One of our several answers was given up; the call goes on with another.
                if bye.to.tag.as_ref() == Some(&ended.dialog.local_tag) {
                    ended.dialog.local_tag = other;
                }
                return;
            }
        }
        match ended.phase {
            // A BYE that crossed ours: both ends are done.
            Phase::Closing => {}
            _ => self.end(call, Ending { status: 200, by: EndedBy::Them }),
        }
    }

    fn on_reinvite(&mut self, now: Time, key: CallKey, exchange: &IncomingKey, request: &Received) {
        let codecs = self.settings.codecs.clone();
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.pending.is_some() {
            return self.reply(now, exchange, request, 491);
        }
        let Some(last) = call.ours.clone().filter(|_| call.phase == Phase::Up) else {
            return self.reply(now, exchange, request, 500);
        };
        let full = Session { version: last.version.wrapping_add(1), codecs, direction: call.wanted, ..last };
        let theirs = match request.body.is_empty() {
            // A re-INVITE without offer asks for ours; the far side's last description goes on standing for its answer.
            true => call.theirs.clone(),
            false => Session::parse(request.body_text()).ok(),
        };
        let agreed = theirs.and_then(|theirs| full.answer(&theirs).ok().map(|ours| (ours, theirs)));
        let Some((ours, theirs)) = agreed else { return self.reply(now, exchange, request, 488) };
        let body = ours.write();
        (call.ours, call.theirs) = (Some(ours), Some(theirs));
        call.dialog.retarget(request);
        let (tag, path) = (call.dialog.local_tag.clone(), call.path());
        let draft = answer(request, 200, &tag, &self.settings.identity).with_body("application/sdp", body);
        self.exchanges.respond(now, exchange, 200, Some(&tag), &draft);
        if let Some(path) = path {
            self.report(PhoneReport::Media { call: key, path });
        }
        self.report(PhoneReport::ReinvitedByPeer { call: key });
    }

    pub(super) fn on_reinvite_answer(&mut self, now: Time, key: CallKey, status: u16, message: &Received) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if status < 200 {
            return;
        }
        let Some(change) = call.pending.take() else {
            if status < 300 {
                self.on_further_answer(now, key, message);
            }
            return;
        };
        match status {
            200..300 => self.on_changed(key, change, message),
            // RFC 3261 §14.1: 2.1 to 4 s for the side that made the Call-ID, 0 to 2 s for the other.
            491 => {
                let (least, span) = match call.side {
                    Side::Placed { .. } => (2_100, 191),
                    Side::Taken { .. } => (0, 201),
                };
                let pause = least + self.secrets.u64() % span * 10;
                if let Some(call) = self.calls.get_mut(&key) {
                    call.do_at(now + Duration::from_millis(pause), Step::Reinvite(change));
                }
                return;
            }
            // RFC 3261 §12.2.1.2: the far side has lost the dialog.
            408 | 481 => self.bye(now, key, Ending { status, by: EndedBy::Them }),
            _ => {}
        }
        self.report(PhoneReport::Reinvited { call: key, status });
    }

    fn on_changed(&mut self, key: CallKey, change: Change, message: &Received) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dialog.retarget(message);
        call.wanted = change.wanted;
        if let Some(ours) = &mut call.ours {
            ours.version = ours.version.wrapping_add(1);
            (ours.address, ours.direction, ours.codecs) = (change.local, change.wanted, self.settings.codecs.clone());
        }
        if let Ok(theirs) = Session::parse(message.body_text()) {
            call.theirs = Some(theirs);
        }
        let path = call.path();
        self.acknowledge(key, message, None);
        if let Some(path) = path {
            self.report(PhoneReport::Media { call: key, path });
        }
    }

    /// RFC 3515 §2.4.4: the transfer's progress as a `message/sipfrag` status line.
    fn on_notify(&mut self, now: Time, call: CallKey, key: &IncomingKey, notify: &Received) {
        self.reply(now, key, notify, 200);
        let status = notify.body_text().trim().strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        let Some(status) = status.and_then(|digits| digits.parse::<u16>().ok()) else { return };
        self.report(PhoneReport::Transfer { call, status });
        let up = self.calls.get(&call).is_some_and(|call| call.phase == Phase::Up);
        if up && (200..300).contains(&status) {
            self.bye(now, call, Ending { status: 200, by: EndedBy::Us });
        }
    }

    /// Follows a blind transfer (RFC 3515): 202, then a call of ours, whose progress the referrer is told.
    fn on_refer(&mut self, now: Time, call: CallKey, key: &IncomingKey, refer: &Received) {
        let target = refer.header("Refer-To").map(|text| text.trim_matches(['<', '>']));
        let Some(target) = target.and_then(|text| SipUri::parse(text).ok()) else {
            return self.reply(now, key, refer, 400);
        };
        self.reply(now, key, refer, 202);
        match self.place(now, Order::to(target)) {
            Ok(placed) => {
                self.notify(now, call, 100);
                if let Some(placed) = self.calls.get_mut(&placed) {
                    placed.referred_from = Some(call);
                }
            }
            Err(_) => self.notify(now, call, 503),
        }
    }

    /// Tells the referrer how the call that it asked for goes.
    pub(super) fn tell_referrer(&mut self, now: Time, placed: CallKey, status: u16) {
        let referrer = self.calls.get(&placed).and_then(|placed| placed.referred_from);
        if let Some(referrer) = referrer {
            self.notify(now, referrer, status);
        }
    }

    fn notify(&mut self, now: Time, call: CallKey, status: u16) {
        // The referrer may have hung up meanwhile; then nobody waits for the news.
        let Ok(draft) = self.draft_within(call, Method::Notify) else { return };
        let state = if status < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let draft = draft.with("Event", "refer").with("Subscription-State", state);
        let phrase = super::super::rsip_wire::reason_phrase(status);
        let draft = draft.with_body("message/sipfrag;version=2.0", format!("SIP/2.0 {status} {phrase}\r\n"));
        let _gone = self.send_within(now, call, draft, Purpose::Notify);
    }

    fn on_info(&mut self, now: Time, call: CallKey, key: &IncomingKey, info: &Received) {
        let signal = info.body_text().lines().find_map(|line| line.trim().strip_prefix("Signal="));
        let digit = signal.and_then(|text| text.trim().chars().next());
        self.reply(now, key, info, if digit.is_some() { 200 } else { 415 });
        if let Some(digit) = digit {
            self.report(PhoneReport::Digit { call, digit });
        }
    }

    fn local_media(&self, call: CallKey) -> Result<SocketAddr, PhoneError> {
        let call = self.calls.get(&call).ok_or(PhoneError::NoSuchCall)?;
        call.ours.as_ref().map(|ours| ours.address).ok_or(PhoneError::WrongState)
    }

    fn draft_within(&mut self, call: CallKey, method: Method) -> Result<super::Draft, PhoneError> {
        let call = self.calls.get_mut(&call).ok_or(PhoneError::NoSuchCall)?;
        match call.phase {
            Phase::Up => Ok(call.dialog.request(method, &self.settings.identity)),
            _ => Err(PhoneError::WrongState),
        }
    }

    fn send_within(
        &mut self,
        now: Time,
        call: CallKey,
        draft: super::Draft,
        purpose: Purpose,
    ) -> Result<(), PhoneError> {
        let to = self.calls.get(&call).ok_or(PhoneError::NoSuchCall)?.dialog.next_hop();
        self.send(now, to, draft, purpose, 0);
        Ok(())
    }
}

impl Call {
    /// Does the request belong here, by the tag of any answer of ours that still stands?
    fn owns(&self, request: &Received) -> bool {
        let ours = |tag: &String| request.to.tag.as_ref() == Some(tag) && request.call_id == self.dialog.call_id;
        match &self.side {
            Side::Placed { .. } => self.dialog.owns(request),
            Side::Taken { tags, .. } => tags.iter().any(ours),
        }
    }
}

//! Calls that the endpoint places: INVITE, CANCEL, answers from one fork or several.

use super::super::dialog::named;
use super::super::report::{CallKey, EndedBy, Ending, PhoneReport};
use super::super::rsip_wire::{Draft, Method, Received};
use super::super::session::Session;
use super::{
    CANCELLED_AT_MOST, Call, Change, Datagram, Dialog, Endpoint, Order, Phase, PhoneError, Purpose, Side, Step,
};
use crate::time::Time;

impl Endpoint {
    /// Sends INVITE.
    pub fn place(&mut self, now: Time, order: Order) -> Result<CallKey, PhoneError> {
        if self.is_full() {
            return Err(PhoneError::Full);
        }
        let key = self.new_call_key();
        let tag = self.secrets.token();
        let identity = &self.settings.identity;
        let from = match &order.from {
            Some(text) => format!("{text};tag={tag}"),
            None => named(identity.display.as_deref(), &identity.address_of_record(), &tag),
        };
        let call_id = format!("{}@{}", self.secrets.token(), self.settings.identity.local.ip());
        let mut dialog = Dialog::placing(call_id, from, tag, &order.to, self.settings.peer);
        dialog.target = order.request_uri.unwrap_or(order.to);
        let ours = self.new_session(key);
        let mut draft =
            dialog.request(Method::Invite, &self.settings.identity).with("Allow", super::super::dialog::ALLOW);
        for (name, value) in &order.headers {
            draft = draft.with(name, value);
        }
        if !order.late_offer {
            draft = draft.with_body("application/sdp", ours.write());
        }
        let (to, late_offer) = (self.settings.peer, order.late_offer);
        let side = Side::Placed { invite: Box::new(draft.clone()), to, provisional: false, late_offer };
        let mut call = Call::new(side, dialog);
        call.ours = Some(ours);
        self.calls.insert(key, call);
        let sent = self.send(now, to, draft, Purpose::Invite(key), 0);
        if let Some(Call { side: Side::Placed { invite, .. }, .. }) = self.calls.get_mut(&key) {
            **invite = sent;
        }
        Ok(key)
    }

    /// Gives the call up: CANCEL while it rings, BYE once it is up, a refusal where it rings at ours.
    pub fn hang_up(&mut self, now: Time, call: CallKey) -> Result<(), PhoneError> {
        let wanted = self.calls.get_mut(&call).ok_or(PhoneError::NoSuchCall)?;
        match (wanted.phase, &wanted.side) {
            (Phase::Closing, _) => return Err(PhoneError::WrongState),
            (Phase::Early, Side::Taken { .. }) => return self.refuse(now, call, 603),
            (Phase::Up, _) => self.bye(now, call, Ending { status: 200, by: EndedBy::Us }),
            // RFC 3261 §9.1: no CANCEL before a provisional answer; §15: no BYE from the called side before the ACK.
            (Phase::Early, Side::Placed { provisional, .. }) => {
                let cancel_now = *provisional && !wanted.hang_up;
                wanted.hang_up = true;
                if cancel_now {
                    self.cancel(now, call);
                }
            }
            (Phase::Answering, _) => wanted.hang_up = true,
        }
        Ok(())
    }

    /// CANCEL repeats Request-URI, Via, From, To, Call-ID, Route and CSeq number of its INVITE (RFC 3261 §9.1).
    fn cancel(&mut self, now: Time, call: CallKey) {
        let Some(Call { side: Side::Placed { invite, to, .. }, .. }) = self.calls.get(&call) else { return };
        let (Some(uri), to) = (invite.uri().cloned(), *to) else { return };
        let mut cancel = Draft::request(Method::Cancel, uri);
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Route"] {
            if let Some(value) = invite.get(name) {
                cancel = cancel.with(name, value.replace(" INVITE", " CANCEL"));
            }
        }
        let branch = invite.get("Via").and_then(|via| via.split("branch=").nth(1)).unwrap_or_default();
        let branch = branch.split(';').next().unwrap_or_default().to_owned();
        let sent = super::Sent { purpose: Purpose::Cancel(call), attempts: 0 };
        if self.exchanges.request(now, to, &branch, cancel, sent).is_err() {
            self.on_silence(now, Purpose::Cancel(call));
        }
    }

    pub(super) fn on_cancel_answer(&mut self, now: Time, call: CallKey) {
        if let Some(cancelled) = self.calls.get_mut(&call) {
            cancelled.do_at(now + CANCELLED_AT_MOST, Step::Forget);
        }
    }

    pub(super) fn on_invite_answer(&mut self, now: Time, key: CallKey, status: u16, message: &Received) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match (status, call.phase) {
            (100..200, Phase::Early) => self.on_progress(now, key, status, message),
            (200..300, Phase::Early) => self.on_answered(now, key, message),
            (200..300, _) => self.on_further_answer(now, key, message),
            (300.., Phase::Early) => {
                let by = if call.hang_up { EndedBy::Us } else { EndedBy::Them };
                self.tell_referrer(now, key, status);
                self.end(key, Ending { status, by });
            }
            _ => {}
        }
    }

    fn on_progress(&mut self, now: Time, key: CallKey, status: u16, message: &Received) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let hang_up = call.hang_up;
        if let Side::Placed { provisional, .. } = &mut call.side
            && !core::mem::replace(provisional, true)
            && hang_up
        {
            return self.cancel(now, key);
        }
        if status == 100 {
            return;
        }
        let early = Session::parse(message.body_text()).ok().filter(|_| call.theirs.is_none());
        if early.is_some() {
            call.theirs = early;
        }
        let path = call.path();
        self.report(PhoneReport::Progress { call: key, status });
        if let Some(path) = path {
            self.report(PhoneReport::Media { call: key, path });
        }
    }

    fn on_answered(&mut self, now: Time, key: CallKey, message: &Received) {
        let codecs = self.settings.codecs.clone();
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dialog.confirm(message);
        call.phase = Phase::Up;
        call.stop_steps();
        // A reliable early answer may stand without being repeated; any description in the 2xx wins.
        if let Ok(theirs) = Session::parse(message.body_text()) {
            call.theirs = Some(theirs);
        }
        let late = matches!(call.side, Side::Placed { late_offer: true, .. });
        let mut body = None;
        if let (true, Some(ours), Some(theirs)) = (late, &call.ours, &call.theirs) {
            let ours = Session { codecs, ..ours.clone() }.answer(theirs).ok();
            body = ours.as_ref().map(Session::write);
            call.ours = ours;
        }
        let (path, hang_up) = (call.path(), call.hang_up);
        self.acknowledge(key, message, body);
        match path {
            _ if hang_up => self.bye(now, key, Ending { status: 487, by: EndedBy::Us }),
            None => self.bye(now, key, Ending { status: 488, by: EndedBy::Us }),
            Some(path) => {
                self.report(PhoneReport::Media { call: key, path });
                self.report(PhoneReport::Answered { call: key });
                self.tell_referrer(now, key, 200);
            }
        }
    }

    /// Sends the ACK of a 2xx and keeps it for repeats (RFC 3261 §13.2.2.4).
    pub(super) fn acknowledge(&mut self, key: CallKey, message: &Received, body: Option<String>) {
        let Some(call) = self.calls.get(&key) else { return };
        let (dialog, at) = (call.dialog.clone(), (message.cseq, message.to.tag.clone()));
        let ack = self.write_ack(&dialog, message.cseq, body);
        self.exchanges.send(ack.to, ack.bytes.clone());
        if let Some(call) = self.calls.get_mut(&key) {
            // Repeats of an earlier INVITE's 2xx have ended by the time another one is answered.
            call.acks.retain(|(cseq, _), _| *cseq == message.cseq);
            call.acks.insert(at, ack);
        }
    }

    fn write_ack(&mut self, dialog: &Dialog, cseq: u32, body: Option<String>) -> Datagram {
        let mut ack = dialog.ack(cseq, &self.settings.identity);
        self.new_via(&mut ack);
        if let Some(body) = body {
            ack = ack.with_body("application/sdp", body);
        }
        Datagram { to: dialog.next_hop(), bytes: ack.write() }
    }

    /// A 2xx after the first: a repeat is acknowledged again, another fork's is acknowledged and given up.
    pub(super) fn on_further_answer(&mut self, now: Time, key: CallKey, message: &Received) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let at = (message.cseq, message.to.tag.clone());
        if let Some(ack) = call.acks.get(&at).cloned() {
            return self.exchanges.send(ack.to, ack.bytes);
        }
        let mut fork = call.dialog.clone();
        fork.confirm(message);
        let ack = self.write_ack(&fork, message.cseq, None);
        self.exchanges.send(ack.to, ack.bytes.clone());
        if let Some(call) = self.calls.get_mut(&key) {
            call.acks.insert(at, ack);
        }
        let (bye, to) = (fork.request(Method::Bye, &self.settings.identity), fork.next_hop());
        self.send(now, to, bye, Purpose::ForkBye, 0);
        let to_tag = message.to.tag.clone().unwrap_or_default();
        self.report(PhoneReport::ForkReleased { call: key, to_tag });
    }

    /// The re-INVITE that [`Change`] asks for, as often as glare makes it necessary.
    pub(super) fn reinvite(&mut self, now: Time, key: CallKey, change: Change) -> Result<(), PhoneError> {
        let codecs = self.settings.codecs.clone();
        let call = self.calls.get_mut(&key).ok_or(PhoneError::NoSuchCall)?;
        if call.phase != Phase::Up || call.pending.is_some() {
            return Err(PhoneError::WrongState);
        }
        let last = call.ours.as_ref().ok_or(PhoneError::WrongState)?;
        let mut offer = Session::new(last.id, change.local, &codecs);
        (offer.version, offer.direction) = (last.version.wrapping_add(1), change.wanted);
        call.pending = Some(change);
        let draft = call.dialog.request(Method::Invite, &self.settings.identity);
        let (draft, to) = (draft.with_body("application/sdp", offer.write()), call.dialog.next_hop());
        self.send(now, to, draft, Purpose::Reinvite(key), 0);
        Ok(())
    }
}

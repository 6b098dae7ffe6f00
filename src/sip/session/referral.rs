//! REFER from the far side and the NOTIFYs it gets (RFC 3515, RFC 6665): a phone's own transfer key.

use bytes::Bytes;

use super::Context;
use super::usage::{Purpose, Usage};
use crate::sip::carrier::Reply;
use crate::sip::endpoint::Refused;
use crate::sip::event::{Referral as Asked, SessionId, UaEvent};
use crate::sip::header::Name;
use crate::sip::request::Body;
use crate::sip::transaction::TransactionId;
use crate::sip::{Message, Method, reason_phrase};

/// Where a referral stands. One at a time in a dialog; it ends with the dialog.
#[derive(Debug, Default)]
pub struct Referral {
    state: State,
    /// REFERs accepted so far: from the second on, NOTIFY names which one it means (RFC 3515 §2.4.6).
    accepted: u32,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    /// The switch has not decided.
    Asked { transaction: TransactionId, cseq: u32 },
    /// NOTIFYs go out. `id` is the CSeq of the REFER where it has to be named.
    Subscribed { id: Option<u32> },
}

/// How long the far side may wait for the outcome, in seconds.
const EXPIRES: u32 = 180;

impl Referral {
    /// Tells the switch, or answers what cannot be asked.
    pub fn handle_refer(
        &mut self,
        session: SessionId,
        context: &mut Context<'_>,
        transaction: TransactionId,
        request: &Message,
    ) -> Option<Reply<'static>> {
        if !matches!(self.state, State::None) {
            return Some(Reply::status(491));
        }
        // RFC 3515 §2.4.2: exactly one Refer-To.
        if request.all(Name::ReferTo).count() != 1 {
            return Some(Reply { reason: "One Refer-To Wanted", ..Reply::status(400) });
        }
        let Ok(refer_to) = request.refer_to() else {
            return Some(Reply { reason: "Bad Refer-To", ..Reply::status(400) });
        };
        let uri = refer_to.uri();
        let replaces = uri.headers().find(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        let to = uri.as_str().split('?').next().unwrap_or_default().to_owned();
        let by = request.header(Name::ReferredBy).and_then(|header| header.text()).map(str::to_owned);
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        self.state = State::Asked { transaction, cseq };
        let referral = Asked { to, replaces: replaces.map(|(_, value)| value.into_owned()), by };
        context.events.push_back(UaEvent::Referred { session, referral });
        None
    }

    /// The REFER that nobody will decide any more.
    pub fn take_pending(&mut self) -> Option<TransactionId> {
        match core::mem::take(&mut self.state) {
            State::Asked { transaction, .. } => Some(transaction),
            State::None | State::Subscribed { .. } => None,
        }
    }

    /// A NOTIFY was refused or lost: whoever asked does not want to know (RFC 6665 §4.2.2).
    pub fn handle_failure(&mut self) {
        if matches!(self.state, State::Subscribed { .. }) {
            self.state = State::None;
        }
    }
}

impl Usage {
    pub fn accept_refer(&mut self, context: &mut Context<'_>) -> Result<(), Refused> {
        let State::Asked { transaction, cseq } = self.referral.state else { return Err(Refused::WrongState) };
        let reply = Reply { contact: Some(self.dialog.contact()), ..Reply::status(202) };
        context.carrier.respond(context.now, transaction, reply)?;
        let id = (self.referral.accepted > 0).then_some(cseq);
        self.referral.accepted += 1;
        self.referral.state = State::Subscribed { id };
        // RFC 3515 §2.4.4: at once, so that the subscription stands.
        self.notify_refer(context, 100, "")
    }

    pub fn refuse_refer(&mut self, context: &mut Context<'_>, status: u16) -> Result<(), Refused> {
        let State::Asked { transaction, .. } = self.referral.state else { return Err(Refused::WrongState) };
        self.referral.state = State::None;
        context.carrier.respond(context.now, transaction, Reply::status(status))?;
        Ok(())
    }

    pub fn notify_refer(&mut self, context: &mut Context<'_>, status: u16, reason: &str) -> Result<(), Refused> {
        let State::Subscribed { id } = self.referral.state else { return Err(Refused::WrongState) };
        let reason = if reason.is_empty() { reason_phrase(status) } else { reason };
        let fragment = format!("SIP/2.0 {status} {reason}\r\n");
        let body = Body { content_type: "message/sipfrag;version=2.0", bytes: Bytes::from(fragment) };
        let mut draft = self.dialog.request(Method::Notify, Some(body));
        let event = id.map_or("refer".to_owned(), |id| format!("refer;id={id}"));
        let is_last = status >= 200;
        let state = match is_last {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={EXPIRES}"),
        };
        draft.set_header(Name::Event, event);
        draft.set_header(Name::SubscriptionState, state);
        self.send(context, Purpose::Notify, draft)?;
        if is_last {
            self.referral.state = State::None;
        }
        Ok(())
    }
}

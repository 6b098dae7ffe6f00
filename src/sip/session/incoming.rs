//! An INVITE that came and has no final response yet (RFC 3261 §13.3).

use core::time::Duration;

use super::usage::{Unacked, Usage};
use super::{Context, Session, end_reason};
use crate::sdp::SessionDescription;
use crate::sip::carrier::Reply;
use crate::sip::dialog::{Dialog, NoDialog};
use crate::sip::endpoint::Refused;
use crate::sip::event::{SessionId, UaEvent};
use crate::sip::flow::Source;
use crate::sip::header::Name;
use crate::sip::request::Body;
use crate::sip::transaction::TransactionId;
use crate::sip::{Message, Method};
use crate::time::Time;

/// The calling side waits for us.
pub struct Incoming {
    pub transaction: TransactionId,
    pub dialog: Dialog,
    /// The INVITE had an offer; without one, ours goes into the 2xx and the answer comes with the ACK.
    offered: bool,
    /// The provisional response in force, and when it is said again.
    told: Option<(Time, u16, Option<Body>)>,
}

/// A proxy gives up after three minutes of silence: say it again each minute (RFC 3261 §13.3.1.1).
const REFRESH: Duration = Duration::from_secs(60);

impl Incoming {
    pub fn new(
        transaction: TransactionId,
        invite: &Message,
        source: Source,
        local_tag: &str,
        offered: bool,
    ) -> Result<Self, NoDialog> {
        let user = invite.uri().ok().and_then(|uri| uri.user_text().map(|user| user.into_owned()));
        let mut dialog = Dialog::from_request(invite, local_tag, &user.unwrap_or_default())?;
        dialog.leaves_from = Some(source.local.ip());
        if dialog.is_adjacent() && is_behind_nat(invite, source) {
            dialog.destination = Some(source.back());
        }
        Ok(Self { transaction, dialog, offered, told: None })
    }

    pub fn provisional(
        &mut self,
        context: &mut Context<'_>,
        status: u16,
        early: Option<&SessionDescription>,
    ) -> Result<(), Refused> {
        if !(101..=199).contains(&status) {
            return Err(Refused::WrongState);
        }
        self.told = Some((context.now + REFRESH, status, early.map(Body::sdp)));
        self.tell(context)
    }

    fn tell(&mut self, context: &mut Context<'_>) -> Result<(), Refused> {
        let Some((_, status, body)) = &self.told else { return Ok(()) };
        let reply = Reply {
            contact: Some(self.dialog.contact()),
            body: body.clone(),
            ..Reply::tagged(*status, self.dialog.local_tag())
        };
        context.carrier.respond(context.now, self.transaction, reply)?;
        Ok(())
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.told.as_ref().map(|(at, ..)| *at)
    }

    pub fn handle_timeout(&mut self, context: &mut Context<'_>) {
        if let Some((at, ..)) = &mut self.told
            && *at <= context.now
        {
            *at = context.now + REFRESH;
            // A refusal here means that the transaction is gone; its own end is told elsewhere.
            let _ = self.tell(context);
        }
    }

    /// 200: the dialog is confirmed once the ACK comes.
    pub fn answer(
        self,
        context: &mut Context<'_>,
        session: SessionId,
        description: &SessionDescription,
    ) -> Result<Usage, (Box<Self>, Refused)> {
        let reply = Reply {
            contact: Some(self.dialog.contact()),
            allow: true,
            body: Some(Body::sdp(description)),
            ..Reply::tagged(200, self.dialog.local_tag())
        };
        match context.carrier.respond(context.now, self.transaction, reply) {
            Ok(bytes) => {
                let cseq = context
                    .carrier
                    .transactions
                    .received(self.transaction)
                    .and_then(|(invite, _)| invite.cseq().ok().map(|cseq| cseq.number));
                let timers = context.carrier.timers();
                let unacked =
                    Unacked::new(context.now, timers, self.transaction, cseq.unwrap_or(0), bytes, !self.offered);
                Ok(Usage::answered(session, self.dialog, unacked))
            }
            Err(why) => Err((Box::new(self), why.into())),
        }
    }

    pub fn reject(self, context: &mut Context<'_>, status: u16, reason: &str, headers: &[(&str, String)]) {
        let reply = Reply { reason, headers, ..Reply::tagged(status, self.dialog.local_tag()) };
        // It fails where the transaction is gone, and then nobody waits.
        let _ = context.carrier.respond(context.now, self.transaction, reply);
        context.dialogs.remove(&self.dialog.id);
    }
}

impl Session {
    /// The caller cancelled; the CANCEL itself is answered by the endpoint.
    pub fn handle_cancel(&mut self, context: &mut Context<'_>, cancel: &Message) {
        let Some(incoming) = self.incoming.take() else { return };
        incoming.reject(context, 487, "", &[]);
        self.tell_cancelled(context, cancel);
    }

    /// A request within a dialog that is not confirmed: BYE ends it (§15), a second INVITE has to wait (§14.2).
    pub(super) fn handle_early_request(
        &mut self,
        context: &mut Context<'_>,
        transaction: TransactionId,
        request: &Message,
    ) {
        let busy = [(Name::RetryAfter.as_str(), context.carrier.secrets.u32().wrapping_rem(10).to_string())];
        let reply = match request.method() {
            Some(Method::Bye) if self.incoming.is_some() => Reply::status(200),
            Some(Method::Invite) => Reply { headers: &busy, ..Reply::status(500) },
            Some(Method::Info | Method::Options) => Reply::status(200),
            _ => Reply::status(481),
        };
        let ends = reply.status == 200 && request.method() == Some(Method::Bye);
        let _ = context.carrier.respond(context.now, transaction, reply);
        if ends && let Some(incoming) = self.incoming.take() {
            incoming.reject(context, 487, "", &[]);
            self.tell_cancelled(context, request);
        }
    }

    fn tell_cancelled(&mut self, context: &mut Context<'_>, request: &Message) {
        if self.heard {
            self.heard = false;
            let session: SessionId = self.id;
            context.events.push_back(UaEvent::Cancelled { session, reason: end_reason(request) });
        }
    }
}

/// Whether the sender does not know its own address, or can only be reached by the connection it made: then our
/// requests take the same way back. With more than one Via it is a proxy's business.
pub fn is_behind_nat(request: &Message, source: Source) -> bool {
    if request.vias().count() != 1 {
        return false;
    }
    if source.transport.is_reliable() {
        return true;
    }
    let Ok(via) = request.via() else { return false };
    let port = via.port().unwrap_or(source.transport.default_port());
    via.host().ip() != Some(source.remote.ip()) || port != source.remote.port()
}

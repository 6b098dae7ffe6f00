//! Requests from the wire, before they belong to a session: who gets them, and what is refused at the door
//! (RFC 3261 §8.2 in its order: method, header, extension, content).

use super::body::{is_type, is_understood};
use super::carrier::Reply;
use super::dialog::DialogId;
use super::endpoint::Endpoint;
use super::event::{Invitation, SessionId, UaEvent};
use super::flow::Source;
use super::header::Name;
use super::request::OurContact;
use super::session::{Described, Incoming, Session};
use super::transaction::{ServerMatch, TransactionId};
use super::{Message, Method};
use crate::limits::ua::BACKLOG;
use crate::time::Time;

/// Extensions we take in Require. Reliable provisional responses and session timers come with their own issue.
const SUPPORTED: [&str; 0] = [];
/// What a refusal for lack of room asks the sender to wait, in seconds.
const RETRY_AFTER: &str = "10";
/// Hops where a request has no Max-Forwards (RFC 3261 §16.6 step 3).
const MAX_FORWARDS: u8 = 70;

/// A refusal at the door.
struct Refusal {
    status: u16,
    reason: &'static str,
    allow: bool,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    fn status(status: u16) -> Self {
        Self { status, reason: "", allow: false, headers: Vec::new() }
    }

    fn with(status: u16, name: Name, value: impl Into<String>) -> Self {
        Self { headers: vec![(name.as_str(), value.into())], ..Self::status(status) }
    }

    fn full() -> Self {
        Self::with(503, Name::RetryAfter, RETRY_AFTER)
    }

    fn reply(&self) -> Reply<'_> {
        Reply { reason: self.reason, allow: self.allow, headers: &self.headers, ..Reply::status(self.status) }
    }
}

impl Endpoint {
    /// A request without faults. Answers the session it belongs to.
    pub(super) fn handle_request(&mut self, now: Time, source: Source, request: Message) -> Option<SessionId> {
        match self.carrier.transactions.match_request(now, &request) {
            ServerMatch::Absorbed(session) => return session,
            ServerMatch::DialogAck => return self.handle_ack(now, &request),
            ServerMatch::Merged => {
                self.refuse(source, &request, Reply { reason: "Merged Request", ..Reply::status(482) });
                return None;
            }
            ServerMatch::New => {}
        }
        if self.events.len() >= BACKLOG {
            self.refuse(source, &request, Refusal::full().reply());
            return None;
        }
        let Ok(transaction) = self.carrier.transactions.accept(source, request.clone()) else {
            self.refuse(source, &request, Refusal::full().reply());
            return None;
        };
        if request.method() == Some(Method::Cancel) {
            return self.handle_cancel(now, transaction, &request);
        }
        let in_dialog = request.to().is_ok_and(|to| to.tag().is_some()) && request.method() != Some(Method::Register);
        let session = match in_dialog {
            true => DialogId::of_request(&request).and_then(|dialog| self.dialogs.get(&dialog).copied()),
            false => None,
        };
        if let Some(refusal) = self.judge(&request, in_dialog, session) {
            self.refuse_with_tag(now, transaction, &refusal);
            return session;
        }
        if request.method() == Some(Method::Invite) {
            // At once: the switch may think for longer than the 200 ms that §17.2.1 allows.
            let _ = self.carrier.respond(now, transaction, Reply::status(100));
        }
        if let Some(session) = session {
            self.carrier.transactions.belongs_to(transaction, session);
            self.with_session(now, session, |session, context| {
                session.handle_request(context, Some(transaction), &request);
            });
            return Some(session);
        }
        match request.method() {
            Some(Method::Invite) => self.handle_invite(now, transaction, source, request),
            Some(Method::Register) => {
                let answer = self.registrar.handle_register(now, &request, source);
                let refusal =
                    Refusal { status: answer.status, reason: answer.reason, allow: false, headers: answer.headers };
                self.refuse_with_tag(now, transaction, &refusal);
                None
            }
            _ => {
                self.handle_options(now, transaction);
                None
            }
        }
    }

    fn handle_ack(&mut self, now: Time, ack: &Message) -> Option<SessionId> {
        let session = *self.dialogs.get(&DialogId::of_request(ack)?)?;
        self.with_session(now, session, |session, context| session.handle_request(context, None, ack));
        Some(session)
    }

    /// RFC 3261 §9.2. The CANCEL gets its own answer, with the tag that the INVITE's will have.
    fn handle_cancel(&mut self, now: Time, transaction: TransactionId, cancel: &Message) -> Option<SessionId> {
        let Some(invite) = self.carrier.transactions.cancelled(cancel) else {
            self.refuse_with_tag(now, transaction, &Refusal::status(481));
            return None;
        };
        let session = self.carrier.transactions.session_of(invite);
        let incoming = session.and_then(|id| self.sessions.get(&id)).and_then(|session| session.incoming.as_ref());
        let tag = incoming.map(|incoming| incoming.dialog.local_tag().to_owned());
        let tag = tag.unwrap_or_else(|| self.carrier.secrets.token());
        let _ = self.carrier.respond(now, transaction, Reply::tagged(200, &tag));
        let session = session?;
        self.carrier.transactions.belongs_to(transaction, session);
        self.with_session(now, session, |session, context| match &mut session.usage {
            Some(usage) => usage.handle_cancel(context, invite),
            None => session.handle_cancel(context, cancel),
        });
        Some(session)
    }

    fn refuse_with_tag(&mut self, now: Time, transaction: TransactionId, refusal: &Refusal) {
        let tag = self.carrier.secrets.token();
        let _ = self.carrier.respond(now, transaction, Reply { to_tag: Some(&tag), ..refusal.reply() });
    }

    // -- the door ----------------------------------------------------------------------------------------------------

    /// What is refused before anybody sees it.
    fn judge(&self, request: &Message, in_dialog: bool, session: Option<SessionId>) -> Option<Refusal> {
        let method = request.method().unwrap_or(Method::Other);
        let known = match method {
            Method::Invite | Method::Register | Method::Options => true,
            Method::Bye | Method::Info | Method::Refer | Method::Notify => {
                if !in_dialog {
                    // What needs a dialog has none. A REFER from outside would let strangers place calls.
                    return Some(Refusal::status(if method == Method::Refer { 403 } else { 481 }));
                }
                true
            }
            _ => false,
        };
        if !known {
            return Some(Refusal { allow: true, ..Refusal::status(405) });
        }
        if in_dialog && session.is_none() {
            return Some(Refusal::status(481));
        }
        if !in_dialog && self.is_own_call(request) {
            return Some(Refusal::status(482));
        }
        let unsupported: Vec<&str> = request.unsupported(&SUPPORTED).collect();
        if !unsupported.is_empty() {
            return Some(Refusal::with(420, Name::Unsupported, unsupported.join(", ")));
        }
        if method == Method::Invite { judge_content(request) } else { judge_accept(request, method) }
    }

    /// A call of ours that somebody sent back to us.
    fn is_own_call(&self, request: &Message) -> bool {
        let (Ok(call_id), Ok(from)) = (request.call_id(), request.from()) else { return false };
        let key = (call_id.to_owned(), from.tag().unwrap_or_default().to_owned());
        self.calls_out.contains_key(&key)
    }

    // -- outside dialogs ---------------------------------------------------------------------------------------------

    fn handle_invite(
        &mut self,
        now: Time,
        transaction: TransactionId,
        source: Source,
        request: Message,
    ) -> Option<SessionId> {
        if self.is_full() {
            self.refuse_with_tag(now, transaction, &Refusal::full());
            return None;
        }
        let bad = |reason| Refusal { reason, ..Refusal::status(400) };
        let offer = match Described::of(&request) {
            Described::Unreadable => {
                self.refuse_with_tag(now, transaction, &bad("Bad Session Description"));
                return None;
            }
            described => described.description(),
        };
        let tag = self.carrier.secrets.token();
        let Ok(incoming) = Incoming::new(transaction, &request, source, &tag, offer.is_some()) else {
            self.refuse_with_tag(now, transaction, &bad("Bad Contact or Record-Route"));
            return None;
        };
        let id = self.fresh_session();
        self.carrier.transactions.belongs_to(transaction, id);
        self.dialogs.insert(incoming.dialog.id.clone(), id);
        let session = Session { incoming: Some(incoming), ..Session::new(id) };
        self.sessions.insert(id, Box::new(session));
        let from_user = request.from().ok().and_then(|from| from.uri().user_text().map(|user| user.into_owned()));
        let account = self.registrar.account_at(source, &from_user.unwrap_or_default());
        let line = request.uri().ok().and_then(|uri| self.lines.get(uri.params().get("line")?).cloned());
        let max_forwards = request.max_forwards().ok().flatten().unwrap_or(MAX_FORWARDS);
        let invitation = Invitation { session: id, source, request, account, line, offer, max_forwards };
        self.events.push_back(UaEvent::Invited(Box::new(invitation)));
        Some(id)
    }

    /// RFC 3261 §11.2: what an INVITE would get, as far as it depends on us.
    fn handle_options(&mut self, now: Time, transaction: TransactionId) {
        let tag = self.carrier.secrets.token();
        let headers = [
            (Name::Accept.as_str(), "application/sdp".to_owned()),
            (Name::AcceptEncoding.as_str(), "identity".to_owned()),
        ];
        let reply =
            Reply { allow: true, contact: Some(OurContact::default()), headers: &headers, ..Reply::tagged(200, &tag) };
        let _ = self.carrier.respond(now, transaction, reply);
    }
}

/// RFC 3261 §8.2.3: 415 for a body we don't understand, 406 where our answer would not be understood.
fn judge_content(request: &Message) -> Option<Refusal> {
    let encoded = request.header(Name::ContentEncoding).and_then(|header| header.text());
    if encoded.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Some(Refusal::with(415, Name::AcceptEncoding, "identity"));
    }
    if !is_understood(request) {
        return Some(Refusal::with(415, Name::Accept, "application/sdp"));
    }
    judge_accept(request, Method::Invite)
}

fn judge_accept(request: &Message, method: Method) -> Option<Refusal> {
    let asked = matches!(method, Method::Invite | Method::Options) && request.header(Name::Accept).is_some();
    let ours = ["application/sdp", "application/*", "*/*"];
    let taken = request.tokens(Name::Accept).any(|range| ours.iter().any(|ours| is_type(range, ours)));
    (asked && !taken).then(|| Refusal::status(406))
}

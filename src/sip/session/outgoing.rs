//! INVITEs of ours, one per target, until the last of them is forgotten (RFC 3261 §13.2, §9.1, §16.7 for the forks).

use super::usage::{Usage, credentials};
use super::{Context, Described, Session, end_reason};
use crate::limits::ua::FORKS;
use crate::sip::authenticator::Authenticator;
use crate::sip::carrier::{NotSent, Owner, RequestId};
use crate::sip::dialog::{Dialog, DialogId};
use crate::sip::event::{Failure, SessionId, UaEvent};
use crate::sip::flow::Destination;
use crate::sip::header::Name;
use crate::sip::invite::Invite;
use crate::sip::request::{Body, Draft, OurContact};
use crate::sip::transaction::What;
use crate::sip::{Message, Method, reason_phrase};

/// The calling side of a session.
pub struct Outgoing {
    branches: Vec<Branch>,
    contact_user: String,
    /// A 2xx has been taken; later ones are acknowledged and ended.
    won: bool,
    /// Ended by the switch, or won: what still answers is ended.
    cancelled: bool,
    /// Failures so far, one per target.
    failures: Vec<Failure>,
    /// Early dialogs, so that what comes in them finds us.
    early: Vec<DialogId>,
    /// Dialogs that a 2xx made, and the ACK to repeat when the 2xx is.
    answered: Vec<Answered>,
}

/// One target.
struct Branch {
    target: usize,
    request: RequestId,
    draft: Draft,
    destination: Option<Destination>,
    authenticator: Authenticator,
    /// A final response has come, or none will.
    done: bool,
    /// The transaction is forgotten: nothing more can come.
    gone: bool,
}

struct Answered {
    dialog: DialogId,
    ack: Draft,
    destination: Option<Destination>,
}

/// The Reason of a CANCEL to the phones that were not the first (RFC 3326).
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Outgoing {
    /// Sends the INVITEs. `call_id` and `tag` name the dialog set: all forks share them, as behind one proxy.
    pub fn start(
        context: &mut Context<'_>,
        session: SessionId,
        invite: &Invite,
        call_id: &str,
        tag: &str,
    ) -> Result<Self, NotSent> {
        let mut outgoing = Self {
            branches: Vec::new(),
            contact_user: invite.contact_user.clone(),
            won: false,
            cancelled: false,
            failures: Vec::new(),
            early: Vec::new(),
            answered: Vec::new(),
        };
        for (at, target) in invite.targets.iter().enumerate() {
            let draft = Draft {
                method: Method::Invite,
                uri: target.uri.clone(),
                route: target.route.clone(),
                from: format!("{};tag={tag}", invite.from.name_addr()),
                to: invite.to.name_addr(),
                call_id: call_id.to_owned(),
                cseq: 1,
                max_forwards: invite.max_forwards,
                contact: Some(OurContact::user(&invite.contact_user)),
                headers: outgoing_headers(invite),
                body: Some(Body::sdp(&target.media.map_or_else(|| invite.offer.clone(), |ip| invite.offer.at(ip)))),
                leaves_from: target.registered.map(|source| source.local.ip()),
            };
            let sent = context.carrier.request(context.now, Owner::Session(session), draft.clone(), target.destination);
            match sent {
                Ok(request) => outgoing.branches.push(Branch {
                    target: at,
                    request,
                    draft,
                    destination: target.destination,
                    authenticator: Authenticator::new(invite.credentials.clone()),
                    done: false,
                    gone: false,
                }),
                Err(why) if outgoing.branches.is_empty() => return Err(why),
                // The others ring on; this one could not.
                Err(_) => outgoing.failures.push(Failure::local(503)),
            }
        }
        match outgoing.branches.is_empty() {
            true => Err(NotSent::BadValue),
            false => Ok(outgoing),
        }
    }

    pub fn has(&self, request: RequestId) -> bool {
        self.branches.iter().any(|branch| branch.request == request)
    }

    /// Gives up what has no final response.
    pub fn cancel(&mut self, context: &mut Context<'_>, reason: Option<&str>) {
        self.cancelled = true;
        for branch in self.branches.iter().filter(|branch| !branch.done) {
            context.carrier.cancel(context.now, branch.request, reason);
        }
    }

    fn is_decided(&self) -> bool {
        self.branches.iter().all(|branch| branch.done)
    }

    fn is_over(&self) -> bool {
        self.branches.iter().all(|branch| branch.gone)
    }
}

fn outgoing_headers(invite: &Invite) -> Vec<(std::borrow::Cow<'static, str>, String)> {
    let allow = (Name::Allow.as_str().into(), crate::sip::carrier::ALLOW.to_owned());
    let accept = (Name::Accept.as_str().into(), "application/sdp".to_owned());
    let given = invite.headers.iter().map(|(name, value)| (name.clone().into(), value.clone()));
    [allow, accept].into_iter().chain(given).collect()
}

impl Failure {
    /// A failure that no response told of.
    pub fn local(status: u16) -> Self {
        let reason = reason_phrase(status).to_owned();
        Self { status, reason, retry_after: None, redirects: Vec::new(), cause: None }
    }

    fn of(response: &Message) -> Self {
        let retry_after = response.header(Name::RetryAfter).and_then(|header| header.text());
        let seconds = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        let status = response.status().unwrap_or(500);
        let contacts = response.contacts().filter_map(Result::ok);
        let uris = contacts.filter_map(|contact| contact.address().map(|a| a.uri().as_str().to_owned()));
        Self {
            status,
            reason: match response.reason() {
                "" => reason_phrase(status).to_owned(),
                reason => reason.to_owned(),
            },
            retry_after: retry_after.and_then(seconds),
            redirects: if status < 400 { uris.collect() } else { Vec::new() },
            cause: end_reason(response),
        }
    }
}

/// Rank of a failure among forks, the best first (RFC 3261 §16.7 step 6): a 6xx, else the lowest class, and within
/// 4xx what the caller can mend; nobody there (408) and overload (503) say least.
pub fn best_first(status: u16) -> (u16, u16) {
    match status {
        600..=699 => (0, 0),
        401 | 407 | 415 | 420 | 484 => (4, 0),
        408 => (4, 2),
        503 => (5, 1),
        other => (other / 100, if other / 100 == 4 { 1 } else { 0 }),
    }
}

impl Session {
    /// Something came of one of our INVITEs.
    pub(super) fn handle_invite_outcome(&mut self, context: &mut Context<'_>, request: RequestId, what: What) {
        match what {
            What::Response(response) => self.handle_invite_response(context, request, &response),
            What::TimedOut => self.handle_branch_failure(context, request, Failure::local(408)),
            What::Unreachable => self.handle_branch_failure(context, request, Failure::local(503)),
            What::Gone => self.handle_branch_gone(context, request),
        }
    }

    fn handle_invite_response(&mut self, context: &mut Context<'_>, request: RequestId, response: &Message) {
        match response.status().unwrap_or(0) {
            100 => {}
            status @ 101..=199 => self.handle_progress(context, status, response),
            200..=299 => self.handle_answer(context, request, response),
            401 | 407 if self.try_again(context, request, response) => {}
            _ => self.handle_branch_failure(context, request, Failure::of(response)),
        }
    }

    fn handle_progress(&mut self, context: &mut Context<'_>, status: u16, response: &Message) {
        let (id, heard) = (self.id, self.heard);
        let Some(outgoing) = &mut self.outgoing else { return };
        if let Some(dialog) = DialogId::of_response(response).filter(|dialog| !dialog.remote_tag.is_empty())
            && outgoing.early.len() < FORKS
            && !outgoing.early.contains(&dialog)
        {
            context.dialogs.insert(dialog.clone(), id);
            outgoing.early.push(dialog);
        }
        if heard && !outgoing.won {
            let early = Described::of(response).description();
            context.events.push_back(UaEvent::Progress { session: id, status, early });
        }
    }

    fn handle_answer(&mut self, context: &mut Context<'_>, request: RequestId, response: &Message) {
        let (id, heard) = (self.id, self.heard);
        let Some(outgoing) = &mut self.outgoing else { return };
        let named = DialogId::of_response(response);
        if let Some(known) = outgoing.answered.iter().find(|known| Some(&known.dialog) == named.as_ref()) {
            // Our ACK was lost.
            let (ack, destination) = (known.ack.clone(), known.destination);
            let _ = context.carrier.request(context.now, Owner::Session(id), ack, destination);
            return;
        }
        let Some(branch) = outgoing.branches.iter_mut().find(|branch| branch.request == request) else { return };
        branch.done = true;
        let Ok(mut dialog) = Dialog::from_response(&branch.draft, response, &outgoing.contact_user) else {
            // Its routes or tags cannot be followed, so that no ACK would arrive: it fails as if refused.
            return self.handle_branch_failure(context, request, Failure::local(502));
        };
        if dialog.is_adjacent() {
            dialog.destination = branch.destination;
        }
        let ack = Draft { headers: credentials(&branch.draft), ..dialog.ack(branch.draft.cseq) };
        let (target, destination) = (branch.target, dialog.destination);
        let mut authenticator = branch.authenticator.clone();
        authenticator.handle_success();
        let _ = context.carrier.request(context.now, Owner::Session(id), ack.clone(), destination);
        if outgoing.answered.len() < FORKS {
            outgoing.answered.push(Answered { dialog: dialog.id.clone(), ack, destination });
        }
        if outgoing.won || !heard {
            return end_extra(context, dialog, authenticator);
        }
        outgoing.won = true;
        outgoing.cancel(context, Some(ELSEWHERE));
        context.dialogs.insert(dialog.id.clone(), id);
        self.usage = Some(Usage::confirmed(id, dialog, authenticator));
        match Described::of(response) {
            Described::Unreadable => {
                self.heard = false;
                let failure = Failure { reason: "Answer Cannot Be Read".to_owned(), ..Failure::local(488) };
                context.events.push_back(UaEvent::Failed { session: id, failure });
                self.end(context, Some("SIP;cause=488;text=\"Answer cannot be read\""));
            }
            described => {
                let answer = described.description();
                let response = response.clone();
                context.events.push_back(UaEvent::Answered { session: id, target, answer, response });
            }
        }
    }

    /// A challenge: the same INVITE with credentials and the next number. True where it went out.
    fn try_again(&mut self, context: &mut Context<'_>, request: RequestId, response: &Message) -> bool {
        let id = self.id;
        let Some(outgoing) = &mut self.outgoing else { return false };
        if outgoing.cancelled {
            return false;
        }
        let Some(branch) = outgoing.branches.iter_mut().find(|branch| branch.request == request) else { return false };
        if !branch.authenticator.handle_challenge(response) {
            return false;
        }
        let mut draft = Draft { cseq: branch.draft.cseq + 1, ..branch.draft.clone() };
        branch.authenticator.sign(&mut draft, &mut context.carrier.secrets);
        let sent = context.carrier.request(context.now, Owner::Session(id), draft.clone(), branch.destination);
        match sent {
            Ok(again) => {
                (branch.request, branch.draft) = (again, draft);
                true
            }
            Err(_) => false,
        }
    }

    fn handle_branch_failure(&mut self, context: &mut Context<'_>, request: RequestId, failure: Failure) {
        let Some(outgoing) = &mut self.outgoing else { return };
        let Some(branch) = outgoing.branches.iter_mut().find(|branch| branch.request == request) else { return };
        branch.done = true;
        let ends_all = failure.status >= 600 && !outgoing.cancelled;
        outgoing.failures.push(failure);
        if ends_all {
            // RFC 3261 §16.7 step 5: a 6xx speaks for everybody. A 2xx that is on its way still wins.
            outgoing.cancel(context, None);
        }
        self.tell_failed(context);
    }

    fn handle_branch_gone(&mut self, context: &mut Context<'_>, request: RequestId) {
        let Some(outgoing) = &mut self.outgoing else { return };
        if let Some(branch) = outgoing.branches.iter_mut().find(|branch| branch.request == request) {
            (branch.done, branch.gone) = (true, true);
        }
        self.tell_failed(context);
        if self.outgoing.as_ref().is_some_and(Outgoing::is_over)
            && let Some(outgoing) = self.outgoing.take()
        {
            let confirmed = self.usage.as_ref().map(|usage| &usage.dialog.id);
            for dialog in outgoing.early.iter().filter(|dialog| Some(*dialog) != confirmed) {
                context.dialogs.remove(dialog);
            }
        }
    }

    /// Everybody has refused.
    fn tell_failed(&mut self, context: &mut Context<'_>) {
        let Some(outgoing) = &mut self.outgoing else { return };
        if !self.heard || outgoing.won || !outgoing.is_decided() {
            return;
        }
        self.heard = false;
        let best = outgoing.failures.iter().min_by_key(|failure| best_first(failure.status)).cloned();
        let failure = best.unwrap_or_else(|| Failure::local(408));
        context.events.push_back(UaEvent::Failed { session: self.id, failure });
    }
}

/// A dialog nobody wants: acknowledged already, now ended (RFC 3261 §13.2.2.4).
fn end_extra(context: &mut Context<'_>, mut dialog: Dialog, mut authenticator: Authenticator) {
    let mut bye = dialog.request(Method::Bye, None);
    bye.set_header(Name::Reason, ELSEWHERE.to_owned());
    authenticator.sign(&mut bye, &mut context.carrier.secrets);
    let _ = context.carrier.request(context.now, Owner::Nobody, bye, dialog.destination);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_failure_of_several_is_chosen_as_a_forking_proxy_does() {
        let best = |statuses: &[u16]| statuses.iter().copied().min_by_key(|status| best_first(*status)).unwrap_or(0);
        assert_eq!(best(&[486, 603, 302]), 603);
        assert_eq!(best(&[486, 302]), 302);
        assert_eq!(best(&[408, 486, 500]), 486);
        assert_eq!(best(&[486, 407]), 407);
        assert_eq!(best(&[503, 500]), 500);
        assert_eq!(best(&[486, 480]), 486, "the first of equals");
    }
}

//! A call comes in: who is calling, may it come now, and where does it go.
//!
//! The order is: registered flow, line token, trunk address, digest; then limits;
//! then the called number. Every refusal leaves from here, before a call exists: what is refused has no record.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cause::{Cause, Party, What};
use crate::event::{Address, Direction, Fact, Role};
use crate::ids::{AccountName, CallId, DialplanName, Language, LegId, TrunkName};
use crate::limits;
use crate::number::{NotANumber, Number};
use crate::plan::model::Dialer;
use crate::sip::endpoint::Authorization;
use crate::sip::event::Invitation;
use crate::sip::{Message, Name, Scheme};
use crate::time::Time;

use super::call::{AfterDial, Call, Stage};
use super::dial::{Dial, DialTo};
use super::input::StoreHealth;
use super::request::{Asker, Query};
use super::sound::Face;
use super::timer::Timer;
use super::{ACCEPT_TIMEOUT, Switch};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Trunk(TrunkName),
    Account(AccountName),
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq)]
enum Goal {
    /// `open`: the number's hours hold now.
    Dialplan {
        dialplan: DialplanName,
        language: Language,
        open: bool,
    },
    Dial(DialTo),
}

/// A refusal of a call, as the caller's phone sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turned {
    pub status: u16,
    pub reason: &'static str,
    pub retry_after_s: Option<u32>,
}

impl Turned {
    const fn away(status: u16, reason: &'static str) -> Self {
        Self { status, reason, retry_after_s: None }
    }

    /// 503 with Retry-After: full, draining, or the store cannot take a record.
    const fn later(reason: &'static str, seconds: u32) -> Self {
        Self { status: 503, reason, retry_after_s: Some(seconds) }
    }
}

/// New calls in the running second, by trunk and altogether.
#[derive(Debug, Default)]
pub(super) struct Rates {
    all: Rate,
    trunks: BTreeMap<TrunkName, Rate>,
}

/// A token bucket: `limit` a second, bursts of as many.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    /// Millionths of a call that may come now.
    level: u64,
    at: Time,
}

impl Rate {
    const CALL: u64 = 1_000_000;

    /// Whether a call may come now; takes nothing.
    fn has(&mut self, now: Time, limit: u32) -> bool {
        let full = u64::from(limit) * Self::CALL;
        let gained = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX).saturating_mul(u64::from(limit));
        self.level = if self.at == Time::EPOCH { full } else { self.level.saturating_add(gained).min(full) };
        self.at = now;
        self.level >= Self::CALL
    }

    fn takes(&mut self, now: Time, limit: u32) -> bool {
        let enough = self.has(now, limit);
        if enough {
            self.level -= Self::CALL;
        }
        enough
    }
}

impl Switch {
    pub(super) fn on_invited(&mut self, invitation: &Invitation) {
        let Some(who) = self.identify(invitation) else { return };
        if let Err(turned) = self.receive(invitation, &who) {
            self.counts.refused += 1;
            self.turn_away(invitation, &turned);
        }
    }

    /// Who is calling; `None` where the caller was asked for credentials or has none, and is answered already.
    fn identify(&mut self, invitation: &Invitation) -> Option<Who> {
        // A datagram's source can be forged, a connection's cannot: only streams are known by their flow.
        if let Some(account) = invitation.account.as_ref().filter(|_| invitation.source.transport.is_reliable()) {
            return Some(Who::Account(account.clone()));
        }
        if let Some(trunk) = &invitation.line {
            return Some(Who::Trunk(trunk.clone()));
        }
        if let Some(trunk) = self.edition.plan.trunk_at(invitation.source.remote) {
            return Some(Who::Trunk(trunk.name.clone()));
        }
        match self.endpoint.authorize(self.now, invitation.session) {
            Ok(Authorization::By(account)) => Some(Who::Account(account)),
            Ok(Authorization::Challenged) => None,
            Ok(Authorization::Wrong) => {
                self.counts.wrong_digests += 1;
                self.turn_away(invitation, &Turned::away(403, "Forbidden"));
                None
            }
            Err(_) => None,
        }
    }

    fn turn_away(&mut self, invitation: &Invitation, turned: &Turned) {
        let headers: Vec<(&str, String)> =
            turned.retry_after_s.iter().map(|seconds| ("Retry-After", seconds.to_string())).collect();
        // A session that is gone already was cancelled meanwhile.
        let _ = self.endpoint.reject(self.now, invitation.session, turned.status, turned.reason, &headers);
    }

    fn receive(&mut self, invitation: &Invitation, who: &Who) -> Result<(), Turned> {
        let uri = invitation.request.uri().map_err(|_| Turned::away(400, "Bad Request"))?;
        if uri.scheme() == Scheme::Other {
            return Err(Turned::away(416, "Unsupported URI Scheme"));
        }
        let called = uri.user_text().map(|user| user.into_owned()).unwrap_or_default();
        let (goal, to, emergency) = self.goal(who, &called)?;
        if !emergency {
            self.admit(who)?;
        }
        let from = self.caller_address(invitation, who);
        self.accept(invitation, who, from, to, goal, emergency)
    }

    /// Limits, in the order in which a full house tells the truth soonest. Nothing is taken from a rate by a call
    /// that another limit refuses.
    pub(super) fn admit(&mut self, who: &Who) -> Result<(), Turned> {
        if self.draining {
            return Err(Turned::later("Draining", 30));
        }
        if self.store != StoreHealth::Well {
            return Err(Turned::later("Store Unavailable", 10));
        }
        let limits = &self.edition.plan.limits;
        if self.calls.len() >= usize::try_from(limits.calls).unwrap_or(usize::MAX) {
            return Err(Turned::later("Too Many Calls", 10));
        }
        let now = self.now;
        if !self.rates.all.has(now, limits.calls_per_second) {
            return Err(Turned::later("Too Many Calls A Second", 1));
        }
        if let Who::Trunk(name) = who {
            self.admit_by_trunk(name, 0)?;
        }
        let per_second = self.edition.plan.limits.calls_per_second;
        self.rates.all.takes(now, per_second);
        Ok(())
    }

    fn admit_by_trunk(&mut self, name: &TrunkName, own: usize) -> Result<(), Turned> {
        let Some(trunk) = self.edition.plan.trunks.get(name) else {
            return Err(Turned::away(403, "Forbidden"));
        };
        let (most, per_second) = (trunk.max_calls, trunk.max_calls_per_second);
        if self.legs_on_trunk(name) + own >= usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(Turned::later("Trunk Full", 10));
        }
        let rate = self.rates.trunks.entry(name.clone()).or_default();
        if rate.takes(self.now, per_second) { Ok(()) } else { Err(Turned::later("Too Many Calls A Second", 1)) }
    }

    /// Whether this trunk may take one leg more, out or in; counts it against the rate where it may. `own` legs of the
    /// call being worked on are on it already.
    pub(super) fn may_use_trunk(&mut self, name: &TrunkName, own: usize) -> bool {
        self.admit_by_trunk(name, own).is_ok()
    }

    /// Live legs on a trunk, those of the call being worked on left out.
    pub(super) fn legs_on_trunk(&self, name: &TrunkName) -> usize {
        self.calls.values().map(|call| call.legs_on(name)).sum()
    }

    /// Where a called number leads, whom it names, and whether it is an emergency.
    fn goal(&self, who: &Who, called: &str) -> Result<(Goal, Address, bool), Turned> {
        let plan = &self.edition.plan;
        match who {
            Who::Trunk(trunk) => {
                let number = Number::normalise(called, &plan.home).map_err(|_| not_found())?;
                let goal = self.line_of(&number).ok_or(not_found())?;
                Ok((
                    goal,
                    Address { number: number.as_str().to_owned(), trunk: Some(trunk.clone()), ..Address::default() },
                    false,
                ))
            }
            Who::Account(account) => {
                // No account hides an emergency number.
                if let Some(dialled) = self.account_named(called).filter(|_| !self.is_emergency(called)) {
                    let to =
                        Address { number: called.to_owned(), account: Some(dialled.clone()), ..Address::default() };
                    return Ok((Goal::Dial(DialTo::Account(dialled)), to, false));
                }
                let number = Number::normalise(called, &plan.home).map_err(|error| match error {
                    NotANumber::Empty => Turned::away(484, "Address Incomplete"),
                    _ => not_found(),
                })?;
                let to = Address { number: number.as_str().to_owned(), ..Address::default() };
                if let Some(goal) = self.line_of(&number) {
                    return Ok((goal, to, false));
                }
                let route = plan.outbound(&number, self.dialer(account)).map_err(|refusal| match refusal.status() {
                    403 => Turned::away(403, "Forbidden"),
                    503 => Turned::later("No Trunk", 10),
                    _ => not_found(),
                })?;
                let emergency = route.emergency;
                let goal = Goal::Dial(DialTo::Number { number, who: self.dialer(account) });
                Ok((goal, to, emergency))
            }
        }
    }

    /// The dialplan that answers one of our numbers.
    fn line_of(&self, number: &Number) -> Option<Goal> {
        let inbound = self.edition.plan.inbound(number, self.now)?;
        let open = inbound.hours.as_ref().is_none_or(|verdict| verdict.open);
        Some(Goal::Dialplan { dialplan: inbound.dialplan.clone(), language: inbound.language.clone(), open })
    }

    pub(super) fn account_named(&self, text: &str) -> Option<AccountName> {
        self.roster.accounts.get(text).filter(|account| !account.disabled).map(|account| account.name.clone())
    }

    /// As whom a phone dials out: as the agent who sits there, or as a bare phone.
    pub(super) fn dialer(&self, account: &AccountName) -> Dialer {
        use crate::command::UserRole;
        let role = self.desks.agent_at(account).and_then(|agent| self.roster.users.get(agent)).map(|user| user.role);
        match role {
            Some(UserRole::Agent) => Dialer::Agent,
            Some(UserRole::Supervisor) => Dialer::Supervisor,
            Some(UserRole::Admin) => Dialer::Admin,
            Some(UserRole::Integration) | None => Dialer::Phone,
        }
    }

    fn caller_address(&self, invitation: &Invitation, who: &Who) -> Address {
        let request = &invitation.request;
        match who {
            Who::Account(account) => {
                let display = self.roster.accounts.get(account).map(|a| a.display.clone()).unwrap_or_default();
                Address { number: account.to_string(), name: display, account: Some(account.clone()), trunk: None }
            }
            Who::Trunk(trunk) => {
                let trusts = self.edition.plan.trunks.get(trunk).is_some_and(|trunk| trunk.trust_identity);
                let asserted = if trusts { request.address(Name::PAssertedIdentity).ok() } else { None };
                let party = asserted.or_else(|| request.from().ok());
                // What the network knows and the caller withholds is nobody's to see here, nor to be passed on.
                let party = party.filter(|_| !wants_privacy(request));
                let user =
                    party.as_ref().and_then(|p| p.uri().user_text()).map(|user| printable(&user)).unwrap_or_default();
                let withheld = user.eq_ignore_ascii_case("anonymous") || user.is_empty();
                let number = match Number::normalise(&user, &self.edition.plan.home) {
                    _ if withheld => String::new(),
                    Ok(number) => number.as_str().to_owned(),
                    Err(_) => user,
                };
                let name = party.map(|p| printable(&p.display())).unwrap_or_default();
                Address { number, name, trunk: Some(trunk.clone()), account: None }
            }
        }
    }

    /// The call exists from here on, and will have exactly one record. An emergency waits for no disk.
    fn accept(
        &mut self,
        invitation: &Invitation,
        who: &Who,
        from: Address,
        to: Address,
        goal: Goal,
        emergency: bool,
    ) -> Result<(), Turned> {
        let engine = self.ports.quietest();
        let (id, leg_id): (CallId, LegId) = (self.ids.next(self.now), self.ids.next(self.now));
        let (ours, peer) = (invitation.source.local.ip(), invitation.source.remote.ip());
        let codecs = self.codecs(&from);
        let media = self.lease_media(engine, Face { ours, peer: Some(peer) }, &codecs);
        let media = media.ok_or(Turned::later("No Media Port", 5))?;
        let local = self.local_media(&media);
        let mut leg = self.new_leg(leg_id, Role::Caller, from.clone(), None, invitation.session, media);
        if let Some(offer) = &invitation.offer
            && leg.media.sdp.handle_offer(offer, local).map(|(_, stream)| leg.media.stream = Some(stream)).is_err()
        {
            self.ports.release(self.now, engine, leg.media.local.port());
            return Err(Turned::away(488, "Not Acceptable Here"));
        }
        let direction = match (who, &goal) {
            (Who::Trunk(_), _) => Direction::Inbound,
            (Who::Account(_), Goal::Dial(DialTo::Number { .. })) => Direction::Outbound,
            (Who::Account(_), _) => Direction::Internal,
        };
        let (dialplan, language) = match &goal {
            Goal::Dialplan { dialplan, language, .. } => (Some(dialplan.clone()), language.clone()),
            Goal::Dial(_) => (None, self.edition.plan.language.clone()),
        };
        let sip_call_id = invitation.request.call_id().unwrap_or_default().to_owned();
        let accepted = self.emit(
            Some(id),
            Fact::CallAccepted {
                leg: leg_id,
                direction,
                from: from.clone(),
                to: to.clone(),
                dialplan: dialplan.clone(),
                sip_call_id,
            },
        );
        self.counts.accepted += 1;
        let room = self.next_room();
        let mut call =
            Call::without_legs(id, self.edition.clone(), direction, from, to, engine, room, language, self.now);
        call.caller = leg_id;
        call.max_forwards = invitation.max_forwards;
        if matches!(goal, Goal::Dialplan { .. }) {
            call.headers = headers_of(&invitation.request);
        }
        self.add_leg(&mut call, leg);
        self.open_media(&mut call, leg_id, Some(peer));
        call.durable = emergency;
        if !emergency {
            self.accepting.insert(accepted, id);
            self.timers.set(self.now + ACCEPT_TIMEOUT, Timer::Accepted(id));
        }
        self.calls.insert(id, call);
        match goal {
            Goal::Dialplan { dialplan, open, .. } => self.enter_dialplan(id, &dialplan, open),
            Goal::Dial(to) => {
                self.with_call(id, |switch, call| {
                    call.stage = Stage::Ringing;
                    let dial = Dial { to, caller_id: None, ring: None, then: AfterDial::End };
                    switch.dial(call, dial);
                });
            }
        }
        self.ask_for_card(id);
        Ok(())
    }

    /// Asks for the record of the caller, or of whom the house calls; nothing waits for it.
    pub(super) fn ask_for_card(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let number = match call.direction {
            Direction::Inbound => call.from.number.clone(),
            Direction::Outbound => call.to.number.clone(),
            Direction::Internal => return,
        };
        if number.is_empty() {
            return;
        }
        self.ask(Asker::Card(id), Query::Customer { number }, self.now + Duration::from_secs(5));
    }

    /// The record of the call is on disk: the caller's 200 OK may go.
    pub(super) fn on_accepted_durable(&mut self, id: CallId) {
        self.timers.clear(Timer::Accepted(id));
        self.with_call(id, |switch, call| {
            call.durable = true;
            if call.wants_answer {
                switch.answer_caller(call);
            }
        });
    }

    /// The disk did not take the record in time: the call cannot be promised, so it is refused.
    pub(super) fn on_accept_timeout(&mut self, id: CallId) {
        self.with_call(id, |switch, call| {
            if call.durable {
                return;
            }
            let caller = call.caller;
            if let Some(leg) = call.leg(caller) {
                let headers = [("Retry-After", "10".to_owned())];
                let _ = switch.endpoint.reject(switch.now, leg.session, 503, "Store Unavailable", &headers);
            }
            switch.clear_call(call, Cause::with_status(What::Congestion, Party::Switch, 503));
        });
    }
}

/// The header fields a dialplan may ask for: no credentials, the first of each name, as many and as long as the
/// limits say.
fn headers_of(request: &Message) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut headers = BTreeMap::new();
    for header in request.headers() {
        let secret = matches!(header.name, Name::Authorization | Name::ProxyAuthorization);
        if secret || header.value.len() > limits::switch::HEADER_BYTES || headers.len() >= limits::switch::HEADERS {
            continue;
        }
        let name = if header.name == Name::Other { header.name_text } else { header.name.as_str() };
        let value = String::from_utf8_lossy(header.value);
        headers.entry(Arc::from(name.to_ascii_lowercase())).or_insert_with(|| Arc::from(&*value));
    }
    headers
}

const fn not_found() -> Turned {
    Turned::away(404, "Not Found")
}

/// Whether the caller asks that its identity be withheld: `id` (RFC 3325 §9.3), `user` (RFC 3323 §4.2).
fn wants_privacy(request: &Message) -> bool {
    let values = request.all(Name::Privacy).filter_map(|header| header.text());
    let mut wishes = values.flat_map(|value| value.split([';', ','])).map(str::trim);
    wishes.any(|wish| ["id", "user"].iter().any(|private| wish.eq_ignore_ascii_case(private)))
}

/// What a caller says of itself, fit to be shown and sent on.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialplan_sees_headers_by_their_long_names_within_the_limits_and_no_credentials() {
        let long = "x".repeat(limits::switch::HEADER_BYTES + 1);
        let many: String = (0..limits::switch::HEADERS).map(|nth| format!("X-{nth}: a\r\n")).collect();
        let text = format!(
            "INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nTo: <sip:1@x>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nX-Account: 77\r\nx-account: 78\r\nX-Long: {long}\r\n\
             Authorization: Digest response=\"s3cret\"\r\n{many}\r\n"
        );
        let headers = headers_of(&Message::parse(text.into_bytes().into()).unwrap());
        assert_eq!(headers.get("x-account").map(|value| &**value), Some("77"), "the first counts");
        assert_eq!(headers.get("from").map(|value| &**value), Some("<sip:a@b>;tag=1"));
        assert_eq!((headers.get("authorization"), headers.get("x-long")), (None, None));
        assert_eq!(headers.len(), limits::switch::HEADERS);
    }

    #[test]
    fn a_rate_takes_its_limit_at_once_and_then_as_many_a_second() {
        let mut rate = Rate::default();
        let start = Time::from_secs(10);
        assert_eq!((0..10).filter(|_| rate.takes(start, 3)).count(), 3);
        let later = start + Duration::from_millis(400);
        assert_eq!((0..10).filter(|_| rate.takes(later, 3)).count(), 1, "0.4 s at 3 a second is one call");
    }
}

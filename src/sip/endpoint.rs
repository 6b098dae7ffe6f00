//! The user agent of the house as one value: transactions, sessions, registrar and trunk clients behind one door.
//!
//! ```text
//!  handle_message · handle_flow_closed · handle_unreachable · handle_resolved · handle_timeout      the world tells us
//!  poll_transmit · poll_event · poll_resolve · poll_timeout                                          we tell the world
//!  invite · provisional · answer · reject · end · reoffer · accept_offer · accept_refer …            the switch orders
//! ```
//! After each input: drain the three polls, then sleep until `poll_timeout`.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::carrier::{Carrier, Owner, Reply};
use super::dialog::DialogId;
use super::digest::Algorithm;
use super::event::{SessionId, UaEvent};
use super::flow::{Destination, FlowId, Listener, Source, Transmit};
use super::header::Name;
use super::health::{Health, HealthSettings};
use super::invite::Invite;
pub use super::registrar::Expires;
use super::registrar::{Binding, Identity, Registrar};
use super::registration::{Registration, RegistrationSettings};
pub use super::resolve::{Hop, Resolve, ResolveId};
use super::session::{Context, Outgoing, Session};
use super::transaction::timer::Timers;
use super::{Message, Verdict};
use crate::ids::{AccountName, SecretSource, TrunkName};
use crate::limits::ua::{CONTACTS, REGISTRATIONS, SESSIONS, TARGETS, TRUNKS};
use crate::network::Network;
use crate::sdp::SessionDescription;
use crate::time::Time;

/// What the user agent is told once, and again after a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Realm of our challenges, and the domain of our addresses of record.
    pub domain: String,
    /// The sockets we have. Without one for a target's transport and address family the target is unreachable.
    pub listeners: Vec<Listener>,
    /// Peers that are told a listener's own address though it has a public one.
    pub local_networks: Vec<Network>,
    /// The value of User-Agent and Server.
    pub product: String,
    pub timers: Timers,
    /// Bounds and default of a registration's life.
    pub expires: Expires,
    /// The algorithms of our challenges, in any order.
    pub digest: Vec<Algorithm>,
}

/// Why an order to the user agent was not carried out. Nothing has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no such session: it has ended")]
    NoSession,
    #[error("the session is not in a state for this")]
    WrongState,
    #[error("an offer is under way: wait for its answer")]
    OfferPending,
    #[error("no further session, transaction or target is possible: limit reached")]
    Full,
    #[error("no hops left: the call has been passed on too often")]
    TooManyHops,
    #[error("a value holds a line end or is no URI")]
    BadValue,
}

/// What came of asking a caller for its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The digest is right: the call is this account's.
    By(AccountName),
    /// A 401 with a challenge went out and the session is over; the caller will come again as a new session.
    Challenged,
    /// The digest is wrong, or the account unknown. Reject with 403, and count it.
    Wrong,
}

/// The user agent.
pub struct Endpoint {
    settings: Settings,
    pub(super) carrier: Carrier,
    pub(super) registrar: Registrar,
    /// Boxed: a map's nodes have room for eleven, most of it empty.
    pub(super) sessions: BTreeMap<SessionId, Box<Session>>,
    pub(super) dialogs: BTreeMap<DialogId, SessionId>,
    /// Call-ID and tag of each call of ours, to know it when it comes back to us.
    pub(super) calls_out: BTreeMap<(String, String), SessionId>,
    deadlines: BTreeSet<(Time, SessionId)>,
    scheduled: BTreeMap<SessionId, Time>,
    registrations: BTreeMap<TrunkName, Registration>,
    /// Line tokens of our registrations.
    pub(super) lines: BTreeMap<String, TrunkName>,
    watched: BTreeMap<TrunkName, Health>,
    pub(super) events: VecDeque<UaEvent>,
    last_session: u64,
    bounds: Bounds,
}

/// How much of a thing there may be at once. Never more than [`crate::limits::ua`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions, one a leg. Past it: 503 to an INVITE, a refusal to the switch.
    pub sessions: usize,
    /// Contacts of all accounts together. Past it: 503 to the REGISTER.
    pub registrations: usize,
    /// Contacts of one account. Past it: 403 to the REGISTER.
    pub contacts: usize,
}

impl Bounds {
    pub const MOST: Bounds = Bounds { sessions: SESSIONS, registrations: REGISTRATIONS, contacts: CONTACTS };
}

impl Endpoint {
    pub fn new(settings: Settings, mut secrets: SecretSource) -> Self {
        let registrar = Registrar::new(&settings.domain, secrets.key(), settings.expires, &settings.digest);
        let mut carrier = Carrier::new(settings.listeners.clone(), settings.product.clone(), settings.timers, secrets);
        carrier.set_local_networks(settings.local_networks.clone());
        Self {
            settings,
            carrier,
            registrar,
            sessions: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            calls_out: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            scheduled: BTreeMap::new(),
            registrations: BTreeMap::new(),
            lines: BTreeMap::new(),
            watched: BTreeMap::new(),
            events: VecDeque::new(),
            last_session: 0,
            bounds: Bounds::MOST,
        }
    }

    /// What is there already stays; only the next is refused.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = Bounds { sessions: bounds.sessions.min(SESSIONS), ..bounds };
        self.registrar.set_bounds(bounds.registrations, bounds.contacts);
    }

    pub(super) fn is_full(&self) -> bool {
        self.sessions.len() >= self.bounds.sessions
    }

    /// New listeners, names or times after a reload. Running sessions keep what they told their peers; the domain is
    /// that of the start, for the accounts' secrets are bound to it.
    pub fn set_settings(&mut self, settings: Settings) {
        self.carrier.set_settings(settings.listeners.clone(), settings.product.clone(), settings.timers);
        self.carrier.set_local_networks(settings.local_networks.clone());
        self.registrar.set_expires(settings.expires);
        self.registrar.set_digest(&settings.digest);
        self.settings = Settings { domain: core::mem::take(&mut self.settings.domain), ..settings };
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    // -- the world tells us ------------------------------------------------------------------------------------------

    /// A message came in; faulty ones too, they are answered or dropped as `Message::verdict` says.
    /// Answers the session it belongs to, where it belongs to one: for the call's ladder.
    pub fn handle_message(&mut self, now: Time, source: Source, message: Message) -> Option<SessionId> {
        let session = match message.verdict() {
            Verdict::Drop => None,
            Verdict::Refuse { status, reason } => {
                let allow = status == 501;
                self.refuse(source, &message, Reply { reason, allow, ..Reply::status(status) });
                None
            }
            Verdict::Accept if message.is_request() => self.handle_request(now, source, message),
            // RFC 3261 §8.1.3.3: with a second Via it was meant for somebody else.
            Verdict::Accept if message.vias().count() != 1 => None,
            Verdict::Accept => self.carrier.transactions.handle_response(now, &message).flatten(),
        };
        self.settle(now);
        session
    }

    /// A connection ended, by whomever.
    pub fn handle_flow_closed(&mut self, now: Time, flow: FlowId) {
        self.registrar.handle_flow_closed(flow);
        for session in self.sessions.values_mut() {
            session.forget_flow(flow);
        }
        self.carrier.handle_flow_closed(now, flow);
        self.settle(now);
    }

    /// A connection could not be made, or a datagram not be sent (ICMP port unreachable included).
    pub fn handle_unreachable(&mut self, now: Time, destination: Destination) {
        self.carrier.handle_unreachable(now, destination);
        self.settle(now);
    }

    /// The resolver's answer to [`Resolve`], most wanted first, empty where there is none.
    pub fn handle_resolved(&mut self, now: Time, id: ResolveId, hops: Vec<Hop>) {
        self.carrier.handle_resolved(now, id, hops);
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Time) {
        self.carrier.handle_timeout(now);
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            // Unscheduled first: a session that stays due must not hold the loop.
            self.deadlines.remove(&(at, id));
            self.scheduled.remove(&id);
            self.with_session(now, id, |session, context| session.handle_timeout(context));
        }
        self.registrar.handle_timeout(now);
        for (trunk, registration) in &mut self.registrations {
            let change = registration.handle_timeout(now, &mut self.carrier);
            self.events.extend(change.map(|(up, reason)| registration_event(trunk, up, reason)));
        }
        for (trunk, health) in &mut self.watched {
            let change = health.handle_timeout(now, &mut self.carrier);
            self.events.extend(change.map(|(up, reason)| health_event(trunk, up, reason)));
        }
        self.settle(now);
    }

    // -- we tell the world -------------------------------------------------------------------------------------------

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.carrier.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<UaEvent> {
        self.events.pop_front().or_else(|| self.registrar.poll_event())
    }

    pub fn poll_resolve(&mut self) -> Option<Resolve> {
        self.carrier.poll_resolve()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let sessions = self.deadlines.first().map(|(at, _)| *at);
        let fixed = [sessions, self.carrier.poll_timeout(), self.registrar.poll_timeout()];
        let registrations = self.registrations.values().map(Registration::poll_timeout);
        let watched = self.watched.values().map(Health::poll_timeout);
        fixed.into_iter().chain(registrations).chain(watched).flatten().min()
    }

    // -- the switch orders: calls in ---------------------------------------------------------------------------------

    /// Asks who is calling by digest. Before any other answer to an `Invited` session.
    pub fn authorize(&mut self, now: Time, session: SessionId) -> Result<Authorization, Refused> {
        let incoming = self.listening(session)?.incoming.as_ref().ok_or(Refused::WrongState)?;
        let received = self.carrier.transactions.received(incoming.transaction);
        let (invite, _) = received.ok_or(Refused::WrongState)?;
        match self.registrar.identify(now, invite) {
            Identity::Account(account) => Ok(Authorization::By(account)),
            Identity::Wrong => Ok(Authorization::Wrong),
            Identity::Unknown { challenges } => {
                let headers: Vec<(&str, String)> =
                    challenges.into_iter().map(|value| (Name::WwwAuthenticate.as_str(), value)).collect();
                self.reject(now, session, 401, "", &headers)?;
                Ok(Authorization::Challenged)
            }
        }
    }

    /// 180, 181, 182 or 183, with a description for early media. It is repeated each minute, so that no proxy gives up.
    pub fn provisional(
        &mut self,
        now: Time,
        session: SessionId,
        status: u16,
        early: Option<&SessionDescription>,
    ) -> Result<(), Refused> {
        self.order(now, session, |session, context| {
            session.incoming.as_mut().ok_or(Refused::WrongState)?.provisional(context, status, early)
        })
    }

    /// 200 with our answer, or with our offer where the INVITE had none. Repeated until the ACK.
    pub fn answer(&mut self, now: Time, session: SessionId, answer: &SessionDescription) -> Result<(), Refused> {
        self.order(now, session, |session, context| session.answer(context, answer))
    }

    /// A final refusal, 300–699. An empty `reason` means the usual phrase. `headers` may be Retry-After, Contact, Reason …
    /// Nothing more is heard of the session.
    pub fn reject(
        &mut self,
        now: Time,
        session: SessionId,
        status: u16,
        reason: &str,
        headers: &[(&str, String)],
    ) -> Result<(), Refused> {
        if !(300..=699).contains(&status) {
            return Err(Refused::BadValue);
        }
        self.order(now, session, |session, context| {
            let incoming = session.incoming.take().ok_or(Refused::WrongState)?;
            session.heard = false;
            incoming.reject(context, status, reason, headers);
            Ok(())
        })
    }

    // -- the switch orders: calls out --------------------------------------------------------------------------------

    /// Calls. The session's events follow.
    pub fn invite(&mut self, now: Time, invite: Invite) -> Result<SessionId, Refused> {
        if invite.max_forwards == 0 {
            return Err(Refused::TooManyHops);
        }
        if self.is_full() {
            return Err(Refused::Full);
        }
        let mut invite = invite;
        invite.targets.truncate(TARGETS);
        let id = self.fresh_session();
        let (call_id, tag) = (self.carrier.secrets.token(), self.carrier.secrets.token());
        let mut session = Session::new(id);
        session.outgoing = Some(Outgoing::start(&mut self.context(now), id, &invite, &call_id, &tag)?);
        session.call_out = Some((call_id.clone(), tag.clone()));
        self.calls_out.insert((call_id, tag), id);
        self.sessions.insert(id, Box::new(session));
        self.settle(now);
        Ok(id)
    }

    // -- the switch orders: any call ---------------------------------------------------------------------------------

    /// Ends the session whatever its state: 480 to an INVITE without a final response, CANCEL to ours, BYE after an answer;
    /// a 2xx that crosses our CANCEL is acknowledged and ended. `reason` becomes a Reason header (`SIP;cause=200;text="Call completed elsewhere"`).
    /// Nothing more is heard of it. Unknown sessions are passed over: they have ended already.
    pub fn end(&mut self, now: Time, session: SessionId, reason: Option<&str>) {
        self.with_session(now, session, |session, context| session.end(context, reason));
        self.settle(now);
    }

    /// Offers other media by re-INVITE. 491 is retried after the RFC's back-off.
    pub fn reoffer(&mut self, now: Time, session: SessionId, offer: &SessionDescription) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.reoffer(context, offer))
    }

    /// Accepts a `Reoffered` with our answer, or with our offer where there was none.
    pub fn accept_offer(&mut self, now: Time, session: SessionId, answer: &SessionDescription) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.accept_offer(context, answer))
    }

    /// Refuses a `Reoffered`, usually with 488; the media in force go on.
    pub fn refuse_offer(&mut self, now: Time, session: SessionId, status: u16) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.refuse_offer(context, status))
    }

    /// 202 to a `Referred`, and the first NOTIFY.
    pub fn accept_refer(&mut self, now: Time, session: SessionId) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.accept_refer(context))
    }

    /// A final refusal of a `Referred`: 603, 404 …
    pub fn refuse_refer(&mut self, now: Time, session: SessionId, status: u16) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.refuse_refer(context, status))
    }

    /// NOTIFY with how the call we were asked for goes (`SIP/2.0 180 Ringing`); a final status ends the subscription.
    pub fn notify_refer(&mut self, now: Time, session: SessionId, status: u16, reason: &str) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.notify_refer(context, status, reason))
    }

    /// Sends a key by INFO (`application/dtmf-relay`), for a far side without RFC 4733.
    pub fn send_digit(
        &mut self,
        now: Time,
        session: SessionId,
        digit: char,
        duration: Duration,
    ) -> Result<(), Refused> {
        self.order_usage(now, session, |usage, context| usage.send_digit(context, digit, duration))
    }

    // -- accounts and trunks -----------------------------------------------------------------------------------------

    /// Accounts and their contacts: who is bound, and where a call to an account goes.
    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// To add, change and remove accounts. What that unbinds comes as events.
    pub fn registrar_mut(&mut self) -> &mut Registrar {
        &mut self.registrar
    }

    /// Takes up the bindings of before a restart, after the accounts are known.
    pub fn import_bindings(&mut self, now: Time, bindings: Vec<(AccountName, Binding)>) {
        self.registrar.import(now, bindings, &self.settings.listeners);
    }

    /// Registers us at a trunk, now and for ever after; settings that changed begin anew.
    pub fn register(&mut self, now: Time, trunk: TrunkName, settings: RegistrationSettings) -> Result<(), Refused> {
        if self.registrations.len() >= TRUNKS && !self.registrations.contains_key(&trunk) {
            return Err(Refused::Full);
        }
        self.unregister(now, &trunk);
        let registration = Registration::new(now, trunk.clone(), settings, &mut self.carrier.secrets);
        self.lines.insert(registration.line().to_owned(), trunk.clone());
        self.registrations.insert(trunk, registration);
        Ok(())
    }

    /// Takes our contact away from a trunk.
    pub fn unregister(&mut self, now: Time, trunk: &TrunkName) {
        if let Some(mut registration) = self.registrations.remove(trunk) {
            self.lines.remove(registration.line());
            registration.end(now, &mut self.carrier);
        }
    }

    /// Watches a trunk by OPTIONS.
    pub fn watch(&mut self, now: Time, trunk: TrunkName, settings: HealthSettings) -> Result<(), Refused> {
        if self.watched.len() >= TRUNKS && !self.watched.contains_key(&trunk) {
            return Err(Refused::Full);
        }
        self.watched.insert(trunk.clone(), Health::new(now, trunk, settings));
        Ok(())
    }

    pub fn unwatch(&mut self, trunk: &TrunkName) {
        self.watched.remove(trunk);
    }

    // -- proof -------------------------------------------------------------------------------------------------------

    /// Whether nothing lives: no session, no dialog, no transaction. At rest, with no trunk registered or watched, it must be true.
    pub fn is_idle(&self) -> bool {
        let indexes = self.dialogs.is_empty() && self.calls_out.is_empty() && self.deadlines.is_empty();
        self.sessions.is_empty() && indexes && self.carrier.is_empty()
    }

    /// Sessions that the switch still hears of. Each must belong to a leg.
    pub fn open_sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.values().filter(|session| session.heard).map(|session| session.id)
    }

    /// Live sessions, and live client and server transactions: for the metrics.
    pub fn counts(&self) -> (usize, (usize, usize)) {
        (self.sessions.len(), self.carrier.transactions.len())
    }

    // -- inside ------------------------------------------------------------------------------------------------------

    pub(super) fn fresh_session(&mut self) -> SessionId {
        self.last_session += 1;
        SessionId(self.last_session)
    }

    pub(super) fn context(&mut self, now: Time) -> Context<'_> {
        let Endpoint { carrier, events, dialogs, .. } = self;
        Context { now, carrier, events, dialogs }
    }

    /// Answers without remembering anything. The tag is the same for a repetition (RFC 3261 §8.2.7).
    pub(super) fn refuse(&mut self, source: Source, request: &Message, reply: Reply<'_>) {
        let tag = format!("{:016x}", fingerprint(request.via().ok().and_then(|via| via.branch()).unwrap_or_default()));
        self.carrier.respond_stateless(request, source, Reply { to_tag: Some(&tag), ..reply });
    }

    fn listening(&self, id: SessionId) -> Result<&Session, Refused> {
        self.sessions.get(&id).map(|session| &**session).filter(|session| session.heard).ok_or(Refused::NoSession)
    }

    fn order(
        &mut self,
        now: Time,
        id: SessionId,
        order: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.listening(id)?;
        let done = self.with_session(now, id, order).unwrap_or(Err(Refused::NoSession));
        self.settle(now);
        done
    }

    fn order_usage(
        &mut self,
        now: Time,
        id: SessionId,
        order: impl FnOnce(&mut super::session::Usage, &mut Context<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.order(now, id, |session, context| order(session.usage.as_mut().ok_or(Refused::WrongState)?, context))
    }

    /// Lets a session work, then keeps the indexes true.
    pub(super) fn with_session<R>(
        &mut self,
        now: Time,
        id: SessionId,
        work: impl FnOnce(&mut Session, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let Endpoint { sessions, carrier, events, dialogs, .. } = self;
        let session = sessions.get_mut(&id)?;
        let done = work(session, &mut Context { now, carrier, events, dialogs });
        let (next, over) = (session.poll_timeout(), session.is_over());
        if let Some(at) = self.scheduled.remove(&id) {
            self.deadlines.remove(&(at, id));
        }
        if over {
            if let Some(call) = self.sessions.remove(&id).and_then(|session| session.call_out) {
                self.calls_out.remove(&call);
            }
        } else if let Some(at) = next {
            self.deadlines.insert((at, id));
            self.scheduled.insert(id, at);
        }
        Some(done)
    }

    /// Hands out what came of our requests until nothing moves.
    pub(super) fn settle(&mut self, now: Time) {
        self.carrier.take_events(now);
        while let Some(outcome) = self.carrier.poll_outcome() {
            let (request, what) = (outcome.request, outcome.what);
            match outcome.owner {
                Owner::Session(id) => {
                    self.with_session(now, id, |session, context| session.handle_outcome(context, request, what));
                }
                Owner::Registration(trunk) => {
                    let Some(registration) = self.registrations.get_mut(&trunk) else { continue };
                    let change = registration.handle_outcome(now, request, what, &mut self.carrier);
                    self.events.extend(change.map(|(up, reason)| registration_event(&trunk, up, reason)));
                }
                Owner::Health(trunk) => {
                    let Some(health) = self.watched.get_mut(&trunk) else { continue };
                    let change = health.handle_outcome(now, request, what);
                    self.events.extend(change.map(|(up, reason)| health_event(&trunk, up, reason)));
                }
                Owner::Nobody => {}
            }
            self.carrier.take_events(now);
        }
    }
}

fn registration_event(trunk: &TrunkName, up: bool, reason: String) -> UaEvent {
    UaEvent::TrunkRegistration { trunk: trunk.clone(), up, reason }
}

fn health_event(trunk: &TrunkName, up: bool, reason: String) -> UaEvent {
    UaEvent::TrunkHealth { trunk: trunk.clone(), up, reason }
}

/// FNV-1a: the same tag for the same branch, nothing more is asked of it.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

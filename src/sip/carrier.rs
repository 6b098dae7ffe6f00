//! Carries our requests to their next hop and brings back what comes of it: resolving, choice of transport, failover.
//!
//! A request keeps its [`RequestId`] while hops are tried; each try is a transaction with a branch of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::event::SessionId;
use super::flow::{Destination, FlowId, Listener, Source, Transmit, Transport, facing};
use super::header::Name;
use super::request::{Body, Draft, OurContact};
use super::resolve::{Hop, Located, Resolve, ResolveId, locate};
use super::transaction::timer::Timers;
use super::transaction::{Full, TransactionId, Transactions, What, reply_destination};
use super::write::respond;
use super::{Message, Method};
use crate::ids::{SecretSource, TrunkName};
use crate::limits::ua::{HOPS, RESOLVE_TIME, RESOLVING};
use crate::network::Network;
use crate::time::Time;

/// Everything that sends: the transactions, and the requests on their way.
pub struct Carrier {
    pub transactions: Transactions,
    /// Tags, branches, back-off.
    pub secrets: SecretSource,
    listeners: Vec<Listener>,
    local_networks: Vec<Network>,
    product: String,
    last_id: u64,
    requests: BTreeMap<RequestId, Carried>,
    by_transaction: BTreeMap<TransactionId, RequestId>,
    resolving: BTreeMap<ResolveId, RequestId>,
    resolve_deadlines: BTreeSet<(Time, ResolveId)>,
    resolves: VecDeque<Resolve>,
    outcomes: VecDeque<Outcome>,
}

/// One request of ours, whatever hops it takes. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// Who hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Session(SessionId),
    Registration(TrunkName),
    Health(TrunkName),
    /// Nobody: the BYE of a dialog that was ended already.
    Nobody,
}

/// What came of a request: responses, or one failure, and `Gone` last.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub request: RequestId,
    pub owner: Owner,
    pub what: What,
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    Full,
    BadValue,
}

/// A response before it is written.
#[derive(Clone, Debug, Default)]
pub struct Reply<'a> {
    pub status: u16,
    /// Empty for the usual phrase.
    pub reason: &'a str,
    pub to_tag: Option<&'a str>,
    pub contact: Option<OurContact>,
    /// Say what methods we take: in a 2xx to INVITE and OPTIONS, and in a 405 or 501.
    pub allow: bool,
    pub headers: &'a [(&'a str, String)],
    pub body: Option<Body>,
}

/// The methods we take.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, REFER, NOTIFY";

impl<'a> Reply<'a> {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn tagged(status: u16, to_tag: &'a str) -> Self {
        Self { status, to_tag: Some(to_tag), ..Self::default() }
    }
}

/// Larger requests take a congestion-controlled transport where the target allows it (RFC 3261 §18.1.1), in bytes.
const DATAGRAM_BYTES: usize = 1_300;

struct Carried {
    owner: Owner,
    session: Option<SessionId>,
    draft: Draft,
    ways: VecDeque<Way>,
    transaction: Option<TransactionId>,
    /// The URI names the transport, so that size changes nothing.
    chosen: bool,
    /// An ACK: sent once and forgotten.
    stateless: bool,
}

/// One thing to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Fixed(Destination),
    Hop { hop: Hop, chosen: bool },
}

impl Carrier {
    pub fn new(listeners: Vec<Listener>, product: String, timers: Timers, secrets: SecretSource) -> Self {
        Self {
            transactions: Transactions::new(timers),
            secrets,
            listeners,
            local_networks: Vec::new(),
            product,
            last_id: 0,
            requests: BTreeMap::new(),
            by_transaction: BTreeMap::new(),
            resolving: BTreeMap::new(),
            resolve_deadlines: BTreeSet::new(),
            resolves: VecDeque::new(),
            outcomes: VecDeque::new(),
        }
    }

    pub fn set_settings(&mut self, listeners: Vec<Listener>, product: String, timers: Timers) {
        self.listeners = listeners;
        self.product = product;
        self.transactions.set_timers(timers);
    }

    /// Whom our own addresses are told, not the public one.
    pub fn set_local_networks(&mut self, networks: Vec<Network>) {
        self.local_networks = networks;
    }

    pub fn timers(&self) -> Timers {
        self.transactions.timers()
    }

    pub fn product(&self) -> &str {
        &self.product
    }

    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.transactions.is_empty()
    }

    /// Whether a host and port is one of ours, so that a Route naming it has reached its end.
    pub fn is_ours(&self, address: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| listener.local == address || listener.public == Some(address))
    }

    // -- sending -----------------------------------------------------------------------------------------------------

    /// Sends a request: to `destination` where given, else where its next hop's URI leads.
    pub fn request(
        &mut self,
        now: Time,
        owner: Owner,
        draft: Draft,
        destination: Option<Destination>,
    ) -> Result<RequestId, NotSent> {
        let probe = SocketAddr::from(([192, 0, 2, 1], 5060));
        draft.write(Transport::Udp, probe, "z9hG4bK", &self.product).map_err(|_| NotSent::BadValue)?;
        let stateless = draft.method == Method::Ack;
        let session = match owner {
            Owner::Session(session) => Some(session),
            _ => None,
        };
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let next_hop = draft.next_hop().to_owned();
        let mut carried =
            Carried { owner, session, draft, ways: VecDeque::new(), transaction: None, chosen: false, stateless };
        match destination.map_or_else(|| locate(&next_hop), |_| Located::Nowhere) {
            Located::Hop { hop, chosen } => carried.ways.push_back(Way::Hop { hop, chosen }),
            Located::Name(resolve) => return self.resolve(now, id, carried, resolve),
            Located::Nowhere => carried.ways.extend(destination.map(Way::Fixed)),
        }
        self.requests.insert(id, carried);
        self.try_next(now, id);
        Ok(id)
    }

    /// Cancels an INVITE. Its outcome follows: a final response, a time-out, or only `Gone` where it had not left.
    pub fn cancel(&mut self, now: Time, id: RequestId, reason: Option<&str>) {
        let Some(carried) = self.requests.get_mut(&id) else { return };
        carried.ways.clear();
        match carried.transaction {
            Some(transaction) => self.transactions.cancel(now, transaction, reason),
            None => self.finish(id, None),
        }
    }

    fn resolve(&mut self, now: Time, id: RequestId, carried: Carried, resolve: Resolve) -> Result<RequestId, NotSent> {
        if self.resolving.len() >= RESOLVING {
            return Err(NotSent::Full);
        }
        let resolve_id = ResolveId(id.0);
        self.requests.insert(id, Carried { chosen: resolve.transport.is_some(), ..carried });
        self.resolving.insert(resolve_id, id);
        self.resolve_deadlines.insert((now + RESOLVE_TIME, resolve_id));
        self.resolves.push_back(Resolve { id: resolve_id, ..resolve });
        Ok(id)
    }

    pub fn handle_resolved(&mut self, now: Time, resolve: ResolveId, hops: Vec<Hop>) {
        let Some(id) = self.resolving.remove(&resolve) else { return };
        self.resolve_deadlines.retain(|(_, waiting)| *waiting != resolve);
        let Some(carried) = self.requests.get_mut(&id) else { return };
        let chosen = carried.chosen;
        carried.ways.extend(hops.into_iter().take(HOPS).map(|hop| Way::Hop { hop, chosen }));
        self.try_next(now, id);
    }

    /// Takes the next way; where none is left, the request failed.
    fn try_next(&mut self, now: Time, id: RequestId) {
        while let Some(carried) = self.requests.get_mut(&id) {
            carried.transaction = None;
            let Some(way) = carried.ways.pop_front() else { return self.finish(id, Some(What::Unreachable)) };
            let Some((destination, listener)) = route(&self.listeners, way, carried.draft.leaves_from) else {
                continue;
            };
            let advertised = advertised(listener, &self.local_networks, destination.remote().ip());
            let branch = format!("z9hG4bK{}", self.secrets.token());
            let written = carried.draft.write(destination.transport(), advertised, &branch, &self.product);
            let Ok(bytes) = written else { continue };
            if let Way::Hop { hop, chosen: false } = way
                && hop.transport == Transport::Udp
                && bytes.len() > DATAGRAM_BYTES
            {
                // Too large for a datagram: by TCP first, and as it is where that cannot connect.
                let tcp = Hop { transport: Transport::Tcp, ..hop };
                carried.ways.push_front(Way::Hop { hop, chosen: true });
                carried.ways.push_front(Way::Hop { hop: tcp, chosen: true });
                continue;
            }
            if carried.stateless {
                self.transactions.send(destination, bytes, carried.session);
                self.requests.remove(&id);
                return;
            }
            if self.start(now, id, destination, bytes).is_ok() {
                return;
            }
        }
    }

    fn start(&mut self, now: Time, id: RequestId, destination: Destination, bytes: Bytes) -> Result<(), Full> {
        let message = Message::parse(bytes).map_err(|_| Full)?;
        let session = self.requests.get(&id).and_then(|carried| carried.session);
        let transaction = self.transactions.request(now, message, destination, session)?;
        self.by_transaction.insert(transaction, id);
        if let Some(carried) = self.requests.get_mut(&id) {
            carried.transaction = Some(transaction);
        }
        Ok(())
    }

    fn finish(&mut self, id: RequestId, what: Option<What>) {
        let Some(carried) = self.requests.remove(&id) else { return };
        let outcomes = what.into_iter().chain([What::Gone]);
        let outcomes = outcomes.map(|what| Outcome { request: id, owner: carried.owner.clone(), what });
        if !carried.stateless {
            self.outcomes.extend(outcomes);
        }
    }

    // -- what comes back ---------------------------------------------------------------------------------------------

    pub fn handle_flow_closed(&mut self, now: Time, flow: FlowId) {
        self.transactions.handle_flow_closed(flow);
        self.take_events(now);
    }

    pub fn handle_unreachable(&mut self, now: Time, destination: Destination) {
        self.transactions.handle_unreachable(destination);
        self.take_events(now);
    }

    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, resolve)) = self.resolve_deadlines.first().copied()
            && at <= now
        {
            self.resolve_deadlines.remove(&(at, resolve));
            self.handle_resolved(now, resolve, Vec::new());
        }
        self.transactions.handle_timeout(now);
        self.take_events(now);
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let resolving = self.resolve_deadlines.first().map(|(at, _)| *at);
        [resolving, self.transactions.poll_timeout()].into_iter().flatten().min()
    }

    /// Turns what the transactions say into outcomes, or into the next try.
    pub fn take_events(&mut self, now: Time) {
        while let Some(event) = self.transactions.poll_event() {
            let Some(&id) = self.by_transaction.get(&event.transaction) else { continue };
            if event.what == What::Gone {
                self.by_transaction.remove(&event.transaction);
            }
            let Some(carried) = self.requests.get(&id) else { continue };
            let current = carried.transaction == Some(event.transaction);
            match event.what {
                // A try that was given up for the next one.
                _ if !current => {}
                What::Gone => self.finish(id, None),
                what if self.may_try_on(id, &what) => self.try_next(now, id),
                what => {
                    let owner = carried.owner.clone();
                    self.outcomes.push_back(Outcome { request: id, owner, what });
                }
            }
        }
    }

    /// RFC 3263 §4.3: a transport error, a time-out or a 503 sends the request to the next hop, where there is one.
    fn may_try_on(&self, id: RequestId, what: &What) -> bool {
        let more = self.requests.get(&id).is_some_and(|carried| !carried.ways.is_empty());
        let failed = match what {
            What::Response(response) => response.status() == Some(503),
            What::TimedOut | What::Unreachable => true,
            What::Gone => false,
        };
        more && failed
    }

    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transactions.poll_transmit()
    }

    pub fn poll_resolve(&mut self) -> Option<Resolve> {
        self.resolves.pop_front()
    }

    // -- answering ---------------------------------------------------------------------------------------------------

    /// Answers a request that came in. The bytes come back for who must repeat them.
    pub fn respond(&mut self, now: Time, transaction: TransactionId, reply: Reply<'_>) -> Result<Bytes, NotSent> {
        let (request, source) = self.transactions.received(transaction).ok_or(NotSent::Full)?;
        let bytes = self.write_reply(request, source, &reply)?;
        match self.transactions.respond(now, transaction, reply.status, bytes.clone()) {
            true => Ok(bytes),
            false => Err(NotSent::Full),
        }
    }

    /// Answers without a transaction: what is refused before anything is remembered of it.
    pub fn respond_stateless(&mut self, request: &Message, source: Source, reply: Reply<'_>) {
        if let Ok(bytes) = self.write_reply(request, source, &reply) {
            self.transactions.send(reply_destination(request, source), bytes, None);
        }
    }

    fn write_reply(&self, request: &Message, source: Source, reply: &Reply<'_>) -> Result<Bytes, NotSent> {
        let mut writer = respond(request, source.remote, reply.status, reply.reason, reply.to_tag);
        if let Some(contact) = &reply.contact {
            let advertised = self.advertised(source.back()).unwrap_or(source.local);
            writer.header(Name::Contact, contact.at(source.transport, advertised));
        }
        if reply.allow {
            writer.header(Name::Allow, ALLOW);
        }
        if reply.status > 100 {
            writer.header(Name::Server, &self.product);
        }
        for (name, value) in reply.headers {
            writer.extension(name, value);
        }
        let written = match &reply.body {
            Some(body) => writer.finish_with(body.content_type, &body.bytes),
            None => writer.finish(),
        };
        written.map_err(|_| NotSent::BadValue)
    }

    /// What we call ourselves towards a destination or a source: the address of its listener.
    pub fn advertised(&self, destination: Destination) -> Option<SocketAddr> {
        let listener = listener(&self.listeners, destination, None)?;
        Some(advertised(listener, &self.local_networks, destination.remote().ip()))
    }
}

/// What a listener calls itself towards a peer: its public address, except in the networks that are local to us.
fn advertised(listener: &Listener, local_networks: &[Network], peer: IpAddr) -> SocketAddr {
    let is_local = || local_networks.iter().any(|network| network.contains(peer));
    listener.public.filter(|_| !is_local()).unwrap_or(listener.local)
}

/// Where a way leads, and the listener whose socket it leaves by.
fn route(listeners: &[Listener], way: Way, leaves_from: Option<IpAddr>) -> Option<(Destination, &Listener)> {
    let (transport, remote) = match way {
        Way::Fixed(destination) => return Some((destination, listener(listeners, destination, None)?)),
        Way::Hop { hop, .. } => (hop.transport, hop.address),
    };
    let destination = Destination::Connect { transport, remote };
    let listener = listener(listeners, destination, leaves_from)?;
    let destination = match transport {
        Transport::Udp => Destination::Flow { flow: listener.flow, transport, remote },
        _ => destination,
    };
    Some((destination, listener))
}

/// The listener a destination belongs to: the very socket, else of its transport and family the one at the wanted
/// address of ours, else the one that faces it.
fn listener(listeners: &[Listener], destination: Destination, wanted: Option<IpAddr>) -> Option<&Listener> {
    let remote = destination.remote().ip();
    let exact = match destination {
        Destination::Flow { flow, .. } => listeners.iter().find(|l| l.flow == flow),
        Destination::Connect { .. } => None,
    };
    let fits = || listeners.iter().filter(|l| l.transport == destination.transport());
    let wanted = wanted.filter(|ip| ip.is_ipv4() == remote.is_ipv4());
    exact.or_else(|| fits().find(|l| Some(l.local.ip()) == wanted)).or_else(|| facing(fits(), remote))
}

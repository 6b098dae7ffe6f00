//! The table of live transactions: finds them, feeds them, sends for them, and forgets them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::super::event::SessionId;
use super::super::flow::{Destination, FlowId, Source, Transmit};
use super::super::write::reply_address;
use super::super::{Message, Method};
use super::client::{self, Client};
use super::invite_client::{self, InviteClient};
use super::invite_server::{self, InviteServer};
use super::key::{ClientKey, MergeKey, ServerKey};
use super::server::{self, Server};
use super::timer::Timers;
use super::{Fired, Received, Verdict, derived};
use crate::limits::ua::TRANSACTIONS;
use crate::time::Time;

/// Every live transaction of the house. After each call: drain [`Transactions::poll_transmit`] and [`Transactions::poll_event`].
#[derive(Debug, Default)]
pub struct Transactions {
    timers: Timers,
    last_id: u64,
    clients: BTreeMap<TransactionId, ClientEntry>,
    servers: BTreeMap<TransactionId, ServerEntry>,
    client_keys: BTreeMap<ClientKey, TransactionId>,
    server_keys: BTreeMap<ServerKey, TransactionId>,
    merge_keys: BTreeMap<MergeKey, TransactionId>,
    deadlines: BTreeSet<(Time, TransactionId)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<ClientEvent>,
}

/// One transaction of either kind. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(u64);

/// The table has no room: [`TRANSACTIONS`] of that kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many transactions")]
pub struct Full;

/// Something that a client transaction tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEvent {
    pub transaction: TransactionId,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Response(Message),
    /// Timer B or F, or no final response after a CANCEL.
    TimedOut,
    Unreachable,
    /// The transaction is forgotten. Always the last.
    Gone,
}

/// Where a request belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMatch {
    /// None lives for it.
    New,
    /// The same request came by two ways (RFC 3261 §8.2.2.2): 482.
    Merged,
    /// A repetition, or an ACK to a refusal: dealt with.
    Absorbed(Option<SessionId>),
    /// An ACK for a 2xx, or one that nothing lives for: the dialog's.
    DialogAck,
}

#[derive(Debug)]
struct ClientEntry {
    key: ClientKey,
    machine: ClientMachine,
    request: Message,
    destination: Destination,
    session: Option<SessionId>,
    /// The CANCEL that waits for a provisional response (RFC 3261 §9.1); the Reason it shall carry.
    cancel_wanted: Option<Option<String>>,
    /// When a cancelled INVITE is given up, 64·T1 after its CANCEL.
    give_up: Option<Time>,
    scheduled: Option<Time>,
}

#[derive(Debug)]
enum ClientMachine {
    Invite(InviteClient),
    Other(Client),
}

#[derive(Debug)]
struct ServerEntry {
    key: ServerKey,
    merge_key: Option<MergeKey>,
    machine: ServerMachine,
    request: Message,
    source: Source,
    destination: Destination,
    /// The latest response.
    response: Option<Bytes>,
    session: Option<SessionId>,
    scheduled: Option<Time>,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl Transactions {
    pub fn new(timers: Timers) -> Self {
        Self { timers, ..Self::default() }
    }

    /// For transactions that begin from now on.
    pub fn set_timers(&mut self, timers: Timers) {
        self.timers = timers;
    }

    pub fn timers(&self) -> Timers {
        self.timers
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.servers.is_empty()
    }

    /// Live transactions, client and server.
    pub fn len(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
    }

    // -- client ------------------------------------------------------------------------------------------------------

    /// Sends a request of ours, whose top Via has a fresh branch, and follows it.
    pub fn request(
        &mut self,
        now: Time,
        request: Message,
        destination: Destination,
        session: Option<SessionId>,
    ) -> Result<TransactionId, Full> {
        if self.clients.len() >= TRANSACTIONS {
            return Err(Full);
        }
        let key = ClientKey::of(&request).ok_or(Full)?;
        let reliable = destination.transport().is_reliable();
        let machine = match request.method() {
            Some(Method::Invite) => ClientMachine::Invite(InviteClient::start(now, self.timers, reliable)),
            _ => ClientMachine::Other(Client::start(now, self.timers, reliable)),
        };
        let id = self.fresh_id();
        self.transmits.push_back(Transmit { destination, bytes: request.bytes().clone(), session });
        self.client_keys.insert(key.clone(), id);
        let entry = ClientEntry {
            key,
            machine,
            request,
            destination,
            session,
            cancel_wanted: None,
            give_up: None,
            scheduled: None,
        };
        self.clients.insert(id, entry);
        self.settle_client(id);
        Ok(id)
    }

    /// A response came. `None` where no transaction of ours matches: stray, to be dropped, unless it is a 2xx for a dialog.
    pub fn handle_response(&mut self, now: Time, response: &Message) -> Option<Option<SessionId>> {
        let status = response.status()?;
        let id = *self.client_keys.get(&ClientKey::of(response)?)?;
        let entry = self.clients.get_mut(&id)?;
        let session = entry.session;
        let verdict = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.handle_response(now, status),
            ClientMachine::Other(machine) => machine.handle_response(now, status),
        };
        if matches!(verdict, Verdict::UpAndAck | Verdict::Ack)
            && let Ok(bytes) = derived::ack(&entry.request, response)
        {
            self.transmits.push_back(Transmit { destination: entry.destination, bytes, session });
        }
        if status >= 200 {
            (entry.give_up, entry.cancel_wanted) = (None, None);
        }
        let cancel = entry.cancel_wanted.take();
        if matches!(verdict, Verdict::Up | Verdict::UpAndAck) {
            self.events.push_back(ClientEvent { transaction: id, what: What::Response(response.clone()) });
        }
        self.settle_client(id);
        if let Some(reason) = cancel {
            self.send_cancel(now, id, reason.as_deref());
        }
        Some(session)
    }

    /// Cancels an INVITE of ours: now where a provisional response has come, else as soon as one comes (RFC 3261 §9.1).
    pub fn cancel(&mut self, now: Time, id: TransactionId, reason: Option<&str>) {
        let Some(entry) = self.clients.get_mut(&id) else { return };
        let ClientMachine::Invite(machine) = &entry.machine else { return };
        match machine.state() {
            invite_client::State::Calling => entry.cancel_wanted = Some(reason.map(str::to_owned)),
            invite_client::State::Proceeding if entry.give_up.is_none() => self.send_cancel(now, id, reason),
            _ => {}
        }
    }

    fn send_cancel(&mut self, now: Time, id: TransactionId, reason: Option<&str>) {
        let give_up = now + self.timers.timeout();
        let Some(entry) = self.clients.get_mut(&id) else { return };
        entry.give_up = Some(give_up);
        let (destination, session) = (entry.destination, entry.session);
        let cancel = derived::cancel(&entry.request, reason).ok().and_then(|bytes| Message::parse(bytes).ok());
        self.settle_client(id);
        if let Some(cancel) = cancel {
            // A full table only means that the far side rings on until the INVITE is given up.
            let _ = self.request(now, cancel, destination, session);
        }
    }

    // -- server ------------------------------------------------------------------------------------------------------

    /// Where does this request belong? Repetitions are answered here.
    pub fn match_request(&mut self, now: Time, request: &Message) -> ServerMatch {
        let is_ack = request.method() == Some(Method::Ack);
        let live = ServerKey::of(request).and_then(|key| self.server_keys.get(&key).copied());
        let Some(id) = live else {
            let merged = MergeKey::of(request).is_some_and(|key| self.merge_keys.contains_key(&key));
            return match (is_ack, merged) {
                (true, _) => ServerMatch::DialogAck,
                (false, true) if request.method() != Some(Method::Cancel) => ServerMatch::Merged,
                (false, _) => ServerMatch::New,
            };
        };
        let Some(entry) = self.servers.get_mut(&id) else { return ServerMatch::New };
        let received = match &mut entry.machine {
            ServerMachine::Invite(machine) if is_ack => machine.handle_ack(now),
            ServerMachine::Invite(machine) => machine.handle_repeat(),
            ServerMachine::Other(machine) => machine.handle_repeat(),
        };
        let session = entry.session;
        if received == Received::Repeat
            && let Some(bytes) = entry.response.clone()
        {
            self.transmits.push_back(Transmit { destination: entry.destination, bytes, session });
        }
        self.settle_server(id);
        if received == Received::Up { ServerMatch::DialogAck } else { ServerMatch::Absorbed(session) }
    }

    /// Follows a request that [`ServerMatch::New`] was said of. Not for ACK.
    pub fn accept(&mut self, source: Source, request: Message) -> Result<TransactionId, Full> {
        if self.servers.len() >= TRANSACTIONS {
            return Err(Full);
        }
        let key = ServerKey::of(&request).ok_or(Full)?;
        let merge_key = MergeKey::of(&request);
        let reliable = source.transport.is_reliable();
        let machine = match request.method() {
            Some(Method::Invite) => ServerMachine::Invite(InviteServer::start(self.timers, reliable)),
            _ => ServerMachine::Other(Server::start(self.timers, reliable)),
        };
        let id = self.fresh_id();
        self.server_keys.insert(key.clone(), id);
        if let Some(key) = &merge_key {
            self.merge_keys.entry(key.clone()).or_insert(id);
        }
        let destination = reply_destination(&request, source);
        let entry = ServerEntry {
            key,
            merge_key,
            machine,
            request,
            source,
            destination,
            response: None,
            session: None,
            scheduled: None,
        };
        self.servers.insert(id, entry);
        Ok(id)
    }

    /// The live INVITE that a CANCEL means.
    pub fn cancelled(&self, cancel: &Message) -> Option<TransactionId> {
        self.server_keys.get(&ServerKey::of_cancelled(cancel)?).copied()
    }

    /// The request of a server transaction, and where it came from.
    pub fn received(&self, id: TransactionId) -> Option<(&Message, Source)> {
        self.servers.get(&id).map(|entry| (&entry.request, entry.source))
    }

    /// Which session a server transaction belongs to, so that what it repeats is shown in the right ladder.
    pub fn belongs_to(&mut self, id: TransactionId, session: SessionId) {
        if let Some(entry) = self.servers.get_mut(&id) {
            entry.session = Some(session);
        }
    }

    pub fn session_of(&self, id: TransactionId) -> Option<SessionId> {
        self.servers.get(&id).and_then(|entry| entry.session)
    }

    /// Sends a response. False where the transaction is gone or has answered already.
    pub fn respond(&mut self, now: Time, id: TransactionId, status: u16, bytes: Bytes) -> bool {
        let Some(entry) = self.servers.get_mut(&id) else { return false };
        let may_send = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.send(now, status),
            ServerMachine::Other(machine) => machine.send(now, status),
        };
        if may_send {
            entry.response = Some(bytes.clone());
            self.transmits.push_back(Transmit { destination: entry.destination, bytes, session: entry.session });
        }
        self.settle_server(id);
        may_send
    }

    /// Sends outside any transaction: an ACK to a 2xx, a stateless refusal.
    pub fn send(&mut self, destination: Destination, bytes: Bytes, session: Option<SessionId>) {
        self.transmits.push_back(Transmit { destination, bytes, session });
    }

    // -- transport ---------------------------------------------------------------------------------------------------

    /// A connection closed: our requests on it fail where the RFC says so, our responses take a new connection (RFC 3261 §18.2.2).
    pub fn handle_flow_closed(&mut self, flow: FlowId) {
        let ours = |entry: &ClientEntry| entry.destination.connection() == Some(flow);
        let failed: Vec<TransactionId> = self.clients.iter().filter(|(_, e)| ours(e)).map(|(id, _)| *id).collect();
        failed.into_iter().for_each(|id| self.fail_client(id));
        for entry in self.servers.values_mut().filter(|entry| entry.destination.connection() == Some(flow)) {
            let remote = sent_by_address(&entry.request, entry.source);
            entry.destination = Destination::Connect { transport: entry.source.transport, remote };
        }
    }

    /// A destination cannot be reached.
    pub fn handle_unreachable(&mut self, destination: Destination) {
        let failed: Vec<TransactionId> =
            self.clients.iter().filter(|(_, e)| e.destination == destination).map(|(id, _)| *id).collect();
        failed.into_iter().for_each(|id| self.fail_client(id));
    }

    fn fail_client(&mut self, id: TransactionId) {
        let Some(entry) = self.clients.get_mut(&id) else { return };
        let tell = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.handle_transport_error(),
            ClientMachine::Other(machine) => machine.handle_transport_error(),
        };
        if tell {
            self.events.push_back(ClientEvent { transaction: id, what: What::Unreachable });
        }
        self.settle_client(id);
    }

    // -- time --------------------------------------------------------------------------------------------------------

    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.fire(now, id);
        }
    }

    fn fire(&mut self, now: Time, id: TransactionId) {
        if let Some(entry) = self.clients.get_mut(&id) {
            let fired = entry.handle_timeout(now);
            match fired {
                Fired::Retransmit => {
                    let bytes = entry.request.bytes().clone();
                    let (destination, session) = (entry.destination, entry.session);
                    self.transmits.push_back(Transmit { destination, bytes, session });
                }
                Fired::TimedOut => self.events.push_back(ClientEvent { transaction: id, what: What::TimedOut }),
                Fired::Nothing => {}
            }
            self.settle_client(id);
        } else if let Some(entry) = self.servers.get_mut(&id) {
            let fired = match &mut entry.machine {
                ServerMachine::Invite(machine) => machine.handle_timeout(now),
                ServerMachine::Other(machine) => machine.handle_timeout(now),
            };
            if fired == Fired::Retransmit
                && let Some(bytes) = entry.response.clone()
            {
                self.transmits.push_back(Transmit { destination: entry.destination, bytes, session: entry.session });
            }
            self.settle_server(id);
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn fresh_id(&mut self) -> TransactionId {
        self.last_id += 1;
        TransactionId(self.last_id)
    }

    /// After each touch: the deadline index follows the machine, and a terminated one is forgotten.
    fn settle_client(&mut self, id: TransactionId) {
        let Some(entry) = self.clients.get_mut(&id) else { return };
        let next = entry.poll_timeout();
        reschedule(&mut self.deadlines, id, &mut entry.scheduled, next);
        if entry.is_terminated()
            && let Some(entry) = self.clients.remove(&id)
        {
            reschedule(&mut self.deadlines, id, &mut entry.scheduled.clone(), None);
            self.client_keys.remove(&entry.key);
            self.events.push_back(ClientEvent { transaction: id, what: What::Gone });
        }
    }

    fn settle_server(&mut self, id: TransactionId) {
        let Some(entry) = self.servers.get_mut(&id) else { return };
        let (next, terminated) = match &entry.machine {
            ServerMachine::Invite(m) => (m.poll_timeout(), m.state() == invite_server::State::Terminated),
            ServerMachine::Other(m) => (m.poll_timeout(), m.state() == server::State::Terminated),
        };
        reschedule(&mut self.deadlines, id, &mut entry.scheduled, next);
        if terminated && let Some(entry) = self.servers.remove(&id) {
            self.server_keys.remove(&entry.key);
            if let Some(key) = entry.merge_key
                && self.merge_keys.get(&key) == Some(&id)
            {
                self.merge_keys.remove(&key);
            }
        }
    }
}

impl ClientEntry {
    fn poll_timeout(&self) -> Option<Time> {
        let machine = match &self.machine {
            ClientMachine::Invite(machine) => machine.poll_timeout(),
            ClientMachine::Other(machine) => machine.poll_timeout(),
        };
        [machine, self.give_up].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Time) -> Fired {
        match &mut self.machine {
            ClientMachine::Invite(machine) if self.give_up.is_some_and(|at| at <= now) => {
                self.give_up = None;
                machine.abandon();
                Fired::TimedOut
            }
            ClientMachine::Invite(machine) => machine.handle_timeout(now),
            ClientMachine::Other(machine) => machine.handle_timeout(now),
        }
    }

    fn is_terminated(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite(machine) => machine.state() == invite_client::State::Terminated,
            ClientMachine::Other(machine) => machine.state() == client::State::Terminated,
        }
    }
}

fn reschedule(
    deadlines: &mut BTreeSet<(Time, TransactionId)>,
    id: TransactionId,
    scheduled: &mut Option<Time>,
    next: Option<Time>,
) {
    if *scheduled == next {
        return;
    }
    if let Some(at) = *scheduled {
        deadlines.remove(&(at, id));
    }
    if let Some(at) = next {
        deadlines.insert((at, id));
    }
    *scheduled = next;
}

/// Where responses go: back over the connection, or over the same UDP socket as RFC 3581 says.
pub fn reply_destination(request: &Message, source: Source) -> Destination {
    match source.transport.is_reliable() {
        true => source.back(),
        false => Destination::Flow {
            flow: source.flow,
            transport: source.transport,
            remote: reply_address(request, source.remote),
        },
    }
}

/// Where a new connection for a response goes: the address it came from, the port its Via names (RFC 3261 §18.2.2).
fn sent_by_address(request: &Message, source: Source) -> std::net::SocketAddr {
    let port = request.via().ok().and_then(|via| via.port()).unwrap_or(source.transport.default_port());
    std::net::SocketAddr::new(source.remote.ip(), port)
}

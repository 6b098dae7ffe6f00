//! Several user agents in virtual time on a network that loses, repeats and delays: what the wire and the switch would see.

mod calls;
mod door;
mod forks;
mod loss;
mod phone;
mod registration;
mod renegotiation;
mod torture;
mod transfer;
mod transport;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use super::digest::Algorithm;
use super::endpoint::{Endpoint, Expires, Settings};
use super::event::{Invitation, SessionId, UaEvent};
use super::flow::{Destination, FlowId, Listener, Source, Transmit, Transport};
use super::framing::{Datagram, datagram};
use super::header::Name;
use super::invite::{Invite, Party, Target};
use super::transaction::timer::Timers;
use super::{Message, Method};
use crate::codec::Codec;
use crate::ids::SecretSource;
use crate::sdp::{AudioSession, Direction, LocalMedia, SessionDescription};
use crate::time::Time;

/// The network and everybody on it.
pub struct World {
    pub now: Time,
    pub agents: Vec<Agent>,
    wire: BTreeMap<(Time, u64), Packet>,
    sent: u64,
    /// Packets that get lost, by their number on the wire from 0.
    pub lose: BTreeSet<u64>,
    /// Loses by content; asked for each packet.
    pub loses: fn(&Message) -> bool,
    /// Packets that arrive twice.
    pub repeat: BTreeSet<u64>,
    /// Milliseconds that packets take, by number; 10 where nothing is said.
    pub delays: BTreeMap<u64, u64>,
    connections: Vec<Connection>,
    /// Addresses that refuse connections.
    pub refuses: BTreeSet<SocketAddr>,
    last_flow: u64,
    /// One line per packet: `1→2 INVITE`, `2→1 200 INVITE`, `×` where it was lost.
    pub ladder: Vec<String>,
    /// Each packet as it was sent, lost ones included.
    pub packets: Vec<(Source, Message)>,
}

/// One user agent and what it has told.
pub struct Agent {
    pub address: SocketAddr,
    pub endpoint: Endpoint,
    pub events: VecDeque<UaEvent>,
    pub audio: AudioSession,
}

struct Packet {
    to: usize,
    source: Source,
    bytes: Bytes,
}

struct Connection {
    ends: [(usize, FlowId, SocketAddr); 2],
}

pub const START: Time = Time::from_secs(1_000_000);

impl World {
    /// So many agents on 127.0.0.1, 127.0.0.2 …, each with UDP and TCP on port 5060.
    pub fn new(agents: u8) -> Self {
        let agents = (1..=agents).map(Agent::new).collect();
        Self {
            now: START,
            agents,
            wire: BTreeMap::new(),
            sent: 0,
            lose: BTreeSet::new(),
            loses: |_| false,
            repeat: BTreeSet::new(),
            delays: BTreeMap::new(),
            connections: Vec::new(),
            refuses: BTreeSet::new(),
            last_flow: 1_000,
            ladder: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// Runs until nothing is left to happen before `span` is over. `react` sees each event first and may order.
    pub fn run_with(&mut self, span: Duration, mut react: impl FnMut(&mut Agent, usize, Time, &UaEvent)) {
        let until = self.now + span;
        loop {
            self.drain(&mut react);
            let wire = self.wire.keys().next().map(|(at, _)| *at);
            let timers = self.agents.iter().filter_map(|agent| agent.endpoint.poll_timeout());
            let Some(next) = timers.chain(wire).min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            self.deliver();
            for agent in &mut self.agents {
                if agent.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
                    agent.endpoint.handle_timeout(self.now);
                }
            }
        }
        self.now = until;
    }

    pub fn run(&mut self, span: Duration) {
        self.run_with(span, |_, _, _, _| {});
    }

    /// One second: enough for anything that waits for nobody.
    pub fn settle(&mut self) {
        self.run(Duration::from_secs(1));
    }

    fn drain(&mut self, react: &mut impl FnMut(&mut Agent, usize, Time, &UaEvent)) {
        let mut moved = true;
        while moved {
            moved = false;
            for at in 0..self.agents.len() {
                while let Some(transmit) = self.agents[at].endpoint.poll_transmit() {
                    moved = true;
                    self.send(at, transmit);
                }
                while let Some(event) = self.agents[at].endpoint.poll_event() {
                    moved = true;
                    let now = self.now;
                    react(&mut self.agents[at], at, now, &event);
                    self.agents[at].events.push_back(event);
                }
            }
        }
    }

    fn send(&mut self, from: usize, transmit: Transmit) {
        let Some((to, source)) = self.route(from, transmit.destination) else {
            let now = self.now;
            return self.agents[from].endpoint.handle_unreachable(now, transmit.destination);
        };
        let number = self.sent;
        self.sent += 1;
        let Datagram::Message(message) = datagram(transmit.bytes.clone()) else { panic!("we send messages") };
        assert!(message.faults().is_empty(), "what we send is without fault: {message:?}");
        let lost = self.lose.contains(&number) || (self.loses)(&message);
        let what = match message.status() {
            Some(status) => format!("{status} {}", message.cseq().unwrap().method_text),
            None => message.method_text().to_owned(),
        };
        let mark = if lost { " ×" } else { "" };
        self.ladder.push(format!("{}→{} {what}{mark}", from + 1, to + 1));
        self.packets.push((source, message));
        let delay = Duration::from_millis(self.delays.get(&number).copied().unwrap_or(10));
        let copies = match (lost, self.repeat.contains(&number)) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        for copy in 0..copies {
            let key = (self.now + delay * (copy + 1), number * 2 + u64::from(copy));
            self.wire.insert(key, Packet { to, source, bytes: transmit.bytes.clone() });
        }
    }

    /// Who gets it, and how it looks there.
    fn route(&mut self, from: usize, destination: Destination) -> Option<(usize, Source)> {
        let local = self.agents[from].address;
        let by_address = |agents: &[Agent], address| agents.iter().position(|agent| agent.address == address);
        match destination {
            Destination::Flow { transport: Transport::Udp, remote, .. } => {
                let to = by_address(&self.agents, remote)?;
                Some((to, Source { flow: FlowId(1), transport: Transport::Udp, local: remote, remote: local }))
            }
            Destination::Flow { flow, .. } => {
                let open = |c: &&Connection| c.ends.iter().any(|(agent, id, _)| *agent == from && *id == flow);
                let connection = self.connections.iter().find(open)?;
                let [mine, theirs] = match connection.ends[0].1 == flow {
                    true => [connection.ends[0], connection.ends[1]],
                    false => [connection.ends[1], connection.ends[0]],
                };
                Some((theirs.0, stream(theirs, mine)))
            }
            Destination::Connect { remote, .. } => {
                let to = by_address(&self.agents, remote).filter(|_| !self.refuses.contains(&remote))?;
                let open = |c: &&Connection| c.ends[0].0 == from && c.ends[1].2 == remote;
                if let Some(connection) = self.connections.iter().find(open) {
                    return Some((to, stream(connection.ends[1], connection.ends[0])));
                }
                self.last_flow += 2;
                let ephemeral = SocketAddr::new(local.ip(), 40_000 + self.last_flow as u16);
                let ends = [(from, FlowId(self.last_flow), ephemeral), (to, FlowId(self.last_flow + 1), remote)];
                self.connections.push(Connection { ends });
                Some((to, stream(ends[1], ends[0])))
            }
        }
    }

    /// Closes every connection; both ends hear of it.
    pub fn close_connections(&mut self) {
        for connection in core::mem::take(&mut self.connections) {
            for (agent, flow, _) in connection.ends {
                self.agents[agent].endpoint.handle_flow_closed(self.now, flow);
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let packet = entry.remove();
            self.inject(packet.to, packet.source, packet.bytes);
        }
    }

    /// Bytes arrive at an agent.
    pub fn inject(&mut self, to: usize, source: Source, bytes: Bytes) {
        if let Datagram::Message(message) = datagram(bytes) {
            self.agents[to].endpoint.handle_message(self.now, source, message);
        }
    }

    /// A text arrives at the first agent by UDP from a stranger; the answers it gets.
    pub fn say(&mut self, text: &str) -> Vec<Message> {
        let before = self.sent_to_stranger().len();
        let source = stranger(self.agents[0].address);
        self.inject(0, source, Bytes::from(text.replace('\n', "\r\n")));
        let mut answers = Vec::new();
        while let Some(transmit) = self.agents[0].endpoint.poll_transmit() {
            answers.push(Message::parse(transmit.bytes).unwrap());
        }
        let agent = &mut self.agents[0];
        while let Some(event) = agent.endpoint.poll_event() {
            agent.events.push_back(event);
        }
        assert_eq!(before, 0);
        answers
    }

    fn sent_to_stranger(&self) -> Vec<&(Source, Message)> {
        self.packets.iter().filter(|(source, _)| source.local == STRANGER.parse().unwrap()).collect()
    }

    /// At the very end: no session, dialog or transaction lives anywhere.
    pub fn assert_quiet(&mut self) {
        self.run(Duration::from_secs(200));
        for (at, agent) in self.agents.iter().enumerate() {
            let ladder = self.ladder.join("\n");
            assert!(agent.endpoint.is_idle(), "agent {} still has {:?}\n{ladder}", at + 1, agent.endpoint.counts());
        }
    }

    /// The first event of an agent that is wanted; those before it are dropped.
    pub fn expect<T>(&mut self, at: usize, mut wanted: impl FnMut(&UaEvent) -> Option<T>) -> T {
        let mut passed = Vec::new();
        while let Some(event) = self.agents[at].events.pop_front() {
            if let Some(found) = wanted(&event) {
                return found;
            }
            passed.push(event);
        }
        panic!("agent {} told nothing of it, but {passed:#?}\n{}", at + 1, self.ladder.join("\n"));
    }

    pub fn expect_invited(&mut self, at: usize) -> Invitation {
        self.expect(at, |event| match event {
            UaEvent::Invited(invitation) => Some((**invitation).clone()),
            _ => None,
        })
    }

    /// How often a line stands in the ladder.
    pub fn count(&self, line: &str) -> usize {
        self.ladder.iter().filter(|seen| *seen == line).count()
    }

    /// The first agent calls the second, which answers: their sessions.
    pub fn connect(&mut self) -> (SessionId, SessionId) {
        let a = self.call(0, &[1]);
        self.settle();
        let b = self.expect_invited(1);
        self.answer(1, b.session, b.offer.as_ref().unwrap());
        self.settle();
        self.expect(0, |event| matches!(event, UaEvent::Answered { .. }).then_some(()));
        self.expect(1, |event| matches!(event, UaEvent::Acked { .. }).then_some(()));
        (a, b.session)
    }

    /// One agent calls others, all at once.
    pub fn call(&mut self, from: usize, to: &[usize]) -> SessionId {
        let targets = to.iter().map(|to| Target::uri(format!("sip:1@{}", self.agents[*to].address))).collect();
        let agent = &mut self.agents[from];
        let invite = agent.invite(targets);
        agent.endpoint.invite(self.now, invite).unwrap()
    }

    pub fn answer(&mut self, at: usize, session: SessionId, offer: &SessionDescription) {
        let now = self.now;
        let agent = &mut self.agents[at];
        let answer = agent.negotiate(offer);
        agent.endpoint.answer(now, session, &answer).unwrap();
    }
}

pub const STRANGER: &str = "127.0.0.99:5060";

/// A UDP source that is no agent.
pub fn stranger(local: SocketAddr) -> Source {
    Source { flow: FlowId(1), transport: Transport::Udp, local, remote: STRANGER.parse().unwrap() }
}

fn stream(to: (usize, FlowId, SocketAddr), from: (usize, FlowId, SocketAddr)) -> Source {
    Source { flow: to.1, transport: Transport::Tcp, local: to.2, remote: from.2 }
}

impl Agent {
    fn new(number: u8) -> Self {
        let address = SocketAddr::from(([127, 0, 0, number], 5060));
        let listener = |flow, transport| Listener::new(FlowId(flow), transport, address);
        let settings = Settings {
            domain: "example.com".into(),
            listeners: vec![listener(1, Transport::Udp), listener(2, Transport::Tcp)],
            local_networks: Vec::new(),
            product: "Strowger".into(),
            timers: Timers::default(),
            expires: Expires::default(),
            digest: vec![Algorithm::SHA_256, Algorithm::MD5],
        };
        Self {
            address,
            endpoint: Endpoint::new(settings, SecretSource::from_seed(number.into())),
            events: VecDeque::new(),
            audio: AudioSession::new(number.into(), &Codec::ALL),
        }
    }

    pub fn local(&self, direction: Direction) -> LocalMedia {
        LocalMedia { address: self.address.ip(), port: 20_000, direction }
    }

    pub fn offer(&mut self, direction: Direction) -> SessionDescription {
        let local = self.local(direction);
        self.audio.make_offer(local)
    }

    pub fn negotiate(&mut self, offer: &SessionDescription) -> SessionDescription {
        let local = self.local(Direction::SendRecv);
        self.audio.handle_offer(offer, local).unwrap().0
    }

    pub fn invite(&mut self, targets: Vec<Target>) -> Invite {
        Invite {
            targets,
            from: Party::new("Alice", "sip:alice@example.com"),
            to: Party::new("", "sip:1@example.com"),
            contact_user: "alice".into(),
            offer: self.offer(Direction::SendRecv),
            headers: Vec::new(),
            credentials: None,
            max_forwards: 70,
        }
    }
}

/// The packets of one method or response class, for assertions on their headers.
pub fn requests(world: &World, method: Method) -> Vec<&Message> {
    world.packets.iter().map(|(_, message)| message).filter(|message| message.method() == Some(method)).collect()
}

//! What the switch's effects come to: the ledger, the customers' system, the media plane, the wires; and faults.

use core::fmt::Write;
use core::time::Duration;
use std::sync::Arc;

use super::super::fault::Fault;
use super::super::ladder::Fate;
use super::super::net::BOUNCE;
use super::super::seed::{self, SWITCH};
use super::{Happening, World};
use crate::dialplan::facts::CustomerFacts;
use crate::dialplan::value::Value;
use crate::event::{CustomerCard, Event, Seq};
use crate::ids::CustomerId;
use crate::ivr::Compared;
use crate::sim::chance::{Spread, happens};
use crate::sip::endpoint::Hop;
use crate::sip::flow::{Destination, FlowId, Listener, Source, Transmit, Transport};
use crate::sip::framing::{Datagram, Frame, datagram};
use crate::switch::{Effect, EngineId, Input, Known, Query, Reply, RequestId, StoreHealth};
use crate::time::Time;

/// The ledger: what has been written, and until when the disk does not answer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    written: Seq,
    /// A group commit is under way.
    committing: bool,
    stuck_until: Time,
}

/// What a group commit takes.
const COMMIT: Spread = Spread::millis(2, 12);
/// What a lookup takes on a good day.
const LOOKUP: Spread = Spread::millis(5, 120);
/// How long the shell waits for the disk before it says that it is stalled.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The switch's sockets: UDP and TCP, IPv4 and IPv6.
pub(super) fn listeners() -> Vec<Listener> {
    let v6 = std::net::SocketAddr::new(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, 1).into(), SWITCH.port());
    let of = |flow, transport, local| Listener::new(FlowId(flow), transport, local);
    vec![
        of(1, Transport::Udp, SWITCH),
        of(2, Transport::Tcp, SWITCH),
        of(3, Transport::Udp, v6),
        of(4, Transport::Tcp, v6),
    ]
}

impl World<'_> {
    pub(super) fn on_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(transmit) => self.send(transmit),
            Effect::Media { engine, command } => {
                debug_assert!(engine.0 < 2, "the plan has two engines");
                self.media.handle_command(self.now, command);
            }
            Effect::Request { id, query, .. } => self.look_up(id, query),
            Effect::Emit(event) => self.on_event(&event),
            Effect::Answer { id, result } => self.on_answer(id, result),
            Effect::Trace { call, bytes, .. } => {
                if let Some(ladder) = &mut self.ladder {
                    ladder.belongs(call, &bytes);
                }
            }
            Effect::Drained => self.drained = true,
        }
    }

    fn on_event(&mut self, event: &Event) {
        self.oracle.handle_event(event);
        let text = serde_json::to_string(event).unwrap_or_default();
        self.trace.take(text.as_bytes());
        if self.ladder.is_some() {
            let shown: String =
                text.split_once("\"t\":").map_or(text.as_str(), |(_, fact)| fact).chars().take(200).collect();
            self.note(event.call, shown);
        }
        self.ledger.written = event.seq;
        if !self.ledger.committing {
            self.ledger.committing = true;
            let at = (self.now + COMMIT.draw(&mut self.dice)).max(self.ledger.stuck_until);
            self.at(at, Happening::Commit);
        }
        self.on_news(event);
    }

    pub(super) fn commit(&mut self) {
        if self.now < self.ledger.stuck_until {
            let at = self.ledger.stuck_until;
            return self.at(at, Happening::Commit);
        }
        self.ledger.committing = false;
        let written = self.ledger.written;
        self.oracle.handle_durable(written);
        self.tell(Input::Durable(written));
    }

    // -- lookups -----------------------------------------------------------------------------------------------------

    fn look_up(&mut self, request: RequestId, query: Query) {
        let reply = self.reply_to(&query);
        let resolves = matches!(query, Query::Resolve(_));
        if self.now < self.lookups_dead && !resolves {
            return;
        }
        let mut after = LOOKUP.draw(&mut self.dice);
        if self.now < self.lookups_late.0 {
            after += self.lookups_late.1;
        }
        self.after(after, Happening::Reply { request, reply });
    }

    fn reply_to(&mut self, query: &Query) -> Reply {
        if happens(&mut self.dice, 20) && !matches!(query, Query::Resolve(_)) {
            return Reply::Failed("the customer system said no".to_owned());
        }
        match query {
            Query::Customer { number } => Reply::Customer(known(number)),
            Query::Account { number } => {
                let exists = number.len().is_multiple_of(2);
                Reply::Customer(exists.then(|| known("+8613600000001")).flatten())
            }
            Query::Http(_) if happens(&mut self.dice, 100) => {
                Reply::Http { status: 500, body: serde_json::Value::Null }
            }
            Query::Http(_) => Reply::Http { status: 200, body: serde_json::json!({ "balance": "12.50" }) },
            Query::Credential { .. } => Reply::Compared(match self.dice.below(4) {
                0 => Compared::Wrong,
                1 => Compared::Locked,
                _ => Compared::Verified,
            }),
            Query::Resolve(resolve) => {
                let hop = |address| Hop { transport: resolve.transport.unwrap_or(Transport::Udp), address };
                Reply::Resolved(seed::resolve(&resolve.host).map(hop).into_iter().collect())
            }
        }
    }

    // -- media -------------------------------------------------------------------------------------------------------

    pub(super) fn wake_media(&mut self) {
        while let Some(wrong) = self.media.poll_wrong() {
            self.blame(None, format!("media: {wrong}"));
        }
        while let Some((at, hearing)) = self.media.poll_heard() {
            self.on_heard(at, hearing);
        }
        let Some(due) = self.media.poll_timeout() else { return };
        if self.media_due.is_none_or(|at| due < at) {
            self.media_due = Some(due);
            self.at(due, Happening::Media);
        }
    }

    pub(super) fn on_media_due(&mut self) {
        if self.media_due.is_some_and(|at| at > self.now) {
            return;
        }
        self.media_due = None;
        while let Some(event) = self.media.poll_event(self.now) {
            self.tell(Input::Media { engine: EngineId(0), event });
        }
        self.wake_media();
    }

    // -- wires -------------------------------------------------------------------------------------------------------

    fn send(&mut self, transmit: Transmit) {
        let mut head = String::new();
        // Writing to a String cannot fail.
        let _ = write!(head, "{} {:?}", self.now.as_micros(), transmit.destination);
        self.trace.take(head.as_bytes());
        self.trace.take(&transmit.bytes);
        self.oracle.handle_sent(&transmit.bytes);
        match transmit.destination {
            Destination::Flow { transport: Transport::Udp, remote, .. } => self.send_datagram(&transmit, remote),
            Destination::Flow { flow, .. } => self.send_stream(&transmit, flow),
            Destination::Connect { transport, remote } => self.send_connecting(&transmit, transport, remote),
        }
    }

    fn send_datagram(&mut self, transmit: &Transmit, remote: std::net::SocketAddr) {
        let party = self.by_address.get(&remote).copied();
        let Some(party) = party.filter(|at| self.now >= self.parties[*at].dark_until) else {
            // Where a router has forgotten, or a phone is dark, nobody hears. Some learn it by ICMP.
            let told = party.is_some_and(|at| self.parties[at].told);
            self.rung(party, &transmit.bytes, Fate::Nobody);
            if told {
                self.after(BOUNCE, Happening::Unreachable(transmit.destination));
            }
            return;
        };
        let arrivals = self.net.arrivals(self.now);
        self.rung(Some(party), &transmit.bytes, fate(arrivals.len()));
        for at in arrivals {
            self.at(at, Happening::ToParty { party, bytes: transmit.bytes.to_vec() });
        }
    }

    fn send_stream(&mut self, transmit: &Transmit, flow: FlowId) {
        let party = self.net.party_of(flow);
        let arrival = self.net.stream_arrival(self.now, flow, false);
        let Some((party, at)) = party.zip(arrival) else {
            self.rung(None, &transmit.bytes, Fate::Nobody);
            return self.after(BOUNCE, Happening::Unreachable(transmit.destination));
        };
        self.rung(Some(party), &transmit.bytes, Fate::Arrives);
        self.at(at, Happening::ToParty { party, bytes: transmit.bytes.to_vec() });
    }

    fn send_connecting(&mut self, transmit: &Transmit, transport: Transport, remote: std::net::SocketAddr) {
        let party = self.by_address.get(&remote).copied();
        let listens = |at: &usize| self.parties[*at].dialect.tcp && self.now >= self.parties[*at].dark_until;
        let Some(party) = party.filter(listens) else {
            self.rung(party, &transmit.bytes, Fate::Nobody);
            return self.after(BOUNCE, Happening::Unreachable(transmit.destination));
        };
        let flow = match self.parties[party].flow {
            Some(flow) => flow,
            None => self.open_flow(party, transport),
        };
        self.send_stream(transmit, flow);
    }

    /// A connection between a party and the switch, whoever began it.
    pub(super) fn open_flow(&mut self, party: usize, transport: Transport) -> FlowId {
        let (local, remote) = (self.parties[party].dialect.to_wire(SWITCH), self.parties[party].wire);
        let flow = self.net.connect(self.now, party, Source { flow: FlowId(0), transport, local, remote });
        self.parties[party].flow = Some(flow);
        flow
    }

    pub(super) fn on_datagram(&mut self, source: Source, bytes: Vec<u8>) {
        if let Datagram::Message(message) = datagram(bytes.into()) {
            self.tell(Input::Sip { source, message });
        }
    }

    pub(super) fn on_bytes(&mut self, flow: FlowId, bytes: &[u8]) {
        for (source, frame) in self.net.read(flow, bytes) {
            match frame {
                Frame::Message(message) => self.tell(Input::Sip { source, message }),
                Frame::Ping => {}
                Frame::Broken(_) => self.blame(None, "the framer broke a stream of whole messages".to_owned()),
            }
        }
    }

    fn rung(&mut self, party: Option<usize>, bytes: &[u8], fate: Fate) {
        let name = party.map_or("?", |at| self.parties[at].name.as_str());
        if let Some(ladder) = &mut self.ladder {
            ladder.message(self.now, name, false, bytes, fate);
        }
    }

    // -- faults ------------------------------------------------------------------------------------------------------

    pub(super) fn befall(&mut self, fault: Fault) {
        self.headline(format!("FAULT: {fault:?}"));
        match fault {
            Fault::Reboot { phone, dark } => self.reboot(phone, dark),
            Fault::Rebind { phone } => self.rebind(phone),
            Fault::Dead { trunk, dark, told } => {
                let until = self.now + dark;
                if let Some(party) = self.parties.get_mut(usize::try_from(trunk).unwrap_or(usize::MAX)) {
                    (party.dark_until, party.told) = (until, told);
                }
            }
            Fault::DropFlows => self.drop_flows(),
            Fault::SlowLookups { by, lasts } => self.lookups_late = (self.now + lasts, by),
            Fault::DeadLookups { lasts } => self.lookups_dead = self.now + lasts,
            Fault::StoreStall { lasts } => {
                self.ledger.stuck_until = self.ledger.stuck_until.max(self.now + lasts);
                if lasts > WRITE_TIMEOUT {
                    self.after(WRITE_TIMEOUT, Happening::Store(StoreHealth::Stalled));
                    self.after(lasts, Happening::Store(StoreHealth::Well));
                }
            }
            Fault::StoreFull { lasts } => {
                self.after(Duration::ZERO, Happening::Store(StoreHealth::Full));
                self.after(lasts, Happening::Store(StoreHealth::Well));
            }
            Fault::Reload => {
                self.edition = (self.edition + 1) % self.centre.editions.len().max(1);
                if let Some(edition) = self.centre.editions.get(self.edition) {
                    self.tell(Input::Replan(edition.clone()));
                }
            }
            Fault::ClockStep { by_ms } => self.tell(Input::ClockStepped { by_ms }),
            Fault::LinkLost { agent, lasts } => {
                if let Some(agent) = self.names.get(usize::try_from(agent).unwrap_or(usize::MAX)).cloned() {
                    self.after(lasts, Happening::LinkUp(agent.clone()));
                    self.tell(Input::Link { agent, up: false });
                }
            }
        }
    }

    fn drop_flows(&mut self) {
        for (flow, party) in self.net.drop_all() {
            self.parties[party].flow = None;
            self.after(BOUNCE, Happening::FlowClosed(flow));
        }
    }
}

pub(super) const fn fate(copies: usize) -> Fate {
    match copies {
        0 => Fate::Lost,
        1 => Fate::Arrives,
        _ => Fate::Doubled,
    }
}

fn known(number: &str) -> Option<Box<Known>> {
    let (name, tier) = seed::customer(number)?;
    let digits: u128 = number.trim_start_matches('+').parse().unwrap_or(0);
    let card = CustomerCard {
        id: Some(CustomerId::from_u128(digits)),
        name: name.clone(),
        tier: tier.to_owned(),
        numbers: vec![number.to_owned()],
        ..CustomerCard::default()
    };
    let text = |text: &str| Value::Text(Arc::from(text));
    let fields = [("name", text(&name)), ("tier", text(tier)), ("number", text(number))];
    let facts = CustomerFacts { fields: fields.into_iter().map(|(field, value)| (Arc::from(field), value)).collect() };
    Some(Box::new(Known { card, facts }))
}

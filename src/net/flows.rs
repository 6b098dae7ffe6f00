//! Every connection that is open or being made: by id, by the address at its other end, and counted by source.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::outbox::Outbox;
use super::sources::Network;
use crate::limits::net::{CONNECTIONS, CONNECTIONS_PER_SOURCE};
use crate::sip::flow::{FlowId, Transport};

/// The table of connections. UDP sockets are not in it: they never close.
#[derive(Debug)]
pub(super) struct Flows {
    last: u64,
    open: HashMap<FlowId, Connection>,
    /// The latest connection to an address: what requests to it reuse.
    by_remote: HashMap<(Transport, SocketAddr), FlowId>,
    by_source: HashMap<Network, usize>,
    limits: (usize, usize),
    /// Held by every task, so that shutting down can wait for the last. `None` once shutting down.
    alive: Option<Alive>,
}

/// Held while a task runs.
pub(super) type Alive = mpsc::Sender<core::convert::Infallible>;

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub transport: Transport,
    pub remote: SocketAddr,
    pub outbox: Arc<Outbox>,
    /// Something was sent by naming the address: its end is told as a failure to that address too.
    pub addressed: bool,
}

/// A connection that has its place in the table.
pub(super) struct Admitted {
    pub flow: FlowId,
    pub outbox: Arc<Outbox>,
    pub alive: Alive,
}

impl Flows {
    /// `first`: ids up to here are the listeners'. `most`: connections at once.
    pub fn new(first: u64, alive: Alive, most: usize) -> Self {
        Self::with_limits(first, alive, (most.min(CONNECTIONS), CONNECTIONS_PER_SOURCE))
    }

    fn with_limits(first: u64, alive: Alive, limits: (usize, usize)) -> Self {
        let (open, by_remote, by_source) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { last: first, open, by_remote, by_source, limits, alive: Some(alive) }
    }

    /// Gives a new connection its place; `None` at a limit and while shutting down.
    pub fn admit(&mut self, transport: Transport, remote: SocketAddr, addressed: bool) -> Option<Admitted> {
        let alive = self.alive.clone()?;
        let (total, per_source) = self.limits;
        let source = Network::of(remote.ip());
        if self.open.len() >= total || self.by_source.get(&source).is_some_and(|count| *count >= per_source) {
            return None;
        }
        self.last += 1;
        let flow = FlowId(self.last);
        let outbox = Arc::new(Outbox::default());
        self.open.insert(flow, Connection { transport, remote, outbox: Arc::clone(&outbox), addressed });
        self.by_remote.insert((transport, remote), flow);
        *self.by_source.entry(source).or_default() += 1;
        Some(Admitted { flow, outbox, alive })
    }

    pub fn get(&self, flow: FlowId) -> Option<&Connection> {
        self.open.get(&flow)
    }

    /// The connection that a request to this address goes over, if there is one.
    pub fn at_address(&mut self, transport: Transport, remote: SocketAddr) -> Option<&mut Connection> {
        let flow = self.by_remote.get(&(transport, remote))?;
        self.open.get_mut(flow)
    }

    /// Takes a connection off the table; `None` where it is off already.
    pub fn remove(&mut self, flow: FlowId) -> Option<Connection> {
        let connection = self.open.remove(&flow)?;
        let key = (connection.transport, connection.remote);
        if self.by_remote.get(&key) == Some(&flow) {
            self.by_remote.remove(&key);
        }
        let source = Network::of(connection.remote.ip());
        if let Some(count) = self.by_source.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(connection)
    }

    /// Admits nothing any more and lets every connection write out what it has.
    pub fn close(&mut self) {
        self.alive = None;
        for connection in self.open.values() {
            connection.outbox.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(limits: (usize, usize)) -> Flows {
        Flows::with_limits(2, mpsc::channel(1).0, limits)
    }

    fn address(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    #[test]
    fn ids_are_never_used_again_and_never_those_of_listeners() {
        let mut flows = flows((10, 10));
        let first = flows.admit(Transport::Tcp, address(1, 1), false).unwrap().flow;
        assert_eq!(first, FlowId(3));
        flows.remove(first).unwrap();
        assert_eq!(flows.admit(Transport::Tcp, address(1, 1), false).unwrap().flow, FlowId(4));
    }

    #[test]
    fn connections_are_bounded_in_all_and_by_source() {
        let mut flows = flows((3, 2));
        let first = flows.admit(Transport::Tcp, address(1, 1), false).unwrap().flow;
        assert!(flows.admit(Transport::Tcp, address(1, 2), false).is_some());
        assert!(flows.admit(Transport::Tcp, address(1, 3), false).is_none(), "the source has two");
        assert!(flows.admit(Transport::Tcp, address(2, 1), false).is_some());
        assert!(flows.admit(Transport::Tcp, address(3, 1), false).is_none(), "there are three");
        flows.remove(first).unwrap();
        assert!(flows.admit(Transport::Tcp, address(1, 3), false).is_some());
    }

    #[test]
    fn an_address_leads_to_its_latest_connection_by_the_same_transport() {
        let mut flows = flows((10, 10));
        let old = flows.admit(Transport::Tcp, address(1, 5060), false).unwrap().flow;
        let new = flows.admit(Transport::Tcp, address(1, 5060), false).unwrap();
        flows.remove(old);
        let found = flows.at_address(Transport::Tcp, address(1, 5060)).unwrap();
        assert!(Arc::ptr_eq(&found.outbox, &new.outbox));
        assert!(flows.at_address(Transport::Tls, address(1, 5060)).is_none());
    }

    #[test]
    fn nothing_is_admitted_while_shutting_down() {
        let mut flows = flows((10, 10));
        flows.close();
        assert!(flows.admit(Transport::Tcp, address(1, 1), false).is_none());
    }

    #[test]
    fn the_house_holds_so_many_of_a_source_and_so_many_in_all() {
        let mut flows = Flows::new(2, mpsc::channel(1).0, usize::MAX);
        let ports = u16::try_from(CONNECTIONS_PER_SOURCE).unwrap();
        let hosts = u8::try_from(CONNECTIONS / CONNECTIONS_PER_SOURCE).unwrap();
        let mut admitted = |host, port| flows.admit(Transport::Tcp, address(host, port), false).is_some();
        assert!((1..=ports).all(|port| admitted(1, port)));
        assert!(!admitted(1, ports + 1), "the source has its share");
        assert!((2..=hosts).all(|host| (1..=ports).all(|port| admitted(host, port))));
        assert!(!admitted(hosts + 1, 1), "there is no more room");
    }
}

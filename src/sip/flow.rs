//! Flows: what the SIP core knows of sockets and connections. One contract for every transport.
//!
//! A UDP flow is a local socket; a stream flow (TCP, TLS, WebSocket) is one connection. The shell opens listeners
//! and connections, names each with a [`FlowId`], stamps what it reads with a [`Source`], and sends what
//! [`Transmit`] says. A flow that ends is reported once with its id; ids are never used again.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::SessionId;
use crate::network::Network;

/// What carries SIP messages (RFC 3261 §18, RFC 7118).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    /// Reliable transports need no retransmission, and their transactions linger for no time (RFC 3261 §17).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// The word in a Via header: `UDP`.
    pub const fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The value of a `transport` parameter in a URI: `udp`.
    pub const fn uri_token(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }

    /// Reads the word of a Via header or a `transport` parameter, in any case.
    pub fn from_token(token: &str) -> Option<Self> {
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss]
            .into_iter()
            .find(|transport| transport.uri_token().eq_ignore_ascii_case(token))
    }

    /// The port where none is written (RFC 3261 §19.1.2, RFC 7118 §8).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri_token())
    }
}

/// A local UDP socket, or one stream connection. Given by the shell, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowId(pub u64);

/// A socket we listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// For UDP the flow that every datagram of this socket belongs to. A stream listener has an id of its own,
    /// which no connection shares.
    pub flow: FlowId,
    pub transport: Transport,
    /// The bound address. A wildcard needs `public`, or nobody can answer us.
    pub local: SocketAddr,
    /// What Via and Contact say instead of `local`: the `public_address` of the configuration.
    pub public: Option<SocketAddr>,
    /// What is reached from its address, as the machine's interfaces and its route to everywhere say; empty: not known.
    pub networks: Vec<Network>,
}

impl Listener {
    pub fn new(flow: FlowId, transport: Transport, local: SocketAddr) -> Self {
        Self { flow, transport, local, public: None, networks: Vec::new() }
    }

    /// How well it faces a peer, greater is better: loopback loopback, then the longest network that the peer is in.
    /// `None` for a peer of the other family.
    fn faces(&self, peer: IpAddr) -> Option<(bool, Option<u8>)> {
        let own = self.local.ip();
        let longest = self.networks.iter().filter(|network| network.contains(peer)).map(Network::prefix_bits).max();
        (own.is_ipv4() == peer.is_ipv4()).then_some((own.is_loopback() == peer.is_loopback(), longest))
    }
}

/// The listener that faces a peer best; the first among equals, none where none is of its family.
pub fn facing<'l>(listeners: impl IntoIterator<Item = &'l Listener>, peer: IpAddr) -> Option<&'l Listener> {
    let ranked = listeners.into_iter().filter_map(|listener| Some((listener.faces(peer)?, listener)));
    ranked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, listener)| listener)
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    pub flow: FlowId,
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The far end, as the packet or the connection shows it.
    pub remote: SocketAddr,
}

impl Source {
    /// Where an answer over the same flow goes.
    pub const fn back(self) -> Destination {
        Destination::Flow { flow: self.flow, transport: self.transport, remote: self.remote }
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// Over this socket to `remote` (UDP), or over this connection (streams).
    Flow { flow: FlowId, transport: Transport, remote: SocketAddr },
    /// Over a connection to `remote`: the one that is open, or a new one. Streams only.
    Connect { transport: Transport, remote: SocketAddr },
}

impl Destination {
    pub const fn transport(self) -> Transport {
        match self {
            Destination::Flow { transport, .. } | Destination::Connect { transport, .. } => transport,
        }
    }

    pub const fn remote(self) -> SocketAddr {
        match self {
            Destination::Flow { remote, .. } | Destination::Connect { remote, .. } => remote,
        }
    }

    /// The connection it names; `None` for UDP sockets, which outlive every peer.
    pub const fn connection(self) -> Option<FlowId> {
        match self {
            Destination::Flow { flow, transport, .. } if transport.is_reliable() => Some(flow),
            _ => None,
        }
    }
}

/// One message to send: the shell writes `bytes` to `destination` and reports a failure, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub destination: Destination,
    pub bytes: Bytes,
    /// The session it belongs to, where it belongs to one: for the call's ladder.
    pub session: Option<SessionId>,
}

/// An address as it stands in a URI or a Via: `192.0.2.1:5060`, `[2001:db8::1]:5060`.
pub fn host_port(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
        IpAddr::V6(ip) => format!("[{ip}]:{}", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_read_back_from_their_tokens_in_any_case() {
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
            assert_eq!(Transport::from_token(transport.via_token()), Some(transport));
            assert_eq!(Transport::from_token(transport.uri_token()), Some(transport));
        }
        assert_eq!(Transport::from_token("sctp"), None);
    }

    #[test]
    fn a_peer_is_faced_by_its_network_else_by_the_route_to_everywhere_and_loopback_by_loopback() {
        let listener = |flow, local: &str, networks: &[&str]| Listener {
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            ..Listener::new(FlowId(flow), Transport::Udp, local.parse().unwrap())
        };
        let listeners = [
            listener(1, "127.0.0.1:5060", &["127.0.0.0/8"]),
            listener(2, "172.17.0.1:5060", &["172.17.0.0/16"]),
            listener(3, "192.168.1.10:5060", &["192.168.1.0/24", "0.0.0.0/0"]),
            listener(4, "10.8.0.2:5060", &["10.8.0.0/24"]),
            listener(5, "[2001:db8::1]:5060", &[]),
        ];
        let flow = |peer: &str| facing(&listeners, peer.parse().unwrap()).map(|listener| listener.flow.0);
        for (peer, expected) in [
            ("127.0.0.9", 1),
            ("172.17.0.5", 2),
            ("192.168.1.77", 3),
            ("192.168.1.10", 3),
            ("10.8.0.1", 4),
            ("203.0.113.5", 3),
            ("10.9.0.1", 3),
            ("2001:db8:ffff::9", 5),
        ] {
            assert_eq!(flow(peer), Some(expected), "{peer}");
        }
        let unknown = [listener(1, "127.0.0.1:5060", &[]), listener(2, "192.0.2.1:5060", &[])];
        assert_eq!(facing(&unknown, "203.0.113.5".parse().unwrap()).map(|l| l.flow.0), Some(2));
        assert_eq!(facing(&unknown[..1], "203.0.113.5".parse().unwrap()).map(|l| l.flow.0), Some(1), "all there is");
        assert_eq!(facing(&unknown, "2001:db8::1".parse().unwrap()), None);
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        assert_eq!(host_port("[2001:db8::9]:5070".parse().unwrap()), "[2001:db8::9]:5070");
        assert_eq!(host_port("192.0.2.1:5060".parse().unwrap()), "192.0.2.1:5060");
    }

    #[test]
    fn only_streams_have_a_connection_that_can_close() {
        let remote = "192.0.2.1:5060".parse().unwrap();
        let udp = Destination::Flow { flow: FlowId(1), transport: Transport::Udp, remote };
        let tcp = Destination::Flow { flow: FlowId(2), transport: Transport::Tcp, remote };
        assert_eq!(udp.connection(), None);
        assert_eq!(tcp.connection(), Some(FlowId(2)));
    }
}

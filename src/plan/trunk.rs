//! A trunk: a gateway or carrier that calls come from and go to.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::model::Seconds;
use crate::codec::Codec;
use crate::ids::TrunkName;
use crate::network::{Network, NotANetwork};
use crate::number::{Number, NumberFormat};

/// `[trunk.NAME]`. With `match` it is known by its address; with `register` we log in to it; both may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trunk {
    pub name: TrunkName,
    /// Where its requests come from; the most specific match of all trunks decides whose call it is.
    #[serde(rename = "match")]
    pub peers: Vec<Peer>,
    /// Where calls go, by name or address. `None`: this trunk only calls us.
    pub host: Option<Host>,
    /// Default `udp`.
    pub transport: Transport,
    /// Present where we register to it.
    pub registration: Option<Registration>,
    /// What we answer its digest challenges with.
    pub credentials: Option<Credentials>,
    /// The domain in our From towards it; default: the trunk's host.
    pub from_domain: Option<Arc<str>>,
    /// Health probe by OPTIONS; 0 turns it off. Default 30.
    pub options_interval_s: Seconds,
    /// Failed probes in a row that put it out of use; one good answer brings it back. Default 2.
    pub options_failures: u32,
    /// Calls at once, both ways. Default 100.
    pub max_calls: u32,
    /// New calls a second, both ways. Default 20.
    pub max_calls_per_second: u32,
    /// How numbers are written towards it. Default `e164`.
    pub number_format: NumberFormat,
    /// What called parties see where the route says nothing. Default `pass`.
    pub caller_id: CallerId,
    /// Whether its P-Asserted-Identity is believed (RFC 3325). Default true.
    pub trust_identity: bool,
    /// Default: the codecs of `[media]`.
    pub codecs: Vec<Codec>,
}

/// `register = true`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// Default: the trunk's host.
    pub registrar: Host,
    /// What we ask for; the registrar decides. Default 600.
    pub expires_s: Seconds,
}

/// A name and password for a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credentials {
    pub user: Arc<str>,
    pub password: Secret,
}

/// A text that never appears in logs, differences or the API.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// Sources of a trunk's requests: a network and, where given, one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    network: Network,
    port: Option<u16>,
}

/// A place to send to: a name or a literal address, and a port where one is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    pub name: HostName,
    /// Without it the name is looked up by RFC 3263; a literal address gets 5060.
    pub port: Option<u16>,
}

/// The two kinds of host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostName {
    Name(Arc<str>),
    Address(IpAddr),
}

/// A transport that trunks and listeners use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
}

/// What a called party sees of who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CallerId {
    /// The number of who calls, as the trunk writes numbers: the customer's on a call passed on. Of a phone of ours the
    /// extension, which `check` warns of.
    #[default]
    Pass,
    /// Nothing (RFC 3323 `Privacy: id`).
    Anonymous,
    /// This number.
    Number(Number),
}

/// Why a text is no peer or host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    #[error(transparent)]
    Network(#[from] NotANetwork),
    #[error("`{0}` is no port (1 to 65535)")]
    Port(String),
    #[error("`{0}` is no host name (letters, digits, `-` and `.`, at most 253)")]
    HostName(String),
}

impl Peer {
    /// Whether a request from `source` is this peer's.
    pub fn contains(&self, source: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == source.port()) && self.network.contains(source.ip())
    }

    /// How specific it is: bits of network, then whether a port is given. Greater wins.
    pub fn specificity(&self) -> (u8, bool) {
        (self.network.prefix_bits(), self.port.is_some())
    }

    /// Whether both can match one request and neither contains the other, or they are the same: then no rule
    /// could say whose request it is.
    pub fn clashes_with(&self, other: &Peer) -> bool {
        let same = self.network == other.network;
        let (narrow, wide) = if other.network.covers(&self.network) { (self, other) } else { (other, self) };
        if !wide.network.covers(&narrow.network) {
            return false;
        }
        match (narrow.port, wide.port) {
            _ if same => narrow.port == wide.port,
            (None, Some(_)) => true,
            (Some(_), None) | (None, None) => false,
            (Some(_), Some(_)) => false,
        }
    }

    /// Whether every request that `self` matches is matched by `other` too.
    pub fn is_within(&self, other: &Peer) -> bool {
        other.network.covers(&self.network) && (other.port.is_none() || other.port == self.port)
    }

    /// The two halves of the network; `None` for a single address.
    pub fn halves(&self) -> Option<[Peer; 2]> {
        Some(self.network.halves()?.map(|network| Peer { network, ..*self }))
    }
}

impl FromStr for Peer {
    type Err = NotAnAddress;
    /// `203.0.113.7`, `203.0.113.0/28`, `203.0.113.7:5070`, `203.0.113.0/28:5060`, `2001:db8::/32`, `[2001:db8::7]:5070`.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (network, port) = split_port(text)?;
        Ok(Self { network: network.parse()?, port })
    }
}

impl FromStr for Host {
    type Err = NotAnAddress;
    /// `sip.carrier.example`, `sip.carrier.example:5080`, `203.0.113.7`, `[2001:db8::7]:5060`, `2001:db8::7`.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (name, port) = split_port(text)?;
        if let Ok(address) = name.parse() {
            return Ok(Self { name: HostName::Address(address), port });
        }
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // A last label of digits only would be a misspelt address (RFC 1123 §2.1).
        let last_is_word = name.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
        if name.len() > 253 || !name.split('.').all(label) || !last_is_word {
            return Err(NotAnAddress::HostName(name.to_owned()));
        }
        Ok(Self { name: HostName::Name(Arc::from(name.to_ascii_lowercase())), port })
    }
}

/// Splits `host:port`; brackets around an IPv6 address come off; an IPv6 address without brackets has no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), NotAnAddress> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']').ok_or_else(|| NotANetwork::Address(text.to_owned()))?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(NotAnAddress::Port(rest.to_owned())),
        }
    } else if text.matches(':').count() == 1 {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    } else {
        (text, None)
    };
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|&n| n > 0).ok_or_else(|| NotAnAddress::Port(port.to_owned()))?),
    };
    Ok((host, port))
}

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text itself, for the digest that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Transport {
    pub fn word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.port) {
            (network, Some(port)) if network.is_ipv6() => write!(f, "[{network}]:{port}"),
            (network, Some(port)) => write!(f, "{network}:{port}"),
            (network, None) => write!(f, "{network}"),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostName::Name(name) => f.write_str(name),
            HostName::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            HostName::Address(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerId::Pass => f.write_str("pass"),
            CallerId::Anonymous => f.write_str("anonymous"),
            CallerId::Number(number) => write!(f, "{number}"),
        }
    }
}

macro_rules! serialize_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(Peer, Host, CallerId);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn a_peer_matches_its_network_and_port() {
        let source = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(peer("203.0.113.0/28").contains(source("203.0.113.15:9999")));
        assert!(!peer("203.0.113.0/28").contains(source("203.0.113.16:9999")));
        assert!(!peer("203.0.113.7:5060").contains(source("203.0.113.7:5061")));
        assert!(peer("2001:db8::/32").contains(source("[2001:db8:1::9]:5060")));
        assert!(peer("[2001:db8::7]:5070").contains(source("[2001:db8::7]:5070")));
        assert!(peer("0.0.0.0/0").contains(source("198.51.100.1:5060")));
        assert!(!peer("0.0.0.0/0").contains(source("[2001:db8::1]:5060")));
        // A dual-stack socket sees IPv4 peers as mapped addresses.
        assert!(peer("203.0.113.7").contains(source("[::ffff:203.0.113.7]:5060")));
    }

    #[test]
    fn misspelt_peers_say_why() {
        let why = |text: &str| text.parse::<Peer>().unwrap_err().to_string();
        assert_eq!(why("203.0.113.7/28"), "`203.0.113.7` has bits beyond /28; the network is 203.0.113.0/28");
        assert_eq!(why("203.0.113.0/33"), "`33` is no prefix length (0 to 32 for IPv4, 0 to 128 for IPv6)");
        assert_eq!(why("203.0.113.256"), "`203.0.113.256` is no IP address");
        assert_eq!(why("203.0.113.7:0"), "`0` is no port (1 to 65535)");
        assert_eq!(why("[2001:db8::1"), "`[2001:db8::1` is no IP address");
    }

    #[test]
    fn only_peers_without_an_order_clash() {
        assert!(peer("10.0.0.1").clashes_with(&peer("10.0.0.1")));
        assert!(!peer("10.0.0.1:5060").clashes_with(&peer("10.0.0.1")), "the port is more specific");
        assert!(!peer("10.0.0.0/8").clashes_with(&peer("10.1.0.0/16")), "the longer is more specific");
        assert!(peer("10.0.0.0/8:5060").clashes_with(&peer("10.1.0.0/16")), "neither contains the other");
        assert!(!peer("10.0.0.0/8").clashes_with(&peer("11.0.0.0/8")));
    }

    #[test]
    fn a_host_is_a_name_or_a_literal() {
        let host = |text: &str| text.parse::<Host>();
        assert_eq!(host("SIP.carrier.example:5080").unwrap().to_string(), "sip.carrier.example:5080");
        assert_eq!(host("[2001:db8::7]:5060").unwrap().to_string(), "[2001:db8::7]:5060");
        assert_eq!(host("2001:db8::7").unwrap().to_string(), "[2001:db8::7]");
        assert_eq!(host("203.0.113.7").unwrap().port, None);
        for wrong in ["", "a..b", "-a.example", "sip carrier", "203.0.113.999", "a.example:x", "sip:a.example:5060"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_shows_nowhere() {
        let credentials = Credentials { user: Arc::from("u"), password: Secret::new("hunter2") };
        assert!(!format!("{credentials:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&credentials).unwrap().contains("hunter2"));
        assert_eq!(credentials.password.reveal(), "hunter2");
    }
}

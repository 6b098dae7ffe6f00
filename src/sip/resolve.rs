//! From a URI to addresses (RFC 3263): what needs no look-up is answered here, host names go out as [`Resolve`].

use std::net::SocketAddr;

use super::flow::Transport;
use super::uri::{Scheme, Uri};

/// A host name to look up. Answer with `Endpoint::handle_resolved`, with nothing where it leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    pub id: ResolveId,
    pub host: String,
    /// Given: no SRV look-up, only addresses (§4.2).
    pub port: Option<u16>,
    /// Given: no NAPTR look-up (§4.1).
    pub transport: Option<Transport>,
    /// A sips URI: only secured transports.
    pub secure: bool,
}

/// One look-up. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResolveId(pub u64);

/// One place where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// What a next-hop URI asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// An address. `chosen`: the URI names the transport, so its size changes nothing.
    Hop { hop: Hop, chosen: bool },
    /// A name, with `id` still to be given.
    Name(Resolve),
    /// Not a SIP URI, a transport we don't know, or UDP for sips.
    Nowhere,
}

/// Reads a next-hop URI (RFC 3263 §4.1–4.2).
pub fn locate(uri: &str) -> Located {
    let Ok(uri) = Uri::parse(uri) else { return Located::Nowhere };
    let secure = match uri.scheme() {
        Scheme::Sip => false,
        Scheme::Sips => true,
        _ => return Located::Nowhere,
    };
    let asked = uri.params().get("transport");
    let transport = match asked.map(Transport::from_token) {
        Some(None) => return Located::Nowhere,
        Some(Some(Transport::Udp)) if secure => return Located::Nowhere,
        // RFC 3261 §26.2.2: a sips URI with transport=tcp means TLS over it.
        Some(Some(Transport::Tcp)) if secure => Some(Transport::Tls),
        Some(known) => known,
        None => None,
    };
    let Some(ip) = uri.host().ip() else {
        let host = uri.host().as_str().to_owned();
        return Located::Name(Resolve { id: ResolveId(0), host, port: uri.port(), transport, secure });
    };
    let default = if secure { Transport::Tls } else { Transport::Udp };
    let chosen = transport.is_some() || secure;
    let transport = transport.unwrap_or(default);
    let address = SocketAddr::new(ip, uri.port().unwrap_or(transport.default_port()));
    Located::Hop { hop: Hop { transport, address }, chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(uri: &str) -> Option<(Transport, String, bool)> {
        match locate(uri) {
            Located::Hop { hop, chosen } => Some((hop.transport, hop.address.to_string(), chosen)),
            _ => None,
        }
    }

    #[test]
    fn addresses_need_no_look_up() {
        assert_eq!(hop("sip:b@192.0.2.1"), Some((Transport::Udp, "192.0.2.1:5060".into(), false)));
        assert_eq!(hop("sip:b@192.0.2.1:5080;transport=TCP"), Some((Transport::Tcp, "192.0.2.1:5080".into(), true)));
        assert_eq!(hop("sip:[2001:db8::1]"), Some((Transport::Udp, "[2001:db8::1]:5060".into(), false)));
        assert_eq!(hop("sips:b@192.0.2.1"), Some((Transport::Tls, "192.0.2.1:5061".into(), true)));
    }

    #[test]
    fn names_go_to_the_resolver_with_what_the_uri_fixes() {
        let Located::Name(resolve) = locate("sip:b@trunk.example:5070;transport=udp") else { panic!("a name") };
        assert_eq!(
            (resolve.host.as_str(), resolve.port, resolve.transport),
            ("trunk.example", Some(5070), Some(Transport::Udp))
        );
    }

    #[test]
    fn what_no_socket_reaches_leads_nowhere() {
        for uri in ["tel:+8610", "sip:b@192.0.2.1;transport=sctp", "sips:b@192.0.2.1;transport=udp", "nonsense"] {
            assert_eq!(locate(uri), Located::Nowhere, "{uri}");
        }
    }
}

//! Host names to addresses, by the system's resolver: files, DNS, whatever the machine is set up with.

use core::time::Duration;
use std::net::SocketAddr;

use crate::limits::net::{RESOLVE_TIME, RESOLVED_ADDRESSES};
use crate::sip::flow::Transport;
use crate::sip::resolve::{Hop, Resolve};

/// Why a name led nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    #[error("{host} has no address: {source}")]
    NoAddress { host: String, source: std::io::Error },
    #[error("no answer for {host} within {} s", RESOLVE_TIME.as_secs())]
    Timeout { host: String },
}

/// The places where a name leads, in the resolver's order, at most [`RESOLVED_ADDRESSES`].
///
/// Without a port in the URI its transport's default port is meant (RFC 3263 §4.2 without SRV); without a transport UDP,
/// or TLS where the URI is secure (§4.1).
pub async fn resolve(name: &Resolve) -> Result<Vec<Hop>, Unresolved> {
    let transport = transport_of(name);
    let port = name.port.unwrap_or(transport.default_port());
    let answer = tokio::net::lookup_host((&*name.host, port));
    let addresses = heard(&name.host, answer, RESOLVE_TIME).await?;
    Ok(hops_of(transport, addresses))
}

/// Each address once, the first few.
fn hops_of(transport: Transport, addresses: Vec<SocketAddr>) -> Vec<Hop> {
    let mut hops: Vec<Hop> = Vec::new();
    for address in addresses {
        let hop = Hop { transport, address };
        if hops.len() < RESOLVED_ADDRESSES && !hops.contains(&hop) {
            hops.push(hop);
        }
    }
    hops
}

fn transport_of(name: &Resolve) -> Transport {
    match name.transport {
        Some(transport) => transport,
        None if name.secure => Transport::Tls,
        None => Transport::Udp,
    }
}

/// What the system's resolver says of a host, if it says anything in time.
async fn heard<I: Iterator<Item = SocketAddr>>(
    host: &str,
    answer: impl Future<Output = std::io::Result<I>>,
    patience: Duration,
) -> Result<Vec<SocketAddr>, Unresolved> {
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(source)) => Err(Unresolved::NoAddress { host: host.to_owned(), source }),
        Err(_) => Err(Unresolved::Timeout { host: host.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::resolve::{Located, locate};

    fn name(uri: &str) -> Resolve {
        match locate(uri) {
            Located::Name(resolve) => resolve,
            other => panic!("{uri} is a name: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_name_leads_to_its_addresses_at_the_port_the_transport_wants() {
        let hops = resolve(&name("sip:b@localhost;transport=tcp")).await.unwrap();
        assert!(!hops.is_empty());
        assert!(hops.iter().all(|hop| hop.transport == Transport::Tcp && hop.address.port() == 5060), "{hops:?}");
        assert!(hops.iter().all(|hop| hop.address.ip().is_loopback()), "{hops:?}");
    }

    #[tokio::test]
    async fn a_port_in_the_uri_wins_and_a_secure_uri_means_tls() {
        assert_eq!(resolve(&name("sip:b@localhost:5080")).await.unwrap()[0].address.port(), 5080);
        let hop = resolve(&name("sips:b@localhost")).await.unwrap()[0];
        assert_eq!((hop.transport, hop.address.port()), (Transport::Tls, 5061));
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_is_told_with_its_name() {
        // RFC 6761 §6.4: `.invalid` never resolves.
        let failed = resolve(&name("sip:b@nowhere.invalid")).await.unwrap_err();
        assert!(failed.to_string().contains("nowhere.invalid"), "{failed}");
    }

    #[test]
    fn of_a_name_with_very_many_addresses_the_first_few_are_taken() {
        let address = |n: usize| SocketAddr::from(([192, 0, 2, u8::try_from(n / 2).unwrap()], 5060));
        // The resolver names each twice, once a socket type.
        let hops = hops_of(Transport::Udp, (0..4 * RESOLVED_ADDRESSES).map(address).collect());
        assert_eq!(hops.len(), RESOLVED_ADDRESSES);
        assert_eq!(hops.last().unwrap().address, address(2 * RESOLVED_ADDRESSES - 1));
    }

    #[tokio::test]
    async fn a_resolver_that_is_silent_is_given_up_before_the_call_is() {
        let silence = core::future::pending::<std::io::Result<core::iter::Empty<SocketAddr>>>();
        let failed = heard("localhost", silence, Duration::ZERO).await.unwrap_err();
        let words = format!("no answer for localhost within {} s", RESOLVE_TIME.as_secs());
        assert_eq!(failed.to_string(), words);
        assert!(RESOLVE_TIME < crate::limits::ua::RESOLVE_TIME, "who asked hears why, not only that nothing came");
    }
}

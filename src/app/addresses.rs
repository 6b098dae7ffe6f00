//! Wildcards made concrete: a socket on `0.0.0.0` cannot say in a Contact where it is, one on each address can; and what
//! each of them reaches, so that a peer is met from the address that faces it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::Context;
use if_addrs::{IfAddr, Interface};

use crate::net::Listen;
use crate::network::Network;
use crate::plan::Plan;
use crate::plan::trunk::Transport as PlanTransport;
use crate::sip::flow::Transport;

/// The sockets that a plan's listeners come to, wildcards spread over the machine's addresses.
pub fn listens(plan: &Plan) -> anyhow::Result<Vec<Listen>> {
    let mut listens: Vec<Listen> = Vec::new();
    for listener in &plan.sip.listen {
        let transport = match listener.transport {
            PlanTransport::Udp => Transport::Udp,
            PlanTransport::Tcp => Transport::Tcp,
        };
        for ip in concrete(listener.address.ip())? {
            let address = SocketAddr::new(ip, listener.address.port());
            // Whoever is on this machine reaches us at its own address, not at the public one.
            let public = plan.public_address_like(ip).filter(|_| !ip.is_loopback());
            let public = public.map(|public| SocketAddr::new(public, listener.address.port()));
            if !listens.iter().any(|known| known.transport == transport && known.address == address) {
                listens.push(Listen { transport, address, public });
            }
        }
    }
    Ok(listens)
}

fn concrete(ip: IpAddr) -> anyhow::Result<Vec<IpAddr>> {
    if !ip.is_unspecified() {
        return Ok(vec![ip]);
    }
    let mut found: Vec<IpAddr> = interfaces()?
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|own| own.is_ipv4() == ip.is_ipv4() && !is_link_local(*own))
        .collect();
    found.sort();
    found.dedup();
    anyhow::ensure!(!found.is_empty(), "the machine has no address of the family of {ip}: name one in `sip.listen`");
    Ok(found)
}

/// What is reached from each address of this machine: the networks of its interfaces, and everything from the address
/// that the route to everywhere leaves by.
pub fn networks() -> anyhow::Result<BTreeMap<IpAddr, Vec<Network>>> {
    let mut networks: BTreeMap<IpAddr, Vec<Network>> = BTreeMap::new();
    for interface in interfaces()? {
        let prefix_bits = match &interface.addr {
            IfAddr::V4(address) => address.prefixlen,
            IfAddr::V6(address) => address.prefixlen,
        };
        networks.entry(interface.ip()).or_default().push(Network::of(interface.ip(), prefix_bits));
    }
    for outside in OUTSIDE {
        // Without such a route nothing outside is reached, whatever it leaves by.
        if let Ok(ours) = address_towards(outside) {
            networks.entry(ours).or_default().push(Network::of(outside, 0));
        }
    }
    Ok(networks)
}

/// Addresses that only the route to everywhere leads to (RFC 5737, RFC 3849).
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// The address that the kernel would send from. A datagram socket that is connected sends nothing yet.
fn address_towards(peer: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((peer, 5060))?;
    Ok(socket.local_addr()?.ip())
}

fn interfaces() -> anyhow::Result<Vec<Interface>> {
    if_addrs::get_if_addrs().context("the machine's addresses cannot be read")
}

/// Link-local addresses need a scope that no SIP message carries.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_spread_over_concrete_addresses_and_loopback_is_never_public() {
        let plan =
            Plan::from_toml("public_address = [\"203.0.113.9\"]\n[sip]\nlisten = [\"udp:0.0.0.0:5060\"]\n").unwrap();
        let listens = listens(&plan).unwrap();
        let loopback = listens.iter().find(|l| l.address.ip().is_loopback()).expect("every machine has 127.0.0.1");
        assert_eq!(loopback.public, None);
        assert!(listens.iter().all(|l| !l.address.ip().is_unspecified()));
        let others = listens.iter().filter(|l| !l.address.ip().is_loopback());
        assert!(others.into_iter().all(|l| l.public == Some("203.0.113.9:5060".parse().unwrap())));
    }

    #[test]
    fn the_networks_are_those_that_the_kernel_sends_to_from_each_address() {
        let networks = networks().unwrap();
        let loopback = networks.get(&IpAddr::from([127, 0, 0, 1])).expect("every machine has 127.0.0.1");
        assert!(loopback.contains(&"127.0.0.0/8".parse().unwrap()));
        assert!(networks.iter().all(|(own, reached)| reached[0].contains(*own)), "the interface's own comes first");
        for (own, reached) in &networks {
            let everywhere = reached.iter().filter(|network| network.prefix_bits() == 0).count();
            assert!(everywhere <= 1, "{own}: {reached:?}");
            assert!(everywhere == 0 || !own.is_loopback());
        }
    }
}

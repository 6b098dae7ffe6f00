//! Wildcards made concrete: a socket on `0.0.0.0` cannot say in a Contact where it is, one on each address can.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;

use crate::net::Listen;
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
            let public = plan.public_address_for(ip).filter(|_| !ip.is_loopback());
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
    let interfaces = if_addrs::get_if_addrs().context("the machine's addresses cannot be read")?;
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|own| own.is_ipv4() == ip.is_ipv4() && !is_link_local(*own))
        .collect();
    found.sort();
    found.dedup();
    anyhow::ensure!(!found.is_empty(), "the machine has no address of the family of {ip}: name one in `sip.listen`");
    Ok(found)
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
}

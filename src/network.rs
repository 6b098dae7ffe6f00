//! Networks: an address with the length of its prefix, and which of them are nobody's outside.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use serde::{Serialize, Serializer};

/// A network: all addresses that share the first bits of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// Its bits beyond the prefix are zero.
    address: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    #[error("`{0}` is no IP address")]
    Address(String),
    #[error("`{0}` is no prefix length (0 to 32 for IPv4, 0 to 128 for IPv6)")]
    Prefix(String),
    #[error("`{address}` has bits beyond /{}; the network is {network}", network.prefix_bits)]
    HostBits { address: IpAddr, network: Network },
}

/// What no one is reached at from elsewhere: private (RFC 1918, RFC 4193), shared (RFC 6598), link-local (RFC 3927,
/// RFC 4291 §2.5.6).
pub const PRIVATE: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"];
/// This machine itself.
pub const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

impl Network {
    /// The network of this prefix length that an address lies in; no length is greater than the address has bits.
    pub fn of(address: IpAddr, prefix_bits: u8) -> Self {
        let prefix_bits = prefix_bits.min(width(address));
        Self { address: masked(address, prefix_bits), prefix_bits }
    }

    /// Whether an address lies in it; an IPv4 address may be written as a mapped one.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix_bits) == self.address
    }

    /// Whether all of `other` lies in it.
    pub fn covers(&self, other: &Network) -> bool {
        self.prefix_bits <= other.prefix_bits && self.contains(other.address)
    }

    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// The two halves; `None` for a single address.
    pub fn halves(&self) -> Option<[Network; 2]> {
        if self.prefix_bits >= width(self.address) {
            return None;
        }
        let prefix_bits = self.prefix_bits + 1;
        let upper = match self.address {
            IpAddr::V4(a) => IpAddr::V4((u32::from(a) | 1 << (32 - prefix_bits)).into()),
            IpAddr::V6(a) => IpAddr::V6((u128::from(a) | 1 << (128 - u32::from(prefix_bits))).into()),
        };
        Some([Network { prefix_bits, ..*self }, Network { prefix_bits, address: upper }])
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` with all but its first `bits` cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(a) & mask).into())
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(a) & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;
    /// `203.0.113.7`, `203.0.113.0/28`, `2001:db8::/32`.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork::Address(address.to_owned()))?;
        let width = width(address);
        let prefix_bits = match bits {
            None => width,
            Some(bits) => {
                bits.parse().ok().filter(|&n: &u8| n <= width).ok_or_else(|| NotANetwork::Prefix(bits.to_owned()))?
            }
        };
        let network = Self::of(address, prefix_bits);
        if network.address != address {
            return Err(NotANetwork::HostBits { address, network });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        let holds =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(holds("172.16.0.0/12", "172.31.255.255") && !holds("172.16.0.0/12", "172.32.0.0"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("fc00::/7", "fdff::1") && !holds("fc00::/7", "fe00::1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"), "as a dual-stack socket sees it");
        let host: IpAddr = "192.168.7.9".parse().unwrap();
        assert_eq!(Network::of(host, 24).to_string(), "192.168.7.0/24");
        assert_eq!(Network::of(host, 99).to_string(), "192.168.7.9/32");
        assert_eq!(Network::of(host, 31).halves().map(|halves| halves[1]), Some(Network::of(host, 32)));
        assert_eq!(Network::of(host, 32).halves(), None);
    }

    #[test]
    fn the_lists_are_networks() {
        for text in PRIVATE.iter().chain(&LOOPBACK) {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), *text);
        }
    }
}

//! Who sends: strangers have a rate, peers that the switch has dealt with have none.
//!
//! A scanner that tries ten thousand passwords, and a phone that sends rubbish in a loop, cost a bounded number of parses
//! and no time of the switch. A peer becomes known by what we send it: any request, and a 101 to 299 to INVITE or REGISTER.
//! A challenge, a refusal and an answer to OPTIONS are what scanners get; they make nobody known.

use core::time::Duration;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use memchr::memmem;

use crate::limits::net::{SOURCES, UNKNOWN_RATE};

/// Rates and standing of every source. A port says nothing: behind one address sit many phones.
#[derive(Debug)]
pub(super) struct Sources {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    known: HashMap<Network, Bucket>,
    strangers: HashMap<Network, Bucket>,
    /// For strangers that found the table full.
    shared: Bucket,
    room: usize,
}

/// How a message behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    Proper,
    /// Unreadable, or faulty.
    Improper,
}

impl Sources {
    pub fn new(now: Instant) -> Self {
        Self::with_room(now, SOURCES)
    }

    fn with_room(now: Instant, room: usize) -> Self {
        let (known, strangers) = (HashMap::new(), HashMap::new());
        Self { table: Mutex::new(Table { known, strangers, shared: Bucket::full(now), room }) }
    }

    /// Whether a message from there is looked at.
    pub fn admit(&self, now: Instant, from: IpAddr, conduct: Conduct) -> bool {
        self.table().bucket(now, Network::of(from), conduct).is_none_or(|bucket| bucket.take(now))
    }

    /// Learns from what is sent there.
    pub fn handle_sent(&self, now: Instant, to: IpAddr, bytes: &[u8]) {
        if !vouches(bytes) {
            return;
        }
        let mut table = self.table();
        let network = Network::of(to);
        if !table.known.contains_key(&network) && table.known.len() < table.room {
            let bucket = table.strangers.remove(&network).unwrap_or(Bucket::full(now));
            table.known.insert(network, bucket);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The bucket a message is counted in; `None` where it is not counted.
    fn bucket(&mut self, now: Instant, from: Network, conduct: Conduct) -> Option<&mut Bucket> {
        if self.known.contains_key(&from) {
            return match conduct {
                Conduct::Proper => None,
                Conduct::Improper => self.known.get_mut(&from),
            };
        }
        if !self.strangers.contains_key(&from) {
            if self.strangers.len() >= self.room {
                // Those who have been quiet for long enough are as good as new.
                self.strangers.retain(|_, bucket| !bucket.is_full(now));
            }
            if self.strangers.len() >= self.room {
                return Some(&mut self.shared);
            }
        }
        Some(self.strangers.entry(from).or_insert(Bucket::full(now)))
    }
}

/// An IPv4 address, or the /64 that one IPv6 host can choose its addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                let prefix = v6.to_bits() & (u128::MAX << 64);
                Self(IpAddr::V6(Ipv6Addr::from_bits(prefix)))
            }
            other => Self(other),
        }
    }
}

/// A token bucket, kept as the instant at which it will be full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    fn is_full(self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Takes one token, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let (a_second, at_once) = UNKNOWN_RATE;
        let refill = Duration::from_secs(1) / a_second;
        let after = self.full_at.max(now) + refill;
        let room = after.saturating_duration_since(now) <= refill * at_once;
        if room {
            self.full_at = after;
        }
        room
    }
}

/// Whether these bytes are only ever sent to somebody the switch deals with.
fn vouches(bytes: &[u8]) -> bool {
    let Some(answer) = bytes.strip_prefix(b"SIP/2.0 ") else { return true };
    let admitted = matches!(answer, [b'2', ..] | [b'1', b'0', b'1'..=b'9', ..] | [b'1', b'1'..=b'9', ..]);
    admitted && matches!(method_of(bytes), b"INVITE" | b"REGISTER")
}

/// The method in CSeq, as our own writer writes it.
fn method_of(response: &[u8]) -> &[u8] {
    let Some(at) = memmem::find(response, b"\r\nCSeq: ") else { return b"" };
    let line = response.get(at + 2..).unwrap_or_default();
    let line = line.get(..memchr::memchr(b'\r', line).unwrap_or(line.len())).unwrap_or_default();
    line.rsplit(|b| *b == b' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const TRYING: &[u8] = b"SIP/2.0 100 Trying\r\nCSeq: 1 INVITE\r\n\r\n";
    const RINGING: &[u8] = b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n";
    const CHALLENGE: &[u8] = b"SIP/2.0 401 Unauthorized\r\nCSeq: 1 REGISTER\r\n\r\n";
    const PONG: &[u8] = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n";
    const REGISTERED: &[u8] = b"SIP/2.0 200 OK\r\nVia: x\r\nCSeq: 77 REGISTER\r\nExpires: 60\r\n\r\n";

    fn admitted(sources: &Sources, now: Instant, from: IpAddr, conduct: Conduct, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(sources.admit(now, from, conduct))).sum()
    }

    #[test]
    fn a_stranger_sends_a_burst_and_then_at_its_rate() {
        let start = Instant::now();
        let sources = Sources::new(start);
        let (a_second, at_once) = UNKNOWN_RATE;
        assert_eq!(admitted(&sources, start, STRANGER, Conduct::Proper, 10 * at_once), at_once);
        let later = start + Duration::from_secs(3);
        assert_eq!(admitted(&sources, later, STRANGER, Conduct::Proper, 10 * at_once), 3 * a_second);
        let other = "192.0.2.8".parse().unwrap();
        assert!(sources.admit(later, other, Conduct::Proper), "another source has its own rate");
    }

    #[test]
    fn whom_the_switch_deals_with_has_no_rate_but_for_rubbish() {
        let start = Instant::now();
        let sources = Sources::new(start);
        let at_once = UNKNOWN_RATE.1;
        for refused in [TRYING, CHALLENGE, PONG] {
            sources.handle_sent(start, STRANGER, refused);
        }
        assert_eq!(admitted(&sources, start, STRANGER, Conduct::Proper, 2 * at_once), at_once);
        sources.handle_sent(start, STRANGER, REGISTERED);
        assert_eq!(admitted(&sources, start, STRANGER, Conduct::Proper, 2 * at_once), 2 * at_once);
        assert_eq!(admitted(&sources, start, STRANGER, Conduct::Improper, 2 * at_once), 0, "its burst is spent");
    }

    #[test]
    fn a_request_of_ours_and_a_ringing_call_make_a_peer_known() {
        for sent in [&b"OPTIONS sip:trunk SIP/2.0\r\n\r\n"[..], RINGING] {
            let now = Instant::now();
            let sources = Sources::new(now);
            sources.handle_sent(now, STRANGER, sent);
            let tries = 2 * UNKNOWN_RATE.1;
            assert_eq!(admitted(&sources, now, STRANGER, Conduct::Proper, tries), tries);
        }
    }

    #[test]
    fn an_ipv6_host_does_not_escape_by_changing_its_address_within_its_network() {
        let now = Instant::now();
        let sources = Sources::new(now);
        let tries = (0..2 * UNKNOWN_RATE.1).map(|n| format!("2001:db8::{n:x}").parse().unwrap());
        let admitted = tries.filter(|from| sources.admit(now, *from, Conduct::Proper)).count();
        assert_eq!(admitted, UNKNOWN_RATE.1 as usize);
    }

    #[test]
    fn with_a_full_table_further_strangers_share_one_rate_until_others_have_been_quiet() {
        let start = Instant::now();
        let sources = Sources::with_room(start, 2);
        let from = |n: u8| IpAddr::from([192, 0, 2, n]);
        assert!(sources.admit(start, from(1), Conduct::Proper) && sources.admit(start, from(2), Conduct::Proper));
        let at_once = UNKNOWN_RATE.1;
        let crowd = (3..=200).cycle().take(3 * at_once as usize);
        let admitted = crowd.filter(|n| sources.admit(start, from(*n), Conduct::Proper)).count();
        assert_eq!(admitted, at_once as usize);
        assert_eq!(sources.table().strangers.len(), 2);
        let later = start + Duration::from_secs(1);
        assert!(sources.admit(later, from(3), Conduct::Proper));
        assert_eq!(sources.table().strangers.len(), 1, "the quiet ones made room");
    }

    #[test]
    fn so_many_sources_are_remembered_and_further_ones_share() {
        let start = Instant::now();
        let sources = Sources::new(start);
        let from = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        assert!((0..SOURCES + 9).all(|n| sources.admit(start, from(n), Conduct::Proper)));
        assert_eq!(sources.table().strangers.len(), SOURCES);
    }
}

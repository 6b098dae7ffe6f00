//! Where a leg's packets may come from: guarded latching.
//!
//! Trust, from most to least: the address of the session description; another port or address of a host that signalling
//! knows; anyone else, never. Three packets in order settle an address. A live leg is never taken over: the address
//! moves only after a re-INVITE, or when it has been silent for two seconds and the same stream goes on elsewhere
//! (same SSRC, sequence numbers a little further on), which is what a NAT does that forgot its binding.
//!
//! | state | packet from | then |
//! |---|---|---|
//! | open | the described address | taken at once, candidate |
//! | open | a host known by signalling | candidate, not yet taken |
//! | candidate | the same, next number | at three: locked |
//! | candidate | the described address, if the candidate is another | that one becomes the candidate |
//! | locked | the locked address | taken |
//! | locked, silent 2 s | anywhere, same stream going on | candidate |
//! | any | anyone else | refused |

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::command::Remote;
use crate::rtp::sequence_ahead;
use crate::time::Time;

/// The state of one leg's address.
#[derive(Debug)]
pub(super) struct Latch {
    expected: Option<SocketAddr>,
    signalling: Option<IpAddr>,
    locked: Option<Locked>,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Locked {
    addr: SocketAddr,
    ssrc: u32,
    sequence: u16,
    last_at: Time,
    /// A re-INVITE allows another address to be learnt while this one still counts.
    open: bool,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    addr: SocketAddr,
    ssrc: u32,
    sequence: u16,
    /// Packets in order so far.
    count: u32,
    last_at: Time,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// Accepted, and the address is settled as of now.
    Latched(SocketAddr),
    Refuse,
}

impl Latch {
    pub fn new(remote: &Remote) -> Self {
        Self { expected: remote.expected, signalling: remote.signalling, locked: None, candidate: None }
    }

    /// A new far end by signalling: what was learnt is forgotten if its address differs, and learnt anew either way.
    pub fn on_remote(&mut self, remote: &Remote) {
        if self.expected != remote.expected {
            self.locked = None;
        }
        (self.expected, self.signalling) = (remote.expected, remote.signalling);
        self.reopen();
    }

    /// Lets the address move once more, until three packets settle it.
    pub fn reopen(&mut self) {
        self.candidate = None;
        if let Some(locked) = &mut self.locked {
            locked.open = true;
        }
    }

    /// Where to send: the settled address, else the described one.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.locked.map(|locked| locked.addr).or(self.expected)
    }

    /// Whether RTCP or another datagram without a sequence number may come from this host.
    pub fn knows_host(&self, ip: IpAddr) -> bool {
        self.locked.is_some_and(|locked| locked.addr.ip() == ip) || self.is_signalled_host(ip)
    }

    /// Judges an RTP packet.
    pub fn judge(&mut self, now: Time, from: SocketAddr, ssrc: u32, sequence: u16) -> Verdict {
        match self.locked {
            Some(locked) if locked.addr == from => self.on_locked(now, locked, ssrc, sequence),
            Some(locked) if !self.may_replace(now, &locked, from, ssrc, sequence) => Verdict::Refuse,
            // While another address still counts, a newcomer's packets wait for the third.
            Some(_) => self.on_candidate(now, from, ssrc, sequence, false),
            None if self.expected == Some(from) => self.on_candidate(now, from, ssrc, sequence, true),
            None if self.is_signalled_host(from.ip()) => self.on_candidate(now, from, ssrc, sequence, false),
            None => Verdict::Refuse,
        }
    }

    fn on_locked(&mut self, now: Time, locked: Locked, ssrc: u32, sequence: u16) -> Verdict {
        let sequence = match ssrc == locked.ssrc && sequence_ahead(sequence, locked.sequence) <= 0 {
            true => locked.sequence,
            false => sequence,
        };
        self.locked = Some(Locked { ssrc, sequence, last_at: now, ..locked });
        Verdict::Accept
    }

    fn may_replace(&self, now: Time, locked: &Locked, from: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let after_reinvite = locked.open && (self.expected == Some(from) || self.is_signalled_host(from.ip()));
        let goes_on = (1..=LONGEST_JUMP).contains(&sequence_ahead(sequence, locked.sequence));
        let rebound = now.since(locked.last_at) >= SILENCE && ssrc == locked.ssrc && goes_on;
        after_reinvite || rebound
    }

    fn on_candidate(&mut self, now: Time, from: SocketAddr, ssrc: u32, sequence: u16, trusted: bool) -> Verdict {
        let count = match &self.candidate {
            Some(known) if known.addr == from && known.ssrc == ssrc => match sequence_ahead(sequence, known.sequence) {
                1..=LARGEST_GAP => known.count + 1,
                // A repeated or late one neither helps nor harms.
                ahead if ahead <= 0 => return if trusted { Verdict::Accept } else { Verdict::Refuse },
                _ => 1,
            },
            // Another of equal standing waits until the first has gone quiet.
            Some(known) if known.addr != from && !trusted && now.since(known.last_at) < CANDIDATE_QUIET => {
                return Verdict::Refuse;
            }
            _ => 1,
        };
        self.candidate = Some(Candidate { addr: from, ssrc, sequence, count, last_at: now });
        if count >= IN_ORDER_TO_LOCK {
            self.candidate = None;
            self.locked = Some(Locked { addr: from, ssrc, sequence, last_at: now, open: false });
            return Verdict::Latched(from);
        }
        if trusted { Verdict::Accept } else { Verdict::Refuse }
    }

    fn is_signalled_host(&self, ip: IpAddr) -> bool {
        self.expected.is_some_and(|expected| expected.ip() == ip) || self.signalling == Some(ip)
    }
}

const IN_ORDER_TO_LOCK: u32 = 3;
/// How long the locked address must be silent before the same stream may go on elsewhere.
const SILENCE: Duration = Duration::from_secs(2);
/// How far a rebound stream's numbers may have gone on meanwhile: a minute at 50 packets a second.
const LONGEST_JUMP: i32 = 3_000;
/// "In order" forgives this much loss between the three packets.
const LARGEST_GAP: i32 = 5;
/// A candidate silent for this long gives way to another of equal standing.
const CANDIDATE_QUIET: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: u32 = 42;

    fn addr(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], port))
    }

    /// A leg described as 127.0.0.1:4000 whose signalling comes from 127.0.0.9.
    fn latch() -> Latch {
        Latch::new(&remote(addr(1, 4_000)))
    }

    fn remote(expected: SocketAddr) -> Remote {
        Remote { expected: Some(expected), signalling: Some(addr(9, 1).ip()), rtcp_mux: false }
    }

    fn ms(ms: u64) -> Time {
        Time::from_millis(1_000_000 + ms)
    }

    /// Sends packets `numbers` 20 ms apart from `from` and gives the last verdict.
    fn send(latch: &mut Latch, begin: u64, from: SocketAddr, ssrc: u32, numbers: core::ops::Range<u16>) -> Verdict {
        let verdicts: Vec<_> = numbers
            .enumerate()
            .map(|(n, sequence)| latch.judge(ms(begin + 20 * n as u64), from, ssrc, sequence))
            .collect();
        verdicts[verdicts.len() - 1]
    }

    fn locked() -> Latch {
        let mut latch = latch();
        assert_eq!(send(&mut latch, 0, addr(1, 4_000), SSRC, 0..3), Verdict::Latched(addr(1, 4_000)));
        latch
    }

    #[test]
    fn the_described_address_is_taken_at_once_and_settled_by_three() {
        let mut latch = latch();
        assert_eq!(latch.judge(ms(0), addr(1, 4_000), SSRC, 7), Verdict::Accept);
        assert_eq!(latch.judge(ms(20), addr(1, 4_000), SSRC, 8), Verdict::Accept);
        assert_eq!(latch.judge(ms(40), addr(1, 4_000), SSRC, 9), Verdict::Latched(addr(1, 4_000)));
        assert_eq!(latch.judge(ms(60), addr(1, 4_000), SSRC, 10), Verdict::Accept);
    }

    #[test]
    fn behind_a_nat_the_signalling_host_is_learnt_by_its_third_packet() {
        let mut latch = latch();
        assert_eq!(send(&mut latch, 0, addr(9, 5_000), SSRC, 0..2), Verdict::Refuse);
        assert_eq!(latch.destination(), Some(addr(1, 4_000)));
        assert_eq!(send(&mut latch, 40, addr(9, 5_000), SSRC, 2..3), Verdict::Latched(addr(9, 5_000)));
        assert_eq!(latch.destination(), Some(addr(9, 5_000)));
    }

    #[test]
    fn a_stranger_never_gets_in() {
        let mut open = latch();
        assert_eq!(send(&mut open, 0, addr(66, 4_000), SSRC, 0..500), Verdict::Refuse);
        assert_eq!(open.destination(), Some(addr(1, 4_000)));
        let mut live = locked();
        assert_eq!(send(&mut live, 60, addr(66, 4_000), SSRC, 3..90), Verdict::Refuse, "with the right SSRC");
    }

    #[test]
    fn a_live_leg_is_not_taken_even_by_its_own_signalling_host() {
        let mut latch = locked();
        for n in 0..500_u16 {
            let at = ms(60 + 20 * u64::from(n));
            assert_eq!(latch.judge(at, addr(1, 4_000), SSRC, 3 + n), Verdict::Accept);
            assert_eq!(latch.judge(at, addr(9, 5_000), SSRC, 3 + n), Verdict::Refuse);
            assert_eq!(latch.judge(at, addr(1, 4_002), 9, n), Verdict::Refuse);
        }
    }

    #[test]
    fn a_silent_leg_follows_its_own_stream_and_no_other() {
        let mut latch = locked();
        assert_eq!(send(&mut latch, 1_900, addr(9, 5_000), SSRC, 90..92), Verdict::Refuse, "not yet two seconds");
        let mut latch = locked();
        assert_eq!(send(&mut latch, 5_000, addr(66, 1), 43, 100..500), Verdict::Refuse, "another SSRC");
        assert_eq!(send(&mut latch, 5_000, addr(66, 1), SSRC, 40_000..40_100), Verdict::Refuse, "other numbers");
        assert_eq!(send(&mut latch, 5_000, addr(77, 1), SSRC, 200..203), Verdict::Latched(addr(77, 1)));
        assert_eq!(latch.judge(ms(5_060), addr(1, 4_000), SSRC, 204), Verdict::Refuse);
    }

    #[test]
    fn a_reinvite_lets_the_address_move_and_the_old_one_counts_until_then() {
        let mut latch = locked();
        latch.reopen();
        assert_eq!(latch.judge(ms(100), addr(1, 4_000), SSRC, 10), Verdict::Accept);
        assert_eq!(send(&mut latch, 120, addr(9, 5_000), 7, 0..3), Verdict::Latched(addr(9, 5_000)));
        assert_eq!(latch.judge(ms(200), addr(1, 4_000), SSRC, 14), Verdict::Refuse);
    }

    #[test]
    fn a_new_description_moves_the_destination_at_once() {
        let mut latch = locked();
        latch.on_remote(&remote(addr(2, 4_444)));
        assert_eq!(latch.destination(), Some(addr(2, 4_444)));
        assert_eq!(latch.judge(ms(100), addr(1, 4_000), SSRC, 10), Verdict::Refuse);
        assert_eq!(send(&mut latch, 120, addr(2, 4_444), 7, 0..3), Verdict::Latched(addr(2, 4_444)));
    }

    #[test]
    fn the_described_address_wins_over_a_guessed_one() {
        let mut latch = latch();
        assert_eq!(send(&mut latch, 0, addr(9, 5_000), 5, 0..2), Verdict::Refuse);
        assert_eq!(send(&mut latch, 40, addr(1, 4_000), SSRC, 0..3), Verdict::Latched(addr(1, 4_000)));
        assert_eq!(send(&mut latch, 100, addr(9, 5_000), 5, 5..9), Verdict::Refuse);
    }

    #[test]
    fn two_guesses_do_not_count_together() {
        let mut latch = latch();
        for n in 0..20_u16 {
            let from = addr(9, 5_000 + n % 2);
            let verdict = latch.judge(ms(20 * u64::from(n)), from, SSRC, n);
            assert!(verdict == Verdict::Refuse || from.port() == 5_000, "{n}");
        }
    }
}

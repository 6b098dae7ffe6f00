//! Nonces that need no memory to be recognised, and the memory that stops their replay.
//!
//! A nonce is its time, a counter, and an HMAC over both: whoever holds the secret can tell its own. Only nonces that were used
//! with success are remembered, each with a window of the use counts (nc) seen.

use std::collections::BTreeMap;

use super::hash::{hex, hmac_sha256, same_hex};
use crate::limits::sip::DIGEST_NONCES;
use crate::time::Time;

/// When it was made, and which one of that instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NonceId {
    pub made: Time,
    pub counter: u32,
}

const ID_HEX: usize = 24;
const MAC_HEX: usize = 32;

impl NonceId {
    /// 24 hexadecimal digits of id, 32 of HMAC.
    pub fn write(self, secret: &[u8; 32]) -> String {
        let id = format!("{:016x}{:08x}", self.made.as_micros(), self.counter);
        let mac = self.mac(secret);
        id + mac.as_str()
    }

    /// `None` where the nonce was not made with this secret: a stranger's, or ours before a restart.
    pub fn read(nonce: &str, secret: &[u8; 32]) -> Option<NonceId> {
        let (id, mac) = nonce.split_at_checked(ID_HEX)?;
        let (made, counter) = id.split_at_checked(16)?;
        let made = Time::from_micros(u64::from_str_radix(made, 16).ok()?);
        let id = NonceId { made, counter: u32::from_str_radix(counter, 16).ok()? };
        same_hex(mac, &id.mac(secret)).then_some(id)
    }

    fn mac(self, secret: &[u8; 32]) -> String {
        let mut text = [0; 12];
        let (time, counter) = text.split_at_mut(8);
        time.copy_from_slice(&self.made.as_micros().to_be_bytes());
        counter.copy_from_slice(&self.counter.to_be_bytes());
        let mut mac = hex(&hmac_sha256(secret, &text));
        mac.truncate(MAC_HEX);
        mac
    }
}

/// Which use counts of which nonces were seen. Bounded: what is forgotten counts as used up.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    seen: BTreeMap<NonceId, Window>,
    /// Nonces up to here were forgotten.
    forgotten: Option<NonceId>,
}

/// The use counts of one nonce: the highest, and a bit for each of the 64 up to it. UDP may swap two requests.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    highest: u32,
    bits: u64,
}

impl Uses {
    /// Marks one use; `false` where it is a replay, too old to tell, or of a forgotten nonce.
    /// `nc: None` is a use without a count (RFC 2069), good once.
    pub fn mark(&mut self, nonce: NonceId, nc: Option<u32>) -> bool {
        if self.forgotten.is_some_and(|forgotten| nonce <= forgotten) {
            return false;
        }
        let fresh = self.seen.entry(nonce).or_default().mark(nc.unwrap_or(1));
        if self.seen.len() > DIGEST_NONCES
            && let Some((oldest, _)) = self.seen.pop_first()
        {
            self.forgotten = Some(oldest);
        }
        fresh
    }

    /// Forgets the nonces made before `time`: they are stale anyway.
    pub fn forget_before(&mut self, time: Time) {
        while let Some(entry) = self.seen.first_entry()
            && entry.key().made < time
        {
            self.forgotten = Some(*entry.key());
            entry.remove();
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.seen.len()
    }
}

impl Window {
    fn mark(&mut self, nc: u32) -> bool {
        if nc > self.highest {
            self.bits = self.bits.checked_shl(nc - self.highest).unwrap_or(0) | 1;
            self.highest = nc;
            return true;
        }
        let back = self.highest - nc;
        let Some(bit) = 1_u64.checked_shl(back) else { return false };
        let fresh = nc > 0 && self.bits & bit == 0;
        self.bits |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn nonce(at: u64) -> NonceId {
        NonceId { made: Time::from_micros(at), counter: 3 }
    }

    #[test]
    fn a_nonce_is_known_by_its_secret_only_and_not_when_changed() {
        let text = nonce(1_795_271_464_123_000).write(&SECRET);
        assert_eq!(NonceId::read(&text, &SECRET), Some(nonce(1_795_271_464_123_000)));
        assert_eq!(NonceId::read(&text, &[8; 32]), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(NonceId::read(&String::from_utf8(forged).expect("hex"), &SECRET), None);
        }
        for odd in ["", "00", "ü".repeat(28).as_str(), &text[..55], &format!("{text}0")] {
            assert_eq!(NonceId::read(odd, &SECRET), None);
        }
    }

    #[test]
    fn counts_may_swap_but_not_repeat_and_not_lag_by_64() {
        let mut uses = Uses::default();
        let n = nonce(1);
        assert!(uses.mark(n, Some(1)) && uses.mark(n, Some(3)) && uses.mark(n, Some(2)));
        assert!(!uses.mark(n, Some(2)) && !uses.mark(n, Some(3)) && !uses.mark(n, Some(0)));
        assert!(uses.mark(n, Some(256)) && uses.mark(n, Some(193)));
        assert!(!uses.mark(n, Some(192)) && !uses.mark(n, Some(4)));
        assert!(uses.mark(n, Some(u32::MAX)) && !uses.mark(n, Some(u32::MAX)));
    }

    #[test]
    fn without_a_count_a_nonce_is_good_once() {
        let mut uses = Uses::default();
        assert!(uses.mark(nonce(1), None) && !uses.mark(nonce(1), None));
    }

    #[test]
    fn a_full_memory_forgets_the_oldest_and_never_lets_it_be_replayed() {
        let mut uses = Uses::default();
        for at in 0..=DIGEST_NONCES as u64 {
            assert!(uses.mark(nonce(at), Some(1)));
        }
        assert_eq!(uses.len(), DIGEST_NONCES);
        assert!(!uses.mark(nonce(0), Some(1)) && !uses.mark(nonce(0), Some(2)));
        uses.forget_before(Time::from_micros(10));
        assert!(!uses.mark(nonce(9), Some(2)) && uses.mark(nonce(10), Some(2)));
    }
}

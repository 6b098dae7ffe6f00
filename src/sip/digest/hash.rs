//! The hash functions of Digest, of nonces, and hexadecimal text. The one file that knows the hash crates.

use core::fmt;

use ::md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use subtle::ConstantTimeEq;

/// A hash function of RFC 7616 §6.1 / RFC 8760, weakest first: the order is the order of strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    Md5,
    Sha256,
    Sha512_256,
}

impl HashFunction {
    /// The hash of `parts` joined by `:`, as lower-case hexadecimal.
    pub(super) fn hex(self, parts: &[&[u8]]) -> String {
        match self {
            HashFunction::Md5 => hex(&joined::<Md5>(parts)),
            HashFunction::Sha256 => hex(&joined::<Sha256>(parts)),
            HashFunction::Sha512_256 => hex(&joined::<Sha512_256>(parts)),
        }
    }

    /// Characters of its hexadecimal text.
    pub const fn hex_len(self) -> usize {
        match self {
            HashFunction::Md5 => 32,
            HashFunction::Sha256 | HashFunction::Sha512_256 => 64,
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// HMAC-SHA-256 (RFC 2104) with a key of at most one block.
pub(super) fn hmac_sha256(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    struct Hex<'a>(&'a [u8]);
    impl fmt::Display for Hex<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
    Hex(bytes).to_string()
}

/// Compares hexadecimal text without case and without telling by its time how much of it was right.
pub(super) fn same_hex(a: &str, b: &str) -> bool {
    a.to_ascii_lowercase().as_bytes().ct_eq(b.to_ascii_lowercase().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_gives_the_value_of_rfc_4231_case_2_padded_to_our_key() {
        // RFC 4231 §4.3: key "Jefe"; HMAC pads short keys with zeros.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = hmac_sha256(&key, b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn hex_compares_without_case_and_never_by_prefix() {
        assert!(same_hex("00fF", "00Ff"));
        assert!(!same_hex("00", "00ff") && !same_hex("", "00"));
    }
}

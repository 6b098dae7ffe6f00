//! Digest authentication (RFC 7616, RFC 8760, RFC 3261 §22): the arithmetic both sides share.
//!
//! Everything is computed over the text as it came: a URI, an nc or a realm is never parsed and printed again.
//! Passwords are not kept: an account stores its [`Ha1`] for each hash function.

mod client;
mod hash;
mod nonce;
mod server;

use core::fmt;

pub use client::{Account, DigestClient, Unanswerable};
pub use hash::HashFunction;
pub use server::{DigestServer, Outcome, Refusal};

/// `algorithm=`: a hash function, and whether HA1 is bound to the session's nonces (`-sess`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm {
    pub hash: HashFunction,
    pub session: bool,
}

impl Algorithm {
    pub const MD5: Algorithm = Algorithm { hash: HashFunction::Md5, session: false };
    pub const MD5_SESS: Algorithm = Algorithm { hash: HashFunction::Md5, session: true };
    pub const SHA_256: Algorithm = Algorithm { hash: HashFunction::Sha256, session: false };
    pub const SHA_256_SESS: Algorithm = Algorithm { hash: HashFunction::Sha256, session: true };
    pub const SHA_512_256: Algorithm = Algorithm { hash: HashFunction::Sha512_256, session: false };
    pub const SHA_512_256_SESS: Algorithm = Algorithm { hash: HashFunction::Sha512_256, session: true };

    pub const ALL: [Algorithm; 6] = [
        Algorithm::MD5,
        Algorithm::MD5_SESS,
        Algorithm::SHA_256,
        Algorithm::SHA_256_SESS,
        Algorithm::SHA_512_256,
        Algorithm::SHA_512_256_SESS,
    ];

    /// Reads the value of `algorithm`, without case. Absent means MD5 (RFC 7616 §3.3).
    pub fn parse(text: Option<&str>) -> Option<Algorithm> {
        match text {
            None => Some(Algorithm::MD5),
            Some(text) => Algorithm::ALL.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(text)),
        }
    }

    pub const fn as_str(self) -> &'static str {
        match (self.hash, self.session) {
            (HashFunction::Md5, false) => "MD5",
            (HashFunction::Md5, true) => "MD5-sess",
            (HashFunction::Sha256, false) => "SHA-256",
            (HashFunction::Sha256, true) => "SHA-256-sess",
            (HashFunction::Sha512_256, false) => "SHA-512-256",
            (HashFunction::Sha512_256, true) => "SHA-512-256-sess",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `H(user:realm:password)`: what an account keeps instead of its password. As good as the password in its realm, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    hash: HashFunction,
    hex: String,
}

impl Ha1 {
    pub fn new(hash: HashFunction, user: &str, realm: &str, password: &str) -> Ha1 {
        Ha1 { hash, hex: hash.hex(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]) }
    }

    /// Reads it back from the store; `None` where it is not hexadecimal of the right length.
    pub fn from_hex(hash: HashFunction, hex: &str) -> Option<Ha1> {
        let good = hex.len() == hash.hex_len() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| Ha1 { hash, hex: hex.to_ascii_lowercase() })
    }

    pub const fn hash(&self) -> HashFunction {
        self.hash
    }

    /// For the store, and nobody else.
    pub fn as_hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({:?}, hidden)", self.hash)
    }
}

/// The protection that the credentials claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qop {
    /// RFC 2069: no nc, no cnonce.
    None,
    Auth,
    /// The body is in the hash too.
    AuthInt,
}

/// What enters the response, all of it as written on the wire.
#[derive(Clone, Copy, Debug)]
struct Ingredients<'a> {
    algorithm: Algorithm,
    nonce: &'a str,
    cnonce: &'a str,
    nc: &'a str,
    qop: Qop,
    /// `qop` as written, `auth` or `auth-int`.
    qop_text: &'a str,
    method: &'a str,
    uri: &'a str,
    body: &'a [u8],
}

impl Ingredients<'_> {
    /// RFC 7616 §3.4.1–3.4.3. `ha1` must be of the algorithm's hash function.
    fn response(&self, ha1: &Ha1) -> String {
        let hash = self.algorithm.hash;
        let bound;
        let ha1 = if self.algorithm.session {
            bound = hash.hex(&[ha1.hex.as_bytes(), self.nonce.as_bytes(), self.cnonce.as_bytes()]);
            &bound
        } else {
            &ha1.hex
        };
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        let ha2 = match self.qop {
            Qop::AuthInt => hash.hex(&[method, uri, hash.hex(&[self.body]).as_bytes()]),
            Qop::None | Qop::Auth => hash.hex(&[method, uri]),
        };
        let (nonce, ha1, ha2) = (self.nonce.as_bytes(), ha1.as_bytes(), ha2.as_bytes());
        match self.qop {
            Qop::None => hash.hex(&[ha1, nonce, ha2]),
            Qop::Auth | Qop::AuthInt => {
                hash.hex(&[ha1, nonce, self.nc.as_bytes(), self.cnonce.as_bytes(), self.qop_text.as_bytes(), ha2])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1: Mufasa asks for /dir/index.html.
    fn mufasa(algorithm: Algorithm) -> String {
        let ingredients = Ingredients {
            algorithm,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            nc: "00000001",
            qop: Qop::Auth,
            qop_text: "auth",
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
        };
        ingredients.response(&Ha1::new(algorithm.hash, "Mufasa", "http-auth@example.org", "Circle of Life"))
    }

    #[test]
    fn md5_and_sha_256_give_the_values_of_rfc_7616() {
        assert_eq!(mufasa(Algorithm::MD5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(mufasa(Algorithm::SHA_256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    #[test]
    fn every_algorithm_reads_back_in_any_case_and_absent_means_md5() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(Some(&algorithm.as_str().to_ascii_lowercase())), Some(algorithm));
        }
        assert_eq!(Algorithm::parse(None), Some(Algorithm::MD5));
        assert_eq!(Algorithm::parse(Some("SHA256")), None);
    }

    #[test]
    fn a_stored_ha1_reads_back_and_is_not_printed() {
        let ha1 = Ha1::new(HashFunction::Sha256, "1001", "strowger", "s3cret");
        assert_eq!(Ha1::from_hex(HashFunction::Sha256, ha1.as_hex()), Some(ha1.clone()));
        assert_eq!(Ha1::from_hex(HashFunction::Md5, ha1.as_hex()), None);
        assert!(!format!("{ha1:?}").contains(ha1.as_hex()));
    }
}

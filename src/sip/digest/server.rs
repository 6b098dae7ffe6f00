//! The server's side: challenges, and the verdict on credentials.

use core::time::Duration;

use super::hash::same_hex;
use super::nonce::{NonceId, Uses};
use super::{Algorithm, Ha1, HashFunction, Ingredients, Qop};
use crate::sip::header::{AuthParams, Name};
use crate::sip::write::Quoted;
use crate::sip::{Message, Uri};
use crate::time::Time;

/// Challenges requests and checks the answers, for one realm.
///
/// Nonces carry their own proof (time and HMAC), so an unanswered challenge costs no memory. The use counts of answered ones are kept
/// within [`limits::sip::DIGEST_NONCES`](crate::limits::sip::DIGEST_NONCES).
#[derive(Clone, Debug)]
pub struct DigestServer {
    realm: String,
    secret: Secret,
    /// Strongest first.
    offered: Vec<Algorithm>,
    lifetime: Duration,
    counter: u32,
    uses: Uses,
}

#[derive(Clone)]
struct Secret([u8; 32]);

/// What the credentials of a request are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted {
        user: String,
    },
    /// No credentials for our realm: challenge.
    Missing,
    /// The right password for a nonce that is too old, used up, or from before a restart: challenge with `stale=true`;
    /// the phone then answers by itself.
    Stale,
    Refused {
        user: String,
        why: Refusal,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A part is missing or cannot be read.
    Malformed,
    /// An algorithm that was not offered.
    Algorithm,
    /// The digest's URI is for somebody else than the Request-URI.
    OtherUri,
    /// Unknown user or wrong password: on purpose not told apart.
    WrongPassword,
}

impl DigestServer {
    /// Offers SHA-256, then MD5 (RFC 8760 §2.4: the preferred one first); nonces live five minutes.
    /// `secret` comes from the stream of keys and never leaves the process.
    pub fn new(realm: &str, secret: [u8; 32]) -> DigestServer {
        DigestServer {
            realm: realm.into(),
            secret: Secret(secret),
            offered: vec![Algorithm::SHA_256, Algorithm::MD5],
            lifetime: Duration::from_secs(300),
            counter: 0,
            uses: Uses::default(),
        }
    }

    /// Offers these instead, in order of strength.
    #[must_use]
    pub fn offering(mut self, algorithms: &[Algorithm]) -> DigestServer {
        self.offered = algorithms.to_vec();
        self.offered.sort_by(|a, b| b.cmp(a));
        self.offered.dedup();
        self
    }

    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> DigestServer {
        self.lifetime = lifetime;
        self
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The values of WWW-Authenticate or Proxy-Authenticate, one header line each, strongest first.
    pub fn challenges(&mut self, now: Time, stale: bool) -> Vec<String> {
        self.counter = self.counter.wrapping_add(1);
        let nonce = NonceId { made: now, counter: self.counter }.write(&self.secret.0);
        let (realm, stale) = (Quoted(&self.realm), if stale { ", stale=true" } else { "" });
        let challenge = |algorithm: &Algorithm| {
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
        };
        self.offered.iter().map(challenge).collect()
    }

    /// Checks the credentials of `request` in `header` (Authorization or Proxy-Authorization).
    /// `ha1` answers what the account of that user keeps for that hash function.
    pub fn check(
        &mut self,
        now: Time,
        request: &Message,
        header: Name,
        ha1: impl FnOnce(&str, HashFunction) -> Option<Ha1>,
    ) -> Outcome {
        let ours = |auth: &AuthParams<'_>| auth.is_digest() && auth.text("realm").as_deref() == Some(&self.realm);
        let Some(auth) = request.auth(header).find(ours) else { return Outcome::Missing };
        let user = auth.text("username").unwrap_or_default().into_owned();
        match self.verify(now, request, &auth, |hash| ha1(&user, hash)) {
            Ok(true) => Outcome::Accepted { user },
            Ok(false) => Outcome::Stale,
            Err(why) => Outcome::Refused { user, why },
        }
    }

    /// `Ok(false)`: right, but stale.
    fn verify(
        &mut self,
        now: Time,
        request: &Message,
        auth: &AuthParams<'_>,
        ha1: impl FnOnce(HashFunction) -> Option<Ha1>,
    ) -> Result<bool, Refusal> {
        let algorithm = Algorithm::parse(auth.get("algorithm")).filter(|a| self.offered.contains(a));
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        let claim = Claim::read(auth, request, algorithm).ok_or(Refusal::Malformed)?;
        if !is_same_target(claim.ingredients.uri, request) {
            return Err(Refusal::OtherUri);
        }
        let stored = ha1(algorithm.hash).filter(|stored| stored.hash() == algorithm.hash);
        let known = stored.is_some();
        // An unknown user costs as much time as a known one.
        let ha1 = stored.unwrap_or_else(|| Ha1::new(algorithm.hash, "", &self.realm, ""));
        let right = same_hex(claim.response, &claim.ingredients.response(&ha1));
        if !(right && known) {
            return Err(Refusal::WrongPassword);
        }
        Ok(self.is_fresh(now, claim.ingredients.nonce, claim.nc))
    }

    fn is_fresh(&mut self, now: Time, nonce: &str, nc: Option<u32>) -> bool {
        self.uses.forget_before(now - self.lifetime);
        let Some(id) = NonceId::read(nonce, &self.secret.0) else { return false };
        now.since(id.made) <= self.lifetime && self.uses.mark(id, nc)
    }
}

/// The credentials, read.
struct Claim<'a> {
    ingredients: Ingredients<'a>,
    response: &'a str,
    nc: Option<u32>,
}

impl<'a> Claim<'a> {
    fn read(auth: &AuthParams<'a>, request: &'a Message, algorithm: Algorithm) -> Option<Claim<'a>> {
        let qop_text = auth.get("qop").unwrap_or_default();
        let qop = match qop_text {
            "" => Qop::None,
            text if text.eq_ignore_ascii_case("auth") => Qop::Auth,
            text if text.eq_ignore_ascii_case("auth-int") => Qop::AuthInt,
            _ => return None,
        };
        let cnonce = auth.get("cnonce").filter(|c| !c.is_empty());
        let (nc_text, nc) = match qop {
            // Without a count there is none to check, but -sess needs the cnonce all the same.
            Qop::None if algorithm.session && cnonce.is_none() => return None,
            Qop::None => ("", None),
            Qop::Auth | Qop::AuthInt => {
                cnonce?;
                let text = auth.get("nc")?;
                (text, Some(nonce_count(text)?))
            }
        };
        auth.get("username")?;
        let ingredients = Ingredients {
            algorithm,
            nonce: auth.get("nonce")?,
            cnonce: cnonce.unwrap_or_default(),
            nc: nc_text,
            qop,
            qop_text,
            method: request.method_text(),
            uri: auth.get("uri")?,
            body: request.body(),
        };
        Some(Claim { ingredients, response: auth.get("response")?, nc })
    }
}

/// Eight hexadecimal digits, from 00000001 (RFC 7616 §3.4).
fn nonce_count(text: &str) -> Option<u32> {
    let good = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| u32::from_str_radix(text, 16).ok()).flatten().filter(|&nc| nc > 0)
}

/// The digest's URI names the same target as the Request-URI. Parameters, port and the letter case of the host may differ:
/// phones and proxies rewrite them; the user and the host may not, or a captured answer would open another door.
fn is_same_target(digest_uri: &str, request: &Message) -> bool {
    if digest_uri == request.uri_text() {
        return true;
    }
    let (Ok(theirs), Ok(asked)) = (Uri::parse(digest_uri), request.uri()) else { return false };
    theirs.user_text() == asked.user_text() && theirs.host().is_same(&asked.host())
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

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
        self.offer(algorithms);
        self
    }

    /// Offers these from now on, in order of strength.
    pub fn offer(&mut self, algorithms: &[Algorithm]) {
        self.offered = algorithms.to_vec();
        self.offered.sort_by(|a, b| b.cmp(a));
        self.offered.dedup();
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

#[cfg(test)]
mod tests {
    use super::super::{Account, DigestClient, Unanswerable};
    use super::*;
    use crate::sip::Writer;

    const NOW: Time = Time::from_secs(1_795_271_464);

    fn server(algorithms: &[Algorithm]) -> DigestServer {
        DigestServer::new("strowger", [7; 32]).offering(algorithms)
    }

    fn account(password: &str) -> Account {
        Account { user: "1001".into(), password: password.into() }
    }

    fn stored(user: &str, hash: HashFunction) -> Option<Ha1> {
        (user == "1001").then(|| Ha1::new(hash, user, "strowger", "s3cret"))
    }

    /// A 401 with these challenges.
    fn unauthorized(challenges: &[String]) -> Message {
        let mut writer = Writer::response(401, "");
        for challenge in challenges {
            writer.header(Name::WwwAuthenticate, challenge);
        }
        Message::parse(writer.finish().expect("written")).expect("readable")
    }

    fn challenge(server: &mut DigestServer) -> DigestClient {
        DigestClient::from_response(&unauthorized(&server.challenges(NOW, false))).expect("answerable")
    }

    fn request(method: &str, uri: &str, authorization: &str, body: &str) -> Message {
        let bytes = Writer::request(method, uri)
            .header(Name::Authorization, authorization)
            .finish_with("text/plain", body.as_bytes())
            .expect("written");
        Message::parse(bytes).expect("readable")
    }

    fn accepted() -> Outcome {
        Outcome::Accepted { user: "1001".into() }
    }

    fn refused(why: Refusal) -> Outcome {
        Outcome::Refused { user: "1001".into(), why }
    }

    #[test]
    fn every_algorithm_opens_the_door_with_the_right_password_only() {
        for algorithm in Algorithm::ALL {
            let mut server = server(&[algorithm]);
            let mut client = challenge(&mut server);
            assert_eq!(client.algorithm(), algorithm);
            let mut try_with = |password: &str| {
                let value = client.authorize(&account(password), "REGISTER", "sip:strowger", b"", "cn");
                server.check(NOW, &request("REGISTER", "sip:strowger", &value, ""), Name::Authorization, stored)
            };
            assert_eq!(try_with("s3cret"), accepted(), "{algorithm}");
            assert_eq!(try_with("S3cret"), refused(Refusal::WrongPassword), "{algorithm}");
        }
    }

    #[test]
    fn a_nonce_is_good_for_more_uses_than_a_byte_can_count() {
        let mut server = server(&[Algorithm::MD5]);
        let mut client = challenge(&mut server);
        for use_count in 1..=300 {
            let value = client.authorize(&account("s3cret"), "OPTIONS", "sip:h", b"", "cn");
            assert!(value.contains(&format!("nc={use_count:08x}")));
            let m = request("OPTIONS", "sip:h", &value, "");
            assert_eq!(server.check(NOW, &m, Name::Authorization, stored), accepted(), "nc={use_count:08x}");
        }
    }

    #[test]
    fn uris_enter_the_hash_as_they_are_written() {
        let mut server = server(&[Algorithm::MD5]);
        let mut client = challenge(&mut server);
        for uri in [
            "sip:e;transport=tcp",
            "sip:%2331%23@e",
            "sip:a%40b@e;transport=UDP",
            "sip:[2001:db8::1]:5070",
            "tel:+1555",
        ] {
            let value = client.authorize(&account("s3cret"), "INVITE", uri, b"", "cn");
            let m = request("INVITE", uri, &value, "");
            assert_eq!(server.check(NOW, &m, Name::Authorization, stored), accepted(), "{uri}");
        }
    }

    #[test]
    fn a_uri_may_differ_in_what_proxies_rewrite_and_not_in_whom_it_calls() {
        let mut server = server(&[Algorithm::MD5]);
        let mut client = challenge(&mut server);
        for (signed, asked, outcome) in [
            ("sip:bob@h", "sip:bob@H:5060;transport=tcp", accepted()),
            ("sip:bob@h", "sip:premium@h", refused(Refusal::OtherUri)),
            ("sip:bob@h", "sip:bob@i", refused(Refusal::OtherUri)),
        ] {
            let value = client.authorize(&account("s3cret"), "INVITE", signed, b"", "cn");
            let m = request("INVITE", asked, &value, "");
            assert_eq!(server.check(NOW, &m, Name::Authorization, stored), outcome, "{signed} {asked}");
        }
    }

    #[test]
    fn another_method_or_another_body_is_another_answer() {
        let mut server = server(&[Algorithm::SHA_256]);
        let offers = server.challenges(NOW, false).into_iter().map(|c| c.replace("qop=\"auth\"", "qop=\"auth-int\""));
        let mut client = DigestClient::from_response(&unauthorized(&offers.collect::<Vec<_>>())).expect("answerable");
        let value = client.authorize(&account("s3cret"), "INVITE", "sip:h", b"v=0", "cn");
        assert!(value.contains("qop=auth-int"));
        for (method, body, outcome) in [
            ("BYE", "v=0", refused(Refusal::WrongPassword)),
            ("INVITE", "v=1", refused(Refusal::WrongPassword)),
            ("INVITE", "v=0", accepted()),
        ] {
            let m = request(method, "sip:h", &value, body);
            assert_eq!(server.check(NOW, &m, Name::Authorization, stored), outcome, "{method} {body}");
        }
    }

    #[test]
    fn a_replayed_answer_and_an_old_nonce_are_stale() {
        let mut server = server(&[Algorithm::MD5]).with_lifetime(Duration::from_secs(60));
        let mut client = challenge(&mut server);
        let first = request("BYE", "sip:h", &client.authorize(&account("s3cret"), "BYE", "sip:h", b"", "cn"), "");
        let second = request("BYE", "sip:h", &client.authorize(&account("s3cret"), "BYE", "sip:h", b"", "cn"), "");
        let third = request("BYE", "sip:h", &client.authorize(&account("s3cret"), "BYE", "sip:h", b"", "cn"), "");
        let mut check =
            |m: &Message, after: u64| server.check(NOW + Duration::from_secs(after), m, Name::Authorization, stored);
        // UDP swapped them.
        assert_eq!((check(&second, 0), check(&first, 1)), (accepted(), accepted()));
        assert_eq!((check(&second, 2), check(&first, 2)), (Outcome::Stale, Outcome::Stale));
        assert_eq!(check(&third, 61), Outcome::Stale);
        let again = unauthorized(&server.challenges(NOW, true));
        assert!(DigestClient::from_response(&again).is_ok_and(|client| client.is_stale()));
    }

    #[test]
    fn a_nonce_from_before_a_restart_is_stale_only_with_the_right_password() {
        let mut before = DigestServer::new("strowger", [1; 32]);
        let mut after = DigestServer::new("strowger", [2; 32]);
        let mut client = challenge(&mut before);
        let right = request("BYE", "sip:h", &client.authorize(&account("s3cret"), "BYE", "sip:h", b"", "cn"), "");
        let wrong = request("BYE", "sip:h", &client.authorize(&account("guess"), "BYE", "sip:h", b"", "cn"), "");
        assert_eq!(after.check(NOW, &right, Name::Authorization, stored), Outcome::Stale);
        assert_eq!(after.check(NOW, &wrong, Name::Authorization, stored), refused(Refusal::WrongPassword));
    }

    #[test]
    fn an_answer_in_the_manner_of_rfc_2069_is_good_once() {
        let mut server = server(&[Algorithm::MD5]);
        let offers = server.challenges(NOW, false).into_iter().map(|c| c.replace(", qop=\"auth\"", ""));
        let mut client = DigestClient::from_response(&unauthorized(&offers.collect::<Vec<_>>())).expect("answerable");
        let value = client.authorize(&account("s3cret"), "BYE", "sip:h", b"", "cn");
        assert!(!value.contains("nc=") && !value.contains("cnonce="));
        let m = request("BYE", "sip:h", &value, "");
        assert_eq!(server.check(NOW, &m, Name::Authorization, stored), accepted());
        assert_eq!(server.check(NOW, &m, Name::Authorization, stored), Outcome::Stale);
    }

    #[test]
    fn the_strongest_challenge_comes_first_and_is_answered_wherever_it_stands() {
        let mut server = server(&[Algorithm::MD5, Algorithm::SHA_512_256, Algorithm::SHA_256]);
        let mut offers = server.challenges(NOW, false);
        let order: Vec<_> = offers.iter().filter_map(|c| c.split("algorithm=").nth(1)?.split(',').next()).collect();
        assert_eq!(order, ["SHA-512-256", "SHA-256", "MD5"]);
        offers.reverse();
        offers.insert(0, "Basic realm=\"strowger\"".into());
        offers.insert(1, "Digest realm=\"strowger\", nonce=\"n\", algorithm=SHA3-999".into());
        let client = DigestClient::from_response(&unauthorized(&offers)).expect("answerable");
        assert_eq!(client.algorithm(), Algorithm::SHA_512_256);
    }

    #[test]
    fn challenges_nobody_can_answer_say_so() {
        let unknown = ["Basic realm=\"r\"".to_string(), "Digest realm=\"r\", nonce=\"n\", qop=\"token\"".into()];
        assert_eq!(DigestClient::from_response(&unauthorized(&unknown)).err(), Some(Unanswerable::Unsupported));
        assert_eq!(DigestClient::from_response(&unauthorized(&[])).err(), Some(Unanswerable::NoChallenge));
    }

    #[test]
    fn both_kinds_of_qop_offered_are_answered_with_auth_and_a_proxy_in_its_own_header() {
        let bytes = Writer::response(407, "")
            .header(Name::ProxyAuthenticate, "Digest realm=\"r\", nonce=\"n\", qop=\"auth,auth-int\", opaque=\"o\"")
            .finish()
            .expect("written");
        let mut client = DigestClient::from_response(&Message::parse(bytes).expect("readable")).expect("answerable");
        assert_eq!((client.header(), client.realm()), (Name::ProxyAuthorization, "r"));
        let value = client.authorize(&account("s3cret"), "INVITE", "sip:h", b"", "cn");
        assert!(value.contains("qop=auth, nc=00000001") && value.contains("opaque=\"o\""), "{value}");
    }

    #[test]
    fn what_is_missing_malformed_or_for_another_realm_is_told_apart() {
        let mut server = server(&[Algorithm::SHA_256]);
        let mut client = challenge(&mut server);
        let good = client.authorize(&account("s3cret"), "BYE", "sip:h", b"", "cn");
        for (what, value, outcome) in [
            ("another realm", good.replace("realm=\"strowger\"", "realm=\"other\""), Outcome::Missing),
            ("another scheme", "Basic MTAwMTpzM2NyZXQ=".into(), Outcome::Missing),
            ("a count in words", good.replace("nc=00000001", "nc=one"), refused(Refusal::Malformed)),
            ("a short count", good.replace("nc=00000001", "nc=1"), refused(Refusal::Malformed)),
            ("a count of zero", good.replace("nc=00000001", "nc=00000000"), refused(Refusal::Malformed)),
            ("no cnonce", good.replace("cnonce", "xnonce"), refused(Refusal::Malformed)),
            ("no response", good.replace("response", "xresponse"), refused(Refusal::Malformed)),
            ("a protection nobody knows", good.replace("qop=auth", "qop=x"), refused(Refusal::Malformed)),
            ("a weaker algorithm than offered", good.replace("SHA-256", "MD5"), refused(Refusal::Algorithm)),
            (
                "another user",
                good.replace("1001", "1002"),
                Outcome::Refused { user: "1002".into(), why: Refusal::WrongPassword },
            ),
        ] {
            let m = request("BYE", "sip:h", &value, "");
            assert_eq!(server.check(NOW, &m, Name::Authorization, stored), outcome, "{what}");
        }
        let m = request("BYE", "sip:h", &good, "");
        assert_eq!(server.check(NOW, &m, Name::Authorization, stored), accepted());
        assert_eq!(server.check(NOW, &m, Name::ProxyAuthorization, stored), Outcome::Missing);
    }
}

//! Digest authentication as the foreign side does it (RFC 7616, RFC 8760), over the raw text of the wire.
//!
//! rsip's own generator prints `nc` in decimal and rewrites the URI it hashes, so the header text is made here.
//! [`Login`] answers challenges, [`Gate`] makes and checks them; both know MD5 and SHA-256 with `qop=auth` or none.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::rsip_wire::{Method, Received, Start};

/// A hash of RFC 7616 §6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Algorithm::Md5, Algorithm::Sha256].into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// What a person types into the phone's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl Credentials {
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned() }
    }
}

/// A challenge from WWW-Authenticate (401) or Proxy-Authenticate (407).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    /// The list of `qop` holds `auth`.
    pub qop_auth: bool,
    pub stale: bool,
    /// Came in Proxy-Authenticate: the answer goes into Proxy-Authorization.
    pub proxy: bool,
}

impl Challenge {
    /// The first challenge of a 401 or 407 that we can answer: the server lists them in its order of preference
    /// (RFC 8760 §2.4).
    pub fn of(response: &Received) -> Option<Self> {
        let www = response.headers_named("WWW-Authenticate").map(|text| (text, false));
        let proxy = response.headers_named("Proxy-Authenticate").map(|text| (text, true));
        www.chain(proxy).find_map(|(text, proxy)| Self::parse(text, proxy))
    }

    fn parse(text: &str, proxy: bool) -> Option<Self> {
        let fields = fields(text)?;
        let algorithm = Algorithm::from_name(field(&fields, "algorithm").unwrap_or("MD5"))?;
        let qop = field(&fields, "qop");
        let qop_auth = qop.is_some_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if qop.is_some() && !qop_auth {
            return None;
        }
        Some(Self {
            realm: field(&fields, "realm")?.to_owned(),
            nonce: field(&fields, "nonce")?.to_owned(),
            opaque: field(&fields, "opaque").map(str::to_owned),
            algorithm,
            qop_auth,
            stale: field(&fields, "stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            proxy,
        })
    }
}

/// A phone's side: its credentials and the last challenge, whose nonce it goes on using with a rising count.
#[derive(Clone, Debug)]
pub struct Login {
    credentials: Credentials,
    challenge: Option<Challenge>,
    nonce_count: u32,
}

impl Login {
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, challenge: None, nonce_count: 0 }
    }

    /// Takes a new challenge; the count begins anew with its nonce.
    pub fn challenged(&mut self, challenge: Challenge) {
        if self.challenge.as_ref().is_none_or(|last| last.nonce != challenge.nonce) {
            self.nonce_count = 0;
        }
        self.challenge = Some(challenge);
    }

    /// The header (name and text) that answers the last challenge for one more request; `None` before the first.
    pub fn answer(&mut self, method: Method, uri: &str, cnonce: &str) -> Option<(&'static str, String)> {
        let challenge = self.challenge.as_ref()?;
        self.nonce_count = self.nonce_count.saturating_add(1);
        let Credentials { username, password } = &self.credentials;
        let count = format!("{:08x}", self.nonce_count);
        let response = Response {
            algorithm: challenge.algorithm,
            username,
            realm: &challenge.realm,
            password,
            method: method.as_str(),
            uri,
            nonce: &challenge.nonce,
            qop: challenge.qop_auth.then_some((count.as_str(), cnonce)),
        }
        .compute();
        let Challenge { realm, nonce, algorithm, .. } = challenge;
        let mut text = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={}",
            algorithm.name()
        );
        if challenge.qop_auth {
            text.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &challenge.opaque {
            text.push_str(&format!(", opaque=\"{opaque}\""));
        }
        Some((if challenge.proxy { "Proxy-Authorization" } else { "Authorization" }, text))
    }
}

/// A carrier's side: asks for digest and checks the answers, one nonce at a time.
#[derive(Clone, Debug)]
pub struct Gate {
    realm: String,
    credentials: Credentials,
    algorithm: Algorithm,
    nonce: String,
    highest_count: u32,
}

/// What a [`Gate`] makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Welcome,
    /// No Authorization, or one for an older nonce: challenge (again).
    Challenge {
        stale: bool,
    },
    /// Wrong user or password, or made for another URI.
    Forbidden,
}

impl Gate {
    pub fn new(realm: &str, credentials: Credentials, algorithm: Algorithm, first_nonce: String) -> Self {
        Self { realm: realm.to_owned(), credentials, algorithm, nonce: first_nonce, highest_count: 0 }
    }

    /// Forgets the current nonce: answers that use it are stale from now on.
    pub fn renew(&mut self, nonce: String) {
        self.nonce = nonce;
        self.highest_count = 0;
    }

    /// The text of WWW-Authenticate.
    pub fn challenge(&self, stale: bool) -> String {
        format!(
            "Digest realm=\"{}\", nonce=\"{}\", algorithm={}, qop=\"auth\"{}",
            self.realm,
            self.nonce,
            self.algorithm.name(),
            if stale { ", stale=true" } else { "" }
        )
    }

    /// Checks a request's Authorization; a count that was used before is a replay and counts as stale.
    pub fn admit(&mut self, request: &Received) -> Admission {
        let Some(fields) = request.header("Authorization").and_then(fields) else {
            return Admission::Challenge { stale: false };
        };
        let get = |name: &str| field(&fields, name).unwrap_or_default();
        if get("nonce") != self.nonce {
            return Admission::Challenge { stale: true };
        }
        let count = u32::from_str_radix(get("nc"), 16).unwrap_or(0);
        let expected = Response {
            algorithm: self.algorithm,
            username: &self.credentials.username,
            realm: &self.realm,
            password: &self.credentials.password,
            method: request.method.as_str(),
            uri: get("uri"),
            nonce: &self.nonce,
            qop: (get("qop") == "auth").then_some((get("nc"), get("cnonce"))),
        }
        .compute();
        // RFC 7616 §3.4.6: the digest must have been made for this very request.
        let same_uri = matches!(&request.start, Start::Request { uri, .. } if uri.to_string() == get("uri"));
        if !same_uri || get("username") != self.credentials.username || get("response") != expected {
            return Admission::Forbidden;
        }
        if count <= self.highest_count {
            return Admission::Challenge { stale: true };
        }
        self.highest_count = count;
        Admission::Welcome
    }
}

/// What goes into the hash.
struct Response<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// `nc` and `cnonce` as they stand on the wire, where `qop=auth`.
    qop: Option<(&'a str, &'a str)>,
}

impl Response<'_> {
    /// RFC 7616 §3.4.1, and RFC 2069's form where the challenge has no `qop`.
    fn compute(&self) -> String {
        let Self { algorithm, username, realm, password, method, uri, nonce, qop } = self;
        let secret = algorithm.hash(&format!("{username}:{realm}:{password}"));
        let request = algorithm.hash(&format!("{method}:{uri}"));
        match qop {
            Some((count, cnonce)) => algorithm.hash(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}")),
            None => algorithm.hash(&format!("{secret}:{nonce}:{request}")),
        }
    }
}

/// The parameters of a `Digest` header, unquoted; `None` where the scheme is another.
fn fields(text: &str) -> Option<Vec<(String, String)>> {
    let (scheme, mut rest) = text.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let mut fields = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, tail) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (value, tail) = quoted.split_once('"')?;
                (value, tail.split_once(',').map_or("", |(_, tail)| tail))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
        rest = tail;
    }
    Some(fields)
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rsip_wire::{Draft, SipUri};

    /// RFC 7616 §3.9.1: one request, answered in MD5 and in SHA-256.
    fn mufasa(algorithm: Algorithm) -> String {
        Response {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
        }
        .compute()
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        assert_eq!(mufasa(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(mufasa(Algorithm::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    #[test]
    fn the_example_of_rfc_2069_comes_out_where_no_qop_is_offered() {
        // RFC 2069 §2.4 with the response of its erratum 749.
        let response = Response {
            algorithm: Algorithm::Md5,
            username: "Mufasa",
            realm: "testrealm@host.com",
            password: "CircleOfLife",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop: None,
        };
        assert_eq!(response.compute(), "1949323746fe6a43ef61f9606e7febea");
    }

    fn request(authorization: Option<&str>) -> Received {
        let mut draft = Draft::request(Method::Register, SipUri::of_domain("example.com"))
            .with("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKb")
            .with("From", "<sip:a@example.com>;tag=1")
            .with("To", "<sip:a@example.com>")
            .with("Call-ID", "x")
            .with("CSeq", "1 REGISTER");
        if let Some(text) = authorization {
            draft.set("Authorization", text);
        }
        Received::parse(&draft.write()).unwrap()
    }

    #[test]
    fn a_login_passes_its_gate_hundreds_of_times_on_one_nonce_and_a_replay_does_not() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let mut gate = Gate::new("example.com", Credentials::new("a", "pw"), algorithm, "n1".into());
            let mut login = Login::new(Credentials::new("a", "pw"));
            assert_eq!(login.answer(Method::Register, "sip:example.com", "c"), None);
            assert_eq!(gate.admit(&request(None)), Admission::Challenge { stale: false });
            login.challenged(Challenge::parse(&gate.challenge(false), false).unwrap());
            let mut last = String::new();
            for _ in 0..300 {
                let (name, text) = login.answer(Method::Register, "sip:example.com", "c").unwrap();
                assert_eq!(name, "Authorization");
                assert_eq!(gate.admit(&request(Some(&text))), Admission::Welcome);
                last = text;
            }
            assert!(last.contains("nc=0000012c"), "{last}");
            assert_eq!(gate.admit(&request(Some(&last))), Admission::Challenge { stale: true });
            gate.renew("n2".into());
            assert_eq!(gate.admit(&request(Some(&last))), Admission::Challenge { stale: true });
        }
    }

    #[test]
    fn a_wrong_password_is_forbidden() {
        let mut gate = Gate::new("example.com", Credentials::new("a", "pw"), Algorithm::Md5, "n1".into());
        let mut login = Login::new(Credentials::new("a", "wrong"));
        login.challenged(Challenge::parse(&gate.challenge(false), false).unwrap());
        let (_, text) = login.answer(Method::Register, "sip:example.com", "c").unwrap();
        assert_eq!(gate.admit(&request(Some(&text))), Admission::Forbidden);
    }

    #[test]
    fn the_first_challenge_that_we_know_is_answered() {
        let response = Draft::response(401)
            .with("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKb")
            .with("From", "<sip:a@example.com>;tag=1")
            .with("To", "<sip:a@example.com>;tag=2")
            .with("Call-ID", "x")
            .with("CSeq", "1 REGISTER")
            .with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"1\", algorithm=SHA-512-256, qop=\"auth\"")
            .with("WWW-Authenticate", "Digest realm=\"r, s\", nonce=\"2\", algorithm=SHA-256, qop=\"auth-int,auth\"")
            .with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"3\"");
        let challenge = Challenge::of(&Received::parse(&response.write()).unwrap()).unwrap();
        assert_eq!((challenge.algorithm, challenge.nonce.as_str()), (Algorithm::Sha256, "2"));
        assert_eq!(challenge.realm, "r, s");
        assert!(challenge.qop_auth && !challenge.proxy && !challenge.stale);
    }
}

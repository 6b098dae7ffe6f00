//! The client's side: answering a 401 or 407.

use thiserror::Error;

use super::{Algorithm, Ha1, HashFunction, Ingredients, Qop};
use crate::sip::Message;
use crate::sip::header::{AuthParams, Name};
use crate::sip::write::Quoted;

/// Who we are towards a trunk or a registrar.
#[derive(Clone)]
pub struct Account {
    pub user: String,
    pub password: String,
}

/// The memory of one challenge: its nonce is used again with a rising count, which saves a round trip a request.
#[derive(Clone, Debug)]
pub struct DigestClient {
    header: Name,
    algorithm: Algorithm,
    qop: Qop,
    /// As written between the quotes: it goes back the way it came.
    realm_raw: String,
    /// Escapes undone: it enters HA1's text as the person who typed the password saw it. See [`DigestClient::realm`].
    realm: String,
    nonce: String,
    opaque: Option<String>,
    stale: bool,
    count: u32,
}

/// Why a 401 or 407 cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unanswerable {
    #[error("the response challenges nobody")]
    NoChallenge,
    #[error("no challenge has a scheme, algorithm and qop known here")]
    Unsupported,
}

impl DigestClient {
    /// Takes the strongest challenge that can be answered; among equals the topmost (RFC 7616 §3.7, RFC 8760 §2.4).
    pub fn from_response(response: &Message) -> Result<DigestClient, Unanswerable> {
        let mut challenged = false;
        let mut best: Option<DigestClient> = None;
        for (from, into) in
            [(Name::WwwAuthenticate, Name::Authorization), (Name::ProxyAuthenticate, Name::ProxyAuthorization)]
        {
            for challenge in response.auth(from) {
                challenged = true;
                let Some(client) = DigestClient::read(&challenge, into) else { continue };
                if best.as_ref().is_none_or(|best| client.algorithm.hash > best.algorithm.hash) {
                    best = Some(client);
                }
            }
        }
        best.ok_or(if challenged { Unanswerable::Unsupported } else { Unanswerable::NoChallenge })
    }

    fn read(challenge: &AuthParams<'_>, header: Name) -> Option<DigestClient> {
        if !challenge.is_digest() {
            return None;
        }
        let offers = challenge.get("qop").unwrap_or_default();
        let offered = |qop: &str| offers.split(',').any(|offer| offer.trim().eq_ignore_ascii_case(qop));
        let qop = match () {
            () if offers.is_empty() => Qop::None,
            // auth before auth-int: a border element that rewrites the SDP breaks the latter.
            () if offered("auth") => Qop::Auth,
            () if offered("auth-int") => Qop::AuthInt,
            () => return None,
        };
        Some(DigestClient {
            header,
            algorithm: Algorithm::parse(challenge.get("algorithm"))?,
            qop,
            realm_raw: challenge.get("realm")?.into(),
            realm: challenge.text("realm")?.into_owned(),
            nonce: challenge.get("nonce")?.into(),
            opaque: challenge.get("opaque").map(Into::into),
            stale: challenge.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
            count: 0,
        })
    }

    /// The header that the answer goes into.
    pub const fn header(&self) -> Name {
        self.header
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The server had nothing against the password, only against the nonce: answer again. Without it, a second challenge in a row
    /// means that the password is wrong, and asking a third time would loop.
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// The header's value for one more request. `uri` is the Request-URI as it will be written; `cnonce` is a fresh random token.
    pub fn authorize(&mut self, account: &Account, method: &str, uri: &str, body: &[u8], cnonce: &str) -> String {
        self.count = self.count.saturating_add(1);
        let nc = format!("{:08x}", self.count);
        let qop_text = match self.qop {
            Qop::None => "",
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        };
        let ha1 = Ha1::new(self.algorithm.hash, &account.user, &self.realm_raw, &account.password);
        let ingredients = Ingredients {
            algorithm: self.algorithm,
            nonce: &self.nonce,
            cnonce,
            nc: &nc,
            qop: self.qop,
            qop_text,
            method,
            uri,
            body,
        };
        let response = ingredients.response(&ha1);
        let mut value = format!(
            "Digest username={}, realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={}",
            Quoted(&account.user),
            self.realm_raw,
            self.nonce,
            self.algorithm,
        );
        if self.qop != Qop::None || self.algorithm.session {
            value += &format!(", cnonce=\"{cnonce}\"");
        }
        if self.qop != Qop::None {
            value += &format!(", qop={qop_text}, nc={nc}");
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque=\"{opaque}\"");
        }
        value
    }

    /// The hash function that the account's secret is needed for.
    pub const fn hash(&self) -> HashFunction {
        self.algorithm.hash
    }
}

impl core::fmt::Debug for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

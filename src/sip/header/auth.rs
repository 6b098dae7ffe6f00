//! Challenges and credentials as text: `Digest name="value", name=value` (RFC 3261 §20.7, §20.44, RFC 7616 §3).

use std::borrow::Cow;

use super::params::{unescape, without_quotes};
use super::scan::{Elements, find_unquoted, is_space, is_token, trim, utf8};
use crate::sip::Invalid;

/// The value of WWW-Authenticate, Proxy-Authenticate, Authorization or Proxy-Authorization.
///
/// Digest is computed over these raw slices: nothing here is parsed and printed again.
#[derive(Clone, Copy, Debug)]
pub struct AuthParams<'a> {
    scheme: &'a str,
    raw: &'a [u8],
}

impl<'a> AuthParams<'a> {
    pub fn parse(value: &'a [u8]) -> Result<AuthParams<'a>, Invalid> {
        let value = trim(value);
        let end = value.iter().position(|&b| is_space(b)).unwrap_or(value.len());
        let (scheme, raw) = value.split_at_checked(end).unwrap_or((value, b""));
        let scheme = utf8(scheme).filter(|s| is_token(s.as_bytes())).ok_or(Invalid::Value("it has no scheme"))?;
        Ok(AuthParams { scheme, raw })
    }

    /// `Digest`, `Basic`, … as written.
    pub const fn scheme(&self) -> &'a str {
        self.scheme
    }

    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }

    /// The value with its quotes left off and its escapes kept: the text that enters the hash (RFC 7616 §3.4 `unq`).
    pub fn get(&self, name: &str) -> Option<&'a str> {
        Elements::new(self.raw).find_map(|element| {
            let at = find_unquoted(element, b'=')?;
            let found = utf8(trim(element.get(..at)?))?;
            if !found.eq_ignore_ascii_case(name) {
                return None;
            }
            utf8(trim(element.get(at + 1..)?)).map(without_quotes)
        })
    }

    /// The value with `\"` and `\\` undone, to compare with what a person typed.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(unescape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_text_and_lose_their_quotes() {
        let auth = AuthParams::parse(
            br#"Digest  Username="a,b \"c\"" ,realm="r", nc=0000000a,uri="sip:e;transport=tcp",qop=auth , opaque="""#,
        )
        .expect("credentials");
        assert!(auth.is_digest());
        assert_eq!(
            (auth.get("username"), auth.text("username").as_deref()),
            (Some(r#"a,b \"c\""#), Some(r#"a,b "c""#))
        );
        assert_eq!((auth.get("nc"), auth.get("uri")), (Some("0000000a"), Some("sip:e;transport=tcp")));
        assert_eq!((auth.get("qop"), auth.get("opaque"), auth.get("cnonce")), (Some("auth"), Some(""), None));
    }

    #[test]
    fn other_schemes_are_seen_and_nothing_is_none() {
        assert!(AuthParams::parse(b"Basic QWxhZGRpbg==").is_ok_and(|a| !a.is_digest()));
        assert!(AuthParams::parse(b"").is_err() && AuthParams::parse(b"\"x\" y").is_err());
    }
}

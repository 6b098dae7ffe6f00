//! Via: the way back (RFC 3261 §20.42, RFC 3581).

use core::net::IpAddr;

use super::scan::{is_space, is_token, quotes_balance, trim, trim_start, utf8};
use super::{Name, Params};
use crate::sip::{Host, Invalid};

/// One Via element: `SIP/2.0/UDP host:port;branch=…`.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    transport: &'a str,
    host: Host<'a>,
    port: Option<u16>,
    params: Params<'a>,
}

/// What a branch begins with where its maker follows RFC 3261 (§8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

impl<'a> Via<'a> {
    /// White space is legal round each `/`, before the host, and round `:` and `;` (RFC 4475 §3.1.1.1).
    pub fn parse(element: &'a [u8]) -> Result<Via<'a>, Invalid> {
        Via::read(element).ok_or(Invalid::Header(Name::Via))
    }

    fn read(element: &'a [u8]) -> Option<Via<'a>> {
        let rest = trim_start(after_protocol(element)?);
        let (transport, rest) = rest.split_at_checked(rest.iter().position(|&b| is_space(b))?)?;
        let (sent_by, params) = match memchr::memchr(b';', rest) {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
            None => (rest, &b""[..]),
        };
        if !is_token(transport) || !quotes_balance(params) {
            return None;
        }
        let (host, port) = Host::parse_with_port(utf8(trim(sent_by))?).ok()?;
        Some(Via { transport: utf8(transport)?, host, port, params: Params::new(params) })
    }

    /// As written: `UDP`, `tcp`, `UNKNOWN`. Compare without case.
    pub const fn transport(&self) -> &'a str {
        self.transport
    }

    pub const fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port of sent-by as written; absent means the transport's default.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    pub const fn params(&self) -> Params<'a> {
        self.params
    }

    pub fn branch(&self) -> Option<&'a str> {
        self.params.get("branch")
    }

    /// The branch, where it may identify the transaction: magic cookie and something after it.
    /// `None` sends the server to the matching rules of RFC 2543 (RFC 3261 §17.2.3, RFC 4475 §3.2.1).
    pub fn transaction_branch(&self) -> Option<&'a str> {
        let branch = self.branch()?;
        let (cookie, rest) = branch.split_at_checked(BRANCH_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(BRANCH_COOKIE) && !rest.is_empty()).then_some(branch)
    }

    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text).parse().ok()
    }

    /// RFC 3581: `None` not asked for, `Some(None)` asked for, `Some(Some(port))` filled in by the server.
    pub fn rport(&self) -> Option<Option<u16>> {
        let param = self.params.iter().find(|p| p.name.eq_ignore_ascii_case("rport"))?;
        Some(param.value.and_then(|v| v.parse().ok()))
    }

    pub fn maddr(&self) -> Option<&'a str> {
        self.params.get("maddr")
    }
}

/// What follows `SIP/2.0/`, or any two tokens in their place.
fn after_protocol(element: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = element.strip_prefix(b"SIP/2.0/") {
        return Some(rest);
    }
    let (_protocol, rest) = split(element, b'/')?;
    let (_version, rest) = split(rest, b'/')?;
    Some(rest)
}

/// A token, then `mark`, with white space round both.
fn split(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(mark, text)?;
    let (token, rest) = (trim(text.get(..at)?), text.get(at + 1..)?);
    is_token(token).then_some((token, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Via<'_> {
        Via::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_way_back_is_read() {
        let v = via("SIP/2.0/TLS [2001:db8::9]:5061;branch=z9hG4bKx;rport=40000;received=2001:db8::9;maddr=h");
        assert_eq!((v.transport(), v.host().as_str(), v.port()), ("TLS", "[2001:db8::9]", Some(5061)));
        assert_eq!((v.rport(), v.received(), v.maddr()), (Some(Some(40000)), "2001:db8::9".parse().ok(), Some("h")));
        assert_eq!(v.transaction_branch(), Some("z9hG4bKx"));
        assert_eq!(via("SIP/2.0/UDP h;rport").rport(), Some(None));
        assert_eq!(via("SIP/2.0/UDP h").rport(), None);
        assert_eq!(via("SIP/2.0/UDP h : 5060").port(), Some(5060));
        assert_eq!(via("SIP/2.0/UDP h;received=[::1]").received(), "::1".parse().ok());
    }

    #[test]
    fn only_a_cookie_with_something_after_it_identifies() {
        assert_eq!(via("SIP/2.0/UDP h;branch=Z9HG4BKa").transaction_branch(), Some("Z9HG4BKa"));
        for old in [
            "SIP/2.0/UDP h;branch=z9hG4bK",
            "SIP/2.0/UDP h;branch=1",
            "SIP/2.0/UDP h",
            "SIP/2.0/UDP h;branch=\u{fc}\u{fc}\u{fc}\u{fc}",
        ] {
            assert_eq!(via(old).transaction_branch(), None, "{old}");
        }
    }

    #[test]
    fn half_a_via_is_none() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 UDP h",
            "SIP/2.0/UDP ",
            "SIP/2.0/UDP ;branch=1",
            "SIP/2.0/UDP h i",
            "SIP/2.0/UDP h:x",
            "SIP//UDP h",
        ] {
            assert!(Via::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

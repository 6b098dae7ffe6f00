//! The small structured values: CSeq, Event, Reason, RAck, Replaces, Session-Expires.

use super::scan::{decimal, is_space, is_token, trim, trim_start, utf8};
use super::{Name, Params};
use crate::sip::{Invalid, Method};

/// `CSeq: 4711 INVITE` (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31 (§8.1.1.5).
    pub number: u32,
    pub method: Method,
    /// The method as written.
    pub method_text: &'a str,
}

/// `Event: refer;id=93809824` (RFC 6665 §8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub package: &'a str,
    pub params: Params<'a>,
}

/// `Reason: Q.850;cause=16;text="…"` (RFC 3326).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    pub protocol: &'a str,
    pub params: Params<'a>,
}

/// `RAck: 776656 1 INVITE`: the RSeq and CSeq that a PRACK acknowledges (RFC 3262 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    pub rseq: u32,
    pub cseq: CSeq<'a>,
}

/// `Replaces: call-id;to-tag=…;from-tag=…;early-only` (RFC 3891 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    pub call_id: &'a str,
    pub to_tag: &'a str,
    pub from_tag: &'a str,
    pub early_only: bool,
}

/// Who re-INVITEs or UPDATEs to keep the session alive (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

/// `Session-Expires: 1800;refresher=uas` (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    pub seconds: u32,
    pub refresher: Option<Refresher>,
}

impl<'a> CSeq<'a> {
    pub fn parse(value: &'a [u8]) -> Result<CSeq<'a>, Invalid> {
        CSeq::read(value).ok_or(Invalid::Header(Name::CSeq))
    }

    fn read(value: &'a [u8]) -> Option<CSeq<'a>> {
        let (number, method) = word(value)?;
        let number = u32::try_from(decimal(number, (1 << 31) - 1)?).ok()?;
        let text = trim(method);
        let (method, method_text) = match Method::of(text) {
            Method::Other => (Method::Other, utf8(text).filter(|_| is_token(text))?),
            known => (known, known.as_str()),
        };
        Some(CSeq { number, method, method_text })
    }
}

impl<'a> Event<'a> {
    pub fn parse(value: &'a [u8]) -> Result<Event<'a>, Invalid> {
        let (package, params) = token_and_params(value).ok_or(Invalid::Header(Name::Event))?;
        Ok(Event { package, params })
    }
}

impl<'a> Reason<'a> {
    /// One element: a Reason header is a list.
    pub fn parse(element: &'a [u8]) -> Result<Reason<'a>, Invalid> {
        let (protocol, params) = token_and_params(element).ok_or(Invalid::Header(Name::Reason))?;
        Ok(Reason { protocol, params })
    }

    /// The Q.850 or SIP cause number.
    pub fn cause(&self) -> Option<u32> {
        self.params.number("cause")
    }
}

impl<'a> RAck<'a> {
    pub fn parse(value: &'a [u8]) -> Result<RAck<'a>, Invalid> {
        let read = || {
            let (rseq, rest) = word(value)?;
            let rseq = u32::try_from(decimal(rseq, u64::from(u32::MAX))?).ok()?;
            Some(RAck { rseq, cseq: CSeq::read(rest)? })
        };
        read().ok_or(Invalid::Header(Name::RAck))
    }
}

impl<'a> Replaces<'a> {
    /// Takes the value of a Replaces header, or of a URI's `?Replaces=` with its escapes undone.
    pub fn parse(value: &'a [u8]) -> Result<Replaces<'a>, Invalid> {
        let read = || {
            let at = memchr::memchr(b';', value)?;
            let call_id = utf8(trim(value.get(..at)?)).filter(|id| !id.is_empty())?;
            let params = Params::new(value.get(at + 1..)?);
            let (to_tag, from_tag) = (params.get("to-tag")?, params.get("from-tag")?);
            Some(Replaces { call_id, to_tag, from_tag, early_only: params.has("early-only") })
        };
        read().ok_or(Invalid::Header(Name::Replaces))
    }
}

impl SessionExpires {
    pub fn parse(value: &[u8]) -> Result<SessionExpires, Invalid> {
        let (seconds, params) = seconds_and_params(value).ok_or(Invalid::Header(Name::SessionExpires))?;
        let refresher = params.get("refresher").and_then(|who| {
            if who.eq_ignore_ascii_case("uac") {
                Some(Refresher::Uac)
            } else {
                who.eq_ignore_ascii_case("uas").then_some(Refresher::Uas)
            }
        });
        Ok(SessionExpires { seconds, refresher })
    }
}

/// `delta-seconds` with parameters: Session-Expires, Min-SE, and Retry-After up to its comment.
pub fn seconds_and_params(value: &[u8]) -> Option<(u32, Params<'_>)> {
    let value = trim(value);
    let digits = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
    let (number, rest) = value.split_at_checked(digits)?;
    let seconds = u32::try_from(decimal(number, u64::from(u32::MAX))?).ok()?;
    let params = match trim_start(rest) {
        [] | [b'(', ..] => Params::default(),
        [b';', rest @ ..] => Params::new(rest),
        _ => return None,
    };
    Some((seconds, params))
}

fn token_and_params(value: &[u8]) -> Option<(&str, Params<'_>)> {
    let (token, params) = match memchr::memchr(b';', value) {
        Some(at) => (value.get(..at)?, value.get(at + 1..)?),
        None => (value, &b""[..]),
    };
    let token = trim(token);
    Some((utf8(token).filter(|_| is_token(token))?, Params::new(params)))
}

/// The first word and what follows its white space.
fn word(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = trim_start(value);
    let end = value.iter().position(|&b| is_space(b))?;
    let (word, rest) = value.split_at_checked(end)?;
    Some((word, trim_start(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq_has_a_number_below_two_to_the_31_and_a_method() {
        assert_eq!(CSeq::parse(b"0009   INVITE").map(|c| (c.number, c.method)), Ok((9, Method::Invite)));
        assert_eq!(CSeq::parse(b"2147483647 FOO").map(|c| (c.method, c.method_text)), Ok((Method::Other, "FOO")));
        for bad in [&b"2147483648 INVITE"[..], b"1", b"INVITE 1", b"1 IN VITE", b"-1 INVITE", b"1INVITE", b""] {
            assert_eq!(CSeq::parse(bad), Err(Invalid::Header(Name::CSeq)), "{bad:?}");
        }
    }

    #[test]
    fn the_values_of_the_extensions_are_read() {
        let event = Event::parse(b"refer;id=93809824").expect("Event");
        assert_eq!((event.package, event.params.get("id")), ("refer", Some("93809824")));
        let reason = Reason::parse(b"Q.850 ;cause=16;text=\"Normal, clearing\"").expect("Reason");
        assert_eq!((reason.protocol, reason.cause()), ("Q.850", Some(16)));
        let rack = RAck::parse(b"776656 1 INVITE").expect("RAck");
        assert_eq!((rack.rseq, rack.cseq.number, rack.cseq.method), (776_656, 1, Method::Invite));
        let replaces =
            Replaces::parse(b"98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff;early-only").expect("Replaces");
        assert_eq!(
            (replaces.call_id, replaces.to_tag, replaces.from_tag),
            ("98732@sip.example.com", "ff87ff", "r33th4x0r")
        );
        assert!(replaces.early_only);
        let session = SessionExpires::parse(b"1800;refresher=UAS").expect("Session-Expires");
        assert_eq!(session, SessionExpires { seconds: 1800, refresher: Some(Refresher::Uas) });
        assert_eq!(seconds_and_params(b"120 (in a meeting)").map(|(s, _)| s), Some(120));
    }

    #[test]
    fn what_lacks_a_part_is_refused() {
        assert!(Event::parse(b";id=1").is_err() && RAck::parse(b"1 INVITE").is_err());
        assert!(Replaces::parse(b"id;to-tag=1").is_err() && Replaces::parse(b"id").is_err());
        assert!(SessionExpires::parse(b"soon").is_err() && SessionExpires::parse(b"90x").is_err());
    }
}

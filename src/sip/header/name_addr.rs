//! `"Display" <sip:user@host;uri-param>;header-param`: From, To, Contact, Route, Refer-To and their like (RFC 3261 §20.10).

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::params::unescape;
use super::scan::{is_space, quoted_len, quotes_balance, trim, trim_start, utf8};
use super::{Name, Params};
use crate::sip::{Invalid, Uri};

/// One address with its display name and header parameters.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    display: &'a [u8],
    uri: Uri<'a>,
    params: Params<'a>,
}

/// An element of Contact: `*` (REGISTER, all bindings) or an address.
#[derive(Clone, Copy, Debug)]
pub enum Contact<'a> {
    Star,
    Address(NameAddr<'a>),
}

impl<'a> NameAddr<'a> {
    /// One element. Without brackets everything after `;` belongs to the header, and `?` and `,` may not stand in the URI
    /// (RFC 3261 §20.10).
    pub fn parse(value: &'a [u8]) -> Result<NameAddr<'a>, Invalid> {
        let value = trim(value);
        let (display, rest) = match value.first() {
            Some(b'<') => (&b""[..], value),
            Some(b'"') => {
                let len = quoted_len(value).ok_or(Invalid::Value("a quoted string never ends"))?;
                let (display, rest) = value.split_at_checked(len).unwrap_or((value, b""));
                (display, trim_start(rest))
            }
            _ => match memchr2(b'<', b'"', value) {
                Some(at) if value.get(at) == Some(&b'<') => {
                    let (display, rest) = value.split_at_checked(at).unwrap_or((b"", value));
                    (trim(display), rest)
                }
                _ => return NameAddr::parse_bare(value),
            },
        };
        // RFC 4475 §3.1.2.15: a display name with a comma must be quoted, else it could be two elements.
        if display.first() != Some(&b'"') && memchr(b',', display).is_some() {
            return Err(Invalid::Value("a display name with a comma is not quoted"));
        }
        let inner = rest.strip_prefix(b"<").ok_or(Invalid::Value("after the display name `<` is missing"))?;
        let end = memchr(b'>', inner).ok_or(Invalid::Value("`>` is missing"))?;
        let (uri, rest) = inner.split_at_checked(end).unwrap_or((inner, b""));
        let params = NameAddr::params_of(rest.strip_prefix(b">").unwrap_or_default())?;
        Ok(NameAddr { display, uri: read_uri(uri)?, params })
    }

    fn parse_bare(value: &'a [u8]) -> Result<NameAddr<'a>, Invalid> {
        let end = value.iter().position(|&b| b == b';' || is_space(b)).unwrap_or(value.len());
        let (uri, rest) = value.split_at_checked(end).unwrap_or((value, b""));
        if memchr2(b'?', b',', uri).is_some() {
            return Err(Invalid::Value("a URI with `?` or `,` needs angle brackets"));
        }
        Ok(NameAddr { display: b"", uri: read_uri(uri)?, params: NameAddr::params_of(rest)? })
    }

    fn params_of(rest: &'a [u8]) -> Result<Params<'a>, Invalid> {
        let rest = trim(rest);
        if rest.is_empty() {
            return Ok(Params::default());
        }
        let params =
            rest.strip_prefix(b";").ok_or(Invalid::Value("after the URI something stands that is no parameter"))?;
        if !quotes_balance(params) {
            return Err(Invalid::Value("a quoted string never ends"));
        }
        Ok(Params::new(params))
    }

    /// The display name as written, quotes included, in any encoding; empty where there is none.
    pub const fn display_raw(&self) -> &'a [u8] {
        self.display
    }

    /// The display name for people: quotes and escapes undone, bytes that are not UTF-8 become U+FFFD.
    pub fn display(&self) -> Cow<'a, str> {
        let inner = self.display.strip_prefix(b"\"").and_then(|d| d.strip_suffix(b"\"")).unwrap_or(self.display);
        match utf8(inner) {
            Some(text) => unescape(text),
            None => Cow::Owned(unescape(&String::from_utf8_lossy(inner)).into_owned()),
        }
    }

    pub const fn uri(&self) -> Uri<'a> {
        self.uri
    }

    /// The header's parameters, not the URI's.
    pub const fn params(&self) -> Params<'a> {
        self.params
    }

    /// The dialog tag of From and To. Empty counts as absent.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }
}

impl<'a> Contact<'a> {
    pub fn parse(element: &'a [u8]) -> Result<Contact<'a>, Invalid> {
        if trim(element) == b"*" {
            return Ok(Contact::Star);
        }
        NameAddr::parse(element).map(Contact::Address).map_err(|_| Invalid::Header(Name::Contact))
    }

    pub const fn address(&self) -> Option<&NameAddr<'a>> {
        match self {
            Contact::Star => None,
            Contact::Address(address) => Some(address),
        }
    }

    /// The binding's own expiry in seconds. A malformed one is `None`: RFC 3261 §10.2.1.1 lets the registrar take its default.
    pub fn expires(&self) -> Option<u32> {
        self.address()?.params.number("expires")
    }

    /// Preference in thousandths, 1000 where absent or malformed (RFC 3261 §20.10).
    pub fn q(&self) -> u16 {
        self.address().and_then(|a| a.params.get("q")).and_then(thousandths).unwrap_or(1000)
    }
}

/// `qvalue`: `0`, `0.5`, `.5`, `1.000` → thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, b| sum * 10 + u16::from(b - b'0'));
    match whole {
        "0" | "" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

fn read_uri(text: &[u8]) -> Result<Uri<'_>, Invalid> {
    Uri::parse(utf8(text).ok_or(Invalid::Uri("it is not UTF-8"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parameters_belong_to_the_uri_inside_the_brackets_and_to_the_header_outside() {
        let inside = address("<sip:a@h;tag=uri>;tag=header");
        assert_eq!((inside.tag(), inside.uri().params().get("tag")), (Some("header"), Some("uri")));
        let bare = address("sip:a@h;tag=header");
        assert_eq!((bare.tag(), bare.uri().as_str()), (Some("header"), "sip:a@h"));
    }

    #[test]
    fn the_display_name_is_read_for_people_and_kept_for_the_wire() {
        let quoted = address(r#""A \"B\" \\ C"<sip:a@h>"#);
        assert_eq!(quoted.display(), r#"A "B" \ C"#);
        assert_eq!(quoted.display_raw(), br#""A \"B\" \\ C""#);
        assert_eq!(address("<sip:a@h>").display(), "");
        let latin1 = NameAddr::parse(b"Ren\xe9 <sip:a@h>").expect("readable");
        assert_eq!(latin1.display(), "Ren\u{fffd}");
        assert_eq!(latin1.display_raw(), b"Ren\xe9");
    }

    #[test]
    fn half_an_address_is_none() {
        for text in [
            "",
            "\"a",
            "\"a\"",
            "\"a\" x <sip:a@h>",
            "<sip:a@h",
            "<>",
            "a, b <sip:a@h>",
            "sip:a@h?x=y",
            "sip:a@h,b",
            "<sip:a@h> x",
            "<sip:a@h>;x=\"y",
            "< sip:a@h>",
            "sip:a@h b",
            "*",
        ] {
            assert!(NameAddr::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn contacts_have_a_preference_and_an_expiry_of_their_own() {
        let contact = |text: &'static str| Contact::parse(text.as_bytes()).expect("readable");
        assert!(matches!(contact(" * "), Contact::Star));
        for (text, q) in [
            ("0.5", 500),
            (".25", 250),
            ("1", 1000),
            ("1.000", 1000),
            ("0", 0),
            ("1.1", 1000),
            ("x", 1000),
            ("0.1234", 1000),
        ] {
            let text = format!("<sip:a@h>;q={text}");
            assert_eq!(Contact::parse(text.as_bytes()).map(|c| c.q()), Ok(q), "{text}");
        }
        assert_eq!(contact("<sip:a@h>").q(), 1000);
        assert_eq!(contact("<sip:a@h>;expires=60").expires(), Some(60));
        assert_eq!(contact("<sip:a@h>;expires=soon").expires(), None);
        assert_eq!(contact("<sip:a@h;expires=60>").expires(), None);
    }
}

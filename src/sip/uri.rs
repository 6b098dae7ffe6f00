//! URIs as they stand in SIP: sip, sips, tel, and any other scheme kept whole (RFC 3261 §19.1, RFC 3966).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;

use memchr::memchr;

use super::Invalid;
use super::header::Params;
use super::header::scan::{decimal, find_marked};

/// A borrowed URI. The text stays as it came, so `%40` or `transport=udp` are never rewritten.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    raw: &'a str,
    scheme: Scheme,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Host<'a>,
    port: Option<u16>,
    params: &'a str,
    headers: &'a str,
}

/// What kind of URI it is. A server answers 416 to an `Other` it is asked to call (RFC 3261 §8.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

/// A host as written: a name, an IPv4 address, or an IPv6 address in brackets. Compared without case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host<'a>(&'a str);

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone: no angle brackets, no white space round it.
    ///
    /// Lenient where the wire is (underscores in host names, `sip:@host`, broken `%` escapes, raw UTF-8 in the user part),
    /// strict where leniency would let one URI pass for another.
    pub fn parse(raw: &'a str) -> Result<Uri<'a>, Invalid> {
        let marks = Marks::of(raw)?;
        let (scheme, rest) = marks.scheme.and_then(|at| split(raw, at)).ok_or(Invalid::Uri("it has no scheme"))?;
        match Scheme::of(scheme) {
            kind @ (Scheme::Sip | Scheme::Sips) => Uri::parse_sip(raw, kind, &marks),
            Scheme::Tel => Uri::parse_tel(raw, rest),
            Scheme::Other if is_scheme(scheme) => Ok(Uri { raw, ..Uri::EMPTY }),
            Scheme::Other => Err(Invalid::Uri("its scheme has a character that no scheme has")),
        }
    }

    fn parse_sip(raw: &'a str, scheme: Scheme, marks: &Marks) -> Result<Uri<'a>, Invalid> {
        let cut =
            |from: Option<usize>, to: Option<usize>| -> Option<&'a str> { raw.get(from? + 1..to.unwrap_or(raw.len())) };
        let user =
            marks.at.and_then(|at| cut(marks.scheme, Some(marks.password.unwrap_or(at)))).filter(|u| !u.is_empty());
        let password = user.and_then(|_| cut(marks.password, marks.at));
        let host_port = cut(marks.at.or(marks.scheme), marks.params.or(marks.headers)).unwrap_or_default();
        let (host, port) = Host::parse_with_port(host_port)?;
        let params = cut(marks.params, marks.headers).unwrap_or_default();
        let headers = cut(marks.headers, None).unwrap_or_default();
        Ok(Uri { raw, scheme, user, password, host, port, params, headers })
    }

    fn parse_tel(raw: &'a str, rest: &'a str) -> Result<Uri<'a>, Invalid> {
        let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
        if number.is_empty() {
            return Err(Invalid::Uri("the number is empty"));
        }
        Ok(Uri { raw, scheme: Scheme::Tel, user: Some(number), params, ..Uri::EMPTY })
    }

    const EMPTY: Uri<'static> = Uri {
        raw: "",
        scheme: Scheme::Other,
        user: None,
        password: None,
        host: Host(""),
        port: None,
        params: "",
        headers: "",
    };

    /// The whole URI as it came.
    pub const fn as_str(&self) -> &'a str {
        self.raw
    }

    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part of a SIP URI, the number of a tel URI, escapes kept. `john.doe`, `+15551234567;npdi;rn=…`.
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The user part with `%HH` undone; bytes that are not UTF-8 become U+FFFD.
    pub fn user_text(&self) -> Option<Cow<'a, str>> {
        self.user.map(unescape)
    }

    pub const fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// Empty for tel and other schemes.
    pub const fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port as written. Absent is not 5060: it lets DNS decide (RFC 3263).
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    pub const fn params(&self) -> Params<'a> {
        Params::new(self.params.as_bytes())
    }

    /// What follows `?`, as written: `Replaces=…&Subject=…`.
    pub const fn headers_text(&self) -> &'a str {
        self.headers
    }

    /// The URI's headers as (name, value), escapes undone.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.headers.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        })
    }

    /// `lr` is there: the next hop is a loose router (RFC 3261 §16.12). `lr=on` counts.
    pub fn is_loose_router(&self) -> bool {
        self.params().has("lr")
    }

    /// RFC 3261 §19.1.4: do both URIs name the same resource? Not transitive, so it is not `==`.
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => self.is_equivalent_sip(other),
            (Scheme::Tel, Scheme::Tel) => self.is_equivalent_tel(other),
            (Scheme::Other, Scheme::Other) => self.raw == other.raw,
            _ => false,
        }
    }

    fn is_equivalent_sip(&self, other: &Uri<'_>) -> bool {
        same_option(self.user, other.user, false)
            && same_option(self.password, other.password, false)
            && self.host.is_same(&other.host)
            && self.port == other.port
            && same_params(self.params(), other.params(), &["user", "ttl", "method", "maddr", "transport"])
            && self.holds_headers_of(other)
            && other.holds_headers_of(self)
    }

    /// RFC 3966 §4: visual separators say nothing, parameters other than these three are compared where both have them.
    fn is_equivalent_tel(&self, other: &Uri<'_>) -> bool {
        let digits = |uri: &Uri<'_>| -> Vec<u8> {
            let number = uri.user.unwrap_or_default().bytes();
            number.filter(|b| !matches!(b, b'-' | b'.' | b'(' | b')')).map(|b| b.to_ascii_lowercase()).collect()
        };
        digits(self) == digits(other) && same_params(self.params(), other.params(), &["phone-context", "ext", "isub"])
    }

    fn holds_headers_of(&self, other: &Uri<'_>) -> bool {
        other.headers().all(|(name, value)| self.headers().any(|(n, v)| n.eq_ignore_ascii_case(&name) && v == value))
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw)
    }
}

impl Scheme {
    fn of(text: &str) -> Scheme {
        if text == "sip" || text.eq_ignore_ascii_case("sip") {
            Scheme::Sip
        } else if text.eq_ignore_ascii_case("sips") {
            Scheme::Sips
        } else if text.eq_ignore_ascii_case("tel") {
            Scheme::Tel
        } else {
            Scheme::Other
        }
    }
}

impl<'a> Host<'a> {
    /// `host`, `host:port`, `[v6]`, `[v6]:port`.
    pub fn parse_with_port(text: &'a str) -> Result<(Host<'a>, Option<u16>), Invalid> {
        if let Some(plain) = Host::plain_with_port(text) {
            return Ok(plain);
        }
        let host_len = if text.starts_with('[') {
            memchr(b']', text.as_bytes()).map(|at| at + 1).ok_or(Invalid::Uri("the IPv6 address has no `]`"))?
        } else {
            memchr(b':', text.as_bytes()).unwrap_or(text.len())
        };
        let (host, port) = text.split_at_checked(host_len).ok_or(Invalid::Uri("the host cannot be read"))?;
        let (host, port) = (Host::parse(host.trim_end())?, port.trim());
        if port.is_empty() {
            return Ok((host, None));
        }
        let digits = port.strip_prefix(':').ok_or(Invalid::Uri("after the host something stands that is no port"))?;
        let port = decimal(digits.trim().as_bytes(), u64::from(u16::MAX)).and_then(|p| u16::try_from(p).ok());
        Ok((host, Some(port.ok_or(Invalid::Uri("the port is not a number up to 65535"))?)))
    }

    /// The usual case in one pass: a name or an IPv4 address, without white space.
    fn plain_with_port(text: &'a str) -> Option<(Host<'a>, Option<u16>)> {
        let len = find_marked(text.as_bytes(), &NO_HOST_NAME).unwrap_or(text.len());
        let (host, rest) = text.split_at_checked(len).filter(|(host, _)| !host.is_empty())?;
        let port = match rest.as_bytes() {
            [] => None,
            [b':', digits @ ..] => Some(u16::try_from(decimal(digits, u64::from(u16::MAX))?).ok()?),
            _ => return None,
        };
        Some((Host(host), port))
    }

    /// A host alone; IPv6 in brackets.
    pub fn parse(text: &'a str) -> Result<Host<'a>, Invalid> {
        if let Some(v6) = text.strip_prefix('[') {
            let v6 = v6.strip_suffix(']').ok_or(Invalid::Uri("the IPv6 address has no `]`"))?;
            v6.parse::<Ipv6Addr>().map_err(|_| Invalid::Uri("that is no IPv6 address"))?;
            return Ok(Host(text));
        }
        if text.is_empty() || find_marked(text.as_bytes(), &NO_HOST_NAME).is_some() {
            return Err(Invalid::Uri("the host is empty or has a character that no host has"));
        }
        Ok(Host(text))
    }

    /// As written; IPv6 with its brackets.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// The address, where the host is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
            None => self.0.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
    }

    /// Names without case, addresses by value (`[::1]` is `[0:0::1]`).
    pub fn is_same(&self, other: &Host<'_>) -> bool {
        self.0.eq_ignore_ascii_case(other.0) || self.ip().is_some_and(|ip| other.ip() == Some(ip))
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Where the parts of a SIP URI part, found in one pass. Offsets of the marks themselves.
#[derive(Default)]
struct Marks {
    /// The first `:`.
    scheme: Option<usize>,
    /// The `:` between user and password.
    password: Option<usize>,
    /// The first `@`.
    at: Option<usize>,
    /// The `;` after host and port.
    params: Option<usize>,
    /// The `?` after those.
    headers: Option<usize>,
}

impl Marks {
    /// Refuses what stands in no URI.
    fn of(raw: &str) -> Result<Marks, Invalid> {
        let (mut marks, mut colon, mut place) = (Marks::default(), None, 0);
        while let Some((skipped, byte)) = next_mark(raw.as_bytes().get(place..).unwrap_or_default()) {
            place += skipped;
            match byte {
                b':' if marks.scheme.is_none() => marks.scheme = Some(place),
                b':' => colon = colon.or(Some(place)),
                // The user part may hold `;` and `?` (RFC 4475 §3.1.1.9): what was found before the `@` is part of it.
                b'@' if marks.at.is_none() => {
                    marks = Marks { scheme: marks.scheme, password: colon, at: Some(place), ..Marks::default() };
                }
                b';' if marks.headers.is_none() => marks.params = marks.params.or(Some(place)),
                b'?' => marks.headers = marks.headers.or(Some(place)),
                b'@' | b';' => {}
                _ => {
                    return Err(Invalid::Uri("a space, a control character, a quote or an angle bracket stands in it"));
                }
            }
            place += 1;
        }
        Ok(marks)
    }
}

/// How many bytes stand before the next mark, and the mark.
fn next_mark(text: &[u8]) -> Option<(usize, u8)> {
    let at = find_marked(text, &MARKS)?;
    Some((at, *text.get(at)?))
}

/// The marks that part a URI, and what stands in no URI: white space, control characters, quotes, angle brackets.
static MARKS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let parts = matches!(byte as u8, b':' | b'@' | b';' | b'?');
        table[byte] = parts || byte <= 0x20 || matches!(byte as u8, 0x7f | b'<' | b'>' | b'"');
        byte += 1;
    }
    table
};

/// What stands in no host name and in no IPv4 address. Underscores are not legal, and not rare.
static NO_HOST_NAME: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        byte += 1;
    }
    table
};

/// Undoes `%HH`. A broken escape stays as it is; bytes that are not UTF-8 become U+FFFD. Borrows where there is no escape.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let out: Vec<u8> = Unescaped { rest: text.as_bytes() }.map(|(byte, _)| byte).collect();
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Escapes what may not stand in a user part (RFC 3261 §25.1 `user`): `alice@corp` → `alice%40corp`.
pub fn escape_user(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b);
    escape(text, plain)
}

/// Escapes what may not stand in a URI's header value (RFC 3261 §25.1 `hvalue`): for `Refer-To: <sip:…?Replaces=…>`.
pub fn escape_header_value(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()[]/?:+$".contains(&b);
    escape(text, plain)
}

fn escape(text: &str, plain: impl Fn(u8) -> bool) -> Cow<'_, str> {
    use core::fmt::Write;
    if text.bytes().all(&plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    Cow::Owned(out)
}

/// What stands before and after the ASCII character at `at`.
fn split(text: &str, at: usize) -> Option<(&str, &str)> {
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Bytes with `%HH` undone, and whether a byte came from an escape.
struct Unescaped<'a> {
    rest: &'a [u8],
}

impl Iterator for Unescaped<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        if let [b'%', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.rest = rest;
            return Some((high << 4 | low, true));
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some((*first, false))
    }
}

/// RFC 3261 §19.1.4: a character outside `reserved` equals its escape; a reserved one does not.
fn same_text(a: &str, b: &str, ignore_case: bool) -> bool {
    let normal = |text: &str| -> Vec<(u8, bool)> {
        Unescaped { rest: text.as_bytes() }
            .map(|(byte, escaped)| {
                let byte = if ignore_case { byte.to_ascii_lowercase() } else { byte };
                (byte, escaped && b";/?:@&=+$,".contains(&byte))
            })
            .collect()
    };
    let equal = if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
    equal || normal(a) == normal(b)
}

fn same_option(a: Option<&str>, b: Option<&str>, ignore_case: bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same_text(a, b, ignore_case),
        (None, None) => true,
        _ => false,
    }
}

/// Parameters that both have must match; those in `never_alone` must not stand in one only.
fn same_params(a: Params<'_>, b: Params<'_>, never_alone: &[&str]) -> bool {
    let one_way = |a: Params<'_>, b: Params<'_>| {
        a.iter().all(|param| match b.iter().find(|p| p.name.eq_ignore_ascii_case(param.name)) {
            Some(twin) => same_option(param.value, twin.value, true),
            None => !never_alone.iter().any(|name| name.eq_ignore_ascii_case(param.name)),
        })
    };
    one_way(a, b) && one_way(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_parts_of_a_sip_uri_stand_where_they_should() {
        let u =
            uri("sips:+15551234567;npdi;rn=+1:pw@[2001:db8::10]:5070;transport=tcp;lr?Subject=a%20b&Priority=urgent");
        assert_eq!((u.scheme(), u.user(), u.password()), (Scheme::Sips, Some("+15551234567;npdi;rn=+1"), Some("pw")));
        assert_eq!((u.host().as_str(), u.port()), ("[2001:db8::10]", Some(5070)));
        assert_eq!(u.host().ip(), "2001:db8::10".parse().ok());
        assert!(u.is_loose_router());
        assert_eq!(u.params().get("Transport"), Some("tcp"));
        let headers: Vec<_> = u.headers().collect();
        assert_eq!(headers, [("Subject".into(), Cow::<str>::from("a b")), ("Priority".into(), "urgent".into())]);
    }

    #[test]
    fn lenient_where_the_wire_is() {
        assert_eq!(uri("sip:@192.0.2.1").user(), None);
        assert_eq!(uri("SIP:my_pbx").host().as_str(), "my_pbx");
        assert_eq!(uri("sip:100%@h").user_text().as_deref(), Some("100%"));
        assert_eq!(uri("sip:张@h").user(), Some("张"));
        assert_eq!(uri("tel:+1-555;phone-context=+1").user(), Some("+1-555"));
        assert_eq!(uri("urn:service:sos").scheme(), Scheme::Other);
    }

    #[test]
    fn what_could_pass_for_something_else_is_refused() {
        for text in [
            "",
            "sip",
            "sip:",
            "sip:@",
            ":x",
            "1sip:x",
            "sip:a@",
            "sip:a@b@c",
            "sip:a b@c",
            "<sip:a@b>",
            "sip:a@b:",
            "sip:a@b:x",
            "sip:a@b:65536",
            "sip:a@[::1",
            "sip:a@[g::1]",
            "sip:a@[::1]x",
            "sip:a@h,i",
            "sip:a@h/i",
            "tel:",
            "sip:a\r\nb@c",
            "sip:a\"@c",
        ] {
            assert!(Uri::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_equal_pairs_of_rfc_3261_are_equal() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
            ("tel:+1(555)12-34", "tel:+15551234"),
        ] {
            assert!(uri(a).is_equivalent(&uri(b)) && uri(b).is_equivalent(&uri(a)), "{a} {b}");
        }
    }

    #[test]
    fn the_unequal_pairs_of_rfc_3261_are_not_equal() {
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@h;user=phone", "sip:a@h"),
            ("sip:a@h", "sips:a@h"),
            // A reserved character is not its escape.
            ("sip:a%3Bb@h", "sip:a;b@h"),
            ("sip:a@h", "sip:h"),
        ] {
            assert!(!uri(a).is_equivalent(&uri(b)) && !uri(b).is_equivalent(&uri(a)), "{a} {b}");
        }
    }

    #[test]
    fn escaping_goes_both_ways() {
        for text in ["alice@corp", "a b%c", "张伟", "#31#", "plain.user"] {
            assert_eq!(unescape(&escape_user(text)), text);
            assert_eq!(unescape(&escape_header_value(text)), text);
            let made = format!("sip:{}@h", escape_user(text));
            assert_eq!(uri(&made).user_text().as_deref(), Some(text));
        }
    }
}

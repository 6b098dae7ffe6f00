//! Keys by INFO (RFC 2976, as the field uses it): `application/dtmf-relay` and `application/dtmf`.

use core::time::Duration;

use bytes::Bytes;

use super::Message;
use super::body::{content_type, is_type};
use super::request::Body;

/// What an INFO says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    Digit {
        digit: char,
        duration: Option<Duration>,
    },
    /// No body: a keep-alive of old.
    Empty,
    /// The right type, and nothing readable in it.
    Unreadable,
    /// A type we don't take: 415.
    Strange,
}

/// The types we take.
pub const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

/// Reads an INFO.
pub fn digit(request: &Message) -> Info {
    let body = String::from_utf8_lossy(request.body());
    let Some(content_type) = content_type(request) else {
        return if body.is_empty() { Info::Empty } else { Info::Strange };
    };
    let (signal, duration) = if is_type(content_type, "application/dtmf-relay") {
        (field(&body, "signal"), field(&body, "duration"))
    } else if is_type(content_type, "application/dtmf") {
        (Some(body.trim()), None)
    } else {
        return Info::Strange;
    };
    let duration = duration.and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    match signal.and_then(key) {
        Some(digit) => Info::Digit { digit, duration },
        None => Info::Unreadable,
    }
}

/// An INFO body for a key.
pub fn body(digit: char, duration: Duration) -> Body {
    let text = format!("Signal={digit}\r\nDuration={}\r\n", duration.as_millis());
    Body { content_type: "application/dtmf-relay", bytes: Bytes::from(text) }
}

/// `Signal= 5`, in any case and with or without blanks.
fn field<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    body.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A key as written, or as the event number of RFC 4733 that some gateways write.
fn key(signal: &str) -> Option<char> {
    let mut chars = signal.chars();
    match (chars.next()?.to_ascii_uppercase(), chars.next()) {
        (c @ ('0'..='9' | '*' | '#' | 'A'..='D'), None) => Some(c),
        _ => match signal.parse::<u8>().ok()? {
            10 => Some('*'),
            11 => Some('#'),
            n @ 12..=15 => Some(char::from(b'A' + (n - 12))),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(content_type: &str, body: &str) -> Info {
        let text = format!(
            "INFO sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=f\r\nTo: <sip:b@h>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INFO\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        digit(&Message::parse(Bytes::from(text)).unwrap())
    }

    const RELAY: &str = "Content-Type: application/dtmf-relay\r\n";

    #[test]
    fn keys_are_read_as_phones_and_gateways_write_them() {
        let with = |digit, ms| Info::Digit { digit, duration: Some(Duration::from_millis(ms)) };
        assert_eq!(info(RELAY, "Signal=5\r\nDuration=160\r\n"), with('5', 160));
        assert_eq!(info(RELAY, "signal= # \nduration = 250"), with('#', 250));
        assert_eq!(info(RELAY, "Signal=10\r\n"), Info::Digit { digit: '*', duration: None });
        assert_eq!(info("Content-Type: application/dtmf\r\n", "d"), Info::Digit { digit: 'D', duration: None });
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        assert_eq!(info("", ""), Info::Empty);
        assert_eq!(info(RELAY, "Signal=16\r\n"), Info::Unreadable);
        assert_eq!(info(RELAY, ""), Info::Unreadable);
        assert_eq!(info("Content-Type: application/media_control+xml\r\n", "<x/>"), Info::Strange);
    }
}

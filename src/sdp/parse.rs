//! Reading a session description: strict about what media needs, lenient about everything else.
//!
//! Bare LF, missing `s=` and `t=`, lines out of order, unknown lines and bytes that are no UTF-8 are all met in the
//! field and harm nobody. What would make us send media to a wrong place, an unreadable `m=` or `c=`, is refused.

use super::description::{Attribute, Connection, Media, Origin, SessionDescription};
use crate::limits;

/// Why a body is no session description we can judge. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("a session description begins with v=0")]
    Version,
    #[error("the session description has no o= line")]
    NoOrigin,
    #[error("line {line}: {text:?} is no {wanted} line")]
    Line { line: usize, wanted: &'static str, text: String },
    #[error("more than {limit} {what} in a session description")]
    TooMany { what: &'static str, limit: usize },
    #[error("a session description of {0} bytes is too long")]
    TooLong(usize),
}

impl SessionDescription {
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > limits::sdp::BYTES {
            return Err(Unreadable::TooLong(body.len()));
        }
        let text = String::from_utf8_lossy(body);
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| (at + 1, line.trim_end()));
        match lines.next() {
            Some((_, "v=0")) => {}
            _ => return Err(Unreadable::Version),
        }
        let mut reader = Reader::default();
        for (line, text) in lines {
            reader.line(line, text)?;
        }
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    origin: Option<Origin>,
    name: Option<String>,
    connection: Option<Connection>,
    attributes: Vec<Attribute>,
    media: Vec<Media>,
    attribute_count: usize,
}

impl Reader {
    fn line(&mut self, line: usize, text: &str) -> Result<(), Unreadable> {
        let bad = |wanted| Unreadable::Line { line, wanted, text: text.chars().take(80).collect() };
        let Some((kind, value)) = text.split_once('=') else { return Err(bad("type=value")) };
        match kind {
            "o" if self.origin.is_none() => self.origin = Some(origin(value).ok_or_else(|| bad("o="))?),
            "s" if self.media.is_empty() => self.name = Some(value.to_owned()),
            "c" => {
                let connection = connection(value).ok_or_else(|| bad("c="))?;
                let place = self.media.last_mut().map_or(&mut self.connection, |media| &mut media.connection);
                // More than one c= in a medium lists multicast layers: the first counts.
                place.get_or_insert(connection);
            }
            "m" => {
                if self.media.len() == limits::sdp::MEDIA {
                    return Err(Unreadable::TooMany { what: "m= lines", limit: limits::sdp::MEDIA });
                }
                self.media.push(media(value).ok_or_else(|| bad("m="))?);
            }
            "a" => {
                self.attribute_count += 1;
                if self.attribute_count > limits::sdp::ATTRIBUTES {
                    return Err(Unreadable::TooMany { what: "a= lines", limit: limits::sdp::ATTRIBUTES });
                }
                let attributes = self.media.last_mut().map_or(&mut self.attributes, |media| &mut media.attributes);
                attributes.push(attribute(value));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<SessionDescription, Unreadable> {
        Ok(SessionDescription {
            origin: self.origin.ok_or(Unreadable::NoOrigin)?,
            name: self.name.unwrap_or_else(|| "-".to_owned()),
            connection: self.connection,
            attributes: self.attributes,
            media: self.media,
        })
    }
}

/// `username sess-id sess-version nettype addrtype address`.
fn origin(value: &str) -> Option<Origin> {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    // User names with blanks are met: count from the end.
    let [.., session_id, version, nettype, addrtype, address] = fields.as_slice() else { return None };
    let username = fields.first().filter(|_| fields.len() > 5).map_or("-", |name| name);
    Some(Origin {
        username: username.to_owned(),
        session_id: (*session_id).to_owned(),
        // Some count in NTP units that overflow: the value only has to change, so a wrap is as good.
        version: version
            .parse()
            .unwrap_or_else(|_| version.bytes().fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()))),
        address: connection(&format!("{nettype} {addrtype} {address}"))?,
    })
}

/// `IN IP4 192.0.2.1`, `IN IP4 224.2.1.1/127`, `IN IP6 2001:db8::1`.
fn connection(value: &str) -> Option<Connection> {
    let mut fields = value.split_ascii_whitespace();
    let (nettype, addrtype, address) = (fields.next()?, fields.next()?, fields.next()?);
    let known = nettype.eq_ignore_ascii_case("IN") && ["IP4", "IP6"].iter().any(|t| addrtype.eq_ignore_ascii_case(t));
    if !known {
        return None;
    }
    let address = address.split('/').next().unwrap_or(address);
    // The brackets of a URI are wrong here, and met.
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(ip) => Some(Connection::Address(ip)),
        Err(_) => Some(Connection::Host(address.to_owned())),
    }
}

/// `audio 49170 RTP/AVP 0 8 101`, `audio 49170/2 RTP/AVP 0`.
fn media(value: &str) -> Option<Media> {
    let mut fields = value.split_ascii_whitespace();
    let (kind, port, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    let port = port.split('/').next()?.parse().ok()?;
    let formats: Vec<String> = fields.take(limits::sdp::FORMATS).map(str::to_owned).collect();
    (!formats.is_empty()).then(|| Media {
        kind: kind.to_ascii_lowercase(),
        port,
        protocol: protocol.to_owned(),
        formats,
        connection: None,
        attributes: Vec::new(),
    })
}

fn attribute(value: &str) -> Attribute {
    match value.split_once(':') {
        Some((name, value)) => Attribute { name: name.trim().to_owned(), value: Some(value.trim().to_owned()) },
        None => Attribute { name: value.trim().to_owned(), value: None },
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::sdp::Direction;

    const PHONE: &str = "v=0\r\no=alice 2890844526 2890844527 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                         m=audio 49170 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendonly\r\n\
                         m=video 51372 RTP/AVP 31\r\nc=IN IP6 2001:db8::7\r\n";

    #[test]
    fn a_phones_offer_is_read() {
        let sdp = SessionDescription::parse(PHONE.as_bytes()).unwrap();
        assert_eq!(sdp.origin.version, 2_890_844_527);
        let [audio, video] = sdp.media.as_slice() else { panic!("two media") };
        assert_eq!((audio.kind.as_str(), audio.port), ("audio", 49170));
        assert_eq!(audio.payload_types().collect::<Vec<_>>(), [8, 0, 101]);
        assert_eq!(audio.rtpmap(101), Some("telephone-event/8000"));
        assert_eq!(sdp.direction_of(audio), Direction::SendOnly);
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(sdp.connection_of(video), Some(&Connection::Address(v6)));
    }

    #[test]
    fn bare_line_feeds_odd_order_blank_user_names_and_latin_1_are_tolerated() {
        let odd = b"v=0\no=Jos\xe9 Mari 1 99999999999999999999999 IN IP4 h.example\nt=0 0\nx=?\nm=audio 4000/2 RTP/AVP 0\nc=IN IP4 224.2.1.1/127/3\n";
        let sdp = SessionDescription::parse(odd).unwrap();
        assert_eq!(sdp.name, "-");
        assert_eq!(sdp.origin.session_id, "1");
        assert_eq!(sdp.origin.address, Connection::Host("h.example".into()));
        assert_eq!(sdp.media[0].connection, Some(Connection::Address("224.2.1.1".parse().unwrap())));
    }

    #[test]
    fn what_would_misdirect_media_is_refused_with_its_line() {
        let refused = |text: &str| SessionDescription::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused("hello"), Unreadable::Version);
        assert_eq!(refused("v=1\r\n"), Unreadable::Version);
        assert_eq!(refused("v=0\r\ns=-\r\n"), Unreadable::NoOrigin);
        let bad_media = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 70000 RTP/AVP 0\r\n";
        assert!(matches!(refused(bad_media), Unreadable::Line { wanted: "m=", .. }));
        let bad_connection = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=ATM NSAP 47\r\n";
        assert!(matches!(refused(bad_connection), Unreadable::Line { wanted: "c=", .. }));
    }

    #[test]
    fn floods_of_lines_are_refused() {
        let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";
        let media = format!("{head}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(limits::sdp::MEDIA + 1));
        assert!(matches!(
            SessionDescription::parse(media.as_bytes()),
            Err(Unreadable::TooMany { what: "m= lines", .. })
        ));
        let attributes = format!("{head}{}", "a=x\r\n".repeat(limits::sdp::ATTRIBUTES + 1));
        assert!(matches!(
            SessionDescription::parse(attributes.as_bytes()),
            Err(Unreadable::TooMany { what: "a= lines", .. })
        ));
        let long = vec![b'x'; limits::sdp::BYTES + 1];
        assert_eq!(SessionDescription::parse(&long), Err(Unreadable::TooLong(long.len())));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = SessionDescription::parse(&body);
        }

        #[test]
        fn a_mutilated_offer_that_is_still_readable_survives_being_written(at in 0..PHONE.len(), byte in any::<u8>()) {
            let mut body = PHONE.as_bytes().to_vec();
            body[at] = byte;
            if let Ok(sdp) = SessionDescription::parse(&body) {
                prop_assert_eq!(SessionDescription::parse(sdp.to_string().as_bytes()), Ok(sdp));
            }
        }
    }

    #[test]
    fn formats_past_the_limit_are_not_looked_at() {
        let formats: Vec<String> = (0..limits::sdp::FORMATS + 9).map(|n| n.to_string()).collect();
        let text = PHONE.replace("RTP/AVP 8 0 101", &format!("RTP/AVP {}", formats.join(" ")));
        let sdp = SessionDescription::parse(text.as_bytes()).unwrap();
        assert_eq!(sdp.media[0].payload_types().count(), limits::sdp::FORMATS);
    }
}

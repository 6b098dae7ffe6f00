//! A response to a request: what RFC 3261 §8.2.6 copies, and the way back (§18.2, RFC 3581).

use core::fmt;
use core::net::SocketAddr;

use super::super::header::{Header, Name, NameAddr, Via, scan};
use super::super::{Message, Method};
use super::{Value, Writer};

/// Begins a response: start line, every Via (the top one told where it came from), From, To, Call-ID, CSeq, and Record-Route or Timestamp
/// where they belong. Add what else it needs, then finish it.
///
/// - `source`: where the request came from. The top Via gets `received` where that differs from its host, and `rport` where it asked.
/// - `reason`: empty means the usual phrase.
/// - `to_tag`: ours, added where To has none. Every response but 100 needs one (§8.2.6.2).
///
/// Works for faulty requests too: what cannot be read is copied as it is.
pub fn respond(request: &Message, source: SocketAddr, status: u16, reason: &str, to_tag: Option<&str>) -> Writer {
    let mut writer = Writer::response(status, reason);
    let mut top = true;
    for header in request.headers() {
        match header.name {
            Name::Via if core::mem::take(&mut top) => {
                writer.echo(Name::Via, TopVia { value: header.value, source });
            }
            Name::To => write_to(&mut writer, &header, to_tag),
            Name::Via | Name::From | Name::CallId | Name::CSeq => {
                writer.echo(header.name, header.value);
            }
            // §12.1.1: the responses that make a dialog.
            Name::RecordRoute if makes_dialog(request, status) => {
                writer.echo(header.name, header.value);
            }
            // §8.2.6.1: the sender measures the round trip by it.
            Name::Timestamp if status == 100 => {
                writer.echo(header.name, header.value);
            }
            _ => {}
        }
    }
    writer
}

/// Where the response to a request over UDP goes (RFC 3261 §18.2.2, RFC 3581 §4): back to the very source where rport was asked for,
/// else to the source's address at the port of sent-by. On a connection it goes back on the connection instead.
///
/// `maddr` is not obeyed: it would let a stranger aim our responses at somebody else.
pub fn reply_address(request: &Message, source: SocketAddr) -> SocketAddr {
    const SIP_PORT: u16 = 5060;
    match request.via() {
        Ok(via) if via.rport().is_none() => SocketAddr::new(source.ip(), via.port().unwrap_or(SIP_PORT)),
        _ => source,
    }
}

fn makes_dialog(request: &Message, status: u16) -> bool {
    let method = matches!(request.method(), Some(Method::Invite | Method::Subscribe | Method::Refer));
    method && (101..=299).contains(&status)
}

fn write_to(writer: &mut Writer, header: &Header<'_>, to_tag: Option<&str>) {
    let untagged = NameAddr::parse(header.value).is_ok_and(|to| to.tag().is_none());
    match to_tag {
        Some(tag) if untagged && scan::is_token(tag.as_bytes()) => {
            writer.echo(Name::To, Tagged { value: header.value, tag });
        }
        _ => {
            writer.echo(Name::To, header.value);
        }
    }
}

struct Tagged<'a> {
    value: &'a [u8],
    tag: &'a str,
}

impl Value for Tagged<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.value);
        out.extend_from_slice(b";tag=");
        out.extend_from_slice(self.tag.as_bytes());
    }
}

/// The first line of Via with the source's marks on its first element; the others follow as they are.
struct TopVia<'a> {
    value: &'a [u8],
    source: SocketAddr,
}

impl Value for TopVia<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let element = scan::Elements::new(self.value).next().unwrap_or_default();
        let Ok(via) = Via::parse(element) else { return out.extend_from_slice(self.value) };
        // What the sender claims to have received is not kept: only the receiver knows.
        let at_element = self.value.len() - scan::trim_start(self.value).len();
        let after = self.value.get(at_element + element.len()..).unwrap_or_default();
        let head_len = memchr::memchr(b';', element).unwrap_or(element.len());
        out.extend_from_slice(scan::trim_end(element.get(..head_len).unwrap_or_default()));
        for param in via.params().iter() {
            let is_ours = ["rport", "received"].iter().any(|name| param.name.eq_ignore_ascii_case(name));
            if !is_ours {
                write_fmt(out, format_args!(";{}", param.name));
                if let Some(value) = param.value {
                    write_fmt(out, format_args!("={value}"));
                }
            }
        }
        if via.rport().is_some() {
            write_fmt(out, format_args!(";rport={}", self.source.port()));
        }
        // RFC 3581 §4: with rport, received is told even where it equals sent-by.
        if via.rport().is_some() || via.host().ip() != Some(self.source.ip()) {
            write_fmt(out, format_args!(";received={}", self.source.ip()));
        }
        out.extend_from_slice(after);
    }
}

fn write_fmt(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    text.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(via: &str) -> Message {
        let wire = format!(
            "INVITE sip:bob@h SIP/2.0\r\n{via}\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
             Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\nTimestamp: 54\r\nSubject: x\r\n\r\n"
        );
        Message::parse(Bytes::from(wire)).expect("readable")
    }

    fn response(via: &str, source: &str, status: u16, tag: Option<&str>) -> Message {
        let source = source.parse().expect("an address");
        let bytes = respond(&request(via), source, status, "", tag).finish().expect("written");
        Message::parse(bytes).expect("readable")
    }

    fn values(message: &Message, name: Name) -> Vec<String> {
        message.all(name).map(|h| String::from_utf8_lossy(h.value).into_owned()).collect()
    }

    #[test]
    fn a_2xx_copies_what_the_dialog_needs_and_nothing_else() {
        let m = response(
            "Via: SIP/2.0/UDP p;branch=z9hG4bK2\r\nv: SIP/2.0/TCP a;branch=z9hG4bK1",
            "192.0.2.9:5060",
            200,
            Some("t2"),
        );
        assert_eq!((m.status(), m.reason(), m.verdict()), (Some(200), "OK", crate::sip::Verdict::Accept));
        assert_eq!(
            values(&m, Name::Via),
            ["SIP/2.0/UDP p;branch=z9hG4bK2;received=192.0.2.9", "SIP/2.0/TCP a;branch=z9hG4bK1"]
        );
        assert_eq!(values(&m, Name::To), ["<sip:b@h>;tag=t2"]);
        assert_eq!(values(&m, Name::From), ["<sip:a@h>;tag=1"]);
        assert_eq!(values(&m, Name::CSeq), ["1 INVITE"]);
        assert_eq!(values(&m, Name::RecordRoute), ["<sip:p1;lr>, <sip:p2;lr>", "<sip:p3;lr>"]);
        assert!(m.header(Name::Timestamp).is_none() && m.header(Name::Subject).is_none());
    }

    #[test]
    fn a_100_has_no_tag_and_a_4xx_no_route() {
        let trying = response("Via: SIP/2.0/UDP a", "192.0.2.9:5060", 100, None);
        assert_eq!(
            (values(&trying, Name::To), values(&trying, Name::Timestamp)),
            (vec!["<sip:b@h>".into()], vec!["54".into()])
        );
        let busy = response("Via: SIP/2.0/UDP a", "192.0.2.9:5060", 486, Some("t"));
        assert!(busy.header(Name::RecordRoute).is_none() && trying.header(Name::RecordRoute).is_none());
    }

    #[test]
    fn the_top_via_is_told_where_it_came_from() {
        for (via, source, expected) in [
            // Same address, no rport asked: nothing to tell.
            ("SIP/2.0/UDP 192.0.2.9:5080;branch=b", "192.0.2.9:7000", "SIP/2.0/UDP 192.0.2.9:5080;branch=b"),
            (
                "SIP/2.0/UDP 10.0.0.1;rport;branch=b",
                "192.0.2.9:7000",
                "SIP/2.0/UDP 10.0.0.1;branch=b;rport=7000;received=192.0.2.9",
            ),
            ("SIP/2.0/UDP [::1];rport", "[2001:db8::5]:7", "SIP/2.0/UDP [::1];rport=7;received=2001:db8::5"),
            // A sender that says what only the receiver can know.
            (
                "SIP/2.0/UDP 192.0.2.9;received=203.0.113.1;x=\"a;b\"",
                "192.0.2.9:5060",
                "SIP/2.0/UDP 192.0.2.9;x=\"a;b\"",
            ),
            (
                "SIP/2.0/UDP a;rport , SIP/2.0/UDP b;rport",
                "192.0.2.9:1",
                "SIP/2.0/UDP a;rport=1;received=192.0.2.9 , SIP/2.0/UDP b;rport",
            ),
        ] {
            let m = response(&format!("Via: {via}"), source, 180, Some("t"));
            assert_eq!(values(&m, Name::Via), [expected]);
        }
    }

    #[test]
    fn a_request_too_broken_to_read_still_gets_its_400() {
        let wire =
            b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP \xff;;,\rx\r\nTo: \"never\r\nCall-ID: c\r\nl: -1\r\n\r\n";
        let request = Message::parse(Bytes::from_static(wire)).expect("readable");
        let (status, reason) = request.refusal().expect("refused");
        let source = "192.0.2.9:5060".parse().expect("an address");
        let bytes = respond(&request, source, status, reason, Some("t")).finish().expect("written");
        assert!(bytes.starts_with(b"SIP/2.0 400 Carriage Return in Header\r\nVia: SIP/2.0/UDP \xff;;, x\r\n"));
    }

    #[test]
    fn over_udp_the_answer_goes_where_rfc_3581_says() {
        let source = "192.0.2.9:7000".parse().expect("an address");
        for (via, expected) in [
            ("SIP/2.0/UDP 10.0.0.1:5080;rport", "192.0.2.9:7000"),
            ("SIP/2.0/UDP 10.0.0.1:5080", "192.0.2.9:5080"),
            ("SIP/2.0/UDP 10.0.0.1;maddr=203.0.113.1", "192.0.2.9:5060"),
        ] {
            assert_eq!(reply_address(&request(&format!("Via: {via}")), source).to_string(), expected);
        }
    }
}

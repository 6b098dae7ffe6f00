//! What must hold for every message: bytes in, bytes out, no panic, no line broken, and hostile sizes refused.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::digest::{DigestClient, DigestServer};
use super::framing::{Datagram, Frame, Framer, datagram};
use super::header::{Name, NameAddr};
use super::inputs::inputs;
use super::uri::{Uri, escape_user};
use super::{Fault, Message, Quoted, Verdict, Writer, reply_address, respond};
use crate::limits::sip as limits;
use crate::time::Time;

const SOURCE: core::net::SocketAddr =
    core::net::SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 5060);

/// Asks a message everything there is to ask.
fn look_at_everything(m: &Message) {
    let _ = (m.uri(), m.via(), m.from(), m.to(), m.call_id(), m.cseq(), m.contact(), m.refer_to(), m.max_forwards());
    let _ = (m.expires(), m.event(), m.replaces(), m.rack(), m.session_expires(), m.content_type(), m.body_bytes());
    let _ = (m.vias().count(), m.routes().count(), m.record_routes().count(), m.reasons().count());
    let _ = (m.tokens(Name::Supported).count(), m.unsupported(&[]).count(), m.named("X-None"), format!("{m} {m:?}"));
    for via in m.vias().flatten() {
        let _ = (via.transaction_branch(), via.received(), via.rport(), via.host().ip());
    }
    for contact in m.contacts().flatten() {
        let _ = (contact.q(), contact.expires(), contact.address().map(NameAddr::display));
    }
    if let Ok(uri) = m.uri() {
        assert!(uri.is_equivalent(&uri), "{uri}");
        let _ = (uri.user_text(), uri.headers().count(), uri.params().iter().count());
    }
    let _ = DigestClient::from_response(m);
    let _ = DigestServer::new("r", [0; 32]).check(Time::EPOCH, m, Name::Authorization, |_, _| None);
    let _ = reply_address(m, SOURCE);
}

/// What holds for every readable message, however broken.
fn check_promises(m: &Message) {
    look_at_everything(m);
    for header in m.headers() {
        assert!(!header.value.iter().any(|b| matches!(b, b'\r' | b'\n')), "{header:?}");
        assert!(m.bytes().len() >= header.value.len());
    }
    if m.faults().is_empty() {
        assert!(m.via().is_ok() && m.from().is_ok() && m.to().is_ok() && m.call_id().is_ok() && m.cseq().is_ok());
        assert!(m.max_forwards().is_ok() && m.contacts().all(|c| c.is_ok()) && m.routes().all(|r| r.is_ok()));
    }
    let again = Message::parse(m.bytes().clone()).expect("what was read once can be read again");
    assert_eq!(&again, m);
    if let Verdict::Refuse { status, reason } = m.verdict()
        && !m.bytes().contains(&0)
    {
        let answer = respond(m, SOURCE, status, reason, Some("t")).finish().expect("a refusal can always be written");
        let answer = Message::parse(answer).expect("and read");
        assert_eq!((answer.status(), answer.reason()), (Some(status), reason));
    }
}

fn frames(framer: &mut Framer) -> Vec<Frame> {
    core::iter::from_fn(|| framer.poll()).collect()
}

/// Text that a display name may hold: anything but control characters.
fn display() -> impl Strategy<Value = String> {
    "[^\\x00-\\x1f\\x7f-\\x9f]{0,20}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,8}){0,3}",
        any::<core::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<core::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_written_again_the_same(
        name in display(),
        user in "\\PC{1,12}",
        host in host(),
        port in any::<Option<u16>>(),
        tag in "[A-Za-z0-9.!%*_+~-]{1,12}",
        cseq in 0_u32..1 << 31,
        subject in display(),
        body in vec(any::<u8>(), 0..200),
    ) {
        let subject = subject.trim_matches([' ', '\t']);
        let port_text = port.map(|p| format!(":{p}")).unwrap_or_default();
        let uri = format!("sip:{}@{host}{port_text}", escape_user(&user));
        let bytes = Writer::request("MESSAGE", &uri)
            .header(Name::Via, format_args!("SIP/2.0/TCP {host}{port_text};branch=z9hG4bK{tag}"))
            .header(Name::From, format_args!("{} <{uri};x=1>;tag={tag}", Quoted(&name)))
            .header(Name::To, format_args!("<{uri}>"))
            .header(Name::CallId, &tag)
            .header(Name::CSeq, format_args!("{cseq} MESSAGE"))
            .header(Name::Subject, subject)
            .finish_with("application/octet-stream", &body)
            .expect("nothing breaks a line");
        let m = Message::parse(bytes.clone()).expect("readable");
        prop_assert_eq!(m.verdict(), Verdict::Accept, "{:?}", m);
        check_promises(&m);
        let (from, via) = (m.from().expect("From"), m.via().expect("Via"));
        prop_assert_eq!(from.display(), name);
        prop_assert_eq!(from.tag(), Some(tag.as_str()));
        prop_assert_eq!(from.uri().user_text().map(String::from), Some(user));
        prop_assert_eq!((from.uri().host().as_str(), from.uri().port()), (host.as_str(), port));
        prop_assert_eq!((via.host().as_str(), via.port(), via.transport()), (host.as_str(), port, "TCP"));
        prop_assert_eq!(m.cseq().map(|c| c.number), Ok(cseq));
        prop_assert_eq!(m.body(), &body[..]);
        prop_assert!(m.uri().expect("Request-URI").is_equivalent(&Uri::parse(&uri).expect("a URI")));

        let mut copy = Writer::request(m.method_text(), m.uri_text());
        for header in m.headers().filter(|h| !matches!(h.name, Name::ContentType | Name::ContentLength)) {
            copy.copy(&header);
        }
        prop_assert_eq!(copy.finish_with("application/octet-stream", m.body()), Ok(bytes));
    }

    #[test]
    fn no_value_makes_a_second_header_line(values in vec(any::<String>(), 1..6), name in any::<String>()) {
        let mut writer = Writer::request("BYE", "sip:h");
        for value in &values {
            writer.header(Name::Subject, value);
        }
        writer.extension(&name, "x");
        if let Ok(bytes) = writer.finish() {
            let m = Message::parse(bytes).expect("readable");
            prop_assert_eq!(m.headers().count(), values.len() + 2);
        }
        let quoted = Quoted(&name).to_string();
        prop_assert!(Writer::request("BYE", "sip:h").header(Name::Subject, &quoted).finish().is_ok());
    }

    #[test]
    fn any_change_to_an_ordinary_message_is_read_or_refused_without_panic(
        which in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>(), 0..5_u8), 1..8),
    ) {
        let all = inputs();
        let mut wire = which.get(&all).wire.clone();
        for (at, byte, kind) in changes {
            let at = at.index(wire.len());
            match kind {
                0 => wire[at] = byte,
                1 => wire.insert(at, byte),
                2 => drop(wire.remove(at)),
                3 => wire.extend_from_within(at..),
                _ => wire.truncate(at),
            }
            if wire.is_empty() {
                break;
            }
        }
        if let Datagram::Message(m) = datagram(wire.clone().into()) {
            check_promises(&m);
        }
        let mut framer = Framer::new();
        framer.feed(&wire);
        for frame in frames(&mut framer) {
            if let Frame::Message(m) | Frame::Broken(Some(m)) = frame {
                check_promises(&m);
            }
        }
    }

    #[test]
    fn any_bytes_at_all_are_read_without_panic(bytes in vec(any::<u8>(), 0..300), head in any::<bool>()) {
        let wire = if head { [b"A sip:b SIP/2.0\r\n", &bytes[..]].concat() } else { bytes };
        if let Datagram::Message(m) = datagram(wire.into()) {
            check_promises(&m);
        }
    }

    #[test]
    fn a_stream_yields_the_same_however_it_is_cut(which in vec(any::<Index>(), 1..4), cuts in vec(1..60_usize, 1..200)) {
        let all = inputs();
        let stream: Vec<u8> = which.iter().flat_map(|i| i.get(&all).wire.clone()).collect();
        let mut whole = Framer::new();
        whole.feed(&stream);
        let expected = frames(&mut whole);
        let (mut framer, mut seen, mut rest) = (Framer::new(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            framer.feed(piece);
            seen.extend(frames(&mut framer));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(seen, expected);
    }
}

/// Sixty kilobytes made to hurt: (what, wire, the fault it ends in). The scratch measurement of the codec uses the same shapes.
fn hostile() -> Vec<(&'static str, Vec<u8>, Fault)> {
    const TOP: &str = "INVITE sip:bob@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\n";
    let with = |lines: String| format!("{TOP}{lines}\r\n").into_bytes();
    vec![
        ("8000 headers", with("X: y\r\n".repeat(8000)), Fault::TooManyHeaders),
        ("20,000 parameters", with(format!("Contact: <sip:a@h>{}\r\n", ";a=".repeat(20_000))), Fault::HeaderTooLong),
        ("9000 contacts in a line", with(format!("m: {}<sip:a@h>\r\n", "sip:a,".repeat(9000))), Fault::HeaderTooLong),
        (
            "200 contacts in lines of 20",
            with(format!("m: {}<sip:a@h>\r\n", "<sip:a@h>,".repeat(19)).repeat(10)),
            Fault::TooManyElements,
        ),
        ("2500 Vias", with(format!("v: {}\r\n", "SIP/2.0/UDP a,".repeat(2500))), Fault::HeaderTooLong),
        ("one fold after the other", with(format!("Subject: {}x\r\n", "\r\n ".repeat(18_000))), Fault::HeaderTooLong),
        ("60 kB of quotes", with(format!("Contact: {}\r\n", "\"".repeat(60_001))), Fault::HeaderTooLong),
        (
            "7 lines of 8 kB of quotes",
            with(format!("Contact: {}\r\n", "\",".repeat(4000)).repeat(7)),
            Fault::BadContact,
        ),
        ("bare CRs", with(format!("Subject: {}x\r\n", "\r ".repeat(30_000))), Fault::HeaderTooLong),
        (
            "60 kB of Request-URI",
            [b"INVITE sip:", &[b'a'; 60_000][..], b" SIP/2.0\r\n\r\n"].concat(),
            Fault::MissingVia,
        ),
    ]
}

#[test]
fn sixty_hostile_kilobytes_are_refused_by_the_limits() {
    for (what, wire, fault) in hostile() {
        let m = Message::parse(Bytes::from(wire)).expect(what);
        assert!(m.faults().has(fault), "{what}: {:?}", m.faults().iter().collect::<Vec<_>>());
        assert_ne!(m.verdict(), Verdict::Accept, "{what}");
        assert!(m.headers().count() <= limits::HEADERS);
        check_promises(&m);
    }
}

#[test]
fn a_message_at_its_limits_is_accepted() {
    let most = limits::HEADERS - 6;
    let long = "x".repeat(limits::HEADER_BYTES - "Subject: ".len());
    let contacts = vec!["<sip:a@h>"; limits::LIST_ELEMENTS].join(",");
    let wire = format!(
        "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n\
         CSeq: 1 OPTIONS\r\nm: {contacts}\r\nSubject: {long}\r\n{}\r\n",
        "X: y\r\n".repeat(most - 1)
    );
    let m = Message::parse(Bytes::from(wire)).expect("readable");
    assert_eq!((m.verdict(), m.headers().count()), (Verdict::Accept, limits::HEADERS));
}

//! What does it cost to read and to write one SIP message? Target: below 1 µs, at most 3 allocations.
//!
//! `cargo bench --bench message`. The message is an INVITE of a carrier with its session description, about 1 kB.
//! `rsip` 0.4 does the same work in the same run, in turns with ours: once with headers left as text, and once with those
//! read that we check before anyone sees the message (every Via, From, To, Contact, Record-Route, CSeq).
//! `cargo bench --bench message -- parse 100000` only parses, so many times: for `valgrind --tool=callgrind`.

mod measure;

use std::hint::black_box;

use bytes::Bytes;
use rsip::headers::ToTypedHeader;
use rsip::message::HeadersExt;
use strowger::sip::{Message, Name, Verdict, Writer};

use measure::{allocations, cpu_time, median, print_machine};

const ROUNDS: usize = 60;
const REPEATS: u32 = 2_000;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    if args.next().as_deref() == Some("parse") {
        let times = args.next().and_then(|times| times.parse().ok()).unwrap_or(REPEATS);
        return (0..times).for_each(|_| drop(black_box(parse())));
    }
    both_understand_the_message();
    let works: [(&str, fn()); 6] = [
        ("parse and check (ours)", || drop(black_box(parse()))),
        ("  and ask what a new call asks (ours)", || ask(&parse())),
        ("write (ours)", || drop(black_box(write()))),
        ("parse, headers as text (rsip)", || drop(black_box(rsip_parse()))),
        ("  and read what ours checks (rsip)", || rsip_read(&rsip_parse())),
        ("write (rsip)", rsip_write),
    ];
    let mut samples = works.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((_, work), samples) in works.iter().zip(&mut samples) {
            samples.push(nanoseconds_each(work));
        }
    }
    println!("an INVITE of {} bytes, {ROUNDS} rounds of {REPEATS}, CPU time of the thread\n", INVITE.len());
    println!("{:<42}{:>12}{:>12}{:>14}", "", "median ns", "best ns", "allocations");
    for ((what, work), samples) in works.iter().zip(&mut samples) {
        let median = median(samples);
        let before = allocations();
        work();
        println!("{what:<42}{median:>12.0}{:>12.0}{:>14}", samples[0], allocations() - before);
    }
    print_machine();
}

fn nanoseconds_each(work: &fn()) -> f64 {
    let before = cpu_time();
    (0..REPEATS).for_each(|_| work());
    (cpu_time() - before).as_secs_f64() * 1e9 / f64::from(REPEATS)
}

/// A figure for a message that one of the two refuses would compare nothing.
fn both_understand_the_message() {
    let ours = parse();
    assert_eq!(ours.verdict(), Verdict::Accept);
    assert_eq!((ours.vias().count(), ours.record_routes().count()), (2, 2));
    rsip_read(&rsip_parse());
    let written = write();
    assert_eq!(Message::parse(written.clone()).map(|message| message.verdict()), Ok(Verdict::Accept));
    assert_eq!(written.len(), INVITE.len(), "the message written is the message read");
}

/// The bytes are shared as those of a datagram are, so that counting their owners is part of the price.
fn parse() -> Message {
    thread_local! {
        static DATAGRAM: Bytes = {
            let datagram = Bytes::from(INVITE.as_bytes().to_vec());
            drop(datagram.clone());
            datagram
        };
    }
    Message::parse(DATAGRAM.with(Bytes::clone)).expect("the bench's message is SIP")
}

/// What the way in asks of a message that begins a call.
fn ask(message: &Message) {
    black_box(message.via().expect("checked").transaction_branch());
    black_box(message.from().expect("checked").tag());
    black_box(message.to().expect("checked").tag());
    black_box(message.call_id().expect("checked"));
    black_box(message.cseq().expect("checked"));
    black_box(message.uri().expect("checked").user());
    black_box(message.contact().expect("checked").uri());
    black_box(message.record_routes().count());
    black_box(message.max_forwards().expect("checked"));
    black_box(message.has_body_of("application/sdp"));
}

fn write() -> Bytes {
    let (_, body) = INVITE.split_once("\r\n\r\n").expect("it has a body");
    Writer::request("INVITE", "sip:+862155550100@sbc.example.net:5060;user=phone")
        .header(Name::RecordRoute, "<sip:192.0.2.10;lr;ftag=as58f4201b>")
        .header(Name::RecordRoute, "<sip:192.0.2.14;lr;r2=on>")
        .header(Name::Via, format_args!("SIP/2.0/UDP {};branch={};rport", "192.0.2.10:5060", "z9hG4bK8a4e.1c92d0b7.0"))
        .header(Name::Via, format_args!("SIP/2.0/UDP {};branch={}", "192.0.2.77:5080", "z9hG4bK2d4f1c0e9a"))
        .header(Name::MaxForwards, 68u32)
        .header(
            Name::From,
            format_args!(
                "\"{}\" <{}>;tag={}",
                "Zhang Wei", "sip:+8613800138000@carrier.example.com;user=phone", "as58f4201b"
            ),
        )
        .header(Name::To, "<sip:+862155550100@sbc.example.net;user=phone>")
        .header(Name::CallId, "3c26700d5a1e4b0d9e0b7f2e6f1c4d3a@192.0.2.77")
        .header(Name::CSeq, format_args!("{} INVITE", 102))
        .header(Name::Contact, "<sip:+8613800138000@192.0.2.77:5080;transport=udp>")
        .header(Name::PAssertedIdentity, "<sip:+8613800138000@carrier.example.com;user=phone>")
        .header(Name::UserAgent, "Carrier-SBC/7.4.2")
        .header(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER")
        .header(Name::Supported, "timer, 100rel, replaces")
        .header(Name::SessionExpires, "1800;refresher=uac")
        .header(Name::MinSe, 90u32)
        .finish_with("application/sdp", body.as_bytes())
        .expect("nothing in it breaks a line")
}

fn rsip_parse() -> rsip::Request {
    rsip::Request::try_from(INVITE).expect("rsip takes the message")
}

fn rsip_read(request: &rsip::Request) {
    for header in request.headers.iter() {
        match header {
            rsip::Header::Via(via) => drop(black_box(via.typed().expect("rsip reads it"))),
            rsip::Header::RecordRoute(route) => drop(black_box(route.typed().expect("rsip reads it"))),
            _ => {}
        }
    }
    black_box(request.from_header().and_then(|from| from.typed()).expect("rsip reads it"));
    black_box(request.to_header().and_then(|to| to.typed()).expect("rsip reads it"));
    black_box(request.contact_header().and_then(|contact| contact.typed()).expect("rsip reads it"));
    black_box(request.cseq_header().and_then(|cseq| cseq.typed()).expect("rsip reads it"));
}

fn rsip_write() {
    thread_local! {
        static REQUEST: rsip::Request = rsip_parse();
    }
    REQUEST.with(|request| drop(black_box(request.to_string())));
}

const INVITE: &str = concat!(
    "INVITE sip:+862155550100@sbc.example.net:5060;user=phone SIP/2.0\r\n",
    "Record-Route: <sip:192.0.2.10;lr;ftag=as58f4201b>\r\n",
    "Record-Route: <sip:192.0.2.14;lr;r2=on>\r\n",
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK8a4e.1c92d0b7.0;rport\r\n",
    "Via: SIP/2.0/UDP 192.0.2.77:5080;branch=z9hG4bK2d4f1c0e9a\r\n",
    "Max-Forwards: 68\r\n",
    "From: \"Zhang Wei\" <sip:+8613800138000@carrier.example.com;user=phone>;tag=as58f4201b\r\n",
    "To: <sip:+862155550100@sbc.example.net;user=phone>\r\n",
    "Call-ID: 3c26700d5a1e4b0d9e0b7f2e6f1c4d3a@192.0.2.77\r\n",
    "CSeq: 102 INVITE\r\n",
    "Contact: <sip:+8613800138000@192.0.2.77:5080;transport=udp>\r\n",
    "P-Asserted-Identity: <sip:+8613800138000@carrier.example.com;user=phone>\r\n",
    "User-Agent: Carrier-SBC/7.4.2\r\n",
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER\r\n",
    "Supported: timer, 100rel, replaces\r\n",
    "Session-Expires: 1800;refresher=uac\r\n",
    "Min-SE: 90\r\n",
    "Content-Type: application/sdp\r\n",
    "Content-Length: 230\r\n",
    "\r\n",
    "v=0\r\n",
    "o=carrier 20518 20518 IN IP4 192.0.2.78\r\n",
    "s=-\r\n",
    "c=IN IP4 192.0.2.78\r\n",
    "t=0 0\r\n",
    "m=audio 17328 RTP/AVP 8 0 101\r\n",
    "a=rtpmap:8 PCMA/8000\r\n",
    "a=rtpmap:0 PCMU/8000\r\n",
    "a=rtpmap:101 telephone-event/8000\r\n",
    "a=fmtp:101 0-16\r\n",
    "a=ptime:20\r\n",
    "a=sendrecv\r\n",
);

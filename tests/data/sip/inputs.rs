//! Ordinary messages from real networks, with what a reader must make of each: phones behind NAT, browsers, IPv6 trunks,
//! carriers that fold, abbreviate, port numbers and write GBK. Shared by every test that judges a SIP parser.

/// One thing a reader can be asked about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Method,
    Uri,
    UriUser,
    UriHost,
    UriPort,
    Status,
    Reason,
    FromDisplay,
    FromUri,
    FromUser,
    FromHost,
    FromTag,
    ToUser,
    ToHost,
    ToTag,
    ViaTransport,
    ViaHost,
    ViaPort,
    ViaBranch,
    /// All Via elements of all lines.
    ViaCount,
    CallId,
    CSeq,
    Contacts,
    ContactUri,
    /// `Contact: *`
    ContactStar,
    ContactUser,
    ContactHost,
    ContactInstance,
    Subject,
    /// Non-ASCII and control bytes written as `\xNN`.
    Body,
    RouteLoose,
}

/// A message and the right answers. An empty list means: it must be refused.
pub struct Input {
    pub name: &'static str,
    pub wire: Vec<u8>,
    pub answers: Vec<(Ask, &'static str)>,
}

const BASE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK74bf9;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"Alice\" <sip:alice@example.net>;tag=9fxced76sl\r\n\
    To: <sip:bob@example.com>\r\n\
    Call-ID: 3848276298220188511@192.0.2.1\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:alice@192.0.2.1:5060>\r\n\
    Content-Length: 0\r\n\r\n";

const OK: &str = "SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK74bf9;rport=5060;received=192.0.2.1\r\n\
    From: \"Alice\" <sip:alice@example.net>;tag=9fxced76sl\r\n\
    To: <sip:bob@example.com>;tag=8321234356\r\n\
    Call-ID: 3848276298220188511@192.0.2.1\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:bob@192.0.2.4>\r\n\
    Content-Length: 0\r\n\r\n";

fn swap(base: &str, swaps: &[(&str, &[u8])]) -> Vec<u8> {
    let mut wire = base.as_bytes().to_vec();
    for (old, new) in swaps {
        let at = wire.windows(old.len()).position(|w| w == old.as_bytes()).expect("the base holds what is swapped");
        wire.splice(at..at + old.len(), new.iter().copied());
    }
    wire
}

fn invite(name: &'static str, swaps: &[(&str, &[u8])], answers: &[(Ask, &'static str)]) -> Input {
    Input { name, wire: swap(BASE, swaps), answers: answers.to_vec() }
}

fn ok(name: &'static str, swaps: &[(&str, &[u8])], answers: &[(Ask, &'static str)]) -> Input {
    Input { name, wire: swap(OK, swaps), answers: answers.to_vec() }
}

const URI: &str = "sip:bob@example.com SIP";
const FROM: &str = "\"Alice\" <sip:alice@example.net>;tag=9fxced76sl";
const TO: &str = "<sip:bob@example.com>\r\n";
const VIA: &str = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK74bf9;rport";
const CONTACT: &str = "<sip:alice@192.0.2.1:5060>";
const END: &str = "Content-Length: 0\r\n\r\n";

/// Every input, in the order of the table.
pub fn inputs() -> Vec<Input> {
    let mut all = addresses();
    all.extend(headers());
    all.extend(starts());
    all.extend(bodies());
    all
}

fn addresses() -> Vec<Input> {
    use Ask::*;
    vec![
        invite(
            "a plain INVITE",
            &[],
            &[
                (Method, "INVITE"),
                (UriUser, "bob"),
                (UriHost, "example.com"),
                (FromDisplay, "Alice"),
                (FromUri, "sip:alice@example.net"),
                (FromTag, "9fxced76sl"),
                (ToUser, "bob"),
                (ViaHost, "192.0.2.1"),
                (ViaPort, "5060"),
                (ViaTransport, "UDP"),
                (ViaBranch, "z9hG4bK74bf9"),
                (CallId, "3848276298220188511@192.0.2.1"),
                (CSeq, "1 INVITE"),
                (ContactUri, "sip:alice@192.0.2.1:5060"),
            ],
        ),
        invite(
            "a dot in the user part",
            &[
                (URI, b"sip:john.doe@example.com SIP"),
                (TO, b"<sip:john.doe@example.com>\r\n"),
                (FROM, b"<sip:jane.roe@example.net>;tag=f1"),
            ],
            &[(UriUser, "john.doe"), (UriHost, "example.com"), (ToUser, "john.doe"), (FromUser, "jane.roe")],
        ),
        invite(
            "an IPv6 Request-URI",
            &[(URI, b"sip:bob@[2001:db8::10]:5070 SIP")],
            &[(UriUser, "bob"), (UriHost, "[2001:db8::10]"), (UriPort, "5070")],
        ),
        invite(
            "an IPv6 Via",
            &[(VIA, b"SIP/2.0/UDP [2001:db8::9]:5062;branch=z9hG4bK6")],
            &[(ViaHost, "[2001:db8::9]"), (ViaPort, "5062"), (ViaBranch, "z9hG4bK6")],
        ),
        invite(
            "a browser's Contact (RFC 7118, RFC 5626)",
            &[(
                CONTACT,
                b"<sip:r8k2@df7jal23ls0d.invalid;transport=ws>;reg-id=1;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0>\"",
            )],
            &[(ContactUser, "r8k2"), (ContactHost, "df7jal23ls0d.invalid"), (ContactInstance, "<urn:uuid:f81d4fae-7dec-11d0>")],
        ),
        invite(
            "two Contacts in one line",
            &[(CONTACT, b"<sip:alice@192.0.2.1>;q=0.5, \"Alice, mobile\" <sip:alice@192.0.2.7>")],
            &[(Contacts, "2"), (ContactUri, "sip:alice@192.0.2.1")],
        ),
        Input {
            name: "Contact: * in a REGISTER",
            wire: swap(BASE, &[("INVITE", b"REGISTER"), ("1 INVITE", b"1 REGISTER"), (CONTACT, b"*\r\nExpires: 0")]),
            answers: vec![(Method, "REGISTER"), (ContactStar, "true")],
        },
        invite(
            "white space round `;` and `=`",
            &[(FROM, b"<sip:alice@example.net> ; tag = f9")],
            &[(FromUser, "alice"), (FromTag, "f9")],
        ),
        invite(
            "a display name that pretends to be an address",
            &[(TO, b"\"Boss <sip:ceo@corp.example>\" <sip:mallory@evil.example>\r\n")],
            &[(ToUser, "mallory"), (ToHost, "evil.example")],
        ),
        invite(
            "a quoted parameter that pretends to be a tag",
            &[(FROM, b"<sip:alice@example.net>;x=\"p;tag=q\";tag=f1")],
            &[(FromTag, "f1")],
        ),
        invite(
            "escaped quotes in the display name",
            &[(FROM, br#""Bob \"Bo\" Brown" <sip:bob@example.net>;tag=f2"#)],
            &[(FromDisplay, "Bob \"Bo\" Brown"), (FromUser, "bob"), (FromTag, "f2")],
        ),
        invite(
            "a display name of two words without quotes",
            &[(FROM, b"Alice Roe <sip:alice@example.net>;tag=f3")],
            &[(FromDisplay, "Alice Roe"), (FromUser, "alice"), (FromTag, "f3")],
        ),
        invite(
            "a display name in UTF-8",
            &[(FROM, "\"张伟\" <sip:zhangwei@example.net>;tag=f4".as_bytes())],
            &[(FromDisplay, "张伟"), (FromUser, "zhangwei"), (FromTag, "f4")],
        ),
        invite(
            "a display name in GBK",
            &[(FROM, b"\"\xd5\xc5\xce\xb0\" <sip:+8613800138000@192.0.2.30>;tag=f5")],
            &[(FromUser, "+8613800138000"), (FromTag, "f5"), (ToUser, "bob"), (CSeq, "1 INVITE")],
        ),
        invite(
            "From without brackets",
            &[(FROM, b"sip:alice@example.net;tag=f6")],
            &[(FromUri, "sip:alice@example.net"), (FromTag, "f6")],
        ),
        invite(
            "a ported number (RFC 4694) in the user part",
            &[(URI, b"sip:+15551234567;npdi;rn=+15557654321@gw.example.com;user=phone SIP")],
            &[(UriUser, "+15551234567;npdi;rn=+15557654321"), (UriHost, "gw.example.com")],
        ),
        invite(
            "an escaped @ in the user part",
            &[(FROM, b"<sip:alice%40corp@gw.example.net>;tag=f7")],
            &[(FromUri, "sip:alice%40corp@gw.example.net"), (FromUser, "alice%40corp")],
        ),
        invite(
            "a password in the URI",
            &[(FROM, b"<sip:alice:secret@example.net>;tag=f8")],
            &[(FromUser, "alice"), (FromHost, "example.net")],
        ),
        invite(
            "a star code dialled",
            &[(URI, b"sip:*69%23@example.com SIP")],
            &[(UriUser, "*69%23"), (UriHost, "example.com")],
        ),
        invite(
            "transport=udp in small letters",
            &[(CONTACT, b"<sip:alice@192.0.2.1:5060;transport=udp>")],
            &[(ContactUri, "sip:alice@192.0.2.1:5060;transport=udp")],
        ),
        invite(
            "headers in a URI",
            &[(CONTACT, b"<sip:bob@gw.example.com?Replaces=12%40h%3Bto-tag%3D7%3Bfrom-tag%3D8>")],
            &[(ContactUser, "bob"), (ContactHost, "gw.example.com")],
        ),
        invite("a tel Request-URI", &[(URI, b"tel:+15551234567 SIP")], &[(Uri, "tel:+15551234567")]),
        invite(
            "a sips Request-URI",
            &[(URI, b"sips:bob@example.com SIP")],
            &[(Uri, "sips:bob@example.com"), (UriUser, "bob")],
        ),
        invite("a Request-URI without user", &[(URI, b"sip:example.com SIP")], &[(UriHost, "example.com")]),
    ]
}

fn headers() -> Vec<Input> {
    use Ask::*;
    vec![
        Input {
            name: "compact header names",
            wire: b"INVITE sip:bob@example.com SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKc\r\n\
                f: <sip:alice@example.net>;tag=f\r\nt: <sip:bob@example.com>\r\ni: c1@192.0.2.1\r\nCSeq: 1 INVITE\r\n\
                Max-Forwards: 70\r\nm: <sip:alice@192.0.2.1>\r\ns: lunch\r\nl: 0\r\n\r\n"
                .to_vec(),
            answers: vec![
                (ViaBranch, "z9hG4bKc"),
                (FromTag, "f"),
                (ToUser, "bob"),
                (CallId, "c1@192.0.2.1"),
                (ContactUser, "alice"),
                (Subject, "lunch"),
            ],
        },
        invite(
            "a folded header",
            &[(END, b"Subject: I know\r\n you're there\r\nContent-Length: 0\r\n\r\n")],
            &[(Subject, "I know   you're there")],
        ),
        invite(
            "a blank before the colon",
            &[(END, b"Subject : lunch\r\nContent-Length : 0\r\n\r\n")],
            &[(Subject, "lunch")],
        ),
        invite(
            "header names in odd case",
            &[("Call-ID", b"CALL-iD"), ("CSeq", b"cseq"), ("Via", b"vIA")],
            &[(CallId, "3848276298220188511@192.0.2.1"), (CSeq, "1 INVITE"), (ViaBranch, "z9hG4bK74bf9")],
        ),
        invite(
            "a transport nobody knows",
            &[(VIA, b"SIP/2.0/UNKNOWN 192.0.2.1;branch=z9hG4bKu")],
            &[(ViaTransport, "UNKNOWN"), (ViaHost, "192.0.2.1"), (ViaBranch, "z9hG4bKu")],
        ),
        invite(
            "white space in Via",
            &[(VIA, b"SIP / 2.0 / UDP 192.0.2.1 ; branch=z9hG4bKw")],
            &[(ViaTransport, "UDP"), (ViaHost, "192.0.2.1"), (ViaBranch, "z9hG4bKw")],
        ),
        invite(
            "parameter names in capitals",
            &[(VIA, b"SIP/2.0/UDP 192.0.2.1;Branch=z9hG4bKB"), (FROM, b"<sip:alice@example.net>;Tag=fT")],
            &[(ViaBranch, "z9hG4bKB"), (FromTag, "fT")],
        ),
        invite(
            "two Vias in one line",
            &[(VIA, b"SIP/2.0/UDP p.example.com;branch=z9hG4bKp, SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKq")],
            &[(ViaCount, "2"), (ViaHost, "p.example.com"), (ViaBranch, "z9hG4bKp")],
        ),
        invite(
            "a Route with lr=on",
            &[("Max-Forwards", b"Route: <sip:p1.example.com;lr=on>\r\nMax-Forwards")],
            &[(RouteLoose, "true")],
        ),
        invite(
            "one header in Latin-1 before the others",
            &[("Via: ", b"Organization: Caf\xe9\r\nVia: ")],
            &[(ViaBranch, "z9hG4bK74bf9"), (FromTag, "9fxced76sl"), (ToUser, "bob"), (CSeq, "1 INVITE")],
        ),
    ]
}

fn starts() -> Vec<Input> {
    use Ask::*;
    vec![
        invite(
            "a method nobody knows",
            &[("INVITE", b"FOO"), ("1 INVITE", b"1 FOO")],
            &[(Method, "FOO"), (CSeq, "1 FOO"), (UriUser, "bob")],
        ),
        ok(
            "a reason phrase of the carrier's",
            &[("200 OK", b"486 Line Busy (Q.850 17)")],
            &[(Status, "486"), (Reason, "Line Busy (Q.850 17)"), (ToTag, "8321234356")],
        ),
        ok("an empty reason phrase", &[("200 OK", b"200 ")], &[(Status, "200"), (Reason, "")]),
        ok("a status that no RFC has", &[("200 OK", b"499 Client Gone")], &[(Status, "499")]),
    ]
}

fn bodies() -> Vec<Input> {
    use Ask::*;
    vec![
        invite(
            "a datagram without Content-Length",
            &[(END, b"Content-Type: application/sdp\r\n\r\nv=0\r\n")],
            &[(Body, "v=0\\r\\n")],
        ),
        invite(
            "bytes after the body",
            &[(END, b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\nINVITE sip:eve@evil.example SIP/2.0\r\n")],
            &[(Body, "v=0\\r\\n")],
        ),
        invite(
            "a binary body",
            &[(END, b"Content-Type: application/vnd.3gpp.sms\r\nContent-Length: 4\r\n\r\n\x00\x80\xff\x01")],
            &[(Body, "\\x00\\x80\\xff\\x01")],
        ),
        invite("a body shorter than Content-Length", &[(END, b"Content-Length: 9\r\n\r\nv=0\r\n")], &[]),
        invite("two Content-Lengths that differ", &[(END, b"Content-Length: 0\r\nl: 5\r\n\r\nv=0\r\n")], &[]),
    ]
}

//! The 49 messages of RFC 4475, each with what the codec makes of it. What needs a registrar, a dialog or a body's reader
//! (415, 420, 406, …) is accepted here and refused above.

use super::header::Contact;
use super::{Fault, Message, Method, Name, Verdict};

macro_rules! torture {
    ($($name:literal)*) => {
        &[$( ($name, include_bytes!(concat!("../../tests/data/sip/rfc4475/", $name, ".dat"))) ),*]
    };
}

pub(super) const MESSAGES: &[(&str, &[u8])] = torture! {
    "badaspec" "badbranch" "baddate" "baddn" "badinv01" "badvers" "bcast" "bext01" "bigcode" "clerr" "cparam01" "cparam02"
    "dblreq" "esc01" "esc02" "escnull" "escruri" "insuf" "intmeth" "inv2543" "invut" "longreq" "ltgtruri" "lwsdisp" "lwsruri"
    "lwsstart" "mcl01" "mismatch01" "mismatch02" "mpart01" "multi01" "ncl" "noreason" "novelsc" "quotbal" "regaut01" "regbadct"
    "regescrt" "scalar02" "scalarlg" "sdp01" "semiuri" "transports" "trws" "unkscm" "unksm2" "unreason" "wsinv" "zeromf"
};

/// What the codec decides, and the section of RFC 4475 that asks for it.
const OUTCOMES: &[(&str, &str, Outcome)] = &[
    ("wsinv", "3.1.1.1", Accepted),
    ("intmeth", "3.1.1.2", Refused(501)),
    ("esc01", "3.1.1.3", Accepted),
    ("escnull", "3.1.1.4", Accepted),
    ("esc02", "3.1.1.5", Refused(501)),
    ("lwsdisp", "3.1.1.6", Accepted),
    ("longreq", "3.1.1.7", Accepted),
    ("dblreq", "3.1.1.8", Accepted),
    ("semiuri", "3.1.1.9", Accepted),
    ("transports", "3.1.1.10", Accepted),
    ("mpart01", "3.1.1.11", Accepted),
    ("unreason", "3.1.1.12", Accepted),
    ("noreason", "3.1.1.13", Accepted),
    ("badinv01", "3.1.2.1", Refused(400)),
    ("clerr", "3.1.2.2", Refused(400)),
    ("ncl", "3.1.2.3", Refused(400)),
    ("scalar02", "3.1.2.4", Refused(400)),
    ("scalarlg", "3.1.2.5", Dropped),
    ("quotbal", "3.1.2.6", Refused(400)),
    ("ltgtruri", "3.1.2.7", Refused(400)),
    ("lwsruri", "3.1.2.8", Refused(400)),
    ("lwsstart", "3.1.2.9", Refused(400)),
    ("trws", "3.1.2.10", Refused(400)),
    ("escruri", "3.1.2.11", Refused(400)),
    // A Date in another time zone harms nobody here: nothing reads it.
    ("baddate", "3.1.2.12", Accepted),
    ("regbadct", "3.1.2.13", Refused(400)),
    ("badaspec", "3.1.2.14", Refused(400)),
    ("baddn", "3.1.2.15", Refused(400)),
    ("badvers", "3.1.2.16", Refused(505)),
    ("mismatch01", "3.1.2.17", Refused(400)),
    ("mismatch02", "3.1.2.18", Refused(400)),
    ("bigcode", "3.1.2.19", Dropped),
    ("badbranch", "3.2.1", Accepted),
    ("insuf", "3.3.1", Refused(400)),
    ("unkscm", "3.3.2", Refused(416)),
    ("novelsc", "3.3.3", Refused(416)),
    // The registrar refuses the To, see the test below.
    ("unksm2", "3.3.4", Accepted),
    ("bext01", "3.3.5", Accepted),
    ("invut", "3.3.6", Accepted),
    ("regaut01", "3.3.7", Accepted),
    ("multi01", "3.3.8", Refused(400)),
    ("mcl01", "3.3.9", Refused(400)),
    // No transaction of ours has that Via: the endpoint discards it.
    ("bcast", "3.3.10", Accepted),
    ("zeromf", "3.3.11", Accepted),
    ("cparam01", "3.3.12", Accepted),
    ("cparam02", "3.3.13", Accepted),
    ("regescrt", "3.3.14", Accepted),
    ("sdp01", "3.3.15", Accepted),
    ("inv2543", "3.4.1", Accepted),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused(u16),
    Dropped,
}
use Outcome::{Accepted, Dropped, Refused};

fn read(name: &str) -> Message {
    let (_, bytes) = MESSAGES.iter().find(|(n, _)| *n == name).expect("one of the 49");
    Message::parse(bytes.to_vec().into()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn each_of_the_49_has_its_outcome() {
    assert_eq!((MESSAGES.len(), OUTCOMES.len()), (49, 49));
    for (name, section, expected) in OUTCOMES {
        let message = read(name);
        let outcome = match message.verdict() {
            Verdict::Accept => Accepted,
            Verdict::Refuse { status, .. } => Refused(status),
            Verdict::Drop => Dropped,
        };
        let faults: Vec<_> = message.faults().iter().collect();
        assert_eq!(outcome, *expected, "{name} ({section}): {faults:?}");
    }
}

#[test]
fn wsinv_is_read_through_its_folds_and_blanks() {
    let m = read("wsinv");
    assert_eq!(
        m.to().map(|to| (to.uri().as_str(), to.tag().map(str::to_owned))),
        Ok(("sip:vivekg@chair-dnrc.example.com", Some("1918181833n".into())))
    );
    let from = m.from().expect("From");
    assert_eq!((from.display().as_ref(), from.tag()), ("J Rosenberg \\\"", Some("98asjd8")));
    assert_eq!(m.max_forwards(), Ok(Some(68)));
    assert_eq!(m.cseq().map(|c| (c.number, c.method)), Ok((9, Method::Invite)));
    let vias: Vec<_> = m.vias().map(|v| v.map(|v| (v.host().as_str(), v.transport(), v.branch()))).collect();
    assert_eq!(
        vias,
        [
            Ok(("192.0.2.2", "UDP", Some("390skdjuw"))),
            Ok(("spindle.example.com", "TCP", Some("z9hG4bK9ikj8"))),
            Ok(("192.168.255.111", "UDP", Some("z9hG4bK30239"))),
        ]
    );
    let contact = m.contact().expect("Contact");
    assert_eq!(
        (contact.display().as_ref(), contact.params().get("newparam")),
        ("Quoted string \"\"", Some("newvalue"))
    );
    assert_eq!(m.contacts().next().and_then(Result::ok).map(|c| c.q()), Some(330));
    assert_eq!(m.body().len(), 150);
}

#[test]
fn escapes_keep_their_meaning_and_their_spelling() {
    let m = read("esc01");
    let uri = m.uri().expect("Request-URI");
    assert_eq!(uri.as_str(), "sip:sips%3Auser%40example.com@example.net");
    assert_eq!(uri.user_text().as_deref(), Some("sips:user@example.com"));
    let contacts: Vec<_> =
        read("escnull").contacts().map(|c| c.map(|c| c.address().map(|a| a.uri().to_string()))).collect();
    assert_eq!(
        contacts,
        [Ok(Some("sip:%00@host5.example.com".into())), Ok(Some("sip:%00%00@host5.example.com".into()))]
    );
    assert_eq!(read("esc02").method_text(), "RE%47IST%45R");
}

#[test]
fn the_semicolon_of_semiuri_stands_in_the_user_part() {
    let m = read("semiuri");
    let uri = m.uri().expect("Request-URI");
    assert_eq!((uri.user(), uri.host().as_str()), (Some("user;par=u%40example.net"), "example.com"));
}

#[test]
fn dblreq_ends_where_its_content_length_says() {
    let m = read("dblreq");
    assert_eq!((m.method(), m.body()), (Some(Method::Register), &b""[..]));
    assert!(m.bytes().ends_with(b"\r\n\r\n"));
}

#[test]
fn binary_parts_and_long_headers_come_through_whole() {
    let m = read("mpart01");
    assert!(m.body().contains(&0));
    assert_eq!(m.content_type(), Some("multipart/mixed"));
    let long = read("longreq");
    assert_eq!(long.vias().filter(Result::is_ok).count(), 34);
    let transports: Vec<_> = read("transports").vias().map(|v| v.map(|v| v.transport().to_owned())).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"].map(|t| Ok(t.into())));
}

#[test]
fn odd_responses_keep_their_phrase() {
    assert_eq!((read("noreason").status(), read("noreason").reason()), (Some(100), ""));
    let unreason = read("unreason");
    assert_eq!(unreason.status(), Some(200));
    assert!(unreason.reason().starts_with("= 2**3 * 5**2"), "{}", unreason.reason());
}

#[test]
fn a_bare_magic_cookie_identifies_no_transaction() {
    let m = read("badbranch");
    let via = m.via().expect("Via");
    assert_eq!((via.branch(), via.transaction_branch()), (Some("z9hG4bK"), None));
    assert_eq!(read("inv2543").via().map(|v| v.branch().map(str::to_owned)), Ok(None));
}

#[test]
fn what_the_layers_above_refuse_can_be_seen_by_them() {
    let bext01 = read("bext01");
    assert_eq!(
        bext01.unsupported(&["100rel"]).collect::<Vec<_>>(),
        ["nothingSupportsThis", "nothingSupportsThisEither"]
    );
    assert_eq!(read("invut").content_type(), Some("application/unknownformat"));
    assert!(!read("sdp01").lists(Name::Accept, "application/sdp"));
    assert_eq!(read("zeromf").max_forwards(), Ok(Some(0)));
    assert_eq!(
        read("regaut01").auth(Name::Authorization).map(|a| a.scheme().to_owned()).collect::<Vec<_>>(),
        ["NoOneKnowsThisScheme"]
    );
    let unksm2 = read("unksm2");
    assert_eq!(unksm2.to().map(|to| to.uri().scheme()), Ok(super::Scheme::Other));
    let m = read("regescrt");
    let contact = m.contact().expect("Contact");
    assert_eq!(
        contact.uri().headers().next().map(|(n, v)| (n.into_owned(), v.into_owned())),
        Some(("Route".into(), "<sip:sip.example.com>".into()))
    );
    assert!(
        matches!(read("cparam01").contacts().next(), Some(Ok(Contact::Address(a))) if a.params().has("unknownparam"))
    );
    let cparam02 = read("cparam02");
    assert!(cparam02.contact().is_ok_and(|c| c.uri().params().has("unknownparam")));
}

#[test]
fn each_refusal_of_a_400_names_what_is_wrong() {
    for (name, fault) in [
        ("badinv01", Fault::BadVia),
        ("clerr", Fault::ShortBody),
        ("ncl", Fault::BadContentLength),
        ("scalar02", Fault::BadCSeq),
        ("quotbal", Fault::BadTo),
        ("ltgtruri", Fault::BadRequestUri),
        ("lwsstart", Fault::BadRequestLine),
        ("trws", Fault::BadRequestLine),
        ("regbadct", Fault::BadContact),
        ("mcl01", Fault::ConflictingContentLength),
        ("insuf", Fault::MissingCallId),
        ("multi01", Fault::DuplicateTo),
        ("baddn", Fault::BadFrom),
        ("mismatch02", Fault::CSeqMismatch),
    ] {
        assert!(read(name).faults().has(fault), "{name}: {:?}", read(name).faults().iter().collect::<Vec<_>>());
    }
}

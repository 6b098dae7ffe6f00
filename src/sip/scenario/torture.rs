//! The 49 messages of RFC 4475 at the door of a user agent: what each is answered with, and whether a call comes of it.

use super::*;
use crate::sip::torture::MESSAGES;

/// Name, section, the statuses sent back, and whether the switch hears of a call.
const OUTCOMES: &[(&str, &str, &[u16], bool)] = &[
    // Its To has a tag: it belongs to a dialog that is not ours.
    ("wsinv", "3.1.1.1", &[481], false),
    ("intmeth", "3.1.1.2", &[501], false),
    ("esc01", "3.1.1.3", &[100], true),
    // REGISTER without credentials, here and below: a challenge, and never a 400.
    ("escnull", "3.1.1.4", &[401], false),
    ("esc02", "3.1.1.5", &[501], false),
    ("lwsdisp", "3.1.1.6", &[200], false),
    ("longreq", "3.1.1.7", &[100], true),
    ("dblreq", "3.1.1.8", &[401], false),
    ("semiuri", "3.1.1.9", &[200], false),
    ("transports", "3.1.1.10", &[200], false),
    ("mpart01", "3.1.1.11", &[405], false),
    ("unreason", "3.1.1.12", &[], false),
    ("noreason", "3.1.1.13", &[], false),
    ("badinv01", "3.1.2.1", &[400], false),
    ("clerr", "3.1.2.2", &[400], false),
    ("ncl", "3.1.2.3", &[400], false),
    ("scalar02", "3.1.2.4", &[400], false),
    ("scalarlg", "3.1.2.5", &[], false),
    ("quotbal", "3.1.2.6", &[400], false),
    ("ltgtruri", "3.1.2.7", &[400], false),
    ("lwsruri", "3.1.2.8", &[400], false),
    ("lwsstart", "3.1.2.9", &[400], false),
    ("trws", "3.1.2.10", &[400], false),
    ("escruri", "3.1.2.11", &[400], false),
    // Nothing reads its Date.
    ("baddate", "3.1.2.12", &[100], true),
    ("regbadct", "3.1.2.13", &[400], false),
    ("badaspec", "3.1.2.14", &[400], false),
    ("baddn", "3.1.2.15", &[400], false),
    ("badvers", "3.1.2.16", &[505], false),
    ("mismatch01", "3.1.2.17", &[400], false),
    ("mismatch02", "3.1.2.18", &[400], false),
    ("bigcode", "3.1.2.19", &[], false),
    ("badbranch", "3.2.1", &[200], false),
    ("insuf", "3.3.1", &[400], false),
    ("unkscm", "3.3.2", &[416], false),
    ("novelsc", "3.3.3", &[416], false),
    ("unksm2", "3.3.4", &[400], false),
    ("bext01", "3.3.5", &[420], false),
    ("invut", "3.3.6", &[415], false),
    ("regaut01", "3.3.7", &[401], false),
    ("multi01", "3.3.8", &[400], false),
    ("mcl01", "3.3.9", &[400], false),
    ("bcast", "3.3.10", &[], false),
    // We are where it wanted to go, so that no hop is needed.
    ("zeromf", "3.3.11", &[200], false),
    ("cparam01", "3.3.12", &[401], false),
    ("cparam02", "3.3.13", &[401], false),
    ("regescrt", "3.3.14", &[401], false),
    ("sdp01", "3.3.15", &[406], false),
    ("inv2543", "3.4.1", &[100], true),
];

#[test]
fn each_torture_message_gets_the_answer_of_rfc_4475() {
    assert_eq!(MESSAGES.len(), OUTCOMES.len());
    let mut wrong = Vec::new();
    for (name, section, statuses, rings) in OUTCOMES {
        let (_, bytes) = MESSAGES.iter().find(|(known, _)| known == name).unwrap();
        let mut world = World::new(1);
        let source = stranger(world.agents[0].address);
        world.inject(0, source, Bytes::from_static(bytes));
        let endpoint = &mut world.agents[0].endpoint;
        let sent = core::iter::from_fn(|| endpoint.poll_transmit());
        let answers: Vec<u16> = sent.map(|t| Message::parse(t.bytes).unwrap().status().unwrap()).collect();
        let rang = matches!(endpoint.poll_event(), Some(UaEvent::Invited(_)));
        if (answers.as_slice(), rang) != (*statuses, *rings) {
            wrong.push(format!("{name} (§{section}): {answers:?}, rings {rang}; expected {statuses:?}, {rings}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_call_of_rfc_2543_is_answered_acknowledged_and_ended() {
    // RFC 4475 §3.4.1: no branch, no tags of today, no Contact; matched by the old rules.
    let (_, bytes) = MESSAGES.iter().find(|(name, _)| *name == "inv2543").unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("\r\n", "\n");
    let mut world = World::new(1);
    world.say(&text);
    let invited = world.expect_invited(0);
    assert_eq!(world.say(&text).iter().filter_map(Message::status).collect::<Vec<_>>(), [100]);
    world.agents[0].endpoint.reject(world.now, invited.session, 486, "", &[]).unwrap();
    let busy = Message::parse(world.agents[0].endpoint.poll_transmit().unwrap().bytes).unwrap();
    let tag = busy.to().unwrap().tag().unwrap().to_owned();
    let head = text.split("Content-Type").next().unwrap().replace("INVITE", "ACK");
    let to = busy.header(Name::To).unwrap().text().unwrap().replace(&format!(";tag={tag}"), "");
    let ack = format!("{}\n\n", head.trim_end()).replace(&to, &format!("{to};tag={tag}"));
    assert_eq!(world.say(&ack), []);
    world.assert_quiet();
}

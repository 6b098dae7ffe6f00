//! Session descriptions: early ones, moved ones, and what far sides behind a public address are told.

use super::*;
use crate::media::Source as Hears;

/// The answer or offer in a message's body.
fn body_of(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

/// The port of ours that a description of the house's names, as the engine knows it.
fn port_of(house: &House, description: &Message) -> crate::media::PortId {
    let body = body_of(description);
    let audio = body.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("audio");
    let rtp: u16 = audio.split(' ').next().unwrap().parse().unwrap();
    let places = &house.switch.legs;
    places.iter().find_map(|(port, place)| (place.rtp == rtp).then_some(*port)).expect("a port of the house")
}

/// Whom each port hears by the last of its rows.
fn hears(house: &House, wanted: crate::media::PortId) -> Option<Vec<Hears>> {
    let rows = house.media.iter().rev().filter_map(|command| match command {
        MediaCommand::Hear { rows, .. } => Some(rows),
        _ => None,
    });
    rows.flatten().find(|row| row.port == wanted).map(|row| row.hears.clone())
}

fn plays(house: &House) -> usize {
    house.media.iter().filter(|command| matches!(command, MediaCommand::Play(_))).count()
}

#[test]
fn a_phone_hears_what_the_carrier_says_before_the_answer_and_no_ringing_of_ours() {
    let mut house = House::new();
    house.invite_as_account(LI, "early", "1001", "02087654321");
    let invite = house.request(ALPHA, Method::Invite).unwrap();
    house.reply(ALPHA, &invite, 183, "");
    let progress = std::iter::from_fn(|| house.sent(LI)).find(|message| message.status() == Some(183));
    let progress = progress.expect("183 goes on to the phone");
    assert!(body_of(&progress).contains("m=audio "), "with an answer: {}", body_of(&progress));
    let (phone, carrier) = (port_of(&house, &progress), port_of(&house, &invite));
    assert_eq!(hears(&house, phone), Some(vec![Hears::Port(carrier)]));
    assert_eq!((hears(&house, carrier), plays(&house)), (None, 0), "one way, and nothing is played over it");
    let early = house.count(|fact| matches!(fact, Fact::LegRinging { early_media: true, .. }));
    assert_eq!((early, house.count(|fact| matches!(fact, Fact::LegsConnected { .. }))), (1, 0));

    house.reply(ALPHA, &invite, 200, "");
    let answer = house.final_response(LI).unwrap();
    assert_eq!((answer.status(), port_of(&house, &answer)), (Some(200), phone), "the same port as before");
    assert_eq!(hears(&house, carrier), Some(vec![Hears::Port(phone)]));
    house.assert_sound();
}

#[test]
fn a_waiting_caller_on_a_trunk_hears_the_early_media_of_where_the_call_is_put_through() {
    let mut house = House::and("[[number]]\nmatch = [\"95541\"]\ndialplan = \"out\"\n");
    house.invite(ALPHA, "through", "13800138000", "95541");
    let answer = house.final_response(ALPHA).unwrap();
    house.ack(ALPHA, &answer, 1);
    let invite = house.request(ALPHA, Method::Invite).expect("the dialplan dials out");
    let rung = plays(&house);
    assert_eq!(rung, 1, "the answered caller hears ringing meanwhile");
    house.reply(ALPHA, &invite, 183, "");
    let (caller, carrier) = (port_of(&house, &answer), port_of(&house, &invite));
    assert_eq!(hears(&house, caller), Some(vec![Hears::Port(carrier)]));
    assert!(matches!(house.media.iter().rev().nth(1), Some(MediaCommand::StopPlay { .. })), "and no more of it");
    house.assert_sound();
}

/// A re-INVITE of the caller's with this description.
fn reinvite(house: &mut House, answer: &Message, cseq: u32, body: &str) {
    let body = lines(body);
    let text = format!(
        "INVITE {} SIP/2.0\r\nVia: SIP/2.0/UDP {ALPHA};branch=z9hG4bKre{cseq}\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: {cseq} INVITE\r\nContact: <sip:far@{ALPHA}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        ends(answer).0,
        value(answer, Name::From),
        value(answer, Name::To),
        answer.call_id().unwrap(),
        body.len(),
    );
    house.hear(ALPHA, &text);
}

#[test]
fn a_caller_who_moves_to_another_media_address_is_sent_to_there_and_still_talks() {
    let mut house = House::new();
    house.seat("li");
    let (answer, _) = house.talk(ALPHA, "moved", LI);
    let port = port_of(&house, &answer);
    let moved = sdp("127.0.3.9:0").replace("o=- 1 1", "o=- 1 2").replace("m=audio 4000", "m=audio 4444");
    reinvite(&mut house, &answer, 2, &moved);
    let agreed = house.final_response(ALPHA).unwrap();
    assert_eq!((agreed.status(), port_of(&house, &agreed)), (Some(200), port), "our own end stays");
    house.ack(ALPHA, &agreed, 2);
    let change = house.media.iter().rev().find_map(|command| match command {
        MediaCommand::Update { port: changed, change } if *changed == port => Some(change.clone()),
        _ => None,
    });
    let change = change.expect("the engine is told");
    assert_eq!(change.remote.and_then(|remote| remote.expected), Some("127.0.3.9:4444".parse().unwrap()));
    assert!(change.relatch, "packets from the address before are let go");
    assert_eq!(house.count(|fact| matches!(fact, Fact::LegHeld { .. } | Fact::LegEnded { .. })), 0);
    house.assert_sound();
}

#[test]
fn a_public_address_is_what_a_carrier_is_told_to_send_to() {
    const CARRIER: &str = "203.0.113.7:5060";
    let plan = PLAN.replace("127.0.3.1", "203.0.113.7");
    let mut house = House::with(&format!("public_address = [\"198.51.100.20\"]\n{plan}"));
    house.seat("li");
    let (answer, _) = house.talk(CARRIER, "in", LI);
    assert!(body_of(&answer).contains("c=IN IP4 198.51.100.20\r\n"), "{}", body_of(&answer));
    house.invite_as_account(WANG, "out", "1002", "02087654321");
    let invite = house.request(CARRIER, Method::Invite).expect("the carrier is dialled");
    assert!(body_of(&invite).contains("c=IN IP4 198.51.100.20\r\n"), "{}", body_of(&invite));
    // The engine binds what the machine has.
    let bound = house.media.iter().filter_map(|command| match command {
        MediaCommand::Open(open) => Some(open.local.ip().to_string()),
        _ => None,
    });
    assert!(bound.into_iter().all(|ip| ip == "127.0.1.1"));
    house.assert_sound();
}

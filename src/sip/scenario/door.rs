//! What is refused or dropped before any session sees it, and what happens when there is no room.

use super::phone::{Phone, SDP};
use super::*;
use crate::limits::ua::{BACKLOG, SESSIONS};
use crate::sip::header::Name;

#[test]
fn options_say_what_we_take() {
    let mut world = World::new(1);
    let answer = Phone::new().say(&mut world, "OPTIONS", "", "").pop().unwrap();
    assert_eq!(answer.status(), Some(200));
    assert!(["INVITE", "CANCEL", "REFER", "INFO"].iter().all(|method| answer.lists(Name::Allow, method)));
    assert!(answer.lists(Name::Accept, "application/sdp"));
    assert!(answer.to().unwrap().tag().is_some());
}

#[test]
fn what_we_do_not_take_is_named_in_the_refusal() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let mut ask = |method: &str, headers: &str, body: &str| {
        phone.call_id += "x";
        let mut answers = phone.say(&mut world, method, headers, body);
        answers.pop().unwrap()
    };
    let publish = ask("PUBLISH", "", "");
    assert_eq!(publish.status(), Some(405));
    assert!(publish.lists(Name::Allow, "INVITE"));
    let unknown = ask("FROBNICATE", "", "");
    assert_eq!(unknown.status(), Some(501));
    let extension = ask("INVITE", "Require: 100rel, precondition\n", "");
    assert_eq!(extension.status(), Some(420));
    assert_eq!(extension.tokens(Name::Unsupported).collect::<Vec<_>>(), ["100rel", "precondition"]);
    let strange = ask("INVITE", "Content-Type: application/strange\n", "x");
    assert_eq!(strange.status(), Some(415));
    assert!(strange.lists(Name::Accept, "application/sdp"));
    let packed = ask("INVITE", "Content-Type: application/sdp\nContent-Encoding: gzip\n", "x");
    assert_eq!(packed.status(), Some(415));
    assert!(packed.lists(Name::AcceptEncoding, "identity"));
    assert_eq!(ask("INVITE", "Accept: text/plain\n", "").status(), Some(406));
    assert_eq!(ask("INVITE", "Content-Type: application/sdp\n", "v=8\n").status(), Some(400));
    assert_eq!(ask("BYE", "", "").status(), Some(481));
    assert!(world.agents[0].events.is_empty());
}

#[test]
fn a_dialog_that_is_not_ours_is_481_and_its_ack_is_dropped() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    phone.to = "<sip:1@127.0.0.1>;tag=unknown".into();
    for method in ["BYE", "INVITE", "INFO", "OPTIONS", "REFER"] {
        assert_eq!(phone.ask(&mut world, method, "", ""), [481], "{method}");
    }
    assert_eq!(phone.ask(&mut world, "ACK", "", ""), [0; 0]);
}

#[test]
fn the_same_call_by_two_ways_rings_once() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let invite = phone.text("INVITE", "Content-Type: application/sdp\n", SDP);
    assert_eq!(world.say(&invite).iter().filter_map(Message::status).collect::<Vec<_>>(), [100]);
    let again: Vec<_> = world.say(&invite).iter().filter_map(Message::status).collect();
    assert_eq!(again, [100], "a repetition is answered as before");
    let other_way = invite.replace("z9hG4bKphone-call.1", "z9hG4bKother");
    assert_eq!(world.say(&other_way).iter().filter_map(Message::status).collect::<Vec<_>>(), [482]);
    assert_eq!(world.agents[0].events.len(), 1);
}

#[test]
fn a_stray_response_is_dropped() {
    let mut world = World::new(1);
    let stray = "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKnone\nFrom: <sip:a@h>;tag=f\nTo: <sip:b@h>;tag=t\nCall-ID: c\nCSeq: 1 INVITE\nContent-Length: 0\n\n";
    assert_eq!(world.say(stray), []);
    assert!(world.agents[0].endpoint.is_idle());
}

#[test]
fn a_refusal_without_a_transaction_has_the_same_tag_each_time() {
    let mut world = World::new(1);
    let bad = Phone::new().text("FROBNICATE", "", "");
    let tag = |answers: Vec<Message>| answers[0].to().unwrap().tag().unwrap().to_owned();
    assert_eq!(tag(world.say(&bad)), tag(world.say(&bad)));
}

#[test]
fn a_gbk_display_name_reaches_the_switch_and_the_call_can_be_answered_and_ended() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    phone.from = "\"QQ\" <sip:phone@127.0.0.99>;tag=phone".into();
    let text = phone.text("INVITE", "Content-Type: application/sdp\n", SDP).replace('\n', "\r\n");
    let bytes: Vec<u8> = text.bytes().map(|b| if b == b'Q' { 0xD5 } else { b }).collect();
    let source = stranger(world.agents[0].address);
    world.inject(0, source, Bytes::from(bytes));
    world.agents[0].endpoint.poll_transmit();
    let Some(UaEvent::Invited(invited)) = world.agents[0].endpoint.poll_event() else { panic!("invited") };
    world.answer(0, invited.session, invited.offer.as_ref().unwrap());
    let ok = Message::parse(world.agents[0].endpoint.poll_transmit().unwrap().bytes).unwrap();
    assert_eq!(ok.from().unwrap().display_raw(), b"\"\xD5\xD5\"", "the answer repeats the caller's bytes");
    assert_eq!(ok.from().unwrap().tag(), Some("phone"));
}

#[test]
fn past_the_limit_of_sessions_and_of_untold_events_calls_are_refused_with_retry_after() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let source = stranger(world.agents[0].address);
    let mut invite = |world: &mut World, drain: bool| {
        phone.call_id = format!("c{}", phone.cseq);
        let text = phone.text("INVITE", "", "").replace('\n', "\r\n");
        world.inject(0, source, Bytes::from(text));
        let endpoint = &mut world.agents[0].endpoint;
        while drain && endpoint.poll_event().is_some() {}
        let last = core::iter::from_fn(|| endpoint.poll_transmit()).last().unwrap();
        let answer = Message::parse(last.bytes).unwrap();
        (answer.status().unwrap(), answer.header(Name::RetryAfter).is_some())
    };
    for _ in 0..BACKLOG {
        assert_eq!(invite(&mut world, false), (100, false));
    }
    assert_eq!(invite(&mut world, false), (503, true), "nobody listens");
    while world.agents[0].endpoint.poll_event().is_some() {}
    for _ in BACKLOG..SESSIONS {
        assert_eq!(invite(&mut world, true), (100, false));
    }
    assert_eq!(invite(&mut world, true), (503, true), "no room");
}

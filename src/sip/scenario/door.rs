//! What is refused or dropped before any session sees it, and what happens when there is no room.

use super::phone::{Phone, SDP};
use super::*;
use crate::ids::{AccountName, TrunkName};
use crate::limits::ua::{BACKLOG, REGISTRATIONS, RESOLVING, ROUTES, SESSIONS, TRANSACTIONS, TRUNKS};
use crate::sip::endpoint::{Bounds, Refused};
use crate::sip::header::Name;
use crate::sip::registrar::{Binding, Registrar};
use crate::sip::registration::RegistrationSettings;

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

#[test]
fn a_plan_may_allow_fewer_sessions_than_the_house_could_hold() {
    let mut world = World::new(2);
    world.agents[1].endpoint.set_bounds(Bounds { sessions: 1, ..Bounds::MOST });
    world.connect();
    world.call(0, &[1]);
    world.settle();
    let failed = world.expect(0, |event| match event {
        UaEvent::Failed { failure, .. } => Some(failure.status),
        _ => None,
    });
    assert_eq!(failed, 503);
    let now = world.now;
    let invite = world.agents[1].invite(vec![Target::uri("sip:1@127.0.0.1:5060")]);
    assert_eq!(world.agents[1].endpoint.invite(now, invite), Err(Refused::Full));
}

#[test]
fn past_the_limit_of_transactions_requests_are_refused_without_one() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let mut ask = |world: &mut World| phone.ask(world, "OPTIONS", "", "").pop().unwrap();
    for _ in 0..TRANSACTIONS {
        assert_eq!(ask(&mut world), 200);
    }
    assert_eq!(ask(&mut world), 503);
    // Timer J lets them go.
    world.run(core::time::Duration::from_secs(33));
    assert_eq!(ask(&mut world), 200);
}

#[test]
fn past_the_limit_of_names_being_resolved_and_of_trunks_orders_are_refused() {
    let mut world = World::new(1);
    let call = |world: &mut World| {
        let invite = world.agents[0].invite(vec![Target::uri("sip:1@slow.example")]);
        world.agents[0].endpoint.invite(world.now, invite).map(drop)
    };
    for _ in 0..RESOLVING {
        assert_eq!(call(&mut world), Ok(()));
    }
    assert_eq!(call(&mut world), Err(Refused::Full));
    let settings = RegistrationSettings {
        registrar: Target::uri("sip:127.0.0.99"),
        aor: Party::new("", "sip:1@example.com"),
        credentials: None,
        expires: 300,
    };
    let endpoint = &mut world.agents[0].endpoint;
    for n in 0..TRUNKS {
        let trunk = TrunkName::new(format!("t{n}"));
        assert_eq!(endpoint.register(world.now, trunk, settings.clone()), Ok(()));
    }
    assert_eq!(endpoint.register(world.now, TrunkName::new("more"), settings.clone()), Err(Refused::Full));
    assert_eq!(endpoint.register(world.now, TrunkName::new("t1"), settings), Ok(()), "a change is no new one");
}

#[test]
fn a_call_with_more_routes_than_the_limit_is_refused() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let routes = "Record-Route: <sip:127.0.0.50;lr>\n";
    assert_eq!(phone.ask(&mut world, "INVITE", &routes.repeat(ROUTES + 1), ""), [100, 400]);
    phone.call_id = "fewer".into();
    assert_eq!(phone.ask(&mut world, "INVITE", &routes.repeat(ROUTES), ""), [100]);
}

#[test]
fn past_the_limit_of_registrations_bindings_of_before_a_restart_are_left_out() {
    let world = World::new(1);
    let source = stranger(world.agents[0].address);
    let listeners = &world.agents[0].endpoint.settings().listeners;
    let mut registrar = Registrar::new("example.com", [0; 32], Expires::default(), &[Algorithm::MD5]);
    let binding = |n: usize| Binding {
        contact: format!("sip:{n}@127.0.0.99"),
        expires: world.now + core::time::Duration::from_secs(60),
        q: 1_000,
        call_id: String::new(),
        cseq: 1,
        source,
        by_flow: false,
        instance: None,
        path: Vec::new(),
        user_agent: String::new(),
    };
    let accounts = (0..=REGISTRATIONS).map(|n| AccountName::new(n.to_string()));
    accounts.clone().for_each(|account| registrar.set_account(account, Vec::new()));
    registrar.import(world.now, accounts.enumerate().map(|(n, account)| (account, binding(n))).collect(), listeners);
    assert_eq!(registrar.all().count(), REGISTRATIONS);
    assert!(!registrar.is_bound(&REGISTRATIONS.to_string()));
}

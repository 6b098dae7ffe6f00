//! Hold, resume and move by re-INVITE, from either side and from both at once; order within a dialog.

use core::time::Duration;

use super::phone::{Phone, SDP, respond_to, said};
use super::*;
use crate::sip::endpoint::Refused;
use crate::sip::event::Ending;
use crate::sip::header::Name;

fn reoffered(event: &UaEvent) -> Option<SessionDescription> {
    match event {
        UaEvent::Reoffered { offer, .. } => offer.clone(),
        _ => None,
    }
}

fn reoffer_answered(event: &UaEvent) -> Option<SessionDescription> {
    match event {
        UaEvent::ReofferAnswered { answer, .. } => Some(answer.clone()),
        _ => None,
    }
}

fn reoffer_failed(event: &UaEvent) -> Option<u16> {
    match event {
        UaEvent::ReofferFailed { status, .. } => Some(*status),
        _ => None,
    }
}

/// Answers each offer that comes.
fn accept(agent: &mut Agent, _: usize, now: Time, event: &UaEvent) {
    if let UaEvent::Reoffered { session, offer: Some(offer) } = event {
        let answer = agent.negotiate(offer);
        agent.endpoint.accept_offer(now, *session, &answer).unwrap();
    }
}

#[test]
fn either_side_holds_and_resumes() {
    let mut world = World::new(2);
    let (a, b) = world.connect();
    for (from, to, session) in [(0, 1, a), (1, 0, b)] {
        for (direction, seen) in
            [(Direction::SendOnly, Direction::SendOnly), (Direction::SendRecv, Direction::SendRecv)]
        {
            let offer = world.agents[from].offer(direction);
            world.agents[from].endpoint.reoffer(world.now, session, &offer).unwrap();
            world.run_with(Duration::from_secs(1), accept);
            let offer = world.expect(to, reoffered);
            assert_eq!(offer.direction_of(&offer.media[0]), seen);
            let answer = world.expect(from, reoffer_answered);
            assert_eq!(world.agents[from].audio.handle_answer(&answer).unwrap().direction, direction);
        }
    }
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_refused_offer_leaves_the_call() {
    let mut world = World::new(2);
    let (a, b) = world.connect();
    let offer = world.agents[0].offer(Direction::SendRecv);
    world.agents[0].endpoint.reoffer(world.now, a, &offer).unwrap();
    assert_eq!(world.agents[0].endpoint.reoffer(world.now, a, &offer), Err(Refused::OfferPending));
    world.settle();
    world.agents[1].endpoint.refuse_offer(world.now, b, 488).unwrap();
    world.settle();
    assert_eq!(world.expect(0, reoffer_failed), 488);
    assert!(world.agents[0].endpoint.reoffer(world.now, a, &offer).is_ok());
    world.run_with(Duration::from_secs(1), accept);
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn offers_that_cross_are_both_refused_and_tried_again_one_after_the_other() {
    let mut world = World::new(2);
    let (a, b) = world.connect();
    for (at, session) in [(0, a), (1, b)] {
        let offer = world.agents[at].offer(Direction::SendOnly);
        world.agents[at].endpoint.reoffer(world.now, session, &offer).unwrap();
    }
    let crossed = world.now;
    world.run_with(Duration::from_millis(50), accept);
    assert_eq!((world.count("1→2 491 INVITE"), world.count("2→1 491 INVITE")), (1, 1));
    world.run_with(Duration::from_millis(2_040), accept);
    // The called side comes first, within 2 s; the caller's own offer is given back to the switch.
    world.expect(1, reoffer_answered);
    assert_eq!(world.expect(0, reoffer_failed), 491);
    assert!(world.now.since(crossed) < Duration::from_millis(2_100));
    world.run_with(Duration::from_secs(5), accept);
    assert_eq!(world.count("1→2 INVITE"), 2, "the first call and the crossed offer");
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_far_side_that_rebooted_ends_the_call() {
    let mut world = World::new(2);
    let (a, _) = world.connect();
    world.agents[1] = Agent::new(2);
    let offer = world.agents[0].offer(Direction::SendOnly);
    world.agents[0].endpoint.reoffer(world.now, a, &offer).unwrap();
    world.settle();
    let how = world.expect(0, |event| match event {
        UaEvent::Ended { how, .. } => Some(*how),
        _ => None,
    });
    assert_eq!(how, Ending::Gone);
    world.assert_quiet();
}

#[test]
fn a_far_side_that_fell_silent_ends_the_call_after_a_timeout() {
    let mut world = World::new(2);
    let (a, _) = world.connect();
    world.loses = |_| true;
    let offer = world.agents[0].offer(Direction::SendOnly);
    world.agents[0].endpoint.reoffer(world.now, a, &offer).unwrap();
    world.run(Duration::from_secs(40));
    let how = world.expect(0, |event| match event {
        UaEvent::Ended { how, .. } => Some(*how),
        _ => None,
    });
    assert_eq!(how, Ending::Timeout);
    world.run(Duration::from_secs(60));
    assert!(world.agents[0].endpoint.is_idle());
}

#[test]
fn a_gap_in_cseq_is_legal_and_a_step_back_is_500() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    phone.cseq = 90;
    assert_eq!(phone.ask(&mut world, "OPTIONS", "", ""), [200]);
    phone.cseq = 50;
    assert_eq!(phone.ask(&mut world, "OPTIONS", "", ""), [500]);
    phone.cseq = 91;
    assert_eq!(phone.ask(&mut world, "BYE", "", ""), [200]);
    assert!(world.agents[0].endpoint.open_sessions().all(|open| open != session));
    world.assert_quiet();
}

/// The phone has called and been answered, and its ACK has not come.
fn without_ack(world: &mut World, phone: &mut Phone, headers: &str, body: &str) -> SessionId {
    phone.say(world, "INVITE", headers, body);
    let invited = world.expect_invited(0);
    let description = match &invited.offer {
        Some(offer) => world.agents[0].negotiate(offer),
        None => world.agents[0].offer(Direction::SendRecv),
    };
    world.agents[0].endpoint.answer(world.now, invited.session, &description).unwrap();
    let ok = said(world).pop().unwrap();
    phone.to = format!("<sip:1@127.0.0.1>;tag={}", ok.to().unwrap().tag().unwrap());
    invited.session
}

#[test]
fn an_offer_that_overtakes_its_ack_is_taken_for_both() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = without_ack(&mut world, &mut phone, "Content-Type: application/sdp\n", SDP);
    assert_eq!(phone.ask(&mut world, "INVITE", "Content-Type: application/sdp\n", SDP), [100]);
    world.expect(0, |event| matches!(event, UaEvent::Acked { answer: None, .. }).then_some(()));
    world.expect(0, reoffered);
    world.agents[0].endpoint.refuse_offer(world.now, session, 488).unwrap();
    world.agents[0].endpoint.end(world.now, session, None);
    world.assert_quiet();
}

#[test]
fn an_offer_has_to_wait_while_the_ack_owes_us_an_answer() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    without_ack(&mut world, &mut phone, "", "");
    let answers = phone.say(&mut world, "INVITE", "Content-Type: application/sdp\n", SDP);
    assert_eq!(answers.iter().filter_map(Message::status).collect::<Vec<_>>(), [100, 500]);
    assert!(answers[1].header(Name::RetryAfter).is_some());
}

#[test]
fn a_provisional_offer_of_ours_is_cancelled_after_three_minutes() {
    let mut world = World::new(2);
    let (a, _) = world.connect();
    let offer = world.agents[0].offer(Direction::SendOnly);
    world.agents[0].endpoint.reoffer(world.now, a, &offer).unwrap();
    world.run(Duration::from_secs(181));
    assert_eq!(world.count("1→2 CANCEL"), 1);
    assert_eq!(world.expect(0, reoffer_failed), 487);
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_new_contact_moves_our_requests() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    phone.contact = "<sip:moved@127.0.0.88:5070>".into();
    phone.say(&mut world, "INVITE", "Content-Type: application/sdp\n", SDP);
    let offer = world.expect(0, reoffered);
    let answer = world.agents[0].negotiate(&offer);
    world.agents[0].endpoint.accept_offer(world.now, session, &answer).unwrap();
    assert_eq!(said(&mut world).pop().unwrap().status(), Some(200));
    phone.say(&mut world, "ACK", "", "");
    world.agents[0].endpoint.end(world.now, session, None);
    let bye = world.agents[0].endpoint.poll_transmit().unwrap();
    assert_eq!(bye.destination.remote().to_string(), "127.0.0.88:5070");
    let bye = Message::parse(bye.bytes).unwrap();
    assert_eq!(bye.uri_text(), "sip:moved@127.0.0.88:5070");
    respond_to(&mut world, &bye, 200, "", "");
    world.assert_quiet();
}

#[test]
fn a_reinvite_without_an_offer_gets_ours() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    phone.say(&mut world, "INVITE", "", "");
    world.expect(0, |event| matches!(event, UaEvent::Reoffered { offer: None, .. }).then_some(()));
    let offer = world.agents[0].offer(Direction::SendRecv);
    world.agents[0].endpoint.accept_offer(world.now, session, &offer).unwrap();
    said(&mut world);
    phone.say(&mut world, "ACK", "Content-Type: application/sdp\n", SDP);
    world.expect(0, |event| matches!(event, UaEvent::Acked { answer: Some(_), .. }).then_some(()));
    world.agents[0].endpoint.end(world.now, session, None);
    world.assert_quiet();
}

#[test]
fn a_cancelled_reinvite_is_487_and_the_call_goes_on() {
    let mut world = World::new(1);
    let mut phone = Phone::new();
    let session = phone.connect(&mut world);
    let invite = phone.text("INVITE", "Content-Type: application/sdp\n", SDP);
    world.say(&invite);
    let cancel = invite.replace("INVITE", "CANCEL").replace("Content-Type: application/sdp\n", "");
    let cancel = format!("{}Content-Length: 0\n\n", cancel.split("Content-Length").next().unwrap());
    let answers = world.say(&cancel);
    assert_eq!(answers.iter().filter_map(Message::status).collect::<Vec<_>>(), [200, 487]);
    let offer = world.agents[0].offer(Direction::SendRecv);
    assert_eq!(world.agents[0].endpoint.accept_offer(world.now, session, &offer), Err(Refused::WrongState));
    assert_eq!(phone.ask(&mut world, "BYE", "", ""), [200]);
    world.assert_quiet();
}

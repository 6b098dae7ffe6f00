//! One call to several contacts, and several answers to one call.

use core::time::Duration;

use super::phone::{respond_to, said};
use super::*;
use crate::sip::header::Name;

fn answered(event: &UaEvent) -> Option<usize> {
    match event {
        UaEvent::Answered { target, .. } => Some(*target),
        _ => None,
    }
}

fn failed(event: &UaEvent) -> Option<u16> {
    match event {
        UaEvent::Failed { failure, .. } => Some(failure.status),
        _ => None,
    }
}

#[test]
fn the_first_phone_that_answers_wins_and_the_others_stop_ringing() {
    let mut world = World::new(4);
    let a = world.call(0, &[1, 2, 3]);
    world.settle();
    let invited: Vec<Invitation> = (1..4).map(|at| world.expect_invited(at)).collect();
    for (at, invitation) in invited.iter().enumerate() {
        world.agents[at + 1].endpoint.provisional(world.now, invitation.session, 180, None).unwrap();
    }
    world.settle();
    world.answer(2, invited[1].session, invited[1].offer.as_ref().unwrap());
    world.settle();
    assert_eq!(world.expect(0, answered), 1);
    for at in [1, 3] {
        let reason = world.expect(at, |event| match event {
            UaEvent::Cancelled { reason, .. } => reason.clone(),
            _ => None,
        });
        assert_eq!((reason.cause, reason.text.as_str()), (Some(200), "Call completed elsewhere"));
    }
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn two_phones_that_answer_at_once_leave_one_call() {
    let mut world = World::new(3);
    let a = world.call(0, &[1, 2]);
    world.settle();
    for at in [1, 2] {
        let invited = world.expect_invited(at);
        world.answer(at, invited.session, invited.offer.as_ref().unwrap());
    }
    world.settle();
    assert_eq!(world.expect(0, answered), 0);
    assert!(!world.agents[0].events.iter().any(|event| answered(event).is_some()));
    assert_eq!((world.count("1→3 ACK"), world.count("1→3 BYE")), (1, 1));
    assert_eq!((world.count("1→2 ACK"), world.count("1→2 BYE")), (1, 0));
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn when_all_refuse_the_best_refusal_is_told_once() {
    let mut world = World::new(4);
    world.call(0, &[1, 2, 3]);
    world.settle();
    for (at, status) in [(1, 500), (2, 486), (3, 408)] {
        let invited = world.expect_invited(at);
        world.agents[at].endpoint.reject(world.now, invited.session, status, "", &[]).unwrap();
        world.settle();
    }
    assert_eq!(world.expect(0, failed), 486);
    assert!(world.agents[0].events.is_empty());
    world.assert_quiet();
}

#[test]
fn a_603_stops_the_other_phones() {
    let mut world = World::new(3);
    world.call(0, &[1, 2]);
    world.settle();
    let invited = world.expect_invited(1);
    world.agents[1].endpoint.reject(world.now, invited.session, 603, "", &[]).unwrap();
    world.settle();
    world.expect(2, |event| matches!(event, UaEvent::Cancelled { .. }).then_some(()));
    assert_eq!(world.expect(0, failed), 603);
    world.assert_quiet();
}

#[test]
fn a_phone_that_is_not_there_does_not_keep_the_other_from_ringing() {
    let mut world = World::new(2);
    let targets = vec![Target::uri("sip:1@127.0.0.77"), Target::uri("sip:1@127.0.0.2")];
    let invite = world.agents[0].invite(targets);
    let a = world.agents[0].endpoint.invite(world.now, invite).unwrap();
    world.settle();
    let invited = world.expect_invited(1);
    world.answer(1, invited.session, invited.offer.as_ref().unwrap());
    world.settle();
    assert_eq!(world.expect(0, answered), 1);
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

/// An INVITE to the stranger, who is a forking proxy.
fn invite_stranger(world: &mut World) -> (SessionId, Message) {
    let invite = world.agents[0].invite(vec![Target::uri("sip:1@127.0.0.99")]);
    let session = world.agents[0].endpoint.invite(world.now, invite).unwrap();
    (session, said(world).pop().unwrap())
}

const CONTACT: &str = "Contact: <sip:fork@127.0.0.98>\n";

#[test]
fn a_second_2xx_by_another_fork_is_acknowledged_and_ended_and_its_repetition_only_acknowledged() {
    let mut world = World::new(1);
    let (session, invite) = invite_stranger(&mut world);
    let methods = |messages: &[Message]| messages.iter().map(|m| m.method().unwrap()).collect::<Vec<_>>();
    assert_eq!(methods(&respond_to(&mut world, &invite, 200, "one", CONTACT)), [Method::Ack]);
    let extra = respond_to(&mut world, &invite, 200, "two", CONTACT);
    assert_eq!(methods(&extra), [Method::Ack, Method::Bye]);
    assert_eq!(extra[1].to().unwrap().tag(), Some("two"));
    assert_eq!(methods(&respond_to(&mut world, &invite, 200, "two", CONTACT)), [Method::Ack]);
    assert_eq!(methods(&respond_to(&mut world, &invite, 200, "one", CONTACT)), [Method::Ack]);
    world.agents[0].endpoint.end(world.now, session, None);
    let bye = said(&mut world).pop().unwrap();
    assert_eq!((bye.method(), bye.to().unwrap().tag()), (Some(Method::Bye), Some("one")));
    world.assert_quiet();
}

#[test]
fn requests_of_a_dialog_follow_the_reversed_record_route() {
    let mut world = World::new(1);
    let (session, invite) = invite_stranger(&mut world);
    let routes = "Record-Route: <sip:127.0.0.50;lr>, <sip:127.0.0.51;lr>\nContact: <sip:far@127.0.0.60>\n";
    let ack = respond_to(&mut world, &invite, 200, "t", routes).pop().unwrap();
    let route = |message: &Message| -> Vec<String> {
        message.routes().map(|route| route.unwrap().uri().as_str().to_owned()).collect()
    };
    assert_eq!(route(&ack), ["sip:127.0.0.51;lr", "sip:127.0.0.50;lr"]);
    assert_eq!(ack.uri_text(), "sip:far@127.0.0.60");
    world.agents[0].endpoint.end(world.now, session, None);
    let transmit = world.agents[0].endpoint.poll_transmit().unwrap();
    assert_eq!(transmit.destination.remote().to_string(), "127.0.0.51:5060");
    world.assert_quiet();
}

#[test]
fn a_strict_router_gets_itself_as_request_uri_and_the_target_as_last_route() {
    let mut world = World::new(1);
    let (session, invite) = invite_stranger(&mut world);
    let routes = "Record-Route: <sip:127.0.0.50;lr>, <sip:127.0.0.51>\nContact: <sip:far@127.0.0.60>\n";
    let ack = respond_to(&mut world, &invite, 200, "t", routes).pop().unwrap();
    let route: Vec<String> = ack.routes().map(|route| route.unwrap().uri().as_str().to_owned()).collect();
    assert_eq!(ack.uri_text(), "sip:127.0.0.51");
    assert_eq!(route, ["sip:127.0.0.50;lr", "sip:far@127.0.0.60"]);
    world.agents[0].endpoint.end(world.now, session, None);
    world.assert_quiet();
}

#[test]
fn an_answer_that_cannot_be_read_fails_the_call_and_ends_it() {
    let mut world = World::new(1);
    let (_, invite) = invite_stranger(&mut world);
    let body = "Contact: <sip:far@127.0.0.60>\nContent-Type: application/sdp\nContent-Length: 5\n\nv=9\n";
    let answers = respond_to(&mut world, &invite, 200, "t", body);
    assert_eq!(answers.iter().filter_map(Message::method).collect::<Vec<_>>(), [Method::Ack, Method::Bye]);
    assert!(answers[1].header(Name::Reason).is_some());
    assert_eq!(world.expect(0, failed), 488);
    world.assert_quiet();
}

#[test]
fn an_invite_that_is_cancelled_and_never_answered_is_given_up_32_s_later() {
    let mut world = World::new(1);
    let (session, invite) = invite_stranger(&mut world);
    respond_to(&mut world, &invite, 180, "t", "");
    world.agents[0].endpoint.end(world.now, session, None);
    assert_eq!(said(&mut world).pop().unwrap().method(), Some(Method::Cancel));
    world.run(Duration::from_secs(31));
    assert!(!world.agents[0].endpoint.is_idle());
    world.run(Duration::from_secs(2));
    assert!(world.agents[0].endpoint.is_idle());
}

#[test]
fn no_more_than_the_limit_of_targets_is_rung() {
    use crate::limits::ua::TARGETS;
    let mut world = World::new(1);
    let targets = (0..TARGETS + 5).map(|n| Target::uri(format!("sip:{n}@127.0.0.99"))).collect();
    let invite = world.agents[0].invite(targets);
    world.agents[0].endpoint.invite(world.now, invite).unwrap();
    assert_eq!(said(&mut world).len(), TARGETS);
}

#[test]
fn a_fork_beyond_the_limit_is_ended_like_the_others_and_not_remembered() {
    use crate::limits::ua::FORKS;
    let mut world = World::new(1);
    let (_, invite) = invite_stranger(&mut world);
    let mut answer = |tag: usize| -> Vec<Method> {
        let answers = respond_to(&mut world, &invite, 200, &tag.to_string(), CONTACT);
        answers.iter().filter_map(Message::method).collect()
    };
    assert_eq!(answer(0), [Method::Ack]);
    for tag in 1..=FORKS {
        assert_eq!(answer(tag), [Method::Ack, Method::Bye], "{tag}");
    }
    assert_eq!(answer(FORKS - 1), [Method::Ack], "a repetition of one that is remembered");
    assert_eq!(answer(FORKS), [Method::Ack, Method::Bye], "one that is not is ended again");
}

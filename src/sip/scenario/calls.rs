//! A call between two: answered, refused, given up at each stage, and hung up by either side.

use core::time::Duration;

use super::*;
use crate::sip::endpoint::Refused;
use crate::sip::event::Ending;
use crate::sip::header::Name;

fn ended(event: &UaEvent) -> Option<Ending> {
    match event {
        UaEvent::Ended { how, .. } => Some(*how),
        _ => None,
    }
}

fn failed(event: &UaEvent) -> Option<(u16, Option<u32>)> {
    match event {
        UaEvent::Failed { failure, .. } => Some((failure.status, failure.retry_after)),
        _ => None,
    }
}

fn cancelled(event: &UaEvent) -> Option<()> {
    matches!(event, UaEvent::Cancelled { .. }).then_some(())
}

#[test]
fn a_call_rings_is_answered_and_hung_up_by_the_caller() {
    let mut world = World::new(2);
    let a = world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    world.agents[1].endpoint.provisional(world.now, b.session, 180, None).unwrap();
    world.settle();
    let progress = |event: &UaEvent| match event {
        UaEvent::Progress { status, early, .. } => Some((*status, early.is_some())),
        _ => None,
    };
    assert_eq!(world.expect(0, progress), (180, false));
    world.answer(1, b.session, b.offer.as_ref().unwrap());
    world.settle();
    let answer = world.expect(0, |event| match event {
        UaEvent::Answered { answer, target: 0, .. } => answer.clone(),
        _ => None,
    });
    assert!(world.agents[0].audio.handle_answer(&answer).is_ok());
    world.expect(1, |event| matches!(event, UaEvent::Acked { answer: None, .. }).then_some(()));
    world.agents[0].endpoint.end(world.now, a, Some("Q.850;cause=16;text=\"bye\""));
    world.settle();
    let reason = world.expect(1, |event| match event {
        UaEvent::Ended { how: Ending::Bye, reason, .. } => reason.clone(),
        _ => None,
    });
    assert_eq!((reason.protocol.as_str(), reason.cause, reason.text.as_str()), ("Q.850", Some(16), "bye"));
    assert_eq!(
        world.ladder,
        ["1→2 INVITE", "2→1 100 INVITE", "2→1 180 INVITE", "2→1 200 INVITE", "1→2 ACK", "1→2 BYE", "2→1 200 BYE"]
    );
    world.assert_quiet();
}

#[test]
fn the_called_side_hangs_up_and_the_caller_is_told() {
    let mut world = World::new(2);
    let (_, b) = world.connect();
    world.agents[1].endpoint.end(world.now, b, None);
    world.settle();
    assert_eq!(world.expect(0, ended), Ending::Bye);
    world.assert_quiet();
}

#[test]
fn early_media_comes_with_183_and_the_200_repeats_it() {
    let mut world = World::new(2);
    world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    let answer = world.agents[1].negotiate(b.offer.as_ref().unwrap());
    world.agents[1].endpoint.provisional(world.now, b.session, 183, Some(&answer)).unwrap();
    world.settle();
    let early = world.expect(0, |event| match event {
        UaEvent::Progress { status: 183, early, .. } => early.clone(),
        _ => None,
    });
    assert_eq!(early, answer);
    world.agents[1].endpoint.end(world.now, b.session, None);
    world.settle();
    assert_eq!(world.expect(0, failed), (480, None));
    world.assert_quiet();
}

#[test]
fn a_long_ring_is_said_again_each_minute() {
    let mut world = World::new(2);
    let a = world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    world.agents[1].endpoint.provisional(world.now, b.session, 180, None).unwrap();
    world.run(Duration::from_secs(185));
    assert_eq!(world.count("2→1 180 INVITE"), 4);
    world.agents[0].endpoint.end(world.now, a, None);
    world.assert_quiet();
}

#[test]
fn a_refusal_reaches_the_caller_with_its_retry_after() {
    let mut world = World::new(2);
    world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    let headers = [("Retry-After", "15".to_owned())];
    world.agents[1].endpoint.reject(world.now, b.session, 503, "Draining", &headers).unwrap();
    world.settle();
    assert_eq!(world.expect(0, failed), (503, Some(15)));
    assert_eq!(world.agents[1].endpoint.answer(world.now, b.session, &b.offer.unwrap()), Err(Refused::NoSession));
    world.assert_quiet();
}

#[test]
fn a_cancel_before_any_response_waits_for_the_first_one() {
    let mut world = World::new(2);
    world.lose.insert(0);
    let a = world.call(0, &[1]);
    world.run(Duration::from_millis(5));
    world.agents[0].endpoint.end(world.now, a, Some("SIP;cause=487"));
    world.run(Duration::from_secs(2));
    assert_eq!(
        world.ladder,
        ["1→2 INVITE ×", "1→2 INVITE", "2→1 100 INVITE", "1→2 CANCEL", "2→1 200 CANCEL", "2→1 487 INVITE", "1→2 ACK"]
    );
    let branch = |message: &Message| message.via().unwrap().branch().unwrap().to_owned();
    assert_eq!(branch(requests(&world, Method::Cancel)[0]), branch(requests(&world, Method::Invite)[0]));
    assert_eq!(requests(&world, Method::Cancel)[0].header(Name::Reason).unwrap().text(), Some("SIP;cause=487"));
    world.expect(1, cancelled);
    world.assert_quiet();
}

#[test]
fn a_cancel_while_ringing_ends_both_sides() {
    let mut world = World::new(2);
    let a = world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    world.agents[1].endpoint.provisional(world.now, b.session, 180, None).unwrap();
    world.settle();
    world.agents[0].endpoint.end(world.now, a, None);
    world.settle();
    world.expect(1, cancelled);
    assert!(!world.agents[0].events.iter().any(|event| failed(event).is_some()), "whoever ends hears nothing more");
    let late = world.agents[1].endpoint.answer(world.now, b.session, &b.offer.unwrap());
    assert_eq!(late, Err(Refused::NoSession));
    world.assert_quiet();
}

#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut world = World::new(2);
    let a = world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    world.answer(1, b.session, b.offer.as_ref().unwrap());
    world.agents[0].endpoint.end(world.now, a, None);
    world.settle();
    assert_eq!(world.count("1→2 ACK"), 1);
    assert_eq!(world.count("1→2 BYE"), 1);
    assert_eq!(world.expect(1, ended), Ending::Bye);
    world.assert_quiet();
}

#[test]
fn a_cancel_for_nothing_is_answered_481() {
    let mut world = World::new(1);
    let answers = world.say(
        "CANCEL sip:1@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.99;branch=z9hG4bKnone\nFrom: <sip:a@h>;tag=f\nTo: <sip:1@h>\nCall-ID: c\nCSeq: 1 CANCEL\nContent-Length: 0\n\n",
    );
    assert_eq!(answers.iter().map(|m| m.status()).collect::<Vec<_>>(), [Some(481)]);
}

#[test]
fn the_caller_may_end_a_ringing_call_by_bye() {
    let mut world = World::new(1);
    let invite = "INVITE sip:1@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.99;branch=z9hG4bKi\nFrom: <sip:a@h>;tag=f\nTo: <sip:1@h>\nCall-ID: c\nCSeq: 1 INVITE\nContact: <sip:a@127.0.0.99>\nContent-Length: 0\n\n";
    world.say(invite);
    let session = world.expect_invited(0).session;
    world.agents[0].endpoint.provisional(world.now, session, 180, None).unwrap();
    let ringing = Message::parse(world.agents[0].endpoint.poll_transmit().unwrap().bytes).unwrap();
    let tag = ringing.to().unwrap().tag().unwrap().to_owned();
    let bye = invite.replace("INVITE", "BYE").replace("To: <sip:1@h>", &format!("To: <sip:1@h>;tag={tag}"));
    let answers = world.say(&bye.replace("z9hG4bKi", "z9hG4bKb").replace("CSeq: 1", "CSeq: 2"));
    let statuses: Vec<_> = answers.iter().map(|m| (m.status().unwrap(), m.cseq().unwrap().method)).collect();
    assert_eq!(statuses, [(200, Method::Bye), (487, Method::Invite)]);
    world.expect(0, cancelled);
    world.assert_quiet();
}

#[test]
fn nobody_answers_an_invite_for_32_s() {
    let mut world = World::new(2);
    world.loses = |message| message.is_request();
    world.call(0, &[1]);
    world.run(Duration::from_secs(31));
    assert!(world.agents[0].events.is_empty());
    world.run(Duration::from_secs(2));
    assert_eq!(world.expect(0, failed), (408, None));
    assert_eq!(world.count("1→2 INVITE ×"), 7);
    world.assert_quiet();
}

#[test]
fn a_2xx_is_repeated_until_its_ack_and_after_32_s_the_call_is_ended() {
    let mut world = World::new(2);
    world.loses = |message| message.method() == Some(Method::Ack);
    world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    world.answer(1, b.session, b.offer.as_ref().unwrap());
    world.run(Duration::from_secs(31));
    // 0, 0.5, 1.5, 3.5, 7.5, 11.5 … 31.5 s: T1 doubling to T2.
    assert_eq!(world.count("2→1 200 INVITE"), 10);
    assert_eq!(world.count("1→2 ACK ×"), 10);
    world.run(Duration::from_secs(3));
    assert_eq!(world.expect(1, ended), Ending::NoAck);
    assert_eq!(world.expect(0, ended), Ending::Bye);
    world.assert_quiet();
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut world = World::new(2);
    world.lose.insert(3); // the ACK
    world.call(0, &[1]);
    world.settle();
    let b = world.expect_invited(1);
    world.answer(1, b.session, b.offer.as_ref().unwrap());
    world.run(Duration::from_millis(100));
    world.agents[1].endpoint.end(world.now, b.session, None);
    world.run(Duration::from_millis(100));
    assert_eq!(world.count("2→1 BYE"), 0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.count("2→1 BYE"), 1);
    assert_eq!(world.expect(0, ended), Ending::Bye);
    world.assert_quiet();
}

#[test]
fn an_invite_without_an_offer_gets_ours_in_the_2xx_and_its_answer_in_the_ack() {
    let mut world = World::new(1);
    let head = |method: &str, branch: &str, to: &str, body: &str| {
        format!(
            "{method} sip:1@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.99;branch=z9hG4bK{branch}\nFrom: <sip:a@h>;tag=f\nTo: {to}\nCall-ID: c\nCSeq: 1 {method}\nContact: <sip:a@127.0.0.99>\nContent-Type: application/sdp\nContent-Length: {}\n\n{body}",
            body.replace('\n', "\r\n").len()
        )
    };
    world.say(&head("INVITE", "i", "<sip:1@h>", ""));
    let invited = world.expect_invited(0);
    assert_eq!(invited.offer, None);
    let offer = world.agents[0].offer(Direction::SendRecv);
    world.agents[0].endpoint.answer(world.now, invited.session, &offer).unwrap();
    let ok = Message::parse(world.agents[0].endpoint.poll_transmit().unwrap().bytes).unwrap();
    let to = format!("<sip:1@h>;tag={}", ok.to().unwrap().tag().unwrap());
    let answer = "v=0\no=- 1 1 IN IP4 127.0.0.99\ns=-\nc=IN IP4 127.0.0.99\nt=0 0\nm=audio 4000 RTP/AVP 8\n";
    world.say(&head("ACK", "a", &to, answer));
    let answer = world.expect(0, |event| match event {
        UaEvent::Acked { answer, .. } => answer.clone(),
        _ => None,
    });
    assert_eq!(world.agents[0].audio.handle_answer(&answer).unwrap().codec, Codec::Pcma);
    world.agents[0].endpoint.end(world.now, invited.session, None);
    world.assert_quiet();
}

#[test]
fn requests_leave_with_what_the_switch_added() {
    let mut world = World::new(2);
    let target = Target::uri(format!("sip:1@{}", world.agents[1].address));
    let mut invite = world.agents[0].invite(vec![target]);
    invite.headers.push(("X-CTI-Call".into(), "01J".into()));
    invite.max_forwards = 12;
    world.agents[0].endpoint.invite(world.now, invite.clone()).unwrap();
    world.settle();
    let invited = world.expect_invited(1);
    assert_eq!(invited.request.named("X-CTI-Call").and_then(|h| h.text()), Some("01J"));
    assert_eq!(invited.max_forwards, 12);
    invite.headers.push(("X-Bad".into(), "a\r\nEvil: yes".into()));
    assert_eq!(world.agents[0].endpoint.invite(world.now, invite.clone()), Err(Refused::BadValue));
    invite.max_forwards = 0;
    assert_eq!(world.agents[0].endpoint.invite(world.now, invite), Err(Refused::TooManyHops));
    world.agents[1].endpoint.reject(world.now, invited.session, 486, "", &[]).unwrap();
    world.assert_quiet();
}

#[test]
fn a_call_of_ours_that_comes_back_to_us_is_a_loop() {
    let mut world = World::new(1);
    world.call(0, &[0]);
    world.settle();
    assert_eq!(world.expect(0, failed), (482, None));
    world.assert_quiet();
}

//! The main job: a caller on a trunk is greeted, presses a key, waits in a queue, an agent's phone rings, they talk,
//! the call is recorded, and one durable record remains.

use std::time::Duration;

use strowger::cause::What;
use strowger::event::{AgentState, Fact, OfferOutcome, QueueExit, Role};

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::{Centre, RECEPTION, Served};
use super::desk::Desk;
use super::place::{CARRIER, CENTRE, Place};
use super::registration::{ALICE, BOB, CAROL};
use super::sipp::{Line, Script, Sipp};
use super::sound::{Sound, tone};
use super::speech::Speech;

pub const LINE: Line<'static> = Line { party: CARRIER, port: 5_060, caller: "+8613800138000", called: RECEPTION };

#[test]
fn a_call_from_the_trunk_reaches_an_agent_is_heard_both_ways_recorded_and_kept() {
    let place = Place::new("trunk-to-agent");
    let served = Served::start(&place);
    let alice = Phone::start(&place, Setup { answers: true, ..ALICE });
    alice.wait_for("REGISTER_OK");
    let mut desk = Desk::open(place.address(CENTRE), "alice", "correct horse alice");
    desk.serve_from("1001");
    let capture = Capture::start(&place);
    let speech = Speech::new().silence(2).keys("2").tone(tone::CALLER, 6);
    let script = Script::call().answered().speak().pause(Duration::from_secs(8)).hang_up();
    Sipp::start(&place, LINE, &speech, &script).succeeds();
    alice.wait_for("CALL_CLOSED");
    desk.wait_for_event("call.leg_ended");
    let wire = capture.stop();
    let remains = served.stop();

    // The desktop: the offer, with the caller's record and choice.
    let (us, trunk, phone) = (place.party(CENTRE), place.party(CARRIER), place.party(ALICE.party));
    let offer = desk.wait_for_event("call.offered");
    let call = offer.frame["items"].as_array().and_then(|items| items.iter().find(|item| item["kind"] == "call"));
    let call = call.unwrap_or_else(|| panic!("the offer shows no call: {}", offer.frame));
    assert_eq!(call["customer"]["tier"], "gold", "{call}");
    let answers = call["answers"].as_array().expect("answers are a list");
    assert!(answers.iter().any(|answer| answer["name"] == "reason" && answer["value"] == "urgent"), "{call}");

    // The wire, as tshark has it.
    assert_eq!(wire.ladder(trunk, us), ["INVITE", "100", "200", "ACK", "BYE", "200"]);
    for (from, to) in [(us, trunk), (trunk, us), (us, phone), (phone, us)] {
        wire.expect_clean_stream(from, to, 200);
    }

    // Sound: who heard whom.
    let by_caller = wire.sound(us, trunk);
    assert_eq!(by_caller.order().first(), Some(&tone::WELCOME), "{:?}", by_caller.runs());
    assert_eq!(by_caller.order().last(), Some(&tone::ALICE), "{:?}", by_caller.runs());
    assert!(by_caller.of(tone::ALICE) > 4.0, "{:?}", by_caller.runs());
    let by_agent = wire.sound(us, phone);
    assert_eq!(by_agent.order(), [tone::CALLER], "{:?}", by_agent.runs());
    assert!(by_agent.of(tone::CALLER) > 4.0, "{:?}", by_agent.runs());
    let [by_alice] = <[_; 1]>::try_from(alice.heard()).ok().expect("one call");
    assert!(by_alice.of(tone::CALLER) > 3.5, "the phone's own recording: {:?}", by_alice.runs());

    // One durable record.
    let record = remains.only_record();
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Hangup), "{record:#?}");
    assert_eq!(record.from.number, LINE.caller);
    assert_eq!(record.agent.as_ref().map(|agent| agent.as_str()), Some("alice"));
    assert_eq!(record.queues.iter().map(|visit| visit.exit).collect::<Vec<_>>(), [Some(QueueExit::Answered)]);
    assert_eq!(record.offers.iter().map(|offer| offer.outcome).collect::<Vec<_>>(), [Some(OfferOutcome::Answered)]);
    assert_eq!(record.legs.iter().map(|leg| leg.role).collect::<Vec<_>>(), [Role::Caller, Role::Agent]);
    assert!(record.legs.iter().all(|leg| leg.stats.is_some_and(|stats| stats.packets_received > 200)), "{record:#?}");
    assert_eq!(record.path.first().map(|step| step.outcome.as_str()), Some("key 2"), "{:?}", record.path);

    // The recording: the caller left, the agent right, nobody on both.
    let channels = remains.recording(record);
    assert_eq!(channels.len(), 2);
    assert_eq!(channels[0].order(), [tone::CALLER], "{:?}", channels[0].runs());
    assert_eq!(channels[1].order(), [tone::ALICE], "{:?}", channels[1].runs());
    assert!(channels[0].of(tone::CALLER) > 4.0 && channels[1].of(tone::ALICE) > 4.0);
}

/// The card is on the desktop before the phone rings. Several offers, for the two go different ways and a busy machine
/// may let either wait; the wire says when each left.
#[test]
fn the_offer_reaches_the_desktop_before_the_phone_rings() {
    const CALLS: usize = 5;
    let place = Place::new("offer-first");
    let served = Served::start(&place);
    let alice = Phone::start(&place, Setup { answers: true, ..ALICE });
    alice.wait_for("REGISTER_OK");
    let mut desk = Desk::open(place.address(CENTRE), "alice", "correct horse alice");
    desk.serve_from("1001");
    let capture = Capture::start(&place);
    for call in 1..=CALLS {
        let script = Script::call().answered().speak().pause(Duration::from_secs(2)).hang_up();
        let speech = Speech::new().silence(1).keys("1").silence(1);
        let caller = Sipp::start(&place, Line { port: 5_060 + 2 * call as u16, ..LINE }, &speech, &script);
        alice.wait_for_nth("CALL_ESTABLISHED", call);
        caller.succeeds();
        alice.wait_for_nth("CALL_CLOSED", call);
    }
    let wire = capture.stop();
    let (us, phone) = (place.party(CENTRE), place.party(ALICE.party));
    let (offered, rings) = (wire.words("\"call.offered\"", us), wire.all("180", phone, us));
    assert_eq!((offered.len(), rings.len()), (CALLS, CALLS));
    let first = offered.iter().zip(&rings).all(|(offer, ring)| *offer < ring.at);
    assert!(first, "each offer comes before its ring: {offered:?} {rings:#?}");
    assert_eq!(served.stop().records.len(), CALLS);
}

/// The same from a phone of the house: it dials the number, hears the menu, presses a key, waits, talks.
#[test]
fn a_registered_phone_reaches_an_agent_through_the_same_menu() {
    let place = Place::new("phone-to-agent");
    let centre = Centre::start(&place);
    let alice = Phone::start(&place, Setup { answers: true, ..ALICE });
    let mut carol = Phone::start(&place, CAROL);
    centre.wait_until_registered("1001");
    centre.wait_until_registered("1003");
    centre.serve_from("alice", "1001");
    let capture = Capture::start(&place);
    carol.dial(RECEPTION);
    carol.wait_for("CALL_ESTABLISHED");
    let (us, a, c) = (place.party(CENTRE), place.party(ALICE.party), place.party(CAROL.party));
    capture.wait_until_heard(us, c, tone::WELCOME, 0.5);
    carol.press("2");
    alice.wait_for("CALL_ESTABLISHED");
    capture.wait_until_heard(us, c, tone::ALICE, 2.2);
    capture.wait_until_heard(us, a, tone::CAROL, 2.2);
    carol.hang_up();
    alice.wait_for("CALL_CLOSED");

    let record = &centre.records(1)[0];
    assert_eq!(record.from.number, "1003", "{record:#?}");
    assert_eq!(record.path.first().map(|step| step.outcome.as_str()), Some("key 2"), "{:?}", record.path);
    assert_eq!(record.queues.iter().map(|visit| visit.exit).collect::<Vec<_>>(), [Some(QueueExit::Answered)]);
    assert_eq!(record.agent.as_ref().map(|agent| agent.as_str()), Some("alice"));
    let wire = capture.stop();
    let heard = wire.sound(us, c);
    assert_eq!((heard.order().first(), heard.order().last()), (Some(&tone::WELCOME), Some(&tone::ALICE)));
    assert!(heard.of(tone::ALICE) > 2.0, "{:?}", heard.runs());
    let heard = wire.sound(us, a);
    assert_eq!(heard.order(), [tone::CAROL], "{:?}", heard.runs());
    let channels = Sound::read(&centre.recording(record));
    assert_eq!([channels[0].order(), channels[1].order()], [[tone::CAROL], [tone::ALICE]]);
}

#[test]
fn an_agent_who_does_not_answer_is_passed_over_and_the_next_one_rings() {
    let place = Place::new("no-answer");
    let centre = Centre::start(&place);
    let alice = Phone::start(&place, ALICE);
    centre.wait_until_registered("1001");
    centre.serve_from("alice", "1001");
    let bob = Phone::start(&place, Setup { answers: true, ..BOB });
    centre.wait_until_registered("1002");
    // Alice has been idle for longer, so she is offered the call first.
    centre.serve_from("bob", "1002");
    let capture = Capture::start(&place);
    let speech = Speech::new().silence(2).keys("1").tone(tone::CALLER, 10);
    let script = Script::call().answered().speak().pause(Duration::from_secs(11)).hang_up();
    Sipp::start(&place, LINE, &speech, &script).succeeds();
    bob.wait_for("CALL_CLOSED");
    let records = centre.records(1);
    let offers: Vec<_> = records[0].offers.iter().map(|offer| (offer.agent.as_str(), offer.outcome)).collect();
    let expected = [("alice", Some(OfferOutcome::NoAnswer)), ("bob", Some(OfferOutcome::Answered))];
    assert_eq!(offers, expected, "{:#?}", records[0]);
    let away = |fact: &Fact| {
        matches!(fact, Fact::AgentStateChanged { agent, state: AgentState::NotReady, reason, .. }
            if agent.as_str() == "alice" && reason == "system:no_answer")
    };
    assert!(centre.events().iter().any(|event| away(&event.fact)), "who does not answer is taken out");
    assert_eq!((alice.count("CALL_INCOMING"), alice.count("CALL_ESTABLISHED")), (1, 0));
    let wire = capture.stop();
    let us = place.party(CENTRE);
    let heard = wire.sound(us, place.party(BOB.party));
    assert!(heard.of(tone::CALLER) > 2.0, "{:?}", heard.runs());
    let heard = wire.sound(us, place.party(CARRIER));
    assert!(heard.of(tone::MUSIC) > 2.0, "music while it rings: {:?}", heard.runs());
    assert_eq!(heard.order().last(), Some(&tone::BOB), "{:?}", heard.runs());
}

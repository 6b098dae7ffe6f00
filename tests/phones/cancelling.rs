//! The caller gives up: before anything rings, while it rings, in the menu, in the queue, while an agent rings.

use std::time::Duration;

use strowger::cause::What;
use strowger::event::{Event, Fact, OfferOutcome, QueueExit};

use super::baresip::Phone;
use super::capture::Capture;
use super::centre::{Centre, RECEPTION};
use super::place::{CARRIER, CENTRE, Place};
use super::registration::{ALICE, BOB};
use super::sipp::{Line, Script, Sipp};
use super::sound::tone;
use super::speech::Speech;

const LINE: Line<'static> = Line { party: CARRIER, port: 5_060, caller: "+8613800138000", called: RECEPTION };

#[test]
fn a_caller_who_cancels_while_a_phone_rings_stops_the_ringing() {
    let place = Place::new("cancel-ringing");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    let bob = Phone::start(&place, BOB);
    alice.wait_for("REGISTER_OK");
    bob.wait_for("REGISTER_OK");
    let capture = Capture::start(&place);
    alice.dial("1002");
    bob.wait_for("CALL_INCOMING");
    alice.wait_for("CALL_RINGING");
    alice.hang_up();
    bob.wait_for("CALL_CLOSED");
    let records = centre.records(1);
    assert_eq!(records[0].cause.map(|cause| (cause.what, cause.status)), Some((What::Abandoned, Some(487))));
    assert_eq!(records[0].answered, None);
    let wire = capture.stop();
    let (a, b, us) = (place.party(ALICE.party), place.party(BOB.party), place.party(CENTRE));
    for ladder in [wire.ladder(a, us), wire.ladder(us, b)] {
        let end = &ladder[ladder.len() - 4..];
        assert_eq!(end, ["CANCEL", "200", "487", "ACK"], "{ladder:?}");
    }
}

/// The caller gives up at once: before it has said who it is, or while the called phone is being reached. No call stays
/// behind either way.
#[test]
fn a_caller_who_cancels_at_once_is_let_go() {
    let place = Place::new("cancel-at-once");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    alice.wait_for("REGISTER_OK");
    let bob = Phone::start(&place, BOB);
    bob.wait_for("REGISTER_OK");
    let capture = Capture::start(&place);
    alice.dial("1002");
    alice.hang_up();
    alice.wait_for("CALL_CLOSED");
    let wire = capture.stop();
    let ladder = wire.ladder(place.party(ALICE.party), place.party(CENTRE));
    assert_eq!(ladder.first().map(String::as_str), Some("INVITE"), "{ladder:?}");
    assert!(ladder.contains(&"CANCEL".to_owned()) || ladder.contains(&"BYE".to_owned()), "{ladder:?}");
    // A call that got as far as the other phone is over and has its record; one that did not never was.
    let accepted = centre.events().iter().filter(|event| matches!(event.fact, Fact::CallAccepted { .. })).count();
    let records = centre.records(accepted);
    let causes: Vec<_> = records.iter().filter_map(|record| record.cause).map(|cause| cause.what).collect();
    assert!(causes.len() == accepted && causes.iter().all(|what| *what == What::Abandoned), "{records:#?}");
    assert_eq!(bob.count("CALL_ESTABLISHED"), 0);
}

/// The far end has said 100 and nothing more: the CANCEL goes on to it.
#[test]
fn a_caller_who_cancels_before_any_ringing_is_cancelled_at_the_carrier() {
    let place = Place::new("cancel-early");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    alice.wait_for("REGISTER_OK");
    let carrier = Sipp::await_call(&place, CARRIER, &Speech::new(), &Script::called_in_vain());
    let capture = Capture::start(&place);
    alice.dial("013900139000");
    centre.wait_for("call to outside", |event| matches!(event.fact, Fact::LegAdded { .. }).then_some(()));
    capture.wait_for_reply(place.party(CARRIER));
    alice.hang_up();
    carrier.succeeds();
    alice.wait_for("CALL_CLOSED");
    let records = centre.records(1);
    assert_eq!(records[0].cause.map(|cause| cause.what), Some(What::Abandoned), "{records:#?}");
    let wire = capture.stop();
    let (us, carrier) = (place.party(CENTRE), place.party(CARRIER));
    assert_eq!(wire.ladder(us, carrier), ["INVITE", "100", "CANCEL", "200", "487", "ACK"]);
    let ladder = wire.ladder(place.party(ALICE.party), us);
    assert_eq!(ladder[ladder.len() - 4..], ["CANCEL", "200", "487", "ACK"], "{ladder:?}");
}

/// 183 with a description: what the carrier says before any answer is heard, and nothing of ours over it.
#[test]
fn a_caller_hears_the_carriers_words_and_gives_up_before_the_answer() {
    let place = Place::new("early-media");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    alice.wait_for("REGISTER_OK");
    let words = Speech::new().tone(tone::CALLER, 4);
    let carrier = Sipp::await_call(&place, CARRIER, &words, &Script::called_and_told_something());
    let capture = Capture::start(&place);
    alice.dial("013900139000");
    let (us, a) = (place.party(CENTRE), place.party(ALICE.party));
    capture.wait_until_heard(us, a, tone::CALLER, 2.0);
    let early = |event: &Event| matches!(event.fact, Fact::LegRinging { early_media: true, .. }).then_some(());
    centre.wait_for("early media", early);
    alice.hang_up();
    carrier.succeeds();
    alice.wait_for("CALL_CLOSED");
    assert_eq!(alice.count("CALL_ESTABLISHED"), 0);
    let [record] = <[_; 1]>::try_from(centre.records(1)).expect("one record");
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Abandoned), "{record:#?}");
    assert!(record.legs.iter().all(|leg| leg.answered.is_none()), "{record:#?}");
    let wire = capture.stop();
    let heard = wire.sound(us, a);
    assert_eq!(heard.order(), [tone::CALLER], "{:?}", heard.runs());
    assert!(wire.ladder(us, a).contains(&"183".to_owned()), "{:?}", wire.ladder(us, a));
}

#[test]
fn a_caller_who_hangs_up_in_the_menu_leaves_a_record_and_nothing_else() {
    let place = Place::new("leave-menu");
    let centre = Centre::start(&place);
    let script = Script::call().answered().speak().pause(Duration::from_millis(700)).hang_up();
    Sipp::start(&place, LINE, &Speech::new().tone(tone::CALLER, 1), &script).succeeds();
    let records = centre.records(1);
    assert_eq!(records[0].cause.map(|cause| cause.what), Some(What::Hangup), "{records:#?}");
    assert!(records[0].queues.is_empty() && records[0].recordings.is_empty());
}

#[test]
fn a_caller_who_hangs_up_in_the_queue_is_an_abandoned_call() {
    let place = Place::new("leave-queue");
    let centre = Centre::start(&place);
    let _phone = signed_in_but_away(&place, &centre);
    let speech = Speech::new().silence(2).keys("1").silence(3);
    let script = Script::call().answered().speak().pause(Duration::from_secs(5)).hang_up();
    Sipp::start(&place, LINE, &speech, &script).succeeds();
    let records = centre.records(1);
    assert_eq!(records[0].cause.map(|cause| cause.what), Some(What::Abandoned), "{records:#?}");
    assert_eq!(records[0].queues[0].exit, Some(QueueExit::Abandoned));
    assert_eq!(records[0].offers, []);
}

/// An agent who is signed in and not ready: calls wait.
fn signed_in_but_away(place: &Place, centre: &Centre) -> Phone {
    let phone = Phone::start(place, ALICE);
    centre.wait_until_registered("1001");
    let account = strowger::ids::AccountName::new("1001");
    centre.order("alice", strowger::command::Order::SignIn { account }).expect("alice may sign in");
    phone
}

#[test]
fn a_caller_who_hangs_up_while_the_agent_rings_stops_the_ringing_and_frees_the_agent() {
    let place = Place::new("leave-ringing");
    let centre = Centre::start(&place);
    let alice = Phone::start(&place, ALICE);
    centre.wait_until_registered("1001");
    centre.serve_from("alice", "1001");
    let capture = Capture::start(&place);
    let speech = Speech::new().silence(2).keys("1").silence(3);
    let script = Script::call().answered().speak().pause(Duration::from_secs(4)).hang_up();
    let caller = Sipp::start(&place, LINE, &speech, &script);
    alice.wait_for("CALL_INCOMING");
    caller.succeeds();
    alice.wait_for("CALL_CLOSED");
    let records = centre.records(1);
    assert_eq!(
        records[0].offers.iter().map(|offer| offer.outcome).collect::<Vec<_>>(),
        [Some(OfferOutcome::Withdrawn)]
    );
    let states: Vec<_> = centre
        .events()
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::AgentStateChanged { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    assert_eq!(states.last(), Some(&strowger::event::AgentState::Ready), "{states:?}");
    let wire = capture.stop();
    let ladder = wire.ladder(place.party(CENTRE), place.party(ALICE.party));
    assert_eq!(ladder[ladder.len() - 4..], ["CANCEL", "200", "487", "ACK"], "{ladder:?}");
}

//! The caller gives up: before anything rings, while it rings, in the menu, in the queue, while an agent rings.

use std::time::Duration;

use strowger::cause::What;
use strowger::event::{Fact, OfferOutcome, QueueExit};

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

/// The CANCEL leaves together with the INVITE: it arrives while the centre has said no more than 100, or it finds the
/// call answered; either way the caller is let go and one record remains.
#[test]
fn a_caller_who_cancels_before_any_ringing_is_let_go() {
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
    let records = centre.records(1);
    assert!(records[0].cause.is_some_and(|cause| matches!(cause.what, What::Abandoned | What::Hangup)));
    let wire = capture.stop();
    let ladder = wire.ladder(place.party(ALICE.party), place.party(CENTRE));
    assert!(ladder.contains(&"CANCEL".to_owned()) || ladder.contains(&"BYE".to_owned()), "{ladder:?}");
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

//! What is refused, and how: unknown numbers, busy and absent phones, a trunk that is full; and what always answers.

use std::time::Duration;

use strowger::cause::What;

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::{Centre, MESSAGE};
use super::place::{CARRIER, CENTRE, NARROW_CARRIER, Place};
use super::registration::{ALICE, BOB, CAROL};
use super::sipp::{Line, Script, Sipp};
use super::sound::tone;
use super::speech::Speech;

const CALLER: &str = "+8613800138000";
const LINE: Line<'static> = Line { party: CARRIER, port: 5_060, caller: CALLER, called: MESSAGE };

#[test]
fn options_is_answered_and_an_unknown_number_is_404() {
    let place = Place::new("options");
    let centre = Centre::start(&place);
    let silent = Speech::new();
    Sipp::start(&place, LINE, &silent, &Script::options()).succeeds();
    let unknown = Line { called: "+862099999999", port: 5_070, ..LINE };
    Sipp::start(&place, unknown, &silent, &Script::call().refused(404)).succeeds();
    assert_eq!(centre.records(0), [], "what is refused has no record");
}

#[test]
fn a_call_without_a_codec_of_ours_is_488() {
    let place = Place::new("no-codec");
    let centre = Centre::start(&place);
    let script = Script::call_offering(18, "G729/8000").refused(488);
    Sipp::start(&place, LINE, &Speech::new(), &script).succeeds();
    assert_eq!(centre.records(0), []);
}

#[test]
fn a_stranger_is_asked_for_credentials_and_gets_no_further() {
    let place = Place::new("stranger");
    let centre = Centre::start(&place);
    let stranger = Line { party: 99, ..LINE };
    Sipp::start(&place, stranger, &Speech::new(), &Script::call().refused(401)).succeeds();
    assert_eq!(centre.records(0), []);
}

#[test]
fn a_busy_phone_is_486_and_an_absent_one_480() {
    let place = Place::new("busy");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    let mut bob = Phone::start(&place, BOB);
    centre.wait_until_registered("1001");
    centre.wait_until_registered("1002");

    let capture = Capture::start(&place);
    alice.dial("1002");
    bob.wait_for("CALL_INCOMING");
    bob.hang_up();
    let closed = alice.wait_for("CALL_CLOSED");
    assert!(closed.param.contains("486"), "{closed:?}");
    alice.dial("1003");
    let closed = alice.wait_for_nth("CALL_CLOSED", 2);
    assert!(closed.param.contains("480"), "{closed:?}");
    alice.dial("nobody");
    let closed = alice.wait_for_nth("CALL_CLOSED", 3);
    assert!(closed.param.contains("404"), "{closed:?}");

    let causes: Vec<_> = centre.records(2).iter().filter_map(|record| record.cause).map(|cause| cause.what).collect();
    assert_eq!(causes, [What::Busy, What::Unreachable]);
    let wire = capture.stop();
    let (a, us, b) = (place.party(ALICE.party), place.party(CENTRE), place.party(BOB.party));
    assert_eq!(wire.ladder(us, b)[..4], ["INVITE", "180", "486", "ACK"], "{:?}", wire.ladder(us, b));
    assert!(wire.ladder(a, us).contains(&"486".to_owned()));
}

#[test]
fn a_full_trunk_is_503_with_retry_after_and_the_call_in_progress_goes_on() {
    let place = Place::new("full");
    let centre = Centre::start(&place);
    let capture = Capture::start(&place);
    let line = Line { party: NARROW_CARRIER, ..LINE };
    let speech = Speech::new().tone(tone::CALLER, 6);
    let script = Script::call().answered().speak().pause(Duration::from_secs(6)).hang_up();
    let first = Sipp::start(&place, line, &speech, &script);
    centre.wait_for("answer", |event| matches!(event.fact, strowger::event::Fact::LegAnswered { .. }).then_some(()));
    let second = Line { port: 5_070, ..line };
    Sipp::start(&place, second, &Speech::new(), &Script::call().refused(503)).succeeds();
    first.succeeds();
    assert_eq!(centre.records(1).len(), 1);
    let wire = capture.stop();
    let refusal = wire.first("503", place.party(CENTRE), place.party(NARROW_CARRIER));
    assert_eq!(refusal.retry_after, "10", "{refusal:?}");
    wire.expect_clean_stream(place.party(NARROW_CARRIER), place.party(CENTRE), 280);
}

#[test]
fn a_forked_call_rings_every_phone_of_an_account_and_the_first_answer_wins() {
    let place = Place::new("fork");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    let upstairs = Phone::start(&place, CAROL);
    let mut downstairs = Phone::start(&place, Setup { party: 14, hz: tone::BOB, ..CAROL });
    for phone in [&alice, &upstairs, &downstairs] {
        phone.wait_for("REGISTER_OK");
    }
    let capture = Capture::start(&place);
    alice.dial("1003");
    upstairs.wait_for("CALL_INCOMING");
    downstairs.wait_for("CALL_INCOMING");
    downstairs.order("accept", "");
    alice.wait_for("CALL_ESTABLISHED");
    upstairs.wait_for("CALL_CLOSED");
    capture.wait_until_heard(place.party(CENTRE), place.party(ALICE.party), tone::BOB, 1.2);
    alice.hang_up();
    downstairs.wait_for("CALL_CLOSED");
    let records = centre.records(1);
    assert_eq!(records[0].legs.len(), 2, "{records:#?}");
    let wire = capture.stop();
    let (us, up) = (place.party(CENTRE), place.party(CAROL.party));
    let ladder = wire.ladder(us, up);
    for step in ["INVITE", "180", "CANCEL", "200", "487", "ACK"] {
        assert!(ladder.contains(&step.to_owned()), "{step} is missing: {ladder:?}");
    }
    let heard = wire.sound(us, place.party(ALICE.party));
    assert!(heard.of(tone::BOB) > 1.0 && heard.of(tone::CAROL) == 0.0, "{:?}", heard.runs());
}

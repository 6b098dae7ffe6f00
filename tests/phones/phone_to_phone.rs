//! Two phones of the centre call each other: digest, hold, keys, transfer; over UDP and over TCP.

use strowger::cause::What;
use strowger::event::{Direction, Fact};

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::Centre;
use super::place::{CENTRE, Place};
use super::registration::{ALICE, BOB, CAROL};
use super::sound::tone;

fn call_hold_keys_and_hang_up(test: &str, transport: &'static str) {
    let place = Place::new(test);
    let centre = Centre::start(&place);
    let capture = Capture::start(&place);
    let mut alice = Phone::start(&place, Setup { transport, ..ALICE });
    let bob = Phone::start(&place, Setup { transport, answers: true, ..BOB });
    centre.wait_until_registered("1001");
    centre.wait_until_registered("1002");

    alice.dial("1002");
    alice.wait_for("CALL_ESTABLISHED");
    bob.wait_for("CALL_ESTABLISHED");
    let (a, b, us) = (place.party(ALICE.party), place.party(BOB.party), place.party(CENTRE));
    capture.wait_until_heard(us, b, tone::ALICE, 1.5);
    capture.wait_until_heard(us, a, tone::BOB, 1.5);
    alice.press("42#");
    capture.wait_for_keys(us, b, "42#");
    alice.order("hold", "");
    centre.wait_for("hold", |event| matches!(event.fact, Fact::LegHeld { .. }).then_some(()));
    capture.wait_until_heard(us, b, tone::MUSIC, 1.5);
    let before = capture.so_far().heard(us, b, tone::ALICE);
    alice.order("resume", "");
    centre.wait_for("resume", |event| matches!(event.fact, Fact::LegResumed { .. }).then_some(()));
    capture.wait_until_heard(us, b, tone::ALICE, before + 1.5);
    capture.wait_until_heard(us, a, tone::BOB, before + 1.0);
    alice.hang_up();
    bob.wait_for("CALL_CLOSED");

    let [record] = <[_; 1]>::try_from(centre.records(1)).expect("one record");
    assert_eq!(record.direction, Direction::Internal);
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Hangup), "{record:#?}");
    assert_eq!(record.legs.len(), 2, "{record:#?}");
    assert!(record.legs.iter().all(|leg| leg.codec == "PCMU" && leg.stats.is_some()), "{record:#?}");

    let wire = capture.stop();
    assert!(wire.sip.iter().all(|message| message.tcp == (transport == "tcp")), "{:#?}", wire.sip);
    for (from, to) in [(a, us), (us, b), (b, us), (us, a)] {
        wire.expect_clean_stream(from, to, 170);
    }
    assert_eq!(wire.keys(a, us), "42#");
    assert_eq!(wire.keys(us, b), "42#", "keys reach the other phone as they were pressed");

    let heard_by_bob = wire.sound(us, b);
    assert_eq!(heard_by_bob.order(), [tone::ALICE, tone::MUSIC, tone::ALICE], "{:?}", heard_by_bob.runs());
    let heard_by_alice = wire.sound(us, a);
    assert_eq!(heard_by_alice.order().first(), Some(&tone::BOB), "{:?}", heard_by_alice.runs());
    assert!(heard_by_alice.of(tone::MUSIC) < 0.1, "who holds hears no music: {:?}", heard_by_alice.runs());
    // The phones' own recordings agree with the wire; baresip writes no more after its own hold, whoever it talks to.
    let [by_alice] = <[_; 1]>::try_from(alice.heard()).ok().expect("one call");
    assert!(by_alice.of(tone::BOB) > 1.0, "{:?}", by_alice.runs());
    let [by_bob] = <[_; 1]>::try_from(bob.heard()).ok().expect("one call");
    assert!(by_bob.of(tone::ALICE) > 3.0 && by_bob.of(tone::MUSIC) > 1.0, "{:?}", by_bob.runs());
}

#[test]
fn two_phones_talk_hold_and_press_keys_over_udp() {
    call_hold_keys_and_hang_up("udp-call", "udp");
}

#[test]
fn two_phones_talk_hold_and_press_keys_over_tcp() {
    call_hold_keys_and_hang_up("tcp-call", "tcp");
}

/// The transfer key of a phone: REFER, accepted, told of the outcome; the phone is free again (RFC 3515).
#[test]
fn a_phone_transfers_its_call_and_the_other_two_talk() {
    let place = Place::new("transfer");
    let centre = Centre::start(&place);
    let capture = Capture::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    let mut bob = Phone::start(&place, Setup { answers: true, ..BOB });
    let carol = Phone::start(&place, Setup { answers: true, ..CAROL });
    for phone in [&alice, &bob, &carol] {
        phone.wait_for("REGISTER_OK");
    }
    alice.dial("1002");
    alice.wait_for("CALL_ESTABLISHED");
    bob.wait_for("CALL_ESTABLISHED");
    let (us, a, b, c) =
        (place.party(CENTRE), place.party(ALICE.party), place.party(BOB.party), place.party(CAROL.party));
    capture.wait_until_heard(us, a, tone::BOB, 1.0);
    bob.order("transfer", "sip:1003@centre.test");
    carol.wait_for("CALL_ESTABLISHED");
    bob.wait_for("CALL_CLOSED");
    capture.wait_until_heard(us, a, tone::CAROL, 1.7);
    capture.wait_until_heard(us, c, tone::ALICE, 1.7);
    assert_eq!(alice.count("CALL_CLOSED"), 0, "who is transferred stays connected");
    alice.hang_up();
    carol.wait_for("CALL_CLOSED");

    let [record] = <[_; 1]>::try_from(centre.records(1)).expect("one record, one call");
    assert_eq!(record.transfers.iter().map(|transfer| transfer.to.as_str()).collect::<Vec<_>>(), ["1003"]);
    assert_eq!(record.legs.len(), 3, "{record:#?}");

    let wire = capture.stop();
    let refer: Vec<_> = wire.ladder(us, b).into_iter().skip_while(|what| what != "REFER").collect();
    for step in ["REFER", "202", "NOTIFY", "BYE"] {
        assert!(refer.contains(&step.to_owned()), "{step} is missing: {refer:?}");
    }
    let heard_by_alice = wire.sound(us, a);
    let order: Vec<_> = heard_by_alice.order().into_iter().filter(|hz| [tone::BOB, tone::CAROL].contains(hz)).collect();
    assert_eq!(order, [tone::BOB, tone::CAROL], "{:?}", heard_by_alice.runs());
    assert!(heard_by_alice.of(tone::CAROL) > 1.5, "{:?}", heard_by_alice.runs());
    let heard_by_carol = wire.sound(us, c);
    assert_eq!(heard_by_carol.order(), [tone::ALICE], "{:?}", heard_by_carol.runs());
}

/// Nobody is there where the call should go: the transferring phone is told so, and has its call until it hangs up,
/// which baresip then does by itself.
#[test]
fn a_transfer_that_fails_is_told_and_the_call_is_still_there() {
    let place = Place::new("transfer-fails");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    let mut bob = Phone::start(&place, Setup { answers: true, ..BOB });
    alice.wait_for("REGISTER_OK");
    bob.wait_for("REGISTER_OK");
    let capture = Capture::start(&place);
    alice.dial("1002");
    bob.wait_for("CALL_ESTABLISHED");
    alice.wait_for("CALL_ESTABLISHED");
    bob.order("transfer", "sip:1003@centre.test");
    bob.wait_for("TRANSFER_FAILED");
    alice.wait_for("CALL_CLOSED");
    let record = &centre.records(1)[0];
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Hangup), "{record:#?}");
    let wire = capture.stop();
    let (us, b) = (place.party(CENTRE), place.party(BOB.party));
    let refer = wire.ladder(us, b).into_iter().skip_while(|what| what != "REFER");
    // Each NOTIFY has its 200, before or after the next one leaves.
    let steps: Vec<_> = refer.filter(|what| what != "200").collect();
    assert_eq!(steps, ["REFER", "202", "NOTIFY", "NOTIFY", "BYE"]);
}

//! Two phones of the centre call each other: digest, hold, keys, transfer; over UDP and over TCP.

use std::time::Duration;

use strowger::cause::What;
use strowger::event::{Direction, Fact};

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::Centre;
use super::place::{CENTRE, Place};
use super::registration::{ALICE, BOB};
use super::sound::tone;

fn talk(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

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
    talk(2);
    alice.press("42#");
    alice.order("hold", "");
    centre.wait_for("hold", |event| matches!(event.fact, Fact::LegHeld { .. }).then_some(()));
    talk(2);
    alice.order("resume", "");
    centre.wait_for("resume", |event| matches!(event.fact, Fact::LegResumed { .. }).then_some(()));
    talk(2);
    alice.hang_up();
    bob.wait_for("CALL_CLOSED");

    let [record] = <[_; 1]>::try_from(centre.records(1)).expect("one record");
    assert_eq!(record.direction, Direction::Internal);
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Hangup), "{record:#?}");
    assert_eq!(record.legs.len(), 2, "{record:#?}");
    assert!(record.legs.iter().all(|leg| leg.codec == "PCMU" && leg.stats.is_some()), "{record:#?}");

    let wire = capture.stop();
    let (a, b, us) = (place.address(ALICE.party), place.address(BOB.party), place.address(CENTRE));
    assert!(wire.sip.iter().all(|message| message.tcp == (transport == "tcp")), "{:#?}", wire.sip);
    wire.expect_clean_stream(a, us, 200);
    wire.expect_clean_stream(us, b, 200);
    wire.expect_clean_stream(b, us, 200);
    wire.expect_clean_stream(us, a, 200);
    assert_eq!(wire.keys(a, us), "42#");
    assert_eq!(wire.keys(us, b), "42#", "keys reach the other phone as they were pressed");

    let heard_by_bob = wire.sound(us, b);
    assert_eq!(heard_by_bob.order(), [tone::ALICE, tone::MUSIC, tone::ALICE], "{:?}", heard_by_bob.runs());
    let heard_by_alice = wire.sound(us, a);
    assert_eq!(heard_by_alice.order().first(), Some(&tone::BOB), "{:?}", heard_by_alice.runs());
    assert!(heard_by_alice.of(tone::MUSIC) < 0.1, "who holds hears no music: {:?}", heard_by_alice.runs());
    // The phones' own recordings agree with the wire.
    let [by_alice] = <[_; 1]>::try_from(alice.heard()).ok().expect("one call");
    assert!(by_alice.of(tone::BOB) > 3.0, "{:?}", by_alice.runs());
    let [by_bob] = <[_; 1]>::try_from(bob.heard()).ok().expect("one call");
    assert!(by_bob.of(tone::ALICE) > 2.5 && by_bob.of(tone::MUSIC) > 1.0, "{:?}", by_bob.runs());
}

#[test]
fn two_phones_talk_hold_and_press_keys_over_udp() {
    call_hold_keys_and_hang_up("udp-call", "udp");
}

#[test]
fn two_phones_talk_hold_and_press_keys_over_tcp() {
    call_hold_keys_and_hang_up("tcp-call", "tcp");
}

//! Who may register, and who may not.

use strowger::event::Fact;

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::Centre;
use super::place::{CENTRE, Place};
use super::sound::tone;

pub const ALICE: Setup<'static> = Setup {
    party: 11,
    account: "1001",
    password: "desk-phone-of-alice",
    transport: "udp",
    hz: tone::ALICE,
    answers: false,
};
pub const BOB: Setup<'static> =
    Setup { party: 12, account: "1002", password: "desk-phone-of-bob", hz: tone::BOB, ..ALICE };
pub const CAROL: Setup<'static> =
    Setup { party: 13, account: "1003", password: "desk-phone-of-carol", hz: tone::CAROL, ..ALICE };

#[test]
fn a_wrong_password_never_registers() {
    let place = Place::new("wrong-password");
    let centre = Centre::start(&place);
    let capture = Capture::start(&place);
    let phone = Phone::start(&place, Setup { password: "guessed", ..ALICE });
    phone.wait_for("REGISTER_FAIL");
    assert_eq!(phone.count("REGISTER_OK"), 0);
    let registered = centre.events().iter().any(|event| matches!(event.fact, Fact::PhoneRegistered { .. }));
    assert!(!registered, "{:#?}", centre.events());
    drop(phone);
    let wire = capture.stop();
    let ladder = wire.ladder(place.party(ALICE.party), place.party(CENTRE));
    assert_eq!(ladder[..4], ["REGISTER", "401", "REGISTER", "403"], "{ladder:?}");
    assert!(!ladder.contains(&"200".to_owned()), "{ladder:?}");
}

#[test]
fn a_phone_registers_with_digest_and_leaves() {
    let place = Place::new("registers");
    let centre = Centre::start(&place);
    let capture = Capture::start(&place);
    let phone = Phone::start(&place, ALICE);
    phone.wait_for("REGISTER_OK");
    centre.wait_until_registered("1001");
    phone.heard();
    centre.wait_for("leave", |event| matches!(event.fact, Fact::PhoneUnregistered { .. }).then_some(()));
    let wire = capture.stop();
    let ladder = wire.ladder(place.party(ALICE.party), place.party(CENTRE));
    assert_eq!(ladder[..4], ["REGISTER", "401", "REGISTER", "200"], "{ladder:?}");
}

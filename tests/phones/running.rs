//! A centre in service: calls to outside, reload, restart, health, and what still goes while it drains.

use std::time::Duration;

use rustix::process::Signal;
use strowger::cause::What;

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::{Centre, MESSAGE, Served};
use super::child::patiently;
use super::desk::get;
use super::place::{CARRIER, CENTRE, Place};
use super::registration::{ALICE, BOB};
use super::sipp::{Line, Script, Sipp};
use super::sound::tone;
use super::speech::Speech;

const LINE: Line<'static> = Line { party: CARRIER, port: 5_080, caller: "+8613800138000", called: MESSAGE };

#[test]
fn a_phone_calls_outside_over_the_trunk_and_both_hear_each_other() {
    let place = Place::new("outside");
    let centre = Centre::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    alice.wait_for("REGISTER_OK");
    let speech = Speech::new().tone(tone::SECOND_CALLER, 30);
    let script = Script::called().speak().hung_up();
    let carrier = Sipp::await_call(&place, CARRIER, &speech, &script);
    let capture = Capture::start(&place);
    alice.dial("013900139000");
    alice.wait_for("CALL_ESTABLISHED");
    let (us, a, outside) = (place.party(CENTRE), place.party(ALICE.party), place.party(CARRIER));
    capture.wait_until_heard(us, a, tone::SECOND_CALLER, 1.5);
    capture.wait_until_heard(us, outside, tone::ALICE, 1.5);
    alice.hang_up();
    carrier.succeeds();
    let record = &centre.records(1)[0];
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Hangup), "{record:#?}");
    let wire = capture.stop();
    assert_eq!(wire.ladder(us, outside), ["INVITE", "180", "200", "ACK", "BYE", "200"]);
    assert_eq!(wire.sound(us, a).order(), [tone::SECOND_CALLER]);
    assert_eq!(wire.sound(us, outside).order(), [tone::ALICE]);
}

/// Waits until the served centre says something.
fn says(served: &Served, words: &str) {
    let said = patiently(Duration::from_secs(20), || served.process.said().contains(words).then_some(()));
    assert!(said.is_some(), "no \"{words}\" in {}", served.process.said());
}

#[test]
fn a_reload_is_all_or_nothing_and_new_calls_take_it() {
    let place = Place::new("reload");
    let served = Served::start(&place);
    let another = Line { called: "+862038120009", ..LINE };
    Sipp::start(&place, another, &Speech::new(), &Script::call().refused(404)).succeeds();
    let config = place.path("centre/strowger.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration is there");

    let broken = format!("{text}\n[[number]]\nmatch = \"+862038120009\"\ndialplan = \"nowhere\"\n");
    std::fs::write(&config, broken).expect("the test's folder takes a file");
    says(&served, "reload refused, the running plan stays");
    assert!(served.process.said().contains("strowger.toml:"), "the place is told: {}", served.process.said());
    Sipp::start(&place, Line { port: 5_081, ..another }, &Speech::new(), &Script::call().refused(404)).succeeds();

    let mended = format!("{text}\n[[number]]\nmatch = \"+862038120009\"\ndialplan = \"message\"\n");
    std::fs::write(&config, mended).expect("the test's folder takes a file");
    says(&served, "reload: new calls take the new plan");
    let call = Script::call().answered().pause(Duration::from_millis(500)).hang_up();
    Sipp::start(&place, Line { port: 5_082, ..another }, &Speech::new(), &call).succeeds();
    let remains = served.stop();
    assert_eq!(remains.only_record().to.number, "+862038120009");
}

#[test]
fn phones_that_registered_before_a_crash_ring_after_it() {
    let place = Place::new("restart");
    let mut served = Served::start(&place);
    let mut alice = Phone::start(&place, ALICE);
    let bob = Phone::start(&place, Setup { answers: true, ..BOB });
    alice.wait_for("REGISTER_OK");
    bob.wait_for("REGISTER_OK");
    served.process.signal(Signal::KILL);
    served.process.ends_within(Duration::from_secs(5));
    let served = Served::start(&place);
    alice.dial("1002");
    bob.wait_for("CALL_ESTABLISHED");
    alice.wait_for("CALL_ESTABLISHED");
    assert_eq!(bob.count("REGISTER_OK"), 1, "the binding is that of before");
    alice.hang_up();
    bob.wait_for("CALL_CLOSED");
    let remains = served.stop();
    assert_eq!(remains.only_record().cause.map(|cause| cause.what), Some(What::Hangup));
}

#[test]
fn a_draining_centre_is_red_takes_no_call_in_or_out_and_still_calls_for_help() {
    let place = Place::new("draining");
    let served = Served::start(&place);
    let us = place.address(CENTRE);
    assert_eq!(get(us, "/healthz").0, 200);
    assert_eq!(get(us, "/readyz").0, 200);
    let mut alice = Phone::start(&place, ALICE);
    alice.wait_for("REGISTER_OK");
    let speech = Speech::new().tone(tone::CALLER, 60);
    let _caller = Sipp::start(&place, LINE, &speech, &Script::call().answered().speak().hung_up());
    says(&served, "call accepted");
    // Figures are renewed once a second.
    let one_call = || get(us, "/metrics").1.lines().any(|line| line == "strowger_calls 1").then_some(());
    assert!(patiently(Duration::from_secs(20), one_call).is_some(), "{}", get(us, "/metrics").1);

    served.process.signal(Signal::TERM);
    says(&served, "strowger::observe::log: draining: no new calls");
    let red = || Some(get(us, "/readyz")).filter(|(status, _)| *status == 503);
    let (_, why) = patiently(Duration::from_secs(20), red).expect("a draining centre is not ready");
    assert!(why.contains("draining"), "{why}");
    assert_eq!(get(us, "/healthz").0, 200, "who restarts on red must not do so for a drain");
    alice.dial("013900139000");
    let closed = alice.wait_for("CALL_CLOSED");
    assert!(closed.param.contains("503"), "{closed:?}");
    let script = Script::called().speak().hung_up();
    let carrier = Sipp::await_call(&place, CARRIER, &Speech::new().tone(tone::SECOND_CALLER, 2), &script);
    alice.dial("110");
    alice.wait_for("CALL_ESTABLISHED");
    alice.hang_up();
    carrier.succeeds();
    // The second signal ends what runs.
    let remains = served.stop();
    assert_eq!(remains.records.len(), 2, "{:#?}", remains.records);
}

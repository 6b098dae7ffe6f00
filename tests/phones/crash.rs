//! The process dies, or is told to stop: what is kept, and who is let down gently.

use std::time::Duration;

use rustix::process::Signal;
use strowger::cause::What;

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::{MESSAGE, RECEPTION, Served};
use super::child::patiently;
use super::desk::Desk;
use super::place::{CARRIER, CENTRE, Place};
use super::registration::ALICE;
use super::sipp::{Line, Script, Sipp};
use super::sound::{Sound, tone};
use super::speech::Speech;

const LINE: Line<'static> = Line { party: CARRIER, port: 5_060, caller: "+8613800138000", called: MESSAGE };

/// A caller who leaves a message longer than the test.
fn long_message(place: &Place) -> Sipp {
    let speech = Speech::new().silence(2).tone(tone::CALLER, 20);
    let script = Script::call().answered().speak().pause(Duration::from_secs(60)).hang_up();
    Sipp::start(place, LINE, &speech, &script)
}

fn only_wav_in(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = only_wav_in(&path) {
                return Some(found);
            }
        } else if path.extension().is_some_and(|extension| extension == "wav") {
            return Some(path);
        }
    }
    None
}

#[test]
fn a_killed_centre_has_one_record_of_the_call_and_a_recording_up_to_the_last_second() {
    let place = Place::new("killed");
    let mut served = Served::start(&place);
    let alice = Phone::start(&place, Setup { answers: true, ..ALICE });
    alice.wait_for("REGISTER_OK");
    let mut desk = Desk::open(place.address(CENTRE), "alice", "correct horse alice");
    desk.serve_from("1001");
    let speech = Speech::new().silence(2).keys("1").tone(tone::CALLER, 20);
    let script = Script::call().answered().speak().pause(Duration::from_secs(60)).hang_up();
    let _caller = Sipp::start(&place, Line { called: RECEPTION, ..LINE }, &speech, &script);
    desk.wait_for_event("call.connected");
    std::thread::sleep(Duration::from_secs(6));
    served.process.signal(Signal::KILL);
    served.process.ends_within(Duration::from_secs(5));
    let file = only_wav_in(&place.path("centre/data/recordings")).expect("the call is recorded");
    let channels = Sound::read(&file);
    assert_eq!(channels.len(), 2);
    for (channel, hz) in channels.iter().zip([tone::CALLER, tone::ALICE]) {
        assert!(channel.seconds() > 4.8, "{} s of 6 are kept", channel.seconds());
        assert_eq!(channel.order(), [hz], "{:?}", channel.runs());
    }

    let remains = Served::start(&place).stop();
    let record = remains.only_record();
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::SwitchRestart), "{record:#?}");
    assert_eq!((record.from.number.as_str(), record.legs.len()), (LINE.caller, 2), "{record:#?}");
    // The index knows the file and how long it is.
    assert!(remains.recording(record)[0].seconds() > 4.8);
}

#[test]
fn a_killed_centre_keeps_the_message_that_was_being_left() {
    let place = Place::new("killed-message");
    let mut served = Served::start(&place);
    let _caller = long_message(&place);
    let recordings = place.path("centre/data/recordings");
    let file = patiently(Duration::from_secs(20), || only_wav_in(&recordings)).expect("a message is recorded");
    std::thread::sleep(Duration::from_secs(4));
    served.process.signal(Signal::KILL);
    served.process.ends_within(Duration::from_secs(5));
    let [message] = <[_; 1]>::try_from(Sound::read(&file)).ok().expect("a message has one channel");
    assert!(message.seconds() > 2.8, "{} s of 4 are kept", message.seconds());
    let remains = Served::start(&place).stop();
    let record = remains.only_record();
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::SwitchRestart));
    assert_eq!(record.message, None, "what became of it is known");
    // It lies in its box, with a header that says how long it is.
    let [left] = remains.voicemails.as_slice() else { panic!("one message is wanted: {:#?}", remains.voicemails) };
    assert_eq!((left.from.number.as_str(), left.call), (LINE.caller, record.call));
    let header = std::fs::read(&file).expect("can be read");
    let said = u32::from_le_bytes(header[40..44].try_into().expect("four bytes"));
    assert_eq!(said as usize, header.len() - 44, "the header is whole");
    assert!(left.seconds > 2.8 && (left.seconds - f64::from(said) / 16_000.0).abs() < 0.1, "{} s", left.seconds);
}

#[test]
fn a_centre_told_to_stop_lets_the_call_finish_and_refuses_new_ones() {
    let place = Place::new("drained");
    let mut served = Served::start(&place);
    let capture = Capture::start(&place);
    let speech = Speech::new().silence(2).tone(tone::CALLER, 6);
    let script = Script::call().answered().speak().pause(Duration::from_secs(8)).hang_up();
    let caller = Sipp::start(&place, LINE, &speech, &script);
    let recordings = place.path("centre/data/recordings");
    patiently(Duration::from_secs(20), || only_wav_in(&recordings)).expect("a message is recorded");
    served.process.signal(Signal::TERM);
    let draining = patiently(Duration::from_secs(20), || served.process.said().contains("draining").then_some(()));
    assert!(draining.is_some(), "{}", served.process.said());
    let late = Line { port: 5_070, ..LINE };
    Sipp::start(&place, late, &Speech::new(), &Script::call().refused(503)).succeeds();
    assert!(served.process.is_running(), "the call in progress goes on");
    caller.succeeds();
    let remains = served.remains();

    let wire = capture.stop();
    let refusal = wire.first("503", place.party(CENTRE), place.party(CARRIER));
    assert!(!refusal.retry_after.is_empty(), "{refusal:?}");
    let record = remains.only_record();
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::Hangup), "{record:#?}");
    let file = only_wav_in(&recordings).expect("the message is kept");
    let [message] = <[_; 1]>::try_from(Sound::read(&file)).ok().expect("a message has one channel");
    assert!(message.of(tone::CALLER) > 3.5, "{:?}", message.runs());
}

#[test]
fn a_second_signal_ends_the_call_at_once_with_its_record() {
    let place = Place::new("at-once");
    let mut served = Served::start(&place);
    let speech = Speech::new().silence(2).tone(tone::CALLER, 20);
    let script = Script::call().answered().speak().hung_up();
    let caller = Sipp::start(&place, LINE, &speech, &script);
    let recordings = place.path("centre/data/recordings");
    patiently(Duration::from_secs(20), || only_wav_in(&recordings)).expect("a message is recorded");
    served.process.signal(Signal::TERM);
    let draining = patiently(Duration::from_secs(20), || served.process.said().contains("draining").then_some(()));
    assert!(draining.is_some(), "{}", served.process.said());
    served.process.signal(Signal::TERM);
    let remains = served.remains();
    caller.succeeds();
    let record = remains.only_record();
    assert_eq!(record.cause.map(|cause| cause.what), Some(What::SwitchRestart), "{record:#?}");
}

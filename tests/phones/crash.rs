//! The process dies, or is told to stop: what is kept, and who is let down gently.

use std::time::Duration;

use rustix::process::Signal;
use strowger::call::record::CallRecord;
use strowger::cause::What;

use super::capture::Capture;
use super::centre::{self, MESSAGE, Served};
use super::child::patiently;
use super::place::{CARRIER, CENTRE, Place};
use super::sipp::{Line, Script, Sipp};
use super::sound::{Sound, tone};
use super::speech::Speech;

const LINE: Line<'static> = Line { party: CARRIER, port: 5_060, caller: "+8613800138000", called: MESSAGE };

/// The records in the store of a centre that is not running.
fn records_of(place: &Place) -> Vec<CallRecord> {
    let (view, _) = strowger::store::sled::SledView::open(&place.path("centre/data/view")).expect("the view opens");
    centre::records(&view)
}

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
    let _caller = long_message(&place);
    let recordings = place.path("centre/data/recordings");
    let file = patiently(Duration::from_secs(20), || only_wav_in(&recordings)).expect("a message is recorded");
    std::thread::sleep(Duration::from_secs(6));
    served.process.signal(Signal::KILL);
    served.process.ends_within(Duration::from_secs(5));

    let [message] = <[_; 1]>::try_from(Sound::read(&file)).ok().expect("a message has one channel");
    assert!(message.seconds() > 4.5, "{} s of at least 6 are kept", message.seconds());
    assert!(message.of(tone::CALLER) > 4.0, "{:?}", message.runs());

    let again = Served::start(&place);
    drop(again);
    let records = records_of(&place);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0].cause.map(|cause| cause.what), Some(What::SwitchRestart), "{records:#?}");
    assert_eq!(records[0].from.number, LINE.caller);
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
    let draining = patiently(Duration::from_secs(5), || served.process.said().contains("draining").then_some(()));
    assert!(draining.is_some(), "{}", served.process.said());
    let late = Line { port: 5_070, ..LINE };
    Sipp::start(&place, late, &Speech::new(), &Script::call().refused(503)).succeeds();
    assert!(served.process.is_running(), "the call in progress goes on");
    caller.succeeds();
    let ended = served.process.ends_within(Duration::from_secs(15));
    assert!(ended.success(), "{ended}: {}", served.process.said());

    let wire = capture.stop();
    let refusal = wire.first("503", place.address(CENTRE), place.address(CARRIER));
    assert!(!refusal.retry_after.is_empty(), "{refusal:?}");
    let records = records_of(&place);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0].cause.map(|cause| cause.what), Some(What::Hangup), "{records:#?}");
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
    std::thread::sleep(Duration::from_millis(300));
    served.process.signal(Signal::TERM);
    let ended = served.process.ends_within(Duration::from_secs(10));
    assert!(ended.success(), "{ended}: {}", served.process.said());
    caller.succeeds();
    let records = records_of(&place);
    assert_eq!(records[0].cause.map(|cause| cause.what), Some(What::SwitchRestart), "{records:#?}");
}

//! Ends: what the far side says of them, and what is kept of a message.

use core::time::Duration;
use std::path::PathBuf;

use super::*;
use crate::cause::{Cause, Party, What};
use crate::media::PlayEnd;
use crate::switch::EngineId;

const SECOND: Duration = Duration::from_secs(1);

/// The causes of the legs that ended, in turn, and of the call.
fn causes(house: &mut House) -> (Vec<Cause>, Option<Cause>) {
    house.wait(2 * SECOND);
    let leg = |fact: &Fact| match fact {
        Fact::LegEnded { cause, .. } => Some(*cause),
        _ => None,
    };
    let call = |fact: &Fact| match fact {
        Fact::CallEnded { cause } => Some(*cause),
        _ => None,
    };
    (house.facts().filter_map(leg).collect(), house.facts().find_map(call))
}

#[test]
fn the_networks_cause_of_a_hang_up_stands_with_the_leg_and_the_call() {
    let mut house = House::new();
    house.seat("li");
    let (answer, _) = house.talk(ALPHA, "queue", LI);
    house.within(ALPHA, "BYE", &answer, 2, "Reason: SIP;cause=200, Q.850;cause=38;text=\"Network out of order\"\n");
    let (legs, call) = causes(&mut house);
    let cause = Cause::new(What::Hangup, Party::Caller).and_q850(Some(38));
    assert!(legs.contains(&cause), "{legs:?}");
    assert_eq!(call, Some(cause));
    house.assert_sound();
}

#[test]
fn the_networks_cause_of_a_failed_call_out_is_kept() {
    let mut house = House::new();
    house.invite_as_account(LI, "out", "1001", "02087654321");
    let invite = house.request(ALPHA, Method::Invite).unwrap();
    house.reply(ALPHA, &invite, 404, "Reason: Q.850;cause=1\n");
    let (_, call) = causes(&mut house);
    assert_eq!(call.map(|cause| (cause.status, cause.q850)), Some((Some(404), Some(1))));
}

#[test]
fn a_reason_that_is_no_cause_of_the_network_is_none() {
    for reason in ["SIP;cause=200", "Q.850;cause=300", "Q.850", "preemption;cause=1", "q.850;cause=seventeen"] {
        let mut house = House::new();
        house.seat("li");
        let (answer, _) = house.talk(ALPHA, "queue", LI);
        house.within(ALPHA, "BYE", &answer, 2, &format!("Reason: {reason}\n"));
        assert_eq!(causes(&mut house).1, Some(Cause::new(What::Hangup, Party::Caller)), "{reason}");
    }
}

/// Somebody speaks after the beep (or says nothing) until the message ends; the file, and the house.
fn message(spoken: bool, duration_ms: u64) -> (House, PathBuf) {
    let mut house = House::with(&PLAN.replace("dialplan = \"direct\"", "dialplan = \"message\""));
    house.invite(ALPHA, "message", "13800138000", "95539");
    let answer = house.final_response(ALPHA).unwrap();
    house.ack(ALPHA, &answer, 1);
    let engine = EngineId(0);
    let play = house.media.iter().rev().find_map(|command| match command {
        MediaCommand::Play(play) => Some(play.play),
        _ => None,
    });
    let (play, end) = (play.expect("the beep"), PlayEnd::Completed);
    house.tell(Input::Media { engine, event: MediaEvent::PlayDone { play, end } });
    let begun = house.media.iter().find_map(|command| match command {
        MediaCommand::StartRecording(plan) => Some((plan.recording, plan.path.clone())),
        _ => None,
    });
    let (recording, path) = begun.expect("the recording begins after the beep");
    house.tell(Input::Media { engine, event: MediaEvent::RecordingSilent { recording, spoken } });
    house.tell(Input::Media { engine, event: MediaEvent::RecordingSealed { recording, duration_ms, bytes: 44 } });
    (house, path)
}

#[test]
fn a_message_with_nothing_in_it_leaves_no_file() {
    for (spoken, duration_ms, kept) in [(true, 5_000, true), (false, 5_000, false), (true, 700, false)] {
        let (house, path) = message(spoken, duration_ms);
        let removed: Vec<&PathBuf> = house
            .media
            .iter()
            .filter_map(|command| match command {
                MediaCommand::RemoveRecording { path } => Some(path),
                _ => None,
            })
            .collect();
        let left = house.count(|fact| matches!(fact, Fact::VoicemailLeft { .. }));
        assert_eq!((left, removed.len()), (usize::from(kept), usize::from(!kept)), "{spoken} {duration_ms}");
        assert!(removed.iter().all(|removed| **removed == path));
        // What a crash between the beep and the end would find.
        let started = house.facts().find_map(|fact| match fact {
            Fact::VoicemailStarted { r#box, file, .. } => Some((r#box.as_str(), path.ends_with(file))),
            _ => None,
        });
        assert_eq!(started, Some(("box", true)));
        let dropped = house.count(|fact| matches!(fact, Fact::VoicemailDropped { .. }));
        assert_eq!(dropped, usize::from(!kept), "{spoken} {duration_ms}");
    }
}

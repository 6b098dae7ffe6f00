//! Who hears whom: bridge, hold, supervision, transfer, recording, prompts.

#![cfg(test)]

use super::*;

#[test]
fn two_parties_hear_each_other_and_their_packets_are_only_passed_on() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(1_000);
    assert_eq!((world.hears(a), world.hears(b)), (vec![1_000], vec![400]));
    world.assert_seamless(a);
    // Byte for byte, and in the millisecond of arrival: nothing was decoded or queued.
    let mut said = vec![0; 160];
    Codec::Pcmu.encode(&sines(&[400], Duration::from_millis(20), 6_000.0), &mut said);
    let talk: Vec<_> = world.phones[&b].heard.iter().filter(|(_, _, payload)| *payload == said).collect();
    assert!(!talk.is_empty());
    assert!(world.phones[&b].heard.iter().skip(5).all(|(at, ..)| at.as_millis() % 20 == a.0 * 7 % 20 + 5));
    assert!(world.events.iter().all(|(_, event)| matches!(event, MediaEvent::Latched { .. })), "{:?}", world.events);
    assert_eq!(world.events.len(), 2);
}

#[test]
fn a_law_and_mu_law_understand_each_other() {
    let mut world = World::new();
    let (a, b) = (world.open(0, Codec::Pcmu, None), world.open(3, Codec::Pcma, None));
    world.hear(&[(a, &[b]), (b, &[a])]);
    world.run(600);
    assert_eq!((world.hears(a), world.hears(b)), (vec![1_000], vec![400]));
    assert!(world.phones[&b].heard.iter().all(|(_, header, _)| header.payload_type == 8));
}

#[test]
fn on_hold_the_caller_hears_music_and_the_agent_nothing() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    world.run(500);
    world.hear(&[(caller, &[]), (agent, &[])]);
    world.play(1, Audience::Port(caller), music(), Repeat::Forever);
    world.run(3_000);
    assert_eq!((world.hears(caller), world.hears(agent)), (vec![MUSIC], vec![]));
    assert_eq!(world.sound(agent, 200).len(), 1_600, "silence is sent, so that the far end knows the line is up");
    world.say(MediaCommand::StopPlay { room: ROOM, play: PlayId(1) });
    world.hear(&[(caller, &[agent]), (agent, &[caller])]);
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(agent)), (vec![1_000], vec![400]));
    world.assert_seamless(caller);
    world.assert_seamless(agent);
    let stopped = MediaEvent::PlayDone { play: PlayId(1), end: PlayEnd::Stopped };
    assert_eq!(world.events.iter().filter(|(_, event)| *event == stopped).count(), 1);
}

#[test]
fn a_supervisor_listens_whispers_barges_and_leaves() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    let boss = world.open(4, Codec::Pcma, None);
    world.hear(&[(boss, &[caller, agent])]);
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(agent)), (vec![1_000], vec![400]));
    assert_eq!(world.hears(boss), [400, 1_000], "listening");
    world.hear(&[(agent, &[caller, boss])]);
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(agent)), (vec![1_000], vec![400, 1_300]), "whispering");
    world.hear(&[(caller, &[agent, boss])]);
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(agent)), (vec![1_000, 1_300], vec![400, 1_300]), "barging");
    world.hear(&[(caller, &[agent]), (agent, &[caller])]);
    world.say(MediaCommand::Close { port: boss });
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(agent)), (vec![1_000], vec![400]));
    world.assert_seamless(caller);
    world.assert_seamless(agent);
}

#[test]
fn a_transfer_is_an_edit_of_rows() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    world.run(300);
    let second = world.open(5, Codec::Pcma, None);
    world.hear(&[(caller, &[second]), (second, &[caller]), (agent, &[])]);
    world.say(MediaCommand::Close { port: agent });
    world.phones.get_mut(&agent).unwrap().says = None;
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(second)), (vec![1_700], vec![400]));
    world.assert_seamless(caller);
    let closed =
        world.events.iter().filter(|(_, event)| matches!(event, MediaEvent::Closed { port, .. } if *port == agent));
    assert_eq!(closed.count(), 1);
}

#[test]
fn a_leg_moves_to_another_call_and_keeps_its_stream() {
    let mut world = World::new();
    let (caller, _) = world.bridge();
    world.run(300);
    let mut open = open_port(5, Codec::Pcmu, None);
    open.room = RoomId(8);
    let other = world.open(5, Codec::Pcmu, None);
    world.say(MediaCommand::Move { port: other, room: RoomId(8) });
    world.say(MediaCommand::Move { port: caller, room: RoomId(8) });
    let row = |port, hears| HearRow { port, hears: vec![Source::Port(hears)] };
    world.say(MediaCommand::Hear { room: RoomId(8), rows: vec![row(caller, other), row(other, caller)] });
    world.run(500);
    assert_eq!((world.hears(caller), world.hears(other)), (vec![1_700], vec![400]));
    world.assert_seamless(caller);
    assert_eq!(world.engine.counters().rooms, 2);
}

#[test]
fn the_recording_keeps_its_sides_through_hold_mask_and_transfer() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    world.run(200);
    world.say(MediaCommand::StartRecording(RecordingPlan {
        room: ROOM,
        recording: RECORDING,
        path: PathBuf::from("call.wav"),
        layout: Layout::Stereo,
        left: vec![caller],
        right: vec![agent],
        silence: None,
    }));
    world.run(1_000);
    world.hear(&[(caller, &[]), (agent, &[])]);
    world.play(1, Audience::Port(caller), music(), Repeat::Forever);
    world.run(1_000);
    world.say(MediaCommand::MaskRecording { recording: RECORDING, masked: true });
    world.run(1_000);
    world.say(MediaCommand::MaskRecording { recording: RECORDING, masked: false });
    world.say(MediaCommand::StopPlay { room: ROOM, play: PlayId(1) });
    let second = world.open(5, Codec::Pcma, None);
    world.hear(&[(caller, &[second]), (second, &[caller])]);
    world.say(MediaCommand::Close { port: agent });
    world.phones.get_mut(&agent).unwrap().says = None;
    world.say(MediaCommand::SetTrack { recording: RECORDING, port: second, track: Some(Track::Right) });
    world.run(1_000);
    world.say(MediaCommand::StopRecording { recording: RECORDING });
    let (left, right) = world.recorded();
    assert_eq!((left.len(), right.len()), (32_000, 32_000), "four seconds to the sample");
    let loud = |samples: &[i16], hz: u16| amplitude(samples, f64::from(hz)) > 5_000.0;
    for second in [0, 1, 3] {
        // The first 100 ms of a second are the seam.
        let span = second * 8_000 + 800..(second + 1) * 8_000;
        assert!(loud(&left[span.clone()], 400), "caller in second {second}");
        assert!(!loud(&left[span.clone()], MUSIC) && !loud(&right[span.clone()], MUSIC));
        assert!(loud(&right[span], if second == 3 { 1_700 } else { 1_000 }), "agent in second {second}");
    }
    assert_eq!(level_dbov(&left[16_000..24_000]), -127.0, "masked");
    assert_eq!(level_dbov(&right[16_000..24_000]), -127.0, "masked");
    assert!(matches!(&world.writes[0], RecordingWrite::Begin { channels: 2, .. }));
    assert_eq!(world.writes.last(), Some(&RecordingWrite::End { recording: RECORDING }));
    assert!(world.writes.iter().all(|write| match write {
        RecordingWrite::Samples { interleaved, .. } => interleaved.len() <= 2 * 1_600,
        _ => true,
    }));
    world.assert_seamless(caller);
}

#[test]
fn a_closed_room_stops_its_plays_and_seals_its_recordings() {
    let mut world = World::new();
    let (caller, _) = world.bridge();
    world.play(4, Audience::Room, music(), Repeat::Forever);
    world.say(MediaCommand::StartRecording(RecordingPlan {
        room: ROOM,
        recording: RECORDING,
        path: PathBuf::from("vm.wav"),
        layout: Layout::Mono,
        left: vec![caller],
        right: vec![],
        silence: None,
    }));
    world.run(100);
    world.say(MediaCommand::CloseRoom { room: ROOM });
    let said: Vec<&MediaEvent> = world.events.iter().map(|(_, event)| event).collect();
    assert!(said.contains(&&MediaEvent::PlayDone { play: PlayId(4), end: PlayEnd::Stopped }));
    assert_eq!(said.iter().filter(|event| matches!(event, MediaEvent::Closed { .. })).count(), 2);
    assert_eq!(world.writes.last(), Some(&RecordingWrite::End { recording: RECORDING }));
    let released = world.sockets.iter().filter(|output| matches!(output, Output::Release { .. })).count();
    assert_eq!(released, 2);
    assert_eq!((world.engine.counters().rooms, world.engine.counters().ports), (0, 0));
    assert_eq!(world.engine.poll_timeout(), None, "an engine without rooms sleeps");
}

#[test]
fn prompts_follow_each_other_and_say_when_they_are_done() {
    let mut world = World::new();
    let caller = world.open(0, Codec::Pcma, None);
    world.run(100);
    let began = world.now;
    let sounds = vec![tone_clip(700, 500), Sound::Silence(Duration::from_millis(250)), tone_clip(1_300, 300)];
    world.play(9, Audience::Port(caller), sounds, Repeat::Once);
    world.run(400);
    assert_eq!(world.hears(caller), [700]);
    world.run(330);
    assert!(level_dbov(&world.sound(caller, 100)) < -60.0);
    world.run(260);
    assert_eq!(world.hears(caller), [1_300]);
    world.run(200);
    let done = MediaEvent::PlayDone { play: PlayId(9), end: PlayEnd::Completed };
    let at = world.events.iter().find(|(_, event)| *event == done).map(|(at, _)| at.since(began).as_millis());
    assert!(at.is_some_and(|ms| (1_030..=1_070).contains(&ms)), "{at:?}");
    world.assert_seamless(caller);
}

#[test]
fn ringback_follows_the_country() {
    let mut world = World::new();
    let caller = world.open(0, Codec::Pcmu, None);
    let ringback = vec![Sound::Tone(Tone::Ringback, TonePlan::China)];
    world.play(1, Audience::Port(caller), ringback, Repeat::Forever);
    world.run(900);
    assert!(amplitude(&world.sound(caller, 200), 450.0) > 5_000.0);
    world.run(1_000);
    assert!(level_dbov(&world.sound(caller, 200)) < -60.0);
    world.run(3_600);
    assert!(amplitude(&world.sound(caller, 200), 450.0) > 5_000.0, "the second period");
}

#[test]
fn a_play_that_cannot_begin_says_so() {
    let mut world = World::new();
    world.play(1, Audience::Room, music(), Repeat::Once);
    let caller = world.open(0, Codec::Pcmu, None);
    world.play(2, Audience::Port(PortId(99)), music(), Repeat::Once);
    world.play(3, Audience::Port(caller), vec![], Repeat::Once);
    let said: Vec<MediaEvent> = world.events.drain(..).map(|(_, event)| event).collect();
    let done = |play, end| MediaEvent::PlayDone { play: PlayId(play), end };
    assert_eq!(said, [done(1, PlayEnd::Refused), done(2, PlayEnd::Refused), done(3, PlayEnd::Completed)]);
    assert_eq!(world.engine.counters().commands_dropped, 2);
}

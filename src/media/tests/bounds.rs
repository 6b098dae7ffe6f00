//! Stalls, limits and refusals; and that nothing is left behind, whatever is said and sent.

#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;
use crate::limits::media::PHASES_CAUGHT_UP;

#[test]
fn after_a_stall_the_stream_goes_on_in_time_and_the_loss_is_counted() {
    let mut world = World::new();
    let caller = world.open(0, Codec::Pcmu, None);
    world.phones.get_mut(&caller).unwrap().says = None;
    world.play(1, Audience::Port(caller), music(), Repeat::Forever);
    world.run(1_000);
    let before = world.phones[&caller].heard.last().unwrap().1.clone();
    world.now += Duration::from_secs(5);
    world.run(100);
    let after = world.phones[&caller].heard.last().unwrap().1.clone();
    let ticks = ticks_ahead(after.timestamp, before.timestamp);
    assert!((40_000..=41_000).contains(&ticks), "{ticks}");
    let counters = world.engine.counters();
    // 5 s are 250 phases. What is not made up for is skipped.
    assert!(counters.phases_skipped >= 245 - PHASES_CAUGHT_UP, "{counters:?}");
    assert!((PHASES_CAUGHT_UP - 2..=PHASES_CAUGHT_UP + 2).contains(&counters.phases_late), "{counters:?}");
}

#[test]
fn what_is_full_or_taken_is_refused_and_the_lease_comes_back() {
    let mut world = World::new();
    let refused = |world: &mut World, open: OpenPort| {
        world.events.clear();
        let port = open.port;
        world.say(MediaCommand::Open(open));
        let said: Vec<MediaEvent> = world.events.drain(..).map(|(_, event)| event).collect();
        matches!(&said[..], [MediaEvent::PortFailed { port: failed, .. }, MediaEvent::Closed { port: closed, .. }]
            if (*failed, *closed) == (port, port))
    };
    let numbered = |n: u16, room: RoomId| OpenPort {
        port: PortId(10_000 + u64::from(n)),
        room,
        local: SocketAddr::from(([127, 0, 0, 1], 2 * n + 2)),
        ..open_port(0, Codec::Pcmu, None)
    };
    for n in 0..SLOTS_PER_ROOM as u16 {
        assert!(!refused(&mut world, numbered(n, ROOM)), "slot {n}");
    }
    assert!(refused(&mut world, numbered(500, ROOM)), "the room is full");
    assert!(refused(&mut world, OpenPort { port: PortId(1), ..numbered(0, RoomId(9)) }), "the local port is taken");
    let above = SocketAddr::from(([127, 0, 0, 1], 65_535));
    assert!(refused(&mut world, OpenPort { local: above, ..numbered(501, RoomId(9)) }), "no port for RTCP");
    for n in 64..ROOMS_PER_ENGINE as u16 + 63 {
        assert!(!refused(&mut world, numbered(n, RoomId(u64::from(n)))), "room {n}");
    }
    assert!(refused(&mut world, numbered(30_000, RoomId(70_000))), "the engine is full");
    assert_eq!(world.engine.counters().rooms, ROOMS_PER_ENGINE);
}

#[test]
fn what_is_too_long_or_too_many_is_refused() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(300);
    world.events.clear();
    world.play(1, Audience::Room, vec![tone_clip(700, 20); SOUNDS_PER_PLAY + 1], Repeat::Once);
    let refused = MediaEvent::PlayDone { play: PlayId(1), end: PlayEnd::Refused };
    assert_eq!(world.events.iter().map(|(_, event)| event).collect::<Vec<_>>(), [&refused]);
    let heard = world.phones[&b].heard.len();
    world.phones.values_mut().for_each(|phone| phone.says = None);
    world.run(10);
    let heard_last = world.phones[&b].heard.len();
    assert!(heard_last <= heard + 1);
    world.send(a, 0, &[0xFF; DATAGRAM_BYTES - 11], 160);
    world.run(20);
    assert_eq!((world.phones[&b].heard.len(), world.engine.counters().packets_stray), (heard_last, 1));
    // A ninth payload type is one too many.
    let receive =
        (90..=90 + FORMATS_PER_PORT as u8).map(|payload_type| PayloadFormat { payload_type, codec: Codec::Pcmu });
    let formats = Formats { receive: receive.collect(), ..Formats::only(Codec::Pcmu, None) };
    world.say(change(a, PortChange { formats: Some(formats), ..PortChange::default() }));
    world.send(a, 97, &[0xFF; 160], 160);
    world.send(a, 98, &[0xFF; 160], 160);
    world.run(20);
    assert_eq!((world.phones[&b].heard.len(), world.stats(a).malformed), (heard_last + 1, 1));
}

#[test]
fn a_socket_that_will_not_bind_fails_its_leg() {
    let mut world = World::new();
    let caller = world.open(0, Codec::Pcmu, None);
    let Some(Output::Bind { rtp, rtcp }) = world.sockets.first().cloned() else { panic!() };
    assert_eq!(rtcp, Some(next_port(rtp)));
    world.engine.handle_bind_failed(world.now, rtp, "in use".into());
    world.drain();
    let said: Vec<&MediaEvent> = world.events.iter().map(|(_, event)| event).collect();
    assert!(matches!(said[..], [MediaEvent::PortFailed { port, .. }, MediaEvent::Closed { .. }] if *port == caller));
    assert_eq!(world.engine.counters().ports, 0);
}

#[test]
fn a_defect_costs_the_call_it_was_met_in_and_no_other() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    let other = RoomId(ROOM.0 + 20);
    let third = world.open_in(other, 1, Codec::Pcmu, None);
    world.play(1, Audience::Port(a), music(), Repeat::Forever);
    world.say(MediaCommand::Play(Play {
        room: other,
        play: PlayId(2),
        to: Audience::Port(third),
        sounds: vec![tone_clip(700, 20)],
        repeat: Repeat::Forever,
    }));
    world.say(MediaCommand::StartRecording(RecordingPlan {
        room: ROOM,
        recording: RECORDING,
        path: "call.wav".into(),
        layout: Layout::Stereo,
        left: vec![a],
        right: vec![b],
        silence: None,
    }));
    world.run(200);
    world.events.clear();
    world.writes.clear();
    world.engine.poison(ROOM);
    let (now, local, from) = (world.now, world.phones[&a].local, phone_addr(0));
    let panicked = catch_unwind(AssertUnwindSafe(|| world.engine.handle_packet(now, local, from, &[0x80; 172])));
    assert!(panicked.is_err());
    world.engine.handle_defect();
    world.drain();
    let said: Vec<&MediaEvent> = world.events.iter().map(|(_, event)| event).collect();
    assert!(
        matches!(said[..], [
            MediaEvent::PortFailed { port: first, .. }, MediaEvent::Closed { .. },
            MediaEvent::PortFailed { port: second, .. }, MediaEvent::Closed { .. },
        ] if (*first, *second) == (a, b)),
        "{said:?}"
    );
    assert_eq!(world.writes, [RecordingWrite::End { recording: RECORDING }]);
    let heard = world.phones[&third].heard.len();
    world.run(200);
    assert_eq!(world.phones[&third].heard.len(), heard + 10, "the other room is on the same phase");
    let counters = world.engine.counters();
    assert_eq!((counters.rooms, counters.ports, counters.defects), (1, 1, 1));
    // The ports may be leased again.
    world.open(0, Codec::Pcmu, None);
}

#[test]
fn one_port_for_both_serves_rtcp_too() {
    let mut world = World::new();
    let mut open = open_port(0, Codec::Pcmu, None);
    open.remote.rtcp_mux = true;
    let caller = world.open(0, Codec::Pcmu, None);
    world.say(MediaCommand::Close { port: caller });
    world.sockets.clear();
    world.say(MediaCommand::Open(OpenPort { port: PortId(50), ..open.clone() }));
    assert_eq!(world.sockets, [Output::Bind { rtp: open.local, rtcp: None }]);
    let block = ReportBlock { ssrc: 1, ..ReportBlock::default() };
    let mut report = Vec::new();
    Report { ssrc: 9, sender: None, block: Some(block), cname: "p", bye: false }.write(&mut report);
    world.engine.handle_packet(world.now, open.local.port(), phone_addr(0), &report);
    assert_eq!(world.stats(PortId(50)).malformed, 0);
}

fn any_command() -> impl Strategy<Value = MediaCommand> {
    let port = || (0_u64..5).prop_map(PortId);
    let room = || (0_u64..3).prop_map(RoomId);
    let sounds = || vec![tone_clip(700, 70)];
    prop_oneof![
        (0_u8..5, room(), any::<bool>()).prop_map(|(n, room, te)| {
            let port = PortId(u64::from(n));
            MediaCommand::Open(OpenPort { port, room, ..open_port(n, Codec::Pcmu, te.then_some(EVENT_PT)) })
        }),
        (port(), any::<bool>(), 0_u8..4).prop_map(|(port, relatch, direction)| {
            let directions = [Direction::SendReceive, Direction::SendOnly, Direction::ReceiveOnly, Direction::Inactive];
            let direction = directions.get(usize::from(direction)).copied();
            change(port, PortChange { relatch, direction, in_band_keys: Some(relatch), ..PortChange::default() })
        }),
        (port(), room()).prop_map(|(port, room)| MediaCommand::Move { port, room }),
        (room(), port(), proptest::collection::vec(port(), 0..4), 0_u64..3).prop_map(|(room, port, hears, play)| {
            let mut hears: Vec<_> = hears.into_iter().map(Source::Port).collect();
            hears.push(Source::Play(PlayId(play)));
            MediaCommand::Hear { room, rows: vec![HearRow { port, hears }] }
        }),
        (room(), 0_u64..3, port(), 0_u8..3).prop_map(move |(room, play, port, to)| {
            let to = [Audience::Room, Audience::Rows, Audience::Port(port)][usize::from(to)];
            MediaCommand::Play(Play { room, play: PlayId(play), to, sounds: sounds(), repeat: Repeat::Once })
        }),
        (room(), 0_u64..3).prop_map(|(room, play)| MediaCommand::StopPlay { room, play: PlayId(play) }),
        port().prop_map(|port| MediaCommand::SendKeys(SendKeys::new(port, "1"))),
        (room(), port(), port()).prop_map(|(room, a, b)| MediaCommand::StartRecording(RecordingPlan {
            room,
            recording: RECORDING,
            path: PathBuf::new(),
            layout: Layout::Stereo,
            left: vec![a],
            right: vec![b],
            silence: None,
        })),
        (port(), any::<bool>()).prop_map(|(port, on)| MediaCommand::SetTrack {
            recording: RECORDING,
            port,
            track: on.then_some(Track::Left),
        }),
        Just(MediaCommand::StopRecording { recording: RECORDING }),
        port().prop_map(|port| MediaCommand::Close { port }),
        room().prop_map(|room| MediaCommand::CloseRoom { room }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the switch says and the wire brings: no panic, one `Closed` a port, one end a play and a recording,
    /// and nothing left once all rooms are closed.
    #[test]
    fn any_sequence_of_commands_and_packets_leaves_nothing_behind(
        steps in proptest::collection::vec((any_command(), proptest::collection::vec(any::<u8>(), 0..40), 0_u64..90), 0..60),
    ) {
        let mut engine = Engine::new(SecretSource::from_seed(1));
        let mut now = Time::from_secs(1_000);
        let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
        let closing = (0..3).map(|room| (MediaCommand::CloseRoom { room: RoomId(room) }, vec![], 50));
        for (command, mut packet, ms) in steps.into_iter().chain(closing) {
            let opens = matches!(&command, MediaCommand::Open(_)) as i64;
            let before = engine.counters();
            let plays = matches!(&command, MediaCommand::Play(_)) as i64;
            engine.handle_command(now, command);
            let dropped = engine.counters().commands_dropped > before.commands_dropped;
            *balance.entry("ports").or_default() += if dropped { 0 } else { opens };
            *balance.entry("plays").or_default() += plays;
            if let Some(first) = packet.first_mut() {
                *first = 0x80 | (*first & 0x1F);
            }
            for n in 0..10 {
                engine.handle_packet(now, 20_000 + n, phone_addr((n / 2) as u8), &packet);
            }
            now += Duration::from_millis(ms);
            while let Some(due) = engine.poll_timeout().filter(|due| *due <= now) {
                engine.handle_timeout(due);
            }
            while engine.poll_transmit().is_some() {}
            while let Some(output) = engine.poll_output() {
                let (what, step) = match output {
                    Output::Event(MediaEvent::Closed { .. }) => ("ports", -1),
                    Output::Event(MediaEvent::PlayDone { .. }) => ("plays", -1),
                    Output::Recording(RecordingWrite::Begin { .. }) => ("recordings", 1),
                    Output::Recording(RecordingWrite::End { .. }) => ("recordings", -1),
                    Output::Bind { .. } => ("sockets", 1),
                    Output::Release { .. } => ("sockets", -1),
                    _ => continue,
                };
                *balance.entry(what).or_default() += step;
            }
        }
        prop_assert!(balance.values().all(|&left| left == 0), "{:?}", balance);
        prop_assert_eq!(engine.counters().rooms, 0);
    }
}

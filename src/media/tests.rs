//! Whole calls through the engine in virtual time: every party has its own tone, and what each one hears is measured.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::audio::clip::Clip;
use crate::audio::codec::Codec;
use crate::audio::goertzel::{KeyDetector, amplitude};
use crate::audio::level::level_dbov;
use crate::audio::tone::{Tone, TonePlan, sines, sines_at};
use crate::ids::{RecordingId, SecretSource};
use crate::limits::media::{ROOMS_PER_ENGINE, SLOTS_PER_ROOM};
use crate::rtp::rtcp::{self, Report, ReportBlock, RtcpPacket};
use crate::rtp::telephone_event::TelephoneEvent;
use crate::rtp::{RtpHeader, sequence_ahead, ticks_ahead};
use crate::time::Time;

const ROOM: RoomId = RoomId(7);
const RECORDING: RecordingId = RecordingId::from_u128(1);
/// The tones of the parties: callers below 700 Hz, agents above.
const TONES: [u16; 6] = [400, 550, 700, 1_000, 1_300, 1_700];
const EVENT_PT: u8 = 101;

/// The far end of a leg.
struct Phone {
    addr: SocketAddr,
    local: u16,
    codec: Codec,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The tone it says; `None` sends nothing.
    says: Option<u16>,
    spoken: usize,
    /// Packets for whose sequence number this is true get lost on the way to us.
    loses: fn(u16) -> bool,
    /// Milliseconds that a packet takes to us.
    takes_ms: fn(u16) -> u64,
    heard: Vec<(Time, RtpHeader, Vec<u8>)>,
    reports: Vec<(Time, Vec<u8>)>,
}

/// The engine, its phones and everything it said.
struct World {
    engine: Engine,
    now: Time,
    phones: BTreeMap<PortId, Phone>,
    /// Datagrams under way to us: (arrival, order) → (local port, from, bytes).
    wire: BTreeMap<(Time, u64), (u16, SocketAddr, Vec<u8>)>,
    sent: u64,
    events: Vec<(Time, MediaEvent)>,
    writes: Vec<RecordingWrite>,
    sockets: Vec<Output>,
}

impl World {
    fn new() -> Self {
        Self {
            engine: Engine::new(SecretSource::from_seed(5)),
            now: Time::from_secs(1_795_000_000),
            phones: BTreeMap::new(),
            wire: BTreeMap::new(),
            sent: 0,
            events: Vec::new(),
            writes: Vec::new(),
            sockets: Vec::new(),
        }
    }

    fn say(&mut self, command: MediaCommand) {
        self.engine.handle_command(self.now, command);
        self.drain();
    }

    /// Opens leg `n` with a phone that says `TONES[n]`.
    fn open(&mut self, n: u8, codec: Codec, telephone_event: Option<u8>) -> PortId {
        let open = open_port(n, codec, telephone_event);
        let phone = Phone {
            addr: phone_addr(n),
            local: open.local.port(),
            codec,
            ssrc: 1_000 + u32::from(n),
            sequence: 65_500,
            timestamp: u32::MAX - 8_000,
            says: Some(TONES[usize::from(n)]),
            spoken: 0,
            loses: |_| false,
            takes_ms: |_| 5,
            heard: Vec::new(),
            reports: Vec::new(),
        };
        self.phones.insert(open.port, phone);
        let port = open.port;
        self.say(MediaCommand::Open(open));
        port
    }

    /// Two legs that hear each other.
    fn bridge(&mut self) -> (PortId, PortId) {
        let (a, b) = (self.open(0, Codec::Pcmu, Some(EVENT_PT)), self.open(3, Codec::Pcmu, Some(EVENT_PT)));
        self.hear(&[(a, &[b]), (b, &[a])]);
        (a, b)
    }

    fn hear(&mut self, rows: &[(PortId, &[PortId])]) {
        let rows = rows
            .iter()
            .map(|(port, hears)| HearRow { port: *port, hears: hears.iter().map(|&p| Source::Port(p)).collect() })
            .collect();
        self.say(MediaCommand::Hear { room: ROOM, rows });
    }

    fn play(&mut self, id: u64, to: Audience, sounds: Vec<Sound>, repeat: Repeat) {
        self.say(MediaCommand::Play(Play { room: ROOM, play: PlayId(id), to, sounds, repeat }));
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            self.phones_speak();
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (local, from, bytes) = entry.remove();
                self.engine.handle_packet(self.now, local, from, &bytes);
                self.drain();
            }
            if self.engine.poll_timeout().is_some_and(|due| due <= self.now) {
                self.engine.handle_timeout(self.now);
                self.drain();
            }
        }
    }

    fn phones_speak(&mut self) {
        let ports: Vec<PortId> = self.phones.keys().copied().collect();
        for port in ports {
            // Each phone has a phase of its own.
            let phone = self.phones.get_mut(&port).unwrap();
            if self.now.as_millis() % 20 != port.0 * 7 % 20 {
                continue;
            }
            let Some(hz) = phone.says else { continue };
            let samples: Vec<i16> = (0..160).map(|n| sines_at(&[hz], phone.spoken + n, 6_000.0)).collect();
            phone.spoken += 160;
            let mut payload = vec![0; 160];
            phone.codec.encode(&samples, &mut payload);
            self.send(port, phone_pt(self.phones[&port].codec), &payload, 160);
        }
    }

    /// Sends one packet of a phone's stream; `ticks` is how far its clock moves.
    fn send(&mut self, port: PortId, payload_type: u8, payload: &[u8], ticks: u32) {
        let phone = self.phones.get_mut(&port).unwrap();
        phone.sequence = phone.sequence.wrapping_add(1);
        let header = RtpHeader {
            marker: false,
            payload_type,
            sequence: phone.sequence,
            timestamp: phone.timestamp,
            ssrc: phone.ssrc,
            payload: 0..0,
        };
        phone.timestamp = phone.timestamp.wrapping_add(ticks);
        if (phone.loses)(phone.sequence) {
            return;
        }
        let arrival = self.now + Duration::from_millis((phone.takes_ms)(phone.sequence));
        let (local, from) = (phone.local, phone.addr);
        self.throw(arrival, local, from, &[&header.write()[..], payload].concat());
    }

    fn throw(&mut self, arrival: Time, local: u16, from: SocketAddr, bytes: &[u8]) {
        self.sent += 1;
        self.wire.insert((arrival, self.sent), (local, from, bytes.to_vec()));
    }

    /// A key as a phone sends it: audio stops, a packet every 20 ms, the end three times.
    fn press(&mut self, port: PortId, event: u8, ms: u64) {
        let says = self.phones.get_mut(&port).unwrap().says.take();
        let steps = ms / 20;
        for n in 1..=steps + 2 {
            let event = TelephoneEvent { event, end: n >= steps, volume: 10, duration: (n.min(steps) * 160) as u16 };
            self.send(port, EVENT_PT, &event.write(), 0);
            self.run(20);
        }
        let phone = self.phones.get_mut(&port).unwrap();
        phone.timestamp = phone.timestamp.wrapping_add(160 * (steps as u32 + 2));
        phone.says = says;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit() {
            let phone = self.phones.values_mut().find(|phone| {
                (phone.local == transmit.from_port && phone.addr == transmit.to)
                    || (phone.local + 1 == transmit.from_port && next_port(phone.addr) == transmit.to)
            });
            let phone = phone.unwrap_or_else(|| panic!("a packet to nobody: {transmit:?}"));
            if transmit.to == phone.addr {
                let header = RtpHeader::parse(transmit.bytes).unwrap();
                let payload = transmit.bytes[header.payload.clone()].to_vec();
                phone.heard.push((self.now, header, payload));
            } else {
                phone.reports.push((self.now, transmit.bytes.to_vec()));
            }
        }
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Event(event) => self.events.push((self.now, event)),
                Output::Recording(write) => self.writes.push(write),
                Output::Bind { .. } | Output::Release { .. } => self.sockets.push(output),
            }
        }
    }

    /// What a phone heard in the last `ms`, as samples in the order of arrival.
    fn sound(&self, port: PortId, ms: u64) -> Vec<i16> {
        let since = self.now - Duration::from_millis(ms);
        let phone = &self.phones[&port];
        let heard = phone.heard.iter().filter(|(at, header, _)| *at > since && header.payload_type != EVENT_PT);
        heard
            .flat_map(|(_, _, payload)| {
                let mut samples = vec![0; payload.len()];
                phone.codec.decode(payload, &mut samples);
                samples
            })
            .collect()
    }

    /// The parties (by number) and the music heard by a phone in the last 200 ms.
    fn hears(&self, port: PortId) -> Vec<u16> {
        let sound = self.sound(port, 200);
        TONES.into_iter().chain([MUSIC]).filter(|&hz| amplitude(&sound, f64::from(hz)) > 2_000.0).collect()
    }

    fn keys(&self) -> String {
        self.events
            .iter()
            .filter_map(|(_, event)| if let MediaEvent::Key { key, .. } = event { Some(key) } else { None })
            .collect()
    }

    fn stats(&mut self, port: PortId) -> PortStats {
        self.engine.port_stats(port).unwrap()
    }

    /// The recording so far: left and right channel.
    fn recorded(&self) -> (Vec<i16>, Vec<i16>) {
        let mut channels = (Vec::new(), Vec::new());
        for write in &self.writes {
            if let RecordingWrite::Samples { interleaved, .. } = write {
                channels.0.extend(interleaved.iter().step_by(2));
                channels.1.extend(interleaved.iter().skip(1).step_by(2));
            }
        }
        channels
    }

    /// Our stream to a phone has no gap, no repetition and no step back, whatever it was made of.
    fn assert_seamless(&self, port: PortId) {
        let audio = self.phones[&port].heard.iter().filter(|(_, header, _)| header.payload_type != EVENT_PT);
        let headers: Vec<_> = audio.map(|(at, header, _)| (at, header)).collect();
        assert!(headers.len() > 10);
        for pair in headers.windows(2) {
            let ((_, a), (at, b)) = (pair[0], pair[1]);
            assert_eq!(a.ssrc, b.ssrc, "one SSRC for the life of a leg");
            assert_eq!(sequence_ahead(b.sequence, a.sequence), 1, "at {at}");
            assert!(ticks_ahead(b.timestamp, a.timestamp) >= 160, "at {at}: {a:?} {b:?}");
        }
    }
}

const MUSIC: u16 = 850;

fn phone_addr(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 1, n + 1], 4_000))
}

fn next_port(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port() + 1)
}

fn phone_pt(codec: Codec) -> u8 {
    codec.static_payload_type()
}

fn open_port(n: u8, codec: Codec, telephone_event: Option<u8>) -> OpenPort {
    let addr = phone_addr(n);
    OpenPort {
        port: PortId(u64::from(n) + 1),
        room: ROOM,
        local: SocketAddr::from(([127, 0, 0, 1], 20_000 + 2 * u16::from(n))),
        remote: Remote { expected: Some(addr), signalling: Some(addr.ip()), rtcp_mux: false },
        formats: Formats::only(codec, telephone_event),
        direction: Direction::SendReceive,
        rtp_timeout: None,
        in_band_keys: false,
    }
}

fn music() -> Vec<Sound> {
    vec![tone_clip(MUSIC, 1_000)]
}

fn tone_clip(hz: u16, ms: u64) -> Sound {
    Sound::Clip(Arc::new(Clip::from_samples("tone", sines(&[hz], Duration::from_millis(ms), 6_000.0))))
}

fn change(port: PortId, change: PortChange) -> MediaCommand {
    MediaCommand::Update { port, change }
}

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

#[test]
fn every_change_of_source_carries_the_marker_and_nothing_else_does() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(500);
    world.hear(&[(a, &[])]);
    world.run(500);
    world.hear(&[(a, &[b])]);
    world.run(500);
    let markers = world.phones[&a].heard.iter().filter(|(_, header, _)| header.marker).count();
    // Silence before the bridge's first packet is no packet at all: forwarded, silence, forwarded.
    assert_eq!(markers, 3);
    world.assert_seamless(a);
}

#[test]
fn loss_jitter_and_reordering_are_survived_where_sound_is_mixed() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    let boss = world.open(4, Codec::Pcmu, None);
    world.hear(&[(boss, &[caller, agent])]);
    let phone = world.phones.get_mut(&caller).unwrap();
    phone.loses = |n| n % 25 == 3;
    phone.takes_ms = |n| [5, 12, 31, 8, 22, 40, 9][usize::from(n) % 7];
    world.run(10_000);
    let sound = world.sound(boss, 8_000);
    let whole = sound.chunks(400).filter(|part| amplitude(part, 400.0) > 4_000.0).count();
    assert!(whole * 100 > sound.len() / 400 * 95, "{whole} of {}", sound.len() / 400);
    let stats = world.stats(caller);
    assert!((15..=25).contains(&stats.lost), "{stats:?}");
    assert!((3.5..=4.5).contains(&stats.loss_percent()), "{stats:?}");
    assert!(stats.reordered > 50 && stats.jitter_ms > 5.0, "{stats:?}");
    assert!(stats.concealed >= stats.lost, "{stats:?}");
    let clean = world.stats(agent);
    assert!((clean.lost, clean.late, clean.concealed) == (0, 0, 0) && clean.jitter_ms < 0.1, "{clean:?}");
    assert!(clean.mos.unwrap() > 4.3 && stats.mos.unwrap() < 4.0, "{clean:?} {stats:?}");
}

#[test]
fn loss_and_order_pass_through_a_bridge_for_the_listener_to_repair() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.phones.get_mut(&a).unwrap().loses = |n| n % 10 == 0;
    world.run(2_000);
    let numbers: Vec<u16> = world.phones[&b].heard.iter().map(|(_, header, _)| header.sequence).collect();
    let gaps = numbers.windows(2).filter(|pair| sequence_ahead(pair[1], pair[0]) == 2).count();
    assert!((9..=11).contains(&gaps), "{gaps}");
    let doubled = world.stats(a).duplicates;
    assert_eq!(doubled, 0);
}

#[test]
fn a_duplicate_is_passed_on_once() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(500);
    let (local, from) = (world.phones[&a].local, world.phones[&a].addr);
    let before = world.phones[&b].heard.len();
    world.phones.values_mut().for_each(|phone| phone.says = None);
    let header = RtpHeader {
        marker: false,
        payload_type: 0,
        sequence: world.phones[&a].sequence.wrapping_add(1),
        timestamp: world.phones[&a].timestamp,
        ssrc: world.phones[&a].ssrc,
        payload: 0..0,
    };
    for _ in 0..3 {
        let packet = [&header.write()[..], &[0xFF; 160]].concat();
        world.throw(world.now, local, from, &packet);
    }
    world.run(20);
    // One was still under way when the phones fell silent.
    assert!(world.phones[&b].heard.len() <= before + 2);
    assert_eq!(world.stats(a).duplicates, 2);
}

#[test]
fn a_stranger_neither_speaks_into_nor_listens_to_a_live_call() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    world.run(500);
    let mut attack = vec![0; 160];
    Codec::Pcmu.encode(&sines(&[1_700], Duration::from_millis(20), 6_000.0), &mut attack);
    for n in 0..400_u16 {
        // From a foreign host, and from the caller's own host on another port: with the caller's very SSRC and numbers.
        for from in [SocketAddr::from(([127, 6, 6, 6], 4_000)), SocketAddr::from(([127, 0, 1, 1], 9_999))] {
            let header = RtpHeader {
                marker: true,
                payload_type: 0,
                sequence: world.phones[&a].sequence.wrapping_add(1 + n % 3),
                timestamp: world.phones[&a].timestamp,
                ssrc: world.phones[&a].ssrc,
                payload: 0..0,
            };
            let packet = [&header.write()[..], &attack].concat();
            let local = world.phones[&a].local;
            world.throw(world.now, local, from, &packet);
        }
        world.run(10);
    }
    // `drain` panics where a packet is sent to the attacker.
    assert_eq!((world.hears(a), world.hears(b)), (vec![1_000], vec![400]));
    let stats = world.stats(a);
    assert_eq!((stats.refused, stats.lost), (800, 0));
    world.assert_seamless(b);
}

#[test]
fn a_phone_behind_a_nat_is_found_by_its_signalling_address() {
    let mut world = World::new();
    let mut open = open_port(0, Codec::Pcmu, None);
    let seen = phone_addr(0);
    open.remote.expected = Some(SocketAddr::from(([127, 99, 99, 99], 5_000)));
    let port = world.open(0, Codec::Pcmu, None);
    world.say(change(port, PortChange { remote: Some(open.remote), ..PortChange::default() }));
    world.say(change(port, PortChange { direction: Some(Direction::ReceiveOnly), ..PortChange::default() }));
    world.run(100);
    assert!(world.events.iter().any(|(_, event)| *event == MediaEvent::Latched { port, remote: seen }));
    world.say(change(port, PortChange { direction: Some(Direction::SendReceive), ..PortChange::default() }));
    world.play(1, Audience::Port(port), music(), Repeat::Forever);
    world.run(300);
    assert_eq!(world.hears(port), [MUSIC]);
}

#[test]
fn keys_are_told_once_however_they_arrive() {
    let mut world = World::new();
    let (caller, _) = world.bridge();
    world.run(200);
    world.press(caller, 1, 100);
    world.run(60);
    // Every packet but one lost, the ends included.
    world.phones.get_mut(&caller).unwrap().loses = |n| n % 7 != 0;
    world.press(caller, 2, 100);
    world.phones.get_mut(&caller).unwrap().loses = |_| false;
    world.run(300);
    world.press(caller, 11, 300);
    world.run(200);
    assert_eq!(world.keys(), "12#");
    let last = world.events.iter().rev().find_map(|(_, event)| match event {
        MediaEvent::Key { port, key, duration_ms, source } => Some((*port, *key, *duration_ms, *source)),
        _ => None,
    });
    assert_eq!(last, Some((caller, '#', 300, KeySource::TelephoneEvent)));
}

#[test]
fn keys_pass_through_a_bridge_with_the_listeners_own_payload_type() {
    let mut world = World::new();
    let (a, b) = (world.open(0, Codec::Pcmu, Some(EVENT_PT)), world.open(3, Codec::Pcma, Some(EVENT_PT)));
    world.hear(&[(a, &[b]), (b, &[a])]);
    world.run(200);
    let formats = Formats::only(Codec::Pcma, Some(97));
    world.say(change(b, PortChange { formats: Some(formats), ..PortChange::default() }));
    world.press(a, 5, 100);
    let events: Vec<_> = world.phones[&b]
        .heard
        .iter()
        .filter(|(_, header, _)| header.payload_type == 97)
        .map(|(_, header, payload)| (header.timestamp, TelephoneEvent::parse(payload).unwrap()))
        .collect();
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|(timestamp, event)| *timestamp == events[0].0 && event.key() == Some('5')));
    assert_eq!(events.iter().filter(|(_, event)| event.end).count(), 3);
}

#[test]
fn a_secret_key_reaches_the_switch_and_nobody_else() {
    let mut world = World::new();
    let (caller, agent) = world.bridge();
    let bare = world.open(5, Codec::Pcmu, None);
    world.hear(&[(bare, &[caller])]);
    world.run(200);
    world.say(change(caller, PortChange { pass_keys: Some(false), ..PortChange::default() }));
    world.press(caller, 9, 100);
    world.run(500);
    assert_eq!(world.keys(), "9");
    assert!(world.phones[&agent].heard.iter().all(|(_, header, _)| header.payload_type != EVENT_PT));
    let mut detector = KeyDetector::default();
    assert!(world.sound(bare, 700).chunks(160).all(|frame| detector.listen(frame).is_none()));
}

#[test]
fn one_who_takes_no_events_hears_the_key_as_a_tone() {
    let mut world = World::new();
    let (caller, bare) = (world.open(0, Codec::Pcmu, Some(EVENT_PT)), world.open(3, Codec::Pcmu, None));
    world.hear(&[(caller, &[bare]), (bare, &[caller])]);
    world.run(200);
    world.press(caller, 5, 100);
    world.run(400);
    let mut detector = KeyDetector::default();
    let heard: String = world.sound(bare, 700).chunks(160).filter_map(|f| detector.listen(f)).map(|h| h.key).collect();
    assert_eq!(heard, "5");
    world.assert_seamless(bare);
}

#[test]
fn keys_in_the_audio_are_heard_where_asked_for() {
    let mut world = World::new();
    let caller = world.open(0, Codec::Pcma, None);
    world.say(change(caller, PortChange { in_band_keys: Some(true), ..PortChange::default() }));
    world.phones.get_mut(&caller).unwrap().says = None;
    let mut samples = sines(&[852, 1_336], Duration::from_millis(100), 8_000.0);
    samples.resize(4_000, 0);
    for frame in samples.chunks(160) {
        let mut payload = vec![0; frame.len()];
        Codec::Pcma.encode(frame, &mut payload);
        world.send(caller, 8, &payload, 160);
        world.run(20);
    }
    let heard = world.events.iter().find_map(|(_, event)| match event {
        MediaEvent::Key { key, source, .. } => Some((*key, *source)),
        _ => None,
    });
    assert_eq!(heard, Some(('8', KeySource::InBand)));
}

#[test]
fn sent_keys_arrive_as_events_or_as_tones() {
    let mut world = World::new();
    let (a, bare) = (world.open(0, Codec::Pcmu, Some(EVENT_PT)), world.open(3, Codec::Pcmu, None));
    world.hear(&[(a, &[bare]), (bare, &[a])]);
    world.run(200);
    world.say(MediaCommand::SendKeys(SendKeys::new(a, "15#")));
    world.say(MediaCommand::SendKeys(SendKeys::new(bare, "42")));
    world.run(1_500);
    let ends: String = world.phones[&a]
        .heard
        .iter()
        .filter(|(_, header, _)| header.payload_type == EVENT_PT)
        .filter_map(|(_, header, payload)| {
            let event = TelephoneEvent::parse(payload).unwrap();
            (event.end && event.duration == 800).then(|| (header.timestamp, event.key().unwrap()))
        })
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect();
    assert_eq!(ends, "15#");
    let mut detector = KeyDetector::default();
    let tones: String =
        world.sound(bare, 1_500).chunks(160).filter_map(|f| detector.listen(f)).map(|h| h.key).collect();
    assert_eq!(tones, "42");
    world.run(300);
    assert_eq!(world.hears(bare), [400], "then audio goes on");
}

#[test]
fn a_dead_line_is_told_once_and_told_again_after_it_came_back() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    for port in [a, b] {
        let change = PortChange { rtp_timeout: Some(Some(Duration::from_secs(10))), ..PortChange::default() };
        world.say(MediaCommand::Update { port, change });
    }
    let timeouts = |world: &World| -> Vec<PortId> {
        let port_of =
            |event: &MediaEvent| if let MediaEvent::RtpTimeout { port, .. } = event { Some(*port) } else { None };
        world.events.iter().filter_map(|(_, event)| port_of(event)).collect()
    };
    world.run(30_000);
    assert_eq!(timeouts(&world), []);
    world.phones.get_mut(&a).unwrap().says = None;
    world.run(9_000);
    assert_eq!(timeouts(&world), []);
    world.run(30_000);
    assert_eq!(timeouts(&world), [a]);
    world.phones.get_mut(&a).unwrap().says = Some(400);
    world.run(1_000);
    world.phones.get_mut(&a).unwrap().says = None;
    world.run(12_000);
    assert_eq!(timeouts(&world), [a, a]);
    // On hold nothing is to be expected of it.
    world.say(change(b, PortChange { direction: Some(Direction::SendOnly), ..PortChange::default() }));
    world.phones.get_mut(&b).unwrap().says = None;
    world.run(30_000);
    assert_eq!(timeouts(&world), [a, a]);
}

#[test]
fn reports_go_out_every_five_seconds_or_so_and_measure_the_round_trip() {
    let mut world = World::new();
    let (a, _) = world.bridge();
    world.run(60_000);
    let times: Vec<u64> = world.phones[&a].reports.iter().map(|(at, _)| at.as_millis()).collect();
    assert!((8..=20).contains(&times.len()), "{}", times.len());
    assert!(times.windows(2).all(|pair| (1_500..=9_000).contains(&(pair[1] - pair[0]))), "{times:?}");
    while world.phones[&a].reports.len() == times.len() {
        world.run(1);
    }
    let (at, bytes) = world.phones[&a].reports.last().unwrap().clone();
    let packets: Vec<_> = rtcp::packets(&bytes).collect::<Result<_, _>>().unwrap();
    let RtcpPacket::SenderReport { ssrc, sender, reports } = packets[0] else { panic!("{packets:?}") };
    assert!((3_000..=3_400).contains(&sender.packets), "{sender:?}");
    assert_eq!(reports.iter().next().unwrap().cumulative_lost, 0);
    // The phone answers a second later, 30 ms each way.
    let block = ReportBlock {
        ssrc,
        cumulative_lost: 15,
        jitter: 80,
        last_sr: rtcp::ntp_middle(sender.ntp),
        delay_since_last_sr: 65_536,
        ..ReportBlock::default()
    };
    let mut answer = Vec::new();
    Report { ssrc: world.phones[&a].ssrc, sender: None, block: Some(block), cname: "phone", bye: false }
        .write(&mut answer);
    let (local, from) = (world.phones[&a].local + 1, next_port(world.phones[&a].addr));
    world.throw(at + Duration::from_millis(1_060), local, from, &answer);
    world.run(10_000);
    let stats = world.stats(a);
    assert!((stats.rtt_ms.unwrap() - 60.0).abs() < 2.0, "{stats:?}");
    assert!((0.3..0.6).contains(&stats.far_loss_percent.unwrap()), "{stats:?}");
    assert_eq!(stats.far_jitter_ms, Some(10.0));
}

#[test]
fn half_an_hour_of_wrapping_numbers_loses_nothing() {
    let mut world = World::new();
    let (a, b) = world.bridge();
    // The phones begin 35 packets before their sequence wraps and a second before their timestamp does.
    world.run(30 * 60 * 1_000);
    assert_eq!((world.stats(a).lost, world.stats(b).lost), (0, 0));
    assert_eq!(world.hears(a), [1_000]);
    world.assert_seamless(a);
    world.assert_seamless(b);
    let markers = world.phones[&a].heard.iter().filter(|(_, header, _)| header.marker).count();
    assert_eq!(markers, 1);
}

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
    assert!(counters.phases_skipped >= 235 && counters.phases_late >= 8, "{counters:?}");
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

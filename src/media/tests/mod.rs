//! Whole calls through the engine in virtual time: every party has its own tone, and what each one hears is measured.

#![cfg(test)]

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

mod bounds;
mod calls;
mod keys;
mod wire;

use super::*;
use crate::audio::clip::Clip;
use crate::audio::goertzel::{KeyDetector, amplitude};
use crate::audio::level::level_dbov;
use crate::audio::tone::{Tone, TonePlan, sines, sines_at};
use crate::codec::Codec;
use crate::ids::{RecordingId, SecretSource};
use crate::limits::media::{DATAGRAM_BYTES, FORMATS_PER_PORT, ROOMS_PER_ENGINE, SLOTS_PER_ROOM, SOUNDS_PER_PLAY};
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
        self.open_in(ROOM, n, codec, telephone_event)
    }

    fn open_in(&mut self, room: RoomId, n: u8, codec: Codec, telephone_event: Option<u8>) -> PortId {
        let open = OpenPort { room, ..open_port(n, codec, telephone_event) };
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

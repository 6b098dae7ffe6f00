//! One call's media at a simulated phone, packet by packet: a steady tone out every 20 ms, keys by RFC 4733, and an
//! ear and counters for what comes in. No socket here: `station` has those.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use super::ear::{Ear, Heard, ToneHz};
use super::rtp_wire::RtpPacket;
use crate::audio::{FRAME_LEN, FRAME_MS, FRAME_TICKS, SAMPLE_RATE_HZ, g711, tone};
use crate::codec::Codec;
use crate::limits;
use crate::sim::report::MediaPath;

/// What was sent and heard on one leg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegCount {
    pub packets_sent: u64,
    pub packets_received: u64,
    /// Gaps in the sequence numbers received.
    pub packets_lost: u64,
    /// The tones heard, in order of their first hearing.
    pub tones: Vec<ToneHz>,
}

/// See the module.
#[derive(Debug)]
pub struct Voice {
    tone: ToneHz,
    path: Option<MediaPath>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet begins a talkspurt.
    marker: bool,
    keys: VecDeque<(u8, u32)>,
    playing: Option<Key>,
    /// Frames of voice to come before the next key.
    gap: u32,
    ear: Ear,
    received: Sequence,
    count: LegCount,
}

/// A key being played (RFC 4733 §2.5.1): all its packets have the timestamp of its begin.
#[derive(Clone, Copy, Debug)]
struct Key {
    event: u8,
    began: u32,
    /// Ticks played so far, and altogether.
    ticks: u32,
    total: u32,
    /// Packets with the end bit still to send.
    ends: u8,
}

/// Peak of a party's tone: about −14 dBm0.
const AMPLITUDE: f64 = 6_000.0;
/// Frames of voice between two keys, so that they are two for a detector of tones too.
const KEY_GAP_FRAMES: u32 = 4;

impl Voice {
    /// A voice that says `tone` once it has a path.
    pub fn new(tone: ToneHz, ssrc: u32) -> Self {
        Self {
            tone,
            path: None,
            ssrc,
            // Any start will do (RFC 3550 §5.1); one near the wrap keeps the wrap tested.
            sequence: 65_000,
            timestamp: ssrc,
            marker: true,
            keys: VecDeque::new(),
            playing: None,
            gap: 0,
            ear: Ear::default(),
            received: Sequence::default(),
            count: LegCount::default(),
        }
    }

    /// Where media goes from now on.
    pub fn set_path(&mut self, path: MediaPath) {
        self.path = Some(path);
    }

    /// Plays a key; beyond [`limits::LOAD_KEYS`] waiting ones it is dropped.
    pub fn press(&mut self, key: char, duration_ms: u32) {
        let event = match key {
            '0'..='9' => u8::try_from(u32::from(key) - u32::from('0')).unwrap_or(0),
            '*' => 10,
            '#' => 11,
            'A'..='D' => u8::try_from(12 + u32::from(key) - u32::from('A')).unwrap_or(12),
            _ => return,
        };
        if self.keys.len() < limits::LOAD_KEYS {
            self.keys.push_back((event, duration_ms.clamp(40, 8_000) * (SAMPLE_RATE_HZ / 1_000)));
        }
    }

    /// The packet of the next 20 ms, and where it goes; `None` while we may not send.
    pub fn next_packet(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let now = self.timestamp;
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
        let path = self.path?;
        let event = path.event_payload_type.and_then(|payload_type| self.next_event(now, payload_type));
        let packet = match event {
            Some(packet) => packet,
            None if path.send => self.frame(now, path.codec),
            None => {
                self.marker = true;
                return None;
            }
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.count.packets_sent += 1;
        Some((path.remote, packet.write()))
    }

    /// Takes a datagram; tells what is newly heard.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<Heard> {
        let packet = RtpPacket::read(bytes)?;
        self.count.packets_received += 1;
        self.received.note(packet.ssrc, packet.sequence);
        self.count.packets_lost = self.received.lost();
        let mut samples = [0; FRAME_LEN];
        let length = packet.payload.len().min(FRAME_LEN);
        let heard_samples = samples.get_mut(..length)?;
        match packet.payload_type {
            0 => g711::decode_ulaw(&packet.payload, heard_samples),
            8 => g711::decode_alaw(&packet.payload, heard_samples),
            _ => return None,
        }
        let heard = self.ear.listen(heard_samples);
        if let Some(Heard::Tone(tone)) = heard
            && !self.count.tones.contains(&tone)
            && self.count.tones.len() < limits::LOAD_TONES
        {
            self.count.tones.push(tone);
        }
        heard
    }

    pub fn count(&self) -> &LegCount {
        &self.count
    }

    /// The tone heard now, if any.
    pub fn hears(&self) -> Option<ToneHz> {
        self.ear.tone()
    }

    fn frame(&mut self, at: u32, codec: Codec) -> RtpPacket {
        let position = at.wrapping_sub(self.ssrc);
        let mut samples = [0_i16; FRAME_LEN];
        for (offset, sample) in (0_u32..).zip(samples.iter_mut()) {
            // One second holds whole cycles of every whole-hertz tone, so the position may wrap there.
            let position = usize::try_from(position.wrapping_add(offset) % SAMPLE_RATE_HZ).unwrap_or(0);
            *sample = tone::sines_at(&[self.tone.0], position, AMPLITUDE);
        }
        let mut payload = vec![0; FRAME_LEN];
        match codec {
            Codec::Pcmu => g711::encode_ulaw(&samples, &mut payload),
            Codec::Pcma => g711::encode_alaw(&samples, &mut payload),
        }
        self.packet(codec.static_payload_type(), at, payload)
    }

    fn next_event(&mut self, now: u32, payload_type: u8) -> Option<RtpPacket> {
        let mut key = match self.playing {
            Some(key) => key,
            None if self.gap > 0 => {
                self.gap -= 1;
                return None;
            }
            None => {
                let (event, total) = self.keys.pop_front()?;
                self.marker = true;
                Key { event, began: now, ticks: 0, total, ends: 3 }
            }
        };
        key.ticks = (key.ticks + FRAME_TICKS).min(key.total);
        let end = key.ticks == key.total;
        if end {
            key.ends -= 1;
        }
        // Volume −10 dBm0; the end bit is the highest of its byte.
        let volume = 10 | if end { 0x80 } else { 0 };
        let duration = u16::try_from(key.ticks).unwrap_or(u16::MAX).to_be_bytes();
        let packet = self.packet(payload_type, key.began, vec![key.event, volume, duration[0], duration[1]]);
        self.playing = (key.ends > 0).then_some(key);
        if self.playing.is_none() {
            (self.marker, self.gap) = (true, KEY_GAP_FRAMES);
        }
        Some(packet)
    }

    fn packet(&mut self, payload_type: u8, timestamp: u32, payload: Vec<u8>) -> RtpPacket {
        let marker = core::mem::take(&mut self.marker);
        RtpPacket { payload_type, marker, sequence: self.sequence, timestamp, ssrc: self.ssrc, payload }
    }
}

/// How long one packet lasts.
pub const PACKET_SPAN: Duration = Duration::from_millis(FRAME_MS);

/// Counts gaps (RFC 3550 appendix A.1, without its probation): expected minus received, by source.
#[derive(Debug, Default)]
struct Sequence {
    ssrc: Option<u32>,
    first: u64,
    highest: u64,
    received: u64,
    lost_before: u64,
}

impl Sequence {
    fn note(&mut self, ssrc: u32, sequence: u16) {
        if self.ssrc != Some(ssrc) {
            let first = u64::from(sequence) + 0x1_0000;
            *self = Self { ssrc: Some(ssrc), first, highest: first, received: 0, lost_before: self.lost() };
        }
        self.received += 1;
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.highest += u64::from(ahead);
        }
    }

    fn lost(&self) -> u64 {
        let expected = if self.received == 0 { 0 } else { self.highest - self.first + 1 };
        self.lost_before + expected.saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(codec: Codec, send: bool) -> MediaPath {
        let (local, remote) = ("127.0.2.1:4000".parse().unwrap(), "127.0.2.2:4000".parse().unwrap());
        MediaPath { local, remote, codec, event_payload_type: Some(101), send, receive: true }
    }

    fn packets(voice: &mut Voice, count: usize) -> Vec<RtpPacket> {
        let sent = (0..count).filter_map(|_| voice.next_packet());
        sent.filter_map(|(_, bytes)| RtpPacket::read(&bytes)).collect()
    }

    #[test]
    fn one_voice_hears_the_other_in_either_codec() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let (mut a, mut b) = (Voice::new(ToneHz(1_000), 1), Voice::new(ToneHz(500), 2));
            a.set_path(path(codec, true));
            for _ in 0..1_000 {
                let (_, bytes) = a.next_packet().unwrap();
                b.hear(&bytes);
            }
            assert_eq!(b.hears(), Some(ToneHz(1_000)));
            let expected = LegCount { packets_received: 1_000, tones: vec![ToneHz(1_000)], ..LegCount::default() };
            assert_eq!(*b.count(), expected);
            assert_eq!(a.count().packets_sent, 1_000);
        }
    }

    #[test]
    fn a_key_is_one_event_with_rising_duration_and_three_ends() {
        let mut voice = Voice::new(ToneHz(500), 7);
        voice.set_path(path(Codec::Pcmu, true));
        voice.press('#', 100);
        let sent = packets(&mut voice, 10);
        let events: Vec<&RtpPacket> = sent.iter().filter(|packet| packet.payload_type == 101).collect();
        assert!(events.iter().all(|packet| packet.timestamp == events[0].timestamp && packet.payload[0] == 11));
        let durations: Vec<u16> = events.iter().map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let ends: Vec<bool> = events.iter().map(|packet| packet.payload[1] & 0x80 != 0).collect();
        assert_eq!(ends, [false, false, false, false, true, true, true]);
        assert!(events[0].marker && !events[1].marker && sent[7].marker);
        assert!(sent.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    }

    #[test]
    fn keys_that_wait_and_tones_remembered_are_bounded() {
        let mut voice = Voice::new(ToneHz(500), 7);
        voice.set_path(path(Codec::Pcmu, true));
        (0..=limits::LOAD_KEYS).for_each(|_| voice.press('1', 40));
        let sent = packets(&mut voice, 20 * limits::LOAD_KEYS);
        let begun = sent.iter().filter(|packet| packet.payload_type == 101 && packet.marker).count();
        assert_eq!(begun, limits::LOAD_KEYS);
        let mut ear = Voice::new(ToneHz(500), 8);
        for n in 0..=u32::try_from(limits::LOAD_TONES).unwrap() {
            let mut other = Voice::new(ToneHz::of_agent(n), n);
            other.set_path(path(Codec::Pcmu, true));
            for (_, bytes) in (0..20).filter_map(|_| other.next_packet()) {
                ear.hear(&bytes);
            }
        }
        assert_eq!(ear.count().tones.len(), limits::LOAD_TONES);
    }

    #[test]
    fn a_phone_on_hold_is_quiet_and_its_clock_goes_on() {
        let mut voice = Voice::new(ToneHz(500), 7);
        voice.set_path(path(Codec::Pcmu, true));
        let before = packets(&mut voice, 1).remove(0);
        voice.set_path(path(Codec::Pcmu, false));
        assert_eq!(packets(&mut voice, 50), []);
        voice.set_path(path(Codec::Pcmu, true));
        let after = packets(&mut voice, 1).remove(0);
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 51 * 160);
        assert!(after.marker);
    }

    #[test]
    fn lost_packets_are_counted_over_the_wrap_and_late_ones_are_not_lost() {
        let mut voice = Voice::new(ToneHz(500), 7);
        let packet = |sequence: u16, ssrc: u32| {
            let payload = vec![0xff; 160];
            RtpPacket { payload_type: 0, marker: false, sequence, timestamp: 0, ssrc, payload }.write()
        };
        for sequence in [65_533, 65_534, 1, 0, 2, 5] {
            voice.hear(&packet(sequence, 9));
        }
        // Missing: 65535, 3, 4.
        assert_eq!(voice.count().packets_lost, 3);
        voice.hear(&packet(40_000, 10));
        voice.hear(&packet(40_002, 10));
        assert_eq!(voice.count().packets_lost, 4);
    }

    #[test]
    fn more_keys_than_fit_are_dropped() {
        let mut voice = Voice::new(ToneHz(500), 7);
        (0..limits::LOAD_KEYS + 10).for_each(|_| voice.press('1', 40));
        assert_eq!(voice.keys.len(), limits::LOAD_KEYS);
    }
}

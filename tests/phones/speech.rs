//! What a caller says and presses: one continuous RTP stream as a pcap file for sipp to play.

use std::time::Duration;

use bytes::Bytes;
use rtp::header::Header;
use rtp::packet::Packet;
use strowger::audio::g711::encode_ulaw;
use strowger::audio::tone::sines;
use webrtc_util::marshal::Marshal;

/// Samples in 20 ms.
const FRAME: u32 = 160;
const FRAME_US: u64 = 20_000;
const KEY_PAYLOAD_TYPE: u8 = 101;
/// Length of a pressed key in frames, and of the pause after it.
const KEY_FRAMES: u16 = 5;

/// A stream in the making: PCMU, keys as RFC 4733 events of payload type 101.
pub struct Speech {
    at_us: u64,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    packets: Vec<(u64, Bytes)>,
}

impl Speech {
    pub fn new() -> Self {
        Self { at_us: 0, sequence: 1_000, timestamp: 16_000, marker: true, packets: Vec::new() }
    }

    pub fn tone(mut self, hz: u16, seconds: u64) -> Self {
        let samples = sines(&[hz], Duration::from_secs(seconds), 8_000.0);
        self.say(&samples);
        self
    }

    pub fn silence(mut self, seconds: u64) -> Self {
        self.say(&vec![0; usize::try_from(seconds * 8_000).expect("a speech fits")]);
        self
    }

    pub fn keys(mut self, keys: &str) -> Self {
        for key in keys.chars() {
            let event = "0123456789*#ABCD".find(key).expect("a key of a telephone");
            self.press(u8::try_from(event).expect("16 keys"));
            self.say(&[0; 480]);
        }
        self
    }

    fn say(&mut self, samples: &[i16]) {
        for frame in samples.chunks_exact(FRAME as usize) {
            let mut payload = [0; FRAME as usize];
            encode_ulaw(frame, &mut payload);
            let marker = std::mem::take(&mut self.marker);
            self.send(0, marker, self.timestamp, &payload);
            self.timestamp = self.timestamp.wrapping_add(FRAME);
            self.at_us += FRAME_US;
        }
    }

    /// RFC 4733 §2.5.1: all packets of an event carry its beginning; the end is sent three times.
    fn press(&mut self, event: u8) {
        for frame in 1..=KEY_FRAMES {
            let lasts = (frame * FRAME as u16).to_be_bytes();
            self.send(KEY_PAYLOAD_TYPE, frame == 1, self.timestamp, &[event, 10, lasts[0], lasts[1]]);
            self.at_us += FRAME_US;
        }
        let lasts = (KEY_FRAMES * FRAME as u16).to_be_bytes();
        for _ in 0..3 {
            self.send(KEY_PAYLOAD_TYPE, false, self.timestamp, &[event, 10 | 0x80, lasts[0], lasts[1]]);
        }
        self.at_us += FRAME_US;
        self.timestamp = self.timestamp.wrapping_add(u32::from(KEY_FRAMES + 1) * FRAME);
        self.marker = true;
    }

    fn send(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let header = Header {
            version: 2,
            marker,
            payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: 0x5eed_0001,
            ..Header::default()
        };
        let packet = Packet { header, payload: Bytes::copy_from_slice(payload) };
        self.sequence = self.sequence.wrapping_add(1);
        self.packets.push((self.at_us, packet.marshal().expect("a packet can be written")));
    }

    /// The file: Ethernet, IPv4, UDP; sipp puts in the real addresses and ports.
    pub fn pcap(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
            file.extend(word.to_le_bytes());
        }
        for (at_us, rtp) in &self.packets {
            let frame = framed(rtp);
            let length = u32::try_from(frame.len()).expect("a frame is short");
            let (seconds, micros) = (at_us / 1_000_000, at_us % 1_000_000);
            for word in [seconds, micros].map(|n| u32::try_from(n).expect("a speech is short")) {
                file.extend(word.to_le_bytes());
            }
            file.extend(length.to_le_bytes());
            file.extend(length.to_le_bytes());
            file.extend(frame);
        }
        file
    }
}

fn framed(rtp: &[u8]) -> Vec<u8> {
    let udp = u16::try_from(8 + rtp.len()).expect("a packet is short");
    let mut ip = vec![0x45, 0];
    ip.extend((20 + udp).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    let sum: u32 = ip.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice");
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = vec![0; 12];
    frame.extend([8, 0]);
    frame.extend(ip);
    for word in [40_000, 40_002, udp, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(rtp);
    frame
}

//! The stream we send on one leg: one SSRC for its whole life, sequence numbers and timestamps without a seam,
//! whatever it is made of: a forwarded stream, a mix, a clip, keys.
//!
//! Timestamps follow our clock where we make the sound, and the sender's where we forward it; at each change the
//! next packet takes the later of the two and carries the marker (RFC 3551 §4.1), so that the listener's jitter buffer
//! may settle anew.

use crate::audio::SAMPLE_RATE_HZ;
use crate::rtp::{RtpHeader, sequence_ahead, ticks_ahead};
use crate::time::Time;

/// Numbers the packets of one outgoing stream.
#[derive(Debug)]
pub(super) struct OutStream {
    ssrc: u32,
    /// The highest number sent.
    sequence: u16,
    /// Where the next packet begins if nothing is left out.
    next_timestamp: u32,
    /// Our clock: `timestamp` at `at`.
    clock: Option<(Time, u32)>,
    origin: Origin,
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
}

/// What the last packet was made of.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Nothing,
    Made,
    Forwarded(Forwarded),
}

#[derive(Clone, Copy, Debug)]
struct Forwarded {
    /// The slot and the SSRC it comes from.
    source: (u64, u32),
    sequence_offset: u16,
    timestamp_offset: u32,
    /// The sender's number at the seam; earlier ones are left behind.
    first: u16,
    /// Packets since the seam, saturating.
    since: u16,
    /// The sender's latest number and timestamp, and when they came.
    last: (u16, u32, Time),
}

/// Number, timestamp and marker of a packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
}

impl OutStream {
    /// A stream with a random beginning (RFC 3550 §5.1): SSRC, sequence and timestamp from one secret number.
    pub fn new(ssrc: u32, random: u64) -> Self {
        Self {
            ssrc,
            sequence: random as u16,
            next_timestamp: (random >> 16) as u32,
            clock: None,
            origin: Origin::Nothing,
            packets: 0,
            bytes: 0,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Our RTP clock at `now`, for sender reports.
    pub fn timestamp_at(&self, now: Time) -> u32 {
        let Some((since, timestamp)) = self.clock else { return self.next_timestamp };
        let ticks = now.since(since).as_micros() * u128::from(SAMPLE_RATE_HZ) / 1_000_000;
        timestamp.wrapping_add(ticks as u32)
    }

    /// Stamps `ticks` of sound of our own making.
    pub fn stamp_made(&mut self, now: Time, ticks: u32) -> Stamp {
        let marker = !matches!(self.origin, Origin::Made);
        self.origin = Origin::Made;
        let timestamp = self.at_or_after(now);
        self.next_timestamp = timestamp.wrapping_add(ticks);
        self.sequence = self.sequence.wrapping_add(1);
        Stamp { sequence: self.sequence, timestamp, marker }
    }

    /// Stamps a packet of a key that began `back` ticks ago: the clock runs on beneath it by `ticks`.
    pub fn stamp_event(&mut self, now: Time, back: u32, ticks: u32, marker: bool) -> Stamp {
        let made = self.stamp_made(now, ticks);
        Stamp { timestamp: made.timestamp.wrapping_sub(back), marker, ..made }
    }

    /// Stamps a packet of the source `slot`, keeping its gaps and its order; `None` for one from before the seam.
    pub fn stamp_forwarded(&mut self, now: Time, slot: u64, header: &RtpHeader, ticks: u32) -> Option<Stamp> {
        let source = (slot, header.ssrc);
        match self.origin {
            Origin::Forwarded(known) if known.source == source && known.goes_on(now, header) => {
                self.follow(now, known, header, ticks)
            }
            _ => Some(self.begin_forwarding(now, source, header, ticks)),
        }
    }

    /// A packet of the source is not passed on, by our own will: what follows is a seam, not a loss.
    pub fn leave_out(&mut self) {
        if let Origin::Forwarded(_) = self.origin {
            self.origin = Origin::Nothing;
        }
    }

    fn begin_forwarding(&mut self, now: Time, source: (u64, u32), header: &RtpHeader, ticks: u32) -> Stamp {
        let timestamp = self.at_or_after(now);
        self.sequence = self.sequence.wrapping_add(1);
        self.next_timestamp = timestamp.wrapping_add(ticks);
        self.origin = Origin::Forwarded(Forwarded {
            source,
            sequence_offset: self.sequence.wrapping_sub(header.sequence),
            timestamp_offset: timestamp.wrapping_sub(header.timestamp),
            first: header.sequence,
            since: 0,
            last: (header.sequence, header.timestamp, now),
        });
        Stamp { sequence: self.sequence, timestamp, marker: true }
    }

    fn follow(&mut self, now: Time, known: Forwarded, header: &RtpHeader, ticks: u32) -> Option<Stamp> {
        // Numbers before the seam are taken already. Later the circle has turned too far to compare.
        if known.since < SEAM_PACKETS && sequence_ahead(header.sequence, known.first) < 0 {
            return None;
        }
        let sequence = header.sequence.wrapping_add(known.sequence_offset);
        let timestamp = header.timestamp.wrapping_add(known.timestamp_offset);
        let newest = sequence_ahead(sequence, self.sequence) > 0;
        if newest {
            self.sequence = sequence;
            self.next_timestamp = timestamp.wrapping_add(ticks);
        }
        let last = if newest { (header.sequence, header.timestamp, now) } else { known.last };
        self.origin = Origin::Forwarded(Forwarded { since: known.since.saturating_add(1), last, ..known });
        Some(Stamp { sequence, timestamp, marker: header.marker })
    }

    /// Counts a packet that was sent.
    pub fn on_sent(&mut self, payload_len: usize) {
        self.packets += 1;
        self.bytes += payload_len as u64;
    }

    /// Our clock; where the stream has run ahead of it (a sender whose clock is fast), the clock is set to the stream.
    fn at_or_after(&mut self, now: Time) -> u32 {
        let clock = self.timestamp_at(now);
        if self.clock.is_none() || ticks_ahead(self.next_timestamp, clock) > 0 {
            self.clock = Some((now, self.next_timestamp));
            return self.next_timestamp;
        }
        clock
    }
}

impl Forwarded {
    /// Whether the sender's numbers and clock go on; a jump of either is a seam like a change of source.
    fn goes_on(&self, now: Time, header: &RtpHeader) -> bool {
        let (sequence, timestamp, at) = self.last;
        let elapsed = (now.since(at).as_micros() * u128::from(SAMPLE_RATE_HZ) / 1_000_000) as i64;
        let clock_error = (ticks_ahead(header.timestamp, timestamp) - elapsed).abs();
        sequence_ahead(header.sequence, sequence).abs() <= LARGEST_JUMP && clock_error < CLOCK_JUMP
    }
}

/// How many packets after a seam earlier ones are still told apart.
const SEAM_PACKETS: u16 = 1_000;
/// A jump of the sequence further than this is a new beginning (RFC 3550 A.1).
const LARGEST_JUMP: i32 = 3_000;
/// The sender's clock against ours between two packets: two seconds apart is no jitter.
const CLOCK_JUMP: i64 = 2 * SAMPLE_RATE_HZ as i64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::from_millis(5_000 + ms)
    }

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload: 12..172 }
    }

    fn stream() -> OutStream {
        OutStream::new(9, 0xFFFF_FFF0_FFFE)
    }

    #[test]
    fn made_sound_is_numbered_evenly_over_the_wrap() {
        let mut stream = stream();
        let stamps: Vec<_> = (0..3).map(|n| stream.stamp_made(ms(20 * n), 160)).collect();
        let first = stamps[0].timestamp;
        assert_eq!(stamps.iter().map(|s| s.sequence).collect::<Vec<_>>(), [0xFFFF, 0, 1]);
        assert!(stamps.iter().enumerate().all(|(n, s)| s.timestamp == first.wrapping_add(160 * n as u32)));
        assert_eq!(stamps.iter().map(|s| s.marker).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn a_change_of_source_is_a_marker_and_no_seam() {
        let mut stream = stream();
        let clip = stream.stamp_made(ms(0), 160);
        let talk = stream.stamp_forwarded(ms(20), 0, &packet(1, 500, 70_000), 160).unwrap();
        let talk2 = stream.stamp_forwarded(ms(40), 0, &packet(1, 501, 70_160), 160).unwrap();
        let music = stream.stamp_made(ms(60), 160);
        let numbers = [clip, talk, talk2, music].map(|s| s.sequence.wrapping_sub(clip.sequence));
        assert_eq!(numbers, [0, 1, 2, 3]);
        let ticks = [clip, talk, talk2, music].map(|s| s.timestamp.wrapping_sub(clip.timestamp));
        assert_eq!(ticks, [0, 160, 320, 480]);
        assert_eq!([clip, talk, talk2, music].map(|s| s.marker), [true, true, false, true]);
    }

    #[test]
    fn loss_and_order_of_the_source_are_passed_on() {
        let mut stream = stream();
        let first = stream.stamp_forwarded(ms(0), 0, &packet(1, 10, 1_000), 160).unwrap();
        let at = |stream: &mut OutStream, n: u16| {
            stream.stamp_forwarded(ms(60), 0, &packet(1, 10 + n, 1_000 + 160 * u32::from(n)), 160).unwrap().sequence
        };
        let numbers = [3, 2, 5].map(|n| at(&mut stream, n).wrapping_sub(first.sequence));
        assert_eq!(numbers, [3, 2, 5]);
        assert_eq!(stream.stamp_forwarded(ms(61), 0, &packet(1, 9, 840), 160), None, "from before the seam");
        assert_eq!(stream.stamp_made(ms(120), 160).sequence.wrapping_sub(first.sequence), 6);
    }

    #[test]
    fn what_is_left_out_on_purpose_is_a_pause_and_no_loss() {
        let mut stream = stream();
        let before = stream.stamp_forwarded(ms(0), 0, &packet(1, 10, 1_000), 160).unwrap();
        stream.leave_out();
        let after = stream.stamp_forwarded(ms(2_000), 0, &packet(1, 110, 17_000), 160).unwrap();
        assert_eq!((after.sequence.wrapping_sub(before.sequence), after.marker), (1, true));
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 16_000);
        assert_eq!(stream.stamp_forwarded(ms(2_001), 0, &packet(1, 109, 16_840), 160), None, "from before the seam");
    }

    #[test]
    fn a_pause_is_a_pause_in_the_timestamps() {
        let mut stream = stream();
        let before = stream.stamp_made(ms(0), 160);
        let after = stream.stamp_forwarded(ms(1_000), 0, &packet(1, 1, 1), 160).unwrap();
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 8_000);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    }

    #[test]
    fn a_jump_of_the_senders_clock_is_a_seam() {
        let mut stream = stream();
        let a = stream.stamp_forwarded(ms(0), 0, &packet(1, 1, 1_000), 160).unwrap();
        let b = stream.stamp_forwarded(ms(20), 0, &packet(1, 2, 900_000), 160).unwrap();
        assert_eq!(
            b,
            Stamp { sequence: a.sequence.wrapping_add(1), timestamp: a.timestamp.wrapping_add(160), marker: true }
        );
    }

    #[test]
    fn a_day_of_forwarding_wraps_without_a_seam() {
        let mut stream = stream();
        let mut last: Option<Stamp> = None;
        for n in 0..24 * 3_600 * 50_u64 {
            // The sender's clock is 100 ppm fast.
            let now = Time::from_micros(5_000_000 + n * 19_998);
            let header =
                packet(1, (n as u16).wrapping_add(60_000), (n as u32).wrapping_mul(160).wrapping_add(0xFFFF_0000));
            let stamp = stream.stamp_forwarded(now, 3, &header, 160).unwrap();
            if let Some(last) = last {
                assert_eq!(stamp.sequence, last.sequence.wrapping_add(1), "packet {n}");
                assert_eq!(stamp.timestamp, last.timestamp.wrapping_add(160), "packet {n}");
                assert!(!stamp.marker, "packet {n}");
            }
            last = Some(stamp);
        }
    }

    #[test]
    fn music_after_a_day_of_a_fast_sender_does_not_go_back_in_time() {
        let mut stream = stream();
        let mut last = stream.stamp_forwarded(ms(0), 0, &packet(1, 0, 0), 160).unwrap();
        for n in 1..100_000_u32 {
            let now = Time::from_micros(5_000_000 + u64::from(n) * 19_990);
            last = stream.stamp_forwarded(now, 0, &packet(1, n as u16, n * 160), 160).unwrap();
        }
        let music = stream.stamp_made(Time::from_micros(5_000_000 + 100_000 * 19_990), 160);
        assert_eq!(music.timestamp, last.timestamp.wrapping_add(160));
    }

    #[test]
    fn a_key_keeps_its_timestamp_while_the_clock_runs_on() {
        let mut stream = stream();
        let audio = stream.stamp_made(ms(0), 160);
        let key = [0, 160, 320].map(|back| stream.stamp_event(ms(20 + u64::from(back) / 8), back, 160, back == 0));
        assert!(key.iter().all(|s| s.timestamp == audio.timestamp.wrapping_add(160)), "{key:?}");
        assert_eq!(stream.stamp_made(ms(80), 160).timestamp, audio.timestamp.wrapping_add(640));
    }
}

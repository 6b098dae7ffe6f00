//! The jitter buffer of one leg, used only where its sound is decoded: packets in at any time, a frame out each 20 ms.
//!
//! | state | pull | then |
//! |---|---|---|
//! | filling | less than the target queued | silence (or comfort noise) |
//! | filling | the target reached | playing |
//! | playing | the next packet is there | decoded |
//! | playing | missing, later ones there | lost: concealed |
//! | playing | nothing there | concealed three times, then filling |
//!
//! The target begins at 40 ms, grows by 20 for each packet that came too late (up to 200), and shrinks when ten seconds
//! pass without one. A queue that stays above the target is shortened by a packet every two seconds, which also absorbs a
//! sender whose clock is fast.

use crate::audio::level::noise_peak;
use crate::audio::plc::Concealer;
use crate::audio::{FRAME_LEN, Frame, SILENCE};
use crate::codec::Codec;
use crate::limits::media::JITTER_PACKETS;
use crate::rtp::sequence_ahead;

/// Holds, orders and decodes what one leg receives.
#[derive(Debug)]
pub(super) struct JitterBuffer {
    slots: [Slot; JITTER_PACKETS],
    /// Packets held.
    held: usize,
    /// The number to be played next, once there was one.
    next: Option<u16>,
    state: State,
    /// Decoded and not yet played; less than a packet.
    decoded: Vec<i16>,
    concealer: Concealer,
    after: After,
    /// Frames without a packet since the last one.
    starved: u32,
    target_samples: usize,
    /// Samples of the last audio packet.
    packet_samples: usize,
    shrink: Shrink,
    noise: u32,
    pub late: u64,
    pub concealed: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    sequence: u16,
    content: Option<Content>,
    payload: Vec<u8>,
}

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Audio(Codec),
    /// A telephone event: its sender is silent meanwhile.
    Event,
    /// Comfort noise at this level below overload, in dB (RFC 3389).
    Noise(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Filling,
    Playing,
}

/// What is heard when nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The sender spoke: make up for a while what is missing.
    Audio,
    Silence,
    /// Noise of this peak.
    Noise(i16),
}

/// Counts pulls, to find out whether the queue could be shorter.
#[derive(Debug)]
struct Shrink {
    pulls: u32,
    least_samples: usize,
    pulls_since_late: u32,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self {
            slots: core::array::from_fn(|_| Slot::default()),
            held: 0,
            next: None,
            state: State::Filling,
            decoded: Vec::new(),
            concealer: Concealer::default(),
            after: After::Silence,
            starved: 0,
            target_samples: LEAST_TARGET,
            packet_samples: FRAME_LEN,
            shrink: Shrink { pulls: 0, least_samples: usize::MAX, pulls_since_late: 0 },
            noise: 1,
            late: 0,
            concealed: 0,
        }
    }
}

impl JitterBuffer {
    /// Takes a packet. Duplicates have been dropped before.
    pub fn insert(&mut self, sequence: u16, content: Content, payload: &[u8]) {
        match self.next.map(|next| sequence_ahead(sequence, next)) {
            Some(behind) if behind < -LATEST => self.restart(),
            Some(behind) if behind < 0 => return self.on_late(),
            Some(ahead) if ahead >= JITTER_PACKETS as i32 => self.restart(),
            _ => {}
        }
        if self.next.is_none() && self.held > 0 && self.spread_with(sequence) >= JITTER_PACKETS as i32 {
            self.restart();
        }
        let slot = &mut self.slots[usize::from(sequence) % JITTER_PACKETS];
        self.held += usize::from(slot.content.is_none());
        slot.sequence = sequence;
        slot.content = Some(content);
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
        if matches!(content, Content::Audio(_)) && !payload.is_empty() {
            self.packet_samples = payload.len();
        }
    }

    /// Forgets what is queued: the sender began a new stream.
    pub fn restart(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.content = None);
        (self.held, self.next, self.state) = (0, None, State::Filling);
        self.decoded.clear();
    }

    /// The next 20 ms.
    pub fn pull(&mut self) -> Frame {
        if self.state == State::Filling && self.queued_samples() >= self.target_samples {
            self.state = State::Playing;
            self.next = self.next.or_else(|| self.lowest());
        }
        if self.state == State::Filling {
            return self.filler();
        }
        self.shorten();
        self.play()
    }

    fn play(&mut self) -> Frame {
        while self.decoded.len() < FRAME_LEN {
            if !self.decode_next() {
                return self.on_missing();
            }
        }
        self.starved = 0;
        let mut frame = SILENCE;
        frame.copy_from_slice(&self.decoded[..FRAME_LEN]);
        self.decoded.drain(..FRAME_LEN);
        self.concealer.on_frame(&mut frame);
        frame
    }

    /// Decodes the next packet, if it is there.
    fn decode_next(&mut self) -> bool {
        let Some(next) = self.next else { return false };
        let slot = &mut self.slots[usize::from(next) % JITTER_PACKETS];
        let Some(content) = slot.content.take_if(|_| slot.sequence == next) else { return false };
        self.held -= 1;
        self.next = Some(next.wrapping_add(1));
        match content {
            Content::Audio(codec) => {
                let begin = self.decoded.len();
                self.decoded.resize(begin + slot.payload.len(), 0);
                codec.decode(&slot.payload, &mut self.decoded[begin..]);
                self.after = After::Audio;
            }
            Content::Event => {
                self.decoded.resize(self.decoded.len() + FRAME_LEN, 0);
                self.after = After::Silence;
            }
            Content::Noise(level) => {
                self.after = After::Noise(noise_peak(-f64::from(level)));
                let frame = self.filler();
                self.decoded.extend_from_slice(&frame);
            }
        }
        true
    }

    /// The next packet is not there: lost if later ones are, otherwise perhaps still on its way.
    fn on_missing(&mut self) -> Frame {
        if self.held > 0 {
            self.next = self.next.map(|next| next.wrapping_add(1));
        } else {
            self.starved += 1;
            if self.starved > STARVED_FRAMES {
                self.state = State::Filling;
            }
        }
        if self.after != After::Audio {
            return self.filler();
        }
        self.concealed += 1;
        let mut frame = self.concealer.conceal();
        // What the last packet left over comes first.
        let left = self.decoded.len().min(FRAME_LEN);
        frame.copy_within(..FRAME_LEN - left, left);
        frame[..left].copy_from_slice(&self.decoded[..left]);
        self.decoded.clear();
        frame
    }

    fn filler(&mut self) -> Frame {
        let After::Noise(peak) = self.after else { return SILENCE };
        core::array::from_fn(|_| {
            // A linear congruence (Numerical Recipes); its upper half is white enough for noise.
            self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = i32::from((self.noise >> 16) as i16);
            (random * i32::from(peak) / 32_768) as i16
        })
    }

    fn on_late(&mut self) {
        self.late += 1;
        self.target_samples = (self.target_samples + FRAME_LEN).min(LARGEST_TARGET);
        self.shrink.pulls_since_late = 0;
    }

    /// Drops a packet where the queue has been too long for two seconds; lowers the target after ten quiet ones.
    fn shorten(&mut self) {
        let queued = self.queued_samples();
        let shrink = &mut self.shrink;
        shrink.least_samples = shrink.least_samples.min(queued);
        shrink.pulls += 1;
        shrink.pulls_since_late += 1;
        if shrink.pulls_since_late >= QUIET_PULLS {
            shrink.pulls_since_late = 0;
            self.target_samples = (self.target_samples - FRAME_LEN).max(LEAST_TARGET);
        }
        if shrink.pulls < SHRINK_PULLS {
            return;
        }
        let too_long = shrink.least_samples > self.target_samples + FRAME_LEN;
        *shrink = Shrink { pulls: 0, least_samples: usize::MAX, ..*shrink };
        if too_long && self.decode_next() {
            self.decoded.drain(..self.decoded.len().min(FRAME_LEN));
        }
    }

    fn queued_samples(&self) -> usize {
        self.decoded.len() + self.held * self.packet_samples
    }

    fn lowest(&self) -> Option<u16> {
        let mut held = self.slots.iter().filter(|slot| slot.content.is_some()).map(|slot| slot.sequence);
        let first = held.next()?;
        Some(held.fold(first, |low, sequence| if sequence_ahead(sequence, low) < 0 { sequence } else { low }))
    }

    /// How far apart the numbers would lie if `sequence` were added before playing begins.
    fn spread_with(&self, sequence: u16) -> i32 {
        let held = self.slots.iter().filter(|slot| slot.content.is_some());
        held.map(|slot| sequence_ahead(sequence, slot.sequence).abs()).max().unwrap_or(0)
    }
}

const LEAST_TARGET: usize = 2 * FRAME_LEN;
const LARGEST_TARGET: usize = 10 * FRAME_LEN;
/// After this many frames without a packet the buffer fills anew: by then the made-up sound has faded out.
const STARVED_FRAMES: u32 = 3;
/// A number further behind than this is a new stream, not a late packet.
const LATEST: i32 = 1_000;
/// Two seconds of pulls.
const SHRINK_PULLS: u32 = 100;
/// Ten seconds of pulls.
const QUIET_PULLS: u32 = 500;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::audio::goertzel::amplitude;
    use crate::audio::level::level_dbov;
    use crate::audio::tone::{sines, sines_at};

    const AUDIO: Content = Content::Audio(Codec::Pcmu);

    /// Packet `n` of a 1 kHz tone of `samples` samples a packet.
    fn tone(n: u16, samples: usize) -> Vec<u8> {
        let pcm: Vec<i16> = (0..samples).map(|i| sines_at(&[1_000], usize::from(n) * samples + i, 8_000.0)).collect();
        let mut payload = vec![0; samples];
        Codec::Pcmu.encode(&pcm, &mut payload);
        payload
    }

    fn is_tone(frame: &Frame) -> bool {
        amplitude(frame, 1_000.0) > 5_000.0
    }

    #[test]
    fn sound_comes_out_whole_after_40_ms() {
        let mut buffer = JitterBuffer::default();
        let mut heard = Vec::new();
        for n in 0..20 {
            buffer.insert(65_530_u16.wrapping_add(n), AUDIO, &tone(n, 160));
            heard.push(buffer.pull());
        }
        assert_eq!(heard[0], SILENCE);
        assert!(heard[1..].iter().all(is_tone));
        let all: Vec<i16> = heard[1..].concat();
        let original = sines(&[1_000], Duration::from_millis(380), 8_000.0);
        assert!(all.iter().zip(&original).all(|(a, b)| (a - b).abs() < 300), "sample for sample, over the wrap");
        assert_eq!((buffer.late, buffer.concealed), (0, 0));
    }

    #[test]
    fn order_does_not_matter_within_the_target() {
        let mut buffer = JitterBuffer::default();
        let mut heard = Vec::new();
        for pair in 0..20 {
            buffer.insert(2 * pair + 1, AUDIO, &tone(2 * pair + 1, 160));
            if pair > 0 {
                heard.push(buffer.pull());
            }
            buffer.insert(2 * pair, AUDIO, &tone(2 * pair, 160));
            heard.push(buffer.pull());
        }
        assert_eq!((buffer.late, buffer.concealed), (0, 0));
        assert!(heard.iter().skip(1).all(is_tone));
    }

    #[test]
    fn a_lost_packet_is_made_up_and_a_late_one_lengthens_the_target() {
        let mut buffer = JitterBuffer::default();
        let mut heard = Vec::new();
        for n in (0..30).filter(|n| *n != 10) {
            buffer.insert(n, AUDIO, &tone(n, 160));
            heard.push(buffer.pull());
        }
        assert_eq!(buffer.concealed, 1);
        assert!(heard[1..].iter().all(is_tone));
        buffer.insert(10, AUDIO, &tone(10, 160));
        assert_eq!((buffer.late, buffer.target_samples), (1, 3 * FRAME_LEN));
    }

    #[test]
    fn silence_follows_when_the_sender_stops_and_sound_returns_when_it_goes_on() {
        let mut buffer = JitterBuffer::default();
        for n in 0..10 {
            buffer.insert(n, AUDIO, &tone(n, 160));
            buffer.pull();
        }
        let gap: Vec<Frame> = (0..10).map(|_| buffer.pull()).collect();
        assert!(is_tone(&gap[0]), "the queue, then the made-up sound");
        assert_eq!(gap[5..], [SILENCE; 5]);
        let after: Vec<bool> = (10..15)
            .map(|n| {
                buffer.insert(n, AUDIO, &tone(n, 160));
                is_tone(&buffer.pull())
            })
            .collect();
        assert_eq!(after, [false, true, true, true, true]);
    }

    #[test]
    fn packets_of_10_30_and_60_ms_make_frames_of_20() {
        for samples in [80, 240, 480] {
            let mut buffer = JitterBuffer::default();
            let (mut sent, mut heard) = (0_u16, Vec::new());
            for ms in (0..2_000).step_by(10) {
                while usize::from(sent) * samples <= ms * 8 {
                    buffer.insert(sent, AUDIO, &tone(sent, samples));
                    sent += 1;
                }
                if ms % 20 == 0 {
                    heard.push(buffer.pull());
                }
            }
            assert!(heard[5..].iter().all(is_tone), "{samples} samples a packet");
            assert_eq!(buffer.concealed, 0, "{samples} samples a packet");
        }
    }

    #[test]
    fn a_fast_sender_does_not_fill_the_buffer() {
        let mut buffer = JitterBuffer::default();
        let mut n = 0;
        for pull in 0..50_000_u32 {
            buffer.insert(n, AUDIO, &tone(n % 8, 160));
            n = n.wrapping_add(1);
            if pull % 2_000 == 1_999 {
                buffer.insert(n, AUDIO, &tone(n % 8, 160));
                n = n.wrapping_add(1);
            }
            buffer.pull();
        }
        assert!(buffer.held <= 5, "{} packets", buffer.held);
        assert_eq!(buffer.late, 0);
    }

    #[test]
    fn keys_are_silence_and_comfort_noise_is_noise() {
        let mut buffer = JitterBuffer::default();
        for n in 0..5 {
            buffer.insert(n, AUDIO, &tone(n, 160));
            buffer.pull();
        }
        buffer.insert(5, Content::Event, &[]);
        buffer.pull();
        assert_eq!(buffer.pull(), SILENCE);
        buffer.insert(6, Content::Noise(40), &[]);
        let levels: Vec<f64> = (0..20).map(|_| level_dbov(&buffer.pull())).collect();
        assert!((levels[19] + 40.0).abs() < 2.0, "{levels:?}");
        assert_eq!(buffer.concealed, 0);
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed() {
        let mut buffer = JitterBuffer::default();
        for n in (0..10).chain(40_000..40_010) {
            buffer.insert(n, AUDIO, &tone(n, 160));
            buffer.pull();
        }
        assert!(is_tone(&buffer.pull()));
        assert_eq!(buffer.late, 0);
    }

    #[test]
    fn whatever_comes_the_buffer_holds_no_more_than_its_packets() {
        let mut buffer = JitterBuffer::default();
        let ahead = u16::try_from(JITTER_PACKETS).unwrap();
        for n in 0..3 * ahead {
            buffer.insert(n, AUDIO, &tone(n % 8, 160));
            assert!(buffer.held <= JITTER_PACKETS, "{} packets", buffer.held);
        }
        buffer.pull();
        // One that is further ahead than there is room begins anew.
        buffer.insert(10 * ahead, AUDIO, &tone(0, 160));
        assert_eq!(buffer.held, 1);
    }
}

//! One frequency's power at a time: finds key tones in audio (ITU-T Q.23, Q.24) and says which tone a test heard.

use core::f64::consts::TAU;

use super::SAMPLE_RATE_HZ;
use super::tone::{COLUMN_HZ, KEYPAD, ROW_HZ};

/// Finds keys in a stream of samples: two blocks of the same key begin it, three without it end it.
///
/// | state | block says | then |
/// |---|---|---|
/// | quiet | key | candidate |
/// | candidate | same key | pressed |
/// | candidate | other or none | candidate of the other, or quiet |
/// | pressed | same key | pressed, longer |
/// | pressed | other or none, third in a row | released: reported |
#[derive(Debug)]
pub struct KeyDetector {
    block: [i16; BLOCK_LEN],
    filled: usize,
    state: State,
}

/// A key found in audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardKey {
    pub key: char,
    /// How long it was heard, to the block of 12.75 ms.
    pub duration_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Quiet,
    Candidate(char),
    Pressed { key: char, blocks: u32, misses: u32 },
}

impl Default for KeyDetector {
    fn default() -> Self {
        Self { block: [0; BLOCK_LEN], filled: 0, state: State::Quiet }
    }
}

impl KeyDetector {
    /// Listens to samples; says a key when it is released. At most one a call for up to 300 samples.
    pub fn listen(&mut self, samples: &[i16]) -> Option<HeardKey> {
        let mut heard = None;
        for &sample in samples {
            self.block[self.filled] = sample;
            self.filled += 1;
            if self.filled == BLOCK_LEN {
                self.filled = 0;
                heard = self.on_block(key_in(&self.block)).or(heard);
            }
        }
        heard
    }

    /// Whether a key is down now.
    pub fn is_pressed(&self) -> bool {
        matches!(self.state, State::Pressed { .. })
    }

    fn on_block(&mut self, found: Option<char>) -> Option<HeardKey> {
        let (next, heard) = match (self.state, found) {
            (State::Quiet, Some(key)) => (State::Candidate(key), None),
            (State::Candidate(key), Some(again)) if key == again => {
                (State::Pressed { key, blocks: HITS_TO_BEGIN, misses: 0 }, None)
            }
            (State::Candidate(_), Some(other)) => (State::Candidate(other), None),
            (State::Quiet | State::Candidate(_), None) => (State::Quiet, None),
            (State::Pressed { key, blocks, misses }, Some(again)) if key == again => {
                (State::Pressed { key, blocks: blocks + 1 + misses, misses: 0 }, None)
            }
            (State::Pressed { key, blocks, misses }, other) if misses + 1 == MISSES_TO_END => {
                let heard = HeardKey { key, duration_ms: blocks * BLOCK_LEN as u32 * 1_000 / SAMPLE_RATE_HZ };
                (other.map_or(State::Quiet, State::Candidate), Some(heard))
            }
            (State::Pressed { key, blocks, misses }, _) => (State::Pressed { key, blocks, misses: misses + 1 }, None),
        };
        self.state = next;
        heard
    }
}

/// Samples of one block: the length at which the eight key frequencies fall nearest to bin centres.
const BLOCK_LEN: usize = 102;
const HITS_TO_BEGIN: u32 = 2;
const MISSES_TO_END: u32 = 3;
/// Weakest tone that counts, as peak amplitude: −30 dBm0 (Q.24 has receivers work from about −25 dBm0).
const WEAKEST: f64 = 720.0;
/// A row may be stronger than its column by 8 dB, a column than its row by 4 dB, as power ratios (Q.24 annex A).
const ROW_OVER_COLUMN: f64 = 6.3;
const COLUMN_OVER_ROW: f64 = 2.5;
/// How far the winner stands out of its group, as a power ratio: 8 dB.
const OVER_THE_REST: f64 = 6.3;
/// The share of all energy that the two tones hold: speech spreads, keys do not.
const SHARE_OF_ALL: f64 = 0.55;

fn key_in(block: &[i16; BLOCK_LEN]) -> Option<char> {
    let total: f64 = block.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / BLOCK_LEN as f64;
    if total < WEAKEST * WEAKEST / 2.0 {
        return None;
    }
    let (row, row_power) = strongest(block, &ROW_HZ)?;
    let (column, column_power) = strongest(block, &COLUMN_HZ)?;
    let twisted = row_power > column_power * ROW_OVER_COLUMN || column_power > row_power * COLUMN_OVER_ROW;
    let drowned = (row_power + column_power) / 2.0 < total * SHARE_OF_ALL;
    if twisted || drowned { None } else { KEYPAD.get(row * 4 + column).copied() }
}

/// The one frequency of a group that stands out, and its squared amplitude.
fn strongest(block: &[i16], group: &[u16; 4]) -> Option<(usize, f64)> {
    let powers = group.map(|hz| amplitude(block, f64::from(hz)).powi(2));
    let (best, &power) = powers.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let stands_out = powers.iter().enumerate().all(|(i, &other)| i == best || other * OVER_THE_REST < power);
    (power > WEAKEST * WEAKEST && stands_out).then_some((best, power))
}

/// Peak amplitude of the sine of `hz` in `samples`, on the `i16` scale; 0 for no samples.
///
/// Exact where the samples hold whole cycles, otherwise good to the leak of one bin (`8000 / len` Hz).
pub fn amplitude(samples: &[i16], hz: f64) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let coefficient = 2.0 * (TAU * hz / f64::from(SAMPLE_RATE_HZ)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        let next = f64::from(sample) + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::audio::tone::{key_frequencies, sines};

    fn press(key: char, ms: u64, peak: f64) -> Vec<i16> {
        let mut samples = sines(&key_frequencies(key).unwrap(), Duration::from_millis(ms), peak);
        samples.resize(samples.len() + 800, 0);
        samples
    }

    fn keys_in(samples: &[i16]) -> Vec<HeardKey> {
        let mut detector = KeyDetector::default();
        samples.chunks(160).filter_map(|frame| detector.listen(frame)).collect()
    }

    #[test]
    fn every_key_is_heard_once_with_its_length() {
        for key in KEYPAD {
            let heard = keys_in(&press(key, 100, 8_000.0));
            assert_eq!(heard.len(), 1, "{key}");
            assert_eq!(heard[0].key, key);
            assert!((75..=115).contains(&heard[0].duration_ms), "{key} {}", heard[0].duration_ms);
        }
    }

    #[test]
    fn the_shortest_and_the_weakest_legal_key_is_heard_at_any_alignment() {
        for offset in 0..BLOCK_LEN {
            let mut samples = vec![0; offset];
            samples.extend(press('5', 40, 1_300.0));
            assert_eq!(keys_in(&samples).iter().map(|h| h.key).collect::<String>(), "5", "offset {offset}");
        }
    }

    #[test]
    fn two_presses_of_one_key_are_two() {
        let mut samples = press('7', 60, 6_000.0);
        samples.extend(press('7', 60, 6_000.0));
        assert_eq!(keys_in(&samples).len(), 2);
    }

    #[test]
    fn single_tones_noise_and_crooked_pairs_are_no_keys() {
        let second = Duration::from_secs(1);
        for hz in [[697, 0], [1_336, 0], [440, 480], [697, 770], [1_000, 1_400]] {
            assert_eq!(keys_in(&sines(&hz, second, 8_000.0)), [], "{hz:?}");
        }
        let mut seed = 1_u32;
        let noise: Vec<i16> = (0..160_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as u16 as i16 / 4
            })
            .collect();
        assert_eq!(keys_in(&noise), []);
        let crooked: Vec<i16> = sines(&[770], second, 12_000.0)
            .iter()
            .zip(sines(&[1_336], second, 3_000.0))
            .map(|(row, column)| row + column)
            .collect();
        assert_eq!(keys_in(&crooked), [], "12 dB of twist");
    }

    #[test]
    fn amplitude_reads_a_sine_and_ignores_another() {
        let samples = sines(&[1_000], Duration::from_millis(100), 5_000.0);
        assert!((amplitude(&samples, 1_000.0) - 5_000.0).abs() < 5.0);
        assert!(amplitude(&samples, 700.0) < 50.0);
        assert_eq!(amplitude(&[], 700.0), 0.0);
    }
}

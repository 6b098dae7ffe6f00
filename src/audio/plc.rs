//! Packet loss concealment for G.711: repeats the last pitch period, fading to silence within 60 ms
//! (after the idea of ITU-T G.711 Appendix I, without its look-ahead: no delay is added).

use super::{FRAME_LEN, Frame};

/// Remembers what was heard, and makes up what was not.
#[derive(Clone, Debug)]
pub struct Concealer {
    history: [i16; HISTORY_LEN],
    /// Samples made up since the last good frame; 0 while frames come.
    made_up: usize,
    /// The pitch period being repeated, in samples.
    lag: usize,
}

impl Default for Concealer {
    fn default() -> Self {
        Self { history: [0; HISTORY_LEN], made_up: 0, lag: LONGEST_LAG }
    }
}

impl Concealer {
    /// Takes a good frame; after a gap its first 4 ms are cross-faded with the made-up sound.
    pub fn on_frame(&mut self, frame: &mut Frame) {
        if self.made_up > 0 {
            let tail = self.continuation();
            for (i, (sample, made_up)) in frame.iter_mut().zip(tail).take(CROSSFADE_LEN).enumerate() {
                let weight = i as i32 + 1;
                let blend = i32::from(*sample) * weight + i32::from(made_up) * (CROSSFADE_LEN as i32 - weight);
                *sample = (blend / CROSSFADE_LEN as i32) as i16;
            }
            self.made_up = 0;
        }
        self.history.copy_within(FRAME_LEN.., 0);
        self.history[HISTORY_LEN - FRAME_LEN..].copy_from_slice(frame);
    }

    /// A frame in place of a missing one.
    pub fn conceal(&mut self) -> Frame {
        if self.made_up == 0 {
            self.lag = pitch_lag(&self.history);
        }
        let frame = self.continuation();
        self.made_up = (self.made_up + FRAME_LEN).min(FADED_OUT_LEN);
        frame
    }

    fn continuation(&self) -> Frame {
        let period = &self.history[HISTORY_LEN - self.lag..];
        core::array::from_fn(|i| {
            let at = self.made_up + i;
            let sample = i32::from(period[at % self.lag]);
            (sample * gain_256(at) / 256) as i16
        })
    }
}

/// Full for 10 ms, then falling in a straight line to nothing at 60 ms. In 1/256.
fn gain_256(at: usize) -> i32 {
    let left = FADED_OUT_LEN.saturating_sub(at).min(FADED_OUT_LEN - FULL_LEN);
    (left * 256 / (FADED_OUT_LEN - FULL_LEN)) as i32
}

/// The lag at which the last 20 ms resemble what came before them most.
fn pitch_lag(history: &[i16; HISTORY_LEN]) -> usize {
    let recent = &history[HISTORY_LEN - FRAME_LEN..];
    let mut best = (0.0, LONGEST_LAG);
    for lag in SHORTEST_LAG..=LONGEST_LAG {
        let earlier = &history[HISTORY_LEN - FRAME_LEN - lag..HISTORY_LEN - lag];
        let (mut product, mut energy) = (0_i64, 1_i64);
        for (&a, &b) in recent.iter().zip(earlier) {
            product += i64::from(a) * i64::from(b);
            energy += i64::from(b) * i64::from(b);
        }
        let likeness = product as f64 / (energy as f64).sqrt();
        if likeness > best.0 {
            best = (likeness, lag);
        }
    }
    best.1
}

/// 40 ms: a frame and the longest lag before it.
const HISTORY_LEN: usize = 320;
/// 5 ms: 200 Hz. Higher voices repeat several periods.
const SHORTEST_LAG: usize = 40;
/// 15 ms: 67 Hz.
const LONGEST_LAG: usize = 120;
const CROSSFADE_LEN: usize = 32;
const FULL_LEN: usize = 80;
const FADED_OUT_LEN: usize = 480;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::audio::goertzel::amplitude;
    use crate::audio::level::level_dbov;
    use crate::audio::tone::sines;

    fn after_a_tone(hz: u16) -> Concealer {
        let mut concealer = Concealer::default();
        for frame in sines(&[hz], Duration::from_millis(100), 8_000.0).as_chunks::<FRAME_LEN>().0 {
            concealer.on_frame(&mut frame.clone());
        }
        concealer
    }

    #[test]
    fn a_lost_frame_sounds_on_at_its_pitch() {
        for hz in [150, 200, 440, 1_000] {
            let made_up = after_a_tone(hz).conceal();
            assert!(amplitude(&made_up, f64::from(hz)) > 6_000.0, "{hz} Hz");
        }
    }

    #[test]
    fn a_long_gap_fades_to_silence_within_60_ms() {
        let mut concealer = after_a_tone(440);
        let levels: Vec<f64> = (0..5).map(|_| level_dbov(&concealer.conceal())).collect();
        assert!(levels[0] > levels[1] && levels[1] > levels[2], "{levels:?}");
        assert_eq!(&levels[3..], &[-127.0, -127.0]);
    }

    #[test]
    fn the_return_of_sound_does_not_click() {
        let tone = sines(&[200], Duration::from_millis(200), 8_000.0);
        let mut concealer = after_a_tone(200);
        let made_up = concealer.conceal();
        let mut back: Frame = tone[960..1_120].try_into().unwrap();
        concealer.on_frame(&mut back);
        let step = (i32::from(back[0]) - i32::from(made_up[FRAME_LEN - 1])).abs();
        assert!(step < 2_500, "a step of {step}");
        assert_eq!(back[CROSSFADE_LEN..], tone[960 + CROSSFADE_LEN..1_120]);
    }
}

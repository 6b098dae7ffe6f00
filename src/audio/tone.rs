//! Call-progress tones and key tones, made to the plan of the country the caller is in.
//!
//! Frequencies and cadences: ITU-T E.180 Supplement 2 ("Various tones used in national networks"); key tones:
//! ITU-T Q.23. A tone is a [`Clip`] of one whole cadence period, to be played in a loop.

use core::f64::consts::TAU;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::SAMPLE_RATE_HZ;
use super::clip::Clip;

/// What a tone tells the one who hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Dial now.
    Dial,
    /// The far phone rings.
    Ringback,
    /// The far phone is engaged.
    Busy,
    /// The network is full, or the number cannot be reached.
    Congestion,
    /// Speak after this (voicemail), or: you are recorded. 0.4 s of 1400 Hz, then silence to the full second.
    Beep,
}

/// The national tone plans we know; [`TonePlan::of_country`] maps a country calling code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TonePlan {
    China,
    NorthAmerica,
    UnitedKingdom,
    Germany,
    France,
    Japan,
    India,
    Australia,
    /// 425 Hz, as ITU-T E.180 recommends and most of Europe does.
    #[default]
    International,
}

impl TonePlan {
    /// The plan of a country calling code without its `+` (`86`, `1`, `44`); unknown ones get the international plan.
    pub fn of_country(code: &str) -> Self {
        match code {
            "86" => Self::China,
            "1" => Self::NorthAmerica,
            "44" => Self::UnitedKingdom,
            "49" => Self::Germany,
            "33" => Self::France,
            "81" => Self::Japan,
            "91" => Self::India,
            "61" => Self::Australia,
            _ => Self::International,
        }
    }

    /// One cadence period of a tone.
    pub fn cadence(self, tone: Tone) -> Cadence {
        if tone == Tone::Beep {
            return Cadence { hz: [1_400, 0], on_off_ms: &[400, 600] };
        }
        let (hz, on_off_ms): ([u16; 2], &'static [u16]) = match (self, tone) {
            (Self::China, Tone::Ringback) => ([450, 0], &[1_000, 4_000]),
            (Self::China, Tone::Busy) => ([450, 0], &[350, 350]),
            (Self::China, Tone::Congestion) => ([450, 0], &[700, 700]),
            (Self::China, _) => ([450, 0], STEADY),
            (Self::NorthAmerica, Tone::Ringback) => ([440, 480], &[2_000, 4_000]),
            (Self::NorthAmerica, Tone::Busy) => ([480, 620], &[500, 500]),
            (Self::NorthAmerica, Tone::Congestion) => ([480, 620], &[250, 250]),
            (Self::NorthAmerica, _) => ([350, 440], STEADY),
            (Self::UnitedKingdom, Tone::Ringback) => ([400, 450], &[400, 200, 400, 2_000]),
            (Self::UnitedKingdom, Tone::Busy) => ([400, 0], &[375, 375]),
            (Self::UnitedKingdom, Tone::Congestion) => ([400, 0], &[400, 350, 225, 525]),
            (Self::UnitedKingdom, _) => ([350, 440], STEADY),
            (Self::Germany, Tone::Ringback) => ([425, 0], &[1_000, 4_000]),
            (Self::Germany, Tone::Busy) => ([425, 0], &[480, 480]),
            (Self::Germany, Tone::Congestion) => ([425, 0], &[240, 240]),
            (Self::Germany, _) => ([425, 0], STEADY),
            (Self::France, Tone::Ringback) => ([440, 0], &[1_500, 3_500]),
            (Self::France, Tone::Busy) => ([440, 0], &[500, 500]),
            (Self::France, Tone::Congestion) => ([440, 0], &[250, 250]),
            (Self::France, _) => ([440, 0], STEADY),
            (Self::Japan, Tone::Ringback) => ([385, 415], &[1_000, 2_000]),
            (Self::Japan, Tone::Busy | Tone::Congestion) => ([400, 0], &[500, 500]),
            (Self::Japan, _) => ([400, 0], STEADY),
            (Self::India, Tone::Ringback) => ([375, 425], &[400, 200, 400, 2_000]),
            (Self::India, Tone::Busy) => ([400, 0], &[750, 750]),
            (Self::India, Tone::Congestion) => ([400, 0], &[250, 250]),
            (Self::India, _) => ([375, 425], STEADY),
            (Self::Australia, Tone::Ringback) => ([400, 450], &[400, 200, 400, 2_000]),
            (Self::Australia, Tone::Busy) => ([425, 0], &[375, 375]),
            (Self::Australia, Tone::Congestion) => ([425, 0], &[375, 375]),
            (Self::Australia, _) => ([400, 450], STEADY),
            (Self::International, Tone::Ringback) => ([425, 0], &[1_000, 4_000]),
            (Self::International, Tone::Busy) => ([425, 0], &[500, 500]),
            (Self::International, Tone::Congestion) => ([425, 0], &[200, 200]),
            (Self::International, _) => ([425, 0], STEADY),
        };
        Cadence { hz, on_off_ms }
    }

    /// One cadence period as a clip, to be looped.
    pub fn clip(self, tone: Tone) -> Clip {
        Clip::from_samples(format!("tone {tone:?} {self:?}"), self.cadence(tone).samples())
    }
}

/// A tone that does not break: one second of it, which every whole-hertz tone fills with whole cycles.
const STEADY: &[u16] = &[1_000];

/// One period of a tone: one or two frequencies, alternately on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Hertz; the second is 0 where the tone is single.
    pub hz: [u16; 2],
    /// Milliseconds on, off, on, off …
    pub on_off_ms: &'static [u16],
}

impl Cadence {
    /// The period as samples.
    pub fn samples(&self) -> Vec<i16> {
        let mut samples = Vec::new();
        for (index, &ms) in self.on_off_ms.iter().enumerate() {
            let span = Duration::from_millis(u64::from(ms));
            match index % 2 {
                0 => samples.extend(sines(&self.hz, span, PROGRESS_AMPLITUDE)),
                _ => samples.resize(samples.len() + samples_in(span), 0),
            }
        }
        samples
    }

    /// How long the period lasts.
    pub fn period(&self) -> Duration {
        Duration::from_millis(self.on_off_ms.iter().map(|&ms| u64::from(ms)).sum())
    }
}

/// Peak of one frequency of a call-progress tone: about −13 dBm0 each, the middle of what E.180 allows.
const PROGRESS_AMPLITUDE: f64 = 7_000.0;
/// Peak of one frequency of a key tone: about −9 dBm0 each (Q.24 asks receivers to take −3 to −25).
pub const KEY_AMPLITUDE: f64 = 8_000.0;

/// The two frequencies of a key, in hertz: row, then column (ITU-T Q.23). `None` for what is no key.
pub fn key_frequencies(key: char) -> Option<[u16; 2]> {
    let at = KEYPAD.iter().position(|&k| k == key.to_ascii_uppercase())?;
    Some([ROW_HZ[at / 4], COLUMN_HZ[at % 4]])
}

/// The keypad, row by row.
pub const KEYPAD: [char; 16] = ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];
/// Row frequencies in hertz (Q.23).
pub const ROW_HZ: [u16; 4] = [697, 770, 852, 941];
/// Column frequencies in hertz (Q.23).
pub const COLUMN_HZ: [u16; 4] = [1_209, 1_336, 1_477, 1_633];

/// A sum of sines from phase zero; a frequency of 0 adds nothing. `amplitude` is each sine's peak on the `i16` scale.
pub fn sines(hz: &[u16], span: Duration, amplitude: f64) -> Vec<i16> {
    (0..samples_in(span)).map(|n| sines_at(hz, n, amplitude)).collect()
}

/// Sample `n` of a sum of sines from phase zero.
pub fn sines_at(hz: &[u16], n: usize, amplitude: f64) -> i16 {
    let seconds = n as f64 / f64::from(SAMPLE_RATE_HZ);
    let sum: f64 = hz.iter().map(|&f| (TAU * f64::from(f) * seconds).sin()).sum();
    // `as` saturates, which is what a loudspeaker does too.
    (sum * amplitude).round() as i16
}

fn samples_in(span: Duration) -> usize {
    (span.as_secs_f64() * f64::from(SAMPLE_RATE_HZ)).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::amplitude;
    use crate::audio::level::{SILENCE_DBOV, level_dbov};

    const PLANS: [TonePlan; 9] = [
        TonePlan::China,
        TonePlan::NorthAmerica,
        TonePlan::UnitedKingdom,
        TonePlan::Germany,
        TonePlan::France,
        TonePlan::Japan,
        TonePlan::India,
        TonePlan::Australia,
        TonePlan::International,
    ];

    #[test]
    fn chinese_ringback_is_one_second_of_450_hz_in_five() {
        let clip = TonePlan::of_country("86").clip(Tone::Ringback);
        assert_eq!(clip.duration(), Duration::from_secs(5));
        assert!(amplitude(&clip.samples()[..8_000], 450.0) > 6_900.0);
        assert_eq!(level_dbov(&clip.samples()[8_000..]), SILENCE_DBOV);
    }

    #[test]
    fn american_busy_is_480_and_620_hz_at_sixty_a_minute() {
        let clip = TonePlan::of_country("1").clip(Tone::Busy);
        assert_eq!(clip.duration(), Duration::from_secs(1));
        assert!(amplitude(&clip.samples()[..4_000], 480.0) > 6_900.0);
        assert!(amplitude(&clip.samples()[..4_000], 620.0) > 6_900.0);
        assert_eq!(level_dbov(&clip.samples()[4_000..]), SILENCE_DBOV);
    }

    #[test]
    fn every_tone_of_every_plan_sounds_at_a_decent_level() {
        for plan in PLANS {
            for tone in [Tone::Dial, Tone::Ringback, Tone::Busy, Tone::Congestion, Tone::Beep] {
                let (clip, cadence) = (plan.clip(tone), plan.cadence(tone));
                assert_eq!(clip.duration(), cadence.period(), "{plan:?} {tone:?}");
                let on = usize::from(cadence.on_off_ms[0]) * 8;
                let level = level_dbov(&clip.samples()[..on]);
                assert!((-18.0..=-9.0).contains(&level), "{plan:?} {tone:?} {level}");
            }
        }
    }

    #[test]
    fn an_unknown_country_gets_425_hz() {
        assert_eq!(TonePlan::of_country("999").cadence(Tone::Busy).hz, [425, 0]);
    }

    #[test]
    fn keys_have_a_row_and_a_column() {
        assert_eq!(key_frequencies('5'), Some([770, 1_336]));
        assert_eq!(key_frequencies('d'), Some([941, 1_633]));
        assert_eq!(key_frequencies('x'), None);
    }
}

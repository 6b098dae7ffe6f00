//! What a simulated party hears: which of the known tones stands out, and when a prompt has come to its end.
//!
//! Every party speaks one steady tone, a multiple of 25 Hz: two frames (40 ms) hold whole cycles of each, so one
//! bank of Goertzel filters tells them apart without leaking. Agents have the lower half of the band, callers the
//! upper: a caller that hears an agent's tone has been served. Cost: 101 filters × 320 samples every 40 ms, under
//! a million steps a second a leg.

use crate::audio::{FRAME_LEN, goertzel};

/// A party's tone in hertz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToneHz(pub u16);

impl ToneHz {
    /// The tone of the agent with that number; 51 different ones, then again from the first.
    pub fn of_agent(number: u32) -> Self {
        Self::nth(number % 51)
    }

    /// The tone of the caller with that number; 50 different ones, then again from the first.
    pub fn of_caller(number: u32) -> Self {
        Self::nth(51 + number % 50)
    }

    /// Does an agent speak so?
    pub fn is_agent(self) -> bool {
        self < Self::nth(51)
    }

    fn nth(n: u32) -> Self {
        Self(500 + 25 * u16::try_from(n).unwrap_or(0))
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..101).map(Self::nth)
    }
}

/// Something newly heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Another tone than before, for at least 120 ms.
    Tone(ToneHz),
    /// At least 300 ms of sound other than a party's tone, then 300 ms of silence.
    PromptEnded,
}

/// Listens frame by frame.
#[derive(Debug)]
pub struct Ear {
    window: [i16; WINDOW],
    filled: usize,
    /// The tone of the last windows, and how many in a row had it.
    candidate: Option<ToneHz>,
    in_a_row: u32,
    current: Option<ToneHz>,
    sound_windows: u32,
    silent_windows: u32,
}

const WINDOW: usize = 2 * FRAME_LEN;
/// Windows that a tone must last to count.
const TONE_WINDOWS: u32 = 3;
/// 320 ms in windows of 40 ms.
const PROMPT_WINDOWS: u32 = 8;
/// Mean square below which a window is silence: an amplitude of about 64 of 32,768.
const SILENCE_POWER: f64 = 2_048.0;
/// Share of the power that a single tone must hold.
const TONE_SHARE: f64 = 0.8;

impl Default for Ear {
    fn default() -> Self {
        Self {
            window: [0; WINDOW],
            filled: 0,
            candidate: None,
            in_a_row: 0,
            current: None,
            sound_windows: 0,
            silent_windows: 0,
        }
    }
}

impl Ear {
    /// Listens to samples; tells what is new at the end of a window.
    pub fn listen(&mut self, samples: &[i16]) -> Option<Heard> {
        let mut heard = None;
        for sample in samples {
            if let Some(place) = self.window.get_mut(self.filled) {
                *place = *sample;
            }
            self.filled += 1;
            if self.filled == WINDOW {
                self.filled = 0;
                heard = self.on_window().or(heard);
            }
        }
        heard
    }

    /// The tone heard now, if any.
    pub fn tone(&self) -> Option<ToneHz> {
        self.current
    }

    fn on_window(&mut self) -> Option<Heard> {
        let power = self.window.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / WINDOW as f64;
        if power < SILENCE_POWER {
            return self.on_silence();
        }
        let tone = dominant(&self.window, power);
        self.silent_windows = 0;
        self.sound_windows = if tone.is_some() { 0 } else { self.sound_windows.saturating_add(1) };
        self.in_a_row = if tone == self.candidate { self.in_a_row.saturating_add(1) } else { 1 };
        self.candidate = tone;
        if self.in_a_row < TONE_WINDOWS || tone == self.current {
            return None;
        }
        self.current = tone;
        tone.map(Heard::Tone)
    }

    fn on_silence(&mut self) -> Option<Heard> {
        (self.candidate, self.in_a_row) = (None, 0);
        self.silent_windows = self.silent_windows.saturating_add(1);
        if self.silent_windows < PROMPT_WINDOWS {
            return None;
        }
        self.current = None;
        let prompt = core::mem::take(&mut self.sound_windows) >= PROMPT_WINDOWS;
        prompt.then_some(Heard::PromptEnded)
    }
}

/// The known tone that holds most of the power, where one does.
fn dominant(window: &[i16], power: f64) -> Option<ToneHz> {
    let strength = |tone: ToneHz| (goertzel::amplitude(window, f64::from(tone.0)), tone);
    let (amplitude, tone) = ToneHz::all().map(strength).max_by(|a, b| a.0.total_cmp(&b.0))?;
    // A sine of that peak has half its square as mean power.
    (amplitude * amplitude / 2.0 >= TONE_SHARE * power).then_some(tone)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::audio::g711;
    use crate::audio::tone::sines;

    /// Through the wire's codec, as it will be heard.
    fn heard_of(hz: &[u16], span: Duration) -> Vec<i16> {
        let samples = sines(hz, span, 6_000.0);
        let mut bytes = vec![0; samples.len()];
        g711::encode_ulaw(&samples, &mut bytes);
        let mut back = vec![0; samples.len()];
        g711::decode_ulaw(&bytes, &mut back);
        back
    }

    fn listen(ear: &mut Ear, samples: &[i16]) -> Vec<Heard> {
        samples.chunks(FRAME_LEN).filter_map(|frame| ear.listen(frame)).collect()
    }

    #[test]
    fn each_partys_tone_is_told_from_every_other() {
        for tone in ToneHz::all() {
            let mut ear = Ear::default();
            let heard = listen(&mut ear, &heard_of(&[tone.0], Duration::from_millis(400)));
            assert_eq!(heard, [Heard::Tone(tone)]);
        }
        assert!(ToneHz::of_agent(50).is_agent() && !ToneHz::of_caller(0).is_agent());
        assert_eq!(ToneHz::of_agent(51), ToneHz::of_agent(0));
    }

    #[test]
    fn two_parties_at_once_are_no_single_tone() {
        let mut ear = Ear::default();
        assert_eq!(listen(&mut ear, &heard_of(&[600, 2_000], Duration::from_millis(400))), []);
    }

    #[test]
    fn a_prompt_ends_when_silence_follows_it_and_a_key_click_is_no_prompt() {
        let mut ear = Ear::default();
        let (prompt, quiet) = (heard_of(&[610, 1_130], Duration::from_secs(1)), vec![0_i16; 8_000]);
        assert_eq!(listen(&mut ear, &[prompt.clone(), quiet.clone()].concat()), [Heard::PromptEnded]);
        let click = heard_of(&[610, 1_130], Duration::from_millis(80));
        assert_eq!(listen(&mut ear, &[click, quiet].concat()), []);
    }

    #[test]
    fn the_same_tone_after_silence_is_heard_anew() {
        let mut ear = Ear::default();
        let (tone, quiet) = (heard_of(&[500], Duration::from_millis(400)), vec![0_i16; 8_000]);
        let heard = listen(&mut ear, &[tone.clone(), quiet, tone].concat());
        assert_eq!(heard, [Heard::Tone(ToneHz(500)); 2]);
        assert_eq!(ear.tone(), Some(ToneHz(500)));
    }
}

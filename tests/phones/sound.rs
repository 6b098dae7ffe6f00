//! What was heard: a sound as runs of tones. Every party has its own, so a tone says who was bridged to whom.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use strowger::audio::goertzel::amplitude;
use strowger::audio::tone::{KEY_AMPLITUDE, sines};
use strowger::audio::wav::{RecordingWriter, read_recording};

/// Samples a second, everywhere here.
pub const RATE: usize = 8_000;

/// Tones of the parties and of the centre, in Hz; all are apart by more than a window resolves.
pub mod tone {
    pub const MUSIC: u16 = 330;
    pub const WELCOME: u16 = 390;
    pub const CALLER: u16 = 600;
    pub const SECOND_CALLER: u16 = 680;
    pub const THIRD_CALLER: u16 = 760;
    pub const ALICE: u16 = 1_000;
    pub const BOB: u16 = 1_150;
    pub const CAROL: u16 = 1_300;
    pub const YOU_ARE_NEXT: u16 = 1_900;
    pub const YOU_ARE_NUMBER: u16 = 2_100;
    pub const TWO: u16 = 2_300;
    pub const IN_LINE: u16 = 2_500;

    pub const ALL: [u16; 12] = [
        MUSIC,
        WELCOME,
        CALLER,
        SECOND_CALLER,
        THIRD_CALLER,
        ALICE,
        BOB,
        CAROL,
        YOU_ARE_NEXT,
        YOU_ARE_NUMBER,
        TWO,
        IN_LINE,
    ];
}

/// 50 ms: a resolution of 20 Hz.
const WINDOW: usize = RATE / 20;
/// A tone is heard where it is louder than this; a sine of a client is at about 8000.
const AUDIBLE: f64 = 400.0;

/// One channel of sound.
#[derive(Clone)]
pub struct Sound {
    samples: Vec<i16>,
}

/// A stretch of one tone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    pub hz: u16,
    /// Seconds from the beginning.
    pub from: f64,
    pub to: f64,
}

impl Sound {
    pub fn new(samples: Vec<i16>) -> Self {
        Self { samples }
    }

    /// The channels of a WAV file.
    pub fn read(path: &Path) -> Vec<Self> {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (samples, channels) = read_recording(BufReader::new(file))
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        let channel = |at: usize| samples.iter().skip(at).step_by(usize::from(channels)).copied().collect();
        (0..usize::from(channels)).map(|at| Self::new(channel(at))).collect()
    }

    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / RATE as f64
    }

    /// How long a tone is heard altogether, in seconds.
    pub fn of(&self, hz: u16) -> f64 {
        self.runs().iter().filter(|run| run.hz == hz).map(|run| run.to - run.from).sum()
    }

    /// The tones in the order they are heard, each as often as it begins anew; blips under 150 ms are left out.
    pub fn order(&self) -> Vec<u16> {
        let mut order: Vec<u16> =
            self.runs().iter().filter(|run| run.to - run.from >= 0.15).map(|run| run.hz).collect();
        order.dedup();
        order
    }

    /// The loudest known tone of each window, joined to runs; silence and noise make none.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, window) in self.samples.chunks_exact(WINDOW).enumerate() {
            let heard = tone::ALL.map(|hz| (hz, amplitude(window, f64::from(hz))));
            let (hz, loud) = heard.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are tones");
            if loud < AUDIBLE {
                continue;
            }
            let (from, to) = (at as f64 * 0.05, (at + 1) as f64 * 0.05);
            match runs.last_mut() {
                Some(run) if run.hz == hz && from - run.to < 0.075 => run.to = to,
                _ => runs.push(Run { hz, from, to }),
            }
        }
        runs
    }
}

/// Writes a tone as a mono WAV.
pub fn write_tone(path: &Path, hz: u16, seconds: f32) {
    std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the test's folder takes a folder");
    let samples = sines(&[hz], std::time::Duration::from_secs_f32(seconds), KEY_AMPLITUDE);
    let file = File::create(path).expect("the test's folder takes a file");
    let mut writer = RecordingWriter::new(file, 1).expect("one channel can be written");
    for second in samples.chunks(RATE) {
        writer.write(second).expect("the disk takes a tone");
    }
    writer.finish().expect("the disk takes a tone");
}

#[test]
fn tones_in_a_row_are_told_apart_and_silence_is_none() {
    let tone = |hz| sines(&[hz], std::time::Duration::from_millis(500), 8_000.0);
    let samples = [tone(tone::ALICE), vec![0; 4_000], tone(tone::BOB)].concat();
    let sound = Sound::new(samples);
    assert_eq!(sound.order(), [tone::ALICE, tone::BOB]);
    assert!((sound.of(tone::ALICE) - 0.5).abs() < 0.06 && sound.of(tone::CAROL) == 0.0);
}

//! A recording in the engine: two rows of the hear matrix, made into batches for the disk.
//!
//! The engine never waits for a disk: it hands over batches of 200 ms, and what becomes of them is the shell's.

use core::time::Duration;
use std::path::PathBuf;

use super::command::{Layout, RecordingPlan, Track};
use crate::audio::level::level_dbov;
use crate::audio::mix::Mix;
use crate::audio::{Frame, SILENCE};
use crate::ids::RecordingId;

/// What to do with a recording file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingWrite {
    /// Make the file: 8 kHz, 16 bits, this many channels.
    Begin { recording: RecordingId, path: PathBuf, channels: u16 },
    /// Append samples, left and right alternating where there are two channels.
    Samples { recording: RecordingId, interleaved: Vec<i16> },
    /// Complete the file and report it.
    End { recording: RecordingId },
    /// Remove a file that was completed.
    Remove { path: PathBuf },
}

/// One running recording.
#[derive(Debug)]
pub(super) struct Recorder {
    pub recording: RecordingId,
    /// The slots heard on the left.
    pub left: u64,
    /// The slots heard on the right.
    pub right: u64,
    pub masked: bool,
    layout: Layout,
    batch: Vec<i16>,
    frames: usize,
    hush: Hush,
}

/// Listens for the end of speech.
#[derive(Debug)]
struct Hush {
    /// Phases of silence to be reported; `None` once that is done, or where nobody asked.
    after: Option<u64>,
    quiet: u64,
    spoken: bool,
}

impl Hush {
    /// True at the phase at which it has been quiet for long enough.
    fn on_phase(&mut self, frame: &Frame) -> bool {
        let Some(after) = self.after else { return false };
        let loud = level_dbov(frame) > SPEECH_DBOV;
        self.spoken |= loud;
        self.quiet = if loud { 0 } else { self.quiet + 1 };
        let over = self.quiet >= after;
        if over {
            self.after = None;
        }
        over
    }
}

impl Recorder {
    pub fn new(plan: &RecordingPlan) -> (Self, RecordingWrite) {
        let channels = channels(plan.layout);
        let begin = RecordingWrite::Begin { recording: plan.recording, path: plan.path.clone(), channels };
        let recorder = Self {
            recording: plan.recording,
            left: 0,
            right: 0,
            masked: false,
            layout: plan.layout,
            batch: Vec::new(),
            frames: 0,
            hush: Hush { after: plan.silence.map(phases), quiet: 0, spoken: false },
        };
        (recorder, begin)
    }

    /// Puts a slot on a track, or takes it off both.
    pub fn set_track(&mut self, slot: usize, track: Option<Track>) {
        let bit = 1_u64 << slot;
        self.left &= !bit;
        self.right &= !bit;
        match track {
            Some(Track::Left) => self.left |= bit,
            Some(Track::Right) => self.right |= bit,
            None => {}
        }
    }

    /// The slots it hears.
    pub fn hears(&self) -> u64 {
        self.left | self.right
    }

    /// Records 20 ms: `frame_of` gives what a slot says. A full batch comes back, and with it, at the phase at which
    /// nobody has spoken for the plan's span, whether anybody had before.
    pub fn on_phase<'a>(
        &mut self,
        mut frame_of: impl FnMut(usize) -> Option<&'a Frame>,
    ) -> (Option<RecordingWrite>, Option<bool>) {
        let mut track = |slots: u64| -> Frame {
            let mut mix = Mix::default();
            (0..64).filter(|slot| slots >> slot & 1 != 0).filter_map(&mut frame_of).for_each(|frame| mix.add(frame));
            mix.frame()
        };
        let mut hushed = false;
        match (self.masked, self.layout) {
            (true, layout) => (0..channels(layout)).for_each(|_| self.batch.extend_from_slice(&SILENCE)),
            (false, Layout::Mono) => {
                let both = track(self.left | self.right);
                hushed = self.hush.on_phase(&both);
                self.batch.extend_from_slice(&both);
            }
            (false, Layout::Stereo) => {
                let (left, right) = (track(self.left), track(self.right));
                hushed = self.hush.on_phase(&left);
                self.batch.extend(left.iter().zip(&right).flat_map(|(&l, &r)| [l, r]));
            }
        }
        self.frames += 1;
        let batch = (self.frames >= FRAMES_PER_BATCH).then(|| self.take_batch());
        (batch, hushed.then_some(self.hush.spoken))
    }

    /// What remains, and the end.
    pub fn finish(mut self) -> [RecordingWrite; 2] {
        let recording = self.recording;
        [self.take_batch(), RecordingWrite::End { recording }]
    }

    fn take_batch(&mut self) -> RecordingWrite {
        self.frames = 0;
        RecordingWrite::Samples { recording: self.recording, interleaved: core::mem::take(&mut self.batch) }
    }
}

const fn channels(layout: Layout) -> u16 {
    match layout {
        Layout::Stereo => 2,
        Layout::Mono => 1,
    }
}

/// 20 ms each, rounded up.
fn phases(span: Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(20)).unwrap_or(u64::MAX).max(1)
}

/// Louder than this is speech: a quiet talker is at -35 dBov, a telephone line at rest below -55.
const SPEECH_DBOV: f64 = -45.0;

/// 200 ms: with the writer's flush every half second, a kill costs less than a second.
const FRAMES_PER_BATCH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_LEN;
    use crate::media::command::RoomId;

    fn recorder(layout: Layout) -> Recorder {
        let plan = RecordingPlan {
            room: RoomId(1),
            recording: RecordingId::from_u128(1),
            path: PathBuf::from("a.wav"),
            layout,
            left: vec![],
            right: vec![],
            silence: Some(Duration::from_millis(100)),
        };
        Recorder::new(&plan).0
    }

    /// The first sample of each channel after one batch in which slot `n` says `voices[n]` throughout.
    fn first_samples(recorder: &mut Recorder, voices: &[i16]) -> Vec<i16> {
        let frames: Vec<Frame> = voices.iter().map(|&v| [v; FRAME_LEN]).collect();
        let batch = (0..10).find_map(|_| recorder.on_phase(|slot| frames.get(slot)).0);
        let Some(RecordingWrite::Samples { interleaved, .. }) = batch else { panic!("{batch:?}") };
        let channels = interleaved.len() / (10 * FRAME_LEN);
        assert!(interleaved.chunks(channels).all(|samples| samples == &interleaved[..channels]));
        interleaved[..channels].to_vec()
    }

    #[test]
    fn each_side_has_its_channel_and_conferences_add_up() {
        let mut recorder = recorder(Layout::Stereo);
        recorder.set_track(0, Some(Track::Left));
        recorder.set_track(1, Some(Track::Right));
        assert_eq!(first_samples(&mut recorder, &[100, 30, 7]), [100, 30]);
        recorder.set_track(2, Some(Track::Right));
        assert_eq!(first_samples(&mut recorder, &[100, 30, 7]), [100, 37]);
        recorder.set_track(1, None);
        assert_eq!(first_samples(&mut recorder, &[100, 30, 7]), [100, 7]);
        recorder.masked = true;
        assert_eq!(first_samples(&mut recorder, &[100, 30, 7]), [0, 0]);
    }

    #[test]
    fn voicemail_is_one_channel() {
        let mut recorder = recorder(Layout::Mono);
        recorder.set_track(0, Some(Track::Left));
        assert_eq!(first_samples(&mut recorder, &[100]), [100]);
    }

    #[test]
    fn the_end_of_speech_is_told_once_and_whether_there_was_any() {
        let hushes = |voice: &[i16]| -> Vec<(usize, bool)> {
            let mut recorder = recorder(Layout::Mono);
            recorder.set_track(0, Some(Track::Left));
            let frames: Vec<Frame> = voice.iter().map(|&v| [v; FRAME_LEN]).collect();
            frames
                .iter()
                .enumerate()
                .filter_map(|(at, frame)| Some((at, recorder.on_phase(|_| Some(frame)).1?)))
                .collect()
        };
        assert_eq!(hushes(&[0; 12]), [(4, false)], "100 ms are five phases, and it is said once");
        assert_eq!(hushes(&[3_000, 0, 0, 0, 0, 3_000, 9, 9, 9, 9, 9, 9]), [(10, true)], "a breath is no end");
        assert_eq!(hushes(&[3_000; 12]), []);
    }

    #[test]
    fn the_end_brings_what_is_left() {
        let mut recorder = recorder(Layout::Mono);
        assert_eq!(recorder.on_phase(|_| None), (None, None));
        let [last, end] = recorder.finish();
        assert!(matches!(last, RecordingWrite::Samples { interleaved, .. } if interleaved.len() == FRAME_LEN));
        assert!(matches!(end, RecordingWrite::End { .. }));
    }
}

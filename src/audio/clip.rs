//! A clip: sound read once and kept ready for every codec, so that a thousand callers hear it at the cost of a copy.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::{FRAME_LEN, Frame, SAMPLE_RATE_HZ, SILENCE};
use crate::codec::Codec;

/// Immutable 8 kHz mono sound with its G.711 forms. Shared by `Arc`: four bytes a sample in all.
#[derive(PartialEq, Eq)]
pub struct Clip {
    name: Arc<str>,
    pcm: Box<[i16]>,
    ulaw: Box<[u8]>,
    alaw: Box<[u8]>,
}

impl Clip {
    /// A clip of 8 kHz mono samples. `name` is for people: logs, events and test failures.
    pub fn from_samples(name: impl AsRef<str>, samples: impl Into<Box<[i16]>>) -> Self {
        let pcm = samples.into();
        let (mut ulaw, mut alaw) = (vec![0; pcm.len()], vec![0; pcm.len()]);
        Codec::Pcmu.encode(&pcm, &mut ulaw);
        Codec::Pcma.encode(&pcm, &mut alaw);
        Self { name: Arc::from(name.as_ref()), pcm, ulaw: ulaw.into(), alaw: alaw.into() }
    }

    /// Silence of a length, to the sample.
    pub fn silence(name: impl AsRef<str>, span: Duration) -> Self {
        let len =
            u64::try_from(span.as_micros()).unwrap_or(u64::MAX).saturating_mul(u64::from(SAMPLE_RATE_HZ)) / 1_000_000;
        Self::from_samples(name, vec![0; usize::try_from(len).unwrap_or(usize::MAX)])
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in samples, which is also its length in bytes of G.711.
    pub fn len(&self) -> usize {
        self.pcm.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pcm.is_empty()
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        let samples = u64::try_from(self.pcm.len()).unwrap_or(u64::MAX);
        Duration::from_micros(samples.saturating_mul(1_000_000) / u64::from(SAMPLE_RATE_HZ))
    }

    pub fn samples(&self) -> &[i16] {
        &self.pcm
    }

    /// The whole clip as payload of `codec`.
    pub fn payload(&self, codec: Codec) -> &[u8] {
        match codec {
            Codec::Pcmu => &self.ulaw,
            Codec::Pcma => &self.alaw,
        }
    }

    /// The frame that begins at sample `at`, padded with silence, and how many samples of it are the clip's.
    pub fn frame_at(&self, at: usize) -> (Frame, usize) {
        let rest = self.pcm.get(at..).unwrap_or_default();
        let taken = rest.len().min(FRAME_LEN);
        let mut frame = SILENCE;
        frame[..taken].copy_from_slice(&rest[..taken]);
        (frame, taken)
    }
}

impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clip({} {} ms)", self.name, self.duration().as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_knows_its_length_and_its_payloads() {
        let clip = Clip::from_samples("hello", vec![1_000; 8_080]);
        assert_eq!(clip.duration(), Duration::from_millis(1_010));
        assert_eq!(clip.payload(Codec::Pcmu).len(), 8_080);
        let mut back = [0; 1];
        Codec::Pcma.decode(&clip.payload(Codec::Pcma)[..1], &mut back);
        assert!((990..=1_010).contains(&back[0]), "{}", back[0]);
        assert_eq!(Clip::silence("gap", Duration::from_millis(250)).len(), 2_000);
    }

    #[test]
    fn the_last_frame_is_padded_and_nothing_lies_past_the_end() {
        let clip = Clip::from_samples("x", vec![5; 170]);
        assert_eq!(clip.frame_at(0), ([5; FRAME_LEN], 160));
        let (last, taken) = clip.frame_at(160);
        assert_eq!((taken, last[9], last[10]), (10, 5, 0));
        assert_eq!(clip.frame_at(usize::MAX), (SILENCE, 0));
    }
}

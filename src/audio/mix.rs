//! Adding voices without wrapping: sums are kept in 32 bits and clipped once, so that order does not matter.

use super::{FRAME_LEN, Frame};

/// A sum of frames. 64 full-scale voices fit 65,536 times over.
#[derive(Clone, Debug)]
pub struct Mix {
    sum: [i32; FRAME_LEN],
}

impl Default for Mix {
    fn default() -> Self {
        Self { sum: [0; FRAME_LEN] }
    }
}

impl Mix {
    /// Adds one voice.
    pub fn add(&mut self, frame: &Frame) {
        for (sum, &sample) in self.sum.iter_mut().zip(frame) {
            *sum += i32::from(sample);
        }
    }

    /// The sum, clipped to 16 bits.
    pub fn frame(&self) -> Frame {
        self.sum.map(|sum| sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_add_and_clip_but_never_wrap() {
        let mut mix = Mix::default();
        mix.add(&[30_000; FRAME_LEN]);
        mix.add(&[30_000; FRAME_LEN]);
        assert_eq!(mix.frame(), [i16::MAX; FRAME_LEN]);
        mix.add(&[-29_000; FRAME_LEN]);
        assert_eq!(mix.frame(), [31_000; FRAME_LEN], "clipping waits for the end of the sum");
    }
}

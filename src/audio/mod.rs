//! Sound as samples: G.711, WAV, tones, Goertzel, mixing, concealment.
//!
//! Everything here is 8 kHz mono linear PCM in `i16` unless a name says otherwise, and is handled in
//! frames of 20 ms: 160 samples, which is also 160 bytes of G.711.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod clip;
pub mod codec;
pub mod g711;
pub mod goertzel;
pub mod level;
pub mod mix;
pub mod plc;
pub mod tone;
pub mod wav;

use core::time::Duration;

/// Samples a second, and the RTP clock rate of G.711 and of its telephone events.
pub const SAMPLE_RATE_HZ: u32 = 8_000;
/// Samples in one frame.
pub const FRAME_LEN: usize = 160;
/// One frame as RTP clock ticks.
pub const FRAME_TICKS: u32 = 160;
/// One frame in milliseconds.
pub const FRAME_MS: u64 = 20;
/// One frame as a span.
pub const FRAME_SPAN: Duration = Duration::from_millis(FRAME_MS);

/// One frame of linear samples.
pub type Frame = [i16; FRAME_LEN];

/// A frame of silence.
pub const SILENCE: Frame = [0; FRAME_LEN];

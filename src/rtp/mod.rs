//! RTP and RTCP packets, telephone events and stream quality (RFC 3550, RFC 4733).
//!
//! Everything reads hostile bytes: lengths are checked once, at the border, and nothing here panics or allocates.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod header;
pub mod quality;
pub mod rtcp;
pub mod telephone_event;

pub use header::RtpHeader;

/// Ticks a second of the RTP clock of narrow-band audio and of its telephone events (RFC 3551 §4.5.14, RFC 4733 §2.1).
pub const CLOCK_HZ: u32 = 8_000;

/// How far `a` is ahead of `b` on the 16-bit circle of sequence numbers; negative where it is behind.
pub const fn sequence_ahead(a: u16, b: u16) -> i32 {
    a.wrapping_sub(b) as i16 as i32
}

/// How far `a` is ahead of `b` on the 32-bit circle of timestamps; negative where it is behind.
pub const fn ticks_ahead(a: u32, b: u32) -> i64 {
    a.wrapping_sub(b) as i32 as i64
}

//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

/// The vocabulary: [`crate::event`].
pub mod event {
    /// Past contacts that travel on a customer's card.
    pub const CARD_HISTORY: usize = 10;
/// The media plane: [`crate::media`], [`crate::rtp`], [`crate::audio`].
pub mod media {
    use core::time::Duration;

    /// Slots of one room: legs, players and recording tracks together. One bit each in the hear matrix.
    pub const SLOTS_PER_ROOM: usize = 64;
    /// Rooms one engine holds.
    pub const ROOMS_PER_ENGINE: usize = 20_000;
    /// Sounds in one play list.
    pub const SOUNDS_PER_PLAY: usize = 256;
    /// Payload formats a leg takes at once.
    pub const FORMATS_PER_PORT: usize = 8;
    /// Keys waiting to be sent on one leg.
    pub const KEYS_QUEUED: usize = 64;
    /// Packets the jitter buffer of one leg holds.
    pub const JITTER_PACKETS: usize = 32;
    /// The largest RTP or RTCP datagram we read, in bytes: an Ethernet frame.
    pub const DATAGRAM_BYTES: usize = 1_500;
    /// Phases of 20 ms an engine makes up for after a stall; what lies further back is counted and skipped.
    pub const PHASES_CAUGHT_UP: u64 = 10;
    /// A recording file may not grow beyond this: WAV counts bytes in 32 bits. About 18 hours of stereo.
    pub const RECORDING_BYTES: u64 = 2_000_000_000;
    /// Batches waiting for the disk before a recording is given up as failed, one batch being at most a second.
    pub const RECORDING_BATCHES_QUEUED: usize = 4_096;
    /// The shortest and the longest key we send (RFC 4733 counts 16 bits of clock ticks: 8.19 s).
    pub const KEY_SPAN: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(6_000));
}

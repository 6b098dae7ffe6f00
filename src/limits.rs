//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// -- event ----------------------------------------------------------------------------------------------------------

/// Past contacts that travel on a customer's card.
pub const CARD_HISTORY: usize = 10;

// -- sdp ------------------------------------------------------------------------------------------------------------

/// Bytes of a session description. A browser's is about 6 kB.
pub const SDP_BYTES: usize = 16 * 1024;
/// `m=` lines of a session description.
pub const SDP_MEDIA: usize = 16;
/// `a=` lines of a session description.
pub const SDP_ATTRIBUTES: usize = 512;
/// Formats of one `m=` line that are looked at; the rest are ignored.
pub const SDP_FORMATS: usize = 64;

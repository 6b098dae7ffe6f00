//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

/// The SIP codec. They hold before any typed view reads, so that a hostile message costs microseconds.
pub mod sip {
    /// A whole message, head and body, in bytes. Past it: 513 on a stream or WebSocket, and the stream closes.
    pub const MESSAGE_BYTES: usize = 64 * 1024;
    /// Header lines in a message. Past it: 513.
    pub const HEADERS: usize = 256;
    /// One header line with its folded continuations, in bytes (a STIR Identity header needs about 1 kB). Past it: 513.
    pub const HEADER_BYTES: usize = 8 * 1024;
    /// Elements of a list (Via, Route, Record-Route, Contact), over all lines of that name. Past it: 513.
    pub const LIST_ELEMENTS: usize = 128;
    /// Nonces whose use counts are remembered. Past it the oldest is forgotten, and answers to it are stale.
    pub const DIGEST_NONCES: usize = 16_384;
}

//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// -- event ----------------------------------------------------------------------------------------------------------

/// Past contacts that travel on a customer's card.
pub const CARD_HISTORY: usize = 10;

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

/// Session descriptions. Past any of them the description is unreadable: 400 to an INVITE, a failed call from an answer.
pub mod sdp {
    /// A description, in bytes. A browser's is about 6 kB.
    pub const BYTES: usize = 16 * 1024;
    /// `m=` lines.
    pub const MEDIA: usize = 16;
    /// `a=` lines.
    pub const ATTRIBUTES: usize = 512;
    /// Formats of one `m=` line that are looked at; the rest are ignored.
    pub const FORMATS: usize = 64;
}

/// The SIP user agent: transactions, sessions, registrations.
pub mod ua {
    use core::time::Duration;

    /// Sessions (calls' legs) at once. Past it: 503 with Retry-After to an INVITE, a refusal to the switch.
    pub const SESSIONS: usize = 20_000;
    /// Client and server transactions at once, each kind. Past it: 503 without a transaction, a refusal to the switch.
    pub const TRANSACTIONS: usize = 65_536;
    /// Contacts of one fork. Past it the further ones are not rung.
    pub const TARGETS: usize = 16;
    /// Dialogs one INVITE may make by forking beyond us. Past it a further 2xx is acknowledged and ended at once,
    /// without being remembered.
    pub const FORKS: usize = 32;
    /// Addresses tried for one request.
    pub const HOPS: usize = 8;
    /// Host names waiting for the resolver. Past it the request fails as unreachable.
    pub const RESOLVING: usize = 4_096;
    /// How long the resolver may take.
    pub const RESOLVE_TIME: Duration = Duration::from_secs(10);
    /// Routes of one dialog. Past it the message that would make it is refused: 400.
    pub const ROUTES: usize = 32;
    /// Authentication rounds of one request, a stale nonce included.
    pub const CHALLENGES: u8 = 3;
    /// Addresses of record with bindings. Past it: 503 to the REGISTER.
    pub const REGISTRATIONS: usize = 50_000;
    /// Contacts of one address of record. Past it: 403 to the REGISTER.
    pub const CONTACTS: usize = 10;
    /// The longest Contact URI that is bound, in bytes. Past it: 400.
    pub const CONTACT_BYTES: usize = 1_024;
    /// Trunks that we register to or watch.
    pub const TRUNKS: usize = 1_000;
    /// Events and messages waiting to be polled. The owner drains after each input, so this is reached by a defect only;
    /// past it the oldest is kept and new requests are refused with 503.
    pub const BACKLOG: usize = 4_096;
}

//! SIP on the wire and in time: codec, framing, digest, transactions, dialogs, registrar. Bytes and `now` in, effects out (RFC 3261).

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod flow;
pub mod transaction;

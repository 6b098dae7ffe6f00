//! SIP on the wire and in time: codec, framing, digest, transactions, dialogs, registrar. Bytes and `now` in, effects out (RFC 3261).
//!
//! The codec: bytes become a [`Message`] through [`framing`]; the message indexes its headers and keeps the bytes as they came;
//! typed views ([`header`], [`Uri`]) borrow from it on demand; [`Writer`] and [`respond`] make new bytes. [`digest`] authenticates.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod authenticator;
pub mod body;
pub mod carrier;
pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod event;
pub mod flow;
pub mod framing;
pub mod header;
pub mod health;
mod inbound;
pub mod info;
pub mod invite;
pub mod mask;
pub mod message;
pub mod method;
pub mod registrar;
pub mod registration;
pub mod request;
pub mod resolve;
pub mod session;
pub mod transaction;
pub mod uri;
pub mod write;

pub use header::{Name, NameAddr, Params, Via};
pub use message::{Fault, Message, Unreadable, Verdict};
pub use method::Method;
pub use uri::{Host, Scheme, Uri};
pub use write::{Quoted, Unwritable, Writer, reason_phrase, reply_address, respond};

#[cfg(test)]
mod against_rsip;
#[cfg(test)]
#[path = "../../tests/data/sip/inputs.rs"]
mod inputs;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod torture;

use thiserror::Error;

/// A part that a typed view cannot read. Cheap to make: it says what, the bytes stay in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    #[error("{0} is missing")]
    Missing(Name),
    #[error("{0} cannot be read")]
    Header(Name),
    #[error("the URI cannot be read: {0}")]
    Uri(&'static str),
    #[error("the value cannot be read: {0}")]
    Value(&'static str),
}

#[cfg(test)]
mod scenario;

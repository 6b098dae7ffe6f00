//! Session descriptions and offer/answer (RFC 8866, RFC 3264).

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

mod codec;
mod description;
mod negotiate;
mod parse;

pub use description::{Attribute, Connection, Direction, Media, Origin, SessionDescription};
pub use negotiate::{AudioSession, AudioStream, LocalMedia, NotAcceptable, PayloadTypes};
pub use parse::Unreadable;

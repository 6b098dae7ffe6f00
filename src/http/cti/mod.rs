//! The CTI socket: `GET /cti`, subprotocol `cti.v1`; snapshot and delta, resume, commands with acknowledgements.
//!
//! [`frame`] is the language, [`session`] what is kept of a client over reconnects, [`hub`] joins sessions with the
//! desktop's picture, [`socket`] is one connection.

pub mod frame;
pub mod hub;
pub mod session;
pub mod socket;

pub use hub::{Bounds, Hub, NoSession};

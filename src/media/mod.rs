//! The media plane as a value: ports in rooms with a hear matrix, pulled by one engine a core.
//!
//! The switch says [`MediaCommand`]s and hears [`MediaEvent`]s; it never touches a packet. An [`Engine`] takes
//! `now`, commands and datagrams, and yields datagrams, events, socket wishes and recording batches, so that whole
//! calls run in virtual time. `runtime::media_thread` is the shell with the sockets.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod command;
pub mod engine;
pub mod event;
mod jitter;
mod latch;
mod leg;
pub mod outbox;
mod player;
pub mod recorder;
mod room;
mod stream;

pub use command::{
    Audience, Direction, Formats, HearRow, Layout, MediaCommand, OpenPort, PayloadFormat, Play, PlayId, PortChange,
    PortId, RecordingPlan, Remote, Repeat, RoomId, SendKeys, Sound, Source, Track,
};
pub use engine::{Counters, Engine, Output};
pub use event::{KeySource, MediaEvent, PlayEnd, PortStats};
pub use outbox::Transmit;
pub use recorder::RecordingWrite;

#[cfg(test)]
mod tests;

//! The IVR: a dialplan walking, one machine a call.
//!
//! The switch says what happened ([`IvrInput`]) and does what the machine wants ([`IvrEffect`]). The machine never
//! waits for anything by itself: prompts, questions, queues and dialled parties all come back as inputs, and time
//! comes in as an argument.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod effect;
pub mod input;
pub mod machine;
pub mod say;
mod speech;
mod step;
pub mod testing;
#[cfg(test)]
mod tests;
pub mod world;

pub use effect::{AskTicket, HttpCall, IvrEffect, PlayTicket, Question, Spoken};
pub use input::{Answer, Compared, DialEnd, IvrInput, QueueEnd};
pub use machine::Machine;
pub use world::{LocalTime, Opening, World};

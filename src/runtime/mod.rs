//! Threads: the switch's, the media engines', and the bus between them and everyone else.

pub mod answers;
pub mod bus;
pub mod clock;
pub mod fold;
pub mod inbox;
pub mod media_thread;
pub mod recording_thread;
pub mod switch_thread;
mod tries;

//! The desktop's picture of the centre, folded from events: whole entities with revisions, by topic.
//!
//! Pure, and beside the switch: a snapshot never asks the switch's thread. [`Desk::apply`] turns one event into the
//! after-images of what it touched; [`Topic`] says who sees which of them.

pub mod entity;
mod fold;
mod name;
pub mod plan;
mod topic;

pub use entity::Entity;
pub use fold::{Delta, Desk, Image, Start, StartAgent};
pub use name::name_of;
pub use plan::QueuePlan;
pub use topic::{Form, Topic, UnknownTopic, Viewer};

#[cfg(test)]
mod tests;

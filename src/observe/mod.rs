//! What operators see: [`metrics`] for machines, [`log`] for people, and a [`ladder`] for every call.
//!
//! All three are folds: they are told of events, messages and levels, and call nothing back.

mod draw;
pub mod ladder;
mod lines;
pub mod log;
pub mod metrics;

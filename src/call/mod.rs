//! The call: legs, who hears whom, hold and transfer, and the record that remains.
//!
//! `record` folds events into call records; the switch owns the live [`Call`]s.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod leg;
pub mod record;
pub mod segment;

pub use record::{CallRecord, LegRecord, MessageBegun, Records};

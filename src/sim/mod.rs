//! The whole centre in virtual time: the real switch, foreign phones through `rsip`, faults, invariants.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

// The foreign side: values under the cores' bans, driven by `world` in virtual time and by `load` on sockets.
pub mod agent;
pub mod caller;
pub mod chance;
mod dialect;
pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod exchange;
pub mod fault;
mod ladder;
mod media_model;
mod net;
pub mod oracle;
pub mod phone;
pub mod report;
pub mod rsip_wire;
pub mod seed;
pub mod session;
#[cfg(test)]
mod test_line;
pub mod trunk;
pub mod world;

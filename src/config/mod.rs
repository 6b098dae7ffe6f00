//! The command line, configuration files, reload.
//!
//! Start-up is a reload from nothing: [`load`](load::load) reads every file, [`Reloader`](reload::Reloader) keeps what
//! runs and replaces it as a whole or not at all, [`report`] shows findings to people and to machines.

pub mod args;
pub mod compose;
pub mod load;
pub mod prompts;
pub mod reload;
pub mod report;

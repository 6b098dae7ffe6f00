//! Dialplans: named states, each with one action and its edges; read, proved, drawn.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

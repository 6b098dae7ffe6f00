//! Automatic call distribution: who waits, who may answer, who is offered what, and why.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

//! The plan: one immutable, fully checked value that a configuration loads into.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

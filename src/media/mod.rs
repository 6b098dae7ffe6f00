//! The media plane as a value: ports in rooms with a hear matrix, pulled by one engine a core.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

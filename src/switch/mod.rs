//! The switch: everything that touches two calls, as one pure value.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

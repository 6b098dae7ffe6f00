//! The IVR: a dialplan walking, one machine a call.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

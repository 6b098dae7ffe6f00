//! RTP and RTCP packets, telephone events and stream quality (RFC 3550, RFC 4733).

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

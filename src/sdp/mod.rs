//! Session descriptions and offer/answer (RFC 8866, RFC 3264).

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

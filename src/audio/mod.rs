//! Sound as samples: G.711, WAV, tones, Goertzel, mixing, concealment.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

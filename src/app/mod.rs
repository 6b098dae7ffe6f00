//! The commands of the binary, composed.

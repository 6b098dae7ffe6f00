//! Adding voices without wrapping.

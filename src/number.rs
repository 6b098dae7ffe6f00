//! (number)

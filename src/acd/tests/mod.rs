//! Scenarios and storms in virtual time.

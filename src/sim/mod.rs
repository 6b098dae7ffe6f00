//! The whole centre in virtual time: the real switch, foreign phones through `rsip`, faults, invariants.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

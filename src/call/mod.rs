//! The call: legs, who hears whom, hold and transfer, and the record that remains.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

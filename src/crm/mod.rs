//! Customers, their tiers and what is remembered of their contacts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

//! Customers, their tiers and what is remembered of their contacts; and the people who serve them.
//!
//! Everything here is a value or a pure function: the store keeps the records, the shells ask and save.
//! [`customer`] is the card, [`interaction`] one contact, [`people`] are users, SIP accounts and agents' skills.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod customer;
pub mod interaction;
pub mod people;

pub use customer::{Customer, Phone, Salutation, Tier};
pub use interaction::{Channel, Direction, Interaction};
pub use people::{AgentProfile, Role, SipAccount, User};

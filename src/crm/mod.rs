//! Customers, their tiers and what is remembered of their contacts; and the people who serve them.
//!
//! Everything here is a value or a pure function: the store keeps the records, the shells ask and save.
//! [`customer`] is the record, [`interaction`] one contact, [`history`] what is computed from contacts, [`directory`]
//! finds a customer by number, [`greeting`] writes the line the agent reads, [`card`] composes what an offer carries;
//! [`people`] are users, SIP accounts and agents' skills. [`csv`], [`import`], [`customer_table`] and
//! [`people_table`] read and write tables.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod card;
pub mod csv;
pub mod customer;
pub mod customer_table;
pub mod directory;
pub mod greeting;
pub mod history;
pub mod import;
pub mod interaction;
pub mod people;
pub mod people_table;

pub use customer::{Customer, Phone, Salutation};
pub use directory::{Directory, Match};
pub use greeting::Occasion;
pub use history::History;
pub use interaction::{Channel, Direction, Interaction};
pub use people::{AgentProfile, Role, SipAccount, User};

//! Transactions (RFC 3261 §17, RFC 6026): four state machines, their keys and timers, and the table that holds them.
//!
//! The machines know states and deadlines; [`Transactions`] keeps their messages, finds them by key, and sends
//! what they ask for. Nothing here knows a dialog.

pub mod client;
pub mod derived;
pub mod invite_client;
pub mod invite_server;
pub mod key;
pub mod server;
pub mod timer;

mod table;

pub use table::{ClientEvent, Full, ServerMatch, TransactionId, Transactions, What, reply_destination};

/// What to do with a response that matched a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it to the transaction user.
    Up,
    /// Hand it up, and acknowledge it on this transaction.
    UpAndAck,
    /// A repeated final response: acknowledge it once more.
    Ack,
    Drop,
}

/// What to do with a request that matched a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Hand it to the transaction user.
    Up,
    /// Send the latest response once more.
    Repeat,
    Drop,
}

/// What a timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// Send the message once more.
    Retransmit,
    /// Tell the transaction user that nobody answered; the transaction has ended.
    TimedOut,
    Nothing,
}

#[cfg(test)]
mod schedules;

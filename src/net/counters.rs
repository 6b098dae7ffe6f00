//! What the sockets count.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals since the start, and one level.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct NetCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, being counted. Relaxed: figures for people, nothing is decided by them.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            pub fn read(&self) -> NetCounts {
                NetCounts { $($name: self.$name.get(),)* }
            }
        }
    };
}

counts! {
    /// Messages handed to the sink.
    messages,
    /// Datagrams, and bytes of streams, that were no SIP.
    unreadable,
    /// Faulty requests answered without the switch (400, 413, 501, 505, 513 …).
    refused,
    /// Faulty messages that get no answer: responses, ACKs, requests without a Via.
    faulty,
    /// Keep-alives: line ends on their own.
    keep_alives,
    /// Messages and datagrams of unknown senders beyond their rate.
    rate_limited,
    /// Datagrams the kernel had no room for: lost, as the network may lose them.
    datagrams_dropped,
    /// Sends that failed and were told as `Failed`.
    sends_failed,
    /// Connections open now.
    connections,
    /// Connections made or accepted.
    connections_opened,
    /// Connections turned away at a limit.
    connections_refused,
    /// Connections dropped because the far side did not read.
    slow_readers,
    /// Connections dropped because they said nothing for too long, or never finished a message.
    idle_closed,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

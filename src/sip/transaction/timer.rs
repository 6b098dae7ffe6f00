//! The timer values of RFC 3261 Table 4 and RFC 6026, derived from T1, T2 and T4.

use core::time::Duration;

/// The three times all others come from. The defaults are the RFC's; a trunk over satellite may want a larger T1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate: 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request or a final response: 4 s.
    pub t2: Duration,
    /// Longest time a message stays in the network: 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// Timers B, F, H, L, M (and J over UDP): 64·T1, 32 s by default.
    pub fn timeout(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: at least 32 s over UDP, nothing over a reliable transport.
    pub fn d(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.timeout().max(Duration::from_secs(32)) }
    }

    /// Timers I and K: T4 over UDP, nothing over a reliable transport.
    pub fn linger(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }

    /// Timer J: 64·T1 over UDP, nothing over a reliable transport.
    pub fn j(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.timeout() }
    }

    /// The next interval of Timers E and G: doubled, at most T2.
    pub fn doubled(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

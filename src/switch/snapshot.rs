//! What operators count: running totals and gauges, read by the shell for `/metrics`.

use serde::Serialize;

use super::Switch;

/// Totals since the start, and two levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub accepted: u64,
    pub ended: u64,
    /// Calls turned away before they existed.
    pub refused: u64,
    pub wrong_digests: u64,
    /// Panics caught.
    pub defects: u64,
    /// Gaps between derived and live state that the reconciler found.
    pub repairs: u64,
    pub recordings_failed: u64,
    /// How far the disk is behind, as the recorder last said.
    pub recording_lag_ms: u64,
}

/// Levels now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Levels {
    pub calls: usize,
    pub legs: usize,
    /// Callers with a dialplan, in a queue, or leaving a message.
    pub unserved: usize,
    pub ports: u32,
    pub timers: usize,
    pub requests: usize,
    pub draining: bool,
    /// Events emitted and not durable yet.
    pub undurable: u64,
}

impl Switch {
    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn levels(&self) -> Levels {
        Levels {
            calls: self.calls.len(),
            legs: self.legs.len(),
            unserved: self.calls.values().filter(|call| Self::is_unserved(call)).count(),
            ports: self.ports.leased(),
            timers: self.timers.len(),
            requests: self.requests.len(),
            draining: self.draining,
            undurable: self.seq.0.saturating_sub(self.durable.0),
        }
    }
}

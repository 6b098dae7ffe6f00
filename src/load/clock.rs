//! The load generator's clock: wall time at the start, monotonic from there.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::time::Time;

/// Hands out [`Time`] to the machines, and turns their deadlines into the runtime's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Time,
    began: Instant,
}

impl Clock {
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { base: Time::EPOCH + since_epoch, began: Instant::now() }
    }

    pub fn now(&self) -> Time {
        self.base + self.began.elapsed()
    }

    pub fn instant(&self, at: Time) -> Instant {
        self.began + at.since(self.base)
    }
}

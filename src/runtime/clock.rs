//! The process's clock: Unix time, made monotonic. A step of the wall clock is told, never followed.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::runtime::media_thread::Clock;
use crate::time::Time;

/// Unix time at the start, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    epoch: Time,
}

impl SystemClock {
    pub fn start() -> Self {
        Self { started: Instant::now(), epoch: wall() }
    }

    /// Never goes back, whatever happens to the wall clock.
    pub fn now(&self) -> Time {
        self.epoch + self.started.elapsed()
    }

    /// How far the wall clock is ahead of us, in milliseconds; negative where it is behind.
    pub fn drift_ms(&self) -> i64 {
        let (wall, ours) = (wall().as_millis(), self.now().as_millis());
        i64::try_from(wall).unwrap_or(i64::MAX) - i64::try_from(ours).unwrap_or(i64::MAX)
    }

    /// For those who take the clock as a function.
    pub fn shared(self) -> Clock {
        Arc::new(move || self.now())
    }
}

fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

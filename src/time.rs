//! Time as the cores know it: microseconds since the Unix epoch, UTC, handed in as an argument.
//!
//! Nothing below the shells reads a clock. The clock shell makes this value monotonic, so `later - earlier`
//! never underflows in order; out of order it saturates to zero.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The Unix epoch. Stands for "never" only where a comment says so.
    pub const EPOCH: Time = Time(0);
    /// Later than every instant a running system meets (the year 9999 ends before it).
    pub const FAR_FUTURE: Time = Time(u64::MAX);

    pub const fn from_micros(us: u64) -> Self {
        Time(us)
    }

    pub const fn from_millis(ms: u64) -> Self {
        Time(ms.saturating_mul(1_000))
    }

    pub const fn from_secs(s: u64) -> Self {
        Time(s.saturating_mul(1_000_000))
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The span since `earlier`; zero where `earlier` is in fact later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-21T14:31:04.123Z`.
    pub fn rfc3339(self) -> String {
        self.to_string()
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, span: Duration) -> Time {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(us))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, span: Duration) -> Time {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_sub(us))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.as_secs() / 86_400, self.as_secs() % 86_400);
        let (y, m, d) = civil_from_days(days);
        let (h, mi, s) = (in_day / 3_600, in_day / 60 % 60, in_day % 60);
        let ms = self.as_millis() % 1_000;
        write!(f, "{y:04}-{m:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}Z")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Proleptic Gregorian date of a day count since 1970-01-01
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339_in_utc() {
        assert_eq!(Time::EPOCH.rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time::from_millis(1_795_271_464_123).rfc3339(), "2026-11-21T14:31:04.123Z");
        assert_eq!(Time::from_secs(951_782_400).rfc3339(), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn spans_saturate_instead_of_wrapping() {
        let (a, b) = (Time::from_secs(1), Time::from_secs(3));
        assert_eq!(b - a, Duration::from_secs(2));
        assert_eq!(a - b, Duration::ZERO);
        assert_eq!(a - Duration::from_secs(5), Time::EPOCH);
        assert_eq!(Time::FAR_FUTURE + Duration::MAX, Time::FAR_FUTURE);
    }
}

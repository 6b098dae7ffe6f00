//! Instants and words as commands read and print them: on the wall of the plan's time zone.

use anyhow::Context;
use jiff::civil::{Date, DateTime, Time as Clock};
use serde::Serialize;

use crate::plan::Zone;
use crate::time::Time;

/// `2026-11-22 14:31:04` on the zone's wall.
pub fn local(zone: &Zone, at: Time) -> String {
    match zone.local(at) {
        Some(wall) => wall.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => at.rfc3339(),
    }
}

/// `14:31:04.123` on the zone's wall.
pub fn clock(zone: &Zone, at: Time) -> String {
    match zone.local(at) {
        Some(wall) => format!("{}.{:03}", wall.strftime("%H:%M:%S"), at.as_millis() % 1_000),
        None => at.rfc3339(),
    }
}

/// Reads `2026-11-22`, `2026-11-22T14:30` or `2026-11-22 14:30:05` on the zone's wall, or an instant with its offset.
pub fn parse(zone: &Zone, text: &str) -> anyhow::Result<Time> {
    let text = text.trim();
    let wrong = || format!("`{text}` is no day and no instant: write 2026-11-22 or 2026-11-22T14:30");
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Time::from_micros(u64::try_from(instant.as_microsecond()).with_context(wrong)?));
    }
    let wall = match text.parse::<Date>() {
        Ok(day) if text.len() == DAY => day.to_datetime(Clock::midnight()),
        _ => text.parse::<DateTime>().with_context(wrong)?,
    };
    zone.instant(wall).with_context(wrong)
}

/// `1:05`, `1:02:03`: minutes and seconds, with hours where there are some.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A word of the vocabulary as events write it, with blanks: `no answer`.
pub fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

/// Characters of a day.
const DAY: usize = "2026-11-22".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_an_instant_read_on_the_wall_of_the_zone() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let midnight = Time::from_secs(1_795_276_800);
        assert_eq!(parse(&zone, "2026-11-22").unwrap(), midnight);
        assert_eq!(parse(&zone, "2026-11-22T00:00").unwrap(), midnight);
        assert_eq!(parse(&zone, "2026-11-21T16:00:00Z").unwrap(), midnight);
        assert_eq!(local(&zone, midnight), "2026-11-22 00:00:00");
        assert!(parse(&zone, "yesterday").unwrap_err().to_string().contains("`yesterday`"));
    }

    #[test]
    fn spans_read_as_a_clock() {
        assert_eq!((span(65_900), span(3_723_000), span(0)), ("1:05".into(), "1:02:03".into(), "0:00".into()));
    }
}

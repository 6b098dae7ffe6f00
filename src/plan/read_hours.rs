//! `[hours.NAME]` and `[holidays.NAME]` → [`Hours`].

use core::ops::Range;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::hours::{DAY_KEYS, Exception, Hours, Occasion, Window, Zone};
use super::keys::{Table, did_you_mean};
use crate::ids::HoursName;

/// A time zone by name, misspelt ones with a suggestion.
pub(super) fn zone(table: &Table<'_>, key: &'static str) -> Option<Zone> {
    let word = table.word(key)?;
    table.parse_word(key, &word, "Write a name of the IANA database, as \"Asia/Shanghai\".", Zone::named)
}

/// All opening hours, each with the exceptions of its holiday calendars behind its own.
pub(super) fn read_hours(top: &Table<'_>, default_zone: &Zone) -> BTreeMap<HoursName, Hours> {
    let calendars: BTreeMap<&str, Vec<Exception>> =
        top.named("holidays").into_iter().map(|(name, table)| (name, read_exceptions(&table, "day"))).collect();
    let read = |(name, table): (&str, Table<'_>)| {
        let name = HoursName::new(name);
        (name.clone(), read_one(name, &table, default_zone, &calendars))
    };
    top.named("hours").into_iter().map(read).collect()
}

fn read_one(
    name: HoursName,
    table: &Table<'_>,
    default_zone: &Zone,
    calendars: &BTreeMap<&str, Vec<Exception>>,
) -> Hours {
    let mut exceptions = read_exceptions(table, "exception");
    for word in table.words("holidays").unwrap_or_default() {
        match calendars.get(word.text) {
            Some(days) => exceptions.extend(days.iter().cloned()),
            None => {
                let known: Vec<&str> = calendars.keys().copied().collect();
                let reason = format!("There is no holiday calendar `{}`.", word.text);
                table.error("hours.unknown-holidays", word.span, reason, did_you_mean(word.text, &known));
            }
        }
    }
    let hours = Hours {
        name,
        time_zone: zone(table, "time_zone").unwrap_or_else(|| default_zone.clone()),
        week: read_week(table),
        exceptions,
    };
    if hours.week.iter().all(Vec::is_empty) && hours.exceptions.iter().all(|exception| exception.open.is_empty()) {
        let reason = format!("Hours `{}` are never open.", hours.name);
        table.error("hours.never-open", table.span.clone(), reason, "Add weekdays = [\"09:00-18:00\"], or daily.");
    }
    hours
}

/// A day's own key wins over `weekdays` and `weekend`, and those over `daily`.
fn read_week(table: &Table<'_>) -> [Vec<Window>; 7] {
    let daily = read_windows(table, "daily").unwrap_or_default();
    let weekdays = read_windows(table, "weekdays").unwrap_or_else(|| daily.clone());
    let weekend = read_windows(table, "weekend").unwrap_or(daily);
    let mut day = 0;
    DAY_KEYS.map(|(key, _)| {
        let group = if day < 5 { &weekdays } else { &weekend };
        day += 1;
        read_windows(table, key).unwrap_or_else(|| group.clone())
    })
}

/// The windows of a key, in order; overlapping ones are an error, for one of them is a slip.
fn read_windows(table: &Table<'_>, key: &'static str) -> Option<Vec<Window>> {
    let mut windows: Vec<Window> = Vec::new();
    for word in table.words(key)? {
        let mend = "Write windows as \"09:00-18:00\"; [] is closed.";
        let Some(window) = table.parse_word(key, &word, mend, str::parse::<Window>) else { continue };
        if let Some(other) = windows.iter().find(|other| other.overlaps(&window)) {
            let reason = format!("{window} overlaps {other}.");
            table.error("hours.overlap", word.span, reason, "Write them as one window, or part them.");
            continue;
        }
        windows.push(window);
    }
    windows.sort();
    Some(windows)
}

fn read_exceptions(table: &Table<'_>, key: &'static str) -> Vec<Exception> {
    let mut found: Vec<Exception> = Vec::new();
    for entry in table.list(key) {
        let Some((on, span)) = read_occasion(&entry) else {
            let _ = read_exception(&entry, Occasion::Yearly { month: 1, day: 1 });
            continue;
        };
        let exception = read_exception(&entry, on);
        if let Some(twin) = found.iter().find(|other| other.on == on && other.days_before == exception.days_before) {
            let reason = format!("{on} is an exception already (`{}`); the first wins.", twin.name);
            entry.error("hours.duplicate-exception", span, reason, "Remove one of the two.");
        }
        found.push(exception);
    }
    found
}

fn read_exception(entry: &Table<'_>, on: Occasion) -> Exception {
    Exception {
        name: entry.optional_text("name").unwrap_or_else(|| Arc::from(on.to_string())),
        on,
        days: u8::try_from(entry.integer("days", 1, 1..=60)).expect("the range fits"),
        days_before: u8::try_from(entry.integer("days_before", 0, 0..=30)).expect("the range fits"),
        open: read_windows(entry, "open").unwrap_or_default(),
    }
}

/// `date = 2026-10-01`, `date = "10-01"` or `lunar = "08-15"`; exactly one.
fn read_occasion(entry: &Table<'_>) -> Option<(Occasion, Range<usize>)> {
    let (date, lunar) = (entry.date_or_word("date"), entry.word("lunar"));
    match (date, lunar) {
        (Some(Ok((date, span))), None) => Some((Occasion::Date(date), span)),
        (Some(Err(word)), None) => {
            let mend = "Write date = 2026-10-01 for one year, date = \"10-01\" for every year.";
            let occasion = entry.parse_word("date", &word, mend, yearly)?;
            Some((occasion, word.span))
        }
        (None, Some(word)) => {
            let mend = "Write month and day of the Chinese calendar, as lunar = \"08-15\".";
            let occasion = entry.parse_word("lunar", &word, mend, lunar_occasion)?;
            Some((occasion, word.span))
        }
        (Some(_), Some(word)) => {
            let reason = "Both `date` and `lunar` are given.";
            entry.error("config.value", word.span, reason, "Keep one of the two.");
            None
        }
        (None, None) => {
            if !entry.has("date") && !entry.has("lunar") {
                let reason = "This exception names no day.";
                let mend = "Add date = 2026-10-01, date = \"10-01\" or lunar = \"08-15\".";
                entry.error("config.missing", entry.span.clone(), reason, mend);
            }
            None
        }
    }
}

fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-')?;
    let plain = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if plain(month) && plain(day) { Some((month.parse().ok()?, day.parse().ok()?)) } else { None }
}

fn yearly(text: &str) -> Result<Occasion, &'static str> {
    let (month, day) = month_and_day(text).ok_or("it is not written MM-DD")?;
    // 2028 is a leap year, so that 02-29 is a day.
    jiff::civil::Date::new(2028, month, day).map_err(|_| "there is no such day")?;
    Ok(Occasion::Yearly { month, day })
}

fn lunar_occasion(text: &str) -> Result<Occasion, &'static str> {
    let (month, day) = month_and_day(text).ok_or("it is not written MM-DD")?;
    if !(1..=12).contains(&month) || !(1..=30).contains(&day) {
        return Err("there is no such day");
    }
    Ok(Occasion::Lunar { month: month.unsigned_abs(), day: day.unsigned_abs() })
}

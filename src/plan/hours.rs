//! Opening hours: a week, its exceptions, a time zone; whether it is open, and when that changes.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Serialize, Serializer};

use super::lunar::lunar_day;
use crate::ids::HoursName;
use crate::time::Time;

/// `[hours.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hours {
    pub name: HoursName,
    /// Default: that of the plan.
    pub time_zone: Zone,
    /// Monday to Sunday.
    pub week: [Vec<Window>; 7],
    /// Days that are not as the week says, the first match wins: this set's own, then its holiday calendars'.
    pub exceptions: Vec<Exception>,
}

/// A span of a day, in minutes since midnight. `22:00-06:00` closes on the next day (1320 to 1800).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    opens_min: u16,
    closes_min: u16,
}

/// Days with windows of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// What people see: `National Day`.
    pub name: Arc<str>,
    pub on: Occasion,
    /// How many days it lasts.
    pub days: u8,
    /// Days it begins before the occasion (New Year's Eve: 1 before lunar 01-01).
    pub days_before: u8,
    /// Empty: closed.
    pub open: Vec<Window>,
}

/// When an exception happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// `date = 2026-10-01`
    Date(Date),
    /// `date = "10-01"`: every year.
    Yearly { month: i8, day: i8 },
    /// `lunar = "08-15"`: every year of the Chinese calendar, never in a leap month.
    Lunar { month: u8, day: u8 },
}

/// What hours say at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub open: bool,
    /// The exception in force, where one is.
    pub exception: Option<Arc<str>>,
    /// When the answer changes; `None`: not within [`HORIZON_DAYS`].
    pub changes_at: Option<Time>,
}

/// A time zone by its IANA name, from the database in the binary.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    zone: TimeZone,
}

/// The text is no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no time zone of the IANA database")]
pub struct NotAZone;

/// Why a text is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAWindow {
    #[error("a window is written `09:00-18:00`")]
    Shape,
    #[error("a day has the times 00:00 to 24:00")]
    Clock,
    #[error("it opens and closes at the same minute")]
    Empty,
}

/// How far [`Hours::verdict`] looks for the next change.
pub const HORIZON_DAYS: u32 = 400;

const DAY_MIN: u16 = 24 * 60;

impl Hours {
    pub fn is_open(&self, now: Time) -> bool {
        let Some(local) = self.time_zone.local(now) else { return false };
        self.open_around(local.date()).iter().any(|span| span.holds(now))
    }

    /// Open or closed, by which exception, and until when.
    pub fn verdict(&self, now: Time) -> Verdict {
        Verdict { open: self.is_open(now), exception: self.exception_at(now), changes_at: self.next_change(now) }
    }

    /// The first instant after `now` at which [`Hours::is_open`] answers otherwise.
    pub fn next_change(&self, now: Time) -> Option<Time> {
        let date = self.time_zone.local(now)?.date();
        if self.is_open(now) { self.next_closing(now, date) } else { self.next_opening(now, date) }
    }

    /// The end of the run of windows that `now` is in; windows that touch or overlap are one run.
    fn next_closing(&self, now: Time, today: Date) -> Option<Time> {
        let mut date = today;
        let mut edge = now;
        for _ in 0..HORIZON_DAYS {
            let spans = self.open_around(date);
            while let Some(span) = spans.iter().find(|span| span.holds(edge)) {
                edge = span.end;
            }
            let next = date.tomorrow().ok()?;
            if edge < self.time_zone.instant(next.into())? {
                return Some(edge);
            }
            date = next;
        }
        None
    }

    fn next_opening(&self, now: Time, today: Date) -> Option<Time> {
        let mut date = today;
        for _ in 0..HORIZON_DAYS {
            if let Some(start) = self.open_on(date).map(|span| span.start).filter(|&start| start > now).min() {
                return Some(start);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Windows that can hold an instant of this date: its own and, past midnight, those of the day before.
    fn open_around(&self, date: Date) -> Vec<Span> {
        let before = date.yesterday().ok();
        before.into_iter().chain([date]).flat_map(|day| self.open_on(day)).collect()
    }

    fn open_on(&self, date: Date) -> impl Iterator<Item = Span> {
        self.windows(date).iter().filter_map(move |window| {
            let start = self.time_zone.instant(at_minute(date, window.opens_min)?)?;
            let end = self.time_zone.instant(at_minute(date, window.closes_min)?)?;
            Some(Span { start, end })
        })
    }

    /// The windows of a date in the zone of these hours.
    pub fn windows(&self, date: Date) -> &[Window] {
        match self.exception_on(date) {
            Some(exception) => &exception.open,
            None => &self.week[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())],
        }
    }

    fn exception_on(&self, date: Date) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.covers(date))
    }

    fn exception_at(&self, now: Time) -> Option<Arc<str>> {
        let date = self.time_zone.local(now)?.date();
        self.exception_on(date).map(|exception| exception.name.clone())
    }
}

/// From `start`, before `end`.
#[derive(Clone, Copy)]
struct Span {
    start: Time,
    end: Time,
}

impl Span {
    fn holds(&self, now: Time) -> bool {
        self.start <= now && now < self.end
    }
}

fn at_minute(date: Date, minute: u16) -> Option<DateTime> {
    let date = if minute >= DAY_MIN { date.tomorrow().ok()? } else { date };
    let minute = minute % DAY_MIN;
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(date.at(hour, minute, 0, 0))
}

impl Exception {
    /// Whether this date is one of its days.
    pub fn covers(&self, date: Date) -> bool {
        let first = -i32::from(self.days_before);
        (first..first + i32::from(self.days))
            .any(|offset| date.checked_sub(jiff::Span::new().days(offset)).is_ok_and(|day| self.on.is(day)))
    }
}

impl Occasion {
    fn is(&self, date: Date) -> bool {
        match *self {
            Occasion::Date(day) => day == date,
            Occasion::Yearly { month, day } => (date.month(), date.day()) == (month, day),
            Occasion::Lunar { month, day } => {
                lunar_day(date).is_some_and(|lunar| !lunar.leap && (lunar.month, lunar.day) == (month, day))
            }
        }
    }
}

impl Window {
    /// Open from the first minute of the day to the last.
    pub const ALL_DAY: Window = Window { opens_min: 0, closes_min: DAY_MIN };

    /// Minutes since midnight.
    pub fn opens_min(&self) -> u16 {
        self.opens_min
    }

    /// Minutes since midnight; past 1440 on the next day.
    pub fn closes_min(&self) -> u16 {
        self.closes_min
    }

    pub fn overlaps(&self, other: &Window) -> bool {
        self.opens_min < other.closes_min && other.opens_min < self.closes_min
    }
}

impl FromStr for Window {
    type Err = NotAWindow;
    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let (opens, closes) = text.split_once('-').ok_or(NotAWindow::Shape)?;
        let (opens_min, closes_min) = (minute_of_day(opens)?, minute_of_day(closes)?);
        match opens_min.cmp(&closes_min) {
            _ if opens_min == DAY_MIN => Err(NotAWindow::Clock),
            core::cmp::Ordering::Equal => Err(NotAWindow::Empty),
            core::cmp::Ordering::Less => Ok(Self { opens_min, closes_min }),
            core::cmp::Ordering::Greater => Ok(Self { opens_min, closes_min: closes_min + DAY_MIN }),
        }
    }
}

fn minute_of_day(text: &str) -> Result<u16, NotAWindow> {
    let (hour, minute) = text.trim().split_once(':').ok_or(NotAWindow::Shape)?;
    let two = |part: &str| {
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse::<u16>().map_err(|_| NotAWindow::Shape) } else { Err(NotAWindow::Shape) }
    };
    let at = two(hour)? * 60 + two(minute)?;
    if minute.len() == 2 && two(minute)? < 60 && at <= DAY_MIN { Ok(at) } else { Err(NotAWindow::Clock) }
}

impl Zone {
    /// The zone with this name (`Asia/Shanghai`).
    pub fn named(name: &str) -> Result<Self, NotAZone> {
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| NotAZone)?;
        Ok(Self { name: Arc::from(zone.iana_name().unwrap_or(name)), zone })
    }

    pub fn utc() -> Self {
        Self { name: Arc::from("UTC"), zone: TimeZone::UTC }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Date and time on the wall there; `None` beyond the year 9999.
    pub fn local(&self, now: Time) -> Option<DateTime> {
        let timestamp = Timestamp::from_microsecond(i64::try_from(now.as_micros()).ok()?).ok()?;
        Some(self.zone.to_datetime(timestamp))
    }

    /// The instant of a wall time. One that the clocks skip means the later, one that they repeat the earlier
    /// (RFC 5545 §3.3.5). `None` before 1970.
    pub fn instant(&self, local: DateTime) -> Option<Time> {
        let timestamp = self.zone.to_timestamp(local).ok()?;
        u64::try_from(timestamp.as_microsecond()).ok().map(Time::from_micros)
    }
}

/// The days of the week as keys of `[hours.NAME]`, Monday first.
pub const DAY_KEYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closes = if self.closes_min > DAY_MIN { self.closes_min - DAY_MIN } else { self.closes_min };
        let clock = |minute: u16| (minute / 60, minute % 60);
        let ((h1, m1), (h2, m2)) = (clock(self.opens_min), clock(closes));
        write!(f, "{h1:02}:{m1:02}-{h2:02}:{m2:02}")
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Occasion::Date(date) => write!(f, "{date}"),
            Occasion::Yearly { month, day } => write!(f, "{month:02}-{day:02}"),
            Occasion::Lunar { month, day } => write!(f, "lunar {month:02}-{day:02}"),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Occasion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|text| text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))).collect()
    }

    /// Monday to Friday as `weekday` says, closed at the weekend.
    fn office(zone: &str, weekday: &[&str]) -> Hours {
        let day = || windows(weekday);
        Hours {
            name: HoursName::new("office"),
            time_zone: Zone::named(zone).unwrap(),
            week: [day(), day(), day(), day(), day(), vec![], vec![]],
            exceptions: vec![],
        }
    }

    fn on(occasion: Occasion, days: u8, open: &[&str]) -> Exception {
        Exception { name: Arc::from("special"), on: occasion, days, days_before: 0, open: windows(open) }
    }

    /// RFC 3339 in, so that the expectations can be checked with any other tool.
    fn at(text: &str) -> Time {
        let timestamp: Timestamp = text.parse().unwrap();
        Time::from_micros(timestamp.as_microsecond().unsigned_abs())
    }

    fn change(hours: &Hours, text: &str) -> Option<String> {
        hours.next_change(at(text)).map(Time::rfc3339)
    }

    #[test]
    fn an_office_opens_and_closes_on_the_minute() {
        let hours = office("Asia/Shanghai", &["09:00-12:00", "13:00-18:00"]);
        assert!(!hours.is_open(at("2026-11-23T08:59:59.999999+08:00")));
        assert!(hours.is_open(at("2026-11-23T09:00:00+08:00")));
        assert!(!hours.is_open(at("2026-11-23T12:00:00+08:00")));
        assert!(hours.is_open(at("2026-11-23T17:59:59+08:00")));
        assert!(!hours.is_open(at("2026-11-22T10:00:00+08:00")), "a Sunday");
        assert_eq!(change(&hours, "2026-11-23T11:00:00+08:00").unwrap(), "2026-11-23T04:00:00.000Z");
        assert_eq!(change(&hours, "2026-11-20T18:00:00+08:00").unwrap(), "2026-11-23T01:00:00.000Z");
    }

    #[test]
    fn a_night_shift_stays_open_past_midnight() {
        let hours = office("Asia/Shanghai", &["22:00-06:00"]);
        assert!(hours.is_open(at("2026-11-24T03:00:00+08:00")));
        assert!(hours.is_open(at("2026-11-28T05:59:00+08:00")), "Friday's shift on Saturday morning");
        assert!(!hours.is_open(at("2026-11-28T06:00:00+08:00")));
        assert_eq!(change(&hours, "2026-11-23T23:00:00+08:00").unwrap(), "2026-11-23T22:00:00.000Z");
    }

    #[test]
    fn around_the_clock_never_changes() {
        let mut hours = office("Europe/Berlin", &["00:00-24:00"]);
        hours.week[5] = vec![Window::ALL_DAY];
        hours.week[6] = vec![Window::ALL_DAY];
        assert!(hours.is_open(at("2026-03-29T02:30:00Z")));
        assert_eq!(hours.next_change(at("2026-03-28T12:00:00Z")), None);
        hours.exceptions = vec![on(Occasion::Date(date(2026, 12, 25)), 1, &[])];
        assert_eq!(change(&hours, "2026-03-28T12:00:00Z").unwrap(), "2026-12-24T23:00:00.000Z");
        assert_eq!(change(&hours, "2026-12-25T12:00:00+01:00").unwrap(), "2026-12-25T23:00:00.000Z");
    }

    #[test]
    fn the_wall_clock_rules_when_daylight_saving_begins_and_ends() {
        let mut hours = office("Europe/Berlin", &["09:00-17:00"]);
        hours.week[6] = windows(&["02:30-10:00"]);
        // Friday 16:00 UTC is 17:00 in winter; the Monday after the change opens an hour earlier in UTC.
        assert_eq!(change(&hours, "2026-03-27T07:00:00Z").unwrap(), "2026-03-27T08:00:00.000Z");
        assert_eq!(change(&hours, "2026-03-29T12:00:00Z").unwrap(), "2026-03-30T07:00:00.000Z");
        // 02:30 does not exist on 2026-03-29: the door opens at 03:30 summer time.
        assert_eq!(change(&hours, "2026-03-28T12:00:00Z").unwrap(), "2026-03-29T01:30:00.000Z");
        assert!(!hours.is_open(at("2026-03-29T01:15:00Z")));
        // 02:30 happens twice on 2026-10-25: it opens at the first.
        assert_eq!(change(&hours, "2026-10-24T12:00:00Z").unwrap(), "2026-10-25T00:30:00.000Z");
        assert!(hours.is_open(at("2026-10-25T01:15:00Z")));
    }

    #[test]
    fn exceptions_beat_the_week_and_the_first_wins() {
        let mut hours = office("Asia/Shanghai", &["09:00-18:00"]);
        hours.exceptions = vec![
            on(Occasion::Date(date(2026, 10, 10)), 1, &["09:00-12:00"]),
            on(Occasion::Yearly { month: 10, day: 1 }, 10, &[]),
        ];
        assert!(!hours.is_open(at("2026-10-08T10:00:00+08:00")), "a Thursday in the holidays");
        assert!(hours.is_open(at("2026-10-10T10:00:00+08:00")), "a Saturday worked instead, inside of the holidays");
        assert!(!hours.is_open(at("2026-10-10T13:00:00+08:00")));
        assert!(hours.is_open(at("2027-09-30T10:00:00+08:00")));
        assert!(!hours.is_open(at("2027-10-01T10:00:00+08:00")), "every year");
        let verdict = hours.verdict(at("2026-10-08T10:00:00+08:00"));
        assert_eq!(verdict.exception.as_deref(), Some("special"));
        assert_eq!(verdict.changes_at, Some(at("2026-10-10T09:00:00+08:00")));
    }

    #[test]
    fn the_spring_festival_follows_the_moon() {
        let mut hours = office("Asia/Shanghai", &["09:00-18:00"]);
        let mut festival = on(Occasion::Lunar { month: 1, day: 1 }, 8, &[]);
        festival.days_before = 1;
        hours.exceptions = vec![festival];
        let open = |text: &str| hours.is_open(at(text));
        assert!(!open("2026-02-16T10:00:00+08:00"), "the eve");
        assert!(!open("2026-02-23T10:00:00+08:00"), "the seventh day");
        assert!(open("2026-02-24T10:00:00+08:00"));
        assert!(open("2027-02-04T10:00:00+08:00"));
        assert!(!open("2027-02-05T10:00:00+08:00"), "the eve of 2027-02-06");
    }

    #[test]
    fn a_leap_day_holiday_comes_every_fourth_year() {
        let mut hours = office("UTC", &["00:00-24:00"]);
        hours.exceptions = vec![on(Occasion::Yearly { month: 2, day: 29 }, 1, &[])];
        assert!(!hours.is_open(at("2028-02-29T10:00:00Z")));
        assert!(hours.is_open(at("2027-03-01T10:00:00Z")));
    }

    #[test]
    fn a_misspelt_window_says_why() {
        let why = |text: &str| text.parse::<Window>().unwrap_err();
        assert_eq!(why("9-18"), NotAWindow::Shape);
        assert_eq!(why("09:00"), NotAWindow::Shape);
        assert_eq!(why("09:60-10:00"), NotAWindow::Clock);
        assert_eq!(why("09:00-25:00"), NotAWindow::Clock);
        assert_eq!(why("24:00-06:00"), NotAWindow::Clock);
        assert_eq!(why("09:00-09:00"), NotAWindow::Empty);
        assert_eq!("22:00-06:00".parse::<Window>().unwrap().to_string(), "22:00-06:00");
        assert_eq!(Window::ALL_DAY.to_string(), "00:00-24:00");
    }

    proptest! {
        #[test]
        fn nothing_changes_before_the_next_change(
            opens in 0u16..1440, length in 1u16..1440, seconds in 1_700_000_000u64..2_000_000_000, zone in 0usize..4,
        ) {
            let zone = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"][zone];
            let mut hours = office(zone, &[]);
            for day in &mut hours.week {
                *day = vec![Window { opens_min: opens, closes_min: opens + length }];
            }
            let now = Time::from_secs(seconds);
            let open = hours.is_open(now);
            if let Some(change) = hours.next_change(now) {
                prop_assert!(change > now);
                prop_assert_eq!(hours.is_open(change), !open);
                let before = change - core::time::Duration::from_micros(1);
                prop_assert_eq!(hours.is_open(before), open);
                let half = Time::from_micros(now.as_micros() / 2 + before.as_micros() / 2);
                prop_assert_eq!(hours.is_open(half.max(now)), open);
            }
        }
    }
}

//! The Chinese calendar as data, for holidays that follow the moon: 2020 to 2050.
//!
//! A lunar month begins on the day of the new moon at 120° E and has 29 or 30 days; a leap month repeats the number of
//! the one before it (GB/T 33661-2017). The rows agree with two independent calendar libraries, day by day.

use jiff::civil::Date;

/// (year, month and day its first day falls on, the month a leap month follows or 0, a `1` for each month of 30 days).
type LunarYear = (i16, (i8, i8), u8, &'static str);

#[rustfmt::skip]
static YEARS: &[LunarYear] = &[
    (2020, (1, 25), 4, "0111010010101"),
    (2021, (2, 12), 0, "011010101010"),
    (2022, (2, 1), 0, "101011010101"),
    (2023, (1, 22), 2, "0100110110101"),
    (2024, (2, 10), 0, "010010110110"),
    (2025, (1, 29), 6, "1010010101110"),
    (2026, (2, 17), 0, "101001001110"),
    (2027, (2, 6), 0, "110100100110"),
    (2028, (1, 26), 5, "1110100100110"),
    (2029, (2, 13), 0, "110101010011"),
    (2030, (2, 3), 0, "010110101010"),
    (2031, (1, 23), 3, "0110101101010"),
    (2032, (2, 11), 0, "100101101101"),
    (2033, (1, 31), 11, "0100101011101"),
    (2034, (2, 19), 0, "010010101101"),
    (2035, (2, 8), 0, "101001001101"),
    (2036, (1, 28), 6, "1101001001011"),
    (2037, (2, 15), 0, "110100100101"),
    (2038, (2, 4), 0, "110101010010"),
    (2039, (1, 24), 5, "1101101010100"),
    (2040, (2, 12), 0, "101101011010"),
    (2041, (2, 1), 0, "010101101101"),
    (2042, (1, 22), 2, "0100101011011"),
    (2043, (2, 10), 0, "010010011011"),
    (2044, (1, 30), 7, "1010010010111"),
    (2045, (2, 17), 0, "101001001011"),
    (2046, (2, 6), 0, "101010100101"),
    (2047, (1, 26), 5, "1011010100101"),
    (2048, (2, 14), 0, "011011010010"),
    (2049, (2, 2), 0, "101011011010"),
    (2050, (1, 23), 3, "0101010110110"),
];

/// First and last year of the table, by the lunar year.
pub const YEARS_KNOWN: (i16, i16) = (2020, 2050);

/// A day of the Chinese calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LunarDay {
    pub year: i16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 30.
    pub day: u8,
    /// Whether the month is the leap one of its number; no holiday falls in it.
    pub leap: bool,
}

/// The lunar day of a date; `None` outside of the table.
pub fn lunar_day(date: Date) -> Option<LunarDay> {
    let (year, start, leap_after, lengths) =
        YEARS.iter().rev().find_map(|&(year, (month, day), leap_after, lengths)| {
            let start = Date::new(year, month, day).ok()?;
            (start <= date).then_some((year, start, leap_after, lengths))
        })?;
    let mut rest = u32::try_from(date.since(start).ok()?.get_days()).ok()?;
    let mut month = 0;
    for (at, length) in lengths.bytes().map(|b| if b == b'1' { 30 } else { 29 }).enumerate() {
        let leap = leap_after > 0 && at == usize::from(leap_after);
        month += u8::from(!leap);
        if rest < length {
            let day = u8::try_from(rest + 1).expect("a day of a month is at most 30");
            return Some(LunarDay { year, month, day, leap });
        }
        rest -= length;
    }
    None
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn day(year: i16, month: i8, day: i8) -> (u8, u8, bool) {
        let lunar = lunar_day(date(year, month, day)).expect("a year of the table");
        (lunar.month, lunar.day, lunar.leap)
    }

    #[test]
    fn festivals_fall_where_the_almanac_says() {
        assert_eq!(day(2026, 2, 17), (1, 1, false), "Spring Festival 2026");
        assert_eq!(day(2026, 2, 16), (12, 29, false), "its eve");
        assert_eq!(day(2026, 6, 19), (5, 5, false), "Dragon Boat 2026");
        assert_eq!(day(2026, 9, 25), (8, 15, false), "Mid-Autumn 2026");
        assert_eq!(day(2025, 10, 6), (8, 15, false), "Mid-Autumn 2025, after a leap sixth month");
        assert_eq!(day(2025, 7, 25), (6, 1, true));
        assert_eq!(day(2033, 12, 22), (11, 1, true), "the leap eleventh month of 2033");
        assert_eq!(day(2050, 1, 23), (1, 1, false));
    }

    #[test]
    fn each_year_ends_where_the_next_begins() {
        for pair in YEARS.windows(2) {
            let [(year, (month, day), leap, lengths), (next, (next_month, next_day), ..)] = pair else { continue };
            let days: i32 = lengths.bytes().map(|b| if b == b'1' { 30 } else { 29 }).sum();
            let start = date(*year, *month, *day);
            let end = date(*next, *next_month, *next_day);
            assert_eq!(end.since(start).unwrap().get_days(), days, "{year}");
            assert_eq!(lengths.len(), 12 + usize::from(*leap > 0), "{year}");
        }
    }

    #[test]
    fn outside_of_the_table_there_is_no_lunar_day() {
        assert_eq!(lunar_day(date(2020, 1, 24)), None);
        assert_eq!(lunar_day(date(2051, 2, 11)), None);
        assert_eq!(YEARS_KNOWN, (YEARS[0].0, YEARS[YEARS.len() - 1].0));
    }
}

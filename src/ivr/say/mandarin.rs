//! Mandarin: 两千零五十、一十五万、十二元零五分、二零二六年十一月二十一日。
//!
//! 二 or 两: a number is counted with 二 in its ones, tens and hundreds; 两 stands before 千, 万 and 亿 where the
//! number begins with it, and before a measure word (元, 分钟) where the whole number is two. An ordinal is 第二.
//! 零 stands once where a place is empty between two that are not. 十 begins a number, inside one it is 一十.

use crate::dialplan::value::{Date, Money};
use crate::ids::PromptName;

use super::{after_point, day, letters, month, numeral, word};

/// Words beside those of both grammars.
pub(super) const VOCABULARY: &[&str] = &[
    "number/liang",
    "number/ten_thousand",
    "number/hundred_million",
    "date/year",
    "money/yuan",
    "money/jiao",
    "money/fen",
    "money/us_dollars",
    "money/us_cents",
    "money/euros",
    "money/euro_cents",
    "money/pounds",
    "money/pence",
    "money/hong_kong_dollars",
    "money/yen",
];

const WAN: u64 = 10_000;
const YI: u64 = 100_000_000;

pub(super) fn number(number: i64) -> Vec<PromptName> {
    let mut words = sign(number);
    words.extend(cardinal(number.unsigned_abs()));
    words
}

fn sign(number: i64) -> Vec<PromptName> {
    if number < 0 { vec![word("number/minus")] } else { Vec::new() }
}

fn cardinal(number: u64) -> Vec<PromptName> {
    let mut words = Vec::new();
    match number {
        0 => words.push(numeral(0)),
        _ => any(number, true, &mut words),
    }
    words
}

/// Before a measure word: 两 for two.
fn counted(number: u64) -> Vec<PromptName> {
    if number == 2 { vec![word("number/liang")] } else { cardinal(number) }
}

/// A number above 0; `first` where nothing of the number was said before.
fn any(number: u64, first: bool, words: &mut Vec<PromptName>) {
    let (unit, name) = match number {
        YI.. => (YI, "number/hundred_million"),
        WAN.. => (WAN, "number/ten_thousand"),
        _ => return below_wan(number, first, words),
    };
    let (units, rest) = (number / unit, number % unit);
    match units {
        2 if first => words.push(word("number/liang")),
        _ => any(units, first, words),
    }
    words.push(word(name));
    if rest > 0 {
        if rest < unit / 10 {
            words.push(numeral(0));
        }
        any(rest, false, words);
    }
}

fn below_wan(number: u64, first: bool, words: &mut Vec<PromptName>) {
    let (thousands, hundreds, rest) = (number / 1_000, number / 100 % 10, number % 100);
    if thousands > 0 {
        let count = if thousands == 2 && first { word("number/liang") } else { numeral(thousands) };
        words.extend([count, word("number/thousand")]);
    }
    if hundreds > 0 {
        words.extend([numeral(hundreds), word("number/hundred")]);
    }
    if rest == 0 {
        return;
    }
    let gap = (hundreds == 0 && thousands > 0) || (hundreds > 0 && rest < 10);
    if gap {
        words.push(numeral(0));
    }
    let begins = first && number < 100;
    if (10..20).contains(&rest) && !begins {
        words.push(numeral(1));
    }
    words.push(numeral(rest));
}

/// The year digit by digit, then month and day.
pub(super) fn date(date: Date) -> Vec<PromptName> {
    let digits = date.year().to_string();
    let digits = digits.bytes().map(|digit| numeral(u64::from(digit - b'0')));
    digits.chain([word("date/year"), month(date.month()), day(date.day())]).collect()
}

pub(super) fn money(Money(amount): Money, currency: &str) -> Vec<PromptName> {
    let mut words = sign(amount);
    let (units, hundredths) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
    words.extend(match currency {
        "CNY" => yuan(units, hundredths),
        "USD" => with_cents(units, hundredths, "money/us_dollars", "money/us_cents"),
        "EUR" => with_cents(units, hundredths, "money/euros", "money/euro_cents"),
        "GBP" => with_cents(units, hundredths, "money/pounds", "money/pence"),
        "HKD" => with_point(units, hundredths, [word("money/hong_kong_dollars")]),
        "JPY" => with_point(units, hundredths, [word("money/yen")]),
        code => with_point(units, hundredths, letters(code)),
    });
    words
}

/// 元, 角, 分; 零 where there is no 角 between the two others.
fn yuan(units: u64, hundredths: u64) -> Vec<PromptName> {
    let (jiao, fen) = (hundredths / 10, hundredths % 10);
    let mut words = Vec::new();
    if units > 0 || hundredths == 0 {
        words.extend(counted(units));
        words.push(word("money/yuan"));
        if jiao == 0 && fen > 0 {
            words.push(numeral(0));
        }
    }
    for (count, name) in [(jiao, "money/jiao"), (fen, "money/fen")] {
        if count > 0 {
            // 两角 by itself, 五元二角 after something.
            words.extend(if words.is_empty() { counted(count) } else { vec![numeral(count)] });
            words.push(word(name));
        }
    }
    words
}

fn with_cents(units: u64, hundredths: u64, unit: &str, hundredth: &str) -> Vec<PromptName> {
    let mut words = Vec::new();
    if units > 0 || hundredths == 0 {
        words.extend(counted(units));
        words.push(word(unit));
    }
    if hundredths > 0 {
        words.extend(counted(hundredths));
        words.push(word(hundredth));
    }
    words
}

fn with_point(units: u64, hundredths: u64, unit: impl IntoIterator<Item = PromptName>) -> Vec<PromptName> {
    let mut words = if hundredths > 0 { cardinal(units) } else { counted(units) };
    if hundredths > 0 {
        words.extend(after_point(hundredths));
    }
    words.extend(unit);
    words
}

pub(super) fn minutes(minutes: u32) -> Vec<PromptName> {
    let mut words = counted(u64::from(minutes));
    words.push(word("wait/minutes"));
    words
}

pub(super) fn minutes_between(low: u32, high: u32) -> Vec<PromptName> {
    let mut words = counted(u64::from(low));
    words.push(word("wait/to"));
    words.extend(minutes(high));
    words
}

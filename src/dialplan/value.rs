//! What a variable of a dialplan holds: a [`Type`] declared in the file and a [`Value`] of that type.
//!
//! A value is made from the keys a caller pressed ([`Type::from_keys`]), from the text an administrator wrote
//! ([`Type::from_text`]) or from the JSON a company system answered ([`Type::from_json`]); each says `None` to what
//! is no value of the type. A secret prints as dots wherever it is printed.

use core::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The type of a variable, as `[vars]` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Any words.
    Text,
    /// A whole number, 64 bits, signed.
    Number,
    /// An amount in the hundredth part of a currency's unit (fen, cents).
    Money,
    /// Keys of a telephone: `0`–`9`, `*`, `#`. Can stand wherever text can.
    Digits,
    Bool,
    /// A calendar day.
    Date,
    /// Keys nobody may see or hear again: a card number, a PIN.
    Secret,
}

impl Type {
    pub const ALL: [Type; 7] =
        [Type::Text, Type::Number, Type::Money, Type::Digits, Type::Bool, Type::Date, Type::Secret];

    /// The name used in `[vars]`.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Text => "text",
            Type::Number => "number",
            Type::Money => "money",
            Type::Digits => "digits",
            Type::Bool => "bool",
            Type::Date => "date",
            Type::Secret => "secret",
        }
    }

    pub fn from_name(name: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Whether a value of this type may be kept in a variable of type `target`. Digits are text; nothing else mixes.
    pub fn fits(self, target: Type) -> bool {
        self == target || (self == Type::Digits && target == Type::Text)
    }

    /// The value that stands for "nothing known": `""`, 0, `false`, 1970-01-01.
    pub fn empty(self) -> Value {
        match self {
            Type::Text => Value::Text(Arc::from("")),
            Type::Number => Value::Number(0),
            Type::Money => Value::Money(Money(0)),
            Type::Digits => Value::Digits(Arc::from("")),
            Type::Bool => Value::Bool(false),
            Type::Date => Value::Date(Date::EPOCH),
            Type::Secret => Value::Secret(Secret::new("")),
        }
    }

    /// The value a caller means by these keys (the terminating key already taken off).
    ///
    /// Money is keyed in units with `*` as the decimal point (`12*50`), a date as `YYYYMMDD`; yes is `1`, no is `0`.
    pub fn from_keys(self, keys: &str) -> Option<Value> {
        if keys.is_empty() || !keys.chars().all(is_key) {
            return None;
        }
        match self {
            Type::Text => Some(Value::Text(Arc::from(keys))),
            Type::Digits => Some(Value::Digits(Arc::from(keys))),
            Type::Secret => Some(Value::Secret(Secret::new(keys))),
            Type::Number => keys.parse().ok().map(Value::Number),
            Type::Money => Money::parse(&keys.replace('*', ".")).map(Value::Money),
            Type::Date => Date::from_compact(keys).map(Value::Date),
            Type::Bool => match keys {
                "1" => Some(Value::Bool(true)),
                "0" => Some(Value::Bool(false)),
                _ => None,
            },
        }
    }

    /// The value written as text: `12.50` is money, `2026-11-21` a date, `true` a bool.
    pub fn from_text(self, text: &str) -> Option<Value> {
        match self {
            Type::Text => Some(Value::Text(Arc::from(text))),
            Type::Digits => text.chars().all(is_key).then(|| Value::Digits(Arc::from(text))),
            Type::Secret => Some(Value::Secret(Secret::new(text))),
            Type::Number => text.parse().ok().map(Value::Number),
            Type::Money => Money::parse(text).map(Value::Money),
            Type::Date => Date::parse(text).map(Value::Date),
            Type::Bool => text.parse().ok().map(Value::Bool),
        }
    }

    /// The value a company system answered. Numbers may come as JSON numbers or as text; an amount of money is in
    /// units of its currency (`12.5` is 12 yuan 50).
    pub fn from_json(self, json: &serde_json::Value) -> Option<Value> {
        match json {
            serde_json::Value::String(text) => self.from_text(text),
            serde_json::Value::Bool(yes) if self == Type::Bool => Some(Value::Bool(*yes)),
            serde_json::Value::Number(number) if self != Type::Bool => self.from_text(&number.to_string()),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value of one of the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Arc<str>),
    Number(i64),
    Money(Money),
    Digits(Arc<str>),
    Bool(bool),
    Date(Date),
    Secret(Secret),
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }

    pub fn digits(keys: &str) -> Value {
        Value::Digits(Arc::from(keys))
    }

    pub const fn type_of(&self) -> Type {
        match self {
            Value::Text(_) => Type::Text,
            Value::Number(_) => Type::Number,
            Value::Money(_) => Type::Money,
            Value::Digits(_) => Type::Digits,
            Value::Bool(_) => Type::Bool,
            Value::Date(_) => Type::Date,
            Value::Secret(_) => Type::Secret,
        }
    }

    /// This value as a value of `target`: digits become text where text is wanted, a value of any other wrong type
    /// becomes the empty one. The checked model never asks for the latter.
    pub fn into_type(self, target: Type) -> Value {
        match (self, target) {
            (Value::Digits(keys), Type::Text) => Value::Text(keys),
            (value, target) if value.type_of() == target => value,
            (_, target) => target.empty(),
        }
    }

    /// As JSON for a company system and for the agent's screen: money as a decimal number's text, a date as
    /// `2026-11-21`, a secret as `null` (a secure `http` step takes it by [`Secret::expose`]).
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) | Value::Digits(text) => serde_json::Value::from(&**text),
            Value::Number(number) => serde_json::Value::from(*number),
            Value::Bool(yes) => serde_json::Value::from(*yes),
            Value::Money(_) | Value::Date(_) => serde_json::Value::from(self.to_string()),
            Value::Secret(_) => serde_json::Value::Null,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Digits(text) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
            Value::Money(money) => write!(f, "{money}"),
            Value::Bool(yes) => write!(f, "{yes}"),
            Value::Date(date) => write!(f, "{date}"),
            Value::Secret(secret) => write!(f, "{secret:?}"),
        }
    }
}

/// An amount in hundredths of the currency's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i64);

impl Money {
    /// Reads `12`, `12.5`, `12.50`, `-3.00`; at most two decimals.
    pub fn parse(text: &str) -> Option<Money> {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (units, part) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if units.is_empty() || !all_digits(units) || !all_digits(part) || part.len() > 2 {
            return None;
        }
        let units: i64 = units.parse().ok()?;
        let hundredths: i64 = format!("{part:0<2}").parse().ok()?;
        units.checked_mul(100)?.checked_add(hundredths).map(|amount| Money(sign * amount))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let hundredths = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// A day of the Gregorian calendar, years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    pub const EPOCH: Date = Date { year: 1970, month: 1, day: 1 };

    /// `None` where the calendar has no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Date> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            _ => return None,
        };
        ((1..=9999).contains(&year) && (1..=last).contains(&day)).then_some(Date { year, month, day })
    }

    pub const fn year(self) -> u16 {
        self.year
    }

    /// 1–12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// 1–31.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// Reads `2026-11-21` (RFC 3339 full-date).
    pub fn parse(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        Date::from_compact(&text.replace('-', ""))
    }

    /// Reads `20261121`, as a caller keys it.
    fn from_compact(keys: &str) -> Option<Date> {
        if keys.len() != 8 || !keys.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Date::new(keys[..4].parse().ok()?, keys[4..6].parse().ok()?, keys[6..].parse().ok()?)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Keys nobody may see: no `Display`, and `Debug` prints dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(keys: &str) -> Secret {
        Secret(Arc::from(keys))
    }

    /// The keys in clear. Only the sender of a secure `http` step may call this.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("••••")
    }
}

/// A key of a telephone: `0`–`9`, `*` or `#`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

impl Key {
    pub fn new(key: char) -> Option<Key> {
        let byte = u8::try_from(key).ok()?;
        is_key(key).then_some(Key(byte))
    }

    pub const fn as_char(self) -> char {
        self.0 as char
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

fn is_key(c: char) -> bool {
    c.is_ascii_digit() || c == '*' || c == '#'
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_become_the_value_the_caller_means() {
        assert_eq!(Type::Number.from_keys("0042"), Some(Value::Number(42)));
        assert_eq!(Type::Money.from_keys("12*5"), Some(Value::Money(Money(1_250))));
        assert_eq!(Type::Date.from_keys("20240229"), Date::new(2024, 2, 29).map(Value::Date));
        assert_eq!(Type::Date.from_keys("20230229"), None);
        assert_eq!(Type::Number.from_keys("12*5"), None);
        assert_eq!(Type::Number.from_keys("99999999999999999999"), None);
        assert_eq!(Type::Digits.from_keys(""), None);
    }

    #[test]
    fn answers_of_company_systems_become_values_or_nothing() {
        assert_eq!(Type::Money.from_json(&json!(12.5)), Some(Value::Money(Money(1_250))));
        assert_eq!(Type::Money.from_json(&json!("-0.07")), Some(Value::Money(Money(-7))));
        assert_eq!(Type::Money.from_json(&json!(1.234)), None);
        assert_eq!(Type::Number.from_json(&json!(2.5)), None);
        assert_eq!(Type::Number.from_json(&json!("7")), Some(Value::Number(7)));
        assert_eq!(Type::Bool.from_json(&json!(true)), Some(Value::Bool(true)));
        assert_eq!(Type::Bool.from_json(&json!(1)), None);
        assert_eq!(Type::Text.from_json(&json!({"a": 1})), None);
        assert_eq!(Type::Date.from_json(&json!("2026-11-21")), Date::new(2026, 11, 21).map(Value::Date));
        assert_eq!(Type::Date.from_json(&json!("2026-1-2é")), None);
    }

    #[test]
    fn a_secret_never_prints() {
        let secret = Value::Secret(Secret::new("4111111111111111"));
        assert!(!format!("{secret} {secret:?} {}", secret.to_json()).contains('4'));
    }

    #[test]
    fn money_prints_its_hundredths() {
        for text in ["0.00", "12.05", "-3.40"] {
            assert_eq!(Money::parse(text).map(|m| m.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Money::parse("92233720368547758.08"), None);
        assert_eq!(Money::parse("."), None);
    }
}

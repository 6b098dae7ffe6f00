//! A pattern of numbers: one number, or every number that begins so.

use core::fmt;

use serde::{Serialize, Serializer};

use crate::number::{Home, NotANumber, Number};

/// `+862095539`, `95539`, `+8620*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    Exact(Number),
    /// The beginning of a number in its one spelling; empty matches every number.
    Prefix(String),
}

impl Pattern {
    /// Reads a pattern of called numbers. An exact one is normalised as any number is; a prefix is taken as it
    /// stands (`+8620*`, `955*`), for half a number has no one spelling.
    pub fn parse(text: &str, home: &Home) -> Result<Self, NotANumber> {
        match text.trim().strip_suffix('*') {
            None => Number::normalise(text, home).map(Pattern::Exact),
            Some(start) => Self::beginning(start),
        }
    }

    /// Reads the prefix of a route out: as [`Pattern::parse`], but a bare `+86` means every number that begins so.
    pub fn parse_prefix(text: &str) -> Result<Self, NotANumber> {
        Self::beginning(text.trim().trim_end_matches('*'))
    }

    fn beginning(start: &str) -> Result<Self, NotANumber> {
        let digits = start.strip_prefix('+').unwrap_or(start);
        match digits.chars().find(|c| !c.is_ascii_digit()) {
            Some(odd) => Err(NotANumber::Character(odd)),
            None => Ok(Pattern::Prefix(start.to_owned())),
        }
    }

    pub fn matches(&self, number: &Number) -> bool {
        match self {
            Pattern::Exact(exact) => exact == number,
            Pattern::Prefix(start) => number.as_str().starts_with(start.as_str()),
        }
    }

    /// How specific it is: an exact number beats every prefix, a longer prefix a shorter one. Greater wins.
    pub fn specificity(&self) -> usize {
        match self {
            Pattern::Exact(_) => usize::MAX,
            Pattern::Prefix(start) => start.len(),
        }
    }

    /// Whether numbers that match can lie outside the country of `home`.
    pub fn reaches_abroad(&self, home: &Home) -> bool {
        match self {
            Pattern::Exact(number) => number.is_international(home),
            Pattern::Prefix(start) => match start.strip_prefix('+') {
                Some(digits) => !digits.starts_with(home.country.code),
                None => start.is_empty(),
            },
        }
    }

    /// Whether every number that matches lies outside the country of `home`.
    pub fn is_abroad(&self, home: &Home) -> bool {
        match self {
            Pattern::Exact(number) => number.is_international(home),
            Pattern::Prefix(start) => start
                .strip_prefix('+')
                .is_some_and(|digits| !digits.starts_with(home.country.code) && !home.country.code.starts_with(digits)),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(number) => write!(f, "{number}"),
            Pattern::Prefix(start) => write!(f, "{start}*"),
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::country;

    fn china() -> Home {
        Home::new(country("86").unwrap())
    }

    #[test]
    fn an_exact_number_may_be_written_as_people_do() {
        let pattern = Pattern::parse("020 3812 3456", &china()).unwrap();
        assert_eq!(pattern.to_string(), "+862038123456");
        assert!(pattern.matches(&Number::normalise("008620 38123456", &china()).unwrap()));
    }

    #[test]
    fn abroad_is_told_from_home_by_the_code() {
        let abroad = |text: &str| {
            let pattern = Pattern::parse_prefix(text).unwrap();
            (pattern.reaches_abroad(&china()), pattern.is_abroad(&china()))
        };
        assert_eq!(abroad("+86"), (false, false));
        assert_eq!(abroad("+8613*"), (false, false));
        assert_eq!(abroad("+8"), (true, false), "+8 is home and abroad");
        assert_eq!(abroad("*"), (true, false));
        assert_eq!(abroad("+1"), (true, true));
        assert_eq!(abroad("955"), (false, false));
    }

    #[test]
    fn a_prefix_holds_digits_only() {
        assert_eq!(Pattern::parse_prefix("+86-20"), Err(NotANumber::Character('-')));
        assert_eq!(Pattern::parse("9#5*", &china()), Err(NotANumber::Character('#')));
    }
}

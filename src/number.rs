//! Telephone numbers: E.164 at the edge, short service numbers as they are, masked for logs.
//!
//! Everything behind the edge sees one spelling of a number: `+8613800138000` for a subscriber anywhere in the world
//! (ITU-T E.164), `95539` or `1001` for a short number that means something only at home. The rules by which a
//! country writes its numbers are data: [`country`].

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use countries::{COUNTRIES, Country, country};

mod countries;

/// The most digits an international number has (ITU-T E.164 §6.2.1).
pub const E164_DIGITS_MAX: usize = 15;
/// The fewest digits we take for an international number: no subscriber is reached with less.
pub const E164_DIGITS_MIN: usize = 7;

/// A number in its one spelling: `+` and 7–15 digits, or a number that is dialled at home only
/// (`95539`, `1001`, `*98`), of digits, `*` and `#`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Number(Arc<str>);

/// Where we are: the country whose rules spell a number dialled without `+`, and the area that a
/// subscriber number without area code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    pub country: &'static Country,
    /// National digits of our area (`20` for Guangzhou); `None` leaves local numbers as they are.
    pub area: Option<AreaCode>,
}

/// An area code: up to five national digits, without the national prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AreaCode {
    digits: [u8; 5],
    len: u8,
}

/// How a number is written towards a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// `+8613800138000`.
    #[default]
    E164,
    /// `8613800138000`: E.164 without the plus.
    Digits,
    /// As one dials it at home: `013800138000`, and `0012015550123` abroad.
    National,
}

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANumber {
    #[error("it is empty")]
    Empty,
    #[error("`{0}` does not belong in a number")]
    Character(char),
    #[error("it has {0} digits, and an international number has 7 to 15")]
    Length(usize),
    #[error("a number in +{code} has {min} to {max} digits after the country code, and this one has {found}")]
    NationalLength { code: &'static str, min: u8, max: u8, found: usize },
}

impl Number {
    /// Reads a number as a person, a phone or a trunk writes it: `+86 138-0013-8000`, `013800138000`,
    /// `0086…`, `tel:…;phone-context=…`, `sip:…@host`, the bare user part of either, or a short number.
    ///
    /// What is neither international nor a full number of `home` stays as dialled, so that short service
    /// numbers and extensions keep their meaning.
    pub fn normalise(text: &str, home: &Home) -> Result<Self, NotANumber> {
        let (digits, context) = dial_string(text)?;
        let country = home.country;
        if country.is_emergency(&digits) {
            return Ok(Self::from_canonical(&digits));
        }
        if let Some(context) = context {
            return Self::global(&format!("{context}{digits}"));
        }
        if let Some(global) = digits.strip_prefix('+') {
            return Self::global(global);
        }
        if digits.contains(['*', '#']) {
            return Ok(Self::from_canonical(&digits));
        }
        if let Some(global) = country.international(&digits) {
            return Self::global(global);
        }
        match country.national(&digits, home.area) {
            Some(national) => Self::global(&format!("{}{national}", country.code)),
            None => Ok(Self::from_canonical(&digits)),
        }
    }

    /// `digits` after the plus, checked for length, and for the country's own lengths where we know the country.
    fn global(digits: &str) -> Result<Self, NotANumber> {
        if let Some(odd) = digits.chars().find(|c| !c.is_ascii_digit()) {
            return Err(NotANumber::Character(odd));
        }
        if !(E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len()) {
            return Err(NotANumber::Length(digits.len()));
        }
        if let Some(country) = Country::of(digits) {
            let found = digits.len() - country.code.len();
            let (min, max) = country.national_digits;
            if !(usize::from(min)..=usize::from(max)).contains(&found) {
                return Err(NotANumber::NationalLength { code: country.code, min, max, found });
            }
        }
        Ok(Self::from_canonical(&format!("+{digits}")))
    }

    fn from_canonical(text: &str) -> Self {
        Self(Arc::from(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means the same everywhere (starts with `+`).
    pub fn is_global(&self) -> bool {
        self.0.starts_with('+')
    }

    /// Whether a call to it leaves the country of `home`. Short numbers never do.
    pub fn is_international(&self, home: &Home) -> bool {
        match self.0.strip_prefix('+') {
            Some(digits) => !home.country.owns(digits),
            None => false,
        }
    }

    /// Whether it is an emergency number of `home`.
    pub fn is_emergency(&self, home: &Home) -> bool {
        home.country.is_emergency(&self.0)
    }

    /// As a trunk wants it. Short numbers have one spelling only.
    pub fn written(&self, home: &Home, format: NumberFormat) -> String {
        let Some(digits) = self.0.strip_prefix('+') else { return self.0.to_string() };
        match format {
            NumberFormat::E164 => self.0.to_string(),
            NumberFormat::Digits => digits.to_owned(),
            NumberFormat::National => home.country.dialled(digits),
        }
    }

    /// For logs and traces: the middle is gone, enough is left to recognise a number one knows:
    /// `+86138****8000`. Short numbers name services, not people, and stay readable.
    pub fn masked(&self) -> String {
        let Some(digits) = self.0.strip_prefix('+') else { return mask(&self.0) };
        let code = Country::of(digits).map_or(digits.len().min(2), |country| country.code.len());
        let (code, national) = digits.split_at(code);
        format!("+{code}{}", mask(national))
    }
}

/// Masks digits without a country code: `13800138000` becomes `138****8000`. Six digits or fewer stay.
pub fn mask(digits: &str) -> String {
    let count = digits.chars().count();
    let (hidden, tail) = match count {
        0..=6 => return digits.to_owned(),
        7..=8 => (4, 2),
        _ => (4.max(count / 3), 4),
    };
    let head = count - hidden - tail;
    let stars = core::iter::repeat_n('*', hidden);
    digits.chars().take(head).chain(stars).chain(digits.chars().skip(head + hidden)).collect()
}

/// The digits dialled in `text`, with a leading `+` where written, and the digits of a global `phone-context`.
///
/// Visual separators go (RFC 3966 §5.1.1, and the spaces people write); parameters and the host part are cut off.
fn dial_string(text: &str) -> Result<(String, Option<String>), NotANumber> {
    let text = text.trim();
    let is_tel = starts_ignoring_case(text, "tel:");
    let is_sip = starts_ignoring_case(text, "sip:") || starts_ignoring_case(text, "sips:");
    let text = if is_tel || is_sip { text.split_once(':').map_or(text, |(_, rest)| rest) } else { text };
    let user = text.split('@').next().unwrap_or(text);
    let mut parts = user.split(';');
    let subscriber = parts.next().unwrap_or_default();
    let digits = without_separators(subscriber)?;
    if digits.is_empty() || digits == "+" {
        return Err(NotANumber::Empty);
    }
    // RFC 3966 §5.1.5: a local number is completed by its context where that is a global prefix.
    let context = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("phone-context"))
        .and_then(|(_, value)| value.strip_prefix('+'))
        .filter(|_| !digits.starts_with('+'));
    let context = context.map(without_separators).transpose()?;
    Ok((digits, context))
}

fn starts_ignoring_case(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn without_separators(text: &str) -> Result<String, NotANumber> {
    let mut kept = String::with_capacity(text.len());
    // Some trunks escape the plus: `%2B86…`.
    let text = text.strip_prefix("%2B").or(text.strip_prefix("%2b")).map_or(text.to_owned(), |rest| format!("+{rest}"));
    for c in text.chars() {
        match c {
            '+' if kept.is_empty() => kept.push('+'),
            '0'..='9' | '*' | '#' => kept.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            other => return Err(NotANumber::Character(other)),
        }
    }
    Ok(kept)
}

impl Home {
    pub const fn new(country: &'static Country) -> Self {
        Self { country, area: None }
    }
}

impl AreaCode {
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.digits[..usize::from(self.len)]).expect("an area code holds ASCII digits only")
    }
}

impl FromStr for AreaCode {
    type Err = NotANumber;
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_digit()) {
            return Err(NotANumber::Character(odd));
        }
        let mut digits = [0; 5];
        match text.len() {
            0 => Err(NotANumber::Empty),
            len @ 1..=5 => {
                digits[..len].copy_from_slice(text.as_bytes());
                Ok(Self { digits, len: u8::try_from(len).expect("at most five") })
            }
            long => Err(NotANumber::Length(long)),
        }
    }
}

impl fmt::Debug for AreaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Debug output reaches logs, so it is masked.
impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for Number {
    /// Takes the one spelling only: what we wrote ourselves.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let shape = match text.strip_prefix('+') {
            Some(digits) => Self::global(digits).is_ok(),
            None => !text.is_empty() && text.chars().all(|c| matches!(c, '0'..='9' | '*' | '#')),
        };
        if shape { Ok(Self::from_canonical(&text)) } else { Err(serde::de::Error::custom("not a normalised number")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn home(code: &str) -> Home {
        Home::new(country(code).expect("a country of the table"))
    }

    fn normal(text: &str, code: &str) -> String {
        Number::normalise(text, &home(code)).map_or_else(|e| format!("refused: {e}"), |n| n.to_string())
    }

    #[test]
    fn every_spelling_of_a_chinese_number_becomes_one() {
        for text in [
            "+86 138-0013-8000",
            "013800138000",
            "13800138000",
            "008613800138000",
            "0086 138 0013 8000",
            "tel:+86-138-0013-8000",
            "sip:+8613800138000@203.0.113.7;user=phone",
            "SIP:13800138000@gw.example",
            "+8613800138000;npdi;rn=+861380013",
            "tel:13800138000;phone-context=+86",
            "%2B8613800138000",
        ] {
            assert_eq!(normal(text, "86"), "+8613800138000", "{text}");
        }
        assert_eq!(normal("010-8888 1234", "86"), "+861088881234");
        assert_eq!(normal("(0371) 6666 1234", "86"), "+8637166661234");
        assert_eq!(normal("4008001234", "86"), "+864008001234");
    }

    #[test]
    fn short_service_numbers_and_extensions_stay_as_they_are() {
        for text in ["95539", "10086", "110", "12345", "1001", "*98", "**1#"] {
            assert_eq!(normal(text, "86"), text);
        }
        assert_eq!(normal("911", "1"), "911");
        assert_eq!(normal("112", "49"), "112");
        // The emergency number of Australia begins like an international prefix elsewhere.
        assert_eq!(normal("000", "61"), "000");
    }

    #[test]
    fn each_country_has_its_own_prefixes() {
        for (text, code, wanted) in [
            ("(201) 555-0123", "1", "+12015550123"),
            ("1 201 555 0123", "1", "+12015550123"),
            ("011 86 138 0013 8000", "1", "+8613800138000"),
            ("020 7946 0958", "44", "+442079460958"),
            ("00 1 201 555 0123", "44", "+12015550123"),
            ("030 901820", "49", "+4930901820"),
            ("01 42 68 53 00", "33", "+33142685300"),
            ("03-1234-5678", "81", "+81312345678"),
            ("010 1 201 555 0123", "81", "+12015550123"),
            ("2123 4567", "852", "+85221234567"),
            ("001 86 138 0013 8000", "852", "+8613800138000"),
            ("06 1234 5678", "39", "+390612345678"),
            ("8 495 123-45-67", "7", "+74951234567"),
        ] {
            assert_eq!(normal(text, code), wanted, "{text} in +{code}");
        }
    }

    #[test]
    fn a_local_number_gets_the_area_of_home() {
        let guangzhou = Home { area: Some("20".parse().unwrap()), ..home("86") };
        assert_eq!(Number::normalise("3812 3456", &guangzhou).unwrap().as_str(), "+862038123456");
        assert_eq!(Number::normalise("95539", &guangzhou).unwrap().as_str(), "95539");
        assert_eq!(normal("38123456", "86"), "38123456");
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_reason() {
        assert_eq!(normal("", "86"), "refused: it is empty");
        assert_eq!(normal("+", "86"), "refused: it is empty");
        assert_eq!(normal("alice", "86"), "refused: `a` does not belong in a number");
        assert_eq!(normal("+12+34567890", "86"), "refused: `+` does not belong in a number");
        assert_eq!(normal("+123", "86"), "refused: it has 3 digits, and an international number has 7 to 15");
        assert!(normal("+86138001380001234", "86").starts_with("refused: it has 17 digits"));
        assert_eq!(
            normal("+1201555012", "86"),
            "refused: a number in +1 has 10 to 10 digits after the country code, and this one has 9"
        );
        assert_eq!(normal("+86*1234567", "86"), "refused: `*` does not belong in a number");
    }

    #[test]
    fn a_number_is_written_as_the_trunk_wants_it() {
        let (china, states) = (home("86"), home("1"));
        let mobile = Number::normalise("13800138000", &china).unwrap();
        assert_eq!(mobile.written(&china, NumberFormat::E164), "+8613800138000");
        assert_eq!(mobile.written(&china, NumberFormat::Digits), "8613800138000");
        assert_eq!(mobile.written(&china, NumberFormat::National), "013800138000");
        assert_eq!(mobile.written(&states, NumberFormat::National), "0118613800138000");
        let short = Number::normalise("95539", &china).unwrap();
        assert_eq!(short.written(&china, NumberFormat::National), "95539");
    }

    #[test]
    fn international_is_what_leaves_the_country() {
        let china = home("86");
        let of = |text| Number::normalise(text, &china).unwrap().is_international(&china);
        assert!(of("+12015550123"));
        assert!(!of("13800138000"));
        assert!(!of("95539"));
        // +852 begins with +8 and +85, and is not +86.
        assert!(of("+85221234567"));
    }

    #[test]
    fn logs_show_a_masked_number() {
        let of = |text| Number::normalise(text, &home("86")).unwrap().masked();
        assert_eq!(of("13800138000"), "+86138****8000");
        assert_eq!(of("+85261234567"), "+85261****67");
        assert_eq!(of("+12015550123"), "+120****0123");
        assert_eq!(of("95539"), "95539");
        assert_eq!(mask("13800138000"), "138****8000");
        assert_eq!(format!("{:?}", Number::normalise("13800138000", &home("86")).unwrap()), "+86138****8000");
    }

    #[test]
    fn only_our_own_spelling_is_read_back_from_storage() {
        let number: Number = serde_json::from_str("\"+8613800138000\"").unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+8613800138000\"");
        assert!(serde_json::from_str::<Number>("\"13-8\"").is_err());
        assert!(serde_json::from_str::<Number>("\"\"").is_err());
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[+0-9 ()*#-]{0,24}", at in 0..COUNTRIES.len()) {
            let home = Home::new(&COUNTRIES[at]);
            if let Ok(once) = Number::normalise(&text, &home)
                && once.is_global()
            {
                prop_assert_eq!(Number::normalise(once.as_str(), &home), Ok(once));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            if let Ok(number) = Number::normalise(&text, &home("86")) {
                prop_assert!(!number.as_str().is_empty());
                prop_assert!(number.as_str().chars().all(|c| matches!(c, '+' | '0'..='9' | '*' | '#')));
                prop_assert!(!number.is_global() || number.as_str().len() <= 1 + E164_DIGITS_MAX);
            }
        }

        #[test]
        fn separators_never_matter(digits in "1[3-9][0-9]{9}", cut in 1usize..10) {
            let (a, b) = digits.split_at(cut);
            prop_assert_eq!(normal(&format!("+86 ({a})-{b}"), "86"), normal(&digits, "86"));
        }

        #[test]
        fn the_national_spelling_reads_back(at in 0..COUNTRIES.len(), tail in "[3-9][0-9]{14}") {
            let country = &COUNTRIES[at];
            let home = Home::new(country);
            let national = &tail[..usize::from(country.national_digits.1).min(E164_DIGITS_MAX - country.code.len())];
            let number = Number::normalise(&format!("+{}{national}", country.code), &home).unwrap();
            if !number.is_international(&home) && !country.national_prefix.is_empty() {
                let dialled = number.written(&home, NumberFormat::National);
                prop_assert_eq!(Number::normalise(&dialled, &home).unwrap(), number);
            }
        }

        #[test]
        fn a_mask_hides_at_least_four_digits_of_any_subscriber(national in "[1-9][0-9]{9,10}") {
            let masked = mask(&national);
            prop_assert_eq!(masked.len(), national.len());
            prop_assert!(masked.matches('*').count() >= 4);
            prop_assert_eq!(&masked[masked.len() - 4..], &national[national.len() - 4..]);
        }
    }
}

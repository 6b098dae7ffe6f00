//! A customer's card: who it is, how to reach and address them, what they are worth to us.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, Language};
use crate::limits::crm as limits;
use crate::number::{E164_DIGITS_MAX, E164_DIGITS_MIN, Number};
use crate::tier::Tier;

/// One customer. Two customers may share a phone (a family, a company); one may have several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    pub id: CustomerId,
    /// The name in Latin script, as English-speaking agents read it.
    #[serde(default, skip_serializing_if = "PersonName::is_empty")]
    pub name: PersonName,
    /// The name in Chinese script.
    #[serde(default, skip_serializing_if = "PersonName::is_empty")]
    pub name_zh: PersonName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salutation: Option<Salutation>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub company: String,
    /// E.164, the first is the one to call back; at most [`limits::CRM_PHONES`].
    #[serde(default)]
    pub phones: Vec<Phone>,
    #[serde(default)]
    pub tier: Tier,
    /// The language to greet them in, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whatever else the company keeps: usable in dialplans as `customer.NAME`. At most [`limits::CRM_ATTRIBUTES`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

impl Customer {
    /// A card with nothing on it but its id.
    pub fn new(id: CustomerId) -> Self {
        Self {
            id,
            name: PersonName::default(),
            name_zh: PersonName::default(),
            salutation: None,
            company: String::new(),
            phones: Vec::new(),
            tier: Tier::default(),
            language: None,
            attributes: BTreeMap::new(),
            notes: String::new(),
        }
    }

    /// The name to show in `language`, in the script that fits where both are known; the company, or the first phone,
    /// where no name is. Never empty unless the card is.
    pub fn display_name(&self, language: &Language) -> String {
        let (fitting, other) =
            if is_chinese(language) { (&self.name_zh, &self.name) } else { (&self.name, &self.name_zh) };
        [fitting, other]
            .into_iter()
            .find(|name| !name.is_empty())
            .map(PersonName::full)
            .or_else(|| (!self.company.is_empty()).then(|| self.company.clone()))
            .or_else(|| self.phones.first().map(Phone::to_string))
            .unwrap_or_default()
    }

    /// Every rule a card must keep, before it is saved. The text says what is wrong and what to do.
    pub fn check(&self) -> Result<(), CustomerError> {
        let named = !self.name.is_empty() || !self.name_zh.is_empty() || !self.company.is_empty();
        if !named && self.phones.is_empty() {
            return Err(CustomerError::Nobody);
        }
        if self.phones.len() > limits::CRM_PHONES {
            return Err(CustomerError::TooMany { what: "phones", limit: limits::CRM_PHONES });
        }
        if self.attributes.len() > limits::CRM_ATTRIBUTES {
            return Err(CustomerError::TooMany { what: "attributes", limit: limits::CRM_ATTRIBUTES });
        }
        let names = [&self.name, &self.name_zh];
        let short = names.iter().flat_map(|name| [&name.family, &name.given]).chain([&self.company]);
        let short = short.chain(self.attributes.keys()).chain(self.attributes.values());
        if short.map(String::len).any(|bytes| bytes > limits::CRM_FIELD_BYTES) {
            return Err(CustomerError::TooLong { what: "a name or attribute", limit: limits::CRM_FIELD_BYTES });
        }
        if self.notes.len() > limits::CRM_NOTES_BYTES {
            return Err(CustomerError::TooLong { what: "the notes", limit: limits::CRM_NOTES_BYTES });
        }
        let secrets = self.attributes.iter().filter(|(name, _)| name.starts_with(SECRET));
        if secrets.map(|(_, secret)| secret.len()).any(|bytes| bytes > limits::PASSWORD_BYTES_MAX) {
            return Err(CustomerError::TooLong { what: "a secret", limit: limits::PASSWORD_BYTES_MAX });
        }
        if serde_json::to_vec(self).map_or(usize::MAX, |card| card.len()) > limits::CRM_CARD_BYTES {
            return Err(CustomerError::TooLong { what: "the whole card", limit: limits::CRM_CARD_BYTES });
        }
        Ok(())
    }
}

/// Attributes whose name begins so are compared with what a caller keys, and never leave the store.
pub const SECRET: &str = "secret.";

/// Why a card cannot be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomerError {
    #[error("a customer needs a name, a company or a phone.")]
    Nobody,
    #[error("more than {limit} {what}: keep the ones in use.")]
    TooMany { what: &'static str, limit: usize },
    #[error("{what} is longer than {limit} bytes: shorten it.")]
    TooLong { what: &'static str, limit: usize },
}

/// A person's name in one script. Family and given are kept apart because the two languages join them differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PersonName {
    #[serde(default)]
    pub family: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub given: String,
}

impl PersonName {
    pub fn new(family: impl Into<String>, given: impl Into<String>) -> Self {
        Self { family: family.into(), given: given.into() }
    }

    pub fn is_empty(&self) -> bool {
        self.family.is_empty() && self.given.is_empty()
    }

    /// Family and given in the order of the script they are written in: `Xue Bai`, `白雪`.
    pub fn full(&self) -> String {
        if self.family.chars().chain(self.given.chars()).any(is_han) {
            return format!("{}{}", self.family, self.given);
        }
        format!("{} {}", self.given, self.family).trim().to_owned()
    }
}

/// How a person is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Salutation {
    Ms,
    Mrs,
    Mr,
    Dr,
    Prof,
}

impl Salutation {
    pub const ALL: [Salutation; 5] =
        [Salutation::Ms, Salutation::Mrs, Salutation::Mr, Salutation::Dr, Salutation::Prof];

    /// The word before an English family name.
    pub const fn english(self) -> &'static str {
        match self {
            Salutation::Ms => "Ms",
            Salutation::Mrs => "Mrs",
            Salutation::Mr => "Mr",
            Salutation::Dr => "Dr",
            Salutation::Prof => "Professor",
        }
    }

    /// The word after a Chinese family name. 女士 serves married and unmarried alike; 太太 would need the husband's name.
    pub const fn chinese(self) -> &'static str {
        match self {
            Salutation::Ms | Salutation::Mrs => "女士",
            Salutation::Mr => "先生",
            Salutation::Dr => "博士",
            Salutation::Prof => "教授",
        }
    }

    /// Its name in tables and JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Salutation::Ms => "ms",
            Salutation::Mrs => "mrs",
            Salutation::Mr => "mr",
            Salutation::Dr => "dr",
            Salutation::Prof => "prof",
        }
    }
}

impl FromStr for Salutation {
    type Err = UnknownWord;

    /// The code, the English or the Chinese word, in any case, with or without a full stop.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let word = text.trim().trim_end_matches('.');
        Self::ALL
            .into_iter()
            .find(|s| {
                word.eq_ignore_ascii_case(s.code()) || word.eq_ignore_ascii_case(s.english()) || word == s.chinese()
            })
            .ok_or(UnknownWord)
    }
}

/// The text is none of the known words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known word")]
pub struct UnknownWord;

/// A phone number as the store keeps it: E.164 with its plus sign, `+8613800138000`. Whoever has a number as people
/// write it normalises it first (`crate::number`): the country decides how.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

impl Phone {
    /// `+` and 7 to 15 digits, the first not zero: the bounds of [`crate::number`].
    pub fn parse(text: &str) -> Result<Self, NotE164> {
        let digits = text.strip_prefix('+').ok_or(NotE164)?;
        let plausible = (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if plausible { Ok(Self(text.to_owned())) } else { Err(NotE164) }
    }

    /// The number as a card keeps it; `None` for one that is dialled at home only.
    pub fn of(number: &Number) -> Option<Self> {
        number.is_global().then(|| Self(number.as_str().to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits without the plus sign.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

/// The text is no number in E.164.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number in E.164: a plus sign, then 7 to 15 digits with the country code")]
pub struct NotE164;

impl TryFrom<String> for Phone {
    type Error = NotE164;
    fn try_from(text: String) -> Result<Self, NotE164> {
        Self::parse(&text)
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> String {
        phone.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a language tag means Chinese: `zh`, `zh-CN`, `zh-Hans`.
pub fn is_chinese(language: &Language) -> bool {
    let tag = language.as_str();
    tag.eq_ignore_ascii_case("zh") || tag.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("zh-"))
}

/// CJK Unified Ideographs with extension A: enough to tell a name's script.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{Home, country};

    fn bai() -> Customer {
        Customer {
            name: PersonName::new("Bai", "Xue"),
            name_zh: PersonName::new("白", "雪"),
            phones: vec![Phone::parse("+8613800138000").unwrap()],
            ..Customer::new(CustomerId::from_u128(1))
        }
    }

    #[test]
    fn a_name_is_shown_in_the_agents_language() {
        let mut bai = bai();
        assert_eq!(bai.display_name(&"en".into()), "Xue Bai");
        assert_eq!(bai.display_name(&"zh-CN".into()), "白雪");
        bai.name = PersonName::default();
        assert_eq!(bai.display_name(&"en".into()), "白雪");
        bai.name_zh = PersonName::default();
        assert_eq!(bai.display_name(&"en".into()), "+8613800138000");
    }

    #[test]
    fn only_e164_is_a_phone() {
        assert!(Phone::parse("+8613800138000").is_ok());
        for wrong in ["13800138000", "+0123456", "+1234", "+1234567890123456", "+86 138", "", "+"] {
            assert_eq!(Phone::parse(wrong), Err(NotE164), "{wrong}");
        }
        assert!(serde_json::from_str::<Phone>("\"138\"").is_err());
    }

    #[test]
    fn a_normalised_number_becomes_a_phone_and_a_service_number_does_not() {
        let home = Home { country: country("86").unwrap(), area: None };
        let phone = |text: &str| Phone::of(&Number::normalise(text, &home).unwrap());
        assert_eq!(phone("138 0013 8000").as_ref().map(Phone::as_str), Some("+8613800138000"));
        assert_eq!(phone("95539"), None);
    }

    #[test]
    fn salutations_are_read_in_both_languages() {
        assert_eq!("Mr.".parse(), Ok(Salutation::Mr));
        assert_eq!("女士".parse(), Ok(Salutation::Ms));
        assert_eq!("Sir".parse::<Salutation>(), Err(UnknownWord));
    }

    #[test]
    fn an_empty_or_overlong_card_is_refused_with_the_mend() {
        let nobody = Customer::new(CustomerId::from_u128(1));
        assert_eq!(nobody.check(), Err(CustomerError::Nobody));
        let long = Customer { notes: "x".repeat(limits::CRM_NOTES_BYTES + 1), ..bai() };
        assert!(matches!(long.check(), Err(CustomerError::TooLong { .. })));
        let many = Customer { phones: vec![bai().phones[0].clone(); limits::CRM_PHONES + 1], ..bai() };
        assert!(matches!(many.check(), Err(CustomerError::TooMany { .. })));
        assert_eq!(bai().check(), Ok(()));
        let secret = |bytes: usize| {
            let attributes = [(format!("{SECRET}pin"), "9".repeat(bytes))].into();
            Customer { attributes, ..bai() }.check().is_ok()
        };
        assert!(secret(limits::PASSWORD_BYTES_MAX) && !secret(limits::PASSWORD_BYTES_MAX + 1));
        let attributes = |count: usize, bytes: usize| {
            let attributes = (0..count).map(|n| (format!("a{n}"), "x".repeat(bytes)));
            Customer { attributes: attributes.collect(), ..bai() }.check()
        };
        assert_eq!(attributes(limits::CRM_ATTRIBUTES, 10), Ok(()));
        let many = CustomerError::TooMany { what: "attributes", limit: limits::CRM_ATTRIBUTES };
        assert_eq!(attributes(limits::CRM_ATTRIBUTES + 1, 10), Err(many));
        let heavy = CustomerError::TooLong { what: "the whole card", limit: limits::CRM_CARD_BYTES };
        assert_eq!(attributes(limits::CRM_ATTRIBUTES, limits::CRM_FIELD_BYTES), Err(heavy));
    }

    #[test]
    fn a_card_written_by_an_older_version_still_reads() {
        let old = r#"{"id":"00000000000000000000000001","name":{"family":"Bai"},"unknown_field":1}"#;
        let card: Customer = serde_json::from_str(old).unwrap();
        assert_eq!(card.tier, Tier::Iron);
        assert_eq!(card.name.family, "Bai");
        let text = serde_json::to_string(&bai()).unwrap();
        assert_eq!(serde_json::from_str::<Customer>(&text).unwrap(), bai());
    }
}

//! The line an agent reads before answering: "Ms Bai, third flight this month"; 白女士，本月第三次航班.

use super::customer::{Customer, Salutation, is_chinese};
use super::history::History;
use crate::ids::Language;

/// What makes this contact worth a word: the how-manieth of what, this month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// 1 is the first.
    pub ordinal: u32,
    /// `flight`.
    pub noun: String,
    /// What follows the number in Chinese, measure word included: `次航班`.
    pub noun_zh: String,
}

impl Occasion {
    /// This call counted with the ones before it; nothing to say of a first one.
    pub fn call(history: &History) -> Option<Self> {
        let ordinal = history.contacts_this_month.saturating_add(1);
        (ordinal > 1).then(|| Self { ordinal, noun: "call".into(), noun_zh: "次来电".into() })
    }

    /// From a number that the company keeps on the card (`flights_this_month = 3`).
    pub fn attribute(customer: &Customer, attribute: &str, noun: &str, noun_zh: &str) -> Option<Self> {
        let ordinal = customer.attributes.get(attribute)?.trim().parse().ok().filter(|ordinal| *ordinal > 0)?;
        Some(Self { ordinal, noun: noun.into(), noun_zh: noun_zh.into() })
    }

    fn words(&self, language: &Language) -> String {
        if is_chinese(language) {
            return format!("本月第{}{}", chinese_number(self.ordinal), self.noun_zh);
        }
        format!("{} {} this month", english_ordinal(self.ordinal), self.noun)
    }
}

/// The whole line in the agent's language. Empty where the card has nothing to call the customer by.
pub fn line(customer: &Customer, occasion: Option<&Occasion>, language: &Language) -> String {
    let address = address(customer, language);
    match occasion {
        _ if address.is_empty() => address,
        None => address,
        Some(occasion) if is_chinese(language) => format!("{address}，{}", occasion.words(language)),
        Some(occasion) => format!("{address}, {}", occasion.words(language)),
    }
}

/// How to address the customer: `Ms Bai`, `白女士`; the full name where no salutation or no family name is known.
pub fn address(customer: &Customer, language: &Language) -> String {
    let chinese = is_chinese(language);
    let (fitting, other) =
        if chinese { (&customer.name_zh, &customer.name) } else { (&customer.name, &customer.name_zh) };
    let family = [fitting, other].into_iter().map(|name| &name.family).find(|family| !family.is_empty());
    match (family, customer.salutation) {
        (Some(family), Some(salutation)) if chinese => format!("{family}{}", salutation.chinese()),
        (Some(family), Some(salutation)) => format!("{} {family}", Salutation::english(salutation)),
        _ => customer.display_name(language),
    }
}

/// `first` to `twelfth` in words, then figures: `13th`, `21st`.
pub fn english_ordinal(number: u32) -> String {
    const WORDS: [&str; 12] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth",
    ];
    let at = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
    if let Some(word) = WORDS.get(at) {
        return (*word).to_owned();
    }
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// Up to 99 in Chinese numerals, then figures: 三, 十二, 二十, 三十五, 100.
pub fn chinese_number(number: u32) -> String {
    const DIGITS: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    let digit = |value: u32| DIGITS.get(value as usize).copied().unwrap_or_default();
    match (number / 10, number % 10) {
        (0, unit) => digit(unit).to_owned(),
        (1, 0) => "十".to_owned(),
        (1, unit) => format!("十{}", digit(unit)),
        (ten @ 2..=9, 0) => format!("{}十", digit(ten)),
        (ten @ 2..=9, unit) => format!("{}十{}", digit(ten), digit(unit)),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::customer::{PersonName, Phone};
    use super::super::history::tests::contact;
    use super::*;
    use crate::ids::CustomerId;
    use crate::time::Time;

    fn bai() -> Customer {
        let mut card = Customer::new(CustomerId::from_u128(1));
        card.name = PersonName::new("Bai", "Xue");
        card.name_zh = PersonName::new("白", "雪");
        card.salutation = Some(Salutation::Ms);
        card.attributes.insert("flights_this_month".into(), "3".into());
        card
    }

    #[test]
    fn ms_bai_is_on_her_third_flight_this_month() {
        let flight = Occasion::attribute(&bai(), "flights_this_month", "flight", "次航班");
        assert_eq!(line(&bai(), flight.as_ref(), &"en".into()), "Ms Bai, third flight this month");
        assert_eq!(line(&bai(), flight.as_ref(), &"zh".into()), "白女士，本月第三次航班");
    }

    #[test]
    fn the_call_itself_is_counted_and_a_first_one_is_not_remarked_on() {
        let before = [contact(1, 10), contact(2, 20)];
        let third = Occasion::call(&History::of(&before, Time::EPOCH));
        assert_eq!(line(&bai(), third.as_ref(), &"en".into()), "Ms Bai, third call this month");
        assert_eq!(line(&bai(), third.as_ref(), &"zh-CN".into()), "白女士，本月第三次来电");
        assert_eq!(Occasion::call(&History::default()), None);
        assert_eq!(line(&bai(), None, &"en".into()), "Ms Bai");
    }

    #[test]
    fn half_a_card_still_gives_a_decent_address() {
        let unsure = Customer { salutation: None, ..bai() };
        assert_eq!(address(&unsure, &"en".into()), "Xue Bai");
        let chinese_only = Customer { name: PersonName::default(), ..bai() };
        assert_eq!(address(&chinese_only, &"en".into()), "Ms 白");
        let mut number_only = Customer::new(CustomerId::from_u128(1));
        assert_eq!(line(&number_only, Occasion::call(&History::default()).as_ref(), &"en".into()), "");
        number_only.phones.push(Phone::parse("+8613800138000").unwrap());
        assert_eq!(address(&number_only, &"zh".into()), "+8613800138000");
    }

    #[test]
    fn ordinals_are_right_in_both_languages() {
        let english: Vec<String> = [1, 12, 13, 21, 22, 23, 111, 0].map(english_ordinal).into();
        assert_eq!(english, ["first", "twelfth", "13th", "21st", "22nd", "23rd", "111th", "0th"]);
        let chinese: Vec<String> = [1, 10, 11, 20, 35, 99, 100, 0].map(chinese_number).into();
        assert_eq!(chinese, ["一", "十", "十一", "二十", "三十五", "九十九", "100", "零"]);
    }

    #[test]
    fn an_attribute_that_is_no_count_is_not_spoken() {
        let mut odd = bai();
        for value in ["0", "-1", "three", ""] {
            odd.attributes.insert("flights_this_month".into(), value.into());
            assert_eq!(Occasion::attribute(&odd, "flights_this_month", "flight", "次航班"), None, "{value}");
        }
    }
}

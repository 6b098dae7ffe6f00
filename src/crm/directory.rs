//! All cards in memory, found by number: what the simulator and dialplan tests look customers up in, and what an
//! import is merged into.

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::customer::{Customer, Phone};
use crate::ids::CustomerId;
use crate::limits::crm as limits;

/// Who a number belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "match")]
pub enum Match {
    /// One customer has this number.
    Exact {
        customer: Box<Customer>,
    },
    /// Several share it, or it ends like theirs: the agent chooses. At most [`limits::CRM_CANDIDATES`].
    Candidates {
        customers: Vec<Customer>,
    },
    Unknown,
}

impl Match {
    /// Decides from the cards that were found. `full` are those with the very number, `ending` those whose number
    /// only ends the same way: enough to propose, never to greet by name.
    pub fn decide(mut full: Vec<Customer>, ending: Vec<Customer>) -> Self {
        match (full.len(), ending.is_empty()) {
            (1, _) => full.pop().map_or(Match::Unknown, |customer| Match::Exact { customer: Box::new(customer) }),
            (0, true) => Match::Unknown,
            (0, false) => Match::Candidates { customers: first(ending) },
            _ => Match::Candidates { customers: first(full) },
        }
    }
}

fn first(mut customers: Vec<Customer>) -> Vec<Customer> {
    customers.truncate(limits::CRM_CANDIDATES);
    customers
}

/// Cards by id and by phone.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    cards: BTreeMap<CustomerId, Customer>,
    by_phone: BTreeMap<Phone, BTreeSet<CustomerId>>,
    /// Digits backwards, so that numbers which end alike stand together.
    by_ending: BTreeMap<String, Phone>,
}

impl Directory {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.cards.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    pub fn get(&self, id: CustomerId) -> Option<&Customer> {
        self.cards.get(&id)
    }

    /// Every card, oldest id first.
    pub fn iter(&self) -> impl Iterator<Item = &Customer> {
        self.cards.values()
    }

    /// Puts a card in, in place of the one with its id.
    pub fn put(&mut self, customer: Customer) {
        self.remove(customer.id);
        for phone in &customer.phones {
            self.by_phone.entry(phone.clone()).or_default().insert(customer.id);
            self.by_ending.insert(backwards(phone.digits()), phone.clone());
        }
        self.cards.insert(customer.id, customer);
    }

    pub fn remove(&mut self, id: CustomerId) -> Option<Customer> {
        let card = self.cards.remove(&id)?;
        for phone in &card.phones {
            let Some(owners) = self.by_phone.get_mut(phone) else { continue };
            owners.remove(&id);
            if owners.is_empty() {
                self.by_phone.remove(phone);
                self.by_ending.remove(&backwards(phone.digits()));
            }
        }
        Some(card)
    }

    /// Who has this number. Takes E.164, and also a caller's number that arrived without its country code: with
    /// [`ENDING_DIGITS`] digits or more it proposes those whose number ends with it.
    pub fn find(&self, number: &str) -> Match {
        let full = Phone::parse(number).map(|phone| self.of_phone(&phone)).unwrap_or_default();
        let ending = if full.is_empty() { self.ending_with(number) } else { Vec::new() };
        Match::decide(full, ending)
    }

    /// The customers who have this very phone.
    pub fn of_phone(&self, phone: &Phone) -> Vec<Customer> {
        let owners = self.by_phone.get(phone).into_iter().flatten();
        owners.filter_map(|id| self.cards.get(id)).cloned().collect()
    }

    fn ending_with(&self, number: &str) -> Vec<Customer> {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let national = digits.trim_start_matches('0');
        if number.starts_with('+') || national.len() < ENDING_DIGITS {
            return Vec::new();
        }
        let start = backwards(national);
        let from = (Bound::Included(start.clone()), Bound::Unbounded);
        let alike = self.by_ending.range(from).take_while(|(ending, _)| ending.starts_with(&start));
        let owners: BTreeSet<CustomerId> =
            alike.filter_map(|(_, phone)| self.by_phone.get(phone)).flatten().copied().collect();
        owners.iter().filter_map(|id| self.cards.get(id)).take(limits::CRM_CANDIDATES).cloned().collect()
    }
}

fn backwards(digits: &str) -> String {
    digits.chars().rev().collect()
}

/// Fewer digits than this would propose half the town.
pub const ENDING_DIGITS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: u128, phones: &[&str]) -> Customer {
        let mut card = Customer::new(CustomerId::from_u128(id));
        card.phones = phones.iter().map(|phone| Phone::parse(phone).unwrap()).collect();
        card
    }

    fn directory(cards: impl IntoIterator<Item = Customer>) -> Directory {
        let mut directory = Directory::new();
        cards.into_iter().for_each(|card| directory.put(card));
        directory
    }

    fn ids(found: &Match) -> Vec<u128> {
        match found {
            Match::Exact { customer } => vec![customer.id.as_u128()],
            Match::Candidates { customers } => customers.iter().map(|card| card.id.as_u128()).collect(),
            Match::Unknown => Vec::new(),
        }
    }

    #[test]
    fn one_owner_is_greeted_two_are_proposed_none_is_unknown() {
        let book = directory([
            card(1, &["+8613800138000"]),
            card(2, &["+8613900139000", "+862012345678"]),
            card(3, &["+8613900139000"]),
        ]);
        assert!(matches!(book.find("+8613800138000"), Match::Exact { .. }));
        let shared = book.find("+8613900139000");
        assert!(matches!(shared, Match::Candidates { .. }));
        assert_eq!(ids(&shared), [2, 3]);
        assert_eq!(book.find("+8613700000000"), Match::Unknown);
        assert_eq!(book.find("anonymous"), Match::Unknown);
    }

    #[test]
    fn a_number_without_its_country_code_proposes_and_never_greets() {
        let book = directory([card(1, &["+8613800138000"]), card(2, &["+14155550100"])]);
        for partial in ["13800138000", "013800138000"] {
            let found = book.find(partial);
            assert!(matches!(found, Match::Candidates { .. }), "{partial}");
            assert_eq!(ids(&found), [1]);
        }
        assert_eq!(book.find("138000"), Match::Unknown);
        assert_eq!(book.find("+13800138000"), Match::Unknown);
    }

    #[test]
    fn a_changed_card_is_no_longer_found_by_its_old_number() {
        let mut book = directory([card(1, &["+8613800138000"]), card(2, &["+8613800138000"])]);
        book.put(card(1, &["+8613700137000"]));
        assert_eq!(ids(&book.find("+8613800138000")), [2]);
        assert_eq!(ids(&book.find("+8613700137000")), [1]);
        book.remove(CustomerId::from_u128(2));
        assert_eq!(
            (book.find("+8613800138000"), book.find("13800138000"), book.len()),
            (Match::Unknown, Match::Unknown, 1)
        );
    }

    #[test]
    fn a_switchboard_shared_by_many_shows_a_bounded_list() {
        let book = directory((1..100).map(|id| card(id, &["+862012345678"])));
        assert_eq!(ids(&book.find("+862012345678")).len(), limits::CRM_CANDIDATES);
        assert_eq!(ids(&book.find("2012345678")).len(), limits::CRM_CANDIDATES);
    }
}

//! The card as it travels with an offer: what the agent reads while the phone begins to ring.

use std::collections::BTreeMap;

use super::customer::Customer;
use super::greeting::{self, Occasion};
use super::history::History;
use super::interaction::Interaction;
use crate::event::{Contact, CustomerCard};
use crate::ids::Language;
use crate::limits::event::CARD_HISTORY;
use crate::time::Time;

/// Composes the card of a customer who is contacting us now. `past` are the contacts before this one, in any order;
/// `month_start` is the start of the month in the centre's time zone; `occasion` is what to remark on, by default
/// the number of calls this month. `language` is the one the name is shown in.
pub fn compose(
    customer: &Customer,
    past: &[Interaction],
    month_start: Time,
    occasion: Option<&Occasion>,
    language: &Language,
) -> CustomerCard {
    let history = History::of(past, month_start);
    let call = Occasion::call(&history);
    let occasion = occasion.or(call.as_ref());
    let line = |tag: &str| (tag.to_owned(), greeting::line(customer, occasion, &Language::new(tag)));
    let greeting: BTreeMap<String, String> =
        GREETED_IN.map(line).into_iter().filter(|(_, line)| !line.is_empty()).collect();
    let mut latest: Vec<&Interaction> = past.iter().collect();
    latest.sort_by_key(|interaction| core::cmp::Reverse((interaction.at, interaction.id)));
    CustomerCard {
        id: Some(customer.id),
        name: customer.display_name(language),
        tier: customer.tier.code().to_owned(),
        language: customer.language.clone(),
        greeting,
        numbers: customer.phones.iter().map(ToString::to_string).collect(),
        attributes: customer.attributes.clone(),
        history: latest.into_iter().filter_map(contact).take(CARD_HISTORY).collect(),
        contacts_this_month: history.contacts_this_month.saturating_add(1),
    }
}

/// `None` for a contact without a call.
fn contact(interaction: &Interaction) -> Option<Contact> {
    Some(Contact {
        call: *interaction.calls.first()?,
        at: interaction.at,
        queue: interaction.queue.clone(),
        agent: interaction.agent.clone(),
        disposition: interaction.disposition.clone().unwrap_or_default(),
        notes: interaction.note.clone(),
    })
}

/// The languages of agents' screens.
const GREETED_IN: [&str; 2] = ["en", "zh"];

#[cfg(test)]
mod tests {
    use super::super::customer::{PersonName, Salutation};
    use super::super::history::tests::contact;
    use super::*;
    use crate::ids::{CallId, CustomerId};
    use crate::tier::Tier;

    #[test]
    fn the_offer_carries_the_name_the_greeting_and_the_latest_contacts_first() {
        let mut bai = Customer::new(CustomerId::from_u128(1));
        bai.name = PersonName::new("Bai", "Xue");
        bai.name_zh = PersonName::new("白", "雪");
        bai.salutation = Some(Salutation::Ms);
        bai.tier = Tier::Platinum;
        let called = |id: u32| Interaction {
            calls: vec![CallId::from_u128(u128::from(id))],
            ..contact(u128::from(id), u64::from(id) * 10)
        };
        let past: Vec<Interaction> = (1..=20).map(called).collect();
        let card = compose(&bai, &past, Time::from_secs(190), None, &"zh".into());
        assert_eq!((card.name.as_str(), card.tier.as_str(), card.contacts_this_month), ("白雪", "platinum", 3));
        assert_eq!(card.greeting["en"], "Ms Bai, third call this month");
        assert_eq!(card.greeting["zh"], "白女士，本月第三次来电");
        assert_eq!((card.history.len(), card.history[0].call), (CARD_HISTORY, CallId::from_u128(20)));
    }
}

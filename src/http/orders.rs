//! Orders on their way in: from a name and arguments to the switch's [`Order`], with what only the doors know filled in.
//!
//! Roles that see numbers masked still dial and save: `call.dial` takes `customer:ID` and `call:ID`, and a customer
//! saved with masked phones keeps the stored ones.

use serde_json::{Value, json};

use super::centre::Centre;
use super::desk::Desk;
use super::error::ApiError;
use super::site::{Site, read_row};
use super::wire::mask_number;
use crate::command::{Actor, Command, Done, Order, Refusal, UserRole};
use crate::crm::Customer;
use crate::event::{RecordKind, Seq};
use crate::ids::{CallId, CustomerId};
use crate::store::customer_secret::seal;
use crate::store::view::key;

/// Every order with what it is for, as the API's document lists them.
pub const ORDERS: &[(&str, &str)] = &[
    ("agent.sign_in", "Bind me to an account and land in Not Ready. args: account"),
    ("agent.sign_out", "Sign me out of the account."),
    ("agent.ready", "Take calls."),
    ("agent.not_ready", "Take none. args: reason"),
    ("call.decline", "Refuse an offer; the call goes to the next agent. args: call"),
    ("call.hold", "Park the other party with music. args: call"),
    ("call.retrieve", "Take the other party back. args: call"),
    ("call.transfer", "Blind transfer to an account, an agent, queue:NAME or a number. args: call, to"),
    ("call.send_digits", "Send digits to the other party. args: call, digits"),
    ("call.hang_up", "End the call, or one's own part in it. args: call"),
    ("call.dial", "Ring my phone, then dial a number, customer:ID or call:ID (its caller). args: to"),
    ("interaction.wrap", "Keep the wrap-up's code and notes. args: call, code, notes, finish"),
    ("interaction.extend", "Extend the wrap-up."),
    ("agent.force", "Put an agent into ready, not_ready or signed_out. args: agent, state, reason"),
    ("call.move", "Move a waiting call to another queue. args: call, queue"),
    ("call.set_priority", "Change a waiting call's priority. args: call, priority"),
    ("record.save", "Save a record people keep. args: kind, record"),
    ("record.remove", "Remove a record people keep. args: kind, key"),
    ("system.drain", "Take no new calls; running ones finish."),
];

/// Reads an order as both doors take it.
pub fn parse(name: &str, args: Value) -> Result<Order, Refusal> {
    if !ORDERS.iter().any(|(known, _)| *known == name) {
        return Err(Refusal::new("command.unknown", format!("There is no command `{name}`.")));
    }
    let args = if args.is_null() { json!({}) } else { args };
    serde_json::from_value(json!({ "name": name, "args": args }))
        .map_err(|error| Refusal::new("command.invalid", format!("The arguments of {name} do not fit: {error}.")))
}

/// Carries out an order; answered when the desktop's picture shows its effect.
pub async fn give(site: &Site, by: Actor, order: Order, if_rev: Option<Seq>) -> Result<Done, Refusal> {
    if !order.is_allowed_to(by.role) {
        return Err(Refusal::new("role.forbidden", "Your role may not do this. Ask a supervisor or an administrator."));
    }
    if let (Some(seen), Some(call)) = (if_rev, call_of(&order)) {
        site.hub.look(|desk| unchanged(desk, call, seen))?;
    }
    let order = fill_in(site, &by, order).await?;
    let done = site.centre.order(Command { by, order }).await?;
    site.hub.wait_for(done.seq).await;
    Ok(done)
}

fn unchanged(desk: &Desk, call: CallId, seen: Seq) -> Result<(), Refusal> {
    match desk.call(call) {
        Some(call) if call.rev > seen => {
            Err(Refusal::new("call.changed", "The call has changed since. Look again, then decide."))
        }
        _ => Ok(()),
    }
}

/// The call an order is about.
fn call_of(order: &Order) -> Option<CallId> {
    match order {
        Order::Decline { call }
        | Order::Hold { call }
        | Order::Retrieve { call }
        | Order::Transfer { call, .. }
        | Order::SendDigits { call, .. }
        | Order::HangUp { call }
        | Order::Wrap { call, .. }
        | Order::Move { call, .. }
        | Order::SetPriority { call, .. } => Some(*call),
        _ => None,
    }
}

async fn fill_in(site: &Site, by: &Actor, order: Order) -> Result<Order, Refusal> {
    match order {
        Order::Dial { to } => Ok(Order::Dial { to: dialled(site, by, to).await? }),
        Order::SaveRecord { kind: RecordKind::Customer, record } => {
            let record = customer(site, by.role, record).await?;
            Ok(Order::SaveRecord { kind: RecordKind::Customer, record })
        }
        order => Ok(order),
    }
}

/// The number behind `customer:ID` and `call:ID`.
async fn dialled(site: &Site, by: &Actor, to: String) -> Result<String, Refusal> {
    let unknown = || Refusal::new("destination.unknown", format!("There is no number behind `{to}`."));
    if let Some(id) = to.strip_prefix("customer:") {
        let card = stored_customer(site, id).await?.ok_or_else(unknown)?;
        return card.phones.first().map(|phone| phone.as_str().to_owned()).ok_or_else(unknown);
    }
    if let Some(id) = to.strip_prefix("call:") {
        let id: CallId = id.parse().map_err(|_| unknown())?;
        let number = site.hub.look(|desk| {
            let open = by.role != UserRole::Agent || desk.is_party(&by.user, id);
            desk.call(id).filter(|_| open).map(|call| call.from.number.clone())
        });
        return number.filter(|number| !number.is_empty()).ok_or_else(unknown);
    }
    Ok(to)
}

async fn stored_customer(site: &Site, id: &str) -> Result<Option<Customer>, Refusal> {
    let Ok(id) = id.parse::<CustomerId>() else { return Ok(None) };
    site.read(move |view| read_row(view, &key::customer(id))).await.map_err(refused)
}

/// A customer's record, checked, with the phones restored that its editor saw masked.
async fn customer(site: &Site, role: UserRole, record: Value) -> Result<Value, Refusal> {
    let invalid = |msg: String| Refusal::new("record.invalid", msg);
    let id = record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let stored = stored_customer(site, &id).await?;
    let record = if site.is_masked(role) { unmasked(record, stored.as_ref()) } else { record };
    let record = normalised(&*site.centre, record);
    let card: Customer = serde_json::from_value(record).map_err(|error| invalid(format!("{error}.")))?;
    card.check().map_err(|error| invalid(error.to_string()))?;
    let sealed = tokio::task::spawn_blocking(move || {
        let mut card = card;
        seal(&mut card, stored.as_ref()).map(|()| card)
    });
    let card = sealed
        .await
        .map_err(|error| refused(ApiError::internal(error)))?
        .map_err(|error| invalid(error.to_string()))?;
    serde_json::to_value(&card).map_err(|error| invalid(error.to_string()))
}

/// Puts a stored phone in the place of each that is its mask.
fn unmasked(mut record: Value, stored: Option<&Customer>) -> Value {
    let phones = record.get_mut("phones").and_then(Value::as_array_mut).into_iter().flatten();
    for phone in phones {
        let known = stored.iter().flat_map(|card| &card.phones);
        let same = |known: &&crate::crm::Phone| phone.as_str() == Some(mask_number(known.as_str()).as_str());
        if let Some(known) = known.clone().find(same) {
            *phone = Value::from(known.as_str());
        }
    }
    record
}

/// Phones as people write them, in E.164 where they are numbers.
fn normalised(centre: &dyn Centre, mut record: Value) -> Value {
    let phones = record.get_mut("phones").and_then(Value::as_array_mut).into_iter().flatten();
    for phone in phones {
        if let Some(number) = phone.as_str().and_then(|text| centre.normalise(text)) {
            *phone = Value::from(number.as_str());
        }
    }
    record
}

fn refused(error: ApiError) -> Refusal {
    Refusal { retry: error.retry, ..Refusal::new(&error.code, error.msg) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crm::Phone;

    #[test]
    fn every_listed_order_is_one_the_switch_knows() {
        for (name, _) in ORDERS {
            let error = parse(name, json!({ "kind": 7, "call": 7, "to": 7, "account": 7, "reason": 7, "agent": 7 }));
            if let Err(refusal) = error {
                assert_eq!(refusal.code, "command.invalid", "{name}: {}", refusal.msg);
                assert!(!refusal.msg.contains("unknown variant"), "{name}: {}", refusal.msg);
            }
        }
        assert_eq!(parse("call.teleport", json!({})).unwrap_err().code, "command.unknown");
        assert_eq!(parse("agent.ready", Value::Null), Ok(Order::Ready {}));
    }

    #[test]
    fn a_masked_phone_saved_back_is_the_stored_one() {
        let mut stored = Customer::new(CustomerId::from_u128(1));
        stored.phones = vec![Phone::parse("+8613800138000").unwrap()];
        let sent = json!({ "phones": ["+86138****8000", "+8613900139000"] });
        let kept = unmasked(sent, Some(&stored));
        assert_eq!(kept, json!({ "phones": ["+8613800138000", "+8613900139000"] }));
    }
}

//! `strowger customers`: the cards, and what is remembered of each customer's contacts.

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::config::args::{Args, Exchange, FileFormat, Records};
use crate::crm::customer_table::{self, CustomerImport};
use crate::crm::{Customer, Directory, Interaction, Phone};
use crate::event::RecordKind;
use crate::ids::CustomerId;
use crate::number::{Home, Number};
use crate::store::customer_secret::{seal, without_secrets};
use crate::store::view::key;

use super::office::{Change, Office};
use super::table::Table;
use super::tables::{self, Imported};
use super::{progress, say, say_json, times};

pub fn run(args: &Args, what: &Records) -> anyhow::Result<ExitCode> {
    let mut office = Office::open(args)?;
    match what {
        Records::List { find, limit } => list(args, &office, find.as_deref(), *limit),
        Records::Show { id } => show(args, &office, id),
        Records::Exchange(Exchange::Import { file, dry_run }) => {
            let text = tables::read(file)?;
            let (existing, home) = (directory(&office)?, office.plan.home);
            let normalise = |text: &str| phone(text, &home);
            let mut new_id = || office.new_id();
            let read = match text.format {
                FileFormat::Csv => customer_table::import_csv(&text.source, &existing, &normalise, &mut new_id),
                FileFormat::Json => customer_table::import_json(&text.source, &existing, &normalise, &mut new_id),
            };
            tables::accept(args, &read.findings, &text.source)?;
            let (imported, changes) = settle(read, &existing, *dry_run)?;
            office.save(changes)?;
            imported.print(args, "customers")?;
            Ok(ExitCode::SUCCESS)
        }
        Records::Exchange(Exchange::Export { file, format }) => {
            let cards: Vec<Customer> = office.all(&key::customers())?;
            let open: Vec<Customer> = cards.into_iter().map(without_secrets).collect();
            tables::write(file.as_ref(), *format, |format| match format {
                FileFormat::Csv => Ok(customer_table::export_csv(&open)),
                FileFormat::Json => Ok(customer_table::export_json(&open)),
            })
        }
    }
}

fn directory(office: &Office) -> anyhow::Result<Directory> {
    let mut directory = Directory::new();
    office.all::<Customer>(&key::customers())?.into_iter().for_each(|card| directory.put(card));
    Ok(directory)
}

fn phone(text: &str, home: &Home) -> Option<Phone> {
    Number::normalise(text, home).ok().and_then(|number| Phone::of(&number))
}

// -- lists -----------------------------------------------------------------------------------------------------------

fn list(args: &Args, office: &Office, find: Option<&str>, limit: u32) -> anyhow::Result<ExitCode> {
    let wanted = find.map(|text| text.trim().to_lowercase());
    let cards: Vec<Customer> = office.all(&key::customers())?;
    let matching = cards.into_iter().filter(|card| wanted.as_deref().is_none_or(|text| is_found(card, text)));
    let cards: Vec<Customer> = matching.take(usize::try_from(limit)?).map(without_secrets).collect();
    if args.json {
        say_json(&cards)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["id", "name", "姓名", "company", "phones", "tier", "language"]);
    for card in &cards {
        let phones: Vec<&str> = card.phones.iter().map(Phone::as_str).collect();
        let language = card.language.as_ref().map(|language| language.to_string()).unwrap_or_default();
        let names = (card.name.full(), card.name_zh.full());
        let tier = card.tier.code().to_owned();
        table.row([card.id.to_string(), names.0, names.1, card.company.clone(), phones.join(" "), tier, language]);
    }
    table.print(if find.is_some() { "No customer matches." } else { "No customers yet: import some." });
    Ok(ExitCode::SUCCESS)
}

/// Whether a part of a name, company or number is `text`, which is in lower case. Digits are found in numbers however
/// they are written.
fn is_found(card: &Customer, text: &str) -> bool {
    let names = [card.name.full(), card.name_zh.full(), card.company.clone()];
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    names.iter().any(|name| name.to_lowercase().contains(text))
        || (!digits.is_empty() && card.phones.iter().any(|phone| phone.digits().contains(&digits)))
}

/// A customer with what is remembered.
#[derive(Serialize)]
struct Shown {
    customer: Customer,
    /// Newest first.
    history: Vec<Interaction>,
}

fn show(args: &Args, office: &Office, id: &str) -> anyhow::Result<ExitCode> {
    let customer = without_secrets(find_one(office, id)?);
    let index = office.rows().range_back(&key::of_customer(customer.id), None, HISTORY)?;
    let mut history: Vec<Interaction> = Vec::new();
    for row in index {
        history.extend(office.one(&row.value)?);
    }
    if args.json {
        say_json(&Shown { customer, history })?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&card(&customer));
    let mut table = Table::new(["when", "way", "number", "queue", "agent", "outcome", "disposition", "note"]);
    for contact in &history {
        let optional = |text: Option<String>| text.unwrap_or_default();
        table.row([
            times::local(&office.plan.time_zone, contact.at),
            times::word(&contact.direction),
            contact.number.clone(),
            optional(contact.queue.as_ref().map(ToString::to_string)),
            optional(contact.agent.as_ref().map(ToString::to_string)),
            times::word(&contact.outcome),
            optional(contact.disposition.clone()),
            contact.note.clone(),
        ]);
    }
    say("\n");
    table.print("No contacts yet.");
    Ok(ExitCode::SUCCESS)
}

fn card(card: &Customer) -> String {
    let mut lines = vec![("id", card.id.to_string())];
    lines.push(("name", [card.name.full(), card.name_zh.full()].join("  ").trim().to_owned()));
    lines.push(("company", card.company.clone()));
    lines.push(("phones", card.phones.iter().map(Phone::as_str).collect::<Vec<_>>().join(" ")));
    lines.push(("tier", card.tier.code().to_owned()));
    lines.push(("language", card.language.as_ref().map(|language| language.to_string()).unwrap_or_default()));
    lines.extend(card.attributes.iter().map(|(name, value)| (name.as_str(), value.clone())));
    lines.push(("notes", card.notes.clone()));
    let filled = lines.into_iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| format!("{name:<10}{value}\n")).collect()
}

/// By id, or by a number that one customer has.
fn find_one(office: &Office, id: &str) -> anyhow::Result<Customer> {
    if let Ok(id) = id.parse::<CustomerId>() {
        return office.one(&key::customer(id))?.with_context(|| format!("there is no customer {id}"));
    }
    let number = phone(id, &office.plan.home).with_context(|| format!("`{id}` is neither an id nor a number"))?;
    let rows = office.rows().range(&key::customers_of_phone(number.as_str()), None, SHARING)?;
    let mut found: Vec<Customer> = Vec::new();
    for row in rows {
        found.extend(office.one::<Customer>(&row.value)?.filter(|card| card.phones.contains(&number)));
    }
    match found.len() {
        0 => anyhow::bail!("no customer has the number {number}"),
        1 => Ok(found.remove(0)),
        several => {
            let ids: Vec<String> = found.iter().map(|card| card.id.to_string()).collect();
            anyhow::bail!("{several} customers have the number {number}: name one by its id, {}", ids.join(" or "))
        }
    }
}

// -- import ----------------------------------------------------------------------------------------------------------

/// Hashes what is secret, and leaves out what then is as it was.
fn settle(read: CustomerImport, existing: &Directory, dry_run: bool) -> anyhow::Result<(Imported, Vec<Change>)> {
    let mut imported = Imported { unchanged: read.unchanged, dry_run, findings: read.findings, ..Imported::default() };
    let mut changes = Vec::new();
    let bar = progress::bar(read.created.len() + read.updated.len(), "taking customers in");
    for mut card in read.created.into_iter().chain(read.updated) {
        let stored = existing.get(card.id);
        if !dry_run {
            seal(&mut card, stored)?;
        }
        match stored {
            None => imported.added += 1,
            Some(stored) if *stored == card => imported.unchanged += 1,
            Some(_) => imported.changed += 1,
        }
        if !dry_run && stored != Some(&card) {
            changes.push(Change::save(RecordKind::Customer, card.id, &card)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((imported, changes))
}

/// Contacts shown.
const HISTORY: usize = 20;
/// Customers that may share a number.
const SHARING: usize = 100;

//! Customers in and out as CSV and JSON.
//!
//! An import never guesses: a row with a mistake is left out and reported with its line, the reason and the mend; the
//! other rows count. A row is the customer whose `id` it names, else the one who has its phone, else a new one; what
//! it leaves empty stays as it was.
//!
//! CSV columns: `id, family_name, given_name, family_name_zh, given_name_zh, salutation, company, phones, tier,
//! language, notes` and `attribute.NAME`. Several phones stand in one field, apart by `;` or `|`.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::csv::{self, Field};
use super::customer::{Customer, PersonName, Phone};
use super::directory::Directory;
use super::import::{Columns, Findings, json_items};
use crate::finding::{Finding, Severity, Source};
use crate::ids::{CustomerId, Language};

/// What an import comes to. Nothing is saved yet: the caller saves `created` and `updated`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerImport {
    pub created: Vec<Customer>,
    /// As they are after the import.
    pub updated: Vec<Customer>,
    /// Rows that say nothing new.
    pub unchanged: usize,
    pub findings: Vec<Finding>,
}

impl CustomerImport {
    /// Whether a row was left out.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Makes E.164 of a number as people write it; `None` where it is no number.
pub type Normalise<'a> = &'a dyn Fn(&str) -> Option<Phone>;

/// Reads CSV against the cards there are. `new_id` names new customers.
pub fn import_csv(
    source: &Source,
    existing: &Directory,
    normalise: Normalise<'_>,
    new_id: &mut dyn FnMut() -> CustomerId,
) -> CustomerImport {
    let mut merge = Merge::new(source, existing, normalise, new_id);
    match csv::parse(source) {
        Ok((table, findings)) => {
            merge.findings.extend(findings);
            let columns = Columns::parse(source, &table, &COLUMNS, &[ATTRIBUTE], &mut merge.findings);
            for row in &table.rows {
                merge.row(&from_csv(&columns, row));
            }
        }
        Err(finding) => merge.findings.push(finding),
    }
    merge.finish()
}

/// Reads a JSON array of customers as [`export_json`] writes it; `id` may be missing.
pub fn import_json(
    source: &Source,
    existing: &Directory,
    normalise: Normalise<'_>,
    new_id: &mut dyn FnMut() -> CustomerId,
) -> CustomerImport {
    let mut merge = Merge::new(source, existing, normalise, new_id);
    for (card, span) in json_items::<JsonCard>(source, &mut merge.findings) {
        merge.row(&from_json(card, span));
    }
    merge.finish()
}

/// All columns and every attribute in use, ready to be read back by [`import_csv`].
pub fn export_csv<'a>(customers: impl IntoIterator<Item = &'a Customer>) -> String {
    let customers: Vec<&Customer> = customers.into_iter().collect();
    let attributes: BTreeSet<&String> = customers.iter().flat_map(|card| card.attributes.keys()).collect();
    let named: Vec<String> = attributes.iter().map(|name| format!("{ATTRIBUTE}{name}")).collect();
    let header: Vec<&str> = COLUMNS.iter().copied().chain(named.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = customers.iter().map(|card| export_row(card, &attributes)).collect();
    csv::write(&header, rows.iter().map(|row| row.iter().map(String::as_str).collect()))
}

/// An array, one customer a line.
pub fn export_json<'a>(customers: impl IntoIterator<Item = &'a Customer>) -> String {
    let lines: Vec<String> = customers.into_iter().filter_map(|card| serde_json::to_string(card).ok()).collect();
    if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
}

fn export_row(card: &Customer, attributes: &BTreeSet<&String>) -> Vec<String> {
    let phones: Vec<&str> = card.phones.iter().map(Phone::as_str).collect();
    let fixed = [
        card.id.to_string(),
        card.name.family.clone(),
        card.name.given.clone(),
        card.name_zh.family.clone(),
        card.name_zh.given.clone(),
        card.salutation.map(|salutation| salutation.code().to_owned()).unwrap_or_default(),
        card.company.clone(),
        phones.join("; "),
        card.tier.code().to_owned(),
        card.language.as_ref().map(Language::to_string).unwrap_or_default(),
        card.notes.clone(),
    ];
    let kept = attributes.iter().map(|name| card.attributes.get(*name).cloned().unwrap_or_default());
    fixed.into_iter().chain(kept).collect()
}

/// One row as text, from either format, each part with its place.
struct RawCard {
    span: Range<usize>,
    id: Option<Field>,
    /// In the order of [`NAMES`].
    names: [Option<Field>; 4],
    salutation: Option<Field>,
    company: Option<Field>,
    phones: Vec<Field>,
    tier: Option<Field>,
    language: Option<Field>,
    notes: Option<Field>,
    attributes: BTreeMap<String, String>,
}

fn from_csv(columns: &Columns, row: &[Field]) -> RawCard {
    let field = |name| columns.field(row, name).cloned();
    let phones = field("phones").map(|field| split_phones(&field)).unwrap_or_default();
    let attributes = columns.prefixed(row, ATTRIBUTE).map(|(name, field)| (name.to_owned(), field.text.clone()));
    RawCard {
        span: csv::span_of(row),
        id: field("id"),
        names: NAMES.map(field),
        salutation: field("salutation"),
        company: field("company"),
        phones,
        tier: field("tier"),
        language: field("language"),
        notes: field("notes"),
        attributes: attributes.collect(),
    }
}

fn split_phones(field: &Field) -> Vec<Field> {
    let parts = field.text.split([';', '|', '\n']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| Field { text: part.to_owned(), span: field.span.clone() }).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonCard {
    id: Option<String>,
    #[serde(default)]
    name: PersonName,
    #[serde(default)]
    name_zh: PersonName,
    salutation: Option<String>,
    company: Option<String>,
    #[serde(default)]
    phones: Vec<String>,
    tier: Option<String>,
    language: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    notes: Option<String>,
}

fn from_json(card: JsonCard, span: Range<usize>) -> RawCard {
    let field =
        |text: String| Some(Field { text: text.trim().to_owned(), span: span.clone() }).filter(|f| !f.text.is_empty());
    let optional = |text: Option<String>| text.and_then(field);
    RawCard {
        id: optional(card.id),
        names: [card.name.family, card.name.given, card.name_zh.family, card.name_zh.given].map(field),
        salutation: optional(card.salutation),
        company: optional(card.company),
        phones: card.phones.into_iter().filter_map(field).collect(),
        tier: optional(card.tier),
        language: optional(card.language),
        notes: optional(card.notes),
        attributes: card.attributes,
        span: span.clone(),
    }
}

/// Rows merged into the cards one after the other, so that a later row meets an earlier one.
struct Merge<'a> {
    source: &'a Source,
    cards: Directory,
    normalise: Normalise<'a>,
    new_id: &'a mut dyn FnMut() -> CustomerId,
    findings: Findings,
    /// What each touched customer was before, and the line that touched it last.
    touched: BTreeMap<CustomerId, (Option<Customer>, u32)>,
    unchanged: usize,
}

impl<'a> Merge<'a> {
    fn new(
        source: &'a Source,
        existing: &Directory,
        normalise: Normalise<'a>,
        new_id: &'a mut dyn FnMut() -> CustomerId,
    ) -> Self {
        Self {
            source,
            cards: existing.clone(),
            normalise,
            new_id,
            findings: Findings::default(),
            touched: BTreeMap::new(),
            unchanged: 0,
        }
    }

    fn row(&mut self, raw: &RawCard) {
        if let Err(finding) = self.merge(raw) {
            self.findings.push(finding);
        }
    }

    fn merge(&mut self, raw: &RawCard) -> Result<(), Finding> {
        let phones = self.phones(raw)?;
        let before = self.owner(raw, &phones)?;
        let mut card = match &before {
            Some(card) => card.clone(),
            None => Customer::new(self.named_id(raw)?.unwrap_or_else(&mut *self.new_id)),
        };
        self.fill(&mut card, raw, phones)?;
        let mend = "Mend the row; it is left out.";
        card.check().map_err(|error| self.source.error("customer.card", raw.span.clone(), sentence(&error), mend))?;
        let line = self.source.position(raw.span.start).0;
        if let Some((_, earlier)) = self.touched.get(&card.id) {
            let reason = format!("The same customer as line {earlier}.");
            let mend = "The rows are merged, the later one wins; keep one of them.";
            self.findings.push(self.source.warning("customer.twice", raw.span.clone(), reason, mend));
        }
        if before.as_ref() == Some(&card) {
            self.unchanged += 1;
        }
        self.touched.entry(card.id).or_insert((before, line)).1 = line;
        self.cards.put(card);
        Ok(())
    }

    fn phones(&self, raw: &RawCard) -> Result<Vec<Phone>, Finding> {
        let mut phones = Vec::new();
        for field in &raw.phones {
            let phone = (self.normalise)(&field.text).ok_or_else(|| {
                let reason = format!("`{}` is no phone number.", field.text);
                self.source.error(
                    "customer.phone",
                    field.span.clone(),
                    reason,
                    "Write it with its country code: +8613800138000.",
                )
            })?;
            if !phones.contains(&phone) {
                phones.push(phone);
            }
        }
        Ok(phones)
    }

    fn named_id(&self, raw: &RawCard) -> Result<Option<CustomerId>, Finding> {
        let Some(field) = &raw.id else { return Ok(None) };
        field.text.parse().map(Some).map_err(|error| {
            let mend = "Leave it empty for a new customer.";
            self.source.error("customer.id", field.span.clone(), format!("`{}`: {error}.", field.text), mend)
        })
    }

    /// The card this row is about, if there is one.
    fn owner(&self, raw: &RawCard, phones: &[Phone]) -> Result<Option<Customer>, Finding> {
        if let Some(id) = self.named_id(raw)? {
            return Ok(self.cards.get(id).cloned());
        }
        let mut owners: BTreeMap<CustomerId, Customer> = BTreeMap::new();
        for phone in phones {
            owners.extend(self.cards.of_phone(phone).into_iter().map(|card| (card.id, card)));
        }
        if owners.len() > 1 {
            let reason = format!("{} customers have these phones.", owners.len());
            let mend = "Name the one that is meant in the column `id`.";
            return Err(self.source.error("customer.ambiguous", raw.span.clone(), reason, mend));
        }
        Ok(owners.into_values().next())
    }

    fn fill(&self, card: &mut Customer, raw: &RawCard, phones: Vec<Phone>) -> Result<(), Finding> {
        let slots = [&mut card.name.family, &mut card.name.given, &mut card.name_zh.family, &mut card.name_zh.given];
        for (slot, field) in slots.into_iter().zip(&raw.names) {
            set(slot, field.as_ref());
        }
        set(&mut card.company, raw.company.as_ref());
        set(&mut card.notes, raw.notes.as_ref());
        if let Some(field) = &raw.salutation {
            card.salutation = Some(self.word(field, "salutation", "ms, mrs, mr, dr or prof")?);
        }
        if let Some(field) = &raw.tier {
            card.tier = self.word(field, "tier", "platinum, gold, iron or lead")?;
        }
        if let Some(field) = &raw.language {
            card.language = Some(Language::new(&field.text));
        }
        let fresh: Vec<Phone> = phones.into_iter().filter(|phone| !card.phones.contains(phone)).collect();
        card.phones.extend(fresh);
        card.attributes.extend(raw.attributes.clone());
        Ok(())
    }

    fn word<T: core::str::FromStr>(&self, field: &Field, what: &str, known: &str) -> Result<T, Finding> {
        field.text.parse().map_err(|_| {
            let reason = format!("`{}` is no {what}.", field.text);
            self.source.error("customer.word", field.span.clone(), reason, format!("Write {known}."))
        })
    }

    fn finish(self) -> CustomerImport {
        let mut import = CustomerImport { unchanged: self.unchanged, ..CustomerImport::default() };
        for (id, (before, _)) in self.touched {
            let Some(card) = self.cards.get(id) else { continue };
            match before {
                None => import.created.push(card.clone()),
                Some(before) if before != *card => import.updated.push(card.clone()),
                Some(_) => {}
            }
        }
        import.findings = self.findings.finish(self.source);
        import
    }
}

fn set(slot: &mut String, field: Option<&Field>) {
    if let Some(field) = field {
        slot.clone_from(&field.text);
    }
}

/// An error's text as a sentence: the first letter large.
fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

const NAMES: [&str; 4] = ["family_name", "given_name", "family_name_zh", "given_name_zh"];
const COLUMNS: [&str; 11] =
    ["id", NAMES[0], NAMES[1], NAMES[2], NAMES[3], "salutation", "company", "phones", "tier", "language", "notes"];
const ATTRIBUTE: &str = "attribute.";

#[cfg(test)]
mod tests {
    use super::super::customer::Salutation;
    use super::*;
    use crate::tier::Tier;

    /// China's mobile numbers, enough for tables.
    fn normalise(text: &str) -> Option<Phone> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        Phone::parse(&digits).or_else(|_| Phone::parse(&format!("+86{digits}"))).ok()
    }

    fn import(text: &str, existing: &Directory) -> CustomerImport {
        let mut next = 100;
        let mut new_id = || {
            next += 1;
            CustomerId::from_u128(next)
        };
        let source = Source::new(if text.starts_with('[') { "c.json" } else { "c.csv" }, text);
        let read = if text.starts_with('[') { import_json } else { import_csv };
        read(&source, existing, &normalise, &mut new_id)
    }

    fn places(import: &CustomerImport) -> Vec<(u32, u32, &str)> {
        import.findings.iter().map(|finding| (finding.line, finding.column, finding.code)).collect()
    }

    const BAI: &str = "Family name,given_name,family_name_zh,given_name_zh,salutation,phones,tier,attribute.flights_this_month\r\n\
        Bai,Xue,白,雪,女士,138-0013-8000; +862012345678,platinum,3\r\n";

    #[test]
    fn a_spreadsheet_becomes_cards() {
        let read = import(BAI, &Directory::new());
        assert_eq!((read.findings.as_slice(), read.created.len()), (&[][..], 1));
        let bai = &read.created[0];
        assert_eq!(
            (bai.name_zh.full().as_str(), bai.salutation, bai.tier),
            ("白雪", Some(Salutation::Ms), Tier::Platinum)
        );
        assert_eq!(bai.phones.iter().map(Phone::as_str).collect::<Vec<_>>(), ["+8613800138000", "+862012345678"]);
        assert_eq!(bai.attributes["flights_this_month"], "3");
    }

    #[test]
    fn a_known_phone_updates_its_owner_and_keeps_what_the_row_leaves_empty() {
        let mut book = Directory::new();
        import(BAI, &book.clone()).created.into_iter().for_each(|card| book.put(card));
        let read = import("phones,tier,company,notes\n13800138000,gold,,likes tea\n", &book);
        assert_eq!((read.created.len(), read.updated.len()), (0, 1));
        let bai = &read.updated[0];
        assert_eq!((bai.tier, bai.notes.as_str(), bai.name.family.as_str()), (Tier::Gold, "likes tea", "Bai"));
        assert_eq!(bai.phones.len(), 2);
        let again = import(BAI, &book);
        assert_eq!((again.created.len(), again.updated.len(), again.unchanged), (0, 0, 1));
    }

    #[test]
    fn one_phone_twice_in_a_file_is_one_customer_and_a_warning() {
        let read = import("company,phones\nfirst,13800138000\nsecond,+8613800138000\n", &Directory::new());
        assert_eq!(read.created.iter().map(|card| card.company.as_str()).collect::<Vec<_>>(), ["second"]);
        assert_eq!(places(&read), [(3, 1, "customer.twice")]);
        assert!(!read.has_errors());
    }

    #[test]
    fn every_bad_row_is_told_with_its_place_and_the_good_ones_count() {
        let text = "id,company,phones,tier,favourite_colour,phnes\n\
            ,good,13800138000,gold,,\n\
            ,bad phone,not-a-number,,,\n\
            ,bad tier,13800138001,silver,,\n\
            xyz,bad id,13800138002,,,\n\
            ,,,,red,\n";
        let read = import(text, &Directory::new());
        assert_eq!(read.created.len(), 1);
        assert_eq!(
            places(&read),
            [
                (1, 24, "import.column"),
                (1, 41, "import.column"),
                (3, 12, "customer.phone"),
                (4, 23, "customer.word"),
                (5, 1, "customer.id"),
                (6, 1, "customer.card"),
            ]
        );
        assert!(read.findings[1].mend.contains("`phones`"), "{}", read.findings[1].mend);
        assert!(read.has_errors());
    }

    #[test]
    fn a_phone_that_several_share_asks_for_the_id() {
        let mut book = Directory::new();
        for id in [1, 2] {
            let mut card = Customer::new(CustomerId::from_u128(id));
            card.phones.push(Phone::parse("+862012345678").unwrap());
            book.put(card);
        }
        let read = import("phones,company\n+862012345678,x\n", &book);
        assert_eq!(places(&read), [(2, 1, "customer.ambiguous")]);
        let id = CustomerId::from_u128(2);
        let read = import(&format!("id,phones,company\n{id},+862012345678,x\n"), &book);
        assert_eq!(read.updated.iter().map(|card| card.id).collect::<Vec<_>>(), [id]);
    }

    #[test]
    fn what_is_exported_is_read_back_the_same_in_both_formats() {
        let mut book = Directory::new();
        let mut cards = import(BAI, &book).created;
        cards[0].notes = "=SUM(1)\nsays \"hi\", twice".into();
        cards[0].language = Some("zh".into());
        let mut other = Customer::new(CustomerId::from_u128(7));
        other.company = "Lenovo; Beijing".into();
        other.attributes.insert("credit".into(), "-5".into());
        cards.push(other);
        cards.sort_by_key(|card| card.id);
        for text in [export_csv(&cards), export_json(&cards)] {
            let read = import(&text, &book);
            assert_eq!((read.findings.as_slice(), &read.created), (&[][..], &cards), "{text}");
        }
        cards.iter().cloned().for_each(|card| book.put(card));
        assert_eq!(import(&export_csv(&cards), &book).unchanged, 2);
        assert_eq!(export_json([]), "[]\n");
    }

    #[test]
    fn a_json_item_with_a_mistake_is_told_with_its_line() {
        let text = "[\n {\"company\": \"a\"},\n {\"company\": \"b\", \"teir\": \"gold\"},\n {\"company\": \"c\", \"phones\": [\"x\"]}\n]";
        let read = import(text, &Directory::new());
        assert_eq!(read.created.len(), 1);
        assert_eq!(
            read.findings.iter().map(|finding| (finding.line, finding.code)).collect::<Vec<_>>(),
            [(3, "json.item"), (4, "customer.phone")]
        );
    }
}

//! Customers: list, read, save, remove; import and export as CSV and JSON, with findings; and their contacts.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Json, Page, Query, page_size};
use crate::command::{Actor, Done, Order};
use crate::crm::customer::PersonName;
use crate::crm::customer_table::{CustomerImport, export_csv, export_json, import_csv, import_json};
use crate::crm::{Customer, Directory, Interaction, Phone, Salutation};
use crate::event::RecordKind;
use crate::finding::{Finding, Source};
use crate::http::auth::guard::Identity;
use crate::http::desk::entity::Contact;
use crate::http::error::ApiError;
use crate::http::orders;
use crate::http::site::{Site, read_all, read_row, read_value};
use crate::http::wire::{Moment, mask_number};
use crate::ids::{CallId, CustomerId, Language};
use crate::limits::http as limits;
use crate::store::View;
use crate::store::customer_secret::{seal, without_secrets};
use crate::store::view::key;
use crate::tier::Tier;

/// A customer's card.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CustomerView {
    #[schema(value_type = String)]
    pub id: CustomerId,
    /// The name in Latin script.
    pub name: PersonName,
    /// The name in Chinese script.
    pub name_zh: PersonName,
    pub salutation: Option<Salutation>,
    pub company: String,
    /// E.164, the first is the one to call back; masked for roles that may not see numbers.
    pub phones: Vec<String>,
    pub tier: Tier,
    #[schema(value_type = Option<String>)]
    pub language: Option<Language>,
    pub attributes: std::collections::BTreeMap<String, String>,
    pub notes: String,
}

impl CustomerView {
    fn of(card: Customer, masked: bool) -> Self {
        let card = without_secrets(card);
        let shown = |phone: &Phone| if masked { mask_number(phone.as_str()) } else { phone.as_str().to_owned() };
        Self {
            id: card.id,
            phones: card.phones.iter().map(shown).collect(),
            name: card.name,
            name_zh: card.name_zh,
            salutation: card.salutation,
            company: card.company,
            tier: card.tier,
            language: card.language,
            attributes: card.attributes,
            notes: card.notes,
        }
    }
}

/// The id that a new record got.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Created {
    #[schema(value_type = String)]
    pub id: CustomerId,
}

/// What an import came to, or would.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ImportReport {
    pub created: usize,
    pub updated: usize,
    /// Rows that say nothing new.
    pub unchanged: usize,
    /// Whether it was saved: not on a dry run, and not with errors unless `partial=true` asks for what fits.
    pub saved: bool,
    #[schema(value_type = Vec<Object>)]
    pub findings: Vec<Finding>,
}

/// `?q=` searches names, companies and numbers; `?number=` finds who has this very number.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Search {
    q: Option<String>,
    number: Option<String>,
    limit: Option<usize>,
    after: Option<CustomerId>,
}

pub async fn list(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Query(search): Query<Search>,
) -> Result<axum::Json<Page<CustomerView>>, ApiError> {
    let masked = site.is_masked(identity.user.role);
    let (cards, next) = match &search.number {
        Some(number) => {
            let phone = site.centre.normalise(number);
            (site.read(move |view| of_phone(view, phone)).await?, None)
        }
        None => site.read(move |view| page(view, &search)).await?,
    };
    let items = cards.into_iter().map(|card| CustomerView::of(card, masked)).collect();
    Ok(axum::Json(Page { items, next }))
}

fn of_phone(view: &dyn View, phone: Option<Phone>) -> Result<Vec<Customer>, ApiError> {
    let Some(phone) = phone else { return Ok(Vec::new()) };
    let mut cards = Vec::new();
    for index in view.range(&key::customers_of_phone(phone.as_str()), None, limits::PAGE_ROWS)? {
        let card: Option<Customer> = read_row(view, &index.value)?;
        // The index may still know a number that the card has lost.
        cards.extend(card.filter(|card| card.phones.contains(&phone)));
    }
    Ok(cards)
}

fn page(view: &dyn View, search: &Search) -> Result<(Vec<Customer>, Option<String>), ApiError> {
    let (rows, wanted) = (page_size(search.limit), search.q.as_deref().map(str::to_lowercase));
    let mut after = search.after.map(key::customer);
    let (mut found, mut scanned) = (Vec::new(), 0);
    loop {
        let chunk = view.range(&key::customers(), after.as_deref(), 1_000)?;
        if chunk.is_empty() {
            return Ok((found, None));
        }
        for row in &chunk {
            scanned += 1;
            after = Some(row.key.clone());
            let card: Option<Customer> = read_value(&row.key, &row.value);
            found.extend(card.filter(|card| wanted.as_ref().is_none_or(|text| mentions(card, text))));
            if found.len() == rows || scanned == limits::SCANNED_ROWS {
                let cursor = row.key.get(key::customers().len()..).map(String::from_utf8_lossy);
                return Ok((found, cursor.map(|cursor| cursor.into_owned())));
            }
        }
    }
}

/// Whether a card says this, in lower case, anywhere a person would look.
fn mentions(card: &Customer, text: &str) -> bool {
    let names = [card.name.full(), card.name_zh.full(), card.company.clone()];
    let numbers = card.phones.iter().map(|phone| phone.as_str().to_owned());
    names.into_iter().chain(numbers).any(|field| field.to_lowercase().contains(text))
}

pub async fn one(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<axum::Json<CustomerView>, ApiError> {
    let card = stored(&site, &id).await?;
    Ok(axum::Json(CustomerView::of(card, site.is_masked(identity.user.role))))
}

async fn stored(site: &Site, id: &str) -> Result<Customer, ApiError> {
    let unknown = || ApiError::not_found("customer.unknown", "There is no such customer.");
    let id: CustomerId = id.parse().map_err(|_| unknown())?;
    site.read(move |view| read_row(view, &key::customer(id))).await?.ok_or_else(unknown)
}

pub async fn create(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Json(mut record): Json<Value>,
) -> Result<Response, ApiError> {
    let id: CustomerId = site.new_id();
    set_id(&mut record, id)?;
    save(&site, identity.actor(), record).await?;
    Ok((StatusCode::CREATED, axum::Json(Created { id })).into_response())
}

pub async fn replace(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    Json(mut record): Json<Value>,
) -> Result<StatusCode, ApiError> {
    let id = id.parse().map_err(|_| ApiError::bad_request("A customer's id is 26 characters; POST makes one."))?;
    set_id(&mut record, id)?;
    save(&site, identity.actor(), record).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn set_id(record: &mut Value, id: CustomerId) -> Result<(), ApiError> {
    let object = record.as_object_mut().ok_or_else(|| ApiError::bad_request("A customer is a JSON object."))?;
    object.insert("id".to_owned(), json!(id));
    Ok(())
}

async fn save(site: &Site, by: Actor, record: Value) -> Result<Done, ApiError> {
    let order = Order::SaveRecord { kind: RecordKind::Customer, record };
    Ok(orders::give(site, by, order, None).await?)
}

pub async fn remove(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let card = stored(&site, &id).await?;
    let order = Order::RemoveRecord { kind: RecordKind::Customer, key: card.id.to_string() };
    orders::give(&site, identity.actor(), order, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The customer's contacts, newest first.
pub async fn contacts(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Vec<Contact>>, ApiError> {
    let id = stored(&site, &id).await?.id;
    let contacts = site.read(move |view| {
        let mut contacts = Vec::new();
        for index in view.range_back(&key::of_customer(id), None, limits::PAGE_ROWS)? {
            contacts.extend(read_row::<Interaction>(view, &index.value)?.and_then(contact));
        }
        Ok(contacts)
    });
    Ok(axum::Json(contacts.await?))
}

fn contact(interaction: Interaction) -> Option<Contact> {
    let call: CallId = *interaction.calls.first()?;
    Some(Contact {
        call,
        at: Moment(interaction.at),
        queue: interaction.queue,
        agent: interaction.agent,
        disposition: interaction.disposition.unwrap_or_default(),
        notes: interaction.note,
    })
}

// -- tables ----------------------------------------------------------------------------------------------------------

/// `?dry_run=true` says what would come of it; `?partial=true` saves the rows that fit also where others do not.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ImportRules {
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default)]
    pub partial: bool,
}

pub async fn import(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Query(rules): Query<ImportRules>,
    headers: HeaderMap,
    text: String,
) -> Result<axum::Json<ImportReport>, ApiError> {
    let is_csv = is_csv(&headers);
    let site_within = Arc::clone(&site);
    let import = site.read(move |view| {
        let mut directory = Directory::new();
        read_all::<Customer>(view, &key::customers())?.into_iter().for_each(|card| directory.put(card));
        let source = Source::new(if is_csv { "customers.csv" } else { "customers.json" }, text);
        let normalise = |number: &str| site_within.centre.normalise(number);
        let mut new_id = || site_within.new_id();
        let import = match is_csv {
            true => import_csv(&source, &directory, &normalise, &mut new_id),
            false => import_json(&source, &directory, &normalise, &mut new_id),
        };
        Ok((import, directory))
    });
    let (import, directory) = import.await?;
    let mut report = ImportReport {
        created: import.created.len(),
        updated: import.updated.len(),
        unchanged: import.unchanged,
        saved: false,
        findings: import.findings.clone(),
    };
    if import.has_errors() && !rules.partial {
        return Err(unfit(report.findings));
    }
    if !rules.dry_run {
        let sealed = tokio::task::spawn_blocking(move || sealed(import, &directory)).await;
        let records = sealed.map_err(ApiError::internal)??;
        save_all(&site, &identity.actor(), records).await?;
        report.saved = true;
    }
    Ok(axum::Json(report))
}

/// The cards to save, with their secrets hashed.
fn sealed(import: CustomerImport, directory: &Directory) -> Result<Vec<(RecordKind, Value)>, ApiError> {
    let cards = import.created.into_iter().chain(import.updated);
    let sealed = cards.map(|mut card| {
        let stored = directory.get(card.id);
        seal(&mut card, stored).map_err(ApiError::internal)?;
        Ok((RecordKind::Customer, serde_json::to_value(&card).map_err(ApiError::internal)?))
    });
    sealed.collect()
}

/// Saves records that were checked. Many wait for the disk together: one write serves them all. Where the house fails
/// at one of them (a full disk, a stop), the refusal says how many are saved all the same.
pub async fn save_all(site: &Site, by: &Actor, records: Vec<(RecordKind, Value)>) -> Result<(), ApiError> {
    let total = records.len();
    let saves = records.into_iter().map(|(kind, record)| {
        let order = Order::SaveRecord { kind, record };
        site.centre.order(crate::command::Command { by: by.clone(), order })
    });
    // In order: an account before the user who has it.
    let mut saves = futures_util::stream::iter(saves).buffered(SAVED_AT_ONCE);
    let (mut saved, mut last, mut failed) = (0, None, None);
    while let Some(done) = saves.next().await {
        match done {
            Ok(done) => (saved, last) = (saved + 1, Some(done.seq)),
            Err(refusal) => drop(failed.get_or_insert(refusal)),
        }
    }
    if let Some(seq) = last {
        site.hub.wait_for(seq).await;
    }
    failed.map_or(Ok(()), |refusal| {
        let error = ApiError::from(refusal);
        let msg =
            format!("{} {saved} of {total} records are saved; the same table once more saves the rest.", error.msg);
        Err(ApiError { msg, ..error })
    })
}

/// Nothing was saved: the findings say why.
pub fn unfit(findings: Vec<Finding>) -> ApiError {
    let msg = "Some rows do not fit and nothing was saved. Mend them, or send partial=true to save the others.";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "import.findings", msg).with_findings(findings)
}

/// Whether a body is CSV; everything else is taken for JSON.
pub fn is_csv(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("text/csv")
}

/// `?format=json`; CSV otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ExportRules {
    #[serde(default)]
    format: String,
}

impl ExportRules {
    pub fn response(&self, name: &str, csv: impl FnOnce() -> String, json: impl FnOnce() -> String) -> Response {
        let (kind, ending, body) = match self.format.as_str() {
            "json" => ("application/json", "json", json()),
            _ => ("text/csv; charset=utf-8", "csv", csv()),
        };
        let disposition = format!("attachment; filename=\"{name}.{ending}\"");
        ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response()
    }
}

pub async fn export(State(site): State<Arc<Site>>, Query(rules): Query<ExportRules>) -> Result<Response, ApiError> {
    let cards = site.read(|view| read_all::<Customer>(view, &key::customers())).await?;
    let cards: Vec<Customer> = cards.into_iter().map(without_secrets).collect();
    Ok(rules.response("customers", || export_csv(&cards), || export_json(&cards)))
}

/// Saves of one import that wait for the disk together.
const SAVED_AT_ONCE: usize = 256;

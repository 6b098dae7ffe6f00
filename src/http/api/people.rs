//! Users, their keys, SIP accounts, and agents' skills. Secrets go in and never come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::customers::{ExportRules, ImportReport, ImportRules, is_csv, save_all, unfit};
use super::{Json, Query};
use crate::command::{Actor, Command, Order, UserRole};
use crate::crm::people::{ClearPassword, PasswordHash};
use crate::crm::people_table::{PersonDraft, export_csv, export_json, import_csv, import_json};
use crate::crm::{AgentProfile, SipAccount, User};
use crate::event::RecordKind;
use crate::finding::Source;
use crate::http::auth::Token;
use crate::http::auth::guard::Identity;
use crate::http::error::ApiError;
use crate::http::orders;
use crate::http::site::{Site, read_all, read_row};
use crate::ids::{AccountName, Language, UserName};
use crate::store::View;
use crate::store::password;
use crate::store::view::key;

/// A user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    #[schema(value_type = String)]
    pub name: UserName,
    pub display: String,
    pub role: UserRole,
    #[schema(value_type = Option<String>)]
    pub language: Option<Language>,
    /// The account the sign-in page proposes.
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountName>,
    /// Without one nobody signs in.
    pub has_password: bool,
    pub disabled: bool,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            has_password: user.password.is_some(),
            name: user.name,
            display: user.display,
            role: user.role,
            language: user.language,
            account: user.account,
            disabled: user.disabled,
        }
    }
}

/// A user to save. A missing password keeps the stored one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    #[serde(default)]
    pub display: String,
    pub role: UserRole,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub language: Option<Language>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountName>,
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub disabled: bool,
}

/// A SIP account: an address of record that phones register.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountView {
    #[schema(value_type = String)]
    pub name: AccountName,
    pub realm: String,
    pub display: String,
    pub disabled: bool,
}

impl From<SipAccount> for AccountView {
    fn from(account: SipAccount) -> Self {
        Self { name: account.name, realm: account.realm, display: account.display, disabled: account.disabled }
    }
}

/// An account to save. A missing password keeps the stored secrets; a new account needs one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountBody {
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub display: String,
    #[serde(default)]
    pub disabled: bool,
}

/// An agent's skills, levels 1 to 10.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillsBody {
    pub skills: BTreeMap<String, u8>,
}

/// A key, shown this once: `Authorization: Bearer NAME:KEY`.
#[derive(Serialize, ToSchema)]
pub struct KeyView {
    pub key: String,
}

// -- users -----------------------------------------------------------------------------------------------------------

pub async fn users(State(site): State<Arc<Site>>) -> Result<axum::Json<Vec<UserView>>, ApiError> {
    let users = site.read(|view| read_all::<User>(view, &key::users())).await?;
    Ok(axum::Json(users.into_iter().map(UserView::from).collect()))
}

pub async fn user(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Result<axum::Json<UserView>, ApiError> {
    let user = site.user(&UserName::new(&name)).await?.ok_or_else(|| unknown("user", &name))?;
    Ok(axum::Json(UserView::from(user)))
}

pub async fn put_user(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    Json(body): Json<UserBody>,
) -> Result<StatusCode, ApiError> {
    let name = UserName::new(&name);
    let stored = site.user(&name).await?.and_then(|user| user.password);
    let password = match body.password {
        Some(clear) => Some(hashed(clear).await?),
        None => stored,
    };
    let (role, language, account) = (body.role, body.language, body.account);
    let user = User { name, display: body.display, role, language, account, password, disabled: body.disabled };
    keep_an_admin(&site, &user.name, user.role == UserRole::Admin && !user.disabled).await?;
    save(&site, identity.actor(), RecordKind::User, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn delete_user(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    keep_an_admin(&site, &UserName::new(&name), false).await?;
    remove(&site, &identity, RecordKind::User, name).await
}

/// A fresh key for a program; the one before is void.
pub async fn user_key(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Result<axum::Json<KeyView>, ApiError> {
    let user = site.user(&UserName::new(&name)).await?.ok_or_else(|| unknown("user", &name))?;
    if user.role != UserRole::Integration {
        let msg = "Keys are for users in the role `integration`; people have passwords.";
        return Err(ApiError::new(StatusCode::CONFLICT, "user.not_integration", msg));
    }
    let token = Token::fresh().map_err(ApiError::internal)?;
    let user = User { password: Some(hashed(token.0.clone()).await?), ..user };
    save(&site, identity.actor(), RecordKind::User, &user).await?;
    Ok(axum::Json(KeyView { key: token.0 }))
}

/// Refuses what would leave nobody to administrate.
async fn keep_an_admin(site: &Site, changed: &UserName, stays: bool) -> Result<(), ApiError> {
    let users = site.read(|view| read_all::<User>(view, &key::users())).await?;
    let mut admins = users.iter().filter(|user| user.role == UserRole::Admin && !user.disabled);
    if stays || admins.clone().all(|user| user.name != *changed) || admins.any(|user| user.name != *changed) {
        return Ok(());
    }
    let msg = "This is the only administrator. Make another one first.";
    Err(ApiError::new(StatusCode::CONFLICT, "user.last_admin", msg))
}

async fn hashed(clear: String) -> Result<PasswordHash, ApiError> {
    let hash = tokio::task::spawn_blocking(move || password::hash(&ClearPassword(clear))).await;
    hash.map_err(ApiError::internal)?
        .map_err(|error| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "password.invalid", error.to_string()))
}

pub async fn export_users(
    State(site): State<Arc<Site>>,
    Query(rules): Query<ExportRules>,
) -> Result<Response, ApiError> {
    let people = site.read(|view| {
        let users = read_all::<User>(view, &key::users())?;
        let with_skills = |user: User| Ok((read_row::<AgentProfile>(view, &key::agent(&user.name))?, user));
        users.into_iter().map(with_skills).collect::<Result<Vec<_>, ApiError>>()
    });
    let people = people.await?;
    let rows = || people.iter().map(|(profile, user)| (user, profile.as_ref()));
    Ok(rules.response("users", || export_csv(rows()), || export_json(rows())))
}

pub async fn import_users(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Query(rules): Query<ImportRules>,
    headers: HeaderMap,
    text: String,
) -> Result<axum::Json<ImportReport>, ApiError> {
    let (is_csv, plan) = (is_csv(&headers), site.centre.plan());
    let read = site.read(move |view| {
        let source = Source::new(if is_csv { "users.csv" } else { "users.json" }, text);
        let mut import = if is_csv { import_csv(&source, &plan.domain) } else { import_json(&source, &plan.domain) };
        let staff = Staff::of(view)?;
        import.fit(&source, &staff.users, &staff.profiles, &plan.emergency);
        Ok((import, staff))
    });
    let (import, staff) = read.await?;
    if import.has_errors() && !rules.partial {
        return Err(unfit(import.findings));
    }
    let updated = import.people.iter().filter(|draft| staff.users.contains_key(&draft.user.name)).count();
    let created = import.people.len() - updated;
    let mut report = ImportReport { created, updated, findings: import.findings, ..ImportReport::default() };
    if !rules.dry_run {
        // Nothing is saved before the last of them is ready to be.
        let records = tokio::task::spawn_blocking(move || records_of(import.people, &staff)).await;
        save_all(&site, &identity.actor(), records.map_err(ApiError::internal)??).await?;
        report.saved = true;
    }
    Ok(axum::Json(report))
}

/// Who there is.
struct Staff {
    users: BTreeMap<UserName, User>,
    profiles: BTreeMap<UserName, AgentProfile>,
}

impl Staff {
    fn of(view: &dyn View) -> Result<Self, ApiError> {
        let users = read_all::<User>(view, &key::users())?.into_iter().map(|user| (user.name.clone(), user));
        let profiles = read_all::<AgentProfile>(view, &key::agents())?.into_iter();
        let profiles = profiles.map(|profile| (profile.user.clone(), profile));
        Ok(Self { users: users.collect(), profiles: profiles.collect() })
    }
}

/// The records that rows become, passwords hashed: tens of milliseconds each.
fn records_of(people: Vec<PersonDraft>, staff: &Staff) -> Result<Vec<(RecordKind, Value)>, ApiError> {
    let mut records = Vec::new();
    for draft in people {
        let name = &draft.user.name;
        let mut user = draft.onto(staff.users.get(name));
        if let Some(clear) = &draft.password {
            user.password = Some(password::hash(clear).map_err(ApiError::internal)?);
        }
        if let Some(account) = &draft.account {
            records.push((RecordKind::Account, serde_json::to_value(account).map_err(ApiError::internal)?));
        }
        records.push((RecordKind::User, serde_json::to_value(&user).map_err(ApiError::internal)?));
        if let Some(profile) = draft.profile(staff.profiles.get(name)) {
            records.push((RecordKind::Agent, serde_json::to_value(profile).map_err(ApiError::internal)?));
        }
    }
    Ok(records)
}

// -- accounts --------------------------------------------------------------------------------------------------------

pub async fn accounts(State(site): State<Arc<Site>>) -> Result<axum::Json<Vec<AccountView>>, ApiError> {
    let accounts = site.read(|view| read_all::<SipAccount>(view, &key::accounts())).await?;
    Ok(axum::Json(accounts.into_iter().map(AccountView::from).collect()))
}

pub async fn account(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<axum::Json<AccountView>, ApiError> {
    let stored = stored_account(&site, &name).await?.ok_or_else(|| unknown("account", &name))?;
    Ok(axum::Json(AccountView::from(stored)))
}

async fn stored_account(site: &Site, name: &str) -> Result<Option<SipAccount>, ApiError> {
    let name = AccountName::new(name);
    site.read(move |view: &dyn View| read_row(view, &key::account(&name))).await
}

pub async fn put_account(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    Json(body): Json<AccountBody>,
) -> Result<StatusCode, ApiError> {
    let invalid = |msg: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "record.invalid", msg);
    let account = match (body.password, stored_account(&site, &name).await?) {
        (Some(clear), _) => {
            let realm = site.centre.plan().domain;
            let made = SipAccount::new(AccountName::new(&name), &realm, &ClearPassword(clear));
            made.map_err(|error| invalid(error.to_string()))?
        }
        (None, Some(stored)) => stored,
        (None, None) => return Err(invalid("A new account needs a password.".to_owned())),
    };
    let account = SipAccount { display: body.display, disabled: body.disabled, ..account };
    save(&site, identity.actor(), RecordKind::Account, &account).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn delete_account(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    remove(&site, &identity, RecordKind::Account, name).await
}

// -- agents ----------------------------------------------------------------------------------------------------------

pub async fn put_agent(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    Json(body): Json<SkillsBody>,
) -> Result<StatusCode, ApiError> {
    let known = site.user(&UserName::new(&name)).await?;
    known.ok_or_else(|| unknown("user", &name))?;
    let profile = serde_json::json!({ "user": name, "skills": body.skills });
    save(&site, identity.actor(), RecordKind::Agent, &profile).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn delete_agent(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    remove(&site, &identity, RecordKind::Agent, name).await
}

// -- saving ----------------------------------------------------------------------------------------------------------

async fn save(site: &Site, by: Actor, kind: RecordKind, record: &impl Serialize) -> Result<(), ApiError> {
    let record = serde_json::to_value(record).map_err(ApiError::internal)?;
    let done = site.centre.order(Command { by, order: Order::SaveRecord { kind, record } }).await?;
    site.hub.wait_for(done.seq).await;
    Ok(())
}

async fn remove(site: &Site, identity: &Identity, kind: RecordKind, key: String) -> Result<StatusCode, ApiError> {
    orders::give(site, identity.actor(), Order::RemoveRecord { kind, key }, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown(what: &str, name: &str) -> ApiError {
    ApiError::not_found(&format!("{what}.unknown"), format!("There is no {what} `{name}`."))
}

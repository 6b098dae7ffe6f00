//! `strowger users` and `strowger accounts`: who signs in, and the phones that register.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::config::args::{Accounts, Args, Exchange, FileFormat, RoleArg, Users};
use crate::crm::people::PasswordHash;
use crate::crm::people::check_account_name;
use crate::crm::people_table::{self, PersonDraft};
use crate::crm::{AgentProfile, Role, SipAccount, User, csv};
use crate::event::RecordKind;
use crate::finding::{Finding, Severity};
use crate::ids::{AccountName, UserName};
use crate::store::password;
use crate::store::view::key;

use super::office::{Change, Office};
use super::table::Table;
use super::tables::{self, Imported};
use super::{ask, progress, say_json};

/// Everybody on file.
pub struct Staff {
    pub users: BTreeMap<UserName, User>,
    pub accounts: BTreeMap<AccountName, SipAccount>,
    pub profiles: BTreeMap<UserName, AgentProfile>,
}

impl Staff {
    pub fn of(office: &Office) -> anyhow::Result<Self> {
        let (users, accounts) = (office.all::<User>(&key::users())?, office.all::<SipAccount>(&key::accounts())?);
        let profiles = office.all::<AgentProfile>(&key::agents())?;
        Ok(Self {
            users: users.into_iter().map(|user| (user.name.clone(), user)).collect(),
            accounts: accounts.into_iter().map(|account| (account.name.clone(), account)).collect(),
            profiles: profiles.into_iter().map(|profile| (profile.user.clone(), profile)).collect(),
        })
    }

    pub fn user(&self, name: &str) -> anyhow::Result<&User> {
        self.users.get(name).with_context(|| format!("there is no user `{name}`: `strowger users list` names them"))
    }

    pub fn account(&self, name: &str) -> anyhow::Result<&SipAccount> {
        self.accounts
            .get(name)
            .with_context(|| format!("there is no account `{name}`: `strowger accounts list` names them"))
    }

    /// Users whose desk has this account.
    fn users_at(&self, account: &AccountName) -> Vec<&User> {
        self.users.values().filter(|user| user.account.as_ref() == Some(account)).collect()
    }
}

// -- users -----------------------------------------------------------------------------------------------------------

pub fn users(args: &Args, what: &Users) -> anyhow::Result<ExitCode> {
    let mut office = Office::open(args)?;
    match what {
        Users::List => list_users(args, &office),
        Users::Add { name, role, full_name, account } => {
            let user = User {
                name: UserName::new(name),
                display: full_name.clone().unwrap_or_default(),
                role: role_of(*role),
                language: None,
                account: account.as_deref().map(AccountName::new),
                password: None,
                disabled: false,
            };
            add_user(&mut office, user)
        }
        Users::Role { name, role } => {
            let staff = Staff::of(&office)?;
            let user = User { role: role_of(*role), ..staff.user(name)?.clone() };
            office.save(user_changes(&staff, &user)?)?;
            done(&format!("{name} is {} now.", user.role.code()))
        }
        Users::Password { name } => {
            let staff = Staff::of(&office)?;
            let user = staff.user(name)?;
            let password = Some(password::hash(&ask::password(name)?)?);
            office.save(user_changes(&staff, &User { password, ..user.clone() })?)?;
            done(&format!("The password of {name} is set."))
        }
        Users::Remove { name } => {
            let staff = Staff::of(&office)?;
            staff.user(name)?;
            let mut changes = vec![Change::Remove { kind: RecordKind::User, key: name.clone() }];
            if staff.profiles.contains_key(name.as_str()) {
                changes.push(Change::Remove { kind: RecordKind::Agent, key: name.clone() });
            }
            office.save(changes)?;
            done(&format!("{name} is removed."))
        }
        Users::Exchange(exchange) => self::exchange(args, &mut office, exchange),
    }
}

/// A user as a list shows them: never a hash.
#[derive(Serialize)]
struct UserRow<'a> {
    name: &'a str,
    display: &'a str,
    role: &'a str,
    account: &'a str,
    language: &'a str,
    /// May sign in: a password is set, and the user is not disabled.
    can_sign_in: bool,
    disabled: bool,
}

impl<'a> UserRow<'a> {
    fn of(user: &'a User) -> Self {
        Self {
            name: user.name.as_str(),
            display: &user.display,
            role: user.role.code(),
            account: user.account.as_ref().map_or("", |account| account.as_str()),
            language: user.language.as_ref().map_or("", |language| language.as_str()),
            can_sign_in: user.password.is_some() && !user.disabled,
            disabled: user.disabled,
        }
    }
}

fn list_users(args: &Args, office: &Office) -> anyhow::Result<ExitCode> {
    let staff = Staff::of(office)?;
    let rows: Vec<UserRow> = staff.users.values().map(UserRow::of).collect();
    if args.json {
        say_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["name", "full name", "role", "account", "language", "sign-in"]);
    for row in &rows {
        let sign_in = match (row.disabled, row.can_sign_in) {
            (true, _) => "disabled",
            (false, true) => "yes",
            (false, false) => "no password",
        };
        table.row([row.name, row.display, row.role, row.account, row.language, sign_in].map(str::to_owned));
    }
    table.print("No users yet: add one with `strowger users add NAME --role admin`.");
    Ok(ExitCode::SUCCESS)
}

fn add_user(office: &mut Office, mut user: User) -> anyhow::Result<ExitCode> {
    user.check()?;
    let staff = Staff::of(office)?;
    let name = user.name.clone();
    anyhow::ensure!(!staff.users.contains_key(&name), "there is a user `{name}` already");
    warn_of_missing_account(&staff, &user);
    user.password = Some(password::hash(&ask::password(name.as_str())?)?);
    office.save(user_changes(&staff, &user)?)?;
    done(&format!("{name} is added as {}.", user.role.code()))
}

/// The user, and an agent's profile where there is none: the distributor knows agents by their profiles.
fn user_changes(staff: &Staff, user: &User) -> anyhow::Result<Vec<Change>> {
    let mut changes = vec![Change::save(RecordKind::User, &user.name, user)?];
    if user.role == Role::Agent && !staff.profiles.contains_key(&user.name) {
        let profile = AgentProfile { user: user.name.clone(), skills: BTreeMap::new() };
        changes.push(Change::save(RecordKind::Agent, &user.name, &profile)?);
    }
    Ok(changes)
}

fn warn_of_missing_account(staff: &Staff, user: &User) {
    let Some(account) = user.account.as_ref().filter(|account| !staff.accounts.contains_key(*account)) else { return };
    eprintln!("warning: there is no account `{account}` yet; add it with `strowger accounts add {account}`.");
}

const fn role_of(role: RoleArg) -> Role {
    match role {
        RoleArg::Agent => Role::Agent,
        RoleArg::Supervisor => Role::Supervisor,
        RoleArg::Admin => Role::Admin,
        RoleArg::Integration => Role::Integration,
    }
}

// -- accounts --------------------------------------------------------------------------------------------------------

pub fn accounts(args: &Args, what: &Accounts) -> anyhow::Result<ExitCode> {
    let mut office = Office::open(args)?;
    match what {
        Accounts::List => list_accounts(args, &office),
        Accounts::Add { account } => {
            let staff = Staff::of(&office)?;
            let known = staff.accounts.contains_key(account.as_str());
            anyhow::ensure!(!known, "there is an account `{account}` already");
            set_sip_password(&mut office, account, None)?;
            done(&format!("{account}@{} may register.", office.plan.domain))
        }
        Accounts::Password { account } => {
            let staff = Staff::of(&office)?;
            set_sip_password(&mut office, account, Some(staff.account(account)?))?;
            done(&format!("The password of account {account} is set."))
        }
        Accounts::Remove { account } => {
            let staff = Staff::of(&office)?;
            let name = staff.account(account)?.name.clone();
            let mut changes = vec![Change::Remove { kind: RecordKind::Account, key: account.clone() }];
            for user in staff.users_at(&name) {
                let user = User { account: None, ..user.clone() };
                changes.push(Change::save(RecordKind::User, &user.name, &user)?);
            }
            office.save(changes)?;
            done(&format!("Account {account} is removed."))
        }
        Accounts::Exchange(Exchange::Export { file, format }) => export_accounts(&office, file.as_ref(), *format),
        Accounts::Exchange(exchange) => self::exchange(args, &mut office, exchange),
    }
}

/// Makes the secrets anew; a display name and a lock stay as they were.
fn set_sip_password(office: &mut Office, name: &str, stored: Option<&SipAccount>) -> anyhow::Result<()> {
    let password = ask::password(&format!("account {name}"))?;
    let account = SipAccount::new(AccountName::new(name), &office.plan.domain, &password)?;
    check_account_name(&account.name, &office.plan.emergency.numbers)?;
    let account = match stored {
        Some(stored) => SipAccount { display: stored.display.clone(), disabled: stored.disabled, ..account },
        None => account,
    };
    office.save(vec![Change::save(RecordKind::Account, name, &account)?])
}

/// An account as a list shows it: never its secrets.
#[derive(Serialize)]
struct AccountRow {
    account: String,
    display: String,
    realm: String,
    users: Vec<String>,
    /// Contacts of its registrations.
    contacts: Vec<String>,
    disabled: bool,
}

fn account_rows(office: &Office) -> anyhow::Result<Vec<AccountRow>> {
    let staff = Staff::of(office)?;
    let mut contacts: BTreeMap<AccountName, Vec<String>> = BTreeMap::new();
    for (account, binding) in office.all::<(AccountName, serde_json::Value)>(&key::registrations())? {
        let contact = binding.get("contact").and_then(serde_json::Value::as_str).unwrap_or("(unknown)");
        contacts.entry(account).or_default().push(contact.to_owned());
    }
    let row = |account: &SipAccount| AccountRow {
        account: account.name.to_string(),
        display: account.display.clone(),
        realm: account.realm.clone(),
        users: staff.users_at(&account.name).iter().map(|user| user.name.to_string()).collect(),
        contacts: contacts.get(&account.name).cloned().unwrap_or_default(),
        disabled: account.disabled,
    };
    Ok(staff.accounts.values().map(row).collect())
}

fn list_accounts(args: &Args, office: &Office) -> anyhow::Result<ExitCode> {
    let rows = account_rows(office)?;
    if args.json {
        say_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["account", "shown as", "realm", "users", "registered at"]);
    for row in rows {
        let at = if row.disabled { "(disabled)".to_owned() } else { row.contacts.join(" ") };
        table.row([row.account, row.display, row.realm, row.users.join(" "), at]);
    }
    table.print("No accounts yet: add one with `strowger accounts add 1001`.");
    Ok(ExitCode::SUCCESS)
}

/// What can be told of an account: its secrets stay in the store, so this is for reading, not for importing.
fn export_accounts(office: &Office, file: Option<&std::path::PathBuf>, format: FileFormat) -> anyhow::Result<ExitCode> {
    let rows = account_rows(office)?;
    tables::write(file, format, |format| match format {
        FileFormat::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&rows)?)),
        FileFormat::Csv => {
            let cells = rows.iter().map(|row| {
                let disabled = if row.disabled { "yes" } else { "" };
                let lists = (row.users.join(" "), row.contacts.join(" "));
                [row.account.clone(), row.display.clone(), row.realm.clone(), lists.0, lists.1, disabled.to_owned()]
            });
            let cells: Vec<[String; 6]> = cells.collect();
            let header = ["account", "display", "realm", "users", "contacts", "disabled"];
            Ok(csv::write(&header, cells.iter().map(|row| row.iter().map(String::as_str).collect())))
        }
    })
}

// -- in and out ------------------------------------------------------------------------------------------------------

/// Imports or exports people: users, the accounts at their desks and their skills stand in one table.
pub fn exchange(args: &Args, office: &mut Office, exchange: &Exchange) -> anyhow::Result<ExitCode> {
    match exchange {
        Exchange::Import { file, dry_run } => {
            let text = tables::read(file)?;
            let mut read = match text.format {
                FileFormat::Csv => people_table::import_csv(&text.source, &office.plan.domain),
                FileFormat::Json => people_table::import_json(&text.source, &office.plan.domain),
            };
            let staff = Staff::of(office)?;
            read.fit(&text.source, &staff.users, &staff.profiles, &office.plan.emergency.numbers);
            tables::accept(args, &read.findings, &text.source)?;
            let merged = merge(&staff, &read.people)?;
            let warnings = read.findings.into_iter().filter(|finding| finding.severity == Severity::Warning).collect();
            warn_of_unknown_accounts(&staff, &read.people);
            let imported = merged.told(*dry_run, warnings);
            if !dry_run {
                office.save(merged.changes)?;
            }
            imported.print(args, "people")?;
            Ok(ExitCode::SUCCESS)
        }
        Exchange::Export { file, format } => {
            let staff = Staff::of(office)?;
            let people = staff.users.values().map(|user| (user, staff.profiles.get(&user.name)));
            tables::write(file.as_ref(), *format, |format| match format {
                FileFormat::Csv => Ok(people_table::export_csv(people)),
                FileFormat::Json => Ok(people_table::export_json(people)),
            })
        }
    }
}

#[derive(Default)]
struct Merged {
    changes: Vec<Change>,
    added: usize,
    changed: usize,
    unchanged: usize,
}

impl Merged {
    fn told(&self, dry_run: bool, findings: Vec<Finding>) -> Imported {
        Imported { added: self.added, changed: self.changed, unchanged: self.unchanged, dry_run, findings }
    }
}

/// The rows against what is stored: only what differs is saved.
fn merge(staff: &Staff, people: &[PersonDraft]) -> anyhow::Result<Merged> {
    let mut merged = Merged::default();
    let bar = progress::bar(people.len(), "hashing passwords");
    for draft in people {
        let stored = staff.users.get(&draft.user.name);
        let mut changes = Vec::new();
        let user = User { password: password_of(draft, stored)?, ..draft.onto(stored) };
        if stored != Some(&user) {
            changes.push(Change::save(RecordKind::User, &user.name, &user)?);
        }
        if let Some(account) = &draft.account {
            let known = staff.accounts.get(&account.name);
            let account = SipAccount {
                display: if user.display.is_empty() { account.display.clone() } else { user.display.clone() },
                disabled: known.is_some_and(|known| known.disabled),
                ..account.clone()
            };
            if known != Some(&account) {
                changes.push(Change::save(RecordKind::Account, &account.name, &account)?);
            }
        }
        let known = staff.profiles.get(&user.name);
        if let Some(profile) = draft.profile(known).filter(|profile| known != Some(profile)) {
            changes.push(Change::save(RecordKind::Agent, &user.name, &profile)?);
        }
        match (stored, changes.is_empty()) {
            (None, _) => merged.added += 1,
            (Some(_), true) => merged.unchanged += 1,
            (Some(_), false) => merged.changed += 1,
        }
        merged.changes.extend(changes);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(merged)
}

/// The hash to store: the one there is, where the row says no password or the same one.
fn password_of(draft: &PersonDraft, stored: Option<&User>) -> anyhow::Result<Option<PasswordHash>> {
    let known = stored.and_then(|user| user.password.as_ref());
    match &draft.password {
        None => Ok(known.cloned()),
        Some(clear) if known.is_some() && password::verify(clear, known) => Ok(known.cloned()),
        Some(clear) => {
            let hash = password::hash(clear).with_context(|| format!("the password of {}", draft.user.name))?;
            Ok(Some(hash))
        }
    }
}

fn warn_of_unknown_accounts(staff: &Staff, people: &[PersonDraft]) {
    let made: Vec<&AccountName> = people.iter().filter_map(|draft| Some(&draft.account.as_ref()?.name)).collect();
    for draft in people {
        if draft.user.account.as_ref().is_some_and(|account| !made.contains(&account)) {
            warn_of_missing_account(staff, &draft.user);
        }
    }
}

fn done(what: &str) -> anyhow::Result<ExitCode> {
    super::say(&format!("{what}\n"));
    Ok(ExitCode::SUCCESS)
}

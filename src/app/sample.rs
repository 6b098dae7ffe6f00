//! The sample centre's people and customers, stored on the first run of `strowger demo`.

use std::path::Path;

use anyhow::Context;
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::command::{Actor, Command, Order, UserRole};
use crate::crm::people_table::{self, PersonDraft};
use crate::crm::{Customer, Directory, Phone, User, customer_table};
use crate::event::RecordKind;
use crate::finding::{Finding, Severity, Source};
use crate::http::centre::Centre;
use crate::ids::IdSource;
use crate::number::{Home, Number};
use crate::plan::Plan;
use crate::store::customer_secret::seal;
use crate::store::password;
use crate::store::view::key;
use crate::time::Time;

use super::Rejected;
use super::centre::Running;
use super::store::records;

pub const PEOPLE: &str = "people.csv";
pub const CUSTOMERS: &str = "customers.csv";
/// Names the customers. They are stored once, so that nobody else has their ids.
const SEED: u64 = 1;

/// Stores the sample where nobody is known yet. What somebody has changed since stays.
pub async fn fill(running: &Running, plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let users: Vec<User> = records(&running.house.view, &key::users())?;
    if !users.is_empty() {
        return Ok(());
    }
    eprintln!("First run: storing the sample's people and customers …");
    let (people, customers) = (source(folder, PEOPLE)?, source(folder, CUSTOMERS)?);
    let domain = plan.domain.to_string();
    let home = plan.home;
    let now = running.house.now();
    let read = tokio::task::spawn_blocking(move || {
        let cards = cards(&customers, &home, now)?;
        let staff = people_table::import_csv(&people, &domain);
        refuse(&staff.findings, &people)?;
        let cards = cards.into_iter().map(with_hashed_secrets).collect::<anyhow::Result<Vec<_>>>()?;
        let staff = staff.people.into_iter().map(with_hash).collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::Ok((cards, staff))
    });
    let (cards, staff) = read.await??;
    try_join_all(cards.iter().map(|card| save(running, RecordKind::Customer, card))).await?;
    try_join_all(
        staff.iter().filter_map(|(draft, _)| Some(save(running, RecordKind::Account, draft.account.as_ref()?))),
    )
    .await?;
    try_join_all(staff.iter().filter_map(|(draft, _)| Some(save(running, RecordKind::Agent, draft.agent.as_ref()?))))
        .await?;
    // Users last: where they are, everything is.
    try_join_all(staff.iter().map(|(_, user)| save(running, RecordKind::User, user))).await?;
    Ok(())
}

/// The customers of a table, named as of `now`; their secrets are clear.
pub fn cards(table: &Source, home: &Home, now: Time) -> anyhow::Result<Vec<Customer>> {
    let normalise = |text: &str| Number::normalise(text, home).ok().and_then(|number| Phone::of(&number));
    let mut ids = IdSource::from_seed(SEED);
    let cards = customer_table::import_csv(table, &Directory::new(), &normalise, &mut || ids.next(now));
    refuse(&cards.findings, table)?;
    Ok(cards.created)
}

pub fn source(folder: &Path, name: &str) -> anyhow::Result<Source> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Source::new(path.to_string_lossy(), text))
}

/// Refuses a table with an error in it.
pub fn refuse(findings: &[Finding], source: &Source) -> anyhow::Result<()> {
    let errors: Vec<Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Rejected { findings: errors, sources: vec![source.clone()] }.into())
}

fn with_hashed_secrets(mut card: Customer) -> anyhow::Result<Customer> {
    seal(&mut card, None)?;
    Ok(card)
}

fn with_hash(mut draft: PersonDraft) -> anyhow::Result<(PersonDraft, User)> {
    let mut user = draft.onto(None);
    user.password = draft.password.take().map(|clear| password::hash(&clear)).transpose()?;
    Ok((draft, user))
}

async fn save(running: &Running, kind: RecordKind, record: &impl Serialize) -> anyhow::Result<()> {
    let by = Actor { user: "demo".into(), role: UserRole::Admin };
    let record = serde_json::to_value(record)?;
    let order = Order::SaveRecord { kind, record };
    running.house.order(Command { by, order }).await.map_err(|refusal| anyhow::anyhow!(refusal.msg))?;
    Ok(())
}

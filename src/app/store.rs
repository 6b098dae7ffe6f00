//! The store opened: ledger, view and fold, with the view brought up to the ledger.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde::de::DeserializeOwned;

use crate::crm::{AgentProfile, SipAccount, User};
use crate::event::Seq;
use crate::ids::{AccountName, Epoch};
use crate::runtime::fold::EventFold;
use crate::sip::registrar::Binding;
use crate::store::ledger::{LedgerReader, SegmentLedger};
use crate::store::sled::{Opened, SledView};
use crate::store::view::{catch_up, every_row, key};
use crate::store::{Ledger, View, ViewError};
use crate::switch::Roster;

use super::office::Rows;

/// The store as one process holds it.
pub struct Store {
    pub ledger: SegmentLedger,
    pub reader: LedgerReader,
    pub view: Arc<dyn View>,
    pub fold: Arc<EventFold>,
    /// The last record there is.
    pub last: Seq,
}

impl Store {
    /// Opens the store in `path`, made if missing. Fails with [`crate::store::LedgerError::Locked`] where another
    /// process has it. `progress` hears how far a view that was behind has come.
    pub fn open(path: &Path, epoch: Epoch, progress: impl FnMut(Seq)) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("the store {} cannot be made", path.display()))?;
        let ledger = SegmentLedger::open(path.join("ledger"), epoch)?;
        let (view, opened) = SledView::open(&path.join("view"))?;
        if let Opened::Replaced { remains, reason } = opened {
            tracing::warn!(%reason, remains = %remains.display(), "the view did not open and is rebuilt from the ledger");
        }
        let fold = EventFold::default();
        let caught = catch_up(&ledger, &view, &fold, progress)?;
        tracing::info!(records = caught.records, position = %caught.position, "the view is up to date");
        let (reader, last) = (ledger.reader(), ledger.next_seq().prev());
        Ok(Self { ledger, reader, view: Arc::new(view), fold: Arc::new(fold), last })
    }

    /// Everybody who serves.
    pub fn roster(&self) -> anyhow::Result<Roster> {
        let view = &self.view;
        Ok(Roster {
            users: named(view, &key::users(), |user: &User| user.name.clone())?,
            accounts: named(view, &key::accounts(), |account: &SipAccount| account.name.clone())?,
            profiles: named(view, &key::agents(), |profile: &AgentProfile| profile.user.clone())?,
        })
    }

    /// Where phones were registered.
    pub fn bindings(&self) -> Result<Vec<(AccountName, Binding)>, ViewError> {
        let mut bindings = Vec::new();
        every_row(&*self.view, &key::registrations(), |row| {
            bindings.extend(serde_json::from_slice::<(AccountName, Binding)>(&row.value).ok());
        })?;
        Ok(bindings)
    }
}

fn named<K: Ord, T: DeserializeOwned>(
    view: &dyn Rows,
    prefix: &[u8],
    name: impl Fn(&T) -> K,
) -> anyhow::Result<BTreeMap<K, T>> {
    Ok(records(view, prefix)?.into_iter().map(|record| (name(&record), record)).collect())
}

/// All rows under a prefix, in key order, read as one kind of record.
pub fn records<T: DeserializeOwned>(view: &dyn Rows, prefix: &[u8]) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = view.range(prefix, after.as_deref(), PAGE)?;
        for row in &page {
            found.push(serde_json::from_slice(&row.value).context("a row of the view cannot be read")?);
        }
        match page.last() {
            Some(last) => after = Some(last.key.clone()),
            None => return Ok(found),
        }
    }
}

/// Rows read at a time.
const PAGE: usize = 1_000;

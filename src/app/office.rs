//! The office: the centre's records as a command reads and changes them, whether a server runs or not.
//!
//! Where none runs, the command opens the store itself; where one does, it asks it over `control.sock` beside the
//! ledger. Reads and saves are the same either way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::args::Args;
use crate::config::load::{beside, read_source};
use crate::event::{EVENT_VERSION, Event, Fact, RecordKind, Seq};
use crate::finding::{Finding, Severity, Source};
use crate::ids::{CallId, Epoch, IdSource, MadeId, UserName};
use crate::limits::CONFIG_BYTES;
use crate::limits::store as limits;
use crate::plan::{Plan, Surroundings, read};
use crate::runtime::clock::SystemClock;
use crate::store::disk::Directory;
use crate::store::ledger::{LedgerReader, SegmentLedger};
use crate::store::view::fold_rows;
use crate::store::{Batch, Ledger, LedgerError, Row, Tail, View, ViewError};

use super::Rejected;
use super::progress;
use super::remote::Remote;
use super::store::Store;

/// The records of the centre that `--config` describes.
pub struct Office {
    pub plan: Plan,
    place: Place,
    config: PathBuf,
    clock: SystemClock,
    ids: IdSource,
}

/// Who holds the store.
enum Place {
    Here(Box<Store>),
    Server(Remote),
}

/// Keyed reads of the view; see [`View`] for what the arguments mean.
pub trait Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;
    fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError>;
    fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError>;
}

impl Rows for Arc<dyn View> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        View::get(self.as_ref(), key)
    }

    fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        View::range(self.as_ref(), prefix, after, limit)
    }

    fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        View::range_back(self.as_ref(), prefix, before, limit)
    }
}

/// One change to the records people keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// `key` is the record's name or id; the record's shape is that of `crm`.
    Save {
        kind: RecordKind,
        key: String,
        record: serde_json::Value,
    },
    Remove {
        kind: RecordKind,
        key: String,
    },
}

impl Change {
    pub fn save(kind: RecordKind, key: impl ToString, record: &impl Serialize) -> anyhow::Result<Self> {
        let record = serde_json::to_value(record).context("a record cannot be written as JSON")?;
        Ok(Change::Save { kind, key: key.to_string(), record })
    }

    fn into_fact(self, by: UserName) -> Fact {
        match self {
            Change::Save { kind, key, record } => Fact::RecordSaved { kind, key, by, record },
            Change::Remove { kind, key } => Fact::RecordRemoved { kind, key, by },
        }
    }
}

impl Office {
    /// Reads the configuration and opens the store it names, or finds the server that has it open.
    pub fn open(args: &Args) -> anyhow::Result<Self> {
        let plan = plan_of(&args.config)?;
        let clock = SystemClock::start();
        let mut ids = IdSource::from_seed(seed()?);
        let path = beside(&args.config, &plan.store.path);
        let spinner = progress::spinner("bringing the view up to the ledger");
        let place = match Store::open(&path, ids.next(clock.now()), |seq| spinner.set_message(format!("record {seq}")))
        {
            Ok(store) => Place::Here(Box::new(store)),
            Err(error) if is_locked(&error) => Place::Server(Remote::connect(&path)?),
            Err(error) => return Err(error),
        };
        spinner.finish_and_clear();
        Ok(Self { plan, place, config: args.config.clone(), clock, ids })
    }

    /// The view's rows.
    pub fn rows(&self) -> &dyn Rows {
        match &self.place {
            Place::Here(store) => &store.view,
            Place::Server(remote) => remote,
        }
    }

    /// The running server, where one has the store.
    pub fn server(&self) -> Option<&Remote> {
        match &self.place {
            Place::Here(_) => None,
            Place::Server(remote) => Some(remote),
        }
    }

    pub fn clock(&self) -> SystemClock {
        self.clock
    }

    pub fn new_id<I: MadeId>(&mut self) -> I {
        self.ids.next(self.clock.now())
    }

    /// A folder that the configuration names.
    pub fn folder(&self, path: &str) -> PathBuf {
        beside(&self.config, path)
    }

    pub fn store_folder(&self) -> PathBuf {
        self.folder(&self.plan.store.path)
    }

    /// All records under a prefix of the view, in key order.
    pub fn all<T: serde::de::DeserializeOwned>(&self, prefix: &[u8]) -> anyhow::Result<Vec<T>> {
        super::store::records(self.rows(), prefix)
    }

    /// One record; `None` where there is none of this key.
    pub fn one<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> anyhow::Result<Option<T>> {
        let Some(value) = self.rows().get(key)? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&value).context("a row of the view cannot be read")?))
    }

    /// Makes changes. Durable, and seen by the next read, when this returns.
    pub fn save(&mut self, changes: Vec<Change>) -> anyhow::Result<()> {
        match &mut self.place {
            Place::Server(remote) => remote.save(changes),
            Place::Here(store) => {
                let at = self.clock.now();
                let facts = changes.into_iter().map(|change| change.into_fact(actor()));
                append(store, facts.map(|fact| (at, fact)).collect())
            }
        }
    }

    /// The last record of the ledger that can be read, and the boot that writes it.
    pub fn position(&self) -> anyhow::Result<(Seq, Epoch)> {
        match &self.place {
            Place::Here(store) => Ok((store.last, store.ledger.epoch())),
            Place::Server(remote) => {
                let status = remote.status()?;
                Ok((status.last, status.epoch))
            }
        }
    }

    /// The ledger from `first` on, beside whoever writes it.
    pub fn ledger(&self, first: Seq) -> anyhow::Result<Box<dyn Tail>> {
        let reader: LedgerReader = match &self.place {
            Place::Here(store) => store.reader.clone(),
            Place::Server(remote) => {
                let disk = Directory::beside(self.store_folder().join(LEDGER));
                SegmentLedger::reader_on(Arc::new(disk), remote.status()?.last)?
            }
        };
        Ok(Box::new(reader.read(first)))
    }

    /// The events of one call between two places of the ledger.
    pub fn events_of(&self, call: CallId, first: Seq, last: Seq) -> anyhow::Result<Vec<Event>> {
        let mut tail = self.ledger(first)?;
        let mut events = Vec::new();
        while let Some(record) = tail.next()? {
            if record.seq > last {
                break;
            }
            let event = serde_json::from_slice::<Event>(&record.payload).ok();
            events.extend(event.filter(|event| event.call == Some(call)));
        }
        Ok(events)
    }
}

/// The plan of a configuration, without its dialplans and prompts: a broken dialplan keeps nobody from the records.
pub fn plan_of(config: &Path) -> anyhow::Result<Plan> {
    let source = read_source(config, CONFIG_BYTES).map_err(|finding| Rejected::one(finding, None))?;
    // The trunks' passwords may be in the server's environment alone, and none is needed here.
    let unread = |_: &str| Some("not read".to_owned());
    let reading = read(&source, &Surroundings { secret: &unread, ..Surroundings::NONE });
    let errors: Vec<Finding> =
        reading.findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    if errors.is_empty() { Ok(reading.draft) } else { Err(Rejected { findings: errors, sources: vec![source] }.into()) }
}

/// Appends facts that belong to no call, in batches as large as the ledger takes, and folds them into the view.
fn append(store: &mut Store, facts: Vec<(crate::time::Time, Fact)>) -> anyhow::Result<()> {
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    let first = store.ledger.next_seq();
    for ((at, fact), seq) in facts.into_iter().zip(first.0..) {
        let event = Event { v: EVENT_VERSION, seq: Seq(seq), at, call: None, fact };
        let payload = serde_json::to_vec(&event).context("an event cannot be written as JSON")?;
        anyhow::ensure!(payload.len() <= limits::LEDGER_RECORD_BYTES, "a record is larger than the ledger takes");
        if payloads.len() >= BATCH_RECORDS || bytes + payload.len() > BATCH_BYTES {
            write(store, &core::mem::take(&mut payloads))?;
            bytes = 0;
        }
        bytes += payload.len();
        payloads.push(payload);
    }
    write(store, &payloads)?;
    store.view.checkpoint()?;
    Ok(())
}

fn write(store: &mut Store, payloads: &[Vec<u8>]) -> anyhow::Result<()> {
    if payloads.is_empty() {
        return Ok(());
    }
    let first = store.ledger.next_seq();
    let records: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    store.last = store.ledger.append(&Batch { first, records: &records })?;
    let rows: Vec<_> = (first.0..)
        .zip(payloads)
        .flat_map(|(seq, payload)| fold_rows(&*store.fold, &*store.view, Seq(seq), payload))
        .collect();
    store.view.apply(store.last, &rows)?;
    Ok(())
}

/// Who made a change, as the ledger keeps it: the command line, and the user id of this machine.
pub fn actor() -> UserName {
    actor_of(rustix::process::geteuid().as_raw())
}

pub fn actor_of(uid: u32) -> UserName {
    UserName::new(format!("cli:{uid}"))
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<LedgerError>(), Some(LedgerError::Locked))
}

fn seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(u64::from_ne_bytes(bytes))
}

impl Rejected {
    /// One thing that is wrong with one text.
    pub fn one(finding: Finding, source: Option<Source>) -> Self {
        Self { findings: vec![finding], sources: source.into_iter().collect() }
    }
}

pub const LEDGER: &str = "ledger";
/// Below the ledger's own bounds, with room for the frames.
const BATCH_RECORDS: usize = 4_096;
const BATCH_BYTES: usize = 2 << 20;

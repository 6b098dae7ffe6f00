//! What lasts: the ledger as truth, a view that can be rebuilt, files beside them.
//!
//! The **ledger** is an append-only sequence of opaque records (JSON envelopes, see [`migrate`]); a record is
//! on disk when `append` returns. The **view** answers keyed reads; it is a pure fold over the ledger and may be
//! deleted at any time. Nothing else is kept: what the ledger does not say did not happen.
//!
//! ```text
//! switch ── events ──▶ writer::Writer ──▶ Ledger::append (one fdatasync a group) ──▶ Report::Durable
//!                                    └──▶ Fold::rows ──▶ View::apply ──▶ Report::Applied
//! ```
//!
//! Invariants (each one a test): a record whose append returned survives kill -9 and power cut; a batch is all or
//! nothing; `view = fold(ledger[..=position])`, so replay is idempotent and a lost view costs time, never facts.
//!
//! There is one writer. Readers ([`Tail`]) never block it and see only what is durable.

pub mod backup;
pub mod customer_secret;
pub mod disk;
pub mod frame;
pub mod ledger;
pub mod memory;
pub mod memory_disk;
pub mod migrate;
pub mod password;
pub mod sled;
pub mod view;
pub mod writer;

mod segment;

#[cfg(test)]
mod crash_tests;

use core::fmt;
use std::io;

pub use crate::event::Seq;
use crate::ids::Epoch;

/// The truth: an append-only, durable sequence of records with one writer.
pub trait Ledger: Send {
    /// This boot's name. Every record carries the epoch it was written in.
    fn epoch(&self) -> Epoch;

    /// The number the next record gets unless the batch asks for a later one.
    fn next_seq(&self) -> Seq;

    /// Makes `batch` durable, all of it or nothing, and returns the number of its last record.
    ///
    /// After [`LedgerError::Full`] and [`LedgerError::Io`] nothing of the batch was written, and the same batch may
    /// be tried again.
    fn append(&mut self, batch: &Batch<'_>) -> Result<Seq, LedgerError>;

    /// Whether there is room beyond the reserve; tries to make some. See [`Room`].
    fn room(&mut self) -> Room;

    /// Records from `from` on, in order; also a tail: see [`Tail::next`].
    fn read(&self, from: Seq) -> Result<Box<dyn Tail>, LedgerError>;
}

/// A reader of the ledger that may be asked again after it has reached the end.
pub trait Tail: Send {
    /// The next durable record, or `None` where the end is reached **for now**.
    fn next(&mut self) -> Result<Option<Record>, LedgerError>;
}

/// Keyed rows folded from the ledger. Readers may be on any thread, the one writer calls `apply`.
pub trait View: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;

    /// At most `limit` rows whose key starts with `prefix`, in key order, beginning after `after` (exclusive) where
    /// one is given: page on with the last key returned.
    fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError>;

    /// The same in falling key order, beginning before `before`: newest first where keys hold ULIDs.
    fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError>;

    /// Applies the rows that records up to `seq` fold to, atomically with the new position.
    /// A `seq` at or below [`View::position`] changes nothing and answers `false`: replay is harmless.
    fn apply(&self, seq: Seq, rows: &[RowChange]) -> Result<bool, ViewError>;

    /// The last record folded in; [`Seq::ZERO`] where none is.
    fn position(&self) -> Result<Seq, ViewError>;

    /// The [`Fold::version`] the rows were made with; `None` in an empty view.
    fn fold_version(&self) -> Result<Option<u32>, ViewError>;

    /// Throws every row away and starts over for this version of the fold.
    fn reset(&self, fold_version: u32) -> Result<(), ViewError>;

    /// Writes what is applied to disk. Only speed depends on it: what is lost here is folded again.
    fn checkpoint(&self) -> Result<(), ViewError>;
}

/// How records become rows. Pure: the same records make the same rows on every replay.
pub trait Fold: Send + Sync {
    /// Goes up whenever `rows` would answer differently for an old record; the view is then rebuilt at start.
    fn version(&self) -> u32;

    /// Takes up what it remembers of the records up to [`View::position`] from the rows they made, and forgets all
    /// else. Called before records are folded from there on; a fold that remembers nothing has nothing to do.
    fn resume(&self, view: &dyn View) -> Result<(), ViewError> {
        let _ = view;
        Ok(())
    }

    /// The rows that one record puts or deletes. Records it does not know make none. `view` has the rows of the records
    /// up to its position; those between are folded and not applied yet.
    fn rows(&self, view: &dyn View, seq: Seq, payload: &[u8]) -> Vec<RowChange>;
}

/// Records to be made durable together. `first` is the number of the first; the others follow it.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub first: Seq,
    pub records: &'a [&'a [u8]],
}

/// One durable record.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub seq: Seq,
    pub epoch: Epoch,
    pub payload: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, String::from_utf8_lossy(&self.payload))
    }
}

/// How much the ledger can still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Plenty,
    /// The disk gave no further segment. What is left of the preallocated one serves the calls that run;
    /// new calls should be refused.
    Reserve,
}

/// One row of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// One change to the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
}

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the disk is full: no room for {needed} bytes. Free space in the ledger's directory.")]
    Full { needed: usize },
    #[error("the disk failed on {name}: {source}. Look at the kernel log and the disk's health.")]
    Io { name: String, source: io::Error },
    #[error(
        "{name} is damaged at byte {offset}: valid records follow an invalid one, so this is no torn write. \
         Restore the ledger from a backup."
    )]
    Damaged { name: String, offset: u64 },
    #[error("{name} is no segment of this ledger: {reason}. Move it out of the directory.")]
    Foreign { name: String, reason: &'static str },
    #[error("records must follow: the next is {next}, the batch starts at {asked}.")]
    Behind { next: Seq, asked: Seq },
    #[error("a batch of {bytes} bytes and {records} records is over the limit, or empty.")]
    BatchSize { bytes: usize, records: usize },
    #[error("another process has this ledger open: stop it, or ask it over the control socket.")]
    Locked,
}

/// Why the view did not answer. The cure is always the same: rebuild it from the ledger.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("the view failed: {0}. It is rebuilt from the ledger at the next start.")]
    Failed(String),
    #[error("a row of {0} bytes is over the limit.")]
    RowSize(usize),
}

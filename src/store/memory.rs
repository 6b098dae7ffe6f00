//! Storage that lives in memory: the plainest ledger and view, for tests and trials.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{Batch, Ledger, LedgerError, Record, Room, Row, RowChange, Seq, Tail, View, ViewError};
use crate::ids::Epoch;
use crate::limits::store as limits;

/// The plainest ledger: what the real one must agree with.
pub struct MemoryLedger {
    epoch: Epoch,
    next: Seq,
    records: Arc<Mutex<Vec<Record>>>,
}

impl MemoryLedger {
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, next: Seq::FIRST, records: Arc::default() }
    }
}

impl Ledger for MemoryLedger {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn next_seq(&self) -> Seq {
        self.next
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<Seq, LedgerError> {
        if batch.first < self.next {
            return Err(LedgerError::Behind { next: self.next, asked: batch.first });
        }
        super::frame::write_frame(batch, self.epoch)?;
        let numbered = batch.records.iter().zip(batch.first.0..);
        let records =
            numbered.map(|(payload, seq)| Record { seq: Seq(seq), epoch: self.epoch, payload: payload.to_vec() });
        held(&self.records).extend(records);
        self.next = batch.first.plus(batch.records.len() as u64);
        Ok(self.next.prev())
    }

    fn room(&mut self) -> Room {
        Room::Plenty
    }

    fn read(&self, from: Seq) -> Result<Box<dyn Tail>, LedgerError> {
        Ok(Box::new(MemoryTail { records: self.records.clone(), from }))
    }
}

struct MemoryTail {
    records: Arc<Mutex<Vec<Record>>>,
    from: Seq,
}

impl Tail for MemoryTail {
    fn next(&mut self) -> Result<Option<Record>, LedgerError> {
        let records = held(&self.records);
        let record = records.get(records.partition_point(|record| record.seq < self.from)).cloned();
        if let Some(record) = &record {
            self.from = record.seq.next();
        }
        Ok(record)
    }
}

/// A view in a map; gone with the process.
#[derive(Default)]
pub struct MemoryView {
    rows: RwLock<MemoryRows>,
}

#[derive(Default)]
struct MemoryRows {
    position: Seq,
    fold_version: Option<u32>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryView {
    pub fn new() -> Self {
        Self::default()
    }

    /// Every row, in key order.
    pub fn all(&self) -> Vec<Row> {
        let inner = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        inner.rows.iter().map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect()
    }
}

impl View for MemoryView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.read().unwrap_or_else(PoisonError::into_inner).rows.get(key).cloned())
    }

    fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        let inner = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let start = after.unwrap_or(prefix).max(prefix);
        let within = inner.rows.range(start.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        let fresh = within.filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after));
        Ok(fresh.take(limit.min(limits::VIEW_PAGE_ROWS)).map(row).collect())
    }

    fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        let inner = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let within = inner.rows.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        let mut rows: Vec<Row> =
            within.take_while(|(key, _)| before.is_none_or(|before| key.as_slice() < before)).map(row).collect();
        rows.reverse();
        rows.truncate(limit.min(limits::VIEW_PAGE_ROWS));
        Ok(rows)
    }

    fn apply(&self, seq: Seq, rows: &[RowChange]) -> Result<bool, ViewError> {
        super::view::check_rows(rows)?;
        let mut inner = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if seq <= inner.position {
            return Ok(false);
        }
        for change in rows {
            match change {
                RowChange::Put { key, value } => drop(inner.rows.insert(key.clone(), value.clone())),
                RowChange::Delete { key } => drop(inner.rows.remove(key)),
            }
        }
        inner.position = seq;
        Ok(true)
    }

    fn position(&self) -> Result<Seq, ViewError> {
        Ok(self.rows.read().unwrap_or_else(PoisonError::into_inner).position)
    }

    fn fold_version(&self) -> Result<Option<u32>, ViewError> {
        Ok(self.rows.read().unwrap_or_else(PoisonError::into_inner).fold_version)
    }

    fn reset(&self, fold_version: u32) -> Result<(), ViewError> {
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) =
            MemoryRows { fold_version: Some(fold_version), ..MemoryRows::default() };
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), ViewError> {
        Ok(())
    }
}

fn row((key, value): (&Vec<u8>, &Vec<u8>)) -> Row {
    Row { key: key.clone(), value: value.clone() }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

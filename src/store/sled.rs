//! The view in sled 0.34.7: the one file that knows sled.
//!
//! sled serves every keyed read here and is relieved of being the last copy. Its known troubles and what is done:
//! a `snap.*.generating` left by a kill keeps it from opening for ever → deleted first; opening may panic → caught;
//! any failure to open → the directory is renamed away and an empty view is filled from the ledger; `flush` does not
//! reach the device → [`View::checkpoint`] syncs the file with a handle of our own; two writers deadlocked in the
//! field → only the store's writer thread writes.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::view::check_rows;
use super::{Row, RowChange, Seq, View, ViewError};
use crate::limits::store as limits;

/// A view on disk.
pub struct SledView {
    db: ::sled::Db,
    /// sled's only large file; fdatasync works on the file, whichever handle asks.
    file: File,
}

/// What was found at opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// As it was left, or new.
    Sound,
    /// It would not open; the remains were moved aside and the view is empty.
    Replaced { remains: PathBuf, reason: String },
}

impl SledView {
    /// Opens or makes the view in `dir`. Fails only where even an empty view cannot be made there.
    pub fn open(dir: &Path) -> Result<(Self, Opened), ViewError> {
        let reason = match Self::open_once(dir) {
            Ok(view) => return Ok((view, Opened::Sound)),
            Err(reason) => reason,
        };
        let remains = move_aside(dir).map_err(|error| failed(format!("{reason}; and moving it aside: {error}")))?;
        let view = Self::open_once(dir).map_err(failed)?;
        Ok((view, Opened::Replaced { remains, reason }))
    }

    fn open_once(dir: &Path) -> Result<Self, String> {
        delete_generating(dir).map_err(|error| error.to_string())?;
        let config = ::sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_MS));
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let db = opened.map_err(|_| "it panicked while opening".to_owned())?.map_err(|error| error.to_string())?;
        let file = File::open(dir.join("db")).map_err(|error| error.to_string())?;
        let view = Self { db, file };
        // A first read finds what opening alone does not.
        catch_unwind(AssertUnwindSafe(|| view.position()))
            .map_err(|_| "it panicked at the first read".to_owned())?
            .map_err(|error| error.to_string())?;
        Ok(view)
    }

    fn meta(&self, key: &[u8]) -> Result<Option<u64>, ViewError> {
        let value = self.db.get(key).map_err(failed)?;
        value.map(|bytes| bytes.as_ref().try_into().map(u64::from_be_bytes).map_err(failed)).transpose()
    }
}

impl View for SledView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.db.get(key).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        let start = after.unwrap_or(prefix).max(prefix);
        let rows = self.db.range(start..).take_while(|row| starts_with(row, prefix));
        let fresh = rows.filter(|row| match (row, after) {
            (Ok((key, _)), Some(after)) => key.as_ref() > after,
            _ => true,
        });
        collect(fresh, limit)
    }

    fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
        let end = [before.map(<[u8]>::to_vec), prefix_end(prefix)].into_iter().flatten().min();
        let rows = match end {
            Some(end) if end.as_slice() <= prefix => return Ok(Vec::new()),
            Some(end) => self.db.range(prefix.to_vec()..end),
            None => self.db.range(prefix.to_vec()..),
        };
        collect(rows.rev().take_while(|row| starts_with(row, prefix)), limit)
    }

    fn apply(&self, seq: Seq, rows: &[RowChange]) -> Result<bool, ViewError> {
        check_rows(rows)?;
        if seq <= self.position()? {
            return Ok(false);
        }
        let mut batch = ::sled::Batch::default();
        for change in rows {
            match change {
                RowChange::Put { key, value } => batch.insert(key.as_slice(), value.as_slice()),
                RowChange::Delete { key } => batch.remove(key.as_slice()),
            }
        }
        batch.insert(POSITION, &seq.0.to_be_bytes());
        self.db.apply_batch(batch).map_err(failed)?;
        Ok(true)
    }

    fn position(&self) -> Result<Seq, ViewError> {
        Ok(self.meta(POSITION)?.map_or(Seq::ZERO, Seq))
    }

    fn fold_version(&self) -> Result<Option<u32>, ViewError> {
        Ok(self.meta(FOLD_VERSION)?.and_then(|version| u32::try_from(version).ok()))
    }

    fn reset(&self, fold_version: u32) -> Result<(), ViewError> {
        self.db.clear().map_err(failed)?;
        self.db.insert(FOLD_VERSION, &u64::from(fold_version).to_be_bytes()).map_err(failed)?;
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), ViewError> {
        self.db.flush().map_err(failed)?;
        self.file.sync_data().map_err(failed)
    }
}

fn collect(
    rows: impl Iterator<Item = ::sled::Result<(::sled::IVec, ::sled::IVec)>>,
    limit: usize,
) -> Result<Vec<Row>, ViewError> {
    rows.take(limit.min(limits::VIEW_PAGE_ROWS))
        .map(|row| row.map(|(key, value)| Row { key: key.to_vec(), value: value.to_vec() }).map_err(failed))
        .collect()
}

/// Errors count as inside, so that they are reported and not taken for the end.
fn starts_with(row: &::sled::Result<(::sled::IVec, ::sled::IVec)>, prefix: &[u8]) -> bool {
    row.as_ref().map_or(true, |(key, _)| key.starts_with(prefix))
}

/// The first key after all keys with this prefix; `None` where there is none (all bytes 255, or empty).
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// sled takes such a leftover for a snapshot and refuses to open.
fn delete_generating(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Renames the directory to `NAME.broken`; an older remain of that name goes, so that they cannot fill the disk.
fn move_aside(dir: &Path) -> io::Result<PathBuf> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".broken");
    let remains = dir.with_file_name(name);
    if remains.exists() {
        fs::remove_dir_all(&remains)?;
    }
    if dir.exists() {
        fs::rename(dir, &remains)?;
    }
    Ok(remains)
}

fn failed(error: impl ToString) -> ViewError {
    ViewError::Failed(error.to_string())
}

/// Rows of the view's own; no key of [`super::view::key`] begins with a zero byte.
const POSITION: &[u8] = b"\0position";
const FOLD_VERSION: &[u8] = b"\0fold";
const CACHE_BYTES: u64 = 64 << 20;
const FLUSH_MS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryView;
    use proptest::prelude::*;

    fn put(key: &str, value: &str) -> RowChange {
        RowChange::Put { key: key.into(), value: value.into() }
    }

    #[test]
    fn rows_and_position_are_found_again_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("view");
        let (view, opened) = SledView::open(&at).unwrap();
        assert_eq!(opened, Opened::Sound);
        view.reset(3).unwrap();
        assert!(view.apply(Seq(5), &[put("k/1", "one"), put("k/2", "two")]).unwrap());
        assert!(!view.apply(Seq(5), &[put("k/1", "again")]).unwrap());
        view.checkpoint().unwrap();
        drop(view);
        let (view, _) = SledView::open(&at).unwrap();
        assert_eq!((view.position().unwrap(), view.fold_version().unwrap()), (Seq(5), Some(3)));
        assert_eq!(view.get(b"k/1").unwrap().as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn a_snapshot_left_half_made_by_a_kill_does_not_keep_it_shut() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("view");
        let (view, _) = SledView::open(&at).unwrap();
        view.reset(1).unwrap();
        view.apply(Seq(1), &[put("k/1", "one")]).unwrap();
        view.checkpoint().unwrap();
        drop(view);
        fs::write(at.join("snap.0000000000001234.generating"), b"half").unwrap();
        let (view, opened) = SledView::open(&at).unwrap();
        assert_eq!(opened, Opened::Sound);
        assert_eq!(view.get(b"k/1").unwrap().as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn a_view_that_will_not_open_is_moved_aside_and_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("view");
        let (view, _) = SledView::open(&at).unwrap();
        view.reset(1).unwrap();
        view.apply(Seq(1), &[put("k/1", "one")]).unwrap();
        view.checkpoint().unwrap();
        drop(view);
        fs::remove_file(at.join("db")).unwrap();
        fs::create_dir(at.join("db")).unwrap();
        let (view, opened) = SledView::open(&at).unwrap();
        assert!(matches!(opened, Opened::Replaced { remains, .. } if remains.join("db").is_dir()));
        assert_eq!((view.position().unwrap(), view.fold_version().unwrap()), (Seq::ZERO, None));
    }

    #[test]
    fn sled_and_the_plain_map_answer_every_range_alike() {
        let dir = tempfile::tempdir().unwrap();
        let (view, _) = SledView::open(&dir.path().join("view")).unwrap();
        let plain = MemoryView::new();
        let keys = ["a/1", "a/2", "a/3", "a/30", "b/1", "b", "a"];
        for (seq, key) in (1..).zip(keys) {
            view.apply(Seq(seq), &[put(key, key)]).unwrap();
            plain.apply(Seq(seq), &[put(key, key)]).unwrap();
        }
        proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) }, |(prefix in "[ab]?/?[1-3]?", mark in prop::option::of("[ab]?/?[0-4]?"), limit in 0usize..5)| {
            // sled's own rows stand under a zero byte, which no prefix of ours begins with.
            prop_assume!(!prefix.is_empty());
            let (prefix, mark) = (prefix.as_bytes(), mark.as_deref().map(str::as_bytes));
            prop_assert_eq!(view.range(prefix, mark, limit).unwrap(), plain.range(prefix, mark, limit).unwrap());
            prop_assert_eq!(view.range_back(prefix, mark, limit).unwrap(), plain.range_back(prefix, mark, limit).unwrap());
        });
    }
}

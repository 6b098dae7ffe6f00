//! A disk in memory that can lose, tear, refuse and hold up writes: what the crash tests run the ledger on.
//!
//! It keeps apart what was written and what is durable. A simulated power cut keeps the durable bytes and an
//! arbitrary choice of the 512-byte sectors written since, as a real disk's cache may do it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};
use crate::ids::IdSource;

/// A directory in memory whose writes can be lost, torn, refused and held up.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    resumed: Arc<Condvar>,
}

#[derive(Default)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Name changes since the last `sync_names`, in order: a journal keeps a prefix of them.
    name_changes: Vec<NameChange>,
    /// Bytes that all files together may take.
    capacity: u64,
    /// Write points passed: every change and every sync is one.
    points: u64,
    cut_at: Option<u64>,
    fail_sync: bool,
    stalled: bool,
}

#[derive(Clone, Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync: offset and bytes, or a new length.
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone)]
enum NameChange {
    Add(String, usize),
    Rename(String, String),
    Remove(String),
}

impl MemoryDisk {
    /// An empty directory on a disk of `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        let state = State { capacity, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), resumed: Arc::default() }
    }

    /// How many write points were passed.
    pub fn points(&self) -> u64 {
        held(&self.state).points
    }

    /// Cuts the power at that write point: it and everything after fails.
    pub fn cut_power_at(&self, point: u64) {
        held(&self.state).cut_at = Some(point);
    }

    /// The next sync fails and, as Linux does it, the written pages are forgotten as if they were clean.
    pub fn fail_next_sync(&self) {
        held(&self.state).fail_sync = true;
    }

    /// Lets every sync hang until [`MemoryDisk::resume`].
    pub fn stall(&self) {
        held(&self.state).stalled = true;
    }

    pub fn resume(&self) {
        held(&self.state).stalled = false;
        self.resumed.notify_all();
    }

    pub fn set_capacity(&self, capacity: u64) {
        held(&self.state).capacity = capacity;
    }

    /// Changes one byte of a file for good, as a failing medium does.
    pub fn rot(&self, name: &str, offset: usize) {
        let mut state = held(&self.state);
        let Some(&index) = state.names.get(name) else { return };
        let content = &mut state.contents[index];
        for bytes in [&mut content.written, &mut content.durable] {
            bytes[offset] ^= 0x40;
        }
    }

    /// The disk as the next process finds it after kill -9: all that was written.
    pub fn after_kill(&self) -> MemoryDisk {
        let state = held(&self.state);
        let contents = state.contents.iter().map(|content| Content::settled(content.written.clone())).collect();
        Self::restarted(contents, state.names.clone(), state.capacity)
    }

    /// The disk as the next boot finds it: what was durable, and by `seed` some of what was only written.
    pub fn after_power_cut(&self, seed: u64) -> MemoryDisk {
        let state = held(&self.state);
        let mut chance = IdSource::from_seed(seed);
        let contents = state.contents.iter().map(|content| Content::settled(content.torn(&mut chance))).collect();
        let mut names = state.durable_names.clone();
        let kept = chance.below(u32::try_from(state.name_changes.len()).unwrap_or(u32::MAX - 1) + 1);
        state.name_changes.iter().take(kept as usize).for_each(|change| change.apply(&mut names));
        Self::restarted(contents, names, state.capacity)
    }

    fn restarted(contents: Vec<Content>, names: BTreeMap<String, usize>, capacity: u64) -> Self {
        let state = State { contents, durable_names: names.clone(), names, capacity, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), resumed: Arc::default() }
    }
}

impl State {
    /// Counts a write point; fails from the power cut on.
    fn point(&mut self) -> io::Result<()> {
        self.points += 1;
        match self.cut_at {
            Some(cut) if self.points >= cut => Err(io::Error::other("the power is cut")),
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&index| self.contents[index].written.len() as u64).sum()
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn index(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Pending {
    fn apply(&self, disk: &mut Vec<u8>) {
        match self {
            Pending::Bytes { offset, bytes } => write_into(disk, *offset, bytes),
            Pending::Length(length) => disk.resize(*length, 0),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Add(name, index) => drop(names.insert(name.clone(), *index)),
            NameChange::Rename(from, to) => {
                if let Some(index) = names.remove(from) {
                    names.insert(to.clone(), index);
                }
            }
            NameChange::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl Content {
    fn settled(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), written: bytes, pending: Vec::new() }
    }

    /// The durable bytes with each pending sector kept or lost by chance.
    fn torn(&self, chance: &mut IdSource) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for pending in &self.pending {
            match pending {
                Pending::Length(length) if chance.below(2) == 0 => bytes.resize(*length, 0),
                Pending::Length(_) => {}
                Pending::Bytes { offset, bytes: written } => tear(&mut bytes, *offset, written, chance),
            }
        }
        bytes
    }
}

/// Copies the sectors of a write that the disk happened to have written.
fn tear(disk: &mut Vec<u8>, offset: usize, written: &[u8], chance: &mut IdSource) {
    let mut at = 0;
    while at < written.len() {
        let sector_end = (offset + at + 1).next_multiple_of(SECTOR_BYTES) - offset;
        let end = sector_end.min(written.len());
        if chance.below(2) == 0 {
            write_into(disk, offset + at, &written[at..end]);
        }
        at = end;
    }
}

fn write_into(disk: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if disk.len() < end {
        disk.resize(end, 0);
    }
    disk[offset..end].copy_from_slice(bytes);
}

impl Disk for MemoryDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(held(&self.state).names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let index = held(&self.state).index(name)?;
        Ok(Box::new(MemoryFile { disk: self.clone(), index }))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = held(&self.state);
        state.point()?;
        if state.used() + bytes > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull)?];
        let index = state.contents.len();
        state.contents.push(Content::settled(zeros));
        state.change_name(NameChange::Add(name.to_owned(), index));
        Ok(Box::new(MemoryFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = held(&self.state);
        state.point()?;
        state.index(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = held(&self.state);
        state.point()?;
        state.index(name)?;
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = held(&self.state);
        state.point()?;
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    index: usize,
}

impl DiskFile for MemoryFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(held(&self.disk.state).contents[self.index].written.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = held(&self.disk.state);
        let written = &state.contents[self.index].written;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(written.len());
        let read = buffer.len().min(written.len() - start);
        buffer[..read].copy_from_slice(&written[start..start + read]);
        Ok(read)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = held(&self.disk.state);
        let cut = state.point();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let content = &mut state.contents[self.index];
        write_into(&mut content.written, offset, bytes);
        content.pending.push(Pending::Bytes { offset, bytes: bytes.to_vec() });
        cut
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = held(&self.disk.state);
        while state.stalled {
            state = self.disk.resumed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.point()?;
        let failed = std::mem::take(&mut state.fail_sync);
        let content = &mut state.contents[self.index];
        let pending = std::mem::take(&mut content.pending);
        if failed {
            return Err(io::Error::other("the disk reports a medium error"));
        }
        pending.iter().for_each(|change| change.apply(&mut content.durable));
        Ok(())
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = held(&self.disk.state);
        state.point()?;
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let content = &mut state.contents[self.index];
        content.written.resize(length, 0);
        content.pending.push(Pending::Length(length));
        Ok(())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SECTOR_BYTES: usize = 512;

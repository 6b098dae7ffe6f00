//! The ledger on a [`Disk`]: preallocated segments, one checksummed frame and one fdatasync a batch.
//!
//! ```text
//! 00000000000000000001.seg   sealed: trimmed to its last frame, never written again
//! 00000000000000008213.seg   active: frames, then preallocated zeros
//! spare                      preallocated, waits for the roll; keeps the disk from filling up under running calls
//! ```
//!
//! Cost: one write and one fdatasync of a preallocated file a group, 0.1–0.3 ms on a quiet disk, whatever the number
//! of records; see `benches/ledger.rs`.
//!
//! A write or sync that fails leaves the tail of the active segment unknown (the kernel may have dropped the pages),
//! so the segment is given up at its last durable frame and the batch goes to a new one.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Directory, Disk, DiskFile};
use super::frame::{self, HEADER_BYTES, SegmentHeader};
use super::segment::{self, Cursor, io_error};
use super::{Batch, Ledger, LedgerError, Record, Room, Seq, Tail};
use crate::ids::Epoch;
use crate::limits::store as limits;

/// The ledger of one directory.
pub struct SegmentLedger {
    shared: Arc<Shared>,
    epoch: Epoch,
    segment_bytes: u64,
    active: Active,
    next: Seq,
    spare: Option<Box<dyn DiskFile>>,
}

impl SegmentLedger {
    /// Opens the ledger in a real directory, made if missing, and holds it against other processes.
    pub fn open(path: impl Into<std::path::PathBuf>, epoch: Epoch) -> Result<Self, LedgerError> {
        let path = path.into();
        let name = path.display().to_string();
        let disk = Directory::lock(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => LedgerError::Locked,
            _ => io_error(&name, error),
        })?;
        Self::open_on(Arc::new(disk), epoch, limits::LEDGER_SEGMENT_BYTES)
    }

    /// Opens the ledger on any disk. A tail torn by a crash is repaired; damage within durable records is refused.
    /// `segment_bytes` counts for segments made from now on.
    pub fn open_on(disk: Arc<dyn Disk>, epoch: Epoch, segment_bytes: u64) -> Result<Self, LedgerError> {
        let firsts = list_segments(disk.as_ref())?;
        let last = firsts.last().copied();
        let shared = Arc::new(Shared { disk, segments: Mutex::new(firsts), durable: AtomicU64::new(0) });
        let mut ledger = Self { shared, epoch, segment_bytes, active: Active::none(), next: Seq::FIRST, spare: None };
        match last {
            Some(first) => ledger.resume(first)?,
            None => ledger.roll()?,
        }
        ledger.publish();
        Ok(ledger)
    }

    /// A reader of a ledger that nobody writes, a copy in a backup, up to the record `last`. Changes nothing.
    pub fn reader_on(disk: Arc<dyn Disk>, last: Seq) -> Result<LedgerReader, LedgerError> {
        let segments = Mutex::new(list_segments(disk.as_ref())?);
        Ok(LedgerReader { shared: Arc::new(Shared { disk, segments, durable: AtomicU64::new(last.0) }) })
    }

    /// A reader for other threads, before or beside the writer: sees what is durable, never blocks it.
    pub fn reader(&self) -> LedgerReader {
        LedgerReader { shared: self.shared.clone() }
    }

    /// Takes up the last segment where its valid frames end.
    fn resume(&mut self, first: Seq) -> Result<(), LedgerError> {
        let name = segment::file_name(first);
        let mut file = self.shared.disk.open(&name).map_err(|source| io_error(&name, source))?;
        let header = segment::read_header(&name, file.as_ref())?;
        let end = segment::find_end(&name, file.as_ref(), header)?;
        if segment::repair_tail(&name, file.as_mut(), end)? {
            tracing::info!(segment = name, offset = end.offset, next = end.next.0, "torn tail of the ledger repaired");
        }
        let length = file.bytes().map_err(|source| io_error(&name, source))?;
        self.active = Active { file: Some(file), name, offset: end.offset, length, sound: true };
        self.next = end.next;
        Ok(())
    }

    /// Seals the active segment and begins the next. Each step may fail and be tried again from the start.
    fn roll(&mut self) -> Result<(), LedgerError> {
        self.make_spare()?;
        self.seal()?;
        let header = SegmentHeader { first_seq: self.next, epoch: self.epoch };
        let mut file = self.spare.take().expect("make_spare returned Ok");
        write_synced(file.as_mut(), &header.write(), 0).map_err(|source| io_error(SPARE, source))?;
        let name = segment::file_name(self.next);
        let disk = &self.shared.disk;
        disk.rename(SPARE, &name).map_err(|source| io_error(&name, source))?;
        disk.sync_names().map_err(|source| io_error(&name, source))?;
        let length = file.bytes().map_err(|source| io_error(&name, source))?;
        let mut segments = self.shared.segments();
        if segments.last() != Some(&self.next) {
            segments.push(self.next);
        }
        drop(segments);
        self.active = Active { file: Some(file), name, offset: HEADER_BYTES as u64, length, sound: true };
        Ok(())
    }

    /// Trims the active segment to its last durable frame: what a failed write left is gone, and a reader can tell
    /// the end from damage.
    fn seal(&mut self) -> Result<(), LedgerError> {
        let Active { file: Some(file), name, offset, .. } = &mut self.active else { return Ok(()) };
        let trimmed = file.truncate(*offset).and_then(|()| file.sync());
        trimmed.map_err(|source| io_error(name, source))
    }

    fn make_spare(&mut self) -> Result<(), LedgerError> {
        if self.spare.is_some() {
            return Ok(());
        }
        match self.shared.disk.create(SPARE, self.segment_bytes) {
            Ok(file) => {
                self.spare = Some(file);
                Ok(())
            }
            Err(error) => {
                // A half-made spare would hold the room that the retry needs.
                let _ = self.shared.disk.remove(SPARE);
                Err(write_error(SPARE, error, usize::try_from(self.segment_bytes).unwrap_or(usize::MAX)))
            }
        }
    }

    /// Lets readers see everything before `next`.
    fn publish(&self) {
        self.shared.durable.store(self.next.prev().0, Ordering::Release);
    }
}

impl Ledger for SegmentLedger {
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
        let bytes = frame::write_frame(batch, self.epoch)?;
        if bytes.len() as u64 > self.segment_bytes.saturating_sub(HEADER_BYTES as u64) {
            return Err(LedgerError::BatchSize { bytes: bytes.len(), records: batch.records.len() });
        }
        if !self.active.takes(bytes.len()) {
            self.roll()?;
        }
        self.active.write(&bytes)?;
        self.next = batch.first.plus(batch.records.len() as u64);
        self.publish();
        Ok(self.next.prev())
    }

    fn room(&mut self) -> Room {
        let halfway = self.active.offset.saturating_mul(2) >= self.active.length;
        if !halfway || self.make_spare().is_ok() { Room::Plenty } else { Room::Reserve }
    }

    fn read(&self, from: Seq) -> Result<Box<dyn Tail>, LedgerError> {
        Ok(Box::new(self.reader().read(from)))
    }
}

/// The segment that is written to.
struct Active {
    /// `None` only before the first segment is made.
    file: Option<Box<dyn DiskFile>>,
    name: String,
    /// Where the next frame goes; everything before is durable.
    offset: u64,
    length: u64,
    /// No write or sync of this file has failed.
    sound: bool,
}

impl Active {
    fn none() -> Self {
        Self { file: None, name: String::new(), offset: 0, length: 0, sound: false }
    }

    fn takes(&self, bytes: usize) -> bool {
        self.sound && self.offset + bytes as u64 <= self.length
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        let file = self.file.as_mut().expect("roll or resume opened the active segment");
        match write_synced(file.as_mut(), bytes, self.offset) {
            Ok(()) => {
                self.offset += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.sound = false;
                Err(write_error(&self.name, error, bytes.len()))
            }
        }
    }
}

/// Makes [`SegmentReader`]s on any thread.
#[derive(Clone)]
pub struct LedgerReader {
    shared: Arc<Shared>,
}

impl LedgerReader {
    pub fn read(&self, from: Seq) -> SegmentReader {
        SegmentReader {
            shared: self.shared.clone(),
            wanted: from.max(Seq::FIRST),
            place: None,
            cursor: Cursor::default(),
            ready: VecDeque::new(),
        }
    }

    /// The last durable record.
    pub fn durable(&self) -> Seq {
        Seq(self.shared.durable.load(Ordering::Acquire))
    }

    /// First numbers of all segments, oldest first; all but the last are sealed.
    pub fn segments(&self) -> Vec<Seq> {
        self.shared.segments().clone()
    }
}

/// Reads records in order across segments; at the end it waits to be asked again.
pub struct SegmentReader {
    shared: Arc<Shared>,
    /// The least number still to be returned.
    wanted: Seq,
    place: Option<Place>,
    cursor: Cursor,
    /// Records of the frame read last.
    ready: VecDeque<Record>,
}

struct Place {
    first: Seq,
    name: String,
    file: Box<dyn DiskFile>,
    offset: u64,
    /// The least number the frame at `offset` may have.
    next: Seq,
}

impl Tail for SegmentReader {
    fn next(&mut self) -> Result<Option<Record>, LedgerError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.wanted = record.seq.next();
                return Ok(Some(record));
            }
            let durable = Seq(self.shared.durable.load(Ordering::Acquire));
            if self.wanted > durable {
                return Ok(None);
            }
            if !self.read_frame(durable)? && !self.step_segment()? {
                return Ok(None);
            }
        }
    }
}

impl SegmentReader {
    /// Reads the frame at the place; `false` where the segment has no further one.
    ///
    /// `durable` was loaded before, and a segment is listed before anything in it is durable: so a frame up to
    /// `durable` is in this segment, or in one that `segment_after` already knows. Otherwise bytes were lost.
    fn read_frame(&mut self, durable: Seq) -> Result<bool, LedgerError> {
        let Some(place) = &mut self.place else { return Ok(false) };
        let after = self.shared.segment_after(place.first);
        // A frame whose write failed here was written again in the next segment, and counts there.
        let bound = after.unwrap_or(durable.next());
        let frame = self.cursor.frame(&place.name, place.file.as_ref(), place.offset, place.next)?;
        let Some(frame) = frame.filter(|frame| frame.first_seq < bound) else {
            let length = place.file.bytes().map_err(|source| io_error(&place.name, source))?;
            let lost = if after.is_some() { place.offset < length } else { place.next <= durable };
            let damaged = || LedgerError::Damaged { name: place.name.clone(), offset: place.offset };
            return if lost { Err(damaged()) } else { Ok(false) };
        };
        let (first, epoch, wanted) = (frame.first_seq, frame.epoch, self.wanted);
        let records = frame.payloads().zip(first.0..).map(|(payload, seq)| (Seq(seq), payload));
        let fresh = records.filter(|(seq, _)| *seq >= wanted);
        self.ready.extend(fresh.map(|(seq, payload)| Record { seq, epoch, payload: payload.to_vec() }));
        place.offset += frame.stride as u64;
        place.next = frame.last_seq().next();
        Ok(true)
    }

    /// Goes to the segment that may hold the wanted record; `false` where there is none beyond this one.
    fn step_segment(&mut self) -> Result<bool, LedgerError> {
        let first = match &self.place {
            Some(place) => self.shared.segment_after(place.first),
            None => self.shared.segment_of(self.wanted),
        };
        let Some(first) = first else { return Ok(false) };
        let name = segment::file_name(first);
        let file = self.shared.disk.open(&name).map_err(|source| io_error(&name, source))?;
        segment::read_header(&name, file.as_ref())?;
        self.cursor = Cursor::default();
        self.place = Some(Place { first, name, file, offset: HEADER_BYTES as u64, next: first });
        Ok(true)
    }
}

/// What the writer and its readers share.
struct Shared {
    disk: Arc<dyn Disk>,
    /// First numbers of the segments, rising.
    segments: Mutex<Vec<Seq>>,
    /// The last durable record.
    durable: AtomicU64,
}

impl Shared {
    fn segments(&self) -> MutexGuard<'_, Vec<Seq>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment_after(&self, first: Seq) -> Option<Seq> {
        let segments = self.segments();
        segments.get(segments.partition_point(|seq| *seq <= first)).copied()
    }

    /// The segment that `seq` is in, or the oldest where `seq` is older than all.
    fn segment_of(&self, seq: Seq) -> Option<Seq> {
        let segments = self.segments();
        let after = segments.partition_point(|first| *first <= seq);
        segments.get(after.saturating_sub(1)).copied()
    }
}

fn list_segments(disk: &dyn Disk) -> Result<Vec<Seq>, LedgerError> {
    let names = disk.names().map_err(|source| io_error("the ledger's directory", source))?;
    let mut firsts = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".seg")) {
        let foreign = || LedgerError::Foreign { name: name.clone(), reason: "its name has no record number" };
        firsts.push(segment::parse_file_name(name).ok_or_else(foreign)?);
    }
    firsts.sort();
    Ok(firsts)
}

fn write_synced(file: &mut dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_at(bytes, offset)?;
    file.sync()
}

/// A full disk is an answer of its own; everything else is a failure of the disk.
fn write_error(name: &str, source: io::Error, needed: usize) -> LedgerError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            LedgerError::Full { needed }
        }
        _ => io_error(name, source),
    }
}

const SPARE: &str = "spare";

//! The one thread that writes: takes what is queued, appends it with one sync, tells who waits, folds it into the view.
//!
//! While a sync runs, submissions gather; the next group takes them all. So a busy centre pays one sync for hundreds
//! of records, and an idle one answers in the time of one sync.
//!
//! A full or failing disk loses nothing that fits the queue: the group is kept and tried again, and [`Health`] says
//! that new calls must be refused meanwhile. A full queue refuses; nothing here grows without bound.
//! A second thread only watches, because a thread that hangs in fdatasync cannot say so.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::disk::Floor;
use super::frame::{FRAME_BYTES, frame_bytes};
use super::view::{catch_up, fold_rows};
use super::{Batch, Fold, Ledger, LedgerError, Room, Seq, View};
use crate::limits::store as limits;

/// A handle to the writer; submissions from any thread, numbered by the one who submits.
pub struct Writer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the writer tells. `Durable`, `Applied`, `Lost` and `ViewBehind` come from the writing thread, in order;
/// `Health` from the watching one. The callback must not block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Every record up to `last` that was not reported lost is on disk.
    Durable { last: Seq },
    /// And can be read from the view.
    Applied { last: Seq },
    /// Whether new calls may be accepted has changed.
    Health(Health),
    /// The ledger will never take these records (over its limits, or numbered twice): a defect of the submitter.
    Lost { first: Seq, last: Seq, reason: String },
    /// The view failed and is behind; it catches up from the ledger with the next group that succeeds.
    ViewBehind { reason: String },
}

/// Whether the ledger can promise durability now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Open,
    /// No room on the disk beyond the reserve for running calls, or less than the settings want to be left.
    Full,
    /// Writes fail; they are tried again.
    Failing,
    /// A write hangs beyond its deadline, or half the queue is taken.
    Stalled,
}

impl Health {
    /// New calls are refused with 503 otherwise; running ones finish.
    pub const fn accepts_calls(self) -> bool {
        matches!(self, Health::Open)
    }
}

/// How long the writer waits for what.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// A write that takes longer makes the ledger [`Health::Stalled`].
    pub write_deadline: Duration,
    /// Between two tries of a group that a full or failing disk refused.
    pub retry: Duration,
    /// Between two writes of the view to disk.
    pub checkpoint: Duration,
    /// Records that may wait.
    pub queue_records: usize,
    /// Room that must be left on the disks, for recordings too. Looked at as often as [`Self::retry`].
    pub floor: Floor,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            write_deadline: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            checkpoint: Duration::from_secs(5),
            queue_records: limits::WRITER_QUEUE_RECORDS,
            floor: Floor::default(),
        }
    }
}

/// Why a submission was not taken. Nothing of it is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the disk is behind and the queue is full")]
    Backlog,
    #[error("a record or the submission is over the ledger's limits, or empty")]
    Size,
    #[error("records must be numbered on: the next is {next}")]
    Behind { next: Seq },
    #[error("the writer is closed")]
    Closed,
}

/// Records that were accepted and not written when the writer was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{records} records could not be written before closing: the disk is full, failing or hanging")]
pub struct Unwritten {
    pub records: usize,
}

impl Writer {
    /// Starts the threads. The view should have caught up before ([`catch_up`]); what it lacks is folded with the
    /// first group.
    pub fn start(
        ledger: Box<dyn Ledger>,
        view: Arc<dyn View>,
        fold: Arc<dyn Fold>,
        settings: WriterSettings,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let report: Arc<dyn Fn(Report) + Send + Sync> = Arc::new(report);
        let state = State { next: ledger.next_seq(), ..State::default() };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), watch: Condvar::new(), settings });
        let mut writing = Writing {
            shared: shared.clone(),
            ledger,
            view,
            fold,
            report: report.clone(),
            view_behind: false,
            checkpointed: Instant::now(),
            low: false,
            looked: None,
        };
        let watching = Watching { shared: shared.clone(), report };
        let mut writer = Self { shared, threads: Vec::new() };
        writer.threads.push(thread::Builder::new().name("ledger".into()).spawn(move || writing.run())?);
        writer.threads.push(thread::Builder::new().name("ledger-watch".into()).spawn(move || watching.run())?);
        Ok(writer)
    }

    /// Queues records to be written together, numbered from `first`. Returns at once; [`Report::Durable`] follows.
    pub fn submit(&self, first: Seq, records: Vec<Vec<u8>>) -> Result<(), Refused> {
        let submission = Submission::new(first, records).ok_or(Refused::Size)?;
        let mut state = self.shared.state();
        if state.closing {
            return Err(Refused::Closed);
        }
        if first < state.next {
            return Err(Refused::Behind { next: state.next });
        }
        let records = state.records + submission.records.len();
        let bytes = state.bytes + submission.bytes;
        if records > self.shared.settings.queue_records || bytes > limits::WRITER_QUEUE_BYTES {
            return Err(Refused::Backlog);
        }
        let was_crowded = state.crowded(&self.shared.settings);
        (state.records, state.bytes, state.next) = (records, bytes, submission.end());
        state.queue.push_back(submission);
        if !was_crowded && state.crowded(&self.shared.settings) {
            self.shared.watch.notify_all();
        }
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    pub fn health(&self) -> Health {
        self.shared.state().verdict(&self.shared.settings)
    }

    /// The number the next submission gets.
    pub fn next_seq(&self) -> Seq {
        self.shared.state().next
    }

    /// Takes nothing more, writes what is queued, checkpoints the view. Gives up after `patience`, or at the first
    /// refusal of the disk, and says what was left.
    pub fn close(mut self, patience: Duration) -> Result<(), Unwritten> {
        let unwritten = self.shared.close_and_wait(patience);
        if self.shared.state().finished {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        }
        if unwritten == 0 { Ok(()) } else { Err(Unwritten { records: unwritten }) }
    }
}

impl Drop for Writer {
    /// Asks the threads to finish without waiting for them; [`Writer::close`] is the way to be sure.
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.work.notify_all();
        self.shared.watch.notify_all();
    }
}

/// What the three sides share.
struct Shared {
    state: Mutex<State>,
    /// Wakes the writing thread.
    work: Condvar,
    /// Wakes the watching thread, and whoever waits for the end.
    watch: Condvar,
    settings: WriterSettings,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Submission>,
    /// Of the queue and of the group being written.
    records: usize,
    bytes: usize,
    next: Seq,
    /// When the write under way began.
    writing_since: Option<Instant>,
    trouble: Option<Health>,
    closing: bool,
    finished: bool,
}

struct Submission {
    first: Seq,
    records: Vec<Vec<u8>>,
    /// Of the frame it would make alone.
    bytes: usize,
}

impl Submission {
    fn new(first: Seq, records: Vec<Vec<u8>>) -> Option<Self> {
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let bytes = frame_bytes(&slices);
        let fits = (1..=limits::LEDGER_BATCH_RECORDS).contains(&records.len())
            && bytes <= FRAME_BYTES
            && first > Seq::ZERO
            && records.iter().all(|record| record.len() <= limits::LEDGER_RECORD_BYTES);
        fits.then_some(Self { first, records, bytes })
    }

    fn end(&self) -> Seq {
        self.first.plus(self.records.len() as u64)
    }
}

impl State {
    fn verdict(&self, settings: &WriterSettings) -> Health {
        let hanging = self.writing_since.is_some_and(|since| since.elapsed() > settings.write_deadline);
        match self.trouble {
            Some(trouble) => trouble,
            None if hanging || self.crowded(settings) => Health::Stalled,
            None => Health::Open,
        }
    }

    /// Half the queue is for the events of calls that already run.
    fn crowded(&self, settings: &WriterSettings) -> bool {
        self.records * 2 > settings.queue_records || self.bytes * 2 > limits::WRITER_QUEUE_BYTES
    }

    /// Whole submissions that follow each other, as many as one batch takes.
    fn take_group(&mut self) -> Option<Group> {
        let head = self.queue.pop_front()?;
        let mut group = Group { first: head.first, bytes: head.bytes, submitted: head.bytes, records: head.records };
        while let Some(next) = self.queue.front() {
            let follows = next.first == group.end();
            let count = group.records.len() + next.records.len();
            if !follows || count > limits::LEDGER_BATCH_RECORDS || group.bytes + next.bytes > FRAME_BYTES {
                break;
            }
            let Some(next) = self.queue.pop_front() else { break };
            group.bytes += next.bytes;
            group.submitted += next.bytes;
            group.records.extend(next.records);
        }
        Some(group)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_trouble(&self, trouble: Option<Health>) {
        let mut state = self.state();
        if state.trouble != trouble {
            state.trouble = trouble;
            self.watch.notify_all();
        }
    }

    /// Records left when the writing thread has ended or `patience` is over.
    fn close_and_wait(&self, patience: Duration) -> usize {
        let mut state = self.state();
        state.closing = true;
        self.work.notify_all();
        let waited = self.watch.wait_timeout_while(state, patience, |state| !state.finished);
        waited.unwrap_or_else(PoisonError::into_inner).0.records
    }
}

/// Records that go to the ledger as one batch.
struct Group {
    first: Seq,
    /// An upper bound of its frame.
    bytes: usize,
    /// What its submissions counted for in the queue.
    submitted: usize,
    records: Vec<Vec<u8>>,
}

impl Group {
    fn end(&self) -> Seq {
        self.first.plus(self.records.len() as u64)
    }
}

/// The writing thread.
struct Writing {
    shared: Arc<Shared>,
    ledger: Box<dyn Ledger>,
    view: Arc<dyn View>,
    fold: Arc<dyn Fold>,
    report: Arc<dyn Fn(Report) + Send + Sync>,
    view_behind: bool,
    checkpointed: Instant,
    /// The disks have less room than the floor, as last looked.
    low: bool,
    looked: Option<Instant>,
}

enum Next {
    Write(Group),
    Idle,
    Closed,
}

impl Writing {
    fn run(&mut self) {
        self.look_at_room();
        loop {
            match self.next() {
                Next::Write(group) => {
                    if !self.write(&group) {
                        break;
                    }
                    self.release(&group);
                }
                Next::Idle => {}
                Next::Closed => break,
            }
            self.look_at_room();
            if self.checkpointed.elapsed() >= self.shared.settings.checkpoint {
                self.checkpoint();
            }
        }
        self.checkpoint();
        self.shared.state().finished = true;
        self.shared.watch.notify_all();
    }

    /// Waits for work, but not longer than a retry's time: room on the disk is looked for while nothing happens.
    fn next(&self) -> Next {
        let state = self.shared.state();
        let idle = |state: &mut State| state.queue.is_empty() && !state.closing;
        let waited = self.shared.work.wait_timeout_while(state, self.shared.settings.retry, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match state.take_group() {
            Some(group) => Next::Write(group),
            None if state.closing => Next::Closed,
            None => Next::Idle,
        }
    }

    /// Appends the group, however often it takes; `false` where the disk refused and we are closing.
    fn write(&mut self, group: &Group) -> bool {
        loop {
            let trouble = match self.append(group) {
                Ok(last) => {
                    (self.report)(Report::Durable { last });
                    self.apply(group, last);
                    return true;
                }
                Err(LedgerError::Full { .. }) => Health::Full,
                Err(error @ LedgerError::Io { .. }) => {
                    tracing::error!(%error, "the ledger could not be written; trying again");
                    Health::Failing
                }
                Err(error) => {
                    let last = group.end().prev();
                    (self.report)(Report::Lost { first: group.first, last, reason: error.to_string() });
                    return true;
                }
            };
            self.shared.set_trouble(Some(trouble));
            if !self.wait_to_retry() {
                return false;
            }
        }
    }

    fn append(&mut self, group: &Group) -> Result<Seq, LedgerError> {
        let records: Vec<&[u8]> = group.records.iter().map(Vec::as_slice).collect();
        self.shared.state().writing_since = Some(Instant::now());
        let written = self.ledger.append(&Batch { first: group.first, records: &records });
        let mut state = self.shared.state();
        let hung =
            state.writing_since.take().is_some_and(|since| since.elapsed() > self.shared.settings.write_deadline);
        drop(state);
        if hung {
            self.shared.watch.notify_all();
        }
        written
    }

    /// `false` where closing was asked for: a disk that refuses now is not waited for.
    fn wait_to_retry(&self) -> bool {
        let state = self.shared.state();
        let retry = self.shared.settings.retry;
        let waited = self.shared.work.wait_timeout_while(state, retry, |state| !state.closing);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    fn release(&self, group: &Group) {
        let mut state = self.shared.state();
        let was_crowded = state.crowded(&self.shared.settings);
        state.records -= group.records.len();
        state.bytes -= group.submitted;
        if was_crowded && !state.crowded(&self.shared.settings) {
            self.shared.watch.notify_all();
        }
    }

    fn look_at_room(&mut self) {
        if self.looked.is_none_or(|at| at.elapsed() >= self.shared.settings.retry) {
            self.looked = Some(Instant::now());
            self.look_at_floor();
        }
        let full = self.ledger.room() == Room::Reserve || self.low;
        self.shared.set_trouble(full.then_some(Health::Full));
    }

    fn look_at_floor(&mut self) {
        let floor = &self.shared.settings.floor;
        let lacking = floor.lacking();
        if let Some((folder, free)) = lacking.filter(|_| !self.low) {
            let (folder, wanted) = (folder.display(), floor.bytes);
            tracing::error!(%folder, free, wanted, "too little room on the disk: no new calls until some is freed");
        }
        self.low = lacking.is_some();
    }

    fn apply(&mut self, group: &Group, last: Seq) {
        let applied = if self.view_behind {
            catch_up(self.ledger.as_ref(), self.view.as_ref(), self.fold.as_ref(), |_| {})
                .map(drop)
                .map_err(|error| error.to_string())
        } else {
            let numbered = group.records.iter().zip(group.first.0..);
            let rows: Vec<_> = numbered
                .flat_map(|(record, seq)| fold_rows(self.fold.as_ref(), self.view.as_ref(), Seq(seq), record))
                .collect();
            self.view.apply(last, &rows).map(drop).map_err(|error| error.to_string())
        };
        match applied {
            Ok(()) => {
                self.view_behind = false;
                (self.report)(Report::Applied { last });
            }
            Err(reason) => self.view_failed(reason),
        }
    }

    fn checkpoint(&mut self) {
        self.checkpointed = Instant::now();
        if let Err(error) = self.view.checkpoint() {
            self.view_failed(error.to_string());
        }
    }

    fn view_failed(&mut self, reason: String) {
        tracing::error!(reason, "the view failed; it catches up from the ledger");
        self.view_behind = true;
        (self.report)(Report::ViewBehind { reason });
    }
}

/// The watching thread: says when the verdict changes.
struct Watching {
    shared: Arc<Shared>,
    report: Arc<dyn Fn(Report) + Send + Sync>,
}

impl Watching {
    fn run(&self) {
        let settings = &self.shared.settings;
        let mut told = Health::Open;
        let mut state = self.shared.state();
        while !state.finished {
            let verdict = state.verdict(settings);
            if verdict != told {
                told = verdict;
                drop(state);
                (self.report)(Report::Health(verdict));
                state = self.shared.state();
                continue;
            }
            let waited = self.shared.watch.wait_timeout(state, settings.write_deadline / 4);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::super::ledger::SegmentLedger;
    use super::super::memory::MemoryView;
    use super::super::memory_disk::MemoryDisk;
    use super::super::view::tests::WordFold;
    use super::super::{Row, RowChange, ViewError};
    use super::*;
    use crate::ids::Epoch;

    const SEGMENT: u64 = 4096;
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Bench {
        disk: MemoryDisk,
        view: Arc<MemoryView>,
        writer: Writer,
        reports: Receiver<Report>,
    }

    fn quick() -> WriterSettings {
        WriterSettings {
            write_deadline: Duration::from_millis(20),
            retry: Duration::from_millis(2),
            checkpoint: Duration::from_secs(60),
            queue_records: 100,
            floor: Floor::default(),
        }
    }

    fn bench(capacity: u64) -> Bench {
        bench_with(capacity, quick())
    }

    fn bench_with(capacity: u64, settings: WriterSettings) -> Bench {
        let disk = MemoryDisk::new(capacity);
        let ledger = SegmentLedger::open_on(Arc::new(disk.clone()), Epoch::from_u128(1), SEGMENT).unwrap();
        let view = Arc::new(MemoryView::new());
        view.reset(1).unwrap();
        let (tell, reports) = mpsc::channel();
        let fold = Arc::new(WordFold(1));
        let report = move |report| tell.send(report).unwrap_or(());
        let writer = Writer::start(Box::new(ledger), view.clone(), fold, settings, report).unwrap();
        Bench { disk, view, writer, reports }
    }

    impl Bench {
        fn submit(&self, text: &str) -> Result<(), Refused> {
            self.writer.submit(self.writer.next_seq(), vec![text.as_bytes().to_vec()])
        }

        fn wait_for(&self, wanted: Report) {
            let reports = std::iter::from_fn(|| self.reports.recv_timeout(PATIENCE).ok());
            assert!(reports.into_iter().any(|report| report == wanted), "{wanted:?} never came");
        }
    }

    #[test]
    fn a_record_is_reported_durable_then_readable() {
        let bench = bench(1 << 20);
        bench.writer.submit(Seq(1), vec![b"set a 1".to_vec(), b"set b 2".to_vec()]).unwrap();
        assert_eq!(bench.reports.recv_timeout(PATIENCE), Ok(Report::Durable { last: Seq(2) }));
        assert_eq!(bench.reports.recv_timeout(PATIENCE), Ok(Report::Applied { last: Seq(2) }));
        assert_eq!(bench.view.get(b"b").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(bench.writer.submit(Seq(2), vec![b"again".to_vec()]), Err(Refused::Behind { next: Seq(3) }));
        assert_eq!(bench.writer.close(PATIENCE), Ok(()));
    }

    #[test]
    fn a_hanging_disk_is_reported_and_a_full_queue_refuses() {
        let bench = bench(1 << 20);
        bench.disk.stall();
        bench.submit("set a 1").unwrap();
        bench.wait_for(Report::Health(Health::Stalled));
        assert!(!bench.writer.health().accepts_calls());
        let taken = (0..200).take_while(|_| bench.submit("set a 2").is_ok()).count();
        assert_eq!((taken, bench.submit("set a 3")), (99, Err(Refused::Backlog)));
        bench.disk.resume();
        bench.wait_for(Report::Durable { last: Seq(100) });
        bench.wait_for(Report::Health(Health::Open));
        bench.submit("set a 4").unwrap();
        assert_eq!(bench.writer.close(PATIENCE), Ok(()));
        assert_eq!(bench.view.get(b"a").unwrap().as_deref(), Some(&b"4"[..]));
    }

    #[test]
    fn records_and_bytes_that_wait_for_a_hanging_disk_are_bounded() {
        let waiting = |records: Vec<Vec<u8>>| {
            let bench = bench_with(1 << 20, WriterSettings { queue_records: limits::WRITER_QUEUE_RECORDS, ..quick() });
            bench.disk.stall();
            bench.submit("set a 1").unwrap();
            bench.wait_for(Report::Health(Health::Stalled));
            let submit = || bench.writer.submit(bench.writer.next_seq(), records.clone());
            let taken = (0..1_000).take_while(|_| submit().is_ok()).count();
            assert_eq!(submit(), Err(Refused::Backlog));
            bench.disk.resume();
            // They are larger than this disk.
            let _ = bench.writer.close(Duration::from_millis(10));
            taken * records.len()
        };
        let short = waiting(vec![vec![0]; 1_024]);
        assert!((limits::WRITER_QUEUE_RECORDS - 1_024..limits::WRITER_QUEUE_RECORDS).contains(&short), "{short}");
        let large = waiting(vec![vec![0; limits::LEDGER_RECORD_BYTES]; 8]) * limits::LEDGER_RECORD_BYTES;
        assert!((limits::WRITER_QUEUE_BYTES * 9 / 10..=limits::WRITER_QUEUE_BYTES).contains(&large), "{large}");
    }

    #[test]
    fn a_full_disk_refuses_new_calls_while_the_reserve_takes_the_running_ones() {
        let bench = bench(SEGMENT);
        let long = format!("set a {}", "x".repeat(1000));
        bench.submit(&long).unwrap();
        bench.submit(&long).unwrap();
        bench.submit(&long).unwrap();
        bench.wait_for(Report::Durable { last: Seq(3) });
        bench.wait_for(Report::Health(Health::Full));
        bench.submit("set b in-the-reserve").unwrap();
        bench.wait_for(Report::Durable { last: Seq(4) });
        bench.submit(&long).unwrap();
        bench.submit("set b kept-until-there-is-room").unwrap();
        bench.disk.set_capacity(1 << 20);
        bench.wait_for(Report::Health(Health::Open));
        assert_eq!(bench.writer.close(PATIENCE), Ok(()));
        assert_eq!(bench.view.get(b"b").unwrap().as_deref(), Some(&b"kept-until-there-is-room"[..]));
    }

    #[test]
    fn closing_on_a_full_disk_says_what_was_left() {
        let bench = bench(SEGMENT);
        let long = format!("set a {}", "x".repeat(1000));
        for _ in 0..3 {
            bench.submit(&long).unwrap();
        }
        bench.wait_for(Report::Durable { last: Seq(3) });
        bench.submit(&long).unwrap();
        bench.submit(&long).unwrap();
        assert_eq!(bench.writer.close(PATIENCE), Err(Unwritten { records: 2 }));
    }

    #[test]
    fn a_failed_sync_is_tried_again_and_nothing_is_written_twice() {
        let bench = bench(1 << 20);
        bench.submit("set a 1").unwrap();
        bench.wait_for(Report::Durable { last: Seq(1) });
        bench.disk.fail_next_sync();
        bench.submit("set a 2").unwrap();
        bench.wait_for(Report::Durable { last: Seq(2) });
        let Bench { disk, writer, .. } = bench;
        writer.close(PATIENCE).unwrap();
        let after = Arc::new(disk.after_power_cut(1));
        let ledger = SegmentLedger::open_on(after, Epoch::from_u128(2), SEGMENT).unwrap();
        let mut tail = ledger.read(Seq::FIRST).unwrap();
        let texts: Vec<Vec<u8>> = std::iter::from_fn(|| tail.next().unwrap()).map(|record| record.payload).collect();
        assert_eq!(texts, [b"set a 1".to_vec(), b"set a 2".to_vec()]);
    }

    #[test]
    fn what_the_ledger_can_never_take_is_refused_at_once() {
        let bench = bench(1 << 20);
        let submit = |records| bench.writer.submit(Seq(1), records);
        assert_eq!(submit(vec![]), Err(Refused::Size));
        assert_eq!(submit(vec![vec![0; limits::LEDGER_RECORD_BYTES + 1]]), Err(Refused::Size));
        assert_eq!(bench.writer.submit(Seq::ZERO, vec![vec![1]]), Err(Refused::Size));
        assert_eq!(bench.writer.next_seq(), Seq::FIRST);
    }

    /// A view that fails its first write.
    struct Flaky {
        inner: MemoryView,
        failed: std::sync::atomic::AtomicBool,
    }

    impl View for Flaky {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
            self.inner.get(key)
        }
        fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
            self.inner.range(prefix, after, limit)
        }
        fn range_back(&self, prefix: &[u8], before: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, ViewError> {
            self.inner.range_back(prefix, before, limit)
        }
        fn apply(&self, seq: Seq, rows: &[RowChange]) -> Result<bool, ViewError> {
            match self.failed.swap(true, std::sync::atomic::Ordering::SeqCst) {
                true => self.inner.apply(seq, rows),
                false => Err(ViewError::Failed("a bad day".into())),
            }
        }
        fn position(&self) -> Result<Seq, ViewError> {
            self.inner.position()
        }
        fn fold_version(&self) -> Result<Option<u32>, ViewError> {
            self.inner.fold_version()
        }
        fn reset(&self, fold_version: u32) -> Result<(), ViewError> {
            self.inner.reset(fold_version)
        }
        fn checkpoint(&self) -> Result<(), ViewError> {
            self.inner.checkpoint()
        }
    }

    #[test]
    fn with_less_room_left_than_wanted_new_calls_are_refused_and_running_ones_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let folders = vec![folder.path().join("recordings").join("not made yet")];
        for (bytes, health) in [(u64::MAX, Health::Full), (1, Health::Open)] {
            let settings = WriterSettings { floor: Floor { folders: folders.clone(), bytes }, ..quick() };
            let disk = Arc::new(MemoryDisk::new(1 << 20));
            let ledger = SegmentLedger::open_on(disk, Epoch::from_u128(1), SEGMENT).unwrap();
            let view = Arc::new(MemoryView::new());
            view.reset(1).unwrap();
            let (tell, reports) = mpsc::channel();
            let report = move |report| tell.send(report).unwrap_or(());
            let writer = Writer::start(Box::new(ledger), view, Arc::new(WordFold(1)), settings, report).unwrap();
            writer.submit(Seq(1), vec![b"set a 1".to_vec()]).unwrap();
            let mut told = Vec::new();
            let wanted = [Report::Health(Health::Full), Report::Durable { last: Seq(1) }];
            let wanted = if health == Health::Full { &wanted[..] } else { &wanted[1..] };
            while !wanted.iter().all(|report| told.contains(report)) {
                told.push(reports.recv_timeout(PATIENCE).unwrap());
            }
            assert_eq!(writer.health(), health);
            writer.close(PATIENCE).unwrap();
        }
    }

    #[test]
    fn a_view_that_failed_catches_up_from_the_ledger() {
        let view = Arc::new(Flaky { inner: MemoryView::new(), failed: false.into() });
        view.reset(1).unwrap();
        let disk = Arc::new(MemoryDisk::new(1 << 20));
        let ledger = SegmentLedger::open_on(disk, Epoch::from_u128(1), SEGMENT).unwrap();
        let (tell, reports) = mpsc::channel();
        let report = move |report| tell.send(report).unwrap_or(());
        let writer = Writer::start(Box::new(ledger), view.clone(), Arc::new(WordFold(1)), quick(), report).unwrap();
        writer.submit(Seq(1), vec![b"set a 1".to_vec()]).unwrap();
        assert_eq!(reports.recv_timeout(PATIENCE), Ok(Report::Durable { last: Seq(1) }));
        assert!(matches!(reports.recv_timeout(PATIENCE), Ok(Report::ViewBehind { .. })));
        writer.submit(Seq(2), vec![b"set b 2".to_vec()]).unwrap();
        writer.close(PATIENCE).unwrap();
        assert_eq!(view.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(view.position().unwrap(), Seq(2));
    }
}

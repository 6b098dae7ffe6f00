//! The recorder: one thread that writes all recordings, so that a slow disk delays files and never sound.
//!
//! Batches of 200 ms come through a queue without waiting; each file is flushed, its header brought up to date, every half
//! second. Killed at any moment, a file lacks less than its last second; [`repair_file`] makes its header right again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::audio::wav::{RecordingWriter, Repair, WavError, repair};
use crate::ids::RecordingId;
use crate::limits::media::{RECORDING_BATCHES_QUEUED, RECORDING_BYTES};
use crate::media::{MediaEvent, RecordingWrite};

/// Where the threads say what happened.
pub type EventSink = Arc<dyn Fn(MediaEvent) + Send + Sync>;

/// The running recorder. Dropping it completes every open file, where the disk does so within [`STOPS_WITHIN`].
pub struct RecordingThread {
    queue: Option<Sender<Job>>,
    backlog: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the thread's end.
    ended: Receiver<()>,
    stops_within: Duration,
}

/// An engine's way to the recorder: never waits.
pub struct RecordingQueue {
    queue: Sender<Job>,
    backlog: Arc<AtomicUsize>,
    /// Recordings that lost a batch because the disk is hopelessly behind.
    overrun: BTreeSet<RecordingId>,
}

enum Job {
    Write {
        write: RecordingWrite,
        since: Instant,
    },
    /// The queue was full: the file ends where it is, as failed.
    Abandon {
        recording: RecordingId,
    },
}

impl RecordingThread {
    /// Starts the thread. `sink` hears `RecordingSealed`, `RecordingFailed` and `RecordingLag`.
    pub fn start(sink: EventSink) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let mut writer = Writer { files: BTreeMap::new(), lagging: false, sink };
        let counted = backlog.clone();
        let (ends, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || {
            let _ends: Sender<()> = ends;
            writer.run(&jobs, &counted);
        })?;
        Ok(Self { queue: Some(queue), backlog, thread: Some(thread), ended, stops_within: STOPS_WITHIN })
    }

    /// A way in, one for each engine.
    pub fn queue(&self) -> Option<RecordingQueue> {
        let queue = self.queue.clone()?;
        Some(RecordingQueue { queue, backlog: self.backlog.clone(), overrun: BTreeSet::new() })
    }
}

impl Drop for RecordingThread {
    fn drop(&mut self) {
        self.queue = None;
        if self.ended.recv_timeout(self.stops_within) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the disk does not take the last of the recordings: the next start repairs their files");
            return;
        }
        if let Some(thread) = self.thread.take() {
            // A panic in the recorder has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl RecordingQueue {
    /// Hands a write over. With too much waiting already, the recording is given up.
    pub fn push(&mut self, write: RecordingWrite) {
        let job = match write {
            RecordingWrite::Samples { recording, .. } if self.overrun.contains(&recording) => return,
            RecordingWrite::Samples { recording, .. } if self.is_full() => {
                self.overrun.insert(recording);
                Job::Abandon { recording }
            }
            RecordingWrite::End { recording } if self.overrun.remove(&recording) => return,
            write => Job::Write { write, since: Instant::now() },
        };
        self.backlog.fetch_add(1, Ordering::Relaxed);
        // The receiver goes only with the whole process.
        let _ = self.queue.send(job);
    }

    fn is_full(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) >= RECORDING_BATCHES_QUEUED
    }
}

struct Writer {
    files: BTreeMap<RecordingId, OpenFile>,
    lagging: bool,
    sink: EventSink,
}

struct OpenFile {
    wav: RecordingWriter<BufWriter<File>>,
    /// The same file once more, for its size and for the disk's word at the end.
    file: File,
    flushed: Instant,
    bytes: u64,
}

impl Writer {
    fn run(&mut self, jobs: &Receiver<Job>, backlog: &AtomicUsize) {
        loop {
            match jobs.recv_timeout(FLUSH_EVERY) {
                Ok(job) => {
                    backlog.fetch_sub(1, Ordering::Relaxed);
                    self.on_job(job);
                }
                // Nothing for a while: what is open may be held by a masked or stalled engine; keep the disk current.
                Err(RecvTimeoutError::Timeout) => self.flush_all(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let open: Vec<RecordingId> = self.files.keys().copied().collect();
        open.into_iter().for_each(|recording| self.seal(recording));
    }

    fn on_job(&mut self, job: Job) {
        match job {
            Job::Abandon { recording } => {
                let reason = WavError::Io(io::Error::other("the disk is too slow: too much sound was waiting"));
                self.fail(recording, &reason);
            }
            Job::Write { write, since } => {
                self.watch_lag(since.elapsed());
                match write {
                    RecordingWrite::Begin { recording, path, channels } => self.begin(recording, &path, channels),
                    RecordingWrite::Samples { recording, interleaved } => self.append(recording, &interleaved),
                    RecordingWrite::End { recording } => self.seal(recording),
                    RecordingWrite::Remove { path } => remove(&path),
                }
            }
        }
    }

    fn begin(&mut self, recording: RecordingId, path: &Path, channels: u16) {
        match OpenFile::create(path, channels) {
            Ok(file) => {
                self.files.insert(recording, file);
            }
            Err(error) => {
                let reason = format!("{}: {error}", path.display());
                (self.sink)(MediaEvent::RecordingFailed { recording, duration_ms: 0, reason });
            }
        }
    }

    fn append(&mut self, recording: RecordingId, interleaved: &[i16]) {
        // Absent: it failed before, and has said so.
        let Some(file) = self.files.get_mut(&recording) else { return };
        if let Err(error) = file.append(interleaved) {
            self.fail(recording, &error);
        }
    }

    fn seal(&mut self, recording: RecordingId) {
        let Some(file) = self.files.remove(&recording) else { return };
        let duration_ms = file.wav.duration_ms();
        (self.sink)(match file.seal() {
            Ok(bytes) => MediaEvent::RecordingSealed { recording, duration_ms, bytes },
            Err(error) => MediaEvent::RecordingFailed { recording, duration_ms, reason: error.to_string() },
        });
    }

    fn fail(&mut self, recording: RecordingId, error: &WavError) {
        let Some(file) = self.files.remove(&recording) else { return };
        let duration_ms = file.wav.duration_ms();
        // What can be saved is saved; the first error is the one to tell.
        let _ = file.seal();
        (self.sink)(MediaEvent::RecordingFailed { recording, duration_ms, reason: error.to_string() });
    }

    fn flush_all(&mut self) {
        let failed: Vec<_> = self
            .files
            .iter_mut()
            .filter_map(|(recording, file)| file.flush().err().map(|error| (*recording, error)))
            .collect();
        failed.iter().for_each(|(recording, error)| self.fail(*recording, error));
    }

    fn watch_lag(&mut self, behind: Duration) {
        let behind_ms = match (self.lagging, behind) {
            (false, behind) if behind >= LAG_TO_TELL => u64::try_from(behind.as_millis()).unwrap_or(u64::MAX),
            (true, behind) if behind < LAG_CAUGHT_UP => 0,
            _ => return,
        };
        self.lagging = behind_ms > 0;
        (self.sink)(MediaEvent::RecordingLag { behind_ms });
    }
}

/// A file that stays is nobody's harm, but somebody's voice: it is told.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "the file of a message that is not kept cannot be removed");
    }
}

impl OpenFile {
    fn create(path: &Path, channels: u16) -> Result<Self, WavError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A recording that is there already is never written over.
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let wav = RecordingWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file.try_clone()?), channels)?;
        Ok(Self { wav, file, flushed: Instant::now(), bytes: 0 })
    }

    fn append(&mut self, interleaved: &[i16]) -> Result<(), WavError> {
        self.bytes += 2 * interleaved.len() as u64;
        if self.bytes > RECORDING_BYTES {
            return Err(WavError::Io(io::Error::other("longer than a WAV file may be")));
        }
        self.wav.write(interleaved)?;
        if self.flushed.elapsed() >= FLUSH_EVERY { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), WavError> {
        self.flushed = Instant::now();
        self.wav.flush()
    }

    /// Completes the file and waits for the disk to have it. Gives its size.
    fn seal(self) -> Result<u64, WavError> {
        self.wav.finish()?;
        self.file.sync_data()?;
        Ok(self.file.metadata()?.len())
    }
}

/// Makes the header of a recording right after a kill, and cuts off half a sample. For files of this recorder only.
pub fn repair_file(path: &Path) -> Result<Repair, WavError> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let done = repair(&mut file)?;
    if file.metadata()?.len() != done.file_len {
        file.set_len(done.file_len)?;
    }
    if done.changed {
        file.sync_data()?;
    }
    Ok(done)
}

/// With batches of 200 ms, what a kill may cost stays below a second.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How long a stop waits for the disk.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 16 * 1_024;
const LAG_TO_TELL: Duration = Duration::from_secs(1);
const LAG_CAUGHT_UP: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::wav::read_recording;

    fn recorder() -> (RecordingThread, Receiver<MediaEvent>) {
        let (tell, told) = mpsc::channel();
        let sink: EventSink = Arc::new(move |event| tell.send(event).unwrap());
        (RecordingThread::start(sink).unwrap(), told)
    }

    fn id(n: u128) -> RecordingId {
        RecordingId::from_u128(n)
    }

    fn batch(recording: RecordingId, value: i16) -> RecordingWrite {
        RecordingWrite::Samples { recording, interleaved: [value, -value].repeat(1_600) }
    }

    fn told(events: &Receiver<MediaEvent>) -> MediaEvent {
        events.recv_timeout(Duration::from_secs(10)).expect("the recorder says how each recording ended")
    }

    #[test]
    fn a_stop_does_not_wait_for_ever_for_a_recorder_that_stands_still() {
        let (reached, reaches) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let goes_on = std::sync::Mutex::new(goes_on);
        let sink: EventSink = Arc::new(move |_| {
            reached.send(()).unwrap();
            // Until the test has ended.
            let _ = goes_on.lock().unwrap().recv();
        });
        let mut recorder = RecordingThread::start(sink).unwrap();
        recorder.stops_within = Duration::from_millis(50);
        let path = std::path::PathBuf::from("/dev/null/no-folder/a.wav");
        recorder.queue().unwrap().push(RecordingWrite::Begin { recording: id(1), path, channels: 1 });
        reaches.recv_timeout(Duration::from_secs(10)).expect("the recorder is at work");
        drop(recorder);
        drop(go_on);
    }

    #[test]
    fn a_recording_is_sealed_with_its_length_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026/11/a.wav");
        let (recorder, events) = recorder();
        let mut queue = recorder.queue().unwrap();
        queue.push(RecordingWrite::Begin { recording: id(1), path: path.clone(), channels: 2 });
        queue.push(batch(id(1), 5));
        queue.push(batch(id(1), 6));
        queue.push(RecordingWrite::End { recording: id(1) });
        let sealed = MediaEvent::RecordingSealed { recording: id(1), duration_ms: 400, bytes: 44 + 12_800 };
        assert_eq!(told(&events), sealed);
        let (samples, channels) = read_recording(File::open(path).unwrap()).unwrap();
        assert_eq!((samples.len(), channels), (6_400, 2));
        assert_eq!((samples[0], samples[1], samples[6_398]), (5, -5, 6));
    }

    #[test]
    fn a_message_that_is_not_kept_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.wav"), folder.path().join("b.wav"));
        let (recorder, events) = recorder();
        let mut queue = recorder.queue().unwrap();
        for (n, path) in [(1, &path), (2, &other)] {
            queue.push(RecordingWrite::Begin { recording: id(n), path: path.clone(), channels: 1 });
            queue.push(RecordingWrite::End { recording: id(n) });
            assert!(matches!(told(&events), MediaEvent::RecordingSealed { .. }));
        }
        queue.push(RecordingWrite::Remove { path: path.clone() });
        queue.push(RecordingWrite::Remove { path: folder.path().join("never made.wav") });
        drop(queue);
        drop(recorder);
        assert_eq!((path.exists(), other.exists()), (false, true));
    }

    #[test]
    fn a_file_that_cannot_be_made_fails_and_hurts_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken.wav");
        fs::write(&taken, "precious").unwrap();
        let (recorder, events) = recorder();
        let mut queue = recorder.queue().unwrap();
        for (n, path) in [(1, taken.join("below a file.wav")), (2, taken.clone()), (3, folder.path().join("good.wav"))]
        {
            queue.push(RecordingWrite::Begin { recording: id(n), path, channels: 2 });
            queue.push(batch(id(n), 1));
            queue.push(RecordingWrite::End { recording: id(n) });
        }
        for n in [1, 2] {
            let event = told(&events);
            assert!(
                matches!(&event, MediaEvent::RecordingFailed { recording, reason, .. }
                    if *recording == id(n) && reason.contains("taken.wav")),
                "{event:?}"
            );
        }
        assert!(matches!(told(&events), MediaEvent::RecordingSealed { recording, .. } if recording == id(3)));
        assert_eq!(fs::read_to_string(taken).unwrap(), "precious");
    }

    #[test]
    fn an_open_recording_is_readable_after_a_repair_and_sealed_when_the_recorder_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open.wav");
        let (recorder, events) = recorder();
        let mut queue = recorder.queue().unwrap();
        queue.push(RecordingWrite::Begin { recording: id(1), path: path.clone(), channels: 2 });
        queue.push(batch(id(1), 9));
        // The recorder flushes by itself: wait for the disk to show it, as one who comes after a kill would find it.
        let begun = Instant::now();
        while fs::metadata(&path).map_or(0, |meta| meta.len()) < 44 + 6_400 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        let copy = folder.path().join("copy.wav");
        fs::copy(&path, &copy).unwrap();
        assert_eq!(repair_file(&copy).unwrap().duration_ms, 200);
        assert_eq!(read_recording(File::open(copy).unwrap()).unwrap().0.len(), 3_200);
        drop(queue);
        drop(recorder);
        assert!(matches!(told(&events), MediaEvent::RecordingSealed { duration_ms: 200, .. }));
    }

    #[test]
    fn a_hopeless_backlog_fails_the_recording_once() {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, events) = recorder();
        let mut queue = recorder.queue().unwrap();
        queue.push(RecordingWrite::Begin { recording: id(1), path: folder.path().join("a.wav"), channels: 2 });
        queue.backlog.fetch_add(RECORDING_BATCHES_QUEUED, Ordering::Relaxed);
        queue.push(batch(id(1), 1));
        queue.push(batch(id(1), 1));
        queue.push(RecordingWrite::End { recording: id(1) });
        let event = told(&events);
        assert!(
            matches!(&event, MediaEvent::RecordingFailed { reason, .. } if reason.contains("too slow")),
            "{event:?}"
        );
        assert!(queue.overrun.is_empty());
        drop(queue);
        drop(recorder);
        assert!(events.recv().is_err(), "and nothing more");
    }

    #[test]
    fn a_disk_that_refuses_or_a_file_that_is_too_long_fails_the_recording_once() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = mpsc::channel();
        let sink: EventSink = Arc::new(move |event| tell.send(event).unwrap());
        let mut writer = Writer { files: BTreeMap::new(), lagging: false, sink };
        // A handle that may only read stands for a disk that takes no more.
        let path = folder.path().join("a.wav");
        fs::write(&path, "").unwrap();
        let file = File::open(&path).unwrap();
        let wav = RecordingWriter::new(BufWriter::new(file.try_clone().unwrap()), 2).unwrap();
        let flushed = Instant::now().checked_sub(FLUSH_EVERY).unwrap();
        writer.files.insert(id(1), OpenFile { wav, file, flushed, bytes: 0 });
        let mut long = OpenFile::create(&folder.path().join("b.wav"), 2).unwrap();
        long.bytes = RECORDING_BYTES - 2;
        writer.files.insert(id(2), long);
        for n in [1, 1, 2, 2] {
            writer.append(id(n), &[1, 2]);
        }
        [1, 2].into_iter().for_each(|n| writer.seal(id(n)));
        let failed: Vec<_> = told
            .try_iter()
            .map(|event| match event {
                MediaEvent::RecordingFailed { recording, reason, .. } => (recording, reason.contains("longer")),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(failed, [(id(1), false), (id(2), true)]);
    }

    #[test]
    fn lag_is_told_when_it_begins_and_when_it_ends() {
        let (tell, told) = mpsc::channel();
        let sink: EventSink = Arc::new(move |event| tell.send(event).unwrap());
        let mut writer = Writer { files: BTreeMap::new(), lagging: false, sink };
        for ms in [10, 990, 1_500, 4_000, 300, 50, 10] {
            writer.watch_lag(Duration::from_millis(ms));
        }
        let lags: Vec<_> = told.try_iter().collect();
        let lag = |behind_ms| MediaEvent::RecordingLag { behind_ms };
        assert_eq!(lags, [lag(1_500), lag(0)]);
    }

    #[test]
    fn half_a_sample_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.wav");
        let mut file = OpenFile::create(&path, 2).unwrap();
        file.append(&[1, 2, 3, 4]).unwrap();
        file.seal().unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut &file, &[1, 2, 3, 4, 5, 6]).unwrap();
        let done = repair_file(&path).unwrap();
        assert_eq!((done.changed, done.file_len), (true, 44 + 12));
        assert_eq!(fs::metadata(&path).unwrap().len(), 44 + 12);
    }
}

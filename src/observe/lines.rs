//! Lines on their way out of the process, so that nobody who logs waits for whoever reads.
//!
//! A pipe that nobody empties would stop the thread that writes to it, and with it the exchange. So a thread of its own
//! writes, from a queue with a bound; what does not fit is dropped, counted, and told in the log itself.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::limits::observe::LOG_BYTES;

/// The queue; clones share it. The writing thread lives as long as the process.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// A line came.
    came: Condvar,
    /// Nothing waits any more.
    done: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Of the queue and of what is being written.
    bytes: usize,
    dropped: u64,
}

impl Lines {
    /// Starts the thread that writes to `out`. `behind` hears how many lines were dropped, once there is room again.
    pub fn start(mut out: impl io::Write + Send + 'static, behind: impl Fn(u64) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), came: Condvar::new(), done: Condvar::new() });
        let lines = Self { shared: shared.clone() };
        let run = move || {
            let mut told = 0;
            loop {
                let (batch, dropped) = shared.take();
                // A reader that is gone needs no lines, and there is nobody left to tell.
                let _ = out.write_all(&batch).and_then(|()| out.flush());
                shared.release(batch.len());
                if dropped > told {
                    behind(dropped - told);
                    told = dropped;
                }
            }
        };
        std::thread::Builder::new().name("log".into()).spawn(run)?;
        Ok(lines)
    }

    /// Queues a line, or drops it where the queue is full. Never waits for the reader.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.bytes + line.len() > LOG_BYTES {
            state.dropped += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        drop(state);
        self.shared.came.notify_one();
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Waits until all is written, at most `patience`.
    pub fn flush(&self, patience: Duration) {
        let waited = self.shared.done.wait_timeout_while(self.shared.lock(), patience, |state| state.bytes > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and takes them all; also says how many were dropped.
    fn take(&self) -> (Vec<u8>, u64) {
        let idle = |state: &mut State| state.lines.is_empty();
        let mut state = self.came.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let batch = state.lines.drain(..).flatten().collect();
        (batch, state.dropped)
    }

    fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes -= bytes;
        if state.bytes == 0 {
            self.done.notify_all();
        }
    }
}

/// One event's line.
pub struct Line<'a>(&'a Lines);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_up_nobody_who_logs_and_the_reader_learns_what_was_dropped() {
        let (reader, writer) = io::pipe().unwrap();
        let (tell, behind) = mpsc::channel();
        let lines = Lines::start(writer, move |dropped| tell.send(dropped).unwrap_or(())).unwrap();
        let padding = "x".repeat(1_000);
        let pushed = LOG_BYTES as u64 / 1_000 * 2;
        // That this ends is the test: nobody reads yet.
        for at in 0..pushed {
            lines.push(format!("{at} {padding}\n").as_bytes());
        }
        let dropped = lines.dropped();
        assert!(dropped > pushed / 4, "{dropped}");
        let mut read = Vec::new();
        for line in BufReader::new(reader).lines().take(usize::try_from(pushed - dropped).unwrap()) {
            read.push(line.unwrap().split_once(' ').unwrap().0.parse::<u64>().unwrap());
        }
        assert!(read.is_sorted(), "in order");
        assert_eq!(behind.recv_timeout(Duration::from_secs(20)), Ok(dropped));
        lines.flush(Duration::from_secs(20));
        lines.push(b"there is room again\n");
        assert_eq!(lines.dropped(), dropped);
    }
}

//! What every bench here counts with: allocations, CPU time of the thread, medians of repeated rounds.
//!
//! CPU time of the thread and not the wall clock: what else runs on the machine then costs cache, not minutes.
//! Two things compared are measured in turns, round by round, so that both meet the same machine.

#![allow(dead_code, reason = "each bench uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The system's allocator, counting what each thread asks of it.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory so far, growing what it has included.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// How many bytes this thread has asked for and not given back.
pub fn live_bytes() -> i64 {
    LIVE.get()
}

fn count(asked: u64, bytes: i64) {
    // A thread that is being taken down asks too, and is not counted.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + asked));
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

/// No object is larger than `isize::MAX`.
const fn signed(bytes: usize) -> i64 {
    bytes as i64
}

#[expect(unsafe_code, reason = "an allocator cannot be had without; every call goes to the system's as it came")]
// SAFETY: each method hands its arguments to `System` unchanged, and `count` neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        unsafe { System.dealloc(memory, layout) }
    }
}

/// CPU time that this thread has used.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// CPU time that the thread of this name has used, by the scheduler's count in nanoseconds (`/proc/…/schedstat`).
pub fn cpu_time_of(thread: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux shows a process its threads");
    for task in tasks.flatten().map(|task| task.path()) {
        let read = |file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
        if read("comm").trim_end() == thread {
            let nanoseconds = read("schedstat").split(' ').next().and_then(|text| text.parse().ok());
            return Duration::from_nanos(nanoseconds.expect("the kernel counts"));
        }
    }
    panic!("no thread is named {thread}")
}

/// The middle one. Sorts what it is given.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// The load of the machine over the last minute and its processors, as the last line of a report: figures without them say little.
pub fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "\n{cores} cores,{}; load over the last minute {load}",
        model.trim_start_matches(['\t', ' ', ':']).replace("  ", " ")
    );
}

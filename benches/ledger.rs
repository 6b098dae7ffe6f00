//! Ledger appends a second by group size, beside a bare write and fdatasync of the same bytes in the same run.
//!
//! `cargo bench --bench ledger [-- DIR]`; DIR is where the disk to be measured is, the system's temporary directory
//! by default. Machines are noisy: the ratio to the bare file says more than the figure.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use strowger::ids::Epoch;
use strowger::store::ledger::SegmentLedger;
use strowger::store::{Batch, Ledger, Seq};

/// An ordinary event: 300 bytes of JSON.
const RECORD_BYTES: usize = 300;
const GROUPS: [usize; 5] = [1, 8, 64, 512, 4_096];
const SPAN: Duration = Duration::from_secs(2);

fn main() {
    // `cargo bench` itself passes flags.
    let dir =
        std::env::args().skip(1).find(|arg| !arg.starts_with("--")).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("strowger-bench-{}", std::process::id()));
    println!(
        "{:>8} {:>12} {:>12} {:>10} {:>10} {:>12} {:>8}",
        "group", "records/s", "groups/s", "p50 us", "p99 us", "bare/s", "ratio"
    );
    for group in GROUPS {
        let ours = append(&dir.join(format!("ledger-{group}")), group);
        let bare = bare(&dir.join(format!("bare-{group}")), group * (RECORD_BYTES + 4));
        let rate = per_second(&ours);
        println!(
            "{group:>8} {:>12.0} {rate:>12.0} {:>10} {:>10} {:>12.0} {:>8.2}",
            rate * group as f64,
            percentile(&ours, 50).as_micros(),
            percentile(&ours, 99).as_micros(),
            per_second(&bare),
            rate / per_second(&bare),
        );
    }
    read_back(&dir.join("ledger-64"));
    std::fs::remove_dir_all(&dir).expect("the bench made this directory");
}

/// Times of single appends of `group` records.
fn append(dir: &Path, group: usize) -> Vec<Duration> {
    let mut ledger = SegmentLedger::open(dir, Epoch::from_u128(1)).expect("the bench directory can be written");
    let record = [b'x'; RECORD_BYTES];
    let records = vec![&record[..]; group];
    timed(|| {
        let batch = Batch { first: ledger.next_seq(), records: &records };
        ledger.append(&batch).expect("the disk has room");
        ledger.room();
    })
}

/// The floor: one preallocated file written round and round, one write and one fdatasync a step. From the second round
/// on it has no fresh blocks to account for, which the ledger always has.
fn bare(path: &Path, bytes: usize) -> Vec<Duration> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("a writable directory");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 64 << 20).expect("the disk has room");
    let bytes = vec![b'x'; bytes];
    let mut offset = 0;
    timed(|| {
        file.write_all_at(&bytes, offset).expect("the disk has room");
        file.sync_data().expect("the disk works");
        offset = (offset + bytes.len() as u64) % (60 << 20);
    })
}

fn timed(mut step: impl FnMut()) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < SPAN {
        let before = Instant::now();
        step();
        times.push(before.elapsed());
    }
    times.sort();
    times
}

fn read_back(dir: &Path) {
    let ledger = SegmentLedger::open(dir, Epoch::from_u128(2)).expect("it was just written");
    let start = Instant::now();
    let mut tail = ledger.read(Seq::FIRST).expect("it was just written");
    let mut records = 0u64;
    while tail.next().expect("every record reads").is_some() {
        records += 1;
    }
    println!("read back {records} records at {:.0}/s", records as f64 / start.elapsed().as_secs_f64());
}

fn per_second(times: &[Duration]) -> f64 {
    times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64()
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

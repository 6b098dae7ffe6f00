//! kill -9 of a process that writes: what it acknowledged is there, once, and the store always opens.
//!
//! Each test runs this very binary again as the victim, told by an environment variable to be it. The victim writes
//! to a real directory and says on stderr what is durable; the parent kills it after a number of lines that differs
//! by round, then opens the store itself and compares. [`centre`] does the same to a whole centre under calls.

#[path = "kill/centre.rs"]
mod centre;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use strowger::ids::{Epoch, IdSource};
use strowger::store::disk::Directory;
use strowger::store::ledger::SegmentLedger;
use strowger::store::memory::MemoryView;
use strowger::store::sled::SledView;
use strowger::store::view::catch_up;
use strowger::store::writer::{Health, Refused, Report, Writer, WriterSettings};
use strowger::store::{Batch, Fold, Ledger, Row, RowChange, Seq, View};

const ROUNDS: u32 = 50;
/// Small, so that many kills fall into a roll.
const SEGMENT: u64 = 128 << 10;
const VICTIM_DIR: &str = "STROWGER_TEST_VICTIM_DIR";

#[test]
fn killed_fifty_times_under_load_it_opens_with_all_it_acknowledged_and_nothing_twice() {
    if let Some(dir) = std::env::var_os(VICTIM_DIR) {
        return write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut chance = IdSource::from_seed(50);
    let folded = MemoryView::new();
    let mut verified = Seq::ZERO;
    let mut acked_rounds = 0;
    for round in 0..ROUNDS {
        // Some die while opening, some at the first acknowledgement, most somewhere in the middle.
        let lines = match round % 5 {
            0 => 1,
            1 => 2,
            _ => 3 + chance.below(100),
        };
        let acked = kill_after(victim(dir.path()), lines);
        acked_rounds += u32::from(acked.is_some());
        verified = check_store(dir.path(), verified, acked.unwrap_or(verified), &folded, round);
    }
    assert!(acked_rounds >= ROUNDS / 2, "only {acked_rounds} rounds were killed after an acknowledgement");
    check_store(dir.path(), Seq::ZERO, verified, &MemoryView::new(), ROUNDS);
    assert!(ledger_of(dir.path(), 1).reader().segments().len() > 3, "the load rolled several segments");
}

fn victim(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_fifty_times_under_load_it_opens_with_all_it_acknowledged_and_nothing_twice"])
        .arg("--nocapture")
        .env(VICTIM_DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the victim's lines, kills it -9 at the given one, and returns the last record it called durable.
fn kill_after(mut victim: Child, lines: u32) -> Option<Seq> {
    let stderr = BufReader::new(victim.stderr.take().unwrap());
    let mut seen = 0;
    let mut acked = None;
    // After the kill, what is still in the pipe counts: it was said before dying.
    for line in stderr.lines() {
        let line = line.unwrap();
        // The last line may be cut short by the kill; only a whole one was said.
        acked = line.strip_prefix("durable ").and_then(|said| said.strip_suffix('.')).map(seq).or(acked);
        seen += u32::from(line == "opening" || line.starts_with("durable "));
        if seen == lines {
            victim.kill().unwrap();
        }
    }
    let status = victim.wait().unwrap();
    assert!(!status.success() && seen >= lines, "the victim ended by itself: {status}");
    acked
}

fn seq(text: &str) -> Seq {
    Seq(text.parse().unwrap())
}

/// Compares what is on disk beyond `verified` with what was said; `folded` is what the view must hold.
fn check_store(dir: &Path, verified: Seq, acked: Seq, folded: &MemoryView, round: u32) -> Seq {
    let ledger = ledger_of(dir, u128::from(round) + 1_000);
    let last = ledger.next_seq().prev();
    assert!(last >= acked, "round {round}: {acked} was acknowledged, {last} is the last on disk");
    let mut tail = ledger.read(verified.next()).unwrap();
    for wanted in (verified.0 + 1..=last.0).map(Seq) {
        let record = tail.next().unwrap().unwrap_or_else(|| panic!("round {round}: record {wanted} is missing"));
        assert_eq!(record.seq, wanted, "round {round}: a record is missing or doubled");
        let text = String::from_utf8(record.payload).unwrap();
        let [own, first, count] = numbers(&text);
        assert_eq!(own, wanted.0, "round {round}: {text}");
        let whole = (first..first + count).contains(&own) && first + count - 1 <= last.0;
        assert!(whole, "round {round}: half a batch: {text}");
    }
    assert_eq!(tail.next().unwrap(), None);

    let (view, _) = SledView::open(&dir.join("view")).unwrap();
    catch_up(&ledger, &view, &KeyFold, |_| {}).unwrap();
    catch_up(&ledger, folded, &KeyFold, |_| {}).unwrap();
    assert_eq!(rows_of(&view), folded.all(), "round {round}: the view is not the fold of the ledger");
    last
}

fn ledger_of(dir: &Path, boot: u128) -> SegmentLedger {
    let disk = Directory::lock(dir.join("ledger")).unwrap();
    SegmentLedger::open_on(Arc::new(disk), Epoch::from_u128(boot), SEGMENT).unwrap()
}

fn rows_of(view: &dyn View) -> Vec<Row> {
    view.range(b"k/", None, usize::MAX).unwrap()
}

/// `OWN FIRST COUNT padding`: a record that knows its own number and its batch.
fn numbers(text: &str) -> [u64; 3] {
    let mut words = text.split(' ').map(|word| word.parse().unwrap());
    std::array::from_fn(|_| words.next().unwrap())
}

/// Each record puts one of 997 rows and deletes another.
struct KeyFold;

impl Fold for KeyFold {
    fn version(&self) -> u32 {
        1
    }

    fn rows(&self, _: &dyn View, seq: Seq, payload: &[u8]) -> Vec<RowChange> {
        let key = |number: u64| format!("k/{:03}", number % 997).into_bytes();
        let put = RowChange::Put { key: key(seq.0), value: payload.to_vec() };
        vec![put, RowChange::Delete { key: key(seq.0.wrapping_mul(7)) }]
    }
}

fn batch(first: Seq) -> Vec<Vec<u8>> {
    let count = 1 + first.0 % 5;
    let padding = "x".repeat(usize::try_from(first.0 % 400).unwrap());
    (first.0..first.0 + count).map(|own| format!("{own} {first} {count} {padding}").into_bytes()).collect()
}

/// The victim: the whole store as the product opens it, kept busy.
fn write_until_killed(dir: &Path) {
    eprintln!("opening");
    let ledger = ledger_of(dir, u128::from(std::process::id()));
    let (view, _) = SledView::open(&dir.join("view")).unwrap();
    catch_up(&ledger, &view, &KeyFold, |_| {}).unwrap();
    let quick = Duration::from_millis(20);
    let settings = WriterSettings { queue_records: 200, checkpoint: quick, ..WriterSettings::default() };
    let report = |report| {
        if let Report::Durable { last } = report {
            eprintln!("durable {last}.");
        }
    };
    let writer = Writer::start(Box::new(ledger), Arc::new(view), Arc::new(KeyFold), settings, report).unwrap();
    loop {
        let first = writer.next_seq();
        match writer.submit(first, batch(first)) {
            Ok(()) => {}
            Err(Refused::Backlog) => std::thread::yield_now(),
            Err(refused) => panic!("{refused}"),
        }
    }
}

/// A file may not grow beyond a limit: the kernel's EFBIG stands for the full disk, on a real file system.
#[test]
fn on_a_full_disk_it_says_so_keeps_what_it_acknowledged_and_goes_on_when_there_is_room() {
    if let Some(dir) = std::env::var_os(VICTIM_DIR) {
        return write_until_full(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    drop(ledger_of(dir.path(), 1));
    // The signal that comes with the limit would end the victim before the write could answer.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact \
                  on_a_full_disk_it_says_so_keeps_what_it_acknowledged_and_goes_on_when_there_is_room --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(VICTIM_DIR, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("health Full") && said.contains("unwritten"), "{said}");
    let acked = said.lines().filter_map(|line| line.strip_prefix("durable ")).next_back().unwrap();

    let mut ledger = ledger_of(dir.path(), 3);
    let last = ledger.next_seq().prev();
    assert_eq!(format!("{last}."), acked, "what was refused is not on disk, what was acknowledged is");
    let first = ledger.next_seq();
    let records = batch(first);
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    ledger.append(&Batch { first, records: &records }).unwrap();
    drop(ledger);
    check_store(dir.path(), Seq::ZERO, first, &MemoryView::new(), 0);
}

fn write_until_full(dir: &Path) {
    let (tell, healths) = mpsc::channel();
    let report = move |report| match report {
        Report::Durable { last } => eprintln!("durable {last}."),
        Report::Health(health) => {
            eprintln!("health {health:?}");
            tell.send(health).unwrap_or(());
        }
        _ => {}
    };
    // What waits fits the test's small segments as one group: a larger one could never be written.
    let settings = WriterSettings { queue_records: 100, ..WriterSettings::default() };
    let view = MemoryView::new();
    view.reset(KeyFold.version()).unwrap();
    let ledger = Box::new(ledger_of(dir, 2));
    let writer = Writer::start(ledger, Arc::new(view), Arc::new(KeyFold), settings, report).unwrap();
    while writer.health() != Health::Full {
        let first = writer.next_seq();
        match writer.submit(first, batch(first)) {
            Ok(()) | Err(Refused::Backlog) => std::thread::yield_now(),
            Err(refused) => panic!("{refused}"),
        }
    }
    assert!(healths.iter().any(|health| health == Health::Full));
    match writer.close(Duration::from_secs(30)) {
        Ok(()) => eprintln!("all written"),
        Err(unwritten) => eprintln!("unwritten {}", unwritten.records),
    }
}

//! The ledger under every crash that the disk model knows, against the plainest ledger there is.
//!
//! A scenario is a list of batches. It is run once without harm to count its write points, then once for every point
//! with the power cut there, and what a later boot finds is compared with what was acknowledged.

use std::sync::Arc;

use proptest::prelude::*;

use super::disk::Disk;
use super::ledger::SegmentLedger;
use super::memory::{MemoryLedger, MemoryView};
use super::memory_disk::MemoryDisk;
use super::view::catch_up;
use super::view::tests::WordFold;
use super::{Batch, Ledger, LedgerError, Room, Seq, View};
use crate::ids::Epoch;

const SEGMENT: u64 = 2_048;
const AMPLE: u64 = 1 << 20;

fn open(disk: &MemoryDisk, boot: u128) -> Result<SegmentLedger, LedgerError> {
    SegmentLedger::open_on(Arc::new(disk.clone()), Epoch::from_u128(boot), SEGMENT)
}

fn append(ledger: &mut dyn Ledger, texts: &[String]) -> Result<Seq, LedgerError> {
    let records: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    ledger.append(&Batch { first: ledger.next_seq(), records: &records })
}

fn contents(ledger: &dyn Ledger) -> Vec<(Seq, String)> {
    let mut tail = ledger.read(Seq::FIRST).unwrap();
    std::iter::from_fn(|| tail.next().expect("every durable record can be read"))
        .map(|record| (record.seq, String::from_utf8(record.payload).unwrap()))
        .collect()
}

/// A dozen batches of one to four records, long enough to roll the segment several times.
fn scenario() -> Vec<Vec<String>> {
    (0..24)
        .map(|batch| (0..=batch % 4).map(|at| format!("set k{batch}.{at} {}", "v".repeat(batch * 14))).collect())
        .collect()
}

/// Runs the scenario until the disk fails it; returns the acknowledged batches.
fn run(disk: &MemoryDisk, batches: &[Vec<String>]) -> usize {
    let Ok(mut ledger) = open(disk, 1) else { return 0 };
    batches.iter().take_while(|batch| append(&mut ledger, batch).is_ok()).count()
}

fn flat(batches: &[Vec<String>]) -> Vec<(Seq, String)> {
    (1..).map(Seq).zip(batches.iter().flatten().cloned()).collect()
}

/// What must hold after any crash: it opens; everything acknowledged is there once; of the batch under way, all or
/// nothing; and the ledger goes on from there.
fn check_restart(disk: &MemoryDisk, batches: &[Vec<String>], acked: usize, what: &str) {
    let mut ledger = open(disk, 2).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = contents(&ledger);
    let without = flat(&batches[..acked]);
    let with = flat(&batches[..batches.len().min(acked + 1)]);
    assert!(found == without || found == with, "{what}: acknowledged {acked} batches, found {found:?}");
    assert_eq!(ledger.next_seq(), Seq(found.len() as u64 + 1), "{what}");

    let last = append(&mut ledger, &["set after crash".into()]).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut wanted = found;
    wanted.push((last, "set after crash".into()));
    drop(ledger);
    let again = open(disk, 3).unwrap_or_else(|error| panic!("{what}, second start: {error}"));
    assert_eq!(contents(&again), wanted, "{what}");
    check_view(&again, what);
}

/// I3: the view built at once and the one built from nothing agree.
fn check_view(ledger: &dyn Ledger, what: &str) {
    let view = MemoryView::new();
    let caught = catch_up(ledger, &view, &WordFold(1), |_| {}).unwrap();
    assert_eq!(caught.position, ledger.next_seq().prev(), "{what}");
    let model = MemoryView::new();
    model.reset(1).unwrap();
    for (seq, text) in contents(ledger) {
        use super::Fold;
        model.apply(seq, &WordFold(1).rows(&model, seq, text.as_bytes())).unwrap();
    }
    assert_eq!(view.all(), model.all(), "{what}");
}

#[test]
fn the_power_may_be_cut_at_every_write_point() {
    let batches = scenario();
    let whole = MemoryDisk::new(AMPLE);
    assert_eq!(run(&whole, &batches), batches.len());
    let points = whole.points();
    assert!(points > 60, "{points} write points: the scenario rolls several segments");
    for point in 1..=points {
        let disk = MemoryDisk::new(AMPLE);
        disk.cut_power_at(point);
        let acked = run(&disk, &batches);
        for seed in 0..16 {
            let after = disk.after_power_cut(point * 100 + seed);
            check_restart(&after, &batches, acked, &format!("cut at {point}, seed {seed}"));
        }
        check_restart(&disk.after_kill(), &batches, acked, &format!("killed at {point}"));
    }
}

#[test]
fn the_power_may_be_cut_again_while_the_torn_tail_is_repaired() {
    let batches = scenario();
    for point in 3..60 {
        let disk = MemoryDisk::new(AMPLE);
        disk.cut_power_at(point);
        let acked = run(&disk, &batches);
        let torn = disk.after_power_cut(point);
        let repair = torn.after_kill();
        drop(open(&repair, 2).unwrap());
        for second in 1..=repair.points() {
            let twice = torn.after_kill();
            twice.cut_power_at(second);
            let _ = open(&twice, 2).map(drop);
            check_restart(
                &twice.after_power_cut(second),
                &batches,
                acked,
                &format!("cut at {point}, then at {second}"),
            );
        }
    }
}

#[test]
fn a_failed_sync_loses_nothing_that_was_acknowledged_and_doubles_nothing() {
    for failing in 0..6 {
        let disk = MemoryDisk::new(AMPLE);
        let mut ledger = open(&disk, 1).unwrap();
        let batches = scenario();
        for (at, batch) in batches.iter().enumerate() {
            if at == failing * 2 {
                disk.fail_next_sync();
                assert!(matches!(append(&mut ledger, batch), Err(LedgerError::Io { .. })));
            }
            append(&mut ledger, batch).unwrap();
        }
        assert_eq!(contents(&ledger), flat(&batches));
        drop(ledger);
        check_restart(&disk.after_power_cut(failing as u64), &batches, batches.len(), &format!("failing {failing}"));
    }
}

#[test]
fn a_full_disk_is_told_before_the_last_room_is_used_and_hurts_nothing() {
    let disk = MemoryDisk::new(SEGMENT);
    let mut ledger = open(&disk, 1).unwrap();
    let batches = scenario();
    let mut acked = 0;
    let mut warned_at = None;
    for batch in &batches {
        match append(&mut ledger, batch) {
            Ok(_) => acked += 1,
            Err(LedgerError::Full { .. }) => break,
            Err(error) => panic!("{error}"),
        }
        if ledger.room() == Room::Reserve {
            warned_at.get_or_insert(acked);
        }
    }
    assert!(warned_at.is_some_and(|at| at < acked), "warned at {warned_at:?} of {acked}");
    disk.set_capacity(AMPLE);
    assert_eq!(ledger.room(), Room::Plenty);
    for batch in &batches[acked..] {
        append(&mut ledger, batch).unwrap();
    }
    drop(ledger);
    check_restart(&disk.after_power_cut(1), &batches, batches.len(), "full and freed");
}

#[test]
fn a_rotten_byte_among_durable_records_is_told_not_skipped() {
    let disk = MemoryDisk::new(AMPLE);
    let mut ledger = open(&disk, 1).unwrap();
    for batch in scenario() {
        append(&mut ledger, &batch).unwrap();
    }
    // The last frame of all could be torn as well as rotten; the one before it could not.
    for text in ["short", "shorter"] {
        append(&mut ledger, &[text.into()]).unwrap();
    }
    let segments = ledger.reader().segments();
    assert!(segments.len() > 2);
    drop(ledger);
    let (sealed, active) =
        (super::segment::file_name(segments[0]), super::segment::file_name(segments[segments.len() - 1]));

    let rotten = disk.after_kill();
    rotten.rot(&active, 64 + 50);
    assert!(matches!(open(&rotten, 2), Err(LedgerError::Damaged { name, .. }) if name == active));

    let rotten = disk.after_kill();
    rotten.rot(&sealed, 64 + 50);
    let ledger = open(&rotten, 2).unwrap();
    let mut tail = ledger.read(Seq::FIRST).unwrap();
    assert!(matches!(tail.next(), Err(LedgerError::Damaged { name, .. }) if name == sealed));

    let rotten = disk.after_kill();
    rotten.rot(&active, 3);
    assert!(matches!(open(&rotten, 2), Err(LedgerError::Foreign { .. })));
}

#[test]
fn a_reader_follows_the_writer_across_segments_and_sees_only_what_is_durable() {
    let disk = MemoryDisk::new(AMPLE);
    let mut ledger = open(&disk, 1).unwrap();
    let mut tail = ledger.read(Seq(3)).unwrap();
    assert_eq!(tail.next().unwrap(), None);
    let mut seen = Vec::new();
    for batch in scenario() {
        disk.fail_next_sync();
        append(&mut ledger, &batch).unwrap_err();
        assert_eq!(tail.next().unwrap(), None, "not durable, not seen");
        append(&mut ledger, &batch).unwrap();
        seen.extend(std::iter::from_fn(|| tail.next().unwrap()).map(|record| record.seq));
    }
    let last = ledger.next_seq().prev();
    assert_eq!(seen, (3..=last.0).map(Seq).collect::<Vec<_>>());
}

#[test]
fn numbers_may_leave_a_hole_and_never_go_back() {
    let disk = MemoryDisk::new(AMPLE);
    let mut ledger = open(&disk, 1).unwrap();
    ledger.append(&Batch { first: Seq(1), records: &[b"a", b"b"] }).unwrap();
    assert!(matches!(
        ledger.append(&Batch { first: Seq(2), records: &[b"c"] }),
        Err(LedgerError::Behind { next: Seq(3), asked: Seq(2) })
    ));
    assert_eq!(ledger.append(&Batch { first: Seq(10), records: &[b"d"] }).unwrap(), Seq(10));
    drop(ledger);
    let ledger = open(&disk, 2).unwrap();
    assert_eq!(contents(&ledger).iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [1, 2, 10]);
    let mut tail = ledger.read(Seq(5)).unwrap();
    assert_eq!(tail.next().unwrap().map(|record| (record.seq, record.epoch)), Some((Seq(10), Epoch::from_u128(1))));
}

#[test]
fn a_file_that_is_no_segment_is_named_not_guessed_at() {
    let disk = MemoryDisk::new(AMPLE);
    disk.create("notes.txt", 10).unwrap();
    drop(open(&disk, 1).unwrap());
    disk.create("mine.seg", 10).unwrap();
    assert!(matches!(open(&disk, 1), Err(LedgerError::Foreign { name, .. }) if name == "mine.seg"));
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<String>),
    FailSync,
    Kill,
    PowerCut(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => prop::collection::vec("[a-z ]{0,300}", 1..6).prop_map(Act::Append),
        1 => Just(Act::FailSync),
        1 => Just(Act::Kill),
        1 => any::<u64>().prop_map(Act::PowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// I1 and I2 against the plain ledger, over any sequence of appends, failures and restarts.
    #[test]
    fn any_history_of_crashes_reads_like_the_plain_ledger(acts in prop::collection::vec(act(), 1..40)) {
        let mut disk = MemoryDisk::new(AMPLE);
        let mut ledger = open(&disk, 1).unwrap();
        let mut model = MemoryLedger::new(Epoch::from_u128(1));
        for (boot, act) in (2..).zip(acts) {
            match act {
                Act::Append(texts) => {
                    if append(&mut ledger, &texts).is_err() {
                        append(&mut ledger, &texts).unwrap();
                    }
                    append(&mut model, &texts).unwrap();
                }
                Act::FailSync => disk.fail_next_sync(),
                Act::Kill => {
                    disk = disk.after_kill();
                    ledger = open(&disk, boot).unwrap();
                }
                Act::PowerCut(seed) => {
                    disk = disk.after_power_cut(seed);
                    ledger = open(&disk, boot).unwrap();
                }
            }
            prop_assert_eq!(contents(&ledger), contents(&model));
            prop_assert_eq!(ledger.next_seq(), model.next_seq());
        }
    }
}

#[test]
fn a_segment_is_preallocated_and_takes_the_largest_batch() {
    use crate::limits::store::{LEDGER_BATCH_BYTES, LEDGER_RECORD_BYTES, LEDGER_SEGMENT_BYTES};
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = SegmentLedger::open(folder.path(), Epoch::from_u128(1)).unwrap();
    let record = vec![b'x'; LEDGER_RECORD_BYTES];
    let records = vec![record.as_slice(); LEDGER_BATCH_BYTES / LEDGER_RECORD_BYTES - 1];
    ledger.append(&Batch { first: Seq::FIRST, records: &records }).unwrap();
    let lengths = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let segments: Vec<u64> = lengths
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".seg"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(segments, [LEDGER_SEGMENT_BYTES]);
}

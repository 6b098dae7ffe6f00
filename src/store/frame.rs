//! The ledger's bytes: segment headers and frames. Pure; nothing here reads or writes a file.
//!
//! All numbers little-endian. A segment is a header of 64 bytes, then frames, then zeros up to its preallocated end.
//!
//! ```text
//! header   "STRWLDG1"  first_seq u64  epoch u128  zeros  crc32 u32 (of the 60 bytes before it)
//! frame    crc32 u32 (of all that follows)  body_len u32  first_seq u64  epoch u128  count u32  zero u32
//!          count × { len u32, payload }    zeros to a multiple of 8
//! ```
//!
//! One frame is one group of records: its checksum makes the group all or nothing. A frame is written only after the
//! one before it is on disk, so at most one frame of a segment can be torn, and it is the last.

use crate::ids::Epoch;
use crate::limits::store as limits;

use super::{Batch, LedgerError, Seq};

pub const HEADER_BYTES: usize = 64;
pub const FRAME_HEAD_BYTES: usize = 40;
/// The largest frame: a full batch with its framing.
pub const FRAME_BYTES: usize = limits::LEDGER_BATCH_BYTES;

const MAGIC: &[u8; 8] = b"STRWLDG1";
const ALIGN: usize = 8;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The number of the first record this segment may hold.
    pub first_seq: Seq,
    /// The boot that made the segment.
    pub epoch: Epoch,
}

impl SegmentHeader {
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.first_seq.0.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.epoch.as_u128().to_le_bytes());
        let crc = crc32(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `Err` says what about the bytes is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or("it is shorter than a header")?;
        if &bytes[..8] != MAGIC {
            return Err("it does not begin with STRWLDG1");
        }
        if u32_at(bytes, 60) != Some(crc32(&bytes[..60])) {
            return Err("its header's checksum is wrong");
        }
        let first_seq = u64_at(bytes, 8).map(Seq).ok_or("it is shorter than a header")?;
        let epoch = u128_at(bytes, 16).map(Epoch::from_u128).ok_or("it is shorter than a header")?;
        Ok(Self { first_seq, epoch })
    }
}

/// A frame that passed its checksum, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub first_seq: Seq,
    pub epoch: Epoch,
    pub count: u32,
    /// Bytes to the next frame, padding included.
    pub stride: usize,
    records: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The number of the last record.
    pub fn last_seq(&self) -> Seq {
        self.first_seq.plus(u64::from(self.count) - 1)
    }

    /// The payloads in order.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.records;
        core::iter::from_fn(move || {
            let (payload, tail) = split_record(rest)?;
            rest = tail;
            Some(payload)
        })
    }
}

/// What the head of a frame claims, before its checksum is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of head and body without padding.
    pub bytes: usize,
    pub first_seq: Seq,
    pub count: u32,
}

impl FrameHead {
    /// `None` where the bytes cannot be a frame's head: the end of what was written, or a torn write.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let body = usize::try_from(u32_at(bytes, 4)?).ok()?;
        let count = u32_at(bytes, 32)?;
        let first_seq = u64_at(bytes, 8).map(Seq)?;
        let total = FRAME_HEAD_BYTES.checked_add(body)?;
        let plausible = count > 0
            && total <= FRAME_BYTES
            && u64::from(count) * 4 <= body as u64
            && u32_at(bytes, 36) == Some(0)
            && first_seq > Seq::ZERO
            && first_seq.0.checked_add(u64::from(count)).is_some();
        plausible.then_some(Self { bytes: total, first_seq, count })
    }

    /// Bytes to the next frame.
    pub fn stride(&self) -> usize {
        self.bytes.next_multiple_of(ALIGN)
    }
}

/// Reads the frame that begins at the start of `bytes`; `None` where none does, or its checksum fails.
pub fn parse_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let head = FrameHead::parse(bytes)?;
    let whole = bytes.get(..head.bytes)?;
    if u32_at(whole, 0)? != crc32(whole.get(4..)?) {
        return None;
    }
    let records = whole.get(FRAME_HEAD_BYTES..)?;
    let frame = Frame {
        first_seq: head.first_seq,
        epoch: Epoch::from_u128(u128_at(whole, 16)?),
        count: head.count,
        stride: head.stride(),
        records,
    };
    (frame.payloads().count() == head.count as usize).then_some(frame)
}

/// The frame of a batch, padded. Refuses an empty batch and one over the limits.
pub fn write_frame(batch: &Batch<'_>, epoch: Epoch) -> Result<Vec<u8>, LedgerError> {
    let bytes = frame_bytes(batch.records);
    let count = batch.records.len();
    let refused = LedgerError::BatchSize { bytes, records: count };
    let fits = (1..=limits::LEDGER_BATCH_RECORDS).contains(&count)
        && bytes <= FRAME_BYTES
        && batch.records.iter().all(|record| record.len() <= limits::LEDGER_RECORD_BYTES);
    let (true, Ok(body), Ok(count)) = (fits, u32::try_from(bytes - FRAME_HEAD_BYTES), u32::try_from(count)) else {
        return Err(refused);
    };
    let mut out = Vec::with_capacity(bytes.next_multiple_of(ALIGN));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&body.to_le_bytes());
    out.extend_from_slice(&batch.first.0.to_le_bytes());
    out.extend_from_slice(&epoch.as_u128().to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for record in batch.records {
        let len = u32::try_from(record.len()).expect("checked against LEDGER_RECORD_BYTES above");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(record);
    }
    let crc = crc32(&out[4..]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out.resize(bytes.next_multiple_of(ALIGN), 0);
    Ok(out)
}

/// Bytes of the frame that these records make, without padding.
pub fn frame_bytes(records: &[&[u8]]) -> usize {
    FRAME_HEAD_BYTES + records.iter().map(|record| 4 + record.len()).sum::<usize>()
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let rest = bytes.get(4..)?;
    (len <= rest.len()).then(|| rest.split_at(len))
}

fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u128_at(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_le_bytes(bytes.get(at..at + 16)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: Epoch = Epoch::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

    fn frame(first: u64, records: &[&[u8]]) -> Vec<u8> {
        write_frame(&Batch { first: Seq(first), records }, EPOCH).unwrap()
    }

    /// The format of version 1, byte for byte: a ledger written today opens for ever.
    #[test]
    fn the_bytes_of_a_segment_stay_as_they_were_released() {
        let header = SegmentHeader { first_seq: Seq(7), epoch: EPOCH };
        let mut bytes = header.write().to_vec();
        bytes.extend(frame(7, &[br#"{"v":1,"t":"call.ended"}"#, b"", b"x"]));
        let golden: Vec<u8> = include_str!("golden/segment.v1.hex")
            .split_whitespace()
            .map(|pair| u8::from_str_radix(pair, 16).expect("the golden file is hexadecimal"))
            .collect();
        assert_eq!(bytes, golden, "{}", bytes.iter().map(|b| format!("{b:02x} ")).collect::<String>());
        assert_eq!(SegmentHeader::parse(&golden), Ok(header));
        let read = parse_frame(&golden[HEADER_BYTES..]).unwrap();
        assert_eq!((read.first_seq, read.last_seq(), read.epoch), (Seq(7), Seq(9), EPOCH));
    }

    #[test]
    fn zeros_are_the_end_not_a_frame() {
        assert!(parse_frame(&[0; 4096]).is_none());
        assert!(parse_frame(&[]).is_none());
        assert!(SegmentHeader::parse(&[0; 64]).is_err());
    }

    #[test]
    fn a_batch_over_the_limits_is_refused() {
        let refused = |records: &[&[u8]]| {
            matches!(write_frame(&Batch { first: Seq(1), records }, EPOCH), Err(LedgerError::BatchSize { .. }))
        };
        let large = vec![b'x'; limits::LEDGER_RECORD_BYTES + 1];
        assert!(refused(&[]));
        assert!(refused(&[&large]));
        assert!(refused(&vec![&b"x"[..]; limits::LEDGER_BATCH_RECORDS + 1]));
        assert!(
            refused(&vec![&large[1..]; limits::LEDGER_BATCH_BYTES / limits::LEDGER_RECORD_BYTES]),
            "with their framing"
        );
        assert!(!refused(&[&large[1..]]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first in 1u64..1 << 40, records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
            let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            let bytes = frame(first, &slices);
            let read = parse_frame(&bytes).unwrap();
            prop_assert_eq!(read.payloads().collect::<Vec<_>>(), slices);
            prop_assert_eq!((read.first_seq, read.epoch, read.stride), (Seq(first), EPOCH, bytes.len()));
        }

        /// Any single changed byte outside the padding unmakes the whole frame.
        #[test]
        fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), change in 1u8..=255) {
            let mut bytes = frame(3, &[b"first", b"second!"]);
            let at = at.index(frame_bytes(&[b"first", b"second!"]));
            bytes[at] ^= change;
            prop_assert!(parse_frame(&bytes).is_none());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(frame) = parse_frame(&bytes) {
                prop_assert_eq!(frame.payloads().count(), frame.count as usize);
            }
            let _ = SegmentHeader::parse(&bytes);
        }
    }
}

//! One segment file: finding its end, repairing a torn tail, reading frames out of it.

use super::disk::DiskFile;
use super::frame::{self, FRAME_HEAD_BYTES, Frame, FrameHead, HEADER_BYTES, SegmentHeader};
use super::{LedgerError, Seq};

/// `00000000000000000042.seg`: the number of the first record it may hold, so that names sort by time.
pub fn file_name(first_seq: Seq) -> String {
    format!("{:020}{SUFFIX}", first_seq.0)
}

/// The first number in a segment's name; `None` where the name is no segment's.
pub fn parse_file_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok().map(Seq)).flatten()
}

pub fn read_header(name: &str, file: &dyn DiskFile) -> Result<SegmentHeader, LedgerError> {
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(|source| io_error(name, source))?;
    let foreign = |reason| LedgerError::Foreign { name: name.to_owned(), reason };
    let header = SegmentHeader::parse(bytes.get(..read).unwrap_or_default()).map_err(foreign)?;
    if parse_file_name(name) != Some(header.first_seq) {
        return Err(foreign("its name and its header disagree"));
    }
    Ok(header)
}

/// Where a segment's valid frames end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The byte after the last valid frame.
    pub offset: u64,
    /// The number that follows its last record.
    pub next: Seq,
}

/// Follows the frames from the header to the first that is not whole.
pub fn find_end(name: &str, file: &dyn DiskFile, header: SegmentHeader) -> Result<End, LedgerError> {
    find_end_before(name, file, header, Seq(u64::MAX))
}

/// The same, stopping before the frame that begins at `bound` or later.
pub fn find_end_before(name: &str, file: &dyn DiskFile, header: SegmentHeader, bound: Seq) -> Result<End, LedgerError> {
    let mut cursor = Cursor::default();
    let mut end = End { offset: HEADER_BYTES as u64, next: header.first_seq };
    while let Some(frame) = cursor.frame(name, file, end.offset, end.next)? {
        if frame.first_seq >= bound {
            break;
        }
        end = End { offset: end.offset + frame.stride as u64, next: frame.last_seq().next() };
    }
    Ok(end)
}

/// Zeroes what a torn write left after `end`, so that nothing old can ever be read after something new.
///
/// A valid frame beyond `end` cannot come from a torn write (each frame is written after the one before it is on
/// disk): it means that the medium lost bytes which were once durable, and that is refused, not repaired.
pub fn repair_tail(name: &str, file: &mut dyn DiskFile, end: End) -> Result<bool, LedgerError> {
    let length = file.bytes().map_err(|source| io_error(name, source))?;
    let left = usize::try_from(length.saturating_sub(end.offset)).unwrap_or(usize::MAX);
    let mut rest = vec![0; left];
    let read = file.read_at(&mut rest, end.offset).map_err(|source| io_error(name, source))?;
    rest.truncate(read);
    let Some(last) = rest.iter().rposition(|&byte| byte != 0) else { return Ok(false) };
    if let Some(at) = find_frame(&rest[..=last], end.next) {
        log_damage(name, end.offset, at);
        return Err(LedgerError::Damaged { name: name.to_owned(), offset: end.offset });
    }
    rest[..=last].fill(0);
    file.write_at(&rest[..=last], end.offset).map_err(|source| io_error(name, source))?;
    file.sync().map_err(|source| io_error(name, source))?;
    Ok(true)
}

/// The offset of a whole frame numbered after `next`, at any multiple of the alignment but zero.
fn find_frame(bytes: &[u8], next: Seq) -> Option<usize> {
    (8..bytes.len()).step_by(8).find(|&at| {
        let rest = &bytes[at..];
        FrameHead::parse(rest).is_some_and(|head| head.first_seq > next) && frame::parse_frame(rest).is_some()
    })
}

fn log_damage(name: &str, end: u64, at: usize) {
    tracing::error!(segment = name, end, valid_again_after = at, "ledger segment is damaged");
}

/// Reads frames through a buffer, a chunk at a time.
#[derive(Debug, Default)]
pub struct Cursor {
    buffer: Vec<u8>,
    /// Where in the file `buffer` begins.
    start: u64,
}

impl Cursor {
    /// The frame at `offset` whose first number is `least` or later; `None` where no such frame is.
    ///
    /// The buffer may be older than the file's tail, so what looks like the end is read afresh before it is believed.
    pub fn frame(
        &mut self,
        name: &str,
        file: &dyn DiskFile,
        offset: u64,
        least: Seq,
    ) -> Result<Option<Frame<'_>>, LedgerError> {
        if self.buffered(offset, least).is_none() {
            self.fill(name, file, offset, CHUNK_BYTES)?;
            let wanted = FrameHead::parse(&self.buffer).map_or(0, |head| head.bytes);
            if wanted > self.buffer.len() {
                self.fill(name, file, offset, wanted)?;
            }
        }
        Ok(self.buffered(offset, least))
    }

    fn buffered(&self, offset: u64, least: Seq) -> Option<Frame<'_>> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        frame::parse_frame(self.buffer.get(at..)?).filter(|frame| frame.first_seq >= least)
    }

    fn fill(&mut self, name: &str, file: &dyn DiskFile, offset: u64, bytes: usize) -> Result<(), LedgerError> {
        self.buffer.resize(bytes.max(FRAME_HEAD_BYTES), 0);
        self.start = offset;
        let read = file.read_at(&mut self.buffer, offset).map_err(|source| io_error(name, source))?;
        self.buffer.truncate(read);
        Ok(())
    }
}

pub fn io_error(name: &str, source: std::io::Error) -> LedgerError {
    LedgerError::Io { name: name.to_owned(), source }
}

const SUFFIX: &str = ".seg";
const CHUNK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_numbers_and_read_back() {
        assert!(file_name(Seq(9)) < file_name(Seq(10)));
        assert_eq!(parse_file_name(&file_name(Seq(u64::MAX))), Some(Seq(u64::MAX)));
        for wrong in ["spare", "1.seg", "0000000000000000000x.seg", "00000000000000000001.seg.zst"] {
            assert_eq!(parse_file_name(wrong), None, "{wrong}");
        }
    }
}

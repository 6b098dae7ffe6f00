//! WAV files, and the one file that knows `hound`: prompts in, recordings out, and the repair of a cut recording.
//!
//! Works on readers and writers; the shells open the files.

use std::io::{Read, Seek, SeekFrom, Write};

use super::SAMPLE_RATE_HZ;
use super::clip::Clip;

/// Why a WAV file was not taken, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    #[error("is no WAV file: {reason}. Save it as WAV, PCM, 8000 Hz, mono, 16 bits.")]
    NotWav { reason: String },
    #[error(
        "is {rate_hz} Hz, {channels} channel(s), {bits} bits{float}; a prompt is 8000 Hz, mono, 16 bits. \
         Convert it: sox IN.wav -r 8000 -c 1 -b 16 OUT.wav"
    )]
    WrongShape { rate_hz: u32, channels: u16, bits: u16, float: &'static str },
    #[error("holds no sound. Record it again.")]
    Empty,
    #[error("plays {seconds} s; the longest prompt is {} s. Cut it.", LONGEST_CLIP_S)]
    TooLong { seconds: u32 },
    #[error("ends inside its header: nothing of it can be saved.")]
    NoHeader,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The longest prompt or music we load, in seconds: 30 minutes, 58 MB in memory.
pub const LONGEST_CLIP_S: u32 = 1_800;

/// Reads a prompt: PCM, 8 kHz, mono, 16 bits. The error's text continues a sentence that begins with the file's name.
pub fn read_clip(name: &str, reader: impl Read) -> Result<Clip, WavError> {
    let mut wav = hound::WavReader::new(reader).map_err(not_wav)?;
    let spec = wav.spec();
    let float = matches!(spec.sample_format, hound::SampleFormat::Float);
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (SAMPLE_RATE_HZ, 1, 16) || float {
        return Err(WavError::WrongShape {
            rate_hz: spec.sample_rate,
            channels: spec.channels,
            bits: spec.bits_per_sample,
            float: if float { " of floating point" } else { "" },
        });
    }
    let seconds = wav.len() / SAMPLE_RATE_HZ;
    if seconds > LONGEST_CLIP_S {
        return Err(WavError::TooLong { seconds });
    }
    let samples = wav.samples::<i16>().collect::<Result<Vec<_>, _>>().map_err(not_wav)?;
    if samples.is_empty() {
        return Err(WavError::Empty);
    }
    Ok(Clip::from_samples(name, samples))
}

/// Reads any 16-bit recording of ours: interleaved samples and the number of channels.
pub fn read_recording(reader: impl Read) -> Result<(Vec<i16>, u16), WavError> {
    let mut wav = hound::WavReader::new(reader).map_err(not_wav)?;
    let channels = wav.spec().channels;
    let samples = wav.samples::<i16>().collect::<Result<Vec<_>, _>>().map_err(not_wav)?;
    Ok((samples, channels))
}

/// Writes a recording so that at any moment the file on disk is a whole WAV up to the last [`flush`](Self::flush).
pub struct RecordingWriter<W: Write + Seek> {
    wav: hound::WavWriter<W>,
    channels: u16,
}

impl<W: Write + Seek> RecordingWriter<W> {
    /// Begins a file of 8 kHz, 16 bits, with 1 or 2 channels; its header is written at once.
    pub fn new(writer: W, channels: u16) -> Result<Self, WavError> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        Ok(Self { wav: hound::WavWriter::new(writer, spec).map_err(io)?, channels })
    }

    /// Appends interleaved samples; what does not fill the last frame is left out.
    pub fn write(&mut self, interleaved: &[i16]) -> Result<(), WavError> {
        let whole = interleaved.len() - interleaved.len() % usize::from(self.channels.max(1));
        // hound's batch writer takes a 32-bit count; batches are a second at most.
        let count = u32::try_from(whole).map_err(|_| WavError::NotWav { reason: "a batch too large".into() })?;
        let mut batch = self.wav.get_i16_writer(count);
        for &sample in &interleaved[..whole] {
            batch.write_sample(sample);
        }
        batch.flush().map_err(io)
    }

    /// Brings the header up to date and everything out of our buffers.
    pub fn flush(&mut self) -> Result<(), WavError> {
        self.wav.flush().map_err(io)
    }

    /// Milliseconds written so far.
    pub fn duration_ms(&self) -> u64 {
        u64::from(self.wav.duration()) * 1_000 / u64::from(SAMPLE_RATE_HZ)
    }

    /// Completes the file.
    pub fn finish(self) -> Result<(), WavError> {
        self.wav.finalize().map_err(io)
    }
}

/// What a repair found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The header was wrong and is right now.
    pub changed: bool,
    /// What the file holds, in milliseconds.
    pub duration_ms: u64,
    /// Where the file should end; bytes past it are half a frame. The caller cuts them off.
    pub file_len: u64,
}

/// Makes the header of a recording say what the file holds, after a kill or a power cut.
///
/// For files of [`RecordingWriter`] only: whatever follows the header is taken as sound.
pub fn repair(file: &mut (impl Read + Write + Seek)) -> Result<Repair, WavError> {
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let header = RecordingHeader::read(file, len)?;
    let data_len = {
        let whole = (len - header.data_at) / header.frame_bytes * header.frame_bytes;
        // WAV counts in 32 bits, the RIFF size included; `limits::media::RECORDING_BYTES` stays far below.
        whole.min(u64::from(u32::MAX) - header.data_at)
    };
    let file_len = header.data_at + data_len;
    let (riff_size, data_size) = (to_u32(file_len - 8), to_u32(data_len));
    let changed = (header.riff_size, header.data_size) != (riff_size, data_size);
    if changed {
        file.seek(SeekFrom::Start(4))?;
        file.write_all(&riff_size.to_le_bytes())?;
        file.seek(SeekFrom::Start(header.data_at - 4))?;
        file.write_all(&data_size.to_le_bytes())?;
        file.flush()?;
    }
    let duration_ms = data_len / header.frame_bytes * 1_000 / u64::from(SAMPLE_RATE_HZ);
    Ok(Repair { changed, duration_ms, file_len })
}

struct RecordingHeader {
    riff_size: u32,
    data_size: u32,
    /// Offset of the first byte of sound.
    data_at: u64,
    /// Bytes of one sample of all channels, at least 1.
    frame_bytes: u64,
}

impl RecordingHeader {
    /// Walks the chunks up to `data` (RIFF: an id, a 32-bit little-endian size, and that many bytes, padded to even).
    fn read(file: &mut (impl Read + Seek), len: u64) -> Result<Self, WavError> {
        let riff: [u8; 12] = read_array(file)?;
        if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
            return Err(WavError::NotWav { reason: "it does not begin with RIFF … WAVE".into() });
        }
        let (mut at, mut frame_bytes) = (12_u64, None);
        while at + 8 <= len {
            let chunk: [u8; 8] = read_array(file)?;
            let size = u32_at(&chunk, 4);
            at += 8;
            match &chunk[..4] {
                b"data" => {
                    let frame_bytes = frame_bytes.ok_or(WavError::NoHeader)?;
                    return Ok(Self { riff_size: u32_at(&riff, 4), data_size: size, data_at: at, frame_bytes });
                }
                b"fmt " => {
                    let format: [u8; 16] = read_array(file)?;
                    frame_bytes = Some(u64::from(u16::from_le_bytes([format[12], format[13]])).max(1));
                }
                _ => {}
            }
            at += u64::from(size) + u64::from(size % 2);
            file.seek(SeekFrom::Start(at))?;
        }
        Err(WavError::NoHeader)
    }
}

fn read_array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], WavError> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => WavError::NoHeader,
        _ => WavError::Io(error),
    })?;
    Ok(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn to_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn not_wav(error: hound::Error) -> WavError {
    match error {
        // hound says "not enough bytes" as an I/O error of its own making: only the system's are the disk's.
        hound::Error::IoError(error) if error.raw_os_error().is_some() => WavError::Io(error),
        other => WavError::NotWav { reason: other.to_string() },
    }
}

fn io(error: hound::Error) -> WavError {
    match error {
        hound::Error::IoError(error) => WavError::Io(error),
        other => WavError::Io(std::io::Error::other(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    /// A stereo recording of `frames` frames, left counting up and right counting down, not finished: flushed at `flushed`.
    fn recording(frames: i16, flushed: i16) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = RecordingWriter::new(&mut bytes, 2).unwrap();
        for n in 0..frames {
            writer.write(&[n, -n]).unwrap();
            if n + 1 == flushed {
                writer.flush().unwrap();
            }
        }
        core::mem::forget(writer);
        bytes.into_inner()
    }

    #[test]
    fn a_prompt_is_read() {
        let clip = read_clip("en/hello", Cursor::new(wav(8_000, 1, &[1, -2, 3]))).unwrap();
        assert_eq!(clip.samples(), [1, -2, 3]);
    }

    #[test]
    fn what_is_no_prompt_is_refused_with_its_mend() {
        let refusal = |bytes: Vec<u8>| read_clip("x", Cursor::new(bytes)).unwrap_err().to_string();
        let stereo = refusal(wav(44_100, 2, &[0; 10]));
        assert!(stereo.contains("44100 Hz, 2 channel(s), 16 bits") && stereo.contains("sox IN.wav"), "{stereo}");
        assert!(refusal(b"ID3 this is an mp3".to_vec()).starts_with("is no WAV file"));
        assert!(refusal(Vec::new()).starts_with("is no WAV file"));
        assert_eq!(refusal(wav(8_000, 1, &[])), "holds no sound. Record it again.");
        let mut cut = wav(8_000, 1, &[7; 100]);
        cut.truncate(100);
        assert!(refusal(cut).starts_with("is no WAV file"));
    }

    #[test]
    fn a_flushed_recording_is_whole_without_its_end() {
        let bytes = recording(800, 800);
        let (samples, channels) = read_recording(Cursor::new(&bytes)).unwrap();
        assert_eq!((samples.len(), channels), (1_600, 2));
        assert_eq!(samples[1_598..], [799, -799]);
    }

    #[test]
    fn a_cut_recording_is_repaired_to_its_last_whole_frame() {
        let mut file = Cursor::new(recording(800, 100));
        file.get_mut().truncate(44 + 700 * 4 + 3);
        let repair_done = repair(&mut file).unwrap();
        assert_eq!(repair_done, Repair { changed: true, duration_ms: 87, file_len: 44 + 700 * 4 });
        file.get_mut().truncate(repair_done.file_len as usize);
        let (samples, _) = read_recording(Cursor::new(file.get_ref())).unwrap();
        assert_eq!(samples.len(), 1_400);
        assert_eq!(samples[1_398..], [699, -699]);
        assert!(!repair(&mut file).unwrap().changed, "a second repair has nothing to do");
    }

    #[test]
    fn a_file_cut_inside_its_header_cannot_be_saved() {
        for len in 0..44 {
            let mut bytes = recording(10, 10);
            bytes.truncate(len);
            assert!(matches!(repair(&mut Cursor::new(bytes)), Err(WavError::NoHeader)), "{len} bytes");
        }
        let foreign = repair(&mut Cursor::new(b"not a RIFF file, but long enough to read".to_vec()));
        assert!(matches!(foreign, Err(WavError::NotWav { .. })));
    }

    #[test]
    fn half_a_frame_is_never_written() {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = RecordingWriter::new(&mut bytes, 2).unwrap();
        writer.write(&[1, 2, 3]).unwrap();
        writer.finish().unwrap();
        assert_eq!(read_recording(Cursor::new(bytes.into_inner())).unwrap().0, [1, 2]);
    }

    proptest! {
        #[test]
        fn any_cut_after_the_header_is_readable_after_repair(frames in 1_i16..2_000, cut in 0_usize..8_000) {
            let mut file = Cursor::new(recording(frames, frames / 2));
            let len = file.get_ref().len().min(44 + cut);
            file.get_mut().truncate(len);
            let done = repair(&mut file).unwrap();
            file.get_mut().truncate(done.file_len as usize);
            let (samples, channels) = read_recording(Cursor::new(file.get_ref())).unwrap();
            prop_assert_eq!(channels, 2);
            prop_assert_eq!(samples.len(), (len - 44) / 4 * 2);
            prop_assert!(samples.chunks(2).enumerate().all(|(n, s)| s == [n as i16, -(n as i16)]));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_clip("x", Cursor::new(&bytes));
            let _ = repair(&mut Cursor::new(bytes));
        }
    }
}

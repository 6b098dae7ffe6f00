//! What a crash left of recordings: each file is made whole again, and its call says how long it is.

use std::path::Path;

use crate::event::Fact;
use crate::ids::{CallId, RecordingId};
use crate::runtime::recording_thread::repair_file;

/// Repairs the files of recordings that were not sealed. The facts complete their calls' records: sealed with what was
/// saved, or failed where there is nothing to hear.
pub fn recordings(unsealed: &[(CallId, RecordingId, String)], folder: &Path) -> Vec<(CallId, Fact)> {
    let mended = unsealed.iter().map(|(call, recording, file)| {
        let recording = *recording;
        let fact = match repair_file(&folder.join(file)) {
            Ok(done) => {
                tracing::warn!(%call, %recording, ms = done.duration_ms, "a recording that was cut short is readable again");
                let seconds = core::time::Duration::from_millis(done.duration_ms).as_secs_f64();
                Fact::RecordingSealed { recording, file: file.clone(), seconds, bytes: done.file_len }
            }
            Err(error) => {
                tracing::error!(%call, %recording, %error, "a recording that was cut short is lost");
                Fact::RecordingFailed { recording, reason: format!("lost in a crash: {error}") }
            }
        };
        (*call, fact)
    });
    mended.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::wav::{RecordingWriter, read_recording};

    #[test]
    fn a_file_cut_short_is_whole_again_and_one_that_is_gone_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026/a.wav");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut whole = RecordingWriter::new(std::fs::File::create(&path).unwrap(), 2).unwrap();
        whole.write(&[7, -7].repeat(800)).unwrap();
        whole.flush().unwrap();
        // Killed: more sound than the header says, and half a frame.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([1, 0, 2, 0, 3]);
        std::fs::write(&path, bytes).unwrap();
        let (call, kept, gone) = (CallId::from_u128(1), RecordingId::from_u128(2), RecordingId::from_u128(3));
        let unsealed = [(call, kept, "2026/a.wav".to_owned()), (call, gone, "2026/b.wav".to_owned())];
        let facts = recordings(&unsealed, folder.path());
        let sealed =
            Fact::RecordingSealed { recording: kept, file: "2026/a.wav".into(), seconds: 0.1, bytes: 44 + 4 * 801 };
        assert_eq!(facts[0], (call, sealed));
        assert!(
            matches!(&facts[1].1, Fact::RecordingFailed { recording, reason } if *recording == gone && reason.contains("lost"))
        );
        let (samples, channels) = read_recording(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!((samples.len(), channels), (2 * 801, 2));
    }
}

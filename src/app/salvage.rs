//! What a crash left of recordings and messages: each file is made whole again, and its call says how long it is.

use std::path::Path;

use crate::call::MessageBegun;
use crate::event::{Address, Fact};
use crate::ids::{CallId, RecordingId};
use crate::runtime::recording_thread::repair_file;
use crate::switch::SHORTEST_MESSAGE;

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

/// The same for messages that were being left: each reaches its box, or is dropped where nothing was said yet.
pub fn messages(begun: &[(CallId, Address, MessageBegun)], folder: &Path) -> Vec<(CallId, Fact)> {
    let facts = begun.iter().map(|(call, from, message)| (*call, salvaged(*call, from, message, folder)));
    facts.collect()
}

fn salvaged(call: CallId, from: &Address, message: &MessageBegun, folder: &Path) -> Fact {
    let MessageBegun { voicemail, recording, r#box, file } = message.clone();
    let path = folder.join(&file);
    match repair_file(&path) {
        Ok(done) if done.duration_ms < SHORTEST_MESSAGE.as_millis().try_into().unwrap_or(u64::MAX) => {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%call, %error, file, "a message with nothing in it cannot be removed");
            }
            Fact::VoicemailDropped { voicemail }
        }
        Ok(done) => {
            tracing::warn!(%call, %voicemail, ms = done.duration_ms, "a message that was cut short is in its box");
            let seconds = core::time::Duration::from_millis(done.duration_ms).as_secs_f64();
            Fact::VoicemailLeft { voicemail, r#box, from: from.clone(), file, seconds }
        }
        Err(error) => {
            tracing::error!(%call, %voicemail, %error, "a message that was cut short is lost");
            Fact::RecordingFailed { recording, reason: format!("lost in a crash: {error}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::wav::{RecordingWriter, read_recording};
    use crate::ids::VoicemailId;

    fn written(path: &Path, frames: usize) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = RecordingWriter::new(std::fs::File::create(path).unwrap(), 1).unwrap();
        file.write(&vec![7; frames]).unwrap();
        file.flush().unwrap();
    }

    #[test]
    fn a_message_cut_short_reaches_its_box_and_one_hardly_begun_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let from = Address { number: "+8613800138000".into(), ..Address::default() };
        let begun = |n: u128, file: &str| MessageBegun {
            voicemail: VoicemailId::from_u128(n),
            recording: RecordingId::from_u128(n),
            r#box: "sales".into(),
            file: file.into(),
        };
        let (spoken, short, gone) = ("voicemail/a.wav", "voicemail/b.wav", "voicemail/c.wav");
        written(&folder.path().join(spoken), 16_000);
        written(&folder.path().join(short), 800);
        let call = CallId::from_u128(1);
        let all = [begun(1, spoken), begun(2, short), begun(3, gone)].map(|message| (call, from.clone(), message));
        let facts: Vec<Fact> = messages(&all, folder.path()).into_iter().map(|(_, fact)| fact).collect();
        let voicemail = VoicemailId::from_u128(1);
        let left = Fact::VoicemailLeft { voicemail, r#box: "sales".into(), from, file: spoken.into(), seconds: 2.0 };
        assert_eq!(facts[..2], [left, Fact::VoicemailDropped { voicemail: VoicemailId::from_u128(2) }]);
        assert!(matches!(&facts[2], Fact::RecordingFailed { reason, .. } if reason.contains("lost")));
        assert!(!folder.path().join(short).exists());
    }

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

//! Recordings and voicemail: what is kept of what was said.
//!
//! A conversation with an agent is one stereo file, caller left, agents right, from the first agent's answer to the
//! end, through hold and transfer. A failed recording never ends a call, unless its queue says
//! that recording is required.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use crate::audio::clip::Clip;
use crate::audio::tone;
use crate::call::leg::Purpose;
use crate::cause::{Cause, Party, What};
use crate::event::{Address, Fact};
use crate::ids::{CallId, LegId, QueueName, RecordingId, VoicemailId};
use crate::ivr::IvrInput;
use crate::media::{Layout, MediaCommand, RecordingPlan, Repeat, Sound, Track};
use crate::plan::queue::Record;

use super::Switch;
use super::call::{Call, Stage};
use super::effect::Effect;
use super::ports::EngineId;
use super::timer::Timer;

/// A message shorter than this is a hang-up after the beep: it is not kept.
pub const SHORTEST_MESSAGE: Duration = Duration::from_millis(800);
/// The silence that ends a message where no dialplan says otherwise.
pub(super) const MESSAGE_SILENCE: Duration = Duration::from_secs(10);

/// A file being written, which may outlive its call by the time the disk needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Writing {
    pub call: CallId,
    pub file: String,
    pub kind: Kind,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Conversation {
        required: bool,
    },
    /// `spoken`: not known to hold nothing but silence.
    Message {
        voicemail: VoicemailId,
        mailbox: Arc<str>,
        from: Address,
        spoken: bool,
    },
}

impl Switch {
    /// Records from an agent's answer on, as the queue says and the caller agreed.
    pub(super) fn record_talk(&mut self, call: &mut Call, queue: &QueueName, agent: LegId) {
        let rule = call.edition.plan.queues.get(queue).map_or(Record::Always, |queue| queue.record);
        if rule == Record::Never || call.consent == Some(false) {
            return;
        }
        let port = |leg: LegId| call.leg(leg).map(|leg| leg.media.port);
        let (Some(left), Some(right)) = (port(call.caller), port(agent)) else { return };
        if let Some(recording) = call.recording {
            let track = MediaCommand::SetTrack { recording, port: right, track: Some(Track::Right) };
            return self.media(call, track);
        }
        let recording: RecordingId = self.ids.next(self.now);
        let file = self.file_name("", &recording.to_string());
        let plan = RecordingPlan {
            room: call.room,
            recording,
            path: self.path_of(&file),
            layout: Layout::Stereo,
            left: vec![left],
            right: vec![right],
            silence: None,
        };
        call.recording = Some(recording);
        let kind = Kind::Conversation { required: rule == Record::Required };
        self.writing.insert(recording, Writing { call: call.id, file: file.clone(), kind });
        self.media(call, MediaCommand::StartRecording(plan));
        self.emit(Some(call.id), Fact::RecordingStarted { recording, file });
        let longest = call.edition.plan.recording.length_max_s.span();
        self.timers.set(self.now + longest, Timer::Recording(call.id));
    }

    /// Somebody joined the conversation later: a colleague after a transfer.
    pub(super) fn record_also(&mut self, call: &mut Call, leg: LegId) {
        let port = call.leg(leg).map(|leg| leg.media.port);
        if let Some((recording, port)) = call.recording.zip(port) {
            self.media(call, MediaCommand::SetTrack { recording, port, track: Some(Track::Right) });
        }
    }

    pub(super) fn stop_recording(&mut self, call: &mut Call) {
        if let Some(recording) = call.recording.take() {
            self.media(call, MediaCommand::StopRecording { recording });
        }
    }

    /// A recording or a message is as long as it may be.
    pub(super) fn on_recording_limit(&mut self, id: CallId) {
        self.with_call(id, |switch, call| match call.stage {
            Stage::Message => switch.end_message(call),
            _ => {
                if let Some(recording) = call.recording {
                    let after_s = call.edition.plan.recording.length_max_s.0;
                    switch.emit(Some(call.id), Fact::RecordingCut { recording, after_s });
                }
                switch.stop_recording(call);
            }
        });
    }

    pub(super) fn on_recording_sealed(
        &mut self,
        engine: EngineId,
        recording: RecordingId,
        duration_ms: u64,
        bytes: u64,
    ) {
        let Some(writing) = self.writing.remove(&recording) else { return };
        let seconds = Duration::from_millis(duration_ms).as_secs_f64();
        let file = writing.file;
        match writing.kind {
            Kind::Conversation { .. } => {
                self.emit(Some(writing.call), Fact::RecordingSealed { recording, file, seconds, bytes });
            }
            Kind::Message { voicemail, mailbox, from, spoken } => {
                if spoken && Duration::from_millis(duration_ms) >= SHORTEST_MESSAGE {
                    let fact = Fact::VoicemailLeft { voicemail, r#box: mailbox.to_string(), from, file, seconds };
                    self.emit(Some(writing.call), fact);
                } else {
                    let command = MediaCommand::RemoveRecording { path: self.path_of(&file) };
                    self.effects.push_back(Effect::Media { engine, command });
                    self.emit(Some(writing.call), Fact::VoicemailDropped { voicemail });
                }
                self.after_message(writing.call, IvrInput::MessageKept { seconds });
            }
        }
    }

    pub(super) fn on_recording_failed(&mut self, recording: RecordingId, reason: String) {
        let Some(writing) = self.writing.remove(&recording) else { return };
        self.counts.recordings_failed += 1;
        self.emit(Some(writing.call), Fact::RecordingFailed { recording, reason });
        match writing.kind {
            Kind::Conversation { required } => {
                self.with_call(writing.call, |switch, call| {
                    call.recording = None;
                    if required {
                        switch.clear_call(call, Cause::new(What::Failed, Party::Switch));
                    }
                });
            }
            Kind::Message { .. } => self.after_message(writing.call, IvrInput::MessageFailed),
        }
    }

    // -- voicemail ---------------------------------------------------------------------------------------------------

    /// A message begins: a beep, then the recording. Ends by `#`, by silence, by its length, or with the call.
    pub(super) fn take_message(
        &mut self,
        call: &mut Call,
        mailbox: Arc<str>,
        beep: bool,
        longest: Option<Duration>,
        silence: Duration,
    ) {
        let caller = call.caller;
        self.let_hear(call, caller, &[]);
        call.stage = Stage::Message;
        let longest = longest.unwrap_or(call.edition.plan.recording.voicemail_max_s.span());
        call.message = Some(super::call::Message { mailbox, longest, silence, recording: None });
        let sound = if beep {
            let samples = tone::sines(&[1_000], Duration::from_millis(400), tone::KEY_AMPLITUDE);
            Sound::Clip(Arc::new(Clip::from_samples("beep", samples)))
        } else {
            Sound::Silence(Duration::from_millis(20))
        };
        self.play(call, caller, vec![sound], Repeat::Once, Purpose::Beep);
    }

    pub(super) fn begin_message(&mut self, call: &mut Call) {
        let recording: RecordingId = self.ids.next(self.now);
        let voicemail: VoicemailId = self.ids.next(self.now);
        let file = self.file_name("voicemail/", &voicemail.to_string());
        let Some(left) = call.caller_leg().map(|leg| leg.media.port) else { return };
        let Some(message) = &mut call.message else { return };
        message.recording = Some(recording);
        let (mailbox, longest, silence) = (message.mailbox.clone(), message.longest, Some(message.silence));
        // A crash finds the message by this.
        let r#box = mailbox.to_string();
        self.emit(Some(call.id), Fact::VoicemailStarted { voicemail, recording, r#box, file: file.clone() });
        let kind = Kind::Message { voicemail, mailbox, from: call.from.clone(), spoken: true };
        self.writing.insert(recording, Writing { call: call.id, file: file.clone(), kind });
        let (room, path) = (call.room, self.path_of(&file));
        let (layout, left, right) = (Layout::Mono, vec![left], Vec::new());
        let plan = RecordingPlan { room, recording, path, layout, left, right, silence };
        self.media(call, MediaCommand::StartRecording(plan));
        self.timers.set(self.now + longest, Timer::Recording(call.id));
    }

    pub(super) fn on_message_key(&mut self, call: &mut Call, key: char) {
        if key == '#' {
            self.end_message(call);
        }
    }

    /// The caller has said all there was to say, or (not `spoken`) nothing at all.
    pub(super) fn on_recording_silent(&mut self, recording: RecordingId, spoken: bool) {
        let Some(writing) = self.writing.get_mut(&recording) else { return };
        let Kind::Message { spoken: keep, .. } = &mut writing.kind else { return };
        *keep = spoken;
        let call = writing.call;
        self.with_call(call, |switch, call| switch.end_message(call));
    }

    /// The message is complete; what follows waits until it is on disk.
    fn end_message(&mut self, call: &mut Call) {
        self.timers.clear(Timer::Recording(call.id));
        self.finish_message(call);
    }

    /// The recording of a message stops, because it is complete or because the caller is gone.
    pub(super) fn finish_message(&mut self, call: &mut Call) {
        if let Some(recording) = call.message.as_mut().and_then(|message| message.recording.take()) {
            self.media(call, MediaCommand::StopRecording { recording });
        }
    }

    fn after_message(&mut self, id: CallId, input: IvrInput) {
        self.with_call(id, |switch, call| {
            if call.stage != Stage::Message {
                return;
            }
            call.message = None;
            if call.ivr.is_some() {
                call.stage = Stage::Ivr;
                switch.tell_walk(call, input);
            } else {
                switch.clear_call(call, Cause::new(What::Completed, Party::Plan));
            }
        });
    }

    // -- files -------------------------------------------------------------------------------------------------------

    /// `2026/11/22/01K….wav` under the recordings folder, by the day in UTC.
    fn file_name(&self, folder: &str, id: &str) -> String {
        let day = self.now.rfc3339().get(..10).unwrap_or_default().replace('-', "/");
        format!("{folder}{day}/{id}.wav")
    }

    fn path_of(&self, file: &str) -> PathBuf {
        PathBuf::from(&*self.edition.plan.recording.path).join(file)
    }
}

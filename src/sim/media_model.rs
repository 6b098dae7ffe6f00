//! The media plane of a simulated centre: answers every command as an engine would, without a sample of audio.
//!
//! A play ends after its clips' length, a recording is sealed once it is stopped, a leg that nobody feeds any more
//! times out. The far ends are told of by [`MediaModel::handle_fed`] (who sends, and when it stops) and
//! [`MediaModel::handle_key`]; what they hear comes back by [`MediaModel::poll_heard`].

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::caller::Hearing;
use super::chance::{Spread, happens};
use crate::ids::{IdSource, RecordingId};
use crate::media::{
    Audience, HearRow, KeySource, MediaCommand, MediaEvent, OpenPort, Play, PlayEnd, PlayId, PortChange, PortId,
    PortStats, RecordingPlan, Repeat, RoomId, Sound, Source,
};
use crate::time::Time;

/// See the module.
pub struct MediaModel {
    dice: IdSource,
    misfortunes_permille: u32,
    ports: BTreeMap<PortId, Port>,
    at: BTreeMap<SocketAddr, PortId>,
    /// Where a living far end sends to.
    fed: BTreeSet<SocketAddr>,
    plays: BTreeMap<PlayId, Playing>,
    recordings: BTreeMap<RecordingId, Recording>,
    due: BTreeMap<(Time, u64), Due>,
    next_due: u64,
    heard: VecDeque<(SocketAddr, Hearing)>,
    wrong: Vec<String>,
}

struct Port {
    room: RoomId,
    local: SocketAddr,
    opened: Time,
    /// Since when the port is watched or unfed, whichever is later.
    silent_since: Time,
    timeout: Option<Duration>,
    receives: bool,
}

struct Playing {
    room: RoomId,
    to: Option<PortId>,
    repeat: Repeat,
}

struct Recording {
    room: RoomId,
    since: Time,
}

enum Due {
    Say(MediaEvent),
    PlayEnds(PlayId),
    Silence(PortId),
    /// Whoever leaves a message has stopped speaking.
    Hush {
        recording: RecordingId,
        spoken: bool,
    },
}

/// What an engine takes to answer.
const ANSWER: Spread = Spread::millis(1, 6);
/// How long somebody speaks who leaves a message.
const SPEECH: Spread = Spread::secs(0, 30);
/// What a disk takes to seal a file.
const SEAL: Spread = Spread::millis(5, 400);

impl MediaModel {
    pub fn new(seed: u64, misfortunes_permille: u32) -> Self {
        Self {
            dice: IdSource::from_seed(seed),
            misfortunes_permille,
            ports: BTreeMap::new(),
            at: BTreeMap::new(),
            fed: BTreeSet::new(),
            plays: BTreeMap::new(),
            recordings: BTreeMap::new(),
            due: BTreeMap::new(),
            next_due: 0,
            heard: VecDeque::new(),
            wrong: Vec::new(),
        }
    }

    /// Takes what the switch says.
    pub fn handle_command(&mut self, now: Time, command: MediaCommand) {
        match command {
            MediaCommand::Open(open) => self.open(now, &open),
            MediaCommand::Update { port, change } => self.update(now, port, &change),
            MediaCommand::Move { port, room } => {
                if let Some(port) = self.ports.get_mut(&port) {
                    port.room = room;
                }
            }
            MediaCommand::Hear { rows, .. } => self.hear(&rows),
            MediaCommand::Play(play) => self.play(now, &play),
            MediaCommand::StopPlay { play, .. } => self.stop_play(now, play),
            MediaCommand::StartRecording(plan) => self.record(now, &plan),
            MediaCommand::StopRecording { recording } => self.seal(now, recording),
            MediaCommand::Close { port } => self.close(now, port),
            MediaCommand::CloseRoom { room } => self.close_room(now, room),
            MediaCommand::SendKeys(_)
            | MediaCommand::SetTrack { .. }
            | MediaCommand::MaskRecording { .. }
            | MediaCommand::RemoveRecording { .. } => {}
        }
    }

    /// A far end sends to this RTP address of ours from now on, or has stopped.
    pub fn handle_fed(&mut self, now: Time, to: SocketAddr, fed: bool) {
        let changed = if fed { self.fed.insert(to) } else { self.fed.remove(&to) };
        if changed && !fed {
            self.watch_at(now, to);
        }
    }

    /// A far end pressed a key, and released it after `span`.
    pub fn handle_key(&mut self, now: Time, to: SocketAddr, key: char, span: Duration) {
        let Some(port) = self.at.get(&to).copied() else { return };
        let duration_ms = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let event = MediaEvent::Key { port, key, duration_ms, source: KeySource::TelephoneEvent };
        self.schedule(now + span, Due::Say(event));
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next thing to tell the switch at `now`.
    pub fn poll_event(&mut self, now: Time) -> Option<MediaEvent> {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Due::Say(event) => return Some(event),
                Due::PlayEnds(play) => {
                    if let Some(event) = self.end_play(now, play) {
                        return Some(event);
                    }
                }
                Due::Hush { recording, spoken } => {
                    if self.recordings.contains_key(&recording) {
                        return Some(MediaEvent::RecordingSilent { recording, spoken });
                    }
                }
                Due::Silence(port) => {
                    if let Some(event) = self.on_silence(now, port) {
                        return Some(event);
                    }
                }
            }
        }
        None
    }

    /// What reached the far end that our RTP address serves.
    pub fn poll_heard(&mut self) -> Option<(SocketAddr, Hearing)> {
        self.heard.pop_front()
    }

    /// Commands that no switch in its right mind gives.
    pub fn poll_wrong(&mut self) -> Option<String> {
        self.wrong.pop()
    }

    /// Nothing is open, playing or being written; what is left, in words.
    pub fn left(&self) -> Option<String> {
        let (ports, plays, recordings) = (self.ports.len(), self.plays.len(), self.recordings.len());
        (ports + plays + recordings > 0)
            .then(|| format!("the engine has {ports} ports, {plays} plays and {recordings} recordings"))
    }

    fn open(&mut self, now: Time, open: &OpenPort) {
        if let Some(other) = self.at.insert(open.local, open.port) {
            self.wrong.push(format!("{} was opened for {:?} while {other:?} has it", open.local, open.port));
        }
        let port = Port {
            room: open.room,
            local: open.local,
            opened: now,
            silent_since: now,
            timeout: open.rtp_timeout,
            receives: open.direction.receives(),
        };
        self.ports.insert(open.port, port);
        if happens(&mut self.dice, self.misfortunes_permille / 4) {
            let reason = "its sockets would not bind".to_owned();
            self.say(now, MediaEvent::PortFailed { port: open.port, reason });
            self.close(now + Duration::from_millis(10), open.port);
        }
    }

    fn update(&mut self, now: Time, port: PortId, change: &PortChange) {
        let Some(found) = self.ports.get_mut(&port) else { return };
        found.timeout = change.rtp_timeout.unwrap_or(found.timeout);
        found.receives = change.direction.map_or(found.receives, |direction| direction.receives());
        let local = found.local;
        self.watch_at(now, local);
    }

    fn watch_at(&mut self, now: Time, local: SocketAddr) {
        let Some(id) = self.at.get(&local).copied() else { return };
        let Some(port) = self.ports.get_mut(&id) else { return };
        port.silent_since = now;
        if let Some(timeout) = port.timeout.filter(|_| port.receives) {
            self.schedule(now + timeout, Due::Silence(id));
        }
    }

    fn on_silence(&mut self, now: Time, id: PortId) -> Option<MediaEvent> {
        let port = self.ports.get(&id)?;
        let silent = now.since(port.silent_since);
        let over = port.timeout.is_some_and(|timeout| silent >= timeout);
        let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
        (over && port.receives && !self.fed.contains(&port.local))
            .then_some(MediaEvent::RtpTimeout { port: id, silent_ms })
    }

    fn hear(&mut self, rows: &[HearRow]) {
        for row in rows {
            let person = row.hears.iter().any(|source| matches!(source, Source::Port(_)));
            if let Some(port) = self.ports.get(&row.port).filter(|_| person) {
                self.heard.push_back((port.local, Hearing::Person));
            }
        }
    }

    fn play(&mut self, now: Time, play: &Play) {
        let to = match play.to {
            Audience::Port(port) => Some(port),
            Audience::Room | Audience::Rows => None,
        };
        if to.is_some_and(|port| !self.ports.contains_key(&port)) {
            return self.say(now, MediaEvent::PlayDone { play: play.play, end: PlayEnd::Refused });
        }
        let playing = Playing { room: play.room, to, repeat: play.repeat };
        if self.plays.insert(play.play, playing).is_some() {
            self.wrong.push(format!("{:?} was used twice", play.play));
        }
        if play.repeat == Repeat::Once {
            let length = play.sounds.iter().map(length).sum::<Duration>();
            self.schedule(now + length.max(Duration::from_millis(1)), Due::PlayEnds(play.play));
        }
    }

    fn end_play(&mut self, _now: Time, play: PlayId) -> Option<MediaEvent> {
        let playing = self.plays.remove(&play)?;
        debug_assert!(playing.repeat == Repeat::Once, "only what is played once ends by itself");
        if let Some(port) = playing.to.and_then(|port| self.ports.get(&port)) {
            self.heard.push_back((port.local, Hearing::PromptEnded));
        }
        Some(MediaEvent::PlayDone { play, end: PlayEnd::Completed })
    }

    fn stop_play(&mut self, now: Time, play: PlayId) {
        if self.plays.remove(&play).is_some() {
            self.say(now, MediaEvent::PlayDone { play, end: PlayEnd::Stopped });
        }
    }

    fn record(&mut self, now: Time, plan: &RecordingPlan) {
        let recording = Recording { room: plan.room, since: now };
        if self.recordings.insert(plan.recording, recording).is_some() {
            self.wrong.push(format!("recording {} was started twice", plan.recording));
        }
        if let Some(silence) = plan.silence {
            let speaks = SPEECH.draw(&mut self.dice);
            let (recording, spoken) = (plan.recording, !speaks.is_zero());
            self.schedule(now + speaks + silence, Due::Hush { recording, spoken });
        }
        if happens(&mut self.dice, self.misfortunes_permille) {
            let after = Spread::secs(0, 20).draw(&mut self.dice);
            let reason = "the disk said no".to_owned();
            let event = MediaEvent::RecordingFailed { recording: plan.recording, duration_ms: 0, reason };
            self.recordings.remove(&plan.recording);
            self.schedule(now + after + Duration::from_millis(1), Due::Say(event));
        }
    }

    fn seal(&mut self, now: Time, id: RecordingId) {
        let Some(recording) = self.recordings.remove(&id) else { return };
        let duration_ms = u64::try_from(now.since(recording.since).as_millis()).unwrap_or(u64::MAX);
        let event = MediaEvent::RecordingSealed { recording: id, duration_ms, bytes: duration_ms * 32 };
        let after = SEAL.draw(&mut self.dice);
        self.schedule(now + after, Due::Say(event));
    }

    fn close(&mut self, now: Time, id: PortId) {
        let Some(port) = self.ports.remove(&id) else { return };
        self.at.remove(&port.local);
        let plays: Vec<PlayId> =
            self.plays.iter().filter(|(_, playing)| playing.to == Some(id)).map(|(play, _)| *play).collect();
        plays.into_iter().for_each(|play| self.stop_play(now, play));
        let packets = u64::try_from(now.since(port.opened).as_millis() / 20).unwrap_or(u64::MAX);
        let stats = PortStats { packets_in: packets, packets_out: packets, ..PortStats::default() };
        // A late engine: the switch has given the figures up by then, and must not stumble over them.
        let late = happens(&mut self.dice, self.misfortunes_permille);
        let after = if late { Duration::from_secs(2) } else { ANSWER.draw(&mut self.dice) };
        self.schedule(now + after, Due::Say(MediaEvent::Closed { port: id, stats }));
    }

    fn close_room(&mut self, now: Time, room: RoomId) {
        let ports: Vec<PortId> = self.ports.iter().filter(|(_, port)| port.room == room).map(|(id, _)| *id).collect();
        ports.into_iter().for_each(|port| self.close(now, port));
        let plays: Vec<PlayId> = self.plays.iter().filter(|(_, play)| play.room == room).map(|(id, _)| *id).collect();
        plays.into_iter().for_each(|play| self.stop_play(now, play));
        let open: Vec<RecordingId> =
            self.recordings.iter().filter(|(_, recording)| recording.room == room).map(|(id, _)| *id).collect();
        open.into_iter().for_each(|recording| self.seal(now, recording));
    }

    fn say(&mut self, now: Time, event: MediaEvent) {
        let after = ANSWER.draw(&mut self.dice);
        self.schedule(now + after, Due::Say(event));
    }

    fn schedule(&mut self, at: Time, due: Due) {
        self.next_due += 1;
        self.due.insert((at, self.next_due), due);
    }
}

/// How long a sound plays.
fn length(sound: &Sound) -> Duration {
    match sound {
        Sound::Clip(clip) => clip.duration(),
        Sound::Tone(tone, plan) => plan.cadence(*tone).period(),
        Sound::Silence(span) => *span,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audio::clip::Clip;
    use crate::codec::Codec;
    use crate::media::{Direction, Formats, Remote};

    const ROOM: RoomId = RoomId(1);
    const PORT: PortId = PortId(1);

    fn local() -> SocketAddr {
        "127.0.1.1:20000".parse().unwrap()
    }

    fn opened(timeout: Option<Duration>) -> MediaModel {
        let mut model = MediaModel::new(1, 0);
        let remote = Remote { expected: None, signalling: None, rtcp_mux: false };
        let open = OpenPort {
            port: PORT,
            room: ROOM,
            local: local(),
            remote,
            formats: Formats::only(Codec::Pcma, Some(101)),
            direction: Direction::SendReceive,
            rtp_timeout: None,
            in_band_keys: false,
        };
        model.handle_command(Time::EPOCH, MediaCommand::Open(open));
        let change = PortChange { rtp_timeout: Some(timeout), ..PortChange::default() };
        model.handle_command(Time::EPOCH, MediaCommand::Update { port: PORT, change });
        model
    }

    fn play(seconds: u64) -> MediaCommand {
        let clip = Arc::new(Clip::silence("c", Duration::from_secs(seconds)));
        let sounds = vec![Sound::Clip(clip.clone()), Sound::Clip(clip)];
        MediaCommand::Play(Play { room: ROOM, play: PlayId(1), to: Audience::Port(PORT), sounds, repeat: Repeat::Once })
    }

    fn events(model: &mut MediaModel, until: Time) -> Vec<(u64, MediaEvent)> {
        let mut said = Vec::new();
        while let Some(at) = model.poll_timeout().filter(|at| *at <= until) {
            while let Some(event) = model.poll_event(at) {
                said.push((at.as_millis(), event));
            }
        }
        said
    }

    #[test]
    fn a_play_ends_after_its_clips_and_is_heard() {
        let mut model = opened(None);
        model.handle_command(Time::EPOCH, play(2));
        let done = MediaEvent::PlayDone { play: PlayId(1), end: PlayEnd::Completed };
        assert_eq!(events(&mut model, Time::from_secs(10)), [(4_000, done)]);
        assert_eq!(model.poll_heard(), Some((local(), Hearing::PromptEnded)));
    }

    #[test]
    fn a_leg_whose_far_end_stops_sending_times_out_once() {
        let mut model = opened(Some(Duration::from_secs(30)));
        model.handle_fed(Time::from_secs(1), local(), true);
        model.handle_fed(Time::from_secs(100), local(), false);
        let said = events(&mut model, Time::from_secs(1_000));
        assert_eq!(said, [(130_000, MediaEvent::RtpTimeout { port: PORT, silent_ms: 30_000 })]);
    }

    #[test]
    fn closing_a_room_ends_everything_in_it() {
        let mut model = opened(None);
        model.handle_command(Time::EPOCH, play(60));
        assert!(model.left().is_some());
        model.handle_command(Time::from_secs(1), MediaCommand::CloseRoom { room: ROOM });
        let said: Vec<MediaEvent> =
            events(&mut model, Time::from_secs(10)).into_iter().map(|(_, event)| event).collect();
        assert!(said.contains(&MediaEvent::PlayDone { play: PlayId(1), end: PlayEnd::Stopped }));
        assert!(said.iter().any(|event| matches!(event, MediaEvent::Closed { .. })));
        assert_eq!(model.left(), None);
    }

    #[test]
    fn an_address_that_is_leased_twice_is_found() {
        let mut model = opened(None);
        let again = opened(None);
        assert_eq!(model.poll_wrong(), None);
        drop(again);
        let remote = Remote { expected: None, signalling: None, rtcp_mux: false };
        let open = OpenPort {
            port: PortId(2),
            room: ROOM,
            local: local(),
            remote,
            formats: Formats::only(Codec::Pcma, None),
            direction: Direction::SendReceive,
            rtp_timeout: None,
            in_band_keys: false,
        };
        model.handle_command(Time::EPOCH, MediaCommand::Open(open));
        assert!(model.poll_wrong().is_some());
    }
}

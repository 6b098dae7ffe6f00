//! The room of one call: legs and players in slots, and a matrix that says who hears whom.
//!
//! Bit j of `hear[i]` is set where slot i hears slot j. From the matrix follows what each leg is fed with, and that alone
//! decides the path of its packets:
//!
//! | leg hears | feed | cost |
//! |---|---|---|
//! | one leg | its packets, with our header, in the packet's own event | a copy |
//! | one player | its payload, encoded beforehand, on the phase | a copy |
//! | several | decoded, mixed, encoded, on the phase | the slow path |
//! | nobody | silence on the phase, so that the far end and its NAT know we live | a copy |
//!
//! A room whose legs only forward to each other takes no part in the phases at all.

use std::collections::VecDeque;

use core::net::SocketAddr;

use super::command::{Audience, HearRow, PlayId, PortId, RecordingPlan, RoomId, Source, Track};
use super::engine::Output;
use super::event::{KeySource, MediaEvent, PlayEnd};
use super::leg::{Leg, Received};
use super::outbox::Outbox;
use super::player::Player;
use super::recorder::Recorder;
use crate::audio::mix::Mix;
use crate::audio::{FRAME_LEN, FRAME_MS, Frame, SILENCE};
use crate::ids::RecordingId;
use crate::limits::media::SLOTS_PER_ROOM;
use crate::time::Time;

/// Where a room puts what it has to send and to say.
pub(super) struct Sink<'a> {
    pub outbox: &'a mut Outbox,
    pub outputs: &'a mut VecDeque<Output>,
}

impl Sink<'_> {
    pub fn say(&mut self, event: MediaEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// One call's ports, plays and recordings.
#[derive(Debug)]
pub(super) struct Room {
    pub id: RoomId,
    slots: Vec<Slot>,
    /// Row i: whom slot i hears by command; what plays add comes on top.
    hear: Vec<u64>,
    feeds: Vec<Feed>,
    recorders: Vec<Recorder>,
    /// Slots of legs that are decoded.
    decoded: u64,
    /// Slots of players that are mixed.
    mixed: u64,
    /// The engine has the room on its wheel of phases.
    pub on_wheel: bool,
    #[cfg(test)]
    pub poisoned: bool,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Leg(Box<Leg>),
    Player(Box<Player>),
}

/// What a leg is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    /// It is no leg, or may not be sent anything.
    Nothing,
    Silence,
    /// The packets of the leg in this slot.
    Leg(usize),
    /// The payload of the player in this slot.
    Player(usize),
    /// These slots, mixed.
    Mix(u64),
}

/// Every slot is taken.
#[derive(Debug)]
pub(super) struct RoomFull;

impl Room {
    pub fn new(id: RoomId) -> Self {
        Self {
            id,
            slots: Vec::new(),
            hear: Vec::new(),
            feeds: Vec::new(),
            recorders: Vec::new(),
            decoded: 0,
            mixed: 0,
            on_wheel: false,
            #[cfg(test)]
            poisoned: false,
        }
    }

    /// The millisecond of each 20 in which this room takes its turn.
    pub fn phase(&self) -> usize {
        (self.id.0 % FRAME_MS) as usize
    }

    // --- legs ---

    pub fn insert_leg(&mut self, leg: Box<Leg>) -> Result<usize, RoomFull> {
        let slot = self.free_slot()?;
        self.slots[slot] = Slot::Leg(leg);
        self.replan();
        Ok(slot)
    }

    pub fn has_space(&self) -> bool {
        self.slots.len() < SLOTS_PER_ROOM || self.slots.iter().any(|slot| matches!(slot, Slot::Empty))
    }

    /// Takes a leg out, with its rows and what was played to it alone.
    pub fn remove_leg(&mut self, slot: usize, sink: &mut Sink<'_>) -> Option<Box<Leg>> {
        let Slot::Leg(leg) = core::mem::replace(self.slots.get_mut(slot)?, Slot::Empty) else { return None };
        self.forget(slot);
        self.stop_plays(|player| player.to == Audience::Port(leg.id), sink);
        self.replan();
        Some(leg)
    }

    pub fn leg_mut(&mut self, slot: usize) -> Option<&mut Leg> {
        match self.slots.get_mut(slot)? {
            Slot::Leg(leg) => Some(leg),
            Slot::Empty | Slot::Player(_) => None,
        }
    }

    /// Calls `f` for each leg, in slot order.
    pub fn for_each_leg(&mut self, mut f: impl FnMut(&mut Leg)) {
        for slot in &mut self.slots {
            if let Slot::Leg(leg) = slot {
                f(leg);
            }
        }
    }

    /// The ports of the room, in slot order.
    pub fn ports(&self) -> impl Iterator<Item = PortId> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Leg(leg) => Some(leg.id),
            Slot::Empty | Slot::Player(_) => None,
        })
    }

    // --- the matrix ---

    /// Replaces rows; says how many named a port that is not here.
    pub fn set_rows(&mut self, rows: &[HearRow]) -> usize {
        let mut missing = 0;
        for row in rows {
            let Some(listener) = self.slot_of(Source::Port(row.port)) else {
                missing += 1;
                continue;
            };
            let heard =
                row.hears.iter().filter_map(|&source| self.slot_of(source)).fold(0, |row, slot| row | bit(slot));
            self.hear[listener] = heard & !bit(listener);
        }
        self.replan();
        missing
    }

    fn slot_of(&self, source: Source) -> Option<usize> {
        self.slots.iter().position(|slot| match (slot, source) {
            (Slot::Leg(leg), Source::Port(port)) => leg.id == port,
            (Slot::Player(player), Source::Play(play)) => player.play == play,
            _ => false,
        })
    }

    fn free_slot(&mut self) -> Result<usize, RoomFull> {
        if let Some(slot) = self.slots.iter().position(|slot| matches!(slot, Slot::Empty)) {
            return Ok(slot);
        }
        if self.slots.len() == SLOTS_PER_ROOM {
            return Err(RoomFull);
        }
        self.slots.push(Slot::Empty);
        self.hear.push(0);
        self.feeds.push(Feed::Nothing);
        Ok(self.slots.len() - 1)
    }

    /// Takes a slot out of every row and every track.
    fn forget(&mut self, slot: usize) {
        self.hear.iter_mut().for_each(|row| *row &= !bit(slot));
        self.hear[slot] = 0;
        self.recorders.iter_mut().for_each(|recorder| recorder.set_track(slot, None));
    }

    /// Works out from the matrix what each leg is fed with, and what has to be decoded for that.
    pub fn replan(&mut self) {
        let audible = self.slots_where(|slot| match slot {
            Slot::Leg(leg) => leg.direction.receives(),
            Slot::Player(_) => true,
            Slot::Empty => false,
        });
        let players = self.slots_where(|slot| matches!(slot, Slot::Player(_)));
        self.mixed = 0;
        let mut decoded = self.recorders.iter().fold(0, |slots, recorder| slots | recorder.hears()) & audible;
        for slot in 0..self.slots.len() {
            let before = core::mem::replace(&mut self.feeds[slot], Feed::Nothing);
            self.feeds[slot] = self.feed_of(slot, audible, players);
            if self.feeds[slot] != before
                && let Some(Slot::Leg(leg)) = self.slots.get_mut(slot)
            {
                leg.leave_out();
            }
            if let Feed::Mix(heard) = self.feeds[slot] {
                decoded |= heard & !players;
                self.mixed |= heard & players;
            }
        }
        self.decoded = decoded;
        for (n, slot) in self.slots.iter_mut().enumerate() {
            if let Slot::Leg(leg) = slot {
                leg.set_decoded(decoded & bit(n) != 0);
            }
        }
    }

    fn feed_of(&self, slot: usize, audible: u64, players: u64) -> Feed {
        let Some(Slot::Leg(leg)) = self.slots.get(slot) else { return Feed::Nothing };
        if leg.destination().is_none() {
            return Feed::Nothing;
        }
        let played_to = self.slots_where(|slot| match slot {
            Slot::Player(player) => player.to == Audience::Room || player.to == Audience::Port(leg.id),
            Slot::Leg(_) | Slot::Empty => false,
        });
        let heard = (self.hear[slot] | played_to) & audible & !bit(slot);
        let first = heard.trailing_zeros() as usize;
        match heard.count_ones() {
            0 => Feed::Silence,
            1 if players & heard != 0 => Feed::Player(first),
            1 => Feed::Leg(first),
            _ => Feed::Mix(heard),
        }
    }

    fn slots_where(&self, mut holds: impl FnMut(&Slot) -> bool) -> u64 {
        self.slots.iter().enumerate().filter(|(_, slot)| holds(slot)).fold(0, |slots, (n, _)| slots | bit(n))
    }

    // --- plays ---

    pub fn insert_player(&mut self, player: Player) -> Result<(), RoomFull> {
        let slot = self.free_slot()?;
        self.slots[slot] = Slot::Player(Box::new(player));
        self.replan();
        Ok(())
    }

    pub fn has_play(&self, play: PlayId) -> bool {
        self.slot_of(Source::Play(play)).is_some()
    }

    pub fn stop_play(&mut self, play: PlayId, sink: &mut Sink<'_>) {
        self.stop_plays(|player| player.play == play, sink);
    }

    fn stop_plays(&mut self, which: impl Fn(&Player) -> bool, sink: &mut Sink<'_>) {
        for slot in 0..self.slots.len() {
            if matches!(&self.slots[slot], Slot::Player(player) if which(player)) {
                self.end_play(slot, PlayEnd::Stopped, sink);
            }
        }
        self.replan();
    }

    fn end_play(&mut self, slot: usize, end: PlayEnd, sink: &mut Sink<'_>) {
        if let Slot::Player(player) = core::mem::replace(&mut self.slots[slot], Slot::Empty) {
            self.forget(slot);
            sink.say(MediaEvent::PlayDone { play: player.play, end });
        }
    }

    // --- recordings ---

    pub fn start_recording(&mut self, plan: &RecordingPlan, sink: &mut Sink<'_>) {
        let (mut recorder, begin) = Recorder::new(plan);
        for (ports, track) in [(&plan.left, Track::Left), (&plan.right, Track::Right)] {
            for slot in ports.iter().filter_map(|&port| self.slot_of(Source::Port(port))) {
                recorder.set_track(slot, Some(track));
            }
        }
        sink.outputs.push_back(Output::Recording(begin));
        self.recorders.push(recorder);
        self.replan();
    }

    /// Changes a running recording; `None` where it is not here.
    pub fn with_recorder(&mut self, recording: RecordingId, change: impl FnOnce(&mut Recorder)) -> Option<()> {
        change(self.recorders.iter_mut().find(|recorder| recorder.recording == recording)?);
        self.replan();
        Some(())
    }

    pub fn stop_recording(&mut self, recording: RecordingId, sink: &mut Sink<'_>) {
        while let Some(at) = self.recorders.iter().position(|recorder| recorder.recording == recording) {
            let last = self.recorders.remove(at).finish();
            sink.outputs.extend(last.map(Output::Recording));
        }
        self.replan();
    }

    /// Ends every play and every recording: the room is about to go. The recordings that ended come back.
    pub fn end_all(&mut self, sink: &mut Sink<'_>) -> Vec<RecordingId> {
        self.stop_plays(|_| true, sink);
        let ended: Vec<_> = self.recorders.iter().map(|recorder| recorder.recording).collect();
        ended.iter().for_each(|&recording| self.stop_recording(recording, sink));
        ended
    }

    // --- packets and phases ---

    /// Takes a datagram for the leg in `slot`, and forwards it to those who hear that leg alone.
    pub fn on_packet(&mut self, now: Time, slot: usize, from: SocketAddr, packet: &[u8], sink: &mut Sink<'_>) {
        #[cfg(test)]
        assert!(!self.poisoned, "as the test wanted");
        let Some(leg) = self.leg_mut(slot) else { return };
        let (source, pass_keys, was_reachable) = (leg.id, leg.pass_keys, leg.destination().is_some());
        let received = leg.receive(now, from, packet, &mut |event| sink.outputs.push_back(Output::Event(event)));
        let reachable_now = leg.destination().is_some() && !was_reachable;
        if let Some(received) = &received {
            let passes = pass_keys || received.event.is_none();
            self.forward(now, slot, source, passes.then_some(packet), received, sink);
            self.on_keys(slot, received, sink);
        }
        if reachable_now {
            self.replan();
        }
    }

    fn forward(
        &mut self,
        now: Time,
        slot: usize,
        source: PortId,
        packet: Option<&[u8]>,
        received: &Received,
        sink: &mut Sink<'_>,
    ) {
        for (listener, &feed) in self.slots.iter_mut().zip(&self.feeds) {
            if let (Feed::Leg(heard), Slot::Leg(leg)) = (feed, listener)
                && heard == slot
            {
                match packet {
                    Some(packet) => leg.forward(now, source, packet, received, sink.outbox),
                    None => leg.leave_out(),
                }
            }
        }
    }

    /// Tells the switch the keys that ended, and passes them to those whom their packets did not reach.
    fn on_keys(&mut self, slot: usize, received: &Received, sink: &mut Sink<'_>) {
        if let (Some(heard), Some(leg)) = (received.heard, self.leg_mut(slot)) {
            // Those who hear the leg have heard the tones.
            sink.say(leg.key_event(heard.key, heard.duration_ms, KeySource::InBand));
        }
        self.drain_keys(slot, sink);
    }

    fn drain_keys(&mut self, slot: usize, sink: &mut Sink<'_>) {
        loop {
            let Some(leg) = self.leg_mut(slot) else { return };
            let Some(press) = leg.listener.poll_key() else { return };
            let pass_keys = leg.pass_keys;
            sink.say(leg.key_event(press.key, press.duration_ms, KeySource::TelephoneEvent));
            if pass_keys {
                self.pass_key(slot, press.key, press.duration_ms);
            }
        }
    }

    fn pass_key(&mut self, source: usize, key: char, duration_ms: u32) {
        let span = core::time::Duration::from_millis(u64::from(duration_ms));
        for (listener, &feed) in self.slots.iter_mut().zip(&self.feeds) {
            let Slot::Leg(leg) = listener else { continue };
            let missed = match feed {
                Feed::Leg(heard) => heard == source && leg.formats.telephone_event.is_none(),
                Feed::Mix(heard) => heard & bit(source) != 0,
                Feed::Nothing | Feed::Silence | Feed::Player(_) => false,
            };
            if missed {
                let mut text = [0; 4];
                leg.sender.push(key.encode_utf8(&mut text), span, KEY_GAP);
            }
        }
    }

    /// Whether the room has work on its phase.
    pub fn is_active(&self) -> bool {
        let fed = self.feeds.iter().any(|feed| !matches!(feed, Feed::Nothing | Feed::Leg(_)));
        fed || !self.recorders.is_empty()
            || self.slots.iter().any(|slot| match slot {
                Slot::Leg(leg) => !leg.sender.is_idle() || leg.listener.poll_timeout().is_some(),
                Slot::Player(_) => true,
                Slot::Empty => false,
            })
    }

    /// One phase: 20 ms for everyone who is not simply forwarded to. `frames` is scratch.
    pub fn on_phase(&mut self, now: Time, frames: &mut Vec<Frame>, sink: &mut Sink<'_>) {
        self.end_silent_keys(now, sink);
        self.decode(frames);
        for slot in 0..self.slots.len() {
            self.feed(now, slot, frames, sink);
        }
        for recorder in &mut self.recorders {
            let (batch, hushed) = recorder.on_phase(|slot| frames.get(slot));
            sink.outputs.extend(batch.map(Output::Recording));
            if let Some(spoken) = hushed {
                sink.say(MediaEvent::RecordingSilent { recording: recorder.recording, spoken });
            }
        }
        self.advance_players(sink);
    }

    fn end_silent_keys(&mut self, now: Time, sink: &mut Sink<'_>) {
        for slot in 0..self.slots.len() {
            if let Some(leg) = self.leg_mut(slot) {
                leg.listener.handle_timeout(now);
                self.drain_keys(slot, sink);
            }
        }
    }

    /// Decodes each source once, however many hear it.
    fn decode(&mut self, frames: &mut Vec<Frame>) {
        frames.clear();
        frames.resize(self.slots.len(), SILENCE);
        let (decoded, mixed) = (self.decoded, self.mixed);
        for (n, (slot, frame)) in self.slots.iter_mut().zip(frames).enumerate() {
            match slot {
                Slot::Leg(leg) if decoded & bit(n) != 0 => *frame = leg.pull(),
                Slot::Player(player) if mixed & bit(n) != 0 => *frame = player.samples(),
                Slot::Leg(_) | Slot::Player(_) | Slot::Empty => {}
            }
        }
    }

    fn feed(&mut self, now: Time, slot: usize, frames: &[Frame], sink: &mut Sink<'_>) {
        let feed = self.feeds[slot];
        let Some(leg) = self.leg_mut(slot) else { return };
        if leg.send_key_phase(now, sink.outbox) {
            return;
        }
        let codec = leg.formats.send.codec;
        match feed {
            Feed::Nothing | Feed::Leg(_) => {}
            Feed::Silence => leg.send_payload(now, &[codec.silence_byte(); FRAME_LEN], sink.outbox),
            Feed::Mix(heard) => {
                let mut mix = Mix::default();
                frames.iter().enumerate().filter(|(n, _)| heard & bit(*n) != 0).for_each(|(_, frame)| mix.add(frame));
                leg.send_samples(now, &mix.frame(), sink.outbox);
            }
            Feed::Player(source) => {
                let Some(Slot::Player(player)) = self.slots.get(source) else { return };
                let payload = player.payload(codec);
                if let Some(leg) = self.leg_mut(slot) {
                    leg.send_payload(now, &payload, sink.outbox);
                }
            }
        }
    }

    fn advance_players(&mut self, sink: &mut Sink<'_>) {
        let mut ended = false;
        for slot in 0..self.slots.len() {
            if let Slot::Player(player) = &mut self.slots[slot]
                && !player.advance()
            {
                self.end_play(slot, PlayEnd::Completed, sink);
                ended = true;
            }
        }
        if ended {
            self.replan();
        }
    }
}

const fn bit(slot: usize) -> u64 {
    1 << slot
}

/// Between keys passed on: what receivers take for two presses.
const KEY_GAP: core::time::Duration = core::time::Duration::from_millis(60);

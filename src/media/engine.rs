//! The engine: all rooms of one core, driven by time, commands and datagrams.
//!
//! ```text
//! handle_command(now, …)      from the switch
//! handle_packet(now, port, …) from a socket
//! handle_timeout(now)         when poll_timeout says so, on whole milliseconds
//! then, after each: poll_transmit until empty, then poll_output until empty
//! ```
//!
//! Work is spread over the milliseconds: a room takes its turn on the phase `id mod 20`, and its once-a-second duties
//! (reports, timeouts) on a millisecond of its own. Sketch of the cost: a forwarded packet is a table look-up, a 12-byte
//! parse, a copy of 160 bytes and a 12-byte write: 90 ns of CPU as the tests are compiled, beside the 3,000 ns of the kernel's
//! receive and send.

mod rescue;

use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};

use super::command::{MediaCommand, OpenPort, Play, PlayId, PortId, RecordingPlan, RoomId, SendKeys};
use super::event::{MediaEvent, PlayEnd, PortStats};
use super::leg::Leg;
use super::outbox::{Outbox, Transmit};
use super::player::{Player, ToneShelf};
use super::recorder::RecordingWrite;
use super::room::{Room, Sink};
use crate::audio::{FRAME_MS, Frame};
use crate::ids::{RecordingId, SecretSource};
use crate::limits::media::{DATAGRAM_BYTES, PHASES_CAUGHT_UP, ROOMS_PER_ENGINE, SOUNDS_PER_PLAY};
use crate::time::Time;

/// Rooms and everything in them.
pub struct Engine {
    rooms: Vec<Option<Room>>,
    free: Vec<usize>,
    rooms_by_id: BTreeMap<RoomId, usize>,
    ports: BTreeMap<PortId, Place>,
    recordings: BTreeMap<RecordingId, usize>,
    /// Local port → who receives there, for 65,536 ports: one load a packet.
    by_local: Vec<Option<Entry>>,
    /// Rooms with work on their phase, by phase.
    wheel: [Vec<usize>; FRAME_MS as usize],
    /// The last millisecond dealt with.
    tick_ms: u64,
    tones: ToneShelf,
    frames: Vec<Frame>,
    outbox: Outbox,
    outputs: VecDeque<Output>,
    secrets: SecretSource,
    cname: String,
    counters: Counters,
    /// The room that a step works on, for the case that the step panics.
    at_work: Option<usize>,
}

/// What the engine wants from its shell besides sending, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// For the switch.
    Event(MediaEvent),
    /// For the disk.
    Recording(RecordingWrite),
    /// Bind these sockets; [`Engine::handle_bind_failed`] if they will not.
    Bind { rtp: SocketAddr, rtcp: Option<SocketAddr> },
    /// Close the sockets bound before.
    Release { rtp: SocketAddr, rtcp: Option<SocketAddr> },
}

/// Figures for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub rooms: usize,
    pub ports: usize,
    /// Phases that came late and were made up for.
    pub phases_late: u64,
    /// Phases given up after a stall: sound that was not sent.
    pub phases_skipped: u64,
    /// Commands that named what is not there (any more).
    pub commands_dropped: u64,
    /// Panics caught, each of which cost one room.
    pub defects: u64,
    /// Datagrams to ports nobody has open, and those longer than `limits::media::DATAGRAM_BYTES`.
    pub packets_stray: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    room: usize,
    slot: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    room: u32,
    slot: u8,
    rtcp: bool,
}

impl Engine {
    /// An engine without rooms. SSRCs, first sequence numbers and the reports' dither come from `secrets`.
    pub fn new(mut secrets: SecretSource) -> Self {
        Self {
            rooms: Vec::new(),
            free: Vec::new(),
            rooms_by_id: BTreeMap::new(),
            ports: BTreeMap::new(),
            recordings: BTreeMap::new(),
            by_local: vec![None; 1 << 16],
            wheel: core::array::from_fn(|_| Vec::new()),
            tick_ms: 0,
            tones: ToneShelf::new(),
            frames: Vec::new(),
            outbox: Outbox::default(),
            outputs: VecDeque::new(),
            // RFC 7022 §4.2: a random CNAME tells nothing about the host.
            cname: secrets.token(),
            secrets,
            counters: Counters::default(),
            at_work: None,
        }
    }

    /// Obeys the switch.
    pub fn handle_command(&mut self, now: Time, command: MediaCommand) {
        self.handle_timeout(now);
        self.at_work = None;
        let done = match command {
            MediaCommand::Open(open) => self.open(now, &open),
            MediaCommand::Update { port, change } => self.with_leg(port, |leg| leg.update(now, &change)),
            MediaCommand::Move { port, room } => self.move_port(port, room),
            MediaCommand::Hear { room, rows } => self.with_room(room, |room, _| room.set_rows(&rows) == 0),
            MediaCommand::Play(play) => self.play(&play),
            MediaCommand::StopPlay { room, play } => self.stop_play(room, play),
            MediaCommand::SendKeys(send) => self.send_keys(&send),
            MediaCommand::StartRecording(plan) => self.start_recording(&plan),
            MediaCommand::SetTrack { recording, port, track } => {
                let slot = self.ports.get(&port).copied();
                self.with_recording(recording, |recorder, room| match slot {
                    Some(place) if place.room == room => recorder.set_track(place.slot, track),
                    _ => {}
                })
            }
            MediaCommand::MaskRecording { recording, masked } => {
                self.with_recording(recording, |recorder, _| recorder.masked = masked)
            }
            MediaCommand::StopRecording { recording } => self.stop_recording(recording),
            MediaCommand::RemoveRecording { path } => {
                self.outputs.push_back(Output::Recording(RecordingWrite::Remove { path }));
                Some(())
            }
            MediaCommand::Close { port } => self.close(now, port),
            MediaCommand::CloseRoom { room } => self.close_room(now, room),
        };
        self.counters.commands_dropped += u64::from(done.is_none());
    }

    /// Takes a datagram that came to a local port.
    pub fn handle_packet(&mut self, now: Time, local_port: u16, from: SocketAddr, packet: &[u8]) {
        let entry = self.by_local.get(usize::from(local_port)).copied().flatten();
        let Some(entry) = entry.filter(|_| packet.len() <= DATAGRAM_BYTES) else {
            self.counters.packets_stray += 1;
            return;
        };
        let at = entry.room as usize;
        self.at_work = Some(at);
        let Some(Some(room)) = self.rooms.get_mut(at) else { return };
        if entry.rtcp {
            if let Some(leg) = room.leg_mut(usize::from(entry.slot)) {
                leg.on_rtcp(now, from, packet);
            }
            return;
        }
        let mut sink = Sink { outbox: &mut self.outbox, outputs: &mut self.outputs };
        room.on_packet(now, usize::from(entry.slot), from, packet, &mut sink);
        self.wake(at);
    }

    /// Does what is due up to and including `now`'s millisecond.
    pub fn handle_timeout(&mut self, now: Time) {
        let now_ms = now.as_millis();
        if now_ms > self.tick_ms + PHASES_CAUGHT_UP * FRAME_MS {
            self.skip_to(now_ms - PHASES_CAUGHT_UP * FRAME_MS);
        }
        while let Some(due) = self.next_due_ms().filter(|&due| due <= now_ms) {
            self.tick_ms = due;
            self.counters.phases_late += u64::from(now_ms > due + 1 && !self.wheel[phase_of(due)].is_empty());
            self.on_millisecond(due);
        }
        self.tick_ms = self.tick_ms.max(now_ms);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted; `None` while there are no rooms.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.next_due_ms().map(Time::from_millis)
    }

    /// The next datagram to send, oldest first.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outbox.poll()
    }

    /// The next thing to say or to do, oldest first. What is to be sent goes first: see the module's head.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The sockets of a leg would not bind: the leg is given up.
    pub fn handle_bind_failed(&mut self, now: Time, rtp: SocketAddr, reason: String) {
        let entry = self.by_local.get(usize::from(rtp.port())).copied().flatten();
        let found = entry.and_then(|entry| {
            let room = self.rooms.get_mut(entry.room as usize)?.as_mut()?;
            room.leg_mut(usize::from(entry.slot)).map(|leg| leg.id)
        });
        if let Some(port) = found {
            self.say(MediaEvent::PortFailed { port, reason });
            let _ = self.close(now, port);
        }
    }

    pub fn counters(&self) -> Counters {
        Counters { rooms: self.rooms_by_id.len(), ports: self.ports.len(), ..self.counters }
    }

    /// The next packet for this room panics.
    #[cfg(test)]
    pub(crate) fn poison(&mut self, room: RoomId) {
        let at = self.rooms_by_id[&room];
        self.room_at(at).expect("it has just been found").poisoned = true;
    }

    /// The statistics of an open port as they are now.
    pub fn port_stats(&mut self, port: PortId) -> Option<PortStats> {
        let place = *self.ports.get(&port)?;
        self.room_at(place.room)?.leg_mut(place.slot).map(|leg| leg.stats())
    }

    // --- time ---

    /// The first millisecond after the last one that has work.
    fn next_due_ms(&self) -> Option<u64> {
        if self.rooms_by_id.is_empty() {
            return None;
        }
        let next = self.tick_ms + 1;
        let phase = (next..next + FRAME_MS).find(|&ms| !self.wheel[phase_of(ms)].is_empty());
        let second = next_second_turn(next, self.rooms.len() as u64);
        Some(phase.map_or(second, |phase| phase.min(second)))
    }

    fn on_millisecond(&mut self, ms: u64) {
        let now = Time::from_millis(ms);
        let mut turn = core::mem::take(&mut self.wheel[phase_of(ms)]);
        turn.retain(|&at| self.on_phase(now, at));
        self.wheel[phase_of(ms)] = turn;
        let mut at = (ms % SECOND_MS) as usize;
        while at < self.rooms.len() {
            self.on_second(now, at);
            at += SECOND_MS as usize;
        }
    }

    /// One room's phase; `false` where it has nothing more to do on the wheel.
    fn on_phase(&mut self, now: Time, at: usize) -> bool {
        self.at_work = Some(at);
        let Some(Some(room)) = self.rooms.get_mut(at) else { return false };
        let mut sink = Sink { outbox: &mut self.outbox, outputs: &mut self.outputs };
        room.on_phase(now, &mut self.frames, &mut sink);
        room.on_wheel = room.is_active();
        room.on_wheel
    }

    fn on_second(&mut self, now: Time, at: usize) {
        self.at_work = Some(at);
        let Some(Some(room)) = self.rooms.get_mut(at) else { return };
        let (outbox, outputs) = (&mut self.outbox, &mut self.outputs);
        let (cname, secrets) = (&self.cname, &mut self.secrets);
        room.for_each_leg(|leg| {
            leg.on_second(now, cname, secrets, outbox, &mut |event| outputs.push_back(Output::Event(event)));
        });
    }

    /// After a stall: what lies before `ms` is not made up for.
    fn skip_to(&mut self, ms: u64) {
        let skipped = (ms - self.tick_ms) / FRAME_MS;
        let active = self.wheel.iter().filter(|turn| !turn.is_empty()).count() as u64;
        self.counters.phases_skipped += skipped * active;
        self.tick_ms = ms;
    }

    /// Puts a room on the wheel if it has work there.
    fn wake(&mut self, at: usize) {
        if let Some(Some(room)) = self.rooms.get_mut(at)
            && !room.on_wheel
            && room.is_active()
        {
            room.on_wheel = true;
            self.wheel[room.phase()].push(at);
        }
    }

    // --- commands ---

    fn open(&mut self, now: Time, open: &OpenPort) -> Option<()> {
        if self.ports.contains_key(&open.port) {
            return None;
        }
        match self.try_open(now, open) {
            Ok(at) => self.wake(at),
            Err(reason) => {
                self.say(MediaEvent::PortFailed { port: open.port, reason: reason.into() });
                self.say(MediaEvent::Closed { port: open.port, stats: PortStats::default() });
            }
        }
        Some(())
    }

    fn try_open(&mut self, now: Time, open: &OpenPort) -> Result<usize, &'static str> {
        let leg = Box::new(Leg::new(now, open, &mut self.secrets));
        let (rtp, rtcp) = (leg.local, leg.local_rtcp());
        if rtcp.is_none() && leg.has_rtcp_port() {
            return Err("there is no port above 65535 for RTCP");
        }
        let mut locals = [Some(rtp), rtcp].into_iter().flatten();
        if rtp.port() == 0 || locals.any(|local| self.by_local[usize::from(local.port())].is_some()) {
            return Err("the local port is in use");
        }
        let at = self.room_or_new(open.room).ok_or("this engine has all the rooms it can hold")?;
        let room = self.room_at(at).ok_or("the room is gone")?;
        let slot = room.insert_leg(leg).map_err(|_| "the room is full")?;
        self.outputs.push_back(Output::Bind { rtp, rtcp });
        self.settle(open.port, rtp, rtcp, Place { room: at, slot });
        Ok(at)
    }

    /// Notes where a port is, for commands and for packets.
    fn settle(&mut self, port: PortId, rtp: SocketAddr, rtcp: Option<SocketAddr>, place: Place) {
        self.ports.insert(port, place);
        // Rooms are bounded by ROOMS_PER_ENGINE and slots by 64: both fit.
        let (room, slot) = (place.room as u32, place.slot as u8);
        self.by_local[usize::from(rtp.port())] = Some(Entry { room, slot, rtcp: false });
        if let Some(rtcp) = rtcp {
            self.by_local[usize::from(rtcp.port())] = Some(Entry { room, slot, rtcp: true });
        }
    }

    fn move_port(&mut self, port: PortId, to: RoomId) -> Option<()> {
        let place = *self.ports.get(&port)?;
        if self.rooms_by_id.get(&to) == Some(&place.room) {
            return Some(());
        }
        let at = self.room_or_new(to)?;
        if !self.room_at(at)?.has_space() {
            return None;
        }
        let leg = self.remove_leg(place)?;
        let (rtp, rtcp) = (leg.local, leg.local_rtcp());
        let slot = self.room_at(at)?.insert_leg(leg).ok()?;
        self.settle(port, rtp, rtcp, Place { room: at, slot });
        self.end_room_if_empty(place.room);
        self.wake(place.room);
        self.wake(at);
        Some(())
    }

    fn play(&mut self, play: &Play) -> Option<()> {
        let refusal = MediaEvent::PlayDone { play: play.play, end: PlayEnd::Refused };
        let Some(&at) = self.rooms_by_id.get(&play.room).filter(|&&at| self.may_play(at, play)) else {
            self.say(refusal);
            return None;
        };
        let Some(player) = Player::new(play, &mut self.tones) else {
            self.say(MediaEvent::PlayDone { play: play.play, end: PlayEnd::Completed });
            return Some(());
        };
        if self.room_at(at)?.insert_player(player).is_err() {
            self.say(refusal);
            return None;
        }
        self.wake(at);
        Some(())
    }

    fn may_play(&self, at: usize, play: &Play) -> bool {
        let Some(Some(room)) = self.rooms.get(at) else { return false };
        let has_listener = match play.to {
            super::Audience::Port(port) => self.ports.get(&port).is_some_and(|place| place.room == at),
            super::Audience::Room | super::Audience::Rows => true,
        };
        has_listener && !room.has_play(play.play) && play.sounds.len() <= SOUNDS_PER_PLAY
    }

    fn stop_play(&mut self, room: RoomId, play: PlayId) -> Option<()> {
        self.with_room(room, |room, sink| {
            room.stop_play(play, sink);
            true
        })
    }

    fn send_keys(&mut self, send: &SendKeys) -> Option<()> {
        self.with_leg(send.port, |leg| {
            leg.sender.push(&send.keys, send.key_span, send.gap);
        })
    }

    fn start_recording(&mut self, plan: &RecordingPlan) -> Option<()> {
        let &at = self.rooms_by_id.get(&plan.room)?;
        if self.recordings.contains_key(&plan.recording) {
            return None;
        }
        self.recordings.insert(plan.recording, at);
        self.with_room(plan.room, |room, sink| {
            room.start_recording(plan, sink);
            true
        })
    }

    fn stop_recording(&mut self, recording: RecordingId) -> Option<()> {
        let at = self.recordings.remove(&recording)?;
        let room = self.rooms.get_mut(at)?.as_mut()?;
        room.stop_recording(recording, &mut Sink { outbox: &mut self.outbox, outputs: &mut self.outputs });
        Some(())
    }

    fn close(&mut self, now: Time, port: PortId) -> Option<()> {
        let place = *self.ports.get(&port)?;
        let mut leg = self.remove_leg(place)?;
        leg.send_report(now, &self.cname, true, &mut self.outbox);
        let (rtp, rtcp) = (leg.local, leg.local_rtcp());
        for local in [Some(rtp), rtcp].into_iter().flatten() {
            self.by_local[usize::from(local.port())] = None;
        }
        self.ports.remove(&port);
        self.outputs.push_back(Output::Release { rtp, rtcp });
        self.say(MediaEvent::Closed { port, stats: leg.stats() });
        self.end_room_if_empty(place.room);
        self.wake(place.room);
        Some(())
    }

    fn close_room(&mut self, now: Time, room: RoomId) -> Option<()> {
        let &at = self.rooms_by_id.get(&room)?;
        let ports: Vec<PortId> = self.room_at(at)?.ports().collect();
        // The room goes with its last port, plays and recordings with it.
        ports.into_iter().try_for_each(|port| self.close(now, port))
    }

    // --- rooms ---

    fn room_or_new(&mut self, id: RoomId) -> Option<usize> {
        if let Some(&at) = self.rooms_by_id.get(&id) {
            return Some(at);
        }
        if self.rooms_by_id.len() >= ROOMS_PER_ENGINE {
            return None;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            self.rooms.len() - 1
        });
        self.rooms[at] = Some(Room::new(id));
        self.rooms_by_id.insert(id, at);
        Some(at)
    }

    /// A room ends with its last port.
    fn end_room_if_empty(&mut self, at: usize) {
        let Some(Some(room)) = self.rooms.get_mut(at) else { return };
        if room.ports().next().is_some() {
            return;
        }
        let mut sink = Sink { outbox: &mut self.outbox, outputs: &mut self.outputs };
        for recording in room.end_all(&mut sink) {
            self.recordings.remove(&recording);
        }
        let (id, phase) = (room.id, room.phase());
        self.wheel[phase].retain(|&on_wheel| on_wheel != at);
        self.rooms_by_id.remove(&id);
        self.rooms[at] = None;
        self.free.push(at);
    }

    fn room_at(&mut self, at: usize) -> Option<&mut Room> {
        self.at_work = Some(at);
        self.rooms.get_mut(at)?.as_mut()
    }

    fn remove_leg(&mut self, place: Place) -> Option<Box<Leg>> {
        self.at_work = Some(place.room);
        let room = self.rooms.get_mut(place.room)?.as_mut()?;
        room.remove_leg(place.slot, &mut Sink { outbox: &mut self.outbox, outputs: &mut self.outputs })
    }

    fn with_room(&mut self, id: RoomId, act: impl FnOnce(&mut Room, &mut Sink<'_>) -> bool) -> Option<()> {
        let &at = self.rooms_by_id.get(&id)?;
        self.at_work = Some(at);
        let room = self.rooms.get_mut(at)?.as_mut()?;
        let whole = act(room, &mut Sink { outbox: &mut self.outbox, outputs: &mut self.outputs });
        self.wake(at);
        whole.then_some(())
    }

    fn with_leg(&mut self, port: PortId, act: impl FnOnce(&mut Leg)) -> Option<()> {
        let place = *self.ports.get(&port)?;
        let room = self.room_at(place.room)?;
        act(room.leg_mut(place.slot)?);
        room.replan();
        self.wake(place.room);
        Some(())
    }

    fn with_recording(
        &mut self,
        recording: RecordingId,
        change: impl FnOnce(&mut super::recorder::Recorder, usize),
    ) -> Option<()> {
        let &at = self.recordings.get(&recording)?;
        self.room_at(at)?.with_recorder(recording, |recorder| change(recorder, at))
    }

    fn say(&mut self, event: MediaEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

fn phase_of(ms: u64) -> usize {
    (ms % FRAME_MS) as usize
}

/// The first millisecond from `ms` on whose place in its second belongs to one of `rooms` rooms.
fn next_second_turn(ms: u64, rooms: u64) -> u64 {
    if ms % SECOND_MS < rooms { ms } else { ms.next_multiple_of(SECOND_MS) }
}

const SECOND_MS: u64 = 1_000;

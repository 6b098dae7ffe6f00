//! A media engine's shell: one thread, its sockets, and a loop of one turn a millisecond.
//!
//! ```text
//! loop { sleep to the next whole millisecond     (no sockets: sleep until a command comes)
//!        commands from the switch → engine
//!        readable sockets → engine
//!        the engine's due work
//!        what it wants sent → sockets; what it says → the switch, the recorder }
//! ```
//!
//! One turn a millisecond costs half a millisecond of delay and saves most of the wake-ups: 5 µs a relayed packet against
//! 8 to 16 for a task or an epoll wake-up each. Deadlines are absolute: a late turn is made up for, and counted.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use socket2::SockRef;

use super::recording_thread::{EventSink, RecordingQueue};
use crate::ids::SecretSource;
use crate::limits::media::DATAGRAM_BYTES;
use crate::media::{Counters, Engine, MediaCommand, Output};
use crate::time::Time;

/// The process's clock: Unix time, made monotonic.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What an engine's thread is made of.
pub struct MediaSetup {
    /// For the thread's name and the logs: 0, 1, …
    pub engine: usize,
    pub clock: Clock,
    /// SSRCs and the like; seeded by the operating system.
    pub secrets: SecretSource,
    /// Hears every event of this engine, on its thread: it must not wait.
    pub events: EventSink,
    pub recordings: RecordingQueue,
}

/// A running engine. Dropping it closes all its sockets; open legs get no `Closed`.
pub struct MediaThread {
    commands: Option<Sender<MediaCommand>>,
    wake: Arc<OwnedFd>,
    meter: Meter,
    thread: Option<JoinHandle<()>>,
}

/// An engine's figures, readable after the engine has gone.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<ThreadCounters>>);

impl Meter {
    pub fn read(&self) -> ThreadCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, counters: ThreadCounters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}

/// Figures for `/metrics`, renewed once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadCounters {
    pub engine: Counters,
    pub packets_received: u64,
    pub packets_sent: u64,
    /// Sends the kernel refused: no route, no buffer.
    pub sends_failed: u64,
}

/// The thread is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the media engine has stopped")]
pub struct EngineStopped;

impl MediaThread {
    pub fn start(setup: MediaSetup) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let meter = Meter::default();
        let name = format!("media-{}", setup.engine);
        let mut shell = Shell::new(setup, inbox, wake.clone(), meter.clone())?;
        let thread = std::thread::Builder::new().name(name).spawn(move || shell.run())?;
        Ok(Self { commands: Some(commands), wake, meter, thread: Some(thread) })
    }

    /// Says something to the engine; returns at once.
    pub fn send(&self, command: MediaCommand) -> Result<(), EngineStopped> {
        self.commands.as_ref().ok_or(EngineStopped)?.send(command).map_err(|_| EngineStopped)?;
        self.ring();
        Ok(())
    }

    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    fn ring(&self) {
        // Fails only where the counter is full: then the thread is awake already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for MediaThread {
    fn drop(&mut self) {
        self.commands = None;
        self.ring();
        if let Some(thread) = self.thread.take() {
            // A panic in the engine has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

struct Shell {
    engine: Engine,
    inbox: Receiver<MediaCommand>,
    sockets: Sockets,
    clock: Clock,
    events: EventSink,
    recordings: RecordingQueue,
    shared: Meter,
    shared_at: Time,
    counters: ThreadCounters,
    buffer: Box<[u8; BUFFER_BYTES]>,
}

/// The inbox is closed: time to go.
struct Stop;

impl Shell {
    fn new(setup: MediaSetup, inbox: Receiver<MediaCommand>, wake: Arc<OwnedFd>, shared: Meter) -> io::Result<Self> {
        Ok(Self {
            engine: Engine::new(setup.secrets),
            inbox,
            sockets: Sockets::new(wake)?,
            clock: setup.clock,
            events: setup.events,
            recordings: setup.recordings,
            shared,
            shared_at: Time::EPOCH,
            counters: ThreadCounters::default(),
            buffer: Box::new([0; BUFFER_BYTES]),
        })
    }

    fn run(&mut self) {
        // Here and not in the shell: the kernel's events hold pointers, which may not change threads.
        let mut ready = Vec::with_capacity(READY_AT_ONCE);
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn(&mut ready))) {
                Ok(Ok(())) => {}
                Ok(Err(Stop)) => return,
                Err(_) => self.rescue(),
            }
        }
    }

    /// A defect costs the call it was met in: its legs fail towards the switch. The panic has been printed.
    fn rescue(&mut self) {
        tracing::error!("a media engine panicked: the call at work is given up, all others go on");
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.engine.handle_defect();
            self.flush();
        }));
    }

    fn turn(&mut self, ready: &mut Vec<epoll::Event>) -> Result<(), Stop> {
        self.wait(ready);
        self.obey()?;
        self.receive(ready);
        self.engine.handle_timeout((self.clock)());
        self.flush();
        self.share_counters();
        Ok(())
    }

    /// Waits for the next millisecond; without sockets, for a command.
    fn wait(&self, ready: &mut Vec<epoll::Event>) {
        if self.sockets.open == 0 {
            ready.clear();
            // An interrupted wait is a turn with nothing to do.
            let _ = epoll::wait(&self.sockets.epoll, spare_capacity(ready), None);
            return;
        }
        let into_ms = (self.clock)().as_micros() % 1_000;
        std::thread::sleep(Duration::from_micros(1_000 - into_ms));
    }

    fn obey(&mut self) -> Result<(), Stop> {
        self.sockets.hush();
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.engine.handle_command((self.clock)(), command),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Stop),
            }
            // Sockets are bound before the next command makes them speak.
            self.flush();
        }
    }

    /// Reads what has come, at most one round of [`READY_AT_ONCE`] sockets at a time and [`TURN_ROUNDS`] rounds.
    fn receive(&mut self, ready: &mut Vec<epoll::Event>) {
        for _ in 0..TURN_ROUNDS {
            ready.clear();
            let waited = epoll::wait(&self.sockets.epoll, spare_capacity(ready), Some(&Timespec::default()));
            if waited.is_err() || ready.is_empty() {
                return;
            }
            let now = (self.clock)();
            for event in ready.iter() {
                self.read(now, event.data.u64());
            }
            self.flush_packets();
            if ready.len() < READY_AT_ONCE {
                return;
            }
        }
    }

    fn read(&mut self, now: Time, token: u64) {
        // Above the ports is the wake-up, which `hush` deals with.
        let Ok(port) = u16::try_from(token) else { return };
        for _ in 0..PACKETS_A_SOCKET {
            let Some(socket) = self.sockets.get(port) else { return };
            // Errors are those of packets we sent earlier (ICMP), or "nothing more".
            let Ok((len, from)) = socket.recv_from(&mut self.buffer[..]) else { return };
            self.counters.packets_received += 1;
            self.engine.handle_packet(now, port, from, &self.buffer[..len]);
        }
    }

    fn flush(&mut self) {
        self.flush_packets();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Event(event) => (self.events)(event),
                Output::Recording(write) => self.recordings.push(write),
                Output::Release { rtp, rtcp } => self.sockets.release(rtp, rtcp),
                Output::Bind { rtp, rtcp } => {
                    if let Err(error) = self.sockets.bind(rtp, rtcp) {
                        let reason = format!("cannot bind {rtp}: {error}");
                        self.engine.handle_bind_failed((self.clock)(), rtp, reason);
                    }
                }
            }
        }
    }

    fn flush_packets(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit() {
            let Some(socket) = self.sockets.get(transmit.from_port) else { continue };
            match socket.send_to(transmit.bytes, transmit.to) {
                Ok(_) => self.counters.packets_sent += 1,
                // RTP is not sent again: the next packet is 20 ms away.
                Err(_) => self.counters.sends_failed += 1,
            }
        }
    }

    fn share_counters(&mut self) {
        let now = (self.clock)();
        if now.since(self.shared_at) < Duration::from_secs(1) {
            return;
        }
        self.shared_at = now;
        self.counters.engine = self.engine.counters();
        self.shared.show(self.counters);
    }
}

/// The sockets of one engine, by local port.
struct Sockets {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    by_port: Vec<Option<UdpSocket>>,
    open: usize,
}

impl Sockets {
    fn new(wake: Arc<OwnedFd>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, wake.as_fd(), epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Self { epoll, wake, by_port: core::iter::repeat_with(|| None).take(1 << 16).collect(), open: 0 })
    }

    fn get(&self, port: u16) -> Option<&UdpSocket> {
        self.by_port.get(usize::from(port))?.as_ref()
    }

    /// Binds RTP, and RTCP where it has a port of its own: both or neither.
    fn bind(&mut self, rtp: SocketAddr, rtcp: Option<SocketAddr>) -> io::Result<()> {
        self.bind_one(rtp)?;
        rtcp.map_or(Ok(()), |rtcp| self.bind_one(rtcp)).inspect_err(|_| self.close(rtp.port()))
    }

    fn bind_one(&mut self, addr: SocketAddr) -> io::Result<()> {
        let socket = UdpSocket::bind(addr)?;
        socket.set_nonblocking(true)?;
        // Expedited forwarding (RFC 3246, DSCP 46), where the system lets us.
        let _ = match addr {
            SocketAddr::V4(_) => SockRef::from(&socket).set_tos_v4(EXPEDITED),
            SocketAddr::V6(_) => SockRef::from(&socket).set_tclass_v6(EXPEDITED),
        };
        let token = epoll::EventData::new_u64(u64::from(addr.port()));
        epoll::add(&self.epoll, &socket, token, epoll::EventFlags::IN)?;
        self.by_port[usize::from(addr.port())] = Some(socket);
        self.open += 1;
        Ok(())
    }

    fn release(&mut self, rtp: SocketAddr, rtcp: Option<SocketAddr>) {
        [Some(rtp), rtcp].into_iter().flatten().for_each(|addr| self.close(addr.port()));
    }

    /// Closing takes a socket out of the epoll set: there is no second handle to it.
    fn close(&mut self, port: u16) {
        if self.by_port[usize::from(port)].take().is_some() {
            self.open -= 1;
        }
    }

    /// Empties the wake-up counter.
    fn hush(&self) {
        let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
    }
}

/// The wake-up's token: no port number.
const WAKE: u64 = 1 << 16;
const READY_AT_ONCE: usize = 256;
/// Rounds of reading in one turn: a flood on many sockets does not keep the phases waiting.
const TURN_ROUNDS: usize = 64;
/// Packets of one socket in one round: a flood on one socket does not keep the others waiting.
const PACKETS_A_SOCKET: usize = 16;
/// One more than the engine takes, so that what is too long still shows as too long.
const BUFFER_BYTES: usize = DATAGRAM_BYTES + 1;
/// DSCP 46 in the upper six bits.
const EXPEDITED: u32 = 46 << 2;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::Ipv4Addr;
    use std::path::PathBuf;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::audio::clip::Clip;
    use crate::audio::goertzel::amplitude;
    use crate::audio::tone::{sines, sines_at};
    use crate::audio::wav::read_recording;
    use crate::codec::Codec;
    use crate::ids::RecordingId;
    use crate::media::*;
    use crate::rtp::RtpHeader;
    use crate::runtime::recording_thread::RecordingThread;

    const ROOM: RoomId = RoomId(3);

    /// An engine on real sockets, what it said, and its recorder. Fields drop in this order.
    struct Bench {
        engine: MediaThread,
        events: Receiver<MediaEvent>,
        _recorder: RecordingThread,
    }

    impl Bench {
        fn new() -> Self {
            let (tell, events) = mpsc::channel();
            let sink: EventSink = Arc::new(move |event| {
                // The test may be over while the engine still talks.
                let _ = tell.send(event);
            });
            let begun = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
            let clock: Clock = Arc::new(move || {
                let now = begun.1 + begun.0.elapsed();
                Time::from_micros(u64::try_from(now.as_micros()).unwrap())
            });
            let recorder = RecordingThread::start(sink.clone()).unwrap();
            let secrets = SecretSource::from_seed(3);
            let recordings = recorder.queue().unwrap();
            let engine =
                MediaThread::start(MediaSetup { engine: 0, clock, secrets, events: sink, recordings }).unwrap();
            Self { engine, events, _recorder: recorder }
        }

        fn say(&self, command: MediaCommand) {
            self.engine.send(command).unwrap();
        }

        /// Waits until everything said so far is done: an empty play list ends at once.
        fn settle(&self) {
            let (room, play) = (ROOM, PlayId(77));
            self.say(MediaCommand::Play(Play { room, play, to: Audience::Room, sounds: vec![], repeat: Repeat::Once }));
            self.hear(|event| matches!(event, MediaEvent::PlayDone { play: done, .. } if *done == play).then_some(()));
        }

        /// Waits for the event that `wanted` picks; others are passed over.
        fn hear<T>(&self, mut wanted: impl FnMut(&MediaEvent) -> Option<T>) -> T {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let event = self.events.recv_timeout(left).expect("the engine says it within 20 s");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        }

        fn open(&self, port: u64, phone: &Phone, local: SocketAddr) {
            self.say(MediaCommand::Open(OpenPort {
                port: PortId(port),
                room: ROOM,
                local,
                remote: Remote { expected: Some(phone.addr()), signalling: None, rtcp_mux: false },
                formats: Formats::only(Codec::Pcmu, None),
                direction: Direction::SendReceive,
                rtp_timeout: None,
                in_band_keys: false,
            }));
        }
    }

    /// A phone with a socket and a tone.
    struct Phone {
        socket: UdpSocket,
        hz: u16,
        sequence: u16,
        heard: Vec<i16>,
    }

    impl Phone {
        fn new(hz: u16) -> Self {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            Self { socket, hz, sequence: 0, heard: Vec::new() }
        }

        fn addr(&self) -> SocketAddr {
            self.socket.local_addr().unwrap()
        }

        fn speak(&mut self, to: SocketAddr) {
            let begin = usize::from(self.sequence) * 160;
            let samples: Vec<i16> = (0..160).map(|n| sines_at(&[self.hz], begin + n, 8_000.0)).collect();
            let mut payload = [0; 160];
            Codec::Pcmu.encode(&samples, &mut payload);
            let header = RtpHeader {
                marker: false,
                payload_type: 0,
                sequence: self.sequence,
                timestamp: begin as u32,
                ssrc: u32::from(self.hz),
                payload: 0..0,
            };
            self.sequence += 1;
            self.socket.send_to(&[&header.write()[..], &payload].concat(), to).unwrap();
        }

        /// Hears what comes until `until`.
        fn listen(&mut self, until: Instant) {
            let mut packet = [0; 500];
            while Instant::now() < until {
                if let Ok(len) = self.socket.recv(&mut packet) {
                    let header = RtpHeader::parse(&packet[..len]).unwrap();
                    let mut samples = vec![0; header.payload.len()];
                    Codec::Pcmu.decode(&packet[header.payload], &mut samples);
                    self.heard.extend(samples);
                }
            }
        }

        fn hears(&self, hz: u16) -> bool {
            let last = &self.heard[self.heard.len().saturating_sub(3_200)..];
            amplitude(last, f64::from(hz)) > 4_000.0
        }
    }

    /// A pair of free ports, even and odd, as the kernel finds them.
    fn free_pair() -> SocketAddr {
        loop {
            let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let addr = probe.local_addr().unwrap();
            let above = addr.port().checked_add(1).filter(|_| addr.port().is_multiple_of(2));
            if above.is_some_and(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
                return addr;
            }
        }
    }

    #[test]
    fn two_phones_talk_over_sockets_and_the_call_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("call.wav");
        let bench = Bench::new();
        let (mut a, mut b) = (Phone::new(500), Phone::new(1_200));
        let (at_a, at_b) = (free_pair(), free_pair());
        bench.open(1, &a, at_a);
        bench.open(2, &b, at_b);
        let row = |port, hears| HearRow { port: PortId(port), hears: vec![Source::Port(PortId(hears))] };
        bench.say(MediaCommand::Hear { room: ROOM, rows: vec![row(1, 2), row(2, 1)] });
        let recording = RecordingId::from_u128(9);
        bench.say(MediaCommand::StartRecording(RecordingPlan {
            room: ROOM,
            recording,
            path: path.clone(),
            layout: Layout::Stereo,
            left: vec![PortId(1)],
            right: vec![PortId(2)],
            silence: None,
        }));
        bench.settle();
        let begun = Instant::now();
        for n in 0..60 {
            a.speak(at_a);
            b.speak(at_b);
            let next = begun + Duration::from_millis(20 * (n + 1));
            a.listen(next - Duration::from_millis(10));
            b.listen(next);
        }
        assert!(a.hears(1_200) && !a.hears(500) && b.hears(500) && !b.hears(1_200));
        bench.say(MediaCommand::StopRecording { recording });
        let ms = bench.hear(|event| match event {
            MediaEvent::RecordingSealed { duration_ms, .. } => Some(*duration_ms),
            _ => None,
        });
        assert!(ms >= 1_000, "{ms} ms");
        let (samples, _) = read_recording(File::open(path).unwrap()).unwrap();
        let channel =
            |n: usize| samples.iter().skip(n).step_by(2).copied().skip(2_400).take(4_800).collect::<Vec<i16>>();
        assert!(amplitude(&channel(0), 500.0) > 5_000.0 && amplitude(&channel(0), 1_200.0) < 500.0);
        assert!(amplitude(&channel(1), 1_200.0) > 5_000.0 && amplitude(&channel(1), 500.0) < 500.0);
        bench.say(MediaCommand::CloseRoom { room: ROOM });
        let stats = bench.hear(|event| match event {
            MediaEvent::Closed { port: PortId(1), stats } => Some(*stats),
            _ => None,
        });
        assert_eq!((stats.packets_in, stats.lost, stats.refused), (60, 0, 0));
        assert!(stats.packets_out >= 58 && stats.mos.unwrap() > 4.0, "{stats:?}");
    }

    #[test]
    fn a_prompt_is_played_in_its_own_time() {
        let bench = Bench::new();
        let mut phone = Phone::new(500);
        let local = free_pair();
        bench.open(1, &phone, local);
        let clip = Arc::new(Clip::from_samples("hello", sines(&[900], Duration::from_millis(600), 8_000.0)));
        let begun = Instant::now();
        bench.say(MediaCommand::Play(Play {
            room: ROOM,
            play: PlayId(5),
            to: Audience::Port(PortId(1)),
            sounds: vec![Sound::Clip(clip)],
            repeat: Repeat::Once,
        }));
        phone.listen(begun + Duration::from_millis(500));
        assert!(phone.hears(900));
        let end = bench.hear(|event| match event {
            MediaEvent::PlayDone { play: PlayId(5), end } => Some(*end),
            _ => None,
        });
        assert_eq!(end, PlayEnd::Completed);
        assert!(begun.elapsed() >= Duration::from_millis(560), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_port_that_is_taken_fails_and_its_lease_comes_back() {
        let bench = Bench::new();
        let phone = Phone::new(500);
        let local = free_pair();
        let taken = UdpSocket::bind(SocketAddr::new(local.ip(), local.port() + 1)).unwrap();
        bench.open(1, &phone, local);
        let reason = bench.hear(|event| match event {
            MediaEvent::PortFailed { port: PortId(1), reason } => Some(reason.clone()),
            _ => None,
        });
        assert!(reason.contains(&local.to_string()), "{reason}");
        bench.hear(|event| matches!(event, MediaEvent::Closed { port: PortId(1), .. }).then_some(()));
        drop(taken);
        bench.open(2, &phone, local);
        bench.say(MediaCommand::Close { port: PortId(2) });
        let stats = bench.hear(|event| match event {
            MediaEvent::Closed { port: PortId(2), stats } => Some(*stats),
            MediaEvent::PortFailed { reason, .. } => panic!("{reason}"),
            _ => None,
        });
        assert_eq!(stats.packets_in, 0);
        assert!(UdpSocket::bind(local).is_ok(), "the socket was given back before `Closed` was said");
    }

    #[test]
    fn the_engine_stops_when_it_is_dropped() {
        let bench = Bench::new();
        let (phone, local) = (Phone::new(500), free_pair());
        bench.open(1, &phone, local);
        bench.settle();
        assert!(UdpSocket::bind(local).is_err());
        drop(bench);
        assert!(UdpSocket::bind(local).is_ok());
    }
}

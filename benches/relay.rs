//! What does a forwarded packet cost beside the bare kernel work? 500 calls, both ways; target: at most 1.4 times.
//!
//! `cargo bench --bench relay [-- CALLS]`. One thread is the media engine as `strowger serve` runs it, the other a bare
//! loop with the same sockets and the same rhythm: once a millisecond it asks which sockets are readable, receives and
//! sends on. They take turns, round by round, fed by the same thousand phones with 20 ms of G.711 each. A figure is CPU
//! time of the thread, by the scheduler's own count, for each packet that it forwarded.

mod measure;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strowger::codec::Codec;
use strowger::ids::SecretSource;
use strowger::media::{Direction, Formats, HearRow, MediaCommand, OpenPort, PortId, Remote, RoomId, Source};
use strowger::rtp::RtpHeader;
use strowger::runtime::media_thread::{MediaSetup, MediaThread};
use strowger::runtime::recording_thread::RecordingThread;
use strowger::time::Time;

use measure::{cpu_time_of, median, print_machine};

const CALLS: u16 = 500;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
const FIRST_PORT: u16 = 20_000;
const PHONES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const ENGINE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const BARE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);

fn main() {
    let calls = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(CALLS);
    // Two legs a call, each with RTP and RTCP here and at the bare loop, and a phone.
    let files = Rlimit { current: Some(u64::from(calls) * 12 + 1_000), ..getrlimit(Resource::Nofile) };
    if setrlimit(Resource::Nofile, files).is_err() {
        eprintln!("relay: this needs {} open files: ulimit -n", u64::from(calls) * 12 + 1_000);
        std::process::exit(1);
    }
    let phones: Vec<Phone> = (0..2 * calls).map(Phone::new).collect();
    let engine = Engine::start(&phones);
    let bare = Bare::start(phones.len());
    let mut samples = [Vec::new(), Vec::new()];
    let mut forwarded = [0, 0];
    // The first round of each is for latching and for warming up.
    for round in 0..=ROUNDS {
        for (at, relay) in [&engine as &dyn Relay, &bare].into_iter().enumerate() {
            let took = one_round(relay, &phones);
            if round > 0 {
                samples[at].push(took.0);
                forwarded[at] += took.1;
            }
        }
    }
    let [ours, floor] = samples.each_mut().map(|samples| median(samples));
    println!("{calls} calls, {} packets a second, {ROUNDS} rounds of {} s each\n", calls * 100, ROUND.as_secs());
    println!("{:<38}{:>16}{:>20}", "", "ns a packet", "packets forwarded");
    println!("{:<38}{ours:>16.0}{:>20}", "the media engine", forwarded[0]);
    println!("{:<38}{floor:>16.0}{:>20}", "a bare receive-and-send loop", forwarded[1]);
    println!("{:<38}{:>16.2}", "ratio", ours / floor);
    print_machine();
}

/// Nanoseconds of CPU for a forwarded packet, and how many were.
fn one_round(relay: &dyn Relay, phones: &[Phone]) -> (f64, u64) {
    // The count may keep us waiting, which costs the thread: it stays outside of what is measured.
    let packets = relay.forwarded();
    let cpu = relay.cpu();
    let begun = Instant::now();
    let mut sequence = relay.next_sequence();
    let mut slot = 0;
    while begun.elapsed() < ROUND {
        // One twentieth of the phones each millisecond, as calls that began at any time speak.
        let due = begun + Duration::from_millis(slot);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let turn = (slot % 20) as usize;
        for (n, phone) in phones.iter().enumerate().skip(turn).step_by(20) {
            phone.speak(relay.ear_of(n), sequence);
        }
        slot += 1;
        if slot % 20 == 0 {
            sequence = sequence.wrapping_add(1);
        }
    }
    // What is in the sockets' buffers still belongs to this round.
    std::thread::sleep(Duration::from_millis(50));
    relay.keep_sequence(sequence.wrapping_add(1));
    let cpu = relay.cpu() - cpu;
    let packets = relay.forwarded() - packets;
    assert!(packets > 0, "nothing was forwarded");
    (cpu.as_secs_f64() * 1e9 / packets as f64, packets)
}

/// Something that forwards packets between each pair of phones.
trait Relay {
    fn cpu(&self) -> Duration;
    fn forwarded(&self) -> u64;
    /// Where the nth phone sends to.
    fn ear_of(&self, n: usize) -> SocketAddr;
    fn sequence(&self) -> &AtomicU64;

    fn next_sequence(&self) -> u16 {
        self.sequence().load(Ordering::Relaxed) as u16
    }

    fn keep_sequence(&self, next: u16) {
        self.sequence().store(u64::from(next), Ordering::Relaxed);
    }
}

/// The even port of the nth leg.
fn port_of(n: usize) -> u16 {
    FIRST_PORT + 2 * u16::try_from(n).expect("so many legs as ports")
}

/// Speaks G.711, and listens to nothing: the kernel drops what its buffer does not hold.
struct Phone {
    socket: UdpSocket,
    ssrc: u32,
}

impl Phone {
    fn new(n: u16) -> Self {
        let socket = UdpSocket::bind((PHONES, port_of(usize::from(n)))).expect("the phones' ports are free");
        Self { socket, ssrc: 1 + u32::from(n) }
    }

    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    fn speak(&self, to: SocketAddr, sequence: u16) {
        let timestamp = u32::from(sequence) * 160;
        let header = RtpHeader { marker: false, payload_type: 0, sequence, timestamp, ssrc: self.ssrc, payload: 0..0 };
        let mut packet = [0x55; 172];
        packet[..12].copy_from_slice(&header.write());
        // A full buffer at the other end loses the packet, as any network may.
        let _ = self.socket.send_to(&packet, to);
    }
}

/// The engine of the product on its thread.
struct Engine {
    thread: MediaThread,
    sequence: AtomicU64,
    _recorder: RecordingThread,
}

impl Engine {
    fn start(phones: &[Phone]) -> Self {
        let begun = Instant::now();
        let clock = Arc::new(move || Time::from_secs(1_000_000) + begun.elapsed());
        let recorder = RecordingThread::start(Arc::new(|_| {})).expect("a thread starts");
        let setup = MediaSetup {
            engine: 0,
            clock,
            secrets: SecretSource::from_seed(1),
            events: Arc::new(|_| {}),
            recordings: recorder.queue().expect("the recorder runs"),
        };
        let thread = MediaThread::start(setup).expect("a thread starts");
        let say = |command| thread.send(command).expect("the engine runs");
        for (n, phone) in phones.iter().enumerate() {
            say(MediaCommand::Open(OpenPort {
                port: PortId(n as u64),
                room: RoomId(n as u64 / 2),
                local: (ENGINE, port_of(n)).into(),
                remote: Remote { expected: Some(phone.addr()), signalling: None, rtcp_mux: false },
                formats: Formats::only(Codec::Pcmu, Some(101)),
                direction: Direction::SendReceive,
                rtp_timeout: None,
                in_band_keys: false,
            }));
        }
        for room in 0..phones.len() as u64 / 2 {
            let row = |port, hears| HearRow { port: PortId(port), hears: vec![Source::Port(PortId(hears))] };
            let rows = vec![row(2 * room, 2 * room + 1), row(2 * room + 1, 2 * room)];
            say(MediaCommand::Hear { room: RoomId(room), rows });
        }
        Self { thread, sequence: AtomicU64::new(1), _recorder: recorder }
    }
}

impl Relay for Engine {
    fn cpu(&self) -> Duration {
        cpu_time_of("media-0")
    }

    fn forwarded(&self) -> u64 {
        // Renewed once a second.
        std::thread::sleep(Duration::from_millis(1_100));
        self.thread.meter().read().packets_sent
    }

    fn ear_of(&self, n: usize) -> SocketAddr {
        (ENGINE, port_of(n)).into()
    }

    fn sequence(&self) -> &AtomicU64 {
        &self.sequence
    }
}

/// The floor: nothing is looked at.
struct Bare {
    forwarded: Arc<AtomicU64>,
    sequence: AtomicU64,
    stop: Arc<AtomicBool>,
}

impl Bare {
    fn start(legs: usize) -> Self {
        let (forwarded, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, asked) = (forwarded.clone(), stop.clone());
        let sockets: Vec<UdpSocket> = (0..legs)
            .map(|n| {
                let socket = UdpSocket::bind((BARE, port_of(n))).expect("the bare loop's ports are free");
                socket.set_nonblocking(true).expect("sockets do");
                socket
            })
            .collect();
        let body = move || bare_loop(&sockets, &count, &asked);
        std::thread::Builder::new().name("bare".to_owned()).spawn(body).expect("a thread starts");
        Self { forwarded, sequence: AtomicU64::new(1), stop }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn bare_loop(sockets: &[UdpSocket], forwarded: &AtomicU64, stop: &AtomicBool) {
    let ready_set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("the kernel has epoll");
    for (n, socket) in sockets.iter().enumerate() {
        epoll::add(&ready_set, socket, epoll::EventData::new_u64(n as u64), epoll::EventFlags::IN).expect("one more");
    }
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(256);
    let mut buffer = [0; 1_501];
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(1_000 - begun.elapsed().as_micros() as u64 % 1_000));
        loop {
            ready.clear();
            let waited = epoll::wait(&ready_set, spare_capacity(&mut ready), Some(&Timespec::default()));
            if waited.is_err() || ready.is_empty() {
                break;
            }
            for event in &ready {
                let n = event.data.u64() as usize;
                while let Ok((len, _)) = sockets[n].recv_from(&mut buffer) {
                    let to: SocketAddr = (PHONES, port_of(n ^ 1)).into();
                    if sockets[n ^ 1].send_to(&buffer[..len], to).is_ok() {
                        forwarded.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            if ready.len() < 256 {
                break;
            }
        }
    }
}

impl Relay for Bare {
    fn cpu(&self) -> Duration {
        cpu_time_of("bare")
    }

    fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    fn ear_of(&self, n: usize) -> SocketAddr {
        (BARE, port_of(n)).into()
    }

    fn sequence(&self) -> &AtomicU64 {
        &self.sequence
    }
}

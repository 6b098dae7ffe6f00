//! What crossed the wire, by independent judges: dumpcap writes it down, tshark says what it was.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use rtp::packet::Packet;
use rustix::process::Signal;
use strowger::audio::g711::{decode_alaw, decode_ulaw};
use webrtc_util::marshal::Unmarshal;

use super::child::{Running, patiently};
use super::place::{Party, Place};
use super::sound::Sound;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running capture of a place's packets.
pub struct Capture {
    running: Running,
    file: PathBuf,
    /// An address of the place that nobody has.
    nowhere: Ipv4Addr,
}

/// A SIP message as tshark read it.
#[derive(Clone, Debug)]
pub struct SipMessage {
    pub at: SystemTime,
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
    pub tcp: bool,
    /// `INVITE`, `180`…
    pub what: String,
    pub cseq: String,
    pub call_id: String,
    pub retry_after: String,
}

/// An RTP stream as tshark counted it.
#[derive(Clone, Debug)]
pub struct Stream {
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
    pub packets: u32,
    pub lost: i32,
}

/// What was captured.
pub struct Captured {
    file: PathBuf,
    pub sip: Vec<SipMessage>,
}

impl Capture {
    pub fn start(place: &Place) -> Self {
        let file = place.path("wire.pcap");
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-P", "-i", "lo", "-B", "16", "-f", &format!("net {}", place.network()), "-w"]).arg(&file);
        let running = Running::start(&mut command, &place.path("dumpcap.log"));
        // The header of the file stands once packets are taken.
        let up = patiently(Duration::from_secs(10), || running.said().contains("File:").then_some(()));
        assert!(up.is_some(), "dumpcap does not capture (run scripts/setup.sh): {}", running.said());
        Self { running, file, nowhere: place.address(250) }
    }

    /// Waits until something that a party sent has been written down.
    pub fn wait_for_reply(&self, from: Party) {
        self.wait_until("a reply", |seen| udp_datagrams(&seen.bytes()).iter().any(|d| from.is_at(d.from.0, d.from.1)));
    }

    /// Waits until a party has heard a tone from another for so many seconds altogether.
    pub fn wait_until_heard(&self, from: Party, to: Party, hz: u16, seconds: f64) {
        self.wait_until(&format!("{hz} Hz for {seconds} s"), |seen| seen.sound(from, to).of(hz) >= seconds);
    }

    /// Waits until a party has sent another these keys.
    pub fn wait_for_keys(&self, from: Party, to: Party, keys: &str) {
        self.wait_until(keys, |seen| seen.keys(from, to) == keys);
    }

    /// What has been written down so far; SIP is read at the end only.
    pub fn so_far(&self) -> Captured {
        Captured { file: self.file.clone(), sip: Vec::new() }
    }

    /// Waits for something in what has been written down so far.
    fn wait_until(&self, what: &str, is: impl Fn(&Captured) -> bool) {
        let so_far = self.so_far();
        let until = Instant::now() + PATIENCE;
        while !is(&so_far) {
            assert!(Instant::now() < until, "no {what} within {PATIENCE:?}: {}", self.running.said());
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    pub fn stop(self) -> Captured {
        let Self { mut running, file, .. } = self;
        // The last packets are in the kernel's buffer for a moment: a mark goes behind them.
        let mark: &[u8] = b"the end of the capture";
        let pen = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let written = patiently(PATIENCE, || {
            pen.send_to(mark, (self.nowhere, 9)).expect("loopback takes a datagram");
            let bytes = std::fs::read(&file).unwrap_or_default();
            udp_datagrams(&bytes).iter().any(|d| d.payload == mark).then_some(())
        });
        assert!(written.is_some(), "dumpcap does not write: {}", running.said());
        running.signal(Signal::INT);
        running.ends_within(Duration::from_secs(10));
        let sip = read_sip(&file);
        Captured { file, sip }
    }
}

impl Captured {
    /// Messages between two parties, in order, as `INVITE`, `100`, `180`…; repeats are left out.
    pub fn ladder(&self, one: Party, other: Party) -> Vec<String> {
        let between = |m: &&SipMessage| is_from_to(m.from, m.to, one, other) || is_from_to(m.from, m.to, other, one);
        let mut ladder: Vec<String> = Vec::new();
        let mut seen: Vec<(String, String, String)> = Vec::new();
        for message in self.sip.iter().filter(between) {
            let key = (message.what.clone(), message.cseq.clone(), message.call_id.clone());
            if !seen.contains(&key) {
                ladder.push(message.what.clone());
                seen.push(key);
            }
        }
        ladder
    }

    /// The messages of a kind from one party to another.
    pub fn all(&self, what: &str, from: Party, to: Party) -> Vec<&SipMessage> {
        self.sip.iter().filter(|m| m.what == what && is_from_to(m.from, m.to, from, to)).collect()
    }

    /// The first message of a kind from one party to another.
    pub fn first(&self, what: &str, from: Party, to: Party) -> &SipMessage {
        let found = self.sip.iter().find(|m| m.what == what && is_from_to(m.from, m.to, from, to));
        found.unwrap_or_else(|| panic!("no {what} from {from:?} to {to:?} in {:#?}", self.sip))
    }

    /// RTP streams by tshark's count.
    pub fn streams(&self) -> Vec<Stream> {
        let table = tshark(&self.file, &["-q", "-o", "rtp.heuristic_rtp:TRUE", "-z", "rtp,streams"]);
        table.lines().filter_map(read_stream).collect()
    }

    /// The RTP between two parties: packets and the share that tshark misses.
    pub fn expect_clean_stream(&self, from: Party, to: Party, packets: u32) {
        let streams = self.streams();
        let between: Vec<&Stream> = streams.iter().filter(|s| is_from_to(s.from, s.to, from, to)).collect();
        let sent: u32 = between.iter().map(|s| s.packets).sum();
        let lost: i32 = between.iter().map(|s| s.lost).sum();
        assert!(sent >= packets, "{sent} packets from {from:?} to {to:?}, of {packets}: {streams:#?}");
        assert!(lost <= i32::try_from(sent / 100).expect("fits"), "{lost} lost from {from:?} to {to:?}: {streams:#?}");
    }

    /// Keys by RFC 4733 that one party sent another, by the end of each event.
    pub fn keys(&self, from: Party, to: Party) -> String {
        let mut keys = BTreeMap::new();
        for (at, packet) in self.rtp(from, to).into_iter().enumerate() {
            if packet.header.payload_type == 101 && packet.payload.len() >= 4 && packet.payload[1] & 0x80 != 0 {
                keys.entry((packet.header.ssrc, packet.header.timestamp)).or_insert((at, packet.payload[0]));
            }
        }
        let mut in_order: Vec<(usize, u8)> = keys.into_values().collect();
        in_order.sort_unstable();
        in_order.iter().map(|(_, key)| char::from(b"0123456789*#ABCD"[usize::from(key & 15)])).collect()
    }

    /// What a party heard from another, put together from its packets by their timestamps.
    pub fn sound(&self, from: Party, to: Party) -> Sound {
        let mut samples: Vec<i16> = Vec::new();
        for packet in self.rtp(from, to) {
            let mut frame = vec![0; packet.payload.len()];
            match packet.header.payload_type {
                0 => decode_ulaw(&packet.payload, &mut frame),
                8 => decode_alaw(&packet.payload, &mut frame),
                _ => continue,
            }
            samples.extend(frame);
        }
        Sound::new(samples)
    }

    /// When the TCP segments with these words left a party.
    pub fn words(&self, words: &str, from: Party) -> Vec<SystemTime> {
        let bytes = self.bytes();
        let packets = ip_packets(&bytes).into_iter().filter(|packet| packet.protocol == 6 && packet.is_from(from));
        packets.filter(|packet| packet.holds(words.as_bytes())).map(|packet| packet.at).collect()
    }

    /// A tone that one party has heard from another, in seconds altogether.
    pub fn heard(&self, from: Party, to: Party, hz: u16) -> f64 {
        self.sound(from, to).of(hz)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap_or_default()
    }

    fn rtp(&self, from: Party, to: Party) -> Vec<Packet> {
        let bytes = self.bytes();
        let datagrams = udp_datagrams(&bytes).into_iter().filter(|d| is_from_to(d.from, d.to, from, to));
        // RTCP has the odd port and packet types from 200 on, which read as payload types 72 to 76.
        let rtp = datagrams.filter(|d| {
            ![d.from.1, d.to.1].contains(&5_060) && d.to.1 % 2 == 0 && d.payload.first().is_some_and(|b| b >> 6 == 2)
        });
        rtp.filter_map(|d| Packet::unmarshal(&mut bytes::Bytes::copy_from_slice(d.payload)).ok()).collect()
    }
}

/// Whether a packet's two ends are these parties.
fn is_from_to(sender: (Ipv4Addr, u16), receiver: (Ipv4Addr, u16), from: Party, to: Party) -> bool {
    from.is_at(sender.0, sender.1) && to.is_at(receiver.0, receiver.1)
}

struct Datagram<'a> {
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    payload: &'a [u8],
}

/// An IPv4 packet of a capture.
struct IpPacket<'a> {
    at: SystemTime,
    protocol: u8,
    from: Ipv4Addr,
    to: Ipv4Addr,
    /// From the ports on.
    rest: &'a [u8],
}

impl IpPacket<'_> {
    fn port(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.rest[at], self.rest[at + 1]])
    }

    fn is_from(&self, party: Party) -> bool {
        party.is_at(self.from, self.port(0))
    }

    fn holds(&self, words: &[u8]) -> bool {
        self.rest.windows(words.len()).any(|piece| piece == words)
    }
}

/// IPv4 over Ethernet from a pcap file that may still grow; whatever else there is, is left out.
fn ip_packets(file: &[u8]) -> Vec<IpPacket<'_>> {
    let mut found = Vec::new();
    let mut rest = file.get(24..).unwrap_or_default();
    while let Some((head, tail)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let Some((frame, next)) = tail.split_at_checked(word(8) as usize) else { break };
        rest = next;
        let Some(ip) = frame.get(14..).filter(|ip| frame[12..14] == [8, 0] && ip.len() >= 20) else { continue };
        let Some(rest) = ip.get(usize::from(ip[0] & 15) * 4..).filter(|rest| rest.len() >= 8) else { continue };
        let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        let at = SystemTime::UNIX_EPOCH + Duration::new(word(0).into(), word(4) * 1_000);
        found.push(IpPacket { at, protocol: ip[9], from: address(12), to: address(16), rest });
    }
    found
}

fn udp_datagrams(file: &[u8]) -> Vec<Datagram<'_>> {
    let datagrams = ip_packets(file).into_iter().filter(|packet| packet.protocol == 17);
    let read = |packet: IpPacket<'_>| (packet.from, packet.port(0), packet.to, packet.port(2));
    datagrams
        .map(|packet| {
            let payload = &packet.rest[8..];
            let (from, from_port, to, to_port) = read(packet);
            Datagram { from: (from, from_port), to: (to, to_port), payload }
        })
        .collect()
}

fn tshark(file: &std::path::Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark").arg("-r").arg(file).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("tshark does not start ({error}): run scripts/setup.sh"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn read_sip(file: &std::path::Path) -> Vec<SipMessage> {
    let fields = ["frame.time_epoch", "ip.src", "ip.dst", "udp.srcport", "udp.dstport", "tcp.srcport", "tcp.dstport"];
    let mut arguments = vec!["-Y", "sip", "-T", "fields", "-E", "separator=|", "-E", "occurrence=f"];
    for field in fields.iter().chain(&["sip.Method", "sip.Status-Code", "sip.CSeq", "sip.Call-ID", "sip.Retry-After"]) {
        arguments.extend(["-e", field]);
    }
    let table = tshark(file, &arguments);
    table.lines().filter_map(read_message).collect()
}

fn read_message(line: &str) -> Option<SipMessage> {
    let field: Vec<&str> = line.split('|').collect();
    let [at, from, to, udp_from, udp_to, tcp_from, tcp_to, method, status, cseq, call_id, retry_after] =
        field.as_slice()
    else {
        return None;
    };
    let tcp = !tcp_from.is_empty();
    let (from_port, to_port) = if tcp { (tcp_from, tcp_to) } else { (udp_from, udp_to) };
    let since = Duration::from_secs_f64(at.parse().ok()?);
    Some(SipMessage {
        at: SystemTime::UNIX_EPOCH + since,
        from: (from.parse().ok()?, from_port.parse().ok()?),
        to: (to.parse().ok()?, to_port.parse().ok()?),
        tcp,
        // A response names the method of its request too.
        what: if status.is_empty() { (*method).to_owned() } else { (*status).to_owned() },
        cseq: (*cseq).to_owned(),
        call_id: (*call_id).to_owned(),
        retry_after: (*retry_after).to_owned(),
    })
}

/// ` 0.0  9.9  127.1.1.1  20000  127.1.1.2  16000  0x1234  g711U  500  0 (0.0%) …`
fn read_stream(line: &str) -> Option<Stream> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let source = words.iter().position(|word| word.parse::<Ipv4Addr>().is_ok())?;
    let end = |at: usize| Some((words.get(at)?.parse().ok()?, words.get(at + 1)?.parse().ok()?));
    let (from, to) = (end(source)?, end(source + 2)?);
    let ssrc = words.iter().position(|word| word.starts_with("0x"))?;
    let share = words.iter().position(|word| word.starts_with('(') && word.ends_with("%)"))?;
    let packets = words.get(share - 2).filter(|_| share - 2 > ssrc)?.parse().ok()?;
    Some(Stream { from, to, packets, lost: words.get(share - 1)?.parse().ok()? })
}

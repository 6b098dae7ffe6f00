//! One RTP leg: what it receives is judged, counted and read; what it sends is stamped, addressed and counted.
//!
//! A leg knows nothing of the other legs: the room says what it shall send.

use core::net::SocketAddr;
use core::time::Duration;

use super::command::{Direction, Formats, OpenPort, PortChange, PortId};
use super::event::{KeySource, MediaEvent, PortStats};
use super::jitter::{Content, JitterBuffer};
use super::latch::{Latch, Verdict};
use super::outbox::Outbox;
use super::stream::{OutStream, Stamp};
use crate::audio::goertzel::{HeardKey, KeyDetector};
use crate::audio::tone::{KEY_AMPLITUDE, key_frequencies, sines_at};
use crate::audio::{FRAME_LEN, FRAME_TICKS, Frame, SAMPLE_RATE_HZ, SILENCE};
use crate::ids::SecretSource;
use crate::limits::media::FORMATS_PER_PORT;
use crate::rtp::header::{RtpHeader, is_rtcp};
use crate::rtp::quality::{Arrival, Impairment, Reception};
use crate::rtp::rtcp::{self, Report, ReportBlock, RtcpPacket, SenderInfo};
use crate::rtp::telephone_event::{KeyListener, KeySender, KeyStep, TelephoneEvent, ToneStep};
use crate::time::Time;

/// The state of one leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub id: PortId,
    pub local: SocketAddr,
    pub direction: Direction,
    pub formats: Formats,
    /// Let those who hear this leg have its keys too.
    pub pass_keys: bool,
    pub listener: KeyListener,
    pub sender: KeySender,
    /// Where somebody hears this leg decoded.
    pub jitter: Option<Box<JitterBuffer>>,
    latch: Latch,
    /// RTCP shares the RTP port, as far as negotiated by now.
    rtcp_mux: bool,
    /// RTCP got a port of its own when the leg was opened; it keeps it even if sharing is negotiated later.
    has_own_rtcp: bool,
    detector: Option<Box<KeyDetector>>,
    reception: Reception,
    out: OutStream,
    reports: Reports,
    rtp_timeout: Option<Duration>,
    last_heard: Time,
    timeout_said: bool,
    bytes_in: u64,
    refused: u64,
    malformed: u64,
    /// Of jitter buffers that are gone.
    late: u64,
    concealed: u64,
}

/// RTCP of one leg.
#[derive(Debug)]
struct Reports {
    next_at: Time,
    /// Where the far end's RTCP came from.
    from: Option<SocketAddr>,
    /// Middle of the NTP time of its last sender report, and when it came.
    last_sr: Option<(u32, Time)>,
    /// Packets sent at our last report.
    reported_packets: u64,
    rtt_ms: Option<f32>,
    far_loss_percent: Option<f32>,
    far_jitter_ms: Option<f32>,
}

/// A packet that was taken.
#[derive(Debug)]
pub(super) struct Received {
    pub header: RtpHeader,
    pub content: Content,
    /// Set where the content is an event.
    pub event: Option<TelephoneEvent>,
    /// A key that ended in the audio with this packet.
    pub heard: Option<HeardKey>,
}

impl Leg {
    pub fn new(now: Time, open: &OpenPort, secrets: &mut SecretSource) -> Self {
        let mut formats = open.formats.clone();
        formats.receive.truncate(FORMATS_PER_PORT);
        Self {
            id: open.port,
            local: open.local,
            direction: open.direction,
            formats,
            pass_keys: true,
            listener: KeyListener::default(),
            sender: KeySender::default(),
            jitter: None,
            latch: Latch::new(&open.remote),
            rtcp_mux: open.remote.rtcp_mux,
            has_own_rtcp: !open.remote.rtcp_mux,
            detector: open.in_band_keys.then(Box::default),
            reception: Reception::default(),
            out: OutStream::new(secrets.u32(), secrets.u64()),
            reports: Reports {
                next_at: now + report_interval(secrets),
                from: None,
                last_sr: None,
                reported_packets: 0,
                rtt_ms: None,
                far_loss_percent: None,
                far_jitter_ms: None,
            },
            rtp_timeout: open.rtp_timeout,
            last_heard: now,
            timeout_said: false,
            bytes_in: 0,
            refused: 0,
            malformed: 0,
            late: 0,
            concealed: 0,
        }
    }

    /// Applies what signalling changed.
    pub fn update(&mut self, now: Time, change: &PortChange) {
        if let Some(remote) = &change.remote {
            self.latch.on_remote(remote);
            self.rtcp_mux = remote.rtcp_mux;
            self.reports.from = None;
        }
        if change.relatch {
            self.latch.reopen();
        }
        if let Some(formats) = &change.formats {
            self.formats = formats.clone();
            self.formats.receive.truncate(FORMATS_PER_PORT);
        }
        if let Some(direction) = change.direction {
            self.direction = direction;
        }
        if let Some(timeout) = change.rtp_timeout {
            self.rtp_timeout = timeout;
        }
        if change.direction.is_some() || change.rtp_timeout.is_some() {
            // The patience begins anew: nothing was to be expected before.
            (self.last_heard, self.timeout_said) = (now, false);
        }
        match change.in_band_keys {
            Some(true) => self.detector = self.detector.take().or_else(|| Some(Box::default())),
            Some(false) => self.detector = None,
            None => {}
        }
        self.pass_keys = change.pass_keys.unwrap_or(self.pass_keys);
    }

    /// Where to send, if we may.
    pub fn destination(&self) -> Option<SocketAddr> {
        if self.direction.sends() { self.latch.destination() } else { None }
    }

    /// Takes a datagram on the RTP port. `None`: nothing to pass on.
    pub fn receive(
        &mut self,
        now: Time,
        from: SocketAddr,
        packet: &[u8],
        say: &mut impl FnMut(MediaEvent),
    ) -> Option<Received> {
        if self.rtcp_mux && is_rtcp(packet) {
            self.on_rtcp(now, from, packet);
            return None;
        }
        let Ok(header) = RtpHeader::parse(packet) else {
            self.malformed += 1;
            return None;
        };
        match self.latch.judge(now, from, header.ssrc, header.sequence) {
            Verdict::Accept => {}
            Verdict::Latched(remote) => say(MediaEvent::Latched { port: self.id, remote }),
            Verdict::Refuse => {
                self.refused += 1;
                return None;
            }
        }
        let Some(content) = self.content_of(&header, packet) else {
            self.malformed += 1;
            return None;
        };
        let timed = matches!(content, Content::Audio(_));
        match self.reception.on_packet(now, &header, timed) {
            Arrival::Duplicate | Arrival::Stray => return None,
            Arrival::First => self.jitter.iter_mut().for_each(|jitter| jitter.restart()),
            Arrival::Next { .. } | Arrival::Late => {}
        }
        if !timed {
            self.reception.on_discontinuity();
        }
        (self.last_heard, self.timeout_said) = (now, false);
        self.bytes_in += header.payload.len() as u64;
        self.direction.receives().then(|| self.read(now, header, content, packet))
    }

    fn content_of(&self, header: &RtpHeader, packet: &[u8]) -> Option<Content> {
        if self.formats.telephone_event == Some(header.payload_type) {
            return Some(Content::Event);
        }
        let format = self.formats.receive.iter().find(|format| format.payload_type == header.payload_type);
        match (format, header.payload_type) {
            (Some(format), _) => Some(Content::Audio(format.codec)),
            (None, COMFORT_NOISE) => {
                let level = packet.get(header.payload.start).filter(|_| !header.payload.is_empty());
                Some(Content::Noise(level.map_or(127, |level| level & 0x7F)))
            }
            (None, _) => None,
        }
    }

    fn read(&mut self, now: Time, header: RtpHeader, content: Content, packet: &[u8]) -> Received {
        let payload = packet.get(header.payload.clone()).unwrap_or_default();
        if let Some(jitter) = &mut self.jitter {
            jitter.insert(header.sequence, content, payload);
        }
        let (mut event, mut heard) = (None, None);
        match content {
            Content::Event => {
                event = TelephoneEvent::parse(payload);
                if let Some(event) = event {
                    // One who sends events means them; its tones would only say the same again.
                    self.detector = None;
                    self.listener.handle_packet(now, header.ssrc, header.timestamp, event);
                }
            }
            Content::Audio(codec) => {
                heard = self.detector.as_mut().and_then(|detector| {
                    let mut samples = [0; LONGEST_PAYLOAD];
                    codec.decode(payload, &mut samples);
                    detector.listen(samples.get(..payload.len().min(LONGEST_PAYLOAD))?)
                });
            }
            Content::Noise(_) => {}
        }
        Received { header, content, event, heard }
    }

    /// What another leg sends does not reach this one for a while.
    pub fn leave_out(&mut self) {
        self.out.leave_out();
    }

    /// Sends a packet of another leg as it is, but for its header, its payload type and its law.
    pub fn forward(&mut self, now: Time, source: PortId, packet: &[u8], received: &Received, outbox: &mut Outbox) {
        let Some(to) = self.destination() else { return self.leave_out() };
        let payload = packet.get(received.header.payload.clone()).unwrap_or_default();
        let (payload_type, ticks) = match (received.content, received.event, self.formats.telephone_event) {
            (Content::Audio(_), ..) if !self.sender.is_sending() => {
                (self.formats.send.payload_type, payload.len() as u32)
            }
            (Content::Event, Some(event), Some(pt)) if !self.sender.is_sending() => (pt, u32::from(event.duration)),
            // Comfort noise was not offered by us: the listener fills the pause itself.
            _ => return self.leave_out(),
        };
        let Some(stamp) = self.out.stamp_forwarded(now, source.0, &received.header, ticks) else { return };
        let header = self.header(stamp, payload_type);
        let sent = outbox.push(self.local.port(), to, &header, payload);
        if let Content::Audio(codec) = received.content {
            codec.convert(self.formats.send.codec, sent);
        }
        self.out.on_sent(payload.len());
    }

    /// Sends 20 ms of our own making.
    pub fn send_samples(&mut self, now: Time, samples: &Frame, outbox: &mut Outbox) {
        let mut payload = [0; FRAME_LEN];
        self.formats.send.codec.encode(samples, &mut payload);
        self.send_payload(now, &payload, outbox);
    }

    /// Sends 20 ms that are encoded already.
    pub fn send_payload(&mut self, now: Time, payload: &[u8; FRAME_LEN], outbox: &mut Outbox) {
        let Some(to) = self.destination() else { return };
        let stamp = self.out.stamp_made(now, FRAME_TICKS);
        let header = self.header(stamp, self.formats.send.payload_type);
        outbox.push(self.local.port(), to, &header, payload);
        self.out.on_sent(payload.len());
    }

    /// One phase of sending keys; `true` where a key took the place of audio.
    pub fn send_key_phase(&mut self, now: Time, outbox: &mut Outbox) -> bool {
        if self.sender.is_idle() {
            return false;
        }
        match self.formats.telephone_event {
            Some(payload_type) => self.send_key_event(now, payload_type, outbox),
            None => self.send_key_tone(now, outbox),
        }
    }

    fn send_key_event(&mut self, now: Time, payload_type: u8, outbox: &mut Outbox) -> bool {
        let KeyStep::Event { event, timestamp_back, marker } = self.sender.step_event() else { return false };
        if let Some(to) = self.destination() {
            let stamp = self.out.stamp_event(now, timestamp_back, FRAME_TICKS, marker);
            outbox.push(self.local.port(), to, &self.header(stamp, payload_type), &event.write());
            self.out.on_sent(TelephoneEvent::LEN);
        }
        true
    }

    fn send_key_tone(&mut self, now: Time, outbox: &mut Outbox) -> bool {
        let ToneStep::Tone { key, at } = self.sender.step_tone() else { return false };
        let hz = key_frequencies(key).unwrap_or_default();
        let begin = at as usize * FRAME_LEN;
        let frame: Frame = core::array::from_fn(|n| sines_at(&hz, begin + n, KEY_AMPLITUDE));
        self.send_samples(now, &frame, outbox);
        true
    }

    fn header(&self, stamp: Stamp, payload_type: u8) -> [u8; 12] {
        let Stamp { sequence, timestamp, marker } = stamp;
        RtpHeader { marker, payload_type, sequence, timestamp, ssrc: self.out.ssrc(), payload: 0..0 }.write()
    }

    /// Takes a datagram on the RTCP port.
    pub fn on_rtcp(&mut self, now: Time, from: SocketAddr, compound: &[u8]) {
        if !self.latch.knows_host(from.ip()) {
            self.refused += 1;
            return;
        }
        for packet in rtcp::packets(compound) {
            match packet {
                Ok(RtcpPacket::SenderReport { ssrc, sender, reports }) => {
                    if self.reception.ssrc() == Some(ssrc) {
                        self.reports.last_sr = Some((rtcp::ntp_middle(sender.ntp), now));
                    }
                    self.on_reports(now, from, reports);
                }
                Ok(RtcpPacket::ReceiverReport { reports, .. }) => self.on_reports(now, from, reports),
                Ok(RtcpPacket::Bye | RtcpPacket::Other) => {}
                Err(_) => self.malformed += 1,
            }
        }
    }

    fn on_reports(&mut self, now: Time, from: SocketAddr, reports: rtcp::Reports<'_>) {
        self.reports.from = Some(from);
        // One who suppresses silence still reports: the line is alive.
        (self.last_heard, self.timeout_said) = (now, false);
        for block in reports.iter().filter(|block| block.ssrc == self.out.ssrc()) {
            self.reports.rtt_ms = rtcp::round_trip_ms(now, &block).or(self.reports.rtt_ms);
            let sent = self.out.packets.max(1) as f32;
            self.reports.far_loss_percent = Some((block.cumulative_lost.max(0) as f32 * 100.0 / sent).min(100.0));
            self.reports.far_jitter_ms = Some(block.jitter as f32 * 1_000.0 / SAMPLE_RATE_HZ as f32);
        }
    }

    /// What a leg does once a second: report, and notice silence.
    pub fn on_second(
        &mut self,
        now: Time,
        cname: &str,
        secrets: &mut SecretSource,
        outbox: &mut Outbox,
        say: &mut impl FnMut(MediaEvent),
    ) {
        if self.reports.next_at <= now {
            self.reports.next_at = now + report_interval(secrets);
            self.send_report(now, cname, false, outbox);
        }
        let silent = now.since(self.last_heard);
        let overdue = self.rtp_timeout.is_some_and(|timeout| silent >= timeout);
        if overdue && self.direction.receives() && !self.timeout_said {
            self.timeout_said = true;
            let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            say(MediaEvent::RtpTimeout { port: self.id, silent_ms });
        }
    }

    /// Sends SR or RR; nothing before the first packet either way.
    pub fn send_report(&mut self, now: Time, cname: &str, bye: bool, outbox: &mut Outbox) {
        let Some(rtp) = self.latch.destination() else { return };
        if self.out.packets == 0 && self.reception.received() == 0 {
            return;
        }
        let ntp = rtcp::ntp_time(now);
        let sender = (self.out.packets > self.reports.reported_packets).then(|| SenderInfo {
            ntp,
            rtp_timestamp: self.out.timestamp_at(now),
            packets: self.out.packets as u32,
            bytes: self.out.bytes as u32,
        });
        self.reports.reported_packets = self.out.packets;
        let block = self.reception.report().map(|block| self.with_last_sr(now, block));
        let report = Report { ssrc: self.out.ssrc(), sender, block, cname, bye };
        let (from_port, to) = self.rtcp_path(rtp);
        outbox.push_with(from_port, to, |bytes| report.write(bytes));
    }

    fn with_last_sr(&self, now: Time, block: ReportBlock) -> ReportBlock {
        let Some((last_sr, at)) = self.reports.last_sr else { return block };
        let delay = now.since(at).as_micros() * 65_536 / 1_000_000;
        ReportBlock { last_sr, delay_since_last_sr: u32::try_from(delay).unwrap_or(u32::MAX), ..block }
    }

    fn rtcp_path(&self, rtp: SocketAddr) -> (u16, SocketAddr) {
        if self.rtcp_mux {
            return (self.local.port(), rtp);
        }
        let next_port = SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
        (self.local.port().saturating_add(1), self.reports.from.unwrap_or(next_port))
    }

    /// Where we receive RTCP, if not on the RTP port: the port above it.
    pub fn local_rtcp(&self) -> Option<SocketAddr> {
        let above = self.local.port().checked_add(1).filter(|_| self.has_own_rtcp)?;
        Some(SocketAddr::new(self.local.ip(), above))
    }

    /// Whether RTCP was opened with a port of its own.
    pub fn has_rtcp_port(&self) -> bool {
        self.has_own_rtcp
    }

    /// The next 20 ms of what this leg says, where it is decoded.
    pub fn pull(&mut self) -> Frame {
        self.jitter.as_mut().map_or(SILENCE, |jitter| jitter.pull())
    }

    /// Begins or ends decoding.
    pub fn set_decoded(&mut self, decoded: bool) {
        match (&self.jitter, decoded) {
            (None, true) => self.jitter = Some(Box::default()),
            (Some(jitter), false) => {
                self.late += jitter.late;
                self.concealed += jitter.concealed;
                self.jitter = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// The key as an event for the switch.
    pub fn key_event(&self, key: char, duration_ms: u32, source: KeySource) -> MediaEvent {
        MediaEvent::Key { port: self.id, key, duration_ms, source }
    }

    pub fn stats(&self) -> PortStats {
        let jitter = self.jitter.as_ref();
        let late = self.late + jitter.map_or(0, |jitter| jitter.late);
        PortStats {
            packets_in: self.reception.received(),
            bytes_in: self.bytes_in,
            packets_out: self.out.packets,
            bytes_out: self.out.bytes,
            lost: self.reception.lost(),
            duplicates: self.reception.duplicates,
            reordered: self.reception.reordered,
            late,
            concealed: self.concealed + jitter.map_or(0, |jitter| jitter.concealed),
            refused: self.refused,
            malformed: self.malformed,
            jitter_ms: self.reception.jitter_ms() as f32,
            jitter_max_ms: self.reception.jitter_max_ms() as f32,
            rtt_ms: self.reports.rtt_ms,
            far_loss_percent: self.reports.far_loss_percent,
            far_jitter_ms: self.reports.far_jitter_ms,
            mos: self.mos(late),
        }
    }

    /// The E-model with what we know: half the round trip, one packet, and a jitter buffer of 40 ms or twice the jitter.
    fn mos(&self, late: u64) -> Option<f32> {
        let expected = self.reception.expected();
        if self.reception.received() == 0 {
            return None;
        }
        let missing = (self.reception.lost() + late).min(expected);
        let buffer_ms = (2.0 * self.reception.jitter_ms()).max(40.0);
        let impairment = Impairment {
            loss_percent: missing as f64 * 100.0 / expected as f64,
            burst_ratio: self.reception.burst_ratio(),
            delay_ms: f64::from(self.reports.rtt_ms.unwrap_or(0.0)) / 2.0 + 20.0 + buffer_ms,
        };
        Some(impairment.mos() as f32)
    }
}

/// Five seconds, half more or less, so that legs do not report in step (RFC 3550 §6.2).
fn report_interval(secrets: &mut SecretSource) -> Duration {
    Duration::from_millis(2_500 + u64::from(secrets.u32() % 5_000))
}

/// RFC 3389's static payload type.
const COMFORT_NOISE: u8 = 13;
/// Bytes of G.711 looked at for key tones: 120 ms.
const LONGEST_PAYLOAD: usize = 960;

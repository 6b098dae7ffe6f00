//! Keys as telephone events (RFC 4733): heard once however many packets carry them, sent with true durations.

use core::time::Duration;
use std::collections::VecDeque;

use super::{CLOCK_HZ, ticks_ahead};
use crate::limits::media::{KEY_SPAN, KEYS_QUEUED};
use crate::time::Time;

/// The payload of an event packet (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// 0–9, 10 `*`, 11 `#`, 12–15 `A`–`D`; others are no keys.
    pub event: u8,
    pub end: bool,
    /// Power below 0 dBm0, in dB, 0 to 63.
    pub volume: u8,
    /// Since the packet's timestamp, in clock ticks.
    pub duration: u16,
}

impl TelephoneEvent {
    pub const LEN: usize = 4;

    /// Reads the first event of a payload; `None` where it is too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = payload.first_chunk()?;
        Some(Self {
            event: bytes[0],
            end: bytes[1] & 0x80 != 0,
            volume: bytes[1] & 0x3F,
            duration: u16::from_be_bytes([bytes[2], bytes[3]]),
        })
    }

    pub fn write(&self) -> [u8; Self::LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | (self.volume & 0x3F), high, low]
    }

    /// The key, where it is one.
    pub fn key(&self) -> Option<char> {
        EVENT_KEYS.get(usize::from(self.event)).copied()
    }
}

/// The event code of a key (RFC 4733 §3.2); `None` for what is no key.
pub fn event_of(key: char) -> Option<u8> {
    EVENT_KEYS.iter().position(|&k| k == key.to_ascii_uppercase()).and_then(|at| u8::try_from(at).ok())
}

const EVENT_KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// A key that was pressed and released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    pub key: char,
    pub duration_ms: u32,
}

/// Hears keys. An event is told by (ssrc, timestamp).
///
/// | state | packet or time | then |
/// |---|---|---|
/// | quiet | event, no E | sounding |
/// | quiet | event with E | reported |
/// | sounding | same event, no E | sounding, longer |
/// | sounding | same event with E | reported |
/// | sounding | a later event | the first reported as far as heard, the later one sounding |
/// | sounding | nothing for three packets | reported as far as heard: all three ends were lost |
/// | reported | same event | ignored: a repeated or late end |
#[derive(Debug, Default)]
pub struct KeyListener {
    sounding: Option<Sounding>,
    /// The event told last, by (ssrc, timestamp).
    reported: Option<(u32, u32)>,
    presses: VecDeque<KeyPress>,
}

#[derive(Clone, Copy, Debug)]
struct Sounding {
    ssrc: u32,
    timestamp: u32,
    key: char,
    duration: u16,
    last_at: Time,
    /// Between its last two packets.
    spacing: Duration,
}

impl KeyListener {
    /// Takes an event packet that passed the duplicate filter or not; repeats do no harm.
    pub fn handle_packet(&mut self, now: Time, ssrc: u32, timestamp: u32, event: TelephoneEvent) {
        let Some(key) = event.key() else { return };
        if self.is_old(ssrc, timestamp) {
            return;
        }
        match &mut self.sounding {
            Some(known) if (known.ssrc, known.timestamp) == (ssrc, timestamp) => {
                known.duration = known.duration.max(event.duration);
                known.spacing = now.since(known.last_at).clamp(SHORTEST_SPACING, LONGEST_SPACING);
                known.last_at = now;
            }
            Some(_) | None => {
                self.report();
                let (duration, spacing) = (event.duration, LONGEST_SPACING);
                self.sounding = Some(Sounding { ssrc, timestamp, key, duration, last_at: now, spacing });
            }
        }
        if event.end {
            self.report();
        }
    }

    /// Ends an event whose ends were all lost.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.report();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        // RFC 4733 §2.5.2.2: three packet intervals without a packet end the event.
        self.sounding.map(|known| known.last_at + known.spacing * 3)
    }

    /// The next key heard.
    pub fn poll_key(&mut self) -> Option<KeyPress> {
        self.presses.pop_front()
    }

    /// Whether the packet belongs to an event already told, or to one before it.
    fn is_old(&self, ssrc: u32, timestamp: u32) -> bool {
        let behind = |&(known_ssrc, known): &(u32, u32)| {
            known_ssrc == ssrc && (0..=LATE_TICKS).contains(&ticks_ahead(known, timestamp))
        };
        let sounding_before = self.sounding.map(|known| (known.ssrc, known.timestamp.wrapping_sub(1)));
        self.reported.as_ref().is_some_and(behind) || sounding_before.as_ref().is_some_and(behind)
    }

    fn report(&mut self) {
        let Some(known) = self.sounding.take() else { return };
        self.reported = Some((known.ssrc, known.timestamp));
        let duration_ms = u32::from(known.duration) * 1_000 / CLOCK_HZ;
        self.presses.push_back(KeyPress { key: known.key, duration_ms });
    }
}

const SHORTEST_SPACING: Duration = Duration::from_millis(20);
const LONGEST_SPACING: Duration = Duration::from_millis(50);
/// How late a packet of a past event may be, in ticks: five seconds. Further back the sender has begun anew.
const LATE_TICKS: i64 = 5 * CLOCK_HZ as i64;

/// Sends keys, one step for each 20 ms phase.
///
/// A key is one event: packets at each phase with growing duration, and the end three times. Audio stops meanwhile.
#[derive(Debug, Default)]
pub struct KeySender {
    queue: VecDeque<QueuedKey>,
    sending: Option<Sending>,
    /// Phases of silence still to keep after the last key.
    gap_left: u32,
}

#[derive(Clone, Copy, Debug)]
struct QueuedKey {
    event: u8,
    key: char,
    phases: u32,
    gap_phases: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    key: QueuedKey,
    /// Phases since the key went down.
    at: u32,
}

/// What a phase of sending asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// Nothing to send: audio flows.
    Audio,
    /// This packet, in place of audio. `timestamp_back` is how far the event's begin lies behind this phase, in ticks.
    Event { event: TelephoneEvent, timestamp_back: u32, marker: bool },
}

/// What a phase of sending in audio asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToneStep {
    Audio,
    /// The tones of this key, `at` phases after they began.
    Tone {
        key: char,
        at: u32,
    },
}

impl KeySender {
    /// Queues keys; what is no key is left out, and so is what exceeds the queue. Says how many were taken.
    pub fn push(&mut self, keys: &str, key_span: Duration, gap: Duration) -> usize {
        let phases = phases_of(key_span.clamp(KEY_SPAN.0, KEY_SPAN.1));
        let before = self.queue.len();
        for key in keys.chars() {
            if let Some(event) = event_of(key)
                && self.queue.len() < KEYS_QUEUED
            {
                let gap_phases = phases_of(gap.clamp(KEY_SPAN.0, KEY_SPAN.1));
                self.queue.push_back(QueuedKey { event, key, phases, gap_phases });
            }
        }
        self.queue.len() - before
    }

    pub fn is_idle(&self) -> bool {
        self.sending.is_none() && self.queue.is_empty() && self.gap_left == 0
    }

    /// Whether a key is down now, so that audio must not be sent.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// One phase of sending as telephone events.
    pub fn step_event(&mut self) -> KeyStep {
        let Some(sending) = self.next_phase() else { return KeyStep::Audio };
        let Sending { key, at } = sending;
        let end = at + 1 >= key.phases;
        let elapsed = (at + 1).min(key.phases);
        if at + 1 == key.phases + END_REPEATS - 1 {
            self.finish(key);
        }
        let duration = u16::try_from(elapsed * PHASE_TICKS).unwrap_or(u16::MAX);
        KeyStep::Event {
            event: TelephoneEvent { event: key.event, end, volume: VOLUME, duration },
            timestamp_back: at * PHASE_TICKS,
            marker: at == 0,
        }
    }

    /// One phase of sending as tones in the audio.
    pub fn step_tone(&mut self) -> ToneStep {
        let Some(Sending { key, at }) = self.next_phase() else { return ToneStep::Audio };
        if at + 1 == key.phases {
            self.finish(key);
        }
        ToneStep::Tone { key: key.key, at }
    }

    /// The phase to send now, with the state moved on by one.
    fn next_phase(&mut self) -> Option<Sending> {
        if self.gap_left > 0 {
            self.gap_left -= 1;
            return None;
        }
        let now = match self.sending {
            Some(sending) => sending,
            None => Sending { key: self.queue.pop_front()?, at: 0 },
        };
        self.sending = Some(Sending { at: now.at + 1, ..now });
        Some(now)
    }

    fn finish(&mut self, key: QueuedKey) {
        self.sending = None;
        self.gap_left = key.gap_phases;
    }
}

fn phases_of(span: Duration) -> u32 {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    u32::try_from(ms.div_ceil(PHASE_MS)).unwrap_or(u32::MAX)
}

/// One step of sending, in milliseconds.
const PHASE_MS: u64 = 20;
/// One step of sending, in clock ticks.
const PHASE_TICKS: u32 = 160;
/// The end goes out three times (RFC 4733 §2.5.1.4).
const END_REPEATS: u32 = 3;
/// −10 dBm0, what telephones send.
const VOLUME: u8 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SSRC: u32 = 77;

    /// The packets of one key: (offset in ms, event), every 20 ms, its end three times.
    fn packets(event: u8, ms: u64) -> Vec<(u64, TelephoneEvent)> {
        let steps = ms / 20;
        (1..=steps + 2)
            .map(|n| {
                let duration = (n.min(steps) * 160) as u16;
                (n * 20, TelephoneEvent { event, end: n >= steps, volume: 10, duration })
            })
            .collect()
    }

    fn heard(listener: &mut KeyListener) -> String {
        core::iter::from_fn(|| listener.poll_key()).map(|press| press.key).collect()
    }

    #[test]
    fn a_key_is_heard_once_with_its_length() {
        let mut listener = KeyListener::default();
        for (ms, event) in packets(5, 120) {
            listener.handle_packet(Time::from_millis(ms), SSRC, 1_000, event);
        }
        assert_eq!(listener.poll_key(), Some(KeyPress { key: '5', duration_ms: 120 }));
        assert_eq!(listener.poll_key(), None);
        assert_eq!(listener.poll_timeout(), None);
    }

    #[test]
    fn a_key_whose_ends_are_all_lost_is_heard_after_three_packets_of_silence() {
        let mut listener = KeyListener::default();
        for (ms, event) in packets(11, 120).into_iter().filter(|(_, event)| !event.end) {
            listener.handle_packet(Time::from_millis(ms), SSRC, 1_000, event);
        }
        assert_eq!(listener.poll_timeout(), Some(Time::from_millis(100 + 60)));
        listener.handle_timeout(Time::from_millis(159));
        assert_eq!(heard(&mut listener), "");
        listener.handle_timeout(Time::from_millis(160));
        assert_eq!(heard(&mut listener), "#");
        // The end comes after all: nothing new.
        let (_, late) = packets(11, 120)[6];
        listener.handle_packet(Time::from_millis(300), SSRC, 1_000, late);
        assert_eq!(heard(&mut listener), "");
    }

    #[test]
    fn the_same_key_twice_is_two_even_without_any_end_between() {
        let mut listener = KeyListener::default();
        for timestamp in [1_000, 3_000] {
            for (ms, event) in packets(1, 80).into_iter().filter(|(_, event)| !event.end) {
                listener.handle_packet(Time::from_millis(ms), SSRC, timestamp, event);
            }
        }
        assert_eq!(heard(&mut listener), "1");
        listener.handle_timeout(Time::from_secs(9));
        assert_eq!(heard(&mut listener), "1");
    }

    #[test]
    fn a_late_packet_of_the_key_before_changes_nothing() {
        let mut listener = KeyListener::default();
        let now = Time::from_millis(20);
        let event = |event, end| TelephoneEvent { event, end, volume: 10, duration: 160 };
        listener.handle_packet(now, SSRC, 1_000, event(1, true));
        listener.handle_packet(now, SSRC, 3_000, event(2, false));
        listener.handle_packet(now, SSRC, 1_000, event(1, true));
        listener.handle_packet(now, SSRC, 500, event(9, true));
        listener.handle_packet(now, SSRC, 3_000, event(2, true));
        assert_eq!(heard(&mut listener), "12");
    }

    #[test]
    fn timestamps_may_wrap_between_keys() {
        let mut listener = KeyListener::default();
        let event = |event| TelephoneEvent { event, end: true, volume: 10, duration: 800 };
        listener.handle_packet(Time::EPOCH, SSRC, u32::MAX - 100, event(3));
        listener.handle_packet(Time::EPOCH, SSRC, 4_000, event(4));
        assert_eq!(heard(&mut listener), "34");
    }

    #[test]
    fn other_events_and_cut_payloads_are_no_keys() {
        let mut listener = KeyListener::default();
        let flash = TelephoneEvent { event: 16, end: true, volume: 0, duration: 800 };
        listener.handle_packet(Time::EPOCH, SSRC, 1, flash);
        assert_eq!(heard(&mut listener), "");
        assert_eq!(TelephoneEvent::parse(&[1, 2, 3]), None);
        assert_eq!(TelephoneEvent::parse(&flash.write()), Some(flash));
        assert_eq!((event_of('*'), event_of('d'), event_of('x')), (Some(10), Some(15), None));
    }

    #[test]
    fn a_sent_key_grows_ends_three_times_and_keeps_its_gap() {
        let mut sender = KeySender::default();
        assert_eq!(sender.push("7x8", Duration::from_millis(100), Duration::from_millis(40)), 2);
        let steps: Vec<KeyStep> = (0..20).map(|_| sender.step_event()).collect();
        let shape = |step: &KeyStep| match step {
            KeyStep::Audio => None,
            KeyStep::Event { event, timestamp_back, marker } => {
                Some((event.key().unwrap(), event.duration, event.end, *timestamp_back, *marker))
            }
        };
        let first: Vec<_> = steps[..7].iter().map(shape).collect();
        assert_eq!(
            first,
            [
                Some(('7', 160, false, 0, true)),
                Some(('7', 320, false, 160, false)),
                Some(('7', 480, false, 320, false)),
                Some(('7', 640, false, 480, false)),
                Some(('7', 800, true, 640, false)),
                Some(('7', 800, true, 800, false)),
                Some(('7', 800, true, 960, false)),
            ]
        );
        assert_eq!(steps[7..9], [KeyStep::Audio, KeyStep::Audio]);
        assert_eq!(shape(&steps[9]), Some(('8', 160, false, 0, true)));
        assert_eq!(steps[16..], [KeyStep::Audio; 4]);
        assert!(sender.is_idle());
    }

    #[test]
    fn no_key_is_shorter_or_longer_than_its_span() {
        let phases = |span: Duration| {
            let mut sender = KeySender::default();
            sender.push("1", span, Duration::ZERO);
            let sent = core::iter::from_fn(|| Some(sender.step_event())).take_while(|step| *step != KeyStep::Audio);
            // The end is said three times, the first in the last phase.
            sent.count() - 2
        };
        let of = |span: Duration| usize::try_from(span.as_millis() / 20).unwrap();
        assert_eq!((phases(Duration::ZERO), phases(Duration::from_secs(60))), (of(KEY_SPAN.0), of(KEY_SPAN.1)));
    }

    #[test]
    fn keys_beyond_the_queue_are_refused() {
        let mut sender = KeySender::default();
        let taken = sender.push(&"1".repeat(KEYS_QUEUED + 9), Duration::ZERO, Duration::ZERO);
        assert_eq!(taken, KEYS_QUEUED);
    }

    proptest! {
        /// Whatever is lost, doubled or swapped: as long as one packet of each key comes, each is heard once and in order.
        #[test]
        fn each_key_is_heard_once_under_loss_and_repetition(
            keys in proptest::collection::vec(0_u8..16, 1..8),
            fates in proptest::collection::vec(0_u8..4, 80),
        ) {
            let mut listener = KeyListener::default();
            let mut said = String::new();
            let mut fates = fates.into_iter().cycle();
            for (n, &key) in keys.iter().enumerate() {
                let begin = n as u64 * 300;
                let all = packets(key, 100);
                for (at, (ms, event)) in all.iter().enumerate() {
                    let now = Time::from_millis(begin + ms);
                    listener.handle_timeout(now);
                    let copies = match fates.next() {
                        Some(0) if at != 2 => 0,
                        Some(3) => 2,
                        _ => 1,
                    };
                    for _ in 0..copies {
                        listener.handle_packet(now, SSRC, (begin * 8) as u32, *event);
                    }
                    said.push_str(&heard(&mut listener));
                }
            }
            listener.handle_timeout(Time::from_secs(1_000));
            said.push_str(&heard(&mut listener));
            let pressed: String = keys.iter().map(|&key| EVENT_KEYS[usize::from(key)]).collect();
            prop_assert_eq!(said, pressed);
        }
    }
}

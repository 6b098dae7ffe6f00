//! What a media engine says to the switch: the whole vocabulary.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::command::{PlayId, PortId};
use crate::ids::RecordingId;

/// What happened in the media plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum MediaEvent {
    /// The far end's media address is settled: three packets in order came from there.
    Latched { port: PortId, remote: SocketAddr },
    /// A key was pressed and released. Once a key, however many packets carried it.
    Key { port: PortId, key: char, duration_ms: u32, source: KeySource },
    /// A play list ended.
    PlayDone { play: PlayId, end: PlayEnd },
    /// No packet for the port's timeout. Said once, until packets come again.
    RtpTimeout { port: PortId, silent_ms: u64 },
    /// The last word on a port, once its sockets are given back.
    Closed { port: PortId, stats: PortStats },
    /// The port cannot be used: its sockets would not bind, or the room is full. `Closed` follows.
    PortFailed { port: PortId, reason: String },
    /// Nobody has spoken for the plan's span. Said once a recording; `spoken`: somebody had before.
    RecordingSilent { recording: RecordingId, spoken: bool },
    /// The file is complete and its header is right.
    RecordingSealed { recording: RecordingId, duration_ms: u64, bytes: u64 },
    /// The file could not be written, or not to its end; what is there is readable up to `duration_ms`.
    RecordingFailed { recording: RecordingId, duration_ms: u64, reason: String },
    /// The disk is behind by this much audio. Said when it crosses a second, and when it has caught up (0).
    RecordingLag { behind_ms: u64 },
}

/// How a key reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// RFC 4733 telephone events.
    TelephoneEvent,
    /// Tones in the audio.
    InBand,
}

/// How a play list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayEnd {
    /// To its last sample.
    Completed,
    /// By `StopPlay`, or because its room or its only listener went.
    Stopped,
    /// It could not begin: the room or the listener is not there, or the room is full.
    Refused,
}

/// One leg in figures. Incoming is what we received from the far end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortStats {
    pub packets_in: u64,
    /// RTP payload bytes.
    pub bytes_in: u64,
    pub packets_out: u64,
    /// RTP payload bytes.
    pub bytes_out: u64,
    /// Expected but never seen (RFC 3550 §A.3).
    pub lost: u64,
    /// Seen twice; the second was dropped.
    pub duplicates: u64,
    /// Came after a packet with a later number.
    pub reordered: u64,
    /// Came too late to be played (counted where we decode).
    pub late: u64,
    /// Frames made up for missing ones (counted where we decode).
    pub concealed: u64,
    /// Datagrams from addresses that are not the far end's.
    pub refused: u64,
    /// Datagrams that were no RTP, or of a payload type not agreed on.
    pub malformed: u64,
    /// Interarrival jitter at the end, in milliseconds (RFC 3550 §A.8).
    pub jitter_ms: f32,
    /// The largest jitter seen, in milliseconds.
    pub jitter_max_ms: f32,
    /// Round trip by RTCP, in milliseconds; `None` where the far end sent no report.
    pub rtt_ms: Option<f32>,
    /// What the far end reports as lost of what we sent, in percent; `None` as above.
    pub far_loss_percent: Option<f32>,
    /// What the far end reports as jitter, in milliseconds; `None` as above.
    pub far_jitter_ms: Option<f32>,
    /// Estimated mean opinion score of what we received, 1.0 to 4.5 (ITU-T G.107, simplified); `None` without audio.
    pub mos: Option<f32>,
}

impl PortStats {
    /// Incoming loss in percent of what was expected; 0 where nothing was.
    pub fn loss_percent(&self) -> f64 {
        let expected = self.packets_in + self.lost;
        if expected == 0 { 0.0 } else { self.lost as f64 * 100.0 / expected as f64 }
    }
}

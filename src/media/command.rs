//! What the switch says to a media engine: the whole vocabulary.
//!
//! A **room** belongs to one call and lives on one engine. It holds **ports** (legs with an RTP address of their
//! own), **plays** (clips and tones being played) and the two **tracks** of a recording. Who hears whom is a matrix:
//!
//! | wanted | rows |
//! |---|---|
//! | bridge | `a: [b]`, `b: [a]` |
//! | hold with music | `a: []`, `b: []`, and a looping [`Play`] to `a` |
//! | IVR | `a: []`, and a [`Play`] to `a` |
//! | silent monitor | `supervisor: [a, b]` |
//! | whisper | `agent: [caller, supervisor]`, the caller's row unchanged |
//! | barge | every row names all others |
//! | blind transfer | rewrite one row |
//!
//! Commands never fail towards the switch: one that names what is not there (a port closed a moment ago) is counted and
//! dropped; work that fails outside comes back as a [`super::MediaEvent`].

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audio::clip::Clip;
use crate::audio::tone::{Tone, TonePlan};
use crate::codec::Codec;
use crate::ids::RecordingId;

macro_rules! number_name {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
    )*};
}

number_name! {
    /// One leg's place in the media plane. The switch counts them up and never uses one twice.
    PortId;
    /// The room of one call. Its 20 ms phase is `id mod 20`, so that counting up spreads the load.
    RoomId;
    /// One running play list. The switch counts them up and never uses one twice.
    PlayId;
}

/// What the switch says to the engine that owns the room.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// Take an RTP port into use and put it into a room. Silent both ways until a row or a play says otherwise.
    Open(OpenPort),
    /// Change what a re-INVITE, an answer or the dialplan changed.
    Update { port: PortId, change: PortChange },
    /// Put a port into another room of the same engine, keeping its stream. Its rows in both rooms become empty.
    Move { port: PortId, room: RoomId },
    /// Replace the named rows of the hear matrix, all in one step.
    Hear { room: RoomId, rows: Vec<HearRow> },
    /// Play sounds. Ends with exactly one `PlayDone`.
    Play(Play),
    /// Stop a play list now. Already done: nothing happens.
    StopPlay { room: RoomId, play: PlayId },
    /// Send keys to the far end of a leg: RFC 4733 where it takes telephone events, tones in its audio where not.
    SendKeys(SendKeys),
    /// Begin a recording of the room.
    StartRecording(RecordingPlan),
    /// Put a port on a track of a running recording, or take it off both (`None`).
    SetTrack { recording: RecordingId, port: PortId, track: Option<Track> },
    /// While masked, the file gets silence: the timeline stays true, the secret is not in it.
    MaskRecording { recording: RecordingId, masked: bool },
    /// End a recording. `RecordingSealed` or `RecordingFailed` follows once the disk has it.
    StopRecording { recording: RecordingId },
    /// Remove the file of a recording that has ended and that nobody wants.
    RemoveRecording { path: PathBuf },
    /// Close a leg. `Closed` with its statistics follows.
    Close { port: PortId },
    /// Close everything in a room: plays stop, recordings are sealed, legs report `Closed`.
    CloseRoom { room: RoomId },
}

/// A leg to open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPort {
    pub port: PortId,
    pub room: RoomId,
    /// Where we receive: the leased RTP port on our media address. RTCP is on the port above, unless multiplexed.
    pub local: SocketAddr,
    pub remote: Remote,
    pub formats: Formats,
    pub direction: Direction,
    /// Report `RtpTimeout` after this long without a packet while we expect some; `None` never does.
    pub rtp_timeout: Option<Duration>,
    /// Listen for key tones in the audio too: for legs that offer no telephone events.
    pub in_band_keys: bool,
}

/// Where a leg's far end is, as far as signalling knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The address of its session description. `None` before the first one.
    pub expected: Option<SocketAddr>,
    /// The address its signalling comes from: media from there is taken where the session description's address is
    /// behind a NAT. `None` takes the described address only.
    pub signalling: Option<IpAddr>,
    /// RTP and RTCP share one port (`a=rtcp-mux`, RFC 5761).
    pub rtcp_mux: bool,
}

/// The payload types of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats {
    /// What we send.
    pub send: PayloadFormat,
    /// What we take, the one we send included.
    pub receive: Vec<PayloadFormat>,
    /// Payload type of telephone events both ways (RFC 4733), where negotiated.
    pub telephone_event: Option<u8>,
}

/// A payload type and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadFormat {
    /// 0 to 127.
    pub payload_type: u8,
    pub codec: Codec,
}

impl Formats {
    /// One codec both ways with its static payload type.
    pub fn only(codec: Codec, telephone_event: Option<u8>) -> Self {
        let format = PayloadFormat { payload_type: codec.static_payload_type(), codec };
        Self { send: format, receive: vec![format], telephone_event }
    }
}

/// Which way audio may flow, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    SendReceive,
    /// We send only: nobody listens to what comes in, and its absence is no timeout.
    SendOnly,
    /// We receive only.
    ReceiveOnly,
    Inactive,
}

impl Direction {
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }
}

/// What to change of a leg; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortChange {
    /// A new far end. We send there at once, and learn anew where its packets come from.
    pub remote: Option<Remote>,
    /// Learn anew where packets come from although the far end is the same (any re-INVITE may move it behind its NAT).
    pub relatch: bool,
    pub formats: Option<Formats>,
    pub direction: Option<Direction>,
    /// `Some(None)` switches the timeout off.
    pub rtp_timeout: Option<Option<Duration>>,
    pub in_band_keys: Option<bool>,
    /// `false` keeps this leg's keys from those who hear it (a secure step); they are still reported to the switch.
    pub pass_keys: Option<bool>,
}

/// One row of the hear matrix: whom a port hears, in place of whomever it heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HearRow {
    pub port: PortId,
    pub hears: Vec<Source>,
}

/// What can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Port(PortId),
    Play(PlayId),
}

/// Sounds to play, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    pub room: RoomId,
    pub play: PlayId,
    pub to: Audience,
    /// Played without a gap. An empty list is done at once.
    pub sounds: Vec<Sound>,
    pub repeat: Repeat,
}

/// Who hears a play, besides those whose row names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One port, mixed with whatever its row says; with an empty row it hears this alone.
    Port(PortId),
    /// Every port of the room, those that come later included.
    Room,
    /// Only those whose row names it.
    Rows,
}

/// One thing to play.
#[derive(Clone, Debug, PartialEq)]
pub enum Sound {
    Clip(Arc<Clip>),
    /// One cadence period of a tone.
    Tone(Tone, TonePlan),
    Silence(Duration),
}

/// How often a play list is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Once,
    /// Until `StopPlay`.
    Forever,
}

/// Keys to send on a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendKeys {
    pub port: PortId,
    /// `0`–`9`, `*`, `#`, `A`–`D`; anything else is left out.
    pub keys: String,
    /// How long each key is held; clamped to `limits::media::KEY_SPAN`.
    pub key_span: Duration,
    /// Silence between keys.
    pub gap: Duration,
}

impl SendKeys {
    /// Keys held for 100 ms with 100 ms between them, which every receiver takes (Q.24 asks for 40 and 40).
    pub fn new(port: PortId, keys: impl Into<String>) -> Self {
        Self { port, keys: keys.into(), key_span: Duration::from_millis(100), gap: Duration::from_millis(100) }
    }
}

/// A recording to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingPlan {
    pub room: RoomId,
    pub recording: RecordingId,
    /// The file to make; the recorder makes its folder too.
    pub path: PathBuf,
    pub layout: Layout,
    /// The ports heard on the left: the caller's side.
    pub left: Vec<PortId>,
    /// The ports heard on the right: the agent's side.
    pub right: Vec<PortId>,
    /// Report `RecordingSilent` once nobody has spoken for so long; `None` never does.
    pub silence: Option<Duration>,
}

/// How the tracks lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Stereo,
    /// Both tracks mixed into one channel: voicemail.
    Mono,
}

/// A side of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Track {
    /// The caller's side.
    Left,
    /// The agent's side.
    Right,
}

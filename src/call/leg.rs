//! One leg of a call: a party, its dialog, its media, and where it stands.

use std::net::{IpAddr, SocketAddr};

use crate::cause::Cause;
use crate::event::{Address, MediaStats, Role};
use crate::ids::{AgentName, LegId};
use crate::media::{PlayId, PortId, PortStats};
use crate::sdp::{AudioSession, AudioStream};
use crate::sip::event::SessionId;

/// A leg.
#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    pub role: Role,
    pub address: Address,
    /// Set where the leg was dialled for a signed-in agent.
    pub agent: Option<AgentName>,
    pub session: SessionId,
    pub media: LegMedia,
    pub state: LegState,
    /// The far side put us on hold by its own key (re-INVITE `sendonly` or `inactive`).
    pub holds_us: bool,
    /// What the leg hears from us instead of, or besides, another leg.
    pub playing: Option<Playing>,
}

/// Where a leg stands.
///
/// ```text
/// Trying ──180/183──▶ Ringing ──2xx──▶ Answered ──BYE, timeout──▶ Ending ──port closed──▶ gone
///    └──────────────failure, CANCEL──────────────────────────────▶ Ending
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// An INVITE is out, or one of the caller's is not answered yet.
    Trying,
    Ringing,
    Answered,
    /// The dialog is over; the media engine still owes its statistics.
    Ending(Cause),
}

/// A leg's media: its port on an engine and what was negotiated for it.
#[derive(Debug)]
pub struct LegMedia {
    pub port: PortId,
    /// Where we receive.
    pub local: SocketAddr,
    /// Where the far side is told to send: `local`, or the public address.
    pub advertised: SocketAddr,
    /// What each target of our INVITE was told; the one that answers decides. Empty where all were told the same.
    pub told: Vec<IpAddr>,
    pub sdp: AudioSession,
    /// What is agreed; `None` before the first answer.
    pub stream: Option<AudioStream>,
    /// The engine was told to open it.
    pub open: bool,
}

/// One play to a leg, and what its end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playing {
    pub play: PlayId,
    pub purpose: Purpose,
}

/// Why something is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A dialplan's prompt; its end goes back to the machine under this ticket.
    Ivr(crate::ivr::PlayTicket),
    /// Music while waiting or held; never ends by itself.
    Music,
    /// A queue announcement between two stretches of music.
    Announcement,
    Ringback,
    /// The beep before a message; recording starts at its end.
    Beep,
    /// What overflow says before the caller goes.
    Overflow,
}

impl Leg {
    pub fn is_answered(&self) -> bool {
        self.state == LegState::Answered
    }

    /// Whether the far side is still there in any state of ringing or talking.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, LegState::Ending(_))
    }

    /// The agreed codec's name; empty before there is one.
    pub fn codec_name(&self) -> String {
        self.media.stream.as_ref().map_or_else(String::new, |s| s.codec.name().to_owned())
    }
}

/// A port's figures as a call record keeps them.
pub fn media_stats(port: &PortStats) -> MediaStats {
    MediaStats {
        packets_received: port.packets_in,
        packets_sent: port.packets_out,
        bytes_received: port.bytes_in,
        bytes_sent: port.bytes_out,
        packets_lost: port.lost,
        jitter_ms: port.jitter_ms,
        jitter_max_ms: port.jitter_max_ms,
        far_loss: port.far_loss_percent.map(|percent| percent / 100.0),
        round_trip_ms: port.rtt_ms,
        mos: port.mos,
    }
}

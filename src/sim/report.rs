//! What a simulated phone or trunk says about itself: the vocabulary that behaviours, oracles and the load
//! generator read.

use core::fmt;
use std::net::SocketAddr;

use super::rsip_wire::WireError;
use crate::codec::Codec;

/// One call of one phone or trunk, in the order it made or took them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub u32);

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}", self.0)
    }
}

/// Something that happened at a simulated phone or trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneReport {
    /// The registrar holds our contact for that many seconds.
    Registered { expires_s: u32 },
    /// Our contact was taken away as we asked.
    Unregistered,
    /// The registrar refused (its status), or never answered (408).
    RegistrationFailed { status: u16 },
    /// Trunk only: the switch registered that user's contact with us; zero seconds means it took it back.
    PeerRegistered { user: String, contact: String, expires_s: u32 },
    /// A local RTP port is wanted from now on for that call: packets may arrive.
    MediaOpened { call: CallKey, local: SocketAddr },
    /// Our call out made progress: 180, 183 and other provisional answers above 100.
    Progress { call: CallKey, status: u16 },
    /// A call came in and waits for our answer.
    Ringing(Ringing),
    /// Both sides agreed on media (also early, and again after each re-INVITE).
    Media { call: CallKey, path: MediaPath },
    /// The call is up: our INVITE got its 2xx, or our 2xx got its ACK.
    Answered { call: CallKey },
    /// The answer of our hold, resume or move re-INVITE: 200, or the status that refused it.
    Reinvited { call: CallKey, status: u16 },
    /// The far side changed the session by re-INVITE; the `Media` report before it says to what.
    ReinvitedByPeer { call: CallKey },
    /// Play that digit as RFC 4733 events on the call's media path. In simulation the media model hears it.
    Press { call: CallKey, digit: char, duration_ms: u32 },
    /// A digit arrived by INFO.
    Digit { call: CallKey, digit: char },
    /// How our blind transfer goes: the answer of the REFER (202), then the statuses of its NOTIFYs.
    Transfer { call: CallKey, status: u16 },
    /// A 2xx beyond the first came to our INVITE from another fork: it was acknowledged and given up with BYE.
    ForkReleased { call: CallKey, to_tag: String },
    /// The call is over.
    Ended { call: CallKey, ending: Ending },
    /// rsip could not read a message; it was dropped.
    Unreadable(WireError),
    /// A request arrived that belongs to no call of ours, and was refused with that status.
    Stray { status: u16 },
}

/// A call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ringing {
    pub call: CallKey,
    /// User part of the Request-URI: what was dialled towards us.
    pub dialled: String,
    /// User part and display name of From.
    pub from: String,
    pub from_display: Option<String>,
    /// User part of P-Asserted-Identity, where the switch sent one.
    pub asserted: Option<String>,
    /// X-CTI-Call: joins this call to the offer on the CTI socket.
    pub cti_call: Option<String>,
}

/// Who decided that a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    Us,
    Them,
    /// A transaction found no answer.
    Silence,
}

/// How a call ended: `status` is the final status of the INVITE; 200 means it was answered and ended by BYE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    pub status: u16,
    pub by: EndedBy,
}

/// Where a call's media goes, and in which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPath {
    /// Where we receive and send from (symmetric RTP, RFC 4961).
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub codec: Codec,
    /// Payload type of telephone-event (RFC 4733), where both sides have it.
    pub event_payload_type: Option<u8>,
    /// We may send.
    pub send: bool,
    /// The far side may send.
    pub receive: bool,
}

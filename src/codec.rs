//! The audio codecs there are, by the names and numbers of RFC 3551 §6. How they sound is in `audio`, how they are
//! negotiated in `sdp`.

use serde::{Deserialize, Serialize};

/// One codec. More are added as variants; everything else asks the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// G.711 μ-law.
    Pcmu,
}

impl Codec {
    /// Every codec, in the order we like them by default.
    pub const ALL: [Codec; 2] = [Codec::Pcma, Codec::Pcmu];

    /// The encoding name as `a=rtpmap` and configurations write it.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
        }
    }

    /// RTP clock, Hz.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Pcma | Codec::Pcmu => 8_000,
        }
    }

    pub const fn channels(self) -> u8 {
        match self {
            Codec::Pcma | Codec::Pcmu => 1,
        }
    }

    /// The payload type that needs no `a=rtpmap`.
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
        }
    }
}

//! The audio codecs we negotiate, and how each stands in a session description (RFC 3551 Table 4).

/// One codec. More are added as variants; everything else asks the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    Pcmu,
    Pcma,
}

impl Codec {
    /// Every codec, in the order we like them by default.
    pub const ALL: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    /// The encoding name of `a=rtpmap`.
    pub const fn encoding(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// RTP clock, Hz.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    pub const fn channels(self) -> u8 {
        1
    }

    /// The payload type that needs no `a=rtpmap`, where the codec has one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
        }
    }

    /// The codec that an `a=rtpmap` value's second half names: `PCMA/8000`, `opus/48000/2`. Case does not matter.
    pub fn from_rtpmap(mapping: &str) -> Option<Codec> {
        let mut parts = mapping.split('/');
        let encoding = parts.next()?;
        let clock_rate: u32 = parts.next()?.parse().ok()?;
        let channels: u8 = parts.next().map_or(Ok(1), str::parse).ok()?;
        Codec::ALL.into_iter().find(|codec| {
            codec.encoding().eq_ignore_ascii_case(encoding)
                && codec.clock_rate() == clock_rate
                && codec.channels() == channels
        })
    }

    /// The codec a payload type means where no `a=rtpmap` says otherwise.
    pub fn from_static(payload_type: u8) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.static_payload_type() == Some(payload_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtpmap_names_match_in_any_case_and_only_at_their_clock_rate() {
        assert_eq!(Codec::from_rtpmap("pcma/8000"), Some(Codec::Pcma));
        assert_eq!(Codec::from_rtpmap("PCMU/8000/1"), Some(Codec::Pcmu));
        assert_eq!(Codec::from_rtpmap("PCMU/16000"), None);
        assert_eq!(Codec::from_rtpmap("PCMU"), None);
        assert_eq!(Codec::from_rtpmap("G729/8000"), None);
    }
}

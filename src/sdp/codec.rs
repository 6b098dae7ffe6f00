//! How a codec is named in a session description (RFC 8866 §6.6, RFC 3551 Table 4).

use crate::codec::Codec;

impl Codec {
    /// The codec that an `a=rtpmap` value's second half names: `PCMA/8000`, `opus/48000/2`. Case does not matter.
    pub fn from_rtpmap(mapping: &str) -> Option<Codec> {
        let mut parts = mapping.split('/');
        let encoding = parts.next()?;
        let clock_rate: u32 = parts.next()?.parse().ok()?;
        let channels: u8 = parts.next().map_or(Ok(1), str::parse).ok()?;
        Codec::ALL.into_iter().find(|codec| {
            codec.name().eq_ignore_ascii_case(encoding)
                && codec.clock_rate() == clock_rate
                && codec.channels() == channels
        })
    }

    /// The codec a payload type means where no `a=rtpmap` says otherwise.
    pub fn from_static(payload_type: u8) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.static_payload_type() == payload_type)
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

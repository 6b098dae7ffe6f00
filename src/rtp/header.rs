//! The RTP header (RFC 3550 §5.1): a view that costs a dozen nanoseconds, for the forwarding path.

use core::ops::Range;

/// What a packet says about itself, and where its payload lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence: u16,
    /// In ticks of the payload's clock.
    pub timestamp: u32,
    pub ssrc: u32,
    /// The payload inside the packet: behind CSRCs and extension, before the padding.
    pub payload: Range<usize>,
}

/// The bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRtp {
    #[error("shorter than its header")]
    Short,
    #[error("not version 2")]
    Version,
    #[error("more padding than payload")]
    Padding,
}

/// Bytes of a header without CSRCs and extension: all that we ever write.
pub const HEADER_LEN: usize = 12;

impl RtpHeader {
    /// Reads a header. The payload may be empty.
    pub fn parse(packet: &[u8]) -> Result<Self, NotRtp> {
        let fixed: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(NotRtp::Short)?;
        if fixed[0] >> 6 != 2 {
            return Err(NotRtp::Version);
        }
        let csrcs = usize::from(fixed[0] & 0x0F);
        let mut start = HEADER_LEN + 4 * csrcs;
        if fixed[0] & 0x10 != 0 {
            // RFC 3550 §5.3.1: two bytes for the profile, two for the length in words, that many words.
            let length = packet.get(start + 2..start + 4).ok_or(NotRtp::Short)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]));
        }
        let mut end = packet.len();
        if start > end {
            return Err(NotRtp::Short);
        }
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(packet[end - 1]);
            if padding == 0 || padding > end - start {
                return Err(NotRtp::Padding);
            }
            end -= padding;
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: start..end,
        })
    }

    /// The fixed header as bytes; `payload` is not looked at.
    pub fn write(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | (self.payload_type & 0x7F);
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }
}

/// Whether a datagram on a multiplexed port is RTCP (RFC 5761 §4: packet types 192 to 223).
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_packet_reads_and_writes_back() {
        let packet = [0x80, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3];
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.payload, 12..15);
        assert_eq!((header.marker, header.payload_type, header.sequence), (true, 0, 0x1234));
        assert_eq!((header.timestamp, header.ssrc), (160, 0xDEAD_BEEF));
        assert_eq!(header.write(), packet[..12]);
    }

    #[test]
    fn csrcs_extension_and_padding_are_no_payload() {
        let mut packet = vec![0xB2, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([9; 8]); // two CSRCs
        packet.extend([0xBE, 0xDE, 0, 1, 7, 7, 7, 7]); // extension of one word
        packet.extend(*b"sound");
        packet.extend([0, 0, 3]); // padding
        assert_eq!(RtpHeader::parse(&packet).unwrap().payload, 28..33);
        assert_eq!(&packet[28..33], b"sound");
    }

    #[test]
    fn lying_lengths_are_refused() {
        let ok = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(RtpHeader::parse(&ok).unwrap().payload, 12..12);
        assert_eq!(RtpHeader::parse(&ok[..11]), Err(NotRtp::Short));
        assert_eq!(RtpHeader::parse(&[]), Err(NotRtp::Short));
        let with = |first: u8, tail: &[u8]| {
            let mut packet = ok.to_vec();
            packet[0] = first;
            packet.extend(tail);
            RtpHeader::parse(&packet)
        };
        assert_eq!(with(0x40, &[]), Err(NotRtp::Version));
        assert_eq!(with(0x8F, &[0; 59]), Err(NotRtp::Short), "15 CSRCs of which one byte is missing");
        assert_eq!(with(0x90, &[0, 0, 0xFF, 0xFF]), Err(NotRtp::Short), "an extension longer than the packet");
        assert_eq!(with(0x90, &[0, 0]), Err(NotRtp::Short), "an extension without its length");
        assert_eq!(with(0xA0, &[1, 2, 4]), Err(NotRtp::Padding), "more padding than payload");
        assert_eq!(with(0xA0, &[1, 2, 0]), Err(NotRtp::Padding), "padding counts itself");
        assert_eq!(with(0xA0, &[]), Err(NotRtp::Padding));
    }

    #[test]
    fn rtcp_on_the_same_port_is_told_by_its_type() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x80, 192]) && is_rtcp(&[0x80, 223]));
        assert!(!is_rtcp(&[0x80, 0x80]) && !is_rtcp(&[0x80, 0x80 | 101]) && !is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(packet in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(header) = RtpHeader::parse(&packet) {
                prop_assert!(packet.get(header.payload).is_some());
            }
        }
    }
}

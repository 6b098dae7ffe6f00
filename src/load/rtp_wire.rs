//! The foreign RTP codec: the one file that knows the `rtp` crate (and `webrtc-util`, where its traits live).

use ::rtp::header::Header;
use ::rtp::packet::Packet;
use webrtc_util::marshal::{Marshal, Unmarshal};

/// One RTP packet (RFC 3550 §5.1) of a simulated phone: no extension, no contributing sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    /// In ticks of 125 µs.
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

impl RtpPacket {
    /// The datagram.
    pub fn write(&self) -> Vec<u8> {
        let header = Header {
            version: 2,
            marker: self.marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        let packet = Packet { header, payload: self.payload.clone().into() };
        // Marshalling fails only where the buffer is too small, and it makes its own.
        packet.marshal().map(|bytes| bytes.to_vec()).unwrap_or_default()
    }

    /// Reads a datagram; `None` where it is no RTP, or RTCP on the same port (RFC 5761 §4).
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        // Version 2 only. The crate slices a short header extension unchecked, and our switch sends none.
        if first >> 6 != 2 || first & 0x10 != 0 || (192..=223).contains(&second) {
            return None;
        }
        let packet = Packet::unmarshal(&mut &*bytes).ok()?;
        Some(Self {
            payload_type: packet.header.payload_type,
            marker: packet.header.marker,
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            ssrc: packet.header.ssrc,
            payload: packet.payload.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let packet = RtpPacket {
            payload_type: 8,
            marker: true,
            sequence: 65_535,
            timestamp: 4_294_967_200,
            ssrc: 0xdead_beef,
            payload: vec![0xd5; 160],
        };
        let bytes = packet.write();
        assert_eq!(bytes.len(), 172);
        assert_eq!(bytes[..2], [0x80, 0x88]);
        assert_eq!(RtpPacket::read(&bytes), Some(packet));
    }

    #[test]
    fn what_is_no_rtp_is_not_heard() {
        assert_eq!(RtpPacket::read(b""), None);
        assert_eq!(RtpPacket::read(b"SIP/2.0 200 OK"), None);
        let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        assert_eq!(RtpPacket::read(&receiver_report), None);
        let short_extension = [0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x1f, 0, 0, 0];
        assert_eq!(RtpPacket::read(&short_extension), None);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = RtpPacket::read(&bytes);
        }
    }
}

//! RTCP as far as a telephone needs it: sender and receiver reports, CNAME, BYE (RFC 3550 §6).
//!
//! Our own, because reading three fields and writing sixty bytes without allocation is shorter than wrapping a library
//! of boxed packets; tests meet foreign senders on the wire.

use crate::time::Time;

/// What one packet of a compound tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    SenderReport {
        ssrc: u32,
        sender: SenderInfo,
        reports: Reports<'a>,
    },
    ReceiverReport {
        ssrc: u32,
        reports: Reports<'a>,
    },
    Bye,
    /// SDES, APP, feedback and whatever else we have no use for.
    Other,
}

/// The sender's half of a sender report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender's clock: seconds since 1900 and their fraction.
    pub ntp: u64,
    /// The same instant in its RTP clock.
    pub rtp_timestamp: u32,
    pub packets: u32,
    /// Payload bytes.
    pub bytes: u32,
}

/// How one source is received (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Whose packets these figures are about.
    pub ssrc: u32,
    /// Lost since the last report, of 256.
    pub fraction_lost: u8,
    /// Lost since the beginning; negative where duplicates outnumber losses. 24 bits.
    pub cumulative_lost: i32,
    pub highest_sequence: u32,
    /// In ticks of the payload's clock.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender report; 0 before the first.
    pub last_sr: u32,
    /// Since that report, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// The bytes are no RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no RTCP: {0}")]
pub struct NotRtcp(&'static str);

/// Walks a compound packet; ends after the first packet that cannot be read.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Result<RtcpPacket<'_>, NotRtcp>> {
    let mut rest = compound;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let packet = split_packet(rest).and_then(|(packet, after)| {
            rest = after;
            parse(packet)
        });
        if packet.is_err() {
            rest = &[];
        }
        Some(packet)
    })
}

fn split_packet(bytes: &[u8]) -> Result<(&[u8], &[u8]), NotRtcp> {
    let head: &[u8; 4] = bytes.first_chunk().ok_or(NotRtcp("shorter than its header"))?;
    if head[0] >> 6 != 2 {
        return Err(NotRtcp("not version 2"));
    }
    let len = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
    bytes.split_at_checked(len).ok_or(NotRtcp("shorter than its length"))
}

fn parse(packet: &[u8]) -> Result<RtcpPacket<'_>, NotRtcp> {
    let (count, kind) = (usize::from(packet[0] & 0x1F), packet[1]);
    match kind {
        SENDER_REPORT => {
            let body: &[u8; 24] = packet.get(4..).and_then(<[u8]>::first_chunk).ok_or(NotRtcp("a cut report"))?;
            let sender = SenderInfo {
                ntp: (u64::from(u32_at(body, 4)) << 32) | u64::from(u32_at(body, 8)),
                rtp_timestamp: u32_at(body, 12),
                packets: u32_at(body, 16),
                bytes: u32_at(body, 20),
            };
            Ok(RtcpPacket::SenderReport { ssrc: u32_at(body, 0), sender, reports: Reports::of(packet, 28, count)? })
        }
        RECEIVER_REPORT if packet.len() >= 8 => {
            Ok(RtcpPacket::ReceiverReport { ssrc: u32_at(packet, 4), reports: Reports::of(packet, 8, count)? })
        }
        RECEIVER_REPORT => Err(NotRtcp("a cut report")),
        BYE => Ok(RtcpPacket::Bye),
        _ => Ok(RtcpPacket::Other),
    }
}

/// The report blocks of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports<'a> {
    /// Whole blocks of 24 bytes.
    blocks: &'a [u8],
}

impl<'a> Reports<'a> {
    fn of(packet: &'a [u8], at: usize, count: usize) -> Result<Self, NotRtcp> {
        let blocks = packet.get(at..at + count * BLOCK_LEN).ok_or(NotRtcp("fewer reports than it says"))?;
        Ok(Self { blocks })
    }

    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        self.blocks.chunks_exact(BLOCK_LEN).map(|block| ReportBlock {
            ssrc: u32_at(block, 0),
            fraction_lost: block[4],
            cumulative_lost: ((u32_at(block, 4) << 8) as i32) >> 8,
            highest_sequence: u32_at(block, 8),
            jitter: u32_at(block, 12),
            last_sr: u32_at(block, 16),
            delay_since_last_sr: u32_at(block, 20),
        })
    }
}

/// What we report about ourselves and our source. `sender` makes it a sender report.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    pub ssrc: u32,
    pub sender: Option<SenderInfo>,
    pub block: Option<ReportBlock>,
    /// Names the endpoint across its streams (RFC 7022); cut at 255 bytes.
    pub cname: &'a str,
    /// Say goodbye in the same compound.
    pub bye: bool,
}

impl Report<'_> {
    /// Appends the compound: SR or RR, SDES with CNAME, and BYE where asked.
    pub fn write(&self, out: &mut Vec<u8>) {
        let blocks = u8::from(self.block.is_some());
        match &self.sender {
            Some(sender) => {
                put_head(out, blocks, SENDER_REPORT, 6 + 6 * u16::from(blocks));
                put(out, [self.ssrc, (sender.ntp >> 32) as u32, sender.ntp as u32]);
                put(out, [sender.rtp_timestamp, sender.packets, sender.bytes]);
            }
            None => {
                put_head(out, blocks, RECEIVER_REPORT, 1 + 6 * u16::from(blocks));
                put(out, [self.ssrc]);
            }
        }
        if let Some(block) = &self.block {
            let lost = (block.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF) as u32) & 0xFF_FFFF;
            put(out, [block.ssrc, (u32::from(block.fraction_lost) << 24) | lost, block.highest_sequence]);
            put(out, [block.jitter, block.last_sr, block.delay_since_last_sr]);
        }
        self.write_cname(out);
        if self.bye {
            put_head(out, 1, BYE, 1);
            put(out, [self.ssrc]);
        }
    }

    /// SDES with one chunk: SSRC, CNAME item, at least one zero, padded to words (RFC 3550 §6.5).
    fn write_cname(&self, out: &mut Vec<u8>) {
        let name = &self.cname.as_bytes()[..self.cname.len().min(255)];
        let padded = (2 + name.len() + 1).next_multiple_of(4);
        put_head(out, 1, SDES, 1 + (padded / 4) as u16);
        put(out, [self.ssrc]);
        let end = out.len() + padded;
        out.extend([CNAME, name.len() as u8]);
        out.extend(name);
        out.resize(end, 0);
    }
}

fn put_head(out: &mut Vec<u8>, count: u8, kind: u8, words_after_head: u16) {
    out.extend([0x80 | count, kind]);
    out.extend(words_after_head.to_be_bytes());
}

fn put<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    words.iter().for_each(|word| out.extend(word.to_be_bytes()));
}

/// `now` as NTP time: seconds since 1900 in the upper half, their fraction in the lower (RFC 3550 §4).
pub fn ntp_time(now: Time) -> u64 {
    let micros = now.as_micros() % 1_000_000;
    ((now.as_secs() + SECONDS_1900_TO_1970) << 32) | ((micros << 32) / 1_000_000)
}

/// The middle half of an NTP time: 1/65536 s, as report blocks carry it.
pub const fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// Round trip by a report about us: arrival − last SR − delay since (RFC 3550 §6.4.1), in milliseconds.
/// `None` where the far end had no sender report of ours, or answers with a time that cannot be.
pub fn round_trip_ms(now: Time, block: &ReportBlock) -> Option<f32> {
    if block.last_sr == 0 {
        return None;
    }
    let ticks = ntp_middle(ntp_time(now)).wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_last_sr);
    // Beyond a minute it is a stale or a made-up report; the smallest negative wraps to far beyond.
    (ticks < 60 * 65_536).then(|| ticks as f32 * 1_000.0 / 65_536.0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const CNAME: u8 = 1;
const BLOCK_LEN: usize = 24;
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SENDER: SenderInfo = SenderInfo { ntp: 0x0102_0304_0506_0708, rtp_timestamp: 9, packets: 10, bytes: 1_600 };
    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 7,
        fraction_lost: 12,
        cumulative_lost: -3,
        highest_sequence: 70_000,
        jitter: 40,
        last_sr: 0x0304_0506,
        delay_since_last_sr: 65_536,
    };

    fn written(report: Report<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        report.write(&mut bytes);
        bytes
    }

    #[test]
    fn a_compound_of_ours_reads_back() {
        let report = Report { ssrc: 5, sender: Some(SENDER), block: Some(BLOCK), cname: "strowger", bye: true };
        let bytes = written(report);
        let read: Vec<_> = packets(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 3);
        let RtcpPacket::SenderReport { ssrc, sender, reports } = read[0] else { panic!("{:?}", read[0]) };
        assert_eq!((ssrc, sender), (5, SENDER));
        assert_eq!(reports.iter().collect::<Vec<_>>(), [BLOCK]);
        assert_eq!((read[1], read[2]), (RtcpPacket::Other, RtcpPacket::Bye));
    }

    #[test]
    fn one_who_only_listens_sends_a_receiver_report() {
        for cname in ["", "a", "ab", "abc", "abcd", &"x".repeat(300)] {
            let bytes = written(Report { ssrc: 5, sender: None, block: None, cname, bye: false });
            assert_eq!(bytes.len() % 4, 0, "{cname}");
            let read: Vec<_> = packets(&bytes).collect::<Result<_, _>>().unwrap();
            assert!(matches!(read[..], [RtcpPacket::ReceiverReport { ssrc: 5, .. }, RtcpPacket::Other]), "{read:?}");
        }
    }

    #[test]
    fn lying_lengths_end_the_walk() {
        let good = written(Report { ssrc: 5, sender: None, block: Some(BLOCK), cname: "c", bye: false });
        let mut more_blocks = good.clone();
        more_blocks[0] = 0x9F;
        assert_eq!(packets(&more_blocks).collect::<Vec<_>>(), [Err(NotRtcp("fewer reports than it says"))]);
        let mut longer = good.clone();
        longer[3] = 200;
        assert_eq!(packets(&longer).collect::<Vec<_>>(), [Err(NotRtcp("shorter than its length"))]);
        assert!(packets(&good[..3]).next().unwrap().is_err());
        assert!(packets(&[0x80, 200, 0, 0]).next().unwrap().is_err());
        assert!(packets(&[0x80, 201, 0, 0]).next().unwrap().is_err());
    }

    #[test]
    fn the_round_trip_is_what_the_report_leaves_over() {
        let sent = Time::from_millis(1_795_271_464_123);
        let block = ReportBlock { last_sr: ntp_middle(ntp_time(sent)), delay_since_last_sr: 2 * 65_536, ..BLOCK };
        let rtt = round_trip_ms(sent + Duration::from_millis(2_080), &block).unwrap();
        assert!((rtt - 80.0).abs() < 0.1, "{rtt}");
        assert_eq!(round_trip_ms(sent, &block), None, "an answer before the question");
        assert_eq!(round_trip_ms(sent, &ReportBlock { last_sr: 0, ..block }), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for packet in packets(&bytes).flatten() {
                if let RtcpPacket::SenderReport { reports, .. } | RtcpPacket::ReceiverReport { reports, .. } = packet {
                    prop_assert!(reports.iter().count() <= 31);
                }
            }
        }
    }
}

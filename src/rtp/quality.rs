//! How well a stream arrives: sequence, loss and jitter (RFC 3550 appendix A), and the E-model's verdict (ITU-T G.107).

use super::rtcp::ReportBlock;
use super::{CLOCK_HZ, RtpHeader, sequence_ahead};
use crate::time::Time;

/// Counts one incoming stream over all the SSRCs its sender goes through.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    current: Option<Source>,
    /// Expected and received of the SSRCs before.
    past_expected: u64,
    past_received: u64,
    pub duplicates: u64,
    pub reordered: u64,
    /// Runs of lost packets, for the burst ratio.
    gaps: u64,
    jitter_max: f64,
    /// Expected and received at the last report.
    reported: (u64, u64),
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    /// First sequence number, extended.
    base: u64,
    /// Highest sequence number, extended: turns of the 16-bit circle in the upper bits.
    highest: u64,
    received: u64,
    /// Which of the 64 numbers up to `highest` have been seen; bit 0 is `highest`.
    seen: u64,
    /// The number a restarted sender would continue with (RFC 3550 A.1 `bad_seq`).
    restart: Option<u16>,
    /// Arrival minus timestamp of the last timed packet, in ticks.
    transit: Option<i64>,
    jitter: f64,
}

/// Where a packet stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first of a stream, or of one that began anew.
    First,
    /// Later than all before; `skipped` numbers are missing in between.
    Next { skipped: u16 },
    /// Earlier than another that came before it.
    Late,
    /// Seen already: to be dropped.
    Duplicate,
    /// A wild jump: to be dropped until the next packet confirms it.
    Stray,
}

impl Reception {
    /// Counts a packet. `timed` says whether its timestamp moves with the clock (telephone events' does not).
    pub fn on_packet(&mut self, now: Time, header: &RtpHeader, timed: bool) -> Arrival {
        let arrival = match &mut self.current {
            Some(source) if source.ssrc == header.ssrc => source.on_sequence(header.sequence),
            _ => Arrival::First,
        };
        match arrival {
            Arrival::First => self.begin(header),
            Arrival::Next { skipped } => self.gaps += u64::from(skipped > 0),
            Arrival::Late => self.reordered += 1,
            Arrival::Duplicate => self.duplicates += 1,
            Arrival::Stray => {}
        }
        if timed
            && !matches!(arrival, Arrival::Duplicate | Arrival::Stray)
            && let Some(source) = &mut self.current
        {
            source.on_transit(now, header.timestamp);
            self.jitter_max = self.jitter_max.max(source.jitter);
        }
        arrival
    }

    /// Forgets the last transit, so that a pause or a jump of the sender's clock does not count as jitter.
    pub fn on_discontinuity(&mut self) {
        if let Some(source) = &mut self.current {
            source.transit = None;
        }
    }

    fn begin(&mut self, header: &RtpHeader) {
        (self.past_expected, self.past_received) = (self.expected(), self.received());
        let first = (1 << 16) + u64::from(header.sequence);
        self.current = Some(Source {
            ssrc: header.ssrc,
            base: first,
            highest: first,
            received: 1,
            seen: 1,
            restart: None,
            transit: None,
            jitter: self.current.as_ref().map_or(0.0, |source| source.jitter),
        });
    }

    /// The sender's SSRC.
    pub fn ssrc(&self) -> Option<u32> {
        self.current.as_ref().map(|source| source.ssrc)
    }

    pub fn expected(&self) -> u64 {
        self.past_expected + self.current.as_ref().map_or(0, |source| source.highest - source.base + 1)
    }

    /// Without duplicates.
    pub fn received(&self) -> u64 {
        self.past_received + self.current.as_ref().map_or(0, |source| source.received)
    }

    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received())
    }

    /// Interarrival jitter now, in milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        ticks_to_ms(self.current.as_ref().map_or(0.0, |source| source.jitter))
    }

    pub fn jitter_max_ms(&self) -> f64 {
        ticks_to_ms(self.jitter_max)
    }

    /// How much burstier than random the losses come: mean run of losses over that of random loss, at least 1.
    pub fn burst_ratio(&self) -> f64 {
        if self.gaps == 0 || self.expected() == 0 {
            return 1.0;
        }
        let mean_run = self.lost() as f64 / self.gaps as f64;
        let received_share = 1.0 - self.lost() as f64 / self.expected() as f64;
        (mean_run * received_share).max(1.0)
    }

    /// The report block about this stream, and the begin of the next interval. The caller adds the SR times.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let source = self.current.as_ref()?;
        let (expected, received) = (self.expected(), self.received());
        let new_expected = expected - self.reported.0;
        let new_lost = new_expected.saturating_sub(received - self.reported.1);
        let fraction = (new_lost * 256).checked_div(new_expected).unwrap_or(0).min(255);
        let block = ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: i32::try_from(self.lost()).unwrap_or(i32::MAX),
            highest_sequence: source.highest.wrapping_sub(1 << 16) as u32,
            jitter: source.jitter as u32,
            last_sr: 0,
            delay_since_last_sr: 0,
        };
        self.reported = (expected, received);
        Some(block)
    }
}

impl Source {
    fn on_sequence(&mut self, sequence: u16) -> Arrival {
        let ahead = sequence_ahead(sequence, self.highest as u16);
        match ahead {
            1..=MAX_DROPOUT => {
                let step = u64::from(ahead.unsigned_abs());
                self.highest += step;
                self.seen = if step < 64 { self.seen << step | 1 } else { 1 };
                self.received += 1;
                self.restart = None;
                Arrival::Next { skipped: (step - 1) as u16 }
            }
            MAX_MISORDER..=0 => self.on_late(ahead.unsigned_abs()),
            _ if self.restart == Some(sequence) => Arrival::First,
            _ => {
                self.restart = Some(sequence.wrapping_add(1));
                Arrival::Stray
            }
        }
    }

    fn on_late(&mut self, behind: u32) -> Arrival {
        let before_base = self.highest - u64::from(behind) < self.base;
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        if before_base || bit == 0 || self.seen & bit != 0 {
            return Arrival::Duplicate;
        }
        self.seen |= bit;
        self.received += 1;
        Arrival::Late
    }

    /// RFC 3550 A.8: jitter follows the mean deviation of the transit time with a gain of 1/16.
    fn on_transit(&mut self, now: Time, timestamp: u32) {
        let arrival = now.as_micros().wrapping_mul(8) / 1_000;
        let transit = i64::from((arrival as u32).wrapping_sub(timestamp) as i32);
        if let Some(last) = self.transit {
            // Both are on a 32-bit circle, and so is their difference.
            let deviation = f64::from(transit.wrapping_sub(last) as i32).abs();
            if deviation < JUMP_TICKS {
                self.jitter += (deviation - self.jitter) / 16.0;
            }
        }
        self.transit = Some(transit);
    }
}

fn ticks_to_ms(ticks: f64) -> f64 {
    ticks * 1_000.0 / f64::from(CLOCK_HZ)
}

/// RFC 3550 A.1.
const MAX_DROPOUT: i32 = 3_000;
/// RFC 3550 A.1, as a distance behind.
const MAX_MISORDER: i32 = -100;
/// A step of the sender's clock rather than jitter: two seconds.
const JUMP_TICKS: f64 = 2.0 * CLOCK_HZ as f64;

/// What the E-model is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    pub loss_percent: f64,
    /// From [`Reception::burst_ratio`]; 1 is random loss.
    pub burst_ratio: f64,
    /// Mouth to ear, in milliseconds.
    pub delay_ms: f64,
}

impl Impairment {
    /// Transmission rating R (ITU-T G.107, simplified) for G.711 with concealment: Ie 0, Bpl 25.1 (G.113 appendix I).
    pub fn rating(&self) -> f64 {
        let delay = 0.024 * self.delay_ms + 0.11 * (self.delay_ms - 177.3).max(0.0);
        let loss = 95.0 * self.loss_percent / (self.loss_percent / self.burst_ratio.max(1.0) + 25.1);
        93.2 - delay - loss
    }

    /// Estimated mean opinion score, 1.0 to 4.5 (G.107 annex B).
    pub fn mos(&self) -> f64 {
        let r = self.rating().clamp(0.0, 100.0);
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { marker: false, payload_type: 0, sequence, timestamp, ssrc: 1, payload: 12..172 }
    }

    /// Feeds sequence numbers 20 ms apart, each on time.
    fn feed(reception: &mut Reception, numbers: impl IntoIterator<Item = u16>) -> Vec<Arrival> {
        let on_time = |n: u16| (Time::from_millis(20 * u64::from(n)), header(n, 160 * u32::from(n)));
        numbers.into_iter().map(on_time).map(|(now, header)| reception.on_packet(now, &header, true)).collect()
    }

    #[test]
    fn loss_order_and_repetition_are_counted_apart() {
        let mut reception = Reception::default();
        let arrivals = feed(&mut reception, [10, 11, 11, 14, 13, 15]);
        assert_eq!(
            arrivals,
            [
                Arrival::First,
                Arrival::Next { skipped: 0 },
                Arrival::Duplicate,
                Arrival::Next { skipped: 2 },
                Arrival::Late,
                Arrival::Next { skipped: 0 },
            ]
        );
        assert_eq!((reception.expected(), reception.received(), reception.lost()), (6, 5, 1));
        assert_eq!((reception.duplicates, reception.reordered), (1, 1));
    }

    #[test]
    fn a_day_of_wrapping_numbers_loses_nothing() {
        let mut reception = Reception::default();
        let packets = 24 * 3_600 * 50_u64;
        for n in 0..packets {
            let header = header(n.wrapping_add(65_000) as u16, (n as u32).wrapping_mul(160).wrapping_sub(9_000));
            reception.on_packet(Time::from_millis(20 * n), &header, true);
        }
        assert_eq!((reception.expected(), reception.lost()), (packets, 0));
        assert!(reception.jitter_max_ms() < 0.001);
    }

    #[test]
    fn jitter_follows_the_formula_of_the_rfc() {
        let mut reception = Reception::default();
        // Every second packet is 10 ms late: each deviation is 80 ticks, so jitter nears 80 ticks, 10 ms.
        for n in 0..200_u16 {
            let late = u64::from(n % 2) * 10;
            reception.on_packet(Time::from_millis(20 * u64::from(n) + late), &header(n, 160 * u32::from(n)), true);
        }
        assert!((reception.jitter_ms() - 10.0).abs() < 0.1, "{}", reception.jitter_ms());
    }

    #[test]
    fn one_stray_packet_is_dropped_and_a_restart_is_followed() {
        let mut reception = Reception::default();
        feed(&mut reception, 0..10);
        assert_eq!(feed(&mut reception, [40_000, 10]), [Arrival::Stray, Arrival::Next { skipped: 0 }]);
        assert_eq!(feed(&mut reception, [40_000, 40_001, 40_002])[1..], [Arrival::First, Arrival::Next { skipped: 0 }]);
        assert_eq!((reception.expected(), reception.lost()), (13, 0));
    }

    #[test]
    fn a_change_of_ssrc_keeps_the_counts() {
        let mut reception = Reception::default();
        feed(&mut reception, [0, 1, 3]);
        let other = RtpHeader { ssrc: 2, ..header(500, 0) };
        assert_eq!(reception.on_packet(Time::from_secs(9), &other, true), Arrival::First);
        assert_eq!((reception.expected(), reception.lost(), reception.ssrc()), (5, 1, Some(2)));
    }

    #[test]
    fn a_report_tells_the_loss_since_the_last_one() {
        let mut reception = Reception::default();
        assert_eq!(reception.report(), None);
        feed(&mut reception, (0..100).filter(|n| n % 4 != 1));
        let block = reception.report().unwrap();
        assert_eq!((block.cumulative_lost, block.highest_sequence), (25, 99));
        assert_eq!(block.fraction_lost, 64);
        feed(&mut reception, 100..200);
        assert_eq!(reception.report().unwrap().fraction_lost, 0);
    }

    #[test]
    fn losses_in_runs_have_a_higher_burst_ratio() {
        let mut scattered = Reception::default();
        feed(&mut scattered, (0..1_000).filter(|n| n % 20 != 7));
        let mut bursty = Reception::default();
        feed(&mut bursty, (0..1_000).filter(|n| n % 200 >= 10 || *n == 0));
        assert_eq!(scattered.burst_ratio(), 1.0);
        assert!(bursty.burst_ratio() > 5.0, "{}", bursty.burst_ratio());
    }

    #[test]
    fn the_e_model_gives_the_known_scores() {
        let mos = |loss_percent, delay_ms| Impairment { loss_percent, burst_ratio: 1.0, delay_ms }.mos();
        assert!((mos(0.0, 0.0) - 4.409).abs() < 0.005, "R 93.2 is MOS 4.41");
        assert!((mos(0.0, 150.0) - 4.33).abs() < 0.02);
        assert!(mos(5.0, 50.0) < 4.0 && mos(5.0, 50.0) > 3.3);
        assert!(mos(0.0, 400.0) < mos(0.0, 200.0));
        assert!(mos(100.0, 2_000.0) >= 1.0);
        let burst = Impairment { loss_percent: 5.0, burst_ratio: 4.0, delay_ms: 50.0 }.mos();
        assert!(burst < mos(5.0, 50.0), "bursts hurt more");
    }
}

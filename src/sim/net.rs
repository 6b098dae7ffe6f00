//! The wires between the switch and everybody else: delays, losses and doubles for datagrams, order for streams.

use core::time::Duration;
use std::collections::BTreeMap;

use super::chance::happens;
use super::fault::Weather;
use crate::ids::IdSource;
use crate::sip::flow::{FlowId, Source};
use crate::sip::framing::{Frame, Framer};
use crate::time::Time;

/// See the module.
pub struct Net {
    dice: IdSource,
    weather: Weather,
    streams: BTreeMap<FlowId, Stream>,
    next_flow: u64,
}

/// One TCP connection between a party and the switch.
struct Stream {
    party: usize,
    source: Source,
    framer: Framer,
    /// When the last bytes arrive, each way: nothing overtakes on a stream.
    last_in: Time,
    last_out: Time,
}

/// The flows below are those of listeners.
const FIRST_CONNECTION: u64 = 100;

impl Net {
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self { dice: IdSource::from_seed(seed), weather, streams: BTreeMap::new(), next_flow: FIRST_CONNECTION }
    }

    /// When the copies of a datagram sent now arrive: none where it is lost.
    pub fn arrivals(&mut self, now: Time) -> Vec<Time> {
        let copies = if happens(&mut self.dice, self.weather.double_permille) { 2 } else { 1 };
        let mut times = Vec::new();
        for _ in 0..copies {
            if !happens(&mut self.dice, self.weather.loss_permille) {
                times.push(now + self.weather.delay.draw(&mut self.dice));
            }
        }
        times
    }

    /// A connection between that party and us, `source` being how the switch sees it but for its id.
    pub fn connect(&mut self, now: Time, party: usize, source: Source) -> FlowId {
        let flow = FlowId(self.next_flow);
        self.next_flow += 1;
        let source = Source { flow, ..source };
        self.streams.insert(flow, Stream { party, source, framer: Framer::new(), last_in: now, last_out: now });
        flow
    }

    /// The party at the other end of an open connection.
    pub fn party_of(&self, flow: FlowId) -> Option<usize> {
        self.streams.get(&flow).map(|stream| stream.party)
    }

    /// When bytes written to a connection now arrive; in order, never lost.
    pub fn stream_arrival(&mut self, now: Time, flow: FlowId, to_switch: bool) -> Option<Time> {
        let delay = self.weather.delay.draw(&mut self.dice);
        let stream = self.streams.get_mut(&flow)?;
        let last = if to_switch { &mut stream.last_in } else { &mut stream.last_out };
        *last = (now + delay).max(*last);
        Some(*last)
    }

    /// Where a message is cut in transit.
    pub fn cuts<'a>(&mut self, bytes: &'a [u8]) -> [&'a [u8]; 2] {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let at = if happens(&mut self.dice, 300) { self.dice.below(length.max(1)) } else { 0 };
        let (head, tail) = bytes.split_at_checked(usize::try_from(at).unwrap_or(0)).unwrap_or((bytes, &[]));
        [head, tail]
    }

    /// Bytes arrived at the switch: the frames that are complete now, with where they came from.
    pub fn read(&mut self, flow: FlowId, bytes: &[u8]) -> Vec<(Source, Frame)> {
        let Some(stream) = self.streams.get_mut(&flow) else { return Vec::new() };
        stream.framer.feed(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = stream.framer.poll() {
            frames.push((stream.source, frame));
        }
        frames
    }

    /// Breaks every connection; who had which.
    pub fn drop_all(&mut self) -> Vec<(FlowId, usize)> {
        core::mem::take(&mut self.streams).into_iter().map(|(flow, stream)| (flow, stream.party)).collect()
    }

    /// Breaks one party's connections.
    pub fn drop_of(&mut self, party: usize) -> Vec<FlowId> {
        let gone: Vec<FlowId> =
            self.streams.iter().filter(|(_, stream)| stream.party == party).map(|(flow, _)| *flow).collect();
        self.streams.retain(|_, stream| stream.party != party);
        gone
    }
}

/// What it takes until an ICMP message or a reset is back.
pub const BOUNCE: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::chance::Spread;
    use crate::sip::flow::Transport;

    fn net() -> Net {
        let delay = Spread::millis(1, 300);
        Net::new(3, Weather { loss_permille: 200, double_permille: 100, delay })
    }

    #[test]
    fn datagrams_are_lost_doubled_and_reordered_as_the_weather_says() {
        let mut net = net();
        let arrivals: Vec<Vec<Time>> = (0..10_000).map(|_| net.arrivals(Time::EPOCH)).collect();
        let count = |n| arrivals.iter().filter(|times| times.len() == n).count();
        assert!((1_500..2_200).contains(&count(0)), "{} lost", count(0));
        assert!((500..800).contains(&count(2)), "{} doubled", count(2));
    }

    #[test]
    fn a_stream_is_cut_anywhere_and_read_in_order() {
        let mut net = net();
        let address = "127.0.2.1:5060".parse().unwrap();
        let source = Source { flow: FlowId(0), transport: Transport::Tcp, local: address, remote: address };
        let flow = net.connect(Time::EPOCH, 7, source);
        let message = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n";
        let (mut last, mut frames) = (Time::EPOCH, 0);
        for _ in 0..200 {
            for piece in net.cuts(message).map(<[u8]>::to_vec) {
                let at = net.stream_arrival(Time::EPOCH, flow, true).unwrap();
                assert!(at >= last, "nothing overtakes");
                last = at;
                frames += net.read(flow, &piece).len();
            }
        }
        assert_eq!(frames, 200);
        assert_eq!(net.drop_of(7), [flow]);
        assert_eq!(net.stream_arrival(Time::EPOCH, flow, true), None);
    }
}

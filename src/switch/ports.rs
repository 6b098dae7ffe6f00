//! RTP ports as leases: one pair (RTP, RTCP) a leg, partitioned among the media engines, cooled down after use so
//! that a late packet of the last call never reaches the next.

use core::time::Duration;
use std::collections::VecDeque;

use crate::time::Time;

/// A media engine: one thread, one share of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineId(pub u16);

/// How long a port rests before it is leased again.
pub const COOL_DOWN: Duration = Duration::from_secs(5);

/// The leases of all engines.
#[derive(Debug)]
pub struct Ports {
    engines: Vec<Share>,
}

#[derive(Debug)]
struct Share {
    /// Even RTP ports, the longest rested first, with the time from which they may be leased.
    free: VecDeque<(Time, u16)>,
    leased: u32,
}

impl Ports {
    /// The even ports from `first` to `last` (the odd one above each is its RTCP port), dealt out to `engines`
    /// engines in runs of neighbours.
    pub fn new(first: u16, last: u16, engines: u16) -> Self {
        let even: Vec<u16> = (first..=last).filter(|port| port % 2 == 0 && *port < last).collect();
        let engines = usize::from(engines.max(1));
        let share = even.len().div_ceil(engines).max(1);
        let mut engines: Vec<Share> = even
            .chunks(share)
            .map(|run| Share { free: run.iter().map(|port| (Time::EPOCH, *port)).collect(), leased: 0 })
            .collect();
        if engines.is_empty() {
            engines.push(Share { free: VecDeque::new(), leased: 0 });
        }
        Self { engines }
    }

    /// The engine with the fewest legs, for a new call; the lowest number among equals.
    pub fn quietest(&self) -> EngineId {
        let index = (0..self.engines.len()).min_by_key(|i| self.engines[*i].leased).unwrap_or(0);
        EngineId(u16::try_from(index).unwrap_or(0))
    }

    /// A port of this engine; `None` where all are in use or cooling down.
    pub fn lease(&mut self, now: Time, engine: EngineId) -> Option<u16> {
        let share = self.engines.get_mut(usize::from(engine.0))?;
        let (rested, port) = *share.free.front()?;
        if rested > now {
            return None;
        }
        share.free.pop_front();
        share.leased += 1;
        Some(port)
    }

    /// Gives a port back. It rests first.
    pub fn release(&mut self, now: Time, engine: EngineId, port: u16) {
        if let Some(share) = self.engines.get_mut(usize::from(engine.0)) {
            share.free.push_back((now + COOL_DOWN, port));
            share.leased = share.leased.saturating_sub(1);
        }
    }

    /// Ports in use; zero at rest.
    pub fn leased(&self) -> u32 {
        self.engines.iter().map(|share| share.leased).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_rests_five_seconds_before_it_is_leased_again() {
        let mut ports = Ports::new(20_000, 20_001, 1);
        let engine = ports.quietest();
        let t0 = Time::from_secs(100);
        assert_eq!(ports.lease(t0, engine), Some(20_000));
        assert_eq!(ports.lease(t0, engine), None, "the only pair is in use");
        ports.release(t0, engine, 20_000);
        assert_eq!(ports.lease(t0 + Duration::from_millis(4_999), engine), None);
        assert_eq!(ports.lease(t0 + COOL_DOWN, engine), Some(20_000));
        assert_eq!(ports.leased(), 1);
    }

    #[test]
    fn engines_share_the_range_and_the_quietest_takes_the_next_call() {
        let mut ports = Ports::new(20_001, 20_009, 2);
        assert_eq!(ports.lease(Time::EPOCH, EngineId(0)), Some(20_002), "an odd first port is skipped");
        assert_eq!(ports.quietest(), EngineId(1));
        assert_eq!(ports.lease(Time::EPOCH, EngineId(1)), Some(20_006));
        assert_eq!(ports.quietest(), EngineId(0));
    }
}

//! What goes wrong in a run: the weather on the wires, and misfortunes at their times, all from the seed.

use core::time::Duration;

use super::chance::{Spread, happens};
use crate::ids::IdSource;

/// How datagrams fare. Shares are per thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    pub loss_permille: u32,
    pub double_permille: u32,
    /// What a message takes; a spread reorders.
    pub delay: Spread,
}

impl Weather {
    pub const CALM: Weather = Weather { loss_permille: 0, double_permille: 0, delay: Spread::millis(1, 1) };
}

/// One misfortune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A phone loses its power and comes back after that time, remembering nothing.
    Reboot {
        phone: u32,
        dark: Duration,
    },
    /// A phone's router forgets: from now on its datagrams come from another port.
    Rebind {
        phone: u32,
    },
    /// A gateway neither hears nor speaks for that time. `told`: senders learn it by ICMP.
    Dead {
        trunk: u32,
        dark: Duration,
        told: bool,
    },
    /// Every TCP connection breaks.
    DropFlows,
    /// Questions are answered so much later.
    SlowLookups {
        by: Duration,
        lasts: Duration,
    },
    /// Questions are never answered.
    DeadLookups {
        lasts: Duration,
    },
    /// The disk does not answer.
    StoreStall {
        lasts: Duration,
    },
    /// The disk is full.
    StoreFull {
        lasts: Duration,
    },
    /// The other edition is loaded.
    Reload,
    ClockStep {
        by_ms: i64,
    },
    /// An agent's desktop loses its socket.
    LinkLost {
        agent: u32,
        lasts: Duration,
    },
}

/// All that goes wrong in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfortunes {
    pub weather: Weather,
    /// In the order of their times since the start.
    pub faults: Vec<(Duration, Fault)>,
    /// Recordings that fail, and legs whose statistics come late or whose sockets fail, per thousand.
    pub media_permille: u32,
}

impl Misfortunes {
    pub fn none() -> Self {
        Self { weather: Weather::CALM, faults: Vec::new(), media_permille: 0 }
    }

    /// What befalls a run of that length with so many phones, trunks and agents.
    pub fn draw(dice: &mut IdSource, length: Duration, phones: u32, trunks: u32, agents: u32) -> Self {
        let weather = Weather {
            loss_permille: [0, 0, 10, 50, 120][usize::try_from(dice.below(5)).unwrap_or(0)],
            double_permille: [0, 0, 20, 80][usize::try_from(dice.below(4)).unwrap_or(0)],
            delay: Spread::millis(1, [1, 5, 40, 300u64][usize::try_from(dice.below(4)).unwrap_or(0)]),
        };
        let count = dice.below(16);
        let mut faults: Vec<(Duration, Fault)> = (0..count)
            .map(|_| {
                let at = Spread { least: Duration::from_secs(60), most: length }.draw(dice);
                (at, one(dice, phones, trunks, agents))
            })
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        let media_permille = if happens(dice, 300) { 15 } else { 0 };
        Self { weather, faults, media_permille }
    }
}

fn one(dice: &mut IdSource, phones: u32, trunks: u32, agents: u32) -> Fault {
    let lasts = Spread::secs(1, 40).draw(dice);
    match dice.below(12) {
        0 | 1 => Fault::Reboot { phone: dice.below(phones), dark: lasts },
        2 => Fault::Rebind { phone: dice.below(phones) },
        3 => Fault::Dead { trunk: dice.below(trunks), dark: lasts * 2, told: dice.below(2) == 0 },
        4 => Fault::DropFlows,
        5 => Fault::SlowLookups { by: Spread::millis(200, 8_000).draw(dice), lasts: lasts * 3 },
        6 => Fault::DeadLookups { lasts: lasts * 2 },
        7 => Fault::StoreStall { lasts: lasts / 3 },
        8 => Fault::StoreFull { lasts },
        9 => Fault::Reload,
        10 => Fault::ClockStep { by_ms: i64::from(dice.below(7_200_000)) - 3_600_000 },
        _ => Fault::LinkLost { agent: dice.below(agents), lasts: lasts * 2 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_misfortunes_in_order_within_the_run() {
        let draw = |seed| Misfortunes::draw(&mut IdSource::from_seed(seed), Duration::from_secs(1_200), 20, 3, 10);
        let mut seen = 0;
        for seed in 0..50 {
            let drawn = draw(seed);
            assert_eq!(drawn, draw(seed));
            assert!(drawn.faults.is_sorted_by_key(|(at, _)| *at));
            assert!(
                drawn.faults.iter().all(|(at, _)| *at >= Duration::from_secs(60) && *at <= Duration::from_secs(1_200))
            );
            seen += drawn.faults.len();
        }
        assert!(seen > 200, "{seen} misfortunes in fifty runs");
    }
}

//! What a load run does: how many callers, agents and registrations, from which addresses, for how long. The fields
//! are the options of `strowger load`.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::desk::Seat;
use crate::limits;
use crate::sim::agent::AgentHabits;
use crate::sim::caller::{CallerProfile, KeyMoment, KeyPress};
use crate::sim::chance::Spread;

/// See the module. Every party has an address of its own, so that a trunk is known by its address, as carriers are.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadProfile {
    /// Where the switch listens for SIP over UDP
    #[arg(long, default_value = "127.0.0.1:5060", value_name = "ADDRESS:PORT")]
    pub switch: SocketAddr,
    /// Domain of the agents' accounts
    #[arg(long, default_value = "localhost")]
    pub domain: String,
    /// First address of the simulated parties: the trunk has it, agents the ones from +256 on, other phones from +16384
    #[arg(long, default_value = "127.20.0.1", value_name = "ADDRESS")]
    pub first_address: Ipv4Addr,
    /// How long callers keep coming, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub seconds: u64,
    /// New callers a minute, at random times
    #[arg(long, default_value_t = 30.0)]
    pub callers_per_minute: f64,
    /// Place that many calls altogether, then stop
    #[arg(long)]
    pub calls: Option<u64>,
    /// Callers at once; one more that would come is left out
    #[arg(long, default_value_t = 100)]
    pub calls_at_once: usize,
    /// Numbers that callers dial (repeat for several)
    #[arg(long = "to", value_name = "NUMBER", default_values_t = [String::from("+4940100")])]
    pub to: Vec<String>,
    /// Numbers that callers call from (repeat for several)
    #[arg(long = "from", value_name = "NUMBER", default_values_t = [String::from("+4930200")])]
    pub from: Vec<String>,
    /// Keys that callers press, one after the other, each group after the prompt before it; an empty group lets its prompt pass (`1,,2#`)
    #[arg(long, default_value = "", value_name = "KEYS,KEYS…")]
    pub keys: String,
    /// Pause between the end of a prompt and the keys, in milliseconds
    #[arg(long, default_value_t = 800)]
    pub key_pause_ms: u64,
    /// Shortest and longest talk of a caller with an agent, in seconds
    #[arg(long, num_args = 2, value_names = ["SHORTEST", "LONGEST"], default_values_t = [10, 40])]
    pub talk_seconds: Vec<u64>,
    /// How long callers wait for an agent, in seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub patience_seconds: u64,
    /// Agents: phones that register and people who answer them
    #[arg(long, default_value_t = 0)]
    pub agents: u32,
    /// Account of the first agent; the others have the numbers after it
    #[arg(long, default_value_t = 1_001, value_name = "NUMBER")]
    pub first_agent: u32,
    /// User name of an agent at the desk; `{}` stands for the account
    #[arg(long, default_value = "{}", value_name = "NAME")]
    pub agent_name: String,
    /// Phones that only register and refresh
    #[arg(long, default_value_t = 0)]
    pub registrations: u32,
    /// Account of the first phone that only registers
    #[arg(long, default_value_t = 20_000, value_name = "NUMBER")]
    pub first_registration: u32,
    /// Password of every account; `{}` stands for the account
    #[arg(long, default_value = "{}", value_name = "PASSWORD")]
    pub password: String,
    /// Lifetime that the phones ask for when they register, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub expires_seconds: u32,
    /// Seed of every draw: the same seed brings the same callers in the same order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How the agents act
    #[arg(skip)]
    pub habits: AgentHabits,
    /// Numbers with callers of their own; without any, all callers are those of `to`, `keys` and `patience_seconds`
    #[arg(skip)]
    pub lines: Vec<Line>,
    /// How long parties may take to end their calls once the run is over; then they are cut off
    #[arg(skip = Duration::from_secs(10))]
    pub wind_down: Duration,
}

/// Callers of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub to: Vec<String>,
    /// Of so many callers, against the other lines.
    pub weight: u32,
    /// Ways through the dialplan, each as `keys` has it; every caller takes one.
    pub ways: Vec<String>,
    /// Shortest and longest patience, in seconds.
    pub patience_seconds: [u64; 2],
}

/// A profile that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("--agents {0} is more than {most}: use several runs", most = limits::LOAD_AGENTS)]
    TooManyAgents(u32),
    #[error("--registrations {0} is more than {most}: use several runs", most = limits::LOAD_REGISTRATIONS)]
    TooManyRegistrations(u32),
    #[error("--callers-per-minute {0} is no rate: give 0 or more, up to 60,000")]
    NoRate(String),
    #[error("--first-address {0} is not a loopback address: the parties need 127.x.y.z addresses of their own")]
    NotLoopback(Ipv4Addr),
    #[error("--first-address {0} leaves too few addresses above it: use one below 127.255.0.0")]
    TooHigh(Ipv4Addr),
}

impl Default for LoadProfile {
    /// What `strowger load` does without options.
    fn default() -> Self {
        use clap::{Args, Command, FromArgMatches};
        let matches = LoadProfile::augment_args(Command::new("load")).get_matches_from(["load"]);
        LoadProfile::from_arg_matches(&matches).expect("every option has a default that is valid")
    }
}

impl LoadProfile {
    /// Refuses what cannot be run.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.agents > limits::LOAD_AGENTS {
            return Err(ProfileError::TooManyAgents(self.agents));
        }
        if self.registrations > limits::LOAD_REGISTRATIONS {
            return Err(ProfileError::TooManyRegistrations(self.registrations));
        }
        if !(0.0..=60_000.0).contains(&self.callers_per_minute) {
            return Err(ProfileError::NoRate(self.callers_per_minute.to_string()));
        }
        if !self.first_address.is_loopback() {
            return Err(ProfileError::NotLoopback(self.first_address));
        }
        if !Ipv4Addr::from_bits(self.first_address.to_bits().saturating_add(0xffff)).is_loopback() {
            return Err(ProfileError::TooHigh(self.first_address));
        }
        Ok(())
    }

    /// The trunk that brings the callers.
    pub fn trunk_address(&self) -> SocketAddr {
        self.address(0)
    }

    /// Address and seat of each agent.
    pub fn seats(&self) -> impl Iterator<Item = (SocketAddr, Seat)> {
        (0..self.agents).map(|n| {
            let account = self.first_agent.saturating_add(n).to_string();
            let agent = self.agent_name.replace("{}", &account);
            (self.address(AGENTS_AT + n), Seat { agent, password: self.password.replace("{}", &account), account })
        })
    }

    /// Address, account and password of each phone that only registers.
    pub fn bare_phones(&self) -> impl Iterator<Item = (SocketAddr, String, String)> {
        (0..self.registrations).map(|n| {
            let account = self.first_registration.saturating_add(n).to_string();
            let password = self.password.replace("{}", &account);
            (self.address(REGISTRATIONS_AT + n), account, password)
        })
    }

    /// Each line with the address its callers come from, their rate a minute, and who they are.
    pub fn crowds(&self) -> Vec<(SocketAddr, f64, CallerProfile)> {
        let alone = [Line {
            to: self.to.clone(),
            weight: 1,
            ways: vec![self.keys.clone()],
            patience_seconds: [self.patience_seconds; 2],
        }];
        let lines = if self.lines.is_empty() { &alone[..] } else { &self.lines };
        let weights: f64 = lines.iter().map(|line| f64::from(line.weight)).sum();
        let rate = |line: &Line| self.callers_per_minute * f64::from(line.weight) / weights.max(1.0);
        let numbered = (0..AGENTS_AT).zip(lines);
        numbered.map(|(nth, line)| (self.address(nth), rate(line), self.callers(line))).collect()
    }

    fn callers(&self, line: &Line) -> CallerProfile {
        let [least, most] = [0, 1].map(|n| self.talk_seconds.get(n).copied().unwrap_or(30));
        let [hasty, patient] = line.patience_seconds;
        CallerProfile {
            from: self.from.clone(),
            to: line.to.clone(),
            ways: line.ways.iter().map(|keys| self.key_presses(keys)).collect(),
            answer_patience: Spread::secs(hasty, patient.max(hasty)),
            queue_patience: Spread::secs(hasty, patient.max(hasty)),
            talk: Spread::secs(least, most.max(least)),
        }
    }

    fn key_presses(&self, keys: &str) -> Vec<KeyPress> {
        let pause = Duration::from_millis(self.key_pause_ms);
        // A group without keys lets its prompt pass.
        let groups = (1..).zip(keys.split(',')).filter(|(_, digits)| !digits.is_empty());
        let press = |(count, digits): (u32, &str)| KeyPress {
            when: KeyMoment::AfterPrompts { count, pause },
            digits: digits.to_owned(),
        };
        groups.map(press).collect()
    }

    fn address(&self, nth: u32) -> SocketAddr {
        let ip = Ipv4Addr::from_bits(self.first_address.to_bits().saturating_add(nth));
        SocketAddr::new(IpAddr::V4(ip), 5060)
    }
}

/// The address plan, counted from the first address.
const AGENTS_AT: u32 = 256;
const REGISTRATIONS_AT: u32 = 16_384;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_parties_share_an_address() {
        let (agents, registrations) = (limits::LOAD_AGENTS, limits::LOAD_REGISTRATIONS);
        let profile = LoadProfile { agents, registrations, ..LoadProfile::default() };
        assert_eq!(profile.check(), Ok(()));
        let mut addresses: Vec<SocketAddr> = profile.seats().map(|(address, _)| address).collect();
        addresses.extend(profile.bare_phones().map(|(address, ..)| address));
        addresses.push(profile.trunk_address());
        let distinct: BTreeSet<&SocketAddr> = addresses.iter().collect();
        assert_eq!(distinct.len(), addresses.len());
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_option_that_says_so() {
        let refused = |profile: LoadProfile| profile.check().unwrap_err().to_string();
        let default = LoadProfile::default;
        assert!(refused(LoadProfile { agents: 2_001, ..default() }).contains("--agents 2001"));
        assert!(refused(LoadProfile { registrations: 30_001, ..default() }).contains("--registrations"));
        assert!(refused(LoadProfile { callers_per_minute: f64::NAN, ..default() }).contains("--callers-per-minute"));
        let outside = Ipv4Addr::new(10, 0, 0, 1);
        assert!(refused(LoadProfile { first_address: outside, ..default() }).contains("not a loopback"));
        let top = Ipv4Addr::new(127, 255, 255, 1);
        assert!(refused(LoadProfile { first_address: top, ..default() }).contains("too few"));
    }

    #[test]
    fn accounts_and_keys_come_as_the_options_say() {
        let (agent_name, password) = ("agent{}".to_owned(), "pw-{}".to_owned());
        let profile = LoadProfile { agents: 2, agent_name, password, keys: "1,,42#".into(), ..LoadProfile::default() };
        let seats: Vec<Seat> = profile.seats().map(|(_, seat)| seat).collect();
        assert_eq!((seats[1].agent.as_str(), seats[1].account.as_str()), ("agent1002", "1002"));
        assert_eq!(seats[1].password, "pw-1002");
        let pause = Duration::from_millis(800);
        let when = KeyMoment::AfterPrompts { count: 3, pause };
        let (at, rate, callers) = &profile.crowds()[0];
        assert_eq!(callers.ways[0][1], KeyPress { when, digits: "42#".into() });
        assert_eq!((*at, *rate), (profile.trunk_address(), 30.0));
    }

    #[test]
    fn lines_share_the_callers_by_weight_and_have_addresses_of_their_own() {
        let line = |to: &str, weight| Line {
            to: vec![to.to_owned()],
            weight,
            ways: vec!["1".to_owned(), "2,3".to_owned()],
            patience_seconds: [20, 60],
        };
        let profile = LoadProfile {
            callers_per_minute: 12.0,
            lines: vec![line("95539", 3), line("12121", 1)],
            ..LoadProfile::default()
        };
        let crowds = profile.crowds();
        assert_eq!(crowds.iter().map(|(_, rate, _)| *rate).collect::<Vec<_>>(), [9.0, 3.0]);
        assert_ne!(crowds[0].0, crowds[1].0);
        assert_eq!((crowds[1].2.to.as_slice(), crowds[1].2.ways.len()), (&["12121".to_owned()][..], 2));
    }
}

//! What a load run does: how many callers, agents and registrations, from which addresses, for how long. The fields
//! are the options of `strowger load`.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::desk::Seat;
use crate::limits;
use crate::sim::agent::AgentHabits;
use crate::sim::caller::{CallerProfile, KeyMoment, KeyPress};
use crate::sim::chance::Spread;

/// See the module. Every party has an address of its own, so that a trunk is known by its address, as carriers are.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct LoadProfile {
    /// The SIP address under load
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5060")]
    pub target: SocketAddr,
    /// The page's address, where agents sign in: plain HTTP on this machine
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_http)]
    pub http: SocketAddr,
    /// Domain of the accounts
    #[arg(long, default_value = "localhost")]
    pub domain: String,
    /// First address of the simulated parties: the trunk has it, agents the ones from +256 on, other phones from +16384
    #[arg(long, value_name = "ADDRESS", default_value = "127.20.0.1")]
    pub first_address: Ipv4Addr,
    /// The number callers dial (repeat for several)
    #[arg(long, value_name = "NUMBER", default_values_t = [String::from("95539")])]
    pub dial: Vec<String>,
    /// The number callers call from (repeat for several)
    #[arg(long, value_name = "NUMBER", default_values_t = [String::from("+4930200")])]
    pub from: Vec<String>,
    /// Keys callers press, a group after each prompt; an empty group lets its prompt pass: `1,,2#`
    #[arg(long, value_name = "KEYS", default_value = "")]
    pub keys: String,
    /// Pause between the end of a prompt and its keys
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 800)]
    pub key_pause_ms: u64,
    /// New calls a minute, at random times
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub calls_per_minute: u32,
    /// Place that many calls altogether, then stop
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// Calls at once, at most; a caller beyond it does not come
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub calls_max: u32,
    /// How long callers and agents talk: from half of it to one and a half
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub talk_s: u32,
    /// How long callers wait for an agent
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub patience_s: u64,
    /// Agents that sign in and answer: the first rows of --accounts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub agents: u32,
    /// Phones that only register and keep registering: the rows after the agents'
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub registrations: u32,
    /// Who signs in and registers: the CSV that `strowger users import` reads, with its passwords
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<PathBuf>,
    /// Code that agents close a call with (repeat for several); without it, none
    #[arg(long, value_name = "CODE")]
    pub wrap_code: Vec<String>,
    /// Lifetime that phones ask for when they register
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub expires_s: u32,
    /// How long the load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub duration_s: u64,
    /// The same seed makes the same callers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// What stands in `accounts`.
    #[arg(skip)]
    pub seats: Vec<Seat>,
    /// How the agents act; their talk and codes are those of `talk_s` and `wrap_code`.
    #[arg(skip)]
    pub habits: AgentHabits,
    /// Numbers with callers of their own; without any, all callers are those of `dial`, `keys` and `patience_s`.
    #[arg(skip)]
    pub lines: Vec<Line>,
    /// How long parties may take to end their calls once the run is over; then they are cut off.
    #[arg(skip = Duration::from_secs(10))]
    pub wind_down: Duration,
}

/// `http://127.0.0.1:8080`, or its address alone.
fn parse_http(url: &str) -> Result<SocketAddr, &'static str> {
    let place = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    place.parse().map_err(|_| "write it as http://127.0.0.1:8080")
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
    #[error(
        "{wanted} phones are to register, and nobody says as whom: give --accounts FILE, \
         a table as `strowger users import` reads it"
    )]
    NoAccounts { wanted: usize },
    #[error("{wanted} phones are to register, and --accounts has {given} accounts: add rows, or ask for fewer")]
    TooFewAccounts { wanted: usize, given: usize },
    #[error(
        "{account} is one of the first {agents} rows of --accounts, those of the agents, and names no {what}: add it"
    )]
    NoAgent { account: String, agents: u32, what: &'static str },
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
        self.check_seats()?;
        if !self.first_address.is_loopback() {
            return Err(ProfileError::NotLoopback(self.first_address));
        }
        if !Ipv4Addr::from_bits(self.first_address.to_bits().saturating_add(0xffff)).is_loopback() {
            return Err(ProfileError::TooHigh(self.first_address));
        }
        Ok(())
    }

    fn check_seats(&self) -> Result<(), ProfileError> {
        let (agents, given) = (self.agents as usize, self.seats.len());
        let wanted = agents + self.registrations as usize;
        if wanted > given {
            return Err(match given {
                0 => ProfileError::NoAccounts { wanted },
                _ => ProfileError::TooFewAccounts { wanted, given },
            });
        }
        for seat in &self.seats[..agents] {
            for (text, what) in [(&seat.agent, "user"), (&seat.password, "password of the user")] {
                if text.is_empty() {
                    let (account, agents) = (seat.account.clone(), self.agents);
                    return Err(ProfileError::NoAgent { account, agents, what });
                }
            }
        }
        Ok(())
    }

    /// The trunk that brings the callers.
    pub fn trunk_address(&self) -> SocketAddr {
        self.address(0)
    }

    /// Address and seat of each agent.
    pub fn agents(&self) -> impl Iterator<Item = (SocketAddr, &Seat)> {
        (0..self.agents).zip(&self.seats).map(|(n, seat)| (self.address(AGENTS_AT + n), seat))
    }

    /// Address and account of each phone that only registers.
    pub fn bare_phones(&self) -> impl Iterator<Item = (SocketAddr, &Seat)> {
        let rest = self.seats.iter().skip(self.agents as usize);
        (0..self.registrations).zip(rest).map(|(n, seat)| (self.address(REGISTRATIONS_AT + n), seat))
    }

    /// How the agents of this run act.
    pub fn agent_habits(&self) -> AgentHabits {
        AgentHabits { talk: self.talk(), wrap_codes: self.wrap_code.clone(), ..self.habits.clone() }
    }

    fn talk(&self) -> Spread {
        let talk_ms = u64::from(self.talk_s) * 1_000;
        Spread::millis(talk_ms / 2, talk_ms + talk_ms / 2)
    }

    /// Each line with the address its callers come from, their rate a minute, and who they are.
    pub fn crowds(&self) -> Vec<(SocketAddr, f64, CallerProfile)> {
        let alone = [Line {
            to: self.dial.clone(),
            weight: 1,
            ways: vec![self.keys.clone()],
            patience_seconds: [self.patience_s; 2],
        }];
        let lines = if self.lines.is_empty() { &alone[..] } else { &self.lines };
        let weights: f64 = lines.iter().map(|line| f64::from(line.weight)).sum();
        let rate = |line: &Line| f64::from(self.calls_per_minute) * f64::from(line.weight) / weights.max(1.0);
        let numbered = (0..AGENTS_AT).zip(lines);
        numbered.map(|(nth, line)| (self.address(nth), rate(line), self.callers(line))).collect()
    }

    fn callers(&self, line: &Line) -> CallerProfile {
        let [hasty, patient] = line.patience_seconds;
        CallerProfile {
            from: self.from.clone(),
            to: line.to.clone(),
            ways: line.ways.iter().map(|keys| self.key_presses(keys)).collect(),
            answer_patience: Spread::secs(hasty, patient.max(hasty)),
            queue_patience: Spread::secs(hasty, patient.max(hasty)),
            talk: self.talk(),
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

    fn seats(count: u32) -> Vec<Seat> {
        let seat = |n: u32| Seat {
            agent: format!("agent{n}"),
            password: format!("pw-{n}"),
            account: n.to_string(),
            sip_password: format!("sip-{n}"),
        };
        (0..count).map(seat).collect()
    }

    #[test]
    fn no_two_parties_share_an_address() {
        let (agents, registrations) = (limits::LOAD_AGENTS, limits::LOAD_REGISTRATIONS);
        let seats = seats(agents + registrations);
        let profile = LoadProfile { agents, registrations, seats, ..LoadProfile::default() };
        assert_eq!(profile.check(), Ok(()));
        let parties = || profile.agents().chain(profile.bare_phones());
        let mut addresses: BTreeSet<SocketAddr> = parties().map(|(address, _)| address).collect();
        addresses.insert(profile.trunk_address());
        assert_eq!(addresses.len(), (agents + registrations + 1) as usize);
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        let accounts: BTreeSet<&str> = parties().map(|(_, seat)| seat.account.as_str()).collect();
        assert_eq!(accounts.len(), (agents + registrations) as usize, "nor an account");
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_option_that_says_so() {
        let refused = |profile: LoadProfile| profile.check().unwrap_err().to_string();
        let default = LoadProfile::default;
        assert!(refused(LoadProfile { agents: 2_001, ..default() }).contains("--agents 2001"));
        assert!(refused(LoadProfile { registrations: 30_001, ..default() }).contains("--registrations"));
        let outside = Ipv4Addr::new(10, 0, 0, 1);
        assert!(refused(LoadProfile { first_address: outside, ..default() }).contains("not a loopback"));
        let top = Ipv4Addr::new(127, 255, 255, 1);
        assert!(refused(LoadProfile { first_address: top, ..default() }).contains("too few"));
    }

    #[test]
    fn agents_and_phones_need_accounts() {
        let profile = |agents, registrations, seats| LoadProfile { agents, registrations, seats, ..Default::default() };
        let refused = |profile: LoadProfile| profile.check().unwrap_err().to_string();
        assert!(refused(profile(2, 1, seats(0))).contains("3 phones are to register, and nobody says as whom"));
        assert!(refused(profile(2, 2, seats(3))).contains("4 phones are to register, and --accounts has 3 accounts"));
        let nobody = Seat { agent: String::new(), ..seats(1).remove(0) };
        assert!(refused(profile(1, 0, vec![nobody.clone()])).contains("names no user"));
        assert_eq!(profile(0, 1, vec![nobody]).check(), Ok(()));
        let mute = Seat { password: String::new(), ..seats(1).remove(0) };
        assert!(refused(profile(1, 0, vec![mute])).contains("names no password"));
        let enough = profile(1, 1, seats(2));
        assert_eq!(enough.check(), Ok(()));
        assert_eq!(enough.bare_phones().map(|(_, seat)| seat.account.as_str()).collect::<Vec<_>>(), ["1"]);
    }

    #[test]
    fn keys_and_talk_come_as_the_options_say() {
        let profile = LoadProfile { keys: "1,,42#".into(), talk_s: 20, ..LoadProfile::default() };
        let when = KeyMoment::AfterPrompts { count: 3, pause: Duration::from_millis(800) };
        let (at, rate, callers) = &profile.crowds()[0];
        assert_eq!(callers.ways[0][1], KeyPress { when, digits: "42#".into() });
        assert_eq!((*at, *rate), (profile.trunk_address(), 60.0));
        assert_eq!((callers.talk, profile.agent_habits().talk), (Spread::secs(10, 30), Spread::secs(10, 30)));
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
            calls_per_minute: 12,
            lines: vec![line("95539", 3), line("12121", 1)],
            ..LoadProfile::default()
        };
        let crowds = profile.crowds();
        assert_eq!(crowds.iter().map(|(_, rate, _)| *rate).collect::<Vec<_>>(), [9.0, 3.0]);
        assert_ne!(crowds[0].0, crowds[1].0);
        assert_eq!((crowds[1].2.to.as_slice(), crowds[1].2.ways.len()), (&["12121".to_owned()][..], 2));
    }
}

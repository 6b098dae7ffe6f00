//! A little virtual network for the tests of the foreign side: user agents that talk straight to each other, with
//! delay, loss, doubling and reordering from a seed. The whole centre has its own in `world`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::digest::{Algorithm, Credentials};
use super::endpoint::UserAgent;
use super::phone::Phone;
use super::report::{CallKey, MediaPath, PhoneReport};
use super::trunk::{Trunk, TrunkGate, TrunkSettings};
use crate::ids::IdSource;
use crate::time::Time;

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("test addresses are literals")
}

/// A trunk that serves as registrar for one account; without a user it takes everyone.
pub(super) fn registrar(local: &str, user: &str, password: &str, algorithm: Algorithm, grants_s: u32) -> Trunk {
    let mut settings = TrunkSettings::new("carrier", "example.com", addr(local), addr("127.0.9.9:5060"));
    settings.grants_s = grants_s;
    if !user.is_empty() {
        settings.gate = Some(TrunkGate { credentials: Credentials::new(user, password), algorithm, calls: true });
    }
    Trunk::new(settings, 99)
}

/// What a party is, so that a test can turn to it by its own name.
pub(super) enum Party {
    Phone(Box<Phone>),
    Trunk(Box<Trunk>),
}

impl Party {
    fn agent(&mut self) -> &mut dyn UserAgent {
        match self {
            Party::Phone(phone) => &mut **phone,
            Party::Trunk(trunk) => &mut **trunk,
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self {
            Party::Phone(phone) => phone.poll_timeout(),
            Party::Trunk(trunk) => trunk.poll_timeout(),
        }
    }
}

impl From<Phone> for Party {
    fn from(phone: Phone) -> Self {
        Party::Phone(Box::new(phone))
    }
}

impl From<Trunk> for Party {
    fn from(trunk: Trunk) -> Self {
        Party::Trunk(Box::new(trunk))
    }
}

/// The network and everyone on it.
pub(super) struct Line {
    now: Time,
    dice: IdSource,
    loss_permille: u32,
    double_permille: u32,
    jitter: Duration,
    parties: BTreeMap<SocketAddr, Party>,
    flying: BTreeMap<(Time, u64), Flight>,
    next: u64,
    said: BTreeMap<SocketAddr, Vec<PhoneReport>>,
    sent: BTreeMap<SocketAddr, usize>,
    trace: Vec<String>,
}

struct Flight {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What every datagram takes at least.
const DELAY: Duration = Duration::from_millis(20);

impl Line {
    pub(super) fn clean(seed: u64) -> Self {
        Self::lossy(seed, 0, 0, Duration::ZERO)
    }

    pub(super) fn lossy(seed: u64, loss_permille: u32, double_permille: u32, jitter: Duration) -> Self {
        Self {
            now: Time::from_secs(1_000_000),
            dice: IdSource::from_seed(seed),
            loss_permille,
            double_permille,
            jitter,
            parties: BTreeMap::new(),
            flying: BTreeMap::new(),
            next: 0,
            said: BTreeMap::new(),
            sent: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    pub(super) fn with(mut self, at: &str, party: impl Into<Party>) -> Self {
        self.parties.insert(addr(at), party.into());
        self
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    pub(super) fn phone(&mut self, at: &str) -> &mut Phone {
        match self.parties.get_mut(&addr(at)) {
            Some(Party::Phone(phone)) => phone,
            _ => panic!("no phone at {at}"),
        }
    }

    pub(super) fn trunk(&mut self, at: &str) -> &mut Trunk {
        match self.parties.get_mut(&addr(at)) {
            Some(Party::Trunk(trunk)) => trunk,
            _ => panic!("no trunk at {at}"),
        }
    }

    /// All that the party reported so far.
    pub(super) fn said(&self, at: &str) -> Vec<PhoneReport> {
        self.said.get(&addr(at)).cloned().unwrap_or_default()
    }

    /// How many datagrams the party sent so far.
    pub(super) fn sent(&self, at: &str) -> usize {
        self.sent.get(&addr(at)).copied().unwrap_or_default()
    }

    /// First lines of everything sent, with their times.
    pub(super) fn trace(&self) -> &[String] {
        &self.trace
    }

    /// The media of the party's first call.
    pub(super) fn media(&mut self, at: &str) -> MediaPath {
        let party = self.parties.get_mut(&addr(at)).expect("a party");
        party.agent().endpoint().media(CallKey(1)).expect("a call with media")
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        loop {
            let flight = self.flying.keys().next().map(|(at, _)| *at);
            let timeout = self.parties.values().filter_map(Party::poll_timeout).min();
            let Some(next) = [flight, timeout].into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.step();
            self.drain();
        }
        self.now = end;
    }

    /// Nothing is left: no call, no timer but the registrations', nothing in flight.
    pub(super) fn assert_at_rest(&mut self) {
        self.run_for(Duration::from_secs(120));
        assert!(self.flying.is_empty());
        for (at, party) in &mut self.parties {
            assert_eq!(party.agent().endpoint().calls().count(), 0, "{at} still has a call");
            assert_eq!(party.poll_timeout(), None, "{at} still has a timer");
        }
    }

    fn step(&mut self) {
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let Flight { from, to, bytes } = entry.remove();
            if let Some(party) = self.parties.get_mut(&to) {
                party.agent().handle(self.now, from, &bytes);
            }
        }
        for party in self.parties.values_mut() {
            if party.poll_timeout().is_some_and(|at| at <= self.now) {
                party.agent().handle_timeout(self.now);
            }
        }
    }

    fn drain(&mut self) {
        let mut flights = Vec::new();
        for (at, party) in &mut self.parties {
            let agent = party.agent();
            while let Some(report) = agent.poll_report() {
                assert!(!matches!(report, PhoneReport::Unreadable(_)), "{report:?}");
                self.said.entry(*at).or_default().push(report);
            }
            while let Some(datagram) = agent.poll_send() {
                *self.sent.entry(*at).or_default() += 1;
                flights.push(Flight { from: *at, to: datagram.to, bytes: datagram.bytes });
            }
        }
        for flight in flights {
            self.fly(flight);
        }
    }

    fn fly(&mut self, flight: Flight) {
        let text = String::from_utf8_lossy(&flight.bytes);
        self.trace.push(format!("{} {} → {}\n{text}", self.now, flight.from, flight.to));
        let copies = if self.dice.below(1_000) < self.double_permille { 2 } else { 1 };
        for _ in 0..copies {
            if self.dice.below(1_000) < self.loss_permille {
                continue;
            }
            let jitter_ms = self.dice.below(u32::try_from(self.jitter.as_millis()).unwrap_or(0) + 1);
            let at = self.now + DELAY + Duration::from_millis(u64::from(jitter_ms));
            self.next += 1;
            let Flight { from, to, ref bytes } = flight;
            self.flying.insert((at, self.next), Flight { from, to, bytes: bytes.clone() });
        }
    }
}

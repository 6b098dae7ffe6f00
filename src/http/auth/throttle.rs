//! Failed sign-ins, counted by user at an address and by address. One who guesses is slowed; the user, signing in from
//! elsewhere, is not locked out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use core::time::Duration;

use crate::ids::UserName;
use crate::limits::http as limits;
use crate::time::Time;

/// The counts.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: BTreeMap<(IpAddr, Option<UserName>), Failures>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    /// The window's start.
    since: Time,
}

impl Throttle {
    /// How long to wait before the next attempt; `None`: no wait.
    pub fn wait(&self, user: &UserName, from: IpAddr, now: Time) -> Option<Duration> {
        let by_user = self.left(&(from, Some(user.clone())), limits::FAILURES_PER_USER, now);
        let by_address = self.left(&(from, None), limits::FAILURES_PER_ADDRESS, now);
        by_user.max(by_address)
    }

    fn left(&self, key: &(IpAddr, Option<UserName>), allowed: u32, now: Time) -> Option<Duration> {
        let failures = self.failures.get(key)?;
        let passed = now.since(failures.since);
        (failures.count >= allowed && passed < limits::FAILURE_TIME).then(|| limits::FAILURE_TIME - passed)
    }

    pub fn on_failure(&mut self, user: &UserName, from: IpAddr, now: Time) {
        for key in [(from, Some(user.clone())), (from, None)] {
            let failures = self.failures.entry(key).or_insert(Failures { count: 0, since: now });
            if now.since(failures.since) >= limits::FAILURE_TIME {
                (failures.count, failures.since) = (0, now);
            }
            failures.count = failures.count.saturating_add(1);
        }
        if self.failures.len() > limits::FAILURES_KEPT {
            self.failures.retain(|_, failures| now.since(failures.since) < limits::FAILURE_TIME);
        }
        while self.failures.len() > limits::FAILURES_KEPT {
            let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.since);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.failures.remove(&key);
        }
    }

    /// The user is in: what they mistyped before is forgiven. The address stays counted.
    pub fn on_success(&mut self, user: &UserName, from: IpAddr) {
        self.failures.remove(&(from, Some(user.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    fn at(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 + n))
    }

    #[test]
    fn a_guesser_waits_and_the_user_elsewhere_does_not() {
        let mut throttle = Throttle::default();
        let li = UserName::new("li");
        for _ in 0..limits::FAILURES_PER_USER {
            assert_eq!(throttle.wait(&li, at(1), NOW), None);
            throttle.on_failure(&li, at(1), NOW);
        }
        let later = NOW + Duration::from_secs(20);
        assert_eq!(throttle.wait(&li, at(1), later), Some(limits::FAILURE_TIME - Duration::from_secs(20)));
        assert_eq!(throttle.wait(&li, at(2), later), None);
        assert_eq!(throttle.wait(&li, at(1), NOW + limits::FAILURE_TIME), None);
    }

    #[test]
    fn one_address_that_tries_many_names_waits_too() {
        let mut throttle = Throttle::default();
        for n in 0..limits::FAILURES_PER_ADDRESS {
            throttle.on_failure(&UserName::new(format!("user{n}")), at(1), NOW);
        }
        assert!(throttle.wait(&"somebody".into(), at(1), NOW).is_some());
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let mut throttle = Throttle::default();
        for n in 0..u32::try_from(limits::FAILURES_KEPT).unwrap() {
            throttle.on_failure(&"li".into(), at(n), NOW + Duration::from_micros(u64::from(n)));
            if throttle.failures.len() > limits::FAILURES_KEPT {
                panic!("{} are kept", throttle.failures.len());
            }
            if n > 10_050 {
                break;
            }
        }
        assert_eq!(throttle.failures.len(), limits::FAILURES_KEPT);
    }
}

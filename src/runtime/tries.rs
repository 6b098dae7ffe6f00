//! How often a customer's secret may be guessed.
//!
//! A try is reserved before the slow hash: however many calls guess at once, together they have
//! [`limits::WRONG_IN_A_ROW`]. Kept in memory: a restart of the server lifts every lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::CustomerId;
use crate::ivr::Compared;
use crate::limits::runtime as limits;
use crate::time::Time;

/// The tries at each customer's secret since the last right one.
#[derive(Debug, Default)]
pub struct Tries {
    /// Reserved or wrong, and when the last of them began.
    of: Mutex<BTreeMap<CustomerId, (u32, Time)>>,
}

impl Tries {
    /// Takes one try; `false` while the customer is locked. [`Tries::settle`] follows each that was taken.
    pub fn reserve(&self, customer: CustomerId, now: Time) -> bool {
        let mut of = self.lock();
        let counts = |last: Time| now.since(last) < limits::LOCKED_TIME;
        if !of.contains_key(&customer) && of.len() >= limits::CUSTOMERS_GUESSED_AT {
            of.retain(|_, (_, last)| counts(*last));
            if of.len() >= limits::CUSTOMERS_GUESSED_AT {
                return false;
            }
        }
        let (count, last) = of.entry(customer).or_insert((0, now));
        if !counts(*last) {
            *count = 0;
        }
        if *count >= limits::WRONG_IN_A_ROW {
            return false;
        }
        (*count, *last) = (*count + 1, now);
        true
    }

    /// What a reserved try came to. A right one makes up for those before it; the last of too many wrong ones locks.
    pub fn settle(&self, customer: CustomerId, right: bool) -> Compared {
        let mut of = self.lock();
        if right {
            of.remove(&customer);
            return Compared::Verified;
        }
        match of.get(&customer) {
            Some((count, _)) if *count >= limits::WRONG_IN_A_ROW => Compared::Locked,
            _ => Compared::Wrong,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CustomerId, (u32, Time)>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    const NOW: Time = Time::from_secs(1_000);
    const LI: CustomerId = CustomerId::from_u128(1);

    #[test]
    fn callers_who_guess_at_once_have_no_more_tries_than_one_after_the_other() {
        let (tries, hashed) = (Tries::default(), AtomicU32::new(0));
        let callers = 4 * limits::WRONG_IN_A_ROW as usize;
        // Nobody is told before everybody has asked: the slowest hash there can be.
        let asked = Barrier::new(callers);
        thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| {
                    let taken = tries.reserve(LI, NOW);
                    asked.wait();
                    if taken {
                        hashed.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(tries.settle(LI, false), Compared::Locked);
                    }
                });
            }
        });
        assert_eq!(hashed.into_inner(), limits::WRONG_IN_A_ROW);
        assert!(!tries.reserve(LI, NOW));
    }

    #[test]
    fn the_last_wrong_answer_locks_for_its_time_and_a_right_one_before_makes_up_for_all() {
        let tries = Tries::default();
        let wrong = |times: u32| {
            let said = (0..times).map(|_| {
                assert!(tries.reserve(LI, NOW));
                tries.settle(LI, false)
            });
            said.last()
        };
        assert_eq!(wrong(limits::WRONG_IN_A_ROW - 1), Some(Compared::Wrong));
        assert!(tries.reserve(LI, NOW));
        assert_eq!(tries.settle(LI, true), Compared::Verified);
        assert_eq!(wrong(limits::WRONG_IN_A_ROW), Some(Compared::Locked));
        assert!(!tries.reserve(LI, NOW + limits::LOCKED_TIME / 2));
        assert!(tries.reserve(CustomerId::from_u128(2), NOW), "another customer is not locked");
        assert!(tries.reserve(LI, NOW + limits::LOCKED_TIME), "a fresh start");
    }

    #[test]
    fn whoever_guesses_at_too_many_customers_finds_the_next_locked() {
        let tries = Tries::default();
        let customer = |n: usize| CustomerId::from_u128(n as u128);
        assert!((0..limits::CUSTOMERS_GUESSED_AT).all(|n| tries.reserve(customer(n), NOW)));
        assert!(!tries.reserve(customer(limits::CUSTOMERS_GUESSED_AT), NOW));
        assert!(tries.reserve(customer(0), NOW), "one who is known goes on");
        assert!(tries.reserve(customer(limits::CUSTOMERS_GUESSED_AT), NOW + limits::LOCKED_TIME));
    }
}

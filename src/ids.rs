//! Names of things. Two families: ids the switch makes (ULIDs, ordered by time) and names people give.
//!
//! Newtypes, so that a leg can never be passed where a call is meant. Ids come from [`IdSource`], a seeded
//! stream: the same seed and the same times make the same ids, which is what makes a simulation replay
//! byte for byte. Secrets (keys, tags, nonces) come from a second stream, [`SecretSource`], whose output is
//! never journaled in clear.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::time::Time;

macro_rules! made_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// An id with a fixed value, for tests and for reading stored text.
            pub const fn from_u128(bits: u128) -> Self {
                Self(Ulid(bits))
            }

            pub const fn as_u128(self) -> u128 {
                self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Ulid::from_string(text).map(Self).map_err(|_| NotAnId)
            }
        }

        impl MadeId for $name {
            fn from_ulid(ulid: Ulid) -> Self {
                Self(ulid)
            }
        }
    )*};
}

made_id! {
    /// One call: everything between the first INVITE and the last BYE that belongs together.
    CallId;
    /// One leg of a call: one dialog and one media session.
    LegId;
    /// What the customer remembers: one contact, over whatever channel.
    InteractionId;
    /// One recording file.
    RecordingId;
    /// One customer in the store.
    CustomerId;
    /// One voicemail message.
    VoicemailId;
    /// One boot of the process: the `epoch` of the event stream.
    Epoch;
    /// One CTI session, kept over reconnects.
    SessionId;
}

macro_rules! given_name {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

given_name! {
    /// A trunk as `strowger.toml` names it.
    TrunkName;
    /// A queue as `strowger.toml` names it.
    QueueName;
    /// A skill as `strowger.toml` names it.
    SkillName;
    /// A dialplan: its file name without `.toml`.
    DialplanName;
    /// A set of opening hours as `strowger.toml` names it.
    HoursName;
    /// A user who signs in: agent, supervisor, admin or integration.
    UserName;
    /// The user part of a SIP account's address of record in our domain (`1001`).
    AccountName;
    /// A prompt: its path under the language folder without `.wav`.
    PromptName;
    /// A language as a BCP 47 tag: `en`, `zh`.
    Language;
}

/// An agent is a user in the role of taking calls; one word for both would hide which hat is worn.
pub type AgentName = UserName;

/// The text is no ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 26 characters of Crockford base 32 are wanted")]
pub struct NotAnId;

/// An id that [`IdSource`] can make.
pub trait MadeId {
    fn from_ulid(ulid: Ulid) -> Self;
}

/// The seeded stream that ids come from, and whatever else a decision needs by chance (a random strategy, a dither).
pub struct IdSource {
    stream: ChaCha8Rng,
}

impl IdSource {
    pub fn from_seed(seed: u64) -> Self {
        Self { stream: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// A fresh id, ordered by `now` in milliseconds.
    pub fn next<I: MadeId>(&mut self, now: Time) -> I {
        let random = u128::from(self.stream.next_u64()) << 64 | u128::from(self.stream.next_u64());
        I::from_ulid(Ulid::from_parts(now.as_millis(), random))
    }

    /// A number in `0..bound`; zero where the bound is zero. The bias is below 2⁻³² for the bounds in use.
    pub fn below(&mut self, bound: u32) -> u32 {
        let wide = u64::from(self.stream.next_u32()) * u64::from(bound);
        u32::try_from(wide >> 32).expect("a product of two u32 shifted by 32 fits")
    }
}

/// The seeded stream that secrets come from: tags, branches, nonces, SSRCs, keys.
pub struct SecretSource {
    stream: ChaCha8Rng,
}

impl SecretSource {
    /// A stream that repeats, for simulation and tests.
    pub fn from_seed(seed: u64) -> Self {
        Self { stream: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// A stream nobody can guess; `seed` comes from the operating system.
    pub fn from_key(key: [u8; 32]) -> Self {
        Self { stream: ChaCha8Rng::from_seed(key) }
    }

    pub fn u32(&mut self) -> u32 {
        self.stream.next_u32()
    }

    pub fn u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// Sixteen lower-case hexadecimal digits: 64 bits, enough for tags and branches (RFC 3261 §19.3 asks for 32).
    pub fn token(&mut self) -> String {
        format!("{:016x}", self.stream.next_u64())
    }

    pub fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.stream.fill_bytes(&mut key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_ids() {
        let (mut a, mut b) = (IdSource::from_seed(7), IdSource::from_seed(7));
        let now = Time::from_secs(1_000);
        assert_eq!(a.next::<CallId>(now), b.next::<CallId>(now));
        assert_ne!(a.next::<CallId>(now), IdSource::from_seed(8).next::<CallId>(now));
    }

    #[test]
    fn ids_sort_by_time_and_read_back_from_text() {
        let mut ids = IdSource::from_seed(1);
        let early: CallId = ids.next(Time::from_secs(1));
        let late: CallId = ids.next(Time::from_secs(2));
        assert!(early < late);
        assert_eq!(early.to_string().parse::<CallId>(), Ok(early));
        assert_eq!("not an id".parse::<CallId>(), Err(NotAnId));
    }

    #[test]
    fn below_stays_below() {
        let mut ids = IdSource::from_seed(3);
        assert_eq!(ids.below(0), 0);
        assert!((0..1_000).all(|_| ids.below(7) < 7));
    }
}

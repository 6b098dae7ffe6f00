//! What customers prove themselves by, such as `secret.pin`: kept as a hash, and shown to nobody.
//!
//! [`seal`] takes tens of milliseconds for each new secret, by design: call it on a blocking thread.

use super::password::{self, PasswordError};
use crate::crm::Customer;
use crate::crm::customer::SECRET;
use crate::crm::people::{ClearPassword, PasswordHash};

/// A secret that cannot be kept: which, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {reason}")]
pub struct NotSealed {
    pub name: String,
    pub reason: PasswordError,
}

/// Hashes the secrets of a card that is about to be saved over `stored`. Nobody is shown a secret, so one that the
/// card leaves out stays as it was, and an empty one is taken away. One that is the stored one keeps its hash, so that
/// the same card twice changes nothing.
pub fn seal(card: &mut Customer, stored: Option<&Customer>) -> Result<(), NotSealed> {
    let known = stored.map(|stored| &stored.attributes);
    for (name, value) in card.attributes.iter_mut().filter(|(name, _)| name.starts_with(SECRET)) {
        let kept = known.and_then(|known| known.get(name));
        if value.is_empty() || kept == Some(value) {
            continue;
        }
        let clear = ClearPassword(value.clone());
        *value = match kept.map(|hash| PasswordHash(hash.clone())) {
            Some(hash) if password::verify(&clear, Some(&hash)) => hash.0,
            _ => password::hash_secret(&clear).map_err(|reason| NotSealed { name: name.clone(), reason })?.0,
        };
    }
    for (name, hash) in known.into_iter().flatten().filter(|(name, _)| name.starts_with(SECRET)) {
        card.attributes.entry(name.clone()).or_insert_with(|| hash.clone());
    }
    card.attributes.retain(|name, value| !(name.starts_with(SECRET) && value.is_empty()));
    Ok(())
}

/// The card without its secrets, hashes included.
pub fn without_secrets(mut card: Customer) -> Customer {
    card.attributes.retain(|name, _| !name.starts_with(SECRET));
    card
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CustomerId;

    fn card(attributes: &[(&str, &str)]) -> Customer {
        let mut card = Customer::new(CustomerId::from_u128(1));
        card.attributes = attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        card
    }

    fn sealed(attributes: &[(&str, &str)], stored: Option<&Customer>) -> Customer {
        let mut card = card(attributes);
        seal(&mut card, stored).unwrap();
        card
    }

    #[test]
    fn a_secret_is_hashed_once_kept_where_it_is_left_out_and_taken_away_where_it_is_empty() {
        let first = sealed(&[("secret.pin", "2468"), ("city", "")], None);
        assert!(first.attributes["secret.pin"].starts_with("$argon2id$"), "{first:?}");
        assert_eq!(first.attributes["city"], "");
        assert_eq!(sealed(&[("secret.pin", "2468"), ("city", "")], Some(&first)), first, "the same secret");
        assert_eq!(sealed(&[("city", "")], Some(&first)), first, "not told, so not touched");
        let hash = first.attributes["secret.pin"].clone();
        assert_eq!(sealed(&[("secret.pin", &hash), ("city", "")], Some(&first)), first, "the hash itself");
        assert_ne!(sealed(&[("secret.pin", "1357"), ("city", "")], Some(&first)), first);
        assert_eq!(sealed(&[("secret.pin", ""), ("city", "")], Some(&first)), card(&[("city", "")]));
        assert_eq!(without_secrets(first), card(&[("city", "")]));
    }

    #[test]
    fn a_secret_that_is_too_long_is_named() {
        let long = "9".repeat(300);
        let refused = seal(&mut card(&[("secret.pin", &long)]), None).unwrap_err();
        assert_eq!(refused.to_string(), "`secret.pin`: a secret has 1 to 256 bytes.");
    }
}

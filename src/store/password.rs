//! Passwords of users: the one file that knows argon2.
//!
//! Both functions take tens of milliseconds by design: call them on a blocking thread, never on the switch's.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::crm::people::{ClearPassword, PasswordHash};
use crate::limits::crm::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};

/// Hashes with argon2id at the crate's defaults (19 MiB, 2 passes: OWASP's first recommendation) and a fresh salt
/// from the operating system.
pub fn hash(password: &ClearPassword) -> Result<PasswordHash, PasswordError> {
    let bytes = password.0.as_bytes();
    if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&bytes.len()) {
        return Err(PasswordError::Length);
    }
    hashed(bytes)
}

/// Hashes what a caller proves himself by: a PIN, a date of birth. The company sets its length, and a hash protects so
/// short a text little; what protects it is that wrong answers lock the customer.
pub fn hash_secret(secret: &ClearPassword) -> Result<PasswordHash, PasswordError> {
    let bytes = secret.0.as_bytes();
    if !(1..=PASSWORD_BYTES_MAX).contains(&bytes.len()) {
        return Err(PasswordError::SecretLength);
    }
    hashed(bytes)
}

fn hashed(bytes: &[u8]) -> Result<PasswordHash, PasswordError> {
    let hash: Phc = Argon2::default().hash_password(bytes).map_err(|_| PasswordError::NoSalt)?;
    Ok(PasswordHash(hash.to_string()))
}

/// Whether the password is the one that was hashed. A hash that cannot be read, or a missing one, matches nothing, in
/// the same time as a wrong password: sign-in must not tell which users exist.
pub fn verify(password: &ClearPassword, hash: Option<&PasswordHash>) -> bool {
    let bytes = password.0.as_bytes();
    let stored = hash.and_then(|hash| Phc::new(&hash.0).ok());
    let known = stored.is_some();
    let Some(stored) = stored.or_else(|| Phc::new(NOBODY).ok()) else { return false };
    let matches = bytes.len() <= PASSWORD_BYTES_MAX && Argon2::default().verify_password(bytes, &stored).is_ok();
    known && matches
}

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes.")]
    Length,
    #[error("a secret has 1 to {PASSWORD_BYTES_MAX} bytes.")]
    SecretLength,
    #[error("the operating system gave no random salt.")]
    NoSalt,
}

/// The hash of a random text that nobody kept, with the parameters of [`hash`].
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$6h7o+1FC9P0khp8qO4xbHg$Lfb5phChXJ2+nQII4dFHmhC4A+NIGr6gcrvLCi0iU8g";

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(text: &str) -> ClearPassword {
        ClearPassword(text.to_owned())
    }

    #[test]
    fn the_right_password_opens_and_no_other() {
        let hashed = hash(&clear("correct horse")).unwrap();
        assert!(hashed.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hashed.0);
        assert!(verify(&clear("correct horse"), Some(&hashed)));
        assert!(!verify(&clear("correct horsf"), Some(&hashed)));
        assert!(!verify(&clear("correct horse"), None));
        assert!(!verify(&clear("correct horse"), Some(&PasswordHash("$argon2id$broken".into()))));
        assert_ne!(hash(&clear("correct horse")).unwrap(), hashed, "every hash has its own salt");
    }

    #[test]
    fn an_unknown_user_costs_as_much_as_a_wrong_password() {
        let decoy = Phc::new(NOBODY).unwrap();
        let real = hash(&clear("correct horse")).unwrap();
        let real = Phc::new(&real.0).unwrap();
        assert_eq!((decoy.algorithm, decoy.version, &decoy.params), (real.algorithm, real.version, &real.params));
    }

    #[test]
    fn too_short_and_endless_passwords_are_refused() {
        let of = |bytes: usize| hash(&clear(&"x".repeat(bytes)));
        assert!(of(PASSWORD_BYTES_MIN).is_ok() && of(PASSWORD_BYTES_MAX).is_ok());
        assert_eq!(of(PASSWORD_BYTES_MIN - 1), Err(PasswordError::Length));
        assert_eq!(of(PASSWORD_BYTES_MAX + 1), Err(PasswordError::Length));
    }

    #[test]
    fn a_pin_of_four_digits_is_hashed_and_an_empty_one_is_refused() {
        let hashed = hash_secret(&clear("2468")).unwrap();
        assert!(verify(&clear("2468"), Some(&hashed)) && !verify(&clear("2469"), Some(&hashed)));
        assert_eq!(hash_secret(&clear("")), Err(PasswordError::SecretLength));
    }
}

//! The first administrator: a link with a secret that `serve` prints, good once, and only while there is none.

use std::sync::{Mutex, PoisonError};

use super::{NoEntropy, Token, TokenId};

/// The secret that waits to be used.
#[derive(Debug, Default)]
pub struct FirstAdmin {
    waiting: Mutex<Option<TokenId>>,
}

impl FirstAdmin {
    /// A fresh secret, for the link; an older one is void. The caller has seen that there is no administrator.
    pub fn invite(&self) -> Result<Token, NoEntropy> {
        let token = Token::fresh()?;
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.id());
        Ok(token)
    }

    pub fn is_invited(&self, secret: &str) -> bool {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) == Some(TokenId::of(secret))
    }

    /// Uses the secret up; `true` for the one who has it, once.
    pub fn accept(&self, secret: &str) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let right = *waiting == Some(TokenId::of(secret));
        if right {
            *waiting = None;
        }
        right
    }

    /// The link's path and query.
    pub fn path(token: &Token) -> String {
        format!("/api/first-admin?token={}", token.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_good_once() {
        let first = FirstAdmin::default();
        assert!(!first.accept(""));
        let void = first.invite().unwrap();
        let token = first.invite().unwrap();
        assert!(!first.is_invited(&void.0));
        assert!(first.is_invited(&token.0));
        assert!(!first.accept("guess"));
        assert!(first.accept(&token.0));
        assert!(!first.accept(&token.0));
    }
}

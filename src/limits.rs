//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

/// The vocabulary: [`crate::event`].
pub mod event {
    /// Past contacts that travel on a customer's card.
    pub const CARD_HISTORY: usize = 10;
}

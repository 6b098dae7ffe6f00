//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// -- event ----------------------------------------------------------------------------------------------------------

/// Past contacts that travel on a customer's card.
pub const CARD_HISTORY: usize = 10;

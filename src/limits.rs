//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// The foreign side: `sim` phones and trunks, and `load`.

/// Transactions that one simulated phone or trunk keeps, each way. Beyond it requests out are refused and
/// requests in are dropped (the far side repeats them).
pub const SIM_EXCHANGES: usize = 16_384;
/// Calls of one simulated desk phone; the next one in is answered 486.
pub const SIM_PHONE_CALLS: usize = 8;
/// Calls of one simulated trunk; the next one in is answered 503, the next one out is refused.
pub const SIM_TRUNK_CALLS: usize = 4_096;
/// Reports and datagrams that a simulated phone holds for its driver; the oldest report is dropped first.
pub const SIM_REPORTS: usize = 65_536;

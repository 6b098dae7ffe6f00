//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// acd

use core::time::Duration;

/// Queues in one plan.
pub const ACD_QUEUES: usize = 1_000;
/// Agents on the roster, signed in or not.
pub const ACD_AGENTS: usize = 5_000;
/// Skills, queues and attributes each, of one agent.
pub const ACD_AGENT_ITEMS: usize = 200;
/// Calls waiting in all queues together.
pub const ACD_CALLS: usize = 10_000;
/// Steps of an expanding ring.
pub const ACD_STEPS: usize = 8;
/// Bytes of a skill expression.
pub const ACD_EXPRESSION_BYTES: usize = 1_000;
/// Parentheses and `not`s inside one another.
pub const ACD_EXPRESSION_DEPTH: usize = 32;
/// Agents that one call rings at once.
pub const ACD_RINGING: usize = 16;
/// Queues that one call overflows through before it is let go.
pub const ACD_HOPS: u8 = 8;
/// How long a call waits in one queue where its overflow says nothing.
pub const ACD_WAIT: Duration = Duration::from_secs(4 * 3_600);
/// Callers who hung up and are remembered for their place.
pub const ACD_RESUMES: usize = 10_000;
/// Explanations kept for questions.
pub const ACD_EXPLANATIONS: usize = 4_096;
/// Bytes of verdicts in one explanation; with its scores it stays below 2 KiB.
pub const ACD_VERDICT_BYTES: usize = 1_000;
/// Eligible agents whose scores an explanation keeps, best first.
pub const ACD_SCORES: usize = 20;
/// Rival calls that an explanation keeps, best first.
pub const ACD_RIVALS: usize = 6;

//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// Dialplans (`dialplan`).

/// Work a `script` state may do, in Rhai operations; more leaves by `failed`.
pub const SCRIPT_OPERATIONS: u64 = 20_000;
/// Nesting of an expression or a script; deeper is a finding.
pub const EXPRESSION_DEPTH: usize = 32;
/// Bytes of one expression; longer is a finding. Keeps its tree shallow enough to walk.
pub const EXPRESSION_BYTES: usize = 1_024;
/// Bytes of one script; longer is a finding.
pub const SCRIPT_BYTES: usize = 8 * 1_024;
/// Bytes of one dialplan file.
pub const DIALPLAN_BYTES: usize = 1 << 20;
/// States of one dialplan.
pub const DIALPLAN_STATES: usize = 2_000;
/// Variables of one dialplan, parameters and results included.
pub const DIALPLAN_VARS: usize = 256;
/// Dialplan files of one plan.
pub const DIALPLANS: usize = 1_000;
/// Pages in pages; deeper is a finding.
pub const DIALPLAN_PAGE_DEPTH: usize = 16;
/// Findings kept of one load: whoever has more mends these first.
pub const DIALPLAN_FINDINGS: usize = 500;

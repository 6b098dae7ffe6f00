//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

// Configuration (`plan`, `config`). Reached: an error with the place, and the running plan stays.

/// Bytes of `strowger.toml`.
pub const CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// Characters of a name of a trunk, queue, skill, reason or code.
pub const NAME_CHARS: usize = 64;
/// Entries of one kind: numbers, routes, queues, hours.
pub const CONFIG_ENTRIES: usize = 10_000;
/// Trunks, and peers of all trunks: each is compared with each.
pub const TRUNK_PEERS: usize = 1_000;
/// Dialplans of one folder.
pub const DIALPLAN_FILES: usize = 1_000;
/// Prompts of one language.
pub const PROMPT_FILES: usize = 10_000;

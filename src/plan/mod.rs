//! The plan: one immutable, fully checked value that a configuration loads into.
//!
//! `strowger.toml` → [`read`](read::read) → [`Plan`] and findings. A plan with an error is never used; a running
//! switch keeps the one it has. New calls take the new plan, running calls keep theirs, so a plan is shared as `Arc`.
//!
//! | file | idea |
//! |---|---|
//! | `model` | the plan and its small sections |
//! | `trunk`, `queue`, `hours`, `lunar`, `pattern` | one noun each |
//! | `keys` | TOML tables with places: typed keys, defaults, unknown keys |
//! | `read`, `read_trunk`, `read_queue`, `read_hours` | text → model |
//! | `check`, `check_queue`, `check_route` | what only shows when sections meet |
//! | `route` | whose call is this, where does it go |
//! | `diff` | what a reload changed, in words |
//! | `fixed` | what no reload changes: keys that are read at the start |

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

mod check;
mod check_queue;
mod check_route;
pub mod diff;
pub mod fixed;
pub mod hours;
pub mod keys;
pub mod lunar;
pub mod model;
pub mod pattern;
pub mod queue;
pub mod read;
mod read_hours;
mod read_queue;
mod read_trunk;
pub mod route;
pub mod trunk;

pub use hours::{Hours, Verdict, Zone};
pub use keys::Places;
pub use model::Plan;
pub use pattern::Pattern;
pub use queue::Queue;
pub use read::{Reading, Surroundings, read};
pub use trunk::Trunk;

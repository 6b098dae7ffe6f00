//! Automatic call distribution: who waits, who may answer, who is offered what, and why.
//!
//! [`Acd`] is one value. The world tells it what happens (`handle_…(now, …)`), it says what should happen
//! ([`Acd::poll_output`], drained after every input) and when it wants to be woken ([`Acd::poll_timeout`]).
//! It stands alone: it knows neither legs nor media nor sockets, and reads no clock.
//!
//! A decision is global and made at the event: an agent who becomes free looks at all waiting calls, a call that
//! comes in looks at all idle agents. So between two inputs **no idle agent and no call that the agent may take wait
//! beside each other**, and a later call never passes an earlier one of its class; [`Acd::check_invariants`] proves
//! both, in tests after every step and in production now and then.
//!
//! Nothing can stick. Busy is derived from the count of live legs that the switch reports; a reservation is a lease
//! with a deadline that the ACD itself enforces; [`Acd::reconcile`] rebuilds what is derived from given facts.
//!
//! Cost of a decision: one look at each agent (about 100 ns with a skill expression) and at each waiting call, so
//! some 0.15 ms with 1,000 agents and 500 waiting calls; `benches/acd.rs` measures it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

mod agent;
mod announce;
mod distributor;
mod explain;
mod figures;
mod intake;
mod invariant;
mod matcher;
mod output;
mod presence;
mod queue;
mod reconcile;
mod ringing;
mod settings;
mod skill;
mod strategy;
mod supervise;
mod wait;
mod waiting;

#[cfg(test)]
mod tests;

pub use agent::{AgentEntry, AgentState, NotReady};
pub use distributor::{Acd, AgentView, CallView};
pub use explain::{Explanation, Rival, Roster, Score, Standing, Trigger, Verdict, Verdicts};
pub use figures::Figures;
pub use intake::Entered;
pub use invariant::Violation;
pub use output::{Claim, Left, Offer, Outcome, Output, OverflowWhy, Refusal, Rise, Withdrawn};
pub use presence::RosterChange;
pub use reconcile::{Repair, SwitchFacts};
pub use settings::{
    Action, AnnounceRule, BackOff, Fit, Membership, Overflow, Priority, QueueSettings, Settings, SettingsFault, Step,
    TierPoints, WrapUpRule,
};
pub use skill::{Abilities, Expression, ExpressionFault};
pub use strategy::{Facts, Strategy, Turn};
pub use supervise::ForcedState;
pub use wait::{WaitEstimate, WaitModel};
pub use waiting::CallEntry;

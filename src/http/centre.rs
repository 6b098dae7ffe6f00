//! What the doors need of the centre behind them: the one seam between `http` and the rest of the process.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::command::{Command, Done, Refusal};
use crate::crm::Phone;
use crate::event::{Event, Seq};
use crate::finding::Finding;
use crate::http::desk::entity::Code;
use crate::ids::{AgentName, CallId, Epoch, QueueName, SkillName, TrunkName};
use crate::number::Number;
use crate::store::View;
use crate::time::Time;

/// The running centre, as the API and the CTI socket see it. The composition root implements it over the switch's
/// thread, the store and the observers; tests have one in memory.
pub trait Centre: Send + Sync + 'static {
    /// The clock shell's time.
    fn now(&self) -> Time;

    /// This boot: clients that come back with another one start afresh.
    fn epoch(&self) -> Epoch;

    /// Gives an order. Orders that save or remove records are answered when their event is durable and the view shows
    /// it, all others as soon as the switch has answered.
    fn order(&self, command: Command) -> BoxFuture<'_, Result<Done, Refusal>>;

    /// An agent's desktop has, or no longer has, a live CTI socket ([`crate::switch::Input::Link`]). Never waits.
    fn agent_link(&self, agent: &AgentName, up: bool);

    /// Rows folded from the ledger: call records, people, customers, recordings, voicemails. Reads block: the doors
    /// ask from blocking threads only.
    fn view(&self) -> Arc<dyn View>;

    /// The durable events of one call between two places in the ledger, in order. Blocks, as the view does.
    fn events_of(&self, call: CallId, first: Seq, last: Seq) -> Result<Vec<Event>, ReadFailed>;

    /// The kept messages of a call; `None` where nothing is kept of it (any more).
    fn ladder(&self, call: CallId) -> Option<Vec<LadderMessage>>;

    /// Whether the process serves, and takes new calls.
    fn health(&self) -> Health;

    /// The text of `/metrics` (Prometheus exposition).
    fn metrics(&self) -> String;

    /// What the running plan names.
    fn plan(&self) -> PlanNames;

    /// Reads the configuration anew: new calls take it, or what runs stays as a whole.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, NotReloaded>>;

    /// A number as people write it, in E.164; `None` where it is none.
    fn normalise(&self, number: &str) -> Option<Phone>;

    /// The file of a recording or voicemail, from the name that its event bears.
    fn recording_file(&self, name: &str) -> PathBuf;
}

/// The ledger could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger could not be read: {0}")]
pub struct ReadFailed(pub String);

/// What the running plan names, for lists and for the realm of new accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanNames {
    /// The SIP domain, which is the realm of digests.
    pub domain: String,
    /// Emergency numbers, which no account may be named like.
    pub emergency: Vec<Number>,
    pub queues: Vec<QueueName>,
    pub skills: Vec<SkillName>,
    pub trunks: Vec<TrunkName>,
    /// Why agents may be not ready.
    pub reasons: Vec<Code>,
}

/// What a reload took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reloaded {
    /// What is different for new calls, a line each: `queues.support.wrap_up_s: 30 → 20`. Empty: nothing.
    pub changes: Vec<String>,
    /// Changes that wait for the next start, with file, line, reason and mend.
    #[schema(value_type = Vec<Object>)]
    pub next_start: Vec<Finding>,
}

/// Why nothing was reloaded. What ran runs on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    #[error("The configuration has errors, and the running plan stays.")]
    Refused(Vec<Finding>),
    #[error("Too many reloads are waiting. Try again in a moment.")]
    Busy,
    #[error("The exchange is stopping.")]
    Stopping,
    #[error("This centre follows no configuration: what it runs was made at its start.")]
    Unfollowed,
}

/// One message of a call's ladder; what is secret is masked already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderMessage {
    pub at: Time,
    /// From us; otherwise to us.
    pub sent: bool,
    pub peer: std::net::SocketAddr,
    pub bytes: bytes::Bytes,
}

/// How the process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// New calls are taken.
    pub ready: bool,
    /// Why not, in words for an operator: `draining`, `the disk is full`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    pub version: String,
    /// Calls that run now.
    pub calls: usize,
}

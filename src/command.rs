//! Orders: what people and programs ask of the switch, `noun.verb`, the same over `/cti` and REST.
//!
//! An order is answered once, with the sequence number at which its effect is visible, or with a refusal that
//! says what to do. Who may order what is decided here, by role, in one table.

use serde::{Deserialize, Serialize};

use crate::event::{RecordKind, Seq};
use crate::ids::{AccountName, AgentName, CallId, QueueName, UserName};

/// What a user may do. Every API route and every order names the roles it takes; a higher role does not include a
/// lower one's duties: an administrator takes no calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    Agent,
    Supervisor,
    Admin,
    /// A program of the company's: CRM, wallboard, reporting.
    Integration,
}

impl UserRole {
    pub const ALL: [UserRole; 4] = [UserRole::Agent, UserRole::Supervisor, UserRole::Admin, UserRole::Integration];

    /// The word in the API, the CLI and tables.
    pub const fn code(self) -> &'static str {
        match self {
            UserRole::Agent => "agent",
            UserRole::Supervisor => "supervisor",
            UserRole::Admin => "admin",
            UserRole::Integration => "integration",
        }
    }
}

/// The text is no role: `agent`, `supervisor`, `admin` or `integration` is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: agent, supervisor, admin or integration is wanted")]
pub struct NotARole;

impl core::str::FromStr for UserRole {
    type Err = NotARole;

    /// In any case, with blanks around it.
    fn from_str(text: &str) -> Result<Self, NotARole> {
        let word = text.trim();
        Self::ALL.into_iter().find(|role| word.eq_ignore_ascii_case(role.code())).ok_or(NotARole)
    }
}

/// Who orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserName,
    pub role: UserRole,
}

/// An order with who gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub by: Actor,
    pub order: Order,
}

/// What can be ordered. On the wire: `{"name":"call.hold","args":{"call":"…"}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "args")]
pub enum Order {
    /// Bind the ordering agent to an account (`my desk phone 1001`) and land in Not Ready.
    #[serde(rename = "agent.sign_in")]
    SignIn { account: AccountName },
    #[serde(rename = "agent.sign_out")]
    SignOut {},
    #[serde(rename = "agent.ready")]
    Ready {},
    #[serde(rename = "agent.not_ready")]
    NotReady { reason: String },

    /// Refuse an offer; the call goes to the next agent.
    #[serde(rename = "call.decline")]
    Decline { call: CallId },
    #[serde(rename = "call.hold")]
    Hold { call: CallId },
    #[serde(rename = "call.retrieve")]
    Retrieve { call: CallId },
    /// Blind transfer to an account, an agent, a queue (`queue:support`) or an outside number.
    #[serde(rename = "call.transfer")]
    Transfer { call: CallId, to: String },
    /// Send digits to the other party.
    #[serde(rename = "call.send_digits")]
    SendDigits { call: CallId, digits: String },
    #[serde(rename = "call.hang_up")]
    HangUp { call: CallId },
    /// Ring the ordering agent's phone, then dial.
    #[serde(rename = "call.dial")]
    Dial { to: String },
    /// Keep the wrap-up's code and notes; `finish` ends the wrap-up.
    #[serde(rename = "interaction.wrap")]
    Wrap {
        call: CallId,
        #[serde(default)]
        code: String,
        #[serde(default)]
        notes: String,
        #[serde(default)]
        finish: bool,
    },
    #[serde(rename = "interaction.extend")]
    ExtendWrap {},

    /// Supervisor: put an agent into a state, with a reason that is logged.
    #[serde(rename = "agent.force")]
    ForceState { agent: AgentName, state: ForcedState, reason: String },
    /// Supervisor: move a waiting call to another queue; it keeps its waiting time.
    #[serde(rename = "call.move")]
    Move { call: CallId, queue: QueueName },
    #[serde(rename = "call.set_priority")]
    SetPriority { call: CallId, priority: i32 },

    /// Save a record people keep: a user, an account, an agent's skills, a customer. Its shape is that of `crm`.
    #[serde(rename = "record.save")]
    SaveRecord { kind: RecordKind, record: serde_json::Value },
    #[serde(rename = "record.remove")]
    RemoveRecord { kind: RecordKind, key: String },
    /// Administrator: no new calls; running ones finish within the bound of the plan.
    #[serde(rename = "system.drain")]
    Drain {},
}

/// The states a supervisor may put an agent into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForcedState {
    Ready,
    NotReady,
    SignedOut,
}

impl Order {
    /// Whether a user of this role may give it at all; whose call it is, the switch checks.
    pub fn is_allowed_to(&self, role: UserRole) -> bool {
        use UserRole::{Admin, Agent, Integration, Supervisor};
        match self {
            Order::ForceState { .. } | Order::Move { .. } | Order::SetPriority { .. } => {
                matches!(role, Supervisor | Admin)
            }
            Order::Drain {} => role == Admin,
            Order::SaveRecord { kind, .. } | Order::RemoveRecord { kind, .. } => match kind {
                RecordKind::Customer => true,
                RecordKind::Agent | RecordKind::Voicemail => matches!(role, Supervisor | Admin),
                RecordKind::User | RecordKind::Account => role == Admin,
            },
            Order::HangUp { .. } => matches!(role, Agent | Supervisor | Admin | Integration),
            _ => matches!(role, Agent | Supervisor | Admin),
        }
    }
}

/// Done: everything up to `seq` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub seq: Seq,
    /// The call an order made (`call.dial`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
}

/// Refused: a stable code for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {msg}")]
pub struct Refusal {
    /// `call.wrong_state`, `call.unknown`, `agent.not_registered`, `role.forbidden`, …
    pub code: String,
    pub msg: String,
    /// Whether the same order may succeed later.
    pub retry: bool,
}

impl Refusal {
    pub fn new(code: &str, msg: impl Into<String>) -> Self {
        Self { code: code.to_owned(), msg: msg.into(), retry: false }
    }

    pub fn later(code: &str, msg: impl Into<String>) -> Self {
        Self { code: code.to_owned(), msg: msg.into(), retry: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_as_the_socket_writes_it() {
        let text = r#"{"name":"call.hold","args":{"call":"00000000000000000000000005"}}"#;
        let order: Order = serde_json::from_str(text).unwrap();
        assert_eq!(order, Order::Hold { call: CallId::from_u128(5) });
        assert_eq!(serde_json::to_string(&order).unwrap(), text);
    }

    #[test]
    fn an_agent_may_not_force_others_nor_drain() {
        let force = Order::ForceState { agent: "li".into(), state: ForcedState::Ready, reason: String::new() };
        assert!(!force.is_allowed_to(UserRole::Agent));
        assert!(force.is_allowed_to(UserRole::Supervisor));
        assert!(!Order::Drain {}.is_allowed_to(UserRole::Supervisor));
    }
}

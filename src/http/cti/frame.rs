//! Frames of `cti.v1`: JSON text, one object a frame. Unknown fields are ignored on both sides.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::event::Seq;
use crate::http::desk::Entity;
use crate::http::desk::entity::Me;
use crate::http::wire::Moment;
use crate::ids::{CallId, Epoch, SessionId};

/// The subprotocol of the upgrade.
pub const SUBPROTOCOL: &str = "cti.v1";

/// From the client. `id` names a frame until it is answered.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame.
    Hello(Hello),
    /// Adds topics; each is answered by a `snap`.
    Sub {
        id: String,
        topics: Vec<String>,
    },
    Unsub {
        id: String,
        topics: Vec<String>,
    },
    /// Asks for fresh snapshots of all topics: an event's `prev` was not the last one seen.
    Resync {},
    /// An order, as `POST /api/cmd/{name}` takes it.
    Cmd {
        id: String,
        name: String,
        #[serde(default)]
        args: serde_json::Value,
        /// Refused with `call.changed` where the call named in `args` is newer than this.
        #[serde(default)]
        if_rev: Option<Seq>,
    },
    /// Measures the clock's offset.
    Ping {
        c: f64,
    },
}

/// The first frame of a client.
#[derive(Debug, Default, Deserialize)]
pub struct Hello {
    /// Name and version, for the log: `web/0.3`.
    #[serde(default)]
    pub client: String,
    /// From `POST /api/ticket`, where the upgrade came without a cookie.
    #[serde(default)]
    pub ticket: Option<String>,
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// Where a client left off.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Resume {
    pub session: SessionId,
    pub epoch: Epoch,
    /// The last event it saw.
    pub seq: Seq,
}

/// To the client.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerFrame {
    Welcome(Welcome),
    Snap(Snap),
    Ev(Ev),
    /// The order is done, and every event up to `seq` that this session gets has been sent.
    Ok {
        id: String,
        #[schema(value_type = u64)]
        seq: Seq,
        /// The call that the order made.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>)]
        call: Option<CallId>,
    },
    /// The frame is refused. `id` is empty where the frame had none.
    Err {
        id: String,
        code: String,
        msg: String,
        retry: bool,
    },
    Pong {
        c: f64,
        /// The server's time, milliseconds since 1970.
        s: u64,
    },
    /// Forget every entity: snapshots of all topics follow, and the next event's `prev` is this `seq`.
    Resync {
        #[schema(value_type = u64)]
        seq: Seq,
    },
}

/// The answer to `hello`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Welcome {
    #[schema(value_type = String)]
    pub session: SessionId,
    #[schema(value_type = String)]
    pub epoch: Epoch,
    /// `prev` of the next event.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// What was missed follows; otherwise subscribe again.
    pub resumed: bool,
    pub now: Moment,
    pub me: Me,
}

/// Everything of a topic.
#[derive(Debug, Serialize, ToSchema)]
pub struct Snap {
    /// Of the `sub` it answers; empty after a resync.
    pub id: String,
    pub topic: String,
    #[schema(value_type = u64)]
    pub seq: Seq,
    pub items: Vec<Entity>,
}

/// Something has happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ev {
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The last event sent to this session before.
    #[schema(value_type = u64)]
    pub prev: Seq,
    /// The first subscribed topic that it belongs to.
    pub topic: String,
    /// `call.offered`, `agent.state_changed`, …
    pub name: String,
    pub at: Moment,
    #[schema(value_type = Vec<Entity>)]
    pub items: Vec<Box<RawValue>>,
}

impl ServerFrame {
    pub fn text(&self) -> String {
        // Frames hold no maps with keys other than text, and no floats that JSON cannot say but `c`, which came in it.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn refusal(id: &str, code: &str, msg: impl Into<String>) -> Self {
        ServerFrame::Err { id: id.to_owned(), code: code.to_owned(), msg: msg.into(), retry: false }
    }
}

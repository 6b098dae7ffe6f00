//! Why a call or a leg ended: what happened, and whose doing it was.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Whose doing an end was. "Fault" in the field's sense: the party whose action or failure decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Caller,
    Agent,
    Trunk,
    /// A system of the company's that we asked: CRM, HTTP step, script.
    CustomerSystem,
    /// The dialplan or the configuration, doing as it was told.
    Plan,
    /// A supervisor or an administrator.
    Operator,
    Switch,
}

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A party hung up on an answered call.
    Hangup,
    /// The caller gave up before an answer (CANCEL, or BYE while waiting).
    Abandoned,
    /// The dialplan reached its end.
    Completed,
    /// Nobody answered in time.
    NoAnswer,
    Busy,
    Declined,
    /// The called number or account does not exist here.
    NotFound,
    /// Known, but no contact is registered or the destination cannot be reached.
    Unreachable,
    /// No common codec, or a session description we cannot take.
    NotAcceptable,
    /// Digest or trunk identity failed.
    Forbidden,
    /// A limit was reached; the caller was told so.
    Congestion,
    /// No RTP for the configured time.
    MediaTimeout,
    /// The signalling peer went silent: a transaction timed out.
    SignallingTimeout,
    /// The call moved on by blind transfer and left this leg behind.
    Transferred,
    /// The far side answered with a failure we pass on.
    Failed,
    /// The process stopped or restarted while the call was open.
    SwitchRestart,
    /// A defect of ours was caught and the call cleared.
    Defect,
}

/// Why a call or leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cause {
    pub what: What,
    pub by: Party,
    /// The SIP status that carried it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The cause of the telephone network that the far side named (ITU-T Q.850, in a Reason header of RFC 3326).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q850: Option<u8>,
}

impl Cause {
    pub const fn new(what: What, by: Party) -> Self {
        Self { what, by, status: None, q850: None }
    }

    pub const fn with_status(what: What, by: Party, status: u16) -> Self {
        Self { what, by, status: Some(status), q850: None }
    }

    /// The same with what the telephone network says of it.
    pub const fn and_q850(self, q850: Option<u8>) -> Self {
        Self { q850, ..self }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {:?}", self.what, self.by)?;
        match self.status {
            Some(status) => write!(f, " ({status})"),
            None => Ok(()),
        }
    }
}

/// What a cause of the telephone network means, by the table of ITU-T Q.850 (2018); `None` for the rare ones.
pub const fn q850_in_words(cause: u8) -> Option<&'static str> {
    Some(match cause {
        1 => "unallocated number",
        2 => "no route to the transit network",
        3 => "no route to the destination",
        16 => "normal clearing",
        17 => "user busy",
        18 => "no user responding",
        19 => "no answer from the user",
        20 => "subscriber absent",
        21 => "call rejected",
        22 => "number changed",
        27 => "destination out of order",
        28 => "incomplete number",
        29 => "facility rejected",
        31 => "normal, unspecified",
        34 => "no circuit available",
        38 => "network out of order",
        41 => "temporary failure",
        42 => "switching equipment congested",
        44 => "requested circuit not available",
        47 => "resource unavailable",
        50 => "facility not subscribed",
        55 => "incoming calls barred",
        57 => "bearer capability not authorised",
        58 => "bearer capability not available",
        63 => "service not available",
        65 => "bearer capability not implemented",
        79 => "service not implemented",
        87 => "user not member of the group",
        88 => "incompatible destination",
        102 => "recovery on timer expiry",
        111 => "protocol error",
        127 => "interworking, unspecified",
        _ => return None,
    })
}

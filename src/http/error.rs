//! Every refusal and failure of the API in one JSON shape: `{"code":"call.unknown","msg":"…","retry":false}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::command::Refusal;
use crate::finding::Finding;
use crate::store::ViewError;

use super::centre::{NotReloaded, ReadFailed};

/// What went wrong. `code` is stable, `msg` is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ApiError {
    #[serde(skip)]
    pub status: StatusCode,
    /// `call.unknown`, `role.forbidden`, `session.none`, …
    pub code: String,
    pub msg: String,
    /// Whether the same request may succeed later.
    pub retry: bool,
    /// What is wrong with an imported text or with the configuration, where it is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub findings: Vec<Finding>,
    /// Seconds to wait before trying again.
    #[serde(skip)]
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &str, msg: impl Into<String>) -> Self {
        let (code, msg) = (code.to_owned(), msg.into());
        Self { status, code, msg, retry: false, findings: Vec::new(), retry_after_s: None }
    }

    pub fn bad_request(msg: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request.invalid", msg)
    }

    pub fn not_found(code: &str, msg: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, msg)
    }

    pub fn forbidden() -> Self {
        let msg = "Your role may not do this. Ask a supervisor or an administrator.";
        Self::new(StatusCode::FORBIDDEN, "role.forbidden", msg)
    }

    /// The same, worth another try after so many seconds.
    pub fn later(status: StatusCode, code: &str, msg: impl Into<String>, after_s: u64) -> Self {
        Self { retry: true, retry_after_s: Some(after_s), ..Self::new(status, code, msg) }
    }

    /// A defect or a failed disk: the cause is logged, the client hears that it was not its doing.
    pub fn internal(cause: impl core::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed within");
        let msg = "The server failed at this. The log of the server says why.";
        Self { retry: true, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server.failed", msg) }
    }

    pub fn with_findings(self, findings: Vec<Finding>) -> Self {
        Self { findings, ..self }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (subject, what) = refusal.code.split_once('.').unwrap_or(("", refusal.code.as_str()));
        let status = match (subject, what) {
            ("role", _) | (_, "not_yours") => StatusCode::FORBIDDEN,
            (_, "invalid" | "too_long") => StatusCode::UNPROCESSABLE_ENTITY,
            (_, "unknown") => StatusCode::NOT_FOUND,
            ("system", _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        Self { retry: refusal.retry, ..Self::new(status, &refusal.code, refusal.msg) }
    }
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        Self::internal(error)
    }
}

impl From<NotReloaded> for ApiError {
    fn from(why: NotReloaded) -> Self {
        let msg = why.to_string();
        match why {
            NotReloaded::Refused(findings) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "plan.refused", msg).with_findings(findings)
            }
            NotReloaded::Busy => Self::later(StatusCode::SERVICE_UNAVAILABLE, "reload.busy", msg, 1),
            NotReloaded::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "system.stopped", msg),
            NotReloaded::Unfollowed => Self::new(StatusCode::CONFLICT, "reload.unfollowed", msg),
        }
    }
}

impl From<ReadFailed> for ApiError {
    fn from(error: ReadFailed) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after_s;
        let mut response = (self.status, Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

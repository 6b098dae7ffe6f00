//! `POST /api/cmd/{name}`: the orders of the CTI socket, one a request.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use crate::event::Seq;
use crate::http::auth::guard::Identity;
use crate::http::error::ApiError;
use crate::http::orders;
use crate::http::site::Site;
use crate::ids::CallId;

/// Done: everything read from now on shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderDone {
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The call that the order made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub call: Option<CallId>,
}

/// `?if_rev=`
#[derive(serde::Deserialize)]
pub struct Conditions {
    if_rev: Option<Seq>,
}

pub async fn give(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    Query(Conditions { if_rev }): Query<Conditions>,
    body: Bytes,
) -> Result<axum::Json<OrderDone>, ApiError> {
    let args = if body.is_empty() { serde_json::Value::Null } else { read(&body)? };
    let order = orders::parse(&name, args)?;
    let done = orders::give(&site, identity.actor(), order, if_rev).await?;
    Ok(axum::Json(OrderDone { seq: done.seq, call: done.call }))
}

fn read(body: &[u8]) -> Result<serde_json::Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("The body is no JSON: {error}.")))
}

//! Health, metrics, and the API's own document.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use crate::http::auth::guard::Identity;
use crate::http::centre::Reloaded;
use crate::http::error::ApiError;
use crate::http::openapi;
use crate::http::site::Site;

/// The process serves: whoever restarts it on red must not do so for a full disk.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Green while new calls are taken.
pub async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let health = site.centre.health();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// Reads the configuration anew.
pub async fn reload(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
) -> Result<Json<Reloaded>, ApiError> {
    tracing::info!(by = %identity.user.name, "a reload is asked for");
    Ok(Json(site.centre.reload().await?))
}

pub async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], site.centre.metrics()).into_response()
}

pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

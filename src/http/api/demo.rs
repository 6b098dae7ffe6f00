//! What a sample centre tells its visitors on the sign-in page. Any other centre has no such page: 404.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::command::UserRole;
use crate::http::desk::entity::Words;
use crate::http::error::ApiError;
use crate::http::site::Site;

/// Who may sign in, which phone to register, and what to dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DemoHints {
    pub users: Vec<DemoUser>,
    pub phone: DemoPhone,
    pub dial: Vec<DemoNumber>,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DemoUser {
    pub user: String,
    pub password: String,
    pub role: UserRole,
    /// The account to sign in at; empty where none is needed.
    pub account: String,
}

/// An account for the visitor's own softphone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DemoPhone {
    /// `2001@demo.local`.
    pub address: String,
    pub password: String,
    /// Where to register, `ADDRESS:PORT` over UDP and TCP.
    pub servers: Vec<String>,
}

/// A number with what answers there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DemoNumber {
    pub number: String,
    pub what: Words,
}

pub async fn show(State(site): State<Arc<Site>>) -> Result<axum::Json<DemoHints>, ApiError> {
    let none = || ApiError::not_found("demo.none", "This is no sample centre.");
    site.settings.demo.clone().map(axum::Json).ok_or_else(none)
}

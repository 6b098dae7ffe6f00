//! The REST API by subject. Handlers read the picture or the view, or give orders; nothing else changes anything.

pub mod calls;
pub mod cdr;
pub mod customers;
pub mod demo;
pub mod media;
pub mod orders;
pub mod people;
pub mod session;
pub mod system;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::error::ApiError;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask on with this cursor; `null` at the end. A page may hold less than asked for, and even nothing, before the
    /// end: a filtered list looks at a bounded number of rows at a time.
    pub next: Option<String>,
}

/// A JSON body; what does not fit is refused in the API's one shape.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Json(value)),
            Err(rejection) => Err(ApiError::new(rejection.status(), "request.invalid", rejection.body_text())),
        }
    }
}

/// The query; what does not fit is refused in the API's one shape.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(rejection) => Err(ApiError::bad_request(rejection.body_text())),
        }
    }
}

/// The rows a page may have: what was asked for, within the bound.
pub fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(DEFAULT_PAGE).clamp(1, crate::limits::http::PAGE_ROWS)
}

const DEFAULT_PAGE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::http::PAGE_ROWS;

    #[test]
    fn a_page_has_at_least_one_row_and_no_more_than_fit() {
        let sizes = [None, Some(0), Some(7), Some(PAGE_ROWS + 1)].map(page_size);
        assert_eq!(sizes, [DEFAULT_PAGE, 1, 7, PAGE_ROWS]);
    }
}

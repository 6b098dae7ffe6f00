//! The guard before every route: who asks, from which page, and whether the route takes the role.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Denied, TokenId, is_person};
use crate::command::{Actor, UserRole};
use crate::crm::User;
use crate::crm::people::ClearPassword;
use crate::http::error::ApiError;
use crate::http::site::Site;
use crate::ids::UserName;
use crate::time::Time;

/// Whom a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, signed in or not.
    Open,
    Roles(&'static [UserRole]),
}

impl Access {
    pub fn takes(self, role: UserRole) -> bool {
        match self {
            Access::Open => true,
            Access::Roles(roles) => roles.contains(&role),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Identity {
    pub user: User,
    /// The cookie's session; programs have none.
    pub session: Option<TokenId>,
    /// When the session ends.
    pub expires: Option<Time>,
}

impl Identity {
    pub fn actor(&self) -> Actor {
        Actor { user: self.user.name.clone(), role: self.user.role }
    }
}

/// The middleware of one route.
pub async fn guard(State((site, access)): State<(Arc<Site>, Access)>, mut request: Request, next: Next) -> Response {
    let from = address_of(request.extensions().get::<ConnectInfo<SocketAddr>>());
    request.extensions_mut().insert(PeerAddress(from));
    let unsafe_method = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if unsafe_method && let Err(error) = check_origin(&site, request.headers(), Origin::MayMiss) {
        return error.into_response();
    }
    if access == Access::Open {
        return next.run(request).await;
    }
    match identify(&site, request.headers(), from).await {
        Ok(identity) if access.takes(identity.user.role) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Ok(_) => ApiError::forbidden().into_response(),
        Err(error) => error.into_response(),
    }
}

/// Who has the cookie or the key that came with a request.
pub async fn identify(site: &Site, headers: &HeaderMap, from: IpAddr) -> Result<Identity, ApiError> {
    let now = site.centre.now();
    if let Some((name, key)) = bearer(headers) {
        let stored = site.user(&name).await?.filter(|user| !is_person(user.role));
        let user = site.auth.verify_key(&name, stored, key, from, now).await.map_err(denied)?;
        return Ok(Identity { user, session: None, expires: None });
    }
    let none = || ApiError::new(StatusCode::UNAUTHORIZED, "session.none", "Sign in first: POST /api/session.");
    let id = cookie(headers).ok_or_else(none)?;
    let pass = site.auth.session(id, now).ok_or_else(none)?;
    Ok(Identity { user: pass.user, session: Some(id), expires: Some(pass.expires) })
}

pub fn denied(denied: Denied) -> ApiError {
    match denied {
        Denied::Wrong => {
            ApiError::new(StatusCode::UNAUTHORIZED, "session.wrong_password", "User name or password is wrong.")
        }
        Denied::Throttled { after_s } => {
            let msg = format!("Too many failed attempts. Try again in {after_s} s.");
            ApiError::later(StatusCode::TOO_MANY_REQUESTS, "session.throttled", msg, after_s)
        }
    }
}

/// The address a request came from, put where handlers find it.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

fn address_of(info: Option<&ConnectInfo<SocketAddr>>) -> IpAddr {
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// Whether a request without `Origin` passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Programs send none; browsers send one with every unsafe request.
    MayMiss,
    /// A cookie opens a socket from a page only.
    Must,
}

/// Refuses requests that a foreign page made a browser send.
pub fn check_origin(site: &Site, headers: &HeaderMap, rule: Origin) -> Result<(), ApiError> {
    let foreign = || {
        let msg = "This page may not use the API. Name its origin in `http.allowed_origins`.";
        ApiError::new(StatusCode::FORBIDDEN, "origin.foreign", msg)
    };
    let Some(origin) = headers.get(header::ORIGIN) else {
        return if rule == Origin::MayMiss { Ok(()) } else { Err(foreign()) };
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let own = authority.is_some_and(|authority| Some(authority) == host);
    let allowed = site.settings.allowed_origins.iter().any(|allowed| &**allowed == origin);
    if own || allowed { Ok(()) } else { Err(foreign()) }
}

/// The session of the cookie, where there is one.
pub fn cookie(headers: &HeaderMap) -> Option<TokenId> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| TokenId::of(token))
}

/// `Authorization: Bearer NAME:KEY`.
fn bearer(headers: &HeaderMap) -> Option<(UserName, ClearPassword)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, key) = text.strip_prefix("Bearer ")?.trim().split_once(':')?;
    Some((UserName::new(name), ClearPassword(key.to_owned())))
}

/// The cookie's name.
pub const COOKIE: &str = "strowger";

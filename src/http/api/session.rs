//! Signing in and out, tickets, and the first administrator.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Json, Query};
use crate::command::{Actor, Command, Order, UserRole};
use crate::crm::User;
use crate::crm::people::ClearPassword;
use crate::event::RecordKind;
use crate::http::auth::guard::{COOKIE, Identity, PeerAddress, cookie, denied};
use crate::http::auth::{Pass, is_person, me};
use crate::http::desk::entity::Me;
use crate::http::error::ApiError;
use crate::http::site::{Site, read_all};
use crate::http::wire::Moment;
use crate::ids::UserName;
use crate::store::password;
use crate::store::view::key;

/// Name and password.
#[derive(Deserialize, ToSchema)]
pub struct SignIn {
    pub user: String,
    pub password: String,
}

/// Who is signed in, and until when without renewal.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    pub me: Me,
    pub expires: Option<Moment>,
}

/// A ticket for the `hello` of one CTI socket.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketView {
    pub ticket: String,
    pub expires: Moment,
}

pub async fn sign_in(
    State(site): State<Arc<Site>>,
    Extension(PeerAddress(from)): Extension<PeerAddress>,
    Json(body): Json<SignIn>,
) -> Result<Response, ApiError> {
    let (name, now) = (UserName::new(&body.user), site.centre.now());
    // A program's key opens no session: it comes with every request instead.
    let stored = site.user(&name).await?.filter(|user| is_person(user.role));
    let user = site.auth.verify(&name, stored, ClearPassword(body.password), from, now).await.map_err(denied)?;
    let (token, pass) = site.auth.sign_in(user, now).map_err(ApiError::internal)?;
    tracing::info!(user = %pass.user.name, %from, "session.opened");
    Ok((set_cookie(&site, &token.0)?, axum::Json(view(&site, &pass))).into_response())
}

pub async fn show(State(site): State<Arc<Site>>, Extension(identity): Extension<Identity>) -> axum::Json<SessionView> {
    let me = me(&identity.user, site.centre.plan().reasons);
    axum::Json(SessionView { me, expires: identity.expires.map(Moment) })
}

pub async fn renew(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
) -> Result<axum::Json<SessionView>, ApiError> {
    let pass = identity.session.and_then(|id| site.auth.renew(id, site.centre.now()));
    let none = || ApiError::new(StatusCode::CONFLICT, "session.none", "A key needs no renewal.");
    pass.map(|pass| axum::Json(view(&site, &pass))).ok_or_else(none)
}

pub async fn sign_out(State(site): State<Arc<Site>>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(id) = cookie(&headers) {
        site.auth.sign_out(id);
    }
    Ok((StatusCode::NO_CONTENT, clear_cookie(&site)?).into_response())
}

pub async fn ticket(
    State(site): State<Arc<Site>>,
    Extension(identity): Extension<Identity>,
) -> Result<axum::Json<TicketView>, ApiError> {
    let (token, expires) = site.auth.ticket(identity.user, site.centre.now()).map_err(ApiError::internal)?;
    Ok(axum::Json(TicketView { ticket: token.0, expires: Moment(expires) }))
}

fn view(site: &Site, pass: &Pass) -> SessionView {
    SessionView { me: me(&pass.user, site.centre.plan().reasons), expires: Some(Moment(pass.expires)) }
}

type CookieHeader = [(header::HeaderName, HeaderValue); 1];

fn set_cookie(site: &Site, token: &str) -> Result<CookieHeader, ApiError> {
    let secure = if site.settings.secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}");
    Ok([(header::SET_COOKIE, HeaderValue::from_str(&text).map_err(ApiError::internal)?)])
}

fn clear_cookie(site: &Site) -> Result<CookieHeader, ApiError> {
    let secure = if site.settings.secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}");
    Ok([(header::SET_COOKIE, HeaderValue::from_str(&text).map_err(ApiError::internal)?)])
}

// -- the first administrator -----------------------------------------------------------------------------------------

/// The link's query.
#[derive(Deserialize)]
pub struct Invited {
    #[serde(default)]
    token: String,
}

/// The form behind the link.
#[derive(Deserialize, ToSchema)]
pub struct FirstAdminForm {
    pub token: String,
    pub user: String,
    pub password: String,
}

pub async fn first_admin_page(
    State(site): State<Arc<Site>>,
    Query(Invited { token }): Query<Invited>,
) -> Result<Html<String>, ApiError> {
    if !site.first_admin.is_invited(&token) {
        return Err(void_link());
    }
    // The token was compared, so it is 64 hexadecimal digits and needs no escaping.
    Ok(Html(FIRST_ADMIN_PAGE.replace("{token}", &token)))
}

pub async fn first_admin(
    State(site): State<Arc<Site>>,
    Form(form): Form<FirstAdminForm>,
) -> Result<Redirect, ApiError> {
    if !site.first_admin.is_invited(&form.token) {
        return Err(void_link());
    }
    let users: Vec<User> = site.read(|view| read_all(view, &key::users())).await?;
    if users.iter().any(|user| user.role == UserRole::Admin && !user.disabled) {
        return Err(void_link());
    }
    if users.iter().any(|user| user.name.as_str() == form.user) {
        let msg =
            "There is a user of this name already: choose another, or give that one the role by `strowger users role`.";
        return Err(ApiError::new(StatusCode::CONFLICT, "user.exists", msg));
    }
    let user = first_user(&form.user, form.password).await?;
    user.check().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let record = serde_json::to_value(&user).map_err(ApiError::internal)?;
    if !site.first_admin.accept(&form.token) {
        return Err(void_link());
    }
    let by = Actor { user: user.name.clone(), role: UserRole::Admin };
    site.centre.order(Command { by, order: Order::SaveRecord { kind: RecordKind::User, record } }).await?;
    Ok(Redirect::to("/"))
}

async fn first_user(name: &str, clear: String) -> Result<User, ApiError> {
    let hashed = tokio::task::spawn_blocking(move || password::hash(&ClearPassword(clear))).await;
    let hash = hashed.map_err(ApiError::internal)?.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(User {
        name: UserName::new(name),
        display: String::new(),
        role: UserRole::Admin,
        language: None,
        account: None,
        password: Some(hash),
        disabled: false,
    })
}

fn void_link() -> ApiError {
    let msg = "This link is used up or void. `strowger serve` prints one while there is no administrator.";
    ApiError::new(StatusCode::FORBIDDEN, "first_admin.void", msg)
}

/// No script and no style: it works before anything else does.
const FIRST_ADMIN_PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Strowger</title>
<h1>First administrator · 首位管理员</h1>
<p>Choose a name and a password of at least 8 characters.<br>请设置用户名和至少 8 个字符的密码。</p>
<form method="post" action="/api/first-admin">
<input type="hidden" name="token" value="{token}">
<p><label>User name · 用户名 <input name="user" required maxlength="64" autocomplete="username" autofocus></label></p>
<p><label>Password · 密码 <input name="password" type="password" required minlength="8" autocomplete="new-password"></label></p>
<p><button>Create · 创建</button></p>
</form></html>
"#;

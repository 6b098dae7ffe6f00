//! Every route in one table: method, path, who may, what it takes and gives, and its handler. The router and the
//! OpenAPI document are both made from it, so that neither can know a route that the other does not.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use axum::serve::ListenerExt;

use super::api::{calls, cdr, customers, demo, media, orders, people, session, system};
use super::assets;
use super::auth::guard::{Access, guard};
use super::cti::socket;
use super::error::ApiError;
use super::site::Site;
use crate::command::UserRole;
use crate::limits;

/// One route.
pub struct Route {
    pub method: Method,
    /// With `{name}` for each part that varies.
    pub path: &'static str,
    pub access: Access,
    pub tag: &'static str,
    pub summary: &'static str,
    /// Query parameters: name and what it does.
    pub query: &'static [(&'static str, &'static str)],
    pub body: Body,
    pub answer: Answer,
    pub handler: fn() -> MethodRouter<Arc<Site>>,
}

/// What a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    /// A JSON object of this schema.
    Json(&'static str),
    /// Any JSON object.
    Object,
    /// The fields of a form.
    Form(&'static str),
    /// CSV or JSON, up to [`limits::crm::IMPORT_BYTES`].
    Table,
}

/// What a route gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    None,
    Json(&'static str),
    List(&'static str),
    Page(&'static str),
    Objects,
    /// Of this media type.
    Raw(&'static str),
    /// The connection becomes a WebSocket.
    Upgrade,
}

const AGENT: UserRole = UserRole::Agent;
const SUPERVISOR: UserRole = UserRole::Supervisor;
const ADMIN: UserRole = UserRole::Admin;
const INTEGRATION: UserRole = UserRole::Integration;

const EVERYONE: Access = Access::Roles(&[AGENT, SUPERVISOR, ADMIN, INTEGRATION]);
const PEOPLE: Access = Access::Roles(&[AGENT, SUPERVISOR, ADMIN]);
const PROGRAMS: Access = Access::Roles(&[INTEGRATION]);
/// Who sees calls of others, and what was said in them.
const OVERSIGHT: Access = Access::Roles(&[SUPERVISOR, ADMIN, INTEGRATION]);
const LEADERS: Access = Access::Roles(&[SUPERVISOR, ADMIN]);
const ADMINS: Access = Access::Roles(&[ADMIN]);

type Query = &'static [(&'static str, &'static str)];

const CDR_QUERY: Query = &[
    ("from", "accepted at or after: a date or RFC 3339"),
    ("to", "accepted before"),
    ("number", "digits that a number of the call contains"),
    ("agent", "had a leg in the call; an agent gets the own calls only"),
    ("queue", "waited in this queue"),
    ("customer", "id of the customer"),
    ("result", "open, answered, abandoned, served or failed"),
    ("limit", "rows of a page, 50, at most 500"),
    ("before", "`next` of the page before"),
    ("format", "json or csv"),
];
const CUSTOMER_QUERY: Query = &[
    ("q", "text in names, company or numbers"),
    ("number", "who has this number"),
    ("limit", "rows of a page, 50, at most 500"),
    ("after", "`next` of the page before"),
];
const IMPORT_QUERY: Query = &[
    ("dry_run", "true: say what would come of it, save nothing"),
    ("partial", "true: save the rows that fit also where others do not"),
];
const EXPORT_QUERY: Query = &[("format", "csv or json")];
const NEWEST_QUERY: Query = &[("limit", "rows of a page, 50, at most 500"), ("before", "`next` of the page before")];

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $tag:literal $handler:path, $body:expr => $answer:expr,
        $query:expr, $summary:literal;)*) => {
        vec![$(Route {
            method: Method::$method,
            path: $path,
            access: $access,
            tag: $tag,
            summary: $summary,
            query: $query,
            body: $body,
            answer: $answer,
            handler: || on(Method::$method, $handler),
        }),*]
    };
}

/// The table.
#[rustfmt::skip]
pub fn table() -> Vec<Route> {
    use Answer::{Json, List, Objects, Page, Raw, Upgrade};
    const OPEN: Access = Access::Open;
    const NO: Body = Body::None;
    const NONE: Answer = Answer::None;
    routes! {
        POST "/api/session" OPEN "session" session::sign_in, Body::Json("SignIn") => Json("SessionView"), &[], "Sign in; the session comes as a cookie.";
        GET "/api/session" EVERYONE "session" session::show, NO => Json("SessionView"), &[], "Who I am.";
        PUT "/api/session" PEOPLE "session" session::renew, NO => Json("SessionView"), &[], "Lengthen the session.";
        DELETE "/api/session" OPEN "session" session::sign_out, NO => NONE, &[], "Sign out.";
        POST "/api/ticket" PROGRAMS "session" session::ticket, NO => Json("TicketView"), &[], "A ticket for the hello of one CTI socket; good for 30 s.";
        GET "/api/first-admin" OPEN "session" session::first_admin_page, NO => Raw("text/html"), &[("token", "from the link that `serve` prints")], "The form for the first administrator.";
        POST "/api/first-admin" OPEN "session" session::first_admin, Body::Form("FirstAdminForm") => NONE, &[], "Make the first administrator, once.";

        GET "/api/demo" OPEN "system" demo::show, NO => Json("DemoHints"), &[], "Who may sign in to a sample centre, and what to dial; any other has none.";

        GET "/cti" OPEN "cti" socket::upgrade, NO => Upgrade, &[], "The CTI socket, subprotocol cti.v1: by cookie and from a page of ours, by key, or by ticket in its hello.";
        POST "/api/cmd/{name}" EVERYONE "orders" orders::give, Body::Object => Json("OrderDone"), &[("if_rev", "refuse where the call is newer than this revision")], "Give an order; the body holds its arguments.";

        GET "/api/calls" EVERYONE "live" calls::list, NO => List("Call"), &[], "Running calls; an agent's own.";
        GET "/api/calls/{call}" EVERYONE "live" calls::one, NO => Json("Call"), &[], "One running call.";
        GET "/api/agents" EVERYONE "live" calls::agents, NO => List("Agent"), &[], "Agents with state and skills.";
        GET "/api/agents/{name}" EVERYONE "live" calls::agent, NO => Json("Agent"), &[], "One agent.";
        PUT "/api/agents/{name}" LEADERS "people" people::put_agent, Body::Json("SkillsBody") => NONE, &[], "Make a user an agent with these skills.";
        DELETE "/api/agents/{name}" LEADERS "people" people::delete_agent, NO => NONE, &[], "The user takes no calls any more.";
        GET "/api/queues" EVERYONE "live" calls::queues, NO => List("Queue"), &[], "Queues with their figures.";
        GET "/api/queues/{name}" EVERYONE "live" calls::queue, NO => Json("QueueView"), &[], "One queue and who waits in it, longest first.";
        GET "/api/trunks" OVERSIGHT "live" calls::trunks, NO => List("Trunk"), &[], "Trunks as we reach them.";
        GET "/api/skills" EVERYONE "people" calls::skills, NO => List("SkillView"), &[], "The plan's skills and who has them.";

        GET "/api/cdr" EVERYONE "records" cdr::list, NO => Page("Cdr"), CDR_QUERY, "Call records, newest first.";
        GET "/api/cdr/{call}" EVERYONE "records" cdr::one, NO => Json("Cdr"), &[], "One call with its legs.";
        GET "/api/cdr/{call}/events" OVERSIGHT "records" cdr::events, NO => Objects, &[], "Every event of a call.";
        GET "/api/cdr/{call}/decisions" OVERSIGHT "records" cdr::decisions, NO => List("Decision"), &[], "Why the call went to whom, and why not to others.";
        GET "/api/cdr/{call}/ladder" OVERSIGHT "records" cdr::ladder, NO => List("LadderLine"), &[("format", "json or text")], "The SIP messages of a call.";
        GET "/api/recordings" OVERSIGHT "records" media::recordings, NO => Page("RecordingView"), NEWEST_QUERY, "Sealed recordings, newest first.";
        GET "/api/recordings/{recording}" OVERSIGHT "records" media::recording, NO => Raw("audio/wav"), &[], "The sound, with byte ranges: caller left, agent right.";
        GET "/api/voicemails" EVERYONE "records" media::voicemails, NO => List("Voicemail"), &[], "Messages in all boxes.";
        GET "/api/voicemails/{box}/{message}" EVERYONE "records" media::voicemail, NO => Raw("audio/wav"), &[], "The sound of a message, with byte ranges.";
        DELETE "/api/voicemails/{box}/{message}" LEADERS "records" media::delete_voicemail, NO => NONE, &[], "Remove a message from its box.";

        GET "/api/customers" EVERYONE "customers" customers::list, NO => Page("CustomerView"), CUSTOMER_QUERY, "Customers.";
        POST "/api/customers" EVERYONE "customers" customers::create, Body::Json("CustomerView") => Json("Created"), &[], "Save a new customer.";
        GET "/api/customers/export" LEADERS "customers" customers::export, NO => Raw("text/csv"), EXPORT_QUERY, "All customers.";
        POST "/api/customers/import" LEADERS "customers" customers::import, Body::Table => Json("ImportReport"), IMPORT_QUERY, "Merge a table into the customers; all or nothing.";
        GET "/api/customers/{id}" EVERYONE "customers" customers::one, NO => Json("CustomerView"), &[], "One customer.";
        PUT "/api/customers/{id}" EVERYONE "customers" customers::replace, Body::Json("CustomerView") => NONE, &[], "Save a customer; a masked phone stands for the stored one.";
        DELETE "/api/customers/{id}" LEADERS "customers" customers::remove, NO => NONE, &[], "Remove a customer.";
        GET "/api/customers/{id}/contacts" EVERYONE "customers" customers::contacts, NO => List("Contact"), &[], "The customer's contacts, newest first.";

        GET "/api/users" ADMINS "people" people::users, NO => List("UserView"), &[], "Users.";
        GET "/api/users/export" ADMINS "people" people::export_users, NO => Raw("text/csv"), EXPORT_QUERY, "All users and skills, without secrets.";
        POST "/api/users/import" ADMINS "people" people::import_users, Body::Table => Json("ImportReport"), IMPORT_QUERY, "Save a table of users, accounts and skills; all or nothing.";
        GET "/api/users/{name}" ADMINS "people" people::user, NO => Json("UserView"), &[], "One user.";
        PUT "/api/users/{name}" ADMINS "people" people::put_user, Body::Json("UserBody") => NONE, &[], "Save a user.";
        DELETE "/api/users/{name}" ADMINS "people" people::delete_user, NO => NONE, &[], "Remove a user.";
        POST "/api/users/{name}/key" ADMINS "people" people::user_key, NO => Json("KeyView"), &[], "A fresh key for a program, shown this once.";
        GET "/api/accounts" LEADERS "people" people::accounts, NO => List("AccountView"), &[], "SIP accounts.";
        GET "/api/accounts/{name}" LEADERS "people" people::account, NO => Json("AccountView"), &[], "One SIP account.";
        PUT "/api/accounts/{name}" ADMINS "people" people::put_account, Body::Json("AccountBody") => NONE, &[], "Save a SIP account.";
        DELETE "/api/accounts/{name}" ADMINS "people" people::delete_account, NO => NONE, &[], "Remove a SIP account.";

        POST "/api/reload" ADMINS "system" system::reload, NO => Json("Reloaded"), &[], "Read the configuration anew; all or nothing.";
        GET "/api/openapi.json" OPEN "system" system::document, NO => Raw("application/json"), &[], "This document.";
        GET "/healthz" OPEN "system" system::healthz, NO => Raw("text/plain"), &[], "The process serves.";
        GET "/readyz" OPEN "system" system::readyz, NO => Json("Health"), &[], "New calls are taken (200) or not (503), and why.";
        GET "/metrics" OPEN "system" system::metrics, NO => Raw("text/plain"), &[], "Figures for Prometheus.";
    }
}

fn on<H, T>(method: Method, handler: H) -> MethodRouter<Arc<Site>>
where
    H: axum::handler::Handler<T, Arc<Site>>,
    T: 'static,
{
    match method {
        Method::POST => routing::post(handler),
        Method::PUT => routing::put(handler),
        Method::DELETE => routing::delete(handler),
        _ => routing::get(handler),
    }
}

/// The whole of HTTP: routes, pages, and what every answer bears.
pub fn router(site: Arc<Site>) -> Router {
    let mut router = Router::new();
    for route in table() {
        let bytes = match route.body {
            Body::Table => limits::crm::IMPORT_BYTES,
            _ => limits::http::BODY_BYTES,
        };
        let guarded: MethodRouter<Arc<Site>> = (route.handler)()
            .layer::<_, Infallible>(from_fn_with_state((Arc::clone(&site), route.access), guard))
            .layer::<_, Infallible>(DefaultBodyLimit::max(bytes));
        router = router.route(route.path, guarded);
    }
    router.fallback(fallback).method_not_allowed_fallback(wrong_method).layer(from_fn(harden)).with_state(site)
}

/// Serves plain HTTP until `shutdown` ends; running requests are finished.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    // Without it a desktop's event waits up to 40 ms for the acknowledgement of the one before.
    let listener = listener.tap_io(|io| {
        if let Err(error) = io.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps small writes back");
        }
    });
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await
}

/// Paths of the API that there are none of are errors in its shape; all others are the pages'.
async fn fallback(State(site): State<Arc<Site>>, request: Request) -> Response {
    let path = request.uri().path();
    if ["/api", "/cti", "/sip"].iter().any(|root| path == *root || path.starts_with(&format!("{root}/"))) {
        let msg = "There is nothing at this path. /api/openapi.json lists what there is.";
        return ApiError::not_found("path.unknown", msg).into_response();
    }
    assets::serve(site.settings.web_dir.as_deref(), request.method(), path, request.headers()).await
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method.unknown", "This path does not take this method.")
}

/// Headers that every answer bears, and `no-store` for what the API says.
async fn harden(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if is_api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Everything from here, sockets included (`connect-src 'self'` takes in ws: and wss: of the same host, CSP 3 §6.7.2.8).
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

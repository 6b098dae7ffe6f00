//! The OpenAPI document, made from the table of routes and the entities' own schemas.

use std::sync::OnceLock;

use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::api::{calls, cdr, customers, demo, media, orders as api_orders, people, session};
use super::auth::guard::Access;
use super::centre::{Health, Reloaded};
use super::cti::frame;
use super::desk::entity;
use super::error::ApiError;
use super::orders::ORDERS;
use super::routes::{Answer, Body, Route, table};

/// The document's text; made once.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| document().to_string())
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in table() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Strowger",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Call centre API. Times are RFC 3339 in UTC, durations end in `_ms`, ids are ULIDs. \
                The same orders and entities travel over the CTI socket (`/cti`, subprotocol `cti.v1`).",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": super::auth::guard::COOKIE },
                "key": { "type": "http", "scheme": "bearer", "description": "NAME:KEY of a user with the role integration" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = path_parameters(route.path);
    parameters.extend(route.query.iter().map(|(name, what)| {
        json!({ "name": name, "in": "query", "required": false, "description": what, "schema": { "type": "string" } })
    }));
    let mut operation = json!({
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(body) = request_body(route.body) {
        operation["requestBody"] = body;
    }
    if let Access::Roles(roles) = route.access {
        operation["security"] = json!([{ "session": [] }, { "key": [] }]);
        let roles: Vec<&str> = roles.iter().map(|role| role.code()).collect();
        operation["description"] = json!(format!("Roles: {}.", roles.join(", ")));
    }
    if route.path == "/api/cmd/{name}" {
        let orders: Vec<String> = ORDERS.iter().map(|(name, what)| format!("- `{name}`: {what}")).collect();
        let roles = operation["description"].as_str().unwrap_or_default();
        operation["description"] = json!(format!("{roles}\n\n{}", orders.join("\n")));
        operation["parameters"][0]["schema"]["enum"] = ORDERS.iter().map(|(name, _)| *name).collect();
    }
    operation
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    names.map(parameter).collect()
}

fn request_body(body: Body) -> Option<Value> {
    let of = |kind: &str, schema: Value| json!({ "required": true, "content": { kind: { "schema": schema } } });
    match body {
        Body::None => None,
        Body::Json(name) => Some(of("application/json", reference(name))),
        Body::Object => Some(json!({ "content": { "application/json": { "schema": { "type": "object" } } } })),
        Body::Form(name) => Some(of("application/x-www-form-urlencoded", reference(name))),
        Body::Table => {
            let text = json!({ "schema": { "type": "string" } });
            Some(json!({ "required": true, "content": { "text/csv": text, "application/json": text } }))
        }
    }
}

fn responses(route: &Route) -> Value {
    let of = |kind: &str, schema: Value| json!({ "description": "done", "content": { kind: { "schema": schema } } });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let (status, good) = match route.answer {
        Answer::None if route.path == "/api/first-admin" => ("303", json!({ "description": "made; sign in at `/`" })),
        Answer::None => ("204", json!({ "description": "done" })),
        Answer::Json(name) if route.method == Method::POST && name == "Created" => {
            ("201", of("application/json", reference(name)))
        }
        Answer::Json(name) => ("200", of("application/json", reference(name))),
        Answer::List(name) => ("200", of("application/json", list(reference(name)))),
        Answer::Objects => ("200", of("application/json", list(json!({ "type": "object" })))),
        Answer::Page(name) => {
            let next = json!({ "type": ["string", "null"], "description": "cursor of the next page" });
            let page = json!({ "type": "object", "required": ["items", "next"],
                "properties": { "items": list(reference(name)), "next": next } });
            ("200", of("application/json", page))
        }
        Answer::Raw(kind) => ("200", of(kind, json!({ "type": "string" }))),
        Answer::Upgrade => ("101", json!({ "description": "the connection is a WebSocket now" })),
    };
    let error =
        json!({ "description": "refused", "content": { "application/json": { "schema": reference("ApiError") } } });
    json!({ status: good, "default": error })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every schema by name, with those it refers to.
pub fn schemas() -> Map<String, Value> {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    collect::<ApiError>(&mut found);
    collect::<Health>(&mut found);
    collect::<Reloaded>(&mut found);
    collect::<entity::Entity>(&mut found);
    collect::<frame::ServerFrame>(&mut found);
    collect::<session::SignIn>(&mut found);
    collect::<session::SessionView>(&mut found);
    collect::<session::TicketView>(&mut found);
    collect::<session::FirstAdminForm>(&mut found);
    collect::<demo::DemoHints>(&mut found);
    collect::<api_orders::OrderDone>(&mut found);
    collect::<calls::QueueView>(&mut found);
    collect::<calls::SkillView>(&mut found);
    collect::<cdr::Cdr>(&mut found);
    collect::<cdr::Decision>(&mut found);
    collect::<cdr::LadderLine>(&mut found);
    collect::<media::RecordingView>(&mut found);
    collect::<customers::CustomerView>(&mut found);
    collect::<customers::Created>(&mut found);
    collect::<customers::ImportReport>(&mut found);
    collect::<people::UserView>(&mut found);
    collect::<people::UserBody>(&mut found);
    collect::<people::AccountView>(&mut found);
    collect::<people::AccountBody>(&mut found);
    collect::<people::SkillsBody>(&mut found);
    collect::<people::KeyView>(&mut found);
    found.into_iter().filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?))).collect()
}

fn collect<T: ToSchema + PartialSchema>(found: &mut Vec<(String, RefOr<Schema>)>) {
    found.push((T::name().into_owned(), T::schema()));
    T::schemas(found);
}

//! The table of routes against the router, the document and the roles.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{PASSWORD, Server};
use crate::command::UserRole;
use crate::http::auth::guard::Access;
use crate::http::openapi;
use crate::http::routes::{Answer, Body, table};

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "0000000000000000000000000A" } else { part }.to_owned();
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_takes_its_roles_and_no_other() {
    let server = Server::start().await;
    let mut cookies = Vec::new();
    for role in [UserRole::Agent, UserRole::Supervisor, UserRole::Admin] {
        cookies.push((role, Some(server.sign_in(role).await)));
    }
    cookies.push((UserRole::Integration, None));
    for route in table() {
        for (role, cookie) in &cookies {
            // Signing out would end the test's own session.
            if route.path == "/api/session" && matches!(route.method, axum::http::Method::DELETE) {
                continue;
            }
            let method = Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
            let request = server.request(method, &filled(route.path));
            let request = match cookie {
                Some(cookie) => request.header("cookie", cookie),
                None => request.bearer_auth(format!("integration:{PASSWORD}")),
            };
            let response = request.send().await.unwrap();
            let status = response.status();
            let body: Value = response.json().await.unwrap_or_default();
            let refused = status == StatusCode::FORBIDDEN && body["code"] == "role.forbidden";
            assert_eq!(!refused, route.access.takes(*role), "{} {} as {role:?}: {status}", route.method, route.path);
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{} {}", route.method, route.path);
            assert_ne!(body["code"], "path.unknown", "{} {}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn nobody_enters_a_guarded_route_without_a_session() {
    let server = Server::start().await;
    for route in table().into_iter().filter(|route| route.access != Access::Open) {
        let method = Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
        let response = server.request(method, &filled(route.path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{} {}", route.method, route.path);
    }
}

#[test]
fn every_route_is_in_the_document_and_every_reference_leads_somewhere() {
    let document = openapi::document();
    for route in table() {
        let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        assert_eq!(operation["summary"], route.summary, "{} {}", route.method, route.path);
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let references = text.split("#/components/schemas/").skip(1);
    for name in references.filter_map(|rest| rest.split('"').next()) {
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    }
    for route in table() {
        let (Answer::Json(name) | Answer::List(name) | Answer::Page(name)) = route.answer else { continue };
        assert!(schemas.contains_key(name), "{name}");
        if let Body::Json(name) = route.body {
            assert!(schemas.contains_key(name), "{name}");
        }
    }
}

#[test]
fn no_two_schemas_share_a_name() {
    // A second `Role` or `Direction` would silently stand for the first.
    let mut seen: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for (name, schema) in openapi::schemas() {
        let text = schema.to_string();
        assert_eq!(*seen.entry(name.clone()).or_insert_with(|| text.clone()), text, "{name}");
    }
}

//! The desktop's pages, embedded from `web/dist` (`make web` builds it), or read from a folder while they are made.
//!
//! Hashed assets may be kept for ever, pages never; what is missing is 404, so that a page is never taken for a script.

use std::borrow::Cow;
use std::path::{Component, Path};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Embedded;

struct Asset {
    bytes: Cow<'static, [u8]>,
    /// Of the plain file.
    name: String,
    encoding: Option<&'static str>,
}

/// Answers a request for a page or an asset.
pub async fn serve(folder: Option<&Path>, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method.unknown", "Pages are read with GET.")
            .into_response();
    }
    let name = file_name(path);
    match find(folder, &name, headers).await {
        Some(asset) => answer(asset, headers),
        None if name == INDEX => (StatusCode::OK, page_headers("text/html; charset=utf-8"), NO_PAGES).into_response(),
        None => ApiError::not_found("file.unknown", "There is no such page.").into_response(),
    }
}

/// `/` and paths without a dot are the desktop's own (`/wall`, `/admin/users`): a folder's page where there is one,
/// the index otherwise. Anything with a dot is that file or nothing.
fn file_name(path: &str) -> String {
    let path = path.trim_matches('/');
    match path.rsplit('/').next() {
        Some(last) if last.contains('.') => path.to_owned(),
        _ if path.is_empty() => INDEX.to_owned(),
        _ => match path.split('/').next() {
            Some(first) if PAGES.contains(&first) => format!("{first}.html"),
            _ => INDEX.to_owned(),
        },
    }
}

async fn find(folder: Option<&Path>, name: &str, headers: &HeaderMap) -> Option<Asset> {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok()).unwrap_or("");
    let takes =
        |encoding: &str| accepted.split(',').any(|item| item.split(';').next().unwrap_or("").trim() == encoding);
    let forms = [(".br", "br"), (".gz", "gzip")];
    for (ending, encoding) in forms.into_iter().filter(|(_, encoding)| takes(encoding)) {
        if let Some(bytes) = read(folder, &format!("{name}{ending}")).await {
            return Some(Asset { bytes, name: name.to_owned(), encoding: Some(encoding) });
        }
    }
    let bytes = read(folder, name).await?;
    Some(Asset { bytes, name: name.to_owned(), encoding: None })
}

async fn read(folder: Option<&Path>, name: &str) -> Option<Cow<'static, [u8]>> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.contains('\\') {
        return None;
    }
    match folder {
        Some(folder) => tokio::fs::read(folder.join(name)).await.ok().map(Cow::Owned),
        None => Embedded::get(name).map(|file| file.data),
    }
}

fn answer(asset: Asset, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:08x}-{}\"", crc32fast::hash(&asset.bytes), asset.bytes.len());
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match same {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(asset.bytes.into_owned()).into_response(),
    };
    let cache = if is_hashed(&asset.name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(&asset.name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(encoding) = asset.encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn page_headers(kind: &'static str) -> [(header::HeaderName, &'static str); 2] {
    [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")]
}

/// Vite puts what it names by content below `assets/`.
fn is_hashed(name: &str) -> bool {
    name.starts_with("assets/")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

const INDEX: &str = "index.html";
/// Pages besides the desktop, by the first part of their path.
const PAGES: [&str; 2] = ["wall", "admin"];

/// Shown by a binary that was built without the pages.
const NO_PAGES: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Strowger</title>
<h1>Strowger is running without its pages</h1>
<p>This binary was built before <code>web/dist</code>. Run <code>make web</code>, then build again.</p>
<p>此程序构建时没有网页。请先运行 <code>make web</code>，然后重新构建。</p>
<p><a href="/api/openapi.json">API</a> · <a href="/readyz">readyz</a> · <a href="/metrics">metrics</a></p></html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(folder: &Path, path: &str, accept: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        serve(Some(folder), &Method::GET, path, &headers).await
    }

    fn said<'a>(response: &'a Response, name: &header::HeaderName) -> &'a str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[tokio::test]
    async fn pages_are_fresh_assets_are_kept_and_a_missing_script_is_no_page() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("assets")).unwrap();
        for (name, text) in [("index.html", "<p>"), ("assets/a-1f.js", "1"), ("assets/a-1f.js.br", "br")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let index = get(dir.path(), "/", "").await;
        assert_eq!(said(&index, &header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(said(&index, &header::CACHE_CONTROL), "no-cache");
        let script = get(dir.path(), "/assets/a-1f.js", "gzip, br").await;
        assert_eq!(said(&script, &header::CONTENT_TYPE), "text/javascript; charset=utf-8");
        assert_eq!(said(&script, &header::CONTENT_ENCODING), "br");
        assert!(said(&script, &header::CACHE_CONTROL).contains("immutable"));
        assert_eq!(get(dir.path(), "/assets/gone.js", "").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get(dir.path(), "/calls/today", "").await.status(), StatusCode::OK, "the desktop's own path");
    }

    #[tokio::test]
    async fn an_unchanged_page_is_not_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("index.html"), "<p>").unwrap();
        let first = get(dir.path(), "/", "").await;
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let again = serve(Some(dir.path()), &Method::GET, "/", &headers).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn a_path_out_of_the_folder_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("web")).unwrap();
        std::fs::write(dir.path().join("secret.txt"), "x").unwrap();
        let web = dir.path().join("web");
        for path in ["/../secret.txt", "/a/../../secret.txt", "//etc/host.conf", "/..\\secret.txt"] {
            assert_eq!(get(&web, path, "").await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}

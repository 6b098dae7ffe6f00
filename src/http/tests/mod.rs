//! The doors under test as their clients meet them: a real server on loopback, real HTTP and WebSocket clients, and a
//! centre in memory behind them.

mod api;
mod centre;
mod contract;
mod cti;
mod typescript;

use std::net::SocketAddr;
use std::sync::Arc;

use core::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::site::{Settings, Site};
use crate::command::UserRole;
use centre::MemoryCentre;

/// A server on loopback.
struct Server {
    address: SocketAddr,
    centre: Arc<MemoryCentre>,
    site: Arc<Site>,
    http: reqwest::Client,
}

const PASSWORD: &str = "correct horse";

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// One user of each role, named like it.
    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let centre = MemoryCentre::new();
        let mut settings = Settings::default();
        change(&mut settings);
        let site = Site::new(centre.clone(), centre.hub.clone(), centre.auth.clone(), settings, 7);
        let router = super::routes::router(Arc::clone(&site));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(super::routes::serve(listener, router, std::future::pending()));
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { address, centre, site, http }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    /// The cookie of a user of this role.
    async fn sign_in(&self, role: UserRole) -> String {
        let body = json!({ "user": role.code(), "password": PASSWORD });
        let response = self.request(Method::POST, "/api/session").json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn call(&self, cookie: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.request(method, path).header("cookie", cookie);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, cookie: &str, path: &str) -> Value {
        let (status, value) = self.call(cookie, Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    async fn socket(&self, headers: &[(&'static str, &str)]) -> Result<Client, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("ws://{}/cti", self.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Ok(Client { socket: client_async(request, stream).await?.0 })
    }

    /// A socket from a page of ours, before its hello.
    async fn page_socket(&self, cookie: &str) -> Client {
        let origin = format!("http://{}", self.address);
        let headers = [("cookie", cookie), ("origin", &origin), ("sec-websocket-protocol", "cti.v1")];
        self.socket(&headers).await.unwrap()
    }

    /// A socket that said hello; with its welcome.
    async fn cti(&self, cookie: &str, resume: Value) -> (Client, Value) {
        let mut client = self.page_socket(cookie).await;
        client.send(json!({ "t": "hello", "client": "test/1", "resume": resume })).await;
        let welcome = client.next().await;
        assert_eq!(welcome["t"], "welcome", "{welcome}");
        (client, welcome)
    }
}

struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    async fn send(&mut self, frame: Value) {
        self.say(&frame.to_string()).await;
    }

    async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next frame of JSON.
    async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Ping(_)) => {}
                other => panic!("the socket said {other:?}"),
            }
        }
    }

    async fn message(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await;
        next.expect("a frame within five seconds").and_then(Result::ok)
    }

    /// The code of the close frame that ends the connection.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.message().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(_) => {}
                None => return 0,
            }
        }
    }

    /// Asks, and gives the answer: the frame with this id.
    async fn ask(&mut self, frame: Value) -> Value {
        let id = frame["id"].clone();
        self.send(frame).await;
        loop {
            let answer = self.next().await;
            if answer["id"] == id {
                return answer;
            }
        }
    }
}

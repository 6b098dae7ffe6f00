//! An agent's desktop: a session over HTTP, then the CTI socket. Orders go out, frames come in with their time.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::child::patiently;

const PATIENCE: Duration = Duration::from_secs(15);

/// A frame of the CTI socket.
#[derive(Clone, Debug)]
pub struct Frame {
    pub frame: Value,
}

/// A signed-in desktop.
pub struct Desk {
    runtime: Runtime,
    socket: SplitSink<WebSocketStream<TcpStream>, Message>,
    frames: Arc<Mutex<Vec<Frame>>>,
    orders: u32,
}

impl Desk {
    /// Opens a session and the CTI socket of the centre at `host`.
    pub fn open(host: Ipv4Addr, user: &str, password: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let (socket, incoming) = runtime.block_on(connect(host, user, password)).split();
        let frames = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(listen(incoming, frames.clone()));
        let mut desk = Self { runtime, socket, frames, orders: 0 };
        desk.send(&json!({ "t": "hello", "client": "tests/1" }));
        desk.wait_for("welcome", |frame| frame["t"] == "welcome");
        desk.send(&json!({ "t": "sub", "id": "topics", "topics": ["agent:me"] }));
        desk.wait_for("snapshot", |frame| frame["t"] == "snap");
        desk
    }

    fn send(&mut self, frame: &Value) {
        let sent = self.socket.send(Message::text(frame.to_string()));
        self.runtime.block_on(sent).expect("the CTI socket takes frames");
    }

    /// Gives an order, which must be done.
    pub fn order(&mut self, name: &str, args: Value) {
        self.orders += 1;
        let id = format!("order-{}", self.orders);
        self.send(&json!({ "t": "cmd", "id": id, "name": name, "args": args }));
        let answer = self.wait_for(name, |frame| frame["id"] == id.as_str() && frame["t"] != "snap");
        assert_eq!(answer.frame["t"], "ok", "{name}: {}", answer.frame);
    }

    pub fn serve_from(&mut self, account: &str) {
        self.order("agent.sign_in", json!({ "account": account }));
        self.order("agent.ready", json!({}));
    }

    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().expect("no holder panics").clone()
    }

    pub fn wait_for(&self, what: &str, is: impl Fn(&Value) -> bool) -> Frame {
        let found = patiently(PATIENCE, || self.frames().into_iter().find(|frame| is(&frame.frame)));
        found.unwrap_or_else(|| panic!("no {what} in {:#?}", self.frames()))
    }

    /// Waits for an event by its name.
    pub fn wait_for_event(&self, name: &str) -> Frame {
        self.wait_for(name, |frame| frame["t"] == "ev" && frame["name"] == name)
    }
}

/// What the centre answers to a GET: status and text.
pub fn get(host: Ipv4Addr, path: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    runtime.block_on(async {
        let answer = reqwest::get(format!("http://{host}:8080{path}")).await.expect("the centre answers over HTTP");
        (answer.status().as_u16(), answer.text().await.expect("the answer is text"))
    })
}

async fn connect(host: Ipv4Addr, user: &str, password: &str) -> WebSocketStream<TcpStream> {
    let origin = format!("http://{host}:8080");
    let session = reqwest::Client::new()
        .post(format!("{origin}/api/session"))
        .header("Origin", &origin)
        .json(&json!({ "user": user, "password": password }))
        .send()
        .await
        .expect("the centre answers over HTTP");
    assert!(session.status().is_success(), "{user} may not sign in: {}", session.status());
    let cookie = session.headers().get("set-cookie").expect("a session is a cookie").to_str().expect("is text");
    let cookie = cookie.split(';').next().expect("split gives one piece at least");
    let stream = TcpStream::connect((host, 8_080)).await.expect("the centre takes HTTP");
    let mut request = format!("ws://{host}:8080/cti").into_client_request().expect("is a URL");
    for (name, value) in [("cookie", cookie), ("origin", &origin), ("sec-websocket-protocol", "cti.v1")] {
        request.headers_mut().insert(name, value.parse().expect("is a header's value"));
    }
    client_async(request, stream).await.expect("the CTI socket opens").0
}

async fn listen(mut incoming: SplitStream<WebSocketStream<TcpStream>>, frames: Arc<Mutex<Vec<Frame>>>) {
    while let Some(Ok(message)) = incoming.next().await {
        if let Ok(frame) = message.to_text().map_err(drop).and_then(|text| serde_json::from_str(text).map_err(drop)) {
            frames.lock().expect("no holder panics").push(Frame { frame });
        }
    }
}

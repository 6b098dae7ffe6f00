//! A simulated agent's desk as a CTI client (`cti.v1`): signs in over HTTP, opens the WebSocket, turns the agent's
//! commands into orders and the switch's answers and events into news. The one file that knows `tokio-tungstenite`.
//!
//! It speaks plain HTTP to a loopback address, as the switch serves it there. A desk whose socket breaks closes its
//! line: its agent goes on at the phone and gives no more commands, as a person with a frozen browser would.

use core::time::Duration;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::desk::{AgentDesk, DeskLine, Seat};
use super::report::Note;
use crate::command::Order;
use crate::event::AgentState;
use crate::ids::{AccountName, CallId};
use crate::limits;
use crate::sim::agent::{DeskCommand, DeskNews};

/// Opens desks at a switch's HTTP address.
#[derive(Clone, Copy, Debug)]
pub struct CtiDesk {
    pub http: SocketAddr,
}

/// Why a desk could not be opened, or broke.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("the switch does not answer on http://{0}: {1}")]
    Unreachable(SocketAddr, std::io::Error),
    #[error("signing in as {0} failed: {1}; check user name and password")]
    SignIn(String, String),
    #[error("the CTI socket broke: {0}")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("the CTI socket said {0}, where a welcome was due")]
    NoWelcome(String),
}

/// Long before the twelve hours are over that a session lasts by default.
const RENEWED_EVERY: Duration = Duration::from_secs(600);

impl AgentDesk for CtiDesk {
    fn sit_down(&self, seat: &Seat, notes: mpsc::Sender<Note>) -> DeskLine {
        let (commands, orders) = mpsc::channel(limits::LOAD_DESK_QUEUE);
        let (tell, news) = mpsc::channel(limits::LOAD_DESK_QUEUE);
        let (desk, seat) = (*self, seat.clone());
        tokio::spawn(async move {
            if let Err(error) = desk.serve(&seat, orders, tell).await {
                tracing::warn!(agent = %seat.agent, %error, "a simulated agent's desk is closed");
                // A report that cannot keep up loses notes.
                let _full = notes.try_send(Note::DeskClosed { why: error.to_string() });
            }
        });
        DeskLine { commands, news }
    }
}

impl CtiDesk {
    async fn serve(
        self,
        seat: &Seat,
        mut orders: mpsc::Receiver<DeskCommand>,
        tell: mpsc::Sender<DeskNews>,
    ) -> Result<(), DeskError> {
        let cookie = self.sign_in(seat).await?;
        let mut socket = self.connect(&cookie).await?;
        let mut session = Session::new(seat);
        for frame in session.opening() {
            send(&mut socket, &frame).await?;
        }
        let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + RENEWED_EVERY, RENEWED_EVERY);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(command) => {
                        if let Some(frame) = session.command(command) {
                            send(&mut socket, &frame).await?;
                        }
                    }
                    None => break,
                },
                _ = renewal.tick() => self.renew(seat, &cookie).await?,
                frame = socket.next() => match frame {
                    Some(frame) => {
                        let frame = frame.map_err(Box::new)?;
                        let news = frame.to_text().ok().and_then(|text| session.handle(text));
                        // An agent who has left reads no more news.
                        if let Some(news) = news && tell.send(news).await.is_err() {
                            break;
                        }
                    }
                    None => break,
                },
            }
        }
        socket.close(None).await.map_err(|error| Box::new(error).into())
    }

    /// The session cookie of `POST /api/session`.
    async fn sign_in(&self, seat: &Seat) -> Result<String, DeskError> {
        let refused = |why: String| DeskError::SignIn(seat.agent.clone(), why);
        let request = reqwest::Client::new()
            .post(format!("http://{}/api/session", self.http))
            .header("Origin", format!("http://{}", self.http))
            .json(&json!({ "user": seat.agent, "password": seat.password }));
        let response = request.send().await.map_err(|error| refused(error.to_string()))?;
        if !response.status().is_success() {
            return Err(refused(response.status().to_string()));
        }
        let cookie = response.headers().get("set-cookie").and_then(|text| text.to_str().ok());
        let pair = cookie.and_then(|text| text.split(';').next());
        pair.map(str::to_owned).ok_or_else(|| refused("no cookie came back".into()))
    }

    /// Lengthens the session: a shift may last longer than one sign-in.
    async fn renew(&self, seat: &Seat, cookie: &str) -> Result<(), DeskError> {
        let refused = |why: String| DeskError::SignIn(seat.agent.clone(), why);
        let request = reqwest::Client::new()
            .put(format!("http://{}/api/session", self.http))
            .header("Origin", format!("http://{}", self.http))
            .header("Cookie", cookie);
        let response = request.send().await.map_err(|error| refused(error.to_string()))?;
        response.error_for_status().map(drop).map_err(|error| refused(error.to_string()))
    }

    async fn connect(&self, cookie: &str) -> Result<WebSocketStream<TcpStream>, DeskError> {
        let unreachable = |error| DeskError::Unreachable(self.http, error);
        let stream = TcpStream::connect(self.http).await.map_err(unreachable)?;
        let mut request = format!("ws://{}/cti", self.http).into_client_request().map_err(Box::new)?;
        let origin = format!("http://{}", self.http);
        for (name, value) in [("Cookie", cookie), ("Origin", &origin), ("Sec-WebSocket-Protocol", "cti.v1")] {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(name, value);
            }
        }
        let (mut socket, _response) = client_async(request, stream).await.map_err(Box::new)?;
        let hello = json!({ "t": "hello", "client": "load/1", "ticket": null, "resume": null });
        send(&mut socket, &hello).await?;
        let first = socket.next().await.transpose().map_err(Box::new)?;
        let text = first.as_ref().and_then(|frame| frame.to_text().ok()).unwrap_or("nothing");
        match serde_json::from_str::<Value>(text).is_ok_and(|frame| frame["t"] == "welcome") {
            true => Ok(socket),
            false => Err(DeskError::NoWelcome(text.to_owned())),
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, frame: &Value) -> Result<(), DeskError> {
    socket.send(Message::text(frame.to_string())).await.map_err(|error| Box::new(error).into())
}

/// The conversation on one CTI socket, without the socket.
struct Session {
    agent: String,
    account: AccountName,
    next_id: u32,
    /// Ids of the sign-in and of the last Ready, whose answers are news.
    sign_in: Option<String>,
    ready: Option<String>,
    /// The agent asked for ready and has not taken it back.
    wants_ready: bool,
    state: Option<AgentState>,
    /// The call seen last: the one that a wrap-up belongs to.
    call: Option<CallId>,
}

impl Session {
    fn new(seat: &Seat) -> Self {
        Self {
            agent: seat.agent.clone(),
            account: AccountName::new(&seat.account),
            next_id: 1,
            sign_in: None,
            ready: None,
            wants_ready: false,
            state: None,
            call: None,
        }
    }

    fn opening(&mut self) -> Vec<Value> {
        let id = self.id();
        vec![json!({ "t": "sub", "id": id, "topics": ["agent:me"] })]
    }

    /// The frame that carries the command; `None` where there is nothing to say it about.
    fn command(&mut self, command: DeskCommand) -> Option<Value> {
        let id = self.id();
        let order = match command {
            DeskCommand::SignIn => {
                self.sign_in = Some(id.clone());
                Order::SignIn { account: self.account.clone() }
            }
            DeskCommand::Ready => {
                (self.ready, self.wants_ready) = (Some(id.clone()), true);
                Order::Ready {}
            }
            DeskCommand::NotReady { reason } => {
                self.wants_ready = false;
                Order::NotReady { reason }
            }
            DeskCommand::WrapUp { code } => Order::Wrap { call: self.call?, code, notes: String::new(), finish: true },
            DeskCommand::SignOut => {
                self.wants_ready = false;
                Order::SignOut {}
            }
        };
        let mut frame = serde_json::to_value(order).ok()?;
        (frame["t"], frame["id"]) = ("cmd".into(), id.into());
        Some(frame)
    }

    /// What a frame of the switch means to the agent. Unknown frames mean nothing, as `cti.v1` asks of clients.
    fn handle(&mut self, text: &str) -> Option<DeskNews> {
        let frame: Value = serde_json::from_str(text).ok()?;
        let id = frame["id"].as_str().map(str::to_owned);
        match frame["t"].as_str()? {
            "ok" if id.is_some() && id == self.sign_in => Some(DeskNews::SignedIn),
            "err" if id.is_some() && (id == self.sign_in || id == self.ready) => Some(DeskNews::Refused),
            "ev" | "snap" => frame["items"].as_array()?.iter().fold(None, |news, item| self.on_item(item).or(news)),
            _ => None,
        }
    }

    fn on_item(&mut self, item: &Value) -> Option<DeskNews> {
        match item["kind"].as_str()? {
            "call" => {
                self.call = item["id"].as_str().and_then(|id| id.parse().ok()).or(self.call);
                None
            }
            "agent" if item["id"] == self.agent.as_str() => {
                let state: AgentState = serde_json::from_value(item["state"].clone()).ok()?;
                let before = self.state.replace(state);
                match (before, state) {
                    (Some(AgentState::WrapUp), AgentState::Ready) => Some(DeskNews::WrapUpOver),
                    (Some(before), AgentState::NotReady) if self.wants_ready && before != AgentState::NotReady => {
                        self.wants_ready = false;
                        Some(DeskNews::SetNotReady)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn id(&mut self) -> String {
        let id = format!("c{}", self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        id
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::ws::{self, WebSocketUpgrade};
    use axum::http::{HeaderMap, StatusCode, header};
    use axum::response::{IntoResponse, Response};
    use axum::routing::{get, post};

    use super::*;

    fn seat() -> Seat {
        Seat { agent: "li".into(), password: "pw".into(), account: "1001".into(), sip_password: String::new() }
    }

    fn agent_is(state: &str) -> String {
        json!({ "t": "ev", "name": "agent.state_changed", "items": [{ "kind": "agent", "id": "li", "state": state }] })
            .to_string()
    }

    #[test]
    fn commands_go_out_as_orders_and_a_wrap_up_names_its_call() {
        let mut session = Session::new(&seat());
        let signing_in = session.command(DeskCommand::SignIn).unwrap();
        let expected = json!({ "t": "cmd", "id": "c1", "name": "agent.sign_in", "args": { "account": "1001" } });
        assert_eq!(signing_in, expected);
        assert_eq!(session.command(DeskCommand::WrapUp { code: "done".into() }), None, "no call yet");
        let call = CallId::from_u128(5);
        let offered = json!({ "t": "ev", "name": "call.offered", "items": [{ "kind": "call", "id": call }] });
        assert_eq!(session.handle(&offered.to_string()), None);
        let wrap = session.command(DeskCommand::WrapUp { code: "done".into() }).unwrap();
        assert_eq!((&wrap["name"], &wrap["args"]["finish"]), (&json!("interaction.wrap"), &json!(true)));
        assert_eq!(wrap["args"]["call"], json!(call));
    }

    #[test]
    fn the_switchs_own_doings_are_news_and_the_agents_are_not() {
        let mut session = Session::new(&seat());
        session.command(DeskCommand::Ready);
        assert_eq!(session.handle(&agent_is("ready")), None);
        assert_eq!(session.handle(&agent_is("offered")), None);
        assert_eq!(session.handle(&agent_is("not_ready")), Some(DeskNews::SetNotReady));
        assert_eq!(session.handle(&agent_is("not_ready")), None);
        session.command(DeskCommand::Ready);
        assert_eq!(session.handle(r#"{"t":"err","id":"c2","code":"agent.not_registered"}"#), Some(DeskNews::Refused));
        assert_eq!(session.handle(&agent_is("wrap_up")), None);
        assert_eq!(session.handle(&agent_is("ready")), Some(DeskNews::WrapUpOver));
        session.command(DeskCommand::NotReady { reason: "break".into() });
        assert_eq!(session.handle(&agent_is("not_ready")), None);
        assert_eq!(session.handle(r#"{"t":"novelty"}"#), None);
        assert_eq!(session.handle("no json"), None);
    }

    async fn session_route(headers: HeaderMap, body: String) -> Response {
        let right = body.contains(r#""password":"pw""#) && headers.contains_key(header::ORIGIN);
        match right {
            true => [(header::SET_COOKIE, "session=abc; HttpOnly; SameSite=Strict")].into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        }
    }

    async fn cti_route(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
        if headers.get(header::COOKIE).is_none_or(|cookie| cookie != "session=abc") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        upgrade.protocols(["cti.v1"]).on_upgrade(|mut socket| async move {
            while let Some(Ok(ws::Message::Text(text))) = socket.recv().await {
                let frame: Value = serde_json::from_str(&text).unwrap();
                let reply = match frame["t"].as_str() {
                    Some("hello") => json!({ "t": "welcome", "session": "s" }),
                    Some("cmd") => json!({ "t": "ok", "id": frame["id"], "seq": 1 }),
                    _ => json!({ "t": "snap", "id": frame["id"], "items": [] }),
                };
                if socket.send(ws::Message::text(reply.to_string())).await.is_err() {
                    return;
                }
            }
        })
    }

    async fn switch() -> CtiDesk {
        let app = Router::new().route("/api/session", post(session_route)).route("/cti", get(cti_route));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        CtiDesk { http }
    }

    #[tokio::test]
    async fn an_agent_signs_in_over_http_and_socket() {
        let (notes, _facts) = mpsc::channel(1);
        let mut line = switch().await.sit_down(&seat(), notes);
        line.commands.send(DeskCommand::SignIn).await.unwrap();
        assert_eq!(line.news.recv().await, Some(DeskNews::SignedIn));
    }

    #[tokio::test]
    async fn a_wrong_password_closes_the_line_and_says_why() {
        let desk = switch().await;
        let wrong = Seat { password: "nope".into(), ..seat() };
        let (notes, mut facts) = mpsc::channel(1);
        assert_eq!(desk.sit_down(&wrong, notes).news.recv().await, None);
        let Some(Note::DeskClosed { why }) = facts.recv().await else { panic!("it is told") };
        assert!(why.contains("signing in as li failed: 401"), "{why}");
    }
}

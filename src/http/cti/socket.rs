//! One connection of `GET /cti`: upgrade, `hello`, then frames both ways until either side ends it.

use std::net::IpAddr;
use std::sync::Arc;

use core::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::frame::{ClientFrame, Hello, SUBPROTOCOL, ServerFrame, Welcome};
use super::hub::{Attached, Next};
use super::session::Admitted;
use crate::command::Refusal;
use crate::event::Seq;
use crate::http::auth::guard::{Identity, Origin, PeerAddress, check_origin, identify};
use crate::http::auth::{Followed, me, stands};
use crate::http::error::ApiError;
use crate::http::orders;
use crate::http::site::Site;
use crate::http::wire::Moment;
use crate::limits::http as limits;

/// Upgrades. A browser comes with its cookie, and from a page of ours; a program without a cookie brings a ticket in
/// its `hello`.
pub async fn upgrade(
    State(site): State<Arc<Site>>,
    Extension(PeerAddress(from)): Extension<PeerAddress>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let identity = match enter(&site, &headers, from).await {
        Ok(identity) => identity,
        Err(error) => return error.into_response(),
    };
    let upgrade = upgrade.max_message_size(limits::CTI_FRAME_BYTES).protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let msg = "Ask for the subprotocol cti.v1.";
        return ApiError::new(StatusCode::BAD_REQUEST, "protocol.unknown", msg).into_response();
    }
    upgrade.on_upgrade(move |socket| async move {
        Connection { site, identity, writing: Duration::from_secs(10) }.run(socket).await;
    })
}

async fn enter(site: &Site, headers: &HeaderMap, from: IpAddr) -> Result<Option<Identity>, ApiError> {
    match identify(site, headers, from).await {
        Ok(identity) => {
            let rule = if identity.session.is_some() { Origin::Must } else { Origin::MayMiss };
            check_origin(site, headers, rule)?;
            Ok(Some(identity))
        }
        // Nothing came with the upgrade: a ticket may follow. Something wrong is refused at once.
        Err(error) if error.code == "session.none" && crate::http::auth::guard::cookie(headers).is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who came in, and whether they still may.
struct Door {
    identity: Identity,
    /// Programs; people have a session.
    followed: Option<Followed>,
}

struct Connection {
    site: Arc<Site>,
    identity: Option<Identity>,
    /// How long one write may take before the client counts as dead.
    writing: Duration,
}

type Writer = futures_util::stream::SplitSink<WebSocket, Message>;
type Reader = futures_util::stream::SplitStream<WebSocket>;

/// Why a connection ends, as its close frame says (RFC 6455 §7.4; 4000 and up are ours).
struct Ending(u16, &'static str);

const BAD_FRAME: Ending = Ending(1007, "not a frame of cti.v1");
const NO_HELLO: Ending = Ending(4400, "hello first");
const SIGNED_OUT: Ending = Ending(4401, "signed out");
const REPLACED: Ending = Ending(4409, "replaced, or too slow");
const FULL: Ending = Ending(4429, "too many sessions");

impl Connection {
    async fn run(mut self, socket: WebSocket) {
        let (mut writer, mut reader) = socket.split();
        let hello = match timeout(HELLO_TIME, hello(&mut reader)).await {
            Ok(Some(hello)) => hello,
            _ => return close(&mut writer, NO_HELLO).await,
        };
        let Some(identity) = self.identify(hello.ticket.as_deref()) else {
            return close(&mut writer, SIGNED_OUT).await;
        };
        let followed = identity.session.is_none().then(|| self.site.auth.follow(identity.user.clone()));
        let door = Door { identity, followed };
        let identity = &door.identity;
        let (now, me) = (self.site.centre.now(), me(&identity.user, self.site.centre.plan().reasons));
        let masked = self.site.is_masked(me.role);
        let attached = match self.site.hub.attach(&me, masked, hello.resume, now) {
            Ok(attached) => attached,
            Err(_) => return close(&mut writer, FULL).await,
        };
        if attached.link_up {
            self.site.centre.agent_link(&me.user, true);
        }
        tracing::info!(user = %me.user, client = %printable(&hello.client), resumed = attached.resumed, "cti.opened");
        let welcome = ServerFrame::Welcome(Welcome {
            session: attached.session,
            epoch: self.site.hub.epoch(),
            seq: attached.seq,
            resumed: attached.resumed,
            now: Moment(now),
            me: me.clone(),
        });
        let ending = match self.write(&mut writer, Message::text(welcome.text())).await {
            Ok(()) => self.serve(&door, &attached, &mut writer, &mut reader).await,
            Err(Gone) => None,
        };
        if self.site.hub.detach(&attached, self.site.centre.now()) {
            self.site.centre.agent_link(&me.user, false);
        }
        if let Some(ending) = ending {
            close(&mut writer, ending).await;
        }
    }

    /// Who it is: as the upgrade said, or as the ticket says.
    fn identify(&mut self, ticket: Option<&str>) -> Option<Identity> {
        self.identity.take().or_else(|| {
            let user = self.site.auth.redeem(ticket?, self.site.centre.now())?;
            Some(Identity { user, session: None, expires: None })
        })
    }

    /// Until it ends; `None` where the client is gone.
    async fn serve(
        &self,
        door: &Door,
        attached: &Attached,
        writer: &mut Writer,
        reader: &mut Reader,
    ) -> Option<Ending> {
        let identity = &door.identity;
        let mut pings = interval(self.site.settings.ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let mut heard = Instant::now();
        let mut warned = false;
        loop {
            tokio::select! {
                () = attached.line.wake.notified() => match self.site.hub.next(attached) {
                    Next::Ended => return Some(REPLACED),
                    Next::Write { texts, upto } => {
                        for text in texts {
                            if self.write(writer, Message::text(&*text)).await.is_err() {
                                return None;
                            }
                        }
                        attached.line.written.send_replace(upto);
                    }
                },
                frame = reader.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        heard = Instant::now();
                        if !self.is_signed_in(door) {
                            return Some(SIGNED_OUT);
                        }
                        self.handle(identity, attached, &text);
                    }
                    Some(Ok(Message::Binary(_))) => return Some(BAD_FRAME),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => heard = Instant::now(),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                },
                _ = pings.tick() => {
                    // Two PINGs unanswered, and this would be the third.
                    if heard.elapsed() > self.site.settings.ping_every * 5 / 2 {
                        return None;
                    }
                    if !self.is_signed_in(door) || !self.is_known(identity).await {
                        return Some(SIGNED_OUT);
                    }
                    warned = self.warn_of_expiry(identity, attached, warned);
                    if self.write(writer, Message::Ping(bytes::Bytes::new())).await.is_err() {
                        return None;
                    }
                }
            }
        }
    }

    /// A program's socket stands as long as its user; a person's as long as the session.
    fn is_signed_in(&self, door: &Door) -> bool {
        let now = self.site.centre.now();
        door.followed.as_ref().is_none_or(Followed::stands)
            && door.identity.session.is_none_or(|id| self.site.auth.session(id, now).is_some())
    }

    /// By the stored record: a change that came while somebody was let in was told before there was a socket to end.
    async fn is_known(&self, identity: &Identity) -> bool {
        match self.site.user(&identity.user.name).await {
            Ok(record) => record.is_some_and(|record| stands(&record, &identity.user)),
            // The next PING asks again.
            Err(_) => true,
        }
    }

    fn warn_of_expiry(&self, identity: &Identity, attached: &Attached, warned: bool) -> bool {
        let now = self.site.centre.now();
        let pass = identity.session.and_then(|id| self.site.auth.session(id, now));
        let soon = pass.is_some_and(|pass| pass.expires.since(now) <= EXPIRY_NOTICE);
        if soon && !warned {
            self.site.hub.notify(attached, "auth.expiring", now);
        }
        soon
    }

    fn handle(&self, identity: &Identity, attached: &Attached, text: &str) {
        let hub = &self.site.hub;
        let frame = match serde_json::from_str::<ClientFrame>(text) {
            Ok(frame) => frame,
            Err(error) => return hub.answer(attached, &refuse_frame(text, &error)),
        };
        if let Some(id) = id_of(&frame).filter(|id| id.is_empty() || id.len() > limits::CTI_ID_BYTES) {
            let msg = format!("An id has 1 to {} bytes; this has {}.", limits::CTI_ID_BYTES, id.len());
            return hub.answer(attached, &ServerFrame::refusal("", "frame.id", msg));
        }
        match frame {
            ClientFrame::Hello(_) => {
                hub.answer(attached, &ServerFrame::refusal("", "frame.hello", "One hello is enough."));
            }
            ClientFrame::Sub { id, topics } => hub.subscribe(attached, &id, &topics),
            ClientFrame::Unsub { id, topics } => hub.unsubscribe(attached, &id, &topics),
            ClientFrame::Resync {} => hub.resync(attached),
            ClientFrame::Ping { c } => {
                hub.answer(attached, &ServerFrame::Pong { c, s: self.site.centre.now().as_millis() });
            }
            ClientFrame::Cmd { id, name, args, if_rev } => self.command(identity, attached, id, &name, args, if_rev),
        }
    }

    fn command(
        &self,
        identity: &Identity,
        attached: &Attached,
        id: String,
        name: &str,
        args: serde_json::Value,
        if_rev: Option<Seq>,
    ) {
        let hub = &self.site.hub;
        match hub.admit(attached, &id, self.site.centre.now()) {
            Admitted::New => {}
            Admitted::Repeated => return,
            Admitted::Full => {
                let msg = format!("{} commands wait for their answer.", limits::CTI_COMMANDS);
                let frame = ServerFrame::Err { id, code: "command.too_many".to_owned(), msg, retry: true };
                return hub.answer(attached, &frame);
            }
        }
        let (site, session, by) = (Arc::clone(&self.site), attached.session, identity.actor());
        let parsed = orders::parse(name, args);
        // In a task of its own: a lookup for one command never delays the next frame, nor does a closed socket stop it.
        tokio::spawn(async move {
            let result = match parsed {
                Ok(order) => orders::give(&site, by, order, if_rev).await,
                Err(refusal) => Err(refusal),
            };
            let frame = match result {
                Ok(done) => ServerFrame::Ok { id: id.clone(), seq: done.seq, call: done.call },
                Err(Refusal { code, msg, retry }) => ServerFrame::Err { id: id.clone(), code, msg, retry },
            };
            site.hub.answer_command(session, &id, &frame, site.centre.now());
        });
    }

    async fn write(&self, writer: &mut Writer, message: Message) -> Result<(), Gone> {
        match timeout(self.writing, writer.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// The client does not read any more.
struct Gone;

/// The first frame, if it is a hello.
async fn hello(reader: &mut Reader) -> Option<Hello> {
    while let Some(Ok(message)) = reader.next().await {
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(ClientFrame::Hello(hello)) => return Some(hello),
                _ => return None,
            },
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) => return None,
        }
    }
    None
}

async fn close(writer: &mut Writer, Ending(code, reason): Ending) {
    let frame = CloseFrame { code, reason: reason.into() };
    // The client may be gone already.
    let _ = timeout(Duration::from_secs(1), writer.send(Message::Close(Some(frame)))).await;
}

/// Says what is wrong with a frame, with its id where it can be read.
fn refuse_frame(text: &str, error: &serde_json::Error) -> ServerFrame {
    let value = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let id = value.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    let id = if id.len() > limits::CTI_ID_BYTES { "" } else { id };
    let code = if value.is_object() { "frame.invalid" } else { "frame.not_json" };
    ServerFrame::refusal(id, code, format!("{error}."))
}

fn id_of(frame: &ClientFrame) -> Option<&str> {
    match frame {
        ClientFrame::Sub { id, .. } | ClientFrame::Unsub { id, .. } | ClientFrame::Cmd { id, .. } => Some(id),
        ClientFrame::Hello(_) | ClientFrame::Resync {} | ClientFrame::Ping { .. } => None,
    }
}

/// A client's name for the log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// How long a client may take over its first frame.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// How long before the end of a session its sockets are told.
const EXPIRY_NOTICE: Duration = Duration::from_secs(300);

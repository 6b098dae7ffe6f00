//! `control.sock`: what commands ask of a running server, over HTTP on a Unix socket beside the ledger.
//!
//! ```text
//! GET  /status                       -> Status
//! POST /row      Key                 -> "text" or null
//! POST /rows     Range               -> [[key, text], …]
//! POST /records  [Change, …]         -> Saved, once every change is durable and in the view
//! POST /ladder   CallId              -> Drawn, or null where nothing is kept of the call
//! POST /reload                       -> Reload, once the files are read and what they say is taken or refused
//! ```
//!
//! What is not done is answered with [`Declined`].
//!
//! Only this server's user and root are let in: the kernel says who is at the other end.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};

use crate::command::{Actor, Command, Order, Refusal, UserRole};
use crate::config::reload::Outcome;
use crate::config::report::{self, Paint};
use crate::event::Seq;
use crate::finding::{Finding, Source};
use crate::http::centre::{Centre, NotReloaded};
use crate::ids::{CallId, Epoch};
use crate::limits::store::VIEW_PAGE_ROWS;
use crate::store::{Row, ViewError};

use super::centre::House;
use super::office::{Change, actor_of};

/// The socket's name in the store's folder.
pub const SOCKET: &str = "control.sock";
/// Bytes of one request.
pub const BODY_BYTES: usize = 8 << 20;
/// How long a save may wait for the disk.
const DURABLE_WITHIN: Duration = Duration::from_secs(30);

/// What the socket gives access to.
#[derive(Clone)]
pub struct Access {
    pub house: Arc<House>,
    /// The last record before this boot.
    pub before: Seq,
}

/// How far the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// The last record before this boot: what follows was written by this server.
    pub before: Seq,
    /// Every record up to this one is durable and in the view.
    pub last: Seq,
    /// This boot.
    pub epoch: Epoch,
}

/// The changes are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub last: Seq,
}

/// Not all of a request was done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    pub reason: String,
    /// Changes made before the one that was refused.
    pub saved: usize,
}

/// Which rows are read, as [`crate::store::View::range`] and, with `back`, as `range_back` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Range {
    pub prefix: String,
    pub after: Option<String>,
    pub back: bool,
    pub limit: usize,
}

/// A ladder for people and for machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    pub text: String,
    pub messages: serde_json::Value,
}

/// What came of a reload, for people and for machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reload {
    /// Otherwise the files have errors, and what ran runs on.
    pub taken: bool,
    pub text: String,
    pub report: serde_json::Value,
}

/// One row by its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    pub key: String,
}

/// The open socket, gone from the disk when it is dropped.
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Opens the socket in a store's folder. One that is there already was left by a server that was killed: whoever
    /// calls this holds the ledger.
    pub fn open(store: &Path) -> io::Result<Self> {
        let path = store.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Serves until the task is aborted or the runtime ends.
    pub async fn serve(self, access: Access) {
        let routes = Router::new()
            .route("/status", get(status))
            .route("/row", post(row))
            .route("/rows", post(rows))
            .route("/records", post(records))
            .route("/ladder", post(ladder))
            .route("/reload", post(reload))
            .layer(DefaultBodyLimit::max(BODY_BYTES))
            .with_state(access);
        let service = routes.into_make_service_with_connect_info::<Peer>();
        if let Err(error) = axum::serve(self, service).await {
            tracing::error!(%error, "the control socket has stopped");
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Gone already is as well.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl axum::serve::Listener for Door {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (UnixStream, Peer) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if is_trusted(peer.uid()) => return (stream, Peer { uid: peer.uid() }),
                    Ok(peer) => tracing::warn!(uid = peer.uid(), "a stranger at the control socket was turned away"),
                    Err(error) => tracing::warn!(%error, "nobody knows who is at the control socket"),
                },
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { uid: rustix::process::geteuid().as_raw() })
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    uid: u32,
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        *stream.remote_addr()
    }
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

type Answer<T> = Result<Json<T>, (StatusCode, Json<Declined>)>;

async fn status(State(access): State<Access>) -> Json<Status> {
    let last = *access.house.applied.borrow();
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        before: access.before,
        last,
        epoch: access.house.epoch(),
    })
}

async fn row(State(access): State<Access>, Json(Key { key }): Json<Key>) -> Answer<Option<String>> {
    let found = read(move || access.house.view.get(key.as_bytes())).await?;
    Ok(Json(found.map(|value| text(&value))))
}

async fn rows(State(access): State<Access>, Json(range): Json<Range>) -> Answer<Vec<(String, String)>> {
    let found = read(move || {
        let Range { prefix, after, back, limit } = range;
        let (prefix, after) = (prefix.as_bytes(), after.as_deref().map(str::as_bytes));
        let limit = limit.min(VIEW_PAGE_ROWS);
        if back {
            access.house.view.range_back(prefix, after, limit)
        } else {
            access.house.view.range(prefix, after, limit)
        }
    })
    .await?;
    Ok(Json(found.into_iter().map(|Row { key, value }| (text(&key), text(&value))).collect()))
}

async fn records(
    State(access): State<Access>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(changes): Json<Vec<Change>>,
) -> Answer<Saved> {
    let by = Actor { user: actor_of(peer.uid), role: UserRole::Admin };
    let mut last = Seq::ZERO;
    for (saved, change) in changes.into_iter().enumerate() {
        let order = match change {
            Change::Save { kind, record, .. } => Order::SaveRecord { kind, record },
            Change::Remove { kind, key } => Order::RemoveRecord { kind, key },
        };
        let done = access.house.switch.order(Command { by: by.clone(), order }).await;
        last = done.map_err(|refusal| refused(&refusal, saved))?.seq;
    }
    let mut applied = access.house.applied.clone();
    match tokio::time::timeout(DURABLE_WITHIN, applied.wait_for(|seq| *seq >= last)).await {
        Ok(Ok(_)) => Ok(Json(Saved { last })),
        _ => Err(declined(StatusCode::SERVICE_UNAVAILABLE, "the server's disk does not answer: see its log", 0)),
    }
}

async fn ladder(State(access): State<Access>, Json(call): Json<CallId>) -> Json<Option<Drawn>> {
    Json(access.house.drawn_ladder(call).map(|(text, messages)| Drawn { text, messages }))
}

async fn reload(State(access): State<Access>) -> Answer<Reload> {
    let failed = |error: NotReloaded| declined(StatusCode::SERVICE_UNAVAILABLE, error, 0);
    let outcome = access.house.reload_outcome().await.map_err(failed)?;
    let told = |changes: &[String], next_start: &[Finding], sources: &[Source]| Reload {
        taken: true,
        text: words_of(changes, next_start, sources),
        report: serde_json::json!({ "changes": changes, "next_start": next_start }),
    };
    Ok(Json(match &*outcome {
        Outcome::Replaced { loaded, changes, next_start } => told(changes, next_start, &loaded.sources),
        Outcome::Unchanged { next_start, sources } => told(&[], next_start, sources),
        Outcome::Refused(refused) => Reload {
            taken: false,
            text: report::for_people(&refused.findings, &refused.sources, Paint::Plain),
            report: serde_json::json!(refused.findings),
        },
    }))
}

fn words_of(changes: &[String], next_start: &[Finding], sources: &[Source]) -> String {
    let mut text = match changes {
        [] => "Nothing has changed for new calls.\n".to_owned(),
        changes => changes.iter().map(|change| format!("{change}\n")).collect(),
    };
    if !next_start.is_empty() {
        text.push('\n');
        text.push_str(&report::for_people(next_start, sources, Paint::Plain));
    }
    text
}

async fn read<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ViewError> + Send + 'static,
) -> Result<T, (StatusCode, Json<Declined>)> {
    let failed = |reason: &dyn core::fmt::Display| declined(StatusCode::INTERNAL_SERVER_ERROR, reason, 0);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

fn refused(refusal: &Refusal, saved: usize) -> (StatusCode, Json<Declined>) {
    let status = if refusal.retry { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNPROCESSABLE_ENTITY };
    declined(status, &refusal.msg, saved)
}

fn declined(status: StatusCode, reason: impl core::fmt::Display, saved: usize) -> (StatusCode, Json<Declined>) {
    (status, Json(Declined { reason: reason.to_string(), saved }))
}

/// Keys are text and values JSON, or a key.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

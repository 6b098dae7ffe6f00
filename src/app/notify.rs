//! The service manager is told how far we are (`sd_notify(3)`): one datagram a state, to the socket it names.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Everything runs.
pub const READY: &str = "READY=1";
/// Draining has begun.
pub const STOPPING: &str = "STOPPING=1";

/// Tells the service manager, where one started us. One that does not listen is no reason not to serve.
pub fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, state, "the service manager cannot be told");
    }
}

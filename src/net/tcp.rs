//! TCP: connections that others make, and connections that we make.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::NetEvent;
use super::flows::{Admitted, Alive};
use super::handle::Shared;
use super::stream;
use crate::limits::net::QUEUED_BYTES;
use crate::sip::flow::{Destination, Source, Transport};

/// How long to wait where the system has run out of something: descriptors to accept with, memory to receive into.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// When the kernel begins to ask whether a silent peer is still there, and how often: a phone that lost power is found out
/// within two minutes.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Accepts until told to stop.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>, _alive: Alive) {
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((io, remote)) => open(io, remote, &shared),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

fn open(io: TcpStream, remote: SocketAddr, shared: &Arc<Shared>) {
    let Some(Admitted { flow, outbox, alive }) = shared.flows().admit(Transport::Tcp, remote, false) else {
        shared.intake.counters.connections_refused.add();
        tracing::debug!(peer = %remote, "connection refused: limit reached");
        return;
    };
    let local = match prepare(&io) {
        Ok(local) => local,
        // Closed again between the kernel and us.
        Err(_) => {
            shared.flows().remove(flow);
            return;
        }
    };
    let (shared, source) = (Arc::clone(shared), Source { flow, transport: Transport::Tcp, local, remote });
    tokio::spawn(async move {
        stream::run(io, source, outbox, shared).await;
        drop(alive);
    });
}

/// Makes the connection that has its place in the table, and carries it. From `local`, where given: peers know us by it.
pub(super) async fn connect(admitted: Admitted, local: Option<IpAddr>, remote: SocketAddr, shared: Arc<Shared>) {
    let Admitted { flow, outbox, alive } = admitted;
    let made = match timeout(shared.times.connect, make(local, remote)).await {
        Ok(made) => made,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match made.and_then(|io| prepare(&io).map(|local| (io, local))) {
        Ok((io, local)) => {
            let source = Source { flow, transport: Transport::Tcp, local, remote };
            stream::run(io, source, outbox, shared).await;
        }
        Err(error) => {
            tracing::debug!(peer = %remote, %error, "no connection");
            shared.flows().remove(flow);
            shared.intake.counters.sends_failed.add();
            shared.intake.tell(NetEvent::Failed(Destination::Connect { transport: Transport::Tcp, remote }));
        }
    }
    drop(alive);
}

async fn make(local: Option<IpAddr>, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(remote).await
}

/// Sets a connection up and answers our end's address.
fn prepare(io: &TcpStream) -> io::Result<SocketAddr> {
    io.set_nodelay(true)?;
    let socket = SockRef::from(io);
    // What waits in the kernel counts too: a peer that does not read is found out after about twice the queue.
    socket.set_send_buffer_size(QUEUED_BYTES / 2)?;
    let (idle, interval, retries) = KEEP_ALIVE;
    let keep_alive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
    socket.set_tcp_keepalive(&keep_alive)?;
    io.local_addr()
}

//! The sockets we listen on: bound first, so that the switch is made with their addresses, read from afterwards.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::counters::Counters;
use super::flows::Flows;
use super::handle::{NetHandle, Shared};
use super::intake::Intake;
use super::sources::Sources;
use super::stream::Times;
use super::{Sink, tcp, udp};
use crate::limits::net::{CONNECT_TIME, CONNECTIONS, IDLE_TIME, LINGER_TIME, MESSAGE_TIME};
use crate::limits::sip::MESSAGE_BYTES;
use crate::network::Network;
use crate::sip::flow::{FlowId, Listener, Transport};

/// Room the kernel keeps for datagrams that we have not read yet, in bytes: a burst of thousands.
const RECEIVE_BYTES: usize = 4 << 20;
/// Connections the kernel keeps for us to accept.
const BACKLOG: i32 = 1_024;

/// One socket to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub transport: Transport,
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// What Via and Contact say instead; its port 0 stands for the bound one.
    pub public: Option<SocketAddr>,
}

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{transport}:{address} cannot be opened: {source}")]
    Socket { transport: Transport, address: SocketAddr, source: io::Error },
    #[error("{0}: no such listener yet; use udp or tcp")]
    Transport(Transport),
}

/// How much the sockets take. Never more than [`crate::limits`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once. Past it a new one is closed at once, and one of ours is not made.
    pub connections: usize,
    /// Bytes of one message. Past it: 513.
    pub message_bytes: usize,
}

impl Bounds {
    pub const MOST: Bounds = Bounds { connections: CONNECTIONS, message_bytes: MESSAGE_BYTES };
}

/// Open sockets nobody reads from yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) sockets: Vec<(Listener, Socket)>,
}

impl Bound {
    /// Opens every socket, or none.
    pub fn open(listens: &[Listen]) -> Result<Bound, BindError> {
        let mut sockets = Vec::new();
        for (at, listen) in listens.iter().enumerate() {
            let Listen { transport, address, public } = *listen;
            let kind = match transport {
                Transport::Udp => (Type::DGRAM, Protocol::UDP),
                Transport::Tcp => (Type::STREAM, Protocol::TCP),
                other => return Err(BindError::Transport(other)),
            };
            let (socket, local) =
                open(kind, address).map_err(|source| BindError::Socket { transport, address, source })?;
            let public = public.map(|mut public| {
                if public.port() == 0 {
                    public.set_port(local.port());
                }
                public
            });
            let flow = FlowId(at as u64 + 1);
            sockets.push((Listener { public, ..Listener::new(flow, transport, local) }, socket));
        }
        Ok(Bound { sockets })
    }

    /// The same, told what is reached from each address of the machine.
    pub fn reaching(mut self, networks: &BTreeMap<IpAddr, Vec<Network>>) -> Self {
        for (listener, _) in &mut self.sockets {
            listener.networks = networks.get(&listener.local.ip()).cloned().unwrap_or_default();
        }
        self
    }

    /// What the switch is told of them, in the order given.
    pub fn listeners(&self) -> Vec<Listener> {
        self.sockets.iter().map(|(listener, _)| listener.clone()).collect()
    }

    /// Begins to read and to accept. Must be called within a Tokio runtime: the sockets live on it.
    pub fn start(self, sink: Sink, bounds: Bounds) -> io::Result<Net> {
        self.start_with(sink, bounds, Times { message: MESSAGE_TIME, idle: IDLE_TIME, connect: CONNECT_TIME })
    }

    pub(super) fn start_with(self, sink: Sink, bounds: Bounds, times: Times) -> io::Result<Net> {
        let (alive, all_gone) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let mut sockets = Vec::new();
        let mut datagrams = BTreeMap::new();
        for (listener, socket) in self.sockets {
            if listener.transport == Transport::Udp {
                datagrams.insert(listener.flow, socket.try_clone()?.into());
                sockets.push((listener, Reading::Datagrams(UdpSocket::from_std(socket.into())?)));
            } else {
                sockets.push((listener, Reading::Connections(TcpListener::from_std(socket.into())?)));
            }
        }
        let streams = sockets.iter().filter(|(listener, _)| listener.transport.is_reliable());
        let ours = streams.map(|(listener, _)| listener).filter(|l| !l.local.ip().is_unspecified()).cloned().collect();
        let shared = Arc::new(Shared {
            intake: Intake {
                sink,
                counters: Counters::default(),
                sources: Sources::new(Instant::now()),
                message_bytes: bounds.message_bytes,
            },
            times,
            runtime: Handle::current(),
            datagrams: RwLock::new(datagrams),
            ours,
            flows: Mutex::new(Flows::new(sockets.len() as u64, alive.clone(), bounds.connections)),
        });
        for (listener, socket) in sockets {
            let (shared, stopped, alive) = (Arc::clone(&shared), stopped.clone(), alive.clone());
            match socket {
                Reading::Datagrams(socket) => tokio::spawn(udp::read(socket, listener, shared, stopped, alive)),
                Reading::Connections(socket) => tokio::spawn(tcp::accept(socket, shared, stopped, alive)),
            };
        }
        Ok(Net { shared, stop, all_gone })
    }
}

enum Reading {
    Datagrams(UdpSocket),
    Connections(TcpListener),
}

/// Sockets at work. Dropped without [`Net::shutdown`] they work on as long as their runtime does.
pub struct Net {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    all_gone: mpsc::Receiver<core::convert::Infallible>,
}

impl Net {
    pub fn handle(&self) -> NetHandle {
        NetHandle::new(Arc::clone(&self.shared))
    }

    /// Stops accepting and reading datagrams, writes out what connections have queued (for [`LINGER_TIME`] at most), closes
    /// them, and gives every port back. What is sent from now on has failed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.shared.flows().close();
        self.shared.datagrams.write().unwrap_or_else(PoisonError::into_inner).clear();
        // A peer that neither reads nor closes would keep its task for longer; the runtime's end takes it.
        let _ = timeout(LINGER_TIME * 2 + CONNECT_TIME, self.all_gone.recv()).await;
    }
}

fn open((kind, protocol): (Type, Protocol), address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // So that `[::]` and `0.0.0.0` may both be listened on.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Else a restart would wait for the last connections of the one before.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
    } else {
        // As far as the system lets us.
        let _ = socket.set_recv_buffer_size(RECEIVE_BYTES);
        let _ = socket.set_send_buffer_size(RECEIVE_BYTES);
        socket.bind(&address.into())?;
    }
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, local))
}

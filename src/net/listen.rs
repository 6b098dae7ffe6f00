//! The sockets we listen on: bound first, so that the switch is made with their addresses, read from afterwards.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::counters::Counters;
use super::{NetHandle, Sink};
use crate::sip::flow::{FlowId, Listener, Transport};

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
            sockets.push((Listener { flow, transport, local, public }, socket));
        }
        Ok(Bound { sockets })
    }

    /// What the switch is told of them, in the order given.
    pub fn listeners(&self) -> Vec<Listener> {
        self.sockets.iter().map(|(listener, _)| listener.clone()).collect()
    }

    /// Begins to read and to accept. Must be called within a Tokio runtime.
    pub fn start(self, sink: Sink) -> io::Result<Net> {
        let counters = Arc::new(Counters::default());
        let handle = NetHandle::new(sink, counters);
        Ok(Net { handle })
    }
}

/// Sockets at work.
#[derive(Debug)]
pub struct Net {
    handle: NetHandle,
}

impl Net {
    pub fn handle(&self) -> NetHandle {
        self.handle.clone()
    }

    /// Stops accepting and reading, writes out what is queued (within a bound), closes every connection.
    pub async fn shutdown(self) {}
}

fn open((kind, protocol): (Type, Protocol), address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, local))
}

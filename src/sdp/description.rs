//! A session description as a value: what RFC 8866 writes in lines, and how it is written out.

use core::fmt;
use std::net::IpAddr;

/// One description. What we don't understand is not kept: a description is read, judged and answered, never relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    pub origin: Origin,
    /// `s=`; a single `-` where there is no name.
    pub name: String,
    /// Session-level `c=`, which holds for each medium without its own.
    pub connection: Option<Connection>,
    /// Session-level `a=` lines in order.
    pub attributes: Vec<Attribute>,
    pub media: Vec<Media>,
}

/// The `o=` line: who made this description, and which version it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub username: String,
    /// A number by the grammar, but some phones write 64 bits and more: kept as text.
    pub session_id: String,
    pub version: u64,
    pub address: Connection,
}

/// The `c=` line: where media is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    Address(IpAddr),
    /// A host name. Legal, and refused by [`super::AudioSession`]: media paths wait for no name server.
    Host(String),
}

/// One `m=` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image`, `application` …
    pub kind: String,
    /// Zero refuses or ends the stream (RFC 3264 §6, §8.2).
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl` …
    pub protocol: String,
    /// For RTP the payload types, most wanted first.
    pub formats: Vec<String>,
    pub connection: Option<Connection>,
    pub attributes: Vec<Attribute>,
}

/// One `a=` line: `a=name` or `a=name:value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub value: Option<String>,
}

impl SessionDescription {
    /// The same, said of another address of ours.
    pub fn at(&self, ours: IpAddr) -> Self {
        let address = Connection::Address(ours);
        let origin = Origin { address: address.clone(), ..self.origin.clone() };
        Self { origin, connection: Some(address), ..self.clone() }
    }
}

/// Who may send, seen from the one who writes it (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other end.
    pub const fn reversed(self) -> Self {
        Direction::of(self.receives(), self.sends())
    }

    /// What remains where both ends restrict it, each from our point of view.
    pub const fn and(self, other: Direction) -> Self {
        Direction::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    pub const fn attribute(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    pub fn from_attribute(name: &str) -> Option<Self> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|direction| direction.attribute() == name)
    }
}

impl Attribute {
    pub fn flag(name: &str) -> Self {
        Self { name: name.to_owned(), value: None }
    }

    pub fn with(name: &str, value: impl fmt::Display) -> Self {
        Self { name: name.to_owned(), value: Some(value.to_string()) }
    }
}

impl Connection {
    /// The address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Connection::Address(address) => Some(*address),
            Connection::Host(_) => None,
        }
    }
}

impl Media {
    /// The value of the first `a=name:value`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == name).and_then(|a| a.value.as_deref())
    }

    /// The values of every `a=name:value`, in order.
    pub fn attributes_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |a| a.name == name).filter_map(|a| a.value.as_deref())
    }

    /// What an `a=rtpmap` says of a payload type: `telephone-event/8000`.
    pub fn rtpmap(&self, payload_type: u8) -> Option<&str> {
        self.attributes_named("rtpmap").find_map(|value| {
            let (number, mapping) = value.split_once(' ')?;
            (number.trim().parse() == Ok(payload_type)).then(|| mapping.trim())
        })
    }

    /// The payload types among the formats, in order.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|format| format.parse().ok()).filter(|number| *number < 128)
    }
}

impl SessionDescription {
    /// Where a medium is wanted: its own `c=`, or the session's.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// The direction of a medium: its own attribute, or the session's, or `sendrecv`.
    pub fn direction_of(&self, media: &Media) -> Direction {
        let written = |attributes: &[Attribute]| attributes.iter().find_map(|a| Direction::from_attribute(&a.name));
        written(&media.attributes).or_else(|| written(&self.attributes)).unwrap_or_default()
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Connection::Address(IpAddr::V4(ip)) => write!(f, "IN IP4 {ip}"),
            Connection::Address(IpAddr::V6(ip)) => write!(f, "IN IP6 {ip}"),
            Connection::Host(name) => write!(f, "IN IP4 {name}"),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "a={}:{value}\r\n", self.name),
            None => write!(f, "a={}\r\n", self.name),
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        f.write_str("\r\n")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        self.attributes.iter().try_for_each(|attribute| attribute.fmt(f))
    }
}

/// The body of a message: lines in the order of RFC 8866 §5, each ended by CRLF.
impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { username, session_id, version, address } = &self.origin;
        write!(f, "v=0\r\no={username} {session_id} {version} {address}\r\ns={}\r\n", self.name)?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        f.write_str("t=0 0\r\n")?;
        self.attributes.iter().try_for_each(|attribute| attribute.fmt(f))?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

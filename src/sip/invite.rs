//! What the switch asks for when it calls out.

use std::net::IpAddr;

pub use super::digest::Account as Credentials;
use super::flow::{Destination, Source};
use super::write::Quoted;
use crate::sdp::SessionDescription;

/// A call to place: one INVITE per target, all at once; the first 2xx wins and the others are cancelled.
#[derive(Clone, Debug)]
pub struct Invite {
    /// In the order wanted; at most [`crate::limits::ua::TARGETS`].
    pub targets: Vec<Target>,
    pub from: Party,
    pub to: Party,
    /// User part of our Contact: where the far side sends what belongs to this session.
    pub contact_user: String,
    pub offer: SessionDescription,
    /// Further headers in order: `X-CTI-Call`, `P-Asserted-Identity`, `Diversion`, `Alert-Info` …
    pub headers: Vec<(String, String)>,
    /// For a 401 or 407.
    pub credentials: Option<Credentials>,
    /// 70 for a new call; one less than it came with for a call passed on.
    pub max_forwards: u8,
}

/// One place to ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Request-URI.
    pub uri: String,
    /// Route values, next hop first: `<sip:proxy.example;lr>`. Empty for none.
    pub route: Vec<String>,
    /// Where to send, whatever the URIs say: the flow of a binding. `None`: as RFC 3263 finds it.
    pub destination: Option<Destination>,
    /// Where a binding was made from, which shows by which address of ours it is reached.
    pub registered: Option<Source>,
    /// What the offer says to it instead of our address, where it reaches us at another than the other targets.
    pub media: Option<IpAddr>,
}

impl Target {
    /// A target found by its URI alone.
    pub fn uri(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), route: Vec::new(), destination: None, registered: None, media: None }
    }
}

/// One end of a call as From and To name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Display name; empty for none.
    pub display: String,
    /// `sip:1001@example.com`.
    pub uri: String,
}

impl Party {
    pub fn new(display: impl Into<String>, uri: impl Into<String>) -> Self {
        Self { display: display.into(), uri: uri.into() }
    }

    /// `"Alice" <sip:1001@example.com>`.
    pub fn name_addr(&self) -> String {
        match self.display.as_str() {
            "" => format!("<{}>", self.uri),
            display => format!("{} <{}>", Quoted(display), self.uri),
        }
    }
}

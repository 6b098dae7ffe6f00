//! One dialog of a simulated phone (RFC 3261 §12): its tags, route set, remote target and counts, and the requests
//! and responses that are written from them.

use std::net::SocketAddr;

use super::rsip_wire::{Draft, Method, Received, SipUri, Start};

/// What a phone puts into each message about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User part of the address of record, also of the contact.
    pub user: String,
    /// Domain of the address of record.
    pub domain: String,
    pub display: Option<String>,
    /// The SIP address: Via and Contact.
    pub local: SocketAddr,
    pub user_agent: String,
}

impl Identity {
    /// The address of record.
    pub fn address_of_record(&self) -> SipUri {
        SipUri::new(&self.user, &self.domain)
    }

    pub fn contact(&self) -> String {
        format!("<{}>", SipUri::at(&self.user, self.local))
    }

    /// The text of From for a dialog of ours.
    pub fn from_text(&self, tag: &str) -> String {
        named(self.display.as_deref(), &self.address_of_record(), tag)
    }
}

/// `"display" <uri>;tag=tag`.
pub fn named(display: Option<&str>, uri: &SipUri, tag: &str) -> String {
    match display {
        Some(display) => format!("\"{}\" <{uri}>;tag={tag}", display.replace(['"', '\\'], "")),
        None => format!("<{uri}>;tag={tag}"),
    }
}

/// The methods a simulated phone understands.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, REFER";

/// A dialog, early or confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    pub call_id: String,
    /// From as we write it, without tag.
    pub local_text: String,
    pub local_tag: String,
    /// To as we write it, tag included once there is one.
    pub remote_text: String,
    pub remote_tag: Option<String>,
    pub target: SipUri,
    pub routes: Vec<String>,
    pub local_cseq: u32,
    pub remote_cseq: u32,
    /// Where requests go when neither route nor target is an address.
    pub peer: SocketAddr,
}

impl Dialog {
    /// Of a call that we place; the answer confirms it by [`Dialog::confirm`].
    pub fn placing(call_id: String, from: String, tag: String, to: &SipUri, peer: SocketAddr) -> Self {
        Self {
            call_id,
            local_text: from,
            local_tag: tag,
            remote_text: format!("<{to}>"),
            remote_tag: None,
            target: to.clone(),
            routes: Vec::new(),
            local_cseq: 0,
            remote_cseq: 0,
            peer,
        }
    }

    /// Of a call that came in.
    pub fn taking(invite: &Received, tag: String, peer: SocketAddr) -> Self {
        Self {
            call_id: invite.call_id.clone(),
            local_text: invite.to.text.clone(),
            local_tag: tag,
            remote_text: invite.from.text.clone(),
            remote_tag: invite.from.tag.clone(),
            target: invite.contacts.first().map_or_else(|| invite.from.uri.clone(), |contact| contact.uri.clone()),
            routes: record_routes(invite),
            local_cseq: 0,
            remote_cseq: invite.cseq,
            peer,
        }
    }

    /// Takes the far side's tag, target and (reversed, RFC 3261 §12.1.2) route set from its answer.
    pub fn confirm(&mut self, answer: &Received) {
        self.remote_text = answer.to.text.clone();
        self.remote_tag = answer.to.tag.clone();
        self.retarget(answer);
        self.routes = record_routes(answer);
        self.routes.reverse();
    }

    /// Target refresh (RFC 3261 §12.2.1.2).
    pub fn retarget(&mut self, message: &Received) {
        if let Some(contact) = message.contacts.first() {
            self.target = contact.uri.clone();
        }
    }

    /// Does this request or answer belong here?
    pub fn owns(&self, request: &Received) -> bool {
        request.call_id == self.call_id && request.to.tag.as_deref() == Some(self.local_tag.as_str())
    }

    /// Where the next request goes.
    pub fn next_hop(&self) -> SocketAddr {
        let first_route = self.routes.first().map(|route| route.trim_matches(['<', '>']));
        let route = first_route.and_then(|route| SipUri::parse(route).ok());
        route.as_ref().unwrap_or(&self.target).literal_address().unwrap_or(self.peer)
    }

    /// A new request within the dialog, without Via.
    pub fn request(&mut self, method: Method, identity: &Identity) -> Draft {
        self.local_cseq = self.local_cseq.wrapping_add(1).max(1);
        self.draft(method, self.local_cseq, identity)
    }

    /// The ACK of a 2xx whose INVITE had that CSeq.
    pub fn ack(&self, cseq: u32, identity: &Identity) -> Draft {
        self.draft(Method::Ack, cseq, identity)
    }

    fn draft(&self, method: Method, cseq: u32, identity: &Identity) -> Draft {
        let mut draft = Draft::request(method, self.target.clone())
            .with("Via", "")
            .with("Max-Forwards", 70)
            .with("From", self.local_with_tag())
            .with("To", &self.remote_text)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{cseq} {method}"))
            .with("Contact", identity.contact())
            .with("User-Agent", &identity.user_agent);
        if !self.routes.is_empty() {
            draft = draft.with("Route", self.routes.join(", "));
        }
        draft
    }

    fn local_with_tag(&self) -> String {
        match self.local_text.contains(";tag=") {
            true => self.local_text.clone(),
            false => format!("{};tag={}", self.local_text, self.local_tag),
        }
    }
}

/// An answer to `request`: its Vias, From, To (with our tag), Call-ID, CSeq and Record-Route (RFC 3261 §8.2.6.2).
pub fn answer(request: &Received, status: u16, to_tag: &str, identity: &Identity) -> Draft {
    let mut draft = Draft::response(status);
    for via in &request.vias {
        draft = draft.with("Via", via);
    }
    let to = match (&request.to.tag, status) {
        (Some(_), _) | (None, 100) => request.to.text.clone(),
        (None, _) => format!("{};tag={to_tag}", request.to.text),
    };
    draft = draft.with("From", &request.from.text).with("To", to).with("Call-ID", &request.call_id);
    draft = draft.with("CSeq", format!("{} {}", request.cseq, request.method));
    for route in request.headers_named("Record-Route") {
        draft = draft.with("Record-Route", route);
    }
    if request.method == Method::Invite && (101..300).contains(&status) {
        draft = draft.with("Contact", identity.contact());
    }
    if matches!(status, 200 | 405) {
        draft = draft.with("Allow", ALLOW);
    }
    draft.with("User-Agent", &identity.user_agent)
}

/// The entries of Record-Route, topmost first.
fn record_routes(message: &Received) -> Vec<String> {
    let lines = message.headers_named("Record-Route");
    lines.flat_map(|line| line.split(',')).map(|entry| entry.trim().to_owned()).collect()
}

/// The user part that a request dials.
pub fn dialled(request: &Received) -> String {
    match &request.start {
        Start::Request { uri, .. } => uri.user.clone().unwrap_or_default(),
        Start::Response { .. } => String::new(),
    }
}

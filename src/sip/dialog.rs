//! Dialogs (RFC 3261 §12): who talks to whom, by which route, and where in the sequence both are.

use std::net::IpAddr;

use super::flow::Destination;
use super::header::{Name, NameAddr};
use super::request::{Body, Draft, OurContact, bare_uri};
use super::uri::Uri;
use super::{Message, Method};
use crate::limits::ua::ROUTES;

/// What names a dialog, seen from us.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialogId {
    pub call_id: String,
    pub local_tag: String,
    /// Empty for a peer of RFC 2543 that sends none.
    pub remote_tag: String,
}

/// One dialog, early or confirmed.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub id: DialogId,
    /// Our From (or To) as the whole header value with our tag.
    local: String,
    /// Theirs, with their tag.
    remote: String,
    /// Where requests go in the end: the far side's Contact.
    remote_target: String,
    /// Routes from us to them, next hop first.
    route_set: Vec<String>,
    local_cseq: u32,
    /// `None` until they sent a request.
    remote_cseq: Option<u32>,
    /// We made the Call-ID: the longer back-off after a glare is ours (§14.1).
    pub is_caller: bool,
    /// User part of our Contact.
    contact_user: String,
    /// Where requests go instead of where the URIs lead: the flow of a peer behind NAT.
    pub destination: Option<Destination>,
    /// Our address that its first request went by.
    pub leaves_from: Option<IpAddr>,
}

/// Why a message makes no dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDialog {
    #[error("Contact is missing or cannot be read")]
    Contact,
    #[error("a header that names the dialog cannot be read")]
    Header,
    #[error("Record-Route is too long or cannot be read")]
    Route,
}

/// How a request fits the sequence of its dialog (§12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    InOrder,
    /// Lower than one we have seen: 500. Gaps are legal.
    TooLow,
}

impl DialogId {
    /// The dialog that a request from the far side names.
    pub fn of_request(request: &Message) -> Option<Self> {
        let tag = |address: NameAddr<'_>| address.tag().unwrap_or_default().to_owned();
        Some(Self {
            call_id: request.call_id().ok()?.to_owned(),
            local_tag: tag(request.to().ok()?),
            remote_tag: tag(request.from().ok()?),
        })
    }

    /// The dialog that a response to a request of ours names.
    pub fn of_response(response: &Message) -> Option<Self> {
        let DialogId { call_id, local_tag, remote_tag } = Self::of_request(response)?;
        Some(Self { call_id, local_tag: remote_tag, remote_tag: local_tag })
    }
}

impl Dialog {
    /// As the server: an INVITE came, and we answer with `local_tag` (§12.1.1).
    pub fn from_request(invite: &Message, local_tag: &str, contact_user: &str) -> Result<Self, NoDialog> {
        let id = DialogId::of_request(invite).ok_or(NoDialog::Header)?;
        let address = |name| invite.address(name).map_err(|_| NoDialog::Header);
        Ok(Self {
            id: DialogId { local_tag: local_tag.to_owned(), ..id },
            local: format!("{};tag={local_tag}", named(address(Name::To)?)),
            remote: with_tag(address(Name::From)?),
            remote_target: invited_target(invite)?,
            route_set: routes(invite)?,
            local_cseq: 0,
            remote_cseq: invite.cseq().ok().map(|cseq| cseq.number),
            is_caller: false,
            contact_user: contact_user.to_owned(),
            destination: None,
            leaves_from: None,
        })
    }

    /// As the client: a response to our INVITE came (§12.1.2). The route set is reversed.
    pub fn from_response(draft: &Draft, response: &Message, contact_user: &str) -> Result<Self, NoDialog> {
        let mut route_set = routes(response)?;
        route_set.reverse();
        let remote = response.to().map_err(|_| NoDialog::Header)?;
        Ok(Self {
            id: DialogId::of_response(response).ok_or(NoDialog::Header)?,
            local: draft.from.clone(),
            remote: with_tag(remote),
            // A provisional response may lack a Contact, and some peers forget it in the 2xx: what we called is next best.
            remote_target: target(response).unwrap_or_else(|_| draft.uri.clone()),
            route_set,
            local_cseq: draft.cseq,
            remote_cseq: None,
            is_caller: true,
            contact_user: contact_user.to_owned(),
            destination: None,
            leaves_from: draft.leaves_from,
        })
    }

    pub fn contact(&self) -> OurContact {
        OurContact::user(&self.contact_user)
    }

    /// Our tagged header value: what a response carries as To where we were called.
    pub fn local_tag(&self) -> &str {
        &self.id.local_tag
    }

    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    pub fn is_adjacent(&self) -> bool {
        self.route_set.is_empty()
    }

    /// The next request of ours within the dialog (§12.2.1.1).
    pub fn request(&mut self, method: Method, body: Option<Body>) -> Draft {
        self.local_cseq += 1;
        self.draft(method, self.local_cseq, body)
    }

    /// The ACK to a 2xx: the number of its INVITE (§13.2.2.4).
    pub fn ack(&self, cseq: u32) -> Draft {
        self.draft(Method::Ack, cseq, None)
    }

    fn draft(&self, method: Method, cseq: u32, body: Option<Body>) -> Draft {
        let (uri, route) = self.path();
        let has_contact = matches!(method, Method::Invite | Method::Refer | Method::Notify | Method::Subscribe);
        Draft {
            method,
            uri,
            route,
            from: self.local.clone(),
            to: self.remote.clone(),
            call_id: self.id.call_id.clone(),
            cseq,
            max_forwards: 70,
            contact: has_contact.then(|| self.contact()),
            headers: Vec::new(),
            body,
            leaves_from: self.leaves_from,
        }
    }

    /// Request-URI and Route values (§12.2.1.1): loose routers are named in Route; a strict router becomes the
    /// Request-URI, and the far side's Contact goes to the end of the routes.
    fn path(&self) -> (String, Vec<String>) {
        let Some(first) = self.route_set.first() else { return (self.remote_target.clone(), Vec::new()) };
        let bare = bare_uri(first);
        if Uri::parse(bare).is_ok_and(|uri| uri.is_loose_router()) {
            return (self.remote_target.clone(), self.route_set.clone());
        }
        let mut routes: Vec<String> = self.route_set.iter().skip(1).cloned().collect();
        routes.push(format!("<{}>", self.remote_target));
        (bare.to_owned(), routes)
    }

    /// A request came within the dialog (§12.2.2). ACK and CANCEL are not asked.
    pub fn handle_request(&mut self, request: &Message) -> Order {
        let Ok(cseq) = request.cseq() else { return Order::TooLow };
        if self.remote_cseq.is_some_and(|seen| cseq.number <= seen) {
            return Order::TooLow;
        }
        self.remote_cseq = Some(cseq.number);
        Order::InOrder
    }

    /// A re-INVITE or its 2xx carries the far side's new Contact (§12.2.1.2, §12.2.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Ok(target) = target(message) {
            self.remote_target = target;
        }
    }

    /// Whether a request without tags would be sent to the same place.
    pub fn remote_target(&self) -> &str {
        &self.remote_target
    }
}

/// The address without its header parameters. The display name stays where it is text; in another encoding it is
/// left out, for it names nobody's dialog.
fn named(address: NameAddr<'_>) -> String {
    let uri = address.uri();
    match core::str::from_utf8(address.display_raw()) {
        Ok(display) if !display.is_empty() && !display.contains('\0') => format!("{display} <{}>", uri.as_str()),
        _ => format!("<{}>", uri.as_str()),
    }
}

fn with_tag(address: NameAddr<'_>) -> String {
    match address.tag() {
        Some(tag) => format!("{};tag={tag}", named(address)),
        None => named(address),
    }
}

/// Where requests to the caller go. One of RFC 2543 may have no Contact: then its From (RFC 2543 §6.13).
fn invited_target(invite: &Message) -> Result<String, NoDialog> {
    if invite.header(Name::Contact).is_some() {
        return target(invite);
    }
    let from = invite.from().map_err(|_| NoDialog::Header)?;
    Ok(from.uri().as_str().to_owned())
}

fn target(message: &Message) -> Result<String, NoDialog> {
    let contact = message.contact().map_err(|_| NoDialog::Contact)?;
    Ok(contact.uri().as_str().to_owned())
}

fn routes(message: &Message) -> Result<Vec<String>, NoDialog> {
    let mut routes = Vec::new();
    for route in message.record_routes() {
        let route = route.map_err(|_| NoDialog::Route)?;
        if routes.len() == ROUTES {
            return Err(NoDialog::Route);
        }
        let params = String::from_utf8_lossy(route.params().as_bytes()).into_owned();
        let semicolon = if params.is_empty() { "" } else { ";" };
        routes.push(format!("<{}>{semicolon}{params}", route.uri().as_str()));
    }
    Ok(routes)
}

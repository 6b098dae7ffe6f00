//! A request in the making: everything but the hop it will take.
//!
//! Via and Contact name the socket it leaves from, so it is written out only when the next hop is known,
//! and written anew for each hop that is tried.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::Method;
use super::flow::{Transport, host_port};
use super::header::Name;
use super::uri::escape_user;
use super::write::{Unwritable, Writer};

/// A request before its Via.
#[derive(Clone, Debug)]
pub struct Draft {
    pub method: Method,
    pub uri: String,
    /// Route values, next hop first.
    pub route: Vec<String>,
    /// The whole header value, tag included.
    pub from: String,
    /// The whole header value, with a tag inside a dialog.
    pub to: String,
    pub call_id: String,
    pub cseq: u32,
    pub max_forwards: u8,
    /// `None` where the method carries no Contact.
    pub contact: Option<OurContact>,
    /// Further headers in order.
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Option<Body>,
    /// Our address that it leaves from, where the peer is known to reach us there. `None`: the one that faces the hop.
    pub leaves_from: Option<IpAddr>,
}

/// Our Contact without its host, which depends on the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurContact {
    /// Empty for none.
    pub user: String,
    /// URI parameters with their semicolons: `;line=ab12`.
    pub uri_params: String,
    /// Header parameters with their semicolons: `;expires=600`.
    pub params: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub content_type: &'static str,
    pub bytes: Bytes,
}

impl Body {
    pub fn sdp(description: &crate::sdp::SessionDescription) -> Self {
        Self { content_type: "application/sdp", bytes: description.to_string().into() }
    }
}

impl OurContact {
    pub fn user(user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::default() }
    }

    /// The header value at a socket: `<sip:8000@192.0.2.1:5060;transport=tcp>`.
    pub fn at(&self, transport: Transport, advertised: SocketAddr) -> String {
        let at = if self.user.is_empty() { "" } else { "@" };
        let transport = match transport {
            Transport::Udp => String::new(),
            other => format!(";transport={other}"),
        };
        let (user, host) = (escape_user(&self.user), host_port(advertised));
        format!("<sip:{user}{at}{host}{transport}{}>{}", self.uri_params, self.params)
    }
}

impl Draft {
    /// The first hop's URI: the topmost Route, or the Request-URI.
    pub fn next_hop(&self) -> &str {
        self.route.first().map_or(self.uri.as_str(), |route| bare_uri(route))
    }

    /// Writes it for one hop. `via` is where we are reached for the response.
    pub fn write(
        &self,
        transport: Transport,
        advertised: SocketAddr,
        branch: &str,
        product: &str,
    ) -> Result<Bytes, Unwritable> {
        let method = self.method.as_str();
        let mut writer = Writer::request(method, &self.uri);
        let (token, sent_by) = (transport.via_token(), host_port(advertised));
        writer.header(Name::Via, format_args!("SIP/2.0/{token} {sent_by};branch={branch};rport"));
        writer.header(Name::MaxForwards, self.max_forwards);
        for route in &self.route {
            writer.header(Name::Route, route);
        }
        writer.header(Name::From, &self.from);
        writer.header(Name::To, &self.to);
        writer.header(Name::CallId, &self.call_id);
        writer.header(Name::CSeq, format_args!("{} {method}", self.cseq));
        if let Some(contact) = &self.contact {
            writer.header(Name::Contact, contact.at(transport, advertised));
        }
        if self.method != Method::Ack {
            writer.header(Name::UserAgent, product);
        }
        for (name, value) in &self.headers {
            writer.extension(name, value);
        }
        match &self.body {
            Some(body) => writer.finish_with(body.content_type, &body.bytes),
            None => writer.finish(),
        }
    }

    /// Replaces a header, or adds it.
    pub fn set_header(&mut self, name: Name, value: String) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_str()));
        self.headers.push((Cow::Borrowed(name.as_str()), value));
    }
}

/// What stands between the angle brackets of a Route value.
pub fn bare_uri(route: &str) -> &str {
    match (route.find('<'), route.rfind('>')) {
        (Some(from), Some(to)) if from < to => route.get(from + 1..to).unwrap_or(route),
        _ => route,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    #[test]
    fn a_draft_is_written_for_the_socket_it_leaves_from() {
        let mut draft = Draft {
            method: Method::Invite,
            uri: "sip:1001@192.0.2.9".into(),
            route: vec!["<sip:proxy.example;lr>".into()],
            from: "<sip:a@h>;tag=f".into(),
            to: "<sip:b@h>".into(),
            call_id: "c".into(),
            cseq: 4,
            max_forwards: 69,
            contact: Some(OurContact::user("q/8000")),
            headers: vec![("X-CTI-Call".into(), "7".into())],
            body: None,
            leaves_from: None,
        };
        assert_eq!(draft.next_hop(), "sip:proxy.example;lr");
        draft.set_header(Name::Authorization, "Digest a".into());
        draft.set_header(Name::Authorization, "Digest b".into());
        let v6 = "[2001:db8::1]:5060".parse().unwrap();
        let message = Message::parse(draft.write(Transport::Tcp, v6, "z9hG4bKq", "Strowger").unwrap()).unwrap();
        assert!(message.faults().is_empty());
        assert_eq!(message.via().unwrap().host().as_str(), "[2001:db8::1]");
        assert_eq!(message.contact().unwrap().uri().as_str(), "sip:q/8000@[2001:db8::1]:5060;transport=tcp");
        assert_eq!(message.all(Name::Authorization).count(), 1);
        assert_eq!(message.named("x-cti-call").and_then(|h| h.text()), Some("7"));
    }

    #[test]
    fn a_line_end_in_a_value_is_refused() {
        let draft = Draft {
            method: Method::Options,
            uri: "sip:h".into(),
            route: vec![],
            from: "<sip:a@h>;tag=f\r\nX: y".into(),
            to: "<sip:b@h>".into(),
            call_id: "c".into(),
            cseq: 1,
            max_forwards: 70,
            contact: None,
            headers: vec![],
            body: None,
            leaves_from: None,
        };
        assert!(draft.write(Transport::Udp, "192.0.2.1:5060".parse().unwrap(), "b", "p").is_err());
    }
}

//! How a message finds its transaction (RFC 3261 §17.1.3, §17.2.3).

use super::super::header::Name;
use super::super::{Message, Method};

/// The name of a server transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerKey {
    /// The branch begins with the magic cookie and says more: branch, sent-by, and the method, ACK counting as INVITE.
    Branch { branch: String, sent_by: String, method: String },
    /// RFC 2543 peers, and those that send the bare cookie: what §17.2.3 compares instead.
    /// The To tag is left out: an ACK carries ours, and its INVITE did not.
    Rfc2543 { uri: String, from_tag: String, call_id: String, cseq: u32, via: Vec<u8>, method: String },
}

/// The name of a client transaction: the branch is ours and unique; CANCEL shares it with its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey {
    pub branch: String,
    pub method: String,
}

/// What two requests share that came twice by different ways (RFC 3261 §8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MergeKey {
    from_tag: String,
    call_id: String,
    cseq: u32,
    method: String,
}

impl ServerKey {
    /// `None` only where the message has no readable Via, CSeq or Call-ID.
    pub fn of(request: &Message) -> Option<Self> {
        Self::with_method(request, matching_method(request.method_text()))
    }

    /// The INVITE that a CANCEL means (§9.2).
    pub fn of_cancelled(cancel: &Message) -> Option<Self> {
        Self::with_method(cancel, Method::Invite.as_str())
    }

    fn with_method(request: &Message, method: &str) -> Option<Self> {
        let via = request.via().ok()?;
        let method = method.to_owned();
        if let Some(branch) = via.transaction_branch() {
            let host = via.host().as_str().to_ascii_lowercase();
            let sent_by = via.port().map_or(host.clone(), |port| format!("{host}:{port}"));
            return Some(ServerKey::Branch { branch: branch.to_owned(), sent_by, method });
        }
        Some(ServerKey::Rfc2543 {
            uri: request.uri_text().to_owned(),
            from_tag: from_tag(request),
            call_id: request.call_id().ok()?.to_owned(),
            cseq: request.cseq().ok()?.number,
            via: request.elements(Name::Via).next()?.to_vec(),
            method,
        })
    }
}

impl ClientKey {
    /// Of a response, or of a request of ours.
    pub fn of(message: &Message) -> Option<Self> {
        let branch = message.via().ok()?.branch()?.to_owned();
        Some(Self { branch, method: message.cseq().ok()?.method_text.to_owned() })
    }
}

impl MergeKey {
    /// `None` where the request belongs to a dialog, or has no tag to compare.
    pub fn of(request: &Message) -> Option<Self> {
        let outside = request.to().ok()?.tag().is_none();
        let from_tag = request.from().ok()?.tag()?.to_owned();
        let cseq = request.cseq().ok()?;
        outside.then_some(())?;
        Some(Self {
            from_tag,
            call_id: request.call_id().ok()?.to_owned(),
            cseq: cseq.number,
            method: cseq.method_text.to_owned(),
        })
    }
}

fn matching_method(method: &str) -> &str {
    if method == "ACK" { "INVITE" } else { method }
}

fn from_tag(message: &Message) -> String {
    message.from().ok().and_then(|from| from.tag()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(method: &str, via: &str, to: &str) -> Message {
        let text = format!(
            "{method} sip:b@h SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@h>;tag=f\r\nTo: {to}\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    const COOKIE: &str = "SIP/2.0/UDP h:5060;branch=z9hG4bKx";

    #[test]
    fn an_ack_belongs_to_its_invite_and_a_cancel_does_not() {
        let invite = ServerKey::of(&request("INVITE", COOKIE, "<sip:b@h>")).unwrap();
        assert_eq!(ServerKey::of(&request("ACK", COOKIE, "<sip:b@h>;tag=t")), Some(invite.clone()));
        let cancel = request("CANCEL", COOKIE, "<sip:b@h>");
        assert_ne!(ServerKey::of(&cancel), Some(invite.clone()));
        assert_eq!(ServerKey::of_cancelled(&cancel), Some(invite));
    }

    #[test]
    fn the_same_branch_from_another_sender_is_another_transaction() {
        let a = ServerKey::of(&request("INVITE", COOKIE, "<sip:b@h>"));
        assert_ne!(a, ServerKey::of(&request("INVITE", "SIP/2.0/UDP h:5070;branch=z9hG4bKx", "<sip:b@h>")));
        assert_eq!(a, ServerKey::of(&request("INVITE", "SIP/2.0/UDP H:5060;branch=z9hG4bKx;rport", "<sip:b@h>")));
    }

    #[test]
    fn without_a_cookie_and_with_nothing_but_the_cookie_the_old_rules_hold() {
        for via in ["SIP/2.0/UDP h:5060", "SIP/2.0/UDP h:5060;branch=1", "SIP/2.0/UDP h:5060;branch=z9hG4bK"] {
            let invite = ServerKey::of(&request("INVITE", via, "<sip:b@h>")).unwrap();
            assert!(matches!(invite, ServerKey::Rfc2543 { .. }), "{via}");
            assert_eq!(ServerKey::of(&request("ACK", via, "<sip:b@h>;tag=t")), Some(invite));
        }
    }

    #[test]
    fn only_requests_outside_a_dialog_can_be_merged() {
        let other_way = "SIP/2.0/UDP h2:5060;branch=z9hG4bKy";
        let first = MergeKey::of(&request("INVITE", COOKIE, "<sip:b@h>")).unwrap();
        assert_eq!(MergeKey::of(&request("INVITE", other_way, "<sip:b@h>")), Some(first));
        assert_eq!(MergeKey::of(&request("INVITE", COOKIE, "<sip:b@h>;tag=t")), None);
    }
}

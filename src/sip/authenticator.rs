//! Answers challenges to our own requests: one client for each realm, each nonce once, a stale one again.

use super::digest::{Account, DigestClient};
use super::request::Draft;
use super::{Message, Method};
use crate::ids::SecretSource;
use crate::limits::ua::CHALLENGES;

/// The credentials we have towards one peer, and the challenges we have had from it.
#[derive(Clone, Debug)]
pub struct Authenticator {
    account: Option<Account>,
    /// One per realm and header: a proxy and the server behind it may both ask.
    clients: Vec<DigestClient>,
    /// Challenges answered since the last success.
    rounds: u8,
}

impl Authenticator {
    pub fn new(account: Option<Account>) -> Self {
        Self { account, clients: Vec::new(), rounds: 0 }
    }

    /// A 401 or 407 came. True where another try is worth while: not after a wrong password, not for ever.
    pub fn handle_challenge(&mut self, response: &Message) -> bool {
        let challenged = matches!(response.status(), Some(401 | 407));
        if !challenged || self.account.is_none() || self.rounds >= CHALLENGES {
            return false;
        }
        let Ok(client) = DigestClient::from_response(response) else { return false };
        let same = |known: &DigestClient| known.header() == client.header() && known.realm() == client.realm();
        let known = self.clients.iter().position(same);
        // The same realm asks again although we answered: only a stale nonce is worth a second answer.
        if known.is_some() && self.rounds > 0 && !client.is_stale() {
            return false;
        }
        match known.and_then(|at| self.clients.get_mut(at)) {
            Some(slot) => *slot = client,
            None => self.clients.push(client),
        }
        self.rounds += 1;
        true
    }

    /// The peer took it: the nonces stay in use, and a later challenge is a new one.
    pub fn handle_success(&mut self) {
        self.rounds = 0;
    }

    /// Adds what the known challenges want to a request.
    pub fn sign(&mut self, draft: &mut Draft, secrets: &mut SecretSource) {
        let Some(account) = &self.account else { return };
        // RFC 3261 §22.1: ACK carries what its INVITE carried; CANCEL can't be challenged.
        if draft.method == Method::Ack {
            return;
        }
        let body = draft.body.as_ref().map(|body| body.bytes.clone()).unwrap_or_default();
        for client in &mut self.clients {
            let value = client.authorize(account, draft.method.as_str(), &draft.uri, &body, &secrets.token());
            draft.set_header(client.header(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(nonce: u8) -> Message {
        let text = format!(
            "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
             WWW-Authenticate: Digest realm=\"h\", nonce=\"n{nonce}\", algorithm=MD5, stale=true\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into()).unwrap()
    }

    #[test]
    fn a_peer_that_calls_every_nonce_stale_is_answered_a_few_times_only() {
        let account = Account { user: "a".to_owned(), password: "secret".to_owned() };
        let mut authenticator = Authenticator::new(Some(account));
        let answered = (0..CHALLENGES + 5).take_while(|nonce| authenticator.handle_challenge(&challenge(*nonce)));
        assert_eq!(answered.count(), usize::from(CHALLENGES));
        authenticator.handle_success();
        assert!(authenticator.handle_challenge(&challenge(99)), "after a success they count anew");
        assert!(!Authenticator::new(None).handle_challenge(&challenge(0)), "nothing to answer with");
    }
}

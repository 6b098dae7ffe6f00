//! A phone written by hand, message by message: for what our own user agent would never send.

use super::*;

/// One dialog of the stranger with the first agent.
pub struct Phone {
    pub call_id: String,
    /// `Alice <sip:a@127.0.0.99>;tag=f`, whole.
    pub from: String,
    pub to: String,
    pub contact: String,
    pub cseq: u32,
    branches: u32,
}

pub const SDP: &str = "v=0\no=- 1 1 IN IP4 127.0.0.99\ns=-\nc=IN IP4 127.0.0.99\nt=0 0\nm=audio 4000 RTP/AVP 0 8\n";

impl Phone {
    pub fn new() -> Self {
        Self {
            call_id: "phone-call".into(),
            from: "<sip:phone@127.0.0.99>;tag=phone".into(),
            to: "<sip:1@127.0.0.1>".into(),
            contact: "<sip:phone@127.0.0.99>".into(),
            cseq: 0,
            branches: 0,
        }
    }

    /// A request with the next CSeq (the INVITE's for an ACK) and a fresh branch.
    pub fn text(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.branches += 1;
        if method != "ACK" {
            self.cseq += 1;
        }
        let Phone { call_id, from, to, contact, cseq, branches } = self;
        let length = body.replace('\n', "\r\n").len();
        format!(
            "{method} sip:1@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.99;branch=z9hG4bK{call_id}.{branches};rport\nMax-Forwards: 70\nFrom: {from}\nTo: {to}\nCall-ID: {call_id}\nCSeq: {cseq} {method}\nContact: {contact}\n{headers}Content-Length: {length}\n\n{body}"
        )
    }

    pub fn say(&mut self, world: &mut World, method: &str, headers: &str, body: &str) -> Vec<Message> {
        let text = self.text(method, headers, body);
        world.say(&text)
    }

    /// The statuses of the answers to a request.
    pub fn ask(&mut self, world: &mut World, method: &str, headers: &str, body: &str) -> Vec<u16> {
        self.say(world, method, headers, body).iter().filter_map(Message::status).collect()
    }

    /// Calls, is answered, and acknowledges: the agent's session.
    pub fn connect(&mut self, world: &mut World) -> SessionId {
        self.say(world, "INVITE", "Content-Type: application/sdp\n", SDP);
        let invited = world.expect_invited(0);
        world.answer(0, invited.session, invited.offer.as_ref().unwrap());
        let ok = said(world).pop().unwrap();
        self.to = format!("<sip:1@127.0.0.1>;tag={}", ok.to().unwrap().tag().unwrap());
        assert_eq!(self.say(world, "ACK", "", ""), []);
        world.expect(0, |event| matches!(event, UaEvent::Acked { .. }).then_some(()));
        invited.session
    }
}

/// What the first agent wants to send just now.
pub fn said(world: &mut World) -> Vec<Message> {
    core::iter::from_fn(|| world.agents[0].endpoint.poll_transmit())
        .map(|transmit| Message::parse(transmit.bytes).unwrap())
        .collect()
}

/// A response of the stranger to a request of the first agent.
pub fn respond_to(world: &mut World, request: &Message, status: u16, tag: &str, more: &str) -> Vec<Message> {
    let copied = |name: Name| request.header(name).unwrap().text().unwrap().to_owned();
    let to = copied(Name::To);
    let to = if to.contains(";tag=") { to } else { format!("{to};tag={tag}") };
    let text = format!(
        "SIP/2.0 {status} x\nVia: {}\nFrom: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}\n{more}",
        copied(Name::Via),
        copied(Name::From),
        copied(Name::CallId),
        copied(Name::CSeq)
    );
    let text = if more.contains("\n\n") { text } else { format!("{text}Content-Length: 0\n\n") };
    world.say(&text)
}

//! Transactions of the foreign side (RFC 3261 §17 with RFC 6026), over UDP only: retransmission until answered,
//! answers repeated on demand, ACK for refusals. Written apart from `crate::sip` so that neither hides the other's
//! mistakes.
//!
//! | out | state | on |
//! |---|---|---|
//! | INVITE | Calling → Proceeding → Completed (refused, ACK repeated) or Accepted (each 2xx passed up) | Timers A B D M |
//! | other | Trying → Proceeding → gone | Timers E F |
//! | **in** | | |
//! | INVITE | Proceeding → Completed (until ACK) or Accepted (2xx repeated until its ACK) | Timers G H L |
//! | other | Trying → Completed (answer repeated on demand) | Timer J |

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::rsip_wire::{Draft, Method, Received};
use crate::limits;
use crate::time::Time;

/// RFC 3261 §17.1.1.1: the estimate of a round trip.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2: the longest pause between repeats.
pub const T2: Duration = Duration::from_secs(4);
/// 64·T1: Timers B, F, H, J, L, M and (for UDP) D.
pub const GIVE_UP: Duration = Duration::from_secs(32);

/// How long an INVITE may wait for our final answer before it is forgotten; the far side cancels long before.
pub const RINGING_AT_MOST: Duration = Duration::from_secs(600);

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// Names an exchange that the far side began: its branch, its Call-ID, and the method (an ACK names its INVITE).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncomingKey {
    pub branch: String,
    pub call_id: String,
    pub method: Method,
}

/// All exchanges of one phone. `P` says what a request of ours was for, and comes back with its answer.
pub struct Exchanges<P> {
    /// By branch and method: a CANCEL shares its INVITE's branch (RFC 3261 §9.1).
    out: BTreeMap<(String, Method), Outgoing<P>>,
    incoming: BTreeMap<IncomingKey, Incoming>,
    sends: VecDeque<Datagram>,
}

/// What a received message means to the phone.
#[derive(Debug)]
pub enum Turn<P> {
    /// A repeat, an ACK of a refusal, or an answer to nothing: dealt with.
    Absorbed,
    /// A request to answer by [`Exchanges::respond`]. A CANCEL is one too.
    Request(IncomingKey),
    /// The ACK of a 2xx of ours, and whether it is the first for that To tag.
    Ack { key: IncomingKey, first: bool },
    /// An answer to `draft`.
    Response { purpose: P, draft: Draft },
}

/// An exchange that found no end.
#[derive(Debug)]
pub enum Expired<P> {
    /// No answer to a request of ours.
    NoAnswer(P),
    /// No ACK for a 2xx of ours.
    NoAck(IncomingKey),
}

/// The phone holds too many exchanges to begin one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulated phone holds {} transactions already", limits::SIM_EXCHANGES)]
pub struct TooManyExchanges;

struct Outgoing<P> {
    draft: Draft,
    to: SocketAddr,
    purpose: P,
    state: OutState,
    /// What is sent again at `repeat`: the request.
    bytes: Vec<u8>,
    repeat: Option<Repeat>,
    ends: Time,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OutState {
    /// No answer yet (Calling, Trying) or a provisional one (Proceeding).
    Open,
    /// Refused: this ACK answers each repeat of the refusal.
    Completed { ack: Vec<u8> },
    /// Answered by 2xx: more of them, from other forks, are passed up (RFC 6026 §7.2).
    Accepted,
}

struct Incoming {
    from: SocketAddr,
    cseq: u32,
    /// The last answers to repeat: one, or several 2xx with To tags of their own.
    answers: Vec<Answer>,
    repeat: Option<Repeat>,
    ends: Time,
}

struct Answer {
    status: u16,
    to_tag: Option<String>,
    bytes: Vec<u8>,
    acknowledged: bool,
}

#[derive(Clone, Copy)]
struct Repeat {
    at: Time,
    pause: Duration,
}

impl Repeat {
    fn starting(now: Time) -> Self {
        Self { at: now + T1, pause: T1 }
    }

    /// The next one: twice the pause, at most `cap`.
    fn next(self, cap: Duration) -> Self {
        let pause = (self.pause * 2).min(cap);
        Self { at: self.at + pause, pause }
    }
}

impl<P> Default for Exchanges<P> {
    fn default() -> Self {
        Self { out: BTreeMap::new(), incoming: BTreeMap::new(), sends: VecDeque::new() }
    }
}

impl<P: Clone> Exchanges<P> {
    /// Sends a request whose topmost Via holds `branch`, and goes on sending it until it is answered.
    pub fn request(
        &mut self,
        now: Time,
        to: SocketAddr,
        branch: &str,
        draft: Draft,
        purpose: P,
    ) -> Result<(), TooManyExchanges> {
        if self.out.len() >= limits::SIM_EXCHANGES {
            return Err(TooManyExchanges);
        }
        let method = draft.method().unwrap_or(Method::Options);
        let bytes = draft.write();
        self.send(to, bytes.clone());
        let repeat = Some(Repeat::starting(now));
        let outgoing = Outgoing { draft, to, purpose, state: OutState::Open, bytes, repeat, ends: now + GIVE_UP };
        self.out.insert((branch.to_owned(), method), outgoing);
        Ok(())
    }

    /// Sends what has no exchange of its own: the ACK of a 2xx.
    pub fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.sends.push_back(Datagram { to, bytes });
    }

    /// Answers a request. A final answer to INVITE is repeated until its ACK; every answer is repeated when the
    /// request is.
    pub fn respond(&mut self, now: Time, key: &IncomingKey, status: u16, to_tag: Option<&str>, draft: &Draft) {
        let Some(incoming) = self.incoming.get_mut(key) else { return };
        let bytes = draft.write();
        incoming.answers.retain(|answer| (200..300).contains(&answer.status));
        let to_tag = to_tag.map(str::to_owned);
        incoming.answers.push(Answer { status, to_tag, bytes: bytes.clone(), acknowledged: false });
        let to = incoming.from;
        if status >= 200 {
            incoming.ends = now + GIVE_UP;
            incoming.repeat = (key.method == Method::Invite).then(|| Repeat::starting(now));
        }
        self.send(to, bytes);
    }

    /// The phone no longer waits for the ACK of that 2xx (the call ended otherwise): stop repeating it.
    pub fn settle(&mut self, key: &IncomingKey) {
        if let Some(incoming) = self.incoming.get_mut(key) {
            incoming.repeat = None;
            incoming.answers.iter_mut().for_each(|answer| answer.acknowledged = true);
        }
    }

    /// Takes a message that arrived from `from`.
    pub fn handle(&mut self, now: Time, from: SocketAddr, message: &Received) -> Turn<P> {
        match message.status() {
            Some(status) => self.on_response(now, status, message),
            None if message.method == Method::Ack => self.on_ack(now, message),
            None => self.on_request(now, from, message),
        }
    }

    /// Repeats what is due and tells what found no end.
    pub fn handle_timeout(&mut self, now: Time) -> Vec<Expired<P>> {
        let mut expired = Vec::new();
        self.expire_outgoing(now, &mut expired);
        self.expire_incoming(now, &mut expired);
        expired
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let out = self.out.values().map(|outgoing| next_moment(outgoing.repeat, outgoing.ends));
        let incoming = self.incoming.values().map(|incoming| next_moment(incoming.repeat, incoming.ends));
        out.chain(incoming).filter(|at| *at < Time::FAR_FUTURE).min()
    }

    pub fn poll_send(&mut self) -> Option<Datagram> {
        self.sends.pop_front()
    }

    fn on_response(&mut self, now: Time, status: u16, message: &Received) -> Turn<P> {
        let key = (message.branch.clone(), message.method);
        let Some(outgoing) = self.out.get_mut(&key) else { return Turn::Absorbed };
        let up = Turn::Response { purpose: outgoing.purpose.clone(), draft: outgoing.draft.clone() };
        match (message.method, status, &outgoing.state) {
            (Method::Invite, _, OutState::Completed { ack }) => {
                let (to, ack) = (outgoing.to, ack.clone());
                if status >= 300 {
                    self.send(to, ack);
                }
                Turn::Absorbed
            }
            (Method::Invite, 200..300, _) => {
                outgoing.repeat = None;
                if outgoing.state == OutState::Open {
                    (outgoing.state, outgoing.ends) = (OutState::Accepted, now + GIVE_UP);
                }
                up
            }
            (_, _, OutState::Accepted) => Turn::Absorbed,
            (Method::Invite, 100..200, OutState::Open) => {
                // RFC 3261 §17.1.1.2: a provisional answer stops Timers A and B; how long to wait is the caller's.
                (outgoing.repeat, outgoing.ends) = (None, Time::FAR_FUTURE);
                up
            }
            (Method::Invite, _, OutState::Open) => {
                let ack = refusal_ack(&outgoing.draft, message).write();
                let to = outgoing.to;
                (outgoing.repeat, outgoing.ends) = (None, now + GIVE_UP);
                outgoing.state = OutState::Completed { ack: ack.clone() };
                self.send(to, ack);
                up
            }
            (_, 100..200, _) => {
                // RFC 3261 §17.1.2.2: in Proceeding, Timer E runs at T2.
                if let Some(repeat) = &mut outgoing.repeat {
                    repeat.pause = T2;
                }
                Turn::Absorbed
            }
            _ => {
                self.out.remove(&key);
                up
            }
        }
    }

    fn on_request(&mut self, now: Time, from: SocketAddr, message: &Received) -> Turn<P> {
        let key = incoming_key(message, message.method);
        if let Some(incoming) = self.incoming.get(&key) {
            let to = incoming.from;
            let repeats: Vec<Vec<u8>> = incoming
                .answers
                .iter()
                .filter(|answer| !answer.acknowledged)
                .map(|answer| answer.bytes.clone())
                .collect();
            repeats.into_iter().for_each(|bytes| self.send(to, bytes));
            return Turn::Absorbed;
        }
        if self.incoming.len() >= limits::SIM_EXCHANGES {
            return Turn::Absorbed;
        }
        let patience = if message.method == Method::Invite { RINGING_AT_MOST } else { GIVE_UP };
        let (cseq, ends) = (message.cseq, now + patience);
        let incoming = Incoming { from, cseq, answers: Vec::new(), repeat: None, ends };
        self.incoming.insert(key.clone(), incoming);
        Turn::Request(key)
    }

    fn on_ack(&mut self, now: Time, message: &Received) -> Turn<P> {
        // The ACK of a refusal has its INVITE's branch; that of a 2xx its own (RFC 3261 §17.1.1.3, §13.2.2.4).
        if let Some(incoming) = self.incoming.get_mut(&incoming_key(message, Method::Invite)) {
            incoming.repeat = None;
            incoming.ends = now + Duration::from_secs(5); // Timer I: T4.
            return Turn::Absorbed;
        }
        let invite = |key: &IncomingKey, incoming: &Incoming| {
            key.method == Method::Invite && key.call_id == message.call_id && incoming.cseq == message.cseq
        };
        let Some((key, incoming)) = self.incoming.iter_mut().find(|(key, incoming)| invite(key, incoming)) else {
            return Turn::Absorbed;
        };
        let Some(answer) = incoming.answers.iter_mut().find(|answer| answer.to_tag == message.to.tag) else {
            return Turn::Absorbed;
        };
        let first = !core::mem::replace(&mut answer.acknowledged, true);
        if incoming.answers.iter().all(|answer| answer.acknowledged) {
            incoming.repeat = None;
        }
        Turn::Ack { key: key.clone(), first }
    }

    fn expire_outgoing(&mut self, now: Time, expired: &mut Vec<Expired<P>>) {
        let sends = &mut self.sends;
        self.out.retain(|(_, method), outgoing| {
            if outgoing.ends <= now {
                if outgoing.state == OutState::Open {
                    expired.push(Expired::NoAnswer(outgoing.purpose.clone()));
                }
                return false;
            }
            let cap = if *method == Method::Invite { GIVE_UP } else { T2 };
            if let Some(repeat) = outgoing.repeat.filter(|repeat| repeat.at <= now) {
                sends.push_back(Datagram { to: outgoing.to, bytes: outgoing.bytes.clone() });
                outgoing.repeat = Some(repeat.next(cap));
            }
            true
        });
    }

    fn expire_incoming(&mut self, now: Time, expired: &mut Vec<Expired<P>>) {
        let sends = &mut self.sends;
        self.incoming.retain(|key, incoming| {
            if incoming.ends <= now {
                let answered = incoming.answers.iter().any(|answer| (200..300).contains(&answer.status));
                if answered && incoming.repeat.is_some() {
                    expired.push(Expired::NoAck(key.clone()));
                }
                return false;
            }
            if let Some(repeat) = incoming.repeat.filter(|repeat| repeat.at <= now) {
                let open = incoming.answers.iter().filter(|answer| !answer.acknowledged && answer.status >= 200);
                sends.extend(open.map(|answer| Datagram { to: incoming.from, bytes: answer.bytes.clone() }));
                incoming.repeat = Some(repeat.next(T2));
            }
            true
        });
    }
}

fn incoming_key(message: &Received, method: Method) -> IncomingKey {
    IncomingKey { branch: message.branch.clone(), call_id: message.call_id.clone(), method }
}

fn next_moment(repeat: Option<Repeat>, ends: Time) -> Time {
    repeat.map_or(ends, |repeat| repeat.at.min(ends))
}

/// RFC 3261 §17.1.1.3: the ACK of a refusal repeats the INVITE's Via, From, Call-ID and Route, and the answer's To.
fn refusal_ack(invite: &Draft, refusal: &Received) -> Draft {
    let text = |name: &str| invite.get(name).unwrap_or_default().to_owned();
    let uri = invite.uri().cloned().unwrap_or_else(|| refusal.to.uri.clone());
    let mut ack = Draft::request(Method::Ack, uri)
        .with("Via", text("Via"))
        .with("Max-Forwards", 70)
        .with("From", text("From"))
        .with("To", &refusal.to.text)
        .with("Call-ID", text("Call-ID"))
        .with("CSeq", format!("{} ACK", refusal.cseq));
    if let Some(route) = invite.get("Route") {
        ack.set("Route", route);
    }
    ack
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rsip_wire::SipUri;

    const PEER: &str = "127.0.1.1:5060";

    fn draft(method: Method, branch: &str) -> Draft {
        Draft::request(method, SipUri::of_domain("example.com"))
            .with("Via", format!("SIP/2.0/UDP 127.0.0.1:5060;branch={branch}"))
            .with("From", "<sip:a@example.com>;tag=1")
            .with("To", "<sip:b@example.com>")
            .with("Call-ID", "c")
            .with("CSeq", format!("1 {method}"))
    }

    fn answer(status: u16, method: Method, branch: &str, tag: &str) -> Received {
        let draft = Draft::response(status)
            .with("Via", format!("SIP/2.0/UDP 127.0.0.1:5060;branch={branch}"))
            .with("From", "<sip:a@example.com>;tag=1")
            .with("To", format!("<sip:b@example.com>;tag={tag}"))
            .with("Call-ID", "c")
            .with("CSeq", format!("1 {method}"));
        Received::parse(&draft.write()).unwrap()
    }

    /// Runs the clock to the end and notes the milliseconds at which something was sent.
    fn sending_times(exchanges: &mut Exchanges<u8>) -> (Vec<u64>, Vec<Expired<u8>>) {
        let (mut times, mut expired) = (Vec::new(), Vec::new());
        let mut now = Time::EPOCH;
        loop {
            while exchanges.poll_send().is_some() {
                times.push(now.as_millis());
            }
            let Some(next) = exchanges.poll_timeout() else { return (times, expired) };
            now = next;
            expired.extend(exchanges.handle_timeout(now));
        }
    }

    #[test]
    fn an_unanswered_invite_is_sent_seven_times_in_32_seconds() {
        let mut exchanges = Exchanges::default();
        let peer = PEER.parse().unwrap();
        exchanges.request(Time::EPOCH, peer, "z1", draft(Method::Invite, "z1"), 9).unwrap();
        let (times, expired) = sending_times(&mut exchanges);
        assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert!(matches!(expired[..], [Expired::NoAnswer(9)]));
    }

    #[test]
    fn an_unanswered_bye_is_repeated_at_most_every_four_seconds() {
        let mut exchanges = Exchanges::default();
        exchanges.request(Time::EPOCH, PEER.parse().unwrap(), "z1", draft(Method::Bye, "z1"), 9).unwrap();
        let (times, expired) = sending_times(&mut exchanges);
        assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert!(matches!(expired[..], [Expired::NoAnswer(9)]));
    }

    #[test]
    fn each_repeat_of_a_refusal_is_acknowledged_with_the_invites_branch() {
        let mut exchanges = Exchanges::default();
        let peer = PEER.parse().unwrap();
        exchanges.request(Time::EPOCH, peer, "z1", draft(Method::Invite, "z1"), 9).unwrap();
        let _invite = exchanges.poll_send().unwrap();
        let busy = answer(486, Method::Invite, "z1", "t");
        assert!(matches!(exchanges.handle(Time::EPOCH, peer, &busy), Turn::Response { purpose: 9, .. }));
        assert!(matches!(exchanges.handle(Time::EPOCH, peer, &busy), Turn::Absorbed));
        for _ in 0..2 {
            let ack = Received::parse(&exchanges.poll_send().unwrap().bytes).unwrap();
            assert_eq!((ack.method, ack.branch.as_str(), ack.to.tag.as_deref()), (Method::Ack, "z1", Some("t")));
        }
        assert_eq!(exchanges.poll_send(), None);
    }

    #[test]
    fn a_2xx_is_repeated_until_its_own_ack_comes() {
        let mut exchanges: Exchanges<u8> = Exchanges::default();
        let peer: SocketAddr = PEER.parse().unwrap();
        let invite = Received::parse(&draft(Method::Invite, "z1").write()).unwrap();
        let Turn::Request(key) = exchanges.handle(Time::EPOCH, peer, &invite) else { panic!("a request") };
        let ok = Draft::response(200).with("Via", "SIP/2.0/UDP 127.0.0.1;branch=z1");
        exchanges.respond(Time::EPOCH, &key, 200, Some("t"), &ok);
        for ms in [500, 1_500, 3_500, 7_500] {
            assert_eq!(exchanges.poll_timeout(), Some(Time::from_millis(ms)));
            assert!(exchanges.poll_send().is_some());
            assert!(exchanges.handle_timeout(Time::from_millis(ms)).is_empty());
        }
        let mut ack = draft(Method::Ack, "z2");
        ack.set("To", "<sip:b@example.com>;tag=t");
        let ack = Received::parse(&ack.write()).unwrap();
        assert!(matches!(exchanges.handle(Time::from_secs(8), peer, &ack), Turn::Ack { first: true, .. }));
        assert!(matches!(exchanges.handle(Time::from_secs(8), peer, &ack), Turn::Ack { first: false, .. }));
        while exchanges.poll_send().is_some() {}
        assert!(exchanges.handle_timeout(Time::from_secs(40)).is_empty());
        assert_eq!((exchanges.poll_send(), exchanges.poll_timeout()), (None, None));
    }

    #[test]
    fn a_2xx_without_ack_is_given_up_after_64_t1() {
        let mut exchanges: Exchanges<u8> = Exchanges::default();
        let invite = Received::parse(&draft(Method::Invite, "z1").write()).unwrap();
        let Turn::Request(key) = exchanges.handle(Time::EPOCH, PEER.parse().unwrap(), &invite) else {
            panic!("a request")
        };
        exchanges.respond(Time::EPOCH, &key, 200, Some("t"), &Draft::response(200));
        let (times, expired) = sending_times(&mut exchanges);
        assert_eq!(times.last(), Some(&31_500));
        assert!(matches!(&expired[..], [Expired::NoAck(lost)] if *lost == key));
    }

    #[test]
    fn a_full_phone_refuses_to_begin_one_more_exchange() {
        let mut exchanges = Exchanges::default();
        let peer = PEER.parse().unwrap();
        for n in 0..limits::SIM_EXCHANGES {
            exchanges.request(Time::EPOCH, peer, &n.to_string(), draft(Method::Options, "z"), 0).unwrap();
        }
        let one_more = exchanges.request(Time::EPOCH, peer, "more", draft(Method::Options, "z"), 0);
        assert_eq!(one_more, Err(TooManyExchanges));
    }
}

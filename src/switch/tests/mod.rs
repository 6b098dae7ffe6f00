//! The switch between a scripted foreign side: who says what on the wire is written out, nobody is simulated.

mod addresses;
mod descriptions;
mod desks;
mod ends;
mod media;
mod outward;
mod shown;
mod transfers;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::audio::clip::Clip;
use crate::command::{Actor, Command, Done, Order, Refusal, UserRole};
use crate::config::compose::{dialplan_names, queue_settings};
use crate::crm::{AgentProfile, SipAccount, User};
use crate::dialplan::{self, PromptCatalogue};
use crate::event::{Event, Fact, RecordKind, Seq};
use crate::finding::{Severity, Source as Text};
use crate::ids::{AccountName, AgentName, CallId, Epoch, Language, PromptName, SecretSource, UserName};
use crate::media::{MediaCommand, MediaEvent, PortStats};
use crate::plan::{Surroundings, read};
use crate::sip::digest::{Account, DigestClient};
use crate::sip::digest::{Ha1, HashFunction};
use crate::sip::flow::{FlowId, Listener, Source, Transport};
use crate::sip::message::Message;
use crate::sip::registrar::Binding;
use crate::sip::{Method, Name};
use crate::switch::{
    Boot, CommandId, Edition, Effect, Input, Query, Reply, RequestId, Roster, Sounds, StoreHealth, Switch,
};
use crate::time::Time;

/// Where the house listens.
pub const HOUSE: &str = "127.0.1.1:5060";
/// The two carriers, and the phones of 1001 and 1002.
pub const ALPHA: &str = "127.0.3.1:5060";
pub const BETA: &str = "127.0.3.2:5060";
pub const LI: &str = "127.0.2.1:5060";
pub const WANG: &str = "127.0.2.2:5060";

const DOMAIN: &str = "centre.example";

const PLAN: &str = r#"
domain = "centre.example"
country = "86"
area_code = "20"
[sip]
listen = ["udp:127.0.1.1:5060"]
[trunk.alpha]
match = ["127.0.3.1"]
host = "127.0.3.1:5060"
[trunk.beta]
match = ["127.0.3.2"]
host = "127.0.3.2:5060"
[[number]]
match = "95539"
dialplan = "direct"
[[outbound]]
prefix = "*"
trunks = ["alpha", "beta"]
[skills]
english = "English"
[queue.service]
wrap_up_s = 30
"#;

const DIALPLAN: &str = "start = \"wait\"\n[state.wait]\nqueue = \"service\"\ntimeout = \"end\"\nfailed = \"end\"\n\
                        [state.end]\nhangup = true\n";

/// Opens the queue by the number's hours alone.
const BY_HOURS: &str = "start = \"which\"\n[state.which]\nbranch = [{ if = \"call.open\", go = \"wait\" }]\n\
                        otherwise = \"end\"\n[state.wait]\nqueue = \"service\"\ntimeout = \"end\"\nfailed = \"end\"\n\
                        [state.end]\nhangup = true\n";

/// Asks for one agent.
const FOR_WANG: &str = "start = \"wait\"\n[state.wait]\nqueue = \"service\"\nprefer = '\"wang\"'\ntimeout = \"end\"\n\
                        failed = \"end\"\n[state.end]\nhangup = true\n";

/// Asks for somebody with English, and for points of its own.
const IN_ENGLISH: &str = "start = \"wait\"\n[state.wait]\nqueue = \"service\"\nskills = \"english\"\npriority = \"40\"\n\
                          timeout = \"end\"\nfailed = \"end\"\n[state.end]\nhangup = true\n";

/// Dials the number of the queue.
const OVER: &str = "start = \"over\"\n[state.over]\ndial = \"95539\"\ntimeout = \"end\"\nfailed = \"end\"\n\
                    [state.end]\nhangup = true\n";

/// Dials outside.
const OUT: &str = "start = \"out\"\n[state.out]\ndial = \"02087654321\"\ntimeout = \"end\"\nfailed = \"end\"\n\
                   [state.end]\nhangup = true\n";

/// Rings the phone whose account is the caller's number.
const BACK: &str = "start = \"ring\"\n[state.ring]\ndial = { account = \"call.caller\" }\ntimeout = \"end\"\n\
                    failed = \"none\"\n[state.none]\nhangup = true\n[state.end]\nhangup = true\n";

/// Takes a message.
const MESSAGE: &str = "start = \"message\"\n[state.message]\nvoicemail = \"box\"\nbeep = true\nnext = \"end\"\n\
                       failed = \"end\"\n[state.end]\nhangup = true\n";

/// A centre with two trunks, a queue, and the agents `li` at 1001 and `wang` at 1002.
pub struct House {
    pub switch: Switch,
    pub now: Time,
    /// What the house sent and nobody has looked at yet.
    wire: VecDeque<(SocketAddr, Message)>,
    pub events: Vec<Event>,
    /// What the engine was told.
    pub media: Vec<MediaCommand>,
    answers: BTreeMap<CommandId, Result<Done, Refusal>>,
    asked: VecDeque<(RequestId, Query)>,
    closing: VecDeque<MediaEvent>,
    /// Whether the disk takes what is written.
    pub disk: bool,
    /// Whether questions are answered at once, with nothing known.
    pub answering: bool,
    last: Seq,
    orders: u64,
    branches: u64,
}

impl House {
    pub fn new() -> Self {
        Self::with(PLAN)
    }

    /// The same with keys for the tables that the plan has not.
    pub fn and(more: &str) -> Self {
        Self::with(&format!("{PLAN}{more}"))
    }

    /// A centre of another plan altogether.
    pub fn with(plan: &str) -> Self {
        let now = Time::from_secs(1_795_399_200); // Monday 10:00 in Shanghai
        let local: SocketAddr = HOUSE.parse().unwrap();
        let switch = Switch::new(Boot {
            now,
            epoch: Epoch::from_u128(1),
            edition: edition(plan),
            roster: roster(),
            listeners: vec![Listener::new(FlowId(1), Transport::Udp, local)],
            last: Seq(0),
            closing: Vec::new(),
            bindings: vec![bound("1001", LI, now), bound("1002", WANG, now)],
            seed: 1,
            secrets: SecretSource::from_seed(1),
            rethrow: true,
        });
        let mut house = Self {
            switch,
            now,
            wire: VecDeque::new(),
            events: Vec::new(),
            media: Vec::new(),
            answers: BTreeMap::new(),
            asked: VecDeque::new(),
            closing: VecDeque::new(),
            disk: true,
            answering: true,
            last: Seq(0),
            orders: 0,
            branches: 0,
        };
        house.drain();
        house
    }

    /// Something happens; all that follows at once follows.
    pub fn tell(&mut self, input: Input) {
        self.switch.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            while let Some(effect) = self.switch.poll_effect() {
                self.on_effect(effect);
            }
            let next = if let Some((id, _)) = self.asked.pop_front_if(|_| self.answering) {
                Input::Reply { request: id, reply: Reply::Customer(None) }
            } else if let Some(event) = self.closing.pop_front() {
                Input::Media { engine: super::EngineId(0), event }
            } else if self.disk && self.switch.durable < self.last {
                Input::Durable(self.last)
            } else {
                break;
            };
            self.switch.handle(self.now, next);
        }
    }

    fn on_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(transmit) => {
                let message = Message::parse(transmit.bytes).expect("what the house sends can be read");
                self.wire.push_back((transmit.destination.remote(), message));
            }
            Effect::Emit(event) => {
                self.last = event.seq;
                self.events.push(event);
            }
            Effect::Answer { id, result } => {
                self.answers.insert(id, result);
            }
            Effect::Request { id, query, .. } => self.asked.push_back((id, query)),
            Effect::Media { command, .. } => {
                if let MediaCommand::Close { port } = command {
                    self.closing.push_back(MediaEvent::Closed { port, stats: PortStats::default() });
                }
                self.media.push(command);
            }
            Effect::Trace { .. } | Effect::Drained => {}
        }
    }

    /// Time passes; timers fall due one after another.
    pub fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.switch.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.tell(Input::Timeout);
        }
        self.now = until;
    }

    // -- orders ------------------------------------------------------------------------------------------------------

    pub fn order(&mut self, who: &str, role: UserRole, order: Order) -> Result<Done, Refusal> {
        self.orders += 1;
        let id = CommandId(self.orders);
        self.tell(Input::Command { id, command: Command { by: Actor { user: UserName::new(who), role }, order } });
        self.answers.remove(&id).expect("every order is answered at once")
    }

    /// `li` signs in at 1001, or `wang` at 1002, and is ready.
    pub fn seat(&mut self, agent: &str) {
        let account = AccountName::new(if agent == "li" { "1001" } else { "1002" });
        self.order(agent, UserRole::Agent, Order::SignIn { account }).unwrap();
        self.order(agent, UserRole::Agent, Order::Ready {}).unwrap();
    }

    pub fn admin(&mut self, order: Order) -> Result<Done, Refusal> {
        self.order("boss", UserRole::Admin, order)
    }

    pub fn save(&mut self, kind: RecordKind, record: serde_json::Value) {
        self.admin(Order::SaveRecord { kind, record }).unwrap();
    }

    pub fn remove(&mut self, kind: RecordKind, key: &str) {
        self.admin(Order::RemoveRecord { kind, key: key.to_owned() }).unwrap();
    }

    // -- the wire ----------------------------------------------------------------------------------------------------

    /// A message comes from an address.
    pub fn hear(&mut self, from: &str, text: &str) {
        let message = Message::parse(text.to_owned().into()).unwrap_or_else(|fault| panic!("{fault:?} in\n{text}"));
        assert!(message.faults().is_empty(), "{:?} in\n{text}", message.faults());
        let source = Source {
            flow: FlowId(1),
            transport: Transport::Udp,
            local: HOUSE.parse().unwrap(),
            remote: from.parse().unwrap(),
        };
        self.tell(Input::Sip { source, message });
    }

    /// The next message of the house to this address, if there is one.
    pub fn sent(&mut self, to: &str) -> Option<Message> {
        let to: SocketAddr = to.parse().unwrap();
        let at = self.wire.iter().position(|(address, _)| *address == to)?;
        self.wire.remove(at).map(|(_, message)| message)
    }

    /// The next request of this kind to an address; what else was sent there before is passed over.
    pub fn request(&mut self, to: &str, method: Method) -> Option<Message> {
        std::iter::from_fn(|| self.sent(to)).find(|message| message.method() == Some(method))
    }

    /// The next final response to an address; what else was sent there before is passed over.
    pub fn final_response(&mut self, to: &str) -> Option<Message> {
        std::iter::from_fn(|| self.sent(to)).find(|message| message.status().is_some_and(|status| status >= 200))
    }

    /// INVITE with an offer; the call's name is its Call-ID.
    pub fn invite(&mut self, from: &str, call: &str, user: &str, called: &str) {
        let text = self.invite_text(from, call, user, called, 1, "");
        self.hear(from, &text);
    }

    fn invite_text(&mut self, from: &str, call: &str, user: &str, called: &str, cseq: u32, more: &str) -> String {
        self.branches += 1;
        let body = sdp(from);
        lines(&format!(
            "INVITE sip:{called}@{HOUSE} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKt{}\nMax-Forwards: 70\n\
             From: <sip:{user}@{DOMAIN}>;tag={call}\nTo: <sip:{called}@{DOMAIN}>\nCall-ID: {call}\n\
             CSeq: {cseq} INVITE\nContact: <sip:{user}@{from}>\n{more}Content-Type: application/sdp\n\
             Content-Length: {}\n\n{body}",
            self.branches,
            lines(&body).len(),
        ))
    }

    /// A phone of ours calls: challenged, and proven by its password.
    pub fn invite_as_account(&mut self, from: &str, call: &str, account: &str, called: &str) {
        self.invite(from, call, account, called);
        let challenge = self.final_response(from).expect("a challenge");
        self.ack(from, &challenge, 1);
        let mut digest = DigestClient::from_response(&challenge).unwrap();
        let who = Account { user: account.to_owned(), password: "secret".to_owned() };
        let uri = format!("sip:{called}@{HOUSE}");
        let proof = digest.authorize(&who, "INVITE", &uri, b"", "cnonce");
        let header = if challenge.status() == Some(401) { "Authorization" } else { "Proxy-Authorization" };
        let text = self.invite_text(from, call, account, called, 2, &format!("{header}: {proof}\n"));
        self.hear(from, &text);
    }

    /// The ACK of a final response to an INVITE of the far side's.
    pub fn ack(&mut self, from: &str, response: &Message, cseq: u32) {
        self.branches += 1;
        let branch = match response.status() {
            Some(200..=299) => format!("z9hG4bKt{}", self.branches),
            _ => response.via().unwrap().branch().unwrap_or_default().to_owned(),
        };
        let (uri, _) = ends(response);
        let text = lines(&format!(
            "ACK {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch={branch}\nMax-Forwards: 70\nFrom: {}\nTo: {}\n\
             Call-ID: {}\nCSeq: {cseq} ACK\nContent-Length: 0\n\n",
            value(response, Name::From),
            value(response, Name::To),
            response.call_id().unwrap(),
        ));
        self.hear(from, &text);
    }

    /// A request within a dialog that the far side began, whose INVITE this response answered.
    pub fn within(&mut self, from: &str, method: &str, response: &Message, cseq: u32, more: &str) {
        self.branches += 1;
        let (uri, _) = ends(response);
        let text = lines(&format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKt{}\nMax-Forwards: 70\nFrom: {}\nTo: {}\n\
             Call-ID: {}\nCSeq: {cseq} {method}\nContact: <sip:far@{from}>\n{more}Content-Length: 0\n\n",
            self.branches,
            value(response, Name::From),
            value(response, Name::To),
            response.call_id().unwrap(),
        ));
        self.hear(from, &text);
    }

    /// A request within a dialog that the house began by this INVITE; the far side's tag is its address's port and host.
    pub fn back(&mut self, from: &str, method: &str, invite: &Message, cseq: u32, more: &str) {
        self.back_with(from, method, invite, cseq, more, "");
    }

    /// The same with a session description.
    pub fn back_with(&mut self, from: &str, method: &str, invite: &Message, cseq: u32, more: &str, body: &str) {
        self.branches += 1;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let contact = ends(invite).0;
        let text = lines(&format!(
            "{method} {contact} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKt{}\nMax-Forwards: 70\n\
             From: {};tag=far\nTo: {}\nCall-ID: {}\nCSeq: {cseq} {method}\nContact: <sip:far@{from}>\n{more}{kind}\
             Content-Length: {}\n\n{body}",
            self.branches,
            value(invite, Name::To),
            value(invite, Name::From),
            invite.call_id().unwrap(),
            lines(body).len(),
        ));
        self.hear(from, &text);
    }

    /// A response to a request of the house's; a 200 or 183 to an INVITE brings an answer.
    pub fn reply(&mut self, from: &str, request: &Message, status: u16, more: &str) {
        let body = if matches!(status, 183 | 200) && request.method() == Some(Method::Invite) {
            sdp(from)
        } else {
            String::new()
        };
        self.reply_with(from, request, status, more, &body);
    }

    /// The same with a session description of the test's own.
    pub fn reply_with(&mut self, from: &str, request: &Message, status: u16, more: &str, body: &str) {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let to = value(request, Name::To);
        let tag = if to.contains(";tag=") { "" } else { ";tag=far" };
        let text = lines(&format!(
            "SIP/2.0 {status} Test\nVia: {}\nFrom: {}\nTo: {to}{tag}\nCall-ID: {}\nCSeq: {}\n\
             Contact: <sip:far@{from}>\n{more}{kind}Content-Length: {}\n\n{body}",
            value(request, Name::Via),
            value(request, Name::From),
            request.call_id().unwrap(),
            value(request, Name::CSeq),
            lines(body).len(),
        ));
        self.hear(from, &text);
    }

    /// A caller on a trunk reaches an agent's phone, which picks up: the caller's 200 and the agent's INVITE.
    pub fn talk(&mut self, trunk: &str, call: &str, phone: &str) -> (Message, Message) {
        self.invite(trunk, call, "13800138000", "95539");
        let answer = self.final_response(trunk).expect("the queue answers");
        assert_eq!(answer.status(), Some(200));
        self.ack(trunk, &answer, 1);
        let invite = self.request(phone, Method::Invite).expect("the agent's phone is rung");
        self.reply(phone, &invite, 200, "");
        assert!(self.request(phone, Method::Ack).is_some());
        (answer, invite)
    }

    // -- what happened -----------------------------------------------------------------------------------------------

    pub fn facts(&self) -> impl DoubleEndedIterator<Item = &Fact> {
        self.events.iter().map(|event| &event.fact)
    }

    pub fn count(&self, which: impl Fn(&Fact) -> bool) -> usize {
        self.facts().filter(|fact| which(fact)).count()
    }

    /// The call that was accepted last.
    pub fn last_call(&self) -> CallId {
        let accepted = self.events.iter().rfind(|event| matches!(event.fact, Fact::CallAccepted { .. }));
        accepted.and_then(|event| event.call).expect("a call was accepted")
    }

    /// Nothing of the switch's own is wrong, and it needed no mending.
    pub fn assert_sound(&mut self) {
        self.wait(Duration::from_secs(11));
        assert_eq!(self.switch.check_invariants(), Vec::<String>::new());
        assert_eq!(self.switch.last_repairs(), []);
    }
}

/// The address a dialog's requests go to, and its text.
fn ends(message: &Message) -> (String, String) {
    let contact = message.contact().map(|contact| contact.uri().to_string());
    let uri = contact.unwrap_or_else(|_| format!("sip:{HOUSE}"));
    (uri.clone(), uri)
}

fn value(message: &Message, name: Name) -> String {
    String::from_utf8_lossy(message.header(name).expect("the header is there").value).into_owned()
}

fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

fn sdp(from: &str) -> String {
    let (ip, _) = from.split_once(':').unwrap();
    format!(
        "v=0\no=- 1 1 IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\nm=audio 4000 RTP/AVP 8 101\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:101 telephone-event/8000\na=sendrecv\n"
    )
}

fn bound(account: &str, phone: &str, now: Time) -> (AccountName, Binding) {
    let source = Source {
        flow: FlowId(1),
        transport: Transport::Udp,
        local: HOUSE.parse().unwrap(),
        remote: phone.parse().unwrap(),
    };
    let binding = Binding {
        contact: format!("sip:{account}@{phone}"),
        expires: now + Duration::from_secs(86_400),
        q: 1000,
        call_id: format!("r{account}"),
        cseq: 1,
        source,
        by_flow: false,
        instance: None,
        path: Vec::new(),
        user_agent: String::new(),
    };
    (AccountName::new(account), binding)
}

fn roster() -> Roster {
    let mut roster = Roster::default();
    for (agent, account) in [("li", "1001"), ("wang", "1002")] {
        let ha1 = |hash| Ha1::new(hash, account, DOMAIN, "secret").as_hex().to_owned();
        let sip = SipAccount {
            name: AccountName::new(account),
            realm: DOMAIN.to_owned(),
            ha1_md5: ha1(HashFunction::Md5),
            ha1_sha256: ha1(HashFunction::Sha256),
            display: String::new(),
            disabled: false,
        };
        roster.accounts.insert(sip.name.clone(), sip);
        let user: User = serde_json::from_value(user(agent)).unwrap();
        roster.users.insert(user.name.clone(), user);
        let profile = AgentProfile { user: AgentName::new(agent), skills: BTreeMap::new() };
        roster.profiles.insert(profile.user.clone(), profile);
    }
    roster
}

pub fn user(name: &str) -> serde_json::Value {
    serde_json::json!({ "name": name, "role": "agent" })
}

/// A plan with one dialplan, `direct`, which goes straight to the queue `service`.
pub fn edition(plan: &str) -> Arc<Edition> {
    let source = Text::new("strowger.toml", plan);
    let reading = read(&source, &Surroundings::NONE);
    let mut findings = reading.findings;
    let (queues, found) = queue_settings(&reading.draft, &source, &reading.places);
    findings.extend(found);
    let mut catalogue = PromptCatalogue::default();
    catalogue.insert(Language::new("en"), PromptName::new("welcome"), "Welcome");
    let mut sounds = Sounds::default();
    sounds.add_music(PromptName::new("music"), Arc::new(Clip::silence("music", Duration::from_secs(10))));
    let texts = [
        ("direct.toml", DIALPLAN),
        ("hours.toml", BY_HOURS),
        ("wang.toml", FOR_WANG),
        ("english.toml", IN_ENGLISH),
        ("over.toml", OVER),
        ("back.toml", BACK),
        ("out.toml", OUT),
        ("message.toml", MESSAGE),
    ];
    let texts = texts.map(|(name, text)| Text::new(name, text));
    let loaded = dialplan::load(&texts, &catalogue, &dialplan_names(&reading.draft));
    findings.extend(loaded.findings);
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let book = loaded.book.expect("a book without findings");
    Arc::new(Edition { plan: Arc::new(reading.draft), book: Arc::new(book), sounds, queues, digest: "test".to_owned() })
}

pub fn stall(house: &mut House) {
    house.disk = false;
    house.tell(Input::Store(StoreHealth::Stalled));
}

//! A switch by itself, spoken to input by input: scenarios that are too particular to wait for a seed to bring.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strowger::command::{Actor, Command, Done, Order, Refusal, UserRole};
use strowger::event::{Event, Fact, Seq};
use strowger::ids::{AccountName, CallId, Epoch, IdSource, SecretSource, SkillName};
use strowger::media::{KeySource, MediaCommand, MediaEvent, PlayEnd, PlayId, PortId, PortStats};
use strowger::plan::Plan;
use strowger::sim::seed::{Population, START, SWITCH, Setting};
use strowger::sip::flow::{FlowId, Listener, Source, Transport};
use strowger::sip::message::Message;
use strowger::sip::registrar::Binding;
use strowger::switch::{Boot, CommandId, Edition, Effect, EngineId, Input, Switch};
use strowger::time::Time;

pub struct House {
    pub switch: Switch,
    pub now: Time,
    pub facts: Vec<(Time, Option<CallId>, Fact)>,
    /// Messages sent, as text.
    pub sent: Vec<String>,
    pub media: Vec<MediaCommand>,
    answers: BTreeMap<u64, Result<Done, Refusal>>,
    commands: u64,
    /// The disk does not answer.
    pub stalled: bool,
    last: Seq,
}

/// The edition of the simulated centre, with its plan changed.
pub fn edition(change: impl FnOnce(&mut Plan)) -> Arc<Edition> {
    let centre = strowger::app::sim::centre().expect("the simulated centre loads");
    let mut edition = Edition::clone(&centre.editions[0]);
    let mut plan = Plan::clone(&edition.plan);
    change(&mut plan);
    edition.plan = Arc::new(plan);
    edition.queues = centre.editions[0].queues.clone();
    Arc::new(edition)
}

impl House {
    pub fn new(edition: Arc<Edition>) -> Self {
        let setting = Setting { agents: 3, calm: true, ..Setting::short(8) };
        let mut roster = Population::draw(&setting, &mut IdSource::from_seed(8)).roster;
        for profile in roster.profiles.values_mut() {
            // Everybody can do everything: who is asked is not the point here.
            let level = strowger::crm::people::SkillLevel::new(5).expect("from 1 to 10");
            profile.skills =
                ["sales", "billing", "laptop", "en", "zh"].map(|skill| (SkillName::new(skill), level)).into();
        }
        let listener = Listener::new(FlowId(1), Transport::Udp, SWITCH);
        let bindings = (1..=3).map(|nth| (AccountName::new(format!("100{nth}")), binding(nth))).collect();
        let switch = Switch::new(Boot {
            now: START,
            epoch: Epoch::from_u128(1),
            edition,
            roster,
            listeners: vec![listener],
            last: Seq(0),
            closing: Vec::new(),
            bindings,
            seed: 1,
            secrets: SecretSource::from_seed(1),
            rethrow: true,
        });
        let mut house = Self {
            switch,
            now: START,
            facts: Vec::new(),
            sent: Vec::new(),
            media: Vec::new(),
            answers: BTreeMap::new(),
            commands: 0,
            stalled: false,
            last: Seq(0),
        };
        house.drain();
        house
    }

    pub fn tell(&mut self, input: Input) {
        self.switch.handle(self.now, input);
        self.drain();
        assert_eq!(self.switch.check_invariants(), Vec::<String>::new());
    }

    fn drain(&mut self) {
        let (mut closed, before) = (Vec::new(), self.last);
        while let Some(effect) = self.switch.poll_effect() {
            match effect {
                Effect::Send(transmit) => self.sent.push(String::from_utf8_lossy(&transmit.bytes).into_owned()),
                Effect::Emit(Event { seq, at, call, fact, .. }) => {
                    self.last = seq;
                    self.facts.push((at, call, fact));
                }
                Effect::Media { command, .. } => {
                    if let MediaCommand::Close { port } = &command {
                        closed.push(*port);
                    }
                    self.media.push(command);
                }
                Effect::Answer { id, result } => {
                    self.answers.insert(id.0, result);
                }
                Effect::Request { .. } | Effect::Trace { .. } | Effect::Drained => {}
            }
        }
        for port in closed {
            self.hear(MediaEvent::Closed { port, stats: PortStats::default() });
        }
        if self.last > before && !self.stalled {
            let last = self.last;
            self.tell(Input::Durable(last));
        }
    }

    /// Time passes; every deadline on the way is met.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.switch.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tell(Input::Timeout);
        }
        self.now = end;
    }

    pub fn run_until(&mut self, minutes: u64, seconds: u64) {
        let at = START + Duration::from_secs(minutes * 60 + seconds);
        self.run(at.since(self.now));
    }

    pub fn hear(&mut self, event: MediaEvent) {
        self.tell(Input::Media { engine: EngineId(0), event });
    }

    pub fn order(&mut self, user: &str, order: Order) -> Result<Done, Refusal> {
        self.commands += 1;
        let id = self.commands;
        let command = Command { by: Actor { user: user.into(), role: UserRole::Agent }, order };
        self.tell(Input::Command { id: CommandId(id), command });
        self.answers.remove(&id).expect("every order is answered")
    }

    /// Signs an agent in at 1001, 1002 or 1003 and turns ready.
    pub fn staff(&mut self, nth: u8) {
        let name = format!("agent{}", nth - 1);
        self.order(&name, Order::SignIn { account: AccountName::new(format!("100{nth}")) }).unwrap();
        self.order(&name, Order::Ready {}).unwrap();
    }

    // -- SIP ---------------------------------------------------------------------------------------------------------

    /// Takes a message with `\n` line ends from a party.
    pub fn message(&mut self, from: [u8; 4], text: &str) {
        let source = Source { flow: FlowId(1), transport: Transport::Udp, local: SWITCH, remote: (from, 5060).into() };
        let message = Message::parse(text.replace('\n', "\r\n").into_bytes().into()).expect(text);
        self.tell(Input::Sip { source, message });
    }

    /// A call from trunk alpha, whose Call-ID is `id`.
    pub fn invite(&mut self, id: &str, to: &str, headers: &str) {
        self.message(ALPHA, &request("INVITE", id, to, headers, SDP));
    }

    pub fn cancel(&mut self, id: &str, to: &str) {
        self.message(ALPHA, &request("CANCEL", id, to, "", ""));
    }

    /// Confirms the 200 that the caller got.
    pub fn ack(&mut self, id: &str, to: &str) {
        let ok = self.reply(id, "200").expect("the call was answered");
        let to_line = line(&ok, "To:").to_owned();
        let ack = request("ACK", id, to, "", "").replace(&format!("To: <sip:{to}@centre.example>"), &to_line);
        self.message(ALPHA, &ack.replace("branch=z9hG4bK", "branch=z9hG4bKack"));
    }

    /// The first reply with that status to the INVITE of that Call-ID.
    pub fn reply(&self, id: &str, status: &str) -> Option<String> {
        let found = self.sent.iter().find(|text| {
            text.starts_with(&format!("SIP/2.0 {status}"))
                && line(text, "Call-ID:") == format!("Call-ID: {id}")
                && line(text, "CSeq:").ends_with("INVITE")
        });
        found.cloned()
    }

    /// Requests sent with that method, in order.
    pub fn requests(&self, method: &str) -> Vec<&str> {
        let wanted = format!("{method} ");
        self.sent.iter().map(String::as_str).filter(|text| text.starts_with(&wanted)).collect()
    }

    /// The far side of one of our requests replies.
    pub fn answer(&mut self, from: [u8; 4], request: &str, status: &str, more: &str, body: &str) {
        let copied: Vec<&str> =
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].into_iter().map(|name| line(request, name)).collect();
        let to = format!("{};tag=far", copied[2]);
        let [via, far, _, call_id, cseq] = copied[..] else { unreachable!("five lines") };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let contact = format!("Contact: <sip:far@{}.{}.{}.{}:5060>", from[0], from[1], from[2], from[3]);
        let head = format!("SIP/2.0 {status}\n{via}\n{far}\n{to}\n{call_id}\n{cseq}\n{contact}\n{more}{kind}");
        let length = body.replace('\n', "\r\n").len();
        self.message(from, &format!("{head}Content-Length: {length}\n\n{body}"));
    }

    // -- what came of it ---------------------------------------------------------------------------------------------

    /// Names of the facts since the `from`th, those that say nothing here left out.
    pub fn story(&self, from: usize) -> Vec<String> {
        let told = self.facts.iter().skip(from).map(|(_, _, fact)| fact);
        told.filter_map(|fact| {
            Some(match fact {
                Fact::QueueEntered { queue, .. } => format!("enters {queue}"),
                Fact::QueueLeft { queue, exit, .. } => format!("leaves {queue} {exit:?}").to_lowercase(),
                Fact::QueueOverflowed { queue, to, why } => format!("{queue} overflows to {to}: {why}"),
                Fact::VoicemailLeft { r#box, .. } => format!("message in {box}", box = r#box),
                Fact::CallEnded { cause } => format!("ended {:?} by {:?}", cause.what, cause.by).to_lowercase(),
                _ => return None,
            })
        })
        .collect()
    }

    /// The port of the call that came last.
    pub fn last_port(&self) -> PortId {
        let opened = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Open(open) => Some(open.port),
            _ => None,
        });
        opened.expect("a port was opened")
    }

    /// The names of clips of the play that began last, and the play.
    pub fn last_play(&self) -> (Vec<String>, PlayId) {
        use strowger::media::Sound;
        let play = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play(play) => Some(play),
            _ => None,
        });
        let play = play.expect("something plays");
        let name = |sound: &Sound| match sound {
            Sound::Clip(clip) => clip.name().to_owned(),
            Sound::Tone(..) => "tone".to_owned(),
            Sound::Silence(_) => "silence".to_owned(),
        };
        (play.sounds.iter().map(name).collect(), play.play)
    }

    /// What plays ends; what follows plays then.
    pub fn played(&mut self) -> Vec<String> {
        let (names, play) = self.last_play();
        self.hear(MediaEvent::PlayDone { play, end: PlayEnd::Completed });
        names
    }

    pub fn press(&mut self, port: PortId, key: char) {
        self.hear(MediaEvent::Key { port, key, duration_ms: 100, source: KeySource::TelephoneEvent });
    }

    /// A caller of the service line who is past its menu by this key; the port.
    pub fn caller_with_key(&mut self, id: &str, key: char) -> PortId {
        self.invite(id, "95539", "");
        let port = self.last_port();
        self.ack(id, "95539");
        assert_eq!(self.played(), ["welcome"]);
        self.press(port, key);
        port
    }
}

pub const ALPHA: [u8; 4] = [127, 0, 3, 1];

pub const SDP: &str = "v=0\no=- 1 1 IN IP4 127.0.3.1\ns=-\nc=IN IP4 127.0.3.1\nt=0 0\nm=audio 40000 RTP/AVP 8 0 101\n\
    a=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\n";

fn request(method: &str, id: &str, to: &str, headers: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    let length = body.replace('\n', "\r\n").len();
    format!(
        "{method} sip:{to}@127.0.1.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 127.0.3.1:5060;branch=z9hG4bK{id}\nMax-Forwards: 70\n\
         From: <sip:+8613600000001@alpha.example>;tag=near\nTo: <sip:{to}@centre.example>\nCall-ID: {id}\n\
         CSeq: 1 {method}\nContact: <sip:alpha@127.0.3.1:5060>\n{headers}{kind}Content-Length: {length}\n\n{body}"
    )
}

/// The line of a message that begins so.
pub fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&name.to_ascii_lowercase()));
    found.unwrap_or_default().trim_end()
}

fn binding(nth: u8) -> Binding {
    let remote = ([127, 0, 2, nth], 5060).into();
    Binding {
        contact: format!("sip:100{nth}@127.0.2.{nth}:5060"),
        expires: START + Duration::from_secs(86_400),
        q: 1_000,
        call_id: format!("phone{nth}"),
        cseq: 1,
        source: Source { flow: FlowId(1), transport: Transport::Udp, local: SWITCH, remote },
        by_flow: false,
        instance: None,
        path: Vec::new(),
        user_agent: String::new(),
    }
}

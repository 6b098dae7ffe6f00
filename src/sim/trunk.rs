//! A carrier's gateway as a value: it brings calls in from the telephone network, takes calls out to it, and, for
//! trunks that register, is the registrar that asks for digest.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::dialog::Identity;
use super::digest::{Admission, Algorithm, Credentials, Gate, Login};
use super::endpoint::{AnswerPlan, Endpoint, EndpointSettings, MediaPorts, Order, Outcome, PhoneError, UserAgent};
use super::exchange::{Datagram, IncomingKey};
use super::report::{CallKey, PhoneReport};
use super::rsip_wire::{Received, SipUri};
use crate::codec::Codec;
use crate::limits;
use crate::time::Time;

/// How a trunk is set up.
#[derive(Clone, Debug)]
pub struct TrunkSettings {
    /// User part of the gateway's contact.
    pub name: String,
    /// The carrier's domain: host of its From and P-Asserted-Identity.
    pub domain: String,
    pub local: SocketAddr,
    pub switch: SocketAddr,
    pub media: MediaPorts,
    pub codecs: Vec<Codec>,
    /// How the gateway answers a challenge of the switch.
    pub credentials: Option<Credentials>,
    /// Ask the switch for digest.
    pub gate: Option<TrunkGate>,
    /// The longest registration it grants, in seconds.
    pub grants_s: u32,
    /// What becomes of calls out, by the called number's longest matching prefix; none matching is 404.
    pub routes: Vec<TrunkRoute>,
    /// How OPTIONS is answered; `None` is a dead gateway.
    pub options_status: Option<u16>,
    /// Calls at once; one more in is answered 503.
    pub max_calls: usize,
}

/// What the switch must prove.
#[derive(Clone, Debug)]
pub struct TrunkGate {
    pub credentials: Credentials,
    pub algorithm: Algorithm,
    /// Challenge INVITE too, not only REGISTER.
    pub calls: bool,
}

/// What becomes of calls to numbers that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkRoute {
    pub prefix: String,
    pub plan: AnswerPlan,
}

impl TrunkSettings {
    /// A gateway at `local` that rings two seconds and answers every number.
    pub fn new(name: &str, domain: &str, local: SocketAddr, switch: SocketAddr) -> Self {
        let everyone = TrunkRoute { prefix: String::new(), plan: AnswerPlan::answer_after(Duration::from_secs(2)) };
        Self {
            name: name.to_owned(),
            domain: domain.to_owned(),
            local,
            switch,
            media: MediaPorts { ip: local.ip(), first: 20_000, count: 8_192 },
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            credentials: None,
            gate: None,
            grants_s: 3_600,
            routes: vec![everyone],
            options_status: Some(200),
            max_calls: limits::SIM_TRUNK_CALLS,
        }
    }
}

/// A call that comes in from the telephone network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboundCall {
    /// The caller's number, E.164 (`+4930123`).
    pub from: String,
    pub display: Option<String>,
    /// The number dialled, E.164 or national as the carrier sends it.
    pub to: String,
    /// Withhold the number (RFC 3325): From is anonymous, P-Asserted-Identity has it, Privacy asks for silence.
    pub anonymous: bool,
    /// Send the call to the contact that the switch registered for that user, not to its bare address.
    pub line: Option<String>,
    pub late_offer: bool,
}

impl InboundCall {
    pub fn new(from: &str, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), ..Self::default() }
    }
}

/// See the module.
pub struct Trunk {
    endpoint: Endpoint,
    gate: Option<(Gate, bool)>,
    routes: Vec<TrunkRoute>,
    grants_s: u32,
    registered: BTreeMap<String, Line>,
}

/// A registered contact of the switch.
struct Line {
    contact: SipUri,
    until: Time,
}

impl Trunk {
    pub fn new(settings: TrunkSettings, seed: u64) -> Self {
        let (gate, domain) = (settings.gate.clone(), settings.domain.clone());
        let (routes, grants_s) = (settings.routes.clone(), settings.grants_s);
        let mut endpoint = Endpoint::new(endpoint_settings(settings), seed);
        let gate = gate.map(|TrunkGate { credentials, algorithm, calls }| {
            (Gate::new(&domain, credentials, algorithm, endpoint.secrets().token()), calls)
        });
        Self { endpoint, gate, routes, grants_s, registered: BTreeMap::new() }
    }

    /// Brings a call in.
    pub fn place(&mut self, now: Time, call: &InboundCall) -> Result<CallKey, PhoneError> {
        let settings = self.endpoint.settings();
        let (domain, switch) = (settings.identity.domain.clone(), settings.peer);
        let identity = SipUri::new(&call.from, &domain);
        let mut order = Order::to(SipUri::at(&call.to, switch));
        if let Some(user) = &call.line {
            let line = self.registered.get(user).filter(|line| line.until > now).ok_or(PhoneError::WrongState)?;
            order.request_uri = Some(line.contact.clone());
            order.to = SipUri::new(&call.to, &domain);
        }
        order.late_offer = call.late_offer;
        order.headers.push(("P-Asserted-Identity".into(), format!("<{identity}>")));
        order.from = Some(match (call.anonymous, &call.display) {
            (true, _) => "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(),
            (false, Some(display)) => format!("\"{}\" <{identity}>", display.replace(['"', '\\'], "")),
            (false, None) => format!("<{identity}>"),
        });
        if call.anonymous {
            order.headers.push(("Privacy".into(), "id".into()));
        }
        self.endpoint.place(now, order)
    }

    /// Does the switch hold a registration for that user?
    pub fn has_registered(&self, user: &str, now: Time) -> bool {
        self.registered.get(user).is_some_and(|line| line.until > now)
    }

    /// What becomes of calls out from now on.
    pub fn set_routes(&mut self, routes: Vec<TrunkRoute>) {
        self.routes = routes;
    }

    /// Forgets the nonce, as gateways do every few minutes: the switch's next answer is stale.
    pub fn renew_nonce(&mut self) {
        let nonce = self.endpoint.secrets().token();
        if let Some((gate, _)) = &mut self.gate {
            gate.renew(nonce);
        }
    }

    fn on_outcomes(&mut self, now: Time) {
        while let Some(outcome) = self.endpoint.poll_outcome() {
            match outcome {
                Outcome::Invited(call, invite) => self.on_invited(now, call, &invite),
                Outcome::Asked(key, request) => self.on_register(now, &key, &request),
                Outcome::Outside(..) => {}
            }
        }
    }

    fn on_invited(&mut self, now: Time, call: CallKey, invite: &Received) {
        if let Some((gate, true)) = &mut self.gate {
            match gate.admit(invite) {
                Admission::Welcome => {}
                Admission::Challenge { stale } => {
                    let text = gate.challenge(stale);
                    return self.endpoint.challenge(now, call, &text);
                }
                Admission::Forbidden => return self.endpoint.follow(now, call, &AnswerPlan::refuse(403)),
            }
        }
        let number = super::dialog::dialled(invite);
        let matching = self.routes.iter().filter(|route| number.starts_with(&route.prefix));
        let plan = matching.max_by_key(|route| route.prefix.len()).map(|route| route.plan.clone());
        self.endpoint.follow(now, call, &plan.unwrap_or_else(|| AnswerPlan::refuse(404)));
    }

    fn on_register(&mut self, now: Time, key: &IncomingKey, request: &Received) {
        if let Some((gate, _)) = &mut self.gate {
            match gate.admit(request) {
                Admission::Welcome => {}
                Admission::Challenge { stale } => {
                    let text = gate.challenge(stale);
                    let shape = |draft: super::rsip_wire::Draft| draft.with("WWW-Authenticate", text);
                    return self.endpoint.answer_outside(now, key, request, 401, shape);
                }
                Admission::Forbidden => return self.endpoint.answer_outside(now, key, request, 403, |draft| draft),
            }
        }
        let (user, contact) = (request.to.uri.user.clone(), request.contacts.first());
        let (Some(user), Some(contact)) = (user, contact) else {
            return self.endpoint.answer_outside(now, key, request, 400, |draft| draft);
        };
        if self.registered.len() >= limits::SIM_TRUNK_LINES && !self.registered.contains_key(&user) {
            return self.endpoint.answer_outside(now, key, request, 503, |draft| draft);
        }
        let general = request.header("Expires").and_then(|text| text.trim().parse().ok());
        let expires_s = contact.expires.or(general).unwrap_or(3_600).min(self.grants_s);
        let line = Line { contact: contact.uri.clone(), until: now + Duration::from_secs(u64::from(expires_s)) };
        let text = format!("<{}>;expires={expires_s}", contact.uri);
        let contact = contact.uri.to_string();
        match expires_s {
            0 => drop(self.registered.remove(&user)),
            _ => drop(self.registered.insert(user.clone(), line)),
        }
        self.endpoint.answer_outside(now, key, request, 200, |draft| match expires_s {
            0 => draft,
            _ => draft.with("Contact", text),
        });
        self.endpoint.report(PhoneReport::PeerRegistered { user, contact, expires_s });
    }
}

impl UserAgent for Trunk {
    fn handle(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        self.endpoint.handle(now, from, bytes);
        self.on_outcomes(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.endpoint.handle_timeout(now);
        self.on_outcomes(now);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.endpoint.poll_timeout()
    }

    fn poll_send(&mut self) -> Option<Datagram> {
        self.endpoint.poll_send()
    }

    fn poll_report(&mut self) -> Option<PhoneReport> {
        self.endpoint.poll_report()
    }

    fn endpoint(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }
}

fn endpoint_settings(settings: TrunkSettings) -> EndpointSettings {
    let TrunkSettings { name, domain, local, switch, media, codecs, credentials, options_status, max_calls, .. } =
        settings;
    let user_agent = "Strowger simulated gateway (rsip)".to_owned();
    EndpointSettings {
        identity: Identity { user: name, domain, display: None, local, user_agent },
        peer: switch,
        media,
        codecs,
        login: credentials.map(Login::new),
        max_calls: max_calls.min(limits::SIM_TRUNK_CALLS),
        full_status: 503,
        options_status,
        takes_refer: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::Algorithm;
    use super::super::phone::{Phone, PhoneSettings};
    use super::super::report::{EndedBy, Ending};
    use super::super::rsip_wire::{Draft, Method};
    use super::super::test_line::{Line as TestLine, addr};
    use super::*;

    const CARRIER: &str = "127.0.3.1:5060";
    const SWITCH: &str = "127.0.1.1:5060";
    const CALL: CallKey = CallKey(1);

    /// A phone stands where the switch would.
    fn line(settings: TrunkSettings, plan: AnswerPlan) -> TestLine {
        let mut phone = PhoneSettings::new("desk", "example.com", addr(SWITCH), addr(CARRIER));
        phone.credentials = Some(Credentials::new("line1", "secret"));
        phone.plan = plan;
        TestLine::clean(1).with(CARRIER, Trunk::new(settings, 3)).with(SWITCH, Phone::new(phone, 4))
    }

    fn settings() -> TrunkSettings {
        TrunkSettings::new("gw", "carrier.example", addr(CARRIER), addr(SWITCH))
    }

    fn gate(algorithm: Algorithm) -> Option<TrunkGate> {
        Some(TrunkGate { credentials: Credentials::new("line1", "secret"), algorithm, calls: true })
    }

    #[test]
    fn a_call_from_the_network_brings_its_number_and_is_answered() {
        let mut line = line(settings(), AnswerPlan::answer_after(Duration::from_secs(1)));
        let now = line.now();
        let call = InboundCall { display: Some("Ada".into()), ..InboundCall::new("+4930123", "+4940999") };
        line.trunk(CARRIER).place(now, &call).unwrap();
        line.run_for(Duration::from_secs(2));
        let said = line.said(SWITCH);
        let Some(PhoneReport::Ringing(ringing)) = said.first() else { panic!("{said:?}") };
        assert_eq!((ringing.dialled.as_str(), ringing.from.as_str()), ("+4940999", "+4930123"));
        assert_eq!(ringing.from_display.as_deref(), Some("Ada"));
        assert_eq!(ringing.asserted.as_deref(), Some("+4930123"));
        assert_eq!(line.said(CARRIER).last(), Some(&PhoneReport::Answered { call: CALL }));
    }

    #[test]
    fn a_withheld_number_stands_in_the_asserted_identity_alone() {
        let mut line = line(settings(), AnswerPlan::ring());
        let now = line.now();
        let call = InboundCall { anonymous: true, ..InboundCall::new("+4930123", "+4940999") };
        line.trunk(CARRIER).place(now, &call).unwrap();
        line.run_for(Duration::from_secs(1));
        let said = line.said(SWITCH);
        let Some(PhoneReport::Ringing(ringing)) = said.first() else { panic!("{said:?}") };
        assert_eq!((ringing.from.as_str(), ringing.asserted.as_deref()), ("anonymous", Some("+4930123")));
        assert!(line.trace()[0].contains("Privacy: id\r\n"));
    }

    #[test]
    fn calls_out_meet_the_table_by_longest_prefix() {
        let routes = vec![
            TrunkRoute { prefix: "+49".into(), plan: AnswerPlan::answer_after(Duration::from_secs(1)) },
            TrunkRoute { prefix: "+4940".into(), plan: AnswerPlan::refuse(486) },
        ];
        for (number, status) in [("+493011", None), ("+494011", Some(486)), ("+3311", Some(404))] {
            let mut line = line(TrunkSettings { routes: routes.clone(), ..settings() }, AnswerPlan::ring());
            let now = line.now();
            line.phone(SWITCH).call(now, number).unwrap();
            line.run_for(Duration::from_secs(3));
            let last = line.said(SWITCH).pop().unwrap();
            match status {
                None => assert_eq!(last, PhoneReport::Answered { call: CALL }),
                Some(status) => {
                    let ending = Ending { status, by: EndedBy::Them };
                    assert_eq!(last, PhoneReport::Ended { call: CALL, ending });
                }
            }
        }
    }

    #[test]
    fn early_media_is_described_before_the_answer() {
        let plan = AnswerPlan::early_media_then_answer(Duration::from_secs(3));
        let routes = vec![TrunkRoute { prefix: String::new(), plan }];
        let mut line = line(TrunkSettings { routes, ..settings() }, AnswerPlan::ring());
        let now = line.now();
        line.phone(SWITCH).call(now, "+4930").unwrap();
        line.run_for(Duration::from_secs(1));
        let said = line.said(SWITCH);
        assert_eq!(said[1], PhoneReport::Progress { call: CALL, status: 183 });
        assert!(matches!(said[2], PhoneReport::Media { path, .. } if path.remote == addr("127.0.3.1:20000")));
        line.run_for(Duration::from_secs(3));
        assert_eq!(line.said(SWITCH).last(), Some(&PhoneReport::Answered { call: CALL }));
    }

    #[test]
    fn calls_out_are_challenged_and_the_nonce_may_go_stale() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let mut line = line(TrunkSettings { gate: gate(algorithm), ..settings() }, AnswerPlan::ring());
            for call in 1..=3 {
                let now = line.now();
                line.phone(SWITCH).call(now, "+4930").unwrap();
                line.run_for(Duration::from_secs(5));
                assert_eq!(line.said(SWITCH).last(), Some(&PhoneReport::Answered { call: CallKey(call) }));
                line.trunk(CARRIER).renew_nonce();
            }
        }
    }

    #[test]
    fn a_registered_line_gets_its_calls_at_the_contact_it_named() {
        let mut line = line(TrunkSettings { gate: gate(Algorithm::Md5), ..settings() }, AnswerPlan::ring());
        let to_line = InboundCall { line: Some("desk".into()), ..InboundCall::new("+4930", "+4940") };
        let now = line.now();
        assert_eq!(line.trunk(CARRIER).place(now, &to_line), Err(PhoneError::WrongState));
        line.phone(SWITCH).register(now);
        line.run_for(Duration::from_secs(1));
        let now = line.now();
        assert!(line.trunk(CARRIER).has_registered("desk", now));
        line.trunk(CARRIER).place(now, &to_line).unwrap();
        line.run_for(Duration::from_secs(1));
        let said = line.said(SWITCH);
        let Some(PhoneReport::Ringing(ringing)) = said.last() else { panic!("{said:?}") };
        assert_eq!(ringing.dialled, "desk");
        assert!(line.trace().iter().any(|text| text.contains("INVITE sip:desk@127.0.1.1:5060 SIP/2.0")));
    }

    #[test]
    fn one_line_more_than_a_trunk_holds_is_refused() {
        let mut trunk = Trunk::new(settings(), 1);
        let mut register = |n: usize| {
            let register = Draft::request(Method::Register, SipUri::of_domain("carrier.example"))
                .with("Via", format!("SIP/2.0/UDP 127.0.1.1:5060;branch=z9hG4bK{n}"))
                .with("From", format!("<sip:u{n}@carrier.example>;tag=1"))
                .with("To", format!("<sip:u{n}@carrier.example>"))
                .with("Call-ID", n)
                .with("CSeq", "1 REGISTER")
                .with("Contact", "<sip:line@127.0.1.1:5060>");
            // Far enough apart that finished transactions are gone.
            let now = Time::from_secs(100 * n as u64);
            trunk.handle_timeout(now);
            trunk.handle(now, addr(SWITCH), &register.write());
            Received::parse(&trunk.poll_send().unwrap().bytes).unwrap().status()
        };
        let statuses: Vec<Option<u16>> = (0..=limits::SIM_TRUNK_LINES).map(&mut register).collect();
        let (last, others) = statuses.split_last().unwrap();
        assert!(others.iter().all(|status| *status == Some(200)));
        assert_eq!(*last, Some(503));
        assert_eq!(register(0), Some(200), "a line that it holds may refresh");
    }

    #[test]
    fn options_shows_whether_the_gateway_lives() {
        for (options_status, answers) in [(Some(200), 1), (Some(503), 1), (None, 0)] {
            let mut trunk = Trunk::new(TrunkSettings { options_status, ..settings() }, 1);
            let options = Draft::request(Method::Options, SipUri::at("gw", addr(CARRIER)))
                .with("Via", "SIP/2.0/UDP 127.0.1.1:5060;branch=z9hG4bK1")
                .with("From", "<sip:switch@example.com>;tag=1")
                .with("To", "<sip:gw@carrier.example>")
                .with("Call-ID", "o1")
                .with("CSeq", "1 OPTIONS");
            trunk.handle(Time::EPOCH, addr(SWITCH), &options.write());
            let replies: Vec<Received> =
                core::iter::from_fn(|| trunk.poll_send()).filter_map(|d| Received::parse(&d.bytes).ok()).collect();
            assert_eq!(replies.len(), answers);
            assert_eq!(replies.first().and_then(Received::status), options_status);
        }
    }

    #[test]
    fn no_gateway_is_larger_than_a_simulated_one_can_be() {
        let most = |max_calls| endpoint_settings(TrunkSettings { max_calls, ..settings() }).max_calls;
        assert_eq!((most(7), most(usize::MAX)), (7, limits::SIM_TRUNK_CALLS));
    }

    #[test]
    fn a_full_gateway_says_503() {
        let mut line = line(TrunkSettings { max_calls: 1, ..settings() }, AnswerPlan::ring());
        for _ in 0..2 {
            let now = line.now();
            line.phone(SWITCH).call(now, "+4930").unwrap();
        }
        line.run_for(Duration::from_secs(1));
        let full = Ending { status: 503, by: EndedBy::Them };
        assert!(line.said(SWITCH).contains(&PhoneReport::Ended { call: CallKey(2), ending: full }));
    }
}

//! A desk phone or softphone as a value: it registers, calls, rings, answers, holds and transfers.
//!
//! What a driver does: `handle` each datagram, `handle_timeout` when [`UserAgent::poll_timeout`] says so, then drain
//! reports and datagrams. What a person does at the phone: the methods of [`Phone`], and of [`Phone::endpoint`] for
//! the calls. With loss on the wire it repeats as RFC 3261 says; it never needs a second try by hand.

use core::time::Duration;
use std::net::SocketAddr;

use super::dialog::Identity;
use super::digest::{Credentials, Login};
use super::endpoint::{AnswerPlan, Endpoint, EndpointSettings, MediaPorts, Order, Outcome, PhoneError, UserAgent};
use super::exchange::Datagram;
pub use super::report::{CallKey, EndedBy, Ending, MediaPath, PhoneReport, Ringing};
use super::rsip_wire::{Draft, Method, Received, SipUri};
use crate::codec::Codec;
use crate::limits;
use crate::time::Time;

/// What is set up in a phone.
#[derive(Clone, Debug)]
pub struct PhoneSettings {
    /// User part of the account (`1001`).
    pub user: String,
    pub domain: String,
    pub display: Option<String>,
    /// Our SIP address.
    pub local: SocketAddr,
    /// The switch: registrar and proxy.
    pub switch: SocketAddr,
    pub media: MediaPorts,
    pub codecs: Vec<Codec>,
    pub credentials: Option<Credentials>,
    /// The lifetime that REGISTER asks for, in seconds.
    pub expires_s: u32,
    /// What becomes of calls that come in.
    pub plan: AnswerPlan,
}

impl PhoneSettings {
    /// A phone at `local:5060` that speaks both codecs, takes RTP from port 40000 on, and rings until told otherwise.
    pub fn new(user: &str, domain: &str, local: SocketAddr, switch: SocketAddr) -> Self {
        Self {
            user: user.to_owned(),
            domain: domain.to_owned(),
            display: None,
            local,
            switch,
            media: MediaPorts { ip: local.ip(), first: 40_000, count: 32 },
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            credentials: None,
            expires_s: 300,
            plan: AnswerPlan::ring(),
        }
    }
}

/// See the module.
pub struct Phone {
    endpoint: Endpoint,
    plan: AnswerPlan,
    expires_s: u32,
    seed: u64,
    registration: Registration,
    call_id: String,
    tag: String,
    cseq: u32,
}

/// Where the phone stands with its registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    Off,
    /// REGISTER is out; with `expires_s` zero it takes the contact away.
    Asking {
        expires_s: u32,
    },
    Held {
        refresh_at: Time,
    },
    /// Refused or unanswered: try again then.
    Waiting {
        retry_at: Time,
    },
}

/// How long a phone waits after a refused or unanswered REGISTER.
pub const REGISTER_RETRY: Duration = Duration::from_secs(30);

impl Phone {
    /// A phone in its box; `seed` makes its tags, branches and descriptions.
    pub fn new(settings: PhoneSettings, seed: u64) -> Self {
        let PhoneSettings { plan, expires_s, .. } = settings.clone();
        let mut endpoint = Endpoint::new(endpoint_settings(settings), seed);
        let (call_id, tag) = (endpoint.secrets().token(), endpoint.secrets().token());
        Self { endpoint, plan, expires_s, seed, registration: Registration::Off, call_id, tag, cseq: 0 }
    }

    /// Registers, and goes on refreshing until [`Phone::unregister`].
    pub fn register(&mut self, now: Time) {
        self.send_register(now, self.expires_s);
    }

    /// Takes the contact away (RFC 3261 §10.2.2).
    pub fn unregister(&mut self, now: Time) {
        self.send_register(now, 0);
    }

    pub fn is_registered(&self) -> bool {
        matches!(self.registration, Registration::Held { .. })
    }

    /// A REGISTER waits for its answer.
    pub fn is_asking(&self) -> bool {
        matches!(self.registration, Registration::Asking { .. })
    }

    /// What becomes of calls that come in from now on.
    pub fn set_plan(&mut self, plan: AnswerPlan) {
        self.plan = plan;
    }

    /// Dials a number or a colleague.
    pub fn call(&mut self, now: Time, number: &str) -> Result<CallKey, PhoneError> {
        let target = self.target(number);
        self.endpoint.place(now, Order::to(target))
    }

    /// Hands the call over without asking (blind transfer).
    pub fn transfer(&mut self, now: Time, call: CallKey, number: &str) -> Result<(), PhoneError> {
        let target = self.target(number);
        self.endpoint.refer(now, call, &target)
    }

    /// The plug is pulled and put back: every call and registration is forgotten, nothing is said to anyone.
    pub fn reboot(&mut self) {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.endpoint = Endpoint::new(self.endpoint.settings().clone(), self.seed);
        (self.call_id, self.tag) = (self.endpoint.secrets().token(), self.endpoint.secrets().token());
        (self.registration, self.cseq) = (Registration::Off, 0);
    }

    fn target(&self, number: &str) -> SipUri {
        SipUri::new(number, &self.endpoint.settings().identity.domain)
    }

    fn send_register(&mut self, now: Time, expires_s: u32) {
        self.cseq = self.cseq.wrapping_add(1).max(1);
        let identity = &self.endpoint.settings().identity;
        let record = identity.address_of_record();
        let draft = Draft::request(Method::Register, SipUri::of_domain(&identity.domain))
            .with("Via", "")
            .with("Max-Forwards", 70)
            .with("From", identity.from_text(&self.tag))
            .with("To", format!("<{record}>"))
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} REGISTER", self.cseq))
            .with("Contact", identity.contact())
            .with("Expires", expires_s)
            .with("User-Agent", &identity.user_agent);
        self.registration = Registration::Asking { expires_s };
        self.endpoint.send_outside(now, draft);
    }

    fn on_register_answer(&mut self, now: Time, answer: Option<&Received>) {
        let Registration::Asking { expires_s: asked } = self.registration else { return };
        let status = answer.and_then(Received::status).unwrap_or(408);
        self.cseq = self.cseq.max(answer.map_or(0, |answer| answer.cseq));
        match (status, answer) {
            (200..300, Some(_)) if asked == 0 => {
                self.registration = Registration::Off;
                self.endpoint.report(PhoneReport::Unregistered);
            }
            (200..300, Some(answer)) => match self.granted(answer, asked) {
                Some(expires_s) => {
                    // Refresh after four fifths of the lifetime: room for every repeat of a lost REGISTER.
                    let refresh_at = now + Duration::from_millis(u64::from(expires_s) * 800);
                    self.registration = Registration::Held { refresh_at };
                    self.endpoint.report(PhoneReport::Registered { expires_s });
                }
                None => self.on_register_failed(now, status),
            },
            // RFC 3261 §10.3 item 7: the registrar names the shortest lifetime that it takes.
            (423, Some(answer)) => match answer.header("Min-Expires").and_then(|text| text.trim().parse().ok()) {
                Some(least) if least > asked => {
                    self.expires_s = least;
                    self.send_register(now, least);
                }
                _ => self.on_register_failed(now, status),
            },
            _ => self.on_register_failed(now, status),
        }
    }

    fn on_register_failed(&mut self, now: Time, status: u16) {
        self.registration = Registration::Waiting { retry_at: now + REGISTER_RETRY };
        self.endpoint.report(PhoneReport::RegistrationFailed { status });
    }

    /// The lifetime of our own contact among those that the registrar lists; `None` where it lists it not.
    fn granted(&self, answer: &Received, asked: u32) -> Option<u32> {
        let local = self.endpoint.settings().identity.local;
        let ours = answer.contacts.iter().find(|contact| contact.uri.literal_address() == Some(local))?;
        let general = answer.header("Expires").and_then(|text| text.trim().parse().ok());
        Some(ours.expires.or(general).unwrap_or(asked))
    }

    fn on_outcomes(&mut self, now: Time) {
        while let Some(outcome) = self.endpoint.poll_outcome() {
            match outcome {
                Outcome::Invited(call, _) => self.endpoint.follow(now, call, &self.plan),
                Outcome::Asked(key, request) => {
                    self.endpoint.answer_outside(now, &key, &request, 405, |draft| draft);
                }
                Outcome::Outside(_, answer) => self.on_register_answer(now, answer.as_deref()),
            }
        }
    }
}

impl UserAgent for Phone {
    fn handle(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        self.endpoint.handle(now, from, bytes);
        self.on_outcomes(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        match self.registration {
            Registration::Held { refresh_at: due } | Registration::Waiting { retry_at: due } if due <= now => {
                self.register(now);
            }
            _ => {}
        }
        self.endpoint.handle_timeout(now);
        self.on_outcomes(now);
    }

    fn poll_timeout(&self) -> Option<Time> {
        let registration = match self.registration {
            Registration::Held { refresh_at: due } | Registration::Waiting { retry_at: due } => Some(due),
            Registration::Off | Registration::Asking { .. } => None,
        };
        [registration, self.endpoint.poll_timeout()].into_iter().flatten().min()
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

fn endpoint_settings(settings: PhoneSettings) -> EndpointSettings {
    let PhoneSettings { user, domain, display, local, switch, media, codecs, credentials, .. } = settings;
    let user_agent = "Strowger simulated phone (rsip)".to_owned();
    EndpointSettings {
        identity: Identity { user, domain, display, local, user_agent },
        peer: switch,
        media,
        codecs,
        login: credentials.map(Login::new),
        max_calls: limits::SIM_PHONE_CALLS,
        full_status: 486,
        options_status: Some(200),
        takes_refer: true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_line::{Line, addr, registrar};
    use super::*;
    use crate::sim::digest::Algorithm;

    const A: &str = "127.0.2.1:5060";
    const B: &str = "127.0.2.2:5060";
    const REGISTRAR: &str = "127.0.1.1:5060";

    fn phone(user: &str, local: &str, peer: &str) -> Phone {
        Phone::new(PhoneSettings::new(user, "example.com", addr(local), addr(peer)), u64::from(addr(local).port()))
    }

    /// Two phones that call each other without a switch between them.
    fn pair(line: Line, plan: AnswerPlan) -> Line {
        let mut bob = phone("1002", B, A);
        bob.set_plan(plan);
        line.with(A, phone("1001", A, B)).with(B, bob)
    }

    fn dial(line: &mut Line) -> CallKey {
        let now = line.now();
        line.phone(A).call(now, "1002").unwrap()
    }

    const CALL: CallKey = CallKey(1);

    fn ended(status: u16, by: EndedBy) -> PhoneReport {
        PhoneReport::Ended { call: CALL, ending: Ending { status, by } }
    }

    #[test]
    fn a_phone_registers_by_digest_refreshes_before_its_time_and_unregisters() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let mut settings = PhoneSettings::new("1001", "example.com", addr(A), addr(REGISTRAR));
            settings.credentials = Some(Credentials::new("1001", "secret"));
            let line = Line::clean(1).with(REGISTRAR, registrar(REGISTRAR, "1001", "secret", algorithm, 60));
            let mut line = line.with(A, Phone::new(settings, 7));
            let now = line.now();
            line.phone(A).register(now);
            line.run_for(Duration::from_secs(150));
            assert_eq!(line.said(A), vec![PhoneReport::Registered { expires_s: 60 }; 4], "at 0, 48, 96 and 144 s");
            assert!(line.phone(A).is_registered());
            let now = line.now();
            line.phone(A).unregister(now);
            line.run_for(Duration::from_secs(100));
            assert_eq!(line.said(A)[4..], [PhoneReport::Unregistered]);
            let last = line.said(REGISTRAR).pop().unwrap();
            assert!(matches!(last, PhoneReport::PeerRegistered { expires_s: 0, .. }), "{last:?}");
        }
    }

    #[test]
    fn a_wrong_password_is_refused_and_tried_again_later_not_at_once() {
        let mut settings = PhoneSettings::new("1001", "example.com", addr(A), addr(REGISTRAR));
        settings.credentials = Some(Credentials::new("1001", "wrong"));
        let line = Line::clean(1).with(REGISTRAR, registrar(REGISTRAR, "1001", "secret", Algorithm::Sha256, 60));
        let mut line = line.with(A, Phone::new(settings, 7));
        let now = line.now();
        line.phone(A).register(now);
        line.run_for(Duration::from_secs(20));
        assert_eq!(line.said(A), [PhoneReport::RegistrationFailed { status: 403 }]);
        assert_eq!(line.sent(A), 2, "one REGISTER without and one with credentials");
        line.run_for(Duration::from_secs(20));
        assert_eq!(line.said(A).len(), 2);
    }

    #[test]
    fn a_registrar_that_is_dead_is_asked_again_after_the_pause() {
        let mut line = Line::clean(1).with(A, phone("1001", A, REGISTRAR));
        let now = line.now();
        line.phone(A).register(now);
        line.run_for(Duration::from_secs(40));
        assert_eq!(line.said(A), [PhoneReport::RegistrationFailed { status: 408 }]);
        let line = line.with(REGISTRAR, registrar(REGISTRAR, "", "", Algorithm::Md5, 60));
        let mut line = line;
        line.run_for(Duration::from_secs(60));
        assert_eq!(line.said(A).last(), Some(&PhoneReport::Registered { expires_s: 60 }));
    }

    #[test]
    fn a_call_rings_is_answered_and_ends_by_either_side() {
        for ender in [A, B] {
            let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::from_secs(2)));
            dial(&mut line);
            line.run_for(Duration::from_secs(5));
            let Some(PhoneReport::Media { path, .. }) = line.said(A).get(2).cloned() else {
                panic!("{:?}", line.said(A))
            };
            assert_eq!(path.remote, addr("127.0.2.2:40000"));
            assert_eq!((path.codec, path.event_payload_type), (Codec::Pcmu, Some(101)));
            assert!(path.send && path.receive);
            assert_eq!(line.said(A)[1], PhoneReport::Progress { call: CALL, status: 180 });
            assert_eq!(line.said(A)[3], PhoneReport::Answered { call: CALL });
            assert_eq!(line.said(B).last(), Some(&PhoneReport::Answered { call: CALL }));
            let now = line.now();
            line.phone(ender).endpoint().hang_up(now, CALL).unwrap();
            line.run_for(Duration::from_secs(1));
            let (a, b) = if ender == A { (EndedBy::Us, EndedBy::Them) } else { (EndedBy::Them, EndedBy::Us) };
            assert_eq!(line.said(A).last(), Some(&ended(200, a)));
            assert_eq!(line.said(B).last(), Some(&ended(200, b)));
            line.assert_at_rest();
        }
    }

    #[test]
    fn busy_decline_and_unavailable_reach_the_caller_as_they_were_said() {
        for status in [486, 603, 480] {
            let mut line = pair(Line::clean(1), AnswerPlan::refuse_after(Duration::from_secs(1), status));
            dial(&mut line);
            line.run_for(Duration::from_secs(2));
            assert_eq!(line.said(A).last(), Some(&ended(status, EndedBy::Them)));
            assert_eq!(line.said(B).last(), Some(&ended(status, EndedBy::Us)));
            line.assert_at_rest();
        }
    }

    #[test]
    fn a_caller_may_give_up_at_every_stage() {
        // After so many milliseconds on a line with 20 ms each way; what the caller and the called phone see.
        let they_saw_a_call = [(0, 487), (10, 487), (30, 487), (500, 487), (1_999, 487), (2_010, 487), (3_000, 200)];
        for (after_ms, status) in they_saw_a_call {
            let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::from_secs(2)));
            dial(&mut line);
            line.run_for(Duration::from_millis(after_ms));
            let now = line.now();
            line.phone(A).endpoint().hang_up(now, CALL).unwrap();
            line.run_for(Duration::from_secs(5));
            assert_eq!(line.said(A).last(), Some(&ended(status, EndedBy::Us)), "after {after_ms} ms");
            let Some(PhoneReport::Ended { ending, .. }) = line.said(B).last().cloned() else { panic!("{after_ms}") };
            assert_eq!(ending.by, EndedBy::Them, "after {after_ms} ms");
            line.assert_at_rest();
        }
    }

    #[test]
    fn a_caller_who_gives_up_on_a_silent_phone_ends_by_silence() {
        let mut line = pair(Line::clean(1), AnswerPlan::silent());
        dial(&mut line);
        line.run_for(Duration::from_secs(33));
        assert_eq!(line.said(A).last(), Some(&ended(408, EndedBy::Silence)));
        assert_eq!(line.sent(A), 7);
    }

    #[test]
    fn hold_stops_the_voice_and_resume_brings_it_back_from_either_side() {
        for (holder, held) in [(A, B), (B, A)] {
            let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO));
            dial(&mut line);
            line.run_for(Duration::from_secs(1));
            for (hold, flows) in [(true, (false, false)), (false, (true, true))] {
                let now = line.now();
                let endpoint = line.phone(holder).endpoint();
                if hold { endpoint.hold(now, CALL) } else { endpoint.resume(now, CALL) }.unwrap();
                line.run_for(Duration::from_secs(1));
                assert_eq!(line.said(holder).last(), Some(&PhoneReport::Reinvited { call: CALL, status: 200 }));
                assert_eq!(line.said(held).last(), Some(&PhoneReport::ReinvitedByPeer { call: CALL }));
                let (ours, theirs) = (line.media(holder), line.media(held));
                assert_eq!((ours.send, theirs.send), flows, "hold={hold}");
            }
        }
    }

    #[test]
    fn a_held_phone_that_is_reinvited_stays_held_by_its_own_user() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO));
        dial(&mut line);
        line.run_for(Duration::from_secs(1));
        for who in [A, B] {
            let now = line.now();
            line.phone(who).endpoint().hold(now, CALL).unwrap();
            line.run_for(Duration::from_secs(1));
        }
        let now = line.now();
        line.phone(A).endpoint().resume(now, CALL).unwrap();
        line.run_for(Duration::from_secs(1));
        assert!(!line.media(A).send && !line.media(B).send);
    }

    #[test]
    fn moved_media_is_sent_to_its_new_port() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO));
        dial(&mut line);
        line.run_for(Duration::from_secs(1));
        let now = line.now();
        line.phone(A).endpoint().move_media(now, CALL).unwrap();
        line.run_for(Duration::from_secs(1));
        assert_eq!(line.media(A).local, addr("127.0.2.1:40002"));
        assert_eq!(line.media(B).remote, addr("127.0.2.1:40002"));
        assert!(line.said(A).contains(&PhoneReport::MediaOpened { call: CALL, local: addr("127.0.2.1:40002") }));
    }

    #[test]
    fn two_holds_that_cross_are_both_done_in_the_end() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO));
        dial(&mut line);
        line.run_for(Duration::from_secs(1));
        let now = line.now();
        line.phone(A).endpoint().hold(now, CALL).unwrap();
        line.phone(B).endpoint().hold(now, CALL).unwrap();
        line.run_for(Duration::from_secs(10));
        for who in [A, B] {
            assert!(line.said(who).contains(&PhoneReport::Reinvited { call: CALL, status: 200 }), "{who}");
        }
        assert!(!line.media(A).send && !line.media(B).send);
    }

    #[test]
    fn a_blind_transfer_moves_the_other_phone_to_a_third() {
        const C: &str = "127.0.2.3:5060";
        let mut carol = phone("1003", C, B);
        carol.set_plan(AnswerPlan::answer_after(Duration::from_secs(1)));
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO)).with(C, carol);
        dial(&mut line);
        line.run_for(Duration::from_secs(1));
        // Bob has no switch to send his new call to: the target names Carol's address itself.
        line.phone(B).endpoint().settings_mut().peer = addr(C);
        let now = line.now();
        line.phone(A).transfer(now, CALL, "1003").unwrap();
        line.run_for(Duration::from_secs(3));
        let transfer: Vec<PhoneReport> =
            line.said(A).into_iter().filter(|said| matches!(said, PhoneReport::Transfer { .. })).collect();
        let statuses = [202, 100, 200].map(|status| PhoneReport::Transfer { call: CALL, status });
        assert_eq!(transfer, statuses);
        assert_eq!(line.said(A).last(), Some(&ended(200, EndedBy::Us)));
        assert!(line.said(C).contains(&PhoneReport::Answered { call: CALL }));
        assert_eq!(line.phone(B).endpoint().calls().collect::<Vec<_>>(), [CallKey(2)]);
    }

    #[test]
    fn an_info_digit_arrives_and_a_telephone_event_is_asked_of_the_media() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO));
        dial(&mut line);
        line.run_for(Duration::from_secs(1));
        let now = line.now();
        line.phone(A).endpoint().info_digit(now, CALL, '#').unwrap();
        line.phone(A).endpoint().press(CALL, '5', 120).unwrap();
        line.run_for(Duration::from_secs(1));
        assert_eq!(line.said(B).last(), Some(&PhoneReport::Digit { call: CALL, digit: '#' }));
        assert_eq!(line.said(A).last(), Some(&PhoneReport::Press { call: CALL, digit: '5', duration_ms: 120 }));
    }

    #[test]
    fn a_phone_that_answers_twice_is_left_with_one_call() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_twice_after(Duration::from_secs(1)));
        dial(&mut line);
        line.run_for(Duration::from_secs(10));
        let forks = line.said(A).into_iter().filter(|said| matches!(said, PhoneReport::ForkReleased { .. })).count();
        assert_eq!(forks, 1);
        assert_eq!(line.phone(B).endpoint().calls().count(), 1);
        let now = line.now();
        line.phone(B).endpoint().hang_up(now, CALL).unwrap();
        line.run_for(Duration::from_secs(1));
        assert_eq!(line.said(A).last(), Some(&ended(200, EndedBy::Them)));
        line.assert_at_rest();
    }

    #[test]
    fn a_late_offer_is_answered_in_the_ack() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::from_secs(1)));
        let now = line.now();
        let order = Order { late_offer: true, ..Order::to(SipUri::new("1002", "example.com")) };
        line.phone(A).endpoint().place(now, order).unwrap();
        line.run_for(Duration::from_secs(2));
        assert_eq!(line.media(A).remote, line.media(B).local);
        assert_eq!(line.media(B).remote, line.media(A).local);
    }

    #[test]
    fn the_ninth_call_meets_busy() {
        let mut line = pair(Line::clean(1), AnswerPlan::ring());
        line.phone(A).endpoint().settings_mut().max_calls = 100;
        for _ in 0..=limits::SIM_PHONE_CALLS {
            dial(&mut line);
        }
        line.run_for(Duration::from_secs(1));
        let busy = Ending { status: 486, by: EndedBy::Them };
        assert_eq!(line.said(A).last(), Some(&PhoneReport::Ended { call: CallKey(9), ending: busy }));
        assert_eq!(line.phone(B).endpoint().calls().count(), limits::SIM_PHONE_CALLS);
        let now = line.now();
        let mut ninth = Vec::new();
        for _ in 0..2 {
            ninth.push(line.phone(B).call(now, "1001"));
        }
        assert_eq!(ninth, [Err(PhoneError::Full); 2]);
    }

    #[test]
    fn reports_that_nobody_reads_push_out_the_oldest() {
        let mut phone = phone("1001", A, B);
        phone.endpoint().report(PhoneReport::Unregistered);
        for _ in 0..limits::SIM_REPORTS {
            phone.endpoint().report(PhoneReport::Stray { status: 481 });
        }
        let reports: Vec<PhoneReport> = core::iter::from_fn(|| phone.poll_report()).collect();
        assert_eq!(reports.len(), limits::SIM_REPORTS);
        assert!(!reports.contains(&PhoneReport::Unregistered));
    }

    #[test]
    fn a_rebooted_phone_answers_481_and_its_partner_hangs_up() {
        let mut line = pair(Line::clean(1), AnswerPlan::answer_after(Duration::ZERO));
        dial(&mut line);
        line.run_for(Duration::from_secs(1));
        line.phone(B).reboot();
        let now = line.now();
        line.phone(A).endpoint().hold(now, CALL).unwrap();
        line.run_for(Duration::from_secs(1));
        assert!(line.said(B).contains(&PhoneReport::Stray { status: 481 }));
        assert!(line.said(A).contains(&ended(481, EndedBy::Them)));
    }

    /// A call with hold, resume and BYE on lines that lose, double and reorder: it must come out the same.
    #[test]
    fn calls_survive_loss_doubling_and_reordering() {
        for seed in 0..60 {
            let line = Line::lossy(seed, 200, 100, Duration::from_millis(300));
            let mut line = pair(line, AnswerPlan::answer_after(Duration::from_secs(1)));
            dial(&mut line);
            line.run_for(Duration::from_secs(30));
            let answered = PhoneReport::Answered { call: CALL };
            assert!(line.said(A).contains(&answered) && line.said(B).contains(&answered), "seed {seed}");
            let now = line.now();
            line.phone(B).endpoint().hold(now, CALL).unwrap();
            line.run_for(Duration::from_secs(30));
            assert!(!line.media(A).send && !line.media(B).send, "seed {seed}");
            let now = line.now();
            line.phone(A).endpoint().hang_up(now, CALL).unwrap();
            line.run_for(Duration::from_secs(70));
            assert_eq!(line.said(A).last(), Some(&ended(200, EndedBy::Us)), "seed {seed}");
            assert_eq!(line.said(B).iter().filter(|said| matches!(said, PhoneReport::Ended { .. })).count(), 1);
            line.assert_at_rest();
        }
    }

    #[test]
    fn the_same_seed_sends_the_same_bytes() {
        let trace = |seed| {
            let mut line = pair(Line::lossy(seed, 100, 50, Duration::from_millis(200)), AnswerPlan::ring());
            dial(&mut line);
            line.run_for(Duration::from_secs(20));
            line.trace().to_vec()
        };
        assert_eq!(trace(5), trace(5));
        assert_ne!(trace(5), trace(6));
    }
}

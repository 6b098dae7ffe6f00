//! Our own registration at a trunk (RFC 3261 §10.2): kept alive, with digest, back-off, and a line token in the Contact.

use core::time::Duration;

use super::authenticator::Authenticator;
use super::carrier::{Carrier, Owner, RequestId};
use super::header::Name;
use super::invite::{Credentials, Party, Target};
use super::request::{Draft, OurContact};
use super::transaction::What;
use super::{Message, Method};
use crate::ids::{SecretSource, TrunkName};
use crate::time::Time;

/// What a trunk wants to hear.
#[derive(Clone, Debug)]
pub struct RegistrationSettings {
    /// Where to: the registrar's URI (`sip:trunk.example`), its routes, maybe a fixed destination.
    pub registrar: Target,
    /// The address of record: `sip:021555@trunk.example`.
    pub aor: Party,
    pub credentials: Option<Credentials>,
    /// Seconds to ask for.
    pub expires: u32,
}

/// One registration.
///
/// | state | 2xx | 423 | 401/407 | other, time-out | time |
/// |---|---|---|---|---|---|
/// | asking | → up, refresh at 4/5 | ask for more, at once | ask with digest | → down, back off | – |
/// | up, down | – | – | – | – | → asking |
pub struct Registration {
    trunk: TrunkName,
    settings: RegistrationSettings,
    /// In the Contact, so that a call from the trunk names its line.
    line: String,
    call_id: String,
    tag: String,
    cseq: u32,
    expires: u32,
    authenticator: Authenticator,
    asking: Option<(RequestId, Draft)>,
    next: Option<Time>,
    up: Option<bool>,
    failures: u32,
}

/// A change worth telling: up or down, and why.
pub type Change = Option<(bool, String)>;

/// RFC 5626 §4.5: the first wait, doubled with each failure, and the longest, in seconds.
const BACK_OFF: (u64, u64) = (30, 1_800);
/// The shortest time between two REGISTERs that succeed, in seconds: a registrar may answer nonsense.
const SHORTEST: u32 = 10;

impl Registration {
    pub fn new(now: Time, trunk: TrunkName, settings: RegistrationSettings, secrets: &mut SecretSource) -> Self {
        Self {
            trunk,
            line: secrets.token(),
            call_id: secrets.token(),
            tag: secrets.token(),
            cseq: 0,
            expires: settings.expires,
            authenticator: Authenticator::new(settings.credentials.clone()),
            asking: None,
            next: Some(now),
            up: None,
            failures: 0,
            settings,
        }
    }

    pub fn line(&self) -> &str {
        &self.line
    }

    pub fn settings(&self) -> &RegistrationSettings {
        &self.settings
    }

    pub fn is_up(&self) -> bool {
        self.up == Some(true)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.next
    }

    pub fn handle_timeout(&mut self, now: Time, carrier: &mut Carrier) -> Change {
        self.next.take_if(|at| *at <= now)?;
        self.ask(now, carrier, self.expires)
    }

    /// Takes the contact away again; nobody waits for the answer.
    pub fn end(&mut self, now: Time, carrier: &mut Carrier) {
        self.next = None;
        if self.up == Some(true) {
            let draft = self.draft(0);
            let mut draft = draft;
            self.authenticator.sign(&mut draft, &mut carrier.secrets);
            let _ = carrier.request(now, Owner::Nobody, draft, self.settings.registrar.destination);
        }
    }

    fn ask(&mut self, now: Time, carrier: &mut Carrier, expires: u32) -> Change {
        let mut draft = self.draft(expires);
        self.authenticator.sign(&mut draft, &mut carrier.secrets);
        let owner = Owner::Registration(self.trunk.clone());
        match carrier.request(now, owner, draft.clone(), self.settings.registrar.destination) {
            Ok(request) => {
                self.asking = Some((request, draft));
                None
            }
            Err(_) => self.fail(now, None, "the request could not be sent".to_owned(), &mut carrier.secrets),
        }
    }

    fn draft(&mut self, expires: u32) -> Draft {
        self.cseq += 1;
        let aor = self.settings.aor.name_addr();
        let user =
            super::Uri::parse(&self.settings.aor.uri).ok().and_then(|uri| uri.user_text().map(|u| u.into_owned()));
        Draft {
            method: Method::Register,
            uri: self.settings.registrar.uri.clone(),
            route: self.settings.registrar.route.clone(),
            from: format!("{aor};tag={}", self.tag),
            to: aor,
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            max_forwards: 70,
            contact: Some(OurContact {
                user: user.unwrap_or_default(),
                uri_params: format!(";line={}", self.line),
                params: format!(";expires={expires}"),
            }),
            headers: vec![(Name::Expires.as_str().into(), expires.to_string())],
            body: None,
            leaves_from: None,
        }
    }

    pub fn handle_outcome(&mut self, now: Time, request: RequestId, what: What, carrier: &mut Carrier) -> Change {
        if self.asking.as_ref().is_none_or(|(asked, _)| *asked != request) {
            return None;
        }
        let response = match what {
            What::Gone => return None,
            What::TimedOut => return self.fail(now, None, "no answer to REGISTER".to_owned(), &mut carrier.secrets),
            What::Unreachable => {
                return self.fail(now, None, "the registrar cannot be reached".to_owned(), &mut carrier.secrets);
            }
            What::Response(response) => response,
        };
        match response.status().unwrap_or(0) {
            100..=199 => None,
            200..=299 => self.succeed(now, &response),
            401 | 407 if self.authenticator.handle_challenge(&response) => self.ask(now, carrier, self.expires),
            423 if self.take_min_expires(&response) => self.ask(now, carrier, self.expires),
            status => {
                let wait =
                    response.header(Name::RetryAfter).and_then(|h| h.text()?.split([' ', ';']).next()?.parse().ok());
                let reason = format!("{status} {}", response.reason());
                self.fail(now, wait, reason, &mut carrier.secrets)
            }
        }
    }

    fn take_min_expires(&mut self, response: &Message) -> bool {
        let min = response.header(Name::MinExpires).and_then(|h| h.text()?.trim().parse::<u32>().ok());
        match min {
            Some(min) if min > self.expires => {
                self.expires = min;
                true
            }
            _ => false,
        }
    }

    fn succeed(&mut self, now: Time, response: &Message) -> Change {
        self.asking = None;
        self.failures = 0;
        self.authenticator.handle_success();
        let ours = |contact: &super::header::Contact<'_>| {
            contact.address().is_some_and(|address| address.uri().params().get("line") == Some(&self.line))
        };
        let granted = response.contacts().filter_map(Result::ok).find(ours).and_then(|contact| contact.expires());
        let header = response.expires().ok().flatten();
        let seconds = granted.or(header).unwrap_or(self.expires).max(SHORTEST);
        self.next = Some(now + Duration::from_secs(u64::from(seconds) * 4 / 5));
        self.change(true, "registered".to_owned())
    }

    fn fail(&mut self, now: Time, wait: Option<u64>, reason: String, secrets: &mut SecretSource) -> Change {
        self.asking = None;
        let (first, longest) = BACK_OFF;
        let most = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        // RFC 5626 §4.5: between half and the whole of it, so that a thousand lines don't come back at once.
        let back_off = most / 2 + u64::from(secrets.u32()) % (most / 2 + 1);
        self.next = Some(now + Duration::from_secs(wait.map_or(back_off, |wait| wait.clamp(1, longest))));
        self.failures = self.failures.saturating_add(1);
        self.authenticator = Authenticator::new(self.settings.credentials.clone());
        self.change(false, reason)
    }

    fn change(&mut self, up: bool, reason: String) -> Change {
        let changed = self.up != Some(up);
        self.up = Some(up);
        changed.then_some((up, reason))
    }
}

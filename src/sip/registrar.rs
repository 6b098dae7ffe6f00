//! The registrar (RFC 3261 §10.3): which contacts an account can be reached at, and for how long.
//!
//! The address of record is the account's name: the user part of To. Its host is not judged, for phones write our name
//! in many ways, and the digest realm tells domains apart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::digest::{Algorithm, DigestServer, Ha1, HashFunction, Outcome, Refusal};
use super::event::{UaEvent, Unbound};
use super::flow::{FlowId, Listener, Source};
use super::header::{Contact, Name, NameAddr};
use super::invite::Target;
use super::session::is_behind_nat;
use super::uri::Scheme;
use super::{Message, Uri};
use crate::ids::AccountName;
use crate::limits::ua::{CONTACT_BYTES, CONTACTS, REGISTRATIONS};
use crate::time::Time;
use core::time::Duration;

/// Accounts and their bindings.
pub struct Registrar {
    accounts: BTreeMap<AccountName, Vec<Ha1>>,
    bindings: BTreeMap<AccountName, Vec<Binding>>,
    /// When which contact ends.
    expiries: BTreeSet<(Time, AccountName, String)>,
    /// Contacts there may be altogether, and of one account.
    most: usize,
    most_of_one: usize,
    /// Which accounts are bound over a flow.
    flows: BTreeSet<(FlowId, SocketAddr, AccountName)>,
    digest: DigestServer,
    expires: Expires,
    events: VecDeque<UaEvent>,
}

/// One contact of an account, as it is kept over a restart too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The Contact URI: the Request-URI of calls to it.
    pub contact: String,
    pub expires: Time,
    /// Preference in thousandths, 1000 first.
    pub q: u16,
    pub call_id: String,
    pub cseq: u32,
    /// Where the REGISTER came from.
    pub source: Source,
    /// Calls go back over that flow: the contact is behind NAT, or only reachable by its connection.
    pub by_flow: bool,
    /// `+sip.instance` and `reg-id` (RFC 5626 §4.1): a phone that comes back replaces its old contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<(String, u32)>,
    /// Path (RFC 3327): the Route of calls to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
}

/// Seconds that a contact may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expires {
    /// Less is refused with 423.
    pub min: u32,
    /// More is shortened.
    pub max: u32,
    /// Where the phone names none.
    pub default: u32,
}

impl Default for Expires {
    fn default() -> Self {
        Self { min: 60, max: 3_600, default: 600 }
    }
}

/// The response to a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Empty for the usual phrase.
    pub reason: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

/// Who a request is from, by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Account(AccountName),
    /// Challenge with these WWW-Authenticate values.
    Unknown {
        challenges: Vec<String>,
    },
    Wrong,
}

/// One contact of a REGISTER, read and judged.
struct Wanted {
    contact: String,
    /// Zero removes.
    seconds: u32,
    q: u16,
    instance: Option<(String, u32)>,
}

impl Answer {
    fn status(status: u16, reason: &'static str) -> Self {
        Self { status, reason, headers: Vec::new() }
    }
}

impl Registrar {
    /// `secret` signs nonces and never leaves the process; `digest` is what challenges offer.
    pub fn new(realm: &str, secret: [u8; 32], expires: Expires, digest: &[Algorithm]) -> Self {
        Self {
            accounts: BTreeMap::new(),
            bindings: BTreeMap::new(),
            expiries: BTreeSet::new(),
            flows: BTreeSet::new(),
            digest: DigestServer::new(realm, secret).offering(digest),
            expires,
            events: VecDeque::new(),
            most: REGISTRATIONS,
            most_of_one: CONTACTS,
        }
    }

    /// Contacts altogether, and of one account.
    pub fn set_bounds(&mut self, altogether: usize, of_one: usize) {
        (self.most, self.most_of_one) = (altogether.min(REGISTRATIONS), of_one.min(CONTACTS));
    }

    pub fn set_expires(&mut self, expires: Expires) {
        self.expires = expires;
    }

    pub fn set_digest(&mut self, digest: &[Algorithm]) {
        self.digest.offer(digest);
    }

    // -- accounts ----------------------------------------------------------------------------------------------------

    /// Adds an account or changes its secrets: HA1 for each hash function, never the password.
    pub fn set_account(&mut self, account: AccountName, secrets: Vec<Ha1>) {
        self.accounts.insert(account, secrets);
    }

    /// Removes an account and all its contacts.
    pub fn remove_account(&mut self, account: &AccountName) {
        self.accounts.remove(account);
        for binding in self.bindings.remove(account).unwrap_or_default() {
            self.forget(account, &binding, Unbound::AccountRemoved);
        }
    }

    pub fn has_account(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// Checks the digest of any request of an account (RFC 3261 §22).
    pub fn identify(&mut self, now: Time, request: &Message) -> Identity {
        let accounts = &self.accounts;
        let ha1 = |user: &str, hash: HashFunction| accounts.get(user)?.iter().find(|ha1| ha1.hash() == hash).cloned();
        match self.digest.check(now, request, Name::Authorization, ha1) {
            Outcome::Accepted { user } => Identity::Account(AccountName::new(user)),
            Outcome::Missing => Identity::Unknown { challenges: self.digest.challenges(now, false) },
            Outcome::Stale => Identity::Unknown { challenges: self.digest.challenges(now, true) },
            // From before a reload that offers other algorithms: asked anew, not shut out.
            Outcome::Refused { why: Refusal::Algorithm, .. } => {
                Identity::Unknown { challenges: self.digest.challenges(now, false) }
            }
            Outcome::Refused { .. } => Identity::Wrong,
        }
    }

    // -- look-up -----------------------------------------------------------------------------------------------------

    /// The contacts of an account, the most wanted first, the newest of equals first.
    pub fn bindings(&self, account: &str) -> Vec<&Binding> {
        let mut bindings: Vec<&Binding> = self.bindings.get(account).into_iter().flatten().collect();
        bindings.sort_by_key(|binding| (core::cmp::Reverse(binding.q), core::cmp::Reverse(binding.expires)));
        bindings
    }

    pub fn is_bound(&self, account: &str) -> bool {
        self.bindings.contains_key(account)
    }

    /// Where a call to an account goes.
    pub fn targets(&self, account: &str) -> Vec<Target> {
        self.bindings(account).into_iter().map(Binding::target).collect()
    }

    /// Every binding, by account: for a snapshot.
    pub fn all(&self) -> impl Iterator<Item = (&AccountName, &Binding)> {
        self.bindings.iter().flat_map(|(account, bindings)| bindings.iter().map(move |binding| (account, binding)))
    }

    /// The account that is bound over this very flow; where several are, the one that From names.
    pub fn account_at(&self, source: Source, from_user: &str) -> Option<AccountName> {
        let from = (source.flow, source.remote, AccountName::new(""));
        let here = |key: &&(FlowId, SocketAddr, AccountName)| (key.0, key.1) == (source.flow, source.remote);
        let mut bound = self.flows.range(from..).take_while(here).map(|(_, _, account)| account);
        let (first, second) = (bound.next()?, bound.next());
        let named = AccountName::new(from_user);
        match second {
            None => Some(first.clone()),
            Some(_) => self.flows.contains(&(source.flow, source.remote, named.clone())).then_some(named),
        }
    }

    // -- REGISTER ----------------------------------------------------------------------------------------------------

    pub fn handle_register(&mut self, now: Time, request: &Message, source: Source) -> Answer {
        let scheme = request.to().map(|to| to.uri().scheme());
        if !matches!(scheme, Ok(Scheme::Sip | Scheme::Sips)) {
            return Answer::status(400, "Address of Record Is No SIP URI");
        }
        let to = request.to().ok().and_then(|to| to.uri().user_text().map(|user| AccountName::new(&*user)));
        let Some(account) = to else { return Answer::status(404, "") };
        match self.identify(now, request) {
            Identity::Account(by) if by == account => {}
            Identity::Account(_) | Identity::Wrong => return Answer::status(403, ""),
            Identity::Unknown { challenges } => {
                let headers = challenges.into_iter().map(|value| (Name::WwwAuthenticate.as_str(), value));
                return Answer { headers: headers.collect(), ..Answer::status(401, "") };
            }
        }
        match self.apply(now, &account, request, source) {
            Ok(()) => self.confirm(now, &account),
            Err(answer) => answer,
        }
    }

    /// All or nothing (§10.3 step 7): everything is judged before anything changes.
    fn apply(&mut self, now: Time, account: &AccountName, request: &Message, source: Source) -> Result<(), Answer> {
        let contacts: Vec<Contact<'_>> = request.contacts().filter_map(Result::ok).collect();
        let cseq = request.cseq().map_err(|_| Answer::status(400, "Bad CSeq"))?.number;
        let call_id = request.call_id().map_err(|_| Answer::status(400, "Bad Call-ID"))?;
        let known = self.bindings.get(account).map_or(&[][..], Vec::as_slice);
        let in_order = |binding: &Binding| binding.call_id != call_id || cseq > binding.cseq;
        let out_of_order = || Answer::status(500, "CSeq Out of Order");
        if contacts.iter().any(|contact| contact.address().is_none()) {
            // §10.2.2: the star stands alone, and only to remove.
            if contacts.len() != 1 || request.expires() != Ok(Some(0)) {
                return Err(Answer::status(400, "Star Needs Expires 0"));
            }
            if !known.iter().all(in_order) {
                return Err(out_of_order());
            }
            for binding in self.bindings.remove(account).unwrap_or_default() {
                self.forget(account, &binding, Unbound::Removed);
            }
            return Ok(());
        }
        let wanted = contacts.iter().filter_map(Contact::address).map(|contact| self.judge(request, contact));
        let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
        if !wanted.iter().flat_map(|wanted| known.iter().filter(|b| wanted.is_same(b))).all(in_order) {
            return Err(out_of_order());
        }
        let kept = known.iter().filter(|binding| !wanted.iter().any(|wanted| wanted.is_same(binding))).count();
        let added = wanted.iter().filter(|wanted| wanted.seconds > 0).count();
        if added > 0 && kept + added > known.len().max(self.most_of_one) {
            return Err(Answer::status(403, "Too Many Contacts"));
        }
        // One expiry a contact. What only replaces is let in, however full it is.
        let altogether = (self.expiries.len() + kept + added).saturating_sub(known.len());
        if altogether > self.most.max(self.expiries.len()) {
            let headers = vec![(Name::RetryAfter.as_str(), "60".to_owned())];
            return Err(Answer { headers, ..Answer::status(503, "Too Many Registrations") });
        }
        for wanted in wanted {
            self.bind(now, account, wanted, request, source);
        }
        Ok(())
    }

    fn judge(&self, request: &Message, contact: &NameAddr<'_>) -> Result<Wanted, Answer> {
        let uri = contact.uri();
        if !matches!(uri.scheme(), Scheme::Sip | Scheme::Sips) || uri.as_str().len() > CONTACT_BYTES {
            return Err(Answer::status(400, "Bad Contact"));
        }
        // RFC 3261 §10.3 step 7: the contact's own, the header's, or the default; a malformed one counts as none.
        let written = contact.params().get("expires").map(str::parse);
        let header = request.expires().ok().flatten();
        let seconds = written.map_or(header, Result::ok).unwrap_or(self.expires.default);
        if (1..self.expires.min).contains(&seconds) {
            let headers = vec![(Name::MinExpires.as_str(), self.expires.min.to_string())];
            return Err(Answer { headers, ..Answer::status(423, "") });
        }
        let instance = contact.params().text("+sip.instance").map(|instance| {
            let reg_id = contact.params().number("reg-id").unwrap_or(0);
            (instance.chars().take(CONTACT_BYTES).collect(), reg_id)
        });
        Ok(Wanted {
            contact: uri.as_str().to_owned(),
            seconds: seconds.min(self.expires.max),
            q: Contact::Address(*contact).q(),
            instance,
        })
    }

    fn bind(&mut self, now: Time, account: &AccountName, wanted: Wanted, request: &Message, source: Source) {
        let contact = wanted.contact.clone();
        let mut bindings = self.bindings.remove(account).unwrap_or_default();
        let replaced = bindings.extract_if(.., |binding| wanted.is_same(binding)).collect::<Vec<_>>();
        if wanted.seconds == 0 {
            self.put(account, bindings);
            replaced.iter().for_each(|binding| self.forget(account, binding, Unbound::Removed));
            return;
        }
        let without_host = Uri::parse(&contact).is_ok_and(|uri| uri.host().as_str().ends_with(".invalid"));
        let path: Vec<String> = request
            .addresses(Name::Path)
            .filter_map(Result::ok)
            .map(|path| format!("<{}>", path.uri().as_str()))
            .collect();
        let user_agent = request.header(Name::UserAgent).and_then(|h| h.text()).unwrap_or_default();
        let binding = Binding {
            contact,
            expires: now + Duration::from_secs(wanted.seconds.into()),
            q: wanted.q,
            call_id: request.call_id().unwrap_or_default().to_owned(),
            cseq: request.cseq().map_or(0, |cseq| cseq.number),
            source,
            by_flow: path.is_empty() && (is_behind_nat(request, source) || without_host),
            instance: wanted.instance,
            path,
            user_agent: user_agent.chars().take(120).collect(),
        };
        self.put(account, bindings);
        replaced.iter().for_each(|old| self.unindex(account, old));
        // A new Contact of the same phone: the old one is gone for whoever follows the events.
        for old in replaced.iter().filter(|old| old.contact != binding.contact) {
            let (account, contact) = (account.clone(), old.contact.clone());
            self.events.push_back(UaEvent::Unbound { account, contact, why: Unbound::Removed });
        }
        self.insert(account, binding.clone());
        self.events.push_back(UaEvent::Bound { account: account.clone(), binding });
    }

    fn insert(&mut self, account: &AccountName, binding: Binding) {
        self.expiries.insert((binding.expires, account.clone(), binding.contact.clone()));
        self.flows.insert((binding.source.flow, binding.source.remote, account.clone()));
        self.bindings.entry(account.clone()).or_default().push(binding);
    }

    fn put(&mut self, account: &AccountName, bindings: Vec<Binding>) {
        if !bindings.is_empty() {
            self.bindings.insert(account.clone(), bindings);
        }
    }

    /// Takes a binding that has left `bindings` out of the indexes.
    fn unindex(&mut self, account: &AccountName, binding: &Binding) {
        self.expiries.remove(&(binding.expires, account.clone(), binding.contact.clone()));
        let at = |other: &Binding| (other.source.flow, other.source.remote);
        let shared = self.bindings.get(account).into_iter().flatten().any(|other| at(other) == at(binding));
        if !shared {
            self.flows.remove(&(binding.source.flow, binding.source.remote, account.clone()));
        }
    }

    fn forget(&mut self, account: &AccountName, binding: &Binding, why: Unbound) {
        self.unindex(account, binding);
        let (account, contact) = (account.clone(), binding.contact.clone());
        self.events.push_back(UaEvent::Unbound { account, contact, why });
    }

    /// 200 with every binding there is (§10.3 step 8).
    fn confirm(&self, now: Time, account: &AccountName) -> Answer {
        let contact = |binding: &Binding| {
            let mut value = format!("<{}>;expires={}", binding.contact, binding.expires.since(now).as_secs());
            if binding.q != 1_000 {
                value += &format!(";q={}.{:03}", binding.q / 1_000, binding.q % 1_000);
            }
            if let Some((instance, reg_id)) = &binding.instance {
                value += &format!(";+sip.instance=\"{instance}\"");
                value += &if *reg_id > 0 { format!(";reg-id={reg_id}") } else { String::new() };
            }
            (Name::Contact.as_str(), value)
        };
        let headers = self.bindings(account.as_str()).into_iter().map(contact).collect();
        Answer { headers, ..Answer::status(200, "") }
    }

    // -- the world goes on -------------------------------------------------------------------------------------------

    /// A connection closed: what was bound over it cannot be reached any more (RFC 5626 §4.2.2).
    pub fn handle_flow_closed(&mut self, flow: FlowId) {
        let here = |(bound, _, _): &&(FlowId, SocketAddr, AccountName)| *bound == flow;
        let accounts: Vec<AccountName> =
            self.flows.iter().filter(here).map(|(_, _, account)| account.clone()).collect();
        for account in accounts {
            self.remove_where(&account, Unbound::FlowClosed, |b| {
                b.source.flow == flow && b.source.transport.is_reliable()
            });
        }
    }

    fn remove_where(&mut self, account: &AccountName, why: Unbound, mut gone: impl FnMut(&Binding) -> bool) {
        let mut bindings = self.bindings.remove(account).unwrap_or_default();
        let removed: Vec<Binding> = bindings.extract_if(.., |binding| gone(binding)).collect();
        self.put(account, bindings);
        removed.iter().for_each(|binding| self.forget(account, binding, why));
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.expiries.first().map(|(at, ..)| *at)
    }

    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, account, contact)) = self.expiries.first().cloned()
            && at <= now
        {
            self.expiries.remove(&(at, account.clone(), contact.clone()));
            self.remove_where(&account, Unbound::Expired, |b| b.contact == contact && b.expires <= now);
        }
    }

    pub fn poll_event(&mut self) -> Option<UaEvent> {
        self.events.pop_front()
    }

    // -- restart -----------------------------------------------------------------------------------------------------

    /// Takes up bindings from before a restart. UDP flows are found again by their local address; a connection is gone,
    /// so that what could only be reached by it is left out. No events: the ledger has them.
    pub fn import(&mut self, now: Time, bindings: Vec<(AccountName, Binding)>, listeners: &[Listener]) {
        for (account, mut binding) in bindings {
            let listener =
                listeners.iter().find(|l| l.transport == binding.source.transport && l.local == binding.source.local);
            let reachable = !(binding.source.transport.is_reliable() && binding.by_flow) && listener.is_some();
            let room =
                self.bindings.get(&account).map_or(self.bindings.len() < REGISTRATIONS, |known| known.len() < CONTACTS);
            if binding.expires <= now || !reachable || !room || !self.accounts.contains_key(&account) {
                continue;
            }
            if let Some(listener) = listener {
                binding.source.flow = listener.flow;
            }
            self.insert(&account, binding);
        }
    }
}

impl Binding {
    pub fn target(&self) -> Target {
        let destination = self.by_flow.then(|| self.source.back());
        Target {
            uri: self.contact.clone(),
            route: self.path.clone(),
            destination,
            registered: Some(self.source),
            media: None,
        }
    }
}

impl Wanted {
    /// The same contact: by URI comparison, or the same instance of a phone (RFC 5626 §6).
    fn is_same(&self, binding: &Binding) -> bool {
        if self.instance.is_some() && self.instance == binding.instance {
            return true;
        }
        let (Ok(a), Ok(b)) = (Uri::parse(&self.contact), Uri::parse(&binding.contact)) else { return false };
        a.is_equivalent(&b)
    }
}

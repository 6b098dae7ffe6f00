//! The plan: everything `strowger.toml` says, checked, in the words of the file.
//!
//! Field names are the keys of the file (singular table names there: `[queue.support]` is `queues["support"]`), so
//! that a difference between two plans can be told in words the administrator wrote.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::hours::{Hours, Zone};
use super::pattern::Pattern;
use super::queue::Queue;
use super::read::{Surroundings, read};
use super::trunk::{CallerId, Transport, Trunk};
use crate::codec::Codec;
use crate::finding::{Finding, Source};
use crate::ids::{DialplanName, HoursName, Language, QueueName, SkillName, TrunkName};
use crate::network::Network;
use crate::number::{Home, Number};

/// One immutable, checked configuration. Accounts, users, agents and customers are in the store, not here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The SIP domain of our addresses of record, and the realm of their digests. Default `localhost`.
    pub domain: Arc<str>,
    /// What we say we are in SIP and SDP, one a family at most. Empty: each listener's own address,
    /// which is silent behind a cloud provider's NAT.
    pub public_address: Vec<IpAddr>,
    /// Peers there are told our own address though `public_address` is set: they reach us without it, and often only so.
    /// Default: all private networks. Loopback is always one.
    pub local_networks: Vec<Network>,
    /// Country (and area) whose spelling of numbers is ours. Default `86`.
    #[serde(serialize_with = "home_words")]
    pub home: Home,
    /// The zone of hours and reports that name none. Default `UTC`.
    pub time_zone: Zone,
    /// The language a caller hears before choosing one. Default `en`.
    pub language: Language,
    /// Folder of `*.toml` dialplans, relative to the configuration. Default `dialplans`.
    pub dialplans: Arc<str>,
    /// Folder of prompts by language, relative to the configuration. Default `prompts`.
    pub prompts: Arc<str>,
    pub sip: Sip,
    pub media: Media,
    pub http: Http,
    pub store: Store,
    pub recording: Recording,
    pub agents: AgentRules,
    pub callers: CallerRules,
    pub limits: Limits,
    pub trunks: BTreeMap<TrunkName, Trunk>,
    pub numbers: Vec<InboundNumber>,
    pub outbound: Vec<OutboundRoute>,
    pub emergency: Emergency,
    pub queues: BTreeMap<QueueName, Queue>,
    pub skills: BTreeMap<SkillName, Label>,
    pub hours: BTreeMap<HoursName, Hours>,
    /// Reasons an agent may give for Not Ready, by code.
    pub not_ready_reasons: BTreeMap<Arc<str>, Label>,
    /// Codes an agent closes a call with; a queue lists those it offers.
    pub dispositions: BTreeMap<Arc<str>, Label>,
}

/// `[sip]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sip {
    /// Sockets we take SIP on, as `udp:0.0.0.0:5060`, `tcp:[::]:5060`. Default UDP and TCP 5060 on all IPv4.
    pub listen: Vec<Listener>,
    /// Shortest registration we grant; shorter is answered with 423 and this as Min-Expires (RFC 3261 §10.3). Default 60.
    pub registration_min_s: Seconds,
    /// Longest registration we grant. Default 3600.
    pub registration_max_s: Seconds,
    /// How long a call of ours may ring before it is given up. Default 180 (RFC 3261 Timer C).
    pub ring_max_s: Seconds,
    /// What our digest challenges offer, the strongest first on the wire whatever the order here. Default `MD5` alone:
    /// phones should pass over a challenge they do not know (RFC 8760 §2.4), but many give up on meeting one.
    pub digest: Vec<Digest>,
}

/// A digest algorithm that a phone may prove its password with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Digest {
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "SHA-256")]
    Sha256,
}

/// A socket we take SIP on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// `[media]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Media {
    /// First and last UDP port for RTP and RTCP, both included. A leg takes two. Default 20000 to 29999.
    pub port_first: u16,
    pub port_last: u16,
    /// Address RTP is bound to; default: that of the SIP listener of the same family.
    pub address: Option<IpAddr>,
    /// Media threads, each with its share of the ports. Default 1.
    pub engines: u16,
    /// A call without any RTP for so long is dead. 0 turns it off. Default 60.
    pub rtp_timeout_s: Seconds,
    /// Codecs in our order of preference. Default PCMA, PCMU.
    pub codecs: Vec<Codec>,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Http {
    /// Page, API, CTI socket, metrics. Plain HTTP, hence loopback by default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Origins besides our own whose pages may use the API, as `https://crm.example`. Default none.
    pub allowed_origins: Vec<Arc<str>>,
    /// How long a signed-in session lives without use. Default 43200.
    pub session_s: Seconds,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Folder of ledger, view and recordings, relative to the configuration. Default `data`.
    pub path: Arc<str>,
    /// Below so much free disk new calls are refused. Default 512.
    pub free_min_mb: u32,
    /// A write slower than this counts as a stalled disk. Default 2000.
    pub write_timeout_ms: Millis,
}

/// `[recording]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// Folder of recordings, relative to the configuration. Default `data/recordings`.
    pub path: Arc<str>,
    /// A recording ends after so long, with a notice in the call record. Default 14400.
    pub length_max_s: Seconds,
    /// Longest voicemail message. Default 180.
    pub voicemail_max_s: Seconds,
}

/// `[agents]`: rules for every agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentRules {
    /// Unanswered offers in a row that put an agent Not Ready. Default 1; 0 never.
    pub no_answer_limit: u32,
    /// No offer for so long after an unanswered one that left the agent ready. Default 5.
    pub no_answer_back_off_s: Seconds,
    /// No offer for so long after a declined one. Default 5.
    pub declined_back_off_s: Seconds,
    /// No offer for so long after a busy phone. Default 5.
    pub busy_back_off_s: Seconds,
    /// No offer for so long after a phone that could not be reached. Default 10.
    pub unreachable_back_off_s: Seconds,
    /// An agent whose page lost its link keeps the state for so long. Default 60.
    pub link_lost_grace_s: Seconds,
}

/// `[callers]`: rules for every caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallerRules {
    /// Who hung up while waiting and calls again so soon gets the old place, once. 0 turns it off. Default 300.
    pub resume_within_s: Seconds,
    pub tier_priority: TierPriority,
}

/// `[callers.tier_priority]`: points of priority that a customer's tier adds. Default 30, 20, 10, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TierPriority {
    pub platinum: i32,
    pub gold: i32,
    pub iron: i32,
    pub lead: i32,
}

/// `[limits]`: full means a clear refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Calls at once; the next is refused with 503. Default 1000.
    pub calls: u32,
    /// New calls a second, all trunks and phones together. Default 50.
    pub calls_per_second: u32,
    /// Registered contacts altogether; the next is refused with 503. Default 5000.
    pub registrations: u32,
    /// Contacts of one address of record; the next is refused with 403. Default 5.
    pub contacts_per_account: u32,
    /// Dialogs at once, one a leg; a call that would make the next is refused with 503. Default 8000.
    pub dialogs: u32,
    /// Largest SIP message; a larger one is refused with 513. Default 65535.
    pub message_bytes: u32,
    /// SIP connections (TCP) at once; the next is closed at once. Default 2000.
    pub connections: u32,
    /// Callers waiting in a queue that names no limit of its own. Default 200.
    pub queue_length: u32,
    /// CTI sockets at once. Default 2000.
    pub websocket_sessions: u32,
    /// Events a slow CTI socket may lag behind before it is closed. Default 4096.
    pub websocket_lag_events: u32,
    /// At a stop, running calls may go on for so long. Default 120.
    pub drain_s: Seconds,
}

/// `[[number]]`: calls in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InboundNumber {
    /// Called numbers this entry answers: exact, or with a trailing `*`. Most specific first.
    #[serde(rename = "match")]
    pub patterns: Vec<Pattern>,
    pub dialplan: DialplanName,
    /// Opening hours; the verdict goes to the dialplan as `call.open`.
    pub hours: Option<HoursName>,
    /// What answers outside of `hours`; default: the same dialplan.
    pub closed_dialplan: Option<DialplanName>,
    /// The language this line begins in; default: that of the plan.
    pub language: Option<Language>,
}

/// `[[outbound]]`: calls out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboundRoute {
    /// How the numbers begin that go this way; `*` is every number. Longest first.
    pub prefix: Vec<Pattern>,
    /// Trunks in the order they are tried.
    pub trunks: Vec<TrunkName>,
    /// What the called party sees; default: the trunk's own.
    pub caller_id: Option<CallerId>,
    /// Who may dial this way. Default everyone of [`Dialer`].
    pub who: Vec<Dialer>,
    /// Whether this route may leave the country. Default false.
    pub international: bool,
}

/// Who asks for a call out. A caller on a trunk never does: that is how toll fraud works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialer {
    /// A registered phone, nobody signed in at it.
    Phone,
    Agent,
    Supervisor,
    Admin,
    /// A dialplan's `dial`, a queue's overflow.
    Dialplan,
}

/// Emergency calls: always dialable, also when full or draining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emergency {
    /// The country's own, and those the configuration adds.
    pub numbers: Vec<Number>,
    /// Trunks in the order they are tried. Default: every trunk that can call out, in the order of the file.
    pub trunks: Vec<TrunkName>,
}

/// A word for people, in the languages of the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    pub en: Arc<str>,
    pub zh: Arc<str>,
}

/// A span in whole seconds, as the file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seconds(pub u32);

/// A span in milliseconds, as the file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Millis(pub u32);

impl Plan {
    /// The plan of a text that needs nothing around it: no secrets, every dialplan and prompt believed.
    pub fn from_toml(text: &str) -> Result<Plan, Vec<Finding>> {
        read(&Source::new("strowger.toml", text), &Surroundings::NONE).into_plan()
    }

    /// The public address of a family, where one is configured.
    pub fn public_address_like(&self, ours: IpAddr) -> Option<IpAddr> {
        self.public_address.iter().copied().find(|public| public.is_ipv4() == ours.is_ipv4())
    }

    /// The public address that we give to a peer; none to a peer in a local network.
    pub fn public_address_for(&self, peer: IpAddr) -> Option<IpAddr> {
        self.public_address_like(peer).filter(|_| !self.local_networks.iter().any(|network| network.contains(peer)))
    }

    /// RTP ports we have, in pairs of RTP and RTCP.
    pub fn media_port_pairs(&self) -> u32 {
        self.media.port_pairs()
    }
}

impl Default for Plan {
    /// The plan of an empty file: every key has a default that works.
    fn default() -> Self {
        Self::from_toml("").expect("the defaults agree: a test reads the empty file")
    }
}

impl Media {
    /// Ports in pairs of RTP and RTCP.
    pub fn port_pairs(&self) -> u32 {
        (u32::from(self.port_last) + 1).saturating_sub(u32::from(self.port_first)) / 2
    }
}

impl Dialer {
    pub const ALL: [Dialer; 5] = [Dialer::Phone, Dialer::Agent, Dialer::Supervisor, Dialer::Admin, Dialer::Dialplan];

    pub fn word(self) -> &'static str {
        match self {
            Dialer::Phone => "phone",
            Dialer::Agent => "agent",
            Dialer::Supervisor => "supervisor",
            Dialer::Admin => "admin",
            Dialer::Dialplan => "dialplan",
        }
    }
}

impl Label {
    /// The same words in both languages.
    pub fn plain(text: &str) -> Self {
        Self { en: Arc::from(text), zh: Arc::from(text) }
    }

    /// In Chinese for `zh` and its variants, else in English.
    pub fn in_language(&self, language: &Language) -> &str {
        if language.as_str().starts_with("zh") { &self.zh } else { &self.en }
    }
}

impl Seconds {
    pub const fn span(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Millis {
    pub const fn span(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.address)
    }
}

impl Serialize for Listener {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn home_words<S: Serializer>(home: &Home, serializer: S) -> Result<S::Ok, S::Error> {
    match home.area {
        Some(area) => serializer.collect_str(&format_args!("+{} {}", home.country.code, area.as_str())),
        None => serializer.collect_str(&format_args!("+{}", home.country.code)),
    }
}

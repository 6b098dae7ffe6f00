//! `strowger.toml` → [`Plan`]: the top of the file and its small sections.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check;
use super::hours::Zone;
use super::keys::{Document, Places, Reader, Table, parse_toml};
use super::model::{
    AgentRules, CallerRules, Dialer, Digest, Emergency, Http, InboundNumber, Limits, Listener, Media, OutboundRoute,
    Plan, Recording, Sip, Store, TierPriority,
};
use super::pattern::Pattern;
use super::read_hours::{read_hours, zone};
use super::read_queue::read_queues;
use super::read_trunk::{caller_id, read_trunks};
use super::trunk::Transport;
use crate::codec::Codec;
use crate::finding::{Finding, Severity, Source};
use crate::ids::{DialplanName, HoursName, Language, PromptName, TrunkName};
use crate::limits;
use crate::network::{self, Network};
use crate::number::{AreaCode, COUNTRIES, Home, Number, country};

/// What surrounds a configuration: names defined elsewhere, and secrets kept out of the text.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Dialplans there are; `None` skips the check that those named exist.
    pub dialplans: Option<&'a BTreeSet<DialplanName>>,
    /// Prompts there are in every language; `None` skips the check.
    pub prompts: Option<&'a BTreeSet<PromptName>>,
    /// The value behind `password_env = "NAME"`.
    pub secret: &'a dyn Fn(&str) -> Option<String>,
}

/// What came of reading a configuration.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The plan; with an error among the findings it is a draft, good for its names only.
    pub draft: Plan,
    /// Where each key stands, so that later checks can point at it.
    pub places: Places,
    pub findings: Vec<Finding>,
}

impl Surroundings<'_> {
    /// No secrets, and every name is believed.
    pub const NONE: Surroundings<'static> = Surroundings { dialplans: None, prompts: None, secret: &|_| None };
}

impl Reading {
    /// The plan, where nothing is wrong with it.
    pub fn into_plan(self) -> Result<Plan, Vec<Finding>> {
        let refused = self.findings.iter().any(|finding| finding.severity == Severity::Error);
        if refused { Err(self.findings) } else { Ok(self.draft) }
    }
}

/// Reads and checks a configuration. Every finding of one run is reported, in the order of the file; a text with
/// syntax errors is not looked into further.
pub fn read(source: &Source, surroundings: &Surroundings<'_>) -> Reading {
    if source.text.len() > limits::CONFIG_BYTES {
        let reason = format!("The file has {} bytes, and may have {}.", source.text.len(), limits::CONFIG_BYTES);
        let finding = source.error("config.too-long", 0..0, reason, "Move data (customers, agents) into the store.");
        return unread(source, vec![finding]);
    }
    let (document, syntax) = parse_toml(source);
    if !syntax.is_empty() {
        return unread(source, syntax);
    }
    let (draft, mut findings, places, _) = read_model(source, document.get_ref(), surroundings);
    findings.extend(check::check(&draft, &places, source, surroundings));
    // What concerns the whole file comes last.
    findings.sort_by_key(|finding| (finding.span.is_empty(), finding.span.start));
    Reading { draft, places, findings }
}

/// A text that is not looked into: the draft is the plan of an empty one.
fn unread(source: &Source, findings: Vec<Finding>) -> Reading {
    let empty = Source::new(&source.file, "");
    let (document, _) = parse_toml(&empty);
    let (draft, _, places, _) = read_model(&empty, document.get_ref(), &Surroundings::NONE);
    Reading { draft, places, findings }
}

/// The model, what is wrong with single keys, their places, and the paths of all keys there are.
fn read_model(
    source: &Source,
    document: &Document<'_>,
    surroundings: &Surroundings<'_>,
) -> (Plan, Vec<Finding>, Places, BTreeSet<String>) {
    let reader = Reader::new(source);
    let plan = read_top(reader.top(document), surroundings);
    let (findings, places, asked) = reader.finish();
    (plan, findings, places, asked)
}

fn read_top(top: Table<'_>, surroundings: &Surroundings<'_>) -> Plan {
    let home = read_home(&top);
    let time_zone = zone(&top, "time_zone").unwrap_or_else(Zone::utc);
    let media = read_media(&top.section("media"));
    let limits = read_limits(&top.section("limits"));
    let (trunks, trunk_order) = read_trunks(&top, &home, &media.codecs, surroundings);
    let hours = read_hours(&top, &time_zone);
    let queues = read_queues(&top, &home, &time_zone, &hours, limits.queue_length);
    Plan {
        domain: domain(&top),
        public_address: read_public_address(&top),
        local_networks: read_local_networks(&top),
        language: language(&top, "language").unwrap_or_else(|| Language::new("en")),
        dialplans: top.text("dialplans", "dialplans"),
        prompts: top.text("prompts", "prompts"),
        sip: read_sip(&top.section("sip")),
        http: read_http(&top.section("http")),
        store: read_store(&top.section("store")),
        recording: read_recording(&top.section("recording")),
        agents: read_agents(&top.section("agents")),
        callers: read_callers(&top.section("callers")),
        numbers: top.list("number").iter().map(|entry| read_number(entry, &home)).collect(),
        outbound: top.list("outbound").iter().map(|entry| read_outbound(entry, &home)).collect(),
        emergency: read_emergency(&top.section("emergency"), &home, &trunks, &trunk_order),
        skills: named_labels(&top, "skills"),
        not_ready_reasons: named_labels(&top, "not_ready_reasons"),
        dispositions: named_labels(&top, "dispositions"),
        home,
        time_zone,
        media,
        limits,
        trunks,
        queues,
        hours,
    }
}

fn named_labels<K: Ord + for<'t> From<&'t str>>(
    top: &Table<'_>,
    key: &'static str,
) -> BTreeMap<K, super::model::Label> {
    top.labels(key).into_iter().map(|(name, label)| (K::from(name), label)).collect()
}

fn read_home(top: &Table<'_>) -> Home {
    let codes: Vec<(&str, &'static str)> = COUNTRIES.iter().map(|country| (country.code, country.code)).collect();
    let code = top.choice("country", &codes, "86");
    let area = top.parsed::<AreaCode>("area_code", "Write the area's digits without the national prefix, as \"20\".");
    Home { country: country(code).expect("the choices are the codes of the table"), area }
}

fn domain(top: &Table<'_>) -> Arc<str> {
    let mend = "Write the domain of your addresses, as \"callcentre.example\".";
    match top.parsed::<super::trunk::Host>("domain", mend) {
        Some(host) if host.port.is_none() => Arc::from(host.name.to_string()),
        Some(_) => {
            top.error("config.value", top.span_of("domain"), "A domain has no port.", mend);
            Arc::from("localhost")
        }
        None => Arc::from("localhost"),
    }
}

fn language(table: &Table<'_>, key: &'static str) -> Option<Language> {
    let word = table.word(key)?;
    let subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if !word.text.split('-').all(subtag) {
        let reason = format!("`{}` is no language tag (BCP 47).", word.text);
        table.error("config.value", word.span, reason, "Write a tag such as \"en\" or \"zh\".");
        return None;
    }
    Some(Language::new(word.text))
}

fn read_public_address(top: &Table<'_>) -> Vec<core::net::IpAddr> {
    let mut found: Vec<core::net::IpAddr> = Vec::new();
    for word in top.words("public_address").unwrap_or_default() {
        let mend = "Write the address the other side sends to, as \"203.0.113.10\".";
        let Some(address) = top.parse_word("public_address", &word, mend, str::parse::<core::net::IpAddr>) else {
            continue;
        };
        if address.is_unspecified() || found.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            let reason = if address.is_unspecified() {
                format!("`{address}` is no address anyone can send to.")
            } else {
                format!("`{address}` is the second address of its family; only one can be announced.")
            };
            top.error("config.value", word.span, reason, mend);
            continue;
        }
        found.push(address);
    }
    found
}

fn read_local_networks(top: &Table<'_>) -> Vec<Network> {
    let known = |texts: &[&str]| -> Vec<Network> {
        texts.iter().map(|text| text.parse().expect("the lists are networks")).collect()
    };
    let mend = "Write networks, as \"10.0.0.0/8\" or \"fd00::/8\".";
    let words = top.words("local_networks");
    let written = words.map(|words| {
        words.iter().filter_map(|word| top.parse_word("local_networks", word, mend, str::parse::<Network>)).collect()
    });
    let mut networks = written.unwrap_or_else(|| known(&network::PRIVATE));
    networks.extend(known(&network::LOOPBACK));
    networks
}

fn read_sip(table: &Table<'_>) -> Sip {
    let listen = match table.words("listen") {
        None => ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]
            .iter()
            .map(|text| parse_listener(text).expect("the defaults are listeners"))
            .collect(),
        Some(words) => words
            .iter()
            .filter_map(|word| {
                let mend = "Write transport, address and port, as \"udp:0.0.0.0:5060\" or \"tcp:[::]:5060\".";
                table.parse_word("listen", word, mend, parse_listener)
            })
            .collect(),
    };
    Sip {
        listen,
        registration_min_s: table.seconds("registration_min_s", 60, 10..=86_400),
        registration_max_s: table.seconds("registration_max_s", 3_600, 60..=86_400),
        ring_max_s: table.seconds("ring_max_s", 180, 10..=3_600),
        digest: choices(table, "digest", &[("MD5", Digest::Md5), ("SHA-256", Digest::Sha256)])
            .unwrap_or_else(|| vec![Digest::Md5]),
    }
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let Some((transport, address)) = text.split_once(':') else { return Err(format!("`{text}` has no transport")) };
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        other => return Err(format!("`{other}` is no transport (udp, tcp)")),
    };
    let address: SocketAddr = address.parse().map_err(|_| format!("`{address}` is no address with a port"))?;
    if address.port() == 0 { Err("port 0 is none".to_owned()) } else { Ok(Listener { transport, address }) }
}

fn read_media(table: &Table<'_>) -> Media {
    let codecs: Vec<(&str, Codec)> = Codec::ALL.iter().map(|codec| (codec.name(), *codec)).collect();
    let port = |key, default: u16| {
        u16::try_from(table.integer(key, u32::from(default), 1_024..=65_535)).expect("the range is one of ports")
    };
    Media {
        port_first: port("port_first", 20_000),
        port_last: port("port_last", 29_999),
        address: table.parsed("address", "Write an address of this machine, as \"192.0.2.10\"."),
        engines: u16::try_from(table.integer("engines", 1, 1..=256)).expect("the range fits"),
        rtp_timeout_s: table.seconds("rtp_timeout_s", 60, 0..=3_600),
        codecs: choices(table, "codecs", &codecs).unwrap_or_else(|| Codec::ALL.to_vec()),
    }
}

/// A list of words out of `choices`, each at most once, at least one.
pub(super) fn choices<T: Copy + PartialEq>(
    table: &Table<'_>,
    key: &'static str,
    choices: &[(&str, T)],
) -> Option<Vec<T>> {
    let words = table.words(key)?;
    let mut found = Vec::new();
    for word in &words {
        let Some(value) = table.choose(key, word, choices) else { continue };
        if found.contains(&value) {
            let reason = format!("`{}` stands here twice.", word.text);
            table.error("config.value", word.span.clone(), reason, "Remove one.");
        } else {
            found.push(value);
        }
    }
    if words.is_empty() {
        let reason = format!("`{key}` is an empty list.");
        table.error("config.value", table.span_of(key), reason, "Name at least one, or leave the key out.");
    }
    Some(found)
}

fn read_http(table: &Table<'_>) -> Http {
    let listen = table.parsed("listen", "Write address and port, as \"127.0.0.1:8080\".");
    let origins = table.words("allowed_origins").unwrap_or_default();
    let origin = |word: &super::keys::Word<'_>| {
        let host = word.text.strip_prefix("https://").or(word.text.strip_prefix("http://"));
        let plain = host.is_some_and(|host| host.parse::<super::trunk::Host>().is_ok());
        if !plain {
            let reason = format!("`{}` is no origin: scheme, host and port only.", word.text);
            table.error("config.value", word.span.clone(), reason, "Write it as \"https://crm.example\".");
        }
        plain.then(|| Arc::from(word.text))
    };
    Http {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
        allowed_origins: origins.iter().filter_map(origin).collect(),
        session_s: table.seconds("session_s", 43_200, 60..=2_592_000),
    }
}

fn read_store(table: &Table<'_>) -> Store {
    Store {
        path: table.text("path", "data"),
        free_min_mb: table.integer("free_min_mb", 512, 0..=1_048_576),
        write_timeout_ms: table.millis("write_timeout_ms", 2_000, 10..=60_000),
    }
}

fn read_recording(table: &Table<'_>) -> Recording {
    Recording {
        path: table.text("path", "data/recordings"),
        length_max_s: table.seconds("length_max_s", 14_400, 10..=86_400),
        voicemail_max_s: table.seconds("voicemail_max_s", 180, 5..=3_600),
    }
}

fn read_agents(table: &Table<'_>) -> AgentRules {
    AgentRules {
        no_answer_limit: table.integer("no_answer_limit", 1, 0..=100),
        no_answer_back_off_s: table.seconds("no_answer_back_off_s", 5, 0..=3_600),
        declined_back_off_s: table.seconds("declined_back_off_s", 5, 0..=3_600),
        busy_back_off_s: table.seconds("busy_back_off_s", 5, 0..=3_600),
        unreachable_back_off_s: table.seconds("unreachable_back_off_s", 10, 0..=3_600),
        link_lost_grace_s: table.seconds("link_lost_grace_s", 60, 0..=3_600),
    }
}

fn read_callers(table: &Table<'_>) -> CallerRules {
    let tiers = table.section("tier_priority");
    let points = |key, default| {
        let given = tiers.signed(key, -1_000..=1_000);
        given.map_or(default, |points| i32::try_from(points).expect("the range fits"))
    };
    CallerRules {
        resume_within_s: table.seconds("resume_within_s", 300, 0..=86_400),
        tier_priority: TierPriority {
            platinum: points("platinum", 30),
            gold: points("gold", 20),
            iron: points("iron", 10),
            lead: points("lead", 0),
        },
    }
}

fn read_limits(table: &Table<'_>) -> Limits {
    use crate::limits::{net, sip, ua};
    let most = |bound: usize| u32::try_from(bound).expect("the house's bounds are small");
    Limits {
        calls: table.integer("calls", 1_000, 1..=most(ua::SESSIONS / 2)),
        calls_per_second: table.integer("calls_per_second", 50, 1..=10_000),
        registrations: table.integer("registrations", 5_000, 1..=most(ua::REGISTRATIONS)),
        contacts_per_account: table.integer("contacts_per_account", 5, 1..=most(ua::CONTACTS)),
        dialogs: table.integer("dialogs", 8_000, 2..=most(ua::SESSIONS)),
        message_bytes: table.integer("message_bytes", most(sip::MESSAGE_BYTES), 1_500..=most(sip::MESSAGE_BYTES)),
        connections: table.integer("connections", 2_000, 1..=most(net::CONNECTIONS)),
        queue_length: table.integer("queue_length", 200, 1..=100_000),
        websocket_sessions: table.integer("websocket_sessions", 2_000, 1..=100_000),
        websocket_lag_events: table.integer("websocket_lag_events", 4_096, 16..=1_000_000),
        drain_s: table.seconds("drain_s", 120, 0..=86_400),
    }
}

fn read_number(table: &Table<'_>, home: &Home) -> InboundNumber {
    let mend = "Write a number as people dial it, or its beginning and `*`, as \"+8620*\".";
    let words = table.words("match").unwrap_or_default();
    let pattern = |word: &_| table.parse_word("match", word, mend, |text| Pattern::parse(text, home));
    if words.is_empty() {
        let reason = "This number entry matches nothing.";
        table.error("config.missing", table.span.clone(), reason, "Add match = \"+86…\".");
    }
    InboundNumber {
        patterns: words.iter().filter_map(pattern).collect(),
        dialplan: table.optional_text("dialplan").map_or_else(
            || {
                let reason = "This number has no dialplan, so nothing would answer.";
                table.error("config.missing", table.span.clone(), reason, "Add dialplan = \"NAME\".");
                DialplanName::new("")
            },
            DialplanName::new,
        ),
        hours: table.optional_text("hours").map(HoursName::new),
        closed_dialplan: table.optional_text("closed_dialplan").map(DialplanName::new),
        language: language(table, "language"),
    }
}

fn read_outbound(table: &Table<'_>, home: &Home) -> OutboundRoute {
    let mend = "Write how the numbers begin, as \"+86\", or \"*\" for every number.";
    let words = table.words("prefix").unwrap_or_default();
    let dialers: Vec<(&str, Dialer)> = Dialer::ALL.iter().map(|dialer| (dialer.word(), *dialer)).collect();
    if words.is_empty() {
        let reason = "This route carries no numbers.";
        table.error("config.missing", table.span.clone(), reason, "Add prefix = \"+86\", or \"*\" for all.");
    }
    let trunks = trunk_names(table, "trunks").unwrap_or_default();
    if trunks.is_empty() {
        let reason = "This route names no trunk to go by.";
        table.error("config.missing", table.span.clone(), reason, "Add trunks = [\"NAME\"].");
    }
    OutboundRoute {
        prefix: words.iter().filter_map(|word| table.parse_word("prefix", word, mend, Pattern::parse_prefix)).collect(),
        trunks,
        caller_id: caller_id(table, home),
        who: choices(table, "who", &dialers).unwrap_or_else(|| Dialer::ALL.to_vec()),
        international: table.flag("international", false),
    }
}

fn trunk_names(table: &Table<'_>, key: &'static str) -> Option<Vec<TrunkName>> {
    Some(table.words(key)?.iter().map(|word| TrunkName::new(word.text)).collect())
}

fn read_emergency(
    table: &Table<'_>,
    home: &Home,
    trunks: &BTreeMap<TrunkName, super::trunk::Trunk>,
    trunk_order: &[TrunkName],
) -> Emergency {
    let own = home.country.emergency.iter().map(|text| Number::normalise(text, home).expect("the table's own numbers"));
    let mut numbers: Vec<Number> = own.collect();
    for word in table.words("numbers").unwrap_or_default() {
        let mend = "Write a short number, as \"119\".";
        let parse = |text: &str| Number::normalise(text, home);
        let more = table.parse_word("numbers", &word, mend, parse).filter(|number| !numbers.contains(number));
        numbers.extend(more);
    }
    let calls_out = |name: &&TrunkName| trunks.get(*name).is_some_and(|trunk| trunk.host.is_some());
    let default = || trunk_order.iter().filter(calls_out).cloned().collect();
    Emergency { numbers, trunks: trunk_names(table, "trunks").unwrap_or_else(default) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../tests/data/config/strowger.toml");

    /// `trunk.telecom.match[0]` → `trunk.*.match`.
    fn without_names(path: &str) -> String {
        let mut parts: Vec<&str> = path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect();
        let named = ["trunk", "queue", "hours", "holidays", "skills", "dispositions", "not_ready_reasons"];
        if parts.len() > 1 && named.contains(&parts[0]) {
            parts[1] = "*";
        }
        // An exception of hours and a day of a calendar are written alike.
        parts.join(".").replace("hours.*.exception", "holidays.*.day")
    }

    fn codes(text: &str) -> Vec<(&'static str, u32)> {
        let findings = read(&Source::new("strowger.toml", text), &Surroundings::NONE).findings;
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| (finding.code, finding.line)).collect()
    }

    #[test]
    fn the_sample_shows_every_key_there_is() {
        let source = Source::new("sample", SAMPLE);
        let (document, _) = parse_toml(&source);
        let (_, _, places, asked) = read_model(&source, document.get_ref(), &Surroundings::NONE);
        let shown: BTreeSet<String> = places.paths().map(without_names).collect();
        let missing: BTreeSet<String> =
            asked.iter().map(|path| without_names(path)).filter(|path| !shown.contains(path)).collect();
        assert_eq!(missing, BTreeSet::new());
    }

    #[test]
    fn an_empty_file_is_a_plan_with_one_warning() {
        let reading = read(&Source::new("strowger.toml", ""), &Surroundings::NONE);
        let found: Vec<_> = reading.findings.iter().map(|f| (f.severity, f.code, f.line)).collect();
        assert_eq!(found, [(Severity::Warning, "emergency.unreachable", 0)]);
        let plan = Plan::default();
        assert_eq!(reading.into_plan(), Ok(plan.clone()));
        assert_eq!(
            plan.sip.listen.iter().map(Listener::to_string).collect::<Vec<_>>(),
            ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]
        );
        assert_eq!(plan.http.listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_sample_means_what_it_says() {
        let secret = |_: &str| Some("a password".to_owned());
        let surroundings = Surroundings { secret: &secret, ..Surroundings::NONE };
        let plan = read(&Source::new("sample", SAMPLE), &surroundings).into_plan().unwrap();
        assert_eq!(plan.public_address_for([198, 51, 100, 1].into()), Some([203, 0, 113, 10].into()));
        assert_eq!(plan.media.port_pairs(), 5_000);
        assert_eq!(plan.public_address_for([10, 20, 7, 7].into()), None, "a local network");
        assert_eq!(
            plan.public_address_for([192, 168, 1, 7].into()),
            Some([203, 0, 113, 10].into()),
            "not a listed one"
        );
        let mobile = &plan.trunks["mobile"];
        assert_eq!(mobile.host.as_ref().unwrap().to_string(), "[2001:db8:2::1]:5062");
        assert_eq!(mobile.registration.as_ref().unwrap().registrar.to_string(), "registrar.mobile.example");
        let sales = &plan.queues["sales"];
        assert_eq!((sales.steps.len(), sales.overflow.len(), sales.length_max), (2, 4, 50));
        let skills = sales.skills.as_ref().unwrap();
        assert!(SAMPLE[skills.span.clone()].contains(skills.text.as_ref()), "its place is known to whoever parses it");
        assert_eq!(plan.queues["service"].length_max, plan.limits.queue_length);
        assert_eq!(plan.emergency.numbers.last().unwrap().as_str(), "12395");
        assert_eq!(plan.skills["sales"].in_language(&Language::new("zh-CN")), "销售");
        assert!(plan.hours["office"].exceptions.len() == 7, "its own, then the calendar's");
    }

    #[test]
    fn private_peers_are_told_our_own_address_unless_the_file_names_other_networks() {
        let told = |more: &str, peer: &str| {
            let plan =
                Plan::from_toml(&format!("public_address = [\"203.0.113.9\", \"2001:db8::9\"]\n{more}")).unwrap();
            plan.public_address_for(peer.parse().unwrap()).is_some()
        };
        let inside =
            ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.7", "100.64.0.1", "169.254.1.1", "fd00::7", "::1"];
        assert!(inside.iter().all(|peer| !told("", peer)));
        assert!(told("", "198.51.100.7") && told("", "2001:db8:7::7"));
        let office = "local_networks = [\"198.51.100.0/24\"]\n";
        assert!(!told(office, "198.51.100.7") && told(office, "192.168.1.7"));
        assert!(told("local_networks = []\n", "10.1.2.3") && !told("local_networks = []\n", "127.0.0.1"));
        assert_eq!(codes("local_networks = [\"10.0.0.1/8\", \"lan\"]\n"), [("config.value", 1); 2]);
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let text = format!("domain = \"a.example\"\n{}", "#".repeat(limits::CONFIG_BYTES));
        assert_eq!(codes(&text), [("config.too-long", 1)]);
    }

    #[test]
    fn too_many_entries_are_refused() {
        let numbers: String = (0..=limits::CONFIG_ENTRIES)
            .map(|n| format!("[[number]]\nmatch = \"+8620{:08}\"\ndialplan = \"a\"\n", 20_000_000 + n))
            .collect();
        assert_eq!(codes(&numbers).first().map(|found| found.0), Some("config.too-many"));
        let peers: Vec<String> =
            (0..=limits::TRUNK_PEERS).map(|n| format!("\"10.{}.{}.0/24\"", n / 256, n % 256)).collect();
        let trunk = format!("[trunk.a]\nhost = \"a.example\"\nmatch = [{}]\n", peers.join(", "));
        assert_eq!(codes(&trunk), [("config.too-many", 1)]);
        let networks: Vec<String> = (0..=limits::LOCAL_NETWORKS).map(|n| format!("\"10.{n}.0.0/16\"")).collect();
        assert_eq!(codes(&format!("local_networks = [{}]\n", networks.join(", "))), [("config.too-many", 1)]);
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let (good, long) = ("q".repeat(limits::NAME_CHARS), "q".repeat(limits::NAME_CHARS + 1));
        assert_eq!(codes(&format!("[queue.{good}]\n")), []);
        assert_eq!(codes(&format!("[queue.{long}]\n")), [("config.name", 1)]);
    }

    #[test]
    fn many_syntax_errors_come_in_one_run() {
        assert_eq!(
            codes("a = = 1\nb = 'x\nc = 3\nd = 5 5\n").iter().map(|found| found.1).collect::<Vec<_>>(),
            [1, 2, 4]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = read(&Source::new("strowger.toml", text), &Surroundings::NONE);
        }

        /// The sample with some of its bytes cut out or doubled: never a panic, and never a plan without a look.
        #[test]
        fn a_mangled_sample_never_panics(at in 0..SAMPLE.len(), length in 0usize..60, doubled: bool) {
            let end = (at + length).min(SAMPLE.len());
            if let (Some(head), Some(cut), Some(tail)) = (SAMPLE.get(..at), SAMPLE.get(at..end), SAMPLE.get(end..)) {
                let middle = if doubled { cut.repeat(2) } else { String::new() };
                let _ = read(&Source::new("strowger.toml", format!("{head}{middle}{tail}")), &Surroundings::NONE);
            }
        }
    }
}

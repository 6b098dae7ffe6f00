//! `[trunk.NAME]` → [`Trunk`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::Table;
use super::read::{Surroundings, choices};
use super::trunk::{CallerId, Credentials, Host, Peer, Registration, Secret, Transport, Trunk};
use crate::codec::Codec;
use crate::ids::TrunkName;
use crate::number::{Home, Number, NumberFormat};

/// All trunks, and their names in the order of the file.
pub(super) fn read_trunks(
    top: &Table<'_>,
    home: &Home,
    codecs: &[Codec],
    surroundings: &Surroundings<'_>,
) -> (BTreeMap<TrunkName, Trunk>, Vec<TrunkName>) {
    let mut trunks = BTreeMap::new();
    let mut order = Vec::new();
    for (name, table) in top.named("trunk") {
        let name = TrunkName::new(name);
        order.push(name.clone());
        trunks.insert(name.clone(), read_trunk(name, &table, home, codecs, surroundings));
    }
    (trunks, order)
}

fn read_trunk(
    name: TrunkName,
    table: &Table<'_>,
    home: &Home,
    codecs: &[Codec],
    surroundings: &Surroundings<'_>,
) -> Trunk {
    let peers = table.words("match").unwrap_or_default();
    let peer_mend = "Write networks with an optional port, as \"203.0.113.0/28:5060\" or \"[2001:db8::7]:5060\".";
    let host: Option<Host> = table.parsed("host", "Write a name or address, as \"sip.carrier.example:5060\".");
    let credentials = read_credentials(table, surroundings);
    let registration = read_registration(table, host.as_ref(), credentials.is_some());
    if peers.is_empty() && host.is_none() && registration.is_none() {
        let reason = format!("Trunk `{name}` can neither call us nor be called.");
        let mend = "Add match = [\"ADDRESS\"] for calls in, host = \"NAME\" for calls out.";
        table.error("trunk.no-way", table.span.clone(), reason, mend);
    }
    let transports = [("udp", Transport::Udp), ("tcp", Transport::Tcp)];
    let formats =
        [("e164", NumberFormat::E164), ("digits", NumberFormat::Digits), ("national", NumberFormat::National)];
    let known: Vec<(&str, Codec)> = Codec::ALL.iter().map(|codec| (codec.name(), *codec)).collect();
    Trunk {
        peers: peers.iter().filter_map(|word| table.parse_word("match", word, peer_mend, str::parse::<Peer>)).collect(),
        transport: table.choice("transport", &transports, Transport::Udp),
        from_domain: table.parsed::<Host>("from_domain", "Write a domain.").map(|host| Arc::from(host.to_string())),
        options_interval_s: table.seconds("options_interval_s", 30, 0..=3_600),
        options_failures: table.integer("options_failures", 2, 1..=100),
        max_calls: table.integer("max_calls", 100, 1..=100_000),
        max_calls_per_second: table.integer("max_calls_per_second", 20, 1..=10_000),
        number_format: table.choice("number_format", &formats, NumberFormat::E164),
        caller_id: caller_id(table, home).unwrap_or_default(),
        trust_identity: table.flag("trust_identity", true),
        codecs: choices(table, "codecs", &known).unwrap_or_else(|| codecs.to_vec()),
        name,
        host,
        registration,
        credentials,
    }
}

fn read_credentials(table: &Table<'_>, surroundings: &Surroundings<'_>) -> Option<Credentials> {
    let user = table.optional_text("user");
    let plain = table.optional_text("password").map(|text| Secret::new(&text));
    let named = table.word("password_env").and_then(|word| {
        let secret = (surroundings.secret)(word.text);
        if secret.is_none() {
            let reason = format!("The environment variable `{}` is not set.", word.text);
            table.error("trunk.password-unset", word.span, reason, "Set it where `strowger` is started.");
        }
        secret.map(|text| Secret::new(&text))
    });
    if table.has("password_env") && table.has("password") {
        let reason = "Both `password` and `password_env` are given.";
        table.error("config.value", table.span_of("password"), reason, "Keep `password_env`, and remove the other.");
    }
    match (user, plain.or(named)) {
        (Some(user), Some(password)) => Some(Credentials { user, password }),
        (Some(_), None) if !table.has("password_env") && !table.has("password") => {
            let reason = "There is a `user` and no password.";
            table.error("config.missing", table.span_of("user"), reason, "Add password_env = \"NAME\", or password.");
            None
        }
        (None, Some(_)) => {
            let reason = "There is a password and no `user`.";
            table.error("config.missing", table.span.clone(), reason, "Add user = \"NAME\".");
            None
        }
        _ => None,
    }
}

fn read_registration(table: &Table<'_>, host: Option<&Host>, has_credentials: bool) -> Option<Registration> {
    let register = table.flag("register", false);
    let registrar: Option<Host> = table.parsed("registrar", "Write a name or address, as \"sip.carrier.example\".");
    let expires_s = table.seconds("register_expires_s", 600, 60..=86_400);
    if !register {
        if table.has("registrar") {
            let reason = "A `registrar` is named, but this trunk does not register.";
            table.error("trunk.not-registering", table.span_of("registrar"), reason, "Add register = true.");
        }
        return None;
    }
    if !has_credentials && !table.has("user") {
        let reason = "Registering needs a name and a password.";
        let mend = "Add user = \"NAME\" and password_env = \"NAME\".";
        table.error("config.missing", table.span_of("register"), reason, mend);
    }
    let registrar = registrar.or_else(|| host.cloned());
    if registrar.is_none() {
        let reason = "Nothing says where to register.";
        table.error("config.missing", table.span_of("register"), reason, "Add host or registrar.");
    }
    Some(Registration { registrar: registrar?, expires_s })
}

/// `caller_id` of a trunk or a route.
pub(super) fn caller_id(table: &Table<'_>, home: &Home) -> Option<CallerId> {
    let word = table.word("caller_id")?;
    match word.text {
        "pass" => Some(CallerId::Pass),
        "anonymous" => Some(CallerId::Anonymous),
        _ => {
            let mend = "Write \"pass\", \"anonymous\", or one of your numbers.";
            let parse = |text: &str| Number::normalise(text, home);
            table.parse_word("caller_id", &word, mend, parse).map(CallerId::Number)
        }
    }
}

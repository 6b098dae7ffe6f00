//! Whether every trunk, number and route can be told apart and reached, and emergency calls always get out.

use std::collections::BTreeMap;

use super::check::Checks;
use super::model::{Dialer, InboundNumber, OutboundRoute};
use super::pattern::Pattern;
use super::trunk::{CallerId, Peer};
use crate::ids::TrunkName;
use crate::limits;

pub(super) fn check_routes(checks: &mut Checks<'_>) {
    check_peers(checks);
    check_numbers(checks);
    check_outbound(checks);
    check_emergency(checks);
}

/// A peer, whose it is, and where it stands.
struct PeerAt<'p> {
    peer: Peer,
    trunk: &'p TrunkName,
    path: String,
}

fn check_peers(checks: &mut Checks<'_>) {
    let mut peers = Vec::new();
    for (name, trunk) in &checks.plan.trunks {
        let list = format!("trunk.{name}.match");
        if !checks.places.exceeds(&list, trunk.peers.len()) {
            let at = |(at, peer): (usize, &Peer)| PeerAt { peer: *peer, trunk: name, path: format!("{list}[{at}]") };
            peers.extend(trunk.peers.iter().enumerate().map(at));
        }
    }
    // Pairs are looked at: too many peers are refused elsewhere (`check_entry_counts`).
    if peers.len() > limits::TRUNK_PEERS {
        return;
    }
    for (at, one) in peers.iter().enumerate() {
        if let Some(other) = peers[..at].iter().find(|other| other.peer.clashes_with(&one.peer)) {
            let reason = format!(
                "{} of trunk `{}` and {} of trunk `{}` match the same requests, and neither is more specific.",
                one.peer, one.trunk, other.peer, other.trunk
            );
            checks.error("trunk.match-overlap", &one.path, reason, "Give one of them a longer prefix, or remove it.");
        } else if is_shadowed(one, &peers) {
            let reason = format!("{} of trunk `{}` never decides: others cover all of it.", one.peer, one.trunk);
            checks.error("trunk.match-shadowed", &one.path, reason, "Remove it, or those that cover it.");
        }
    }
}

/// Whether more specific peers of any trunk cover all of one, or one wider of the same trunk makes it idle.
fn is_shadowed(one: &PeerAt<'_>, peers: &[PeerAt<'_>]) -> bool {
    // The same peer twice is an overlap, reported where it stands the second time.
    let others = || peers.iter().filter(|other| other.peer != one.peer);
    let widest_owner = others()
        .filter(|other| one.peer.is_within(&other.peer))
        .max_by_key(|other| other.peer.specificity())
        .map(|other| other.trunk);
    if widest_owner == Some(one.trunk) {
        return true;
    }
    let inner: Vec<Peer> = others().map(|other| other.peer).filter(|peer| peer.is_within(&one.peer)).collect();
    is_covered(one.peer, &inner)
}

/// Whether `inner` together hold every address of `outer`. Ends: each halving keeps only those inside the half, and a
/// half with nothing inside is not covered.
fn is_covered(outer: Peer, inner: &[Peer]) -> bool {
    if inner.iter().any(|peer| outer.is_within(peer)) {
        return true;
    }
    if inner.is_empty() {
        return false;
    }
    let Some(halves) = outer.halves() else { return false };
    halves.into_iter().all(|half| {
        let within: Vec<Peer> =
            inner.iter().copied().filter(|peer| peer.is_within(&half) || half.is_within(peer)).collect();
        is_covered(half, &within)
    })
}

fn check_numbers(checks: &mut Checks<'_>) {
    let plan = checks.plan;
    let mut seen: BTreeMap<&Pattern, usize> = BTreeMap::new();
    for (at, entry) in plan.numbers.iter().enumerate() {
        let path = format!("number[{at}]");
        check_number_names(checks, &path, entry);
        if checks.places.exceeds(&format!("{path}.match"), entry.patterns.len()) {
            continue;
        }
        for (i, pattern) in entry.patterns.iter().enumerate() {
            let place = format!("{path}.match[{i}]");
            if let Some(first) = seen.insert(pattern, at) {
                let reason = format!("{pattern} is matched already, by number entry {}.", first + 1);
                checks.error("number.overlap", &place, reason, "Remove one of the two.");
            }
            if let Some(number) = plan.emergency.numbers.iter().find(|number| pattern.matches(number)) {
                let reason = format!("{pattern} would answer the emergency number {number} here.");
                checks.error("number.hides-emergency", &place, reason, "Use a longer pattern; emergency calls go out.");
            }
        }
    }
    check_shadowed_numbers(checks, &seen);
}

/// A prefix all of whose ten continuations are prefixes of their own decides nothing.
fn check_shadowed_numbers(checks: &mut Checks<'_>, seen: &BTreeMap<&Pattern, usize>) {
    for (pattern, at) in seen {
        let Pattern::Prefix(start) = pattern else { continue };
        // The empty prefix also matches numbers with a plus.
        let next = |digit| Pattern::Prefix(format!("{start}{digit}"));
        if !start.is_empty() && (0..10).all(|digit| seen.contains_key(&next(digit))) {
            let reason = format!("{pattern} never decides: {start}0* to {start}9* are all taken.");
            checks.error("number.shadowed", &format!("number[{at}].match"), reason, "Remove it.");
        }
    }
}

fn check_number_names(checks: &mut Checks<'_>, path: &str, entry: &InboundNumber) {
    let plan = checks.plan;
    checks.require_dialplan(&format!("{path}.dialplan"), &entry.dialplan);
    if let Some(closed) = &entry.closed_dialplan {
        let place = format!("{path}.closed_dialplan");
        checks.require_dialplan(&place, closed);
        if entry.hours.is_none() {
            let reason = "`closed_dialplan` is never used, for this number has no hours.";
            checks.error("number.never-closed", &place, reason, "Add hours = \"NAME\", or remove it.");
        }
    }
    if let Some(hours) = &entry.hours {
        let known = plan.hours.keys().map(|name| name.as_str());
        let named = ("set of hours", hours.as_str());
        checks.require_known("number.unknown-hours", &format!("{path}.hours"), named, known);
    }
}

fn check_outbound(checks: &mut Checks<'_>) {
    let plan = checks.plan;
    let mut seen: BTreeMap<(&Pattern, Dialer), usize> = BTreeMap::new();
    for (at, route) in plan.outbound.iter().enumerate() {
        let path = format!("outbound[{at}]");
        check_trunks_out(checks, &format!("{path}.trunks"), &route.trunks, "outbound.unknown-trunk");
        check_extension_shown(checks, &path, route);
        if checks.places.exceeds(&format!("{path}.prefix"), route.prefix.len()) {
            continue;
        }
        for (i, prefix) in route.prefix.iter().enumerate() {
            let place = format!("{path}.prefix[{i}]");
            check_prefix(checks, &place, route, prefix);
            let mut twice = route.who.iter().filter_map(|who| Some((who, seen.insert((prefix, *who), at)?)));
            if let Some((who, first)) = twice.next() {
                let reason = format!("Route {} takes {prefix} of a {} already.", first + 1, who.word());
                checks.error("outbound.overlap", &place, reason, "Remove one, or part them by `who`.");
            }
        }
    }
}

/// Phones of ours that dial out are known by their extension alone, which nobody outside can call back.
fn check_extension_shown(checks: &mut Checks<'_>, path: &str, route: &OutboundRoute) {
    let plan = checks.plan;
    if route.who.iter().all(|who| *who == Dialer::Dialplan) {
        return;
    }
    let mut trunks = route.trunks.iter().filter_map(|name| plan.trunks.get(name));
    if let Some(trunk) = trunks.find(|trunk| *route.caller_id.as_ref().unwrap_or(&trunk.caller_id) == CallerId::Pass) {
        let reason = format!("Who dials out by trunk `{}` shows an extension as its number.", trunk.name);
        let mend = format!("Add caller_id = \"YOUR NUMBER\" to [trunk.{}]; emergency calls show it too.", trunk.name);
        checks.warning("outbound.extension-shown", path, reason, mend);
    }
}

fn check_prefix(checks: &mut Checks<'_>, place: &str, route: &OutboundRoute, prefix: &Pattern) {
    let plan = checks.plan;
    if prefix.is_abroad(&plan.home) && !route.international {
        let reason = format!("{prefix} leads abroad, and this route does not allow it: no call can take it.");
        checks.error("outbound.international", place, reason, "Add international = true, or remove the prefix.");
    }
    if plan.home.country.international_prefixes.iter().any(|ip| prefix.to_string().strip_suffix('*') == Some(ip)) {
        let reason = format!("{prefix} matches nothing: numbers dialled abroad are spelt with + here.");
        checks.error("outbound.unspelt", place, reason, "Write the country code, as \"+1\".");
    }
    let exact =
        plan.emergency.numbers.iter().find(|number| prefix.to_string().strip_suffix('*') == Some(number.as_str()));
    if let Some(number) = exact {
        let reason = format!("{number} is an emergency number, and has its own way out.");
        checks.error("outbound.emergency", place, reason, "Remove the route; set [emergency] trunks instead.");
    }
}

fn check_trunks_out(checks: &mut Checks<'_>, path: &str, names: &[TrunkName], code: &'static str) {
    let plan = checks.plan;
    for (at, name) in names.iter().enumerate() {
        let place = format!("{path}[{at}]");
        match plan.trunks.get(name) {
            None => {
                let known = plan.trunks.keys().map(|name| name.as_str());
                checks.require_known(code, &place, ("trunk", name.as_str()), known);
            }
            Some(trunk) if trunk.host.is_none() => {
                let reason = format!("Trunk `{name}` has no host, so no call can go out by it.");
                checks.error("outbound.trunk-only-in", &place, reason, format!("Add host to [trunk.{name}]."));
            }
            Some(_) => {}
        }
    }
}

fn check_emergency(checks: &mut Checks<'_>) {
    let plan = checks.plan;
    check_trunks_out(checks, "emergency.trunks", &plan.emergency.trunks, "emergency.unknown-trunk");
    let reaches = |name: &TrunkName| plan.trunks.get(name).is_some_and(|trunk| trunk.host.is_some());
    if plan.emergency.trunks.iter().any(reaches) {
        return;
    }
    let numbers = plan.emergency.numbers.iter().map(|number| number.as_str()).collect::<Vec<_>>().join(", ");
    let reason = format!("Emergency calls ({numbers}) have no trunk to go out by.");
    let mend = "Give a trunk a host, and name it in [emergency] trunks.";
    // Without any trunk there is no way out at all: a laboratory, or a first start.
    if plan.trunks.is_empty() && !names_trunks(checks) {
        checks.warning("emergency.unreachable", "emergency", reason, mend);
    } else {
        let path = if names_trunks(checks) { "emergency.trunks" } else { "trunk" };
        checks.error("emergency.unreachable", path, reason, mend);
    }
}

/// Whether the configuration says itself which trunks emergency calls take.
fn names_trunks(checks: &Checks<'_>) -> bool {
    checks.places.holds("emergency.trunks")
}

//! What only shows when sections meet: sockets, ports, limits; names; and what the other checks find.

use core::net::IpAddr;

use super::check_queue::check_queues;
use super::check_route::check_routes;
use super::keys::{Places, did_you_mean};
use super::model::{Listener, Plan};
use super::read::Surroundings;
use super::trunk::Transport;
use crate::finding::{Finding, Source};
use crate::ids::{DialplanName, PromptName};
use crate::limits;
use crate::network;

/// Checks in progress: what is checked, and what was found.
pub(super) struct Checks<'c> {
    pub plan: &'c Plan,
    pub places: &'c Places,
    pub surroundings: &'c Surroundings<'c>,
    source: &'c Source,
    findings: Vec<Finding>,
}

/// Everything that single keys cannot show.
pub(super) fn check(plan: &Plan, places: &Places, source: &Source, surroundings: &Surroundings<'_>) -> Vec<Finding> {
    let mut checks = Checks { plan, places, surroundings, source, findings: Vec::new() };
    checks.check_listeners();
    checks.check_media_ports();
    checks.check_limits();
    checks.check_entry_counts();
    check_routes(&mut checks);
    check_queues(&mut checks);
    checks.findings
}

impl<'c> Checks<'c> {
    pub fn error(&mut self, code: &'static str, path: &str, reason: impl Into<String>, mend: impl Into<String>) {
        let finding = self.source.error(code, self.places.of(path), reason, mend);
        self.findings.push(placed(finding));
    }

    pub fn warning(&mut self, code: &'static str, path: &str, reason: impl Into<String>, mend: impl Into<String>) {
        let finding = self.source.warning(code, self.places.of(path), reason, mend);
        self.findings.push(placed(finding));
    }

    /// An error where `name` is not among `known`.
    pub fn require_known<'n>(
        &mut self,
        code: &'static str,
        path: &str,
        (kind, name): (&str, &str),
        known: impl Iterator<Item = &'n str>,
    ) {
        let known: Vec<&str> = known.collect();
        if !known.contains(&name) {
            self.error(code, path, format!("There is no {kind} `{name}`."), did_you_mean(name, &known));
        }
    }

    pub fn require_dialplan(&mut self, path: &str, name: &DialplanName) {
        // A number without a dialplan was reported when it was read.
        if let Some(known) = self.surroundings.dialplans
            && !name.as_str().is_empty()
        {
            let named = ("dialplan", name.as_str());
            self.require_known("number.unknown-dialplan", path, named, known.iter().map(DialplanName::as_str));
        }
    }

    pub fn require_prompt(&mut self, path: &str, name: &PromptName) {
        if let Some(known) = self.surroundings.prompts {
            let named = ("prompt", name.as_str());
            self.require_known("queue.unknown-prompt", path, named, known.iter().map(PromptName::as_str));
        }
    }

    fn check_listeners(&mut self) {
        let listen = &self.plan.sip.listen;
        if listen.is_empty() {
            self.error("sip.no-listener", "sip.listen", "No socket takes SIP.", "Add \"udp:0.0.0.0:5060\".");
        }
        if self.places.exceeds("sip.listen", listen.len()) {
            return;
        }
        for (at, one) in listen.iter().enumerate() {
            if let Some(other) = listen[..at].iter().find(|other| clash(other, one)) {
                let reason = format!("{one} and {other} want the same socket.");
                self.error("sip.listener-clash", &format!("sip.listen[{at}]"), reason, "Remove one of the two.");
            }
        }
        let http = Listener { transport: Transport::Tcp, address: self.plan.http.listen };
        if let Some(sip) = listen.iter().find(|sip| clash(sip, &http)) {
            let reason = format!("HTTP on {} and SIP on {sip} want the same socket.", http.address);
            self.error("http.listener-clash", "http.listen", reason, "Give HTTP another port.");
        }
    }

    fn check_media_ports(&mut self) {
        let media = &self.plan.media;
        if media.port_first % 2 == 1 {
            let reason = format!("{} is odd, and RTP takes even ports (RFC 3550 §11).", media.port_first);
            self.error("media.odd-port", "media.port_first", reason, "Begin with an even port.");
        }
        if media.port_last <= media.port_first {
            let reason = format!("The range {} to {} has no ports.", media.port_first, media.port_last);
            self.error("media.empty-range", "media.port_last", reason, "Let port_last be above port_first.");
            return;
        }
        let (pairs, calls) = (media.port_pairs(), self.plan.limits.calls);
        // A call has two legs, a leg a pair of ports.
        if pairs < calls.saturating_mul(2) {
            let reason =
                format!("{pairs} pairs of ports carry {} calls of two legs; limits.calls is {calls}.", pairs / 2);
            let mend = "Widen port_first to port_last, or lower limits.calls.";
            self.error("media.too-few-ports", "media.port_last", reason, mend);
        }
        if pairs < u32::from(media.engines) {
            let reason = format!("{} engines share {pairs} pairs of ports.", media.engines);
            self.error("media.too-few-ports", "media.engines", reason, "Have fewer engines, or more ports.");
        }
        let range = media.port_first..=media.port_last;
        let inside = |sip: &&Listener| sip.transport == Transport::Udp && range.contains(&sip.address.port());
        if let Some((at, sip)) = self.plan.sip.listen.iter().enumerate().find(|(_, sip)| inside(sip)) {
            let reason = format!("{sip} lies inside of the media ports {} to {}.", media.port_first, media.port_last);
            self.error("media.port-clash", &format!("sip.listen[{at}]"), reason, "Move one out of the other.");
        }
    }

    fn check_limits(&mut self) {
        let (limits, sip) = (&self.plan.limits, &self.plan.sip);
        if limits.dialogs < limits.calls.saturating_mul(2) {
            let reason = format!("{} calls of two legs need {} dialogs.", limits.calls, limits.calls.saturating_mul(2));
            self.error("limits.too-few-dialogs", "limits.dialogs", reason, "Raise dialogs, or lower calls.");
        }
        if sip.registration_min_s > sip.registration_max_s {
            let (min, max) = (sip.registration_min_s.0, sip.registration_max_s.0);
            let reason = format!("The shortest registration ({min} s) is longer than the longest ({max} s).");
            self.error("sip.registration-range", "sip.registration_min_s", reason, "Swap the two.");
        }
    }

    fn check_entry_counts(&mut self) {
        let plan = self.plan;
        let patterns: usize = plan.numbers.iter().map(|number| number.patterns.len()).sum();
        let prefixes: usize = plan.outbound.iter().map(|route| route.prefix.len()).sum();
        let peers: usize = plan.trunks.values().map(|trunk| trunk.peers.len()).sum();
        let exceptions: usize = plan.hours.values().map(|hours| hours.exceptions.len()).sum();
        for (key, count, limit) in [
            ("trunk", plan.trunks.len().max(peers), limits::TRUNK_PEERS),
            ("number", plan.numbers.len().max(patterns), limits::CONFIG_ENTRIES),
            ("outbound", plan.outbound.len().max(prefixes), limits::CONFIG_ENTRIES),
            ("queue", plan.queues.len(), limits::CONFIG_ENTRIES),
            ("hours", plan.hours.len().max(exceptions), limits::CONFIG_ENTRIES),
            ("local_networks", plan.local_networks.len() - network::LOOPBACK.len(), limits::LOCAL_NETWORKS),
            ("skills", plan.skills.len(), limits::CONFIG_ENTRIES),
        ] {
            if count > limit {
                let reason = format!("`{key}` has {count} entries, and may have {limit}.");
                self.error("config.too-many", key, reason, "Use prefixes and networks instead of single ones.");
            }
        }
    }
}

/// Whether two sockets cannot both be bound.
fn clash(a: &Listener, b: &Listener) -> bool {
    let covers = |x: IpAddr, y: IpAddr| x == y || (x.is_unspecified() && x.is_ipv4() == y.is_ipv4());
    let (ip_a, ip_b) = (a.address.ip(), b.address.ip());
    a.transport == b.transport && a.address.port() == b.address.port() && (covers(ip_a, ip_b) || covers(ip_b, ip_a))
}

/// A finding about something that stands nowhere is about the whole file.
fn placed(finding: Finding) -> Finding {
    if finding.span.is_empty() { Finding { line: 0, column: 0, ..finding } } else { finding }
}

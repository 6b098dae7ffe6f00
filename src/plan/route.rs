//! Whose call is this, what answers it, and which way does a call go out. Pure look-ups in a [`Plan`].

use core::net::SocketAddr;
use std::borrow::Cow;

use super::hours::{Hours, Verdict};
use super::model::{Dialer, InboundNumber, OutboundRoute, Plan};
use super::queue::Queue;
use super::trunk::{CallerId, Trunk};
use crate::ids::{DialplanName, Language, TrunkName};
use crate::number::Number;
use crate::time::Time;

/// What answers a called number.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound<'p> {
    pub number: &'p InboundNumber,
    /// The entry's dialplan, or its closed one outside of the hours.
    pub dialplan: &'p DialplanName,
    pub language: &'p Language,
    /// `None` where the number has no hours: always open.
    pub hours: Option<Verdict>,
}

/// The way of a call out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbound<'p> {
    /// In the order they are tried; never empty. Each can call out.
    pub trunks: Vec<&'p Trunk>,
    /// What the route says; `None` leaves it to each trunk ([`Trunk::caller_id`]).
    pub caller_id: Option<&'p CallerId>,
    /// An emergency call passes every limit and every drain.
    pub emergency: bool,
}

/// Why a number is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundRefusal {
    #[error("calls abroad are not allowed on this route (`international = true` would)")]
    International,
    #[error("no route leads to this number")]
    NoRoute,
    #[error("the route to this number is not for a {}", .0.word())]
    NotFor(Dialer),
    #[error("no trunk for emergency calls is configured")]
    NoEmergencyTrunk,
}

impl OutboundRefusal {
    /// The SIP status that tells it to the phone (RFC 3261 §21.4).
    pub fn status(self) -> u16 {
        match self {
            OutboundRefusal::International | OutboundRefusal::NotFor(_) => 403,
            OutboundRefusal::NoRoute => 404,
            OutboundRefusal::NoEmergencyTrunk => 503,
        }
    }
}

impl Plan {
    /// The trunk whose `match` holds a source address most specifically.
    pub fn trunk_at(&self, source: SocketAddr) -> Option<&Trunk> {
        let best = |trunk: &Trunk| {
            trunk.peers.iter().filter(|peer| peer.contains(source)).map(|peer| peer.specificity()).max()
        };
        self.trunks
            .values()
            .filter_map(|trunk| Some((best(trunk)?, trunk)))
            .max_by_key(|(specificity, _)| *specificity)
            .map(|(_, trunk)| trunk)
    }

    /// The entry whose pattern holds a called number most specifically.
    pub fn number_entry(&self, called: &Number) -> Option<&InboundNumber> {
        let best = |entry: &InboundNumber| {
            entry.patterns.iter().filter(|pattern| pattern.matches(called)).map(|pattern| pattern.specificity()).max()
        };
        self.numbers
            .iter()
            .filter_map(|entry| Some((best(entry)?, entry)))
            .max_by_key(|(specificity, _)| *specificity)
            .map(|(_, entry)| entry)
    }

    /// A queue's hours by the queue's clock; `None` where it has none: always open.
    pub fn hours_of(&self, queue: &Queue) -> Option<Cow<'_, Hours>> {
        let hours = self.hours.get(queue.hours.as_ref()?)?;
        Some(if hours.time_zone == queue.time_zone {
            Cow::Borrowed(hours)
        } else {
            Cow::Owned(Hours { time_zone: queue.time_zone.clone(), ..hours.clone() })
        })
    }

    /// What answers a called number now; `None` where nothing does (404).
    pub fn inbound(&self, called: &Number, now: Time) -> Option<Inbound<'_>> {
        let number = self.number_entry(called)?;
        let hours = number.hours.as_ref().and_then(|name| self.hours.get(name)).map(|hours| hours.verdict(now));
        let closed = hours.as_ref().is_some_and(|verdict| !verdict.open);
        let dialplan = number.closed_dialplan.as_ref().filter(|_| closed).unwrap_or(&number.dialplan);
        let language = number.language.as_ref().unwrap_or(&self.language);
        Some(Inbound { number, dialplan, language, hours })
    }

    /// The way out for a number. Emergency numbers have their own; else the longest prefix decides, and where it is
    /// not for `who`, a shorter one does not help.
    pub fn outbound(&self, number: &Number, who: Dialer) -> Result<Outbound<'_>, OutboundRefusal> {
        if self.emergency.numbers.contains(number) {
            let trunks = self.trunks_out(&self.emergency.trunks);
            let found = Outbound { trunks, caller_id: None, emergency: true };
            return if found.trunks.is_empty() { Err(OutboundRefusal::NoEmergencyTrunk) } else { Ok(found) };
        }
        let route = self.route_for(number, who)?;
        if number.is_international(&self.home) && !route.international {
            return Err(OutboundRefusal::International);
        }
        let trunks = self.trunks_out(&route.trunks);
        if trunks.is_empty() {
            return Err(OutboundRefusal::NoRoute);
        }
        Ok(Outbound { trunks, caller_id: route.caller_id.as_ref(), emergency: false })
    }

    fn route_for(&self, number: &Number, who: Dialer) -> Result<&OutboundRoute, OutboundRefusal> {
        let length = |route: &OutboundRoute| {
            route.prefix.iter().filter(|prefix| prefix.matches(number)).map(|prefix| prefix.specificity()).max()
        };
        let longest = self.outbound.iter().filter_map(length).max().ok_or(OutboundRefusal::NoRoute)?;
        self.outbound
            .iter()
            .filter(|route| length(route) == Some(longest))
            .find(|route| route.who.contains(&who))
            .ok_or(OutboundRefusal::NotFor(who))
    }

    /// Those of the named trunks that can call out.
    fn trunks_out(&self, names: &[TrunkName]) -> Vec<&Trunk> {
        names.iter().filter_map(|name| self.trunks.get(name)).filter(|trunk| trunk.host.is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Source;
    use crate::plan::read::{Surroundings, read};

    fn plan(text: &str) -> Plan {
        read(&Source::new("strowger.toml", text), &Surroundings::NONE)
            .into_plan()
            .unwrap_or_else(|findings| panic!("{}", findings.iter().map(|f| format!("{f}\n")).collect::<String>()))
    }

    fn centre() -> Plan {
        plan(
            r#"
            [trunk.carrier]
            match = ["203.0.113.0/24", "2001:db8:1::/48"]
            host = "sip.carrier.example"
            [trunk.lab]
            match = ["203.0.113.7", "203.0.113.8:5070"]
            [trunk.backup]
            host = "[2001:db8:2::1]:5062"

            [hours.office]
            time_zone = "Asia/Shanghai"
            weekdays = ["09:00-18:00"]

            [[number]]
            match = ["95539", "020 3812 3456"]
            dialplan = "airline"
            hours = "office"
            closed_dialplan = "night"
            [[number]]
            match = "+862038123*"
            dialplan = "bank"
            language = "zh"

            [[outbound]]
            prefix = "*"
            trunks = ["carrier", "backup"]
            [[outbound]]
            prefix = "+1"
            trunks = ["backup"]
            international = true
            who = ["supervisor", "admin"]
            caller_id = "anonymous"
            [[outbound]]
            prefix = ["+86900", "+86901"]
            trunks = ["carrier"]
            who = ["admin"]
            "#,
        )
    }

    fn number(text: &str, plan: &Plan) -> Number {
        Number::normalise(text, &plan.home).unwrap()
    }

    #[test]
    fn a_source_address_belongs_to_the_most_specific_trunk() {
        let plan = centre();
        let trunk = |source: &str| plan.trunk_at(source.parse().unwrap()).map(|trunk| trunk.name.as_str());
        for (source, wanted) in [
            ("203.0.113.9:5060", Some("carrier")),
            ("203.0.113.7:5060", Some("lab")),
            ("203.0.113.8:5070", Some("lab")),
            ("203.0.113.8:5060", Some("carrier")),
            ("[2001:db8:1::99]:5060", Some("carrier")),
            ("[::ffff:203.0.113.7]:5060", Some("lab")),
            ("198.51.100.1:5060", None),
        ] {
            assert_eq!(trunk(source), wanted, "{source}");
        }
    }

    #[test]
    fn a_called_number_finds_its_dialplan() {
        let plan = centre();
        let monday_ten = Time::from_secs(1_795_399_200); // 2026-11-23T02:00:00Z, 10:00 in Shanghai
        let answer = |called: &str, now| {
            let found = plan.inbound(&number(called, &plan), now)?;
            Some((found.dialplan.to_string(), found.hours.map(|verdict| verdict.open), found.language.to_string()))
        };
        let of = |dialplan: &str, open, language: &str| Some((dialplan.to_owned(), open, language.to_owned()));
        assert_eq!(answer("95539", monday_ten), of("airline", Some(true), "en"));
        assert_eq!(answer("+862038123456", monday_ten), of("airline", Some(true), "en"), "exact beats the prefix");
        assert_eq!(answer("02038123499", monday_ten), of("bank", None, "zh"));
        let sunday = Time::from_secs(1_795_399_200 - 86_400);
        assert_eq!(answer("95539", sunday), of("night", Some(false), "en"));
        assert_eq!(answer("10086", monday_ten), None);
    }

    #[test]
    fn a_dialled_number_finds_its_trunks_or_a_reason() {
        let plan = centre();
        let way = |dialled: &str, who| {
            plan.outbound(&number(dialled, &plan), who)
                .map(|out| out.trunks.iter().map(|trunk| trunk.name.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(way("13800138000", Dialer::Agent), Ok("carrier backup".to_owned()));
        assert_eq!(way("+12015550123", Dialer::Supervisor), Ok("backup".to_owned()));
        assert_eq!(way("+12015550123", Dialer::Agent), Err(OutboundRefusal::NotFor(Dialer::Agent)));
        assert_eq!(way("+33142685300", Dialer::Admin), Err(OutboundRefusal::International));
        assert_eq!(way("0 900 123 4567", Dialer::Phone), Err(OutboundRefusal::NotFor(Dialer::Phone)));
        assert_eq!(OutboundRefusal::International.status(), 403);
        let caller_id = plan.outbound(&number("+12015550123", &plan), Dialer::Admin).unwrap().caller_id;
        assert_eq!(caller_id, Some(&CallerId::Anonymous));
    }

    #[test]
    fn emergency_is_dialable_by_everyone_on_every_trunk_that_can() {
        let plan = centre();
        for who in Dialer::ALL {
            let out = plan.outbound(&number("110", &plan), who).unwrap();
            assert!(out.emergency);
            let names: Vec<_> = out.trunks.iter().map(|trunk| trunk.name.as_str()).collect();
            assert_eq!(names, ["carrier", "backup"], "in the order of the file");
        }
    }

    #[test]
    fn without_a_route_nothing_is_dialled() {
        let plan = plan("");
        assert_eq!(plan.outbound(&number("10086", &plan), Dialer::Admin), Err(OutboundRefusal::NoRoute));
        assert_eq!(plan.outbound(&number("110", &plan), Dialer::Admin), Err(OutboundRefusal::NoEmergencyTrunk));
    }
}

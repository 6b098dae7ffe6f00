//! Dialling: whom to ring, by which way, and from whom it seems to come.

use core::time::Duration;
use std::net::IpAddr;

use crate::call::leg::Leg;
use crate::cause::{Cause, Party, What};
use crate::event::{Address, Direction, Fact, Role};
use crate::ids::{AccountName, AgentName, LegId};
use crate::number::{Home, Number, NumberFormat};
use crate::plan::model::Dialer;
use crate::plan::trunk::{CallerId, HostName, Trunk};
use crate::sip::Uri;
use crate::sip::flow::{Listener, facing};
use crate::sip::invite::{Credentials, Invite, Party as SipParty, Target};
use crate::sip::uri::escape_user;

use super::Switch;
use super::call::{AfterDial, Call, Hunt, Stage};
use super::sound::Face;
use super::timer::Timer;

/// The name of who withholds its own (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "Anonymous";

/// Whom to ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DialTo {
    /// Every phone of an account.
    Account(AccountName),
    /// An outside number, by the routes.
    Number { number: Number, who: Dialer },
}

/// A party to ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub to: DialTo,
    pub caller_id: Option<String>,
    pub ring: Option<Duration>,
    pub then: AfterDial,
}

/// Why nobody could be rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDialled {
    pub what: What,
    pub status: u16,
}

/// Where an INVITE goes and what it says of who calls.
struct Ring {
    targets: Vec<Target>,
    from: SipParty,
    to: SipParty,
    headers: Vec<(String, String)>,
    credentials: Option<Credentials>,
    /// One for each target.
    faces: Vec<Face>,
}

impl Switch {
    /// Rings a party for the caller. A failure to ring is treated as a failure of the party.
    pub(super) fn dial(&mut self, call: &mut Call, dial: Dial) {
        let until = self.now + dial.ring.unwrap_or(call.edition.plan.sip.ring_max_s.span());
        call.hunt = Some(Hunt { to: dial.to, caller_id: dial.caller_id, until, tried: Vec::new() });
        if let Err(not) = self.dial_next_way(call, dial.then.clone()) {
            self.dial_failed(call, dial.then, Cause::with_status(not.what, Party::Switch, not.status));
        }
    }

    /// Rings the phones of an account, or an outside number over the first trunk that was not tried.
    fn dial_next_way(&mut self, call: &mut Call, then: AfterDial) -> Result<(), NotDialled> {
        let Some(hunt) = call.hunt.clone() else { return Err(NotDialled { what: What::Unreachable, status: 503 }) };
        let leg = self.ring(call, &hunt.to, hunt.caller_id.as_deref(), None, Vec::new())?;
        let trunk = call.leg(leg).and_then(|leg| leg.address.trunk.clone());
        if let Some(hunt) = &mut call.hunt {
            hunt.tried.extend(trunk);
        }
        self.timers.set(hunt.until, Timer::Ring(call.id, leg));
        call.stage = Stage::Dialling { callee: leg, then };
        self.tell_caller_of_progress(call);
        Ok(())
    }

    /// A trunk could not take the call: the next one is rung in its place. False where none is left.
    pub(super) fn hunt_on(&mut self, call: &mut Call, failed: LegId) -> bool {
        let Stage::Dialling { callee, then } = call.stage.clone() else { return false };
        if call.leg(failed).is_none_or(|leg| leg.address.trunk.is_none()) {
            return false;
        }
        if callee != failed || call.hunt.as_ref().is_none_or(|hunt| hunt.until <= self.now) {
            return false;
        }
        self.dial_next_way(call, then).is_ok()
    }

    /// An answered caller hears ringing from the start; an unanswered one gets the far side's own progress.
    fn tell_caller_of_progress(&mut self, call: &mut Call) {
        let caller = call.caller;
        if call.leg(caller).is_some_and(Leg::is_answered) {
            self.play_ringback(call, caller);
        }
    }

    /// Sends the INVITE of a new leg and tells of it. `agent` marks it as an agent's.
    pub(super) fn ring(
        &mut self,
        call: &mut Call,
        to: &DialTo,
        caller_id: Option<&str>,
        agent: Option<AgentName>,
        headers: Vec<(String, String)>,
    ) -> Result<LegId, NotDialled> {
        let leg = self.place_leg(call, to, caller_id, agent, headers)?;
        if let Some(placed) = call.leg(leg) {
            let (role, to, agent) = (placed.role, placed.address.clone(), placed.agent.clone());
            self.emit(Some(call.id), Fact::LegAdded { leg, role, to, agent });
        }
        Ok(leg)
    }

    /// The same without telling: the first leg of a call is told of with the call.
    pub(super) fn place_leg(
        &mut self,
        call: &mut Call,
        to: &DialTo,
        caller_id: Option<&str>,
        agent: Option<AgentName>,
        headers: Vec<(String, String)>,
    ) -> Result<LegId, NotDialled> {
        let (mut ring, address) = match to {
            DialTo::Account(account) => self.ring_account(call, account)?,
            DialTo::Number { number, who } => self.ring_number(call, number, *who, caller_id)?,
        };
        ring.headers.extend(headers);
        let codecs = self.codecs(&address);
        let face = *ring.faces.first().ok_or(NotDialled { what: What::Unreachable, status: 480 })?;
        let media = self.lease_media(call.engine, face, &codecs);
        let mut media = media.ok_or(NotDialled { what: What::Congestion, status: 503 })?;
        self.tell_each(&mut media, &mut ring.targets, &ring.faces);
        let local = self.local_media(&media);
        let offer = media.sdp.make_offer(local);
        let invite = Invite {
            targets: ring.targets,
            from: ring.from,
            to: ring.to,
            contact_user: address.account.as_ref().map_or_else(|| "strowger".to_owned(), ToString::to_string),
            offer,
            headers: ring.headers,
            credentials: ring.credentials,
            max_forwards: call.max_forwards.saturating_sub(1),
        };
        let session = match self.endpoint.invite(self.now, invite) {
            Ok(session) => session,
            Err(_) => {
                self.ports.release(self.now, call.engine, media.local.port());
                return Err(NotDialled { what: What::Congestion, status: 503 });
            }
        };
        let id: LegId = self.ids.next(self.now);
        let role = if agent.is_some() { Role::Agent } else { Role::Callee };
        let leg = self.new_leg(id, role, address, agent, session, media);
        self.add_leg(call, leg);
        self.open_media(call, id, face.peer);
        self.count_agent_legs(call, id);
        Ok(id)
    }

    fn ring_account(&mut self, call: &Call, account: &AccountName) -> Result<(Ring, Address), NotDialled> {
        let targets = self.endpoint.registrar().targets(account.as_str());
        // Without an address of ours of its family a phone cannot be met.
        let faced = targets.into_iter().filter_map(|target| Some((self.face_of(&target)?, target)));
        let (faces, targets): (Vec<Face>, Vec<Target>) = faced.unzip();
        let domain = &self.edition.plan.domain;
        let ring = Ring {
            from: SipParty::new(caller_display(call), format!("sip:{}@{domain}", caller_user(call))),
            to: SipParty::new("", format!("sip:{account}@{domain}")),
            targets,
            headers: Vec::new(),
            credentials: None,
            faces,
        };
        let address = Address { number: account.to_string(), account: Some(account.clone()), ..Address::default() };
        Ok((ring, address))
    }

    fn ring_number(
        &mut self,
        call: &Call,
        number: &Number,
        who: Dialer,
        caller_id: Option<&str>,
    ) -> Result<(Ring, Address), NotDialled> {
        let edition = self.edition.clone();
        let route = edition
            .plan
            .outbound(number, who)
            .map_err(|refusal| NotDialled { what: What::Forbidden, status: refusal.status() })?;
        if self.draining && !route.emergency {
            return Err(NotDialled { what: What::Congestion, status: 503 });
        }
        let tried = call.hunt.as_ref().map(|hunt| hunt.tried.as_slice()).unwrap_or_default();
        let left = || route.trunks.iter().filter(|trunk| !tried.contains(&trunk.name));
        let own = |trunk: &Trunk| call.legs_on(&trunk.name);
        let usable =
            left().find(|trunk| !self.trunks_down.contains(&trunk.name) && self.may_use_trunk(&trunk.name, own(trunk)));
        // An emergency goes over a full trunk too, and over one that seems to be down where no other is left.
        let up = || left().find(|trunk| !self.trunks_down.contains(&trunk.name));
        let usable = usable.or_else(|| if route.emergency { up().or_else(|| left().next()) } else { None });
        let trunk = usable.ok_or(NotDialled { what: What::Congestion, status: 503 })?;
        let shown = route.caller_id.unwrap_or(&trunk.caller_id);
        let ring = self.ring_trunk(call, number, trunk, shown, caller_id)?;
        let address =
            Address { number: number.as_str().to_owned(), trunk: Some(trunk.name.clone()), ..Address::default() };
        Ok((ring, address))
    }

    fn ring_trunk(
        &self,
        call: &Call,
        number: &Number,
        trunk: &Trunk,
        shown: &CallerId,
        caller_id: Option<&str>,
    ) -> Result<Ring, NotDialled> {
        let plan = &self.edition.plan;
        let host = trunk.host.as_ref().ok_or(NotDialled { what: What::Unreachable, status: 503 })?;
        let place = host.to_string();
        let domain = trunk.from_domain.as_deref().unwrap_or(&place);
        let user = number.written(&plan.home, trunk.number_format);
        let shown = match shown {
            CallerId::Pass => passed_on(call, caller_id, &plan.home, trunk.number_format),
            CallerId::Number(number) => Some((number.written(&plan.home, trunk.number_format), String::new())),
            CallerId::Anonymous => None,
        };
        // RFC 3323 §4.1.1.3, RFC 3325 §7: who is withheld is named nowhere.
        let (header, (from_user, display)) = match shown {
            None => (Some(("Privacy", "id".to_owned())), ("anonymous".to_owned(), ANONYMOUS.to_owned())),
            Some((user, display)) => {
                let asserted = || ("P-Asserted-Identity", format!("<sip:{user}@{domain}>"));
                (trunk.trust_identity.then(asserted), (user, display))
            }
        };
        let transport = trunk.transport.word();
        let peer = match &host.name {
            HostName::Address(ip) => Some(*ip),
            HostName::Name(name) => (&**name == "localhost").then_some(IpAddr::from([127, 0, 0, 1])),
        };
        let ours = self.address_towards(peer).ok_or(NotDialled { what: What::Unreachable, status: 503 })?;
        Ok(Ring {
            targets: vec![Target::uri(format!("sip:{user}@{place};transport={transport}"))],
            from: SipParty::new(display, format!("sip:{from_user}@{domain}")),
            to: SipParty::new("", format!("sip:{user}@{place}")),
            headers: header.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            credentials: trunk.credentials.as_ref().map(|credentials| Credentials {
                user: credentials.user.to_string(),
                password: credentials.password.reveal().to_owned(),
            }),
            faces: vec![Face { ours, peer }],
        })
    }

    /// A phone is met from the address of ours that it registered at.
    fn face_of(&self, target: &Target) -> Option<Face> {
        let peer = address_of(target);
        let same_family = |ours: &IpAddr| peer.is_none_or(|peer| peer.is_ipv4() == ours.is_ipv4());
        let bound_at = target.registered.map(|source| source.local.ip()).filter(same_family);
        Some(Face { ours: bound_at.or_else(|| self.address_towards(peer))?, peer })
    }

    /// Our address that faces a peer; for one known by name alone, that which faces the outside.
    fn address_towards(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let ours = || self.listeners.iter();
        let listener = match peer {
            Some(peer) => facing(ours(), peer),
            None => {
                let is_outward = |l: &&Listener| l.networks.iter().any(|network| network.prefix_bits() == 0);
                let beyond_loopback = || ours().find(|l| !l.local.ip().is_loopback());
                ours().find(is_outward).or_else(beyond_loopback).or_else(|| ours().next())
            }
        };
        listener.map(|listener| listener.local.ip())
    }
}

/// Where a target is: at the far end of its flow, else at the address in its URI, else where it registered from.
fn address_of(target: &Target) -> Option<IpAddr> {
    let flow = target.destination.map(|destination| destination.remote().ip());
    let written = || Uri::parse(&target.uri).ok().and_then(|uri| uri.host().ip());
    flow.or_else(written).or_else(|| target.registered.map(|source| source.remote.ip()))
}

/// The user part we show for the caller, as it stands in a URI: what a caller says of itself may hold anything.
fn caller_user(call: &Call) -> String {
    if call.from.number.is_empty() { "anonymous".to_owned() } else { escape_user(&call.from.number).into_owned() }
}

/// What our phones show as the caller's name: of a customer the name in the record. On a call out the record is the
/// called party's.
fn caller_display(call: &Call) -> String {
    let card = Some(&call.card.name).filter(|name| call.direction == Direction::Inbound && !name.is_empty());
    match card.unwrap_or(&call.from.name).as_str() {
        "" if call.from.number.is_empty() => ANONYMOUS.to_owned(),
        name => name.to_owned(),
    }
}

/// User part and name that a trunk is told of who calls; `None` where the caller withholds its number. The record's name
/// stays in the house. `own`: the number that the dialplan chose.
fn passed_on(call: &Call, own: Option<&str>, home: &Home, format: NumberFormat) -> Option<(String, String)> {
    let number = own.or(Some(call.from.number.as_str()).filter(|number| !number.is_empty()))?;
    // An extension is no number, whatever it looks like.
    let is_number = own.is_some() || call.from.account.is_none();
    let written = Number::normalise(number, home).ok().filter(|_| is_number).map(|number| number.written(home, format));
    Some((written.unwrap_or_else(|| escape_user(number).into_owned()), call.from.name.clone()))
}

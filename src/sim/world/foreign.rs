//! Everybody outside: phones and gateways on their wires, callers and agents at them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::agent::{Agent, AgentAction, PhoneAct};
use super::super::caller::{Caller, CallerAct, Hearing};
use super::super::chance::{Spread, happens};
use super::super::dialect::Dialect;
use super::super::endpoint::{Endpoint, UserAgent};
use super::super::net::BOUNCE;
use super::super::phone::Phone;
use super::super::report::{CallKey, EndedBy, Ending, PhoneReport};
use super::super::seed::{By, PhonePlan, Population, START, SWITCH, TrunkPlan};
use super::super::trunk::Trunk;
use super::house::fate;
use super::{Happening, World};
use crate::ids::{AccountName, AgentName, CallId};
use crate::sip::flow::{FlowId, Source, Transport};
use crate::time::Time;

/// A phone or a gateway, with its wire and whoever uses it.
pub(super) struct Party {
    pub name: String,
    body: Body,
    /// Where it believes to be.
    local: SocketAddr,
    /// Where the switch sees it.
    pub wire: SocketAddr,
    /// A router stands between, which may forget.
    nat: bool,
    pub dialect: Dialect,
    pub flow: Option<FlowId>,
    /// Without power, or cut off, until then.
    pub dark_until: Time,
    /// Senders learn by ICMP that it is dark.
    pub told: bool,
    pub seat: Option<Seat>,
    callers: BTreeMap<CallKey, usize>,
    media: BTreeMap<CallKey, SocketAddr>,
    due: Option<Time>,
}

enum Body {
    Phone(Box<Phone>),
    Trunk(Box<Trunk>),
}

/// An agent at a phone.
pub(super) struct Seat {
    pub agent: Agent,
    pub name: AgentName,
    pub account: AccountName,
    /// What the switch last said of the agent.
    pub wrapping: bool,
    pub on_shift: bool,
    /// The call last offered.
    pub call: Option<CallId>,
}

/// A caller and what it calls from.
pub(super) struct Line {
    caller: Caller,
    party: usize,
    key: Option<CallKey>,
    due: Option<Time>,
}

impl Party {
    fn agent(&mut self) -> &mut dyn UserAgent {
        match &mut self.body {
            Body::Phone(phone) => &mut **phone,
            Body::Trunk(trunk) => &mut **trunk,
        }
    }

    fn endpoint(&mut self) -> &mut Endpoint {
        self.agent().endpoint()
    }

    pub fn is_idle(&mut self) -> bool {
        self.endpoint().is_idle()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let body = match &self.body {
            Body::Phone(phone) => phone.poll_timeout(),
            Body::Trunk(trunk) => trunk.poll_timeout(),
        };
        let seat = self.seat.as_ref().and_then(|seat| seat.agent.poll_timeout());
        [body, seat].into_iter().flatten().min()
    }

    /// The addresses that a dialect turns round: the switch's and its own.
    fn addresses(&self) -> Vec<Ipv4Addr> {
        let v4 = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        };
        [SWITCH, self.local].into_iter().filter_map(v4).collect()
    }
}

impl World<'_> {
    pub(super) fn people(&mut self, population: Population) {
        let Population { trunks, phones, agents, callers, .. } = population;
        for plan in trunks {
            let seed = self.party_seed();
            self.add_party(Self::trunk_party(plan, seed));
        }
        let first_phone = self.parties.len();
        for plan in phones {
            let seed = self.party_seed();
            self.add_party(Self::phone_party(plan, seed));
        }
        for (nth, plan) in agents.into_iter().enumerate() {
            let (at, seed) = (first_phone + nth, self.party_seed());
            let account = AccountName::new(self.parties[at].name.trim_start_matches("phone "));
            let (agent, name) = (Agent::new(plan.habits, seed), plan.name);
            self.agents.insert(name.clone(), at);
            self.names.push(name.clone());
            let (wrapping, on_shift, call) = (false, false, None);
            self.parties[at].seat = Some(Seat { agent, name, account, wrapping, on_shift, call });
            self.at(START + plan.from, Happening::ShiftBegins(at));
            self.at(START + plan.to, Happening::ShiftEnds(at));
        }
        for at in first_phone + self.agents.len()..self.parties.len() {
            self.at(START + Duration::from_secs(1), Happening::Lit(at));
        }
        for (nth, plan) in callers.into_iter().enumerate() {
            let party = match plan.by {
                By::Trunk(trunk) => trunk,
                By::Phone(phone) => first_phone + phone,
            };
            self.lines.push(Line { caller: Caller::new(plan.script), party, key: None, due: None });
            self.at(START + plan.at, Happening::Dial(nth));
        }
    }

    fn party_seed(&mut self) -> u64 {
        u64::from(self.dice.below(u32::MAX))
    }

    fn trunk_party(plan: TrunkPlan, seed: u64) -> Party {
        let (name, local) = (format!("trunk {}", plan.settings.name), plan.settings.local);
        let body = Body::Trunk(Box::new(Trunk::new(plan.settings, seed)));
        Self::party(name, body, local, plan.dialect, None)
    }

    fn phone_party(plan: PhonePlan, seed: u64) -> Party {
        let (name, local) = (format!("phone {}", plan.account), plan.settings.local);
        let body = Body::Phone(Box::new(Phone::new(plan.settings, seed)));
        Self::party(name, body, local, plan.dialect, plan.outside)
    }

    fn party(name: String, body: Body, local: SocketAddr, dialect: Dialect, outside: Option<SocketAddr>) -> Party {
        let wire = outside.unwrap_or_else(|| dialect.to_wire(local));
        Party {
            name,
            body,
            local,
            wire,
            nat: outside.is_some(),
            dialect,
            flow: None,
            dark_until: Time::EPOCH,
            told: false,
            seat: None,
            callers: BTreeMap::new(),
            media: BTreeMap::new(),
            due: None,
        }
    }

    fn add_party(&mut self, party: Party) {
        self.by_address.insert(party.wire, self.parties.len());
        self.parties.push(party);
    }

    // -- in and out --------------------------------------------------------------------------------------------------

    pub(super) fn deliver(&mut self, at: usize, bytes: &[u8]) {
        let now = self.now;
        let party = &mut self.parties[at];
        if now < party.dark_until {
            return;
        }
        let bytes = party.dialect.inward(bytes, &party.addresses());
        party.agent().handle(now, SWITCH, &bytes);
        self.touch(at);
    }

    pub(super) fn on_party_due(&mut self, at: usize) {
        let now = self.now;
        let party = &mut self.parties[at];
        if party.due.is_some_and(|due| due > now) {
            return;
        }
        party.due = None;
        if party.poll_timeout().is_some_and(|due| due <= now) {
            party.agent().handle_timeout(now);
            if let Some(seat) = &mut party.seat {
                seat.agent.handle_timeout(now);
            }
        }
        self.touch(at);
    }

    /// Everything that a party has to say and do now, and its next waking.
    pub(super) fn touch(&mut self, at: usize) {
        for _ in 0..MOST_ROUNDS {
            if let Some(report) = self.parties[at].agent().poll_report() {
                self.on_report(at, &report);
            } else if let Some(action) = self.parties[at].seat.as_mut().and_then(|seat| seat.agent.poll_action()) {
                self.on_action(at, action);
            } else {
                break;
            }
        }
        while let Some(datagram) = self.parties[at].agent().poll_send() {
            self.emit_from(at, &datagram.bytes);
        }
        let now = self.now;
        let party = &mut self.parties[at];
        let Some(due) = party.poll_timeout().map(|due| due.max(now)) else { return };
        if party.due.is_none_or(|at| due < at) {
            party.due = Some(due);
            self.at(due, Happening::Party(at));
        }
    }

    fn emit_from(&mut self, at: usize, bytes: &[u8]) {
        let party = &self.parties[at];
        if self.now < party.dark_until {
            return;
        }
        let bytes = party.dialect.outward(bytes, &party.addresses());
        if party.dialect.tcp {
            return self.emit_stream(at, &bytes);
        }
        let local = party.dialect.to_wire(SWITCH);
        let flow = FlowId(if local.is_ipv4() { 1 } else { 3 });
        let source = Source { flow, transport: Transport::Udp, local, remote: party.wire };
        let arrivals = self.net.arrivals(self.now);
        self.rung_from(at, &bytes, arrivals.len());
        for arrival in arrivals {
            self.at(arrival, Happening::Datagram { source, bytes: bytes.clone() });
        }
    }

    fn emit_stream(&mut self, at: usize, bytes: &[u8]) {
        let flow = match self.parties[at].flow {
            Some(flow) => flow,
            None => self.open_flow(at, Transport::Tcp),
        };
        self.rung_from(at, bytes, 1);
        for piece in self.net.cuts(bytes) {
            if let Some(arrival) = self.net.stream_arrival(self.now, flow, true).filter(|_| !piece.is_empty()) {
                self.at(arrival, Happening::Bytes { flow, bytes: piece.to_vec() });
            }
        }
    }

    fn rung_from(&mut self, at: usize, bytes: &[u8], copies: usize) {
        if let Some(ladder) = &mut self.ladder {
            ladder.message(self.now, &self.parties[at].name, true, bytes, fate(copies));
        }
    }

    // -- what phones report ------------------------------------------------------------------------------------------

    fn on_report(&mut self, at: usize, report: &PhoneReport) {
        let now = self.now;
        match report {
            PhoneReport::Media { call, path } => {
                let to = self.parties[at].dialect.to_wire(path.remote);
                self.listen(at, *call, to);
                self.media.handle_fed(now, to, path.send);
            }
            PhoneReport::Press { call, digit, duration_ms } => {
                if let Some(to) = self.parties[at].media.get(call).copied() {
                    self.media.handle_key(now, to, *digit, Duration::from_millis(u64::from(*duration_ms)));
                }
            }
            PhoneReport::Ended { call, .. } => self.deafen(at, *call),
            PhoneReport::Answered { call } => self.far_end(at, *call),
            PhoneReport::Unreadable(error) => {
                let name = &self.parties[at].name;
                self.blame(None, format!("{name} cannot read what the switch sent: {error}"));
            }
            _ => {}
        }
        if let Some(seat) = &mut self.parties[at].seat {
            seat.agent.handle_phone(now, report);
        }
        self.tell_caller(at, report);
        self.wake_media();
    }

    /// The party receives this call's media from, and sends it to, that RTP address of ours.
    fn listen(&mut self, at: usize, call: CallKey, to: SocketAddr) {
        let before = self.parties[at].media.insert(call, to);
        if let Some(before) = before.filter(|before| *before != to) {
            self.ears.remove(&before);
            self.media.handle_fed(self.now, before, false);
        }
        self.ears.insert(to, (at, call));
    }

    fn deafen(&mut self, at: usize, call: CallKey) {
        if let Some(to) = self.parties[at].media.remove(&call)
            && self.ears.get(&to) == Some(&(at, call))
        {
            self.ears.remove(&to);
            self.media.handle_fed(self.now, to, false);
        }
    }

    /// A call was taken by somebody whom nobody plays: it lasts as long as it lasts.
    fn far_end(&mut self, at: usize, call: CallKey) {
        let party = &self.parties[at];
        if party.seat.is_some() || party.callers.contains_key(&call) {
            return;
        }
        if happens(&mut self.dice, 600) {
            let after = Spread::secs(2, 60).draw(&mut self.dice);
            self.after(after, Happening::FarEndHangsUp { party: at, call });
        }
    }

    pub(super) fn hang_up(&mut self, at: usize, call: CallKey) {
        let now = self.now;
        // A call that is over already needs no hanging up.
        let _ = self.parties[at].endpoint().hang_up(now, call);
        self.touch(at);
    }

    // -- agents ------------------------------------------------------------------------------------------------------

    fn on_action(&mut self, at: usize, action: AgentAction) {
        let now = self.now;
        let Body::Phone(phone) = &mut self.parties[at].body else { return };
        // What a phone refuses has been overtaken: the call is gone.
        let _ = match action {
            AgentAction::Desk(command) => {
                self.on_desk(at, command);
                Ok(())
            }
            AgentAction::Phone(PhoneAct::Register) => {
                phone.register(now);
                Ok(())
            }
            AgentAction::Phone(PhoneAct::Unregister) => {
                phone.unregister(now);
                Ok(())
            }
            AgentAction::Phone(PhoneAct::Answer(call)) => phone.endpoint().answer(now, call),
            AgentAction::Phone(PhoneAct::Decline(call, status)) => phone.endpoint().refuse(now, call, status),
            AgentAction::Phone(PhoneAct::Hold(call)) => phone.endpoint().hold(now, call),
            AgentAction::Phone(PhoneAct::Resume(call)) => phone.endpoint().resume(now, call),
            AgentAction::Phone(PhoneAct::Transfer(call, to)) => phone.transfer(now, call, &to),
            AgentAction::Phone(PhoneAct::HangUp(call)) => phone.endpoint().hang_up(now, call),
        };
    }

    pub(super) fn shift(&mut self, at: usize, begins: bool) {
        let Some(seat) = &mut self.parties[at].seat else { return };
        if seat.on_shift == begins {
            return;
        }
        seat.on_shift = begins;
        if begins {
            seat.agent.start();
        } else {
            seat.agent.finish();
        }
        self.touch(at);
    }

    // -- callers -----------------------------------------------------------------------------------------------------

    pub(super) fn dial(&mut self, line: usize) {
        let now = self.now;
        self.lines[line].caller.start(now);
        self.drain_caller(line);
    }

    pub(super) fn on_caller_due(&mut self, line: usize) {
        let now = self.now;
        let found = &mut self.lines[line];
        if found.due.is_some_and(|due| due > now) {
            return;
        }
        found.due = None;
        found.caller.handle_timeout(now);
        self.drain_caller(line);
    }

    fn tell_caller(&mut self, at: usize, report: &PhoneReport) {
        let call = match report {
            PhoneReport::Progress { call, .. } | PhoneReport::Answered { call } | PhoneReport::Ended { call, .. } => {
                call
            }
            _ => return,
        };
        let Some(line) = self.parties[at].callers.get(call).copied() else { return };
        self.lines[line].caller.handle_report(self.now, report);
        if matches!(report, PhoneReport::Ended { .. }) {
            self.parties[at].callers.remove(call);
        }
        self.act_for(line);
    }

    pub(super) fn on_heard(&mut self, to: SocketAddr, hearing: Hearing) {
        let Some((at, call)) = self.ears.get(&to).copied() else { return };
        let Some(line) = self.parties[at].callers.get(&call).copied() else { return };
        self.lines[line].caller.handle_hearing(self.now, hearing);
        self.drain_caller(line);
    }

    fn drain_caller(&mut self, line: usize) {
        self.act_for(line);
        let party = self.lines[line].party;
        self.touch(party);
    }

    fn act_for(&mut self, line: usize) {
        while let Some(act) = self.lines[line].caller.poll_act() {
            self.act(line, act);
        }
        let now = self.now;
        let found = &mut self.lines[line];
        let Some(due) = found.caller.poll_timeout().map(|due| due.max(now)) else { return };
        if found.due.is_none_or(|at| due < at) {
            found.due = Some(due);
            self.at(due, Happening::Caller(line));
        }
    }

    fn act(&mut self, line: usize, act: CallerAct) {
        let (now, at) = (self.now, self.lines[line].party);
        match (act, self.lines[line].key) {
            (CallerAct::Dial(call), _) => {
                let placed = match &mut self.parties[at].body {
                    Body::Phone(phone) => phone.call(now, &call.to),
                    Body::Trunk(trunk) => trunk.place(now, &call),
                };
                match placed {
                    Ok(key) => {
                        self.lines[line].key = Some(key);
                        self.parties[at].callers.insert(key, line);
                    }
                    // The trunk holds no registration of ours now, or the phone is full.
                    Err(_) => self.lines[line].caller.handle_refused(now),
                }
            }
            (CallerAct::Press(digit), Some(key)) => {
                let by_info = happens(&mut self.dice, 120);
                let endpoint = self.parties[at].endpoint();
                let _ = if by_info { endpoint.info_digit(now, key, digit) } else { endpoint.press(key, digit, 120) };
            }
            (CallerAct::HangUp, Some(key)) => {
                let _ = self.parties[at].endpoint().hang_up(now, key);
            }
            (CallerAct::Press(_) | CallerAct::HangUp, None) => {}
        }
    }

    // -- faults at parties -------------------------------------------------------------------------------------------

    pub(super) fn reboot(&mut self, phone: u32, dark: Duration) {
        let at = self.phone_at(phone);
        let until = self.now + dark;
        let calls: Vec<CallKey> = self.parties[at].media.keys().copied().collect();
        let callers: Vec<CallKey> = self.parties[at].callers.keys().copied().collect();
        for call in calls {
            self.deafen(at, call);
        }
        for call in callers {
            let ending = Ending { status: 408, by: EndedBy::Silence };
            self.tell_caller(at, &PhoneReport::Ended { call, ending });
        }
        if let Body::Phone(phone) = &mut self.parties[at].body {
            phone.reboot();
        }
        self.parties[at].callers.clear();
        self.forget_agents_call(at);
        for flow in self.net.drop_of(at) {
            self.after(BOUNCE, Happening::FlowClosed(flow));
        }
        let party = &mut self.parties[at];
        (party.flow, party.dark_until, party.told) = (None, until, false);
        self.at(until, Happening::Lit(at));
        self.wake_media();
    }

    /// The agent sees the display go dark.
    fn forget_agents_call(&mut self, at: usize) {
        let now = self.now;
        let Some(seat) = &mut self.parties[at].seat else { return };
        if let Some(call) = seat.agent.at_call() {
            let ending = Ending { status: 408, by: EndedBy::Silence };
            seat.agent.handle_phone(now, &PhoneReport::Ended { call, ending });
        }
    }

    /// Power is back, or a softphone is started.
    pub(super) fn lit(&mut self, at: usize) {
        let now = self.now;
        let wanted = self.parties[at].seat.as_ref().is_none_or(|seat| seat.on_shift);
        if let Body::Phone(phone) = &mut self.parties[at].body
            && wanted
        {
            phone.register(now);
        }
        self.touch(at);
    }

    /// From now on the router sends from another port, and takes nothing at the old one.
    pub(super) fn rebind(&mut self, phone: u32) {
        let at = self.phone_at(phone);
        let party = &mut self.parties[at];
        if !party.nat {
            return;
        }
        self.by_address.remove(&party.wire);
        party.wire.set_port(party.wire.port().wrapping_add(256).max(1_024));
        self.by_address.insert(party.wire, at);
    }

    fn phone_at(&self, phone: u32) -> usize {
        let trunks = self.parties.iter().filter(|party| matches!(party.body, Body::Trunk(_))).count();
        (trunks + usize::try_from(phone).unwrap_or(0)).min(self.parties.len().saturating_sub(1))
    }

    pub(super) fn everybody_hangs_up(&mut self) {
        let now = self.now;
        for at in 0..self.parties.len() {
            let calls: Vec<CallKey> = self.parties[at].endpoint().calls().collect();
            for call in calls {
                let _ = self.parties[at].endpoint().hang_up(now, call);
            }
            self.touch(at);
            self.at(now + Duration::from_secs(5), Happening::ShiftEnds(at));
        }
    }
}

/// Reports and acts of one party at one instant.
const MOST_ROUNDS: usize = 10_000;

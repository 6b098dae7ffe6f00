//! Orders of agents, supervisors and administrators; and what phones and desktops report of themselves.

use std::sync::Arc;

use crate::acd::{self, AgentEntry, RosterChange};
use crate::cause::{Cause, Party, What};
use crate::command::{Actor, Command, Done, ForcedState, Order, Refusal, UserRole};
use crate::crm::people::check_account_name;
use crate::crm::{AgentProfile, SipAccount, User};
use crate::event::{Address, AgentState, Direction, Fact, OfferOutcome, RecordKind};
use crate::ids::{AccountName, AgentName, CallId, LegId, TrunkName};
use crate::limits::switch::{DIGITS, NOTES_BYTES};
use crate::media::{MediaCommand, SendKeys};
use crate::plan::model::Dialer;
use crate::sip::digest::{Ha1, HashFunction};
use crate::sip::event::Unbound;
use crate::sip::registrar::Binding;
use crate::time::Time;

use super::arrival::Who;
use super::call::{Call, Stage};
use super::dial::DialTo;
use super::input::CommandId;
use super::roster::Roster;
use super::talk::Destination;
use super::timer::Timer;
use super::{Effect, Switch};

type Outcome = Result<Option<CallId>, Refusal>;

impl Switch {
    pub(super) fn on_command(&mut self, id: CommandId, command: Command) {
        let outcome = if command.order.is_allowed_to(command.by.role) {
            self.carry_out_order(&command.by, command.order)
        } else {
            Err(Refusal::new("role.forbidden", "Your role may not do this. Ask a supervisor or an administrator."))
        };
        // The effects of an order show in the events up to here, those that settling adds included.
        self.run_until_quiet();
        let result = outcome.map(|call| Done { seq: self.seq, call });
        self.effects.push_back(Effect::Answer { id, result });
    }

    fn carry_out_order(&mut self, by: &Actor, order: Order) -> Outcome {
        let me = &by.user;
        match order {
            Order::SignIn { account } => self.sign_in(me, &account),
            Order::SignOut {} => self.sign_out(me),
            Order::Ready {} => self.acd_order(|acd, now| acd.handle_ready(now, me)),
            Order::NotReady { reason } => self.acd_order(|acd, now| acd.handle_not_ready(now, me, &reason)),
            Order::Decline { call } => self.on_own_leg(by, call, |switch, call, leg| switch.decline(call, leg)),
            Order::Hold { call } => self.on_own_talk(by, call, |switch, call, leg| switch.hold(call, leg)),
            Order::Retrieve { call } => self.on_own_talk(by, call, |switch, call, leg| switch.resume(call, leg)),
            Order::Transfer { call, to } => self.transfer_by_order(by, call, &to),
            Order::SendDigits { call, digits } => self.send_digits(by, call, digits),
            Order::HangUp { call } => self.hang_up(by, call),
            Order::Dial { to } => self.click_to_dial(by, &to),
            Order::Wrap { call, code, notes, finish } => self.wrap(me, call, &code, notes, finish),
            Order::ExtendWrap {} => self.acd_order(|acd, now| acd.handle_wrap_up_extended(now, me)),
            Order::ForceState { agent, state, reason } => self.force_state(by, &agent, state, &reason),
            Order::Move { call, queue } => self.acd_order(|acd, now| acd.handle_move_call(now, call, &queue)),
            Order::SetPriority { call, priority } => {
                let done = self.acd_order(|acd, now| acd.handle_change_priority(now, call, priority))?;
                self.emit(Some(call), Fact::QueueReordered { priority, by: by.user.clone() });
                Ok(done)
            }
            Order::SaveRecord { kind, record } => self.save_record(by, kind, record),
            Order::RemoveRecord { kind, key } => self.remove_record(by, kind, key),
            Order::Drain {} => {
                self.on_drain(false);
                Ok(None)
            }
        }
    }

    fn acd_order(&mut self, order: impl FnOnce(&mut acd::Acd, Time) -> Result<(), acd::Refusal>) -> Outcome {
        order(&mut self.acd, self.now).map(|()| None).map_err(refused_by_acd)
    }

    // -- signing in and out ------------------------------------------------------------------------------------------

    fn sign_in(&mut self, agent: &AgentName, account: &AccountName) -> Outcome {
        if self.account_named(account.as_str()).is_none() {
            return Err(Refusal::new("account.unknown", format!("There is no account `{account}`.")));
        }
        if self.desks.account_of(agent) == Some(account) {
            return Ok(None);
        }
        if self.desks.account_of(agent).is_some() {
            return Err(Refusal::new("agent.signed_in", "You are signed in at another phone. Sign out there first."));
        }
        if let Err(other) = self.desks.seat(agent, account) {
            let msg = format!("`{other}` is signed in at {account}. Choose another phone.");
            return Err(Refusal::new("account.in_use", msg));
        }
        let registered = self.endpoint.registrar().is_bound(account.as_str());
        if let Err(refusal) = self.acd.handle_sign_in(self.now, agent, registered) {
            self.desks.leave(agent);
            return Err(refused_by_acd(refusal));
        }
        // Whoever signs in is there, by whatever way: a desktop lost before that is lost to an earlier shift.
        self.unlinked.remove(agent);
        self.emit(None, Fact::AgentSignedIn { agent: agent.clone(), account: account.clone() });
        let legs = self.live_legs_at(account);
        let _ = self.acd.handle_live_legs(self.now, agent, legs);
        Ok(None)
    }

    fn sign_out(&mut self, agent: &AgentName) -> Outcome {
        self.acd.handle_sign_out(self.now, agent).map_err(refused_by_acd)?;
        self.unseat(agent);
        Ok(None)
    }

    /// The phone the agent leaves may still talk: from here on that is nobody's business, and nobody is told of it.
    fn unseat(&mut self, agent: &AgentName) {
        if self.desks.leave(agent).is_some() {
            // Refused only where the agent is off the roster, who then has no state either.
            let _ = self.acd.handle_live_legs(self.now, agent, 0);
            self.emit(None, Fact::AgentSignedOut { agent: agent.clone() });
        }
    }

    fn force_state(&mut self, by: &Actor, agent: &AgentName, state: ForcedState, reason: &str) -> Outcome {
        let forced = match state {
            ForcedState::Ready => acd::ForcedState::Ready,
            ForcedState::NotReady => acd::ForcedState::NotReady(Arc::from(reason)),
            ForcedState::SignedOut => acd::ForcedState::SignedOut,
        };
        self.acd.handle_force_state(self.now, agent, &forced).map_err(refused_by_acd)?;
        let told = match state {
            ForcedState::Ready => AgentState::Ready,
            ForcedState::NotReady => AgentState::NotReady,
            ForcedState::SignedOut => AgentState::SignedOut,
        };
        let (agent_name, reason, by) = (agent.clone(), reason.to_owned(), by.user.clone());
        self.emit(None, Fact::AgentForced { agent: agent_name, state: told, reason, by });
        if state == ForcedState::SignedOut {
            self.unseat(agent);
        }
        Ok(None)
    }

    fn live_legs_at(&self, account: &AccountName) -> u32 {
        let legs = self.calls.values().flat_map(Self::live_legs);
        let at = legs.filter(|leg| leg.address.account.as_ref() == Some(account)).count();
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    // -- one's own call ----------------------------------------------------------------------------------------------

    /// Runs a step on the leg the ordering agent has in this call.
    fn on_own_leg(&mut self, by: &Actor, call: CallId, step: impl FnOnce(&mut Self, &mut Call, LegId)) -> Outcome {
        let account = self.desks.account_of(&by.user).cloned();
        let found = self.with_call(call, |switch, call| {
            let own = call.legs.values().find(|leg| {
                leg.is_live()
                    && (leg.agent.as_ref() == Some(&by.user) || (account.is_some() && leg.address.account == account))
            });
            let Some(leg) = own.map(|leg| leg.id) else { return false };
            step(switch, call, leg);
            true
        });
        match found {
            Some(true) => Ok(None),
            Some(false) => Err(Refusal::new("call.not_yours", "You have no part in this call.")),
            None => Err(unknown_call()),
        }
    }

    /// The same, where the leg must be in a conversation.
    fn on_own_talk(&mut self, by: &Actor, call: CallId, step: impl FnOnce(&mut Self, &mut Call, LegId)) -> Outcome {
        let mut talking = false;
        self.on_own_leg(by, call, |switch, call, leg| {
            talking = call.peer_of(leg).is_some();
            if talking {
                step(switch, call, leg);
            }
        })?;
        if talking { Ok(None) } else { Err(wrong_state()) }
    }

    fn decline(&mut self, call: &mut Call, leg: LegId) {
        if call.offers.contains_key(&leg) {
            // The leg first: the agent's next state follows from the legs that are left.
            self.drop_leg(call, leg, Cause::new(What::Declined, Party::Agent));
            self.end_offer(call, leg, OfferOutcome::Declined);
        }
    }

    fn transfer_by_order(&mut self, by: &Actor, call: CallId, to: &str) -> Outcome {
        let who = dialer_of(by.role);
        let destination = self.destination(to, who).ok_or_else(|| {
            Refusal::new("destination.unknown", format!("`{to}` is no colleague, queue or number you may dial."))
        })?;
        if let Destination::Queue(queue) = &destination {
            self.acd.admits(queue).map_err(refused_by_acd)?;
        }
        let text = to.to_owned();
        self.on_own_talk(by, call, |switch, call, leg| switch.transfer(call, leg, destination, &text))
    }

    fn send_digits(&mut self, by: &Actor, call: CallId, digits: String) -> Outcome {
        let fits = (1..=DIGITS).contains(&digits.len())
            && digits.chars().all(|c| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D'));
        if !fits {
            let msg = format!("Digits are 1 to {DIGITS} of 0–9, *, #, A–D.");
            return Err(Refusal::new("digits.invalid", msg));
        }
        self.on_own_talk(by, call, |switch, call, leg| {
            let peer = call.peer_of(leg).and_then(|peer| call.leg(peer)).map(|leg| leg.media.port);
            if let Some(port) = peer {
                switch.media(call, MediaCommand::SendKeys(SendKeys::new(port, digits)));
            }
        })
    }

    /// An agent ends the own part, which ends the call; a supervisor or a program ends any call.
    fn hang_up(&mut self, by: &Actor, call: CallId) -> Outcome {
        if by.role == UserRole::Agent {
            return self.on_own_leg(by, call, |switch, call, leg| {
                if call.offers.contains_key(&leg) {
                    return switch.decline(call, leg);
                }
                let cause = Cause::new(What::Hangup, Party::Agent);
                switch.drop_leg(call, leg, cause);
                switch.on_party_left(call, leg, cause);
            });
        }
        let cleared = self.with_call(call, |switch, call| {
            switch.clear_call(call, Cause::new(What::Hangup, Party::Operator));
        });
        cleared.map(|()| None).ok_or_else(unknown_call)
    }

    /// Rings the agent's own phone, then the wanted party.
    fn click_to_dial(&mut self, by: &Actor, to: &str) -> Outcome {
        let Some(account) = self.desks.account_of(&by.user).cloned() else {
            return Err(Refusal::new("agent.signed_out", "Sign in at a phone first."));
        };
        if self.live_legs_at(&account) > 0 {
            return Err(Refusal::later("agent.busy", "Your phone is in use. End that call first."));
        }
        let destination = match self.destination(to, dialer_of(by.role)) {
            Some(destination @ (Destination::Dial(_) | Destination::Line(_))) => destination,
            Some(Destination::Queue(_)) | None => {
                let msg = format!("`{to}` is no colleague and no number you may dial.");
                return Err(Refusal::new("destination.unknown", msg));
            }
        };
        // Last, so that an order that is refused anyway takes nothing from the rate.
        if !self.is_emergency(to)
            && let Err(turned) = self.admit(&Who::Account(account.clone()))
        {
            let msg = format!("No new calls are taken right now ({}). Try again in a minute.", turned.reason);
            return Err(Refusal::later("system.full", msg));
        }
        let id = self.place_call(&by.user, &account, destination)?;
        Ok(Some(id))
    }

    pub(super) fn is_emergency(&self, to: &str) -> bool {
        let home = &self.edition.plan.home;
        crate::number::Number::normalise(to, home).is_ok_and(|n| self.edition.plan.emergency.numbers.contains(&n))
    }

    fn place_call(&mut self, agent: &AgentName, account: &AccountName, to: Destination) -> Result<CallId, Refusal> {
        let id: CallId = self.ids.next(self.now);
        let engine = self.ports.quietest();
        let room = self.next_room();
        let direction = match &to {
            Destination::Dial(DialTo::Number { .. }) => Direction::Outbound,
            Destination::Dial(DialTo::Account(_)) | Destination::Queue(_) | Destination::Line(_) => Direction::Internal,
        };
        let of_account = |account: &AccountName| Address {
            number: account.to_string(),
            account: Some(account.clone()),
            ..Address::default()
        };
        let to_address = match &to {
            Destination::Dial(DialTo::Account(account)) => of_account(account),
            Destination::Dial(DialTo::Number { number, .. }) | Destination::Line(number) => {
                Address { number: number.as_str().to_owned(), ..Address::default() }
            }
            Destination::Queue(queue) => Address { number: queue.to_string(), ..Address::default() },
        };
        let from = of_account(account);
        let language = self.edition.plan.language.clone();
        let mut call = Call::without_legs(
            id,
            self.edition.clone(),
            direction,
            from.clone(),
            to_address.clone(),
            engine,
            room,
            language,
            self.now,
        );
        // The phone shows who will be called, not itself.
        call.from = to_address.clone();
        let phone = DialTo::Account(account.clone());
        let leg = match self.place_leg(&mut call, &phone, None, Some(agent.clone()), Vec::new()) {
            Ok(leg) => leg,
            Err(_) => return Err(Refusal::later("agent.unreachable", "Your phone cannot be rung. Is it registered?")),
        };
        call.from = from.clone();
        call.caller = leg;
        call.dial_next = Some(to);
        let accepted =
            Fact::CallAccepted { leg, direction, from, to: to_address, dialplan: None, sip_call_id: String::new() };
        self.emit(Some(id), accepted);
        call.durable = true;
        self.counts.accepted += 1;
        let longest = call.edition.plan.sip.ring_max_s.span();
        self.timers.set(self.now + longest, Timer::Ring(id, leg));
        self.calls.insert(id, call);
        self.ask_for_card(id);
        Ok(id)
    }

    // -- wrap-up -----------------------------------------------------------------------------------------------------

    fn wrap(&mut self, agent: &AgentName, call: CallId, code: &str, notes: String, finish: bool) -> Outcome {
        // The desktop may still show the wrap-up before this one.
        if let Some(acd::AgentState::WrapUp { call: running, .. }) = self.acd.agent_state(agent)
            && running != call
        {
            return Err(Refusal::new("wrap.none", "The wrap-up of that call is over. Another one is running."));
        }
        if notes.len() > NOTES_BYTES {
            let msg = format!("Notes are at most {NOTES_BYTES} bytes; these are {}.", notes.len());
            return Err(Refusal::new("notes.too_long", msg));
        }
        if !code.is_empty() {
            self.acd.handle_wrap_up_code(self.now, agent, code).map_err(refused_by_acd)?;
        }
        self.drafts.insert(agent.clone(), notes);
        if finish {
            self.acd.handle_wrap_up_finished(self.now, agent).map_err(refused_by_acd)?;
        }
        Ok(None)
    }

    // -- records people keep -----------------------------------------------------------------------------------------

    /// A saved record takes effect at once and is answered when durable (the shell waits for its event).
    fn save_record(&mut self, by: &Actor, kind: RecordKind, record: serde_json::Value) -> Outcome {
        let key = match kind {
            RecordKind::User => self.put_user(&record)?,
            RecordKind::Account => self.put_account(&record)?,
            RecordKind::Agent => self.put_profile(&record)?,
            RecordKind::Customer | RecordKind::Voicemail => {
                let id = record.get("id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
                if id.is_empty() {
                    return Err(Refusal::new("record.invalid", "The record has no `id`."));
                }
                id
            }
        };
        self.emit(None, Fact::RecordSaved { kind, key, by: by.user.clone(), record });
        Ok(None)
    }

    fn put_user(&mut self, record: &serde_json::Value) -> Result<String, Refusal> {
        let user: User = read_record(record)?;
        user.check().map_err(|error| Refusal::new("record.invalid", error.to_string()))?;
        let key = user.name.to_string();
        if user.disabled {
            self.dismiss(&user.name);
        }
        self.roster.users.insert(user.name.clone(), user);
        Ok(key)
    }

    fn put_account(&mut self, record: &serde_json::Value) -> Result<String, Refusal> {
        let account: SipAccount = read_record(record)?;
        let emergency = &self.edition.plan.emergency.numbers;
        let checked = account.check().and_then(|()| check_account_name(&account.name, emergency));
        checked.map_err(|error| Refusal::new("record.invalid", error.to_string()))?;
        let key = account.name.to_string();
        self.tell_endpoint_of(&account);
        if account.disabled {
            self.dismiss_from(&account.name);
        }
        self.roster.accounts.insert(account.name.clone(), account);
        Ok(key)
    }

    fn put_profile(&mut self, record: &serde_json::Value) -> Result<String, Refusal> {
        let profile: AgentProfile = read_record(record)?;
        profile.check().map_err(|error| Refusal::new("record.invalid", error.to_string()))?;
        let change = RosterChange::Put(agent_entry(&profile));
        self.acd.handle_roster(self.now, change).map_err(refused_by_acd)?;
        let key = profile.user.to_string();
        self.roster.profiles.insert(profile.user.clone(), profile);
        Ok(key)
    }

    fn remove_record(&mut self, by: &Actor, kind: RecordKind, key: String) -> Outcome {
        let known = match kind {
            RecordKind::User => {
                let removed = self.roster.users.remove(key.as_str()).is_some();
                // Nobody serves without being somebody: the skills go with the person.
                if removed && self.remove_profile(&AgentName::new(&key)) {
                    let (kind, key) = (RecordKind::Agent, key.clone());
                    self.emit(None, Fact::RecordRemoved { kind, key, by: by.user.clone() });
                }
                removed
            }
            RecordKind::Account => {
                let account = AccountName::new(&key);
                let removed = self.roster.accounts.remove(&account).is_some();
                self.endpoint.registrar_mut().remove_account(&account);
                self.dismiss_from(&account);
                removed
            }
            RecordKind::Agent => self.remove_profile(&AgentName::new(&key)),
            // Kept in the store alone: whether it is there, the shell knows.
            RecordKind::Customer | RecordKind::Voicemail => true,
        };
        if !known {
            return Err(Refusal::new("record.unknown", format!("There is no record `{key}`.")));
        }
        self.emit(None, Fact::RecordRemoved { kind, key, by: by.user.clone() });
        Ok(None)
    }

    fn remove_profile(&mut self, agent: &AgentName) -> bool {
        self.dismiss(agent);
        self.unlinked.remove(agent);
        // Refused only where the ACD does not know the agent.
        let _ = self.acd.handle_roster(self.now, RosterChange::Remove(agent.clone()));
        self.roster.profiles.remove(agent).is_some()
    }

    /// Signs an agent out, whatever the state; an offer is withdrawn, a conversation goes on.
    fn dismiss(&mut self, agent: &AgentName) {
        if self.desks.account_of(agent).is_some() {
            let _ = self.acd.handle_force_state(self.now, agent, &acd::ForcedState::SignedOut);
            self.unseat(agent);
        }
    }

    /// The same for whoever sits at an account.
    fn dismiss_from(&mut self, account: &AccountName) {
        if let Some(agent) = self.desks.agent_at(account).cloned() {
            self.dismiss(&agent);
        }
    }

    /// What the registrar keeps of an account; a disabled one has no secrets, so nobody can prove to be it.
    fn tell_endpoint_of(&mut self, account: &SipAccount) {
        if account.disabled {
            return self.endpoint.registrar_mut().remove_account(&account.name);
        }
        let secrets = [(HashFunction::Sha256, &account.ha1_sha256), (HashFunction::Md5, &account.ha1_md5)];
        let secrets = secrets.into_iter().filter_map(|(hash, hex)| Ha1::from_hex(hash, hex)).collect();
        self.endpoint.registrar_mut().set_account(account.name.clone(), secrets);
    }

    /// Who serves, and where their phones were, as the last boot left it.
    pub(super) fn load_roster(&mut self, roster: Roster, bindings: Vec<(AccountName, Binding)>) {
        for account in roster.accounts.values() {
            self.tell_endpoint_of(account);
        }
        for profile in roster.profiles.values() {
            // More agents than the ACD takes are refused at their save; what is stored fits.
            let _ = self.acd.handle_roster(self.now, RosterChange::Put(agent_entry(profile)));
        }
        self.roster = roster;
        self.endpoint.import_bindings(self.now, bindings);
        self.tell_endpoint_of_trunks();
    }

    // -- what phones, desktops and trunks report ---------------------------------------------------------------------

    pub(super) fn on_bound(&mut self, account: AccountName, binding: &Binding) {
        let (contact, expires) = (binding.contact.clone(), binding.expires);
        let binding = serde_json::to_value(binding).unwrap_or_default();
        self.emit(None, Fact::PhoneRegistered { account: account.clone(), contact, expires, binding });
        self.tell_registered(&account);
    }

    pub(super) fn on_unbound(&mut self, account: AccountName, contact: String, why: Unbound) {
        let why = match why {
            Unbound::Removed => "unregistered",
            Unbound::Expired => "expired",
            Unbound::FlowClosed => "connection closed",
            Unbound::AccountRemoved => "account removed",
        };
        self.emit(None, Fact::PhoneUnregistered { account: account.clone(), contact, why: why.to_owned() });
        self.tell_registered(&account);
    }

    fn tell_registered(&mut self, account: &AccountName) {
        let registered = self.endpoint.registrar().is_bound(account.as_str());
        if let Some(agent) = self.desks.agent_at(account).cloned() {
            let _ = self.acd.handle_phone_registered(self.now, &agent, registered);
        }
    }

    pub(super) fn on_link(&mut self, agent: &AgentName, up: bool) {
        let known = if up {
            self.acd.handle_link_restored(self.now, agent)
        } else {
            self.acd.handle_link_lost(self.now, agent)
        };
        if known.is_err() {
            return;
        }
        let was_lost = if up { self.unlinked.remove(agent) } else { !self.unlinked.insert(agent.clone()) };
        if up != was_lost || self.desks.account_of(agent).is_none() {
            return;
        }
        let agent = agent.clone();
        self.emit(None, if up { Fact::AgentLinkRestored { agent } } else { Fact::AgentLinkLost { agent } });
    }

    pub(super) fn on_trunk(&mut self, trunk: TrunkName, up: bool, reason: String) {
        if up {
            self.trunks_down.remove(&trunk);
        } else {
            self.trunks_down.insert(trunk.clone());
        }
        self.emit(None, Fact::TrunkStateChanged { trunk, up, reason });
    }
}

fn dialer_of(role: UserRole) -> Dialer {
    match role {
        UserRole::Agent => Dialer::Agent,
        UserRole::Supervisor => Dialer::Supervisor,
        UserRole::Admin => Dialer::Admin,
        UserRole::Integration => Dialer::Dialplan,
    }
}

fn read_record<T: serde::de::DeserializeOwned>(record: &serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(record.clone()).map_err(|error| Refusal::new("record.invalid", error.to_string()))
}

fn agent_entry(profile: &AgentProfile) -> AgentEntry {
    let skills = profile.skills.iter().map(|(skill, level)| (skill.clone(), level.get())).collect();
    AgentEntry { skills, ..AgentEntry::named(profile.user.clone()) }
}

fn unknown_call() -> Refusal {
    Refusal::new("call.unknown", "There is no such call any more.")
}

fn wrong_state() -> Refusal {
    Refusal::new("call.wrong_state", "The call is not in a conversation.")
}

/// The ACD's refusals with the codes of the API.
fn refused_by_acd(refusal: acd::Refusal) -> Refusal {
    use acd::Refusal as R;
    let code = match &refusal {
        R::UnknownAgent(_) => "agent.unknown",
        R::UnknownQueue(_) => "queue.unknown",
        R::UnknownCall(_) => "call.unknown",
        R::PhoneUnregistered(_) => "agent.not_registered",
        R::SignedIn(_) => "agent.signed_in",
        R::SignedOut(_) => "agent.signed_out",
        R::NotFromHere(_) => "agent.wrong_state",
        R::UnknownReason(_) => "reason.unknown",
        R::NoWrapUp(_) => "wrap.none",
        R::CodeRequired(_) => "wrap.code_required",
        R::UnknownCode(_) => "wrap.code_unknown",
        R::NoMoreExtensions(_) => "wrap.no_more_extensions",
        R::QueueFull(_) | R::TooManyCalls => "queue.full",
        R::QueueClosed(_) => "queue.closed",
        R::DuplicateCall(_) => "call.waiting",
        R::TooManyAgents | R::TooManyItems(_) | R::LevelOutOfRange(_) => "record.invalid",
    };
    Refusal::new(code, format!("{refusal}."))
}

impl Switch {
    /// Whether a caller is with the dialplan or a queue; for the snapshot.
    pub(super) fn is_unserved(call: &Call) -> bool {
        matches!(call.stage, Stage::Ivr | Stage::Waiting { .. } | Stage::Message)
    }
}

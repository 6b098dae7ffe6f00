//! One party's SIP and media: ring, answer, end. What the party is to the call is decided elsewhere.

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use crate::audio::tone::{Tone, TonePlan};
use crate::call::leg::{Leg, LegMedia, LegState, Playing, Purpose, media_stats};
use crate::cause::{Cause, Party, What};
use crate::codec::Codec;
use crate::event::{Address, Fact, MediaStats, OfferOutcome, Role};
use crate::ids::{AccountName, AgentName, CallId, LegId};
use crate::media::{
    Audience, Direction as Flow, Formats, MediaCommand, MediaEvent, OpenPort, PayloadFormat, Play, PlayEnd, PortChange,
    PortId, PortStats, Remote, Repeat, Sound,
};
use crate::number::Number;
use crate::plan::model::Dialer;
use crate::plan::trunk::{CallerId, HostName, Trunk};
use crate::sdp::{AudioSession, AudioStream, Direction, LocalMedia, SessionDescription};
use crate::sip::Uri;
use crate::sip::event::{EndReason, Ending, Failure, SessionId, UaEvent};
use crate::sip::invite::{Credentials, Invite, Party as SipParty, Target};

use super::call::{AfterDial, Call, Hunt, Stage};
use super::ports::EngineId;
use super::timer::Timer;
use super::{STATS_TIMEOUT, Switch};

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

/// Where a port belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub call: CallId,
    pub leg: LegId,
    pub engine: EngineId,
    /// The leased RTP port.
    pub rtp: u16,
}

/// Where an INVITE goes and what it says of who calls.
struct Ring {
    targets: Vec<Target>,
    from: SipParty,
    to: SipParty,
    headers: Vec<(String, String)>,
    credentials: Option<Credentials>,
    peer: IpAddr,
}

impl Switch {
    /// Puts a leg on the books: found by its session and by its port from here on.
    pub(super) fn add_leg(&mut self, call: &mut Call, leg: Leg) {
        self.sessions.insert(leg.session, (call.id, leg.id));
        let place = Place { call: call.id, leg: leg.id, engine: call.engine, rtp: leg.media.local.port() };
        self.legs.insert(leg.media.port, place);
        call.legs.insert(leg.id, leg);
    }

    // -- media -------------------------------------------------------------------------------------------------------

    /// Codecs for a leg, most wanted first: the trunk's own list, else the plan's.
    pub(super) fn codecs(&self, address: &Address) -> Vec<Codec> {
        let plan = &self.edition.plan;
        let own = address.trunk.as_ref().and_then(|trunk| plan.trunks.get(trunk)).map(|trunk| &trunk.codecs);
        let wanted = own.filter(|codecs| !codecs.is_empty()).unwrap_or(&plan.media.codecs);
        wanted.clone()
    }

    /// A port pair of this engine on the address that faces `listener`, advertised for `peer`.
    pub(super) fn lease_media(
        &mut self,
        engine: EngineId,
        listener: IpAddr,
        peer: IpAddr,
        codecs: &[Codec],
    ) -> Option<LegMedia> {
        let port = self.ports.lease(self.now, engine)?;
        let plan = &self.edition.plan;
        let bind = plan.media.address.filter(|ip| ip.is_ipv4() == peer.is_ipv4()).unwrap_or(listener);
        let advertised = plan.public_address_for(peer).unwrap_or(bind);
        let name = self.next_port();
        Some(LegMedia {
            port: name,
            local: SocketAddr::new(bind, port),
            advertised: SocketAddr::new(advertised, port),
            sdp: AudioSession::new(name.0, codecs),
            stream: None,
            open: false,
        })
    }

    pub(super) fn local_media(&self, media: &LegMedia) -> LocalMedia {
        LocalMedia { address: media.advertised.ip(), port: media.advertised.port(), direction: Direction::SendRecv }
    }

    pub(super) fn new_leg(
        &self,
        id: LegId,
        role: Role,
        address: Address,
        agent: Option<AgentName>,
        session: SessionId,
        media: LegMedia,
    ) -> Leg {
        let state = LegState::Trying;
        Leg { id, role, address, agent, session, media, state, holds_us: false, playing: None }
    }

    /// Tells the engine of a leg's port: at once, so that its far end is learnt from its first packets.
    pub(super) fn open_media(&mut self, call: &mut Call, leg: LegId, signalling: Option<IpAddr>) {
        let room = call.room;
        let Some(leg) = call.leg_mut(leg) else { return };
        leg.media.open = true;
        let stream = leg.media.stream.as_ref();
        let open = OpenPort {
            port: leg.media.port,
            room,
            local: leg.media.local,
            remote: Remote { expected: stream.and_then(|s| s.rtp), signalling, rtcp_mux: false },
            formats: formats(stream),
            direction: stream.map_or(Flow::SendReceive, |s| flow(s.direction)),
            // The clock of a leg that is not answered yet has not begun.
            rtp_timeout: None,
            in_band_keys: stream.is_some_and(|s| s.telephone_event.is_none()),
        };
        self.media(call, MediaCommand::Open(open));
    }

    /// Tells the engine what an offer or answer changed.
    pub(super) fn update_media(&mut self, call: &mut Call, leg: LegId, signalling: Option<IpAddr>) {
        let timeout = self.edition.plan.media.rtp_timeout_s.span();
        let Some(leg) = call.leg(leg) else { return };
        let Some(stream) = leg.media.stream.clone() else { return };
        // A held leg may be silent for as long as it likes.
        let watched = leg.is_answered() && stream.direction.receives() && !timeout.is_zero();
        let change = PortChange {
            remote: Some(Remote { expected: stream.rtp, signalling, rtcp_mux: false }),
            relatch: true,
            formats: Some(formats(Some(&stream))),
            direction: Some(flow(stream.direction)),
            rtp_timeout: Some(watched.then_some(timeout)),
            in_band_keys: Some(stream.telephone_event.is_none()),
            pass_keys: None,
        };
        let port = leg.media.port;
        self.media(call, MediaCommand::Update { port, change });
    }

    // -- plays -------------------------------------------------------------------------------------------------------

    /// Plays to one leg, in place of what was playing to it.
    pub(super) fn play(&mut self, call: &mut Call, leg: LegId, sounds: Vec<Sound>, repeat: Repeat, purpose: Purpose) {
        self.stop_play(call, leg);
        let (play, room, call_id) = (self.next_play(), call.room, call.id);
        let Some(found) = call.leg_mut(leg) else { return };
        found.playing = Some(Playing { play, purpose });
        let to = Audience::Port(found.media.port);
        self.plays.insert(play, (call_id, leg));
        self.media(call, MediaCommand::Play(Play { room, play, to, sounds, repeat }));
    }

    pub(super) fn stop_play(&mut self, call: &mut Call, leg: LegId) {
        let room = call.room;
        let Some(playing) = call.leg_mut(leg).and_then(|leg| leg.playing.take()) else { return };
        self.plays.remove(&playing.play);
        self.media(call, MediaCommand::StopPlay { room, play: playing.play });
    }

    pub(super) fn play_music(&mut self, call: &mut Call, leg: LegId, name: &crate::ids::PromptName) {
        let sound = match call.edition.sounds.music(name) {
            Some(clip) => Sound::Clip(clip),
            None => Sound::Silence(Duration::from_secs(1)),
        };
        self.play(call, leg, vec![sound], Repeat::Forever, Purpose::Music);
    }

    pub(super) fn play_ringback(&mut self, call: &mut Call, leg: LegId) {
        let country = TonePlan::of_country(call.edition.plan.home.country.code);
        self.play(call, leg, vec![Sound::Tone(Tone::Ringback, country)], Repeat::Forever, Purpose::Ringback);
    }

    // -- the caller's leg --------------------------------------------------------------------------------------------

    /// 200 OK to the caller, once its record is durable.
    pub(super) fn answer_caller(&mut self, call: &mut Call) {
        call.wants_answer = true;
        let caller = call.caller;
        let answerable = call.leg(caller).is_some_and(|leg| matches!(leg.state, LegState::Trying | LegState::Ringing));
        if !call.durable || !answerable {
            return;
        }
        let local = call.leg(caller).map(|leg| self.local_media(&leg.media));
        let Some((leg, local)) = call.leg_mut(caller).zip(local) else { return };
        let session = leg.session;
        // Without an offer in the INVITE ours goes out in the 200, and the ACK brings the answer (RFC 3261 §13.3.1).
        let said = match leg.media.stream {
            Some(_) => leg.media.sdp.said().cloned(),
            None => Some(leg.media.sdp.make_offer(local)),
        };
        leg.state = LegState::Answered;
        let codec = leg.codec_name();
        let Some(said) = said else { return };
        // A session that is gone was cancelled; its event follows.
        if self.endpoint.answer(self.now, session, &said).is_ok() {
            self.emit(Some(call.id), Fact::LegAnswered { leg: caller, codec });
            self.update_media(call, caller, None);
        }
    }

    /// 180 to a caller who is not answered yet; ringing to one who is.
    pub(super) fn tell_caller_it_rings(&mut self, call: &mut Call) {
        let caller = call.caller;
        let Some(leg) = call.leg_mut(caller) else { return };
        let session = leg.session;
        match leg.state {
            LegState::Trying => {
                leg.state = LegState::Ringing;
                let _ = self.endpoint.provisional(self.now, session, 180, None);
            }
            LegState::Answered => self.play_ringback(call, caller),
            LegState::Ringing | LegState::Ending(_) => {}
        }
    }

    // -- dialling ----------------------------------------------------------------------------------------------------

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
    fn hunt_on(&mut self, call: &mut Call, failed: LegId) -> bool {
        let Stage::Dialling { callee, then } = call.stage.clone() else { return false };
        let Some(trunk) = call.leg(failed).and_then(|leg| leg.address.trunk.clone()) else { return false };
        if callee != failed || call.hunt.as_ref().is_none_or(|hunt| hunt.until <= self.now) {
            return false;
        }
        if let Some(at) = call.trunks.iter().rposition(|counted| *counted == trunk) {
            call.trunks.remove(at);
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
        let listener = self.listener_for(ring.peer).ok_or(NotDialled { what: What::Unreachable, status: 480 })?;
        let media = self.lease_media(call.engine, listener, ring.peer, &codecs);
        let mut media = media.ok_or(NotDialled { what: What::Congestion, status: 503 })?;
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
        call.trunks.extend(address.trunk.clone());
        let leg = self.new_leg(id, role, address, agent, session, media);
        self.add_leg(call, leg);
        self.open_media(call, id, Some(ring.peer));
        self.count_agent_legs(call, id);
        Ok(id)
    }

    fn ring_account(&mut self, call: &Call, account: &AccountName) -> Result<(Ring, Address), NotDialled> {
        let targets = self.endpoint.registrar().targets(account.as_str());
        let ours = || self.listeners.first().map(|listener| listener.local.ip());
        // A contact that is a host name may turn out of either family; media is received where we listen first.
        let peer = targets.iter().find_map(address_of).or_else(|| targets.first().and_then(|_| ours()));
        let peer = peer.ok_or(NotDialled { what: What::Unreachable, status: 480 })?;
        let domain = &self.edition.plan.domain;
        let ring = Ring {
            from: SipParty::new(caller_display(call), format!("sip:{}@{domain}", caller_user(call))),
            to: SipParty::new("", format!("sip:{account}@{domain}")),
            targets,
            headers: Vec::new(),
            credentials: None,
            peer,
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
        let usable = left().find(|trunk| !self.trunks_down.contains(&trunk.name) && self.may_use_trunk(&trunk.name));
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
        let own = caller_id.map(str::to_owned).unwrap_or_else(|| caller_user(call));
        let (from_user, display, mut headers) = match shown {
            CallerId::Pass => (own, caller_display(call), Vec::new()),
            CallerId::Number(number) => (number.written(&plan.home, trunk.number_format), String::new(), Vec::new()),
            CallerId::Anonymous => ("anonymous".to_owned(), "Anonymous".to_owned(), vec![("Privacy", "id".to_owned())]),
        };
        if trunk.trust_identity && !matches!(shown, CallerId::Anonymous) {
            headers.push(("P-Asserted-Identity", format!("<sip:{from_user}@{domain}>")));
        }
        let transport = trunk.transport.word();
        let peer = match &host.name {
            HostName::Address(ip) => *ip,
            HostName::Name(_) => self.listeners.first().map_or(IpAddr::from([127, 0, 0, 1]), |l| l.local.ip()),
        };
        Ok(Ring {
            targets: vec![Target::uri(format!("sip:{user}@{place};transport={transport}"))],
            from: SipParty::new(display, format!("sip:{from_user}@{domain}")),
            to: SipParty::new("", format!("sip:{user}@{place}")),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            credentials: trunk.credentials.as_ref().map(|credentials| Credentials {
                user: credentials.user.to_string(),
                password: credentials.password.reveal().to_owned(),
            }),
            peer,
        })
    }

    /// Our own address that faces a peer: of its family, and loopback towards loopback. Its media is received there.
    fn listener_for(&self, peer: IpAddr) -> Option<IpAddr> {
        let ours = || self.listeners.iter().map(|l| l.local.ip()).filter(|ip| ip.is_ipv4() == peer.is_ipv4());
        ours().find(|ip| ip.is_loopback() == peer.is_loopback()).or_else(|| ours().next())
    }

    // -- what the user agent tells -----------------------------------------------------------------------------------

    pub(super) fn on_ua(&mut self, event: UaEvent) {
        match event {
            UaEvent::Invited(invitation) => self.on_invited(&invitation),
            UaEvent::Cancelled { session, .. } => self.on_cancelled(session),
            UaEvent::Acked { session, answer } => self.on_acked(session, answer.as_ref()),
            UaEvent::Progress { session, status, early } => self.on_progress(session, status, early.as_ref()),
            UaEvent::Answered { session, answer, .. } => self.on_answered(session, answer.as_ref()),
            UaEvent::Failed { session, failure } => self.on_failed(session, &failure),
            UaEvent::Reoffered { session, offer } => self.on_reoffered(session, offer.as_ref()),
            UaEvent::ReofferAnswered { .. } | UaEvent::ReofferFailed { .. } => {}
            UaEvent::Referred { session, referral } => self.on_referred(session, &referral),
            UaEvent::Digit { session, digit, .. } => self.on_info_digit(session, digit),
            UaEvent::Ended { session, how, reason } => self.on_ended(session, how, reason.as_ref()),
            UaEvent::Bound { account, binding } => self.on_bound(account, &binding),
            UaEvent::Unbound { account, contact, why } => self.on_unbound(account, contact, why),
            UaEvent::TrunkRegistration { trunk, up, reason } | UaEvent::TrunkHealth { trunk, up, reason } => {
                self.on_trunk(trunk, up, reason);
            }
        }
    }

    /// Works on the call a session belongs to, if it still does.
    pub(super) fn with_session(&mut self, session: SessionId, step: impl FnOnce(&mut Self, &mut Call, LegId)) {
        if let Some((call, leg)) = self.sessions.get(&session).copied() {
            self.with_call(call, |switch, call| step(switch, call, leg));
        }
    }

    fn on_cancelled(&mut self, session: SessionId) {
        self.with_session(session, |switch, call, _| {
            switch.clear_call(call, Cause::with_status(What::Abandoned, Party::Caller, 487));
        });
    }

    fn on_acked(&mut self, session: SessionId, answer: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            if let Some(answer) = answer {
                let taken = call.leg_mut(leg).map(|leg| {
                    let stream = leg.media.sdp.handle_answer(answer);
                    stream.map(|stream| leg.media.stream = Some(stream))
                });
                if !matches!(taken, Some(Ok(()))) {
                    return switch.clear_call(call, Cause::with_status(What::NotAcceptable, Party::Caller, 488));
                }
                switch.update_media(call, leg, None);
            }
            switch.on_caller_connected(call, leg);
        });
    }

    fn on_progress(&mut self, session: SessionId, status: u16, early: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            let Some(found) = call.leg_mut(leg) else { return };
            let first = found.state == LegState::Trying;
            let stream = early.and_then(|answer| found.media.sdp.handle_answer(answer).ok());
            if !first && stream.is_none() {
                return;
            }
            if status >= 180 {
                found.state = LegState::Ringing;
                switch.emit(Some(call.id), Fact::LegRinging { leg, early_media: stream.is_some() });
            }
            match stream {
                Some(stream) => switch.on_early_media(call, leg, stream),
                None if status == 180 && switch.is_dialled_party(call, leg) => switch.tell_caller_it_rings(call),
                None => {}
            }
        });
    }

    fn is_dialled_party(&self, call: &Call, leg: LegId) -> bool {
        matches!(call.stage, Stage::Dialling { callee, .. } if callee == leg)
    }

    /// The far side speaks before it answers: announcements of carriers are heard, not replaced by our ringing.
    fn on_early_media(&mut self, call: &mut Call, leg: LegId, stream: AudioStream) {
        if let Some(found) = call.leg_mut(leg) {
            found.media.stream = Some(stream);
        }
        self.update_media(call, leg, None);
        if !self.is_dialled_party(call, leg) {
            return;
        }
        let caller = call.caller;
        self.stop_play(call, caller);
        self.let_hear(call, caller, &[leg]);
        if let Some(found) = call.leg_mut(caller)
            && !found.is_answered()
            && found.is_live()
        {
            found.state = LegState::Ringing;
            let (session, said) = (found.session, found.media.sdp.said().cloned());
            let _ = self.endpoint.provisional(self.now, session, 183, said.as_ref());
        }
    }

    fn on_answered(&mut self, session: SessionId, answer: Option<&SessionDescription>) {
        self.with_session(session, |switch, call, leg| {
            switch.timers.clear(Timer::Ring(call.id, leg));
            let Some(found) = call.leg_mut(leg) else { return };
            let agreed = answer.map(|answer| found.media.sdp.handle_answer(answer));
            match agreed {
                Some(Ok(stream)) => found.media.stream = Some(stream),
                None if found.media.stream.is_some() => {}
                Some(Err(_)) | None => {
                    let cause = Cause::with_status(What::NotAcceptable, party_of(found.role), 488);
                    return switch.drop_leg(call, leg, cause);
                }
            }
            found.state = LegState::Answered;
            let codec = found.codec_name();
            switch.emit(Some(call.id), Fact::LegAnswered { leg, codec });
            switch.update_media(call, leg, None);
            switch.on_party_answered(call, leg);
        });
    }

    fn on_failed(&mut self, session: SessionId, failure: &Failure) {
        self.with_session(session, |switch, call, leg| {
            switch.timers.clear(Timer::Ring(call.id, leg));
            let by = call.leg(leg).map_or(Party::Trunk, |leg| party_of(leg.role));
            let rang = call.leg(leg).is_some_and(|leg| leg.state == LegState::Ringing);
            let cause = Cause::with_status(what_of(failure.status), by, failure.status);
            switch.end_leg(call, leg, cause);
            if !(is_the_trunks(failure.status, rang) && switch.hunt_on(call, leg)) {
                switch.on_party_failed(call, leg, cause);
            }
        });
    }

    fn on_ended(&mut self, session: SessionId, how: Ending, reason: Option<&EndReason>) {
        let _ = reason;
        self.with_session(session, |switch, call, leg| {
            let by = call.leg(leg).map_or(Party::Caller, |leg| party_of(leg.role));
            let cause = match how {
                Ending::Bye => Cause::new(What::Hangup, by),
                Ending::NoAck | Ending::Timeout | Ending::Gone => Cause::new(What::SignallingTimeout, by),
            };
            switch.end_leg(call, leg, cause);
            switch.on_party_left(call, leg, cause);
        });
    }

    pub(super) fn on_ring_timeout(&mut self, id: CallId, leg: LegId) {
        self.with_call(id, |switch, call| {
            let unanswered = call.leg(leg).is_some_and(|leg| matches!(leg.state, LegState::Trying | LegState::Ringing));
            if unanswered {
                let by = call.leg(leg).map_or(Party::Trunk, |leg| party_of(leg.role));
                let cause = Cause::with_status(What::NoAnswer, by, 408);
                switch.drop_leg(call, leg, cause);
                switch.on_party_failed(call, leg, cause);
            }
        });
    }

    // -- ends --------------------------------------------------------------------------------------------------------

    /// Ends a leg from our side: CANCEL, BYE or a refusal, as its state wants.
    pub(super) fn drop_leg(&mut self, call: &mut Call, leg: LegId, cause: Cause) {
        let Some(found) = call.leg(leg) else { return };
        if !found.is_live() {
            return;
        }
        let session = found.session;
        if found.role == Role::Caller && !found.is_answered() {
            let status = cause.status.filter(|status| (400..700).contains(status)).unwrap_or(480);
            let _ = self.endpoint.reject(self.now, session, status, "", &[]);
        }
        self.endpoint.end(self.now, session, reason_header(cause));
        self.end_leg(call, leg, cause);
    }

    /// The dialog of a leg is over, by whomever; its port closes and its statistics are due.
    pub(super) fn end_leg(&mut self, call: &mut Call, leg: LegId, cause: Cause) {
        self.stop_play(call, leg);
        let call_id = call.id;
        let Some(found) = call.leg_mut(leg) else { return };
        if !found.is_live() {
            return;
        }
        found.state = LegState::Ending(cause);
        let (session, port, agent) = (found.session, found.media.port, found.agent.clone());
        self.sessions.remove(&session);
        self.remember_session(session, call_id);
        self.timers.clear(Timer::Ring(call_id, leg));
        self.timers.set(self.now + STATS_TIMEOUT, Timer::Stats(call_id, leg));
        self.media(call, MediaCommand::Close { port });
        self.count_agent_legs(call, leg);
        if let Some(agent) = agent {
            // With another call at the same phone the legs do not run out, but the talk is over. Refused where it was
            // over with the last leg, or was no talk but an offer.
            let _ = self.acd.handle_talk_ended(self.now, &agent, call_id);
        }
    }

    /// The last of a leg: its record, its port. Without statistics where the engine did not report in time.
    pub(super) fn forget_leg(&mut self, id: CallId, leg: LegId, stats: Option<MediaStats>) {
        self.timers.clear(Timer::Stats(id, leg));
        self.with_call(id, |switch, call| {
            let Some(found) = call.legs.remove(&leg) else { return };
            let cause = match found.state {
                LegState::Ending(cause) => cause,
                // The engine closed a live port: its sockets failed.
                LegState::Trying | LegState::Ringing | LegState::Answered => Cause::new(What::Failed, Party::Switch),
            };
            switch.release_port(found.media.port);
            switch.emit(Some(call.id), Fact::LegEnded { leg, cause, stats });
        });
    }

    pub(super) fn release_port(&mut self, port: PortId) {
        if let Some(place) = self.legs.remove(&port) {
            self.ports.release(self.now, place.engine, place.rtp);
        }
    }

    /// Ends the whole call: every leg, the queue place, the recording. The first cause is the call's.
    pub(super) fn clear_call(&mut self, call: &mut Call, cause: Cause) {
        if call.ending.is_some() {
            return;
        }
        self.leave_queue(call, cause);
        call.ending = Some(cause);
        call.stage = Stage::Clearing;
        call.ivr = None;
        self.timers.clear(Timer::Ivr(call.id));
        self.timers.clear(Timer::Accepted(call.id));
        self.finish_message(call);
        self.stop_recording(call);
        let legs: Vec<LegId> = call.legs.keys().copied().collect();
        for leg in legs {
            if call.offers.contains_key(&leg) {
                self.end_offer(call, leg, OfferOutcome::Withdrawn);
            }
            self.drop_leg(call, leg, cause);
        }
    }

    /// The call's record is complete.
    pub(super) fn close_books(&mut self, call: Call) {
        let cause = call.ending.unwrap_or(Cause::new(What::Defect, Party::Switch));
        self.effects.push_back(super::Effect::Media {
            engine: call.engine,
            command: MediaCommand::CloseRoom { room: call.room },
        });
        self.timers.clear(Timer::Recording(call.id));
        self.timers.clear(Timer::Comfort(call.id));
        self.restless.remove(&call.id);
        self.emit(Some(call.id), Fact::CallEnded { cause });
        self.counts.ended += 1;
    }

    pub(super) fn clear_every_call(&mut self) {
        let all: Vec<CallId> = self.calls.keys().copied().collect();
        for id in all {
            self.with_call(id, |switch, call| {
                switch.clear_call(call, Cause::with_status(What::SwitchRestart, Party::Switch, 503));
            });
        }
    }

    // -- what the engines tell ---------------------------------------------------------------------------------------

    pub(super) fn on_media(&mut self, engine: EngineId, event: MediaEvent) {
        let _ = engine;
        match event {
            MediaEvent::Latched { .. } => {}
            MediaEvent::Key { port, key, .. } => {
                if let Some(Place { call, leg, .. }) = self.legs.get(&port).copied() {
                    self.with_call(call, |switch, call| switch.on_key(call, leg, key));
                }
            }
            MediaEvent::PlayDone { play, end } => {
                if end != PlayEnd::Stopped {
                    self.on_play_done(play);
                }
            }
            MediaEvent::RtpTimeout { port, .. } => self.on_media_silent(port),
            MediaEvent::Closed { port, stats } => self.on_port_closed(port, &stats),
            MediaEvent::PortFailed { port, .. } => self.on_port_failed(port),
            MediaEvent::RecordingSilent { recording, spoken } => self.on_recording_silent(recording, spoken),
            MediaEvent::RecordingSealed { recording, duration_ms, bytes } => {
                self.on_recording_sealed(recording, duration_ms, bytes);
            }
            MediaEvent::RecordingFailed { recording, reason, .. } => self.on_recording_failed(recording, reason),
            MediaEvent::RecordingLag { behind_ms } => self.counts.recording_lag_ms = behind_ms,
        }
    }

    fn on_play_done(&mut self, play: crate::media::PlayId) {
        let Some((call, leg)) = self.plays.remove(&play) else { return };
        self.with_call(call, |switch, call| {
            let Some(found) = call.leg_mut(leg) else { return };
            let Some(playing) = found.playing.take_if(|playing| playing.play == play) else { return };
            switch.on_played(call, leg, playing.purpose);
        });
    }

    /// A dead call costs ports and keeps an agent busy: it ends.
    fn on_media_silent(&mut self, port: PortId) {
        let Some(Place { call, leg, .. }) = self.legs.get(&port).copied() else { return };
        self.with_call(call, |switch, call| {
            let Some(found) = call.leg(leg).filter(|leg| leg.is_answered()) else { return };
            let cause = Cause::new(What::MediaTimeout, party_of(found.role));
            switch.drop_leg(call, leg, cause);
            switch.on_party_left(call, leg, cause);
        });
    }

    fn on_port_closed(&mut self, port: PortId, stats: &PortStats) {
        if let Some(Place { call, leg, .. }) = self.legs.get(&port).copied() {
            self.forget_leg(call, leg, Some(media_stats(stats)));
        }
    }

    fn on_port_failed(&mut self, port: PortId) {
        let Some(Place { call, leg, .. }) = self.legs.get(&port).copied() else { return };
        self.with_call(call, |switch, call| {
            let cause = Cause::with_status(What::Failed, Party::Switch, 503);
            switch.drop_leg(call, leg, cause);
            switch.on_party_left(call, leg, cause);
        });
    }
}

/// Where a target is: where its registration came from, else the address in its URI.
fn address_of(target: &Target) -> Option<IpAddr> {
    let bound = target.destination.map(|destination| destination.remote().ip());
    bound.or_else(|| Uri::parse(&target.uri).ok().and_then(|uri| uri.host().ip()))
}

/// The user part we show for the caller.
fn caller_user(call: &Call) -> String {
    if call.from.number.is_empty() { "anonymous".to_owned() } else { call.from.number.clone() }
}

fn caller_display(call: &Call) -> String {
    let card = &call.card.name;
    if card.is_empty() { call.from.name.clone() } else { card.clone() }
}

/// Whose doing an end of such a leg is.
pub(super) fn party_of(role: Role) -> Party {
    match role {
        Role::Caller => Party::Caller,
        Role::Agent => Party::Agent,
        Role::Callee => Party::Trunk,
    }
}

/// What a final response to our INVITE means.
fn what_of(status: u16) -> What {
    match status {
        404 | 410 | 484 | 604 => What::NotFound,
        403 | 401 | 407 => What::Forbidden,
        408 | 487 => What::NoAnswer,
        480 | 500 | 502 | 503 | 504 => What::Unreachable,
        486 | 600 => What::Busy,
        488 | 606 | 415 => What::NotAcceptable,
        603 => What::Declined,
        _ => What::Failed,
    }
}

/// Whether a failure is one of the way and not of the called party, so that another way may do.
const fn is_the_trunks(status: u16, rang: bool) -> bool {
    match status {
        // Silence until Timer B (RFC 3261 §17.1.1.2); once it rang, it is the called party that does not answer.
        408 => !rang,
        500 | 502 | 503 | 504 => true,
        _ => false,
    }
}

fn reason_header(cause: Cause) -> Option<&'static str> {
    match cause.what {
        What::Hangup | What::Completed | What::Transferred => None,
        What::Abandoned => Some("SIP;cause=487;text=\"Caller hung up\""),
        What::MediaTimeout => Some("SIP;cause=408;text=\"No media\""),
        What::SwitchRestart => Some("SIP;cause=503;text=\"Shutting down\""),
        _ => Some("SIP;cause=480;text=\"Call ended\""),
    }
}

fn formats(stream: Option<&AudioStream>) -> Formats {
    let Some(stream) = stream else { return Formats::only(Codec::Pcma, Some(101)) };
    let codec = stream.codec;
    Formats {
        send: PayloadFormat { payload_type: stream.payload_type.send, codec },
        receive: vec![PayloadFormat { payload_type: stream.payload_type.receive, codec }],
        telephone_event: stream.telephone_event.map(|types| types.send),
    }
}

fn flow(direction: Direction) -> Flow {
    match (direction.sends(), direction.receives()) {
        (true, true) => Flow::SendReceive,
        (true, false) => Flow::SendOnly,
        (false, true) => Flow::ReceiveOnly,
        (false, false) => Flow::Inactive,
    }
}

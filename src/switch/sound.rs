//! What a leg hears and says: its port in the engine, the sounds played to it, and what the engines tell.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::audio::tone::{Tone, TonePlan};
use crate::call::leg::{Leg, LegMedia, LegState, Playing, Purpose, media_stats};
use crate::cause::{Cause, Party, What};
use crate::codec::Codec;
use crate::event::{Address, Role};
use crate::ids::{AgentName, LegId};
use crate::media::{
    Audience, Direction as Flow, Formats, MediaCommand, MediaEvent, OpenPort, PayloadFormat, Play, PlayEnd, PortChange,
    PortId, PortStats, Remote, Repeat, Sound,
};
use crate::sdp::{AudioSession, AudioStream, Direction, LocalMedia};
use crate::sip::event::SessionId;
use crate::sip::invite::Target;

use super::Switch;
use super::call::Call;
use super::legs::{Place, party_of};
use super::ports::EngineId;

/// Our address towards a peer, and the peer's own where it is known before a name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Face {
    pub ours: IpAddr,
    pub peer: Option<IpAddr>,
}

impl Switch {
    /// Codecs for a leg, most wanted first: the trunk's own list, else the plan's.
    pub(super) fn codecs(&self, address: &Address) -> Vec<Codec> {
        let plan = &self.edition.plan;
        let own = address.trunk.as_ref().and_then(|trunk| plan.trunks.get(trunk)).map(|trunk| &trunk.codecs);
        let wanted = own.filter(|codecs| !codecs.is_empty()).unwrap_or(&plan.media.codecs);
        wanted.clone()
    }

    /// A port pair of this engine on our address towards a peer, and advertised for it.
    pub(super) fn lease_media(&mut self, engine: EngineId, face: Face, codecs: &[Codec]) -> Option<LegMedia> {
        let port = self.ports.lease(self.now, engine)?;
        let (bind, advertised) = (self.receives_at(face.ours), self.advertised_to(face));
        let name = self.next_port();
        Some(LegMedia {
            port: name,
            local: SocketAddr::new(bind, port),
            advertised: SocketAddr::new(advertised, port),
            told: Vec::new(),
            sdp: AudioSession::new(name.0, codecs),
            stream: None,
            open: false,
        })
    }

    /// Lets a port be reached at all the addresses that several targets are told of. A target of the other family is told
    /// what the first is.
    pub(super) fn tell_each(&self, media: &mut LegMedia, targets: &mut [Target], faces: &[Face]) {
        let first = media.advertised.ip();
        let same_family = |ip: &IpAddr| ip.is_ipv4() == first.is_ipv4();
        let told: Vec<IpAddr> =
            faces.iter().map(|face| Some(self.advertised_to(*face)).filter(same_family).unwrap_or(first)).collect();
        if told.iter().all(|ip| *ip == first) {
            return;
        }
        let mut bound = faces.iter().map(|face| self.receives_at(face.ours)).filter(same_family);
        if bound.any(|ip| ip != media.local.ip()) {
            let any: IpAddr = if first.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            media.local.set_ip(any);
        }
        for (target, ip) in targets.iter_mut().zip(&told) {
            target.media = Some(*ip);
        }
        media.told = told;
    }

    fn receives_at(&self, ours: IpAddr) -> IpAddr {
        self.edition.plan.media.address.filter(|ip| ip.is_ipv4() == ours.is_ipv4()).unwrap_or(ours)
    }

    /// A peer whose address is not known yet is told what an outsider is.
    fn advertised_to(&self, Face { ours, peer }: Face) -> IpAddr {
        let plan = &self.edition.plan;
        let public = match peer {
            Some(peer) => plan.public_address_for(peer),
            None => plan.public_address_like(ours).filter(|_| !ours.is_loopback()),
        };
        public.unwrap_or_else(|| self.receives_at(ours))
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
        // Who holds us, or is held, may be silent for as long as it likes.
        let watched = leg.is_answered() && stream.direction == Direction::SendRecv && !timeout.is_zero();
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

    // -- what the engines tell ---------------------------------------------------------------------------------------

    pub(super) fn on_media(&mut self, engine: EngineId, event: MediaEvent) {
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
                self.on_recording_sealed(engine, recording, duration_ms, bytes);
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

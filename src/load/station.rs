//! One simulated party on real sockets: its SIP socket, an RTP socket for each call, and the loop that drives both.
//!
//! A station is one task. SIP is read as it comes; RTP of all its calls is written and read on one 20 ms beat, which
//! is as exact as the figures need and keeps a thousand calls at fifty wake-ups a second for each station.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use super::clock::Clock;
use super::ear::{Heard, ToneHz};
use super::voice::{LegCount, PACKET_SPAN, Voice};
use crate::ids::SecretSource;
use crate::sim::agent::DeskNews;
use crate::sim::endpoint::UserAgent;
use crate::sim::report::{CallKey, PhoneReport};
use crate::time::Time;

/// A user agent with whoever uses it. The station drives it; it says when it wants to be woken.
pub trait Party: Send {
    fn machine(&mut self) -> &mut dyn UserAgent;
    /// When the machine or its user wants [`Party::handle_timeout`].
    fn poll_timeout(&mut self) -> Option<Time>;
    fn handle_timeout(&mut self, now: Time);
    fn handle_report(&mut self, now: Time, report: &PhoneReport);
    fn handle_heard(&mut self, now: Time, call: CallKey, heard: Heard);
    /// A call's media is over.
    fn handle_leg(&mut self, now: Time, call: CallKey, count: LegCount);
    /// News from the agent's desk, where the party has one.
    fn handle_desk(&mut self, _now: Time, _news: DeskNews) {}
    /// The run is over: start nothing, end what there is.
    fn finish(&mut self, now: Time);
    /// Nothing is left to end.
    fn is_done(&mut self) -> bool;
    /// The tone that the party speaks on that call.
    fn tone(&self, call: CallKey) -> ToneHz;
}

/// See the module.
pub struct Station<P> {
    party: P,
    clock: Clock,
    sip: UdpSocket,
    legs: BTreeMap<CallKey, Leg>,
    /// Of all the legs; it stands still while there are none.
    beat: Interval,
    secrets: SecretSource,
    desk: Option<mpsc::Receiver<DeskNews>>,
}

struct Leg {
    socket: UdpSocket,
    voice: Voice,
}

/// A datagram longer than this is no packet of ours.
const LARGEST_DATAGRAM: usize = 65_535;
/// Packets read of one leg in one beat: ten times what arrives in it.
const READ_AT_ONCE: usize = 16;

impl<P: Party> Station<P> {
    /// Binds the party's SIP socket. `desk` brings news to [`Party::handle_desk`].
    pub async fn open(
        party: P,
        sip: SocketAddr,
        clock: Clock,
        seed: u64,
        desk: Option<mpsc::Receiver<DeskNews>>,
    ) -> io::Result<Self> {
        let sip = UdpSocket::bind(sip).await.map_err(|error| naming(sip, &error))?;
        let secrets = SecretSource::from_seed(seed);
        let mut beat = interval(PACKET_SPAN);
        // A late beat is made up for, so that the far side gets every packet.
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Ok(Self { party, clock, sip, legs: BTreeMap::new(), beat, secrets, desk })
    }

    pub fn party(&mut self) -> &mut P {
        &mut self.party
    }

    /// Runs until `stop` turns true and the party has nothing left to end.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<P> {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        let mut stopping = false;
        loop {
            self.drain().await?;
            if stopping && self.party.is_done() {
                return Ok(self.party);
            }
            let due = self.party.poll_timeout().map(|at| self.clock.instant(at));
            tokio::select! {
                read = self.sip.recv_from(&mut buffer) => self.on_datagram(read, &buffer)?,
                () = async { sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await }, if due.is_some() => {
                    let now = self.clock.now();
                    self.party.handle_timeout(now);
                }
                _ = self.beat.tick(), if !self.legs.is_empty() => self.on_beat(&mut buffer),
                news = next_news(&mut self.desk) => {
                    let now = self.clock.now();
                    news.into_iter().for_each(|news| self.party.handle_desk(now, news));
                }
                changed = stop.changed(), if !stopping => {
                    if changed.is_err() || *stop.borrow() {
                        stopping = true;
                        let now = self.clock.now();
                        self.party.finish(now);
                    }
                }
            }
        }
    }

    fn on_datagram(&mut self, read: io::Result<(usize, SocketAddr)>, buffer: &[u8]) -> io::Result<()> {
        match read {
            Ok((length, from)) => {
                let now = self.clock.now();
                let bytes = buffer.get(..length).unwrap_or_default();
                self.party.machine().handle(now, from, bytes);
                Ok(())
            }
            // A datagram of ours met a closed port (ICMP): the transactions find out by their timers.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reports first, so that ports are open before a description names them; then datagrams.
    async fn drain(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        while let Some(report) = self.party.machine().poll_report() {
            self.on_report(now, &report).await?;
        }
        while let Some(datagram) = self.party.machine().poll_send() {
            // A full or refusing socket loses the datagram, as the network might; it is repeated by its timer.
            let _lost = self.sip.send_to(&datagram.bytes, datagram.to).await;
        }
        Ok(())
    }

    async fn on_report(&mut self, now: Time, report: &PhoneReport) -> io::Result<()> {
        match report {
            PhoneReport::MediaOpened { call, local } => {
                let socket = UdpSocket::bind(local).await.map_err(|error| naming(*local, &error))?;
                match self.legs.get_mut(call) {
                    Some(leg) => leg.socket = socket,
                    None => {
                        // The time without legs is no lateness to be made up for.
                        if self.legs.is_empty() {
                            self.beat.reset();
                        }
                        let voice = Voice::new(self.party.tone(*call), self.secrets.u32());
                        self.legs.insert(*call, Leg { socket, voice });
                    }
                }
            }
            PhoneReport::Media { call, path } => {
                if let Some(leg) = self.legs.get_mut(call) {
                    leg.voice.set_path(*path);
                }
            }
            PhoneReport::Press { call, digit, duration_ms } => {
                if let Some(leg) = self.legs.get_mut(call) {
                    leg.voice.press(*digit, *duration_ms);
                }
            }
            _ => {}
        }
        self.party.handle_report(now, report);
        if let PhoneReport::Ended { call, .. } = report
            && let Some(leg) = self.legs.remove(call)
        {
            self.party.handle_leg(now, *call, leg.voice.count().clone());
        }
        Ok(())
    }

    fn on_beat(&mut self, buffer: &mut [u8]) {
        let now = self.clock.now();
        let mut heard = Vec::new();
        for (call, leg) in &mut self.legs {
            if let Some((to, bytes)) = leg.voice.next_packet() {
                let _lost = leg.socket.try_send_to(&bytes, to);
            }
            for _ in 0..READ_AT_ONCE {
                // No packet, or an ICMP error of an earlier one: the beat goes on.
                let Ok((length, _)) = leg.socket.try_recv_from(buffer) else { break };
                heard.extend(leg.voice.hear(buffer.get(..length).unwrap_or_default()).map(|heard| (*call, heard)));
            }
        }
        for (call, heard) in heard {
            self.party.handle_heard(now, call, heard);
        }
    }
}

/// The next news of the desk; never, where there is no desk.
async fn next_news(desk: &mut Option<mpsc::Receiver<DeskNews>>) -> Option<DeskNews> {
    match desk {
        Some(news) => match news.recv().await {
            Some(news) => Some(news),
            None => {
                *desk = None;
                None
            }
        },
        None => core::future::pending().await,
    }
}

fn naming(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot open UDP {address}: {error}"))
}

//! Runs a load profile: opens every station, lets callers come, winds everything down, hands back the report.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::clock::Clock;
use super::crowd::{Arrivals, Crowd};
use super::desk::{AgentDesk, DeskLine};
use super::ear::ToneHz;
use super::profile::{LoadProfile, ProfileError};
use super::report::{LoadReport, Note};
use super::seat::AgentSeat;
use super::station::{Party, Station};
use crate::limits;
use crate::sim::agent::Agent;
use crate::sim::digest::Credentials;
use crate::sim::endpoint::AnswerPlan;
use crate::sim::phone::{Phone, PhoneSettings};
use crate::sim::trunk::{Trunk, TrunkSettings};

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("{0}; another run or program may hold the address, or the limit of open files may be too low")]
    Socket(#[from] io::Error),
    #[error("a simulated party broke down: {0}")]
    Party(String),
}

/// Runs the profile until its time is over, its calls are done, or `stop` turns true. `progress` is shown the report
/// as it grows, once a second.
pub async fn run(
    profile: &LoadProfile,
    desk: Arc<dyn AgentDesk>,
    mut stop: watch::Receiver<bool>,
    mut progress: impl FnMut(&LoadReport),
) -> Result<LoadReport, LoadError> {
    profile.check()?;
    let (notes, mut facts) = notes();
    let mut run = Run { clock: Clock::start(), notes, stations: JoinSet::new(), stop: watch::Sender::new(false) };
    run.open_agents(profile, &*desk).await?;
    run.open_bare_phones(profile).await?;
    run.open_crowds(profile).await?;
    // Only stations hold senders now: the facts end when the last station does.
    let Run { mut stations, stop: wind_down, notes, .. } = run;
    drop(notes);

    let mut report = LoadReport::default();
    let end = Instant::now() + Duration::from_secs(profile.duration_s);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            fact = facts.recv() => match fact {
                Some(fact) => report.note(fact),
                None => break,
            },
            _ = second.tick() => progress(&report),
            () = sleep_until_or_calls(end, profile, &report) => break,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = stations.join_next() => joined(ended)?,
        }
    }
    wind_down.send_replace(true);
    finish(&mut stations, &mut facts, &mut report, profile.wind_down).await?;
    Ok(report)
}

/// From the parties to the report. One that cannot keep up loses notes rather than holding up the calls.
fn notes() -> (mpsc::Sender<Note>, mpsc::Receiver<Note>) {
    mpsc::channel(limits::LOAD_NOTES)
}

/// The end of the run's time; where a number of calls was asked for, also when all of them are over.
async fn sleep_until_or_calls(end: Instant, profile: &LoadProfile, report: &LoadReport) {
    let over = report.calls_answered + report.calls_refused.values().sum::<u64>();
    if profile.calls.is_some_and(|calls| over >= calls.saturating_mul(profile.lines.len().max(1) as u64)) {
        return;
    }
    tokio::time::sleep_until(end).await;
}

/// Gathers the last facts while the stations end; what has not ended in time is cut off.
async fn finish(
    stations: &mut JoinSet<io::Result<()>>,
    facts: &mut mpsc::Receiver<Note>,
    report: &mut LoadReport,
    within: Duration,
) -> Result<(), LoadError> {
    let deadline = Instant::now() + within;
    while let Ok(Some(fact)) = timeout_at(deadline, facts.recv()).await {
        report.note(fact);
    }
    while let Some(ended) = stations.try_join_next() {
        joined(ended)?;
    }
    stations.abort_all();
    while let Ok(fact) = facts.try_recv() {
        report.note(fact);
    }
    Ok(())
}

fn joined(ended: Result<io::Result<()>, tokio::task::JoinError>) -> Result<(), LoadError> {
    match ended {
        Ok(result) => Ok(result?),
        Err(error) => Err(LoadError::Party(error.to_string())),
    }
}

struct Run {
    clock: Clock,
    notes: mpsc::Sender<Note>,
    stations: JoinSet<io::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Run {
    async fn open_agents(&mut self, profile: &LoadProfile, desk: &dyn AgentDesk) -> Result<(), LoadError> {
        for (number, (address, seat)) in (0..).zip(profile.agents()) {
            let mut settings = PhoneSettings::new(&seat.account, &profile.domain, address, profile.target);
            settings.credentials = Some(Credentials::new(&seat.account, &seat.sip_password));
            settings.expires_s = profile.expires_s;
            let seed = seed_of(profile, address.ip());
            let DeskLine { commands, news } = desk.sit_down(seat, self.notes.clone());
            let (phone, agent) = (Phone::new(settings, seed), Agent::new(profile.agent_habits(), seed));
            let (tone, notes, now) = (ToneHz::of_agent(number), self.notes.clone(), self.clock.now());
            let party = AgentSeat::new(phone, agent, commands, tone, notes, now);
            self.start(Station::open(party, address, self.clock, seed, Some(news)).await?);
            self.pace().await;
        }
        Ok(())
    }

    async fn open_bare_phones(&mut self, profile: &LoadProfile) -> Result<(), LoadError> {
        for (address, seat) in profile.bare_phones() {
            let mut settings = PhoneSettings::new(&seat.account, &profile.domain, address, profile.target);
            settings.credentials = Some(Credentials::new(&seat.account, &seat.sip_password));
            settings.expires_s = profile.expires_s;
            settings.plan = AnswerPlan::ring();
            let seed = seed_of(profile, address.ip());
            let (phone, notes, now) = (Phone::new(settings, seed), self.notes.clone(), self.clock.now());
            let party = AgentSeat::phone_only(phone, ToneHz::of_agent(0), notes, now);
            self.start(Station::open(party, address, self.clock, seed, None).await?);
            self.pace().await;
        }
        Ok(())
    }

    async fn open_crowds(&mut self, profile: &LoadProfile) -> Result<(), LoadError> {
        for (address, rate, callers) in profile.crowds() {
            let seed = seed_of(profile, address.ip());
            let settings = TrunkSettings::new("gateway", "carrier.example", address, profile.target);
            let arrivals = Arrivals::new(rate, profile.calls_max as usize, profile.calls, seed, self.clock.now());
            let party = Crowd::new(Trunk::new(settings, seed), callers, arrivals, self.notes.clone());
            self.start(Station::open(party, address, self.clock, seed, None).await?);
        }
        Ok(())
    }

    fn start<P: Party + 'static>(&mut self, station: Station<P>) {
        let stop = self.stop.subscribe();
        self.stations.spawn(async move { station.run(stop).await.map(drop) });
    }

    /// A pause of a millisecond for every phone: a thousand do not register in the same instant.
    async fn pace(&self) {
        sleep(Duration::from_millis(1)).await;
    }
}

fn seed_of(profile: &LoadProfile, ip: std::net::IpAddr) -> u64 {
    let address = match ip {
        std::net::IpAddr::V4(ip) => u64::from(ip.to_bits()),
        std::net::IpAddr::V6(_) => 0,
    };
    profile.seed << 32 ^ address
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::load::desk::{NoDesk, Seat};
    use crate::load::report::LegSide;
    use crate::sim::caller::{CallerProfile, KeyMoment, KeyPress};
    use crate::sim::chance::Spread;
    use crate::sim::endpoint::Step;
    use crate::sim::trunk::TrunkRoute;

    /// An address of this test process alone: test runs may go side by side. `block` is one test's own.
    fn host(block: u8, last: u8) -> Ipv4Addr {
        let [.., a, b] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, 32 + (a & 0x1f) + 32 * block, b, last)
    }

    fn at(host: Ipv4Addr) -> SocketAddr {
        SocketAddr::new(host.into(), 5060)
    }

    #[test]
    fn so_many_notes_wait_for_the_report_and_further_ones_are_lost() {
        let (notes, mut facts) = notes();
        let noted = (0..limits::LOAD_NOTES + 9).filter(|_| notes.try_send(Note::CallPlaced).is_ok()).count();
        assert_eq!(noted, limits::LOAD_NOTES);
        drop(notes);
        let mut report = LoadReport::default();
        while let Ok(note) = facts.try_recv() {
            report.note(note);
        }
        assert_eq!(report.calls_placed, limits::LOAD_NOTES as u64);
    }

    /// A caller's gateway and an agent's phone, straight against each other on loopback sockets.
    #[tokio::test]
    async fn two_parties_call_over_sockets_and_hear_each_others_tones() {
        let (carrier, desk) = (at(host(0, 1)), at(host(0, 2)));
        let (notes, mut facts) = mpsc::channel(1_000);
        let clock = Clock::start();
        let (stop_phone, stop_carrier) = (watch::Sender::new(false), watch::Sender::new(false));

        let mut settings = PhoneSettings::new("1001", "example.com", desk, carrier);
        settings.plan = AnswerPlan::ring().then(Duration::from_millis(200), Step::Answer { copies: 1 });
        let seat = AgentSeat::phone_only(Phone::new(settings, 1), ToneHz::of_agent(3), notes.clone(), clock.now());
        let profile = CallerProfile {
            from: vec!["+4930".into()],
            to: vec!["1001".into()],
            ways: vec![vec![KeyPress { when: KeyMoment::AfterAnswer(Duration::from_millis(300)), digits: "5".into() }]],
            answer_patience: Spread::secs(10, 10),
            queue_patience: Spread::secs(10, 10),
            talk: Spread::millis(800, 800),
        };
        let trunk = Trunk::new(TrunkSettings::new("gw", "carrier.example", carrier, desk), 2);
        let arrivals = Arrivals::new(600.0, 1, Some(1), 3, clock.now());
        let crowd = Crowd::new(trunk, profile, arrivals, notes);

        let seat = Station::open(seat, desk, clock, 4, None).await.unwrap();
        let crowd = Station::open(crowd, carrier, clock, 5, None).await.unwrap();
        let seat = tokio::spawn(seat.run(stop_phone.subscribe()));
        let crowd = tokio::spawn(crowd.run(stop_carrier.subscribe()));

        let mut report = LoadReport::default();
        let mut legs = Vec::new();
        while legs.len() < 2 {
            let fact = timeout_at(Instant::now() + Duration::from_secs(20), facts.recv()).await.unwrap().unwrap();
            if let Note::Leg { side, count, .. } = &fact {
                legs.push((*side, count.clone()));
            }
            report.note(fact);
        }
        // The phone takes its registration back from the gateway, so the gateway goes last.
        stop_phone.send_replace(true);
        let _phone = seat.await.unwrap().unwrap();
        stop_carrier.send_replace(true);
        assert_eq!(crowd.await.unwrap().unwrap().callers(), 0);
        legs.sort_by_key(|(side, _)| *side);
        let [(LegSide::Caller, caller), (LegSide::Agent, agent)] = &legs[..] else { panic!("{legs:?}") };
        assert_eq!(caller.tones, [ToneHz::of_agent(3)]);
        assert_eq!(agent.tones, [ToneHz::of_caller(1)]);
        assert!(caller.packets_received >= 40 && caller.packets_lost == 0, "{caller:?}");
        assert!(agent.packets_received >= 40 && agent.packets_lost == 0, "{agent:?}");
        assert_eq!((report.calls_placed, report.calls_answered, report.calls_served), (1, 1, 1));
        assert_eq!((report.agent_calls, report.registrations), (1, 1));
        assert!(report.answer_ms.percentile(50) >= Some(200));
        assert!(report.unreadable.is_empty(), "{:?}", report.unreadable);
    }

    fn seat(number: u32) -> Seat {
        let [agent, password, account, sip_password] = [(); 4].map(|()| number.to_string());
        Seat { agent, password, account, sip_password }
    }

    /// A whole run against a stand-in for the switch, which registers everyone and is busy for every call.
    #[tokio::test]
    async fn a_run_registers_calls_winds_down_and_says_what_was_refused() {
        let (first_address, switch) = (host(1, 1), at(host(1, 250)));
        let mut settings = TrunkSettings::new("switch", "localhost", switch, at(first_address));
        settings.routes = vec![TrunkRoute { prefix: String::new(), plan: AnswerPlan::refuse(486) }];
        let (notes, _facts) = mpsc::channel(1_000);
        let clock = Clock::start();
        let nobody = Arrivals::new(0.0, 0, None, 1, clock.now());
        let crowd = Crowd::new(Trunk::new(settings, 1), LoadProfile::default().crowds().remove(0).2, nobody, notes);
        let stand_in = Station::open(crowd, switch, clock, 1, None).await.unwrap();
        let stop = watch::Sender::new(false);
        let stand_in = tokio::spawn(stand_in.run(stop.subscribe()));

        let profile = LoadProfile {
            target: switch,
            first_address,
            calls: Some(3),
            calls_per_minute: 6_000,
            agents: 2,
            registrations: 3,
            seats: (1..=5).map(seat).collect(),
            ..LoadProfile::default()
        };
        let never = watch::Sender::new(false);
        let report = run(&profile, Arc::new(NoDesk), never.subscribe(), |_| {}).await.unwrap();
        assert_eq!(report.calls_placed, 3);
        assert_eq!(report.calls_refused, [(486, 3)].into());
        assert_eq!((report.registrations, report.registrations_failed.len()), (5, 0));
        assert_eq!(report.media[&LegSide::Caller].silent_legs, 0, "none was answered");
        stop.send_replace(true);
        assert!(stand_in.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let profile = LoadProfile { first_address: host(2, 1), ..LoadProfile::default() };
        let _holder = tokio::net::UdpSocket::bind(profile.trunk_address()).await.unwrap();
        let error = run(&profile, Arc::new(NoDesk), watch::Sender::new(false).subscribe(), |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(&profile.trunk_address().to_string()), "{error}");
    }
}

//! `strowger demo`: the sample centre, with simulated callers and agents placing real calls over loopback.
//!
//! It fills a store of its own on the first run, opens the doors, and lets callers come from the sample's carrier
//! (127.20.0.x) and agents sit down at phones (127.20.1.x) until Ctrl-C or SIGTERM; once more ends it at once. What the
//! dialplans ask of company systems is answered on this machine, too.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::command::UserRole;
use crate::config::args::{Args, Demo};
use crate::config::report;
use crate::http::api::demo::{DemoHints, DemoNumber, DemoPhone, DemoUser};
use crate::http::desk::entity::Words;
use crate::load::cti::CtiDesk;
use crate::load::desk::Seat;
use crate::load::driver;
use crate::load::profile::{Line, LoadProfile};
use crate::load::report::LoadReport;
use crate::net::BindError;
use crate::observe::log;
use crate::plan::model::Listener;
use crate::plan::trunk::Transport;
use crate::sim::agent::AgentHabits;
use crate::sim::chance::Spread;
use crate::store::LedgerError;
use crate::switch::Edition;
use crate::time::Time;

use super::centre::{NoHttp, Running, start};
use super::stand_in::Systems;
use super::{REFUSED, edition, load, progress, sample, seats, serve};

/// The sample centre's folder, looked for here and beside the binary.
const SAMPLE: &str = "demo";
/// A year: the callers of a demo without `--duration-s` stop when it is told to.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);
/// How long the simulated parties get to hang up when the demo stops.
const WIND_DOWN: Duration = Duration::from_secs(2);

pub fn run(_args: &Args, options: &Demo) -> anyhow::Result<ExitCode> {
    let _flush = log::start(log::Format::Text { colours: false }, "error")?;
    let config = sample_folder()?.join("strowger.toml");
    let composed = edition::read(&config)
        .map_err(|refused| (refused.findings, refused.sources))
        .and_then(|loaded| edition::compose(&config, &loaded).map_err(|findings| (findings, loaded.sources.clone())));
    let edition = match composed {
        Ok(edition) => adapted(edition::anchored(&config, edition), options),
        Err((findings, sources)) => {
            eprint!("{}", report::for_people(&findings, &sources, serve::paint()));
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let lived = runtime.block_on(live(edition, &folder, options));
    // Not waiting for what a stop at once left running.
    runtime.shutdown_background();
    lived?;
    Ok(ExitCode::SUCCESS)
}

fn sample_folder() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|binary| Some(binary.parent()?.join(SAMPLE)));
    let found = [Some(PathBuf::from(SAMPLE)), beside].into_iter().flatten().find(|folder| folder.is_dir());
    match found {
        Some(folder) => Ok(folder),
        None => bail!("the folder `{SAMPLE}` is neither here nor beside the binary: run this where Strowger lies"),
    }
}

/// The sample's plan on the addresses and in the folder that the command line asks for.
fn adapted(mut edition: Edition, options: &Demo) -> Edition {
    let mut plan = (*edition.plan).clone();
    plan.sip.listen =
        [Transport::Udp, Transport::Tcp].map(|transport| Listener { transport, address: options.sip }).to_vec();
    plan.http.listen = options.http;
    if let Some(data) = &options.data {
        plan.store.path = data.to_string_lossy().into();
        plan.recording.path = data.join("recordings").to_string_lossy().into();
    }
    edition.plan = Arc::new(plan);
    edition
}

async fn live(edition: Edition, folder: &Path, options: &Demo) -> anyhow::Result<()> {
    let mut stops = Stops::listen()?;
    let store = PathBuf::from(&*edition.plan.store.path);
    let plan = edition.plan.clone();
    let (_editions, edition) = watch::channel(Arc::new(edition));
    let cards = sample::cards(&sample::source(folder, sample::CUSTOMERS)?, &plan.home, Time::EPOCH)?;
    let stand_ins = Systems::read(folder, &cards)?.open().await?;
    let mut running = start(edition, Vec::new(), stand_ins).await.map_err(|error| explained(error, options, &store))?;
    if let Err(error) = sample::fill(&running, &plan, folder).await {
        running.drain(true);
        running.until_drained().await;
        running.stop().await?;
        return Err(error.context("the sample's people and customers could not be stored"));
    }
    running.hints = Some(hints(&running));
    let doors = running.open_doors().await?;
    say_hello(doors.address, &running, options, &store);
    let (stop, stopped) = watch::channel(false);
    let (from, seats) = (customers_numbers(folder)?, sample_seats(folder)?);
    let traffic = tokio::spawn(traffic(options.clone(), from, seats, doors.address, stopped));
    let over = tokio::time::sleep(options.duration_s.map_or(LONGEST, Duration::from_secs));
    tokio::select! {
        () = over => {}
        () = stops.next() => {}
    }
    eprintln!("\nStopping; once more to stop at once.");
    let orderly = async {
        stop.send_replace(true);
        let report = traffic.await?;
        running.drain(true);
        running.until_drained().await;
        doors.close().await;
        running.stop().await?;
        anyhow::Ok(report?)
    };
    tokio::select! {
        report = orderly => {
            if let Some(report) = report? {
                println!("{report}");
            }
        }
        // The store is made to be left at any moment.
        () = stops.next() => {}
    }
    Ok(())
}

/// Ctrl-C and SIGTERM.
struct Stops {
    term: Signal,
    int: Signal,
}

impl Stops {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// What to do about a start that failed.
fn explained(error: anyhow::Error, options: &Demo, store: &Path) -> anyhow::Error {
    let another = |option: &str, at: SocketAddr| {
        let free = SocketAddr::new(at.ip(), at.port().saturating_add(10));
        format!("Stop the program that has port {}, or choose another: strowger demo {option} {free}", at.port())
    };
    if let Some(BindError::Socket { .. }) = error.downcast_ref() {
        return anyhow::anyhow!("{error}. {}", another("--sip", options.sip));
    }
    if let Some(NoHttp { .. }) = error.downcast_ref() {
        return anyhow::anyhow!("{error}. {}", another("--http", options.http));
    }
    if let Some(LedgerError::Locked) = error.downcast_ref() {
        let store = store.display();
        return anyhow::anyhow!("a demo or server runs already with {store}: stop it, or choose a folder with --data");
    }
    error
}

// -- the simulated side ----------------------------------------------------------------------------------------------

/// The simulated callers and agents, until they are told to stop.
async fn traffic(
    options: Demo,
    from: Vec<String>,
    seats: Vec<Seat>,
    http: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Option<LoadReport>> {
    if options.calls_per_minute == 0 && options.agents == 0 {
        return Ok(None);
    }
    let loopback = SocketAddr::new([127, 0, 0, 1].into(), options.sip.port());
    let profile = LoadProfile {
        target: if options.sip.ip().is_unspecified() { loopback } else { options.sip },
        domain: DOMAIN.to_owned(),
        duration_s: LONGEST.as_secs(),
        calls_per_minute: options.calls_per_minute,
        from,
        key_pause_ms: 1_500,
        talk_s: 30,
        agents: options.agents,
        seats,
        wrap_code: vec!["answered".into(), "complaint".into()],
        habits: AgentHabits {
            lets_ring_permille: 15,
            holds_permille: 120,
            hangs_up_permille: 250,
            wrap_up: Spread::secs(3, 9),
            ..AgentHabits::default()
        },
        lines: lines(),
        wind_down: WIND_DOWN,
        ..LoadProfile::default()
    };
    let bar = progress::spinner("simulated");
    let report = driver::run(&profile, Arc::new(CtiDesk { http }), stopped, |report| {
        bar.set_message(load::line(report));
    });
    let report = report.await;
    bar.finish_and_clear();
    Ok(Some(report?))
}

/// Who calls which number, and the keys they press: one group a prompt. The first chooses English or Mandarin; nought
/// asks for a person; 1 while waiting for the airline leaves a message instead.
fn lines() -> Vec<Line> {
    let line = |to: &str, weight, ways: &[&str], patience_seconds| Line {
        to: vec![to.to_owned()],
        weight,
        ways: ways.iter().map(|&way| way.to_owned()).collect(),
        patience_seconds,
    };
    vec![
        line(AIRLINE, 5, &["1,,0", "2,,0", "1,,1", "2,,2,482913", "1,,0,1"], [60, 180]),
        line(BANK, 3, &["1,,0", "2,,0"], [60, 180]),
        line(LAPTOPS, 2, &["1,,,0", "2,,,1"], [45, 120]),
        line(WEATHER, 1, &["1,,1,1,,9", "2,,1,2,,9"], [60, 60]),
    ]
}

/// The numbers of the sample's customers, and some that nobody knows.
fn customers_numbers(folder: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(sample::CUSTOMERS))?;
    let words = text.split([',', ';', '|', '\n']).map(str::trim);
    let numbers = words.filter(|word| word.starts_with('+')).map(str::to_owned);
    Ok(numbers.chain(["+8613700137000", "+862038123456", "+861065551234"].map(str::to_owned)).collect())
}

/// The sample's agents at their phones. The last is the visitor's.
fn sample_seats(folder: &Path) -> anyhow::Result<Vec<Seat>> {
    let people = sample::source(folder, sample::PEOPLE)?;
    let (seats, findings) = seats::read(&people);
    sample::refuse(&findings, &people)?;
    Ok(seats)
}

// -- what visitors are told ------------------------------------------------------------------------------------------

const DOMAIN: &str = "demo.local";
const AIRLINE: &str = "95539";
const BANK: &str = "95588";
const LAPTOPS: &str = "4008100";
const WEATHER: &str = "12121";

/// What a visitor may key: of demo/customers.csv and demo/systems.toml.
const ACCOUNT: &str = "1000000001";
const PIN: &str = "1234";
const CARD: &str = "4111111111111111";
const BAG: &str = "0012345678";
const SERIAL: &str = "20260001";

fn hints(running: &Running) -> DemoHints {
    let user = |user: &str, password: &str, role, account: &str| DemoUser {
        user: user.to_owned(),
        password: password.to_owned(),
        role,
        account: account.to_owned(),
    };
    let number = |number: &str, en: &str, zh: &str| DemoNumber {
        number: number.to_owned(),
        what: Words { en: en.to_owned(), zh: zh.to_owned() },
    };
    DemoHints {
        users: vec![
            user("boss", "demo-boss", UserRole::Supervisor, ""),
            user("you", "demo-agent", UserRole::Agent, "2001"),
        ],
        phone: DemoPhone {
            address: format!("2001@{DOMAIN}"),
            password: "demo-2001".to_owned(),
            servers: servers(running),
        },
        dial: vec![
            number(AIRLINE, "Airline", "航空"),
            number(BANK, "Bank", "银行"),
            number(LAPTOPS, "Laptop support", "电脑支持"),
            number(WEATHER, "Weather and directory", "天气与查号"),
        ],
    }
}

/// Where SIP listens, each address once.
fn servers(running: &Running) -> Vec<String> {
    let addresses: BTreeSet<SocketAddr> = running.listeners.iter().map(|listener| listener.local).collect();
    addresses.into_iter().map(|address| address.to_string()).collect()
}

fn say_hello(page: SocketAddr, running: &Running, options: &Demo, store: &Path) {
    let servers = servers(running).join(" or ");
    let Demo { calls_per_minute, agents, .. } = options;
    println!(
        "The sample centre is open.

  Open         http://{page}
               as supervisor  boss / demo-boss    queues, waiting calls, agents, voicemails, live
               as agent       you / demo-agent    at phone 2001
  Your phone   register 2001@{DOMAIN}, password demo-2001, at {servers} (UDP or TCP)
               dial {AIRLINE} airline, {BANK} bank, {LAPTOPS} laptop support, {WEATHER} weather
               bank account {ACCOUNT}, PIN {PIN}; card {CARD}; bag tag {BAG}; serial {SERIAL}
               signed in as `you`, choose Ready: the next caller rings at your phone
  Simulated    {calls_per_minute} calls a minute, {agents} agents; all they do is real SIP and RTP on loopback;
               bank, bags, warranty and weather answer from demo/systems.toml
  Kept in      {}

Ctrl-C stops.
",
        store.display()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_the_samples_customers_and_a_stranger() {
        let numbers = customers_numbers(Path::new(SAMPLE)).unwrap();
        assert!(numbers.contains(&"+8613800138000".to_owned()), "{numbers:?}");
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
        assert!(numbers.len() >= 6);
    }

    #[test]
    fn the_simulated_agents_leave_the_visitors_phone_alone() {
        let seats = sample_seats(Path::new(SAMPLE)).unwrap();
        let names: Vec<&str> = seats.iter().map(|seat| seat.agent.as_str()).collect();
        assert_eq!(names, ["1001", "1002", "1003", "1004", "1005", "1006", "you"], "six, as the command line says");
    }

    #[test]
    fn what_a_visitor_is_told_to_key_is_known() {
        let read = |name: &str| std::fs::read_to_string(Path::new(SAMPLE).join(name)).unwrap();
        let customers = read(sample::CUSTOMERS);
        assert!(customers.lines().any(|row| row.contains(ACCOUNT) && row.ends_with(&format!(",{PIN}"))));
        let systems = read("systems.toml");
        for key in [ACCOUNT, BAG, SERIAL] {
            assert!(systems.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    #[test]
    fn every_number_called_is_one_of_the_samples() {
        let text = std::fs::read_to_string(Path::new(SAMPLE).join("strowger.toml")).unwrap();
        for line in lines() {
            assert!(text.contains(&format!("match = [\"{}\"]", line.to[0])), "{line:?}");
        }
    }
}

//! `strowger demo`: the sample centre, with simulated callers and agents placing real calls over loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;

use crate::config::args::{Args, Demo, Exchange, Records, Users};
use crate::config::report;
use crate::load::cti::CtiDesk;
use crate::load::driver;
use crate::load::profile::LoadProfile;
use crate::load::report::LoadReport;
use crate::observe::log;
use crate::plan::model::Listener;
use crate::plan::trunk::Transport;
use crate::switch::Edition;

use super::centre::{Doors, Running, start};
use super::{REFUSED, customers, edition, load, people, serve};

/// The sample centre's folder, looked for here and beside the binary.
const SAMPLE: &str = "demo";
/// A year: the callers of a demo without `--duration-s` stop when it is told to.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

pub fn run(args: &Args, options: &Demo) -> anyhow::Result<ExitCode> {
    log::start(log::Format::Text { colours: false }, "warn")?;
    let config = sample()?.join("strowger.toml");
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
    let sample = config.parent().unwrap_or(Path::new(".")).to_owned();
    fill(&Args { config: config.clone(), ..args.clone() }, &edition, &sample)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(live(edition, options))?;
    Ok(ExitCode::SUCCESS)
}

/// The sample's people and customers, on the first run.
fn fill(args: &Args, edition: &Edition, sample: &Path) -> anyhow::Result<()> {
    if Path::new(&*edition.plan.store.path).join("ledger").is_dir() {
        return Ok(());
    }
    let import = |file: &str| Exchange::Import { file: sample.join(file), dry_run: false };
    people::users(args, &Users::Exchange(import("people.csv"))).context("the sample's people could not be stored")?;
    customers::run(args, &Records::Exchange(import("customers.csv"))).context("nor its customers")?;
    Ok(())
}

fn sample() -> anyhow::Result<PathBuf> {
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
    edition.plan = Arc::new(plan);
    edition
}

async fn live(edition: Edition, options: &Demo) -> anyhow::Result<()> {
    let (_editions, edition) = watch::channel(Arc::new(edition));
    let mut running = start(edition).await?;
    let doors = running.open_doors().await?;
    say_hello(&doors, &running, options);
    let (stop, stopped) = watch::channel(false);
    let traffic = tokio::spawn(traffic(options.clone(), doors.address, stopped));
    let over = tokio::time::sleep(options.duration_s.map_or(LONGEST, Duration::from_secs));
    tokio::select! {
        () = over => {}
        told = tokio::signal::ctrl_c() => told?,
    }
    eprintln!("\nStopping …");
    stop.send_replace(true);
    let report = traffic.await?;
    running.drain(true);
    running.until_drained().await;
    doors.close().await;
    running.stop().await?;
    if let Some(report) = report? {
        println!("{report}");
    }
    Ok(())
}

/// The simulated callers and agents, until they are told to stop.
async fn traffic(
    options: Demo,
    http: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Option<LoadReport>> {
    if options.calls_per_minute == 0 && options.agents == 0 {
        return Ok(None);
    }
    let profile = LoadProfile {
        switch: SocketAddr::new([127, 0, 0, 1].into(), options.sip.port()),
        domain: "demo.local".to_owned(),
        seconds: LONGEST.as_secs(),
        callers_per_minute: f64::from(options.calls_per_minute),
        to: ["95539", "95539", "95588", "4008100"].map(str::to_owned).to_vec(),
        from: ["+8613800138000", "+8613800138001", "+8613800138002", "+8613800138003", "+8613900139000"]
            .map(str::to_owned)
            .to_vec(),
        // Language, consent, and nought for a person: the same way through every line of the sample.
        keys: "1,1,0".to_owned(),
        key_pause_ms: 4_000,
        talk_seconds: vec![15, 60],
        agents: options.agents,
        password: "demo-{}".to_owned(),
        ..LoadProfile::default()
    };
    let mut shown = String::new();
    let report = driver::run(&profile, Arc::new(CtiDesk { http }), stopped, |report| {
        let line = load::line(report);
        if line != shown {
            eprintln!("  {line}");
            shown = line;
        }
    });
    Ok(Some(report.await?))
}

fn say_hello(doors: &Doors, running: &Running, options: &Demo) {
    let sip =
        running.listeners.iter().map(|listener| listener.local.to_string()).collect::<std::collections::BTreeSet<_>>();
    println!("The sample centre is open.\n");
    println!("  Page         http://{}        agent: you / demo-agent    supervisor: boss / demo-boss", doors.address);
    println!(
        "  Your phone   register sip:2001@demo.local, password demo-2001, at {}",
        sip.into_iter().collect::<Vec<_>>().join(" or ")
    );
    println!("               then dial 95539 (airline), 95588 (bank), 4008100 (laptops), 12121 (weather)");
    println!("  As an agent  sign in as `you` at phone 2001, go ready, and take the next call");
    println!("  Simulated    {} calls a minute, {} agents.  Ctrl-C stops.\n", options.calls_per_minute, options.agents);
}

//! `strowger load`: simulated callers and agents on real sockets against any exchange, with a report in percentiles.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use crate::config::args::{Args, Load};
use crate::load::cti::CtiDesk;
use crate::load::desk::{AgentDesk, NoDesk};
use crate::load::driver;
use crate::load::profile::LoadProfile;
use crate::load::report::LoadReport;

use super::{say, say_json};

pub fn run(args: &Args, options: &Load) -> anyhow::Result<ExitCode> {
    let profile = profile_of(options);
    let desk: Arc<dyn AgentDesk> = match options.agents {
        0 => Arc::new(NoDesk),
        _ => Arc::new(CtiDesk { http: desk_address(&options.http)? }),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.send_replace(true);
            }
        });
        let bar = indicatif::ProgressBar::new_spinner();
        let result = driver::run(&profile, desk, stopped, |report| bar.set_message(line(report))).await;
        bar.finish_and_clear();
        result
    })?;
    if args.json {
        say_json(&report.json())?
    } else {
        say(&format!("{report}\n"))
    }
    Ok(ExitCode::SUCCESS)
}

fn profile_of(options: &Load) -> LoadProfile {
    LoadProfile {
        switch: options.target,
        seconds: options.duration_s,
        callers_per_minute: f64::from(options.calls_per_minute),
        calls_at_once: usize::try_from(options.calls_max).unwrap_or(usize::MAX),
        to: vec![options.dial.clone()],
        keys: options.keys.clone(),
        talk_seconds: vec![u64::from(options.talk_s / 2), u64::from(options.talk_s.max(1)) * 3 / 2],
        agents: options.agents,
        registrations: options.registrations,
        seed: options.seed,
        ..LoadProfile::default()
    }
}

/// `http://127.0.0.1:8080` → its address. Agents sign in over plain HTTP on loopback only.
fn desk_address(url: &str) -> anyhow::Result<std::net::SocketAddr> {
    let place = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    place.parse().with_context(|| format!("`{url}` is no address: http://127.0.0.1:8080 is wanted"))
}

/// The run in one line, for progress.
pub fn line(report: &LoadReport) -> String {
    let refused: u64 = report.calls_refused.values().sum();
    format!("{} calls placed, {} answered, {refused} refused", report.calls_placed, report.calls_answered)
}

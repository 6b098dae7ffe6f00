//! `strowger load`: simulated callers and agents on real sockets against any exchange, with a report in percentiles.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::args::Args;
use crate::config::load::read_source;
use crate::limits::crm::IMPORT_BYTES;
use crate::load::cti::CtiDesk;
use crate::load::desk::{AgentDesk, NoDesk};
use crate::load::driver;
use crate::load::profile::LoadProfile;
use crate::load::report::LoadReport;

use super::{Rejected, progress, say, say_json, seats, tables};

pub fn run(args: &Args, options: &LoadProfile) -> anyhow::Result<ExitCode> {
    let mut profile = options.clone();
    if let Some(file) = &profile.accounts {
        let source = read_source(file, IMPORT_BYTES).map_err(|finding| Rejected::one(finding, None))?;
        let (seats, findings) = seats::read(&source);
        tables::accept(args, &findings, &source)?;
        profile.seats = seats;
    }
    let desk: Arc<dyn AgentDesk> = match profile.agents {
        0 => Arc::new(NoDesk),
        _ => Arc::new(CtiDesk { http: profile.http }),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.send_replace(true);
            }
        });
        let bar = progress::spinner("load");
        let result = driver::run(&profile, desk, stopped, |report| bar.set_message(line(report))).await;
        bar.finish_and_clear();
        result
    })?;
    if args.json {
        say_json(&report)?
    } else {
        say(&format!("{report}\n"))
    }
    Ok(ExitCode::SUCCESS)
}

/// The run in one line, for progress.
pub fn line(report: &LoadReport) -> String {
    let refused: u64 = report.calls_refused.values().sum();
    let desks: u64 = report.desks_closed.values().sum();
    let closed = if desks > 0 { format!(", {desks} desks closed") } else { String::new() };
    format!("{} calls placed, {} answered, {refused} refused{closed}", report.calls_placed, report.calls_answered)
}

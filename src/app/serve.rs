//! `strowger serve`: everything started in order, everything stopped in order.
//!
//! ```text
//! edition ─▶ store (ledger, view, what a crash left open) ─▶ sockets bound ─▶ recorder, engines ─▶ switch ─▶ sockets read
//! SIGTERM: no new calls; running ones finish within limits.drain_s. A second SIGTERM, or SIGINT twice: at once.
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::command::UserRole;
use crate::config::args::{Args, LogFormat, Serve};
use crate::config::load::Refused;
use crate::config::reload::{Outcome, ReloadHandle, Reloader, watch as watch_files};
use crate::config::report::{self, Paint};
use crate::crm::User;
use crate::finding::Finding;
use crate::http::auth::first_admin::FirstAdmin;
use crate::observe::log;
use crate::runtime::answers::StandIns;
use crate::runtime::switch_thread::SwitchHandle;
use crate::store::view::key;
use crate::switch::{Edition, Input};

use super::centre::{Doors, Running, start};
use super::control::{Access, Door};
use super::store::records;
use super::{REFUSED, edition, notify};

pub fn run(args: &Args, options: &Serve) -> anyhow::Result<ExitCode> {
    let _flush = start_log(options)?;
    let reloader = match Reloader::start(&args.config, edition::reader()) {
        Ok(reloader) => reloader,
        Err(refused) => {
            eprint!("{}", report::for_people(&refused.findings, &refused.sources, paint()));
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let composed = edition::compose(&args.config, reloader.running());
    let edition = match composed {
        Ok(edition) => edition::anchored(&args.config, edition),
        Err(findings) => {
            eprint!("{}", report::for_people(&findings, &[], paint()));
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(&args.config, edition, reloader));
    // Not waiting for what a stop at once left running.
    runtime.shutdown_background();
    served?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    config: &Path,
    edition: Edition,
    reloader: Reloader<crate::config::compose::BookReader<edition::Catalogue>>,
) -> anyhow::Result<()> {
    let (editions, edition_now) = watch::channel(Arc::new(edition));
    let store_path = edition_now.borrow().plan.store.path.clone();
    let running = start(edition_now, Vec::new(), StandIns::new()).await?;
    for listener in &running.listeners {
        tracing::info!(%listener.transport, address = %listener.local, "taking SIP");
    }
    let access = Access { house: running.house.clone(), before: running.before };
    let door = Door::open(Path::new(&*store_path)).context("the control socket cannot be opened")?;
    let door = tokio::spawn(door.serve(access));
    let doors = running.open_doors().await?;
    tracing::info!(address = %doors.address, "taking HTTP");
    invite_first_admin(&running, &doors)?;
    let (reload, requests) = ReloadHandle::new();
    running.house.reloads.set(reload).map_err(|_| anyhow::anyhow!("a centre is reloaded by one handle"))?;
    let (switch, config) = (running.house.switch.clone(), config.to_owned());
    let following = tokio::spawn(async move {
        let told = |_, outcome: &_| on_reload(&config, &switch, &editions, outcome);
        if let Err(error) = watch_files(reloader, requests, told).await {
            tracing::error!(%error, "changes of the configuration are not followed any more: restart to take them");
        }
    });
    notify::tell(notify::READY);
    let served = stop_when_told(running, doors).await;
    following.abort();
    door.abort();
    served
}

/// While there is no administrator, a link that makes one, good once.
fn invite_first_admin(running: &Running, doors: &Doors) -> anyhow::Result<()> {
    let users: Vec<User> = records(&running.house.view, &key::users())?;
    if users.iter().any(|user| user.role == UserRole::Admin && !user.disabled) {
        return Ok(());
    }
    let token = doors.site.first_admin.invite().context("the link for the first administrator")?;
    eprintln!("No administrator yet. Open once: http://{}{}", doors.address, FirstAdmin::path(&token));
    Ok(())
}

/// A reload that loads goes to the switch; one that does not is told with every finding, and nothing changes.
fn on_reload(
    config: &Path,
    switch: &SwitchHandle,
    editions: &watch::Sender<Arc<Edition>>,
    outcome: &Outcome<crate::dialplan::Book>,
) -> Result<(), Refused> {
    match outcome {
        Outcome::Unchanged { next_start, .. } => {
            tell_next_start(next_start);
            tracing::info!("reload: nothing has changed");
        }
        Outcome::Refused(refused) => tell_refused(refused),
        Outcome::Replaced { loaded, changes, next_start } => match edition::compose(config, loaded) {
            Err(findings) => {
                let refused = Refused { findings, sources: loaded.sources.clone(), watched: loaded.watched.clone() };
                tell_refused(&refused);
                return Err(refused);
            }
            Ok(edition) => {
                let edition = Arc::new(edition::anchored(config, edition));
                // The desktops look it up when the switch says that it has applied it.
                editions.send_replace(edition.clone());
                let taken = switch.input_surely(Input::Replan(edition));
                changes.iter().for_each(|change| tracing::info!(%change, "reload"));
                tell_next_start(next_start);
                tracing::info!(changes = changes.len(), taken = taken.is_ok(), "reload: new calls take the new plan");
            }
        },
    }
    Ok(())
}

fn tell_next_start(findings: &[Finding]) {
    for Finding { file, line, reason, .. } in findings {
        tracing::warn!("reload: {file}:{line}: {reason}");
    }
}

fn tell_refused(refused: &Refused) {
    tracing::error!("reload refused, the running plan stays: {}", report::summary(&refused.findings));
    eprint!("{}", report::for_people(&refused.findings, &refused.sources, paint()));
}

async fn stop_when_told(mut running: Running, doors: Doors) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut times = 0;
    loop {
        tokio::select! {
            _ = term.recv() => times += 1,
            _ = int.recv() => times += 1,
            _ = running.until_drained() => break,
        }
        let at_once = times > 1;
        if at_once {
            tracing::warn!("stopping at once");
        } else {
            notify::tell(notify::STOPPING);
            tracing::info!("draining: no new calls, running ones finish; once more to stop at once");
        }
        running.drain(at_once);
    }
    let orderly = async {
        doors.close().await;
        running.stop().await
    };
    let told = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    unless(orderly, told).await
}

/// An orderly stop, unless somebody wants it at once: the store is made to be left at any moment.
async fn unless(
    orderly: impl Future<Output = anyhow::Result<()>>,
    told: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::select! {
        stopped = orderly => stopped,
        () = told => {
            tracing::warn!("stopping at once");
            Ok(())
        }
    }
}

/// Colours of standard error.
pub(super) fn paint() -> Paint {
    super::paint(&std::io::stderr())
}

fn start_log(options: &Serve) -> anyhow::Result<log::Flush> {
    use std::io::IsTerminal;
    let format = match options.log {
        LogFormat::Text => log::Format::Text { colours: std::io::stderr().is_terminal() },
        LogFormat::Json => log::Format::Json,
    };
    Ok(log::start(format, &options.log_filter)?)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_stop_that_takes_long_ends_at_the_next_signal() {
        assert!(unless(pending(), ready(())).await.is_ok());
        assert!(unless(ready(Ok(())), pending()).await.is_ok());
        let failed = ready(Err(anyhow::anyhow!("the ledger cannot be closed")));
        assert!(unless(failed, pending()).await.is_err(), "what fails is told");
    }
}

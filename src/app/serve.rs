//! `strowger serve`: everything started in order, everything stopped in order.
//!
//! ```text
//! edition ─▶ store (ledger, view, what a crash left open) ─▶ sockets bound ─▶ recorder, engines ─▶ switch ─▶ sockets read
//! SIGTERM: no new calls; running ones finish within limits.drain_s. A second SIGTERM, or SIGINT twice: at once.
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};

use crate::config::args::{Args, LogFormat, Serve};
use crate::config::reload::{Outcome, ReloadHandle, Reloader, watch as watch_files};
use crate::config::report::{self, Paint};
use crate::event::{Event, Seq};
use crate::ids::{Epoch, IdSource, SecretSource};
use crate::net::{Bound, Net, NetEvent};
use crate::runtime::answers::Answers;
use crate::runtime::clock::SystemClock;
use crate::runtime::fold::EventFold;
use crate::runtime::media_thread::{MediaSetup, MediaThread};
use crate::runtime::recording_thread::RecordingThread;
use crate::runtime::switch_thread::{self, Outlets, SwitchHandle};
use crate::store::ledger::LedgerReader;
use crate::store::writer::{Health, Report, Writer, WriterSettings};
use crate::store::{Ledger, View};
use crate::switch::{Boot, Counts, Edition, EngineId, Input, Levels, StoreHealth};

use super::store::Store;
use super::{REFUSED, addresses, control, edition};

/// Events a subscriber may lag behind before it misses some and starts from a snapshot.
const BUS: usize = 16_384;

/// A running centre: what the HTTP side, the CLI's socket and tests hold on to.
pub struct Running {
    pub switch: SwitchHandle,
    pub events: broadcast::Sender<Arc<Event>>,
    pub view: Arc<dyn View>,
    pub ledger: LedgerReader,
    /// Every event up to this one is durable, and can be read from the view.
    pub applied: watch::Receiver<Seq>,
    /// The last record before this boot.
    pub before: Seq,
    pub health: watch::Receiver<Health>,
    pub figures: watch::Receiver<(Counts, Levels)>,
    pub edition: watch::Receiver<Arc<Edition>>,
    pub clock: SystemClock,
    pub epoch: Epoch,
    pub listeners: Vec<crate::sip::flow::Listener>,
    drained: mpsc::Receiver<()>,
    net: Net,
    engines: Arc<Vec<MediaThread>>,
    recorder: RecordingThread,
    thread: JoinHandle<Writer>,
}

pub fn run(args: &Args, options: &Serve) -> anyhow::Result<ExitCode> {
    start_log(options);
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
    runtime.block_on(serve(&args.config, edition, reloader))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    config: &Path,
    edition: Edition,
    reloader: Reloader<crate::config::compose::BookReader<edition::Catalogue>>,
) -> anyhow::Result<()> {
    let (editions, edition_now) = watch::channel(Arc::new(edition));
    let running = start(edition_now).await?;
    for listener in &running.listeners {
        tracing::info!(%listener.transport, address = %listener.local, "taking SIP");
    }
    control::open(&running);
    let (reload, requests) = ReloadHandle::new();
    let (switch, config) = (running.switch.clone(), config.to_owned());
    tokio::spawn(watch_files(reloader, requests, move |_, outcome| {
        on_reload(&config, &switch, &editions, outcome);
    }));
    let served = stop_when_told(running).await;
    drop(reload);
    served
}

/// A reload that loads goes to the switch; one that does not is told with every finding, and nothing changes.
fn on_reload(
    config: &Path,
    switch: &SwitchHandle,
    editions: &watch::Sender<Arc<Edition>>,
    outcome: &Outcome<crate::dialplan::Book>,
) {
    match outcome {
        Outcome::Unchanged => tracing::info!("reload: nothing has changed"),
        Outcome::Refused(refused) => {
            tracing::error!("reload refused, the running plan stays: {}", report::summary(&refused.findings));
            eprint!("{}", report::for_people(&refused.findings, &refused.sources, paint()));
        }
        Outcome::Replaced { loaded, changes } => match edition::compose(config, loaded) {
            Err(findings) => {
                tracing::error!("reload refused, the running plan stays: {}", report::summary(&findings));
                eprint!("{}", report::for_people(&findings, &[], paint()));
            }
            Ok(edition) => {
                let edition = Arc::new(edition::anchored(config, edition));
                let taken = switch.input_surely(Input::Replan(edition.clone()));
                editions.send_replace(edition);
                tracing::info!(changes = changes.len(), taken = taken.is_ok(), "reload: new calls take the new plan");
            }
        },
    }
}

/// Starts a centre. Nothing is read from the network before everything else runs.
pub async fn start(edition: watch::Receiver<Arc<Edition>>) -> anyhow::Result<Running> {
    let plan = edition.borrow().plan.clone();
    let first = edition.borrow().clone();
    let clock = SystemClock::start();
    let seed = u64::from_ne_bytes(random()?);
    let epoch: Epoch = IdSource::from_seed(seed ^ 0x5eed).next(clock.now());
    let store = Store::open(Path::new(&*plan.store.path), epoch, |seq| tracing::info!(%seq, "rebuilding the view"))?;
    let (closing, roster, bindings) = (store.fold.close_open(), store.roster()?, store.bindings()?);
    let bound = Bound::open(&addresses::listens(&plan)?)?;
    let listeners = bound.listeners();

    let (switch, inbox) = switch_thread::inbox();
    let (events, _) = broadcast::channel(BUS);
    let (applied_to, applied) = watch::channel(store.last);
    let (health_to, health) = watch::channel(Health::Open);
    let (figures_to, figures) = watch::channel((Counts::default(), Levels::default()));
    let (drained_to, drained) = mpsc::channel(1);

    let recorder = RecordingThread::start(media_sink(&switch, EngineId(0)))?;
    let mut engines = Vec::new();
    for engine in 0..plan.media.engines.max(1) {
        engines.push(MediaThread::start(MediaSetup {
            engine: usize::from(engine),
            clock: clock.shared(),
            secrets: SecretSource::from_key(random()?),
            events: media_sink(&switch, EngineId(engine)),
            recordings: recorder.queue().context("the recorder has stopped")?,
        })?);
    }
    let engines = Arc::new(engines);

    let writer =
        start_writer(&plan, Box::new(store.ledger), store.view.clone(), store.fold, &switch, applied_to, health_to)?;
    let net = bound.start(net_sink(&switch))?;
    let answers = Answers::new(store.view.clone(), clock, plan.time_zone.clone(), plan.language.clone())?;
    let boot = Boot {
        now: clock.now(),
        epoch,
        edition: first,
        roster,
        listeners: listeners.clone(),
        last: store.last,
        closing,
        bindings,
        seed,
        secrets: SecretSource::from_key(random()?),
        rethrow: false,
    };
    let outlets = Outlets {
        send: {
            let net = net.handle();
            Box::new(move |transmit| net.send(transmit))
        },
        media: {
            let engines = engines.clone();
            Box::new(move |engine, command| {
                if engines.get(usize::from(engine.0)).is_none_or(|thread| thread.send(command).is_err()) {
                    tracing::error!(engine = engine.0, "a media engine is gone");
                }
            })
        },
        ask: {
            let (switch, runtime) = (switch.clone(), tokio::runtime::Handle::current());
            Box::new(move |id, query, deadline| answers.answer(&runtime, switch.clone(), id, query, deadline))
        },
        publish: {
            let events = events.clone();
            // Nobody listening is no error.
            Box::new(move |event| {
                let _ = events.send(event);
            })
        },
        trace: Box::new(|_, _, _, _, _| {}),
        figures: Box::new(move |counts, levels| {
            figures_to.send_replace((counts, levels));
        }),
        drained: Box::new(move || {
            // Full: it was said already.
            let _ = drained_to.try_send(());
        }),
    };
    let thread = switch_thread::start(inbox, boot, clock, writer, outlets)?;
    spawn_clock_watch(clock, switch.clone());
    let (view, ledger, before) = (store.view, store.reader, store.last);
    Ok(Running {
        switch,
        events,
        view,
        ledger,
        applied,
        before,
        health,
        figures,
        edition,
        clock,
        epoch,
        listeners,
        drained,
        net,
        engines,
        recorder,
        thread,
    })
}

fn start_writer(
    plan: &crate::plan::Plan,
    ledger: Box<dyn Ledger>,
    view: Arc<dyn View>,
    fold: Arc<EventFold>,
    switch: &SwitchHandle,
    applied: watch::Sender<Seq>,
    health: watch::Sender<Health>,
) -> anyhow::Result<Writer> {
    let settings = WriterSettings { write_deadline: plan.store.write_timeout_ms.span(), ..WriterSettings::default() };
    let switch = switch.clone();
    let report = move |report: Report| match report {
        Report::Durable { last } => told(switch.input_surely(Input::Durable(last))),
        Report::Applied { last } => {
            applied.send_replace(last);
        }
        Report::Health(now) => {
            let store = match now {
                Health::Open => StoreHealth::Well,
                Health::Full => StoreHealth::Full,
                Health::Failing | Health::Stalled => StoreHealth::Stalled,
            };
            tracing::warn!(?now, "the store's health has changed");
            health.send_replace(now);
            told(switch.input_surely(Input::Store(store)));
        }
        Report::Lost { first, last, reason } => tracing::error!(%first, %last, %reason, "events are not kept"),
        Report::ViewBehind { reason } => tracing::error!(%reason, "the view is behind"),
    };
    Ok(Writer::start(ledger, view, fold, settings, report)?)
}

fn media_sink(switch: &SwitchHandle, engine: EngineId) -> crate::runtime::recording_thread::EventSink {
    let switch = switch.clone();
    // A key or a closed port must not be lost; the engine waits the moment that a full inbox takes.
    Arc::new(move |event| told(switch.input_surely(Input::Media { engine, event })))
}

fn net_sink(switch: &SwitchHandle) -> crate::net::Sink {
    let switch = switch.clone();
    Arc::new(move |event| {
        let input = match event {
            NetEvent::Message { source, message } => Input::Sip { source, message },
            NetEvent::Opened(_) => return,
            NetEvent::Closed(flow) => Input::FlowClosed(flow),
            NetEvent::Failed(destination) => Input::SendFailed(destination),
        };
        // A message that finds the inbox full is repeated by its sender; the counters show it.
        told(switch.input(input));
    })
}

/// Tells the switch when the wall clock jumps; its own time goes on as before.
fn spawn_clock_watch(clock: SystemClock, switch: SwitchHandle) {
    const STEP_MS: i64 = 1_000;
    tokio::spawn(async move {
        let mut last = clock.drift_ms();
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let drift = clock.drift_ms();
            if (drift - last).abs() >= STEP_MS {
                let by_ms = drift - last;
                tracing::warn!(by_ms, "the wall clock has been set");
                if switch.input(Input::ClockStepped { by_ms }).is_err() {
                    return;
                }
                last = drift;
            }
        }
    });
}

async fn stop_when_told(mut running: Running) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut times = 0;
    loop {
        tokio::select! {
            _ = term.recv() => times += 1,
            _ = int.recv() => times += 1,
            _ = running.drained.recv() => break,
        }
        let at_once = times > 1;
        if at_once {
            tracing::warn!("stopping at once");
        } else {
            tracing::info!("draining: no new calls, running ones finish; once more to stop at once");
        }
        told(running.switch.input_surely(Input::Drain { at_once }));
    }
    running.stop().await
}

impl Running {
    /// Stops what is left once draining is done: sockets, engines, recorder, then the ledger.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Running { switch, net, engines, recorder, thread, .. } = self;
        net.shutdown().await;
        drop(switch);
        let writer = tokio::task::spawn_blocking(move || {
            let writer = thread.join();
            drop(engines);
            drop(recorder);
            writer
        });
        let writer = writer.await?.map_err(|_| anyhow::anyhow!("the switch's thread panicked"))?;
        tokio::task::spawn_blocking(move || writer.close(Duration::from_secs(10))).await??;
        tracing::info!("stopped");
        Ok(())
    }

    /// Tells the switch to drain; `drained` follows.
    pub async fn drain(&mut self, at_once: bool) {
        told(self.switch.input_surely(Input::Drain { at_once }));
        let _ = self.drained.recv().await;
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

pub(super) fn paint() -> Paint {
    use std::io::IsTerminal;
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    if plain { Paint::Plain } else { Paint::Colours }
}

fn start_log(options: &Serve) {
    let filter = tracing_subscriber::EnvFilter::try_new(&options.log_filter).unwrap_or_default();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// What became of an input: a switch that has stopped needs none any more.
fn told(taken: Result<(), switch_thread::NotTaken>) {
    if taken == Err(switch_thread::NotTaken::Full) {
        tracing::warn!("the switch is behind: an input was dropped");
    }
}

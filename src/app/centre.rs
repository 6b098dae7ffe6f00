//! A running centre: every part started in order, and what the doors need of it ([`Centre`]).
//!
//! ```text
//! store (ledger, view, what a crash left open) ─▶ sockets bound ─▶ bus, recorder, engines ─▶ switch ─▶ sockets read
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::command::{Command, Done, Order, Refusal};
use crate::config::reload::{NoReload, Outcome, ReloadHandle};
use crate::crm::Phone;
use crate::dialplan::Book;
use crate::event::{Event, Fact, Seq};
use crate::http::api::demo::DemoHints;
use crate::http::auth::{Auth, SignOuts};
use crate::http::centre::{Centre, Health as Wellness, LadderMessage, NotReloaded, PlanNames, ReadFailed, Reloaded};
use crate::http::cti::{self, Hub};
use crate::http::desk::{Desk, Start, StartAgent, plan as shown};
use crate::http::routes;
use crate::http::site::{Settings, Site};
use crate::ids::{AgentName, CallId, Epoch, IdSource, SecretSource};
use crate::net::{self, Bound, Net, NetEvent, NetHandle};
use crate::number::Number;
use crate::observe::ladder::{Direction, Ladders, Trace};
use crate::observe::metrics::{Engine, Metrics, Network, Readings};
use crate::runtime::answers::{Answers, StandIns};
use crate::runtime::bus::{Bus, Observer};
use crate::runtime::clock::SystemClock;
use crate::runtime::fold::{EventFold, VoicemailRow};
use crate::runtime::inbox::NotTaken;
use crate::runtime::media_thread::{MediaSetup, MediaThread, Meter};
use crate::runtime::recording_thread::RecordingThread;
use crate::runtime::switch_thread::{self, Measure, Outlets, SwitchHandle};
use crate::sip::Message;
use crate::sip::flow::Transmit;
use crate::store::disk::Floor;
use crate::store::ledger::LedgerReader;
use crate::store::view::key;
use crate::store::writer::{Health, Report, Writer, WriterSettings};
use crate::store::{Ledger, Tail, View};
use crate::switch::{Boot, Counts, Edition, EngineId, Input, Levels, Roster, StoreHealth};

use super::store::{Store, records};
use super::{addresses, salvage};

/// A running centre and its threads.
pub struct Running {
    pub house: Arc<House>,
    pub hub: Arc<Hub>,
    /// What the sign-in page tells the visitors of a sample centre.
    pub hints: Option<DemoHints>,
    auth: Arc<Auth>,
    http: std::net::TcpListener,
    pub listeners: Vec<crate::sip::flow::Listener>,
    /// The last record before this boot.
    pub before: Seq,
    drained: mpsc::Receiver<()>,
    net: Net,
    recorder: RecordingThread,
    thread: JoinHandle<Writer>,
}

/// What the doors hold on to: clones of handles, nothing that must be stopped.
pub struct House {
    pub switch: SwitchHandle,
    pub view: Arc<dyn View>,
    pub applied: watch::Receiver<Seq>,
    clock: SystemClock,
    epoch: Epoch,
    ledger: LedgerReader,
    health: watch::Receiver<Health>,
    figures: watch::Receiver<(Counts, Levels)>,
    edition: watch::Receiver<Arc<Edition>>,
    ladders: Arc<Mutex<Ladders>>,
    metrics: Arc<Metrics>,
    net: NetHandle,
    engines: Vec<Meter>,
    /// Asks for a reload; unset where the centre runs without a configuration that is followed.
    pub reloads: OnceLock<ReloadHandle<Book>>,
}

/// Metrics and ladders follow the events; the log tells them.
struct Operators {
    metrics: Arc<Metrics>,
    ladders: Arc<Mutex<Ladders>>,
}

impl Observer for Operators {
    fn handle(&mut self, event: &Arc<Event>) {
        self.metrics.fold(event);
        locked(&self.ladders).fold(event);
        crate::observe::log::tell(event);
    }
}

/// The desktop's picture, folded where sessions can be told at once.
struct Desktops {
    hub: Arc<Hub>,
    /// Holds a new edition before the switch applies it.
    edition: watch::Receiver<Arc<Edition>>,
}

impl Observer for Desktops {
    fn handle(&mut self, event: &Arc<Event>) {
        if matches!(event.fact, Fact::PlanApplied { .. }) {
            self.hub.take_plan(shown::queues_of(&self.edition.borrow().plan));
        }
        self.hub.handle(event);
    }
}

fn locked(ladders: &Mutex<Ladders>) -> std::sync::MutexGuard<'_, Ladders> {
    ladders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address of the pages and the API cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("HTTP cannot listen on {address}: {reason}")]
pub struct NoHttp {
    pub address: std::net::SocketAddr,
    pub reason: std::io::Error,
}

/// Starts a centre. Nothing is read from the network before everything else runs. `watching` are told of every event
/// after the desktops and the operators are; `stand_ins` answer for company systems.
pub async fn start(
    edition: watch::Receiver<Arc<Edition>>,
    watching: Vec<Box<dyn Observer>>,
    stand_ins: StandIns,
) -> anyhow::Result<Running> {
    let plan = edition.borrow().plan.clone();
    let first = edition.borrow().clone();
    let clock = SystemClock::start();
    let seed = u64::from_ne_bytes(random()?);
    let epoch: Epoch = IdSource::from_seed(seed ^ 0x5eed).next(clock.now());
    let store = Store::open(Path::new(&*plan.store.path), epoch, |seq| tracing::info!(%seq, "rebuilding the view"))?;
    let recordings = Path::new(&*plan.recording.path);
    let mut closing = salvage::recordings(&store.fold.unsealed(), recordings);
    closing.extend(salvage::messages(&store.fold.messages(), recordings));
    closing.extend(store.fold.close_open());
    let (roster, bindings) = (store.roster()?, store.bindings()?);
    let bound = Bound::open(&addresses::listens(&plan)?)?.reaching(&addresses::networks()?);
    let listeners = bound.listeners();
    // Bound with the others, while nothing runs yet that would have to be stopped.
    let http =
        std::net::TcpListener::bind(plan.http.listen).map_err(|reason| NoHttp { address: plan.http.listen, reason })?;

    let (switch, inbox) = switch_thread::inbox();
    let desk = Desk::new(desk_start(&store, &roster, &first, clock)?);
    let bounds = cti::Bounds {
        sessions: usize::try_from(plan.limits.websocket_sessions)?,
        lag_events: usize::try_from(plan.limits.websocket_lag_events)?,
    };
    let hub = Hub::new(desk, epoch, u64::from_ne_bytes(random()?), bounds);
    let (metrics, ladders) = (Arc::new(Metrics::new()), Arc::new(Mutex::new(Ladders::new())));
    let operators = Operators { metrics: metrics.clone(), ladders: ladders.clone() };
    let auth = Arc::new(Auth::new(plan.http.session_s.span()));
    // Who may no longer do something is out before the desktops hear why.
    let sign_outs = SignOuts { auth: auth.clone(), hub: hub.clone() };
    let desktops = Desktops { hub: hub.clone(), edition: edition.clone() };
    let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(sign_outs), Box::new(desktops), Box::new(operators)];
    observers.extend(watching);
    let bus = Bus::start(observers)?;
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
    let meters = engines.iter().map(MediaThread::meter).collect();

    let writer =
        start_writer(&plan, Box::new(store.ledger), store.view.clone(), store.fold, &switch, applied_to, health_to)?;
    let bounds = net::Bounds {
        connections: usize::try_from(plan.limits.connections)?,
        message_bytes: usize::try_from(plan.limits.message_bytes)?,
    };
    let net = bound.start(net_sink(&switch, metrics.clone()), bounds)?;
    let answers = Answers::new(store.view.clone(), clock, edition.clone(), stand_ins)?;
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
        ring: {
            let (net, metrics, hub) = (net.handle(), metrics.clone(), hub.clone());
            let runtime = tokio::runtime::Handle::current();
            Box::new(move |transmit, offered| {
                let (net, metrics, hub) = (net.clone(), metrics.clone(), hub.clone());
                runtime.spawn(async move {
                    hub.head_start(&offered.agents, offered.seq).await;
                    send(&net, &metrics, transmit);
                });
            })
        },
        send: {
            let (net, metrics) = (net.handle(), metrics.clone());
            Box::new(move |transmit| send(&net, &metrics, transmit))
        },
        // The switch's thread owns the engines: they end with it, whoever still looks at the house.
        media: Box::new(move |engine, command| {
            if engines.get(usize::from(engine.0)).is_none_or(|thread| thread.send(command).is_err()) {
                tracing::error!(engine = engine.0, "a media engine is gone");
            }
        }),
        ask: {
            let (switch, runtime) = (switch.clone(), tokio::runtime::Handle::current());
            Box::new(move |id, query, deadline| answers.answer(&runtime, switch.clone(), id, query, deadline))
        },
        publish: Box::new(move |event| bus.publish(event)),
        trace: {
            let ladders = ladders.clone();
            Box::new(move |call, at, sent, peer, bytes| {
                let direction = if sent { Direction::Sent } else { Direction::Received };
                locked(&ladders).add(Trace { call, at, direction, peer, bytes });
            })
        },
        figures: Box::new(move |counts, levels| {
            figures_to.send_replace((counts, levels));
        }),
        measure: {
            let metrics = metrics.clone();
            Box::new(move |measure| match measure {
                Measure::Step(took) => metrics.step(took),
                Measure::Durable(took) => metrics.durable(took),
                Measure::Broken(invariants) => metrics.broken(invariants),
            })
        },
        drained: Box::new(move || {
            // Full: it was said already.
            let _ = drained_to.try_send(());
        }),
    };
    let thread = switch_thread::start(inbox, boot, clock, writer, outlets)?;
    spawn_clock_watch(clock, switch.clone());
    let house = House {
        switch,
        view: store.view,
        applied,
        clock,
        epoch,
        ledger: store.reader,
        health,
        figures,
        edition,
        ladders,
        metrics,
        net: net.handle(),
        engines: meters,
        reloads: OnceLock::new(),
    };
    Ok(Running {
        house: Arc::new(house),
        hub,
        hints: None,
        http,
        auth,
        listeners,
        before: store.last,
        drained,
        net,
        recorder,
        thread,
    })
}

fn send(net: &NetHandle, metrics: &Metrics, transmit: Transmit) {
    if let Ok(message) = Message::parse(transmit.bytes.clone()) {
        metrics.message(Direction::Sent, &message);
    }
    net.send(transmit);
}

/// The desktop's picture as a boot begins with it.
fn desk_start(store: &Store, roster: &Roster, edition: &Edition, clock: SystemClock) -> anyhow::Result<Start> {
    let display = |agent: &AgentName| roster.users.get(agent).map(|user| user.display.clone()).unwrap_or_default();
    let agents = roster.profiles.values().map(|profile| StartAgent {
        name: profile.user.clone(),
        display: display(&profile.user),
        skills: profile.skills.iter().map(|(skill, level)| (skill.clone(), level.get())).collect(),
    });
    let bindings = store.bindings()?;
    Ok(Start {
        now: clock.now(),
        seq: store.last,
        agents: agents.collect(),
        queues: shown::queues_of(&edition.plan),
        trunks: edition.plan.trunks.keys().cloned().collect(),
        voicemails: records::<VoicemailRow>(&store.view, &key::all_voicemails())?,
        phones: bindings.into_iter().map(|(account, binding)| (account, binding.contact)).collect(),
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
    let floor = Floor {
        folders: vec![PathBuf::from(&*plan.store.path), PathBuf::from(&*plan.recording.path)],
        bytes: u64::from(plan.store.free_min_mb) << 20,
    };
    let write_deadline = plan.store.write_timeout_ms.span();
    let settings = WriterSettings { write_deadline, floor, ..WriterSettings::default() };
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

fn net_sink(switch: &SwitchHandle, metrics: Arc<Metrics>) -> crate::net::Sink {
    let switch = switch.clone();
    Arc::new(move |event| {
        let once = match event {
            NetEvent::Message { source, message } => {
                metrics.message(Direction::Received, &message);
                // A message that finds the inbox full is repeated by its sender; the counters show it.
                return told(switch.input(Input::Sip { source, message }));
            }
            NetEvent::Opened(_) => return,
            NetEvent::Closed(flow) => Input::FlowClosed(flow),
            NetEvent::Failed(destination) => Input::SendFailed(destination),
        };
        told(switch.input_kept(once));
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
                if switch.input_kept(Input::ClockStepped { by_ms }).is_err() {
                    return;
                }
                last = drift;
            }
        }
    });
}

/// The doors of a running centre: HTTP, the CTI socket, the pages. Dropping the sender closes them.
pub struct Doors {
    pub address: std::net::SocketAddr,
    pub site: Arc<Site>,
    close: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Doors {
    /// Takes no new requests; those that run are finished within a moment.
    pub async fn close(self) {
        let _ = self.close.send(());
        // Sockets that stay open are cut: their clients come back and resume.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.task).await;
    }
}

impl Running {
    /// Opens the doors.
    pub async fn open_doors(&self) -> anyhow::Result<Doors> {
        let http = self.house.edition.borrow().plan.http.clone();
        let settings =
            Settings { allowed_origins: http.allowed_origins.clone(), demo: self.hints.clone(), ..Settings::default() };
        let centre: Arc<dyn Centre> = self.house.clone();
        let site = Site::new(centre, self.hub.clone(), self.auth.clone(), settings, u64::from_ne_bytes(random()?));
        let listener = self.http.try_clone()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let (close, closed) = tokio::sync::oneshot::channel();
        let until = async move {
            let _ = closed.await;
        };
        let task = tokio::spawn(routes::serve(listener, routes::router(site.clone()), until));
        Ok(Doors { address, site, close, task })
    }

    /// Tells the switch to take no new calls; [`Running::until_drained`] follows.
    pub fn drain(&self, at_once: bool) {
        told(self.house.switch.input_surely(Input::Drain { at_once }));
    }

    /// Waits until nothing runs any more.
    pub async fn until_drained(&mut self) {
        // A sender that is gone means that the switch has stopped.
        let _ = self.drained.recv().await;
    }

    /// Stops what is left once draining is done: sockets, engines, recorder, then the ledger.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Running { net, recorder, thread, .. } = self;
        net.shutdown().await;
        let writer = tokio::task::spawn_blocking(move || {
            let writer = thread.join();
            // The engines hold the recorder's queue; they have gone with the switch's thread.
            drop(recorder);
            writer
        });
        let writer = writer.await?.map_err(|_| anyhow::anyhow!("the switch's thread panicked"))?;
        tokio::task::spawn_blocking(move || writer.close(Duration::from_secs(10))).await??;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Records of one call that a door reads at once.
const MOST_EVENTS: usize = 10_000;
/// How long a save may wait for the disk.
const SAVED_WITHIN: Duration = Duration::from_secs(30);

impl House {
    /// Reads the configuration anew, and answers what came of it.
    pub async fn reload_outcome(&self) -> Result<Arc<Outcome<Book>>, NotReloaded> {
        let reloads = self.reloads.get().ok_or(NotReloaded::Unfollowed)?;
        reloads.request().await.map_err(|no| match no {
            NoReload::Busy => NotReloaded::Busy,
            NoReload::Stopping => NotReloaded::Stopping,
        })
    }

    /// The ladder of a call as text and as JSON; `None` where nothing is kept of it.
    pub fn drawn_ladder(&self, call: CallId) -> Option<(String, serde_json::Value)> {
        locked(&self.ladders).get(call).map(|ladder| (ladder.render(), ladder.to_json()))
    }
}

impl Centre for House {
    fn now(&self) -> crate::time::Time {
        self.clock.now()
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn order(&self, command: Command) -> BoxFuture<'_, Result<Done, Refusal>> {
        Box::pin(async move {
            let saves = matches!(command.order, Order::SaveRecord { .. } | Order::RemoveRecord { .. });
            let done = self.switch.order(command).await?;
            if saves {
                let mut applied = self.applied.clone();
                let wait = applied.wait_for(|seq| *seq >= done.seq);
                let late = |_| Refusal::later("store.slow", "It is accepted, but the disk has not confirmed it yet.");
                tokio::time::timeout(SAVED_WITHIN, wait)
                    .await
                    .map_err(late)?
                    .map_err(|_| Refusal::later("system.stopped", "The exchange is stopping."))?;
            }
            Ok(done)
        })
    }

    fn agent_link(&self, agent: &AgentName, up: bool) {
        told(self.switch.input_kept(Input::Link { agent: agent.clone(), up }));
    }

    fn view(&self) -> Arc<dyn View> {
        self.view.clone()
    }

    fn events_of(&self, call: CallId, first: Seq, last: Seq) -> Result<Vec<Event>, ReadFailed> {
        let mut reader = self.ledger.read(first);
        let mut events = Vec::new();
        while let Some(record) = reader.next().map_err(|error| ReadFailed(error.to_string()))? {
            if record.seq > last || events.len() >= MOST_EVENTS {
                break;
            }
            let event = serde_json::from_slice::<Event>(&record.payload).ok();
            events.extend(event.filter(|event| event.call == Some(call)));
        }
        Ok(events)
    }

    fn ladder(&self, call: CallId) -> Option<Vec<LadderMessage>> {
        locked(&self.ladders).get(call).map(|ladder| {
            let messages = ladder.messages();
            messages
                .map(|(at, direction, peer, bytes)| LadderMessage {
                    at,
                    sent: direction == Direction::Sent,
                    peer,
                    bytes,
                })
                .collect()
        })
    }

    fn health(&self) -> Wellness {
        let (_, levels) = *self.figures.borrow();
        let store = match *self.health.borrow() {
            Health::Open => None,
            Health::Full => Some("the disk is full, or has less room than store.free_min_mb"),
            Health::Failing => Some("the disk fails"),
            Health::Stalled => Some("the disk does not answer in time"),
        };
        let draining = levels.draining.then_some("draining");
        let reasons: Vec<String> = [store, draining].into_iter().flatten().map(str::to_owned).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Wellness { ready: reasons.is_empty(), reasons, version, calls: levels.calls }
    }

    fn metrics(&self) -> String {
        let (counts, levels) = *self.figures.borrow();
        let store = match *self.health.borrow() {
            Health::Open => StoreHealth::Well,
            Health::Full => StoreHealth::Full,
            Health::Failing | Health::Stalled => StoreHealth::Stalled,
        };
        let net = self.net.counts();
        let network = Network {
            handed_over: net.messages,
            unreadable: net.unreadable,
            refused: net.refused,
            faulty: net.faulty,
            keep_alives: net.keep_alives,
            rate_limited: net.rate_limited,
            datagrams_dropped: net.datagrams_dropped,
            sends_failed: net.sends_failed,
            connections: net.connections,
            connections_opened: net.connections_opened,
            connections_refused: net.connections_refused,
            slow_readers: net.slow_readers,
            idle_closed: net.idle_closed,
        };
        let engines = self.engines.iter().map(|engine| {
            let counters = engine.read();
            Engine {
                counters: counters.engine,
                packets_received: counters.packets_received,
                packets_sent: counters.packets_sent,
                sends_failed: counters.sends_failed,
            }
        });
        let log_lines_dropped = crate::observe::log::dropped();
        let engines = engines.collect();
        self.metrics.read(&Readings { levels, counts, store, network, log_lines_dropped, engines });
        self.metrics.render()
    }

    fn plan(&self) -> PlanNames {
        let plan = self.edition.borrow().plan.clone();
        PlanNames {
            domain: plan.domain.to_string(),
            emergency: plan.emergency.numbers.clone(),
            queues: plan.queues.keys().cloned().collect(),
            skills: plan.skills.keys().cloned().collect(),
            trunks: plan.trunks.keys().cloned().collect(),
            reasons: shown::reasons_of(&plan),
        }
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, NotReloaded>> {
        Box::pin(async {
            let outcome = self.reload_outcome().await?;
            match &*outcome {
                Outcome::Refused(refused) => Err(NotReloaded::Refused(refused.findings.clone())),
                Outcome::Unchanged { next_start, .. } => {
                    Ok(Reloaded { changes: Vec::new(), next_start: next_start.clone() })
                }
                Outcome::Replaced { changes, next_start, .. } => {
                    Ok(Reloaded { changes: changes.clone(), next_start: next_start.clone() })
                }
            }
        })
    }

    fn normalise(&self, number: &str) -> Option<Phone> {
        let home = self.edition.borrow().plan.home;
        Number::normalise(number, &home).ok().and_then(|number| Phone::of(&number))
    }

    fn recording_file(&self, name: &str) -> PathBuf {
        Path::new(&*self.edition.borrow().plan.recording.path).join(name)
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

/// What became of an input: a switch that has stopped needs none any more.
fn told(taken: Result<(), NotTaken>) {
    if taken == Err(NotTaken::Full) {
        tracing::warn!("the switch is behind: an input was dropped");
    }
}

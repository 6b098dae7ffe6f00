//! Figures for Prometheus, in the OpenMetrics text format. The one file that knows `prometheus-client`.
//!
//! Three sources: [`Metrics::fold`] follows events, [`Metrics::message`] counts SIP messages as they come and go, and
//! [`Metrics::read`] takes over levels and totals that are kept elsewhere, each time somebody asks. Names end in their
//! unit, totals in `_total`, times are in seconds (<https://prometheus.io/docs/practices/naming/>). Service level and
//! abandon rate are computed by whoever asks, from `strowger_queue_entered_total`,
//! `strowger_queue_left_total` and the buckets of `strowger_queue_wait_seconds`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use serde::Serialize;

use crate::event::{AgentState, Event, Fact, MediaStats};
use crate::ids::{AgentName, CallId, QueueName};
use crate::limits::observe::{CALLS_FOLLOWED, LABEL_VALUES};
use crate::media;
use crate::sip::Message;
use crate::switch::{Counts, Levels, StoreHealth};
use crate::time::Time;

use super::ladder::Direction;

/// What [`Metrics::render`] writes, for the Content-Type header.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every figure. Shared by reference: whoever has something to count counts it here.
pub struct Metrics {
    registry: Registry,
    folded: Mutex<Folded>,
    events: Counter,
    calls_accepted: Bounded<Counter, 1>,
    calls_ended: Bounded<Counter, 2>,
    call_seconds: Histogram,
    legs_ended: Bounded<Counter, 2>,
    queue_entered: Bounded<Counter, 1>,
    queue_left: Bounded<Counter, 2>,
    queue_wait: Bounded<Histogram, 2>,
    queue_waiting: Bounded<Gauge, 1>,
    offers: Bounded<Counter, 1>,
    agents: Bounded<Gauge, 1>,
    phone_registrations: Bounded<Counter, 1>,
    trunk_up: Bounded<Gauge, 1>,
    recordings: Bounded<Counter, 1>,
    voicemails: Counter,
    rtp_packets: Bounded<Counter, 1>,
    rtp_bytes: Bounded<Counter, 1>,
    rtp_lost: Counter,
    rtp_jitter: Histogram,
    rtp_loss: Histogram,
    rtp_mos: Histogram,
    stats_missing: Counter,
    requests: Bounded<Counter, 2>,
    responses: Bounded<Counter, 3>,
    step: Histogram,
    durable: Histogram,
    broken: Gauge,
    read: Read,
}

/// A metric with `N` labels, bounded in its series.
struct Bounded<M, const N: usize> {
    family: Family<Labels<N>, M, fn() -> M>,
    series: Mutex<usize>,
}

/// Label names with their values.
type Labels<const N: usize> = [(&'static str, String); N];

impl<M: Clone, const N: usize> Bounded<M, N> {
    /// The series with these labels; the one called `other` where there are as many as may be.
    fn at(&self, labels: Labels<N>) -> M {
        if self.family.get(&labels).is_some() {
            return self.family.get_or_create_owned(&labels);
        }
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if *series < LABEL_VALUES {
            *series += 1;
            return self.family.get_or_create_owned(&labels);
        }
        self.family.get_or_create_owned(&labels.map(|(name, _)| (name, "other".into())))
    }
}

/// What is known elsewhere and read when somebody asks.
#[derive(Clone, Debug)]
pub struct Readings {
    pub levels: Levels,
    pub counts: Counts,
    pub store: StoreHealth,
    pub network: Network,
    /// Lines of the log that nobody read in time.
    pub log_lines_dropped: u64,
    /// One for each media engine, in their order.
    pub engines: Vec<Engine>,
}

/// The SIP sockets in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Totals of what was read, by what became of it.
    pub handed_over: u64,
    pub unreadable: u64,
    pub refused: u64,
    pub faulty: u64,
    pub keep_alives: u64,
    pub rate_limited: u64,
    /// Sends that went wrong.
    pub datagrams_dropped: u64,
    pub sends_failed: u64,
    /// Connections now, and totals of how they began and ended.
    pub connections: u64,
    pub connections_opened: u64,
    pub connections_refused: u64,
    pub slow_readers: u64,
    pub idle_closed: u64,
}

/// One media engine with its thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    pub counters: media::Counters,
    pub packets_received: u64,
    pub packets_sent: u64,
    /// Sends the kernel refused.
    pub sends_failed: u64,
}

/// Gauges and totals that are set, not counted.
struct Read {
    calls: Gauge,
    legs: Gauge,
    unserved: Gauge,
    ports: Gauge,
    timers: Gauge,
    questions: Gauge,
    draining: Gauge,
    undurable: Gauge,
    calls_refused: Counter,
    wrong_digests: Counter,
    defects: Counter,
    repairs: Counter,
    recording_lag_ms: Gauge,
    log_lines_dropped: Counter,
    store_well: Gauge,
    socket_reads: Bounded<Counter, 1>,
    socket_sends_lost: Bounded<Counter, 1>,
    connections: Gauge,
    connection_changes: Bounded<Counter, 1>,
    engine_rooms: Bounded<Gauge, 1>,
    engine_ports: Bounded<Gauge, 1>,
    engine_troubles: Bounded<Counter, 2>,
    engine_packets: Bounded<Counter, 2>,
}

/// What the fold must remember to know a change from a repetition.
#[derive(Debug, Default)]
struct Folded {
    agents: BTreeMap<AgentName, AgentState>,
    accepted: BTreeMap<CallId, Time>,
    waiting: BTreeMap<CallId, QueueName>,
}

/// Where service levels are usually set: 5, 10, 15, 20, 30, 60 s.
const WAIT_SECONDS: [f64; 12] = [1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1_800.0];
const CALL_SECONDS: [f64; 10] = [5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1_800.0, 3_600.0];
const JITTER_SECONDS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16];
const LOSS_RATIO: [f64; 8] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
/// The marks of the E-model: below 3.1 nearly all are dissatisfied, from 4.3 on all are very satisfied (ITU-T G.107, annex B).
const MOS: [f64; 7] = [2.6, 3.1, 3.6, 4.0, 4.2, 4.3, 4.5];
const STEP_SECONDS: [f64; 9] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1];
const DURABLE_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("strowger");
        let r = &mut registry;
        let mut metrics = Self {
            events: add(r, "events", "Events emitted", Counter::default()),
            calls_accepted: labelled(r, "calls_accepted", "Calls accepted, by direction", Default::default),
            calls_ended: labelled(
                r,
                "calls_ended",
                "Calls ended, by what ended them and whose doing it was",
                Default::default,
            ),
            call_seconds: add(r, "call_duration_seconds", "From accepted to ended", Histogram::new(CALL_SECONDS)),
            legs_ended: labelled(
                r,
                "legs_ended",
                "Legs ended, by what ended them and whose doing it was",
                Default::default,
            ),
            queue_entered: labelled(r, "queue_entered", "Calls offered to a queue", Default::default),
            queue_left: labelled(r, "queue_left", "Calls that left a queue, by exit", Default::default),
            queue_wait: labelled(r, "queue_wait_seconds", "From entering a queue to leaving it, by exit", || {
                Histogram::new(WAIT_SECONDS)
            }),
            queue_waiting: labelled(r, "queue_waiting", "Calls waiting in a queue now", Default::default),
            offers: labelled(r, "offers", "Calls offered to agents, by outcome", Default::default),
            agents: labelled(r, "agents", "Agents now, by state", Default::default),
            phone_registrations: labelled(
                r,
                "phone_registrations",
                "Contacts registered or refreshed, and contacts gone by reason",
                Default::default,
            ),
            trunk_up: labelled(
                r,
                "trunk_up",
                "1 where a trunk's registration or probe works, else 0",
                Default::default,
            ),
            recordings: labelled(r, "recordings", "Recordings, by outcome", Default::default),
            voicemails: add(r, "voicemails", "Messages left", Counter::default()),
            rtp_packets: labelled(r, "rtp_packets", "RTP packets of ended legs, by direction", Default::default),
            rtp_bytes: labelled(r, "rtp_payload_bytes", "RTP payload of ended legs, by direction", Default::default),
            rtp_lost: add(r, "rtp_packets_lost", "RTP packets of ended legs that never came", Counter::default()),
            rtp_jitter: add(
                r,
                "rtp_jitter_max_seconds",
                "Largest interarrival jitter of a leg (RFC 3550)",
                Histogram::new(JITTER_SECONDS),
            ),
            rtp_loss: add(r, "rtp_loss_ratio", "Share of a leg's packets that never came", Histogram::new(LOSS_RATIO)),
            rtp_mos: add(r, "rtp_mos", "Listening quality of a leg, 1 to 4.5 (ITU-T G.107)", Histogram::new(MOS)),
            stats_missing: add(r, "rtp_stats_missing", "Legs without media statistics", Counter::default()),
            requests: labelled(r, "sip_requests", "SIP requests, by direction and method", Default::default),
            responses: labelled(r, "sip_responses", "SIP responses, by direction, method and status", Default::default),
            step: add(r, "switch_step_seconds", "What one input costs the switch", Histogram::new(STEP_SECONDS)),
            durable: add(
                r,
                "ledger_durable_seconds",
                "From emitting an event to having it on disk",
                Histogram::new(DURABLE_SECONDS),
            ),
            broken: add(
                r,
                "switch_invariants_broken",
                "Invariants of the switch that did not hold when last checked: 0, or a defect of ours",
                Gauge::default(),
            ),
            read: Read::register(r),
            folded: Mutex::default(),
            registry: Registry::default(),
        };
        metrics.registry = registry;
        metrics
    }

    /// The whole in the OpenMetrics text format ([`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }

    /// Follows one event.
    pub fn fold(&self, event: &Event) {
        self.events.inc();
        match &event.fact {
            Fact::CallAccepted { direction, .. } => {
                count(&self.calls_accepted, [("direction", word(direction))]);
                let mut folded = self.folded();
                if let Some(call) = event.call
                    && folded.accepted.len() < CALLS_FOLLOWED
                {
                    folded.accepted.insert(call, event.at);
                }
            }
            Fact::CallEnded { cause } => {
                count(&self.calls_ended, [("what", word(&cause.what)), ("by", word(&cause.by))]);
                let accepted = event.call.and_then(|call| self.folded().accepted.remove(&call));
                if let Some(accepted) = accepted {
                    self.call_seconds.observe(event.at.since(accepted).as_secs_f64());
                }
            }
            Fact::LegEnded { cause, stats, .. } => {
                count(&self.legs_ended, [("what", word(&cause.what)), ("by", word(&cause.by))]);
                match stats {
                    Some(stats) => self.fold_stats(stats),
                    None => drop(self.stats_missing.inc()),
                }
            }
            Fact::QueueEntered { .. } | Fact::QueueLeft { .. } => self.fold_queue(event),
            Fact::OfferEnded { outcome, .. } => count(&self.offers, [("outcome", word(outcome))]),
            Fact::AgentStateChanged { agent, state, .. } => self.fold_agent(agent, *state),
            Fact::AgentSignedIn { agent, .. } => self.fold_agent(agent, AgentState::NotReady),
            Fact::AgentSignedOut { agent } => self.fold_agent(agent, AgentState::SignedOut),
            Fact::PhoneRegistered { .. } => count(&self.phone_registrations, [("what", "registered".into())]),
            Fact::PhoneUnregistered { why, .. } => count(&self.phone_registrations, [("what", why.clone())]),
            Fact::TrunkStateChanged { trunk, up, .. } => {
                set(&self.trunk_up.at([("trunk", trunk.to_string())]), *up);
            }
            Fact::RecordingSealed { .. } => count(&self.recordings, [("outcome", "sealed".into())]),
            Fact::RecordingFailed { .. } => count(&self.recordings, [("outcome", "failed".into())]),
            Fact::VoicemailLeft { .. } => drop(self.voicemails.inc()),
            _ => {}
        }
    }

    /// Counts one message that came or went.
    pub fn message(&self, direction: Direction, message: &Message) {
        let way = match direction {
            Direction::Received => "received",
            Direction::Sent => "sent",
        };
        let named = |method: crate::sip::Method| method.to_string();
        match message.status() {
            None => {
                let method = message.method().map_or_else(String::new, named);
                count(&self.requests, [("direction", way.into()), ("method", method)]);
            }
            Some(status) => {
                let method = message.cseq().map_or_else(|_| String::new(), |cseq| named(cseq.method));
                let labels = [("direction", way.into()), ("method", method), ("status", status.to_string())];
                count(&self.responses, labels);
            }
        }
    }

    /// What one input cost the switch.
    pub fn step(&self, took: Duration) {
        self.step.observe(took.as_secs_f64());
    }

    /// How long an event took to be on disk.
    pub fn durable(&self, took: Duration) {
        self.durable.observe(took.as_secs_f64());
    }

    /// How many invariants of the switch do not hold.
    pub fn broken(&self, invariants: usize) {
        set(&self.broken, invariants);
    }

    /// Takes over what is kept elsewhere.
    pub fn read(&self, readings: &Readings) {
        self.read.take(readings);
    }

    fn fold_queue(&self, event: &Event) {
        let mut folded = self.folded();
        match &event.fact {
            Fact::QueueEntered { queue, .. } => {
                count(&self.queue_entered, [("queue", queue.to_string())]);
                if let Some(call) = event.call
                    && folded.waiting.len() < CALLS_FOLLOWED
                    && folded.waiting.insert(call, queue.clone()).is_none()
                {
                    self.waiting(queue).inc();
                }
            }
            Fact::QueueLeft { queue, exit, waited_ms } => {
                let labels = [("queue", queue.to_string()), ("exit", word(exit))];
                count(&self.queue_left, labels.clone());
                self.queue_wait.at(labels).observe(Duration::from_millis(*waited_ms).as_secs_f64());
                // One that entered before this boot was never counted as waiting.
                if let Some(queue) = event.call.and_then(|call| folded.waiting.remove(&call)) {
                    self.waiting(&queue).dec();
                }
            }
            _ => {}
        }
    }

    fn waiting(&self, queue: &QueueName) -> Gauge {
        self.queue_waiting.at([("queue", queue.to_string())])
    }

    fn fold_agent(&self, agent: &AgentName, state: AgentState) {
        let mut folded = self.folded();
        let gauge = |state: AgentState| self.agents.at([("state", word(&state))]);
        let before = match state {
            AgentState::SignedOut => folded.agents.remove(agent),
            state => {
                gauge(state).inc();
                folded.agents.insert(agent.clone(), state)
            }
        };
        if let Some(before) = before {
            gauge(before).dec();
        }
    }

    fn fold_stats(&self, stats: &MediaStats) {
        for (direction, packets, bytes) in
            [("received", stats.packets_received, stats.bytes_received), ("sent", stats.packets_sent, stats.bytes_sent)]
        {
            self.rtp_packets.at([("direction", direction.into())]).inc_by(packets);
            self.rtp_bytes.at([("direction", direction.into())]).inc_by(bytes);
        }
        self.rtp_lost.inc_by(stats.packets_lost);
        let expected = stats.packets_received.saturating_add(stats.packets_lost);
        if expected > 0 {
            self.rtp_loss.observe(stats.packets_lost as f64 / expected as f64);
            self.rtp_jitter.observe(f64::from(stats.jitter_max_ms) / 1_000.0);
        }
        if let Some(mos) = stats.mos {
            self.rtp_mos.observe(f64::from(mos));
        }
    }

    fn folded(&self) -> MutexGuard<'_, Folded> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read {
    fn register(r: &mut Registry) -> Self {
        Self {
            calls: add(r, "calls", "Calls now", Gauge::default()),
            legs: add(r, "legs", "Legs now, those that only owe their statistics included", Gauge::default()),
            unserved: add(
                r,
                "calls_unserved",
                "Callers with a dialplan, in a queue, or leaving a message",
                Gauge::default(),
            ),
            ports: add(r, "media_ports_leased", "RTP ports in use", Gauge::default()),
            timers: add(r, "switch_timers", "Deadlines of the switch's own that are set", Gauge::default()),
            questions: add(r, "switch_questions", "Look-ups under way", Gauge::default()),
            draining: add(r, "draining", "1 while no new calls are taken, else 0", Gauge::default()),
            undurable: add(r, "ledger_events_waiting", "Events emitted and not on disk yet", Gauge::default()),
            calls_refused: add(r, "calls_refused", "Calls turned away before they existed", Counter::default()),
            wrong_digests: add(r, "sip_wrong_digests", "Wrong passwords", Counter::default()),
            defects: add(r, "switch_defects", "Defects of ours that were caught", Counter::default()),
            repairs: add(r, "switch_repairs", "Gaps that the reconciler found and closed", Counter::default()),
            recording_lag_ms: add(r, "recording_lag_milliseconds", "How far the disk is behind", Gauge::default()),
            log_lines_dropped: add(
                r,
                "log_lines_dropped",
                "Lines of the log that were dropped because nobody read it",
                Counter::default(),
            ),
            store_well: add(
                r,
                "store_well",
                "1 where events can be kept, 0 where the disk is full or stalled",
                Gauge::default(),
            ),
            socket_reads: labelled(
                r,
                "sip_socket_reads",
                "Messages and keep-alives read, by what became of them",
                Default::default,
            ),
            socket_sends_lost: labelled(
                r,
                "sip_socket_sends_lost",
                "Messages that did not leave, by reason",
                Default::default,
            ),
            connections: add(r, "sip_connections", "SIP connections now", Gauge::default()),
            connection_changes: labelled(
                r,
                "sip_connection_changes",
                "SIP connections opened, refused, and dropped by us",
                Default::default,
            ),
            engine_rooms: labelled(r, "media_rooms", "Rooms now, by engine", Default::default),
            engine_ports: labelled(r, "media_ports", "Ports open now, by engine", Default::default),
            engine_troubles: labelled(r, "media_troubles", "What an engine could not do, by kind", Default::default),
            engine_packets: labelled(
                r,
                "media_packets",
                "Datagrams of RTP and RTCP, by engine and direction",
                Default::default,
            ),
        }
    }

    fn take(&self, readings: &Readings) {
        let Readings { levels, counts, store, network, log_lines_dropped, engines } = readings;
        set_total(&self.log_lines_dropped, *log_lines_dropped);
        set(&self.calls, levels.calls);
        set(&self.legs, levels.legs);
        set(&self.unserved, levels.unserved);
        set(&self.ports, levels.ports);
        set(&self.timers, levels.timers);
        set(&self.questions, levels.requests);
        set(&self.draining, levels.draining);
        set(&self.undurable, levels.undurable);
        set(&self.recording_lag_ms, counts.recording_lag_ms);
        set(&self.store_well, *store == StoreHealth::Well);
        set_total(&self.calls_refused, counts.refused);
        set_total(&self.wrong_digests, counts.wrong_digests);
        set_total(&self.defects, counts.defects);
        set_total(&self.repairs, counts.repairs);
        self.take_network(network);
        for (at, engine) in engines.iter().enumerate() {
            self.take_engine(at, engine);
        }
    }

    fn take_network(&self, network: &Network) {
        set(&self.connections, network.connections);
        for (outcome, total) in [
            ("handed_over", network.handed_over),
            ("unreadable", network.unreadable),
            ("refused", network.refused),
            ("faulty", network.faulty),
            ("keep_alive", network.keep_alives),
            ("rate_limited", network.rate_limited),
        ] {
            set_total(&self.socket_reads.at([("outcome", outcome.into())]), total);
        }
        for (why, total) in [("no_room", network.datagrams_dropped), ("unreachable", network.sends_failed)] {
            set_total(&self.socket_sends_lost.at([("why", why.into())]), total);
        }
        for (what, total) in [
            ("opened", network.connections_opened),
            ("refused", network.connections_refused),
            ("slow", network.slow_readers),
            ("idle", network.idle_closed),
        ] {
            set_total(&self.connection_changes.at([("what", what.into())]), total);
        }
    }

    fn take_engine(&self, at: usize, engine: &Engine) {
        let name = || ("engine", at.to_string());
        let media::Counters { rooms, ports, phases_late, phases_skipped, commands_dropped, defects, packets_stray } =
            engine.counters;
        set(&self.engine_rooms.at([name()]), rooms);
        set(&self.engine_ports.at([name()]), ports);
        for (kind, total) in [
            ("phase_late", phases_late),
            ("phase_skipped", phases_skipped),
            ("command_dropped", commands_dropped),
            ("defect", defects),
            ("packet_stray", packets_stray),
            ("send_failed", engine.sends_failed),
        ] {
            set_total(&self.engine_troubles.at([name(), ("kind", kind.into())]), total);
        }
        for (direction, total) in [("received", engine.packets_received), ("sent", engine.packets_sent)] {
            set_total(&self.engine_packets.at([name(), ("direction", direction.into())]), total);
        }
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn labelled<M, const N: usize>(registry: &mut Registry, name: &str, help: &str, make: fn() -> M) -> Bounded<M, N>
where
    Family<Labels<N>, M, fn() -> M>: Metric + Clone,
{
    let family = add(registry, name, help, Family::new_with_constructor(make));
    Bounded { family, series: Mutex::new(0) }
}

fn count<const N: usize>(counter: &Bounded<Counter, N>, labels: Labels<N>) {
    counter.at(labels).inc();
}

fn set(gauge: &Gauge, level: impl TryInto<i64>) {
    gauge.set(level.try_into().unwrap_or(i64::MAX));
}

/// Sets a total that is counted elsewhere. It only rises.
fn set_total(counter: &Counter, total: u64) {
    counter.inner().fetch_max(total, std::sync::atomic::Ordering::Relaxed);
}

/// The word that this value has in events: `no_answer`.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;

//! What a scrape reads.

use bytes::Bytes;

use super::*;
use crate::cause::{Cause, Party, What};
use crate::event::{Address, Direction as CallDirection, EVENT_VERSION, OfferOutcome, QueueExit, Seq};
use crate::ids::{LegId, TrunkName};

fn event(call: u128, at_s: u64, fact: Fact) -> Event {
    let call = Some(CallId::from_u128(call));
    Event { v: EVENT_VERSION, seq: Seq::FIRST, at: Time::from_secs(at_s), call, fact }
}

fn accepted() -> Fact {
    Fact::CallAccepted {
        leg: LegId::from_u128(1),
        direction: CallDirection::Inbound,
        from: Address::default(),
        to: Address::default(),
        dialplan: None,
        sip_call_id: String::new(),
    }
}

fn entered(queue: &str) -> Fact {
    Fact::QueueEntered { queue: QueueName::new(queue), priority: 0, tier: String::new(), position: 1 }
}

fn left(queue: &str, exit: QueueExit, waited_ms: u64) -> Fact {
    Fact::QueueLeft { queue: QueueName::new(queue), exit, waited_ms }
}

fn state(agent: &str, state: AgentState) -> Fact {
    Fact::AgentStateChanged { agent: AgentName::new(agent), state, reason: String::new(), deadline: None }
}

/// The value of one series.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.render();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
fn reads(metrics: &Metrics, expected: &[(&str, f64)]) {
    for (series, expected) in expected {
        let found = value(metrics, series);
        assert_eq!(found, Some(*expected), "{series} in\n{}", metrics.render());
    }
}

#[test]
fn the_text_is_openmetrics_with_help_type_and_end() {
    let metrics = Metrics::new();
    metrics.fold(&event(1, 100, accepted()));
    let text = metrics.render();
    let calls = "# HELP strowger_calls_accepted Calls accepted, by direction.\n# TYPE strowger_calls_accepted counter\n\
        strowger_calls_accepted_total{direction=\"inbound\"} 1\n";
    assert!(text.contains(calls), "{text}");
    assert!(text.ends_with("# EOF\n"));
    let mut names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each name once");
    assert!(names.iter().all(|name| name.starts_with("strowger_")));
}

#[test]
fn a_call_is_counted_by_its_end_and_timed_from_its_beginning() {
    let metrics = Metrics::new();
    metrics.fold(&event(1, 100, accepted()));
    metrics.fold(&event(1, 190, Fact::CallEnded { cause: Cause::new(What::Hangup, Party::Caller) }));
    // Left open by the last boot: it has no beginning here.
    metrics.fold(&event(2, 191, Fact::CallEnded { cause: Cause::new(What::SwitchRestart, Party::Switch) }));
    reads(
        &metrics,
        &[
            ("strowger_calls_ended_total{what=\"hangup\",by=\"caller\"}", 1.0),
            ("strowger_calls_ended_total{what=\"switch_restart\",by=\"switch\"}", 1.0),
            ("strowger_call_duration_seconds_sum", 90.0),
            ("strowger_call_duration_seconds_count", 1.0),
            ("strowger_call_duration_seconds_bucket{le=\"120.0\"}", 1.0),
            ("strowger_call_duration_seconds_bucket{le=\"60.0\"}", 0.0),
            ("strowger_events_total", 3.0),
        ],
    );
}

#[test]
fn a_queue_shows_who_waits_and_how_long_they_waited_by_exit() {
    let metrics = Metrics::new();
    for call in 1..=3 {
        metrics.fold(&event(call, 100, entered("sales")));
    }
    metrics.fold(&event(1, 118, left("sales", QueueExit::Answered, 18_000)));
    metrics.fold(&event(2, 140, left("sales", QueueExit::Abandoned, 40_000)));
    metrics.fold(&event(9, 140, left("sales", QueueExit::Failed, 0)));
    reads(
        &metrics,
        &[
            ("strowger_queue_entered_total{queue=\"sales\"}", 3.0),
            ("strowger_queue_waiting{queue=\"sales\"}", 1.0),
            ("strowger_queue_left_total{queue=\"sales\",exit=\"answered\"}", 1.0),
            ("strowger_queue_wait_seconds_bucket{le=\"20.0\",queue=\"sales\",exit=\"answered\"}", 1.0),
            ("strowger_queue_wait_seconds_sum{queue=\"sales\",exit=\"abandoned\"}", 40.0),
        ],
    );
}

#[test]
fn agents_are_in_one_state_each_and_gone_when_signed_out() {
    let metrics = Metrics::new();
    metrics.fold(&event(1, 0, state("anna", AgentState::Ready)));
    metrics.fold(&event(1, 0, state("ben", AgentState::Ready)));
    metrics.fold(&event(1, 1, state("anna", AgentState::Talking)));
    metrics.fold(&event(1, 2, Fact::AgentSignedOut { agent: AgentName::new("ben") }));
    metrics.fold(&event(
        1,
        2,
        Fact::OfferEnded { agent: AgentName::new("anna"), leg: LegId::from_u128(1), outcome: OfferOutcome::NoAnswer },
    ));
    reads(
        &metrics,
        &[
            ("strowger_agents{state=\"ready\"}", 0.0),
            ("strowger_agents{state=\"talking\"}", 1.0),
            ("strowger_offers_total{outcome=\"no_answer\"}", 1.0),
        ],
    );
}

#[test]
fn media_statistics_of_legs_become_distributions() {
    let metrics = Metrics::new();
    let stats = MediaStats {
        packets_received: 950,
        packets_sent: 1_000,
        packets_lost: 50,
        jitter_max_ms: 12.0,
        mos: Some(4.25),
        ..MediaStats::default()
    };
    let cause = Cause::new(What::Hangup, Party::Caller);
    for stats in [Some(stats), None] {
        metrics.fold(&event(1, 0, Fact::LegEnded { leg: LegId::from_u128(1), cause, stats }));
    }
    reads(
        &metrics,
        &[
            ("strowger_rtp_packets_total{direction=\"received\"}", 950.0),
            ("strowger_rtp_packets_lost_total", 50.0),
            ("strowger_rtp_loss_ratio_sum", 0.05),
            ("strowger_rtp_jitter_max_seconds_bucket{le=\"0.02\"}", 1.0),
            ("strowger_rtp_mos_bucket{le=\"4.2\"}", 0.0),
            ("strowger_rtp_mos_bucket{le=\"4.3\"}", 1.0),
            ("strowger_rtp_stats_missing_total", 1.0),
        ],
    );
}

#[test]
fn sip_messages_are_counted_by_direction_method_and_status() {
    let metrics = Metrics::new();
    let message = |text: &'static str| Message::parse(Bytes::from_static(text.as_bytes())).unwrap();
    let invite = message("INVITE sip:1@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n");
    metrics.message(Direction::Received, &invite);
    metrics.message(Direction::Received, &invite);
    metrics.message(Direction::Sent, &message("SIP/2.0 486 Busy Here\r\nCSeq: 1 INVITE\r\n\r\n"));
    reads(
        &metrics,
        &[
            ("strowger_sip_requests_total{direction=\"received\",method=\"INVITE\"}", 2.0),
            ("strowger_sip_responses_total{direction=\"sent\",method=\"INVITE\",status=\"486\"}", 1.0),
        ],
    );
}

#[test]
fn levels_and_totals_kept_elsewhere_are_taken_over() {
    let metrics = Metrics::new();
    let mut readings = Readings {
        levels: Levels { calls: 7, draining: true, ..Levels::default() },
        counts: Counts { refused: 3, ..Counts::default() },
        store: StoreHealth::Full,
        network: Network { handed_over: 10, rate_limited: 4, connections: 2, ..Network::default() },
        log_lines_dropped: 9,
        engines: vec![Engine { packets_sent: 5, ..Engine::default() }],
    };
    metrics.read(&readings);
    readings.levels.calls = 6;
    readings.network.handed_over = 12;
    metrics.read(&readings);
    metrics.step(Duration::from_micros(80));
    metrics.durable(Duration::from_millis(2));
    metrics.broken(2);
    reads(
        &metrics,
        &[
            ("strowger_calls", 6.0),
            ("strowger_draining", 1.0),
            ("strowger_calls_refused_total", 3.0),
            ("strowger_store_well", 0.0),
            ("strowger_log_lines_dropped_total", 9.0),
            ("strowger_switch_invariants_broken", 2.0),
            ("strowger_sip_socket_reads_total{outcome=\"handed_over\"}", 12.0),
            ("strowger_sip_socket_reads_total{outcome=\"rate_limited\"}", 4.0),
            ("strowger_sip_connections", 2.0),
            ("strowger_media_packets_total{engine=\"0\",direction=\"sent\"}", 5.0),
            ("strowger_switch_step_seconds_bucket{le=\"0.0001\"}", 1.0),
            ("strowger_ledger_durable_seconds_bucket{le=\"0.0025\"}", 1.0),
        ],
    );
}

#[test]
fn a_label_with_too_many_values_ends_in_other() {
    let metrics = Metrics::new();
    for n in 0..LABEL_VALUES + 5 {
        let trunk = TrunkName::new(format!("t{n}"));
        metrics.fold(&event(1, 0, Fact::TrunkStateChanged { trunk, up: true, reason: String::new() }));
    }
    metrics.fold(&event(1, 0, Fact::TrunkStateChanged { trunk: "t0".into(), up: false, reason: String::new() }));
    reads(&metrics, &[("strowger_trunk_up{trunk=\"other\"}", 1.0), ("strowger_trunk_up{trunk=\"t0\"}", 0.0)]);
    let text = metrics.render();
    assert_eq!(text.lines().filter(|line| line.starts_with("strowger_trunk_up{")).count(), LABEL_VALUES + 1);
}

#[test]
fn of_calls_too_many_to_follow_the_beginning_is_counted_and_nothing_is_held() {
    let metrics = Metrics::new();
    for call in 0..CALLS_FOLLOWED as u128 + 5 {
        metrics.fold(&event(call, 1, accepted()));
        let entered = Fact::QueueEntered { queue: "q".into(), priority: 0, tier: String::new(), position: 1 };
        metrics.fold(&event(call, 1, entered));
    }
    let folded = metrics.folded();
    assert_eq!((folded.accepted.len(), folded.waiting.len()), (CALLS_FOLLOWED, CALLS_FOLLOWED));
    drop(folded);
    let all = (CALLS_FOLLOWED + 5) as f64;
    reads(&metrics, &[("strowger_calls_accepted_total{direction=\"inbound\"}", all)]);
}

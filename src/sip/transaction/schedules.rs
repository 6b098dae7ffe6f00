//! Every timer of RFC 3261 Table 4 and RFC 6026 under the virtual clock: when what is sent, and when it ends.

use core::time::Duration;

use super::Fired::{Nothing, Retransmit, TimedOut};
use super::client::{self, Client};
use super::invite_client::{self, InviteClient};
use super::invite_server::{self, InviteServer};
use super::server::{self, Server};
use super::timer::Timers;
use super::{Fired, Received, Verdict};
use crate::time::Time;

/// Runs a machine to its end: milliseconds since `start` and what each timer asked for.
macro_rules! run {
    ($machine:expr, $start:expr) => {{
        let mut fired: Vec<(u64, Fired)> = Vec::new();
        while let Some(at) = $machine.poll_timeout() {
            assert_eq!($machine.handle_timeout(at - Duration::from_micros(1)), Nothing, "nothing fires early");
            fired.push((at.since($start).as_millis() as u64, $machine.handle_timeout(at)));
        }
        fired
    }};
}

const START: Time = Time::from_secs(1_000);

fn after(ms: u64) -> Time {
    START + Duration::from_millis(ms)
}

fn timers() -> Timers {
    Timers::default()
}

#[test]
fn timer_a_doubles_without_ceiling_and_timer_b_gives_up_after_32_s() {
    let mut udp = InviteClient::start(START, timers(), false);
    let expected: Vec<(u64, Fired)> = [500, 1_500, 3_500, 7_500, 15_500, 31_500]
        .map(|at| (at, Retransmit))
        .into_iter()
        .chain([(32_000, TimedOut)])
        .collect();
    assert_eq!(run!(udp, START), expected);
    assert_eq!(udp.state(), invite_client::State::Terminated);
    let mut tcp = InviteClient::start(START, timers(), true);
    assert_eq!(run!(tcp, START), [(32_000, TimedOut)]);
}

#[test]
fn a_provisional_response_stops_timer_a_and_b_for_good() {
    let mut invite = InviteClient::start(START, timers(), false);
    assert_eq!(invite.handle_response(after(100), 180), Verdict::Up);
    assert_eq!(invite.poll_timeout(), None);
    assert_eq!(invite.handle_response(after(170_000), 183), Verdict::Up);
}

#[test]
fn timer_d_keeps_acknowledging_a_refusal_for_32_s_over_udp_and_not_over_tcp() {
    let mut udp = InviteClient::start(START, timers(), false);
    assert_eq!(udp.handle_response(after(100), 486), Verdict::UpAndAck);
    assert_eq!(udp.handle_response(after(600), 486), Verdict::Ack);
    assert_eq!(udp.handle_response(after(700), 200), Verdict::Drop);
    assert_eq!(run!(udp, START), [(32_100, Nothing)]);
    let mut tcp = InviteClient::start(START, timers(), true);
    assert_eq!(tcp.handle_response(after(100), 486), Verdict::UpAndAck);
    assert_eq!(run!(tcp, START), [(100, Nothing)]);
}

#[test]
fn timer_m_lets_forked_and_repeated_2xx_up_for_32_s() {
    for reliable in [false, true] {
        let mut invite = InviteClient::start(START, timers(), reliable);
        assert_eq!(invite.handle_response(after(100), 200), Verdict::Up);
        assert_eq!(invite.state(), invite_client::State::Accepted);
        assert_eq!(invite.handle_response(after(20_000), 200), Verdict::Up);
        assert_eq!(invite.handle_response(after(20_001), 180), Verdict::Drop);
        assert_eq!(invite.handle_response(after(20_002), 486), Verdict::Drop);
        assert_eq!(run!(invite, START), [(32_100, Nothing)]);
    }
}

#[test]
fn timer_e_doubles_up_to_t2_and_timer_f_gives_up_after_32_s() {
    let mut udp = Client::start(START, timers(), false);
    let sends = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    let expected: Vec<(u64, Fired)> =
        sends.map(|at| (at, Retransmit)).into_iter().chain([(32_000, TimedOut)]).collect();
    assert_eq!(run!(udp, START), expected);
    let mut tcp = Client::start(START, timers(), true);
    assert_eq!(run!(tcp, START), [(32_000, TimedOut)]);
}

#[test]
fn after_a_provisional_response_timer_e_runs_at_t2() {
    let mut client = Client::start(START, timers(), false);
    assert_eq!(client.handle_response(after(100), 100), Verdict::Up);
    assert_eq!(client.state(), client::State::Proceeding);
    let fired = run!(client, START);
    let times: Vec<u64> = fired.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500, 32_000]);
}

#[test]
fn timer_k_absorbs_repeated_finals_for_t4_over_udp() {
    let mut udp = Client::start(START, timers(), false);
    assert_eq!(udp.handle_response(after(100), 200), Verdict::Up);
    assert_eq!(udp.handle_response(after(200), 200), Verdict::Drop);
    assert_eq!(run!(udp, START), [(5_100, Nothing)]);
    let mut tcp = Client::start(START, timers(), true);
    assert_eq!(tcp.handle_response(after(100), 200), Verdict::Up);
    assert_eq!(run!(tcp, START), [(100, Nothing)]);
}

#[test]
fn timer_g_repeats_a_refusal_up_to_t2_until_timer_h() {
    let mut udp = InviteServer::start(timers(), false);
    assert!(udp.send(START, 180));
    assert_eq!(udp.handle_repeat(), Received::Repeat);
    assert!(udp.send(START, 486));
    assert!(!udp.send(START, 200), "one final response");
    let sends = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    let expected: Vec<(u64, Fired)> =
        sends.map(|at| (at, Retransmit)).into_iter().chain([(32_000, TimedOut)]).collect();
    assert_eq!(run!(udp, START), expected);
    let mut tcp = InviteServer::start(timers(), true);
    assert!(tcp.send(START, 486));
    assert_eq!(run!(tcp, START), [(32_000, TimedOut)]);
}

#[test]
fn timer_i_absorbs_repeated_acks_for_t4_over_udp() {
    for (reliable, ends) in [(false, 6_000), (true, 1_000)] {
        let mut server = InviteServer::start(timers(), reliable);
        assert!(server.send(START, 603));
        assert_eq!(server.handle_ack(after(1_000)), Received::Drop);
        assert_eq!(server.state(), invite_server::State::Confirmed);
        assert_eq!(server.handle_repeat(), Received::Drop);
        assert_eq!(run!(server, START), [(ends, Nothing)]);
    }
}

#[test]
fn timer_l_absorbs_repeated_invites_for_32_s_after_a_2xx() {
    for reliable in [false, true] {
        let mut server = InviteServer::start(timers(), reliable);
        assert!(server.send(START, 200));
        assert!(server.send(after(500), 200), "the dialog repeats it");
        assert_eq!(server.handle_repeat(), Received::Drop);
        assert_eq!(server.handle_ack(after(600)), Received::Up);
        assert_eq!(run!(server, START), [(32_000, Nothing)]);
    }
}

#[test]
fn timer_j_repeats_the_answer_for_32_s_over_udp() {
    for (reliable, ends) in [(false, 32_000), (true, 0)] {
        let mut server = Server::start(timers(), reliable);
        assert_eq!(server.handle_repeat(), Received::Drop);
        assert!(server.send(START, 200));
        assert_eq!(server.state(), server::State::Completed);
        assert_eq!(server.handle_repeat(), Received::Repeat);
        assert_eq!(run!(server, START), [(ends, Nothing)]);
    }
}

#[test]
fn a_transport_error_ends_what_waits_for_a_first_answer() {
    let mut invite = InviteClient::start(START, timers(), true);
    assert!(invite.handle_transport_error());
    assert_eq!(invite.state(), invite_client::State::Terminated);
    let mut ringing = InviteClient::start(START, timers(), true);
    ringing.handle_response(START, 180);
    assert!(!ringing.handle_transport_error(), "the answer may come over another connection");
    let mut options = Client::start(START, timers(), true);
    assert!(options.handle_transport_error());
}

//! Ladders as an engineer would see them.

use core::time::Duration;

use super::*;
use crate::cause::{self, Cause};
use crate::event::{Address, Direction as CallDirection, EVENT_VERSION, Seq};
use crate::ids::{AccountName, AgentName, LegId};

const START: Time = Time::from_millis(1_795_271_464_123);
const CALL: CallId = CallId::from_u128(0x0199_0000_0000_0000_0000_0000_0000_0001);
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";
const ANSWER: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

fn at(ms: u64) -> Time {
    START + Duration::from_millis(ms)
}

fn trace(ms: u64, direction: Direction, dialog: &str, first: &str, method: &str, body: &str) -> Trace {
    let host = if dialog == "inbound" { 9 } else { 21 };
    let text =
        format!("{first}\r\nCall-ID: {dialog}\r\nCSeq: 1 {method}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Trace { call: CALL, at: at(ms), direction, peer: ([192, 0, 2, host], 5060).into(), bytes: text.into() }
}

fn event(fact: Fact) -> Event {
    Event { v: EVENT_VERSION, seq: Seq::FIRST, at: START, call: Some(CALL), fact }
}

fn accepted() -> Event {
    event(Fact::CallAccepted {
        leg: LegId::from_u128(1),
        direction: CallDirection::Inbound,
        from: Address::default(),
        to: Address::default(),
        dialplan: None,
        sip_call_id: "inbound".into(),
    })
}

fn agent_added(name: &str) -> Event {
    event(Fact::LegAdded {
        leg: LegId::from_u128(2),
        role: Role::Agent,
        to: Address { account: Some(AccountName::new("1001")), ..Address::default() },
        agent: Some(AgentName::new(name)),
    })
}

fn ended(call: CallId) -> Event {
    let cause = Cause::new(cause::What::Hangup, cause::Party::Caller);
    Event { call: Some(call), ..event(Fact::CallEnded { cause }) }
}

/// A caller waits two seconds, the agent answers, the caller hangs up.
fn call() -> Ladders {
    use Direction::{Received, Sent};
    let mut ladders = Ladders::new();
    ladders.fold(&accepted());
    let invite = "INVITE sip:95539@192.0.2.5 SIP/2.0";
    ladders.add(trace(0, Sent, "inbound", "SIP/2.0 100 Trying", "INVITE", ""));
    // The switch tells of what came in after what it did about it.
    ladders.add(trace(0, Received, "inbound", invite, "INVITE", OFFER));
    ladders.add(trace(12, Sent, "inbound", "SIP/2.0 200 OK", "INVITE", ANSWER));
    ladders.add(trace(512, Sent, "inbound", "SIP/2.0 200 OK", "INVITE", ANSWER));
    ladders.add(trace(530, Received, "inbound", "ACK sip:95539@192.0.2.5 SIP/2.0", "ACK", ""));
    ladders.fold(&agent_added("anna"));
    ladders.add(trace(2_001, Sent, "to-anna", "INVITE sip:1001@192.0.2.21 SIP/2.0", "INVITE", ANSWER));
    ladders.add(trace(2_040, Received, "to-anna", "SIP/2.0 180 Ringing", "INVITE", ""));
    ladders.add(trace(4_140, Received, "to-anna", "SIP/2.0 200 OK", "INVITE", ANSWER));
    ladders.add(trace(64_000, Received, "inbound", "BYE sip:95539@192.0.2.5 SIP/2.0", "BYE", ""));
    ladders.add(trace(64_000, Sent, "inbound", "SIP/2.0 200 OK", "BYE", ""));
    ladders.fold(&ended(CALL));
    ladders
}

#[test]
fn a_ladder_reads_as_an_engineer_draws_it() {
    let golden = "\
call 01K40000000000000000000001  2026-11-21T14:31:04.123Z
t+00.000  caller ── INVITE (PCMA PCMU) ───────────▶ switch
t+00.000  caller ◀─────────────────── 100 Trying ── switch
t+00.012  caller ◀──────────────── 200 OK (PCMA) ── switch
t+00.512  caller ◀───────── 200 OK (PCMA), again ── switch
t+00.530  caller ── ACK ──────────────────────────▶ switch
t+02.001                                            switch ── INVITE (PCMA) ────────────────▶ agent anna
t+02.040                                            switch ◀────────────────── 180 Ringing ── agent anna
t+04.140                                            switch ◀──────────────── 200 OK (PCMA) ── agent anna
t+64.000  caller ── BYE ──────────────────────────▶ switch
t+64.000  caller ◀──────────────── 200 OK to BYE ── switch
";
    let drawn = call().get(CALL).unwrap().render();
    assert_eq!(drawn, golden, "\n{drawn}");
}

#[test]
fn the_same_ladder_is_there_as_data() {
    let json = call().get(CALL).unwrap().to_json();
    let messages = json["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &json["dropped"]), (10, &0.into()));
    let answer = &messages[7];
    assert_eq!(answer["summary"], "200 OK (PCMA)");
    assert_eq!((&answer["party"], &answer["direction"]), (&"agent anna".into(), &"received".into()));
    assert_eq!((&answer["t_ms"], &answer["peer"]), (&4_140.into(), &"192.0.2.21:5060".into()));
    assert!(answer["text"].as_str().unwrap().starts_with("SIP/2.0 200 OK\r\nCall-ID: to-anna\r\n"));
    assert_eq!(messages[3]["repeated"], true, "the 200 was sent twice");
}

#[test]
fn an_agent_offered_the_call_twice_is_two_parties() {
    let mut ladders = Ladders::new();
    ladders.fold(&accepted());
    for (n, dialog) in ["first", "second"].into_iter().enumerate() {
        ladders.fold(&agent_added("anna"));
        let invite = "INVITE sip:1001@192.0.2.21 SIP/2.0";
        ladders.add(trace(n as u64, Direction::Sent, dialog, invite, "INVITE", ""));
    }
    let drawn = ladders.get(CALL).unwrap().render();
    let names: Vec<_> = drawn.lines().skip(1).filter_map(|line| line.split("▶ ").nth(1)).collect();
    assert_eq!(names, ["agent anna", "agent anna (2)"], "{drawn}");
}

#[test]
fn names_are_found_also_where_events_come_after_the_messages() {
    let mut ladders = Ladders::new();
    ladders.add(trace(0, Direction::Received, "inbound", "INVITE sip:1 SIP/2.0", "INVITE", ""));
    ladders.add(trace(1, Direction::Sent, "to-anna", "INVITE sip:1001@192.0.2.21 SIP/2.0", "INVITE", ""));
    ladders.fold(&accepted());
    ladders.fold(&agent_added("anna"));
    let drawn = ladders.get(CALL).unwrap().render();
    assert!(drawn.contains(" caller ── INVITE ─") && drawn.ends_with("▶ agent anna\n"), "{drawn}");
}

#[test]
fn in_a_call_that_the_switch_begins_the_caller_is_who_it_was_accepted_on() {
    let mut ladders = Ladders::new();
    ladders.add(trace(0, Direction::Sent, "inbound", "INVITE sip:1001@192.0.2.9 SIP/2.0", "INVITE", ""));
    ladders.fold(&accepted());
    ladders.fold(&agent_added("anna"));
    ladders.add(trace(1, Direction::Sent, "to-anna", "INVITE sip:2@192.0.2.21 SIP/2.0", "INVITE", ""));
    let drawn = ladders.get(CALL).unwrap().render();
    assert!(drawn.contains(" caller ◀─") && drawn.ends_with("▶ agent anna\n"), "{drawn}");
}

#[test]
fn a_dialog_nobody_announced_goes_by_its_address() {
    let mut ladders = Ladders::new();
    ladders.fold(&accepted());
    ladders.add(trace(0, Direction::Received, "stray", "BYE sip:x SIP/2.0", "BYE", ""));
    assert!(ladders.get(CALL).unwrap().render().contains(" 192.0.2.21:5060\n"));
}

#[test]
fn secrets_are_not_on_the_ladder() {
    let mut ladders = Ladders::new();
    let secret = "Authorization: Digest username=\"1001\", response=\"53c2e7\"";
    let invite = format!("INVITE sip:1@h SIP/2.0\r\n{secret}");
    ladders.add(trace(0, Direction::Received, "inbound", &invite, "INVITE", ""));
    let info = "INFO sip:1@h SIP/2.0\r\nContent-Type: application/dtmf-relay";
    ladders.add(trace(1, Direction::Received, "inbound", info, "INFO", "Signal=7\r\n"));
    let text = ladders.get(CALL).unwrap().to_json().to_string();
    assert!(!text.contains("53c2e7") && !text.contains("Signal"), "{text}");
}

#[test]
fn a_long_call_keeps_how_it_began_and_how_it_goes_on() {
    let mut ladders = Ladders::new();
    let count = LADDER_MESSAGES + 10;
    for n in 0..count {
        let options = format!("OPTIONS sip:{n} SIP/2.0");
        ladders.add(trace(n as u64, Direction::Received, "inbound", &options, "OPTIONS", ""));
    }
    let ladder = ladders.get(CALL).unwrap();
    assert_eq!((ladder.rungs().len(), ladder.dropped()), (LADDER_MESSAGES, 10));
    let first = |n: usize| ladder.rungs()[n].bytes.starts_with(b"OPTIONS sip:0 ");
    assert!(first(0));
    let drawn = ladder.render();
    assert_eq!(drawn.lines().nth(1 + LADDER_OPENING), Some("           … 10 messages are not kept …"));
    let held: usize = ladder.rungs().iter().map(|rung| rung.bytes.len()).sum();
    assert_eq!((ladder.bytes, ladders.bytes), (held, held), "what is counted is what is held");
}

#[test]
fn a_huge_message_is_cut() {
    let mut ladders = Ladders::new();
    ladders.add(trace(
        0,
        Direction::Received,
        "inbound",
        "INVITE sip:1 SIP/2.0",
        "INVITE",
        &"x".repeat(LADDER_MESSAGE_BYTES),
    ));
    let ladder = ladders.get(CALL).unwrap();
    assert_eq!(ladder.bytes, LADDER_MESSAGE_BYTES);
    assert!(ladder.to_json()["messages"][0]["cut_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn the_longest_ended_go_first_then_the_oldest_running() {
    let message = trace(0, Direction::Received, "inbound", "INVITE sip:1 SIP/2.0", "INVITE", "");
    let length = message.bytes.len();
    let mut ladders = Ladders::with_caps(Caps { bytes: 4 * length, ended: 2 });
    let id = |n: u128| CallId::from_u128(n);
    for n in 1..=4 {
        ladders.add(Trace { call: id(n), ..message.clone() });
    }
    for n in [3, 2, 4] {
        ladders.fold(&ended(id(n)));
        ladders.fold(&ended(id(n)));
    }
    assert!(ladders.get(id(3)).is_none(), "three have ended, two are kept");
    ladders.add(Trace { call: id(5), ..message.clone() });
    ladders.add(Trace { call: id(6), ..message.clone() });
    assert!(ladders.get(id(2)).is_none(), "there is no room for five, and it ended first");
    ladders.add(Trace { call: id(7), ..message.clone() });
    assert!(ladders.get(id(4)).is_none());
    ladders.add(Trace { call: id(8), ..message });
    assert!(ladders.get(id(1)).is_none(), "the oldest that runs");
    assert_eq!((ladders.calls.len(), ladders.bytes), (4, 4 * length));
}

#[test]
fn a_dialog_too_many_goes_by_its_address() {
    let mut ladders = Ladders::new();
    for n in 0..LADDER_DIALOGS + 3 {
        ladders.add(trace(n as u64, Direction::Received, &format!("dialog{n}"), "INVITE sip:1 SIP/2.0", "INVITE", ""));
    }
    let ladder = ladders.get(CALL).unwrap();
    let named: Vec<bool> = ladder.rungs().iter().map(|rung| rung.dialog.is_some()).collect();
    assert_eq!(named, [vec![true; LADDER_DIALOGS], vec![false; 3]].concat());
}

#[test]
fn the_house_keeps_so_many_ended_ladders_and_so_many_bytes() {
    let id = |n: usize| CallId::from_u128(n as u128);
    let message = trace(0, Direction::Received, "inbound", "INVITE sip:1 SIP/2.0", "INVITE", "");
    let ended = Fact::CallEnded { cause: Cause::new(cause::What::Hangup, cause::Party::Caller) };
    let mut ladders = Ladders::new();
    for n in 0..=LADDERS_ENDED {
        ladders.add(Trace { call: id(n), ..message.clone() });
        ladders.fold(&Event { call: Some(id(n)), ..event(ended.clone()) });
    }
    assert!(ladders.get(id(0)).is_none() && ladders.get(id(1)).is_some(), "the longest ended went");

    let huge = trace(0, Direction::Received, "inbound", "INVITE sip:1 SIP/2.0", "INVITE", &"x".repeat(60_000));
    let of_one_call = LADDER_MESSAGES * LADDER_MESSAGE_BYTES;
    let mut ladders = Ladders::new();
    for n in 0..=LADDER_BYTES / of_one_call {
        (0..LADDER_MESSAGES).for_each(|_| ladders.add(Trace { call: id(n), ..huge.clone() }));
    }
    assert!(ladders.bytes <= LADDER_BYTES, "{}", ladders.bytes);
    assert!(ladders.get(id(0)).is_none() && ladders.get(id(1)).is_some(), "the oldest went");
}

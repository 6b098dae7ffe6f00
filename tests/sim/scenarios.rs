//! Scenarios of one or two calls.

use std::time::Duration;

use strowger::command::Order;
use strowger::event::{Fact, OfferOutcome};
use strowger::ids::RecordingId;
use strowger::media::{MediaCommand, MediaEvent};
use strowger::switch::{Input, StoreHealth};

use super::house::{ALPHA, House, SDP, edition, line};

fn house() -> House {
    House::new(edition(|_| {}))
}

// -- hours, overflow, what callers hear --------------------------------------------------------------------------------

#[test]
fn a_queue_outside_its_hours_says_so_and_sends_callers_on() {
    let mut house = house();
    house.caller_with_key("c1", '3');
    assert_eq!(
        house.story(0),
        ["enters laptop", "laptop overflows to queue:service: closed", "leaves laptop moved", "enters service"]
    );
    assert_eq!(house.played(), ["closed"], "what overflow says is heard in the next queue");
    assert_eq!(house.last_play().0, ["music"]);
}

#[test]
fn who_waits_when_the_hours_end_is_served_and_who_comes_later_is_sent_on() {
    let mut house = house();
    house.run_until(14, 40);
    house.caller_with_key("c1", '3');
    assert_eq!(house.story(0), ["enters laptop"]);
    house.run_until(15, 5);
    assert_eq!(house.story(0), ["enters laptop"], "nobody is thrown out at 09:15");
    let from = house.facts.len();
    house.caller_with_key("c2", '3');
    assert_eq!(
        house.story(from),
        ["enters laptop", "laptop overflows to queue:service: closed", "leaves laptop moved", "enters service"]
    );
    house.staff(1);
    let offered = house.facts.iter().find_map(|(_, _, fact)| match fact {
        Fact::CallOffered { queue, .. } => Some(queue.as_str()),
        _ => None,
    });
    assert_eq!(offered, Some("laptop"));
}

#[test]
fn a_holiday_closes_a_queue_at_midnight_of_its_own_zone() {
    use strowger::plan::hours::{Exception, Occasion};
    let mut house = House::new(edition(|plan| {
        let office = plan.hours.get_mut("office").unwrap();
        office.week = core::array::from_fn(|_| vec!["00:00-24:00".parse().unwrap()]);
        // The runs begin at 09:00 on the 23rd.
        office.exceptions.push(Exception {
            name: "Founders' Day".into(),
            on: Occasion::Yearly { month: 11, day: 24 },
            days: 1,
            days_before: 0,
            open: Vec::new(),
        });
    }));
    for (minutes, closed) in [(15 * 60 - 1, false), (15 * 60 + 1, true), (39 * 60 - 1, true), (39 * 60 + 1, false)] {
        house.run_until(minutes, 0);
        let from = house.facts.len();
        house.caller_with_key(&format!("at{minutes}"), '3');
        assert_eq!(house.story(from).len() > 1, closed, "{minutes} minutes after nine: {:?}", house.story(from));
    }
}

#[test]
fn comfort_announcements_come_in_turn_with_music_between() {
    let mut house = house();
    house.run_until(6, 0);
    house.caller_with_key("c1", '3');
    let mut heard = vec![house.last_play().0.join(" ")];
    for _ in 0..2 {
        house.run(Duration::from_secs(8));
        heard.push(house.played().join(" "));
        heard.push(house.last_play().0.join(" "));
    }
    assert_eq!(heard, ["music", "welcome", "music", "closed", "music"]);
}

// -- voicemail ---------------------------------------------------------------------------------------------------------

/// A message begins: nobody is signed in for sales.
fn message_begun(house: &mut House) -> RecordingId {
    house.caller_with_key("c1", '1');
    assert_eq!(
        house.story(0),
        ["enters sales", "sales overflows to voicemail:sales: nobody_signed_in", "leaves sales moved"]
    );
    assert_eq!(house.played(), ["beep"]);
    let plan = house.media.iter().find_map(|command| match command {
        MediaCommand::StartRecording(plan) => Some(plan),
        _ => None,
    });
    let plan = plan.expect("the message is recorded");
    assert_eq!(plan.silence, Some(Duration::from_secs(10)));
    plan.recording
}

fn fall_silent(house: &mut House, recording: RecordingId, spoken: bool) {
    house.hear(MediaEvent::RecordingSilent { recording, spoken });
    assert!(house.media.contains(&MediaCommand::StopRecording { recording }), "silence ends the message");
    house.hear(MediaEvent::RecordingSealed { recording, duration_ms: 14_000, bytes: 224_044 });
}

#[test]
fn a_message_ends_when_its_caller_has_fallen_silent() {
    let mut house = house();
    let recording = message_begun(&mut house);
    fall_silent(&mut house, recording, true);
    assert_eq!(house.story(0)[3..], ["message in sales", "ended completed by plan"]);
}

#[test]
fn a_message_of_nothing_but_silence_is_not_kept() {
    let mut house = house();
    let recording = message_begun(&mut house);
    fall_silent(&mut house, recording, false);
    assert_eq!(house.story(0)[3..], ["ended completed by plan"]);
}

// -- limits and refusals -----------------------------------------------------------------------------------------------

fn refused(house: &House, id: &str, retry_after_s: u32) {
    let reply = house.reply(id, "503").unwrap_or_else(|| panic!("{id} is refused: {:#?}", house.sent));
    assert_eq!(line(&reply, "Retry-After:"), format!("Retry-After: {retry_after_s}"));
    let accepted = house.facts.iter().any(|(_, _, fact)| match fact {
        Fact::CallAccepted { sip_call_id, .. } => sip_call_id == id,
        _ => false,
    });
    assert!(!accepted, "what is refused has no record");
}

#[test]
fn a_full_house_a_full_trunk_and_a_flood_are_refused_with_the_time_to_come_back() {
    let mut full = House::new(edition(|plan| plan.limits.calls = 1));
    full.invite("c1", "95539", "");
    full.invite("c2", "95539", "");
    refused(&full, "c2", 10);

    let mut trunk = House::new(edition(|plan| plan.trunks.get_mut("alpha").unwrap().max_calls = 1));
    trunk.invite("c1", "95539", "");
    trunk.invite("c2", "95539", "");
    refused(&trunk, "c2", 10);

    let mut flood = House::new(edition(|plan| plan.trunks.get_mut("alpha").unwrap().max_calls_per_second = 1));
    flood.invite("c1", "95539", "");
    flood.invite("c2", "95539", "");
    refused(&flood, "c2", 1);
    flood.run(Duration::from_secs(1));
    flood.invite("c3", "95539", "");
    assert!(flood.reply("c3", "200").is_some(), "a second later the next one comes");

    let mut all = House::new(edition(|plan| plan.limits.calls_per_second = 1));
    all.invite("c1", "95539", "");
    all.invite("c2", "95539", "");
    refused(&all, "c2", 1);
}

#[test]
fn a_full_disk_refuses_new_calls_and_leaves_the_running_ones_alone() {
    let mut house = house();
    house.caller_with_key("c1", '0');
    house.tell(Input::Store(StoreHealth::Full));
    house.invite("c2", "95539", "");
    refused(&house, "c2", 10);
    assert_eq!(house.story(0), ["enters service"], "the running call waits on");
    house.tell(Input::Store(StoreHealth::Well));
    house.invite("c3", "95539", "");
    assert!(house.reply("c3", "200").is_some());
}

#[test]
fn a_disk_that_does_not_answer_costs_the_call_its_200_and_then_the_call() {
    let mut house = house();
    house.stalled = true;
    house.invite("c1", "95539", "");
    house.run(Duration::from_millis(2_900));
    assert!(house.reply("c1", "200").is_none(), "accepted means durable");
    house.run(Duration::from_millis(200));
    let reply = house.reply("c1", "503").expect("the wait is bounded");
    assert_eq!(line(&reply, "Retry-After:"), "Retry-After: 10");
    assert_eq!(house.story(0), ["ended congestion by switch"]);
}

#[test]
fn a_caller_who_gives_up_before_the_answer_leaves_one_record() {
    let mut house = house();
    house.stalled = true;
    house.invite("c1", "95539", "");
    house.cancel("c1", "95539");
    assert!(house.reply("c1", "487").is_some());
    house.stalled = false;
    house.run(Duration::from_secs(5));
    assert!(house.reply("c1", "200").is_none());
    assert_eq!(house.story(0), ["ended abandoned by caller"]);
}

// -- agents ------------------------------------------------------------------------------------------------------------

#[test]
fn an_offer_whose_socket_fails_goes_to_the_next_agent_and_nothing_is_left_to_mend() {
    let mut house = house();
    house.staff(1);
    house.staff(2);
    house.caller_with_key("c1", '0');
    house.hear(MediaEvent::PortFailed { port: house.last_port(), reason: "address in use".to_owned() });
    let offers: Vec<&str> = house
        .facts
        .iter()
        .filter_map(|(_, _, fact)| match fact {
            Fact::CallOffered { agent, .. } => Some(agent.as_str()),
            Fact::OfferEnded { outcome, .. } => Some(if *outcome == OfferOutcome::Unreachable { "gone" } else { "?" }),
            _ => None,
        })
        .collect();
    assert_eq!(offers, ["agent0", "gone", "agent1"]);
    house.run(Duration::from_secs(11));
    assert_eq!(house.switch.counts().repairs, 0);
}

#[test]
fn a_trunk_that_asks_for_credentials_gets_them_in_a_second_invite() {
    let mut house = House::new(edition(|plan| {
        let credentials = plan.trunks["beta"].credentials.clone();
        plan.trunks.get_mut("alpha").unwrap().credentials = credentials;
    }));
    house.staff(1);
    house.order("agent0", Order::Dial { to: "13800138000".to_owned() }).unwrap();
    let phone = house.requests("INVITE").last().expect("the agent's own phone first").to_string();
    house.answer([127, 0, 2, 1], &phone, "200 OK", "", SDP);
    let first = house.requests("INVITE").last().unwrap().to_string();
    assert!(first.starts_with("INVITE sip:+8613800138000@127.0.3.1:5060"), "{first}");
    let challenge = "Proxy-Authenticate: Digest realm=\"alpha\", nonce=\"n1\", qop=\"auth\", algorithm=MD5\n";
    house.answer(ALPHA, &first, "407 Proxy Authentication Required", challenge, "");
    let second = house.requests("INVITE").last().unwrap().to_string();
    assert_eq!((line(&first, "CSeq:"), line(&second, "CSeq:")), ("CSeq: 1 INVITE", "CSeq: 2 INVITE"));
    assert_eq!(line(&first, "Call-ID:"), line(&second, "Call-ID:"));
    let authorization = line(&second, "Proxy-Authorization:");
    assert!(authorization.contains("username=\"862038120000\"") && authorization.contains("nonce=\"n1\""), "{second}");
    // Wrong again: it is not tried for ever.
    house.answer(ALPHA, &second, "407 Proxy Authentication Required", &challenge.replace("n1", "n2"), "");
    assert_eq!(house.story(0), ["ended forbidden by trunk"]);
}

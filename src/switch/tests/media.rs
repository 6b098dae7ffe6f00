//! Answers that cannot be used, holds that last, and names that would spoil a message.

use core::time::Duration;

use super::*;
use crate::media::PortChange;

/// What is wrong with a 200's session description.
const USELESS: [&str; 3] = [
    "",
    "v=0\no=- 1 1 IN IP4 127.0.9.9\ns=-\nc=IN IP4 127.0.9.9\nt=0 0\nm=audio 0 RTP/AVP 8\n",
    "v=0\no=- 1 1 IN IP4 127.0.9.9\ns=-\nc=IN IP4 127.0.9.9\nt=0 0\nm=audio 4000 RTP/AVP 18\na=rtpmap:18 G729/8000\n",
];

/// A caller waits for an agent: the caller's 200.
fn queue_up(house: &mut House, call: &str) -> Message {
    house.invite(ALPHA, call, "13800138000", "95539");
    let answer = house.final_response(ALPHA).unwrap();
    house.ack(ALPHA, &answer, 1);
    answer
}

/// The limit of silence that a port was given last.
fn silence_allowed(house: &House) -> Option<Duration> {
    let told = house.media.iter().rev().find_map(|command| match command {
        MediaCommand::Update { change: PortChange { rtp_timeout, .. }, .. } => *rtp_timeout,
        _ => None,
    });
    told.expect("the engine was told")
}

#[test]
fn an_agent_whose_answer_is_useless_is_passed_over_and_the_next_one_rings() {
    for body in USELESS {
        let mut house = House::new();
        house.seat("li");
        house.wait(Duration::from_secs(1));
        house.seat("wang");
        queue_up(&mut house, "one");
        let invite = house.request(LI, Method::Invite).unwrap();
        house.reply_with(LI, &invite, 200, "", body);
        assert!(house.request(LI, Method::Ack).is_some() && house.request(LI, Method::Bye).is_some());
        let invite = house.request(WANG, Method::Invite).expect("the next agent rings");
        house.reply(WANG, &invite, 200, "");
        assert_eq!(house.count(|fact| matches!(fact, Fact::LegsConnected { .. })), 1);
        house.assert_sound();
    }
}

#[test]
fn a_called_party_whose_answer_is_useless_ends_the_call_to_it() {
    for body in USELESS {
        let mut house = House::new();
        house.seat("li");
        house.order("li", UserRole::Agent, Order::Dial { to: "02087654321".to_owned() }).unwrap();
        let own = house.request(LI, Method::Invite).unwrap();
        house.reply(LI, &own, 200, "");
        let out = house.request(ALPHA, Method::Invite).unwrap();
        house.reply_with(ALPHA, &out, 200, "", body);
        assert!(house.request(LI, Method::Bye).is_some(), "the agent does not hear ringing for ever");
        // Nobody answers the BYE.
        house.wait(Duration::from_secs(40));
        house.assert_sound();
        assert_eq!(house.switch.left(), Vec::<String>::new());
    }
}

#[test]
fn a_click_to_dial_whose_phone_answers_uselessly_leaves_no_call_behind() {
    for body in USELESS {
        let mut house = House::new();
        house.seat("li");
        house.order("li", UserRole::Agent, Order::Dial { to: "02087654321".to_owned() }).unwrap();
        let own = house.request(LI, Method::Invite).unwrap();
        house.reply_with(LI, &own, 200, "", body);
        // Nobody answers the BYE.
        house.wait(Duration::from_secs(40));
        house.assert_sound();
        assert_eq!(house.switch.left(), Vec::<String>::new());
        assert_eq!(house.count(|fact| matches!(fact, Fact::CallEnded { .. })), 1);
    }
}

#[test]
fn who_holds_by_key_may_be_silent_for_as_long_as_it_takes() {
    let mut house = House::new();
    house.seat("li");
    let (_, invite) = house.talk(ALPHA, "one", LI);
    assert!(silence_allowed(&house).is_some());
    for (cseq, direction) in [(2, "sendonly"), (3, "inactive")] {
        house.back_with(LI, "INVITE", &invite, cseq, "", &sdp(LI).replace("sendrecv", direction));
        assert_eq!(house.final_response(LI).and_then(|response| response.status()), Some(200));
        house.back(LI, "ACK", &invite, cseq, "");
        assert_eq!(silence_allowed(&house), None, "{direction}");
    }
    house.back_with(LI, "INVITE", &invite, 4, "", &sdp(LI));
    house.back(LI, "ACK", &invite, 4, "");
    assert!(silence_allowed(&house).is_some());
    house.assert_sound();
}

#[test]
fn a_callers_name_for_itself_cannot_spoil_the_agents_invite() {
    for user in ["x%0d%0aX-Evil:%20yes", "x%3E;tag=y", "%22%20%3Csip:y", "%00"] {
        let mut house = House::new();
        house.seat("li");
        house.invite(ALPHA, "one", user, "95539");
        let answer = house.final_response(ALPHA).unwrap();
        house.ack(ALPHA, &answer, 1);
        let invite = house.request(LI, Method::Invite).expect("the agent rings");
        assert_eq!(invite.from().unwrap().uri().host().to_string(), DOMAIN, "{user}");
        assert!(invite.from().unwrap().tag().is_some_and(|tag| tag != "y"), "{user}");
        house.assert_sound();
    }
}

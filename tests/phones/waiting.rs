//! All agents are busy: music, one's place in the line, and service in the order of skill, priority and time.

use std::time::Duration;

use strowger::event::{Fact, OfferOutcome};

use super::baresip::{Phone, Setup};
use super::capture::Capture;
use super::centre::Centre;
use super::place::{CENTRE, Place};
use super::registration::{ALICE, BOB};
use super::sipp::{Line, Script, Sipp};
use super::sound::tone;
use super::speech::Speech;
use super::trunk_to_agent::LINE;

/// A caller from an own address of the carrier's, so that each one's sound can be told apart.
fn calls(place: &Place, line: Line<'_>, key: &str, hz: u16, stays: u64) -> Sipp {
    let speech = Speech::new().silence(2).keys(key).tone(hz, stays);
    let script = Script::call().answered().speak().pause(Duration::from_secs(stays + 3)).hang_up();
    Sipp::start(place, line, &speech, &script)
}

#[test]
fn callers_wait_with_music_hear_their_place_and_are_served_by_skill_then_priority_then_time() {
    let place = Place::new("waiting");
    let others = format!(
        "\n[trunk.second]\nmatch = [\"{}\"]\noptions_interval_s = 0\nhost = \"{0}:5060\"\n\
         [trunk.third]\nmatch = [\"{}\"]\noptions_interval_s = 0\nhost = \"{1}:5060\"\n\
         [trunk.fourth]\nmatch = [\"{}\"]\noptions_interval_s = 0\nhost = \"{2}:5060\"\n",
        place.address(4),
        place.address(5),
        place.address(6),
    );
    let centre = Centre::start_with(&place, &others);
    let alice = Phone::start(&place, Setup { answers: true, ..ALICE });
    centre.wait_until_registered("1001");
    centre.serve_from("alice", "1001");
    let capture = Capture::start(&place);

    let entered = |number: &'static str| {
        centre.wait_for("caller in the queue", |event| match &event.fact {
            Fact::QueueEntered { .. } => centre.call_from(number).filter(|call| event.call == Some(*call)).map(drop),
            _ => None,
        });
    };
    // The first is served at once and keeps the agent busy; the others wait behind.
    let first = calls(&place, Line { caller: "+8613800000001", ..LINE }, "1", tone::CALLER, 9);
    entered("+8613800000001");
    let plain = calls(&place, Line { party: 4, caller: "+8613800000002", ..LINE }, "1", tone::SECOND_CALLER, 24);
    entered("+8613800000002");
    let urgent = calls(&place, Line { party: 5, caller: "+8613800000003", ..LINE }, "2", tone::THIRD_CALLER, 10);
    entered("+8613800000003");
    let russian = calls(&place, Line { party: 6, caller: "+8613800000004", ..LINE }, "3", tone::CALLER, 16);
    entered("+8613800000004");
    first.succeeds();
    urgent.succeeds();
    // Only bob speaks Russian: that call has waited for him, past a free alice.
    let bob = Phone::start(&place, Setup { answers: true, ..BOB });
    centre.wait_until_registered("1002");
    centre.serve_from("bob", "1002");
    russian.succeeds();
    plain.succeeds();

    let records = centre.records(4);
    let mut served: Vec<_> = records
        .iter()
        .flat_map(|record| record.offers.iter().map(move |offer| (offer.at, record.from.number.as_str(), offer)))
        .collect();
    served.sort_by_key(|(at, ..)| *at);
    assert!(served.iter().all(|(.., offer)| offer.outcome == Some(OfferOutcome::Answered)), "{served:#?}");
    let order: Vec<_> = served.iter().map(|(_, number, offer)| (*number, offer.agent.as_str())).collect();
    let by_alice: Vec<_> = order.iter().filter(|(_, agent)| *agent == "alice").map(|(number, _)| *number).collect();
    assert_eq!(by_alice, ["+8613800000001", "+8613800000003", "+8613800000002"], "the urgent one overtakes: {order:?}");
    let by_bob: Vec<_> = order.iter().filter(|(_, agent)| *agent == "bob").map(|(number, _)| *number).collect();
    assert_eq!(by_bob, ["+8613800000004"], "{order:?}");

    let wire = capture.stop();
    let heard = wire.sound(place.party(CENTRE), place.party(4));
    let order = heard.order();
    assert!(heard.of(tone::MUSIC) > 5.0, "{:?}", heard.runs());
    assert!(order.contains(&tone::YOU_ARE_NEXT), "the place in the line is told: {:?}", heard.runs());
    assert_eq!(order.last(), Some(&tone::ALICE), "{:?}", heard.runs());
    let heard = wire.sound(place.party(CENTRE), place.party(6));
    assert_eq!(heard.order().last(), Some(&tone::BOB), "{:?}", heard.runs());
    drop((alice, bob));
}

//! A whole call on a bad network: whatever single packet is lost or repeated, and whatever the network does at random,
//! both sides end up agreed, and nothing is left behind.

use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sip::event::Ending;

/// Call, ring, answer, hold, resume from the other side, hang up: each step when the one before has been seen.
fn whole_call(world: &mut World) {
    world.call(0, &[1]);
    world.run_with(Duration::from_secs(120), play);
}

fn play(agent: &mut Agent, at: usize, now: Time, event: &UaEvent) {
    match event {
        UaEvent::Invited(invitation) => {
            let answer = agent.negotiate(invitation.offer.as_ref().unwrap());
            agent.endpoint.provisional(now, invitation.session, 180, None).unwrap();
            agent.endpoint.answer(now, invitation.session, &answer).unwrap();
        }
        UaEvent::Answered { session, answer: Some(answer), .. } => {
            agent.audio.handle_answer(answer).unwrap();
            let hold = agent.offer(Direction::SendOnly);
            agent.endpoint.reoffer(now, *session, &hold).unwrap();
        }
        UaEvent::Reoffered { session, offer: Some(offer) } => {
            let answer = agent.negotiate(offer);
            agent.endpoint.accept_offer(now, *session, &answer).unwrap();
        }
        // The called side's second ACK is that of the hold: it moves its media.
        UaEvent::Acked { session, .. }
            if at == 1 && agent.events.iter().any(|e| matches!(e, UaEvent::Acked { .. })) =>
        {
            let moved = agent.offer(Direction::SendRecv);
            agent.endpoint.reoffer(now, *session, &moved).unwrap();
        }
        UaEvent::ReofferAnswered { session, .. } if at == 1 => agent.endpoint.end(now, *session, None),
        _ => {}
    }
}

/// What each side was told in the end.
fn endings(world: &World, at: usize) -> Vec<Ending> {
    let ended = |event: &UaEvent| match event {
        UaEvent::Ended { how, .. } => Some(*how),
        _ => None,
    };
    world.agents[at].events.iter().filter_map(ended).collect()
}

#[test]
fn any_one_packet_may_be_lost() {
    let mut clean = World::new(2);
    whole_call(&mut clean);
    assert_eq!((endings(&clean, 0), endings(&clean, 1)), (vec![Ending::Bye], vec![]));
    assert_eq!(clean.packets.len(), 15, "{:#?}", clean.ladder);
    for lost in 0..clean.sent + 4 {
        let mut world = World::new(2);
        world.lose.insert(lost);
        whole_call(&mut world);
        let ladder = world.ladder.join("\n");
        assert_eq!(endings(&world, 0), [Ending::Bye], "packet {lost} lost\n{ladder}");
        assert_eq!(endings(&world, 1), [], "packet {lost} lost\n{ladder}");
        world.assert_quiet();
    }
}

#[test]
fn any_one_packet_may_come_twice() {
    for repeated in 0..16 {
        let mut world = World::new(2);
        world.repeat.insert(repeated);
        whole_call(&mut world);
        assert_eq!(endings(&world, 0), [Ending::Bye], "packet {repeated} twice\n{}", world.ladder.join("\n"));
        world.assert_quiet();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_network_that_loses_a_third_and_reorders_leaves_nothing_behind(
        lose in proptest::collection::btree_set(0u64..40, 0..14),
        repeat in proptest::collection::btree_set(0u64..40, 0..8),
        delays in proptest::collection::btree_map(0u64..40, 1u64..700, 0..20),
        hang_up_ms in proptest::option::of(0u64..4_000),
    ) {
        let mut world = World::new(2);
        (world.lose, world.repeat, world.delays) = (lose, repeat, delays);
        let session = world.call(0, &[1]);
        if let Some(ms) = hang_up_ms {
            world.run_with(Duration::from_millis(ms), play_on);
            world.agents[0].endpoint.end(world.now, session, None);
        }
        world.run_with(Duration::from_secs(120), play_on);
        for at in 0..2 {
            prop_assert!(endings(&world, at).len() <= 1);
        }
        let open = |agent: &Agent| agent.endpoint.open_sessions().count();
        prop_assert_eq!(open(&world.agents[0]), open(&world.agents[1]), "{}", world.ladder.join("\n"));
        for agent in &mut world.agents {
            let open: Vec<SessionId> = agent.endpoint.open_sessions().collect();
            open.into_iter().for_each(|session| agent.endpoint.end(world.now, session, None));
        }
        world.assert_quiet();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_fork_on_such_a_network_leaves_at_most_one_call(
        lose in proptest::collection::btree_set(0u64..50, 0..16),
        repeat in proptest::collection::btree_set(0u64..50, 0..8),
        delays in proptest::collection::btree_map(0u64..50, 1u64..700, 0..20),
        hang_up_ms in proptest::option::of(0u64..2_000),
    ) {
        let mut world = World::new(4);
        (world.lose, world.repeat, world.delays) = (lose, repeat, delays);
        let session = world.call(0, &[1, 2, 3]);
        if let Some(ms) = hang_up_ms {
            world.run_with(Duration::from_millis(ms), play_on);
            world.agents[0].endpoint.end(world.now, session, None);
        }
        world.run_with(Duration::from_secs(200), play_on);
        let open: Vec<usize> = world.agents.iter().map(|agent| agent.endpoint.open_sessions().count()).collect();
        prop_assert_eq!(open[0], open[1..].iter().sum::<usize>(), "{}", world.ladder.join("\n"));
        for agent in &mut world.agents {
            let open: Vec<SessionId> = agent.endpoint.open_sessions().collect();
            open.into_iter().for_each(|session| agent.endpoint.end(world.now, session, None));
        }
        world.assert_quiet();
    }
}

/// As `play`, but takes a refusal for an answer: on such a network the other side may be anywhere.
fn play_on(agent: &mut Agent, _: usize, now: Time, event: &UaEvent) {
    match event {
        UaEvent::Invited(invitation) => {
            let answer = agent.negotiate(invitation.offer.as_ref().unwrap());
            let _ = agent.endpoint.answer(now, invitation.session, &answer);
        }
        UaEvent::Answered { session, .. } | UaEvent::Acked { session, .. } => {
            let hold = agent.offer(Direction::SendOnly);
            let _ = agent.endpoint.reoffer(now, *session, &hold);
        }
        UaEvent::Reoffered { session, offer: Some(offer) } => {
            let answer = agent.negotiate(offer);
            let _ = agent.endpoint.accept_offer(now, *session, &answer);
        }
        UaEvent::ReofferAnswered { session, .. } => agent.endpoint.end(now, *session, None),
        _ => {}
    }
}

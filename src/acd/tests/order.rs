//! Who is served first and by whom: priority, skills, expanding rings, preferred agents.

use super::*;

// Order

#[test]
fn platinum_is_served_before_lead_until_lead_has_aged() {
    let rules = |q: &mut QueueSettings| {
        q.priority = Priority { base: 0, per_minute: 10, cap: 100, starve_after: secs(900) };
    };
    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter_as(tiered(1, Tier::Lead));
    house.pass(60);
    house.enter_as(tiered(2, Tier::Platinum));
    house.ready("ana");
    assert_eq!(house.ringing(2), ["ana"], "30 points stand before 10");

    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter_as(tiered(1, Tier::Lead));
    house.pass(190);
    house.enter_as(tiered(2, Tier::Platinum));
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"], "31 points stand before 30");
}

#[test]
fn past_the_starvation_bound_the_oldest_is_served_whatever_the_tier() {
    let rules = |q: &mut QueueSettings| {
        q.priority = Priority { base: 0, per_minute: 0, cap: 0, starve_after: secs(300) };
    };
    let mut house = House::new(queue(rules)).with_agent(AgentEntry::named("ana"));
    house.enter_as(tiered(1, Tier::Lead));
    house.pass(299);
    house.enter_as(tiered(2, Tier::Platinum));
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn an_agent_who_becomes_free_takes_the_first_call_of_all_queues() {
    let mut sales = QueueSettings::named("sales");
    sales.priority.base = 5;
    let settings = Settings { queues: vec![QueueSettings::named("q"), sales], ..Settings::default() };
    let mut house = House::new(settings).with_agent(AgentEntry::named("ana"));
    house.enter(1);
    house.pass(2);
    house.enter_as(CallEntry::new(id(2), "sales"));
    house.enter(3);
    house.ready("ana");
    house.answer(2, "ana");
    house.legs("ana", 0);
    house.answer(1, "ana");
    house.legs("ana", 0);
    house.answer(3, "ana");
}

#[test]
fn the_best_skilled_agent_rings_and_the_longest_idle_of_equals() {
    let settings = queue(|q| q.steps = vec![step("billing >= 3", 0, false)]);
    let agent = |name: &str, level| AgentEntry::named(name).with_skill("billing", level);
    let mut house = House::new(settings)
        .with_agent(agent("ana", 2))
        .with_agent(agent("bo", 5))
        .with_agent(agent("cy", 9))
        .with_agent(agent("di", 9));
    ["ana", "bo", "di", "cy"].into_iter().for_each(|name| house.ready(name));
    (1..=4).for_each(|n| drop(house.enter(n)));
    let rang: Vec<_> = (1..=4).map(|n| house.ringing(n).join(",")).collect();
    assert_eq!(rang, ["di", "cy", "bo", ""], "ana lacks the level");
    assert_eq!(
        house.acd.why_not(house.now, id(4), &"ana".into()).as_deref(),
        Some("ana is no member of the queue."),
        "membership follows from the expression"
    );
}

#[test]
fn fit_can_be_disregarded() {
    let settings = queue(|q| {
        q.steps = vec![step("billing", 0, false)];
        q.fit = Fit::Disregard;
    });
    let agent = |name: &str, level| AgentEntry::named(name).with_skill("billing", level);
    let mut house = House::new(settings).with_agent(agent("ana", 1)).with_agent(agent("bo", 9));
    house.ready("ana");
    house.ready("bo");
    house.enter(1);
    assert_eq!(house.ringing(1), ["ana"]);
}

#[test]
fn what_the_call_itself_asks_for_is_asked_too() {
    let mut house = House::new(queue(|q| q.steps = vec![step("language >= 2", 0, false)]))
        .with_agent(AgentEntry::named("ana").with_skill("en", 9))
        .with_agent(AgentEntry::named("bo").with_skill("zh", 3))
        .with_agent(AgentEntry::named("cy").with_skill("zh", 3).with_skill("refunds", 1));
    ["ana", "bo", "cy"].into_iter().for_each(|name| house.ready(name));
    let requires = Some(Expression::parse("refunds").unwrap());
    house.enter_as(CallEntry { language: Some("zh".into()), requires, ..CallEntry::new(id(1), "q") });
    assert_eq!(house.ringing(1), ["cy"]);
    let why = house.acd.explanations(id(1)).next().unwrap().clone();
    assert_eq!(why.verdict(&"ana".into()), Verdict::Unskilled);
    assert_eq!(why.verdict(&"bo".into()), Verdict::CallNeedsOther);
    assert_eq!(why.why_not(&"bo".into()), "bo lacked what this call asked for.");
}

#[test]
fn members_can_be_listed_in_order_or_assigned() {
    let listed = Membership::Listed(vec!["cy".into(), "ana".into()]);
    let mut house = House::new(queue(|q| {
        q.members = listed;
        q.strategy = Strategy::TopDown;
    }))
    .with_ready(&["ana", "bo", "cy"]);
    (1..=3).for_each(|n| drop(house.enter(n)));
    assert_eq!((house.ringing(1), house.ringing(2)), (vec!["cy".to_string()], vec!["ana".to_string()]));
    assert!(house.ringing(3).is_empty(), "bo is not on the list");

    let mut house = House::new(queue(|q| q.members = Membership::Assigned))
        .with_agent(AgentEntry::named("ana"))
        .with_agent(AgentEntry::named("bo").with_queue("q"));
    house.ready("ana");
    house.ready("bo");
    house.enter(1);
    assert_eq!(house.ringing(1), ["bo"]);
}

// Expanding rings and preferred agents

#[test]
fn experts_are_asked_first_and_all_agents_later() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, false), step("", 0, false)]);
    let mut house = House::new(settings)
        .with_agent(AgentEntry::named("ana"))
        .with_agent(AgentEntry::named("bo").with_skill("billing", 9));
    house.ready("ana");
    house.enter(1);
    house.pass(29);
    assert_eq!(house.offers(), []);
    let why_idle = house.acd.why_idle(house.now, &"ana".into());
    assert!(
        why_idle[0].ends_with("lacked a skill that the queue's step asked for: billing >= 8 (has 0)."),
        "{why_idle:?}"
    );
    house.pass(1);
    assert_eq!(house.offers(), [(1, vec!["ana".to_string()])]);
}

#[test]
fn a_step_is_skipped_while_nobody_who_satisfies_it_is_signed_in() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, true), step("", 0, false)]);
    let mut house = House::new(settings).with_ready(&["ana"]);
    house.enter(1);
    assert_eq!(house.ringing(1), ["ana"]);

    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, true), step("", 0, false)]);
    let mut house =
        House::new(settings).with_agent(AgentEntry::named("bo").with_skill("billing", 9)).with_ready(&["ana"]);
    house.enter(1);
    assert!(house.ringing(1).is_empty(), "bo is signed in: the step counts");
    house.acd.handle_sign_out(house.now, &"bo".into()).unwrap();
    house.settle();
    assert_eq!(house.ringing(1), ["ana"], "bo is gone: the step is passed over");
}

#[test]
fn who_may_take_a_call_never_becomes_fewer_while_it_waits() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, true), step("", 0, false)]);
    let mut house = House::new(settings).with_agent(AgentEntry::named("ana"));
    house.enter(1);
    let mut house = house.with_agent(AgentEntry::named("bo").with_skill("billing", 9));
    house.enter(2);
    house.ready("ana");
    assert_eq!(house.ringing(1), ["ana"], "the step was passed over before the expert came");
    house.answer(1, "ana");
    house.legs("ana", 0);
    assert!(house.ringing(2).is_empty(), "the later call found the expert signed in");
}

#[test]
fn the_clock_is_kept_when_a_call_comes_back_from_a_menu() {
    let settings = queue(|q| q.steps = vec![step("billing >= 8", 30, false), step("", 0, false)]);
    let mut house = House::new(settings).with_ready(&["ana"]);
    house.enter(1);
    let clock = Some(house.now);
    house.pass(25);
    house.leave(1, Left::Moved);
    house.pass(10);
    house.enter_as(CallEntry { clock, ..CallEntry::new(id(1), "q") });
    assert_eq!(house.ringing(1), ["ana"], "35 s of age have reached the second step");
}

#[test]
fn a_preferred_agent_is_waited_for_but_not_for_ever() {
    let mut house = House::new(queue(|q| q.preferred_wait = secs(20))).with_ready(&["ana", "bo"]);
    house.legs("bo", 1);
    let prefers = |n, name: &str| CallEntry { preferred: Some(name.into()), ..CallEntry::new(id(n), "q") };
    house.enter_as(prefers(1, "bo"));
    assert!(house.ringing(1).is_empty());
    assert_eq!(
        house.acd.why_not(house.now, id(1), &"ana".into()).as_deref(),
        Some("ana had to leave the call to its preferred agent for now.")
    );
    house.pass(20);
    assert_eq!(house.ringing(1), ["ana"]);
    house.enter_as(prefers(2, "bo"));
    house.legs("bo", 0);
    assert_eq!(house.ringing(2), ["bo"]);
}

#[test]
fn a_preferred_agent_who_is_not_there_is_not_waited_for() {
    let mut house = House::new(queue(|_| {})).with_agent(AgentEntry::named("bo")).with_ready(&["ana"]);
    let prefers = |n, name: &str| CallEntry { preferred: Some(name.into()), ..CallEntry::new(id(n), "q") };
    house.enter_as(prefers(1, "nobody"));
    assert_eq!(house.ringing(1), ["ana"]);
    house.leave(1, Left::Abandoned);
    house.enter_as(prefers(2, "bo"));
    assert!(house.ringing(2).is_empty());
    house.acd.handle_sign_out(house.now, &"bo".into()).unwrap();
    house.settle();
    assert_eq!(house.ringing(2), ["ana"]);
}

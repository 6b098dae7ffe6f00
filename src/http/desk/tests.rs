//! The picture as a client sees it build up.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::entity::{Call, CallState, EntityKind, Key};
use super::*;
use crate::cause::{Cause, Party, What};
use crate::event::{Address, AgentState, Direction, Event, Fact, OfferOutcome, QueueExit, Role, Seq};
use crate::ids::{CallId, LegId, UserName, VoicemailId};
use crate::limits::http as limits;
use crate::time::Time;

const LI: &str = "li";
const WANG: &str = "wang";

fn call(n: u8) -> CallId {
    CallId::from_u128(u128::from(n))
}

fn leg(n: u8, place: u8) -> LegId {
    LegId::from_u128(u128::from(n) * 10 + u128::from(place))
}

fn accepted(n: u8) -> Fact {
    Fact::CallAccepted {
        leg: leg(n, 0),
        direction: Direction::Inbound,
        from: Address { number: "+8613800138000".into(), ..Address::default() },
        to: Address { number: "95539".into(), ..Address::default() },
        dialplan: Some("main".into()),
        sip_call_id: "x".into(),
    }
}

fn entered() -> Fact {
    Fact::QueueEntered { queue: "support".into(), priority: 3, tier: "gold".into(), position: 1 }
}

fn offered(n: u8, place: u8, agent: &str) -> Fact {
    Fact::CallOffered {
        agent: agent.into(),
        queue: "support".into(),
        leg: leg(n, place),
        deadline: Time::from_secs(2_000),
        waited_ms: 1,
        card: Default::default(),
        answers: Vec::new(),
    }
}

fn added(n: u8, place: u8, agent: &str) -> Fact {
    Fact::LegAdded { leg: leg(n, place), role: Role::Agent, to: Address::default(), agent: Some(agent.into()) }
}

/// A leg at an account, dialled by hand: whoever sits there has part in the call.
fn private(n: u8) -> Fact {
    let to = Address { number: "1001".into(), account: Some("1001".into()), ..Address::default() };
    Fact::LegAdded { leg: leg(n, 3), role: Role::Callee, to, agent: None }
}

fn agent_is(agent: &str, state: AgentState) -> Fact {
    Fact::AgentStateChanged { agent: agent.into(), state, reason: String::new(), deadline: None }
}

fn ended() -> Fact {
    Fact::CallEnded { cause: Cause::new(What::Hangup, Party::Caller) }
}

/// Applies facts one after the other and gives the deltas.
struct Story {
    desk: Desk,
    seq: u64,
}

impl Story {
    fn new() -> Self {
        Self {
            desk: Desk::new(Start { queues: [("support".into(), QueuePlan::default())].into(), ..Start::default() }),
            seq: 0,
        }
    }

    fn tell(&mut self, n: u8, fact: Fact) -> Delta {
        self.seq += 1;
        let at = Time::from_secs(1_000 + self.seq);
        let event = Event { v: 1, seq: Seq(self.seq), at, call: (n > 0).then(|| call(n)), fact };
        let delta = self.desk.apply(&event).expect("a newer event makes a delta");
        assert!(self.desk.apply(&event).is_none(), "the same event again changes nothing");
        delta
    }

    fn call(&self, n: u8) -> &Call {
        self.desk.call(call(n)).expect("the call is in the picture")
    }

    /// A call from its arrival to a talk with `agent`.
    fn talk(&mut self, n: u8, agent: &str) {
        for fact in [accepted(n), entered(), added(n, 1, agent), offered(n, 1, agent)] {
            self.tell(n, fact);
        }
        self.tell(0, agent_is(agent, AgentState::Offered));
        self.tell(n, Fact::LegAnswered { leg: leg(n, 0), codec: "PCMA".into() });
        self.tell(n, Fact::LegAnswered { leg: leg(n, 1), codec: "PCMA".into() });
        let outcome = OfferOutcome::Answered;
        self.tell(n, Fact::OfferEnded { agent: agent.into(), leg: leg(n, 1), outcome });
        self.tell(n, Fact::QueueLeft { queue: "support".into(), exit: QueueExit::Answered, waited_ms: 900 });
        self.tell(0, agent_is(agent, AgentState::Talking));
    }
}

fn viewer(user: &str, topics: &[Topic]) -> Viewer {
    Viewer { user: UserName::new(user), masked: false, topics: topics.to_vec() }
}

fn sees(viewer: &Viewer, delta: &Delta) -> Vec<(Key, Form)> {
    let picked = viewer.pick(&delta.images).map(|(_, picked)| picked).unwrap_or_default();
    picked.into_iter().map(|(index, form)| (delta.images[index].entity.key(), form)).collect()
}

#[test]
fn a_call_goes_from_ivr_to_queue_to_agent_to_its_end() {
    let mut story = Story::new();
    story.tell(1, accepted(1));
    assert_eq!(story.call(1).state, CallState::Ivr);
    story.tell(1, entered());
    assert_eq!(story.call(1).state, CallState::Waiting);
    assert_eq!(story.desk.queues().next().map(|queue| (queue.waiting, queue.entered)), Some((1, 1)));
    story.tell(1, offered(1, 1, LI));
    assert_eq!(story.call(1).state, CallState::Offered);
    assert_eq!(story.desk.waiting(&"support".into())[0].offered, ["li".into()]);
    let mut story = Story::new();
    story.talk(1, LI);
    assert_eq!(story.call(1).state, CallState::Talking);
    assert_eq!(story.desk.queues().next().map(|queue| (queue.waiting, queue.answered)), Some((0, 1)));
    story.tell(1, Fact::LegHeld { leg: leg(1, 0), by: leg(1, 1) });
    assert_eq!(story.call(1).state, CallState::Held);
    story.tell(1, Fact::LegResumed { leg: leg(1, 0), by: leg(1, 1) });
    assert_eq!(story.call(1).state, CallState::Talking);
}

#[test]
fn an_ended_call_stays_with_its_agent_until_the_wrap_up_is_over() {
    let mut story = Story::new();
    story.talk(1, LI);
    let me = viewer(LI, &[Topic::Me]);
    story.tell(1, ended());
    assert_eq!(story.call(1).state, CallState::Ended);
    story.tell(0, agent_is(LI, AgentState::WrapUp));
    assert!(me.snapshot(&story.desk, &Topic::Me).iter().any(|entity| matches!(entity, Entity::Call(_))));
    let over = story.tell(0, agent_is(LI, AgentState::Ready));
    let gone = sees(&me, &over).into_iter().find(|(key, _)| key.id == call(1).to_string());
    assert_eq!(gone.map(|(_, form)| form), Some(Form::Gone));
    assert!(story.desk.call(call(1)).is_none(), "nobody needs it any more");
}

#[test]
fn whoever_spoke_in_a_call_is_told_of_its_end() {
    let mut story = Story::new();
    story.tell(0, Fact::AgentSignedIn { agent: LI.into(), account: "1001".into() });
    story.tell(1, accepted(1));
    story.tell(1, private(1));
    let (li, wang) = (viewer(LI, &[Topic::Me]), viewer(WANG, &[Topic::Me]));
    // Wang's phone rings and is not answered.
    story.tell(1, added(1, 1, WANG));
    story.tell(1, Fact::LegAnswered { leg: leg(1, 3), codec: "PCMA".into() });
    let over =
        |place| Fact::LegEnded { leg: leg(1, place), cause: Cause::new(What::Hangup, Party::Caller), stats: None };
    let gone = vec![(Key { of: EntityKind::Call, id: call(1).to_string() }, Form::Gone)];
    assert_eq!(sees(&wang, &story.tell(1, over(1))), gone);
    assert_eq!(sees(&li, &story.tell(1, over(3))), gone);
    assert!(sees(&li, &story.tell(1, over(0))).is_empty(), "no more of what goes on in it");
    let end = story.tell(1, ended());
    assert_eq!((end.name, sees(&li, &end)), ("call.ended", gone));
    assert!(sees(&wang, &end).is_empty(), "who never spoke in it is not told");
}

#[test]
fn a_plan_names_queues_and_who_serves_them_also_after_a_reload() {
    let plan = |text: &str| plan::queues_of(&crate::plan::Plan::from_toml(text).expect("the plan is good"));
    let skilled = |level: u8| StartAgent {
        name: "li".into(),
        display: "Li Na".into(),
        skills: [("billing".into(), level)].into(),
    };
    let first = "[queue.support]\nskills = \"billing >= 3\"\nlabel = { en = \"Support\", zh = \"支持\" }\n\
                 dispositions = [\"solved\"]\nwrap_up = \"code_required\"\n\
                 [dispositions]\nsolved = { en = \"Solved\", zh = \"已解决\" }\n[skills]\nbilling = \"Billing\"\n";
    let start = Start { agents: vec![skilled(3)], queues: plan(first), ..Start::default() };
    let mut story = Story { desk: Desk::new(start), seq: 0 };
    let queue = story.desk.queues().next().unwrap().clone();
    assert_eq!((queue.label.zh.as_str(), queue.code_required), ("支持", true));
    assert_eq!((queue.codes[0].code.as_str(), queue.codes[0].words.zh.as_str()), ("solved", "已解决"));
    assert_eq!(story.desk.agents().next().unwrap().queues, ["support".into()]);
    story.desk.take_plan(plan(&first.replace(">= 3", ">= 4").replace("Support", "Help")));
    let changed = story.tell(0, Fact::PlanApplied { plan: String::new(), changes: Vec::new() });
    assert_eq!(changed.images.len(), 2, "the queue and the agent");
    assert_eq!(story.desk.queues().next().unwrap().label.en, "Help");
    assert_eq!(story.desk.agents().next().unwrap().queues, []);
}

#[test]
fn the_service_level_counts_who_was_answered_in_time_and_not_who_left_at_once() {
    let text = "[queue.support]\nservice_level_s = 20\nshort_abandon_s = 5\n";
    let queues = plan::queues_of(&crate::plan::Plan::from_toml(text).expect("the plan is good"));
    let mut story = Story { desk: Desk::new(Start { queues, ..Start::default() }), seq: 0 };
    let left = |exit, waited_ms| Fact::QueueLeft { queue: "support".into(), exit, waited_ms };
    for (n, (exit, waited_ms)) in [
        (QueueExit::Answered, 20_000),
        (QueueExit::Answered, 20_001),
        (QueueExit::Abandoned, 5_000),
        (QueueExit::Abandoned, 5_001),
    ]
    .into_iter()
    .enumerate()
    {
        let n = u8::try_from(n + 1).unwrap();
        story.tell(n, accepted(n));
        story.tell(n, entered());
        story.tell(n, left(exit, waited_ms));
    }
    let queue = story.desk.queues().next().unwrap();
    assert_eq!((queue.answered, queue.answered_in_time), (2, 1));
    assert_eq!((queue.abandoned, queue.abandoned_short), (2, 1));
}

#[test]
fn a_supervisor_gives_a_waiting_call_another_priority() {
    let mut story = Story::new();
    story.tell(1, accepted(1));
    story.tell(1, entered());
    story.tell(1, Fact::QueueReordered { priority: 50, by: "boss".into() });
    assert_eq!(story.desk.waiting(&"support".into())[0].priority, 50);
    assert_eq!(story.call(1).priority, 50);
}

#[test]
fn legs_and_voicemails_in_the_picture_are_bounded() {
    let mut story = Story::new();
    story.tell(1, accepted(1));
    for _ in 0..limits::DESK_LEGS {
        story.tell(1, added(1, 1, LI));
    }
    assert_eq!(story.call(1).legs.len(), limits::DESK_LEGS);
    let left = |n: usize| Fact::VoicemailLeft {
        voicemail: VoicemailId::from_u128(n as u128),
        r#box: "airline".into(),
        from: Address::default(),
        file: String::new(),
        seconds: 3.0,
    };
    (0..limits::DESK_VOICEMAILS).for_each(|n| drop(story.tell(1, left(n))));
    let last = story.tell(1, left(limits::DESK_VOICEMAILS));
    assert_eq!(story.desk.voicemails().count(), limits::DESK_VOICEMAILS);
    assert!(last.images.iter().any(|image| matches!(image.entity, Entity::Gone(_))), "the first goes, and is told");
}

#[test]
fn of_too_many_calls_the_oldest_ended_one_goes() {
    let mut story = Story::new();
    story.talk(1, LI);
    story.tell(1, ended());
    story.tell(0, agent_is(LI, AgentState::WrapUp));
    let arrive = |story: &mut Story, n: usize| {
        story.seq += 1;
        let call = Some(CallId::from_u128(1_000 + n as u128));
        let event = Event { v: 1, seq: Seq(story.seq), at: Time::from_secs(2_000), call, fact: accepted(2) };
        story.desk.apply(&event).unwrap()
    };
    (1..limits::DESK_CALLS).for_each(|n| drop(arrive(&mut story, n)));
    assert!(story.desk.call(call(1)).is_some());
    arrive(&mut story, limits::DESK_CALLS);
    assert!(story.desk.call(call(1)).is_none(), "the wrapped-up one goes");
    assert_eq!(story.desk.calls().count(), limits::DESK_CALLS);
}

#[test]
fn a_declined_call_leaves_the_agents_desk_and_comes_to_the_next() {
    let mut story = Story::new();
    for fact in [accepted(1), entered(), offered(1, 1, LI)] {
        story.tell(1, fact);
    }
    let (li, wang) = (viewer(LI, &[Topic::Me]), viewer(WANG, &[Topic::Me]));
    let outcome = OfferOutcome::Declined;
    let declined = story.tell(1, Fact::OfferEnded { agent: LI.into(), leg: leg(1, 1), outcome });
    assert!(sees(&li, &declined).iter().any(|(key, form)| key.id == call(1).to_string() && *form == Form::Gone));
    assert!(sees(&wang, &declined).is_empty());
    let next = story.tell(1, offered(1, 2, WANG));
    assert!(sees(&li, &next).is_empty());
    assert!(sees(&wang, &next).iter().any(|(key, form)| key.id == call(1).to_string() && *form == Form::Whole));
}

#[test]
fn the_phone_of_an_agent_shows_whether_it_is_registered() {
    let mut story = Story::new();
    let registered = |contact: &str| Fact::PhoneRegistered {
        account: "1001".into(),
        contact: contact.into(),
        expires: Time::FAR_FUTURE,
        binding: serde_json::Value::Null,
    };
    story.tell(0, registered("a"));
    story.tell(0, Fact::AgentSignedIn { agent: LI.into(), account: "1001".into() });
    assert!(story.desk.agent(&LI.into()).unwrap().registered);
    story.tell(0, registered("b"));
    let gone = |contact: &str| Fact::PhoneUnregistered {
        account: "1001".into(),
        contact: contact.into(),
        why: "expired".into(),
    };
    story.tell(0, gone("a"));
    assert!(story.desk.agent(&LI.into()).unwrap().registered, "one contact is left");
    story.tell(0, gone("b"));
    assert!(!story.desk.agent(&LI.into()).unwrap().registered);
    story.tell(0, Fact::AgentLinkLost { agent: LI.into() });
    assert!(!story.desk.agent(&LI.into()).unwrap().linked);
    story.tell(0, Fact::AgentLinkRestored { agent: LI.into() });
    assert!(story.desk.agent(&LI.into()).unwrap().linked);
}

#[test]
fn the_names_of_facts_are_those_of_the_ledger() {
    let facts = [
        accepted(1),
        entered(),
        offered(1, 1, LI),
        ended(),
        agent_is(LI, AgentState::Ready),
        Fact::SystemDraining {},
        Fact::AgentLinkLost { agent: LI.into() },
        Fact::AgentLinkRestored { agent: LI.into() },
        Fact::LegDigit { leg: leg(1, 0) },
    ];
    for fact in facts {
        assert_eq!(serde_json::to_value(&fact).unwrap()["t"], name_of(&fact));
    }
}

/// The client's whole rule: keep what is newer.
fn reduce(entities: impl IntoIterator<Item = Entity>) -> BTreeMap<Key, Entity> {
    let mut picture: BTreeMap<Key, Entity> = BTreeMap::new();
    for entity in entities {
        let newer = picture.get(&entity.key()).is_none_or(|known| entity.rev() > known.rev());
        if newer {
            picture.insert(entity.key(), entity);
        }
    }
    picture
}

fn any_fact() -> impl Strategy<Value = (u8, Fact)> {
    let calls = (1..4u8, 1..3u8, prop::sample::select(vec![LI, WANG]));
    let state = prop::sample::select(vec![
        AgentState::Ready,
        AgentState::NotReady,
        AgentState::Offered,
        AgentState::Talking,
        AgentState::WrapUp,
        AgentState::SignedOut,
    ]);
    (calls, state, 0..13u8).prop_map(|((n, place, agent), state, kind)| match kind {
        0 => (n, accepted(n)),
        1 => (n, entered()),
        2 => (n, offered(n, place, agent)),
        3 => (n, added(n, place, agent)),
        4 => (n, Fact::LegAnswered { leg: leg(n, place), codec: String::new() }),
        5 => (n, Fact::OfferEnded { agent: agent.into(), leg: leg(n, place), outcome: OfferOutcome::NoAnswer }),
        6 => (n, Fact::QueueLeft { queue: "support".into(), exit: QueueExit::Abandoned, waited_ms: 5 }),
        7 => (n, Fact::LegEnded { leg: leg(n, place), cause: Cause::new(What::Hangup, Party::Agent), stats: None }),
        8 => (n, ended()),
        9 => (0, Fact::AgentSignedIn { agent: agent.into(), account: "1001".into() }),
        10 => (0, Fact::AgentSignedOut { agent: agent.into() }),
        11 => (n, private(n)),
        _ => (0, agent_is(agent, state)),
    })
}

proptest! {
    /// Whatever happens, in whatever order and however often its images arrive, the client's picture is the snapshot.
    #[test]
    fn images_shuffled_and_doubled_make_the_picture_of_the_snapshot(
        facts in prop::collection::vec(any_fact(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut story = Story::new();
        let topics = [Topic::Agents, Topic::Queues, Topic::Calls, Topic::Queue("support".into())];
        let viewer = viewer("boss", &topics);
        let mut images: Vec<Entity> = topics.iter().flat_map(|topic| viewer.snapshot(&story.desk, topic)).collect();
        for (n, fact) in facts {
            let delta = story.tell(n, fact);
            let picked = viewer.pick(&delta.images).map(|(_, picked)| picked).unwrap_or_default();
            images.extend(picked.into_iter().map(|(index, form)| match form {
                Form::Whole => delta.images[index].entity.clone(),
                Form::Gone => delta.images[index].entity.gone(),
            }));
        }
        let mut shuffled = images.clone();
        for (at, other) in order.iter().enumerate() {
            let len = shuffled.len();
            shuffled.swap(at % len, other.index(len));
        }
        shuffled.extend(images.iter().cloned());
        let live = |picture: BTreeMap<Key, Entity>| {
            picture.into_values().filter(|entity| !matches!(entity, Entity::Gone(_))).collect::<Vec<_>>()
        };
        let expected = topics.iter().flat_map(|topic| viewer.snapshot(&story.desk, topic));
        prop_assert_eq!(live(reduce(shuffled)), live(reduce(expected)));
    }

    /// The same for one agent's desk, in order: what has left it is gone from it.
    #[test]
    fn an_agents_desk_holds_exactly_what_concerns_the_agent(facts in prop::collection::vec(any_fact(), 1..60)) {
        let mut story = Story::new();
        let viewer = viewer(LI, &[Topic::Me]);
        let mut images: Vec<Entity> = Vec::new();
        for (n, fact) in facts {
            let delta = story.tell(n, fact);
            let picked = viewer.pick(&delta.images).map(|(_, picked)| picked).unwrap_or_default();
            images.extend(picked.into_iter().map(|(index, form)| match form {
                Form::Whole => delta.images[index].entity.clone(),
                Form::Gone => delta.images[index].entity.gone(),
            }));
        }
        let held: Vec<Key> = reduce(images).into_values().filter(|e| !matches!(e, Entity::Gone(_))).map(|e| e.key()).collect();
        let snapshot = viewer.snapshot(&story.desk, &Topic::Me);
        let mut expected: Vec<Key> = snapshot.iter().map(Entity::key).collect();
        expected.sort();
        prop_assert_eq!(held, expected);
    }
}

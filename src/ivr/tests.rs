//! The machine as a caller meets it: every action, keys early and late, and secrets that stay secret.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use crate::dialplan::facts::{CallFacts, CustomerFacts, QueueFacts};
use crate::dialplan::value::{Date, Value};
use crate::dialplan::{Book, Names, PromptCatalogue, load};
use crate::finding::Source;
use crate::ids::{HoursName, Language, PromptName, QueueName};
use crate::limits;
use crate::time::Time;

use super::effect::HeaderValue;
use super::{
    Answer, Compared, DialEnd, IvrEffect, IvrInput, LocalTime, Machine, Opening, Question, QueueEnd, Spoken, World,
};

/// The prompts that dialplans of these tests may name.
const PROMPTS: [&str; 8] = ["hello", "ask", "again", "wrong", "bye", "names/bai", "number/2", "dear"];

fn book(files: &[(&str, &str)]) -> Arc<Book> {
    let mut catalogue = PromptCatalogue::default();
    for language in ["en", "zh"] {
        for prompt in PROMPTS {
            catalogue.insert(Language::new(language), PromptName::new(prompt), prompt);
        }
    }
    let names = Names {
        queues: [QueueName::new("service")].into(),
        hours: [HoursName::new("office")].into(),
        dial_prefixes: vec![Arc::from("1001")],
        ..Names::default()
    };
    let sources: Vec<_> = files.iter().map(|(name, text)| Source::new(format!("{name}.toml"), text)).collect();
    let loaded = load(&sources, &catalogue, &names);
    let told: Vec<_> = loaded.findings.iter().map(ToString::to_string).collect();
    Arc::new(loaded.book.unwrap_or_else(|| panic!("{}", told.join("\n"))))
}

struct House {
    opening: Opening,
    prompts: BTreeSet<&'static str>,
}

impl World for House {
    fn opening(&self, _: &HoursName) -> Opening {
        self.opening
    }

    fn queue(&self, _: &QueueName) -> QueueFacts {
        QueueFacts { waiting: 4, wait_s: 90, agents: 2 }
    }

    fn local_time(&self) -> LocalTime {
        LocalTime { date: Date::EPOCH, hour: 9, weekday: 4 }
    }

    fn has_prompt(&self, language: &Language, prompt: &PromptName) -> bool {
        ["en", "zh"].contains(&language.as_str()) && self.prompts.contains(prompt.as_str())
    }
}

/// A machine, its clock and its house; what it wants is kept until it is looked at.
struct Rig {
    machine: Machine,
    now: Time,
    house: House,
    effects: Vec<IvrEffect>,
}

impl Rig {
    /// A call that has come into the dialplan `main`.
    fn call(main: &str) -> Rig {
        Rig::among(&[("main", main)])
    }

    fn among(files: &[(&str, &str)]) -> Rig {
        let mut rig = Rig::waiting(files, CallFacts { caller: Arc::from("+861001"), ..CallFacts::default() });
        rig.tell(IvrInput::Start);
        rig
    }

    fn waiting(files: &[(&str, &str)], call: CallFacts) -> Rig {
        let book = book(files);
        let entry = book.find("main").expect("is there");
        let house = House { opening: Opening::Open, prompts: PROMPTS.into() };
        Rig { machine: Machine::new(book, entry, call), now: Time::from_secs(1_000_000), house, effects: Vec::new() }
    }

    fn tell(&mut self, input: IvrInput) -> &mut Rig {
        self.machine.handle(self.now, &self.house, input);
        while let Some(effect) = self.machine.poll_effect() {
            self.effects.push(effect);
        }
        self
    }

    fn keys(&mut self, keys: &str) -> &mut Rig {
        for key in keys.chars() {
            self.tell(IvrInput::Key(key));
        }
        self
    }

    /// The last play comes to its end.
    fn played(&mut self) -> &mut Rig {
        let ticket = self.effects.iter().rev().find_map(|effect| match effect {
            IvrEffect::Play { ticket, .. } => Some(*ticket),
            _ => None,
        });
        self.tell(IvrInput::PlayDone(ticket.expect("something was played")))
    }

    /// The machine's own clock runs out.
    fn silence(&mut self) -> &mut Rig {
        self.now = self.machine.poll_timeout().expect("it waits for something");
        self.tell(IvrInput::Timeout { at: self.now })
    }

    fn later(&mut self, span: Duration) -> &mut Rig {
        self.now += span;
        self
    }

    /// An answer to the last question.
    fn answer(&mut self, answer: Answer) -> &mut Rig {
        let ticket = self.effects.iter().rev().find_map(|effect| match effect {
            IvrEffect::Ask { ticket, .. } => Some(*ticket),
            _ => None,
        });
        self.tell(IvrInput::Answered(ticket.expect("something was asked"), answer))
    }

    /// The name of the state the caller is in; `""` once it is over.
    fn state(&self) -> String {
        let place = self.machine.place().map(|(plan, state)| self.machine.book.get(plan).state(state).name.to_string());
        place.unwrap_or_default()
    }

    /// The prompts of the last play.
    fn heard(&self) -> Vec<&str> {
        let last = self.effects.iter().rev().find_map(|effect| match effect {
            IvrEffect::Play { parts, .. } => Some(parts),
            _ => None,
        });
        let names = last.into_iter().flatten().filter_map(|part| match part {
            Spoken::Prompt { prompt, .. } => Some(prompt.as_str()),
            Spoken::Silence(_) => None,
        });
        names.collect()
    }

    fn question(&self) -> &Question {
        let last = self.effects.iter().rev().find_map(|effect| match effect {
            IvrEffect::Ask { question, .. } => Some(question),
            _ => None,
        });
        last.expect("something was asked")
    }

    fn var(&self, name: &str) -> Option<Value> {
        let (plan, _) = self.machine.place()?;
        let var = self.machine.book.get(plan).find_var(name).expect("is declared");
        self.machine.vars()?.get(var).cloned()
    }

    fn wants(&self, wanted: &IvrEffect) -> bool {
        self.effects.contains(wanted)
    }

    /// The outcomes of the states left so far.
    fn steps(&self) -> Vec<String> {
        let steps = self.effects.iter().filter_map(|effect| match effect {
            IvrEffect::Stepped { state, outcome, .. } => Some(format!("{state} {outcome}")),
            _ => None,
        });
        steps.collect()
    }
}

/// Two states to end in.
const ENDS: &str =
    "[state.agent]\nqueue = \"service\"\ntimeout = \"bye\"\nfailed = \"bye\"\n[state.bye]\nhangup = \"bye\"\n";

fn plan(head: &str) -> String {
    format!("{head}\n{ENDS}")
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// -- speech and keys -------------------------------------------------------------------------------------------------

#[test]
fn a_prompt_is_heard_then_the_next_state_then_the_last_words_then_it_is_over() {
    let mut call =
        Rig::call("start = \"s\"\n[state.s]\nplay = \"hello\"\nnext = \"bye\"\n[state.bye]\nhangup = \"bye\"\n");
    assert_eq!((call.state().as_str(), call.heard()), ("s", vec!["hello"]));
    call.played();
    assert_eq!((call.state().as_str(), call.heard()), ("bye", vec!["bye"]));
    call.played();
    assert!(call.machine.is_over() && call.effects.last() == Some(&IvrEffect::HangUp));
    assert_eq!(call.steps(), ["s next", "bye hangup"]);
    call.keys("1").tell(IvrInput::Start);
    assert_eq!(call.steps().len(), 2, "nothing happens after the end");
}

const MENU: &str = "start = \"s\"\n[state.s]\nplay = \"hello\"\nnext = \"m\"\n[state.m]\nmenu = \"ask\"\nkeys = { 1 = \"agent\", 2 = \"bye\" }\nno_input = \"again\"\nno_match = \"wrong\"\nretries = 1\ntimeout_s = 5\ntimeout = \"late\"\nfailed = \"bye\"\n[state.late]\nplay = \"dear\"\nnext = \"agent\"";

#[test]
fn a_key_cuts_the_speech_short_and_chooses_from_the_menu_behind_it_unheard() {
    let mut call = Rig::call(&plan(MENU));
    call.keys("2");
    assert!(call.effects.iter().any(|effect| matches!(effect, IvrEffect::StopPlay(_))));
    assert_eq!((call.state().as_str(), call.heard()), ("bye", vec!["bye"]), "the menu was never spoken");
    assert_eq!(call.steps(), ["s next", "m key 2"]);
}

#[test]
fn a_menu_asks_again_after_silence_and_leaves_by_timeout_after_the_last() {
    let mut call = Rig::call(&plan(MENU));
    call.played().played();
    assert_eq!(call.machine.poll_timeout(), Some(call.now + secs(5)));
    call.silence();
    assert_eq!(call.heard(), ["again", "ask"]);
    call.played().silence();
    assert_eq!((call.state().as_str(), call.heard()), ("late", vec!["dear"]));
}

#[test]
fn a_menu_asks_again_after_a_wrong_key_and_leaves_by_failed_after_the_last() {
    let mut call = Rig::call(&plan(MENU));
    call.played().keys("7");
    assert_eq!(call.heard(), ["wrong", "ask"]);
    call.keys("A");
    assert_eq!((call.state().as_str(), call.steps().last().map(String::as_str)), ("bye", Some("m failed")));
}

#[test]
fn speech_without_barge_in_is_heard_to_its_end_and_keys_pressed_meanwhile_count() {
    let text = plan(MENU).replace("menu = \"ask\"", "menu = \"ask\"\nbarge_in = false");
    let mut call = Rig::call(&text.replace("play = \"hello\"", "play = \"hello\"\nbarge_in = false"));
    call.keys("1");
    assert_eq!(call.heard(), ["hello"]);
    call.played();
    assert_eq!(call.heard(), ["ask"], "the menu does not let itself be skipped either");
    call.played();
    assert_eq!(call.state(), "agent");
}

#[test]
fn the_end_of_a_stopped_prompt_changes_nothing() {
    let mut call = Rig::call(&plan(MENU));
    let Some(IvrEffect::Play { ticket, .. }) = call.effects.first().cloned() else { panic!("speaks first") };
    call.keys("9");
    let before = call.steps();
    call.tell(IvrInput::PlayDone(ticket));
    assert_eq!(call.steps(), before);
}

#[test]
fn keys_pressed_ahead_are_kept_up_to_their_bound() {
    let mut call = Rig::call(&plan(MENU).replace("play = \"hello\"", "play = \"hello\"\nbarge_in = false"));
    call.keys(&"1".repeat(limits::IVR_KEYS + 10));
    assert_eq!(call.machine.keys.len(), limits::IVR_KEYS);
}

// -- entries ---------------------------------------------------------------------------------------------------------

const COLLECT: &str = "start = \"c\"\n[vars]\nn = \"number\"\n[state.c]\ncollect = \"ask\"\ninto = \"n\"\nmin = 2\nmax = 4\nvalid = \"n < 5000\"\nretries = 1\nbetween_keys_s = 3\nno_match = \"wrong\"\nno_input = \"again\"\nnext = \"m\"\nfailed = \"agent\"\n[state.m]\nmenu = \"ask\"\nkeys = { \"#\" = \"agent\", 1 = \"bye\" }\nfailed = \"bye\"";

#[test]
fn an_entry_ends_by_its_length_by_a_hash_or_by_a_pause() {
    for (keys, value) in [("4999", 4_999), ("12#", 12)] {
        let mut call = Rig::call(&plan(COLLECT));
        call.keys(keys);
        assert_eq!((call.state().as_str(), call.var("n")), ("m", Some(Value::Number(value))));
    }
    let mut call = Rig::call(&plan(COLLECT));
    call.keys("12");
    assert_eq!(call.machine.poll_timeout(), Some(call.now + secs(3)));
    call.silence();
    assert_eq!(call.var("n"), Some(Value::Number(12)));
    let told = call
        .effects
        .iter()
        .any(|effect| matches!(effect, IvrEffect::Collected(answer) if (&*answer.name, &*answer.value) == ("n", "12")));
    assert!(told, "the agent's screen knows it");
}

#[test]
fn a_hash_after_a_full_entry_still_belongs_to_it_for_a_while() {
    let mut call = Rig::call(&plan(COLLECT));
    call.keys("4999#");
    assert_eq!(call.state(), "m", "the menu did not take the hash for its own");
    let mut call = Rig::call(&plan(COLLECT));
    call.keys("4999").later(secs(4)).keys("#");
    assert_eq!(call.state(), "agent", "later it is a key of the menu");
}

#[test]
fn an_entry_that_is_not_valid_sets_nothing_and_is_asked_again() {
    let mut call = Rig::call(&plan(COLLECT));
    call.keys("9999");
    assert_eq!((call.heard(), call.var("n")), (vec!["wrong", "ask"], None));
    call.keys("1#");
    assert_eq!((call.state().as_str(), call.var("n")), ("agent", None), "too short, and the last attempt");
    let mut call = Rig::call(&plan(COLLECT));
    call.played().silence();
    assert_eq!(call.heard(), ["again", "ask"]);
    call.keys("1*2#");
    assert_eq!(call.steps(), ["c failed"]);
}

// -- steps that need no time -----------------------------------------------------------------------------------------

#[test]
fn hours_are_open_closed_or_a_holiday() {
    let text = "start = \"h\"\n[state.h]\nhours = \"office\"\nopen = \"o\"\nclosed = \"c\"\nholiday = \"d\"\n[state.o]\nplay = \"hello\"\nnext = \"agent\"\n[state.c]\nplay = \"wrong\"\nnext = \"agent\"\n[state.d]\nplay = \"dear\"\nnext = \"agent\"";
    for (opening, heard) in [(Opening::Open, "hello"), (Opening::Closed, "wrong"), (Opening::Holiday, "dear")] {
        let text = plan(text);
        let mut call = Rig::waiting(&[("main", &text)], CallFacts::default());
        call.house.opening = opening;
        call.tell(IvrInput::Start);
        assert_eq!(call.heard(), [heard]);
    }
}

#[test]
fn values_are_set_branched_on_and_computed_by_scripts() {
    let text = "start = \"s\"\n[vars]\nn = 3\nm = 0\n[state.s]\nset = { n = 'n + waiting(\"service\")' }\nnext = \"x\"\n[state.x]\nscript = \"m = n * 10;\"\nreads = [\"n\"]\nwrites = [\"m\"]\nnext = \"b\"\nfailed = \"bye\"\n[state.b]\nbranch = [{ if = \"m > 100\", go = \"bye\" }, { if = \"m == 70 && call.hour == 9\", go = \"agent\" }]\notherwise = \"bye\"";
    let call = Rig::call(&plan(text));
    assert_eq!((call.state().as_str(), call.var("m")), ("agent", Some(Value::Number(70))));
    assert_eq!(call.steps(), ["s next", "x next", "b case 2"]);
}

#[test]
fn a_script_that_works_too_long_leaves_by_failed() {
    let text = "start = \"x\"\n[vars]\nm = 0\n[state.x]\nscript = \"for i in 0..1000000 { m += 1; }\"\nwrites = [\"m\"]\nreads = [\"m\"]\nnext = \"bye\"\nfailed = \"agent\"";
    let call = Rig::call(&plan(text));
    assert_eq!((call.state().as_str(), call.var("m")), ("agent", Some(Value::Number(0))));
}

#[test]
fn a_language_is_spoken_from_here_on_where_the_dialplan_speaks_it() {
    let text = |list: &str, tag: &str| {
        format!(
            "start = \"l\"\n{list}\n[state.l]\nlanguage = {{ of = '\"{tag}\"', otherwise = \"en\" }}\nnext = \"bye\"\n[state.bye]\nhangup = \"bye\"\n"
        )
    };
    for (list, tag, spoken) in [
        ("languages = [\"en\", \"zh\"]", "zh", "zh"),
        ("languages = [\"en\"]", "zh", "en"),
        ("", "zh", "zh"),
        ("", "fr", "en"),
    ] {
        let call = Rig::call(&text(list, tag));
        assert!(call.wants(&IvrEffect::Language(Language::new(spoken))), "{list} {tag}");
        let in_it = |effect: &IvrEffect| matches!(effect, IvrEffect::Play { parts, .. } if parts.iter().all(|part| matches!(part, Spoken::Prompt { language, .. } if language.as_str() == spoken)));
        assert!(call.effects.iter().any(in_it));
    }
}

#[test]
fn a_call_in_a_language_the_dialplan_does_not_speak_begins_in_its_first() {
    let text = "start = \"s\"\nlanguages = [\"zh\", \"en\"]\n[state.s]\nhangup = \"bye\"\n";
    for (came, begins) in [("fr", Some("zh")), ("en", None)] {
        let call = CallFacts { language: Language::new(came), ..CallFacts::default() };
        let mut call = Rig::waiting(&[("main", text)], call);
        call.tell(IvrInput::Start);
        let chosen = call.effects.iter().find_map(|effect| match effect {
            IvrEffect::Language(language) => Some(language.as_str()),
            _ => None,
        });
        assert_eq!(chosen, begins);
    }
}

#[test]
fn consent_is_told_and_a_clip_nobody_recorded_is_replaced() {
    let text = "start = \"y\"\n[state.y]\nconsent = false\nnext = \"s\"\n[state.s]\nplay = [{ clip = \"call.caller\", in = \"names\", otherwise = \"dear\" }, { clip = '\"Bai\"', in = \"names\" }, { number = \"2\" }]\nnext = \"agent\"";
    let call = Rig::call(&plan(text));
    assert!(call.wants(&IvrEffect::Consent(false)));
    assert_eq!(call.heard(), ["dear", "names/bai", "number/2"]);
}

// -- steps that ask outside ------------------------------------------------------------------------------------------

fn customer(id: &str) -> CustomerFacts {
    let fields =
        [("id", id), ("name", "白女士"), ("tier", "gold")].map(|(name, value)| (Arc::from(name), Value::text(value)));
    CustomerFacts { fields: fields.into() }
}

const LOOKUP: &str = "start = \"l\"\n[state.l]\nlookup = \"call.caller\"\ntimeout_ms = 1500\nnext = \"known\"\nnot_found = \"none\"\ntimeout = \"slow\"\nfailed = \"broken\"\n[state.known]\nplay = { clip = \"customer.tier\", in = \"names\", otherwise = \"hello\" }\nnext = \"agent\"\n[state.none]\nplay = \"ask\"\nnext = \"agent\"\n[state.slow]\nplay = \"again\"\nnext = \"agent\"\n[state.broken]\nplay = \"wrong\"\nnext = \"agent\"";

#[test]
fn a_lookup_leaves_by_what_the_store_knows() {
    for (answer, state) in [
        (Answer::Customer(Some(customer("1"))), "known"),
        (Answer::Customer(None), "none"),
        (Answer::TimedOut, "slow"),
        (Answer::Failed, "broken"),
    ] {
        let mut call = Rig::call(&plan(LOOKUP));
        let due = call.now + Duration::from_millis(1_500);
        assert!(matches!(call.effects.last(), Some(IvrEffect::Ask { deadline, .. }) if *deadline == due));
        assert!(matches!(call.question(), Question::Customer { key, .. } if key == "+861001"));
        call.answer(answer);
        assert_eq!(call.state(), state);
    }
}

#[test]
fn a_reply_after_its_deadline_changes_nothing() {
    let mut call = Rig::call(&plan(LOOKUP));
    call.answer(Answer::TimedOut).answer(Answer::Customer(Some(customer("1"))));
    assert_eq!(call.state(), "slow");
    assert_eq!(call.machine.customer, None);
}

const HTTP: &str = "start = \"h\"\n[vars]\nsum = \"money\"\ncity = \"text\"\n[state.h]\nhttp = \"https://api.example/of/{call.caller}\"\nquery = { q = '\"a&b\"' }\nheaders = { x-who = \"{call.caller}\", authorization = { env = \"TOKEN\" } }\ninto = { sum = \"/a/sum\", city = \"/city\" }\nretries = 2\nnext = \"agent\"\nstatus = { 404 = \"none\" }\ntimeout = \"slow\"\nfailed = \"broken\"\n[state.none]\nplay = \"ask\"\nnext = \"agent\"\n[state.slow]\nplay = \"again\"\nnext = \"agent\"\n[state.broken]\nplay = \"wrong\"\nnext = \"agent\"";

#[test]
fn a_company_system_is_asked_and_all_of_its_answer_is_taken_or_nothing() {
    let body = |text: &str| serde_json::from_str(text).expect("is JSON");
    let http = |status, text: &str| Answer::Http { status, body: body(text) };
    for (answer, state, sum) in [
        (http(200, r#"{"a": {"sum": 12.5}, "city": "Bern"}"#), "agent", Some("12.50")),
        (http(200, r#"{"a": {"sum": 12.5}}"#), "broken", None),
        (http(200, r#"{"a": {"sum": "much"}, "city": "Bern"}"#), "broken", None),
        (http(404, "{}"), "none", None),
        (http(302, "{}"), "broken", None),
        (http(500, "{}"), "broken", None),
        (Answer::TimedOut, "slow", None),
        (Answer::Failed, "broken", None),
    ] {
        let mut call = Rig::call(&plan(HTTP));
        call.answer(answer.clone());
        let read = call.var("sum").map(|sum| sum.to_string());
        assert_eq!((call.state().as_str(), read.as_deref()), (state, sum), "{answer:?}");
    }
    let call = Rig::call(&plan(HTTP));
    let Question::Http(asked) = call.question() else { panic!("asks by HTTP") };
    assert_eq!(
        (asked.url.as_str(), asked.retries, asked.secure),
        ("https://api.example/of/%2B861001?q=a%26b", 2, false)
    );
    assert!(asked.headers.contains(&(Arc::from("x-who"), HeaderValue::Text("+861001".to_string()))));
    assert!(asked.headers.contains(&(Arc::from("authorization"), HeaderValue::Environment(Arc::from("TOKEN")))));
}

const PIN: &str = "start = \"l\"\n[state.l]\nlookup = \"call.caller\"\nnext = \"a\"\nnot_found = \"agent\"\ntimeout = \"agent\"\nfailed = \"agent\"\n[state.a]\nauthenticate = \"pin\"\nask = \"ask\"\nretries = 1\nno_match = \"wrong\"\nnext = \"again\"\ndenied = \"denied\"\nlocked = \"locked\"\ntimeout = \"slow\"\nfailed = \"broken\"\n[state.again]\nlookup = '\"7\"'\nby = \"account\"\nnext = \"agent\"\nnot_found = \"agent\"\ntimeout = \"agent\"\nfailed = \"agent\"\n[state.denied]\nplay = \"wrong\"\nnext = \"agent\"\n[state.locked]\nplay = \"wrong\"\nnext = \"agent\"\n[state.slow]\nplay = \"wrong\"\nnext = \"agent\"\n[state.broken]\nplay = \"wrong\"\nnext = \"agent\"";

/// A caller whose record is known, asked for the PIN.
fn asked_for_pin() -> Rig {
    let mut call = Rig::call(&plan(PIN));
    call.answer(Answer::Customer(Some(customer("1"))));
    assert!(call.wants(&IvrEffect::Secure(true)));
    call
}

#[test]
fn a_pin_is_compared_outside_and_may_be_keyed_again() {
    let mut call = asked_for_pin();
    call.keys("1234#");
    assert!(matches!(call.question(), Question::Credential { keyed, .. } if keyed == "1234"));
    call.answer(Answer::Compared(Compared::Wrong));
    assert_eq!((call.state().as_str(), call.heard()), ("a", vec!["wrong", "ask"]));
    assert!(!call.wants(&IvrEffect::Secure(false)), "still secret");
    call.keys("5678#").answer(Answer::Compared(Compared::Verified));
    assert!(call.wants(&IvrEffect::Secure(false)));
    assert_eq!(call.state(), "again");
    assert!(call.machine.call.verified);
}

#[test]
fn a_pin_leaves_by_what_became_of_it_and_is_secret_no_more() {
    for (answer, state) in
        [(Answer::Compared(Compared::Locked), "locked"), (Answer::TimedOut, "slow"), (Answer::Failed, "broken")]
    {
        let mut call = asked_for_pin();
        call.keys("1234#").answer(answer);
        assert_eq!(call.state(), state);
        assert!(call.wants(&IvrEffect::Secure(false)));
    }
    let mut call = asked_for_pin();
    call.keys("1234#").answer(Answer::Compared(Compared::Wrong));
    call.keys("1234#").answer(Answer::Compared(Compared::Wrong));
    assert_eq!(call.state(), "denied");
    let mut call = asked_for_pin();
    call.played().silence().played().silence();
    assert_eq!(call.steps().last().map(String::as_str), Some("a denied"));
    assert!(call.wants(&IvrEffect::Secure(false)));
}

#[test]
fn what_was_verified_of_one_customer_says_nothing_of_another() {
    for (found, verified) in [(Some(customer("1")), true), (Some(customer("2")), false), (None, false)] {
        let mut call = asked_for_pin();
        call.keys("1234#").answer(Answer::Compared(Compared::Verified));
        call.answer(Answer::Customer(found));
        assert_eq!(call.machine.call.verified, verified);
    }
}

// -- handing on ------------------------------------------------------------------------------------------------------

const QUEUE: &str = "start = \"q\"\n[vars]\nn = 7\nof = { type = \"text\", value = \"li\" }\n[state.q]\nqueue = \"service\"\npriority = \"n * 1000\"\nskills = \"english >= 2\"\nprefer = \"of\"\nattach = { n = \"n\" }\nmax_wait_s = 60\nkeys = { 1 = \"k\" }\ntimeout = \"t\"\nfailed = \"f\"\nfull = \"full\"\nclosed = \"closed\"\nno_agents = \"nobody\"\n[state.k]\nhangup = true\n[state.t]\nhangup = \"bye\"\n[state.f]\nhangup = \"bye\"\n[state.full]\nhangup = \"bye\"\n[state.closed]\nhangup = \"bye\"\n[state.nobody]\nhangup = \"bye\"\n";

#[test]
fn a_caller_queues_with_priority_skills_and_what_the_agent_is_to_see() {
    let mut call = Rig::call(QUEUE);
    let queue = IvrEffect::Queue {
        queue: QueueName::new("service"),
        priority: 1_000,
        skills: Some(Arc::from("english >= 2")),
        prefer: Some(Arc::from("li")),
        attach: vec![(Arc::from("n"), "7".to_string())],
    };
    assert!(call.wants(&queue), "points are bounded");
    call.tell(IvrInput::QueueLeft(QueueEnd::Answered));
    assert!(call.machine.is_over() && !call.wants(&IvrEffect::HangUp), "the conversation has the call");
    assert_eq!(call.steps(), ["q answered"]);
}

#[test]
fn a_caller_leaves_the_queue_by_a_key_that_is_named_and_by_no_other() {
    let mut call = Rig::call(QUEUE);
    call.keys("2A#");
    assert_eq!(call.state(), "q");
    call.keys("1");
    assert!(call.wants(&IvrEffect::LeaveQueue) && call.wants(&IvrEffect::HangUp));
    assert_eq!(call.steps(), ["q key 1", "k hangup"]);
    call.tell(IvrInput::QueueLeft(QueueEnd::Failed));
    assert_eq!(call.steps().len(), 2);
}

#[test]
fn a_caller_waits_as_long_as_the_state_says() {
    let mut call = Rig::call(QUEUE);
    assert_eq!(call.machine.poll_timeout(), Some(call.now + secs(60)));
    call.tell(IvrInput::Timeout { at: call.now });
    assert_eq!(call.state(), "q", "too early");
    call.silence();
    assert!(call.wants(&IvrEffect::LeaveQueue));
    assert_eq!(call.state(), "t");
}

#[test]
fn a_queue_that_refuses_says_why() {
    for (end, state) in [
        (QueueEnd::Full, "full"),
        (QueueEnd::Closed, "closed"),
        (QueueEnd::NoAgents, "nobody"),
        (QueueEnd::Failed, "f"),
    ] {
        let mut call = Rig::call(QUEUE);
        call.tell(IvrInput::QueueLeft(end));
        assert_eq!(call.state(), state);
        assert!(!call.wants(&IvrEffect::LeaveQueue));
    }
}

#[test]
fn a_number_is_rung_and_its_end_leads_on() {
    let text = "start = \"d\"\n[state.d]\ndial = { of = \"call.caller\" }\nring_s = 20\ncaller_id = \"1001\"\nbusy = \"b\"\ntimeout = \"t\"\nfailed = \"f\"\n[state.b]\nhangup = \"bye\"\n[state.t]\nhangup = \"bye\"\n[state.f]\nhangup = \"bye\"\n";
    for (end, state) in [(DialEnd::Busy, "b"), (DialEnd::NoAnswer, "t"), (DialEnd::Failed, "f"), (DialEnd::Talked, "")]
    {
        let mut call = Rig::call(text);
        let (to, caller_id) = (Arc::from("+861001"), Some(Arc::from("1001")));
        let dial = IvrEffect::Dial { to, account: false, caller_id, ring: secs(20) };
        assert!(call.wants(&dial));
        call.keys("1").tell(IvrInput::DialDone(end));
        assert_eq!(call.state(), state);
        assert_eq!(call.wants(&IvrEffect::HangUp), end == DialEnd::Talked, "no `next`: the call is over");
    }
}

#[test]
fn a_message_follows_its_greeting() {
    let text = "start = \"v\"\n[state.v]\nvoicemail = \"box\"\ngreeting = \"hello\"\nmax_s = 30\nsilence_s = 4\nnext = \"n\"\nfailed = \"f\"\n[state.n]\nhangup = \"bye\"\n[state.f]\nhangup = \"wrong\"\n";
    for (input, state) in [(IvrInput::MessageKept { seconds: 3.0 }, "n"), (IvrInput::MessageFailed, "f")] {
        let mut call = Rig::call(text);
        let message = IvrEffect::Message { mailbox: Arc::from("box"), beep: true, max: secs(30), silence: secs(4) };
        call.keys("1").tell(input.clone());
        assert!(!call.wants(&message) && call.state() == "v", "the greeting is heard first");
        call.played();
        assert!(call.wants(&message));
        call.tell(input);
        assert_eq!(call.state(), state);
    }
}

// -- pages and bounds ------------------------------------------------------------------------------------------------

#[test]
fn a_page_is_given_values_returns_one_and_chooses_the_way() {
    let page = "start = \"s\"\nreturns = [\"big\", \"small\"]\n[params]\nn = \"number\"\n[results]\nm = \"number\"\n[state.s]\nset = { m = \"n * 2\" }\nnext = \"b\"\n[state.b]\nbranch = [{ if = \"m > 10\", go = \"big\" }]\notherwise = \"small\"\n[state.big]\nreturn = \"big\"\n[state.small]\nreturn = \"small\"\n";
    let main = |n: i64| {
        plan(&format!(
            "start = \"p\"\n[vars]\ngot = 0\n[state.p]\npage = \"page\"\ngive = {{ n = \"{n}\" }}\ntake = {{ got = \"m\" }}\noutcomes = {{ big = \"agent\", small = \"s\" }}\n[state.s]\nplay = \"hello\"\nnext = \"agent\""
        ))
    };
    let call = Rig::among(&[("main", &main(6)), ("page", page)]);
    assert_eq!((call.state().as_str(), call.var("got")), ("agent", Some(Value::Number(12))));
    assert_eq!(call.steps(), ["s next", "b case 1", "big return big", "p outcome big"]);
    let call = Rig::among(&[("main", &main(2)), ("page", page)]);
    assert_eq!((call.state().as_str(), call.var("got")), ("s", Some(Value::Number(4))));
}

#[test]
fn a_state_is_entered_as_often_as_it_may_be() {
    let text = "start = \"a\"\n[state.a]\nmax_visits = 2\nexhausted = \"agent\"\nplay = \"hello\"\nnext = \"a\"";
    let mut call = Rig::call(&plan(text));
    call.played().played();
    assert_eq!((call.state().as_str(), call.steps().last().map(String::as_str)), ("agent", Some("a exhausted")));
}

#[test]
fn a_dialplan_that_never_waits_is_ended() {
    let states = 1_000;
    let mut page = String::from("start = \"s0\"\nreturns = [\"done\"]\n[vars]\nn = 0\n");
    for nth in 0..states {
        page.push_str(&format!("[state.s{nth}]\nset = {{ n = \"n\" }}\nnext = \"s{}\"\n", nth + 1));
    }
    page.push_str(&format!("[state.s{states}]\nreturn = \"done\"\n"));
    let calls = limits::IVR_STEPS / states + 1;
    let mut main = String::from("start = \"p0\"\n");
    for nth in 0..calls {
        main.push_str(&format!("[state.p{nth}]\npage = \"page\"\nnext = \"p{}\"\n", nth + 1));
    }
    main.push_str(&format!("[state.p{calls}]\nhangup = true\n"));
    let call = Rig::among(&[("main", &main), ("page", &page)]);
    assert!(call.machine.is_over());
    assert!(call.steps().last().is_some_and(|step| step.ends_with("runaway")));
    assert_eq!(call.effects.last(), Some(&IvrEffect::HangUp));
}

// -- secrets ---------------------------------------------------------------------------------------------------------

const CARD: &str = "4111111111111111";
const SECRET_PIN: &str = "864209";

const SECRETS: &str = "start = \"l\"\n[vars]\ncard = \"secret\"\ntail = \"digits\"\nn = \"digits\"\n[state.l]\nlookup = \"call.caller\"\nnext = \"m\"\nnot_found = \"bye\"\ntimeout = \"bye\"\nfailed = \"bye\"\n[state.m]\nmenu = \"ask\"\nkeys = { 1 = \"card\", 2 = \"pin\", 3 = \"n\", 4 = \"page\", 5 = \"dial\", 6 = \"mail\", 7 = \"zh\", 0 = \"agent\" }\nfailed = \"agent\"\n[state.card]\nsecure = \"ask\"\ninto = \"card\"\ndigits = 16\nluhn = true\nlast4 = \"tail\"\nno_match = \"wrong\"\nnext = \"pay\"\nfailed = \"m2\"\n[state.m2]\nmax_visits = 3\nexhausted = \"agent\"\nplay = \"hello\"\nnext = \"m\"\n[state.pay]\nhttp = \"https://pay.example/{tail}\"\nconfidential = true\nbody = { card = \"card\" }\nnext = \"told\"\ntimeout = \"m2\"\nfailed = \"m2\"\n[state.told]\nhttp = \"https://log.example\"\nbody = { tail = \"tail\" }\nnext = \"m2\"\ntimeout = \"m2\"\nfailed = \"m2\"\n[state.pin]\nauthenticate = \"pin\"\nask = \"ask\"\nmin = 6\nmax = 6\nnext = \"m\"\ndenied = \"m2\"\ntimeout = \"m2\"\nfailed = \"m2\"\n[state.n]\ncollect = \"ask\"\ninto = \"n\"\nmin = 1\nmax = 3\nnext = \"m\"\nfailed = \"m2\"\n[state.page]\npage = \"page\"\nnext = \"m2\"\n[state.dial]\ndial = \"1001\"\nnext = \"m2\"\ntimeout = \"m2\"\nfailed = \"m2\"\n[state.mail]\nvoicemail = \"box\"\ngreeting = \"hello\"\nnext = \"m2\"\nfailed = \"m2\"\n[state.zh]\nlanguage = \"zh\"\nnext = \"m2\"\n[state.agent]\nqueue = \"service\"\nattach = { tail = '\"x\"' }\nkeys = { 9 = \"m\" }\ntimeout = \"bye\"\nfailed = \"bye\"\n[state.bye]\nhangup = \"bye\"\n";
const PAGE: &str = "start = \"s\"\nreturns = [\"done\"]\n[vars]\ncard = \"secret\"\n[state.s]\nsecure = \"ask\"\ninto = \"card\"\ndigits = 16\nnext = \"done\"\nfailed = \"done\"\n[state.done]\nreturn = \"done\"\n";

fn with_secrets() -> Rig {
    let mut call = Rig::among(&[("main", SECRETS), ("page", PAGE)]);
    call.answer(Answer::Customer(Some(customer("1"))));
    call
}

#[test]
fn a_card_goes_to_the_secure_exchange_and_nowhere_else_and_is_forgotten_before_the_queue() {
    let mut call = with_secrets();
    call.keys("1").keys("4111111111111112");
    assert_eq!(call.heard(), ["wrong", "ask"], "the check digit is wrong");
    call.keys(CARD);
    let secure: Vec<_> = call.effects.iter().filter(|effect| matches!(effect, IvrEffect::Secure(_))).collect();
    assert_eq!(secure, [&IvrEffect::Secure(true), &IvrEffect::Secure(false)]);
    let Question::Http(pay) = call.question() else { panic!("pays by HTTP") };
    assert!(pay.secure && pay.url.ends_with("/1111"));
    assert_eq!(pay.body, Some(serde_json::json!({ "card": CARD })));
    assert!(call.var("card").is_some());
    call.answer(Answer::TimedOut).played().keys("0");
    assert_eq!((call.state().as_str(), call.var("card")), ("agent", None));
    assert!(!format!("{:?}", call.machine).contains("1111"));
}

#[test]
fn keys_pressed_ahead_do_not_outlive_the_dialplan_s_own_part_of_the_call() {
    for key in ["0", "5", "6"] {
        let mut call = with_secrets();
        call.keys(key).keys("864");
        assert!(call.machine.keys.is_empty(), "after {key}");
    }
}

/// Whether an effect shows a secret to anybody but the two who may have it.
fn gives_away(effect: &IvrEffect) -> bool {
    let shown = match effect {
        IvrEffect::Ask { question: Question::Http(call), .. } if !call.secure => {
            format!("{call:?} {:?} {:?}", call.headers, call.body)
        }
        IvrEffect::Ask { question: Question::Http(call), .. } => format!("{call:?} {:?}", call.headers),
        other => format!("{other:?}"),
    };
    [CARD, SECRET_PIN].iter().any(|secret| shown.contains(secret))
}

fn any_input() -> impl Strategy<Value = (u8, IvrInput)> {
    let key = prop::sample::select("0123456789*#A".chars().collect::<Vec<_>>()).prop_map(IvrInput::Key);
    let ticket = 0_u32..60;
    let answer = prop_oneof![
        Just(Answer::Customer(Some(customer("1")))),
        Just(Answer::Customer(None)),
        Just(Answer::Compared(Compared::Verified)),
        Just(Answer::Compared(Compared::Wrong)),
        Just(Answer::Compared(Compared::Locked)),
        (100_u16..600).prop_map(|status| Answer::Http { status, body: serde_json::Value::Null }),
        Just(Answer::TimedOut),
        Just(Answer::Failed),
    ];
    let ends = prop::sample::select(vec![
        IvrInput::Start,
        IvrInput::QueueLeft(QueueEnd::Full),
        IvrInput::QueueLeft(QueueEnd::Closed),
        IvrInput::DialDone(DialEnd::Talked),
        IvrInput::DialDone(DialEnd::Busy),
        IvrInput::MessageKept { seconds: 1.0 },
        IvrInput::MessageFailed,
        IvrInput::Timeout { at: Time::from_secs(0) },
    ]);
    let input = prop_oneof![
        4 => key,
        3 => ticket.clone().prop_map(|n| IvrInput::PlayDone(super::PlayTicket(n))),
        3 => (ticket, answer).prop_map(|(n, answer)| IvrInput::Answered(super::AskTicket(n), answer)),
        2 => ends,
    ];
    (0_u8..8, input)
}

proptest! {
    /// Whatever comes in whatever order: no panic, no secret told, no endless play, and time never stands still.
    #[test]
    fn nothing_that_happens_gives_a_secret_away(inputs in proptest::collection::vec(any_input(), 1..120)) {
        let mut call = with_secrets();
        for (turn, input) in inputs {
            match (turn, call.state().as_str()) {
                // A caller who keys the card where it is asked for, and the PIN likewise.
                (0..4, "card" | "s") => call.keys(CARD),
                (0..4, "pin") => call.keys(SECRET_PIN),
                (0, _) if call.machine.poll_timeout().is_some() => call.silence(),
                _ => call.later(secs(1)).tell(input),
            };
            prop_assert!(!call.effects.iter().any(gives_away));
            let shown = format!("{:?} {:?}", call.machine, call.effects);
            prop_assert!(!shown.contains(CARD) && !shown.contains(SECRET_PIN));
            let is_mute = |effect: &IvrEffect| matches!(effect, IvrEffect::Play { parts, .. } if parts.is_empty());
            prop_assert!(!call.effects.iter().any(is_mute));
            prop_assert!(call.machine.is_over() || call.machine.place().is_some());
            call.effects.retain(|effect| matches!(effect, IvrEffect::Play { .. } | IvrEffect::Ask { .. }));
        }
    }
}

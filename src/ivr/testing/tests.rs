//! The runner: what it shows, what it fails, and that a failure says where and what to do.

use super::canned::local_time;
use crate::ids::QueueName;

use super::*;
use crate::dialplan::scenario::read_scenarios;
use crate::dialplan::{Names, load};
use crate::finding::Source;

const PLAN: &str = r#"
start = "welcome"
languages = ["en", "zh"]
[vars]
sum = "money"
n = "digits"
card = "secret"
[state.welcome]
play = "hello"
next = "main"
[state.main]
menu = "choose"
keys = { 1 = "ask", 2 = "agent", 3 = "entry", 4 = "card" }
retries = 1
failed = "bye"
[state.ask]
http = "https://api.example/sum"
into = { sum = "/sum" }
retries = 1
next = "entry"
timeout = "bye"
failed = "bye"
[state.entry]
collect = "choose"
into = "n"
max = 4
next = "agent"
failed = "bye"
[state.card]
secure = "choose"
into = "card"
digits = 12
next = "agent"
failed = "bye"
[state.agent]
queue = "service"
attach = { n = '"seven"' }
keys = { 9 = "bye" }
max_wait_s = 60
timeout = "message"
failed = "bye"
[state.message]
voicemail = "box"
failed = "bye"
next = "bye"
[state.bye]
hangup = "goodbye"
"#;

fn setting() -> (Arc<Book>, PromptCatalogue) {
    let mut catalogue = PromptCatalogue::default();
    for (prompt, english, mandarin) in
        [("hello", "Welcome.", "您好，"), ("choose", "Please choose.", "请选择。"), ("goodbye", "Goodbye.", "再见。")]
    {
        catalogue.insert(Language::new("en"), PromptName::new(prompt), english);
        catalogue.insert(Language::new("zh"), PromptName::new(prompt), mandarin);
    }
    let names = Names { queues: [QueueName::new("service")].into(), ..Names::default() };
    let loaded = load(&[Source::new("dialplans/plan.toml", PLAN)], &catalogue, &names);
    let told: Vec<_> = loaded.findings.iter().map(ToString::to_string).collect();
    (Arc::new(loaded.book.unwrap_or_else(|| panic!("{}", told.join("\n")))), catalogue)
}

/// Runs one test, written from its second line on.
fn test(text: &str) -> Report {
    let (book, catalogue) = setting();
    let source = Source::new("dialplans/plan.test.toml", format!("[[test]]\nname = \"it\"\n{text}\n"));
    let tests = read_scenarios(&source, &book).unwrap_or_else(|findings| panic!("{findings:?}"));
    run(&book, &catalogue, &tests)
}

fn passes(text: &str) {
    let failures: Vec<_> = test(text).failures().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Line and reason of the failure.
fn fails(text: &str) -> (u32, String) {
    let report = test(text);
    let failure = report.failures().next().expect("it fails");
    assert!((&*failure.file, failure.code) == ("dialplans/plan.test.toml", "test.failed") && !failure.mend.is_empty());
    (failure.line, failure.reason.clone())
}

#[test]
fn what_the_caller_meets_is_as_the_test_says() {
    passes(
        "steps = [{ hear = \"hello\" }, { words = \"choose\" }, { press = \"2\" }]\nend = { queue = \"service\", priority = 0, attach = { n = \"seven\" } }",
    );
    passes(
        "language = \"zh\"\nsteps = [{ words = \"您好\" }, { press = \"2\" }, { wait_s = 30 }, { press = \"9\" }]\nend = { hangup = true }",
    );
    passes("steps = [{ silence = true }, { silence = true }, { hear = \"goodbye\" }]\nend = { hangup = true }");
    passes("steps = [{ press = \"2\" }, { wait_s = 61 }, { state = \"message\" }]\nend = { voicemail = \"box\" }");
    passes("steps = [{ press = \"2\" }, { state = \"agent\" }, { hangup = true }]\nend = { caller_hangup = true }");
    passes("steps = [{ press = \"2\" }]\nend = { hangup = true }\n[test.answers]\nagent = \"key 9\"");
    passes(
        "steps = [{ press = \"1\" }, { press = \"1#\" }]\nend = { queue = \"service\" }\n[test.answers]\nask = [{ status = 503 }, { body = { sum = 1 } }]",
    );
}

#[test]
fn a_test_that_expects_what_does_not_happen_fails_at_its_line() {
    let (line, reason) =
        fails("steps = [\n{ hear = \"hello\" },\n{ hear = \"hello\" },\n]\nend = { queue = \"service\" }");
    assert_eq!((line, reason.as_str()), (5, "Test \"it\": The prompt `hello` is not heard."));
    let (line, reason) = fails("steps = [{ words = \"Bonjour\" }]\nend = { hangup = true }");
    assert_eq!((line, reason.as_str()), (3, "Test \"it\": Nothing is said with the words \"Bonjour\"."));
    let (line, reason) = fails("steps = [{ press = \"2\" },\n{ state = \"main\" }]\nend = { queue = \"service\" }");
    assert_eq!((line, reason.as_str()), (4, "Test \"it\": The call does not come to the state `main`."));
    let (line, reason) =
        fails("steps = [{ silence = true }, { silence = true },\n{ press = \"1\" }]\nend = { hangup = true }");
    assert_eq!(line, 4);
    assert!(reason.contains("the call is over or takes no keys"), "{reason}");
}

#[test]
fn a_test_that_ends_elsewhere_fails_with_both_ends_and_the_way() {
    let report = test("steps = [{ press = \"2\" }]\nend = { queue = \"service\", priority = 5 }");
    let failure = report.failures().next().expect("it fails");
    assert_eq!(
        failure.reason,
        "Test \"it\": It ends in queue `service` with priority 0, telling n = seven, not in queue `service` with priority 5."
    );
    assert!(failure.mend.ends_with("It went welcome → main → agent."), "{}", failure.mend);
    for end in ["{ hangup = true }", "{ voicemail = \"box\" }", "{ queue = \"service\", attach = { n = 8 } }"] {
        assert_eq!(fails(&format!("steps = [{{ press = \"2\" }}]\nend = {end}")).0, 2, "{end}");
    }
}

#[test]
fn a_company_system_without_an_answer_fails_the_test() {
    let (line, reason) = fails("steps = [{ press = \"1\" }]\nend = { hangup = true }");
    assert_eq!((line, reason.as_str()), (2, "Test \"it\": It does not say what the company system of `ask` answers."));
}

#[test]
fn coverage_counts_what_was_walked() {
    let (book, _) = setting();
    let id = book.find("plan").expect("is there");
    let report = test("steps = [{ press = \"2\" }]\nend = { queue = \"service\" }");
    let covered = report.coverage[&id].report(book.get(id));
    let missed: Vec<_> = covered.missed_states.iter().map(|state| &*book.get(id).state(*state).name).collect();
    assert_eq!(missed, ["ask", "entry", "card", "message", "bye"]);
    assert_eq!(covered.edges - covered.missed_edges.len(), 2, "welcome to main, and key 2");
}

#[test]
fn a_walk_is_shown_as_a_transcript_and_its_secrets_as_dots() {
    let (book, catalogue) = setting();
    let id = book.find("plan").expect("is there");
    let walked = walk(&book, &catalogue, id, &script("4 123456789012").expect("is a script"));
    let shown = walked.to_string();
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        [
            "  0:00  [welcome]",
            "  0:00    “Welcome.”",
            "  0:00  [main]",
            "  0:00    “Please choose.”",
            "  0:00    the caller presses 4",
            "  0:00  [card]",
            "  0:00    “Please choose.”",
            "  0:00    the caller presses ••••••••••••",
            "  0:00  [agent]",
            "  0:00    → queue service, priority 0",
            "  0:00    ← the queue: Answered",
            "It ends in queue `service` with priority 0, telling n = seven.",
        ]
    );
    let walked = walk(&book, &catalogue, id, &script("1").expect("is a script"));
    assert!(walked.to_string().contains("→ GET https://api.example/sum"));
    assert_eq!((walked.end, walked.unanswered.len()), (Some(End::Hangup), 1), "a company system nobody canned fails");
}

#[test]
fn a_script_on_the_command_line_is_keys_silence_waits_and_hanging_up() {
    let steps = script(" 1 0042# ~ 20s hangup ").expect("is a script").steps;
    let kinds: Vec<_> = steps.into_iter().map(|step| step.what).collect();
    let keys = |text: &str| StepKind::Press(text.chars().filter_map(Key::new).collect());
    let wait = StepKind::Wait(Duration::from_secs(20));
    assert_eq!(kinds, [keys("1"), keys("0042#"), StepKind::Silence, wait, StepKind::HangUp]);
    for wrong in ["12a", "s", "hang", "99999999s"] {
        assert!(script(wrong).is_err_and(|why| why.contains(wrong)));
    }
}

#[test]
fn the_clock_of_a_test_is_the_centre_s_own() {
    let local = local_time(Time::from_secs(1_795_399_200), 480);
    assert_eq!((local.date.to_string().as_str(), local.hour, local.weekday), ("2026-11-23", 10, 1));
    let local = local_time(Time::from_secs(1_795_399_200), -180);
    assert_eq!((local.date.to_string().as_str(), local.hour, local.weekday), ("2026-11-22", 23, 7));
}

#[test]
fn a_walk_in_which_too_much_happens_is_given_up() {
    let (_, catalogue) = setting();
    let names = Names { queues: [QueueName::new("service")].into(), ..Names::default() };
    let plan = PLAN.replace("4 = \"card\"", "4 = \"card\", 5 = \"welcome\"");
    let book = Arc::new(load(&[Source::new("dialplans/plan.toml", plan)], &catalogue, &names).book.unwrap());
    let one = "[[test]]\nname = \"it\"\nsteps = []\nend = { hangup = true }\n";
    let dialplan = read_scenarios(&Source::new("dialplans/plan.test.toml", one), &book).unwrap().dialplan;
    // A caller who goes round and round.
    let round = script(&"5 ".repeat(limits::TRIAL_HAPPENINGS)).unwrap();
    let walked = walk(&book, &catalogue, dialplan, &round);
    assert_eq!(walked.end, None);
    let happened = walked.happenings.len();
    assert!((limits::TRIAL_HAPPENINGS..limits::TRIAL_HAPPENINGS + 10).contains(&happened), "{happened}");
}

//! Dialplans drawn, walked and tested, without a phone.

use serde_json::{Value, json};

use super::centre::{Centre, write_sound};

/// A centre with one line: a menu, a company system, a queue.
const SHOP: &str = r#"about = "A shop"
languages = ["en"]
start = "hours"

[vars]
order = "text"

[customer]
vip = "bool"

[state.hours]
hours = "office"
open = "who"
closed = "bye"

[state.who]
lookup = "call.caller"
timeout_ms = 500
next = "known"
not_found = "main"
timeout = "main"
failed = "main"

[state.known]
branch = [{ if = "has(customer.vip)", go = "service" }]
otherwise = "main"

[state.main]
menu = "main"
keys = { 1 = "order", 0 = "service" }
retries = 1
failed = "bye"

[state.order]
http = "https://shop.example/order"
into = { order = "/order" }
timeout_ms = 500
next = "service"
timeout = "service"
failed = "bye"

[state.service]
queue = "service"
max_wait_s = 60
timeout = "bye"
failed = "bye"

[state.bye]
hangup = "goodbye"
"#;

const TESTS: &str = r#"[[test]]
name = "nobody presses anything"
steps = [{ hear = "main" }]
end = { hangup = true }

[[test]]
name = "a person"
steps = [{ press = "0" }]
end = { queue = "service" }
"#;

fn shop() -> Centre {
    let centre = Centre::with(
        "domain = \"shop.test\"\ncountry = \"86\"\ntime_zone = \"Asia/Shanghai\"\n\
         [queue.service]\n[hours.office]\ndaily = [\"09:00-18:00\"]\n",
    );
    centre.write("dialplans/shop.toml", SHOP);
    centre.write("dialplans/shop.test.toml", TESTS);
    for prompt in ["main", "goodbye"] {
        write_sound(&centre.path(&format!("prompts/en/{prompt}.wav")));
    }
    centre.write("prompts/en/manifest.toml", "[prompts]\nmain = \"Press one.\"\ngoodbye = \"Goodbye.\"\n");
    centre
}

// -- graph -----------------------------------------------------------------------------------------------------------

#[test]
fn a_dialplan_is_drawn_as_a_tree_a_diagram_and_data() {
    let centre = shop();
    let tree = centre.run("dialplan graph dialplans/shop.toml").ok();
    assert!(tree.starts_with("shop — A shop\nhours: hours office\n") && tree.contains("key 1 → order"), "{tree}");
    let diagram = centre.run("dialplan graph dialplans/shop.toml --mermaid").ok();
    assert!(diagram.starts_with("flowchart TD\n"), "{diagram}");
    let drawn = centre.run("dialplan graph dialplans/shop.toml --json").json();
    assert_eq!((&drawn["start"], drawn["states"].as_array().unwrap().len()), (&json!("hours"), 7));
    assert_eq!(drawn["states"][0]["edges"][0], json!({ "on": "open", "to": "who" }));
}

#[test]
fn what_is_no_dialplan_of_the_configuration_or_a_broken_one_is_not_drawn() {
    let centre = shop();
    assert!(
        centre.run("dialplan graph dialplans/none.toml").fails(1).contains("there is no dialplan dialplans/none.toml")
    );
    centre.write("elsewhere/shop.toml", SHOP);
    let told = centre.run("dialplan graph elsewhere/shop.toml").fails(1);
    assert!(told.contains("is none of the dialplans of strowger.toml"), "{told}");
    centre.write("dialplans/shop.toml", &SHOP.replace("menu = \"main\"", "menu = \"mian\""));
    let told = centre.run("dialplan graph dialplans/shop.toml").fails(3);
    assert!(told.contains("dialplans/shop.toml:29:8") && told.contains("Did you mean `main`?"), "{told}");
    let refused = centre.run("dialplan graph dialplans/shop.toml --json");
    assert_eq!((refused.code, refused.out.contains("\"line\": 29")), (3, true), "{}", refused.out);
}

// -- try -------------------------------------------------------------------------------------------------------------

const TRY: &str = "dialplan try dialplans/shop.toml --at 2026-11-23T10:00";

#[test]
fn a_script_of_keys_walks_it_in_a_world_as_it_is_told() {
    let centre = shop();
    let walked = centre.run(&format!("{TRY} --keys 0")).ok();
    assert!(walked.contains("“Press one.”") && walked.contains("the caller presses 0"), "{walked}");
    assert!(walked.ends_with("It ends in queue `service` with priority 0.\n"), "{walked}");
    let failed = centre.run(&format!("{TRY} --keys 1")).ok();
    assert!(failed.contains("“Goodbye.”"), "a company system fails unless it is told otherwise:\n{failed}");
    let late = centre.run(&format!("{TRY} --keys 1 --answer order=timeout")).ok();
    assert!(late.contains("nothing in time") && late.contains("queue `service`"), "{late}");
    let known = centre.run(&format!("{TRY} --keys 1s --caller 13800138000 --customer vip=true --json"));
    let told: Value = serde_json::from_str(&known.out).unwrap();
    assert!(told["end"].as_str().is_some_and(|end| end.starts_with("queue `service`")), "{told:#}");
    let night = centre.run("dialplan try dialplans/shop.toml --at 2026-11-23T22:00 --keys hangup").ok();
    assert!(night.contains("[bye]") && !night.contains("[main]"), "it is closed by the configuration:\n{night}");
}

#[test]
fn by_hand_the_keys_come_from_standard_input_and_the_same_keys_are_the_same_walk() {
    let centre = shop();
    let by_hand = centre.run_with(TRY, "~\n0\n").ok();
    let scripted = centre.run(&format!("{TRY} --keys ~,0")).ok();
    assert_eq!(by_hand, scripted);
    let left = centre.run_with(TRY, "").ok();
    assert!(left.ends_with("It ends in a hangup by the dialplan.\n"), "{left}");
}

#[test]
fn words_that_fit_nothing_are_a_wrong_command_line() {
    let centre = shop();
    for (options, why) in [
        ("--keys 1,x", "`x` is neither keys"),
        ("--at yesterday --keys 1", "`yesterday` is no day"),
        ("--caller 12x --keys 1", "`12x` is no number"),
        ("--customer vpi=true --keys 1", "Did you mean `vip`?"),
        ("--customer vip=perhaps --keys 1", "`perhaps` is no value for `vip`"),
        ("--answer ordre=timeout --keys 1", "Did you mean `order`?"),
        ("--answer order=late --keys 1", "State `order` has no edge `late`: it has next, timeout, failed."),
    ] {
        let told = centre.run(&format!("dialplan try dialplans/shop.toml {options}")).fails(2);
        assert!(told.contains(why), "{options}: {told}");
    }
    assert!(centre.run_with(TRY, "1x\n").fails(2).contains("`1x` is neither"), "a script that is piped in");
}

// -- test ------------------------------------------------------------------------------------------------------------

#[test]
fn tests_beside_a_dialplan_pass_with_what_they_leave_unwalked() {
    let centre = shop();
    let told = centre.run("dialplan test").ok();
    assert!(told.starts_with("shop: 2 passed, 0 failed; 71 % of 7 states, "), "{told}");
    assert!(told.contains("  not walked: order\n") && told.contains("  not walked: hours, closed → bye\n"), "{told}");
    let told = centre.run("dialplan test dialplans/shop.toml --json").json();
    assert_eq!((&told[0]["tests"][1]["passed"], &told[0]["tests"][1]["line"]), (&json!(true), &json!(7)));
    assert_eq!(told[0]["coverage"]["missed_states"], json!(["known", "order"]));
    centre.write("dialplans/shop.test.toml", "");
    std::fs::remove_file(centre.path("dialplans/shop.test.toml")).unwrap();
    let told = centre.run("dialplan test").ok();
    assert!(told.starts_with("shop: no tests; 0 % of 7 states"), "{told}");
}

#[test]
fn a_test_that_fails_says_where_and_one_that_cannot_be_read_stops_them_all() {
    let centre = shop();
    centre.write("dialplans/shop.test.toml", &TESTS.replace("press = \"0\"", "press = \"1\""));
    let ran = centre.run("dialplan test dialplans/shop.test.toml");
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("1 passed, 1 failed") && ran.out.contains("dialplans/shop.test.toml:7:1: error[test.failed]"),
        "{}",
        ran.out
    );
    let ran = centre.run("dialplan test --json");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &told[0]["tests"][1]["failure"]["line"]), (1, &json!(7)), "{told:#}");
    centre.write("dialplans/shop.test.toml", &TESTS.replace("hear", "hera"));
    let told = centre.run("dialplan test").fails(3);
    assert!(told.contains("dialplans/shop.test.toml:3:"), "{told}");
}

#[test]
fn the_shipped_dialplans_pass_their_tests_through_the_command() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/strowger.toml");
    let told = Centre::empty().run(&format!("--config {demo} dialplan test --json")).json();
    let told = told.as_array().unwrap();
    assert!(told.len() >= 7);
    for dialplan in told {
        let tests = dialplan["tests"].as_array().unwrap();
        assert!(!tests.is_empty() && tests.iter().all(|test| test["passed"] == true), "{dialplan:#}");
        assert!(dialplan["coverage"]["edges_percent"].as_u64().unwrap() >= 95, "{dialplan:#}");
    }
}

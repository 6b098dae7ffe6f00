//! Users, accounts, agents and customers: lists, changes, tables in and out.

use serde_json::Value;

use super::centre::{Centre, names, read};

const PEOPLE: &str = "name,display,role,language,password,account,sip_password,skills\n\
    amy,Amy Wong,agent,en,correct horse,1001,battery staple,\"billing:5, english:3\"\n\
    bai,白雪,agent,zh,correct horse,1002,battery staple,\n\
    root,,admin,,correct horse,,,\n";

#[test]
fn a_table_of_people_becomes_users_accounts_and_agents_and_the_same_table_again_changes_nothing() {
    let centre = Centre::new();
    centre.write("people.csv", PEOPLE);
    assert_eq!(centre.run("users import people.csv").ok(), "3 people added, 0 changed, 0 unchanged.\n");
    assert_eq!(centre.run("accounts import people.csv").ok(), "0 people added, 0 changed, 3 unchanged.\n");

    let users = centre.run("users list --json").json();
    assert_eq!(names(&users), ["amy", "bai", "root"]);
    assert_eq!((&users[0]["can_sign_in"], &users[0]["account"]), (&Value::Bool(true), &Value::from("1001")));
    let accounts = centre.run("accounts list --json").json();
    assert_eq!((&accounts[0]["realm"], &accounts[0]["users"][0]), (&Value::from("pbx.test"), &Value::from("amy")));
    let agents = centre.run("agents list --json").json();
    assert_eq!(names(&agents), ["amy", "bai"], "an agent without skills takes calls, too");
    assert_eq!(agents[0]["queues"], serde_json::json!(["accounts", "service"]));
    assert_eq!(agents[1]["queues"], serde_json::json!(["service"]));
    for shown in [centre.run("users list --json").ok(), centre.run("accounts list --json").ok()] {
        assert!(!shown.contains("argon2") && !shown.contains("ha1"), "{shown}");
    }
}

#[test]
fn what_is_exported_reads_back_as_the_same_people() {
    let centre = Centre::new();
    centre.write("people.csv", PEOPLE);
    centre.run("users import people.csv").ok();
    for file in ["out.csv", "out.json"] {
        centre.run(&format!("users export {file}")).ok();
        let text = read(&centre.path(file));
        assert!(text.contains("白雪") && !text.contains("correct horse") && !text.contains("argon2"), "{text}");
        assert_eq!(
            centre.run(&format!("agents import {file}")).ok(),
            "0 people added, 0 changed, 3 unchanged.\n",
            "{file}"
        );
    }
}

#[test]
fn a_table_with_a_mistake_is_refused_whole_with_file_and_line() {
    let centre = Centre::new();
    let text = PEOPLE.replace("bai,白雪,agent", "bai,白雪,boss") + "cat,,agent,,short,,,\n";
    centre.write("people.csv", &text);
    let told = centre.run("users import people.csv").fails(3);
    for place in ["people.csv:3:8", "`boss` is no role", "people.csv:5", "people.password", "2 errors"] {
        assert!(told.contains(place), "{place}:\n{told}");
    }
    assert_eq!(centre.run("users list --json").json(), serde_json::json!([]), "nothing of it was taken");
    let refused = centre.run("users import people.csv --json");
    assert_eq!(refused.code, 3);
    let findings: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!((&findings[0]["line"], &findings[0]["code"]), (&Value::from(3), &Value::from("people.role")));
}

#[test]
fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let centre = Centre::new();
    centre.write("people.csv", PEOPLE);
    let told = centre.run("users import people.csv --dry-run").ok();
    assert_eq!(told, "Nothing was saved. It would be: 3 people added, 0 changed, 0 unchanged.\n");
    assert_eq!(centre.run("users list --json").json(), serde_json::json!([]));
}

#[test]
fn a_user_is_added_changed_and_removed() {
    let centre = Centre::new();
    assert_eq!(
        centre.run_with("users add li --role agent --full-name 李", "good password\n").ok(),
        "li is added as agent.\n"
    );
    assert!(centre.run_with("users add li", "good password\n").fails(1).contains("already"));
    assert!(centre.run_with("users add wu", "short\n").fails(1).contains("8 to 256 bytes"));
    assert!(centre.run("users add wu").fails(1).contains("no password came on standard input"));
    assert!(centre.run_with("users add w@u", "good password\n").fails(1).contains("letters, digits"));
    assert_eq!(centre.run("users role li supervisor").ok(), "li is supervisor now.\n");
    assert_eq!(centre.run_with("users password li", "another password\n").ok(), "The password of li is set.\n");
    assert_eq!(
        centre.run("users list").ok(),
        "NAME  FULL NAME  ROLE        ACCOUNT  LANGUAGE  SIGN-IN\nli    李         supervisor                     yes\n"
    );
    assert_eq!(centre.run("users remove li").ok(), "li is removed.\n");
    assert!(centre.run("users remove li").fails(1).contains("there is no user `li`"));
    assert_eq!(centre.run("agents list --json").json(), serde_json::json!([]), "the agent left with the user");
}

#[test]
fn an_account_is_added_and_removed_and_its_user_keeps_no_phone_that_is_gone() {
    let centre = Centre::new();
    centre.write("people.csv", PEOPLE);
    centre.run("users import people.csv").ok();
    assert_eq!(centre.run_with("accounts add 1003", "a secret\n").ok(), "1003@pbx.test may register.\n");
    assert!(centre.run_with("accounts add 1003", "a secret\n").fails(1).contains("already"));
    assert!(centre.run_with("accounts add 110", "a secret\n").fails(1).contains("emergency number"));
    assert_eq!(centre.run_with("accounts password 1001", "new one\n").ok(), "The password of account 1001 is set.\n");
    assert_eq!(centre.run("accounts remove 1001").ok(), "Account 1001 is removed.\n");
    let accounts = centre.run("accounts list --json").json();
    let left: Vec<&str> = accounts.as_array().unwrap().iter().filter_map(|row| row["account"].as_str()).collect();
    assert_eq!(left, ["1002", "1003"]);
    assert_eq!(centre.run("users list --json").json()[0]["account"], "");
}

#[test]
fn skills_are_set_and_removed_and_queues_follow() {
    let centre = Centre::new();
    centre.write("people.csv", PEOPLE);
    centre.run("users import people.csv").ok();
    assert_eq!(centre.run("agents skill amy billing=2 english=0").ok(), "amy: billing=2\n");
    let amy = centre.run("agents show amy --json").json();
    assert_eq!((&amy["skills"], &amy["queues"]), (&serde_json::json!({"billing": 2}), &serde_json::json!(["service"])));
    assert!(centre.run("agents skill nobody billing=2").fails(1).contains("there is no user `nobody`"));
    assert!(centre.run("agents skill amy juggling=2").err.contains("names no skill `juggling`"));
}

// -- customers -------------------------------------------------------------------------------------------------------

const CUSTOMERS: &str = "family_name,given_name,family_name_zh,given_name_zh,phones,tier,language,\
    attribute.account,attribute.secret.pin\n\
    Bai,Xue,白,雪,138 0013 8000,gold,zh,6222,2468\n\
    Lee,Anna,,,+1 212 555 0100; +86 21 6000 0000,iron,en,,\n";

#[test]
fn customers_are_imported_found_and_shown_and_their_secrets_never_leave() {
    let centre = Centre::new();
    centre.write("c.csv", CUSTOMERS);
    assert_eq!(centre.run("customers import c.csv").ok(), "2 customers added, 0 changed, 0 unchanged.\n");
    assert_eq!(centre.run("customers import c.csv").ok(), "0 customers added, 0 changed, 2 unchanged.\n");

    let found = centre.run("customers list --find 白雪 --json").json();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["phones"][0], "+8613800138000");
    assert_eq!(centre.run("customers list --find 5550100 --json").json()[0]["name"]["family"], "Lee");
    let shown = centre.run("customers show 13800138000").ok();
    assert!(shown.contains("Xue Bai  白雪") && shown.contains("gold") && shown.contains("6222"), "{shown}");
    assert!(centre.run("customers show 13900139000").fails(1).contains("no customer has the number +8613900139000"));
    for line in ["customers list --json", "customers show 13800138000 --json", "customers export"] {
        let text = centre.run(line).ok();
        assert!(!text.contains("secret") && !text.contains("argon2") && !text.contains("2468"), "{line}: {text}");
    }
}

#[test]
fn customers_go_out_and_in_as_csv_and_json_without_a_change() {
    let centre = Centre::new();
    centre.write("c.csv", CUSTOMERS);
    centre.run("customers import c.csv").ok();
    for file in ["out.csv", "out.json"] {
        centre.run(&format!("customers export {file}")).ok();
        let told = centre.run(&format!("customers import {file}")).ok();
        assert_eq!(told, "0 customers added, 0 changed, 2 unchanged.\n", "{file}");
    }
    let from_pipe = centre.run_with("customers import -", &read(&centre.path("out.json"))).ok();
    assert_eq!(from_pipe, "0 customers added, 0 changed, 2 unchanged.\n");
}

#[test]
fn a_customer_with_no_number_is_refused_with_its_line() {
    let centre = Centre::new();
    centre.write("c.csv", &CUSTOMERS.replace("138 0013 8000", "138-CALL-ME"));
    let told = centre.run("customers import c.csv").fails(3);
    assert!(told.contains("c.csv:2:") && told.contains("is no phone number"), "{told}");
    assert_eq!(centre.run("customers list --json").json(), serde_json::json!([]));
}

//! `strowger load` against a running server.

use super::centre::{Centre, Network, Served};

const PEOPLE: &str = "name,role,password,account,sip_password\n\
    li,agent,li at the desk,1001,li on the phone\n\
    wang,agent,wang at the desk,1002,wang on the phone\n\
    ,,,2001,only a phone\n";

/// Somebody answers in time, however busy the machine is.
const PATIENT: &str = "languages = [\"en\"]\nstart = \"service\"\n\
    [state.service]\nqueue = \"service\"\nmax_wait_s = 300\ntimeout = \"bye\"\nfailed = \"bye\"\n\
    [state.bye]\nhangup = true\n";

#[test]
fn agents_of_the_accounts_file_sign_in_and_take_the_callers() {
    let network = Network::new();
    let centre = Centre::serving(network);
    centre.write("dialplans/desk.toml", PATIENT);
    centre.write("load.csv", PEOPLE);
    // A phone without a person is no user: its account comes with a password of its own.
    centre.write("people.csv", PEOPLE.rsplit_once("\n,").unwrap().0);
    centre.run("users import people.csv").ok();
    centre.run_with("accounts add 2001", "only a phone\n").ok();
    let served = Served::start(&centre);
    let (switch, carrier) = (network.address(1), network.address(2));
    let report = centre
        .run(&format!(
            "load --target {switch}:5060 --http http://{switch}:8080 --domain pbx.test --first-address {carrier} \
             --accounts load.csv --agents 2 --registrations 1 --dial 95539 --from +8613800138000 --calls 2 \
             --calls-per-minute 600 --talk-s 4 --patience-s 300 --duration-s 300 --json"
        ))
        .json();
    assert_eq!(report["desks_closed"], serde_json::json!({}), "{report:#}");
    assert_eq!((&report["registrations"], &report["registrations_failed"]), (&3.into(), &serde_json::json!({})));
    for count in ["calls_placed", "calls_answered", "calls_served"] {
        assert_eq!(report[count], 2, "{count}: {report:#}");
    }
    for side in ["caller", "agent"] {
        assert_eq!((&report["media"][side]["legs"], &report["media"][side]["silent_legs"]), (&2.into(), &0.into()));
    }
    let records = centre.run("cdr list --json").json();
    let agents: Vec<&str> = records.as_array().unwrap().iter().map(|call| call["agent"].as_str().unwrap()).collect();
    assert!(matches!(agents[..], ["li", "wang"] | ["wang", "li"]), "{records:#}");
    served.stop();
}

#[test]
fn a_run_that_nobody_could_sign_in_for_is_refused_before_it_begins() {
    let centre = Centre::empty();
    let told = centre.run("load --agents 2").fails(1);
    assert!(told.contains("give --accounts FILE"), "{told}");
    centre.write("load.csv", PEOPLE);
    let told = centre.run("load --accounts load.csv --agents 3").fails(1);
    assert!(told.contains("2001 is one of the first 3 rows") && told.contains("names no user"), "{told}");
    centre.write("load.csv", &PEOPLE.replace("1002", "1001"));
    let told = centre.run("load --accounts load.csv --agents 2").fails(3);
    assert!(told.contains("load.csv:3:") && told.contains("stands in line 2 already"), "{told}");
    assert!(told.contains("Keep one of the rows"), "{told}");
    let told = centre.run("load --accounts nobody.csv --agents 1").fails(3);
    assert!(told.contains("nobody.csv"), "{told}");
}

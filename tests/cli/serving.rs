//! A running centre: what it takes over while it runs, and what it mends when it starts.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use strowger::event::Fact;
use strowger::ids::RecordingId;

use super::calls::{RECORDED, story, tell, write_recording};
use super::centre::{Caller, Centre, DESK, Network, Served, patiently, read};

#[test]
fn a_good_edit_is_taken_and_a_bad_one_is_refused_while_the_running_plan_stays() {
    let network = Network::new();
    let centre = Centre::serving(network);
    let served = Served::start(&centre);
    let caller = Caller::new(network);
    let exit = |id: &str| {
        caller.call("13800138000", id);
        centre.run("cdr list --limit 1 --json").json()[0]["dialplan"].clone()
    };
    assert_eq!(exit("first"), "desk");

    // A file that is saved is looked at by itself.
    let config = network.config();
    centre.write("dialplans/other.toml", DESK);
    centre.write("strowger.toml", &config.replace("dialplan = \"desk\"", "dialplan = \"othr\""));
    served.wait_until_said("reload refused, the running plan stays: 1 error", 1);
    // The findings follow.
    served.wait_until_said("Did you mean `other`?", 1);
    served.wait_until_said("strowger.toml:", 1);
    assert_eq!(exit("second"), "desk", "the running plan stays");

    centre.write("strowger.toml", &config.replace("dialplan = \"desk\"", "dialplan = \"other\""));
    served.wait_until_said("new calls take the new plan", 1);
    assert_eq!(exit("third"), "other");

    // A dialplan that is broken, and SIGHUP, which says so once more.
    centre.write("dialplans/other.toml", &DESK.replace("timeout = \"bye\"", "timeout = \"buy\""));
    served.wait_until_said("reload refused", 2);
    served.wait_until_said("dialplans/other.toml:6:", 1);
    served.signal(Signal::HUP);
    served.wait_until_said("reload refused", 3);
    assert_eq!(exit("fourth"), "other");
    centre.write("dialplans/other.toml", DESK);
    served.signal(Signal::HUP);
    served.wait_until_said("nothing has changed", 1);
    served.stop();
}

#[test]
fn a_reload_that_is_asked_for_says_what_is_new_what_waits_and_what_is_wrong() {
    let network = Network::new();
    let centre = Centre::serving(network);
    let told = centre.run("reload").fails(1);
    assert!(told.contains("no server runs here"), "{told}");
    let served = Served::start(&centre);
    assert_eq!(centre.run("reload").ok(), "Nothing has changed for new calls.\n");

    let config = network.config();
    let queue = config.replace("[queue.service]", "[queue.service]\nwrap_up_s = 7");
    assert_ne!(queue, config);
    centre.write("strowger.toml", &format!("{queue}\n[recording]\npath = \"elsewhere\"\n"));
    // By request or by the saved file, whichever comes first: asked once more, what waits is told again.
    served.wait_until_said("new calls take the new plan", 1);
    let told = centre.run("reload").ok();
    assert!(told.starts_with("Nothing has changed for new calls.\n"), "{told}");
    assert!(
        told.contains("`recording.path` takes effect at the next start") && told.contains("strowger.toml:"),
        "{told}"
    );
    let said = served.said();
    assert!(said.contains("queues.service.wrap_up_s: 30 → 7"), "{said}");
    assert!(said.contains("`recording.path` takes effect at the next start"), "{said}");
    let machine = centre.run("reload --json").json();
    assert_eq!(machine["next_start"][0]["code"], "reload.next-start", "{machine:#}");

    centre.write("dialplans/desk.toml", &DESK.replace("timeout = \"bye\"", "timeout = \"buy\""));
    let told = centre.run("reload").fails(3);
    assert!(told.contains("dialplans/desk.toml:6:") && told.contains("The running plan stays."), "{told}");

    // The same over HTTP, for administrators.
    centre.run_with("users add root --role admin", "good password\n").ok();
    let (status, told) = reload_over_http(network, "root", "good password");
    assert_eq!((status, &told["code"]), (422, &"plan.refused".into()), "{told:#}");
    let broken = &told["findings"][0];
    assert!(broken["file"].as_str().unwrap().ends_with("desk.toml") && broken["line"] == 6, "{told:#}");
    assert!(broken["mend"].is_string(), "{told:#}");
    centre.write("dialplans/desk.toml", DESK);
    let (status, told) = reload_over_http(network, "root", "good password");
    assert_eq!((status, &told["next_start"][0]["code"]), (200, &"reload.next-start".into()), "{told:#}");
    served.stop();
}

fn reload_over_http(network: Network, user: &str, password: &str) -> (u16, serde_json::Value) {
    let at = |path: &str| format!("http://{}:8080{path}", network.address(1));
    let talk = async {
        let client = reqwest::Client::new();
        let body = serde_json::json!({ "user": user, "password": password });
        let session = client.post(at("/api/session")).json(&body).send().await.unwrap();
        assert!(session.status().is_success(), "{session:?}");
        let cookie = session.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let answer = client.post(at("/api/reload")).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(talk)
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_and_when_it_stops() {
    let network = Network::new();
    let centre = Centre::serving(network);
    let manager = UnixDatagram::bind(centre.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let told = || {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).expect("the manager is told");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let served = Served::start(&centre);
    assert_eq!(told(), "READY=1");
    served.stop();
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn the_commands_ask_the_running_server_and_show_a_call_with_its_ladder() {
    let network = Network::new();
    let centre = Centre::serving(network);
    let served = Served::start(&centre);
    Caller::new(network).call("13800138000", "abc");
    let listed = centre.run("cdr list --json").json();
    let call = listed[0]["call"].as_str().unwrap().to_owned();
    assert_eq!((&listed[0]["from"]["number"], &listed[0]["queue"]), (&"+8613800138000".into(), &"service".into()));
    let shown = centre.run(&format!("cdr show {call}")).ok();
    assert!(shown.contains("from      +8613800138000\n") && shown.contains("service"), "{shown}");
    let short = centre.run(&format!("cdr show {}", &call[..20])).ok();
    assert_eq!(short, shown, "the beginning of an id is enough");
    let ladder = centre.run(&format!("cdr show {call} --ladder")).ok();
    for rung in ["caller ── INVITE (PCMA) ", "200 OK (PCMA)", " BYE "] {
        assert!(ladder.contains(rung), "{rung}:\n{ladder}");
    }
    let messages = centre.run(&format!("cdr show {call} --ladder --json")).json();
    assert!(messages["messages"].as_array().unwrap().len() >= 5, "{messages:#}");
    // Records change through the server, too.
    assert_eq!(centre.run_with("users add li", "good password\n").ok(), "li is added as agent.\n");
    assert_eq!(centre.run("agents list --json").json()[0]["name"], "li");
    served.stop();
    let told = centre.run(&format!("cdr show {call} --ladder")).fails(1);
    assert!(told.contains("no server runs"), "{told}");
    assert_eq!(centre.run("cdr list --json").json()[0]["call"], call.as_str(), "the record is in the store");
}

#[test]
fn a_recording_that_a_kill_cut_short_is_readable_after_the_next_start() {
    let network = Network::new();
    let centre = Centre::serving(network);
    // A call in conversation when the process was killed: the file has more sound than its header says.
    let killed: Vec<Fact> =
        story().into_iter().take_while(|fact| !matches!(fact, Fact::RecordingSealed { .. })).collect();
    tell(&centre, killed);
    let file = centre.path("data/recordings").join(RECORDED.1);
    write_recording(&file, 800);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend(std::iter::repeat_n(3_u8, 4 * 7_200 + 1));
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(centre.run("recordings list --json").json(), serde_json::json!([]), "nobody has sealed it");

    let served = Served::start(&centre);
    let listed = patiently("recording in the list", || {
        Some(centre.run("recordings list --json").json()).filter(|listed| listed[0].is_object())
    });
    assert_eq!(listed[0]["id"], RecordingId::from_u128(RECORDED.0).to_string());
    assert_eq!(listed[0]["seconds"], 1.0);
    centre.run(&format!("recordings export {} out.wav", listed[0]["id"].as_str().unwrap())).ok();
    let sound = hound::WavReader::open(centre.path("out.wav")).unwrap();
    assert_eq!((sound.spec().channels, sound.duration()), (2, 8_000));
    let record = patiently("end of the call", || {
        Some(centre.run("cdr list --json").json()[0].clone()).filter(|record| record["cause"].is_object())
    });
    assert_eq!(record["cause"]["what"], "switch_restart", "{record:#}");
    served.kill();
    let again = Served::start(&centre);
    assert_eq!(centre.run("recordings list --json").json().as_array().unwrap().len(), 1, "sealed once");
    assert!(!again.said().contains("cut short"), "{}", again.said());
    assert!(read(&centre.path("strowger.toml")).contains("pbx.test"));
    again.stop();
}

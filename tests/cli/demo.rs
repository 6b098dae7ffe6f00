//! `strowger demo` as `make demo` runs it, with its callers, agents and company systems.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::centre::{Centre, Network, Served};

/// Callers hear whole prompts in real time, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn the_demos_callers_meet_its_agents_and_its_company_systems() {
    let network = Network::new();
    let centre = Centre::empty();
    centre.write("strowger.toml", "domain = \"demo.local\"\ncountry = \"86\"\n[store]\npath = \"data\"\n");
    let demo = Served::demo(&centre, network, "--calls-per-minute 60");
    let begun = Instant::now();
    let boss = Supervisor::sign_in(network);
    loop {
        let records = boss.records();
        if records.iter().any(agent_speaks) && records.iter().any(|call| passed(call, "information", "tell")) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is served: {}\n{records:#?}", demo.said());
        std::thread::sleep(Duration::from_millis(500));
    }
    demo.stop();

    let records = centre.run("cdr list --limit 1000 --json").json();
    for call in records.as_array().unwrap() {
        assert!(!passed(call, "information", "no_forecast"), "the weather does not answer: {call:#}");
        // Calls that still run when the demo stops are cut by it.
        let fault = call["cause"]["by"] == "switch" && call["cause"]["what"] != "switch_restart";
        assert!(!fault && call["ended"].is_string(), "{call:#}");
    }
}

fn agent_speaks(call: &Value) -> bool {
    call["legs"].as_array().unwrap().iter().any(|leg| leg["agent"].is_string() && leg["answered"].is_string())
}

/// Whether a call left that state of that dialplan.
fn passed(call: &Value, dialplan: &str, state: &str) -> bool {
    call["path"].as_array().unwrap().iter().any(|step| step["dialplan"] == dialplan && step["state"] == state)
}

/// The supervisor of the sign-in page's hints, over HTTP.
struct Supervisor {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    site: String,
    cookie: String,
}

impl Supervisor {
    fn sign_in(network: Network) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, site) = (reqwest::Client::new(), format!("http://{}:8080", network.address(1)));
        let body = serde_json::json!({ "user": "boss", "password": "demo-boss" });
        let session = runtime.block_on(client.post(format!("{site}/api/session")).json(&body).send()).unwrap();
        assert!(session.status().is_success(), "{session:?}");
        let cookie = session.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { runtime, client, site, cookie }
    }

    /// The latest calls, those that run included.
    fn records(&self) -> Vec<Value> {
        let asked = self.client.get(format!("{}/api/cdr?limit=200", self.site)).header("cookie", &self.cookie);
        let page: Value = self.runtime.block_on(async { asked.send().await.unwrap().json().await.unwrap() });
        page["items"].as_array().unwrap_or_else(|| panic!("{page:#}")).clone()
    }
}

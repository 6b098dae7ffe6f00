//! How much memory does a bridged call take? Target: below 50 kB.
//!
//! `cargo bench --bench memory [-- CALLS]`. A real `strowger serve` with a store of its own, agents with desk phones and
//! open desktops, and callers of `strowger load` with RTP both ways, recorded. The resident set is read when a tenth of
//! the calls talk and when all do; the difference, by the calls that came between, is what one more call takes:
//! switch, media, recorder, bus, desktops' view of it, and what its events left in the ledger's and the view's caches.

mod measure;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use std::io::{Read, Write};

use measure::print_machine;

const CALLS: u32 = 200;
const FIRST_AGENT: u32 = 1_001;
const SIP: &str = "127.21.0.1:5060";
const HTTP: &str = "127.21.0.1:8080";
/// Where the agents' phones are, and the carriers of the first callers and of the others.
const DESKS: &str = "127.22.0.1";
const FEW: &str = "127.20.0.1";
const MANY: &str = "127.20.0.2";

const PATIENCE: Duration = Duration::from_secs(240);

fn main() {
    let calls = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(CALLS);
    let place = Place::new(calls);
    strowger(&place.config, &["users", "import", plain(&place.people)]).wait_well();
    let centre = strowger(&place.config, &["serve", "--log-filter", "warn"]);
    wait_for("the centre", || get("/readyz").starts_with("HTTP/1.1 200"));
    let load = |more: String| {
        let line = format!("load --target {SIP} --http http://{HTTP} --talk-s 1200 --duration-s 1200 {more}");
        strowger(&place.config, &line.split(' ').collect::<Vec<_>>())
    };
    // Agents first, and callers once all of them sit there: hashing their passwords takes memory of its own.
    let people = plain(&place.people);
    let _agents = load(format!("--first-address {DESKS} --accounts {people} --agents {calls} --calls-per-minute 0"));
    wait_for("every agent", || agents("ready") >= calls);
    let few = calls.div_ceil(10);
    let _few = load(format!("--first-address {FEW} --dial 95539 --calls {few} --calls-per-minute 600"));
    wait_for("the first talks", || agents("talking") >= few);
    let before = settled(&centre);
    let many = calls - few;
    let _many =
        load(format!("--first-address {MANY} --dial 95539 --calls {many} --calls-max {many} --calls-per-minute 600"));
    wait_for("every talk", || agents("talking") >= calls);
    let after = settled(&centre);
    let all = agents("talking");
    println!("resident with {few} bridged and recorded calls      {before:>10.0} kB");
    println!("resident with {all} bridged and recorded calls      {after:>10.0} kB");
    println!("for each call more                             {:>10.1} kB", (after - before) / f64::from(all - few));
    print_machine();
}

/// A folder with a centre in it, gone when it is dropped.
struct Place {
    dir: PathBuf,
    config: PathBuf,
    people: PathBuf,
}

impl Place {
    fn new(agents: u32) -> Self {
        let dir = std::env::temp_dir().join(format!("strowger-bench-memory-{}", std::process::id()));
        fs::create_dir_all(dir.join("dialplans")).expect("the temporary directory can be written");
        let place = Self { config: dir.join("strowger.toml"), people: dir.join("people.csv"), dir };
        let mut people = "name,role,password,account,sip_password,skills\n".to_owned();
        for n in FIRST_AGENT..FIRST_AGENT + agents {
            people.push_str(&format!("{n},agent,agent-{n},{n},phone-{n},talk:5\n"));
        }
        fs::write(&place.config, CENTRE).expect("written above");
        fs::write(place.dir.join("dialplans/direct.toml"), DIALPLAN).expect("written above");
        fs::write(&place.people, people).expect("written above");
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left in the temporary directory is a nuisance, not a fault.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("the bench names its files plainly")
}

/// A child process, ended when it is dropped.
struct Running(Child);

impl Running {
    fn wait_well(mut self) {
        let status = self.0.wait().expect("it was started");
        assert!(status.success(), "the command failed: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Over already: nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn strowger(config: &Path, args: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.arg("--config").arg(config).args(args).stdout(Stdio::null());
    // A password's hash takes 19 MB for a moment: given back at once, and not kept by the allocator for the next.
    command.env("MALLOC_MMAP_THRESHOLD_", "1048576");
    Running(command.spawn().expect("the binary was built with this bench"))
}

/// Once caches and buffers have what a running call fills.
fn settled(centre: &Running) -> f64 {
    std::thread::sleep(Duration::from_secs(10));
    resident(centre)
}

fn resident(centre: &Running) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", centre.0.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes")
}

/// Agents in a state, by the metrics.
fn agents(state: &str) -> u32 {
    let series = format!("strowger_agents{{state=\"{state}\"}} ");
    get("/metrics").lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0)
}

fn get(path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(HTTP) else { return String::new() };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HTTP}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    // An answer cut short is asked for again.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    answer
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

const CENTRE: &str = r#"
domain = "localhost"
country = "86"

[sip]
listen = ["udp:127.21.0.1:5060"]

[http]
listen = "127.21.0.1:8080"

[trunk.carrier]
match = ["127.20.0.1", "127.20.0.2"]
host = "127.20.0.1:5060"
max_calls = 2000
max_calls_per_second = 100

[limits]
calls = 2000
calls_per_second = 100

[[number]]
match = ["95539"]
dialplan = "direct"

[queue.talk]
skills = "talk >= 1"

[skills]
talk = { en = "Talk", zh = "接听" }
"#;

const DIALPLAN: &str = r#"
start = "wait"

[state.wait]
queue = "talk"
timeout = "end"
failed = "end"

[state.end]
hangup = true
"#;

//! kill -9 of a whole centre while callers come: who was answered has one record with an end, and it always starts.
//!
//! `strowger serve` runs as a process; this file is the carrier: INVITEs over UDP, an ACK for each answer, a BYE for
//! some. A 200 OK is the centre's word that the call's record is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use strowger::call::CallRecord;
use strowger::event::{Event, Fact, Role};
use strowger::ids::{Epoch, IdSource};
use strowger::runtime::fold::read_call;
use strowger::store::ledger::SegmentLedger;
use strowger::store::sled::SledView;
use strowger::store::view::{every_row, key};
use strowger::store::{Ledger, Seq};

const ROUNDS: u32 = 50;
const PATIENCE: Duration = Duration::from_secs(60);
/// INVITEs without a final answer at once.
const AT_ONCE: usize = 12;

const CONFIG: &str = r#"
domain = "centre.test"
country = "86"
area_code = "20"
language = "en"
prompts = "PROMPTS"
[sip]
listen = ["udp:CENTRE:5060"]
[http]
listen = "CENTRE:8080"
[store]
free_min_mb = FREE_MIN_MB
[limits]
calls_per_second = 1000
[trunk.carrier]
match = ["CARRIER"]
host = "CARRIER:5060"
max_calls = 10000
max_calls_per_second = 1000
options_interval_s = 0
[[number]]
match = "+862038120001"
dialplan = "wait"
[queue.desk]
members = ["alice"]
[queue.desk.announcements]
position_every_s = 60
"#;

const DIALPLAN: &str = r#"
about = "Waits for an agent"
start = "desk"
languages = ["en"]
[state.desk]
queue = "desk"
timeout = "bye"
failed = "bye"
[state.bye]
hangup = true
"#;

#[test]
fn a_centre_killed_fifty_times_under_calls_always_starts_and_has_each_answered_call_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), 0, 0);
    let mut carrier = Carrier::new(&place);
    let mut chance = IdSource::from_seed(16);
    for _ in 0..ROUNDS {
        let mut centre = Centre::start(&place);
        let answers = match chance.below(4) {
            0 => chance.below(3),
            _ => 3 + chance.below(30),
        };
        carrier.call_until(carrier.answered.len() + usize::try_from(answers).unwrap(), &centre);
        centre.child.kill().unwrap();
        centre.child.wait().unwrap();
        // What it said before it died counts.
        carrier.listen_out();
    }
    assert!(carrier.answered.len() > ROUNDS as usize * 5, "{} calls were answered", carrier.answered.len());
    // The last start closes what the last kill left open.
    let centre = Centre::start(&place);
    carrier.call_until(carrier.answered.len() + 1, &centre);
    check_metrics(&place);
    centre.stop();
    let records = records(&place);
    for call in &carrier.answered {
        let [record] = records.get(call).map_or(&[][..], Vec::as_slice) else {
            panic!("{call} was answered and has {:?}", records.get(call));
        };
        assert_eq!(record.legs.iter().filter(|leg| leg.role == Role::Caller).count(), 1, "{record:#?}");
    }
    for record in records.values().flatten() {
        assert!(record.ended.is_some() && record.cause.is_some(), "{record:#?}");
        assert_eq!((record.legs.len(), record.queues.len() <= 1), (1, true), "nothing is doubled: {record:#?}");
    }
    check_ledger(&place, &records);
}

#[test]
fn with_less_room_on_the_disk_than_is_wanted_the_centre_is_not_ready_and_takes_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), 2, 1_048_576);
    let carrier = Carrier::new(&place);
    let centre = Centre::start(&place);
    let until = Instant::now() + PATIENCE;
    let ready = loop {
        let ready = place.get("/readyz");
        if !ready.starts_with("HTTP/1.1 200") {
            break ready;
        }
        assert!(Instant::now() < until, "{ready}");
    };
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("free_min_mb"), "{ready}");
    carrier.send("INVITE", "turned-away@carrier.test", "<sip:+862038120001@centre.test>", 1, "");
    assert_eq!(carrier.final_answer().map(|text| text[8..11].to_owned()), Some("503".into()));
    centre.stop();
    assert!(records(&place).is_empty());
}

/// What the call before has left in the figures.
fn check_metrics(place: &Place) {
    let text = place.get("/metrics");
    let read = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("strowger_")?.strip_prefix(name));
        lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    for counted in [
        "sip_requests_total{direction=\"received\",method=\"INVITE\"}",
        "sip_responses_total{direction=\"sent\",method=\"INVITE\",status=\"200\"}",
        "switch_step_seconds_count",
        "ledger_durable_seconds_count",
    ] {
        assert!(read(counted) > 0.0, "{counted} in {text}");
    }
    for defects in ["switch_invariants_broken", "switch_repairs_total", "switch_defects_total"] {
        assert!(text.contains(defects), "{text}");
        assert!(read(defects) == 0.0, "{defects} in {text}");
    }
}

/// Every record follows the one before, and every call begins once and ends once.
fn check_ledger(place: &Place, records: &BTreeMap<String, Vec<CallRecord>>) {
    let ledger = SegmentLedger::open(place.data.join("ledger"), Epoch::from_u128(1)).unwrap();
    let mut tail = ledger.read(Seq::FIRST).unwrap();
    let (mut begun, mut ended, mut last) = (BTreeSet::new(), BTreeSet::new(), Seq::ZERO);
    while let Some(record) = tail.next().unwrap() {
        assert!(record.seq > last, "{} after {last}", record.seq);
        last = record.seq;
        let event: Event = serde_json::from_slice(&record.payload).unwrap();
        match event.fact {
            Fact::CallAccepted { sip_call_id, .. } => assert!(begun.insert(sip_call_id.clone()), "{sip_call_id} twice"),
            Fact::CallEnded { .. } => assert!(ended.insert(event.call), "{:?} ends twice", event.call),
            _ => {}
        }
    }
    assert_eq!(begun, records.keys().cloned().collect());
    assert_eq!(ended.len(), begun.len());
}

/// The call records by the carrier's name for the call.
fn records(place: &Place) -> BTreeMap<String, Vec<CallRecord>> {
    let (view, _) = SledView::open(&place.data.join("view")).unwrap();
    let mut records: BTreeMap<String, Vec<CallRecord>> = BTreeMap::new();
    every_row(&view, &key::calls(), |row| {
        let record = read_call(&row).expect("a row of calls is a call record");
        records.entry(record.sip_call_id.clone()).or_default().push(record);
    })
    .unwrap();
    records
}

struct Place {
    config: PathBuf,
    data: PathBuf,
    centre: SocketAddr,
    carrier: SocketAddr,
}

impl Place {
    /// On loopback addresses that belong to this process and test, so that the usual ports are free.
    fn new(folder: &Path, first: u32, free_min_mb: u32) -> Self {
        let pid = std::process::id();
        let address = |host| format!("127.{}.{}.{}", 64 + pid / 256 % 128, pid % 256, host + first);
        let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
        let text = CONFIG.replace("PROMPTS", prompts.to_str().unwrap());
        let text = text.replace("FREE_MIN_MB", &free_min_mb.to_string());
        let text = text.replace("CENTRE", &address(1)).replace("CARRIER", &address(2));
        std::fs::create_dir(folder.join("dialplans")).unwrap();
        std::fs::write(folder.join("dialplans/wait.toml"), DIALPLAN).unwrap();
        let config = folder.join("strowger.toml");
        std::fs::write(&config, text).unwrap();
        let sip = |host| format!("{}:5060", address(host)).parse().unwrap();
        Self { config, data: folder.join("data"), centre: sip(1), carrier: sip(2) }
    }

    /// The whole answer to a GET.
    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect((self.centre.ip(), 8_080)).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: centre.test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// `strowger serve`, taking calls.
struct Centre {
    child: Child,
    said: Receiver<String>,
}

impl Centre {
    fn start(place: &Place) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
        command.arg("--config").arg(&place.config).arg("serve").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, said) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let centre = Self { child, said };
        let mut all = Vec::new();
        loop {
            match centre.said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains("taking HTTP") => return centre,
                Ok(line) => all.push(line),
                Err(error) => panic!("the centre does not start ({error}): {all:#?}"),
            }
        }
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.said.iter().collect::<Vec<_>>());
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        // It has ended already unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The far side of the trunk.
struct Carrier {
    socket: UdpSocket,
    centre: SocketAddr,
    own: SocketAddr,
    placed: u32,
    waiting: BTreeSet<String>,
    /// Calls by Call-ID whose 200 OK was seen.
    answered: BTreeSet<String>,
}

impl Carrier {
    fn new(place: &Place) -> Self {
        let socket = UdpSocket::bind(place.carrier).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (waiting, answered) = (BTreeSet::new(), BTreeSet::new());
        Self { socket, centre: place.centre, own: place.carrier, placed: 0, waiting, answered }
    }

    /// Places calls until so many were answered in all.
    fn call_until(&mut self, answered: usize, centre: &Centre) {
        let until = Instant::now() + PATIENCE;
        while self.answered.len() < answered {
            assert!(Instant::now() < until, "no answers: {:#?}", centre.said.try_iter().collect::<Vec<_>>());
            while self.waiting.len() < AT_ONCE {
                self.invite();
            }
            self.listen();
        }
    }

    /// Reads what was sent before the centre died; calls without an answer are given up.
    fn listen_out(&mut self) {
        while self.listen() {}
        self.waiting.clear();
    }

    /// Reads one message; `false` where none came for a moment.
    fn listen(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { return false };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let Some(status) = text.strip_prefix("SIP/2.0 ").map(|rest| &rest[..3]) else { return true };
        let call = header(&text, "Call-ID");
        if header(&text, "CSeq").ends_with("INVITE") && !status.starts_with('1') {
            assert_eq!(status, "200", "{text}");
            self.waiting.remove(&call);
            let number = self.answered.len();
            let to = header(&text, "To");
            self.send("ACK", &call, &to, 1, "");
            if self.answered.insert(call.clone()) && number.is_multiple_of(3) {
                self.send("BYE", &call, &to, 2, "");
            }
        }
        true
    }

    /// The next answer that is none in between.
    fn final_answer(&self) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        let mut buffer = [0; 4_096];
        while Instant::now() < until {
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1") {
                return Some(text);
            }
        }
        None
    }

    fn invite(&mut self) {
        self.placed += 1;
        let call = format!("call-{}@carrier.test", self.placed);
        let ip = self.own.ip();
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n\
             a=rtpmap:8 PCMA/8000\r\n"
        );
        self.send("INVITE", &call, "<sip:+862038120001@centre.test>", 1, &offer);
        self.waiting.insert(call);
    }

    fn send(&self, method: &str, call: &str, to: &str, cseq: u32, body: &str) {
        let (own, centre) = (self.own, self.centre);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:+862038120001@{centre} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {own};branch=z9hG4bK-{method}-{call};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:+8613800138000@{own}>;tag=carrier\r\n\
             To: {to}\r\n\
             Call-ID: {call}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:carrier@{own}>\r\n\
             {kind}Content-Length: {length}\r\n\r\n{body}",
            length = body.len(),
        );
        self.socket.send_to(text.as_bytes(), centre).unwrap();
    }
}

fn header(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

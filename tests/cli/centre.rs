//! The bench: a folder with a configuration, and the binary run in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder with a configuration, and the binary run in it.
pub struct Centre {
    folder: tempfile::TempDir,
}

const CONFIG: &str = r#"
domain = "pbx.test"
country = "86"
time_zone = "Asia/Shanghai"

[skills]
billing = "Billing"
english = "English"

[queue.accounts]
label = "Accounts"
skills = "billing >= 3"
[queue.service]
label = "Service"
"#;

impl Centre {
    pub fn new() -> Self {
        Self::with(CONFIG)
    }

    pub fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("strowger.toml"), config).unwrap();
        Self { folder }
    }

    /// With a carrier and a line: see [`Network::config`].
    pub fn serving(network: Network) -> Self {
        let centre = Self::with(&network.config());
        centre.write("dialplans/desk.toml", DESK);
        write_sound(&centre.path("prompts/en/goodbye.wav"));
        centre.write("prompts/en/manifest.toml", "[prompts]\ngoodbye = \"Goodbye.\"\n");
        centre
    }

    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A copy of a file of the project's.
    pub fn copy(&self, from: &Path, name: &str) {
        self.write(name, &read(from));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn run(&self, line: &str) -> Ran {
        self.run_with(line, "")
    }

    /// Runs a command line, its arguments apart by blanks, with a text on standard input.
    pub fn run_with(&self, line: &str, input: &str) -> Ran {
        self.run_in("", line, input)
    }

    /// The same in a folder below.
    pub fn run_in(&self, folder: &str, line: &str, input: &str) -> Ran {
        run_at(&self.path(folder), line, input)
    }

    /// A command line in the project's own folder.
    pub fn in_the_project(line: &str) -> Ran {
        run_at(Path::new(env!("CARGO_MANIFEST_DIR")), line, "")
    }
}

fn run_at(folder: &Path, line: &str, input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(line.split_whitespace())
        .current_dir(folder)
        // A secret that configurations of the corpus name.
        .env("MOBILE_PASSWORD", "a password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that asks for nothing has closed it already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ran::from(child.wait_with_output().unwrap())
}

/// What a command said.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    pub fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Asserts an exit code, and gives standard error.
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }

    /// Asserts an exit code, and gives everything that was said.
    pub fn fails_aloud(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.out + self.err.as_str()
    }
}

pub fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A tenth of a second of silence.
pub fn write_sound(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut sound = hound::WavWriter::create(path, spec).unwrap();
    (0..800).for_each(|_| sound.write_sample(0_i16).unwrap());
    sound.finalize().unwrap();
}

// -- a running centre ------------------------------------------------------------------------------------------------

/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something, looking again and again.
pub fn patiently<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A /24 of loopback that no other test has: the centre is 1, its carrier 2.
#[derive(Clone, Copy)]
pub struct Network([u8; 3]);

impl Network {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let [_, _, high, low] = (number % (14 * 256)).to_be_bytes();
        // 127.16 to 127.239 is left to the tests with real clients.
        Self([127, 240 + high, low])
    }

    pub fn address(self, party: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, party)
    }

    /// A configuration with a carrier, whose 95539 comes to a queue nobody serves, and then hangs up.
    pub fn config(self) -> String {
        let (centre, carrier) = (self.address(1), self.address(2));
        format!(
            "domain = \"pbx.test\"\ncountry = \"86\"\ntime_zone = \"Asia/Shanghai\"\n\
             [sip]\nlisten = [\"udp:{centre}:5060\"]\n\
             [http]\nlisten = \"{centre}:8080\"\n\
             [store]\nfree_min_mb = 0\n\
             [limits]\ndrain_s = 5\n\
             [trunk.carrier]\nmatch = [\"{carrier}\"]\nhost = \"{carrier}:5060\"\noptions_interval_s = 0\n\
             [emergency]\ntrunks = [\"carrier\"]\n\
             [[number]]\nmatch = \"95539\"\ndialplan = \"desk\"\n\
             [queue.service]\n"
        )
    }
}

/// The dialplan of [`Network::config`].
pub const DESK: &str = "languages = [\"en\"]\nstart = \"service\"\n\
    [state.service]\nqueue = \"service\"\nmax_wait_s = 1\ntimeout = \"bye\"\nfailed = \"bye\"\n\
    [state.bye]\nhangup = true\n";

/// `strowger serve` or `strowger demo` as a process of its own.
pub struct Served {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Served {
    pub fn start(centre: &Centre) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
        command.arg("serve").current_dir(centre.folder.path()).env("NOTIFY_SOCKET", centre.path("notify"));
        Self::spawn(command, "taking HTTP")
    }

    /// The sample centre on the network's first address, its store in the folder's `data`.
    pub fn demo(centre: &Centre, network: Network, options: &str) -> Self {
        let here = network.address(1);
        let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
        command.args(["demo", "--http", &format!("{here}:8080"), "--sip", &format!("{here}:5060"), "--data"]);
        command.arg(centre.path("data")).args(options.split_whitespace()).current_dir(env!("CARGO_MANIFEST_DIR"));
        Self::spawn(command, "The sample centre is open")
    }

    fn spawn(mut command: Command, ready: &str) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let kept = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    kept.lock().unwrap().push_str(&(line + "\n"));
                }
            });
        }
        let mut served = Self { child, said };
        patiently("centre that is open", || {
            let ended = served.child.try_wait().unwrap();
            assert!(ended.is_none(), "the centre does not start: {}", served.said());
            served.said().contains(ready).then_some(())
        });
        served
    }

    /// What it has said so far, on either stream.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn wait_until_said(&self, what: &str, times: usize) {
        let begun = Instant::now();
        while self.said().matches(what).count() < times {
            assert!(begun.elapsed() < PATIENCE, "it never says `{what}` {times} times:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Tells it to stop, and waits until it has.
    pub fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let ended = patiently("end of the centre", || self.child.try_wait().unwrap());
        assert!(ended.success(), "{ended}: {}", self.said());
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Ended already, where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// -- a caller --------------------------------------------------------------------------------------------------------

/// A caller behind the carrier: signalling alone, over UDP.
pub struct Caller {
    socket: UdpSocket,
    switch: Ipv4Addr,
}

impl Caller {
    pub fn new(network: Network) -> Self {
        // The carrier is known by its address; the port is the caller's.
        let socket = UdpSocket::bind((network.address(2), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, switch: network.address(1) }
    }

    /// Calls 95539, and stays until the centre hangs up.
    pub fn call(&self, from: &str, id: &str) {
        let here = self.socket.local_addr().unwrap();
        let address = here.ip();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
             m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        let request = |method: &str, cseq: u32, to: &str, body: &str| {
            let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
            format!(
                "{method} sip:95539@{switch}:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{id}{cseq}{method};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{from}@{address}>;tag={id}\r\nTo: {to}\r\nCall-ID: {id}@{address}\r\n\
                 CSeq: {cseq} {method}\r\nContact: <sip:{from}@{here}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
                switch = self.switch,
                length = body.len(),
            )
        };
        let to = format!("<sip:95539@{}>", self.switch);
        self.send(&request("INVITE", 1, &to, &sdp));
        let mut answered = false;
        loop {
            let message = self.receive();
            let cseq = header(&message, "CSeq");
            if message.starts_with("SIP/2.0 200") && cseq.contains("INVITE") {
                answered = true;
                self.send(&request("ACK", 1, &header(&message, "To"), ""));
            } else if message.starts_with("SIP/2.0 ") {
                let status: u16 = message[8..11].parse().unwrap();
                assert!(status < 300, "{message}");
            } else if message.starts_with("BYE ") {
                assert!(answered, "{message}");
                let kept = ["Via", "From", "To", "Call-ID", "CSeq"]
                    .map(|name| format!("{name}: {}\r\n", header(&message, name)));
                self.send(&format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", kept.concat()));
                return;
            }
        }
    }

    fn send(&self, message: &str) {
        self.socket.send_to(message.as_bytes(), (self.switch, 5060)).unwrap();
    }

    fn receive(&self) -> String {
        let mut bytes = [0; 4_096];
        let (length, _) = self.socket.recv_from(&mut bytes).expect("the centre answers");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

/// A header's value; lines of the same name are one list.
fn header(message: &str, name: &str) -> String {
    let head = message.split("\r\n\r\n").next().unwrap();
    let values: Vec<&str> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect();
    values.join(", ")
}

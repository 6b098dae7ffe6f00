//! sipp as the carrier: a call is a list of steps, which becomes sipp's XML.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use super::child::Running;
use super::place::{CENTRE, Place};
use super::speech::Speech;

/// A scenario, step by step.
#[derive(Default)]
pub struct Script {
    steps: String,
}

impl Script {
    /// A call from its INVITE on.
    pub fn call() -> Self {
        Self { steps: format!("<send retrans=\"500\"><![CDATA[\n{INVITE}\n]]></send>\n") }
    }

    /// A call that offers nothing but this codec.
    pub fn call_offering(payload_type: u8, codec: &str) -> Self {
        let offer = format!("RTP/AVP {payload_type}\na=rtpmap:{payload_type} {codec}\n");
        let (head, _) = INVITE.split_once("RTP/AVP").expect("an INVITE with a description");
        Self { steps: format!("<send retrans=\"500\"><![CDATA[\n{head}{offer}\n]]></send>\n") }
    }

    /// The carrier's end of a call to outside: 180, then an answer.
    pub fn called() -> Self {
        Self::invited()
            .answer("180 Ringing", "INVITE", "")
            .answer("200 OK", "INVITE", ANSWER)
            .step("<recv request=\"ACK\" timeout=\"20000\"/>")
    }

    /// The carrier says 100 and nothing more, until the call is cancelled.
    pub fn called_in_vain() -> Self {
        Self::invited().answer("100 Trying", "INVITE", "").cancelled()
    }

    /// The carrier speaks to the caller and does not answer, until the call is cancelled.
    pub fn called_and_told_something() -> Self {
        Self::invited().answer("183 Session Progress", "INVITE", ANSWER).speak().cancelled()
    }

    fn cancelled(self) -> Self {
        self.step("<recv request=\"CANCEL\" timeout=\"30000\"/>")
            .answer("200 OK", "CANCEL", "")
            .answer("487 Request Terminated", "INVITE", "")
            .step("<recv request=\"ACK\" timeout=\"20000\"/>")
    }

    fn invited() -> Self {
        // The number of the INVITE, for the answer that follows another request.
        let number =
            "<action><ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"CSeq:\" assign_to=\"number\"/></action>";
        Self { steps: format!("<recv request=\"INVITE\">{number}</recv>\n") }
    }

    fn answer(self, status: &str, method: &str, body: &str) -> Self {
        let length = match body {
            "" => "Content-Length: 0\n".to_owned(),
            _ => format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{body}"),
        };
        let text = format!(
            "SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]-[call_number]\n[last_Call-ID:]\n\
             CSeq: [$number] {method}\n\
             Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n{length}"
        );
        self.step(&format!("<send><![CDATA[\n{text}\n]]></send>"))
    }

    /// An OPTIONS request and its 200.
    pub fn options() -> Self {
        let text = request("OPTIONS", 1, "sip:[remote_ip]:[remote_port]", "branch", "");
        Self { steps: format!("<send retrans=\"500\"><![CDATA[\n{text}\n]]></send>\n<recv response=\"200\"/>\n") }
    }

    fn step(mut self, step: &str) -> Self {
        self.steps += step;
        self.steps += "\n";
        self
    }

    /// Passes over 100, 180 and 183 up to a final answer.
    fn progress(self) -> Self {
        self.step("<recv response=\"100\" optional=\"true\"/>")
            .step("<recv response=\"180\" optional=\"true\"/>")
            .step("<recv response=\"183\" optional=\"true\"/>")
    }

    pub fn recv(self, status: u16) -> Self {
        self.step(&format!("<recv response=\"{status}\" timeout=\"20000\"/>"))
    }

    pub fn answered(self) -> Self {
        let ack = request("ACK", 1, "[next_url]", "branch", "[routes]\n");
        let ack = ack.replace(TO, TO_IN_DIALOG);
        self.progress()
            .step("<recv response=\"200\" rrs=\"true\" timeout=\"20000\"/>")
            .step(&format!("<send><![CDATA[\n{ack}\n]]></send>"))
    }

    /// The refusal of the call, acknowledged.
    pub fn refused(self, status: u16) -> Self {
        let ack = request("ACK", 1, INVITED, "branch-1", "").replace(TO, TO_IN_DIALOG);
        self.progress().recv(status).step(&format!("<send><![CDATA[\n{ack}\n]]></send>"))
    }

    /// Speaks for as long as the speech lasts.
    pub fn speak(self) -> Self {
        self.step("<nop><action><exec play_pcap_audio=\"speech.pcap\"/></action></nop>")
    }

    pub fn pause(self, span: Duration) -> Self {
        self.step(&format!("<pause milliseconds=\"{}\"/>", span.as_millis()))
    }

    pub fn hang_up(self) -> Self {
        let bye = request("BYE", 2, "[next_url]", "branch", "[routes]\n").replace(TO, TO_IN_DIALOG);
        self.step(&format!("<send retrans=\"500\"><![CDATA[\n{bye}\n]]></send>")).recv(200)
    }

    /// The far side hangs up.
    pub fn hung_up(self) -> Self {
        let ok =
            "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n";
        self.step("<recv request=\"BYE\" timeout=\"60000\"/>").step(&format!("<send><![CDATA[\n{ok}\n]]></send>"))
    }

    fn xml(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<scenario name=\"call\">\n{}</scenario>\n",
            self.steps
        )
    }
}

/// Who calls, from where.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// The last number of the carrier's address.
    pub party: u8,
    pub port: u16,
    pub caller: &'a str,
    pub called: &'a str,
}

/// A running sipp.
pub struct Sipp {
    running: Running,
    log: std::path::PathBuf,
}

impl Sipp {
    /// A carrier that waits for one call.
    pub fn await_call(place: &Place, party: u8, speech: &Speech, script: &Script) -> Self {
        let line = Line { party, port: 5_060, caller: "", called: "" };
        let sipp = Self::run(place, line, speech, script, &[]);
        // It listens once its port is taken.
        let address = (place.address(party), line.port);
        let up = super::child::patiently(Duration::from_secs(10), || {
            std::net::UdpSocket::bind(address).is_err().then_some(())
        });
        assert!(up.is_some(), "sipp does not listen: {}", sipp.running.said());
        sipp
    }

    pub fn start(place: &Place, line: Line<'_>, speech: &Speech, script: &Script) -> Self {
        let centre = format!("{}:5060", place.address(CENTRE));
        Self::run(place, line, speech, script, &["-s", line.called, "-key", "caller", line.caller, &centre])
    }

    fn run(place: &Place, line: Line<'_>, speech: &Speech, script: &Script, more: &[&str]) -> Self {
        let folder = place.path(&format!("sipp-{}-{}", line.party, line.port));
        std::fs::create_dir_all(&folder).expect("the test's folder takes a folder");
        std::fs::write(folder.join("call.xml"), script.xml()).expect("the test's folder takes a file");
        std::fs::write(folder.join("speech.pcap"), speech.pcap()).expect("the test's folder takes a file");
        let own: Ipv4Addr = place.address(line.party);
        let mut command = Command::new("sipp");
        command.current_dir(&folder).args(["-sf", "call.xml", "-m", "1", "-nostdin", "-trace_err", "-trace_msg"]);
        command.args(["-i", &own.to_string(), "-p", &line.port.to_string()]);
        command.args(["-mi", &own.to_string(), "-mp", &(line.port + 10_000).to_string()]);
        command.args(more);
        let log = folder.join("log");
        Self { running: Running::start(&mut command, &log), log: folder }
    }

    /// Waits for the end of the scenario, which must have gone as written.
    pub fn succeeds(mut self) {
        let ended = self.running.ends_within(Duration::from_secs(90));
        assert!(ended.success(), "sipp: {ended}\n{}\n{}", self.errors(), self.running.said());
    }

    fn errors(&self) -> String {
        let files = std::fs::read_dir(&self.log).into_iter().flatten().flatten().map(|file| file.path());
        let errors = files.filter(|file| file.to_string_lossy().ends_with("_errors.log"));
        errors.filter_map(|file| std::fs::read_to_string(file).ok()).collect()
    }
}

const INVITED: &str = "sip:[service]@[remote_ip]:[remote_port]";
const TO: &str = "To: <sip:[service]@[remote_ip]>\n";
const TO_IN_DIALOG: &str = "To: <sip:[service]@[remote_ip]>[peer_tag_param]\n";

fn request(method: &str, cseq: u32, uri: &str, branch: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[{branch}];rport\n\
         {more}From: <sip:[caller]@[local_ip]>;tag=[pid]-[call_number]\n\
         {TO}Call-ID: [call_id]\n\
         CSeq: {cseq} {method}\n\
         Max-Forwards: 70\n\
         Content-Length: 0\n"
    )
}

const INVITE: &str = "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:[caller]@[local_ip]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:[caller]@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
";

const ANSWER: &str = "v=0
o=sipp 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
";

//! A baresip phone: registers, calls, is called; driven over its control connection, heard by what it recorded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::child::{Running, patiently};
use super::place::{CENTRE, Party, Place};
use super::sound::{Sound, write_tone};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a phone is set up.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Its number in the place, from 10.
    pub party: u8,
    pub account: &'a str,
    pub password: &'a str,
    /// `udp` or `tcp`.
    pub transport: &'a str,
    /// What its microphone hears.
    pub hz: u16,
    pub answers: bool,
}

/// One thing baresip told.
#[derive(Clone, Debug)]
pub struct Told {
    pub kind: String,
    pub param: String,
}

/// A running phone.
pub struct Phone {
    running: Running,
    control: TcpStream,
    told: Arc<Mutex<Vec<Told>>>,
    recordings: PathBuf,
    next_token: u32,
}

impl Phone {
    pub fn start(place: &Place, setup: Setup<'_>) -> Self {
        let folder = place.path(&format!("phone-{}-{}", setup.account, setup.party));
        let recordings = folder.join("heard");
        std::fs::create_dir_all(&recordings).expect("the test's folder takes a folder");
        let microphone = folder.join("microphone.wav");
        write_tone(&microphone, setup.hz, 120.0);
        let party = place.party(setup.party);
        let config = config(party, &microphone.to_string_lossy(), &recordings.to_string_lossy());
        let centre = place.address(CENTRE);
        let Setup { account, password, transport, .. } = setup;
        let mode = if setup.answers { "auto" } else { "manual" };
        let line = format!(
            "<sip:{account}@centre.test;transport={transport}>;auth_user={account};auth_pass={password};\
             outbound=\"sip:{centre}:5060;transport={transport}\";regint=60;audio_codecs=PCMU;answermode={mode}"
        );
        std::fs::write(folder.join("config"), config).expect("the test's folder takes a file");
        // The account comes over the control connection: nothing is told before somebody listens.
        for empty in ["accounts", "contacts"] {
            std::fs::write(folder.join(empty), "").expect("the test's folder takes a file");
        }
        let mut command = Command::new("baresip");
        command.args(["-4", "-v", "-f"]).arg(&folder);
        let running = Running::start(&mut command, &folder.join("log"));
        let connect = || TcpStream::connect((party.address, party.control_port())).ok();
        let control = patiently(PATIENCE, connect).unwrap_or_else(|| panic!("baresip: {}", running.said()));
        let told = Arc::new(Mutex::new(Vec::new()));
        listen(control.try_clone().expect("a socket can be shared"), told.clone());
        let mut phone = Self { running, control, told, recordings, next_token: 0 };
        phone.order("uanew", &line);
        phone
    }

    /// Gives an order in the words of baresip's menu.
    pub fn order(&mut self, command: &str, param: &str) {
        self.next_token += 1;
        let text = json!({ "command": command, "params": param, "token": self.next_token.to_string() }).to_string();
        let framed = format!("{}:{text},", text.len());
        self.control.write_all(framed.as_bytes()).expect("baresip takes orders");
    }

    pub fn dial(&mut self, to: &str) {
        self.order("dial", &format!("sip:{to}@centre.test"));
    }

    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.order("sndcode", &key.to_string());
            std::thread::sleep(Duration::from_millis(250));
        }
        // Ends the last key.
        self.order("sndcode", "\u{4}");
    }

    pub fn hang_up(&mut self) {
        self.order("hangup", "");
    }

    /// Everything told so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().expect("no holder panics").clone()
    }

    /// Waits for the `nth` event of a kind, from 1.
    pub fn wait_for_nth(&self, kind: &str, nth: usize) -> Told {
        let found = patiently(PATIENCE, || self.told().into_iter().filter(|told| told.kind == kind).nth(nth - 1));
        found.unwrap_or_else(|| panic!("no {kind} ({nth}) but {:#?}\n{}", self.told(), self.running.said()))
    }

    pub fn wait_for(&self, kind: &str) -> Told {
        self.wait_for_nth(kind, 1)
    }

    pub fn count(&self, kind: &str) -> usize {
        self.told().iter().filter(|told| told.kind == kind).count()
    }

    /// Ends the phone and gives what it heard, one sound a call, in the order of the calls.
    pub fn heard(self) -> Vec<Sound> {
        let Self { mut running, recordings, .. } = self;
        running.signal(Signal::TERM);
        running.ends_within(Duration::from_secs(40));
        let files = std::fs::read_dir(&recordings).expect("the folder of recordings is there");
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("can be listed").path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with("-dec.wav"));
        files.sort();
        files.iter().flat_map(|file| Sound::read(file)).collect()
    }
}

/// Reads events until the phone is gone. Frames are netstrings of JSON.
fn listen(mut from: TcpStream, told: Arc<Mutex<Vec<Told>>>) {
    std::thread::spawn(move || {
        let (mut waiting, mut piece) = (Vec::new(), [0; 4_096]);
        while let Ok(n @ 1..) = from.read(&mut piece) {
            waiting.extend_from_slice(&piece[..n]);
            while let Some((frame, length)) = netstring(&waiting) {
                let event: Value = serde_json::from_slice(frame).unwrap_or_default();
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                if event["event"] == true {
                    let heard = Told { kind: text("type"), param: text("param") };
                    told.lock().expect("no holder panics").push(heard);
                }
                waiting.drain(..length);
            }
        }
    });
}

/// The first whole frame and its length with what frames it.
fn netstring(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let end = colon + 1 + length;
    (bytes.len() > end).then(|| (&bytes[colon + 1..end], end + 1))
}

fn config(party: Party, microphone: &str, recordings: &str) -> String {
    let (address, sip, control, (first, last)) =
        (party.address, party.sip_port(), party.control_port(), party.rtp_ports());
    let modules: String =
        ["g711", "aufile", "aubridge", "sndfile", "uuid"].iter().map(|name| format!("module {name}.so\n")).collect();
    format!(
        "sip_listen {address}:{sip}\n\
         call_local_timeout 60\n\
         call_max_calls 4\n\
         audio_player aubridge,speaker\n\
         audio_source aufile,{microphone}\n\
         audio_alert aubridge,bell\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         rtp_ports {first}-{last}\n\
         net_interface {address}\n\
         module_path /usr/lib/baresip/modules\n\
         {modules}\
         module_tmp account.so\n\
         module_app contact.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen {address}:{control}\n\
         snd_path {recordings}\n"
    )
}

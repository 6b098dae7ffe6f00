//! The centre under test: a copy of `tests/data/centre` on a test's own addresses, with its people and its tones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use strowger::app::{centre, edition};
use strowger::call::record::CallRecord;
use strowger::command::{Actor, Command, Done, Order, Refusal, UserRole};
use strowger::event::{Event, Fact};
use strowger::ids::{AccountName, CallId, UserName};
use strowger::runtime::bus::Observer;
use strowger::runtime::fold::{VoicemailRow, read_call};
use strowger::store::View;
use strowger::store::sled::SledView;
use strowger::store::view::key;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::child::{Running, patiently};
use super::place::{CARRIER, CENTRE, NARROW_CARRIER, Place};
use super::sound::{Sound, tone, write_tone};

const PATIENCE: Duration = Duration::from_secs(15);
/// The carrier's number that reaches the menu.
pub const RECEPTION: &str = "+862038120001";
/// The carrier's number that takes a message.
pub const MESSAGE: &str = "+862038120002";

/// A centre that runs in this process, so that a test can order what a desktop orders.
pub struct Centre {
    runtime: Runtime,
    running: Option<centre::Running>,
    heard: Arc<Mutex<Vec<Arc<Event>>>>,
    recordings: PathBuf,
    _edition: watch::Sender<Arc<strowger::switch::Edition>>,
}

impl Centre {
    pub fn start(place: &Place) -> Self {
        Self::start_with(place, "")
    }

    /// With more configuration at the end of the file.
    pub fn start_with(place: &Place, more: &str) -> Self {
        let config = furnish(place, more);
        let loaded = edition::read(&config).unwrap_or_else(|refused| panic!("{:#?}", refused.findings));
        let composed = edition::compose(&config, &loaded).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let edition = edition::anchored(&config, composed);
        let recordings = PathBuf::from(&*edition.plan.recording.path);
        let (keep, edition) = watch::channel(Arc::new(edition));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener: Box<dyn Observer> = Box::new(Listener(heard.clone()));
        let running =
            runtime.block_on(centre::start(edition, vec![listener], BTreeMap::new())).expect("the centre starts");
        Self { runtime, running: Some(running), heard, recordings, _edition: keep }
    }

    fn running(&self) -> &centre::Running {
        self.running.as_ref().expect("runs until it is dropped")
    }

    // -- what a desktop does -----------------------------------------------------------------------------------------

    pub fn order(&self, by: &str, order: Order) -> Result<Done, Refusal> {
        let role = if by == "carol" { UserRole::Supervisor } else { UserRole::Agent };
        let by = Actor { user: UserName::new(by), role };
        self.runtime.block_on(self.running().house.switch.order(Command { by, order }))
    }

    /// Signs an agent in at a phone and makes the agent ready.
    pub fn serve_from(&self, agent: &str, account: &str) {
        self.order(agent, Order::SignIn { account: AccountName::new(account) }).expect("the agent may sign in");
        self.order(agent, Order::Ready {}).expect("the agent may be ready");
    }

    // -- what has happened -------------------------------------------------------------------------------------------

    pub fn events(&self) -> Vec<Arc<Event>> {
        self.heard.lock().expect("no holder panics").clone()
    }

    /// Waits for an event.
    pub fn wait_for<T>(&self, what: &str, found: impl Fn(&Event) -> Option<T>) -> T {
        self.wait_for_nth(what, 1, found)
    }

    /// Waits for the `nth` of its kind, from 1.
    pub fn wait_for_nth<T>(&self, what: &str, nth: usize, found: impl Fn(&Event) -> Option<T>) -> T {
        let seen = patiently(PATIENCE, || self.events().iter().filter_map(|event| found(event)).nth(nth - 1));
        seen.unwrap_or_else(|| panic!("no {what} ({nth}) in {:#?}", self.events()))
    }

    pub fn wait_until_registered(&self, account: &str) {
        self.wait_for(&format!("registration of {account}"), |event| match &event.fact {
            Fact::PhoneRegistered { account: bound, .. } => (bound.as_str() == account).then_some(()),
            _ => None,
        });
    }

    /// The call of a caller, once it is accepted.
    pub fn call_from(&self, number: &str) -> Option<CallId> {
        self.events().iter().find_map(|event| match &event.fact {
            Fact::CallAccepted { from, .. } if from.number == number => event.call,
            _ => None,
        })
    }

    /// Waits until so many calls are over and gives their records, the oldest first.
    pub fn records(&self, calls: usize) -> Vec<CallRecord> {
        let over = || {
            let records = records(&*self.running().house.view);
            (records.len() >= calls && records.iter().all(|record| record.ended.is_some())).then_some(records)
        };
        let records = patiently(PATIENCE, over);
        let records = records.unwrap_or_else(|| panic!("no {calls} ended calls in {:#?}", self.events()));
        assert_eq!(records.len(), calls, "one record a call: {records:#?}");
        records
    }

    /// The file of a recording, once it is sealed.
    pub fn recording(&self, record: &CallRecord) -> PathBuf {
        let [recording] = record.recordings.as_slice() else { panic!("no recording in {record:#?}") };
        let sealed = |event: &Event| {
            matches!(&event.fact, Fact::RecordingSealed { recording: of, .. } if *of == recording.recording)
                .then_some(())
        };
        self.wait_for("sealed recording", sealed);
        self.recordings.join(&recording.file)
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        let stopped = self.runtime.block_on(async {
            running.drain(true);
            running.until_drained().await;
            running.stop().await
        });
        if let Err(error) = stopped
            && !std::thread::panicking()
        {
            panic!("the centre does not stop: {error:#}");
        }
    }
}

/// Keeps every event as desktops have it.
struct Listener(Arc<Mutex<Vec<Arc<Event>>>>);

impl Observer for Listener {
    fn handle(&mut self, event: &Arc<Event>) {
        self.0.lock().expect("no holder panics").push(event.clone());
    }
}

/// Every call record of a store.
pub fn records(view: &dyn View) -> Vec<CallRecord> {
    let rows = view.range(&key::calls(), None, 1_000).expect("the view can be read");
    rows.iter().map(|row| read_call(row).expect("a row of calls is a call record")).collect()
}

/// `strowger serve` as a process of its own.
pub struct Served {
    pub process: Running,
    data: PathBuf,
}

impl Served {
    pub fn start(place: &Place) -> Self {
        let config = place.path("centre/strowger.toml");
        let config = if config.is_file() { config } else { furnish(place, "") };
        let mut command = Program::new(env!("CARGO_BIN_EXE_strowger"));
        command.arg("serve").arg("--config").arg(&config);
        let process = Running::start(&mut command, &place.path("serve.log"));
        let up = patiently(PATIENCE, || process.said().contains("taking HTTP").then_some(()));
        assert!(up.is_some(), "the centre does not start: {}", process.said());
        Self { process, data: place.path("centre/data") }
    }

    /// Tells it to stop and waits until it has.
    pub fn stop(mut self) -> Remains {
        self.process.signal(Signal::TERM);
        self.remains()
    }

    /// What is left once the process has ended by itself.
    pub fn remains(&mut self) -> Remains {
        let ended = self.process.ends_within(PATIENCE);
        assert!(ended.success(), "{ended}: {}", self.process.said());
        Remains::of(&self.data)
    }
}

/// What lasts: the store of a centre that is not running.
pub struct Remains {
    pub records: Vec<CallRecord>,
    pub voicemails: Vec<VoicemailRow>,
    recordings: PathBuf,
}

impl Remains {
    pub fn of(data: &Path) -> Self {
        let (view, _) = SledView::open(&data.join("view")).expect("the view opens");
        let messages = view.range(&key::all_voicemails(), None, 1_000).expect("the view can be read");
        let read = |value: &[u8]| serde_json::from_slice(value).expect("a row of voicemails is a message");
        let voicemails = messages.iter().map(|row| read(&row.value)).collect();
        Self { records: records(&view), voicemails, recordings: data.join("recordings") }
    }

    /// The one record there must be.
    pub fn only_record(&self) -> &CallRecord {
        let [record] = self.records.as_slice() else { panic!("one record is wanted: {:#?}", self.records) };
        record
    }

    /// The channels of a call's one recording.
    pub fn recording(&self, record: &CallRecord) -> Vec<Sound> {
        let [recording] = record.recordings.as_slice() else { panic!("one recording is wanted: {record:#?}") };
        Sound::read(&self.recordings.join(&recording.file))
    }
}

/// Writes a centre's files: configuration on the place's addresses, dialplans, tones for prompts, people in the store.
fn furnish(place: &Place, more: &str) -> PathBuf {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/centre"), place.path("centre"));
    std::fs::create_dir_all(to.join("dialplans")).expect("the test's folder takes a folder");
    for dialplan in ["reception.toml", "message.toml"] {
        std::fs::copy(from.join("dialplans").join(dialplan), to.join("dialplans").join(dialplan))
            .expect("can be copied");
    }
    let mut text = std::fs::read_to_string(from.join("strowger.toml")).expect("the sample centre is there");
    for party in [CENTRE, CARRIER, NARROW_CARRIER] {
        text = text.replace(&format!("\"127.0.0.{party}"), &format!("\"{}", place.address(party)));
        text = text.replace(&format!(":127.0.0.{party}:"), &format!(":{}:", place.address(party)));
    }
    let config = to.join("strowger.toml");
    std::fs::write(&config, text + more).expect("the test's folder takes a file");
    furnish_tones(&to.join("prompts"));
    import(&config, "users", &from.join("people.csv"));
    import(&config, "customers", &from.join("customers.csv"));
    config
}

fn furnish_tones(prompts: &Path) {
    let spoken = [
        ("welcome", tone::WELCOME, 1.0),
        ("queue/you_are_next", tone::YOU_ARE_NEXT, 0.6),
        ("queue/you_are_number", tone::YOU_ARE_NUMBER, 0.6),
        ("number/2", tone::TWO, 0.6),
        ("queue/in_line", tone::IN_LINE, 0.6),
    ];
    let mut manifest = "[prompts]\n".to_owned();
    for (name, hz, seconds) in spoken {
        write_tone(&prompts.join(format!("en/{name}.wav")), hz, seconds);
        manifest += &format!("\"{name}\" = \"{hz} Hz\"\n");
    }
    std::fs::write(prompts.join("en/manifest.toml"), manifest).expect("the test's folder takes a file");
    for music in ["music", "waiting"] {
        write_tone(&prompts.join(format!("music/{music}.wav")), tone::MUSIC, 5.0);
    }
}

/// Puts a table into the store, as an administrator does.
fn import(config: &Path, what: &str, table: &Path) {
    let mut command = Program::new(env!("CARGO_BIN_EXE_strowger"));
    command.arg("--config").arg(config).args([what, "import"]).arg(table);
    let output = command.output().expect("the binary under test starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! Reload: what runs is replaced as a whole, or stays. Keys that are read at the start only ([`fixed`]) stay as they run
//! either way, and each that was changed is told with its place.
//!
//! Three things ask for one: a changed file, SIGHUP, and a request by API or command. Files are saved in bursts (an
//! editor writes, renames, touches), so a change is followed only when the folder has been quiet for [`QUIET`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::load::{Loaded, ReadDialplans, Refused, load};
use crate::finding::{Finding, Source};
use crate::limits::RELOADS_WAITING;
use crate::plan::{diff, fixed};

/// How long files must be quiet before a change is followed.
pub const QUIET: Duration = Duration::from_millis(300);
/// A folder that never gets quiet is followed after so long all the same.
pub const QUIET_AT_MOST: Duration = Duration::from_secs(3);

/// What asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    FileChanged,
    Hangup,
    Request,
}

/// What came of a reload.
#[derive(Debug)]
pub enum Outcome<D> {
    /// New calls take this; `changes` tells what is different, `next_start` what is not taken before the next start.
    Replaced { loaded: Arc<Loaded<D>>, changes: Vec<String>, next_start: Vec<Finding> },
    /// Nothing that a reload takes is different. `next_start` as above; `sources` are the texts it is about.
    Unchanged { next_start: Vec<Finding>, sources: Vec<Source> },
    /// What ran keeps running.
    Refused(Arc<Refused>),
}

/// Owns what runs, and replaces it.
pub struct Reloader<R: ReadDialplans> {
    config: PathBuf,
    dialplans: R,
    running: Arc<Loaded<R::Dialplans>>,
    /// What the last reload told of the next start.
    told: Vec<Finding>,
}

/// Asks a running [`watch`] for a reload.
pub struct ReloadHandle<D> {
    requests: mpsc::Sender<oneshot::Sender<Arc<Outcome<D>>>>,
}

/// A reload could not be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReload {
    #[error("too many reloads are waiting; try again in a moment")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
}

impl<R: ReadDialplans> Reloader<R> {
    /// The first load; start-up is a reload from nothing.
    pub fn start(config: &Path, dialplans: R) -> Result<Self, Refused> {
        let running = Arc::new(load(config, &dialplans)?);
        Ok(Self { config: config.to_owned(), dialplans, running, told: Vec::new() })
    }

    pub fn running(&self) -> &Arc<Loaded<R::Dialplans>> {
        &self.running
    }

    /// What was loaded could not be used after all: what ran before runs on, and the next reload compares with that.
    fn take_back(&mut self, before: Arc<Loaded<R::Dialplans>>) {
        self.running = before;
    }

    /// Reads the files anew; all or nothing.
    pub fn reload(&mut self) -> Outcome<R::Dialplans> {
        match load(&self.config, &self.dialplans) {
            Err(refused) => Outcome::Refused(Arc::new(refused)),
            Ok(mut loaded) => {
                let next_start = keep_fixed(&mut loaded, &self.running);
                let changes = changes(&self.running, &loaded);
                if changes.is_empty() {
                    return Outcome::Unchanged { next_start, sources: loaded.sources };
                }
                self.running = Arc::new(loaded);
                Outcome::Replaced { loaded: self.running.clone(), changes, next_start }
            }
        }
    }

    /// Whether what came of a change of files is worth telling: a backup, or a test beside a dialplan, is not, nor is
    /// what waits for the next start once it was told.
    fn is_news(&mut self, outcome: &Outcome<R::Dialplans>) -> bool {
        let (next_start, quiet): (&[Finding], bool) = match outcome {
            Outcome::Refused(_) => return true,
            Outcome::Replaced { next_start, .. } => (next_start, false),
            Outcome::Unchanged { next_start, .. } => (next_start, next_start.is_empty() || *next_start == self.told),
        };
        self.told = next_start.to_vec();
        !quiet
    }
}

/// Keys that are read at the start keep their running values; a finding for each that the files want otherwise.
fn keep_fixed<D>(loaded: &mut Loaded<D>, running: &Loaded<D>) -> Vec<Finding> {
    let wanted = loaded.plan.clone();
    let kept = fixed::keep(Arc::make_mut(&mut loaded.plan), &running.plan);
    let Some(source) = loaded.sources.first() else { return Vec::new() };
    let told = |key: &'static str| {
        let (now, then) = (diff::words_of(&running.plan, key), diff::words_of(&wanted, key));
        let reason = format!("`{key}` takes effect at the next start; until then `{now}` stays in force.");
        let mend = format!("Restart the server to have `{then}`, or take the change back.");
        source.warning("reload.next-start", loaded.places.of(key), reason, mend)
    };
    kept.into_iter().map(told).collect()
}

/// The plan's differences, then the dialplans added, removed and rewritten, then how many prompts.
fn changes<D>(before: &Loaded<D>, after: &Loaded<D>) -> Vec<String> {
    let mut lines = diff::changes(&before.plan, &after.plan);
    // The first source is the configuration itself, told above.
    let (old, new) = (before.sources.get(1..).unwrap_or_default(), after.sources.get(1..).unwrap_or_default());
    for source in new {
        match old.iter().find(|other| other.file == source.file) {
            None => lines.push(format!("{}: added", source.file)),
            Some(other) if other.text != source.text => lines.push(format!("{}: rewritten", source.file)),
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|source| !new.iter().any(|other| other.file == source.file));
    lines.extend(gone.map(|source| format!("{}: removed", source.file)));
    let (old, new) = (&before.prompts, &after.prompts);
    let other = new.iter().filter(|(path, stamp)| old.get(*path) != Some(*stamp)).count();
    match other + old.keys().filter(|path| !new.contains_key(*path)).count() {
        0 => {}
        1 => lines.push("prompts: 1 file changed".to_owned()),
        files => lines.push(format!("prompts: {files} files changed")),
    }
    lines
}

impl<D> Clone for ReloadHandle<D> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

impl<D> ReloadHandle<D> {
    /// A handle, and the end that [`watch`] takes.
    pub fn new() -> (Self, mpsc::Receiver<oneshot::Sender<Arc<Outcome<D>>>>) {
        let (requests, receiver) = mpsc::channel(RELOADS_WAITING);
        (Self { requests }, receiver)
    }

    /// Asks for a reload and waits for what came of it.
    pub async fn request(&self) -> Result<Arc<Outcome<D>>, NoReload> {
        let (answer, outcome) = oneshot::channel();
        self.requests.try_send(answer).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => NoReload::Busy,
            mpsc::error::TrySendError::Closed(_) => NoReload::Stopping,
        })?;
        outcome.await.map_err(|_| NoReload::Stopping)
    }
}

/// When a burst of changes is over.
#[derive(Debug, Default)]
struct Burst {
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Burst {
    fn handle_change(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some((self.last? + QUIET).min(self.first? + QUIET_AT_MOST))
    }

    fn take(&mut self) {
        *self = Self::default();
    }
}

/// Watches files, SIGHUP and requests until every [`ReloadHandle`] is gone, and reloads. `on_outcome` is told each
/// time; it hands a new plan to the switch and writes the log, and refuses one that it cannot hand over.
pub async fn watch<R: ReadDialplans>(
    mut reloader: Reloader<R>,
    mut requests: mpsc::Receiver<oneshot::Sender<Arc<Outcome<R::Dialplans>>>>,
    mut on_outcome: impl FnMut(Trigger, &Outcome<R::Dialplans>) -> Result<(), Refused>,
) -> Result<(), WatchError> {
    // One waiting change is enough: it says "look again".
    let (changed, mut changes) = mpsc::channel(1);
    let mut following = Following::new(changed)?;
    following.follow(&reloader.running.watched)?;
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let mut burst = Burst::default();
    loop {
        let quiet = burst.poll_timeout();
        let (trigger, answer) = tokio::select! {
            request = requests.recv() => match request {
                Some(answer) => (Trigger::Request, Some(answer)),
                None => return Ok(()),
            },
            Some(()) = hangup.recv() => (Trigger::Hangup, None),
            Some(()) = changes.recv() => {
                burst.handle_change(Instant::now());
                continue;
            }
            () = until(quiet) => (Trigger::FileChanged, None),
        };
        burst.take();
        let before = reloader.running.clone();
        let mut outcome = reloader.reload();
        let is_news = reloader.is_news(&outcome);
        if (trigger != Trigger::FileChanged || is_news)
            && let Err(refused) = on_outcome(trigger, &outcome)
        {
            reloader.take_back(before);
            outcome = Outcome::Refused(Arc::new(refused));
        }
        // What a refused configuration names is followed too: the mend may be made there.
        match &outcome {
            Outcome::Refused(refused) => following.follow(&refused.watched)?,
            _ => following.follow(&reloader.running.watched)?,
        }
        let outcome = Arc::new(outcome);
        if let Some(answer) = answer {
            // Whoever asked may have gone; the reload stands.
            let _ = answer.send(outcome);
        }
    }
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("cannot watch the configuration for changes: {0}")]
    Files(#[from] notify::Error),
    #[error("cannot listen for SIGHUP: {0}")]
    Signal(#[from] std::io::Error),
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => core::future::pending().await,
    }
}

/// The folders being watched. Folders rather than files: editors replace a file, and a watch on it would follow the
/// old one.
struct Following {
    watcher: notify::RecommendedWatcher,
    followed: Vec<PathBuf>,
    /// The paths whose change matters; the store's files often lie in the same folder.
    wanted: Arc<RwLock<Vec<PathBuf>>>,
}

impl Following {
    fn new(changed: mpsc::Sender<()>) -> Result<Self, WatchError> {
        let wanted: Arc<RwLock<Vec<PathBuf>>> = Arc::default();
        let matters = wanted.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let wanted = matters.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            let matters = |path: &PathBuf| wanted.iter().any(|wanted| path.starts_with(wanted));
            if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(matters)) {
                // Full: a look is due already.
                let _ = changed.try_send(());
            }
        })?;
        Ok(Self { watcher, followed: Vec::new(), wanted })
    }

    /// Follows what is not followed yet: a configured folder may come to be, or change its name.
    fn follow(&mut self, watched: &[PathBuf]) -> Result<(), WatchError> {
        let (wanted, folders): (Vec<PathBuf>, Vec<(PathBuf, RecursiveMode)>) =
            watched.iter().filter_map(|path| followable(path)).unzip();
        *self.wanted.write().unwrap_or_else(std::sync::PoisonError::into_inner) = wanted;
        for (folder, mode) in folders {
            if !self.followed.contains(&folder) {
                self.watcher.watch(&folder, mode)?;
                self.followed.push(folder);
            }
        }
        Ok(())
    }
}

/// The full path of what is to be followed, and the folder whose watch tells of it. A folder is followed with all
/// that is in it; of a file, and of a folder that is not there yet, the folder it is in. `None`: not even that exists.
fn followable(path: &Path) -> Option<(PathBuf, (PathBuf, RecursiveMode))> {
    if let Some(folder) = path.canonicalize().ok().filter(|path| path.is_dir()) {
        return Some((folder.clone(), (folder, RecursiveMode::Recursive)));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().ok()?;
    Some((parent.join(path.file_name()?), (parent, RecursiveMode::NonRecursive)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::load::tests::AnyText;
    use super::*;
    use crate::finding::Severity;
    use crate::ids::DialplanName;

    fn centre(config: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("strowger.toml");
        fs::write(&path, config).unwrap();
        fs::create_dir(folder.path().join("dialplans")).unwrap();
        (folder, path)
    }

    #[test]
    fn an_error_keeps_the_running_plan() {
        let (_folder, path) = centre("[queue.a]\nwrap_up_s = 30\n");
        let mut reloader = Reloader::start(&path, AnyText).ok().unwrap();
        fs::write(&path, "[queue.a]\nwrap_up_s = \"soon\"\n").unwrap();
        let Outcome::Refused(refused) = reloader.reload() else { panic!("a broken file must be refused") };
        assert_eq!((refused.findings[0].code, refused.findings[0].line), ("config.type", 2));
        assert_eq!(reloader.running().plan.queues["a"].wrap_up_s.0, 30);
        fs::write(&path, "[queue.a]\nwrap_up_s = 20\n").unwrap();
        let Outcome::Replaced { loaded, changes, .. } = reloader.reload() else { panic!("the mended file must load") };
        assert_eq!(changes, ["queues.a.wrap_up_s: 30 → 20"]);
        assert_eq!(loaded.plan.queues["a"].wrap_up_s.0, 20);
        assert!(matches!(reloader.reload(), Outcome::Unchanged { .. }));
    }

    #[test]
    fn what_is_read_at_the_start_stays_as_it_runs_and_is_told_with_its_place() {
        let (_folder, path) = centre("[recording]\npath = \"old\"\n[queue.a]\nwrap_up_s = 30\n");
        let mut reloader = Reloader::start(&path, AnyText).ok().unwrap();
        fs::write(&path, "[recording]\npath = \"new\"\n[queue.a]\nwrap_up_s = 20\n").unwrap();
        let Outcome::Replaced { loaded, changes, next_start } = reloader.reload() else { panic!("a queue changed") };
        assert_eq!(changes, ["queues.a.wrap_up_s: 30 → 20"], "the path is not claimed");
        assert_eq!(loaded.plan.recording.path.as_ref(), "old");
        let [Finding { severity: Severity::Warning, code: "reload.next-start", line: 2, reason, mend, .. }] =
            next_start.as_slice()
        else {
            panic!("{next_start:?}")
        };
        assert_eq!(reason, "`recording.path` takes effect at the next start; until then `old` stays in force.");
        assert_eq!(mend, "Restart the server to have `new`, or take the change back.");

        // It is told again as often as somebody asks, and as long as it waits.
        let Outcome::Unchanged { next_start, .. } = reloader.reload() else { panic!("nothing else changed") };
        assert_eq!(next_start.len(), 1);
        fs::write(&path, "[recording]\npath = \"old\"\n[queue.a]\nwrap_up_s = 20\n").unwrap();
        let Outcome::Unchanged { next_start, .. } = reloader.reload() else { panic!("it is as it runs") };
        assert_eq!(next_start, []);
        assert_eq!(reloader.running().plan.recording.path.as_ref(), "old");
    }

    #[test]
    fn a_changed_file_is_news_once_where_it_waits_for_the_next_start() {
        let (_folder, path) = centre("");
        let mut reloader = Reloader::start(&path, AnyText).ok().unwrap();
        let mut news = |text: &str| {
            fs::write(&path, text).unwrap();
            let outcome = reloader.reload();
            reloader.is_news(&outcome)
        };
        assert!(!news("# a remark\n"));
        assert!(news("[http]\nlisten = \"127.0.0.1:8081\"\n"));
        assert!(!news("[http]\nlisten = \"127.0.0.1:8081\"\n# a remark\n"));
        assert!(news("[http]\nlisten = \"127.0.0.1:8082\"\n"));
        assert!(!news(""), "taken back");
        assert!(news("[http]\nlisten = \"127.0.0.1:8082\"\n"));
    }

    #[test]
    fn a_rewritten_dialplan_alone_is_a_change() {
        let (folder, path) = centre("");
        let airline = folder.path().join("dialplans/airline.toml");
        fs::write(&airline, "a = 1\n").unwrap();
        let mut reloader = Reloader::start(&path, AnyText).ok().unwrap();
        fs::write(&airline, "a = 2\n").unwrap();
        fs::write(folder.path().join("dialplans/bank.toml"), "b = 1\n").unwrap();
        let Outcome::Replaced { loaded, changes, .. } = reloader.reload() else { panic!("dialplans changed") };
        assert_eq!(changes.len(), 2);
        assert!(changes[0].ends_with("airline.toml: rewritten") && changes[1].ends_with("bank.toml: added"));
        assert_eq!(*loaded.dialplans, ["airline", "bank"].map(DialplanName::new));
    }

    #[test]
    fn a_prompt_recorded_anew_is_a_change() {
        let (folder, path) = centre("");
        let prompt = folder.path().join("prompts/en/welcome.wav");
        fs::create_dir_all(prompt.parent().unwrap()).unwrap();
        fs::write(&prompt, "short").unwrap();
        let mut reloader = Reloader::start(&path, AnyText).ok().unwrap();
        fs::write(&prompt, "longer").unwrap();
        fs::write(prompt.with_file_name("manifest.toml"), "[prompts]").unwrap();
        let Outcome::Replaced { changes, .. } = reloader.reload() else { panic!("prompts changed") };
        assert_eq!(changes, ["prompts: 2 files changed"]);
        assert!(matches!(reloader.reload(), Outcome::Unchanged { .. }));
    }

    #[tokio::test]
    async fn what_cannot_be_handed_over_is_taken_back() {
        let (_folder, path) = centre("[queue.a]\nwrap_up_s = 30\n");
        let reloader = Reloader::start(&path, AnyText).ok().unwrap();
        let (handle, requests) = ReloadHandle::new();
        let refuse = |_, outcome: &Outcome<Vec<DialplanName>>| match outcome {
            Outcome::Replaced { loaded, .. } if loaded.plan.queues["a"].wrap_up_s.0 == 25 => {
                Err(Refused { findings: Vec::new(), sources: Vec::new(), watched: Vec::new() })
            }
            _ => Ok(()),
        };
        let watching = tokio::spawn(watch(reloader, requests, refuse));
        assert!(matches!(*handle.request().await.unwrap(), Outcome::Unchanged { .. }));
        fs::write(&path, "[queue.a]\nwrap_up_s = 25\n").unwrap();
        for _ in 0..2 {
            assert!(matches!(*handle.request().await.unwrap(), Outcome::Refused(_)), "as often as it is tried");
        }
        fs::write(&path, "[queue.a]\nwrap_up_s = 30\n").unwrap();
        assert!(matches!(*handle.request().await.unwrap(), Outcome::Unchanged { .. }), "it never was another plan");
        drop(handle);
        watching.await.unwrap().unwrap();
    }

    #[test]
    fn a_burst_is_followed_once_it_is_quiet_and_never_later_than_the_bound() {
        let start = Instant::now();
        let mut burst = Burst::default();
        assert_eq!(burst.poll_timeout(), None);
        burst.handle_change(start);
        burst.handle_change(start + QUIET / 2);
        assert_eq!(burst.poll_timeout(), Some(start + QUIET / 2 + QUIET));
        burst.handle_change(start + QUIET_AT_MOST);
        assert_eq!(burst.poll_timeout(), Some(start + QUIET_AT_MOST));
        burst.take();
        assert_eq!(burst.poll_timeout(), None);
    }

    #[tokio::test]
    async fn too_many_requests_for_a_reload_are_refused() {
        let (handle, requests) = ReloadHandle::<()>::new();
        let ask = || {
            tokio::spawn({
                let handle = handle.clone();
                async move { handle.request().await.map(drop) }
            })
        };
        let waiting: Vec<_> = (0..RELOADS_WAITING).map(|_| ask()).collect();
        assert_eq!(ask().await.unwrap(), Err(NoReload::Busy));
        drop(requests);
        for request in waiting {
            assert_eq!(request.await.unwrap(), Err(NoReload::Stopping));
        }
    }

    #[tokio::test]
    async fn a_saved_file_a_hangup_and_a_request_each_reload() {
        let (_folder, path) = centre("[queue.a]\nwrap_up_s = 30\n");
        let reloader = Reloader::start(&path, AnyText).ok().unwrap();
        let (handle, requests) = ReloadHandle::new();
        let (told, mut outcomes) = mpsc::unbounded_channel();
        let on_outcome = move |trigger, outcome: &Outcome<Vec<DialplanName>>| {
            let changes = match outcome {
                Outcome::Replaced { changes, .. } => changes.join("; "),
                Outcome::Unchanged { .. } => "unchanged".to_owned(),
                Outcome::Refused(refused) => refused.findings[0].code.to_owned(),
            };
            let _ = told.send((trigger, changes));
            Ok(())
        };
        let watching = tokio::spawn(watch(reloader, requests, on_outcome));
        // The answer shows that the watch stands before the file is touched.
        assert!(matches!(*handle.request().await.unwrap(), Outcome::Unchanged { .. }));
        assert_eq!(outcomes.recv().await.unwrap(), (Trigger::Request, "unchanged".to_owned()));
        fs::write(&path, "[queue.a]\nwrap_up_s = 25\n").unwrap();
        assert_eq!(outcomes.recv().await.unwrap(), (Trigger::FileChanged, "queues.a.wrap_up_s: 30 → 25".to_owned()));
        fs::write(&path, "[queue.a]\nwrap_up_s = 0\n").unwrap();
        assert_eq!(outcomes.recv().await.unwrap(), (Trigger::FileChanged, "config.range".to_owned()));
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::HUP).unwrap();
        assert_eq!(outcomes.recv().await.unwrap(), (Trigger::Hangup, "config.range".to_owned()));
        drop(handle);
        watching.await.unwrap().unwrap();
    }
}

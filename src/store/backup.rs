//! A copy of the ledger and the files beside it, made while the centre runs; and the way back.
//!
//! ```text
//! BACKUP/manifest.json      every file with its bytes and sha256, the range of records, written last
//! BACKUP/ledger/…seg        sealed segments as they are, the active one up to the last durable record
//! BACKUP/files/NAME/…       recordings, configuration, dialplans, prompts, as the caller names them
//! ```
//!
//! The view is not copied: it is a fold of the ledger. A backup is made in `BACKUP.partial` and renamed when it is
//! whole and synced, so a directory with a manifest is a finished backup.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::{Directory, Disk};
use super::ledger::SegmentLedger;
use super::segment;
use super::{LedgerError, Seq, Tail};
use crate::ids::Epoch;
use crate::limits::store as limits;
use crate::time::Time;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub v: u32,
    pub made_at: Time,
    /// The boot that made it.
    pub epoch: Epoch,
    /// The first and last record; both 0 where the ledger was empty.
    pub first_seq: Seq,
    pub last_seq: Seq,
    pub files: Vec<BackupFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Relative to the backup, with `/`.
    pub path: String,
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// What to copy.
#[derive(Clone, Debug)]
pub struct BackupSource {
    pub ledger: PathBuf,
    /// Name in the backup, and directory or file on disk; one that does not exist is left out.
    pub files: Vec<(String, PathBuf)>,
    /// The last record to copy: what the writer reported durable.
    pub last: Seq,
    pub epoch: Epoch,
}

/// Where a backup is restored to.
#[derive(Clone, Debug)]
pub struct RestoreTarget {
    /// An empty or missing directory. The ledger becomes its `ledger`; the view is rebuilt at the next start.
    pub store: PathBuf,
    /// Name in the backup, and where it goes: a directory that is empty or missing, or a file that is not there.
    /// What is named here and not in the backup is not made; what is not named stays in the backup.
    pub files: Vec<(String, PathBuf)>,
}

/// Copies everything into `target`, which must be empty or missing. `progress` hears the path and bytes of every file.
pub fn backup(
    source: &BackupSource,
    target: &Path,
    now: Time,
    mut progress: impl FnMut(&str, u64),
) -> Result<Manifest, BackupError> {
    if !is_free(target)? {
        return Err(BackupError::TargetExists(target.to_owned()));
    }
    let partial = with_suffix(target, ".partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|error| at(&partial, error))?;
    }
    let made = make(source, target, &partial, now, &mut progress);
    if made.is_err() {
        // On a full disk, half a backup is only in the way.
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

fn make(
    source: &BackupSource,
    target: &Path,
    partial: &Path,
    now: Time,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Manifest, BackupError> {
    // Customers' records and voices: for nobody else's eyes.
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(partial).map_err(|error| at(partial, error))?;
    let mut copy = Copying { root: partial, files: Vec::new(), progress };
    let first_seq = copy.ledger(source)?;
    for (name, path) in &source.files {
        if !plain(Path::new(name)) {
            return Err(BackupError::Path(name.clone()));
        }
        let name = format!("files/{name}");
        if path.is_file() { copy.file_at(path, name)? } else { copy.tree(path, &name)? }
    }
    let last_seq = if first_seq == Seq::ZERO { Seq::ZERO } else { source.last };
    let manifest = Manifest { v: 1, made_at: now, epoch: source.epoch, first_seq, last_seq, files: copy.files };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::Manifest(error.to_string()))?;
    write_synced(&partial.join(MANIFEST), &mut text.as_slice())?;
    fs::rename(partial, target).map_err(|error| at(target, error))?;
    sync_parent(target)?;
    Ok(manifest)
}

/// Checks every file of a backup against its manifest, and that the ledger in it opens and holds what it says.
pub fn verify(backup: &Path) -> Result<Manifest, BackupError> {
    let manifest = read_manifest(backup)?;
    for file in &manifest.files {
        let (bytes, sha256) = digest(&inside(backup, &file.path)?)?;
        if (bytes, &sha256) != (file.bytes, &file.sha256) {
            return Err(BackupError::Changed(file.path.clone()));
        }
    }
    check_ledger(&backup.join(LEDGER), &manifest)?;
    Ok(manifest)
}

/// Verifies the backup, then copies it to where `target` says. The ledger comes last and takes its name when it is
/// whole, so that a restore that was cut short is never taken for a store.
pub fn restore(
    backup: &Path,
    target: &RestoreTarget,
    mut progress: impl FnMut(&str, u64),
) -> Result<Manifest, BackupError> {
    for path in core::iter::once(&target.store).chain(target.files.iter().map(|(_, path)| path)) {
        if !is_free(path)? {
            return Err(BackupError::TargetNotEmpty(path.clone()));
        }
    }
    let manifest = verify(backup)?;
    let mut copy = |file: &BackupFile, to: &Path| -> Result<(), BackupError> {
        let path = inside(backup, &file.path)?;
        let mut from = File::open(&path).map_err(|error| at(&path, error))?;
        let written = write_synced(to, &mut from)?;
        progress(&file.path, file.bytes);
        if written.sha256 == file.sha256 { Ok(()) } else { Err(BackupError::Changed(file.path.clone())) }
    };
    let (ledger, files): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| file.path.starts_with("ledger/"));
    for file in files {
        if let Some(to) = target.place_of(&file.path) {
            copy(file, &to)?;
        }
    }
    let (whole, partial) = (target.store.join(LEDGER), target.store.join("ledger.partial"));
    fs::create_dir_all(&partial).map_err(|error| at(&partial, error))?;
    for file in ledger {
        copy(file, &partial.join(Path::new(&file.path).file_name().unwrap_or_default()))?;
    }
    fs::rename(&partial, &whole).map_err(|error| at(&whole, error))?;
    sync_parent(&whole)?;
    Ok(manifest)
}

impl RestoreTarget {
    /// Where a file of the backup goes; `None` where nobody asked for it.
    fn place_of(&self, path: &str) -> Option<PathBuf> {
        let path = path.strip_prefix("files/")?;
        self.files.iter().find_map(|(name, to)| match path.strip_prefix(name.as_str())? {
            "" => Some(to.clone()),
            rest => rest.strip_prefix('/').map(|rest| to.join(rest)),
        })
    }
}

/// Whether nothing is there that could be lost: nothing at all, or an empty directory.
fn is_free(path: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(at(path, error)),
    }
}

/// Why a backup was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} is not empty: name a directory that is, or one that does not exist.")]
    TargetExists(PathBuf),
    #[error("{0} is there already and would be overwritten: move it away first.")]
    TargetNotEmpty(PathBuf),
    #[error("{} has no readable manifest.json, so it is no finished backup: {reason}", path.display())]
    NoBackup { path: PathBuf, reason: String },
    #[error("the backup is of version {0}; this program knows version 1: restore it with the program that made it.")]
    Version(u32),
    #[error("`{0}` differs from the manifest: the backup is damaged, take another.")]
    Changed(String),
    #[error("the ledger in the backup ends at record {found}, the manifest says {wanted}: take another backup.")]
    Short { found: Seq, wanted: Seq },
    #[error("`{0}` would lie outside the backup: the manifest is not one of ours.")]
    Path(String),
    #[error("more than {limit} files: back up recordings with a tool made for that, and leave them out here.")]
    TooMany { limit: usize },
    #[error("the manifest could not be written: {0}")]
    Manifest(String),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

struct Copying<'a> {
    root: &'a Path,
    files: Vec<BackupFile>,
    progress: &'a mut dyn FnMut(&str, u64),
}

impl Copying<'_> {
    /// Copies the segments up to `source.last`; returns the first record's number.
    fn ledger(&mut self, source: &BackupSource) -> Result<Seq, BackupError> {
        let disk = Directory::beside(&source.ledger);
        let names = disk.names().map_err(|error| at(&source.ledger, error))?;
        let firsts: Vec<Seq> = names.iter().filter_map(|name| segment::parse_file_name(name)).collect();
        let wanted: Vec<Seq> = firsts.iter().copied().filter(|first| *first <= source.last).collect();
        for first in &wanted {
            let name = segment::file_name(*first);
            let bytes = segment_end(&disk, &name, source.last)?;
            let path = source.ledger.join(&name);
            let file = File::open(&path).map_err(|error| at(&path, error))?;
            self.file(&mut file.take(bytes), format!("{LEDGER}/{name}"))?;
        }
        Ok(wanted.first().copied().unwrap_or(Seq::ZERO))
    }

    /// Copies a directory with everything in it. Links are left out: they may lead anywhere.
    fn tree(&mut self, dir: &Path, name: &str) -> Result<(), BackupError> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(dir, error)),
        };
        let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(|error| at(dir, error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| at(&path, error))?;
            let Some(child) = entry.file_name().to_str().map(|child| format!("{name}/{child}")) else {
                return Err(BackupError::Path(path.display().to_string()));
            };
            if kind.is_dir() {
                self.tree(&path, &child)?;
            } else if kind.is_file() {
                self.file_at(&path, child)?;
            }
        }
        Ok(())
    }

    /// Copies one file; one that has gone since it was listed is left out.
    fn file_at(&mut self, path: &Path, name: String) -> Result<(), BackupError> {
        match File::open(path) {
            Ok(mut file) => self.file(&mut file, name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(path, error)),
        }
    }

    fn file(&mut self, from: &mut dyn Read, path: String) -> Result<(), BackupError> {
        if self.files.len() >= limits::BACKUP_FILES {
            return Err(BackupError::TooMany { limit: limits::BACKUP_FILES });
        }
        let written = write_synced(&self.root.join(&path), from)?;
        (self.progress)(&path, written.bytes);
        self.files.push(BackupFile { path, bytes: written.bytes, sha256: written.sha256 });
        Ok(())
    }
}

/// The byte after the frame that holds `last`, or after the segment's last frame.
fn segment_end(disk: &dyn Disk, name: &str, last: Seq) -> Result<u64, LedgerError> {
    let file = disk.open(name).map_err(|source| segment::io_error(name, source))?;
    let header = segment::read_header(name, file.as_ref())?;
    Ok(segment::find_end_before(name, file.as_ref(), header, last.next())?.offset)
}

fn check_ledger(ledger: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    if manifest.last_seq == Seq::ZERO {
        return Ok(());
    }
    let found = last_record(ledger, manifest)?;
    if found == manifest.last_seq { Ok(()) } else { Err(BackupError::Short { found, wanted: manifest.last_seq }) }
}

/// Reads the whole copy, each checksum on the way, without changing it.
fn last_record(ledger: &Path, manifest: &Manifest) -> Result<Seq, LedgerError> {
    let reader = SegmentLedger::reader_on(Arc::new(Directory::beside(ledger)), manifest.last_seq)?;
    let mut tail = reader.read(manifest.first_seq);
    let mut last = Seq::ZERO;
    while let Some(record) = tail.next()? {
        last = record.seq;
    }
    Ok(last)
}

fn read_manifest(backup: &Path) -> Result<Manifest, BackupError> {
    let no_backup = |reason: String| BackupError::NoBackup { path: backup.to_owned(), reason };
    let text = fs::read(backup.join(MANIFEST)).map_err(|error| no_backup(error.to_string()))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| no_backup(error.to_string()))?;
    if manifest.v != 1 { Err(BackupError::Version(manifest.v)) } else { Ok(manifest) }
}

/// A manifest is text that someone may have changed: no path may lead out.
fn inside(backup: &Path, path: &str) -> Result<PathBuf, BackupError> {
    let known = path.starts_with("files/") || path.starts_with("ledger/");
    if known && plain(Path::new(path)) { Ok(backup.join(path)) } else { Err(BackupError::Path(path.to_owned())) }
}

fn plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some()
}

struct Written {
    bytes: u64,
    sha256: String,
}

/// Copies into a new file, making its directories, and syncs it. The digest is of the bytes that were written: a
/// recording that grows meanwhile is copied as far as it was.
fn write_synced(to: &Path, from: &mut dyn Read) -> Result<Written, BackupError> {
    let failed = |error| at(to, error);
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file = File::create_new(to).map_err(failed)?;
    let (bytes, sha256) = pump(from, &mut file).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    sync_parent(to)?;
    Ok(Written { bytes, sha256 })
}

fn digest(path: &Path) -> Result<(u64, String), BackupError> {
    let mut file = File::open(path).map_err(|error| at(path, error))?;
    pump(&mut file, &mut io::sink()).map_err(|error| at(path, error))
}

fn pump(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = &buffer[..read];
        hash.update(chunk);
        to.write_all(chunk)?;
        bytes += read as u64;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, sha256))
}

fn sync_parent(path: &Path) -> Result<(), BackupError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|error| at(parent, error))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn at(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), source }
}

const MANIFEST: &str = "manifest.json";
const LEDGER: &str = "ledger";
const CHUNK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::super::{Batch, Ledger};
    use super::*;

    const SEGMENT: u64 = 4_096;

    struct Centre {
        dir: tempfile::TempDir,
        ledger: SegmentLedger,
    }

    fn open(path: &Path, boot: u128) -> SegmentLedger {
        let disk = Directory::lock(path).unwrap();
        SegmentLedger::open_on(Arc::new(disk), Epoch::from_u128(boot), SEGMENT).unwrap()
    }

    /// A centre with records in several segments and two files, one in a folder.
    fn centre() -> Centre {
        let dir = tempfile::tempdir().unwrap();
        let mut centre = Centre { ledger: open(&dir.path().join("ledger"), 1), dir };
        (0..50).for_each(|number| centre.append(number));
        let recordings = centre.dir.path().join("recordings");
        fs::create_dir_all(recordings.join("2026-11")).unwrap();
        fs::write(recordings.join("2026-11/a.wav"), b"RIFF").unwrap();
        fs::write(recordings.join("empty.wav"), b"").unwrap();
        centre
    }

    impl Centre {
        fn append(&mut self, number: u32) {
            let text = format!("record {number} {}", "x".repeat(300));
            let first = self.ledger.next_seq();
            self.ledger.append(&Batch { first, records: &[text.as_bytes()] }).unwrap();
        }

        fn source(&self) -> BackupSource {
            let at = |name: &str| self.dir.path().join(name);
            BackupSource {
                ledger: at("ledger"),
                files: vec![("recordings".into(), at("recordings")), ("voicemail".into(), at("none-yet"))],
                last: self.ledger.next_seq().prev(),
                epoch: self.ledger.epoch(),
            }
        }

        fn back_up(&self, source: &BackupSource) -> PathBuf {
            let target = self.dir.path().join("backup");
            backup(source, &target, Time::from_secs(5), |_, _| {}).unwrap();
            target
        }
    }

    fn into(store: &Path) -> RestoreTarget {
        RestoreTarget { store: store.to_owned(), files: vec![("recordings".into(), store.join("recordings"))] }
    }

    fn contents(ledger: &dyn Ledger) -> Vec<super::super::Record> {
        let mut tail = ledger.read(Seq::FIRST).unwrap();
        std::iter::from_fn(|| tail.next().unwrap()).collect()
    }

    #[test]
    fn a_backup_made_while_records_arrive_restores_to_the_moment_it_was_asked_for() {
        let mut centre = centre();
        let source = centre.source();
        let asked = contents(&centre.ledger);
        (50..80).for_each(|number| centre.append(number));
        let made = centre.back_up(&source);
        let target = centre.dir.path().join("restored");
        let mut seen = Vec::new();
        let manifest = restore(&made, &into(&target), |path, _| seen.push(path.to_owned())).unwrap();
        assert_eq!((manifest.first_seq, manifest.last_seq), (Seq(1), Seq(50)));
        assert!(seen.len() > 4 && seen.contains(&"files/recordings/2026-11/a.wav".to_owned()), "{seen:?}");
        assert_eq!(fs::read(target.join("recordings/2026-11/a.wav")).unwrap(), b"RIFF");
        assert_eq!(fs::read(target.join("recordings/empty.wav")).unwrap(), b"");

        let mut restored = Centre { ledger: open(&target.join("ledger"), 2), dir: tempfile::tempdir().unwrap() };
        assert_eq!(contents(&restored.ledger), asked);
        restored.append(50);
        assert_eq!(restored.ledger.next_seq(), Seq(52));
    }

    #[test]
    fn a_single_file_is_kept_and_what_nobody_asks_for_stays_in_the_backup() {
        let centre = centre();
        let config = centre.dir.path().join("strowger.toml");
        fs::write(&config, "domain = \"x\"").unwrap();
        let mut source = centre.source();
        source.files.push(("config/strowger.toml".into(), config));
        let made = centre.back_up(&source);
        let store = centre.dir.path().join("restored");
        let to = centre.dir.path().join("etc/other.toml");
        let target = RestoreTarget { store, files: vec![("config/strowger.toml".into(), to.clone())] };
        restore(&made, &target, |_, _| {}).unwrap();
        assert_eq!(fs::read_to_string(to).unwrap(), "domain = \"x\"");
        assert!(target.store.join("ledger").is_dir() && !target.store.join("recordings").exists());
    }

    #[test]
    fn an_empty_centre_is_backed_up_and_restored_too() {
        let dir = tempfile::tempdir().unwrap();
        let centre = Centre { ledger: open(&dir.path().join("ledger"), 1), dir };
        let made = centre.back_up(&centre.source());
        let manifest = restore(&made, &into(&centre.dir.path().join("restored")), |_, _| {}).unwrap();
        assert_eq!((manifest.last_seq, manifest.files), (Seq::ZERO, vec![]));
    }

    #[test]
    fn a_changed_file_a_missing_one_and_a_missing_manifest_are_named() {
        let centre = centre();
        let made = centre.back_up(&centre.source());
        let target = centre.dir.path().join("restored");
        let refused = || restore(&made, &into(&target), |_, _| {}).unwrap_err().to_string();

        fs::write(made.join("files/recordings/2026-11/a.wav"), b"RIFX").unwrap();
        assert!(refused().contains("`files/recordings/2026-11/a.wav` differs"), "{}", refused());
        fs::remove_file(made.join("files/recordings/2026-11/a.wav")).unwrap();
        assert!(refused().contains("a.wav"), "{}", refused());
        fs::remove_file(made.join(MANIFEST)).unwrap();
        assert!(refused().contains("no finished backup"), "{}", refused());
        assert!(!target.exists(), "nothing is restored from a damaged backup");
    }

    #[test]
    fn a_manifest_that_leads_out_of_the_backup_is_refused() {
        let centre = centre();
        let made = centre.back_up(&centre.source());
        let good = fs::read_to_string(made.join(MANIFEST)).unwrap();
        for path in ["../secret", "/etc/hostname", "files/../../x", "manifest.json", "files/"] {
            fs::write(made.join(MANIFEST), good.replace("files/recordings/empty.wav", path)).unwrap();
            assert!(matches!(verify(&made), Err(BackupError::Path(_) | BackupError::Io { .. })), "{path}");
        }
        fs::write(made.join(MANIFEST), good.replacen("\"v\": 1", "\"v\": 2", 1)).unwrap();
        assert!(matches!(verify(&made), Err(BackupError::Version(2))));
    }

    #[test]
    fn a_ledger_shorter_than_the_manifest_says_is_refused() {
        let centre = centre();
        let made = centre.back_up(&centre.source());
        let manifest = fs::read_to_string(made.join(MANIFEST)).unwrap();
        fs::write(made.join(MANIFEST), manifest.replace("\"last_seq\": 50", "\"last_seq\": 60")).unwrap();
        assert!(verify(&made).is_err());
    }

    #[test]
    fn nothing_that_exists_is_overwritten() {
        let centre = centre();
        let made = centre.back_up(&centre.source());
        assert!(matches!(backup(&centre.source(), &made, Time::EPOCH, |_, _| {}), Err(BackupError::TargetExists(_))));
        assert!(matches!(restore(&made, &into(centre.dir.path()), |_, _| {}), Err(BackupError::TargetNotEmpty(_))));
        let occupied = RestoreTarget {
            store: centre.dir.path().join("free"),
            files: vec![("recordings".into(), centre.dir.path().join("recordings"))],
        };
        assert!(matches!(restore(&made, &occupied, |_, _| {}), Err(BackupError::TargetNotEmpty(_))));
        assert!(!occupied.store.exists(), "all is looked at before anything is written");
        let odd = BackupSource { files: vec![("../up".into(), made.clone())], ..centre.source() };
        let fresh = centre.dir.path().join("fresh");
        assert!(matches!(backup(&odd, &fresh, Time::EPOCH, |_, _| {}), Err(BackupError::Path(_))));
    }

    #[test]
    fn a_file_beyond_the_bound_ends_the_backup() {
        let folder = tempfile::tempdir().unwrap();
        let one = BackupFile { path: String::new(), bytes: 0, sha256: String::new() };
        let (files, mut progress) = (vec![one; limits::BACKUP_FILES - 1], |_: &str, _: u64| {});
        let mut copy = Copying { root: folder.path(), files, progress: &mut progress };
        assert!(copy.file(&mut &b"sound"[..], "last.wav".to_owned()).is_ok());
        let refused = copy.file(&mut &b"sound"[..], "more.wav".to_owned());
        assert!(matches!(refused, Err(BackupError::TooMany { limit: limits::BACKUP_FILES })), "{refused:?}");
    }
}

//! `strowger backup` and `strowger restore`: everything a centre consists of, copied while it runs, and brought back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::config::args::{Args, Backup, Restore};
use crate::config::load::beside;
use crate::store::backup::{BackupSource, Manifest, RestoreTarget, backup, restore, verify};

use super::office::{LEDGER, Office, plan_of};
use super::{progress, say, say_json};

pub fn run(args: &Args, options: &Backup) -> anyhow::Result<ExitCode> {
    let office = Office::open(args)?;
    let (last, epoch) = office.position()?;
    let mut files = vec![
        (CONFIG.to_owned(), args.config.clone()),
        (DIALPLANS.to_owned(), office.folder(&office.plan.dialplans)),
        (PROMPTS.to_owned(), office.folder(&office.plan.prompts)),
    ];
    if !options.without_recordings {
        files.push((RECORDINGS.to_owned(), office.folder(&office.plan.recording.path)));
    }
    let source = BackupSource { ledger: office.store_folder().join(LEDGER), files, last, epoch };
    let spinner = progress::spinner("copying");
    let made = backup(&source, &options.folder, office.clock().now(), |path, _| spinner.set_message(path.to_owned()));
    spinner.finish_and_clear();
    let manifest = made?;
    tell(args, &manifest, &format!("{} holds", options.folder.display()))
}

pub fn bring_back(args: &Args, options: &Restore) -> anyhow::Result<ExitCode> {
    if options.verify {
        let manifest = verify(&options.folder)?;
        return tell(args, &manifest, &format!("{} is whole:", options.folder.display()));
    }
    let target = target(&args.config, &options.folder)?;
    let spinner = progress::spinner("restoring");
    let done = restore(&options.folder, &target, |path, _| spinner.set_message(path.to_owned()));
    spinner.finish_and_clear();
    tell(args, &done?, &format!("{} is restored:", target.store.display()))
}

/// Configuration, dialplans and prompts come back only where there is no configuration; else those that are there
/// stand, and say where the store is.
fn target(config: &Path, folder: &Path) -> anyhow::Result<RestoreTarget> {
    let has_config = config.is_file();
    let kept = folder.join("files").join(CONFIG);
    if !has_config && !kept.is_file() {
        // A folder that is no backup says so; one without a configuration needs another.
        verify(folder)?;
        anyhow::bail!("the backup holds no configuration, and there is no {}: name one by --config", config.display());
    }
    let plan = if has_config { plan_of(config)? } else { plan_of(&kept).context("the backup's configuration")? };
    let place = |name: &str, path: &str| -> (String, PathBuf) { (name.to_owned(), beside(config, path)) };
    let mut files = vec![place(RECORDINGS, &plan.recording.path)];
    if !has_config {
        files.push((CONFIG.to_owned(), config.to_owned()));
        files.push(place(DIALPLANS, &plan.dialplans));
        files.push(place(PROMPTS, &plan.prompts));
    }
    Ok(RestoreTarget { store: beside(config, &plan.store.path), files })
}

fn tell(args: &Args, manifest: &Manifest, what: &str) -> anyhow::Result<ExitCode> {
    if args.json {
        say_json(manifest)?;
    } else {
        let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        let (records, files) = (manifest.last_seq, manifest.files.len());
        say(&format!("{what} records up to {records}, {files} files, {bytes} bytes.\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Names in the backup.
const CONFIG: &str = "config/strowger.toml";
const DIALPLANS: &str = "dialplans";
const PROMPTS: &str = "prompts";
const RECORDINGS: &str = "recordings";

//! `strowger check`: every finding with its place, its reason and its mend.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::args::{Args, Check};
use crate::config::load::{beside, read_source};
use crate::config::report;
use crate::finding::{Finding, Severity, Source};
use crate::limits::CONFIG_BYTES;

use super::{REFUSED, edition, paint, say};

pub fn run(args: &Args, options: &Check) -> anyhow::Result<ExitCode> {
    let configs = if options.paths.is_empty() { vec![args.config.clone()] } else { configs_of(args, &options.paths) };
    let mut all = Vec::new();
    for config in configs {
        let (findings, sources) = findings_of(&config);
        let shown = only(&options.paths, findings);
        if !args.json {
            say(&for_people(&config, &shown, &sources));
        }
        all.extend(shown);
    }
    if args.json {
        say(&format!("{}\n", report::for_machines(&all)));
    }
    Ok(match all.iter().map(|finding| finding.severity).max() {
        Some(Severity::Error) => ExitCode::from(REFUSED),
        Some(Severity::Warning) if options.strict => ExitCode::from(REFUSED),
        _ => ExitCode::SUCCESS,
    })
}

/// Everything there is to find in a configuration, its dialplans and its prompts.
fn findings_of(config: &Path) -> (Vec<Finding>, Vec<Source>) {
    match edition::read(config) {
        Err(refused) => (refused.findings, refused.sources),
        Ok(loaded) => {
            let mut findings = loaded.warnings.clone();
            if let Err(found) = edition::compose(config, &loaded) {
                findings.extend(found);
            }
            (findings, loaded.sources)
        }
    }
}

/// A folder stands for its `strowger.toml`, a dialplan for the configuration it belongs to.
fn configs_of(args: &Args, paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut configs: Vec<PathBuf> = paths.iter().map(|path| config_of(args, path)).collect();
    configs.sort();
    configs.dedup();
    configs
}

const NAME: &str = "strowger.toml";

/// The configuration that a file belongs to: itself, one beside it or above its folder, that of `--config`, or where
/// there is none, one in a folder next to its own.
pub fn config_of(args: &Args, path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.join(NAME);
    }
    if path.file_name() == args.config.file_name() || path.file_name().is_some_and(|name| name == NAME) {
        return path.to_owned();
    }
    let above = [path.parent(), path.parent().and_then(Path::parent)];
    let near = above.into_iter().flatten().map(|folder| folder.join(NAME)).find(|config| config.is_file());
    near.or_else(|| (!args.config.is_file()).then(|| neighbour(path)).flatten()).unwrap_or_else(|| args.config.clone())
}

/// The configuration in a folder next to the file's that names the file's folder as its dialplans: `demo/strowger.toml`
/// for `dialplans/bank.toml`. None where there are several.
fn neighbour(path: &Path) -> Option<PathBuf> {
    let dialplans = path.canonicalize().ok()?.parent()?.to_owned();
    let above = path.parent()?.parent()?;
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let folders = std::fs::read_dir(above).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let configs = folders.map(|folder| folder.join(NAME)).filter(|config| {
        let named = read_source(config, CONFIG_BYTES).ok().and_then(|source| source.text.parse::<toml::Table>().ok());
        let folder = named.as_ref().and_then(|table| table.get("dialplans")?.as_str());
        folder.is_some_and(|folder| beside(config, folder).canonicalize().is_ok_and(|folder| folder == dialplans))
    });
    let configs: Vec<PathBuf> = configs.collect();
    let [config] = <[PathBuf; 1]>::try_from(configs).ok()?;
    Some(config.strip_prefix(".").map(Path::to_owned).unwrap_or(config))
}

/// Where single files were named, only what concerns them.
fn only(paths: &[PathBuf], findings: Vec<Finding>) -> Vec<Finding> {
    let files: Vec<&PathBuf> = paths.iter().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return findings;
    }
    let named = |finding: &Finding| {
        files.iter().any(|path| path.ends_with(Path::new(&*finding.file).file_name().unwrap_or_default()))
    };
    findings.into_iter().filter(named).collect()
}

fn for_people(config: &Path, findings: &[Finding], sources: &[Source]) -> String {
    match findings {
        [] => format!("{}: in order.\n", config.display()),
        findings => report::for_people(findings, sources, paint(&std::io::stdout())),
    }
}

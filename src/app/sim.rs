//! `strowger sim`: the whole centre in virtual time under faults, a run for each seed.
//!
//! Exit code 0 where everything held. A seed that failed prints what did not hold and the ladder of the calls to
//! blame; the same command with that seed repeats the run exactly.

use core::time::Duration;
use std::io::{IsTerminal, Write};
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::audio::clip::Clip;
use crate::config::args::Sim;
use crate::config::compose::{dialplan_names, queue_settings};
use crate::dialplan::{self, PromptCatalogue};
use crate::finding::{Finding, Severity, Source};
use crate::ids::{Language, PromptName};
use crate::plan::{Surroundings, read};
use crate::sim::seed::{CONFIGURATIONS, Centre, DIALPLANS, PROMPTS, Setting};
use crate::sim::world::{self, Outcome};
use crate::switch::{Edition, Sounds};

/// Runs the seeds that the arguments name, on every core. True where all of them held.
pub fn run(args: &Sim, json: bool, out: &mut dyn Write) -> Result<bool> {
    let centre = centre()?;
    let quiet = json || !std::io::stderr().is_terminal();
    let bar = ProgressBar::new(args.seeds);
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = "{bar:30} {pos}/{len} seeds, {per_sec}, {eta} left {msg}";
    bar.set_style(ProgressStyle::with_template(style).context("the progress bar's template")?);
    let mut summary = Summary::default();
    let last = args.first_seed.saturating_add(args.seeds - 1);
    let settings = (args.first_seed..=last).map(|seed| setting(args, seed)).collect();
    let fail_fast = args.fail_fast;
    let mut told: Result<()> = Ok(());
    run_all(settings, &centre, |outcome| {
        summary.count(&outcome);
        bar.inc(1);
        if !outcome.wrong.is_empty() {
            bar.set_message(format!("· {} failed", summary.failed.len()));
        }
        if json {
            told = serde_json::to_writer(&mut *out, &outcome).map_err(Into::into).and_then(|()| Ok(writeln!(out)?));
        } else if !outcome.wrong.is_empty() {
            told = bar.suspend(|| failure(out, args, &outcome));
        }
        told.is_ok() && (outcome.wrong.is_empty() || !fail_fast)
    });
    told?;
    bar.finish_and_clear();
    summary.failed.sort_unstable();
    if json {
        serde_json::to_writer(&mut *out, &summary)?;
        writeln!(out)?;
    } else {
        summary.tell(out)?;
    }
    Ok(summary.failed.is_empty())
}

/// Runs settings on every core; `each` is told of each as it ends, in any order, and says whether to go on.
pub fn run_all(settings: Vec<Setting>, centre: &Centre, mut each: impl FnMut(Outcome) -> bool) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(settings.len().max(1));
    let next = AtomicU64::new(0);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (tell, next, settings) = (tell.clone(), &next, &settings);
            scope.spawn(move || {
                loop {
                    let nth = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(setting) = settings.get(nth) else { break };
                    // Refused where nobody listens any more.
                    if tell.send(world::run(setting, centre)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        while let Ok(outcome) = told.recv() {
            if !each(outcome) {
                // Nothing is begun any more; what runs is let finish.
                next.store(u64::MAX / 2, Ordering::Relaxed);
                drop(told);
                break;
            }
        }
    });
}

fn setting(args: &Sim, seed: u64) -> Setting {
    let short = Setting::short(seed);
    Setting {
        length: Duration::from_secs(u64::from(args.minutes) * 60),
        calls: args.calls,
        agents: args.agents.unwrap_or(short.agents),
        calm: args.calm,
        ..short
    }
}

/// The simulated centre: both of its editions.
pub fn centre() -> Result<Centre> {
    let editions = CONFIGURATIONS.iter().enumerate().map(|(nth, text)| edition(nth, text));
    Ok(Centre { editions: editions.collect::<Result<_>>()? })
}

fn edition(nth: usize, text: &str) -> Result<Arc<Edition>> {
    let source = Source::new(format!("sim/configuration{nth}.toml"), text);
    let reading = read(&source, &Surroundings::NONE);
    let mut findings = reading.findings;
    let (queues, found) = queue_settings(&reading.draft, &source, &reading.places);
    findings.extend(found);
    let mut catalogue = PromptCatalogue::default();
    let mut sounds = Sounds::default();
    for (prompt, length_ms) in PROMPTS {
        let clip = Arc::new(Clip::silence(prompt, Duration::from_millis(length_ms)));
        for language in ["en", "zh"] {
            catalogue.insert(Language::new(language), PromptName::new(prompt), prompt);
            sounds.add_prompt(Language::new(language), PromptName::new(prompt), clip.clone());
        }
    }
    sounds.add_music(PromptName::new("music"), Arc::new(Clip::silence("music", Duration::from_secs(10))));
    let names = dialplan_names(&reading.draft);
    let texts: Vec<Source> =
        DIALPLANS.iter().map(|(name, text)| Source::new(format!("sim/{name}.toml"), *text)).collect();
    let loaded = dialplan::load(&texts, &catalogue, &names);
    findings.extend(loaded.findings);
    refuse(&findings)?;
    let book = loaded.book.context("a book without findings")?;
    Ok(Arc::new(Edition {
        plan: Arc::new(reading.draft),
        book: Arc::new(book),
        sounds,
        queues,
        digest: format!("sim{nth}"),
    }))
}

fn refuse(findings: &[Finding]) -> Result<()> {
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}:{}: {} {}", finding.file, finding.line, finding.reason, finding.mend))
        .collect();
    if errors.is_empty() { Ok(()) } else { bail!("the simulated centre does not load:\n{}", errors.join("\n")) }
}

fn failure(out: &mut dyn Write, args: &Sim, outcome: &Outcome) -> Result<()> {
    writeln!(out, "seed {} failed:", outcome.seed)?;
    for wrong in &outcome.wrong {
        writeln!(out, "  {wrong}")?;
    }
    writeln!(out, "\n{}\n", outcome.ladder)?;
    writeln!(out, "again: {}\n", again(args, outcome.seed))?;
    Ok(())
}

/// The command that repeats one run.
fn again(args: &Sim, seed: u64) -> String {
    let setting = setting(args, seed);
    let mut command = format!("strowger sim --first-seed {seed} --seeds 1");
    let short = Setting::short(seed);
    if setting.length != short.length {
        command += &format!(" --minutes {}", args.minutes);
    }
    if setting.calls != short.calls {
        command += &format!(" --calls {}", setting.calls);
    }
    if setting.agents != short.agents {
        command += &format!(" --agents {}", setting.agents);
    }
    if setting.calm {
        command += " --calm";
    }
    command
}

/// All runs together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub seeds: u64,
    pub failed: Vec<u64>,
    pub steps: u64,
    pub events: u64,
    pub accepted: u64,
    pub refused: u64,
    pub answered: u64,
    pub abandoned: u64,
    pub moved: u64,
    pub transfers: u64,
    pub recordings: u64,
    pub voicemails: u64,
}

impl Summary {
    pub fn count(&mut self, outcome: &Outcome) {
        let (figures, counts) = (&outcome.figures, &outcome.counts);
        self.seeds += 1;
        if !outcome.wrong.is_empty() {
            self.failed.push(outcome.seed);
        }
        self.steps += outcome.steps;
        self.events += figures.events;
        self.accepted += figures.accepted;
        self.refused += counts.refused;
        self.answered += figures.answered;
        self.abandoned += figures.abandoned;
        self.moved += figures.moved;
        self.transfers += figures.transfers;
        self.recordings += figures.recordings;
        self.voicemails += figures.voicemails;
    }

    fn tell(&self, out: &mut dyn Write) -> Result<()> {
        let Summary { seeds, accepted, refused, answered, abandoned, moved, transfers, recordings, voicemails, .. } =
            self;
        writeln!(
            out,
            "{seeds} seeds: {accepted} calls ({refused} refused), {answered} answered by agents, {abandoned} abandoned, \
             {moved} moved, {transfers} transfers, {recordings} recordings, {voicemails} voicemails; {} steps",
            self.steps
        )?;
        match self.failed.as_slice() {
            [] => writeln!(out, "everything held")?,
            failed => writeln!(out, "{} failed: {failed:?}", failed.len())?,
        }
        Ok(())
    }
}

/// Keeps the message of a caught panic off the terminal: the outcome has it, with its ladder.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|about| {
        let place = about.location().map(|at| format!("{}:{}", Path::new(at.file()).display(), at.line()));
        tracing::debug!(place = place.unwrap_or_default(), "a panic was caught in a simulated run");
    }));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::args::{Args, Command};

    fn sim(line: &str) -> Sim {
        let args = Args::try_parse_from(line.split_whitespace()).expect(line);
        let Command::Sim(sim) = args.command else { panic!("{line}") };
        sim
    }

    #[test]
    fn a_failed_run_is_repeated_by_the_command_it_prints() {
        for line in ["strowger sim --seeds 9", "strowger sim --seeds 9 --minutes 5 --calls 30 --agents 4 --calm"] {
            let first = sim(line);
            let command = again(&first, 7);
            let repeated = sim(&command);
            assert_eq!((repeated.first_seed, repeated.seeds), (7, 1));
            assert_eq!(setting(&repeated, 7), setting(&first, 7), "{command}");
        }
        assert_eq!(again(&sim("strowger sim"), 7), "strowger sim --first-seed 7 --seeds 1");
    }

    #[test]
    fn a_run_says_the_same_twice_and_its_json_has_every_seed_and_the_sum() {
        let args = sim("strowger sim --seeds 2 --first-seed 3 --minutes 2 --calls 6 --agents 2 --calm");
        let run = || {
            let mut out = Vec::new();
            assert!(run(&args, true, &mut out).unwrap(), "{}", String::from_utf8_lossy(&out));
            let mut lines: Vec<serde_json::Value> = out
                .split(|b| *b == b'\n')
                .filter(|l| !l.is_empty())
                .map(|l| serde_json::from_slice(l).unwrap())
                .collect();
            // Threads end in any order.
            lines.sort_by_key(|line| line["seed"].as_u64());
            lines
        };
        let lines = run();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["seeds"], 2, "the sum");
        assert_eq!((&lines[1]["seed"], &lines[2]["seed"]), (&3.into(), &4.into()));
        assert!(lines[1]["trace"].is_u64() && lines[1]["trace"] != lines[2]["trace"]);
        assert_eq!(lines, run(), "same seeds, same traces");
    }
}

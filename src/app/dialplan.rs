//! `strowger dialplan`: a dialplan drawn, walked without a phone, and judged by the tests beside it.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::config::args::{Args, Dialplan as What, Try};
use crate::config::load::{Loaded, beside, dialplan_name, read_source};
use crate::config::prompts::{Recorded, read_prompts};
use crate::dialplan::coverage::{Coverage, CoverageReport};
use crate::dialplan::draw;
use crate::dialplan::facts::CustomerFacts;
use crate::dialplan::model::DialplanId;
use crate::dialplan::scenario::{Answer, HoursAnswer, Scenario, Scenarios, read_scenarios};
use crate::dialplan::{Book, Dialplan, PromptCatalogue};
use crate::finding::nearest;
use crate::ids::Language;
use crate::ivr::testing::{self, Happening, Report, Walked};
use crate::limits::CONFIG_BYTES;
use crate::number::Number;
use crate::plan::Zone;
use crate::runtime::clock::SystemClock;
use crate::time::Time;

use super::check::config_of;
use super::{Misused, Rejected, edition, say, say_json, times};

pub fn run(args: &Args, what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Graph { file, mermaid } => graph(args, file, *mermaid),
        What::Try(options) => attempt(args, options),
        What::Test { files } => test(args, files),
    }
}

/// A folder of dialplans that passed every check, with its prompts.
struct Shelf {
    config: PathBuf,
    loaded: Loaded<Book>,
    catalogue: PromptCatalogue,
}

impl Shelf {
    /// The folder that belongs to a configuration.
    fn of(config: PathBuf) -> anyhow::Result<Self> {
        let loaded = edition::read(&config)
            .map_err(|refused| Rejected { findings: refused.findings, sources: refused.sources })?;
        let Recorded { catalogue, .. } = read_prompts(&beside(&config, &loaded.plan.prompts));
        Ok(Self { config, loaded, catalogue })
    }

    fn book(&self) -> &Arc<Book> {
        &self.loaded.dialplans
    }

    /// The dialplan that a file holds. A test file stands for the dialplan it tests.
    fn find(&self, file: &Path) -> anyhow::Result<DialplanId> {
        let name = dialplan_of(file);
        let here = file.with_file_name(format!("{name}.toml"));
        anyhow::ensure!(here.is_file(), "there is no dialplan {}", here.display());
        let found = self.book().find(&name).filter(|id| same_file(&here, &self.book().get(*id).source.file));
        found.ok_or_else(|| {
            let folder = beside(&self.config, &self.loaded.plan.dialplans);
            let config = self.config.display();
            anyhow::anyhow!(
                "{} is none of the dialplans of {config}, which are in {}",
                file.display(),
                folder.display()
            )
        })
    }
}

/// `dialplans/bank.toml` and `dialplans/bank.test.toml` → `bank`.
fn dialplan_of(file: &Path) -> String {
    let name = dialplan_name(&file.to_string_lossy());
    name.as_str().strip_suffix(".test").unwrap_or(name.as_str()).to_owned()
}

fn same_file(one: &Path, other: &str) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some() && real(one) == real(Path::new(other))
}

// -- graph -----------------------------------------------------------------------------------------------------------

fn graph(args: &Args, file: &Path, mermaid: bool) -> anyhow::Result<ExitCode> {
    let shelf = Shelf::of(config_of(args, file))?;
    let plan = shelf.book().get(shelf.find(file)?);
    match (args.json, mermaid) {
        (true, _) => say_json(&graph_json(plan))?,
        (false, true) => say(&draw::mermaid(plan)),
        (false, false) => say(&draw::outline(plan)),
    }
    Ok(ExitCode::SUCCESS)
}

fn graph_json(plan: &Dialplan) -> Json {
    let states = plan.ids().map(|id| {
        let state = plan.state(id);
        let edges = state.edges();
        let edges = edges.iter().map(|edge| json!({ "on": edge.label.to_string(), "to": plan.state(edge.to).name }));
        json!({ "state": state.name, "does": draw::summary(plan, &state.action), "edges": edges.collect::<Vec<_>>() })
    });
    json!({
        "dialplan": plan.name,
        "about": plan.about,
        "languages": plan.languages,
        "start": plan.state(plan.start).name,
        "states": states.collect::<Vec<_>>(),
    })
}

// -- try -------------------------------------------------------------------------------------------------------------

fn attempt(args: &Args, options: &Try) -> anyhow::Result<ExitCode> {
    let shelf = Shelf::of(config_of(args, &options.file))?;
    let dialplan = shelf.find(&options.file)?;
    let mut scenario = setting(&shelf, dialplan, options)?;
    let walked = match &options.keys {
        Some(keys) => {
            scenario.steps = script(keys)?;
            let walked = testing::walk(shelf.book(), &shelf.catalogue, dialplan, &scenario);
            if !args.json {
                say(&walked.to_string());
            }
            walked
        }
        None => by_hand(args, &shelf, dialplan, &mut scenario)?,
    };
    if args.json {
        say_json(&walked_json(&walked))?;
    }
    Ok(if walked.end.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Groups of keys, apart by commas or blanks, as the caller presses them.
fn script(keys: &str) -> anyhow::Result<Vec<crate::dialplan::scenario::Step>> {
    Ok(testing::script(&keys.replace(',', " ")).map_err(Misused)?.steps)
}

/// Who calls when: opening hours as the configuration has them at that instant.
fn setting(shelf: &Shelf, dialplan: DialplanId, options: &Try) -> anyhow::Result<Scenario> {
    let plan = &shelf.loaded.plan;
    let mut scenario = testing::script("").map_err(Misused)?;
    scenario.at = match &options.at {
        Some(text) => times::parse(&plan.time_zone, text).map_err(Misused::of)?,
        None => SystemClock::start().now(),
    };
    scenario.offset_minutes = offset_minutes(&plan.time_zone, scenario.at);
    let number = |text: &str| match Number::normalise(text, &plan.home) {
        Ok(number) => Ok(Arc::from(number.as_str())),
        Err(why) => Err(Misused(format!("`{text}` is no number: {why}."))),
    };
    scenario.caller = options.caller.as_deref().map(number).transpose()?.unwrap_or_default();
    scenario.called = options.called.as_deref().map(number).transpose()?.unwrap_or_default();
    scenario.language = options.language.as_deref().map(Language::new);
    let hours = plan.hours.iter().map(|(name, hours)| {
        let verdict = hours.verdict(scenario.at);
        let answer = match (verdict.open, verdict.exception) {
            (true, _) => HoursAnswer::Open,
            (false, Some(_)) => HoursAnswer::Holiday,
            (false, None) => HoursAnswer::Closed,
        };
        (name.clone(), answer)
    });
    scenario.hours = hours.collect();
    let book = shelf.book();
    if !options.customer.is_empty() {
        let mut customer = CustomerFacts::default();
        for (field, text) in &options.customer {
            let (name, value) = customer_field(book.get(dialplan), field, text)?;
            customer.fields.insert(name, value);
        }
        scenario.customer = Some(customer);
    }
    for (state, edge) in &options.answer {
        let (place, answer) = canned_answer(book, dialplan, state, edge)?;
        scenario.answers.entry(place).or_default().push(answer);
    }
    Ok(scenario)
}

fn customer_field(
    plan: &Dialplan,
    field: &str,
    text: &str,
) -> Result<(Arc<str>, crate::dialplan::value::Value), Misused> {
    let known = plan.customer.iter().find(|(name, _)| &**name == field);
    let Some((name, kind)) = known else {
        let names = plan.customer.iter().map(|(name, _)| &**name);
        return Err(Misused(format!("`{}` reads no `{field}` of a customer.{}", plan.name, meant(field, names))));
    };
    let value =
        kind.from_text(text).ok_or_else(|| Misused(format!("`{text}` is no value for `{field}`, a {kind}.")))?;
    Ok((name.clone(), value))
}

type Place = (DialplanId, crate::dialplan::model::StateId);

/// `state` or `page/state`, and the edge that somebody outside makes it leave by.
fn canned_answer(book: &Book, dialplan: DialplanId, state: &str, edge: &str) -> Result<(Place, Answer), Misused> {
    let (page, name) = match state.split_once('/') {
        Some((page, name)) => (book.find(page), name),
        None => (Some(dialplan), state),
    };
    let page = page.ok_or_else(|| Misused(format!("There is no page for `{state}`.")))?;
    let plan = book.get(page);
    let id = plan.find_state(name).ok_or_else(|| {
        let names = plan.states.iter().map(|state| &*state.name);
        Misused(format!("`{}` has no state `{name}`.{}", plan.name, meant(name, names)))
    })?;
    let edges = plan.state(id).edges();
    match edges.iter().find(|known| known.label.to_string() == edge) {
        Some(found) => Ok(((page, id), Answer::Edge(found.label.clone()))),
        None => {
            let known: Vec<String> = edges.iter().map(|edge| edge.label.to_string()).collect();
            Err(Misused(format!("State `{state}` has no edge `{edge}`: it has {}.", known.join(", "))))
        }
    }
}

fn meant<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known).map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default()
}

/// Minutes by which a zone's wall is ahead of UTC.
fn offset_minutes(zone: &Zone, at: Time) -> i16 {
    let (wall, utc) = (zone.local(at), Zone::utc().local(at));
    let ahead = wall.zip(utc).map_or(0, |(wall, utc)| wall.duration_since(utc).as_mins());
    i16::try_from(ahead).unwrap_or(0)
}

/// Asks for the keys at each state that takes some. The walk is made anew with the longer script: same keys, same walk.
fn by_hand(args: &Args, shelf: &Shelf, dialplan: DialplanId, scenario: &mut Scenario) -> anyhow::Result<Walked> {
    let mut shown = 0;
    let mut lines = std::io::stdin().lock().lines();
    loop {
        let walked = testing::walk_on(shelf.book(), &shelf.catalogue, dialplan, scenario);
        if !args.json {
            say(&walked.lines(shown));
            shown = walked.happenings.len();
        }
        let line = if walked.end.is_none() { next_line(&mut lines)? } else { None };
        let Some(line) = line else {
            let walked = testing::walk(shelf.book(), &shelf.catalogue, dialplan, scenario);
            if !args.json {
                say(&walked.lines(shown));
                say(&walked.end_words().map_or("It does not end.\n".to_owned(), |end| format!("It ends in {end}.\n")));
            }
            return Ok(walked);
        };
        match script(&line) {
            Ok(steps) => scenario.steps.extend(steps),
            // At a keyboard one tries again; a script with a mistake must not go on as if it had none.
            Err(why) if std::io::stdin().is_terminal() => eprintln!("{why}"),
            Err(why) => return Err(why),
        }
    }
}

/// What the caller does next; nothing more at the end of the input, or after an empty line.
fn next_line(lines: &mut std::io::Lines<std::io::StdinLock<'_>>) -> anyhow::Result<Option<String>> {
    if std::io::stdin().is_terminal() {
        eprint!("keys (~ silence, 20s wait, hangup; empty: let it run) > ");
    }
    Ok(lines.next().transpose()?.filter(|line| !line.trim().is_empty()))
}

fn walked_json(walked: &Walked) -> Json {
    let happening = |(at, what): &(core::time::Duration, Happening)| {
        let t_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        match what {
            Happening::Entered { name, .. } => json!({ "t_ms": t_ms, "state": name }),
            Happening::Heard { prompts, words } => json!({ "t_ms": t_ms, "prompts": prompts, "words": words }),
            Happening::Pressed(keys) => json!({ "t_ms": t_ms, "pressed": keys }),
            Happening::KeptSilent => json!({ "t_ms": t_ms, "silence": true }),
            Happening::Asked(what) => json!({ "t_ms": t_ms, "asked": what }),
            Happening::Answered(what) => json!({ "t_ms": t_ms, "answered": what }),
        }
    };
    let happenings: Vec<Json> = walked.happenings.iter().map(happening).collect();
    json!({ "happenings": happenings, "end": walked.end_words() })
}

// -- test ------------------------------------------------------------------------------------------------------------

/// The tests of one dialplan, run.
struct Tested {
    dialplan: DialplanId,
    /// None where no test stands beside the dialplan.
    ran: Option<(Scenarios, Report)>,
}

fn test(args: &Args, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut configs: Vec<PathBuf> = files.iter().map(|file| config_of(args, file)).collect();
    if files.is_empty() {
        configs.push(args.config.clone());
    }
    configs.sort();
    configs.dedup();
    let mut told = Vec::new();
    let mut failed = 0;
    for config in configs {
        let shelf = Shelf::of(config)?;
        let wanted = match files {
            [] => shelf.book().iter().map(|(id, _)| id).collect(),
            files => {
                let here = files.iter().filter(|file| config_of(args, file) == shelf.config);
                here.map(|file| shelf.find(file)).collect::<Result<Vec<_>, _>>()?
            }
        };
        let tested = run_tests(&shelf, &wanted)?;
        let mut coverage: BTreeMap<DialplanId, Coverage> = BTreeMap::new();
        for (id, touched) in tested.iter().flat_map(|tested| &tested.ran).flat_map(|(_, report)| &report.coverage) {
            coverage.entry(*id).or_default().merge(touched);
        }
        for tested in &tested {
            let plan = shelf.book().get(tested.dialplan);
            let covered = coverage.get(&tested.dialplan).cloned().unwrap_or_default().report(plan);
            failed += tested.ran.iter().flat_map(|(_, report)| report.failures()).count();
            if args.json {
                told.push(tested_json(plan, tested, &covered));
            } else {
                say(&tested_text(plan, tested, &covered));
            }
        }
    }
    if args.json {
        say_json(&told)?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads every test file before the first test runs: one that cannot be read refuses them all.
fn run_tests(shelf: &Shelf, wanted: &[DialplanId]) -> anyhow::Result<Vec<Tested>> {
    let (mut read, mut rejected) = (Vec::new(), Rejected { findings: Vec::new(), sources: Vec::new() });
    for id in wanted {
        let beside = Path::new(&*shelf.book().get(*id).source.file).with_extension("test.toml");
        if !beside.is_file() {
            read.push((*id, None));
            continue;
        }
        match read_source(&beside, CONFIG_BYTES) {
            Err(finding) => rejected.findings.push(finding),
            Ok(source) => match read_scenarios(&source, shelf.book()) {
                Ok(scenarios) => read.push((*id, Some(scenarios))),
                Err(findings) => {
                    rejected.findings.extend(findings);
                    rejected.sources.push(source);
                }
            },
        }
    }
    if !rejected.findings.is_empty() {
        return Err(rejected.into());
    }
    let tested = read.into_iter().map(|(dialplan, scenarios)| {
        let ran = scenarios.map(|scenarios| {
            let report = testing::run(shelf.book(), &shelf.catalogue, &scenarios);
            (scenarios, report)
        });
        Tested { dialplan, ran }
    });
    Ok(tested.collect())
}

fn tested_text(plan: &Dialplan, tested: &Tested, covered: &CoverageReport) -> String {
    let coverage = format!(
        "{} % of {} states, {} % of {} edges",
        covered.states_percent(),
        covered.states,
        covered.edges_percent(),
        covered.edges
    );
    let Some((_, report)) = &tested.ran else { return format!("{}: no tests; {coverage}\n", plan.name) };
    let failed = report.failures().count();
    let passed = report.results.len() - failed;
    let mut text = format!("{}: {passed} passed, {failed} failed; {coverage}\n", plan.name);
    for failure in report.failures() {
        text.push_str(&format!("  {failure}\n"));
    }
    for state in &covered.missed_states {
        text.push_str(&format!("  not walked: {}\n", plan.state(*state).name));
    }
    for (from, edge) in covered.missed_edges.iter().filter(|(from, _)| !covered.missed_states.contains(from)) {
        text.push_str(&format!(
            "  not walked: {}, {} → {}\n",
            plan.state(*from).name,
            edge.label,
            plan.state(edge.to).name
        ));
    }
    text
}

fn tested_json(plan: &Dialplan, tested: &Tested, covered: &CoverageReport) -> Json {
    let results = tested.ran.iter().flat_map(|(scenarios, report)| scenarios.scenarios.iter().zip(&report.results));
    let tests = results.map(|(scenario, result)| {
        json!({ "name": result.name, "line": scenario.line, "passed": result.failure.is_none(), "failure": result.failure })
    });
    let missed_states: Vec<_> = covered.missed_states.iter().map(|id| &plan.state(*id).name).collect();
    let missed_edges = covered.missed_edges.iter().map(|(from, edge)| {
        json!({ "state": plan.state(*from).name, "on": edge.label.to_string(), "to": plan.state(edge.to).name })
    });
    json!({
        "dialplan": plan.name,
        "file": tested.ran.as_ref().map(|(scenarios, _)| scenarios.source.file.clone()),
        "tests": tests.collect::<Vec<_>>(),
        "coverage": {
            "states": covered.states,
            "states_percent": covered.states_percent(),
            "edges": covered.edges,
            "edges_percent": covered.edges_percent(),
            "missed_states": missed_states,
            "missed_edges": missed_edges.collect::<Vec<_>>(),
        },
    })
}

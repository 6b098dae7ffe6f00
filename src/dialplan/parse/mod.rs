//! From TOML to the model: two passes, so that pages can call each other whatever their order.
//!
//! The first pass reads what other files need to know (variables, results, outcomes, names of states), the second
//! reads the states. Both go on after a mistake: one run shows all there is to mend.

mod flow;
mod header;
mod input;
mod outside;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::{Finding, Source};
use crate::ids::DialplanName;
use crate::limits;

use super::model::{Dialplan, DialplanId, StateId};
use super::table::{Findings, document};
use header::Header;
use state::StateReader;

/// What parsing gave: a place for each file in the order of their names, empty where a finding keeps it so.
#[derive(Debug)]
pub(super) struct Parsed {
    pub plans: Vec<Option<Dialplan>>,
    pub by_name: BTreeMap<DialplanName, DialplanId>,
    pub findings: Vec<Finding>,
}

/// Reads all files; each source is named by its path, `dialplans/bank.toml` is the dialplan `bank`.
pub(super) fn parse(sources: &[Source]) -> Parsed {
    let mut ordered: Vec<(DialplanName, &Source)> =
        sources.iter().map(|source| (name_of(&source.file), source)).collect();
    ordered.sort_by(|a, b| a.0.cmp(&b.0));
    let mut all = Vec::new();
    let mut by_name = BTreeMap::new();
    for (index, (name, source)) in ordered.iter().enumerate() {
        let known = u16::try_from(index).ok().filter(|_| index < limits::DIALPLANS);
        let Some(id) = known.map(DialplanId) else {
            let reason = format!("There are more than {} dialplans.", limits::DIALPLANS);
            all.push(source.error("dialplan.too-many", 0..0, reason, "Remove some, or run a second centre."));
            break;
        };
        if by_name.insert(name.clone(), id).is_some() {
            let reason = format!("Two files are named `{name}`.");
            all.push(source.error("dialplan.twice", 0..0, reason, "Rename one: the file's name is the dialplan's."));
        }
    }
    let texts: Vec<_> = ordered
        .iter()
        .map(|(_, source)| {
            let mut findings = Findings::of(source);
            let document = document(source, &mut findings);
            (document, findings)
        })
        .collect();
    let headers: Vec<Option<Header<'_>>> = ordered
        .iter()
        .zip(texts)
        .map(|((name, source), (document, mut findings))| {
            let header = document.map(|document| Header::read(name, source, document, &mut findings));
            all.append(&mut findings.list);
            header
        })
        .collect();
    let plans = headers.iter().map(|header| {
        let header = header.as_ref()?;
        let (plan, mut findings) = body(header, &headers, &by_name);
        let whole = findings.is_empty() && header.whole;
        all.append(&mut findings);
        plan.filter(|_| whole)
    });
    let plans = plans.collect();
    Parsed { plans, by_name, findings: all }
}

/// `dialplans/bank.toml` is `bank`.
fn name_of(file: &str) -> DialplanName {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    DialplanName::new(name.strip_suffix(".toml").unwrap_or(name))
}

fn body(
    header: &Header<'_>,
    headers: &[Option<Header<'_>>],
    by_name: &BTreeMap<DialplanName, DialplanId>,
) -> (Option<Dialplan>, Vec<Finding>) {
    let mut findings = Findings::of(header.source);
    let start = header.start_state(&mut findings);
    let mut states = Vec::with_capacity(header.states.len());
    for state in &header.states {
        let reader = StateReader::new(header, state, headers, by_name, &mut findings);
        states.extend(reader.and_then(StateReader::read));
    }
    let complete = states.len() == header.states.len();
    let plan = start.filter(|_| complete).map(|start: StateId| Dialplan {
        name: header.name.clone(),
        source: header.source.clone(),
        about: Arc::from(header.about.as_str()),
        languages: header.languages.clone(),
        self_service: header.self_service,
        needs_customer: header.needs_customer,
        vars: header.vars.clone(),
        customer: header.customer.clone(),
        returns: header.returns.clone(),
        start,
        states,
    });
    (plan, findings.list)
}

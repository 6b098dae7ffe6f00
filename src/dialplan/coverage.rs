//! Which states and edges of a dialplan its tests have walked.

use std::collections::BTreeSet;

use super::model::{Dialplan, Edge, EdgeLabel, StateId};

/// What one or several walks through one dialplan have touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    states: BTreeSet<StateId>,
    edges: BTreeSet<(StateId, EdgeLabel)>,
}

impl Coverage {
    /// The walk entered a state.
    pub fn visit(&mut self, state: StateId) {
        self.states.insert(state);
    }

    /// The walk left a state by an edge.
    pub fn cross(&mut self, from: StateId, label: EdgeLabel) {
        self.edges.insert((from, label));
    }

    /// Adds what another walk through the same dialplan has touched.
    pub fn merge(&mut self, other: &Coverage) {
        self.states.extend(&other.states);
        self.edges.extend(other.edges.iter().cloned());
    }

    /// What was touched of all there is. Touches that the dialplan does not know are not counted.
    pub fn report(&self, plan: &Dialplan) -> CoverageReport {
        let all_states: Vec<StateId> = plan.ids().collect();
        let all_edges: Vec<(StateId, Edge)> =
            plan.ids().flat_map(|id| plan.state(id).edges().into_iter().map(move |edge| (id, edge))).collect();
        let missed_states: Vec<StateId> = all_states.iter().filter(|id| !self.states.contains(id)).copied().collect();
        let crossed = |(from, edge): &(StateId, Edge)| self.edges.contains(&(*from, edge.label.clone()));
        let missed_edges: Vec<_> = all_edges.iter().filter(|edge| !crossed(edge)).cloned().collect();
        CoverageReport { states: all_states.len(), edges: all_edges.len(), missed_states, missed_edges }
    }
}

/// Coverage in figures, and what is missing for the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageReport {
    /// States and edges there are.
    pub states: usize,
    pub edges: usize,
    /// In the order of the file.
    pub missed_states: Vec<StateId>,
    pub missed_edges: Vec<(StateId, Edge)>,
}

impl CoverageReport {
    /// Whole percent of states, rounded down, so that 100 means all.
    pub fn states_percent(&self) -> usize {
        percent(self.states, self.missed_states.len())
    }

    /// Whole percent of edges, rounded down.
    pub fn edges_percent(&self) -> usize {
        percent(self.edges, self.missed_edges.len())
    }
}

fn percent(all: usize, missed: usize) -> usize {
    match all {
        0 => 100,
        all => (all - missed) * 100 / all,
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::good;
    use super::*;

    #[test]
    fn a_walk_covers_what_it_touched_and_names_the_rest() {
        let book = good();
        let plan = book.get(book.find("weather").expect("is good"));
        let mut covered = Coverage::default();
        let state = |name| plan.find_state(name).expect("is there");
        for (name, label) in [("city", "key 1"), ("beijing", "next"), ("tell", "next")] {
            let from = state(name);
            covered.visit(from);
            let edge = plan.state(from).edges().into_iter().find(|edge| edge.label.to_string() == label);
            covered.cross(from, edge.expect("is there").label);
        }
        let mut again = Coverage::default();
        again.visit(state("bye"));
        covered.merge(&again);
        let report = covered.report(plan);
        assert_eq!((report.states, report.states_percent()), (5, 80));
        assert_eq!((report.edges, report.edges_percent()), (7, 42));
        assert_eq!(report.missed_states, vec![state("shanghai")]);
        let missed: Vec<_> = report
            .missed_edges
            .iter()
            .map(|(from, edge)| format!("{} {}", plan.state(*from).name, edge.label))
            .collect();
        assert_eq!(missed, ["city key 2", "city timeout", "city failed", "shanghai next"]);
        assert_eq!(Coverage::default().report(plan).states_percent(), 0);
    }
}

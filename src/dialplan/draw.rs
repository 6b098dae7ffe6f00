//! A dialplan as a picture made of text: an indented outline for people with nothing but a terminal, and Mermaid for
//! pages that draw it. Both are made from the checked model, so the picture is never a second truth.

use core::fmt::Write;

use super::model::{Action, Destination, Dialplan, Edge, LanguageChoice, Part, Prompts, State, StateId};

/// The outline: every state once, under the edge that first leads to it, breadth before depth cut short by `↑`
/// where the state stands above, so that it is read from top to bottom.
///
/// ```text
/// bank — balance by PIN
/// welcome: play welcome
/// └─ next → main: menu main
///    ├─ key 1 → balance: say balance_is, money balance
///    │  └─ next → main ↑
///    └─ failed → agent: queue service
/// ```
pub fn outline(plan: &Dialplan) -> String {
    let mut text = plan.name.to_string();
    if !plan.about.is_empty() {
        text.push_str(" — ");
        text.push_str(&plan.about);
    }
    text.push('\n');
    let mut drawn = vec![false; plan.states.len()];
    drawn[plan.start.index()] = true;
    let _ = writeln!(text, "{}", headline(plan, plan.state(plan.start)));
    // A stack in the place of recursion: a dialplan may be thousands of states deep.
    let mut open = children(plan, plan.start, "");
    while let Some(branch) = open.pop() {
        let (joint, below) = if branch.last { ("└─", "   ") } else { ("├─", "│  ") };
        let state = plan.state(branch.to);
        let first = !core::mem::replace(&mut drawn[branch.to.index()], true);
        let target = if first { headline(plan, state) } else { format!("{} ↑", state.name) };
        let _ = writeln!(text, "{}{joint} {} → {target}", branch.indent, branch.labels);
        if first {
            open.extend(children(plan, branch.to, &format!("{}{below}", branch.indent)));
        }
    }
    text
}

/// A line of the outline still to be written.
struct Branch {
    indent: String,
    labels: String,
    to: StateId,
    last: bool,
}

/// The states after `id`, the first on top of the stack: last in the list.
fn children(plan: &Dialplan, id: StateId, indent: &str) -> Vec<Branch> {
    let grouped = grouped(plan.state(id).edges());
    let count = grouped.len();
    let branch = |(nth, (labels, to)): (usize, (String, StateId))| Branch {
        indent: indent.to_string(),
        labels,
        to,
        last: nth + 1 == count,
    };
    let mut branches: Vec<_> = grouped.into_iter().enumerate().map(branch).collect();
    branches.reverse();
    branches
}

/// Edges to one state as one: `timeout, failed`.
fn grouped(edges: Vec<Edge>) -> Vec<(String, StateId)> {
    let mut grouped: Vec<(String, StateId)> = Vec::new();
    for edge in edges {
        match grouped.iter_mut().find(|(_, to)| *to == edge.to) {
            Some((labels, _)) => {
                let _ = write!(labels, ", {}", edge.label);
            }
            None => grouped.push((edge.label.to_string(), edge.to)),
        }
    }
    grouped
}

fn headline(plan: &Dialplan, state: &State) -> String {
    let mut line = format!("{}: {}", state.name, summary(plan, &state.action));
    if let Some(visits) = state.visits {
        let _ = write!(line, " (at most {} times)", visits.max);
    }
    if !state.note.is_empty() {
        let _ = write!(line, "  # {}", state.note);
    }
    line
}

/// The action in a few words: `queue service`.
pub fn summary(plan: &Dialplan, action: &Action) -> String {
    let name = action.name();
    match action {
        Action::Play(play) => format!("{name} {}", speech(&play.prompts)),
        Action::Menu(menu) => format!("{name} {}", speech(&menu.ask.prompts)),
        Action::Collect(collect) | Action::Secure(collect) => format!("{name} {}", speech(&collect.ask.prompts)),
        Action::Set(set) => {
            let values: Vec<_> =
                set.values.iter().map(|(var, value)| format!("{} = {}", plan.var(*var).name, value.text())).collect();
            format!("{name} {}", values.join(", "))
        }
        Action::Branch(branch) => {
            let cases: Vec<_> = branch.cases.iter().map(|(condition, _)| condition.text()).collect();
            format!("{name} {}", cases.join(" | "))
        }
        Action::Hours(hours) => format!("{name} {}", hours.hours),
        Action::Language(choose) => match &choose.to {
            LanguageChoice::Fixed(tag) => format!("{name} {tag}"),
            LanguageChoice::Of { tag, .. } => format!("{name} of {}", tag.text()),
        },
        Action::Consent(consent) => format!("{name} {}", consent.agreed),
        Action::Lookup(lookup) => format!("{name} {}", lookup.key.text()),
        Action::Http(http) => format!("{name} {}", http.method.name()),
        Action::Script(_) => name.to_string(),
        Action::Authenticate(authenticate) => format!("{name} {}", authenticate.method.name()),
        Action::Queue(queue) => format!("{name} {}", queue.queue),
        Action::Dial(dial) => match &dial.to {
            Destination::Fixed(number) => format!("{name} {number}"),
            Destination::Of(number) | Destination::Account(number) => format!("{name} {}", number.text()),
        },
        Action::Voicemail(voicemail) => format!("{name} {}", voicemail.mailbox),
        Action::Page(page) => format!("{name} {}", page.name),
        Action::Return(outcome) => {
            format!("{name} {}", plan.returns.get(outcome.index()).map_or("", |outcome| outcome))
        }
        Action::Hangup(prompts) if prompts.0.is_empty() => name.to_string(),
        Action::Hangup(prompts) => format!("{name} {}", speech(prompts)),
    }
}

fn speech(prompts: &Prompts) -> String {
    let parts: Vec<_> = prompts
        .0
        .iter()
        .map(|part| match part {
            Part::Prompt(name) => name.to_string(),
            Part::Clip { folder, key, .. } => format!("{folder}/[{}]", key.text()),
            Part::Number(expr) => format!("number {}", expr.text()),
            Part::Digits(expr) => format!("digits {}", expr.text()),
            Part::Money { amount, .. } => format!("money {}", amount.text()),
            Part::Date(expr) => format!("date {}", expr.text()),
            Part::Position(expr) => format!("position {}", expr.text()),
            Part::Wait(expr) => format!("wait {}", expr.text()),
        })
        .collect();
    parts.join(", ")
}

/// A Mermaid flowchart (<https://mermaid.js.org>), as GitHub and many editors draw it. States are named by number, so
/// that no name can break the syntax.
pub fn mermaid(plan: &Dialplan) -> String {
    let mut text = String::from("flowchart TD\n");
    for id in plan.ids() {
        let state = plan.state(id);
        let label = format!("<b>{}</b><br/>{}", escaped(&state.name), escaped(&summary(plan, &state.action)));
        let (open, close) = match state.action {
            Action::Menu(_) | Action::Branch(_) | Action::Hours(_) => ("{\"", "\"}"),
            Action::Queue(_) | Action::Dial(_) => ("([\"", "\"])"),
            Action::Hangup(_) | Action::Return(_) | Action::Voicemail(_) => ("[[\"", "\"]]"),
            Action::Lookup(_) | Action::Http(_) | Action::Page(_) => ("[/\"", "\"/]"),
            _ => ("[\"", "\"]"),
        };
        let _ = writeln!(text, "  s{}{open}{label}{close}", id.index());
    }
    for id in plan.ids() {
        for (labels, to) in grouped(plan.state(id).edges()) {
            let _ = writeln!(text, "  s{} -->|\"{}\"| s{}", id.index(), escaped(&labels), to.index());
        }
    }
    let _ = writeln!(text, "  begin(( )) --> s{}", plan.start.index());
    text
}

/// Mermaid takes HTML entities by number: `#34;` is a quotation mark.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '<' | '>' | '&' | '#' | '|' | '`' => {
                let _ = write!(safe, "#{};", u32::from(c));
            }
            '\n' => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::corpus::good;
    use super::*;

    #[test]
    fn the_outline_reads_from_top_to_bottom() {
        let book = good();
        let weather = book.get(book.find("weather").expect("is good"));
        assert_eq!(
            outline(weather),
            "\
weather — Weather line: nobody to talk to, and it says so
city: menu choose_city
├─ key 1 → beijing: set city = \"Beijing\"
│  └─ next → tell: play weather/[city]
│     └─ next → bye: hangup
├─ key 2 → shanghai: set city = \"Shanghai\"
│  └─ next → tell ↑
└─ timeout, failed → bye ↑
"
        );
    }

    #[test]
    fn every_state_and_every_edge_is_drawn() {
        let book = good();
        for (_, plan) in book.iter() {
            let (lines, flow) = (outline(plan), mermaid(plan));
            for id in plan.ids() {
                let state = plan.state(id);
                let shown = lines.lines().filter(|line| line.contains(&format!("{}: ", state.name))).count();
                assert_eq!(shown, 1, "{} in\n{lines}", state.name);
                for edge in state.edges() {
                    let arrow = format!("  s{} -->|\"", id.index());
                    let to = format!("| s{}", edge.to.index());
                    let drawn = |line: &str| {
                        line.starts_with(&arrow)
                            && line.ends_with(&to)
                            && line.contains(&escaped(&edge.label.to_string()))
                    };
                    assert!(
                        flow.lines().any(drawn) || edge.label.to_string().contains('#'),
                        "{} {}",
                        state.name,
                        edge.label
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_written_in_a_dialplan_breaks_the_syntax_of_the_drawing() {
        assert_eq!(escaped("a \"b\" <c> | d\n# `e`"), "a #34;b#34; #60;c#62; #124; d #35; #96;e#96;");
    }
}

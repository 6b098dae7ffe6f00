//! Questions every reader of a dialplan asks of a state: which ways lead out, what is spoken, which expressions it
//! holds. The checks, the drawing, the coverage and the machine all ask here, so that none of them forgets an edge.

use super::expr::Expr;
use super::model::{
    Action, Asking, Destination, Edge, EdgeLabel, Header, LanguageChoice, Part, Prompts, State, StateId, Template,
    TemplatePart,
};

impl State {
    /// Every way out, in the order a person would name them; the visit limit's last.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = self.action.edges();
        if let Some(visits) = self.visits {
            edges.push(Edge { label: EdgeLabel::Exhausted, to: visits.exhausted });
        }
        edges
    }

    /// Whether the dialplan can end here: the call queues, is connected, leaves a message, returns or hangs up.
    pub fn can_end(&self) -> bool {
        match &self.action {
            Action::Queue(_) | Action::Return(_) | Action::Hangup(_) => true,
            Action::Dial(dial) => dial.next.is_none(),
            Action::Voicemail(voicemail) => voicemail.next.is_none(),
            _ => false,
        }
    }

    /// Every list of prompts the state may speak.
    pub fn each_prompts(&self, visit: &mut dyn FnMut(&Prompts)) {
        let asking = |ask: &Asking, visit: &mut dyn FnMut(&Prompts)| {
            for prompts in [&ask.prompts, &ask.no_input, &ask.no_match] {
                visit(prompts);
            }
        };
        match &self.action {
            Action::Play(play) => visit(&play.prompts),
            Action::Menu(menu) => asking(&menu.ask, visit),
            Action::Collect(collect) | Action::Secure(collect) => asking(&collect.ask, visit),
            Action::Authenticate(authenticate) => asking(&authenticate.ask, visit),
            Action::Voicemail(voicemail) => visit(&voicemail.greeting),
            Action::Hangup(prompts) => visit(prompts),
            _ => {}
        }
    }

    /// Every expression the state may evaluate, those in prompts included.
    pub fn each_expr(&self, visit: &mut dyn FnMut(&Expr)) {
        self.each_prompts(&mut |prompts| prompts.0.iter().filter_map(Part::expr).for_each(&mut *visit));
        match &self.action {
            Action::Collect(collect) | Action::Secure(collect) => collect.valid.iter().for_each(visit),
            Action::Set(set) => set.values.iter().for_each(|(_, expr)| visit(expr)),
            Action::Branch(branch) => branch.cases.iter().for_each(|(expr, _)| visit(expr)),
            Action::Language(choose) => {
                if let LanguageChoice::Of { tag, .. } = &choose.to {
                    visit(tag);
                }
            }
            Action::Lookup(lookup) => visit(&lookup.key),
            Action::Http(http) => {
                http.url.each_expr(visit);
                http.query.iter().chain(&http.body).for_each(|(_, expr)| visit(expr));
                for (_, header) in &http.headers {
                    if let Header::Text(text) = header {
                        text.each_expr(visit);
                    }
                }
            }
            Action::Queue(queue) => {
                queue.priority.iter().chain(&queue.prefer).for_each(&mut *visit);
                queue.attach.iter().for_each(|(_, expr)| visit(expr));
            }
            Action::Dial(dial) => {
                if let Destination::Of(expr) | Destination::Account(expr) = &dial.to {
                    visit(expr);
                }
            }
            Action::Page(page) => page.give.iter().for_each(|(_, expr)| visit(expr)),
            _ => {}
        }
    }
}

impl Action {
    /// The TOML key that names the action.
    pub const fn name(&self) -> &'static str {
        match self {
            Action::Play(_) => "play",
            Action::Menu(_) => "menu",
            Action::Collect(_) => "collect",
            Action::Secure(_) => "secure",
            Action::Set(_) => "set",
            Action::Branch(_) => "branch",
            Action::Hours(_) => "hours",
            Action::Language(_) => "language",
            Action::Consent(_) => "consent",
            Action::Lookup(_) => "lookup",
            Action::Http(_) => "http",
            Action::Script(_) => "script",
            Action::Authenticate(_) => "authenticate",
            Action::Queue(_) => "queue",
            Action::Dial(_) => "dial",
            Action::Voicemail(_) => "voicemail",
            Action::Page(_) => "page",
            Action::Return(_) => "return",
            Action::Hangup(_) => "hangup",
        }
    }

    fn edges(&self) -> Vec<Edge> {
        use EdgeLabel::*;
        let edge = |label, to| Edge { label, to };
        let with_keys = |keys: &[(super::value::Key, StateId)], rest: &[(EdgeLabel, StateId)]| {
            let keys = keys.iter().map(|(key, to)| edge(Key(*key), *to));
            keys.chain(rest.iter().map(|(label, to)| edge(label.clone(), *to))).collect()
        };
        match self {
            Action::Play(play) => vec![edge(Next, play.next)],
            Action::Menu(menu) => with_keys(&menu.keys, &[(Timeout, menu.timeout), (Failed, menu.failed)]),
            Action::Collect(c) | Action::Secure(c) => {
                vec![edge(Next, c.next), edge(Timeout, c.timeout), edge(Failed, c.failed)]
            }
            Action::Set(set) => vec![edge(Next, set.next)],
            Action::Branch(branch) => (1..)
                .zip(&branch.cases)
                .map(|(nth, (_, to))| edge(Case(nth), *to))
                .chain([edge(Otherwise, branch.otherwise)])
                .collect(),
            Action::Hours(h) => vec![edge(Open, h.open), edge(Closed, h.closed), edge(Holiday, h.holiday)],
            Action::Language(choose) => vec![edge(Next, choose.next)],
            Action::Consent(consent) => vec![edge(Next, consent.next)],
            Action::Lookup(l) => {
                vec![edge(Next, l.next), edge(NotFound, l.not_found), edge(Timeout, l.timeout), edge(Failed, l.failed)]
            }
            Action::Http(http) => [edge(Next, http.next)]
                .into_iter()
                .chain(http.status.iter().map(|(status, to)| edge(Status(*status), *to)))
                .chain([edge(Timeout, http.timeout), edge(Failed, http.failed)])
                .collect(),
            Action::Script(script) => vec![edge(Next, script.next), edge(Failed, script.failed)],
            Action::Authenticate(a) => vec![
                edge(Next, a.next),
                edge(Denied, a.denied),
                edge(Locked, a.locked),
                edge(Timeout, a.timeout),
                edge(Failed, a.failed),
            ],
            Action::Queue(queue) => with_keys(
                &queue.keys,
                &[
                    (Full, queue.full),
                    (Closed, queue.closed),
                    (NoAgents, queue.no_agents),
                    (Timeout, queue.timeout),
                    (Failed, queue.failed),
                ],
            ),
            Action::Dial(dial) => dial
                .next
                .map(|next| edge(Next, next))
                .into_iter()
                .chain([edge(Busy, dial.busy), edge(Timeout, dial.timeout), edge(Failed, dial.failed)])
                .collect(),
            Action::Voicemail(v) => {
                v.next.map(|next| edge(Next, next)).into_iter().chain([edge(Failed, v.failed)]).collect()
            }
            Action::Page(page) => {
                page.outcomes.iter().map(|(outcome, to)| edge(Outcome(outcome.clone()), *to)).collect()
            }
            Action::Return(_) | Action::Hangup(_) => Vec::new(),
        }
    }
}

impl Part {
    /// The expression whose value is spoken.
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            Part::Prompt(_) => None,
            Part::Clip { key: expr, .. }
            | Part::Number(expr)
            | Part::Digits(expr)
            | Part::Money { amount: expr, .. }
            | Part::Date(expr)
            | Part::Position(expr)
            | Part::Wait(expr) => Some(expr),
        }
    }
}

impl Template {
    pub fn each_expr(&self, visit: &mut dyn FnMut(&Expr)) {
        for part in &self.0 {
            if let TemplatePart::Hole(expr) = part {
                visit(expr);
            }
        }
    }
}

//! Actions that ask something outside, and so can fail: lookup, http, queue, dial, voicemail, page.

use core::ops::Range;
use std::sync::Arc;

use crate::finding::nearest;
use crate::ids::QueueName;

use super::super::expr::Expr;
use super::super::model::{
    Action, Destination, Dial, DialplanId, Header as HttpHeader, Http, Lookup, LookupBy, Method, Page, Queue, Role,
    StateId, Template, TemplatePart, VarId, Voicemail,
};
use super::super::table::{DeValue, Item, Text, table, text, wrong};
use super::super::typing;
use super::super::value::Type;
use super::header::Header;
use super::state::StateReader;

impl<'r> StateReader<'r, '_, '_> {
    pub fn lookup(&mut self, value: Item<'r>) -> Option<Action> {
        let key = self.expr("lookup", value, &[Type::Text, Type::Digits]);
        let by = match self.table.text("by", self.findings) {
            None => LookupBy::Number,
            Some(Text { text: "number", .. }) => LookupBy::Number,
            Some(Text { text: "account", .. }) => LookupBy::Account,
            Some(other) => {
                let reason = format!("A customer cannot be looked up by `{}`.", other.text);
                self.error("dialplan.value", other.span, reason, "Use \"number\" or \"account\".");
                return None;
            }
        };
        let deadline = self.table.millis("timeout_ms", 1_500, 100..=30_000, self.findings);
        let next = self.edge("next", "the record is found");
        let not_found = self.edge("not_found", "there is no such customer");
        let timeout = self.edge("timeout", "no answer comes in time");
        let failed = self.edge("failed", "the lookup fails");
        Some(Action::Lookup(Lookup {
            key: key?,
            by,
            deadline,
            next: next?,
            not_found: not_found?,
            timeout: timeout?,
            failed: failed?,
        }))
    }

    pub fn http(&mut self, value: Item<'r>) -> Option<Action> {
        let secure = self.table.boolean("confidential", false, self.findings);
        let url = self.url(value, secure);
        let method = self.method();
        let query = self.sent("query", false);
        let headers = self.headers();
        let body = self.sent("body", secure);
        let into = self.received();
        let deadline = self.table.millis("timeout_ms", 3_000, 100..=30_000, self.findings);
        let retries = self.table.integer("retries", 0, 0..=3, self.findings);
        let next = self.edge("next", "the answer is good");
        let status = self.statuses();
        let timeout = self.edge("timeout", "no answer comes in time");
        let failed = self.edge("failed", "the request fails");
        let body = body?;
        let method = method?.unwrap_or(if body.is_empty() { Method::Get } else { Method::Post });
        Some(Action::Http(Box::new(Http {
            method,
            url: url?,
            query: query?,
            headers: headers?,
            body,
            secure,
            deadline,
            retries: u8::try_from(retries).unwrap_or(0),
            into: into?,
            next: next?,
            status,
            timeout: timeout?,
            failed: failed?,
        })))
    }

    fn url(&mut self, value: Item<'r>, secure: bool) -> Option<Template> {
        let url = text(value, "http", self.findings)?;
        let rest = url.text.strip_prefix("https://").or_else(|| url.text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or("")).unwrap_or("");
        if host.is_empty() || host.contains(['{', '@', ' ']) {
            let reason = format!("`{}` is no URL of a fixed host.", url.text);
            self.error("dialplan.value", url.span, reason, "Write it as https://host/path, holes in the path only.");
            return None;
        }
        let loopback = ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|local| host.strip_prefix(local).is_some_and(|port| port.is_empty() || port.starts_with(':')));
        if secure && !url.text.starts_with("https://") && !loopback {
            let reason = "A secret would travel unencrypted.";
            self.error("dialplan.secret-leaves", url.span, reason, "Use https.");
            return None;
        }
        self.template("http", &url)
    }

    /// Text with `{expression}` holes.
    fn template(&mut self, key: &str, written: &Text<'_>) -> Option<Template> {
        let mut parts = Vec::new();
        let mut rest = written.text;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|close| open + close) else {
                let reason = "A hole `{` is not closed.";
                self.error("dialplan.value", written.span.clone(), reason, "Close it with `}`.");
                return None;
            };
            if open > 0 {
                parts.push(TemplatePart::Fixed(Arc::from(&rest[..open])));
            }
            let hole = &rest[open + 1..close];
            let expr = self.typed(hole, written.span.clone())?;
            parts.push(TemplatePart::Hole(self.of_type(key, expr, written.span.clone(), &[])?));
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Fixed(Arc::from(rest)));
        }
        Some(Template(parts))
    }

    /// `Some(None)` where the key is left out, `None` after a finding.
    fn method(&mut self) -> Option<Option<Method>> {
        let Some(written) = self.table.text("method", self.findings) else { return Some(None) };
        let found = Method::ALL.into_iter().find(|known| known.name() == written.text);
        if found.is_none() {
            let reason = format!("`{}` is no method.", written.text);
            let mend = format!("Use one of {}.", Method::ALL.map(Method::name).join(", "));
            self.error("dialplan.value", written.span, reason, mend);
        }
        found.map(Some)
    }

    /// Names and expressions to send; a bare secret only where `secrets`.
    fn sent(&mut self, key: &'static str, secrets: bool) -> Option<Vec<(Arc<str>, Expr)>> {
        let Some(item) = self.table.take(key) else { return Some(Vec::new()) };
        let entries = table(item, format!("`{key}`"), self.findings)?.take_rest();
        let wanted: &[Type] = if secrets { &Type::ALL } else { &[] };
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(name, _, item)| Some((Arc::from(name), self.expr(name, item, wanted)?)))
            .collect();
        entries.into_iter().collect()
    }

    fn headers(&mut self) -> Option<Vec<(Arc<str>, HttpHeader)>> {
        let Some(item) = self.table.take("headers") else { return Some(Vec::new()) };
        let entries = table(item, "`headers`".to_string(), self.findings)?.take_rest();
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(name, span, item)| {
                let token =
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                if !token {
                    let reason = format!("`{name}` is no name of a header field.");
                    self.error("dialplan.name", span, reason, "Use letters, digits and `-`.");
                    return None;
                }
                Some((Arc::from(name), self.header_value(name, item)?))
            })
            .collect();
        entries.into_iter().collect()
    }

    fn header_value(&mut self, name: &str, item: Item<'r>) -> Option<HttpHeader> {
        let DeValue::Table(_) = item.get_ref() else {
            let written = text(item, name, self.findings)?;
            return self.template(name, &written).map(HttpHeader::Text);
        };
        let mut entry = table(item, format!("header `{name}`"), self.findings)?;
        let variable = entry.text("env", self.findings);
        entry.finish(self.findings);
        if variable.is_none() {
            let reason = format!("The header `{name}` has no value.");
            self.error("dialplan.value", item.span(), reason, "Write a text, or { env = \"VARIABLE\" }.");
        }
        variable.map(|variable| HttpHeader::Environment(Arc::from(variable.text)))
    }

    /// `into = { balance = "/balance" }`.
    fn received(&mut self) -> Option<Vec<(VarId, Arc<str>)>> {
        let Some(item) = self.table.take("into") else { return Some(Vec::new()) };
        let entries = table(item, "`into`".to_string(), self.findings)?.take_rest();
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(name, span, item)| {
                let var = self.variable_named(name, span, "into", &[])?;
                let pointer = text(item, name, self.findings)?;
                if !pointer.text.is_empty() && !pointer.text.starts_with('/') {
                    let reason = format!("`{}` is no place in a JSON answer.", pointer.text);
                    let mend = format!("Write it as RFC 6901 does: \"/{}\".", pointer.text.replace('.', "/"));
                    self.error("dialplan.value", pointer.span, reason, mend);
                    return None;
                }
                Some((var, Arc::from(pointer.text)))
            })
            .collect();
        entries.into_iter().collect()
    }

    /// `status = { 404 = "unknown" }`.
    fn statuses(&mut self) -> Vec<(u16, StateId)> {
        let Some(mut statuses) = self.table.table("status", self.findings) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, span, item) in statuses.take_rest() {
            match name.parse::<u16>() {
                Ok(status) if (100..=599).contains(&status) => {
                    found.extend(self.target(name, item).map(|state| (status, state)));
                }
                _ => {
                    let reason = format!("`{name}` is no HTTP status.");
                    self.error("dialplan.value", span, reason, "Use a number from 100 to 599.");
                }
            }
        }
        found.sort_unstable();
        found
    }

    pub fn queue(&mut self, value: Item<'r>) -> Option<Action> {
        let name = text(value, "queue", self.findings);
        let priority = self.table.take("priority").map(|item| self.expr("priority", item, &[Type::Number]));
        let skills = self.table.text("skills", self.findings).map(|skills| Arc::from(skills.text));
        let prefer = self.table.take("prefer").map(|item| self.expr("prefer", item, &[Type::Text]));
        let attach = self.labelled("attach");
        let max_wait = self.table.seconds("max_wait_s", 600, 1..=86_400, self.findings);
        let keys = self.keys();
        let timeout = self.edge("timeout", "nobody answers in time");
        let failed = self.edge("failed", "the queue refuses the call");
        let full = self.edge_or("full", failed);
        let closed = self.edge_or("closed", failed);
        let no_agents = self.edge_or("no_agents", failed);
        Some(Action::Queue(Box::new(Queue {
            queue: QueueName::new(name?.text),
            // One that is wrong was told; the state then is none.
            priority: priority.map_or(Some(None), |expr| expr.map(Some))?,
            skills,
            prefer: prefer.map_or(Some(None), |expr| expr.map(Some))?,
            attach: attach?,
            max_wait,
            keys,
            timeout: timeout?,
            failed: failed?,
            full: full?,
            closed: closed?,
            no_agents: no_agents?,
        })))
    }

    pub fn dial(&mut self, value: Item<'r>) -> Option<Action> {
        let to = self.destination(value);
        let caller_id = self.table.text("caller_id", self.findings).map(|number| Arc::from(number.text));
        let ring = self.table.seconds("ring_s", 25, 1..=300, self.findings);
        let next = self.edge_or("next", None);
        let timeout = self.edge("timeout", "nobody answers in time");
        let failed = self.edge("failed", "the call cannot be put through");
        let busy = self.edge_or("busy", failed);
        Some(Action::Dial(Dial { to: to?, caller_id, ring, next, busy: busy?, timeout: timeout?, failed: failed? }))
    }

    fn destination(&mut self, value: Item<'r>) -> Option<Destination> {
        match value.get_ref() {
            DeValue::String(number) => {
                let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#' | '_' | '-' | '.');
                if number.is_empty() || !number.chars().all(good) {
                    let reason = format!("`{number}` is no number to dial.");
                    let mend = "Write a number or an account; an expression stands in { of = \"…\" }.";
                    self.error("dialplan.value", value.span(), reason, mend);
                    return None;
                }
                Some(Destination::Fixed(Arc::from(&**number)))
            }
            DeValue::Table(_) => {
                let mut entry = table(value, "`dial`".to_string(), self.findings)?;
                let (of, account) = (entry.take("of"), entry.take("account"));
                entry.finish(self.findings);
                match (of, account) {
                    (Some(of), None) => self.expr("of", of, &[Type::Text, Type::Digits]).map(Destination::Of),
                    (None, Some(account)) => {
                        self.expr("account", account, &[Type::Text, Type::Digits]).map(Destination::Account)
                    }
                    (said, _) => {
                        let reason = if said.is_some() {
                            "`of` and `account` exclude each other."
                        } else {
                            "The number to dial is not said."
                        };
                        let mend =
                            "Write { of = \"expression\" }, or { account = \"expression\" } for our own phones alone.";
                        self.error("dialplan.value", value.span(), reason, mend);
                        None
                    }
                }
            }
            other => {
                wrong(self.findings, value.span(), "dial", "a number in quotes", other);
                None
            }
        }
    }

    pub fn voicemail(&mut self, value: Item<'r>) -> Option<Action> {
        let mailbox = text(value, "voicemail", self.findings);
        let greeting = self.prompts_of("greeting");
        let beep = self.table.boolean("beep", true, self.findings);
        let max = self.table.seconds("max_s", 120, 5..=1_800, self.findings);
        let silence = self.table.seconds("silence_s", 10, 2..=60, self.findings);
        let next = self.edge_or("next", None);
        let failed = self.edge("failed", "no message can be recorded");
        let mailbox = Arc::from(mailbox?.text);
        Some(Action::Voicemail(Voicemail { mailbox, greeting: greeting?, beep, max, silence, next, failed: failed? }))
    }

    pub fn page(&mut self, value: Item<'r>) -> Option<Action> {
        let name = text(value, "page", self.findings)?;
        let give = self.table.table("give", self.findings);
        let take = self.table.table("take", self.findings);
        let outcomes = self.table.take("outcomes");
        let next = self.edge_or("next", None);
        let (id, page) = self.callee(&name)?;
        let give = self.given(page, give.map(|mut give| give.take_rest()).unwrap_or_default());
        let take = self.taken(page, take.map(|mut take| take.take_rest()).unwrap_or_default());
        let outcomes = self.outcomes(page, outcomes, next);
        Some(Action::Page(Box::new(Page {
            page: id,
            name: page.name.clone(),
            needs_customer: page.needs_customer,
            give: give?,
            take: take?,
            outcomes: outcomes?,
        })))
    }

    fn callee(&mut self, name: &Text<'_>) -> Option<(DialplanId, &'r Header<'r>)> {
        let headers = self.headers;
        let Some(id) = self.by_name.get(name.text).copied() else {
            let known = headers.iter().flatten().filter(|page| !page.returns.is_empty());
            let mend = match nearest(name.text, known.map(|page| page.name.as_str())) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("Add the dialplan `{}.toml`.", name.text),
            };
            self.error("dialplan.unknown-page", name.span.clone(), format!("There is no page `{}`.", name.text), mend);
            return None;
        };
        // A page that could not be read has findings of its own; this state only cannot be judged.
        let page = headers.get(id.index())?.as_ref();
        let Some(page) = page else {
            let reason = format!("The page `{}` could not be read.", name.text);
            self.error("dialplan.unknown-page", name.span.clone(), reason, "Correct the page first.");
            return None;
        };
        if page.returns.is_empty() {
            let reason = format!("`{}` is no page: it never returns.", name.text);
            let mend = "Add `returns = [\"done\"]` at its top and end it with `return`.";
            self.error("dialplan.unknown-page", name.span.clone(), reason, mend);
            return None;
        }
        Some((id, page))
    }

    fn given(&mut self, page: &Header<'_>, entries: Vec<(&str, Range<usize>, Item<'r>)>) -> Option<Vec<(VarId, Expr)>> {
        let params = || page.vars.iter().filter(|var| var.role == Role::Param);
        let mut given = Vec::new();
        for (name, span, item) in entries {
            let Some((id, var)) = page.var(name).filter(|(_, var)| var.role == Role::Param) else {
                let mend = match nearest(name, params().map(|var| &*var.name)) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("Remove it, or declare it in `[params]` of `{}`.", page.name),
                };
                let reason = format!("The page `{}` takes no `{name}`.", page.name);
                self.error("dialplan.page-parameter", span, reason, mend);
                return None;
            };
            let wanted: Vec<_> = Type::ALL.into_iter().filter(|kind| kind.fits(var.kind)).collect();
            given.push((id, self.expr(name, item, &wanted)?));
        }
        let missing = params()
            .find(|var| var.initial.is_none() && !given.iter().any(|(id, _)| page.vars[id.index()].name == var.name));
        if let Some(missing) = missing {
            let reason = format!("The page `{}` is not given its `{}`.", page.name, missing.name);
            let mend = format!("Add `give = {{ {} = \"…\" }}`, {}.", missing.name, typing::a(missing.kind));
            self.error("dialplan.page-parameter", self.span(), reason, mend);
            return None;
        }
        Some(given)
    }

    fn taken(
        &mut self,
        page: &Header<'_>,
        entries: Vec<(&str, Range<usize>, Item<'r>)>,
    ) -> Option<Vec<(VarId, VarId)>> {
        let mut taken = Vec::new();
        for (name, span, item) in entries {
            let here = self.variable_named(name, span.clone(), "take", &[])?;
            let result = text(item, name, self.findings)?;
            let Some((there, var)) = page.var(result.text).filter(|(_, var)| var.role == Role::Result) else {
                let results = page.vars.iter().filter(|var| var.role == Role::Result);
                let mend = match nearest(result.text, results.map(|var| &*var.name)) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("Declare it in `[results]` of `{}`.", page.name),
                };
                let reason = format!("The page `{}` has no result `{}`.", page.name, result.text);
                self.error("dialplan.page-parameter", result.span, reason, mend);
                return None;
            };
            if !var.kind.fits(self.header.vars[here.index()].kind) {
                let reason = format!("`{name}` is {}, the result {}.", self.kind_of(here), typing::a(var.kind));
                self.error("dialplan.type", span, reason, "Let both have the same type.");
                return None;
            }
            taken.push((here, there));
        }
        Some(taken)
    }

    fn outcomes(
        &mut self,
        page: &Header<'_>,
        outcomes: Option<Item<'r>>,
        next: Option<StateId>,
    ) -> Option<Vec<(Arc<str>, StateId)>> {
        let entries = match outcomes {
            Some(item) => table(item, "`outcomes`".to_string(), self.findings)?.take_rest(),
            None => Vec::new(),
        };
        let mut named: Vec<(&str, StateId)> = Vec::new();
        for (name, span, item) in entries {
            if !page.returns.iter().any(|known| &**known == name) {
                let mend = match nearest(name, page.returns.iter().map(|known| &**known)) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("Use one of {}.", page.returns.join(", ")),
                };
                let reason = format!("The page `{}` never returns `{name}`.", page.name);
                self.error("dialplan.unknown-outcome", span, reason, mend);
                return None;
            }
            named.push((name, self.target(name, item)?));
        }
        let edge = |outcome: &Arc<str>| {
            let found = named.iter().find(|(name, _)| **name == **outcome).map(|(_, to)| *to);
            found.or(next).map(|to| (outcome.clone(), to))
        };
        let edges: Option<Vec<_>> = page.returns.iter().map(edge).collect();
        if edges.is_none() {
            let missing = page.returns.iter().find(|outcome| !named.iter().any(|(name, _)| **name == ***outcome));
            let missing = missing.map_or("", |outcome| outcome);
            let reason = format!("Nothing says where to go when `{}` returns `{missing}`.", page.name);
            let mend = format!("Add `{missing} = \"…\"` to `outcomes`, or `next` for all that are not named.");
            self.error("dialplan.missing-edge", self.span(), reason, mend);
        }
        edges
    }
}

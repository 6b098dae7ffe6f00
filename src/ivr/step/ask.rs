//! Steps that ask a system outside: lookup, http, and the comparing half of authenticate.

use core::time::Duration;

use crate::dialplan::facts::CustomerFacts;
use crate::dialplan::model::{Action, EdgeLabel, Header, Http, Lookup, Template, TemplatePart};
use crate::dialplan::value::Value;
use crate::ids::CustomerId;

use super::super::effect::{HeaderValue, HttpCall, IvrEffect, Question};
use super::super::input::{Answer, Compared};
use super::super::machine::{Machine, Moment, Waiting};
use super::choose::text_of;

impl Machine {
    pub(super) fn ask(&mut self, at: Moment<'_>, question: Question, deadline: Duration) {
        let ticket = self.next_ask();
        self.effects.push_back(IvrEffect::Ask { ticket, question, deadline: at.now + deadline });
        self.waiting = Waiting::Reply(ticket);
    }

    pub(super) fn lookup(&mut self, at: Moment<'_>, lookup: &Lookup) {
        let facts = self.facts(at);
        let key = text_of(&lookup.key.value(&self.frame().vars, &facts));
        self.ask(at, Question::Customer { by: lookup.by, key }, lookup.deadline);
    }

    pub(super) fn http(&mut self, at: Moment<'_>, http: &Http) {
        let facts = self.facts(at);
        let vars = &self.frame().vars;
        let mut url = fill(&http.url, |expr| percent_encoded(&text_of(&expr.value(vars, &facts))));
        for (nth, (name, expr)) in http.query.iter().enumerate() {
            url.push(if nth == 0 && !url.contains('?') { '?' } else { '&' });
            url.push_str(&percent_encoded(name));
            url.push('=');
            url.push_str(&percent_encoded(&text_of(&expr.value(vars, &facts))));
        }
        let headers = http
            .headers
            .iter()
            .map(|(name, header)| {
                let value = match header {
                    Header::Text(text) => {
                        HeaderValue::Text(fill(text, |expr| one_line(&text_of(&expr.value(vars, &facts)))))
                    }
                    Header::Environment(variable) => HeaderValue::Environment(variable.clone()),
                };
                (name.clone(), value)
            })
            .collect();
        let fields = http.body.iter().map(|(name, expr)| (name.to_string(), json_of(&expr.value(vars, &facts))));
        let body: serde_json::Map<String, serde_json::Value> = fields.collect();
        let call = HttpCall {
            method: http.method,
            url,
            headers,
            body: (!body.is_empty()).then_some(serde_json::Value::Object(body)),
            secure: http.secure,
            retries: http.retries,
        };
        self.ask(at, Question::Http(call), http.deadline);
    }

    /// An answer to the question the state asked.
    pub(in super::super) fn on_answer(&mut self, at: Moment<'_>, answer: Answer) {
        let book = self.book.clone();
        let frame = self.frame();
        match &book.get(frame.plan).state(frame.state).action {
            Action::Lookup(_) => self.on_customer(answer),
            Action::Http(http) => self.on_response(http, answer),
            Action::Authenticate(_) => self.on_verdict(at, &answer),
            _ => {}
        }
    }

    /// The latest record that was found is the caller's; one that is not found is nobody's. What was verified of
    /// one customer says nothing of another.
    fn on_customer(&mut self, answer: Answer) {
        let label = match answer {
            Answer::Customer(found) => {
                let label = if found.is_some() { EdgeLabel::Next } else { EdgeLabel::NotFound };
                if self.customer != found {
                    self.call.verified = false;
                }
                self.customer = found;
                label
            }
            Answer::TimedOut => EdgeLabel::Timeout,
            Answer::Http { .. } | Answer::Compared(_) | Answer::Failed => EdgeLabel::Failed,
        };
        self.leave(label);
    }

    /// All of `into`, or nothing: a half-read answer would be worse than none.
    fn on_response(&mut self, http: &Http, answer: Answer) {
        let (status, body) = match answer {
            Answer::Http { status, body } => (status, body),
            Answer::TimedOut => return self.leave(EdgeLabel::Timeout),
            _ => return self.leave(EdgeLabel::Failed),
        };
        if http.status.iter().any(|(special, _)| *special == status) {
            return self.leave(EdgeLabel::Status(status));
        }
        if !(200..300).contains(&status) {
            return self.leave(EdgeLabel::Failed);
        }
        let plan = self.plan();
        let read: Option<Vec<_>> = http
            .into
            .iter()
            .map(|(var, pointer)| Some((*var, plan.var(*var).kind.from_json(body.pointer(pointer)?)?)))
            .collect();
        let Some(read) = read else { return self.leave(EdgeLabel::Failed) };
        for (var, value) in read {
            self.frame_mut().vars.set(var, value);
        }
        self.leave(EdgeLabel::Next);
    }

    fn on_verdict(&mut self, at: Moment<'_>, answer: &Answer) {
        let label = match answer {
            Answer::Compared(Compared::Wrong) => return self.credential_wrong(at),
            Answer::Compared(Compared::Verified) => {
                self.call.verified = true;
                let name = match self.state_action() {
                    Action::Authenticate(check) => check.method.name(),
                    _ => "credential",
                };
                self.tell(at.now, "verified", name.to_owned());
                EdgeLabel::Next
            }
            Answer::Compared(Compared::Locked) => EdgeLabel::Locked,
            Answer::TimedOut => EdgeLabel::Timeout,
            Answer::Customer(_) | Answer::Http { .. } | Answer::Failed => EdgeLabel::Failed,
        };
        self.effects.push_back(IvrEffect::Secure(false));
        self.leave(label);
    }

    pub(super) fn customer_id(&self) -> Option<CustomerId> {
        let id = self.customer.as_ref().and_then(customer_field);
        id.and_then(|id| id.parse().ok())
    }
}

/// The record's own id, where the store put it among the facts.
fn customer_field(customer: &CustomerFacts) -> Option<String> {
    customer.fields.get("id").map(text_of)
}

fn fill(template: &Template, mut value: impl FnMut(&crate::dialplan::expr::Expr) -> String) -> String {
    let parts = template.0.iter().map(|part| match part {
        TemplatePart::Fixed(text) => text.to_string(),
        TemplatePart::Hole(expr) => value(expr),
    });
    parts.collect()
}

/// RFC 3986 §2.1: everything but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What goes into a header field cannot begin another one (RFC 9110 §5.5).
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A field of a request's body. A secret goes out in clear here and nowhere else: `check` lets it into secure
/// exchanges only.
fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Secret(secret) => serde_json::Value::String(secret.expose().to_owned()),
        other => other.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_header_cannot_begin_another() {
        assert_eq!(one_line("7\r\nX-Admin: yes"), "7X-Admin: yes");
    }

    #[test]
    fn what_goes_into_a_url_cannot_change_it() {
        assert_eq!(percent_encoded("a/b?c=d&e f#白"), "a%2Fb%3Fc%3Dd%26e%20f%23%E7%99%BD");
    }
}

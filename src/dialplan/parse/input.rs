//! Actions that wait for the caller's keys: menu, collect, secure, authenticate.

use core::time::Duration;

use crate::finding::nearest;

use super::super::expr::Expr;
use super::super::model::{Action, Asking, Authenticate, Collect, Credential, Menu, Prompts, VarId};
use super::super::table::{Item, text};
use super::super::value::{Key, Type};
use super::state::StateReader;

/// How many keys an entry has and what ends it.
struct Entry {
    min: u8,
    max: u8,
    terminator: Option<Key>,
    between_keys: Duration,
}

impl<'r> StateReader<'r, '_, '_> {
    pub fn menu(&mut self, value: Item<'r>) -> Option<Action> {
        let ask = self.asking(value);
        let keys = self.keys();
        if keys.is_empty() {
            let reason = format!("The menu `{}` has no keys.", self.name());
            self.error("dialplan.no-keys", self.span(), reason, "Add `keys = { 1 = \"…\", 2 = \"…\" }`.");
        }
        let failed = self.edge("failed", "the caller pressed no valid key after the last retry");
        let timeout = self.edge_or("timeout", failed);
        Some(Action::Menu(Menu { ask: ask?, keys, timeout: timeout?, failed: failed? }))
    }

    pub fn collect(&mut self, value: Item<'r>) -> Option<Collect> {
        let secure = self.action == "secure";
        let ask = self.asking(value);
        let into = self.kept_in(secure);
        let entry = self.entry(1, 32);
        let luhn = self.table.boolean("luhn", false, self.findings);
        let valid = self.valid(secure);
        let last4 = if secure { self.last4(entry.min) } else { Some(None) };
        let next = self.edge("next", "the caller has keyed a valid entry");
        let failed = self.edge("failed", "the caller keyed nothing valid after the last retry");
        let timeout = self.edge_or("timeout", failed);
        Some(Collect {
            ask: ask?,
            into: into?,
            min: entry.min,
            max: entry.max,
            terminator: entry.terminator,
            between_keys: entry.between_keys,
            luhn,
            valid: valid?,
            last4: last4?,
            next: next?,
            timeout: timeout?,
            failed: failed?,
        })
    }

    fn kept_in(&mut self, secure: bool) -> Option<VarId> {
        let Some(item) = self.table.take("into") else {
            let reason = format!("State `{}` does not say where to keep what is keyed.", self.name());
            self.error("dialplan.value", self.span(), reason, "Add `into = \"variable\"`.");
            return None;
        };
        let var = self.variable("into", item, &[])?;
        match (secure, self.header.vars[var.index()].kind) {
            (true, Type::Secret) => Some(var),
            (true, _) => {
                let reason =
                    format!("What a `secure` state collects would be kept in the clear: {}.", self.kind_of(var));
                let mend = "Declare the variable as \"secret\"; for its last four keys there is `last4`.";
                self.error("dialplan.secret-leaves", item.span(), reason, mend);
                None
            }
            (false, Type::Secret) => {
                let reason = "A secret would be keyed in a state that masks nothing.";
                self.error("dialplan.secret-leaves", item.span(), reason, "Use `secure` in the place of `collect`.");
                None
            }
            (false, Type::Bool) => {
                let reason = "One key of yes or no is a menu.";
                self.error("dialplan.type", item.span(), reason, "Use `menu` and `set`.");
                None
            }
            (false, _) => Some(var),
        }
    }

    /// `Some(None)` where the key is left out, `None` after a finding.
    fn valid(&mut self, secure: bool) -> Option<Option<Expr>> {
        if secure {
            return Some(None);
        }
        match self.table.take("valid") {
            Some(item) => self.expr("valid", item, &[Type::Bool]).map(Some),
            None => Some(None),
        }
    }

    /// As [`Self::valid`].
    fn last4(&mut self, min: u8) -> Option<Option<VarId>> {
        let Some(item) = self.table.take("last4") else { return Some(None) };
        let var = self.variable("last4", item, &[Type::Digits, Type::Text])?;
        if min < 12 {
            let reason = format!("The last four of an entry that may have {min} keys give too much of it away.");
            self.error("dialplan.secret-leaves", item.span(), reason, "Use `last4` with 12 keys or more.");
            return None;
        }
        Some(Some(var))
    }

    pub fn authenticate(&mut self, value: Item<'r>) -> Option<Action> {
        let method = self.credential(value);
        let ask = match self.table.take("ask") {
            Some(item) => self.asking(item),
            None => {
                let reason = format!("State `{}` does not ask the caller for anything.", self.name());
                self.error("dialplan.value", self.span(), reason, "Add `ask = \"prompt\"`.");
                None
            }
        };
        let (min, max) = match method {
            Some(Credential::BirthDate) => (8, 8),
            Some(Credential::IdLast4) => (4, 4),
            _ => (4, 12),
        };
        let entry = self.entry(min, max);
        let deadline = self.table.millis("timeout_ms", 2_000, 100..=30_000, self.findings);
        let next = self.edge("next", "the caller is verified");
        let denied = self.edge("denied", "the caller is not verified");
        let locked = self.edge_or("locked", denied);
        let timeout = self.edge("timeout", "the store does not answer in time");
        let failed = self.edge("failed", "the store cannot compare");
        Some(Action::Authenticate(Authenticate {
            method: method?,
            ask: ask?,
            min: entry.min,
            max: entry.max,
            between_keys: entry.between_keys,
            deadline,
            next: next?,
            denied: denied?,
            locked: locked?,
            timeout: timeout?,
            failed: failed?,
        }))
    }

    fn credential(&mut self, value: Item<'r>) -> Option<Credential> {
        let written = text(value, "authenticate", self.findings)?;
        let found = Credential::ALL.into_iter().find(|known| known.name() == written.text);
        if found.is_none() {
            let mend = match nearest(written.text, Credential::ALL.into_iter().map(Credential::name)) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("Use one of {}.", Credential::ALL.map(Credential::name).join(", ")),
            };
            let reason = format!("`{}` is nothing a caller can be asked for.", written.text);
            self.error("dialplan.value", written.span, reason, mend);
        }
        found
    }

    fn asking(&mut self, prompts: Item<'r>) -> Option<Asking> {
        let prompts = self.prompts(self.action, prompts);
        let barge_in = self.table.boolean("barge_in", true, self.findings);
        let timeout = self.table.seconds("timeout_s", 5, 1..=120, self.findings);
        let retries = self.table.integer("retries", 2, 0..=10, self.findings);
        let (no_input, no_match): (Option<Prompts>, Option<Prompts>) =
            (self.prompts_of("no_input"), self.prompts_of("no_match"));
        Some(Asking {
            prompts: prompts?,
            barge_in,
            timeout,
            retries: u8::try_from(retries).unwrap_or(0),
            no_input: no_input?,
            no_match: no_match?,
        })
    }

    fn entry(&mut self, min: i64, max: i64) -> Entry {
        let span = self.span();
        let exactly = self.table.integer("digits", 0, 1..=64, self.findings);
        let min = self.table.integer("min", if exactly > 0 { exactly } else { min }, 1..=64, self.findings);
        let max = self.table.integer("max", if exactly > 0 { exactly } else { max.max(min) }, 1..=64, self.findings);
        if min > max {
            let reason = format!("At least {min} and at most {max} keys cannot be.");
            self.error("dialplan.value", span, reason, "Let `min` be no more than `max`.");
        }
        let between_keys = self.table.seconds("between_keys_s", 3, 1..=60, self.findings);
        let terminator = self.terminator();
        let byte = |number: i64| u8::try_from(number).unwrap_or(u8::MAX);
        Entry { min: byte(min), max: byte(max), terminator, between_keys }
    }

    fn terminator(&mut self) -> Option<Key> {
        let Some(written) = self.table.text("terminator", self.findings) else { return Key::new('#') };
        let mut chars = written.text.chars();
        match (chars.next(), chars.next()) {
            (None, _) => None,
            (Some(key), None) if Key::new(key).is_some() => Key::new(key),
            _ => {
                let reason = format!("`{}` is no key of a telephone.", written.text);
                self.error("dialplan.value", written.span, reason, "Use one key, or \"\" for none.");
                None
            }
        }
    }
}

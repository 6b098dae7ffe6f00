//! What an expression can read beside the dialplan's own variables: the call, the customer, the queues.
//!
//! The machine that walks a dialplan fills these in before it enters a state; everything here is a plain value, so
//! that a test can write one down.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{Language, QueueName};

use super::model::VarId;
use super::value::{Date, Type, Value};

/// The variables of one running dialplan, in the order of its [`super::model::Dialplan::vars`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vars(Vec<Option<Value>>);

impl Vars {
    /// One place for each of `count` variables, none of them set.
    pub fn unset(count: usize) -> Vars {
        Vars(vec![None; count])
    }

    /// `None` where it is not set yet.
    pub fn get(&self, var: VarId) -> Option<&Value> {
        self.0.get(var.index()).and_then(Option::as_ref)
    }

    pub fn set(&mut self, var: VarId, value: Value) {
        if let Some(place) = self.0.get_mut(var.index()) {
            *place = Some(value);
        }
    }

    /// Forgets every secret. To be called when the call queues, dials, records a message or ends.
    pub fn forget_secrets(&mut self) {
        for place in &mut self.0 {
            if matches!(place, Some(Value::Secret(_))) {
                *place = None;
            }
        }
    }
}

/// The world outside the dialplan, as far as expressions may read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub call: CallFacts,
    /// The customer's record, once a `lookup` has found it.
    pub customer: Option<CustomerFacts>,
    /// The queues that the dialplan asks about ([`super::model::Dialplan::queues_read`]); one that is missing counts
    /// as empty.
    pub queues: BTreeMap<QueueName, QueueFacts>,
}

/// `call.caller`, `call.called` and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFacts {
    /// `call.caller`: E.164 (`+8613800138000`), an account name, or `""` where the number is withheld.
    pub caller: Arc<str>,
    /// `call.called`: the number dialled, E.164 or a short number.
    pub called: Arc<str>,
    /// `call.trunk`: the trunk it came by; `""` for a call from a phone of ours.
    pub trunk: Arc<str>,
    /// `call.language`: the language the caller hears now.
    pub language: Language,
    /// `call.verified`: an `authenticate` state has verified the caller.
    pub verified: bool,
    /// `call.date`: today in the time zone of the centre.
    pub date: Date,
    /// `call.hour`: 0–23 in that time zone.
    pub hour: u8,
    /// `call.weekday`: 1 is Monday, 7 is Sunday (ISO 8601).
    pub weekday: u8,
    /// `call.open`: the called number's opening hours hold now; true where it has none.
    pub open: bool,
    /// `header("X-Account")`: header fields of the INVITE, names in lower case.
    pub headers: BTreeMap<Arc<str>, Arc<str>>,
}

impl Default for CallFacts {
    fn default() -> Self {
        let nothing: Arc<str> = Arc::from("");
        CallFacts {
            caller: nothing.clone(),
            called: nothing.clone(),
            trunk: nothing,
            language: Language::new("en"),
            verified: false,
            date: Date::EPOCH,
            hour: 0,
            weekday: 1,
            open: true,
            headers: BTreeMap::new(),
        }
    }
}

/// A customer's record as expressions read it: `name`, `tier`, `language`, `number`, and what `[customer]` declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerFacts {
    pub fields: BTreeMap<Arc<str>, Value>,
}

impl CustomerFacts {
    /// The field as a value of `wanted`; `None` where the record does not have it, or has something else.
    pub fn get(&self, field: &str, wanted: Type) -> Option<Value> {
        let value = self.fields.get(field)?;
        if value.type_of().fits(wanted) {
            return Some(value.clone().into_type(wanted));
        }
        match value {
            // A record holds attributes as text; the dialplan says what they are.
            Value::Text(text) => wanted.from_text(text),
            _ => None,
        }
    }
}

/// A queue as `waiting("sales")`, `wait_s("sales")` and `agents("sales")` read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Calls waiting now.
    pub waiting: u32,
    /// The estimated wait of a call that came now, seconds.
    pub wait_s: u32,
    /// Agents signed in.
    pub agents: u32,
}

/// A field of `call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallField {
    Caller,
    Called,
    Trunk,
    Language,
    Verified,
    Date,
    Hour,
    Weekday,
    Open,
}

impl CallField {
    pub const ALL: [CallField; 9] = [
        CallField::Caller,
        CallField::Called,
        CallField::Trunk,
        CallField::Language,
        CallField::Verified,
        CallField::Date,
        CallField::Hour,
        CallField::Weekday,
        CallField::Open,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            CallField::Caller => "caller",
            CallField::Called => "called",
            CallField::Trunk => "trunk",
            CallField::Language => "language",
            CallField::Verified => "verified",
            CallField::Date => "date",
            CallField::Hour => "hour",
            CallField::Weekday => "weekday",
            CallField::Open => "open",
        }
    }

    pub const fn type_of(self) -> Type {
        match self {
            CallField::Caller | CallField::Called | CallField::Trunk | CallField::Language => Type::Text,
            CallField::Verified | CallField::Open => Type::Bool,
            CallField::Date => Type::Date,
            CallField::Hour | CallField::Weekday => Type::Number,
        }
    }

    pub fn read(self, call: &CallFacts) -> Value {
        match self {
            CallField::Caller => Value::Text(call.caller.clone()),
            CallField::Called => Value::Text(call.called.clone()),
            CallField::Trunk => Value::Text(call.trunk.clone()),
            CallField::Language => Value::text(call.language.as_str()),
            CallField::Verified => Value::Bool(call.verified),
            CallField::Date => Value::Date(call.date),
            CallField::Hour => Value::Number(i64::from(call.hour)),
            CallField::Weekday => Value::Number(i64::from(call.weekday)),
            CallField::Open => Value::Bool(call.open),
        }
    }
}

/// The fields every customer's record has; `[customer]` declares further ones.
pub const CUSTOMER_FIELDS: [(&str, Type); 4] =
    [("name", Type::Text), ("tier", Type::Text), ("language", Type::Text), ("number", Type::Text)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_answers_in_the_type_the_dialplan_declares() {
        let mut customer = CustomerFacts::default();
        customer.fields.insert(Arc::from("flights"), Value::text("3"));
        assert_eq!(customer.get("flights", Type::Number), Some(Value::Number(3)));
        assert_eq!(customer.get("flights", Type::Date), None);
        assert_eq!(customer.get("gates", Type::Number), None);
    }

    #[test]
    fn secrets_are_forgotten_and_the_rest_is_kept() {
        let mut vars = Vars::unset(2);
        vars.set(VarId(0), Value::Secret(super::super::value::Secret::new("1234")));
        vars.set(VarId(1), Value::Number(1));
        vars.set(VarId(9), Value::Number(9));
        vars.forget_secrets();
        assert_eq!((vars.get(VarId(0)), vars.get(VarId(1)), vars.get(VarId(9))), (None, Some(&Value::Number(1)), None));
    }
}

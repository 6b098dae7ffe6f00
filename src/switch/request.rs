//! Slow questions: asked of a shell with a deadline, answered by a reply or by the deadline.

use std::collections::BTreeMap;

use crate::dialplan::facts::CustomerFacts;
use crate::event::CustomerCard;
use crate::ids::{CallId, CustomerId};
use crate::ivr::{AskTicket, Compared, HttpCall, Question};
use crate::sip;
use crate::time::Time;

/// Names one question. Never used twice in a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the switch asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// The customer who calls from this number, as card and as facts for the dialplan.
    Customer {
        number: String,
    },
    /// The customer with this number in the company's books.
    Account {
        number: String,
    },
    Http(HttpCall),
    /// Compare what a caller keyed. The digits are a secret: never logged, never kept.
    Credential {
        method: crate::dialplan::model::Credential,
        customer: Option<CustomerId>,
        caller: String,
        keyed: Keyed,
    },
    /// The addresses of a host name.
    Resolve(sip::endpoint::Resolve),
}

/// Digits that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyed(pub String);

impl core::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("(keyed)")
    }
}

/// What a shell answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Customer(Option<Box<Known>>),
    Http {
        status: u16,
        body: serde_json::Value,
    },
    Compared(Compared),
    Resolved(Vec<sip::endpoint::Hop>),
    /// It could not be asked: unreachable, refused, unreadable.
    Failed(String),
}

/// What the store knows of a customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub card: CustomerCard,
    pub facts: CustomerFacts,
}

/// Who waits for a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The caller's record, for the offer's card.
    Card(CallId),
    /// A step of the call's dialplan.
    Ivr(CallId, AskTicket),
    /// The SIP endpoint, for a host name.
    Sip(sip::endpoint::ResolveId),
}

/// Questions under way, each with who waits and until when.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    open: BTreeMap<RequestId, (Asker, Time)>,
}

impl Requests {
    pub fn open(&mut self, asker: Asker, deadline: Time) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.open.insert(id, (asker, deadline));
        id
    }

    /// Takes a question off the books; `None` where it is answered or over already.
    pub fn close(&mut self, id: RequestId) -> Option<(Asker, Time)> {
        self.open.remove(&id)
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }
}

/// How the dialplan's question is put to the shells.
pub(super) fn query_of(question: Question) -> Query {
    use crate::dialplan::model::LookupBy;
    match question {
        Question::Customer { by: LookupBy::Number, key } => Query::Customer { number: key },
        Question::Customer { by: LookupBy::Account, key } => Query::Account { number: key },
        Question::Http(call) => Query::Http(call),
        Question::Credential { method, customer, caller, keyed } => {
            Query::Credential { method, customer, caller: caller.to_string(), keyed: Keyed(keyed) }
        }
    }
}

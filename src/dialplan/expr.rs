//! Expressions: a typed tree that always has a value.
//!
//! The text is Rhai; [`super::sandbox`] reads it into a plain syntax tree and [`super::typing`] proves its types
//! and makes an [`Expr`]. What is left here cannot fail: whole numbers saturate instead of wrapping, dividing by a
//! variable is refused by the typing, a missing field reads as the empty value of its type.

use std::sync::Arc;

use crate::ids::QueueName;

use super::facts::{CallField, Facts, Vars};
use super::model::VarId;
use super::value::{Money, Type, Value};

/// An expression of a known type.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) node: Node,
    pub(super) kind: Type,
    /// As the administrator wrote it, for drawings and traces.
    pub(super) text: Arc<str>,
    /// Byte range in the dialplan's file, for findings.
    pub(super) place: core::ops::Range<usize>,
}

impl Expr {
    /// The type of every value it can have.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is written: bytes of the dialplan's file.
    pub fn place(&self) -> core::ops::Range<usize> {
        self.place.clone()
    }

    /// The value, of type [`Expr::kind`].
    pub fn value(&self, vars: &Vars, facts: &Facts) -> Value {
        self.node.value(&World { vars, facts }).into_type(self.kind)
    }

    /// The value of a condition. `false` for an expression that is no bool, which the typing keeps out of conditions.
    pub fn holds(&self, vars: &Vars, facts: &Facts) -> bool {
        self.value(vars, facts) == Value::Bool(true)
    }

    /// Every variable it reads.
    pub fn each_var(&self, visit: &mut dyn FnMut(VarId)) {
        self.node.each(&mut |node| {
            if let Node::Var(var, _) = node {
                visit(*var);
            }
        });
    }

    /// Every queue it asks about.
    pub fn each_queue(&self, visit: &mut dyn FnMut(&QueueName)) {
        self.node.each(&mut |node| {
            if let Node::Queue(_, queue) = node {
                visit(queue);
            }
        });
    }

    /// Whether it reads the customer's record, other than by `has`.
    pub fn reads_customer(&self) -> bool {
        let mut reads = false;
        self.node.each(&mut |node| reads |= matches!(node, Node::Customer(..)));
        reads
    }
}

/// What a value is computed from.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Fixed(Value),
    Var(VarId, Type),
    Call(CallField),
    Customer(Arc<str>, Type),
    /// `has(customer.field)`.
    HasCustomer(Arc<str>, Type),
    /// `header("X-Account")`, the name in lower case.
    Header(Arc<str>),
    Queue(QueueFigure, QueueName),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `x in ["a", "b"]`.
    OneOf(Box<Node>, Vec<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// Texts one after the other: `+` and `` `…${x}…` ``.
    Join(Vec<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Function(Function, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueFigure {
    Waiting,
    WaitS,
    Agents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    /// By a constant other than zero only.
    Over,
    Remainder,
}

/// Functions that always have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Len,
    StartsWith,
    EndsWith,
    Contains,
    First,
    Last,
    Text,
    /// A text that is known to be digits.
    Digits,
    Number,
    Month,
    Day,
}

struct World<'a> {
    vars: &'a Vars,
    facts: &'a Facts,
}

impl Node {
    fn value(&self, world: &World<'_>) -> Value {
        match self {
            Node::Fixed(value) => value.clone(),
            Node::Var(var, kind) => world.vars.get(*var).cloned().unwrap_or_else(|| kind.empty()),
            Node::Call(field) => field.read(&world.facts.call),
            Node::Customer(field, kind) => customer(world, field, *kind).unwrap_or_else(|| kind.empty()),
            Node::HasCustomer(field, kind) => Value::Bool(customer(world, field, *kind).is_some()),
            Node::Header(name) => {
                Value::Text(world.facts.call.headers.get(name).cloned().unwrap_or_else(|| Arc::from("")))
            }
            Node::Queue(figure, queue) => queue_figure(world, *figure, queue),
            Node::Not(inner) => Value::Bool(!inner.is_true(world)),
            Node::Negate(inner) => match inner.value(world) {
                Value::Number(n) => Value::Number(n.saturating_neg()),
                Value::Money(Money(n)) => Value::Money(Money(n.saturating_neg())),
                other => other,
            },
            Node::And(all) => Value::Bool(all.iter().all(|node| node.is_true(world))),
            Node::Or(any) => Value::Bool(any.iter().any(|node| node.is_true(world))),
            Node::Compare(how, a, b) => Value::Bool(how.holds(&a.value(world), &b.value(world))),
            Node::OneOf(item, list) => {
                let item = item.value(world);
                Value::Bool(list.iter().any(|node| Comparison::Equal.holds(&item, &node.value(world))))
            }
            Node::Arithmetic(how, a, b) => how.compute(a.value(world), b.value(world)),
            Node::Join(parts) => {
                Value::text(&parts.iter().map(|part| part.value(world).to_string()).collect::<String>())
            }
            Node::If(condition, yes, no) => {
                if condition.is_true(world) {
                    yes.value(world)
                } else {
                    no.value(world)
                }
            }
            Node::Function(function, args) => {
                function.compute(&args.iter().map(|arg| arg.value(world)).collect::<Vec<_>>())
            }
        }
    }

    fn is_true(&self, world: &World<'_>) -> bool {
        self.value(world) == Value::Bool(true)
    }

    fn each(&self, visit: &mut dyn FnMut(&Node)) {
        visit(self);
        match self {
            Node::Not(inner) | Node::Negate(inner) => inner.each(visit),
            Node::Compare(_, a, b) | Node::Arithmetic(_, a, b) => [a, b].into_iter().for_each(|node| node.each(visit)),
            Node::And(nodes) | Node::Or(nodes) | Node::Join(nodes) | Node::Function(_, nodes) => {
                nodes.iter().for_each(|node| node.each(visit));
            }
            Node::OneOf(item, list) => {
                item.each(visit);
                list.iter().for_each(|node| node.each(visit));
            }
            Node::If(condition, yes, no) => [condition, yes, no].into_iter().for_each(|node| node.each(visit)),
            Node::Fixed(_)
            | Node::Var(..)
            | Node::Call(_)
            | Node::Customer(..)
            | Node::HasCustomer(..)
            | Node::Header(_)
            | Node::Queue(..) => {}
        }
    }
}

fn customer(world: &World<'_>, field: &str, kind: Type) -> Option<Value> {
    world.facts.customer.as_ref()?.get(field, kind)
}

fn queue_figure(world: &World<'_>, figure: QueueFigure, queue: &QueueName) -> Value {
    let facts = world.facts.queues.get(queue).copied().unwrap_or_default();
    Value::Number(i64::from(match figure {
        QueueFigure::Waiting => facts.waiting,
        QueueFigure::WaitS => facts.wait_s,
        QueueFigure::Agents => facts.agents,
    }))
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value) -> bool {
        let order = match (a, b) {
            (Value::Text(a) | Value::Digits(a), Value::Text(b) | Value::Digits(b)) => a.cmp(b),
            (Value::Number(a), Value::Number(b)) => a.cmp(b),
            (Value::Money(a), Value::Money(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            _ => return false,
        };
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        }
    }
}

impl Arithmetic {
    fn compute(self, a: Value, b: Value) -> Value {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => Value::Number(self.whole(a, b)),
            (Value::Money(Money(a)), Value::Money(Money(b)) | Value::Number(b)) => {
                Value::Money(Money(self.whole(a, b)))
            }
            (Value::Number(a), Value::Money(Money(b))) => Value::Money(Money(self.whole(a, b))),
            (other, _) => other,
        }
    }

    fn whole(self, a: i64, b: i64) -> i64 {
        match self {
            Arithmetic::Plus => a.saturating_add(b),
            Arithmetic::Minus => a.saturating_sub(b),
            Arithmetic::Times => a.saturating_mul(b),
            Arithmetic::Over => a.checked_div(b).unwrap_or(i64::MAX),
            Arithmetic::Remainder => a.checked_rem(b).unwrap_or(0),
        }
    }
}

impl Function {
    fn compute(self, args: &[Value]) -> Value {
        let text = |nth: usize| args.get(nth).map(Value::to_string).unwrap_or_default();
        let count = |nth: usize| match args.get(nth) {
            Some(Value::Number(n)) => usize::try_from(*n).unwrap_or(0),
            _ => 0,
        };
        match self {
            Function::Len => Value::Number(i64::try_from(text(0).chars().count()).unwrap_or(i64::MAX)),
            Function::StartsWith => Value::Bool(text(0).starts_with(&text(1))),
            Function::EndsWith => Value::Bool(text(0).ends_with(&text(1))),
            Function::Contains => Value::Bool(text(0).contains(&text(1))),
            Function::First => Value::text(&text(0).chars().take(count(1)).collect::<String>()),
            Function::Last => {
                let text = text(0);
                let skip = text.chars().count().saturating_sub(count(1));
                Value::text(&text.chars().skip(skip).collect::<String>())
            }
            Function::Text => Value::text(&text(0)),
            Function::Digits => Value::digits(&text(0)),
            Function::Number => {
                let digits: String = text(0).chars().take_while(char::is_ascii_digit).collect();
                Value::Number(if digits.is_empty() { 0 } else { digits.parse().unwrap_or(i64::MAX) })
            }
            Function::Month | Function::Day => match (self, args.first()) {
                (Function::Month, Some(Value::Date(date))) => Value::Number(i64::from(date.month())),
                (_, Some(Value::Date(date))) => Value::Number(i64::from(date.day())),
                _ => Value::Number(0),
            },
        }
    }
}

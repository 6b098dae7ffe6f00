//! From syntax to a typed [`Expr`]: names are resolved, types agree, every operation always has a value.

use std::sync::Arc;

use crate::finding::nearest;
use crate::ids::QueueName;

use super::expr::{Arithmetic, Comparison, Expr, Function, Node, QueueFigure};
use super::facts::CallField;
use super::model::{VarId, Variable};
use super::sandbox::{Form, Syntax, parse_expression};
use super::value::{Date, Money, Type, Value};

/// What names mean in one dialplan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub vars: &'a [Variable],
    pub customer: &'a [(Arc<str>, Type)],
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypingError {
    pub code: &'static str,
    /// Byte offset in the expression's text.
    pub at: usize,
    pub reason: String,
    pub mend: String,
}

/// Reads and types an expression.
pub(super) fn expression(text: &str, names: Names<'_>) -> Result<Expr> {
    let syntax = parse_expression(text).map_err(|error| TypingError {
        code: "dialplan.expression",
        at: error.at,
        reason: format!("`{text}` is no expression: {}.", error.reason),
        mend: "Correct it; a text constant inside an expression stands in double quotes.".to_string(),
    })?;
    let typed = names.node(&syntax)?;
    Ok(Expr { node: typed.node, kind: typed.kind, text: Arc::from(text), place: 0..0 })
}

/// A constant as an expression.
pub(super) fn constant(value: Value, text: &str) -> Expr {
    Expr { kind: value.type_of(), node: Node::Fixed(value), text: Arc::from(text), place: 0..0 }
}

/// A constant text of nothing but keys is digits where digits are wanted; anything else stays as it is.
pub(super) fn text_as_digits(expr: Expr) -> Expr {
    match &expr.node {
        Node::Fixed(Value::Text(text)) => match Type::Digits.from_text(text) {
            Some(keys) => Expr { node: Node::Fixed(keys), kind: Type::Digits, ..expr },
            None => expr,
        },
        _ => expr,
    }
}

struct Typed {
    node: Node,
    kind: Type,
}

type Result<T> = core::result::Result<T, TypingError>;

impl Names<'_> {
    fn node(self, syntax: &Syntax) -> Result<Typed> {
        match &syntax.form {
            Form::Bool(yes) => Ok(fixed(Value::Bool(*yes))),
            Form::Number(number) => Ok(fixed(Value::Number(*number))),
            Form::Text(text) => Ok(fixed(Value::text(text))),
            Form::Name(name) => self.variable(name, syntax.at),
            Form::Field(of, field) => self.field(of, field, syntax.at),
            Form::Call(name, args) => self.call(name, args, syntax.at),
            Form::And(parts) => Ok(Typed { node: Node::And(self.bools(parts)?), kind: Type::Bool }),
            Form::Or(parts) => Ok(Typed { node: Node::Or(self.bools(parts)?), kind: Type::Bool }),
            Form::Join(parts) => {
                let parts = parts.iter().map(|part| Ok(self.printable(part)?.node)).collect::<Result<_>>()?;
                Ok(Typed { node: Node::Join(parts), kind: Type::Text })
            }
            Form::If(parts) => self.choice(parts, syntax.at),
            Form::List(_) => Err(foreign("a list outside `in`", syntax.at)),
            Form::Foreign(what) => Err(foreign(what, syntax.at)),
        }
    }

    fn variable(self, name: &str, at: usize) -> Result<Typed> {
        let found = (0..).map(VarId).zip(self.vars).find(|(_, var)| &*var.name == name);
        if let Some((id, var)) = found {
            return Ok(Typed { node: Node::Var(id, var.kind), kind: var.kind });
        }
        let known = self.vars.iter().map(|var| &*var.name);
        Err(unknown("dialplan.unknown-variable", "variable", name, known, "Declare it in `[vars]`.", at))
    }

    fn field(self, of: &str, field: &str, at: usize) -> Result<Typed> {
        match of {
            "call" => {
                let found = CallField::ALL.into_iter().find(|known| known.name() == field);
                let known = CallField::ALL.into_iter().map(CallField::name);
                let found =
                    found.ok_or_else(|| unknown("dialplan.unknown-field", "field of `call`", field, known, "", at))?;
                Ok(Typed { node: Node::Call(found), kind: found.type_of() })
            }
            "customer" => {
                let (name, kind) = self.customer_field(field, at)?;
                Ok(Typed { node: Node::Customer(name, kind), kind })
            }
            _ => Err(unknown("dialplan.unknown-field", "record", of, ["call", "customer"], "", at)),
        }
    }

    fn customer_field(self, field: &str, at: usize) -> Result<(Arc<str>, Type)> {
        let found = self.customer.iter().find(|(name, _)| &**name == field);
        found.cloned().ok_or_else(|| {
            let known = self.customer.iter().map(|(name, _)| &**name);
            unknown("dialplan.unknown-field", "field of `customer`", field, known, "Declare it in `[customer]`.", at)
        })
    }

    fn bools(self, parts: &[Syntax]) -> Result<Vec<Node>> {
        parts.iter().map(|part| self.wanted(part, Type::Bool)).collect()
    }

    /// The node, where its type fits `kind`.
    fn wanted(self, syntax: &Syntax, kind: Type) -> Result<Node> {
        let typed = self.node(syntax)?;
        if typed.kind.fits(kind) {
            return Ok(typed.node);
        }
        Err(mismatch(format!("{} stands where {} is wanted", a(typed.kind), a(kind)), typed.kind, syntax.at))
    }

    /// Anything but a secret.
    fn printable(self, syntax: &Syntax) -> Result<Typed> {
        let typed = self.node(syntax)?;
        if typed.kind == Type::Secret {
            return Err(mismatch("a secret would be readable in a text".to_string(), Type::Secret, syntax.at));
        }
        Ok(typed)
    }

    fn choice(self, parts: &[Syntax; 3], at: usize) -> Result<Typed> {
        let condition = self.wanted(&parts[0], Type::Bool)?;
        let (yes, no) = (self.node(&parts[1])?, self.node(&parts[2])?);
        let kind = if yes.kind.fits(no.kind) {
            no.kind
        } else if no.kind.fits(yes.kind) {
            yes.kind
        } else {
            let reason = format!("one arm of the `if` is {}, the other {}", a(yes.kind), a(no.kind));
            return Err(mismatch(reason, if no.kind == Type::Secret { no.kind } else { yes.kind }, at));
        };
        Ok(Typed { node: Node::If(Box::new(condition), Box::new(yes.node), Box::new(no.node)), kind })
    }

    fn call(self, name: &str, args: &[Syntax], at: usize) -> Result<Typed> {
        match (name, args) {
            ("!", [inner]) => {
                Ok(Typed { node: Node::Not(Box::new(self.wanted(inner, Type::Bool)?)), kind: Type::Bool })
            }
            ("-", [inner]) => {
                let typed = self.node(inner)?;
                if !matches!(typed.kind, Type::Number | Type::Money) {
                    return Err(mismatch(format!("{} has no sign", a(typed.kind)), typed.kind, at));
                }
                Ok(Typed { node: Node::Negate(Box::new(typed.node)), kind: typed.kind })
            }
            ("==" | "!=" | "<" | "<=" | ">" | ">=", [left, right]) => self.comparison(name, left, right, at),
            ("+" | "-" | "*" | "/" | "%", [left, right]) => self.arithmetic(name, left, right, at),
            ("contains", [Syntax { form: Form::List(items), .. }, item]) => self.one_of(items, item),
            ("money", [Syntax { form: Form::Text(text), .. }]) => Money::parse(text)
                .map(|money| fixed(Value::Money(money)))
                .ok_or_else(|| bad_constant(text, "an amount", "money(\"12.50\")", at)),
            ("date", [Syntax { form: Form::Text(text), .. }]) => Date::parse(text)
                .map(|date| fixed(Value::Date(date)))
                .ok_or_else(|| bad_constant(text, "a day", "date(\"2026-02-17\")", at)),
            ("header", [Syntax { form: Form::Text(text), .. }]) => {
                Ok(Typed { node: Node::Header(Arc::from(text.to_ascii_lowercase())), kind: Type::Text })
            }
            ("has", [Syntax { form: Form::Field(of, field), at }]) if of == "customer" => {
                let (name, kind) = self.customer_field(field, *at)?;
                Ok(Typed { node: Node::HasCustomer(name, kind), kind: Type::Bool })
            }
            ("waiting" | "wait_s" | "agents", [Syntax { form: Form::Text(queue), .. }]) => {
                let figure = match name {
                    "waiting" => QueueFigure::Waiting,
                    "wait_s" => QueueFigure::WaitS,
                    _ => QueueFigure::Agents,
                };
                Ok(Typed { node: Node::Queue(figure, QueueName::new(queue)), kind: Type::Number })
            }
            _ => self.function(name, args, at),
        }
    }

    fn comparison(self, name: &str, left: &Syntax, right: &Syntax, at: usize) -> Result<Typed> {
        let (a_side, b_side) = (self.printable(left)?, self.printable(right)?);
        if !alike(a_side.kind, b_side.kind) {
            let reason = format!("{} is compared with {}", a(a_side.kind), a(b_side.kind));
            return Err(mismatch(reason, a_side.kind, at));
        }
        let how = match name {
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            _ => Comparison::AtLeast,
        };
        Ok(Typed { node: Node::Compare(how, Box::new(a_side.node), Box::new(b_side.node)), kind: Type::Bool })
    }

    fn one_of(self, items: &[Syntax], item: &Syntax) -> Result<Typed> {
        let wanted = self.printable(item)?;
        let mut nodes = Vec::with_capacity(items.len());
        for other in items {
            let typed = self.printable(other)?;
            if !alike(wanted.kind, typed.kind) {
                let reason = format!("{} is looked for in a list with {}", a(wanted.kind), a(typed.kind));
                return Err(mismatch(reason, typed.kind, other.at));
            }
            nodes.push(typed.node);
        }
        Ok(Typed { node: Node::OneOf(Box::new(wanted.node), nodes), kind: Type::Bool })
    }

    fn arithmetic(self, name: &str, left: &Syntax, right: &Syntax, at: usize) -> Result<Typed> {
        let (a_side, b_side) = (self.printable(left)?, self.printable(right)?);
        let kinds = (a_side.kind, b_side.kind);
        if name == "+" && (matches!(kinds.0, Type::Text | Type::Digits) || matches!(kinds.1, Type::Text | Type::Digits))
        {
            let kind = if kinds == (Type::Digits, Type::Digits) { Type::Digits } else { Type::Text };
            let node = Node::Join(vec![a_side.node, b_side.node]);
            return Ok(match kind {
                Type::Digits => Typed { node: Node::Function(Function::Digits, vec![node]), kind },
                _ => Typed { node, kind },
            });
        }
        let (how, kind) = match (name, kinds) {
            ("+", (Type::Number, Type::Number)) => (Arithmetic::Plus, Type::Number),
            ("+", (Type::Money, Type::Money)) => (Arithmetic::Plus, Type::Money),
            ("-", (Type::Number, Type::Number)) => (Arithmetic::Minus, Type::Number),
            ("-", (Type::Money, Type::Money)) => (Arithmetic::Minus, Type::Money),
            ("*", (Type::Number, Type::Number)) => (Arithmetic::Times, Type::Number),
            ("*", (Type::Money, Type::Number) | (Type::Number, Type::Money)) => (Arithmetic::Times, Type::Money),
            ("/", (Type::Number | Type::Money, Type::Number)) => (Arithmetic::Over, kinds.0),
            ("%", (Type::Number, Type::Number)) => (Arithmetic::Remainder, Type::Number),
            _ => return Err(mismatch(format!("`{name}` between {} and {}", a(kinds.0), a(kinds.1)), kinds.0, at)),
        };
        let by_constant = matches!(b_side.node, Node::Fixed(Value::Number(n)) if n != 0);
        if matches!(how, Arithmetic::Over | Arithmetic::Remainder) && !by_constant {
            return Err(TypingError {
                code: "dialplan.division",
                at,
                reason: format!(
                    "The right side of `{name}` is no constant other than 0, so a call could divide by zero."
                ),
                mend: "Divide by a constant, or compute it in a `script` state, which has a `failed` edge.".to_string(),
            });
        }
        Ok(Typed { node: Node::Arithmetic(how, Box::new(a_side.node), Box::new(b_side.node)), kind })
    }

    fn function(self, name: &str, args: &[Syntax], at: usize) -> Result<Typed> {
        let found = FUNCTIONS.iter().find(|known| known.name == name);
        let Some(known) = found else {
            let names = FUNCTIONS.iter().map(|known| known.name).chain(SPECIAL);
            return Err(unknown("dialplan.unknown-function", "function", name, names, "", at));
        };
        if known.takes.len() != args.len() {
            return Err(TypingError {
                code: "dialplan.type",
                at,
                reason: format!("`{name}` takes {} value(s), not {}.", known.takes.len(), args.len()),
                mend: format!("Write it as `{}`.", known.example),
            });
        }
        let mut nodes = Vec::with_capacity(args.len());
        for (arg, wanted) in args.iter().zip(known.takes) {
            nodes.push(match wanted {
                Some(kind) => self.wanted(arg, *kind)?,
                None => self.printable(arg)?.node,
            });
        }
        Ok(Typed { node: Node::Function(known.function, nodes), kind: known.gives })
    }
}

/// A function of the whitelist; `None` in `takes` is any type but a secret.
struct Known {
    name: &'static str,
    function: Function,
    takes: &'static [Option<Type>],
    gives: Type,
    example: &'static str,
}

const TEXT: Option<Type> = Some(Type::Text);

#[rustfmt::skip]
const FUNCTIONS: [Known; 10] = [
    Known { name: "len", function: Function::Len, takes: &[TEXT], gives: Type::Number, example: "len(account)" },
    Known { name: "starts_with", function: Function::StartsWith, takes: &[TEXT, TEXT], gives: Type::Bool, example: "starts_with(call.caller, \"+86\")" },
    Known { name: "ends_with", function: Function::EndsWith, takes: &[TEXT, TEXT], gives: Type::Bool, example: "ends_with(account, \"0\")" },
    Known { name: "contains", function: Function::Contains, takes: &[TEXT, TEXT], gives: Type::Bool, example: "contains(name, \"x\")" },
    Known { name: "first", function: Function::First, takes: &[TEXT, Some(Type::Number)], gives: Type::Text, example: "first(account, 4)" },
    Known { name: "last", function: Function::Last, takes: &[TEXT, Some(Type::Number)], gives: Type::Text, example: "last(account, 4)" },
    Known { name: "text", function: Function::Text, takes: &[None], gives: Type::Text, example: "text(balance)" },
    Known { name: "number", function: Function::Number, takes: &[TEXT], gives: Type::Number, example: "number(account)" },
    Known { name: "month", function: Function::Month, takes: &[Some(Type::Date)], gives: Type::Number, example: "month(call.date)" },
    Known { name: "day", function: Function::Day, takes: &[Some(Type::Date)], gives: Type::Number, example: "day(call.date)" },
];

/// Functions whose argument is a constant or a field, for suggestions.
const SPECIAL: [&str; 7] = ["money", "date", "header", "has", "waiting", "wait_s", "agents"];

fn fixed(value: Value) -> Typed {
    Typed { kind: value.type_of(), node: Node::Fixed(value) }
}

fn alike(a: Type, b: Type) -> bool {
    a.fits(b) || b.fits(a)
}

/// The type with its article.
pub(super) fn a(kind: Type) -> &'static str {
    match kind {
        Type::Text => "a text",
        Type::Number => "a number",
        Type::Money => "an amount of money",
        Type::Digits => "digits",
        Type::Bool => "true or false",
        Type::Date => "a date",
        Type::Secret => "a secret",
    }
}

fn mismatch(what: String, kind: Type, at: usize) -> TypingError {
    if kind == Type::Secret {
        return secret_leaves(&what, at);
    }
    TypingError {
        code: "dialplan.type",
        at,
        reason: format!("The types do not agree: {what}."),
        mend: "Change the expression or the variable's declared type.".to_string(),
    }
}

/// The finding for every way a secret would become readable.
pub(super) fn secret_leaves(what: &str, at: usize) -> TypingError {
    TypingError {
        code: "dialplan.secret-leaves",
        at,
        reason: format!("A secret would leave the secure states: {what}."),
        mend:
            "Send it in the `body` of an `http` state with `confidential = true`, or use `last4` of the `secure` state."
                .to_string(),
    }
}

fn bad_constant(text: &str, what: &str, example: &str, at: usize) -> TypingError {
    TypingError {
        code: "dialplan.type",
        at,
        reason: format!("\"{text}\" is not {what}."),
        mend: format!("Write it as `{example}`."),
    }
}

fn foreign(what: &str, at: usize) -> TypingError {
    TypingError {
        code: "dialplan.expression",
        at,
        reason: format!("An expression cannot hold {what}."),
        mend:
            "Write it with constants, variables, fields, operators and the listed functions, or use a `script` state."
                .to_string(),
    }
}

fn unknown<'a>(
    code: &'static str,
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    else_mend: &str,
    at: usize,
) -> TypingError {
    let mend = match nearest(name, known.clone()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None if !else_mend.is_empty() => else_mend.to_string(),
        None => format!("Use one of {}.", known.into_iter().collect::<Vec<_>>().join(", ")),
    };
    TypingError { code, at, reason: format!("There is no {what} `{name}`."), mend }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Facts, QueueFacts, Vars};
    use super::super::model::Role;
    use super::*;
    use proptest::prelude::*;

    fn vars() -> Vec<Variable> {
        [("n", Type::Number), ("sum", Type::Money), ("keys", Type::Digits), ("word", Type::Text), ("pin", Type::Secret)]
            .into_iter()
            .map(|(name, kind)| Variable { name: Arc::from(name), kind, role: Role::Own, initial: None, line: 1 })
            .collect()
    }

    fn read(text: &str) -> Result<Expr> {
        let customer = [(Arc::from("name"), Type::Text), (Arc::from("flights"), Type::Number)];
        expression(text, Names { vars: &vars(), customer: &customer })
    }

    fn value(text: &str) -> Value {
        let mut vars = Vars::unset(5);
        vars.set(VarId(0), Value::Number(7));
        vars.set(VarId(1), Value::Money(Money(1_250)));
        vars.set(VarId(2), Value::digits("0042"));
        vars.set(VarId(3), Value::text("Beijing"));
        let mut facts = Facts::default();
        facts.call.caller = Arc::from("+8613800138000");
        facts.call.headers.insert(Arc::from("x-account"), Arc::from("77"));
        facts.queues.insert(QueueName::new("sales"), QueueFacts { waiting: 3, wait_s: 90, agents: 2 });
        read(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).value(&vars, &facts)
    }

    #[test]
    fn expressions_have_the_value_an_administrator_expects() {
        for (text, expected) in [
            ("n * 2 + 1", Value::Number(15)),
            ("-n % 4", Value::Number(-3)),
            ("n == 7 && !(n > 8) || false", Value::Bool(true)),
            ("sum * 2 - money(\"5.00\")", Value::Money(Money(2_000))),
            ("sum / 2 >= money(\"6.25\")", Value::Bool(true)),
            ("keys + \"1\"", Value::text("00421")),
            ("keys + keys", Value::digits("00420042")),
            ("number(keys)", Value::Number(42)),
            ("word in [\"Beijing\", \"Shanghai\"]", Value::Bool(true)),
            ("word !in [\"Beijing\"]", Value::Bool(false)),
            ("`city ${word}, ${n}`", Value::text("city Beijing, 7")),
            ("if n > 5 { \"many\" } else { \"few\" }", Value::text("many")),
            ("if n > 9 { 1 } else if n > 5 { 2 } else { 3 }", Value::Number(2)),
            ("starts_with(call.caller, \"+86\")", Value::Bool(true)),
            ("last(call.caller, 4)", Value::text("8000")),
            ("first(word, 3) + text(n)", Value::text("Bei7")),
            ("contains(word, \"jin\") && len(word) == 7", Value::Bool(true)),
            ("header(\"X-Account\")", Value::text("77")),
            ("waiting(\"sales\") + 1", Value::Number(4)),
            ("agents(\"nowhere\")", Value::Number(0)),
            ("has(customer.flights)", Value::Bool(false)),
            ("customer.name", Value::text("")),
            ("month(date(\"2026-02-17\")) * 100 + day(date(\"2026-02-17\"))", Value::Number(217)),
            ("call.date < date(\"1970-01-02\")", Value::Bool(true)),
            ("9223372036854775807 + n", Value::Number(i64::MAX)),
            ("(-9223372036854775807 - 1) / -1", Value::Number(i64::MAX)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_could_fail_in_a_call_is_refused_before() {
        for (text, code, at) in [
            ("n +", "dialplan.expression", 3),
            ("n / 0", "dialplan.division", 2),
            ("10 % n", "dialplan.division", 3),
            ("m + 1", "dialplan.unknown-variable", 0),
            ("n + call.callr", "dialplan.unknown-field", 8),
            ("customer.age > 1", "dialplan.unknown-field", 8),
            ("word + 1 == 3", "dialplan.type", 9),
            ("n && true", "dialplan.type", 0),
            ("lenn(word)", "dialplan.unknown-function", 0),
            ("first(word)", "dialplan.type", 0),
            ("money(\"1.234\")", "dialplan.type", 0),
            ("pin == \"1234\"", "dialplan.secret-leaves", 0),
            ("\"x\" + pin", "dialplan.secret-leaves", 6),
            ("len(pin)", "dialplan.secret-leaves", 4),
            ("1.5 + 1", "dialplan.expression", 0),
            ("word.len()", "dialplan.expression", 0),
            ("[1, 2]", "dialplan.expression", 0),
            ("if n > 1 { 2 }", "dialplan.expression", 0),
            ("n = 2", "dialplan.expression", 2),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.code, code, "{text}: {error:?}");
            if code != "dialplan.unknown-field" && code != "dialplan.expression" && code != "dialplan.type" {
                assert_eq!(error.at, at, "{text}: {error:?}");
            }
            assert!(!error.mend.is_empty());
        }
        assert_eq!(read("n + call.callr").expect_err("is refused").mend, "Did you mean `caller`?");
    }

    proptest! {
        /// Whatever is written, reading it ends with an answer, and what is accepted has a value of its type.
        #[test]
        fn no_text_makes_reading_or_evaluating_panic(
            words in proptest::collection::vec(prop_oneof![
                "[a-z]{1,3}", "[0-9]{1,20}", Just("n".to_string()), Just("sum".to_string()), Just("word".to_string()),
                Just("keys".to_string()), "[-+*/%<>=!&|(){}.,\"`]", Just("==".to_string()), Just("&&".to_string()),
                Just("call.caller".to_string()), Just("if".to_string()), Just("else".to_string()), Just("in".to_string()),
            ], 0..12)
        ) {
            if let Ok(expr) = read(&words.join(" ")) {
                let value = expr.value(&Vars::unset(5), &Facts::default());
                prop_assert_eq!(value.type_of(), expr.kind());
            }
        }
    }
}

//! Rhai in a sandbox: the one file that knows `rhai`.
//!
//! Two uses. [`parse_expression`] only borrows Rhai's parser and gives a plain [`Syntax`] tree, which
//! [`super::typing`] checks; nothing of Rhai is left at run time. [`Script`] keeps the compiled text and runs it with
//! a limit on work, depth and sizes, without clock, files, modules, `eval` or printing, and with a fixed hashing seed:
//! the same inputs give the same result on every machine.

use std::sync::{Arc, LazyLock};

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage, BasicStringPackage,
    LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, ASTNode, Dynamic, Engine, EvalAltResult, OptimizationLevel, ParseError, Position, Scope, Stmt, Token};

use crate::limits;

use super::facts::Vars;
use super::model::VarId;
use super::value::{Money, Type, Value};

/// A piece of an expression, untyped, with its place in the text.
#[derive(Clone, Debug)]
pub(super) struct Syntax {
    pub form: Form,
    /// Byte offset in the expression's text.
    pub at: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Form {
    Bool(bool),
    Number(i64),
    Text(String),
    /// A name alone: a variable.
    Name(String),
    /// `customer.name`.
    Field(String, String),
    /// A function or an operator with its operands; `in` is `contains(list, item)`.
    Call(String, Vec<Syntax>),
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    List(Vec<Syntax>),
    /// An interpolated text.
    Join(Vec<Syntax>),
    If(Box<[Syntax; 3]>),
    /// Valid Rhai that expressions leave out; what it is called.
    Foreign(&'static str),
}

/// Text that is no Rhai.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Byte offset in the text.
    pub at: usize,
    pub reason: String,
}

/// Reads an expression.
pub(super) fn parse_expression(text: &str) -> Result<Syntax, SyntaxError> {
    if text.trim().is_empty() {
        return Err(SyntaxError { at: 0, reason: "nothing is written".to_string() });
    }
    if text.len() > limits::EXPRESSION_BYTES {
        let reason = format!("it is longer than {} bytes", limits::EXPRESSION_BYTES);
        return Err(SyntaxError { at: 0, reason });
    }
    let ast = PARSER.compile_expression(text).map_err(|error| syntax_error(text, &error))?;
    match ast.statements() {
        [Stmt::Expr(expr)] => Ok(read_expr(expr, text)),
        [Stmt::FnCall(call, at)] => Ok(read_call(call, *at, text)),
        _ => Ok(Syntax { form: Form::Foreign("a statement"), at: 0 }),
    }
}

fn read_expr(expr: &rhai::Expr, text: &str) -> Syntax {
    use rhai::Expr as E;
    let all = |exprs: &[E]| exprs.iter().map(|expr| read_expr(expr, text)).collect::<Vec<_>>();
    let form = match expr {
        E::BoolConstant(yes, _) => Form::Bool(*yes),
        E::IntegerConstant(number, _) => Form::Number(*number),
        E::StringConstant(string, _) => Form::Text(string.to_string()),
        E::InterpolatedString(parts, _) => Form::Join(all(parts)),
        E::Array(items, _) => Form::List(all(items)),
        E::Variable(variable, ..) => Form::Name(variable.1.to_string()),
        E::And(parts, _) => Form::And(all(parts)),
        E::Or(parts, _) => Form::Or(all(parts)),
        E::FnCall(call, at) => return read_call(call, *at, text),
        E::Dot(pair, ..) => match (&pair.lhs, &pair.rhs) {
            (E::Variable(variable, ..), E::Property(property, _)) => {
                Form::Field(variable.1.to_string(), property.2.to_string())
            }
            _ => Form::Foreign("a chain of fields or a method call"),
        },
        E::Stmt(block) => match block.statements() {
            [only] => return read_statement(only, text),
            _ => Form::Foreign("a block of statements"),
        },
        E::FloatConstant(..) => Form::Foreign("a number with decimals"),
        E::CharConstant(..) => Form::Foreign("a character in single quotes"),
        E::Index(..) => Form::Foreign("an index"),
        E::MethodCall(..) => Form::Foreign("a method call"),
        E::Coalesce(..) => Form::Foreign("`??`"),
        E::Map(..) => Form::Foreign("an object map"),
        _ => Form::Foreign("this"),
    };
    Syntax { form, at: offset(text, expr.start_position()) }
}

fn read_call(call: &rhai::FnCallExpr, at: Position, text: &str) -> Syntax {
    let args: Vec<Syntax> = call.args.iter().map(|arg| read_expr(arg, text)).collect();
    Syntax { form: Form::Call(call.name.to_string(), args), at: offset(text, at) }
}

/// Only `if … { … } else { … }` and what stands alone between braces.
fn read_statement(statement: &Stmt, text: &str) -> Syntax {
    match statement {
        Stmt::Expr(expr) => read_expr(expr, text),
        Stmt::FnCall(call, at) => read_call(call, *at, text),
        Stmt::If(flow, at) => {
            let arm = |block: &rhai::StmtBlock| match block.statements() {
                [only] => read_statement(only, text),
                [] => Syntax { form: Form::Foreign("an `if` without an `else`"), at: offset(text, *at) },
                _ => Syntax { form: Form::Foreign("a block of statements"), at: offset(text, *at) },
            };
            let parts = [read_expr(&flow.expr, text), arm(&flow.body), arm(&flow.branch)];
            Syntax { form: Form::If(Box::new(parts)), at: offset(text, *at) }
        }
        other => Syntax { form: Form::Foreign("a statement"), at: offset(text, other.position()) },
    }
}

fn syntax_error(text: &str, error: &ParseError) -> SyntaxError {
    SyntaxError { at: offset(text, error.1), reason: lower_first(&error.0.to_string()) }
}

/// Rhai counts lines and characters from 1; we want bytes from 0.
fn offset(text: &str, position: Position) -> usize {
    let (Some(line), Some(column)) = (position.line(), position.position()) else { return 0 };
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text.get(start..).unwrap_or("");
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// A compiled script. It sees nothing but its variables.
///
/// Text, digits and dates (`"2026-11-21"`) are strings in it, a number is an integer, money an integer of hundredths.
#[derive(Clone)]
pub struct Script {
    ast: AST,
    vars: Vec<ScriptVar>,
}

/// A variable of a script.
#[derive(Clone, Debug)]
pub(super) struct ScriptVar {
    pub var: VarId,
    pub name: Arc<str>,
    pub kind: Type,
    pub writes: bool,
}

/// Why a script gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the script: {reason}")]
pub struct ScriptError {
    /// 1-based line in the script; 0 where no line is to blame.
    pub line: usize,
    pub reason: String,
}

impl Script {
    /// Compiles; a name that is neither declared in `vars` nor by `let`, and an assignment to a variable it only
    /// reads, are errors here.
    pub(super) fn compile(text: &str, vars: Vec<ScriptVar>) -> Result<Script, SyntaxError> {
        if text.len() > limits::SCRIPT_BYTES {
            let reason = format!("it is longer than {} bytes", limits::SCRIPT_BYTES);
            return Err(SyntaxError { at: 0, reason });
        }
        let mut scope = Scope::new();
        for var in &vars {
            push(&mut scope, var, var.kind.empty());
        }
        let ast = ENGINE.compile_with_scope(&scope, text).map_err(|error| syntax_error(text, &error))?;
        match assignment_to_read_only(&ast, &vars) {
            Some((name, at)) => Err(SyntaxError {
                at: offset(text, at),
                reason: format!("`{name}` is assigned, but is not among the variables it `writes`"),
            }),
            None => Ok(Script { ast, vars }),
        }
    }

    /// Runs on a copy of `vars`; gives the values to set, one for each variable it writes.
    ///
    /// Bounded by [`limits::SCRIPT_OPERATIONS`].
    pub fn run(&self, vars: &Vars) -> Result<Vec<(VarId, Value)>, ScriptError> {
        let mut scope = Scope::new();
        for var in &self.vars {
            push(&mut scope, var, vars.get(var.var).cloned().unwrap_or_else(|| var.kind.empty()));
        }
        ENGINE.run_ast_with_scope(&mut scope, &self.ast).map_err(|error| script_error(&error))?;
        self.vars.iter().filter(|var| var.writes).map(|var| Ok((var.var, take(&scope, var)?))).collect()
    }
}

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Script").field("vars", &self.vars).finish_non_exhaustive()
    }
}

/// Rhai itself would notice only when the assignment runs.
fn assignment_to_read_only(ast: &AST, vars: &[ScriptVar]) -> Option<(String, Position)> {
    let mut found = None;
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Assignment(assignment))) = path.last()
            && let rhai::Expr::Variable(variable, _, at) = &assignment.1.lhs
            && vars.iter().any(|var| !var.writes && *var.name == *variable.1)
        {
            found = Some((variable.1.to_string(), *at));
        }
        found.is_none()
    });
    found
}

fn push(scope: &mut Scope<'_>, var: &ScriptVar, value: Value) {
    let value = match value {
        Value::Number(number) | Value::Money(Money(number)) => Dynamic::from_int(number),
        Value::Bool(yes) => Dynamic::from_bool(yes),
        Value::Text(_) | Value::Digits(_) | Value::Date(_) => Dynamic::from(value.to_string()),
        // The checks keep secrets out of scripts; should one come, it comes empty.
        Value::Secret(_) => Dynamic::from(String::new()),
    };
    if var.writes {
        scope.push_dynamic(&*var.name, value);
    } else {
        scope.push_constant_dynamic(&*var.name, value);
    }
}

fn take(scope: &Scope<'_>, var: &ScriptVar) -> Result<Value, ScriptError> {
    let wrong =
        || ScriptError { line: 0, reason: format!("`{}` is left with a value that is no {}", var.name, var.kind) };
    let value = scope.get(&var.name).ok_or_else(wrong)?;
    let value = match var.kind {
        Type::Number => value.as_int().ok().map(Value::Number),
        Type::Money => value.as_int().ok().map(|hundredths| Value::Money(Money(hundredths))),
        Type::Bool => value.as_bool().ok().map(Value::Bool),
        Type::Text | Type::Digits | Type::Date => {
            value.clone().into_immutable_string().ok().and_then(|text| var.kind.from_text(&text))
        }
        Type::Secret => None,
    };
    value.ok_or_else(wrong)
}

fn script_error(error: &EvalAltResult) -> ScriptError {
    let line = error.position().line().unwrap_or(0);
    let reason = match error {
        EvalAltResult::ErrorTooManyOperations(_) => {
            format!("it does more than the {} operations allowed", limits::SCRIPT_OPERATIONS)
        }
        other => lower_first(&other.to_string()),
    };
    ScriptError { line, reason }
}

/// One engine for all scripts: it is never changed once built, and keeps nothing of a run. Every name in a script must
/// be declared.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine(true));

/// For expressions, whose names the typing resolves.
static PARSER: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = engine(false);
    // `call` is a word Rhai keeps for itself; in a dialplan it is the call.
    #[allow(deprecated, reason = "volatile rather than deprecated, says Rhai; the version is locked")]
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word) if *word == "call" => Token::Identifier(word),
        other => other,
    });
    engine
});

fn engine(strict_variables: bool) -> Engine {
    // May be set once in a process; whoever set it first set the same.
    let _ = rhai::config::hashing::set_hashing_seed(Some(HASHING_SEED));
    // Raw: without the packages that sleep, exit, print or read a clock.
    let mut engine = Engine::new_raw();
    engine
        .register_global_module(ArithmeticPackage::new().as_shared_module())
        .register_global_module(LogicPackage::new().as_shared_module())
        .register_global_module(BasicMathPackage::new().as_shared_module())
        .register_global_module(BasicStringPackage::new().as_shared_module())
        .register_global_module(MoreStringPackage::new().as_shared_module())
        .register_global_module(BasicIteratorPackage::new().as_shared_module())
        .register_global_module(BasicArrayPackage::new().as_shared_module())
        .register_global_module(BasicMapPackage::new().as_shared_module())
        .disable_symbol("eval")
        .disable_symbol("print")
        .disable_symbol("debug")
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(strict_variables)
        .set_allow_shadowing(false)
        .set_max_operations(limits::SCRIPT_OPERATIONS)
        .set_max_call_levels(8)
        .set_max_expr_depths(limits::EXPRESSION_DEPTH, limits::EXPRESSION_DEPTH)
        .set_max_functions(16)
        .set_max_variables(64)
        .set_max_string_size(4_096)
        .set_max_array_size(256)
        .set_max_map_size(256);
    engine
}

const HASHING_SEED: [u64; 4] = [0x5374_726f, 0x7767_6572, 0x1891, 0x0310];

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str, vars: &[(&str, Type, bool)]) -> Result<Script, SyntaxError> {
        let vars = (0..).map(VarId).zip(vars).map(|(var, (name, kind, writes))| ScriptVar {
            var,
            name: Arc::from(*name),
            kind: *kind,
            writes: *writes,
        });
        Script::compile(text, vars.collect())
    }

    fn run(text: &str, vars: &[(&str, Type, bool)]) -> Result<Vec<(VarId, Value)>, ScriptError> {
        script(text, vars).expect("compiles").run(&Vars::unset(vars.len()))
    }

    #[test]
    fn a_script_computes_what_it_writes() {
        let done = run(
            "let sum = 0; for i in 1..=10 { sum += i; } total = sum; day = \"2026-02-17\";",
            &[("total", Type::Number, true), ("day", Type::Date, true)],
        );
        let day = Type::Date.from_text("2026-02-17").expect("a date");
        assert_eq!(done, Ok(vec![(VarId(0), Value::Number(55)), (VarId(1), day)]));
    }

    #[test]
    fn a_script_that_never_ends_is_stopped() {
        let error = run("loop { n += 1; }", &[("n", Type::Number, true)]).expect_err("is stopped");
        assert!(error.reason.contains(&format!("{} operations", limits::SCRIPT_OPERATIONS)), "{error}");
        let error = run("let s = \"x\"; loop { s += s; }", &[]).expect_err("is stopped");
        assert!(error.reason.contains("too long") || error.reason.contains("too large"), "{error}");
    }

    #[test]
    fn a_script_writes_only_what_it_declares_and_sees_nothing_else() {
        assert!(script("n = 1;", &[("n", Type::Number, false)]).is_err());
        assert!(script("n + secret", &[("n", Type::Number, false)]).is_err());
        for escape in ["eval(\"1\")", "sleep(1)", "timestamp()", "print(\"x\")", "import \"x\" as y", "exit()"] {
            assert!(script(escape, &[]).is_err() || run(escape, &[]).is_err(), "{escape}");
        }
    }

    #[test]
    fn a_result_of_a_wrong_type_is_an_error() {
        assert!(run("n = \"one\";", &[("n", Type::Number, true)]).is_err());
        assert!(run("d = \"12a\";", &[("d", Type::Digits, true)]).is_err());
        assert!(run("n = 1 / 0;", &[("n", Type::Number, true)]).is_err());
    }

    #[test]
    fn text_that_nests_deeper_or_runs_longer_than_allowed_is_refused() {
        let most = limits::EXPRESSION_BYTES;
        let nested = |depth: usize| parse_expression(&format!("{}1{}", "1+(".repeat(depth), ")".repeat(depth)));
        assert!(nested(limits::EXPRESSION_DEPTH / 4).is_ok());
        assert!(nested(limits::EXPRESSION_DEPTH).is_err());
        assert!(parse_expression(&"(".repeat(most)).is_err());
        assert!(parse_expression(&format!("{}1", "!".repeat(most - 1))).is_err());
        let long_sum = format!("1{}", "+1".repeat(most));
        let error = parse_expression(&long_sum).expect_err("is too long");
        assert!(error.reason.contains("longer"), "{error:?}");
        // The longest chain that is let in, if Rhai lets it in, can be walked.
        let _ = parse_expression(&long_sum[..most - 1]);
        let chain = |length: usize| format!("n = 1{};", "+1".repeat((length - 6) / 2));
        let error = script(&chain(limits::SCRIPT_BYTES + 8), &[("n", Type::Number, true)]).expect_err("is too long");
        assert!(error.reason.contains("longer"), "{error:?}");
        if let Ok(script) = script(&chain(limits::SCRIPT_BYTES - 8), &[("n", Type::Number, true)]) {
            let _ = script.run(&Vars::unset(1));
        }
    }

    #[test]
    fn a_syntax_error_points_at_its_byte() {
        let error = parse_expression("\"城市\" == )").expect_err("is refused");
        assert_eq!(error.at, "\"城市\" == ".len());
        assert!(parse_expression("  ").is_err());
    }
}

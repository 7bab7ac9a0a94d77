//! Which expressions are accepted, so that evaluating any of them ends soon and stays on the stack.

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::parser::pratt_parser::{Lexer, TokenKind};

use regex::Regex;

use super::matching::{self, Patterns};
use super::{ConditionError, TEXT_BYTES_MAX};

/// Most expressions in expressions that the parser follows.
pub(super) const NESTING_MAX: u16 = 24;
/// Most signs that make an expression deeper: operators, dots, brackets.
const SIGNS_MAX: usize = 192;
/// Most steps from the expression to its innermost part.
const DEPTH_MAX: usize = 32;
/// Most parts of an expression, after its macros are written out.
const PARTS_MAX: usize = 1024;

const VARIABLES: [&str; 7] = ["args", "agent", "server", "tool", "method", "hints", "now"];
const TYPES: [&str; 10] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
const OPERATORS: [&str; 19] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];
const FUNCTIONS: [&str; 25] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "dyn",
    "type",
    "duration",
    "timestamp",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];

/// What an expression reads of a call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct References {
    pub(super) args: bool,
    pub(super) hints: bool,
    /// Any of the others.
    pub(super) any: bool,
}

/// What can be said before the text is parsed: the parser, and whoever clears away what it made, go as deep as the text
/// does. The parser's own lexer is asked, so that both mean the same by a string.
pub(super) fn check_text(text: &str) -> Result<(), ConditionError> {
    if text.trim().is_empty() {
        return refuse("it is empty; leave it out for a rule that holds for all arguments");
    }
    if text.len() > TEXT_BYTES_MAX {
        return refuse(format!("it has {} bytes and may have {TEXT_BYTES_MAX}", text.len()));
    }
    let mut lexer = Lexer::new(text);
    let mut signs = 0;
    // Each token takes a byte at least.
    for _ in 0..=text.len() {
        let token = lexer.lex();
        match token.kind {
            TokenKind::TokEnd => return Ok(()),
            TokenKind::TokDot
            | TokenKind::TokMinus
            | TokenKind::TokPlus
            | TokenKind::TokAsterisk
            | TokenKind::TokSlash
            | TokenKind::TokPercent
            | TokenKind::TokQuestion
            | TokenKind::TokExclamation
            | TokenKind::TokLeftBracket
            | TokenKind::TokLeftBrace
            | TokenKind::TokLeftParen => signs += 1,
            _ => {}
        }
        if signs > SIGNS_MAX {
            return refuse(format!("it has more than {SIGNS_MAX} operators, dots and brackets; make it several rules"));
        }
    }
    refuse("it is not CEL")
}

/// Looks at every part of an expression, and compiles its patterns.
pub(super) fn check(expression: &IdedExpr) -> Result<(References, Patterns), ConditionError> {
    let mut look = Look { parts: 0, loops: Vec::new(), references: References::default(), patterns: Vec::new() };
    look.visit(expression, 0)?;
    Ok((look.references, look.patterns.into()))
}

struct Look {
    parts: usize,
    /// The loops around, the innermost last.
    loops: Vec<Variables>,
    references: References,
    patterns: Vec<(String, Regex)>,
}

/// The names that a loop brings.
struct Variables {
    /// What stands for the part that the loop is at.
    items: Vec<String>,
    /// What stands for what it has come to.
    result: String,
}

impl Variables {
    fn of(repeated: &ComprehensionExpr) -> Self {
        let items = [&repeated.iter_var].into_iter().chain(&repeated.iter_var2).cloned().collect();
        Self { items, result: repeated.accu_var.clone() }
    }

    fn is_item(&self, name: &str) -> bool {
        self.items.iter().any(|item| item == name)
    }

    fn has(&self, name: &str) -> bool {
        self.is_item(name) || self.result == name
    }
}

impl Look {
    fn visit(&mut self, part: &IdedExpr, depth: usize) -> Result<(), ConditionError> {
        self.parts += 1;
        if depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return refuse("it is too deep or too large; make it several rules");
        }
        let below = depth + 1;
        match &part.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.visit(&select.operand, below),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, below)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, below)?;
                    self.visit(&entry.value, below)
                }
                EntryExpr::StructField(_) => refuse("it makes a value of a type that is not there"),
            }),
            Expr::Call(call) => {
                let known =
                    OPERATORS.contains(&call.func_name.as_str()) || FUNCTIONS.contains(&call.func_name.as_str());
                if !known {
                    return refuse(format!("there is no function {:?}", call.func_name));
                }
                if call.func_name == "matches" {
                    self.patterns.push(matching::read(call.args.last())?);
                }
                call.target.iter().try_for_each(|target| self.visit(target, below))?;
                call.args.iter().try_for_each(|argument| self.visit(argument, below))
            }
            Expr::Comprehension(comprehension) => self.repeated(comprehension, below),
            Expr::Struct(_) => refuse("it makes a value of a type that is not there"),
            Expr::Unspecified => refuse("it is not CEL"),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), ConditionError> {
        if self.loops.last().is_some_and(|innermost| innermost.has(name)) || TYPES.contains(&name) {
            return Ok(());
        }
        if self.loops.iter().any(|outer| outer.has(name)) {
            // Looking through what an outer loop is at, once for each part of it, multiplies without a further loop.
            return refuse(format!(
                "{name:?} is the variable of an outer loop, which can't be read in a loop within it"
            ));
        }
        match name {
            "args" => self.references.args = true,
            "hints" => self.references.hints = true,
            _ if VARIABLES.contains(&name) => self.references.any = true,
            _ => return refuse(format!("there is no {name:?}; there are {}", VARIABLES.join(", "))),
        }
        Ok(())
    }

    /// A loop goes over something once, however deep it stands: a loop in a loop is over a part of what the one around it
    /// is at, so that all of them together take as many steps as the arguments have parts. A part of what a loop further
    /// out is at would be gone through again and again.
    fn repeated(&mut self, repeated: &ComprehensionExpr, depth: usize) -> Result<(), ConditionError> {
        if !matches!(repeated.accu_init.expr, Expr::Literal(LiteralValue::Boolean(_) | LiteralValue::Int(_))) {
            return refuse("map and filter are not there; all, exists and exists_one are");
        }
        if let Some(around) = self.loops.last()
            && !root(&repeated.iter_range).is_some_and(|root| around.is_item(root))
        {
            return refuse("a loop within a loop can only go over a part of what the one around it is at");
        }
        let variables = Variables::of(repeated);
        if let Some(hidden) = VARIABLES.into_iter().find(|name| variables.has(name)) {
            return refuse(format!("a loop's variable can't be called {hidden:?}"));
        }
        self.visit(&repeated.iter_range, depth)?;
        self.loops.push(variables);
        let parts = [&repeated.accu_init, &repeated.loop_cond, &repeated.loop_step, &repeated.result];
        parts.into_iter().try_for_each(|part| self.visit(part, depth))?;
        self.loops.pop();
        Ok(())
    }
}

/// The name at the root of `a.b[c].d`.
fn root(part: &IdedExpr) -> Option<&str> {
    let mut part = part;
    loop {
        part = match &part.expr {
            Expr::Ident(name) => return Some(name),
            Expr::Select(select) => &select.operand,
            Expr::Call(call) if call.func_name == operators::INDEX => call.args.first()?,
            _ => return None,
        };
    }
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, ConditionError> {
    Err(ConditionError(why.into()))
}

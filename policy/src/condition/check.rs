//! Checks an expression: names, types, and that it is true or false.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::{IdedExpr, ParseErrors, Program};
use regex::Regex;

use super::Mistake;
use super::operand::{MAPS, Operand, ROWS, Type};
use crate::facts::CREDENTIALS;
use crate::near::suggestion;

/// Functions by name: what they are called on, what they take, what they give.
const FUNCTIONS: &[(&str, Option<Type>, &[Type], Type)] = &[
    ("startsWith", Some(Type::Text), &[Type::Text], Type::Bool),
    ("endsWith", Some(Type::Text), &[Type::Text], Type::Bool),
    ("contains", Some(Type::Text), &[Type::Text], Type::Bool),
    ("matches", Some(Type::Text), &[Type::Text], Type::Bool),
    ("size", None, &[Type::Any], Type::Int),
    ("size", Some(Type::Any), &[], Type::Int),
    ("string", None, &[Type::Any], Type::Text),
    ("int", None, &[Type::Any], Type::Int),
    ("uint", None, &[Type::Any], Type::Uint),
    ("double", None, &[Type::Any], Type::Double),
    (operators::NOT_STRICTLY_FALSE, None, &[Type::Any], Type::Bool),
];

const MACROS: &str = "has, all, exists, exists_one, filter, map";

/// Problems of the parser, without its picture of the source.
pub(super) fn broken(errors: &ParseErrors, source: &str) -> Vec<Mistake> {
    let mistake = |error: &cel::parser::ParseError| {
        let (line, column) = (error.pos.0.max(1) as usize, error.pos.1.max(0) as usize);
        let before: usize = source.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
        Mistake { at: (before + column).min(source.chars().count()), message: format!("is no CEL: {}", error.msg.trim_end()) }
    };
    errors.errors.iter().take(1).map(mistake).collect()
}

/// # Errors
/// Every mistake, in the order of the text.
pub(super) fn check(program: &Program) -> Result<(), Vec<Mistake>> {
    let mut check = Check { program, scope: Vec::new(), mistakes: Vec::new() };
    let root = program.expression();
    let of = check.expr(root);
    if check.mistakes.is_empty() && !matches!(of, Type::Bool | Type::Any) {
        check.note(root, format!("is {}, not true or false; compare it with something", of.name()));
    }
    check.mistakes.sort_by_key(|mistake| mistake.at);
    if check.mistakes.is_empty() { Ok(()) } else { Err(check.mistakes) }
}

struct Check<'p> {
    program: &'p Program,
    /// Variables of macros, innermost last.
    scope: Vec<(String, Type)>,
    mistakes: Vec<Mistake>,
}

/// What a chain of names stands for.
pub(super) enum Path {
    Operand(Operand),
    /// One of `MAPS`, whole.
    Map(&'static str),
    /// Names nothing; the name as written.
    Unknown(String),
    /// Does not begin with `request`.
    Other,
}

/// The chain of names that an expression is: `request.tags.env`, `request.tags["env"]`.
pub(super) fn path(expr: &Expr) -> Path {
    if let Expr::Call(call) = expr
        && let Some((Path::Map(map), key)) = indexed(call)
    {
        return Path::Operand(keyed(map, key));
    }
    let Some(name) = dotted(expr) else { return Path::Other };
    if name != "request" && !name.starts_with("request.") {
        return Path::Other;
    }
    if let Some(operand) = Operand::fact(&name) {
        return Path::Operand(operand);
    }
    if let Some(map) = MAPS.iter().find(|map| **map == name) {
        return Path::Map(map);
    }
    let keyed_map = MAPS.iter().find_map(|map| Some((map, name.strip_prefix(map)?.strip_prefix('.')?)));
    match keyed_map {
        Some((map, key)) if !key.contains('.') => Path::Operand(keyed(map, key)),
        _ => Path::Unknown(name),
    }
}

/// `MAP["key"]`.
fn indexed(call: &CallExpr) -> Option<(Path, &str)> {
    let [of, key] = call.args.as_slice() else { return None };
    let Expr::Literal(LiteralValue::String(key)) = &key.expr else { return None };
    (call.func_name == operators::INDEX && dotted(&of.expr).is_some()).then(|| (path(&of.expr), key.inner()))
}

pub(super) fn keyed(map: &str, key: &str) -> Operand {
    if map == "request.headers" { Operand::Header(key.into()) } else { Operand::Tag(key.into()) }
}

fn dotted(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", dotted(&select.operand.expr)?, select.field)),
        _ => None,
    }
}

impl Check<'_> {
    fn note(&mut self, expr: &IdedExpr, message: impl Into<String>) {
        let at = self.program.source_info().offset_for(expr.id).map_or(0, |(start, _)| start as usize);
        self.mistakes.push(Mistake { at, message: message.into() });
    }

    fn expr(&mut self, expr: &IdedExpr) -> Type {
        if !self.is_local(&expr.expr) {
            match path(&expr.expr) {
                Path::Operand(operand) => return self.operand(expr, &operand),
                Path::Map(_) => return Type::Map,
                Path::Unknown(name) => return self.unknown(expr, &name),
                Path::Other => {}
            }
        }
        match &expr.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => match self.scope.iter().rev().find(|(known, _)| known == name) {
                Some((_, of)) => *of,
                None => self.unknown(expr, name),
            },
            Expr::Select(select) => self.select(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                for element in &list.elements {
                    self.expr(element);
                }
                Type::List
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.expr(&entry.key);
                        self.expr(&entry.value);
                    }
                }
                Type::Map
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => {
                self.note(expr, "makes a message; conditions know none");
                Type::Any
            }
        }
    }

    /// Begins with a macro's own variable, which may be called `request`, too.
    fn is_local(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Ident(name) => self.scope.iter().any(|(known, _)| known == name),
            Expr::Select(select) => self.is_local(&select.operand.expr),
            Expr::Call(call) if call.func_name == operators::INDEX => call.args.first().is_some_and(|of| self.is_local(&of.expr)),
            _ => false,
        }
    }

    fn operand(&mut self, expr: &IdedExpr, operand: &Operand) -> Type {
        if let Operand::Header(name) = operand
            && CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known))
        {
            self.note(expr, format!("the header {name:?} holds a credential; ask for request.key, the virtual key's name"));
        }
        operand.of()
    }

    fn unknown(&mut self, expr: &IdedExpr, name: &str) -> Type {
        let names = ROWS.iter().map(|row| row.name).chain(MAPS.iter().copied());
        let below: Vec<&str> = names.clone().filter(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))).collect();
        let ending: Vec<&str> = names.clone().filter(|known| known.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))).collect();
        let near = suggestion(name, names.clone());
        let message = match (below.as_slice(), ending.as_slice()) {
            ([], []) if near.is_empty() => format!("{name} is not known; there are {}", names.collect::<Vec<_>>().join(", ")),
            ([], []) => format!("{name} is not known{near}"),
            ([], ending) => format!("{name} is not known; write {}", ending.join(" or ")),
            (below, _) => format!("{name} is no value by itself; name one of {}", below.join(", ")),
        };
        self.note(expr, message);
        Type::Any
    }

    fn select(&mut self, expr: &IdedExpr, select: &SelectExpr) -> Type {
        if select.test && !self.is_local(&expr.expr) {
            let plain = Expr::Select(SelectExpr { test: false, ..select.clone() });
            let _ = match path(&plain) {
                Path::Operand(operand) => self.operand(expr, &operand),
                Path::Map(_) => Type::Map,
                Path::Unknown(name) => self.unknown(expr, &name),
                Path::Other => self.expr(&select.operand),
            };
            return Type::Bool;
        }
        let of = self.expr(&select.operand);
        if !matches!(of, Type::Map | Type::Any) {
            self.note(expr, format!("{} has no field {:?}", of.name(), select.field));
        }
        if select.test { Type::Bool } else { Type::Any }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Type {
        let target = call.target.as_deref().map(|target| self.expr(target));
        let args: Vec<Type> = call.args.iter().map(|arg| self.expr(arg)).collect();
        if target.is_none()
            && let Some(of) = self.operator(expr, call, &args)
        {
            return of;
        }
        self.regex(call);
        let named: Vec<_> = FUNCTIONS.iter().filter(|(name, ..)| *name == call.func_name).collect();
        if named.is_empty() {
            let mut names: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).filter(|name| !name.starts_with('@')).collect();
            names.dedup();
            let near = suggestion(&call.func_name, names.iter().copied());
            let known = if near.is_empty() { format!("; there are {}, and {MACROS}", names.join(", ")) } else { near };
            self.note(expr, format!("the function {} is not known{known}", call.func_name));
            return Type::Any;
        }
        let fits = |wanted: Type, given: Type| wanted == Type::Any || given == Type::Any || wanted == given;
        let found = named.iter().find(|(_, on, takes, _)| {
            on.is_some() == target.is_some()
                && on.zip(target).is_none_or(|(wanted, given)| fits(wanted, given))
                && takes.len() == args.len()
                && takes.iter().zip(&args).all(|(wanted, given)| fits(*wanted, *given))
        });
        match found {
            Some((.., gives)) => *gives,
            None => {
                let given = |of: &Type| of.name();
                let on = target.as_ref().map_or(String::new(), |target| format!("{}.", given(target)));
                let list: Vec<&str> = args.iter().map(given).collect();
                let (_, wanted_on, takes, _) = named[0];
                let wanted = wanted_on.map_or(String::new(), |on| format!("{}.", on.name()));
                let takes: Vec<&str> = takes.iter().map(given).collect();
                let name = &call.func_name;
                self.note(expr, format!("{on}{name}({}) does not fit; write {wanted}{name}({})", list.join(", "), takes.join(", ")));
                Type::Any
            }
        }
    }

    /// A pattern that stands in the text is tried now.
    fn regex(&mut self, call: &CallExpr) {
        if call.func_name == "matches"
            && let Some(arg) = call.args.last()
            && let Expr::Literal(LiteralValue::String(pattern)) = &arg.expr
            && let Err(error) = Regex::new(pattern.inner())
        {
            let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.note(arg, format!("is no regular expression: {reason}"));
        }
    }

    /// The type of an operator's result; `None` where it is none.
    fn operator(&mut self, expr: &IdedExpr, call: &CallExpr, args: &[Type]) -> Option<Type> {
        let name = call.func_name.as_str();
        Some(match (name, args) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, _) | (operators::LOGICAL_NOT, [_]) => {
                for (arg, of) in call.args.iter().zip(args).filter(|(_, of)| !matches!(of, Type::Bool | Type::Any)) {
                    self.note(arg, format!("is {}, not true or false", of.name()));
                }
                Type::Bool
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                if !matches!(condition, Type::Bool | Type::Any) {
                    self.note(&call.args[0], format!("is {}, not true or false", condition.name()));
                }
                if yes == no { *yes } else { Type::Any }
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                if !comparable(*left, *right) {
                    self.note(expr, format!("compares {} with {}, which are never equal", left.name(), right.name()));
                }
                Type::Bool
            }
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [left, right]) => {
                let ordered = |of: Type| of.is_number() || matches!(of, Type::Text | Type::Bytes | Type::Any);
                if !comparable(*left, *right) || !ordered(*left) || !ordered(*right) {
                    self.note(expr, format!("{} and {} have no order", left.name(), right.name()));
                }
                Type::Bool
            }
            (operators::IN, [left, right]) => {
                self.membership(expr, call, *left, *right);
                Type::Bool
            }
            (operators::INDEX, [of, key]) => {
                let fits = match of {
                    Type::Any => true,
                    Type::List => key.is_number() || *key == Type::Any,
                    Type::Map => true,
                    _ => false,
                };
                if !fits {
                    self.note(expr, format!("{} has no element by {}", of.name(), key.name()));
                }
                if matches!(path(&call.args[0].expr), Path::Map(_)) { Type::Text } else { Type::Any }
            }
            (operators::NEGATE, [of]) if of.is_number() || *of == Type::Any => *of,
            (operators::ADD, [Type::Text, Type::Text]) => Type::Text,
            (operators::ADD, [Type::List, Type::List]) => Type::List,
            (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [left, right]) => {
                if *left == Type::Any || *right == Type::Any {
                    return Some(Type::Any);
                }
                if left != right || !left.is_number() {
                    let sign = name.trim_matches('_');
                    let cast = if left.is_number() && right.is_number() { "; write double(…) around one" } else { "" };
                    self.note(expr, format!("{} {sign} {} is not defined{cast}", left.name(), right.name()));
                    return Some(Type::Any);
                }
                *left
            }
            _ => return None,
        })
    }

    fn membership(&mut self, expr: &IdedExpr, call: &CallExpr, left: Type, right: Type) {
        match (&call.args[1].expr, right) {
            (Expr::List(list), _) => {
                for element in &list.elements {
                    if let Expr::Literal(literal) = &element.expr
                        && !comparable(left, literal_type(literal))
                    {
                        self.note(element, format!("is {}, never equal to {}", literal_type(literal).name(), left.name()));
                    }
                }
            }
            (_, Type::Map) if !matches!(left, Type::Text | Type::Any) => {
                self.note(expr, format!("names are string, not {}", left.name()));
            }
            (_, Type::Map | Type::List | Type::Any) => {}
            _ => self.note(expr, format!("`in` needs a list or a map, not {}; write [\"a\", \"b\"]", right.name())),
        }
    }

    /// What a macro expands to: a loop over a list's elements or a map's names.
    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Type {
        let element = match self.expr(&comprehension.iter_range) {
            Type::Map => Type::Text,
            Type::List | Type::Any => Type::Any,
            other => {
                self.note(&comprehension.iter_range, format!("is {}, not a list or a map", other.name()));
                Type::Any
            }
        };
        let accumulated = self.expr(&comprehension.accu_init);
        let outer = self.scope.len();
        self.scope.push((comprehension.iter_var.clone(), element));
        self.scope.extend(comprehension.iter_var2.iter().map(|name| (name.clone(), Type::Any)));
        self.scope.push((comprehension.accu_var.clone(), accumulated));
        self.expr(&comprehension.loop_cond);
        self.expr(&comprehension.loop_step);
        let result = self.expr(&comprehension.result);
        self.scope.truncate(outer);
        result
    }
}

fn comparable(left: Type, right: Type) -> bool {
    let free = |of: Type| matches!(of, Type::Any | Type::Null);
    left == right || free(left) || free(right) || (left.is_number() && right.is_number())
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

//! Plain comparisons as nodes that run without allocating: `==` to `>=`, `in` a list, `has`, beginnings and endings, `&&`, `||`, `!`.
//!
//! True, false and undecided are combined as CEL says: what decides by itself (`false &&`, `true ||`) decides, whatever the rest.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use regex::Regex;

use super::check::{Path, keyed, path};
use super::interpret::Interpreted;
use super::operand::{Operand, Value};
use crate::facts::Facts;

/// Truth of three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tri {
    True,
    False,
    /// By the operand of this index, where one is to blame.
    Undecided(Option<u16>),
}

impl From<bool> for Tri {
    fn from(value: bool) -> Tri {
        if value { Tri::True } else { Tri::False }
    }
}

/// A part of a condition. Operands are indices into the condition's list.
pub(super) enum Node {
    Const(bool),
    Is(u16),
    Compare(u16, Order, Literal),
    In(u16, Box<[Literal]>),
    Text(u16, TextTest),
    Has(u16),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Interpreted(Box<Interpreted>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Operators, and what they become with their sides swapped.
const ORDERS: &[(&str, Order, Order)] = &[
    (operators::EQUALS, Order::Equal, Order::Equal),
    (operators::NOT_EQUALS, Order::NotEqual, Order::NotEqual),
    (operators::LESS, Order::Less, Order::Greater),
    (operators::LESS_EQUALS, Order::LessEqual, Order::GreaterEqual),
    (operators::GREATER, Order::Greater, Order::Less),
    (operators::GREATER_EQUALS, Order::GreaterEqual, Order::LessEqual),
];

impl Order {
    #[inline]
    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Order::Equal => ordering.is_eq(),
            Order::NotEqual => ordering.is_ne(),
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterEqual => ordering.is_ge(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
}

pub(super) enum TextTest {
    Starts(Box<str>),
    Ends(Box<str>),
    Contains(Box<str>),
    Matches(Regex),
}

impl TextTest {
    fn new(function: &str, text: &str) -> Option<TextTest> {
        match function {
            "startsWith" => Some(TextTest::Starts(text.into())),
            "endsWith" => Some(TextTest::Ends(text.into())),
            "contains" => Some(TextTest::Contains(text.into())),
            "matches" => Regex::new(text).ok().map(TextTest::Matches),
            _ => None,
        }
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            TextTest::Starts(text) => value.starts_with(&**text),
            TextTest::Ends(text) => value.ends_with(&**text),
            TextTest::Contains(text) => value.contains(&**text),
            TextTest::Matches(regex) => regex.is_match(value),
        }
    }
}

/// Compares a fact with what the file says; `None` where they have no order (NaN, or types that the checker keeps apart).
#[inline]
fn compare(value: &Value<'_>, literal: &Literal) -> Option<std::cmp::Ordering> {
    match (value, literal) {
        (Value::Bool(value), Literal::Bool(literal)) => Some(value.cmp(literal)),
        (Value::Int(value), Literal::Int(literal)) => Some(value.cmp(literal)),
        (Value::Int(value), Literal::Double(literal)) => (*value as f64).partial_cmp(literal),
        (Value::Double(value), Literal::Double(literal)) => value.partial_cmp(literal),
        (Value::Double(value), Literal::Int(literal)) => value.partial_cmp(&(*literal as f64)),
        (Value::Text(value), Literal::Text(literal)) => Some(value.as_ref().cmp(&**literal)),
        _ => None,
    }
}

impl Node {
    pub fn run(&self, operands: &[Operand], facts: &Facts<'_>) -> Tri {
        let read = |index: u16| operands[usize::from(index)].read(facts);
        match self {
            Node::Const(value) => (*value).into(),
            Node::Is(index) => match read(*index) {
                Value::Bool(value) => value.into(),
                _ => Tri::Undecided(Some(*index)),
            },
            Node::Compare(index, order, literal) => match read(*index) {
                Value::Missing => Tri::Undecided(Some(*index)),
                value => compare(&value, literal).map_or(*order == Order::NotEqual, |ordering| order.holds(ordering)).into(),
            },
            Node::In(index, literals) => match read(*index) {
                Value::Missing => Tri::Undecided(Some(*index)),
                value => literals.iter().any(|literal| compare(&value, literal).is_some_and(|ordering| ordering.is_eq())).into(),
            },
            Node::Text(index, test) => match read(*index) {
                Value::Text(value) => test.holds(&value).into(),
                _ => Tri::Undecided(Some(*index)),
            },
            Node::Has(index) => (read(*index) != Value::Missing).into(),
            Node::Not(node) => match node.run(operands, facts) {
                Tri::True => Tri::False,
                Tri::False => Tri::True,
                undecided => undecided,
            },
            Node::And(nodes) => settle(nodes, Tri::False, Tri::True, operands, facts),
            Node::Or(nodes) => settle(nodes, Tri::True, Tri::False, operands, facts),
            Node::Interpreted(part) => part.run(operands, facts),
        }
    }

    pub fn is_interpreted(&self) -> bool {
        match self {
            Node::Interpreted(_) => true,
            Node::Not(node) => node.is_interpreted(),
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(Node::is_interpreted),
            _ => false,
        }
    }
}

/// `decides` wins at once; else the first that is undecided; else `otherwise`.
fn settle(nodes: &[Node], decides: Tri, otherwise: Tri, operands: &[Operand], facts: &Facts<'_>) -> Tri {
    let mut result = otherwise;
    for node in nodes {
        match node.run(operands, facts) {
            value if value == decides => return value,
            value @ Tri::Undecided(_) if result == otherwise => result = value,
            _ => {}
        }
    }
    result
}

/// Makes nodes of a checked expression; what is no plain comparison is left to the interpreter.
pub(super) fn lower(expr: &IdedExpr, operands: &mut Vec<Operand>) -> Node {
    plain(expr, operands).unwrap_or_else(|| Node::Interpreted(Box::new(Interpreted::new(expr, operands))))
}

/// The index of an operand, which is listed once.
pub(super) fn index_of(operand: Operand, operands: &mut Vec<Operand>) -> u16 {
    let found = operands.iter().position(|known| *known == operand);
    found.unwrap_or_else(|| {
        operands.push(operand);
        operands.len() - 1
    }) as u16
}

fn plain(expr: &IdedExpr, operands: &mut Vec<Operand>) -> Option<Node> {
    match &expr.expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Some(Node::Const(*value.inner())),
        Expr::Select(select) if select.test => {
            let plain = Expr::Select(SelectExpr { test: false, ..select.clone() });
            match path(&plain) {
                Path::Operand(operand) => Some(Node::Has(index_of(operand, operands))),
                _ => None,
            }
        }
        Expr::Call(call) if call.target.is_some() => text_test(call, operands),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, _) => Some(Node::And(lower_all(expr, operators::LOGICAL_AND, operands))),
            (operators::LOGICAL_OR, _) => Some(Node::Or(lower_all(expr, operators::LOGICAL_OR, operands))),
            (operators::LOGICAL_NOT, [of]) => Some(Node::Not(Box::new(lower(of, operands)))),
            (operators::IN, [of, among]) => membership(of, among, operands),
            (name, [left, right]) => match ORDERS.iter().find(|(operator, ..)| *operator == name) {
                Some((_, order, swapped)) => match (operand(left), literal(right), literal(left), operand(right)) {
                    (Some(of), Some(value), ..) => Some(Node::Compare(index_of(of, operands), *order, value)),
                    (_, _, Some(value), Some(of)) => Some(Node::Compare(index_of(of, operands), *swapped, value)),
                    _ => None,
                },
                None => is(expr, operands),
            },
            _ => None,
        },
        _ => is(expr, operands),
    }
}

/// A fact that is true or false by itself.
fn is(expr: &IdedExpr, operands: &mut Vec<Operand>) -> Option<Node> {
    operand(expr).filter(|operand| operand.of() == super::operand::Type::Bool).map(|operand| Node::Is(index_of(operand, operands)))
}

/// The parts of a chain of one operator.
fn lower_all(expr: &IdedExpr, operator: &str, operands: &mut Vec<Operand>) -> Box<[Node]> {
    let mut parts = Vec::new();
    flatten(expr, operator, &mut parts);
    parts.into_iter().map(|part| lower(part, operands)).collect()
}

fn flatten<'e>(expr: &'e IdedExpr, operator: &str, parts: &mut Vec<&'e IdedExpr>) {
    match &expr.expr {
        Expr::Call(call) if call.target.is_none() && call.func_name == operator => {
            call.args.iter().for_each(|arg| flatten(arg, operator, parts));
        }
        _ => parts.push(expr),
    }
}

fn text_test(call: &CallExpr, operands: &mut Vec<Operand>) -> Option<Node> {
    let (target, [arg]) = (call.target.as_deref()?, call.args.as_slice()) else { return None };
    let Literal::Text(text) = literal(arg)? else { return None };
    let test = TextTest::new(&call.func_name, &text)?;
    Some(Node::Text(index_of(operand(target)?, operands), test))
}

/// `FACT in ["a", "b"]`, or `"name" in MAP`.
fn membership(of: &IdedExpr, among: &IdedExpr, operands: &mut Vec<Operand>) -> Option<Node> {
    if let (Some(Literal::Text(key)), Path::Map(map)) = (literal(of), path(&among.expr)) {
        return Some(Node::Has(index_of(keyed(map, &key), operands)));
    }
    let Expr::List(list) = &among.expr else { return None };
    let literals: Option<Box<[Literal]>> = list.elements.iter().map(literal).collect();
    Some(Node::In(index_of(operand(of)?, operands), literals?))
}

fn operand(expr: &IdedExpr) -> Option<Operand> {
    match path(&expr.expr) {
        Path::Operand(operand) => Some(operand),
        _ => None,
    }
}

fn literal(expr: &IdedExpr) -> Option<Literal> {
    match &expr.expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Some(Literal::Bool(*value.inner())),
        Expr::Literal(LiteralValue::Int(value)) => Some(Literal::Int(*value.inner())),
        Expr::Literal(LiteralValue::UInt(value)) => i64::try_from(*value.inner()).ok().map(Literal::Int),
        Expr::Literal(LiteralValue::Double(value)) => Some(Literal::Double(*value.inner())),
        Expr::Literal(LiteralValue::String(value)) => Some(Literal::Text(value.inner().into())),
        _ => None,
    }
}

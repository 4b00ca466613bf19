//! The parts of a condition that need CEL's interpreter: arithmetic, loops over headers, comparisons of two facts.
//!
//! It gets a map with the facts that the part names, made anew each time: some allocations and microseconds.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cel::common::ast::{EntryExpr, Expr, SelectExpr};
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, IdedExpr};

use super::check::{Path, path};
use super::compact::{Tri, index_of};
use super::operand::{Operand, Value};
use crate::facts::Facts;

/// One such part.
pub(super) struct Interpreted {
    expr: IdedExpr,
    /// What it names, as indices into the condition's list.
    operands: Vec<u16>,
    /// It looks through all headers.
    all_headers: bool,
    all_tags: bool,
}

/// CEL's own functions; the same for all.
fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| Arc::new(Env::stdlib())).clone()
}

type Entries = HashMap<Key, cel::Value>;

impl Interpreted {
    pub fn new(expr: &IdedExpr, operands: &mut Vec<Operand>) -> Interpreted {
        let mut part = Interpreted { expr: expr.clone(), operands: Vec::new(), all_headers: false, all_tags: false };
        part.collect(expr, operands);
        part
    }

    /// Notes what an expression names, whatever stands around it.
    fn collect(&mut self, expr: &IdedExpr, operands: &mut Vec<Operand>) {
        let tested = match &expr.expr {
            Expr::Select(select) if select.test => path(&Expr::Select(SelectExpr { test: false, ..select.clone() })),
            expr => path(expr),
        };
        match tested {
            Path::Operand(operand) => return self.operands.push(index_of(operand, operands)),
            Path::Map(map) => return *(if map == "request.headers" { &mut self.all_headers } else { &mut self.all_tags }) = true,
            Path::Unknown(_) | Path::Other => {}
        }
        match &expr.expr {
            Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).for_each(|arg| self.collect(arg, operands)),
            Expr::Select(select) => self.collect(&select.operand, operands),
            Expr::List(list) => list.elements.iter().for_each(|element| self.collect(element, operands)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.collect(&entry.key, operands);
                        self.collect(&entry.value, operands);
                    }
                }
            }
            Expr::Comprehension(of) => {
                for part in [&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result] {
                    self.collect(part, operands);
                }
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }

    pub fn run(&self, operands: &[Operand], facts: &Facts<'_>) -> Tri {
        let mut context = Context::with_env(environment());
        context.add_variable_from_value("request", self.request(operands, facts));
        match context.resolve(&self.expr) {
            Ok(cel::Value::Bool(value)) => value.into(),
            Ok(_) => Tri::Undecided(None),
            Err(ExecutionError::NoSuchKey(_)) => Tri::Undecided(self.missing(operands, facts)),
            Err(_) => Tri::Undecided(None),
        }
    }

    /// The first operand that the request does not have.
    fn missing(&self, operands: &[Operand], facts: &Facts<'_>) -> Option<u16> {
        self.operands.iter().copied().find(|index| operands[usize::from(*index)].read(facts) == Value::Missing)
    }

    /// `request` with all that the part names.
    fn request(&self, operands: &[Operand], facts: &Facts<'_>) -> cel::Value {
        let (mut request, mut headers, mut tags) = (Entries::new(), Entries::new(), Entries::new());
        let mut nested: HashMap<&str, Entries> = HashMap::new();
        for operand in self.operands.iter().map(|index| &operands[usize::from(*index)]) {
            let Some(value) = value(operand.read(facts)) else { continue };
            match operand {
                Operand::Header(name) => drop(headers.insert(key(name), value)),
                Operand::Tag(name) => drop(tags.insert(key(name), value)),
                Operand::Fact(index) => {
                    let name = super::operand::ROWS[usize::from(*index)].name.trim_start_matches("request.");
                    match name.split_once('.') {
                        Some((outer, inner)) => drop(nested.entry(outer).or_default().insert(key(inner), value)),
                        None => drop(request.insert(key(name), value)),
                    }
                }
            }
        }
        if self.all_headers {
            facts.says.each_header(&mut |name, value| {
                headers.entry(key(name)).or_insert_with(|| text(value));
            });
        }
        if self.all_tags {
            facts.says.each_tag(&mut |name, value| {
                tags.entry(key(name)).or_insert_with(|| text(value));
            });
        }
        request.insert(key("headers"), headers.into());
        request.insert(key("tags"), tags.into());
        for (name, entries) in nested {
            request.insert(key(name), entries.into());
        }
        request.into()
    }
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

fn text(value: &str) -> cel::Value {
    cel::Value::String(Arc::new(value.to_owned()))
}

fn value(value: Value<'_>) -> Option<cel::Value> {
    match value {
        Value::Bool(value) => Some(cel::Value::Bool(value)),
        Value::Int(value) => Some(cel::Value::Int(value)),
        Value::Double(value) => Some(cel::Value::Float(value)),
        Value::Text(value) => Some(text(&value)),
        Value::Missing => None,
    }
}

//! Conditions: `when: 'request.tags.env == "eu" && request.tokens < 8000'`, in CEL.
//!
//! Checked when the file is read: every name, every type, and that the whole is true or false. What plain comparisons say runs as
//! `Node`s that read facts by reference and allocate nothing (a comparison is a row's function call and a compare, some 5 ns);
//! only the rest of an expression is interpreted, at some microseconds and allocations.
//!
//! An expression that cannot be decided (a header that is not there) is false, and says so.

use std::sync::Arc;

use cel::Program;

use crate::facts::Facts;
use compact::{Node, Tri};
use operand::{Operand, Value};

mod always;
mod check;
mod compact;
mod interpret;
mod operand;

/// Longest expression, bytes.
const SOURCE_BYTES_MAX: usize = 4096;

/// A condition, compiled. Clones share it.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

struct Compiled {
    source: Box<str>,
    root: Node,
    /// What it reads, in the order of the text.
    operands: Box<[Operand]>,
}

/// A mistake in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Characters before it.
    pub at: usize,
    pub message: String,
}

/// What an expression says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    /// It cannot be decided, which counts as false; the index of the operand that is missing, where that is why.
    Undecided(Option<u16>),
}

impl Condition {
    /// Reads, checks and compiles an expression.
    ///
    /// # Errors
    /// Every mistake found, in the order of the text, with what to write instead.
    pub fn compile(source: &str) -> Result<Condition, Vec<Mistake>> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(vec![Mistake { at: 0, message: format!("is longer than {SOURCE_BYTES_MAX} bytes") }]);
        }
        let program = Program::compile(source).map_err(|errors| check::broken(&errors, source))?;
        check::check(&program)?;
        let mut operands = Vec::new();
        let root = compact::lower(program.expression(), &mut operands);
        Ok(Condition(Arc::new(Compiled { source: source.into(), root, operands: operands.into() })))
    }

    /// The expression as written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether it is true of this request.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.judge(facts) == Verdict::True
    }

    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        match self.0.root.run(&self.0.operands, facts) {
            Tri::True => Verdict::True,
            Tri::False => Verdict::False,
            Tri::Undecided(operand) => Verdict::Undecided(operand),
        }
    }

    /// What it says of every request, where it says the same of all.
    pub fn constant(&self) -> Option<bool> {
        always::always(&self.0.root, &self.0.operands)
    }

    /// Whether a part of it needs the interpreter.
    pub fn is_interpreted(&self) -> bool {
        self.0.root.is_interpreted()
    }

    /// The name of an operand: `request.headers["x"]`.
    pub fn operand(&self, index: u16) -> Option<String> {
        self.0.operands.get(usize::from(index)).map(ToString::to_string)
    }

    /// What it reads and what stands there: `("request.tokens", "25")`.
    pub fn values(&self, facts: &Facts<'_>) -> Vec<(String, String)> {
        let mut values: Vec<(String, String)> = Vec::new();
        for operand in &self.0.operands {
            let value = match operand.read(facts) {
                Value::Bool(value) => value.to_string(),
                Value::Int(value) => value.to_string(),
                Value::Double(value) => value.to_string(),
                Value::Text(value) => format!("{value:?}"),
                Value::Missing => "missing".to_owned(),
            };
            let entry = (operand.to_string(), value);
            if !values.contains(&entry) {
                values.push(entry);
            }
        }
        values
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.0.source == other.0.source
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Condition({:?})", self.0.source)
    }
}

#[cfg(test)]
mod tests;

//! What goes into a database and comes out of it: integers, text, bytes.

/// A parameter or a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<u64> for Value {
    /// Beyond `i64::MAX` it stays there: no figure of ours is so large.
    fn from(value: u64) -> Value {
        Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Value {
        Value::Bytes(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// One row of an answer. A column that is not there, or is something else, reads as zero or empty: the schema is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(pub(super) Vec<Value>);

impl Row {
    pub fn integer(&self, index: usize) -> i64 {
        match self.0.get(index) {
            Some(Value::Integer(value)) => *value,
            _ => 0,
        }
    }

    /// A figure that is never below zero.
    pub fn unsigned(&self, index: usize) -> u64 {
        u64::try_from(self.integer(index)).unwrap_or_default()
    }

    pub fn text(&self, index: usize) -> &str {
        self.optional_text(index).unwrap_or_default()
    }

    pub fn optional_text(&self, index: usize) -> Option<&str> {
        match self.0.get(index) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub fn bytes(&self, index: usize) -> &[u8] {
        match self.0.get(index) {
            Some(Value::Bytes(value)) => value,
            _ => &[],
        }
    }

    pub fn is_null(&self, index: usize) -> bool {
        matches!(self.0.get(index), None | Some(Value::Null))
    }
}

/// One statement of a transaction.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: &'static str,
    pub values: Vec<Value>,
    /// Another number of rows touched is `Error::Conflict`, and nothing of the transaction stays.
    pub expect_rows: Option<u64>,
}

impl Statement {
    pub fn new(sql: &'static str, values: Vec<Value>) -> Statement {
        Statement { sql, values, expect_rows: None }
    }

    /// It touches this many rows, or the transaction is off.
    pub fn expecting(sql: &'static str, values: Vec<Value>, rows: u64) -> Statement {
        Statement { sql, values, expect_rows: Some(rows) }
    }
}

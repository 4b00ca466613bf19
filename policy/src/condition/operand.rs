//! What a condition may ask of a request: one row a name.

use std::borrow::Cow;

use ringway_adapters::dialect::DIALECTS;
use ringway_adapters::ir::Mode;
use ringway_adapters::needs::Has;
use ringway_adapters::operation::Operation;

use crate::facts::Facts;

/// A type that the checker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Null,
    /// Known when it runs.
    Any,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::List => "list",
            Type::Map => "map",
            Type::Null => "null",
            Type::Any => "any value",
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Uint | Type::Double)
    }
}

/// A value that a request has.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    /// The request does not say; comparing it is a mistake of the condition, `has()` asks whether it does.
    Missing,
}

/// One fact by its name.
pub(super) struct Row {
    /// As written, with dots.
    pub name: &'static str,
    pub of: Type,
    pub always: Always,
    pub read: for<'a> fn(&Facts<'a>) -> Value<'a>,
}

/// What values a fact can have at all.
#[derive(Clone, Copy)]
pub(super) enum Always {
    /// The request may not say it.
    Sometimes,
    Any,
    /// A whole number from the first to the second.
    Between(i64, i64),
    /// One of these words.
    OneOf(fn() -> Vec<&'static str>),
}

fn text<'a>(value: Option<&'a str>) -> Value<'a> {
    Value::Text(Cow::Borrowed(value.unwrap_or_default()))
}

fn int(value: u64) -> Value<'static> {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn has(facts: &Facts<'_>, has: Has) -> Value<'static> {
    Value::Bool(facts.says.has().contains(has))
}

/// Day of the week of 1970-01-01, counted from Sunday as CEL's `getDayOfWeek` does.
const EPOCH_WEEKDAY: u64 = 4;

/// All facts.
pub(super) const ROWS: &[Row] = &[
    Row { name: "request.model", of: Type::Text, always: Always::Any, read: |facts| text(Some(facts.model)) },
    Row {
        name: "request.operation",
        of: Type::Text,
        always: Always::OneOf(|| Operation::ALL.iter().map(|operation| operation.name()).collect()),
        read: |facts| text(Some(facts.operation.name())),
    },
    Row {
        name: "request.dialect",
        of: Type::Text,
        always: Always::OneOf(|| DIALECTS.iter().map(|dialect| dialect.name).collect()),
        read: |facts| text(Some(facts.dialect.row().name)),
    },
    Row { name: "request.stream", of: Type::Bool, always: Always::Any, read: |facts| Value::Bool(facts.mode == Mode::Stream) },
    Row { name: "request.tokens", of: Type::Int, always: Always::Between(0, i64::MAX), read: |facts| int(facts.input_tokens()) },
    Row {
        name: "request.max_tokens",
        of: Type::Int,
        always: Always::Sometimes,
        read: |facts| facts.max_tokens.map_or(Value::Missing, int),
    },
    Row { name: "request.user", of: Type::Text, always: Always::Any, read: |facts| Value::Text(facts.says.user().unwrap_or_default()) },
    Row { name: "request.key", of: Type::Text, always: Always::Any, read: |facts| text(facts.says.key()) },
    Row { name: "request.team", of: Type::Text, always: Always::Any, read: |facts| text(facts.says.team()) },
    Row { name: "request.customer", of: Type::Text, always: Always::Any, read: |facts| text(facts.says.customer()) },
    Row { name: "request.has.tools", of: Type::Bool, always: Always::Any, read: |facts| has(facts, Has::TOOLS) },
    Row { name: "request.has.images", of: Type::Bool, always: Always::Any, read: |facts| has(facts, Has::IMAGES) },
    Row { name: "request.has.audio", of: Type::Bool, always: Always::Any, read: |facts| has(facts, Has::AUDIO) },
    Row { name: "request.has.documents", of: Type::Bool, always: Always::Any, read: |facts| has(facts, Has::DOCUMENTS) },
    Row { name: "request.has.json_schema", of: Type::Bool, always: Always::Any, read: |facts| has(facts, Has::JSON_SCHEMA) },
    Row { name: "request.has.thinking", of: Type::Bool, always: Always::Any, read: |facts| has(facts, Has::THINKING) },
    Row { name: "request.budget.share", of: Type::Double, always: Always::Any, read: |facts| Value::Double(facts.says.budget_share()) },
    Row { name: "request.time.hour", of: Type::Int, always: Always::Between(0, 23), read: |facts| int(facts.says.unix_s() / 3_600 % 24) },
    Row {
        name: "request.time.weekday",
        of: Type::Int,
        always: Always::Between(0, 6),
        read: |facts| int((facts.says.unix_s() / 86_400 + EPOCH_WEEKDAY) % 7),
    },
    Row { name: "request.time.unix", of: Type::Int, always: Always::Between(0, i64::MAX), read: |facts| int(facts.says.unix_s()) },
];

/// Facts whose names the client chooses.
pub(super) const MAPS: &[&str] = &["request.headers", "request.tags"];

/// Something that a condition reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// Index into `ROWS`.
    Fact(u8),
    Header(Box<str>),
    Tag(Box<str>),
}

impl Operand {
    pub fn fact(name: &str) -> Option<Operand> {
        ROWS.iter().position(|row| row.name == name).map(|index| Operand::Fact(index as u8))
    }

    pub fn of(&self) -> Type {
        match self {
            Operand::Fact(index) => ROWS[usize::from(*index)].of,
            Operand::Header(_) | Operand::Tag(_) => Type::Text,
        }
    }

    pub fn always(&self) -> Always {
        match self {
            Operand::Fact(index) => ROWS[usize::from(*index)].always,
            Operand::Header(_) | Operand::Tag(_) => Always::Sometimes,
        }
    }

    #[inline]
    pub fn read<'a>(&self, facts: &Facts<'a>) -> Value<'a> {
        let found = match self {
            Operand::Fact(index) => return (ROWS[usize::from(*index)].read)(facts),
            Operand::Header(name) => facts.says.header(name),
            Operand::Tag(name) => facts.says.tag(name),
        };
        found.map_or(Value::Missing, |value| Value::Text(Cow::Borrowed(value)))
    }
}

impl std::fmt::Display for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Operand::Fact(index) => f.write_str(ROWS[usize::from(*index)].name),
            Operand::Header(name) => write!(f, "request.headers[{name:?}]"),
            Operand::Tag(name) => write!(f, "request.tags[{name:?}]"),
        }
    }
}

//! A parsed JSON document whose strings borrow from the body and whose objects keep their key order.
//!
//! simd-json's tape, walked in place: one allocation for the tape, none for strings. Its own value types lose the order of
//! objects with more than 32 keys, which prompt caches depend on.

use simd_json::{Buffers, Node, StaticNode, Tape};

/// Deepest nesting that is read; deeper documents are refused, so that recursion over them is bounded.
pub(crate) const DEPTH_MAX: usize = 128;

/// A whole document.
#[derive(Debug)]
pub(crate) struct Tree<'a>(Tape<'a>);

/// Why a document could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TreeError {
    /// Not JSON, at this byte.
    Syntax { at: usize },
    /// Nested deeper than `DEPTH_MAX`.
    Depth,
}

impl<'a> Tree<'a> {
    /// Parses `body`, which is rewritten where strings hold escapes.
    ///
    /// # Errors
    /// Where it is not one JSON value, or is nested deeper than `DEPTH_MAX`.
    pub(crate) fn parse(body: &'a mut [u8]) -> Result<Tree<'a>, TreeError> {
        let tape = simd_json::to_tape(body).map_err(|error| TreeError::Syntax { at: error.index() })?;
        check_depth(&tape.0)?;
        Ok(Tree(tape))
    }

    pub(crate) fn root(&self) -> Json<'_, 'a> {
        Json(&self.0.0)
    }
}

/// Parses many small documents and keeps its buffers between them: no allocation once warm.
pub(crate) struct Parser {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Option<Tape<'static>>,
}

impl Parser {
    pub(crate) fn new() -> Parser {
        Parser { scratch: Vec::new(), buffers: Buffers::default(), tape: None }
    }

    /// Parses a copy of `document` and gives its root to `then`.
    pub(crate) fn with<T>(&mut self, document: &[u8], then: impl FnOnce(Json<'_, '_>) -> T) -> Result<T, TreeError> {
        self.scratch.clear();
        self.scratch.extend_from_slice(document);
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let filled = simd_json::fill_tape(&mut self.scratch, &mut self.buffers, &mut tape);
        let result = filled
            .map_err(|error| TreeError::Syntax { at: error.index() })
            .and_then(|()| check_depth(&tape.0))
            .map(|()| then(Json(&tape.0)));
        self.tape = Some(tape.reset());
        result
    }
}

fn check_depth(nodes: &[Node<'_>]) -> Result<(), TreeError> {
    let mut ends = [0usize; DEPTH_MAX];
    let mut depth = 0;
    for (index, node) in nodes.iter().enumerate() {
        while depth > 0 && ends[depth - 1] <= index {
            depth -= 1;
        }
        if let Node::Object { count, .. } | Node::Array { count, .. } = node {
            if depth == DEPTH_MAX {
                return Err(TreeError::Depth);
            }
            ends[depth] = index + 1 + count;
            depth += 1;
        }
    }
    Ok(())
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Json<'t, 'a> {
    fn node(self) -> Node<'a> {
        self.0.first().copied().unwrap_or(Node::Static(StaticNode::Null))
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self.node(), Node::Static(StaticNode::Null))
    }

    pub(crate) fn str(self) -> Option<&'a str> {
        match self.node() {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn bool(self) -> Option<bool> {
        match self.node() {
            Node::Static(StaticNode::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// A whole number, also one written as `5.0`.
    pub(crate) fn u64(self) -> Option<u64> {
        match self.node() {
            Node::Static(StaticNode::U64(value)) => Some(value),
            Node::Static(StaticNode::I64(value)) => u64::try_from(value).ok(),
            Node::Static(StaticNode::F64(value)) if value >= 0.0 && value.fract() == 0.0 && value < 9e15 => Some(value as u64),
            _ => None,
        }
    }

    pub(crate) fn f64(self) -> Option<f64> {
        match self.node() {
            Node::Static(StaticNode::F64(value)) => Some(value),
            Node::Static(StaticNode::U64(value)) => Some(value as f64),
            Node::Static(StaticNode::I64(value)) => Some(value as f64),
            _ => None,
        }
    }

    pub(crate) fn is_object(self) -> bool {
        matches!(self.node(), Node::Object { .. })
    }

    /// Its fields in order; `None` where it is no object.
    pub(crate) fn object(self) -> Option<Fields<'t, 'a>> {
        matches!(self.node(), Node::Object { .. }).then(|| Fields(&self.0[1..]))
    }

    /// Its elements in order; `None` where it is no array.
    pub(crate) fn array(self) -> Option<Elements<'t, 'a>> {
        matches!(self.node(), Node::Array { .. }).then(|| Elements(&self.0[1..]))
    }

    /// A field that is there and not null; the last one where it stands twice.
    pub(crate) fn get(self, key: &str) -> Option<Json<'t, 'a>> {
        self.object()?.filter(|(name, value)| *name == key && !value.is_null()).last().map(|(_, value)| value)
    }

    /// A string field.
    pub(crate) fn get_str(self, key: &str) -> Option<&'a str> {
        self.get(key)?.str()
    }

    /// An owned copy.
    pub(crate) fn value(self) -> serde_json::Value {
        match self.node() {
            Node::String(text) => text.into(),
            Node::Object { .. } => self.object().into_iter().flatten().map(|(key, value)| (key.to_owned(), value.value())).collect(),
            Node::Array { .. } => self.array().into_iter().flatten().map(Json::value).collect(),
            Node::Static(StaticNode::Bool(value)) => value.into(),
            Node::Static(StaticNode::U64(value)) => value.into(),
            Node::Static(StaticNode::I64(value)) => value.into(),
            Node::Static(StaticNode::F64(value)) => value.into(),
            Node::Static(StaticNode::Null) => serde_json::Value::Null,
        }
    }

    /// Its JSON text.
    pub(crate) fn text(self) -> String {
        self.value().to_string()
    }

    /// What it is, for messages.
    pub(crate) fn kind(self) -> &'static str {
        match self.node() {
            Node::String(_) => "a string",
            Node::Object { .. } => "an object",
            Node::Array { .. } => "an array",
            Node::Static(StaticNode::Bool(_)) => "a boolean",
            Node::Static(StaticNode::Null) => "null",
            Node::Static(_) => "a number",
        }
    }
}

/// Nodes that the value at the head of `nodes` spans.
fn span(nodes: &[Node<'_>]) -> usize {
    match nodes.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => (count + 1).min(nodes.len()),
        Some(_) => 1,
        None => 0,
    }
}

/// The fields of an object.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Iterator for Fields<'t, 'a> {
    type Item = (&'a str, Json<'t, 'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (Node::String(key), rest) = self.0.split_first()? else { return None };
        let (value, rest) = rest.split_at(span(rest));
        self.0 = rest;
        Some((key, Json(value)))
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Iterator for Elements<'t, 'a> {
    type Item = Json<'t, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (value, rest) = self.0.split_at(span(self.0));
        self.0 = rest;
        Some(Json(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_back_as_it_was_with_its_key_order() {
        let keys: Vec<String> = (0..40).rev().map(|index| format!("\"k{index}\":[{index},-1,1.5,\"a\\nb\",null,true,{{}},[]]")).collect();
        let text = format!("{{{}}}", keys.join(","));
        let mut body = text.clone().into_bytes();
        assert_eq!(Tree::parse(&mut body).unwrap().root().text(), text);
    }

    #[test]
    fn broken_and_deep_documents_are_refused() {
        for bad in ["", "{", "{\"a\":}", "nul", "{} {}", "[1,]"] {
            let mut body = bad.as_bytes().to_vec();
            assert!(matches!(Tree::parse(&mut body), Err(TreeError::Syntax { .. })), "{bad}");
        }
        let mut deep = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1)).into_bytes();
        assert_eq!(Tree::parse(&mut deep).err(), Some(TreeError::Depth));
        let mut allowed = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)).into_bytes();
        assert!(Tree::parse(&mut allowed).is_ok());
    }

    #[test]
    fn a_parser_is_fit_again_after_an_error() {
        let mut parser = Parser::new();
        assert!(parser.with(b"{\"a\"", |_| ()).is_err());
        assert_eq!(parser.with(b"{\"a\":\"b\"}", |json| json.get_str("a").map(str::to_owned)), Ok(Some("b".to_owned())));
    }
}

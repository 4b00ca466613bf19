//! Reads typed members of a request body, and says in the client's words what is wrong with one.

use std::borrow::Cow;

use crate::fault::{Fault, Kind};
use crate::ir::Source;
use crate::json::node::{self, Node, Object};

/// The body as an object.
///
/// # Errors
/// `Kind::InvalidRequest` where it is no JSON object.
pub(in crate::dialect) fn body(body: &[u8]) -> Result<Object<'_>, Fault> {
    match node::parse(body) {
        Ok(Node::Object(object)) => Ok(object),
        Ok(_) => Err(Fault::new(Kind::InvalidRequest, "the body is not a JSON object; send an object with a model in it")),
        Err(error) => Err(Fault::new(Kind::InvalidRequest, format!("the body is not valid JSON: {error}"))),
    }
}

/// A fault of one field.
pub(in crate::dialect) fn invalid(field: impl Into<String>, instead: &str) -> Fault {
    let field = field.into();
    let mut fault = Fault::new(Kind::InvalidRequest, format!("{field}: {instead}"));
    fault.param = Some(field.into());
    fault
}

pub(in crate::dialect) fn float(object: &mut Object<'_>, name: &str) -> Result<Option<f64>, Fault> {
    typed(object, name, "write a number", |node| node.as_f64())
}

pub(in crate::dialect) fn uint(object: &mut Object<'_>, name: &str) -> Result<Option<u64>, Fault> {
    typed(object, name, "write a whole number that is not negative", |node| node.as_u64())
}

pub(in crate::dialect) fn uint32(object: &mut Object<'_>, name: &str) -> Result<Option<u32>, Fault> {
    typed(object, name, "write a whole number that is not negative", |node| node.as_u64().and_then(|number| number.try_into().ok()))
}

pub(in crate::dialect) fn int(object: &mut Object<'_>, name: &str) -> Result<Option<i64>, Fault> {
    typed(object, name, "write a whole number", |node| node.as_i64())
}

pub(in crate::dialect) fn boolean(object: &mut Object<'_>, name: &str) -> Result<Option<bool>, Fault> {
    typed(object, name, "write true or false", |node| node.as_bool())
}

pub(in crate::dialect) fn text<'a>(object: &mut Object<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
    typed(object, name, "write a string", Node::into_text)
}

pub(in crate::dialect) fn list<'a>(object: &mut Object<'a>, name: &str) -> Result<Option<Vec<Node<'a>>>, Fault> {
    typed(object, name, "write an array", Node::into_list)
}

fn typed<'a, T>(object: &mut Object<'a>, name: &str, instead: &str, read: impl FnOnce(Node<'a>) -> Option<T>) -> Result<Option<T>, Fault> {
    match object.take(name) {
        None => Ok(None),
        Some(node) => read(node).map(Some).ok_or_else(|| invalid(name, instead)),
    }
}

/// A URL, or the bytes in it where it is a `data:` URL.
pub(in crate::dialect) fn source(url: Cow<'_, str>) -> Source<'_> {
    match url {
        Cow::Borrowed(url) => match split_data_url(url) {
            Some((media_type, data)) => Source::Base64 { media_type: media_type.into(), data: data.into() },
            None => Source::Url(url.into()),
        },
        Cow::Owned(url) => match split_data_url(&url) {
            Some((media_type, data)) => Source::Base64 { media_type: media_type.to_owned().into(), data: data.to_owned().into() },
            None => Source::Url(url.into()),
        },
    }
}

fn split_data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

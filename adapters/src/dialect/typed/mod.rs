//! Operations whose answers are small and typed: embeddings and rankings. What one API asks is asked of another.
//!
//! A row of `EMBED` or `RERANK` is one API's form of it, by the name of its dialect: four functions, bytes and values in and out. The
//! values stand between; what an API has no word for is a `Loss`.

mod embed;
mod rerank;

use serde_json::{Map, Value};

use crate::dialect::DialectId;
use crate::fault::{Fault, Kind};
use crate::ir::Loss;
use crate::operation::Operation;
use crate::usage::Usage;

/// One request on its way between two APIs, and how its answer comes back.
pub struct Translation {
    /// The body for the provider.
    pub body: Vec<u8>,
    pub losses: Vec<Loss>,
    back: Back,
}

enum Back {
    Embed { asked: embed::Request, from: &'static embed::Row, to: &'static embed::Row },
    Rerank { asked: rerank::Request, from: &'static rerank::Row, to: &'static rerank::Row },
}

/// Translates `body` of `operation` from the client's dialect to the provider's, for the model of this name there, which is asked under
/// `path`: a verb at its end may tell the form.
///
/// # Errors
/// `InvalidRequest` where the body is none of its dialect, or one of the two has no such operation.
pub fn request(
    operation: Operation,
    client: DialectId,
    provider: DialectId,
    model: &str,
    path: &str,
    body: &[u8],
) -> Result<Translation, Fault> {
    let (from, to) = (client.row().name, provider.row().name);
    let mut losses = Vec::new();
    let body = object(body).map_err(|what| Fault::new(Kind::InvalidRequest, what))?;
    match operation {
        Operation::Embed => {
            let to = if to == embed::GEMINI && path.ends_with(embed::VERB_OF_ONE) { embed::GEMINI_OF_ONE } else { to };
            let (from, to) = (row(embed::ROWS, from, operation)?, row(embed::ROWS, to, operation)?);
            let asked = (from.decode_request)(&body)?;
            let body = (to.encode_request)(&asked, model, &mut losses)?.to_string().into_bytes();
            Ok(Translation { body, losses, back: Back::Embed { asked, from, to } })
        }
        Operation::Rerank => {
            let (from, to) = (row(rerank::ROWS, from, operation)?, row(rerank::ROWS, to, operation)?);
            let asked = (from.decode_request)(&body)?;
            let body = (to.encode_request)(&asked, model).to_string().into_bytes();
            Ok(Translation { body, losses, back: Back::Rerank { asked, from, to } })
        }
        operation => Err(Fault::new(Kind::InvalidRequest, format!("{} is not translated", operation.name()))),
    }
}

impl Translation {
    /// Translates a whole answer back; gives its body and what it used. `model` is the name that the client asked for.
    ///
    /// # Errors
    /// `MalformedResponse` where the body is no such answer.
    pub fn answer(&self, model: &str, body: &[u8]) -> Result<(Vec<u8>, Usage), Fault> {
        let wrong = |what: String| Fault::new(Kind::MalformedResponse, format!("the answer is none of this operation: {what}"));
        let body = object(body).map_err(wrong)?;
        let (answer, usage) = match &self.back {
            Back::Embed { asked, from, to } => {
                let answer = (to.decode_answer)(&body).ok_or_else(|| wrong("no vectors".to_owned()))?;
                if answer.vectors.len() != asked.inputs.len() {
                    return Err(wrong(format!("{} vectors of {} inputs", answer.vectors.len(), asked.inputs.len())));
                }
                ((from.encode_answer)(&answer, asked, model), Usage { input: answer.input_tokens, ..Usage::default() })
            }
            Back::Rerank { asked, from, to } => {
                let answer = (to.decode_answer)(&body).ok_or_else(|| wrong("no results".to_owned()))?;
                ((from.encode_answer)(&answer, asked, model), answer.usage)
            }
        };
        Ok((answer.to_string().into_bytes(), usage))
    }
}

/// A row with its dialect's name.
trait Named {
    fn dialect(&self) -> &'static str;
}

fn row<R: Named>(rows: &'static [R], dialect: &str, operation: Operation) -> Result<&'static R, Fault> {
    let message = || format!("{} is not translated to or from {dialect}; ask in the provider's own API", operation.name());
    rows.iter().find(|row| row.dialect() == dialect).ok_or_else(|| Fault::new(Kind::InvalidRequest, message()))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("expected a json object".to_owned()),
        Err(error) => Err(format!("no json at line {} column {}", error.line(), error.column())),
    }
}

/// A request's field that is absent or of another type.
fn missing(field: &str, what: &str) -> Fault {
    let mut fault = Fault::new(Kind::InvalidRequest, format!("{field} is missing or is not {what}"));
    fault.param = Some(field.into());
    fault
}

/// A text, or several.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

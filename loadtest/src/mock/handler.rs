//! Picks the path: a prebuilt answer for plain requests, thought and faults for the rest.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::answer::Answer;
use super::asked::Asked;
use super::endpoint::{Endpoint, Family};
use super::errors::{Refusal, amazon_type, inband, refuse};
use super::fault::{Fault, Memory};
use super::scan::Scan;
use super::wall::{self, Timing};
use super::wire::Piece;
use super::{MockArgs, bedrock, chat, cohere, completions, gemini, listing, messages, ollama, responses};
use crate::http::Request;
use crate::server::{Handler, Script};
use crate::units::parse_duration;

/// Prebuilt answers kept a thread; beyond it all are built anew.
const PREBUILT_MAX: usize = 1024;

/// One thread's mock.
pub(super) struct Mock {
    args: MockArgs,
    memory: Arc<Memory>,
    prebuilt: HashMap<Vec<u8>, Rc<Script>>,
    key: Vec<u8>,
}

impl Handler for Mock {
    fn answer(&mut self, request: &Request<'_>) -> Rc<Script> {
        let Some(endpoint) = Endpoint::of(request.method, request.path()) else {
            let family = if request.path().contains("/messages") { Family::Anthropic } else { Family::OpenAi };
            return Rc::new(self.refusal(Refusal::NotFound, None, family));
        };
        if endpoint == Endpoint::Models {
            return Rc::new(self.list_models(request));
        }
        if endpoint.family() == Family::Bedrock {
            return Rc::new(self.at_path(endpoint, request));
        }
        match endpoint {
            Endpoint::Gemini => return self.generate(&gemini::as_chat(request.path(), &request.body)),
            Endpoint::GeminiCount => return Rc::new(self.whole(&gemini::count_tokens())),
            Endpoint::GeminiEmbed => return Rc::new(self.whole(&gemini::embeddings(&request.body))),
            _ => {}
        }
        let scan = Scan::of(&request.body);
        if scan.needs_thought {
            return Rc::new(self.think(endpoint, &request.body, &scan));
        }
        if endpoint == Endpoint::Embeddings {
            let body = listing::embeddings(&String::from_utf8_lossy(scan.model), &request.body);
            return Rc::new(self.whole(&body));
        }
        self.plain(endpoint, &scan)
    }
}

impl Mock {
    pub(super) fn new(args: MockArgs, memory: Arc<Memory>) -> Self {
        Self { args, memory, prebuilt: HashMap::new(), key: Vec::new() }
    }

    /// A generateContent request, said in chat's words.
    fn generate(&mut self, chat: &[u8]) -> Rc<Script> {
        let scan = Scan::of(chat);
        match scan.needs_thought {
            true => Rc::new(self.think(Endpoint::Gemini, chat, &scan)),
            false => self.plain(Endpoint::Gemini, &scan),
        }
    }

    /// One hash lookup once warm.
    fn plain(&mut self, endpoint: Endpoint, scan: &Scan<'_>) -> Rc<Script> {
        let tokens_max = scan.tokens_max.filter(|max| *max < self.args.tokens);
        self.key.clear();
        self.key.extend_from_slice(&[endpoint as u8, u8::from(scan.streams), u8::from(scan.includes_usage)]);
        self.key.extend_from_slice(&tokens_max.unwrap_or(u32::MAX).to_le_bytes());
        self.key.extend_from_slice(scan.model);
        if let Some(script) = self.prebuilt.get(&self.key) {
            return script.clone();
        }
        let mut answer = Answer::plain(&String::from_utf8_lossy(scan.model), self.args.tokens, tokens_max);
        answer.includes_usage = scan.includes_usage;
        let script = Rc::new(self.write_down(endpoint, scan.streams, &mut answer, None));
        if self.prebuilt.len() >= PREBUILT_MAX {
            self.prebuilt.clear();
        }
        self.prebuilt.insert(self.key.clone(), script.clone());
        script
    }

    /// A dialect whose path names the model and the mode.
    fn at_path(&self, endpoint: Endpoint, request: &Request<'_>) -> Script {
        let streams = matches!(endpoint, Endpoint::ConverseStream | Endpoint::InvokeStream);
        self.answer_to(endpoint, &bedrock::asked(request.path(), &request.body, streams), &request.body)
    }

    fn think(&self, endpoint: Endpoint, body: &[u8], scan: &Scan<'_>) -> Script {
        self.answer_to(endpoint, &Asked::read(body, scan), body)
    }

    fn answer_to(&self, endpoint: Endpoint, asked: &Asked, body: &[u8]) -> Script {
        let fault = match self.memory.strike(&asked.model, asked.prefill.is_some(), Instant::now()) {
            Some(Fault::Refuse(refusal, retry_after_s)) => return self.refusal(refusal, retry_after_s, endpoint.family()),
            Some(Fault::Break(fault)) => Some(fault),
            None => None,
        };
        if endpoint == Endpoint::Embeddings {
            let text = listing::embeddings(&asked.model, body).to_string();
            return wall::whole(200, "", text.as_bytes(), self.timing(), fault);
        }
        let mut answer = Answer::to(asked, self.args.tokens);
        if fault == Some(super::fault::Break::InbandError) && !asked.streams {
            return self.refusal(Refusal::Server, None, endpoint.family());
        }
        self.write_down(endpoint, asked.streams, &mut answer, fault)
    }

    fn write_down(&self, endpoint: Endpoint, streams: bool, answer: &mut Answer, fault: Option<super::fault::Break>) -> Script {
        if streams && let Some(pieces) = streamed(endpoint, answer) {
            return wall::stream(&pieces, &inband(endpoint), self.timing_of(&answer.model), fault);
        }
        let mut text = written(endpoint, answer).to_string();
        if text.len() < self.args.body_bytes
            && let Some(last) = answer.pieces.last_mut()
        {
            last.push_str(&"x".repeat(self.args.body_bytes - text.len()));
            text = written(endpoint, answer).to_string();
        }
        wall::whole(200, "", text.as_bytes(), self.timing_of(&answer.model), fault)
    }

    fn list_models(&self, request: &Request<'_>) -> Script {
        let family = if request.header("anthropic-version").is_some() { Family::Anthropic } else { Family::OpenAi };
        self.whole(&listing::models(family, request.path()))
    }

    fn whole(&self, body: &Value) -> Script {
        wall::whole(200, "", body.to_string().as_bytes(), self.timing(), None)
    }

    fn refusal(&self, refusal: Refusal, retry_after_s: Option<u32>, family: Family) -> Script {
        let (status, body) = refuse(refusal, family);
        let mut extra = retry_after_s.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        if family == Family::Bedrock {
            extra.push_str(&format!("x-amzn-errortype: {}\r\n", amazon_type(status)));
        }
        wall::whole(status, &extra, body.to_string().as_bytes(), self.timing(), None)
    }

    fn timing(&self) -> Timing {
        Timing { delay: self.args.delay, gap: self.args.gap }
    }

    /// A model named `…-gap-20ms` or `…-delay-1s` brings its own clock.
    fn timing_of(&self, model: &str) -> Timing {
        let said = |mark: &str| {
            let rest = model.split_once(mark)?.1;
            parse_duration(rest.split(['-', '@']).next()?).ok()
        };
        Timing { delay: said("-delay-").unwrap_or(self.args.delay), gap: said("-gap-").unwrap_or(self.args.gap) }
    }
}

fn written(endpoint: Endpoint, answer: &Answer) -> Value {
    match endpoint {
        Endpoint::Chat => chat::whole(answer),
        Endpoint::Responses => responses::whole(answer),
        Endpoint::Completions => completions::whole(answer),
        Endpoint::Messages => messages::whole(answer),
        Endpoint::Cohere => cohere::whole(answer),
        Endpoint::Ollama => ollama::whole(answer),
        Endpoint::Gemini => gemini::whole(answer),
        Endpoint::CountTokens => listing::count_tokens(),
        Endpoint::Converse | Endpoint::ConverseStream => bedrock::whole(answer),
        Endpoint::Invoke | Endpoint::InvokeStream => messages::whole(answer),
        Endpoint::BedrockCount => bedrock::count(),
        Endpoint::Embeddings | Endpoint::Models | Endpoint::GeminiCount | Endpoint::GeminiEmbed => Value::Null,
    }
}

fn streamed(endpoint: Endpoint, answer: &Answer) -> Option<Vec<Piece>> {
    match endpoint {
        Endpoint::Chat => Some(chat::stream(answer)),
        Endpoint::Responses => Some(responses::stream(answer)),
        Endpoint::Completions => Some(completions::stream(answer)),
        Endpoint::Messages => Some(messages::stream(answer)),
        Endpoint::Cohere => Some(cohere::stream(answer)),
        Endpoint::Ollama => Some(ollama::stream(answer)),
        Endpoint::Gemini => Some(gemini::stream(answer)),
        Endpoint::ConverseStream => Some(bedrock::stream(answer)),
        Endpoint::InvokeStream => Some(bedrock::invoke_stream(answer)),
        _ => None,
    }
}

//! Answers with recorded exchanges: the request says which, the recording says what.

mod base64;
mod corpus;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::http::Request;
use crate::mock::scan_model;
use crate::server::{Handler, RequestLog, Script, ScriptBuilder, ServerOptions, serve as serve_handler};
use corpus::{Corpus, Recorded};

/// Recorded requests carry images; what arrives is kept whole up to this size.
const LOGGED_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Flags of `loadtest replay`.
#[derive(Args, Debug)]
#[command(after_help = "Which exchange: the header x-replay-id, else the query replay_id=, else a `model` in the body or a
segment of the path that is an exchange's id. Recorded chunk_sizes are played as one chunk and one write each. GET /_log tells what arrived.")]
pub(crate) struct ReplayArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:9101")]
    listen: SocketAddr,
    /// Recordings, one JSON exchange a line; gzip-compressed where the name ends in .gz
    #[arg(long, num_args = 1.., required = true)]
    corpus: Vec<PathBuf>,
    /// Cut streams that have no recorded chunk sizes into chunks of this many bytes (0: one chunk)
    #[arg(long, default_value_t = 0)]
    chunk_bytes: usize,
}

/// Serves until the process is ended.
pub(crate) fn serve(args: &ReplayArgs) -> Result<ExitCode, String> {
    let corpus = Arc::new(Corpus::load(&args.corpus)?);
    println!("{} exchanges", corpus.len());
    let options = ServerOptions { listen: args.listen, thread_count: 1, log: Some(Arc::new(RequestLog::new(LOGGED_BODY_BYTES_MAX, None))) };
    serve_handler(&options, || Replay { corpus: corpus.clone(), chunk_bytes: args.chunk_bytes })
        .map_err(|error| format!("replay on {}: {error}", args.listen))?;
    Ok(ExitCode::SUCCESS)
}

struct Replay {
    corpus: Arc<Corpus>,
    chunk_bytes: usize,
}

impl Handler for Replay {
    fn answer(&mut self, request: &Request<'_>) -> Rc<Script> {
        let by_model = || Some(String::from_utf8_lossy(scan_model(&request.body)?).into_owned());
        let id = request.header("x-replay-id").or_else(|| request.query("replay_id").map(str::to_owned)).or_else(by_model);
        let recorded = id.as_deref().and_then(|id| self.corpus.find(id)).or_else(|| self.by_path(request.target));
        Rc::new(recorded.map_or_else(|| unknown(id.as_deref()), |recorded| script_of(recorded, self.chunk_bytes)))
    }
}

impl Replay {
    /// Where the path names the model, a verb may follow it: `/models/ID:verb`.
    fn by_path(&self, target: &str) -> Option<&Recorded> {
        target.split(['/', ':', '?']).find_map(|segment| self.corpus.find(segment))
    }
}

/// Between two recorded reads, so that they arrive as two.
const READ_GAP: Duration = Duration::from_micros(200);

fn unknown(id: Option<&str>) -> Script {
    let message = match id {
        Some(id) => format!("no recorded exchange {id:?}"),
        None => "say which exchange: header x-replay-id, query replay_id, or the model".to_owned(),
    };
    let body = serde_json::json!({"error": {"message": message, "type": "replay_unknown"}}).to_string();
    let head = format!("HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    ScriptBuilder::new(404).send(head.as_bytes()).send(body.as_bytes()).build()
}

fn script_of(recorded: &Recorded, chunk_bytes: usize) -> Script {
    let mut script = ScriptBuilder::new(recorded.status);
    let mut head = format!("HTTP/1.1 {} Recorded\r\n", recorded.status);
    for (name, value) in &recorded.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !recorded.streams {
        if recorded.status != 204 {
            head.push_str(&format!("content-length: {}\r\n", recorded.body.len()));
        }
        head.push_str("\r\n");
        return script.send(head.as_bytes()).send(&recorded.body).build();
    }
    head.push_str("transfer-encoding: chunked\r\n\r\n");
    script.send(head.as_bytes());
    let mut rest = &recorded.body[..];
    let mut sizes = recorded.chunk_sizes.iter().copied();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(if chunk_bytes == 0 { rest.len() } else { chunk_bytes }).min(rest.len());
        if size == 0 {
            continue;
        }
        let (chunk, tail) = rest.split_at(size);
        rest = tail;
        script.send(format!("{size:x}\r\n").as_bytes()).send(chunk).send_event(b"\r\n");
        if !rest.is_empty() {
            script.pause(READ_GAP);
        }
    }
    script.send(b"0\r\n\r\n").build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_reads_are_played_one_by_one() {
        let recorded = Recorded { status: 200, headers: Vec::new(), body: b"data: 1\n\n".to_vec(), streams: true, chunk_sizes: vec![2, 3] };
        let script = script_of(&recorded, 0);
        assert_eq!(script.send_count(), 3);
        assert!(script.sent_text().ends_with("2\r\nda\r\n3\r\nta:\r\n4\r\n 1\n\n\r\n0\r\n\r\n"));
        assert_eq!(script_of(&Recorded { chunk_sizes: Vec::new(), ..recorded }, 1).send_count(), 9);
    }
}

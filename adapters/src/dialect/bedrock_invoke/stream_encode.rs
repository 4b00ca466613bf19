//! Events → an InvokeModelWithResponseStream: Anthropic's events, each in a chunk.

use super::chunk;
use super::metrics::METRICS;
use crate::dialect::{Client, StreamEncoder, anthropic, bedrock};
use crate::event::Event;
use crate::frame::Framing;
use crate::frame::sse::SseSplitter;
use crate::json::build::Object;
use crate::usage::Usage;

pub(super) struct Encoder {
    inner: anthropic::stream_encode::Encoder,
    /// What the inner encoder wrote, and the splitter that takes it apart again.
    scratch: Vec<u8>,
    splitter: SseSplitter,
    usage: Usage,
    is_over: bool,
}

impl Encoder {
    pub(super) fn new(client: Client<'static>) -> Encoder {
        let inner = anthropic::stream_encode::Encoder::new(client);
        Encoder { inner, scratch: Vec::new(), splitter: SseSplitter::default(), usage: Usage::default(), is_over: false }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            _ if self.is_over => return,
            Event::Fault(fault) => {
                self.is_over = true;
                return bedrock::error::encode_event(fault, Framing::EventStream, out);
            }
            Event::Usage { usage, .. } => self.usage = *usage,
            _ => {}
        }
        self.scratch.clear();
        self.inner.encode(event, &mut self.scratch);
        let (usage, mut last) = (&self.usage, Vec::new());
        // What the encoder writes is well-formed and bounded by its event.
        let _ = self.splitter.feed(&self.scratch, |event| {
            match event.event {
                "message_stop" => {
                    write_stop(usage, &mut last);
                    chunk::write(&last, out);
                }
                _ => chunk::write(event.data, out),
            }
            Ok(())
        });
    }
}

/// The last event, with what Bedrock measured.
fn write_stop(usage: &Usage, out: &mut Vec<u8>) {
    let mut stop = Object::begin(out);
    stop.str("type", "message_stop");
    let mut metrics = stop.object(METRICS);
    metrics.u64("inputTokenCount", usage.input.saturating_sub(usage.cached_read).saturating_sub(usage.cached_write));
    metrics.u64("outputTokenCount", usage.output);
    if usage.cached_read > 0 || usage.cached_write > 0 {
        metrics.u64("cacheReadInputTokenCount", usage.cached_read);
        metrics.u64("cacheWriteInputTokenCount", usage.cached_write);
    }
    metrics.end();
    stop.end();
}

//! Embeddings and rankings of another API: the answer is held whole and written anew in the client's form.

use ringway_adapters::dialect::Seen;
use ringway_adapters::dialect::typed::Translation;
use ringway_adapters::usage::Usage;

use crate::answer;
use crate::downstream::Downstream;
use crate::events::Source;
use crate::held::hold;
use crate::incoming::{Held, Incoming};
use crate::journal::Journal;
use crate::relay::Delivered;
use crate::rt::Rt;

/// Translates the answer to `translation`'s request. `model` is the name that the client asked for.
pub(crate) async fn translated<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    incoming: &mut Incoming<R>,
    source: &Source<'_>,
    translation: &Translation,
    model: &str,
) -> Delivered {
    let shard = down.shard;
    let held = match hold(down, incoming, source, shard.tuning.body_bytes_max).await {
        Ok(held) => held,
        Err(delivered) => return delivered,
    };
    journal.works_anew(shard.rt.now_ns());
    let body = match &held {
        Held::InPlace(span) => &incoming.buffer[span.clone()],
        Held::Copied(body) | Held::Larger(body) => body,
    };
    let (body, usage) = match translation.answer(model, body) {
        Ok(answer) => answer,
        Err(fault) => return Delivered::Failed(fault),
    };
    journal.usage(&seen(usage));
    journal.input(source.body);
    let written = answer::whole(down, journal, 200, "application/json", &body).await;
    written.map_or_else(Delivered::from, |()| Delivered::Done)
}

/// A ranking may be billed by its searches alone; where nothing was told, the input is counted.
fn seen(usage: Usage) -> Seen {
    Seen { usage: Some(usage).filter(|usage| *usage != Usage::default()), is_whole: true, finished: true, ..Seen::without_text() }
}

#[cfg(test)]
mod tests {
    use ringway_adapters::usage::Provenance;

    use super::*;

    #[test]
    fn searches_without_tokens_are_the_providers_figure() {
        let told = seen(Usage { searches: 3, ..Usage::default() }).bill();
        assert_eq!((told.usage.searches, told.provenance, told.lacks_input), (3, Provenance::Provider, false));
        assert!(seen(Usage::default()).bill().lacks_input);
    }
}

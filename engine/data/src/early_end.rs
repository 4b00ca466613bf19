//! What an answer still needs to end well-formed where a budget ends it: open blocks closed, every choice finished.

use ringway_adapters::event::{Event, Finish};
use ringway_adapters::ir::Extra;
use ringway_adapters::usage::Usage;
use smallvec::SmallVec;

/// What is open of an answer so far. One choice with one open block is the rule; more cost an allocation.
#[derive(Default)]
pub(crate) struct EarlyEnd {
    blocks: SmallVec<[(u32, u32); 4]>,
    choices: SmallVec<[u32; 4]>,
}

impl EarlyEnd {
    /// Takes in an event that goes to the client.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Open { choice, block, .. } => {
                self.blocks.push((*choice, *block));
                if !self.choices.contains(choice) {
                    self.choices.push(*choice);
                }
            }
            Event::Close { choice, block, .. } => self.blocks.retain(|open| *open != (*choice, *block)),
            Event::Finish { choice, .. } => self.choices.retain(|open| *open != *choice),
            _ => {}
        }
    }

    /// The events that end the answer: its choices ran into a limit of length.
    pub(crate) fn end(&mut self, usage: Usage) -> impl Iterator<Item = Event> {
        let blocks = std::mem::take(&mut self.blocks).into_iter();
        let choices = std::mem::take(&mut self.choices).into_iter();
        let closes = blocks.map(|(choice, block)| Event::Close { choice, block, extra: Extra::default() });
        let finishes = choices.map(|choice| Event::Finish { choice, reason: Finish::Length, extra: Extra::default() });
        closes.chain(finishes).chain([Event::Usage { usage, extra: Extra::default() }, Event::End])
    }
}

#[cfg(test)]
mod tests {
    use ringway_adapters::event::Block;

    use super::*;

    #[test]
    fn only_what_is_open_is_ended() {
        let mut end = EarlyEnd::default();
        let open = |choice, block| Event::Open { choice, block, kind: Block::Text };
        for event in [open(0, 0), open(1, 0), Event::Close { choice: 0, block: 0, extra: Extra::default() }, open(0, 1)] {
            end.note(&event);
        }
        end.note(&Event::Finish { choice: 1, reason: Finish::Stop, extra: Extra::default() });
        let events: Vec<Event> = end.end(Usage::default()).collect();
        assert!(
            matches!(events[0], Event::Close { choice: 1, block: 0, .. }) && matches!(events[1], Event::Close { choice: 0, block: 1, .. })
        );
        assert!(matches!(events[2], Event::Finish { choice: 0, reason: Finish::Length, .. }), "{events:?}");
        assert!(matches!(events[4], Event::End) && events.len() == 5, "{events:?}");
    }
}

//! Puts blocks one after another: clients of Converse gather one block at a time, other dialects interleave parallel calls.
//!
//! A block that begins while another one is open waits until that one closes. A text block that its source keeps open gives
//! way, and more of its text opens a new block.

use std::collections::VecDeque;

use crate::event::{Block, Event};

/// Events that wait behind an open block.
const WAITING_MAX: usize = 65_536;

/// The order of one answer's blocks.
#[derive(Debug, Default)]
pub(super) struct Order {
    open: Option<Open>,
    waiting: VecDeque<Waiting>,
    waiting_count: usize,
    /// Text blocks that gave way.
    lapsed: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    block: u32,
    is_text: bool,
}

/// A block that waits for its turn, from its `Open` on.
#[derive(Debug)]
struct Waiting {
    block: u32,
    is_text: bool,
    events: Vec<Event>,
    is_closed: bool,
}

/// More than `WAITING_MAX` events wait.
#[derive(Debug)]
pub(super) struct TooMuch;

impl Order {
    /// Calls `each` with what `event` lets through, so that no two blocks are open at one time. An event of a block that is not
    /// there is let go.
    ///
    /// # Errors
    /// `TooMuch`.
    pub(super) fn take(&mut self, event: &Event, each: &mut dyn FnMut(&Event)) -> Result<(), TooMuch> {
        match event {
            Event::Open { block, kind, .. } => self.begin(*block, kind, event, each),
            Event::Delta { block, .. } | Event::Close { block, .. } => self.more(*block, event, each),
            _ => Ok(()),
        }
    }

    /// Lets through all that waits, and closes what is open.
    pub(super) fn end(&mut self, each: &mut dyn FnMut(&Event)) {
        loop {
            if let Some(open) = self.open.take() {
                each(&close(open.block));
            }
            self.release(each);
            if self.open.is_none() {
                return;
            }
        }
    }

    fn begin(&mut self, block: u32, kind: &Block, event: &Event, each: &mut dyn FnMut(&Event)) -> Result<(), TooMuch> {
        if let Some(open) = self.open.filter(|open| open.is_text) {
            self.open = None;
            self.lapsed.push(open.block);
            each(&close(open.block));
        }
        let is_text = matches!(kind, Block::Text | Block::Refusal);
        if self.open.is_some() {
            self.waiting.push_back(Waiting { block, is_text, events: Vec::new(), is_closed: false });
            return self.wait(self.waiting.len() - 1, event);
        }
        self.open = Some(Open { block, is_text });
        each(event);
        Ok(())
    }

    fn more(&mut self, block: u32, event: &Event, each: &mut dyn FnMut(&Event)) -> Result<(), TooMuch> {
        if self.open.is_some_and(|open| open.block == block) {
            each(event);
            if matches!(event, Event::Close { .. }) {
                self.open = None;
                self.release(each);
            }
            return Ok(());
        }
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.block == block && !waiting.is_closed) {
            return self.wait(at, event);
        }
        let Some(at) = self.lapsed.iter().position(|lapsed| *lapsed == block) else { return Ok(()) };
        self.lapsed.swap_remove(at);
        if matches!(event, Event::Close { .. }) {
            return Ok(());
        }
        self.begin(block, &Block::Text, &Event::Open { choice: 0, block, kind: Block::Text }, each)?;
        self.more(block, event, each)
    }

    fn wait(&mut self, at: usize, event: &Event) -> Result<(), TooMuch> {
        if self.waiting_count >= WAITING_MAX {
            return Err(TooMuch);
        }
        self.waiting_count += 1;
        self.waiting[at].is_closed = matches!(event, Event::Close { .. });
        self.waiting[at].events.push(event.clone());
        Ok(())
    }

    /// Lets through the blocks that waited, up to one that is still open.
    fn release(&mut self, each: &mut dyn FnMut(&Event)) {
        while self.open.is_none()
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.waiting_count -= waiting.events.len();
            waiting.events.iter().for_each(&mut *each);
            self.open = Some(Open { block: waiting.block, is_text: waiting.is_text }).filter(|_| !waiting.is_closed);
        }
    }
}

fn close(block: u32) -> Event {
    Event::Close { choice: 0, block, extra: Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Delta;
    use crate::ir::Extra;

    fn call(block: u32) -> Event {
        Event::Open { choice: 0, block, kind: Block::ToolCall { id: "i".into(), name: "n".into(), extra: Extra::default() } }
    }

    fn text(block: u32) -> Event {
        Event::Open { choice: 0, block, kind: Block::Text }
    }

    fn more(block: u32, text: &str) -> Event {
        Event::Delta { choice: 0, block, delta: Delta::Text(text.into()) }
    }

    fn told(events: &[Event]) -> String {
        let (mut order, mut out) = (Order::default(), String::new());
        let mut each = |event: &Event| match event {
            Event::Open { block, .. } => out.push_str(&format!("<{block} ")),
            Event::Delta { delta: Delta::Text(text), .. } => out.push_str(text),
            Event::Close { block, .. } => out.push_str(&format!(" {block}>")),
            _ => {}
        };
        events.iter().for_each(|event| order.take(event, &mut each).unwrap());
        order.end(&mut each);
        out
    }

    #[test]
    fn blocks_come_one_after_another() {
        let interleaved = [call(0), call(1), more(1, "b"), more(0, "a"), close(1), call(2), more(2, "c"), more(0, "A"), close(0)];
        assert_eq!(told(&interleaved), "<0 aA 0><1 b 1><2 c 2>");
    }

    #[test]
    fn text_gives_way_and_goes_on_behind() {
        let events = [text(0), more(0, "a"), call(1), more(1, "x"), more(0, "b"), close(1), more(0, "c"), close(0)];
        assert_eq!(told(&events), "<0 a 0><1 x 1><0 bc 0>");
        assert_eq!(told(&[text(0), text(1), more(0, "a"), more(1, "b"), close(7), more(9, "x")]), "<0  0><1  1><0 a 0><1 b 1>");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::default();
        order.take(&call(0), &mut |_| {}).unwrap();
        order.take(&call(1), &mut |_| {}).unwrap();
        let taken = (0..WAITING_MAX + 1).take_while(|_| order.take(&more(1, "x"), &mut |_| {}).is_ok()).count();
        assert_eq!(taken, WAITING_MAX - 1);
    }
}

//! The built-in model `ringway/echo`: answers with the last user message.

use crate::event::{Block, Delta, Event, Finish};
use crate::ir::{Chat, Extra, Message, Part, PartKind, Role};
use crate::usage::Usage;

/// Bytes that count as one token.
const TOKEN_BYTES: usize = 4;

/// The whole answer as events, `End` included, with true token estimates in its usage. Deterministic but for `id`.
///
/// The text comes word by word, so that a stream of it looks like one. `max_tokens` cuts it as a model's would.
pub fn answer(chat: &Chat<'_>, id: &str, now_unix: u64) -> Vec<Event> {
    let said = last_user_text(&chat.messages);
    let (text, reason) = match chat.max_tokens.and_then(|max| cut(&said, max)) {
        Some(text) => (text, Finish::Length),
        None => (said.as_str(), Finish::Stop),
    };
    let (choice, block) = (0, 0);
    let model = chat.model.clone().into_owned();
    let mut events = vec![Event::Start { id: id.to_owned(), model, created: Some(now_unix), extra: Extra::default() }];
    events.push(Event::Open { choice, block, kind: Block::Text });
    events.extend(words(text).map(|word| Event::Delta { choice, block, delta: Delta::Text(word.to_owned()) }));
    events.push(Event::Close { choice, block, extra: Extra::default() });
    events.push(Event::Finish { choice, reason, extra: Extra::default() });
    let usage = Usage { input: tokens(prompt_bytes(chat)), output: tokens(text.len()), ..Usage::default() };
    events.push(Event::Usage { usage, extra: Extra::default() });
    events.push(Event::End);
    events
}

/// Texts of the last user turn that has one; results of tools count where nothing else was said.
fn last_user_text(messages: &[Message<'_>]) -> String {
    let turns = messages.iter().rev().filter(|message| message.role == Role::User);
    for message in turns {
        let mut text = String::new();
        collect(&message.parts, &mut text);
        if !text.is_empty() {
            return text;
        }
    }
    String::new()
}

fn collect(parts: &[Part<'_>], text: &mut String) {
    for part in parts {
        match &part.kind {
            PartKind::Text(more) => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(more);
            }
            PartKind::ToolResult { parts, .. } => collect(parts, text),
            _ => {}
        }
    }
}

/// The first `max` tokens of a longer text.
fn cut(text: &str, max: u64) -> Option<&str> {
    let max_bytes = usize::try_from(max).unwrap_or(usize::MAX).saturating_mul(TOKEN_BYTES);
    if text.len() <= max_bytes {
        return None;
    }
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(&text[..end])
}

/// Words with the white space before them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let len = rest[start..].find(char::is_whitespace).map_or(rest.len(), |end| start + end);
        let (word, after) = rest.split_at(len);
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

fn prompt_bytes(chat: &Chat<'_>) -> usize {
    let turns = chat.messages.iter().map(|message| parts_bytes(&message.parts)).sum::<usize>();
    parts_bytes(&chat.system) + turns
}

fn parts_bytes(parts: &[Part<'_>]) -> usize {
    let bytes = |part: &Part<'_>| match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) | PartKind::Thinking { text, .. } => text.len(),
        PartKind::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
        PartKind::ToolResult { parts, .. } => parts_bytes(parts),
        _ => 0,
    };
    parts.iter().map(bytes).sum()
}

fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(TOKEN_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(texts: &[(Role, &'static str)]) -> Chat<'static> {
        let message = |(role, text): &(Role, &'static str)| Message {
            role: *role,
            parts: vec![Part::text(*text)],
            name: None,
            extra: Extra::default(),
        };
        Chat { model: "ringway/echo".into(), messages: texts.iter().map(message).collect(), ..Chat::default() }
    }

    fn text(events: &[Event]) -> String {
        let text = |event: &Event| if let Event::Delta { delta: Delta::Text(text), .. } = event { Some(text.clone()) } else { None };
        events.iter().filter_map(text).collect()
    }

    #[test]
    fn the_last_user_message_comes_back_word_by_word() {
        let events = answer(&chat(&[(Role::User, "no"), (Role::Assistant, "x"), (Role::User, " two  words\n")]), "id", 7);
        assert_eq!(text(&events), " two  words\n");
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Delta { .. })).count(), 3);
        assert!(matches!(events.last(), Some(Event::End)));
        let usage = Usage { input: 4, output: 3, ..Usage::default() };
        assert!(events.iter().any(|event| matches!(event, Event::Usage { usage: own, .. } if *own == usage)));
    }

    #[test]
    fn max_tokens_cuts_between_characters() {
        let mut chat = chat(&[(Role::User, "日本語日本語")]);
        chat.max_tokens = Some(2);
        let events = answer(&chat, "id", 7);
        assert_eq!(text(&events), "日本");
        assert!(events.iter().any(|event| matches!(event, Event::Finish { reason: Finish::Length, .. })));
    }

    #[test]
    fn no_message_gives_an_empty_answer() {
        assert_eq!(text(&answer(&chat(&[]), "id", 7)), "");
    }
}

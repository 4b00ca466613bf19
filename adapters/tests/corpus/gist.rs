//! What every dialect must carry of a request.

use ringway_adapters::ir::{Chat, Mode, Part, PartKind, Role, Source, ToolChoice};
use serde_json::Value;

/// What every dialect must carry of a request.
#[derive(Debug, Default, PartialEq)]
pub struct Gist {
    system: String,
    user: String,
    assistant: String,
    calls: Vec<(String, Value)>,
    results: Vec<String>,
    images: usize,
    documents: usize,
    audios: usize,
    tools: Vec<String>,
    /// Absent is `auto`.
    tool_choice: Option<String>,
    stream: Mode,
}

impl Gist {
    pub fn of(chat: &Chat<'_>) -> Gist {
        let mut gist = Gist { stream: chat.stream, ..Gist::default() };
        chat.system.iter().for_each(|part| add(part, Role::System, &mut gist));
        for message in &chat.messages {
            message.parts.iter().for_each(|part| add(part, message.role, &mut gist));
        }
        // A request of system text alone is asked as the user's by dialects that demand a user turn.
        if gist.user.is_empty() && gist.assistant.is_empty() && gist.results.is_empty() {
            gist.user = std::mem::take(&mut gist.system);
        }
        gist.tools.extend(chat.tools.iter().filter(|tool| tool.parameters.is_some()).map(|tool| tool.name.to_string()));
        let choice = chat.tool_choice.as_ref().filter(|choice| !matches!(choice, ToolChoice::Auto) && !chat.tools.is_empty());
        gist.tool_choice = choice.map(|choice| match (choice, chat.tools.as_slice()) {
            // With one tool, any tool is that tool.
            (ToolChoice::Tool(name), [tool]) if tool.name == *name => format!("{:?}", ToolChoice::Required),
            (choice, _) => format!("{choice:?}"),
        });
        if matches!(chat.tool_choice, Some(ToolChoice::None)) {
            // Tools that may not be called are none.
            gist.tools.clear();
            gist.tool_choice = None;
        }
        gist
    }

    /// Without what the path says in some dialects.
    pub fn without_mode(self) -> Gist {
        Gist { stream: Mode::Whole, ..self }
    }

    pub fn same(&self, got: &Gist) -> Result<(), String> {
        if self == got {
            return Ok(());
        }
        let cut = |gist: &Gist| format!("{gist:?}").chars().take(2000).collect::<String>();
        Err(format!("{} instead of {}", cut(got), cut(self)))
    }
}

fn add(part: &Part<'_>, role: Role, gist: &mut Gist) {
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => {
            let all = match role {
                Role::System => &mut gist.system,
                Role::User => &mut gist.user,
                Role::Assistant => &mut gist.assistant,
            };
            // Parts are joined by other white space in some dialects.
            all.extend(text.split_whitespace());
        }
        // A text document is text where the dialect has no documents.
        PartKind::Document { source: Source::Text { text, .. }, .. } => add(&Part::text(text.as_ref()), role, gist),
        PartKind::Document { source: Source::Base64 { media_type, data }, .. } if media_type.starts_with("text/") => {
            let bytes = crate::base64::decode(data).unwrap_or_default();
            add(&Part::text(String::from_utf8_lossy(&bytes).into_owned()), role, gist);
        }
        PartKind::Image { .. } => gist.images += 1,
        PartKind::Document { .. } => gist.documents += 1,
        PartKind::Audio { .. } => gist.audios += 1,
        PartKind::ToolCall { name, arguments, .. } => {
            gist.calls.push((name.to_string(), crate::outcome::arguments(arguments.to_string())));
        }
        PartKind::ToolResult { parts, .. } => {
            let mut inner = Gist::default();
            parts.iter().for_each(|part| add(part, Role::User, &mut inner));
            gist.results.push(inner.user);
            gist.images += inner.images;
            gist.documents += inner.documents;
        }
        _ => {}
    }
}

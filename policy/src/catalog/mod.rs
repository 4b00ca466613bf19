//! The catalog: what is known of models.
//!
//! `policy/catalog/models.tsv` is part of the program: `cargo run -p ringway-policy --example catalog -- FILE` makes it anew
//! from a newer price file. Its names are read when the first model is looked up, a row when it is; policy/catalog/README.md has
//! the figures.

use std::sync::{Arc, OnceLock};

pub use abilities::Abilities;
pub use index::Catalog;
pub use row::{COLUMNS, Row};

use crate::cost::Rates;

mod abilities;
mod index;
mod names;
mod row;

/// The committed catalog.
const TEXT: &str = include_str!("../../catalog/models.tsv");

/// What is known of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFacts {
    /// Its id in the catalog.
    pub id: Box<str>,
    pub mode: Option<Mode>,
    /// Most tokens of a request and its answer.
    pub context_tokens_max: Option<u64>,
    pub output_tokens_max: Option<u64>,
    pub abilities: Abilities,
    /// `None` where they are unknown; rates of zero are free.
    pub rates: Option<Rates>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Chat,
    Completion,
    Responses,
    Embedding,
    Rerank,
    Moderation,
    ImageGeneration,
    ImageEdit,
    VideoGeneration,
    Transcription,
    Speech,
    Realtime,
    Search,
    Ocr,
    VectorStore,
    Guardrail,
    Container,
    Evaluation,
}

impl Mode {
    /// Their names in the catalog, in the order of the enum; its source calls them the same.
    pub const WORDS: &[(&str, Mode)] = &[
        ("chat", Mode::Chat),
        ("completion", Mode::Completion),
        ("responses", Mode::Responses),
        ("embedding", Mode::Embedding),
        ("rerank", Mode::Rerank),
        ("moderation", Mode::Moderation),
        ("image_generation", Mode::ImageGeneration),
        ("image_edit", Mode::ImageEdit),
        ("video_generation", Mode::VideoGeneration),
        ("audio_transcription", Mode::Transcription),
        ("audio_speech", Mode::Speech),
        ("realtime", Mode::Realtime),
        ("search", Mode::Search),
        ("ocr", Mode::Ocr),
        ("vector_store", Mode::VectorStore),
        ("guardrail", Mode::Guardrail),
        ("container", Mode::Container),
        ("evaluation", Mode::Evaluation),
    ];

    pub fn name(self) -> &'static str {
        Mode::WORDS[self as usize].0
    }

    pub fn from_name(name: &str) -> Option<Mode> {
        Mode::WORDS.iter().find(|(word, _)| *word == name).map(|(_, mode)| *mode)
    }
}

static CATALOG: OnceLock<Catalog<'static>> = OnceLock::new();

/// The committed catalog. Reads it when first called.
pub fn catalog() -> &'static Catalog<'static> {
    // A test reads every line, so none is left out here.
    CATALOG.get_or_init(|| Catalog::read(TEXT))
}

/// Somebody has called for it.
pub fn is_loaded() -> bool {
    CATALOG.get().is_some()
}

/// The facts of `model` at the provider that the catalog calls `provider`. Reads the catalog when first called.
pub fn find(provider: &str, model: &str) -> Option<Arc<ModelFacts>> {
    catalog().find(provider, model).cloned()
}

/// The facts of an image model for one size (`1024x1024`) and quality (`hd`), where the catalog tells them apart.
pub fn find_image(provider: &str, model: &str, size: Option<&str>, quality: Option<&str>) -> Option<Arc<ModelFacts>> {
    catalog().find_image(provider, model, size, quality).cloned()
}

#[cfg(test)]
mod tests;

//! The price file's keys: what becomes of each, or why it is left out.

use ringway_policy::catalog::Abilities;
use ringway_policy::cost::{Family, Tariff};

/// A price that is a number for one unit, without tier and tariff → its family.
pub const RATES: &[(&str, Family)] = &[
    ("input_cost_per_token", Family::Input),
    ("output_cost_per_token", Family::Output),
    ("cache_read_input_token_cost", Family::CachedRead),
    ("input_cost_per_token_cache_hit", Family::CachedRead),
    // Of a cache that the request names; no usage tells it from the other, so it holds where it stands alone.
    ("explicit_cache_read_input_token_cost", Family::CachedRead),
    ("cache_creation_input_token_cost", Family::CachedWrite),
    ("cache_creation_input_token_cost_above_1hr", Family::CachedWrite1h),
    ("cache_creation_input_token_cost_above_12hr", Family::CachedWrite12h),
    ("output_cost_per_reasoning_token", Family::Reasoning),
    ("input_cost_per_audio_token", Family::AudioInput),
    ("output_cost_per_audio_token", Family::AudioOutput),
    ("input_cost_per_image_token", Family::ImageInput),
    ("output_cost_per_image_token", Family::ImageOutput),
    ("citation_cost_per_token", Family::Citation),
    ("output_cost_per_image", Family::Image),
    ("input_cost_per_image", Family::ImageRead),
    ("input_cost_per_second", Family::Second),
    ("output_cost_per_second", Family::Second),
    ("input_cost_per_audio_per_second", Family::Second),
    ("cost_per_second", Family::Second),
    ("input_cost_per_character", Family::Character),
    ("output_cost_per_character", Family::Character),
    ("ocr_cost_per_page", Family::Page),
    ("input_cost_per_request", Family::Request),
    ("input_cost_per_query", Family::Query),
    ("google_maps_grounding_cost_per_query", Family::MapsQuery),
    ("file_search_cost_per_1k_calls", Family::FileSearch),
    ("code_interpreter_cost_per_session", Family::CodeSession),
];

/// Where two keys of one family stand in an entry: the first one is taken, or the dearest.
pub const FIRST_WINS: &[Family] = &[Family::CachedRead, Family::Character];

/// The endings of tariffs; they stand before or behind that of a tier.
pub const TARIFFS: &[(&str, Tariff)] =
    &[("_batches", Tariff::Batch), ("_batch_requests", Tariff::Batch), ("_flex", Tariff::Flex), ("_priority", Tariff::Priority)];

/// The fees of web searches, by how much context is read.
pub const SEARCHES: &[(&str, Family)] = &[
    ("search_context_size_low", Family::SearchLow),
    ("search_context_size_medium", Family::SearchMedium),
    ("search_context_size_high", Family::SearchHigh),
];

/// Flags → abilities.
pub const FLAGS: &[(&str, Abilities)] = &[
    ("supports_vision", Abilities::VISION),
    ("supports_image_input", Abilities::VISION),
    ("supports_function_calling", Abilities::TOOLS),
    ("supports_parallel_function_calling", Abilities::PARALLEL_TOOLS),
    ("supports_tool_choice", Abilities::TOOL_CHOICE),
    ("supports_response_schema", Abilities::JSON_SCHEMA),
    ("supports_native_structured_output", Abilities::JSON_SCHEMA),
    ("supports_prompt_caching", Abilities::PROMPT_CACHING),
    ("supports_reasoning", Abilities::REASONING),
    ("supports_audio_input", Abilities::AUDIO_INPUT),
    ("supports_audio_output", Abilities::AUDIO_OUTPUT),
    ("supports_pdf_input", Abilities::PDF),
    ("supports_video_input", Abilities::VIDEO),
    ("supports_web_search", Abilities::WEB_SEARCH),
    ("supports_url_context", Abilities::URL_CONTEXT),
    ("supports_system_messages", Abilities::SYSTEM_MESSAGES),
    ("supports_assistant_prefill", Abilities::PREFILL),
    ("supports_computer_use", Abilities::COMPUTER_USE),
    ("supports_native_streaming", Abilities::STREAMING),
    ("supports_embedding_image_input", Abilities::IMAGE_EMBEDDING),
];

/// Keys that are read by name elsewhere in this program.
pub const READ: &[&str] = &[
    "litellm_provider",
    "mode",
    "max_tokens",
    "max_input_tokens",
    "max_output_tokens",
    "aliases",
    "tiered_pricing",
    "off_peak_pricing",
    "search_context_cost_per_query",
    "input_cost_per_pixel",
    "output_cost_per_pixel",
];

/// What is known and not taken, and why. `*` stands for any text; the first row that fits holds.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("*_video_*", "no operation carries video; its tokens are counted as tokens of prompt and answer"),
    ("*_above_*s_interval", "no operation carries video"),
    ("output_cost_per_second_*", "seconds of video by resolution; no operation carries video"),
    ("*_dbu_*", "the same price in another currency, beside dollars"),
    ("output_db_cost_per_token", "the same price in another currency, beside dollars"),
    ("*_per_gb_per_day", "storage is charged by the day, not by the request"),
    ("*_per_gb_day", "storage is charged by the day, not by the request"),
    ("*_uplift_multiplier*", "depends on the account's region; write it as the provider's margin"),
    ("*_multiplier*", "depends on the account; write it as the provider's margin"),
    ("provider_specific_entry", "multipliers of a region or speed; write them as the provider's margin"),
    ("computer_use_*", "no usage tells its tokens apart"),
    ("cache_read_input_audio_token_cost*", "no usage tells which cached tokens are audio; they cost what cached text does"),
    ("cache_read_input_image_token_cost*", "no usage tells which cached tokens are images; they cost what cached text does"),
    ("cache_creation_input_audio_token_cost*", "no usage tells which cached tokens are audio; they cost what cached text does"),
    ("cache_creation_input_image_token_cost*", "no usage tells which cached tokens are images; they cost what cached text does"),
    ("*_ultrafast", "a tariff that no request asks for by a word of its API that is known here"),
    ("*_balanced", "a tariff that no request asks for by a word of its API that is known here"),
    ("*_decisions", "the tariff of an endpoint that no operation stands for"),
    ("input_cost_per_text_message", "realtime conversations are no operation"),
    ("search_free_requests", "an allowance of the account, by the day or the month"),
    ("annotation_cost_per_page*", "asked for apart from reading a page; no usage tells it"),
    ("ocr_cost_per_credit*", "credits are the provider's own measure; no usage tells them"),
    ("guardrail_cost_per_unit", "guardrails of a cloud are not called through the gateway"),
    ("output_cost_per_image_premium_image", "a price of an option that no usage tells"),
    ("output_cost_per_image_above_*", "a price of an option that no usage tells"),
    ("input_cost_per_image_above_*", "a tier of images of the prompt, which no usage counts"),
    ("input_cost_per_character_above_*", "text is counted in tokens"),
    ("output_cost_per_character_above_*", "text is counted in tokens"),
    ("input_cost_per_audio_per_second_above_*", "audio in a prompt is counted in tokens"),
    ("deprecation_date", "no price"),
    ("source", "no price"),
    ("comment", "no price"),
    ("metadata", "no price"),
    ("notes", "no price"),
    ("rpm", "a limit of the account"),
    ("rpd", "a limit of the account"),
    ("tpm", "a limit of the account"),
    ("max_*", "a limit that no request is checked against"),
    ("output_vector_size", "no price"),
    ("prompt_cache_min_tokens", "no price"),
    ("tool_use_system_prompt_tokens", "the provider counts them in its usage"),
    ("web_search_billing_unit", "no price"),
    ("supported_*", "no ability that a request is checked against"),
    ("supports_*", "no ability that a request is checked against"),
    ("bedrock_*", "no ability that a request is checked against"),
    ("gemini_*", "no ability that a request is checked against"),
    ("vertex_ai_*", "no ability that a request is checked against"),
    ("*reasoning_effort*", "no ability that a request is checked against"),
    ("thinking_*", "no ability that a request is checked against"),
    ("reasoning_*", "no ability that a request is checked against"),
    ("token_count_*", "how another program counts tokens"),
    ("use*_*", "how another program calls the model"),
    ("audio_transcription_config", "how another program calls the model"),
    ("inference_geo", "how another program calls the model"),
];

/// Modes that are known and not taken, and why. Such a model is taken without a mode.
pub const MODES_LEFT_OUT: &[(&str, &str)] = &[
    ("decisions", "an endpoint of its own that no operation stands for"),
    ("extraction", "an endpoint of its own that no operation stands for"),
];

/// `*` stands for any text.
pub fn fits(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((head, tail)) => {
            key.strip_prefix(head).is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits(tail, &rest[at..])))
        }
    }
}

/// A key that states a price, whatever else becomes of it.
pub fn is_price(key: &str) -> bool {
    ["cost", "pric", "multiplier", "_fee"].iter().any(|part| key.contains(part))
}

/// A key without its endings, its tier and its tariff.
pub fn take_apart(key: &str) -> (&str, u32, Tariff) {
    let (mut key, mut above, mut tariff) = (key, 0, Tariff::Standard);
    loop {
        if let Some((stem, found)) = TARIFFS.iter().find_map(|(ending, tariff)| Some((key.strip_suffix(ending)?, *tariff))) {
            (key, tariff) = (stem, found);
        } else if let Some((stem, tokens)) = tier(key) {
            (key, above) = (stem, tokens);
        } else {
            return (key, above, tariff);
        }
    }
}

/// `…_above_200k_tokens` and `…_above_500_tokens`.
fn tier(key: &str) -> Option<(&str, u32)> {
    let stem = key.strip_suffix("_tokens")?;
    let at = stem.rfind("_above_")?;
    let number = &stem[at + "_above_".len()..];
    let tokens = match number.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u32>().ok()?.checked_mul(1_000)?,
        None => number.parse().ok()?,
    };
    Some((&stem[..at], tokens))
}

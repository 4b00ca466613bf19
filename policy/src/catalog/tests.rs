use super::*;

const SMALL: &str = "# a comment
gpt-4o\topenai\tchat\t128000\t16384\tvision,tools\t-\tinput=0.0000025 output=0.00001\t-
gpt-4o-2024-05-13\topenai\tchat\t128000\t4096\t-\t-\tinput=0.000005 output=0.000015\t-
ft:gpt-4o-2024-08-06\topenai\tchat\t-\t-\t-\t-\tinput=0.00000375 output=0.000015\t-
claude-sonnet-4-5-20250929\tanthropic\tchat\t200000\t64000\t-\tclaude-sonnet-4.5\tinput=0.000003 output=0.000015\t-
claude-sonnet-4-5-20250101\tanthropic\tchat\t-\t-\t-\t-\tinput=9 output=9\t-
azure/gpt-4o\tazure\tchat\t-\t-\t-\t-\tinput=0.0000025 output=0.00001\t-
azure/eu/gpt-4o\tazure\tchat\t-\t-\t-\t-\tinput=0.00000275 output=0.000011\t-
anthropic.claude-v9:0\tbedrock\tchat\t-\t-\t-\t-\tinput=0.000001 output=0.000002\t-
eu.anthropic.claude-v9:0\tbedrock\tchat\t-\t-\t-\t-\tinput=0.0000011 output=0.0000022\t-
bedrock/us-east-1/cohere.m\tbedrock\tchat\t-\t-\t-\t-\tinput=0.000004 output=0\t-
vertex_ai/claude-x@20250929\tvertex_ai-anthropic_models\tchat\t-\t-\t-\t-\tinput=0.000006 output=0\t-
1024-x-1024/dall-e-3\topenai\timage_generation\t-\t-\t-\t-\timage=0.04\t-
hd/1024-x-1792/dall-e-3\topenai\timage_generation\t-\t-\t-\t-\timage=0.12\t-
mystery\topenai\t-\t-\t-\t-\t-\t-\t-
";

fn id(provider: &str, model: &str) -> Option<String> {
    Catalog::read(SMALL).find(provider, model).map(|facts| facts.id.to_string())
}

#[test]
fn a_model_is_found_by_every_name_that_it_goes_by() {
    for (provider, model, found) in [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4o-2099-01-01", "gpt-4o"),
        ("openai", "gpt-4o-latest", "gpt-4o"),
        ("openai", "ft:gpt-4o-2024-08-06:acme:name:id", "ft:gpt-4o-2024-08-06"),
        ("openai", "ft:gpt-4o:acme::id", "ft:gpt-4o-2024-08-06"),
        ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-sonnet-4-5-latest", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-sonnet-4.5", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-sonnet-4-5-20250101", "claude-sonnet-4-5-20250101"),
        ("azure", "gpt-4o", "azure/gpt-4o"),
        ("azure", "gpt-4o-2024-11-20", "azure/gpt-4o"),
        ("azure", "eu/gpt-4o", "azure/eu/gpt-4o"),
        ("azure", "us/gpt-4o", "azure/gpt-4o"),
        ("bedrock", "anthropic.claude-v9:0", "anthropic.claude-v9:0"),
        ("bedrock", "eu.anthropic.claude-v9:0", "eu.anthropic.claude-v9:0"),
        ("bedrock", "us.anthropic.claude-v9:0", "anthropic.claude-v9:0"),
        ("bedrock", "bedrock/eu-west-3/anthropic.claude-v9:0", "anthropic.claude-v9:0"),
        ("bedrock", "us-east-1/cohere.m", "bedrock/us-east-1/cohere.m"),
        ("vertex_ai", "claude-x@20250929", "vertex_ai/claude-x@20250929"),
        ("vertex_ai", "claude-x", "vertex_ai/claude-x@20250929"),
        ("openai", "dall-e-3", "hd/1024-x-1792/dall-e-3"),
    ] {
        assert_eq!(id(provider, model).as_deref(), Some(found), "{provider} {model}");
    }
}

#[test]
fn a_name_that_is_not_known_finds_nothing() {
    for (provider, model) in [
        ("openai", "claude-sonnet-4-5"),
        ("anthropic", "gpt-4o"),
        ("nobody", "gpt-4o"),
        ("openai", ""),
        ("openai", "ft:mystery:acme::id"),
        ("openai", "gpt-4"),
        ("bedrock", "eu.cohere.m"),
    ] {
        assert_eq!(id(provider, model), None, "{provider} {model}");
    }
    assert_eq!(id("openai", &"gpt-4o/".repeat(1_000)), None);
    assert_eq!(Catalog::read(SMALL).find("openai", "mystery").unwrap().rates, None, "known, without a price");
}

#[test]
fn an_image_is_found_by_size_and_quality() {
    let catalog = Catalog::read(SMALL);
    let id = |size, quality| catalog.find_image("openai", "dall-e-3", size, quality).map(|facts| facts.id.to_string());
    assert_eq!(id(Some("1024x1024"), None).as_deref(), Some("1024-x-1024/dall-e-3"));
    assert_eq!(id(Some("1024x1792"), Some("hd")).as_deref(), Some("hd/1024-x-1792/dall-e-3"));
    assert_eq!(id(None, None).as_deref(), Some("hd/1024-x-1792/dall-e-3"), "without a size, the dearest");
    assert_eq!(id(Some("auto"), Some("high")).as_deref(), Some("hd/1024-x-1792/dall-e-3"));
}

#[test]
fn the_committed_catalog_can_be_read_to_its_last_line() {
    assert_eq!(Catalog::unreadable(TEXT).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(Catalog::unreadable("# no\nm\tp\n").collect::<Vec<_>>(), ["m\tp"]);
    let ids: Vec<&str> = catalog().iter().map(|(_, facts)| &*facts.id).collect();
    assert!(ids.is_sorted(), "a newer file makes a small difference");
    assert!(TEXT.len() < 4 << 20, "it is part of the program");
    for (index, (word, mode)) in Mode::WORDS.iter().enumerate() {
        assert_eq!((*mode as usize, mode.name()), (index, *word));
    }
}

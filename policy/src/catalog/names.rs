//! Names that stand for one another: dates, regions, fine-tunes, sizes of images.

/// A name without the date at its end: `m-2024-11-20`, `m-20241120`, `m@20241120` → `m` and the date's digits.
pub fn undated(name: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let dashed = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-' && digits(&text[..4]) && digits(&text[5..7]) && digits(&text[8..])
    };
    for length in [10, 8] {
        let Some((stem, date)) = name.len().checked_sub(length).and_then(|at| name.split_at_checked(at)) else { continue };
        if !date.starts_with("20") || !(if length == 10 { dashed(date) } else { digits(date) }) {
            continue;
        }
        let stem = stem.strip_suffix(['-', '@']).filter(|stem| !stem.is_empty());
        if let Some(stem) = stem {
            return Some((stem, date));
        }
    }
    None
}

/// A name without a cloud's region before it: `us.anthropic.m` and `us-east-1/m` → what stands behind.
pub fn without_region(name: &str) -> Option<&str> {
    /// Groups of regions, as they stand before a model's name and a dot.
    const GROUPS: &[&str] = &["us", "eu", "apac", "global", "us-gov", "jp", "au", "ca", "sa", "me", "af"];
    if let Some((group, rest)) = name.split_once('.')
        && GROUPS.contains(&group)
    {
        return Some(rest);
    }
    let (region, rest) = name.split_once('/')?;
    is_region(region).then_some(rest)
}

/// `us-east-1`, `us-gov-west-1`, `eu`, `global`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [group] => ["us", "eu", "global", "global-standard"].contains(group),
        [words @ .., number] => words.len() >= 2 && words.iter().all(letters) && number.parse::<u8>().is_ok(),
        [] => false,
    }
}

/// A fine-tune without its owner: `ft:m-2024-08-06:acme:name:id` → `ft:m-2024-08-06`.
pub fn fine_tuned(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("ft:")?;
    let end = rest.find(':')?;
    Some(&name[.."ft:".len() + end])
}

/// An image model's name without quality and size before it: `hd/1024-x-1024/m` → `m`. Quality stands on either side.
pub fn without_size(name: &str) -> Option<&str> {
    let mut at = 0;
    for part in name.split('/') {
        at += part.len() + 1;
        // Nearly no name has such a part, and all are asked when the catalog is read.
        if part.starts_with(|first: char| first.is_ascii_digit()) && pixels(part).is_some() {
            let rest = name.get(at..)?;
            let rest = rest.split_once('/').filter(|(steps, _)| steps.ends_with("-steps")).map_or(rest, |(_, rest)| rest);
            return (!rest.is_empty()).then_some(rest);
        }
    }
    None
}

/// Pixels of `1024-x-1536` or `1024x1536`.
pub fn pixels(size: &str) -> Option<u64> {
    let (width, height) = size.split_once("-x-").or_else(|| size.split_once('x'))?;
    width.parse::<u32>().ok().zip(height.parse::<u32>().ok()).map(|(width, height)| u64::from(width) * u64::from(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seen_in_each_form() {
        for (name, parts) in [
            ("gpt-4o-2024-11-20", Some(("gpt-4o", "2024-11-20"))),
            ("claude-sonnet-4-5-20250929", Some(("claude-sonnet-4-5", "20250929"))),
            ("claude-sonnet-4-5@20250929", Some(("claude-sonnet-4-5", "20250929"))),
            ("gpt-4o", None),
            ("20241120", None),
            ("gpt-4-0613", None),
            ("m-12345678", None),
            ("é-20241120", Some(("é", "20241120"))),
            ("ééééé", None),
        ] {
            assert_eq!(undated(name), parts, "{name}");
        }
    }

    #[test]
    fn regions_are_dropped_and_nothing_else() {
        for (name, rest) in [
            ("us.anthropic.claude", Some("anthropic.claude")),
            ("us-gov.anthropic.claude", Some("anthropic.claude")),
            ("us-east-1/anthropic.claude", Some("anthropic.claude")),
            ("us-gov-west-1/m", Some("m")),
            ("eu/gpt-4o", Some("gpt-4o")),
            ("anthropic.claude", None),
            ("meta-llama/llama-3", None),
            ("qwen/qwen-2", None),
            ("", None),
        ] {
            assert_eq!(without_region(name), rest, "{name}");
        }
    }

    #[test]
    fn fine_tunes_and_sizes_are_taken_apart() {
        assert_eq!(fine_tuned("ft:gpt-4o-2024-08-06:acme:x:1"), Some("ft:gpt-4o-2024-08-06"));
        assert_eq!(fine_tuned("ft:gpt-4o"), None);
        for (name, rest) in [
            ("hd/1024-x-1792/dall-e-3", Some("dall-e-3")),
            ("1024-x-1024/dall-e-2", Some("dall-e-2")),
            ("1024-x-1024/50-steps/stability.m", Some("stability.m")),
            ("meta/llama", None),
            ("1024-x-1024/", None),
        ] {
            assert_eq!(without_size(name), rest, "{name}");
        }
        assert_eq!((pixels("1024-x-1536"), pixels("256x256"), pixels("hd")), (Some(1_572_864), Some(65_536), None));
    }
}

//! What one exchange asks for and where its client leaves: a pure function of its number and the seed.

use serde_json::json;

/// The API that a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Chat,
    Messages,
    Responses,
}

impl Door {
    pub(super) fn name(self) -> &'static str {
        match self {
            Door::Chat => "chat",
            Door::Messages => "messages",
            Door::Responses => "responses",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Door::Chat => "/v1/chat/completions",
            Door::Messages => "/v1/messages",
            Door::Responses => "/v1/responses",
        }
    }
}

/// Where a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Never,
    /// With the request sent and nothing read, after so many microseconds.
    Waiting {
        pause_us: u64,
    },
    /// After so many bytes of the answer.
    After {
        bytes: usize,
    },
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Sent as `x-request-id`, which the gateway's record repeats.
    pub(super) id: u64,
    pub(super) model: String,
    pub(super) door: Door,
    pub(super) streams: bool,
    pub(super) key_index: usize,
    pub(super) leave: Leave,
    pub(super) body: String,
}

impl Exchange {
    /// Draws the `id`-th exchange.
    pub(super) fn draw(id: u64, seed: u64, models: &[String], key_count: usize, leave_percent: u64) -> Exchange {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        let named = &models[random.below(models.len() as u64) as usize];
        // A name that remembers (`once`) must be new to the mock.
        let (model, streams) = match named.strip_prefix('+') {
            Some(model) => (model.replace("{id}", &id.to_string()), true),
            None => (named.replace("{id}", &id.to_string()), random.below(2) == 0),
        };
        let door = [Door::Chat, Door::Messages, Door::Responses][random.below(3) as usize];
        let magnitude = random.below(16);
        let input = 1 + random.below(400_000 >> magnitude);
        let cached = if random.below(3) == 0 { random.below(input) } else { 0 };
        let written = if random.below(5) == 0 { random.below(input - cached) } else { 0 };
        let (output, reasoning) = (1 + random.below(3_000), if random.below(4) == 0 { random.below(500) } else { 0 });
        let tier = ["default", "default", "default", "flex", "priority"][random.below(5) as usize];
        let words =
            format!("exchange={id} input={input} cached={cached} written={written} output={output} reasoning={reasoning} tier={tier}");
        let leave = match random.below(100) < leave_percent {
            false => Leave::Never,
            true if random.below(4) == 0 => Leave::Waiting { pause_us: random.below(3_000) },
            true => Leave::After { bytes: 1 + random.below(6_000) as usize },
        };
        let bounded = random.below(2) == 0;
        let body = body(door, &model, &words, streams, bounded, random.below(2) == 0);
        Exchange { id, model, door, streams, key_index: random.below(key_count as u64) as usize, leave, body }
    }
}

fn body(door: Door, model: &str, words: &str, streams: bool, bounded: bool, asks_usage: bool) -> String {
    const TOKENS_MAX: u64 = 4_000;
    let messages = json!([{"role": "user", "content": words}]);
    let mut body = match door {
        Door::Chat => json!({"model": model, "messages": messages}),
        Door::Messages => json!({"model": model, "max_tokens": TOKENS_MAX, "messages": messages}),
        Door::Responses => json!({"model": model, "input": words}),
    };
    if streams {
        body["stream"] = json!(true);
    }
    match door {
        Door::Chat if bounded => body["max_completion_tokens"] = json!(TOKENS_MAX),
        Door::Responses if bounded => body["max_output_tokens"] = json!(TOKENS_MAX),
        _ => {}
    }
    if door == Door::Chat && streams && asks_usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string()
}

/// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        ((u128::from(word) * u128::from(bound.max(1))) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_a_function_of_its_number_and_the_seed() {
        let models = ["a/m".to_owned(), "+a/s-{id}".to_owned()];
        let draw = |id, seed| format!("{:?}", Exchange::draw(id, seed, &models, 2, 15));
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        let all: Vec<Exchange> = (0..1_000).map(|id| Exchange::draw(id, 1, &models, 2, 15)).collect();
        let left = all.iter().filter(|exchange| exchange.leave != Leave::Never).count();
        assert!((100..200).contains(&left), "{left}");
        assert!(all.iter().all(|exchange| exchange.model == "a/m" || exchange.streams));
        assert!(all.iter().any(|exchange| exchange.model.starts_with("a/s-")));
    }
}

//! A record for tests.

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};

use super::{Attempt, Record};

pub(super) fn record() -> Record {
    Record {
        id: [0xab; 16],
        at_ms: 1_795_170_348_123,
        shard: 1,
        operation: Operation::Chat,
        dialect: Some(DialectId::OpenaiChat),
        mode: Mode::Stream,
        key: Some("mobile".into()),
        team: None,
        customer: None,
        route: Some("chat-large".into()),
        asked: "chat \"large\"\n".into(),
        provider: Some("openai".into()),
        model: Some("gpt-4.1".into()),
        attempts: vec![
            Attempt {
                provider: "my-vllm".into(),
                model: "llama".into(),
                status: 0,
                fault: Some(Kind::UpstreamConnect),
                total_ns: 2_000_000,
                usage: Usage::default(),
                delivered: None,
                cost: None,
                times: Default::default(),
                tier: None,
                overtaken: false,
                span: 0,
            },
            Attempt {
                provider: "openai".into(),
                model: "gpt-4.1".into(),
                status: 200,
                fault: None,
                total_ns: 900_000_000,
                usage: Usage::default(),
                delivered: None,
                cost: None,
                times: Default::default(),
                tier: None,
                overtaken: false,
                span: 0,
            },
        ],
        status: 200,
        fault: None,
        usage: Usage { input: 10, output: 20, reasoning: 5, ..Usage::default() },
        provenance: Provenance::Provider,
        delivered: None,
        tier: None,
        losses: 0,
        rescued: false,
        request_bytes: 750,
        answer_bytes: 830,
        overhead_ns: 4_400,
        first_byte_ns: 200_000_000,
        total_ns: 905_000_000,
        client_request_id: Some("r-1".into()),
        client: Some("::1".parse().unwrap()),
        tags: None,
        end_user: None,
        cost: None,
        charges: Default::default(),
        downgraded: None,
        cut: false,
        mirror_of: None,
        trace: None,
        trail: Default::default(),
    }
}

use super::*;

/// 2026-11-20 00:00 UTC.
const MIDNIGHT: u64 = 1_795_132_800;
const NOON: u64 = MIDNIGHT + 12 * 3_600;

fn rates(text: &str) -> Rates {
    Rates::parse(text, "-").unwrap()
}

fn price(rates: &Rates, usage: Usage) -> Result<u64, &'static str> {
    rates.price(&usage, Tariff::Standard, NOON).map(|nanos| nanos.0).map_err(|missing| missing.rate)
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

#[test]
fn each_kind_of_token_is_charged_once_at_its_own_rate() {
    let rates = rates(
        "input=0.000001 cached_read=0.0000001 cached_write=0.00000125 cached_write_1h=0.000002 audio_input=0.00001 output=0.000002 reasoning=0.000003",
    );
    let usage = Usage {
        input: 1_000,
        cached_read: 500,
        cached_write: 200,
        cached_write_1h: 50,
        audio_input: 100,
        output: 100,
        reasoning: 40,
        ..Usage::default()
    };
    // 200 text, 500 read, 150 written, 50 written for an hour, 100 audio; 60 text, 40 reasoning.
    assert_eq!(price(&rates, usage), Ok(200_000 + 50_000 + 187_500 + 100_000 + 1_000_000 + 120_000 + 120_000));
}

#[test]
fn kinds_that_are_more_than_the_whole_cost_no_more_than_the_whole() {
    let rates = rates("input=0.000001 cached_read=0.0000001 output=0.000002");
    assert_eq!(price(&rates, Usage { input: 10, cached_read: 50, audio_input: 7, ..Usage::default() }), Ok(1_000));
}

#[test]
fn what_has_no_rate_costs_what_the_table_says() {
    let plain = rates("input=0.000001 output=0.000002");
    let all = Usage { cached_read: 10, cached_write: 10, cached_write_1h: 5, audio_input: 10, reasoning: 10, ..tokens(100, 100) };
    assert_eq!(price(&plain, all), price(&plain, tokens(100, 100)));
    assert_eq!(price(&plain, Usage { searches: 3, ..tokens(1, 0) }), Ok(1_000), "a search without a fee costs its tokens");
    let written = rates("input=0.000001 cached_write=0.000002 output=0");
    let hour = Usage { cached_write: 10, cached_write_1h: 10, ..tokens(10, 0) };
    assert_eq!(price(&written, hour), Ok(20_000), "an hour costs what minutes do");
    let searches = rates("input=0 output=0 search_low=0.01 search_high=0.03");
    assert_eq!(price(&searches, Usage { searches: 2, ..tokens(1, 1) }), Ok(60_000_000));
}

#[test]
fn free_and_unknown_differ() {
    assert_eq!(price(&rates("input=0 output=0"), tokens(5, 5)), Ok(0));
    assert_eq!(price(&Rates::free(), tokens(5, 5)), Ok(0));
    assert_eq!(price(&Rates::default(), tokens(5, 5)), Err("input"));
    assert_eq!(price(&rates("input=0"), tokens(5, 5)), Err("output"));
    assert_eq!(price(&rates("input=0"), tokens(5, 0)), Ok(0), "an embedding has no answer");
    assert_eq!(price(&rates("second=0.01"), tokens(5, 5)), Err("input"), "time on a rented machine is no price of tokens");
    assert_eq!(price(&rates("input=0 output=0"), Usage { images: 1, ..Usage::default() }), Err("image"));
    assert_eq!(rates("input=0").bound(1, 1, Tariff::Standard, NOON), Err(Missing { rate: "output" }));
    assert_eq!(Rates::default().bound(1, 0, Tariff::Standard, NOON), Err(Missing { rate: "input" }));
}

#[test]
fn what_is_not_counted_in_tokens_has_prices_too() {
    let usage = |usage: Usage| usage;
    assert_eq!(price(&rates("second=0.0001"), usage(Usage { audio_ms: 1_234, ..Usage::default() })), Ok(123_400));
    assert_eq!(price(&rates("character=0.000015"), usage(Usage { characters: 100, ..Usage::default() })), Ok(1_500_000));
    assert_eq!(
        price(&rates("image=0.04"), usage(Usage { images: 2, ..tokens(30, 0) })),
        Ok(80_000_000),
        "the prompt is in the image's price"
    );
    assert_eq!(price(&rates("query=0.002"), tokens(400, 0)), Ok(2_000_000));
    assert_eq!(price(&rates("input=0.000001 output=0 request=0.005"), tokens(1, 1)), Ok(5_001_000));
    let both = rates("input=0 output=0.000001 image_output=0.00003 image=0.039");
    assert_eq!(price(&both, Usage { images: 1, image_output: 1_000, ..tokens(0, 1_000) }), Ok(30_000_000), "an image is charged for once");
    assert_eq!(price(&both, Usage { images: 1, ..tokens(0, 10) }), Ok(39_010_000));
    let units = Units { pages: 3, ..Units::default() };
    assert_eq!(rates("page=0.001").price_units(&units, Tariff::Standard, NOON), Ok(NanoDollars(3_000_000)));
}

#[test]
fn a_tier_holds_for_the_whole_request_once_its_prompt_is_above() {
    let rates = rates("input=0.000001 input.above-200000=0.000002 output=0.00001 output.above-200000=0.000015 cached_read=0.0000001");
    assert_eq!(price(&rates, tokens(200_000, 1)), Ok(200_010_000));
    assert_eq!(price(&rates, tokens(200_001, 1)), Ok(400_017_000));
    let cached = Usage { cached_read: 200_001, ..tokens(200_001, 0) };
    assert_eq!(price(&rates, cached), Ok(20_000_100), "a family without a rate in the tier keeps its own");
}

#[test]
fn a_tariff_falls_back_to_the_standard_rate_and_the_tier_comes_first() {
    let rates = rates(
        "input=0.000001 input.priority=0.000002 input.above-100=0.0000015 output=0.000004 output.batch=0.000002 output.above-100.flex=0.000001",
    );
    let price = |tariff, input, output| rates.price(&tokens(input, output), tariff, NOON).unwrap().0;
    assert_eq!(price(Tariff::Priority, 100, 1), 200_000 + 4_000);
    assert_eq!(price(Tariff::Priority, 101, 1), 151_500 + 4_000, "the tier's standard rate before a lower tier's priority");
    assert_eq!(price(Tariff::Batch, 100, 1), 100_000 + 2_000);
    assert_eq!(price(Tariff::Flex, 101, 1), 151_500 + 1_000);
}

#[test]
fn off_peak_hours_are_cheaper_for_the_standard_tariff() {
    let rates = Rates::parse("input=0.000002 output=0.000004 input.batch=0.0000015", "16:30-00:30 input=0.000001").unwrap();
    let price = |tariff, at| rates.price(&tokens(10, 10), tariff, at).unwrap().0;
    assert_eq!(price(Tariff::Standard, NOON), 60_000);
    assert_eq!(price(Tariff::Standard, MIDNIGHT), 50_000);
    assert_eq!(price(Tariff::Batch, MIDNIGHT), 55_000);
    assert_eq!(rates.bound(10, 10, Tariff::Standard, MIDNIGHT), Ok(NanoDollars(60_000)), "the hours may end meanwhile");
}

#[test]
fn a_price_is_rounded_once_to_the_even_neighbour() {
    for (usd, nanos) in
        [("0.0000000005", 0), ("0.0000000015", 2), ("0.0000000025", 2), ("0.00000000050000000001", 1), ("0.0000000004999", 0)]
    {
        assert_eq!(price(&rates(&format!("input={usd} output=0")), tokens(1, 0)), Ok(nanos), "{usd}");
    }
    // Each part alone would be rounded down.
    assert_eq!(price(&rates("input=0.0000000004 output=0.0000000004"), tokens(1, 1)), Ok(1));
}

#[test]
fn a_margin_is_applied_before_the_rounding() {
    let rates = |margin| rates("input=0.0000000004 output=0").with_margin(Margin::parse(margin).unwrap());
    assert_eq!(price(&rates("25%"), tokens(1, 0)), Ok(0), "exactly a half goes to the even side");
    assert_eq!(price(&rates("26%"), tokens(1, 0)), Ok(1));
    assert_eq!(price(&rates("-50%"), tokens(1_000_000, 0)), Ok(200_000));
    assert_eq!(price(&rates("-100%"), tokens(1_000_000, 0)), Ok(0));
    assert_eq!(rates("50%").bound(1_000_000, 0, Tariff::Standard, NOON), Ok(NanoDollars(600_000)));
}

#[test]
fn figures_out_of_all_reason_end_at_the_most_there_is() {
    let dear = rates("input=1000000 output=1000000").with_margin(Margin::parse("10%").unwrap());
    assert_eq!(price(&dear, tokens(u64::MAX, u64::MAX)), Ok(u64::MAX));
    assert_eq!(dear.bound(u64::MAX, u64::MAX, Tariff::Priority, NOON), Ok(NanoDollars(u64::MAX)));
}

#[test]
fn own_rates_take_the_place_of_a_whole_family() {
    let catalog =
        Rates::parse("input=0.000002 input.above-100=0.000004 input.priority=0.000009 output=0.000004", "00:00-00:00 input=0 output=0")
            .unwrap();
    let own = [Rate { family: Family::Input, tariff: Tariff::Standard, above: 0, usd: Usd::parse("1e-6").unwrap() }];
    let rates = catalog.overridden_by(&own);
    assert_eq!((rates.to_string().as_str(), rates.off_peak_text().as_str()), ("input=0.000001 output=0.000004", "00:00-00:00 output=0"));
    assert_eq!(Rates::default().overridden_by(&own).to_string(), "input=0.000001");
}

/// Pseudo-random numbers, the same in every run.
fn numbers() -> impl FnMut(u64) -> u64 {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    }
}

#[test]
fn no_split_of_the_tokens_costs_more_than_the_bound() {
    let mut next = numbers();
    for _ in 0..2_000 {
        let mut list = vec![
            Rate { family: Family::Input, tariff: Tariff::Standard, above: 0, usd: Usd(u128::from(next(1_000)) * 10u128.pow(15)) },
            Rate { family: Family::Output, tariff: Tariff::Standard, above: 0, usd: Usd(u128::from(next(1_000)) * 10u128.pow(15)) },
        ];
        for _ in 0..next(12) {
            let (family, tariff) = (FAMILIES[next(COUNT as u64) as usize].0, Tariff::WORDS[next(4) as usize].1);
            list.push(Rate { family, tariff, above: next(3) as u32 * 500, usd: Usd(u128::from(next(9_999)) * 10u128.pow(14)) });
        }
        let off_peak =
            OffPeak { windows: [Hours::parse("10:00-13:00", DAILY).unwrap()].into(), rates: [(Family::Reasoning, Usd(7))].into() };
        let rates = Rates::new(list, (next(2) == 0).then_some(off_peak))
            .with_margin(Margin::parse(["0", "12.5%", "-30%"][next(3) as usize]).unwrap());
        let most = Usage {
            images: next(3),
            searches: next(3),
            audio_ms: next(5_000),
            characters: next(100),
            ..tokens(1 + next(2_000), 1 + next(2_000))
        };
        let tariff = Tariff::WORDS[next(4) as usize].1;
        let bound = rates.bound_usage(&most, tariff, NOON).unwrap();
        for _ in 0..20 {
            let mut below = |most: u64| next(most + 1);
            let (input, output) = (below(most.input), below(most.output));
            let usage = Usage {
                input,
                output,
                cached_read: below(input),
                cached_write: below(input),
                cached_write_1h: below(input),
                audio_input: below(input),
                image_input: below(input),
                reasoning: below(output),
                audio_output: below(output),
                image_output: below(output),
                images: below(most.images),
                searches: below(most.searches),
                audio_ms: below(most.audio_ms),
                characters: below(most.characters),
            };
            let at = MIDNIGHT + below(86_400);
            if let Ok(price) = rates.price(&usage, tariff, at) {
                assert!(price <= bound, "{price} > {bound}: {usage:?} of {most:?}, {tariff:?}, {rates}");
            }
        }
        assert!(rates.bound(most.input, most.output, tariff, NOON).unwrap() <= bound);
    }
}

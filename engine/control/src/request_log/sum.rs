//! What records add up to: counts, tokens, cost and two histograms of times. Sums of parts are the sum of the whole.

use ringway_policy::money::NanoDollars;
use serde::Serialize;

use super::packed::{Reader, write_varint};

/// Steps of a histogram between a time and its double: a percentile is off by at most a sixteenth.
const STEPS: u32 = 8;
/// Buckets that 64-bit microseconds can fall into.
const BUCKETS_MAX: u64 = (64 * STEPS) as u64;

/// Times in logarithmic buckets, those alone that have some.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Times {
    counts: Vec<(u16, u32)>,
}

impl Times {
    pub fn add(&mut self, value_us: u64, count: u32) {
        let bucket = bucket_of(value_us);
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    fn merge(&mut self, other: &Times) {
        for (bucket, count) in &other.counts {
            match self.counts.binary_search_by_key(bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(*count),
                Err(at) => self.counts.insert(at, (*bucket, *count)),
            }
        }
    }

    /// The time that this share of them does not exceed, in milliseconds; `None` where there are none.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let total: u64 = self.counts.iter().map(|(_, count)| u64::from(*count)).sum();
        let rank = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += u64::from(*count);
            if seen >= rank {
                return Some((middle_of(*bucket) / 10.0).round() / 100.0);
            }
        }
        None
    }

    fn take_away(&mut self, other: &Times) {
        for (bucket, count) in &other.counts {
            if let Ok(at) = self.counts.binary_search_by_key(bucket, |(bucket, _)| *bucket) {
                self.counts[at].1 = self.counts[at].1.saturating_sub(*count);
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_varint(out, self.counts.len() as u64);
        let mut before = 0;
        for (bucket, count) in &self.counts {
            write_varint(out, u64::from(bucket - before));
            write_varint(out, u64::from(*count));
            before = *bucket;
        }
    }

    fn merge_from(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let count = reader.varint().filter(|count| *count <= BUCKETS_MAX)?;
        let mut bucket = 0_u64;
        let mut at = 0;
        for _ in 0..count {
            bucket = bucket.checked_add(reader.varint()?).filter(|bucket| *bucket < BUCKETS_MAX)?;
            let (bucket, count) = (bucket as u16, u32::try_from(reader.varint()?).ok()?);
            // Both rise: one walk through the two.
            while self.counts.get(at).is_some_and(|(own, _)| *own < bucket) {
                at += 1;
            }
            match self.counts.get_mut(at) {
                Some((own, sum)) if *own == bucket => *sum = sum.saturating_add(count),
                _ => self.counts.insert(at, (bucket, count)),
            }
        }
        Some(())
    }
}

/// Below 16 each microsecond has its bucket, above it eight share the way to the double.
fn bucket_of(value_us: u64) -> u16 {
    if value_us < u64::from(2 * STEPS) {
        return value_us as u16;
    }
    let exponent = 63 - value_us.leading_zeros();
    let step = (value_us >> (exponent - 3)) as u32 & (STEPS - 1);
    ((exponent - 2) * STEPS + step) as u16
}

/// The middle of a bucket, in microseconds.
fn middle_of(bucket: u16) -> f64 {
    let bucket = u32::from(bucket);
    if bucket < 2 * STEPS {
        return f64::from(bucket);
    }
    let (exponent, step) = (bucket / STEPS + 2, bucket % STEPS);
    let width = 2_f64.powi(exponent as i32 - 3);
    f64::from(STEPS + step) * width + width / 2.0
}

/// One record's part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub is_error: bool,
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    /// One more than the nano-dollars; 0 where not known.
    pub cost: u64,
    pub total_us: u64,
    pub first_byte_us: u64,
    pub stream_us: u64,
}

/// Counts of the sum, in the order that they are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub requests: u64,
    pub errors: u64,
    pub input: u64,
    pub output: u64,
    pub cached: u64,
    pub cost_nano: u64,
    pub unpriced: u64,
    /// Tokens of streams, and how long they took.
    pub stream_tokens: u64,
    pub stream_us: u64,
}

/// What records add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub counts: Counts,
    pub total: Times,
    pub first_byte: Times,
}

impl Counts {
    fn list(&mut self) -> [&mut u64; 9] {
        [
            &mut self.requests,
            &mut self.errors,
            &mut self.input,
            &mut self.output,
            &mut self.cached,
            &mut self.cost_nano,
            &mut self.unpriced,
            &mut self.stream_tokens,
            &mut self.stream_us,
        ]
    }
}

impl Sum {
    #[inline]
    pub fn add(&mut self, part: &Part) {
        let counts = &mut self.counts;
        counts.requests += 1;
        counts.errors += u64::from(part.is_error);
        counts.input = counts.input.saturating_add(part.input);
        counts.output = counts.output.saturating_add(part.output);
        counts.cached = counts.cached.saturating_add(part.cached);
        counts.cost_nano = counts.cost_nano.saturating_add(part.cost.saturating_sub(1));
        counts.unpriced += u64::from(part.cost == 0);
        if part.stream_us > 0 {
            counts.stream_tokens = counts.stream_tokens.saturating_add(part.output);
            counts.stream_us = counts.stream_us.saturating_add(part.stream_us);
        }
        self.total.add(part.total_us, 1);
        if part.first_byte_us > 0 {
            self.first_byte.add(part.first_byte_us, 1);
        }
    }

    pub fn merge(&mut self, other: &Sum) {
        let mut theirs = other.counts;
        for (own, theirs) in self.counts.list().into_iter().zip(theirs.list()) {
            *own = own.saturating_add(*theirs);
        }
        self.total.merge(&other.total);
        self.first_byte.merge(&other.first_byte);
    }

    /// What is left without a part of it.
    pub fn take_away(&mut self, part: &Sum) {
        let mut theirs = part.counts;
        for (own, theirs) in self.counts.list().into_iter().zip(theirs.list()) {
            *own = own.saturating_sub(*theirs);
        }
        self.total.take_away(&part.total);
        self.first_byte.take_away(&part.first_byte);
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let mut counts = self.counts;
        counts.list().into_iter().for_each(|count| write_varint(out, *count));
        self.total.write(out);
        self.first_byte.write(out);
    }

    /// Adds what `write` wrote; `None` where the bytes are none of ours.
    pub fn merge_from(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        for own in self.counts.list() {
            *own = own.saturating_add(reader.varint()?);
        }
        self.total.merge_from(reader)?;
        self.first_byte.merge_from(reader)
    }

    /// The requests alone of what `write` wrote.
    pub fn requests(reader: &mut Reader<'_>) -> Option<u64> {
        reader.varint()
    }

    /// As a query shows it.
    pub fn shown(&self) -> Shown {
        let counts = &self.counts;
        let speed = (counts.stream_us > 0).then(|| counts.stream_tokens as f64 * 1e6 / counts.stream_us as f64);
        Shown {
            requests: counts.requests,
            errors: counts.errors,
            tokens_in: counts.input,
            tokens_out: counts.output,
            cached_tokens: counts.cached,
            cost_usd: NanoDollars(counts.cost_nano).to_string(),
            unpriced: counts.unpriced,
            p50_ms: self.total.percentile_ms(0.50),
            p95_ms: self.total.percentile_ms(0.95),
            p99_ms: self.total.percentile_ms(0.99),
            ttft_p50_ms: self.first_byte.percentile_ms(0.50),
            ttft_p95_ms: self.first_byte.percentile_ms(0.95),
            ttft_p99_ms: self.first_byte.percentile_ms(0.99),
            tokens_per_s: speed.map(|speed| (speed * 10.0).round() / 10.0),
            cache_hits: 0,
        }
    }
}

/// A sum in a query's answer. Times are exact to a sixteenth; `null` where there were none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shown {
    pub requests: u64,
    /// A status from 400, or a fault after a 200.
    pub errors: u64,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub cached_tokens: u64,
    /// Decimal dollars.
    pub cost_usd: String,
    /// Requests whose price is not known.
    pub unpriced: u64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub ttft_p50_ms: Option<f64>,
    pub ttft_p95_ms: Option<f64>,
    pub ttft_p99_ms: Option<f64>,
    /// Output tokens of streams by the time from their first byte to the last.
    pub tokens_per_s: Option<f64>,
    /// Answers of Ringway's own cache: none, as it has no such cache.
    pub cache_hits: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_no_wider_than_an_eighth() {
        for value in (0..20_000).chain((0..50).map(|power| 3 << power)) {
            let bucket = bucket_of(value);
            assert!(u64::from(bucket) < BUCKETS_MAX);
            let middle = middle_of(bucket);
            assert!((middle - value as f64).abs() <= value as f64 / 15.9, "{value} {middle}");
            assert!((0..=1).contains(&(bucket_of(value + 1) - bucket)), "{value}");
        }
        assert!(u64::from(bucket_of(u64::MAX)) < BUCKETS_MAX);
    }

    #[test]
    fn parts_written_and_read_are_the_whole() {
        let part = |index: u64| Part {
            is_error: index.is_multiple_of(7),
            input: index,
            output: 2 * index,
            cached: index / 2,
            cost: index % 5,
            total_us: index * 1_000,
            first_byte_us: index * 300,
            stream_us: index * 700,
        };
        let (mut whole, mut halves) = (Sum::default(), Sum::default());
        (0..1_000).for_each(|index| whole.add(&part(index)));
        for half in 0..2 {
            let mut sum = Sum::default();
            (0..1_000).filter(|index| index % 2 == half).for_each(|index| sum.add(&part(index)));
            let mut bytes = Vec::new();
            sum.write(&mut bytes);
            let mut reader = Reader(&bytes);
            halves.merge_from(&mut reader).unwrap();
            assert!(reader.is_empty());
            for cut in 0..bytes.len() {
                assert!(Sum::default().merge_from(&mut Reader(&bytes[..cut])).is_none());
            }
        }
        assert_eq!(whole, halves);
        let mut merged = Sum::default();
        merged.merge(&whole);
        merged.merge(&halves);
        assert_eq!(merged.counts.requests, 2_000);
        merged.take_away(&halves);
        assert_eq!(merged.shown(), whole.shown());
        let shown = whole.shown();
        assert_eq!((shown.requests, shown.errors, shown.unpriced), (1_000, 143, 200));
        let p50 = shown.p50_ms.unwrap();
        assert!((p50 - 500.0).abs() < 500.0 / 16.0, "{p50}");
        assert_eq!(Sum::default().shown().p99_ms, None);
    }
}

//! Recorded traffic to start from: what providers really sent, in the dialect that reads it.

use ringway_adapters::dialect::DialectId;

use crate::load::{self, Reply};

/// Longer bodies say nothing that shorter ones do not, and take their time.
const SAMPLE_BYTES_MAX: usize = 12 * 1024;
/// Of one dialect; the recordings repeat themselves.
const SAMPLES_MAX: usize = 600;

/// Requests, answers and streams of one dialect, evenly picked from all that are recorded.
pub fn samples(dialect: DialectId) -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for exchange in load::exchanges().expect("the recordings are readable") {
        if exchange.row.dialect(&exchange).is_none_or(|row| row.id != dialect) {
            continue;
        }
        samples.extend(exchange.request.map(|body| body.to_string().into_bytes()));
        samples.extend(match exchange.reply {
            Reply::Json(body) => Some(body.to_string().into_bytes()),
            Reply::Stream { bytes, .. } => Some(bytes),
            _ => None,
        });
    }
    samples.retain(|sample| !sample.is_empty() && sample.len() <= SAMPLE_BYTES_MAX);
    let step = samples.len().div_ceil(SAMPLES_MAX).max(1);
    samples.into_iter().step_by(step).collect()
}

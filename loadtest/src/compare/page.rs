//! The comparison as one HTML page that needs nothing else: a table, latency plots, bars.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::Contender;
use super::ratio::Metric;
use super::table::cell;
use crate::run::Figures;

const COLOURS: &[&str] = &["#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#868e96"];
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
/// Room for the labels.
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 40.0;
/// The percentiles that carry a mark; distance is by number of nines.
const MARKS: &[(f64, &str)] = &[(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99")];
const POINTS: usize = 240;
const NINES_MAX: f64 = 4.0;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#212529;background:#fff}\
table{border-collapse:collapse;width:100%;margin:1rem 0 2rem}th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #dee2e6;\
font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}text{font-size:12px;fill:#495057}\
@media (prefers-color-scheme:dark){body{background:#16181b;color:#e9ecef}text{fill:#adb5bd}th,td{border-color:#343a40}}";

/// Which histogram of a run a plot shows.
type Pick = fn(&Figures) -> &Histogram<u64>;

/// The whole page.
pub(super) fn render(title: &str, contenders: &[Contender], metrics: &[Metric], base_index: usize) -> String {
    let title = escape(title);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{}</p>{}",
        legend(contenders),
        table(contenders, metrics, base_index)
    );
    let plots: [(&str, Pick); 4] = [
        ("Latency from when the request was due", |figures| &figures.latency),
        ("Time to the first event", |figures| &figures.first_event),
        ("Time between events", |figures| &figures.between_events),
        ("Overhead as the gateway states it", |figures| &figures.overhead),
    ];
    let joined: Vec<_> = contenders.iter().map(Contender::joined).collect();
    for (name, pick) in plots {
        let histograms: Vec<&Histogram<u64>> = joined.iter().map(pick).collect();
        if histograms.iter().any(|histogram| !histogram.is_empty()) {
            // Writing to a string does not fail.
            let _ = write!(out, "<h2>{name}</h2>{}", plot(&histograms));
        }
    }
    out.push_str("</html>\n");
    out
}

fn legend(contenders: &[Contender]) -> String {
    let entry =
        |(index, contender): (usize, &Contender)| format!("<b style=\"color:{}\">&#9632; {}</b> ", colour(index), escape(&contender.name));
    contenders.iter().enumerate().map(entry).collect()
}

fn table(contenders: &[Contender], metrics: &[Metric], base_index: usize) -> String {
    let heads: String = contenders.iter().map(|contender| format!("<th>{}</th>", escape(&contender.name))).collect();
    let row = |metric: &Metric| {
        let cells: String = (0..contenders.len()).map(|index| format!("<td>{}</td>", escape(&cell(metric, index, base_index)))).collect();
        format!("<tr><td>{} {}</td>{cells}</tr>", metric.name, metric.unit)
    };
    let rows: String = metrics.iter().map(row).collect();
    format!("<table><tr><th>median of rounds; × ratio to {}</th>{heads}</tr>{rows}</table>", escape(&contenders[base_index].name))
}

/// Latency (logarithmic) over percentile (by nines), a line a target.
fn plot(histograms: &[&Histogram<u64>]) -> String {
    let measured = || histograms.iter().filter(|histogram| !histogram.is_empty());
    let low = measured().map(|histogram| histogram.min()).min().unwrap_or(1).max(1) as f64;
    let high = measured().map(|histogram| histogram.max()).max().unwrap_or(10) as f64;
    let (low, high) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
    let x = |nines: f64| LEFT + (WIDTH - LEFT - RIGHT) * nines / NINES_MAX;
    let y = |nanos: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (nanos.max(1.0).log10() - low) / (high - low);
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for (quantile, label) in MARKS {
        let at = x(nines_of(*quantile));
        let _ = write!(
            out,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{}\" stroke=\"#ced4da\" stroke-width=\".5\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label} %</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0
        );
    }
    for decade in low as i32..=high as i32 {
        let at = y(10f64.powi(decade));
        let _ = write!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#ced4da\" stroke-width=\".5\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            decade_label(decade)
        );
    }
    for (index, histogram) in histograms.iter().enumerate().filter(|(_, histogram)| !histogram.is_empty()) {
        let points: String = (0..=POINTS)
            .map(|step| NINES_MAX * step as f64 / POINTS as f64)
            .map(|nines| format!("{:.1},{:.1} ", x(nines), y(histogram.value_at_quantile(1.0 - 10f64.powf(-nines)) as f64)))
            .collect();
        let _ = write!(out, "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{points}\"/>", colour(index));
    }
    out.push_str("</svg>");
    out
}

fn nines_of(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

fn decade_label(decade: i32) -> String {
    match decade {
        ..=2 => format!("{} ns", 10f64.powi(decade)),
        3..=5 => format!("{} µs", 10f64.powi(decade - 3)),
        6..=8 => format!("{} ms", 10f64.powi(decade - 6)),
        _ => format!("{} s", 10f64.powi(decade - 9)),
    }
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_a_line_a_target_and_finite_points() {
        let mut one = Histogram::<u64>::new(3).unwrap();
        one.record(50_000).unwrap();
        let empty = Histogram::<u64>::new(3).unwrap();
        let svg = plot(&[&one, &empty, &one]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}

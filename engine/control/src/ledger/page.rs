//! A page in Prometheus' text format 0.0.4: families with their help and kind, each with its samples.
//!
//! Format: prometheus.io/docs/instrumenting/exposition_formats, read 2026-11-20.

use std::fmt::{Display, Write};

/// What kind of figure a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Name, kind and help of a family.
pub type Head = (&'static str, Kind, &'static str);

/// The text so far. A family's samples follow its head, before the next one begins.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    sample_count: usize,
}

impl Page {
    /// Begins a family.
    pub fn family(&mut self, (name, kind, help): Head) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family that began last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.sample_count += 1;
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, head: Head, value: impl Display) {
        self.family(head);
        self.sample(head.0, &[], value);
    }

    /// Samples so far: what a scraper keeps as series.
    pub fn sample_count(&self) -> usize {
        self.sample_count
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

fn escape(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut page = Page::default();
        page.family(("x_total", Kind::Counter, "X"));
        page.sample("x_total", &[("a", "b\"} 9\nc\\"), ("d", "e")], 1.5);
        page.single(("y", Kind::Gauge, "Y"), 2);
        assert_eq!(page.sample_count(), 2);
        assert_eq!(
            page.into_text(),
            "# HELP x_total X\n# TYPE x_total counter\nx_total{a=\"b\\\"} 9\\nc\\\\\",d=\"e\"} 1.5\n# HELP y Y\n# TYPE y gauge\ny 2\n"
        );
    }
}

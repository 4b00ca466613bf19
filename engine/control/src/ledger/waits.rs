//! Waits in queues, by priority: how long those took that ended with room, and how many ended without.

use ringway_policy::priority::Class;
use ringway_policy::record::{Ended, Waited};

use super::histogram::{Histogram, SECONDS};
use super::page::{Head, Kind, Page};

const SECONDS_HEAD: Head = ("ringway_queue_wait_seconds", Kind::Histogram, "Waits for room that ended with it");
const REFUSED_HEAD: Head = ("ringway_queue_refused_total", Kind::Counter, "Waits for room that ended without it");

/// What waits add up to.
pub(super) struct Waits {
    admitted: [Histogram; 3],
    /// By class, then by how it ended; `Admitted` stays 0.
    refused: [[u64; Ended::ALL.len()]; 3],
}

impl Default for Waits {
    fn default() -> Waits {
        Waits { admitted: std::array::from_fn(|_| Histogram::new(SECONDS)), refused: Default::default() }
    }
}

impl Waits {
    pub(super) fn observe(&mut self, waits: &[Waited]) {
        for wait in waits {
            match wait.ended {
                Ended::Admitted => self.admitted[wait.class.index()].add_ns(wait.waited_ns),
                ended => self.refused[wait.class.index()][ended as usize] += 1,
            }
        }
    }

    /// Writes its series.
    pub(super) fn write(&self, page: &mut Page) {
        page.family(SECONDS_HEAD);
        for (class, histogram) in Class::ALL.into_iter().zip(&self.admitted) {
            histogram.write(page, SECONDS_HEAD.0, &[("priority", class.name())]);
        }
        page.family(REFUSED_HEAD);
        for (class, counts) in Class::ALL.into_iter().zip(&self.refused) {
            for (ended, count) in Ended::ALL.into_iter().zip(counts).skip(1) {
                page.sample(REFUSED_HEAD.0, &[("priority", class.name()), ("reason", ended.name())], count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ringway_policy::record::Before;

    use super::*;

    #[test]
    fn waits_are_told_apart_by_class_and_end() {
        let wait = |class, ended| Waited { before: Before::InFlight, class, waited_ns: 3_000_000, ended };
        let mut waits = Waits::default();
        waits.observe(&[wait(Class::High, Ended::Admitted), wait(Class::Low, Ended::Full), wait(Class::Low, Ended::Full)]);
        let mut page = Page::default();
        waits.write(&mut page);
        let text = page.into_text();
        assert!(text.contains("ringway_queue_wait_seconds_bucket{priority=\"high\",le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("ringway_queue_refused_total{priority=\"low\",reason=\"full\"} 2"), "{text}");
        assert!(!text.contains("reason=\"admitted\""), "{text}");
    }
}

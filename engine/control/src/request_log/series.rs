//! Series: what records add up to, by time and by a word.
//!
//! Where the filter is none, or one word of the axis that is asked for, rollups are read and only the rows that are in none yet are
//! added up one by one; else all rows that are meant are.

use std::ops::ControlFlow;
use std::time::Instant;

use ahash::{AHashMap, AHashSet};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::columns::{Dimension, Figure};
use super::filter::{Condition, Filter, Sieve, tags};
use super::folder::PartitionId;
use super::packed::Reader;
use super::partition::{self, Broken, Grain, Partition, Parts, Span, Which, damaged};
use super::rollup::{self, Axis, DAY_MS, MINUTE_MS, OTHER, class_of, is_error};
use super::sum::{Part, Shown, Sum};
use super::{Sources, block};

/// Most buckets of one answer.
pub const BUCKETS_MAX: u64 = 2_000;
/// Groups that are told apart while a series is added up.
const GROUPS_MAX: usize = 20_000;
/// Groups of an answer where the query does not say.
pub const TOP_DEFAULT: usize = 12;
const HOUR_MS: u64 = 3_600_000;
/// The group of a series without groups.
const ALL: &str = "all";
/// The group of records that have no such word.
const NONE: &str = "none";

/// What sums are told apart by.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupBy {
    Word(Dimension),
    /// The value of the tag of this name.
    Tag(String),
}

impl GroupBy {
    /// Reads `provider`, `model`, `team`, `key`, `route`, …, or `tag:NAME`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<GroupBy, String> {
        if let Some(name) = text.strip_prefix("tag:").filter(|name| !name.is_empty()) {
            return Ok(GroupBy::Tag(name.to_owned()));
        }
        let words = Dimension::ALL.into_iter().filter(|dimension| *dimension != Dimension::Tags);
        let known: Vec<&str> = words.clone().map(Dimension::name).collect();
        let found = words.into_iter().find(|dimension| dimension.name() == text);
        found.map(GroupBy::Word).ok_or_else(|| format!("by is {text:?}; write tag:NAME or one of {}", known.join(", ")))
    }

    fn dimension(&self) -> Dimension {
        match self {
            GroupBy::Word(dimension) => *dimension,
            GroupBy::Tag(_) => Dimension::Tags,
        }
    }

    /// The group of a column's word; `None` where it belongs to none.
    fn group<'w>(&self, word: &'w str) -> Option<&'w str> {
        match self {
            GroupBy::Word(Dimension::Status) => Some(class_of(word)),
            GroupBy::Word(_) => Some(if word.is_empty() { NONE } else { word }),
            GroupBy::Tag(name) => tags(word).find(|(own, _)| own == name).map(|(_, value)| value),
        }
    }

    /// The group of a rollup's word.
    fn rolled<'w>(&self, word: &'w str) -> Option<&'w str> {
        match self {
            GroupBy::Word(Dimension::Status) => Some(word),
            GroupBy::Word(_) => Some(if word.is_empty() { NONE } else { word }),
            GroupBy::Tag(name) if word != OTHER => word.split_once('=').filter(|(own, _)| own == name).map(|(_, value)| value),
            // Which tags those were is not known.
            GroupBy::Tag(_) => None,
        }
    }
}

/// A question for a series.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// Unix milliseconds; rounded down to the step.
    pub from_ms: u64,
    /// Unix milliseconds, exclusive; rounded up to the minute where rollups answer.
    pub to_ms: u64,
    /// Seconds of a bucket; made longer where there would be more than `BUCKETS_MAX`.
    pub step_s: u64,
    pub group_by: Option<GroupBy>,
    pub filter: Filter,
    /// Groups with most requests that are told apart; the others are `other`.
    pub top: usize,
}

/// An answer. Buckets in which nothing happened are left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    pub step_s: u64,
    pub from_ms: u64,
    pub to_ms: u64,
    pub buckets: Vec<Bucket>,
    pub totals: Groups,
}

#[derive(Clone, Debug, Serialize)]
pub struct Bucket {
    /// Its first Unix millisecond.
    pub at_ms: u64,
    pub groups: Groups,
}

/// Sums by group; a JSON object, most requests first.
#[derive(Clone, Debug, Default)]
pub struct Groups(pub Vec<(String, Shown)>);

impl Groups {
    pub fn get(&self, name: &str) -> Option<&Shown> {
        self.0.iter().find(|(group, _)| group == name).map(|(_, sum)| sum)
    }
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, sum) in &self.0 {
            map.serialize_entry(name, sum)?;
        }
        map.end()
    }
}

/// Steps that are chosen where the one that is asked for is too short.
const STEPS_S: [u64; 12] = [1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 86_400];

/// The answer from all sources; `false` where the time was not enough for all of it.
pub(super) fn series(sources: &Sources, query: &SeriesQuery, until: Instant) -> (Series, bool) {
    let span_s = query.to_ms.saturating_sub(query.from_ms) / 1_000;
    let asked = query.step_s.max(1);
    let step_s = if span_s / asked < BUCKETS_MAX {
        asked
    } else {
        STEPS_S
            .into_iter()
            .find(|step| *step > asked && span_s / step < BUCKETS_MAX)
            .unwrap_or_else(|| span_s.div_ceil(BUCKETS_MAX).max(asked))
    };
    let step_ms = step_s * 1_000;
    let from_ms = query.from_ms - query.from_ms % step_ms;
    let filter = Filter { from_ms: Some(from_ms), to_ms: Some(query.to_ms), ..query.filter.clone() };
    let plan = Plan::of(query, step_ms);
    let mut groups = Gathered::default();
    let mut is_whole = true;
    let days = sources.days(&filter);
    let told_apart = told_apart(sources, query, &plan, from_ms, &days);
    let threads = THREADS.min(days.len().max(1));
    let chunks: Vec<Vec<PartitionId>> = (0..threads).map(|at| days.iter().copied().skip(at).step_by(threads).collect()).collect();
    let gather = |days: &[PartitionId]| {
        let mut gathered = Gathered::default();
        let mut is_whole = true;
        for id in days {
            let mut adding = Adding {
                query,
                filter: &filter,
                plan: &plan,
                told_apart: told_apart.as_ref(),
                from_ms,
                step_ms,
                until,
                gathered: &mut gathered,
                is_whole: true,
            };
            sources.look(*id, |partition| adding.run(*id, partition));
            is_whole &= adding.is_whole;
        }
        (gathered, is_whole)
    };
    std::thread::scope(|scope| {
        let gather = &gather;
        let (first, others) = chunks.split_first().map_or((&[][..], &[][..]), |(first, others)| (first.as_slice(), others));
        let others: Vec<_> = others.iter().map(|days| scope.spawn(move || gather(days))).collect();
        let own = gather(first);
        for (more, whole) in std::iter::once(own).chain(others.into_iter().filter_map(|other| other.join().ok())) {
            groups.merge(more);
            is_whole &= whole;
        }
    });
    (groups.finish(query.top.max(1), step_s, from_ms, query.to_ms), is_whole)
}

/// The groups with most requests, where there are more groups than are wanted and each record has one: the others need not be
/// added up, as they are all records less these. `None`: all groups are.
fn told_apart(sources: &Sources, query: &SeriesQuery, plan: &Plan, from_ms: u64, days: &[PartitionId]) -> Option<AHashSet<Box<str>>> {
    let Plan::Rolled(axis, None, grain) = plan else { return None };
    let (by, true) = (query.group_by.as_ref()?, *axis != Axis::Word(Dimension::Tags)) else { return None };
    let mut requests: AHashMap<Box<str>, u64> = AHashMap::new();
    for id in days {
        sources.look(*id, |partition| {
            let tx = partition.look()?;
            partition::each_sum(&tx, *axis, *grain, minutes(*id, from_ms, query.to_ms), |_, bytes| {
                let count = |word: &str, reader: &mut Reader<'_>| {
                    let (group, count) = (by.rolled(word)?, Sum::requests(reader)?);
                    match requests.get_mut(group) {
                        Some(sum) => *sum += count,
                        None => drop(requests.insert(group.into(), count)),
                    }
                    Some(())
                };
                rollup::read_sums(bytes, count).ok_or_else(|| damaged("a rollup"))
            })
        });
    }
    if requests.len() <= query.top {
        return None;
    }
    let mut ranked: Vec<(Box<str>, u64)> = requests.into_iter().filter(|(group, _)| **group != *OTHER).collect();
    ranked.sort_unstable_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    Some(ranked.into_iter().take(query.top).map(|(group, _)| group).collect())
}

/// The minutes of a day that a question is about.
fn minutes(id: PartitionId, from_ms: u64, to_ms: u64) -> std::ops::Range<u16> {
    let day_ms = u64::from(id.day) * DAY_MS;
    let minute = |at_ms: u64| (at_ms.saturating_sub(day_ms).min(DAY_MS).div_ceil(MINUTE_MS)) as u16;
    minute(from_ms)..minute(to_ms)
}

/// Partitions that are looked at together.
const THREADS: usize = 4;

/// How a query is answered.
enum Plan {
    /// From rollups of this axis: all words, or one that stands for the group.
    Rolled(Axis, Option<String>, Grain),
    Rows,
}

impl Plan {
    fn of(query: &SeriesQuery, step_ms: u64) -> Plan {
        let filter = &query.filter;
        let is_plain = filter.id.is_none() && filter.cost_min.is_none() && filter.total_min_us.is_none() && filter.text.is_none();
        if !is_plain || !step_ms.is_multiple_of(MINUTE_MS) {
            return Plan::Rows;
        }
        let grain = if step_ms.is_multiple_of(HOUR_MS) { Grain::Hour } else { Grain::Minute };
        let axis = query.group_by.as_ref().map(|by| Axis::Word(by.dimension()));
        let only = match filter.conditions.as_slice() {
            [] => None,
            [Condition::Is(Dimension::Status | Dimension::Tags, _) | Condition::Tag(..)] => return Plan::Rows,
            [Condition::Is(dimension, word)] => Some((*dimension, word.clone())),
            [Condition::StatusClass(class)] => Some((Dimension::Status, format!("{class}xx"))),
            _ => return Plan::Rows,
        };
        let (axis, only) = match (axis, only) {
            (axis, None) => (axis.unwrap_or(Axis::All), None),
            (None, Some((dimension, word))) => (Axis::Word(dimension), Some(word)),
            (Some(axis), Some((dimension, word))) if axis == Axis::Word(dimension) => (axis, Some(word)),
            _ => return Plan::Rows,
        };
        if Axis::ROLLED.contains(&axis) { Plan::Rolled(axis, only, grain) } else { Plan::Rows }
    }
}

/// Sums on their way to an answer.
#[derive(Default)]
struct Gathered {
    names: AHashMap<Box<str>, usize>,
    /// By group, then bucket.
    sums: Vec<AHashMap<u64, Sum>>,
    /// By bucket: rollups of all records, and of the groups that are told apart.
    all: AHashMap<u64, Sum>,
    apart: AHashMap<u64, Sum>,
}

impl Gathered {
    fn group(&mut self, name: &str) -> usize {
        if let Some(group) = self.names.get(name) {
            return *group;
        }
        if self.names.len() >= GROUPS_MAX && name != OTHER {
            return self.group(OTHER);
        }
        self.sums.push(AHashMap::new());
        self.names.insert(name.into(), self.sums.len() - 1);
        self.sums.len() - 1
    }

    fn at(&mut self, group: usize, bucket: u64) -> &mut Sum {
        self.sums[group].entry(bucket).or_default()
    }

    fn merge(&mut self, other: Gathered) {
        for (own, theirs) in [(&mut self.all, other.all), (&mut self.apart, other.apart)] {
            theirs.iter().for_each(|(bucket, sum)| own.entry(*bucket).or_default().merge(sum));
        }
        let mut theirs: Vec<Option<AHashMap<u64, Sum>>> = other.sums.into_iter().map(Some).collect();
        for (name, index) in other.names {
            let group = self.group(&name);
            for (bucket, sum) in theirs.get_mut(index).and_then(Option::take).unwrap_or_default() {
                self.at(group, bucket).merge(&sum);
            }
        }
    }

    /// The records of no group that is told apart are `other`.
    fn add_others(&mut self) {
        let apart = std::mem::take(&mut self.apart);
        for (bucket, mut rest) in std::mem::take(&mut self.all) {
            if let Some(apart) = apart.get(&bucket) {
                rest.take_away(apart);
            }
            if rest.counts.requests > 0 {
                let other = self.group(OTHER);
                self.at(other, bucket).merge(&rest);
            }
        }
    }

    fn finish(mut self, top: usize, step_s: u64, from_ms: u64, to_ms: u64) -> Series {
        self.add_others();
        let mut sums: Vec<Option<AHashMap<u64, Sum>>> = self.sums.into_iter().map(Some).collect();
        let mut groups: Vec<(Box<str>, AHashMap<u64, Sum>, Sum)> = Vec::new();
        for (name, index) in self.names {
            let Some(buckets) = sums.get_mut(index).and_then(Option::take) else { continue };
            let mut total = Sum::default();
            buckets.values().for_each(|sum| total.merge(sum));
            groups.push((name, buckets, total));
        }
        groups.retain(|(_, _, total)| total.counts.requests > 0);
        groups.sort_by(|a, b| (*a.0 == *OTHER, b.2.counts.requests, &a.0).cmp(&(*b.0 == *OTHER, a.2.counts.requests, &b.0)));
        if groups.len() > top {
            let mut rest = (Box::from(OTHER), AHashMap::new(), Sum::default());
            for (_, buckets, total) in groups.drain(top..) {
                rest.2.merge(&total);
                for (bucket, sum) in buckets {
                    rest.1.entry(bucket).or_insert_with(Sum::default).merge(&sum);
                }
            }
            groups.push(rest);
        }
        let mut at: Vec<u64> = groups.iter().flat_map(|(_, buckets, _)| buckets.keys().copied()).collect();
        at.sort_unstable();
        at.dedup();
        let bucket = |bucket: u64| Bucket {
            at_ms: from_ms + bucket * step_s * 1_000,
            groups: Groups(
                groups.iter().filter_map(|(name, buckets, _)| Some((name.to_string(), buckets.get(&bucket)?.shown()))).collect(),
            ),
        };
        Series {
            step_s,
            from_ms,
            to_ms,
            buckets: at.into_iter().map(bucket).collect(),
            totals: Groups(groups.iter().map(|(name, _, total)| (name.to_string(), total.shown())).collect()),
        }
    }
}

/// One partition's part of a series.
struct Adding<'q> {
    query: &'q SeriesQuery,
    filter: &'q Filter,
    plan: &'q Plan,
    told_apart: Option<&'q AHashSet<Box<str>>>,
    from_ms: u64,
    step_ms: u64,
    until: Instant,
    gathered: &'q mut Gathered,
    is_whole: bool,
}

impl Adding<'_> {
    fn run(&mut self, id: PartitionId, partition: &mut Partition) -> Result<(), Broken> {
        let tx = partition.look()?;
        let mut parts = Parts::of(&tx)?;
        let ranges = match self.plan {
            Plan::Rows => std::iter::once(0..u64::MAX).collect(),
            Plan::Rolled(axis, only, grain) => {
                let minutes = minutes(id, self.from_ms, self.query.to_ms);
                let (from_ms, step_ms) = (self.from_ms, self.step_ms);
                let bucket = |minute: u16| (u64::from(id.day) * DAY_MS + u64::from(minute) * MINUTE_MS - from_ms) / step_ms;
                partition::each_sum(&tx, *axis, *grain, minutes.clone(), |minute, bytes| {
                    self.add_sums(only.as_deref(), bucket(minute), bytes).ok_or_else(|| damaged("a rollup"))
                })?;
                if self.told_apart.is_some() {
                    partition::each_sum(&tx, Axis::All, *grain, minutes, |minute, bytes| {
                        let all = self.gathered.all.entry(bucket(minute)).or_default();
                        rollup::read_sums(bytes, |_, reader| all.merge_from(reader)).ok_or_else(|| damaged("a rollup"))
                    })?;
                }
                partition::unrolled(&tx)?
            }
        };
        for places in ranges {
            let span = Span { places: places.clone(), from_ms: self.from_ms, to_ms: self.query.to_ms.saturating_sub(1) };
            partition::each_block(&tx, &span, |first, bytes| {
                if Instant::now() >= self.until {
                    self.is_whole = false;
                    return Ok(ControlFlow::Break(()));
                }
                let zone = block::Zone::read(bytes).ok_or_else(|| damaged("a block"))?;
                if let Some(sieve) = self.filter.sift(&zone) {
                    self.add_rows(&zone, &sieve, first, &places, &mut parts)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    fn add_sums(&mut self, only: Option<&str>, bucket: u64, bytes: &[u8]) -> Option<()> {
        rollup::read_sums(bytes, |word, reader| {
            if only.is_some_and(|only| only != word) {
                return Some(());
            }
            let group = match &self.query.group_by {
                Some(by) => by.rolled(word),
                None => Some(ALL),
            };
            let Some(group) = group else { return Some(()) };
            if let Some(told_apart) = self.told_apart {
                if !told_apart.contains(group) {
                    return Some(());
                }
                let mut sum = Sum::default();
                sum.merge_from(reader)?;
                self.gathered.apart.entry(bucket).or_default().merge(&sum);
                let group = self.gathered.group(group);
                self.gathered.at(group, bucket).merge(&sum);
                return Some(());
            }
            let group = self.gathered.group(group);
            self.gathered.at(group, bucket).merge_from(reader)
        })
    }

    /// The group, or `other` where it is not told apart.
    fn told<'w>(&self, group: &'w str) -> &'w str {
        if self.told_apart.is_none_or(|told| told.contains(group)) { group } else { OTHER }
    }

    fn add_rows(
        &mut self,
        zone: &block::Zone<'_>,
        sieve: &Sieve,
        first: u64,
        places: &std::ops::Range<u64>,
        parts: &mut Parts<'_>,
    ) -> Result<(), Broken> {
        let rows = super::query::rows(zone, sieve, first, parts)?;
        if !rows.contains(&true) {
            return Ok(());
        }
        let query = self.query;
        let groups: Vec<Option<usize>> = match &query.group_by {
            Some(by) => {
                let mut group = |word| {
                    let group = self.told(by.group(word)?);
                    Some(self.gathered.group(group))
                };
                zone.texts(by.dimension()).map(&mut group).collect()
            }
            None => vec![Some(self.gathered.group(ALL))],
        };
        let status: Vec<bool> = zone.texts(Dimension::Status).map(|status| is_error(status, "")).collect();
        let fault: Vec<bool> = zone.texts(Dimension::Fault).map(|fault| is_error("", fault)).collect();
        let by = query.group_by.as_ref().map(GroupBy::dimension);
        // Each row that is meant, whether it went wrong, and its group.
        let mut marks: Vec<(usize, bool, usize)> = Vec::new();
        parts.show(Which::Words, first, |bytes| {
            let columns = zone.words(bytes)?;
            let place = |dimension: Dimension, row: usize| columns[dimension as usize].at(row) as usize;
            let is = |list: &[bool], place: usize| list.get(place).copied().unwrap_or(false);
            for row in (0..zone.rows).filter(|row| rows[*row] && places.contains(&(first + *row as u64))) {
                let group = by.map_or(0, |by| place(by, row));
                if let Some(group) = groups.get(group).copied().flatten() {
                    let is_error = is(&status, place(Dimension::Status, row)) || is(&fault, place(Dimension::Fault, row));
                    marks.push((row, is_error, group));
                }
            }
            Some(())
        })?;
        let gathered = &mut *self.gathered;
        let (from_ms, step_ms) = (self.from_ms, self.step_ms);
        parts.show(Which::Figures, first, |bytes| {
            let columns = zone.figures(bytes)?;
            let figure = |figure: Figure, row: usize| columns[figure as usize].at(row);
            for (row, is_error, group) in marks {
                let part = Part {
                    is_error,
                    input: figure(Figure::InputTokens, row),
                    output: figure(Figure::OutputTokens, row),
                    cached: figure(Figure::CachedTokens, row),
                    cost: figure(Figure::Cost, row),
                    total_us: figure(Figure::TotalUs, row),
                    first_byte_us: figure(Figure::FirstByteUs, row),
                    stream_us: figure(Figure::StreamUs, row),
                };
                gathered.at(group, figure(Figure::AtMs, row).saturating_sub(from_ms) / step_ms).add(&part);
            }
            Some(())
        })
    }
}

//! `budgets`: how much may be spent in a window, and what happens when it is.

use super::limits::COUNT_MAX;
use super::node::{Node, Value};
use super::read::{self, Fields, note};
use super::select::Selected;
use super::{At, Problem, select, units};
use crate::lease::{CalendarUnit, Window};
use crate::money::NanoDollars;

const DAY_MS: u64 = 86_400_000;

/// One budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub amount: Amount,
    pub window: Window,
    pub on_exhaust: OnExhaust,
    /// Reports, and refuses nothing.
    pub shadow: bool,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Usd(NanoDollars),
    Tokens(u64),
}

/// What happens when a budget is used up.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum OnExhaust {
    /// New requests are refused; streams under way go on and become debt.
    #[default]
    Refuse,
    /// Streams under way end with a well-formed last event, too.
    Cut,
    /// New requests go to this route or model.
    Downgrade(At<String>),
}

/// Reads the `budgets` of someone or something.
pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Vec<At<Budget>> {
    let nodes = fields.take("budgets").map(|node| read::items(node, "budgets", problems)).unwrap_or_default();
    nodes.iter().filter_map(|node| Fields::open(node, "a budget", problems).and_then(|fields| read_budget(fields, problems))).collect()
}

/// Reads the `budgets` of the whole file, each with whom it is for.
pub(super) fn read_selected(node: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<At<Selected<Budget>>> {
    let nodes = node.map(|node| read::items(node, "budgets", problems)).unwrap_or_default();
    let one = |node| {
        let mut fields = Fields::open(node, "a budget", problems)?;
        let selector = select::read(&mut fields, problems);
        let budget = read_budget(fields, problems)?;
        Some(node.place.with(Selected { selector: selector?, rule: budget.value }))
    };
    nodes.iter().filter_map(one).collect()
}

fn read_budget(mut fields: Fields<'_>, problems: &mut Vec<Problem>) -> Option<At<Budget>> {
    let place = fields.place;
    let (usd, tokens, per) = (fields.take("usd"), fields.take("tokens"), fields.take("per"));
    if usd.is_some() == tokens.is_some() || per.is_none() {
        note(problems, place, "a budget has one amount and a period; write {usd: \"50.00\", per: 1d} or {tokens: N, per: 1d}");
    }
    let usd = usd.and_then(|node| read::parsed(node, "usd", problems, units::nano_dollars));
    let tokens = tokens.and_then(|node| read::number(node, "tokens", 1, COUNT_MAX, problems));
    let per = per.and_then(|node| read::parsed(node, "per", problems, units::period));
    let window = read_window(&mut fields, per.map(|per| per.value.as_millis() as u64), problems);
    let on_exhaust = fields.take("on_exhaust").map_or(Some(OnExhaust::Refuse), |node| read_on_exhaust(node, problems));
    let shadow = read::flag(&mut fields, "shadow", problems).unwrap_or(false);
    fields.close(problems);
    let amount = match (usd, tokens) {
        (Some(usd), None) => Amount::Usd(NanoDollars(usd.value)),
        (None, Some(tokens)) => Amount::Tokens(tokens.value),
        _ => return None,
    };
    Some(place.with(Budget { amount, window: window?, on_exhaust: on_exhaust?, shadow }))
}

/// What `align` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    FirstSpend,
    Calendar,
}

fn read_window(fields: &mut Fields<'_>, per_ms: Option<u64>, problems: &mut Vec<Problem>) -> Option<Window> {
    let aligns = [("calendar", Align::Calendar), ("first_spend", Align::FirstSpend), ("rolling", Align::FirstSpend)];
    let align_node = fields.take("align");
    let align = align_node.map_or(Some(Align::FirstSpend), |node| Some(read::choice(node, "align", &aligns, problems)?.value));
    let (offset_node, start_node) = (fields.take("utc_offset"), fields.take("month_start"));
    let offset = offset_node.map_or(Some(0), |node| Some(read::parsed(node, "utc_offset", problems, units::utc_offset)?.value));
    let first_day = start_node.map_or(Some(1), |node| Some(read::number(node, "month_start", 1, 28, problems)?.value as u8));
    let (align, per_ms) = (align?, per_ms?);
    if align == Align::FirstSpend {
        for (name, node) in [("utc_offset", offset_node), ("month_start", start_node)] {
            if let Some(node) = node {
                note(problems, node.place, format!("{name} is for windows of the calendar; write align: calendar beside it"));
            }
        }
        return Some(Window::FirstSpend { per_ms });
    }
    let units = [
        (DAY_MS / 24, CalendarUnit::Hour),
        (DAY_MS, CalendarUnit::Day),
        (7 * DAY_MS, CalendarUnit::Week),
        (30 * DAY_MS, CalendarUnit::Month { first_day: first_day? }),
    ];
    let Some((_, unit)) = units.into_iter().find(|(ms, _)| *ms == per_ms) else {
        note(problems, align_node.map_or(fields.place, |node| node.place), "align: calendar needs per: 1h, 1d, 1w or 1mo");
        return None;
    };
    if let Some(node) = start_node
        && !matches!(unit, CalendarUnit::Month { .. })
    {
        note(problems, node.place, "month_start needs per: 1mo");
    }
    Some(Window::Calendar { unit, offset_minutes: offset? })
}

/// `refuse`, `cut`, `{downgrade: ROUTE}` or the text `downgrade: ROUTE`.
fn read_on_exhaust(node: &Node, problems: &mut Vec<Problem>) -> Option<OnExhaust> {
    if let Value::Map(_) = node.value {
        let mut fields = Fields::open(node, "on_exhaust", problems)?;
        let route = fields.take("downgrade");
        if route.is_none() {
            note(problems, node.place, "on_exhaust names no route; write on_exhaust: {downgrade: ROUTE}");
        }
        let route = route.and_then(|node| read::text(node, "downgrade", problems));
        fields.close(problems);
        return Some(OnExhaust::Downgrade(route?));
    }
    let parsed = read::parsed(node, "on_exhaust", problems, |text| match text.split_once(':') {
        None if text == "refuse" => Ok(OnExhaust::Refuse),
        None if text == "cut" => Ok(OnExhaust::Cut),
        Some(("downgrade", route)) if !route.trim().is_empty() => Ok(OnExhaust::Downgrade(node.place.with(route.trim().to_owned()))),
        _ => Err("write refuse, cut or {downgrade: ROUTE}".to_owned()),
    })?;
    Some(parsed.value)
}

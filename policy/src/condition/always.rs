//! Conditions that say the same of every request: what can never fire.

use super::compact::{Literal, Node, Order};
use super::operand::{Always, Operand};

/// What `node` says of every request, where it says the same of all. `None` where it may differ, or nobody can tell.
pub(super) fn always(node: &Node, operands: &[Operand]) -> Option<bool> {
    match node {
        Node::Const(value) => Some(*value),
        Node::Not(node) => always(node, operands).map(|value| !value),
        Node::And(nodes) => combine(nodes, operands, true),
        Node::Or(nodes) => combine(nodes, operands, false),
        Node::In(_, literals) if literals.is_empty() => Some(false),
        Node::In(index, literals) => {
            let each = literals.iter().map(|literal| compared(&operands[usize::from(*index)], Order::Equal, literal));
            each.clone().all(|value| value == Some(false)).then_some(false)
        }
        Node::Compare(index, order, literal) => compared(&operands[usize::from(*index)], *order, literal),
        Node::Has(index) if !matches!(operands[usize::from(*index)].always(), Always::Sometimes) => Some(true),
        Node::Is(_) | Node::Text(..) | Node::Has(_) | Node::Interpreted(_) => None,
    }
}

/// A chain of `&&` (`neutral` is true) or `||` (false).
fn combine(nodes: &[Node], operands: &[Operand], neutral: bool) -> Option<bool> {
    let values: Vec<Option<bool>> = nodes.iter().map(|node| always(node, operands)).collect();
    if values.contains(&Some(!neutral)) || excludes(nodes, operands, neutral) {
        return Some(!neutral);
    }
    values.iter().all(|value| *value == Some(neutral)).then_some(neutral)
}

/// Whether comparisons of one fact leave no value for which all are true (`neutral`), or none for which all are false.
fn excludes(nodes: &[Node], operands: &[Operand], neutral: bool) -> bool {
    let compared = |wanted: u16| {
        nodes.iter().filter_map(move |node| match node {
            Node::Compare(index, order, literal) if *index == wanted => Some((*order, literal)),
            _ => None,
        })
    };
    (0..operands.len() as u16).filter(|index| !matches!(operands[usize::from(*index)].always(), Always::Sometimes)).any(|index| {
        let (mut least, mut most) = (i64::MIN, i64::MAX);
        let mut equal: Option<&str> = None;
        for (order, literal) in compared(index) {
            let order = if neutral { order } else { opposite(order) };
            match literal {
                Literal::Int(value) => (least, most) = narrowed(least, most, order, *value),
                Literal::Text(text) if order == Order::Equal && equal.is_some_and(|before| before != &**text) => return true,
                Literal::Text(text) if order == Order::Equal => equal = Some(text),
                _ => {}
            }
        }
        least > most
    })
}

fn opposite(order: Order) -> Order {
    match order {
        Order::Equal => Order::NotEqual,
        Order::NotEqual => Order::Equal,
        Order::Less => Order::GreaterEqual,
        Order::LessEqual => Order::Greater,
        Order::Greater => Order::LessEqual,
        Order::GreaterEqual => Order::Less,
    }
}

fn narrowed(least: i64, most: i64, order: Order, value: i64) -> (i64, i64) {
    match order {
        Order::Equal => (least.max(value), most.min(value)),
        Order::NotEqual => (least, most),
        Order::Less => (least, most.min(value.saturating_sub(1))),
        Order::LessEqual => (least, most.min(value)),
        Order::Greater => (least.max(value.saturating_add(1)), most),
        Order::GreaterEqual => (least.max(value), most),
    }
}

/// A comparison with a value that the fact always, or never, has.
fn compared(operand: &Operand, order: Order, literal: &Literal) -> Option<bool> {
    match (operand.always(), literal) {
        (Always::Between(least, most), Literal::Int(value)) => {
            let (low, high) = (order.holds(least.cmp(value)), order.holds(most.cmp(value)));
            let inside = (least..=most).contains(value);
            match order {
                Order::Equal => (!inside).then_some(false),
                Order::NotEqual => (!inside).then_some(true),
                // Between the ends it changes sides once.
                _ => (low == high).then_some(low),
            }
        }
        (Always::OneOf(words), Literal::Text(text)) if !words().contains(&&**text) => match order {
            Order::Equal => Some(false),
            Order::NotEqual => Some(true),
            _ => None,
        },
        _ => None,
    }
}

//! `when` of a route, a target or a fallback: a condition, checked as the file is read.

use super::At;
use super::Problem;
use super::node::{Node, Value};
use super::read;
use crate::condition::Condition;

/// Reads a condition. Each mistake in it is a problem of its own, with the place of the value and how far into it.
pub(super) fn read_when(node: Option<&Node>, problems: &mut Vec<Problem>) -> Option<At<Condition>> {
    let node = node?;
    let text = read::text(node, "when", problems)?;
    match Condition::compile(&text.value) {
        Ok(condition) => Some(At { value: condition, line: text.line, column: text.column }),
        // Its words may have come out of a variable.
        Err(_) if matches!(node.value, Value::Scalar { written: Some(_), .. }) => {
            problems.push(text.problem("when is no condition once its variables are filled in; write it without them to see why"));
            None
        }
        Err(mistakes) => {
            problems.extend(mistakes.iter().map(|mistake| {
                let message = &mistake.message;
                text.problem(format!("when, at character {}: {message}", mistake.at + 1))
            }));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config;

    #[test]
    fn a_condition_is_checked_with_its_place() {
        let file = "providers: {openai: {keys: [k]}}\nroutes:\n  r:\n    when: request.modle == 'x'\n    targets:\n      - {model: openai/a, when: request.tokens}\n    fallbacks: [{model: openai/b, when: 'request.stream'}, openai/c]\n";
        let problems = config::parse(file, &|_| None).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "4:11 when, at character 8: request.modle is not known; did you mean \"request.model\"",
                "6:33 when, at character 8: is int, not true or false; compare it with something",
            ]
        );
    }

    #[test]
    fn what_came_out_of_a_variable_is_not_repeated() {
        let file = "providers: {openai: {keys: [k]}}\nroutes:\n  r: {targets: [openai/a], when: '${SECRET} == 1'}\n";
        let problems = config::parse(file, &|_| Some("s3cret".to_owned())).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].message.contains("variables") && !problems[0].message.contains("s3cret"),
            "{problems:?}"
        );
    }

    #[test]
    fn conditions_stand_on_routes_targets_and_fallbacks() {
        let file = "providers: {openai: {keys: [k]}}\nroutes:\n  r:\n    when: request.stream\n    targets: [{model: openai/a, when: 'request.tokens < 5'}]\n    fallbacks: [{model: openai/b, when: 'request.key == \"a\"'}, openai/c]\n";
        let config = config::parse(file, &|_| None).unwrap();
        let route = config.routes.get("r").unwrap();
        let source = |when: &Option<config::At<crate::condition::Condition>>| when.as_ref().map(|when| when.value.source().to_owned());
        assert_eq!(source(&route.when).as_deref(), Some("request.stream"));
        assert_eq!(source(&route.targets[0].when).as_deref(), Some("request.tokens < 5"));
        assert_eq!(source(&route.fallbacks[0].when).as_deref(), Some("request.key == \"a\""));
        assert_eq!(source(&route.fallbacks[1].when), None);
    }
}

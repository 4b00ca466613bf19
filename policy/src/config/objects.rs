//! Objects that stand in no file: JSON values, read by the same readers as the file's sections, and named by paths in problems.
//!
//! An object's nodes have places like the file's: the line is the object's number behind `LINE_FIRST`, the column counts its nodes
//! in their order. So nothing between here and a problem knows of paths; `locate` gives a problem its path at the end.

use serde_json::Value as Json;

use super::node::{Node, Place, Value};
use super::{At, Problem};

/// No file has so many lines.
const LINE_FIRST: usize = 1 << 40;
/// Deepest nesting of an object; no field of the schema stands deeper than eight.
const DEPTH_MAX: usize = 32;

/// A section of the file whose entries are objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    Providers,
    Routes,
    Aliases,
    VirtualKeys,
    Profiles,
    Teams,
    Customers,
    Channels,
    Alerts,
}

impl Section {
    pub const ALL: [Section; 9] = [
        Section::Providers,
        Section::Routes,
        Section::Aliases,
        Section::VirtualKeys,
        Section::Profiles,
        Section::Teams,
        Section::Customers,
        Section::Channels,
        Section::Alerts,
    ];

    /// The section's key in the file.
    pub fn word(self) -> &'static str {
        match self {
            Section::Providers => "providers",
            Section::Routes => "routes",
            Section::Aliases => "aliases",
            Section::VirtualKeys => "virtual_keys",
            Section::Profiles => "profiles",
            Section::Teams => "teams",
            Section::Customers => "customers",
            Section::Channels => "channels",
            Section::Alerts => "alerts",
        }
    }

    /// What one of its entries is called.
    pub fn one(self) -> &'static str {
        match self {
            Section::Providers => "provider",
            Section::Routes => "route",
            Section::Aliases => "alias",
            Section::VirtualKeys => "virtual key",
            Section::Profiles => "profile",
            Section::Teams => "team",
            Section::Customers => "customer",
            Section::Channels => "channel",
            Section::Alerts => "alert",
        }
    }

    pub fn find(word: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.word() == word)
    }
}

/// One object. The body is what stands behind its name in the file's section.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub section: Section,
    pub name: &'a str,
    pub body: &'a Json,
    /// Names it in problems until `locate`; each object that is read together has its own.
    pub number: usize,
}

/// What becomes of one object.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// It is new, or takes the place of the one of its name.
    Put(Entry<'a>),
    Remove(Section, &'a str),
}

impl Change<'_> {
    pub fn section(&self) -> Section {
        match self {
            Change::Put(entry) => entry.section,
            Change::Remove(section, _) => *section,
        }
    }
}

impl Entry<'_> {
    pub(super) fn name(&self) -> At<String> {
        At { value: self.name.to_owned(), line: LINE_FIRST + self.number, column: 0 }
    }

    pub(super) fn node(&self) -> Result<Node, Problem> {
        let mut places = Places { line: LINE_FIRST + self.number, next: 0 };
        places.node(self.body, 0).ok_or_else(|| self.name().problem(format!("it is nested deeper than {DEPTH_MAX}")))
    }
}

/// A place that stands for an object is no place of a file.
pub fn is_object_line(line: usize) -> bool {
    line >= LINE_FIRST
}

/// Which object a place stands for; `None` where it is a place of the file.
pub fn number_of(line: usize) -> Option<usize> {
    line.checked_sub(LINE_FIRST)
}

/// Gives a problem of an object its path, `routes.chat.targets[0].model`, in place of line and column.
pub fn locate(problem: &mut Problem, entry: Entry<'_>) {
    let mut path = format!("{}.{}", entry.section.word(), entry.name);
    let _ = walk(entry.body, &mut 0, problem.column, &mut path);
    (problem.line, problem.column, problem.path) = (0, 0, path);
}

/// Finds the node that was counted as `wanted`; the path is that of the node where this is true.
fn walk(value: &Json, next: &mut usize, wanted: usize, path: &mut String) -> bool {
    if std::mem::replace(next, *next + 1) == wanted {
        return true;
    }
    let len = path.len();
    let mut step = |word: String, value: &Json| {
        path.push_str(&word);
        let found = walk(value, next, wanted, path);
        if !found {
            path.truncate(len);
        }
        found
    };
    match value {
        Json::Array(items) => items.iter().enumerate().any(|(index, item)| step(format!("[{index}]"), item)),
        Json::Object(fields) => fields.iter().any(|(name, field)| step(format!(".{name}"), field)),
        _ => false,
    }
}

/// Counts the nodes of one object.
struct Places {
    line: usize,
    next: usize,
}

impl Places {
    fn node(&mut self, value: &Json, depth: usize) -> Option<Node> {
        let place = Place { line: self.line, column: self.next };
        self.next += 1;
        let scalar = |text: String| Value::Scalar { text, written: None };
        let value = match value {
            _ if depth > DEPTH_MAX => return None,
            Json::Null => Value::Null,
            Json::Bool(value) => scalar(value.to_string()),
            Json::Number(value) => scalar(value.to_string()),
            Json::String(value) => scalar(value.clone()),
            Json::Array(items) => Value::List(items.iter().map(|item| self.node(item, depth + 1)).collect::<Option<_>>()?),
            Json::Object(fields) => {
                let field = |(name, value): (&String, &Json)| {
                    let node = self.node(value, depth + 1)?;
                    Some((node.place.with(name.clone()), node))
                };
                Value::Map(fields.iter().map(field).collect::<Option<_>>()?)
            }
        };
        Some(Node { place, value })
    }
}

/// What stands in the sections of a text, unexpanded: each object with its line.
pub struct Written {
    pub section: Section,
    pub name: String,
    pub line: usize,
    pub body: Json,
}

/// Reads the objects of a file as they are written. Top-level keys that are no sections are given by name and line.
///
/// # Errors
/// Broken YAML, and sections that are no mappings.
pub fn written(text: &str) -> Result<(Vec<Written>, Vec<(String, usize)>), Vec<Problem>> {
    let root = super::node::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let (mut objects, mut others) = (Vec::new(), Vec::new());
    for (word, node) in super::read::entries(&root, "the file", &mut problems) {
        let Some(section) = Section::find(&word.value) else {
            others.push((word.value.clone(), word.line));
            continue;
        };
        for (name, node) in super::read::entries(node, section.word(), &mut problems) {
            objects.push(Written { section, name: name.value.clone(), line: name.line, body: json_of(node) });
        }
    }
    if problems.is_empty() { Ok((objects, others)) } else { Err(problems) }
}

/// The wanted objects of one section of a good file, as they are written.
pub fn written_of(text: &str, section: Section, wanted: &dyn Fn(&str) -> bool) -> Vec<Written> {
    let written = |name: &At<String>, node: &Node| {
        wanted(&name.value).then(|| Written { section, name: name.value.clone(), line: name.line, body: json_of(node) })
    };
    // A long section is read entry by entry.
    if let Some(cut) = super::section::cut(text, section.word()) {
        let mut found = Vec::new();
        if super::section::entries(&cut, |name, node| found.extend(written(&name, &node))).is_some() {
            return found;
        }
    }
    let Ok(root) = super::node::parse(text) else { return Vec::new() };
    let mut unsaid = Vec::new();
    let found = super::read::entries(&root, "the file", &mut unsaid).iter().find(|(word, _)| word.value == section.word());
    let entries = found.map(|(_, node)| super::read::entries(node, section.word(), &mut unsaid)).unwrap_or_default();
    entries.iter().filter_map(|(name, node)| written(name, node)).collect()
}

/// As written: scalars are text, but for those that JSON has words for.
fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Null | Value::Unresolved => Json::Null,
        Value::Scalar { text, .. } => scalar(text),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Map(entries) => Json::Object(entries.iter().map(|(name, node)| (name.value.clone(), json_of(node))).collect()),
    }
}

fn scalar(text: &str) -> Json {
    match text {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        // `1.50`, `007` and `1_000` keep their digits as text.
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Json::from(number),
            _ => Json::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Draft, parse};
    use super::*;

    const NOTHING: super::super::Lookup<'static> = &|_| None;

    fn merged(file: &str, objects: &[(Section, &str, Json)]) -> Result<super::super::Config, Vec<Problem>> {
        let owned: Vec<_> = objects.iter().enumerate().map(|(n, (s, name, body))| (n, *s, name.to_string(), body.clone())).collect();
        let entries = || owned.iter().map(|(number, section, name, body)| Entry { section: *section, name, body, number: *number });
        let builtins = ringway_adapters::provider::builtins();
        Draft::read(file, NOTHING, builtins)?.merge(entries(), NOTHING, builtins).map_err(|mut problems| {
            for problem in &mut problems {
                if let Some(number) = number_of(problem.line) {
                    locate(problem, entries().nth(number).unwrap());
                }
            }
            problems
        })
    }

    #[test]
    fn objects_are_what_the_same_words_in_the_file_are() {
        let file = "providers: {openai: {keys: [k], models: [m]}}\nroutes: {chat: {targets: [openai/m], retries: 1}}\n\
            teams: {apps: {budgets: [{usd: \"1.50\", per: 1d}]}}\nvirtual_keys: {a: {key: 0123456789abcdef, team: apps}}\n";
        let whole = parse(file, NOTHING).unwrap();
        let (objects, others) = written(file).unwrap();
        assert!(others.is_empty());
        let objects: Vec<_> = objects.into_iter().map(|object| (object.section, &*object.name.leak(), object.body)).collect();
        let merged = merged("", &objects).unwrap();
        assert_eq!(format!("{:?}", strip(&whole)), format!("{:?}", strip(&merged)));
    }

    /// Places differ, all else is the same.
    fn strip(config: &super::super::Config) -> String {
        let text = format!("{config:?}");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find("line: ") {
            out.push_str(&rest[..at]);
            rest = rest[at..].split_once(" }").map_or("", |(_, rest)| rest);
        }
        out + rest
    }

    #[test]
    fn a_problem_of_an_object_has_its_path() {
        let bad = json!({"targets": ["openai/m", {"model": "openai/m", "weight": "many"}]});
        let problems = merged("providers: {openai: {keys: [k]}}", &[(Section::Routes, "chat", bad)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!((problems[0].path.as_str(), problems[0].line), ("routes.chat.targets[1].weight", 0));
        assert!(problems[0].message.contains("weight"), "{problems:?}");
        let unknown = json!({"targets": ["openai/m"], "retrys": 1});
        let problems = merged("providers: {openai: {keys: [k]}}", &[(Section::Routes, "chat", unknown)]).unwrap_err();
        assert_eq!(problems[0].path, "routes.chat.retrys");
        let problems = merged("", &[(Section::Aliases, "fast", json!("nobody/m"))]).unwrap_err();
        assert_eq!(problems[0].path, "aliases.fast");
    }

    #[test]
    fn a_name_in_both_is_a_problem_with_the_line_of_the_file() {
        let problems = merged("teams:\n  apps: {}\n", &[(Section::Teams, "apps", json!({}))]).unwrap_err();
        assert_eq!((problems.len(), problems[0].line, problems[0].path.as_str()), (1, 2, ""));
        assert!(problems[0].message.contains("team \"apps\" is in the store, too"), "{problems:?}");
    }

    #[test]
    fn a_file_and_objects_refer_to_each_other() {
        let route = json!({"targets": ["mine/m"]});
        let mine = json!({"like": "openai", "base_url": "http://127.0.0.1:1/v1"});
        let file = "aliases: {fast: mine/m}\nvirtual_keys: {a: {key: 0123456789abcdef, team: apps}}\n";
        assert!(parse(file, NOTHING).is_err());
        let objects = [(Section::Routes, "r", route), (Section::Providers, "mine", mine), (Section::Teams, "apps", json!({}))];
        let config = merged(file, &objects).unwrap();
        assert_eq!((config.routes.len(), config.teams.len()), (1, 1));
    }

    #[test]
    fn nesting_without_end_is_a_problem() {
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let problems = merged("", &[(Section::Teams, "apps", deep)]).unwrap_err();
        assert!(problems[0].message.contains("nested deeper"), "{problems:?}");
    }

    #[test]
    fn scalars_are_given_as_they_were_written() {
        let (objects, others) = written("listen: x\nteams: {a: {b: 1.50, c: 7, d: 007, e: true, f: \"${X}\", g: }}\n").unwrap();
        assert_eq!(others, [("listen".to_owned(), 1)]);
        assert_eq!(objects[0].body, json!({"b": "1.50", "c": 7, "d": "007", "e": true, "f": "${X}", "g": null}));
        assert!(written("teams: [a]").is_err());
    }
}

//! One object, from the file or from elsewhere, into the configuration.

use ahash::AHashMap;
use ringway_adapters::provider::Provider;

use super::expand::{self, Lookup};
use super::node::Node;
use super::objects::{Entry, Section, is_object_line};
use super::read::{self, note};
use super::{At, Config, Problem, Table, access, alerts, keys, providers, routes, targets, tenants};

/// Reads one entry of a section, and puts it behind the others.
pub(super) fn read(
    config: &mut Config,
    section: Section,
    name: &At<String>,
    node: &Node,
    lookup: Lookup<'_>,
    builtins: &[Provider],
    problems: &mut Vec<Problem>,
) {
    match section {
        Section::Routes | Section::Aliases => routes::check_name(name, problems),
        Section::Providers => read::name(name, "a provider", problems),
        Section::VirtualKeys => read::name(name, "a virtual key", problems),
        Section::Profiles => read::name(name, "a profile", problems),
        Section::Teams => read::name(name, "a team", problems),
        Section::Customers => read::name(name, "a customer", problems),
        Section::Channels => read::name(name, "a channel", problems),
        Section::Alerts => read::name(name, "an alert", problems),
    }
    match section {
        Section::Providers => push(&mut config.providers, name, providers::read(node, lookup, builtins, problems)),
        Section::Routes => push(&mut config.routes, name, routes::read(node, problems)),
        Section::Aliases => push(&mut config.aliases, name, targets::read_alias(name, node, problems)),
        Section::VirtualKeys => push(&mut config.virtual_keys, name, keys::read(name, node, problems)),
        Section::Profiles => push(&mut config.profiles, name, access::read_profile(node, problems)),
        Section::Teams => push(&mut config.teams, name, tenants::read_team(node, problems)),
        Section::Customers => push(&mut config.customers, name, tenants::read_customer(node, problems)),
        Section::Channels => push(&mut config.channels, name, alerts::read_channel(node, problems)),
        Section::Alerts => push(&mut config.alerts, name, alerts::read_alert(node, problems)),
    }
}

fn push<T: Clone>(table: &mut Table<T>, name: &At<String>, entry: Option<T>) {
    if let Some(entry) = entry {
        table.push(name.clone(), entry);
    }
}

/// The names of the file with their places.
pub(super) type Names = AHashMap<(Section, String), (usize, usize)>;

pub(super) fn names(config: &Config) -> Names {
    let mut names = Names::new();
    for section in Section::ALL {
        config.each_name(section, &mut |name| {
            names.insert((section, name.value.clone()), (name.line, name.column));
        });
    }
    names
}

/// Adds an object to what the file says. A name that the file has is a problem there; one of the environment gives way.
pub(super) fn add(
    config: &mut Config,
    names: &Names,
    entry: Entry<'_>,
    lookup: Lookup<'_>,
    builtins: &[Provider],
    problems: &mut Vec<Problem>,
) {
    match names.get(&(entry.section, entry.name.to_owned())) {
        Some((0, _)) => config.remove(entry.section, entry.name),
        Some((line, column)) => {
            let (one, name, word) = (entry.section.one(), entry.name, entry.section.word());
            let message = format!("{one} {name:?} is in the store, too; take it out of here, or delete it there ({word} in the admin API)");
            return problems.push(Problem { line: *line, column: *column, path: String::new(), message });
        }
        None => {}
    }
    read_entry(config, entry, lookup, builtins, problems);
}

/// Reads an object behind the others.
pub(super) fn read_entry(config: &mut Config, entry: Entry<'_>, lookup: Lookup<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) {
    match entry.node() {
        Ok(mut node) => {
            expand::expand(&mut node, lookup, problems);
            read(config, entry.section, &entry.name(), &node, lookup, builtins, problems);
        }
        Err(problem) => note(problems, entry.name().place(), problem.message),
    }
}

/// Reads an object into the place of the one of its name; a new one stands among the other objects by its name.
pub(super) fn put(config: &mut Config, entry: Entry<'_>, lookup: Lookup<'_>, builtins: &[Provider], problems: &mut Vec<Problem>) {
    let mut apart = Config::default();
    read_entry(&mut apart, entry, lookup, builtins, problems);
    match entry.section {
        Section::Providers => take_over(&mut config.providers, &apart.providers),
        Section::Routes => take_over(&mut config.routes, &apart.routes),
        Section::Aliases => take_over(&mut config.aliases, &apart.aliases),
        Section::VirtualKeys => take_over(&mut config.virtual_keys, &apart.virtual_keys),
        Section::Profiles => take_over(&mut config.profiles, &apart.profiles),
        Section::Teams => take_over(&mut config.teams, &apart.teams),
        Section::Customers => take_over(&mut config.customers, &apart.customers),
        Section::Channels => take_over(&mut config.channels, &apart.channels),
        Section::Alerts => take_over(&mut config.alerts, &apart.alerts),
    }
}

fn take_over<T: Clone>(table: &mut Table<T>, apart: &Table<T>) {
    for (name, entry) in apart.iter() {
        table.put(name.clone(), entry.clone(), |other| is_object_line(other.line) && other.value > name.value);
    }
}

impl Config {
    /// Each name of a section, with its place.
    pub fn each_name(&self, section: Section, each: &mut dyn FnMut(&At<String>)) {
        match section {
            Section::Providers => self.providers.iter().for_each(|(name, _)| each(name)),
            Section::Routes => self.routes.iter().for_each(|(name, _)| each(name)),
            Section::Aliases => self.aliases.iter().for_each(|(name, _)| each(name)),
            Section::VirtualKeys => self.virtual_keys.iter().for_each(|(name, _)| each(name)),
            Section::Profiles => self.profiles.iter().for_each(|(name, _)| each(name)),
            Section::Teams => self.teams.iter().for_each(|(name, _)| each(name)),
            Section::Customers => self.customers.iter().for_each(|(name, _)| each(name)),
            Section::Channels => self.channels.iter().for_each(|(name, _)| each(name)),
            Section::Alerts => self.alerts.iter().for_each(|(name, _)| each(name)),
        }
    }

    pub(super) fn remove(&mut self, section: Section, name: &str) {
        match section {
            Section::Providers => drop(self.providers.remove(name)),
            Section::Routes => drop(self.routes.remove(name)),
            Section::Aliases => drop(self.aliases.remove(name)),
            Section::VirtualKeys => drop(self.virtual_keys.remove(name)),
            Section::Profiles => drop(self.profiles.remove(name)),
            Section::Teams => drop(self.teams.remove(name)),
            Section::Customers => drop(self.customers.remove(name)),
            Section::Channels => drop(self.channels.remove(name)),
            Section::Alerts => drop(self.alerts.remove(name)),
        }
    }
}

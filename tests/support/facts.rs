//! The collected facts of the family, which are in the shared folder, and a comparison that lists all differences before it
//! fails.

use std::fs;

use serde_yaml::Value;

use super::shared::shared;

/// The facts. `None` if the user opted out.
pub fn facts() -> Option<Value> {
    let file = shared()?.join("family").join("facts.yaml");
    Some(serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap())
}

/// Facts that were corrected after they had been collected.
pub struct Corrections(Value);

impl Corrections {
    /// Those of the shared folder. `None` if the user opted out.
    pub fn read() -> Option<Self> {
        let file = shared()?.join("family").join("corrections.yaml");
        let all: Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(entries(&all["corrections"]).count() > 5, "corrections of several models");
        Some(Self(all["corrections"].clone()))
    }

    /// What takes the place of a collected fact; keys of entries are ids, or several with commas between them.
    pub fn of(&self, id: &str, key: &str) -> Option<&Value> {
        let of_model = |(ids, entry)| ids_of(ids).any(|one| one == id).then_some(entry);
        entries(&self.0).filter_map(of_model).find_map(|entry: &Value| entry.get(key))
    }
}

fn ids_of(key: &str) -> impl Iterator<Item = &str> {
    key.split(',').map(str::trim)
}

/// What was compared, and what differs.
#[derive(Default)]
pub struct Comparison {
    compared: usize,
    differences: Vec<String>,
}

impl Comparison {
    pub fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, card: T, fact: T) {
        self.compared += 1;
        if card != fact {
            self.differences.push(format!("{what}: card {card:?}, fact {fact:?}"));
        }
    }

    pub fn holds(&mut self, what: &str, ok: bool) {
        self.compared += 1;
        if !ok {
            self.differences.push(what.to_owned());
        }
    }

    pub fn finish(self, name: &str, at_least: usize) {
        assert!(self.differences.is_empty(), "{}", self.differences.join("\n"));
        assert!(self.compared >= at_least, "only {} comparisons", self.compared);
        eprintln!("{name}: {} facts compared", self.compared);
    }
}

pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().filter_map(text).collect()
}

pub fn records(facts: &Value) -> impl Iterator<Item = &Value> {
    facts["models"].as_sequence().unwrap().iter()
}

pub fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_mapping().into_iter().flatten().filter_map(|(key, value)| Some((key.as_str()?, value)))
}

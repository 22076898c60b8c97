//! The keys of a group file: which tasks stand together and how their results become one.

use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

use super::keys::FromSlot;
use super::source::{Entry, Fields};
use super::value::Slot;
use crate::tasks::error::TaskError;

/// How one metric of a group is made from its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMetric {
    /// The metric's name, which tasks of the group have too.
    pub metric: String,
    /// The filters to aggregate; none means every filter found among the tasks, sorted.
    pub filters: Option<Vec<String>>,
    /// Whether a task counts by its number of documents, or each task once.
    pub weight_by_size: bool,
}

/// One entry of a group's `task` list.
#[derive(Debug, Clone)]
pub enum GroupMember {
    /// A task, group or tag by name.
    Name(String),
    /// A task, group or tag by name with keys that replace those of the tasks; or, if the name is not
    /// known, a task of its own.
    Task(String, Fields),
    /// A group by name, or a group of its own.
    Group(String, Fields),
}

/// A group file, read.
#[derive(Debug, Clone, Default)]
pub struct GroupConfig {
    /// The name under which the group is asked for.
    pub group: String,
    /// The name in tables, if another one.
    pub group_alias: Option<String>,
    /// What stands in the group, in order.
    pub members: Vec<GroupMember>,
    /// How results become one.
    pub aggregates: Vec<GroupMetric>,
    /// Free-form facts; `version` is printed.
    pub metadata: Map<String, Value>,
    /// `metadata.table_order`: members in the order of tables for people.
    pub table_order: Vec<String>,
    /// Keys that replace those of the tasks below.
    pub overrides: Fields,
}

impl GroupConfig {
    /// Reads the merged keys of a group file.
    ///
    /// # Errors
    /// Values of the wrong kind, with file, line and key.
    pub fn read(fields: &Fields) -> Result<Self, TaskError> {
        let mut config = Self::default();
        for (key, entry) in fields {
            let slot = Slot::new(key, entry);
            match key.as_str() {
                "group" => config.group = slot.string()?,
                "group_alias" => config.group_alias = FromSlot::from_slot(&slot)?,
                "task" => config.members = members(&slot, entry)?,
                "aggregate_metric_list" => config.aggregates = GroupMetric::read_list(&slot)?,
                "metadata" => {
                    config.metadata = slot.optional_map()?;
                    config.table_order = table_order(&config.metadata).map_err(|found| {
                        slot.error(format!("table_order: expected a list of names, found {found}"))
                    })?;
                }
                "tag" | "include" | "task_list" => {}
                _ => {
                    config.overrides.insert(key.clone(), entry.clone());
                }
            }
        }
        Ok(config)
    }
}

fn table_order(metadata: &Map<String, Value>) -> Result<Vec<String>, &Value> {
    let Some(given) = metadata.get("table_order") else { return Ok(Vec::new()) };
    let names = given.as_array().map(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    names.flatten().map(|names| names.into_iter().map(str::to_owned).collect()).ok_or(given)
}

fn members(slot: &Slot<'_>, entry: &Entry) -> Result<Vec<GroupMember>, TaskError> {
    match slot.value {
        Yaml::Null => Ok(Vec::new()),
        Yaml::String(name) => Ok(vec![GroupMember::Name(name.clone())]),
        _ => slot.items()?.iter().map(|item| member(item, entry)).collect(),
    }
}

fn member(slot: &Slot<'_>, entry: &Entry) -> Result<GroupMember, TaskError> {
    if !slot.value.is_mapping() {
        return slot.string().map(GroupMember::Name);
    }
    let mut fields = Fields::new();
    for (key, value) in slot.pairs()? {
        let value = Entry { value: value.value.clone(), origin: entry.origin.clone() };
        fields.insert(key.to_owned(), value);
    }
    let name = |key: &str| fields.get(key).map(|entry| Slot::new(key, entry).string()).transpose();
    if let Some(group) = name("group")? {
        return Ok(GroupMember::Group(group, fields));
    }
    match name("task")? {
        Some(task) => {
            fields.remove("task");
            Ok(GroupMember::Task(task, fields))
        }
        None => Err(slot.error("an entry with keys needs `task` or `group`")),
    }
}

impl GroupMetric {
    fn read_list(slot: &Slot<'_>) -> Result<Vec<Self>, TaskError> {
        match slot.value {
            Yaml::Null => Ok(Vec::new()),
            Yaml::Mapping(_) => Ok(vec![Self::read(slot)?]),
            _ => slot.items()?.iter().map(Self::read).collect(),
        }
    }

    fn read(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let mut aggregate = Self { metric: String::new(), filters: None, weight_by_size: true };
        for (key, slot) in slot.pairs()? {
            match key {
                "metric" => aggregate.metric = slot.name()?,
                "filter_list" if slot.value.is_null() => {}
                "filter_list" => aggregate.filters = Some(slot.strings()?),
                "weight_by_size" => aggregate.weight_by_size = slot.bool()?,
                "aggregation" => {
                    let name = slot.function().map_or_else(|| slot.string(), |f| Ok(f.name))?;
                    if name != "mean" {
                        return Err(slot.error(format!("groups know only `mean`, found {name:?}")));
                    }
                }
                other => {
                    let known = ["metric", "filter_list", "weight_by_size", "aggregation"];
                    return Err(slot.unknown(other, known));
                }
            }
        }
        if aggregate.metric.is_empty() {
            return Err(slot.error("needs the key `metric` with the name of a metric"));
        }
        Ok(aggregate)
    }
}

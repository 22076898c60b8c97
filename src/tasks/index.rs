//! The index of suites: which names there are, and what each stands for.
//!
//! Within one root the first file of a name counts; a folder of one's own wins over the embedded suites.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::discover::{FileKind, classify, is_task_file, task_files};
use super::embedded::FILES;
use super::error::{TaskError, did_you_mean};
use super::schema::{Fields, GroupConfig, GroupMember, Loader, Location, TaskConfig};
use super::suite::{Group, Suite, Task};

/// A suite of more groups than this is refused; the largest of the reference harness has a few hundred.
const MAX_GROUPS: usize = 10_000;

#[derive(Debug, Clone)]
enum Definition {
    Task { fields: Arc<Fields>, file: Location },
    Group { fields: Arc<Fields>, file: Location },
    Tag(BTreeSet<String>),
}

/// The groups around the place that is being built, and how many were built.
#[derive(Debug, Default)]
struct Above {
    names: Vec<String>,
    built: usize,
}

/// All suites by name.
#[derive(Debug, Default)]
pub struct Index {
    entries: BTreeMap<String, Definition>,
    problems: Vec<TaskError>,
    loader: Mutex<Loader>,
}

impl Index {
    /// Indexes the embedded suites and, in order, folders of one's own.
    ///
    /// A file in such a folder that cannot be read does not spoil the others: see [`Index::problems`].
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn load(include_paths: &[PathBuf]) -> Result<Self, TaskError> {
        let mut index = Self::default();
        let embedded = FILES.iter().filter(|file| file.path.ends_with(".yaml"));
        index.add(embedded.map(|file| Location::Embedded(file.path.to_owned())));
        for folder in include_paths {
            let files = task_files(folder)
                .map_err(|source| TaskError::Io { file: folder.display().to_string(), source })?;
            index.add(files.into_iter().map(Location::Disk));
        }
        Ok(index)
    }

    /// Adds the files of one root.
    fn add(&mut self, files: impl Iterator<Item = Location>) {
        let mut entries: BTreeMap<String, Definition> = BTreeMap::new();
        let loader = self.loader.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let files: Vec<Location> = files.collect();
        loader.parse_ahead(&files);
        for file in files {
            let read = loader.load(&file).and_then(|fields| Ok((classify(&fields)?, fields)));
            let (kind, fields) = match read {
                Ok(read) => read,
                Err(error) => {
                    self.problems.push(error);
                    continue;
                }
            };
            match kind {
                FileKind::Other => {}
                FileKind::Group(name) => {
                    entries.entry(name).or_insert(Definition::Group { fields, file });
                }
                FileKind::Task(name, tags) => {
                    if matches!(entries.get(&name), Some(Definition::Task { .. } | Definition::Group { .. }))
                    {
                        continue;
                    }
                    entries.insert(name.clone(), Definition::Task { fields, file });
                    for tag in tags {
                        let entry = entries.entry(tag).or_insert_with(|| Definition::Tag(BTreeSet::new()));
                        if let Definition::Tag(tasks) = entry {
                            tasks.insert(name.clone());
                        }
                    }
                }
            }
        }
        self.entries.append(&mut entries);
    }

    /// The names of all tasks and groups, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.select(|entry| !matches!(entry, Definition::Tag(_)))
    }

    /// The names of all groups, sorted.
    pub fn groups(&self) -> Vec<&str> {
        self.select(|entry| matches!(entry, Definition::Group { .. }))
    }

    /// The names of all tags, sorted.
    pub fn tags(&self) -> Vec<&str> {
        self.select(|entry| matches!(entry, Definition::Tag(_)))
    }

    fn select(&self, wanted: impl Fn(&Definition) -> bool) -> Vec<&str> {
        self.entries.iter().filter(|(_, entry)| wanted(entry)).map(|(name, _)| name.as_str()).collect()
    }

    /// The names of all tasks, groups and tags, sorted.
    pub(super) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether a task, group or tag has exactly this name.
    pub(super) fn is_known(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The file of a task or group.
    pub(super) fn file(&self, name: &str) -> Option<&Location> {
        match self.entries.get(name)? {
            Definition::Task { file, .. } | Definition::Group { file, .. } => Some(file),
            Definition::Tag(_) => None,
        }
    }

    /// Files that could not be read and are therefore missing from the index.
    pub fn problems(&self) -> &[TaskError] {
        &self.problems
    }

    /// What a name stands for. A path that ends in `.yaml` or `.yml` is read as a task or group file.
    ///
    /// # Errors
    /// Unknown names, with the nearest known one; everything that is wrong in the files.
    pub fn resolve(&self, name: &str) -> Result<Suite, TaskError> {
        match self.entries.get(name) {
            Some(entry) => self.build(name, entry, &Fields::new(), &mut Above::default()),
            None if is_task_file(name) => self.resolve_file(Path::new(name)),
            None => Err(self.unknown(name)),
        }
    }

    fn resolve_file(&self, path: &Path) -> Result<Suite, TaskError> {
        let file = Location::Disk(path.to_owned());
        let fields = self.loader.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).load(&file)?;
        let (name, entry) = match classify(&fields)? {
            FileKind::Task(name, _) => (name, Definition::Task { fields, file }),
            FileKind::Group(name) => (name, Definition::Group { fields, file }),
            FileKind::Other => {
                let missing = "missing; a task file needs `task`, a group file `group`";
                return Err(TaskError::wrong(format!("{}: task", file.display()), missing));
            }
        };
        self.build(&name, &entry, &Fields::new(), &mut Above::default())
    }

    pub(super) fn unknown(&self, name: &str) -> TaskError {
        let note = self.unreadable();
        TaskError::UnknownSuite { name: name.to_owned(), meant: self.meant(name), note }
    }

    /// The files that could not be read, as a sentence that begins with `;`; empty if there are none.
    pub(super) fn unreadable(&self) -> String {
        match self.problems.len() {
            0 => String::new(),
            n => {
                let some: String = self.problems.iter().take(5).map(|p| format!("\n  {p}")).collect();
                format!("; {n} file(s) could not be read and may define it:{some}")
            }
        }
    }

    fn build(
        &self,
        name: &str,
        entry: &Definition,
        over: &Fields,
        above: &mut Above,
    ) -> Result<Suite, TaskError> {
        match entry {
            Definition::Task { fields, file } => task(fields, over, file).map(Suite::Task),
            Definition::Group { fields, file } => {
                self.group(GroupConfig::read(fields)?, over, file, above).map(Suite::of_group)
            }
            Definition::Tag(tasks) => Ok(Suite::of_group(Group {
                name: name.to_owned(),
                alias: name.to_owned(),
                children: self.tagged(tasks, over)?,
                aggregates: Vec::new(),
                version: None,
                table_order: Vec::new(),
                file: None,
            })),
        }
    }

    /// What a name in a group's list stands for, the tasks of a tag one by one; nothing if no file defines it.
    fn named(&self, name: &str, over: &Fields, above: &mut Above) -> Result<Option<Vec<Suite>>, TaskError> {
        Ok(match self.entries.get(name) {
            Some(Definition::Tag(tasks)) => Some(self.tagged(tasks, over)?),
            Some(entry) => Some(vec![self.build(name, entry, over, above)?]),
            None => None,
        })
    }

    fn tagged(&self, names: &BTreeSet<String>, over: &Fields) -> Result<Vec<Suite>, TaskError> {
        let mut tasks = Vec::new();
        for name in names {
            if let Some(Definition::Task { fields, file }) = self.entries.get(name) {
                tasks.push(Suite::Task(task(fields, over, file)?));
            }
        }
        Ok(tasks)
    }

    /// The keys that an entry of a group's list includes, and those that it has itself.
    fn with_included(&self, own: &Fields) -> Result<(Fields, Fields), TaskError> {
        let mut own = own.clone();
        let Some(include) = own.remove("include") else { return Ok((Fields::new(), own)) };
        let mut loader = self.loader.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut included = loader.included(&include)?;
        for key in ["task", "group", "tag", "task_list"] {
            included.remove(key);
        }
        Ok((included, own))
    }

    fn group(
        &self,
        config: GroupConfig,
        over: &Fields,
        file: &Location,
        above: &mut Above,
    ) -> Result<Group, TaskError> {
        let fail =
            |message: String| TaskError::wrong(file.display(), format!("group {:?} {message}", config.group));
        if above.names.contains(&config.group) {
            return Err(fail(format!("contains itself: {} > {}", above.names.join(" > "), config.group)));
        }
        above.built += 1;
        if above.built > MAX_GROUPS {
            return Err(fail(format!("is one of more than {MAX_GROUPS} groups of one suite")));
        }
        above.names.push(config.group.clone());
        // What the caller sets wins over what this group sets.
        let over = merged(&config.overrides, over);
        let mut children = Vec::new();
        for member in &config.members {
            match member {
                GroupMember::Name(name) => {
                    let Some(suites) = self.named(name, &over, above)? else {
                        let meant = did_you_mean(self.meant(name));
                        return Err(fail(format!("lists {name:?}, which no file defines{meant}")));
                    };
                    children.extend(suites);
                }
                GroupMember::Task(name, own) => {
                    let (mut included, own) = self.with_included(own)?;
                    // What is included lies below everything, the named task's own keys too.
                    if let Some(Definition::Task { fields, .. }) = self.entries.get(name) {
                        included.retain(|key, _| !fields.contains_key(key));
                    }
                    let over = merged(&merged(&included, &over), &own);
                    match self.named(name, &over, above)? {
                        Some(suites) => children.extend(suites),
                        None => {
                            let mut own = TaskConfig::read(&over)?;
                            own.task = format!("{}::{name}", config.group);
                            children.push(Suite::Task(Task::of(own, file)));
                        }
                    }
                }
                GroupMember::Group(name, own) => {
                    let (included, own) = self.with_included(own)?;
                    let own = merged(&included, &own);
                    let mut inner = own.clone();
                    inner.remove("group");
                    let group = match self.entries.get(name) {
                        Some(Definition::Group { fields, file }) => {
                            let mut fields = (**fields).clone();
                            for key in ["group_alias", "aggregate_metric_list"] {
                                if let Some(entry) = inner.remove(key) {
                                    fields.insert(key.to_owned(), entry);
                                }
                            }
                            let over = merged(&over, &inner);
                            self.group(GroupConfig::read(&fields)?, &over, file, above)?
                        }
                        _ => {
                            let mut group = GroupConfig::read(&own)?;
                            group.group = format!("{}::{name}", config.group);
                            self.group(group, &over, file, above)?
                        }
                    };
                    children.push(Suite::of_group(group));
                }
            }
        }
        above.names.pop();
        Ok(Group {
            alias: config.group_alias.unwrap_or_else(|| config.group.clone()),
            name: config.group,
            children,
            aggregates: config.aggregates,
            version: config.metadata.get("version").cloned(),
            table_order: config.table_order,
            file: Some(file.clone()),
        })
    }
}

fn merged(base: &Fields, over: &Fields) -> Fields {
    let mut all = base.clone();
    all.extend(over.iter().map(|(key, entry)| (key.clone(), entry.clone())));
    all
}

fn task(fields: &Fields, over: &Fields, file: &Location) -> Result<Arc<Task>, TaskError> {
    let config =
        if over.is_empty() { TaskConfig::read(fields) } else { TaskConfig::read(&merged(fields, over)) };
    Ok(Task::of(config?, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(files: &[(&str, &str)]) -> (tempfile::TempDir, Index) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let index = Index::load(&[dir.path().to_owned()]).unwrap();
        (dir, index)
    }

    #[test]
    fn every_embedded_suite_resolves() {
        let index = Index::load(&[]).unwrap();
        assert!(index.problems().is_empty(), "{:?}", index.problems());
        for name in index.names().into_iter().chain(index.tags()) {
            index.resolve(name).unwrap();
        }
    }

    #[test]
    fn groups_tags_overrides_and_inline_members() {
        let (_dir, index) = index(&[
            ("a.yaml", "task: zz_a\ntag: [zz_tag]\ndoc_to_text: q\nnum_fewshot: 1\n"),
            ("b.yaml", "include: a.yaml\ntask: zz_b\ntask_alias: B\n"),
            ("c.yaml", "task: zz_c\n"),
            (
                "g.yaml",
                "group: zz_g\ngroup_alias: G\nnum_fewshot: 3\nmetadata: {version: 2.0}\n\
                 aggregate_metric_list: [{metric: acc, weight_by_size: false, filter_list: none}]\n\
                 task:\n- zz_tag\n- {task: zz_c, num_fewshot: 5}\n- {task: zz_new, doc_to_text: t}\n\
                 - {group: inner, task: [zz_a], aggregate_metric_list: {metric: acc}}\n",
            ),
        ]);
        assert_eq!(index.tags().iter().filter(|t| **t == "zz_tag").count(), 1);
        let Suite::Group(group) = index.resolve("zz_g").unwrap() else { panic!("no group") };
        let shots: Vec<(String, Option<usize>)> = group
            .children
            .iter()
            .flat_map(Suite::tasks)
            .map(|t| (t.name.clone(), t.config.num_fewshot))
            .collect();
        let wanted = [("zz_a", 3), ("zz_b", 3), ("zz_c", 5), ("zz_g::zz_new", 3), ("zz_a", 3)];
        assert_eq!(shots, wanted.map(|(n, s)| (n.to_owned(), Some(s))));
        assert_eq!(group.children.last().unwrap().name(), "zz_g::inner");
        assert_eq!(group.alias, "G");
        assert_eq!(group.version, Some(serde_json::json!(2.0)));
        assert_eq!(group.aggregates[0].filters, Some(vec!["none".to_owned()]));
        assert!(!group.aggregates[0].weight_by_size);
        let Suite::Group(tag) = index.resolve("zz_tag").unwrap() else { panic!("no group") };
        assert_eq!((tag.children.len(), tag.aggregates.len()), (2, 0));
        assert_eq!(tag.children[1].alias(), "B");
    }

    #[test]
    fn entries_of_a_group_can_include_files() {
        let (_dir, index) = index(&[
            ("a.yaml", "task: zz_a\nnum_fewshot: 1\n"),
            ("sub/base.yaml", "doc_to_text: q\nnum_fewshot: 2\ntask: zz_other\ndoc_to_target: t\n"),
            (
                "g.yaml",
                "group: zz_g\ndoc_to_target: g\ntask:\n- {task: zz_a, include: sub/base.yaml}\n\
                 - {task: zz_new, include: sub/base.yaml, num_fewshot: 7}\n\
                 - {group: zz_inner, include: sub/base.yaml, task: [zz_a]}\n",
            ),
            ("h.yaml", "group: zz_h\ntask:\n- {task: zz_a, include: none.yaml}\n"),
        ]);
        let suite = index.resolve("zz_g").unwrap();
        let Suite::Group(group) = &suite else { panic!("no group") };
        let said: Vec<_> = group
            .children
            .iter()
            .flat_map(Suite::tasks)
            .map(|task| (task.name.clone(), task.config.num_fewshot, task.config.doc_to_text.is_some()))
            .collect();
        // The named task's own keys win over what is included, those of the entry over both.
        let wanted = [("zz_a", Some(1)), ("zz_g::zz_new", Some(7)), ("zz_a", Some(2))];
        assert_eq!(said, wanted.map(|(name, shots)| (name.to_owned(), shots, true)));
        assert!(index.resolve("zz_h").unwrap_err().to_string().contains("include \"none.yaml\""));
    }

    #[test]
    fn slips_are_named_and_bad_files_do_not_spoil_good_ones() {
        let (dir, index) = index(&[
            ("good.yaml", "task: zz_good\n"),
            ("slip.yaml", "task: zz_slip\n\ndoc_to_txt: x\n"),
            ("bad.yaml", "task: [\n"),
            ("loop.yaml", "group: zz_loop\ntask: [zz_loop]\n"),
        ]);
        assert_eq!(index.problems().len(), 1);
        let said = index.resolve("zz_slip").unwrap_err().to_string();
        assert!(said.contains("slip.yaml, line 3") && said.contains("\"doc_to_text\""), "{said}");
        let said = index.resolve("zz_god").unwrap_err().to_string();
        assert!(said.contains("\"zz_good\"") && said.contains("1 file(s)"), "{said}");
        assert!(
            index.resolve("zz_loop").unwrap_err().to_string().contains("contains itself: zz_loop > zz_loop")
        );
        let path = dir.path().join("good.yaml");
        assert_eq!(index.resolve(&path.display().to_string()).unwrap().name(), "zz_good");
    }
}

//! Which file imports which: paths are followed through re-exports to the file that defines what they name.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Module, Source};

/// What a path leads to.
enum End {
    Module(Module),
    /// Something that this file defines.
    Item(usize),
}

/// How far re-exports of re-exports are followed.
const DEPTH: usize = 20;

/// Files by their numbers, with those whose items they name.
pub struct Graph {
    /// What a file works with, without the heads of the folders it is in.
    pub uses: BTreeMap<usize, BTreeSet<usize>>,
    /// The same with what it only hands on by `pub use`.
    pub imports: BTreeSet<(usize, usize)>,
}

impl Graph {
    pub fn of(source: &Source) -> Self {
        let (mut uses, mut imports) = (BTreeMap::<usize, BTreeSet<usize>>::new(), BTreeSet::new());
        for (module, scope) in &source.scopes {
            let mut add = |path: &[String], is_used: bool| {
                if let Some(End::Item(to)) = follow(source, module, path, DEPTH)
                    && to != scope.file
                {
                    imports.insert((scope.file, to));
                    // A folder's head is what its files have in common: what they name of it is no way out.
                    let is_head = source.files[scope.file].module.starts_with(&source.files[to].module);
                    if is_used && !is_head {
                        uses.entry(scope.file).or_default().insert(to);
                    }
                }
            };
            scope.paths.iter().for_each(|path| add(path, true));
            scope.reexports.iter().for_each(|(name, path)| add(path, scope.names.contains(name)));
            for glob in &scope.globs {
                for name in scope.names.iter().filter(|name| !scope.items.contains(*name)) {
                    add(&[&glob[..], std::slice::from_ref(name)].concat(), true);
                }
            }
        }
        Self { uses, imports }
    }

    /// The circles: files that all lead to each other, by their numbers.
    pub fn circles(&self) -> Vec<Vec<usize>> {
        let reach = |from: usize| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(next) = open.pop() {
                for &to in self.uses.get(&next).into_iter().flatten() {
                    if seen.insert(to) {
                        open.push(to);
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<usize, BTreeSet<usize>> =
            self.uses.keys().map(|&from| (from, reach(from))).collect();
        let mut circles: Vec<Vec<usize>> = Vec::new();
        for (&from, to) in &reached {
            if to.contains(&from) && !circles.iter().flatten().any(|&known| known == from) {
                circles.push(
                    to.iter()
                        .copied()
                        .filter(|to| reached.get(to).is_some_and(|back| back.contains(&from)))
                        .collect(),
                );
            }
        }
        circles
    }
}

/// Where `path` leads that is written in `module`; `None` for other crates and local names.
fn follow(source: &Source, module: &[String], path: &[String], depth: usize) -> Option<End> {
    let depth = depth.checked_sub(1)?;
    let mut names = path.iter();
    let mut here: Module = match path.first()?.as_str() {
        "crate" => {
            names.next();
            Module::new()
        }
        "self" => {
            names.next();
            module.to_vec()
        }
        _ => module.to_vec(),
    };
    let mut names = names.peekable();
    while names.next_if(|name| *name == "super").is_some() {
        here.pop()?;
    }
    for name in names {
        let child: Module = [&here[..], std::slice::from_ref(name)].concat();
        if source.scopes.contains_key(&child) {
            here = child;
            continue;
        }
        let scope = source.scopes.get(&here)?;
        if scope.items.contains(name) {
            return Some(End::Item(scope.file));
        }
        if let Some(to) = scope.uses.get(name) {
            // A name that stands for itself belongs to another crate.
            if to.first() == Some(name) && to.len() == 1 {
                return None;
            }
            match follow(source, &here, to, depth)? {
                End::Module(module) => here = module,
                item => return Some(item),
            }
            continue;
        }
        let found = scope.globs.iter().find_map(|glob| {
            let path = [&glob[..], std::slice::from_ref(name)].concat();
            follow(source, &here, &path, depth)
        });
        match found? {
            End::Module(module) => here = module,
            item => return Some(item),
        }
    }
    Some(End::Module(here))
}

//! Source files as modules: the tokens of each without its test code, its items, and every path it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The path of a module below the crate: `["model", "attention"]`.
pub type Module = Vec<String>;

/// `a::b::c` as names.
pub type Names = Vec<String>;

/// One file of `src`.
pub struct File {
    /// `model/attention.rs`.
    pub name: String,
    pub lines: usize,
    pub module: Module,
    /// Its words, strings and numbers as they are written.
    pub words: BTreeSet<String>,
}

/// What a module makes known to those that name it.
#[derive(Default)]
pub struct Scope {
    /// The file it stands in.
    pub file: usize,
    /// Names that are defined here.
    pub items: BTreeSet<String>,
    /// Names that `use` brings here, with what they stand for.
    pub uses: BTreeMap<String, Names>,
    /// Modules whose names all are brought here.
    pub globs: Vec<Names>,
    /// Every path of two and more names, and every `use` that is not a re-export.
    pub paths: Vec<Names>,
    /// Every name that stands outside of `use`.
    pub names: BTreeSet<String>,
    /// What `pub use` brings here: it is an import only if it is used here as well.
    pub reexports: Vec<(String, Names)>,
}

/// The crate as files and modules.
pub struct Source {
    pub files: Vec<File>,
    pub scopes: BTreeMap<Module, Scope>,
}

impl Source {
    /// Reads `src`, without the binary and without what is compiled for tests only.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        rust_files(&root, &mut paths);
        let (mut files, mut code, mut of_tests) = (Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            let name =
                path.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").replace('\\', "/");
            if name == "main.rs" {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file can be read");
            let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut module: Module = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            let mut tokens = Vec::new();
            without_tests(stream, &mut tokens, &mut |child| {
                of_tests.push([&module[..], &[child.to_owned()]].concat());
            });
            let mut all = BTreeSet::new();
            words(&tokens, &mut all);
            code.push(tokens);
            files.push(File { name, lines: text.lines().count(), module, words: all });
        }
        let is_test = |file: &File| of_tests.iter().any(|module| file.module.starts_with(module));
        let (files, code): (Vec<File>, Vec<_>) =
            files.into_iter().zip(code).filter(|(file, _)| !is_test(file)).unzip();
        let mut scopes = BTreeMap::new();
        for (number, (file, tokens)) in files.iter().zip(&code).enumerate() {
            scan_module(tokens, &file.module, number, &mut scopes);
        }
        Self { files, scopes }
    }
}

/// The words of a stream, without punctuation.
fn words(tokens: &[TokenTree], found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => words(&group.stream().into_iter().collect::<Vec<_>>(), found),
            TokenTree::Punct(_) => {}
            word => drop(found.insert(word.to_string())),
        }
    }
}

/// All `.rs` files below a folder, sorted.
pub fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of sources")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn word(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<Vec<TokenTree>> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => {
            Some(group.stream().into_iter().collect())
        }
        _ => None,
    }
}

/// Copies tokens without attributes and without the items that have `#[cfg(test)]`; `module` hears of files among them.
fn without_tests(stream: TokenStream, kept: &mut Vec<TokenTree>, module: &mut dyn FnMut(&str)) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_mark(tokens.get(at), '#') {
            let inner = usize::from(is_mark(tokens.get(at + 1), '!'));
            if let Some(attribute) = group(tokens.get(at + 1 + inner), Delimiter::Bracket) {
                at += 2 + inner;
                let text: String = attribute.iter().map(ToString::to_string).collect();
                if text.replace(' ', "") == "cfg(test)" {
                    at = after_item(&tokens, at, module);
                }
                continue;
            }
        }
        match &tokens[at] {
            TokenTree::Group(group) => {
                let mut inner = Vec::new();
                without_tests(group.stream(), &mut inner, module);
                kept.push(TokenTree::Group(proc_macro2::Group::new(
                    group.delimiter(),
                    inner.into_iter().collect(),
                )));
            }
            token => kept.push(token.clone()),
        }
        at += 1;
    }
}

/// The place after the item that begins at `at`.
fn after_item(tokens: &[TokenTree], mut at: usize, module: &mut dyn FnMut(&str)) -> usize {
    let mut to_semicolon = false;
    while at < tokens.len() {
        let token = &tokens[at];
        at += 1;
        to_semicolon |= ["use", "const", "static", "let", "type"].iter().any(|word| is_word(token, word));
        // `const fn` ends with its body.
        to_semicolon &= !is_word(token, "fn");
        if is_word(token, "mod") && is_mark(tokens.get(at + 1), ';') {
            module(&word(tokens.get(at)).expect("a module has a name"));
        }
        let block = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if is_mark(Some(token), ';') || (block && !to_semicolon) {
            break;
        }
    }
    at
}

/// Reads the items and paths of a module, and of those inside of it.
fn scan_module(tokens: &[TokenTree], module: &Module, file: usize, scopes: &mut BTreeMap<Module, Scope>) {
    let mut scope = Scope { file, ..Scope::default() };
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at], "mod") {
            let child = word(tokens.get(at + 1)).expect("a module has a name");
            if let Some(inner) = group(tokens.get(at + 2), Delimiter::Brace) {
                scan_module(&inner, &[&module[..], &[child]].concat(), file, scopes);
            }
            at += 3;
            continue;
        }
        scope.items.extend(defined(tokens, at));
        // A macro around items, as `on_widest!` is.
        if is_mark(tokens.get(at), '!')
            && let Some(inner) = group(tokens.get(at + 1), Delimiter::Brace)
        {
            scope.items.extend((0..inner.len()).filter_map(|at| defined(&inner, at)));
        }
        at = scan_token(tokens, at, &mut scope);
    }
    scopes.insert(module.clone(), scope);
}

/// The name of the item whose keyword stands at `at`.
fn defined(tokens: &[TokenTree], at: usize) -> Option<String> {
    const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
    if is_word(&tokens[at], "macro_rules") {
        return word(tokens.get(at + 2));
    }
    KINDS.iter().any(|kind| is_word(&tokens[at], kind)).then(|| word(tokens.get(at + 1)))?
}

/// Reads one token, or one path or `use` that begins with it; returns the place after it.
fn scan_token(tokens: &[TokenTree], at: usize, scope: &mut Scope) -> usize {
    match &tokens[at] {
        TokenTree::Ident(ident) if ident == "use" => {
            let reexport = at > 0
                && (is_word(&tokens[at - 1], "pub")
                    || group(tokens.get(at - 1), Delimiter::Parenthesis).is_some());
            let end = (at..tokens.len()).find(|&end| is_mark(tokens.get(end), ';')).unwrap_or(tokens.len());
            use_tree(&tokens[at + 1..end], &[], reexport, scope);
            end + 1
        }
        TokenTree::Ident(ident) => {
            let mut path = vec![ident.to_string()];
            let mut next = at + 1;
            while is_mark(tokens.get(next), ':') && is_mark(tokens.get(next + 1), ':') {
                let Some(name) = word(tokens.get(next + 2)) else { break };
                path.push(name);
                next += 3;
            }
            scope.names.insert(path[0].clone());
            if path.len() > 1 {
                scope.paths.push(path);
            }
            next
        }
        TokenTree::Group(group) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let mut place = 0;
            while place < inner.len() {
                place = scan_token(&inner, place, scope);
            }
            at + 1
        }
        _ => at + 1,
    }
}

/// Reads `a::b::{c, d as e, f::*}`.
fn use_tree(tokens: &[TokenTree], before: &[String], reexport: bool, scope: &mut Scope) {
    let mut path = before.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(inner) = group(tokens.get(at), Delimiter::Brace) {
            for branch in inner.split(|token| is_mark(Some(token), ',')) {
                use_tree(branch, &path, reexport, scope);
            }
            return;
        }
        if is_mark(tokens.get(at), '*') {
            scope.globs.push(path);
            return;
        }
        if is_word(&tokens[at], "as") {
            let name = word(tokens.get(at + 1)).expect("a name after `as`");
            return bring(name, path, reexport, scope);
        }
        path.extend(word(tokens.get(at)));
        at += 1;
    }
    if path.len() > before.len() {
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = path.last().expect("a path has a name").clone();
        bring(name, path, reexport, scope);
    }
}

fn bring(name: String, path: Names, reexport: bool, scope: &mut Scope) {
    if reexport {
        scope.reexports.push((name.clone(), path.clone()));
    } else {
        scope.paths.push(path.clone());
    }
    scope.uses.insert(name, path);
}

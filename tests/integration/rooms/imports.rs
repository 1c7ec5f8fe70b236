//! Finds which file names which: every path in a tree of Rust files that begins with `crate`, `self`, `super`, a child
//! module or an imported module, in a `use` or inline, in code or in a macro's arguments. It does not read comments and
//! strings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's path in the crate: `["driver", "mysql", "beat"]`; empty for the crate's root.
pub(crate) type Module = Vec<String>;

/// The imports of a tree of files, by the path of each file below `src/`.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// A path as it is written, and whether a `use` contains it.
struct Written {
    /// The inline modules around it (`mod tests { … }`).
    within: Module,
    segments: Vec<String>,
    /// The name that a `use` gives it in its file; `None` inline, and with `*`.
    alias: Option<String>,
}

/// Reads the imports of every file below `src`, without those of test code.
pub(crate) fn imports_of(src: &Path) -> Imports {
    let mut files = BTreeMap::new();
    read(src, src, &mut files);
    let modules: BTreeMap<Module, String> = files.keys().map(|file| (module_of(file), file.clone())).collect();
    let imports = files.iter().map(|(file, text)| {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        (file.clone(), targets(file, tokens, &modules))
    });
    imports.collect()
}

fn read(src: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read(src, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn module_of(file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    match path {
        "lib" => Module::new(),
        _ => path.strip_suffix("/mod").unwrap_or(path).split('/').map(str::to_owned).collect(),
    }
}

fn targets(file: &str, tokens: TokenStream, modules: &BTreeMap<Module, String>) -> BTreeSet<String> {
    let own = module_of(file);
    let mut written = Vec::new();
    walk(&tokens.into_iter().collect::<Vec<_>>(), &Module::new(), &mut written);
    let mut aliases: BTreeMap<String, Module> = BTreeMap::new();
    for path in &written {
        if let (Some(alias), Some(full)) = (&path.alias, resolve(path, &own, modules, &aliases))
            && modules.contains_key(&full)
        {
            aliases.insert(alias.clone(), full);
        }
    }
    let resolved = written.iter().filter_map(|path| resolve(path, &own, modules, &aliases));
    let named = resolved.filter_map(|full| (0..=full.len()).rev().find_map(|length| modules.get(&full[..length])));
    named.filter(|target| *target != file).cloned().collect()
}

/// The module that a path leads to, from the crate's root; `None` if it is outside the crate or not a module.
fn resolve(
    path: &Written,
    own: &Module,
    modules: &BTreeMap<Module, String>,
    aliases: &BTreeMap<String, Module>,
) -> Option<Module> {
    let mut here: Module = own.iter().chain(&path.within).cloned().collect();
    let mut rest = path.segments.as_slice();
    match rest.first()?.as_str() {
        // `main.rs` uses the library by its name.
        "crate" | "heartbeatd" => (here, rest) = (Module::new(), &rest[1..]),
        "self" | "super" => {
            while let Some(step @ ("self" | "super")) = rest.first().map(String::as_str) {
                if step == "super" {
                    here.pop();
                }
                rest = &rest[1..];
            }
        }
        first => {
            let child: Module = own.iter().cloned().chain([first.to_owned()]).collect();
            here = aliases.get(first).cloned().or_else(|| modules.contains_key(&child).then_some(child))?;
            rest = &rest[1..];
        }
    }
    Some(here.into_iter().chain(rest.iter().cloned()).collect())
}

/// Collects the paths of a stream of tokens, without the items after `#[cfg(test)]`.
fn walk(tokens: &[TokenTree], within: &Module, written: &mut Vec<Written>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at = match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' && is_for_tests(tokens.get(at + 1)) => skip(tokens, at + 2),
            TokenTree::Ident(word) if word == "pub" && is_group(tokens.get(at + 1), Delimiter::Parenthesis) => at + 2,
            TokenTree::Ident(word) if word == "use" => use_tree(tokens, at + 1, &[], within, written),
            TokenTree::Ident(word) if word == "mod" => inline_module(tokens, at + 1, within, written),
            TokenTree::Ident(_) => {
                let (segments, next) = path(tokens, at);
                let field = at > 0 && matches!(&tokens[at - 1], TokenTree::Punct(mark) if mark.as_char() == '.');
                // A single word is not a path, except in a call of the parent's function, which must be imported.
                if segments.len() > 1 && !field {
                    written.push(Written { within: within.clone(), segments, alias: None });
                }
                next
            }
            TokenTree::Group(group) => {
                walk(&group.stream().into_iter().collect::<Vec<_>>(), within, written);
                at + 1
            }
            _ => at + 1,
        };
    }
}

fn inline_module(tokens: &[TokenTree], name: usize, within: &Module, written: &mut Vec<Written>) -> usize {
    let (Some(TokenTree::Ident(word)), Some(TokenTree::Group(body))) = (tokens.get(name), tokens.get(name + 1)) else {
        return name + 1;
    };
    let within: Module = within.iter().cloned().chain([word.to_string()]).collect();
    walk(&body.stream().into_iter().collect::<Vec<_>>(), &within, written);
    name + 2
}

/// Reads one tree of a `use` after `before`. Returns the position after it.
fn use_tree(tokens: &[TokenTree], at: usize, before: &[String], within: &Module, written: &mut Vec<Written>) -> usize {
    let (segments, next) = path(tokens, at);
    let mut full: Vec<String> = before.iter().cloned().chain(segments).collect();
    match tokens.get(next) {
        Some(TokenTree::Group(group)) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
            for part in inner.split(is_comma).filter(|part| !part.is_empty()) {
                use_tree(part, 0, &full, within, written);
            }
            return next + 1;
        }
        Some(TokenTree::Punct(mark)) if mark.as_char() == '*' => {
            written.push(Written { within: within.clone(), segments: full, alias: None });
            return next + 1;
        }
        _ => {}
    }
    // `{self, …}` names the path before the braces.
    if full.len() > 1 && full.last().is_some_and(|last| last == "self") {
        full.pop();
    }
    let renamed = match (tokens.get(next), tokens.get(next + 1)) {
        (Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) if word == "as" => Some(name.to_string()),
        _ => None,
    };
    let next = if renamed.is_some() { next + 2 } else { next };
    let alias = renamed.or_else(|| full.last().cloned());
    written.push(Written { within: within.clone(), segments: full, alias });
    next
}

/// Reads `a::b::c` from `at` on. Returns the position after it, which is after the last `::` before braces or `*`.
fn path(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        segments.push(word.to_string());
        at += 1;
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
        if !(colon(at) && colon(at + 1)) {
            return (segments, at);
        }
        at += 2;
    }
    (segments, at)
}

fn is_group(token: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

fn is_for_tests(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// The position after an item: after its first `;` or braces.
fn skip(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    tokens[at..].iter().position(ends).map_or(tokens.len(), |behind| at + behind + 1)
}

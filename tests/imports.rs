//! Checks that the files and folders in a folder import each other in one direction only, without
//! cycles.
//!
//! A cycle means that a type or a function is in the wrong file: move it to a file that both can
//! import, or merge the two files. A name that a `mod.rs` re-exports stands for the item itself, so
//! that a cycle through it is found too. Items that are only for tests may import anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quote::ToTokens;
use syn::{Attribute, Item, UseTree};

/// The names from the root of a crate to a module, or to an item in a module.
type Names = Vec<String>;
/// The items of each module.
type Modules = BTreeMap<Names, Vec<Item>>;
/// The imports between the files and folders of a folder: from, to, and the first import as a text.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn the_files_of_a_folder_import_each_other_in_one_direction() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).expect("a folder");
    let packages = crates.map(|package| package.expect("a package").path()).chain([root.into()]);
    let cycles: Vec<String> = packages.flat_map(|package| cycles(&package.join("src"))).collect();
    assert!(cycles.is_empty(), "the imports have a cycle:\n{}", cycles.join("\n"));
}

/// Describes a cycle for each folder that has one.
fn cycles(source: &Path) -> Vec<String> {
    let mut modules = Modules::new();
    read(source, &[], &mut modules);
    let mut aliases = BTreeMap::new();
    for (module, items) in &modules {
        for (name, path) in items.iter().flat_map(uses) {
            if let Some(to) = absolute(&path, module, &modules) {
                aliases.insert([&module[..], &[name]].concat(), to);
            }
        }
    }
    let mut graphs: BTreeMap<&[String], Graph> = BTreeMap::new();
    for (module, items) in &modules {
        for path in items.iter().flat_map(paths) {
            let Some(to) = absolute(&path, module, &modules) else { continue };
            let to = resolve(to, &modules, &aliases);
            let same = module.iter().zip(&to).take_while(|(here, there)| here == there).count();
            if same < module.len() && same < to.len() && modules.contains_key(&to[..=same]) {
                let import = format!("{} has {}", module.join("::"), path.join("::"));
                let imports = graphs.entry(&module[..same]).or_default();
                let imports = imports.entry(module[same].clone()).or_default();
                imports.entry(to[same].clone()).or_insert(import);
            }
        }
    }
    let cycle = |(folder, graph): (&[String], Graph)| {
        let steps =
            graph.keys().find_map(|start| find_path(&graph, start, start, &mut Vec::new()))?;
        Some(format!("{}: {}", source.join(folder.join("/")).display(), steps.join(", ")))
    };
    graphs.into_iter().filter_map(cycle).collect()
}

/// Reads the modules of a folder, except src/bin, where each file is a crate.
fn read(folder: &Path, module: &[String], modules: &mut Modules) {
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if name.ends_with("tests") || name == "bin" {
            continue;
        }
        let inner = if name == "mod" || name == "lib" { vec![] } else { vec![name] };
        let inner = [module, &inner].concat();
        if path.is_dir() {
            read(&path, &inner, modules);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let parsed = syn::parse_file(&fs::read_to_string(path).expect("a source file"));
            let mut items = parsed.expect("valid source").items;
            items.retain(|item| !is_for_tests(item));
            modules.insert(inner, items);
        }
    }
}

fn is_for_tests(item: &Item) -> bool {
    let (Item::Mod(syn::ItemMod { attrs, .. })
    | Item::Use(syn::ItemUse { attrs, .. })
    | Item::Fn(syn::ItemFn { attrs, .. })
    | Item::Impl(syn::ItemImpl { attrs, .. })) = item
    else {
        return false;
    };
    let text = |attribute: &Attribute| attribute.to_token_stream().to_string().replace(' ', "");
    attrs.iter().any(|attribute| text(attribute) == "#[cfg(test)]")
}

/// Returns the paths that an item imports, each with its local name.
fn uses(item: &Item) -> Vec<(String, Names)> {
    fn walk(tree: &UseTree, before: &[String], uses: &mut Vec<(String, Names)>) {
        let path = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(tree) => walk(&tree.tree, &path(&tree.ident), uses),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, before, uses)),
            UseTree::Rename(name) => uses.push((name.rename.to_string(), path(&name.ident))),
            UseTree::Name(name) if name.ident == "self" => {
                uses.push((before[before.len() - 1].clone(), before.to_vec()));
            }
            UseTree::Name(name) => uses.push((name.ident.to_string(), path(&name.ident))),
            UseTree::Glob(_) => uses.push(("*".to_owned(), before.to_vec())),
        }
    }
    let mut uses = Vec::new();
    if let Item::Use(item) = item {
        walk(&item.tree, &[], &mut uses);
    }
    uses
}

/// Returns the paths that an item imports or names in full.
fn paths(item: &Item) -> Vec<Names> {
    let mut paths: Vec<Names> = uses(item).into_iter().map(|(_, path)| path).collect();
    let tokens = item.to_token_stream().to_string();
    let words: Vec<&str> = tokens.split_whitespace().collect();
    for place in 0..words.len() {
        if matches!(words[place], "crate" | "super") && (place == 0 || words[place - 1] != "::") {
            let steps = words[place..].chunks(2).take_while(|step| step.get(1) == Some(&"::"));
            let mut path: Names = steps.map(|step| step[0].to_owned()).collect();
            path.extend(words.get(place + 2 * path.len()).map(ToString::to_string));
            paths.push(path);
        }
    }
    paths
}

/// Returns a path as one from the root of the crate; `None` if it is of another crate.
fn absolute(path: &[String], module: &[String], modules: &Modules) -> Option<Names> {
    match &*path[0] {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let parent = module.split_last()?.1;
            let rest = &path[1..];
            if rest.first().is_some_and(|name| name == "super") {
                return absolute(rest, parent, modules);
            }
            Some([parent, rest].concat())
        }
        "self" => Some([module, &path[1..]].concat()),
        child if modules.contains_key(&[module, &[child.to_owned()]].concat()) => {
            Some([module, path].concat())
        }
        _ => None,
    }
}

/// Replaces a re-exported name by the path of the item. A type may have the name of its module.
fn resolve(mut path: Names, modules: &Modules, aliases: &BTreeMap<Names, Names>) -> Names {
    let is_alias = |end: &usize, path: &Names| {
        !modules.contains_key(&path[..*end]) && aliases.contains_key(&path[..*end])
    };
    for _ in 0..10 {
        let Some(end) = (1..=path.len()).find(|end| is_alias(end, &path)) else { break };
        path = [&aliases[&path[..end]], &path[end..]].concat();
    }
    path
}

/// Finds a path from one file to another; returns its imports.
fn find_path(graph: &Graph, from: &str, to: &str, seen: &mut Vec<String>) -> Option<Names> {
    for (next, import) in graph.get(from)? {
        if next == to {
            return Some(vec![import.clone()]);
        }
        if !seen.contains(next) {
            seen.push(next.clone());
            if let Some(mut rest) = find_path(graph, next, to, seen) {
                rest.insert(0, import.clone());
                return Some(rest);
            }
        }
    }
    None
}

//! Compares the public interface of the client, as the sources declare it, with
//! `tests/golden/client-interface.txt`, so that every change of it is seen in review.
//!
//! To accept a change: `UPDATE_GOLDEN=1 cargo test --test client_interface`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, Type, UseTree, Visibility};

/// The files and folders of `src` that declare types of the interface.
const PLACES: [&str; 5] = ["client", "numbers.rs", "security", "values", "wire"];

const GOLDEN: &str = "tests/golden/client-interface.txt";

#[test]
fn the_public_interface_equals_the_golden_file() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = BTreeSet::from(["Client".to_owned()]);
    for item in items(&source.join("client/mod.rs")) {
        if let Item::Use(item) = item
            && is_public(&item.vis)
        {
            collect(&item.tree, &mut names);
        }
    }
    let mut lines = BTreeSet::new();
    for file in PLACES.iter().flat_map(|place| files(&source.join(place))) {
        for item in items(&file) {
            describe(item, &names, &mut lines);
        }
    }
    let lines: String = lines.into_iter().map(|line| line + "\n").collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &lines).expect("the golden file is written");
    }
    let expected = fs::read_to_string(&golden).expect("the golden file exists");
    let new: Vec<_> = lines.lines().filter(|line| !expected.lines().any(|l| l == *line)).collect();
    let removed: Vec<_> =
        expected.lines().filter(|line| !lines.lines().any(|l| l == *line)).collect();
    assert!(
        new.is_empty() && removed.is_empty(),
        "the interface has changed; to accept that, run this test with UPDATE_GOLDEN=1 ({GOLDEN})\n\
         new: {new:#?}\nremoved: {removed:#?}"
    );
}

/// Returns the source files of a file or folder.
fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).expect("a folder").map(|entry| entry.expect("a file").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// Returns the items of a file, without imports, modules and impls that have a condition (`cfg`).
fn items(file: &Path) -> impl Iterator<Item = Item> {
    let text = fs::read_to_string(file).expect("a source file");
    let parsed = syn::parse_file(&text).expect("valid source");
    parsed.items.into_iter().filter(|item| {
        let (Item::Use(syn::ItemUse { attrs, .. })
        | Item::Mod(syn::ItemMod { attrs, .. })
        | Item::Impl(syn::ItemImpl { attrs, .. })) = item
        else {
            return true;
        };
        !is_conditional(attrs)
    })
}

fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn collect(tree: &UseTree, names: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => collect(&path.tree, names),
        UseTree::Group(group) => group.items.iter().for_each(|tree| collect(tree, names)),
        UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        UseTree::Rename(_) | UseTree::Glob(_) => panic!("each type is exported by its name"),
    }
}

/// Adds a line for each public part of an item.
fn describe(item: Item, names: &BTreeSet<String>, lines: &mut BTreeSet<String>) {
    match item {
        Item::Struct(mut item) if is_public(&item.vis) && is_in(names, &item.ident) => {
            traits(&mut item.attrs, &item.ident, lines);
            let name = item.ident.to_string();
            for (place, field) in item.fields.iter().enumerate().filter(|f| is_public(&f.1.vis)) {
                let field_name =
                    field.ident.as_ref().map_or(place.to_string(), ToString::to_string);
                lines.insert(format!("struct {name}: {field_name}: {}", text(&field.ty)));
            }
            lines.insert(format!("struct {name}"));
        }
        Item::Enum(mut item) if is_public(&item.vis) && is_in(names, &item.ident) => {
            traits(&mut item.attrs, &item.ident, lines);
            for mut variant in item.variants {
                variant.attrs.clear();
                if let Fields::Named(fields) = &mut variant.fields {
                    fields.named.iter_mut().for_each(|field| field.attrs.clear());
                }
                lines.insert(format!("enum {}: {}", item.ident, text(&variant)));
            }
        }
        Item::Impl(item) => {
            let Type::Path(of) = &*item.self_ty else { return };
            let name = &of.path.segments.last().expect("a name").ident;
            if !is_in(names, name) {
                return;
            }
            if let Some((_, implemented, _)) = &item.trait_ {
                lines.insert(format!("impl {} for {name}", text(implemented)));
                return;
            }
            for item in item.items {
                match item {
                    ImplItem::Fn(f) if is_public(&f.vis) && !is_conditional(&f.attrs) => {
                        lines.insert(format!("{name}: {}", text(&f.sig)));
                    }
                    ImplItem::Const(c) if is_public(&c.vis) => {
                        lines.insert(format!("{name}: const {}: {}", c.ident, text(&c.ty)));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn is_in(names: &BTreeSet<String>, name: &syn::Ident) -> bool {
    names.contains(&name.to_string())
}

/// Adds the derived traits, and `non_exhaustive`.
fn traits(attributes: &mut Vec<Attribute>, name: &syn::Ident, lines: &mut BTreeSet<String>) {
    attributes.retain(|attribute| !attribute.path().is_ident("doc"));
    for attribute in attributes {
        lines.insert(format!("{name}: {}", text(attribute)));
    }
}

/// Returns the text of tokens, with about the usual spaces.
fn text(tokens: &impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let closer = [" :: ", " < ", "< ", " >", "& ", " ,", " :", "# [", " ("];
    closer.iter().fold(spaced, |text, wide| {
        let close = match *wide {
            " ," | " :" => wide.trim_start(),
            _ => wide.trim(),
        };
        text.replace(wide, close)
    })
}

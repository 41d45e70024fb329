//! The public interface of the client, as the sources have it, is what tests/golden/client-interface.txt
//! says: a change of it is seen in review.
//!
//! To take a change over: `UPDATE_GOLDEN=1 cargo test --test client_interface`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, Type, UseTree, Visibility};

/// Where the types of the interface are.
const PLACES: [&str; 5] = ["client", "numbers.rs", "security", "values", "wire"];

const GOLDEN: &str = "tests/golden/client-interface.txt";

#[test]
fn the_interface_is_the_golden_one() {
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
    let expected = fs::read_to_string(&golden).expect("the golden file is there");
    let new: Vec<_> = lines.lines().filter(|line| !expected.lines().any(|l| l == *line)).collect();
    let gone: Vec<_> = expected.lines().filter(|line| !lines.lines().any(|l| l == *line)).collect();
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}\ngone: {gone:#?}\nsee {GOLDEN}");
}

/// The source files at a place.
fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).expect("a folder").map(|entry| entry.expect("a file").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// The items of a file that no condition leaves out of a client.
fn items(file: &Path) -> impl Iterator<Item = Item> {
    let text = fs::read_to_string(file).expect("a source file");
    let parsed = syn::parse_file(&text).expect("valid source");
    parsed.items.into_iter().filter(|item| {
        !matches!(item, Item::Use(syn::ItemUse { attrs, .. }) | Item::Mod(syn::ItemMod { attrs, .. })
            | Item::Impl(syn::ItemImpl { attrs, .. }) if is_conditional(attrs))
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
        UseTree::Rename(_) | UseTree::Glob(_) => panic!("a name for each type"),
    }
}

/// Adds what users see of an item, a line for each thing.
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

/// Adds what is derived, and whether more variants may come.
fn traits(attributes: &mut Vec<Attribute>, name: &syn::Ident, lines: &mut BTreeSet<String>) {
    attributes.retain(|attribute| !attribute.path().is_ident("doc"));
    for attribute in attributes {
        lines.insert(format!("{name}: {}", text(attribute)));
    }
}

/// The tokens as people write them, nearly.
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

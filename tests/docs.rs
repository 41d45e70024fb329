//! Checks that the tests, functions and files that the pages of docs/ name exist.
//!
//! A name is a text in backticks. A file is named by the end of its path (`omega.rs`). A name of
//! four words or more, such as `a_vote_of_a_learner_does_not_count`, is a test. The table of rules
//! in docs/protocol.md lists functions after their file (`` `omega.rs`: `decide`, `hear`; ``). Any
//! other name with an underscore occurs in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders with code, and those with the planted bugs that docs/proof.md lists.
const FOLDERS: [&str; 8] =
    ["src", "crates", "tests", "benches", "examples", "fuzz", "proto", "scripts"];

/// A name with at least this many words is the name of a test.
const TEST_WORDS: usize = 4;

#[test]
fn the_tests_functions_and_files_that_the_docs_name_exist() {
    let code = Code::read();
    let missing: Vec<String> = pages()
        .into_iter()
        .flat_map(|page| {
            let text = fs::read_to_string(&page).expect("a page");
            let mut missing = code.missing_names(&text);
            missing.extend(code.missing_functions(&text));
            missing.into_iter().map(move |name| format!("{}: {name}", page.display()))
        })
        .collect();
    assert!(missing.is_empty(), "no code has these names:\n{}", missing.join("\n"));
}

#[test]
fn names_that_do_not_exist_are_found() {
    let code = Code {
        files: vec![("src/omega.rs".into(), "fn decide() {}\nfn a_node_may_lead() {}".into())],
        words: ["decide", "a_node_may_lead", "sync_ms"].map(str::to_owned).into(),
        functions: ["decide", "a_node_may_lead"].map(str::to_owned).into(),
    };
    let text = "`a_node_may_lead`, `a_node_must_lead`, `sync_ms`, `sync_us`, `omega.rs`, `node.rs`";
    let missing: BTreeSet<String> =
        ["a_node_must_lead", "node.rs", "sync_us"].map(str::to_owned).into();
    assert_eq!(code.missing_names(text), missing);
    let missing: BTreeSet<String> = ["`hear` in omega.rs".to_owned()].into();
    assert_eq!(code.missing_functions("| `omega.rs`: `decide`, `hear`; the rest"), missing);
}

/// Returns the pages to check.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("a folder");
    let docs = docs.map(|page| page.expect("a page").path());
    let mut pages: Vec<PathBuf> = docs.collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root.join(page)));
    pages
}

/// The names in the repository's code.
struct Code {
    /// The path from the root of the repository, and the text, of each file.
    files: Vec<(String, String)>,
    /// All words of all files.
    words: BTreeSet<String>,
    /// The names of all functions.
    functions: BTreeSet<String>,
}

impl Code {
    fn read() -> Code {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = vec![("build.rs".into(), String::new())];
        for folder in FOLDERS {
            read(&root.join(folder), folder, &mut files);
        }
        let mut words = BTreeSet::new();
        let mut functions = BTreeSet::new();
        for (path, text) in &files {
            let name = path.rsplit('/').next().unwrap_or(path);
            words.insert(name.split('.').next().unwrap_or(name).to_owned());
            words.extend(text.split(|c| !is_of_name(c)).map(str::to_owned));
            functions.extend(functions_of(text).map(str::to_owned));
        }
        Code { files, words, functions }
    }

    /// Returns the names of files and tests, and other names with an underscore, that do not exist.
    fn missing_names(&self, text: &str) -> BTreeSet<String> {
        let exists = |name: &str| {
            if name.ends_with(".rs") {
                return self.files.iter().any(|(path, _)| is_path(path, name));
            }
            match name.split('_').count() {
                _ if !is_name(name) => true,
                1 => true,
                words if words < TEST_WORDS => self.words.contains(name),
                _ => self.functions.contains(name),
            }
        };
        quoted(text).filter(|name| !exists(name)).map(str::to_owned).collect()
    }

    /// Returns the functions that a table lists after their file, and that the file does not have.
    fn missing_functions(&self, text: &str) -> BTreeSet<String> {
        let mut missing = BTreeSet::new();
        let cells = text.lines().filter(|line| line.starts_with('|')).flat_map(|l| l.split('|'));
        for list in cells.flat_map(|cell| cell.split(';')) {
            let Some((file, names)) = list.trim().split_once(".rs`: ") else { continue };
            let file = format!("{}.rs", file.rsplit('`').next().unwrap_or(file));
            let files = self.files.iter().filter(|(path, _)| is_path(path, &file));
            let functions: BTreeSet<&str> =
                files.flat_map(|(_, text)| functions_of(text)).collect();
            let names = quoted(names).filter(|name| is_name(name) && !functions.contains(name));
            missing.extend(names.map(|name| format!("`{name}` in {file}")));
        }
        missing
    }
}

/// Whether `path` ends with the names of folders and the file in `end`.
fn is_path(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
}

/// Adds the files in a folder, with those in its folders.
fn read(folder: &Path, name: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = format!("{name}/{}", path.file_name().expect("a name").to_string_lossy());
        if path.is_dir() {
            read(&path, &name, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push((name, text));
        }
    }
}

/// Returns the texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Returns the names of the functions in a file.
fn functions_of(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn ").skip(1).filter_map(|rest| rest.split(|c| !is_of_name(c)).next())
}

/// Whether a text may be the name of a function.
fn is_name(text: &str) -> bool {
    text.chars().all(is_of_name) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a character may be part of a name in the code.
fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

//! Checks `docs/language.md`: its examples are run, and its limits are compared with the code.
//!
//! An example is a sequence of lines that are indented by four spaces and begin with a prompt. `> `
//! begins a program and `. ` continues it; the following lines are the answer as the client prints
//! it. `> .param name text` binds a parameter. A section (`## `) begins with an empty store.

use crate::store::Store;
use lattistore::lang::{Failure, Value, compile, limits};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../docs/language.md");

#[test]
fn examples_of_the_page_have_the_answers_that_it_shows() {
    let mut session = Session::default();
    let mut examples = 0;
    let mut lines = DOCUMENT.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.starts_with("## ") {
            session = Session::default();
        }
        let Some(first) = line.strip_prefix("    > ") else { continue };
        if let Some(param) = first.strip_prefix(".param ") {
            let (name, value) = param.split_once(' ').expect("a parameter has a value");
            session.params.insert(name.to_owned(), Value::from(value));
            continue;
        }
        let mut program = first.to_owned();
        while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("    . ")) {
            program = program + "\n" + &line[6..];
        }
        let mut expected = String::new();
        let is_answer = |line: &str| line.starts_with("    ") && !line.starts_with("    > ");
        while let Some((_, line)) = lines.next_if(|(_, line)| is_answer(line)) {
            expected = expected + &line[4..] + "\n";
        }
        assert_eq!(session.answer(&program), expected, "docs/language.md:{}", number + 1);
        examples += 1;
    }
    assert!(examples > 40, "only {examples} examples found");
}

#[derive(Default)]
struct Session {
    store: Store,
    params: BTreeMap<String, Value>,
}

impl Session {
    fn answer(&mut self, program: &str) -> String {
        let program = match compile(program) {
            Ok(program) => program,
            Err(error) => return format!("error: compile error at {error}\n"),
        };
        let execution = match self.store.run(&program, &self.params.clone().into_iter().collect()) {
            Ok(execution) => execution,
            Err(aborted @ Failure::Aborted { .. }) => return format!("error: {aborted}\n"),
            Err(failure) => return format!("error: failed at {failure}\n"),
        };
        let mut answer = format!("result: {}\n", Store(execution.read));
        if let Some(returned) = execution.returned {
            answer = answer + "returned: " + &returned.to_string() + "\n";
        }
        answer
    }
}

#[test]
fn limits_of_the_page_are_those_of_the_code() {
    let (_, section) = DOCUMENT.split_once("## Limits").expect("the page has a section of limits");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    let documented: Vec<usize> = rows
        .map(|row| {
            let limit = row.split(" | ").nth(1).expect("a row has three columns");
            limit.split(' ').next().expect("a number").parse().expect("a number")
        })
        .collect();
    let in_code = [
        limits::PROGRAM_BYTES,
        usize::from(limits::NESTING),
        limits::STEPS as usize,
        limits::KEY_BYTES,
        limits::TEXT_BYTES,
        limits::READ_KEYS,
        limits::READ_BYTES,
        limits::WRITTEN_KEYS,
        limits::WRITTEN_BYTES,
    ];
    assert_eq!(documented, in_code);
    assert!(section.contains(&format!("every {} bytes", limits::BYTES_PER_STEP)));
}

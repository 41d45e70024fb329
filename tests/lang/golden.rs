//! Runs the scripts in `tests/lang/scripts`: programs with their expected answers, one topic in
//! each file.
//!
//! A line `> text` runs a program. Other commands:
//! - `param name=value ...` binds parameters to texts, for the programs that follow;
//! - `lines "text" ...` runs a program of several lines;
//! - `store` shows all keys and values;
//! - `print "text"` shows a program as the printer writes it.
//!
//! `UPDATE_GOLDENFILES=1 cargo test` replaces the answers; review the difference.

use crate::store::{Store, quoted};
use lattistore::blob::Blob;
use lattistore::lang::{Value, compile};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

/// Sets the variables of programs that are printed, as a variable that is never set is an error.
const SET: &str = "if \"\" { for a, b in scan \"\" {} for c, d in scan \"\" {} \
    for k, v in scan \"\" {} for x, y in scan \"\" {} for z, id in scan \"\" {} }";

#[derive(Default)]
struct Session {
    store: Store,
    params: BTreeMap<String, Value>,
}

impl Session {
    fn program(&mut self, text: &str) -> String {
        let program = match compile(text) {
            Ok(program) => program,
            Err(error) => return format!("compile error: {error}\n"),
        };
        let execution = match self.store.run(&program, &self.params.clone().into_iter().collect()) {
            Ok(execution) => execution,
            Err(failure) => return format!("{failure}\n"),
        };
        let mut answer = format!("result: {}\n", Store(execution.read));
        if let Some(returned) = execution.returned {
            // Writing to a string does not fail.
            let _ = writeln!(answer, "returned: {returned}");
        }
        answer
    }

    fn show_store(&self) -> String {
        let row = |(key, value): (&Blob, &Blob)| format!("{}: {}\n", quoted(key), quoted(value));
        self.store.0.iter().map(row).collect()
    }
}

impl goldenscript::Runner for Session {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &Self::Command,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "param" => {
                while let Some((name, value)) = args.next_key() {
                    self.params.insert(name.to_owned(), Value::from(value));
                }
                Ok(String::new())
            }
            "store" => Ok(self.show_store()),
            "lines" => {
                let lines: Vec<&str> = std::iter::from_fn(|| args.next_pos()).collect();
                Ok(self.program(&lines.join("\n")))
            }
            "print" => {
                let text = args.next_pos().ok_or("`print` needs the text of a program")?;
                let printed = compile(&format!("{text}{SET}"))?.to_string();
                let set = compile(SET)?.to_string();
                Ok(printed
                    .strip_suffix(&set)
                    .ok_or("the end of the printed program differs")?
                    .to_owned())
            }
            program => Ok(self.program(program)),
        }
    }
}

#[test]
fn scripts_have_their_expected_answers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lang/scripts");
    let mut ran = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of scripts exists") {
        let path = entry.expect("the folder can be read").path();
        goldenscript::run(&mut Session::default(), &path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        ran += 1;
    }
    assert!(ran > 0, "no script in {folder}");
}

//! The installed programs speak of themselves by their installed names.

use std::process::Command;

#[test]
fn the_programs_have_the_names_that_they_are_installed_with() {
    let programs = [
        ("lattistore-server", env!("CARGO_BIN_EXE_lattistore-server")),
        ("lattistore", env!("CARGO_BIN_EXE_lattistore")),
    ];
    for (name, path) in programs {
        let said = |argument: &[&str]| {
            let output = Command::new(path).args(argument).output().expect("it starts");
            String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
        };
        assert!(said(&["--version"]).starts_with(&format!("{name} ")), "{name}");
        assert!(said(&["--help"]).contains(&format!("Usage: {name} ")), "{name}");
        assert!(said(&["--help"]).contains(&format!("  {name} --")), "{name}");
        assert!(said(&["--no-such-option"]).contains(&format!("Usage: {name} ")), "{name}");
        assert!(said(&["--generate-man"]).contains(&format!(".TH {name} 1")), "{name}");
        let script = said(&["--generate-completions", "bash"]);
        assert!(script.contains(&format!(" {name}\n")), "{script}");
    }
}

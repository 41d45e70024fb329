//! The texts of the installed programs use their installed names.

use std::process::Command;

#[test]
fn all_texts_use_the_installed_names() {
    let programs = [
        ("lattistore-server", env!("CARGO_BIN_EXE_lattistore-server")),
        ("lattistore", env!("CARGO_BIN_EXE_lattistore")),
    ];
    for (name, path) in programs {
        let output_of = |arguments: &[&str]| {
            let output = Command::new(path).args(arguments).output().expect("the program starts");
            String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
        };
        assert!(output_of(&["--version"]).starts_with(&format!("{name} ")), "{name}");
        assert!(output_of(&["--help"]).contains(&format!("Usage: {name} ")), "{name}");
        assert!(output_of(&["--help"]).contains(&format!("  {name} --")), "{name}");
        assert!(output_of(&["--no-such-option"]).contains(&format!("Usage: {name} ")), "{name}");
        assert!(output_of(&["--generate-man"]).contains(&format!(".TH {name} 1")), "{name}");
        let script = output_of(&["--generate-completions", "bash"]);
        assert!(script.contains(&format!(" {name}\n")), "{script}");
    }
}

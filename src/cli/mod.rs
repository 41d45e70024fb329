//! The parts that the command lines of both programs share: how flags and environment variables
//! combine, lists of addresses, and the shell completions and the manual page, which are generated
//! from the descriptions of the arguments.

pub mod client;
pub mod server;

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use clap::builder::{Resettable, StyledStr};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, Parser};
use clap_complete::Shell;

/// Parses the command line and the environment. If they are not valid, prints an error and ends the
/// program.
///
/// An environment variable sets a flag that the command line does not have, and is often set for
/// several commands. So it is ignored if it conflicts with a flag on the command line.
pub fn parse<T: Parser>() -> T {
    parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// Parses these arguments, of which the first names the program, and the environment.
///
/// # Errors
/// If they are not valid, or ask for help.
pub fn parse_from<T: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<T, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let command = || named(T::command(), arguments.first());
    let flags = without_environment(command()).ignore_errors(true);
    let mut command = match flags.try_get_matches_from(&arguments) {
        Ok(given) => without_excluded(command(), &given),
        // They ask for help or for the version.
        Err(_) => command(),
    };
    let matches = command.try_get_matches_from_mut(&arguments)?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Returns the description of the program's arguments, with the name of its executable file.
pub fn command<T: CommandFactory>() -> Command {
    named(T::command(), std::env::args_os().next().as_ref())
}

/// Names a command after the file `called`, also in place of `{name}` in its texts.
fn named(command: Command, called: Option<&OsString>) -> Command {
    let called = called.and_then(|path| Path::new(path).file_stem()).and_then(OsStr::to_str);
    let name = called.unwrap_or(command.get_name()).to_owned();
    let filled = |text: Option<&StyledStr>| text.map(|t| t.to_string().replace("{name}", &name));
    let long_about = filled(command.get_long_about());
    let after_help = filled(command.get_after_help());
    let after_long_help = filled(command.get_after_long_help());
    command
        .name(name)
        .long_about(Resettable::from(long_about.map(StyledStr::from)))
        .after_help(Resettable::from(after_help.map(StyledStr::from)))
        .after_long_help(Resettable::from(after_long_help.map(StyledStr::from)))
}

/// Returns the command without environment variables.
fn without_environment(command: Command) -> Command {
    command.mut_args(|arg| arg.env(Resettable::Reset)).mut_subcommands(without_environment)
}

/// Returns the command without the environment variables that conflict with a given flag.
fn without_excluded(command: Command, given: &ArgMatches) -> Command {
    let is_given =
        |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let mut excluded = Vec::new();
    for arg in command.get_arguments() {
        let others = || command.get_arguments().filter(|other| other.get_id() != arg.get_id());
        let excludes = command.get_arg_conflicts_with(arg);
        match is_given(arg) {
            true if arg.is_exclusive_set() => excluded.extend(others().map(Arg::get_id)),
            true => excluded.extend(excludes.into_iter().map(Arg::get_id)),
            false if excludes.into_iter().any(is_given) => excluded.push(arg.get_id()),
            false => {}
        }
    }
    let excluded: Vec<clap::Id> = excluded.into_iter().cloned().collect();
    let command = command.mut_args(|arg| {
        if excluded.contains(arg.get_id()) { arg.env(Resettable::Reset) } else { arg }
    });
    match given.subcommand() {
        Some((name, given)) => {
            command.mut_subcommand(name, |command| without_excluded(command, given))
        }
        None => command,
    }
}

/// IP addresses separated by blanks: an argument has one, an environment variable all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<IpAddr>);

impl Addresses {
    /// Returns the addresses of several lists.
    pub fn all(lists: &[Addresses]) -> Vec<IpAddr> {
        lists.iter().flat_map(|list| &list.0).copied().collect()
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Addresses, String> {
        let address =
            |word: &str| word.parse().map_err(|_| format!("`{word}` is not an IP address"));
        let addresses = text.split_whitespace().map(address).collect::<Result<Vec<_>, String>>()?;
        match addresses.is_empty() {
            true => Err("the list has no IP address".to_owned()),
            false => Ok(Addresses(addresses)),
        }
    }
}

/// The arguments with which the program prints a completion script or its manual page, and exits.
#[derive(Args, Clone, Copy, Debug)]
pub struct Generate {
    /// Print a completion script for this shell and exit.
    #[arg(long, value_name = "SHELL", exclusive = true, help_heading = "Installation")]
    generate_completions: Option<Shell>,

    /// Print the manual page and exit.
    #[arg(long, exclusive = true, help_heading = "Installation")]
    generate_man: bool,
}

impl Generate {
    /// Writes the script or the page, if the arguments ask for one. Returns whether they do.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&self, mut command: Command, to: &mut impl io::Write) -> io::Result<bool> {
        if let Some(shell) = self.generate_completions {
            let name = command.get_name().to_owned();
            // The generator panics if writing fails, so it writes to memory.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            to.write_all(&script)?;
            return Ok(true);
        }
        if self.generate_man {
            clap_mangen::Man::new(command).render(to)?;
            return Ok(true);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        // PATH is set wherever tests run.
        #[arg(long, env = "PATH", conflicts_with = "here")]
        there: Option<String>,
        #[arg(long)]
        here: bool,
        #[arg(long, exclusive = true)]
        alone: bool,
        #[command(subcommand)]
        more: Option<More>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum More {
        Sub {
            #[arg(long, env = "PATH")]
            there: Option<String>,
            #[arg(long, conflicts_with = "there")]
            here: bool,
        },
    }

    fn parsed(line: &str) -> Result<Line, clap::Error> {
        parse_from(line.split(' '))
    }

    #[test]
    fn a_flag_overrides_a_variable_that_conflicts_with_it() {
        assert!(parsed("some").expect("PATH").there.is_some());
        let line = parsed("some --here").expect("no conflict");
        assert_eq!((line.there, line.here), (None, true));
        let line = parsed("some --alone").expect("no conflict");
        assert_eq!((line.there, line.alone), (None, true));
        let Some(More::Sub { there, here }) = parsed("some sub --here").expect("no conflict").more
        else {
            panic!("no subcommand")
        };
        assert_eq!((there, here), (None, true));
        for wrong in ["some --here --there x", "some --alone --here", "some sub --here --there x"] {
            let error = parsed(wrong).expect_err(wrong);
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{wrong}");
        }
        let error = parsed("some --help").expect_err("help");
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp);
    }

    #[test]
    fn texts_have_the_name_of_the_called_file() {
        #[derive(Debug, Parser)]
        #[command(name = "some", version, after_help = "{name} --here")]
        struct Named {}

        for (called, name) in [("/opt/bin/other-name", "other-name"), ("other.exe", "other")] {
            let help = parse_from::<Named>([called, "--help"]).expect_err("help").to_string();
            assert!(help.contains(&format!("{name} --here")), "{help}");
            let version = parse_from::<Named>([called, "--version"]).expect_err("version");
            assert!(version.to_string().starts_with(&format!("{name} ")), "{version}");
            let error = parse_from::<Named>([called, "--none"]).expect_err("no such option");
            assert!(error.to_string().contains("Usage: other"), "{error}");
        }
    }

    #[test]
    fn addresses_are_separated_by_any_blanks() {
        let addresses = |text: &str| text.parse().map(|list| Addresses::all(&[list]).len());
        assert_eq!(addresses("127.0.0.1"), Ok(1));
        assert_eq!(addresses(" 127.0.0.1  ::1 "), Ok(2));
        assert_eq!(addresses("127.0.0.1,x"), Err("`127.0.0.1,x` is not an IP address".to_owned()));
        assert_eq!(addresses(" "), Err("the list has no IP address".to_owned()));
    }
}

//! Rewrites the command line before clap parses it, to find the end of a list of addresses.
//!
//! `--server-ip` takes several values, and a verb may follow them, for example:
//! `--server-ip 10.0.0.1 10.0.0.2 health`. Clap would take the verb for one more value; with its
//! setting that prefers verbs, it would take the value of any other option for a verb, for example
//! in `--file health`. So the code here attaches each address to an option of its own
//! (`--server-ip=10.0.0.1`), and moves these options before the verb. There, clap merges addresses
//! from both sides of the verb into one list.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// The option that takes a list.
const LIST: &str = "--server-ip";

/// Returns the arguments with one option for each address. The first argument names the program.
///
/// Before the verb, a list ends at the next option or at the verb; its first value is never a verb.
/// After a verb that has arguments of its own, each option takes one address.
pub(crate) fn spread(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let mut arguments = arguments.into_iter().peekable();
    let mut spread: Vec<OsString> = arguments.next().into_iter().collect();
    let mut rest = Vec::new();
    let mut verb: Option<&Command> = None;
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            rest.push(argument);
            break;
        }
        if argument == LIST {
            let mut taken = 0;
            while let Some(value) = arguments.next_if(|next| {
                let ends = match verb {
                    None => taken > 0 && named(command, next).is_some(),
                    Some(verb) => taken > 0 && has_arguments(verb),
                };
                !is_option(next) && !ends
            }) {
                spread.push(attached(&value));
                taken += 1;
            }
            if taken == 0 {
                spread.push(argument);
            }
        } else if argument.as_encoded_bytes().starts_with(b"--server-ip=") {
            spread.push(argument);
        } else if is_option(&argument) {
            let takes_next = takes_next(command, &argument)
                || verb.is_some_and(|verb| takes_next(verb, &argument));
            rest.push(argument);
            rest.extend(if takes_next { arguments.next() } else { None });
        } else {
            verb = verb.or_else(|| named(command, &argument));
            rest.push(argument);
        }
    }
    spread.into_iter().chain(rest).chain(arguments).collect()
}

/// Returns the option with its value attached.
fn attached(value: &OsStr) -> OsString {
    let mut argument = OsString::from(LIST);
    argument.push("=");
    argument.push(value);
    argument
}

/// Whether an argument is an option; `-` alone is a value.
fn is_option(argument: &OsStr) -> bool {
    argument.len() > 1 && argument.as_encoded_bytes().starts_with(b"-")
}

/// Returns the verb with this name or alias.
fn named<'c>(command: &'c Command, name: &OsStr) -> Option<&'c Command> {
    let name = name.to_str()?;
    command
        .get_subcommands()
        .find(|verb| verb.get_name() == name || verb.get_all_aliases().any(|alias| alias == name))
}

/// Whether a verb takes arguments other than options.
fn has_arguments(verb: &Command) -> bool {
    verb.has_subcommands() || verb.get_positionals().next().is_some()
}

/// Whether the argument after this option is its value.
fn takes_next(command: &Command, option: &OsStr) -> bool {
    let takes_values = |arg: &Arg| arg.get_action().takes_values();
    let Some(option) = option.to_str() else { return false };
    match option.strip_prefix("--") {
        Some(long) => {
            command.get_arguments().any(|arg| arg.get_long() == Some(long) && takes_values(arg))
        }
        None => {
            // In a group of letters, the first one that takes a value takes the rest of the group;
            // if it is the last letter, it takes the next argument.
            let letters = || option.chars().skip(1);
            let of = |letter| command.get_arguments().find(|arg| arg.get_short() == Some(letter));
            let first = letters().position(|letter| of(letter).is_some_and(takes_values));
            first.is_some_and(|index| index + 1 == letters().count())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::ClientOptions;
    use super::*;
    use clap::CommandFactory;

    fn spread_line(line: &str) -> String {
        // `get` stands for verbs that have arguments.
        let command = ClientOptions::command()
            .subcommand(Command::new("get").arg(Arg::new("key")).arg(Arg::new("at").long("at")));
        let arguments = spread(&command, line.split(' ').map(OsString::from));
        let words: Vec<_> = arguments.iter().map(|word| word.to_str().expect("UTF-8")).collect();
        words.join(" ")
    }

    #[test]
    fn a_verb_ends_the_list_of_addresses() {
        for (line, expected) in [
            ("client --server-ip A B health", "client --server-ip=A --server-ip=B health"),
            ("client health --server-ip A B", "client --server-ip=A --server-ip=B health"),
            (
                "client --server-ip A health --server-ip B --port 1",
                "client --server-ip=A --server-ip=B health --port 1",
            ),
            ("client --server-ip A B --status", "client --server-ip=A --server-ip=B --status"),
            ("client --server-ip=A health", "client --server-ip=A health"),
            ("client get --server-ip A k", "client --server-ip=A get k"),
            ("client --server-ip A B get k", "client --server-ip=A --server-ip=B get k"),
            ("client get --at health --server-ip A k", "client --server-ip=A get --at health k"),
            ("client --server-ip", "client --server-ip"),
            ("client --server-ip --status", "client --server-ip --status"),
            ("client", "client"),
        ] {
            assert_eq!(spread_line(line), expected, "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_a_verb_stays_what_it_is() {
        for (line, expected) in [
            // The first value is an address, even if a verb has its name.
            ("client --server-ip health B", "client --server-ip=health --server-ip=B"),
            ("client --file get --server-ip A B", "client --server-ip=A --server-ip=B --file get"),
            ("client -e get --server-ip A B", "client --server-ip=A --server-ip=B -e get"),
            ("client -eget --server-ip A k", "client --server-ip=A --server-ip=k -eget"),
            ("client get -- --server-ip A", "client get -- --server-ip A"),
            ("client --quiet health", "client --quiet health"),
        ] {
            assert_eq!(spread_line(line), expected, "{line}");
        }
    }
}

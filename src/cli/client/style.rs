//! Colours of the output.

use std::env;
use std::fmt::Display;
use std::io::IsTerminal;

use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    coloured: bool,
}

impl Style {
    /// Returns the style for `output`.
    pub(crate) fn of(output: &impl IsTerminal, colour: Colour) -> Style {
        // By https://no-color.org, NO_COLOR counts if it is set and not empty.
        let wanted = || env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let coloured = match colour {
            Colour::Auto => output.is_terminal() && wanted(),
            Colour::Always => true,
            Colour::Never => false,
        };
        Style { coloured }
    }

    /// The style without colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Style = Style { coloured: false };

    pub(crate) fn error(self, text: impl Display) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: impl Display) -> String {
        self.with("31", text)
    }

    pub(crate) fn strong(self, text: impl Display) -> String {
        self.with("1", text)
    }

    pub(crate) fn faint(self, text: impl Display) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        match self.coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        }
    }
}

//! What the programs' command lines have in common: shell completions and a manual page, made from
//! the arguments' own description.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

/// Arguments that make the program print a description of itself and exit.
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
    /// Writes what is asked for; gives whether anything was.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, mut command: Command, to: &mut impl io::Write) -> io::Result<bool> {
        if let Some(shell) = self.generate_completions {
            let name = command.get_name().to_owned();
            // The generator panics where writing fails, so it writes to memory.
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

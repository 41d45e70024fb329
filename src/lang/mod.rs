//! The language of transactions: small programs that read and write keys.
//!
//! [`compile`] turns a text into a [`Program`]; [`Program::execute`] runs it on a [`Snapshot`] of the
//! store and returns what it read and what is to be written. A run is a pure function of program,
//! parameters and snapshot: it reads no clock and no random number, and has no effect by itself, so
//! a transaction that fails half-way leaves nothing behind.
//!
//! The way of a program: `lexer` (text to tokens), `src/lang.lalrpop` (the grammar), `builder` (its
//! actions), `ast` (the tree), `resolve` (constant keys), `eval` (running). `docs/language.md`
//! describes the language to its users.
//!
//! Whatever a client sends, compiling and running it is bounded in time, memory and stack; the
//! bounds are in [`limits`]. This module uses `values` and `blob`, and nothing else of the
//! crate.

mod advice;
mod ast;
mod builder;
mod edge;
mod error;
mod eval;
mod lexer;
pub mod limits;
mod nodes;
mod parse;
mod place;
mod print;
mod program;
mod resolve;
mod token;

pub use crate::values::{Bindable, Params, Text, Value, ValueRef, is_invisible};
pub use error::{CompileError, Failure, FailureKind, Limit};
pub use parse::unclosed;
pub use place::SourcePosition;
pub use program::{Cost, Execution, Program, Snapshot, compile};

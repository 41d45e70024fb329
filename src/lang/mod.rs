//! The language of transactions: small programs that read and write keys.
//!
//! ```text
//! text ──> compile ──> Program ──> execute ──> Execution { read, writes, returned }
//!                                    ^  ^         or a Failure
//!                   parameters ──────┘  └────── Snapshot of the store
//! ```
//!
//! [`compile`] turns a text into a [`Program`]; [`Program::execute`] runs it on a [`Snapshot`] of
//! the store. A run is a pure function of program, parameters and snapshot: it reads no clock and
//! no random number. It changes nothing: it returns the writes, so a program that fails halfway
//! leaves nothing behind. An example:
//!
//! ```text
//! for k, v in scan "user/" limit 10 {      // the rows are fixed when the loop begins
//!     put "old/" + slice(k, 5) v;          // a write, which later reads of the program see
//!     delete k;
//! }
//! if !exists "old/7" { abort "no user 7"; }   // ends the program without any effect
//! return get "old/7";                      // the answer, besides the keys that were read
//! ```
//!
//! The language is not general: a program cannot define functions, and the only loop is over a
//! scan. A program therefore always ends. The bounds of [`limits`] are counters, not timers. They
//! bound the time, memory and stack of compiling and running for every text that a client sends.
//!
//! | file | content |
//! | --- | --- |
//! | `lexer.rs`, `token.rs` | text to tokens |
//! | `src/lang.lalrpop`, `parse.rs` | the grammar, and error messages in words |
//! | `builder.rs`, `edge.rs`, `nodes.rs`, `ast.rs` | the grammar's actions, and the syntax tree |
//! | `resolve.rs` | constant keys |
//! | `program.rs`, `eval` | a compiled program, and running it |
//! | `print.rs` | a program as a text |
//! | `error.rs`, `advice.rs`, `place.rs` | errors and their positions |
//!
//! `docs/language.md` describes the language for its users. This module uses `values` and `blob`,
//! and nothing else of the crate.

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

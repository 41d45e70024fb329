//! Tests of the language through its public functions.
//!
//! | file | what |
//! | --- | --- |
//! | `golden.rs` | scripts with programs and their expected answers, in `scripts` |
//! | `documentation.rs` | the examples and limits of `docs/language.md` |
//! | `random.rs`, `generate.rs` | random programs, compared with a second implementation |
//! | `hostile.rs` | programs that attack the limits |
//! | `store.rs` | a store for programs to run on |

mod documentation;
mod generate;
mod golden;
mod hostile;
mod random;
#[path = "../reference/mod.rs"]
mod reference;
mod store;

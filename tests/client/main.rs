//! The client library against fake nodes.
//!
//! A fake node is a listener of the test, which decides every answer, so that each test is a
//! script: which request arrives where, under which session number, and what the caller gets. What
//! matters is that a transaction never runs twice and that an error says what is certain: that the
//! transaction ran, that it did not run, or that it may have run.
//!
//! | file | what |
//! | --- | --- |
//! | `fake.rs` | the fake nodes |
//! | `connection.rs` | one connection with many requests in flight |
//! | `answers.rs` | what each answer becomes for the caller |
//! | `retries.rs` | redirects, failures of nodes and retries |
//! | `members.rs` | which nodes the client knows, and changes of the members |
//! | `sessions.rs` | session numbers: no retry runs a transaction twice |
//! | `silence.rs` | nodes that do not answer, and what the client remembers of them |

mod answers;
mod connection;
mod fake;
mod members;
mod retries;
mod sessions;
mod silence;

//! The client library against nodes that say what each test wants them to say.

mod answers;
mod connection;
mod fake;
mod retries;
mod sessions;
mod silence;
